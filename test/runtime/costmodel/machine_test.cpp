// machine.json: what is read back, and what is refused.
#include "runtime/costmodel/machine.h"

#include <gtest/gtest.h>

using namespace coppice::rt;

namespace {

Machine twoCounts() {
  Machine machine;
  machine.host = "h";
  machine.cpu = "c";
  machine.isa = "avx2";
  machine.date = "2000-01-01T00:00:00Z";
  machine.origin = "test";
  machine.cacheBytes = 12345;
  machine.caches[0] = {100, false};
  machine.caches[2] = {12345, true};
  machine.stepSeconds = 0.25;
  Ceilings one{1, {1e9, 0, 0, 2e9}, {5e8, 0, 0, 1e9}, {7e9, 0, 3e9}, 1e-6};
  Ceilings four{
      4, {4e9, 8e9, 2e9, 5e9}, {4e9, 8e9, 2e9, 5e9}, {9e9, 0, 6e9}, 2e-6};
  machine.ceilings = {one, four};
  machine.curves = assumedCurves();
  machine.sources = {{"cache_bytes", "a data sheet"}};
  return machine;
}

std::string replaced(std::string text, const std::string &from,
                     const std::string &to) {
  size_t at = text.find(from);
  EXPECT_NE(at, std::string::npos) << from << " in " << text;
  return at == std::string::npos ? text : text.replace(at, from.size(), to);
}

} // namespace

TEST(Machine, ReadsBackWhatItWrites) {
  Machine machine = twoCounts();
  machine.setCurve({{"gemm", "bf16", "bf16", "avx512_bf16", 2},
                    "measured: x",
                    {{1, 0, 0.75, 1e-6}, {3, 5, 0.5, 0}, {3, 7, 0.25, -1}}});
  auto read = Machine::parse(machine.json());
  ASSERT_TRUE(read.ok()) << read.status().message();
  EXPECT_EQ(read->json(), machine.json());
  EXPECT_EQ(read->sha256(), machine.sha256());
  EXPECT_EQ(read->ceilings[0].typical, machine.ceilings[0].typical);
  EXPECT_EQ(read->curveFor({"gemm", "bf16", "bf16", "avx512_bf16", 2})
                .at(1, 9)
                .fraction,
            0.75);
  machine.cacheBytes += 1;
  EXPECT_NE(read->sha256(), machine.sha256());
}

TEST(Machine, LayoutOfTheFileDoesNotChangeItsHash) {
  std::string text = twoCounts().json();
  auto read = Machine::parse(replaced(text, ",", " ,\n\n "));
  ASSERT_TRUE(read.ok());
  EXPECT_EQ(read->sha256(), twoCounts().sha256());
}

TEST(Machine, WithoutTypicalRatesTheBestAreTypical) {
  Machine machine = twoCounts();
  machine.ceilings.resize(1);
  std::string text = machine.json();
  size_t at = text.find(",\"typical\"");
  ASSERT_NE(at, std::string::npos);
  text.erase(at, text.find('}', at) + 1 - at);
  auto read = Machine::parse(text);
  ASSERT_TRUE(read.ok()) << read.status().message();
  EXPECT_EQ(read->ceilings[0].typical, machine.ceilings[0].best);
}

TEST(Machine, CeilingsAreThoseOfTheNextCountUp) {
  const Machine machine = twoCounts();
  EXPECT_EQ(machine.at(1).threads, 1);
  EXPECT_EQ(machine.at(2).threads, 4);
  EXPECT_EQ(machine.at(4).threads, 4);
  EXPECT_EQ(machine.at(9).threads, 4);
}

