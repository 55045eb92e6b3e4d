// Puts a program's weights where kernels read them: stored ones are used where
// the file is mapped (on a device with memory of its own: copied), generated
// ones are made. Stored ones are checked for NaN and Inf unless that is
// allowed.
#ifndef COPPICE_RUNTIME_SESSION_WEIGHT_LOADER_H
#define COPPICE_RUNTIME_SESSION_WEIGHT_LOADER_H

#include "runtime/bundle/bundle.h"
#include "runtime/session/device_handle.h"

#include <vector>

namespace coppice::rt {

// Device addresses, in the order of the program's weights. The bundle outlives
// them. Memory is owned by the device.
Result<std::vector<void *>> loadWeights(const Bundle &bundle,
                                        DeviceHandle &device, bool allowNan);

} // namespace coppice::rt

#endif
