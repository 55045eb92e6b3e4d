// Comes in: a propagated module and what was read off it. Goes out: the
// assurance that an importer would make the same program of that.
//
// The importer's own builder makes a module of the description; ops are then
// compared name by name, so that their order does not matter. Ops without a
// name (destinations, extents, constants) are what an op with a name needs to
// stand where it stands, and are passed over.
#include "NarrowModel.h"

#include "coppice/Analysis/Sites.h"
#include "coppice/Dialect/Decoder/IR/Decoder.h"
#include "coppice/Dialect/Prune/Transforms/Passes.h"
#include "coppice/Import/ModelBuilder.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/IR/OperationSupport.h"
#include "mlir/Pass/PassManager.h"

using namespace mlir;
using namespace coppice;

namespace {
class ModelMatcher {
public:
  ModelMatcher(ModuleOp module, const NarrowModel &model)
      : module(module), model(model),
        forward(module.lookupSymbol<func::FuncOp>("forward")) {}

  LogicalResult run();

private:
  OwningOpRef<ModuleOp> build();
  LogicalResult matchWeights();
  LogicalResult matchOp(Operation *expected, Operation *found);
  LogicalResult matchOperands(Operation *expected, Operation *found);
  std::string describe(Value value, ModuleOp owner, bool rename);
  InFlightDiagnostic refuse(Operation *op) {
    return op->emitError() << "cannot be exported: ";
  }

  ModuleOp module;
  const NarrowModel &model;
  func::FuncOp forward;
  OwningOpRef<ModuleOp> built;
  DenseMap<Operation *, std::string> symbols; // of the module's globals
};
} // namespace

OwningOpRef<ModuleOp> ModelMatcher::build() {
  MLIRContext *context = module.getContext();
  // The plan that claims them would only rename weights.
  ModelDescription description = model.description;
  description.patterns.clear();
  OwningOpRef<ModuleOp> made = buildModel(
      *context, description, model.dtype, ModelOrigin(),
      [&](const ModelWeight &weight) -> Attribute {
        return decoder::GeneratedAttr::get(context, 0, weight.symbol, 1, 0);
      });
  PassManager passes(context);
  passes.addPass(prune::createPruneApplyPlan());
  return succeeded(passes.run(*made)) ? std::move(made)
                                      : OwningOpRef<ModuleOp>();
}

/// Each weight of the description is there, with its shape and type.
LogicalResult ModelMatcher::matchWeights() {
  for (const ModelWeight &weight : weightsOf(model.description)) {
    ml_program::GlobalOp found = model.weights.lookup(weight.symbol);
    if (!found)
      return refuse(forward) << "expected a weight '" << weight.symbol
                             << "', as in models of its kind, found none";
    auto expected = built->lookupSymbol<ml_program::GlobalOp>(weight.symbol);
    if (found.getType() != expected.getType())
      return refuse(found) << "expected the weight '" << weight.symbol
                           << "' to be " << expected.getType() << ", found "
                           << found.getType();
    symbols[found] = weight.symbol;
  }
  return success();
}

/// What a value is, in names that both modules share; empty if it needs none.
std::string ModelMatcher::describe(Value value, ModuleOp owner, bool rename) {
  auto name = [&](StringRef text) {
    return rename ? model.renamed(text) : text.str();
  };
  if (auto argument = dyn_cast<BlockArgument>(value)) {
    auto function = cast<func::FuncOp>(argument.getOwner()->getParentOp());
    unsigned index = argument.getArgNumber();
    if (auto cache = function.getArgAttrOfType<StringAttr>(
            index, decoder::kCacheAttrName))
      return "the cache " + name(cache.getValue());
    auto step =
        function.getArgAttrOfType<StringAttr>(index, decoder::kStepAttrName);
    return "the step's " + (step ? step.str() : std::string());
  }
  Operation *op = value.getDefiningOp();
  if (auto load = dyn_cast<ml_program::GlobalLoadConstOp>(op)) {
    auto global = owner.lookupSymbol<ml_program::GlobalOp>(
        load.getGlobal().getRootReference());
    // Tables are equal where their contents are: attributes are unique.
    if (auto values =
            dyn_cast_or_null<DenseElementsAttr>(global.getValueAttr()))
      return "the table " + std::to_string(reinterpret_cast<uintptr_t>(
                                values.getAsOpaquePointer()));
    auto found = symbols.find(global);
    return "the weight " +
           (found != symbols.end() ? found->second : global.getSymName().str());
  }
  StringRef site = getSite(op);
  return site.empty() ? "" : "the value of " + name(site);
}

