// RUN: coppice-opt %s --canonicalize | FileCheck %s

// Cancellations only; nothing moves over another op.

// CHECK-LABEL: @full
// CHECK-SAME: (%[[X:.*]]: tensor<?x5xf32>)
// CHECK-NEXT: return %[[X]], %[[X]], %[[X]]
func.func @full(%x: tensor<?x5xf32>) -> (tensor<?x5xf32>, tensor<?x5xf32>, tensor<?x5xf32>) {
  %p = prune.project "s" %x axis 1 keep #prune.set<[0:5] of 5> in tensor<?x5xf32>
  %s = prune.restrict %x axis 1 keep #prune.set<[0] of 1 x 5> in tensor<?x5xf32> -> tensor<?x5xf32>
  %e = prune.extend %x axis 1 keep #prune.set<[0:5] of 5> in tensor<?x5xf32> -> tensor<?x5xf32>
  return %p, %s, %e : tensor<?x5xf32>, tensor<?x5xf32>, tensor<?x5xf32>
}

// S E = 1, whatever the granules.
// CHECK-LABEL: @restrict_of_extend
// CHECK-SAME: (%[[X:.*]]: tensor<?x4xf32>)
// CHECK-NEXT: return %[[X]]
func.func @restrict_of_extend(%x: tensor<?x4xf32>) -> tensor<?x4xf32> {
  %e = prune.extend %x axis 1 keep #prune.set<[0, 2] of 3 x 2> in tensor<?x4xf32> -> tensor<?x6xf32>
  %s = prune.restrict %e axis 1 keep #prune.set<[0:2, 4:6] of 6> in tensor<?x6xf32> -> tensor<?x4xf32>
  return %s : tensor<?x4xf32>
}

// S_k E_l is an index map: k = {0, 3, 4}, l = {1, 3, 4, 6}.
// CHECK-LABEL: @index_map
// CHECK: %[[S:.*]] = prune.restrict %{{.*}} axis 1 keep #prune.set<[1:3] of 4> in tensor<?x4xf32> -> tensor<?x2xf32>
// CHECK: prune.extend %[[S]] axis 1 keep #prune.set<[1:3] of 3> in tensor<?x2xf32> -> tensor<?x3xf32>
func.func @index_map(%x: tensor<?x4xf32>) -> tensor<?x3xf32> {
  %e = prune.extend %x axis 1 keep #prune.set<[1, 3:5, 6] of 7> in tensor<?x4xf32> -> tensor<?x7xf32>
  %s = prune.restrict %e axis 1 keep #prune.set<[0, 3:5] of 7> in tensor<?x7xf32> -> tensor<?x3xf32>
  return %s : tensor<?x3xf32>
}

// CHECK-LABEL: @compose
// CHECK: prune.restrict %{{.*}} axis 0 keep #prune.set<[2, 6] of 7> in tensor<7xf32> -> tensor<2xf32>
func.func @compose(%x: tensor<7xf32>) -> tensor<2xf32> {
  %a = prune.restrict %x axis 0 keep #prune.set<[0, 2, 4, 6] of 7> in tensor<7xf32> -> tensor<4xf32>
  %b = prune.restrict %a axis 0 keep #prune.set<[1, 3] of 4> in tensor<4xf32> -> tensor<2xf32>
  return %b : tensor<2xf32>
}

// CHECK-LABEL: @merge_projects
// CHECK: prune.project "outer" %{{.*}} axis 0 keep #prune.set<[2, 5] of 7> in tensor<7xf32>
func.func @merge_projects(%x: tensor<7xf32>) -> tensor<7xf32> {
  %a = prune.project "inner" %x axis 0 keep #prune.set<[0:3, 5] of 7> in tensor<7xf32>
  %b = prune.project "outer" %a axis 0 keep #prune.set<[2:7] of 7> in tensor<7xf32>
  return %b : tensor<7xf32>
}

// CHECK-LABEL: @nothing_is_zero
// CHECK: arith.constant dense<0.000000e+00> : tensor<3x5xf32>
func.func @nothing_is_zero(%x: tensor<3x0xf32>) -> tensor<3x5xf32> {
  %e = prune.extend %x axis 1 keep #prune.set<none of 5> in tensor<3x0xf32> -> tensor<3x5xf32>
  return %e : tensor<3x5xf32>
}

// Other axes and other sets do not cancel.
// CHECK-LABEL: @left_alone
// CHECK: prune.extend
// CHECK: prune.restrict
func.func @left_alone(%x: tensor<2x2xf32>) -> tensor<2x3xf32> {
  %e = prune.extend %x axis 1 keep #prune.set<[0, 2] of 3> in tensor<2x2xf32> -> tensor<2x3xf32>
  %s = prune.restrict %e axis 0 keep #prune.set<[1] of 2> in tensor<2x3xf32> -> tensor<1x3xf32>
  %d = prune.extend %s axis 0 keep #prune.set<[0] of 2> in tensor<1x3xf32> -> tensor<2x3xf32>
  return %d : tensor<2x3xf32>
}
