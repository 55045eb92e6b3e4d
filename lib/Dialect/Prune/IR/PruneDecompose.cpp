// What prune.gemm and the ops of routes mean, spelled out in linalg.
//
// In: one op, first of all a prune.gemm. Out: linalg on tensors that computes
// the same value in the most direct way: all products, summed along K in
// ascending order, then the epilogue. Sets become tables (index to position in
// the list, or -1), found by comparing every index with every element of the
// list; rows are gathered by such a table, groups of K and what is not computed
// are left out by a select. This is the definition that kernels are compared
// with: it is written to be read, and nothing in it is tuned.
//
// The linalg op that computes the value carries its name as `prune.site`; the
// steps before it carry "SITE.STEP".
#include "coppice/Dialect/Prune/IR/Prune.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/IR/IRMapping.h"

using namespace mlir;
using namespace coppice::prune;

namespace {

constexpr auto kParallel = utils::IteratorType::parallel;
constexpr auto kReduction = utils::IteratorType::reduction;

class GemmDecomposer {
public:
  GemmDecomposer(OpBuilder &builder, GemmOp op)
      : builder(builder), loc(op.getLoc()), op(op) {}

  Value run();

private:
  using Body = llvm::function_ref<Value(OpBuilder &, Location, ValueRange)>;

  Value empty(ArrayRef<OpFoldResult> sizes, Type element) {
    return tensor::EmptyOp::create(builder, loc, sizes, element);
  }
  Value filled(ArrayRef<OpFoldResult> sizes, TypedAttr value, StringRef name) {
    Value scalar = arith::ConstantOp::create(builder, loc, value);
    auto fill = linalg::FillOp::create(builder, loc, scalar,
                                       empty(sizes, value.getType()));
    setName(fill, name);
    return fill.getResult(0);
  }
  /// A map of `dims` loops to some of them.
  AffineMap project(unsigned dims, ArrayRef<unsigned> which) {
    SmallVector<AffineExpr> results;
    for (unsigned dim : which)
      results.push_back(builder.getAffineDimExpr(dim));
    return AffineMap::get(dims, 0, results, builder.getContext());
  }
  linalg::GenericOp generic(ValueRange inputs, Value init,
                            ArrayRef<AffineMap> maps,
                            ArrayRef<utils::IteratorType> iterators,
                            Body body) {
    return linalg::GenericOp::create(
        builder, loc, init.getType(), inputs, init, maps, iterators,
        [&](OpBuilder &b, Location l, ValueRange elements) {
          linalg::YieldOp::create(b, l, body(b, l, elements));
        });
  }
  void setName(Operation *made, StringRef name) {
    if (!name.empty())
      made->setAttr("prune.site", builder.getStringAttr(name));
  }
  std::string nameOf(StringRef step) {
    return op.getSite().empty() ? "" : (op.getSite() + "." + step).str();
  }

  Value positions(Value list, Value count, OpFoldResult extent,
                  int64_t granule);
  Value positionsOfLists();
  Value isThere(OpBuilder &b, Location l, Value position);
  Value sourceRows();
  Value gatherRows();
  linalg::GenericOp product(Value input);
  linalg::GenericOp finish(Value sums);

