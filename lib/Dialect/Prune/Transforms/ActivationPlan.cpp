// In: decisions about inputs of GEMMs. Out: `|x| < threshold ? 0 : x` in front
// of these GEMMs, one op for those that share input and threshold, and on each
// what share of zeros is expected.
#include "ActivationPlan.h"
#include "coppice/Analysis/SiteGlob.h"
#include "coppice/Analysis/Sites.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "llvm/ADT/MapVector.h"

using namespace mlir;
using namespace coppice;
using namespace coppice::prune;

namespace {
class ActivationPlan {
public:
  explicit ActivationPlan(ModuleOp module) {
    module.walk([&](GemmOp gemm) {
      if (!gemm.getSite().empty())
        gemms.push_back(gemm);
    });
  }

  LogicalResult read(ActivationsOp op);
  int64_t apply();

private:
  Value makeSparse(Value input, ActivationsOp op, StringRef site);

  SmallVector<GemmOp> gemms; // of the model, in order
  llvm::MapVector<Operation *, ActivationsOp> decisions;
  DenseMap<std::pair<Value, Attribute>, Value> made; // by input and threshold
};
} // namespace

LogicalResult ActivationPlan::read(ActivationsOp op) {
  std::string error;
  std::optional<SiteGlob> glob = SiteGlob::parse(op.getSites(), error);
  if (!glob)
    return op.emitOpError() << "'" << op.getSites() << "': " << error;
  bool found = false;
  for (GemmOp gemm : gemms) {
    if (!glob->match(gemm.getSite()))
      continue;
    found = true;
    ActivationsOp &present = decisions[gemm];
    if (present) {
      InFlightDiagnostic diagnostic = op.emitOpError()
                                      << "the input of '" << gemm.getSite()
                                      << "' is decided about twice";
      diagnostic.attachNote(present.getLoc())
          << "the other decision, about '" << present.getSites()
          << "', is here";
      return diagnostic;
    }
    present = op;
  }
  if (!found) {
    InFlightDiagnostic diagnostic =
        op.emitOpError() << "'" << op.getSites()
                         << "' names no matrix multiplication of the model";
    if (!gemms.empty())
      diagnostic << "; the model has such as '" << gemms.front().getSite()
                 << "' and '" << gemms.back().getSite() << "'";
    return diagnostic;
  }
  if (std::optional<std::string> unmatched = glob->findUnmatched())
    return op.emitOpError() << "'" << *unmatched << "' in '" << op.getSites()
                            << "' is out of range: nothing of the model "
                               "matches it";
  return success();
}

/// `|x| < threshold ? 0 : x`, which NaN passes.
Value ActivationPlan::makeSparse(Value input, ActivationsOp op,
                                 StringRef site) {
  Value &sparse = made[{input, op.getThresholdAttr()}];
  if (sparse)
    return sparse;
  OpBuilder builder(op.getContext());
  builder.setInsertionPointAfterValue(input);
  Location loc = op.getLoc();
  auto type = cast<RankedTensorType>(input.getType());
  Value init = tensor::EmptyOp::create(
      builder, loc, tensor::getMixedSizes(builder, loc, input),
      type.getElementType());
  AffineMap all = builder.getMultiDimIdentityMap(2);
  auto generic = linalg::GenericOp::create(
      builder, loc, type, input, init, ArrayRef<AffineMap>{all, all},
      SmallVector<utils::IteratorType>(2, utils::IteratorType::parallel),
      [&](OpBuilder &b, Location l, ValueRange in) {
        Type element = type.getElementType();
        Value least = arith::ConstantOp::create(
            b, l, b.getFloatAttr(element, op.getThreshold().convertToDouble()));
        Value zero = arith::ConstantOp::create(b, l, b.getZeroAttr(element));
        Value isSmall =
            arith::CmpFOp::create(b, l, arith::CmpFPredicate::OLT,
                                  math::AbsFOp::create(b, l, in[0]), least);
        linalg::YieldOp::create(
            b, l,
            arith::SelectOp::create(b, l, isSmall, zero, in[0]).getResult());
      });
  setSite(generic, (site + ".input").str());
  generic->setAttr(PruneDialect::thresholdAttrName, op.getThresholdAttr());
  return sparse = generic.getResult(0);
}

int64_t ActivationPlan::apply() {
  for (GemmOp gemm : gemms) {
    ActivationsOp op = decisions.lookup(gemm);
    if (!op)
      continue;
    gemm.getInputMutable().assign(
        makeSparse(gemm.getInput(), op, gemm.getSite()));
    gemm.setInputZeros(APFloat(1 - op.getExpected().convertToDouble()));
  }
  return static_cast<int64_t>(decisions.size());
}

FailureOr<int64_t> coppice::prune::applyActivationDecisions(ModuleOp module,
                                                            PlanOp plan) {
  ActivationPlan activations(module);
  for (auto op : plan.getBody().front().getOps<ActivationsOp>())
    if (failed(activations.read(op)))
      return failure();
  return activations.apply();
}
