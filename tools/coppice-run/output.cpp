// See output.h.
#include "tools/coppice-run/output.h"

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>

#include <fcntl.h>
#include <unistd.h>

namespace coppice::rt {

Status appendLine(const std::string &path, const std::string &line) {
  std::string text = line + "\n";
  if (path == "-") {
    std::fwrite(text.data(), 1, text.size(), stdout);
    if (std::fflush(stdout) != 0)
      return ioError(std::string("stdout: ") + std::strerror(errno));
    return {};
  }
  // One write in append mode: lines of two processes do not mix.
  int file =
      open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
  if (file < 0)
    return ioError(path + ": " + std::strerror(errno));
  ssize_t written = write(file, text.data(), text.size());
  Status status;
  if (written != static_cast<ssize_t>(text.size()))
    status = ioError(
        path + ": " +
        (written < 0 ? std::strerror(errno) : "no room for the whole line"));
  if (close(file) != 0 && status.ok())
    status = ioError(path + ": " + std::strerror(errno));
  return status;
}

Status checkAppendable(const std::string &path) {
  if (path.empty() || path == "-")
    return {};
  std::error_code error;
  if (std::filesystem::is_directory(path, error))
    return ioError("cannot append to '" + path +
                   "': expected a file, found a directory");
  std::string place = path;
  if (!std::filesystem::exists(path, error)) {
    place = std::filesystem::path(path).parent_path().string();
    if (place.empty())
      place = ".";
    place += "/"; // a file in its stead is an error too
  }
  if (access(place.c_str(), W_OK) != 0)
    return ioError("cannot append to '" + path + "': " + std::strerror(errno));
  return {};
}

Status checkReplaceable(const std::string &path) {
  std::error_code error;
  if (std::filesystem::is_directory(path, error))
    return ioError("cannot write '" + path +
                   "': expected a file, found a directory");
  std::string place = std::filesystem::path(path).parent_path().string();
  if (access(place.empty() ? "." : (place + "/").c_str(), W_OK) != 0)
    return ioError("cannot write '" + path + "': " + std::strerror(errno));
  return {};
}

Status makeParents(const std::string &path) {
  std::error_code error;
  auto parent = std::filesystem::path(path).parent_path();
  if (!parent.empty())
    std::filesystem::create_directories(parent, error);
  if (error)
    return ioError(parent.string() + ": " + error.message());
  return {};
}

ProgressLine::ProgressLine() : terminal(isatty(STDERR_FILENO)) {}
ProgressLine::~ProgressLine() { clear(); }

void ProgressLine::show(const std::string &text) {
  if (!terminal)
    return;
  std::fprintf(stderr, "\r\x1b[K%s", text.c_str());
  std::fflush(stderr);
  shown = true;
}

void ProgressLine::clear() {
  if (shown)
    std::fprintf(stderr, "\r\x1b[K");
  shown = false;
}

} // namespace coppice::rt