  OpBuilder &builder;
  Location loc;
  GemmOp op;
  OpFoldResult m, n, k;
  Value rows;  // of each row of the result, its row of the input, or -1
  Value lists; // of each list and row, where the row is in the list, or -1
};

/// For each index below `extent` where its granule is in the set, or -1.
Value GemmDecomposer::positions(Value list, Value count, OpFoldResult extent,
                                int64_t granule) {
  auto i32 = builder.getI32Type();
  Value none = filled(extent, builder.getI32IntegerAttr(-1), "");
  return generic({list, count}, none,
                 {project(2, {1}), project(2, {}), project(2, {0})},
                 {kParallel, kReduction},
                 [&](OpBuilder &b, Location l, ValueRange elements) -> Value {
                   auto loopIndex = [&](int64_t dim) -> Value {
                     return linalg::IndexOp::create(b, l, dim);
                   };
                   Value size = arith::ConstantIndexOp::create(b, l, granule);
                   Value wanted =
                       arith::DivUIOp::create(b, l, loopIndex(0), size);
                   wanted = arith::IndexCastOp::create(b, l, i32, wanted);
                   Value at =
                       arith::IndexCastOp::create(b, l, i32, loopIndex(1));
                   Value isIn = arith::CmpIOp::create(
                       b, l, arith::CmpIPredicate::slt, at, elements[1]);
                   Value isIt = arith::CmpIOp::create(
                       b, l, arith::CmpIPredicate::eq, elements[0], wanted);
                   Value both = arith::AndIOp::create(b, l, isIn, isIt);
                   return arith::SelectOp::create(b, l, both, at, elements[2]);
                 })
      .getResult(0);
}

/// [lists, rows]: for each row where it is in each list of rows, or -1.
Value GemmDecomposer::positionsOfLists() {
  auto i32 = builder.getI32Type();
  OpFoldResult count = tensor::getMixedSize(builder, loc, op.getRows(), 0);
  Value none = filled({count, m}, builder.getI32IntegerAttr(-1), "");
  return generic({op.getRows(), op.getRowCount()}, none,
                 {project(3, {0, 2}), project(3, {0}), project(3, {0, 1})},
                 {kParallel, kParallel, kReduction},
                 [&](OpBuilder &b, Location l, ValueRange elements) -> Value {
                   auto loopIndex = [&](int64_t dim) -> Value {
                     return arith::IndexCastOp::create(
                         b, l, i32, linalg::IndexOp::create(b, l, dim));
                   };
                   Value at = loopIndex(2);
                   Value isIn = arith::CmpIOp::create(
                       b, l, arith::CmpIPredicate::slt, at, elements[1]);
                   Value isIt =
                       arith::CmpIOp::create(b, l, arith::CmpIPredicate::eq,
                                             elements[0], loopIndex(1));
                   Value both = arith::AndIOp::create(b, l, isIn, isIt);
                   return arith::SelectOp::create(b, l, both, at, elements[2]);
                 })
      .getResult(0);
}

/// Does a table say that something is there?
Value GemmDecomposer::isThere(OpBuilder &b, Location l, Value position) {
  Value first =
      arith::ConstantOp::create(b, l, b.getIntegerAttr(position.getType(), 0));
  return arith::CmpIOp::create(b, l, arith::CmpIPredicate::sge, position,
                               first);
}

Value GemmDecomposer::sourceRows() {
  auto i32 = builder.getI32Type();
  if (op.getRowSides() == RowSides::Gather) {
    // The list itself, as far as its count goes.
    return generic(
               {op.getRows(), op.getRowCount()}, empty(m, i32),
               {project(1, {0}), project(1, {}), project(1, {0})}, {kParallel},
               [&](OpBuilder &b, Location l, ValueRange elements) -> Value {
                 Value at = linalg::IndexOp::create(b, l, 0);
                 at = arith::IndexCastOp::create(b, l, i32, at);
                 Value isIn = arith::CmpIOp::create(
                     b, l, arith::CmpIPredicate::slt, at, elements[1]);
                 Value none =
                     arith::ConstantOp::create(b, l, b.getI32IntegerAttr(-1));
                 return arith::SelectOp::create(b, l, isIn, elements[0], none);
               })
        .getResult(0);
  }
  Value table = positions(op.getRows(), op.getRowCount(), m, 1);
  if (op.getRowSides() == RowSides::Scatter)
    return table;
  return generic(table, empty(m, i32), {project(1, {0}), project(1, {0})},
                 {kParallel},
                 [&](OpBuilder &b, Location l, ValueRange elements) -> Value {
                   Value at = linalg::IndexOp::create(b, l, 0);
                   at = arith::IndexCastOp::create(b, l, i32, at);
                   return arith::SelectOp::create(
                       b, l, isThere(b, l, elements[0]), at, elements[0]);
                 })
      .getResult(0);
}

/// The input, row by row of the result; zeros where there is none.
Value GemmDecomposer::gatherRows() {
  Type element = op.getInput().getType().getElementType();
  return generic(rows, empty({m, k}, element),
                 {project(2, {0}), project(2, {0, 1})}, {kParallel, kParallel},
                 [&](OpBuilder &b, Location l, ValueRange elements) -> Value {
                   Value column = linalg::IndexOp::create(b, l, 1);
                   auto branch = scf::IfOp::create(
                       b, l, element, isThere(b, l, elements[0]), true);
                   OpBuilder yes = branch.getThenBodyBuilder(),
                             no = branch.getElseBodyBuilder();
                   Value row = arith::IndexCastOp::create(
                       yes, l, b.getIndexType(), elements[0]);
                   scf::YieldOp::create(
                       yes, l,
                       tensor::ExtractOp::create(yes, l, op.getInput(),
                                                 ValueRange{row, column})
                           .getResult());
                   scf::YieldOp::create(
                       no, l,
                       arith::ConstantOp::create(no, l, b.getZeroAttr(element))
                           .getResult());
                   return branch.getResult(0);
                 })
      .getResult(0);
}

/// The sums over K, which ascends.
linalg::GenericOp GemmDecomposer::product(Value input) {
  SmallVector<Value> inputs{input, op.getWeight()};
  SmallVector<AffineMap> maps{project(3, {0, 2}), project(3, {1, 2})};
  if (op.getGroups()) {
    inputs.push_back(
        positions(op.getGroups(), op.getGroupCount(), k, *op.getGroupSize()));
    maps.push_back(project(3, {2}));
  }
  if (op.hasRowsPerGroup()) {
    inputs.push_back(lists);
    AffineExpr group = builder.getAffineDimExpr(2).floorDiv(*op.getGroupSize());
    maps.push_back(AffineMap::get(3, 0, {group, builder.getAffineDimExpr(0)},
                                  builder.getContext()));
  }
  maps.push_back(project(3, {0, 1}));
  Value zeros =
      filled({m, n}, builder.getZeroAttr(op.getSumType()), nameOf("zero"));
  return generic(inputs, zeros, maps, {kParallel, kParallel, kReduction},
                 [&](OpBuilder &b, Location l, ValueRange elements) -> Value {
                   Value sum = elements.back();
                   auto widen = [&](Value element) -> Value {
                     if (element.getType() == sum.getType())
                       return element;
                     return arith::ExtFOp::create(b, l, sum.getType(), element);
                   };
                   Value a = widen(elements[0]), w = widen(elements[1]);
                   Value next = arith::AddFOp::create(
                       b, l, sum, arith::MulFOp::create(b, l, a, w));
                   // Not a factor of 0: what is left out may be Inf or NaN.
                   if (op.getGroups() || op.hasRowsPerGroup())
                     next = arith::SelectOp::create(
                         b, l, isThere(b, l, elements[2]), next, sum);
                   return next;
                 });
}

/// The epilogue, or rounding to the result's type if there is none; then the
/// elements of `into` where nothing is computed.
linalg::GenericOp GemmDecomposer::finish(Value sums) {
  auto type = cast<RankedTensorType>(op.getType());
  SmallVector<Value> inputs{sums};
  SmallVector<AffineMap> maps{project(2, {0, 1})};
  auto read = [&](Value tensor, ArrayRef<unsigned> dims) {
    inputs.push_back(tensor);
    maps.push_back(project(2, dims));
  };
  for (Value extra : op.getExtras()) {
    auto extraType = cast<RankedTensorType>(extra.getType());
    if (extraType.getRank() == 1) {
      read(extra, {1});
    } else if (extraType.getDimSize(1) == 1 && type.getDimSize(1) != 1) {
      inputs.push_back(extra);
      maps.push_back(AffineMap::get(
          2, 0, {builder.getAffineDimExpr(0), builder.getAffineConstantExpr(0)},
          builder.getContext()));
    } else {
      read(extra, {0, 1});
    }
  }
  if (op.getInto())
    read(op.getInto(), {0, 1});
  if (rows)
    read(rows, {0});
  if (op.hasRowsPerPanel()) {
    AffineExpr panel = builder.getAffineDimExpr(1).floorDiv(*op.getPanelSize());
    inputs.push_back(lists);
    maps.push_back(AffineMap::get(2, 0, {panel, builder.getAffineDimExpr(0)},
                                  builder.getContext()));
  }
  if (op.getPanels())
    read(positions(op.getPanels(), op.getPanelCount(), n, *op.getPanelSize()),
         {1});
  maps.push_back(project(2, {0, 1}));

  return generic(
      inputs, empty({m, n}, type.getElementType()), maps,
      {kParallel, kParallel},
      [&](OpBuilder &b, Location l, ValueRange elements) -> Value {
        Value result = elements.front();
        size_t next = 1 + op.getExtras().size();
        if (op.hasEpilogue()) {
          Block &body = op.getEpilogue().front();
          IRMapping mapping;
          mapping.map(body.getArguments(), elements.take_front(next));
          for (Operation &inner : body.without_terminator())
            b.clone(inner, mapping);
          result = mapping.lookupOrDefault(
              cast<YieldOp>(body.getTerminator()).getValue());
        } else if (result.getType() != type.getElementType()) {
          result = arith::TruncFOp::create(b, l, type.getElementType(), result);
        }
        if (!op.getInto())
          return result;
        Value into = elements[next];
        for (Value position : elements.drop_front(next + 1).drop_back())
          result = arith::SelectOp::create(b, l, isThere(b, l, position),
                                           result, into);
        return result;
      });
}

Value GemmDecomposer::run() {
  k = tensor::getMixedSize(builder, loc, op.getWeight(), 1);
  n = tensor::getMixedSize(builder, loc, op.getWeight(), 0);
  m = tensor::getMixedSize(
      builder, loc, op.getInto() ? Value(op.getInto()) : Value(op.getInput()),
      0);
  Value input = op.getInput();
  if (op.hasRowsPerPanel() || op.hasRowsPerGroup()) {
    lists = positionsOfLists();
  } else if (op.getRows()) {
    rows = sourceRows();
    input = gatherRows();
  }
  linalg::GenericOp sums = product(input);
  if (!op.hasEpilogue() && !op.getInto() &&
      sums.getResult(0).getType() == op.getType()) {
    setName(sums, op.getValueName());
    return sums.getResult(0);
  }
  bool isFused = op.getValueName() != op.getSite();
  setName(sums, isFused ? op.getSite().str() : nameOf("product"));
  linalg::GenericOp result = finish(sums.getResult(0));
  setName(result, op.getValueName());
  return result.getResult(0);
}

} // namespace

