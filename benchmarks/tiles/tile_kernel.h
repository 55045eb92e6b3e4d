// One product on a GPU, compiled for a tile.
#ifndef COPPICE_BENCHMARKS_TILES_TILE_KERNEL_H
#define COPPICE_BENCHMARKS_TILES_TILE_KERNEL_H

#include "coppice/Codegen/NVPTX/GemmConfig.h"
#include "coppice/Target/AssemblePTX.h"

namespace coppice::bench {

/// What the kernel of a 4096 x 4096 product of bf16 takes on sm_80, with the
/// most that goes by registers: a list of rows and a residual. Fails, with a
/// message on stderr, where it does not compile, or not without a warning.
std::optional<KernelResources> compileTile(const nvptx::GemmConfig &config,
                                           llvm::StringRef ptxas);

} // namespace coppice::bench

#endif
