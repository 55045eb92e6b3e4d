// Blocks of a plan: lists between what makes queries and keys and the attention
// that reads them.

// RUN: %python %S/Inputs/with_plan.py %S/Inputs/tiny.mlir 'prune.blocks "layers.0.attn" of 32 window(2) sinks(1); prune.blocks "layers.1.attn" of 16 top(3)' > %t.mlir
// RUN: coppice-opt %t.mlir --prune-apply-plan | FileCheck %s

// CHECK: %[[L0:.*]] = prune.select_blocks "layers.0.attn.blocks" of 32 recent 2 first 1 top 0 at %[[S:.*]], %[[P:.*]] : tensor<?xi32> -> tensor<?x9xi32>
// CHECK: decoder.attention "layers.0.attn.core" %{{.*}}, %{{.*}}, %{{.*}} at %[[S]], %[[P]] blocks of 32(%[[L0]] : tensor<?x9xi32>)
// CHECK: %[[Q:.*]] = decoder.rotary "layers.1.attn.q.rotary"
// CHECK: %[[K:.*]] = decoder.append "layers.1.attn.k.append"
// CHECK: %[[L1:.*]] = prune.select_blocks "layers.1.attn.blocks" of 16 recent 1 first 0 top 3 by %[[Q]], %[[K]] heads of
// CHECK: decoder.attention "layers.1.attn.core" %[[Q]], %[[K]], %{{.*}} blocks of 16(%[[L1]] :
// CHECK-NOT: prune.select_blocks "layers.2

// A threshold alone has no lists; a scorer has weights of its own.
// RUN: %python %S/Inputs/with_plan.py %S/Inputs/tiny.mlir 'prune.blocks "layers.0.attn" of 32 threshold = 0.01; prune.blocks "layers.1.attn" of 32 top(3) scorer(4) threshold = 0.5' > %t.learned.mlir
// RUN: coppice-opt %t.learned.mlir --prune-apply-plan | FileCheck %s --check-prefix=LEARNED --implicit-check-not='select_blocks "layers.0'
// LEARNED: ml_program.global private @layers.1.attn.scorer.query.weight({{.*}}decoder.source = #decoder.generated
// LEARNED: ml_program.global private @layers.1.attn.scorer.key.weight
// LEARNED: decoder.attention "layers.0.attn.core" {{.*}}drop_below = 0.00999999977 : f32, drop_size = 32 : i64
// LEARNED: prune.select_blocks "layers.1.attn.blocks" of 32 recent 1 first 0 top 3 by {{.*}} weights %
// LEARNED: decoder.attention "layers.1.attn.core" {{.*}} blocks of 32({{.*}}drop_below = 5.000000e-01 : f32, drop_size = 32 : i64

// The own block alone, of which nothing can be dropped, is a list all the same.
// RUN: %python %S/Inputs/with_plan.py %S/Inputs/tiny.mlir 'prune.blocks "layers.0.attn" of 32 window(1) threshold = 0.01' > %t.own.mlir
// RUN: coppice-opt %t.own.mlir --prune-apply-plan | FileCheck %s --check-prefix=OWN
// OWN: prune.select_blocks "layers.0.attn.blocks" of 32 recent 1 first 0 top 0

// no attention
// RUN: %python %S/Inputs/with_plan.py %S/Inputs/tiny.mlir 'prune.blocks "layers.0.*" of 16' > %t.0.mlir
// RUN: not coppice-opt %t.0.mlir --prune-apply-plan 2>&1 | FileCheck %s --check-prefix=E0
// E0: error: {{.*}}expected sublayers with attention, such as 'layers.0.attn', found 'layers.0.mlp'

// whole layers
// RUN: %python %S/Inputs/with_plan.py %S/Inputs/tiny.mlir 'prune.blocks "layers.0" of 16' > %t.1.mlir
// RUN: not coppice-opt %t.1.mlir --prune-apply-plan 2>&1 | FileCheck %s --check-prefix=E1
// E1: error: {{.*}}'layers.0' names whole layers, expected sublayers such as 'layers.0.attn'

// decided about twice
// RUN: %python %S/Inputs/with_plan.py %S/Inputs/tiny.mlir 'prune.blocks "layers.*.attn" of 16; prune.blocks "layers.1.attn" of 32' > %t.2.mlir
// RUN: not coppice-opt %t.2.mlir --prune-apply-plan 2>&1 | FileCheck %s --check-prefix=E2
// E2: error: {{.*}}blocks of 'layers.1.attn' are decided about twice
// E2: note: the other decision, about 'layers.*.attn', is here

// skipped
// RUN: %python %S/Inputs/with_plan.py %S/Inputs/tiny.mlir 'prune.blocks "layers.*.attn" of 16; prune.skip "layers.1"' > %t.3.mlir
// RUN: not coppice-opt %t.3.mlir --prune-apply-plan 2>&1 | FileCheck %s --check-prefix=E3
// E3: error: {{.*}}'layers.1.attn' has no blocks to decide about: it is skipped

// no such site
// RUN: %python %S/Inputs/with_plan.py %S/Inputs/tiny.mlir 'prune.blocks "layers.9.attn" of 16' > %t.4.mlir
// RUN: not coppice-opt %t.4.mlir --prune-apply-plan 2>&1 | FileCheck %s --check-prefix=E4
// E4: error: {{.*}}'layers.9.attn' names no sublayer of the model
