// See our_gemm.h.
#include "benchmarks/peers/our_gemm.h"

#include "benchmarks/peers/compiled_gemm.h"
#include "runtime/base/aligned_memory.h"
#include "runtime/cpu/thread_pool.h"

#include <cstring>
#include <map>
#include <tuple>

namespace coppice::bench {

using rt::AlignedMemory;

namespace {

class OurGemm : public Gemm {
public:
  OurGemm(const CompiledGemm &kernel, rt::ThreadPool &pool, int64_t m,
          int64_t n)
      : kernel(kernel), pool(pool), variant(kernel.variantFor(m)), m(m), n(n) {}

  Status prepare(const Problem &problem);

  Status run(int copy) override {
    void *args[] = {input.data(), weights[size_t(copy)].data(), result.data(),
                    workspace.data()};
    int64_t symbols[] = {m, m, 1, 1, 1, 1};
    for (const CompiledGemm::Stage &stage : variant.stages)
      pool.parallelFor(stage.items, [&](int64_t begin, int64_t end) {
        stage.kernel(args, symbols, begin, end);
      });
    return {};
  }
  std::span<const float> output() const override {
    return {reinterpret_cast<const float *>(result.data()), size_t(m * n)};
  }
  std::string detail() const override { return variant.config; }

private:
  const CompiledGemm &kernel;
  rt::ThreadPool &pool;
  CompiledGemm::Variant variant;
  int64_t m, n;
  AlignedMemory input, result, workspace;
  std::vector<AlignedMemory> weights;
};

Status OurGemm::prepare(const Problem &p) {
  int64_t dims[] = {p.n, p.k};
  Result<rt::PackedLayout> layout =
      rt::PackedLayout::make(dims, {}, kernel.packing());
  if (!layout)
    return layout.status();
  int64_t bytes = layout->packedElements() * rt::sizeOf(p.dtype);
  for (int copy = 0; copy < p.copies; ++copy) {
    Result<AlignedMemory> memory = AlignedMemory::allocate(bytes);
    if (!memory)
      return memory.status();
    weights.push_back(*std::move(memory));
    if (copy == 0)
      pool.parallelFor(layout->rowCount(), [&](int64_t begin, int64_t end) {
        layout->packRows(p.weight, rt::sizeOf(p.dtype), weights[0].data(),
                         begin, end);
      });
    else
      std::memcpy(weights.back().data(), weights[0].data(), size_t(bytes));
  }

  DType narrow = p.dtype, wide = kernel.inputType();
  Result<AlignedMemory> in =
      AlignedMemory::allocate(p.inputElements() * rt::sizeOf(wide));
  Result<AlignedMemory> out = AlignedMemory::allocate(4 * m * n);
  Result<AlignedMemory> more = AlignedMemory::allocate(variant.workspaceBytes);
  for (const auto *memory : {&in, &out, &more})
    if (!*memory)
      return memory->status();
  input = *std::move(in);
  result = *std::move(out);
  workspace = *std::move(more);
  if (narrow == wide)
    std::memcpy(input.data(), p.input, size_t(input.size()));
  else
    rt::convertToF32(narrow, p.input, reinterpret_cast<float *>(input.data()),
                     p.inputElements());
  return {};
}

class OurKernels : public GemmLibrary {
public:
  explicit OurKernels(std::string isa) : isa(std::move(isa)) {}

  std::string name() const override { return "coppice"; }
  std::string version() const override { return coppice_version(); }

  Result<std::unique_ptr<Gemm>> prepare(const Problem &p) override {
    auto &kernel = kernels[{p.dtype, p.n, p.k}];
    if (!kernel) {
      Result<std::string> name = isaFor(isa, p.dtype);
      if (!name)
        return name.status();
      auto compiled = CompiledGemm::compile({p.dtype, p.n, p.k, *name});
      if (!compiled)
        return compiled.status();
      kernel = *std::move(compiled);
    }
    auto &pool = pools[p.threads];
    if (!pool)
      pool = std::make_unique<rt::ThreadPool>(p.threads);
    auto gemm = std::make_unique<OurGemm>(*kernel, *pool, p.m, p.n);
    if (Status status = gemm->prepare(p); !status.ok())
      return status;
    return std::unique_ptr<Gemm>(std::move(gemm));
  }

private:
  std::string isa;
  std::map<std::tuple<DType, int64_t, int64_t>, std::unique_ptr<CompiledGemm>>
      kernels;
  std::map<int, std::unique_ptr<rt::ThreadPool>> pools;
};

} // namespace

std::unique_ptr<GemmLibrary> ourKernels(const std::string &isa) {
  return std::make_unique<OurKernels>(isa);
}

} // namespace coppice::bench
