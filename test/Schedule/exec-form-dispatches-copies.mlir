// RUN: coppice-opt %s --exec-form-dispatches=max-context=33 | FileCheck %s

#id = affine_map<(d0, d1) -> (d0, d1)>

// The old residual is used after the update: the update works on a copy, made
// outside of the group, so that it is there also where the group is off.
// CHECK: exec.dispatch "embed" lookup value "embed" (%tokens, %table, %[[R:.*]]) writes
// CHECK: exec.dispatch "layers.0.mlp.copy" elementwise (%[[R]], %[[C:.*]]) writes [1]
// CHECK: exec.dispatch "layers.0.mlp.half" elementwise group "layers.0.mlp" value "layers.0.mlp.half" threshold 5.000000e-01 (%[[R]], %[[H:.*]]) writes [1]
// CHECK: exec.dispatch "layers.0.mlp" elementwise group "layers.0.mlp" value "layers.0.mlp" (%[[H]], %[[C]]) writes [1]
// What is small and zero in a result is said on its dispatch. A sublayer without a residual is no group; a fill moves into its kernel.
// CHECK: exec.dispatch "layers.1.mlp.sum" other value "layers.1.mlp.sum" (%[[C]], %[[R]], %[[S:.*]]) writes [2]
// CHECK: exec.output "logits" %[[S]]
ml_program.global private @table(#ml_program.extern : tensor<11x6xf32>) : tensor<11x6xf32>
func.func @forward(%tokens: tensor<?xi32> {decoder.step = "tokens"}) -> tensor<?xf32> {
  %c0 = arith.constant 0 : index
  %zero = arith.constant 0.0 : f32
  %rows = tensor.dim %tokens, %c0 : tensor<?xi32>
  %e = tensor.empty(%rows) : tensor<?x6xf32>
  %table = ml_program.global_load_const @table : tensor<11x6xf32>
  %r0 = decoder.lookup "embed" %tokens in %table : tensor<?xi32>, tensor<11x6xf32> -> tensor<?x6xf32>
  %half = linalg.generic {indexing_maps = [#id, #id], iterator_types = ["parallel", "parallel"]}
      ins(%r0 : tensor<?x6xf32>) outs(%e : tensor<?x6xf32>) attrs = {prune.site = "layers.0.mlp.half", prune.threshold = 5.0e-01 : f64} {
  ^bb0(%a: f32, %o: f32):
    %t = arith.mulf %a, %a : f32
    linalg.yield %t : f32
  } -> tensor<?x6xf32>
  %r1 = linalg.generic {indexing_maps = [#id, #id, #id], iterator_types = ["parallel", "parallel"]}
      ins(%r0, %half : tensor<?x6xf32>, tensor<?x6xf32>) outs(%e : tensor<?x6xf32>) attrs = {prune.site = "layers.0.mlp"} {
  ^bb0(%a: f32, %b: f32, %o: f32):
    %t = arith.addf %a, %b : f32
    linalg.yield %t : f32
  } -> tensor<?x6xf32>
  %v = tensor.empty(%rows) : tensor<?xf32>
  %f = linalg.fill ins(%zero : f32) outs(%v : tensor<?xf32>) -> tensor<?xf32>
  %s = linalg.generic {indexing_maps = [#id, #id, affine_map<(d0, d1) -> (d0)>], iterator_types = ["parallel", "reduction"]}
      ins(%r1, %r0 : tensor<?x6xf32>, tensor<?x6xf32>) outs(%f : tensor<?xf32>) attrs = {prune.site = "layers.1.mlp.sum"} {
  ^bb0(%a: f32, %b: f32, %o: f32):
    %t = arith.mulf %a, %b : f32
    %u = arith.addf %o, %t : f32
    linalg.yield %u : f32
  } -> tensor<?xf32>
  return %s : tensor<?xf32>
}
// CHECK: func.func @generic
// CHECK: linalg.fill ins({{.*}}) outs(%[[DESTINATION:.*]] : tensor<?xf32>)
