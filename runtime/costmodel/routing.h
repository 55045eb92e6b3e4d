// What a dispatch is to dynamic pruning: work that is pruned, or work that
// pruning adds.
#ifndef COPPICE_RUNTIME_COSTMODEL_ROUTING_H
#define COPPICE_RUNTIME_COSTMODEL_ROUTING_H

#include "runtime/bundle/program.h"

namespace coppice::rt {

enum class Part {
  Gemm,       ///< products of the model
  Router,     ///< what makes scores
  Compaction, ///< decisions, and their lists of rows
  Other
};
constexpr int partCount = 4;
const char *nameOf(Part part); ///< "gemm", ..

/// A router is what makes a route's scores: the dispatch with that value or
/// site, and those whose site is a step of it ("layers.0.mlp.router.down").
Part partOf(const Program &program, size_t dispatch);

/// Is it there because of pruning alone?
bool isAddedByRouting(const Program &program, size_t dispatch);

} // namespace coppice::rt

#endif
