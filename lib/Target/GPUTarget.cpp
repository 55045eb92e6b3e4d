//===- GPUTarget.cpp - which GPU a bundle is compiled for -----------------===//

#include "coppice/Target/GPUTarget.h"
#include "llvm/ADT/STLExtras.h"
#include "llvm/ADT/StringExtras.h"

using namespace mlir;

namespace coppice {

static constexpr StringRef kChips[] = {"sm_80", "sm_86",  "sm_89",
                                       "sm_90", "sm_100", "sm_120"};

bool GPUTarget::isGPU(StringRef name) {
  StringRef family = name.split(':').first;
  return family == "cuda" || family == "emu";
}

FailureOr<GPUTarget> GPUTarget::parse(StringRef name, std::string &error) {
  auto [family, chip] = name.split(':');
  if (family == "emu" ? chip == "sm_80" : llvm::is_contained(kChips, chip))
    return GPUTarget{chip.str(), family == "emu"};
  error = "expected target emu:sm_80 or cuda:CHIP, CHIP one of " +
          llvm::join(ArrayRef(kChips), ", ") + ", found '" + name.str() + "'";
  return failure();
}

std::string GPUTarget::getNames() {
  return "cuda:CHIP (" + llvm::join(ArrayRef(kChips), ", ") + "), emu:sm_80";
}

int64_t GPUTarget::sharedBytes() const {
  if (chip == "sm_86" || chip == "sm_89" || chip == "sm_120")
    return 99 * 1024;
  return (chip == "sm_80" ? 163 : 227) * 1024;
}

} // namespace coppice
