//===- KernelShell.cpp - the ABI of GPU kernels around a body -------------===//

#include "KernelShell.h"
#include "mlir/Dialect/Affine/Utils.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/LLVMIR/NVVMDialect.h"

using namespace mlir;

namespace coppice::nvptx {

constexpr StringLiteral kSharedName = "shared_memory";

Value KernelShell::extentOf(ImplicitLocOpBuilder &b, Value tensor,
                            unsigned dim) const {
  auto type = cast<RankedTensorType>(tensor.getType());
  if (!type.isDynamicDim(dim))
    return arith::ConstantOp::create(b,
                                     b.getI32IntegerAttr(type.getDimSize(dim)));
  unsigned arg = cast<BlockArgument>(tensor).getArgNumber();
  // createKernelShell has asked for all of them.
  return symbols[*getArgumentSymbol(kernel, arg, dim)];
}

void KernelShell::setSharedBytes(int64_t bytes) {
  function->setAttr(exec::sharedAttrName,
                    Builder(function.getContext()).getI64IntegerAttr(bytes));
}

void KernelShell::setResidentBlocks(int64_t blocks) {
  function->setAttr(NVVM::NVVMDialect::getMinctasmAttrName(),
                    Builder(function.getContext()).getI32IntegerAttr(blocks));
}

/// Fails, with a diagnostic, where an extent is not named.
static LogicalResult checkExtents(func::FuncOp kernel) {
  for (auto [arg, type] : llvm::enumerate(kernel.getArgumentTypes())) {
    auto tensor = dyn_cast<RankedTensorType>(type);
    if (!tensor)
      return kernel.emitError()
             << "expected argument " << arg
             << " of a kernel to be a ranked tensor, found " << type;
    for (unsigned dim = 0; dim < tensor.getRank(); ++dim)
      if (tensor.isDynamicDim(dim) &&
          failed(getArgumentSymbol(kernel, arg, dim)))
        return failure();
  }
  return success();
}

FailureOr<KernelShell> createKernelShell(ImplicitLocOpBuilder &b,
                                         func::FuncOp kernel) {
  auto grid = kernel->getAttrOfType<AffineMapAttr>(exec::gridAttrName);
  if (!grid)
    return kernel.emitError()
           << "expected '" << exec::gridAttrName << "' on a kernel for a GPU";
  FailureOr<int64_t> threads = getParameter(kernel, "threads");
  if (failed(threads) || failed(checkExtents(kernel)))
    return failure();
  if (*threads <= 0 || *threads > 1024 || *threads % 32)
    return kernel.emitError()
           << "expected 'threads' to be a multiple of 32 up to 1024, found "
           << *threads;

  KernelShell shell;
  shell.kernel = kernel;
  shell.threads = *threads;
  bool hasWorkspace = kernel->hasAttr(exec::workspaceAttrName);
  auto pointer = LLVM::LLVMPointerType::get(b.getContext());
  auto global = LLVM::LLVMPointerType::get(b.getContext(), 1);
  SmallVector<Type> types(kernel.getNumArguments() + hasWorkspace + 1, pointer);
  b.setInsertionPoint(kernel);
  shell.function =
      func::FuncOp::create(b, kernel.getName(), b.getFunctionType(types, {}));
  shell.function->setAttr(exec::threadsAttrName, b.getI64IntegerAttr(*threads));
  shell.setSharedBytes(0);
  Block *body = shell.function.addEntryBlock();
  b.setInsertionPointToStart(body);
  SmallVector<Value> pointers;
  for (Value argument : body->getArguments())
    pointers.push_back(LLVM::AddrSpaceCastOp::create(b, global, argument));
  shell.arguments.assign(pointers.begin(),
                         pointers.begin() + kernel.getNumArguments());
  if (hasWorkspace)
    shell.workspace = pointers[kernel.getNumArguments()];

  SmallVector<Value> indices;
  for (unsigned symbol = 0; symbol < exec::numSymbols; ++symbol) {
    Value address =
        LLVM::GEPOp::create(b, global, b.getI64Type(), pointers.back(),
                            LLVM::GEPArg(static_cast<int32_t>(symbol)));
    Value value = LLVM::LoadOp::create(b, b.getI64Type(), address);
    shell.symbols.push_back(arith::TruncIOp::create(b, b.getI32Type(), value));
    indices.push_back(arith::IndexCastOp::create(b, b.getIndexType(), value));
  }
  Value items = affine::expandAffineExpr(
      b, b.getLoc(), grid.getValue().getResult(0), {}, indices);
  shell.items = arith::IndexCastOp::create(b, b.getI32Type(), items);
  auto end = func::ReturnOp::create(b);
  b.setInsertionPoint(end);
  return shell;
}

Value getSharedMemory(ImplicitLocOpBuilder &b, func::FuncOp function) {
  auto module = function->getParentOfType<ModuleOp>();
  auto global = module.lookupSymbol<LLVM::GlobalOp>(kSharedName);
  if (!global) {
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPointToStart(module.getBody());
    global = LLVM::GlobalOp::create(
        b, LLVM::LLVMArrayType::get(b.getI8Type(), 0), /*isConstant=*/false,
        LLVM::Linkage::External, kSharedName, Attribute(), /*alignment=*/16,
        /*addrSpace=*/3);
  }
  return LLVM::AddressOfOp::create(b, global);
}

} // namespace coppice::nvptx
