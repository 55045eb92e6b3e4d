#include "runtime/base/atomic_file.h"

#include "runtime/base/concat.h"

#include <atomic>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

namespace coppice::rt {

constexpr size_t bufferSize = size_t(1) << 20;

static std::string directoryOf(const std::string &path) {
  size_t slash = path.rfind('/');
  if (slash == std::string::npos)
    return ".";
  return slash == 0 ? "/" : path.substr(0, slash);
}

// open() with O_EXCL rather than mkstemp(): the file gets the mode that the
// process's umask gives to any other new file.
static int createBeside(const std::string &path, std::string &name) {
  static std::atomic<unsigned> counter{0};
  for (int attempt = 0; attempt < 100; ++attempt) {
    name = concat(path, ".tmp-", ::getpid(), "-", counter++);
    int descriptor =
        ::open(name.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (descriptor >= 0 || errno != EEXIST)
      return descriptor;
  }
  return -1;
}

Result<AtomicFile> AtomicFile::create(const std::string &path) {
  AtomicFile file;
  file.target = path;
  if (path.empty())
    return invalidArgument("expected the name of a file to write, found ''");
  struct stat info;
  bool exists = ::stat(path.c_str(), &info) == 0;
  if (exists && S_ISDIR(info.st_mode))
    return ioError(concat("cannot write '", path,
                          "': expected a file, found a directory"));
  if (exists && !S_ISREG(info.st_mode)) {
    file.descriptor = ::open(path.c_str(), O_WRONLY | O_CLOEXEC);
    if (file.descriptor < 0)
      return file.failure("open");
    return file;
  }
  // A link's target is replaced, not the link.
  file.resolved = path;
  if (char *real = ::realpath(path.c_str(), nullptr)) {
    file.resolved = real;
    ::free(real);
  }
  std::string name;
  file.descriptor = createBeside(file.resolved, name);
  if (file.descriptor < 0)
    return file.failure("create a file beside");
  file.temporary = name;
  if (exists && ::fchmod(file.descriptor, info.st_mode & 07777) != 0)
    return file.failure("set the mode of");
  return file;
}

AtomicFile::AtomicFile(AtomicFile &&other) noexcept
    : descriptor(std::exchange(other.descriptor, -1)),
      target(std::move(other.target)), resolved(std::move(other.resolved)),
      temporary(std::exchange(other.temporary, {})),
      buffer(std::move(other.buffer)) {}

AtomicFile &AtomicFile::operator=(AtomicFile &&other) noexcept {
  std::swap(descriptor, other.descriptor);
  std::swap(target, other.target);
  std::swap(resolved, other.resolved);
  std::swap(temporary, other.temporary);
  std::swap(buffer, other.buffer);
  return *this;
}

AtomicFile::~AtomicFile() { discard(); }

void AtomicFile::discard() {
  if (descriptor >= 0)
    ::close(std::exchange(descriptor, -1));
  if (!temporary.empty())
    ::unlink(temporary.c_str());
  temporary.clear();
}

Status AtomicFile::failure(const char *what) const {
  return ioError(
      concat("cannot ", what, " '", target, "': ", std::strerror(errno)));
}

Status AtomicFile::write(std::span<const std::byte> bytes) {
  if (buffer.size() + bytes.size() >= bufferSize)
    if (Status status = flush(); !status.ok())
      return status;
  if (bytes.size() < bufferSize) {
    buffer.insert(buffer.end(), bytes.begin(), bytes.end());
    return {};
  }
  return writeThrough(bytes);
}

Status AtomicFile::write(std::string_view text) {
  return write(std::as_bytes(std::span(text)));
}

Status AtomicFile::writeThrough(std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    ssize_t written = ::write(descriptor, bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR)
      continue;
    if (written < 0)
      return failure("write");
    bytes = bytes.subspan(size_t(written));
  }
  return {};
}

Status AtomicFile::flush() {
  Status status = writeThrough(buffer);
  buffer.clear();
  return status;
}

Status AtomicFile::commit() {
  if (Status status = flush(); !status.ok())
    return status;
  if (temporary.empty()) { // written directly; pipes have nothing to sync
    if (::close(std::exchange(descriptor, -1)) != 0)
      return failure("close");
    return {};
  }
  if (::fsync(descriptor) != 0)
    return failure("write");
  if (::close(std::exchange(descriptor, -1)) != 0)
    return failure("close");
  if (::rename(temporary.c_str(), resolved.c_str()) != 0)
    return failure("replace");
  temporary.clear();
  // The new name is durable once its directory is; a file system that cannot
  // sync directories has still renamed.
  int directory = ::open(directoryOf(resolved).c_str(), O_RDONLY | O_CLOEXEC);
  if (directory >= 0) {
    ::fsync(directory);
    ::close(directory);
  }
  return {};
}

Status writeFile(const std::string &path, std::string_view text) {
  auto file = AtomicFile::create(path);
  if (!file)
    return file.status();
  if (Status status = file->write(text); !status.ok())
    return status;
  return file->commit();
}

} // namespace coppice::rt
