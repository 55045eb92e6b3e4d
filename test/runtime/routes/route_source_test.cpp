// Sources by their names: what they decide, and specs that are refused.
#include "runtime/evaluate/runner.h"
#include "runtime/routes/bernoulli.h"
#include "runtime/routes/route_source.h"
#include "temporary_directory.h"
#include "toy_bundle.h"

#include <cmath>
#include <gtest/gtest.h>

namespace coppice::rt {
namespace {

Program routed() {
  Program program;
  program.routes = {{"a", 0, 1, 2, 0.25, "s"}, {"b", 1, 3, 1, 0.75, "t"}};
  program.routeColumns = 5; // column 0 and 4 belong to no route
  return program;
}

std::vector<int8_t> decide(RouteSource &source, const Program &program,
                           const std::vector<int32_t> &sequences,
                           const std::vector<int32_t> &positions) {
  std::vector<int8_t> decisions(sequences.size() * size_t(program.routeColumns),
                                -1);
  Status status = source.decide({sequences, positions}, decisions);
  EXPECT_TRUE(status.ok()) << status.message();
  return decisions;
}

std::unique_ptr<RouteSource> make(const std::string &spec,
                                  const Program &program) {
  auto source = makeRouteSource(spec, program);
  EXPECT_TRUE(source) << source.status().message();
  return source ? *std::move(source) : nullptr;
}

TEST(RouteSource, ConstantSourcesDecideAll) {
  Program program = routed();
  for (auto [spec, value, density] :
       {std::tuple("router", -1, 0.25), std::tuple("all", 1, 1.0),
        std::tuple("none", 0, 0.0)}) {
    auto source = make(spec, program);
    EXPECT_EQ(decide(*source, program, {0, 1}, {0, 0}),
              std::vector<int8_t>(10, int8_t(value)));
    EXPECT_EQ(source->density(program.routes[0]), density);
  }
}

TEST(RouteSource, BernoulliIsAFunctionOfSequenceAndPosition) {
  Program program = routed();
  auto source = make("bernoulli:0.5:7", program);
  auto both = decide(*source, program, {3, 4, 3}, {0, 9, 1});
  auto again = decide(*source, program, {3, 3}, {1, 0}); // in another order
  EXPECT_TRUE(std::equal(both.begin(), both.begin() + 5, again.begin() + 5));
  EXPECT_TRUE(std::equal(both.begin() + 10, both.end(), again.begin()));
  EXPECT_EQ(both[0], -1); // of no route
  EXPECT_EQ(both[4], -1);
  for (size_t i : {1, 2})
    EXPECT_EQ(both[i], drawDecision(7, "a", int64_t(i) - 1, 3, 0, 0.5));
  EXPECT_EQ(both[8], drawDecision(7, "b", 0, 4, 9, 0.5));
}

// The definition in docs/runtime.md, written out once more.
TEST(RouteSource, BernoulliIsTheDocumentedFunction) {
  auto mix = [](uint64_t x) {
    x += 0x9E3779B97F4A7C15u;
    x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9u;
    x = (x ^ (x >> 27)) * 0x94D049BB133111EBu;
    return x ^ (x >> 31);
  };
  uint64_t fnv = 0xCBF29CE484222325u;
  for (char c : std::string("layers.1.mlp.route"))
    fnv = (fnv ^ uint64_t(c)) * 0x100000001B3u;
  for (int64_t group : {0, 1, 5})
    for (int64_t sequence : {0, 2, 1000})
      for (int64_t position : {0, 1, 4095}) {
        uint64_t bits = mix(mix(mix((fnv ^ mix(11)) + uint64_t(group)) +
                                uint64_t(sequence)) +
                            uint64_t(position)) >>
                        40;
        double u = double(bits) / 16777216.0;
        EXPECT_FALSE(drawDecision(11, "layers.1.mlp.route", group, sequence,
                                  position, u));
        EXPECT_TRUE(drawDecision(11, "layers.1.mlp.route", group, sequence,
                                 position, u + 0x1p-24));
      }
}

TEST(RouteSource, BernoulliKeepsTheShareThatIsAskedFor) {
  Program program = routed();
  std::vector<int32_t> sequences, positions;
  for (int32_t i = 0; i < 20000; ++i) {
    sequences.push_back(i % 7);
    positions.push_back(i / 7);
  }
  auto shareOf = [&](RouteSource &source, int64_t column) {
    auto decisions = decide(source, program, sequences, positions);
    double kept = 0;
    for (size_t r = 0; r < sequences.size(); ++r)
      kept += decisions[r * 5 + size_t(column)];
    return kept / double(sequences.size());
  };
  auto expected = make("bernoulli:expected", program);
  EXPECT_NEAR(shareOf(*expected, 1), 0.25, 0.015);
  EXPECT_NEAR(shareOf(*expected, 2), 0.25, 0.015);
  EXPECT_NEAR(shareOf(*expected, 3), 0.75, 0.015);
  EXPECT_EQ(expected->density(program.routes[1]), 0.75);
  EXPECT_EQ(shareOf(*make("bernoulli:0", program), 1), 0);
  EXPECT_EQ(shareOf(*make("bernoulli:1", program), 1), 1);

  // Groups, routes, seeds and rounds are independent of one another.
  auto half = make("bernoulli:0.5:1", program);
  auto first = decide(*half, program, sequences, positions);
  half->renew(1);
  auto second = decide(*half, program, sequences, positions);
  auto other =
      decide(*make("bernoulli:0.5:2", program), program, sequences, positions);
  auto agreement = [&](const std::vector<int8_t> &a, size_t i,
                       const std::vector<int8_t> &b, size_t j) {
    double same = 0;
    for (size_t r = 0; r < sequences.size(); ++r)
      same += a[r * 5 + i] == b[r * 5 + j];
    return same / double(sequences.size());
  };
  EXPECT_NEAR(agreement(first, 1, first, 2), 0.5, 0.015);
  EXPECT_NEAR(agreement(first, 1, first, 3), 0.5, 0.015);
  EXPECT_NEAR(agreement(first, 1, second, 1), 0.5, 0.015);
  EXPECT_NEAR(agreement(first, 1, other, 1), 0.5, 0.015);
  half->renew(0);
  EXPECT_EQ(decide(*half, program, sequences, positions), first);
}

TEST(RouteSource, MalformedSpecsAreRefused) {
  Program program = routed();
  for (const char *spec :
       {"", "routers", "bernoulli", "bernoulli:", "bernoulli:x",
        "bernoulli:1.5", "bernoulli:-0.1", "bernoulli:nan", "bernoulli:0.5:",
        "bernoulli:0.5:-1", "bernoulli:0.5:1x", "bernoulli:0.5 ",
        "trace:", "all:1", "bernoulli:expected:99999999999999999999"}) {
    auto source = makeRouteSource(spec, program);
    ASSERT_FALSE(source) << spec;
    EXPECT_EQ(source.status().code(), COPPICE_INVALID_ARGUMENT);
    EXPECT_NE(source.status().message().find("bernoulli:P[:SEED]"),
              std::string::npos)
        << source.status().message();
  }
  Program plain;
  EXPECT_TRUE(makeRouteSource("router", plain));
  auto source = makeRouteSource("bernoulli:0.5", plain);
  ASSERT_FALSE(source);
  EXPECT_NE(source.status().message().find("found one without"),
            std::string::npos);
}

// Prefill in one step, in pieces, and token by token see the same masks.
TEST(RouteSource, PrefillAndDecodeAgree) {
  test::TemporaryDirectory directory;
  test::ToyOptions toy;
  toy.routed = true;
  test::writeToyBundle(directory / "toy.coppice", toy);
  std::vector<int32_t> tokens = {4, 0, 6, 1, 5, 2, 2, 3};
  std::vector<test::ToyDecision> decisions;
  for (int32_t t = 0; t < 8; ++t)
    decisions.push_back({drawDecision(5, "layers.0.attn.route", 0, 0, t, 0.5),
                         drawDecision(5, "layers.0.mlp.route", 0, 0, t, 0.5)});
  std::vector<float> expected =
      test::ToyReference(toy).logits(tokens, decisions);
  for (int64_t rows : {8, 3, 1}) {
    RunnerOptions options;
    options.maxRows = rows;
    auto runner = Runner::open(directory / "toy.coppice", options);
    ASSERT_TRUE(runner) << runner.status().message();
    ASSERT_TRUE(runner->routeBy("bernoulli:0.5:5").ok());
    std::vector<float> logits;
    ASSERT_TRUE(runner->feed(tokens, 2, 0, false, logits).ok());
    EXPECT_EQ(logits, expected) << rows;
  }
}

} // namespace
} // namespace coppice::rt