FailureOr<SmallVector<Value>> GemmOp::decomposeOperation(OpBuilder &builder) {
  return SmallVector<Value>{GemmDecomposer(builder, *this).run()};
}

FailureOr<SmallVector<Value>> GatherOp::decomposeOperation(OpBuilder &builder) {
  Location loc = getLoc();
  Value input = getInput();
  Value init = tensor::EmptyOp::create(
      builder, loc,
      {tensor::getMixedSize(builder, loc, input, 0),
       tensor::getMixedSize(builder, loc, getColumns(), 0)},
      getType().getElementType());
  MLIRContext *context = builder.getContext();
  AffineMap perColumn = AffineMap::get(2, 0, getAffineDimExpr(1, context));
  auto generic = linalg::GenericOp::create(
      builder, loc, init.getType(), getColumns(), init,
      ArrayRef<AffineMap>{perColumn,
                          AffineMap::getMultiDimIdentityMap(2, context)},
      ArrayRef<utils::IteratorType>{kParallel, kParallel},
      [&](OpBuilder &b, Location l, ValueRange elements) {
        Value none = arith::ConstantOp::create(
            b, l, b.getIntegerAttr(b.getI32Type(), 0));
        Value isThere = arith::CmpIOp::create(b, l, arith::CmpIPredicate::sge,
                                              elements[0], none);
        // The extract must stay in bounds even where its value is not used.
        Value column = arith::IndexCastOp::create(
            b, l, b.getIndexType(),
            arith::MaxSIOp::create(b, l, elements[0], none));
        Value row = linalg::IndexOp::create(b, l, 0);
        Value element =
            tensor::ExtractOp::create(b, l, input, ValueRange{row, column});
        Value zero =
            arith::ConstantOp::create(b, l, b.getZeroAttr(element.getType()));
        linalg::YieldOp::create(
            b, l,
            arith::SelectOp::create(b, l, isThere, element, zero).getResult());
      });
  if (!getSite().empty())
    generic->setAttr("prune.site", builder.getStringAttr(getSite()));
  return SmallVector<Value>{generic.getResult(0)};
}

