//===- EmulatorOpsTest.cpp - what ops compute in the emulator -------------===//

#include "EmulatorFixture.h"
#include "llvm/Support/FormatVariadic.h"
#include <cmath>
#include <numeric>
#include <random>

using namespace mlir;

namespace coppice {
namespace {

//===--- Threads and memory -----------------------------------------------===//

constexpr const char *kElementwise = R"(
  llvm.func @scale_add(%x: !llvm.ptr<1>, %y: !llvm.ptr<1>, %a: f32, %n: i32) attributes {nvvm.kernel} {
    %t = nvvm.read.ptx.sreg.tid.x : i32
    %b = nvvm.read.ptx.sreg.ctaid.x : i32
    %d = nvvm.read.ptx.sreg.ntid.x : i32
    %bd = llvm.mul %b, %d : i32
    %i = llvm.add %bd, %t : i32
    %in = llvm.icmp "slt" %i, %n : i32
    llvm.cond_br %in, ^body, ^end
  ^body:
    %xp = llvm.getelementptr %x[%i] : (!llvm.ptr<1>, i32) -> !llvm.ptr<1>, f32
    %yp = llvm.getelementptr %y[%i] : (!llvm.ptr<1>, i32) -> !llvm.ptr<1>, f32
    %xv = llvm.load %xp : !llvm.ptr<1> -> f32
    %yv = llvm.load %yp : !llvm.ptr<1> -> f32
    %r = llvm.intr.fma(%a, %xv, %yv) : (f32, f32, f32) -> f32
    llvm.store %r, %yp : f32, !llvm.ptr<1>
    llvm.br ^end
  ^end:
    llvm.return
  }
)";

TEST_F(EmulatorTest, ElementsOfOddSizes) {
  for (int size : {1, 31, 33, 257}) {
    ASSERT_TRUE(make(kElementwise)) << errors;
    std::vector<float> x(size), y(size);
    std::iota(x.begin(), x.end(), 1.0f);
    std::iota(y.begin(), y.end(), 0.5f);
    std::vector<float> before = y;
    LaunchReport report =
        launch("scale_add", {unsigned(size + 63) / 64, 1, 1}, {64, 1, 1},
               {buffer("x", x), buffer("y", y), KernelArgument::f32(2.0f),
                KernelArgument::i32(size)});
    EXPECT_TRUE(report.clean()) << report.str();
    for (int i = 0; i < size; ++i)
      ASSERT_EQ(y[i], std::fma(2.0f, x[i], before[i])) << i;
  }
}

TEST_F(EmulatorTest, ABoundThatIsOneTooFarIsNamed) {
  ASSERT_TRUE(make(kElementwise)) << errors;
  std::vector<float> x(33), y(33);
  LaunchReport report =
      launch("scale_add", {1, 1, 1}, {64, 1, 1},
             {buffer("x", x), buffer("y", y), KernelArgument::f32(2.0f),
              KernelArgument::i32(34)});
  EXPECT_TRUE(isFault(report, Fault::Kind::OutOfBounds,
                      "expected a place in the 132 bytes of 'x', found byte "
                      "132"));
  EXPECT_TRUE(isFault(report, Fault::Kind::OutOfBounds, "'llvm.store'"));
  ASSERT_EQ(report.faults.size(), 3u) << report.str();
  EXPECT_EQ(report.faults[0].thread, (Dim3{33, 0, 0}));
}

TEST_F(EmulatorTest, WritesOfTwoBlocksToOneByteAreARace) {
  // Blocks of 32 threads that lie 24 elements apart.
  ASSERT_TRUE(make(R"(
    llvm.func @k(%y: !llvm.ptr<1>) attributes {nvvm.kernel} {
      %t = nvvm.read.ptx.sreg.tid.x : i32
      %b = nvvm.read.ptx.sreg.ctaid.x : i32
      %c24 = llvm.mlir.constant(24 : i32) : i32
      %o = llvm.mul %b, %c24 : i32
      %i = llvm.add %o, %t : i32
      %p = llvm.getelementptr %y[%i] : (!llvm.ptr<1>, i32) -> !llvm.ptr<1>, i32
      llvm.store %i, %p : i32, !llvm.ptr<1>
      llvm.return
    })"))
      << errors;
  std::vector<int32_t> out(64);
  LaunchReport report = launch("k", {2, 1, 1}, {32, 1, 1}, {buffer("y", out)});
  EXPECT_TRUE(isFault(report, Fault::Kind::Race, "of block 0"));
  EXPECT_EQ(report.faults.at(0).block, (Dim3{1, 0, 0}));
}

TEST_F(EmulatorTest, MemoryIsWhatItIsDeclaredToBe) {
  ASSERT_TRUE(make(R"(
    llvm.mlir.global internal constant @table(dense<[10, 20, 30]> : tensor<3xi32>) {addr_space = 4 : i32} : !llvm.array<3 x i32>
    llvm.func @constants(%y: !llvm.ptr<1>, %i: i32) attributes {nvvm.kernel} {
      %table = llvm.mlir.addressof @table : !llvm.ptr<4>
      %p = llvm.getelementptr %table[0, %i] : (!llvm.ptr<4>, i32) -> !llvm.ptr<4>, !llvm.array<3 x i32>
      %v = llvm.load %p : !llvm.ptr<4> -> i32
      llvm.store %v, %y : i32, !llvm.ptr<1>
      llvm.return
    }
    llvm.func @vector(%y: !llvm.ptr<1>, %offset: i64) attributes {nvvm.kernel} {
      %p = llvm.getelementptr %y[%offset] : (!llvm.ptr<1>, i64) -> !llvm.ptr<1>, i8
      %v = llvm.load %p : !llvm.ptr<1> -> vector<4xf32>
      llvm.store %v, %p {alignment = 4} : vector<4xf32>, !llvm.ptr<1>
      llvm.return
    }
    llvm.func @local(%y: !llvm.ptr<1>, %i: i32) attributes {nvvm.kernel} {
      %n = llvm.mlir.constant(4 : i32) : i32
      %a = llvm.alloca %n x i32 : (i32) -> !llvm.ptr
      %p = llvm.getelementptr %a[%i] : (!llvm.ptr, i32) -> !llvm.ptr, i32
      llvm.store %i, %p : i32, !llvm.ptr
      %v = llvm.load %a : !llvm.ptr -> i32
      llvm.store %v, %y : i32, !llvm.ptr<1>
      llvm.return
    })"))
      << errors;
  std::vector<int32_t> y(8);
  BufferOptions readOnly, unwritten;
  readOnly.writable = false;
  unwritten.initialized = false;
  KernelArgument out = buffer("y", y), fixed = buffer("fixed", y, readOnly),
                 fresh = buffer("fresh", y, unwritten);
  auto run = [&](StringRef kernel, ArrayRef<KernelArgument> arguments) {
    return launch(kernel, {1, 1, 1}, {1, 1, 1}, arguments);
  };
  EXPECT_TRUE(run("constants", {out, KernelArgument::i32(2)}).clean());
  EXPECT_EQ(y[0], 30);
  EXPECT_TRUE(isFault(run("constants", {out, KernelArgument::i32(3)}),
                      Fault::Kind::OutOfBounds, "'table', found byte 12"));
  EXPECT_TRUE(isFault(run("constants", {fixed, KernelArgument::i32(0)}),
                      Fault::Kind::OutOfBounds, "read-only"));
  EXPECT_TRUE(run("vector", {out, KernelArgument::i64(16)}).clean());
  EXPECT_TRUE(isFault(run("vector", {out, KernelArgument::i64(4)}),
                      Fault::Kind::Misaligned, "a multiple of 16"));
  EXPECT_TRUE(isFault(run("vector", {out, KernelArgument::i64(-16)}),
                      Fault::Kind::OutOfBounds, "found byte -16"));
  EXPECT_TRUE(isFault(run("vector", {fresh, KernelArgument::i64(0)}),
                      Fault::Kind::Uninitialized, "byte 0 of 'fresh'"));
  EXPECT_TRUE(isFault(
      run("vector", {KernelArgument::pointer(0), KernelArgument::i64(0)}),
      Fault::Kind::OutOfBounds, "near none"));
  EXPECT_TRUE(run("local", {out, KernelArgument::i32(0)}).clean());
  EXPECT_TRUE(isFault(run("local", {out, KernelArgument::i32(1)}),
                      Fault::Kind::Uninitialized, "byte 0 of local memory"));
  EXPECT_TRUE(isFault(run("local", {out, KernelArgument::i32(4)}),
                      Fault::Kind::OutOfBounds, "16 bytes of local memory"));
}

//===--- Integers and floats ----------------------------------------------===//

TEST_F(EmulatorTest, NarrowNumbersWrapAndRound) {
  ASSERT_TRUE(make(R"(
    llvm.func @k(%y: !llvm.ptr<1>, %a: i32, %f: f32) attributes {nvvm.kernel} {
      %narrow = llvm.trunc %a : i32 to i8
      %more = llvm.add %narrow, %narrow : i8
      %s = llvm.sext %more : i8 to i32
      llvm.store %s, %y : i32, !llvm.ptr<1>
      %y1 = llvm.getelementptr %y[4] : (!llvm.ptr<1>) -> !llvm.ptr<1>, i8
      %bf = llvm.fptrunc %f : f32 to bf16
      llvm.store %bf, %y1 : bf16, !llvm.ptr<1>
      %y2 = llvm.getelementptr %y[6] : (!llvm.ptr<1>) -> !llvm.ptr<1>, i8
      %hf = llvm.fptrunc %f : f32 to f16
      llvm.store %hf, %y2 : f16, !llvm.ptr<1>
      %v0 = llvm.mlir.undef : vector<2xbf16>
      %c0 = llvm.mlir.constant(0 : i32) : i32
      %c1 = llvm.mlir.constant(1 : i32) : i32
      %v1 = llvm.insertelement %bf, %v0[%c0 : i32] : vector<2xbf16>
      %v2 = llvm.insertelement %bf, %v1[%c1 : i32] : vector<2xbf16>
      %pair = llvm.bitcast %v2 : vector<2xbf16> to i32
      %y3 = llvm.getelementptr %y[2] : (!llvm.ptr<1>) -> !llvm.ptr<1>, i32
      llvm.store %pair, %y3 : i32, !llvm.ptr<1>
      llvm.return
    })"))
      << errors;
  struct Case {
    float value;
    uint32_t bf16, f16;
  };
  // Ties to even, the largest of f16 and what is past it, subnormals.
  for (Case c : {Case{1.00390625f, 0x3f80, 0x3c04},
                 {1.01171875f, 0x3f82, 0x3c0c},
                 {65504.0f, 0x4780, 0x7bff},
                 {65519.0f, 0x4780, 0x7bff},
                 {65520.0f, 0x4780, 0x7c00},
                 {-5.9604645e-08f, 0xb380, 0x8001},
                 {2.9802322e-08f, 0x3300, 0x0000},
                 {6.1005353e-05f, 0x3880, 0x0400},
                 {1.0f / 3, 0x3eab, 0x3555},
                 {-INFINITY, 0xff80, 0xfc00}}) {
    std::vector<uint32_t> y(3);
    LaunchReport report = launch("k", {1, 1, 1}, {1, 1, 1},
                                 {buffer("y", y), KernelArgument::i32(100),
                                  KernelArgument::f32(c.value)});
    EXPECT_TRUE(report.clean()) << report.str();
    EXPECT_EQ(int32_t(y[0]), -56);
    EXPECT_EQ(y[1], c.bf16 | c.f16 << 16) << c.value;
    EXPECT_EQ(y[2], c.bf16 | c.bf16 << 16) << c.value;
  }
}

TEST_F(EmulatorTest, PairsArePackedByInlineAssembly) {
  ASSERT_TRUE(make(R"(
    llvm.func @k(%y: !llvm.ptr<1>, %a: f32, %b: f32) attributes {nvvm.kernel} {
      %p = llvm.inline_asm "cvt.rn.bf16x2.f32 $0, $1, $2;", "=r,f,f" %a, %b : (f32, f32) -> i32
      llvm.store %p, %y : i32, !llvm.ptr<1>
      llvm.return
    })"))
      << errors;
  std::vector<uint32_t> y(1);
  LaunchReport report = launch(
      "k", {1, 1, 1}, {1, 1, 1},
      {buffer("y", y), KernelArgument::f32(1.0f), KernelArgument::f32(-2.0f)});
  EXPECT_TRUE(report.clean()) << report.str();
  EXPECT_EQ(y[0], 0x3f80c000u); // the first operand is the upper half
  EXPECT_NE(ptx().find("cvt.rn.bf16x2.f32"), std::string::npos) << errors;
}

TEST_F(EmulatorTest, FunctionsAndReductions) {
  ASSERT_TRUE(make(R"(
    llvm.func @k(%x: !llvm.ptr<1>, %y: !llvm.ptr<1>) attributes {nvvm.kernel} {
      %v = llvm.load %x {alignment = 4} : !llvm.ptr<1> -> vector<4xf32>
      %m = llvm.intr.vector.reduce.fmaximum(%v) : (vector<4xf32>) -> f32
      %zero = llvm.mlir.constant(0.0 : f32) : f32
      %s = "llvm.intr.vector.reduce.fadd"(%zero, %v) : (f32, vector<4xf32>) -> f32
      %e = llvm.call_intrinsic "llvm.nvvm.ex2.approx.ftz.f32"(%m) : (f32) -> f32
      %r = llvm.call_intrinsic "llvm.nvvm.rsqrt.approx.ftz.f"(%s) : (f32) -> f32
      %i = nvvm.rcp.approx.ftz.f %e : f32
      %q = llvm.intr.sqrt(%v) : (vector<4xf32>) -> vector<4xf32>
      %q3 = llvm.shufflevector %q, %q [3] : vector<4xf32>
      %c0 = llvm.mlir.constant(0 : i32) : i32
      %q4 = llvm.extractelement %q3[%c0 : i32] : vector<1xf32>
      %all = llvm.mlir.undef : !llvm.struct<(f32, f32, array<2 x f32>)>
      %a0 = llvm.insertvalue %e, %all[0] : !llvm.struct<(f32, f32, array<2 x f32>)>
      %a1 = llvm.insertvalue %r, %a0[1] : !llvm.struct<(f32, f32, array<2 x f32>)>
      %a2 = llvm.insertvalue %i, %a1[2, 0] : !llvm.struct<(f32, f32, array<2 x f32>)>
      %a3 = llvm.insertvalue %q4, %a2[2, 1] : !llvm.struct<(f32, f32, array<2 x f32>)>
      llvm.store %a3, %y : !llvm.struct<(f32, f32, array<2 x f32>)>, !llvm.ptr<1>
      llvm.return
    })"))
      << errors;
  std::vector<float> x = {1, 5, 2, 8}, y(4);
  LaunchReport report =
      launch("k", {1, 1, 1}, {1, 1, 1}, {buffer("x", x), buffer("y", y)});
  EXPECT_TRUE(report.clean()) << report.str();
  EXPECT_EQ(y, (std::vector<float>{256, 0.25, 1.0f / 256, std::sqrt(8.0f)}));
}

// Rows of 32 by a warp each, with the approximations of a GPU.
TEST_F(EmulatorTest, SoftmaxOfRows) {
  std::string text = R"(
    llvm.func @softmax(%x: !llvm.ptr<1>) attributes {nvvm.kernel} {
      %all = llvm.mlir.constant(-1 : i32) : i32
      %c31 = llvm.mlir.constant(31 : i32) : i32
      %c32 = llvm.mlir.constant(32 : i32) : i32
      %log2e = llvm.mlir.constant(1.44269504 : f32) : f32
      %row = nvvm.read.ptx.sreg.ctaid.x : i32
      %lane = nvvm.read.ptx.sreg.tid.x : i32
      %begin = llvm.mul %row, %c32 : i32
      %i = llvm.add %begin, %lane : i32
      %p = llvm.getelementptr %x[%i] : (!llvm.ptr<1>, i32) -> !llvm.ptr<1>, f32
      %v = llvm.load %p : !llvm.ptr<1> -> f32
)";
  auto reduce = [&](StringRef name, StringRef from, StringRef op) {
    std::string value = from.str();
    for (int distance : {16, 8, 4, 2, 1}) {
      std::string n = name.str() + std::to_string(distance);
      text += "%d" + n + " = llvm.mlir.constant(" + std::to_string(distance) +
              " : i32) : i32\n%o" + n + " = nvvm.shfl.sync bfly %all, %" +
              value + ", %d" + n + ", %c31 : f32 -> f32\n%" + n + " = " +
              llvm::formatv(op.data(), "%" + value, "%o" + n).str() + "\n";
      value = n;
    }
  };
  reduce("max", "v", "llvm.intr.maximum({0}, {1}) : (f32, f32) -> f32");
  text += R"(
      %below = llvm.fsub %v, %max1 : f32
      %scaled = llvm.fmul %below, %log2e : f32
      %e = llvm.call_intrinsic "llvm.nvvm.ex2.approx.ftz.f32"(%scaled) : (f32) -> f32
)";
  reduce("sum", "e", "llvm.fadd {0}, {1} : f32");
  text += R"(
      %inverse = nvvm.rcp.approx.ftz.f %sum1 : f32
      %result = llvm.fmul %e, %inverse : f32
      llvm.store %result, %p : f32, !llvm.ptr<1>
      llvm.return
    })";
  ASSERT_TRUE(make(text)) << errors;
  std::vector<float> x(3 * 32);
  std::mt19937 random(1);
  for (float &value : x)
    value = std::normal_distribution<float>(0, 3)(random);
  std::vector<double> expected;
  for (int row = 0; row < 3; ++row) {
    double sum = 0;
    for (int i = 0; i < 32; ++i)
      sum += std::exp(double(x[row * 32 + i]));
    for (int i = 0; i < 32; ++i)
      expected.push_back(std::exp(double(x[row * 32 + i])) / sum);
  }
  LaunchReport report =
      launch("softmax", {3, 1, 1}, {32, 1, 1}, {buffer("x", x)});
  EXPECT_TRUE(report.clean()) << report.str();
  for (size_t i = 0; i < x.size(); ++i)
    EXPECT_NEAR(x[i], expected[i], 1e-5 * expected[i]) << i;
  EXPECT_NE(ptx().find("rcp.approx.ftz.f32"), std::string::npos) << errors;
}

//===--- Warps ------------------------------------------------------------===//

/// Kernels that store one i32 a thread.
std::string perThread(StringRef body) {
  return (R"(llvm.func @k(%y: !llvm.ptr<1>) attributes {nvvm.kernel} {
      %all = llvm.mlir.constant(-1 : i32) : i32
      %c0 = llvm.mlir.constant(0 : i32) : i32
      %c1 = llvm.mlir.constant(1 : i32) : i32
      %c3 = llvm.mlir.constant(3 : i32) : i32
      %c31 = llvm.mlir.constant(31 : i32) : i32
      %t = nvvm.read.ptx.sreg.tid.x : i32
      %lane = nvvm.read.ptx.sreg.laneid : i32
      )" + body +
          R"(
      %p = llvm.getelementptr %y[%t] : (!llvm.ptr<1>, i32) -> !llvm.ptr<1>, i32
      llvm.store %r, %p : i32, !llvm.ptr<1>
      llvm.return
    })")
      .str();
}

TEST_F(EmulatorTest, LanesExchangeNumbers) {
  struct Case {
    const char *body;
    int (*expected)(int lane);
  };
  const Case cases[] = {
      {"%r = nvvm.shfl.sync idx %all, %t, %c3, %c31 : i32 -> i32",
       [](int) { return 3; }},
      {"%r = nvvm.shfl.sync bfly %all, %t, %c3, %c31 : i32 -> i32",
       [](int lane) { return lane ^ 3; }},
      {"%r = nvvm.shfl.sync down %all, %t, %c3, %c31 : i32 -> i32",
       [](int lane) { return lane + 3 <= 31 ? lane + 3 : lane; }},
      {"%r = nvvm.shfl.sync up %all, %t, %c3, %c0 : i32 -> i32",
       [](int lane) { return lane >= 3 ? lane - 3 : lane; }},
      // Segments of 8 lanes.
      {"%seg = llvm.mlir.constant(6175 : i32) : i32 // 0x181f\n"
       "%r = nvvm.shfl.sync down %all, %t, %c3, %seg : i32 -> i32",
       [](int lane) { return lane % 8 + 3 < 8 ? lane + 3 : lane; }},
      {"%q = llvm.icmp \"ugt\" %lane, %c3 : i32\n"
       "%r = nvvm.vote.sync ballot %all, %q -> i32",
       [](int) { return int(0xfffffff0); }},
      {"%r = nvvm.redux.sync add %t, %all : i32 -> i32",
       [](int) { return 31 * 32 / 2; }},
      {"%e = nvvm.elect.sync -> i1\n%r = llvm.zext %e : i1 to i32",
       [](int lane) { return lane == 0 ? 1 : 0; }},
      {"%s = nvvm.shfl.sync up %all, %t, %c1, %c0 {return_value_and_is_valid} "
       ": i32 -> !llvm.struct<(i32, i1)>\n"
       "%v = llvm.extractvalue %s[1] : !llvm.struct<(i32, i1)>\n"
       "%r = llvm.zext %v : i1 to i32",
       [](int lane) { return lane == 0 ? 0 : 1; }},
  };
  for (const Case &c : cases) {
    ASSERT_TRUE(make(perThread(c.body))) << c.body << errors;
    std::vector<int32_t> y(32);
    LaunchReport report = launch("k", {1, 1, 1}, {32, 1, 1}, {buffer("y", y)});
    EXPECT_TRUE(report.clean()) << c.body << report.str();
    for (int lane = 0; lane < 32; ++lane)
      ASSERT_EQ(y[lane], c.expected(lane)) << c.body << " lane " << lane;
  }
}

TEST_F(EmulatorTest, LanesThatNeverComeAreNamed) {
  // Lanes 4 to 31 end without the vote that the mask says they take part in.
  ASSERT_TRUE(make(R"(llvm.func @k() attributes {nvvm.kernel} {
      %all = llvm.mlir.constant(-1 : i32) : i32
      %c3 = llvm.mlir.constant(3 : i32) : i32
      %lane = nvvm.read.ptx.sreg.laneid : i32
      %q = llvm.icmp "ugt" %lane, %c3 : i32
      llvm.cond_br %q, ^end, ^vote
    ^vote:
      %r = nvvm.vote.sync any %all, %q -> i1
      llvm.br ^end
    ^end:
      llvm.return
    })"))
      << errors;
  LaunchReport report = launch("k", {1, 1, 1}, {32, 1, 1}, {});
  EXPECT_TRUE(isFault(report, Fault::Kind::Deadlock,
                      "threads 0-3 wait at 'nvvm.vote.sync'"));
  EXPECT_TRUE(isFault(report, Fault::Kind::Deadlock,
                      "threads 4-31 ended at 'llvm.return'"));
}

//===--- Blocks -----------------------------------------------------------===//

// A sum over a block of 128: warps by shuffles, then through shared memory.
std::string blockSum(StringRef barrier, StringRef guard = "4") {
  return (R"(
    llvm.mlir.global internal @partial() {addr_space = 3 : i32, alignment = 4 : i64} : !llvm.array<4 x f32>
    llvm.func @sum(%x: !llvm.ptr<1>, %y: !llvm.ptr<1>, %n: i32) attributes {nvvm.kernel} {
      %all = llvm.mlir.constant(-1 : i32) : i32
      %zero = llvm.mlir.constant(0.0 : f32) : f32
      %c0 = llvm.mlir.constant(0 : i32) : i32
      %c1 = llvm.mlir.constant(1 : i32) : i32
      %c2 = llvm.mlir.constant(2 : i32) : i32
      %c4 = llvm.mlir.constant(4 : i32) : i32
      %c5 = llvm.mlir.constant(5 : i32) : i32
      %c8 = llvm.mlir.constant(8 : i32) : i32
      %c16 = llvm.mlir.constant(16 : i32) : i32
      %c31 = llvm.mlir.constant(31 : i32) : i32
      %c64 = llvm.mlir.constant(64 : i32) : i32
      %t = nvvm.read.ptx.sreg.tid.x : i32
      %dim = nvvm.read.ptx.sreg.ntid.x : i32
      llvm.br ^loop(%t, %zero : i32, f32)
    ^loop(%i: i32, %acc: f32):
      %more = llvm.icmp "slt" %i, %n : i32
      llvm.cond_br %more, ^add, ^warp
    ^add:
      %xp = llvm.getelementptr %x[%i] : (!llvm.ptr<1>, i32) -> !llvm.ptr<1>, f32
      %xv = llvm.load %xp : !llvm.ptr<1> -> f32
      %acc1 = llvm.fadd %acc, %xv : f32
      %i1 = llvm.add %i, %dim : i32
      llvm.br ^loop(%i1, %acc1 : i32, f32)
    ^warp:
      %s16 = nvvm.shfl.sync bfly %all, %acc, %c16, %c31 : f32 -> f32
      %a16 = llvm.fadd %acc, %s16 : f32
      %s8 = nvvm.shfl.sync bfly %all, %a16, %c8, %c31 : f32 -> f32
      %a8 = llvm.fadd %a16, %s8 : f32
      %s4 = nvvm.shfl.sync bfly %all, %a8, %c4, %c31 : f32 -> f32
      %a4 = llvm.fadd %a8, %s4 : f32
      %s2 = nvvm.shfl.sync bfly %all, %a4, %c2, %c31 : f32 -> f32
      %a2 = llvm.fadd %a4, %s2 : f32
      %s1 = nvvm.shfl.sync bfly %all, %a2, %c1, %c31 : f32 -> f32
      %a1 = llvm.fadd %a2, %s1 : f32
      %partial = llvm.mlir.addressof @partial : !llvm.ptr<3>
      %warp = llvm.lshr %t, %c5 : i32
      %lane = nvvm.read.ptx.sreg.laneid : i32
      %first = llvm.icmp "eq" %lane, %c0 : i32
      llvm.cond_br %first, ^put, ^meet
    ^put:
      %wp = llvm.getelementptr %partial[0, %warp] : (!llvm.ptr<3>, i32) -> !llvm.ptr<3>, !llvm.array<4 x f32>
      llvm.store %a1, %wp : f32, !llvm.ptr<3>
      llvm.br ^meet
    ^meet:
      )" + barrier +
          R"(
      %end = llvm.mlir.constant()" +
          guard + R"( : i32) : i32
      %one = llvm.icmp "eq" %t, %c0 : i32
      llvm.cond_br %one, ^total(%c0, %zero : i32, f32), ^done
    ^total(%w: i32, %sum: f32):
      %pp = llvm.getelementptr %partial[0, %w] : (!llvm.ptr<3>, i32) -> !llvm.ptr<3>, !llvm.array<4 x f32>
      %pv = llvm.load %pp : !llvm.ptr<3> -> f32
      %sum1 = llvm.fadd %sum, %pv : f32
      %w1 = llvm.add %w, %c1 : i32
      %again = llvm.icmp "slt" %w1, %end : i32
      llvm.cond_br %again, ^total(%w1, %sum1 : i32, f32), ^out
    ^out:
      llvm.store %sum1, %y : f32, !llvm.ptr<1>
      llvm.br ^done
    ^done:
      llvm.return
    })")
      .str();
}

