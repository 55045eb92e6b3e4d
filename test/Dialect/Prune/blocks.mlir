// RUN: coppice-opt %s | coppice-opt | FileCheck %s

// CHECK-LABEL: prune.plan @plan
prune.plan @plan {
  // The row's own block is the least.
  // CHECK-NEXT: prune.blocks "layers.*.attn" of 64{{$}}
  prune.blocks "layers.*.attn" of 64
  // CHECK-NEXT: prune.blocks "layers.0.attn" of 64 window(1){{$}}
  prune.blocks "layers.0.attn" of 64 window(1)
  // CHECK-NEXT: prune.blocks "layers.1.attn" of 16 window(4) sinks(1) top(2)
  prune.blocks "layers.1.attn" of 16 window(4) sinks(1) top(2)
  // CHECK-NEXT: prune.blocks "layers.2.attn" of 32 top(3)
  prune.blocks "layers.2.attn" of 32 top(3)
  // CHECK-NEXT: prune.blocks "layers.3.attn" of 32 top(3) scorer(8) from "s.safetensors" threshold = 1.000000e-02
  prune.blocks "layers.3.attn" of 32 top(3) scorer(8) from "s.safetensors" threshold = 0.01
  // CHECK-NEXT: prune.blocks "layers.4.attn" of 64 threshold = 1.000000e-03
  prune.blocks "layers.4.attn" of 64 threshold = 0.001
  // CHECK-NEXT: prune.blocks "layers.5.attn" of 64 window(1) threshold = 1.000000e-03
  prune.blocks "layers.5.attn" of 64 window(1) threshold = 0.001
}

// CHECK-LABEL: func @blocks
func.func @blocks(%q: tensor<?x12xf32>, %k: tensor<?x?x6xbf16>, %v: tensor<?x?x6xbf16>, %s: tensor<?xi32>, %p: tensor<?xi32>, %l: tensor<?xi32>, %n: tensor<i32>)
    -> (tensor<?x12xf32>, tensor<?x12xf32>) {
  // CHECK: %[[A:.*]] = prune.select_blocks "layers.0.attn.blocks" of 16 recent 2 first 1 top 2 by %{{.*}}, %{{.*}} heads of 3 : tensor<?x12xf32>, tensor<?x?x6xbf16> at %{{.*}}, %{{.*}} : tensor<?xi32> -> tensor<?x10xi32>
  %a = prune.select_blocks "layers.0.attn.blocks" of 16 recent 2 first 1 top 2
    by %q, %k heads of 3 : tensor<?x12xf32>, tensor<?x?x6xbf16> at %s, %p : tensor<?xi32> -> tensor<?x10xi32>
  // CHECK: %[[B:.*]] = prune.select_blocks "b" of 64 recent 4 first 0 top 0 window 100 at %{{.*}}, %{{.*}} : tensor<?xi32> -> tensor<?x8xi32>
  %b = prune.select_blocks "b" of 64 recent 4 first 0 top 0 window 100 at %s, %p : tensor<?xi32> -> tensor<?x8xi32>
  // CHECK: decoder.attention "c" %{{.*}}, %{{.*}}, %{{.*}} at %{{.*}}, %{{.*}} blocks of 16(%[[A]] : tensor<?x10xi32>) {head_dim = 3 : i64, scale = 5.000000e-01 : f32}
  %c = decoder.attention "c" %q, %k, %v at %s, %p blocks of 16(%a : tensor<?x10xi32>) {head_dim = 3 : i64, scale = 0.5 : f32} : tensor<?x12xf32>, tensor<?x?x6xbf16>
  // CHECK: decoder.attention "d" {{.*}} rows(%{{.*}}, %{{.*}} : tensor<?xi32>) blocks of 64(%[[B]] : tensor<?x8xi32>) {{.*}}window = 100
  %d = decoder.attention "d" %q, %k, %v at %s, %p rows(%l, %n : tensor<?xi32>) blocks of 64(%b : tensor<?x8xi32>) {head_dim = 3 : i64, scale = 0.5 : f32, window = 100 : i64} : tensor<?x12xf32>, tensor<?x?x6xbf16>
  return %c, %d : tensor<?x12xf32>, tensor<?x12xf32>
}

// CHECK-LABEL: func @learned
func.func @learned(%q: tensor<?x12xf32>, %k: tensor<?x?x6xbf16>, %u: tensor<8x6xbf16>, %w: tensor<8x9xbf16>, %s: tensor<?xi32>, %p: tensor<?xi32>) -> tensor<?x8xi32> {
  // CHECK: prune.select_blocks "b" of 16 recent 2 first 1 top 1 by %{{.*}}, %{{.*}} heads of 3 : tensor<?x12xf32>, tensor<?x?x6xbf16> weights %{{.*}}, %{{.*}} : tensor<8x6xbf16>, tensor<8x9xbf16> at
  %b = prune.select_blocks "b" of 16 recent 2 first 1 top 1 by %q, %k heads of 3 : tensor<?x12xf32>, tensor<?x?x6xbf16>
    weights %u, %w : tensor<8x6xbf16>, tensor<8x9xbf16> at %s, %p : tensor<?xi32> -> tensor<?x8xi32>
  return %b : tensor<?x8xi32>
}
