// The decoder dialect: ops, attributes, and the names of its discardable
// attributes. See DecoderDialect.td for what the dialect is.
#ifndef COPPICE_DIALECT_DECODER_IR_DECODER_H
#define COPPICE_DIALECT_DECODER_IR_DECODER_H

#include "mlir/Bytecode/BytecodeOpInterface.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/IR/BuiltinAttributes.h"
#include "mlir/IR/BuiltinTypes.h"
#include "mlir/IR/Dialect.h"
#include "mlir/IR/OpDefinition.h"
#include "mlir/IR/OpImplementation.h"
#include "mlir/Interfaces/DestinationStyleOpInterface.h"
#include "mlir/Interfaces/InferTypeOpInterface.h"
#include "mlir/Interfaces/SideEffectInterfaces.h"

namespace coppice::decoder {
/// On a module: its `#decoder.model`.
inline constexpr llvm::StringLiteral kModelAttrName = "decoder.model";
/// On a module: SHA-256 of weight files beside the imported one, by the paths
/// that `#decoder.file` names.
inline constexpr llvm::StringLiteral kFilesAttrName = "decoder.files";
/// On a module: its `#decoder.rope`.
inline constexpr llvm::StringLiteral kRopeAttrName = "decoder.rope";
/// On an `ml_program.global`: `#decoder.file` or `#decoder.generated`.
inline constexpr llvm::StringLiteral kSourceAttrName = "decoder.source";
/// On an argument of the step: "tokens", "slots", "positions" or "head_rows".
inline constexpr llvm::StringLiteral kStepAttrName = "decoder.step";
/// On an argument of the step: the name of the KV cache, as "layers.0.k".
inline constexpr llvm::StringLiteral kCacheAttrName = "decoder.cache";

/// Whether weights and caches may have this element type: f32, f16, bf16.
inline bool isStorageType(mlir::Type type) {
  return type.isF32() || type.isF16() || type.isBF16();
}

/// The hash that the file at `path`, as `#decoder.file` names it, must have by
/// what the module says of it; empty: it says nothing.
llvm::StringRef getFileSha256(mlir::Operation *module, llvm::StringRef path);

// TableGen writes the signature of AggregatedOpInterface unqualified.
using llvm::FailureOr;
using llvm::SmallVector;
using mlir::OpBuilder;
using mlir::Value;

namespace detail {
/// The type of a vector with one i32 for each row of `rows`.
mlir::Type getIndexPerRowType(mlir::Type rows);
mlir::FailureOr<mlir::FloatAttr> parseDouble(mlir::AsmParser &parser);
} // namespace detail
} // namespace coppice::decoder

#include "coppice/Dialect/Decoder/IR/DecoderDialect.h.inc"
#define GET_ATTRDEF_CLASSES
#include "coppice/Dialect/Decoder/IR/DecoderAttributes.h.inc"
#define GET_OP_CLASSES
#include "coppice/Dialect/Decoder/IR/DecoderOps.h.inc"

#endif // COPPICE_DIALECT_DECODER_IR_DECODER_H
