//===- TuneGemms.cpp - time ways to block matrix products -----------------===//

#include "coppice/Tune/TuneGemms.h"
#include "coppice/Codegen/CPU/LoadedGemm.h"
#include "coppice/Dialect/Prune/IR/Prune.h"
#include "runtime/base/aligned_memory.h"
#include "runtime/bench/host.h"
#include "runtime/bench/statistics.h"
#include "runtime/cpu/thread_pool.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"

#include <chrono>
#include <random>

using namespace mlir;

namespace coppice {

static int64_t bytesOf(Value value) {
  return getElementTypeOrSelf(value).getIntOrFloatBitWidth() / 8;
}

std::vector<GemmClass> findGemmClasses(ModuleOp kernels) {
  std::vector<GemmClass> classes;
  auto same = [](const GemmClass &a, const GemmClass &b) {
    return a.n == b.n && a.k == b.k && a.inputBytes == b.inputBytes &&
           a.weightBytes == b.weightBytes && a.weights == b.weights;
  };
  kernels.walk([&](Operation *op) {
    auto gemm = dyn_cast<prune::GemmOp>(op);
    // What N:M weights gain by is not blocking.
    if (!gemm || gemm.getPatternAttr() ||
        !gemm.getWeight().getType().hasStaticShape())
      return;
    ArrayRef<int64_t> shape = gemm.getWeight().getType().getShape();
    GemmClass found{shape[0], shape[1], bytesOf(gemm.getInput()),
                    bytesOf(gemm.getWeight())};
    if (llvm::none_of(classes,
                      [&](const GemmClass &c) { return same(c, found); }))
      classes.push_back(found);
  });
  return classes;
}

int64_t representativeRows(const RowBucket &bucket) {
  constexpr int64_t many = 512;
  return std::max(bucket.least, std::min(bucket.most, many));
}

namespace {

/// Memory of one product, its weight several times over, and its kernels.
class TimedGemm {
public:
  static llvm::Expected<TimedGemm> create(const GemmClass &gemm, int64_t rows,
                                          const TuneOptions &options,
                                          rt::ThreadPool &pool);

  llvm::Error add(const GemmConfig &config, const TuneOptions &options);
  size_t size() const { return kernels.size(); }

  /// Seconds of one product: the mean of so many that take about 2 ms.
  double sample(size_t kernel);

private:
  TimedGemm(const GemmSpec &spec, int64_t rows, rt::ThreadPool &pool)
      : spec(spec), rows(rows), pool(&pool) {}
  llvm::Error allocate(uint64_t seed);
  void runOnce(const LoadedGemm &kernel);

