// See set_bench.h.
#include "benchmarks/sets/set_bench.h"

#include "coppice/Codegen/CPU/LoadedGemm.h"
#include "runtime/base/aligned_memory.h"
#include "runtime/base/concat.h"
#include "runtime/base/packing.h"
#include "runtime/base/weight_generator.h"
#include "runtime/bench/host.h"
#include "runtime/cpu/cpu_features.h"
#include "runtime/cpu/thread_pool.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstring>
#include <memory>
#include <numeric>
#include <random>
#include <span>

namespace coppice::bench {

using rt::AlignedMemory;
using rt::Result;
using rt::Status;
using Clock = std::chrono::steady_clock;

int64_t keptOfGroup(const SetCell &cell) {
  return std::lround(cell.kept * double(cell.granule));
}

std::string nameOf(const SetCell &cell) {
  if (cell.kind == SetKind::Rows)
    return "rows";
  if (cell.kind == SetKind::Pattern)
    return rt::concat(keptOfGroup(cell), " of ", cell.granule);
  bool isOfPanels =
      cell.kind == SetKind::Panels || cell.kind == SetKind::RowsOfPanels;
  bool hasLists =
      cell.kind == SetKind::RowsOfPanels || cell.kind == SetKind::RowsOfGroups;
  return rt::concat(hasLists ? "rows of " : "",
                    isOfPanels ? "panels of " : "groups of ", cell.granule);
}

namespace {

constexpr double secondsOfSample = 2e-3;

/// A kernel with its packed weights and its result.
struct Side {
  std::unique_ptr<LoadedGemm> gemm;
  std::vector<AlignedMemory> weights;
  AlignedMemory result;
  std::vector<double> samples;
  int calls = 1;
  size_t next = 0;
};

class SetBench {
public:
  SetBench(const SetCell &cell, const SetBenchOptions &options)
      : cell(cell), options(options), random(options.seed), pool(cell.threads) {
  }

  Result<SetResult> measure();

private:
  Status prepare();
  Status prepareSide(Side &side, const GemmSpec &spec, const CPUTarget &target);
  Status compare();
  Status compareLists(std::span<const float> expected,
                      std::span<const float> kept);
  void keepPattern();
  void drawSet();
  void drawMask();
  size_t keptOfMask() const {
    return size_t(std::lround(cell.kept * double(mask.size())));
  }
  void compact();
  double call(Side &side);
  void sample(Side &side);

  SetCell cell;
  SetBenchOptions options;
  std::mt19937_64 random;
  rt::ThreadPool pool;
  AlignedMemory input, weight;
  Side dense, pruned;
  /// A set's list; of rows, `lists` of them, one behind the other.
  std::vector<int32_t> list, counts;
  std::vector<uint8_t> mask; ///< [rows, lists]
  size_t lists = 0;          ///< of rows
  int32_t count = 0;         ///< kept, of each
  SetResult found;
};

Result<AlignedMemory> generate(std::string_view name, rt::DType dtype,
                               int64_t elements, rt::ThreadPool &pool) {
  Result<AlignedMemory> memory =
      AlignedMemory::allocate(elements * rt::sizeOf(dtype));
  if (!memory)
    return memory;
  rt::WeightGenerator values(1, name, 0, 1);
  pool.parallelFor(elements, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i)
      rt::storeFromF32(dtype, memory->data(), i, values(i));
  });
  return memory;
}

Status SetBench::prepareSide(Side &side, const GemmSpec &spec,
                             const CPUTarget &target) {
  const RowBucket *bucket = gemmRowBuckets().begin();
  while (bucket->most < cell.m)
    ++bucket;
  auto gemm = LoadedGemm::compile(
      spec, gemmCandidates(spec.getClass(), *bucket).front(), target);
  if (failed(gemm))
    return rt::internalError("cannot compile the kernel");
  side.gemm = std::move(*gemm);

  int64_t dims[] = {cell.n, cell.k}, bytes = rt::sizeOf(cell.dtype);
  Result<rt::PackedLayout> layout = rt::PackedLayout::make(
      dims, {}, rt::Packing{side.gemm->panels(), side.gemm->depth()});
  if (!layout)
    return layout.status();
  const std::optional<rt::NMLayout> selected = side.gemm->nmLayout();
  int64_t size = layout->packedElements() * bytes;
  if (selected)
    size = layout->packedShape()[0] * selected->stepElements() * bytes *
           ((cell.k + selected->stepColumns() - 1) / selected->stepColumns());
  int64_t copies =
      std::max<int64_t>(5, (4 * rt::lastLevelCacheBytes() + size - 1) / size);
  for (int64_t copy = 0; copy < copies; ++copy) {
    Result<AlignedMemory> memory = AlignedMemory::allocate(size);
    if (!memory)
      return memory.status();
    side.weights.push_back(*std::move(memory));
    if (copy == 0 && selected)
      for (int64_t row = 0; row < cell.n; ++row)
        selected->packRow(weight.data() + row * cell.k * bytes, cell.k, row,
                          side.weights[0].data());
    else if (copy == 0)
      pool.parallelFor(layout->rowCount(), [&](int64_t begin, int64_t end) {
        layout->packRows(weight.data(), bytes, side.weights[0].data(), begin,
                         end);
      });
    else
      std::memcpy(side.weights.back().data(), side.weights[0].data(),
                  size_t(size));
  }
  Result<AlignedMemory> result =
      AlignedMemory::allocate(cell.m * cell.n * int64_t(sizeof(float)));
  if (!result)
    return result.status();
  side.result = *std::move(result);
  return {};
}

