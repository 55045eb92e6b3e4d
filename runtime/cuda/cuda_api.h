// The CUDA driver API, opened at run time: nothing of CUDA is needed to build,
// and a machine without a GPU runs all the rest.
//
// Names, types and numbers are those of cuda.h, declared here as far as they
// are used. https://docs.nvidia.com/cuda/cuda-driver-api
#ifndef COPPICE_RUNTIME_CUDA_CUDA_API_H
#define COPPICE_RUNTIME_CUDA_CUDA_API_H

#include "runtime/base/status.h"

#include <cstddef>
#include <cstdint>

namespace coppice::rt {

using CUresult = int; // 0: success
using CUdevice = int;
using CUdeviceptr = unsigned long long;
using CUcontext = struct CUctx_st *;
using CUmodule = struct CUmod_st *;
using CUfunction = struct CUfunc_st *;
using CUstream = struct CUstream_st *;

// CUresult
constexpr CUresult cudaErrorOutOfMemory = 2;
constexpr CUresult cudaErrorNoDevice = 100;
constexpr CUresult cudaErrorNoBinaryForGpu = 209;
constexpr CUresult cudaErrorUnsupportedPtxVersion = 222;

// CUdevice_attribute
constexpr int attributeL2Bytes = 38;
constexpr int attributeMajor = 75; // of the compute capability
constexpr int attributeMinor = 76;
constexpr int attributeSharedOptin = 97; // bytes that a block may ask for
// CUfunction_attribute
constexpr int functionMaxDynamicShared = 8;
// CUjit_option
constexpr int jitErrorLogBuffer = 5;
constexpr int jitErrorLogBytes = 6;

struct CudaApi {
  CUresult (*init)(unsigned flags);
  CUresult (*driverGetVersion)(int *version);
  CUresult (*deviceGetCount)(int *count);
  CUresult (*deviceGet)(CUdevice *device, int ordinal);
  CUresult (*deviceGetName)(char *name, int bytes, CUdevice device);
  CUresult (*deviceGetAttribute)(int *value, int attribute, CUdevice device);
  CUresult (*contextRetain)(CUcontext *context, CUdevice device);
  CUresult (*contextRelease)(CUdevice device);
  CUresult (*contextPush)(CUcontext context);
  CUresult (*contextPop)(CUcontext *context);
  CUresult (*streamCreate)(CUstream *stream, unsigned flags);
  CUresult (*streamDestroy)(CUstream stream);
  CUresult (*streamSynchronize)(CUstream stream);
  CUresult (*moduleLoad)(CUmodule *module, const void *image, unsigned count,
                         int *options, void **values);
  CUresult (*moduleUnload)(CUmodule module);
  CUresult (*moduleGetFunction)(CUfunction *function, CUmodule module,
                                const char *name);
  CUresult (*functionSetAttribute)(CUfunction function, int attribute,
                                   int value);
  CUresult (*memoryAllocate)(CUdeviceptr *address, size_t bytes);
  CUresult (*memoryFree)(CUdeviceptr address);
  CUresult (*memorySet)(CUdeviceptr address, unsigned char value, size_t bytes,
                        CUstream stream);
  CUresult (*copyToDevice)(CUdeviceptr target, const void *source, size_t bytes,
                           CUstream stream);
  CUresult (*copyToHost)(void *target, CUdeviceptr source, size_t bytes,
                         CUstream stream);
  CUresult (*launchKernel)(CUfunction function, unsigned gridX, unsigned gridY,
                           unsigned gridZ, unsigned blockX, unsigned blockY,
                           unsigned blockZ, unsigned sharedBytes,
                           CUstream stream, void **arguments, void **extra);
  CUresult (*getErrorName)(CUresult error, const char **name);

  // The driver of this machine, opened once and initialized: libcuda.so.1, or
  // the file that the environment variable COPPICE_LIBCUDA names. Says why
  // there is none.
  static Result<const CudaApi *> get();

  // Success, or "WHAT: CUDA_ERROR_..".
  Status check(CUresult result, const char *what) const;
};

} // namespace coppice::rt

#endif
