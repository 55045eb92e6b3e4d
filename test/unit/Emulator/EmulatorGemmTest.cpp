//===- EmulatorGemmTest.cpp - a GEMM of a ring, right and wrong -----------===//
//
// The kernel is right in whatever order copies and warps take their time, to
// the bit on small integers; and each mistake that one makes in such a kernel
// is reported for what it is, also where the numbers come out right.
//
//===----------------------------------------------------------------------===//

#include "EmulatorFixture.h"
#include "RingGemm.h"
#include "coppice/Target/AssemblePTX.h"
#include <random>

using namespace mlir;

namespace coppice {
namespace {

uint16_t encode(int value, bool half) {
  uint32_t bits = llvm::bit_cast<uint32_t>(float(value));
  if (!half || value == 0)
    return bits >> 16;
  // Small integers: the exponent is rebiased, three bits of fraction are kept.
  return (bits >> 16 & 0x8000) | ((bits >> 23 & 0xff) - 127 + 15) << 10 |
         (bits >> 13 & 0x3ff);
}

struct Shape {
  int m, n, k;
};

class EmulatorGemm : public EmulatorTest {
protected:
  /// Runs the kernel; `wrong` counts elements that are not the reference's.
  LaunchReport run(const RingGemm &gemm, Shape shape,
                   const EmulatorOptions &options = {}) {
    auto [m, n, k] = shape;
    int pitch = (k + 7) / 8 * 8, pitchC = n + 3;
    std::mt19937 random(7);
    auto draw = [&](int rows, std::vector<int> &values) {
      values.resize(rows * k);
      // What lies beyond K is NaN: it must not be read.
      std::vector<uint16_t> stored(rows * pitch, 0x7fff);
      for (int row = 0; row < rows; ++row)
        for (int column = 0; column < k; ++column)
          stored[row * pitch + column] = encode(
              values[row * k + column] = int(random() % 9) - 4, gemm.half);
      return stored;
    };
    std::vector<int> a, b;
    std::vector<uint16_t> storedA = draw(m, a), storedB = draw(n, b);
    std::vector<float> c(m * pitchC, -1.0f);
    wrong = 0;
    if (!make(buildRingGemm(context, gemm))) {
      ADD_FAILURE() << errors;
      return {};
    }
    BufferOptions output;
    output.initialized = false;
    auto tiles = [](int size) {
      return unsigned(size + kRingTile - 1) / kRingTile;
    };
    LaunchReport report = launch(
        "gemm", {tiles(n), tiles(m), 1}, {kRingThreads, 1, 1},
        {buffer("A", storedA), buffer("B", storedB), buffer("C", c, output),
         KernelArgument::i32(m), KernelArgument::i32(n), KernelArgument::i32(k),
         KernelArgument::i32(pitch), KernelArgument::i32(pitch),
         KernelArgument::i32(pitchC)},
        ringSharedBytes(gemm), options);
    for (int row = 0; row < m; ++row)
      for (int column = 0; column < pitchC; ++column) {
        int sum = column < n ? 0 : -1; // what is beside C stays as it is
        for (int i = 0; column < n && i < k; ++i)
          sum += a[row * k + i] * b[column * k + i];
        wrong += c[row * pitchC + column] != float(sum);
      }
    return report;
  }

