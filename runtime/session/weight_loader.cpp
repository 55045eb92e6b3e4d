#include "runtime/session/weight_loader.h"

#include "runtime/base/aligned_memory.h"
#include "runtime/base/concat.h"
#include "runtime/base/json.h"
#include "runtime/base/weight_generator.h"

#include <algorithm>
#include <atomic>
#include <cstring>
#include <future>

namespace coppice::rt {
namespace {

// Are all exponent bits set somewhere in [begin, end)? No branch in the loop,
// so that it vectorises: the check runs at memory speed.
template <typename Bits>
bool anyNonFinite(const Bits *data, int64_t begin, int64_t end, Bits exponent) {
  Bits found = 0;
  for (int64_t i = begin; i < end; ++i)
    found |= Bits((data[i] & exponent) == exponent);
  return found != 0;
}

template <typename Bits>
int64_t locateNonFinite(const void *data, int64_t begin, int64_t end,
                        Bits exponent) {
  const auto *bits = static_cast<const Bits *>(data);
  constexpr int64_t block = 4096;
  for (int64_t at = begin; at < end; at += block) {
    int64_t stop = std::min(at + block, end);
    if (!anyNonFinite(bits, at, stop, exponent))
      continue;
    while ((bits[at] & exponent) != exponent)
      ++at;
    return at;
  }
  return end;
}

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

int64_t firstNonFinite(DType dtype, const void *data, int64_t begin,
                       int64_t end) {
  switch (dtype) {
  case DType::F32:
    return locateNonFinite<uint32_t>(data, begin, end, 0x7F800000u);
  case DType::F16:
    return locateNonFinite<uint16_t>(data, begin, end, 0x7C00u);
  case DType::BF16:
    return locateNonFinite<uint16_t>(data, begin, end, 0x7F80u);
  case DType::F64:
    return locateNonFinite<uint64_t>(data, begin, end, 0x7FF0000000000000u);
  default:
    return end;
  }
}

Result<std::vector<void *>> loadWeights(const Bundle &bundle,
                                        DeviceHandle &device, bool allowNan) {
  // Hashing takes one thread; the others check and generate meanwhile. A wrong
  // hash is reported first: it explains whatever else is wrong.
  auto hashes = std::async(std::launch::async,
                           [&] { return bundle.checkWeightHashes(); });
  const Program &program = bundle.program();
  std::vector<void *> addresses;
  Status failure;
  for (size_t i = 0; failure.ok() && i < program.weights.size(); ++i) {
    const Weight &weight = program.weights[i];
    const auto *generated = std::get_if<GeneratedStorage>(&weight.storage);
    auto address = generated ? loadGenerated(weight, *generated, device)
                             : loadStored(weight, bundle.storedWeight(i),
                                          device, allowNan);
    if (address)
      addresses.push_back(*address);
    else
      failure = address.status();
  }
  if (Status status = hashes.get(); !status.ok())
    return status;
  if (!failure.ok())
    return failure;
  return addresses;
}

} // namespace coppice::rt
