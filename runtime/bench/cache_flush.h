// Puts everything that a program has touched out of the caches, by reading
// something else: 4x the last-level cache, from every CPU in reach, so that the
// cores' own caches are emptied too.
#ifndef COPPICE_RUNTIME_BENCH_CACHE_FLUSH_H
#define COPPICE_RUNTIME_BENCH_CACHE_FLUSH_H

#include "runtime/bench/streaming_buffer.h"

#include <cstdint>

namespace coppice::rt {

class CacheFlush {
public:
  static Result<CacheFlush> create(int64_t cacheBytes);
  void run() const;

  /// What it reads.
  const StreamingBuffer &stream() const { return buffer; }

private:
  explicit CacheFlush(StreamingBuffer buffer) : buffer(std::move(buffer)) {}
  StreamingBuffer buffer;
};

} // namespace coppice::rt

#endif
