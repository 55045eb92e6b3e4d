// RUN: coppice-opt %s --split-input-file --prune-propagate | FileCheck %s

// Heads that are kept take their lists along, and these their queries and keys.
// CHECK-LABEL: @heads
// CHECK-DAG: %[[Q:.*]] = prune.restrict %arg0 axis 1 keep #prune.set<[1] of 2 x 6> in tensor<?x12xf32> -> tensor<?x6xf32>
// CHECK-DAG: %[[K:.*]] = prune.restrict %arg1 axis 2 keep #prune.set<[1] of 2 x 3> in
// CHECK: %[[L:.*]] = prune.select_blocks "a.blocks" of 16 recent 1 first 1 top 2 by %{{.*}}, %{{.*}} heads of 3 : tensor<?x6xf32>, tensor<?x?x3xf32> {{.*}}prune.kept = {{\[\[}}1, #prune.set<[1] of 2 x 4>]]{{.*}} -> tensor<?x4xi32>
// CHECK: decoder.attention "a" {{.*}} blocks of 16(%[[L]] : tensor<?x4xi32>) {{.*}} : tensor<?x6xf32>, tensor<?x?x3xf32>
func.func @heads(%q: tensor<?x12xf32>, %k: tensor<?x?x6xf32>, %v: tensor<?x?x6xf32>, %s: tensor<?xi32>, %p: tensor<?xi32>) -> tensor<?x6xf32> {
  %b = prune.select_blocks "a.blocks" of 16 recent 1 first 1 top 2 by %q, %k heads of 3 : tensor<?x12xf32>, tensor<?x?x6xf32> at %s, %p : tensor<?xi32> -> tensor<?x8xi32>
  %a = decoder.attention "a" %q, %k, %v at %s, %p blocks of 16(%b : tensor<?x8xi32>) {head_dim = 3 : i64, scale = 0.5 : f32} : tensor<?x12xf32>, tensor<?x?x6xf32>
  %r = prune.restrict %a axis 1 keep #prune.set<[1] of 2 x 6> in tensor<?x12xf32> -> tensor<?x6xf32>
  return %r : tensor<?x6xf32>
}

// -----

// Some of the query heads of each KV head: the lists are those of all of them.
// CHECK-LABEL: @query_heads
// CHECK: prune.select_blocks "a.blocks" {{.*}} : tensor<?x12xf32>, tensor<?x?x6xf32> {{.*}} -> tensor<?x8xi32>
// CHECK: decoder.attention "a" {{.*}} : tensor<?x6xf32>, tensor<?x?x6xf32>
func.func @query_heads(%q: tensor<?x12xf32>, %k: tensor<?x?x6xf32>, %v: tensor<?x?x6xf32>, %s: tensor<?xi32>, %p: tensor<?xi32>) -> tensor<?x6xf32> {
  %b = prune.select_blocks "a.blocks" of 16 recent 1 first 1 top 2 by %q, %k heads of 3 : tensor<?x12xf32>, tensor<?x?x6xf32> at %s, %p : tensor<?xi32> -> tensor<?x8xi32>
  %a = decoder.attention "a" %q, %k, %v at %s, %p blocks of 16(%b : tensor<?x8xi32>) {head_dim = 3 : i64, scale = 0.5 : f32} : tensor<?x12xf32>, tensor<?x?x6xf32>
  %r = prune.restrict %a axis 1 keep #prune.set<[0, 3] of 4 x 3> in tensor<?x12xf32> -> tensor<?x6xf32>
  return %r : tensor<?x6xf32>
}

// -----

// Rows choose together: the choice is that of all rows, of which some are read.
// CHECK-LABEL: @rows
// CHECK: %[[L:.*]] = prune.select_blocks "a.blocks" {{.*}} -> tensor<5x2xi32>
// CHECK: prune.restrict %[[L]] axis 0 keep #prune.set<[1, 4] of 5> in tensor<5x2xi32> -> tensor<2x2xi32>
// CHECK: decoder.attention "a" {{.*}} : tensor<2x6xf32>
func.func @rows(%q: tensor<5x6xf32>, %k: tensor<?x?x6xf32>, %v: tensor<?x?x6xf32>, %s: tensor<5xi32>, %p: tensor<5xi32>) -> tensor<2x6xf32> {
  %b = prune.select_blocks "a.blocks" of 16 recent 1 first 0 top 0 at %s, %p : tensor<5xi32> -> tensor<5x2xi32>
  %a = decoder.attention "a" %q, %k, %v at %s, %p blocks of 16(%b : tensor<5x2xi32>) {head_dim = 3 : i64, scale = 0.5 : f32} : tensor<5x6xf32>, tensor<?x?x6xf32>
  %r = prune.restrict %a axis 0 keep #prune.set<[1, 4] of 5> in tensor<5x6xf32> -> tensor<2x6xf32>
  return %r : tensor<2x6xf32>
}

// -----

// The weights of a scorer are rows of each head.
// CHECK-LABEL: @scorer
// CHECK-DAG: %[[U:.*]] = prune.restrict %arg5 axis 0 keep #prune.set<[1] of 2 x 4> in tensor<8x6xf32> -> tensor<4x6xf32>
// CHECK-DAG: %[[V:.*]] = prune.restrict %arg6 axis 0 keep #prune.set<[1] of 2 x 4> in tensor<8x9xf32> -> tensor<4x9xf32>
// CHECK: prune.select_blocks "a.blocks" {{.*}} weights %[[U]], %[[V]] : tensor<4x6xf32>, tensor<4x9xf32> {{.*}} -> tensor<?x4xi32>
// CHECK: decoder.attention "a" {{.*}}drop_below = 0.00999999977 : f32, drop_size = 32 : i64{{.*}} : tensor<?x6xf32>, tensor<?x?x3xf32>
func.func @scorer(%q: tensor<?x12xf32>, %k: tensor<?x?x6xf32>, %v: tensor<?x?x6xf32>, %s: tensor<?xi32>, %p: tensor<?xi32>, %u: tensor<8x6xf32>, %w: tensor<8x9xf32>) -> tensor<?x6xf32> {
  %b = prune.select_blocks "a.blocks" of 32 recent 1 first 1 top 2 by %q, %k heads of 3 : tensor<?x12xf32>, tensor<?x?x6xf32> weights %u, %w : tensor<8x6xf32>, tensor<8x9xf32> at %s, %p : tensor<?xi32> -> tensor<?x8xi32>
  %a = decoder.attention "a" %q, %k, %v at %s, %p blocks of 32(%b : tensor<?x8xi32>) {head_dim = 3 : i64, scale = 0.5 : f32, drop_below = 0.01 : f32, drop_size = 32 : i64} : tensor<?x12xf32>, tensor<?x?x6xf32>
  %r = prune.restrict %a axis 1 keep #prune.set<[1] of 2 x 6> in tensor<?x12xf32> -> tensor<?x6xf32>
  return %r : tensor<?x6xf32>
}
