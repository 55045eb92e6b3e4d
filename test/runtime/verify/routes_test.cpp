// verify with routes, on programs made by hand: decisions go from the fast
// program to the oracle, undefined rows are left out, and routers that disagree
// are told apart from values that are wrong.
#include "runtime/verify/route_mix.h"
#include "runtime/verify/verify.h"

#include "temporary_directory.h"
#include "toy_bundle.h"

#include <cmath>
#include <gtest/gtest.h>
#include <set>

using namespace coppice::rt;
using namespace coppice::rt::test;
using Json = nlohmann::json;

namespace {

/// The oracle computes every row of `up`, and lists no routes.
void makeOracle(Json &program) {
  program.erase("routes");
  program["oracle"] = true;
  for (Json &dispatch : program["dispatches"]) {
    dispatch.erase("route");
    dispatch.erase("partial");
  }
  Json &up = program["dispatches"][4];
  up["args"].erase(2);
  up["writes"] = {2};
  up["variants"][0]["stages"][0]["kernel"] = "toy_gemm";
}

void setKernel(Json &program, int dispatch, const char *kernel) {
  program["dispatches"][dispatch]["variants"][0]["stages"][0]["kernel"] =
      kernel;
}

struct VerifyRoutes : testing::Test {
  TemporaryDirectory directory;
  CompareOptions options;

  VerifyRoutes() {
    options.workload.length = 11;
    options.workload.seed = 3;
  }

  Result<VerifyReport>
  compare(const std::function<void(Json &)> &editFast = nullptr,
          const std::function<void(Json &)> &editOracle = nullptr) {
    ToyOptions toy;
    toy.routed = true;
    toy.rows = 33;
    writeToyBundle(directory / "fast", toy, editFast);
    writeToyBundle(directory / "oracle", toy, [&](Json &program) {
      makeOracle(program);
      if (editOracle)
        editOracle(program);
    });
    return compareBundles(directory / "fast", directory / "oracle", options);
  }

  VerifyReport report(const std::function<void(Json &)> &editFast = nullptr,
                      const std::function<void(Json &)> &editOracle = nullptr) {
    auto made = compare(editFast, editOracle);
    if (made)
      return *made;
    ADD_FAILURE() << made.status().message();
    return {};
  }

  std::string problem(const std::function<void(Json &)> &editFast,
                      const std::function<void(Json &)> &editOracle = nullptr) {
    auto made = compare(editFast, editOracle);
    return made ? "" : made.status().message();
  }
};

const ValueError &valueOf(const VerifyReport &report, const std::string &name) {
  for (const ValueError &value : report.sites)
    if (value.name == name)
      return value;
  throw std::out_of_range(name);
}

} // namespace

TEST_F(VerifyRoutes, DecisionsAreReplayedInTheOracle) {
  VerifyReport found = report();
  EXPECT_TRUE(found.holds());
  EXPECT_EQ(found.routes.routes, 2);
  EXPECT_EQ(found.routes.rows, 2 * found.rows);
  EXPECT_GT(found.routes.decided, 0);
  EXPECT_LT(found.routes.decided, found.routes.rows); // the rest was given
  EXPECT_GT(found.routes.kept, 0);
  EXPECT_LT(found.routes.kept, found.routes.rows);
  EXPECT_EQ(found.routes.disagreements, 0);
  // Rows of `up` that were passed over hold nothing; those of the stream do.
  EXPECT_LT(valueOf(found, "layers.0.mlp.up").rows, found.rows);
  EXPECT_GT(valueOf(found, "layers.0.mlp.up").rows, 0);
  EXPECT_EQ(valueOf(found, "layers.0.mlp").rows, found.rows);
  EXPECT_EQ(valueOf(found, "layers.0.attn").rows, found.rows);
}

TEST_F(VerifyRoutes, UndefinedRowsAreThoseOfPartialResultsAlone) {
  VerifyReport found = report(
      [](Json &program) { program["dispatches"][4]["partial"] = false; });
  EXPECT_FALSE(found.holds());
  EXPECT_FALSE(valueOf(found, "layers.0.mlp.up").holds());
  EXPECT_TRUE(found.outputs[0].holds());
}

