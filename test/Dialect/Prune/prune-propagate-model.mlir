// RUN: sed '/^module @tiny {/r %S/Inputs/plan.txt' %S/Inputs/tiny.mlir > %t.mlir
// RUN: coppice-opt %t.mlir --prune-apply-plan --prune-propagate --prune-fold-restricts | FileCheck %s

// A whole model: all projections reach weights and caches, layer 2 is gone with
// its weights and its caches, and each narrowed value says what it holds.

// CHECK-NOT: prune.restrict
// CHECK-NOT: prune.extend
// CHECK-NOT: prune.project
// CHECK-NOT: @layers.2
// CHECK-DAG: @layers.0.attn.q.weight({{.*}}) : tensor<8x7xbf16> {prune.kept = {{\[\[}}0, #prune.set<[0, 2] of 3 x 4>]]}
// CHECK-DAG: @layers.0.attn.k.weight({{.*}}) : tensor<4x7xbf16> {prune.kept = {{\[\[}}0, #prune.set<[0, 2] of 3 x 2>]]}
// CHECK-DAG: @layers.0.attn.o.weight({{.*}}) : tensor<7x8xbf16> {prune.kept = {{\[\[}}1, #prune.set<[0, 2] of 3 x 4>]]}
// CHECK-DAG: @layers.1.attn.v.bias({{.*}}) : tensor<4xbf16> {prune.kept = {{\[\[}}0, #prune.set<[0, 2] of 3 x 2>]]}
// CHECK-DAG: @layers.1.attn.o.bias({{.*}}) : tensor<7xbf16>{{$}}
// CHECK-DAG: @layers.0.mlp.up.weight({{.*}}) : tensor<3x7xbf16> {prune.kept = {{\[\[}}0, #prune.set<[0:2, 4] of 5>]]}
// CHECK: func.func @forward
// CHECK-SAME: tensor<?x?x4xbf16> {decoder.cache = "layers.0.k", prune.kept = {{\[\[}}2, #prune.set<[0, 2] of 3 x 2>]]}
// CHECK-SAME: -> (tensor<?x11xf32>, tensor<?x?x4xbf16>, tensor<?x?x4xbf16>, tensor<?x?x4xbf16>, tensor<?x?x4xbf16>)
// CHECK: decoder.rotary "layers.0.attn.q.rotary" {{.*}} prune.kept = {{\[\[}}1, #prune.set<[0, 2] of 3 x 4>]]
// CHECK: decoder.append "layers.0.attn.k.append" {{.*}} : tensor<?x4xf32> into tensor<?x?x4xbf16>
// CHECK: prune.gemm "layers.1.mlp.down" {{.*}} : tensor<?x3xf32>, tensor<7x3xbf16> -> tensor<?x7xf32>
// CHECK-NOT: prune.gemm "layers.2
// CHECK: prune.gemm "lm_head"
