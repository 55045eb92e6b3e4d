// Comes in: a propagated module. Goes out: the description of the model that is
// left, and where the values of its weights are.
//
// Names are the handle: a GEMM, a norm or a bias of the site S has the weight
// `S.weight`, or `S` itself for a bias, in every module that an importer made
// and whatever pruning has done to it since.
#include "NarrowModel.h"

#include "coppice/Analysis/Sites.h"
#include "coppice/Dialect/Decoder/IR/Decoder.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"

#include <set>

using namespace mlir;
using namespace coppice;

std::string NarrowModel::renamed(StringRef site) const {
  StringRef prefix, rest = site;
  if (site.starts_with("residual."))
    prefix = "residual.";
  rest.consume_front(prefix);
  int64_t number;
  if (!rest.consume_front("layers.") || rest.consumeInteger(10, number))
    return site.str();
  auto found = llvm::lower_bound(layers, number);
  return (prefix + "layers." + Twine(found - layers.begin()) + rest).str();
}

namespace {
class ModelReader {
public:
  ModelReader(ModuleOp module) : module(module), symbols(module) {}

  FailureOr<NarrowModel> read();

private:
  bool choosesNothing(Operation *op);
  LogicalResult refuseOtherMaps();
  void listOps();
  LogicalResult readModelAttr();
  LogicalResult readRope();
  void readLayers();
  void readNorms();
  void readWeights();
  ResidualMap readMap(const std::string &sublayer);
  DenseIntElementsAttr tableOf(prune::GatherOp gather);

  template <typename Op> Op find(const Twine &site) {
    return dyn_cast_or_null<Op>(ops.lookup(site.str()));
  }
  bool has(StringRef suffix) {
    return llvm::any_of(ops, [&](const auto &entry) {
      return entry.first().starts_with("layers.") &&
             entry.first().ends_with(suffix);
    });
  }
  /// Columns of a row tensor.
  static int64_t widthOf(Value value) {
    return cast<RankedTensorType>(value.getType()).getDimSize(1);
  }
  ml_program::GlobalOp globalOf(Value value) {
    auto load = value.getDefiningOp<ml_program::GlobalLoadConstOp>();
    return load ? symbols.lookup<ml_program::GlobalOp>(
                      load.getGlobal().getRootReference())
                : ml_program::GlobalOp();
  }

  ModuleOp module;
  SymbolTable symbols;
  func::FuncOp forward;
  llvm::StringMap<Operation *> ops; // by site
  NarrowModel model;
};
} // namespace

/// What columns a gather takes; null if no constant says.
DenseIntElementsAttr ModelReader::tableOf(prune::GatherOp gather) {
  ml_program::GlobalOp table = globalOf(gather.getColumns());
  return table ? dyn_cast_or_null<DenseIntElementsAttr>(table.getValueAttr())
               : DenseIntElementsAttr();
}

/// Does the op choose columns, and none?
bool ModelReader::choosesNothing(Operation *op) {
  if (auto project = dyn_cast<prune::ProjectOp>(op))
    return project.getKeep().isEmpty();
  auto gather = dyn_cast<prune::GatherOp>(op);
  DenseIntElementsAttr table =
      gather ? tableOf(gather) : DenseIntElementsAttr();
  return table && llvm::all_of(table.getValues<int32_t>(),
                               [](int32_t column) { return column < 0; });
}

/// Columns are chosen where the residual meets what a sublayer adds, and
/// nowhere else. Said first, for whoever reads other columns has other sizes by
/// them.
LogicalResult ModelReader::refuseOtherMaps() {
  WalkResult walked = forward.walk([&](Operation *op) -> WalkResult {
    auto gather = dyn_cast<prune::GatherOp>(op);
    const bool isMap = gather && !gather.getSite().empty();
    if (isMap || !isa<prune::GatherOp, prune::RestrictOp, prune::ExtendOp,
                      prune::ProjectOp>(op))
      return WalkResult::advance();
    if (choosesNothing(op))
      return op->emitError()
             << "cannot be exported: expected each sublayer to read a column "
                "of the residual, found one that reads zeros alone: the sets "
                "of 'hidden' before and behind what is skipped have no column "
                "in common; keep one in all of them";
    return op->emitError() << "cannot be exported: expected columns to be "
                              "chosen by maps of the residual alone, found "
                              "another projection here";
  });
  return failure(walked.wasInterrupted());
}

