// See cache_flush.h and streaming_buffer.h.
#include "runtime/bench/cache_flush.h"

#include "runtime/base/concat.h"
#include "runtime/bench/host.h"
#include "runtime/bench/probe_kernels.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <thread>
#include <vector>

#include <sys/mman.h>

namespace coppice::rt {

Result<StreamingBuffer> StreamingBuffer::create(size_t bytes) {
  constexpr size_t hugePage = size_t(2) << 20;
  size_t size = (bytes + hugePage - 1) / hugePage * hugePage;
  void *memory = mmap(nullptr, size, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED)
    return outOfMemory(concat("expected ", size,
                              " bytes to stream through: ", strerror(errno)));
  madvise(memory, size, MADV_HUGEPAGE);
  // Untouched pages all are the one zero page, which stays in the cache.
  float *data = static_cast<float *>(memory);
  std::fill(data, data + size / sizeof(float), 1.0f);
  return StreamingBuffer(memory, size);
}

StreamingBuffer::~StreamingBuffer() {
  if (memory)
    munmap(memory, size);
}

Result<CacheFlush> CacheFlush::create(int64_t cacheBytes) {
  Result<StreamingBuffer> buffer =
      StreamingBuffer::create(4 * static_cast<size_t>(cacheBytes));
  if (!buffer)
    return buffer.status();
  return CacheFlush(std::move(*buffer));
}

static volatile float sink;

void CacheFlush::run() const {
  // Shares overlap where many CPUs would make them smaller than a core's own
  // caches.
  constexpr size_t least = size_t(16) << 20;
  std::vector<int> cpus = allowedCpus();
  size_t share =
      std::min(buffer.bytes(), std::max(least, buffer.bytes() / cpus.size()));
  share = share / 8192 * 8192;
  auto read = [&](size_t i) {
    pinThread(cpus[i]);
    size_t room = buffer.bytes() - share;
    size_t offset = cpus.size() > 1 ? room * i / (cpus.size() - 1) : 0;
    sink = probeKernels().readOneStream(buffer.data() + offset / 8192 * 8192 /
                                                            sizeof(float),
                                        share / sizeof(float));
  };
  std::vector<std::thread> readers;
  for (size_t i = 0; i < cpus.size(); ++i)
    readers.emplace_back(read, i);
  for (std::thread &reader : readers)
    reader.join();
}

} // namespace coppice::rt
