// Plans that nobody would write: any mix of the families.
#ifndef COPPICE_TEST_COMPOSE_RANDOMPLAN_H
#define COPPICE_TEST_COMPOSE_RANDOMPLAN_H

#include "mlir/IR/BuiltinOps.h"

#include <cstdint>
#include <string>

namespace coppice {

/// Adds a plan to a dense module, the same for the same seed, and says in a
/// line what it is made of. Sizes are of a few, so that plans share kernels;
/// which indices are kept is not. `directory` is where the module's weights are
/// found. Fails, with a diagnostic, where there is a fault.
mlir::FailureOr<std::string> addRandomPlan(mlir::ModuleOp module, uint64_t seed,
                                           const std::string &directory);

} // namespace coppice

#endif // COPPICE_TEST_COMPOSE_RANDOMPLAN_H
