// See onednn.h.
#include "benchmarks/peers/onednn.h"

#include "benchmarks/peers/shared_library.h"
#include "runtime/base/aligned_memory.h"
#include "runtime/base/concat.h"
#include "runtime/cpu/thread_count.h"

#include <cstring>
#include <vector>

namespace coppice::bench {

using rt::concat;

namespace {

// The part of oneDNN's C interface that is used. A memory descriptor is a
// structure of the caller's in version 2 and a handle in version 3; either way
// functions take a pointer to it, and only its making differs.
using Handle = void *;
using Descriptor = const void *;
struct ExecArg {
  int arg;
  Handle memory;
};
struct Version {
  int major, minor, patch;
};
constexpr int maxDims = 12, anyFormat = 1, cpuEngine = 1, inOrder = 1;
constexpr int argSource = 1, argDestination = 17, argWeights = 33,
              argScratchpad = 80;
constexpr int queryImplementation = 8, queryWeights = 131,
              queryScratchpad = 136;
constexpr int userScratchpad = 1;

using Dims = int64_t[maxDims];

struct Functions {
  const Version *(*version)();
  int (*engineCreate)(Handle *, int, size_t);
  int (*streamCreate)(Handle *, Handle, unsigned);
  int (*streamWait)(Handle);
  int (*attrCreate)(Handle *);
  int (*attrSetScratchpad)(Handle, int);
  int (*memoryCreate)(Handle *, Descriptor, Handle engine, Handle data);
  int (*memoryGetData)(Handle, void **);
  int (*memoryDestroy)(Handle);
  Descriptor (*queryDescriptor)(Handle, int, int);
  int (*query)(Handle, int, int, void *);
  int (*primitiveDescDestroy)(Handle);
  int (*primitiveCreate)(Handle *, Handle);
  int (*primitiveExecute)(Handle, Handle stream, int, const ExecArg *);
  int (*primitiveDestroy)(Handle);
  int (*reorderCreate)(Handle *, Descriptor, Handle, Descriptor, Handle,
                       Handle);
  size_t (*descriptorSize)(Descriptor);

  // Version 2.
  int (*initByStrides)(void *, int, const Dims, int, const Dims);
  int (*initByTag)(void *, int, const Dims, int, int);
  int (*matmulInit)(void *, Descriptor, Descriptor, Descriptor, Descriptor);
  int (*primitiveDescCreate)(Handle *, const void *, Handle, Handle, Handle);
  // Version 3.
  int (*createWithStrides)(Handle *, int, const Dims, int, const Dims);
  int (*createWithTag)(Handle *, int, const Dims, int, int);
  int (*matmulCreate)(Handle *, Handle, Descriptor, Descriptor, Descriptor,
                      Descriptor, Handle);
  int (*descriptorDestroy)(Handle);

  // Of OpenMP. One that is built on SYCL and TBB lacks it and takes all CPUs of
  // the process: `taskset` decides.
  void (*setThreads)(int) = nullptr;
};

/// The name of a function that is missing; null if all are there.
const char *findAll(const SharedLibrary &library, Functions &f) {
  const char *missing = nullptr;
  auto need = [&](const char *name, auto *&function) {
    if (!library.find(name, function))
      missing = name;
  };
  need("dnnl_version", f.version);
  if (missing)
    return missing;
  need("dnnl_engine_create", f.engineCreate);
  need("dnnl_stream_create", f.streamCreate);
  need("dnnl_stream_wait", f.streamWait);
  need("dnnl_primitive_attr_create", f.attrCreate);
  need("dnnl_primitive_attr_set_scratchpad_mode", f.attrSetScratchpad);
  need("dnnl_memory_create", f.memoryCreate);
  need("dnnl_memory_get_data_handle", f.memoryGetData);
  need("dnnl_memory_destroy", f.memoryDestroy);
  need("dnnl_primitive_desc_query_md", f.queryDescriptor);
  need("dnnl_primitive_desc_query", f.query);
  need("dnnl_primitive_desc_destroy", f.primitiveDescDestroy);
  need("dnnl_primitive_create", f.primitiveCreate);
  need("dnnl_primitive_execute", f.primitiveExecute);
  need("dnnl_primitive_destroy", f.primitiveDestroy);
  need("dnnl_reorder_primitive_desc_create", f.reorderCreate);
  need("dnnl_memory_desc_get_size", f.descriptorSize);
  if (f.version()->major == 2) {
    need("dnnl_memory_desc_init_by_strides", f.initByStrides);
    need("dnnl_memory_desc_init_by_tag", f.initByTag);
    need("dnnl_matmul_desc_init", f.matmulInit);
    need("dnnl_primitive_desc_create", f.primitiveDescCreate);
  } else {
    need("dnnl_memory_desc_create_with_strides", f.createWithStrides);
    need("dnnl_memory_desc_create_with_tag", f.createWithTag);
    need("dnnl_matmul_primitive_desc_create", f.matmulCreate);
    need("dnnl_memory_desc_destroy", f.descriptorDestroy);
  }
  library.find("omp_set_num_threads", f.setThreads);
  return missing;
}

Status check(int status, const char *what) {
  if (status == 0)
    return {};
  constexpr int unimplemented = 3;
  std::string text = concat("oneDNN: ", what, " failed with status ", status);
  return status == unimplemented ? rt::unsupported(text)
                                 : rt::internalError(text);
}

int typeOf(DType dtype) { return dtype == DType::BF16 ? 2 : 3; }

/// A matrix's descriptor, of either version.
class Matrix {
public:
  Matrix(const Functions &f) : f(f) {}
  Matrix(const Matrix &) = delete;
  ~Matrix() {
    if (handle)
      f.descriptorDestroy(handle);
  }

