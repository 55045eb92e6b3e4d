//===- Memory.cpp - buffers, and who touched their bytes ------------------===//

#include "Memory.h"
#include "llvm/Support/MathExtras.h"
#include <array>

namespace coppice::emulator {

void Shadow::forgetAccesses() {
  for (std::unique_ptr<Page> &page : pages) {
    if (!page)
      continue;
    for (Cell &cell : *page) {
      bool initialized = cell.initialized;
      cell = Cell();
      cell.initialized = initialized;
    }
  }
}

uint64_t GlobalMemory::add(llvm::StringRef name, uint8_t *data, uint64_t bytes,
                           bool initialized, bool writable,
                           uint64_t alignment) {
  // An odd multiple of the alignment: whoever assumes more finds less.
  uint64_t address = ((buffers.size() + 1) << kBufferShift) + alignment;
  buffers.push_back({name.str(), data, address, bytes, writable, initialized,
                     Shadow(bytes, initialized)});
  return address;
}

Buffer *GlobalMemory::near(uint64_t address) {
  uint64_t index = address >> kBufferShift;
  if (index == 0 || index > buffers.size())
    return nullptr;
  return &buffers[index - 1];
}

void GlobalMemory::forgetAccesses() {
  for (Buffer &buffer : buffers)
    buffer.shadow.forgetAccesses();
}

} // namespace coppice::emulator
