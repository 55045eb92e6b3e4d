// N:M sparsity is there to be seen where kernels are chosen: on the GEMM of the
// kernel, fused or not, and on the weight, whatever is kept of it. A kernel with
// a pattern is another one than that without.

// RUN: coppice import preset:tiny --dtype bf16 -o %t.mlir
// RUN: echo 'prune.plan @p { prune.pattern "layers.*.mlp.{gate,down}" axis(K) = 2 of 4   prune.keep "layers.0.mlp" channels = #prune.set<[0:90] of 91> }' > %t.plan.mlir
// RUN: coppice prune %t.mlir --plan %t.plan.mlir -o %t.pruned.mlir
// RUN: coppice-opt %t.pruned.mlir --prune-to-exec=max-rows=64 --mlir-print-local-scope -o %t.exec.mlir
// RUN: FileCheck %s < %t.exec.mlir
// RUN: FileCheck %s --check-prefix=SELECTED < %t.exec.mlir

// CHECK-DAG: ml_program.global private @layers.0.mlp.down.weight.2of4({{.*}} : tensor<44x90xbf16>{{.*}} prune.pattern = #prune.nm<2 of 4>
// CHECK-DAG: ml_program.global private @layers.1.mlp.gate.weight.2of4({{.*}} : tensor<91x44xbf16>{{.*}} prune.pattern = #prune.nm<2 of 4>
// CHECK: exec.dispatch "layers.0.mlp.down" {{.*}}@kernels::@gemm_n44_k90_bf16_2of4_addf
// CHECK: exec.dispatch "layers.1.attn.q" {{.*}}@kernels::@gemm_n60_k44_bf16
// CHECK: exec.dispatch "layers.1.mlp.gate" {{.*}}@kernels::@gemm_n91_k44_bf16_2of4
// CHECK: exec.dispatch "layers.1.mlp.up" {{.*}}@kernels::@gemm_n91_k44_bf16_
// CHECK-NOT: 2of4
// CHECK: exec.dispatch "layers.1.mlp.down"
// CHECK: func.func @gemm_n44_k90_bf16_2of4_addf
// CHECK: prune.gemm "" %{{.*}}, %{{.*}} pattern <2 of 4> epilogue

// What is read is what the pattern keeps; what is executed may be all.
// SELECTED: exec.weight {{.*}} packing <panels = 48, depth = 2, keeps = 2 of 4> : memref<1x23x112xbf16>
// In panels of 48 columns: 44 x 90 elements at 112 for each 48 x 4 of them.
// SELECTED: exec.dispatch "layers.0.mlp.down" {{.*}} weight_bytes = affine_map<{{[^>]*}}-> (4620)>{{.*}} executed_per_flop = 2
