// RUN: coppice-opt %s --prune-form-gathers | FileCheck %s

#id = affine_map<(d0, d1) -> (d0, d1)>

// Equal tables are one global.
// CHECK-DAG: ml_program.global private @residual.layers.0.attn.columns(dense<[1, -1, 3]> : tensor<3xi32>) : tensor<3xi32>
// CHECK-DAG: ml_program.global private @gather.columns(dense<[-1, 0, 1]> : tensor<3xi32>)
// CHECK-DAG: ml_program.global private @gather.columns_{{[0-9]+}}(dense<[0, 3]> : tensor<2xi32>)
ml_program.global private @w(dense<1.0> : tensor<4x4xf32>) : tensor<4x4xf32>

// The map of the residual is made where the residual is, before the sublayer
// that adds to it.
// CHECK-LABEL: func.func @maps
// CHECK: %[[R:.*]] = decoder.lookup "embed"
// CHECK-NEXT: %[[T:.*]] = ml_program.global_load_const @residual.layers.0.attn.columns
// CHECK-NEXT: %[[X:.*]] = prune.gather "residual.layers.0.attn" %[[R]] by %[[T]] : tensor<?x4xf32>, tensor<3xi32> -> tensor<?x3xf32>
// CHECK: prune.gemm "layers.0.attn.o"
// CHECK-NOT: prune.{{restrict|extend}}
// CHECK: linalg.generic {{.*}} ins(%[[X]]
func.func @maps(%tokens: tensor<?xi32>, %table: tensor<9x4xf32>, %v: tensor<3x4xf32>, %e: tensor<?x3xf32>) -> (tensor<?x3xf32>, tensor<?x3xf32>) {
  %r0 = decoder.lookup "embed" %tokens in %table : tensor<?xi32>, tensor<9x4xf32> -> tensor<?x4xf32>
  %d = prune.gemm "layers.0.attn.o" %r0, %v : tensor<?x4xf32>, tensor<3x4xf32> -> tensor<?x3xf32>
  %s = prune.restrict %r0 axis 1 keep #prune.set<[1, 3] of 4> in tensor<?x4xf32> -> tensor<?x2xf32>
  %x = prune.extend %s axis 1 keep #prune.set<[0, 2] of 3> in tensor<?x2xf32> -> tensor<?x3xf32>
  %r1 = linalg.generic {indexing_maps = [#id, #id, #id], iterator_types = ["parallel", "parallel"]}
      ins(%x, %d : tensor<?x3xf32>, tensor<?x3xf32>) outs(%e : tensor<?x3xf32>) attrs = {prune.site = "layers.0.attn"} {
  ^bb0(%r: f32, %a: f32, %o: f32):
    %sum = arith.addf %r, %a : f32
    linalg.yield %sum : f32
  } -> tensor<?x3xf32>
  // Read by no sum: it stays where it is and has no name. Its table is the same.
  // CHECK: %[[T2:.*]] = ml_program.global_load_const @residual.layers.0.attn.columns
  // CHECK: prune.gather "" %[[R]] by %[[T2]]
  %s2 = prune.restrict %r0 axis 1 keep #prune.set<[1, 3] of 4> in tensor<?x4xf32> -> tensor<?x2xf32>
  %x2 = prune.extend %s2 axis 1 keep #prune.set<[0, 2] of 3> in tensor<?x2xf32> -> tensor<?x3xf32>
  return %r1, %x2 : tensor<?x3xf32>, tensor<?x3xf32>
}

// An extension alone, and a restriction alone.
// CHECK-LABEL: func.func @alone
// CHECK: prune.gather "" %{{.*}} by %{{.*}} : tensor<?x2xf32>, tensor<3xi32> -> tensor<?x3xf32>
// CHECK: prune.gather "" %{{.*}} by %{{.*}} : tensor<?x4xf32>, tensor<2xi32> -> tensor<?x2xf32>
func.func @alone(%x: tensor<?x2xf32>, %y: tensor<?x4xf32>) -> (tensor<?x3xf32>, tensor<?x2xf32>) {
  %0 = prune.extend %x axis 1 keep #prune.set<[1:3] of 3> in tensor<?x2xf32> -> tensor<?x3xf32>
  %1 = prune.restrict %y axis 1 keep #prune.set<[0, 3] of 4> in tensor<?x4xf32> -> tensor<?x2xf32>
  return %0, %1 : tensor<?x3xf32>, tensor<?x2xf32>
}

// Two sets with nothing in common are a table of nothing.
// CHECK-LABEL: func.func @disjoint
// CHECK-NOT: tensor<?x0xf32>
// CHECK: prune.gather "" %{{.*}} by %{{.*}} : tensor<?x4xf32>, tensor<3xi32> -> tensor<?x3xf32>
func.func @disjoint(%x: tensor<?x4xf32>) -> tensor<?x3xf32> {
  %0 = prune.restrict %x axis 1 keep #prune.set<none of 4> in tensor<?x4xf32> -> tensor<?x0xf32>
  %1 = prune.extend %0 axis 1 keep #prune.set<none of 3> in tensor<?x0xf32> -> tensor<?x3xf32>
  return %1 : tensor<?x3xf32>
}

// Left alone: rows and weights.
// CHECK-LABEL: func.func @others
// CHECK: prune.restrict %{{.*}} axis 0
// CHECK: prune.restrict %{{.*}} axis 1
func.func @others(%x: tensor<6x4xf32>) -> (tensor<2x4xf32>, tensor<4x2xf32>) {
  %w = ml_program.global_load_const @w : tensor<4x4xf32>
  %0 = prune.restrict %x axis 0 keep #prune.set<[0, 5] of 6> in tensor<6x4xf32> -> tensor<2x4xf32>
  %1 = prune.restrict %w axis 1 keep #prune.set<[0, 3] of 4> in tensor<4x4xf32> -> tensor<4x2xf32>
  return %0, %1 : tensor<2x4xf32>, tensor<4x2xf32>
}
