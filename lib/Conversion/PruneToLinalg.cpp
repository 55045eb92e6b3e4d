// The literal meaning of projections and GEMMs, in linalg.
//
// In: prune.project, .project_by, .restrict, .extend, .gather, .replace,
// .decide and .gemm on tensors. Out: linalg and tensor.extract. What a keep-set
// says becomes a constant table, so that there is nothing here that could be
// wrong in the way that propagation, folding or packing could be: this is the
// oracle's side of `coppice verify`.
#include "coppice/Conversion/Passes.h"

#include "coppice/Analysis/Sites.h"
#include "coppice/Dialect/Prune/IR/Prune.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "llvm/ADT/TypeSwitch.h"

namespace coppice {
#define GEN_PASS_DEF_PRUNETOLINALG
#include "coppice/Conversion/Passes.h.inc"
} // namespace coppice

using namespace mlir;
using namespace coppice;
using namespace coppice::prune;

//===----------------------------------------------------------------------===//
// Helpers of all lowerings
//===----------------------------------------------------------------------===//

/// A tensor of `type` with undefined elements. Dynamic extents are those of
/// `like`, but for `axis`, whose extent is `extent` where that is given.
static Value emptyLike(RewriterBase &rewriter, Location loc,
                       RankedTensorType type, Value like, int64_t axis = -1,
                       Value extent = {}) {
  SmallVector<Value> dynamic;
  for (int64_t i = 0; i < type.getRank(); ++i) {
    if (!type.isDynamicDim(i))
      continue;
    dynamic.push_back(i == axis && extent
                          ? extent
                          : tensor::DimOp::create(rewriter, loc, like, i));
  }
  return tensor::EmptyOp::create(rewriter, loc, type, dynamic);
}

static Value zero(OpBuilder &builder, Location loc, Type type) {
  return arith::ConstantOp::create(builder, loc, builder.getZeroAttr(type));
}

/// `init` filled with zeros.
static linalg::FillOp zeros(RewriterBase &rewriter, Location loc, Value init) {
  Value scalar = zero(rewriter, loc, getElementTypeOrSelf(init.getType()));
  return linalg::FillOp::create(rewriter, loc, scalar, init);
}

/// All operands and results of an element-wise generic have the identity map.
static SmallVector<AffineMap> identityMaps(MLIRContext *context, int64_t rank,
                                           unsigned count) {
  return SmallVector<AffineMap>(
      count, AffineMap::getMultiDimIdentityMap(rank, context));
}

/// The map of a table along one axis of an element-wise generic.
static AffineMap axisMap(MLIRContext *context, int64_t rank, int64_t axis) {
  return AffineMap::get(rank, 0, getAffineDimExpr(axis, context), context);
}

static SmallVector<utils::IteratorType> parallel(int64_t rank) {
  return SmallVector<utils::IteratorType>(rank, utils::IteratorType::parallel);
}

/// A constant vector of indices.
static Value indexTable(RewriterBase &rewriter, Location loc,
                        ArrayRef<int64_t> indices) {
  auto type = RankedTensorType::get({static_cast<int64_t>(indices.size())},
                                    rewriter.getI64Type());
  return arith::ConstantOp::create(rewriter, loc,
                                   DenseElementsAttr::get(type, indices));
}

/// input[.., index, ..], where the other coordinates are those of the loop.
static Value extractAt(OpBuilder &builder, Location loc, Value input,
                       int64_t axis, Value index) {
  SmallVector<Value> coordinates;
  int64_t rank = cast<RankedTensorType>(input.getType()).getRank();
  for (int64_t i = 0; i < rank; ++i)
    coordinates.push_back(i == axis ? index
                                    : linalg::IndexOp::create(builder, loc, i));
  return tensor::ExtractOp::create(builder, loc, input, coordinates);
}

static void replaceNamed(RewriterBase &rewriter, Operation *op,
                         Operation *replacement, const Twine &site) {
  for (NamedAttribute attr : op->getDiscardableAttrs())
    replacement->setAttr(attr.getName(), attr.getValue());
  if (!site.isTriviallyEmpty())
    setSite(replacement, site.str());
  rewriter.replaceOp(op, replacement->getResults());
}

//===----------------------------------------------------------------------===//
// Projections
//===----------------------------------------------------------------------===//

