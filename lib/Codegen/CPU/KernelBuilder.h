//===- KernelBuilder.h - what builders of kernels share ---------*- C++ -*-===//
//
// The base of the classes that build the body of a kernel: its arguments,
// arithmetic on indices, and loops. Nothing here knows what is computed.
//
//===----------------------------------------------------------------------===//

#ifndef COPPICE_LIB_CODEGEN_CPU_KERNELBUILDER_H
#define COPPICE_LIB_CODEGEN_CPU_KERNELBUILDER_H

#include "KernelShell.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "mlir/IR/ImplicitLocOpBuilder.h"

namespace coppice {

class KernelBuilder {
protected:
  using Value = mlir::Value;

  KernelBuilder(mlir::ImplicitLocOpBuilder &b, const KernelShell &shell)
      : b(b), shell(shell) {}

  /// The memory of an argument of the tensor-level kernel.
  mlir::TypedValue<mlir::MemRefType> argumentOf(Value tensor) {
    return shell
        .arguments[mlir::cast<mlir::BlockArgument>(tensor).getArgNumber()];
  }

  Value index(int64_t value) {
    return mlir::arith::ConstantIndexOp::create(b, value);
  }
  Value f32(float value) {
    return mlir::arith::ConstantOp::create(b, b.getF32FloatAttr(value));
  }
  Value zeros(mlir::VectorType type) {
    return mlir::arith::ConstantOp::create(b, b.getZeroAttr(type));
  }
  Value splat(Value value, mlir::VectorType type) {
    return mlir::vector::BroadcastOp::create(b, type, value);
  }

  Value add(Value lhs, Value rhs) {
    return mlir::arith::AddIOp::create(b, lhs, rhs);
  }
  Value add(Value lhs, int64_t rhs) {
    return rhs == 0 ? lhs : add(lhs, index(rhs));
  }
  Value sub(Value lhs, Value rhs) {
    return mlir::arith::SubIOp::create(b, lhs, rhs);
  }
  Value mul(Value lhs, int64_t rhs) {
    return rhs == 1
               ? lhs
               : mlir::arith::MulIOp::create(b, lhs, index(rhs)).getResult();
  }
  /// Division and remainder of what is not negative.
  Value div(Value lhs, int64_t rhs) {
    return rhs == 1
               ? lhs
               : mlir::arith::DivUIOp::create(b, lhs, index(rhs)).getResult();
  }
  Value rem(Value lhs, int64_t rhs) {
    return mlir::arith::RemUIOp::create(b, lhs, index(rhs));
  }
  Value min(Value lhs, Value rhs) {
    return mlir::arith::MinSIOp::create(b, lhs, rhs);
  }
  Value max(Value lhs, Value rhs) {
    return mlir::arith::MaxSIOp::create(b, lhs, rhs);
  }

  /// Builds `for iv = from; iv < to; iv += step` around `body`.
  void loop(Value from, Value to, int64_t step,
            llvm::function_ref<void(Value)> body) {
    auto loop = mlir::scf::ForOp::create(b, from, to, index(step));
    mlir::OpBuilder::InsertionGuard guard(b);
    b.setInsertionPoint(loop.getBody()->getTerminator());
    body(loop.getInductionVar());
  }

  /// The same with values carried from one iteration to the next.
  mlir::ValueRange
  loop(Value from, Value to, int64_t step, mlir::ValueRange carried,
       llvm::function_ref<llvm::SmallVector<Value>(Value, mlir::ValueRange)>
           body) {
    auto loop = mlir::scf::ForOp::create(b, from, to, index(step), carried);
    mlir::OpBuilder::InsertionGuard guard(b);
    b.setInsertionPointToEnd(loop.getBody());
    mlir::scf::YieldOp::create(
        b, body(loop.getInductionVar(), loop.getRegionIterArgs()));
    return loop.getResults();
  }

  /// Builds `body` around each row below `extent` of the call's work items, of
  /// `rows` rows each.
  void forEachRow(Value extent, int64_t rows,
                  llvm::function_ref<void(Value)> body) {
    loop(mul(shell.begin, rows), min(mul(shell.end, rows), extent), 1, body);
  }

  /// Where the share of a call that begins at `bound` of `all` work items
  /// begins among the `kept` ones: a grid is that of everything, whatever a set
  /// keeps.
  Value portionOf(Value bound, Value kept, Value all) {
    return mlir::arith::DivUIOp::create(
        b, mlir::arith::MulIOp::create(b, bound, kept), max(all, index(1)));
  }

  /// A mask of the first `kept` of `lanes` lanes; null if that is all.
  Value mask(int64_t kept, int64_t lanes) {
    if (kept >= lanes)
      return {};
    llvm::SmallVector<bool> bits(lanes);
    std::fill(bits.begin(), bits.begin() + kept, true);
    return mlir::arith::ConstantOp::create(
        b, mlir::DenseElementsAttr::get(
               mlir::VectorType::get(lanes, b.getI1Type()),
               llvm::ArrayRef<bool>(bits)));
  }

  /// Memory of the kernel's own, on the stack.
  Value onStack(llvm::ArrayRef<int64_t> shape, mlir::Type element) {
    return mlir::memref::AllocaOp::create(
        b, mlir::MemRefType::get(shape, element), b.getI64IntegerAttr(64));
  }

  mlir::ImplicitLocOpBuilder &b;
  const KernelShell &shell;
};

} // namespace coppice

#endif // COPPICE_LIB_CODEGEN_CPU_KERNELBUILDER_H
