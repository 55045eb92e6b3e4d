//===- SelectProduct.cpp - a step of a product with N:M weights -----------===//
//
// In: sums, where rows of A (f32) and a step of N:M weights begin. Out: the
// sums after that step: of each group along K, only what is kept is multiplied.
//
// Lanes are columns, and each column kept other elements of the group. So a
// group of A is a small table that all lanes share, and one instruction looks
// up a value for each lane, by the positions that lie beside the weights:
// vpermilps has a table of four for each 128 bits, and reads two bits of a
// lane. What is above those is ignored, so that positions need a shift and no
// mask.
//
// It pays with few rows, where less is read. (vpermps has a table of eight, but
// takes several times as long on AMD's Zen 3: groups of 8 gained nothing.)
//
//===----------------------------------------------------------------------===//

#include "GemmProduct.h"
#include "SelectedWeights.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"

using namespace mlir;

namespace coppice::cpu {

/// A lane's own of the four elements of `table`.
static Value lookUp(ImplicitLocOpBuilder &b, Value table, Value position) {
  auto type = cast<VectorType>(table.getType());
  StringRef intrinsic = type.getNumElements() == 16
                            ? "llvm.x86.avx512.vpermilvar.ps.512"
                            : "llvm.x86.avx.vpermilvar.ps.256";
  return LLVM::CallIntrinsicOp::create(b, type, b.getStringAttr(intrinsic),
                                       ValueRange{table, position})
      .getResult(0);
}

SmallVector<Value> GemmProduct::select(ValueRange sums,
                                       const Operands &operands, Value at) {
  const rt::NMLayout &layout = *options.layout;
  SelectedWeights weights(b, shell, layout, options.weight, options.panel,
                          options.lanes, operands.weights,
                          add(operands.first, mul(at, layout.stepElements())),
                          operands.column);
  int64_t height = operands.rows.size(), vectors = sums.size() / height;
  SmallVector<Value> next(sums);
  // Group `group` of the step, of row `row` of A.
  auto tableOf = [&](int64_t row, int64_t group) {
    Value element = add(add(operands.rows[row], mul(at, layout.stepColumns())),
                        group * layout.groupSize());
    return weights.repeat(vector::LoadOp::create(
        b, VectorType::get(layout.groupSize(), b.getF32Type()), input,
        element));
  };
  struct Kept {
    Value position, value;
  };
  auto keptOf = [&](Value positions, int64_t j, Value loaded) {
    return Kept{weights.positionOf(positions, j),
                weights.widen(loaded, j % weights.loaded())};
  };
  auto multiply = [&](Value table, const Kept &kept, int64_t row, int64_t v) {
    Value &sum = next[row * vectors + v];
    sum = vector::FMAOp::create(b, lookUp(b, table, kept.position), kept.value,
                                sum);
  };
  auto groupOf = [&](int64_t j) { return j / layout.keptOfGroup(); };

  // As with dense weights, what is fewer waits in registers.
  if (height < vectors) {
    SmallVector<Value> tables;
    for (int64_t row = 0; row < height; ++row)
      for (int64_t group = 0; group <= groupOf(layout.keptOfStep() - 1);
           ++group)
        tables.push_back(tableOf(row, group));
    for (int64_t v = 0; v < vectors; ++v) {
      Value positions = weights.positions(v), loaded;
      for (int64_t j = 0; j < layout.keptOfStep(); ++j) {
        if (j % weights.loaded() == 0)
          loaded = weights.load(j, v);
        Kept kept = keptOf(positions, j, loaded);
        for (int64_t row = 0; row < height; ++row)
          multiply(tables[row * tables.size() / height + groupOf(j)], kept, row,
                   v);
      }
    }
    return next;
  }
  SmallVector<Value> positions, loaded(vectors);
  for (int64_t v = 0; v < vectors; ++v)
    positions.push_back(weights.positions(v));
  for (int64_t j = 0; j < layout.keptOfStep(); ++j) {
    SmallVector<Kept> held;
    for (int64_t v = 0; v < vectors; ++v) {
      if (j % weights.loaded() == 0)
        loaded[v] = weights.load(j, v);
      held.push_back(keptOf(positions[v], j, loaded[v]));
    }
    for (int64_t row = 0; row < height; ++row) {
      Value table = tableOf(row, groupOf(j));
      for (int64_t v = 0; v < vectors; ++v)
        multiply(table, held[v], row, v);
    }
  }
  return next;
}

} // namespace coppice::cpu
