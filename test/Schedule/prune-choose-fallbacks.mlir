// RUN: coppice-opt %s --split-input-file --prune-choose-fallbacks | FileCheck %s
// RUN: coppice-opt %s --split-input-file --pass-pipeline='builtin.module(prune-choose-fallbacks,prune-sink-routes,prune-fuse-epilogues,func.func(prune-form-row-sets))' | FileCheck %s --check-prefix=FORMED

// Groups of 16 along K, nearly all kept: the projection stays a select, under the
// name that the oracle has for it, and the product is of all rows.
// CHECK: module attributes {prune.fallbacks = [{expected = 9.375000e-01 : f64, group = 16 : i64, masked = true, predicted_speedup = 0.8{{[0-9]*}} : f64, site = "layers.0.mlp.down"}]}
// CHECK: %[[P:.*]] = prune.project_by "layers.0.mlp.project" {{.*}} groups of 16 {prune.fallback}
// CHECK: prune.gemm "layers.0.mlp.down" %[[P]]
// FORMED: %[[P:.*]] = prune.project_by "layers.0.mlp.project" {{.*}} groups of 16 :
// FORMED-NOT: prune.compact
// FORMED: prune.gemm "layers.0.mlp.down" %[[P]], %{{.*}} : tensor<?x64xf32>
func.func @masked(%x: tensor<?x64xf32>, %s: tensor<?x8xf32>, %f: tensor<?x4xi8>, %w: tensor<96x64xf32>) -> tensor<?x96xf32> {
  %m = prune.decide "layers.0.mlp.route" %s forced %f column 0 expected 9.375e-01 : tensor<?x8xf32>, tensor<?x4xi8> -> tensor<?x4xi8>
  %p = prune.project_by "layers.0.mlp" %x, %m groups of 16 : tensor<?x64xf32>, tensor<?x4xi8>
  %d = prune.gemm "layers.0.mlp.down" %p, %w : tensor<?x64xf32>, tensor<96x64xf32> -> tensor<?x96xf32>
  return %d : tensor<?x96xf32>
}

// -----

// Of half of the groups lists pay.
// CHECK-NOT: prune.fallback
// CHECK-LABEL: func.func @half
// CHECK-NOT: prune.fallback
// FORMED-LABEL: func.func @half
// FORMED: prune.gemm "layers.0.mlp.down" {{.*}} per group of 16
func.func @half(%x: tensor<?x64xf32>, %s: tensor<?x8xf32>, %f: tensor<?x4xi8>, %w: tensor<96x64xf32>) -> tensor<?x96xf32> {
  %m = prune.decide "layers.0.mlp.route" %s forced %f column 0 expected 5.0e-01 : tensor<?x8xf32>, tensor<?x4xi8> -> tensor<?x4xi8>
  %p = prune.project_by "layers.0.mlp" %x, %m groups of 16 : tensor<?x64xf32>, tensor<?x4xi8>
  %d = prune.gemm "layers.0.mlp.down" %p, %w : tensor<?x64xf32>, tensor<96x64xf32> -> tensor<?x96xf32>
  return %d : tensor<?x96xf32>
}

// -----

