// The CPU as a device (runtime/base/device.h): code from a shared object, work
// items over a thread pool.
#ifndef COPPICE_RUNTIME_CPU_CPU_DEVICE_H
#define COPPICE_RUNTIME_CPU_CPU_DEVICE_H

#include "runtime/base/device.h"

namespace coppice::rt {

extern const coppice_device_driver cpuDriver;

} // namespace coppice::rt

#endif
