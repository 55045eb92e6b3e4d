// RUN: coppice-opt %s --prune-expand-replaced --split-input-file | FileCheck %s

// Two GEMMs; the first has a site of its own and, as it computes no value of
// the dense program, no name for its value. What followed the GEMM follows U's.
// CHECK-LABEL: @factors
// CHECK-SAME: %[[X:.*]]: tensor<?x6xf32>, %[[W:.*]]: tensor<8x6xbf16>, %[[U:.*]]: tensor<8x2xbf16>, %[[V:.*]]: tensor<2x6xbf16>
// CHECK-NEXT: %[[T:.*]] = prune.gemm "layers.0.mlp.up.v" %[[X]], %[[V]] value "" : tensor<?x6xf32>, tensor<2x6xbf16> -> tensor<?x2xf32>
// CHECK-NEXT: %[[Y:.*]] = prune.gemm "layers.0.mlp.up" %[[T]], %[[U]] : tensor<?x2xf32>, tensor<8x2xbf16> -> tensor<?x8xf32>
// CHECK-NEXT: prune.project "layers.0.mlp" %[[Y]]
func.func @factors(%x: tensor<?x6xf32>, %w: tensor<8x6xbf16>, %u: tensor<8x2xbf16>, %v: tensor<2x6xbf16>) -> tensor<?x8xf32> {
  %f = prune.replace "layers.0.mlp.up" %w by %u, %v in tensor<8x6xbf16> by tensor<8x2xbf16>, tensor<2x6xbf16>
  %up = prune.gemm "layers.0.mlp.up" %x, %f : tensor<?x6xf32>, tensor<8x6xbf16> -> tensor<?x8xf32>
  %p = prune.project "layers.0.mlp" %up axis 1 keep #prune.set<[0:3] of 8> in tensor<?x8xf32>
  return %p : tensor<?x8xf32>
}

// -----

// Retained rows are those of the old weight, the others U's; the sum is the site.
// CHECK-LABEL: @retained
// CHECK-SAME: %[[X:.*]]: tensor<?x6xf32>, %[[W:.*]]: tensor<8x6xf32>, %[[U:.*]]: tensor<5x2xf32>, %[[V:.*]]: tensor<2x6xf32>
// CHECK: %[[T:.*]] = prune.gemm "layers.0.mlp.up.v" %[[X]], %[[V]] value ""
// CHECK: %[[ROWS:.*]] = prune.restrict %[[W]] axis 0 keep #prune.set<[1, 4:6] of 8>
// CHECK: %[[A:.*]] = prune.gemm "layers.0.mlp.up.retained" %[[X]], %[[ROWS]] value "" : tensor<?x6xf32>, tensor<3x6xf32> -> tensor<?x3xf32>
// CHECK: %[[B:.*]] = prune.gemm "layers.0.mlp.up.u" %[[T]], %[[U]] value "" : tensor<?x2xf32>, tensor<5x2xf32> -> tensor<?x5xf32>
// CHECK: %[[EA:.*]] = prune.extend %[[A]] axis 1 keep #prune.set<[1, 4:6] of 8>
// CHECK: %[[EB:.*]] = prune.extend %[[B]] axis 1 keep #prune.set<[0, 2:4, 6:8] of 8>
// CHECK: linalg.generic {{.*}} ins(%[[EA]], %[[EB]] : {{.*}} attrs = {prune.site = "layers.0.mlp.up"}
// CHECK: arith.addf
// CHECK-NOT: prune.replace
func.func @retained(%x: tensor<?x6xf32>, %w: tensor<8x6xf32>, %u: tensor<5x2xf32>, %v: tensor<2x6xf32>) -> tensor<?x8xf32> {
  %f = prune.replace "layers.0.mlp.up" %w retain <[1, 4:6] of 8> by %u, %v in tensor<8x6xf32> by tensor<5x2xf32>, tensor<2x6xf32>
  %up = prune.gemm "layers.0.mlp.up" %x, %f : tensor<?x6xf32>, tensor<8x6xf32> -> tensor<?x8xf32>
  return %up : tensor<?x8xf32>
}

// -----

// One weight for another: the GEMM says the pattern, and keeps all else.
// CHECK-LABEL: @pattern
// CHECK-SAME: %[[X:.*]]: tensor<?x6xf32>, %[[W:.*]]: tensor<8x6xf32>, %[[M:.*]]: tensor<8x6xf32>
// CHECK-NEXT: prune.gemm "layers.0.mlp.up" %[[X]], %[[M]] pattern <2 of 4> : tensor<?x6xf32>, tensor<8x6xf32> -> tensor<?x8xf32>
func.func @pattern(%x: tensor<?x6xf32>, %w: tensor<8x6xf32>, %m: tensor<8x6xf32>) -> tensor<?x8xf32> {
  %f = prune.replace "layers.0.mlp.up" %w by %m pattern <2 of 4> in tensor<8x6xf32> by tensor<8x6xf32>
  %up = prune.gemm "layers.0.mlp.up" %x, %f : tensor<?x6xf32>, tensor<8x6xf32> -> tensor<?x8xf32>
  return %up : tensor<?x8xf32>
}

// -----

// Zeros anywhere are zeros, no more; what is not replaced is left alone.
// CHECK-LABEL: @masked
// CHECK-SAME: %[[X:.*]]: tensor<?x6xf32>, %[[W:.*]]: tensor<8x6xf32>, %[[M:.*]]: tensor<8x6xf32>
// CHECK-NEXT: prune.gemm "layers.0.mlp.up" %[[X]], %[[M]] : tensor
// CHECK-NEXT: prune.gemm "layers.0.mlp.gate" %[[X]], %[[W]] : tensor
func.func @masked(%x: tensor<?x6xf32>, %w: tensor<8x6xf32>, %m: tensor<8x6xf32>) -> (tensor<?x8xf32>, tensor<?x8xf32>) {
  %f = prune.replace "layers.0.mlp.up" %w by %m sparsity 5.0e-01 in tensor<8x6xf32> by tensor<8x6xf32>
  %up = prune.gemm "layers.0.mlp.up" %x, %f : tensor<?x6xf32>, tensor<8x6xf32> -> tensor<?x8xf32>
  %gate = prune.gemm "layers.0.mlp.gate" %x, %w : tensor<?x6xf32>, tensor<8x6xf32> -> tensor<?x8xf32>
  return %up, %gate : tensor<?x8xf32>, tensor<?x8xf32>
}
