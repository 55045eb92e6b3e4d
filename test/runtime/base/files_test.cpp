// Files: atomic writing, mapping, hashing.
#include "runtime/base/atomic_file.h"
#include "runtime/base/mapped_file.h"
#include "runtime/base/sha256.h"
#include "temporary_directory.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

namespace coppice::rt {
namespace {

namespace fs = std::filesystem;
using test::readBytes;
using test::TemporaryDirectory;
using test::writeBytes;

size_t fileCount(const TemporaryDirectory &directory) {
  return size_t(std::distance(fs::directory_iterator(directory.path()), {}));
}

TEST(AtomicFileTest, ReplacesTheWholeFileAtOnce) {
  TemporaryDirectory directory;
  std::string path = directory / "out";
  writeBytes(path, "old");
  auto file = AtomicFile::create(path);
  ASSERT_TRUE(file) << file.status().message();
  ASSERT_TRUE(file->write("new ").ok());
  ASSERT_TRUE(file->write(std::string(3 << 20, 'x')).ok()); // past the buffer
  ASSERT_TRUE(file->write("end").ok());
  EXPECT_EQ(readBytes(path), "old");
  ASSERT_TRUE(file->commit().ok());
  EXPECT_EQ(readBytes(path), "new " + std::string(3 << 20, 'x') + "end");
  EXPECT_EQ(fileCount(directory), 1u);
}

TEST(AtomicFileTest, WithoutCommitNothingChanges) {
  TemporaryDirectory directory;
  std::string path = directory / "out";
  writeBytes(path, "old");
  {
    auto file = AtomicFile::create(path);
    ASSERT_TRUE(file);
    ASSERT_TRUE(file->write(std::string(3 << 20, 'x')).ok());
    auto moved = *std::move(file);
  }
  EXPECT_EQ(readBytes(path), "old");
  EXPECT_EQ(fileCount(directory), 1u);
}

TEST(AtomicFileTest, KeepsTheModeAndFollowsLinks) {
  TemporaryDirectory directory;
  std::string path = directory / "out", link = directory / "link";
  writeBytes(path, "old");
  ::chmod(path.c_str(), 0640);
  fs::create_symlink(path, link);
  ASSERT_TRUE(writeFile(link, "new").ok());
  EXPECT_TRUE(fs::is_symlink(link));
  EXPECT_EQ(readBytes(path), "new");
  struct stat info;
  ASSERT_EQ(::stat(path.c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 07777, 0640u);
}

TEST(AtomicFileTest, FullDiskIsReported) {
  if (!fs::exists("/dev/full"))
    GTEST_SKIP() << "no /dev/full";
  for (size_t size : {size_t(1), size_t(5) << 20}) {
    Status status = writeFile("/dev/full", std::string(size, 'x'));
    EXPECT_EQ(status.code(), COPPICE_IO_ERROR);
    EXPECT_NE(status.message().find("'/dev/full': No space left"),
              std::string::npos)
        << status.message();
  }
}

TEST(AtomicFileTest, UnwritablePlacesAreReported) {
  TemporaryDirectory directory;
  Status status = writeFile(directory / "missing/out", "x");
  EXPECT_EQ(status.code(), COPPICE_IO_ERROR);
  EXPECT_NE(status.message().find("missing/out': No such file"),
            std::string::npos)
      << status.message();
  status = writeFile(directory.path(), "x");
  EXPECT_EQ(status.code(), COPPICE_IO_ERROR);
  EXPECT_NE(status.message().find("found a directory"), std::string::npos);
}

TEST(MappedFileTest, MapsRegularFilesOnly) {
  TemporaryDirectory directory;
  std::string path = directory / "in";
  writeBytes(path, "hello");
  auto file = MappedFile::open(path);
  ASSERT_TRUE(file);
  EXPECT_EQ(file->text(), "hello");
  MappedFile moved = *std::move(file);
  EXPECT_EQ(moved.text(), "hello");

  writeBytes(directory / "empty", "");
  auto empty = MappedFile::open(directory / "empty");
  ASSERT_TRUE(empty);
  EXPECT_TRUE(empty->bytes().empty());

  EXPECT_EQ(MappedFile::open(directory / "missing").status().code(),
            COPPICE_IO_ERROR);
  EXPECT_EQ(MappedFile::open(directory.path()).status().code(),
            COPPICE_INVALID_FILE);
  ASSERT_EQ(::mkfifo((directory / "fifo").c_str(), 0600), 0);
  EXPECT_EQ(MappedFile::open(directory / "fifo").status().code(),
            COPPICE_INVALID_FILE); // and does not hang
  fs::create_symlink(path, directory / "link");
  EXPECT_TRUE(MappedFile::open(directory / "link"));
  EXPECT_EQ(MappedFile::open(directory / "link", false).status().code(),
            COPPICE_INVALID_FILE);
}

// The vectors of FIPS 180-4.
TEST(Sha256Test, EqualsTheStandardsVectors) {
  EXPECT_EQ(sha256(""), "e3b0c44298fc1c149afbf4c8996fb924"
                        "27ae41e4649b934ca495991b7852b855");
  EXPECT_EQ(sha256("abc"), "ba7816bf8f01cfea414140de5dae2223"
                           "b00361a396177a9cb410ff61f20015ad");
  Sha256 hash;
  hash.update("a");
  Sha256 moved = std::move(hash);
  moved.update("bc");
  EXPECT_EQ(moved.finish(), sha256("abc"));
  TemporaryDirectory directory;
  writeBytes(directory / "abc", "abc");
  auto ofFile = sha256OfFile(directory / "abc");
  ASSERT_TRUE(ofFile);
  EXPECT_EQ(*ofFile, sha256("abc"));
  EXPECT_FALSE(sha256OfFile(directory / "missing"));
}

// However the bytes come, each piece's hash is that of its bytes.
TEST(PieceHasherTest, EqualsHashesOfThePieces) {
  std::string bytes;
  for (int i = 0; i < 1000; ++i)
    bytes += char(i * 7 + i / 256);
  for (size_t pieceBytes : {1, 64, 100, 999, 1000, 4096}) {
    std::vector<std::string> expected;
    for (size_t at = 0; at < bytes.size(); at += pieceBytes)
      expected.push_back(
          sha256(std::string_view(bytes).substr(at, pieceBytes)));
    for (size_t step : {3, 64, 250, 1000}) {
      // Any order must do: here the last piece of a call first.
      PieceHasher hasher(int64_t(pieceBytes),
                         [](int64_t count, auto &function) {
                           while (count > 0)
                             function(--count);
                         });
      for (size_t at = 0; at < bytes.size(); at += step)
        hasher.update(std::as_bytes(std::span(bytes))
                          .subspan(at, std::min(step, bytes.size() - at)));
      PieceHashes hashes = hasher.finish();
      EXPECT_EQ(hashes.bytes, int64_t(pieceBytes));
      EXPECT_EQ(hashes.sha256, expected) << pieceBytes << " " << step;
    }
  }
}

} // namespace
} // namespace coppice::rt
