//===- CopyRing.h - copies ahead of what is computed ------------*- C++ -*-===//
//
// In: how to start the copies of a step, and how to compute with what they
// brought. Out: a loop over steps in which copies run `stages - 1` steps ahead,
// in a ring of as many places in shared memory.
//
// One barrier a step does both: all threads' copies of this step have arrived
// (each waited for its own), and nobody reads the step before any more, whose
// place is filled next.
//
//===----------------------------------------------------------------------===//

#ifndef COPPICE_LIB_CODEGEN_NVPTX_COPYRING_H
#define COPPICE_LIB_CODEGEN_NVPTX_COPYRING_H

#include "KernelBuilder.h"

namespace coppice::nvptx {

class CopyRing : KernelBuilder {
public:
  CopyRing(mlir::ImplicitLocOpBuilder &b, KernelShell &shell, Value memory,
           int64_t stageBytes, int64_t stages)
      : KernelBuilder(b, shell), memory(memory), stageBytes(stageBytes),
        stages(stages) {}

  using Values = llvm::SmallVector<Value>;
  struct Work {
    /// Starts to bring step `number` to a place; returns what is still in
    /// registers.
    std::function<Values(Value number, Value place)> fetch;
    /// What is in registers where there is no such step.
    Values none;
    /// Stores to a place what `fetch` returned.
    std::function<void(const Values &, Value place)> put;
    /// Returns what `carried` is next.
    std::function<Values(Value place, mlir::ValueRange carried)> compute;
  };
  /// Steps [begin, end); all threads come here. No copy is left in flight, and
  /// the places may be used for something else.
  Values run(Value begin, Value end, ValueRange carried, const Work &work);

private:
  Value placeOf(Value stage) { return at(memory, mul(stage, stageBytes)); }
  Value next(Value stage);
  void commit() { mlir::NVVM::CpAsyncCommitGroupOp::create(b); }
  void waitFor(int64_t groupsLeft) {
    mlir::NVVM::CpAsyncWaitGroupOp::create(b, b.getI32IntegerAttr(groupsLeft));
  }

  Value memory;
  int64_t stageBytes, stages;
};

} // namespace coppice::nvptx

#endif // COPPICE_LIB_CODEGEN_NVPTX_COPYRING_H
