// Where pruning is predicted to cost more than it saves.
#ifndef COPPICE_RUNTIME_COSTMODEL_ADVICE_H
#define COPPICE_RUNTIME_COSTMODEL_ADVICE_H

#include "runtime/costmodel/estimate.h"

namespace coppice::rt {

/// A sublayer that is pruned at run time ("layers.3.mlp"; "layers.3" where one
/// route decides for both) and what is predicted to come of it: less than 1.
struct Advice {
  std::string site;
  double predictedSpeedup = 1;
};

/// The sublayers whose dispatches, with routers, decisions, lists and masks,
/// are predicted to take longer than in the dense program, in the order of the
/// program; what rounds to 1.00 is left out.
std::vector<Advice> adviseAgainst(const Program &dense,
                                  const Estimate &denseEstimate,
                                  const Program &pruned,
                                  const Estimate &prunedEstimate);

/// "do not prune here: layers.*.mlp: predicted 0.93x at M = 16", a line for all
/// that are alike.
std::vector<std::string> describeAdvice(const std::vector<Advice> &advice,
                                        const Program &pruned, int64_t rows);

} // namespace coppice::rt

#endif
