// Checks the contract of a model's module (docs/architecture.md, section 1).
//
// In: a module that verifies. Out: success, or one error for each violation.
// Importers call checkModel() on what they made, the compiler on what it is
// given; everything after that relies on the contract.
#include "coppice/Dialect/Decoder/Transforms/Passes.h"

#include "coppice/Analysis/Sites.h"
#include "coppice/Dialect/Decoder/IR/Decoder.h"
#include "coppice/Dialect/Prune/IR/Prune.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/MLProgram/IR/MLProgram.h"
#include "llvm/ADT/StringMap.h"

namespace coppice::decoder {
#define GEN_PASS_DEF_DECODERCHECKMODEL
#include "coppice/Dialect/Decoder/Transforms/Passes.h.inc"
} // namespace coppice::decoder

using namespace mlir;
using namespace coppice;
using namespace coppice::decoder;

/// Checks that `names` of `what` are unique; `seen` has the first of each.
static LogicalResult checkUnique(llvm::StringMap<unsigned> &seen,
                                 func::FuncOp forward, StringRef what,
                                 StringRef name, unsigned argument) {
  auto [first, isNew] = seen.try_emplace(name, argument);
  if (isNew)
    return success();
  return forward.emitError()
         << "expected the " << what << " \"" << name
         << "\" once, found it as arguments #" << first->second << " and #"
         << argument << " of @forward";
}

/// Arguments are step fields, once each, and caches; gives the caches.
static LogicalResult checkArguments(func::FuncOp forward,
                                    SmallVectorImpl<unsigned> &caches) {
  LogicalResult result = success();
  llvm::StringMap<unsigned> fields, names;
  for (unsigned i = 0, e = forward.getNumArguments(); i < e; ++i) {
    auto field = forward.getArgAttrOfType<StringAttr>(i, kStepAttrName);
    auto cache = forward.getArgAttrOfType<StringAttr>(i, kCacheAttrName);
    if (!field == !cache) {
      result = forward.emitError()
               << "expected argument #" << i << " of @forward to have either '"
               << kStepAttrName << "' or '" << kCacheAttrName << "', found "
               << (field ? "both" : "neither");
      continue;
    }
    if (cache)
      caches.push_back(i);
    if (failed(field
                   ? checkUnique(fields, forward, "step field",
                                 field.getValue(), i)
                   : checkUnique(names, forward, "cache", cache.getValue(), i)))
      result = failure();
  }
  for (StringRef field : {"tokens", "slots", "positions", "head_rows"})
    if (!fields.contains(field))
      result = forward.emitError() << "expected @forward to have an argument "
                                      "with the step field \""
                                   << field << "\", found none";
  return result;
}

/// Results are the logits and the updated caches, in the arguments' order.
static LogicalResult checkResults(func::FuncOp forward, ModelAttr model,
                                  ArrayRef<unsigned> caches) {
  ArrayRef<Type> types = forward.getResultTypes();
  if (types.size() != 1 + caches.size())
    return forward.emitError()
           << "expected @forward to return the logits and " << caches.size()
           << " updated caches, found " << types.size() << " results";
  LogicalResult result = success();
  auto logits = dyn_cast<RankedTensorType>(types.front());
  if (!logits || logits.getRank() != 2 || !logits.getElementType().isF32() ||
      logits.getDimSize(1) != model.getVocabulary())
    result = forward.emitError()
             << "expected result #0 of @forward to be logits, [head rows, "
             << model.getVocabulary() << "] of f32, found " << types.front();
  for (auto [index, argument] : llvm::enumerate(caches))
    if (types[1 + index] != forward.getArgumentTypes()[argument])
      result = forward.emitError()
               << "expected result #" << 1 + index
               << " of @forward to be the updated cache of argument #"
               << argument << ", of type "
               << forward.getArgumentTypes()[argument] << ", found "
               << types[1 + index];
  return result;
}

/// Ops that compute a value of the model have a site, and it is theirs alone.
static LogicalResult checkSites(func::FuncOp forward) {
  LogicalResult result = success();
  llvm::StringMap<Operation *> seen;
  forward.walk([&](Operation *op) {
    if (isa<prune::ProjectOp, prune::ProjectByOp, prune::ReplaceOp>(op))
      return; // these name what they change
    StringRef site = getSite(op);
    if (site.empty()) {
      // A fill is the start of the reduction that follows, not a value.
      bool computes = isa<prune::GemmOp, linalg::LinalgOp>(op) ||
                      isa_and_nonnull<DecoderDialect>(op->getDialect());
      if (computes && !isa<linalg::FillOp>(op))
        result = op->emitOpError()
                 << "expected a site that names the op, found none";
      return;
    }
    auto [first, isNew] = seen.try_emplace(site, op);
    if (isNew)
      return;
    InFlightDiagnostic diagnostic = op->emitOpError()
                                    << "expected sites to be unique, found '"
                                    << site << "' again";
    diagnostic.attachNote(first->second->getLoc()) << "first used here";
    result = diagnostic;
  });
  return result;
}

/// A sublayer is skipped by its rows; of columns something must remain, else
/// there is nothing to compute with.
static LogicalResult checkProjections(func::FuncOp forward) {
  LogicalResult result = success();
  forward.walk([&](prune::ProjectOp project) {
    prune::SetAttr keep = project.getKeep();
    if (keep.hasDynamicCount() || keep.size() > 0)
      return;
    result = project.emitOpError()
             << "expected at least one of " << keep.getCount()
             << " to remain of '" << project.getSite()
             << "', found none; 'axis 0 keep #prune.set<none>' skips it whole";
  });
  return result;
}

LogicalResult coppice::decoder::checkModel(ModuleOp module) {
  auto model = module->getAttrOfType<ModelAttr>(kModelAttrName);
  if (!model)
    return module.emitError()
           << "expected a model: a module with the attribute '"
           << kModelAttrName << "'; 'coppice import' makes one";
  auto forward = module.lookupSymbol<func::FuncOp>("forward");
  if (!forward || !llvm::hasSingleElement(forward.getFunctionBody()))
    return module.emitError() << "expected a model to have a function @forward "
                                 "of one block, found "
                              << (forward ? "another body" : "none");

  LogicalResult result = success();
  SmallVector<unsigned> caches;
  if (failed(checkArguments(forward, caches)))
    result = failure();
  if (failed(checkResults(forward, model, caches)))
    result = failure();
  if (failed(checkSites(forward)))
    result = failure();
  if (failed(checkProjections(forward)))
    result = failure();
  for (auto global : module.getOps<ml_program::GlobalOp>())
    if (isa_and_nonnull<ml_program::ExternAttr>(global.getValueAttr()) &&
        !global->hasAttr(kSourceAttrName))
      result = global.emitError()
               << "expected the external weight @" << global.getSymName()
               << " to have '" << kSourceAttrName
               << "', found none; where a plan made it, 'coppice prune' "
                  "computes it";
  return result;
}

namespace {
struct DecoderCheckModel
    : decoder::impl::DecoderCheckModelBase<DecoderCheckModel> {
  void runOnOperation() override {
    if (failed(checkModel(getOperation())))
      return signalPassFailure();
    markAllAnalysesPreserved();
  }
};
} // namespace
