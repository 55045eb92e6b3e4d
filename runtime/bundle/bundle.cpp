#include "runtime/bundle/bundle.h"

#include "runtime/base/aligned_memory.h"
#include "runtime/base/concat.h"
#include "runtime/base/json.h"
#include "runtime/base/sha256.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <sys/stat.h>

namespace coppice::rt {
namespace {

// program.json of a 100-layer model is a few MB.
constexpr size_t maxProgramBytes = size_t(256) << 20;

Result<std::string> readProgramText(const std::string &directory) {
  struct stat info;
  if (::stat(directory.c_str(), &info) != 0)
    return ioError(
        concat("cannot open bundle '", directory, "': ", std::strerror(errno)));
  if (!S_ISDIR(info.st_mode))
    return invalidFile(concat("expected a bundle, which is a directory, found "
                              "a file: ",
                              directory));
  auto file = MappedFile::open(directory + "/program.json",
                               /*followLinks=*/false);
  if (!file)
    return file.status();
  if (file->bytes().size() > maxProgramBytes)
    return invalidFile(concat(directory, "/program.json: expected at most ",
                              maxProgramBytes, " bytes, found ",
                              file->bytes().size()));
  return std::string(file->text());
}

Status checkSize(const FileRecord *record, size_t found,
                 const std::string &path) {
  if (!record || record->bytes == int64_t(found))
    return {};
  return invalidFile(concat(path, ": expected ", record->bytes,
                            " bytes by program.json, found ", found));
}

Status checkHash(const FileRecord &record, std::span<const std::byte> bytes,
                 const std::string &path) {
  if (record.sha256.empty())
    return invalidFile(concat(path, ": expected one sha256 of the whole file "
                                    "in program.json, found pieces"));
  std::string found = sha256(bytes);
  if (found == record.sha256)
    return {};
  return invalidFile(concat(path, ": expected sha256 ", record.sha256,
                            " by program.json, found ", found));
}

std::string shapeText(std::span<const int64_t> shape) {
  std::string text = "[";
  for (size_t i = 0; i < shape.size(); ++i)
    text += concat(i ? ", " : "", shape[i]);
  return text + "]";
}

Status checkStored(const Weight &weight, const TensorInfo *tensor) {
  if (!tensor)
    return invalidFile("no such tensor in the file");
  if (tensor->dtype != weight.dtype || tensor->shape != weight.shape)
    return invalidFile(concat(
        "expected ", nameOf(weight.dtype), " ", shapeText(weight.shape),
        ", found ", nameOf(tensor->dtype), " ", shapeText(tensor->shape)));
  if (tensor->offset % bufferAlignment != 0)
    return invalidFile(concat("expected data at a multiple of ",
                              bufferAlignment, " bytes, found byte ",
                              tensor->offset, " of the file"));
  return {};
}

} // namespace

Result<Bundle> Bundle::open(const std::string &path) {
  Bundle bundle;
  bundle.directory = path;
  while (bundle.directory.size() > 1 && bundle.directory.back() == '/')
    bundle.directory.pop_back();
  auto text = readProgramText(bundle.directory);
  if (!text)
    return text.status();
  bundle.text = *std::move(text);
  auto program = parseProgram(bundle.text);
  if (!program)
    return program.status().at(bundle.directory + "/program.json");
  bundle.parsed = *std::move(program);

  bundle.stored.resize(bundle.parsed.weights.size());
  for (size_t i = 0; i < bundle.parsed.weights.size(); ++i) {
    const Weight &weight = bundle.parsed.weights[i];
    const auto *storage = std::get_if<FileStorage>(&weight.storage);
    if (!storage)
      continue;
    std::string filePath = bundle.pathOf(storage->file);
    auto found = bundle.weightFiles.find(storage->file);
    if (found == bundle.weightFiles.end()) {
      auto file = SafetensorsFile::open(filePath, /*followLinks=*/false);
      if (!file)
        return file.status();
      Status status = checkSize(bundle.parsed.findFile(storage->file),
                                file->bytes().size(), filePath);
      if (!status.ok())
        return status;
      found = bundle.weightFiles.emplace(storage->file, *std::move(file)).first;
    }
    const SafetensorsFile &file = found->second;
    const TensorInfo *tensor = file.find(storage->key);
    if (Status status = checkStored(weight, tensor); !status.ok())
      return status.at(concat(filePath, ": tensor ", quote(storage->key)));
    bundle.stored[i] = file.data(*tensor);
  }
  if (Status status = bundle.checkOtherFiles(); !status.ok())
    return status;
  return bundle;
}

// Small ones, such as a tokenizer: hashing them here costs next to nothing.
Status Bundle::checkOtherFiles() const {
  for (const FileRecord &record : parsed.files) {
    if (weightFiles.contains(record.file))
      continue;
    std::string path = pathOf(record.file);
    auto file = MappedFile::open(path, /*followLinks=*/false);
    if (!file)
      return file.status();
    Status status = checkSize(&record, file->bytes().size(), path);
    if (status.ok())
      status = checkHash(record, file->bytes(), path);
    if (!status.ok())
      return status;
  }
  return {};
}

std::span<const std::byte> Bundle::storedWeight(size_t index) const {
  return stored[index];
}

std::vector<Bundle::HashedPart> Bundle::hashedParts() const {
  std::vector<HashedPart> parts;
  for (const auto &[name, file] : weightFiles) {
    const FileRecord *record = parsed.findFile(name);
    if (!record)
      continue;
    std::span<const std::byte> bytes = file.bytes();
    if (!record->sha256.empty()) {
      parts.push_back({&name, bytes, &record->sha256, 0, true});
      continue;
    }
    size_t size = size_t(record->pieces.bytes), begin = 0;
    for (const std::string &expected : record->pieces.sha256) {
      size_t count = std::min(size, bytes.size() - begin);
      parts.push_back({&name, bytes.subspan(begin, count), &expected,
                       int64_t(begin), false});
      begin += count;
    }
  }
  return parts;
}

bool Bundle::HashedPart::holds() const { return rt::sha256(bytes) == *sha256; }

Status Bundle::hashFailure(const HashedPart &part) const {
  std::string where = part.whole
                          ? ""
                          : concat(" of bytes ", part.begin, " to ",
                                   part.begin + int64_t(part.bytes.size()));
  return invalidFile(concat(pathOf(*part.file), ": expected sha256 ",
                            *part.sha256, where, " by program.json, found ",
                            rt::sha256(part.bytes)));
}

bool isBundle(const std::string &path) {
  auto text = readProgramText(path);
  if (!text)
    return false;
  auto json = parseJson(*text);
  return json.ok() && json->is_object() && json->contains("schema") &&
         (*json)["schema"].is_string() &&
         (*json)["schema"].get<std::string>().rfind("coppice.program/", 0) == 0;
}

std::string bundleSha256(const Bundle &bundle) {
  return sha256(bundle.programJson());
}

} // namespace coppice::rt
