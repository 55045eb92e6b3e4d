//===- RunTimeSet.cpp - a set of indices known at run time ----------------===//

#include "RunTimeSet.h"

using namespace mlir;

namespace coppice::cpu {

Value RunTimeSet::granule(Value position) {
  return arith::IndexCastUIOp::create(
      b, b.getIndexType(), memref::LoadOp::create(b, list, inList(position)));
}

Value RunTimeSet::count() {
  Value granules = arith::IndexCastUIOp::create(
      b, b.getIndexType(), memref::LoadOp::create(b, counter, inList({})));
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
  auto ofList = [&] {
    Value kept = count(), all = div(add(extent, units - 1), units);
    loop(portionOf(shell.begin, kept, all), portionOf(shell.end, kept, all), 1,
         [&](Value position) { body(at(position)); });
  };
  if (!lists())
    return ofList();
  loop(index(0), index(lists()), 1, [&](Value number) {
    select(number);
    ofList();
  });
}

Value RunTimeSet::lowerBound(Value bound) {
  Type type = b.getIndexType();
  auto search = scf::WhileOp::create(b, TypeRange{type, type},
                                     ValueRange{index(0), count()});
  OpBuilder::InsertionGuard guard(b);
  SmallVector<Location> locations(2, b.getLoc());
  Block *before =
      b.createBlock(&search.getBefore(), {}, {type, type}, locations);
  scf::ConditionOp::create(b,
                           arith::CmpIOp::create(b, arith::CmpIPredicate::ult,
                                                 before->getArgument(0),
                                                 before->getArgument(1)),
                           before->getArguments());
  Block *after = b.createBlock(&search.getAfter(), {}, {type, type}, locations);
  Value low = after->getArgument(0), high = after->getArgument(1);
  Value middle = div(add(low, high), 2);
  Value isBelow =
      arith::CmpIOp::create(b, arith::CmpIPredicate::ult, at(middle), bound);
  scf::YieldOp::create(
      b, ValueRange{arith::SelectOp::create(b, isBelow, add(middle, 1), low),
                    arith::SelectOp::create(b, isBelow, high, middle)});
  return search.getResult(0);
}

Value RunTimeSet::at(Value position) {
  if (units == 1)
    return granule(position);
  return add(mul(granule(div(position, units)), units), rem(position, units));
}

} // namespace coppice::cpu
