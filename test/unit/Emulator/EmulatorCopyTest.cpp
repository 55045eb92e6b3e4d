//===- EmulatorCopyTest.cpp - cp.async, one rule at a time ----------------===//

#include "EmulatorFixture.h"
#include <numeric>

using namespace mlir;

namespace coppice {
namespace {

class EmulatorCopy : public EmulatorTest {
protected:
  /// Each of 32 threads owns 16 bytes: of x, of y, and of shared memory.
  LaunchReport run(const std::string &body, CopyTime time = CopyTime::Late) {
    std::string text = R"(
      llvm.mlir.global external @ring() {addr_space = 3 : i32, alignment = 16 : i64} : !llvm.array<0 x i8>
      llvm.func @k(%x: !llvm.ptr<1>, %y: !llvm.ptr<1>) attributes {nvvm.kernel} {
        %c0 = llvm.mlir.constant(0 : i32) : i32
        %c7 = llvm.mlir.constant(7 : i32) : i32
        %c16 = llvm.mlir.constant(16 : i32) : i32
        %c20 = llvm.mlir.constant(20 : i32) : i32
        %c31 = llvm.mlir.constant(31 : i32) : i32
        %nowhere = llvm.mlir.zero : !llvm.ptr<1>
        %t = nvvm.read.ptx.sreg.tid.x : i32
        %other = llvm.xor %t, %c31 : i32
        %ring = llvm.mlir.addressof @ring : !llvm.ptr<3>
        %xp = llvm.getelementptr %x[%t] : (!llvm.ptr<1>, i32) -> !llvm.ptr<1>, vector<4xi32>
        %yp = llvm.getelementptr %y[%t] : (!llvm.ptr<1>, i32) -> !llvm.ptr<1>, vector<4xi32>
        %x4 = llvm.getelementptr %xp[4] : (!llvm.ptr<1>) -> !llvm.ptr<1>, i8
        %sp = llvm.getelementptr %ring[%t] : (!llvm.ptr<3>, i32) -> !llvm.ptr<3>, vector<4xi32>
        %so = llvm.getelementptr %ring[%other] : (!llvm.ptr<3>, i32) -> !llvm.ptr<3>, vector<4xi32>
        )" + body + R"(
        llvm.store %v, %yp : vector<4xi32>, !llvm.ptr<1>
        llvm.return
      })";
    if (!make(text)) {
      ADD_FAILURE() << errors;
      return {};
    }
    x.resize(128);
    std::iota(x.begin(), x.end(), 1);
    y.assign(128, -1);
    EmulatorOptions options;
    options.copies = time;
    return launch("k", {1, 1, 1}, {32, 1, 1}, {buffer("x", x), buffer("y", y)},
                  32 * 16, options);
  }

  static constexpr const char *kCopy =
      "nvvm.cp.async.shared.global %sp, %xp, 16, cache = cg : !llvm.ptr<3>, "
      "!llvm.ptr<1>\n";
  static constexpr const char *kCommit = "nvvm.cp.async.commit.group\n";
  static constexpr const char *kWait = "nvvm.cp.async.wait.group 0\n";
  static constexpr const char *kLoad =
      "%v = llvm.load %sp : !llvm.ptr<3> -> vector<4xi32>\n";

