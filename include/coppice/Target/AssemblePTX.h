//===- AssemblePTX.h - PTX to a cubin, and what its kernels take *- C++ -*-===//
//
// NVIDIA's assembler is a program of its own, ptxas of the CUDA toolkit, which
// a machine may well lack: a driver assembles PTX when it is loaded.
//
//===----------------------------------------------------------------------===//

#ifndef COPPICE_TARGET_ASSEMBLEPTX_H
#define COPPICE_TARGET_ASSEMBLEPTX_H

#include "llvm/ADT/StringMap.h"
#include "llvm/Support/Error.h"
#include <optional>
#include <string>

namespace coppice {

/// What a thread, or a block, takes of a multiprocessor.
struct KernelResources {
  int64_t registers = 0;   // of a thread
  int64_t stackBytes = 0;  // of a thread, spills among them
  int64_t spillBytes = 0;  // stored and loaded
  int64_t sharedBytes = 0; // of a block, beside what is dynamic
};

struct AssembledPTX {
  std::string cubin;
  llvm::StringMap<KernelResources> kernels;
  /// Lines with warnings, such as that a pipeline is serialised.
  std::string warnings;
};

/// Where ptxas is: what COPPICE_PTXAS names, or in PATH; nothing without one.
std::optional<std::string> findPtxas();

/// Runs it; the error is what it says.
llvm::Expected<AssembledPTX>
assemblePTX(llvm::StringRef ptxas, llvm::StringRef ptx, llvm::StringRef chip);

/// The kernels in what `ptxas -v` says.
llvm::StringMap<KernelResources> parseResources(llvm::StringRef report);

} // namespace coppice

#endif // COPPICE_TARGET_ASSEMBLEPTX_H
