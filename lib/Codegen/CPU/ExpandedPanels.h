//===- ExpandedPanels.h - weights made dense or wide in the cache -*- C++ -*-=//
//
// In: panels of weights that are stored small: N:M weights, or pairs of bf16.
// Out: a block of them along K as dense panels on the stack, zeros put back,
// bf16 as f32 where there are no dot products of pairs.
//
// For many rows: a part of a panel is expanded once for all rows of a work
// item, which is less than to select or to widen once for each tile of them.
//
//===----------------------------------------------------------------------===//

#ifndef COPPICE_LIB_CODEGEN_CPU_EXPANDEDPANELS_H
#define COPPICE_LIB_CODEGEN_CPU_EXPANDEDPANELS_H

#include "KernelBuilder.h"
#include "runtime/base/nm_layout.h"

namespace coppice::cpu {

class ExpandedPanels : KernelBuilder {
public:
  struct Options {
    mlir::Type weight;                  // as stored
    std::optional<rt::NMLayout> layout; // of N:M weights
    bool widens;                        // bf16 becomes f32
    int64_t panel;                      // columns
    int64_t lanes;
    int64_t panels;    // that there is room for
    int64_t most;      // values along K of each; whole steps
    mlir::Type memory; // element type of the weights in memory
  };

  ExpandedPanels(mlir::ImplicitLocOpBuilder &b, const KernelShell &shell,
                 const Options &options);

  /// The dense panels, one axis.
  Value memory() const { return dense; }
  /// Where panel `local` begins in it.
  Value firstOf(Value local) {
    return mul(local, options.panel * options.most);
  }

  /// Values along K and elements of a step of what is stored.
  int64_t stepColumns() const {
    return options.layout ? options.layout->stepColumns() : 2;
  }
  int64_t stepElements() const {
    return options.layout ? options.layout->stepElements() : 2 * options.panel;
  }
  /// Expands `steps` steps of `weights` (one axis) from element `first` on into
  /// panel `local`, from value `k` along K on.
  void expand(Value weights, Value first, Value steps, Value local, Value k);

private:
  /// Values along K that lie side by side in the result.
  int64_t depth() const {
    return options.weight.isBF16() && !options.widens ? 2 : 1;
  }
  void widenPairs(Value weights, Value first, Value to, Value column);
  void expandStep(Value weights, Value first, Value to, Value column);
  void store(Value words, int64_t number, Value to, Value column);

  Options options;
  mlir::VectorType words;
  Value dense;
};

} // namespace coppice::cpu

#endif // COPPICE_LIB_CODEGEN_CPU_EXPANDEDPANELS_H
