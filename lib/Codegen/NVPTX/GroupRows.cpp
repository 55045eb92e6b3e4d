//===- GroupRows.cpp - which rows of a tile are in which group ------------===//

#include "GroupRows.h"

using namespace mlir;

namespace coppice::nvptx {

void GroupRows::find(Value firstRow) {
  Type i8 = b.getI8Type(), i32Type = b.getI32Type();
  auto listOf = [&](Value group) {
    return addressOf(gemm.getRows(), {group, i32(0)});
  };
  loop(thread(), i32(groups), shell.threads, [&](Value group) {
    Value count = loadElement(gemm.getRowCount(), group);
    store(firstNotBelow(listOf(group), count, firstRow),
          at(starts, mul(group, 4)));
  });
  loop(thread(), i32(groups * rows), shell.threads,
       [&](Value flag) { store(zero(i8), at(flags, flag)); });
  barrier();
  loop(warp(), i32(groups), shell.threads / 32, [&](Value group) {
    Value count = loadElement(gemm.getRowCount(), group);
    Value start = load(i32Type, at(starts, mul(group, 4)));
    loop(lane(), min(sub(count, start), i32(rows)), 32, [&](Value each) {
      Value entry = at(listOf(group), mul(add(start, each), 4));
      Value row = sub(load(i32Type, entry), firstRow);
      ifThen(less(row, i32(rows)), [&] {
        Value one = arith::ConstantOp::create(b, b.getI8IntegerAttr(1));
        store(one, at(flags, add(mul(group, rows), row)));
      });
    });
  });
}

Value GroupRows::has(Value group, Value row) {
  Value flag = load(b.getI8Type(), at(flags, add(mul(group, rows), row)));
  return compare(arith::CmpIPredicate::ne, flag, zero(b.getI8Type()));
}

} // namespace coppice::nvptx
