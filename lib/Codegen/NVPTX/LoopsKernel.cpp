//===- LoopsKernel.cpp - any kernel, as loops of a GPU's threads ----------===//
//
// In: a kernel of any tensor operations. Out: scalar loops (TiledLoops.h), a
// thread a tile. Neighbouring threads read neighbouring rows, not neighbouring
// elements, so this is for what is small, and for what no other strategy takes.
//
//===----------------------------------------------------------------------===//

#include "KernelBuilder.h"
#include "Strategies.h"
#include "mlir/Conversion/LLVMCommon/MemRefBuilder.h"
#include "mlir/Conversion/LLVMCommon/TypeConverter.h"
#include "mlir/Dialect/Affine/Utils.h"

using namespace mlir;

namespace coppice::nvptx {
namespace {

constexpr int64_t kThreads = 128;
/// Of a thread. A GPU sets it aside for as many threads as it can hold.
constexpr int64_t kTemporaryBytes = 16 * 1024;

class LoopsBuilder : KernelBuilder {
public:
  LoopsBuilder(ImplicitLocOpBuilder &b, KernelShell &shell)
      : KernelBuilder(b, shell) {}

  TiledLoopsShell build(AffineExpr tiles) {
    TiledLoopsShell loops;
    for (unsigned arg = 0; arg < shell.arguments.size(); ++arg)
      loops.arguments.push_back(memrefOf(arg));
    SmallVector<Value> symbols;
    for (Value symbol : shell.symbols)
      symbols.push_back(toIndex(symbol));
    Value count = affine::expandAffineExpr(b, b.getLoc(), tiles, {}, symbols);
    forEachItem([&](Value item) {
      Value begin = toIndex(add(mul(item, shell.threads), thread()));
      Value one = arith::ConstantIndexOp::create(b, 1);
      loops.begin = begin;
      loops.end = min(arith::AddIOp::create(b, begin, one), count);
      loops.body = b.getInsertionBlock();
    });
    return loops;
  }

private:
  Value toIndex(Value value) {
    return arith::IndexCastOp::create(b, b.getIndexType(), value);
  }

  Value memrefOf(unsigned arg) {
    auto tensor = cast<RankedTensorType>(shell.kernel.getArgumentTypes()[arg]);
    auto type = MemRefType::get(tensor.getShape(), tensor.getElementType());
    LLVMTypeConverter converter(b.getContext());
    auto descriptor =
        MemRefDescriptor::poison(b, b.getLoc(), converter.convertType(type));
    Value pointer = shell.function.getArgument(arg);
    descriptor.setAllocatedPtr(b, b.getLoc(), pointer);
    descriptor.setAlignedPtr(b, b.getLoc(), pointer);
    descriptor.setConstantOffset(b, b.getLoc(), 0);
    Value stride = i64(1);
    for (int64_t dim = type.getRank() - 1; dim >= 0; --dim) {
      Value size = arith::ExtSIOp::create(
          b, b.getI64Type(), extentOf(shell.kernel.getArgument(arg), dim));
      descriptor.setSize(b, b.getLoc(), dim, size);
      descriptor.setStride(b, b.getLoc(), dim, stride);
      stride = mul(stride, size);
    }
    return UnrealizedConversionCastOp::create(b, type, Value(descriptor))
        .getResult(0);
  }
};

} // namespace

FailureOr<KernelPlan> planLoops(func::FuncOp kernel) {
  FailureOr<TiledWork> work = findTiledWork(kernel, /*exact=*/false);
  if (failed(work))
    return failure();
  return planAlways(kernel,
                    makeConfig(kernel.getContext(), kLoops,
                               {{"threads", kThreads}, {"tile", 1}}),
                    makeGrid(work->extent.ceilDiv(kThreads)));
}

LogicalResult emitLoops(func::FuncOp kernel, PipelineRunner runPipeline) {
  FailureOr<TiledWork> work = findTiledWork(kernel, /*exact=*/false);
  FailureOr<int64_t> tile = getParameter(kernel, "tile");
  if (failed(work) || failed(tile))
    return failure();
  TiledLoopsOptions options;
  options.temporaryBytes = kTemporaryBytes;
  ImplicitLocOpBuilder builder(kernel.getLoc(), kernel.getContext());
  return emitTiledLoops(
      kernel, options, runPipeline, [&]() -> FailureOr<TiledLoopsShell> {
        FailureOr<KernelShell> shell = createKernelShell(builder, kernel);
        if (failed(shell))
          return failure();
        return LoopsBuilder(builder, *shell).build(work->extent.ceilDiv(*tile));
      });
}

} // namespace coppice::nvptx
