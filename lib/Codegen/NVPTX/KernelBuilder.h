//===- KernelBuilder.h - what builders of GPU kernels share -----*- C++ -*-===//
//
// The base of the classes that build the body of a kernel: numbers of 32 bits,
// addresses, loops, and what a thread has to say to the others of its warp and
// block. Nothing here knows what is computed.
//
// A value of a type of `arith` is a number of a thread; addresses are
// !llvm.ptr<1> (memory of the device) and <3> (shared by the block), and count
// bytes. Values in f16 and bf16 are computed with in f32.
//
//===----------------------------------------------------------------------===//

#ifndef COPPICE_LIB_CODEGEN_NVPTX_KERNELBUILDER_H
#define COPPICE_LIB_CODEGEN_NVPTX_KERNELBUILDER_H

#include "KernelShell.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/LLVMIR/NVVMDialect.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/IR/ImplicitLocOpBuilder.h"

namespace coppice::nvptx {

class KernelBuilder {
protected:
  using Value = mlir::Value;
  using ValueRange = mlir::ValueRange;

  KernelBuilder(mlir::ImplicitLocOpBuilder &b, KernelShell &shell)
      : b(b), shell(shell) {}

  //===--- Numbers ---===//

  Value i32(int64_t value) {
    return mlir::arith::ConstantOp::create(b, b.getI32IntegerAttr(value));
  }
  Value i64(int64_t value) {
    return mlir::arith::ConstantOp::create(b, b.getI64IntegerAttr(value));
  }
  Value f32(float value) {
    return mlir::arith::ConstantOp::create(b, b.getF32FloatAttr(value));
  }
  Value zero(mlir::Type type) {
    return mlir::arith::ConstantOp::create(b, b.getZeroAttr(type));
  }

  Value add(Value lhs, Value rhs) {
    return mlir::arith::AddIOp::create(b, lhs, rhs);
  }
  Value add(Value lhs, int64_t rhs) { return rhs ? add(lhs, i32(rhs)) : lhs; }
  Value sub(Value lhs, Value rhs) {
    return mlir::arith::SubIOp::create(b, lhs, rhs);
  }
  Value mul(Value lhs, Value rhs) {
    return mlir::arith::MulIOp::create(b, lhs, rhs);
  }
  Value mul(Value lhs, int64_t rhs) {
    return rhs == 1 ? lhs : mul(lhs, i32(rhs));
  }
  /// Division and remainder of what is not negative.
  Value div(Value lhs, int64_t rhs) {
    return rhs == 1
               ? lhs
               : mlir::arith::DivUIOp::create(b, lhs, i32(rhs)).getResult();
  }
  Value rem(Value lhs, int64_t rhs) {
    return mlir::arith::RemUIOp::create(b, lhs, i32(rhs));
  }
  Value div(Value lhs, Value rhs) {
    return mlir::arith::DivUIOp::create(b, lhs, rhs);
  }
  Value ceilDiv(Value lhs, int64_t rhs) { return div(add(lhs, rhs - 1), rhs); }
  Value rem(Value lhs, Value rhs) {
    return mlir::arith::RemUIOp::create(b, lhs, rhs);
  }
  Value min(Value lhs, Value rhs) {
    return mlir::arith::MinSIOp::create(b, lhs, rhs);
  }
  Value max(Value lhs, Value rhs) {
    return mlir::arith::MaxSIOp::create(b, lhs, rhs);
  }
  Value exclusive(Value lhs, Value rhs) {
    return mlir::arith::XOrIOp::create(b, lhs, rhs);
  }
  Value both(Value lhs, Value rhs) {
    return mlir::arith::AndIOp::create(b, lhs, rhs);
  }
  Value either(Value lhs, Value rhs) {
    return mlir::arith::OrIOp::create(b, lhs, rhs);
  }
  Value compare(mlir::arith::CmpIPredicate how, Value lhs, Value rhs) {
    return mlir::arith::CmpIOp::create(b, how, lhs, rhs);
  }
  Value compare(mlir::arith::CmpFPredicate how, Value lhs, Value rhs) {
    return mlir::arith::CmpFOp::create(b, how, lhs, rhs);
  }
  Value less(Value lhs, Value rhs) {
    return compare(mlir::arith::CmpIPredicate::slt, lhs, rhs);
  }
  Value equal(Value lhs, Value rhs) {
    return compare(mlir::arith::CmpIPredicate::eq, lhs, rhs);
  }
  Value select(Value condition, Value lhs, Value rhs) {
    return mlir::arith::SelectOp::create(b, condition, lhs, rhs);
  }
  Value addF(Value lhs, Value rhs) {
    return mlir::arith::AddFOp::create(b, lhs, rhs);
  }
  Value subF(Value lhs, Value rhs) {
    return mlir::arith::SubFOp::create(b, lhs, rhs);
  }
  Value mulF(Value lhs, Value rhs) {
    return mlir::arith::MulFOp::create(b, lhs, rhs);
  }
  Value fma(Value x, Value y, Value sum) {
    return mlir::LLVM::FMAOp::create(b, x, y, sum);
  }
  /// Widens or rounds (to nearest even) to another type of floats.
  Value convert(Value value, mlir::Type type);

