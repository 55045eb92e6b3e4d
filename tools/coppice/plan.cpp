// coppice plan show P.mlir: what a plan removes, and what it keeps where.
#include "Commands.h"
#include "ModuleFile.h"

#include "coppice/Analysis/Couplings.h"
#include "coppice/Analysis/Work.h"
#include "coppice/Dialect/Decoder/IR/Decoder.h"
#include "coppice/Dialect/Decoder/Transforms/Passes.h"
#include "coppice/Dialect/Prune/Transforms/Passes.h"
#include "coppice/Schedule/Passes.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Pass/PassManager.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/Format.h"
#include "llvm/Support/JSON.h"
#include "llvm/Support/raw_ostream.h"

#include <CLI/CLI.hpp>

#include <memory>

using namespace mlir;
using namespace coppice;
using namespace coppice::driver;
using namespace coppice::prune;

namespace {

struct PlanShowCommand {
  std::string input, json;
  int64_t tokens = 512;
};

/// What the plan does to one sublayer, as the projections say it.
struct KeptWidth {
  std::string site, unit; // unit: "rows", "columns", or granules of columns
  SetAttr set;
};

std::vector<KeptWidth> listKept(ModuleOp module) {
  std::vector<KeptWidth> kept;
  module.walk([&](ProjectOp project) {
    SetAttr set = project.getKeep();
    std::string unit = project.getAxis() == 0 ? "rows" : "columns";
    if (set.getGranule() != 1)
      unit = "groups of " + std::to_string(set.getGranule()) + " columns";
    kept.push_back({project.getSite().str(), unit, set});
  });
  return kept;
}

/// What the plan puts in the place of one weight.
struct NewWeight {
  std::string site;
  int64_t rank = 0, of = 0;       // of a weight that is factored
  int64_t retained = 0;           // rows beside the factors
  NMAttr pattern;                 // or null
  std::optional<double> sparsity; // unstructured
};

std::vector<NewWeight> listNewWeights(ModuleOp module) {
  std::vector<NewWeight> list;
  module.walk([&](ReplaceOp op) {
    NewWeight &entry = list.emplace_back();
    entry.site = op.getSite().str();
    entry.pattern = op.getPatternAttr();
    if (op.getSparsity())
      entry.sparsity = op.getSparsity()->convertToDouble();
    if (!op.isFactored())
      return;
    auto type = cast<RankedTensorType>(op.getWeight().getType());
    entry.rank = cast<RankedTensorType>(op.getU().getType()).getDimSize(1);
    entry.of = std::min(type.getDimSize(0), type.getDimSize(1));
    if (SetAttr retain = op.getRetainAttr())
      entry.retained = retain.getKeptExtent();
  });
  return list;
}

/// What a router decides about.
struct RoutedRows {
  std::string site;
  double expected; // share of rows, or of groups of rows, that is kept
  int64_t groups;  // that it decides about in a row
  bool isCausal;   // does it look at no later rows?
};

std::vector<RoutedRows> listRoutes(ModuleOp module) {
  std::vector<RoutedRows> list;
  module.walk([&](DecideOp op) {
    StringRef site = op.getSite();
    site.consume_back(".route");
    list.push_back({site.str(), op.getExpected().convertToDouble(),
                    op.getMask().getType().getDimSize(1), !op.getTop()});
  });
  return list;
}

/// Weights that read zeros for what is small.
struct SparseInput {
  std::string site;
  double expected; // share of values that is left
};

std::vector<SparseInput> listSparseInputs(ModuleOp module) {
  std::vector<SparseInput> list;
  module.walk([&](GemmOp gemm) {
    if (auto zeros = gemm.getInputZeros())
      list.push_back({gemm.getSite().str(), 1 - zeros->convertToDouble()});
  });
  return list;
}

/// The blocks of positions that an attention looks at.
struct ChosenBlocks {
  std::string site;
  int64_t size, recent, first, top;
  bool isLearned; // what scores them
};

/// What an attention drops a block at a time.
struct DroppedBlocks {
  std::string site;
  int64_t size;
  double threshold;
};

std::vector<DroppedBlocks> listDropped(ModuleOp module) {
  std::vector<DroppedBlocks> list;
  module.walk([&](decoder::AttentionOp op) {
    StringRef site = op.getSite();
    site.consume_back(".core");
    if (op.getDropBelowAttr())
      list.push_back({site.str(), op.getDropSizeAttr().getInt(),
                      op.getDropBelowAttr().getValueAsDouble()});
  });
  return list;
}

std::vector<ChosenBlocks> listBlocks(ModuleOp module) {
  std::vector<ChosenBlocks> list;
  module.walk([&](SelectBlocksOp op) {
    StringRef site = op.getSite();
    site.consume_back(".blocks");
    list.push_back({site.str(), int64_t(op.getBlockSize()),
                    int64_t(op.getRecent()), int64_t(op.getFirst()),
                    int64_t(op.getTop()), op.getQueryWeight() != nullptr});
  });
  return list;
}

/// What a plan does, by kinds.
struct Decisions {
  std::vector<KeptWidth> kept;
  std::vector<NewWeight> changed;
  std::vector<RoutedRows> routed;
  std::vector<SparseInput> sparse;
  std::vector<ChosenBlocks> blocks;
  std::vector<DroppedBlocks> dropped;

