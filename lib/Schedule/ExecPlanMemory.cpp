//===- ExecPlanMemory.cpp - places of buffers in the arena ----------------===//
// In: an exec.program in execution order. Out: an offset for each buffer and
// the arena's size.
//
// Sizes are symbolic, so that "which of these two is larger" has no answer in
// general. It has one among buffers that are multiples of one product of
// symbols: they form a region, and within it placing is a problem of integers
// (bytes per unit of the product). Per row bytes are rounded up to 64, so that
// every offset is a multiple of 64 for all values of the symbols.
//===----------------------------------------------------------------------===//
#include "coppice/Schedule/MemoryLayout.h"
#include "coppice/Schedule/Passes.h"

#include "coppice/Dialect/Exec/IR/Exec.h"
#include "llvm/ADT/MapVector.h"
#include "llvm/Support/MathExtras.h"

#include <limits>
#include <tuple>

namespace coppice {
#define GEN_PASS_DEF_EXECPLANMEMORY
#include "coppice/Schedule/Passes.h.inc"
} // namespace coppice

using namespace mlir;
using namespace coppice;

int64_t
coppice::placeIntervals(llvm::MutableArrayRef<MemoryInterval> intervals) {
  auto bySize = llvm::to_vector(llvm::seq<size_t>(0, intervals.size()));
  llvm::sort(bySize, [&](size_t a, size_t b) {
    return std::tuple(-intervals[a].size, intervals[a].first, a) <
           std::tuple(-intervals[b].size, intervals[b].first, b);
  });

  int64_t total = 0;
  SmallVector<size_t> placed; // by offset
  for (size_t index : bySize) {
    MemoryInterval &interval = intervals[index];
    // The lowest gap between those that live at the same time.
    int64_t offset = 0;
    for (size_t other : placed) {
      const MemoryInterval &neighbour = intervals[other];
      if (neighbour.last < interval.first || interval.last < neighbour.first)
        continue;
      if (neighbour.offset >= offset + interval.size)
        break;
      offset = std::max(offset, neighbour.offset + neighbour.size);
    }
    interval.offset = offset;
    total = std::max(total, offset + interval.size);
    placed.insert(llvm::upper_bound(placed, offset,
                                    [&](int64_t value, size_t other) {
                                      return value < intervals[other].offset;
                                    }),
                  index);
  }
  return total;
}

namespace {
/// Buffers whose sizes are multiples of one product of symbols.
struct Region {
  AffineExpr unit; // the product
  SmallVector<exec::BufferOp> buffers;
  SmallVector<MemoryInterval> intervals; // sizes and offsets in bytes per unit
};

struct ExecPlanMemory : coppice::impl::ExecPlanMemoryBase<ExecPlanMemory> {
  void runOnOperation() override {
    for (auto program : getOperation().getOps<exec::ProgramOp>())
      plan(program);
  }
  void plan(exec::ProgramOp program);
};
} // namespace

/// The position of first and last use of each buffer.
static llvm::MapVector<Value, std::pair<int64_t, int64_t>>
getLifetimes(exec::ProgramOp program) {
  llvm::MapVector<Value, std::pair<int64_t, int64_t>> lifetimes;
  for (auto buffer : program.getOps<exec::BufferOp>())
    lifetimes[buffer] = {std::numeric_limits<int64_t>::max(), -1};
  int64_t position = 0;
  for (Operation &op : program.getBody().front()) {
    if (!isa<exec::DispatchOp, exec::OutputOp, exec::RouteOp>(op))
      continue;
    for (Value operand : op.getOperands())
      if (auto *entry = lifetimes.find(operand); entry != lifetimes.end()) {
        entry->second.first = std::min(entry->second.first, position);
        // The caller reads outputs when all is done.
        entry->second.second = isa<exec::OutputOp, exec::RouteOp>(op)
                                   ? std::numeric_limits<int64_t>::max()
                                   : std::max(entry->second.second, position);
      }
    ++position;
  }
  return lifetimes;
}

void ExecPlanMemory::plan(exec::ProgramOp program) {
  MLIRContext *context = &getContext();
  llvm::MapVector<AffineExpr, Region> regions;
  for (auto [value, lifetime] : getLifetimes(program)) {
    auto buffer = value.getDefiningOp<exec::BufferOp>();
    if (lifetime.second < 0)
      lifetime = {0, 0}; // never used; it still gets a legal place
    int64_t bytes = exec::getElementBytes(buffer.getType().getElementType());
    SmallVector<unsigned> symbols;
    for (Attribute extent : buffer.getShape()) {
      if (auto number = dyn_cast<IntegerAttr>(extent))
        bytes *= number.getInt();
      else
        symbols.push_back(*exec::getSymbolIndex(cast<StringAttr>(extent)));
    }
    llvm::sort(symbols);
    AffineExpr unit = getAffineConstantExpr(1, context);
    for (unsigned symbol : symbols)
      unit = getAffineSymbolExpr(symbol, context) * unit;
    Region &region = regions[unit];
    region.unit = unit;
    region.buffers.push_back(buffer);
    region.intervals.push_back({static_cast<int64_t>(llvm::alignTo(bytes, 64)),
                                lifetime.first, lifetime.second, 0});
  }

  AffineExpr arena = getAffineConstantExpr(0, context);
  for (auto &[unit, region] : regions) {
    int64_t total = placeIntervals(region.intervals);
    for (auto [buffer, interval] :
         llvm::zip_equal(region.buffers, region.intervals))
      buffer.setOffsetAttr(exec::getExprAttr(arena + unit * interval.offset));
    arena = arena + unit * total;
  }
  program.setArenaAttr(exec::getExprAttr(arena));
}
