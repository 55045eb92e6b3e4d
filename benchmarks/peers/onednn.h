// oneDNN as a peer: matmul with weights in the layout that it picks itself
// (format_tag::any), packed once, the primitive and its scratchpad kept.
//
// The functions of its C interface that are needed are declared in onednn.cpp,
// for versions 2 and 3, and looked up in the library that is given.
#ifndef COPPICE_BENCHMARKS_PEERS_ONEDNN_H
#define COPPICE_BENCHMARKS_PEERS_ONEDNN_H

#include "benchmarks/peers/gemm_side.h"

namespace coppice::bench {

Result<std::unique_ptr<GemmLibrary>> loadOneDNN(const std::string &path);

} // namespace coppice::bench

#endif
