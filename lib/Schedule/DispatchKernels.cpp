//===- DispatchKernels.cpp - ops of @forward as kernels
//----------------------===//
// In: an op and its signature. Out: a function of that op alone, free of names
// of the model; one function for all that are equal.
//===----------------------------------------------------------------------===//
#include "DispatchFormer.h"
#include "coppice/Dialect/Prune/IR/Prune.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"

using namespace mlir;
using namespace coppice;

/// What names the op within the model is no part of a kernel.
static void dropNames(Operation *op) {
  op->walk([](Operation *nested) {
    if (nested->getInherentAttr("site").value_or(nullptr))
      nested->setAttr("site", StringAttr::get(nested->getContext(), ""));
    if (auto gemm = dyn_cast<prune::GemmOp>(nested))
      gemm.removeValueAttr();
    nested->removeDiscardableAttr("prune.site");
    nested->removeDiscardableAttr("prune.kept");
    nested->removeDiscardableAttr("prune.threshold");
  });
}

FailureOr<func::FuncOp>
DispatchFormer::buildKernel(const DispatchItem &item,
                            DispatchSignature &signature) {
  MLIRContext *context = module.getContext();
  Location loc = UnknownLoc::get(context);
  SmallVector<Type> types;
  SmallVector<ArrayAttr> dims;
  for (Value input : signature.inputs) {
    types.push_back(input.getType());
    dims.push_back(getExtents(input));
  }
  for (auto [result, type] :
       llvm::zip_equal(item.op->getResults(), signature.resultTypes)) {
    types.push_back(type);
    dims.push_back(getExtents(result));
  }
  OwningOpRef<func::FuncOp> kernel = func::FuncOp::create(
      loc, "kernel", FunctionType::get(context, types, signature.resultTypes));
  Block *block = kernel->addEntryBlock();
  for (auto [index, type] : llvm::enumerate(types)) {
    if (cast<ShapedType>(type).hasStaticShape())
      continue;
    if (!dims[index])
      return item.op->emitError("the extents of operand ")
             << index << " are no symbols of the step";
    kernel->setArgAttr(index, exec::dimsAttrName, dims[index]);
  }

  OpBuilder body = OpBuilder::atBlockBegin(block);
  IRMapping mapping;
  for (auto [input, argument] :
       llvm::zip(signature.inputs, block->getArguments()))
    mapping.map(input, argument);
  ValueRange destinations =
      block->getArguments().drop_front(signature.inputs.size());
  if (signature.throughDestination)
    mapping.map(signature.throughDestination, destinations[0]);

  auto findExtent = [&](Attribute extent) -> Value {
    if (auto number = dyn_cast<IntegerAttr>(extent))
      return arith::ConstantIndexOp::create(body, loc, number.getInt());
    for (auto [index, list] : llvm::enumerate(dims))
      if (list && !cast<ShapedType>(types[index]).hasStaticShape())
        for (auto [axis, other] : llvm::enumerate(list))
          if (other == extent)
            return tensor::DimOp::create(body, loc, block->getArgument(index),
                                         static_cast<int64_t>(axis));
    return nullptr;
  };
  for (Operation *op : signature.cloned) {
    auto dim = dyn_cast<tensor::DimOp>(op);
    Attribute extent = dim ? getIndexExtent(dim.getResult()) : Attribute();
    if (!extent) {
      body.clone(*op, mapping);
      continue;
    }
    Value size = findExtent(extent);
    if (!size)
      return item.op->emitError("needs the extent ")
             << extent << ", which is that of none of its operands or results";
    mapping.map(dim.getResult(), size);
  }

  Operation *op = body.clone(*item.op, mapping);
  for (auto [result, original, destination] :
       llvm::zip_equal(op->getResults(), item.op->getResults(), destinations)) {
    if (Value old = getInit(original)) {
      OpBuilder::InsertionGuard guard(body);
      body.setInsertionPoint(op);
      Value init = destination;
      if (auto fill = old.getDefiningOp<linalg::FillOp>();
          fill && isCloned(fill))
        init = linalg::FillOp::create(
                   body, loc, mapping.lookupOrDefault(fill.getInputs()[0]),
                   destination)
                   .getResult(0);
      else if (Operation *producer = old.getDefiningOp();
               producer && isCloned(producer) &&
               !isa<tensor::EmptyOp>(producer))
        init =
            linalg::CopyOp::create(body, loc, mapping.lookup(old), destination)
                .getResult(0);
      getTiedInit(result)->set(init);
    }
  }
  func::ReturnOp::create(body, loc, op->getResults());
  dropNames(*kernel);
  return kernel.release();
}

/// A name that says what it is: kind, widths, storage type of the weights.
static std::string getKernelName(func::FuncOp kernel, Operation *op,
                                 exec::Kind kind) {
  std::string name = exec::stringifyKind(kind).str();
  if (kind == exec::Kind::Other)
    name = op->getName().stripDialect().str();
  llvm::raw_string_ostream os(name);
  if (auto gemm = dyn_cast<prune::GemmOp>(op)) {
    auto weight = gemm.getWeight().getType();
    os << "_n" << weight.getDimSize(0) << "_k" << weight.getDimSize(1) << "_"
       << weight.getElementType();
    if (prune::NMAttr pattern = gemm.getPatternAttr())
      os << "_" << pattern.getKept() << "of" << pattern.getOf();
    if (gemm.hasEpilogue())
      for (Operation &nested : gemm.getEpilogue().front().without_terminator())
        if (!isa<arith::ConstantOp>(nested))
          os << "_" << nested.getName().stripDialect();
  } else if (auto type = dyn_cast<RankedTensorType>(op->getResult(0).getType());
             type && type.getRank() > 0) {
    if (!type.isDynamicDim(type.getRank() - 1))
      os << "_" << type.getShape().back();
  }
  for (char &c : name)
    if (!llvm::isAlnum(c))
      c = '_';
  return name;
}

/// The kernel's name in @kernels; an equal one that is there already is used
/// again.
SymbolRefAttr DispatchFormer::internKernel(func::FuncOp kernel, Operation *op,
                                           exec::Kind kind) {
  kernel->setAttr(exec::kindAttrName,
                  builder.getStringAttr(exec::stringifyKind(kind)));
  std::string text;
  llvm::raw_string_ostream os(text);
  kernel->print(os, OpPrintingFlags().printGenericOpForm().useLocalScope());
  SymbolRefAttr &known = kernelByText[text];
  if (known) {
    kernel.erase();
    return known;
  }
  std::string name = getKernelName(kernel, op, kind);
  if (int count = kernelNames[name]++)
    name += "_v" + std::to_string(count);
  kernel.setName(name);
  kernels.push_back(kernel);
  ++numKernels;
  return known = SymbolRefAttr::get(
             module.getContext(), exec::kernelsModuleName,
             {FlatSymbolRefAttr::get(kernel.getSymNameAttr())});
}
