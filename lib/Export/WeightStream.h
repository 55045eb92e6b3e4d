//===- WeightStream.h - tensors of a checkpoint, as they are made -*- C++ -*-=//

#ifndef COPPICE_LIB_EXPORT_WEIGHTSTREAM_H
#define COPPICE_LIB_EXPORT_WEIGHTSTREAM_H

#include "NarrowModel.h"

#include "runtime/base/packing.h"
#include "runtime/base/safetensors.h"
#include "runtime/base/safetensors_writer.h"
#include "runtime/base/weight_generator.h"

#include <future>
#include <optional>
#include <string>
#include <vector>

namespace coppice {

struct Architecture;

/// A tensor of the checkpoint: one weight, or the rows of several.
struct CheckpointTensor {
  /// A weight's elements: what is kept of a tensor of a file, or of one that is
  /// generated.
  struct Part {
    mlir::ml_program::GlobalOp global;
    std::span<const std::byte> source; // empty: generated
    std::optional<rt::WeightGenerator> generator;
    rt::PackedLayout layout;
    std::optional<SparsityPattern> pattern = {}; // that it is said to have
  };

  /// What of its parts it has: all, or of 2:4 weights the elements or their
  /// mask (BitmaskLayout.h).
  enum class Role { Whole, Compressed, Bitmask };

  std::string key;
  std::vector<int64_t> shape;
  rt::DType dtype;
  std::vector<Part> parts;
  std::vector<std::byte> table = {}; // of a tensor without parts
  Role role = Role::Whole;
  bool isLinear = false; // the matrix of a GEMM alone
  bool is24 = false;     // of each four neighbours two are zero

  int64_t bytes() const;
};

/// Opens the files that a module's weights are in, lists the tensors that make
/// up a checkpoint of `model`, and writes them, a few megabytes at a time.
class WeightStream {
public:
  /// Relative paths start at `directory`.
  WeightStream(mlir::ModuleOp module, const NarrowModel &model,
               std::string directory)
      : module(module), model(model), directory(std::move(directory)) {}

  /// Checks that each weight is there with its type and shape.
  mlir::LogicalResult collect(const Architecture &architecture);

  /// Puts what stands for them in the place of the tensors whose weights are
  /// all 2:4. Returns how many these are, and adds the names of the other
  /// matrices, without ".weight", to `others`.
  int64_t compressPatterns(std::vector<std::string> &others);

  const std::vector<CheckpointTensor> &tensors() const { return list; }

  /// Writes one of tensors() that `writer` expects next. What is said to have a
  /// pattern must have it along what is left of K.
  mlir::LogicalResult write(const CheckpointTensor &tensor,
                            rt::SafetensorsWriter &writer);

  /// Are the files still those of the import? Waits for their hashes.
  mlir::LogicalResult checkImported();

private:
  struct Source {
    rt::SafetensorsFile file;
    std::string expected;            // its hash, or nothing
    std::future<std::string> digest; // as found
  };
  mlir::FailureOr<CheckpointTensor::Part> open(const ModelWeight &weight);
  mlir::FailureOr<Source *> openFile(mlir::ml_program::GlobalOp global,
                                     llvm::StringRef path);
  void addMaps();
  std::optional<SparsityPattern> patternOf(const ModelWeight &weight) const;
  mlir::LogicalResult writePart(const CheckpointTensor &tensor,
                                const CheckpointTensor::Part &part,
                                rt::SafetensorsWriter &writer);
  mlir::LogicalResult refuseRow(const CheckpointTensor::Part &part, int64_t row,
                                llvm::ArrayRef<std::byte> whole);
  mlir::LogicalResult emitIfFailed(const rt::Status &status);

  mlir::ModuleOp module;
  const NarrowModel &model;
  std::string directory;
  llvm::StringMap<Source> sources; // by the path that the module names
  std::vector<CheckpointTensor> list;
};

} // namespace coppice

#endif // COPPICE_LIB_EXPORT_WEIGHTSTREAM_H
