// Routes of a plan: a router behind the residual, a decision, a projection of
// what the sublayer adds; one column of the step field for each route.

// RUN: %python %S/Inputs/with_plan.py %S/Inputs/tiny.mlir 'prune.route "layers.0.*" axis(M) by bottleneck(3) expected = 0.25; prune.route "layers.2" axis(M) by linear' > %t.mlir
// RUN: coppice-opt %t.mlir --prune-apply-plan | FileCheck %s

// CHECK-DAG: ml_program.global private @layers.0.attn.router.in.weight(#{{.*}}) : tensor<3x[[H:[0-9]+]]x
// CHECK-DAG: ml_program.global private @layers.0.mlp.router.out.bias(#{{.*}}) : tensor<2x
// CHECK-DAG: ml_program.global private @layers.2.router.weight(#{{.*}}) : tensor<2x[[H]]x
// CHECK: func.func @forward({{.*}}%[[F:[a-z0-9]+]]: tensor<?x3xi8> {decoder.step = "routes"})
// CHECK: %[[R0:.*]] = decoder.lookup "embed"
// CHECK: %[[IN:.*]] = prune.gemm "layers.0.attn.router.in" %[[R0]]
// CHECK: %[[B:.*]] = linalg.generic {{.*}} ins(%[[IN]]
// CHECK: %[[OUT:.*]] = prune.gemm "layers.0.attn.router.out" %[[B]]
// CHECK: %[[S:.*]] = linalg.generic {{.*}} ins(%[[OUT]]
// CHECK: %[[M:.*]] = prune.decide "layers.0.attn.route" %[[S]] forced %[[F]] column 0 expected 2.500000e-01
// CHECK: %[[O:.*]] = prune.gemm "layers.0.attn.o"
// CHECK: %[[P:.*]] = prune.project_by "layers.0.attn" %[[O]], %[[M]]
// CHECK: linalg.generic {{.*}} ins(%[[R0]], %[[P]]
// CHECK: prune.decide "layers.0.mlp.route" {{.*}} column 1
// CHECK-NOT: prune.decide "layers.1
// One decision for both sublayers of a layer.
// CHECK: %[[M2:.*]] = prune.decide "layers.2.route" {{.*}} column 2 expected 5.000000e-01
// CHECK: prune.project_by "layers.2.attn" %{{.*}}, %[[M2]]
// CHECK: prune.project_by "layers.2.mlp" %{{.*}}, %[[M2]]

// decided about twice
// RUN: %python %S/Inputs/with_plan.py %S/Inputs/tiny.mlir 'prune.route "layers.0.mlp" axis(M) by linear; prune.route "layers.0" axis(M) by linear' > %t.0.mlir
// RUN: not coppice-opt %t.0.mlir --prune-apply-plan 2>&1 | FileCheck %s --check-prefix=E0
// E0: error: {{.*}}rows of 'layers.0.mlp' are decided about twice
// E0: note: the other decision, about 'layers.0.mlp', is here

// skipped
// RUN: %python %S/Inputs/with_plan.py %S/Inputs/tiny.mlir 'prune.route "layers.*.mlp" axis(M) by linear; prune.skip "layers.1"' > %t.1.mlir
// RUN: not coppice-opt %t.1.mlir --prune-apply-plan 2>&1 | FileCheck %s --check-prefix=E1
// E1: error: {{.*}}'layers.1.mlp' has no rows to decide about: it is skipped

// no such site
// RUN: %python %S/Inputs/with_plan.py %S/Inputs/tiny.mlir 'prune.route "layers.*.moe" axis(M) by linear' > %t.2.mlir
// RUN: not coppice-opt %t.2.mlir --prune-apply-plan 2>&1 | FileCheck %s --check-prefix=E2
// E2: error: {{.*}}'layers.*.moe' names no layer or sublayer of the model

// no such file
// RUN: %python %S/Inputs/with_plan.py %S/Inputs/tiny.mlir 'prune.route "layers.*.mlp" axis(M) by linear from "none.safetensors"' > %t.3.mlir
// RUN: not coppice-opt %t.3.mlir --prune-apply-plan 2>&1 | FileCheck %s --check-prefix=E3
// E3: error: {{.*}}none.safetensors
