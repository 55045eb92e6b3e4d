//===- KSteps.h - a product's way along K -----------------------*- C++ -*-===//
//
// In: the set of groups of K of a `prune.gemm`, if it has one, and how many
// columns of K a step takes. Out: where each step is. A step never crosses the
// end of a group, so the last one of a group may be short.
//
//===----------------------------------------------------------------------===//

#ifndef COPPICE_LIB_CODEGEN_NVPTX_KSTEPS_H
#define COPPICE_LIB_CODEGEN_NVPTX_KSTEPS_H

#include "KernelBuilder.h"
#include "coppice/Dialect/Prune/IR/Prune.h"

namespace coppice::nvptx {

class KSteps : KernelBuilder {
public:
  struct Step {
    Value from, end; // columns from `from` on, as far as they are below `end`
    Value group;     // where each group has rows of its own, else null
  };

  KSteps(mlir::ImplicitLocOpBuilder &b, KernelShell &shell, prune::GemmOp gemm,
         int64_t depth);

  /// No step is short: the last group is as long as the others, too.
  bool areWhole() const { return k % group == 0 && group % depth == 0; }
  /// Columns of which every beginning and every end is a multiple; at most 8.
  int64_t alignment() const;
  int64_t countGroups() const { return llvm::divideCeil(k, group); }

  Value count();
  Step stepAt(Value number);

private:
  prune::GemmOp gemm;
  int64_t depth, k, group; // all of K is a group where there are no groups
};

} // namespace coppice::nvptx

#endif // COPPICE_LIB_CODEGEN_NVPTX_KSTEPS_H
