//===- CopyRing.cpp - copies ahead of what is computed --------------------===//

#include "CopyRing.h"

using namespace mlir;

namespace coppice::nvptx {

Value CopyRing::next(Value stage) {
  Value following = add(stage, 1);
  return select(equal(following, i32(stages)), i32(0), following);
}

CopyRing::Values CopyRing::run(Value begin, Value end, ValueRange carried,
                               const Work &work) {
  int64_t ahead = stages - 1;
  auto fetch = [&](Value number, Value place) -> Values {
    return Values(ifThen(less(number, end), work.none,
                         [&] { return work.fetch(number, place); }));
  };
  for (int64_t stage = 0; stage < ahead; ++stage) {
    Value place = placeOf(i32(stage));
    work.put(fetch(add(begin, stage), place), place);
    commit(); // one group a step, be it empty: what is waited for is counted
  }

  SmallVector<Value> initial{i32(0), i32(ahead)};
  llvm::append_range(initial, carried);
  ValueRange results =
      loop(begin, end, i32(1), initial, [&](Value number, ValueRange values) {
        Value full = placeOf(values[0]), free = placeOf(values[1]);
        waitFor(ahead - 1);
        barrier();
        Values inFlight = fetch(add(number, ahead), free);
        commit();
        SmallVector<Value> yielded{next(values[0]), next(values[1])};
        llvm::append_range(yielded, work.compute(full, values.drop_front(2)));
        work.put(inFlight, free);
        return yielded;
      });
  waitFor(0);
  barrier();
  return Values(results.drop_front(2));
}

} // namespace coppice::nvptx
