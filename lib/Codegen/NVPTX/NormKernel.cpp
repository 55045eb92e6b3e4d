//===- NormKernel.cpp - norms of rows and of heads, on a GPU --------------===//
//
// In: a kernel that is one `decoder.rms_norm`. Out: what is normed together, a
// row or a head of it, belongs to `lanes` threads: a few lanes of a warp, or
// all of the block. They read it once, keep it in registers, add up its squares
// and write the products; where it is too wide for that, they read it again,
// from the cache.
//
// Lanes without a row of a list to work at go on with row 0 and write nothing,
// for all lanes of a warp have to come to its exchanges.
//
//===----------------------------------------------------------------------===//

#include "RowSet.h"
#include "Strategies.h"
#include "coppice/Dialect/Decoder/IR/Decoder.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "llvm/Support/MathExtras.h"

using namespace mlir;

namespace coppice::nvptx {
namespace {

/// Of a block whose warps have rows of their own.
constexpr int64_t kThreads = 128;
/// Accesses of a row that a thread should have, and may keep in registers.
constexpr int64_t kWanted = 4, kHeld = 8;

class NormEmitter : KernelBuilder {
public:
  NormEmitter(ImplicitLocOpBuilder &b, KernelShell &shell,
              decoder::RMSNormOp op, int64_t lanes)
      : KernelBuilder(b, shell), op(op), lanes(lanes),
        width(op.getNormedWidth()),
        columns(op.getInput().getType().getDimSize(1)), access(accessOf(op)),
        accesses(width / access) {}

  static int64_t accessOf(decoder::RMSNormOp op) {
    return elementsOfAccess(op.getNormedWidth(),
                            {getElementTypeOrSelf(op.getInput()),
                             getElementTypeOrSelf(op.getGain()),
                             getElementTypeOrSelf(op.getResult())});
  }

  void emit() {
    bool isBlock = lanes > 32;
    if (isBlock)
      scratch = allocateShared(shell.threads / 32 * 4);
    int64_t groups = groupsOf(op.getRowList());
    int64_t heads = columns / width / groups; // of a group
    Value rows = extentOf(op.getInput(), 0);
    RowSet set(b, shell, op.getInput(), op.getRowList(), op.getRowCount());
    forEachItem([&](Value item) {
      Value unit = add(mul(item, shell.threads / lanes), div(thread(), lanes));
      Value position = div(unit, heads), group = i32(0);
      if (groups > 1) {
        group = div(position, rows);
        position = rem(position, rows);
      }
      Value head = add(mul(group, heads), rem(unit, heads));
      RowSet::Row row = set.at(group, position);
      auto normRow = [&] { norm(row, select(row.isThere, head, i32(0))); };
      if (isBlock)
        ifThen(row.isThere, normRow);
      else
        normRow();
    });
  }

private:
  /// Access number `number` of this lane: where it begins, and whether it is
  /// inside the row; null if it is in any case.
  std::pair<Value, Value> placeOf(Value number) {
    Value place = add(mul(number, lanes), rem(thread(), lanes));
    Value isInside = less(place, i32(accesses));
    return {mul(select(isInside, place, i32(0)), access), isInside};
  }
  std::pair<Value, Value> placeOf(int64_t number) {
    Value place = add(rem(thread(), lanes), number * lanes);
    if ((number + 1) * lanes <= accesses)
      return {mul(place, access), Value()};
    Value isInside = less(place, i32(accesses));
    return {mul(select(isInside, place, i32(0)), access), isInside};
  }
  Value inputAt(Value base, Value column) {
    return loadFloats(getElementTypeOrSelf(op.getInput()),
                      at(base, mul(column, 4)), access);
  }
  Value squaresOf(Value sum, Value x, Value isInside) {
    Value next = fma(x, x, sum);
    return isInside ? select(isInside, next, sum) : next;
  }
  Value scaleOf(Value squares);
  void storeAt(Value base, Value column, Value x, Value scale, Value isStored);
  void norm(const RowSet::Row &row, Value head);