//===----------------------------------------------------------------------===//
// Routes
//===----------------------------------------------------------------------===//

static AffineMap identity(OpBuilder &builder) {
  return builder.getMultiDimIdentityMap(2);
}

static void nameValue(OpBuilder &builder, Operation *op, StringRef site) {
  if (!site.empty())
    op->setAttr("prune.site", builder.getStringAttr(site));
}

namespace {
/// Of each row and group how many rows of its slot there are, and how many are
/// ahead of it.
class RankCounter {
public:
  RankCounter(OpBuilder &builder, DecideOp op)
      : builder(builder), loc(op.getLoc()), op(op) {}

  /// [rows, groups] of i32.
  Value countRows() {
    return count(
        [](OpBuilder &b, Location l, Value, Value, Value, Value) -> Value {
          return arith::ConstantOp::create(b, l, b.getBoolAttr(true));
        });
  }
  Value countAhead() {
    return count([](OpBuilder &b, Location l, Value row, Value mine,
                    Value other, Value theirs) -> Value {
      using P = arith::CmpFPredicate;
      // NaN is the largest, and equal to NaN.
      Value isNaN = arith::CmpFOp::create(b, l, P::UNO, mine, mine),
            isLarger = arith::CmpFOp::create(b, l, P::UGT, theirs, mine),
            isEqual = arith::CmpFOp::create(b, l, P::OEQ, theirs, mine),
            areNaN = arith::AndIOp::create(
                b, l, isNaN,
                arith::CmpFOp::create(b, l, P::UNO, theirs, theirs)),
            isFirst = arith::CmpIOp::create(b, l, arith::CmpIPredicate::ult,
                                            other, row);
      // Beside a NaN of its own, no number is larger.
      Value no = arith::ConstantOp::create(b, l, b.getBoolAttr(false));
      isLarger = arith::SelectOp::create(b, l, isNaN, no, isLarger);
      isEqual = arith::OrIOp::create(b, l, isEqual, areNaN);
      return arith::OrIOp::create(
          b, l, isLarger, arith::AndIOp::create(b, l, isEqual, isFirst));
    });
  }

private:
  using Body = llvm::function_ref<Value(OpBuilder &, Location, Value, Value,
                                        Value, Value)>;

