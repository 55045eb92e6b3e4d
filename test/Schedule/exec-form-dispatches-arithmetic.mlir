// What a product is made of follows from how its factors are stored.
// RUN: coppice-opt %s --exec-form-dispatches="max-context=33 max-batch=2 max-rows=50" | FileCheck %s

ml_program.global private @w(#ml_program.extern : tensor<7x5xbf16>) : tensor<7x5xbf16>
ml_program.global private @v(#ml_program.extern : tensor<5x7xbf16>) : tensor<5x7xbf16>

// CHECK: exec.dispatch "widened" gemm
// CHECK-NOT: arithmetic
// CHECK: shape
// CHECK: exec.dispatch "narrow" gemm
// CHECK-SAME: arithmetic = bf16> shape
func.func @forward(%tokens: tensor<?xi32> {decoder.step = "tokens"}, %head_rows: tensor<?xi32> {decoder.step = "head_rows"}, %t: tensor<?xi32> {decoder.step = "positions"}) -> tensor<?x5xf32> {
  %w = ml_program.global_load_const @w : tensor<7x5xbf16>
  %v = ml_program.global_load_const @v : tensor<5x7xbf16>
  %r = decoder.lookup "embed" %tokens in %w : tensor<?xi32>, tensor<7x5xbf16> -> tensor<?x5xf32>
  %a = prune.gemm "widened" %r, %w : tensor<?x5xf32>, tensor<7x5xbf16> -> tensor<?x7xbf16>
  %b = prune.gemm "narrow" %a, %v : tensor<?x7xbf16>, tensor<5x7xbf16> -> tensor<?x5xf32>
  %h = decoder.lookup "head.rows" %head_rows in %b : tensor<?xi32>, tensor<?x5xf32> -> tensor<?x5xf32>
  return %h : tensor<?x5xf32>
}
