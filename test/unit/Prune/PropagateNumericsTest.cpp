// Each rule of prune-propagate as an equation: the program with projections and
// the propagated one give the same values, for random inputs, odd sizes and
// many random sets. That something moved is checked too, for leaving everything
// where it is would be right as well.
#include "test/unit/Prune/Evaluator.h"

#include "coppice/Dialect/Decoder/IR/Decoder.h"
#include "coppice/Dialect/Prune/IR/Prune.h"
#include "coppice/Dialect/Prune/Transforms/Passes.h"
#include "coppice/Dialect/Prune/Transforms/StaticPlan.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/MLProgram/IR/MLProgram.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/Parser/Parser.h"
#include "mlir/Pass/PassManager.h"

#include <gtest/gtest.h>
#include <random>

using namespace mlir;
using namespace coppice;
using namespace coppice::test;
using namespace coppice::prune;

namespace {

constexpr int64_t kRows = 5, kSlots = 2, kContext = 4;

class Propagate : public ::testing::Test {
protected:
  Propagate() {
    context.loadDialect<PruneDialect, decoder::DecoderDialect,
                        arith::ArithDialect, func::FuncDialect,
                        linalg::LinalgDialect, math::MathDialect,
                        ml_program::MLProgramDialect, tensor::TensorDialect>();
  }

  /// A random set as text, neither empty nor full.
  std::string set(int64_t count, int64_t granule = 1) {
    std::vector<bool> mask(count);
    do
      for (int64_t i = 0; i < count; ++i)
        mask[i] = random() % 2;
    while (llvm::all_of(mask, [](bool kept) { return kept; }) ||
           llvm::none_of(mask, [](bool kept) { return kept; }));
    std::string text;
    for (int64_t i = 0; i < count; ++i)
      if (mask[i])
        text += (text.empty() ? "" : ", ") + std::to_string(i);
    return "#prune.set<[" + text + "] of " + std::to_string(count) +
           (granule > 1 ? " x " + std::to_string(granule) : "") + ">";
  }

  /// Replaces @NAMES in a program by sets.
  static std::string fill(std::string text,
                          const std::map<std::string, std::string> &sets) {
    for (const auto &[name, set] : sets)
      for (size_t at; (at = text.find(name)) != std::string::npos;)
        text.replace(at, name.size(), set);
    return text;
  }

  Tensor randomTensor(RankedTensorType type, StringRef step) {
    const int64_t dynamic[] = {type.getRank() == 3 ? kSlots : kRows, kContext,
                               0};
    std::vector<int64_t> shape(type.getShape());
    for (auto [axis, extent] : llvm::enumerate(shape))
      if (ShapedType::isDynamic(extent))
        extent = dynamic[axis];
    Tensor tensor(shape);
    for (auto [i, value] : llvm::enumerate(tensor.values)) {
      if (type.getElementType().isF32() || type.getElementType().isBF16())
        value = std::normal_distribution<double>()(random);
      else if (step ==
               "slots") // rows 0..2 are sequence 0, the others sequence 1
        value = i < 3 ? 0 : 1;
      else if (step == "positions")
        value = i < 3 ? double(i) : double(i - 3);
      else
        value = double(random() % kRows);
    }
    return tensor;
  }

  std::vector<Tensor> randomArguments(func::FuncOp function) {
    std::vector<Tensor> arguments;
    for (auto [i, type] : llvm::enumerate(function.getArgumentTypes())) {
      auto step =
          function.getArgAttrOfType<StringAttr>(i, decoder::kStepAttrName);
      arguments.push_back(randomTensor(cast<RankedTensorType>(type),
                                       step ? step.getValue() : ""));
    }
    return arguments;
  }

  /// Runs passes; the program must verify before and after.
  void run(ModuleOp module,
           std::initializer_list<std::unique_ptr<Pass> (*)()> passes) {
    PassManager manager(&context);
    for (auto make : passes)
      manager.addPass(make());
    ASSERT_TRUE(succeeded(manager.run(module)));
  }

  static void expectClose(const Tensor &expected, const Tensor &found,
                          const std::string &what) {
    ASSERT_EQ(expected.shape, found.shape) << what;
    for (auto [a, b] : llvm::zip_equal(expected.values, found.values))
      ASSERT_NEAR(a, b, 1e-9 * (1 + std::abs(a))) << what;
  }

