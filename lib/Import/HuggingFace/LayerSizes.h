//===- LayerSizes.h - the widths of layers, from their tensors --*- C++ -*-===//

#ifndef COPPICE_LIB_IMPORT_HUGGINGFACE_LAYERSIZES_H
#define COPPICE_LIB_IMPORT_HUGGINGFACE_LAYERSIZES_H

#include "coppice/Import/HuggingFace.h"

#include "llvm/ADT/STLFunctionalExtras.h"

namespace coppice {

/// Finds the shape of a tensor; empty if there is none.
using FindShape =
    llvm::function_ref<std::vector<int64_t>(const std::string &key)>;

/// Sets those sizes of layers that the configuration does not state for the
/// layer by itself to what the tensors have: other tools prune the weights and
/// leave `intermediate_size` as it was, or put two factors in the place of a
/// weight. Sizes that no tensor gives are left
/// alone, and so are tensors that do not agree: whoever matches them says so.
/// Returns what differs, for people to read, or nothing.
std::string inferLayerSizes(HuggingFaceConfig &config, FindShape find);

} // namespace coppice

#endif // COPPICE_LIB_IMPORT_HUGGINGFACE_LAYERSIZES_H
