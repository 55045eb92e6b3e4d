//===- SelectProduct.cpp - a step of a product with N:M weights -----------===//
//
// In: sums, where rows of A (f32) and a step of N:M weights begin. Out: the sums
// after that step: of each group along K, only what is kept is multiplied.
//
// Lanes are columns, and each column kept other elements of the group. So a
// group of A is a small table that all lanes share, and one instruction looks
// up a value for each lane, by the positions that lie beside the weights:
//
//   vpermilps  of 4: a table for each 128 bits, by two bits of a lane
//   vpermps    of 8: one table, by three bits of a lane (four where there are
//              sixteen lanes; the table is there twice, and the fourth is zero)
//
// Bits above those are ignored, so that positions need a shift and no mask. A
// lookup and a multiply-add go to different units on most CPUs: half of the
// products for one lookup each is never more work than all of them.
//
//===----------------------------------------------------------------------===//

#include "GemmProduct.h"
#include "VectorAccess.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"

using namespace mlir;

namespace coppice::cpu {

namespace {
/// What a step reads of the weights, vector by vector.
class SelectedWeights : KernelBuilder {
public:
  SelectedWeights(ImplicitLocOpBuilder &b, const KernelShell &shell,
                  const GemmProduct::Options &options,
                  const GemmProduct::Operands &operands, Value first)
      : KernelBuilder(b, shell), options(options), layout(*options.layout),
        weights(operands.weights), first(first), column(operands.column),
        lanes(options.lanes), floats(VectorType::get(lanes, b.getF32Type())),
        words(VectorType::get(lanes, b.getI32Type())) {}

  /// Kept elements that are loaded at a time: a pair of bf16 is a word.
  int64_t loaded() const { return options.weight.isBF16() ? 2 : 1; }

  /// Kept element `j`, or the pair that it begins, of vector `v`.
  Value load(int64_t j, int64_t v) {
    int64_t pack = loaded();
    Value element = add(first, j * options.panel);
    element = add(element, mul(add(column, v * lanes), pack));
    return loadVector(b, weights, options.weight, lanes * pack, element);
  }

  /// Element `part` of what was loaded, as f32.
  Value widen(Value loaded, int64_t part) {
    if (!options.weight.isBF16())
      return convertFloat(b, loaded, b.getF32Type());
    // A bf16 is the upper half of an f32.
    Value pair = vector::BitCastOp::create(b, words, loaded), word;
    if (part == 0)
      word = arith::ShLIOp::create(b, pair, constant(16));
    else
      word = arith::AndIOp::create(b, pair, constant(0xffff0000));
    return vector::BitCastOp::create(b, floats, word);
  }

  /// All positions of vector `v`, those of kept element 0 in the lowest bits.
  Value positions(int64_t v) {
    int64_t share = layout.share(),
            bits = layout.keptOfStep() * layout.positionBits();
    auto stored = cast<MemRefType>(weights.getType());
    int64_t perWord = 32 / stored.getElementTypeBitWidth();
    // In vectors of eight columns.
    Value number = add(div(column, 8), v * (lanes / 8));
    Value element = add(add(first, layout.valueElements()),
                        mul(div(number, share), 8 * perWord));
    // Sixteen lanes are two such vectors, in one vector of words or in two.
    int64_t width = share > 1 ? 8 : lanes;
    Value bitsOfAll = vector::BitCastOp::create(
        b, VectorType::get(width, b.getI32Type()),
        vector::LoadOp::create(
            b, VectorType::get(width * perWord, stored.getElementType()),
            weights, element));
    if (share == 1)
      return bitsOfAll;
    Value shift =
        splat(arith::IndexCastOp::create(b, b.getI32Type(),
                                         mul(rem(number, share), bits)),
              words);
    if (lanes == 16) {
      bitsOfAll = repeat(bitsOfAll);
      SmallVector<int32_t> halves(16, 0);
      std::fill(halves.begin() + 8, halves.end(), static_cast<int32_t>(bits));
      shift = arith::AddIOp::create(
          b, shift,
          arith::ConstantOp::create(
              b, DenseElementsAttr::get(words, ArrayRef<int32_t>(halves))));
    }
    return arith::ShRUIOp::create(b, bitsOfAll, shift);
  }

