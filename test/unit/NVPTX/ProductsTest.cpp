//===- ProductsTest.cpp - products on a GPU against a triple loop ---------===//
//
// Shapes and data are drawn anew in each run; a failure prints the seed. On
// small integers float arithmetic is exact, so that results must be equal to
// the bit. The emulator reports what a GPU would not forgive.
//
//===----------------------------------------------------------------------===//

#include "support/GemmProblem.h"
#include "support/Kernels.h"
#include "llvm/Support/FormatVariadic.h"
#include "gtest/gtest.h"

using llvm::formatv;

namespace coppice {
namespace {

using namespace test;
using Rows = GemmSpec::Rows;
using Epilogue = GemmSpec::Epilogue;

GemmSpec draw(llvm::StringRef input, llvm::StringRef weight,
              llvm::StringRef output = "f32",
              Epilogue epilogue = Epilogue::None) {
  GemmSpec spec;
  spec.n = pick(1, 90);
  spec.k = pick(1, 200);
  spec.input = input;
  spec.weight = weight;
  spec.output = output;
  spec.epilogue = epilogue;
  return spec;
}

/// Compiles a product as `compile` does and runs it for few rows and for many,
/// with little and much of each set.
void check(const GemmSpec &spec, const std::string &strategy = "") {
  SCOPED_TRACE(formatv("seed {0}: N {1} K {2}, {3} x {4} to {5}, epilogue {6}; "
                       "sets {7} {8} {9}; {10} of {11}",
                       seed(), spec.n, spec.k, spec.input, spec.weight,
                       spec.output, int(spec.epilogue), int(spec.rows),
                       spec.panelSize, spec.groupSize, spec.kept, spec.of)
                   .str());
  auto kernels =
      Kernels::compile(spec.getSource("product"), false, "emu:sm_80");
  ASSERT_TRUE(kernels);
  if (!strategy.empty())
    EXPECT_EQ(kernels->strategy("product"), strategy);
  bool hasSets = spec.rows != Rows::All || spec.panelSize || spec.groupSize;
  for (int64_t m : {int64_t(0), int64_t(1), pick(2, 8), pick(9, 40)})
    for (Kept kept :
         hasSets ? std::vector{Kept::None, Kept::One, Kept::Some, Kept::All}
                 : std::vector{Kept::All}) {
      SCOPED_TRACE(formatv("{0} rows, kept {1}", m, int(kept)).str());
      GemmProblem problem(spec, m, kept);
      Guarded weight(store(problem.weight(), spec.weight));
      Symbols symbols;
      symbols.rows = m;
      // As many blocks as there are items, or a few that take turns.
      kernels->run("product", problem.arguments(weight.data()), symbols,
                   pick(0, 1) * pick(1, 5));
      problem.expectExact();
    }
}

TEST(NVPTXProducts, AreExactOnIntegersAtOddShapes) {
  for (auto [input, weight] : {std::pair("f32", "f32"),
                               {"bf16", "bf16"},
                               {"f16", "f16"},
                               {"f32", "bf16"},
                               {"bf16", "f32"}})
    check(draw(input, weight));
}

TEST(NVPTXProducts, EpiloguesAreExactOnIntegers) {
  for (const GemmSpec &spec :
       {draw("f32", "f32", "f32", Epilogue::Residual),
        draw("bf16", "bf16", "f32", Epilogue::Residual),
        draw("f32", "f32", "f32", Epilogue::Bias),
        draw("bf16", "bf16", "bf16", Epilogue::Bias),
        draw("bf16", "bf16", "bf16"), draw("f32", "f16", "f16")})
    check(spec);
}

TEST(NVPTXProducts, RunTimeSetsAreExactOnIntegers) {
  struct Sets {
    Rows rows;
    bool panels, groups;
  };
  for (const Sets &sets : {Sets{Rows::Gather, false, false},
                           {Rows::Scatter, false, false},
                           {Rows::Both, false, false},
                           {Rows::All, true, false},
                           {Rows::All, false, true},
                           {Rows::Both, true, true}})
    for (llvm::StringRef type : {"f32", "bf16"}) {
      GemmSpec spec = draw(type, type);
      spec.epilogue = pick(0, 1) ? Epilogue::Residual : Epilogue::Bias;
      spec.rows = sets.rows;
      if (sets.panels)
        spec.panelSize = pick(1, 50);
      if (sets.groups)
        spec.groupSize = pick(1, 70);
      check(spec);
    }
}

TEST(NVPTXProducts, ListsOfRowsAreExactOnIntegers) {
  for (Rows rows : {Rows::PerPanel, Rows::PerGroup})
    for (llvm::StringRef type : {"f32", "bf16"}) {
      GemmSpec spec = draw(type, type);
      spec.epilogue = pick(0, 1) ? Epilogue::Residual : Epilogue::Bias;
      spec.rows = rows;
      (rows == Rows::PerPanel ? spec.panelSize : spec.groupSize) = pick(1, 60);
      check(spec);
    }
}

} // namespace
} // namespace coppice
