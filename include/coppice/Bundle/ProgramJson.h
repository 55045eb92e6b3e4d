// program.json (docs/bundle.md) from an exec.program.
#ifndef COPPICE_BUNDLE_PROGRAMJSON_H
#define COPPICE_BUNDLE_PROGRAMJSON_H

#include "coppice/Dialect/Exec/IR/Exec.h"
#include "mlir/IR/BuiltinOps.h"
#include "runtime/base/sha256.h"
#include "runtime/bundle/program.h"
#include "llvm/ADT/StringMap.h"
#include "llvm/Support/JSON.h"

#include <optional>
#include <string>
#include <vector>

namespace coppice {

/// A file of the bundle as program.json records it: with one hash, or with
/// those of its pieces.
struct BundleFile {
  std::string file, sha256;
  int64_t bytes = 0;
  rt::PieceHashes pieces = {};
};

/// Native code for one target and instruction set.
struct BundleTarget {
  std::string name, isa;
  BundleFile code;
  std::vector<std::string> requirements = {};
  llvm::StringMap<rt::KernelShape> kernels = {}; ///< of GPUs
};

struct ProgramRecords {
  llvm::json::Object model, plan;
  llvm::json::Array fallbacks;
  /// `storage` of each exec.weight, in order.
  std::vector<llvm::json::Object> storages;
  std::vector<BundleFile> files;
  std::vector<BundleTarget> targets;
};

/// `expr` as an EXPR.
llvm::json::Value exprToJson(mlir::AffineExpr expr);

/// The whole of program.json. The program must have its memory planned and its
/// kernels chosen.
mlir::FailureOr<llvm::json::Value> programToJson(exec::ProgramOp program,
                                                 ProgramRecords records);

} // namespace coppice

#endif // COPPICE_BUNDLE_PROGRAMJSON_H
