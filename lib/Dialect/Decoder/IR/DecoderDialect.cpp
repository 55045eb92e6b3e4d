// The decoder dialect itself: registration, and the rules of its discardable
// attributes (what they sit on, and the type of the argument that they name).
#include "coppice/Dialect/Decoder/IR/Decoder.h"

#include "mlir/Dialect/Affine/IR/AffineOps.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/MLProgram/IR/MLProgram.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/Interfaces/FunctionInterfaces.h"
#include "llvm/ADT/StringExtras.h"

using namespace mlir;
using namespace coppice::decoder;

#include "coppice/Dialect/Decoder/IR/DecoderDialect.cpp.inc"

void DecoderDialect::initialize() {
  registerAttributes();
  addOperations<
#define GET_OP_LIST
#include "coppice/Dialect/Decoder/IR/DecoderOps.cpp.inc"
      >();
}

StringRef coppice::decoder::getFileSha256(Operation *module, StringRef path) {
  if (auto model = module->getAttrOfType<ModelAttr>(kModelAttrName);
      model && model.getWeights() == path)
    return model.getWeightsSha256();
  auto others = module->getAttrOfType<DictionaryAttr>(kFilesAttrName);
  auto digest = others ? others.getAs<StringAttr>(path) : StringAttr();
  return digest ? digest.getValue() : StringRef();
}

LogicalResult DecoderDialect::verifyOperationAttribute(Operation *op,
                                                       NamedAttribute attr) {
  if (attr.getName() == kModelAttrName) {
    if (isa<ModuleOp>(op) && isa<ModelAttr>(attr.getValue()))
      return success();
    return op->emitOpError()
           << "expected '" << kModelAttrName
           << "' to be a #decoder.model on a module, found " << attr.getValue();
  }
  if (attr.getName() == kFilesAttrName) {
    auto files = dyn_cast<DictionaryAttr>(attr.getValue());
    if (isa<ModuleOp>(op) && files &&
        llvm::all_of(files, [](NamedAttribute file) {
          auto digest = dyn_cast<StringAttr>(file.getValue());
          return digest && digest.size() == 64 &&
                 llvm::all_of(digest.getValue(), llvm::isHexDigit);
        }))
      return success();
    return op->emitOpError()
           << "expected '" << kFilesAttrName
           << "' to be SHA-256 digests by path on a module, found "
           << attr.getValue();
  }
  if (attr.getName() == kRopeAttrName) {
    if (isa<ModuleOp>(op) && isa<RopeAttr>(attr.getValue()))
      return success();
    return op->emitOpError()
           << "expected '" << kRopeAttrName
           << "' to be a #decoder.rope on a module, found " << attr.getValue();
  }
  if (attr.getName() == kSourceAttrName) {
    if (isa<ml_program::GlobalOp>(op) &&
        isa<FileAttr, GeneratedAttr>(attr.getValue()))
      return success();
    return op->emitOpError()
           << "expected '" << kSourceAttrName
           << "' to be #decoder.file or #decoder.generated on an "
              "ml_program.global, found "
           << attr.getValue();
  }
  if (attr.getName() == kStepAttrName || attr.getName() == kCacheAttrName)
    return op->emitOpError() << "expected '" << attr.getName().getValue()
                             << "' on an argument of a function, found it on "
                                "an operation";
  return op->emitOpError() << "has an attribute that the decoder dialect does "
                              "not know: '"
                           << attr.getName().getValue() << "'";
}

LogicalResult DecoderDialect::verifyRegionArgAttribute(Operation *op,
                                                       unsigned region,
                                                       unsigned argument,
                                                       NamedAttribute attr) {
  auto function = dyn_cast<FunctionOpInterface>(op);
  if (!function || region != 0 || argument >= function.getNumArguments())
    return op->emitOpError() << "expected '" << attr.getName().getValue()
                             << "' on an argument of a function";
  // After bufferization an argument is a memref, and the rules stay the same;
  // in an llvm.func it is a pointer, of which nothing is asked.
  Type type = function.getArgumentTypes()[argument];
  bool lowered = !isa<func::FuncOp>(op);
  auto shaped = dyn_cast<ShapedType>(type);
  auto name = dyn_cast<StringAttr>(attr.getValue());

  if (attr.getName() == kStepAttrName) {
    if (!name || !llvm::is_contained(
                     {"tokens", "slots", "positions", "head_rows", "routes"},
                     name.getValue()))
      return op->emitOpError()
             << "expected '" << kStepAttrName
             << "' to be \"tokens\", \"slots\", \"positions\", "
                "\"head_rows\" or \"routes\", found "
             << attr.getValue() << " on argument #" << argument;
    if (name == "routes") {
      if (!lowered &&
          (!shaped || !shaped.hasRank() || shaped.getRank() != 2 ||
           shaped.isDynamicDim(1) || !shaped.getElementType().isInteger(8)))
        return op->emitOpError()
               << "expected the step field \"routes\" to be [rows, columns] of "
                  "i8 with a static number of columns, found "
               << type << " as argument #" << argument;
      return success();
    }
    if (!lowered && (!shaped || !shaped.hasRank() || shaped.getRank() != 1 ||
                     !shaped.getElementType().isInteger(32)))
      return op->emitOpError()
             << "expected the step field \"" << name.getValue()
             << "\" to be a vector of i32, found " << type << " as argument #"
             << argument;
    return success();
  }
  if (attr.getName() == kCacheAttrName) {
    if (!name || name.getValue().empty())
      return op->emitOpError()
             << "expected '" << kCacheAttrName
             << "' to be the name of a cache, found " << attr.getValue()
             << " on argument #" << argument;
    if (!lowered &&
        (!shaped || !shaped.hasRank() || shaped.getRank() != 3 ||
         shaped.isDynamicDim(2) || !isStorageType(shaped.getElementType())))
      return op->emitOpError()
             << "expected the cache \"" << name.getValue()
             << "\" to be [slots, context, width] of f32, f16 or bf16 with a "
                "static width, found "
             << type << " as argument #" << argument;
    return success();
  }
  return op->emitOpError() << "has an argument attribute that the decoder "
                              "dialect does not know: '"
                           << attr.getName().getValue() << "'";
}
