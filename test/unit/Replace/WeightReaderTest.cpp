// Elements of weights by row and column, whether a weight is a tensor of a
// file, some rows of one, or generated.
#include "coppice/Replace/WeightReader.h"

#include "coppice/Dialect/Decoder/IR/Decoder.h"
#include "runtime/base/safetensors_writer.h"
#include "runtime/base/weight_generator.h"

#include "mlir/Parser/Parser.h"

#include <gtest/gtest.h>

#include <filesystem>

using namespace coppice;
using namespace mlir;

namespace {

/// A file with the tensor `t` [7, 3] in which element i is i, and a module with
/// one weight.
class WeightReaderTest : public testing::Test {
protected:
  WeightReaderTest() {
    context
        .loadDialect<decoder::DecoderDialect, ml_program::MLProgramDialect>();
    directory = std::filesystem::temp_directory_path() /
                ("coppice-reader-" + std::to_string(::getpid()));
    std::filesystem::create_directories(directory);
    rt::SafetensorsWriter writer;
    const int64_t shape[] = {7, 3};
    std::vector<float> values(21);
    for (size_t i = 0; i < values.size(); ++i)
      values[i] = float(i);
    auto ok = [](const rt::Status &status) { return status.ok(); };
    EXPECT_TRUE(ok(writer.declare("t", rt::DType::F32, shape)) &&
                ok(writer.begin(directory / "w.safetensors")) &&
                ok(writer.write(std::as_bytes(std::span(values)))) &&
                ok(writer.commit()));
  }
  ~WeightReaderTest() override { std::filesystem::remove_all(directory); }

  ml_program::GlobalOp parse(const std::string &type, const std::string &source,
                             const std::string &attributes = "") {
    module = parseSourceString<ModuleOp>(
        "module " + attributes +
            " { ml_program.global private @w(#ml_program.extern : " + type +
            ") : " + type + " {decoder.source = " + source + "} }",
        &context);
    return module ? *module->getOps<ml_program::GlobalOp>().begin()
                  : ml_program::GlobalOp();
  }

  /// What the reader says against a weight; empty: nothing.
  std::string faultOf(ml_program::GlobalOp weight) {
    std::string text;
    ScopedDiagnosticHandler handler(&context, [&](Diagnostic &diagnostic) {
      text = diagnostic.str();
      return success();
    });
    WeightReader reader(*module, directory);
    if (succeeded(reader.check(weight)))
      EXPECT_EQ(text, "");
    return text;
  }

  MLIRContext context;
  std::filesystem::path directory;
  OwningOpRef<ModuleOp> module;
};

TEST_F(WeightReaderTest, readsRowsAndColumnsOfATensor) {
  auto weight =
      parse("tensor<7x3xf32>", "#decoder.file<\"w.safetensors\", \"t\">");
  WeightReader reader(*module, directory);
  ASSERT_TRUE(succeeded(reader.check(weight)));
  EXPECT_EQ(reader.read(weight, {0, 6}, {0, 2}),
            std::vector<float>({0, 2, 18, 20}));
}

TEST_F(WeightReaderTest, rowsOfATensorAreCountedFromTheirFirst) {
  auto weight = parse("tensor<4x3xf32>",
                      "#decoder.file<\"w.safetensors\", \"t\", rows = [2, 6]>");
  WeightReader reader(*module, directory);
  ASSERT_TRUE(succeeded(reader.check(weight)));
  EXPECT_EQ(reader.read(weight, {0, 3}, {1}), std::vector<float>({7, 16}));
}

TEST_F(WeightReaderTest, generatedElementsAreThoseOfTheRuntimeAsStored) {
  auto weight =
      parse("tensor<5x4xbf16>",
            "#decoder.generated<seed = 3, name = \"w\", stddev = 0.5, "
            "mean = 0.25>");
  WeightReader reader(*module, directory);
  ASSERT_TRUE(succeeded(reader.check(weight)));
  rt::WeightGenerator generator(3, "w", 0.25, 0.5);
  auto stored = [&](int64_t index) {
    return rt::bf16ToF32(rt::f32ToBf16(generator(index)));
  };
  EXPECT_EQ(reader.read(weight, {1, 4}, {0, 3}),
            std::vector<float>({stored(4), stored(7), stored(16), stored(19)}));
}

TEST_F(WeightReaderTest, whatDoesNotFitIsNamed) {
  auto file = [](const std::string &rest) {
    return "#decoder.file<\"w.safetensors\", " + rest + ">";
  };
  EXPECT_EQ(faultOf(parse("tensor<7x3xf32>", file("\"u\""))),
            "expected a tensor 'u' in w.safetensors, found none");
  for (const char *type :
       {"tensor<7x3xbf16>", "tensor<6x3xf32>", "tensor<7x4xf32>"})
    EXPECT_NE(faultOf(parse(type, file("\"t\""))).find("found another type"),
              std::string::npos)
        << type;
  // Rows behind the tensor's end, and not as many as the weight has.
  for (const char *rows : {"[4, 8]", "[0, 3]", "[9, 13]"})
    EXPECT_NE(faultOf(parse("tensor<4x3xf32>",
                            file(std::string("\"t\", rows = ") + rows)))
                  .find("expected tensor 't' of w.safetensors to have rows "
                        "that are 'tensor<4x3xf32>'"),
              std::string::npos)
        << rows;
  EXPECT_NE(faultOf(parse("tensor<7x3xf32>",
                          "#decoder.file<\"none.safetensors\", \"t\">"))
                .find("cannot read its weight file"),
            std::string::npos);
}

TEST_F(WeightReaderTest, aFileThatHasChangedIsRefused) {
  auto weight =
      parse("tensor<7x3xf32>", "#decoder.file<\"w.safetensors\", \"t\">",
            "attributes {decoder.files = {\"w.safetensors\" = \"" +
                std::string(64, '0') + "\"}}");
  EXPECT_NE(faultOf(weight).find("weights changed since import"),
            std::string::npos);
}

} // namespace
