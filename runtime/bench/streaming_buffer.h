// Memory to stream through: touched, and in huge pages where the system gives
// them.
#ifndef COPPICE_RUNTIME_BENCH_STREAMING_BUFFER_H
#define COPPICE_RUNTIME_BENCH_STREAMING_BUFFER_H

#include "runtime/base/status.h"

#include <cstddef>
#include <utility>

namespace coppice::rt {

class StreamingBuffer {
public:
  /// At least `bytes`, rounded up to whole huge pages.
  static Result<StreamingBuffer> create(size_t bytes);

  StreamingBuffer(StreamingBuffer &&other) noexcept
      : memory(std::exchange(other.memory, nullptr)), size(other.size) {}
  StreamingBuffer &operator=(StreamingBuffer &&) = delete;
  ~StreamingBuffer();

  const float *data() const { return static_cast<const float *>(memory); }
  size_t bytes() const { return size; }

private:
  StreamingBuffer(void *memory, size_t size) : memory(memory), size(size) {}

  void *memory;
  size_t size;
};

} // namespace coppice::rt

#endif
