// Work of the toy program, against figures worked out on paper.
#include "runtime/costmodel/estimate.h"
#include "runtime/costmodel/routing.h"
#include "runtime/costmodel/work.h"

#include "temporary_directory.h"
#include "toy_bundle.h"

#include <gtest/gtest.h>

using namespace coppice::rt;
using namespace coppice::rt::test;

namespace {

Program toyProgram(const std::function<void(nlohmann::json &)> &edit = {},
                   bool routed = false) {
  TemporaryDirectory directory;
  ToyOptions options;
  options.routed = routed;
  writeToyBundle(directory / "toy.coppice", options, edit);
  Result<Program> program =
      parseProgram(readBytes(directory / "toy.coppice/program.json"));
  EXPECT_TRUE(program.ok()) << program.status().message();
  return program.ok() ? *program : Program();
}

const Work &at(const Program &program, const std::vector<Work> &work,
               const std::string &site) {
  for (size_t i = 0; i < work.size(); ++i)
    if (program.dispatches[i].site == site)
      return work[i];
  throw std::out_of_range(site);
}

// Two sequences with 3 tokens each in the cache are fed one more.
constexpr StepShape decode{2, 3, 1, true, 3, 11};

} // namespace

TEST(StepShape, CountsRowsPairsAndEntries) {
  EXPECT_EQ(decode.rows(), 2);
  EXPECT_EQ(decode.headRows(), 2);
  EXPECT_EQ(decode.attended(), 2 * 4);
  EXPECT_EQ(decode.cached(), 2 * 4);
  // Positions 2, 3, 4 of three sequences, no logits wanted.
  StepShape middle{3, 2, 3, false, 3, 11};
  EXPECT_EQ(middle.rows(), 9);
  EXPECT_EQ(middle.headRows(), 0);
  EXPECT_EQ(middle.attended(), 3 * (3 + 4 + 5));
  EXPECT_EQ(middle.cached(), 3 * 5);
}

TEST(StepShape, AWindowCountsWhatItsRowsSee) {
  // Row by row, as the definition says.
  for (int64_t begin : {0, 1, 4, 9})
    for (int64_t length : {1, 2, 7})
      for (int64_t window : {1, 2, 5, 30}) {
        StepShape step{3, begin, length, false, 3, 40};
        int64_t pairs = 0, entries = 0;
        for (int64_t row = begin; row < begin + length; ++row)
          pairs += std::min(row + 1, window);
        for (int64_t entry = 0; entry < begin + length; ++entry)
          for (int64_t row = std::max(begin, entry); row < begin + length;
               ++row)
            if (row - window < entry) {
              ++entries;
              break;
            }
        EXPECT_EQ(step.attended(window), 3 * pairs)
            << begin << " " << length << " " << window;
        EXPECT_EQ(step.cached(window), 3 * entries)
            << begin << " " << length << " " << window;
      }
}

TEST(PlanSteps, SplitsAPrefillAndAsksForTheLastLogitsOnly) {
  auto steps = planSteps({Phase::Prefill, 3, 11}, 17, 3, 11);
  ASSERT_TRUE(steps.ok());
  ASSERT_EQ(steps->size(), 3u); // 5 tokens of each of 3, twice, then 1
  int64_t attended = 0;
  for (const StepShape &step : *steps) {
    EXPECT_LE(step.rows(), 17);
    attended += step.attended();
  }
  EXPECT_EQ(attended, 3 * 11 * 12 / 2);
  EXPECT_FALSE((*steps)[0].head);
  EXPECT_FALSE((*steps)[1].head);
  EXPECT_TRUE((*steps)[2].head);
  EXPECT_EQ((*steps)[2].length, 1);
}

