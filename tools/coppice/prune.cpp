// coppice prune M.mlir -o P.mlir: composes a plan from a file and from flags,
// applies it, and writes the dense module with its plan, its projections and
// its replaced weights; new weights that have to be computed go to
// P.safetensors beside it. Both files appear whole, or neither does.
#include "Commands.h"
#include "ModuleFile.h"

#include "coppice/Analysis/Couplings.h"
#include "coppice/Budget/NominalSparsity.h"
#include "coppice/Calibrate/ActivationThresholds.h"
#include "coppice/Dialect/Decoder/IR/Decoder.h"
#include "coppice/Dialect/Decoder/Transforms/Passes.h"
#include "coppice/Dialect/Prune/Transforms/DynamicPlan.h"
#include "coppice/Dialect/Prune/Transforms/Passes.h"
#include "coppice/Dialect/Prune/Transforms/SparseAttentionPlan.h"
#include "coppice/Dialect/Prune/Transforms/StaticPlan.h"
#include "coppice/Replace/ChangeWeights.h"
#include "coppice/Replace/StaticKPlan.h"
#include "runtime/base/atomic_file.h"

#include "mlir/Dialect/MLProgram/IR/MLProgram.h"
#include "mlir/Pass/PassManager.h"
#include "tools/coppice-run/seed_check.h"
#include "llvm/Support/Format.h"

#include <CLI/CLI.hpp>

#include <filesystem>
#include <memory>

using namespace mlir;
using namespace coppice;
using namespace coppice::driver;
using namespace coppice::prune;