  /// The program before and after propagation on the same inputs. `gathers`:
  /// how many restrictions of computed values may be left; `stuck`: whether an
  /// extension may.
  void expectSame(const std::string &text, int gathers = 0, int extends = 0) {
    OwningOpRef<ModuleOp> dense = parseSourceString<ModuleOp>(text, &context);
    ASSERT_TRUE(dense) << text;
    OwningOpRef<ModuleOp> narrow(dense->clone());
    run(*narrow,
        {[]() -> std::unique_ptr<Pass> { return createPrunePropagate(); }});
    auto before = *dense->getOps<func::FuncOp>().begin(),
         after = *narrow->getOps<func::FuncOp>().begin();
    std::vector<Tensor> arguments = randomArguments(before);
    std::vector<Tensor> expected = evaluate(before, arguments),
                        found = evaluate(after, arguments);
    int leftGathers = 0, leftExtends = 0;
    after.walk([&](RestrictOp op) {
      Operation *source = op.getInput().getDefiningOp();
      leftGathers +=
          source && !isa<RestrictOp>(source); // of an argument, on two axes
    });
    after.walk([&](ExtendOp) { ++leftExtends; });
    std::string description;
    llvm::raw_string_ostream(description) << text << *narrow;
    EXPECT_EQ(leftGathers, gathers) << description;
    EXPECT_EQ(leftExtends, extends) << description;
    // A narrowed state comes back narrow: compare with its part.
    for (size_t i = 0; i < expected.size(); ++i) {
      Attribute kept;
      if (auto *op = after.getBody()
                         .front()
                         .getTerminator()
                         ->getOperand(i)
                         .getDefiningOp();
          isa_and_nonnull<decoder::AppendOp>(op))
        kept = op->getAttr(PruneDialect::keptAttrName);
      expectClose(restrictTo(expected[i], kept), found[i], description);
    }
  }

  MLIRContext context;
  std::mt19937_64 random{20};
};

constexpr int kTrials = 12;

TEST_F(Propagate, GemmColumnsRowsAndReduction) {
  for (int trial = 0; trial < kTrials; ++trial)
    expectSame(fill(R"(
      func.func @f(%x: tensor<5x7xf32>, %w: tensor<9x7xbf16>) -> tensor<5x9xf32> {
        %k = prune.project "k" %x axis 1 keep @K in tensor<5x7xf32>
        %y = prune.gemm "y" %k, %w : tensor<5x7xf32>, tensor<9x7xbf16> -> tensor<5x9xf32>
        %n = prune.project "n" %y axis 1 keep @N in tensor<5x9xf32>
        %m = prune.project "m" %n axis 0 keep @M in tensor<5x9xf32>
        return %m : tensor<5x9xf32>
      })",
                    {{"@K", set(7)}, {"@N", set(9)}, {"@M", set(5)}}),
               0, 2);
}

TEST_F(Propagate, RowsOfTheInputComeOutOfAGemm) {
  for (int trial = 0; trial < kTrials; ++trial)
    expectSame(fill(R"(
      func.func @f(%x: tensor<5x7xf32>, %w: tensor<9x7xbf16>) -> tensor<5x9xf32> {
        %k = prune.project "m" %x axis 0 keep @M in tensor<5x7xf32>
        %y = prune.gemm "y" %k, %w : tensor<5x7xf32>, tensor<9x7xbf16> -> tensor<5x9xf32>
        return %y : tensor<5x9xf32>
      })",
                    {{"@M", set(5)}}),
               0, 1);
}

TEST_F(Propagate, EpilogueOperandsFollow) {
  for (int trial = 0; trial < kTrials; ++trial)
    expectSame(fill(R"(
      func.func @f(%x: tensor<5x7xf32>, %w: tensor<9x7xbf16>, %b: tensor<9xbf16>, %r: tensor<5x9xf32>) -> tensor<5x9xf32> {
        %y = prune.gemm "y" %x, %w epilogue(%acc: f32, %bias: bf16 = %b : tensor<9xbf16>, %res: f32 = %r : tensor<5x9xf32>) {
          %wide = arith.extf %bias : bf16 to f32
          %s = arith.addf %acc, %wide : f32
          %t = arith.addf %s, %res : f32
          prune.yield %t : f32
        } : tensor<5x7xf32>, tensor<9x7xbf16> -> tensor<5x9xf32>
        %n = prune.project "n" %y axis 1 keep @N in tensor<5x9xf32>
        %m = prune.project "m" %n axis 0 keep @M in tensor<5x9xf32>
        return %m : tensor<5x9xf32>
      })",
                    {{"@N", set(9)}, {"@M", set(5)}}),
               0, 2);
}

