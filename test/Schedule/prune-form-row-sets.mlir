// RUN: coppice-opt %s --prune-sink-routes --prune-fuse-epilogues --prune-form-row-sets | FileCheck %s

#id = affine_map<(d0, d1) -> (d0, d1)>

// The sum becomes part of `down`, over the rows of the mask and into the
// residual; gate, up and the norm follow. `k` reads the norm whole: so the norm
// of the second function is of all rows.
// CHECK-LABEL: func @mlp
func.func @mlp(%r: tensor<?x5xf32>, %m: tensor<?x1xi8>, %g: tensor<5xf32>, %wu: tensor<7x5xf32>, %wd: tensor<5x7xf32>, %e: tensor<?x5xf32>) -> tensor<?x5xf32> {
  // CHECK: %[[L:.*]], %[[C:.*]] = prune.compact "" %{{.*}} : tensor<?x1xi8> -> tensor<?xi32>, tensor<i32>
  // CHECK: decoder.rms_norm "layers.0.mlp.norm" %[[R:.*]], %{{.*}} rows(%[[L]], %[[C]] : tensor<?xi32>)
  %n = decoder.rms_norm "layers.0.mlp.norm" %r, %g {divisor = 5 : i64, epsilon = 1.0e-5 : f32} : tensor<?x5xf32>, tensor<5xf32>
  // CHECK: %[[E:.*]] = tensor.empty
  // CHECK: prune.gemm "layers.0.mlp.up" %{{.*}}, %{{.*}} rows both(%[[L]], %[[C]] : tensor<?xi32>) into %[[E]]
  %u = prune.gemm "layers.0.mlp.up" %n, %wu : tensor<?x5xf32>, tensor<7x5xf32> -> tensor<?x7xf32>
  // CHECK: prune.gemm "layers.0.mlp.down" %{{.*}}, %{{.*}} rows both(%[[L]], %[[C]] : tensor<?xi32>) into %[[R]] value "layers.0.mlp" epilogue(
  // CHECK-NOT: prune.project_by
  %d = prune.gemm "layers.0.mlp.down" %u, %wd : tensor<?x7xf32>, tensor<5x7xf32> -> tensor<?x5xf32>
  %p = prune.project_by "layers.0.mlp" %d, %m : tensor<?x5xf32>, tensor<?x1xi8>
  %s = linalg.generic {indexing_maps = [#id, #id, #id], iterator_types = ["parallel", "parallel"]}
      ins(%r, %p : tensor<?x5xf32>, tensor<?x5xf32>) outs(%e : tensor<?x5xf32>) attrs = {prune.site = "layers.0.mlp"} {
  ^bb0(%a: f32, %b: f32, %o: f32):
    %t = arith.addf %a, %b : f32
    linalg.yield %t : f32
  } -> tensor<?x5xf32>
  return %s : tensor<?x5xf32>
}

// CHECK-LABEL: func @shared
func.func @shared(%r: tensor<?x5xf32>, %m: tensor<?x1xi8>, %g: tensor<5xf32>, %wk: tensor<3x5xf32>, %wd: tensor<5x5xf32>) -> (tensor<?x5xf32>, tensor<?x3xf32>) {
  // CHECK: decoder.rms_norm "n" %{{.*}}, %{{.*}} {divisor
  %n = decoder.rms_norm "n" %r, %g {divisor = 5 : i64, epsilon = 1.0e-5 : f32} : tensor<?x5xf32>, tensor<5xf32>
  // CHECK: prune.gemm "k" %{{.*}}, %{{.*}} :
  %k = prune.gemm "k" %n, %wk : tensor<?x5xf32>, tensor<3x5xf32> -> tensor<?x3xf32>
  // CHECK: prune.gemm "d" %{{.*}}, %{{.*}} rows both
  %d = prune.gemm "d" %n, %wd : tensor<?x5xf32>, tensor<5x5xf32> -> tensor<?x5xf32>
  %p = prune.project_by "layers.0.mlp" %d, %m : tensor<?x5xf32>, tensor<?x1xi8> into %r : tensor<?x5xf32>
  return %p, %k : tensor<?x5xf32>, tensor<?x3xf32>
}

// A product that someone reads whole is computed whole.
// CHECK-LABEL: func @whole
func.func @whole(%r: tensor<?x5xf32>, %m: tensor<?x1xi8>, %wd: tensor<5x5xf32>) -> (tensor<?x5xf32>, tensor<?x5xf32>) {
  // CHECK: prune.gemm "d" %{{.*}}, %{{.*}} :
  %d = prune.gemm "d" %r, %wd : tensor<?x5xf32>, tensor<5x5xf32> -> tensor<?x5xf32>
  // CHECK: prune.project_by
  %p = prune.project_by "layers.0.mlp" %d, %m : tensor<?x5xf32>, tensor<?x1xi8> into %r : tensor<?x5xf32>
  return %p, %d : tensor<?x5xf32>, tensor<?x5xf32>
}
