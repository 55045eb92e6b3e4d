//===- ExpandedPanels.cpp - weights made dense or wide in the cache -------===//

#include "ExpandedPanels.h"
#include "SelectedWeights.h"
#include "VectorAccess.h"

using namespace mlir;

namespace coppice::cpu {

ExpandedPanels::ExpandedPanels(ImplicitLocOpBuilder &b,
                               const KernelShell &shell, const Options &options)
    : KernelBuilder(b, shell), options(options),
      words(VectorType::get(options.lanes, b.getI32Type())),
      dense(onStack({options.panels * options.panel * options.most},
                    options.widens ? b.getF32Type() : options.memory)) {}

void ExpandedPanels::expand(Value weights, Value first, Value steps,
                            Value local, Value k) {
  Value begin = add(firstOf(local), mul(k, options.panel));
  loop(index(0), steps, 1, [&](Value step) {
    Value from = add(first, mul(step, stepElements())),
          to = add(begin, mul(step, stepColumns() * options.panel));
    for (int64_t column = 0; column < options.panel; column += options.lanes)
      if (options.layout)
        expandStep(weights, from, to, index(column));
      else
        widenPairs(weights, from, to, index(column));
  });
}

/// `lanes` columns of a pair of values along K.
void ExpandedPanels::widenPairs(Value weights, Value first, Value to,
                                Value column) {
  Value pairs = vector::BitCastOp::create(
      b, words,
      loadVector(b, weights, options.weight, 2 * options.lanes,
                 add(first, mul(column, 2))));
  auto constant = [&](uint32_t value) -> Value {
    return arith::ConstantOp::create(
        b, DenseElementsAttr::get(words, APInt(32, value)));
  };
  // A bf16 is the upper half of an f32.
  store(arith::ShLIOp::create(b, pairs, constant(16)), 0, to, column);
  store(arith::AndIOp::create(b, pairs, constant(0xffff0000)), 1, to, column);
}

/// `lanes` columns of a step.
void ExpandedPanels::expandStep(Value weights, Value first, Value to,
                                Value column) {
  const rt::NMLayout &layout = *options.layout;
  SelectedWeights selected(b, shell, layout, options.weight, options.panel,
                           options.lanes, weights, first, column);
  // A word of the result is one value along K, or a pair.
  SmallVector<Value> places(layout.stepColumns() / depth());
  int64_t placesOfGroup = layout.groupSize() / depth();
  Value positions = selected.positions(0), loaded;
  for (int64_t j = 0; j < layout.keptOfStep(); ++j) {
    if (j % selected.loaded() == 0)
      loaded = selected.load(j, 0);
    Value bits = selected.bitsOf(loaded, j % selected.loaded());
    Value position = arith::AndIOp::create(
        b, selected.positionOf(positions, j),
        selected.constant((1u << layout.positionBits()) - 1));
    if (options.weight.isBF16() && options.widens) {
      bits = arith::ShLIOp::create(b, bits, selected.constant(16));
    } else if (options.weight.isBF16()) {
      Value half = arith::ShLIOp::create(
          b, arith::AndIOp::create(b, position, selected.constant(1)),
          selected.constant(4));
      bits = arith::ShLIOp::create(b, bits, half);
      position = arith::ShRUIOp::create(b, position, selected.constant(1));
    }
    for (int64_t i = 0; i < placesOfGroup; ++i) {
      Value isHere =
          arith::CmpIOp::create(b, arith::CmpIPredicate::eq, position,
                                selected.constant(static_cast<uint32_t>(i)));
      Value &place = places[j / layout.keptOfGroup() * placesOfGroup + i];
      Value here = arith::SelectOp::create(b, isHere, bits, zeros(words));
      place = place ? arith::OrIOp::create(b, place, here) : here;
    }
  }
  for (auto [number, word] : llvm::enumerate(places))
    store(word, static_cast<int64_t>(number), to, column);
}

/// Value `number` along K from `to` on, or that pair, of `lanes` columns; its
/// bits are the low ones of `words`.
void ExpandedPanels::store(Value value, int64_t number, Value to,
                           Value column) {
  Type stored = cast<MemRefType>(dense.getType()).getElementType();
  if (options.weight.isF16())
    value = arith::TruncIOp::create(b, words.clone(b.getI16Type()), value);
  else
    value = vector::BitCastOp::create(
        b, VectorType::get(options.lanes * depth(), stored), value);
  Value element = add(to, number * options.panel * depth());
  vector::StoreOp::create(b, value, dense, add(element, mul(column, depth())));
}

} // namespace coppice::cpu
