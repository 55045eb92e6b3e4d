// Safetensors: what is read and written, and every header that is refused.
#include "runtime/base/safetensors.h"
#include "runtime/base/safetensors_writer.h"
#include "temporary_directory.h"

#include "runtime/base/concat.h"

#include <cstring>
#include <gtest/gtest.h>

namespace coppice::rt {
namespace {

using test::readBytes;
using test::TemporaryDirectory;
using test::writeBytes;

// `length`: what the file says of its header, if not the truth.
std::string fileOf(const std::string &header, size_t dataBytes,
                   std::optional<uint64_t> length = std::nullopt) {
  uint64_t size = length.value_or(header.size());
  std::string file(8, '\0');
  std::memcpy(file.data(), &size, 8); // little-endian, as x86 is
  return file + header + std::string(dataBytes, '\1');
}

struct BadFile {
  const char *name;
  std::string file;
  const char *message;
};

std::string tensor(const char *dtype, const char *shape, const char *offsets) {
  return concat("{\"dtype\":\"", dtype, "\",\"shape\":", shape,
                ",\"data_offsets\":", offsets, "}");
}

std::vector<BadFile> badFiles() {
  std::string good = tensor("F32", "[3]", "[0,12]");
  std::string deep(200, '[');
  return {
      {"empty", "", "at least 8 bytes, found 0"},
      {"cut inside the length", std::string(7, '\0'),
       "at least 8 bytes, found 7"},
      {"header longer than the file", fileOf("{}", 0, 3), "does not fit"},
      {"header of 2^63 bytes", fileOf("{}", 0, uint64_t(1) << 63),
       "at most 100000000 bytes"},
      {"header of 2^64 - 1 bytes", fileOf("{}", 0, UINT64_MAX),
       "at most 100000000 bytes"},
      {"header over the bound", fileOf("{}", 0, 100000001),
       "at most 100000000 bytes"},
      {"not JSON", fileOf("{]", 0), "not valid JSON"},
      {"not an object", fileOf("[]", 0), "expected an object as header"},
      {"text behind the header", fileOf("{}x", 0), "not valid JSON"},
      {"duplicate tensor",
       fileOf("{\"a\":" + good + ",\"a\":" + good + "}", 12),
       "'a' appears twice"},
      {"duplicate key in a tensor",
       fileOf(
           R"({"a":{"dtype":"U8","dtype":"U8","shape":[0],"data_offsets":[0,0]}})",
           0),
       "'dtype' appears twice"},
      {"absurd nesting", fileOf("{\"a\":" + deep + "}", 0), "levels deep"},
      {"tensor is a number", fileOf(R"({"a":1})", 0),
       "'a': expected an object"},
      {"unknown key",
       fileOf(R"({"a":{"dtype":"U8","shape":[0],"data_offsets":[0,0],"x":1}})",
              0),
       "unknown key 'x'"},
      {"missing shape",
       fileOf(R"({"a":{"dtype":"U8","data_offsets":[0,0]}})", 0),
       "missing key 'shape'"},
      {"unknown dtype",
       fileOf("{\"a\":" + tensor("F33", "[3]", "[0,12]") + "}", 12),
       "unknown dtype 'F33'"},
      {"dtype is a number",
       fileOf(R"({"a":{"dtype":1,"shape":[],"data_offsets":[0,4]}})", 4),
       "string for dtype"},
      {"negative extent",
       fileOf("{\"a\":" + tensor("F32", "[-3]", "[0,12]") + "}", 12),
       "extents of at least 0"},
      {"fractional extent",
       fileOf("{\"a\":" + tensor("F32", "[3.0]", "[0,12]") + "}", 12),
       "extents of at least 0"},
      {"extent over 64 bits",
       fileOf("{\"a\":" + tensor("F32", "[18446744073709551615]", "[0,12]") +
                  "}",
              12),
       "extents of at least 0"},
      {"shape overflows",
       fileOf("{\"a\":" + tensor("F32", "[4294967296,4294967296]", "[0,0]") +
                  "}",
              0),
       "overflows"},
      {"shape overflows behind a zero",
       fileOf("{\"a\":" + tensor("F32", "[0,4294967296,4294967296]", "[0,0]") +
                  "}",
              0),
       "overflows"},
      {"bytes overflow",
       fileOf("{\"a\":" + tensor("F64", "[2305843009213693952]", "[0,0]") + "}",
              0),
       "overflows"},
      {"offsets reversed",
       fileOf("{\"a\":" + tensor("F32", "[3]", "[12,0]") + "}", 12),
       "inside the data section"},
      {"offset negative",
       fileOf("{\"a\":" + tensor("F32", "[3]", "[-1,11]") + "}", 12),
       "inside the data section"},
      {"beyond the file",
       fileOf("{\"a\":" + tensor("F32", "[3]", "[0,12]") + "}", 11),
       "inside the data section of 11 bytes"},
      {"three offsets",
       fileOf("{\"a\":" + tensor("F32", "[3]", "[0,4,12]") + "}", 12),
       "two numbers"},
      {"size is not the shape's",
       fileOf("{\"a\":" + tensor("F32", "[3]", "[0,8]") + "}", 8),
       "expected 12 bytes"},
      {"overlapping",
       fileOf("{\"a\":" + good + ",\"b\":" + tensor("F32", "[2]", "[8,16]") +
                  "}",
              16),
       "'b' overlaps"},
      {"same place twice",
       fileOf("{\"a\":" + good + ",\"b\":" + good + "}", 12), "'b' overlaps"},
      {"hole",
       fileOf("{\"a\":" + good + ",\"b\":" + tensor("U8", "[3]", "[13,16]") +
                  "}",
              16),
       "'b' leaves a hole"},
      {"bytes left over", fileOf("{\"a\":" + good + "}", 13), "by its header"},
      {"metadata is a list", fileOf(R"({"__metadata__":[]})", 0),
       "__metadata__"},
      {"metadata holds a number", fileOf(R"({"__metadata__":{"n":1}})", 0),
       "'n'"},
  };
}

TEST(SafetensorsTest, DamagedHeadersAreRefused) {
  for (const BadFile &bad : badFiles()) {
    SCOPED_TRACE(bad.name);
    auto header = SafetensorsHeader::parse(bad.file, int64_t(bad.file.size()));
    ASSERT_FALSE(header);
    EXPECT_EQ(header.status().code(), COPPICE_INVALID_FILE);
    EXPECT_NE(header.status().message().find(bad.message), std::string::npos)
        << header.status().message();
  }
}

TEST(SafetensorsTest, EveryTruncationIsRefused) {
  std::string file =
      fileOf("{\"a\":" + tensor("F32", "[3]", "[0,12]") + "}", 12);
  ASSERT_TRUE(SafetensorsHeader::parse(file, int64_t(file.size())));
  for (size_t size = 0; size < file.size(); ++size)
    EXPECT_FALSE(SafetensorsHeader::parse(file.substr(0, size), int64_t(size)))
        << size;
}

TEST(SafetensorsTest, ReadsWhatTheFormatAllows) {
  std::string file = fileOf(
      R"({"z":{"dtype":"BF16","shape":[2,1],"data_offsets":[4,8]},
          "__metadata__":{"format":"pt"},
          "scalar":{"dtype":"F32","shape":[],"data_offsets":[0,4]},
          "none":{"dtype":"I64","shape":[0,5],"data_offsets":[4,4]}}   )",
      8);
  auto header = SafetensorsHeader::parse(file, int64_t(file.size()));
  ASSERT_TRUE(header) << header.status().message();
  ASSERT_EQ(header->tensors.size(), 3u);
  EXPECT_EQ(header->tensors[0].name, "scalar"); // by offset
  EXPECT_EQ(header->tensors[0].elements(), 1);
  EXPECT_EQ(header->find("z")->offset, int64_t(file.size()) - 4);
  EXPECT_EQ(header->find("z")->shape, (std::vector<int64_t>{2, 1}));
  EXPECT_EQ(header->find("none")->bytes, 0);
  EXPECT_EQ(header->find("nothing"), nullptr);
  EXPECT_EQ(header->metadata.at("format"), "pt");
}

