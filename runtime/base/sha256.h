// SHA-256 of memory and files, as lower-case hexadecimal text.
#ifndef COPPICE_RUNTIME_BASE_SHA256_H
#define COPPICE_RUNTIME_BASE_SHA256_H

#include "runtime/base/status.h"

#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <string_view>

namespace coppice::rt {

class Sha256 {
public:
  Sha256();
  ~Sha256();
  Sha256(Sha256 &&) noexcept;
  Sha256 &operator=(Sha256 &&) noexcept;

  void update(std::span<const std::byte> bytes);
  void update(std::string_view text);
  // 64 hexadecimal digits; the object is spent after it.
  std::string finish();

private:
  struct State;
  std::unique_ptr<State> state;
};

std::string sha256(std::span<const std::byte> bytes);
std::string sha256(std::string_view text);
Result<std::string> sha256OfFile(const std::string &path);

} // namespace coppice::rt

#endif