namespace {

struct PruneCommand {
  std::string input, output, plan, pattern, factors = "auto";
  std::string means = "nominal"; // of a sparsity
  int64_t tokens = 512;          // of the prefill whose FLOPs are meant
  StaticPlanOptions flags;
  StaticKOptions staticK;
  DynamicPlanOptions dynamic;
  std::optional<double> activationSparsity;
  SparseAttentionOptions attention; // its context is 0 where it is the model's
};

/// The module's own plan, or a new empty one.
FailureOr<PlanOp> findOrMakePlan(ModuleOp module) {
  auto plans = llvm::to_vector(module.getOps<PlanOp>());
  if (plans.size() > 1)
    return plans[1].emitError() << "expected a module with at most one plan";
  if (!plans.empty())
    return plans.front();
  OpBuilder builder = OpBuilder::atBlockBegin(module.getBody());
  // By flags alone: what is wrong with it is wrong at no line of the module.
  return PlanOp::create(builder, builder.getUnknownLoc(), "plan");
}

/// `path`, which is relative to the folder of `from`, relative to that of `to`.
std::string rebase(StringRef path, const std::string &from,
                   const std::string &to) {
  namespace fs = std::filesystem;
  fs::path weight(path.str());
  if (path.empty() || weight.is_absolute())
    return path.str();
  std::error_code error;
  // Made absolute first: of a file that is not there yet, weakly_canonical
  // would leave a relative path as it is.
  auto folderOf = [&](const std::string &file) {
    return fs::weakly_canonical(fs::absolute(file, error), error).parent_path();
  };
  fs::path source = folderOf(from), target = folderOf(to);
  if (source == target)
    return path.str();
  return (source / weight).lexically_relative(target).string();
}

/// Copies the decisions of the plan file into `plan`, which is in `input`.
LogicalResult appendPlanFile(ModuleSession &session, const std::string &path,
                             const std::string &input, PlanOp plan) {
  OwningOpRef<ModuleOp> file = session.read(path);
  if (!file)
    return failure();
  auto plans = llvm::to_vector(file->getOps<PlanOp>());
  if (plans.size() != 1)
    return file->emitError()
           << "expected one prune.plan in a plan file, found " << plans.size();
  OpBuilder builder = OpBuilder::atBlockEnd(&plan.getBody().front());
  // Files that it names are found from where the module is.
  auto rebaseSet = [&](Attribute set) -> Attribute {
    auto file = dyn_cast_or_null<FileSetAttr>(set);
    return file ? FileSetAttr::get(builder.getContext(),
                                   builder.getStringAttr(rebase(
                                       file.getPath().getValue(), path, input)),
                                   file.getKey())
                : set;
  };
  for (Operation &decision : plans.front().getBody().front()) {
    Operation *copy = builder.clone(decision);
    if (auto keep = dyn_cast<KeepOp>(copy))
      keep->setAttr(keep.getSetAttrName(), rebaseSet(keep.getSetAttr()));
    if (auto factor = dyn_cast<FactorOp>(copy)) {
      if (factor.getFile())
        factor.setFile(rebase(*factor.getFile(), path, input));
      if (Attribute retain = factor.getRetainAttr())
        factor->setAttr(factor.getRetainAttrName(), rebaseSet(retain));
    }
    if (auto mask = dyn_cast<MaskOp>(copy); mask && mask.getFile())
      mask.setFile(rebase(*mask.getFile(), path, input));
    if (auto route = dyn_cast<RouteOp>(copy); route && route.getFile())
      route.setFile(rebase(*route.getFile(), path, input));
    if (auto blocks = dyn_cast<BlocksOp>(copy); blocks && blocks.getFile())
      blocks.setFile(rebase(*blocks.getFile(), path, input));
  }
  return success();
}

/// Weights are found relative to the module's file, which moves.
void rebaseWeights(ModuleOp module, const std::string &from,
                   const std::string &to) {
  using namespace decoder;
  if (auto model = module->getAttrOfType<ModelAttr>(kModelAttrName))
    module->setAttr(
        kModelAttrName,
        ModelAttr::get(
            module.getContext(), model.getName(), model.getFamily(),
            model.getVocabulary(), model.getHidden(), model.getLayers(),
            model.getHeads(), model.getKvHeads(), model.getHeadDim(),
            model.getIntermediate(), model.getContextLength(), model.getDtype(),
            model.getTied(), model.getBos(), model.getEos(),
            model.getParameters(), rebase(model.getWeights(), from, to),
            model.getWeightsSha256(), model.getSourceSha256(),
            rebase(model.getTokenizer(), from, to)));
  for (auto global : module.getOps<ml_program::GlobalOp>())
    if (auto file = global->getAttrOfType<FileAttr>(kSourceAttrName))
      global->setAttr(kSourceAttrName,
                      FileAttr::get(module.getContext(),
                                    rebase(file.getPath(), from, to),
                                    file.getKey(), file.getRows()));
  module.walk([&](FactorOp factor) {
    if (factor.getFile())
      factor.setFile(rebase(*factor.getFile(), from, to));
  });
  module.walk([&](MaskOp mask) {
    if (mask.getFile())
      mask.setFile(rebase(*mask.getFile(), from, to));
  });
  module.walk([&](RouteOp route) {
    if (route.getFile())
      route.setFile(rebase(*route.getFile(), from, to));
  });
  module.walk([&](BlocksOp blocks) {
    if (blocks.getFile())
      blocks.setFile(rebase(*blocks.getFile(), from, to));
  });
}

/// "2:4".
FailureOr<NMAttr> parsePattern(MLIRContext *context, StringRef text) {
  auto emitFault = [&] { return emitError(UnknownLoc::get(context)); };
  auto [kept, of] = text.split(':');
  int64_t n, m;
  if (kept.getAsInteger(10, n) || of.getAsInteger(10, m))
    return emitFault() << "--nm: expected N:M such as 2:4, found '" << text
                       << "'";
  NMAttr pattern = NMAttr::getChecked(emitFault, context, n, m);
  if (!pattern)
    return failure();
  return pattern;
}

/// Blocks of positions, counted in the model's context unless one is given.
LogicalResult addSparseAttention(ModuleOp module, PlanOp plan,
                                 ArrayRef<Sublayer> sublayers,
                                 const PruneCommand &command) {
  SparseAttentionOptions options = command.attention;
  options.sites = command.flags.sites;
  // Given from here, kept as seen from the module.
  options.scorerFile = rebase(options.scorerFile, "here", command.input);
  auto model =
      module->getAttrOfType<decoder::ModelAttr>(decoder::kModelAttrName);
  if (model && !options.context)
    options.context = model.getContextLength();
  return addSparseAttentionDecisions(plan, sublayers, options);
}

/// Adds what the flags ask for to the plan: static K last, for its patterns
/// apply to what keep-sets leave.
LogicalResult addFlags(ModuleOp module, PlanOp plan,
                       const PruneCommand &command) {
  const StaticPlanOptions &flags = command.flags;
  StaticKOptions staticK = command.staticK;
  if (!flags.sites.empty())
    staticK.sites = flags.sites;
  double left = (1 - flags.staticM.value_or(0)) *
                (1 - flags.staticNK.value_or(0)) *
                (1 - flags.staticNKCross.value_or(0)) *
                (1 - staticK.lowRank.value_or(0)) *
                (1 - staticK.unstructured.value_or(0)) *
                (1 - command.dynamic.dynamicM.value_or(0)) *
                (1 - command.dynamic.dynamicN.value_or(0)) *
                (1 - command.dynamic.dynamicK.value_or(0)) *
                (1 - command.activationSparsity.value_or(0)) *
                (1 - command.attention.sparsity.value_or(0));
  if (!command.pattern.empty()) {
    FailureOr<NMAttr> pattern =
        parsePattern(plan.getContext(), command.pattern);
    if (failed(pattern))
      return failure();
    staticK.pattern = *pattern;
    left *= double(pattern->getKept()) / double(pattern->getOf());
  }
  bool isStatic = flags.staticM || flags.staticNK || flags.staticNKCross ||
                  flags.offset != 0;
  // What was asked for, as reports name it; what it removes is counted later.
  bool isDynamic = command.dynamic.dynamicM || command.dynamic.dynamicN ||
                   command.dynamic.dynamicK || command.attention.any();
  if (isStatic || staticK.any() || isDynamic || command.activationSparsity)
    plan->setAttr("sparsity",
                  Builder(plan.getContext()).getF64FloatAttr(1 - left));
  if (isStatic || isDynamic) {
    FailureOr<SmallVector<Sublayer>> sublayers = findSublayers(module);
    if (failed(sublayers) ||
        (isStatic && failed(addStaticDecisions(plan, *sublayers, flags))))
      return failure();
    DynamicPlanOptions dynamic = command.dynamic;
    dynamic.sites = flags.sites;
    // Given from here, kept as seen from the module.
    dynamic.file = rebase(dynamic.file, "here", command.input);
    if (failed(addDynamicDecisions(plan, *sublayers, dynamic)) ||
        failed(addSparseAttention(module, plan, *sublayers, command)))
      return failure();
  }
  if (command.activationSparsity) {
    ActivationOptions activations;
    activations.sparsity = *command.activationSparsity;
    activations.sites = flags.sites;
    activations.inputDirectory = staticK.inputDirectory;
    activations.seed = flags.seed;
    FailureOr<int64_t> tokens =
        addActivationDecisions(module, plan, activations);
    if (failed(tokens))
      return failure();
    llvm::errs() << llvm::format("thresholds: from the dense model on %lld "
                                 "random tokens\n",
                                 static_cast<long long>(*tokens));
  }
  return staticK.any() ? addStaticKDecisions(module, plan, staticK) : success();
}

/// Where the sparsity of the family that is asked for is; null, after an error,
/// where it is not one family.
double *findSparsity(PruneCommand &command, MLIRContext *context) {
  SmallVector<double *> given;
  for (std::optional<double> *flag :
       {&command.flags.staticM, &command.flags.staticNK,
        &command.flags.staticNKCross, &command.staticK.lowRank})
    if (*flag)
      given.push_back(&**flag);
  if (given.size() == 1 && command.pattern.empty() &&
      !command.staticK.unstructured)
    return given.front();
  emitError(UnknownLoc::get(context))
      << "--sparsity-means " << command.means
      << ": expected one of --static-m, --static-nk, --static-nk-cross and "
         "--low-rank to be converted, found "
      << (given.empty() ? "none" : "others beside it");
  return nullptr;
}

/// Replaces the sparsity that is a share of the work by the nominal one.
LogicalResult convertSparsity(ModuleOp module, PruneCommand &command) {
  if (command.means == "nominal")
    return success();
  double *sparsity = findSparsity(command, module.getContext());
  if (!sparsity)
    return failure();
  Budget budget;
  budget.unit =
      command.means == "params" ? BudgetUnit::Parameters : BudgetUnit::FLOPs;
  budget.share = *sparsity;
  budget.tokens = command.tokens;
  if (command.staticK.lowRank)
    budget.most = 1 - command.staticK.retainedRatio;
  auto decide = [&](ModuleOp copy, double nominal) {
    *sparsity = nominal;
    // Thresholds remove nothing that is counted, and take a run of the model.
    PruneCommand counted = command;
    counted.activationSparsity.reset();
    return addFlags(copy, *copy.getOps<PlanOp>().begin(), counted);
  };
  FailureOr<NominalSparsity> found =
      findNominalSparsity(module, budget, decide);
  if (failed(found))
    return failure();
  *sparsity = found->sparsity;
  llvm::errs() << llvm::format("nominal sparsity %.4f removes %.2f %% of the ",
                               found->sparsity, 100 * found->share);
  if (budget.unit == BudgetUnit::Parameters)
    llvm::errs() << "parameters";
  else
    llvm::errs() << "FLOPs of a prefill of " << budget.tokens << " tokens";
  llvm::errs() << llvm::format(", %.2f %% were asked for\n",
                               100 * budget.share);
  return success();
}

/// Says what new weights there are and where.
void reportNewWeights(ModuleOp module, const ChangedWeights &weights,
                      const std::string &file) {
  int64_t replaced = 0, factored = 0, generated = 0, unstructured = 0;
  module.walk([&](ReplaceOp op) {
    ++replaced;
    unstructured += op.getSparsityAttr() != nullptr;
    if (!op.isFactored())
      return;
    ++factored;
    auto load = op.getU().getDefiningOp<ml_program::GlobalLoadConstOp>();
    auto global = module.lookupSymbol<ml_program::GlobalOp>(
        load.getGlobal().getLeafReference());
    generated += isa_and_nonnull<decoder::GeneratedAttr>(
        global->getDiscardableAttr(decoder::kSourceAttrName));
  });
  if (weights.hasFile())
    llvm::errs() << "new weights in " << file << "\n";
  if (generated)
    llvm::errs() << "factors of " << generated << " of " << factored
                 << " weights are generated, not computed: they say how long "
                    "such a model takes, nothing about its quality\n";
  if (int64_t count = weights.countNotSmaller())
    llvm::errs() << "the factors of " << count << " of " << factored
                 << " weights are no smaller than what they replace: they "
                    "make the model slower\n";
  if (unstructured)
    llvm::errs() << "the zeros of " << unstructured << " of " << replaced
                 << " weights are in no pattern: these are stored and "
                    "multiplied as dense ones, which brings no speed\n";
}

/// Both files, or none.
bool writeFiles(ModuleOp module, ChangedWeights &weights,
                const std::string &output, const std::string &weightFile) {
  std::string text;
  llvm::raw_string_ostream stream(text);
  module->print(stream);
  stream << "\n";
  std::error_code ignored;
  const bool existed = std::filesystem::exists(weightFile, ignored);
  rt::Status status = [&]() -> rt::Status {
    auto file = rt::AtomicFile::create(output);
    if (!file)
      return file.status();
    if (auto s = file->write(text); !s.ok())
      return s;
    if (auto s = file->flush(); !s.ok())
      return s;
    if (weights.hasFile())
      if (auto s = weights.commit(); !s.ok())
        return s;
    auto s = file->commit();
    if (!s.ok() && weights.hasFile() && !existed)
      std::filesystem::remove(weightFile, ignored); // half of a pruned model
    return s;
  }();
  if (!status.ok())
    llvm::errs() << "coppice: error: " << status.message() << "\n";
  return status.ok();
}

/// The new weights are named like the module, so it needs another ending.
bool checkOutputName(const std::string &output, const std::string &weightFile) {
  if (output != weightFile)
    return true;
  llvm::errs()
      << "coppice: error: " << output
      << ": is the name of both the module and its new weights; choose "
         "another -o, such as "
      << std::filesystem::path(output).replace_extension(".mlir").string()
      << "\n";
  return false;
}

void addSparseAttentionFlags(CLI::App &prune, SparseAttentionOptions &options) {
  CLI::Option *share =
      prune
          .add_option(
              "--sparse-attention", options.sparsity,
              "let each row attend to ceil((1 - S) n) blocks of positions, n "
              "being those of the context: the first, half of the others as "
              "the last, and the rest by score")
          ->check(CLI::Range(0.0, 1.0));
  auto number = [&](const char *name, std::optional<int64_t> &value,
                    int64_t least, const char *help) {
    return prune.add_option(name, value, help)
        ->check(CLI::Range(least, int64_t(4096)))
        ->excludes(share);
  };
  CLI::Option *window =
      number("--window-blocks", options.window, 1,
             "the last W blocks of each row, its own among them [1]");
  CLI::Option *sinks =
      number("--sink-blocks", options.sinks, 0, "and the first N [0]");
  CLI::Option *top = number("--top-blocks", options.top, 0,
                            "and of the others the K with the largest product "
                            "of queries and mean key [0]");
  CLI::Option *scorer =
      prune
          .add_option("--block-scorer", options.scorer,
                      "score blocks by learned matrices of rank R, of the "
                      "queries and the mean, largest and smallest keys")
          ->check(CLI::Range(int64_t(1), int64_t(4096)))
          ->type_name("R");
  prune
      .add_option(
          "--block-scorer-weights", options.scorerFile,
          "safetensors file of those, tensors "
          "layers.N.attn.scorer.query.weight and .key.weight [generated]")
      ->needs(scorer)
      ->type_name("FILE");
  CLI::Option *threshold =
      prune
          .add_option("--attention-threshold", options.threshold,
                      "drop blocks in which no weight is more than T times the "
                      "largest so far, query head by query head; values of "
                      "what all drop are not read")
          ->check(CLI::Range(0.0, 1.0))
          ->type_name("T");
  prune
      .add_option("--block", options.blockSize,
                  "positions of a block, a multiple of 16, with a threshold of "
                  "32 up to 256 [64]")
      ->check([=](const std::string &) -> std::string {
        return *share || *window || *sinks || *top || *threshold
                   ? ""
                   : "needs --sparse-attention, --window-blocks, "
                     "--sink-blocks, --top-blocks or --attention-threshold";
      });
  prune
      .add_option("--attention-context", options.context,
                  "positions that --sparse-attention counts the blocks of "
                  "[the model's context]")
      ->check(CLI::Range(int64_t(1), int64_t(1) << 31))
      ->needs(share);
}

int runPrune(PruneCommand command) {
  namespace fs = std::filesystem;
  const std::string weightFile =
      fs::path(command.output).replace_extension(".safetensors");
  if (!checkOutputName(command.output, weightFile))
    return 1;
  ModuleSession session;
  OwningOpRef<ModuleOp> module = session.read(command.input);
  if (!module || failed(decoder::checkModel(*module)))
    return 1;
  FailureOr<PlanOp> plan = findOrMakePlan(*module);
  if (failed(plan))
    return 1;
  if (!command.plan.empty() &&
      failed(appendPlanFile(session, command.plan, command.input, *plan)))
    return 1;
  std::string directory = fs::path(command.input).parent_path();
  if (directory.empty())
    directory = ".";
  command.staticK.inputDirectory = directory;
  if (failed(convertSparsity(*module, command)) ||
      failed(addFlags(*module, *plan, command)))
    return 1;
  PassManager passes(&session.context());
  PruneApplyPlanOptions apply;
  apply.directory = directory;
  apply.openSources = command.factors == "svd";
  passes.addPass(createPruneApplyPlan(apply));
  if (failed(passes.run(*module)))
    return 1;
  ChangeWeightsOptions change;
  change.inputDirectory = directory;
  change.output = weightFile;
  change.talk = &llvm::errs();
  ChangedWeights weights(*module, change);
  if (failed(weights.compute()))
    return 1;
  rebaseWeights(*module, command.input, command.output);
  weights.assign(fs::path(change.output).filename().string());
  if (!writeFiles(*module, weights, command.output, change.output))
    return 1;
  reportNewWeights(*module, weights, change.output);
  return 0;
}

} // namespace

