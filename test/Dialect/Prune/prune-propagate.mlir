// RUN: coppice-opt %s --split-input-file --prune-propagate | FileCheck %s

// The smallest case of each rule in the pass's table, and beside it the case
// that must stay. That values stay the same is PropagateNumericsTest's business.

// CHECK-LABEL: @gemm_columns
// CHECK: %[[W:.*]] = prune.restrict %{{.*}} axis 0 keep #prune.set<[1, 4] of 5> in tensor<5x3xf32> -> tensor<2x3xf32>
// CHECK: prune.gemm "y" %{{.*}}, %[[W]] {prune.kept = {{\[\[}}1, #prune.set<[1, 4] of 5>]]} : tensor<?x3xf32>, tensor<2x3xf32> -> tensor<?x2xf32>
func.func @gemm_columns(%x: tensor<?x3xf32>, %w: tensor<5x3xf32>) -> tensor<?x2xf32> {
  %y = prune.gemm "y" %x, %w : tensor<?x3xf32>, tensor<5x3xf32> -> tensor<?x5xf32>
  %s = prune.restrict %y axis 1 keep #prune.set<[1, 4] of 5> in tensor<?x5xf32> -> tensor<?x2xf32>
  return %s : tensor<?x2xf32>
}

// One extension, whose columns are those that both put: 1, 2 of 0, 1, 3.
// CHECK-LABEL: @extensions_merge
// CHECK-NEXT: prune.extend %{{.*}} axis 1 keep #prune.set<[1, 3] of 5> in tensor<?x2xf32> -> tensor<?x5xf32>
// CHECK-NEXT: return
func.func @extensions_merge(%x: tensor<?x2xf32>) -> tensor<?x5xf32> {
  %l = prune.extend %x axis 1 keep #prune.set<[1, 2] of 3> in tensor<?x2xf32> -> tensor<?x3xf32>
  %k = prune.extend %l axis 1 keep #prune.set<[0, 1, 3] of 5> in tensor<?x3xf32> -> tensor<?x5xf32>
  return %k : tensor<?x5xf32>
}

// Of two axes there is no one set.
// CHECK-LABEL: @extensions_of_two_axes_stay
// CHECK-COUNT-2: prune.extend
func.func @extensions_of_two_axes_stay(%x: tensor<2x2xf32>) -> tensor<3x3xf32> {
  %l = prune.extend %x axis 1 keep #prune.set<[1, 2] of 3> in tensor<2x2xf32> -> tensor<2x3xf32>
  %k = prune.extend %l axis 0 keep #prune.set<[0, 1] of 3> in tensor<2x3xf32> -> tensor<3x3xf32>
  return %k : tensor<3x3xf32>
}

// A second user needs all columns.
// CHECK-LABEL: @gemm_columns_stay
// CHECK: %[[Y:.*]] = prune.gemm "y" {{.*}} -> tensor<?x5xf32>
// CHECK: prune.restrict %[[Y]]
func.func @gemm_columns_stay(%x: tensor<?x3xf32>, %w: tensor<5x3xf32>) -> (tensor<?x2xf32>, tensor<?x5xf32>) {
  %y = prune.gemm "y" %x, %w : tensor<?x3xf32>, tensor<5x3xf32> -> tensor<?x5xf32>
  %s = prune.restrict %y axis 1 keep #prune.set<[1, 4] of 5> in tensor<?x5xf32> -> tensor<?x2xf32>
  return %s, %y : tensor<?x2xf32>, tensor<?x5xf32>
}

// The number of rows is not a use of the columns.
// CHECK-LABEL: @dim_of_rows
// CHECK: %[[Y:.*]] = prune.gemm "y" {{.*}} -> tensor<?x2xf32>
// CHECK: tensor.dim %[[Y]], %c0 : tensor<?x2xf32>
func.func @dim_of_rows(%x: tensor<?x3xf32>, %w: tensor<5x3xf32>) -> (tensor<?x2xf32>, index) {
  %c0 = arith.constant 0 : index
  %y = prune.gemm "y" %x, %w : tensor<?x3xf32>, tensor<5x3xf32> -> tensor<?x5xf32>
  %d = tensor.dim %y, %c0 : tensor<?x5xf32>
  %s = prune.restrict %y axis 1 keep #prune.set<[1, 4] of 5> in tensor<?x5xf32> -> tensor<?x2xf32>
  return %s, %d : tensor<?x2xf32>, index
}

