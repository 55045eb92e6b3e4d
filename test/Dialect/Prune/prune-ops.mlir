// RUN: coppice-opt %s | FileCheck %s

// What the dialect's documentation shows, and every optional part of a syntax.

// CHECK-LABEL: prune.plan @half
prune.plan @half {
  // CHECK: prune.skip "layers.{3,7}.mlp"
  prune.skip "layers.{3,7}.mlp"
  // CHECK: prune.keep "layers.*.attn" kv_heads = #prune.set<[0, 3] of 4>
  prune.keep "layers.*.attn" kv_heads = #prune.set<[0, 3] of 4>
  // CHECK: prune.keep "layers.[0-2].mlp" channels = #prune.file_set<"keep.safetensors", "mlp">
  prune.keep "layers.[0-2].mlp" channels = #prune.file_set<"keep.safetensors", "mlp">
  // CHECK: prune.factor "layers.*.attn.q" rank = 1024
  prune.factor "layers.*.attn.q" rank = 1024
  // CHECK: prune.factor "layers.*.mlp.{gate,up}" rank = 400 retain = #prune.set<[0:128] of 2048>
  prune.factor "layers.*.mlp.{gate,up}" rank = 400 retain = #prune.set<[0:128] of 2048>
  // CHECK: prune.factor "layers.0.mlp.down" from "factors.safetensors"
  prune.factor "layers.0.mlp.down" from "factors.safetensors"
  // CHECK: prune.pattern "layers.*.mlp.*" axis(K) = 2 of 4
  prune.pattern "layers.*.mlp.*" axis(K) = 2 of 4
  // CHECK: prune.pattern "layers.*.attn.{q,k,v,o}" axis(K) = 4 of 8 by magnitude
  prune.pattern "layers.*.attn.{q,k,v,o}" axis(K) = 4 of 8 by magnitude
  // CHECK: prune.mask "layers.*.mlp.*" sparsity = 5.000000e-01
  prune.mask "layers.*.mlp.*" sparsity = 0.5
  // CHECK: prune.mask "layers.0.attn.q" from "masks.safetensors"
  prune.mask "layers.0.attn.q" from "masks.safetensors"
}

// CHECK-LABEL: @projections
func.func @projections(%x: tensor<?x172xf32>, %y: tensor<?x5xf32>, %none: tensor<0x5xf32>, %n: index) {
  // CHECK: prune.project "layers.0.mlp" %{{.*}} axis 1 keep #prune.set<[0:80, 96] of 172> in tensor<?x172xf32>
  %p = prune.project "layers.0.mlp" %x axis 1 keep #prune.set<[0:80, 96] of 172> in tensor<?x172xf32>
  // Touching ranges are one range.
  // CHECK: keep #prune.set<[0:80, 96] of 172> in tensor<?x172xf32>
  %q = prune.project "layers.0.mlp" %x axis 1 keep #prune.set<[0, 1:79, 79:80, 96] of 172> in tensor<?x172xf32>
  // CHECK: axis 0 keep #prune.set<none> in tensor<?x5xf32>
  %z = prune.project "layers.3.mlp" %y axis 0 keep #prune.set<none> in tensor<?x5xf32>
  // CHECK: prune.restrict %{{.*}} axis 1 keep #prune.set<[1, 3] of 4 x 43> in tensor<?x172xf32> -> tensor<?x86xf32>
  %s = prune.restrict %x axis 1 keep #prune.set<[1, 3] of 4 x 43> in tensor<?x172xf32> -> tensor<?x86xf32>
  // CHECK: prune.extend %{{.*}} axis 1 keep #prune.set<[0:3, 4:6] of 7> in tensor<?x5xf32> -> tensor<?x7xf32>
  %e = prune.extend %y axis 1 keep #prune.set<[0:3, 4:6] of 7> in tensor<?x5xf32> -> tensor<?x7xf32>
  // CHECK: prune.extend %{{.*}} axis 0 extent %{{.*}} keep #prune.set<none> in tensor<0x5xf32> -> tensor<?x5xf32>
  %d = prune.extend %none axis 0 extent %n keep #prune.set<none> in tensor<0x5xf32> -> tensor<?x5xf32>
  return
}