void ModelReader::listOps() {
  std::set<int64_t> layers;
  forward.walk([&](Operation *op) {
    StringRef site = getSite(op);
    if (site.empty())
      return;
    ops[site] = op;
    const bool isMap = site.consume_front("residual.");
    std::optional<LayerSite> layer = parseLayerSite(site);
    if (layer && (isMap || isa<decoder::AttentionOp>(op) ||
                  site == (layer->layerName + ".mlp.down").str()))
      layers.insert(layer->layer);
  });
  model.layers.assign(layers.begin(), layers.end());
}

LogicalResult ModelReader::readModelAttr() {
  auto attr =
      module->getAttrOfType<decoder::ModelAttr>(decoder::kModelAttrName);
  ModelDescription &m = model.description;
  m.name = attr.getName();
  m.family = attr.getFamily();
  m.vocabulary = attr.getVocabulary();
  m.headDim = attr.getHeadDim();
  m.context = attr.getContextLength();
  m.bos = attr.getBos();
  m.eos.assign(attr.getEos().asArrayRef().begin(),
               attr.getEos().asArrayRef().end());
  model.dtype = attr.getDtype().isBF16()  ? rt::DType::BF16
                : attr.getDtype().isF16() ? rt::DType::F16
                                          : rt::DType::F32;
  return readRope();
}

LogicalResult ModelReader::readRope() {
  auto rope = module->getAttrOfType<decoder::RopeAttr>(decoder::kRopeAttrName);
  if (!rope)
    return module.emitError()
           << "expected a model that says where its rotary frequencies come "
              "from ('"
           << decoder::kRopeAttrName
           << "'), to be exported, found none; 'coppice import' makes one";
  ModelDescription &m = model.description;
  m.rotaryBase = rope.getTheta().getValueAsDouble();
  if (auto table = find<decoder::RotaryTableOp>("rotary")) {
    const int64_t turned = 2 * int64_t(table.getFrequencies().size());
    m.rotaryDim = turned == m.headDim ? 0 : turned;
  }
  if (!rope.getScaling().empty()) {
    m.scaling.kind = rope.getScaling() == "linear"
                         ? RotaryScaling::Kind::Linear
                         : RotaryScaling::Kind::Llama3;
    m.scaling.factor = rope.getFactor().getValueAsDouble();
  }
  if (m.scaling.kind == RotaryScaling::Kind::Llama3) {
    m.scaling.lowFrequencyFactor = rope.getLowFreqFactor().getValueAsDouble();
    m.scaling.highFrequencyFactor = rope.getHighFreqFactor().getValueAsDouble();
    m.scaling.originalContext = rope.getOriginalContext();
  }
  return success();
}

/// What the residual becomes before `sublayer` adds to it.
ResidualMap ModelReader::readMap(const std::string &sublayer) {
  auto gather = find<prune::GatherOp>("residual." + sublayer);
  if (!gather)
    return {};
  ResidualMap map{widthOf(gather.getResult()), {}};
  if (DenseIntElementsAttr table = tableOf(gather))
    map.columns.assign(table.value_begin<int32_t>(),
                       table.value_end<int32_t>());
  return map;
}

