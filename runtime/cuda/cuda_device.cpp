#include "runtime/cuda/cuda_device.h"

#include "runtime/base/concat.h"
#include "runtime/base/json.h"
#include "runtime/base/mapped_file.h"
#include "runtime/cpu/thread_count.h"
#include "runtime/cpu/thread_pool.h"
#include "runtime/cuda/cuda_api.h"

#include <algorithm>
#include <charconv>
#include <cstdio>
#include <map>
#include <system_error>
#include <vector>

using namespace coppice::rt;

namespace {

constexpr int64_t maxGrid = (int64_t(1) << 31) - 1;

struct Kernel {
  CUfunction function = nullptr;
  coppice_launch_shape shape = {};
};

struct CudaDevice {
  const CudaApi &cuda;
  CUdevice device = 0;
  CUcontext context = nullptr;
  CUstream stream = nullptr;
  std::shared_ptr<ThreadPool> pool; // of the host, for loading weights
  std::map<std::string, Kernel> kernels;
  // The sizes of the step, as kernels read them, and as they were written last.
  CUdeviceptr symbols = 0;
  std::vector<int64_t> written;
  std::vector<void *> pointers; // of a launch; kept for its memory
  CUdeviceptr sweep = 0;        // what is written to empty the caches
  size_t sweepBytes = 0;

  explicit CudaDevice(const CudaApi &cuda) : cuda(cuda) {}
  ~CudaDevice();

  Status open(int threads);
  Status writeSymbols(const int64_t *values, size_t count);
};

// While one lives, the device's context is the calling thread's: the host may
// have another one for work of its own. Where it cannot be, what is called next
// fails and says so.
class Current {
public:
  explicit Current(CudaDevice &device)
      : device(device), pushed(device.cuda.contextPush(device.context) == 0) {}
  explicit Current(coppice_device *handle)
      : Current(*reinterpret_cast<CudaDevice *>(handle)) {}
  ~Current() {
    CUcontext popped = nullptr;
    if (pushed)
      device.cuda.contextPop(&popped);
  }
  Current(const Current &) = delete;
  Current &operator=(const Current &) = delete;

