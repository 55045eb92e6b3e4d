//===- Emulator.cpp - GPU kernels executed on the CPU ---------------------===//
//
// The public side: buffers, and the checks of a launch that the driver would
// make.
//
//===----------------------------------------------------------------------===//

#include "coppice/Emulator/Emulator.h"
#include "Numbers.h"
#include "ThreadBlock.h"
#include "mlir/Dialect/LLVMIR/NVVMDialect.h"
#include "llvm/Support/FormatVariadic.h"

using namespace mlir;

namespace coppice {

using namespace emulator;

KernelArgument KernelArgument::f32(float value) {
  return {bitsOf(value), 'f', 32};
}

StringRef stringify(Fault::Kind kind) {
  switch (kind) {
  case Fault::Kind::OutOfBounds:
    return "out of bounds";
  case Fault::Kind::Misaligned:
    return "misaligned";
  case Fault::Kind::Uninitialized:
    return "uninitialized";
  case Fault::Kind::Race:
    return "race";
  case Fault::Kind::UnfinishedCopy:
    return "unfinished copy";
  case Fault::Kind::CopyConflict:
    return "copy conflict";
  case Fault::Kind::Barrier:
    return "barrier";
  case Fault::Kind::Deadlock:
    return "deadlock";
  case Fault::Kind::Budget:
    return "budget";
  case Fault::Kind::Invalid:
    return "invalid";
  }
  return "";
}

static std::string print(const Dim3 &index) {
  return llvm::formatv("({0},{1},{2})", index[0], index[1], index[2]);
}

std::string Fault::str() const {
  std::string text =
      llvm::formatv("{0}: {1}, block {2}, thread {3}: {4}", stringify(kind),
                    describe(op), print(block), print(thread), message);
  if (count > 1)
    text += llvm::formatv(" ({0} times)", count);
  return text;
}

std::string LaunchReport::str() const {
  std::string text;
  for (const Fault &fault : faults)
    text += fault.str() + "\n";
  return text;
}

Emulator::Emulator(std::unique_ptr<emulator::Module> module)
    : module(std::move(module)) {}
Emulator::~Emulator() = default;

FailureOr<std::unique_ptr<Emulator>> Emulator::create(ModuleOp source) {
  auto module = std::make_unique<emulator::Module>();
  if (failed(decodeModule(source, *module)))
    return failure();
  return std::unique_ptr<Emulator>(new Emulator(std::move(module)));
}

uint64_t Emulator::addBuffer(StringRef name, void *data, uint64_t bytes,
                             BufferOptions options) {
  return module->memory.add(name, static_cast<uint8_t *>(data), bytes,
                            options.initialized, options.writable,
                            options.alignment);
}

//===--- Launches ---------------------------------------------------------===//

// Of all chips from sm_80 on; the largest shared memory is sm_90's.
constexpr uint64_t kMaxThreads = 1024;
constexpr uint64_t kMaxStaticShared = 48 << 10;
constexpr uint64_t kMaxShared = 227 << 10;

static llvm::Error refuse(const llvm::Twine &message) {
  return llvm::createStringError(message);
}

static llvm::Error checkLaunch(const Function &function, Dim3 grid, Dim3 block,
                               uint64_t dynamicShared,
                               ArrayRef<KernelArgument> arguments) {
  LLVM::LLVMFuncOp op = function.op;
  StringRef name = op.getSymName();
  uint64_t threads = uint64_t(block[0]) * block[1] * block[2];
  if (llvm::is_contained(grid, 0u) || threads == 0)
    return refuse("expected at least one thread, found grid " + print(grid) +
                  " and block " + print(block));
  if (grid[1] > 65535 || grid[2] > 65535 || threads > kMaxThreads ||
      block[2] > 64)
    return refuse("expected grid (..,65535,65535) and 1024 threads at most, "
                  "found grid " +
                  print(grid) + " and block " + print(block));
  if (auto required = op->getAttrOfType<DenseI32ArrayAttr>(
          NVVM::NVVMDialect::getReqntidAttrName()))
    for (auto [wanted, found] : llvm::zip(required.asArrayRef(), block))
      if (static_cast<uint32_t>(wanted) != found)
        return refuse("expected block (" +
                      llvm::join(llvm::map_range(required.asArrayRef(),
                                                 [](int32_t size) {
                                                   return std::to_string(size);
                                                 }),
                                 ",") +
                      ") as '" + name + "' requires, found " + print(block));
  if (auto largest = op->getAttrOfType<DenseI32ArrayAttr>(
          NVVM::NVVMDialect::getMaxntidAttrName())) {
    uint64_t limit = 1;
    for (int32_t size : largest.asArrayRef())
      limit *= size;
    if (threads > limit)
      return refuse("expected at most " + llvm::Twine(limit) + " threads in '" +
                    name + "', found " + llvm::Twine(threads));
  }
  if (dynamicShared && !function.usesDynamicShared)
    return refuse("expected no dynamic shared memory, which '" + name +
                  "' does not name, found " + llvm::Twine(dynamicShared) +
                  " bytes");
  if (function.staticShared > kMaxStaticShared)
    return refuse("expected at most " + llvm::Twine(kMaxStaticShared) +
                  " bytes of static shared memory in '" + name + "', found " +
                  llvm::Twine(function.staticShared));
  if (function.staticShared + dynamicShared > kMaxShared)
    return refuse("expected at most " + llvm::Twine(kMaxShared) +
                  " bytes of shared memory in '" + name + "', found " +
                  llvm::Twine(function.staticShared + dynamicShared));
  if (arguments.size() != function.arguments.size())
    return refuse("expected " + llvm::Twine(function.arguments.size()) +
                  " arguments of '" + name + "', found " +
                  llvm::Twine(arguments.size()));
  for (auto [index, pair] :
       llvm::enumerate(llvm::zip(function.arguments, arguments))) {
    auto [wanted, found] = pair;
    char kind = wanted.scalar.kind == Scalar::Pointer ? 'p'
                : wanted.scalar.kind == Scalar::Int   ? 'i'
                                                      : 'f';
    if (kind != found.kind || wanted.scalar.bits != found.width)
      return refuse("expected " + llvm::Twine(kind) +
                    llvm::Twine(unsigned(wanted.scalar.bits)) +
                    " as argument " + llvm::Twine(index) + " of '" + name +
                    "', found " + llvm::Twine(found.kind) +
                    llvm::Twine(found.width));
  }
  return llvm::Error::success();
}

llvm::Expected<LaunchReport>
Emulator::launch(StringRef kernel, Dim3 grid, Dim3 block,
                 uint64_t dynamicShared, ArrayRef<KernelArgument> arguments,
                 const EmulatorOptions &options) {
  auto found = module->kernels.find(kernel);
  if (found == module->kernels.end())
    return refuse("found no kernel '" + kernel + "'");
  const Function &function = found->second;
  if (llvm::Error error =
          checkLaunch(function, grid, block, dynamicShared, arguments))
    return error;

  Launch launch{function,
                module->memory,
                options,
                grid,
                block,
                dynamicShared,
                function.image,
                {},
                std::mt19937_64(options.seed)};
  for (auto [place, argument] : llvm::zip(function.arguments, arguments))
    launch.image[place.place] = argument.bits;
  // What earlier launches did happened before.
  module->memory.forgetAccesses();
  uint32_t index = 0;
  for (uint32_t z = 0; z < grid[2]; ++z)
    for (uint32_t y = 0; y < grid[1]; ++y)
      for (uint32_t x = 0; x < grid[0]; ++x) {
        ThreadBlock(launch, {x, y, z}, index++).run();
        if (launch.givenUp || launch.full)
          return std::move(launch.report);
      }
  return std::move(launch.report);
}

} // namespace coppice
