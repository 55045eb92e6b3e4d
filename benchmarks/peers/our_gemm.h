// Our own kernels as one side of the comparison: compiled here, run over the
// runtime's thread pool as a dispatch of a program is.
#ifndef COPPICE_BENCHMARKS_PEERS_OUR_GEMM_H
#define COPPICE_BENCHMARKS_PEERS_OUR_GEMM_H

#include "benchmarks/peers/gemm_side.h"

namespace coppice::bench {

/// `isa`: as `compile --isa`.
std::unique_ptr<GemmLibrary> ourKernels(const std::string &isa);

} // namespace coppice::bench

#endif
