//===- SpecialRegisters.cpp - who a thread is -----------------------------===//

#include "ThreadBlock.h"

using namespace mlir;

namespace coppice::emulator {
namespace {

template <auto function>
Step run(ThreadBlock &block, Thread &thread, const Instruction &at) {
  thread[at.result] = static_cast<uint32_t>(function(block, thread));
  return Step::Next;
}

template <auto function>
LogicalResult special(FunctionDecoder &decoder, Operation *op) {
  if (!op->getResult(0).getType().isInteger(32))
    return decoder.error(op)
           << "expected i32, found " << op->getResult(0).getType();
  decoder.emit(op, run<function>);
  return success();
}

template <unsigned axis> void addAxis(OpTable &table) {
  std::string end = std::string(".") + "xyz"[axis];
  table["nvvm.read.ptx.sreg.tid" + end] =
      special<[](ThreadBlock &, Thread &thread) { return thread.id[axis]; }>;
  table["nvvm.read.ptx.sreg.ntid" + end] =
      special<[](ThreadBlock &block, Thread &) {
        return block.launched().block[axis];
      }>;
  table["nvvm.read.ptx.sreg.ctaid" + end] =
      special<[](ThreadBlock &block, Thread &) { return block.id()[axis]; }>;
  table["nvvm.read.ptx.sreg.nctaid" + end] =
      special<[](ThreadBlock &block, Thread &) {
        return block.launched().grid[axis];
      }>;
}

} // namespace

void addSpecialRegisters(OpTable &table) {
  addAxis<0>(table);
  addAxis<1>(table);
  addAxis<2>(table);
  table["nvvm.read.ptx.sreg.laneid"] =
      special<[](ThreadBlock &, Thread &thread) { return thread.lane; }>;
  // A GPU promises no more than that it is below nwarpid; it is this in fact.
  table["nvvm.read.ptx.sreg.warpid"] =
      special<[](ThreadBlock &, Thread &thread) {
        return thread.index / kWarpSize;
      }>;
  table["nvvm.read.ptx.sreg.warpsize"] =
      special<[](ThreadBlock &, Thread &) { return kWarpSize; }>;
  table["nvvm.read.ptx.sreg.lanemask.eq"] =
      special<[](ThreadBlock &, Thread &thread) { return 1u << thread.lane; }>;
  table["nvvm.read.ptx.sreg.lanemask.lt"] =
      special<[](ThreadBlock &, Thread &thread) {
        return (1u << thread.lane) - 1;
      }>;
  table["nvvm.read.ptx.sreg.lanemask.le"] =
      special<[](ThreadBlock &, Thread &thread) {
        return (2ull << thread.lane) - 1;
      }>;
  table["nvvm.read.ptx.sreg.lanemask.gt"] =
      special<[](ThreadBlock &, Thread &thread) {
        return ~((2ull << thread.lane) - 1);
      }>;
  table["nvvm.read.ptx.sreg.lanemask.ge"] =
      special<[](ThreadBlock &, Thread &thread) {
        return ~((1u << thread.lane) - 1);
      }>;
}

} // namespace coppice::emulator
