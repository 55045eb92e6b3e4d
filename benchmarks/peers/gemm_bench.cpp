// See gemm_bench.h.
#include "benchmarks/peers/gemm_bench.h"

#include "benchmarks/peers/compiled_gemm.h"
#include "runtime/base/aligned_memory.h"
#include "runtime/base/concat.h"
#include "runtime/base/weight_generator.h"
#include "runtime/bench/host.h"
#include "runtime/bench/probe.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <thread>

namespace coppice::bench {

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

namespace {

constexpr double secondsOfSample = 2e-3;
/// Calls that take longer do not notice whether threads were awake.
constexpr double secondsToWakeFor = 20e-3;
constexpr milliseconds pauseBetweenSides(2);
constexpr int screeningSamples = 3;
constexpr double screeningMargin = 1.25;
constexpr int64_t leastRounds = 4;

/// A product and the samples of it so far.
struct Side {
  std::unique_ptr<Gemm> gemm;
  SideResult result;
  int copies = 1, calls = 1, nextCopy = 0;

  Status call() {
    nextCopy = (nextCopy + 1) % copies;
    return gemm->run(nextCopy);
  }

  Status sample() {
    std::this_thread::sleep_for(pauseBetweenSides);
    double last = result.samples.empty() ? 0 : result.samples.back();
    if (last < secondsToWakeFor)
      if (Status status = call(); !status.ok())
        return status;
    auto begin = Clock::now();
    for (int i = 0; i < calls; ++i)
      if (Status status = call(); !status.ok())
        return status;
    std::chrono::duration<double> time = Clock::now() - begin;
    result.samples.push_back(time.count() / calls);
    return {};
  }

  /// A few samples, the first of one call, to see how many calls one needs.
  Status screen() {
    if (Status status = sample(); !status.ok())
      return status;
    calls = int(std::clamp(secondsOfSample / result.samples[0], 1.0, 64.0));
    result.samples.clear();
    for (int i = 0; i < screeningSamples; ++i)
      if (Status status = sample(); !status.ok())
        return status;
    return {};
  }
};

int copiesOf(const Cell &cell) {
  double cache = double(rt::lastLevelCacheBytes());
  double bytes = cell.weightBytes();
  return bytes > 4 * cache ? 2 : std::max(5, int(std::ceil(4 * cache / bytes)));
}

/// Uniform values of deviation 1, rounded to `dtype`.
Result<rt::AlignedMemory> generate(std::string_view name, DType dtype,
                                   int64_t elements) {
  Result<rt::AlignedMemory> memory =
      rt::AlignedMemory::allocate(elements * rt::sizeOf(dtype));
  if (!memory)
    return memory;
  rt::WeightGenerator values(1, name, 0, 1);
  unsigned count = std::max(1u, std::thread::hardware_concurrency());
  std::vector<std::thread> threads;
  for (unsigned t = 0; t < count; ++t)
    threads.emplace_back([&, t] {
      for (int64_t i = elements * t / count; i < elements * (t + 1) / count;
           ++i)
        rt::storeFromF32(dtype, memory->data(), i, values(i));
    });
  for (std::thread &thread : threads)
    thread.join();
  return memory;
}

/// ||a - b|| / ||b||; not finite where a value is not.
double difference(std::span<const float> a, std::span<const float> b) {
  double error = 0, norm = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    double d = double(a[i]) - double(b[i]);
    error += d * d;
    norm += double(b[i]) * double(b[i]);
  }
  return std::sqrt(error / norm);
}

/// Against sums in double of a few elements, spread over the output: two
/// libraries could be wrong together.
Status checkSums(const Problem &p, const SideResult &side,
                 std::span<const float> output) {
  constexpr int64_t probes = 64;
  double error = 0, norm = 0;
  for (int64_t i = 0; i < probes; ++i) {
    int64_t row = i * 7919 % p.m, column = i * 104729 % p.n;
    double sum = 0;
    for (int64_t k = 0; k < p.k; ++k)
      sum += double(rt::loadAsF32(p.dtype, p.input, row * p.k + k)) *
             double(rt::loadAsF32(p.dtype, p.weight, column * p.k + k));
    double d = double(output[size_t(row * p.n + column)]) - sum;
    error += d * d;
    norm += sum * sum;
  }
  // Sums of f32: of random signs, so the error grows with the root of k.
  double tolerance = 1e-6 * std::sqrt(double(p.k));
  if (std::sqrt(error / norm) <= tolerance)
    return {};
  return rt::internalError(
      rt::concat(side.name, " ", side.version, ": wrong product of ", p.m,
                 " x ", p.n, " x ", p.k, " in ", rt::nameOf(p.dtype),
                 ": expected a relative error of ", tolerance,
                 " at most, found ", std::sqrt(error / norm)));
}

Result<std::unique_ptr<Side>> prepare(GemmLibrary &library, const Problem &p) {
  auto side = std::make_unique<Side>();
  Result<std::unique_ptr<Gemm>> gemm = library.prepare(p);
  if (!gemm)
    return gemm.status();
  side->gemm = *std::move(gemm);
  side->copies = p.copies;
  side->result.name = library.name();
  side->result.version = library.version();
  side->result.detail = side->gemm->detail();
  if (Status status = side->gemm->run(0); !status.ok())
    return status;
  if (Status status = checkSums(p, side->result, side->gemm->output());
      !status.ok())
    return status;
  return side;
}

} // namespace

