#include "runtime/base/aligned_memory.h"

#include "runtime/base/checked.h"
#include "runtime/base/concat.h"

#include <cerrno>
#include <cstring>
#include <sys/mman.h>
#include <utility>

namespace coppice::rt {

Result<AlignedMemory> AlignedMemory::allocate(int64_t bytes) {
  constexpr int64_t pageSize = 4096, hugePageSize = int64_t(2) << 20;
  auto rounded = checkedAlign(bytes > 0 ? bytes : 1, pageSize);
  if (bytes < 0 || !rounded)
    return outOfMemory(concat("cannot allocate ", bytes, " bytes"));
  void *address = ::mmap(nullptr, size_t(*rounded), PROT_READ | PROT_WRITE,
                         MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (address == MAP_FAILED)
    return outOfMemory(
        concat("cannot allocate ", bytes, " bytes: ", std::strerror(errno)));
  // Huge pages halve the time of a cold pass over weights; only a hint.
  if (*rounded >= hugePageSize)
    ::madvise(address, size_t(*rounded), MADV_HUGEPAGE);
  AlignedMemory memory;
  memory.start = static_cast<std::byte *>(address);
  memory.bytes = bytes;
  memory.mapped = size_t(*rounded);
  return memory;
}

AlignedMemory::AlignedMemory(AlignedMemory &&other) noexcept
    : start(std::exchange(other.start, nullptr)),
      bytes(std::exchange(other.bytes, 0)),
      mapped(std::exchange(other.mapped, 0)) {}

AlignedMemory &AlignedMemory::operator=(AlignedMemory &&other) noexcept {
  std::swap(start, other.start);
  std::swap(bytes, other.bytes);
  std::swap(mapped, other.mapped);
  return *this;
}

AlignedMemory::~AlignedMemory() {
  if (start)
    ::munmap(start, mapped);
}

} // namespace coppice::rt
