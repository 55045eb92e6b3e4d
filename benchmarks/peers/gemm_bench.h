// One product, on our side and on each peer's, in; times and what they say,
// out.
//
// How a cell is measured:
//
//   - every side gets the same values, packs its weight once and copies that
//     until the copies are 4x the last-level cache, and five at least; two of a
//     weight that is larger than that by itself. Calls rotate over the copies;
//   - the outputs are compared once, before anything is timed;
//   - three samples of each peer decide which of them go on: those within 25 %
//     of the best. Then all sides take turns, in an order that is drawn anew
//     for each round and reversed for the next (ABBA). A sample is the mean of
//     as many calls as take about 2 ms, after one that is not timed (it wakes
//     the library's threads) and a pause before that (which lets those of the
//     side before fall asleep);
//   - after each round, the probe looks at peak and bandwidth.
//
// Predictions are made before a cell is measured, from the machine description
// with the rates that the run sees when it begins; bounds from the best rates
// that it has seen when the cell is done.
//
// The best peer is the one of the least median. The ratio is its median over
// ours; its interval is a bootstrap over rounds, which are paired.
#ifndef COPPICE_BENCHMARKS_PEERS_GEMM_BENCH_H
#define COPPICE_BENCHMARKS_PEERS_GEMM_BENCH_H

#include "benchmarks/peers/gemm_shapes.h"
#include "benchmarks/peers/gemm_side.h"
#include "runtime/bench/statistics.h"
#include "runtime/bench/streaming_buffer.h"
#include "runtime/costmodel/dispatch_time.h"

#include <random>
#include <vector>

namespace coppice::bench {

struct Cell {
  WeightShape weight;
  DType dtype;
  int64_t m;
  int threads;

  double flops() const {
    return 2.0 * double(m) * double(weight.n) * double(weight.k);
  }
  double weightBytes() const {
    return double(weight.n) * double(weight.k) * double(rt::sizeOf(dtype));
  }
};

struct SideResult {
  std::string name, version, detail;
  std::vector<double> samples; ///< seconds a call
  /// ||ours - theirs|| / ||theirs||, over the whole output.
  double difference = 0;
  rt::Summary summary() const { return rt::summarize(samples); }
};

struct CellResult {
  Cell cell;
  int copies = 0;
  SideResult ours;
  std::vector<SideResult> peers; ///< the best one first
  double ratio = 0;              ///< peers[0] / ours, medians
  std::vector<double> ratios;    ///< resampled
  bool converged = false;        ///< else a cap ended it
  std::string isa;               ///< of our kernel
  double predictedSeconds = 0, boundSeconds = 0;
  /// FLOP/s of the arithmetic in use: the best of this run so far. Bytes/s read
  /// from DRAM: the median over the rounds, since it drifts.
  double peak = 0, bandwidth = 0;

  rt::Interval interval() const { return rt::intervalOf(ratios); }
};

struct GemmBenchOptions {
  double maxSeconds = 3;
  int64_t maxRepeats = 100;
  uint64_t seed = 1;
  /// As `compile --isa`.
  std::string isa = "host";
};

class GemmBench {
public:
  static Result<GemmBench> create(std::unique_ptr<GemmLibrary> ours,
                                  std::vector<std::unique_ptr<GemmLibrary>>,
                                  const rt::Machine &machine,
                                  const GemmBenchOptions &options);

  /// Nothing where no peer has such a product.
  Result<std::optional<CellResult>> measure(const Cell &cell);

private:
  GemmBench(std::unique_ptr<GemmLibrary> ours,
            std::vector<std::unique_ptr<GemmLibrary>> peers,
            const rt::Machine &machine, const GemmBenchOptions &options,
            rt::StreamingBuffer stream)
      : ours(std::move(ours)), peers(std::move(peers)), machine(machine),
        options(options), stream(std::move(stream)), random(options.seed) {}

  void lookAtRates(int threads);
  rt::DispatchTime timeOf(const Cell &cell, const std::string &isa) const;

  std::unique_ptr<GemmLibrary> ours;
  std::vector<std::unique_ptr<GemmLibrary>> peers;
  rt::Machine machine;
  GemmBenchOptions options;
  rt::StreamingBuffer stream;
  std::mt19937_64 random;
};

/// Geometric mean of the ratios of several cells, with its interval.
struct MeanRatio {
  double mean;
  rt::Interval interval;
};
MeanRatio geometricMean(const std::vector<const CellResult *> &cells);

} // namespace coppice::bench

#endif
