// Places blocks of memory that live for a while so that no two that live at the
// same time overlap.
#ifndef COPPICE_SCHEDULE_MEMORYLAYOUT_H
#define COPPICE_SCHEDULE_MEMORYLAYOUT_H

#include "llvm/ADT/ArrayRef.h"
#include <cstdint>

namespace coppice {

struct MemoryInterval {
  int64_t size;        ///< in any unit
  int64_t first, last; ///< positions in the program, both included
  int64_t offset;      ///< set by placeIntervals
};

/// Sets every offset and returns the size of the whole. Largest first, each at
/// the lowest gap that is free during its life; quadratic in the number of
/// intervals at worst.
int64_t placeIntervals(llvm::MutableArrayRef<MemoryInterval> intervals);

} // namespace coppice

#endif // COPPICE_SCHEDULE_MEMORYLAYOUT_H
