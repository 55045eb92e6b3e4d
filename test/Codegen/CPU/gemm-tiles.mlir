// RUN: coppice-opt %s --codegen-cpu=isa=amx_bf16 | FileCheck %s
// RUN: coppice-opt %s --codegen-cpu=isa=avx512_bf16 | FileCheck %s --check-prefix=VECTORS

// Many rows of bf16 are multiplied in tiles where there are tiles; few wait for
// memory, and f32 has none. (What the code computes is tested where the machine
// has AMX: test/unit/GemmKernelTest.cpp.)
// CHECK-LABEL: llvm.func @many(
// CHECK: llvm.x86.tileloadd64.internal
// CHECK: llvm.x86.tdpbf16ps.internal
// CHECK: llvm.x86.tilestored64.internal
// CHECK-LABEL: llvm.func @few(
// CHECK-NOT: llvm.x86.tdpbf16ps
// CHECK-LABEL: llvm.func @wide(
// CHECK-NOT: llvm.x86.tdpbf16ps
// VECTORS-NOT: llvm.x86.tdpbf16ps
func.func @many(%x: tensor<?x70xbf16> {exec.dims = ["rows", 70]}, %w: tensor<71x70xbf16> {exec.packing = #exec.packing<panels = 64, depth = 2>},
                %out: tensor<?x71xf32> {exec.dims = ["rows", 71]}) -> tensor<?x71xf32>
    attributes {exec.config = #exec.config<"gemm", panel = 64, rows = 96, panels = 1, depth = 128, height = 6, width = 64, least = 25, unroll = 2, ahead = 1>} {
  %0 = prune.gemm "" %x, %w : tensor<?x70xbf16>, tensor<71x70xbf16> -> tensor<?x71xf32>
  return %0 : tensor<?x71xf32>
}
func.func @few(%x: tensor<?x70xbf16> {exec.dims = ["rows", 70]}, %w: tensor<71x70xbf16> {exec.packing = #exec.packing<panels = 64, depth = 2>},
               %out: tensor<?x71xf32> {exec.dims = ["rows", 71]}) -> tensor<?x71xf32>
    attributes {exec.config = #exec.config<"gemm", panel = 64, rows = 6, panels = 1, depth = 128, height = 6, width = 64, least = 1, unroll = 2, ahead = 0>} {
  %0 = prune.gemm "" %x, %w : tensor<?x70xbf16>, tensor<71x70xbf16> -> tensor<?x71xf32>
  return %0 : tensor<?x71xf32>
}
func.func @wide(%x: tensor<?x70xf32> {exec.dims = ["rows", 70]}, %w: tensor<71x70xf32> {exec.packing = #exec.packing<panels = 64>},
                %out: tensor<?x71xf32> {exec.dims = ["rows", 71]}) -> tensor<?x71xf32>
    attributes {exec.config = #exec.config<"gemm", panel = 64, rows = 96, panels = 1, depth = 128, height = 6, width = 64, least = 25, unroll = 2, ahead = 1>} {
  %0 = prune.gemm "" %x, %w : tensor<?x70xf32>, tensor<71x70xf32> -> tensor<?x71xf32>
  return %0 : tensor<?x71xf32>
}
