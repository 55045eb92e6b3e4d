//===- TuningCacheTest.cpp - what is noted is found, whoever writes -------===//

#include "coppice/Tune/TuningCache.h"
#include "coppice/Codegen/CPU/Passes.h"
#include "runtime/bench/host.h"
#include "llvm/Support/FileSystem.h"
#include "gtest/gtest.h"

#include <fstream>
#include <thread>

using namespace mlir;

namespace coppice {
namespace {

class TuningCacheTest : public testing::Test {
protected:
  TuningCacheTest() : context(makeRegistry()) {
    context.loadDialect<exec::ExecDialect>();
  }
  void SetUp() override {
    ASSERT_FALSE(llvm::sys::fs::createUniqueDirectory("coppice-tune", folder));
    path = (folder + "/below/tuning.jsonl").str();
  }
  void TearDown() override { llvm::sys::fs::remove_directories(folder); }

  static DialectRegistry makeRegistry() {
    DialectRegistry registry;
    registerCodegenCPUDialects(registry);
    return registry;
  }

  std::string text(const GemmConfig &config) {
    std::string result;
    llvm::raw_string_ostream(result) << config.toAttr(&context);
    return result;
  }

  TuningEntry entryOf(int64_t n, const GemmConfig &config) {
    TuningEntry entry;
    entry.gemm = {n, 96, 2, 2};
    entry.bucket = gemmRowBuckets().front();
    entry.cpu = rt::cpuName();
    entry.isa = "avx2";
    entry.version = TuningCache::currentVersion();
    entry.config = text(config);
    return entry;
  }
  TuningEntry entryOf(int64_t n) { return entryOf(n, lastOf(n)); }
  GemmConfig lastOf(int64_t n) {
    return gemmCandidates({n, 96, 2, 2}, gemmRowBuckets().front()).back();
  }

  void append(const TuningEntry &entry) {
    llvm::Error error = TuningCache::append(path, entry);
    EXPECT_FALSE(error) << llvm::toString(std::move(error));
  }
  TuningCache load() {
    auto cache = TuningCache::load(path);
    EXPECT_TRUE(bool(cache));
    return cache ? std::move(*cache) : TuningCache();
  }
  std::optional<GemmConfig> find(const TuningCache &cache, int64_t n,
                                 StringRef isa = "avx2") {
    return cache.lookup({n, 96, 2, 2}, gemmRowBuckets().front(), isa, &context);
  }

  MLIRContext context;
  SmallString<128> folder;
  std::string path;
};

TEST_F(TuningCacheTest, FindsWhatWasNotedAndNothingElse) {
  EXPECT_EQ(load().size(), 0u); // no file, no folder
  append(entryOf(640));
  TuningCache cache = load();
  EXPECT_EQ(cache.size(), 1u);
  std::optional<GemmConfig> found = find(cache, 640);
  ASSERT_TRUE(found);
  EXPECT_EQ(text(*found), text(lastOf(640)));
  EXPECT_FALSE(find(cache, 641));
  EXPECT_FALSE(find(cache, 640, "avx512"));
}

TEST_F(TuningCacheTest, TheLaterEntryCounts) {
  GemmConfig first =
      gemmCandidates({640, 96, 2, 2}, gemmRowBuckets().front()).front();
  append(entryOf(640));
  append(entryOf(640, first));
  std::optional<GemmConfig> found = find(load(), 640);
  ASSERT_TRUE(found);
  EXPECT_EQ(text(*found), text(first));
}

TEST_F(TuningCacheTest, OtherMachinesVersionsAndConfigurationsAreIgnored) {
  TuningEntry entry = entryOf(640);
  entry.cpu = "another";
  append(entry);
  entry = entryOf(640);
  entry.version = "0.0.0 none";
  append(entry);
  EXPECT_EQ(load().size(), 0u);
  entry = entryOf(640);
  entry.config = "#exec.config<\"gemm\", rows = 1>";
  append(entry);
  EXPECT_FALSE(find(load(), 640));
}

TEST_F(TuningCacheTest, ATornLineHarmsNoOther) {
  append(entryOf(640));
  std::ofstream(path, std::ios::app) << "{\"schema\":\"coppice.tun";
  EXPECT_TRUE(find(load(), 640)); // it may still be being written
  append(entryOf(704));
  std::ofstream(path, std::ios::app) << "nonsense\n";
  TuningCache cache = load();
  EXPECT_TRUE(find(cache, 640));
  EXPECT_TRUE(find(cache, 704));
  EXPECT_EQ(cache.ignoredLines(), 2);
}

TEST_F(TuningCacheTest, WritersDoNotMixTheirLines) {
  constexpr int writers = 4, each = 25;
  append(entryOf(64)); // makes the folder
  std::vector<TuningEntry> entries;
  for (int i = 0; i < writers * each; ++i)
    entries.push_back(entryOf(128 + 64 * i));
  std::vector<std::thread> threads;
  for (int w = 0; w < writers; ++w)
    threads.emplace_back([&, w] {
      for (int i = 0; i < each; ++i)
        append(entries[size_t(w * each + i)]);
    });
  for (std::thread &thread : threads)
    thread.join();
  TuningCache cache = load();
  EXPECT_EQ(cache.ignoredLines(), 0);
  EXPECT_EQ(cache.size(), size_t(writers * each + 1));
}

TEST_F(TuningCacheTest, SaysWhatCannotBeReadOrWritten) {
  auto cache = TuningCache::load(folder.str().str());
  ASSERT_FALSE(bool(cache));
  EXPECT_NE(llvm::toString(cache.takeError()).find("cannot read"),
            std::string::npos);
  llvm::Error error =
      TuningCache::append("/dev/null/x/tuning.jsonl", entryOf(640));
  ASSERT_TRUE(bool(error));
  EXPECT_NE(llvm::toString(std::move(error)).find("cannot make the folder"),
            std::string::npos);
}

} // namespace
} // namespace coppice
