// The protocol's cuts, byte for byte.
#include "runtime/evaluate/chunks.h"

#include <gtest/gtest.h>

using namespace coppice::rt;

namespace {
using Chunks = std::vector<std::string_view>;
}

TEST(Chunks, BlankLineGoesMarkerAndFirstFragmentStay) {
  EXPECT_EQ(splitChunks("end of it.\n\nOnce a.\n\nOnce b.\n", "Once"),
            (Chunks{"end of it.", "Once a.", "Once b.\n"}));
}

TEST(Chunks, OtherBlankLinesAndOtherMarkersStay) {
  std::string_view text = "Once a\n\nthen b\nOnce c\n\n once d \n";
  EXPECT_EQ(splitChunks(text, "Once"), (Chunks{text}));
  EXPECT_EQ(splitChunks(text, ""), (Chunks{text}));
  EXPECT_EQ(splitChunks(text, "nowhere"), (Chunks{text}));
}

TEST(Chunks, NothingIsTrimmedOrConverted) {
  EXPECT_EQ(splitChunks(" a \r\n\r\nOnce b\t\n\nOnce\n", "Once"),
            (Chunks{" a \r\n\r\nOnce b\t", "Once\n"}));
}

TEST(Chunks, OfTwoBlankLinesOneGoes) {
  EXPECT_EQ(splitChunks("a\n\n\nOnce", "Once"), (Chunks{"a\n", "Once"}));
}

TEST(Chunks, EmptyOnesAreLeftOut) {
  EXPECT_EQ(splitChunks("\n\nOnce a", "Once"), (Chunks{"Once a"}));
  EXPECT_EQ(splitChunks("", "Once"), Chunks());
  EXPECT_EQ(splitChunks("", ""), Chunks());
}

TEST(Chunks, MarkersMayFollowOneAnother) {
  EXPECT_EQ(splitChunks("x\n\nS\n\nS\n\nS", "S"), (Chunks{"x", "S", "S", "S"}));
}
