// RUN: coppice-opt %s --exec-form-dispatches=max-context=33 --exec-select-kernels | FileCheck %s
// RUN: not %coppice-opt %s --exec-form-dispatches=max-context=33 --exec-select-kernels=target=gpu 2>&1 | FileCheck %s --check-prefix=TARGET

// TARGET: error: unknown target 'gpu', expected one of: cpu

// A table that is looked up in rows and multiplied in panels is there twice.
// CHECK: exec.weight "table" @table packing <rows> : memref<37x6xf32>
// CHECK: exec.weight "table.panels[[P:[0-9]+]]" @table packing <panels = [[P]]> : memref<{{[0-9]+}}x6x[[P]]xf32>
// CHECK: exec.dispatch "embed" lookup {{.*}} (%tokens, %table, %{{.*}}) {{.*}} grid = #{{.*}}, config = <"{{[a-z]+}}", {{.*}}>>]
// CHECK: exec.dispatch "lm_head" gemm {{.*}} (%{{.*}}, %table.panels[[P]], %{{.*}}) {{.*}} grid = #{{.*}}, config = <"gemm", {{.*}}>>]
// A weight that is read in panels only keeps its name.
// CHECK-NOT: exec.weight "w"
// CHECK: func.func @gemm_n37_k6_f32(%{{.*}}, %{{.*}}: tensor<37x6xf32> {exec.packing = #exec.packing<panels = [[P]]>}
// CHECK-SAME: exec.config = #exec.config<"gemm"
ml_program.global private @table(#ml_program.extern : tensor<37x6xf32>) : tensor<37x6xf32>
func.func @forward(%tokens: tensor<?xi32> {decoder.step = "tokens"}) -> tensor<?x37xf32> {
  %table = ml_program.global_load_const @table : tensor<37x6xf32>
  %r0 = decoder.lookup "embed" %tokens in %table : tensor<?xi32>, tensor<37x6xf32> -> tensor<?x6xf32>
  %l = prune.gemm "lm_head" %r0, %table : tensor<?x6xf32>, tensor<37x6xf32> -> tensor<?x37xf32>
  return %l : tensor<?x37xf32>
}