static void lower(RewriterBase &rewriter, ProjectOp op) {
  Location loc = op.getLoc();
  auto type = cast<RankedTensorType>(op.getResult().getType());
  int64_t rank = type.getRank(), axis = op.getAxisAttr().getInt();
  SetAttr keep = op.getKeep();
  Value init = emptyLike(rewriter, loc, type, op.getInput());
  std::string site = (op.getSite() + ".project").str();

  // Only a set that keeps nothing may leave the extent open.
  if (keep.isEmpty()) {
    linalg::FillOp fill = zeros(rewriter, loc, init);
    return replaceNamed(rewriter, op, fill, site);
  }
  SmallVector<bool> mask(keep.getExtent(), false);
  for (int64_t index : keep.getIndices())
    mask[index] = true;
  auto maskType =
      RankedTensorType::get({keep.getExtent()}, rewriter.getI1Type());
  Value table = arith::ConstantOp::create(
      rewriter, loc, DenseElementsAttr::get(maskType, mask));
  auto maps = identityMaps(rewriter.getContext(), rank, 3);
  maps[1] = axisMap(rewriter.getContext(), rank, axis);
  auto generic = linalg::GenericOp::create(
      rewriter, loc, type, ValueRange{op.getInput(), table}, init, maps,
      parallel(rank), [&](OpBuilder &b, Location l, ValueRange elements) {
        Value none = zero(b, l, type.getElementType());
        Value kept =
            arith::SelectOp::create(b, l, elements[1], elements[0], none);
        linalg::YieldOp::create(b, l, kept);
      });
  replaceNamed(rewriter, op, generic, site);
}

static void lower(RewriterBase &rewriter, RestrictOp op) {
  Location loc = op.getLoc();
  auto type = cast<RankedTensorType>(op.getResult().getType());
  int64_t rank = type.getRank(), axis = op.getAxisAttr().getInt();
  Value init = emptyLike(rewriter, loc, type, op.getInput());
  if (op.getKeep().isEmpty())
    return rewriter.replaceOp(op, init); // no elements

  Value table = indexTable(rewriter, loc, op.getKeep().getIndices());
  auto maps = identityMaps(rewriter.getContext(), rank, 2);
  maps[0] = axisMap(rewriter.getContext(), rank, axis);
  auto generic = linalg::GenericOp::create(
      rewriter, loc, type, table, init, maps, parallel(rank),
      [&](OpBuilder &b, Location l, ValueRange elements) {
        Value index =
            arith::IndexCastOp::create(b, l, b.getIndexType(), elements[0]);
        linalg::YieldOp::create(b, l,
                                extractAt(b, l, op.getInput(), axis, index));
      });
  replaceNamed(rewriter, op, generic, "");
}

static void lower(RewriterBase &rewriter, ExtendOp op) {
  Location loc = op.getLoc();
  auto type = cast<RankedTensorType>(op.getResult().getType());
  int64_t rank = type.getRank(), axis = op.getAxisAttr().getInt();
  SetAttr keep = op.getKeep();
  Value init =
      emptyLike(rewriter, loc, type, op.getInput(), axis, op.getExtent());
  if (keep.isEmpty())
    return replaceNamed(rewriter, op, zeros(rewriter, loc, init), "");

  // For each index of the result where it is in the input, or -1: a zero.
  SmallVector<int64_t> positions(keep.getExtent(), -1);
  for (auto [position, index] : llvm::enumerate(keep.getIndices()))
    positions[index] = static_cast<int64_t>(position);
  Value table = indexTable(rewriter, loc, positions);
  auto maps = identityMaps(rewriter.getContext(), rank, 2);
  maps[0] = axisMap(rewriter.getContext(), rank, axis);
  auto generic = linalg::GenericOp::create(
      rewriter, loc, type, table, init, maps, parallel(rank),
      [&](OpBuilder &b, Location l, ValueRange elements) {
        Value position =
            arith::IndexCastOp::create(b, l, b.getIndexType(), elements[0]);
        Value first = arith::ConstantIndexOp::create(b, l, 0);
        Value kept = arith::CmpIOp::create(b, l, arith::CmpIPredicate::sge,
                                           position, first);
        // The extract must stay in bounds even where its value is not used.
        Value inBounds = arith::MaxSIOp::create(b, l, position, first);
        Value element = extractAt(b, l, op.getInput(), axis, inBounds);
        Value none = zero(b, l, type.getElementType());
        linalg::YieldOp::create(
            b, l,
            arith::SelectOp::create(b, l, kept, element, none).getResult());
      });
  replaceNamed(rewriter, op, generic, "");
}

//===----------------------------------------------------------------------===//
// Replacements
//===----------------------------------------------------------------------===//

/// U V, in f32 at the least.
static Value multiplyFactors(RewriterBase &rewriter, ReplaceOp op,
                             Type element) {
  Location loc = op.getLoc();
  auto u = cast<RankedTensorType>(op.getU().getType()),
       v = cast<RankedTensorType>(op.getV().getType());
  auto type =
      RankedTensorType::get({u.getDimSize(0), v.getDimSize(1)}, element);
  Value init = tensor::EmptyOp::create(rewriter, loc, type, ValueRange());
  auto map = [&](ArrayRef<unsigned> dims) {
    return AffineMap::getMultiDimMapWithTargets(3, dims, op.getContext());
  };
  auto loops = parallel(2);
  loops.push_back(utils::IteratorType::reduction);
  auto product = linalg::GenericOp::create(
      rewriter, loc, type, ValueRange{op.getU(), op.getV()},
      zeros(rewriter, loc, init).getResult(0),
      ArrayRef<AffineMap>{map({0, 2}), map({2, 1}), map({0, 1})}, loops,
      [&](OpBuilder &b, Location l, ValueRange elements) {
        auto widen = [&](Value x) -> Value {
          return x.getType() == element
                     ? x
                     : arith::ExtFOp::create(b, l, element, x).getResult();
        };
        Value term =
            arith::MulFOp::create(b, l, widen(elements[0]), widen(elements[1]));
        linalg::YieldOp::create(
            b, l, arith::AddFOp::create(b, l, elements[2], term).getResult());
      });
  setSite(product, (op.getSite() + ".factors").str());
  return product.getResult(0);
}

