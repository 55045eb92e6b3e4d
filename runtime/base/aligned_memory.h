// Zeroed memory that starts on a cache line (64 bytes) or, when large, on a
// page. Pages come from the system on first touch, so that the part of a big
// arena that no step uses costs nothing.
#ifndef COPPICE_RUNTIME_BASE_ALIGNED_MEMORY_H
#define COPPICE_RUNTIME_BASE_ALIGNED_MEMORY_H

#include "runtime/base/status.h"

#include <cstddef>
#include <cstdint>

namespace coppice::rt {

// Alignment of weights, states, buffers and step fields, in bytes.
constexpr int64_t bufferAlignment = 64;

class AlignedMemory {
public:
  static Result<AlignedMemory> allocate(int64_t bytes);

  AlignedMemory() = default;
  AlignedMemory(AlignedMemory &&other) noexcept;
  AlignedMemory &operator=(AlignedMemory &&other) noexcept;
  ~AlignedMemory();

  // Not null, even for 0 bytes, once allocated.
  std::byte *data() const { return start; }
  int64_t size() const { return bytes; }

private:
  std::byte *start = nullptr;
  int64_t bytes = 0;
  size_t mapped = 0;
};

} // namespace coppice::rt

#endif