Result<GemmBench>
GemmBench::create(std::unique_ptr<GemmLibrary> ours,
                  std::vector<std::unique_ptr<GemmLibrary>> peers,
                  const rt::Machine &machine, const GemmBenchOptions &options) {
  Result<rt::StreamingBuffer> stream =
      rt::StreamingBuffer::create(4 * size_t(rt::lastLevelCacheBytes()));
  if (!stream)
    return stream.status();
  return GemmBench(std::move(ours), std::move(peers), machine, options,
                   std::move(*stream));
}

/// What the machine typically does just now, for predictions.
void GemmBench::lookAtRates(int threads) {
  constexpr int looks = 9;
  std::vector<rt::Rates> seen;
  for (int i = 0; i < looks; ++i) {
    std::this_thread::sleep_for(milliseconds(20));
    rt::Look look = rt::lookAtRates(stream, threads, "");
    seen.push_back(look.typical);
    machine.at(threads).best.raise(look.best);
  }
  machine.at(threads).typical.replace(rt::medianOf(seen));
}

rt::DispatchTime GemmBench::timeOf(const Cell &cell,
                                   const std::string &isa) const {
  rt::GemmShape shape;
  shape.m = cell.m;
  shape.n = cell.weight.n;
  shape.k = cell.weight.k;
  shape.inputStorage = shape.weightStorage = rt::nameOf(cell.dtype);
  return rt::timeOfGemm(shape, machine, isa, cell.threads);
}

