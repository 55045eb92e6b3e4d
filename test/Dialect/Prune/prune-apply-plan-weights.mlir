// RUN: %python %S/Inputs/with_plan.py %S/Inputs/tiny.mlir 'prune.skip "layers.2.mlp"; prune.keep "layers.0.mlp" channels = #prune.set<[0:2, 4] of 5>; prune.factor "layers.*.attn.q" rank = 3; prune.factor "layers.0.mlp.down" rank = 2 retain = #prune.set<[1, 5] of 7>; prune.pattern "layers.0.mlp.up" axis(K) = 2 of 4; prune.pattern "layers.*.mlp.gate" axis(K) = 1 of 4 by magnitude; prune.mask "layers.1.mlp.up" sparsity = 0.5' > %t.open.mlir
// RUN: sed '/@layers.0.attn.q.weight(/s/$/ {decoder.source = #decoder.generated<seed = 7, name = "q", stddev = 0.3, mean = 0.0>}/; /@layers.0.mlp.up.weight(/s/$/ {decoder.source = #decoder.file<"w.safetensors", "up">}/' %t.open.mlir > %t.mlir
// RUN: coppice-opt %t.mlir --prune-apply-plan | FileCheck %s
// RUN: coppice-opt %t.mlir --prune-apply-plan=open-sources | FileCheck %s --check-prefix=OPEN

// Factors of a generated weight are generated, with its deviation in their
// product; those of a file and others are open until someone computes them.
// CHECK-DAG: @layers.0.attn.q.weight.u({{.*}}) : tensor<12x3xbf16> {decoder.source = #decoder.generated<{{.*}}name = "layers.0.attn.q.weight.u", stddev = 0.57735{{[0-9]*}},
// CHECK-DAG: @layers.0.attn.q.weight.v({{.*}}) : tensor<3x7xbf16> {decoder.source = #decoder.generated<seed = 7, name = "layers.0.attn.q.weight.v", stddev = 3.000000e-01,
// CHECK-DAG: @layers.1.attn.q.weight.u({{.*}}) : tensor<12x3xbf16>{{$}}
// OPEN-DAG: @layers.0.attn.q.weight.u({{.*}}) : tensor<12x3xbf16>{{$}}
// OPEN-DAG: @layers.0.attn.q.weight.v({{.*}}) : tensor<3x7xbf16>{{$}}

// A weight that claims a pattern is the old one, under a name that says so: who
// else reads the old one is not concerned. One that is made to have it is open.
// CHECK-DAG: @layers.0.mlp.up.weight({{.*}}) : tensor<5x7xbf16> {decoder.source = #decoder.file<"w.safetensors", "up">}
// CHECK-DAG: @layers.0.mlp.up.weight.2of4({{.*}}) : tensor<5x7xbf16> {decoder.source = #decoder.file<"w.safetensors", "up">, prune.pattern = #prune.nm<2 of 4>}
// CHECK-DAG: @layers.0.mlp.gate.weight.1of4({{.*}}) : tensor<5x7xbf16> {prune.pattern = #prune.nm<1 of 4>}
// CHECK-DAG: @layers.1.mlp.up.weight.masked({{.*}}) : tensor<5x7xbf16>{{$}}

// CHECK: func.func @forward
// CHECK: %[[Q:.*]] = prune.replace "layers.0.attn.q" %{{.*}} by %{{.*}}, %{{.*}} in tensor<12x7xbf16> by tensor<12x3xbf16>, tensor<3x7xbf16>
// CHECK: prune.gemm "layers.0.attn.q" %{{.*}}, %[[Q]] :
// CHECK-NOT: prune.replace "layers.0.attn.k"
// CHECK: %[[GATE:.*]] = prune.replace "layers.0.mlp.gate" %{{.*}} by %{{.*}} pattern <1 of 4> in
// CHECK: prune.gemm "layers.0.mlp.gate" %{{.*}}, %[[GATE]] :
// CHECK: %[[W:.*]] = ml_program.global_load_const @layers.0.mlp.up.weight :
// CHECK: %[[N:.*]] = ml_program.global_load_const @layers.0.mlp.up.weight.2of4 :
// CHECK: prune.replace "layers.0.mlp.up" %[[W]] by %[[N]] pattern <2 of 4>
// The keep-set is there beside it.
// CHECK: prune.project "layers.0.mlp"
// CHECK: prune.replace "layers.0.mlp.down" %{{.*}} retain <[1, 5] of 7> by %{{.*}}, %{{.*}} in tensor<7x5xbf16> by tensor<5x2xbf16>, tensor<2x5xbf16>
// CHECK: prune.replace "layers.1.mlp.up" %{{.*}} by %{{.*}} sparsity 5.000000e-01 in
// Of what is skipped there is no weight to change.
// CHECK: prune.replace "layers.2.attn.q"
// CHECK-NOT: prune.replace
