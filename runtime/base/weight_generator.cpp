#include "runtime/base/weight_generator.h"

namespace coppice::rt {

void generateRows(const WeightGenerator &generator, const PackedLayout &layout,
                  DType dtype, void *target, int64_t rowBegin, int64_t rowEnd) {
  layout.forEachRun(rowBegin, rowEnd, [&](const PackedLayout::Run &run) {
    for (int64_t i = 0; i < run.count; ++i)
      storeFromF32(dtype, target, run.place(i), generator(run.source + i));
  });
}

} // namespace coppice::rt
