#include "runtime/base/safetensors_writer.h"

#include "runtime/base/checked.h"
#include "runtime/base/concat.h"
#include "runtime/base/json.h"

#include <algorithm>

namespace coppice::rt {

Status SafetensorsWriter::declare(const std::string &name, DType dtype,
                                  std::span<const int64_t> shape) {
  auto elements = checkedProduct(shape);
  auto bytes = elements ? checkedMul(*elements, sizeOf(dtype)) : std::nullopt;
  auto end = bytes ? checkedAdd(dataBytes, *bytes) : std::nullopt;
  auto aligned = end ? checkedAlign(*end, alignment) : std::nullopt;
  if (!aligned)
    return invalidArgument(
        concat("tensor ", quote(name), " overflows the file's 64-bit size"));
  for (const Entry &entry : entries)
    if (entry.name == name)
      return invalidArgument(concat("tensor ", quote(name), " declared twice"));
  entries.push_back({name, dtype, {shape.begin(), shape.end()}, *bytes, false});
  // Padding behind each tensor, the last included: the file's length is a
  // multiple too, and kernels may load whole vectors from the last tensor.
  if (int64_t padding = *aligned - *end)
    entries.push_back({concat(paddingPrefix, entries.size()),
                       DType::U8,
                       {padding},
                       padding,
                       true});
  dataBytes = *aligned;
  return {};
}

std::string SafetensorsWriter::headerText() const {
  // An ordered object: entries appear in the order of their data.
  nlohmann::ordered_json header = nlohmann::ordered_json::object();
  if (!metadata.empty())
    header["__metadata__"] = metadata;
  int64_t offset = 0;
  for (const Entry &entry : entries) {
    // push_back rather than operator[], which searches: names are unique.
    header.get_ref<nlohmann::ordered_json::object_t &>().push_back(
        {entry.name,
         {{"dtype", std::string(safetensorsNameOf(entry.dtype))},
          {"shape", entry.shape},
          {"data_offsets", {offset, offset + entry.bytes}}}});
    offset += entry.bytes;
  }
  std::string text = header.dump(-1, ' ', /*ensure_ascii=*/true,
                                 Json::error_handler_t::replace);
  // Spaces behind the header are the format's own way to align the data.
  int64_t unit = std::max<int64_t>(alignment, 8);
  while ((8 + int64_t(text.size())) % unit != 0)
    text += ' ';
  return text;
}

Status SafetensorsWriter::begin(const std::string &path) {
  auto created = AtomicFile::create(path);
  if (!created)
    return created.status();
  file.emplace(*std::move(created));
  std::string text = headerText();
  std::byte length[8];
  for (size_t i = 0; i < 8; ++i)
    length[i] = std::byte(uint64_t(text.size()) >> (8 * i) & 0xFF);
  if (Status status = emit(length); !status.ok())
    return status;
  return emit(std::as_bytes(std::span(text)));
}

Status SafetensorsWriter::emit(std::span<const std::byte> bytes) {
  if (pieces)
    pieces->update(bytes);
  else
    hash.update(bytes);
  written += int64_t(bytes.size());
  return file->write(bytes);
}

// Moves past finished entries, writing the padding among them.
Status SafetensorsWriter::emitPadding() {
  while (current < entries.size()) {
    const Entry &entry = entries[current];
    if (entry.padding) {
      std::vector<std::byte> zeros(size_t(entry.bytes));
      if (Status status = emit(zeros); !status.ok())
        return status;
    } else if (writtenToCurrent < entry.bytes) {
      return {};
    }
    ++current;
    writtenToCurrent = 0;
  }
  return {};
}

Status SafetensorsWriter::write(std::span<const std::byte> bytes) {
  if (!file)
    return internalError("write before begin");
  while (true) {
    if (Status status = emitPadding(); !status.ok())
      return status;
    if (bytes.empty())
      return {};
    if (current == entries.size())
      return internalError("more bytes written than tensors declared");
    int64_t room = entries[current].bytes - writtenToCurrent;
    size_t count = std::min(bytes.size(), size_t(room));
    if (Status status = emit(bytes.first(count)); !status.ok())
      return status;
    writtenToCurrent += int64_t(count);
    bytes = bytes.subspan(count);
  }
}

Status SafetensorsWriter::finish() {
  if (finished)
    return {};
  if (Status status = write({}); !status.ok())
    return status;
  if (current != entries.size())
    return internalError(concat("tensor ", quote(entries[current].name),
                                " has fewer bytes written than declared"));
  if (Status status = file->flush(); !status.ok())
    return status;
  if (pieces)
    pieceDigests = pieces->finish();
  else
    digest = hash.finish();
  finished = true;
  return {};
}

Status SafetensorsWriter::commit() {
  if (Status status = finish(); !status.ok())
    return status;
  return file->commit();
}

} // namespace coppice::rt