  /// Counts the rows of the same slot that `isCounted` says yes of, given this
  /// row and how much it is to be kept, and the other row and the same of it.
  Value count(Body isCounted) {
    Value zero =
        arith::ConstantOp::create(builder, loc, builder.getI32IntegerAttr(0));
    Value empty = tensor::EmptyOp::create(
        builder, loc,
        {tensor::getMixedSize(builder, loc, op.getScores(), 0),
         builder.getIndexAttr(op.getMask().getType().getDimSize(1))},
        builder.getI32Type());
    Value init = linalg::FillOp::create(builder, loc, zero, empty).getResult(0);
    MLIRContext *context = builder.getContext();
    auto map = [&](ArrayRef<unsigned> dims) {
      SmallVector<AffineExpr> results;
      for (unsigned dim : dims)
        results.push_back(getAffineDimExpr(dim, context));
      return AffineMap::get(3, 0, results, context);
    };
    return linalg::GenericOp::create(
               builder, loc, init.getType(), op.getSlots(), init,
               ArrayRef<AffineMap>{map({2}), map({0, 1})},
               ArrayRef<utils::IteratorType>{kParallel, kParallel, kReduction},
               [&](OpBuilder &b, Location l, ValueRange elements) {
                 Value row = linalg::IndexOp::create(b, l, 0),
                       group = linalg::IndexOp::create(b, l, 1),
                       other = linalg::IndexOp::create(b, l, 2);
                 Value slot =
                     tensor::ExtractOp::create(b, l, op.getSlots(), row);
                 Value isSame = arith::CmpIOp::create(
                     b, l, arith::CmpIPredicate::eq, slot, elements[0]);
                 Value counts = arith::AndIOp::create(
                     b, l, isSame,
                     isCounted(b, l, row, preference(b, l, row, group), other,
                               preference(b, l, other, group)));
                 Value one =
                     arith::ExtUIOp::create(b, l, b.getI32Type(), counts);
                 linalg::YieldOp::create(
                     b, l,
                     arith::AddIOp::create(b, l, elements[1], one).getResult());
               })
        .getResult(0);
  }

