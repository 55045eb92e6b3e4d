//===- GemmKernel.cpp - matrix products over packed panels ----------------===//
//
// In: a kernel that is one `prune.gemm`, C[m,n] = epilogue(sum_k A[m,k]
// W[n,k]), with W packed into panels. Out: vector code.
//
// A work item is a block of at most `rows` rows of C by `panels` panels. The
// rows are shared out evenly over the blocks, and within a block over register
// tiles of at most `height` rows, so that no tile is left with a row or two:
//
//   for each block of K, of `depth`:
//     for each tile of rows:                     // A's part: in L1
//       (A widened to f32 on the stack, where the instructions want that)
//       for each panel, each `width` columns of it:   // W's part: in L2
//         registers = scratch (zero in the first block)
//         registers += A . W                     // GemmProduct.h
//         scratch = registers
//   for each row: C = epilogue(scratch)
//
// Only the innermost part, the product of a tile, is code for each height: the
// rest is common to all, which keeps compiling short.
//
// Where K is one block, the scratch is one tile's, and the epilogue follows the
// tile. It is otherwise the whole item's. One deep block is best as long as its
// part of a panel stays in L2: sums are stored once, and A is read in long
// runs.
//
// A is read in place: one broadcast feeds all vectors of a panel, so packing it
// would pay nothing. Few rows are no special case: with one row the weights
// stream through at the speed of memory. What differs is in the configuration.
//
// The last panel and an odd K are padded with zeros in W. So only the epilogue,
// which touches C, needs masks, and only in the last panel; and only a pair
// that is half behind a row of A is read by half. The epilogue runs after all
// sums are done, so it may read C itself: a residual update is in place.
//
//===----------------------------------------------------------------------===//

#include "GemmConfig.h"
#include "GemmEpilogue.h"
#include "GemmOperands.h"
#include "GemmProduct.h"
#include "Strategies.h"
#include "VectorAccess.h"

using namespace mlir;

namespace coppice::cpu {
namespace {

GemmStep chooseStep(const GemmOperands &gemm, const CPUTarget &target) {
  if (gemm.pack() == 1)
    return GemmStep::Single;
  bool dots = target.isa == CPUTarget::ISA::AVX512_BF16 &&
              getElementTypeOrSelf(gemm.input).isBF16();
  return dots ? GemmStep::Dot : GemmStep::Pairs;
}

class GemmEmitter : KernelBuilder {
public:
  GemmEmitter(ImplicitLocOpBuilder &b, const KernelShell &shell,
              const GemmOperands &gemm, const GemmConfig &config,
              const CPUTarget &target)
      : KernelBuilder(b, shell), gemm(gemm), config(config), target(target),
        registers(registerTile(config, target)), step(chooseStep(gemm, target)),
        accumulator(VectorType::get(target.lanes(), b.getF32Type())),
        epilogue(b, shell, gemm, target) {}

  LogicalResult emit();

private:
  /// A work item.
  struct Item {
    Value first, count;      // rows
    Value panel, panelCount; // panels
  };
  /// [from, to) along K.
  struct Block {
    Value from, to;
  };

  void emitItem(const Item &item);
  void emitBlock(const Item &item, const Block &block);
  void emitTile(int64_t height, const Item &item, const Block &block,
                Value row);
  void emitColumns(int64_t height, const Block &block,
                   const GemmProduct::Operands &operands, Value scratchRow,
                   Value scratchColumn);
  void setAhead(GemmProduct::Operands &operands, const Item &item,
                const Block &block, Value row, int64_t height, Value column);
  void widenInput(Value height, const Block &block, Value row);
  void emitEpilogue(const Item &item, Value row, Value count);
  void emitEpilogueRow(Value panel, Value scratchRow, Value scratchColumn,
                       Value row, bool masked);

