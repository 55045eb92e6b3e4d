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
  machine.ceilings = {{1, 1e9, 2e9, 3e9, 1e-6}, {4, 4e9, 5e9, 6e9, 2e-6}};
  machine.efficiency = defaultEfficiencies();
  return machine;
}

std::string replaced(std::string text, const std::string &from,
                     const std::string &to) {
  size_t at = text.find(from);
  EXPECT_NE(at, std::string::npos) << from;
  return text.replace(at, from.size(), to);
}

} // namespace

TEST(Machine, ReadsBackWhatItWrites) {
  Machine machine = twoCounts();
  machine.efficiency["gemm"] = {0.75, 0.5, "measured: x"};
  auto read = Machine::parse(machine.json());
  ASSERT_TRUE(read.ok()) << read.status().message();
  EXPECT_EQ(read->json(), machine.json());
  EXPECT_EQ(read->sha256(), machine.sha256());
  EXPECT_EQ(read->of("gemm").compute, 0.75);
  machine.cacheBytes += 1;
  EXPECT_NE(read->sha256(), machine.sha256());
}

TEST(Machine, LayoutOfTheFileDoesNotChangeItsHash) {
  std::string text = twoCounts().json();
  auto read = Machine::parse(replaced(text, ",", " ,\n\n "));
  ASSERT_TRUE(read.ok());
  EXPECT_EQ(read->sha256(), twoCounts().sha256());
}

TEST(Machine, CeilingsAreThoseOfTheNextCountUp) {
  Machine machine = twoCounts();
  EXPECT_EQ(machine.at(1).threads, 1);
  EXPECT_EQ(machine.at(2).threads, 4);
  EXPECT_EQ(machine.at(4).threads, 4);
  EXPECT_EQ(machine.at(9).threads, 4);
}

TEST(Machine, AnUnknownKindIsOther) {
  Machine machine = twoCounts();
  EXPECT_EQ(&machine.of("no such kind"), &machine.of("other"));
}

TEST(Machine, BadFilesAreRefusedWithTheirPlace) {
  std::string good = twoCounts().json();
  auto refused = [&](const std::string &text, const std::string &expected) {
    auto read = Machine::parse(text);
    ASSERT_FALSE(read.ok()) << text;
    EXPECT_NE(read.status().message().find(expected), std::string::npos)
        << read.status().message();
  };
  refused("", "JSON");
  refused("[]", "expected an object");
  refused(replaced(good, "machine/1", "machine/2"), "schema");
  refused(replaced(good, "\"host\"", "\"hust\""), "host");
  refused(replaced(good, "12345", "-1"), "cache_bytes");
  refused(replaced(good, "12345", "1e300"), "cache_bytes");
  refused(replaced(good, "2000000000.0", "0"), "dram_read_bytes_per_s");
  refused(replaced(good, "2000000000.0", "\"x\""), "expected a number");
  refused(replaced(good, "\"threads\":4", "\"threads\":1"), "ascending");
  refused(replaced(good, "\"threads\":4", "\"threads\":4.5"), "whole");
  refused(replaced(good, "\"compute\":0.05", "\"compute\":0"), "compute");
}
