//===- DotsKernel.cpp - matrix products, a warp a column ------------------===//
//
// In: a kernel that is one `prune.gemm`, of any floats, with any sets and any
// epilogue. Out: a warp computes a column of a few rows of the result. Its
// lanes go along K in chunks of up to 16 bytes of weights, several of which are
// under way at once; each is read once for all the rows. Then the lanes add up.
//
// So few rows go at the speed at which weights come from memory, and it is for
// them; with more rows it is what is left where tensor cores do not multiply
// (f32, or A and W of different types).
//
// A work item is `rows` rows by as many columns as the block has warps, or
// fewer: with `parts` above 1, so many warps share a column, each with a part
// of its chunks, and what they found is added up in their order. Rows and
// columns are numbers in their sets (ProductPlaces.h).
//
//===----------------------------------------------------------------------===//

#include "KernelBuilder.h"
#include "Product.h"
#include "ProductEpilogue.h"
#include "ProductPlaces.h"
#include "Strategies.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include <numeric>

using namespace mlir;

namespace coppice::nvptx {
namespace {

constexpr int64_t kThreads = 128;
constexpr int64_t kWarps = kThreads / 32;
/// A GPU is busy with so many blocks.
constexpr int64_t kBusyBlocks = 256;

/// Columns of K that a lane loads at once: rows and groups are whole chunks.
int64_t chunkOf(prune::GemmOp gemm) {
  int64_t k = gemm.getWeight().getType().getDimSize(1);
  int64_t bits = gemm.getWeight().getType().getElementTypeBitWidth();
  return std::gcd(128 / bits, std::gcd(k, getGroupOfK(gemm)));
}

class DotsEmitter : KernelBuilder {
public:
  DotsEmitter(ImplicitLocOpBuilder &b, KernelShell &shell, prune::GemmOp gemm,
              int64_t numRows, int64_t parts)
      : KernelBuilder(b, shell), gemm(gemm), numRows(numRows), parts(parts),
        group(getGroupOfK(gemm)), chunk(chunkOf(gemm)), places(b, shell, gemm) {
  }

  LogicalResult emit();

private:
  using Rows = SmallVector<ProductPlaces::Row>;
  using Sums = SmallVector<Value>;

  int64_t k() { return gemm.getWeight().getType().getDimSize(1); }
  /// Chunks of a lane that are under way at once.
  int64_t unroll() const { return numRows <= 4 ? 4 : 2; }
  Value loadChunk(Value tensor, Value row, Value column, bool isConstant);
  Value isInList(Value list, Value count, Value row);
  Sums sumChunks(const Rows &rows, Value column, Value count, Sums sums,
                 llvm::function_ref<Value(Value)> placeOf);
  Sums sumListedRows(const Rows &rows, Value column, Sums sums);
  Sums sumAll(const Rows &rows, Value column);
  void addParts(Sums &sums, Value scratch);
  LogicalResult storeSums(const Rows &rows, Value column, const Sums &sums);
  LogicalResult computeItem(Value item, Value scratch);

