#include "runtime/cuda/cuda_api.h"

#include "runtime/base/concat.h"

#include <cstdlib>
#include <dlfcn.h>

namespace coppice::rt {
namespace {

struct Opened {
  CudaApi api = {};
  Status status;
};

// A function by its name in the library: cuda.h maps some to others.
template <typename Function>
void find(void *library, const char *name, Function &function, Status &status) {
  void *symbol = dlsym(library, name);
  if (!symbol && status.ok())
    status = unsupported(
        concat("expected '", name,
               "' in the CUDA driver, found none: update the driver"));
  function = reinterpret_cast<Function>(symbol);
}

Opened openDriver() {
  Opened opened;
  const char *path = std::getenv("COPPICE_LIBCUDA");
  if (!path || !*path)
    path = "libcuda.so.1";
  void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
  if (!library) {
    opened.status = unsupported(
        concat("cannot open the CUDA driver: ", dlerror(),
               "; it comes with NVIDIA's driver, not with the CUDA toolkit"));
    return opened;
  }
  CudaApi &api = opened.api;
  Status &status = opened.status;
  find(library, "cuInit", api.init, status);
  find(library, "cuDriverGetVersion", api.driverGetVersion, status);
  find(library, "cuDeviceGetCount", api.deviceGetCount, status);
  find(library, "cuDeviceGet", api.deviceGet, status);
  find(library, "cuDeviceGetName", api.deviceGetName, status);
  find(library, "cuDeviceGetAttribute", api.deviceGetAttribute, status);
  find(library, "cuDevicePrimaryCtxRetain", api.contextRetain, status);
  find(library, "cuDevicePrimaryCtxRelease_v2", api.contextRelease, status);
  find(library, "cuCtxPushCurrent_v2", api.contextPush, status);
  find(library, "cuCtxPopCurrent_v2", api.contextPop, status);
  find(library, "cuStreamCreate", api.streamCreate, status);
  find(library, "cuStreamDestroy_v2", api.streamDestroy, status);
  find(library, "cuStreamSynchronize", api.streamSynchronize, status);
  find(library, "cuModuleLoadDataEx", api.moduleLoad, status);
  find(library, "cuModuleUnload", api.moduleUnload, status);
  find(library, "cuModuleGetFunction", api.moduleGetFunction, status);
  find(library, "cuFuncSetAttribute", api.functionSetAttribute, status);
  find(library, "cuMemAlloc_v2", api.memoryAllocate, status);
  find(library, "cuMemFree_v2", api.memoryFree, status);
  find(library, "cuMemsetD8Async", api.memorySet, status);
  find(library, "cuMemcpyHtoDAsync_v2", api.copyToDevice, status);
  find(library, "cuMemcpyDtoHAsync_v2", api.copyToHost, status);
  find(library, "cuLaunchKernel", api.launchKernel, status);
  find(library, "cuGetErrorName", api.getErrorName, status);
  if (status.ok())
    status = api.check(api.init(0), "cannot start the CUDA driver");
  return opened;
}

} // namespace

Result<const CudaApi *> CudaApi::get() {
  static const Opened opened = openDriver();
  if (!opened.status.ok())
    return opened.status;
  return &opened.api;
}

Status CudaApi::check(CUresult result, const char *what) const {
  if (result == 0)
    return {};
  const char *name = nullptr;
  if (getErrorName(result, &name) != 0 || !name)
    name = "unknown error";
  std::string text = concat(what, ": ", name, " (", result, ")");
  if (result == cudaErrorOutOfMemory)
    return outOfMemory(text);
  if (result == cudaErrorNoDevice || result == cudaErrorNoBinaryForGpu)
    return unsupported(text);
  if (result == cudaErrorUnsupportedPtxVersion) {
    int version = 0;
    driverGetVersion(&version);
    return unsupported(concat(text, ": the driver knows CUDA ", version / 1000,
                              ".", version % 1000 / 10, "; update it"));
  }
  return internalError(text);
}

} // namespace coppice::rt
