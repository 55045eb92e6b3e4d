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

// Groups of channels that are left, of query heads, of columns of the norm; a
// column of the step field for each.
// RUN: %python %S/Inputs/with_plan.py %S/Inputs/tiny.mlir 'prune.keep "layers.0.mlp" channels = #prune.set<[0:2, 3] of 5>; prune.route "layers.0.mlp" axis(N) groups of 2 by linear; prune.route "layers.1.attn" axis(N) groups of 2 by linear; prune.route "layers.1.mlp" axis(K) groups of 3 by linear' > %t.n.mlir
// RUN: coppice-opt %t.n.mlir --prune-apply-plan | FileCheck %s --check-prefix=N
// N: func.func @forward({{.*}}%[[F:[a-z0-9]+]]: tensor<?x8xi8> {decoder.step = "routes"})
// N: %[[M0:.*]] = prune.decide "layers.0.mlp.route" {{.*}} column 0 {{.*}} -> tensor<?x2xi8>
// N: %[[P:.*]] = prune.project "layers.0.mlp" %{{.*}} axis 1
// N: prune.project_by "layers.0.mlp" %[[P]], %[[M0]] groups of 2 among <[0:2, 3] of 5> :
// N: %[[M1:.*]] = prune.decide "layers.1.attn.route" {{.*}} column 2 {{.*}} -> tensor<?x3xi8>
// N: prune.project_by "layers.1.attn" %{{.*}}, %[[M1]] groups of 4 :
// N: %[[M2:.*]] = prune.decide "layers.1.mlp.route" {{.*}} column 5 {{.*}} -> tensor<?x3xi8>
// N: prune.project_by "layers.1.mlp" %{{.*}}, %[[M2]] groups of 3 :

// The router's probability, a forecast, and the residual ahead of the attention.
// RUN: %python %S/Inputs/with_plan.py %S/Inputs/tiny.mlir 'prune.route "layers.0.mlp" axis(M) by linear order(same) scaled forecast(5)' > %t.f.mlir
// RUN: coppice-opt %t.f.mlir --prune-apply-plan | FileCheck %s --check-prefix=FORECAST
// FORECAST: %[[R0:.*]] = decoder.lookup "embed"
// FORECAST: %[[S:.*]] = prune.gemm "layers.0.mlp.router.out" %[[R0]]
// FORECAST: %[[M:.*]] = prune.decide "layers.0.mlp.route" %[[S]]
// FORECAST: %[[NORM:.*]] = decoder.rms_norm "layers.0.mlp.norm"
// FORECAST: %[[IN:.*]] = prune.gemm "layers.0.mlp.forecast.in" %[[NORM]]
// FORECAST: %[[ACT:.*]] = linalg.generic {{.*}} ins(%[[IN]]
// FORECAST: %[[OUT:.*]] = prune.gemm "layers.0.mlp.forecast.out" %[[ACT]]
// FORECAST: %[[D:.*]] = prune.gemm "layers.0.mlp.down"
// FORECAST: %[[W:.*]] = linalg.generic {{.*}} attrs = {prune.site = "layers.0.mlp.scale"}
// FORECAST: %[[X:.*]] = linalg.generic {{.*}} ins(%[[D]], %[[W]]
// FORECAST: prune.project_by "layers.0.mlp" %[[X]], %[[M]] : {{.*}} into %[[OUT]]

// heads that share no KV head whole
// RUN: %python %S/Inputs/with_plan.py %S/Inputs/tiny.mlir 'prune.route "layers.0.attn" axis(N) groups of 4 by linear' > %t.4.mlir
// RUN: not coppice-opt %t.4.mlir --prune-apply-plan 2>&1 | FileCheck %s --check-prefix=E4
// E4: error: {{.*}}expected groups of 'layers.0.attn' to divide the 6 query heads that are left, and to be a divisor or a multiple of the 2 that share a KV head, found groups of 4; groups of 1 always are

// groups of a layer
// RUN: %python %S/Inputs/with_plan.py %S/Inputs/tiny.mlir 'prune.route "layers.0" axis(N) groups of 4 by linear' > %t.5.mlir
// RUN: not coppice-opt %t.5.mlir --prune-apply-plan 2>&1 | FileCheck %s --check-prefix=E5
// E5: error: {{.*}}'layers.0' names whole layers, expected sublayers such as 'layers.0.{{attn|mlp}}' with groups
