// Importers, below the command line: row order, frequencies, parameter counts,
// and what the parsers make of cut or hostile bytes.
#include "coppice/Import/HuggingFace.h"
#include "coppice/Import/Llama2C.h"
#include "coppice/Import/Presets.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <limits>
#include <numbers>

using namespace coppice;

namespace {

/// A file that is gone when the test ends.
class TemporaryFile {
public:
  explicit TemporaryFile(const std::string &name)
      : path((std::filesystem::temp_directory_path() /
              ("coppice-import-" + std::to_string(::getpid()) + "-" + name))
                 .string()) {}
  ~TemporaryFile() { std::filesystem::remove(path); }
  const std::string path;
};

/// A llama2.c file in which value i of the body is i: 2 layers, hidden 12,
/// intermediate 7, 2 heads of 6 and 1 KV head, vocabulary 5, context 3.
std::vector<std::byte> llama2cBytes() {
  const int32_t header[7] = {12, 7, 2, 2, 1, 5, 3};
  const int count = 5 * 12 + 2 * (12 + 144 + 72 + 72 + 144 + 12 + 3 * 7 * 12) +
                    12 + 2 * 3 * 3;
  std::vector<std::byte> bytes(sizeof(header) + sizeof(float) * count);
  std::memcpy(bytes.data(), header, sizeof(header));
  for (int i = 0; i < count; ++i) {
    const float value = float(i);
    std::memcpy(bytes.data() + sizeof(header) + sizeof(float) * i, &value,
                sizeof(value));
  }
  return bytes;
}

std::vector<float> read(const rt::SafetensorsFile &file,
                        const std::string &name) {
  const rt::TensorInfo *tensor = file.find(name);
  if (!tensor)
    return {};
  std::vector<float> values(size_t(tensor->elements()));
  rt::convertToF32(tensor->dtype, file.data(*tensor).data(), values.data(),
                   tensor->elements());
  return values;
}

TensorView view(const std::string &name, const std::vector<float> &values) {
  return {name,
          {int64_t(values.size())},
          rt::DType::F32,
          std::as_bytes(std::span(values)),
          0};
}

TEST(Llama2C, queryAndKeyRowsGoFromPairsToHalves) {
  TemporaryFile source("pairs.bin"), target("halves.safetensors");
  std::vector<std::byte> bytes = llama2cBytes();
  std::ofstream(source.path, std::ios::binary)
      .write(reinterpret_cast<const char *>(bytes.data()),
             std::streamsize(bytes.size()));
  auto model = openLlama2C(source.path);
  ASSERT_TRUE(model.ok()) << model.status().message();
  rt::SafetensorsWriter writer;
  auto status =
      writeTensors(model->weights.tensors, rt::DType::F32, target.path, writer);
  ASSERT_TRUE(status.ok()) << status.message();
  ASSERT_TRUE(writer.commit().ok());
  auto file = rt::SafetensorsFile::open(target.path);
  ASSERT_TRUE(file.ok()) << file.status().message();

  // q of layer 1 starts behind the table, the norms and q of layer 0.
  const float q = 60 + 24 + 144;
  const int order[12] = {0, 2, 4, 1, 3, 5, 6, 8, 10, 7, 9, 11};
  auto found = read(*file, "model.layers.1.self_attn.q_proj.weight");
  ASSERT_EQ(found.size(), 144u);
  for (int row = 0; row < 12; ++row)
    for (int column = 0; column < 12; ++column)
      EXPECT_EQ(found[size_t(row * 12 + column)],
                q + float(order[row] * 12 + column))
          << "row " << row;
  // The values behind the keys keep their order.
  const float v = 60 + 24 + 2 * (144 + 72);
  auto values = read(*file, "model.layers.0.self_attn.v_proj.weight");
  ASSERT_EQ(values.size(), 72u);
  for (size_t i = 0; i < values.size(); ++i)
    EXPECT_EQ(values[i], v + float(i));
}

TEST(Llama2C, everyTensorOfTheFileIsUsedOnce) {
  TemporaryFile source("once.bin");
  std::vector<std::byte> bytes = llama2cBytes();
  std::ofstream(source.path, std::ios::binary)
      .write(reinterpret_cast<const char *>(bytes.data()),
             std::streamsize(bytes.size()));
  auto model = openLlama2C(source.path);
  ASSERT_TRUE(model.ok()) << model.status().message();
  std::vector<bool> used(bytes.size());
  for (const TensorView &tensor : model->weights.tensors)
    for (size_t i = 0; i < tensor.data.size(); ++i) {
      size_t at =
          size_t(tensor.data.data() - model->weights.binary.bytes().data()) + i;
      EXPECT_FALSE(used[at]) << tensor.name;
      used[at] = true;
    }
  // All but the header and, at the end of a tied model, the rotary tables.
  for (size_t at = 0; at < used.size(); ++at)
    EXPECT_EQ(used[at], at >= 28 && at < used.size() - 2 * 3 * 3 * 4) << at;
}

TEST(Llama2C, noLengthButTheRightOneIsAccepted) {
  std::vector<std::byte> bytes = llama2cBytes();
  const int64_t size = int64_t(bytes.size());
  for (int64_t length = 0; length < size + 9; ++length) {
    auto start = std::span(bytes).first(size_t(std::min(length, size)));
    EXPECT_EQ(parseLlama2CHeader(start, length).ok(), length == size) << length;
  }
}

TEST(Llama2C, extremeHeaderFieldsAreErrors) {
  for (int field = 0; field < 7; ++field)
    for (int32_t value : {0, -1, std::numeric_limits<int32_t>::min(),
                          std::numeric_limits<int32_t>::max()}) {
      std::vector<std::byte> bytes = llama2cBytes();
      std::memcpy(bytes.data() + 4 * field, &value, 4);
      EXPECT_FALSE(parseLlama2CHeader(bytes, int64_t(bytes.size())).ok())
          << "field " << field << " = " << value;
    }
}

TEST(HuggingFaceConfig, everyCutIsAnError) {
  const std::string config =
      R"({"model_type": "llama", "hidden_size": 12, "intermediate_size": 7,)"
      R"( "num_hidden_layers": 2, "num_attention_heads": 3, "vocab_size": 11,)"
      R"( "max_position_embeddings": 32, "eos_token_id": [2, 3],)"
      R"( "rope_scaling": {"rope_type": "linear", "factor": 2.0}})";
  auto model = parseHuggingFaceConfig(config);
  ASSERT_TRUE(model.ok()) << model.status().message();
  EXPECT_EQ(model->description.layers.at(1).kvHeads, 3);
  EXPECT_EQ(model->description.headDim, 4);
  EXPECT_EQ(model->description.epsilon, 1e-6);
  EXPECT_EQ(model->description.bos, -1);
  EXPECT_FALSE(model->description.tied);
  for (size_t length = 0; length < config.size(); ++length)
    EXPECT_FALSE(parseHuggingFaceConfig(config.substr(0, length)).ok());
}

TEST(SafetensorsIndex, namesEachFileOnce) {
  auto files = parseSafetensorsIndex(
      R"({"weight_map": {"c": "b.safetensors", "a": "a.safetensors",)"
      R"( "b": "b.safetensors"}})");
  ASSERT_TRUE(files.ok()) << files.status().message();
  EXPECT_EQ(*files,
            (std::vector<std::string>{"a.safetensors", "b.safetensors"}));
  for (const char *bad : {"..", ".", "", "a/b", "/etc/passwd"})
    EXPECT_FALSE(parseSafetensorsIndex(R"({"weight_map": {"a": ")" +
                                       std::string(bad) + R"("}})")
                     .ok())
        << bad;
}

