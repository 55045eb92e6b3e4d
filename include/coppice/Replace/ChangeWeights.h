// The new weights that a plan asks for: computed, and written to a file.
#ifndef COPPICE_REPLACE_CHANGEWEIGHTS_H
#define COPPICE_REPLACE_CHANGEWEIGHTS_H

#include "coppice/Dialect/Prune/IR/Prune.h"
#include "coppice/Replace/WeightReader.h"
#include "runtime/base/safetensors_writer.h"

#include "mlir/Dialect/MLProgram/IR/MLProgram.h"
#include "mlir/IR/BuiltinOps.h"
#include "llvm/Support/raw_ostream.h"

#include <map>
#include <string>
#include <vector>

namespace coppice {

struct ChangeWeightsOptions {
  /// Where relative paths of the module's weights start.
  std::string inputDirectory;
  /// The safetensors file to write, should there be anything to write.
  std::string output;
  /// Where progress is told; null: nowhere.
  llvm::raw_ostream *talk = nullptr;
};

/// The new weights of one module. Between compute() and commit() the file has
/// a temporary name; it is removed where commit() is not reached.
class ChangedWeights {
public:
  ChangedWeights(mlir::ModuleOp module, ChangeWeightsOptions options)
      : module(module), options(std::move(options)) {}

  /// Computes every new weight that does not say yet where it comes from:
  /// factors by truncatedSVD(), patterns by selectByMagnitude(), unstructured
  /// sparsity by selectLargest() or a mask, each of what keep-sets leave of the
  /// old weight. Elements that they do not leave are zeros in the file, whose
  /// tensors have the names of the globals. Refuses ranks that are above what
  /// is left, and to write over a file that the module reads.
  mlir::LogicalResult compute();

  /// Says so on the globals, with the path by which the module finds the file.
  void assign(llvm::StringRef path);

  /// Pairs of factors with no fewer elements than what keep-sets leave of the
  /// weights that they replace; after compute().
  int64_t countNotSmaller() const { return notSmaller; }

  /// Is there a file?
  bool hasFile() const { return !open.empty(); }
  rt::Status commit() { return writer.commit(); }

  struct Job; // one replaced weight

private:
  mlir::FailureOr<std::vector<Job>> findJobs();
  mlir::LogicalResult openMask(Job &job);
  mlir::LogicalResult checkOutput();
  rt::Status writeAll(std::vector<Job> &jobs, const WeightReader &reader);

  mlir::ModuleOp module;
  ChangeWeightsOptions options;
  rt::SafetensorsWriter writer;
  llvm::SmallVector<prune::ReplaceOp> open;
  std::map<std::string, rt::SafetensorsFile> masks; // by path
  int64_t notSmaller = 0;
  llvm::DenseMap<mlir::Operation *, double> realized; // sparsity by replacement
};

} // namespace coppice

#endif // COPPICE_REPLACE_CHANGEWEIGHTS_H
