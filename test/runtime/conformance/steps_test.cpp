// Steps: ragged batches, slots, groups, variants, observer, determinism.
#include "conformance.h"

#include <algorithm>
#include <random>

namespace coppice::rt::test {
namespace {

TEST_P(Conformance, RaggedStepsEqualRecomputing) {
  open();
  ToyReference reference;
  std::mt19937 random(7);
  std::vector<std::vector<int32_t>> sequences(size_t(toyOptions.slots));
  for (int step = 0; step < 60; ++step) {
    // Some tokens for some slots, interleaved: prefill, continued prefill and
    // decode in one step. A full slot starts afresh.
    std::vector<Row> rows;
    std::vector<int32_t> heads;
    std::vector<std::vector<float>> expected;
    int count = 1 + int(random() % 13);
    std::vector<bool> started(sequences.size());
    for (int r = 0; r < count; ++r) {
      size_t slot = random() % sequences.size();
      auto &sequence = sequences[slot];
      if (int64_t(sequence.size()) == toyOptions.context ||
          (!started[slot] && random() % 8 == 0)) {
        if (started[slot]) // a slot starts at most once in a step
          continue;
        sequence.clear();
      }
      started[slot] = true;
      sequence.push_back(int32_t(random() % uint64_t(toyOptions.vocabulary)));
      rows.push_back(
          {sequence.back(), int32_t(slot), int32_t(sequence.size()) - 1});
      if (random() % 2 == 0) {
        heads.insert(heads.begin(), int32_t(rows.size()) - 1);
        expected.insert(expected.begin(), reference.logits(sequence));
      }
    }
    std::vector<float> logits, flat;
    ASSERT_EQ(run(rows, heads, logits), COPPICE_OK) << coppice_last_error();
    for (const auto &row : expected)
      flat.insert(flat.end(), row.begin(), row.end());
    ASSERT_EQ(logits, flat) << "step " << step;
  }
}

TEST_P(Conformance, StepWithoutHeadRowsNeedsNoLogits) {
  open();
  std::vector<int32_t> tokens = {3}, slots = {1}, positions = {0};
  coppice_step step = {sizeof(step),     1, tokens.data(), slots.data(),
                       positions.data(), 0, nullptr,       nullptr};
  EXPECT_EQ(coppice_session_step(session.get(), &step, nullptr), COPPICE_OK)
      << coppice_last_error();
  EXPECT_EQ(feed({5}, 1, 1), ToyReference().logits({3, 5}));
}

TEST_P(Conformance, ThreadCountDoesNotChangeResults) {
  std::vector<int32_t> tokens = {0, 6, 2, 5, 1, 1, 3, 4, 6};
  std::vector<float> expected = ToyReference().logits(tokens);
  for (int32_t threads : {1, 2, 3, 5}) {
    coppice_session_options options = {};
    options.threads = threads;
    open(options);
    coppice_session_info info = {};
    info.struct_size = sizeof(info);
    ASSERT_EQ(coppice_session_describe(session.get(), &info), COPPICE_OK);
    EXPECT_EQ(info.threads, threads);
    for (int repeat = 0; repeat < 50; ++repeat)
      ASSERT_EQ(feed(tokens, 2, 0), expected) << threads << " threads";
  }
}

TEST_P(Conformance, DisabledGroupsAreSkipped) {
  open();
  ToyReference reference;
  std::vector<int32_t> tokens = {4, 0, 6};
  ASSERT_EQ(coppice_session_enable(session.get(), "layers.0.mlp", 0),
            COPPICE_OK);
  reference.withoutMlp = true;
  EXPECT_EQ(feed(tokens, 0, 0), reference.logits(tokens));
  ASSERT_EQ(coppice_session_enable(session.get(), "layers.0.attn", 0),
            COPPICE_OK);
  reference.withoutAttention = true;
  EXPECT_EQ(feed(tokens, 0, 0), reference.logits(tokens));
  ASSERT_EQ(coppice_session_enable(session.get(), "layers.0.mlp", 1),
            COPPICE_OK);
  ASSERT_EQ(coppice_session_enable(session.get(), "layers.0.attn", 1),
            COPPICE_OK);
  EXPECT_EQ(feed(tokens, 0, 0), ToyReference().logits(tokens));

  EXPECT_EQ(coppice_session_enable(session.get(), "layers.1.mlp", 0),
            COPPICE_INVALID_ARGUMENT);
  EXPECT_NE(std::string(coppice_last_error()).find("'layers.1.mlp'"),
            std::string::npos);
}

TEST_P(Conformance, FirstVariantWhoseGuardHoldsRuns) {
  open({}, {}, [](nlohmann::json &program) {
    program["dispatches"][7]["variants"][0]["stages"][0]["kernel"] =
        "toy_head_doubled";
  });
  std::vector<float> one = feed({3, 1}, 0, 0);
  std::vector<float> expected = ToyReference().logits({3, 1});
  for (float &value : expected)
    value *= 2;
  EXPECT_EQ(one, expected); // one head row: the doubling variant
  std::vector<float> two;
  ASSERT_EQ(run({{3, 0, 0}, {1, 0, 1}}, {1, 1}, two), COPPICE_OK);
  EXPECT_EQ(std::vector<float>(two.begin(), two.begin() + 7),
            ToyReference().logits({3, 1}));
}

TEST_P(Conformance, StagesRunInOrder) {
  ToyReference reference;
  std::vector<int32_t> tokens = {4, 0, 6, 1, 5};
  open();
  EXPECT_EQ(feed(tokens, 1, 0), reference.logits(tokens));
  // The parts of the last step instead of this one's, and then none.
  open({}, {}, [](nlohmann::json &program) {
    auto &stages = program["dispatches"][4]["variants"][0]["stages"];
    std::swap(stages[0], stages[1]);
  });
  EXPECT_NE(feed(tokens, 1, 0), reference.logits(tokens));
}

TEST_P(Conformance, WorkspaceBeyondTheArenaIsRefusedWhole) {
  open({}, {}, [](nlohmann::json &program) {
    // As large as the limits allow at the limits, larger below.
    auto &bytes = program["dispatches"][4]["variants"][0]["workspace"];
    bytes = {"max", bytes, {"*", 1 << 20, {"+", 2, {"*", -1, "rows"}}}};
  });
  ToyReference reference;
  std::vector<float> logits;
  EXPECT_EQ(run({{3, 0, 0}}, {0}, logits), COPPICE_INVALID_FILE);
  EXPECT_NE(
      std::string(coppice_last_error()).find("'layers.0.attn': workspace"),
      std::string::npos)
      << coppice_last_error();
  EXPECT_EQ(feed({5, 2}, 0, 0), reference.logits({5, 2}));
}

TEST_P(Conformance, StepWithoutAVariantIsRefusedWhole) {
  open({}, {}, [](nlohmann::json &program) {
    program["dispatches"][7]["variants"].erase(1); // leaves head_rows <= 1
  });
  feed({2}, 0, 0);
  std::vector<float> logits;
  EXPECT_EQ(run({{3, 0, 1}, {3, 1, 0}}, {0, 1}, logits), COPPICE_INVALID_FILE);
  EXPECT_NE(std::string(coppice_last_error()).find("'lm_head'"),
            std::string::npos)
      << coppice_last_error();
  EXPECT_EQ(feed({5}, 0, 1), ToyReference().logits({2, 5}));
}

struct Observed {
  std::vector<int64_t> dispatches;
  std::vector<std::vector<int64_t>> shapes;
  std::vector<std::vector<float>> values;
  std::vector<bool> nulls;
  double least = 1e9;
};

void record(void *context, int64_t dispatch, double seconds, const float *data,
            const int64_t *shape, int64_t rank) {
  auto &observed = *static_cast<Observed *>(context);
  observed.dispatches.push_back(dispatch);
  observed.shapes.emplace_back(shape, shape + rank);
  int64_t count = 1;
  for (int64_t i = 0; i < rank; ++i)
    count *= shape[i];
  observed.values.emplace_back(data, data ? data + count : data);
  observed.nulls.push_back(!data);
  observed.least = std::min(observed.least, seconds);
}

TEST_P(Conformance, ObserverSeesEachDispatch) {
  open();
  Observed observed;
  coppice_session_observe(session.get(), record, &observed);
  feed({6, 2, 3}, 1, 0);
  EXPECT_EQ(observed.dispatches,
            (std::vector<int64_t>{0, 1, 2, 3, 4, 5, 6, 7}));
  EXPECT_EQ(observed.shapes[0], (std::vector<int64_t>{3, 5}));
  EXPECT_EQ(observed.shapes[3], (std::vector<int64_t>{3, 11, 5}));
  EXPECT_EQ(observed.shapes[7], (std::vector<int64_t>{1, 7}));
  EXPECT_EQ(observed.nulls, (std::vector<bool>{false, false, false, true, false,
                                               false, false, false}));
  EXPECT_GE(observed.least, 0);
  ToyReference reference;
  std::vector<float> rows;
  for (size_t token : {6, 2, 3})
    rows.insert(rows.end(), &reference.embed[token * 5],
                &reference.embed[token * 5] + 5);
  EXPECT_EQ(observed.values[0], rows);
  EXPECT_EQ(observed.values[7], reference.logits({6, 2, 3}));

  observed = {};
  coppice_session_enable(session.get(), "layers.0.attn", 0);
  feed({6}, 1, 0);
  EXPECT_EQ(observed.dispatches, (std::vector<int64_t>{0, 1, 2, 5, 6, 7}));

  observed = {};
  coppice_session_observe(session.get(), nullptr, nullptr);
  feed({6}, 1, 0);
  EXPECT_TRUE(observed.dispatches.empty());
}

// Its cache would lack what was fed while it was off.
TEST_P(Conformance, SlotsThatAGroupHasMissedAreForgottenWhenItComesBack) {
  open();
  feed({1, 2}, 0, 0);
  coppice_session_enable(session.get(), "layers.0.attn", 0);
  feed({5, 6}, 1, 0);
  feed({3}, 2, 0);
  coppice_session_enable(session.get(), "layers.0.attn", 1);
  EXPECT_EQ(feed({6}, 0, 2), ToyReference().logits({1, 2, 6}));
  std::vector<float> logits;
  EXPECT_EQ(run({{4, 1, 2}}, {0}, logits), COPPICE_INVALID_ARGUMENT);
  EXPECT_EQ(feed({5, 6, 4}, 1, 0), ToyReference().logits({5, 6, 4}));

  // A group without a state misses nothing.
  coppice_session_enable(session.get(), "layers.0.mlp", 0);
  feed({2}, 0, 3);
  coppice_session_enable(session.get(), "layers.0.mlp", 1);
  EXPECT_EQ(run({{4, 0, 4}}, {0}, logits), COPPICE_OK);
}

// What is captured once and replayed (a graph of a device) has addresses in it.
TEST_P(Conformance, BuffersLieInOnePlaceWhateverTheStep) {
  open();
  std::vector<const float *> places;
  coppice_session_observe(
      session.get(),
      [](void *context, int64_t, double, const float *data, const int64_t *,
         int64_t) {
        static_cast<std::vector<const float *> *>(context)->push_back(data);
      },
      &places);
  feed({6, 2, 3}, 1, 0);
  std::vector<const float *> large = std::exchange(places, {});
  feed({5}, 1, 3);
  EXPECT_EQ(places, large);
}

TEST_P(Conformance, ResetAndRewindForgetTokens) {
  open();
  ToyReference reference;
  feed({1, 2, 3, 4}, 0, 0);
  feed({5, 6}, 1, 0);
  ASSERT_EQ(coppice_session_rewind(session.get(), 0, 2), COPPICE_OK);
  EXPECT_EQ(feed({6}, 0, 2), reference.logits({1, 2, 6}));
  EXPECT_EQ(coppice_session_rewind(session.get(), 0, 4),
            COPPICE_INVALID_ARGUMENT);
  EXPECT_EQ(coppice_session_rewind(session.get(), 0, -1),
            COPPICE_INVALID_ARGUMENT);
  EXPECT_EQ(coppice_session_rewind(session.get(), 3, 0),
            COPPICE_INVALID_ARGUMENT);
  ASSERT_EQ(coppice_session_reset(session.get(), 0), COPPICE_OK);
  EXPECT_EQ(feed({2}, 1, 2), reference.logits({5, 6, 2})); // another slot stays
  std::vector<float> logits;
  EXPECT_EQ(run({{1, 0, 3}}, {0}, logits), COPPICE_INVALID_ARGUMENT);
  ASSERT_EQ(coppice_session_reset(session.get(), -1), COPPICE_OK);
  EXPECT_EQ(run({{1, 1, 3}}, {0}, logits), COPPICE_INVALID_ARGUMENT);
  EXPECT_EQ(coppice_session_reset(session.get(), 3), COPPICE_INVALID_ARGUMENT);
}

TEST_P(Conformance, SymbolsCountTheStep) {
  open();
  // Slot 0 at 4 and 5, slot 2 at 0, in one step that slot 0 does not hold yet.
  std::vector<int32_t> tokens = {1, 2, 3}, slots = {0, 2, 0},
                       positions = {4, 0, 5}, heads = {2, 1};
  coppice_step step = {sizeof(step),     3, tokens.data(), slots.data(),
                       positions.data(), 2, heads.data(),  nullptr};
  int64_t values[6];
  ASSERT_EQ(coppice_session_symbols(session.get(), &step, values, 6),
            COPPICE_OK)
      << coppice_last_error();
  EXPECT_EQ(std::vector<int64_t>(values, values + 6),
            (std::vector<int64_t>{3, 2, 3, 11, 5 + 1 + 6, 6 + 1}));
  EXPECT_EQ(coppice_session_symbols(session.get(), &step, values, 5),
            COPPICE_INVALID_ARGUMENT);
}

TEST_P(Conformance, MemoryFollowsTheOptions) {
  open();
  auto align = [](int64_t bytes) { return (bytes + 63) / 64 * 64; };
  coppice_session_options options = {};
  options.struct_size = sizeof(options);
  options.max_rows = 9;
  options.max_head_rows = 2;
  options.slots = 2;
  options.context = 10;
  coppice_memory memory = {};
  memory.struct_size = sizeof(memory);
  ASSERT_EQ(coppice_bundle_memory(bundle.get(), &options, &memory), COPPICE_OK)
      << coppice_last_error();
  EXPECT_EQ(memory.weight_bytes,
            align(7 * 5 * 4) + align(2 * 5 * 4 * 4) + align(4) + align(20));
  EXPECT_EQ(memory.state_bytes, align(2 * 10 * 5 * 4));
  EXPECT_EQ(memory.arena_bytes, 2 * align(9 * 20) + align(2 * 20) +
                                    align(2 * 28) +
                                    /*workspace*/ 9 * 2 * 20);
  EXPECT_EQ(memory.step_bytes, 3 * align(36) + align(8));

  coppice_session_options defaults = {};
  defaults.struct_size = sizeof(defaults);
  coppice_memory full = {};
  full.struct_size = sizeof(full);
  ASSERT_EQ(coppice_bundle_memory(bundle.get(), &defaults, &full), COPPICE_OK);
  EXPECT_GT(full.arena_bytes, memory.arena_bytes);

  // And the smaller session works, up to its own limits.
  open(options);
  EXPECT_EQ(feed({1, 2, 3, 4, 5, 6, 0, 1, 2}, 1, 0),
            ToyReference().logits({1, 2, 3, 4, 5, 6, 0, 1, 2}));
  std::vector<float> logits;
  EXPECT_EQ(run({{1, 2, 0}}, {0}, logits), COPPICE_INVALID_ARGUMENT);
  EXPECT_EQ(run({{1, 0, 0}}, {0, 0, 0}, logits), COPPICE_INVALID_ARGUMENT);
}

TEST_P(Conformance, SessionOutlivesItsBundleHandle) {
  open();
  bundle.reset();
  EXPECT_EQ(feed({4, 4}, 0, 0), ToyReference().logits({4, 4}));
}

// What caches hold is no part of a session.
TEST_P(Conformance, FlushingCachesChangesNothing) {
  open();
  feed({3, 1, 4}, 0, 0);
  int32_t flushed = -1;
  ASSERT_EQ(coppice_session_flush_caches(session.get(), &flushed), COPPICE_OK)
      << coppice_last_error();
  EXPECT_EQ(flushed, std::string(GetParam()) != "cpu");
  EXPECT_EQ(feed({2}, 0, 3), ToyReference().logits({3, 1, 4, 2}));
  EXPECT_EQ(coppice_session_flush_caches(session.get(), nullptr),
            COPPICE_INVALID_ARGUMENT);
}

struct EditedValues {
  std::vector<int64_t> dispatches;
  std::vector<float> values;
};

// What an editor leaves in values that a threshold has decided about is what
// the rest of the step reads; dispatches without one are not its business.
TEST_P(Conformance, ValuesAtThresholdsCanBeReadAndChanged) {
  open({}, {}, [](nlohmann::json &program) {
    program["dispatches"][0]["threshold"] = 0.5;
  });
  EditedValues edited;
  coppice_session_edit_values(
      session.get(),
      [](void *context, int64_t dispatch, float *data, const int64_t *shape,
         int64_t rank) {
        auto &edited = *static_cast<EditedValues *>(context);
        ASSERT_EQ(rank, 2);
        edited.dispatches.push_back(dispatch);
        edited.values.assign(data, data + shape[0] * shape[1]);
        std::fill_n(data, shape[0] * shape[1], 0.0f);
      },
      &edited);
  std::vector<float> logits = feed({2, 6}, 0, 0);
  EXPECT_EQ(edited.dispatches, std::vector<int64_t>{0});
  ToyReference reference;
  std::vector<float> embedded(reference.embed.begin() + 2 * toyWidth,
                              reference.embed.begin() + 3 * toyWidth);
  embedded.insert(embedded.end(), reference.embed.begin() + 6 * toyWidth,
                  reference.embed.begin() + 7 * toyWidth);
  EXPECT_EQ(edited.values, embedded);
  EXPECT_EQ(logits, std::vector<float>(logits.size(), 0.0f));
  coppice_session_edit_values(session.get(), nullptr, nullptr);
  EXPECT_EQ(feed({2, 6}, 1, 0), reference.logits({2, 6}));
  EXPECT_EQ(edited.dispatches.size(), 1u);
}

TEST_P(Conformance, ThresholdsAreNotNegative) {
  expectRefused(COPPICE_INVALID_FILE, {"threshold", "not negative", "-1"},
                [](nlohmann::json &program) {
                  program["dispatches"][0]["threshold"] = -1;
                });
}

} // namespace
} // namespace coppice::rt::test
