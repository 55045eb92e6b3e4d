// See PlannedWeights.h.
#include "PlannedWeights.h"
#include "coppice/Dialect/Decoder/IR/Decoder.h"
#include "mlir/Dialect/MLProgram/IR/MLProgram.h"

using namespace mlir;
using namespace coppice;
using namespace coppice::prune;

Type coppice::prune::getStorage(const Sublayer &sublayer) {
  if (sublayer.sink)
    return getElementTypeOrSelf(getGemmOperands(sublayer.sink).weight->get());
  return Float32Type::get(sublayer.delta->get().getContext());
}

LogicalResult coppice::prune::checkPlannedWeights(
    Operation *op, StringRef file, ArrayRef<PlannedWeight> weights,
    Type storage, SafetensorsSetReader &files, StringRef directory) {
  std::string path = resolvePlanPath(op, file, directory);
  for (const PlannedWeight &weight : weights) {
    auto shape = files.find(
        path, weight.name, storage, [&] { return op->emitOpError(); },
        weight.shape.size());
    if (failed(shape))
      return failure();
    if (*shape != weight.shape)
      return op->emitOpError() << "'" << weight.name << "' of '" << path
                               << "': expected the shape [" << weight.shape
                               << "], found [" << *shape << "]";
  }
  return success();
}

Value PlannedWeightWriter::load(OpBuilder &builder, Location loc,
                                const PlannedWeight &weight) {
  MLIRContext *context = builder.getContext();
  auto type = RankedTensorType::get(weight.shape, storage);
  OpBuilder top(context);
  auto global = ml_program::GlobalOp::create(
      top, loc, weight.name, type, /*is_mutable=*/false,
      ml_program::ExternAttr::get(context, type), top.getStringAttr("private"));
  // Behind those that are there, ahead of the functions.
  auto module = cast<ModuleOp>(symbols.getOp());
  Block::iterator at = module.getBody()->begin();
  for (Operation &other : *module.getBody())
    if (isa<ml_program::GlobalOp>(other))
      at = std::next(other.getIterator());
  symbols.insert(global, at);
  Attribute source;
  if (file)
    source =
        decoder::FileAttr::get(context, file, weight.name, DenseI64ArrayAttr());
  else if (!openSources)
    source = decoder::GeneratedAttr::get(context, findSeed(), weight.name,
                                         weight.stddev, 0.0);
  if (source)
    global->setDiscardableAttr(decoder::kSourceAttrName, source);
  return ml_program::GlobalLoadConstOp::create(
      builder, loc, type, FlatSymbolRefAttr::get(global.getSymNameAttr()));
}

/// That of the model's weights, if they are generated too.
uint64_t PlannedWeightWriter::findSeed() {
  for (auto global :
       cast<ModuleOp>(symbols.getOp()).getOps<ml_program::GlobalOp>())
    if (auto generated = global->getAttrOfType<decoder::GeneratedAttr>(
            decoder::kSourceAttrName))
      return generated.getSeed();
  return 0;
}
