// Writes a file so that readers see the old one or the whole new one.
//
// Bytes go to a temporary file in the target's directory; commit() flushes it
// to the disk and renames it over the target. Without commit() the temporary
// file is removed and the target is untouched. A target that is not a regular
// file
// (/dev/stdout, a pipe) cannot be replaced and is written directly.
#ifndef COPPICE_RUNTIME_BASE_ATOMIC_FILE_H
#define COPPICE_RUNTIME_BASE_ATOMIC_FILE_H

#include "runtime/base/status.h"

#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace coppice::rt {

class AtomicFile {
public:
  static Result<AtomicFile> create(const std::string &path);

  AtomicFile(AtomicFile &&other) noexcept;
  AtomicFile &operator=(AtomicFile &&other) noexcept;
  ~AtomicFile();

  Status write(std::span<const std::byte> bytes);
  Status write(std::string_view text);
  // Hands what was written to the system, so that a full disk shows before any
  // of several files is renamed; commit() calls it.
  Status flush();
  Status commit();

private:
  AtomicFile() = default;
  Status writeThrough(std::span<const std::byte> bytes);
  Status failure(const char *what) const;
  void discard();

  int descriptor = -1;
  std::string target;    // as the caller named it, for messages
  std::string resolved;  // what is replaced: links followed
  std::string temporary; // empty: the target is written directly
  std::vector<std::byte> buffer;
};

// The whole of a file in one call.
Status writeFile(const std::string &path, std::string_view text);

} // namespace coppice::rt

#endif