// CHECK-LABEL: @gemm_reduction
// CHECK: %[[S:.*]] = prune.restrict %{{.*}} axis 1 keep #prune.set<[0, 2] of 3> in tensor<5x3xf32> -> tensor<5x2xf32>
// CHECK: prune.gemm "y" %{{.*}}, %[[S]] : tensor<?x2xf32>, tensor<5x2xf32> -> tensor<?x5xf32>
func.func @gemm_reduction(%x: tensor<?x2xf32>, %w: tensor<5x3xf32>) -> tensor<?x5xf32> {
  %e = prune.extend %x axis 1 keep #prune.set<[0, 2] of 3> in tensor<?x2xf32> -> tensor<?x3xf32>
  %y = prune.gemm "y" %e, %w : tensor<?x3xf32>, tensor<5x3xf32> -> tensor<?x5xf32>
  return %y : tensor<?x5xf32>
}

// CHECK-LABEL: @norm_extends
// CHECK: %[[G:.*]] = prune.restrict %{{.*}} axis 0 keep #prune.set<[0, 2] of 3> in tensor<3xf32> -> tensor<2xf32>
// CHECK: decoder.rms_norm "n" %{{.*}}, %[[G]] {divisor = 3 : i64, {{.*}}prune.kept = {{.*}}} : tensor<?x2xf32>, tensor<2xf32>
// CHECK: prune.extend
func.func @norm_extends(%x: tensor<?x2xf32>, %g: tensor<3xf32>) -> tensor<?x3xf32> {
  %e = prune.extend %x axis 1 keep #prune.set<[0, 2] of 3> in tensor<?x2xf32> -> tensor<?x3xf32>
  %n = decoder.rms_norm "n" %e, %g {epsilon = 1.0e-5 : f32, divisor = 3 : i64} : tensor<?x3xf32>, tensor<3xf32>
  return %n : tensor<?x3xf32>
}

// CHECK-LABEL: @norm_does_not_restrict
// CHECK: decoder.rms_norm "n" {{.*}} : tensor<?x3xf32>, tensor<3xf32>
// CHECK: prune.restrict
func.func @norm_does_not_restrict(%x: tensor<?x3xf32>, %g: tensor<3xf32>) -> tensor<?x2xf32> {
  %n = decoder.rms_norm "n" %x, %g {epsilon = 1.0e-5 : f32, divisor = 3 : i64} : tensor<?x3xf32>, tensor<3xf32>
  %s = prune.restrict %n axis 1 keep #prune.set<[0, 2] of 3> in tensor<?x3xf32> -> tensor<?x2xf32>
  return %s : tensor<?x2xf32>
}

// Heads that are normed each by itself move whole, and share their gains.
// CHECK-LABEL: @norm_of_heads_restricts
// CHECK: %[[S:.*]] = prune.restrict %{{.*}} axis 1 keep #prune.set<[1] of 3 x 2> in tensor<?x6xf32> -> tensor<?x2xf32>
// CHECK: decoder.rms_norm "n" %[[S]], %{{.*}} {divisor = 2 : i64, {{.*}}head_dim = 2 : i64, {{.*}}} : tensor<?x2xf32>, tensor<2xf32>
func.func @norm_of_heads_restricts(%x: tensor<?x6xf32>, %g: tensor<2xf32>) -> tensor<?x2xf32> {
  %n = decoder.rms_norm "n" %x, %g {epsilon = 1.0e-5 : f32, divisor = 2 : i64, head_dim = 2 : i64} : tensor<?x6xf32>, tensor<2xf32>
  %s = prune.restrict %n axis 1 keep #prune.set<[1] of 3 x 2> in tensor<?x6xf32> -> tensor<?x2xf32>
  return %s : tensor<?x2xf32>
}

