// The devices that sessions may run on.
#include "runtime/base/device.h"
#include "runtime/cpu/cpu_device.h"
#include "runtime/cuda/cuda_device.h"

#include <string_view>
#include <vector>

static std::vector<const coppice_device_driver *> &driverList() {
  static std::vector<const coppice_device_driver *> drivers = {
      &coppice::rt::cpuDriver, &coppice::rt::cudaDriver, nullptr};
  return drivers;
}

const coppice_device_driver *const *coppice_device_drivers(void) {
  return driverList().data();
}

void coppice_add_device_driver(const coppice_device_driver *driver) {
  auto &drivers = driverList();
  for (const coppice_device_driver *&known : drivers)
    if (known && std::string_view(known->name) == driver->name) {
      known = driver;
      return;
    }
  drivers.insert(drivers.end() - 1, driver);
}
