// Comparison with peers, from records worked out on paper.
#include "runtime/bench/peers_file.h"

#include <gtest/gtest.h>

using namespace coppice::rt;

namespace {

std::string record(const std::string &peer, int n, const std::string &ratio,
                   const std::string &date, const std::string &cpu = "c",
                   const std::string &dtype = "f32", int threads = 2) {
  return R"({"schema":"coppice.peers/1","kind":"gemm","peer":")" + peer +
         R"(","peer_version":"3","dtype":")" + dtype + R"(","m":1,"k":5,"n":)" +
         std::to_string(n) + R"(,"threads":)" + std::to_string(threads) +
         R"(,"ratio":)" + ratio + R"(,"cpu":")" + cpu + R"(","date":")" + date +
         "\"}\n";
}

} // namespace

TEST(PeersFile, TakesTheLatestOfEachShape) {
  std::string text = record("A", 7, "9", "2001") + record("A", 7, "2", "2002") +
                     record("B", 7, "8", "2003") +
                     record("A", 9, "0.5", "2002");
  auto found = comparePeers(text, "f32", 2, "c");
  ASSERT_TRUE(found);
  EXPECT_DOUBLE_EQ(found->ratio, 2); // sqrt(8 * 0.5)
  EXPECT_EQ(found->shapes, 2);
  EXPECT_EQ(found->peers, (std::vector<std::string>{"A 3", "B 3"}));
  EXPECT_EQ(found->date, "2003");
}

TEST(PeersFile, OtherMachinesAndBrokenLinesDoNotCount) {
  std::string text = record("A", 7, "2", "2002", "other") +
                     record("A", 7, "2", "2002", "c", "bf16") +
                     record("A", 7, "2", "2002", "c", "f32", 1) +
                     record("A", 7, "null", "2002") + "{\n[]\n\n7\n" +
                     record("A", 7, "-1", "2002");
  EXPECT_FALSE(comparePeers(text, "f32", 2, "c"));
  EXPECT_FALSE(comparePeers("", "f32", 2, "c"));
  text += record("A", 7, "4", "2002");
  text.pop_back(); // no line end
  ASSERT_TRUE(comparePeers(text, "f32", 2, "c"));
  EXPECT_DOUBLE_EQ(comparePeers(text, "f32", 2, "c")->ratio, 4);
}
