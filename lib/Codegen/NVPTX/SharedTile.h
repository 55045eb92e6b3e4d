//===- SharedTile.h - a piece of a matrix in shared memory ------*- C++ -*-===//
//
// Rows of 16-byte chunks without gaps, each row's chunks in an order of its
// own (an exclusive or with the row's number): eight rows whose chunk of one
// number is read at once, as `ldmatrix` does, lie in eight different groups of
// banks, and so do eight chunks that follow one another in a row.
//
//===----------------------------------------------------------------------===//

#ifndef COPPICE_LIB_CODEGEN_NVPTX_SHAREDTILE_H
#define COPPICE_LIB_CODEGEN_NVPTX_SHAREDTILE_H

#include <algorithm>
#include <cstdint>

namespace coppice::nvptx {

/// A tile of elements of 16 bits.
struct SharedTile {
  static constexpr int64_t kChunk = 16;       // bytes
  static constexpr int64_t kChunkColumns = 8; // of a chunk
  static constexpr int64_t kBanks = 128;      // bytes of all banks, once

  int64_t rows, depth; // depth: a power of two, 16 or more

  int64_t rowBytes() const { return depth * 2; }
  int64_t bytes() const { return rows * rowBytes(); }
  int64_t chunks() const { return rowBytes() / kChunk; }
  /// A row's number, by so much, is what its chunks are exchanged by ..
  int64_t swizzleDivisor() const {
    return std::max<int64_t>(1, kBanks / rowBytes());
  }
  /// .. modulo this. The order repeats every eight rows.
  int64_t swizzleModulus() const { return std::min(kBanks / kChunk, chunks()); }
};

} // namespace coppice::nvptx

#endif // COPPICE_LIB_CODEGEN_NVPTX_SHAREDTILE_H
