// Greedy and sampled choice of the next token.
#include "runtime/evaluate/sampler.h"

#include <cmath>
#include <gtest/gtest.h>
#include <set>

using namespace coppice::rt;

TEST(Argmax, IsTheFirstOfEqualsAndNeverNaN) {
  EXPECT_EQ(argmax(std::vector<float>{1, 3, 2, 3}), 1);
  EXPECT_EQ(argmax(std::vector<float>{NAN, -2, -1}), 2);
  EXPECT_EQ(argmax(std::vector<float>{-5}), 0);
}

TEST(Sampler, TemperatureZeroIsGreedy) {
  auto sampler = Sampler::create(0, 1, 5);
  ASSERT_TRUE(sampler.ok());
  for (int i = 0; i < 10; ++i)
    EXPECT_EQ(*sampler->next(std::vector<float>{0, 0.1f, 0.05f}), 1);
}

TEST(Sampler, DrawsByProbability) {
  // softmax of {ln 1, ln 2, ln 5} is 1/8, 2/8, 5/8.
  std::vector<float> logits{0, std::log(2.f), std::log(5.f)};
  auto sampler = Sampler::create(1, 1, 5);
  int counts[3] = {};
  constexpr int draws = 8000;
  for (int i = 0; i < draws; ++i)
    ++counts[*sampler->next(logits)];
  // Five standard deviations of a binomial count.
  EXPECT_NEAR(counts[0], draws / 8.0, 5 * std::sqrt(draws * 7 / 64.0));
  EXPECT_NEAR(counts[1], draws / 4.0, 5 * std::sqrt(draws * 3 / 16.0));
}

TEST(Sampler, TopPKeepsTheFewestThatReachIt) {
  std::vector<float> logits{0, std::log(2.f), std::log(5.f)};
  auto seen = [&](double topP) {
    auto sampler = Sampler::create(1, topP, 9);
    std::set<int32_t> ids;
    for (int i = 0; i < 500; ++i)
      ids.insert(*sampler->next(logits));
    return ids;
  };
  EXPECT_EQ(seen(0.6), (std::set<int32_t>{2}));
  EXPECT_EQ(seen(0.7), (std::set<int32_t>{1, 2}));
  EXPECT_EQ(seen(1.0), (std::set<int32_t>{0, 1, 2}));
}

TEST(Sampler, TheSeedDecides) {
  std::vector<float> logits(17, 0.f);
  auto draw = [&](uint64_t seed) {
    auto sampler = Sampler::create(1, 1, seed);
    std::vector<int32_t> ids;
    for (int i = 0; i < 20; ++i)
      ids.push_back(*sampler->next(logits));
    return ids;
  };
  EXPECT_EQ(draw(1), draw(1));
  EXPECT_NE(draw(1), draw(2));
}

TEST(Sampler, RefusesNonsense) {
  EXPECT_FALSE(Sampler::create(-1, 1, 0).ok());
  EXPECT_FALSE(Sampler::create(NAN, 1, 0).ok());
  EXPECT_FALSE(Sampler::create(1, 0, 0).ok());
  EXPECT_FALSE(Sampler::create(1, 1.5, 0).ok());
  auto sampler = Sampler::create(1, 1, 0);
  EXPECT_FALSE(sampler->next(std::vector<float>{1, NAN}).ok());
  EXPECT_EQ(*sampler->next(std::vector<float>{1, INFINITY}), 1);
}
