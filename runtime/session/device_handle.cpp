#include "runtime/session/device_handle.h"

#include "runtime/base/concat.h"
#include "runtime/base/json.h"

namespace coppice::rt {

static Status toStatus(coppice_status code,
                       const coppice_device_message &message) {
  return code == COPPICE_OK ? Status() : Status(code, message.text);
}

const coppice_device_driver *driverFor(std::string_view target) {
  std::string_view family = target.substr(0, target.find(':'));
  for (auto *driver = coppice_device_drivers(); *driver; ++driver)
    if (family == (*driver)->name)
      return *driver;
  return nullptr;
}

Status checkTarget(const Target &target) {
  const coppice_device_driver *driver = driverFor(target.name);
  if (!driver)
    return unsupported(
        concat("target ", quote(target.name),
               ": this build of the runtime has no such device"));
  std::vector<const char *> features;
  for (const std::string &feature : target.requires_)
    features.push_back(feature.c_str());
  coppice_device_message message = {};
  return toStatus(driver->check(target.name.c_str(), features.data(),
                                features.size(), &message),
                  message);
}

Result<DeviceHandle> DeviceHandle::open(const coppice_device_driver &driver,
                                        int32_t threads, bool pin) {
  DeviceHandle handle;
  handle.driver = &driver;
  coppice_device_options options = {sizeof(options), threads, pin};
  coppice_device_message message = {};
  Status status =
      toStatus(driver.open(&options, &handle.device, &message), message);
  if (!status.ok())
    return status;
  return handle;
}

DeviceHandle::DeviceHandle(DeviceHandle &&other) noexcept
    : driver(other.driver), device(std::exchange(other.device, nullptr)),
      module(std::exchange(other.module, nullptr)),
      memory(std::move(other.memory)) {}

DeviceHandle &DeviceHandle::operator=(DeviceHandle &&other) noexcept {
  std::swap(driver, other.driver);
  std::swap(device, other.device);
  std::swap(module, other.module);
  std::swap(memory, other.memory);
  return *this;
}

DeviceHandle::~DeviceHandle() { close(); }

void DeviceHandle::close() {
  if (!device)
    return;
  for (void *block : memory)
    driver->release(device, block);
  if (module)
    driver->unload(device, module);
  driver->close(device);
}

Status DeviceHandle::load(const std::string &path) {
  coppice_device_message message = {};
  return toStatus(driver->load(device, path.c_str(), &module, &message),
                  message);
}

Result<coppice_kernel *>
DeviceHandle::findKernel(const std::string &name,
                         const coppice_launch_shape &shape) {
  coppice_device_message message = {};
  coppice_kernel *kernel = nullptr;
  Status status = toStatus(driver->find_kernel(device, module, name.c_str(),
                                               &shape, &kernel, &message),
                           message);
  if (!status.ok())
    return status;
  return kernel;
}

Result<void *> DeviceHandle::allocate(int64_t bytes) {
  coppice_device_message message = {};
  void *block = nullptr;
  Status status =
      toStatus(driver->allocate(device, bytes, &block, &message), message);
  if (!status.ok())
    return status;
  memory.push_back(block);
  return block;
}

Status DeviceHandle::upload(void *target, const void *source, int64_t bytes) {
  coppice_device_message message = {};
  return toStatus(driver->upload(device, target, source, bytes, &message),
                  message);
}

Status DeviceHandle::download(void *target, const void *source, int64_t bytes) {
  coppice_device_message message = {};
  return toStatus(driver->download(device, target, source, bytes, &message),
                  message);
}

Status DeviceHandle::launch(coppice_kernel *kernel, std::span<void *const> args,
                            std::span<const int64_t> symbols, int64_t grid) {
  coppice_device_message message; // not zeroed: once a dispatch, and 1 KB
  message.text[0] = 0;
  return toStatus(driver->launch(device, kernel, args.data(), args.size(),
                                 symbols.data(), symbols.size(), grid,
                                 &message),
                  message);
}

Status DeviceHandle::synchronize() {
  coppice_device_message message = {};
  return toStatus(driver->synchronize(device, &message), message);
}

Result<bool> DeviceHandle::flushCaches() {
  if (!driver->flush_caches)
    return false;
  coppice_device_message message = {};
  Status status = toStatus(driver->flush_caches(device, &message), message);
  if (!status.ok())
    return status;
  return true;
}

} // namespace coppice::rt
