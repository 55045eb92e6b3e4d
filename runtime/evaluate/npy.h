// An array of f32 comes in, the bytes of NumPy's .npy format (version 1.0) go
// out. https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html
#ifndef COPPICE_RUNTIME_EVALUATE_NPY_H
#define COPPICE_RUNTIME_EVALUATE_NPY_H

#include "runtime/base/status.h"

#include <cstdint>
#include <span>
#include <string>

namespace coppice::rt {

/// The header of a row-major little-endian f32 array [rows, columns]; its
/// length is a multiple of 64, so that the data behind it is aligned.
std::string npyHeader(int64_t rows, int64_t columns);

/// Replaces the file `path` atomically. values has rows * columns elements.
Status writeNpy(const std::string &path, std::span<const float> values,
                int64_t rows, int64_t columns);

} // namespace coppice::rt

#endif
