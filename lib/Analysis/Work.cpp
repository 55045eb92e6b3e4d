#include "coppice/Analysis/Work.h"
#include "coppice/Analysis/Couplings.h"
#include "coppice/Dialect/Decoder/IR/Decoder.h"
#include "mlir/Dialect/MLProgram/IR/MLProgram.h"
#include <cmath>

using namespace mlir;
using namespace coppice;

static int64_t bytesOf(RankedTensorType type, int64_t elements) {
  return elements * llvm::divideCeil(type.getElementTypeBitWidth(), 8);
}

/// Is the global only gathered from, never multiplied with?
static bool isOnlyGathered(ml_program::GlobalLoadConstOp load) {
  return llvm::all_of(load->getUsers(), llvm::IsaPred<decoder::LookupOp>);
}

static void countGlobals(ModuleOp module, Work &work) {
  for (auto global : module.getOps<ml_program::GlobalOp>()) {
    auto type = dyn_cast<RankedTensorType>(global.getType());
    // Tables of columns are no parameters.
    if (!type || !type.hasStaticShape() ||
        !isa<FloatType>(type.getElementType()))
      continue;
    int64_t elements = type.getNumElements(), positionBits = 0;
    if (auto pattern = global->getAttrOfType<prune::NMAttr>(
            prune::PruneDialect::patternAttrName);
        pattern && elements > 0) {
      int64_t width = type.getShape().back();
      elements = elements / width * pattern.countKept(width);
      positionBits = elements * pattern.getPositionBits();
    }
    work.parameters += elements;
    work.weightBytes +=
        bytesOf(type, elements) + llvm::divideCeil(positionBits, 8);
  }
}

/// The share of all rows that the op is expected to compute.
static double getExpectedShare(Value rows) {
  auto compact = rows ? rows.getDefiningOp<prune::CompactOp>() : nullptr;
  auto decide =
      compact ? compact.getMask().getDefiningOp<prune::DecideOp>() : nullptr;
  if (!decide)
    return 1;
  double kept = decide.getExpected().convertToDouble();
  return compact.getPassed() ? 1 - kept : kept;
}

static int64_t shareOf(int64_t flops, double share) {
  return std::llround(static_cast<double>(flops) * share);
}

static void countOp(Operation *op, Work &work) {
  if (GemmOperands gemm = getGemmOperands(op)) {
    auto weight = cast<RankedTensorType>(gemm.weight->get().getType());
    if (!weight.hasStaticShape())
      return;
    bool isInLayer = parseLayerSite(getSite(op)).has_value();
    int64_t n = weight.getDimSize(0), k = weight.getDimSize(1);
    auto site = dyn_cast<prune::GemmOp>(op);
    if (site && site.getPatternAttr())
      k = site.getPatternAttr().countKept(k);
    double share = site ? getExpectedShare(site.getRows()) : 1;
    work.weightBytesPassedBy +=
        (1 - share) * static_cast<double>(bytesOf(weight, n * k));
    (isInLayer ? work.flopsPerRow : work.flopsPerHeadRow) +=
        shareOf(2 * n * k, share);
  } else if (auto attention = dyn_cast<decoder::AttentionOp>(op)) {
    auto cache = cast<RankedTensorType>(attention.getKeys().getType());
    work.attentions.push_back(
        {shareOf(4 * attention.getQuery().getType().getDimSize(1),
                 getExpectedShare(attention.getRowList())), // Q K^T and P V
         2 * bytesOf(cache, cache.getDimSize(2)),
         getAttendedPositions(attention)});
  } else if (auto select = dyn_cast<prune::SelectBlocksOp>(op)) {
    if (!select.getKeys())
      return;
    // Each key once for as many rows as choose together, and once in decode.
    auto cache = cast<RankedTensorType>(select.getKeys().getType());
    int64_t width = cache.getDimSize(2);
    work.attentions.push_back(
        {2 * width / static_cast<int64_t>(select.getBlockSize()),
         bytesOf(cache, width),
         static_cast<int64_t>(select.getWindow().value_or(0))});
  } else if (auto append = dyn_cast<decoder::AppendOp>(op)) {
    auto cache = cast<RankedTensorType>(append.getCache().getType());
    work.cacheBytesPerPosition += bytesOf(cache, cache.getDimSize(2));
  } else if (auto lookup = dyn_cast<decoder::LookupOp>(op)) {
    auto table = cast<RankedTensorType>(lookup.getTable().getType());
    auto load =
        lookup.getTable().getDefiningOp<ml_program::GlobalLoadConstOp>();
    if (!load || !table.hasStaticShape())
      return;
    work.gatheredBytesPerRow += bytesOf(table, table.getDimSize(1));
    if (isOnlyGathered(load))
      work.gatheredBytes += bytesOf(table, table.getNumElements());
  }
}

int64_t coppice::getAttendedPositions(decoder::AttentionOp attention) {
  auto window = static_cast<int64_t>(attention.getWindow().value_or(0));
  if (!attention.getBlocks())
    return window;
  auto size = static_cast<int64_t>(*attention.getBlockSize());
  int64_t listed = (attention.getBlocksPerHead() - 1) * size + 1;
  if (!window)
    return listed;
  return std::min(window, std::max<int64_t>(1, listed - size + 1));
}

Work coppice::countWork(ModuleOp module) {
  Work work;
  countGlobals(module, work);
  module.walk([&](Operation *op) { countOp(op, work); });
  return work;
}

Work::Phase Work::prefill(int64_t tokens) const {
  double rows = static_cast<double>(tokens), attention = 0;
  for (const Attention &each : attentions) {
    // The first rows see fewer positions than the window has.
    double full = each.window && each.window < tokens
                      ? static_cast<double>(each.window)
                      : rows;
    attention += (full * (full + 1) / 2 + (rows - full) * full) * each.flops;
  }
  return {rows * flopsPerRow + flopsPerHeadRow + attention,
          static_cast<double>(weightBytes - gatheredBytes) +
              rows * (gatheredBytesPerRow + cacheBytesPerPosition)};
}

Work::Phase Work::decode(int64_t context) const {
  double flops = flopsPerRow + flopsPerHeadRow;
  double bytes = static_cast<double>(weightBytes - gatheredBytes) +
                 gatheredBytesPerRow - weightBytesPassedBy;
  for (const Attention &each : attentions) {
    int64_t attended = context + 1;
    if (each.window)
      attended = std::min(attended, each.window);
    flops += static_cast<double>(attended) * each.flops;
    bytes += static_cast<double>(attended) * each.cacheBytes;
  }
  return {flops, bytes};
}