// CHECK-LABEL: @norm_of_heads_extends
// CHECK: decoder.rms_norm "n" %{{.*}}, %{{.*}} {{.*}} : tensor<?x4xf32>, tensor<2xf32>
// CHECK: prune.extend
func.func @norm_of_heads_extends(%x: tensor<?x4xf32>, %g: tensor<2xf32>) -> tensor<?x6xf32> {
  %e = prune.extend %x axis 1 keep #prune.set<[0, 2] of 3 x 2> in tensor<?x4xf32> -> tensor<?x6xf32>
  %n = decoder.rms_norm "n" %e, %g {epsilon = 1.0e-5 : f32, divisor = 2 : i64, head_dim = 2 : i64} : tensor<?x6xf32>, tensor<2xf32>
  return %n : tensor<?x6xf32>
}

// Without an epsilon the norm of a head of zeros is not 0.
// CHECK-LABEL: @norm_of_heads_without_epsilon
// CHECK: prune.extend
// CHECK: decoder.rms_norm
func.func @norm_of_heads_without_epsilon(%x: tensor<?x4xf32>, %g: tensor<2xf32>) -> tensor<?x6xf32> {
  %e = prune.extend %x axis 1 keep #prune.set<[0, 2] of 3 x 2> in tensor<?x4xf32> -> tensor<?x6xf32>
  %n = decoder.rms_norm "n" %e, %g {epsilon = 0.0 : f32, divisor = 2 : i64, head_dim = 2 : i64} : tensor<?x6xf32>, tensor<2xf32>
  return %n : tensor<?x6xf32>
}

// CHECK-LABEL: @norm_of_half_heads_stays
// CHECK: decoder.rms_norm "n" {{.*}} : tensor<?x6xf32>, tensor<2xf32>
// CHECK: prune.restrict
func.func @norm_of_half_heads_stays(%x: tensor<?x6xf32>, %g: tensor<2xf32>) -> tensor<?x3xf32> {
  %n = decoder.rms_norm "n" %x, %g {epsilon = 1.0e-5 : f32, divisor = 2 : i64, head_dim = 2 : i64} : tensor<?x6xf32>, tensor<2xf32>
  %s = prune.restrict %n axis 1 keep #prune.set<[0, 1, 2] of 6> in tensor<?x6xf32> -> tensor<?x3xf32>
  return %s : tensor<?x3xf32>
}

// Half a head cannot be turned alone.
// CHECK-LABEL: @half_heads_stay
// CHECK: decoder.rotary "r" {{.*}} : tensor<?x4xf32>, tensor<?x2xf32>
// CHECK: prune.restrict
func.func @half_heads_stay(%x: tensor<?x4xf32>, %a: tensor<?x2xf32>) -> tensor<?x2xf32> {
  %r = decoder.rotary "r" %x, %a {head_dim = 2 : i64} : tensor<?x4xf32>, tensor<?x2xf32>
  %s = prune.restrict %r axis 1 keep #prune.set<[1:3] of 4> in tensor<?x4xf32> -> tensor<?x2xf32>
  return %s : tensor<?x2xf32>
}

// A cache that another function passes in keeps its width.
// CHECK-LABEL: @called_step
// CHECK: decoder.append "a" {{.*}} : tensor<?x4xf32> into tensor<?x?x4xf32>
// CHECK: prune.restrict
func.func private @called_step(%x: tensor<?x4xf32>, %s: tensor<?xi32>, %p: tensor<?xi32>,
    %c: tensor<?x?x4xf32> {decoder.cache = "k"}) -> (tensor<?x?x2xf32>, tensor<?x?x4xf32>) {
  %a = decoder.append "a" %x into %c at %s, %p : tensor<?x4xf32> into tensor<?x?x4xf32>
  %r = prune.restrict %a axis 2 keep #prune.set<[1:3] of 4> in tensor<?x?x4xf32> -> tensor<?x?x2xf32>
  return %r, %a : tensor<?x?x2xf32>, tensor<?x?x4xf32>
}
func.func @caller(%x: tensor<?x4xf32>, %s: tensor<?xi32>, %p: tensor<?xi32>, %c: tensor<?x?x4xf32>) -> tensor<?x?x2xf32> {
  %0:2 = call @called_step(%x, %s, %p, %c) : (tensor<?x4xf32>, tensor<?xi32>, tensor<?xi32>, tensor<?x?x4xf32>) -> (tensor<?x?x2xf32>, tensor<?x?x4xf32>)
  return %0#0 : tensor<?x?x2xf32>
}

// -----

