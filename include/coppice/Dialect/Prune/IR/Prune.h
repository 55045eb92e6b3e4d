// The `prune` dialect: keep-sets, plans, projections and GEMM sites.
#ifndef COPPICE_DIALECT_PRUNE_IR_PRUNE_H
#define COPPICE_DIALECT_PRUNE_IR_PRUNE_H

#include "mlir/Bytecode/BytecodeOpInterface.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/IR/BuiltinAttributes.h"
#include "mlir/IR/BuiltinTypes.h"
#include "mlir/IR/Dialect.h"
#include "mlir/IR/OpDefinition.h"
#include "mlir/IR/OpImplementation.h"
#include "mlir/IR/SymbolTable.h"
#include "mlir/Interfaces/ControlFlowInterfaces.h"
#include "mlir/Interfaces/InferTypeOpInterface.h"
#include "mlir/Interfaces/SideEffectInterfaces.h"
#include "llvm/ADT/Hashing.h"

namespace coppice::prune {

/// Granules begin, begin + 1, .., end - 1.
struct IndexRange {
  int64_t begin, end;
  int64_t size() const { return end - begin; }
  friend bool operator==(const IndexRange &, const IndexRange &) = default;
  friend llvm::hash_code hash_value(const IndexRange &range) {
    return llvm::hash_combine(range.begin, range.end);
  }
};

class SetAttr;

// TableGen writes the signature of AggregatedOpInterface unqualified.
using llvm::FailureOr;
using llvm::SmallVector;
using mlir::OpBuilder;
using mlir::Value;

/// Reads keep-sets that lie outside of the IR. Implemented where plans are
/// applied, so that the dialect itself touches no file.
class SetFileReader {
public:
  virtual ~SetFileReader() = default;
  /// The kept indices of a dimension of `count`, ascending and unique.
  virtual mlir::FailureOr<llvm::SmallVector<int64_t>>
  read(llvm::StringRef path, llvm::StringRef key, int64_t count,
       llvm::function_ref<mlir::InFlightDiagnostic()> emitError) = 0;
};

} // namespace coppice::prune

#include "coppice/Dialect/Prune/IR/PruneDialect.h.inc"
#include "coppice/Dialect/Prune/IR/PruneEnums.h.inc"

#include "coppice/Dialect/Prune/IR/PruneAttrInterfaces.h.inc"
#include "coppice/Dialect/Prune/IR/PruneOpInterfaces.h.inc"

#define GET_ATTRDEF_CLASSES
#include "coppice/Dialect/Prune/IR/PruneAttributes.h.inc"

namespace coppice::prune {
/// `bottleneck(16)`, as plans have it.
mlir::ParseResult parseRouter(mlir::AsmParser &parser, RouterAttr &router);
void printRouter(mlir::AsmPrinter &printer, mlir::Operation *op,
                 RouterAttr router);
} // namespace coppice::prune

#define GET_OP_CLASSES
#include "coppice/Dialect/Prune/IR/PruneOps.h.inc"

#endif // COPPICE_DIALECT_PRUNE_IR_PRUNE_H
