// coppice prune M.mlir -o P.mlir: composes a plan from a file and from flags,
// applies it, and writes the dense module with its plan and its projections.
#include "Commands.h"
#include "ModuleFile.h"

#include "coppice/Analysis/Couplings.h"
#include "coppice/Dialect/Decoder/IR/Decoder.h"
#include "coppice/Dialect/Decoder/Transforms/Passes.h"
#include "coppice/Dialect/Prune/Transforms/Passes.h"
#include "coppice/Dialect/Prune/Transforms/StaticPlan.h"

#include "mlir/Dialect/MLProgram/IR/MLProgram.h"
#include "mlir/Pass/PassManager.h"
#include "tools/coppice-run/seed_check.h"

#include <CLI/CLI.hpp>

#include <filesystem>
#include <memory>

using namespace mlir;
using namespace coppice;
using namespace coppice::driver;
using namespace coppice::prune;

namespace {

struct PruneCommand {
  std::string input, output, plan;
  StaticPlanOptions flags;
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

/// Copies the decisions of the plan file into `plan`.
LogicalResult appendPlanFile(ModuleSession &session, const std::string &path,
                             PlanOp plan) {
  OwningOpRef<ModuleOp> file = session.read(path);
  if (!file)
    return failure();
  auto plans = llvm::to_vector(file->getOps<PlanOp>());
  if (plans.size() != 1)
    return file->emitError()
           << "expected one prune.plan in a plan file, found " << plans.size();
  OpBuilder builder = OpBuilder::atBlockEnd(&plan.getBody().front());
  for (Operation &decision : plans.front().getBody().front())
    builder.clone(decision);
  return success();
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
}

/// Adds what the flags ask for to the plan.
LogicalResult addFlags(ModuleOp module, PlanOp plan,
                       const StaticPlanOptions &flags) {
  if (!flags.staticM && !flags.staticNK && !flags.staticNKCross &&
      flags.offset == 0)
    return success();
  FailureOr<SmallVector<Sublayer>> sublayers = findSublayers(module);
  if (failed(sublayers))
    return failure();
  // What was asked for, as reports name it; what it removes is counted later.
  double left = (1 - flags.staticM.value_or(0)) *
                (1 - flags.staticNK.value_or(0)) *
                (1 - flags.staticNKCross.value_or(0));
  plan->setAttr("sparsity",
                Builder(plan.getContext()).getF64FloatAttr(1 - left));
  return addStaticDecisions(plan, *sublayers, flags);
}

int runPrune(const PruneCommand &command) {
  ModuleSession session;
  OwningOpRef<ModuleOp> module = session.read(command.input);
  if (!module || failed(decoder::checkModel(*module)))
    return 1;
  FailureOr<PlanOp> plan = findOrMakePlan(*module);
  if (failed(plan))
    return 1;
  if (!command.plan.empty() &&
      failed(appendPlanFile(session, command.plan, *plan)))
    return 1;
  if (failed(addFlags(*module, *plan, command.flags)))
    return 1;
  PassManager passes(&session.context());
  passes.addPass(createPruneApplyPlan());
  if (failed(passes.run(*module)))
    return 1;
  rebaseWeights(*module, command.input, command.output);
  return writeModule(*module, command.output) ? 0 : 1;
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
  prune->add_option("--sites", flags.sites,
                    "only sublayers that match, such as 'layers.[0-3].mlp', "
                    "and the boundaries after them; L counts these [all]");
  prune->add_option("--seed", flags.seed, "seed of what is drawn [0]")
      ->check(rt::seedCheck());
  prune->callback([=, &exitCode] { exitCode = runPrune(*command); });
}