  /// scores[row, 2 group] - scores[row, 2 group + 1]
  Value preference(OpBuilder &b, Location l, Value row, Value group) {
    Value two = arith::ConstantIndexOp::create(b, l, 2),
          one = arith::ConstantIndexOp::create(b, l, 1);
    Value keep = arith::MulIOp::create(b, l, group, two);
    Value pass = arith::AddIOp::create(b, l, keep, one);
    auto at = [&](Value column) {
      return tensor::ExtractOp::create(b, l, op.getScores(),
                                       ValueRange{row, column});
    };
    return arith::SubFOp::create(b, l, at(keep), at(pass));
  }

  OpBuilder &builder;
  Location loc;
  DecideOp op;
};
} // namespace

/// Is a row, of so many of its slot, not among the `top` share of them, if so
/// many are ahead of it?
static Value isBehindTop(OpBuilder &b, Location l, Value count, Value ahead,
                         double top) {
  // In f64: in f32 0.6 of 25 is more than 15.
  Type f64 = b.getF64Type();
  auto widen = [&](Value number) {
    return arith::SIToFPOp::create(b, l, f64, number);
  };
  Value share = arith::ConstantOp::create(b, l, b.getF64FloatAttr(top));
  Value kept = math::CeilOp::create(
      b, l, arith::MulFOp::create(b, l, widen(count), share));
  return arith::CmpFOp::create(b, l, arith::CmpFPredicate::OGE, widen(ahead),
                               kept);
}

FailureOr<SmallVector<Value>> DecideOp::decomposeOperation(OpBuilder &builder) {
  Location loc = getLoc();
  Type i8 = builder.getI8Type();
  SmallVector<Value> counts; // of each row and group: of its slot, ahead of it
  SmallVector<AffineMap> maps;
  if (getTop()) {
    RankCounter ranks(builder, *this);
    counts = {ranks.countRows(), ranks.countAhead()};
    maps.assign(2, identity(builder));
  }
  maps.push_back(identity(builder));
  Value init = tensor::EmptyOp::create(
      builder, loc,
      {tensor::getMixedSize(builder, loc, getScores(), 0),
       builder.getIndexAttr(getMask().getType().getDimSize(1))},
      i8);
  // The tables are wider than the result, so their elements are extracted: an
  // operand that is tiled with it would be cut past its end.
  auto generic = linalg::GenericOp::create(
      builder, loc, init.getType(), counts, init, maps,
      ArrayRef<utils::IteratorType>{kParallel, kParallel},
      [&](OpBuilder &b, Location l, ValueRange elements) {
        Value row = linalg::IndexOp::create(b, l, 0),
              group = linalg::IndexOp::create(b, l, 1);
        auto at = [&](Value table, int64_t factor, int64_t first) -> Value {
          auto constant = [&](int64_t value) {
            return arith::ConstantIndexOp::create(b, l, value);
          };
          Value column = arith::AddIOp::create(
              b, l, arith::MulIOp::create(b, l, group, constant(factor)),
              constant(first));
          return tensor::ExtractOp::create(b, l, table,
                                           ValueRange{row, column});
        };
        Value forced = at(getForced(), 1, static_cast<int64_t>(getColumn()));
        Value zero = arith::ConstantOp::create(b, l, b.getIntegerAttr(i8, 0)),
              one = arith::ConstantOp::create(b, l, b.getIntegerAttr(i8, 1));
        Value isLess;
        if (getTop()) {
          isLess = isBehindTop(b, l, elements[0], elements[1],
                               getTop()->convertToDouble());
        } else {
          Value least = at(getScores(), 2, 0);
          if (!getMargin().isZero())
            least = arith::AddFOp::create(
                b, l, least,
                arith::ConstantOp::create(b, l,
                                          b.getF32FloatAttr(static_cast<float>(
                                              getMargin().convertToDouble()))));
          isLess = arith::CmpFOp::create(b, l, arith::CmpFPredicate::OGT,
                                         at(getScores(), 2, 1), least);
        }
        Value chosen = arith::SelectOp::create(b, l, isLess, zero, one);
        Value isOpen = arith::CmpIOp::create(b, l, arith::CmpIPredicate::slt,
                                             forced, zero);
        linalg::YieldOp::create(
            b, l,
            arith::SelectOp::create(b, l, isOpen, chosen, forced).getResult());
      });
  nameValue(builder, generic, getSite());
  return SmallVector<Value>{generic.getResult(0)};
}