/// The weight itself, whole, computed in the step: so that what is compared
/// with it may compute in any other way.
static void lower(RewriterBase &rewriter, ReplaceOp op) {
  if (!op.isFactored())
    return rewriter.replaceOp(op, op.getBy());
  Location loc = op.getLoc();
  auto weight = cast<RankedTensorType>(op.getWeight().getType());
  Type stored = weight.getElementType(),
       element =
           stored.getIntOrFloatBitWidth() < 32 ? rewriter.getF32Type() : stored;
  Value factors = multiplyFactors(rewriter, op, element);
  SetAttr retain = op.getRetainAttr();
  if (!retain)
    return rewriter.replaceOp(op, factors);

  // For each row of the weight where it is in U V, or -1: in the old weight.
  SmallVector<int64_t> positions(weight.getDimSize(0), -1);
  for (auto [position, row] :
       llvm::enumerate(retain.refine(1).complement().getIndices()))
    positions[row] = static_cast<int64_t>(position);
  auto type = weight.clone(element);
  auto maps = identityMaps(rewriter.getContext(), 2, 3);
  maps[0] = axisMap(rewriter.getContext(), 2, 0);
  auto rows = linalg::GenericOp::create(
      rewriter, loc, type,
      ValueRange{indexTable(rewriter, loc, positions), op.getWeight()},
      tensor::EmptyOp::create(rewriter, loc, type, ValueRange()).getResult(),
      maps, parallel(2), [&](OpBuilder &b, Location l, ValueRange elements) {
        Value position =
            arith::IndexCastOp::create(b, l, b.getIndexType(), elements[0]);
        Value first = arith::ConstantIndexOp::create(b, l, 0);
        Value isFactored = arith::CmpIOp::create(
            b, l, arith::CmpIPredicate::sge, position, first);
        Value inBounds = arith::MaxSIOp::create(b, l, position, first);
        Value product = extractAt(b, l, factors, 0, inBounds);
        Value old =
            stored == element
                ? elements[1]
                : arith::ExtFOp::create(b, l, element, elements[1]).getResult();
        linalg::YieldOp::create(
            b, l,
            arith::SelectOp::create(b, l, isFactored, product, old)
                .getResult());
      });
  setSite(rows, (op.getSite() + ".weight").str());
  rewriter.replaceOp(op, rows.getResults());
}

//===----------------------------------------------------------------------===//
// Gathers and GEMMs
//===----------------------------------------------------------------------===//

static void lower(RewriterBase &rewriter, GemmOp op) {
  // Never fails.
  Value value = op.decomposeOperation(rewriter)->front();
  replaceNamed(rewriter, op, value.getDefiningOp(), "");
}

static void lower(RewriterBase &rewriter, GatherOp op) {
  Value value = op.decomposeOperation(rewriter)->front();
  replaceNamed(rewriter, op, value.getDefiningOp(), "");
}

static void lower(RewriterBase &rewriter, DecideOp op) {
  Value value = op.decomposeOperation(rewriter)->front();
  replaceNamed(rewriter, op, value.getDefiningOp(), "");
}

static void lower(RewriterBase &rewriter, SelectBlocksOp op) {
  Value value = op.decomposeOperation(rewriter)->front();
  replaceNamed(rewriter, op, value.getDefiningOp(), "");
}

static void lower(RewriterBase &rewriter, ProjectByOp op) {
  Value value = op.decomposeOperation(rewriter)->front();
  // It has the name of what it is a part of.
  replaceNamed(rewriter, op, value.getDefiningOp(), op.getSite() + ".project");
}

namespace {
struct PruneToLinalg : coppice::impl::PruneToLinalgBase<PruneToLinalg> {
  void runOnOperation() override {
    SmallVector<Operation *> ops;
    getOperation()->walk([&](Operation *op) {
      if (isa<ProjectOp, RestrictOp, ExtendOp, GatherOp, ReplaceOp, GemmOp,
              DecideOp, ProjectByOp, SelectBlocksOp>(op))
        ops.push_back(op);
    });
    IRRewriter rewriter(&getContext());
    for (Operation *op : ops) {
      rewriter.setInsertionPoint(op);
      llvm::TypeSwitch<Operation *, void>(op)
          .Case<ProjectOp, RestrictOp, ExtendOp, GatherOp, ReplaceOp, GemmOp,
                DecideOp, ProjectByOp, SelectBlocksOp>(
              [&](auto typed) { lower(rewriter, typed); });
    }
  }
};
} // namespace
