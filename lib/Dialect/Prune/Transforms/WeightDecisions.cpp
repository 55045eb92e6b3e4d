// Comes in: a module whose sites are prune.gemm, and a plan. Goes out: a
// prune.replace in front of each GEMM whose weight changes, and globals for the
// new weights.
//
// Where new weights come from is written on their globals as it is for all
// weights. Three cases are known here: factors of a file, an old weight that
// only claims a pattern, and factors of a generated weight, which are generated
// too. In all other cases (truncated SVD, a pattern or a sparsity by magnitude,
// a mask) someone has to compute, and the source stays open
// (`ChangeWeights.h`).
#include "WeightDecisions.h"
#include "coppice/Analysis/SiteGlob.h"
#include "coppice/Analysis/Sites.h"
#include "coppice/Dialect/Decoder/IR/Decoder.h"
#include "mlir/Dialect/MLProgram/IR/MLProgram.h"
#include "llvm/ADT/MapVector.h"
#include "llvm/ADT/StringSet.h"
#include "llvm/Support/Path.h"
#include <cmath>

using namespace mlir;
using namespace coppice;
using namespace coppice::prune;

namespace {
/// What a plan says about the weight of one GEMM.
struct WeightDecision {
  GemmOp gemm;
  ml_program::GlobalOp global; // of the weight as it is
  DecisionOpInterface op;
  int64_t rank = 0;
  SetAttr retain; // null: no row
};

class WeightPlanReader {
public:
  WeightPlanReader(ModuleOp module, const WeightDecisionOptions &options)
      : symbols(module), options(options) {
    module.walk([&](GemmOp gemm) {
      // A layer's router is none of its sublayers, whatever its name looks
      // like.
      std::optional<LayerSite> site = parseLayerSite(gemm.getSite());
      bool isRouter = site && site->sublayer.ends_with(".router");
      if (!gemm.getSite().empty() && !isRouter)
        gemms[gemm.getSite()] = gemm;
    });
    module.walk([&](ProjectOp project) {
      if (project.getAxis() == 0 && project.getKeep().isEmpty())
        skipped.insert(project.getSite());
    });
  }

  LogicalResult read(PlanOp plan) {
    for (auto op : plan.getBody().front().getOps<DecisionOpInterface>())
      if (isa<FactorOp, PatternOp, MaskOp>(op) && failed(readOne(op)))
        return failure();
    return success();
  }

  /// In the order of the program.
  void apply();
  int64_t size() const { return decisions.size(); }

private:
  LogicalResult readOne(DecisionOpInterface op);
  LogicalResult readGemm(DecisionOpInterface op, GemmOp gemm);
  LogicalResult readFactor(FactorOp op, WeightDecision &decision);
  LogicalResult readFactorFile(FactorOp op, WeightDecision &decision,
                               int64_t rows);
  LogicalResult readMask(MaskOp op, GemmOp gemm);
  std::string resolvePath(Operation *op, StringRef path) const {
    return resolvePlanPath(op, path, options.directory);
  }

  void apply(const WeightDecision &decision, SymbolTable &table);
  Value makeWeight(const WeightDecision &decision, SymbolTable &table,
                   StringRef step, ArrayRef<int64_t> shape, double stddev);

  SymbolTable symbols;
  const WeightDecisionOptions &options;
  SafetensorsSetReader files;
  llvm::MapVector<StringRef, GemmOp> gemms;
  llvm::StringSet<> skipped;
  llvm::MapVector<Operation *, WeightDecision> decisions; // by GEMM
};
} // namespace

//===----------------------------------------------------------------------===//
// Reading
//===----------------------------------------------------------------------===//

