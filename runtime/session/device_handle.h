// Owns an open device and what was made on it; turns the C table's statuses
// into Status. When the handle goes, so does all of its memory and code.
#ifndef COPPICE_RUNTIME_SESSION_DEVICE_HANDLE_H
#define COPPICE_RUNTIME_SESSION_DEVICE_HANDLE_H

#include "runtime/base/device.h"
#include "runtime/base/status.h"
#include "runtime/bundle/program.h"

#include <span>
#include <string>
#include <type_traits>
#include <vector>

namespace coppice::rt {

// The driver for a target's name; null if this build has none.
const coppice_device_driver *driverFor(std::string_view target);

// Can this machine run the target?
Status checkTarget(const Target &target);

class DeviceHandle {
public:
  static Result<DeviceHandle> open(const coppice_device_driver &driver,
                                   int32_t threads, bool pin);
  DeviceHandle(DeviceHandle &&other) noexcept;
  DeviceHandle &operator=(DeviceHandle &&other) noexcept;
  ~DeviceHandle();

  bool unified() const { return driver->unified != 0; }

  int32_t threads() const { return driver->threads(device); }

  // Loads a code file; only one a device.
  Status load(const std::string &path);
  Result<coppice_kernel *> findKernel(const std::string &name,
                                      const coppice_launch_shape &shape);

  Result<void *> allocate(int64_t bytes);
  Status upload(void *target, const void *source, int64_t bytes);
  Status download(void *target, const void *source, int64_t bytes);
  Status launch(coppice_kernel *kernel, std::span<void *const> args,
                std::span<const int64_t> symbols, int64_t grid);
  Status synchronize();
  // False, and nothing is done, where the host's caches are the device's.
  Result<bool> flushCaches();

  template <typename Function>
  void hostParallel(int64_t count, Function &&function) {
    driver->host_parallel(
        device, count,
        [](void *context, int64_t begin, int64_t end) {
          (*static_cast<std::remove_reference_t<Function> *>(context))(begin,
                                                                       end);
        },
        &function);
  }

private:
  DeviceHandle() = default;
  void close();

  const coppice_device_driver *driver = nullptr;
  coppice_device *device = nullptr;
  coppice_module *module = nullptr;
  std::vector<void *> memory;
};

} // namespace coppice::rt

#endif
