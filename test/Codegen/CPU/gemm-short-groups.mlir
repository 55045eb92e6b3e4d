// RUN: coppice-opt %s --codegen-cpu-kernels | FileCheck %s

// Rows of A are copied, each run of them filled up with zeros to 16 values. A
// block of K is 128 groups of 4: 508 values and, behind them, 16 for the last.
// CHECK-LABEL: func.func @gemm(
// CHECK: memref.alloca() {{.*}} : memref<6x528xf32>
func.func @gemm(%x: tensor<?x1200xf32> {exec.dims = ["rows", 1200]}, %w: tensor<64x1200xf32> {exec.packing = #exec.packing<panels = 64, keeps = 2 of 4>},
                %groups: tensor<300xi32>, %count: tensor<i32>, %out: tensor<?x64xf32> {exec.dims = ["rows", 64]}) -> tensor<?x64xf32>
    attributes {exec.config = #exec.config<"gemm", panel = 64, rows = 6, panels = 1, depth = 512, height = 6, width = 64, least = 1, unroll = 2, ahead = 0>} {
  %0 = prune.gemm "" %x, %w groups of 4(%groups, %count : tensor<300xi32>) pattern <2 of 4> : tensor<?x1200xf32>, tensor<64x1200xf32> -> tensor<?x64xf32>
  return %0 : tensor<?x64xf32>
}

// A set of fewer groups than a block has room for: their own length.
// CHECK-LABEL: func.func @few(
// CHECK: memref.alloca() {{.*}} : memref<6x48xf32>
func.func @few(%x: tensor<?x32xf32> {exec.dims = ["rows", 32]}, %w: tensor<64x32xf32> {exec.packing = #exec.packing<panels = 64, keeps = 2 of 4>},
               %groups: tensor<4xi32>, %count: tensor<i32>, %out: tensor<?x64xf32> {exec.dims = ["rows", 64]}) -> tensor<?x64xf32>
    attributes {exec.config = #exec.config<"gemm", panel = 64, rows = 6, panels = 1, depth = 512, height = 6, width = 64, least = 1, unroll = 2, ahead = 0>} {
  %0 = prune.gemm "" %x, %w groups of 8(%groups, %count : tensor<4xi32>) pattern <2 of 4> : tensor<?x32xf32>, tensor<64x32xf32> -> tensor<?x64xf32>
  return %0 : tensor<?x64xf32>
}
