// Looks for NaN and infinity in arrays, at memory speed.
#ifndef COPPICE_RUNTIME_BASE_FINITE_H
#define COPPICE_RUNTIME_BASE_FINITE_H

#include "runtime/base/dtype.h"

#include <cstdint>

namespace coppice::rt {

// Index of the first element that is NaN or infinite in [begin, end), or `end`.
// The array may have any alignment.
int64_t firstNonFinite(DType dtype, const void *data, int64_t begin,
                       int64_t end);

} // namespace coppice::rt

#endif
