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
//       (A copied to the stack, as f32, where the instructions or sets want it)
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
// Where each panel has rows of its own, an item is a block of them. Where each
// group of K has, an item is a block of all rows, and each group adds to those
// that are in its list, in the order of the groups: sums are the item's
// scratch. (Tile registers have orders of loops of their own: GemmTiles.cpp,
// and GemmListedTiles.cpp where rows are listed.)
//
// Where zeros are expected in A, and rows are few, an item first lists the
// steps along K in which some row is not zero; the other steps' weights are not
// read.
//
// Sets that are known at run time move no data. Work items are shares of what
// is kept, in positions of the lists; a row, a panel or a group is looked up
// where its address is made. A block of K is then as many groups as make up its
// depth, one after the other in registers.
//
// The last panel and an odd K are padded with zeros in W. So only the epilogue,
// which touches C, needs masks, and only in the last panel; and only a pair
// that is half behind a row of A is read by half. The epilogue runs after all
// sums are done, so it may read C itself: a residual update is in place.
//
//===----------------------------------------------------------------------===//

#include "GemmEmitter.h"
#include "Strategies.h"

using namespace mlir;

namespace coppice::cpu {

/// What was measured to be best, else the cost model's choice.
static GemmConfig chooseConfig(const GemmClass &gemm, const RowBucket &bucket,
                               const PlanOptions &options) {
  // Timings are of dense weights.
  if (options.tuned && !gemm.of)
    if (std::optional<GemmConfig> tuned = options.tuned(gemm, bucket))
      return *tuned;
  return gemmCandidates(gemm, bucket).front();
}

/// Runs of panels that a block of rows has.
static int64_t countRuns(const GemmOperands &gemm, const GemmConfig &config) {
  if (!gemm.rowsPerPanel)
    return llvm::divideCeil(gemm.getClass().panelCount(), config.panels);
  return llvm::divideCeil(gemm.n(), gemm.rowsPerPanel) *
         llvm::divideCeil(gemm.rowsPerPanel / config.panel, config.panels);
}

/// Few rows whose zeros are looked for. In more of them there is hardly a value
/// along K that is zero in all. An item has several panels, so that looking
/// pays.
static void addSparseVariant(KernelPlan &plan, const GemmOperands &gemm,
                             AffineExpr extent, MLIRContext *context) {
  // What is listed and copied is on the stack.
  constexpr int64_t kSparseRows = 2, kLongest = 16384;
  if (gemm.k() > kLongest)
    return;
  GemmConfig config =
      gemmCandidates(gemm.getClass(), gemmRowBuckets().front()).front();
  config.rows = config.height = kSparseRows;
  config.least = 1;
  config.ahead = 0;
  config.panels = std::clamp<int64_t>(gemm.getClass().panelCount() / 16, 1, 4);
  config.zeros = 1;
  KernelStage stage;
  stage.config = config.toAttr(context);
  stage.grid = makeGrid(extent.ceilDiv(config.rows) * countRuns(gemm, config));
  stage.suffix = "z" + std::to_string(kSparseRows);
  plan.variants.push_back(
      {makeGrid(kSparseRows + 1 - extent), {stage}, AffineMap()});
}

std::optional<FailureOr<KernelPlan>> planGemm(func::FuncOp kernel,
                                              const PlanOptions &options) {
  std::optional<GemmOperands> gemm = getGemmOperands(kernel);
  if (!gemm)
    return std::nullopt;
  FailureOr<AffineExpr> extent = getArgumentExtent(
      kernel, cast<BlockArgument>(gemm->rowsOfWork()).getArgNumber(), 0);
  if (failed(extent))
    return FailureOr<KernelPlan>(failure());
  // A variant a bucket of row counts, the smallest first.
  KernelPlan plan;
  plan.packings.assign(kernel.getNumArguments(), {});
  if (gemm->inputZeros > 0)
    addSparseVariant(plan, *gemm, *extent, kernel.getContext());
  for (const RowBucket &bucket : gemmRowBuckets()) {
    GemmConfig config = chooseConfig(gemm->getClass(), bucket, options);
    bool isLast = &bucket == &gemmRowBuckets().back();
    KernelStage stage;
    stage.config = config.toAttr(kernel.getContext());
    stage.grid =
        makeGrid(extent->ceilDiv(config.rows) * countRuns(*gemm, config));
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
