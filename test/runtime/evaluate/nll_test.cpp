// NLL and generation of the toy model against its reference.
#include "runtime/evaluate/generate.h"
#include "runtime/evaluate/nll.h"
#include "runtime/tokenizer/llama2c_tokenizer.h"

#include "temporary_directory.h"
#include "tokenizer_file.h"
#include "toy_bundle.h"

#include <cmath>
#include <gtest/gtest.h>

using namespace coppice::rt;
using namespace coppice::rt::test;
using Ids = std::vector<int32_t>;

namespace {

constexpr int64_t vocabulary = 263;

struct Toy : testing::Test {
  TemporaryDirectory directory;
  ToyOptions options{vocabulary, 11, 3, 17};

  Runner open(const RunnerOptions &wanted = {}) {
    std::string path = directory / "toy.coppice";
    writeToyBundle(path, options);
    auto runner = Runner::open(path, wanted);
    EXPECT_TRUE(runner.ok()) << runner.status().message();
    return *std::move(runner);
  }

  Llama2CTokenizer tokenizer() {
    auto tokenizer = Llama2CTokenizer::parse(
        tokenizerFile({{" ", -1}, {"a", -1}, {"b", -1}, {"ab", -1}}),
        vocabulary);
    EXPECT_TRUE(tokenizer.ok());
    return *std::move(tokenizer);
  }

  /// Of ids[first..] given what precedes each, summed; and how many were best.
  std::pair<double, int> reference(const Ids &ids, size_t first = 1) {
    ToyReference model(options);
    double sum = 0;
    int hits = 0;
    for (size_t i = first; i < ids.size(); ++i) {
      auto logits = model.logits({ids.begin(), ids.begin() + i});
      double mass = 0;
      for (float logit : logits)
        mass += std::exp(double(logit));
      sum += std::log(mass) - logits[ids[i]];
      hits += argmax(logits) == ids[i];
    }
    return {sum, hits};
  }
};

} // namespace

TEST(CoverChunk, CutsAtTheContext) {
  Ids ids{1, 5, 6, 7, 8};
  auto whole = coverChunk(ids, 9, 0, 0);
  ASSERT_EQ(whole.size(), 1u);
  EXPECT_EQ(whole[0].ids, ids);
  auto cut = coverChunk(ids, 3, 0, 0);
  ASSERT_EQ(cut.size(), 1u);
  EXPECT_EQ(cut[0].ids, (Ids{1, 5, 6}));
  EXPECT_TRUE(coverChunk(Ids{1}, 9, 0, 0).empty());
}

TEST(CoverChunk, WindowsScoreEachIdOnce) {
  for (int64_t length : {2, 3, 5, 11, 12, 13})
    for (int64_t window : {2, 3, 5})
      for (int64_t stride = 1; stride < window; ++stride) {
        Ids ids;
        for (int32_t i = 0; i < length; ++i)
          ids.push_back(i);
        std::vector<int> scored(ids.size(), 0);
        for (const ScoredSequence &sequence :
             coverChunk(ids, 100, window, stride)) {
          EXPECT_LE(sequence.ids.size(), size_t(window));
          EXPECT_GE(sequence.firstScored, 1u);
          for (size_t i = sequence.firstScored; i < sequence.ids.size(); ++i)
            ++scored[size_t(sequence.ids[i])];
        }
        EXPECT_EQ(scored[0], 0); // BOS
        for (size_t i = 1; i < scored.size(); ++i)
          EXPECT_EQ(scored[i], 1) << length << " " << window << " " << stride;
      }
}

TEST_F(Toy, NllIsThatOfTheReference) {
  // Seven chunks of unequal length over three slots; one is cut at 11 ids.
  std::string text =
      "ab\n\nS b\n\nSabab aab\n\nSaaaaaaaaaaaaaa\n\nS\n\nSb\n\nSba";
  Llama2CTokenizer tokens = tokenizer();
  double sum = 0;
  int64_t hits = 0, count = 0;
  for (std::string chunk :
       {"ab", "S b", "Sabab aab", "Saaaaaaaaaaaaaa", "S", "Sb", "Sba"}) {
    Ids ids = tokens.encode(chunk);
    ids.resize(std::min<size_t>(ids.size(), 11));
    auto [nll, best] = reference(ids);
    sum += nll;
    hits += best;
    count += int64_t(ids.size()) - 1;
  }
  // However the rows are packed into steps.
  for (int64_t rows : {1, 2, 5, 17}) {
    RunnerOptions wanted;
    wanted.maxRows = rows;
    Runner runner = open(wanted);
    NllOptions nll;
    nll.splitBefore = "S";
    auto quality = evaluateNll(runner, tokens, text, nll);
    ASSERT_TRUE(quality.ok()) << quality.status().message();
    EXPECT_EQ(quality->tokens, count);
    EXPECT_EQ(quality->chunks, 7);
    EXPECT_NEAR(quality->nll, sum / double(count), 1e-5 * sum / double(count));
    EXPECT_DOUBLE_EQ(quality->top1, double(hits) / double(count));
  }
}