  std::vector<int32_t> x, y;
};

TEST_F(EmulatorCopy, AThreadSeesItsOwnCopyAfterTheWait) {
  for (CopyTime time : {CopyTime::Late, CopyTime::Early, CopyTime::Random}) {
    LaunchReport report =
        run(std::string(kCopy) + kCommit + kWait + kLoad, time);
    EXPECT_TRUE(report.clean()) << report.str();
    EXPECT_EQ(y, x);
    // Without a commit, wait_group waits for nothing; wait_all does.
    EXPECT_TRUE(isFault(run(std::string(kCopy) + kWait + kLoad, time),
                        Fault::Kind::UnfinishedCopy,
                        "expected a wait of thread 0"));
    report = run(std::string(kCopy) +
                     "llvm.inline_asm has_side_effects \"cp.async.wait_all;\", "
                     "\"~{memory}\" : () -> ()\n" +
                     kLoad,
                 time);
    EXPECT_TRUE(report.clean()) << report.str();
    EXPECT_EQ(y, x);
  }
}

TEST_F(EmulatorCopy, OthersSeeItAfterABarrierOnly) {
  std::string loadOther =
      "%v = llvm.load %so : !llvm.ptr<3> -> vector<4xi32>\n";
  LaunchReport report = run(std::string(kCopy) + kCommit + kWait + loadOther);
  EXPECT_TRUE(isFault(report, Fault::Kind::Race, "nvvm.cp.async"))
      << report.str();
  // A barrier before the wait is none after it.
  report =
      run(std::string(kCopy) + kCommit + "nvvm.barrier0\n" + kWait + loadOther);
  EXPECT_FALSE(report.clean());
  for (const char *barrier :
       {"nvvm.barrier0\n", "%all = llvm.mlir.constant(-1 : i32) : i32\n"
                           "nvvm.bar.warp.sync %all : i32\n"}) {
    report = run(std::string(kCopy) + kCommit + kWait + barrier + loadOther);
    EXPECT_TRUE(report.clean()) << report.str();
    EXPECT_EQ(y[0], x[31 * 4]);
  }
}

TEST_F(EmulatorCopy, NothingIsReadBeyondTheSourceSize) {
  // Bytes 7 to 15 are zeros.
  std::string cut = "nvvm.cp.async.shared.global %sp, %xp, 16, cache = cg, %c7 "
                    ": !llvm.ptr<3>, !llvm.ptr<1>, i32\n";
  LaunchReport report = run(cut + kCommit + kWait + kLoad);
  EXPECT_TRUE(report.clean()) << report.str();
  EXPECT_EQ(y[0], 1);
  EXPECT_EQ(y[1], 2);
  EXPECT_EQ(y[2], 0);
  EXPECT_EQ(y[3], 0);
  // Of no bytes the address does not matter.
  std::string none = "nvvm.cp.async.shared.global %sp, %nowhere, 16, cache = "
                     "cg, %c0 : !llvm.ptr<3>, !llvm.ptr<1>, i32\n";
  report = run(none + kCommit + kWait + kLoad);
  EXPECT_TRUE(report.clean()) << report.str();
  EXPECT_EQ(y, std::vector<int32_t>(128, 0));
  std::string more = "nvvm.cp.async.shared.global %sp, %xp, 16, cache = cg, "
                     "%c20 : !llvm.ptr<3>, !llvm.ptr<1>, i32\n";
  EXPECT_TRUE(isFault(run(more + kCommit + kWait + kLoad), Fault::Kind::Invalid,
                      "expected at most 16 bytes to be read, found 20"));
}

TEST_F(EmulatorCopy, SmallCopiesAreAlignedToTheirSize) {
  std::string small = "nvvm.cp.async.shared.global %sp, %x4, 4, cache = ca : "
                      "!llvm.ptr<3>, !llvm.ptr<1>\n";
  std::string load = "%one = llvm.load %sp : !llvm.ptr<3> -> i32\n"
                     "%u = llvm.mlir.zero : vector<4xi32>\n"
                     "%v = llvm.insertelement %one, %u[%c0 : i32] : "
                     "vector<4xi32>\n";
  LaunchReport report = run(small + kCommit + kWait + load);
  EXPECT_TRUE(report.clean()) << report.str();
  EXPECT_EQ(y[0], 2);
  std::string large = "nvvm.cp.async.shared.global %sp, %x4, 8, cache = ca : "
                      "!llvm.ptr<3>, !llvm.ptr<1>\n";
  EXPECT_TRUE(isFault(run(large + kCommit + kWait + load),
                      Fault::Kind::Misaligned, "a multiple of 8"));
}

TEST_F(EmulatorCopy, NobodyTouchesEitherEndOfACopyInFlight) {
  std::string store = "%z = llvm.mlir.zero : vector<4xi32>\n";
  for (CopyTime time : {CopyTime::Late, CopyTime::Early, CopyTime::Random}) {
    EXPECT_TRUE(
        isFault(run(std::string(kCopy) + store +
                        "llvm.store %z, %sp : vector<4xi32>, !llvm.ptr<3>\n" +
                        kCommit + kWait + kLoad,
                    time),
                Fault::Kind::CopyConflict,
                "expected nobody to write byte 16 of shared"));
    EXPECT_TRUE(isFault(
        run(std::string(kCopy) + store +
                "llvm.store %z, %xp : vector<4xi32>, !llvm.ptr<1>\n" + kCommit +
                kWait + kLoad,
            time),
        Fault::Kind::CopyConflict, "expected byte 0 of 'x' to stay as it is"));
  }
  // After the wait both are free.
  LaunchReport report =
      run(std::string(kCopy) + store + kCommit + kWait + kLoad +
          "llvm.store %z, %sp : vector<4xi32>, !llvm.ptr<3>\n"
          "llvm.store %z, %xp : vector<4xi32>, !llvm.ptr<1>\n");
  EXPECT_TRUE(report.clean()) << report.str();
}

} // namespace
} // namespace coppice
