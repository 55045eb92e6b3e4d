//===- GemmCandidates.cpp - ways to block a matrix product ----------------===//
//
// The cost model behind the first candidate of each bucket:
//
// - A tile of 6 x 64 sums needs 4 loads of W and 6 of A for 24 products, so
//   that loads keep up. A smaller tile does not.
// - The part of a panel that all tiles of an item share has 256 KiB: it stays
//   in L2 together with the next one. Sums are then stored seldom, and A is
//   read in runs of a page.
// - Few rows (one tile): memory is what counts, and one stream of weights with
//   the CPU's own prefetching reaches its bandwidth; more prefetching costs.
// - A few tiles: products take as long as the memory, so both must go on at the
//   same time. The first tile has the CPU wait, so the next part is prefetched
//   while this one is used. Parts are smaller, since the first of a thread's
//   items has no one who prefetches it.
// - N:M weights: two lookups and two products instead of four products pay with
//   few rows, for less is read, and with many, unless the CPU has dot products,
//   which are faster still: then weights are made dense in the cache.
// - Many rows: the same prefetching takes the wait out of the first of many
//   tiles.
//
//===----------------------------------------------------------------------===//

#include "coppice/Codegen/CPU/GemmCandidates.h"

namespace coppice {

static constexpr int64_t kTileRows = 6;

llvm::ArrayRef<RowBucket> gemmRowBuckets() {
  static const RowBucket buckets[] = {
      {1, kTileRows},
      {kTileRows + 1, 4 * kTileRows},
      {4 * kTileRows + 1, std::numeric_limits<int64_t>::max()}};
  return buckets;
}

llvm::SmallVector<GemmConfig> gemmCandidates(const GemmClass &gemm,
                                             const RowBucket &bucket) {
  GemmConfig config;
  config.panel = gemm.panel();
  config.width = gemm.panel();
  config.height = kTileRows;
  config.least = bucket.least;
  config.depth = 4096 / gemm.inputBytes;
  llvm::SmallVector<GemmConfig> candidates;
  auto vary = [&](auto change) {
    candidates.push_back(config);
    change(candidates.back());
  };
  if (bucket.most <= kTileRows) {
    config.rows = kTileRows;
    vary([](GemmConfig &) {});
    vary([](GemmConfig &c) { c.ahead = 1; });
    vary([](GemmConfig &c) { c.panels = 2; });
    vary([](GemmConfig &c) { c.depth *= 2; });
    return candidates;
  }
  if (bucket.most <= 4 * kTileRows) {
    config.rows = bucket.most;
    config.depth /= 4;
    config.ahead = 2;
    vary([](GemmConfig &) {});
    vary([](GemmConfig &c) { c.depth *= 2; });
    vary([](GemmConfig &c) { c.depth /= 2; });
    vary([](GemmConfig &c) { c.ahead = 4; });
    return candidates;
  }
  config.ahead = 1;
  config.expand = gemm.of ? 2 : 0;
  config.unroll = gemm.weightBytes == 4 ? 4 : 2;
  vary([](GemmConfig &) {});
  vary([](GemmConfig &c) { c.rows = 256; });
  // 256-bit vectors, with caches that hold less of W, sums and A at a time.
  vary([](GemmConfig &c) {
    c.rows = 128;
    c.depth /= 2;
  });
  vary([](GemmConfig &c) { c.rows = 1024; });
  vary([](GemmConfig &c) { c.depth *= 2; });
  vary([](GemmConfig &c) {
    c.panels = 4;
    c.depth /= 4;
  });
  return candidates;
}

} // namespace coppice
