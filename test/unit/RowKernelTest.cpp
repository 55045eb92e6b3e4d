//===- RowKernelTest.cpp - kernels that go by rows against plain C++ ------===//
//
// Norms, lookups, cache updates, rotary embeddings, projections and elementwise
// ops, on CPUs and on a GPU that the emulator stands for.
//
//===----------------------------------------------------------------------===//

#include "support/KernelData.h"
#include "support/RunAllWays.h"
#include "llvm/ADT/STLExtras.h"
#include "llvm/Support/FormatVariadic.h"
#include "gtest/gtest.h"
#include <cmath>
#include <numeric>

using namespace mlir;
using llvm::formatv;

namespace coppice {
namespace {

using namespace test;

std::vector<std::string> targets() {
  std::vector<std::string> names = instructionSets();
  names.push_back(kGPU);
  return names;
}

const char *const kRowOps = R"(
  func.func @norm(%x: tensor<?x37xf32> {exec.dims = ["rows", 37]}, %g: tensor<37xbf16>,
                  %out: tensor<?x37xf32> {exec.dims = ["rows", 37]}) -> tensor<?x37xf32> {
    %0 = decoder.rms_norm "" %x, %g {epsilon = 1.0e-5 : f32, divisor = 40 : i64} : tensor<?x37xf32>, tensor<37xbf16>
    return %0 : tensor<?x37xf32>
  }
  func.func @lookup(%i: tensor<?xi32> {exec.dims = ["head_rows"]}, %t: tensor<19x23xf16>,
                    %out: tensor<?x23xf32> {exec.dims = ["head_rows", 23]}) -> tensor<?x23xf32> {
    %0 = decoder.lookup "" %i in %t : tensor<?xi32>, tensor<19x23xf16> -> tensor<?x23xf32>
    return %0 : tensor<?x23xf32>
  }
  func.func @table(%p: tensor<?xi32> {exec.dims = ["rows"]},
                   %out: tensor<?x6xf32> {exec.dims = ["rows", 6]}) -> tensor<?x6xf32> {
    %0 = decoder.rotary_table "" %p {frequencies = array<f32: 1.0, 0.25, 0.0625>} : tensor<?xi32> -> tensor<?x6xf32>
    return %0 : tensor<?x6xf32>
  }
  func.func @rotary(%x: tensor<?x21xf32> {exec.dims = ["rows", 21]}, %a: tensor<?x6xf32> {exec.dims = ["rows", 6]},
                    %out: tensor<?x21xf32> {exec.dims = ["rows", 21]}) -> tensor<?x21xf32> {
    %0 = decoder.rotary "" %x, %a {head_dim = 7 : i64} : tensor<?x21xf32>, tensor<?x6xf32>
    return %0 : tensor<?x21xf32>
  }
  func.func @append(%r: tensor<?x5xf32> {exec.dims = ["rows", 5]}, %slots: tensor<?xi32> {exec.dims = ["rows"]},
                    %positions: tensor<?xi32> {exec.dims = ["rows"]},
                    %cache: tensor<?x?x5xf32> {exec.dims = ["slots", "context", 5]}) -> tensor<?x?x5xf32> {
    %0 = decoder.append "" %r into %cache at %slots, %positions : tensor<?x5xf32> into tensor<?x?x5xf32>
    return %0 : tensor<?x?x5xf32>
  }
  func.func @append_bf16(%r: tensor<?x6xf32> {exec.dims = ["rows", 6]}, %slots: tensor<?xi32> {exec.dims = ["rows"]},
                    %positions: tensor<?xi32> {exec.dims = ["rows"]},
                    %cache: tensor<?x?x6xbf16> {exec.dims = ["slots", "context", 6]}) -> tensor<?x?x6xbf16> {
    %0 = decoder.append "" %r into %cache at %slots, %positions : tensor<?x6xf32> into tensor<?x?x6xbf16>
    return %0 : tensor<?x?x6xbf16>
  }
  func.func @groups(%x: tensor<?x37xf32> {exec.dims = ["rows", 37]}, %m: tensor<?x5xi8> {exec.dims = ["rows", 5]},
                    %out: tensor<?x37xf32> {exec.dims = ["rows", 37]}) -> tensor<?x37xf32> {
    %0 = prune.project_by "" %x, %m groups of 9 : tensor<?x37xf32>, tensor<?x5xi8>
    return %0 : tensor<?x37xf32>
  }
  func.func @groups_bf16(%x: tensor<?x48xbf16> {exec.dims = ["rows", 48]}, %m: tensor<?x2xi8> {exec.dims = ["rows", 2]},
                         %out: tensor<?x48xbf16> {exec.dims = ["rows", 48]}) -> tensor<?x48xbf16> {
    %0 = prune.project_by "" %x, %m groups of 24 : tensor<?x48xbf16>, tensor<?x2xi8>
    return %0 : tensor<?x48xbf16>
  }
  func.func @passed(%x: tensor<?x37xf32> {exec.dims = ["rows", 37]}, %m: tensor<?x1xi8> {exec.dims = ["rows", 1]},
                    %into: tensor<?x37xf32> {exec.dims = ["rows", 37]},
                    %out: tensor<?x37xf32> {exec.dims = ["rows", 37]}) -> tensor<?x37xf32> {
    %0 = prune.project_by "" %x, %m passed : tensor<?x37xf32>, tensor<?x1xi8> into %into : tensor<?x37xf32>
    return %0 : tensor<?x37xf32>
  }
  #id = affine_map<(m, n) -> (m, n)>
  func.func @swiglu(%gate: tensor<?x45xf32> {exec.dims = ["rows", 45]}, %up: tensor<?x45xf32> {exec.dims = ["rows", 45]},
                    %out: tensor<?x45xf32> {exec.dims = ["rows", 45]}) -> tensor<?x45xf32> {
    %c0 = arith.constant 0 : index
    %m = tensor.dim %gate, %c0 : tensor<?x45xf32>
    %e = tensor.empty(%m) : tensor<?x45xf32>
    %0 = linalg.generic {indexing_maps = [#id, #id, #id], iterator_types = ["parallel", "parallel"]}
        ins(%gate, %up : tensor<?x45xf32>, tensor<?x45xf32>) outs(%e : tensor<?x45xf32>) {
    ^bb0(%g: f32, %u: f32, %o: f32):
      %one = arith.constant 1.0 : f32
      %n = arith.negf %g : f32
      %p = math.exp %n : f32
      %d = arith.addf %p, %one : f32
      %s = arith.divf %g, %d : f32
      %r = arith.mulf %s, %u : f32
      linalg.yield %r : f32
    } -> tensor<?x45xf32>
    return %0 : tensor<?x45xf32>
  }
  // The residual stream is updated in place.
  func.func @residual(%delta: tensor<?x11xf32> {exec.dims = ["rows", 11]},
                      %out: tensor<?x11xf32> {exec.dims = ["rows", 11]}) -> tensor<?x11xf32> {
    %c0 = arith.constant 0 : index
    %m = tensor.dim %delta, %c0 : tensor<?x11xf32>
    %e = tensor.empty(%m) : tensor<?x11xf32>
    %0 = linalg.generic {indexing_maps = [#id, #id, #id], iterator_types = ["parallel", "parallel"]}
        ins(%out, %delta : tensor<?x11xf32>, tensor<?x11xf32>) outs(%e : tensor<?x11xf32>) {
    ^bb0(%a: f32, %b: f32, %o: f32):
      %s = arith.addf %a, %b : f32
      linalg.yield %s : f32
    } -> tensor<?x11xf32>
    return %0 : tensor<?x11xf32>
  }
  func.func @matmul(%x: tensor<?x9xf32> {exec.dims = ["rows", 9]}, %w: tensor<7x9xbf16>,
                    %out: tensor<?x7xf32> {exec.dims = ["rows", 7]}) -> tensor<?x7xf32> {
    %c0 = arith.constant 0 : index
    %zero = arith.constant 0.0 : f32
    %m = tensor.dim %x, %c0 : tensor<?x9xf32>
    %e = tensor.empty(%m) : tensor<?x7xf32>
    %f = linalg.fill ins(%zero : f32) outs(%e : tensor<?x7xf32>) -> tensor<?x7xf32>
    %0 = linalg.matmul indexing_maps = [affine_map<(m, n, k) -> (m, k)>, affine_map<(m, n, k) -> (n, k)>, affine_map<(m, n, k) -> (m, n)>]
        ins(%x, %w : tensor<?x9xf32>, tensor<7x9xbf16>) outs(%f : tensor<?x7xf32>) -> tensor<?x7xf32>
    return %0 : tensor<?x7xf32>
  }
  // No rows at all: one work item, and a scalar.
  func.func @sum(%x: tensor<43xf32>, %out: tensor<f32>) -> tensor<f32> {
    %zero = arith.constant 0.0 : f32
    %e = tensor.empty() : tensor<f32>
    %f = linalg.fill ins(%zero : f32) outs(%e : tensor<f32>) -> tensor<f32>
    %0 = linalg.generic {indexing_maps = [affine_map<(i) -> (i)>, affine_map<(i) -> ()>], iterator_types = ["reduction"]}
        ins(%x : tensor<43xf32>) outs(%f : tensor<f32>) {
    ^bb0(%a: f32, %s: f32):
      %1 = arith.addf %a, %s : f32
      linalg.yield %1 : f32
    } -> tensor<f32>
    return %0 : tensor<f32>
  }
  func.func @vector(%x: tensor<2500xf32>, %out: tensor<2500xf32>) -> tensor<2500xf32> {
    %e = tensor.empty() : tensor<2500xf32>
    %0 = linalg.add ins(%x, %x : tensor<2500xf32>, tensor<2500xf32>) outs(%e : tensor<2500xf32>) -> tensor<2500xf32>
    return %0 : tensor<2500xf32>
  }
)";

void checkRowOps(bool oracle, const std::string &isa) {
  auto kernels = Kernels::compile(kRowOps, oracle, isa);
  ASSERT_TRUE(kernels);
  auto expectStrategy = [&](StringRef name, const char *strategy) {
    EXPECT_EQ(kernels->strategy(name), oracle ? "plain" : strategy);
  };
  expectStrategy("rotary", "rotary");
  expectStrategy("norm", isa == kGPU ? "norm" : "rows");
  for (const char *name : {"table", "swiglu", "residual", "vector"})
    expectStrategy(name, isa == kGPU ? "elementwise" : "loops");
  for (int64_t m : {0, 1, 13}) {
    SCOPED_TRACE(formatv("{0} rows", m).str());
    Symbols symbols;
    symbols.rows = symbols.headRows = m;
    auto run = [&](StringRef name, std::vector<const void *> inputs,
                   const std::vector<float> &destination) {
      SCOPED_TRACE(name.str());
      return runAllWays(*kernels, name, inputs, destination, symbols);
    };
    auto fresh = [&](int64_t width) {
      return std::vector<float>(m * width, NAN);
    };

    std::vector<float> x = normals(m * 37), gain = normals(37);
    std::vector<char> storedGain = store(gain, "bf16");
    std::vector<float> expected(x.size());
    for (int64_t row = 0; row < m; ++row) {
      double squares = 0;
      for (int64_t i = 0; i < 37; ++i)
        squares += double(x[row * 37 + i]) * x[row * 37 + i];
      for (int64_t i = 0; i < 37; ++i)
        expected[row * 37 + i] =
            x[row * 37 + i] / std::sqrt(squares / 40 + 1e-5) * gain[i];
    }
    EXPECT_LT(rowError(run("norm", {x.data(), storedGain.data()}, fresh(37)),
                       expected, 37),
              1e-6);

    if (!oracle) {
      // What is not kept may be anything.
      std::vector<float> values = integers(m * 37), into = integers(m * 37);
      std::vector<int8_t> mask(m * 5), rowMask(m);
      for (size_t i = 0; i < mask.size(); ++i)
        mask[i] = i % 3 != 0;
      for (size_t i = 0; i < rowMask.size(); ++i)
        rowMask[i] = i % 2;
      std::vector<float> projected(values.size());
      for (size_t i = 0; i < values.size(); ++i) {
        bool isKept = mask[i / 37 * 5 + i % 37 / 9];
        projected[i] = isKept ? values[i] : 0.0f;
        if (!isKept)
          values[i] = NAN;
      }
      expectStrategy("groups", "rows");
      EXPECT_EQ(run("groups", {values.data(), mask.data()}, fresh(37)),
                projected);
      values = integers(m * 37);
      for (size_t i = 0; i < values.size(); ++i)
        projected[i] = rowMask[i / 37] ? into[i] : values[i];
      expectStrategy("passed", "rows");
      EXPECT_EQ(run("passed", {values.data(), rowMask.data(), into.data()},
                    fresh(37)),
                projected);
    }

    std::vector<float> table = integers(19 * 23);
    std::vector<char> storedTable = store(table, "f16");
    std::vector<int32_t> indices(m), positions(m);
    for (int64_t row = 0; row < m; ++row) {
      indices[row] = (row * 7 + 18) % 19;
      positions[row] = row * 331;
    }
    expected.assign(m * 23, 0.0f);
    for (int64_t i = 0; i < m * 23; ++i)
      expected[i] = table[indices[i / 23] * 23 + i % 23];
    EXPECT_EQ(run("lookup", {indices.data(), storedTable.data()}, fresh(23)),
              expected);

    const double frequencies[] = {1.0, 0.25, 0.0625};
    std::vector<float> angles(m * 6);
    for (int64_t row = 0; row < m; ++row)
      for (int64_t i = 0; i < 3; ++i) {
        angles[row * 6 + i] = std::cos(positions[row] * frequencies[i]);
        angles[row * 6 + 3 + i] = std::sin(positions[row] * frequencies[i]);
      }
    EXPECT_LT(rowError(run("table", {positions.data()}, fresh(6)), angles, 6),
              1e-6);

    x = normals(m * 21);
    expected = x; // column 6 of each head is not rotated
    for (int64_t row = 0; row < m; ++row)
      for (int64_t head = 0; head < 3; ++head)
        for (int64_t i = 0; i < 3; ++i) {
          const float *in = &x[row * 21 + head * 7];
          float *to = &expected[row * 21 + head * 7];
          float c = angles[row * 6 + i], s = angles[row * 6 + 3 + i];
          to[i] = in[i] * c - in[3 + i] * s;
          to[3 + i] = in[3 + i] * c + in[i] * s;
        }
    EXPECT_LT(rowError(run("rotary", {x.data(), angles.data()}, fresh(21)),
                       expected, 21),
              1e-6);

    symbols.slots = 3;
    symbols.context = 17;
    std::vector<float> cache = integers(3 * 17 * 5);
    x = normals(m * 5);
    std::vector<int32_t> slots(m);
    expected = cache;
    for (int64_t row = 0; row < m; ++row) {
      slots[row] = row % 3;
      positions[row] = (row * 5) % 17;
      std::copy_n(&x[row * 5], 5,
                  &expected[(slots[row] * 17 + positions[row]) * 5]);
    }
    EXPECT_EQ(run("append", {x.data(), slots.data(), positions.data()}, cache),
              expected);

    std::vector<float> wide = normals(m * 6),
                       storedCache = integers(3 * 17 * 6), narrow = wide;
    std::vector<char> before = store(storedCache, "bf16"), after = before,
                      rounded = store(narrow, "bf16");
    for (int64_t row = 0; row < m; ++row)
      std::copy_n(&rounded[row * 12], 12,
                  &after[(slots[row] * 17 + positions[row]) * 12]);
    EXPECT_EQ(runBytes(*kernels, "append_bf16",
                       {wide.data(), slots.data(), positions.data()}, before,
                       symbols),
              after);

    std::vector<float> gate = normals(m * 45), up = normals(m * 45);
    expected.assign(m * 45, 0.0f);
    for (int64_t i = 0; i < m * 45; ++i)
      expected[i] = gate[i] / (1.0f + std::exp(-gate[i])) * up[i];
    EXPECT_LT(rowError(run("swiglu", {gate.data(), up.data()}, fresh(45)),
                       expected, 45),
              1e-6);

    std::vector<float> delta = integers(m * 11), stream = integers(m * 11);
    expected = stream;
    for (int64_t i = 0; i < m * 11; ++i)
      expected[i] += delta[i];
    EXPECT_EQ(run("residual", {delta.data()}, stream), expected);

    std::vector<float> a = integers(m * 9), w = integers(7 * 9);
    std::vector<char> storedWeight = store(w, "bf16");
    EXPECT_EQ(run("matmul", {a.data(), storedWeight.data()}, fresh(7)),
              multiply(a, w, m, 7, 9));
  }

  std::vector<float> x = integers(43);
  float total = 0;
  for (float value : x)
    total += value;
  EXPECT_EQ(runAllWays(*kernels, "sum", {x.data()}, {NAN}, {}),
            std::vector<float>{total});
  x = integers(2500);
  std::vector<float> doubled = x;
  for (float &value : doubled)
    value *= 2;
  EXPECT_EQ(runAllWays(*kernels, "vector", {x.data()},
                       std::vector<float>(2500, NAN), {}),
            doubled);
}

TEST(RowKernel, ACallDoesItsItemsOnly) {
  auto kernels = Kernels::compile(kRowOps);
  ASSERT_TRUE(kernels);
  Symbols symbols;
  symbols.rows = 200;
  symbols.slots = 1;
  symbols.context = 200;

  // Item 1: row 1.
  std::vector<float> delta(200 * 11, 1.0f), stream(200 * 11, 2.0f),
      expected = stream;
  std::fill_n(expected.begin() + 11, 11, 3.0f);
  kernels->runItems("residual", {delta.data(), stream.data()}, symbols, 1, 2);
  EXPECT_EQ(stream, expected);

  // Item 1: as many rows as an item has, from there on.
  int64_t first = kernels->rowsOfItem("append");
  ASSERT_GT(first, 1);
  symbols.rows = symbols.context = 2 * first + 3;
  std::vector<float> rows(symbols.rows * 5, 7.0f),
      cache(symbols.rows * 5, 0.0f);
  std::vector<int32_t> slots(symbols.rows, 0), positions(symbols.rows);
  std::iota(positions.begin(), positions.end(), 0);
  expected = cache;
  std::fill_n(expected.begin() + first * 5, first * 5, 7.0f);
  kernels->runItems("append",
                    {rows.data(), slots.data(), positions.data(), cache.data()},
                    symbols, 1, 2);
  EXPECT_EQ(cache, expected);
}

/// A norm, a lookup and an append of rows of one width, and what they store.
std::string rowKernels(int64_t width, StringRef type) {
  return formatv(R"(
    func.func @norm_{0}(%x: {1} {2}, %g: tensor<{0}xf32>, %out: tensor<?x{0}x{3}> {2}) -> tensor<?x{0}x{3}> {{
      %0 = decoder.rms_norm "" %x, %g {{epsilon = 1.0e-5 : f32, divisor = {0} : i64} : {1}, tensor<{0}xf32> {4}
      return %0 : tensor<?x{0}x{3}>
    }
    func.func @lookup_{0}(%i: tensor<?xi32> {{exec.dims = ["rows"]}, %t: tensor<40x{0}x{3}>, %out: {1} {2}) -> {1} {{
      %0 = decoder.lookup "" %i in %t : tensor<?xi32>, tensor<40x{0}x{3}> -> {1}
      return %0 : {1}
    }
    func.func @append_{0}(%r: {1} {2}, %slots: tensor<?xi32> {{exec.dims = ["rows"]}, %positions: tensor<?xi32> {{exec.dims = ["rows"]},
                          %cache: tensor<?x?x{0}x{3}> {{exec.dims = ["slots", "context", {0}]}) -> tensor<?x?x{0}x{3}> {{
      %0 = decoder.append "" %r into %cache at %slots, %positions : {1} into tensor<?x?x{0}x{3}>
      return %0 : tensor<?x?x{0}x{3}>
    })",
                 width, rowsType(width), rowsDims(width), type,
                 type == "f32"
                     ? ""
                     : formatv("-> tensor<?x{0}x{1}>", width, type).str())
      .str();
}

TEST(RowKernel, RowsOfAnyWidth) {
  struct Case {
    int64_t width;
    const char *type;
    double tolerance; // of what is stored in that type
  };
  const Case cases[] = {{1, "bf16", 4e-3},    {16, "f32", 1e-6},
                        {33, "f16", 5e-4},    {2047, "bf16", 4e-3},
                        {2112, "bf16", 4e-3}, {4099, "f32", 1e-6}};
  std::string source;
  for (const Case &each : cases)
    source += rowKernels(each.width, each.type);
  for (const std::string &isa : targets()) {
    auto kernels = Kernels::compile(source, /*oracle=*/false, isa);
    ASSERT_TRUE(kernels);
    const int64_t m = isa == kGPU ? 5 : 37; // the emulator takes its time
    for (auto [width, type, tolerance] : cases) {
      SCOPED_TRACE(formatv("{0} {1} {2}", width, type, isa).str());
      Symbols symbols;
      symbols.rows = m;
      symbols.slots = 3;
      symbols.context = 29;
      /// Runs a kernel that stores `type`.
      auto run = [&](StringRef op, std::vector<const void *> args,
                     std::vector<float> destination, StringRef stored) {
        std::string name = formatv("{0}_{1}", op, width).str();
        EXPECT_EQ(kernels->strategy(name),
                  isa == kGPU && op == "norm" ? "norm" : "rows");
        return unstore(
            runBytes(*kernels, name, args, store(destination, stored), symbols),
            stored);
      };

      std::vector<float> x = normals(m * width), gain = normals(width), norm;
      for (int64_t row = 0; row < m; ++row) {
        double squares = 0;
        for (int64_t i = 0; i < width; ++i)
          squares += double(x[row * width + i]) * x[row * width + i];
        for (int64_t i = 0; i < width; ++i)
          norm.push_back(x[row * width + i] /
                         std::sqrt(squares / width + 1e-5) * gain[i]);
      }
      std::vector<float> fresh(m * width, NAN);
      EXPECT_LT(rowError(run("norm", {x.data(), gain.data()}, fresh, type),
                         norm, width),
                tolerance);

      std::vector<float> table = normals(40 * width), picked;
      std::vector<char> storedTable = store(table, type);
      std::vector<int32_t> indices(m), slots(m), positions(m);
      for (int64_t row = 0; row < m; ++row) {
        indices[row] = (row * 7 + 18) % 40;
        slots[row] = row % 3;
        positions[row] = (row * 5) % 29;
        picked.insert(picked.end(), &table[indices[row] * width],
                      &table[indices[row] * width] + width);
      }
      EXPECT_EQ(
          run("lookup", {indices.data(), storedTable.data()}, fresh, "f32"),
          picked);

      std::vector<float> cache = normals(3 * 29 * width), expected = cache,
                         narrow = x;
      store(narrow, type);
      store(expected, type);
      for (int64_t row = 0; row < m; ++row)
        std::copy_n(&narrow[row * width], width,
                    &expected[(slots[row] * 29 + positions[row]) * width]);
      EXPECT_EQ(run("append", {x.data(), slots.data(), positions.data()}, cache,
                    type),
                expected);
    }
  }
}

TEST(RowKernel, RowOpsMatchTheirDefinitions) {
  for (const char *isa : {"host", "avx2", kGPU})
    checkRowOps(/*oracle=*/false, isa);
}

TEST(RowKernel, OracleRowOpsMatchTheirDefinitions) {
  checkRowOps(/*oracle=*/true, "host");
}

//===----------------------------------------------------------------------===//
// Rows of lists
//===----------------------------------------------------------------------===//

struct ListedCase {
  int64_t heads, headDim, rotated;
  int64_t lists; // for equal groups of heads; 0: one for all
  const char *type;
  double tolerance;
};

std::string listedKernels(const ListedCase &shape) {
  std::string list = "tensor<?xi32>", listDims = R"(["rows"])",
              count = "tensor<i32>";
  if (shape.lists) {
    list = formatv("tensor<{0}x?xi32>", shape.lists).str();
    listDims = formatv(R"([{0}, "rows"])", shape.lists).str();
    count = formatv("tensor<{0}xi32>", shape.lists).str();
  }
  int64_t width = shape.heads * shape.headDim;
  std::string x = rowsType(width), out = rowsType(width, shape.type);
  std::string rounded = StringRef(shape.type) == "f32" ? "" : "-> " + out;
  std::string lists =
      formatv("%list: {0} {{exec.dims = {1}}, %count: {2}, %out: {3} {4}", list,
              listDims, count, out, rowsDims(width))
          .str();
  return formatv(R"(
    func.func @norm_{0}_{3}(%x: {1} {2}, %g: tensor<{3}xf32>, {4}) -> {5} {{
      %0 = decoder.rms_norm "" %x, %g rows(%list, %count : {6}) {{epsilon = 1.0e-5 : f32, divisor = {3} : i64, head_dim = {3} : i64} : {1}, tensor<{3}xf32> {7}
      return %0 : {5}
    }
    func.func @rotary_{0}_{3}(%x: {1} {2}, %a: {8} {9}, {4}) -> {5} {{
      %0 = decoder.rotary "" %x, %a rows(%list, %count : {6}) {{head_dim = {3} : i64} : {1}, {8} {7}
      return %0 : {5}
    })",
                 width, x, rowsDims(width), shape.headDim, lists, out, list,
                 rounded, rowsType(shape.rotated), rowsDims(shape.rotated))
      .str();
}

/// Rows that are listed have the op's values, and no others are written.
void checkListed(Kernels &kernels, const ListedCase &shape, int64_t m,
                 int64_t share) {
  int64_t width = shape.heads * shape.headDim, half = shape.rotated / 2,
          groups = std::max<int64_t>(1, shape.lists);
  SCOPED_TRACE(formatv("width {0}, {1} rows, one of {2} listed, seed {3}",
                       width, m, share, seed())
                   .str());
  // One row in `share`, of each group others; none at 0.
  std::vector<int32_t> lists, counts;
  std::vector<bool> isListed(groups * m);
  for (int64_t group = 0; group < groups; ++group) {
    std::vector<int32_t> list;
    for (int64_t row = 0; row < m; ++row)
      if (share && (row + group) % share == 0) {
        list.push_back(static_cast<int32_t>(row));
        isListed[group * m + row] = true;
      }
    counts.push_back(static_cast<int32_t>(list.size()));
    list.resize(m, -12345);
    lists.insert(lists.end(), list.begin(), list.end());
  }
  std::vector<float> x = integers(m * width), gain = normals(shape.headDim),
                     angles = integers(m * shape.rotated),
                     before = integers(m * width);
  std::vector<char> destination = store(before, shape.type);
  Symbols symbols;
  symbols.rows = m;
  auto check =
      [&](StringRef op, const std::vector<float> &operand, double tolerance,
          llvm::function_ref<float(const float *, int64_t, int64_t)> element) {
        std::string name =
            formatv("{0}_{1}_{2}", op, width, shape.headDim).str();
        std::vector<float> result = unstore(
            runBytes(kernels, name,
                     {x.data(), operand.data(), lists.data(), counts.data()},
                     destination, symbols),
            shape.type);
        for (int64_t row = 0; row < m; ++row)
          for (int64_t column = 0; column < width; ++column) {
            int64_t head = column / shape.headDim, i = column % shape.headDim;
            float found = result[row * width + column];
            if (!isListed[head / (shape.heads / groups) * m + row]) {
              ASSERT_EQ(found, before[row * width + column]) << name << row;
              continue;
            }
            float expected =
                element(&x[row * width + head * shape.headDim], row, i);
            ASSERT_NEAR(found, expected, tolerance * (1 + std::abs(expected)))
                << name << " row " << row << " column " << column;
          }
      };
  check("norm", gain, shape.tolerance,
        [&](const float *in, int64_t, int64_t i) {
          double squares = 0;
          for (int64_t d = 0; d < shape.headDim; ++d)
            squares += double(in[d]) * in[d];
          return float(in[i] / std::sqrt(squares / shape.headDim + 1e-5) *
                       gain[i]);
        });
  // Sums of two products of small integers are exact in all types.
  check("rotary", angles, 0, [&](const float *in, int64_t row, int64_t i) {
    const float *c = &angles[row * shape.rotated], *s = c + half;
    if (i >= shape.rotated)
      return in[i];
    return i < half ? in[i] * c[i] - in[half + i] * s[i]
                    : in[i] * c[i - half] + in[i - half] * s[i - half];
  });
}

TEST(RowKernel, OnlyListedRowsAreWritten) {
  const ListedCase cases[] = {
      {3, 7, 6, 0, "f32", 1e-6},    {6, 20, 12, 3, "bf16", 4e-3},
      {4, 64, 64, 2, "bf16", 4e-3}, {2, 128, 128, 0, "f32", 1e-6},
      {1, 33, 2, 0, "f16", 5e-4},   {2, 144, 72, 2, "f32", 1e-6}};
  std::string source;
  for (const ListedCase &shape : cases)
    source += listedKernels(shape);
  for (const std::string &isa : {std::string("host"), std::string(kGPU)}) {
    SCOPED_TRACE(isa);
    auto kernels = Kernels::compile(source, /*oracle=*/false, isa);
    ASSERT_TRUE(kernels);
    for (const ListedCase &shape : cases)
      for (auto [m, share] :
           {std::pair(1, 1), std::pair(9, 3), std::pair(6, 1), std::pair(5, 0)})
        checkListed(*kernels, shape, m, share);
  }
}

//===----------------------------------------------------------------------===//
// Functions of elements
//===----------------------------------------------------------------------===//

// Vectors along columns, one number a row, numbers read and written in 16 bit,
// two results, and a width that is no multiple of an access.
const char *const kElements = R"(
  #id = affine_map<(m, n) -> (m, n)>
  #column = affine_map<(m, n) -> (n)>
  #row = affine_map<(m, n) -> (m, 0)>
  func.func @scaled(%x: tensor<?x48xbf16> {exec.dims = ["rows", 48]}, %b: tensor<48xf32>,
                    %p: tensor<?x1xf32> {exec.dims = ["rows", 1]}, %out: tensor<?x48xbf16> {exec.dims = ["rows", 48]}) -> tensor<?x48xbf16> {
    %c0 = arith.constant 0 : index
    %m = tensor.dim %x, %c0 : tensor<?x48xbf16>
    %e = tensor.empty(%m) : tensor<?x48xbf16>
    %0 = linalg.generic {indexing_maps = [#id, #column, #row, #id], iterator_types = ["parallel", "parallel"]}
        ins(%x, %b, %p : tensor<?x48xbf16>, tensor<48xf32>, tensor<?x1xf32>) outs(%e : tensor<?x48xbf16>) {
    ^bb0(%a: bf16, %c: f32, %s: f32, %o: bf16):
      %w = arith.extf %a : bf16 to f32
      %t = arith.addf %w, %c : f32
      %r = arith.mulf %t, %s : f32
      %n = arith.truncf %r : f32 to bf16
      linalg.yield %n : bf16
    } -> tensor<?x48xbf16>
    return %0 : tensor<?x48xbf16>
  }
  func.func @both(%x: tensor<?x27xf32> {exec.dims = ["rows", 27]}, %sum: tensor<?x27xf32> {exec.dims = ["rows", 27]},
                  %half: tensor<?x27xf16> {exec.dims = ["rows", 27]}) -> (tensor<?x27xf32>, tensor<?x27xf16>) {
    %c0 = arith.constant 0 : index
    %two = arith.constant 2.0 : f32
    %m = tensor.dim %x, %c0 : tensor<?x27xf32>
    %e = tensor.empty(%m) : tensor<?x27xf16>
    %0:2 = linalg.generic {indexing_maps = [#id, #id, #id], iterator_types = ["parallel", "parallel"]}
        ins(%x : tensor<?x27xf32>) outs(%sum, %e : tensor<?x27xf32>, tensor<?x27xf16>) {
    ^bb0(%a: f32, %s: f32, %o: f16):
      %t = arith.addf %a, %s : f32
      %d = arith.mulf %a, %two : f32
      %h = arith.truncf %d : f32 to f16
      linalg.yield %t, %h : f32, f16
    } -> (tensor<?x27xf32>, tensor<?x27xf16>)
    return %0#0, %0#1 : tensor<?x27xf32>, tensor<?x27xf16>
  }
)";

TEST(RowKernel, FunctionsOfElements) {
  for (const std::string &isa : {std::string("host"), std::string(kGPU)}) {
    auto kernels = Kernels::compile(kElements, /*oracle=*/false, isa);
    ASSERT_TRUE(kernels);
    for (const char *name : {"scaled", "both"})
      EXPECT_EQ(kernels->strategy(name), isa == kGPU ? "elementwise" : "loops");
    for (int64_t m : {0, 1, 29}) {
      SCOPED_TRACE(formatv("{0}, {1} rows, seed {2}", isa, m, seed()).str());
      Symbols symbols;
      symbols.rows = m;
      std::vector<float> x = integers(m * 48), bias = integers(48),
                         factors = integers(m), expected(m * 48);
      std::vector<char> stored = store(x, "bf16");
      for (int64_t i = 0; i < m * 48; ++i)
        expected[i] = (x[i] + bias[i % 48]) * factors[i / 48];
      EXPECT_EQ(unstore(runBytes(*kernels, "scaled",
                                 {stored.data(), bias.data(), factors.data()},
                                 std::vector<char>(m * 96, -1), symbols),
                        "bf16"),
                expected);

      x = integers(m * 27);
      std::vector<float> sum = integers(m * 27), half(m * 27, 0.0f);
      expected = sum;
      for (int64_t i = 0; i < m * 27; ++i)
        expected[i] += x[i];
      Guarded sums(bytesOf(sum)), halves(store(half, "f16"));
      kernels->run("both", {x.data(), sums.data(), halves.data()}, symbols);
      EXPECT_EQ(unstore(sums.contents(), "f32"), expected);
      for (int64_t i = 0; i < m * 27; ++i)
        expected[i] = 2 * x[i];
      EXPECT_EQ(unstore(halves.contents(), "f16"), expected);
      EXPECT_TRUE(sums.intact() && halves.intact());
    }
  }
}

// Large angles need all bits of a multiple of pi/2.
TEST(RowKernel, AnglesOfLongContexts) {
  auto kernels = Kernels::compile(R"(
    func.func @angles(%p: tensor<?xi32> {exec.dims = ["rows"]},
                      %out: tensor<?x8xf32> {exec.dims = ["rows", 8]}) -> tensor<?x8xf32> {
      %0 = decoder.rotary_table "" %p {frequencies = array<f32: 1.0, 0.7498942, 0.1, 1.0e-4>} : tensor<?xi32> -> tensor<?x8xf32>
      return %0 : tensor<?x8xf32>
    })",
                                  /*oracle=*/false, kGPU);
  ASSERT_TRUE(kernels);
  const float frequencies[] = {1.0f, 0.7498942f, 0.1f, 1.0e-4f};
  std::vector<int32_t> positions{0, 1, 2, 3, 131071, 131072, 103993, 104348};
  for (int i = 0; i < 500; ++i)
    positions.push_back(static_cast<int32_t>(pick(0, 131072)));
  Symbols symbols;
  symbols.rows = static_cast<int64_t>(positions.size());
  std::vector<float> table(positions.size() * 8, NAN);
  kernels->run("angles", {positions.data(), table.data()}, symbols);
  for (auto [row, position] : llvm::enumerate(positions))
    for (int i = 0; i < 4; ++i) {
      float angle = static_cast<float>(position) * frequencies[i];
      EXPECT_NEAR(table[row * 8 + i], std::cos(double(angle)), 1.2e-7) << angle;
      EXPECT_NEAR(table[row * 8 + 4 + i], std::sin(double(angle)), 1.2e-7)
          << angle;
    }
}

} // namespace
} // namespace coppice
