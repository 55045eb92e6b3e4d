// OpenBLAS as a peer: sgemm, and sgemv for one row. It packs the weight anew in
// each call; the weight is given in the order that turns out faster.
#ifndef COPPICE_BENCHMARKS_PEERS_OPENBLAS_H
#define COPPICE_BENCHMARKS_PEERS_OPENBLAS_H

#include "benchmarks/peers/gemm_side.h"

namespace coppice::bench {

/// Its core type is set before it is loaded, since Debian's takes no AVX-512
/// kernels on CPUs that it does not know; OPENBLAS_CORETYPE overrides.
Result<std::unique_ptr<GemmLibrary>> loadOpenBLAS(const std::string &path);

} // namespace coppice::bench

#endif