/// Of each column of `op` its group of the mask, or -1: of none.
static SmallVector<int64_t> groupsOfColumns(ProjectByOp op) {
  auto type = cast<RankedTensorType>(op.getType());
  SmallVector<int64_t> groups(type.getDimSize(1), -1);
  int64_t size = op.getGroupSize() ? static_cast<int64_t>(*op.getGroupSize())
                                   : type.getDimSize(1);
  SetAttr among = op.getAmongAttr();
  if (!among)
    among = SetAttr::all(op.getContext(), type.getDimSize(1));
  int64_t place = 0;
  for (IndexRange range : among.getRanges())
    for (int64_t column = range.begin * among.getGranule();
         column < range.end * among.getGranule(); ++column)
      groups[column] = place++ / size;
  return groups;
}

FailureOr<SmallVector<Value>>
ProjectByOp::decomposeOperation(OpBuilder &builder) {
  Location loc = getLoc();
  auto type = cast<RankedTensorType>(getType());
  Value init = tensor::EmptyOp::create(
      builder, loc, tensor::getMixedSizes(builder, loc, getInput()),
      type.getElementType());
  SmallVector<int64_t> groups = groupsOfColumns(*this);
  Value table = arith::ConstantOp::create(
      builder, loc,
      DenseElementsAttr::get(
          RankedTensorType::get({type.getDimSize(1)}, builder.getI64Type()),
          ArrayRef<int64_t>(groups)));
  SmallVector<Value> inputs{getInput(), table};
  SmallVector<AffineMap> maps{identity(builder),
                              AffineMap::get(2, 0, builder.getAffineDimExpr(1)),
                              identity(builder)};
  if (getInto()) {
    inputs.push_back(getInto());
    maps.push_back(identity(builder));
  }
  auto generic = linalg::GenericOp::create(
      builder, loc, init.getType(), inputs, init, maps,
      ArrayRef<utils::IteratorType>{kParallel, kParallel},
      [&](OpBuilder &b, Location l, ValueRange elements) {
        Value first = arith::ConstantIndexOp::create(b, l, 0);
        Value group =
            arith::IndexCastOp::create(b, l, b.getIndexType(), elements[1]);
        Value hasGroup = arith::CmpIOp::create(b, l, arith::CmpIPredicate::sge,
                                               group, first);
        // The extract must stay in bounds even where its value is not used.
        Value decision = tensor::ExtractOp::create(
            b, l, getMask(),
            ValueRange{linalg::IndexOp::create(b, l, 0),
                       arith::MaxSIOp::create(b, l, group, first)});
        Value none = arith::ConstantOp::create(
            b, l, b.getIntegerAttr(decision.getType(), 0));
        Value isKept = arith::CmpIOp::create(
            b, l,
            getPassed() ? arith::CmpIPredicate::eq : arith::CmpIPredicate::ne,
            decision, none);
        isKept = arith::AndIOp::create(b, l, isKept, hasGroup);
        Value other = getInto()
                          ? elements[2]
                          : arith::ConstantOp::create(
                                b, l, b.getZeroAttr(type.getElementType()))
                                .getResult();
        linalg::YieldOp::create(
            b, l,
            arith::SelectOp::create(b, l, isKept, elements[0], other)
                .getResult());
      });
  nameValue(builder, generic, getSite());
  return SmallVector<Value>{generic.getResult(0)};
}
