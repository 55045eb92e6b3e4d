// RUN: coppice-opt %s --exec-form-dispatches="max-context=99 max-batch=2 max-rows=50" | FileCheck %s

// Attention by lists of 3 blocks of 16 costs as if there were a window of the
// 2 * 16 + 1 positions that a row attends to at the least; of a list that is cut
// short by a window, of 15 less. How many keys are scored is not known: none are
// counted.

ml_program.global private @table(#ml_program.extern : tensor<11x6xf32>) : tensor<11x6xf32>
ml_program.global private @wk(#ml_program.extern : tensor<3x6xf32>) : tensor<3x6xf32>

// CHECK-DAG: #[[NONE:.*]] = affine_map<()[s0, s1, s2, s3, s4, s5] -> (0)>
// CHECK-DAG: #[[PAIRS:.*]] = affine_map<()[s0, s1, s2, s3, s4, s5] -> (s4 * 34)>
// CHECK-DAG: #[[QUERIES:.*]] = affine_map<()[s0, s1, s2, s3, s4, s5] -> (s0 * 32)>
// CHECK: exec.dispatch "b0" other value "b0" {{.*}} cost <flops = #[[NONE]], weight_bytes = #[[NONE]], read_bytes = #[[QUERIES]], {{.*}}>
// CHECK: exec.dispatch "a0" attention {{.*}} cost <flops = #[[PAIRS]], {{.*}} window = 33>
// CHECK: exec.dispatch "b1" other value "b1" (%slots, %positions, %{{.*}}) {{.*}} cost <flops = #[[NONE]]
// CHECK: exec.dispatch "a1" attention {{.*}} window = 18>
func.func @forward(%tokens: tensor<?xi32> {decoder.step = "tokens"}, %slots: tensor<?xi32> {decoder.step = "slots"},
                   %positions: tensor<?xi32> {decoder.step = "positions"}, %k0: tensor<?x?x3xf32> {decoder.cache = "layers.0.k"})
    -> (tensor<?x6xf32>, tensor<?x?x3xf32>) {
  %table = ml_program.global_load_const @table : tensor<11x6xf32>
  %q = decoder.lookup "embed" %tokens in %table : tensor<?xi32>, tensor<11x6xf32> -> tensor<?x6xf32>
  %w = ml_program.global_load_const @wk : tensor<3x6xf32>
  %k = prune.gemm "k" %q, %w : tensor<?x6xf32>, tensor<3x6xf32> -> tensor<?x3xf32>
  %c = decoder.append "k.append" %k into %k0 at %slots, %positions : tensor<?x3xf32> into tensor<?x?x3xf32>
  %b0 = prune.select_blocks "b0" of 16 recent 1 first 1 top 1 by %q, %c heads of 3 : tensor<?x6xf32>, tensor<?x?x3xf32> at %slots, %positions : tensor<?xi32> -> tensor<?x3xi32>
  %a0 = decoder.attention "a0" %q, %c, %c at %slots, %positions blocks of 16(%b0 : tensor<?x3xi32>) {head_dim = 3 : i64, scale = 0.5 : f32} : tensor<?x6xf32>, tensor<?x?x3xf32>
  %b1 = prune.select_blocks "b1" of 16 recent 2 first 1 top 0 window 20 at %slots, %positions : tensor<?xi32> -> tensor<?x3xi32>
  %a1 = decoder.attention "a1" %a0, %c, %c at %slots, %positions blocks of 16(%b1 : tensor<?x3xi32>) {head_dim = 3 : i64, scale = 0.5 : f32, window = 20 : i64} : tensor<?x6xf32>, tensor<?x?x3xf32>
  return %a1, %c : tensor<?x6xf32>, tensor<?x?x3xf32>
}
