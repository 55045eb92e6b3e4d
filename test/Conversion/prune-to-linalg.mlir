// RUN: coppice-opt %s --prune-to-linalg --split-input-file | FileCheck %s

// The values are tested in test/unit/Conversion.

// CHECK-LABEL: @project
// CHECK: %[[MASK:.*]] = arith.constant dense<[true, true, false, true, false]> : tensor<5xi1>
// CHECK: linalg.generic {{.*}} ins(%{{.*}}, %[[MASK]] : tensor<?x5xf32>, tensor<5xi1>) {{.*}}attrs = {prune.site = "layers.0.mlp.project"}
// CHECK-NEXT: ^bb0(%[[X:.*]]: f32, %[[M:.*]]: i1, %{{.*}}: f32):
// CHECK: arith.select %[[M]], %[[X]], %{{.*}} : f32
// CHECK-NOT: prune.project
func.func @project(%x: tensor<?x5xf32>) -> tensor<?x5xf32> {
  %p = prune.project "layers.0.mlp" %x axis 1 keep #prune.set<[0:2, 3] of 5> in tensor<?x5xf32>
  return %p : tensor<?x5xf32>
}

// -----

// CHECK-LABEL: @project_granules
// CHECK: dense<[false, false, false, true, true, true]> : tensor<6xi1>
func.func @project_granules(%x: tensor<6x5xf32>) -> tensor<6x5xf32> {
  %p = prune.project "s" %x axis 0 keep #prune.set<[1] of 2 x 3> in tensor<6x5xf32>
  return %p : tensor<6x5xf32>
}

// -----

// CHECK-LABEL: @project_nothing
// CHECK-SAME: %[[X:.*]]: tensor<?x5xf32>
// CHECK: %[[ROWS:.*]] = tensor.dim %[[X]]
// CHECK: %[[EMPTY:.*]] = tensor.empty(%[[ROWS]])
// CHECK: linalg.fill {prune.site = "layers.3.mlp.project"} ins(%{{.*}}) outs(%[[EMPTY]]
func.func @project_nothing(%x: tensor<?x5xf32>) -> tensor<?x5xf32> {
  %p = prune.project "layers.3.mlp" %x axis 0 keep #prune.set<none> in tensor<?x5xf32>
  return %p : tensor<?x5xf32>
}

// -----

// CHECK-LABEL: @restrict
// CHECK: dense<[0, 3]> : tensor<2xi64>
// CHECK: tensor.extract
func.func @restrict(%x: tensor<?x5xf32>) -> tensor<?x2xf32> {
  %s = prune.restrict %x axis 1 keep #prune.set<[0, 3] of 5> in tensor<?x5xf32> -> tensor<?x2xf32>
  return %s : tensor<?x2xf32>
}

// -----

// CHECK-LABEL: @extend
// CHECK: dense<[0, -1, -1, 1, -1]> : tensor<5xi64>
// CHECK: arith.maxsi
// CHECK: tensor.extract
// CHECK: arith.select
func.func @extend(%x: tensor<?x2xf32>) -> tensor<?x5xf32> {
  %e = prune.extend %x axis 1 keep #prune.set<[0, 3] of 5> in tensor<?x2xf32> -> tensor<?x5xf32>
  return %e : tensor<?x5xf32>
}

// -----

// CHECK-LABEL: @gemm
// CHECK: linalg.fill {prune.site = "q.zero"}
// CHECK: linalg.generic {{.*}}iterator_types = ["parallel", "parallel", "reduction"]{{.*}}attrs = {prune.kept = [], prune.site = "q"}
// CHECK: arith.extf %{{.*}} : bf16 to f32
func.func @gemm(%x: tensor<?x5xf32>, %w: tensor<7x5xbf16>) -> tensor<?x7xf32> {
  %c = prune.gemm "q" %x, %w {prune.kept = []} : tensor<?x5xf32>, tensor<7x5xbf16> -> tensor<?x7xf32>
  return %c : tensor<?x7xf32>
}

// -----

// A fused GEMM is its product, which has the site, and its epilogue, which has
// the name of the value.
// CHECK-DAG: #[[ALL:.*]] = affine_map<(d0, d1) -> (d0, d1)>
// CHECK-DAG: #[[N:.*]] = affine_map<(d0, d1) -> (d1)>
// CHECK-LABEL: @epilogue
// CHECK: linalg.generic {{.*}}reduction{{.*}}attrs = {prune.site = "down"}
// CHECK: linalg.generic {indexing_maps = [#[[ALL]], #[[ALL]], #[[N]], #[[ALL]]], {{.*}}attrs = {prune.site = "mlp"}
// CHECK: arith.addf
// CHECK: arith.mulf
// CHECK-NOT: prune.yield
func.func @epilogue(%x: tensor<?x5xf32>, %w: tensor<7x5xf32>, %r: tensor<?x7xf32>, %b: tensor<7xf32>) -> tensor<?x7xf32> {
  %c = prune.gemm "down" %x, %w value "mlp" epilogue(%acc: f32, %e: f32 = %r : tensor<?x7xf32>, %f: f32 = %b : tensor<7xf32>) {
    %0 = arith.addf %acc, %e : f32
    %1 = arith.mulf %0, %f : f32
    prune.yield %1 : f32
  } : tensor<?x5xf32>, tensor<7x5xf32> -> tensor<?x7xf32>
  return %c : tensor<?x7xf32>
}

