// A GPU as a device (runtime/base/device.h): PTX or a cubin, one stream. Work
// and copies are given to the stream in order; only copies to the host wait.
#ifndef COPPICE_RUNTIME_CUDA_CUDA_DEVICE_H
#define COPPICE_RUNTIME_CUDA_CUDA_DEVICE_H

#include "runtime/base/device.h"

namespace coppice::rt {

extern const coppice_device_driver cudaDriver;

} // namespace coppice::rt

#endif
