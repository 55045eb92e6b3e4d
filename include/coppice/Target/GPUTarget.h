//===- GPUTarget.h - which GPU a bundle is compiled for ---------*- C++ -*-===//
//
// Kernels are made of what every chip from sm_80 on has, so that one plan, and
// one packing of weights, serves all of them. What differs is who runs them: a
// GPU, or the emulator, which executes the same code on the CPU.
//
//===----------------------------------------------------------------------===//

#ifndef COPPICE_TARGET_GPUTARGET_H
#define COPPICE_TARGET_GPUTARGET_H

#include "mlir/Support/LLVM.h"
#include <string>

namespace coppice {

struct GPUTarget {
  std::string chip; // "sm_80"
  bool emulated = false;

  /// From "cuda:CHIP" or "emu:CHIP"; nothing for what names no GPU. `error`
  /// says what was expected where a GPU is named that there is no code for.
  static mlir::FailureOr<GPUTarget> parse(llvm::StringRef name,
                                          std::string &error);
  /// What `parse` takes, for people: "cuda:CHIP (sm_80, ..), emu:sm_80".
  static std::string getNames();
  /// Does the name begin like one of a GPU?
  static bool isGPU(llvm::StringRef name);

  /// Shared memory that a block may have.
  int64_t sharedBytes() const;

  /// "cuda:sm_80"
  std::string name() const { return (emulated ? "emu:" : "cuda:") + chip; }
};

} // namespace coppice

#endif // COPPICE_TARGET_GPUTARGET_H