  Status strided(int64_t rows, int64_t columns, DType dtype, int64_t rowStride,
                 int64_t columnStride) {
    Dims dims{rows, columns}, strides{rowStride, columnStride};
    return check(
        f.initByStrides
            ? f.initByStrides(storage, 2, dims, typeOf(dtype), strides)
            : f.createWithStrides(&handle, 2, dims, typeOf(dtype), strides),
        "making a memory descriptor");
  }
  Status any(int64_t rows, int64_t columns, DType dtype) {
    Dims dims{rows, columns};
    return check(
        f.initByTag
            ? f.initByTag(storage, 2, dims, typeOf(dtype), anyFormat)
            : f.createWithTag(&handle, 2, dims, typeOf(dtype), anyFormat),
        "making a memory descriptor");
  }
  Descriptor get() const { return handle ? handle : storage; }

private:
  const Functions &f;
  Handle handle = nullptr;
  // Of version 2; its structure has 696 bytes.
  alignas(16) std::byte storage[1024] = {};
};

class OneDNNGemm : public Gemm {
public:
  OneDNNGemm(const Functions &f, Handle engine, Handle stream)
      : f(f), engine(engine), stream(stream) {}
  ~OneDNNGemm() override {
    if (primitive)
      f.primitiveDestroy(primitive);
    if (primitiveDesc)
      f.primitiveDescDestroy(primitiveDesc);
    for (Handle memory : memories)
      f.memoryDestroy(memory);
  }

  Status prepare(const Problem &problem);

  Status run(int copy) override {
    ExecArg args[] = {{argSource, source},
                      {argWeights, weights[size_t(copy)]},
                      {argDestination, destination},
                      {argScratchpad, scratchpad}};
    if (Status status = check(f.primitiveExecute(primitive, stream, 4, args),
                              "running a matmul");
        !status.ok())
      return status;
    return check(f.streamWait(stream), "waiting for a matmul");
  }
  std::span<const float> output() const override {
    return {static_cast<const float *>(data(destination)), outputs};
  }
  std::string detail() const override {
    const char *text = nullptr;
    f.query(primitiveDesc, queryImplementation, 0, &text);
    return text ? text : "";
  }

private:
  void *data(Handle memory) const {
    void *pointer = nullptr;
    f.memoryGetData(memory, &pointer);
    return pointer;
  }
  Status allocate(Descriptor descriptor, Handle &memory);
  Status describe(const Problem &problem, const Matrix &source,
                  const Matrix &weight, const Matrix &destination);
  Status packWeights(const Problem &problem);

