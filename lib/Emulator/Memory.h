//===- Memory.h - buffers, and who touched their bytes ----------*- C++ -*-===//
//
// Order is kept by vector clocks (Mattern 1989; their use for races is
// FastTrack's, Flanagan and Freund 2009): each thread counts its
// synchronizations and knows up to which count of each other thread it has
// synchronized with. An access happened before a thread's present if that
// thread knows the count that the access was made at. Barriers of any kind join
// clocks; nothing else is needed to judge races.
//
//===----------------------------------------------------------------------===//

#ifndef COPPICE_LIB_EMULATOR_MEMORY_H
#define COPPICE_LIB_EMULATOR_MEMORY_H

#include "llvm/ADT/SmallVector.h"
#include "llvm/ADT/StringRef.h"
#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace coppice::emulator {

struct Instruction;

/// LLVM's address spaces of NVPTX.
enum Space : unsigned {
  kGeneric = 0,
  kGlobal = 1,
  kShared = 3,
  kConstant = 4,
  kLocal = 5,
};

// Generic pointers: shared and local memory are windows far above all buffers.
constexpr uint64_t kSharedWindow = uint64_t(1) << 62;
constexpr uint64_t kLocalWindow = uint64_t(1) << 61;
// Distance of buffers: wrong indices fall between two of them.
constexpr unsigned kBufferShift = 40;

/// What memory is filled with before anything is written: bytes that are NaN as
/// bf16, f16 and f32.
inline uint8_t fillByte(uint64_t offset) { return offset % 2 ? 0x7f : 0xc1; }

/// Who touched a byte, at which count of the thread's synchronizations.
struct Access {
  const Instruction *at = nullptr;
  uint32_t block = 0;
  uint32_t thread = 0;
  uint32_t clock = 0;
  bool atomic = false;
};

/// What is remembered of a byte.
struct Cell {
  Access write;                       // `at` is null if there was none
  llvm::SmallVector<Access, 2> reads; // since, those that are not ordered
  uint32_t copy = 0;                  // unfinished copy that writes it, or 0
  bool initialized = false;
};

/// Cells for a range of bytes, made when first touched.
class Shadow {
public:
  Shadow() = default;
  Shadow(uint64_t bytes, bool initialized)
      : pages((bytes + kPage - 1) / kPage), initialized(initialized) {}

  Cell &at(uint64_t offset) {
    std::unique_ptr<Page> &page = pages[offset / kPage];
    if (!page) {
      page = std::make_unique<Page>();
      if (initialized)
        for (Cell &cell : *page)
          cell.initialized = true;
    }
    return (*page)[offset % kPage];
  }

  /// Forgets who touched what, but not which bytes are initialized.
  void forgetAccesses();

private:
  static constexpr uint64_t kPage = 256;
  using Page = std::array<Cell, kPage>;
  std::vector<std::unique_ptr<Page>> pages;
  bool initialized = false;
};

struct Buffer {
  std::string name;
  uint8_t *data;
  uint64_t address;
  uint64_t bytes;
  bool writable;
  bool initialized;
  Shadow shadow;

  /// Null where no access can be wrong but by its place: bytes that are there
  /// and stay as they are. That spares kernels a list of all their threads for
  /// each byte that all of them read.
  Shadow *tracked() { return writable || !initialized ? &shadow : nullptr; }
};

/// All buffers that kernels may address.
class GlobalMemory {
public:
  uint64_t add(llvm::StringRef name, uint8_t *data, uint64_t bytes,
               bool initialized, bool writable, uint64_t alignment);
  /// The buffer in whose surroundings an address lies; null for none.
  Buffer *near(uint64_t address);
  void forgetAccesses();

private:
  std::vector<Buffer> buffers;
};

} // namespace coppice::emulator

#endif // COPPICE_LIB_EMULATOR_MEMORY_H