LogicalResult WeightPlanReader::readOne(DecisionOpInterface op) {
  std::string error;
  std::optional<SiteGlob> glob = SiteGlob::parse(op.getSites(), error);
  if (!glob)
    return op->emitOpError() << "'" << op.getSites() << "': " << error;
  SmallVector<GemmOp> found;
  for (auto &[site, gemm] : gemms)
    if (glob->match(site))
      found.push_back(gemm);
  auto describe = [&](InFlightDiagnostic diagnostic) {
    if (!gemms.empty())
      diagnostic << "; the model has such as '" << gemms.front().first
                 << "' and '" << gemms.back().first << "'";
    return diagnostic;
  };
  if (found.empty())
    return describe(op->emitOpError()
                    << "'" << op.getSites()
                    << "' names no matrix multiplication of the model");
  if (std::optional<std::string> unmatched = glob->findUnmatched())
    return describe(op->emitOpError()
                    << "'" << *unmatched << "' in '" << op.getSites()
                    << "' is out of range: nothing of the model matches it");
  // Of what is gone there is no weight to change.
  auto isGone = [&](GemmOp gemm) {
    std::optional<LayerSite> site = parseLayerSite(gemm.getSite());
    return site && skipped.contains(site->sublayer);
  };
  // But a claim asks for no change: of what is gone it is as true as before.
  auto pattern = dyn_cast<PatternOp>(op.getOperation());
  const bool isClaim = pattern && !pattern.getByMagnitude();
  if (!isClaim && llvm::all_of(found, isGone))
    return op->emitOpError()
           << "expected '" << op.getSites()
           << "' to name a weight that is left, found only such of sublayers "
              "that are skipped";
  for (GemmOp gemm : found)
    if (!isGone(gemm) && failed(readGemm(op, gemm)))
      return failure();
  return success();
}

LogicalResult WeightPlanReader::readGemm(DecisionOpInterface op, GemmOp gemm) {
  if (auto twice = decisions.find(gemm); twice != decisions.end()) {
    InFlightDiagnostic diagnostic = op->emitOpError()
                                    << "the weight of '" << gemm.getSite()
                                    << "' is decided about twice";
    diagnostic.attachNote(twice->second.op->getLoc())
        << "the other decision, about '" << twice->second.op.getSites()
        << "', is here";
    return diagnostic;
  }
  auto load = gemm.getWeight().getDefiningOp<ml_program::GlobalLoadConstOp>();
  auto global = load ? symbols.lookup<ml_program::GlobalOp>(
                           load.getGlobal().getLeafReference())
                     : ml_program::GlobalOp();
  if (!global || !gemm.getWeight().getType().hasStaticShape())
    return (op->emitOpError() << "expected the weight of '" << gemm.getSite()
                              << "' to be a constant of the module")
               .attachNote(gemm.getLoc())
           << "found another one here";
  WeightDecision decision{gemm, global, op, 0, {}};
  auto factor = dyn_cast<FactorOp>(op.getOperation());
  auto mask = dyn_cast<MaskOp>(op.getOperation());
  if ((factor && failed(readFactor(factor, decision))) ||
      (mask && failed(readMask(mask, gemm))))
    return failure();
  decisions.insert({gemm.getOperation(), decision});
  return success();
}

/// The site whose weight is two factors in the model itself, where `site` is
/// that of one of them: of U the site's own, of V `SITE.v`. Else nothing.
static StringRef findFactored(const llvm::MapVector<StringRef, GemmOp> &gemms,
                              StringRef site) {
  if (gemms.contains((site + ".v").str()))
    return site;
  return site.consume_back(".v") && gemms.contains(site) ? site : StringRef();
}