  prune::GemmOp gemm;
  int64_t numRows, parts, group, chunk;
  ProductPlaces places;
};

/// `chunk` elements in f32.
Value DotsEmitter::loadChunk(Value tensor, Value row, Value column,
                             bool isConstant) {
  Type element = getElementTypeOrSelf(tensor);
  int64_t bytes = element.getIntOrFloatBitWidth() / 8;
  // Loads are of 16 bytes at the most: f32 beside weights of 16 bits takes two.
  int64_t atOnce = std::min(chunk, 16 / bytes);
  Value address = addressOf(tensor, {row, column});
  auto type = VectorType::get(atOnce, element);
  SmallVector<Value> pieces;
  for (int64_t first = 0; first < chunk; first += atOnce) {
    Value from = at(address, first * bytes);
    Value piece = isConstant ? loadConstant(type, from, atOnce * bytes)
                             : load(type, from, atOnce * bytes);
    pieces.push_back(piece);
  }
  if (pieces.size() == 1)
    return pieces.front();
  SmallVector<int64_t> all = llvm::to_vector(llvm::seq<int64_t>(0, chunk));
  assert(pieces.size() == 2 && "8 columns at the most");
  return vector::ShuffleOp::create(b, pieces[0], pieces[1], all);
}

/// Is `row` among the first `count` of an ascending list at this address?
Value DotsEmitter::isInList(Value list, Value count, Value row) {
  Value first = firstNotBelow(list, count, row);
  return ifThen(less(first, count), zero(b.getI1Type()), [&] {
    return SmallVector<Value>{
        equal(load(b.getI32Type(), at(list, mul(first, 4))), row)};
  })[0];
}

/// Adds the products of those of chunks [0, count) that are this lane's;
/// `placeOf` says at which column along K a chunk begins.
DotsEmitter::Sums
DotsEmitter::sumChunks(const Rows &rows, Value column, Value count, Sums sums,
                       llvm::function_ref<Value(Value)> placeOf) {
  Type wide = VectorType::get(chunk, b.getF32Type());
  // All loads before the first product.
  auto addSome = [&](Value first, int64_t stride, int64_t number,
                     ValueRange carried) {
    SmallVector<Value> weights, inputs;
    for (int64_t i = 0; i < number; ++i) {
      Value place = placeOf(add(first, i * stride));
      weights.push_back(loadChunk(gemm.getWeight(), column, place, true));
      for (const ProductPlaces::Row &row : rows)
        inputs.push_back(loadChunk(gemm.getInput(), row.input, place, false));
    }
    Sums next(carried);
    for (int64_t i = 0; i < number; ++i) {
      Value w = convert(weights[i], wide);
      for (int64_t r = 0; r < numRows; ++r) {
        Value x = convert(inputs[i * numRows + r], wide);
        for (int64_t e = 0; e < chunk; ++e)
          next[r] = fma(LLVM::ExtractElementOp::create(b, x, i32(e)),
                        LLVM::ExtractElementOp::create(b, w, i32(e)), next[r]);
      }
    }
    return next;
  };
  int64_t stride = 32 * parts, step = stride * unroll();
  Value first = parts > 1 ? add(lane(), mul(rem(warp(), parts), 32)) : lane();
  // As many of a lane's steps as are whole, then what is left.
  Value end = max(sub(count, i32(step - stride)), i32(0));
  Value whole = ceilDiv(max(sub(end, first), i32(0)), step);
  Value rest = add(first, mul(whole, step));
  sums = Sums(loop(first, end, i32(step), sums,
                   [&](Value chunkNumber, ValueRange carried) {
                     return addSome(chunkNumber, stride, unroll(), carried);
                   }));
  return Sums(loop(rest, count, i32(stride), sums,
                   [&](Value chunkNumber, ValueRange carried) {
                     return addSome(chunkNumber, stride, 1, carried);
                   }));
}

/// Group by group: each row's sum is over the groups in whose list it is.
DotsEmitter::Sums DotsEmitter::sumListedRows(const Rows &rows, Value column,
                                             Sums sums) {
  Value rowOfLane = rows.front().input;
  for (int64_t i = 1; i < numRows; ++i)
    rowOfLane = select(equal(lane(), i32(i)), rows[i].input, rowOfLane);
  auto addGroup = [&](Value number, ValueRange carried) {
    Value count = loadElement(gemm.getRowCount(), number);
    Value list = addressOf(gemm.getRows(), {number, i32(0)});
    // A lane looks for a row; all learn what it found.
    Value votes = NVVM::VoteSyncOp::create(b, b.getI32Type(), i32(-1),
                                           isInList(list, count, rowOfLane),
                                           NVVM::VoteSyncKind::ballot);
    votes = both(votes, i32((int64_t(1) << numRows) - 1));
    auto has = [&](Value bits) {
      return compare(arith::CmpIPredicate::ne, bits, i32(0));
    };
    return Sums(ifThen(has(votes), carried, [&] {
      Value from = mul(number, group);
      Value end = min(add(from, group), i32(k()));
      Sums next =
          sumChunks(rows, column, div(sub(end, from), chunk), Sums(carried),
                    [&](Value each) { return add(from, mul(each, chunk)); });
      for (int64_t i = 0; i < numRows; ++i)
        next[i] =
            select(has(both(votes, i32(int64_t(1) << i))), next[i], carried[i]);
      return next;
    }));
  };
  return Sums(
      loop(i32(0), extentOf(gemm.getRows(), 0), i32(1), sums, addGroup));
}

/// This lane's part of the sums of a column.
DotsEmitter::Sums DotsEmitter::sumAll(const Rows &rows, Value column) {
  Sums none(numRows, f32(0));
  if (gemm.hasRowsPerGroup())
    return sumListedRows(rows, column, none);
  if (!gemm.getGroups())
    return sumChunks(rows, column, i32(k() / chunk), none,
                     [&](Value each) { return mul(each, chunk); });
  int64_t ofGroup = group / chunk;
  auto groupAt = [&](Value number) {
    return mul(loadElement(gemm.getGroups(), number), group);
  };
  Value groups = load(b.getI32Type(), argumentOf(gemm.getGroupCount()));
  Value count = mul(groups, ofGroup);
  // The last group may be short; it is the last of the list, if it is there.
  if (k() % group)
    count = ifThen(less(i32(0), groups), count, [&] {
      Value end = add(groupAt(sub(groups, i32(1))), group);
      Value missing = div(max(sub(end, i32(k())), i32(0)), chunk);
      return SmallVector<Value>{sub(count, missing)};
    })[0];
  return sumChunks(rows, column, count, none, [&](Value each) {
    return add(groupAt(div(each, ofGroup)), mul(rem(each, ofGroup), chunk));
  });
}

/// Adds what the warps of a column found, in the first of them.
void DotsEmitter::addParts(Sums &sums, Value scratch) {
  Value place = at(scratch, mul(warp(), 4 * numRows));
  ifThen(equal(lane(), i32(0)), [&] {
    for (auto [i, sum] : llvm::enumerate(sums))
      store(sum, at(place, 4 * i));
  });
  barrier();
  sums = Sums(ifThen(equal(rem(warp(), parts), i32(0)), sums, [&] {
    Sums all = sums;
    for (int64_t part = 1; part < parts; ++part)
      for (auto [i, sum] : llvm::enumerate(all))
        sum = addF(sum,
                   load(b.getF32Type(), at(place, (part * numRows + i) * 4)));
    return all;
  }));
  barrier(); // of the next item, others are written
}

/// All lanes have all sums: each row is stored by a lane of its own.
LogicalResult DotsEmitter::storeSums(const Rows &rows, Value column,
                                     const Sums &sums) {
  Value sum = sums.front(), row = rows.front().result,
        isThere = rows.front().isThere;
  for (int64_t i = 1; i < numRows; ++i) {
    Value isMine = equal(lane(), i32(i));
    sum = select(isMine, sums[i], sum);
    row = select(isMine, rows[i].result, row);
    isThere = select(isMine, rows[i].isThere, isThere);
  }
  LogicalResult done = success();
  ifThen(both(isThere, less(lane(), i32(numRows))), [&] {
    FailureOr<Value> value =
        ProductEpilogue(b, shell, gemm).emit(sum, row, column);
    if (failed(value))
      done = failure();
    else
      store(
          *value,
          addressOf(gemm->getParentOfType<func::FuncOp>().getArguments().back(),
                    {row, column}));
  });
  return done;
}

LogicalResult DotsEmitter::computeItem(Value item, Value scratch) {
  int64_t columns = kWarps / parts;
  int64_t items =
      llvm::divideCeil(countColumnNumbers(gemm), columns); // of the rows
  Value first = mul(div(item, items), numRows);
  Value number = add(mul(rem(item, items), columns),
                     parts > 1 ? div(warp(), parts) : warp());
  Value panel;
  if (places.hasPanels()) {
    int64_t size = static_cast<int64_t>(*gemm.getPanelSize());
    panel = min(div(number, size), i32(places.countPanels() - 1));
    number = sub(number, mul(panel, size));
  }
  ProductPlaces::Column column = places.columnAt(number, panel);
  Rows rows;
  for (int64_t i = 0; i < numRows; ++i)
    rows.push_back(places.rowAt(add(first, i), panel));
  // The first row is there if any is.
  Value isThere = both(column.isThere, rows.front().isThere);
  Sums sums(ifThen(isThere, SmallVector<Value>(numRows, f32(0)), [&] {
    Sums sums = sumAll(rows, column.column);
    for (Value &sum : sums)
      sum = sumOfWarp(sum);
    return sums;
  }));
  if (parts > 1) {
    addParts(sums, scratch);
    isThere = both(isThere, equal(rem(warp(), parts), i32(0)));
  }
  LogicalResult done = success();
  ifThen(isThere, [&] { done = storeSums(rows, column.column, sums); });
  return done;
}

LogicalResult DotsEmitter::emit() {
  // What a thread has under way is in registers, and so are the addresses.
  int64_t registers = 56 + unroll() * (1 + numRows) * 6;
  shell.setResidentBlocks(std::max<int64_t>(65536 / (registers * kThreads), 1));
  Value scratch = parts > 1 ? allocateShared(4 * kWarps * numRows) : Value();
  LogicalResult done = success();
  forEachItem([&](Value item) { done = computeItem(item, scratch); });
  return done;
}

/// How many warps share a column: one, unless that leaves a GPU idle.
int64_t chooseParts(prune::GemmOp gemm) {
  int64_t k = gemm.getWeight().getType().getDimSize(1);
  int64_t n = gemm.getWeight().getType().getDimSize(0);
  int64_t parts = 1;
  while (parts < kWarps && n * parts / kWarps < kBusyBlocks &&
         k >= 2 * parts * 32 * chunkOf(gemm))
    parts *= 2;
  return parts;
}

} // namespace

KernelVariant planDotsOf(func::FuncOp kernel, prune::GemmOp gemm,
                         AffineExpr extent, int64_t rows) {
  int64_t parts = chooseParts(gemm);
  int64_t items = llvm::divideCeil(countColumnNumbers(gemm), kWarps / parts);
  KernelStage stage;
  stage.config =
      makeConfig(kernel.getContext(), kDots,
                 {{"threads", kThreads}, {"rows", rows}, {"parts", parts}});
  stage.grid = makeGrid(extent.ceilDiv(rows) * items);
  stage.suffix = "r" + std::to_string(rows);
  return {makeGrid(rows + 1 - extent), {stage}, AffineMap()};
}

PlanOrNone planDots(func::FuncOp kernel) {
  prune::GemmOp gemm = getProduct(kernel);
  if (!gemm)
    return std::nullopt;
  FailureOr<AffineExpr> extent = getProductRows(kernel, gemm);
  if (failed(extent))
    return FailureOr<KernelPlan>(failure());
  KernelPlan plan;
  plan.packings.assign(kernel.getNumArguments(), {});
  plan.countsItems = true;
  for (int64_t rows : {1, 2, 4, 8})
    plan.variants.push_back(planDotsOf(kernel, gemm, *extent, rows));
  plan.variants.back().guard = AffineMap();
  plan.variants.back().stages.front().suffix = "";
  return FailureOr<KernelPlan>(plan);
}

LogicalResult emitDots(func::FuncOp kernel) {
  prune::GemmOp gemm = getProduct(kernel);
  if (!gemm)
    return kernel.emitError("expected one 'prune.gemm' of f32, f16 or bf16, "
                            "into the destination, in a kernel of strategy "
                            "\"dots\"");
  FailureOr<int64_t> threads = getParameter(kernel, "threads");
  FailureOr<int64_t> rows = getParameter(kernel, "rows");
  FailureOr<int64_t> parts = getParameter(kernel, "parts");
  if (failed(threads) || failed(rows) || failed(parts))
    return failure();
  if (*threads != kThreads)
    return kernel.emitError()
           << "expected 'threads' to be " << kThreads << ", found " << *threads;
  if (*rows < 1 || *rows > 16)
    return kernel.emitError()
           << "expected 'rows' to be 1 to 16, found " << *rows;
  if (*parts < 1 || kWarps % *parts)
    return kernel.emitError() << "expected 'parts' to divide the block's "
                              << kWarps << " warps, found " << *parts;
  ImplicitLocOpBuilder builder(kernel.getLoc(), kernel.getContext());
  FailureOr<KernelShell> shell = createKernelShell(builder, kernel);
  if (failed(shell) ||
      failed(DotsEmitter(builder, *shell, gemm, *rows, *parts).emit()))
    return failure();
  kernel.erase();
  return success();
}

} // namespace coppice::nvptx
