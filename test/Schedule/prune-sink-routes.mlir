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

// What stands in for rows that are passed by is a sum of its own: each product
// updates its rows.
// CHECK-LABEL: func @forecast
func.func @forecast(%r: tensor<?x5xf32>, %m: tensor<?x1xi8>, %d: tensor<?x5xf32>, %f: tensor<?x5xf32>, %e: tensor<?x5xf32>) -> tensor<?x5xf32> {
  // CHECK: %[[S:.*]] = linalg.generic {{.*}} ins(%[[R:.*]], %[[F:.*]] :
  // CHECK: %[[T:.*]] = prune.project_by "layers.0.mlp" %[[S]], %{{.*}} passed {{.*}} into %[[R]]
  // CHECK: %[[U:.*]] = linalg.generic {{.*}} ins(%[[T]], %[[D:.*]] :
  // CHECK: %[[P:.*]] = prune.project_by "layers.0.mlp" %[[U]], %{{.*}} : {{.*}} into %[[T]]
  // CHECK: return %[[P]]
  %p = prune.project_by "layers.0.mlp" %d, %m : tensor<?x5xf32>, tensor<?x1xi8> into %f : tensor<?x5xf32>
  %s = linalg.generic {indexing_maps = [#id, #id, #id], iterator_types = ["parallel", "parallel"]}
      ins(%r, %p : tensor<?x5xf32>, tensor<?x5xf32>) outs(%e : tensor<?x5xf32>) attrs = {prune.site = "layers.0.mlp"} {
  ^bb0(%a: f32, %b: f32, %o: f32):
    %t = arith.addf %a, %b : f32
    linalg.yield %t : f32
  } -> tensor<?x5xf32>
  return %s : tensor<?x5xf32>
}

// Groups of columns are left to the product that reads them.
// CHECK-LABEL: func @groups
func.func @groups(%x: tensor<?x5xf32>, %m: tensor<?x3xi8>, %w: tensor<4x5xf32>) -> tensor<?x4xf32> {
  // CHECK: %[[L:.*]], %[[C:.*]] = prune.compact "" %{{.*}} : tensor<?x3xi8> -> tensor<3x?xi32>, tensor<3xi32>
  // CHECK: prune.gemm "down" %{{.*}}, %{{.*}} rows both(%[[L]], %[[C]] : tensor<3x?xi32>) per group of 2 :
  // CHECK-NOT: prune.project_by
  %p = prune.project_by "layers.0.mlp" %x, %m groups of 2 : tensor<?x5xf32>, tensor<?x3xi8>
  %d = prune.gemm "down" %p, %w : tensor<?x5xf32>, tensor<4x5xf32> -> tensor<?x4xf32>
  return %d : tensor<?x4xf32>
}

// Someone else reads the zeros.
// CHECK-LABEL: func @groups_read
func.func @groups_read(%x: tensor<?x5xf32>, %m: tensor<?x3xi8>, %w: tensor<4x5xf32>) -> (tensor<?x4xf32>, tensor<?x5xf32>) {
  // CHECK: prune.project_by
  %p = prune.project_by "layers.0.mlp" %x, %m groups of 2 : tensor<?x5xf32>, tensor<?x3xi8>
  %d = prune.gemm "down" %p, %w : tensor<?x5xf32>, tensor<4x5xf32> -> tensor<?x4xf32>
  return %d, %p : tensor<?x4xf32>, tensor<?x5xf32>
}
