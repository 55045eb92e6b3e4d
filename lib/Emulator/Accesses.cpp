//===- Accesses.cpp - what loads and stores find, and whom they meet ------===//

#include "ThreadBlock.h"
#include "llvm/Support/FormatVariadic.h"
#include <cstring>

using namespace mlir;

namespace coppice::emulator {

namespace {

const char *nameOfSpace(unsigned space) {
  switch (space) {
  case kShared:
    return "shared memory";
  case kLocal:
    return "local memory";
  default:
    return "global memory";
  }
}

} // namespace

std::string ThreadBlock::nameOf(const Place &place, uint64_t byte) const {
  if (place.space == kGlobal)
    return llvm::formatv("byte {0} of '{1}'", place.offset + byte,
                         launch.memory.near(place.address)->name);
  return llvm::formatv("byte {0} of {1}", place.offset + byte,
                       nameOfSpace(place.space));
}

std::optional<ThreadBlock::Place>
ThreadBlock::find(const Thread &thread, const Instruction &at, unsigned space,
                  uint64_t address, uint64_t bytes, uint64_t alignment,
                  bool write) {
  if (space == kGeneric) {
    if (address & kSharedWindow) {
      space = kShared;
      address -= kSharedWindow;
    } else if (address & kLocalWindow) {
      space = kLocal;
      address -= kLocalWindow;
    }
  }
  const char *verb = write ? "store" : "load";
  if (alignment > 1 && address % alignment != 0) {
    fault(Fault::Kind::Misaligned, thread, at,
          llvm::formatv("{0} of {1} bytes: expected an address that is a "
                        "multiple of {2}, found {3:x}",
                        verb, bytes, alignment, address));
    return std::nullopt;
  }

  if (space == kShared || space == kLocal) {
    uint64_t size = space == kShared ? shared.size() : thread.local.size();
    if (address > size || bytes > size - address) {
      fault(Fault::Kind::OutOfBounds, thread, at,
            llvm::formatv("{0} of {1} bytes: expected a place in the {2} bytes "
                          "of {3}, found byte {4}",
                          verb, bytes, size, nameOfSpace(space), address));
      return std::nullopt;
    }
    // Local memory is the thread's own: only its loads and stores touch it.
    uint8_t *base = space == kShared
                        ? shared.data()
                        : const_cast<Thread &>(thread).local.data();
    return Place{space, base + address,
                 space == kShared ? &sharedShadow : nullptr, address, 0};
  }

  Buffer *buffer = launch.memory.near(address);
  if (!buffer) {
    fault(Fault::Kind::OutOfBounds, thread, at,
          llvm::formatv("{0} of {1} bytes: expected an address in a buffer, "
                        "found {2:x}, which is near none",
                        verb, bytes, address));
    return std::nullopt;
  }
  int64_t offset = static_cast<int64_t>(address - buffer->address);
  if (offset < 0 || static_cast<uint64_t>(offset) > buffer->bytes ||
      bytes > buffer->bytes - static_cast<uint64_t>(offset)) {
    fault(Fault::Kind::OutOfBounds, thread, at,
          llvm::formatv("{0} of {1} bytes: expected a place in the {2} bytes "
                        "of '{3}', found byte {4}",
                        verb, bytes, buffer->bytes, buffer->name, offset));
    return std::nullopt;
  }
  if (write && !buffer->writable) {
    fault(Fault::Kind::OutOfBounds, thread, at,
          llvm::formatv("store of {0} bytes: expected a buffer that may be "
                        "written, found byte {1} of '{2}', which is read-only",
                        bytes, offset, buffer->name));
    return std::nullopt;
  }
  return Place{kGlobal, buffer->data + offset, buffer->tracked(),
               static_cast<uint64_t>(offset), address};
}

bool ThreadBlock::happenedBefore(const Access &access,
                                 const Thread &thread) const {
  return access.block == blockIndex &&
         access.clock <= thread.clock[access.thread];
}

Access ThreadBlock::accessBy(const Thread &thread, const Instruction &at,
                             bool atomic) const {
  return {&at, blockIndex, thread.index, thread.clock[thread.index], atomic};
}

void ThreadBlock::reportRace(const Thread &thread, const Instruction &at,
                             const Place &place, uint64_t byte,
                             const Access &other, const char *earlier,
                             const char *now) {
  if (repeats(Fault::Kind::Race, at, other.at))
    return;
  bool sameBlock = other.block == blockIndex;
  fault(Fault::Kind::Race, thread, at,
        llvm::formatv("expected a barrier between two accesses to {0}, found "
                      "none between the {1} by {2} at {3} and this {4}",
                      nameOf(place, byte), earlier,
                      sameBlock
                          ? llvm::formatv("thread {0}", other.thread).str()
                          : llvm::formatv("thread {0} of block {1}",
                                          other.thread, other.block)
                                .str(),
                      describe(other.at->op), now),
        other.at, sameBlock ? std::optional(other.thread) : std::nullopt);
}

void ThreadBlock::noteRead(Thread &thread, const Instruction &at,
                           const Place &place, uint64_t bytes, bool atomic) {
  if (!place.shadow)
    return;
  bool races = place.space == kShared || launch.options.globalRaces;
  // Of each kind, the first byte speaks for the access.
  bool saidCopy = false, saidUninitialized = false, saidRace = false;
  for (uint64_t byte = 0; byte < bytes; ++byte) {
    Cell &cell = place.shadow->at(place.offset + byte);
    if (cell.copy) {
      if (!std::exchange(saidCopy, true)) {
        const AsyncCopy &copy = copies.get(cell.copy);
        if (repeats(Fault::Kind::UnfinishedCopy, at, copy.at))
          continue;
        fault(Fault::Kind::UnfinishedCopy, thread, at,
              llvm::formatv("expected a wait of thread {0} for the copy to {1} "
                            "that it issued at {2}, found none before this "
                            "read",
                            copy.thread, nameOf(place, byte),
                            describe(copy.at->op)),
              copy.at, copy.thread);
      }
      continue;
    }
    if (!cell.initialized && !std::exchange(saidUninitialized, true) &&
        !repeats(Fault::Kind::Uninitialized, at))
      fault(Fault::Kind::Uninitialized, thread, at,
            llvm::formatv("expected bytes that were written, found that {0} "
                          "never was",
                          nameOf(place, byte)));
    if (!races)
      continue;
    if (cell.write.at && !happenedBefore(cell.write, thread) &&
        !(atomic && cell.write.atomic) && !std::exchange(saidRace, true))
      reportRace(thread, at, place, byte, cell.write, "write", "read");
    // Reads that happened before this one say no more than it, and of all
    // reads by other blocks one says enough.
    // An atomic read says less than a plain one.
    bool kept = false;
    llvm::erase_if(cell.reads, [&](const Access &read) {
      if (read.block != blockIndex && read.atomic == atomic)
        return std::exchange(kept, true);
      return happenedBefore(read, thread) && (!atomic || read.atomic);
    });
    cell.reads.push_back(accessBy(thread, at, atomic));
  }
}

void ThreadBlock::noteWrite(Thread &thread, const Instruction &at,
                            const Place &place, uint64_t bytes, bool atomic) {
  if (!place.shadow)
    return;
  if (place.space == kGlobal)
    if (uint32_t id = copies.reading(place.address, bytes)) {
      const AsyncCopy &copy = copies.get(id);
      fault(Fault::Kind::CopyConflict, thread, at,
            llvm::formatv("expected {0} to stay as it is until thread {1} has "
                          "waited for the copy that it issued at {2}, found "
                          "this write",
                          nameOf(place, 0), copy.thread, describe(copy.at->op)),
            copy.at, copy.thread);
    }
  bool races = place.space == kShared || launch.options.globalRaces;
  bool saidCopy = false, saidRace = false;
  for (uint64_t byte = 0; byte < bytes; ++byte) {
    Cell &cell = place.shadow->at(place.offset + byte);
    cell.initialized = true;
    if (cell.copy && !std::exchange(saidCopy, true) &&
        !repeats(Fault::Kind::CopyConflict, at, copies.get(cell.copy).at)) {
      const AsyncCopy &copy = copies.get(cell.copy);
      fault(Fault::Kind::CopyConflict, thread, at,
            llvm::formatv("expected nobody to write {0} until thread {1} has "
                          "waited for the copy there that it issued at {2}, "
                          "found this write",
                          nameOf(place, byte), copy.thread,
                          describe(copy.at->op)),
            copy.at, copy.thread);
    }
    if (!races)
      continue;
    if (cell.write.at && !happenedBefore(cell.write, thread) &&
        !(atomic && cell.write.atomic) && !std::exchange(saidRace, true))
      reportRace(thread, at, place, byte, cell.write, "write", "write");
    for (const Access &read : cell.reads)
      if (!happenedBefore(read, thread) && !(atomic && read.atomic) &&
          !std::exchange(saidRace, true))
        reportRace(thread, at, place, byte, read, "read", "write");
    cell.reads.clear();
    // An atomic write does not hide a plain one of the same thread that nobody
    // has waited for.
    Access write = accessBy(thread, at, atomic);
    if (cell.write.at && !cell.write.atomic &&
        cell.write.block == write.block && cell.write.thread == write.thread &&
        cell.write.clock == write.clock)
      write.atomic = false;
    cell.write = write;
  }
}

void ThreadBlock::load(Thread &thread, const Instruction &at, unsigned space,
                       uint64_t address, uint64_t bytes, uint64_t alignment,
                       uint8_t *to) {
  std::optional<Place> place =
      find(thread, at, space, address, bytes, alignment, /*write=*/false);
  if (!place) {
    for (uint64_t byte = 0; byte < bytes; ++byte)
      to[byte] = fillByte(byte);
    return;
  }
  noteRead(thread, at, *place, bytes);
  if (place->space == kLocal)
    for (uint64_t byte = 0; byte < bytes; ++byte)
      if (!thread.localInitialized[place->offset + byte]) {
        fault(Fault::Kind::Uninitialized, thread, at,
              llvm::formatv("expected bytes that were written, found that {0} "
                            "never was",
                            nameOf(*place, byte)));
        break;
      }
  std::memcpy(to, place->data, bytes);
}

void ThreadBlock::store(Thread &thread, const Instruction &at, unsigned space,
                        uint64_t address, uint64_t bytes, uint64_t alignment,
                        const uint8_t *from) {
  std::optional<Place> place =
      find(thread, at, space, address, bytes, alignment, /*write=*/true);
  if (!place)
    return;
  noteWrite(thread, at, *place, bytes);
  if (place->space == kLocal)
    std::fill_n(thread.localInitialized.begin() + place->offset, bytes, true);
  std::memcpy(place->data, from, bytes);
}

} // namespace coppice::emulator
