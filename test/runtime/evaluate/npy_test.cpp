// .npy files.
#include "runtime/evaluate/npy.h"

#include "temporary_directory.h"

#include <cstring>
#include <gtest/gtest.h>

using namespace coppice::rt;
using namespace coppice::rt::test;

TEST(Npy, HeaderIsAlignedAndSaysTheShape) {
  for (int64_t rows : {0, 1, 12, 1234567}) {
    std::string header = npyHeader(rows, 513);
    EXPECT_EQ(header.size() % 64, 0u);
    EXPECT_EQ(header.substr(0, 8), std::string("\x93NUMPY\x01\x00", 8));
    auto length =
        static_cast<uint8_t>(header[8]) + 256 * static_cast<uint8_t>(header[9]);
    EXPECT_EQ(static_cast<size_t>(length) + 10, header.size());
    EXPECT_EQ(header.back(), '\n');
    EXPECT_NE(header.find("'shape': (" + std::to_string(rows) + ", 513)"),
              std::string::npos);
    EXPECT_NE(header.find("'<f4'"), std::string::npos);
  }
}

TEST(Npy, FileIsHeaderAndValues) {
  TemporaryDirectory directory;
  std::vector<float> values{1, 2.5f, -3, 4, 5, 6};
  ASSERT_TRUE(writeNpy(directory / "x.npy", values, 2, 3).ok());
  std::string bytes = readBytes(directory / "x.npy");
  std::string header = npyHeader(2, 3);
  ASSERT_EQ(bytes.size(), header.size() + 24);
  EXPECT_EQ(bytes.substr(0, header.size()), header);
  EXPECT_EQ(std::memcmp(bytes.data() + header.size(), values.data(), 24), 0);
}

TEST(Npy, AnUnwritablePlaceIsAnError) {
  TemporaryDirectory directory;
  EXPECT_FALSE(writeNpy(directory / "no/x.npy", {}, 0, 1).ok());
}
