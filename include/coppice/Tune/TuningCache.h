//===- TuningCache.h - what was measured to be best, on this machine ------===//
//
// In and out: a file of one JSON object a line (schema coppice.tuning/1), one
// for each class of matrix products and bucket of row counts that `coppice
// tune` has timed. The key of an entry is class, bucket, CPU, instruction set
// and version of the compiler; of two entries with one key the later counts.
//
// Lines are only ever appended, whole and under a lock, so that any number of
// processes may tune and compile at once. A line that a killed writer left
// unfinished is ended by the next one and ignored by readers.
//
// An entry names one of `gemmCandidates`, by its text; one that names anything
// else is of another version, and ignored.
//
//===----------------------------------------------------------------------===//

#ifndef COPPICE_TUNE_TUNINGCACHE_H
#define COPPICE_TUNE_TUNINGCACHE_H

#include "coppice/Codegen/CPU/GemmCandidates.h"
#include "llvm/ADT/StringMap.h"
#include "llvm/Support/Error.h"
#include <string>

namespace coppice {

struct TuningEntry {
  GemmClass gemm;
  RowBucket bucket;
  std::string cpu, isa, version;
  int threads = 1;
  std::string config;        // `#exec.config<"gemm", ..>`
  double seconds = 0;        // of one product with it
  double defaultSeconds = 0; // with the cost model's choice, in the same run
  std::string date;          // ISO 8601, UTC
};

class TuningCache {
public:
  /// $XDG_CACHE_HOME/coppice/tuning.jsonl, or below ~/.cache; empty when
  /// neither variable is set.
  static std::string defaultPath();

  /// The version that entries of this build carry.
  static std::string currentVersion();

  /// The entries for this CPU and version. A file that is not there has none;
  /// one that cannot be read is an error.
  static llvm::Expected<TuningCache> load(const std::string &path);

  /// Appends an entry; makes the file and its folder if need be.
  static llvm::Error append(const std::string &path, const TuningEntry &entry);

  /// The measured choice for a class, a bucket and an instruction set; nothing
  /// where none was measured.
  std::optional<GemmConfig> lookup(const GemmClass &gemm,
                                   const RowBucket &bucket, llvm::StringRef isa,
                                   mlir::MLIRContext *context) const;

  size_t size() const { return configs.size(); }
  /// Lines that were not understood.
  int64_t ignoredLines() const { return ignored; }

private:
  llvm::StringMap<std::string> configs; // by key
  int64_t ignored = 0;
};

} // namespace coppice

#endif // COPPICE_TUNE_TUNINGCACHE_H
