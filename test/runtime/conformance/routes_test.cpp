// Routes: decisions of the routers and of the caller, and what is read back.
#include "conformance.h"

#include <algorithm>
#include <cstddef>
#include <random>

namespace coppice::rt::test {
namespace {

ToyOptions routedToy() {
  ToyOptions options;
  options.routed = true;
  return options;
}

std::vector<int8_t> readRoute(coppice_session *session, int64_t index,
                              size_t rows) {
  std::vector<int8_t> mask(rows, 77);
  EXPECT_EQ(coppice_session_read_route(session, index, mask.data()), COPPICE_OK)
      << coppice_last_error();
  return mask;
}

TEST_P(Conformance, RoutesAreListed) {
  open({}, routedToy());
  EXPECT_EQ(coppice_session_route_columns(session.get()), 2);
  ASSERT_EQ(coppice_session_route_count(session.get()), 2);
  coppice_route route = {};
  route.struct_size = sizeof(route);
  ASSERT_EQ(coppice_session_route(session.get(), 1, &route), COPPICE_OK);
  EXPECT_STREQ(route.name, "layers.0.attn.route");
  EXPECT_EQ(route.column, 0);
  EXPECT_EQ(route.groups, 1);
  EXPECT_EQ(route.expected, 0.25);
  EXPECT_EQ(coppice_session_route(session.get(), 2, &route),
            COPPICE_INVALID_ARGUMENT);
  EXPECT_EQ(coppice_session_route(session.get(), -1, &route),
            COPPICE_INVALID_ARGUMENT);
  EXPECT_EQ(coppice_session_route(session.get(), 0, nullptr),
            COPPICE_INVALID_ARGUMENT);
  open();
  EXPECT_EQ(coppice_session_route_columns(session.get()), 0);
  EXPECT_EQ(coppice_session_route_count(session.get()), 0);
}

// Ragged steps, with decisions of all kinds: none given, some, all.
TEST_P(Conformance, RoutedStepsEqualRecomputing) {
  ToyOptions toy = routedToy();
  open({}, toy);
  ToyReference reference(toy);
  std::mt19937 random(11);
  std::vector<std::vector<int32_t>> sequences(size_t(toy.slots));
  std::vector<std::vector<ToyDecision>> decisions(sequences.size());
  int64_t kept = 0, routed = 0;
  for (int step = 0; step < 80; ++step) {
    std::vector<Row> rows;
    std::vector<int32_t> heads;
    std::vector<int8_t> routes;
    int count = 1 + int(random() % 13), kind = int(random() % 4);
    std::vector<bool> started(sequences.size());
    for (int r = 0; r < count; ++r) {
      size_t slot = random() % sequences.size();
      if (int64_t(sequences[slot].size()) == toy.context ||
          (!started[slot] && random() % 8 == 0)) {
        if (started[slot])
          continue;
        sequences[slot].clear();
        decisions[slot].clear();
      }
      started[slot] = true;
      sequences[slot].push_back(int32_t(random() % 7));
      ToyDecision given = {-1, -1};
      for (int8_t &column : given)
        column = kind == 0   ? int8_t(-1)
                 : kind == 1 ? int8_t(random() % 2)
                             : int8_t(int(random() % 3) - 1);
      decisions[slot].push_back(given);
      routes.insert(routes.end(), given.begin(), given.end());
      rows.push_back({sequences[slot].back(), int32_t(slot),
                      int32_t(sequences[slot].size()) - 1});
    }
    for (size_t r = 0; r < rows.size(); ++r)
      heads.push_back(int32_t(r));
    std::vector<float> logits, expected;
    ASSERT_EQ(run(rows, heads, logits, kind == 0 ? nullptr : routes.data()),
              COPPICE_OK)
        << coppice_last_error();
    std::vector<int8_t> mlp = readRoute(session.get(), 0, rows.size()),
                        attention = readRoute(session.get(), 1, rows.size());
    for (size_t r = 0; r < rows.size(); ++r) {
      size_t slot = size_t(rows[r].slot), length = size_t(rows[r].position) + 1;
      std::vector<int32_t> tokens(sequences[slot].begin(),
                                  sequences[slot].begin() + int64_t(length));
      std::vector<ToyDecision> given(decisions[slot].begin(),
                                     decisions[slot].begin() + int64_t(length)),
          masks;
      std::vector<float> row = reference.logits(tokens, given, &masks);
      expected.insert(expected.end(), row.begin(), row.end());
      EXPECT_EQ((ToyDecision{attention[r], mlp[r]}), masks.back());
      kept += attention[r] + mlp[r];
      routed += 2;
    }
    ASSERT_EQ(logits, expected) << "step " << step;
  }
  EXPECT_GT(kept, routed / 5); // routers say both
  EXPECT_LT(kept, routed * 4 / 5);
}

TEST_P(Conformance, RoutesMayBeAllOrNothing) {
  ToyOptions toy = routedToy();
  open({}, toy);
  ToyReference reference(toy);
  std::vector<Row> rows = {{4, 1, 0}, {0, 1, 1}, {6, 1, 2}};
  for (int8_t decision : {0, 1}) {
    std::vector<int8_t> routes(6, decision);
    std::vector<float> logits;
    ASSERT_EQ(run(rows, {2}, logits, routes.data()), COPPICE_OK);
    EXPECT_EQ(logits,
              reference.logits({4, 0, 6}, std::vector<ToyDecision>(
                                              3, {decision, decision})));
  }
  EXPECT_EQ(readRoute(session.get(), 0, 3), (std::vector<int8_t>{1, 1, 1}));
  // What a step has decided is not carried into one that leaves it open.
  std::vector<float> open = feed({4, 0, 6}, 1, 0);
  EXPECT_EQ(open,
            reference.logits({4, 0, 6}, std::vector<ToyDecision>(3, {-1, -1})));
}

TEST_P(Conformance, BadDecisionsAreRefusedAndChangeNothing) {
  ToyOptions toy = routedToy();
  open({}, toy);
  feed({1, 2}, 0, 0);
  std::vector<float> logits;
  for (int8_t bad : {2, -2, 127, -128}) {
    std::vector<int8_t> routes = {0, 1, 1, bad};
    EXPECT_EQ(run({{3, 0, 2}, {4, 0, 3}}, {1}, logits, routes.data()),
              COPPICE_INVALID_ARGUMENT);
    std::string message = coppice_last_error();
    EXPECT_NE(
        message.find("found " + std::to_string(bad) + " in row 1, column 1"),
        std::string::npos)
        << message;
  }
  EXPECT_EQ(feed({6}, 0, 2),
            ToyReference(toy).logits({1, 2, 6},
                                     std::vector<ToyDecision>(3, {-1, -1})));

  open(); // no routes
  int8_t one = 1;
  EXPECT_EQ(run({{3, 0, 0}}, {0}, logits, &one), COPPICE_INVALID_ARGUMENT);
  EXPECT_NE(std::string(coppice_last_error()).find("takes no decisions"),
            std::string::npos);
}

// A caller that was built before there were routes.
TEST_P(Conformance, StepsOfAnOlderCallerHaveNoDecisions) {
  ToyOptions toy = routedToy();
  open({}, toy);
  std::vector<int32_t> zero = {0};
  int8_t nonsense = 55;
  coppice_step step = {offsetof(coppice_step, routes),
                       1,
                       zero.data(),
                       zero.data(),
                       zero.data(),
                       1,
                       zero.data(),
                       &nonsense};
  std::vector<float> logits(7);
  ASSERT_EQ(coppice_session_step(session.get(), &step, logits.data()),
            COPPICE_OK)
      << coppice_last_error();
  EXPECT_EQ(logits, ToyReference(toy).logits({0}, {{-1, -1}}));
}

TEST_P(Conformance, MasksAreThoseOfTheLastStep) {
  open({}, routedToy());
  int8_t mask[17];
  EXPECT_EQ(coppice_session_read_route(session.get(), 0, mask),
            COPPICE_INVALID_ARGUMENT);
  EXPECT_NE(std::string(coppice_last_error()).find("'layers.0.mlp.route'"),
            std::string::npos);
  std::vector<int8_t> routes = {0, 1, 1, 0, 0, 1};
  std::vector<float> logits;
  ASSERT_EQ(run({{4, 1, 0}, {0, 1, 1}, {6, 1, 2}}, {2}, logits, routes.data()),
            COPPICE_OK);
  // A step that is refused leaves them alone.
  EXPECT_EQ(run({{4, 1, 7}}, {0}, logits), COPPICE_INVALID_ARGUMENT);
  EXPECT_EQ(readRoute(session.get(), 0, 3), (std::vector<int8_t>{1, 0, 1}));
  EXPECT_EQ(readRoute(session.get(), 1, 3), (std::vector<int8_t>{0, 1, 0}));
  std::fill_n(mask, 17, int8_t(77)); // no more is written than there are rows
  EXPECT_EQ(coppice_session_read_route(session.get(), 0, mask), COPPICE_OK);
  EXPECT_EQ(mask[2], 1);
  EXPECT_EQ(mask[3], 77);
  EXPECT_EQ(coppice_session_read_route(session.get(), 2, mask),
            COPPICE_INVALID_ARGUMENT);
  EXPECT_EQ(coppice_session_read_route(session.get(), 0, nullptr),
            COPPICE_INVALID_ARGUMENT);
}

TEST_P(Conformance, NoMaskIsReadOfADecisionThatIsOff) {
  open({}, routedToy(), [](nlohmann::json &program) {
    for (int dispatch : {1, 2, 3})
      program["dispatches"][dispatch]["group"] = "layers.0.mlp";
  });
  ASSERT_EQ(coppice_session_enable(session.get(), "layers.0.mlp", 0),
            COPPICE_OK);
  feed({1, 2}, 0, 0);
  int8_t mask[2];
  EXPECT_EQ(coppice_session_read_route(session.get(), 0, mask),
            COPPICE_INVALID_ARGUMENT);
  EXPECT_NE(std::string(coppice_last_error()).find("switched off"),
            std::string::npos);
  EXPECT_EQ(coppice_session_read_route(session.get(), 1, mask), COPPICE_OK);
}

// A kernel may be wrong.
TEST_P(Conformance, MasksOfOtherValuesAreAnError) {
  open({}, routedToy(), [](nlohmann::json &program) {
    program["dispatches"][2]["variants"][0]["stages"][0]["kernel"] =
        "toy_decide_wrongly";
  });
  feed({1}, 0, 0);
  int8_t mask = 0;
  EXPECT_EQ(coppice_session_read_route(session.get(), 0, &mask),
            COPPICE_INTERNAL);
  EXPECT_NE(std::string(coppice_last_error()).find("found 7 in row 0"),
            std::string::npos)
      << coppice_last_error();
}

TEST_P(Conformance, ObserverSeesMasks) {
  open({}, routedToy());
  std::vector<float> seen;
  coppice_session_observe(
      session.get(),
      [](void *context, int64_t dispatch, double, const float *data,
         const int64_t *shape, int64_t) {
        if (dispatch == 2)
          static_cast<std::vector<float> *>(context)->assign(data,
                                                             data + shape[0]);
      },
      &seen);
  std::vector<int8_t> routes = {0, 1, 1, 0, 0, 1};
  std::vector<float> logits;
  ASSERT_EQ(run({{4, 1, 0}, {0, 1, 1}, {6, 1, 2}}, {2}, logits, routes.data()),
            COPPICE_OK);
  EXPECT_EQ(seen, (std::vector<float>{1, 0, 1}));
}

TEST_P(Conformance, StepMemoryHasRoomForDecisions) {
  open({}, routedToy());
  coppice_session_options options = {};
  options.struct_size = sizeof(options);
  options.max_rows = 9;
  coppice_memory memory = {};
  memory.struct_size = sizeof(memory);
  ASSERT_EQ(coppice_bundle_memory(bundle.get(), &options, &memory), COPPICE_OK);
  EXPECT_EQ(memory.step_bytes, 4 * 64 + /*9 x 2 decisions*/ 64);
}

struct EditedLists {
  std::vector<int64_t> dispatches;
  std::vector<std::vector<int32_t>> lists;
  bool empties = false;
};

// What an editor leaves in a list of integers is what the rest of the step
// reads: a list without rows passes all of them by.
TEST_P(Conformance, ListsCanBeReadAndChanged) {
  open({}, routedToy());
  EditedLists edited;
  coppice_session_edit_lists(
      session.get(),
      [](void *context, int64_t dispatch, int32_t *data, const int64_t *shape,
         int64_t rank) {
        auto &edited = *static_cast<EditedLists *>(context);
        EXPECT_EQ(rank, 1);
        edited.dispatches.push_back(dispatch);
        edited.lists.emplace_back(data, data + shape[0]);
        if (edited.empties)
          data[0] = 0; // how many rows follow
      },
      &edited);
  std::vector<Row> rows{{6, 0, 0}, {2, 0, 1}, {3, 0, 2}};
  auto logitsWith = [&](int8_t mlp) {
    EXPECT_EQ(coppice_session_reset(session.get(), -1), COPPICE_OK);
    const std::vector<int8_t> routes{1, mlp, 1, mlp, 1, mlp};
    std::vector<float> logits;
    EXPECT_EQ(run(rows, {0, 1, 2}, logits, routes.data()), COPPICE_OK);
    return logits;
  };
  std::vector<float> all = logitsWith(1);
  EXPECT_EQ(edited.dispatches, std::vector<int64_t>{3});
  ASSERT_EQ(edited.lists.size(), 1u);
  EXPECT_EQ(edited.lists[0], (std::vector<int32_t>{3, 0, 1, 2}));
  edited.empties = true;
  std::vector<float> none = logitsWith(1);
  EXPECT_NE(none, all);
  coppice_session_edit_lists(session.get(), nullptr, nullptr);
  EXPECT_EQ(logitsWith(0), none);
  EXPECT_EQ(edited.lists.size(), 2u);
  EXPECT_EQ(logitsWith(1), all);
}

} // namespace
} // namespace coppice::rt::test
