// See dispatch_time.h.
#include "runtime/costmodel/dispatch_time.h"

#include <algorithm>
#include <cmath>

namespace coppice::rt {

const char *nameOf(Limit limit) {
  switch (limit) {
  case Limit::Arithmetic:
    return "arithmetic";
  case Limit::Memory:
    return "memory";
  case Limit::Fixed:
    return "fixed";
  }
  return "";
}

static double ceilDiv(double value, double divisor) {
  return std::ceil(value / divisor);
}

namespace {
/// How a GPU cuts up a product.
struct Tiles {
  double rows, columns; ///< of one tile
  double count;         ///< of tiles, split in K where there are too few
};
} // namespace

/// A tile has as many rows as the product, if it has fewer than the machine's
/// widest: a power of two, at least the 16 of a tensor core's instruction. K is
/// split while units are idle and parts are deep enough to be worth a sum.
static Tiles tilesOf(const DispatchWork &work, const Machine &machine) {
  constexpr double fewestRows = 16, leastDepth = 256;
  double rows = static_cast<double>(work.rows);
  Tiles tiles;
  tiles.rows = std::min(fewestRows, static_cast<double>(machine.tileRows));
  while (tiles.rows < rows &&
         2 * tiles.rows <= static_cast<double>(machine.tileRows))
    tiles.rows *= 2;
  tiles.columns = static_cast<double>(machine.tileColumns);
  tiles.count = ceilDiv(rows, tiles.rows) *
                ceilDiv(static_cast<double>(work.n), tiles.columns);
  double idle = std::floor(static_cast<double>(machine.units) / tiles.count);
  double parts = std::floor(static_cast<double>(work.k) / leastDepth);
  tiles.count *= std::max(1.0, std::min(idle, parts));
  return tiles;
}

static bool hasTiles(const DispatchWork &work, const Machine &machine) {
  return machine.units > 0 && machine.tileRows > 0 && machine.tileColumns > 0 &&
         work.n > 0 && work.k > 0 && work.rows > 0;
}

/// FLOP of whole tiles.
static double pad(const DispatchWork &work, const Machine &machine) {
  if (work.n == 0 || work.k == 0 || work.rows == 0)
    return work.flops;
  auto padded = [](int64_t extent, double tile) {
    double whole = static_cast<double>(extent);
    return ceilDiv(whole, tile) * tile / whole;
  };
  if (!hasTiles(work, machine))
    return work.flops * padded(work.n, static_cast<double>(
                                           std::max<int64_t>(work.panel, 1)));
  Tiles tiles = tilesOf(work, machine);
  return work.flops * padded(work.rows, tiles.rows) *
         padded(work.n, tiles.columns);
}

/// Workers' time over what it would be if items could be spread evenly.
static double countWaves(const DispatchWork &work, const Machine &machine,
                         int threads) {
  double items = static_cast<double>(work.items), units = threads;
  if (machine.units > 0) {
    if (!hasTiles(work, machine))
      return 1; // the grid is a CPU's
    items = tilesOf(work, machine).count;
    units = static_cast<double>(machine.units);
  }
  return items > 0 ? ceilDiv(items, units) * units / items : 1;
}

DispatchTime timeOf(const DispatchWork &work, const Machine &machine,
                    std::string_view isa, int threads) {
  const Ceilings &ceilings = machine.at(threads);
  DispatchTime time;
  time.workFlops = work.flops;
  time.coldBytes = work.coldBytes;
  time.warmBytes = work.warmBytes;
  time.boundSeconds =
      std::max(work.flops / peakOf(ceilings.best, work.arithmetic, isa),
               work.coldBytes / ceilings.best.dram);

  time.paddedFlops = pad(work, machine);
  time.peakFlopsPerSecond = peakOf(ceilings.typical, work.arithmetic, isa);
  time.waves = countWaves(work, machine, threads);
  time.computeSeconds = time.paddedFlops / time.peakFlopsPerSecond * time.waves;
  time.coldSeconds = work.coldBytes / ceilings.typical.dram;
  double cache = machine.cacheReadBytesPerSecond(work.warmBytes, threads);
  time.warmSeconds =
      work.warmBytes / (cache > 0 ? cache : ceilings.typical.dram);

  CurveKey key{std::string(work.kind), std::string(nameOf(work.arithmetic)),
               std::string(work.storage), std::string(isa), ceilings.threads};
  time.curve = &machine.curveFor(key);
  CurvePoint point = time.curve->at(work.rows, work.k);
  time.fraction = point.fraction;
  time.fixedSeconds =
      point.fixedSeconds >= 0 ? point.fixedSeconds : ceilings.dispatchSeconds;
  double memory = time.coldSeconds + time.warmSeconds;
  double spent = std::max(time.computeSeconds, memory) / time.fraction;
  time.limit = time.computeSeconds > memory ? Limit::Arithmetic : Limit::Memory;
  if (time.fixedSeconds > spent)
    time.limit = Limit::Fixed;
  time.predictedSeconds = spent + time.fixedSeconds;
  return time;
}

static double bytesOf(std::string_view storage) {
  return storage == "f32" ? 4 : 2;
}

DispatchTime timeOfGemm(const GemmShape &shape, const Machine &machine,
                        std::string_view isa, int threads) {
  double m = static_cast<double>(shape.m), n = static_cast<double>(shape.n),
         k = static_cast<double>(shape.k);
  DispatchWork work;
  work.kind = "gemm";
  work.storage = shape.weightStorage;
  work.arithmetic =
      shape.inputStorage == "bf16" && shape.weightStorage == "bf16"
          ? Arithmetic::BF16
          : Arithmetic::F32;
  work.flops = 2 * m * n * k;
  work.coldBytes = n * k * bytesOf(shape.weightStorage);
  work.warmBytes = m * k * bytesOf(shape.inputStorage) +
                   m * n * bytesOf(shape.outputStorage);
  work.rows = shape.m;
  work.n = shape.n;
  work.k = shape.k;
  work.panel = shape.panel;
  work.items = shape.items;
  return timeOf(work, machine, isa, threads);
}

} // namespace coppice::rt