// No packing has panels of 24 columns: what makes the groups runs dense, gate as
// well as up; what reads them goes by lists.
// CHECK: module attributes {prune.fallbacks = [{{.*}}group = 24 : i64, masked = false, predicted_speedup = 0.3{{.*}}site = "layers.0.mlp.gate"}, {{.*}}masked = false{{.*}}site = "layers.0.mlp.up"}]}
// CHECK: prune.gemm "layers.0.mlp.gate" {{.*}} {prune.fallback}
// CHECK: prune.gemm "layers.0.mlp.up" {{.*}} {prune.fallback}
// CHECK: prune.project_by "layers.0.mlp" {{.*}} groups of 24 :
// FORMED-LABEL: func.func @makers
// FORMED: prune.gemm "layers.0.mlp.gate" %{{.*}}, %{{.*}} : tensor<?x80xf32>
// FORMED: prune.gemm "layers.0.mlp.up" %{{.*}}, %{{.*}} value "layers.0.mlp.act" epilogue
// FORMED: prune.gemm "layers.0.mlp.down" {{.*}} rows both({{.*}}) per group of 24
#id = affine_map<(d0, d1) -> (d0, d1)>
func.func @makers(%x: tensor<?x80xf32>, %s: tensor<?x4xf32>, %f: tensor<?x2xi8>, %wg: tensor<48x80xf32>, %wu: tensor<48x80xf32>, %wd: tensor<80x48xf32>, %e: tensor<?x48xf32>) -> tensor<?x80xf32> {
  %m = prune.decide "layers.0.mlp.route" %s forced %f column 0 expected 5.0e-01 : tensor<?x4xf32>, tensor<?x2xi8> -> tensor<?x2xi8>
  %g = prune.gemm "layers.0.mlp.gate" %x, %wg : tensor<?x80xf32>, tensor<48x80xf32> -> tensor<?x48xf32>
  %u = prune.gemm "layers.0.mlp.up" %x, %wu : tensor<?x80xf32>, tensor<48x80xf32> -> tensor<?x48xf32>
  %a = linalg.generic {indexing_maps = [#id, #id, #id], iterator_types = ["parallel", "parallel"]}
      ins(%g, %u : tensor<?x48xf32>, tensor<?x48xf32>) outs(%e : tensor<?x48xf32>) attrs = {prune.site = "layers.0.mlp.act"} {
  ^bb0(%v: f32, %w: f32, %o: f32):
    %t = arith.mulf %v, %w : f32
    linalg.yield %t : f32
  } -> tensor<?x48xf32>
  %p = prune.project_by "layers.0.mlp" %a, %m groups of 24 : tensor<?x48xf32>, tensor<?x2xi8>
  %d = prune.gemm "layers.0.mlp.down" %p, %wd : tensor<?x48xf32>, tensor<80x48xf32> -> tensor<?x80xf32>
  return %d : tensor<?x80xf32>
}

// -----

// Rows of all columns cost nothing to leave out, however many stay.
// CHECK-NOT: prune.fallback
// CHECK-LABEL: func.func @rows
// CHECK-NOT: prune.fallback
func.func @rows(%x: tensor<?x64xf32>, %s: tensor<?x2xf32>, %f: tensor<?x1xi8>, %r: tensor<?x96xf32>, %w: tensor<96x64xf32>) -> tensor<?x96xf32> {
  %m = prune.decide "layers.0.mlp.route" %s forced %f column 0 expected 9.9e-01 : tensor<?x2xf32>, tensor<?x1xi8> -> tensor<?x1xi8>
  %d = prune.gemm "layers.0.mlp.down" %x, %w : tensor<?x64xf32>, tensor<96x64xf32> -> tensor<?x96xf32>
  %p = prune.project_by "layers.0.mlp" %d, %m : tensor<?x96xf32>, tensor<?x1xi8> into %r : tensor<?x96xf32>
  return %p : tensor<?x96xf32>
}

// -----

// Few zeros are not looked for, many are.
// CHECK: module attributes {prune.fallbacks = [{expected = 0.97{{[0-9]*}} : f64, group = 0 : i64, masked = false, {{.*}}site = "layers.0.mlp.up"}]}
// CHECK: prune.gemm "layers.0.mlp.up" %{{.*}}, %{{.*}} : tensor
// CHECK: prune.gemm "layers.1.mlp.up" %{{.*}}, %{{.*}} zeros 2.500000e-01 :
func.func @zeros(%x: tensor<?x64xf32>, %w: tensor<96x64xf32>) -> (tensor<?x96xf32>, tensor<?x96xf32>) {
  %a = prune.gemm "layers.0.mlp.up" %x, %w zeros 2.0e-02 : tensor<?x64xf32>, tensor<96x64xf32> -> tensor<?x96xf32>
  %b = prune.gemm "layers.1.mlp.up" %x, %w zeros 2.5e-01 : tensor<?x64xf32>, tensor<96x64xf32> -> tensor<?x96xf32>
  return %a, %b : tensor<?x96xf32>, tensor<?x96xf32>
}