// The published form is piecewise in wavelengths; ours is one blend in turns.
TEST(RotaryFrequencies, llama3ScalingIsThePublishedOne) {
  auto model = findPreset("llama-3.1-8b");
  ASSERT_TRUE(model.ok());
  std::vector<float> found = rotaryFrequencies(*model);
  ASSERT_EQ(found.size(), 64u);
  int kept = 0, blended = 0, stretched = 0;
  for (size_t i = 0; i < found.size(); ++i) {
    double expected = std::pow(500000.0, -double(i) / 64);
    const double wavelength = 2 * std::numbers::pi / expected;
    if (wavelength < 8192 / 4.0) {
      ++kept;
    } else if (wavelength > 8192 / 1.0) {
      expected /= 8;
      ++stretched;
    } else {
      const double smooth = (8192 / wavelength - 1) / (4 - 1);
      expected = (1 - smooth) * expected / 8 + smooth * expected;
      ++blended;
    }
    EXPECT_NEAR(found[i], expected, 1e-7 * expected) << i;
  }
  EXPECT_GT(kept, 0);
  EXPECT_GT(blended, 0);
  EXPECT_GT(stretched, 0);
}

TEST(Presets, haveThePublicParameterCounts) {
  const std::pair<const char *, int64_t> counts[] = {
      {"demo", 62'334'720},
      {"llama-3.2-1b", 1'235'814'400},
      {"llama-3.1-8b", 8'030'261'248},
      {"qwen2.5-0.5b", 494'032'768},
      {"qwen3-0.6b", 596'049'920}};
  for (auto [name, count] : counts) {
    auto model = findPreset(name);
    ASSERT_TRUE(model.ok()) << model.status().message();
    EXPECT_TRUE(checkDescription(*model).ok()) << name;
    EXPECT_EQ(countParameters(*model), count) << name;
  }
}

TEST(Weights, theFirstTensorWithANonFiniteNumberIsNamed) {
  // Longer than the blocks that threads take, and no multiple of them.
  std::vector<float> fine((1 << 20) + 3, 1.5f), large(5 * (1 << 20) + 7, -2.f),
      small(3, 0.f);
  std::vector<TensorView> tensors = {view("fine", fine), view("large", large),
                                     view("small", small)};
  EXPECT_TRUE(refuseNonFinite(tensors).ok());
  small[1] = std::numeric_limits<float>::infinity();
  EXPECT_NE(refuseNonFinite(tensors).message().find("'small'"),
            std::string::npos);
  large.back() = std::numeric_limits<float>::quiet_NaN();
  const std::string message = refuseNonFinite(tensors).message();
  EXPECT_NE(message.find("'large'"), std::string::npos) << message;
  EXPECT_NE(message.find(std::to_string(large.size() - 1)), std::string::npos)
      << message;
}

TEST(Weights, narrowingRefusesWhatDoesNotFit) {
  TemporaryFile target("narrow.safetensors");
  std::vector<float> values = {1, 65504, -3.5f};
  auto write = [&](rt::DType dtype) {
    std::vector<TensorView> tensors = {view("x", values)};
    rt::SafetensorsWriter writer;
    return writeTensors(tensors, dtype, target.path, writer);
  };
  EXPECT_TRUE(write(rt::DType::F16).ok());
  values[1] = 65520; // rounds to infinity
  EXPECT_FALSE(write(rt::DType::F16).ok());
  EXPECT_TRUE(write(rt::DType::BF16).ok());
  values[1] = std::numeric_limits<float>::max();
  EXPECT_FALSE(write(rt::DType::BF16).ok());
  EXPECT_TRUE(write(rt::DType::F32).ok());
  EXPECT_FALSE(std::filesystem::exists(target.path)) << "nothing was committed";
}

} // namespace