TEST(PlanSteps, RefusesWhatTheSessionCannotHold) {
  EXPECT_TRUE(planSteps({Phase::Prefill, 3, 11}, 17, 3, 11).ok());
  EXPECT_FALSE(planSteps({Phase::Prefill, 4, 11}, 17, 3, 11).ok());
  EXPECT_FALSE(planSteps({Phase::Prefill, 3, 12}, 17, 3, 11).ok());
  EXPECT_FALSE(planSteps({Phase::Prefill, 0, 1}, 17, 3, 11).ok());
  EXPECT_FALSE(planSteps({Phase::Prefill, 1, 0}, 17, 3, 11).ok());
  EXPECT_FALSE(planSteps({Phase::Prefill, 3, 1}, 2, 3, 11).ok());
  // Decode needs room for one more.
  EXPECT_TRUE(planSteps({Phase::Decode, 1, 10}, 17, 3, 11).ok());
  EXPECT_FALSE(planSteps({Phase::Decode, 1, 11}, 17, 3, 11).ok());
}

TEST(Work, OfADecodeStep) {
  Program program = toyProgram();
  auto work = evaluateWork(program, decode);
  ASSERT_TRUE(work.ok()) << work.status().message();
  const Work &up = at(program, *work, "layers.0.mlp.up");
  EXPECT_EQ(up.flops, 2 * 2 * 5 * 5);
  EXPECT_EQ(up.weightBytes, 100);
  EXPECT_EQ(up.readBytes, 40);
  EXPECT_EQ(up.writeBytes, 40);
  EXPECT_EQ(up.coldBytes, 100); // activations may be in a cache
  EXPECT_EQ(up.m, 2);
  EXPECT_EQ(up.n, 5);
  EXPECT_EQ(up.k, 5);
  // 6 entries of 20 bytes are older than the step.
  EXPECT_EQ(at(program, *work, "layers.0.attn").coldBytes, 120);
  EXPECT_EQ(at(program, *work, "layers.0.attn.k.append").coldBytes, 0);
  EXPECT_EQ(at(program, *work, "lm_head").coldBytes, 4 * 5 * 7);
}

TEST(Work, WhatIsExecutedMayBeMoreThanWhatCounts) {
  Program program = toyProgram([](nlohmann::json &json) {
    for (nlohmann::json &dispatch : json["dispatches"])
      if (dispatch["site"] == "layers.0.mlp.up")
        dispatch["cost"]["executed_per_flop"] = 2;
  });
  auto work = evaluateWork(program, decode);
  ASSERT_TRUE(work.ok()) << work.status().message();
  const Work &up = at(program, *work, "layers.0.mlp.up"),
             &head = at(program, *work, "lm_head");
  EXPECT_EQ(up.flops, 2 * 2 * 5 * 5);
  EXPECT_EQ(up.executedFlops, 2 * up.flops);
  EXPECT_EQ(dispatchWork(DispatchKind::Gemm, up, true).flops, 2 * up.flops);
  EXPECT_EQ(head.executedFlops, head.flops);
}

TEST(Work, PanelsAreThoseOfTheKernelThatRuns) {
  auto panelOf = [](const std::string &config) {
    Program program = toyProgram([&](nlohmann::json &json) {
      for (auto &dispatch : json["dispatches"])
        for (auto &variant : dispatch["variants"])
          for (auto &stage : variant["stages"])
            stage["config"] = config;
    });
    auto work = evaluateWork(program, decode);
    EXPECT_TRUE(work.ok()) << work.status().message();
    EXPECT_EQ(at(program, *work, "embed").panel, 1); // no product
    return at(program, *work, "layers.0.mlp.up").panel;
  };
  EXPECT_EQ(panelOf("gemm, panel 48, rows 6, panels 2, depth 512"), 48);
  EXPECT_EQ(panelOf("gemm, rows 6, panels 2"), 1);
  EXPECT_EQ(panelOf("plain, tile 8"), 1);
  for (const char *odd : {"gemm, panel ", "gemm, panel x", "gemm, panel -16",
                          "gemm, panel 0", "gemm, panel 99999999999999999999"})
    EXPECT_EQ(panelOf(odd), 1) << odd;
}

