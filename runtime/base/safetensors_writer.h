// Writes a safetensors file, streaming: declare all tensors, then give their
// bytes in that order, then commit. The file appears whole or not at all.
//
//   SafetensorsWriter writer(64);
//   writer.declare("a", DType::F32, {3, 5});
//   writer.begin(path);   // writes the header
//   writer.write(bytes);  // any number of pieces, 60 bytes in all
//   writer.commit();
//
// With an alignment above 1 each tensor starts at such a multiple from the
// start of the file. The format allows no holes, so that the gap is a tensor of
// its own: dtype U8, name "__pad.N". Readers that list tensors skip that
// prefix.
#ifndef COPPICE_RUNTIME_BASE_SAFETENSORS_WRITER_H
#define COPPICE_RUNTIME_BASE_SAFETENSORS_WRITER_H

#include "runtime/base/atomic_file.h"
#include "runtime/base/dtype.h"
#include "runtime/base/sha256.h"
#include "runtime/base/status.h"

#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace coppice::rt {

class SafetensorsWriter {
public:
  static constexpr std::string_view paddingPrefix = "__pad.";

  // `alignment`: a power of two, at least 1.
  explicit SafetensorsWriter(int64_t alignment = 1) : alignment(alignment) {}

  Status declare(const std::string &name, DType dtype,
                 std::span<const int64_t> shape);
  void setMetadata(const std::string &key, const std::string &value) {
    metadata[key] = value;
  }

  // Hash the file in pieces instead of as a whole; before begin().
  void hashPieces(int64_t pieceBytes, PieceHasher::Parallel parallel) {
    pieces.emplace(pieceBytes, std::move(parallel));
  }

  Status begin(const std::string &path);
  // The next bytes of the tensors' data, padding not included.
  Status write(std::span<const std::byte> bytes);
  // Ends the data: sha256() or pieceHashes() is known, the file still has its
  // temporary name. For writers of two files that must appear together;
  // commit() calls it.
  Status finish();
  Status commit();

  // Of the finished file.
  const std::string &sha256() const { return digest; }
  const PieceHashes &pieceHashes() const { return pieceDigests; }
  int64_t fileBytes() const { return written; }

private:
  struct Entry {
    std::string name;
    DType dtype;
    std::vector<int64_t> shape;
    int64_t bytes;
    bool padding;
  };
  std::string headerText() const;
  Status emit(std::span<const std::byte> bytes);
  Status emitPadding();

  int64_t alignment;
  std::vector<Entry> entries;
  int64_t dataBytes = 0;
  std::map<std::string, std::string> metadata;

  std::optional<AtomicFile> file;
  Sha256 hash;
  std::string digest;
  std::optional<PieceHasher> pieces; // in place of `hash`
  PieceHashes pieceDigests;
  bool finished = false;
  int64_t written = 0;
  size_t current = 0; // entry that the next byte belongs to
  int64_t writtenToCurrent = 0;
};

} // namespace coppice::rt

#endif