Result<std::optional<CellResult>> GemmBench::measure(const Cell &cell) {
  std::string name = rt::concat(cell.weight.model, ".", cell.weight.sites);
  Result<rt::AlignedMemory> weight =
      generate(name, cell.dtype, cell.weight.n * cell.weight.k);
  Result<rt::AlignedMemory> input =
      generate(name + ".input", cell.dtype, cell.m * cell.weight.k);
  if (!weight || !input)
    return weight ? input.status() : weight.status();
  Problem problem{cell.dtype,    cell.m,         cell.weight.n,  cell.weight.k,
                  input->data(), weight->data(), copiesOf(cell), cell.threads};

  CellResult result;
  result.cell = cell;
  result.copies = problem.copies;
  Result<std::string> isa = isaFor(options.isa, cell.dtype);
  if (!isa)
    return isa.status();
  result.isa = *isa;
  // Anew for each product: bandwidth drifts within a run.
  lookAtRates(cell.threads);
  result.predictedSeconds = timeOf(cell, *isa).predictedSeconds;

  // Set up every side, compare, see which peers are in the running.
  std::vector<std::unique_ptr<Side>> sides, slower;
  Result<std::unique_ptr<Side>> own = prepare(*ours, problem);
  if (!own)
    return own.status();
  sides.push_back(*std::move(own));
  double least = 1e30;
  for (auto &library : peers) {
    Result<std::unique_ptr<Side>> peer = prepare(*library, problem);
    if (!peer && peer.status().code() == COPPICE_UNSUPPORTED)
      continue;
    if (!peer)
      return peer.status();
    (*peer)->result.difference =
        difference(sides[0]->gemm->output(), (*peer)->gemm->output());
    if (Status status = (*peer)->screen(); !status.ok())
      return status;
    least = std::min(least, (*peer)->result.summary().median);
    sides.push_back(*std::move(peer));
  }
  if (sides.size() == 1)
    return std::optional<CellResult>();
  if (Status status = sides[0]->screen(); !status.ok())
    return status;
  for (size_t i = sides.size() - 1; i > 0; --i)
    if (sides[i]->result.summary().median > screeningMargin * least) {
      sides[i]->gemm.reset(); // its memory
      slower.push_back(std::move(sides[i]));
      sides.erase(sides.begin() + std::ptrdiff_t(i));
    }
  for (auto &side : sides)
    side->result.samples.clear();

  // Rounds.
  std::vector<size_t> order(sides.size());
  for (size_t i = 0; i < order.size(); ++i)
    order[i] = i;
  std::vector<rt::Rates> looks;
  auto begin = Clock::now();
  size_t best = 1;
  for (int64_t round = 0; round < options.maxRepeats; ++round) {
    if (round % 2 == 0)
      std::shuffle(order.begin(), order.end(), random);
    else
      std::reverse(order.begin(), order.end());
    for (size_t i : order)
      if (Status status = sides[i]->sample(); !status.ok())
        return status;
    rt::Look look = rt::lookAtRates(stream, cell.threads, *isa);
    looks.push_back(look.typical);
    machine.at(cell.threads).best.raise(look.best);

    std::chrono::duration<double> time = Clock::now() - begin;
    bool last = round + 1 == options.maxRepeats ||
                (round + 1 >= leastRounds && time.count() > options.maxSeconds);
    if (!last && (round + 1) % 10 != 0)
      continue;
    for (size_t i = 1; i < sides.size(); ++i)
      if (sides[i]->result.summary().median <
          sides[best]->result.summary().median)
        best = i;
    const SideResult &peer = sides[best]->result, &own = sides[0]->result;
    result.ratio = peer.summary().median / own.summary().median;
    result.ratios = rt::resampleRatios(peer.samples, own.samples, random(),
                                       2000, rt::Center::Median);
    result.converged =
        result.interval().relativeHalfWidth(result.ratio) <= 0.01;
    if (last || result.converged)
      break;
  }

  result.ours = std::move(sides[0]->result);
  std::swap(sides[1], sides[best]);
  for (size_t i = 1; i < sides.size(); ++i)
    result.peers.push_back(std::move(sides[i]->result));
  for (auto &side : slower)
    result.peers.push_back(std::move(side->result));
  rt::DispatchTime time = timeOf(cell, *isa);
  result.boundSeconds = time.boundSeconds;
  result.peak = rt::peakOf(machine.at(cell.threads).best,
                           cell.dtype == DType::BF16 ? rt::Arithmetic::BF16
                                                     : rt::Arithmetic::F32,
                           *isa);
  result.bandwidth = rt::medianOf(looks).dram;
  return std::optional<CellResult>(std::move(result));
}

MeanRatio geometricMean(const std::vector<const CellResult *> &cells) {
  double logs = 0;
  std::vector<double> means(cells.empty() ? 0 : cells[0]->ratios.size());
  for (const CellResult *cell : cells) {
    logs += std::log(cell->ratio);
    for (size_t i = 0; i < means.size(); ++i)
      means[i] += std::log(cell->ratios[i]);
  }
  double n = double(cells.size());
  for (double &mean : means)
    mean = std::exp(mean / n);
  return {std::exp(logs / n), rt::intervalOf(std::move(means))};
}

} // namespace coppice::bench
