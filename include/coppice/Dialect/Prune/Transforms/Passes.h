// Passes from the prune dialect to itself.
#ifndef COPPICE_DIALECT_PRUNE_TRANSFORMS_PASSES_H
#define COPPICE_DIALECT_PRUNE_TRANSFORMS_PASSES_H

#include "mlir/IR/BuiltinOps.h"
#include "mlir/Pass/Pass.h"

namespace coppice::prune {

#define GEN_PASS_DECL
#include "coppice/Dialect/Prune/Transforms/Passes.h.inc"

#define GEN_PASS_REGISTRATION
#include "coppice/Dialect/Prune/Transforms/Passes.h.inc"

} // namespace coppice::prune

#endif // COPPICE_DIALECT_PRUNE_TRANSFORMS_PASSES_H