TEST_F(EmulatorTest, SumOfABlock) {
  ASSERT_TRUE(make(blockSum("nvvm.barrier0"))) << errors;
  std::vector<float> x(1001), y(1);
  std::iota(x.begin(), x.end(), -500.0f + 3);
  LaunchReport report =
      launch("sum", {1, 1, 1}, {128, 1, 1},
             {buffer("x", x), buffer("y", y), KernelArgument::i32(1001)});
  EXPECT_TRUE(report.clean()) << report.str();
  EXPECT_EQ(y[0], 3003.0f);
  EXPECT_NE(ptx().find("shfl.sync.bfly.b32"), std::string::npos) << errors;
  EXPECT_NE(ptx().find("bar"), std::string::npos);
}

TEST_F(EmulatorTest, SumOfABlockWithFaults) {
  std::vector<float> x(1001), y(1);
  auto run = [&](const std::string &text, unsigned threads = 128) {
    EXPECT_TRUE(make(text)) << errors;
    return launch("sum", {1, 1, 1}, {threads, 1, 1},
                  {buffer("x", x), buffer("y", y), KernelArgument::i32(1001)});
  };
  // No barrier: the sum reads what other warps write. The first warp runs
  // first here, so its read is the earlier of the two.
  LaunchReport race = run(blockSum(""));
  EXPECT_TRUE(isFault(race, Fault::Kind::Race,
                      "race: 'llvm.store' at loc(\"-\":45:7), block (0,0,0), "
                      "thread (32,0,0)"));
  EXPECT_TRUE(isFault(race, Fault::Kind::Race,
                      "none between the read by thread 0 at 'llvm.load'"));
  EXPECT_TRUE(isFault(race, Fault::Kind::Uninitialized, "'llvm.load'"));
  // A warp's barrier orders nothing between warps.
  EXPECT_TRUE(isFault(run(blockSum("nvvm.bar.warp.sync %all : i32")),
                      Fault::Kind::Race));
  // Fewer warps than partial sums.
  LaunchReport unwritten = run(blockSum("nvvm.barrier0"), 96);
  EXPECT_TRUE(isFault(unwritten, Fault::Kind::Uninitialized,
                      "byte 16 of shared memory"));
  // One partial sum too many.
  EXPECT_TRUE(isFault(run(blockSum("nvvm.barrier0", "5")),
                      Fault::Kind::OutOfBounds, "of shared memory"));
  // A barrier that half of the threads reach.
  LaunchReport half = run(blockSum(R"(
      %low = llvm.icmp "slt" %t, %c64 : i32
      llvm.cond_br %low, ^wait, ^over
    ^wait:
      nvvm.barrier0
      llvm.br ^over
    ^over:)"));
  EXPECT_TRUE(isFault(half, Fault::Kind::Barrier,
                      "expected 128 threads at the barrier, found 64: threads "
                      "0-63 wait at 'nvvm.barrier0'"));
  EXPECT_TRUE(isFault(half, Fault::Kind::Barrier,
                      "threads 64-127 ended at 'llvm.return'"));
  // Two barriers, each for half of the threads.
  LaunchReport two = run(blockSum(R"(
      %low = llvm.icmp "slt" %t, %c64 : i32
      llvm.cond_br %low, ^wait, ^other
    ^wait:
      nvvm.barrier0
      llvm.br ^over
    ^other:
      nvvm.barrier0
      llvm.br ^over
    ^over:)"));
  EXPECT_TRUE(isFault(two, Fault::Kind::Barrier, "at the same barrier"));
}

TEST_F(EmulatorTest, NamedBarriersOrderThoseWhoTakePart) {
  // Warp 0 fills, warp 1 reads: the writer arrives, the reader waits.
  auto kernel = [](StringRef id) {
    return (R"(
    llvm.mlir.global internal @cell() {addr_space = 3 : i32} : !llvm.array<32 x i32>
    llvm.func @k(%y: !llvm.ptr<1>) attributes {nvvm.kernel} {
      %c1 = llvm.mlir.constant(1 : i32) : i32
      %id = llvm.mlir.constant()" +
            id + R"( : i32) : i32
      %c31 = llvm.mlir.constant(31 : i32) : i32
      %c32 = llvm.mlir.constant(32 : i32) : i32
      %c64 = llvm.mlir.constant(64 : i32) : i32
      %t = nvvm.read.ptx.sreg.tid.x : i32
      %lane = llvm.and %t, %c31 : i32
      %cell = llvm.mlir.addressof @cell : !llvm.ptr<3>
      %p = llvm.getelementptr %cell[0, %lane] : (!llvm.ptr<3>, i32) -> !llvm.ptr<3>, !llvm.array<32 x i32>
      %fills = llvm.icmp "slt" %t, %c32 : i32
      llvm.cond_br %fills, ^fill, ^read
    ^fill:
      llvm.store %t, %p : i32, !llvm.ptr<3>
      nvvm.barrier.arrive id = %c1 number_of_threads = %c64
      llvm.br ^end
    ^read:
      nvvm.barrier id = %id number_of_threads = %c64
      %v = llvm.load %p : !llvm.ptr<3> -> i32
      %q = llvm.getelementptr %y[%lane] : (!llvm.ptr<1>, i32) -> !llvm.ptr<1>, i32
      llvm.store %v, %q : i32, !llvm.ptr<1>
      llvm.br ^end
    ^end:
      llvm.return
    })")
        .str();
  };
  std::vector<int32_t> y(32), expected(32);
  std::iota(expected.begin(), expected.end(), 0);
  ASSERT_TRUE(make(kernel("1"))) << errors;
  LaunchReport report = launch("k", {1, 1, 1}, {64, 1, 1}, {buffer("y", y)});
  EXPECT_TRUE(report.clean()) << report.str();
  EXPECT_EQ(y, expected);
  ASSERT_TRUE(make(kernel("2"))) << errors;
  EXPECT_TRUE(isFault(launch("k", {1, 1, 1}, {64, 1, 1}, {buffer("y", y)}),
                      Fault::Kind::Barrier,
                      "expected 64 threads at the barrier, found 32"));
}

TEST_F(EmulatorTest, AtomicsOfAllBlocksAddUp) {
  ASSERT_TRUE(make(R"(
    llvm.func @k(%y: !llvm.ptr<1>) attributes {nvvm.kernel} {
      %t = nvvm.read.ptx.sreg.tid.x : i32
      %old = llvm.atomicrmw add %y, %t monotonic : !llvm.ptr<1>, i32
      llvm.return
    })"))
      << errors;
  std::vector<int32_t> y(1);
  LaunchReport report = launch("k", {3, 1, 1}, {33, 1, 1}, {buffer("y", y)});
  EXPECT_TRUE(report.clean()) << report.str();
  EXPECT_EQ(y[0], 3 * 32 * 33 / 2);
}

// A plain store that nobody waits for, and atomics behind it: its own thread's
// does not hide it.
TEST_F(EmulatorTest, AtomicsDoNotHidePlainAccesses) {
  ASSERT_TRUE(make(R"(
    llvm.func @k(%y: !llvm.ptr<1>) attributes {nvvm.kernel} {
      %t = nvvm.read.ptx.sreg.tid.x : i32
      %zero = llvm.mlir.constant(0 : i32) : i32
      %first = llvm.icmp "eq" %t, %zero : i32
      llvm.cond_br %first, ^clear, ^add
    ^clear:
      llvm.store %zero, %y : i32, !llvm.ptr<1>
      llvm.br ^add
    ^add:
      %old = llvm.atomicrmw add %y, %t monotonic : !llvm.ptr<1>, i32
      llvm.return
    })"))
      << errors;
  std::vector<int32_t> y(1);
  LaunchReport report = launch("k", {1, 1, 1}, {64, 1, 1}, {buffer("y", y)});
  EXPECT_FALSE(report.clean());
}

TEST_F(EmulatorTest, EndlessLoopsEnd) {
  ASSERT_TRUE(make(R"(
    llvm.func @k() attributes {nvvm.kernel} {
      llvm.br ^loop
    ^loop:
      llvm.br ^loop
    })"))
      << errors;
  EmulatorOptions options;
  options.maxSteps = 100000;
  LaunchReport report = launch("k", {1, 1, 1}, {32, 1, 1}, {}, 0, options);
  EXPECT_TRUE(isFault(report, Fault::Kind::Budget,
                      "expected the launch to end within 100000 steps"));
}

//===--- Errors before anything runs --------------------------------------===//

TEST_F(EmulatorTest, UnknownOpsAreErrorsBeforeAnythingRuns) {
  struct Case {
    const char *body, *words;
  };
  const Case cases[] = {
      {"%c = nvvm.read.ptx.sreg.clock : i32", "'nvvm.read.ptx.sreg.clock'"},
      {"llvm.inline_asm has_side_effects \"bar.red;\", \"\" : () -> ()",
       "'llvm.inline_asm bar.red;'"},
      {"%x = llvm.call_intrinsic \"llvm.nvvm.d2i.hi\"(%f) : (f64) -> i32",
       "'llvm.call_intrinsic llvm.nvvm.d2i.hi'"},
      {"%x = llvm.call @__nv_sin(%f) : (f64) -> f64", "'__nv_sin'"},
  };
  for (const Case &c : cases) {
    errors.clear();
    EXPECT_FALSE(make(std::string("llvm.func @__nv_sin(f64) -> f64\n"
                                  "llvm.func @k(%f: f64) attributes "
                                  "{nvvm.kernel} {\n") +
                      c.body + "\nllvm.return\n}"));
    EXPECT_NE(errors.find(c.words), std::string::npos) << errors;
  }
}

TEST_F(EmulatorTest, LaunchesThatADriverWouldRefuse) {
  ASSERT_TRUE(make(R"(
    llvm.func @k(%x: !llvm.ptr<1>, %n: i32) attributes {nvvm.kernel, nvvm.reqntid = array<i32: 64, 1, 1>} {
      llvm.return
    })"))
      << errors;
  auto refused = [&](StringRef kernel, Dim3 block, uint64_t shared,
                     ArrayRef<KernelArgument> arguments) {
    llvm::Expected<LaunchReport> report =
        emulator->launch(kernel, {1, 1, 1}, block, shared, arguments);
    return report ? "not refused" : llvm::toString(report.takeError());
  };
  KernelArgument x = KernelArgument::pointer(0), n = KernelArgument::i32(1);
  EXPECT_EQ(refused("j", {64, 1, 1}, 0, {x, n}), "found no kernel 'j'");
  EXPECT_EQ(refused("k", {32, 1, 1}, 0, {x, n}),
            "expected block (64,1,1) as 'k' requires, found (32,1,1)");
  EXPECT_EQ(refused("k", {64, 1, 1}, 0, {x}),
            "expected 2 arguments of 'k', found 1");
  EXPECT_EQ(refused("k", {64, 1, 1}, 0, {n, n}),
            "expected p64 as argument 0 of 'k', found i32");
  EXPECT_EQ(refused("k", {64, 1, 1}, 16, {x, n}),
            "expected no dynamic shared memory, which 'k' does not name, found "
            "16 bytes");
  EXPECT_NE(refused("k", {64, 32, 1}, 0, {x, n}).find("1024 threads at most"),
            std::string::npos);
}

} // namespace
} // namespace coppice
