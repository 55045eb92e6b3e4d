// The architectures that are understood.
#include "Architecture.h"
#include "coppice/Import/HuggingFace.h"

#include "llvm/ADT/STLExtras.h"

namespace coppice {

llvm::ArrayRef<const Architecture *> allArchitectures() {
  static const Architecture *const all[] = {
      &llamaArchitecture, &mistralArchitecture, &phi3Architecture,
      &qwen2Architecture, &qwen3Architecture};
  return all;
}

const Architecture *findArchitecture(llvm::StringRef modelType) {
  auto all = allArchitectures();
  auto found = llvm::find_if(all, [&](const Architecture *architecture) {
    return architecture->modelType == modelType;
  });
  return found == all.end() ? nullptr : *found;
}

std::vector<ModelWeight> locateWeights(const Architecture &architecture,
                                       const ModelDescription &model) {
  std::vector<ModelWeight> weights = weightsOf(model);
  if (architecture.locate)
    for (ModelWeight &weight : weights)
      architecture.locate(model, weight);
  return weights;
}

} // namespace coppice
