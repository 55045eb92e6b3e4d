#include "runtime/cpu/cpu_device.h"

#include "runtime/base/aligned_memory.h"
#include "runtime/base/concat.h"
#include "runtime/cpu/cpu_features.h"
#include "runtime/cpu/thread_count.h"
#include "runtime/cpu/thread_pool.h"

#include <cstdio>
#include <cstring>
#include <dlfcn.h>
#include <map>
#include <new>
#include <system_error>

using namespace coppice::rt;

namespace {

// docs/bundle.md, "Kernel ABI".
using KernelFunction = void (*)(void *const *args, const int64_t *symbols,
                                int64_t begin, int64_t end);

struct CpuDevice {
  std::shared_ptr<ThreadPool> pool;
  std::map<void *, AlignedMemory> memory;
};

CpuDevice &deviceOf(coppice_device *device) {
  return *reinterpret_cast<CpuDevice *>(device);
}

coppice_status fail(coppice_status code, const std::string &text,
                    coppice_device_message *message) {
  std::snprintf(message->text, sizeof(message->text), "%s", text.c_str());
  return code;
}

coppice_status check(const char *target, const char *const *features,
                     size_t featureCount, coppice_device_message *message) {
  std::string missing;
  for (size_t i = 0; i < featureCount; ++i)
    if (!hasCpuFeature(features[i]))
      missing += (missing.empty() ? "" : ", ") + std::string(features[i]);
  if (missing.empty())
    return COPPICE_OK;
  return fail(COPPICE_UNSUPPORTED,
              concat("target '", target,
                     "' needs CPU features that this CPU lacks: ", missing,
                     "; compile the bundle for this machine (--isa)"),
              message);
}

coppice_status openDevice(const coppice_device_options *options,
                          coppice_device **out,
                          coppice_device_message *message) {
  auto threads = chooseThreads(options->threads);
  if (!threads)
    return fail(threads.status().code(), threads.status().message(), message);
  try {
    auto pool = ThreadPool::shared(*threads, options->pin != 0);
    if (!pool)
      return fail(pool.status().code(), pool.status().message(), message);
    *out =
        reinterpret_cast<coppice_device *>(new CpuDevice{*std::move(pool), {}});
    return COPPICE_OK;
  } catch (const std::system_error &error) {
    return fail(COPPICE_OUT_OF_MEMORY,
                concat("cannot start ", *threads, " threads: ", error.what()),
                message);
  }
}

void closeDevice(coppice_device *device) { delete &deviceOf(device); }

coppice_status load(coppice_device *, const char *path, coppice_module **out,
                    coppice_device_message *message) {
  // A path without '/' would be searched for in the system's libraries.
  std::string file = std::strchr(path, '/') ? path : concat("./", path);
  void *handle = dlopen(file.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (!handle)
    return fail(COPPICE_INVALID_FILE, concat("cannot load code: ", dlerror()),
                message);
  *out = reinterpret_cast<coppice_module *>(handle);
  return COPPICE_OK;
}

void unload(coppice_device *, coppice_module *module) { dlclose(module); }

coppice_status findKernel(coppice_device *, coppice_module *module,
                          const char *name, const coppice_launch_shape *,
                          coppice_kernel **out,
                          coppice_device_message *message) {
  void *symbol = dlsym(module, name);
  if (!symbol)
    return fail(COPPICE_INVALID_FILE,
                concat("expected kernel '", name, "', found no such symbol"),
                message);
  *out = reinterpret_cast<coppice_kernel *>(symbol);
  return COPPICE_OK;
}

coppice_status allocate(coppice_device *device, int64_t bytes, void **out,
                        coppice_device_message *message) {
  auto memory = AlignedMemory::allocate(bytes);
  if (!memory)
    return fail(memory.status().code(), memory.status().message(), message);
  *out = memory->data();
  deviceOf(device).memory.emplace(*out, *std::move(memory));
  return COPPICE_OK;
}

void release(coppice_device *device, void *memory) {
  deviceOf(device).memory.erase(memory);
}

coppice_status copy(coppice_device *, void *target, const void *source,
                    int64_t bytes, coppice_device_message *) {
  if (bytes > 0)
    std::memcpy(target, source, size_t(bytes));
  return COPPICE_OK;
}

coppice_status launch(coppice_device *device, coppice_kernel *kernel,
                      void *const *args, size_t, const int64_t *symbols, size_t,
                      int64_t grid, coppice_device_message *) {
  auto function = reinterpret_cast<KernelFunction>(kernel);
  deviceOf(device).pool->parallelFor(grid, [&](int64_t begin, int64_t end) {
    function(args, symbols, begin, end);
  });
  return COPPICE_OK;
}

coppice_status synchronize(coppice_device *, coppice_device_message *) {
  return COPPICE_OK; // launch returns when the work is done
}

int32_t threadCount(const coppice_device *device) {
  return reinterpret_cast<const CpuDevice *>(device)->pool->threads();
}

void hostParallel(coppice_device *device, int64_t count,
                  void (*body)(void *, int64_t, int64_t), void *context) {
  deviceOf(device).pool->run(count, body, context);
}

} // namespace

const coppice_device_driver coppice::rt::cpuDriver = {
    .name = "cpu",
    .unified = 1,
    .check = check,
    .open = openDevice,
    .close = closeDevice,
    .load = load,
    .unload = unload,
    .find_kernel = findKernel,
    .allocate = allocate,
    .release = release,
    .upload = copy,
    .download = copy,
    .launch = launch,
    .synchronize = synchronize,
    .flush_caches = nullptr,
    .threads = threadCount,
    .host_parallel = hostParallel,
};
