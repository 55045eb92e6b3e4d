// A temporary directory that lives as long as this object.
#pragma once

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <string>
#include <system_error>

namespace coppice::driver {

class ScratchDirectory {
public:
  /// Makes $TMPDIR/NAME-XXXXXX; says why on stderr where it cannot.
  explicit ScratchDirectory(const std::string &name) {
    std::error_code error;
    std::filesystem::path base = std::filesystem::temp_directory_path(error);
    if (error)
      base = "/tmp";
    std::string pattern = (base / (name + "-XXXXXX")).string();
    if (mkdtemp(pattern.data()))
      directory = pattern;
    else
      std::perror(("error: cannot make directory '" + pattern + "'").c_str());
  }
  ~ScratchDirectory() {
    std::error_code ignored;
    if (valid())
      std::filesystem::remove_all(directory, ignored);
  }
  ScratchDirectory(const ScratchDirectory &) = delete;
  ScratchDirectory &operator=(const ScratchDirectory &) = delete;

  bool valid() const { return !directory.empty(); }
  const std::string &path() const { return directory; }

private:
  std::string directory;
};

} // namespace coppice::driver
