// Passes of the decoder dialect; what each does is in Passes.td.
#ifndef COPPICE_DIALECT_DECODER_TRANSFORMS_PASSES_H
#define COPPICE_DIALECT_DECODER_TRANSFORMS_PASSES_H

#include "mlir/IR/BuiltinOps.h"
#include "mlir/Pass/Pass.h"

namespace coppice::decoder {

/// Checks the contract of a model's module, as the pass `decoder-check-model`
/// does, and reports every violation as an error.
mlir::LogicalResult checkModel(mlir::ModuleOp module);

#define GEN_PASS_DECL
#define GEN_PASS_REGISTRATION
#include "coppice/Dialect/Decoder/Transforms/Passes.h.inc"

} // namespace coppice::decoder

#endif // COPPICE_DIALECT_DECODER_TRANSFORMS_PASSES_H
