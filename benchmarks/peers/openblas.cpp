// See openblas.h.
#include "benchmarks/peers/openblas.h"

#include "benchmarks/peers/shared_library.h"
#include "runtime/base/aligned_memory.h"
#include "runtime/base/concat.h"
#include "runtime/cpu/cpu_features.h"

#include <chrono>
#include <cstdlib>
#include <cstring>
#include <vector>

namespace coppice::bench {

using rt::AlignedMemory;

namespace {

constexpr int rowMajor = 101, noTranspose = 111, transpose = 112;

struct Functions {
  void (*setThreads)(int);
  char *(*config)();
  char *(*coreName)();
  void (*sgemm)(int order, int transA, int transB, int m, int n, int k,
                float alpha, const float *a, int lda, const float *b, int ldb,
                float beta, float *c, int ldc);
  void (*sgemv)(int order, int trans, int rows, int columns, float alpha,
                const float *matrix, int ld, const float *x, int incX,
                float beta, float *y, int incY);
};

class OpenBLASGemm : public Gemm {
public:
  OpenBLASGemm(const Functions &f, const Problem &problem)
      : f(f), m(problem.m), n(problem.n), k(problem.k) {}

  /// `asStored`: the weight stays [n, k]; else it is turned into [k, n].
  Status prepare(const Problem &problem, bool asStored);

  Status run(int copy) override {
    const float *w = floats(weights[size_t(copy)]);
    // One row: C = W a, W being [n, k] as stored or the transpose of [k, n].
    if (m == 1 && asStored)
      f.sgemv(rowMajor, noTranspose, int(n), int(k), 1, w, int(k),
              floats(input), 1, 0, floats(result), 1);
    else if (m == 1)
      f.sgemv(rowMajor, transpose, int(k), int(n), 1, w, int(n), floats(input),
              1, 0, floats(result), 1);
    else
      f.sgemm(rowMajor, noTranspose, asStored ? transpose : noTranspose, int(m),
              int(n), int(k), 1, floats(input), int(k), w,
              int(asStored ? k : n), 0, floats(result), int(n));
    return {};
  }
  std::span<const float> output() const override {
    return {floats(result), size_t(m * n)};
  }
  std::string detail() const override {
    return std::string(m == 1 ? "sgemv" : "sgemm") +
           (asStored ? ", weight [n, k]" : ", weight [k, n]");
  }

private:
  static float *floats(const AlignedMemory &memory) {
    return reinterpret_cast<float *>(memory.data());
  }

  const Functions &f;
  int64_t m, n, k;
  bool asStored = true;
  AlignedMemory input, result;
  std::vector<AlignedMemory> weights;
};

Status OpenBLASGemm::prepare(const Problem &problem, bool stored) {
  asStored = stored;
  auto allocate = [](AlignedMemory &memory, int64_t elements) -> Status {
    Result<AlignedMemory> made = AlignedMemory::allocate(4 * elements);
    if (!made)
      return made.status();
    memory = *std::move(made);
    return {};
  };
  weights.resize(size_t(problem.copies));
  Status status = allocate(input, m * k);
  if (status.ok())
    status = allocate(result, m * n);
  for (AlignedMemory &copy : weights)
    if (status.ok())
      status = allocate(copy, n * k);
  if (!status.ok())
    return status;
  std::memcpy(input.data(), problem.input, size_t(4 * m * k));
  float *first = floats(weights[0]);
  const auto *from = reinterpret_cast<const float *>(problem.weight);
  if (asStored)
    std::memcpy(first, from, size_t(4 * n * k));
  else
    for (int64_t block = 0; block < n; block += 16) // a cache line of rows
      for (int64_t j = 0; j < k; ++j)
        for (int64_t i = block; i < std::min(n, block + 16); ++i)
          first[j * n + i] = from[i * k + j];
  for (size_t copy = 1; copy < weights.size(); ++copy)
    std::memcpy(weights[copy].data(), first, size_t(4 * n * k));
  return {};
}

class OpenBLAS : public GemmLibrary {
public:
  OpenBLAS(const SharedLibrary &library, const Functions &functions)
      : library(library), f(functions) {}

  std::string name() const override { return "OpenBLAS"; }
  std::string version() const override {
    // "OpenBLAS 0.3.21 NO_LAPACKE DYNAMIC_ARCH ..."
    std::string config = f.config();
    size_t begin = config.find(' ') + 1;
    return config.substr(begin, config.find(' ', begin) - begin) + " " +
           f.coreName();
  }

  Result<std::unique_ptr<Gemm>> prepare(const Problem &problem) override {
    if (problem.dtype != DType::F32)
      return rt::unsupported("OpenBLAS: expected f32");
    f.setThreads(problem.threads);
    std::unique_ptr<OpenBLASGemm> best;
    double bestSeconds = 0;
    for (bool asStored : {true, false}) {
      auto gemm = std::make_unique<OpenBLASGemm>(f, problem);
      if (Status status = gemm->prepare(problem, asStored); !status.ok())
        return status;
      double least = 1e30;
      for (int i = 0; i < 3; ++i) {
        auto begin = std::chrono::steady_clock::now();
        (void)gemm->run(i % problem.copies);
        std::chrono::duration<double> time =
            std::chrono::steady_clock::now() - begin;
        least = std::min(least, time.count());
      }
      if (!best || least < bestSeconds) {
        best = std::move(gemm);
        bestSeconds = least;
      }
    }
    return std::unique_ptr<Gemm>(std::move(best));
  }

private:
  SharedLibrary library;
  Functions f;
};

} // namespace

Result<std::unique_ptr<GemmLibrary>> loadOpenBLAS(const std::string &path) {
  if (rt::hasCpuFeature("avx512f"))
    setenv("OPENBLAS_CORETYPE", "SkylakeX", /*overwrite=*/0);
  // 2^20 clock ticks, so that its threads sleep before another side's turn.
  setenv("OPENBLAS_THREAD_TIMEOUT", "20", /*overwrite=*/0);
  Result<SharedLibrary> library = SharedLibrary::load(path);
  if (!library)
    return library.status();
  Functions f{};
  const char *missing = nullptr;
  // The wheels of scipy-openblas32 prefix all names.
  auto need = [&](const char *name, auto *&function) {
    if (!library->find(name, function) &&
        !library->find((std::string("scipy_") + name).c_str(), function))
      missing = name;
  };
  need("openblas_set_num_threads", f.setThreads);
  need("openblas_get_config", f.config);
  need("openblas_get_corename", f.coreName);
  need("cblas_sgemm", f.sgemm);
  need("cblas_sgemv", f.sgemv);
  if (missing)
    return rt::unsupported(rt::concat("expected OpenBLAS, found no '", missing,
                                      "' in '", library->path(), "'"));
  return std::unique_ptr<GemmLibrary>(std::make_unique<OpenBLAS>(*library, f));
}

} // namespace coppice::bench