TEST(Work, APrefillFindsNothingInTheCache) {
  Program program = toyProgram();
  auto work = evaluateWork(program, {2, 0, 5, true, 3, 11});
  ASSERT_TRUE(work.ok());
  EXPECT_EQ(at(program, *work, "layers.0.attn").coldBytes, 0);
  EXPECT_GT(at(program, *work, "layers.0.attn").readBytes, 0);
}

TEST(Work, CacheEntriesAreNeverMoreThanWhatIsRead) {
  Program program = toyProgram([](nlohmann::json &json) {
    json["dispatches"][4]["cost"]["read_bytes"] = 33; // a sliding window, say
  });
  auto work = evaluateWork(program, decode);
  ASSERT_TRUE(work.ok());
  EXPECT_EQ(at(program, *work, "layers.0.attn").coldBytes, 33);
}

TEST(Work, AWindowBoundsPairsAndEntries) {
  Program program = toyProgram([](nlohmann::json &json) {
    json["dispatches"][4]["cost"]["window"] = 2;
  });
  auto work = evaluateWork(program, decode),
       whole = evaluateWork(toyProgram(), decode);
  ASSERT_TRUE(work.ok() && whole.ok());
  const Work &narrow = at(program, *work, "layers.0.attn");
  EXPECT_EQ(narrow.coldBytes, 2 * 20); // an old entry of each sequence
  // 2 of 4 pairs a row.
  EXPECT_EQ(narrow.flops, at(program, *whole, "layers.0.attn").flops / 2);
  // Other dispatches keep theirs.
  EXPECT_EQ(at(program, *work, "layers.0.mlp.up").flops,
            at(program, *whole, "layers.0.mlp.up").flops);
}

TEST(Work, ASharedWeightIsFetchedOnce) {
  // The lookup reads 20 bytes a row of the table that the head reads whole.
  Program program = toyProgram([](nlohmann::json &json) {
    json["dispatches"][0]["cost"]["weight_bytes"] = {"*", "rows", 20};
  });
  auto work = evaluateWork(program, decode);
  ASSERT_TRUE(work.ok());
  EXPECT_EQ(at(program, *work, "embed").weightBytes, 40);
  EXPECT_EQ(at(program, *work, "embed").coldBytes, 0); // tokens may repeat
  EXPECT_EQ(at(program, *work, "lm_head").coldBytes, 4 * 5 * 7 - 40);
}

// mlp is expected to keep a half, attention a quarter.
TEST(Work, ARouteLeavesItsShare) {
  Program program = toyProgram({}, /*routed=*/true);
  auto work = evaluateWork(program, decode);
  ASSERT_TRUE(work.ok()) << work.status().message();
  const Work &up = at(program, *work, "layers.0.mlp.up");
  EXPECT_DOUBLE_EQ(up.flops, 0.5 * 2 * 2 * 5 * 5);
  EXPECT_DOUBLE_EQ(up.executedFlops, 0.5 * 2 * 2 * 5 * 5);
  EXPECT_DOUBLE_EQ(up.readBytes, 20);
  EXPECT_DOUBLE_EQ(up.writeBytes, 20);
  // Of two rows one at least is kept in three of four steps.
  EXPECT_DOUBLE_EQ(up.weightBytes, 75);
  EXPECT_DOUBLE_EQ(up.coldBytes, 75);
  EXPECT_EQ(up.m, 2);
  EXPECT_DOUBLE_EQ(up.activeRows, 1);
  // A quarter of the sequences is attended to: 6 old entries of 20 bytes.
  EXPECT_DOUBLE_EQ(at(program, *work, "layers.0.attn").coldBytes, 30);
  // The routers and what has no route work on all rows.
  EXPECT_DOUBLE_EQ(at(program, *work, "layers.0.mlp.router").flops, 2 * 20);
  EXPECT_DOUBLE_EQ(at(program, *work, "layers.0.attn.k.append").writeBytes, 40);

  // Three rows of each of two sequences: their cache is read unless all three
  // are passed over.
  StepShape prefill{2, 4, 3, true, 3, 11};
  work = evaluateWork(program, prefill);
  ASSERT_TRUE(work.ok());
  EXPECT_DOUBLE_EQ(at(program, *work, "layers.0.attn").coldBytes,
                   (1 - 0.75 * 0.75 * 0.75) * 8 * 20);
  EXPECT_DOUBLE_EQ(at(program, *work, "layers.0.mlp.up").coldBytes,
                   100 * (1 - 1.0 / 64));

  // As it was measured.
  std::vector<RouteLoad> loads = {{0.75, 0.875, 0.1}, {0.0, 0.0, 0.0}};
  work = evaluateWork(program, decode, loads);
  ASSERT_TRUE(work.ok());
  EXPECT_DOUBLE_EQ(at(program, *work, "layers.0.mlp.up").flops, 75);
  EXPECT_DOUBLE_EQ(at(program, *work, "layers.0.mlp.up").coldBytes, 87.5);
  EXPECT_DOUBLE_EQ(at(program, *work, "layers.0.attn").coldBytes, 0);
  EXPECT_DOUBLE_EQ(at(program, *work, "layers.0.attn").flops, 0);

  auto whole = evaluateWholeWork(program, decode);
  ASSERT_TRUE(whole.ok());
  EXPECT_DOUBLE_EQ(at(program, *whole, "layers.0.mlp.up").flops, 100);
  EXPECT_DOUBLE_EQ(at(program, *whole, "layers.0.attn").coldBytes, 120);
}