// -----

// An epilogue that computes the site's own value (a bias).
// CHECK-LABEL: @unnamed_epilogue
// CHECK: linalg.generic {{.*}}reduction{{.*}}attrs = {prune.site = "q.product"}
// CHECK: linalg.generic {{.*}}attrs = {prune.site = "q"}
func.func @unnamed_epilogue(%x: tensor<?x5xf32>, %w: tensor<7x5xf32>, %b: tensor<7xf32>) -> tensor<?x7xf32> {
  %c = prune.gemm "q" %x, %w epilogue(%acc: f32, %f: f32 = %b : tensor<7xf32>) {
    %0 = arith.addf %acc, %f : f32
    prune.yield %0 : f32
  } : tensor<?x5xf32>, tensor<7x5xf32> -> tensor<?x7xf32>
  return %c : tensor<?x7xf32>
}

// -----

// Plans stay.
// CHECK: prune.plan @plan
prune.plan @plan {
  prune.skip "layers.3.mlp"
}

// -----

// The new weight, whole, and the product with it: in f32 whatever is stored.
// CHECK-LABEL: @factors
// CHECK-SAME: %[[X:.*]]: tensor<?x6xf32>, %{{.*}}: tensor<8x6xbf16>, %[[U:.*]]: tensor<8x2xbf16>, %[[V:.*]]: tensor<2x6xbf16>
// CHECK: %[[W:.*]] = linalg.generic {{.*}} iterator_types = ["parallel", "parallel", "reduction"]} ins(%[[U]], %[[V]] : {{.*}} outs(%{{.*}} : tensor<8x6xf32>)
// CHECK: linalg.generic {{.*}} ins(%[[X]], %[[W]] : tensor<?x6xf32>, tensor<8x6xf32>) {{.*}}attrs = {prune.site = "s"}
func.func @factors(%x: tensor<?x6xf32>, %w: tensor<8x6xbf16>, %u: tensor<8x2xbf16>, %v: tensor<2x6xbf16>) -> tensor<?x8xf32> {
  %f = prune.replace "s" %w by %u, %v in tensor<8x6xbf16> by tensor<8x2xbf16>, tensor<2x6xbf16>
  %y = prune.gemm "s" %x, %f : tensor<?x6xf32>, tensor<8x6xbf16> -> tensor<?x8xf32>
  return %y : tensor<?x8xf32>
}

// -----

// Retained rows of the old weight, the others of U V.
// CHECK-LABEL: @retained
// CHECK: %[[P:.*]] = linalg.generic {{.*}}"reduction"{{.*}} attrs = {prune.site = "s.factors"}
// CHECK: dense<[0, -1, 1, 2, -1, -1, 3, 4]> : tensor<8xi64>
// CHECK: linalg.generic {{.*}} attrs = {prune.site = "s.weight"}
// CHECK: tensor.extract %[[P]]
// CHECK: arith.extf
// CHECK: arith.select
func.func @retained(%x: tensor<?x6xf32>, %w: tensor<8x6xbf16>, %u: tensor<5x2xbf16>, %v: tensor<2x6xbf16>) -> tensor<?x8xf32> {
  %f = prune.replace "s" %w retain <[1, 4:6] of 8> by %u, %v in tensor<8x6xbf16> by tensor<5x2xbf16>, tensor<2x6xbf16>
  %y = prune.gemm "s" %x, %f : tensor<?x6xf32>, tensor<8x6xbf16> -> tensor<?x8xf32>
  return %y : tensor<?x8xf32>
}

// -----

// CHECK-LABEL: @masked
// CHECK-SAME: %[[X:.*]]: tensor<?x6xf32>, %{{.*}}: tensor<8x6xf32>, %[[M:.*]]: tensor<8x6xf32>
// CHECK: linalg.generic {{.*}} ins(%[[X]], %[[M]] :
// CHECK-NOT: prune.replace
func.func @masked(%x: tensor<?x6xf32>, %w: tensor<8x6xf32>, %m: tensor<8x6xf32>) -> tensor<?x8xf32> {
  %f = prune.replace "s" %w by %m pattern <2 of 4> in tensor<8x6xf32> by tensor<8x6xf32>
  %y = prune.gemm "s" %x, %f : tensor<?x6xf32>, tensor<8x6xf32> -> tensor<?x8xf32>
  return %y : tensor<?x8xf32>
}