  bool empty() const {
    return kept.empty() && changed.empty() && routed.empty() &&
           sparse.empty() && blocks.empty() && dropped.empty();
  }
};

/// Puts the old weights back, drops the new ones and the routers, and lets
/// attentions look at all blocks.
LogicalResult restoreDense(ModuleOp module) {
  module.walk([](decoder::AttentionOp attention) {
    attention.getBlocksMutable().clear();
    attention.removeBlockSizeAttr();
    attention.removeDropBelowAttr();
    attention.removeDropSizeAttr();
  });
  module.walk([](ProjectByOp op) {
    Value dense = op.getInput();
    // A row scale is of the route, too.
    auto scaled = dense.getDefiningOp<linalg::GenericOp>();
    if (scaled && getSite(scaled) == op.getSite().str() + ".scaled")
      dense = scaled.getInputs()[0];
    op.getResult().replaceAllUsesWith(dense);
    op.erase();
  });
  module.walk([](GemmOp gemm) {
    auto sparse = gemm.getInput().getDefiningOp<linalg::GenericOp>();
    if (!gemm.getInputZeros() || !sparse)
      return;
    gemm.getInputMutable().assign(sparse.getInputs()[0]);
    gemm.removeInputZerosAttr();
  });
  for (auto function : module.getOps<func::FuncOp>())
    for (Operation &op :
         llvm::make_early_inc_range(llvm::reverse(function.getBody().front())))
      if (isOpTriviallyDead(&op))
        op.erase();
  module.walk([](ReplaceOp op) {
    op.getResult().replaceAllUsesWith(op.getWeight());
    SmallVector<Value> by(op.getBy());
    op.erase();
    for (Value value : by)
      if (Operation *load = value.getDefiningOp(); load && load->use_empty())
        load->erase();
  });
  PassManager passes(module.getContext());
  passes.addPass(createPruneFoldRestricts()); // removes what nothing reads
  return passes.run(module);
}

std::string describe(SetAttr set) {
  if (set.hasDynamicCount())
    return "skipped";
  std::string text = std::to_string(set.size()) + " of " +
                     std::to_string(set.getCount()) + ": ";
  // The line is for reading; the JSON has all of them.
  for (auto [index, range] : llvm::enumerate(set.getRanges())) {
    if (index == 8)
      return text + " ..";
    text += (index ? " " : "") + std::to_string(range.begin);
    if (range.size() > 1)
      text += "-" + std::to_string(range.end - 1);
  }
  return text;
}

/// One figure, dense and pruned.
struct Figure {
  const char *label, *key;
  double dense, pruned;
  double removed() const { return dense > 0 ? 1 - pruned / dense : 0; }
};

std::vector<Figure> compare(const Work &dense, const Work &pruned,
                            int64_t tokens) {
  Work::Phase densePrefill = dense.prefill(tokens),
              prunedPrefill = pruned.prefill(tokens);
  Work::Phase denseDecode = dense.decode(tokens),
              prunedDecode = pruned.decode(tokens);
  return {
      {"parameters", "params", double(dense.parameters),
       double(pruned.parameters)},
      {"weight bytes", "weight_bytes", double(dense.weightBytes),
       double(pruned.weightBytes)},
      {"prefill FLOP", "prefill_flops", densePrefill.flops,
       prunedPrefill.flops},
      {"prefill bytes", "prefill_bytes", densePrefill.bytes,
       prunedPrefill.bytes},
      {"decode FLOP", "decode_flops", denseDecode.flops, prunedDecode.flops},
      {"decode bytes", "decode_bytes", denseDecode.bytes, prunedDecode.bytes},
      {"KV bytes/token", "kv_bytes_per_token",
       double(dense.cacheBytesPerPosition),
       double(pruned.cacheBytesPerPosition)},
  };
}

llvm::json::Value toJson(const PlanShowCommand &command,
                         const std::vector<Figure> &figures,
                         const Decisions &decisions) {
  llvm::json::Object dense, pruned, removed;
  for (const Figure &figure : figures) {
    dense[figure.key] = figure.dense;
    pruned[figure.key] = figure.pruned;
    removed[figure.key] = figure.removed();
  }
  llvm::json::Array sites;
  for (const KeptWidth &width : decisions.kept) {
    llvm::json::Array ranges;
    for (const IndexRange &range : width.set.getRanges())
      ranges.push_back(llvm::json::Array{range.begin, range.end});
    llvm::json::Object site{{"site", width.site},
                            {"skipped", width.set.hasDynamicCount()},
                            {"kept", width.set.size()},
                            {"granule", width.set.getGranule()},
                            {"ranges", std::move(ranges)}};
    if (!width.set.hasDynamicCount())
      site["of"] = width.set.getCount();
    sites.push_back(std::move(site));
  }
  llvm::json::Array weights;
  for (const NewWeight &weight : decisions.changed) {
    llvm::json::Object entry{{"site", weight.site}};
    if (weight.rank) {
      entry["rank"] = weight.rank;
      entry["of"] = weight.of;
      entry["retained"] = weight.retained;
    }
    if (weight.pattern)
      entry["pattern"] =
          llvm::json::Array{weight.pattern.getKept(), weight.pattern.getOf()};
    if (weight.sparsity)
      entry["unstructured_sparsity"] = *weight.sparsity;
    weights.push_back(std::move(entry));
  }
  llvm::json::Array routes;
  for (const RoutedRows &rows : decisions.routed)
    routes.push_back(llvm::json::Object{{"site", rows.site},
                                        {"expected", rows.expected},
                                        {"groups", rows.groups},
                                        {"causal", rows.isCausal}});
  llvm::json::Array activations;
  for (const SparseInput &input : decisions.sparse)
    activations.push_back(
        llvm::json::Object{{"site", input.site}, {"expected", input.expected}});
  llvm::json::Array attended;
  for (const ChosenBlocks &chosen : decisions.blocks)
    attended.push_back(llvm::json::Object{{"site", chosen.site},
                                          {"size", chosen.size},
                                          {"window", chosen.recent},
                                          {"sinks", chosen.first},
                                          {"top", chosen.top},
                                          {"scorer", chosen.isLearned}});
  llvm::json::Array thresholds;
  for (const DroppedBlocks &dropped : decisions.dropped)
    thresholds.push_back(llvm::json::Object{{"site", dropped.site},
                                            {"size", dropped.size},
                                            {"threshold", dropped.threshold}});
  return llvm::json::Object{{"routes", std::move(routes)},
                            {"weights", std::move(weights)},
                            {"activations", std::move(activations)},
                            {"blocks", std::move(attended)},
                            {"thresholds", std::move(thresholds)},
                            {"schema", "coppice.plan/1"},
                            {"input", command.input},
                            {"seq", command.tokens},
                            {"dense", std::move(dense)},
                            {"pruned", std::move(pruned)},
                            {"removed", std::move(removed)},
                            {"sites", std::move(sites)}};
}

void print(const PlanShowCommand &command, const std::vector<Figure> &figures,
           const Decisions &decisions) {
  llvm::raw_ostream &out = llvm::outs();
  out << command.input << ": prefill of " << command.tokens
      << " tokens, decode of one more\n";
  out << "                            dense           pruned    removed\n";
  for (const Figure &figure : figures)
    out << llvm::format("%-16s %16.0f %16.0f %9.1f%%\n", figure.label,
                        figure.dense, figure.pruned, 100 * figure.removed());
  if (decisions.empty())
    out << "nothing is pruned\n";
  for (const KeptWidth &width : decisions.kept) {
    out << llvm::format("%-20s ", width.site.c_str());
    out << describe(width.set);
    if (!width.set.hasDynamicCount())
      out << " (" << width.unit << ")";
    out << "\n";
  }
  for (const RoutedRows &rows : decisions.routed) {
    out << llvm::format("%-20s %.0f%% of ", rows.site.c_str(),
                        100 * rows.expected);
    if (rows.groups > 1)
      out << rows.groups << " groups a row";
    else
      out << "rows";
    out << " expected, chosen by a router"
        << (rows.isCausal ? ""
                          : ", of all rows of a step: not causal, so that what "
                            "is generated is not what a prompt would be")
        << "\n";
  }
  for (const SparseInput &input : decisions.sparse)
    out << llvm::format("%-20s %.0f%% of inputs expected, the others are small "
                        "and become zero\n",
                        input.site.c_str(), 100 * input.expected);
  for (const ChosenBlocks &chosen : decisions.blocks) {
    out << llvm::format("%-20s ", chosen.site.c_str());
    out << "at most " << chosen.recent + chosen.first + chosen.top
        << " blocks of " << chosen.size << " positions a row: the last "
        << chosen.recent;
    if (chosen.first)
      out << ", the first " << chosen.first;
    if (chosen.top)
      out << ", " << chosen.top << " by score"
          << (chosen.isLearned ? " of a learned scorer" : "");
    out << "\n";
  }
  for (const DroppedBlocks &dropped : decisions.dropped) {
    out << llvm::format("%-20s ", dropped.site.c_str());
    out << "blocks of " << dropped.size << " positions dropped where no weight "
        << llvm::format("is above %g of the largest before\n",
                        dropped.threshold);
  }
  for (const NewWeight &weight : decisions.changed) {
    out << llvm::format("%-20s ", weight.site.c_str());
    if (weight.pattern)
      out << weight.pattern.getKept() << " of " << weight.pattern.getOf()
          << " along K";
    else if (weight.sparsity)
      out << llvm::format("%.1f%% zeros in no pattern: no speed",
                          100 * *weight.sparsity);
    else
      out << "rank " << weight.rank << " of " << weight.of;
    if (weight.retained)
      out << ", " << weight.retained << " rows retained";
    out << "\n";
  }
  if (llvm::any_of(decisions.changed,
                   [](const NewWeight &w) { return w.pattern; }))
    out << "N:M sparsity counts as values and their places; where no kernel "
           "reads that form, such weights run as dense ones\n";
}

int runShow(const PlanShowCommand &command) {
  ModuleSession session;
  OwningOpRef<ModuleOp> module = session.read(command.input);
  if (!module || failed(decoder::checkModel(*module)))
    return 1;
  const Decisions decisions{listKept(*module),   listNewWeights(*module),
                            listRoutes(*module), listSparseInputs(*module),
                            listBlocks(*module), listDropped(*module)};
  OwningOpRef<ModuleOp> old = module->clone();
  if (failed(restoreDense(*old)))
    return 1;
  Work dense = countWork(*old);
  PassManager passes(&session.context());
  passes.addPass(createPruneExpandReplaced());
  passes.addPass(createPrunePropagate());
  passes.addPass(createPruneFoldRestricts());
  // Which ops are left to the rows of a route.
  passes.addPass(createPruneSinkRoutes());
  passes.addPass(createPruneFuseEpilogues());
  passes.addNestedPass<func::FuncOp>(createPruneFormRowSets());
  if (failed(passes.run(*module)))
    return 1;
  std::vector<Figure> figures =
      compare(dense, countWork(*module), command.tokens);
  if (command.json != "-")
    print(command, figures, decisions);
  if (command.json.empty())
    return 0;
  std::error_code error;
  llvm::raw_fd_ostream file(command.json, error, llvm::sys::fs::OF_Append);
  if (!error) {
    file << toJson(command, figures, decisions) << "\n";
    file.flush();
    error = file.error();
    file.clear_error();
  }
  if (error)
    llvm::errs() << "coppice: error: cannot write '" << command.json
                 << "': " << error.message() << "\n";
  return error ? 1 : 0;
}

} // namespace

void driver::addPlanCommand(CLI::App &app, int &exitCode) {
  auto command = std::make_shared<PlanShowCommand>();
  CLI::App *plan = app.add_subcommand("plan", "Look into plans");
  plan->require_subcommand(1);
  CLI::App *show = plan->add_subcommand(
      "show", "what was removed (parameters, FLOPs and bytes of each phase, "
              "KV cache) and what is kept where");
  show->add_option("input", command->input, "pruned module (.mlir)")
      ->required();
  show->add_option("--seq", command->tokens,
                   "length of the prompt, and of the cache that one more "
                   "token is decoded with [512]")
      ->check(CLI::Range(int64_t(1), int64_t(1) << 31));
  show->add_option("--json", command->json,
                   "append one coppice.plan/1 object to this file; - is "
                   "stdout");
  show->callback([=, &exitCode] { exitCode = runShow(*command); });
}