LogicalResult WeightPlanReader::readFactor(FactorOp op,
                                           WeightDecision &decision) {
  if (StringRef pair = findFactored(gemms, decision.gemm.getSite());
      !pair.empty())
    return op.emitOpError()
           << "expected a weight that is one matrix, to be factored, found '"
           << decision.gemm.getSite() << "' of '" << pair
           << "', which is two factors already";
  RankedTensorType type = decision.gemm.getWeight().getType();
  int64_t n = type.getDimSize(0), k = type.getDimSize(1);
  if (PlannedSetAttrInterface set = op.getRetainAttr()) {
    auto emitError = [&] {
      return op.emitOpError() << "rows of '" << decision.gemm.getSite()
                              << "', of which there are " << n << ": ";
    };
    files.setDirectory(
        llvm::sys::path::parent_path(resolvePath(op, "x")).str());
    FailureOr<SmallVector<int64_t>> rows = set.resolve(n, files, emitError);
    if (failed(rows))
      return failure();
    if (static_cast<int64_t>(rows->size()) == n)
      return emitError() << "expected some not to be retained, found none";
    if (!rows->empty())
      decision.retain = SetAttr::fromIndices(op.getContext(), *rows, n);
    // An external set becomes a literal, as those of 'prune.keep' do.
    if (decision.retain)
      op->setAttr(op.getRetainAttrName(), decision.retain);
  }
  int64_t rows = n - (decision.retain ? decision.retain.getKeptExtent() : 0);
  if (op.getFile())
    return readFactorFile(op, decision, rows);
  decision.rank = static_cast<int64_t>(*op.getRank());
  if (decision.rank > std::min(rows, k))
    return op.emitOpError()
           << "expected a rank of at most " << std::min(rows, k) << " for the "
           << rows << " x " << k << " weight of '" << decision.gemm.getSite()
           << "', found " << decision.rank;
  return success();
}

/// Both factors must be there, of the weight's type, and fit.
LogicalResult WeightPlanReader::readFactorFile(FactorOp op,
                                               WeightDecision &decision,
                                               int64_t rows) {
  std::string file = resolvePath(op, *op.getFile());
  auto emitError = [&] { return op.emitOpError(); };
  RankedTensorType type = decision.gemm.getWeight().getType();
  std::string key = decision.gemm.getSite().str();
  auto u = files.find(file, key + ".u", type.getElementType(), emitError);
  if (failed(u)) // one error is enough where there is no such file
    return failure();
  auto v = files.find(file, key + ".v", type.getElementType(), emitError);
  if (failed(v))
    return failure();
  decision.rank = (*u)[1];
  int64_t k = type.getDimSize(1);
  if ((*u)[0] != rows || (*v)[0] != decision.rank || (*v)[1] != k ||
      decision.rank < 1)
    return op.emitOpError()
           << "expected factors [" << rows << ", rank] and [rank, " << k
           << "] of '" << key << "' in '" << file << "', found [" << (*u)[0]
           << ", " << (*u)[1] << "] and [" << (*v)[0] << ", " << (*v)[1] << "]";
  if (op.getRank() && static_cast<int64_t>(*op.getRank()) != decision.rank)
    return op.emitOpError()
           << "expected factors of rank " << static_cast<int64_t>(*op.getRank())
           << " of '" << key << "' in '" << file << "', found rank "
           << decision.rank;
  return success();
}

LogicalResult WeightPlanReader::readMask(MaskOp op, GemmOp gemm) {
  if (!op.getFile())
    return success();
  std::string file = resolvePath(op, *op.getFile()),
              key = (gemm.getSite() + ".mask").str();
  auto shape = files.find(file, key, IntegerType::get(op.getContext(), 1),
                          [&] { return op.emitOpError(); });
  if (failed(shape))
    return failure();
  ArrayRef<int64_t> expected = gemm.getWeight().getType().getShape();
  if (*shape != expected)
    return op.emitOpError() << "'" << key << "' of '" << file
                            << "': expected the shape of the weight, ["
                            << expected << "], found [" << *shape << "]";
  return success();
}

//===----------------------------------------------------------------------===//
// Writing
//===----------------------------------------------------------------------===//

