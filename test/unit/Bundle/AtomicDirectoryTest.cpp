// Replacing a bundle: someone who looks for it meanwhile always finds one.
#include "coppice/Bundle/AtomicDirectory.h"

#include "llvm/Support/FileSystem.h"
#include "llvm/Support/Path.h"
#include "llvm/Support/raw_ostream.h"

#include "gtest/gtest.h"

#include <atomic>
#include <thread>

using namespace llvm;
using namespace coppice;

namespace {

void writeProgram(StringRef directory, int version) {
  SmallString<128> path(directory);
  sys::path::append(path, "program.json");
  std::error_code code;
  raw_fd_ostream os(path, code);
  ASSERT_FALSE(code);
  os << "{\"schema\": \"coppice.program/1\", \"version\": " << version << "}";
}

TEST(AtomicDirectoryTest, ThereIsABundleAtEveryMoment) {
  SmallString<128> root;
  ASSERT_FALSE(sys::fs::createUniqueDirectory("bundle-directory", root));
  std::string target = (root + "/b.coppice").str(),
              program = target + "/program.json";
  auto replace = [&](int version) {
    Expected<AtomicDirectory> directory =
        AtomicDirectory::create(target, bundleKind);
    ASSERT_TRUE(bool(directory)) << toString(directory.takeError());
    writeProgram(directory->path(), version);
    Error error = directory->commit();
    EXPECT_FALSE(bool(error)) << toString(std::move(error));
  };
  replace(0);
  std::atomic<bool> done = false;
  std::atomic<int> missing = 0;
  std::thread reader([&] {
    while (!done)
      missing += !sys::fs::exists(program);
  });
  for (int version = 1; version < 300; ++version)
    replace(version);
  done = true;
  reader.join();
  EXPECT_EQ(missing, 0);
  // Nothing is left beside it.
  std::error_code code;
  int entries = 0;
  for (sys::fs::directory_iterator it(root, code), end; it != end && !code;
       it.increment(code))
    ++entries;
  EXPECT_EQ(entries, 1);
  sys::fs::remove_directories(root);
}

} // namespace
