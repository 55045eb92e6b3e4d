//===- ProductsTest.cpp - products on a GPU, as they are planned ----------===//

#include "ProductCheck.h"
#include "gtest/gtest.h"

namespace coppice {
namespace {

using namespace test;
using Rows = GemmSpec::Rows;
using Epilogue = GemmSpec::Epilogue;

TEST(NVPTXProducts, AreExactOnIntegersAtOddShapes) {
  for (auto [input, weight] : {std::pair("f32", "f32"),
                               {"bf16", "bf16"},
                               {"f16", "f16"},
                               {"f32", "bf16"},
                               {"bf16", "f32"}})
    checkProduct(drawProduct(input, weight));
}

TEST(NVPTXProducts, EpiloguesAreExactOnIntegers) {
  for (const GemmSpec &spec :
       {drawProduct("f32", "f32", "f32", Epilogue::Residual),
        drawProduct("bf16", "bf16", "f32", Epilogue::Residual),
        drawProduct("f32", "f32", "f32", Epilogue::Bias),
        drawProduct("bf16", "bf16", "bf16", Epilogue::Bias),
        drawProduct("bf16", "bf16", "bf16"), drawProduct("f32", "f16", "f16")})
    checkProduct(spec);
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
      GemmSpec spec = drawProduct(type, type);
      spec.epilogue = pick(0, 1) ? Epilogue::Residual : Epilogue::Bias;
      spec.rows = sets.rows;
      if (sets.panels)
        spec.panelSize = pick(1, 50);
      if (sets.groups)
        spec.groupSize = pick(1, 70);
      checkProduct(spec);
    }
}

TEST(NVPTXProducts, ListsOfRowsAreExactOnIntegers) {
  for (Rows rows : {Rows::PerPanel, Rows::PerGroup})
    for (llvm::StringRef type : {"f32", "bf16"}) {
      GemmSpec spec = drawProduct(type, type);
      spec.epilogue = pick(0, 1) ? Epilogue::Residual : Epilogue::Bias;
      spec.rows = rows;
      (rows == Rows::PerPanel ? spec.panelSize : spec.groupSize) = pick(1, 60);
      checkProduct(spec);
    }
}

/// Patterns that tensor cores select by, one that they do not, and sets that
/// begin and end within what is packed together.
TEST(NVPTXProducts, PatternsAreExactOnIntegers) {
  struct Pattern {
    int64_t kept, of;
  };
  for (const Pattern &pattern : {Pattern{2, 4}, {1, 4}, {1, 2}, {4, 8}})
    for (llvm::StringRef type : {"bf16", "f16"}) {
      GemmSpec spec = drawProduct(type, type);
      spec.kept = pattern.kept;
      spec.of = pattern.of;
      spec.epilogue = pick(0, 1) ? Epilogue::Residual : Epilogue::Bias;
      spec.rows = Rows(pick(0, 3));
      if (pick(0, 1))
        spec.panelSize = 8 * pick(2, 6);
      if (pick(0, 1))
        spec.groupSize = 32 * pick(1, 6);
      checkProduct(spec);
    }
}

/// Few rows read weights 16 bytes at a time, past what is written.
TEST(NVPTXProducts, FewRowsReadWeightsInLongRuns) {
  GemmSpec spec;
  spec.n = pick(1, 20);
  // Warps share a column, and each has several steps: LLVM unrolls three, and
  // forgets that they are of constants.
  spec.k = 8 * pick(257, 400);
  for (llvm::StringRef type : {"bf16", "f32"}) {
    spec.input = spec.weight = type;
    auto kernels = compileForGPU(spec.getSource("product"));
    ASSERT_TRUE(kernels);
    EXPECT_NE(kernels->ptx().find("ld.global.nc.v4.b32"), std::string::npos);
    checkProduct(spec, {}, {1, 2, 3});
  }
}

} // namespace
} // namespace coppice
