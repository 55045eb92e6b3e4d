// Bundles that do not hold the workload: which limit is too small, and what to
// do about it.
#include "runtime/verify/verify.h"

#include "temporary_directory.h"
#include "toy_bundle.h"

#include <gtest/gtest.h>

using namespace coppice::rt;
using namespace coppice::rt::test;

namespace {

/// The failure of a workload on a bundle with the given limits, beside another
/// that holds it.
std::string failureOf(const ToyOptions &limits, bool ofOracle,
                      const WorkloadOptions &workload) {
  TemporaryDirectory directory;
  ToyOptions enough;
  enough.rows = enough.slots * enough.context;
  writeToyBundle(directory / "fast", ofOracle ? enough : limits);
  writeToyBundle(directory / "oracle", ofOracle ? limits : enough);
  CompareOptions options;
  options.workload = workload;
  auto report =
      compareBundles(directory / "fast", directory / "oracle", options);
  return report ? "" : report.status().message();
}

void expectIn(const std::string &message, const std::string &part) {
  EXPECT_NE(message.find(part), std::string::npos) << message;
}

const ToyOptions small{7, 11, 2, 17};

} // namespace

TEST(VerifyLimits, WhatABundleHoldsIsCompared) {
  EXPECT_EQ(failureOf(small, false, {1, 11, 0, 0}), "");
  EXPECT_EQ(failureOf(small, false, {2, 8, 0, 0}), "");
}

TEST(VerifyLimits, TheLimitThatIsTooSmallIsNamed) {
  std::string message = failureOf(small, false, {3, 5, 0, 0});
  expectIn(message, "fast: expected a program with room for 3 sequences, found "
                    "room for 2; compile it with --max-batch 3, or lower "
                    "--batch");
  message = failureOf(small, false, {1, 12, 0, 0});
  expectIn(message, "room for 12 tokens in each sequence, found room for 11; "
                    "compile it with --max-context 12, or lower --seq");
  message = failureOf(small, false, {2, 9, 0, 0});
  expectIn(message, "room for 18 rows in a step (all of the workload), found "
                    "room for 17; compile it with --max-rows 18, or lower "
                    "--batch or --seq");
}

TEST(VerifyLimits, TheOraclesCountToo) {
  expectIn(failureOf(small, true, {3, 5, 0, 0}),
           "oracle: expected a program with room for 3 sequences");
}

TEST(VerifyTarget, IsOfTheFastBundleAlone) {
  TemporaryDirectory directory;
  writeToyBundle(directory / "fast");
  writeToyBundle(directory / "oracle");
  CompareOptions options;
  options.workload = {1, 5, 0, 0};
  options.target = "cpu";
  EXPECT_TRUE(
      compareBundles(directory / "fast", directory / "oracle", options).ok());
  options.target = "gpu";
  auto report =
      compareBundles(directory / "fast", directory / "oracle", options);
  ASSERT_FALSE(report.ok());
  expectIn(report.status().message(), "cannot run bundle '");
  expectIn(report.status().message(), "/fast': ");
  expectIn(report.status().message(), "gpu");
}