  CudaDevice &operator*() const { return device; }

private:
  CudaDevice &device;
  bool pushed;
};

// Nothing is left to tell anybody of what fails here.
CudaDevice::~CudaDevice() {
  if (!context)
    return;
  {
    Current current(*this);
    for (CUdeviceptr memory : {symbols, sweep})
      if (memory)
        cuda.memoryFree(memory);
    if (stream)
      cuda.streamDestroy(stream);
  }
  cuda.contextRelease(device);
}

CUdeviceptr addressOf(const void *pointer) {
  return reinterpret_cast<CUdeviceptr>(pointer);
}

coppice_status tell(const Status &status, coppice_device_message *message) {
  if (!status.ok())
    std::snprintf(message->text, sizeof(message->text), "%s",
                  status.message().c_str());
  return status.code();
}

Status CudaDevice::open(int threads) {
  Status status = cuda.check(cuda.deviceGet(&device, 0), "cannot find a GPU");
  if (status.ok())
    status =
        cuda.check(cuda.contextRetain(&context, device), "cannot use the GPU");
  if (!status.ok())
    return status;
  Current current(*this);
  status = cuda.check(cuda.streamCreate(&stream, /*non-blocking*/ 1),
                      "cannot make a stream");
  if (!status.ok())
    return status;
  auto shared = ThreadPool::shared(threads, /*pin=*/false);
  if (!shared)
    return shared.status();
  pool = *std::move(shared);
  return {};
}

// "cuda:sm_90a" is {90, true}: such code is for that chip alone.
struct Chip {
  int capability = 0;
  bool exact = false;
};

Result<Chip> parseChip(std::string_view target) {
  constexpr std::string_view prefix = "cuda:sm_";
  Chip chip;
  std::string_view digits =
      target.substr(std::min(prefix.size(), target.size()));
  auto [end, error] = std::from_chars(
      digits.data(), digits.data() + digits.size(), chip.capability);
  std::string_view rest(end, size_t(digits.data() + digits.size() - end));
  if (!target.starts_with(prefix) || error != std::errc() ||
      (!rest.empty() && rest != "a"))
    return invalidFile(
        concat("expected a target like 'cuda:sm_80', found ", quote(target)));
  chip.exact = !rest.empty();
  return chip;
}

// Code for a chip runs on those that come after it; a cubin on those of its
// generation, the same major number.
Status checkChip(const char *target, bool isCubin) {
  auto chip = parseChip(target);
  if (!chip)
    return chip.status();
  auto api = CudaApi::get();
  if (!api)
    return api.status();
  const CudaApi &cuda = **api;
  int count = 0, major = 0, minor = 0;
  Status status = cuda.check(cuda.deviceGetCount(&count), "cannot count GPUs");
  if (status.ok() && count == 0)
    status = unsupported(
        concat("target ", quote(target), " needs a GPU, found none"));
  CUdevice device = 0;
  if (status.ok())
    status = cuda.check(cuda.deviceGet(&device, 0), "cannot find a GPU");
  if (status.ok())
    status = cuda.check(cuda.deviceGetAttribute(&major, attributeMajor, device),
                        "cannot ask for the GPU's compute capability");
  if (status.ok())
    status = cuda.check(cuda.deviceGetAttribute(&minor, attributeMinor, device),
                        "cannot ask for the GPU's compute capability");
  if (!status.ok())
    return status;
  int found = 10 * major + minor;
  bool sameGeneration = major == chip->capability / 10;
  if (chip->exact ? found == chip->capability
                  : found >= chip->capability && (!isCubin || sameGeneration))
    return {};
  char name[128] = "a GPU";
  cuda.deviceGetName(name, sizeof(name), device);
  return unsupported(
      concat("target ", quote(target), " needs compute capability ",
             chip->capability / 10, ".", chip->capability % 10,
             chip->exact ? " exactly"
             : isCubin   ? ", of that generation"
                         : "",
             ", found ", name, " with ", major, ".", minor,
             found < 80 ? "; there is no code for GPUs before 8.0"
                        : "; compile the bundle for a chip that this GPU runs "
                          "(--target cuda:sm_80)"));
}

coppice_status check(const char *target, const char *const *features,
                     size_t featureCount, coppice_device_message *message) {
  bool isCubin = false;
  for (size_t i = 0; i < featureCount; ++i) {
    isCubin |= std::string_view(features[i]) == "cubin";
    if (std::string_view(features[i]) != "cubin")
      return tell(unsupported(concat("target ", quote(target), " needs ",
                                     quote(features[i]),
                                     ", which this build does not know")),
                  message);
  }
  return tell(checkChip(target, isCubin), message);
}

coppice_status openDevice(const coppice_device_options *options,
                          coppice_device **out,
                          coppice_device_message *message) {
  auto threads = chooseThreads(options->threads);
  if (!threads)
    return tell(threads.status(), message);
  auto api = CudaApi::get();
  if (!api)
    return tell(api.status(), message);
  try {
    auto device = std::make_unique<CudaDevice>(**api);
    if (Status status = device->open(*threads); !status.ok())
      return tell(status, message);
    *out = reinterpret_cast<coppice_device *>(device.release());
    return COPPICE_OK;
  } catch (const std::system_error &error) {
    return tell(outOfMemory(concat("cannot start threads: ", error.what())),
                message);
  }
}

void closeDevice(coppice_device *device) {
  delete reinterpret_cast<CudaDevice *>(device);
}

// PTX is text and must end with a NUL; a cubin knows its size.
coppice_status load(coppice_device *handle, const char *path,
                    coppice_module **out, coppice_device_message *message) {
  Current current(handle);
  const CudaApi &cuda = (*current).cuda;
  auto file = MappedFile::open(path);
  if (!file)
    return tell(file.status(), message);
  std::string image(file->text());
  char log[768] = "";
  int options[] = {jitErrorLogBuffer, jitErrorLogBytes};
  void *values[] = {log, reinterpret_cast<void *>(sizeof(log))};
  CUmodule module = nullptr;
  Status status =
      cuda.check(cuda.moduleLoad(&module, image.c_str(), 2, options, values),
                 "cannot load code");
  log[sizeof(log) - 1] = 0;
  if (!status.ok())
    return tell(Status(status.code() == COPPICE_INTERNAL ? COPPICE_INVALID_FILE
                                                         : status.code(),
                       concat(status.message(), log[0] ? ": " : "", log)),
                message);
  *out = reinterpret_cast<coppice_module *>(module);
  return COPPICE_OK;
}

void unload(coppice_device *device, coppice_module *module) {
  Current current(device);
  CudaDevice &cuda = *current;
  cuda.cuda.streamSynchronize(cuda.stream);
  cuda.cuda.moduleUnload(reinterpret_cast<CUmodule>(module));
}

Status allowShared(const CudaDevice &device, CUfunction function,
                   int64_t bytes) {
  constexpr int64_t withoutAsking = 48 << 10;
  if (bytes <= withoutAsking)
    return {};
  int most = 0;
  Status status =
      device.cuda.check(device.cuda.deviceGetAttribute(
                            &most, attributeSharedOptin, device.device),
                        "cannot ask for the GPU's shared memory");
  if (status.ok() && bytes > most)
    status = unsupported(concat("expected at most ", most,
                                " bytes of shared memory, which this GPU has, "
                                "found ",
                                bytes));
  if (!status.ok())
    return status;
  return device.cuda.check(device.cuda.functionSetAttribute(
                               function, functionMaxDynamicShared, int(bytes)),
                           "cannot set shared memory aside");
}

coppice_status findKernel(coppice_device *handle, coppice_module *module,
                          const char *name, const coppice_launch_shape *shape,
                          coppice_kernel **out,
                          coppice_device_message *message) {
  Current current(handle);
  CudaDevice &device = *current;
  if (shape->threads <= 0)
    return tell(invalidFile(concat("kernel ", quote(name),
                                   ": expected 'threads' in program.json's "
                                   "kernels, found none")),
                message);
  Kernel kernel = {nullptr, *shape};
  Status status = device.cuda.check(
      device.cuda.moduleGetFunction(&kernel.function,
                                    reinterpret_cast<CUmodule>(module), name),
      "expected it in the code");
  if (!status.ok())
    return tell(
        invalidFile(status.message()).at(concat("kernel ", quote(name))),
        message);
  status = allowShared(device, kernel.function, shape->shared_bytes);
  if (!status.ok())
    return tell(status.at(concat("kernel ", quote(name))), message);
  Kernel &kept = device.kernels[name];
  kept = kernel;
  *out = reinterpret_cast<coppice_kernel *>(&kept);
  return COPPICE_OK;
}

coppice_status allocate(coppice_device *handle, int64_t bytes, void **out,
                        coppice_device_message *message) {
  Current current(handle);
  CudaDevice &device = *current;
  CUdeviceptr address = 0;
  size_t size = size_t(std::max<int64_t>(bytes, 1));
  Status status = device.cuda.check(device.cuda.memoryAllocate(&address, size),
                                    "cannot allocate memory");
  if (status.ok()) {
    status = device.cuda.check(
        device.cuda.memorySet(address, 0, size, device.stream),
        "cannot clear memory");
    if (!status.ok())
      device.cuda.memoryFree(address);
  }
  if (!status.ok())
    return tell(
        Status(status.code(), concat(status.message(), ", ", bytes, " bytes")),
        message);
  *out = reinterpret_cast<void *>(address);
  return COPPICE_OK;
}

void release(coppice_device *handle, void *memory) {
  Current current(handle);
  CudaDevice &device = *current;
  device.cuda.streamSynchronize(device.stream);
  device.cuda.memoryFree(addressOf(memory));
}

coppice_status synchronize(coppice_device *handle,
                           coppice_device_message *message) {
  Current current(handle);
  CudaDevice &device = *current;
  return tell(device.cuda.check(device.cuda.streamSynchronize(device.stream),
                                "the GPU has failed"),
              message);
}

// Waits, so that the source may be changed when this returns: what an
// asynchronous copy does with memory that is not pinned is left to the driver.
coppice_status upload(coppice_device *handle, void *target, const void *source,
                      int64_t bytes, coppice_device_message *message) {
  if (bytes == 0)
    return COPPICE_OK;
  Current current(handle);
  CudaDevice &device = *current;
  Status status =
      device.cuda.check(device.cuda.copyToDevice(addressOf(target), source,
                                                 size_t(bytes), device.stream),
                        "cannot copy to the GPU");
  if (!status.ok())
    return tell(status, message);
  return synchronize(handle, message);
}

coppice_status download(coppice_device *handle, void *target,
                        const void *source, int64_t bytes,
                        coppice_device_message *message) {
  if (bytes == 0)
    return COPPICE_OK;
  Current current(handle);
  CudaDevice &device = *current;
  Status status =
      device.cuda.check(device.cuda.copyToHost(target, addressOf(source),
                                               size_t(bytes), device.stream),
                        "cannot copy from the GPU");
  if (!status.ok())
    return tell(status, message);
  return synchronize(handle, message);
}

// Kernels before read the old sizes: the copy waits for them, in the stream.
Status CudaDevice::writeSymbols(const int64_t *values, size_t count) {
  if (symbols &&
      std::equal(values, values + count, written.begin(), written.end()))
    return {};
  if (!symbols) {
    Status status =
        cuda.check(cuda.memoryAllocate(&symbols, count * sizeof(int64_t)),
                   "cannot allocate memory");
    if (!status.ok())
      return status;
  }
  written.assign(values, values + count);
  Status status = cuda.check(cuda.copyToDevice(symbols, written.data(),
                                               count * sizeof(int64_t), stream),
                             "cannot copy to the GPU");
  if (status.ok()) // `written` may be changed by the next launch
    status = cuda.check(cuda.streamSynchronize(stream), "the GPU has failed");
  if (!status.ok())
    written.clear();
  return status;
}

coppice_status launch(coppice_device *handle, coppice_kernel *kernelHandle,
                      void *const *args, size_t argCount,
                      const int64_t *symbols, size_t symbolCount, int64_t grid,
                      coppice_device_message *message) {
  if (grid == 0)
    return COPPICE_OK;
  Current current(handle);
  CudaDevice &device = *current;
  const auto &kernel = *reinterpret_cast<const Kernel *>(kernelHandle);
  if (Status status = device.writeSymbols(symbols, symbolCount); !status.ok())
    return tell(status, message);
  // An argument is passed by its address.
  device.pointers.clear();
  for (size_t i = 0; i < argCount; ++i)
    device.pointers.push_back(const_cast<void **>(&args[i]));
  device.pointers.push_back(&device.symbols);
  // Any grid is right: blocks take further work items until none is left.
  auto blocks = unsigned(std::min(grid, maxGrid));
  return tell(device.cuda.check(
                  device.cuda.launchKernel(kernel.function, blocks, 1, 1,
                                           unsigned(kernel.shape.threads), 1, 1,
                                           unsigned(kernel.shape.shared_bytes),
                                           device.stream,
                                           device.pointers.data(), nullptr),
                  "cannot launch a kernel"),
              message);
}

// Writes four times what the L2 cache holds.
coppice_status flushCaches(coppice_device *handle,
                           coppice_device_message *message) {
  Current current(handle);
  CudaDevice &device = *current;
  Status status;
  if (!device.sweep) {
    int bytes = 0;
    status = device.cuda.check(
        device.cuda.deviceGetAttribute(&bytes, attributeL2Bytes, device.device),
        "cannot ask for the GPU's cache");
    device.sweepBytes = size_t(std::max(bytes, 16 << 20)) * 4;
    if (status.ok())
      status = device.cuda.check(
          device.cuda.memoryAllocate(&device.sweep, device.sweepBytes),
          "cannot allocate memory");
  }
  if (status.ok())
    status = device.cuda.check(device.cuda.memorySet(device.sweep, 0,
                                                     device.sweepBytes,
                                                     device.stream),
                               "cannot clear memory");
  if (!status.ok())
    return tell(status, message);
  return synchronize(handle, message);
}

int32_t threadCount(const coppice_device *device) {
  return reinterpret_cast<const CudaDevice *>(device)->pool->threads();
}

void hostParallel(coppice_device *device, int64_t count,
                  void (*body)(void *, int64_t, int64_t), void *context) {
  reinterpret_cast<CudaDevice *>(device)->pool->run(count, body, context);
}

} // namespace

const coppice_device_driver coppice::rt::cudaDriver = {
    .name = "cuda",
    .unified = 0,
    .check = check,
    .open = openDevice,
    .close = closeDevice,
    .load = load,
    .unload = unload,
    .find_kernel = findKernel,
    .allocate = allocate,
    .release = release,
    .upload = upload,
    .download = download,
    .launch = launch,
    .synchronize = synchronize,
    .flush_caches = flushCaches,
    .threads = threadCount,
    .host_parallel = hostParallel,
};