// CHECK-LABEL: @gemms
func.func @gemms(%x: tensor<?x3xf32>, %w: tensor<5x3xbf16>, %r: tensor<?x5xf32>, %b: tensor<5xbf16>) -> tensor<?x5xf32> {
  // CHECK: prune.gemm "lm_head" %{{.*}}, %{{.*}} : tensor<?x3xf32>, tensor<5x3xbf16> -> tensor<?x5xf32>
  %0 = prune.gemm "lm_head" %x, %w : tensor<?x3xf32>, tensor<5x3xbf16> -> tensor<?x5xf32>
  // CHECK: prune.gemm "layers.0.mlp.down" %{{.*}}, %{{.*}} value "layers.0.mlp" {prune.kept = {{.*}}} epilogue(%[[ACC:.*]]: f32, %{{.*}}: f32 = %{{.*}} : tensor<?x5xf32>, %{{.*}}: bf16 = %{{.*}} : tensor<5xbf16>) {
  // CHECK:   prune.yield %{{.*}} : f32
  // CHECK: } : tensor<?x3xf32>, tensor<5x3xbf16> -> tensor<?x5xf32>
  %1 = prune.gemm "layers.0.mlp.down" %x, %w value "layers.0.mlp" {prune.kept = [[1, #prune.set<[0:4, 6] of 7>]]}
      epilogue(%acc: f32, %res: f32 = %r : tensor<?x5xf32>, %bias: bf16 = %b : tensor<5xbf16>) {
    %wide = arith.extf %bias : bf16 to f32
    %sum = arith.addf %acc, %res : f32
    %all = arith.addf %sum, %wide : f32
    prune.yield %all : f32
  } : tensor<?x3xf32>, tensor<5x3xbf16> -> tensor<?x5xf32>
  return %1 : tensor<?x5xf32>
}

// CHECK-LABEL: @sets
func.func @sets(%x: tensor<?x512xf32>, %w: tensor<64x512xbf16>, %o: tensor<?x64xf32>, %r: tensor<?xi32>, %m: tensor<i32>, %g: tensor<4xi32>, %n: tensor<i32>)
    -> (tensor<?x64xf32>, tensor<?x64xf32>, tensor<?x64xf32>, tensor<?x64xf32>) {
  // CHECK: prune.gemm "q" %{{.*}}, %{{.*}} rows gather(%{{.*}}, %{{.*}} : tensor<?xi32>) into %{{.*}} : tensor<?x512xf32>
  %0 = prune.gemm "q" %x, %w rows gather(%r, %m : tensor<?xi32>) into %o : tensor<?x512xf32>, tensor<64x512xbf16> -> tensor<?x64xf32>
  // CHECK: prune.gemm "q" %{{.*}}, %{{.*}} rows both(%{{.*}}, %{{.*}} : tensor<?xi32>) panels of 16(%{{.*}}, %{{.*}} : tensor<4xi32>) into %{{.*}} {prune.kept = []} :
  %1 = prune.gemm "q" %x, %w rows both(%r, %m : tensor<?xi32>) panels of 16(%g, %n : tensor<4xi32>) into %o {prune.kept = []} : tensor<?x512xf32>, tensor<64x512xbf16> -> tensor<?x64xf32>
  // CHECK: prune.gemm "q" %{{.*}}, %{{.*}} groups of 128(%{{.*}}, %{{.*}} : tensor<4xi32>) :
  %2 = prune.gemm "q" %x, %w groups of 128(%g, %n : tensor<4xi32>) : tensor<?x512xf32>, tensor<64x512xbf16> -> tensor<?x64xf32>
  // CHECK: prune.gemm "down" %{{.*}}, %{{.*}} rows scatter(%{{.*}}, %{{.*}} : tensor<?xi32>) groups of 128(%{{.*}}, %{{.*}} : tensor<4xi32>) into %{{.*}} value "mlp" epilogue(
  %3 = prune.gemm "down" %x, %w rows scatter(%r, %m : tensor<?xi32>) groups of 128(%g, %n : tensor<4xi32>) into %o value "mlp" epilogue(%acc: f32, %e: f32 = %o : tensor<?x64xf32>) {
    %s = arith.addf %acc, %e : f32
    prune.yield %s : f32
  } : tensor<?x512xf32>, tensor<64x512xbf16> -> tensor<?x64xf32>
  return %0, %1, %2, %3 : tensor<?x64xf32>, tensor<?x64xf32>, tensor<?x64xf32>, tensor<?x64xf32>
}

// Long sets are printed once, at the top.
// CHECK-LABEL: @long
// CHECK: keep #kept_9_of_18_ in tensor<18xf32>
func.func @long(%x: tensor<18xf32>) -> tensor<18xf32> {
  %p = prune.project "s" %x axis 0 keep #prune.set<[0, 2, 4, 6, 8, 10, 12, 14, 16] of 18> in tensor<18xf32>
  return %p : tensor<18xf32>
}

// CHECK-LABEL: @gather
func.func @gather(%x: tensor<?x5xf32>, %t: tensor<3xi32>) -> tensor<?x3xf32> {
  // CHECK: prune.gather "residual.layers.0.attn" %{{.*}} by %{{.*}} : tensor<?x5xf32>, tensor<3xi32> -> tensor<?x3xf32>
  %r = prune.gather "residual.layers.0.attn" %x by %t : tensor<?x5xf32>, tensor<3xi32> -> tensor<?x3xf32>
  return %r : tensor<?x3xf32>
}

// CHECK-LABEL: @replaced
func.func @replaced(%x: tensor<?x6xf32>, %w: tensor<8x6xf32>, %m: tensor<8x6xf32>, %u: tensor<5x2xf32>, %v: tensor<2x6xf32>) -> tensor<?x8xf32> {
  // CHECK: prune.replace "a" %{{.*}} retain <[1, 4:6] of 8> by %{{.*}}, %{{.*}} in tensor<8x6xf32> by tensor<5x2xf32>, tensor<2x6xf32>
  %a = prune.replace "a" %w retain <[1, 4:6] of 8> by %u, %v in tensor<8x6xf32> by tensor<5x2xf32>, tensor<2x6xf32>
  // CHECK: prune.replace "b" %{{.*}} by %{{.*}} pattern <1 of 4> in tensor<8x6xf32> by tensor<8x6xf32>
  %b = prune.replace "b" %w by %m pattern <1 of 4> in tensor<8x6xf32> by tensor<8x6xf32>
  // CHECK: prune.replace "c" %{{.*}} by %{{.*}} sparsity 2.500000e-01 in
  %c = prune.replace "c" %w by %m sparsity 0.25 in tensor<8x6xf32> by tensor<8x6xf32>
  // CHECK: prune.replace "d" %{{.*}} by %{{.*}} mask <"m.safetensors", "d.mask"> in
  %d = prune.replace "d" %w by %m mask <"m.safetensors", "d.mask"> in tensor<8x6xf32> by tensor<8x6xf32>
  // CHECK: prune.gemm "b" %{{.*}}, %{{.*}} value "c" pattern <2 of 4> {prune.kept = []} :
  %y = prune.gemm "b" %x, %w value "c" pattern <2 of 4> {prune.kept = []} : tensor<?x6xf32>, tensor<8x6xf32> -> tensor<?x8xf32>
  return %y : tensor<?x8xf32>
}