TEST_F(Propagate, ExtendedRowsStayAboveAnEpilogue) {
  for (int trial = 0; trial < kTrials; ++trial)
    expectSame(fill(R"(
      func.func @f(%x: tensor<5x7xf32>, %w: tensor<9x7xbf16>, %b: tensor<9xf32>) -> tensor<5x9xf32> {
        %p = prune.project "m" %x axis 0 keep @M in tensor<5x7xf32>
        %y = prune.gemm "y" %p, %w epilogue(%acc: f32, %bias: f32 = %b : tensor<9xf32>) {
          %s = arith.addf %acc, %bias : f32
          prune.yield %s : f32
        } : tensor<5x7xf32>, tensor<9x7xbf16> -> tensor<5x9xf32>
        return %y : tensor<5x9xf32>
      })",
                    {{"@M", set(5)}}),
               0, 1);
}

const char *const kMaps = R"(
  #id = affine_map<(m, n) -> (m, n)>
  #row = affine_map<(m, n) -> (n)>
  #swap = affine_map<(m, n) -> (n, m)>)";

TEST_F(Propagate, SwiGLUNarrowsGateUpAndBias) {
  for (int trial = 0; trial < kTrials; ++trial)
    expectSame(kMaps + fill(R"(
      func.func @f(%x: tensor<5x3xf32>, %g: tensor<7x3xbf16>, %u: tensor<7x3xbf16>, %d: tensor<3x7xbf16>, %b: tensor<7xbf16>) -> tensor<5x3xf32> {
        %gate = prune.gemm "gate" %x, %g : tensor<5x3xf32>, tensor<7x3xbf16> -> tensor<5x7xf32>
        %up = prune.gemm "up" %x, %u : tensor<5x3xf32>, tensor<7x3xbf16> -> tensor<5x7xf32>
        %e = tensor.empty() : tensor<5x7xf32>
        %biased = linalg.generic {indexing_maps = [#id, #row, #id], iterator_types = ["parallel", "parallel"]}
          ins(%up, %b : tensor<5x7xf32>, tensor<7xbf16>) outs(%e : tensor<5x7xf32>) {
        ^bb0(%p: f32, %q: bf16, %o: f32):
          %f = arith.extf %q : bf16 to f32
          %s = arith.addf %p, %f : f32
          linalg.yield %s : f32
        } -> tensor<5x7xf32>
        %act = linalg.generic {indexing_maps = [#id, #id, #id], iterator_types = ["parallel", "parallel"]}
          ins(%gate, %biased : tensor<5x7xf32>, tensor<5x7xf32>) outs(%e : tensor<5x7xf32>) {
        ^bb0(%p: f32, %q: f32, %o: f32):
          %one = arith.constant 1.0 : f32
          %minus = arith.negf %p : f32
          %exp = math.exp %minus : f32
          %divisor = arith.addf %exp, %one : f32
          %silu = arith.divf %p, %divisor : f32
          %s = arith.mulf %silu, %q : f32
          linalg.yield %s : f32
        } -> tensor<5x7xf32>
        %p = prune.project "mlp" %act axis 1 keep @N in tensor<5x7xf32>
        %down = prune.gemm "down" %p, %d : tensor<5x7xf32>, tensor<3x7xbf16> -> tensor<5x3xf32>
        return %down : tensor<5x3xf32>
      })",
                            {{"@N", set(7)}}));
}

TEST_F(Propagate, ZerosOfTheGateAreZerosOfTheProduct) {
  // A projection of the gate (after its bias) reaches down's K and up's N.
  for (int trial = 0; trial < kTrials; ++trial)
    expectSame(kMaps + fill(R"(
      func.func @f(%gate: tensor<5x7xf32>, %x: tensor<5x3xf32>, %u: tensor<7x3xbf16>, %d: tensor<3x7xbf16>) -> tensor<5x3xf32> {
        %up = prune.gemm "up" %x, %u : tensor<5x3xf32>, tensor<7x3xbf16> -> tensor<5x7xf32>
        %p = prune.project "mlp" %gate axis 1 keep @N in tensor<5x7xf32>
        %e = tensor.empty() : tensor<5x7xf32>
        %act = linalg.generic {indexing_maps = [#id, #id, #id], iterator_types = ["parallel", "parallel"]}
          ins(%p, %up : tensor<5x7xf32>, tensor<5x7xf32>) outs(%e : tensor<5x7xf32>) {
        ^bb0(%a: f32, %b: f32, %o: f32):
          %zero = arith.constant 0.0 : f32
          %relu = arith.maximumf %a, %zero : f32
          %s = arith.mulf %relu, %b : f32
          linalg.yield %s : f32
        } -> tensor<5x7xf32>
        %down = prune.gemm "down" %act, %d : tensor<5x7xf32>, tensor<3x7xbf16> -> tensor<5x3xf32>
        return %down : tensor<5x3xf32>
      })",
                            {{"@N", set(7)}}));
}

TEST_F(Propagate, SumsKeepTheUnion) {
  for (int trial = 0; trial < kTrials; ++trial) {
    // Sets whose union is not everything: index 8 is in neither.
    std::string k = set(8), l = set(8);
    k.replace(k.rfind("8>"), 2, "9>");
    l.replace(l.rfind("8>"), 2, "9>");
    OwningOpRef<ModuleOp> module;
    std::string text = kMaps + fill(R"(
      func.func @f(%x: tensor<5x9xf32>, %y: tensor<9x5xf32>, %w: tensor<3x9xf32>) -> tensor<5x3xf32> {
        %a = prune.project "a" %x axis 1 keep @K in tensor<5x9xf32>
        %b = prune.project "b" %y axis 0 keep @L in tensor<9x5xf32>
        %e = tensor.empty() : tensor<5x9xf32>
        %s = linalg.generic {indexing_maps = [#id, #swap, #id], iterator_types = ["parallel", "parallel"]}
          ins(%a, %b : tensor<5x9xf32>, tensor<9x5xf32>) outs(%e : tensor<5x9xf32>) {
        ^bb0(%p: f32, %q: f32, %o: f32):
          %sum = arith.addf %p, %q : f32
          linalg.yield %sum : f32
        } -> tensor<5x9xf32>
        %r = prune.gemm "r" %s, %w : tensor<5x9xf32>, tensor<3x9xf32> -> tensor<5x3xf32>
        return %r : tensor<5x3xf32>
      })",
                                    {{"@K", k}, {"@L", l}});
    // Where the two differ each is still padded to the union.
    module = parseSourceString<ModuleOp>(text, &context);
    ASSERT_TRUE(module);
    auto function = *module->getOps<func::FuncOp>().begin();
    std::vector<Tensor> arguments = randomArguments(function);
    std::vector<Tensor> expected = evaluate(function, arguments);
    run(*module,
        {[]() -> std::unique_ptr<Pass> { return createPrunePropagate(); }});
    expectClose(expected[0], evaluate(function, arguments)[0], text);
    GemmOp gemm = *function.getOps<GemmOp>().begin();
    EXPECT_LT(cast<RankedTensorType>(gemm.getInput().getType()).getDimSize(1),
              9);
  }
}

TEST_F(Propagate, AResidualKeepsAllColumns) {
  // f(E x, y) = x + y is not zero where x is: nothing may move.
  for (int trial = 0; trial < kTrials; ++trial)
    expectSame(kMaps + fill(R"(
      func.func @f(%x: tensor<5x9xf32>, %y: tensor<5x9xf32>) -> tensor<5x9xf32> {
        %a = prune.project "a" %x axis 1 keep @K in tensor<5x9xf32>
        %e = tensor.empty() : tensor<5x9xf32>
        %s = linalg.generic {indexing_maps = [#id, #id, #id], iterator_types = ["parallel", "parallel"]}
          ins(%a, %y : tensor<5x9xf32>, tensor<5x9xf32>) outs(%e : tensor<5x9xf32>) {
        ^bb0(%p: f32, %q: f32, %o: f32):
          %sum = arith.addf %p, %q : f32
          linalg.yield %sum : f32
        } -> tensor<5x9xf32>
        return %s : tensor<5x9xf32>
      })",
                            {{"@K", set(9)}}),
               0, 1);
}

TEST_F(Propagate, AllResultsOfAnOpMustAgree) {
  const char *program = R"(
      func.func @f(%x: tensor<5x9xf32>, %w: tensor<9x7xf32>, %v: tensor<3x9xf32>, %u: tensor<3x9xf32>) -> (tensor<5x3xf32>, tensor<3x5xf32>) {
        %e = tensor.empty() : tensor<5x9xf32>
        %t = tensor.empty() : tensor<9x5xf32>
        %s:2 = linalg.generic {indexing_maps = [#id, #id, #swap], iterator_types = ["parallel", "parallel"]}
          ins(%x : tensor<5x9xf32>) outs(%e, %t : tensor<5x9xf32>, tensor<9x5xf32>) {
        ^bb0(%p: f32, %o: f32, %q: f32):
          %sum = arith.addf %p, %p : f32
          %exp = math.exp %p : f32
          linalg.yield %sum, %exp : f32, f32
        } -> (tensor<5x9xf32>, tensor<9x5xf32>)
        %a = prune.project "a" %s#0 axis 1 keep @K in tensor<5x9xf32>
        %ra = prune.gemm "ra" %a, %v : tensor<5x9xf32>, tensor<3x9xf32> -> tensor<5x3xf32>
        %b = prune.restrict %s#1 axis 0 keep @L in tensor<9x5xf32> -> tensor<@Sx5xf32>
        %vl = prune.restrict %v axis 1 keep @L in tensor<3x9xf32> -> tensor<3x@Sxf32>
        %z = arith.constant 0.0 : f32
        %re = tensor.empty() : tensor<3x5xf32>
        %rz = linalg.fill ins(%z : f32) outs(%re : tensor<3x5xf32>) -> tensor<3x5xf32>
        %rb = linalg.matmul ins(%vl, %b : tensor<3x@Sxf32>, tensor<@Sx5xf32>) outs(%rz : tensor<3x5xf32>) -> tensor<3x5xf32>
        return %ra, %rb : tensor<5x3xf32>, tensor<3x5xf32>
      })";
  expectSame(kMaps + fill(program, {{"@K", "#prune.set<[0:2, 7] of 9>"},
                                    {"@L", "#prune.set<[0:2, 7] of 9>"},
                                    {"@S", "3"}}));
  expectSame(kMaps + fill(program, {{"@K", "#prune.set<[0:2, 7] of 9>"},
                                    {"@L", "#prune.set<[0:2, 6] of 9>"},
                                    {"@S", "3"}}),
             2);
}

TEST_F(Propagate, UsersThatDisagreeLeaveAGather) {
  for (int trial = 0; trial < kTrials; ++trial)
    expectSame(R"(
      func.func @f(%x: tensor<5x7xf32>, %w: tensor<9x7xbf16>, %v: tensor<3x9xbf16>, %u: tensor<3x9xbf16>) -> (tensor<5x3xf32>, tensor<5x3xf32>) {
        %y = prune.gemm "y" %x, %w : tensor<5x7xf32>, tensor<9x7xbf16> -> tensor<5x9xf32>
        %p = prune.project "p" %y axis 1 keep #prune.set<[0:4] of 9> in tensor<5x9xf32>
        %q = prune.project "q" %y axis 1 keep #prune.set<[3:9] of 9> in tensor<5x9xf32>
        %a = prune.gemm "a" %p, %v : tensor<5x9xf32>, tensor<3x9xbf16> -> tensor<5x3xf32>
        %b = prune.gemm "b" %q, %u : tensor<5x9xf32>, tensor<3x9xbf16> -> tensor<5x3xf32>
        return %a, %b : tensor<5x3xf32>, tensor<5x3xf32>
      })",
               2);
}

TEST_F(Propagate, ANormKeepsItsDivisor) {
  for (int trial = 0; trial < kTrials; ++trial)
    expectSame(fill(R"(
      func.func @f(%x: tensor<5x7xf32>, %g: tensor<7xbf16>, %w: tensor<3x7xf32>) -> tensor<5x3xf32> {
        %p = prune.project "p" %x axis 1 keep @K in tensor<5x7xf32>
        %n = decoder.rms_norm "n" %p, %g {epsilon = 0.25 : f32, divisor = 7 : i64} : tensor<5x7xf32>, tensor<7xbf16>
        %m = prune.project "m" %n axis 0 keep @M in tensor<5x7xf32>
        %y = prune.gemm "y" %m, %w : tensor<5x7xf32>, tensor<3x7xf32> -> tensor<5x3xf32>
        return %y : tensor<5x3xf32>
      })",
                    {{"@K", set(7)}, {"@M", set(5)}}),
               0, 1);
}

TEST_F(Propagate, ANormNeedsAllItsColumns) {
  expectSame(R"(
      func.func @f(%x: tensor<5x7xf32>, %g: tensor<7xbf16>, %w: tensor<3x7xf32>) -> tensor<5x3xf32> {
        %n = decoder.rms_norm "n" %x, %g {epsilon = 0.25 : f32, divisor = 7 : i64} : tensor<5x7xf32>, tensor<7xbf16>
        %p = prune.project "p" %n axis 1 keep #prune.set<[0, 3:5] of 7> in tensor<5x7xf32>
        %y = prune.gemm "y" %p, %w : tensor<5x7xf32>, tensor<3x7xf32> -> tensor<5x3xf32>
        return %y : tensor<5x3xf32>
      })",
             1);
}

/// q/k/v from rows, rotary, caches, attention, o; @P projects the core's
/// result.
const char *const kAttention = R"(
      func.func @f(%x: tensor<?x5xf32>, %wq: tensor<12x5xbf16>, %wk: tensor<6x5xbf16>, %wv: tensor<6x5xbf16>, %wo: tensor<5x12xbf16>,
                   %slots: tensor<?xi32> {decoder.step = "slots"}, %positions: tensor<?xi32> {decoder.step = "positions"},
                   %k0: tensor<?x?x6xbf16> {decoder.cache = "k"}, %v0: tensor<?x?x6xbf16> {decoder.cache = "v"})
          -> (tensor<?x5xf32>, tensor<?x?x6xbf16>, tensor<?x?x6xbf16>) {
        %angles = decoder.rotary_table "rotary" %positions {frequencies = array<f32: 0.5>} : tensor<?xi32> -> tensor<?x2xf32>
        %q = prune.gemm "q" %x, %wq : tensor<?x5xf32>, tensor<12x5xbf16> -> tensor<?x12xf32>
        %k = prune.gemm "k" %x, %wk : tensor<?x5xf32>, tensor<6x5xbf16> -> tensor<?x6xf32>
        %v = prune.gemm "v" %x, %wv : tensor<?x5xf32>, tensor<6x5xbf16> -> tensor<?x6xf32>
        %qr = decoder.rotary "qr" %q, %angles {head_dim = 2 : i64} : tensor<?x12xf32>, tensor<?x2xf32>
        %kr = decoder.rotary "kr" %k, %angles {head_dim = 2 : i64} : tensor<?x6xf32>, tensor<?x2xf32>
        %kc = decoder.append "ka" %kr into %k0 at %slots, %positions : tensor<?x6xf32> into tensor<?x?x6xbf16>
        %vc = decoder.append "va" %v into %v0 at %slots, %positions : tensor<?x6xf32> into tensor<?x?x6xbf16>
        %a = decoder.attention "core" %qr, %kc, %vc at %slots, %positions {head_dim = 2 : i64, scale = 0.7 : f32} : tensor<?x12xf32>, tensor<?x?x6xbf16>
        %p = prune.project "attn" %a axis 1 keep @P in tensor<?x12xf32>
        %o = prune.gemm "o" %p, %wo : tensor<?x12xf32>, tensor<5x12xbf16> -> tensor<?x5xf32>
        return %o, %kc, %vc : tensor<?x5xf32>, tensor<?x?x6xbf16>, tensor<?x?x6xbf16>
      })";

TEST_F(Propagate, KVHeadsTakeTheirQueriesAndTheirCache) {
  for (int trial = 0; trial < kTrials; ++trial)
    expectSame(fill(kAttention, {{"@P", set(3, 4)}}));
}

TEST_F(Propagate, OneQueryHeadOfEachKVHead) {
  expectSame(fill(kAttention, {{"@P", "#prune.set<[0, 3, 4] of 6 x 2>"}}));
  expectSame(fill(kAttention, {{"@P", "#prune.set<[1, 5] of 6 x 2>"}}));
}

TEST_F(Propagate, UnevenOrBrokenHeadsStayAGather) {
  expectSame(fill(kAttention, {{"@P", "#prune.set<[0, 2, 3] of 6 x 2>"}}),
             1); // 1 + 2 query heads
  expectSame(fill(kAttention, {{"@P", "#prune.set<[0, 5:9] of 12>"}}),
             1); // half heads
}

TEST_F(Propagate, RowsOfAttention) {
  for (int trial = 0; trial < kTrials; ++trial)
    expectSame(fill(R"(
      func.func @f(%q: tensor<5x12xf32>, %angles: tensor<5x2xf32>, %slots: tensor<5xi32> {decoder.step = "slots"}, %positions: tensor<5xi32> {decoder.step = "positions"},
                   %k: tensor<2x4x6xbf16>, %v: tensor<2x4x6xbf16>, %w: tensor<3x12xf32>) -> tensor<5x3xf32> {
        %r = decoder.rotary "r" %q, %angles {head_dim = 2 : i64} : tensor<5x12xf32>, tensor<5x2xf32>
        %a = decoder.attention "core" %r, %k, %v at %slots, %positions {head_dim = 2 : i64, scale = 0.7 : f32} : tensor<5x12xf32>, tensor<2x4x6xbf16>
        %p = prune.project "m" %a axis 0 keep @M in tensor<5x12xf32>
        %o = prune.gemm "o" %p, %w : tensor<5x12xf32>, tensor<3x12xf32> -> tensor<5x3xf32>
        return %o : tensor<5x3xf32>
      })",
                    {{"@M", set(5)}}),
               0, 1);
}

TEST_F(Propagate, ExtendedHeadsPassRotary) {
  for (int trial = 0; trial < kTrials; ++trial)
    expectSame(fill(R"(
      func.func @f(%q: tensor<5x12xf32>, %angles: tensor<5x2xf32>, %w: tensor<3x12xf32>) -> tensor<5x3xf32> {
        %p = prune.project "h" %q axis 1 keep @H in tensor<5x12xf32>
        %m = prune.project "m" %p axis 0 keep @M in tensor<5x12xf32>
        %r = decoder.rotary "r" %m, %angles {head_dim = 2 : i64} : tensor<5x12xf32>, tensor<5x2xf32>
        %o = prune.gemm "o" %r, %w : tensor<5x12xf32>, tensor<3x12xf32> -> tensor<5x3xf32>
        return %o : tensor<5x3xf32>
      })",
                    {{"@H", set(6, 2)}, {"@M", set(5)}}),
               0, 1);
}

TEST_F(Propagate, LookupTakesColumnsOfItsTable) {
  for (int trial = 0; trial < kTrials; ++trial)
    expectSame(fill(R"(
      func.func @f(%t: tensor<5xi32>, %table: tensor<6x7xbf16>, %w: tensor<3x7xf32>) -> tensor<5x3xf32> {
        %x = decoder.lookup "embed" %t in %table : tensor<5xi32>, tensor<6x7xbf16> -> tensor<5x7xf32>
        %p = prune.project "h" %x axis 1 keep @K in tensor<5x7xf32>
        %m = prune.project "m" %p axis 0 keep @M in tensor<5x7xf32>
        %o = prune.gemm "o" %m, %w : tensor<5x7xf32>, tensor<3x7xf32> -> tensor<5x3xf32>
        return %o : tensor<5x3xf32>
      })",
                    {{"@K", set(7)}, {"@M", set(5)}}),
               0, 1);
}