  const Functions &f;
  Handle engine, stream;
  Handle primitiveDesc = nullptr, primitive = nullptr;
  Handle source = nullptr, destination = nullptr, scratchpad = nullptr;
  std::vector<Handle> weights, memories;
  std::vector<rt::AlignedMemory> blocks;
  size_t outputs = 0;
};

/// In memory of ours: large blocks are in huge pages then, as our own are.
Status OneDNNGemm::allocate(Descriptor descriptor, Handle &memory) {
  auto block =
      rt::AlignedMemory::allocate(int64_t(f.descriptorSize(descriptor)));
  if (!block)
    return block.status();
  blocks.push_back(*std::move(block));
  Status status =
      check(f.memoryCreate(&memory, descriptor, engine, blocks.back().data()),
            "making a memory object");
  if (status.ok())
    memories.push_back(memory);
  return status;
}

/// Makes `primitiveDesc`.
Status OneDNNGemm::describe(const Problem &problem, const Matrix &source,
                            const Matrix &weight, const Matrix &destination) {
  Handle attributes = nullptr;
  if (Status status = check(f.attrCreate(&attributes), "making attributes");
      !status.ok())
    return status;
  if (Status status = check(f.attrSetScratchpad(attributes, userScratchpad),
                            "setting the scratchpad mode");
      !status.ok())
    return status;
  if (f.matmulCreate)
    return check(f.matmulCreate(&primitiveDesc, engine, source.get(),
                                weight.get(), nullptr, destination.get(),
                                attributes),
                 "describing a matmul");
  alignas(16) std::byte matmul[4096] = {}; // 2800 bytes in version 2
  if (Status status = check(f.matmulInit(matmul, source.get(), weight.get(),
                                         nullptr, destination.get()),
                            "describing a matmul");
      !status.ok())
    return status;
  return check(f.primitiveDescCreate(&primitiveDesc, matmul, attributes, engine,
                                     nullptr),
               "describing a matmul");
}

/// Reorders the weight once; the other copies are copies of that.
Status OneDNNGemm::packWeights(const Problem &problem) {
  Descriptor packed = f.queryDescriptor(primitiveDesc, queryWeights, 0);
  Matrix plain(f);
  // W is [n, k]; a matmul wants [k, n].
  if (Status status =
          plain.strided(problem.k, problem.n, problem.dtype, 1, problem.k);
      !status.ok())
    return status;
  Handle from = nullptr;
  if (Status status =
          check(f.memoryCreate(&from, plain.get(), engine,
                               const_cast<std::byte *>(problem.weight)),
                "making a memory object");
      !status.ok())
    return status;

  weights.resize(size_t(problem.copies));
  for (Handle &copy : weights)
    if (Status status = allocate(packed, copy); !status.ok())
      return status;
  Handle reorderDesc = nullptr, reorder = nullptr;
  ExecArg args[] = {{argSource, from}, {argDestination, weights[0]}};
  Status status = check(f.reorderCreate(&reorderDesc, plain.get(), engine,
                                        packed, engine, nullptr),
                        "describing a reorder");
  if (status.ok())
    status =
        check(f.primitiveCreate(&reorder, reorderDesc), "making a reorder");
  if (status.ok())
    status = check(f.primitiveExecute(reorder, stream, 2, args),
                   "packing the weight");
  if (status.ok())
    status = check(f.streamWait(stream), "packing the weight");
  if (reorder)
    f.primitiveDestroy(reorder);
  if (reorderDesc)
    f.primitiveDescDestroy(reorderDesc);
  f.memoryDestroy(from);
  for (size_t copy = 1; status.ok() && copy < weights.size(); ++copy)
    std::memcpy(data(weights[copy]), data(weights[0]),
                f.descriptorSize(packed));
  return status;
}

Status OneDNNGemm::prepare(const Problem &p) {
  Matrix input(f), weight(f), output(f);
  Status status = input.strided(p.m, p.k, p.dtype, p.k, 1);
  if (status.ok())
    status = weight.any(p.k, p.n, p.dtype);
  if (status.ok())
    status = output.strided(p.m, p.n, DType::F32, p.n, 1);
  if (status.ok())
    status = describe(p, input, weight, output);
  if (status.ok())
    status =
        check(f.primitiveCreate(&primitive, primitiveDesc), "making a matmul");
  if (status.ok())
    status = allocate(input.get(), source);
  if (status.ok())
    status = allocate(output.get(), destination);
  if (status.ok())
    status = allocate(f.queryDescriptor(primitiveDesc, queryScratchpad, 0),
                      scratchpad);
  if (!status.ok())
    return status;
  std::memcpy(data(source), p.input,
              size_t(p.inputElements() * rt::sizeOf(p.dtype)));
  outputs = size_t(p.m * p.n);
  return packWeights(p);
}

class OneDNN : public GemmLibrary {
public:
  OneDNN(const SharedLibrary &library, const Functions &functions,
         Handle engine, Handle stream)
      : library(library), f(functions), engine(engine), stream(stream) {}

  std::string name() const override { return "oneDNN"; }
  std::string version() const override {
    const Version *v = f.version();
    return concat(v->major, ".", v->minor, ".", v->patch);
  }
  Result<std::unique_ptr<Gemm>> prepare(const Problem &problem) override {
    // Before the primitive is made: it divides its work then.
    if (f.setThreads)
      f.setThreads(problem.threads);
    else if (problem.threads != rt::usableThreads())
      return rt::unsupported("oneDNN: expected as many threads as CPUs");
    auto gemm = std::make_unique<OneDNNGemm>(f, engine, stream);
    if (Status status = gemm->prepare(problem); !status.ok())
      return status;
    return std::unique_ptr<Gemm>(std::move(gemm));
  }

private:
  SharedLibrary library;
  Functions f;
  Handle engine, stream;
};

} // namespace

Result<std::unique_ptr<GemmLibrary>> loadOneDNN(const std::string &path) {
  Result<SharedLibrary> library = SharedLibrary::load(path);
  if (!library)
    return library.status();
  Functions f{};
  if (const char *missing = findAll(*library, f))
    return rt::unsupported(concat("expected oneDNN 2 or 3, found no '", missing,
                                  "' in '", library->path(), "'"));
  Handle engine = nullptr, stream = nullptr;
  if (Status status =
          check(f.engineCreate(&engine, cpuEngine, 0), "making a CPU engine");
      !status.ok())
    return status;
  if (Status status =
          check(f.streamCreate(&stream, engine, inOrder), "making a stream");
      !status.ok())
    return status;
  return std::unique_ptr<GemmLibrary>(
      std::make_unique<OneDNN>(*library, f, engine, stream));
}

} // namespace coppice::bench