TEST(SafetensorsTest, WriterAlignsAndReaderReadsBack) {
  TemporaryDirectory directory;
  std::string path = directory / "w.safetensors";
  std::vector<float> a = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
  std::vector<uint16_t> b = {0x3F80, 0x4000, 0x4040};
  int64_t shapeA[] = {3, 5}, shapeB[] = {3};
  SafetensorsWriter writer(64);
  ASSERT_TRUE(writer.declare("a", DType::F32, shapeA).ok());
  ASSERT_TRUE(writer.declare("b", DType::BF16, shapeB).ok());
  EXPECT_FALSE(writer.declare("a", DType::U8, shapeB).ok());
  writer.setMetadata("maker", "test");
  ASSERT_TRUE(writer.begin(path).ok());
  // In pieces that end neither at tensors nor at elements.
  std::string bytes(reinterpret_cast<char *>(a.data()), 60);
  bytes.append(reinterpret_cast<char *>(b.data()), 6);
  for (size_t at = 0; at < bytes.size(); at += 7)
    ASSERT_TRUE(writer
                    .write(std::as_bytes(std::span(bytes).subspan(
                        at, std::min<size_t>(7, bytes.size() - at))))
                    .ok());
  EXPECT_FALSE(std::ifstream(path).good()); // not before commit
  ASSERT_TRUE(writer.commit().ok());

  auto file = SafetensorsFile::open(path);
  ASSERT_TRUE(file) << file.status().message();
  const TensorInfo *readA = file->find("a"), *readB = file->find("b");
  ASSERT_TRUE(readA && readB);
  EXPECT_EQ(readA->offset % 64, 0);
  EXPECT_EQ(readB->offset % 64, 0);
  EXPECT_EQ(std::memcmp(file->data(*readA).data(), a.data(), 60), 0);
  EXPECT_EQ(std::memcmp(file->data(*readB).data(), b.data(), 6), 0);
  EXPECT_EQ(file->header().metadata.at("maker"), "test");
  EXPECT_EQ(writer.sha256(), sha256(readBytes(path)));
  EXPECT_EQ(writer.fileBytes(), int64_t(readBytes(path).size()));
  EXPECT_EQ(writer.fileBytes() % 64, 0);
}