TEST(Machine, ThePeakIsThatOfTheInstructionsInUse) {
  Rates rates{3, 7, 2, 1};
  EXPECT_EQ(peakOf(rates, Arithmetic::BF16, "avx512_bf16"), 7);
  EXPECT_EQ(peakOf(rates, Arithmetic::BF16, "amx_bf16"), 7);
  rates.tiles = 50;
  EXPECT_EQ(peakOf(rates, Arithmetic::BF16, "amx_bf16"), 50);
  EXPECT_EQ(peakOf(rates, Arithmetic::BF16, "avx512_bf16"), 7);
  EXPECT_EQ(peakOf(rates, Arithmetic::F32, "amx_bf16"), 3);
  EXPECT_EQ(peakOf(rates, Arithmetic::BF16, "sm_90"), 50); // all that there is
  rates.tiles = 0;
  EXPECT_EQ(peakOf(rates, Arithmetic::F32, "avx512_bf16"), 3);
  EXPECT_EQ(peakOf(rates, Arithmetic::BF16, "avx512"), 3);
  EXPECT_EQ(peakOf(rates, Arithmetic::BF16, "avx2"), 2);
  EXPECT_EQ(peakOf(rates, Arithmetic::F32, "avx2"), 2);
  EXPECT_EQ(peakOf(rates, Arithmetic::BF16, "sm_90"), 7);
  rates.bf16 = rates.f32Avx2 = 0; // no such units, or not known
  EXPECT_EQ(peakOf(rates, Arithmetic::BF16, "avx512_bf16"), 3);
  EXPECT_EQ(peakOf(rates, Arithmetic::BF16, "avx2"), 3);
}

TEST(Machine, BytesAreReadFromTheSmallestCacheThatHoldsThem) {
  Machine machine = twoCounts();
  EXPECT_EQ(machine.cacheReadBytesPerSecond(400, 4), 9e9); // 4 x 100 B
  EXPECT_EQ(machine.cacheReadBytesPerSecond(401, 4), 6e9);
  EXPECT_EQ(machine.cacheReadBytesPerSecond(101, 1), 3e9);
  EXPECT_EQ(machine.cacheReadBytesPerSecond(12346, 1), 0);
}

TEST(Machine, BadFilesAreRefusedWithTheirPlace) {
  Machine machine = twoCounts();
  machine.setCurve({{"gemm", "", "", "", 3},
                    "measured: x",
                    {{17, 0, 0.75, 1e-6}, {18, 0, 0.5, 0}}});
  std::string good = machine.json();
  auto refused = [&](const std::string &text, const std::string &expected) {
    auto read = Machine::parse(text);
    ASSERT_FALSE(read.ok()) << text;
    EXPECT_NE(read.status().message().find(expected), std::string::npos)
        << read.status().message();
  };
  refused("", "JSON");
  refused("[]", "expected an object");
  refused(replaced(good, "machine/2", "machine/3"), "schema");
  refused(replaced(good, "machine/2", "machine/1"), "run `coppice-run probe");
  refused(replaced(good, "\"host\"", "\"hust\""), "host");
  refused(replaced(good, "\"cache_bytes\":12345", "\"cache_bytes\":-1"),
          "cache_bytes");
  refused(replaced(good, "\"cache_bytes\":12345", "\"cache_bytes\":1e300"),
          "cache_bytes");
  refused(replaced(good, "2000000000.0", "0"),
          "threads[0].best: dram_read_bytes_per_s");
  refused(replaced(good, "2000000000.0", "\"x\""), "expected a number");
  refused(replaced(good, "\"threads\":4", "\"threads\":1"), "ascending");
  refused(replaced(good, "\"threads\":4", "\"threads\":4.5"), "whole");
  refused(replaced(good, "\"level\":3", "\"level\":4"), "caches[1]: level");
  refused(replaced(good, "\"shared\":true", "\"shared\":1"), "shared");
  refused(replaced(good, "\"fraction\":0.75", "\"fraction\":0"), "fraction");
  refused(replaced(good, "\"rows\":18", "\"rows\":17"), "ascending");
  refused(replaced(good, "a data sheet\"", "\",\"x\":3"), "sources: x");
}
