// Reads safetensors files: 8 bytes of header length, a JSON header, then data.
//
// In: a path, or the bytes of a file. Out: the tensors, in the order of their
// data, and a mapping from which their bytes are read. The reader is strict:
// the header lies inside the file and under a bound, it is an object without
// duplicate keys or deep nesting, each entry has exactly dtype, shape and
// data_offsets, offsets agree with shape and dtype, and the tensors cover the
// data exactly: no overlap, no hole, no bytes left over (as the format
// demands).
#ifndef COPPICE_RUNTIME_BASE_SAFETENSORS_H
#define COPPICE_RUNTIME_BASE_SAFETENSORS_H

#include "runtime/base/dtype.h"
#include "runtime/base/mapped_file.h"
#include "runtime/base/status.h"

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace coppice::rt {

struct TensorInfo {
  std::string name;
  DType dtype = DType::F32;
  std::vector<int64_t> shape;
  int64_t offset = 0; // from the start of the file, bytes
  int64_t bytes = 0;

  int64_t elements() const { return bytes / sizeOf(dtype); }
};

struct SafetensorsHeader {
  // Longest JSON header that is read: the bound of the format's own reader.
  static constexpr int64_t maxBytes = 100'000'000;

  std::vector<TensorInfo> tensors; // by offset
  std::map<std::string, std::string> metadata;

  const TensorInfo *find(std::string_view name) const;

  // `file` is the whole file, or at least its header; `fileBytes` its length.
  static Result<SafetensorsHeader> parse(std::string_view file,
                                         int64_t fileBytes);
};

class SafetensorsFile {
public:
  static Result<SafetensorsFile> open(const std::string &path,
                                      bool followLinks = true);

  const SafetensorsHeader &header() const { return parsed; }
  const std::vector<TensorInfo> &tensors() const { return parsed.tensors; }
  const TensorInfo *find(std::string_view name) const {
    return parsed.find(name);
  }
  // The bytes of one of tensors(); they need not be aligned for their type.
  std::span<const std::byte> data(const TensorInfo &tensor) const {
    return file.bytes().subspan(size_t(tensor.offset), size_t(tensor.bytes));
  }
  // The whole file, for hashing.
  std::span<const std::byte> bytes() const { return file.bytes(); }

private:
  MappedFile file;
  SafetensorsHeader parsed;
};

} // namespace coppice::rt

#endif
