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

// What makes the groups of K is over the rows of each: panels of `up` and of
// `gate`, which its epilogue reads. The norm is read in the rows of any group, so
// it is of all.
// CHECK-LABEL: func @width
func.func @width(%r: tensor<?x5xf32>, %m: tensor<?x3xi8>, %g: tensor<5xf32>, %wg: tensor<6x5xf32>, %wu: tensor<6x5xf32>, %wd: tensor<5x6xf32>, %e: tensor<?x6xf32>) -> tensor<?x5xf32> {
  // CHECK: %[[L:.*]], %[[C:.*]] = prune.compact
  // CHECK: decoder.rms_norm "layers.0.mlp.norm" %{{.*}}, %{{.*}} {divisor
  %n = decoder.rms_norm "layers.0.mlp.norm" %r, %g {divisor = 5 : i64, epsilon = 1.0e-5 : f32} : tensor<?x5xf32>, tensor<5xf32>
  // CHECK: %[[G:.*]] = prune.gemm "layers.0.mlp.gate" %{{.*}}, %{{.*}} rows both(%[[L]], %[[C]] : tensor<3x?xi32>) per panel of 2 into
  %a = prune.gemm "layers.0.mlp.gate" %n, %wg : tensor<?x5xf32>, tensor<6x5xf32> -> tensor<?x6xf32>
  // CHECK: prune.gemm "layers.0.mlp.up" %{{.*}}, %{{.*}} rows both(%[[L]], %[[C]] : tensor<3x?xi32>) per panel of 2 into %{{.*}} value "layers.0.mlp.act" epilogue(%{{.*}}: f32, %{{.*}}: f32 = %[[G]]
  %u = prune.gemm "layers.0.mlp.up" %n, %wu : tensor<?x5xf32>, tensor<6x5xf32> -> tensor<?x6xf32>
  %s = linalg.generic {indexing_maps = [#id, #id, #id], iterator_types = ["parallel", "parallel"]}
      ins(%a, %u : tensor<?x6xf32>, tensor<?x6xf32>) outs(%e : tensor<?x6xf32>) attrs = {prune.site = "layers.0.mlp.act"} {
  ^bb0(%x: f32, %y: f32, %o: f32):
    %t = arith.mulf %x, %y : f32
    linalg.yield %t : f32
  } -> tensor<?x6xf32>
  %p = prune.project_by "layers.0.mlp" %s, %m groups of 2 : tensor<?x6xf32>, tensor<?x3xi8>
  // CHECK: prune.gemm "layers.0.mlp.down" %{{.*}}, %{{.*}} rows both(%[[L]], %[[C]] : tensor<3x?xi32>) per group of 2 :
  %d = prune.gemm "layers.0.mlp.down" %p, %wd : tensor<?x6xf32>, tensor<5x6xf32> -> tensor<?x5xf32>
  return %d : tensor<?x5xf32>
}

// Heads that a group is not made of whole are computed in all rows.
// CHECK-LABEL: func @parts_of_heads
func.func @parts_of_heads(%q: tensor<?x6xf32>, %a: tensor<?x2xf32>, %m: tensor<?x3xi8>, %w: tensor<5x6xf32>) -> tensor<?x5xf32> {
  // CHECK: decoder.rotary "q" %{{.*}}, %{{.*}} {head_dim
  %r = decoder.rotary "q" %q, %a {head_dim = 3 : i64} : tensor<?x6xf32>, tensor<?x2xf32>
  %p = prune.project_by "s" %r, %m groups of 2 : tensor<?x6xf32>, tensor<?x3xi8>
  // CHECK: prune.gemm "o" %{{.*}} per group of 2
  %o = prune.gemm "o" %p, %w : tensor<?x6xf32>, tensor<5x6xf32> -> tensor<?x5xf32>
  return %o : tensor<?x5xf32>
}

// Attention by lists of blocks is over the kept rows. Lists are those of all rows,
// since rows choose together: so are the queries that scores are made of, but not
// those that are only attended with.
// CHECK-LABEL: func @blocks
func.func @blocks(%r: tensor<?x6xf32>, %m: tensor<?x1xi8>, %q: tensor<?x6xf32>, %a: tensor<?x2xf32>, %c: tensor<?x?x3xf32>, %wo: tensor<6x6xf32>, %s: tensor<?xi32>, %p: tensor<?xi32>)
    -> (tensor<?x6xf32>, tensor<?x6xf32>) {
  // CHECK: %[[L:.*]], %[[C:.*]] = prune.compact
  // CHECK: decoder.rotary "scored" %{{.*}}, %{{.*}} {head_dim
  %q0 = decoder.rotary "scored" %q, %a {head_dim = 3 : i64} : tensor<?x6xf32>, tensor<?x2xf32>
  // CHECK: %[[B:.*]] = prune.select_blocks "b0"
  %b0 = prune.select_blocks "b0" of 16 recent 1 first 0 top 1 by %q0, %c heads of 3 : tensor<?x6xf32>, tensor<?x?x3xf32> at %s, %p : tensor<?xi32> -> tensor<?x2xi32>
  // CHECK: decoder.attention "a0" {{.*}} rows(%[[L]], %[[C]] : tensor<?xi32>) blocks of 16(%[[B]] : tensor<?x2xi32>)
  %a0 = decoder.attention "a0" %q0, %c, %c at %s, %p blocks of 16(%b0 : tensor<?x2xi32>) {head_dim = 3 : i64, scale = 0.5 : f32} : tensor<?x6xf32>, tensor<?x?x3xf32>
  %d0 = prune.gemm "d0" %a0, %wo : tensor<?x6xf32>, tensor<6x6xf32> -> tensor<?x6xf32>
  %p0 = prune.project_by "layers.0.attn" %d0, %m : tensor<?x6xf32>, tensor<?x1xi8> into %r : tensor<?x6xf32>
  // CHECK: decoder.rotary "attended" %{{.*}}, %{{.*}} rows(%[[L]], %[[C]] : tensor<?xi32>)
  %q1 = decoder.rotary "attended" %q, %a {head_dim = 3 : i64} : tensor<?x6xf32>, tensor<?x2xf32>
  %b1 = prune.select_blocks "b1" of 16 recent 1 first 1 top 0 at %s, %p : tensor<?xi32> -> tensor<?x2xi32>
  %a1 = decoder.attention "a1" %q1, %c, %c at %s, %p blocks of 16(%b1 : tensor<?x2xi32>) {head_dim = 3 : i64, scale = 0.5 : f32} : tensor<?x6xf32>, tensor<?x?x3xf32>
  %d1 = prune.gemm "d1" %a1, %wo : tensor<?x6xf32>, tensor<6x6xf32> -> tensor<?x6xf32>
  %p1 = prune.project_by "layers.1.attn" %d1, %m : tensor<?x6xf32>, tensor<?x1xi8> into %r : tensor<?x6xf32>
  return %p0, %p1 : tensor<?x6xf32>, tensor<?x6xf32>
}
