//===- CPUTarget.h - which x86-64 a bundle is compiled for ------*- C++ -*-===//
//
// A target is a closed list of instruction sets. Planning reads its vector
// width, emission its feature string, and the bundle records its requirements,
// which the runtime checks before it loads any code.
//
//===----------------------------------------------------------------------===//

#ifndef COPPICE_TARGET_CPUTARGET_H
#define COPPICE_TARGET_CPUTARGET_H

#include "mlir/Support/LLVM.h"
#include <cstdint>
#include <string>

namespace coppice {

/// An x86-64 instruction-set level.
struct CPUTarget {
  enum class ISA {
    AVX2,        // x86-64-v3: 256-bit vectors, 16 registers
    AVX512,      // x86-64-v4: 512-bit vectors, 32 registers, lane masks
    AVX512_BF16, // the same with products of pairs of bf16
    AMX_BF16,    // the same with tiles: products of matrices of bf16
  };
  ISA isa = ISA::AVX2;

  /// The best level that this machine runs; failure below x86-64-v3.
  static mlir::FailureOr<CPUTarget> host();

  /// From "host", "avx2", "avx512", "avx512_bf16" or "amx_bf16". `error` says
  /// what was expected.
  static mlir::FailureOr<CPUTarget> parse(llvm::StringRef name,
                                          std::string &error);

  /// "avx2", "avx512", "avx512_bf16" or "amx_bf16".
  llvm::StringRef name() const;

  /// Is there an instruction that rounds to bf16?
  bool roundsToBF16() const { return isa >= ISA::AVX512_BF16; }

  /// f32 lanes of one vector register.
  int64_t lanes() const { return isa == ISA::AVX2 ? 8 : 16; }

  /// What a CPU must have to run the code, in the words of /proc/cpuinfo.
  llvm::ArrayRef<llvm::StringRef> requirements() const;
};

} // namespace coppice

#endif // COPPICE_TARGET_CPUTARGET_H