void ModelReader::readLayers() {
  ModelDescription &m = model.description;
  for (int64_t number : model.layers) {
    LayerDescription &layer = m.layers.emplace_back();
    std::string name = ("layers." + Twine(number)).str();
    if (auto core = find<decoder::AttentionOp>(name + ".attn.core")) {
      layer.heads = core.getQueryHeads();
      layer.kvHeads = core.getKvHeads();
      layer.window = static_cast<int64_t>(core.getWindow().value_or(0));
    }
    for (auto [site, rank] : rankedProjections)
      if (auto v = find<prune::GemmOp>(name + "." + site + ".v"))
        layer.ranks.*rank = widthOf(v.getResult());
    if (auto down = find<prune::GemmOp>(
            name + (layer.ranks.down ? ".mlp.down.v" : ".mlp.down")))
      layer.intermediate = widthOf(down.getInput());
    layer.attentionMap = readMap(name + ".attn");
    layer.mlpMap = readMap(name + ".mlp");
  }
  m.qkvBias = has(".attn.q.bias");
  m.outputBias = has(".attn.o.bias");
  m.mlpBias = has(".mlp.down.bias");
  m.qkNorm = has(".attn.q.norm");
}

/// Their epsilon and what their mean is over are one for all.
void ModelReader::readNorms() {
  ModelDescription &m = model.description;
  bool isNarrower = false;
  for (const auto &entry : ops) {
    auto norm = dyn_cast<decoder::RMSNormOp>(entry.second);
    if (norm && !norm.getHeadDim())
      isNarrower |= int64_t(norm.getDivisor()) != widthOf(norm.getInput());
  }
  if (auto last = find<decoder::RMSNormOp>("final.norm")) {
    m.epsilon = last.getEpsilon().convertToFloat();
    m.normWidth = isNarrower ? int64_t(last.getDivisor()) : 0;
  }
}

void ModelReader::readWeights() {
  auto record = [&](const std::string &symbol, Value value) {
    if (ml_program::GlobalOp global = globalOf(value))
      model.weights[symbol] = global;
  };
  for (const auto &entry : ops) {
    std::string site = model.renamed(entry.first());
    if (auto gemm = dyn_cast<prune::GemmOp>(entry.second)) {
      record(site + ".weight", gemm.getWeight());
      if (prune::NMAttr pattern = gemm.getPatternAttr())
        model.description.patterns[site] = {pattern.getKept(), pattern.getOf()};
    } else if (auto norm = dyn_cast<decoder::RMSNormOp>(entry.second))
      record(site + ".weight", norm.getGain());
    else if (auto lookup = dyn_cast<decoder::LookupOp>(entry.second))
      record(site + ".weight", lookup.getTable());
    else if (auto generic = dyn_cast<linalg::GenericOp>(entry.second);
             generic && entry.first().ends_with(".bias") &&
             generic.getNumDpsInputs() == 2)
      record(site, generic.getInputs()[1]);
  }
  // One table for both is the embedding's.
  auto head = model.weights.find("lm_head.weight");
  model.description.tied = head != model.weights.end() &&
                           head->second == model.weights.lookup("embed.weight");
  if (model.description.tied)
    model.weights.erase("lm_head.weight");
}

FailureOr<NarrowModel> ModelReader::read() {
  forward = module.lookupSymbol<func::FuncOp>("forward");
  if (failed(refuseOtherMaps()))
    return failure();
  listOps();
  auto embed = find<decoder::LookupOp>("embed");
  if (!embed)
    return forward.emitError() << "expected an embedding, a decoder.lookup "
                                  "named 'embed', to be exported, found none";
  model.description.hidden = widthOf(embed.getResult());
  if (failed(readModelAttr()))
    return failure();
  readLayers();
  readNorms();
  readWeights();
  auto refuse = [&] {
    return forward.emitError()
           << "cannot be exported, for no importer would take what is left: ";
  };
  if (model.layers.empty())
    return refuse() << "expected a layer that has attention or an MLP, found "
                       "none";
  if (rt::Status status = checkDescription(model.description); !status.ok())
    return refuse() << status.message();
  return std::move(model);
}

FailureOr<NarrowModel> coppice::readNarrowModel(ModuleOp module) {
  return ModelReader(module).read();
}
