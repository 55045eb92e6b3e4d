//===- EmulatorDevice.cpp - the emulator behind the device ABI ------------===//
//
// In: `kernels.emu.CHIP.mlir`, a module in the LLVM and NVVM dialects, and what
// a session asks of a device (runtime/base/device.h). Addresses that it gives
// out are those of the emulator, not of the host, as on a GPU.
//
//===----------------------------------------------------------------------===//

#include "coppice/Emulator/EmulatorDevice.h"

#include "runtime/base/device.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/LLVMIR/NVVMDialect.h"
#include "mlir/IR/Diagnostics.h"
#include "mlir/Parser/Parser.h"

#include <cstring>
#include <map>

using namespace mlir;

namespace coppice {
namespace {

EmulatorOptions &deviceOptions() {
  static EmulatorOptions options;
  return options;
}

struct Kernel {
  std::string name;
  coppice_launch_shape shape;
};

struct Device {
  Device() {
    context.disableMultithreading(); // sessions come and go
    // Lowering leaves attributes of arith behind, which mean nothing any more.
    context.loadDialect<arith::ArithDialect, LLVM::LLVMDialect,
                        NVVM::NVVMDialect>();
  }

  MLIRContext context;
  OwningOpRef<ModuleOp> module;
  std::unique_ptr<Emulator> emulator;
  std::map<uint64_t, std::vector<char>> memory; // by device address
  std::map<std::string, Kernel> kernels;
  std::vector<int64_t> symbols; // of the step, as kernels read them
  uint64_t symbolsAddress = 0;
  uint64_t launches = 0;
};

Device &deviceOf(coppice_device *device) {
  return *reinterpret_cast<Device *>(device);
}
uint64_t addressOf(const void *pointer) {
  return reinterpret_cast<uint64_t>(pointer);
}

coppice_status fail(coppice_status code, const std::string &text,
                    coppice_device_message *message) {
  std::snprintf(message->text, sizeof(message->text), "%s", text.c_str());
  return code;
}

coppice_status check(const char *, const char *const *, size_t,
                     coppice_device_message *) {
  return COPPICE_OK;
}

coppice_status open(const coppice_device_options *, coppice_device **out,
                    coppice_device_message *) {
  *out = reinterpret_cast<coppice_device *>(new Device);
  return COPPICE_OK;
}

void close(coppice_device *device) { delete &deviceOf(device); }

coppice_status load(coppice_device *handle, const char *path,
                    coppice_module **out, coppice_device_message *message) {
  Device &device = deviceOf(handle);
  std::string errors;
  ScopedDiagnosticHandler handler(&device.context, [&](Diagnostic &diagnostic) {
    errors += (errors.empty() ? "" : "; ") + diagnostic.str();
  });
  device.module =
      parseSourceFile<ModuleOp>(path, ParserConfig(&device.context));
  if (!device.module)
    return fail(COPPICE_INVALID_FILE, "cannot load code: " + errors, message);
  FailureOr<std::unique_ptr<Emulator>> emulator =
      Emulator::create(*device.module);
  if (failed(emulator))
    return fail(COPPICE_INVALID_FILE, "cannot load code: " + errors, message);
  device.emulator = std::move(*emulator);
  *out = reinterpret_cast<coppice_module *>(device.module.get().getOperation());
  return COPPICE_OK;
}

void unload(coppice_device *, coppice_module *) {} // goes with the device

coppice_status findKernel(coppice_device *handle, coppice_module *,
                          const char *name, const coppice_launch_shape *shape,
                          coppice_kernel **out,
                          coppice_device_message *message) {
  Device &device = deviceOf(handle);
  if (!device.module->lookupSymbol<LLVM::LLVMFuncOp>(name))
    return fail(COPPICE_INVALID_FILE,
                std::string("expected kernel '") + name + "', found none",
                message);
  Kernel &kernel = device.kernels[name];
  kernel = {name, *shape};
  *out = reinterpret_cast<coppice_kernel *>(&kernel);
  return COPPICE_OK;
}

coppice_status allocate(coppice_device *handle, int64_t bytes, void **out,
                        coppice_device_message *message) {
  Device &device = deviceOf(handle);
  if (!device.emulator)
    return fail(COPPICE_INTERNAL, "expected code before memory", message);
  std::vector<char> memory(bytes);
  char *data = memory.data();
  uint64_t address = device.emulator->addBuffer(
      "memory " + std::to_string(device.memory.size()), data, bytes);
  device.memory.emplace(address, std::move(memory));
  *out = reinterpret_cast<void *>(address);
  return COPPICE_OK;
}

// The emulator forgets no buffer: memory goes with the device.
void release(coppice_device *, void *) {}

/// The host memory of [address, address + bytes); null if that is not inside
/// one allocation.
char *hostMemory(Device &device, const void *pointer, int64_t bytes) {
  auto block = device.memory.upper_bound(addressOf(pointer));
  if (block == device.memory.begin())
    return nullptr;
  --block;
  uint64_t offset = addressOf(pointer) - block->first;
  if (offset + static_cast<uint64_t>(bytes) > block->second.size())
    return nullptr;
  return block->second.data() + offset;
}

coppice_status copy(void *target, const void *source, int64_t bytes,
                    coppice_device_message *message) {
  if (!target || !source)
    return fail(COPPICE_INVALID_ARGUMENT,
                "expected a copy inside one allocation, found " +
                    std::to_string(bytes) + " bytes that are not",
                message);
  std::memcpy(target, source, static_cast<size_t>(bytes));
  return COPPICE_OK;
}

coppice_status upload(coppice_device *device, void *target, const void *source,
                      int64_t bytes, coppice_device_message *message) {
  if (bytes == 0)
    return COPPICE_OK;
  return copy(hostMemory(deviceOf(device), target, bytes), source, bytes,
              message);
}

coppice_status download(coppice_device *device, void *target,
                        const void *source, int64_t bytes,
                        coppice_device_message *message) {
  if (bytes == 0)
    return COPPICE_OK;
  return copy(target, hostMemory(deviceOf(device), source, bytes), bytes,
              message);
}

void setSymbols(Device &device, ArrayRef<int64_t> symbols) {
  if (device.symbols.empty()) {
    device.symbols.assign(symbols.begin(), symbols.end());
    BufferOptions options;
    options.writable = false;
    options.alignment = sizeof(int64_t);
    device.symbolsAddress =
        device.emulator->addBuffer("symbols", device.symbols.data(),
                                   symbols.size() * sizeof(int64_t), options);
  }
  llvm::copy(symbols, device.symbols.begin());
}

coppice_status launch(coppice_device *handle, coppice_kernel *kernelHandle,
                      void *const *args, size_t argCount,
                      const int64_t *symbols, size_t symbolCount, int64_t grid,
                      coppice_device_message *message) {
  Device &device = deviceOf(handle);
  const Kernel &kernel = *reinterpret_cast<Kernel *>(kernelHandle);
  if (grid == 0)
    return COPPICE_OK;
  setSymbols(device, ArrayRef(symbols, symbolCount));
  SmallVector<KernelArgument> arguments;
  for (void *argument : ArrayRef(args, argCount))
    arguments.push_back(KernelArgument::pointer(addressOf(argument)));
  arguments.push_back(KernelArgument::pointer(device.symbolsAddress));
  EmulatorOptions options = deviceOptions();
  options.seed += device.launches++;
  llvm::Expected<LaunchReport> report = device.emulator->launch(
      kernel.name, {static_cast<uint32_t>(grid), 1, 1},
      {static_cast<uint32_t>(kernel.shape.threads), 1, 1},
      kernel.shape.shared_bytes, arguments, options);
  std::string errors =
      report ? report->str() : llvm::toString(report.takeError());
  if (report && report->clean())
    return COPPICE_OK;
  return fail(COPPICE_INTERNAL, "kernel '" + kernel.name + "': " + errors,
              message);
}

coppice_status synchronize(coppice_device *, coppice_device_message *) {
  return COPPICE_OK; // launch returns when the work is done
}

int32_t threads(const coppice_device *) { return 1; }

void hostParallel(coppice_device *, int64_t count,
                  void (*body)(void *, int64_t, int64_t), void *context) {
  body(context, 0, count);
}

const coppice_device_driver emulatorDriver = {
    .name = "emu",
    .unified = 0,
    .check = check,
    .open = open,
    .close = close,
    .load = load,
    .unload = unload,
    .find_kernel = findKernel,
    .allocate = allocate,
    .release = release,
    .upload = upload,
    .download = download,
    .launch = launch,
    .synchronize = synchronize,
    .flush_caches = nullptr,
    .threads = threads,
    .host_parallel = hostParallel,
};

} // namespace

void addEmulatorDevice(const EmulatorOptions &options) {
  deviceOptions() = options;
  coppice_add_device_driver(&emulatorDriver);
}

} // namespace coppice
