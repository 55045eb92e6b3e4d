// See gemm_shapes.h. The shapes are those of the presets of the same names.
#include "benchmarks/peers/gemm_shapes.h"

namespace coppice::bench {

static constexpr WeightShape shapes[] = {
    {"llama-3.2-1b", "q,o", 2048, 2048},
    {"llama-3.2-1b", "k,v", 512, 2048},
    {"llama-3.2-1b", "gate,up", 8192, 2048},
    {"llama-3.2-1b", "down", 2048, 8192},
    {"llama-3.2-1b", "lm_head", 128256, 2048, /*head=*/true},
    {"llama-3.1-8b", "q,o", 4096, 4096},
    {"llama-3.1-8b", "k,v", 1024, 4096},
    {"llama-3.1-8b", "gate,up", 14336, 4096},
    {"llama-3.1-8b", "down", 4096, 14336},
    {"llama-3.1-8b", "lm_head", 128256, 4096, /*head=*/true},
    {"qwen3-0.6b", "q", 2048, 1024},
    {"qwen3-0.6b", "k,v", 1024, 1024},
    {"qwen3-0.6b", "o", 1024, 2048},
    {"qwen3-0.6b", "gate,up", 3072, 1024},
    {"qwen3-0.6b", "down", 1024, 3072},
    {"qwen3-0.6b", "lm_head", 151936, 1024, /*head=*/true},
};

std::span<const WeightShape> weightShapes() { return shapes; }

} // namespace coppice::bench
