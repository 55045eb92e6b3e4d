// RUN: coppice-opt %s --codegen-nvptx-kernels | FileCheck %s
// RUN: coppice-opt %s --codegen-nvptx | FileCheck %s --check-prefix=LLVM

// A kernel of the LLVM dialect for each; nothing is left to resolve, and
// constants beside kernels are memory of the device.
// LLVM-NOT: unrealized_conversion_cast
// LLVM-DAG: llvm.mlir.global internal constant @angles.table1({{.*}}) {addr_space = 1 : i32
// LLVM-DAG: llvm.func @norm({{.*}}nvvm.kernel, nvvm.reqntid = array<i32: 128, 1, 1>
// LLVM-DAG: llvm.func @loops({{.*}}nvvm.kernel

#rows = affine_map<()[s0, s1, s2, s3, s4, s5] -> (s0)>

// 8 lanes add up the squares of a head of 32 columns, each of 4 of them; what
// has been read is not read again.
// CHECK-LABEL: func.func @norm(
// CHECK-SAME:      exec.threads = 128 : i64
// CHECK:         scf.for
// CHECK:           llvm.load %{{.*}} {alignment = 16 : i64} : !llvm.ptr<1> -> vector<4xf32>
// CHECK:           llvm.intr.fma
// CHECK-COUNT-3:   nvvm.shfl.sync bfly
// CHECK-NOT:       nvvm.shfl.sync
// CHECK:           math.sqrt
// CHECK-NOT:       !llvm.ptr<1> -> vector<4xf32>
// CHECK:           llvm.load %{{.*}} invariant {alignment = 8 : i64} : !llvm.ptr<1> -> vector<4xbf16>
// CHECK:           llvm.store %{{.*}}, %{{.*}} {alignment = 16 : i64} : vector<4xf32>, !llvm.ptr<1>
func.func @norm(%x: tensor<?x96xf32> {exec.dims = ["rows", 96]}, %g: tensor<32xbf16>, %out: tensor<?x96xf32> {exec.dims = ["rows", 96]}) -> tensor<?x96xf32>
    attributes {exec.config = #exec.config<"norm", threads = 128, lanes = 8>, exec.grid = #rows} {
  %0 = decoder.rms_norm "" %x, %g {epsilon = 1.0e-5 : f32, divisor = 32 : i64, head_dim = 32 : i64} : tensor<?x96xf32>, tensor<32xbf16>
  return %0 : tensor<?x96xf32>
}

// A copy within a type does not look at it.
// CHECK-LABEL: func.func @append(
// CHECK:         scf.for
// CHECK:           scf.if
// CHECK:             %[[ACCESS:.*]] = llvm.load %{{.*}} {alignment = 16 : i64} : !llvm.ptr<1> -> vector<8xbf16>
// CHECK:             llvm.store %[[ACCESS]], %{{.*}} {alignment = 16 : i64}
func.func @append(%r: tensor<?x24xbf16> {exec.dims = ["rows", 24]}, %slots: tensor<?xi32> {exec.dims = ["rows"]}, %positions: tensor<?xi32> {exec.dims = ["rows"]},
                  %cache: tensor<?x?x24xbf16> {exec.dims = ["slots", "context", 24]}) -> tensor<?x?x24xbf16>
    attributes {exec.config = #exec.config<"rows", threads = 256>, exec.grid = #rows} {
  %0 = decoder.append "" %r into %cache at %slots, %positions : tensor<?x24xbf16> into tensor<?x?x24xbf16>
  return %0 : tensor<?x?x24xbf16>
}

// Of a list, only what is below the count is there.
// CHECK-LABEL: func.func @rotary(
// CHECK:         scf.for
// CHECK:           %[[COUNT:.*]] = scf.if
// CHECK:           %[[THERE:.*]] = arith.cmpi slt, %{{.*}}, %[[COUNT]] : i32
// CHECK:           scf.if %[[THERE]]
// CHECK-COUNT-4:   -> vector<4xf32>
func.func @rotary(%x: tensor<?x16xf32> {exec.dims = ["rows", 16]}, %a: tensor<?x8xf32> {exec.dims = ["rows", 8]},
                  %list: tensor<?xi32> {exec.dims = ["rows"]}, %count: tensor<i32>, %out: tensor<?x16xf32> {exec.dims = ["rows", 16]}) -> tensor<?x16xf32>
    attributes {exec.config = #exec.config<"rotary", threads = 256>, exec.grid = #rows} {
  %0 = decoder.rotary "" %x, %a rows(%list, %count : tensor<?xi32>) {head_dim = 8 : i64} : tensor<?x16xf32>, tensor<?x8xf32>
  return %0 : tensor<?x16xf32>
}

