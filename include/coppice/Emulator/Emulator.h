//===- Emulator.h - GPU kernels executed on the CPU -------------*- C++ -*-===//
//
// In: a module of `llvm.func`s with `nvvm.kernel` in the LLVM and NVVM
// dialects, exactly what `emitPTX` is about to translate, and buffers of host
// memory. Out: what the kernels compute, and a report of what they did that a
// GPU would not forgive.
//
// A GPU runs a kernel that misses a barrier correctly nearly every time. The
// emulator never does: it keeps for every byte of memory who wrote and read it
// last and asks whether a barrier lies between, and it knows which bytes an
// asynchronous copy may still write. So a protocol error is reported in
// whatever order threads happen to run. What is modelled, and what is not, is
// in docs/architecture.md.
//
//===----------------------------------------------------------------------===//

#ifndef COPPICE_EMULATOR_EMULATOR_H
#define COPPICE_EMULATOR_EMULATOR_H

#include "mlir/IR/BuiltinOps.h"
#include "llvm/Support/Error.h"
#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace coppice {

namespace emulator {
struct Module;
} // namespace emulator

using Dim3 = std::array<uint32_t, 3>;

/// When asynchronous copies move their bytes. Correct kernels cannot tell.
enum class CopyTime {
  Late,   // in the wait of the issuing thread that covers them, no sooner
  Early,  // as soon as they are issued
  Random, // at any time between; warps take turns in a random order, too
};

struct EmulatorOptions {
  CopyTime copies = CopyTime::Late;
  /// Of `CopyTime::Random`.
  uint64_t seed = 0;
  /// Instructions of all threads of a launch, after which it is given up.
  uint64_t maxSteps = uint64_t(1) << 30;
  /// Different faults that are kept; past them, the block that runs is the
  /// last.
  unsigned maxFaults = 16;
  /// Whether unordered accesses to bytes of global memory are faults. Kernels
  /// whose blocks wait for each other through memory must turn it off: the
  /// emulator knows no order among blocks.
  bool globalRaces = true;
};

/// What is known of registered memory.
struct BufferOptions {
  bool initialized = true; // else bytes are read only after they were written
  bool writable = true;
  /// The device address is a multiple of this power of two, and of no larger.
  uint64_t alignment = 256;
};

/// A kernel argument: a device address or a number, as its bits.
struct KernelArgument {
  static KernelArgument pointer(uint64_t address) { return {address, 'p', 64}; }
  static KernelArgument i32(int32_t value) {
    return {static_cast<uint32_t>(value), 'i', 32};
  }
  static KernelArgument i64(int64_t value) {
    return {static_cast<uint64_t>(value), 'i', 64};
  }
  static KernelArgument f32(float value);

  uint64_t bits;
  char kind;      // 'p', 'i' or 'f'
  unsigned width; // in bits
};

/// Something that a thread did, or failed to do.
struct Fault {
  enum class Kind {
    OutOfBounds,    // an address in no buffer, or a store where none may be
    Misaligned,     // an address that is not a multiple of the access
    Uninitialized,  // a byte read that nothing has written
    Race,           // two accesses, one a write, with no barrier between them
    UnfinishedCopy, // bytes read whose copy has not been waited for
    CopyConflict,   // bytes changed under a copy that may still read or write
    Barrier,        // some threads wait at a barrier, and others never come
    Deadlock,       // no thread can go on, and no barrier is to blame
    Budget,         // more steps than allowed: an endless loop
    Invalid,        // operands that the op does not allow, or a trap
  };
  Kind kind;
  /// Lower case, no full stop: what was expected and what was found.
  std::string message;
  mlir::Operation *op;
  Dim3 block;
  Dim3 thread;
  /// The earlier access of a race or conflict, and its thread; or null.
  mlir::Operation *other = nullptr;
  Dim3 otherThread = {0, 0, 0};
  /// How often this kind met these ops; the rest is of the first time.
  uint64_t count = 1;

  /// "race: ... 'llvm.load' at loc(..), block (0,0,0), thread (1,0,0) ..."
  std::string str() const;
};

/// "race", "out of bounds", ..
llvm::StringRef stringify(Fault::Kind kind);

struct LaunchReport {
  std::vector<Fault> faults; // in order of their first time
  uint64_t steps = 0;        // instructions of all threads
  /// Rows of matrices that ldmatrix found in the same banks of shared memory as
  /// another row of their matrix: no fault, but each costs a turn more. Zero
  /// where a swizzle does what it is for.
  uint64_t matrixBankConflicts = 0;

  bool clean() const { return faults.empty(); }
  /// One line a fault.
  std::string str() const;
};

/// A module ready to run, and the memory that it may touch. One launch at a
/// time.
class Emulator {
public:
  /// Decodes all kernels of `module`, which must outlive the emulator. An op
  /// that cannot be executed is an error at that op, before anything runs.
  static mlir::FailureOr<std::unique_ptr<Emulator>>
  create(mlir::ModuleOp module);
  ~Emulator();

  /// Makes host memory known to kernels and returns its device address. `name`
  /// is for reports. The memory must outlive the last launch.
  uint64_t addBuffer(llvm::StringRef name, void *data, uint64_t bytes,
                     BufferOptions options = {});

  /// Runs `kernel` to its end, or to a fault after which nothing can run.
  /// What a launch on a GPU would refuse (no such kernel, arguments that do not
  /// fit, a block that is too large) is an error; what threads do wrong is in
  /// the report.
  llvm::Expected<LaunchReport> launch(llvm::StringRef kernel, Dim3 grid,
                                      Dim3 block, uint64_t dynamicSharedBytes,
                                      llvm::ArrayRef<KernelArgument> arguments,
                                      const EmulatorOptions &options = {});

private:
  explicit Emulator(std::unique_ptr<emulator::Module> module);
  std::unique_ptr<emulator::Module> module;
};

} // namespace coppice

#endif // COPPICE_EMULATOR_EMULATOR_H