LogicalResult ModelMatcher::matchOperands(Operation *expected,
                                          Operation *found) {
  auto generic = dyn_cast<linalg::GenericOp>(expected);
  for (OpOperand &operand : expected->getOpOperands()) {
    if (generic && generic.isDpsInit(&operand))
      continue;
    unsigned index = operand.getOperandNumber();
    std::string wanted = describe(operand.get(), *built, false),
                there = describe(found->getOperand(index), module, true);
    if (wanted != there)
      return refuse(found) << "expected operand #" << index << " of '"
                           << getSite(found) << "' to be "
                           << (wanted.empty() ? "something else" : wanted)
                           << ", found "
                           << (there.empty() ? "what has no name" : there);
  }
  return success();
}

/// Attributes that say how an op looks, not what it is called or once was. A
/// pattern is in the description, as it has been read off the op.
static SmallVector<NamedAttribute> getMeaning(Operation *op) {
  SmallVector<NamedAttribute> meaning;
  for (NamedAttribute attribute : op->getAttrDictionary()) {
    StringRef name = attribute.getName();
    if (name != "site" && name != prune::PruneDialect::siteAttrName &&
        name != prune::PruneDialect::keptAttrName && name != "pattern")
      meaning.push_back(attribute);
  }
  return meaning;
}

LogicalResult ModelMatcher::matchOp(Operation *expected, Operation *found) {
  StringRef site = getSite(found);
  if (auto attention = dyn_cast<decoder::AttentionOp>(found);
      attention && attention.getBlocks())
    return refuse(found)
           << "'" << site
           << "' looks at some blocks of positions, which no checkpoint says; "
              "without 'prune.blocks' in the plan it can be";
  if (expected->getName() != found->getName() ||
      expected->getNumOperands() != found->getNumOperands())
    return refuse(found) << "expected '" << site << "' to be a "
                         << expected->getName() << " of "
                         << expected->getNumOperands() << " operands, found a "
                         << found->getName() << " of "
                         << found->getNumOperands();
  if (expected->getResultTypes() != found->getResultTypes())
    return refuse(found) << "expected '" << site << "' to be of type "
                         << expected->getResultTypes() << ", found "
                         << found->getResultTypes();
  auto wanted = getMeaning(expected), there = getMeaning(found);
  for (size_t i = 0; i < std::max(wanted.size(), there.size()); ++i)
    if (i >= wanted.size() || i >= there.size() || wanted[i] != there[i]) {
      NamedAttribute differs = i < there.size() ? there[i] : wanted[i];
      return refuse(found) << "'" << site << "' has another '"
                           << differs.getName().getValue()
                           << "' than a model of these sizes";
    }
  for (auto [left, right] :
       llvm::zip_equal(expected->getRegions(), found->getRegions()))
    if (!OperationEquivalence::isRegionEquivalentTo(
            &left, &right, OperationEquivalence::IgnoreLocations))
      return refuse(found) << "'" << site << "' computes something else than "
                           << "in models of its kind";
  return matchOperands(expected, found);
}

LogicalResult ModelMatcher::run() {
  built = build();
  if (!built || failed(matchWeights()))
    return failure();
  auto expectedForward = built->lookupSymbol<func::FuncOp>("forward");

  llvm::StringMap<Operation *> found;
  forward.walk([&](Operation *op) {
    if (StringRef site = getSite(op); !site.empty())
      found[model.renamed(site)] = op;
  });
  WalkResult walked =
      expectedForward.walk([&](Operation *expected) -> WalkResult {
        StringRef site = getSite(expected);
        if (site.empty())
          return WalkResult::advance();
        auto entry = found.find(site);
        if (entry == found.end())
          return refuse(forward) << "expected '" << site
                                 << "', as in models of its kind, found none";
        Operation *op = entry->second;
        found.erase(entry);
        return matchOp(expected, op);
      });
  if (walked.wasInterrupted())
    return failure();
  if (!found.empty())
    return refuse(found.begin()->second)
           << "'" << getSite(found.begin()->second)
           << "' is no part of a model of its kind";
  Operation *results = forward.front().getTerminator();
  Operation *expected = expectedForward.front().getTerminator();
  if (results->getNumOperands() != expected->getNumOperands())
    return refuse(results) << "expected " << expected->getNumOperands()
                           << " results, found " << results->getNumOperands();
  return matchOperands(expected, results);
}

LogicalResult coppice::matchModel(ModuleOp module, const NarrowModel &model) {
  return ModelMatcher(module, model).run();
}
