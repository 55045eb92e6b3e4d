//===- GemmProduct.h - the inner loop of a matrix product -------*- C++ -*-===//
//
// In: a register tile of sums, row by row, where its rows of A and its columns
// of packed W begin in memory, and how many steps to go along K. Out: the sums
// after them.
//
// A step is one value along K, or a pair where W is packed in pairs (bf16).
// Of N:M weights it is a few groups. There are five ways to do one:
//
// | way    | A    | W        | a step                                       |
// |--------|------|----------|----------------------------------------------|
// | Dot    | bf16 | bf16     | vdpbf16ps on a pair, as it lies in memory    |
// | Pairs  | f32  | bf16     | the pair's halves widened by a shift and a   |
// |        |      |          | mask, a multiply-add for each                |
// | Single | f32  | f32, f16 | W widened, one multiply-add                  |
// | Select | f32  | any, N:M | SelectProduct.cpp                            |
// | Tiles  | bf16 | bf16     | GemmTiles.cpp                                |
//
// A of any other type must have been widened to f32 before.
//
//===----------------------------------------------------------------------===//

#ifndef COPPICE_LIB_CODEGEN_CPU_GEMMPRODUCT_H
#define COPPICE_LIB_CODEGEN_CPU_GEMMPRODUCT_H

#include "KernelBuilder.h"
#include "runtime/base/nm_layout.h"

namespace coppice::cpu {

enum class GemmStep { Dot, Pairs, Single, Select, Tiles };

class GemmProduct : KernelBuilder {
public:
  struct Options {
    GemmStep step;
    mlir::Type weight; // element type
    int64_t lanes;
    int64_t panel; // columns of a panel
    int64_t unroll;
    bool fetchesEachStep; // else once for all that are unrolled
    std::optional<rt::NMLayout> layout = {}; // of weights to select for
  };

  GemmProduct(mlir::ImplicitLocOpBuilder &b, const KernelShell &shell,
              const Options &options)
      : KernelBuilder(b, shell), options(options) {}

  /// `memory` and the weights are seen as one axis: A f32 or bf16 (as i16), W
  /// of its storage type (halves as i16).
  void setInput(Value memory) { input = memory; }

  /// Elements of A and W that a step goes on by.
  int64_t depth() const {
    if (options.step == GemmStep::Select)
      return options.layout->stepColumns();
    return options.step == GemmStep::Single ? 1 : 2;
  }
  int64_t weightStride() const {
    return options.step == GemmStep::Select ? options.layout->stepElements()
                                            : options.panel * depth();
  }

  struct Operands {
    llvm::SmallVector<Value> rows; // of A: each one's first element
    Value weights;                 // memory
    Value first;                   // of W: the panel's first element
    Value column;                  // the first of the tile, in its panel
    /// What is prefetched: lines at a time, bytes from element `fetchedFirst`
    /// of `fetched` to where they begin, and how many of them a step goes on
    /// by.
    int64_t lines = 0;
    Value fetched, fetchedFirst, ahead, aheadStride;
  };

  /// `steps` whole steps; `isMultiple`: of the unrolling, for sure.
  llvm::SmallVector<Value> run(mlir::ValueRange sums, const Operands &operands,
                               Value steps, bool isMultiple);
  /// The step `at` alone.
  llvm::SmallVector<Value> runStep(mlir::ValueRange sums,
                                   const Operands &operands, Value at) {
    return step(sums, operands, at, /*isHalf=*/false);
  }
  /// Prefetches what `operands` says of the step `at`.
  void fetchStep(const Operands &operands, Value at) { prefetch(operands, at); }
  /// The last value along an odd K: a pair of which there is half. What lies
  /// behind the row is not read.
  llvm::SmallVector<Value> runHalf(mlir::ValueRange sums,
                                   const Operands &operands, Value step);

private:
  llvm::SmallVector<Value> step(mlir::ValueRange sums, const Operands &operands,
                                Value at, bool isHalf);
  llvm::SmallVector<Value> select(mlir::ValueRange sums,
                                  const Operands &operands, Value at);
  void prefetch(const Operands &operands, Value element);
  Value loadWeights(const Operands &operands, Value at, int64_t vector);

  Options options;
  Value input;
};

} // namespace coppice::cpu

#endif // COPPICE_LIB_CODEGEN_CPU_GEMMPRODUCT_H