/// A new global `SITE.weight.STEP`, loaded where the old weight is. `stddev` is
/// that of its elements, should they be generated; 0: they cannot be.
Value WeightPlanReader::makeWeight(const WeightDecision &decision,
                                   SymbolTable &table, StringRef step,
                                   ArrayRef<int64_t> shape, double stddev) {
  GemmOp gemm = decision.gemm;
  MLIRContext *context = gemm.getContext();
  OpBuilder builder(gemm);
  auto type =
      RankedTensorType::get(shape, gemm.getWeight().getType().getElementType());
  std::string name = (gemm.getSite() + ".weight." + step).str();
  auto global = ml_program::GlobalOp::create(
      builder, decision.op->getLoc(), name, type, /*is_mutable=*/false,
      ml_program::ExternAttr::get(context, type),
      builder.getStringAttr("private"));
  global->remove();
  table.insert(global, std::next(decision.global->getIterator()));
  Attribute source;
  DecisionOpInterface what = decision.op;
  auto factor = dyn_cast<FactorOp>(what.getOperation());
  auto generated = decision.global->getAttrOfType<decoder::GeneratedAttr>(
      decoder::kSourceAttrName);
  // Relative to the module, as the plan in it has it.
  if (factor && factor.getFile())
    source = decoder::FileAttr::get(context, *factor.getFile(),
                                    (gemm.getSite() + "." + step).str(),
                                    DenseI64ArrayAttr());
  else if (generated && stddev > 0 && !options.openSources)
    source = decoder::GeneratedAttr::get(context, generated.getSeed(), name,
                                         stddev, 0.0);
  if (source)
    global->setDiscardableAttr(decoder::kSourceAttrName, source);
  return ml_program::GlobalLoadConstOp::create(
      builder, gemm.getLoc(), type,
      FlatSymbolRefAttr::get(global.getSymNameAttr()));
}

void WeightPlanReader::apply(const WeightDecision &decision,
                             SymbolTable &table) {
  GemmOp gemm = decision.gemm;
  DecisionOpInterface what = decision.op;
  RankedTensorType type = gemm.getWeight().getType();
  int64_t n = type.getDimSize(0), k = type.getDimSize(1);
  SmallVector<Value> by;
  NMAttr pattern;
  FloatAttr sparsity;
  FileSetAttr mask;
  if (isa<FactorOp>(what.getOperation())) {
    // A product of these has the standard deviation of the old weight.
    auto generated = decision.global->getAttrOfType<decoder::GeneratedAttr>(
        decoder::kSourceAttrName);
    double stddev = generated ? generated.getStddev().getValueAsDouble() : 0;
    int64_t rows = n - (decision.retain ? decision.retain.getKeptExtent() : 0);
    by = {makeWeight(decision, table, "u", {rows, decision.rank},
                     1 / std::sqrt(static_cast<double>(decision.rank))),
          makeWeight(decision, table, "v", {decision.rank, k}, stddev)};
  } else if (auto op = dyn_cast<MaskOp>(what.getOperation())) {
    by = {makeWeight(decision, table, "masked", {n, k}, 0)};
    sparsity = op.getSparsityAttr();
    if (op.getFile())
      mask = FileSetAttr::get(
          op.getContext(), op.getFileAttr(),
          StringAttr::get(op.getContext(), gemm.getSite() + ".mask"));
  } else {
    auto claim = cast<PatternOp>(what.getOperation());
    pattern = claim.getPattern();
    std::string step = std::to_string(pattern.getKept()) + "of" +
                       std::to_string(pattern.getOf());
    Value weight = makeWeight(decision, table, step, {n, k}, 0);
    auto global = table.lookup<ml_program::GlobalOp>(
        weight.getDefiningOp<ml_program::GlobalLoadConstOp>()
            .getGlobal()
            .getLeafReference());
    global->setDiscardableAttr(PruneDialect::patternAttrName, pattern);
    // What only claims to have it is the old one, as this GEMM reads it.
    if (Attribute source =
            decision.global->getDiscardableAttr(decoder::kSourceAttrName);
        source && !claim.getByMagnitude())
      global->setDiscardableAttr(decoder::kSourceAttrName, source);
    by = {weight};
  }
  OpBuilder builder(gemm);
  auto replace = ReplaceOp::create(builder, decision.op->getLoc(), type,
                                   gemm.getSite(), gemm.getWeight(), by,
                                   decision.retain, pattern, sparsity, mask);
  gemm.getWeightMutable().assign(replace);
}

void WeightPlanReader::apply() {
  for (auto &[gemm, decision] : decisions)
    apply(decision, symbols);
}

FailureOr<int64_t>
coppice::prune::applyWeightDecisions(ModuleOp module, PlanOp plan,
                                     const WeightDecisionOptions &options) {
  WeightPlanReader reader(module, options);
  if (failed(reader.read(plan)))
    return failure();
  reader.apply();
  return reader.size();
}