  int wrong = 0;
};

TEST_F(EmulatorGemm, IsExactWheneverCopiesMove) {
  const Shape shapes[] = {{64, 64, 64}, {1, 1, 1}, {67, 45, 51}, {33, 130, 97}};
  for (Shape shape : shapes) {
    std::vector<EmulatorOptions> options(2);
    options[1].copies = CopyTime::Early;
    for (uint64_t seed : {1, 2, 3}) {
      options.emplace_back();
      options.back().copies = CopyTime::Random;
      options.back().seed = seed;
    }
    for (const EmulatorOptions &option : options) {
      LaunchReport report = run({}, shape, option);
      EXPECT_TRUE(report.clean()) << report.str();
      EXPECT_EQ(wrong, 0) << shape.m << "x" << shape.n << "x" << shape.k;
      EXPECT_EQ(report.matrixBankConflicts, 0u);
    }
  }
}

TEST_F(EmulatorGemm, IsExactWithOtherStagesAndTypes) {
  for (int stages : {2, 4})
    for (bool half : {false, true}) {
      LaunchReport report = run({stages, half}, {66, 33, 131});
      EXPECT_TRUE(report.clean()) << report.str();
      EXPECT_EQ(wrong, 0) << stages << half;
    }
}

TEST_F(EmulatorGemm, BecomesThePTXThatMatters) {
  ASSERT_TRUE(make(buildRingGemm(context, {}))) << errors;
  std::string text = ptx();
  for (const char *words :
       {".target sm_80", ".reqntid 128",
        "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32",
        "ldmatrix.sync.aligned.m8n8.x4.shared.b16", "cp.async.cg.shared.global",
        "cp.async.commit_group", "cp.async.wait_group", "bar"})
    EXPECT_NE(text.find(words), std::string::npos) << words << errors;
  // 16 bytes, and how many of them are read.
  EXPECT_NE(StringRef(text)
                .split("cp.async.cg")
                .second.split(';')
                .first.find(", 16, %r"),
            StringRef::npos);
  ASSERT_TRUE(make(buildRingGemm(context, {3, /*half=*/true}))) << errors;
  EXPECT_NE(ptx().find("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32"),
            std::string::npos)
      << errors;
}

TEST_F(EmulatorGemm, AssemblesWithoutSpills) {
  ASSERT_TRUE(make(buildRingGemm(context, {}))) << errors;
  std::optional<std::string> ptxas = findPtxas();
  if (!ptxas)
    GTEST_SKIP() << "no ptxas in PATH";
  llvm::Expected<AssembledPTX> assembled = assemblePTX(*ptxas, ptx(), "sm_80");
  ASSERT_TRUE(static_cast<bool>(assembled))
      << llvm::toString(assembled.takeError());
  EXPECT_EQ(assembled->kernels["gemm"].spillBytes, 0);
  EXPECT_GT(assembled->kernels["gemm"].registers, 0);
}

//===--- Mistakes ---------------------------------------------------------===//

struct Expected {
  Mistake mistake;
  Fault::Kind kind;
  const char *words; // of the report
};

const Expected kMistakes[] = {
    // The part of the kernel is the location of its ops.
    {Mistake::NoWait, Fault::Kind::UnfinishedCopy,
     "'nvvm.ldmatrix' at loc(\"compute\")"},
    {Mistake::NoWait, Fault::Kind::UnfinishedCopy,
     "that it issued at 'nvvm.cp.async.shared.global' at loc(\"copy\")"},
    {Mistake::WaitsForTooFew, Fault::Kind::UnfinishedCopy, "'nvvm.ldmatrix'"},
    {Mistake::NoBarrier, Fault::Kind::Race,
     "at 'nvvm.cp.async.shared.global' at loc(\"copy\") and this read"},
    {Mistake::BarrierOfSome, Fault::Kind::Barrier,
     "expected 128 threads at the barrier, found 64: threads 0-63 wait at "
     "'nvvm.barrier0' at loc(\"barrier\")"},
    {Mistake::WrongStage, Fault::Kind::UnfinishedCopy, "'nvvm.ldmatrix'"},
    {Mistake::RefillsTooEarly, Fault::Kind::Race,
     "at 'nvvm.ldmatrix' at loc(\"compute\") and this write"},
    {Mistake::WrongStride, Fault::Kind::UnfinishedCopy, "'nvvm.ldmatrix'"},
    {Mistake::RowBoundOneTooFar, Fault::Kind::OutOfBounds,
     "'llvm.store' at loc(\"store\")"},
    {Mistake::CopyBoundOneTooFar, Fault::Kind::OutOfBounds,
     "'nvvm.cp.async.shared.global' at loc(\"copy\")"},
    {Mistake::NoPrologue, Fault::Kind::Uninitialized,
     "'nvvm.ldmatrix' at loc(\"compute\")"},
    {Mistake::OverwritesInFlight, Fault::Kind::CopyConflict,
     "'nvvm.cp.async.shared.global' at loc(\"copy\")"},
};

TEST_F(EmulatorGemm, MistakesAreReportedWheneverCopiesMove) {
  for (CopyTime time : {CopyTime::Late, CopyTime::Early, CopyTime::Random})
    for (const Expected &expected : kMistakes) {
      RingGemm gemm;
      gemm.mistake = expected.mistake;
      EmulatorOptions options;
      options.copies = time;
      options.seed = 5;
      LaunchReport report = run(gemm, {67, 45, 131}, options);
      EXPECT_TRUE(isFault(report, expected.kind, expected.words))
          << "mistake " << int(expected.mistake) << ", time " << int(time);
    }
}

TEST_F(EmulatorGemm, MistakesThatAreNoFaultsAreWrongNumbers) {
  // Both sides of a swizzle are in bounds and written: only values tell, and
  // banks.
  RingGemm gemm;
  gemm.mistake = Mistake::ReadsUnswizzled;
  LaunchReport report = run(gemm, {67, 45, 131});
  EXPECT_TRUE(report.clean()) << report.str();
  EXPECT_GT(wrong, 67 * 45 / 2);
  EXPECT_GT(report.matrixBankConflicts, 0u);
  // A column too many is the next row, or what is beside C.
  gemm.mistake = Mistake::ColumnBoundOneTooFar;
  report = run(gemm, {67, 45, 131});
  EXPECT_EQ(wrong, 67);
}

TEST_F(EmulatorGemm, RightNumbersDoNotHideAMistake) {
  // Copies that move at once hide the missing wait from the values.
  RingGemm gemm;
  gemm.mistake = Mistake::NoWait;
  EmulatorOptions options;
  options.copies = CopyTime::Early;
  LaunchReport report = run(gemm, {64, 64, 128}, options);
  EXPECT_EQ(wrong, 0);
  EXPECT_FALSE(report.clean());
  // As late as they may be, they do not.
  run(gemm, {64, 64, 128});
  EXPECT_GT(wrong, 0);
}

} // namespace
} // namespace coppice
