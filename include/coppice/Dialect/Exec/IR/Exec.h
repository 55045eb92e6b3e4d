//===- Exec.h - the exec dialect --------------------------------*- C++ -*-===//
// What will run: see ExecDialect.td. This header adds the symbol list and the
// few helpers that every producer and consumer of expressions needs.
//===----------------------------------------------------------------------===//
#ifndef COPPICE_DIALECT_EXEC_IR_EXEC_H
#define COPPICE_DIALECT_EXEC_IR_EXEC_H

#include "mlir/Bytecode/BytecodeOpInterface.h"
#include "mlir/IR/AffineMap.h"
#include "mlir/IR/BuiltinAttributes.h"
#include "mlir/IR/BuiltinTypes.h"
#include "mlir/IR/Dialect.h"
#include "mlir/IR/OpDefinition.h"
#include "mlir/IR/OpImplementation.h"
#include "mlir/IR/RegionKindInterface.h"
#include "mlir/IR/SymbolTable.h"
#include "mlir/Interfaces/SideEffectInterfaces.h"

#include "runtime/base/nm_layout.h"
#include <optional>

#include "coppice/Dialect/Exec/IR/ExecDialect.h.inc"
#include "coppice/Dialect/Exec/IR/ExecEnums.h.inc"
#define GET_ATTRDEF_CLASSES
#include "coppice/Dialect/Exec/IR/ExecAttributes.h.inc"
#define GET_OP_CLASSES
#include "coppice/Dialect/Exec/IR/ExecOps.h.inc"

namespace coppice::exec {

/// The symbols of every expression, in the order of the kernel ABI.
enum class Symbol : unsigned {
  rows,
  headRows,
  slots,
  context,
  attended,
  cached
};
inline constexpr unsigned numSymbols = 6;

/// "rows", "head_rows", ... in order.
llvm::ArrayRef<llvm::StringRef> getSymbolNames();
std::optional<unsigned> getSymbolIndex(llvm::StringRef name);

/// `symbol` as an expression.
mlir::AffineExpr getSymbolExpr(mlir::MLIRContext *context, Symbol symbol);
/// `expr` as a map over the six symbols.
mlir::AffineMapAttr getExprAttr(mlir::AffineExpr expr);

/// An extent of a shape (`64` or `"rows"`) as an expression; null if it is
/// neither.
mlir::AffineExpr getExtentExpr(mlir::Attribute extent);
/// The number of elements of a shape of extents.
mlir::AffineExpr getElementCount(mlir::ArrayAttr shape);

/// The extents of a value of an exec.program: the declared ones, integers for
/// weights.
mlir::ArrayAttr getExtents(mlir::Value value);

/// Bytes of an element; 0 for types that no program can hold.
int64_t getElementBytes(mlir::Type type);

/// Names of the attributes that kernels carry.
inline constexpr llvm::StringLiteral dimsAttrName = "exec.dims";
inline constexpr llvm::StringLiteral packingAttrName = "exec.packing";
inline constexpr llvm::StringLiteral kindAttrName = "exec.kind";
inline constexpr llvm::StringLiteral configAttrName = "exec.config";
/// On a kernel with one more argument than its function has: the bytes of its
/// workspace, as an expression.
inline constexpr llvm::StringLiteral workspaceAttrName = "exec.workspace";
/// On a kernel that counts its own work items: their number, as an expression.
inline constexpr llvm::StringLiteral gridAttrName = "exec.grid";
/// On the code of a GPU kernel: threads of a block.
inline constexpr llvm::StringLiteral threadsAttrName = "exec.threads";
/// On the code of a GPU kernel: bytes of dynamic shared memory of a block.
inline constexpr llvm::StringLiteral sharedAttrName = "exec.shared_bytes";
/// The nested module that holds the kernels.
inline constexpr llvm::StringLiteral kernelsModuleName = "kernels";

} // namespace coppice::exec

#endif // COPPICE_DIALECT_EXEC_IR_EXEC_H
