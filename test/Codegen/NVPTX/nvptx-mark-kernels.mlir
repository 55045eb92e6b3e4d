// RUN: coppice-opt %s --nvptx-mark-kernels | FileCheck %s

// CHECK: llvm.func @kernel(%{{.*}}: !llvm.ptr) attributes {exec.threads = 96 : i64, nvvm.kernel, nvvm.reqntid = array<i32: 96, 1, 1>} {
llvm.func @kernel(%x: !llvm.ptr) attributes {exec.threads = 96 : i64} {
  llvm.return
}

// What kernels call is none.
// CHECK: llvm.func @helper(%{{.*}}: !llvm.ptr) {
llvm.func @helper(%x: !llvm.ptr) {
  llvm.return
}
