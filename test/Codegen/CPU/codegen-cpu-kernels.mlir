// RUN: coppice-opt %s --codegen-cpu-kernels | FileCheck %s
// RUN: coppice-opt %s --codegen-cpu | FileCheck %s --check-prefix=LLVM

// One function of the kernel ABI for each kernel; nothing is left to resolve.
// LLVM-NOT: unrealized_conversion_cast
// LLVM: llvm.func @gemm(%{{.*}}: !llvm.ptr, %{{.*}}: !llvm.ptr, %{{.*}}: i64, %{{.*}}: i64)
// LLVM: llvm.func @attention(
// LLVM: llvm.func @norm(
// LLVM: llvm.func @plain(

// 71 columns are two panels of 64: work item i is row block i / 2 and panel i % 2.
// CHECK-LABEL: func.func @gemm(
// CHECK-SAME:      %{{.*}}: !llvm.ptr, %{{.*}}: !llvm.ptr, %[[B:.*]]: i64, %[[E:.*]]: i64)
// CHECK-DAG:     %[[BEGIN:.*]] = arith.index_cast %[[B]] : i64 to index
// CHECK-DAG:     %[[END:.*]] = arith.index_cast %[[E]] : i64 to index
// CHECK:         %[[SCRATCH:.*]] = memref.alloca() {{.*}} : memref<6x64xf32>
// CHECK:         scf.for %[[ITEM:.*]] = %[[BEGIN]] to %[[END]]
// CHECK:           arith.divui %[[ITEM]]
// CHECK:           arith.remui %[[ITEM]]
// Register tiles of 1, 2, .. 6 rows by 4 vectors. K is one block, so an epilogue
// for all of them follows.
// CHECK:           scf.index_switch
// CHECK-NEXT:      case 1 {
// CHECK-COUNT-4:     vector.fma {{.*}} : vector<16xf32>
// CHECK:             scf.yield
// CHECK:           case 5 {
// CHECK-COUNT-20:    vector.fma {{.*}} : vector<16xf32>
// CHECK:             scf.yield
// CHECK:           default {
// CHECK-COUNT-24:    vector.fma {{.*}} : vector<16xf32>
// CHECK:             scf.yield
// CHECK-NOT:       vector.fma
// The epilogue reads the destination where it writes it, under a mask.
// CHECK:           %[[MASK:.*]] = vector.create_mask
// CHECK:           vector.load %[[SCRATCH]]
// CHECK:           vector.maskedload %[[OUT:.*]][{{.*}}], %[[MASK]]
// CHECK:           arith.addf {{.*}} : vector<16xf32>
// CHECK:           vector.maskedstore %[[OUT]]
func.func @gemm(%x: tensor<?x37xf32> {exec.dims = ["rows", 37]}, %w: tensor<71x37xf32> {exec.packing = #exec.packing<panels = 64>},
                %out: tensor<?x71xf32> {exec.dims = ["rows", 71]}) -> tensor<?x71xf32>
    attributes {exec.config = #exec.config<"gemm", panel = 64, rows = 96, panels = 1, depth = 128, height = 6, width = 64, least = 1, unroll = 1, ahead = 0>} {
  %0 = prune.gemm "" %x, %w epilogue(%acc: f32, %r: f32 = %out : tensor<?x71xf32>) {
    %s = arith.addf %acc, %r : f32
    prune.yield %s : f32
  } : tensor<?x37xf32>, tensor<71x37xf32> -> tensor<?x71xf32>
  return %0 : tensor<?x71xf32>
}

// 3 rows of a block and 2 query heads of a KV head are 6 lines of one product:
// a key, and a value, is packed once for all of them.
// CHECK-LABEL: func.func @attention(
// CHECK:         scf.for
// CHECK:           scf.while
// CHECK:             vector.shuffle
// CHECK-COUNT-12:    vector.fma
// CHECK:             scf.yield
// CHECK-NOT:     math.exp
func.func @attention(%q: tensor<?x32xf32> {exec.dims = ["rows", 32]},
                     %k: tensor<?x?x16xf32> {exec.dims = ["slots", "context", 16]},
                     %v: tensor<?x?x16xf32> {exec.dims = ["slots", "context", 16]},
                     %slots: tensor<?xi32> {exec.dims = ["rows"]}, %positions: tensor<?xi32> {exec.dims = ["rows"]},
                     %out: tensor<?x32xf32> {exec.dims = ["rows", 32]}) -> tensor<?x32xf32>
    attributes {exec.config = #exec.config<"attention", rows = 3, keys = 64>} {
  %0 = decoder.attention "" %q, %k, %v at %slots, %positions {head_dim = 8 : i64, scale = 0.3 : f32}
    : tensor<?x32xf32>, tensor<?x?x16xf32>
  return %0 : tensor<?x32xf32>
}

// A row is a work item; the sum of squares stays with it, and may be reordered.
// CHECK-LABEL: func.func @norm(
// CHECK-DAG:     memref.alloca() {{.*}} : memref<1xf32>
// CHECK:         scf.for
// CHECK:           scf.for
// CHECK:             arith.addf {{.*}} fastmath<reassoc,contract>
// CHECK:           scf.for
// CHECK:             math.sqrt
// CHECK-NOT:     memref.alloc(
func.func @norm(%x: tensor<?x37xf32> {exec.dims = ["rows", 37]}, %g: tensor<37xf32>,
                %out: tensor<?x37xf32> {exec.dims = ["rows", 37]}) -> tensor<?x37xf32>
    attributes {exec.config = #exec.config<"loops", tile = 1>} {
  %0 = decoder.rms_norm "" %x, %g {epsilon = 1.0e-5 : f32, divisor = 37 : i64} : tensor<?x37xf32>, tensor<37xf32>
  return %0 : tensor<?x37xf32>
}

// The oracle adds in order and calls the library's exp.
// CHECK-LABEL: func.func @plain(
// CHECK:         math.exp
// CHECK-NOT:     fastmath
// CHECK:         return
func.func @plain(%x: tensor<?x5xf32> {exec.dims = ["rows", 5]},
                 %out: tensor<?x5xf32> {exec.dims = ["rows", 5]}) -> tensor<?x5xf32>
    attributes {exec.config = #exec.config<"plain", tile = 1>} {
  %c0 = arith.constant 0 : index
  %m = tensor.dim %x, %c0 : tensor<?x5xf32>
  %e = tensor.empty(%m) : tensor<?x5xf32>
  %0 = linalg.exp ins(%x : tensor<?x5xf32>) outs(%e : tensor<?x5xf32>) -> tensor<?x5xf32>
  return %0 : tensor<?x5xf32>
}