// A key is 16 bytes, so each lane has a position of its own; what all have
// found is added up in the end.
// CHECK-LABEL: func.func @score_blocks(
// CHECK:         scf.for
// CHECK:           scf.if
// CHECK:             %[[SUM:.*]] = scf.for
// CHECK:               llvm.load %{{.*}} {alignment = 16 : i64} : !llvm.ptr<1> -> vector<8xbf16>
// CHECK:               llvm.intr.fma({{.*}}) : (vector<8xf32>
// CHECK-COUNT-5:     nvvm.shfl.sync bfly
// CHECK:             arith.bitcast %{{.*}} : f32 to i32
// CHECK:             llvm.store %{{.*}}, %{{.*}} : i32, !llvm.ptr<1>
func.func @score_blocks(%q: tensor<?x16xf32> {exec.dims = ["rows", 16]}, %k: tensor<?x?x8xbf16> {exec.dims = ["slots", "context", 8]},
                         %slots: tensor<?xi32> {exec.dims = ["rows"]}, %positions: tensor<?xi32> {exec.dims = ["rows"]},
                         %out: tensor<?x4xi32> {exec.dims = ["rows", 4]}) -> tensor<?x4xi32>
    attributes {exec.config = #exec.config<"score_blocks", threads = 128, blocks = 8>, exec.grid = #rows, exec.workspace = #rows} {
  %0 = prune.select_blocks "" of 16 recent 1 first 1 top 2 by %q, %k heads of 8 : tensor<?x16xf32>, tensor<?x?x8xbf16>
    at %slots, %positions : tensor<?xi32> -> tensor<?x4xi32>
  return %0 : tensor<?x4xi32>
}

// Which row comes first is asked before anything else; no score is computed.
// CHECK-LABEL: func.func @select_blocks(
// CHECK:         scf.for
// CHECK:           scf.if
// CHECK-NOT:         llvm.intr.fma
// CHECK:             arith.cmpi uge
// CHECK:             nvvm.vote.sync  ballot
// CHECK:             scf.while
func.func @select_blocks(%q: tensor<?x16xf32> {exec.dims = ["rows", 16]}, %k: tensor<?x?x8xbf16> {exec.dims = ["slots", "context", 8]},
                         %slots: tensor<?xi32> {exec.dims = ["rows"]}, %positions: tensor<?xi32> {exec.dims = ["rows"]},
                         %out: tensor<?x4xi32> {exec.dims = ["rows", 4]}) -> tensor<?x4xi32>
    attributes {exec.config = #exec.config<"select_blocks", threads = 128>, exec.grid = #rows, exec.workspace = #rows} {
  %0 = prune.select_blocks "" of 16 recent 1 first 1 top 2 by %q, %k heads of 8 : tensor<?x16xf32>, tensor<?x?x8xbf16>
    at %slots, %positions : tensor<?xi32> -> tensor<?x4xi32>
  return %0 : tensor<?x4xi32>
}

// CHECK:       llvm.mlir.global internal constant @angles.table1(dense<[1.000000e+00, 2.500000e-01]> : tensor<2xf32>)
// CHECK-LABEL: func.func @angles(
// CHECK-COUNT-4: math.cos
// CHECK:         llvm.store %{{.*}}, %{{.*}} {alignment = 16 : i64} : vector<4xf32>, !llvm.ptr<1>
func.func @angles(%p: tensor<?xi32> {exec.dims = ["rows"]}, %out: tensor<?x4xf32> {exec.dims = ["rows", 4]}) -> tensor<?x4xf32>
    attributes {exec.config = #exec.config<"elementwise", threads = 256>, exec.grid = #rows} {
  %0 = decoder.rotary_table "" %p {frequencies = array<f32: 1.0, 0.25>} : tensor<?xi32> -> tensor<?x4xf32>
  return %0 : tensor<?x4xf32>
}

// A thread a row, with what it computes on the way on its own stack.
// CHECK-LABEL: func.func @loops(
// CHECK:         memref.alloca() {{.*}} : memref<1xf32>
// CHECK:         scf.for
// CHECK:           scf.for
// CHECK:             arith.addf {{.*}} fastmath<reassoc,contract>
// CHECK-NOT:     memref.alloc(
func.func @loops(%x: tensor<?x37xf32> {exec.dims = ["rows", 37]}, %g: tensor<37xf32>, %out: tensor<?x37xf32> {exec.dims = ["rows", 37]}) -> tensor<?x37xf32>
    attributes {exec.config = #exec.config<"loops", threads = 128, tile = 1>, exec.grid = #rows} {
  %0 = decoder.rms_norm "" %x, %g {epsilon = 1.0e-5 : f32, divisor = 37 : i64} : tensor<?x37xf32>, tensor<37xf32>
  return %0 : tensor<?x37xf32>
}
