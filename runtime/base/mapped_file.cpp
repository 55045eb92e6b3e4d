#include "runtime/base/mapped_file.h"

#include "runtime/base/concat.h"

#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

namespace coppice::rt {

static Status failure(const char *what, const std::string &path) {
  return ioError(
      concat("cannot ", what, " '", path, "': ", std::strerror(errno)));
}

Result<MappedFile> MappedFile::open(const std::string &path, bool followLinks) {
  // O_NONBLOCK: opening a FIFO must not hang before it is refused below.
  int flags = O_RDONLY | O_CLOEXEC | O_NONBLOCK;
  if (!followLinks)
    flags |= O_NOFOLLOW;
  int descriptor = ::open(path.c_str(), flags);
  if (descriptor < 0) {
    if (!followLinks && errno == ELOOP)
      return invalidFile(
          concat("expected a regular file, found a symbolic link: ", path));
    return failure("open", path);
  }
  struct stat info;
  if (::fstat(descriptor, &info) != 0) {
    Status status = failure("stat", path);
    ::close(descriptor);
    return status;
  }
  if (!S_ISREG(info.st_mode)) {
    ::close(descriptor);
    return invalidFile(concat("expected a regular file, found a ",
                              S_ISDIR(info.st_mode) ? "directory" : "device",
                              ": ", path));
  }
  MappedFile file;
  file.size = size_t(info.st_size);
  if (file.size > 0) {
    void *address =
        ::mmap(nullptr, file.size, PROT_READ, MAP_PRIVATE, descriptor, 0);
    if (address == MAP_FAILED) {
      Status status = failure("map", path);
      ::close(descriptor);
      file.size = 0;
      return status;
    }
    file.data = static_cast<const std::byte *>(address);
  }
  ::close(descriptor);
  return file;
}

MappedFile::MappedFile(MappedFile &&other) noexcept
    : data(std::exchange(other.data, nullptr)),
      size(std::exchange(other.size, 0)) {}

MappedFile &MappedFile::operator=(MappedFile &&other) noexcept {
  std::swap(data, other.data);
  std::swap(size, other.size);
  return *this;
}

MappedFile::~MappedFile() {
  if (data)
    ::munmap(const_cast<std::byte *>(data), size);
}

} // namespace coppice::rt
