//===- GemmKernel.cpp - matrix products over packed panels ----------------===//
//
// In: a kernel that is one `prune.gemm`, C[m,n] = epilogue(sum_k A[m,k]
// W[n,k]), with W packed as [ceil(N/P)][K][P]. Out: vector code.
//
// A work item is `rows` rows of C by one panel. Its sums live in a scratch
// block on the stack while the item walks down K in blocks of `depth`:
//
//   scratch = 0
//   for each block of K:                    // P x depth of W: stays in L1
//     for each group of 6, then 2, then 1 rows:
//       registers = scratch;  registers += A . W;  scratch = registers
//   for each row: C = epilogue(scratch)
//
// A is read in place: one broadcast feeds all vectors of a panel, so packing it
// would pay nothing. Remaining rows are taken in pairs and singly: two rows by
// four vectors are just enough independent sums to hide the latency of FMA, and
// a weight block is still read from memory once. Few rows are thus no special
// case: with one row the weights stream through at the speed of memory.
//
// The last panel is padded with zeros, so that only the epilogue, which touches
// C, needs masks, and only where P does not divide N. The epilogue runs after
// all sums are done, so it may read C itself: a residual update is in place.
//
//===----------------------------------------------------------------------===//

#include "KernelBuilder.h"
#include "Strategies.h"
#include "VectorAccess.h"
#include "coppice/Dialect/Exec/IR/Exec.h"
#include "coppice/Dialect/Prune/IR/Prune.h"
#include "mlir/IR/Matchers.h"

using namespace mlir;

namespace coppice::cpu {
namespace {

/// What the configuration says, and the shape of the product.
struct GemmShape {
  int64_t n, k;
  int64_t panel;   // columns of a panel
  int64_t rows;    // rows of a work item
  int64_t depth;   // rows of W in a block of K
  int64_t tile;    // rows of a register tile
  int64_t vectors; // vectors of a register tile's row
  int64_t lanes;   // f32 of a vector
};

class GemmEmitter : KernelBuilder {
public:
  GemmEmitter(ImplicitLocOpBuilder &b, prune::GemmOp gemm, GemmShape shape,
              const KernelShell &shell)
      : KernelBuilder(b, shell), gemm(gemm), shape(shape),
        accumulator(VectorType::get(shape.lanes, b.getF32Type())) {}

  LogicalResult emit();

private:
  void emitItem(Value item);
  void clearScratch(Value count);
  void emitBlock(Value first, Value count, Value panel, Value from, Value to);
  void emitTile(int64_t height, Value first, Value row, Value panel,
                int64_t column, Value from, Value to);
  LogicalResult emitEpilogue(Value first, Value count, Value panel);
  FailureOr<Value> emitEpilogueVector(Value accumulated, Value row,
                                      Value column, Value mask);
  Type storageOf(Value tensor) { return getElementTypeOrSelf(tensor); }

