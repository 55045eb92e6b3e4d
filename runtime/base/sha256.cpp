#include "runtime/base/sha256.h"

#include "runtime/base/mapped_file.h"

#include <algorithm>
#include <cstdlib>
#include <openssl/evp.h>
#include <utility>

namespace coppice::rt {

struct Sha256::State {
  EVP_MD_CTX *context = EVP_MD_CTX_new();
  ~State() { EVP_MD_CTX_free(context); }
};

// libcrypto's digest calls fail only when memory runs out or the library has
// been built without SHA-256; neither can be reported as a wrong hash.
static void require(bool success) {
  if (!success)
    std::abort();
}

Sha256::Sha256() : state(std::make_unique<State>()) {
  require(state->context &&
          EVP_DigestInit_ex(state->context, EVP_sha256(), nullptr));
}
Sha256::~Sha256() = default;
Sha256::Sha256(Sha256 &&) noexcept = default;
Sha256 &Sha256::operator=(Sha256 &&) noexcept = default;

void Sha256::update(std::span<const std::byte> bytes) {
  require(EVP_DigestUpdate(state->context, bytes.data(), bytes.size()));
}

void Sha256::update(std::string_view text) {
  update(std::as_bytes(std::span(text)));
}

std::string Sha256::finish() {
  unsigned char digest[EVP_MAX_MD_SIZE];
  unsigned length = 0;
  require(EVP_DigestFinal_ex(state->context, digest, &length));
  constexpr char digits[] = "0123456789abcdef";
  std::string text;
  for (unsigned i = 0; i < length; ++i) {
    text += digits[digest[i] >> 4];
    text += digits[digest[i] & 15];
  }
  return text;
}

void PieceHasher::endPiece() {
  hashes.sha256.push_back(std::exchange(current, Sha256()).finish());
  filled = 0;
}

void PieceHasher::update(std::span<const std::byte> bytes) {
  if (filled > 0) { // complete what an earlier call began
    size_t count = std::min(bytes.size(), size_t(hashes.bytes - filled));
    current.update(bytes.first(count));
    filled += int64_t(count);
    bytes = bytes.subspan(count);
    if (filled < hashes.bytes)
      return;
    endPiece();
  }
  size_t pieceBytes = size_t(hashes.bytes), whole = bytes.size() / pieceBytes,
         known = hashes.sha256.size();
  hashes.sha256.resize(known + whole);
  if (whole > 0)
    parallel(int64_t(whole), [&](int64_t i) {
      hashes.sha256[known + size_t(i)] =
          sha256(bytes.subspan(size_t(i) * pieceBytes, pieceBytes));
    });
  bytes = bytes.subspan(whole * pieceBytes);
  current.update(bytes);
  filled = int64_t(bytes.size());
}

PieceHashes PieceHasher::finish() {
  if (filled > 0)
    endPiece();
  return std::move(hashes);
}

std::string sha256(std::span<const std::byte> bytes) {
  Sha256 hash;
  hash.update(bytes);
  return hash.finish();
}

std::string sha256(std::string_view text) {
  return sha256(std::as_bytes(std::span(text)));
}

Result<std::string> sha256OfFile(const std::string &path) {
  auto file = MappedFile::open(path);
  if (!file)
    return file.status();
  return sha256(file->bytes());
}

} // namespace coppice::rt
