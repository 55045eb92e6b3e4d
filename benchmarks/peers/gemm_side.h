// What ours and the peers have in common: a library that can set up a product,
// and the product, ready to be run on any of several copies of its weight.
#ifndef COPPICE_BENCHMARKS_PEERS_GEMM_SIDE_H
#define COPPICE_BENCHMARKS_PEERS_GEMM_SIDE_H

#include "runtime/base/dtype.h"
#include "runtime/base/status.h"

#include <cstddef>
#include <memory>
#include <span>
#include <string>

namespace coppice::bench {

using rt::DType;
using rt::Result;
using rt::Status;

/// C[m,n] = sum_k A[m,k] W[n,k]: A and W of `dtype`, row-major, sums and C f32.
struct Problem {
  DType dtype;
  int64_t m, n, k;
  const std::byte *input, *weight;
  /// Every side holds this many copies of its packed weight.
  int copies;
  int threads;

  int64_t inputElements() const { return m * k; }
  int64_t weightElements() const { return n * k; }
  double flops() const { return 2.0 * double(m) * double(n) * double(k); }
};

/// A product with its weights packed and its memory set aside.
class Gemm {
public:
  virtual ~Gemm() = default;
  /// C = A W^T with copy `copy` of the weight.
  virtual Status run(int copy) = 0;
  virtual std::span<const float> output() const = 0;
  /// Which kernel was chosen, in the library's own words.
  virtual std::string detail() const = 0;
};

class GemmLibrary {
public:
  virtual ~GemmLibrary() = default;
  virtual std::string name() const = 0;
  virtual std::string version() const = 0;
  /// Fails with COPPICE_UNSUPPORTED for a dtype that the library has no product
  /// of.
  virtual Result<std::unique_ptr<Gemm>> prepare(const Problem &problem) = 0;
};

} // namespace coppice::bench

#endif
