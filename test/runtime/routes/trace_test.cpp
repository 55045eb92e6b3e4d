// Traces: what is recorded is replayed, and files that are no traces of the
// program are refused by name.
#include "runtime/base/safetensors_writer.h"
#include "runtime/evaluate/runner.h"
#include "runtime/routes/trace.h"
#include "temporary_directory.h"
#include "toy_bundle.h"

#include <filesystem>
#include <gtest/gtest.h>

namespace coppice::rt {
namespace {

using test::TemporaryDirectory;

/// The tensors of a file, to be damaged one at a time.
struct File {
  std::vector<int32_t> slots = {0, 0, 3}, positions = {0, 1, 0};
  std::vector<uint8_t> mlp = {1, 0, 1}, attention = {0, 0, 1};
  DType maskType = DType::U8;
  std::vector<int64_t> maskShape = {3, 1};
  bool hasAttention = true, hasPositions = true;

  void write(const std::string &path) const {
    SafetensorsWriter writer;
    int64_t count[] = {int64_t(slots.size())},
            other[] = {int64_t(positions.size())}, mask[] = {3, 1};
    auto require = [](const Status &status) {
      ASSERT_TRUE(status.ok()) << status.message();
    };
    require(writer.declare("slots", DType::I32, count));
    if (hasPositions)
      require(writer.declare("positions", DType::I32, other));
    require(writer.declare("layers.0.mlp.route", maskType, maskShape));
    if (hasAttention)
      require(writer.declare("layers.0.attn.route", DType::U8, mask));
    require(writer.begin(path));
    require(writer.write(std::as_bytes(std::span(slots))));
    if (hasPositions)
      require(writer.write(std::as_bytes(std::span(positions))));
    require(writer.write(std::as_bytes(std::span(mlp))));
    if (hasAttention)
      require(writer.write(std::as_bytes(std::span(attention))));
    require(writer.commit());
  }
};

class Trace : public testing::Test {
protected:
  Trace() {
    toy.routed = true;
    test::writeToyBundle(directory / "toy.coppice", toy);
  }
  Runner open(RunnerOptions options = {}) {
    auto runner = Runner::open(directory / "toy.coppice", options);
    EXPECT_TRUE(runner) << runner.status().message();
    return *std::move(runner);
  }
  TemporaryDirectory directory;
  test::ToyOptions toy;
};

TEST_F(Trace, WhatIsRecordedIsReplayed) {
  std::string path = directory / "trace.safetensors";
  std::vector<int32_t> tokens = {4, 0, 6, 1, 5};
  std::vector<float> logits, replayed;
  {
    Runner runner = open();
    ASSERT_TRUE(runner.recordRoutes().ok());
    ASSERT_TRUE(runner.feed(tokens, 1, 0, true, logits).ok());
    ASSERT_TRUE(runner.recordedRoutes().save(path).ok());
  }
  std::vector<test::ToyDecision> masks;
  test::ToyReference(toy).logits(
      tokens, std::vector<test::ToyDecision>(5, {-1, -1}), &masks);
  Runner runner = open();
  auto trace = RouteTrace::load(path, runner.program());
  ASSERT_TRUE(trace) << trace.status().message();
  for (int32_t t = 0; t < 5; ++t) {
    ASSERT_NE(trace->find(0, t), nullptr);
    EXPECT_EQ(*trace->find(0, t), std::vector<int8_t>(masks[size_t(t)].begin(),
                                                      masks[size_t(t)].end()));
  }
  EXPECT_EQ(trace->find(0, 5), nullptr);
  // Other tokens, the same decisions: it is the file that decides.
  ASSERT_TRUE(runner.routeBy("trace:" + path).ok());
  std::vector<int32_t> others = {1, 1, 2, 3, 6};
  ASSERT_TRUE(runner.feed(others, 0, 0, false, replayed).ok());
  EXPECT_EQ(replayed, test::ToyReference(toy).logits(others, masks));

  // What the trace lacks is an error, not a guess.
  Status status = runner.feed({{2}}, 0, 5, false, replayed);
  ASSERT_FALSE(status.ok());
  EXPECT_NE(status.message().find(path), std::string::npos);
  EXPECT_NE(status.message().find("slot 0, position 5"), std::string::npos)
      << status.message();
}

TEST_F(Trace, DensityIsTheShareOfKeptRows) {
  File().write(directory / "t");
  Runner runner = open();
  auto trace = RouteTrace::load(directory / "t", runner.program());
  ASSERT_TRUE(trace) << trace.status().message();
  EXPECT_DOUBLE_EQ(trace->density(runner.program().routes[0]), 2.0 / 3);
  EXPECT_DOUBLE_EQ(trace->density(runner.program().routes[1]), 1.0 / 3);
}

TEST_F(Trace, FilesThatAreNoTraceAreRefused) {
  Program program = open().program();
  std::string path = directory / "bad.safetensors";
  auto refused = [&](auto edit, const std::string &part) {
    File file;
    edit(file);
    file.write(path);
    auto trace = RouteTrace::load(path, program);
    ASSERT_FALSE(trace) << part;
    EXPECT_EQ(trace.status().code(), COPPICE_INVALID_FILE);
    EXPECT_TRUE(trace.status().message().starts_with(path + ": "))
        << trace.status().message();
    EXPECT_NE(trace.status().message().find(part), std::string::npos)
        << trace.status().message();
  };
  refused([](File &f) { f.hasAttention = false; },
          "expected a tensor 'layers.0.attn.route'");
  refused([](File &f) { f.hasPositions = false; },
          "expected a tensor 'positions'");
  refused([](File &f) { f.positions = {0, 1}; },
          "tensor 'positions': expected I32 [3], found I32 [2]");
  refused([](File &f) { f.maskType = DType::I8; },
          "tensor 'layers.0.mlp.route': expected U8 [3, 1], found I8 [3, 1]");
  refused([](File &f) { f.maskShape = {1, 3}; },
          "expected U8 [3, 1], found U8 [1, 3]");
  refused([](File &f) { f.mlp[1] = 2; }, "expected 0 or 1, found 2 in row 1");
  refused([](File &f) { f.positions[1] = 0; },
          "row 1: slot 0, position 0 appears twice");
  refused([](File &f) { f.slots[2] = -1; }, "row 2: expected a slot");

  File().write(path);
  std::string bytes = test::readBytes(path);
  test::writeBytes(path, bytes.substr(0, bytes.size() - 1));
  auto cut = RouteTrace::load(path, program);
  ASSERT_FALSE(cut);
  EXPECT_NE(cut.status().message().find(path), std::string::npos);
  EXPECT_FALSE(RouteTrace::load(directory / "missing", program));
}

TEST_F(Trace, OfNothingIsNotWritten) {
  Runner runner = open();
  ASSERT_TRUE(runner.recordRoutes().ok());
  EXPECT_FALSE(runner.recordedRoutes().save(directory / "none").ok());
  EXPECT_FALSE(std::filesystem::exists(directory / "none"));

  test::writeToyBundle(directory / "plain.coppice");
  auto plain = Runner::open(directory / "plain.coppice", {});
  ASSERT_TRUE(plain);
  EXPECT_FALSE(plain->recordRoutes().ok());
}

} // namespace
} // namespace coppice::rt
