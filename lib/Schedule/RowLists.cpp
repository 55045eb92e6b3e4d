// See RowLists.h.
#include "RowLists.h"

using namespace mlir;
using namespace coppice;
using namespace coppice::prune;

CompactOp RowLists::get(Value mask, Kind kind) {
  CompactOp &lists = made[{mask, kind}];
  if (lists)
    return lists;
  OpBuilder builder(mask.getContext());
  builder.setInsertionPointAfterValue(mask);
  auto type = cast<RankedTensorType>(mask.getType());
  std::string site;
  if (auto decide = mask.getDefiningOp<DecideOp>()) {
    StringRef name = decide.getSite();
    name.consume_back(".route");
    site = (name + (kind == Passed ? ".passed" : ".rows")).str();
  }
  SmallVector<int64_t, 2> list{type.getDimSize(0)}, count;
  if (kind == PerGroup) {
    list.insert(list.begin(), type.getDimSize(1));
    count.push_back(type.getDimSize(1));
  }
  return lists = CompactOp::create(
             builder, mask.getLoc(),
             RankedTensorType::get(list, builder.getI32Type()),
             RankedTensorType::get(count, builder.getI32Type()), site, mask,
             kind == Passed);
}
