#include "runtime/base/safetensors.h"

#include "runtime/base/checked.h"
#include "runtime/base/concat.h"
#include "runtime/base/json.h"

#include <algorithm>

namespace coppice::rt {
namespace {

// A count, size or offset: an integer in [0, 2^63).
std::optional<int64_t> naturalNumber(const Json &json) {
  if (!json.is_number_unsigned() || json.get<uint64_t>() > uint64_t(INT64_MAX))
    return std::nullopt;
  return int64_t(json.get<uint64_t>());
}

Status parseShape(const Json &json, TensorInfo &tensor) {
  constexpr size_t maxRank = 16;
  if (!json.is_array() || json.size() > maxRank)
    return invalidFile(
        concat("expected a shape of at most ", maxRank, " extents"));
  for (const Json &extent : json) {
    auto value = naturalNumber(extent);
    if (!value)
      return invalidFile("expected extents of at least 0, found " +
                         quote(extent.dump(-1, ' ', true)));
    tensor.shape.push_back(*value);
  }
  return {};
}

// data_offsets are relative to the data section, which starts at `dataStart`.
Status parseOffsets(const Json &json, int64_t dataStart, int64_t dataBytes,
                    TensorInfo &tensor) {
  if (!json.is_array() || json.size() != 2)
    return invalidFile("expected data_offsets of two numbers");
  auto begin = naturalNumber(json[0]), end = naturalNumber(json[1]);
  if (!begin || !end || *begin > *end || *end > dataBytes)
    return invalidFile(
        concat("expected data_offsets inside the data section of ", dataBytes,
               " bytes, found ", json.dump(-1, ' ', true)));
  tensor.offset = dataStart + *begin;
  tensor.bytes = *end - *begin;
  auto elements = checkedProduct(tensor.shape);
  auto bytes =
      elements ? checkedMul(*elements, sizeOf(tensor.dtype)) : std::nullopt;
  if (!bytes)
    return invalidFile("shape overflows 64 bits");
  if (*bytes != tensor.bytes)
    return invalidFile(concat("expected ", *bytes,
                              " bytes for its shape and dtype, found ",
                              tensor.bytes));
  return {};
}

Status parseTensor(const Json &json, int64_t dataStart, int64_t dataBytes,
                   TensorInfo &tensor) {
  if (!json.is_object())
    return invalidFile("expected an object");
  for (const auto &[key, value] : json.items())
    if (key != "dtype" && key != "shape" && key != "data_offsets")
      return invalidFile("unknown key " + quote(key));
  for (const char *key : {"dtype", "shape", "data_offsets"})
    if (!json.contains(key))
      return invalidFile(concat("missing key '", key, "'"));
  const Json &dtype = json["dtype"];
  if (!dtype.is_string())
    return invalidFile("expected a string for dtype");
  const auto &dtypeName = dtype.get_ref<const std::string &>();
  auto named = dtypeNamedInSafetensors(dtypeName);
  if (!named)
    return invalidFile("unknown dtype " + quote(dtypeName));
  tensor.dtype = *named;
  if (Status status = parseShape(json["shape"], tensor); !status.ok())
    return status;
  return parseOffsets(json["data_offsets"], dataStart, dataBytes, tensor);
}

Status parseMetadata(const Json &json, SafetensorsHeader &header) {
  if (!json.is_object())
    return invalidFile("expected an object for __metadata__");
  for (const auto &[key, value] : json.items()) {
    if (!value.is_string())
      return invalidFile("expected strings in __metadata__, at " + quote(key));
    header.metadata[key] = value.get<std::string>();
  }
  return {};
}

// Tensors sorted by offset must tile [dataStart, fileBytes).
Status checkCoverage(const std::vector<TensorInfo> &tensors, int64_t dataStart,
                     int64_t fileBytes) {
  int64_t expected = dataStart;
  for (const TensorInfo &tensor : tensors) {
    if (tensor.offset != expected)
      return invalidFile(
          concat("tensor ", quote(tensor.name),
                 tensor.offset < expected ? " overlaps the one before it"
                                          : " leaves a hole before it",
                 ": expected data at byte ", expected - dataStart,
                 " of the data section, found ", tensor.offset - dataStart));
    expected += tensor.bytes;
  }
  if (expected != fileBytes)
    return invalidFile(concat("expected a file of ", expected,
                              " bytes by its header, found ", fileBytes));
  return {};
}

} // namespace

const TensorInfo *SafetensorsHeader::find(std::string_view name) const {
  for (const TensorInfo &tensor : tensors)
    if (tensor.name == name)
      return &tensor;
  return nullptr;
}

Result<SafetensorsHeader> SafetensorsHeader::parse(std::string_view file,
                                                   int64_t fileBytes) {
  constexpr int64_t prefix = 8;
  if (fileBytes < prefix || int64_t(file.size()) < prefix)
    return invalidFile(concat("expected at least 8 bytes, found ", fileBytes));
  uint64_t length = 0;
  for (int i = 7; i >= 0; --i)
    length = length << 8 | static_cast<unsigned char>(file[size_t(i)]);
  uint64_t room = uint64_t(std::min(int64_t(file.size()), fileBytes) - prefix);
  if (length > uint64_t(maxBytes))
    return invalidFile(concat("expected a header of at most ", maxBytes,
                              " bytes, found ", length));
  if (length > room)
    return invalidFile(concat("header of ", length,
                              " bytes does not fit into the file of ",
                              fileBytes, " bytes"));
  auto json = parseJson(file.substr(prefix, length));
  if (!json)
    return json.status().at("header");
  if (!json->is_object())
    return invalidFile("expected an object as header");

  SafetensorsHeader header;
  int64_t dataStart = prefix + int64_t(length);
  for (const auto &[name, entry] : json->items()) {
    if (name == "__metadata__") {
      if (Status status = parseMetadata(entry, header); !status.ok())
        return status;
      continue;
    }
    TensorInfo tensor;
    tensor.name = name;
    Status status =
        parseTensor(entry, dataStart, fileBytes - dataStart, tensor);
    if (!status.ok())
      return status.at("tensor " + quote(name));
    header.tensors.push_back(std::move(tensor));
  }
  // Empty tensors share their offset with the next one: they go first.
  std::sort(header.tensors.begin(), header.tensors.end(),
            [](const TensorInfo &a, const TensorInfo &b) {
              return std::tie(a.offset, a.bytes, a.name) <
                     std::tie(b.offset, b.bytes, b.name);
            });
  if (Status status = checkCoverage(header.tensors, dataStart, fileBytes);
      !status.ok())
    return status;
  return header;
}

Result<SafetensorsFile> SafetensorsFile::open(const std::string &path,
                                              bool followLinks) {
  auto file = MappedFile::open(path, followLinks);
  if (!file)
    return file.status();
  auto header =
      SafetensorsHeader::parse(file->text(), int64_t(file->bytes().size()));
  if (!header)
    return header.status().at(path);
  SafetensorsFile result;
  result.file = *std::move(file);
  result.parsed = *std::move(header);
  return result;
}

} // namespace coppice::rt
