// Comes in: a program whose GEMMs read replaced weights. Goes out: the program
// that multiplies with the new weights alone, by two GEMMs where there are two
// of them; what was the old weight goes with its last reader.
//
// The input of U's GEMM is a value that the dense program has not: it has no
// name, and `coppice verify` compares what the pair computes.
#include "coppice/Dialect/Prune/Transforms/Passes.h"

#include "coppice/Analysis/Sites.h"
#include "coppice/Dialect/Prune/IR/Prune.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/IR/PatternMatch.h"

using namespace mlir;

namespace coppice::prune {
#define GEN_PASS_DEF_PRUNEEXPANDREPLACED
#include "coppice/Dialect/Prune/Transforms/Passes.h.inc"
} // namespace coppice::prune

using namespace coppice;
using namespace coppice::prune;

namespace {
/// A GEMM whose weight is a pair of factors.
class FactoredGemm {
public:
  FactoredGemm(RewriterBase &rewriter, ReplaceOp replace, GemmOp gemm)
      : rewriter(rewriter), replace(replace), gemm(gemm), loc(gemm.getLoc()) {}

  /// What takes the place of the GEMM's result.
  Value build() {
    Value v = multiply(gemm.getInput(), replace.getV(), "v");
    SetAttr retain = replace.getRetainAttr();
    if (!retain) {
      GemmOp u = multiply(v, replace.getU(), "");
      u->setDiscardableAttrs(gemm->getDiscardableAttrDictionary());
      return u;
    }
    SetAttr rows = retain.refine(1);
    Value kept =
        RestrictOp::create(rewriter, loc, replace.getWeight(), 0, rows);
    Value dense = multiply(gemm.getInput(), kept, "retained"),
          rest = multiply(v, replace.getU(), "u");
    return add(ExtendOp::create(rewriter, loc, dense, 1, rows),
               ExtendOp::create(rewriter, loc, rest, 1, rows.complement()));
  }

private:
  /// `input` times `weight`; what `step` names is no value of the dense
  /// program.
  GemmOp multiply(Value input, Value weight, StringRef step) {
    auto result = cast<RankedTensorType>(gemm.getType());
    auto type = RankedTensorType::get(
        {result.getDimSize(0),
         cast<RankedTensorType>(weight.getType()).getDimSize(0)},
        result.getElementType());
    std::string site = gemm.getSite().str();
    if (!step.empty() && !site.empty())
      site += "." + step.str();
    auto made = GemmOp::create(rewriter, loc, type, site, input, weight);
    if (!step.empty())
      made.setValue("");
    if (input == gemm.getInput())
      made.setInputZerosAttr(gemm.getInputZerosAttr());
    return made;
  }

  Value add(Value a, Value b) {
    auto type = cast<RankedTensorType>(gemm.getType());
    Value init = tensor::EmptyOp::create(
        rewriter, loc, tensor::getMixedSizes(rewriter, loc, a),
        type.getElementType());
    SmallVector<AffineMap> maps(3, rewriter.getMultiDimIdentityMap(2));
    SmallVector<utils::IteratorType> loops(2, utils::IteratorType::parallel);
    auto sum = linalg::GenericOp::create(
        rewriter, loc, init.getType(), ValueRange{a, b}, init, maps, loops,
        [](OpBuilder &builder, Location at, ValueRange elements) {
          Value both =
              arith::AddFOp::create(builder, at, elements[0], elements[1]);
          linalg::YieldOp::create(builder, at, both);
        });
    sum->setDiscardableAttrs(gemm->getDiscardableAttrDictionary());
    if (!gemm.getSite().empty())
      setSite(sum, gemm.getSite());
    return sum.getResult(0);
  }

  RewriterBase &rewriter;
  ReplaceOp replace;
  GemmOp gemm;
  Location loc;
};

struct PruneExpandReplacedPass
    : coppice::prune::impl::PruneExpandReplacedBase<PruneExpandReplacedPass> {
  void runOnOperation() override {
    SmallVector<ReplaceOp> ops;
    getOperation()->walk([&](ReplaceOp op) { ops.push_back(op); });
    for (ReplaceOp op : ops)
      for (Operation *user : op->getUsers())
        if (auto gemm = cast<GemmOp>(user);
            op.isFactored() && (gemm.hasEpilogue() || gemm.hasSets())) {
          (gemm.emitError()
           << "expected no epilogue and no sets where the weight is factored: "
              "those come after this")
                  .attachNote(op.getLoc())
              << "the weight is factored here";
          return signalPassFailure();
        }
    IRRewriter rewriter(&getContext());
    for (ReplaceOp op : ops) {
      expand(rewriter, op);
      ++numExpanded;
    }
  }

private:
  void expand(RewriterBase &rewriter, ReplaceOp op) {
    for (Operation *user : llvm::make_early_inc_range(op->getUsers())) {
      auto gemm = cast<GemmOp>(user); // by the verifier
      rewriter.setInsertionPoint(gemm);
      if (op.isFactored()) {
        rewriter.replaceOp(gemm, FactoredGemm(rewriter, op, gemm).build());
        continue;
      }
      rewriter.modifyOpInPlace(gemm, [&] {
        gemm.getWeightMutable().assign(op.getBy()[0]);
        gemm.setPatternAttr(op.getPatternAttr());
      });
    }
    Operation *old = op.getWeight().getDefiningOp();
    rewriter.eraseOp(op);
    if (old && isOpTriviallyDead(old))
      rewriter.eraseOp(old);
  }
};
} // namespace
