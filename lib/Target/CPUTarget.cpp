//===- CPUTarget.cpp - instruction-set levels of x86-64 -------------------===//

#include "coppice/Target/CPUTarget.h"
#include "runtime/cpu/cpu_features.h"
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
  if (!features.lookup("avx512bf16"))
    return CPUTarget{ISA::AVX512};
  // The runtime asks the system, too, which may not save tiles.
  bool hasTiles =
      hasAll({"amx-tile", "amx-bf16"}) && rt::hasCpuFeature("amx_bf16");
  return CPUTarget{hasTiles ? ISA::AMX_BF16 : ISA::AVX512_BF16};
}

FailureOr<CPUTarget> CPUTarget::parse(StringRef name, std::string &error) {
  if (name == "avx2")
    return CPUTarget{ISA::AVX2};
  if (name == "avx512")
    return CPUTarget{ISA::AVX512};
  if (name == "avx512_bf16")
    return CPUTarget{ISA::AVX512_BF16};
  if (name == "amx_bf16")
    return CPUTarget{ISA::AMX_BF16};
  if (name != "host") {
    error = ("expected an instruction set 'host', 'avx2', 'avx512', "
             "'avx512_bf16' or 'amx_bf16', found '" +
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
  switch (isa) {
  case ISA::AVX2:
    return "avx2";
  case ISA::AVX512:
    return "avx512";
  case ISA::AVX512_BF16:
    return "avx512_bf16";
  case ISA::AMX_BF16:
    return "amx_bf16";
  }
  llvm_unreachable("all are named");
}

ArrayRef<StringRef> CPUTarget::requirements() const {
  // /proc/cpuinfo calls lzcnt "abm" and bmi "bmi1".
  static const StringRef names[] = {
      "avx",      "avx2",        "bmi1",     "bmi2",     "f16c",     "fma",
      "abm",      "movbe",       "avx512f",  "avx512bw", "avx512cd", "avx512dq",
      "avx512vl", "avx512_bf16", "amx_tile", "amx_bf16"};
  static constexpr size_t counts[] = {8, 13, 14, 16}; // by level
  return ArrayRef(names).take_front(counts[static_cast<size_t>(isa)]);
}

} // namespace coppice
