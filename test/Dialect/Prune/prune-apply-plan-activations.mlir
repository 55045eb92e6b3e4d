// Zeros for what is small in the inputs of weights: one op for those that share
// input and threshold.

// RUN: %python %S/Inputs/with_plan.py %S/Inputs/tiny.mlir 'prune.activations "layers.0.attn.{q,k,v}" threshold = 0.25 expected = 0.4; prune.activations "layers.0.mlp.down" threshold = 0.5; prune.keep "layers.0.mlp" channels = #prune.set<[0:2, 3] of 5>' > %t.mlir
// RUN: coppice-opt %t.mlir --prune-apply-plan | FileCheck %s
// CHECK: %[[N:.*]] = decoder.rms_norm "layers.0.attn.norm"
// CHECK: %[[X:.*]] = linalg.generic {{.*}} ins(%[[N]] : {{.*}} attrs = {prune.site = "layers.0.attn.q.input", prune.threshold = 2.500000e-01 : f64}
// CHECK: arith.constant 2.5
// CHECK: %[[A:.*]] = math.absf
// CHECK: %[[S:.*]] = arith.cmpf olt, %[[A]]
// CHECK: arith.select %[[S]]
// CHECK-NOT: linalg.generic
// CHECK: prune.gemm "layers.0.attn.q" %[[X]], %{{.*}} zeros 6.000000e-01
// CHECK: prune.gemm "layers.0.attn.k" %[[X]], %{{.*}} zeros 6.000000e-01
// CHECK: prune.gemm "layers.0.attn.v" %[[X]], %{{.*}} zeros 6.000000e-01
// CHECK: %[[P:.*]] = prune.project "layers.0.mlp"
// CHECK: %[[D:.*]] = linalg.generic {{.*}} ins(%[[P]] : {{.*}} attrs = {prune.site = "layers.0.mlp.down.input", prune.threshold = 5.000000e-01 : f64}
// CHECK: prune.gemm "layers.0.mlp.down" %[[D]], %{{.*}} zeros 5.000000e-01
// The channels that are gone move through.
// RUN: coppice-opt %t.mlir --prune-apply-plan --prune-propagate | FileCheck %s --check-prefix=NARROW
// NARROW: %[[D:.*]] = linalg.generic {{.*}} outs(%{{.*}} : tensor<?x3xf32>) {{.*}}"layers.0.mlp.down.input"
// NARROW: prune.gemm "layers.0.mlp.down" {{.*}} zeros 5.000000e-01 : tensor<?x3xf32>

// decided about twice
// RUN: %python %S/Inputs/with_plan.py %S/Inputs/tiny.mlir 'prune.activations "layers.0.mlp.*" threshold = 0.25; prune.activations "layers.0.mlp.up" threshold = 0.5' > %t.0.mlir
// RUN: not coppice-opt %t.0.mlir --prune-apply-plan 2>&1 | FileCheck %s --check-prefix=E0
// E0: error: {{.*}}the input of 'layers.0.mlp.up' is decided about twice
// E0: note: the other decision, about 'layers.0.mlp.*', is here

// no such site
// RUN: %python %S/Inputs/with_plan.py %S/Inputs/tiny.mlir 'prune.activations "layers.0.mlp" threshold = 0.25' > %t.1.mlir
// RUN: not coppice-opt %t.1.mlir --prune-apply-plan 2>&1 | FileCheck %s --check-prefix=E1
// E1: error: {{.*}}'layers.0.mlp' names no matrix multiplication of the model; the model has such as 'layers.0.attn.q'