TEST_F(Propagate, AnExtendedTableIsAnExtendedLookup) {
  for (int trial = 0; trial < kTrials; ++trial)
    expectSame(fill(R"(
      func.func @f(%t: tensor<5xi32>, %x: tensor<6x7xf32>, %g: tensor<7xf32>, %w: tensor<3x7xf32>) -> tensor<5x3xf32> {
        %p = prune.project "h" %x axis 1 keep @K in tensor<6x7xf32>
        %l = decoder.lookup "head.rows" %t in %p : tensor<5xi32>, tensor<6x7xf32> -> tensor<5x7xf32>
        %n = decoder.rms_norm "n" %l, %g {epsilon = 1.0e-5 : f32, divisor = 7 : i64} : tensor<5x7xf32>, tensor<7xf32>
        %o = prune.gemm "o" %n, %w : tensor<5x7xf32>, tensor<3x7xf32> -> tensor<5x3xf32>
        return %o : tensor<5x3xf32>
      })",
                    {{"@K", set(7)}}),
               0, 0);
}

/// A whole model: random static plans, from the dense module with masks to the
/// module that `compile` goes on with.
TEST_F(Propagate, AModelUnderRandomPlans) {
  for (uint64_t seed = 0; seed < 16; ++seed) {
    OwningOpRef<ModuleOp> masked =
        parseSourceFile<ModuleOp>(COPPICE_PRUNE_INPUTS "/tiny.mlir", &context);
    ASSERT_TRUE(masked);
    OpBuilder builder = OpBuilder::atBlockBegin(masked->getBody());
    PlanOp plan = PlanOp::create(builder, masked->getLoc(), "plan");
    StaticPlanOptions options;
    options.seed = seed;
    if (seed % 3 != 0)
      options.staticM = 0.4;
    options.wholeLayers = seed % 4 == 1;
    if (seed % 3 != 1)
      options.staticNK = seed % 2 ? 0.5 : 0.3;
    if (seed >= 8)
      options.staticNKCross = seed % 2 ? 0.4 : 0.7;
    options.sameWidthSets = seed % 4 == 2;
    bool mapsLeft = options.staticNKCross && !options.sameWidthSets;
    auto forward = masked->lookupSymbol<func::FuncOp>("forward");
    FailureOr<SmallVector<Sublayer>> sublayers = findSublayers(*masked);
    ASSERT_TRUE(succeeded(sublayers));
    ASSERT_EQ(sublayers->size(), 6u);
    ASSERT_TRUE(succeeded(addStaticDecisions(plan, *sublayers, options)));
    run(*masked,
        {[]() -> std::unique_ptr<Pass> { return createPruneApplyPlan(); }});

    OwningOpRef<ModuleOp> narrow(masked->clone());
    run(*narrow,
        {[]() -> std::unique_ptr<Pass> { return createPrunePropagate(); },
         []() -> std::unique_ptr<Pass> { return createPruneFoldRestricts(); }});
    narrow->walk([&](Operation *op) {
      EXPECT_FALSE(isa<ProjectOp>(op) ||
                   (isa<RestrictOp, ExtendOp>(op) && !mapsLeft))
          << "seed " << seed;
    });

    std::map<std::string, Tensor> weights;
    for (auto global : masked->getOps<ml_program::GlobalOp>())
      weights[global.getSymName().str()] =
          randomTensor(cast<RankedTensorType>(global.getType()), "");
    // A second view of a weight is a global NAME_NUMBER.
    for (auto view : narrow->getOps<ml_program::GlobalOp>()) {
      StringRef name = view.getSymName();
      if (!weights.contains(name.str()))
        weights[name.str()] = weights.at(name.rsplit('_').first.str());
    }
    std::vector<Tensor> arguments = randomArguments(forward);
    // Caches that were removed are missing from the arguments: go by name.
    auto narrowed = narrow->lookupSymbol<func::FuncOp>("forward");
    std::vector<Tensor> left;
    for (unsigned i = 0, j = 0;
         i < arguments.size() && j < narrowed.getNumArguments(); ++i)
      if (forward.getArgAttr(i, decoder::kCacheAttrName) ==
              narrowed.getArgAttr(j, decoder::kCacheAttrName) &&
          forward.getArgAttr(i, decoder::kStepAttrName) ==
              narrowed.getArgAttr(j, decoder::kStepAttrName)) {
        left.push_back(arguments[i]);
        ++j;
      }
    ASSERT_EQ(left.size(), narrowed.getNumArguments());
    expectClose(evaluate(forward, arguments, weights)[0],
                evaluate(narrowed, left, weights)[0],
                "seed " + std::to_string(seed));
  }
}

TEST(StaticPlan, CountsOfTheFamilies) {
  EXPECT_EQ(countKeptColumns(14336, 0.5), 7168);
  EXPECT_EQ(countKeptColumns(91, 0.5), 48);  // 45.5: 45, up to 48
  EXPECT_EQ(countKeptColumns(30, 0.5), 15);  // not above 16: as it is
  EXPECT_EQ(countKeptColumns(17, 0.01), 16); // 16.83
  EXPECT_EQ(countKeptColumns(35, 0.03),
            35); // 33.95: 33, up to 48, but there are 35
  EXPECT_EQ(countKeptColumns(5, 0.99), 1);
  EXPECT_EQ(countKeptHeads(8, 0.5), 4);
  EXPECT_EQ(countKeptHeads(10, 0.9), 1); // 0.9999..
  EXPECT_EQ(countKeptHeads(3, 0.9), 1);
}

} // namespace
