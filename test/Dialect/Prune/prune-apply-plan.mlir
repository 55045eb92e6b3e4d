// RUN: sed '/^module @tiny {/r %S/Inputs/plan.txt' %S/Inputs/tiny.mlir > %t.mlir
// RUN: coppice-opt %t.mlir --prune-apply-plan | FileCheck %s
// RUN: coppice-opt %S/Inputs/tiny.mlir --prune-apply-plan | FileCheck %s --check-prefix=DENSE

// The plan stays in the module.
// CHECK: prune.plan @plan
// CHECK: prune.skip "layers.2"

// KV heads 0 and 2 with their query heads; the GEMM is the sink of the sublayer.
// CHECK: %[[A0:.*]] = decoder.attention "layers.0.attn.core"
// CHECK: %[[P0:.*]] = prune.project "layers.0.attn" %[[A0]] axis 1 keep #prune.set<[0, 2] of 3 x 4> in tensor<?x12xf32>
// CHECK: prune.gemm "layers.0.attn.o" %[[P0]], %{{.*}} : tensor<?x12xf32>, tensor<7x12xbf16> -> tensor<?x7xf32>
// CHECK: %[[P1:.*]] = prune.project "layers.0.mlp" %{{.*}} axis 1 keep #prune.set<[0:2, 4] of 5> in tensor<?x5xf32>
// CHECK: prune.gemm "layers.0.mlp.down" %[[P1]]

// A bias behind the sink is no obstacle.
// CHECK: prune.project "layers.1.attn" %{{.*}} axis 1 keep #prune.set<[0, 2] of 3 x 4>

// A layer that is skipped adds nothing, twice.
// CHECK: %[[D:.*]] = prune.gemm "layers.2.attn.o"
// CHECK: prune.project "layers.2.attn" %[[D]] axis 0 keep #prune.set<none> in tensor<?x7xf32>
// CHECK: prune.project "layers.2.mlp" %{{.*}} axis 0 keep #prune.set<none> in tensor<?x7xf32>
// CHECK: prune.gemm "lm_head"
// CHECK-NOT: linalg.matmul
// CHECK-NOT: linalg.fill

// Without a plan the sites become GEMMs, and nothing else changes.
// DENSE-COUNT-22: prune.gemm
// DENSE-NOT: prune.gemm
