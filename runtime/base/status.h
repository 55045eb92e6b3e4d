// Status and Result<T>: how the runtime's C++ interfaces report failure.
//
// No interface of the runtime throws. A function that can fail returns Status,
// or Result<T> where it has a value to give. Codes are those of the C ABI; the
// message says what was expected, what was found and where, in lower case and
// without a full stop, so that callers can put "coppice: error: " in front.
#ifndef COPPICE_RUNTIME_BASE_STATUS_H
#define COPPICE_RUNTIME_BASE_STATUS_H

#include "coppice/runtime.h"

#include <cassert>
#include <optional>
#include <string>
#include <utility>

namespace coppice::rt {

class [[nodiscard]] Status {
public:
  Status() = default; // success
  Status(coppice_status code, std::string message)
      : errorCode(code), text(std::move(message)) {}

  bool ok() const { return errorCode == COPPICE_OK; }
  coppice_status code() const { return errorCode; }
  const std::string &message() const { return text; }

  // The same failure with "where: " in front of its message.
  Status at(const std::string &where) const {
    return ok() ? *this : Status(errorCode, where + ": " + text);
  }

private:
  coppice_status errorCode = COPPICE_OK;
  std::string text;
};

inline Status invalidArgument(std::string message) {
  return {COPPICE_INVALID_ARGUMENT, std::move(message)};
}
inline Status invalidFile(std::string message) {
  return {COPPICE_INVALID_FILE, std::move(message)};
}
inline Status ioError(std::string message) {
  return {COPPICE_IO_ERROR, std::move(message)};
}
inline Status unsupported(std::string message) {
  return {COPPICE_UNSUPPORTED, std::move(message)};
}
inline Status outOfMemory(std::string message) {
  return {COPPICE_OUT_OF_MEMORY, std::move(message)};
}
inline Status internalError(std::string message) {
  return {COPPICE_INTERNAL, std::move(message)};
}

// A value or the failure that stands in its place. Ask ok() (or test in an if)
// before taking the value.
template <typename T> class [[nodiscard]] Result {
public:
  Result(T value) : held(std::move(value)) {}
  Result(Status failure) : failed(std::move(failure)) {
    assert(!failed.ok() && "a Result without a value needs a failure");
  }

  bool ok() const { return held.has_value(); }
  explicit operator bool() const { return ok(); }
  const Status &status() const { return failed; }

  T &operator*() & { return *held; }
  const T &operator*() const & { return *held; }
  T &&operator*() && { return *std::move(held); }
  T *operator->() { return &*held; }
  const T *operator->() const { return &*held; }

private:
  std::optional<T> held;
  Status failed;
};

} // namespace coppice::rt

#endif