TEST(SafetensorsTest, UnalignedWriterAddsNoTensors) {
  TemporaryDirectory directory;
  std::string path = directory / "w.safetensors";
  int64_t shape[] = {5};
  SafetensorsWriter writer;
  ASSERT_TRUE(writer.declare("odd \"name\" \n", DType::U8, shape).ok());
  ASSERT_TRUE(
      writer.declare("empty", DType::F32, std::vector<int64_t>{0}).ok());
  ASSERT_TRUE(writer.begin(path).ok());
  ASSERT_TRUE(writer.write(std::as_bytes(std::span("12345", 5))).ok());
  ASSERT_TRUE(writer.commit().ok());
  auto file = SafetensorsFile::open(path);
  ASSERT_TRUE(file) << file.status().message();
  EXPECT_EQ(file->tensors().size(), 2u);
  EXPECT_TRUE(file->find("odd \"name\" \n"));
}

TEST(SafetensorsTest, WriterWithMissingOrExtraBytesLeavesNoFile) {
  TemporaryDirectory directory;
  int64_t shape[] = {5};
  for (const char *bytes : {"1234", "123456"}) {
    std::string path = directory / "w.safetensors";
    {
      SafetensorsWriter writer;
      ASSERT_TRUE(writer.declare("a", DType::U8, shape).ok());
      ASSERT_TRUE(writer.begin(path).ok());
      Status status =
          writer.write(std::as_bytes(std::span(bytes, strlen(bytes))));
      if (status.ok())
        status = writer.commit();
      EXPECT_FALSE(status.ok());
    }
    EXPECT_TRUE(std::filesystem::is_empty(directory.path()));
  }
}

} // namespace
} // namespace coppice::rt