TEST_F(Toy, NllSkipsAndStopsAtChunks) {
  Llama2CTokenizer tokens = tokenizer();
  Runner runner = open();
  NllOptions nll;
  nll.splitBefore = "S";
  nll.skip = 1;
  nll.chunks = 1;
  auto quality = evaluateNll(runner, tokens, "a\n\nSb\n\nSaba", nll);
  ASSERT_TRUE(quality.ok());
  Ids ids = tokens.encode("Sb");
  EXPECT_EQ(quality->chunks, 1);
  EXPECT_EQ(quality->tokens, int64_t(ids.size()) - 1);
  EXPECT_NEAR(quality->nll, reference(ids).first / double(ids.size() - 1),
              1e-4);
  nll.skip = 3;
  EXPECT_FALSE(evaluateNll(runner, tokens, "a\n\nSb\n\nSaba", nll).ok());
  EXPECT_FALSE(evaluateNll(runner, tokens, "", {}).ok());
}

TEST_F(Toy, WindowsAreSequencesOfTheirOwn) {
  Llama2CTokenizer tokens = tokenizer();
  Runner runner = open();
  std::string text = "abab baab bbbaabab";
  Ids ids = tokens.encode(text);
  ASSERT_GT(ids.size(), 11u);
  NllOptions nll;
  nll.window = 5;
  nll.stride = 3;
  double sum = 0;
  for (size_t begin = 0, scored = 1; scored < ids.size(); begin += 3) {
    Ids part(ids.begin() + begin,
             ids.begin() + std::min(ids.size(), begin + 5));
    sum += reference(part, scored - begin).first;
    scored = begin + part.size();
  }
  auto quality = evaluateNll(runner, tokens, text, nll);
  ASSERT_TRUE(quality.ok());
  EXPECT_EQ(quality->tokens, int64_t(ids.size()) - 1);
  EXPECT_NEAR(quality->nll, sum / double(ids.size() - 1), 1e-4);

  for (auto [window, stride] :
       {std::pair<int64_t, int64_t>{12, 3}, {5, 5}, {5, 0}, {1, 1}, {0, 3}}) {
    nll.window = window;
    nll.stride = stride;
    EXPECT_FALSE(evaluateNll(runner, tokens, text, nll).ok())
        << window << " " << stride;
  }
}

TEST_F(Toy, GenerationFollowsTheReference) {
  Runner runner = open();
  ToyReference model(options);
  auto sampler = Sampler::create(0, 1, 0);
  Ids prompt{1, 200, 17}, expected = prompt, made = prompt;
  StopReason reason = StopReason::Context;
  while (expected.size() < 11 + 1) {
    int32_t next = argmax(model.logits(expected));
    if (next == 1 || next == 2) {
      reason = StopReason::End;
      break;
    }
    expected.push_back(next);
  }
  auto stopped = generate(runner, prompt, 100, *sampler,
                          [&](int32_t id) { made.push_back(id); });
  ASSERT_TRUE(stopped.ok()) << stopped.status().message();
  EXPECT_EQ(made, expected);
  EXPECT_EQ(*stopped, reason);

  Ids two;
  stopped = generate(runner, prompt, 2, *sampler,
                     [&](int32_t id) { two.push_back(id); });
  ASSERT_TRUE(stopped.ok());
  EXPECT_EQ(two, Ids(expected.begin() + 3, expected.begin() + 5));
  EXPECT_EQ(*stopped, StopReason::Length);
}

TEST_F(Toy, GenerationRefusesBadPrompts) {
  Runner runner = open();
  auto sampler = Sampler::create(0, 1, 0);
  auto ignore = [](int32_t) {};
  EXPECT_FALSE(generate(runner, Ids{}, 1, *sampler, ignore).ok());
  EXPECT_FALSE(generate(runner, Ids(12, 1), 1, *sampler, ignore).ok());
  EXPECT_FALSE(generate(runner, Ids{vocabulary}, 1, *sampler, ignore).ok());
  EXPECT_FALSE(generate(runner, Ids{-1}, 1, *sampler, ignore).ok());
}
