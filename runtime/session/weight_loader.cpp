#include "runtime/session/weight_loader.h"

#include "runtime/base/aligned_memory.h"
#include "runtime/base/concat.h"
#include "runtime/base/finite.h"
#include "runtime/base/json.h"
#include "runtime/base/weight_generator.h"

#include <algorithm>
#include <atomic>
#include <cstring>

namespace coppice::rt {
namespace {

Status checkFinite(const Weight &weight, const void *data,
                   DeviceHandle &device) {
  if (!isFloat(weight.dtype))
    return {};
  int64_t count = weight.bytes / sizeOf(weight.dtype);
  constexpr int64_t block = 1 << 16;
  std::atomic<int64_t> first{count};
  device.hostParallel((count + block - 1) / block, [&](int64_t b, int64_t e) {
    int64_t end = std::min(e * block, count);
    int64_t found = firstNonFinite(weight.dtype, data, b * block, end);
    int64_t least = first.load(std::memory_order_relaxed);
    while (found < end && found < least &&
           !first.compare_exchange_weak(least, found))
      ;
  });
  if (first == count)
    return {};
  return invalidFile(
      concat("weight ", quote(weight.name), ": expected finite values, found ",
             loadAsF32(weight.dtype, data, first), " at element ", first.load(),
             " (--allow-nan accepts it)"));
}

Status checkHashes(const Bundle &bundle, DeviceHandle &device) {
  std::vector<Bundle::HashedPart> parts = bundle.hashedParts();
  std::atomic<size_t> first{parts.size()}; // that does not hold
  device.hostParallel(int64_t(parts.size()), [&](int64_t begin, int64_t end) {
    for (auto i = size_t(begin); i < size_t(end); ++i) {
      if (parts[i].holds())
        continue;
      size_t least = first.load();
      while (i < least && !first.compare_exchange_weak(least, i))
        ;
    }
  });
  return first == parts.size() ? Status() : bundle.hashFailure(parts[first]);
}

Status generate(const Weight &weight, const GeneratedStorage &storage,
                DeviceHandle &device, void *target) {
  auto layout =
      PackedLayout::make(storage.shape, storage.kept, storage.packing);
  if (!layout)
    return layout.status().at("weight " + quote(weight.name));
  WeightGenerator generator(storage.seed, storage.name, storage.mean,
                            storage.stddev);
  device.hostParallel(layout->rowCount(), [&](int64_t begin, int64_t end) {
    generateRows(generator, *layout, weight.dtype, target, begin, end);
  });
  return {};
}

Result<void *> loadGenerated(const Weight &weight,
                             const GeneratedStorage &storage,
                             DeviceHandle &device) {
  auto memory = device.allocate(weight.bytes);
  if (!memory)
    return memory.status().at("weight " + quote(weight.name));
  if (device.unified()) {
    Status status = generate(weight, storage, device, *memory);
    return status.ok() ? memory : Result<void *>(status);
  }
  auto staging = AlignedMemory::allocate(weight.bytes);
  if (!staging)
    return staging.status();
  Status status = generate(weight, storage, device, staging->data());
  if (status.ok())
    status = device.upload(*memory, staging->data(), weight.bytes);
  return status.ok() ? memory : Result<void *>(status);
}

Result<void *> loadStored(const Weight &weight,
                          std::span<const std::byte> stored,
                          DeviceHandle &device, bool allowNan) {
  if (!allowNan)
    if (Status status = checkFinite(weight, stored.data(), device);
        !status.ok())
      return status;
  if (device.unified()) // read-only pages: a kernel that writes would fault
    return static_cast<void *>(const_cast<std::byte *>(stored.data()));
  auto memory = device.allocate(weight.bytes);
  if (!memory)
    return memory.status().at("weight " + quote(weight.name));
  Status status = device.upload(*memory, stored.data(), weight.bytes);
  return status.ok() ? memory : Result<void *>(status);
}

} // namespace

Result<std::vector<void *>> loadWeights(const Bundle &bundle,
                                        DeviceHandle &device, bool allowNan) {
  // First: a wrong hash explains whatever else is wrong.
  if (Status status = checkHashes(bundle, device); !status.ok())
    return status;
  const Program &program = bundle.program();
  std::vector<void *> addresses;
  for (size_t i = 0; i < program.weights.size(); ++i) {
    const Weight &weight = program.weights[i];
    const auto *generated = std::get_if<GeneratedStorage>(&weight.storage);
    auto address = generated ? loadGenerated(weight, *generated, device)
                             : loadStored(weight, bundle.storedWeight(i),
                                          device, allowNan);
    if (!address)
      return address.status();
    addresses.push_back(*address);
  }
  return addresses;
}

} // namespace coppice::rt