  GemmSpec spec;
  int64_t rows;
  rt::ThreadPool *pool;
  rt::AlignedMemory input, output, weights;
  int64_t weightBytes = 0, copies = 0, next = 0;
  std::vector<std::unique_ptr<LoadedGemm>> kernels;
};

} // namespace

/// f32 and halves whose values are around one: products of them are normal.
static void fill(rt::AlignedMemory &memory, int64_t bytes, int64_t elementBytes,
                 std::mt19937_64 &random) {
  // Sign and mantissa are random, the exponent is that of [1, 2).
  uint64_t keep = elementBytes == 4 ? 0x807FFFFF807FFFFFu : 0x807F807F807F807Fu,
           one = elementBytes == 4 ? 0x3F8000003F800000u : 0x3F803F803F803F80u;
  auto *words = static_cast<uint64_t *>(static_cast<void *>(memory.data()));
  for (int64_t i = 0; i < bytes / 8; ++i)
    words[i] = (random() & keep) | one;
}

llvm::Error TimedGemm::allocate(uint64_t seed) {
  GemmClass gemm = spec.getClass();
  int64_t depth = gemm.weightBytes == 2 && spec.weight == "bf16" ? 2 : 1;
  weightBytes =
      llvm::alignTo(gemm.panelCount() * gemm.panel() *
                        llvm::alignTo(gemm.k, depth) * gemm.weightBytes,
                    64);
  copies = std::max<int64_t>(
      2, llvm::divideCeil(4 * rt::lastLevelCacheBytes(), weightBytes));
  std::mt19937_64 random(seed);
  auto make = [&](rt::AlignedMemory &memory, int64_t bytes,
                  int64_t elementBytes) -> llvm::Error {
    rt::Result<rt::AlignedMemory> made =
        rt::AlignedMemory::allocate(llvm::alignTo(bytes, 64));
    if (!made)
      return llvm::createStringError(made.status().message());
    memory = *std::move(made);
    fill(memory, llvm::alignTo(bytes, 64), elementBytes, random);
    return llvm::Error::success();
  };
  if (llvm::Error error = make(weights, weightBytes * copies, gemm.weightBytes))
    return error;
  if (llvm::Error error =
          make(input, rows * gemm.k * gemm.inputBytes, gemm.inputBytes))
    return error;
  return make(output, rows * gemm.n * int64_t(sizeof(float)), 4);
}

llvm::Expected<TimedGemm> TimedGemm::create(const GemmClass &gemm, int64_t rows,
                                            const TuneOptions &options,
                                            rt::ThreadPool &pool) {
  GemmSpec spec;
  spec.n = gemm.n;
  spec.k = gemm.k;
  spec.input = gemm.inputBytes == 4 ? "f32" : "bf16";
  spec.weight = gemm.weightBytes == 4 ? "f32" : "bf16";
  TimedGemm timed(spec, rows, pool);
  if (llvm::Error error = timed.allocate(options.seed))
    return std::move(error);
  return timed;
}

llvm::Error TimedGemm::add(const GemmConfig &config,
                           const TuneOptions &options) {
  auto kernel = LoadedGemm::compile(spec, config, options.target);
  if (failed(kernel))
    return llvm::createStringError("cannot compile a candidate (see above)");
  kernels.push_back(std::move(*kernel));
  return llvm::Error::success();
}

void TimedGemm::runOnce(const LoadedGemm &kernel) {
  std::byte *weight = weights.data() + next * weightBytes;
  next = (next + 1) % copies;
  const void *args[] = {input.data(), weight, output.data()};
  pool->parallelFor(kernel.items(rows), [&](int64_t begin, int64_t end) {
    kernel.run(args, rows, begin, end);
  });
}

double TimedGemm::sample(size_t index) {
  using Clock = std::chrono::steady_clock;
  constexpr double enough = 2e-3;
  const LoadedGemm &kernel = *kernels[index];
  runOnce(kernel); // wakes the threads
  auto begin = Clock::now();
  int64_t calls = 0;
  double seconds = 0;
  do {
    runOnce(kernel);
    ++calls;
    seconds = std::chrono::duration<double>(Clock::now() - begin).count();
  } while (seconds < enough);
  return seconds / static_cast<double>(calls);
}

llvm::Expected<TunedGemm> tuneGemm(const GemmClass &gemm,
                                   const RowBucket &bucket,
                                   const TuneOptions &options,
                                   rt::ThreadPool &pool) {
  TunedGemm result;
  result.rows = representativeRows(bucket);
  llvm::Expected<TimedGemm> timed =
      TimedGemm::create(gemm, result.rows, options, pool);
  if (!timed)
    return timed.takeError();
  SmallVector<GemmConfig> candidates = gemmCandidates(gemm, bucket);
  for (const GemmConfig &config : candidates)
    if (llvm::Error error = timed->add(config, options))
      return std::move(error);

  std::vector<std::vector<double>> samples(candidates.size());
  std::vector<size_t> order(candidates.size());
  std::iota(order.begin(), order.end(), 0);
  std::mt19937_64 random(options.seed);
  using Clock = std::chrono::steady_clock;
  auto begin = Clock::now();
  constexpr int64_t leastRounds = 3;
  for (int64_t round = 0; round < options.maxRounds; ++round) {
    std::chrono::duration<double> spent = Clock::now() - begin;
    if (round >= leastRounds && spent.count() > options.maxSeconds)
      break;
    std::shuffle(order.begin(), order.end(), random);
    for (size_t candidate : order)
      samples[candidate].push_back(timed->sample(candidate));
  }

  constexpr double leastGain = 1.02;
  for (auto [config, times] : llvm::zip_equal(candidates, samples))
    result.candidates.push_back({config, rt::summarize(times).median});
  for (size_t i = 1; i < candidates.size(); ++i)
    if (result.candidates[i].seconds * leastGain <
            result.candidates.front().seconds &&
        result.candidates[i].seconds < result.candidates[result.best].seconds)
      result.best = i;
  return result;
}

} // namespace coppice