Status SetBench::prepare() {
  std::string message;
  auto target = CPUTarget::parse(cell.isa, message);
  if (failed(target))
    return rt::invalidArgument(message);
  if (cell.isa == "host" && target->roundsToBF16() &&
      cell.dtype != rt::DType::BF16)
    target->isa = CPUTarget::ISA::AVX512;
  if (target->isa == CPUTarget::ISA::AMX_BF16 && !rt::hasCpuFeature("amx_bf16"))
    return rt::unsupported("the system does not let this process use AMX");
  found.isa = target->name().str();
  for (auto [memory, name, elements] :
       {std::tuple(&input, "input", cell.m * cell.k),
        {&weight, "weight", cell.n * cell.k}}) {
    auto made = generate(name, cell.dtype, elements, pool);
    if (!made)
      return made.status();
    *memory = *std::move(made);
  }
  if (cell.kind == SetKind::Pattern)
    keepPattern();
  GemmSpec spec;
  spec.n = cell.n;
  spec.k = cell.k;
  spec.input = spec.weight = rt::nameOf(cell.dtype);
  if (Status status = prepareSide(dense, spec, *target); !status.ok())
    return status;
  int64_t extent = cell.m;
  if (cell.kind == SetKind::Rows) {
    spec.rows = GemmSpec::Rows::Gather;
    lists = 1;
  } else if (cell.kind == SetKind::RowsOfPanels) {
    spec.rows = GemmSpec::Rows::PerPanel;
    spec.panelSize = cell.granule;
    lists = size_t(spec.getRowLists());
  } else if (cell.kind == SetKind::RowsOfGroups) {
    spec.rows = GemmSpec::Rows::PerGroup;
    spec.groupSize = cell.granule;
    lists = size_t(spec.getRowLists());
  } else if (cell.kind == SetKind::Panels) {
    spec.panelSize = cell.granule;
    extent = (cell.n + cell.granule - 1) / cell.granule;
  } else if (cell.kind == SetKind::Pattern) {
    spec.kept = keptOfGroup(cell);
    spec.of = extent = cell.granule;
  } else {
    spec.groupSize = cell.granule;
    extent = (cell.k + cell.granule - 1) / cell.granule;
  }
  list.resize(size_t(extent) * std::max<size_t>(1, lists));
  counts.resize(lists);
  mask.resize(size_t(cell.m) * lists);
  count = int32_t(std::lround(cell.kept * double(extent)));
  found.ideal = double(extent) / std::max(1, count);
  if (lists)
    found.ideal =
        double(mask.size()) / double(std::max<size_t>(1, keptOfMask()));
  return prepareSide(pruned, spec, *target);
}

/// Of each group along K, others become zero.
void SetBench::keepPattern() {
  int64_t bytes = rt::sizeOf(cell.dtype);
  std::vector<int64_t> places(static_cast<size_t>(cell.granule));
  for (int64_t row = 0; row < cell.n; ++row)
    for (int64_t group = 0; group < cell.k; group += cell.granule) {
      std::iota(places.begin(), places.end(), group);
      std::shuffle(places.begin(), places.end(), random);
      for (auto i = size_t(keptOfGroup(cell)); i < places.size(); ++i)
        if (places[i] < cell.k)
          std::memset(weight.data() + (row * cell.k + places[i]) * bytes, 0,
                      size_t(bytes));
    }
}

void SetBench::drawSet() {
  std::iota(list.begin(), list.end(), 0);
  std::shuffle(list.begin(), list.end(), random);
  std::sort(list.begin(), list.begin() + count);
}

/// Of all rows and lists as many as of a set: with one row, some lists.
void SetBench::drawMask() {
  std::fill(mask.begin(), mask.end(), 0);
  std::fill(mask.begin(), mask.begin() + std::ptrdiff_t(keptOfMask()), 1);
  std::shuffle(mask.begin(), mask.end(), random);
}

/// The lists of rows of the mask.
void SetBench::compact() {
  pool.parallelFor(int64_t(lists), [&](int64_t begin, int64_t end) {
    for (auto l = size_t(begin); l < size_t(end); ++l) {
      int32_t *rows = &list[l * size_t(cell.m)], kept = 0;
      for (size_t row = 0; row < size_t(cell.m); ++row) {
        rows[kept] = int32_t(row);
        kept += mask[row * lists + l];
      }
      counts[l] = kept;
    }
  });
}