  //===--- Memory ---===//

  /// The memory of an argument of the tensor-level kernel.
  Value argumentOf(Value tensor) {
    return shell
        .arguments[mlir::cast<mlir::BlockArgument>(tensor).getArgNumber()];
  }
  Value extentOf(Value tensor, unsigned dim) {
    return shell.extentOf(b, tensor, dim);
  }
  /// The address `bytes` (i32, which is signed, or i64) behind `base`.
  Value at(Value base, Value bytes) {
    return mlir::LLVM::GEPOp::create(b, base.getType(), b.getI8Type(), base,
                                     llvm::ArrayRef<mlir::LLVM::GEPArg>{bytes});
  }
  Value at(Value base, int64_t bytes) {
    return bytes ? at(base, i64(bytes)) : base;
  }
  /// Element [row, column] of a matrix with `pitch` elements to a row: i32s, of
  /// which no product overflows.
  Value at(Value base, mlir::Type element, Value row, Value pitch,
           Value column);
  /// Element [index..] of an argument of the tensor-level kernel.
  Value addressOf(Value tensor, ValueRange indices);

  /// `alignment` in bytes: that of the type unless it is given.
  Value load(mlir::Type type, Value address, unsigned alignment = 0) {
    return mlir::LLVM::LoadOp::create(b, type, address, alignment);
  }
  /// A load of what no kernel of the step changes: a weight.
  Value loadConstant(mlir::Type type, Value address, unsigned alignment = 0) {
    return mlir::LLVM::LoadOp::create(b, type, address, alignment,
                                      /*isVolatile=*/false,
                                      /*isNonTemporal=*/false,
                                      /*isInvariant=*/true);
  }
  void store(Value value, Value address, unsigned alignment = 0) {
    mlir::LLVM::StoreOp::create(b, value, address, alignment);
  }
  /// An element of an argument, in f32 if it is narrower.
  Value loadElement(Value tensor, ValueRange indices);
  /// How many of the first `count` elements of an ascending list of i32 at
  /// this address are below `value`.
  Value firstNotBelow(Value list, Value count, Value value);
  /// Rounds `value` to the type of the argument's elements, and stores it.
  void storeElement(Value value, Value tensor, ValueRange indices);