  /// Of `positions`, those of kept element `j`, with others above them.
  Value positionOf(Value positions, int64_t j) {
    if (j == 0)
      return positions;
    return arith::ShRUIOp::create(
        b, positions,
        constant(static_cast<uint32_t>(j * layout.positionBits())));
  }

  /// `vector` as often as it takes for all lanes.
  Value repeat(Value vector) {
    int64_t width = cast<VectorType>(vector.getType()).getNumElements();
    if (width == lanes)
      return vector;
    SmallVector<int64_t> places;
    for (int64_t lane = 0; lane < lanes; ++lane)
      places.push_back(lane % width);
    return vector::ShuffleOp::create(b, vector, vector, places);
  }

  /// A lane's own of the elements of `table`.
  Value lookUp(Value table, Value position) {
    StringRef intrinsic =
        layout.groupSize() == 4
            ? (lanes == 8 ? "llvm.x86.avx.vpermilvar.ps.256"
                          : "llvm.x86.avx512.vpermilvar.ps.512")
            : (lanes == 8 ? "llvm.x86.avx2.permps"
                          : "llvm.x86.avx512.permvar.sf.512");
    return LLVM::CallIntrinsicOp::create(b, floats, b.getStringAttr(intrinsic),
                                         ValueRange{table, position})
        .getResult(0);
  }

private:
  Value constant(uint32_t value) {
    return arith::ConstantOp::create(
        b, DenseElementsAttr::get(words, APInt(32, value)));
  }

  const GemmProduct::Options &options;
  const rt::NMLayout &layout;
  Value weights, first, column;
  int64_t lanes;
  VectorType floats, words;
};
} // namespace

SmallVector<Value> GemmProduct::select(ValueRange sums,
                                       const Operands &operands, Value at) {
  const rt::NMLayout &layout = *options.layout;
  SelectedWeights weights(b, shell, options, operands,
                          add(operands.first, mul(at, layout.stepElements())));
  int64_t height = operands.rows.size(), vectors = sums.size() / height;
  SmallVector<Value> next(sums);
  // Group `group` of the step, of row `row` of A.
  auto tableOf = [&](int64_t row, int64_t group) {
    Value element =
        add(add(operands.rows[row], mul(at, layout.stepColumns())),
            group * layout.groupSize());
    return weights.repeat(vector::LoadOp::create(
        b, VectorType::get(layout.groupSize(), b.getF32Type()), input,
        element));
  };
  auto multiply = [&](Value table, Value position, Value value, int64_t row,
                      int64_t v) {
    Value &sum = next[row * vectors + v];
    sum = vector::FMAOp::create(b, weights.lookUp(table, position), value, sum);
  };

  SmallVector<Value> positions;
  for (int64_t v = 0; v < vectors; ++v)
    positions.push_back(weights.positions(v));
  // As with dense weights, what is fewer waits in registers.
  for (int64_t j = 0; j < layout.keptOfStep(); j += weights.loaded()) {
    SmallVector<Value> loaded;
    for (int64_t v = 0; v < vectors; ++v)
      loaded.push_back(weights.load(j, v));
    for (int64_t part = 0; part < weights.loaded(); ++part) {
      int64_t group = (j + part) / layout.keptOfGroup();
      auto positionOf = [&](int64_t v) {
        return weights.positionOf(positions[v], j + part);
      };
      if (height < vectors) {
        SmallVector<Value> tables;
        for (int64_t row = 0; row < height; ++row)
          tables.push_back(tableOf(row, group));
        for (int64_t v = 0; v < vectors; ++v) {
          Value position = positionOf(v), value = weights.widen(loaded[v], part);
          for (int64_t row = 0; row < height; ++row)
            multiply(tables[row], position, value, row, v);
        }
        continue;
      }
      SmallVector<std::pair<Value, Value>> held;
      for (int64_t v = 0; v < vectors; ++v)
        held.push_back({positionOf(v), weights.widen(loaded[v], part)});
      for (int64_t row = 0; row < height; ++row) {
        Value table = tableOf(row, group);
        for (int64_t v = 0; v < vectors; ++v)
          multiply(table, held[v].first, held[v].second, row, v);
      }
    }
  }
  return next;
}

} // namespace coppice::cpu