/// Seconds of one call.
double SetBench::call(Side &side) {
  side.next = (side.next + 1) % side.weights.size();
  std::vector<const void *> args{input.data(), side.weights[side.next].data()};
  bool hasLists = &side == &pruned && lists;
  if (hasLists) {
    drawMask();
    args.insert(args.end(), {list.data(), counts.data()});
  } else if (&side == &pruned && cell.kind != SetKind::Pattern) {
    drawSet();
    args.insert(args.end(), {list.data(), &count});
  }
  args.push_back(side.result.data());
  auto begin = Clock::now();
  if (hasLists)
    compact();
  pool.parallelFor(side.gemm->items(cell.m), [&](int64_t from, int64_t to) {
    side.gemm->run(args, cell.m, from, to);
  });
  return std::chrono::duration<double>(Clock::now() - begin).count();
}

void SetBench::sample(Side &side) {
  double seconds = 0;
  for (int i = 0; i < side.calls; ++i)
    seconds += call(side);
  side.samples.push_back(seconds / side.calls);
}

/// The same of rows that differ from panel to panel.
Status SetBench::compareLists(std::span<const float> expected,
                              std::span<const float> kept) {
  for (size_t row = 0; row < size_t(cell.m); ++row)
    for (size_t n = 0; n < size_t(cell.n); ++n)
      if (size_t at = row * size_t(cell.n) + n;
          mask[row * lists + n / size_t(cell.granule)] &&
          kept[at] != expected[at])
        return rt::internalError(
            rt::concat("expected ", nameOf(cell),
                       " to hold what the dense kernel computes, found another "
                       "value in row ",
                       row, ", column ", n));
  return {};
}

/// What the set keeps is what the dense kernel computes.
Status SetBench::compare() {
  call(dense);
  call(pruned);
  auto all = [&](const Side &side) {
    return std::span(reinterpret_cast<const float *>(side.result.data()),
                     size_t(cell.m * cell.n));
  };
  std::span<const float> expected = all(dense), kept = all(pruned);
  // Dot products of pairs have other sums.
  if (cell.kind == SetKind::Pattern && found.isa != "avx512_bf16" &&
      found.isa != "amx_bf16" &&
      !std::equal(kept.begin(), kept.end(), expected.begin()))
    return rt::internalError(rt::concat("expected ", nameOf(cell),
                                        " to give what the dense kernel does "
                                        "with the same weights, found other "
                                        "values"));
  if (cell.kind == SetKind::Pattern)
    return {};
  if (cell.kind == SetKind::RowsOfPanels)
    return compareLists(expected, kept);
  if (cell.kind == SetKind::RowsOfGroups)
    return {};
  bool isRows = cell.kind == SetKind::Rows;
  if (isRows)
    count = counts[0];
  for (int32_t i = 0; cell.kind != SetKind::Groups && i < count; ++i)
    for (int64_t row = 0; row < (isRows ? 1 : cell.m); ++row) {
      int64_t first = isRows ? 0 : list[size_t(i)] * cell.granule;
      int64_t columns =
          isRows ? cell.n : std::min(cell.granule, cell.n - first);
      const float *a =
          &expected[size_t((isRows ? list[size_t(i)] : row) * cell.n + first)];
      const float *b = &kept[size_t((isRows ? i : row) * cell.n + first)];
      if (std::memcmp(a, b, size_t(columns) * sizeof(float)) != 0)
        return rt::internalError(
            rt::concat("expected ", nameOf(cell),
                       " to hold what the dense kernel "
                       "computes, found other values at granule ",
                       list[size_t(i)]));
    }
  return {};
}

Result<SetResult> SetBench::measure() {
  found.cell = cell;
  if (Status status = prepare(); !status.ok())
    return status;
  if (Status status = compare(); !status.ok())
    return status;
  for (Side *side : {&dense, &pruned})
    side->calls = int(std::clamp(secondsOfSample / call(*side), 1.0, 64.0));
  auto begin = Clock::now();
  auto elapsed = [&] {
    return std::chrono::duration<double>(Clock::now() - begin).count();
  };
  std::bernoulli_distribution coin;
  auto centerOf = [](const Side &side) {
    return rt::summarize(side.samples).median;
  };
  while (int64_t(dense.samples.size()) < options.maxRepeats &&
         (dense.samples.size() < 4 || elapsed() < options.maxSeconds)) {
    Side *first = &dense, *second = &pruned;
    if (coin(random))
      std::swap(first, second);
    for (Side *side : {first, second, second, first})
      sample(*side);
    if (dense.samples.size() % 10)
      continue;
    found.speedup = centerOf(dense) / centerOf(pruned);
    found.interval = rt::intervalOf(rt::resampleRatios(
        dense.samples, pruned.samples, options.seed, 2000, rt::Center::Median));
    if ((found.converged =
             found.interval.relativeHalfWidth(found.speedup) <= 0.01))
      break;
  }
  found.speedup = centerOf(dense) / centerOf(pruned);
  found.interval = rt::intervalOf(rt::resampleRatios(
      dense.samples, pruned.samples, options.seed, 2000, rt::Center::Median));
  found.dense = dense.samples;
  found.pruned = pruned.samples;
  return std::move(found);
}

} // namespace

Result<SetResult> measureSet(const SetCell &cell,
                             const SetBenchOptions &options) {
  return SetBench(cell, options).measure();
}

} // namespace coppice::bench
