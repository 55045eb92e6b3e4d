// RUN: coppice-opt %s --prune-sink-routes | FileCheck %s

#id = affine_map<(d0, d1) -> (d0, d1)>

// CHECK-LABEL: func @sum
func.func @sum(%r: tensor<?x5xf32>, %m: tensor<?x1xi8>, %d: tensor<?x5xf32>, %e: tensor<?x5xf32>) -> tensor<?x5xf32> {
  // CHECK: %[[S:.*]] = linalg.generic {{.*}} ins(%[[R:.*]], %[[D:.*]] : {{.*}} attrs = {prune.kept
  // CHECK: %[[P:.*]] = prune.project_by "layers.0.mlp" %[[S]], %{{.*}} into %[[R]]
  // CHECK: return %[[P]]
  %p = prune.project_by "layers.0.mlp" %d, %m : tensor<?x5xf32>, tensor<?x1xi8>
  %s = linalg.generic {indexing_maps = [#id, #id, #id], iterator_types = ["parallel", "parallel"]}
      ins(%r, %p : tensor<?x5xf32>, tensor<?x5xf32>) outs(%e : tensor<?x5xf32>) attrs = {prune.site = "layers.0.mlp", prune.kept = [[1, #prune.set<[0:5] of 9>]]} {
  ^bb0(%a: f32, %b: f32, %o: f32):
    %t = arith.addf %a, %b : f32
    linalg.yield %t : f32
  } -> tensor<?x5xf32>
  return %s : tensor<?x5xf32>
}

// A product of both is no sum: it is zero where the mask keeps nothing.
// CHECK-LABEL: func @product
func.func @product(%r: tensor<?x5xf32>, %m: tensor<?x1xi8>, %d: tensor<?x5xf32>, %e: tensor<?x5xf32>) -> tensor<?x5xf32> {
  // CHECK: %[[P:.*]] = prune.project_by "layers.0.mlp" %{{.*}}, %{{.*}} : tensor<?x5xf32>, tensor<?x1xi8>{{$}}
  // CHECK: linalg.generic {{.*}} ins(%{{.*}}, %[[P]]
  %p = prune.project_by "layers.0.mlp" %d, %m : tensor<?x5xf32>, tensor<?x1xi8>
  %s = linalg.generic {indexing_maps = [#id, #id, #id], iterator_types = ["parallel", "parallel"]}
      ins(%r, %p : tensor<?x5xf32>, tensor<?x5xf32>) outs(%e : tensor<?x5xf32>) attrs = {prune.site = "x"} {
  ^bb0(%a: f32, %b: f32, %o: f32):
    %t = arith.mulf %a, %b : f32
    linalg.yield %t : f32
  } -> tensor<?x5xf32>
  return %s : tensor<?x5xf32>
}