  prune::GemmOp gemm;
  GemmShape shape;
  VectorType accumulator;
  Value input, weight, output, scratch, extent;
  LogicalResult status = success();
};

LogicalResult GemmEmitter::emit() {
  input = argumentOf(gemm.getInput());
  weight = argumentOf(gemm.getWeight());
  output = shell.arguments.back();
  scratch = onStack({shape.rows, shape.panel}, b.getF32Type());
  extent = memref::DimOp::create(b, input, 0);
  loop(shell.begin, shell.end, 1, [&](Value item) { emitItem(item); });
  return status;
}

void GemmEmitter::emitItem(Value item) {
  // Panels are innermost: consecutive items share their rows of A.
  Value panels = index(llvm::divideCeil(shape.n, shape.panel));
  Value block = arith::DivUIOp::create(b, item, panels);
  Value panel = arith::RemUIOp::create(b, item, panels);
  Value first = arith::MulIOp::create(b, block, index(shape.rows));
  Value count = min(sub(extent, first), index(shape.rows));

  clearScratch(count);
  loop(index(0), index(shape.k), shape.depth, [&](Value from) {
    Value to = min(add(from, shape.depth), index(shape.k));
    emitBlock(first, count, panel, from, to);
  });
  if (failed(emitEpilogue(first, count, panel)))
    status = failure();
}

void GemmEmitter::clearScratch(Value count) {
  Value zero = arith::ConstantOp::create(b, b.getZeroAttr(accumulator));
  loop(index(0), count, 1, [&](Value row) {
    for (int64_t column = 0; column < shape.panel; column += shape.lanes)
      vector::StoreOp::create(b, zero, scratch, ValueRange{row, index(column)});
  });
}

/// Adds A[first:+count, from:to] . W[from:to, panel] to the scratch block.
void GemmEmitter::emitBlock(Value first, Value count, Value panel, Value from,
                            Value to) {
  int64_t width = shape.vectors * shape.lanes;
  for (int64_t column = 0; column < shape.panel; column += width) {
    Value row = index(0);
    for (int64_t height : {shape.tile, int64_t(2), int64_t(1)}) {
      // `row` .. `end` is a multiple of `height` rows.
      Value left = sub(count, row);
      Value whole = sub(left, arith::RemUIOp::create(b, left, index(height)));
      Value end = add(row, whole);
      loop(row, end, height, [&](Value r) {
        emitTile(height, first, r, panel, column, from, to);
      });
      row = end;
    }
  }
}

/// One register tile: `height` rows by `vectors` vectors, over a block of K.
void GemmEmitter::emitTile(int64_t height, Value first, Value row, Value panel,
                           int64_t column, Value from, Value to) {
  SmallVector<Value> columns, rows, sums;
  for (int64_t v = 0; v < shape.vectors; ++v)
    columns.push_back(index(column + v * shape.lanes));
  for (int64_t r = 0; r < height; ++r) {
    Value local = add(row, r);
    rows.push_back(add(first, local));
    for (Value at : columns)
      sums.push_back(vector::LoadOp::create(b, accumulator, scratch,
                                            ValueRange{local, at}));
  }

  auto k = scf::ForOp::create(b, from, to, index(1), sums);
  {
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPointToEnd(k.getBody());
    Value at = k.getInductionVar();
    SmallVector<Value> weights, next;
    for (Value column : columns)
      weights.push_back(
          convertFloat(b,
                       loadVector(b, weight, storageOf(gemm.getWeight()),
                                  shape.lanes, {panel, at, column}),
                       b.getF32Type()));
    for (int64_t r = 0; r < height; ++r) {
      Value factor = vector::BroadcastOp::create(
          b, accumulator,
          memref::LoadOp::create(b, input, ValueRange{rows[r], at}));
      for (int64_t v = 0; v < shape.vectors; ++v)
        next.push_back(vector::FMAOp::create(
            b, factor, weights[v], k.getRegionIterArg(r * shape.vectors + v)));
    }
    scf::YieldOp::create(b, next);
  }

  for (int64_t r = 0; r < height; ++r)
    for (int64_t v = 0; v < shape.vectors; ++v)
      vector::StoreOp::create(b, k.getResult(r * shape.vectors + v), scratch,
                              ValueRange{add(row, r), columns[v]});
}

LogicalResult GemmEmitter::emitEpilogue(Value first, Value count, Value panel) {
  bool masked = shape.n % shape.panel != 0;
  Value base = arith::MulIOp::create(b, panel, index(shape.panel));
  LogicalResult result = success();
  loop(index(0), count, 1, [&](Value local) {
    Value row = add(first, local);
    for (int64_t offset = 0; offset < shape.panel; offset += shape.lanes) {
      Value column = add(base, offset);
      Value mask;
      if (masked)
        mask = vector::CreateMaskOp::create(
            b, VectorType::get(shape.lanes, b.getI1Type()),
            ValueRange{sub(index(shape.n), column)});
      Value sum = vector::LoadOp::create(b, accumulator, scratch,
                                         ValueRange{local, index(offset)});
      FailureOr<Value> value = emitEpilogueVector(sum, row, column, mask);
      if (failed(value)) {
        result = failure();
        return;
      }
      storeVector(b, *value, output, {row, column}, mask);
    }
  });
  return result;
}

/// Clones the epilogue's region, each scalar become a vector.
FailureOr<Value> GemmEmitter::emitEpilogueVector(Value accumulated, Value row,
                                                 Value column, Value mask) {
  if (!gemm.hasEpilogue())
    return accumulated;
  auto widen = [&](Type type) { return VectorType::get(shape.lanes, type); };
  Block &region = gemm.getEpilogue().front();
  IRMapping mapping;
  mapping.map(region.getArgument(0), accumulated);
  for (auto [scalar, extra] :
       llvm::zip_equal(region.getArguments().drop_front(), gemm.getExtras())) {
    TypedValue<MemRefType> memref = argumentOf(extra);
    SmallVector<Value> indices{column};
    if (memref.getType().getRank() == 2)
      indices.insert(indices.begin(), row);
    mapping.map(scalar, loadVector(b, memref, storageOf(extra), shape.lanes,
                                   indices, mask));
  }

  for (Operation &op : region.without_terminator()) {
    Attribute constant;
    if (matchPattern(&op, m_Constant(&constant))) {
      auto type = widen(op.getResult(0).getType());
      mapping.map(
          op.getResult(0),
          arith::ConstantOp::create(b, DenseElementsAttr::get(type, constant))
              .getResult());
      continue;
    }
    if (!OpTrait::hasElementwiseMappableTraits(&op))
      return op.emitError("expected an elementwise operation in the epilogue "
                          "of a GEMM kernel");
    Operation *vectorOp = b.clone(op, mapping);
    for (auto [scalar, vector] :
         llvm::zip_equal(op.getResults(), vectorOp->getResults())) {
      vector.setType(widen(scalar.getType()));
      mapping.map(scalar, vector);
    }
  }
  return mapping.lookup(region.getTerminator()->getOperand(0));
}

/// The gemm of a kernel that this strategy can emit; null if it is another.
prune::GemmOp getGemm(func::FuncOp kernel) {
  auto gemm = getOnlyOp<prune::GemmOp>(kernel);
  if (!gemm)
    return {};
  // Activations are f32; anything else is left to the generic lowering.
  auto isNarrow = [](Value value) {
    Type type = getElementTypeOrSelf(value);
    return type.isF32() || type.isF16() || type.isBF16();
  };
  bool fits = llvm::all_of(gemm->getOperands(),
                           [&](Value operand) { return isNarrow(operand); });
  if (!fits || !getElementTypeOrSelf(gemm.getInput()).isF32() ||
      !getElementTypeOrSelf(gemm.getResult()).isF32())
    return {};
  ArrayRef<int64_t> weight = gemm.getWeight().getType().getShape();
  return ShapedType::isDynamicShape(weight) ? prune::GemmOp() : gemm;
}

} // namespace

std::optional<FailureOr<KernelPlan>> planGemm(func::FuncOp kernel,
                                              const CPUTarget &target) {
  prune::GemmOp gemm = getGemm(kernel);
  if (!gemm)
    return std::nullopt;
  int64_t n = gemm.getWeight().getType().getDimSize(0);
  int64_t lanes = target.lanes();

  // 64 columns serve prefill and decode alike; narrow products would only
  // multiply padding.
  int64_t panel =
      std::min<int64_t>(64, llvm::alignTo(std::max<int64_t>(n, 1), 16));
  // Sums, one panel row of W and a broadcast: 24 + 4 + 1 of 32 registers, or
  // 12 + 2 + 1 of 16.
  int64_t vectors = target.isa == CPUTarget::ISA::AVX2 ? 2 : 4;
  vectors = std::min(vectors, panel / lanes);
  while (panel % (vectors * lanes))
    --vectors;
  constexpr int64_t rows = 96;   // 24 KiB of scratch
  constexpr int64_t depth = 128; // 32 KiB of f32 weights

  FailureOr<AffineExpr> extent = getArgumentExtent(
      kernel, cast<BlockArgument>(gemm.getInput()).getArgNumber(), 0);
  if (failed(extent))
    return FailureOr<KernelPlan>(failure());
  KernelPlan plan = KernelPlan::always(
      kernel,
      makeConfig(kernel.getContext(), kGemm,
                 {{"rows", rows},
                  {"panel", panel},
                  {"depth", depth},
                  {"tile", 6},
                  {"vectors", vectors},
                  {"lanes", lanes}}),
      makeGrid(extent->ceilDiv(rows) * llvm::divideCeil(n, panel)));
  plan.packings[cast<BlockArgument>(gemm.getWeight()).getArgNumber()] =
      exec::PackingAttr::get(kernel.getContext(), panel, /*depth=*/1);
  return FailureOr<KernelPlan>(plan);
}

FailureOr<func::FuncOp> emitGemm(func::FuncOp kernel) {
  prune::GemmOp gemm = getGemm(kernel);
  if (!gemm)
    return kernel.emitError("expected one 'prune.gemm' in a kernel of "
                            "strategy \"gemm\"");
  GemmShape shape;
  shape.n = gemm.getWeight().getType().getDimSize(0);
  shape.k = gemm.getWeight().getType().getDimSize(1);
  std::pair<StringRef, int64_t *> parameters[] = {
      {"rows", &shape.rows},       {"panel", &shape.panel},
      {"depth", &shape.depth},     {"tile", &shape.tile},
      {"vectors", &shape.vectors}, {"lanes", &shape.lanes}};
  for (auto [name, value] : parameters) {
    FailureOr<int64_t> parameter = getParameter(kernel, name);
    if (failed(parameter))
      return failure();
    if (*parameter <= 0)
      return kernel.emitError()
             << "expected a positive '" << name << "', found " << *parameter;
    *value = *parameter;
  }
  if (shape.panel % (shape.vectors * shape.lanes))
    return kernel.emitError()
           << "expected a panel of a multiple of " << shape.vectors << " x "
           << shape.lanes << " columns, found " << shape.panel;
  unsigned weight = cast<BlockArgument>(gemm.getWeight()).getArgNumber();
  auto packing =
      exec::PackingAttr::get(kernel.getContext(), shape.panel, /*depth=*/1);
  if (getArgumentPacking(kernel, weight) != packing)
    return kernel.emitError()
           << "expected argument " << weight << " to be packed as " << packing
           << ", found '" << exec::packingAttrName
           << "' = " << Attribute(getArgumentPacking(kernel, weight));

  ImplicitLocOpBuilder builder(kernel.getLoc(), kernel.getContext());
  FailureOr<KernelShell> shell =
      createKernelShell(builder, kernel, /*halvesAsBits=*/true);
  if (failed(shell))
    return failure();
  if (failed(GemmEmitter(builder, gemm, shape, *shell).emit())) {
    shell->function.erase();
    return failure();
  }
  kernel.erase();
  return shell->function;
}

} // namespace coppice::cpu
