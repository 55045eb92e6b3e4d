//===- CPUTarget.cpp - instruction-set levels of x86-64 -------------------===//

#include "coppice/Target/CPUTarget.h"
#include "llvm/ADT/StringMap.h"
#include "llvm/TargetParser/Host.h"

using namespace mlir;

namespace coppice {

// LLVM's names of what the psABI level contains, beyond x86-64-v2.
static const char *const kAVX2Features[] = {"avx",  "avx2", "bmi",   "bmi2",
                                            "f16c", "fma",  "lzcnt", "movbe"};
static const char *const kAVX512Features[] = {"avx512f", "avx512bw", "avx512cd",
                                              "avx512dq", "avx512vl"};

FailureOr<CPUTarget> CPUTarget::host() {
  llvm::StringMap<bool> features = llvm::sys::getHostCPUFeatures();
  auto hasAll = [&](ArrayRef<const char *> names) {
    return llvm::all_of(
        names, [&](const char *name) { return features.lookup(name); });
  };
  if (!hasAll(kAVX2Features))
    return failure();
  if (!hasAll(kAVX512Features))
    return CPUTarget{ISA::AVX2};
  return CPUTarget{features.lookup("avx512bf16") ? ISA::AVX512_BF16
                                                 : ISA::AVX512};
}

FailureOr<CPUTarget> CPUTarget::parse(StringRef name, std::string &error) {
  if (name == "avx2")
    return CPUTarget{ISA::AVX2};
  if (name == "avx512")
    return CPUTarget{ISA::AVX512};
  if (name == "avx512_bf16")
    return CPUTarget{ISA::AVX512_BF16};
  if (name != "host") {
    error = ("expected an instruction set 'host', 'avx2', 'avx512' or "
             "'avx512_bf16', found '" +
             name + "'")
                .str();
    return failure();
  }
  FailureOr<CPUTarget> target = host();
  if (failed(target))
    error = "expected a CPU with AVX2 and FMA (x86-64-v3); name an instruction "
            "set to compile for another machine";
  return target;
}

StringRef CPUTarget::name() const {
  if (isa == ISA::AVX2)
    return "avx2";
  return isa == ISA::AVX512 ? "avx512" : "avx512_bf16";
}

ArrayRef<StringRef> CPUTarget::requirements() const {
  // /proc/cpuinfo calls lzcnt "abm" and bmi "bmi1".
  static const StringRef names[] = {
      "avx",      "avx2",     "bmi1",     "bmi2",       "f16c",
      "fma",      "abm",      "movbe",    "avx512f",    "avx512bw",
      "avx512cd", "avx512dq", "avx512vl", "avx512_bf16"};
  return ArrayRef(names).take_front(isa == ISA::AVX2     ? 8
                                    : isa == ISA::AVX512 ? 13
                                                         : 14);
}

} // namespace coppice
