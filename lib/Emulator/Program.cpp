//===- Program.cpp - kernels as lists of instructions ---------------------===//

#include "Program.h"
#include "Numbers.h"
#include "ThreadBlock.h"
#include "mlir/Dialect/LLVMIR/LLVMTypes.h"
#include "mlir/Dialect/LLVMIR/NVVMDialect.h"
#include "llvm/Support/MathExtras.h"

using namespace mlir;

namespace coppice::emulator {

std::string describe(Operation *op) {
  std::string text;
  llvm::raw_string_ostream out(text);
  out << '\'' << op->getName() << "' at " << op->getLoc();
  return text;
}

//===--- Types ------------------------------------------------------------===//

namespace {

std::optional<Scalar> scalarType(Type type) {
  if (auto integer = dyn_cast<IntegerType>(type))
    if (integer.getWidth() <= 64)
      return Scalar{Scalar::Int, static_cast<uint8_t>(integer.getWidth()), 0};
  if (type.isF16())
    return Scalar{Scalar::F16, 16, 0};
  if (type.isBF16())
    return Scalar{Scalar::BF16, 16, 0};
  if (type.isF32())
    return Scalar{Scalar::F32, 32, 0};
  if (type.isF64())
    return Scalar{Scalar::F64, 64, 0};
  if (auto pointer = dyn_cast<LLVM::LLVMPointerType>(type))
    return Scalar{Scalar::Pointer, 64,
                  static_cast<uint8_t>(pointer.getAddressSpace())};
  return std::nullopt;
}

void append(Layout &layout, const Layout &part, uint64_t offset) {
  for (Leaf leaf : part.leaves) {
    leaf.offset += offset;
    layout.leaves.push_back(leaf);
  }
}

} // namespace

FailureOr<Layout> layoutOf(Type type) {
  Layout layout;
  if (std::optional<Scalar> scalar = scalarType(type)) {
    layout.leaves.push_back({*scalar, 0});
    layout.size = scalar->bytes();
    layout.alignment = llvm::PowerOf2Ceil(layout.size);
    return layout;
  }
  if (auto vector = dyn_cast<VectorType>(type)) {
    std::optional<Scalar> element = scalarType(vector.getElementType());
    if (!element || vector.isScalable() || vector.getRank() != 1)
      return failure();
    for (int64_t i = 0; i < vector.getNumElements(); ++i)
      layout.leaves.push_back(
          {*element, static_cast<uint32_t>(i * element->bytes())});
    layout.size = vector.getNumElements() * element->bytes();
    layout.alignment = llvm::PowerOf2Ceil(layout.size);
    return layout;
  }
  if (auto array = dyn_cast<LLVM::LLVMArrayType>(type)) {
    FailureOr<Layout> element = layoutOf(array.getElementType());
    if (failed(element))
      return failure();
    layout.alignment = element->alignment;
    uint64_t stride = llvm::alignTo(element->size, element->alignment);
    for (uint64_t i = 0; i < array.getNumElements(); ++i)
      append(layout, *element, i * stride);
    layout.size = array.getNumElements() * stride;
    return layout;
  }
  if (auto structure = dyn_cast<LLVM::LLVMStructType>(type)) {
    if (structure.isOpaque())
      return failure();
    for (Type member : structure.getBody()) {
      FailureOr<Layout> part = layoutOf(member);
      if (failed(part))
        return failure();
      uint64_t alignment = structure.isPacked() ? 1 : part->alignment;
      layout.size = llvm::alignTo(layout.size, alignment);
      layout.alignment = std::max(layout.alignment, alignment);
      append(layout, *part, layout.size);
      layout.size += part->size;
    }
    layout.size = llvm::alignTo(layout.size, layout.alignment);
    return layout;
  }
  return failure();
}

//===--- One kernel -------------------------------------------------------===//

InFlightDiagnostic FunctionDecoder::error(Operation *op) {
  return op->emitError("cannot be executed by the emulator: ");
}

uint32_t FunctionDecoder::placeOf(Value value) {
  auto [entry, added] = places.try_emplace(value, function.image.size());
  if (added) {
    // Types were checked where the value is defined.
    FailureOr<Layout> layout = layoutOf(value.getType());
    size_t count = succeeded(layout) ? layout->count() : 0;
    function.image.resize(function.image.size() + count);
  }
  return entry->second;
}

uint32_t FunctionDecoder::constant(uint64_t value) {
  function.image.push_back(value);
  return function.image.size() - 1;
}

void FunctionDecoder::setConstant(Value value, ArrayRef<uint64_t> registers) {
  uint32_t place = placeOf(value); // may grow the image
  llvm::copy(registers, function.image.begin() + place);
}

Instruction &FunctionDecoder::emit(Operation *op, Run run) {
  Instruction &at = function.code.emplace_back();
  at.run = run;
  at.op = op;
  if (op->getNumResults()) {
    at.result = placeOf(op->getResult(0));
    at.count = layoutOf(op->getResult(0).getType())->count();
  }
  for (Value operand : op->getOperands())
    at.operands.push_back(placeOf(operand));
  return at;
}

Instruction &FunctionDecoder::emitWarp(Operation *op, RunWarp run,
                                       std::optional<unsigned> maskOperand) {
  Instruction &at = emit(op, arriveAtWarp);
  at.warp = run;
  at.immediates.push_back(maskOperand ? int64_t(at.operands[*maskOperand])
                                      : -1);
  return at;
}

FailureOr<Scalar> FunctionDecoder::scalarOf(Operation *op, Value value) {
  FailureOr<Layout> layout = layoutOf(value.getType());
  if (failed(layout) || layout->leaves.empty() ||
      !llvm::all_of(layout->leaves, [&](const Leaf &leaf) {
        return leaf.scalar == layout->leaves.front().scalar;
      })) {
    error(op) << "expected a number or a vector of at most 64 bits an element, "
                 "found "
              << value.getType();
    return failure();
  }
  return layout->leaves.front().scalar;
}

void FunctionDecoder::patchTarget(unsigned index, Block *block) {
  patches.push_back({function.code.size() - 1, index, block});
}

LogicalResult FunctionDecoder::decode(Operation *op) {
  for (Value result : op->getResults())
    if (failed(layoutOf(result.getType())))
      return error(op) << "no registers for type " << result.getType();
  std::string name = op->getName().getStringRef().str();
  if (auto call = dyn_cast<LLVM::CallIntrinsicOp>(op))
    name += " " + call.getIntrin().str();
  else if (auto assembly = dyn_cast<LLVM::InlineAsmOp>(op))
    name += " " + assembly.getAsmString().str();
  else if (auto call = dyn_cast<LLVM::CallOp>(op))
    return error(op) << "calls are not, found one of '"
                     << call.getCallee().value_or("a pointer") << "'";
  auto found = table.find(name);
  if (found == table.end())
    return error(op) << "it does not know '" << name << "'";
  return found->second(*this, op);
}

LogicalResult FunctionDecoder::placeSharedMemory() {
  SmallVector<LLVM::GlobalOp> dynamic;
  uint64_t end = 0, declared = 0;
  // At an odd multiple of its alignment, so that whoever needs more than was
  // asked for meets a misaligned access.
  auto place = [&](uint64_t alignment) {
    uint64_t begin = llvm::alignTo(end, alignment);
    return begin % (2 * alignment) == 0 ? begin + alignment : begin;
  };
  auto alignmentOf = [](LLVM::GlobalOp global, const Layout &layout) {
    return std::max<uint64_t>(global.getAlignment().value_or(1),
                              layout.alignment);
  };
  WalkResult walk = function.op.walk([&](LLVM::AddressOfOp use) {
    auto global = SymbolTable::lookupNearestSymbolFrom<LLVM::GlobalOp>(
        use, use.getGlobalNameAttr());
    if (!global) {
      error(use) << "it knows no global '" << use.getGlobalName() << "'";
      return WalkResult::interrupt();
    }
    if (global.getAddrSpace() != kShared || addresses.contains(global))
      return WalkResult::advance();
    FailureOr<Layout> layout = layoutOf(global.getType());
    if (failed(layout)) {
      error(global) << "no layout for type " << global.getType();
      return WalkResult::interrupt();
    }
    if (global.getLinkage() == LLVM::Linkage::External && layout->size == 0) {
      dynamic.push_back(global);
      addresses[global] = 0;
      return WalkResult::advance();
    }
    addresses[global] = place(alignmentOf(global, *layout));
    end = addresses[global] + layout->size;
    declared += layout->size;
    return WalkResult::advance();
  });
  if (walk.wasInterrupted())
    return failure();
  function.staticShared = declared;
  uint64_t alignment = 1;
  for (LLVM::GlobalOp global : dynamic)
    alignment =
        std::max(alignment, alignmentOf(global, *layoutOf(global.getType())));
  function.usesDynamicShared = !dynamic.empty();
  function.dynamicShared = dynamic.empty() ? end : place(alignment);
  for (LLVM::GlobalOp global : dynamic)
    addresses[global] = function.dynamicShared;
  return success();
}

SmallVector<uint64_t> numbersOf(Attribute value) {
  SmallVector<uint64_t> bits;
  if (auto number = dyn_cast<IntegerAttr>(value))
    bits.push_back(number.getValue().getZExtValue());
  else if (auto number = dyn_cast<FloatAttr>(value))
    bits.push_back(number.getValue().bitcastToAPInt().getZExtValue());
  else if (auto numbers = dyn_cast<DenseIntElementsAttr>(value))
    for (const APInt &number : numbers.getValues<APInt>())
      bits.push_back(number.getZExtValue());
  else if (auto numbers = dyn_cast<DenseFPElementsAttr>(value))
    for (const APFloat &number : numbers.getValues<APFloat>())
      bits.push_back(number.bitcastToAPInt().getZExtValue());
  return bits;
}

/// The bytes of a constant; failure where it has none that are known.
static FailureOr<std::vector<uint8_t>> bytesOf(LLVM::GlobalOp global,
                                               const Layout &layout) {
  std::vector<uint8_t> bytes(layout.size);
  Attribute value = global.getValueOrNull();
  if (!value)
    return failure();
  if (auto text = dyn_cast<StringAttr>(value)) {
    if (text.size() > bytes.size())
      return failure();
    llvm::copy(text.getValue(), bytes.begin());
    return bytes;
  }
  SmallVector<uint64_t> registers = numbersOf(value);
  if (registers.size() != layout.leaves.size())
    return failure();
  for (auto [leaf, number] : llvm::zip(layout.leaves, registers))
    for (unsigned byte = 0; byte < leaf.scalar.bytes(); ++byte)
      bytes[leaf.offset + byte] = number >> (8 * byte);
  return bytes;
}

FailureOr<uint64_t> FunctionDecoder::addressOf(Operation *op,
                                               LLVM::GlobalOp global) {
  auto found = addresses.find(global);
  if (found != addresses.end())
    return found->second;
  FailureOr<Layout> layout = layoutOf(global.getType());
  FailureOr<std::vector<uint8_t>> bytes =
      succeeded(layout) ? bytesOf(global, *layout)
                        : FailureOr<std::vector<uint8_t>>(failure());
  if (failed(bytes) || !global.getConstant()) {
    error(op) << "expected '" << global.getSymName()
              << "' to be shared memory or a constant with a value";
    return failure();
  }
  auto &owned = module.globals.emplace_back(
      std::make_unique<std::vector<uint8_t>>(std::move(*bytes)));
  uint64_t alignment =
      std::max<uint64_t>(global.getAlignment().value_or(1), layout->alignment);
  return addresses[global] = module.memory.add(
             global.getSymName(), owned->data(), owned->size(),
             /*initialized=*/true, /*writable=*/false, alignment);
}

LogicalResult FunctionDecoder::run() {
  LLVM::LLVMFuncOp op = function.op;
  for (BlockArgument argument : op.getArguments()) {
    if (op.getArgAttr(argument.getArgNumber(), "llvm.byval"))
      return error(op) << "argument " << argument.getArgNumber()
                       << " is passed by value";
    FailureOr<Layout> layout = layoutOf(argument.getType());
    if (failed(layout) || layout->count() != 1)
      return error(op) << "expected pointers and numbers as arguments, found "
                       << argument.getType();
    function.arguments.push_back(
        {placeOf(argument), layout->leaves.front().scalar});
  }
  if (failed(placeSharedMemory()))
    return failure();
  for (Block &block : op.getBody()) {
    for (BlockArgument argument : block.getArguments())
      if (failed(layoutOf(argument.getType())))
        return error(op) << "no registers for type " << argument.getType();
    starts[&block] = function.code.size();
    for (Operation &inner : block)
      if (failed(decode(&inner)))
        return failure();
  }
  for (const Patch &patch : patches)
    function.code[patch.instruction].immediates[patch.immediate] =
        starts.lookup(patch.block);
  return success();
}

//===--- All kernels ------------------------------------------------------===//

LogicalResult decodeModule(ModuleOp source, Module &module) {
  OpTable table;
  addArithmetic(table);
  addMath(table);
  addAggregates(table);
  addControlFlow(table);
  addLoadsAndStores(table);
  addSpecialRegisters(table);
  addBarriers(table);
  addWarpExchange(table);
  addWarpMatrix(table);
  addAsyncCopies(table);
  WalkResult walk = source.walk([&](LLVM::LLVMFuncOp op) {
    if (!op->hasAttr(NVVM::NVVMDialect::getKernelFuncAttrName()) ||
        op.isExternal())
      return WalkResult::advance();
    Function &function = module.kernels[op.getName()];
    function.op = op;
    return failed(FunctionDecoder(module, table, function).run())
               ? WalkResult::interrupt()
               : WalkResult::advance();
  });
  return failure(walk.wasInterrupted());
}

} // namespace coppice::emulator