#id = affine_map<(m, n) -> (m, n)>
// r + P_none(y) = r, and what computed y is dead.
// CHECK-LABEL: @residual
// CHECK-SAME: (%[[R:[a-z0-9]+]]: tensor<?x3xf32>
// CHECK-NEXT: return %[[R]]
func.func @residual(%r: tensor<?x3xf32>, %x: tensor<?x5xf32>, %w: tensor<3x5xf32>, %e: tensor<?x3xf32>) -> tensor<?x3xf32> {
  %y = prune.gemm "y" %x, %w : tensor<?x5xf32>, tensor<3x5xf32> -> tensor<?x3xf32>
  %p = prune.project "s" %y axis 0 keep #prune.set<none> in tensor<?x3xf32>
  %a = linalg.generic {indexing_maps = [#id, #id, #id], iterator_types = ["parallel", "parallel"]}
    ins(%p, %r : tensor<?x3xf32>, tensor<?x3xf32>) outs(%e : tensor<?x3xf32>) {
  ^bb0(%a0: f32, %b: f32, %o: f32):
    %s = arith.addf %a0, %b : f32
    linalg.yield %s : f32
  } -> tensor<?x3xf32>
  return %a : tensor<?x3xf32>
}

// A difference is not a sum.
// CHECK-LABEL: @not_a_residual
// CHECK: prune.project
// CHECK: linalg.generic
func.func @not_a_residual(%r: tensor<?x3xf32>, %y: tensor<?x3xf32>, %e: tensor<?x3xf32>) -> tensor<?x3xf32> {
  %p = prune.project "s" %y axis 0 keep #prune.set<none> in tensor<?x3xf32>
  %a = linalg.generic {indexing_maps = [#id, #id, #id], iterator_types = ["parallel", "parallel"]}
    ins(%p, %r : tensor<?x3xf32>, tensor<?x3xf32>) outs(%e : tensor<?x3xf32>) {
  ^bb0(%a0: f32, %b: f32, %o: f32):
    %s = arith.subf %a0, %b : f32
    linalg.yield %s : f32
  } -> tensor<?x3xf32>
  return %a : tensor<?x3xf32>
}

// The restricted axis is one that the op adds up, or whose index it reads.
// CHECK-LABEL: @computed_subscripts_stay
// CHECK: linalg.generic {{.*}} ins(%{{.*}} : tensor<?x5xf32>)
// CHECK: prune.restrict
func.func @computed_subscripts_stay(%x: tensor<?x5xf32>, %e: tensor<?x5xf32>) -> tensor<?x2xf32> {
  %y = linalg.generic {indexing_maps = [#id, #id], iterator_types = ["parallel", "parallel"]}
    ins(%x : tensor<?x5xf32>) outs(%e : tensor<?x5xf32>) {
  ^bb0(%a: f32, %o: f32):
    %i = linalg.index 1 : index
    %j = arith.index_cast %i : index to i32
    %f = arith.sitofp %j : i32 to f32
    %s = arith.mulf %a, %f : f32
    linalg.yield %s : f32
  } -> tensor<?x5xf32>
  %r = prune.restrict %y axis 1 keep #prune.set<[1, 4] of 5> in tensor<?x5xf32> -> tensor<?x2xf32>
  return %r : tensor<?x2xf32>
}

// -----

// A set that is known at run time may name what would go.
// CHECK-LABEL: @gemm_with_sets_stays
// CHECK: %[[E:.*]] = prune.extend
// CHECK: %[[Y:.*]] = prune.gemm "y" %[[E]], %{{.*}} groups of 2
// CHECK: prune.restrict %[[Y]]
func.func @gemm_with_sets_stays(%x: tensor<?x3xf32>, %w: tensor<5x4xf32>, %g: tensor<2xi32>, %n: tensor<i32>) -> tensor<?x2xf32> {
  %e = prune.extend %x axis 1 keep #prune.set<[0, 2:4] of 4> in tensor<?x3xf32> -> tensor<?x4xf32>
  %y = prune.gemm "y" %e, %w groups of 2(%g, %n : tensor<2xi32>) : tensor<?x4xf32>, tensor<5x4xf32> -> tensor<?x5xf32>
  %s = prune.restrict %y axis 1 keep #prune.set<[1, 4] of 5> in tensor<?x5xf32> -> tensor<?x2xf32>
  return %s : tensor<?x2xf32>
}
