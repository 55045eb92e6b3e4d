//===- ProductCheck.cpp - products on a GPU against a triple loop ---------===//

#include "ProductCheck.h"
#include "llvm/Support/FormatVariadic.h"
#include "gtest/gtest.h"

using llvm::formatv;

namespace coppice::test {

using Rows = GemmSpec::Rows;

GemmSpec drawProduct(llvm::StringRef input, llvm::StringRef weight,
                     llvm::StringRef output, GemmSpec::Epilogue epilogue) {
  GemmSpec spec;
  spec.n = pick(1, 90);
  spec.k = pick(1, 200);
  spec.input = input;
  spec.weight = weight;
  spec.output = output;
  spec.epilogue = epilogue;
  return spec;
}

/// The strategy of the last stage of the last variant.
static std::string expectedStrategy(const GemmSpec &spec,
                                    const nvptx::PlanOptions &options) {
  // Tensor cores multiply 16 bits, and what fills a good part of a tile.
  auto isFine = [](int64_t size, int64_t extent) {
    return size && size < std::min<int64_t>(extent, 16);
  };
  if (spec.input != spec.weight || spec.weight == "f32" ||
      isFine(spec.groupSize, spec.k) ||
      (spec.rows == Rows::PerPanel && isFine(spec.panelSize, spec.n)))
    return "dots";
  if (options.gemm && options.gemm->splits > 1)
    return "gemm_merge";
  bool isSelected = spec.of && spec.of <= 4 && spec.panelSize % 16 == 0 &&
                    spec.groupSize % 64 == 0;
  return options.gemm ? options.gemm->twoOfFour ? "gemm_2of4" : "gemm"
         : isSelected ? "gemm_2of4"
                      : "gemm";
}

void checkProduct(const GemmSpec &spec, const nvptx::PlanOptions &options,
                  std::vector<int64_t> rowCounts) {
  SCOPED_TRACE(formatv("seed {0}: N {1} K {2}, {3} x {4} to {5}, epilogue {6}; "
                       "sets {7} {8} {9}; {10} of {11}",
                       seed(), spec.n, spec.k, spec.input, spec.weight,
                       spec.output, int(spec.epilogue), int(spec.rows),
                       spec.panelSize, spec.groupSize, spec.kept, spec.of)
                   .str());
  auto kernels = compileForGPU(spec.getSource("product"), options);
  ASSERT_TRUE(kernels);
  EXPECT_EQ(kernels->strategy("product"), expectedStrategy(spec, options));
  // Of the panels that a plan may want, only tensor cores' are so narrow.
  using Layout = rt::NMLayout;
  std::optional<Layout> layout;
  if (kernels->panels("product", 1) == Layout::tensorPanel)
    layout = Layout::make(2, 4, Layout::tensorPanel, Layout::tensorDepth, 2);
  bool hasSets = spec.rows != Rows::All || spec.panelSize || spec.groupSize;
  if (rowCounts.empty())
    rowCounts = {0, pick(1, 8), pick(9, 40)};
  for (int64_t m : rowCounts)
    for (Kept kept :
         hasSets &&m ? std::vector{Kept::None, Kept::One, Kept::Some, Kept::All}
                     : std::vector{Kept::All}) {
      SCOPED_TRACE(formatv("{0} rows, kept {1}", m, int(kept)).str());
      GemmProblem problem(spec, m, kept);
      Guarded weight(layout ? packKept(problem.weight(), spec.weight, spec.n,
                                       spec.k, *layout)
                            : store(problem.weight(), spec.weight));
      Symbols symbols;
      symbols.rows = m;
      // As many blocks as there are items, or a few that take turns.
      kernels->run("product", problem.arguments(weight.data()), symbols,
                   pick(0, 1) * pick(1, 5));
      problem.expectExact();
    }
}

} // namespace coppice::test
