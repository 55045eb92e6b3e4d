// A file mapped read-only. The file must not shrink while it is mapped: writers
// here replace files (atomic_file.h), they never truncate them.
#ifndef COPPICE_RUNTIME_BASE_MAPPED_FILE_H
#define COPPICE_RUNTIME_BASE_MAPPED_FILE_H

#include "runtime/base/status.h"

#include <cstddef>
#include <span>
#include <string>
#include <string_view>

namespace coppice::rt {

class MappedFile {
public:
  // Regular files only; a symbolic link is followed unless `followLinks` is
  // false, when it is an error.
  static Result<MappedFile> open(const std::string &path,
                                 bool followLinks = true);

  MappedFile() = default;
  MappedFile(MappedFile &&other) noexcept;
  MappedFile &operator=(MappedFile &&other) noexcept;
  ~MappedFile();

  // Starts on a page; empty for an empty file.
  std::span<const std::byte> bytes() const { return {data, size}; }
  std::string_view text() const {
    return {reinterpret_cast<const char *>(data), size};
  }

private:
  const std::byte *data = nullptr;
  size_t size = 0;
};

} // namespace coppice::rt

#endif
