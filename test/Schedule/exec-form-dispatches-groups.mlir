// RUN: coppice-opt %s --exec-form-dispatches=max-context=33 | FileCheck %s

#id = affine_map<(d0, d1) -> (d0, d1)>

// Another layer reads what is made inside of this one: switched off, it would
// leave that unmade. Its last update is in place all the same.
// CHECK: exec.dispatch "layers.0.mlp.square" elementwise value
// CHECK: exec.dispatch "layers.0.mlp" elementwise value
// The layer that reads it is whole.
// CHECK: exec.dispatch "layers.1.mlp.square" elementwise group "layers.1.mlp" value
// CHECK: exec.dispatch "layers.1.mlp" elementwise group "layers.1.mlp" value
ml_program.global private @table(#ml_program.extern : tensor<11x6xf32>) : tensor<11x6xf32>
func.func @forward(%tokens: tensor<?xi32> {decoder.step = "tokens"}) -> tensor<?x6xf32> {
  %c0 = arith.constant 0 : index
  %rows = tensor.dim %tokens, %c0 : tensor<?xi32>
  %e = tensor.empty(%rows) : tensor<?x6xf32>
  %table = ml_program.global_load_const @table : tensor<11x6xf32>
  %r0 = decoder.lookup "embed" %tokens in %table : tensor<?xi32>, tensor<11x6xf32> -> tensor<?x6xf32>
  %s0 = linalg.generic {indexing_maps = [#id, #id], iterator_types = ["parallel", "parallel"]}
      ins(%r0 : tensor<?x6xf32>) outs(%e : tensor<?x6xf32>) attrs = {prune.site = "layers.0.mlp.square"} {
  ^bb0(%a: f32, %o: f32):
    %t = arith.mulf %a, %a : f32
    linalg.yield %t : f32
  } -> tensor<?x6xf32>
  %r1 = linalg.generic {indexing_maps = [#id, #id, #id], iterator_types = ["parallel", "parallel"]}
      ins(%r0, %s0 : tensor<?x6xf32>, tensor<?x6xf32>) outs(%e : tensor<?x6xf32>) attrs = {prune.site = "layers.0.mlp"} {
  ^bb0(%a: f32, %b: f32, %o: f32):
    %t = arith.addf %a, %b : f32
    linalg.yield %t : f32
  } -> tensor<?x6xf32>
  %s1 = linalg.generic {indexing_maps = [#id, #id, #id], iterator_types = ["parallel", "parallel"]}
      ins(%r1, %s0 : tensor<?x6xf32>, tensor<?x6xf32>) outs(%e : tensor<?x6xf32>) attrs = {prune.site = "layers.1.mlp.square"} {
  ^bb0(%a: f32, %b: f32, %o: f32):
    %t = arith.mulf %a, %b : f32
    linalg.yield %t : f32
  } -> tensor<?x6xf32>
  %r2 = linalg.generic {indexing_maps = [#id, #id, #id], iterator_types = ["parallel", "parallel"]}
      ins(%r1, %s1 : tensor<?x6xf32>, tensor<?x6xf32>) outs(%e : tensor<?x6xf32>) attrs = {prune.site = "layers.1.mlp"} {
  ^bb0(%a: f32, %b: f32, %o: f32):
    %t = arith.addf %a, %b : f32
    linalg.yield %t : f32
  } -> tensor<?x6xf32>
  return %r2 : tensor<?x6xf32>
}
