//===- GemmProblem.cpp - random products with sets, and their results -----===//

#include "GemmProblem.h"
#include "llvm/Support/MathExtras.h"
#include "gtest/gtest.h"
#include <algorithm>
#include <numeric>

namespace coppice::test {

using Rows = GemmSpec::Rows;
using Epilogue = GemmSpec::Epilogue;

Set::Set(int64_t extent, Kept kept) {
  std::vector<int32_t> all(extent);
  std::iota(all.begin(), all.end(), 0);
  std::shuffle(all.begin(), all.end(), engine());
  int64_t most = kept == Kept::None  ? 0
                 : kept == Kept::One ? 1
                 : kept == Kept::All ? extent
                                     : pick(0, extent);
  count = std::min(most, extent);
  list.assign(all.begin(), all.begin() + count);
  std::sort(list.begin(), list.end());
  list.resize(extent, 1 << 30);
}

bool Set::has(int32_t index) const {
  return std::binary_search(list.begin(), list.begin() + count, index);
}

/// Of each group along K, as many as the pattern allows, or fewer.
static void keepSome(std::vector<float> &w, const GemmSpec &spec) {
  for (int64_t n = 0; n < spec.n; ++n)
    for (int64_t group = 0; group < spec.k; group += spec.of) {
      int64_t end = std::min(group + spec.of, spec.k);
      std::vector<int64_t> places(end - group);
      std::iota(places.begin(), places.end(), n * spec.k + group);
      std::shuffle(places.begin(), places.end(), engine());
      for (size_t i = static_cast<size_t>(spec.kept); i < places.size(); ++i)
        w[static_cast<size_t>(places[i])] = 0;
    }
}

static int64_t granules(int64_t extent, int64_t size) {
  return size ? llvm::divideCeil(extent, size) : 0;
}

GemmProblem::GemmProblem(const GemmSpec &spec, int64_t m, Kept kept,
                         int percentZero)
    : spec(spec), rows(m, kept), panels(granules(spec.n, spec.panelSize), kept),
      groups(granules(spec.k, spec.groupSize), kept), a(integers(m * spec.k)),
      w(integers(spec.n * spec.k)), biases(integers(spec.n)),
      expected(integers(m * spec.n)), input({}),
      bias(store(biases, spec.weight)), output(store(expected, spec.output)) {
  bool hasLists = spec.rows == Rows::PerPanel || spec.rows == Rows::PerGroup;
  for (int64_t i = 0; hasLists && i < spec.getRowLists(); ++i) {
    lists.emplace_back(m, i == 0 ? kept : Kept(pick(0, 3)));
    listed.insert(listed.end(), lists[i].list.begin(), lists[i].list.end());
    counts.push_back(lists[i].count);
  }
  for (float &value : a)
    if (pick(1, 100) <= percentZero)
      value = pick(0, 1) ? 0.0f : -0.0f;
  if (spec.of)
    keepSome(w, spec);
  input = Guarded(store(a, spec.input));
  compute(m);
}

void GemmProblem::compute(int64_t m) {
  bool isPerPanel = spec.rows == Rows::PerPanel,
       isPerGroup = spec.rows == Rows::PerGroup,
       isAll = spec.rows == Rows::All || isPerPanel || isPerGroup;
  std::vector<float> before = expected;
  for (int64_t i = 0, count = isAll ? m : rows.count; i < count; ++i) {
    int64_t row = isAll ? i : rows.list[i];
    int64_t from = spec.rows == Rows::Scatter ? i : row,
            to = spec.rows == Rows::Gather ? i : row;
    for (int64_t n = 0; n < spec.n; ++n) {
      if (isPerPanel ? !lists[n / spec.panelSize].has(i)
                     : spec.panelSize && !panels.has(n / spec.panelSize))
        continue;
      float sum = 0;
      for (int64_t k = 0; k < spec.k; ++k)
        if (isPerGroup ? lists[k / spec.groupSize].has(i)
                       : !spec.groupSize || groups.has(k / spec.groupSize))
          sum += a[from * spec.k + k] * w[n * spec.k + k];
      if (spec.epilogue == Epilogue::Bias)
        sum += biases[n];
      if (spec.epilogue == Epilogue::Residual)
        sum += before[to * spec.n + n];
      expected[to * spec.n + n] = sum;
    }
  }
}

std::vector<const void *> GemmProblem::arguments(const void *weight) {
  std::vector<const void *> args{input.data(), weight};
  if (spec.epilogue == Epilogue::Bias)
    args.push_back(bias.data());
  auto addSet = [&](const Set &set) {
    args.push_back(set.list.data());
    args.push_back(&set.count);
  };
  if (!lists.empty()) {
    args.push_back(listed.data());
    args.push_back(counts.data());
  } else if (spec.rows != Rows::All) {
    addSet(rows);
  }
  if (spec.panelSize && spec.rows != Rows::PerPanel)
    addSet(panels);
  if (spec.groupSize && spec.rows != Rows::PerGroup)
    addSet(groups);
  args.push_back(output.data());
  return args;
}

void GemmProblem::expectExact() {
  EXPECT_EQ(output.contents(), store(expected, spec.output));
  EXPECT_TRUE(output.intact());
}

} // namespace coppice::test
