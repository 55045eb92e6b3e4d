// SHA-256 of memory and files, as lower-case hexadecimal text.
#ifndef COPPICE_RUNTIME_BASE_SHA256_H
#define COPPICE_RUNTIME_BASE_SHA256_H

#include "runtime/base/status.h"

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

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

// Hashes of the pieces of a file, each of `bytes` bytes, the last of what is
// left: what one hash over all says too, but many threads can check it.
struct PieceHashes {
  int64_t bytes = 0;
  std::vector<std::string> sha256;
};

// Makes them of a stream. Whole pieces in one call of update() are handed to
// `parallel`, which calls its function for each index below a count.
class PieceHasher {
public:
  using Parallel =
      std::function<void(int64_t count, const std::function<void(int64_t)> &)>;

  PieceHasher(int64_t pieceBytes, Parallel parallel)
      : parallel(std::move(parallel)) {
    hashes.bytes = pieceBytes;
  }

  void update(std::span<const std::byte> bytes);
  PieceHashes finish();

private:
  void endPiece();

  Parallel parallel;
  PieceHashes hashes;
  Sha256 current;
  int64_t filled = 0; // of the current piece
};

} // namespace coppice::rt

#endif
