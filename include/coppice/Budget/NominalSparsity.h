// From what a plan is to remove to the sparsity that its family is given.
//
// Sparsity is nominal: half of the sublayers, heads, channels or hidden
// dimensions. It leaves the head, and of attention what no family touches, so
// that plans of one nominal sparsity remove different shares of the work. This
// finds the nominal one by which a family removes a wanted share.
#ifndef COPPICE_BUDGET_NOMINALSPARSITY_H
#define COPPICE_BUDGET_NOMINALSPARSITY_H

#include "mlir/IR/BuiltinOps.h"

#include <cstdint>

namespace coppice {

/// What a share is of.
enum class BudgetUnit {
  FLOPs,      ///< of a prefill of `tokens` tokens: GEMMs, head and attention
  Parameters, ///< elements of all weights
};

struct Budget {
  BudgetUnit unit = BudgetUnit::FLOPs;
  double share = 0;     ///< to be removed, from 0 to below 1
  int64_t tokens = 512; ///< of the prefill
  double most = 1;      ///< sparsities of the family are below this
};

struct NominalSparsity {
  double sparsity = 0; ///< from 0 to below 1
  double share = 0;    ///< what it removes: the nearest that there is
};

/// Adds to the plan of a copy of the module what a sparsity asks for.
using DecideForSparsity =
    llvm::function_ref<mlir::LogicalResult(mlir::ModuleOp, double sparsity)>;

/// Searches the sparsity that removes the share of `budget`, all decisions of
/// the module's plan included. Shares grow in steps, one for each head or 16
/// channels; of the two around the budget the nearer is taken, of equal ones
/// the smaller. An error if all but the last of everything is still too little.
/// `module` is dense, its plan not yet applied; it is left as it is.
mlir::FailureOr<NominalSparsity> findNominalSparsity(mlir::ModuleOp module,
                                                     const Budget &budget,
                                                     DecideForSparsity decide);

} // namespace coppice

#endif // COPPICE_BUDGET_NOMINALSPARSITY_H
