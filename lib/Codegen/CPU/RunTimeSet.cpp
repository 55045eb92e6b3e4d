//===- RunTimeSet.cpp - a set of indices known at run time ----------------===//

#include "RunTimeSet.h"

using namespace mlir;

namespace coppice::cpu {

Value RunTimeSet::granule(Value position) {
  return arith::IndexCastUIOp::create(
      b, b.getIndexType(), memref::LoadOp::create(b, list, position));
}

Value RunTimeSet::count() {
  Value granules = arith::IndexCastUIOp::create(
      b, b.getIndexType(), memref::LoadOp::create(b, counter, ValueRange{}));
  Value all = mul(granules, units);
  int64_t last = (extent - 1) / units, missing = (last + 1) * units - extent;
  if (!missing)
    return all;
  // The list is ascending, so that only its last granule can be the short one.
  Value zero = index(0);
  Value isEmpty =
      arith::CmpIOp::create(b, arith::CmpIPredicate::eq, granules, zero);
  auto branch = scf::IfOp::create(b, TypeRange{b.getIndexType()}, isEmpty,
                                  /*withElseRegion=*/true);
  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPointToStart(branch.thenBlock());
  scf::YieldOp::create(b, zero);
  b.setInsertionPointToStart(branch.elseBlock());
  Value isShort =
      arith::CmpIOp::create(b, arith::CmpIPredicate::eq,
                            granule(sub(granules, index(1))), index(last));
  Value kept =
      arith::SelectOp::create(b, isShort, sub(all, index(missing)), all);
  scf::YieldOp::create(b, kept);
  return branch.getResult(0);
}

void RunTimeSet::forEach(Value extent, int64_t units,
                         llvm::function_ref<void(Value)> body) {
  Value kept = count(), all = div(add(extent, units - 1), units);
  loop(portionOf(shell.begin, kept, all), portionOf(shell.end, kept, all), 1,
       [&](Value position) { body(at(position)); });
}

Value RunTimeSet::at(Value position) {
  if (units == 1)
    return granule(position);
  return add(mul(granule(div(position, units)), units), rem(position, units));
}

} // namespace coppice::cpu
