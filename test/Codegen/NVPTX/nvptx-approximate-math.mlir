// RUN: coppice-opt %s --nvptx-approximate-math | FileCheck %s

// CHECK-LABEL: func.func @exponentials(
// CHECK:         %[[LOG2E:.*]] = arith.constant 1.44269502 : f32
// CHECK:         %[[SCALED:.*]] = arith.mulf %{{.*}}, %[[LOG2E]] : f32
// CHECK:         llvm.call_intrinsic "llvm.nvvm.ex2.approx.ftz.f32"(%[[SCALED]])
// CHECK:         llvm.call_intrinsic "llvm.nvvm.ex2.approx.ftz.f32"(%{{.*}})
// CHECK-NOT:     math.
func.func @exponentials(%x: f32) -> (f32, f32) {
  %0 = math.exp %x : f32
  %1 = math.exp2 %x : f32
  return %0, %1 : f32, f32
}

// CHECK-LABEL: func.func @logarithms(
// CHECK:         %[[LN2:.*]] = arith.constant 0.693147182 : f32
// CHECK:         %[[BITS:.*]] = llvm.call_intrinsic "llvm.nvvm.lg2.approx.ftz.f"(%{{.*}})
// CHECK:         arith.mulf %[[BITS]], %[[LN2]] : f32
// CHECK:         llvm.call_intrinsic "llvm.nvvm.lg2.approx.ftz.f"(%{{.*}})
func.func @logarithms(%x: f32) -> (f32, f32) {
  %0 = math.log %x : f32
  %1 = math.log2 %x : f32
  return %0, %1 : f32, f32
}

// Multiples of pi/2 are counted in f64, and sine and cosine take turns.
// CHECK-LABEL: func.func @angles(
// CHECK:         arith.extf %{{.*}} : f32 to f64
// CHECK:         llvm.intr.rint
// CHECK-COUNT-2: llvm.intr.fma({{.*}}) : (f64, f64, f64) -> f64
// CHECK:         arith.fptosi %{{.*}} : f64 to i32
// CHECK:         arith.select
// CHECK:         arith.negf
// CHECK-NOT:     math.
func.func @angles(%x: f32) -> (f32, f32) {
  %0 = math.sin %x : f32
  %1 = math.cos %x : f32
  return %0, %1 : f32, f32
}

// CHECK-LABEL: func.func @narrow(
// CHECK:         arith.extf %{{.*}} : bf16 to f32
// CHECK:         llvm.call_intrinsic "llvm.nvvm.ex2.approx.ftz.f32"
// CHECK:         arith.truncf %{{.*}} : f32 to bf16
func.func @narrow(%x: bf16) -> bf16 {
  %0 = math.exp %x : bf16
  return %0 : bf16
}

// A root is an instruction as it is; what is wider than f32, or a vector, is not
// what kernels compute with.
// CHECK-LABEL: func.func @left(
// CHECK:         math.sqrt %{{.*}} : f32
// CHECK:         math.exp %{{.*}} : f64
// CHECK:         math.exp %{{.*}} : vector<4xf32>
func.func @left(%x: f32, %y: f64, %z: vector<4xf32>) -> (f32, f64, vector<4xf32>) {
  %0 = math.sqrt %x : f32
  %1 = math.exp %y : f64
  %2 = math.exp %z : vector<4xf32>
  return %0, %1, %2 : f32, f64, vector<4xf32>
}
