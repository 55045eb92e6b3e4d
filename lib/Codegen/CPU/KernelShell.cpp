//===- KernelShell.cpp - the kernel ABI around a kernel's body ------------===//

#include "KernelShell.h"
#include "coppice/Codegen/KernelPlan.h"
#include "mlir/Conversion/LLVMCommon/MemRefBuilder.h"
#include "mlir/Conversion/LLVMCommon/TypeConverter.h"
#include "mlir/Dialect/Affine/IR/AffineOps.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"

using namespace mlir;

namespace coppice {

namespace {

/// Builds the memref of one argument from its base pointer.
class ArgumentBuilder {
public:
  ArgumentBuilder(OpBuilder &builder, Location loc, Value args, Value symbols,
                  bool halvesAsBits)
      : builder(builder), loc(loc), converter(builder.getContext()), args(args),
        symbols(symbols), halvesAsBits(halvesAsBits) {}

  FailureOr<TypedValue<MemRefType>> build(func::FuncOp kernel, unsigned arg);
  TypedValue<MemRefType> buildWorkspace(unsigned arg, AffineMap bytes);

private:
  TypedValue<MemRefType> build(MemRefType type, ArrayRef<Value> sizes,
                               unsigned arg);
  Value constant(int64_t value) {
    return LLVM::ConstantOp::create(builder, loc, builder.getI64Type(), value);
  }
  Value loadElement(Value base, Type type, int64_t index) {
    Value address = LLVM::GEPOp::create(builder, loc, base.getType(), type,
                                        base, LLVM::GEPArg(index));
    return LLVM::LoadOp::create(builder, loc, type, address);
  }
  Value loadSymbol(unsigned symbol) {
    Value &value = loaded[symbol];
    if (!value)
      value = loadElement(symbols, builder.getI64Type(), symbol);
    return value;
  }

  OpBuilder &builder;
  Location loc;
  LLVMTypeConverter converter;
  Value args, symbols;
  bool halvesAsBits;
  llvm::SmallDenseMap<unsigned, Value> loaded;
};

FailureOr<TypedValue<MemRefType>> ArgumentBuilder::build(func::FuncOp kernel,
                                                         unsigned arg) {
  auto tensor = dyn_cast<RankedTensorType>(kernel.getArgumentTypes()[arg]);
  if (!tensor)
    return kernel.emitError() << "expected argument " << arg
                              << " of a kernel to be a ranked tensor, found "
                              << kernel.getArgumentTypes()[arg];
  tensor = packedType(tensor, getArgumentPacking(kernel, arg));
  Type element = tensor.getElementType();
  if (halvesAsBits && (element.isF16() || element.isBF16()))
    element = builder.getI16Type();
  auto type = MemRefType::get(tensor.getShape(), element);

  SmallVector<Value> sizes;
  for (auto [dim, size] : llvm::enumerate(type.getShape())) {
    if (!ShapedType::isDynamic(size)) {
      sizes.push_back(constant(size));
      continue;
    }
    FailureOr<unsigned> symbol = getArgumentSymbol(kernel, arg, dim);
    if (failed(symbol))
      return failure();
    sizes.push_back(loadSymbol(*symbol));
  }
  return build(type, sizes, arg);
}

TypedValue<MemRefType> ArgumentBuilder::buildWorkspace(unsigned arg,
                                                       AffineMap bytes) {
  SmallVector<Value> values;
  for (unsigned symbol = 0; symbol < bytes.getNumSymbols(); ++symbol)
    values.push_back(arith::IndexCastOp::create(
        builder, loc, builder.getIndexType(), loadSymbol(symbol)));
  AffineMap floats =
      AffineMap::get(0, bytes.getNumSymbols(), bytes.getResult(0).floorDiv(4));
  Value size = affine::AffineApplyOp::create(builder, loc, floats, values);
  size = arith::IndexCastOp::create(builder, loc, builder.getI64Type(), size);
  return build(MemRefType::get(ShapedType::kDynamic, builder.getF32Type()),
               size, arg);
}

TypedValue<MemRefType>
ArgumentBuilder::build(MemRefType type, ArrayRef<Value> sizes, unsigned arg) {
  Value pointer = loadElement(args, args.getType(), arg);
  auto descriptor =
      MemRefDescriptor::poison(builder, loc, converter.convertType(type));
  descriptor.setAllocatedPtr(builder, loc, pointer);
  descriptor.setAlignedPtr(builder, loc, pointer);
  descriptor.setConstantOffset(builder, loc, 0);
  Value stride = constant(1);
  for (int64_t dim = type.getRank() - 1; dim >= 0; --dim) {
    descriptor.setSize(builder, loc, dim, sizes[dim]);
    descriptor.setStride(builder, loc, dim, stride);
    if (dim)
      stride = LLVM::MulOp::create(builder, loc, stride, sizes[dim]);
  }
  auto made =
      UnrealizedConversionCastOp::create(builder, loc, type, Value(descriptor));
  return cast<TypedValue<MemRefType>>(made.getResult(0));
}

} // namespace

FailureOr<KernelShell>
createKernelShell(OpBuilder &builder, func::FuncOp kernel, bool halvesAsBits) {
  Location loc = kernel.getLoc();
  auto pointer = LLVM::LLVMPointerType::get(builder.getContext());
  Type i64 = builder.getI64Type();
  builder.setInsertionPoint(kernel);
  KernelShell shell;
  shell.function = func::FuncOp::create(
      builder, loc, kernel.getName(),
      builder.getFunctionType({pointer, pointer, i64, i64}, {}));
  Block *body = shell.function.addEntryBlock();
  builder.setInsertionPointToStart(body);

  ArgumentBuilder arguments(builder, loc, body->getArgument(0),
                            body->getArgument(1), halvesAsBits);
  for (unsigned arg = 0; arg < kernel.getNumArguments(); ++arg) {
    FailureOr<TypedValue<MemRefType>> memref = arguments.build(kernel, arg);
    if (failed(memref)) {
      shell.function.erase();
      return failure();
    }
    shell.arguments.push_back(*memref);
  }
  if (auto bytes =
          kernel->getAttrOfType<AffineMapAttr>(exec::workspaceAttrName))
    shell.workspace =
        arguments.buildWorkspace(kernel.getNumArguments(), bytes.getValue());
  Type index = builder.getIndexType();
  shell.begin =
      arith::IndexCastOp::create(builder, loc, index, body->getArgument(2));
  shell.end =
      arith::IndexCastOp::create(builder, loc, index, body->getArgument(3));
  auto end = func::ReturnOp::create(builder, loc);
  builder.setInsertionPoint(end);
  return shell;
}

} // namespace coppice
