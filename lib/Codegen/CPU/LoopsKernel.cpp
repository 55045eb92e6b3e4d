//===- LoopsKernel.cpp - any kernel, as loops -----------------------------===//
//
// In: a kernel of any tensor operations. Out: scalar loops (TiledLoops.h),
// which LLVM vectorises. In its strategy "plain" it is the oracle.
//
//===----------------------------------------------------------------------===//

#include "KernelShell.h"
#include "Strategies.h"

using namespace mlir;

namespace coppice::cpu {

FailureOr<KernelPlan> planLoops(func::FuncOp kernel, StringRef strategy) {
  FailureOr<TiledWork> work = findTiledWork(kernel, strategy == kPlain);
  if (failed(work))
    return failure();
  // A tile of one row keeps temporaries small; a vector is cut into pieces that
  // are worth a call.
  int64_t tile = work->isVector ? 1024 : 1;
  return KernelPlan::always(
      kernel, makeConfig(kernel.getContext(), strategy, {{"tile", tile}}),
      makeGrid(work->extent.ceilDiv(tile)));
}

FailureOr<func::FuncOp> emitLoops(func::FuncOp kernel,
                                  PipelineRunner runPipeline) {
  TiledLoopsOptions options;
  options.exact = getStrategy(kernel) == kPlain;
  func::FuncOp function;
  auto makeShell = [&]() -> FailureOr<TiledLoopsShell> {
    OpBuilder builder(kernel);
    FailureOr<KernelShell> shell =
        createKernelShell(builder, kernel, /*halvesAsBits=*/false);
    if (failed(shell))
      return failure();
    function = shell->function;
    return TiledLoopsShell{
        &function.front(),
        SmallVector<Value>(shell->arguments.begin(), shell->arguments.end()),
        shell->begin, shell->end};
  };
  if (failed(emitTiledLoops(kernel, options, runPipeline, makeShell)))
    return failure();
  return function;
}

} // namespace coppice::cpu
