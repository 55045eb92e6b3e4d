// Decisions of the fast program's routers, held against the oracle's scores.
#ifndef COPPICE_RUNTIME_VERIFY_RULINGS_H
#define COPPICE_RUNTIME_VERIFY_RULINGS_H

#include "runtime/verify/comparison.h"

#include <cstdint>
#include <span>

namespace coppice::rt {

/// Puts what came of the present step's decisions into the report: `given` and
/// `masks` of the comparison, for rows of these slots.
void recordRoutes(Comparison &comparison, std::span<const int32_t> slots);

} // namespace coppice::rt

#endif