TEST(Work, TheKeptRowsMakeTheItemsOfTheStepsVariant) {
  Dispatch dispatch;
  auto rows = Expr::symbol(symbolRows);
  auto stage = [](Expr grid) { return Stage{"k", grid, ""}; };
  Expr few = Expr::binary(
      Expr::Op::Max, Expr::constant(0),
      Expr::binary(Expr::Op::Add, Expr::constant(5),
                   Expr::binary(Expr::Op::Mul, rows, Expr::constant(-1))));
  dispatch.variants = {
      {few, {}, {stage(Expr::constant(1000))}},
      {{},
       {},
       {stage(Expr::binary(Expr::Op::CeilDiv, rows, Expr::constant(4)))}}};
  SymbolValues values{};
  values[symbolRows] = 16;
  EXPECT_EQ(countWorkItems(dispatch, values, 16), 4);
  EXPECT_EQ(countWorkItems(dispatch, values, 3),
            1); // not the variant of 3 rows
  EXPECT_EQ(countWorkItems(dispatch, values, 0), 0);
  values[symbolRows] = 3;
  EXPECT_EQ(countWorkItems(dispatch, values, 3), 1000);
}

TEST(Routing, PartsAreToldByKindAndScores) {
  Program program = toyProgram({}, /*routed=*/true);
  std::vector<std::string> parts;
  for (size_t i = 0; i < program.dispatches.size(); ++i)
    parts.push_back(nameOf(partOf(program, i)));
  EXPECT_EQ(parts, (std::vector<std::string>{
                       "other", "router", "compaction", "compaction", "gemm",
                       "other", "other", "router", "compaction", "other",
                       "other", "other", "gemm"}));
  program.dispatches[1].site = "layers.0.mlp.router.down"; // of a bottleneck
  program.dispatches[1].value.reset();
  EXPECT_EQ(partOf(program, 1), Part::Router);
  EXPECT_TRUE(isAddedByRouting(program, 1));
  program.dispatches[1].site = "layers.0.mlp.routers";
  EXPECT_EQ(partOf(program, 1), Part::Gemm);
}

TEST(Work, ANegativeCostIsRefused) {
  Program program = toyProgram([](nlohmann::json &json) {
    json["dispatches"][1]["cost"]["flops"] = {"+", "rows", -3};
  });
  auto work = evaluateWork(program, decode);
  ASSERT_FALSE(work.ok());
  EXPECT_NE(work.status().message().find("layers.0.mlp.up"), std::string::npos);
}