  /// How many neighbouring elements a thread should access at once in rows of
  /// `width` elements, in memories of these types: as many as 16 bytes hold of
  /// the widest, or as few as divide the width. A power of two.
  static int64_t elementsOfAccess(int64_t width,
                                  llvm::ArrayRef<mlir::Type> types);
  /// `count` neighbouring elements: a vector unless it is one. The address is a
  /// multiple of their size, or of 16 bytes.
  Value loadRun(mlir::Type element, Value address, int64_t count,
                bool isWeight = false);
  void storeRun(Value values, Value address);
  /// The same of floats, in f32.
  Value loadFloats(mlir::Type element, Value address, int64_t count,
                   bool isWeight = false) {
    return convert(loadRun(element, address, count, isWeight), b.getF32Type());
  }
  /// Rounds them to the type of the elements.
  void storeFloats(Value values, mlir::Type element, Value address) {
    storeRun(convert(values, element), address);
  }
  /// Element `index` of such a run, a run of these elements, and one of the
  /// same element `count` times.
  Value elementOf(Value values, int64_t index);
  Value runOf(llvm::ArrayRef<Value> elements);
  Value splat(Value value, int64_t count);

  /// Sets `bytes` of shared memory aside, for all of the kernel.
  Value allocateShared(int64_t bytes, int64_t alignment = 16);

  //===--- Control ---===//

  /// Builds `for (i = from; i < to; i += step)` around `body`.
  void loop(Value from, Value to, Value step,
            llvm::function_ref<void(Value)> body);
  void loop(Value from, Value to, int64_t step,
            llvm::function_ref<void(Value)> body) {
    loop(from, to, i32(step), body);
  }
  /// The same with values carried from one iteration to the next.
  ValueRange
  loop(Value from, Value to, Value step, ValueRange carried,
       llvm::function_ref<llvm::SmallVector<Value>(Value, ValueRange)> body);
  void ifThen(Value condition, llvm::function_ref<void()> body);
  /// Values of which one branch gives them, the other `otherwise`.
  ValueRange ifThen(Value condition, ValueRange otherwise,
                    llvm::function_ref<llvm::SmallVector<Value>()> body);
  /// Builds `body` around each work item of the block.
  void forEachItem(llvm::function_ref<void(Value)> body) {
    forEachItem(shell.items, body);
  }
  /// The same where only the first `count` have anything to do.
  void forEachItem(Value count, llvm::function_ref<void(Value)> body);

  //===--- Threads ---===//

  Value thread() { return mlir::NVVM::ThreadIdXOp::create(b, b.getI32Type()); }
  Value lane() { return rem(thread(), 32); }
  Value warp() { return div(thread(), 32); }
  /// All threads of the block have come here, and see what the others wrote.
  void barrier() { mlir::NVVM::Barrier0Op::create(b); }
  /// The value of the lane whose number differs in `mask`; all lanes take part.
  Value exchange(Value value, int64_t mask);
  /// The value of lane `source` (i32).
  Value fromLane(Value value, Value source);
  /// Combines the values of `lanes` neighbouring lanes (a power of two), in all
  /// of them, in an order that does not depend on the lane.
  Value reduceLanes(Value value, int64_t lanes,
                    llvm::function_ref<Value(Value, Value)> combine);
  Value sumOfWarp(Value value) {
    return reduceLanes(value, 32, [&](Value x, Value y) { return addF(x, y); });
  }
  /// Combines the values of all threads of the block, in all of them. Every
  /// thread must come here; `scratch` is shared memory of 4 bytes a warp, which
  /// the block may use again once all threads have passed a barrier.
  Value reduceBlock(Value value, Value scratch,
                    llvm::function_ref<Value(Value, Value)> combine);

  /// Of as many things as the block has threads, how many that are kept come
  /// before this thread's, and how many there are. Every thread must come here;
  /// `scratch` as above.
  std::pair<Value, Value> countKept(Value isKept, Value scratch);

  mlir::ImplicitLocOpBuilder &b;
  KernelShell &shell;

private:
  Value shared;
};

} // namespace coppice::nvptx

#endif // COPPICE_LIB_CODEGEN_NVPTX_KERNELBUILDER_H
