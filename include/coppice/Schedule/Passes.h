// Passes from a propagated model to an exec program; see Passes.td.
#ifndef COPPICE_SCHEDULE_PASSES_H
#define COPPICE_SCHEDULE_PASSES_H

#include "coppice/Dialect/Exec/IR/Exec.h"
#include "coppice/Dialect/Prune/IR/Prune.h"
#include "mlir/IR/BuiltinOps.h"
#include "mlir/Pass/Pass.h"

namespace mlir::linalg {
class LinalgDialect;
}
namespace mlir::memref {
class MemRefDialect;
}
namespace mlir::func {
class FuncDialect;
}
namespace mlir::tensor {
class TensorDialect;
}
namespace mlir::arith {
class ArithDialect;
}

namespace coppice {

#define GEN_PASS_DECL
#include "coppice/Schedule/Passes.h.inc"

#define GEN_PASS_REGISTRATION
#include "coppice/Schedule/Passes.h.inc"

} // namespace coppice

#endif // COPPICE_SCHEDULE_PASSES_H
