// What a session takes, as the kernel counts it, beside what was said before.
#include "coppice/runtime.h"
#include "temporary_directory.h"
#include "toy_bundle.h"

#include <fstream>
#include <gtest/gtest.h>
#include <map>
#include <memory>
#include <sstream>

namespace coppice::rt::test {
namespace {

// "Name:   123 kB" lines, in bytes.
using Figures = std::map<std::string, int64_t>;

void addFigure(const std::string &line, Figures &figures) {
  std::istringstream words(line);
  std::string name, unit;
  int64_t number = 0;
  if (words >> name >> number >> unit && unit == "kB")
    figures[name] += number * 1024;
}

Figures processFigures() {
  Figures figures;
  std::ifstream in("/proc/self/status");
  for (std::string line; std::getline(in, line);)
    addFigure(line, figures);
  return figures;
}

// Of all mappings of files whose path ends so.
Figures mappingFigures(const std::string &ending) {
  Figures figures;
  std::ifstream in("/proc/self/smaps");
  bool inside = false;
  for (std::string line; std::getline(in, line);) {
    bool heading = line.find(':') > line.find('-');
    if (heading)
      inside =
          line.size() >= ending.size() &&
          line.compare(line.size() - ending.size(), ending.size(), ending) == 0;
    else if (inside)
      addFigure(line, figures);
  }
  return figures;
}

struct Memory : testing::Test {
  void SetUp() override {
    if (processFigures()["VmRSS:"] == 0 || !std::ifstream("/proc/self/smaps"))
      GTEST_SKIP() << "no figures in /proc";
    toy.vocabulary = 300'007; // 6 MB of weights, 20 MB of logits
    writeToyBundle(path, toy);
    coppice_bundle *opened = nullptr;
    ASSERT_EQ(coppice_bundle_open(path.c_str(), &opened), COPPICE_OK)
        << coppice_last_error();
    bundle.reset(opened);
  }

  void openSession() {
    options.struct_size = sizeof(options);
    options.threads = 2;
    coppice_session *created = nullptr;
    ASSERT_EQ(coppice_session_create(bundle.get(), &options, &created),
              COPPICE_OK)
        << coppice_last_error();
    session.reset(created);
  }

  // Every row of a full step, each of them with logits.
  void runLargestStep(std::vector<float> &logits) {
    std::vector<int32_t> tokens, slots, positions, heads;
    for (int32_t slot = 0; slot < toy.slots; ++slot)
      for (int32_t position = 0; position < toy.context; ++position) {
        if (int64_t(tokens.size()) == toy.rows)
          break;
        heads.push_back(int32_t(tokens.size()));
        tokens.push_back(slot * 7 + position);
        slots.push_back(slot);
        positions.push_back(position);
      }
    coppice_step step = {
        sizeof(step),     int64_t(tokens.size()), tokens.data(), slots.data(),
        positions.data(), int64_t(heads.size()),  heads.data(),  nullptr};
    ASSERT_EQ(coppice_session_step(session.get(), &step, logits.data()),
              COPPICE_OK)
        << coppice_last_error();
  }

  struct Close {
    void operator()(coppice_bundle *b) const { coppice_bundle_close(b); }
    void operator()(coppice_session *s) const { coppice_session_destroy(s); }
  };
  TemporaryDirectory directory;
  std::string path = directory / "toy.coppice";
  ToyOptions toy;
  coppice_session_options options = {};
  std::unique_ptr<coppice_bundle, Close> bundle;
  std::unique_ptr<coppice_session, Close> session;
};

TEST_F(Memory, StoredWeightsAreMappedNotCopied) {
  int64_t weightBytes = toy.vocabulary * toyWidth * 4;
  int64_t before = processFigures()["RssAnon:"];
  openSession();
  Figures mapping = mappingFigures("/weights.safetensors");
  EXPECT_GE(mapping["Rss:"], weightBytes); // each byte was looked at
  EXPECT_EQ(mapping["Private_Dirty:"], 0);
  EXPECT_EQ(mapping["Anonymous:"], 0);
  EXPECT_LT(processFigures()["RssAnon:"] - before, weightBytes / 2);
}

TEST_F(Memory, ASessionTakesWhatWasSaidBefore) {
  coppice_memory told = {};
  told.struct_size = sizeof(told);
  options.struct_size = sizeof(options);
  ASSERT_EQ(coppice_bundle_memory(bundle.get(), &options, &told), COPPICE_OK);
  int64_t expected =
      told.weight_bytes + told.state_bytes + told.arena_bytes + told.step_bytes;
  std::vector<float> logits(size_t(toy.rows * toy.vocabulary), 1.0f);
  int64_t before = processFigures()["VmRSS:"];
  openSession();
  for (int i = 0; i < 3; ++i)
    runLargestStep(logits);
  auto taken = double(processFigures()["VmRSS:"] - before);
  // Beside it: code, the plan, stacks of threads.
  constexpr double fixed = 2e6;
  EXPECT_GT(taken, 0.9 * double(expected));
  EXPECT_LT(taken, 1.1 * double(expected) + fixed);
}

} // namespace
} // namespace coppice::rt::test
