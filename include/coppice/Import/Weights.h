// Tensors of a model on their way in: found, checked, converted, written.
#ifndef COPPICE_IMPORT_WEIGHTS_H
#define COPPICE_IMPORT_WEIGHTS_H

#include "coppice/Import/ModelDescription.h"
#include "runtime/base/mapped_file.h"
#include "runtime/base/safetensors.h"
#include "runtime/base/safetensors_writer.h"
#include "llvm/ADT/STLFunctionalExtras.h"
#include "llvm/ADT/StringRef.h"

#include <span>
#include <string>
#include <vector>

namespace coppice {

/// A tensor in a mapped file. Its bytes need not be aligned.
struct TensorView {
  std::string name;
  std::vector<int64_t> shape;
  rt::DType dtype = rt::DType::F32;
  std::span<const std::byte> data;
  /// Not 0: the rows of each head of so many are in interleaved rotary pairs
  /// (2i, 2i + 1) and are to be written as halves (i, i + head_dim / 2).
  int64_t interleavedHeadDim = 0;
  /// Where it lies: in the rows from `firstRow` on of a tensor of `tensorRows`.
  std::string inTensor = {};
  int64_t firstRow = 0, tensorRows = 0;
  /// Not empty: `data` is two of each four elements, and this the mask of all
  /// (BitmaskLayout.h).
  std::span<const std::byte> bitmask = {};

  bool isPartOfTensor() const { return tensorRows > shape.front(); }
};

/// The tensors of a model, in the order of weightsOf(), and the files that hold
/// their bytes.
struct WeightSource {
  std::vector<TensorView> tensors;
  std::vector<rt::SafetensorsFile> files;
  rt::MappedFile binary;
};

/// Finds each weight of `expected` in the files, and nothing else there.
/// `ignorable` says which other tensors carry no meaning, `hasBitmasks` whether
/// matrices may be stored as BitmaskLayout.h says.
rt::Status matchTensors(std::span<const ModelWeight> expected,
                        llvm::function_ref<bool(llvm::StringRef)> ignorable,
                        WeightSource &source, bool hasBitmasks = false);

/// The type that all tensors have, one of f32, f16 and bf16.
rt::Result<rt::DType> commonDType(std::span<const TensorView> tensors);

/// Names the first NaN or Inf. Reads everything, in parallel.
rt::Status refuseNonFinite(std::span<const TensorView> tensors);

/// Writes the tensors in `dtype` and finishes the file, without the commit.
/// A finite number that `dtype` cannot hold is an error.
rt::Status writeTensors(std::span<const TensorView> tensors, rt::DType dtype,
                        const std::string &path, rt::SafetensorsWriter &writer);

} // namespace coppice

#endif // COPPICE_IMPORT_WEIGHTS_H