void driver::addPruneCommand(CLI::App &app, int &exitCode) {
  auto command = std::make_shared<PruneCommand>();
  StaticPlanOptions &flags = command->flags;
  CLI::App *prune = app.add_subcommand(
      "prune", "Decide what goes: write the dense module with its plan and "
               "its projections");
  prune->add_option("input", command->input, "dense module (.mlir)")
      ->required();
  prune->add_option("-o", command->output, "the pruned module to write")
      ->required();
  prune->add_option("--plan", command->plan,
                    "decisions: a file with one prune.plan; flags add to what "
                    "it leaves undecided");
  auto sparsity = CLI::Range(0.0, 1.0);
  CLI::Option *m =
      prune
          ->add_option("--static-m", flags.staticM,
                       "skip floor(L S) attention and, drawn independently, "
                       "floor(L S) MLP sublayers")
          ->check(sparsity);
  prune
      ->add_flag("--whole-layers", flags.wholeLayers,
                 "--static-m skips floor(L S) whole layers instead")
      ->needs(m);
  prune
      ->add_option("--static-nk", flags.staticNK,
                   "keep floor(Hk (1 - S)) KV heads with their query "
                   "heads, at least one, and I (1 - S) channels, rounded "
                   "up to a multiple of 16")
      ->check(sparsity);
  CLI::Option *cross =
      prune
          ->add_option("--static-nk-cross", flags.staticNKCross,
                       "keep H (1 - S) hidden dimensions, rounded up to a "
                       "multiple of 16, others at each boundary between "
                       "sublayers")
          ->check(sparsity);
  prune
      ->add_flag("--same-width-sets", flags.sameWidthSets,
                 "--static-nk-cross keeps the same ones at all boundaries")
      ->needs(cross);
  prune
      ->add_option("--offset", flags.offset,
                   "a sparsity of its own for each sublayer or boundary that "
                   "--static-nk and --static-nk-cross narrow: S plus a number "
                   "drawn from -O to O [0]")
      ->check(sparsity)
      ->type_name("O");
  CLI::Option *rank =
      prune
          ->add_option("--low-rank", command->staticK.lowRank,
                       "put factors of rank (1 - S) N K / (N + K), rounded up "
                       "to a multiple of 16, in the place of each weight in "
                       "a layer, of what keep-sets leave of it")
          ->check(sparsity);
  prune
      ->add_option("--retained-ratio", command->staticK.retainedRatio,
                   "fraction of the rows of MLP weights that --low-rank "
                   "leaves dense; the rank is lower by what they take [0]")
      ->check(sparsity)
      ->needs(rank);
  prune
      ->add_option("--factors", command->factors,
                   "svd: truncated SVD of the weights; auto: generated ones "
                   "where the weights are generated [auto]")
      ->check(CLI::IsMember({"auto", "svd"}));
  CLI::Option *nm =
      prune
          ->add_option("--nm", command->pattern,
                       "N:M sparsity along K, such as 2:4, of each weight in "
                       "a layer: the largest by magnitude stay")
          ->excludes(rank);
  prune
      ->add_option("--unstructured", command->staticK.unstructured,
                   "zeros for the fraction S of each weight in a layer that "
                   "is smallest by magnitude: a baseline of quality, which "
                   "brings no speed")
      ->check(sparsity)
      ->excludes(rank)
      ->excludes(nm);
  CLI::Option *dynamicM =
      prune
          ->add_option("--dynamic-m", command->dynamic.dynamicM,
                       "leave the rows (tokens) of each sublayer to a router, "
                       "which is expected to pass by the fraction S of them")
          ->check(sparsity);
  CLI::Option *dynamicN =
      prune
          ->add_option("--dynamic-n", command->dynamic.dynamicN,
                       "leave the width of each sublayer to a router, row by "
                       "row: groups of channels and of query heads, of which "
                       "it is expected to leave out the fraction S")
          ->check(sparsity)
          ->excludes(dynamicM);
  CLI::Option *dynamicK =
      prune
          ->add_option("--dynamic-k", command->dynamic.dynamicK,
                       "the same of groups of columns of each sublayer's "
                       "normed input, which its first products read")
          ->check(sparsity)
          ->excludes(dynamicM)
          ->excludes(dynamicN);
  prune
      ->add_option(
          "--group", command->dynamic.group,
          "columns of a group of --dynamic-n and --dynamic-k, best a "
          "multiple of 16: others run dense where they are made, unless "
          "hardly any is expected or compile is forced; query "
          "heads are grouped as far as they fit, at least one [128]")
      ->check(CLI::Range(int64_t(1), int64_t(1) << 31))
      ->check([=](const std::string &) -> std::string {
        return *dynamicN || *dynamicK ? "" : "needs --dynamic-n or --dynamic-k";
      });
  prune
      ->add_option("--activation-sparsity", command->activationSparsity,
                   "zeros for the fraction S of what each weight reads that is "
                   "smallest, by thresholds found on random tokens; in decode "
                   "their weights are not read")
      ->check([](const std::string &text) -> std::string {
        double value = 0;
        bool isShare =
            CLI::detail::lexical_cast(text, value) && value > 0 && value < 1;
        return isShare ? "" : "expected S between 0 and 1, found " + text;
      });
  auto needsRoute = [=](const std::string &) -> std::string {
    return *dynamicM || *dynamicN || *dynamicK
               ? ""
               : "needs --dynamic-m, --dynamic-n or --dynamic-k";
  };
  prune
      ->add_flag("--layer-routers", command->dynamic.wholeLayers,
                 "one router decides for both sublayers of a layer")
      ->needs(dynamicM);
  prune
      ->add_option("--router", command->dynamic.router,
                   "linear, bottleneck(R) or mlp(R) [bottleneck(16)]")
      ->check(needsRoute);
  prune
      ->add_option("--router-weights", command->dynamic.file,
                   "safetensors with the weights of routers; else they are "
                   "generated, which says how long such a model takes and "
                   "nothing about its quality")
      ->check(needsRoute);
  addSparseAttentionFlags(*prune, command->attention);
  CLI::Option *means =
      prune
          ->add_option(
              "--sparsity-means", command->means,
              "what S is: nominal, as each family says; flops or params: the "
              "share of a prefill's FLOPs or of the parameters that is to go, "
              "as near as there are heads, channels or sublayers [nominal]")
          ->check([](const std::string &text) -> std::string {
            if (text == "nominal" || text == "flops" || text == "params")
              return "";
            if (text == "latency")
              return "latency is not known without a machine: expected "
                     "nominal, flops or params; `coppice predict --machine` "
                     "says what a plan takes on one";
            return "expected nominal, flops or params, found '" + text + "'";
          });
  prune
      ->add_option("--seq", command->tokens,
                   "tokens of the prefill that --sparsity-means flops counts "
                   "[512]")
      ->needs(means)
      ->check(CLI::Range(int64_t(1), int64_t(1) << 31));
  prune->add_option("--sites", flags.sites,
                    "only sublayers that match, such as 'layers.[0-3].mlp', "
                    "and the boundaries after them; L counts these; for "
                    "weights also their own names, such as 'layers.*.attn.q' "
                    "[all]");
  prune->add_option("--seed", flags.seed, "seed of what is drawn [0]")
      ->check(rt::seedCheck());
  prune->callback([=, &exitCode] { exitCode = runPrune(*command); });
}