  /// K of a block. A tile of widened rows takes more room than the rows do, and
  /// is to stay in L1 all the same.
  int64_t depthOfBlock() {
    return isWidened() ? std::min<int64_t>(config.depth, 512) : config.depth;
  }
  int64_t blockCount() { return llvm::divideCeil(gemm.k(), depthOfBlock()); }
  bool isOneBlock() { return blockCount() <= 1; }
  bool isWidened() {
    return step != GemmStep::Dot && !getElementTypeOrSelf(gemm.input).isF32();
  }
  int64_t scratchColumns() {
    return config.panels * gemm.weights.size() * config.panel;
  }
  /// With many tiles, 256-bit vectors gain nothing: products take longer, so
  /// that the wait for memory is a smaller part, and prefetches a greater one.
  bool isPrefetching() { return config.ahead > (target.lanes() == 8 ? 1 : 0); }
  Value flatten(Value memref);

  const GemmOperands &gemm;
  const GemmConfig &config;
  const CPUTarget &target;
  RegisterTile registers;
  GemmStep step;
  int64_t unroll = 1;
  VectorType accumulator;
  GemmEpilogue epilogue;
  std::optional<GemmProduct> product;
  SmallVector<Value> weights; // flat
  Value input, flatInput, output, scratch, widened;
  LogicalResult status = success();
};

Value GemmEmitter::flatten(Value memref) {
  ReassociationIndices all = llvm::to_vector(
      llvm::seq<int64_t>(cast<MemRefType>(memref.getType()).getRank()));
  return memref::CollapseShapeOp::create(b, memref, ArrayRef{all});
}

LogicalResult GemmEmitter::emit() {
  input = argumentOf(gemm.input);
  flatInput = flatten(input);
  for (Value weight : gemm.weights)
    weights.push_back(flatten(argumentOf(weight)));
  output = shell.arguments.back();
  scratch =
      onStack({isOneBlock() ? registers.height : config.rows, scratchColumns()},
              b.getF32Type());
  if (isWidened())
    widened =
        flatten(onStack({registers.height, std::min(depthOfBlock(), gemm.k())},
                        b.getF32Type()));
  // A step of pairs is as long as two.
  unroll = step == GemmStep::Pairs ? llvm::divideCeil(config.unroll, 2)
                                   : config.unroll;
  product.emplace(
      b, shell,
      GemmProduct::Options{step, getElementTypeOrSelf(gemm.weights.front()),
                           target.lanes(), registers.vectors, config.panel,
                           unroll, config.ahead},
      isWidened() ? widened : flatInput);

  Value extent = memref::DimOp::create(b, input, 0);
  Value blocks = div(add(extent, config.rows - 1), config.rows);
  int64_t panels = llvm::divideCeil(gemm.n(), config.panel);
  int64_t groups = llvm::divideCeil(panels, config.panels);
  loop(shell.begin, shell.end, 1, [&](Value number) {
    // Panels are innermost: consecutive items share their rows of A.
    Value block = div(number, groups);
    auto bound = [&](Value block) -> Value {
      return arith::DivUIOp::create(b, arith::MulIOp::create(b, block, extent),
                                    blocks);
    };
    Item item;
    item.first = bound(block);
    item.count = sub(bound(add(block, 1)), item.first);
    item.panel = mul(rem(number, groups), config.panels);
    item.panelCount =
        panels % config.panels
            ? min(sub(index(panels), item.panel), index(config.panels))
            : index(config.panels);
    emitItem(item);
  });
  return status;
}

void GemmEmitter::emitItem(const Item &item) {
  if (isOneBlock())
    return emitBlock(item, {index(0), index(gemm.k())});

  Value zero = zeros(accumulator);
  loop(index(0), item.count, 1, [&](Value row) {
    loop(index(0), index(scratchColumns()), target.lanes(), [&](Value column) {
      vector::StoreOp::create(b, zero, scratch, ValueRange{row, column});
    });
  });
  loop(index(0), index(gemm.k()), depthOfBlock(), [&](Value from) {
    Value to = gemm.k() % depthOfBlock()
                   ? min(add(from, depthOfBlock()), index(gemm.k()))
                   : add(from, depthOfBlock());
    emitBlock(item, {from, to});
  });
  emitEpilogue(item, index(0), item.count);
}

/// Tiles of two heights, one apart, whose rows add up: the taller ones first.
void GemmEmitter::emitBlock(const Item &item, const Block &block) {
  int64_t most = registers.height;
  Value tiles = max(div(add(item.count, most - 1), most), index(1));
  Value low = arith::DivUIOp::create(b, item.count, tiles);
  Value taller = arith::RemUIOp::create(b, item.count, tiles);
  // With at least half a tile of rows, no tile has less.
  int64_t least = std::min(config.least, (most + 1) / 2);
  loop(index(0), tiles, 1, index(0), [&](Value tile, ValueRange carried) {
    Value row = carried.front();
    Value isTaller =
        arith::CmpIOp::create(b, arith::CmpIPredicate::ult, tile, taller);
    Value height = arith::SelectOp::create(b, isTaller, add(low, 1), low);
    if (isWidened())
      widenInput(height, block, add(item.first, row));
    auto heights = llvm::to_vector(llvm::seq(least, most));
    auto choice = scf::IndexSwitchOp::create(b, TypeRange(), height, heights,
                                             heights.size());
    auto emitCase = [&](Region &region, int64_t height) {
      OpBuilder::InsertionGuard guard(b);
      b.createBlock(&region);
      emitTile(height, item, block, row);
      scf::YieldOp::create(b);
    };
    emitCase(choice.getDefaultRegion(), most);
    for (auto [number, region] : llvm::enumerate(choice.getCaseRegions()))
      emitCase(region, heights[number]);
    if (isOneBlock())
      emitEpilogue(item, row, height);
    return SmallVector<Value>{add(row, height)};
  });
}

/// Rows [row, row + height) of an item by its panels, over a block of K: the
/// part of a tile that is compiled for each height.
void GemmEmitter::emitTile(int64_t height, const Item &item, const Block &block,
                           Value row) {
  GemmProduct::Operands operands;
  Value base = isWidened()
                   ? index(0)
                   : add(mul(add(item.first, row), gemm.k()), block.from);
  int64_t pitch = isWidened() ? std::min(depthOfBlock(), gemm.k()) : gemm.k();
  for (int64_t r = 0; r < height; ++r)
    operands.rows.push_back(add(base, r * pitch));

  int64_t depth = product->depth(), width = registers.vectors * target.lanes();
  int64_t panelElements =
      llvm::divideCeil(gemm.k(), depth) * product->weightStride();
  Value scratchRow = isOneBlock() ? index(0) : row;
  loop(index(0), item.panelCount, 1, [&](Value local) {
    Value start = add(mul(add(item.panel, local), panelElements),
                      mul(block.from, config.panel));
    for (auto [number, weight] : llvm::enumerate(weights)) {
      Value scratchColumn =
          add(mul(local, weights.size() * config.panel), number * config.panel);
      operands.weights = weight;
      loop(index(0), index(config.panel), width, [&](Value column) {
        operands.first = add(start, mul(column, depth));
        if (isPrefetching())
          setAhead(operands, item, block, row, height, column);
        emitColumns(height, block, operands, scratchRow,
                    add(scratchColumn, column));
      });
    }
  });
}

/// While this part of a panel is used, what follows it in memory is fetched:
/// the next block of K of the panel, or the next panel, which mostly is the
/// next item's. Each tile fetches its share of it, so that memory is busy all
/// the time and not only during the first tile.
void GemmEmitter::setAhead(GemmProduct::Operands &operands, const Item &item,
                           const Block &block, Value row, int64_t height,
                           Value column) {
  int64_t depth = product->depth(), width = registers.vectors * target.lanes();
  int64_t passes = config.panel / width; // of a tile over the panel
  int64_t bytes = gemm.getClass().weightBytes;
  int64_t bytesOfStep = product->weightStride() * bytes;
  Value size =
      mul(div(add(sub(block.to, block.from), depth - 1), depth), bytesOfStep);
  Value done = add(mul(row, passes), mul(div(column, width), height));
  Value all = mul(item.count, passes);
  Value share =
      arith::DivUIOp::create(b, arith::MulIOp::create(b, size, done), all);
  operands.ahead = sub(add(size, share), mul(column, depth * bytes));
  operands.aheadStride =
      arith::DivUIOp::create(b, index(bytesOfStep * height), all);
}

void GemmEmitter::emitColumns(int64_t height, const Block &block,
                              const GemmProduct::Operands &operands,
                              Value scratchRow, Value scratchColumn) {
  auto at = [&](int64_t r, int64_t v) {
    return SmallVector<Value>{add(scratchRow, r),
                              add(scratchColumn, v * target.lanes())};
  };
  SmallVector<Value> sums;
  for (int64_t r = 0; r < height; ++r)
    for (int64_t v = 0; v < registers.vectors; ++v)
      sums.push_back(isOneBlock() ? zeros(accumulator)
                                  : vector::LoadOp::create(b, accumulator,
                                                           scratch, at(r, v)));

  int64_t depth = product->depth(), stepsOfBlock = depthOfBlock() / depth;
  int64_t all = gemm.k() / depth; // whole steps along K
  Value steps = isOneBlock() ? index(all)
                : gemm.k() % depthOfBlock()
                    ? div(sub(block.to, block.from), depth)
                    : index(stepsOfBlock);
  bool isMultiple =
      all % unroll == 0 && (isOneBlock() || stepsOfBlock % unroll == 0);
  sums = product->run(sums, operands, steps, isMultiple);
  if (gemm.k() % depth) {
    auto half = [&] { return product->runHalf(sums, operands, steps); };
    if (isOneBlock()) {
      sums = half();
    } else {
      Value isLast = arith::CmpIOp::create(b, arith::CmpIPredicate::eq,
                                           block.to, index(gemm.k()));
      auto branch = scf::IfOp::create(b, TypeRange(ValueRange(sums)), isLast,
                                      /*withElseRegion=*/true);
      OpBuilder::InsertionGuard guard(b);
      b.setInsertionPointToStart(branch.thenBlock());
      SmallVector<Value> last = half();
      scf::YieldOp::create(b, last);
      b.setInsertionPointToStart(branch.elseBlock());
      scf::YieldOp::create(b, sums);
      sums = llvm::to_vector_of<Value>(branch.getResults());
    }
  }

  for (int64_t r = 0; r < height; ++r)
    for (int64_t v = 0; v < registers.vectors; ++v)
      vector::StoreOp::create(b, sums[r * registers.vectors + v], scratch,
                              at(r, v));
}

/// `height` rows of A as f32, K of the block, one after the other.
void GemmEmitter::widenInput(Value height, const Block &block, Value row) {
  int64_t lanes = target.lanes(), pitch = std::min(depthOfBlock(), gemm.k());
  Type storage = getElementTypeOrSelf(gemm.input);
  Value count = sub(block.to, block.from);
  Value whole = sub(count, rem(count, lanes));
  loop(index(0), height, 1, [&](Value r) {
    Value from = add(mul(add(row, r), gemm.k()), block.from);
    Value to = mul(r, pitch);
    auto move = [&](Value at, Value mask) {
      Value values =
          loadVector(b, flatInput, storage, lanes, add(from, at), mask);
      storeVector(b, convertFloat(b, values, b.getF32Type()), widened,
                  add(to, at), mask);
    };
    loop(index(0), whole, lanes, [&](Value at) { move(at, {}); });
    loop(whole, count, lanes, [&](Value at) {
      move(at, vector::CreateMaskOp::create(
                   b, VectorType::get(lanes, b.getI1Type()), sub(count, at)));
    });
  });
}

/// Rows [row, row + count) of an item, of all its panels.
void GemmEmitter::emitEpilogue(const Item &item, Value row, Value count) {
  int64_t last = gemm.n() / config.panel; // the one that is not full
  loop(index(0), item.panelCount, 1, [&](Value local) {
    Value panel = add(item.panel, local);
    Value column = mul(local, weights.size() * config.panel);
    auto rows = [&](bool masked) {
      loop(index(0), count, 1, [&](Value at) {
        Value place = add(row, at);
        emitEpilogueRow(panel, isOneBlock() ? at : place, column,
                        add(item.first, place), masked);
      });
    };
    if (gemm.n() % config.panel == 0)
      return rows(false);
    Value isLast =
        arith::CmpIOp::create(b, arith::CmpIPredicate::eq, panel, index(last));
    auto branch = scf::IfOp::create(b, TypeRange(), isLast, true);
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPointToStart(branch.thenBlock());
    rows(true);
    b.setInsertionPointToStart(branch.elseBlock());
    rows(false);
  });
}

void GemmEmitter::emitEpilogueRow(Value panel, Value scratchRow,
                                  Value scratchColumn, Value row, bool masked) {
  Value base = mul(panel, config.panel);
  for (int64_t offset = 0; offset < config.panel; offset += target.lanes()) {
    Value column = add(base, offset), mask;
    if (masked)
      mask = vector::CreateMaskOp::create(
          b, VectorType::get(target.lanes(), b.getI1Type()),
          max(sub(index(gemm.n()), column), index(0)));
    SmallVector<Value> sums;
    for (size_t number = 0; number < weights.size(); ++number)
      sums.push_back(vector::LoadOp::create(
          b, accumulator, scratch,
          ValueRange{scratchRow,
                     add(scratchColumn, number * config.panel + offset)}));
    FailureOr<Value> value = epilogue.emit(sums, row, column, mask);
    if (failed(value)) {
      status = failure();
      return;
    }
    storeVector(b, *value, output, {row, column}, mask);
  }
}

} // namespace

/// What was measured to be best, else the cost model's choice.
static GemmConfig chooseConfig(const GemmClass &gemm, const RowBucket &bucket,
                               const PlanOptions &options) {
  if (options.tuned)
    if (std::optional<GemmConfig> tuned = options.tuned(gemm, bucket))
      return *tuned;
  return gemmCandidates(gemm, bucket).front();
}

std::optional<FailureOr<KernelPlan>> planGemm(func::FuncOp kernel,
                                              const PlanOptions &options) {
  std::optional<GemmOperands> gemm = getGemmOperands(kernel);
  if (!gemm)
    return std::nullopt;
  FailureOr<AffineExpr> extent = getArgumentExtent(
      kernel, cast<BlockArgument>(gemm->input).getArgNumber(), 0);
  if (failed(extent))
    return FailureOr<KernelPlan>(failure());
  // A variant a bucket of row counts, the smallest first.
  KernelPlan plan;
  plan.packings.assign(kernel.getNumArguments(), {});
  for (const RowBucket &bucket : gemmRowBuckets()) {
    GemmConfig config = chooseConfig(gemm->getClass(), bucket, options);
    bool isLast = &bucket == &gemmRowBuckets().back();
    KernelStage stage;
    stage.config = config.toAttr(kernel.getContext());
    stage.grid = makeGrid(
        extent->ceilDiv(config.rows) *
        llvm::divideCeil(gemm->getClass().panelCount(), config.panels));
    if (!isLast)
      stage.suffix = "m" + std::to_string(bucket.most);
    plan.variants.push_back(
        {isLast ? AffineMap() : makeGrid(bucket.most + 1 - *extent),
         {stage},
         AffineMap()});
    for (Value weight : gemm->weights)
      plan.packings[cast<BlockArgument>(weight).getArgNumber()] =
          gemm->packing(config.panel);
  }
  return FailureOr<KernelPlan>(plan);
}

FailureOr<func::FuncOp> emitGemm(func::FuncOp kernel, const CPUTarget &target) {
  std::optional<GemmOperands> gemm = getGemmOperands(kernel);
  if (!gemm)
    return kernel.emitError("expected one 'prune.gemm' in a kernel of "
                            "strategy \"gemm\"");
  FailureOr<GemmConfig> config = getGemmConfig(kernel);
  if (failed(config))
    return failure();
  for (Value weight : gemm->weights) {
    unsigned arg = cast<BlockArgument>(weight).getArgNumber();
    exec::PackingAttr expected = gemm->packing(config->panel),
                      found = getArgumentPacking(kernel, arg);
    if (found == expected)
      continue;
    InFlightDiagnostic diagnostic =
        kernel.emitError() << "expected argument " << arg << " to be packed as "
                           << expected << ", found ";
    return found ? diagnostic << found : diagnostic << "it as it is";
  }

  ImplicitLocOpBuilder builder(kernel.getLoc(), kernel.getContext());
  FailureOr<KernelShell> shell =
      createKernelShell(builder, kernel, /*halvesAsBits=*/true);
  if (failed(shell))
    return failure();
  if (failed(GemmEmitter(builder, *shell, *gemm, *config, target).emit())) {
    shell->function.erase();
    return failure();
  }
  kernel.erase();
  return shell->function;
}

} // namespace coppice::cpu
