//===- RouteKernelTest.cpp - kernels of decisions against plain C++ -------===//
//
// What decides whether a row takes part, lists the rows that do, and keeps or
// gathers their columns, on CPUs and on a GPU that the emulator stands for.
//
//===----------------------------------------------------------------------===//

#include "support/KernelData.h"
#include "support/RunAllWays.h"
#include "llvm/Support/FormatVariadic.h"
#include "gtest/gtest.h"
#include <cmath>

using namespace mlir;
using llvm::formatv;

namespace coppice {
namespace {

using namespace test;

const char *const kRoutes = R"(
  func.func @decide(%s: tensor<?x6xf32> {exec.dims = ["rows", 6]}, %f: tensor<?x5xi8> {exec.dims = ["rows", 5]},
                    %out: tensor<?x3xi8> {exec.dims = ["rows", 3]}) -> tensor<?x3xi8> {
    %0 = prune.decide "" %s forced %f column 1 margin 5.0e-01 expected 5.0e-01 : tensor<?x6xf32>, tensor<?x5xi8> -> tensor<?x3xi8>
    return %0 : tensor<?x3xi8>
  }
  func.func @decide_top(%s: tensor<?x2xf32> {exec.dims = ["rows", 2]}, %f: tensor<?x5xi8> {exec.dims = ["rows", 5]},
                        %slots: tensor<?xi32> {exec.dims = ["rows"]},
                        %out: tensor<?x1xi8> {exec.dims = ["rows", 1]}) -> tensor<?x1xi8> {
    %0 = prune.decide "" %s forced %f column 2 top 4.0e-01 of %slots : tensor<?xi32> expected 4.0e-01 : tensor<?x2xf32>, tensor<?x5xi8> -> tensor<?x1xi8>
    return %0 : tensor<?x1xi8>
  }
  func.func @compact(%m: tensor<?x1xi8> {exec.dims = ["rows", 1]}, %list: tensor<?xi32> {exec.dims = ["rows"]},
                     %count: tensor<i32>) -> (tensor<?xi32>, tensor<i32>) {
    %0, %1 = prune.compact "" %m : tensor<?x1xi8> -> tensor<?xi32>, tensor<i32>
    return %0, %1 : tensor<?xi32>, tensor<i32>
  }
  func.func @passed(%m: tensor<?x3xi8> {exec.dims = ["rows", 3]}, %list: tensor<3x?xi32> {exec.dims = [3, "rows"]},
                    %count: tensor<3xi32>) -> (tensor<3x?xi32>, tensor<3xi32>) {
    %0, %1 = prune.compact "" %m passed : tensor<?x3xi8> -> tensor<3x?xi32>, tensor<3xi32>
    return %0, %1 : tensor<3x?xi32>, tensor<3xi32>
  }
  func.func @among(%x: tensor<?x37xf32> {exec.dims = ["rows", 37]}, %m: tensor<?x3xi8> {exec.dims = ["rows", 3]},
                   %out: tensor<?x37xf32> {exec.dims = ["rows", 37]}) -> tensor<?x37xf32> {
    %0 = prune.project_by "" %x, %m groups of 8 among <[2:10, 20:30, 36] of 37> : tensor<?x37xf32>, tensor<?x3xi8>
    return %0 : tensor<?x37xf32>
  }
  func.func @gather(%x: tensor<?x37xf32> {exec.dims = ["rows", 37]}, %t: tensor<24xi32>,
                    %out: tensor<?x24xf32> {exec.dims = ["rows", 24]}) -> tensor<?x24xf32> {
    %0 = prune.gather "" %x by %t : tensor<?x37xf32>, tensor<24xi32> -> tensor<?x24xf32>
    return %0 : tensor<?x24xf32>
  }
)";

std::vector<int8_t> asBytes(const std::vector<char> &values) {
  return {values.begin(), values.end()};
}

void checkDecisions(Kernels &kernels, int64_t m) {
  Symbols symbols;
  symbols.rows = m;
  std::vector<float> scores = integers(m * 6), pairs = integers(m * 2);
  std::vector<int8_t> forced(m * 5);
  std::vector<int32_t> slots(m);
  for (int64_t i = 0; i < m * 5; ++i)
    forced[i] = static_cast<int8_t>(i % 7 == 0 ? 1 : i % 5 == 0 ? 0 : -1);
  for (int64_t row = 0; row < m; ++row)
    slots[row] = static_cast<int32_t>(row * 5 % 3);
  if (m > 3)
    scores[7] = pairs[5] = NAN;
  std::vector<int8_t> expected(m * 3);
  for (int64_t row = 0; row < m; ++row)
    for (int64_t group = 0; group < 3; ++group) {
      const float *pair = &scores[row * 6 + 2 * group];
      int8_t given = forced[row * 5 + 1 + group];
      expected[row * 3 + group] =
          given >= 0 ? given : static_cast<int8_t>(!(pair[1] > pair[0] + 0.5f));
    }
  EXPECT_EQ(asBytes(runBytes(kernels, "decide", {scores.data(), forced.data()},
                             std::vector<char>(m * 3, 9), symbols)),
            expected);

  expected.assign(m, 0);
  for (int64_t row = 0; row < m; ++row) {
    int64_t count = 0, ahead = 0;
    auto preference = [&](int64_t of) {
      float value = pairs[of * 2] - pairs[of * 2 + 1];
      return std::isnan(value) ? INFINITY : value;
    };
    for (int64_t other = 0; other < m; ++other)
      if (slots[other] == slots[row]) {
        ++count;
        ahead += preference(other) > preference(row) ||
                 (preference(other) == preference(row) && other < row);
      }
    int8_t given = forced[row * 5 + 2];
    expected[row] = given >= 0
                        ? given
                        : static_cast<int8_t>(ahead < std::ceil(0.4 * count));
  }
  EXPECT_EQ(asBytes(runBytes(kernels, "decide_top",
                             {pairs.data(), forced.data(), slots.data()},
                             std::vector<char>(m, 9), symbols)),
            expected);
}

void checkLists(Kernels &kernels, int64_t m) {
  Symbols symbols;
  symbols.rows = m;
  std::vector<int8_t> mask(m), masks(m * 3);
  for (int64_t i = 0; i < m * 3; ++i)
    masks[i] = static_cast<int8_t>(i / 3 * 7 % 5 < i % 3 * 2);
  for (int64_t i = 0; i < m; ++i)
    mask[i] = static_cast<int8_t>(i * 11 % 4 != 0);
  auto check = [&](StringRef name, const std::vector<int8_t> &of,
                   int64_t groups, bool passed) {
    std::vector<int32_t> list(groups * m, -1), counts(groups, -1);
    kernels.run(name, {of.data(), list.data(), counts.data()}, symbols);
    for (int64_t group = 0; group < groups; ++group) {
      std::vector<int32_t> expected;
      for (int64_t row = 0; row < m; ++row)
        if ((of[row * groups + group] == 0) == passed)
          expected.push_back(static_cast<int32_t>(row));
      ASSERT_EQ(counts[group], static_cast<int64_t>(expected.size())) << group;
      auto first = list.begin() + group * m;
      EXPECT_EQ(std::vector<int32_t>(first, first + counts[group]), expected);
    }
  };
  check("compact", mask, 1, false);
  check("passed", masks, 3, true);
}

void checkColumns(Kernels &kernels, int64_t m) {
  Symbols symbols;
  symbols.rows = m;
  std::vector<float> x = integers(m * 37), expected(m * 37);
  std::vector<int8_t> masks(m * 3);
  for (int64_t i = 0; i < m * 3; ++i)
    masks[i] = static_cast<int8_t>(i % 2);
  for (int64_t row = 0; row < m; ++row) {
    int64_t place = 0;
    for (int64_t column = 0; column < 37; ++column) {
      bool isIn = (column >= 2 && column < 10) ||
                  (column >= 20 && column < 30) || column == 36;
      if (isIn && masks[row * 3 + place++ / 8])
        expected[row * 37 + column] = x[row * 37 + column];
    }
  }
  EXPECT_EQ(runAllWays(kernels, "among", {x.data(), masks.data()},
                       std::vector<float>(m * 37, NAN), symbols),
            expected);

  std::vector<int32_t> table(24);
  for (int32_t i = 0; i < 24; ++i)
    table[i] = i % 4 == 1 ? -1 : (i * 17 + 5) % 37;
  table[3] = 0; // a column like any other
  expected.assign(m * 24, 0);
  for (int64_t i = 0; i < m * 24; ++i)
    if (table[i % 24] >= 0)
      expected[i] = x[i / 24 * 37 + table[i % 24]];
  EXPECT_EQ(runAllWays(kernels, "gather", {x.data(), table.data()},
                       std::vector<float>(m * 24, NAN), symbols),
            expected);
}

TEST(RouteKernel, RoutesMatchTheirDefinitions) {
  for (const std::string &isa : {std::string("host"), std::string(kGPU)}) {
    auto kernels = Kernels::compile(kRoutes, /*oracle=*/false, isa);
    ASSERT_TRUE(kernels);
    for (int64_t m : {0, 1, 37, 301}) {
      SCOPED_TRACE(formatv("{0}, {1} rows, seed {2}", isa, m, seed()).str());
      if (m < 300 || isa != kGPU)
        checkDecisions(*kernels, m);
      checkLists(*kernels, m);
      checkColumns(*kernels, std::min<int64_t>(m, 37));
    }
  }
}

} // namespace
} // namespace coppice
