// RUN: coppice-opt %s --exec-form-dispatches=max-context=33 --exec-plan-memory | FileCheck %s

// Widths 5, 7, 5 take 64 bytes a row each: the first is dead when the third is
// made, and lends it its place. Logits have a region of their own, at the end.
// CHECK-DAG: #[[ARENA:.*]] = affine_map<()[s0, s1, s2, s3, s4, s5] -> (s0 * 128 + s1 * 64)>
// CHECK-DAG: #[[ZERO:.*]] = affine_map<()[s0, s1, s2, s3, s4, s5] -> (0)>
// CHECK-DAG: #[[SECOND:.*]] = affine_map<()[s0, s1, s2, s3, s4, s5] -> (s0 * 64)>
// CHECK-DAG: #[[LAST:.*]] = affine_map<()[s0, s1, s2, s3, s4, s5] -> (s0 * 128)>
// CHECK: exec.program {{.*}} arena #[[ARENA]]
// CHECK: exec.buffer ["rows", 5] offset #[[ZERO]]
// CHECK: exec.buffer ["rows", 7] offset #[[SECOND]]
// CHECK: exec.buffer ["rows", 5] offset #[[ZERO]]
// CHECK: exec.buffer ["head_rows", 5] offset #[[LAST]]
ml_program.global private @table(#ml_program.extern : tensor<37x5xf32>) : tensor<37x5xf32>
ml_program.global private @up(#ml_program.extern : tensor<7x5xf32>) : tensor<7x5xf32>
ml_program.global private @down(#ml_program.extern : tensor<5x7xf32>) : tensor<5x7xf32>
func.func @forward(%tokens: tensor<?xi32> {decoder.step = "tokens"}, %head: tensor<?xi32> {decoder.step = "head_rows"}) -> tensor<?x5xf32> {
  %table = ml_program.global_load_const @table : tensor<37x5xf32>
  %up = ml_program.global_load_const @up : tensor<7x5xf32>
  %down = ml_program.global_load_const @down : tensor<5x7xf32>
  %a = decoder.lookup "embed" %tokens in %table : tensor<?xi32>, tensor<37x5xf32> -> tensor<?x5xf32>
  %b = prune.gemm "up" %a, %up : tensor<?x5xf32>, tensor<7x5xf32> -> tensor<?x7xf32>
  %c = prune.gemm "down" %b, %down : tensor<?x7xf32>, tensor<5x7xf32> -> tensor<?x5xf32>
  %l = decoder.lookup "head.rows" %head in %c : tensor<?xi32>, tensor<?x5xf32> -> tensor<?x5xf32>
  return %l : tensor<?x5xf32>
}
