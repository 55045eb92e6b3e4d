//===- ControlFlow.cpp - branches and ends --------------------------------===//
//
// A branch with several targets is followed by one jump for each; it chooses
// among them, and the jump carries the block arguments.
//
//===----------------------------------------------------------------------===//

#include "Numbers.h"
#include "ThreadBlock.h"

using namespace mlir;

namespace coppice::emulator {
namespace {

// Immediate: the target.
Step jump(ThreadBlock &, Thread &thread, const Instruction &at) {
  if (at.moves.size() == 1) {
    const Move &move = at.moves.front();
    std::copy_n(&thread[move.from], move.count, &thread[move.to]);
  } else if (!at.moves.empty()) {
    // All at once: an argument may be the source of another.
    SmallVector<uint64_t, 64> values;
    for (const Move &move : at.moves)
      values.append(&thread[move.from], &thread[move.from] + move.count);
    const uint64_t *next = values.data();
    for (const Move &move : at.moves) {
      std::copy_n(next, move.count, &thread[move.to]);
      next += move.count;
    }
  }
  thread.pc = at.immediates[0];
  return Step::Jump;
}

void emitJump(FunctionDecoder &decoder, Operation *op, Block *target,
              ValueRange arguments) {
  SmallVector<Move, 0> moves;
  for (auto [from, to] : llvm::zip(arguments, target->getArguments()))
    moves.push_back({decoder.placeOf(from), decoder.placeOf(to),
                     layoutOf(to.getType())->count()});
  Instruction &at = decoder.emit(op, jump);
  at.moves = std::move(moves);
  at.immediates = {0};
  decoder.patchTarget(0, target);
}

LogicalResult decodeBranch(FunctionDecoder &decoder, Operation *op) {
  auto branch = cast<LLVM::BrOp>(op);
  emitJump(decoder, op, branch.getDest(), branch.getDestOperands());
  return success();
}

Step branchIf(ThreadBlock &, Thread &thread, const Instruction &at) {
  thread.pc += thread[at.operands[0]] & 1 ? 1 : 2;
  return Step::Jump;
}

LogicalResult decodeConditional(FunctionDecoder &decoder, Operation *op) {
  auto branch = cast<LLVM::CondBrOp>(op);
  decoder.emit(op, branchIf);
  emitJump(decoder, op, branch.getTrueDest(), branch.getTrueDestOperands());
  emitJump(decoder, op, branch.getFalseDest(), branch.getFalseDestOperands());
  return success();
}

// Immediates: the values of the cases, whose jumps follow the default's.
Step switchOn(ThreadBlock &, Thread &thread, const Instruction &at) {
  const int64_t *found =
      llvm::find(at.immediates, static_cast<int64_t>(thread[at.operands[0]]));
  thread.pc +=
      found == at.immediates.end() ? 1 : 2 + (found - at.immediates.begin());
  return Step::Jump;
}

LogicalResult decodeSwitch(FunctionDecoder &decoder, Operation *op) {
  auto choice = cast<LLVM::SwitchOp>(op);
  Instruction &at = decoder.emit(op, switchOn);
  if (choice.getCaseValues())
    for (const APInt &value : choice.getCaseValues()->getValues<APInt>())
      at.immediates.push_back(value.getZExtValue());
  emitJump(decoder, op, choice.getDefaultDestination(),
           choice.getDefaultOperands());
  for (auto [target, arguments] :
       llvm::zip(choice.getCaseDestinations(), choice.getCaseOperands()))
    emitJump(decoder, op, target, arguments);
  return success();
}

Step end(ThreadBlock &, Thread &thread, const Instruction &) {
  thread.state = Thread::State::Exited;
  return Step::Stop;
}

LogicalResult decodeReturn(FunctionDecoder &decoder, Operation *op) {
  decoder.emit(op, end);
  return success();
}

Step trap(ThreadBlock &block, Thread &thread, const Instruction &at) {
  block.fault(Fault::Kind::Invalid, thread, at,
              "expected never to get here, found a thread");
  block.launched().givenUp = true;
  return Step::Stop;
}

LogicalResult decodeTrap(FunctionDecoder &decoder, Operation *op) {
  decoder.emit(op, trap);
  return success();
}

/// Ops that tell an optimizer something.
LogicalResult decodeNothing(FunctionDecoder &, Operation *) {
  return success();
}

} // namespace

void addControlFlow(OpTable &table) {
  table["llvm.br"] = decodeBranch;
  table["llvm.cond_br"] = decodeConditional;
  table["llvm.switch"] = decodeSwitch;
  table["llvm.return"] = decodeReturn;
  table["llvm.unreachable"] = decodeTrap;
  table["llvm.intr.trap"] = decodeTrap;
  table["llvm.intr.assume"] = decodeNothing;
  table["llvm.intr.lifetime.start"] = decodeNothing;
  table["llvm.intr.lifetime.end"] = decodeNothing;
  table["nvvm.prefetch"] = decodeNothing;
}

} // namespace coppice::emulator
