// llama2.c checkpoints (the "legacy" .bin, version 0): 7 int32, then f32
// tensors, each stacked over the layers, all little-endian.
#ifndef COPPICE_IMPORT_LLAMA2C_H
#define COPPICE_IMPORT_LLAMA2C_H

#include "coppice/Import/ModelDescription.h"
#include "coppice/Import/Weights.h"

#include <cstddef>
#include <span>
#include <string>

namespace coppice {

/// The model that a file's header describes, checked against the length of the
/// file: no byte is missing and none is left over. `file` is the whole file, or
/// at least its first 28 bytes; the name is left empty.
rt::Result<ModelDescription> parseLlama2CHeader(std::span<const std::byte> file,
                                                int64_t fileBytes);

/// The tensors of a file whose header has been parsed, in the order of
/// weightsOf(): keys and shapes are those of Hugging Face files; the rows of q
/// and k are marked as interleaved.
std::vector<TensorView> viewLlama2C(const ModelDescription &model,
                                    std::span<const std::byte> file);

struct Llama2CModel {
  ModelDescription description;
  WeightSource weights;
  std::string sourceSha256;
};
rt::Result<Llama2CModel> openLlama2C(const std::string &path);

} // namespace coppice

#endif // COPPICE_IMPORT_LLAMA2C_H
