// coppice compile: a pruned module in, a bundle out.
#ifndef COPPICE_BUNDLE_COMPILEBUNDLE_H
#define COPPICE_BUNDLE_COMPILEBUNDLE_H

#include "mlir/IR/BuiltinOps.h"
#include "llvm/Support/raw_ostream.h"

#include <cstdint>
#include <string>

namespace coppice {

class ObjectCache;

/// Wall-clock time of the parts of a compilation.
struct CompileSeconds {
  double planning = 0, weights = 0, code = 0;
};

struct CompileOptions {
  /// The bundle; replaced only if it is one.
  std::string output;
  /// Where relative paths in the module start.
  std::string inputDirectory;
  /// Comma-separated: the CPU, or GPUs; see getKnownTargets().
  std::string target = "cpu";
  /// Instruction sets of target cpu, comma-separated: avx2, avx512,
  /// avx512_bf16, amx_bf16, or host for this machine's best. Empty: avx2, and
  /// for the fast program avx512, which is avx512_bf16 for bf16 models, and
  /// amx_bf16 besides where this machine has that.
  std::string isa;
  /// File of `coppice tune`; what it does not know the cost model chooses.
  /// Empty: all of it.
  std::string tuning;
  int64_t maxRows = 4096;
  int64_t maxBatch = 8;
  int64_t maxContext = 0; ///< 0: the model's
  bool oracle = false;
  /// Of the oracle: a bundle; what that stores in 16 bits is rounded here too.
  /// Empty: nothing is rounded.
  std::string roundLike;
  bool taps = false;
  /// Skip what is pruned at run time even where dense is predicted to be
  /// faster.
  bool force = false;
  bool allowNonFinite = false;
  /// Kernels of programs that this process compiled before; may be null.
  ObjectCache *objects = nullptr;
  /// Slow code, quickly: for checks of many programs.
  bool unoptimized = false;
  /// Where the time went is left here; may be null.
  CompileSeconds *seconds = nullptr;
  /// Talk and progress; may be null.
  llvm::raw_ostream *talk = nullptr;
};

/// For people: "cpu, cuda:CHIP (..), ..".
std::string getKnownTargets();

/// Compiles `module` (which is rewritten on the way) into a bundle. Errors are
/// reported as diagnostics of the module's context and leave no file behind.
mlir::LogicalResult compileToBundle(mlir::ModuleOp module,
                                    const CompileOptions &options);

/// The same module as the text of a program.json without code, whose weights
/// are only named: for cost models. Of the options, output, target and what
/// concerns weights do not matter.
mlir::FailureOr<std::string> compileToCosts(mlir::ModuleOp module,
                                            const CompileOptions &options);

} // namespace coppice

#endif // COPPICE_BUNDLE_COMPILEBUNDLE_H