  decoder::RMSNormOp op;
  int64_t lanes, width, columns;
  int64_t access;   // elements of one
  int64_t accesses; // of a row
  Value scratch;
};

/// The inverse of the root mean square, from this lane's sums of squares.
Value NormEmitter::scaleOf(Value squares) {
  Value sum = elementOf(squares, 0);
  for (int64_t i = 1; i < access; ++i)
    sum = addF(sum, elementOf(squares, i));
  auto addUp = [&](Value x, Value y) { return addF(x, y); };
  if (lanes > 32) {
    sum = reduceBlock(sum, scratch, addUp);
    barrier(); // the next row's sums
  } else {
    sum = reduceLanes(sum, lanes, addUp);
  }
  Value mean =
      arith::DivFOp::create(b, sum, f32(static_cast<float>(op.getDivisor())));
  Value root = math::SqrtOp::create(
      b, addF(mean, f32(op.getEpsilon().convertToFloat())));
  return arith::DivFOp::create(b, f32(1), root);
}

void NormEmitter::storeAt(Value base, Value column, Value x, Value scale,
                          Value isStored) {
  Type gain = getElementTypeOrSelf(op.getGain()),
       type = getElementTypeOrSelf(op.getResult());
  auto bytes = [](Type type) { return type.getIntOrFloatBitWidth() / 8; };
  Value factor = loadFloats(
      gain, at(argumentOf(op.getGain()), mul(column, bytes(gain))), access,
      /*isWeight=*/true);
  Value product = mulF(mulF(x, splat(scale, access)), factor);
  auto write = [&] {
    storeFloats(product, type, at(base, mul(column, bytes(type))));
  };
  if (isStored)
    ifThen(isStored, write);
  else
    write();
}

/// Norms a head of a row, or the row.
void NormEmitter::norm(const RowSet::Row &row, Value head) {
  Value first = mul(head, width);
  Value from = addressOf(op.getInput(), {row.row, first});
  Value to = at(shell.arguments.back(), getElementTypeOrSelf(op.getResult()),
                row.row, i32(columns), first);
  auto isStored = [&](Value isInside) {
    if (lanes > 32)
      return isInside; // whoever is here has a row
    return isInside ? both(isInside, row.isThere) : row.isThere;
  };
  Value none = splat(f32(0), access);
  int64_t count = llvm::divideCeil(accesses, lanes);
  if (count <= kHeld) {
    SmallVector<std::pair<Value, Value>> places;
    SmallVector<Value> held;
    for (int64_t i = 0; i < count; ++i) {
      places.push_back(placeOf(i));
      held.push_back(inputAt(from, places.back().first));
    }
    Value squares = none;
    for (auto [place, x] : llvm::zip_equal(places, held))
      squares = squaresOf(squares, x, place.second);
    Value scale = scaleOf(squares);
    for (auto [place, x] : llvm::zip_equal(places, held))
      storeAt(to, place.first, x, scale, isStored(place.second));
    return;
  }
  Value squares =
      loop(i32(0), i32(count), i32(1), none,
           [&](Value number, ValueRange carried) -> SmallVector<Value> {
             auto [column, isInside] = placeOf(number);
             return {squaresOf(carried[0], inputAt(from, column), isInside)};
           })[0];
  Value scale = scaleOf(squares);
  loop(i32(0), i32(count), 1, [&](Value number) {
    auto [column, isInside] = placeOf(number);
    storeAt(to, column, inputAt(from, column), scale, isStored(isInside));
  });
}

} // namespace

PlanOrNone planNorm(func::FuncOp kernel) {
  auto op = getOnlyOp<decoder::RMSNormOp>(kernel);
  if (!op)
    return std::nullopt;
  FailureOr<AffineExpr> rows = getArgumentExtent(
      kernel, cast<BlockArgument>(op.getInput()).getArgNumber(), 0);
  if (failed(rows))
    return FailureOr<KernelPlan>(failure());
  int64_t accesses = op.getNormedWidth() / NormEmitter::accessOf(op);
  int64_t threads = kThreads, lanes = 32;
  if (accesses <= 32)
    lanes = static_cast<int64_t>(llvm::PowerOf2Ceil(accesses));
  else if (accesses > 32 * kWanted)
    threads = lanes = std::min<int64_t>(
        1024, llvm::alignTo(llvm::divideCeil(accesses, kWanted), 32));
  int64_t heads = op.getInput().getType().getDimSize(1) / op.getNormedWidth();
  return FailureOr<KernelPlan>(
      planAlways(kernel,
                 makeConfig(kernel.getContext(), kNorm,
                            {{"threads", threads}, {"lanes", lanes}}),
                 makeGrid((*rows * heads).ceilDiv(threads / lanes))));
}

LogicalResult emitNorm(func::FuncOp kernel) {
  auto op = getOnlyOp<decoder::RMSNormOp>(kernel);
  if (!op)
    return kernel.emitError("expected one 'decoder.rms_norm' in a kernel of "
                            "strategy \"norm\"");
  FailureOr<int64_t> lanes = getParameter(kernel, "lanes"),
                     threads = getParameter(kernel, "threads");
  if (failed(lanes) || failed(threads))
    return failure();
  bool isPartOfWarp = *lanes > 0 && *lanes <= 32 && llvm::isPowerOf2_64(*lanes);
  if (!isPartOfWarp && *lanes != *threads)
    return kernel.emitError() << "expected 'lanes' to be a power of two up to "
                                 "32, or all threads, found "
                              << *lanes;
  ImplicitLocOpBuilder builder(kernel.getLoc(), kernel.getContext());
  FailureOr<KernelShell> shell = createKernelShell(builder, kernel);
  if (failed(shell))
    return failure();
  NormEmitter(builder, *shell, op, *lanes).emit();
  kernel.erase();
  return success();
}

} // namespace coppice::nvptx