// The oracle takes the same decisions, so that values hold, though the router
// is wrong in every row.
TEST_F(VerifyRoutes, ARouterThatDisagreesIsToldApart) {
  VerifyReport found = report(
      [](Json &program) { setKernel(program, 2, "toy_decide_mlp_inverted"); });
  EXPECT_FALSE(found.holds());
  EXPECT_FALSE(found.routes.holds());
  EXPECT_GT(found.routes.disagreements, 0);
  EXPECT_LT(found.routes.disagreements, found.routes.decided); // attention's
  EXPECT_GT(found.routes.largestMargin, found.routes.tolerance);
  EXPECT_LE(found.routes.largestMargin, std::sqrt(2.0) + 1e-6);
  for (const ValueError &value : found.sites)
    EXPECT_TRUE(value.holds()) << value.name;
}

TEST_F(VerifyRoutes, DecisionsThatAreNotHeardAreAnError) {
  std::string message = problem(
      [](Json &program) { setKernel(program, 2, "toy_decide_mlp_deaf"); });
  EXPECT_NE(message.find("'layers.0.mlp.route'"), std::string::npos) << message;
  EXPECT_NE(message.find("expected the decision that the step gives"),
            std::string::npos)
      << message;
}

// An oracle that decided for itself would let wrong masks pass.
TEST_F(VerifyRoutes, AnOracleThatIsDeafDoesNotHold) {
  VerifyReport found = report(nullptr, [](Json &program) {
    setKernel(program, 2, "toy_decide_mlp_deaf");
  });
  EXPECT_FALSE(valueOf(found, "layers.0.mlp").holds());
}

TEST_F(VerifyRoutes, ASourceMayBeNamed) {
  options.routes = "none";
  VerifyReport found = report();
  EXPECT_TRUE(found.holds());
  EXPECT_EQ(found.routes.kept, 0);
  EXPECT_EQ(found.routes.decided, 0);
  EXPECT_EQ(valueOf(found, "layers.0.mlp.up").rows, 0);
  options.routes = "all";
  found = report();
  EXPECT_TRUE(found.holds());
  EXPECT_EQ(found.routes.kept, found.routes.rows);
  options.routes = "router";
  found = report();
  EXPECT_TRUE(found.holds());
  EXPECT_EQ(found.routes.decided, found.routes.rows);
  options.routes = "some";
  EXPECT_NE(problem(nullptr).find("'some'"), std::string::npos);
}

TEST_F(VerifyRoutes, ProgramsOfOtherPlansAreRefused) {
  EXPECT_NE(
      problem(nullptr,
              [](Json &program) { program["step"][4]["shape"] = {"rows", 3}; })
          .find("decisions in 2 and in 3 columns"),
      std::string::npos);
  EXPECT_NE(problem([](Json &program) {
              program["routes"][0]["scores"] = "layers.0.mlp.scorer";
            }).find("expected scores 'layers.0.mlp.scorer'"),
            std::string::npos);
}

TEST(RouteMix, EveryTurnComesUp) {
  Program program;
  for (int64_t r = 0; r < 6; ++r)
    program.routes.push_back({std::to_string(r), r, 2 * r, 1, 0.5, ""});
  program.routeColumns = 12; // every other column is of no route
  std::vector<int32_t> sequences(40, 0), positions;
  for (int32_t i = 0; i < 40; ++i)
    positions.push_back(i);
  auto decisions = mixDecisions(program, 0, {sequences, positions});
  EXPECT_EQ(decisions, std::vector<int8_t>(40 * 12, -1));
  for (int64_t step : {1, 2, 9}) {
    decisions = mixDecisions(program, step, {sequences, positions});
    std::multiset<std::pair<int, int>> seen; // open and kept rows
    for (int64_t r = 0; r < 6; ++r) {
      int open = 0, kept = 0;
      for (size_t row = 0; row < 40; ++row) {
        EXPECT_EQ(decisions[row * 12 + size_t(2 * r) + 1], -1);
        open += decisions[row * 12 + size_t(2 * r)] == -1;
        kept += decisions[row * 12 + size_t(2 * r)] == 1;
      }
      seen.emplace(open, kept);
    }
    for (std::pair<int, int> turn :
         {std::pair(40, 0), std::pair(0, 40), std::pair(0, 0), std::pair(0, 1)})
      EXPECT_EQ(seen.count(turn), 1u) << step;
    EXPECT_GE(seen.count({0, 20}), 1u); // every other row
  }
}
