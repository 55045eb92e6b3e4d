// Whole models: what propagation leaves must equal the dense module under its
// masks. Both sides run through plain linalg, so a difference is an error of
// the projection algebra and of nothing else. A ragged step fills the caches, a
// second one mixes continued prefill and decode.
#include "test/unit/support/Jit.h"

#include "coppice/Dialect/Decoder/IR/Decoder.h"
#include "coppice/Dialect/Prune/IR/Prune.h"
#include "coppice/Import/ModelBuilder.h"
#include "coppice/InitAll.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/MLProgram/IR/MLProgram.h"
#include "mlir/Parser/Parser.h"
#include "mlir/Pass/PassManager.h"
#include "mlir/Pass/PassRegistry.h"

#include <gtest/gtest.h>

#include <limits>

using namespace mlir;
using namespace coppice;
using test::Array;

namespace {

/// Two layers, odd widths, 6 query heads; biases on request.
ModelDescription tiny(int64_t kvHeads, bool biases) {
  ModelDescription model;
  model.name = "tiny";
  model.vocabulary = 29;
  model.hidden = 22;
  model.layers.assign(2, {.heads = 6, .kvHeads = kvHeads, .intermediate = 19});
  model.headDim = 4;
  model.context = 7;
  model.qkvBias = biases;
  return model;
}

OwningOpRef<ModuleOp> build(MLIRContext &context, const ModelDescription &model,
                            const std::string &plan) {
  auto source = [&](const ModelWeight &weight) -> Attribute {
    return decoder::GeneratedAttr::get(&context, 1, weight.symbol, 1.0, 0.0);
  };
  auto module = buildModel(context, model, rt::DType::F32, {}, source);
  Block block;
  ParserConfig config(&context);
  if (failed(
          parseSourceString("prune.plan @plan {" + plan + "}", &block, config)))
    return {};
  block.front().moveBefore(module->getBody(), module->getBody()->begin());
  return module;
}

/// Weights become arguments, so that the Jit can be given them; gives their
/// names in the order of these arguments.
std::vector<std::string> weightsToArguments(ModuleOp module) {
  std::vector<std::string> names;
  auto forward = module.lookupSymbol<func::FuncOp>("forward");
  for (auto global :
       llvm::make_early_inc_range(module.getOps<ml_program::GlobalOp>())) {
    unsigned index = forward.getNumArguments();
    (void)forward.insertArgument(index, global.getType(), {}, global.getLoc());
    names.push_back(global.getSymName().str());
    forward.walk([&](ml_program::GlobalLoadConstOp load) {
      if (load.getGlobal().getLeafReference() != global.getSymNameAttr())
        return;
      load.replaceAllUsesWith(forward.getArgument(index));
      load.erase();
    });
    global.erase();
  }
  for (auto plan : llvm::make_early_inc_range(module.getOps<prune::PlanOp>()))
    plan.erase();
  return names;
}

/// The logits of both steps under `plan`, after `passes`.
std::vector<Array> run(const ModelDescription &model, const std::string &plan,
                       const std::string &passes) {
  test::initialize();
  DialectRegistry registry;
  coppice::registerAllDialects(registry);
  MLIRContext context(registry, MLIRContext::Threading::DISABLED);
  context.loadAllAvailableDialects();
  auto module = build(context, model, plan);
  PassManager manager(&context);
  if (!module || failed(parsePassPipeline(passes, manager)) ||
      failed(manager.run(*module))) {
    ADD_FAILURE() << "the passes failed: " << passes;
    return {};
  }
  std::vector<std::string> weights = weightsToArguments(*module);
  auto jit = test::Jit::compile(*module, "prune-to-linalg,decoder-to-linalg");
  if (!jit) {
    ADD_FAILURE() << jit.error();
    return {};
  }

  auto forward = module->lookupSymbol<func::FuncOp>("forward");
  unsigned firstWeight = forward.getNumArguments() - weights.size();
  std::vector<Array> arguments(4);
  for (unsigned i = 4; i < firstWeight; ++i) {
    auto type = cast<RankedTensorType>(forward.getArgumentTypes()[i]);
    arguments.emplace_back(std::vector<int64_t>{3, 7, type.getDimSize(2)});
  }
  for (unsigned i = firstWeight; i < forward.getNumArguments(); ++i) {
    // The same weight on both sides, whatever else is left of the module.
    std::string name = weights[i - firstWeight];
    std::seed_seq seed(name.begin(), name.end());
    std::mt19937 random(seed);
    auto type = cast<RankedTensorType>(forward.getArgumentTypes()[i]);
    arguments.push_back(test::randomArray(random, type.getShape().vec(), 0.4f));
  }

  struct Step {
    std::vector<float> tokens, slots, positions, head;
  } steps[] = {{{3, 28, 0, 7, 11, 2},
                {0, 0, 0, 2, 2, 1},
                {0, 1, 2, 0, 1, 0},
                {2, 4, 5, 0}},
               {{5, 9, 9, 1}, {1, 0, 0, 2}, {1, 3, 4, 2}, {0, 1, 2, 3}}};
  std::vector<Array> logits;
  for (const Step &step : steps) {
    auto rows = static_cast<int64_t>(step.tokens.size());
    arguments[0] = Array({rows}, step.tokens);
    arguments[1] = Array({rows}, step.slots);
    arguments[2] = Array({rows}, step.positions);
    arguments[3] = Array({static_cast<int64_t>(step.head.size())}, step.head);
    auto results = jit->call("forward", arguments);
    if (!results) {
      ADD_FAILURE() << results.error();
      return {};
    }
    logits.push_back((*results)[0]);
    std::copy(results->begin() + 1, results->end(), arguments.begin() + 4);
  }
  return logits;
}

const char *kMasked = "prune-apply-plan";
const char *kPropagated = "prune-apply-plan,prune-propagate";

double worstError(const std::vector<Array> &actual,
                  const std::vector<Array> &expected) {
  if (actual.size() != 2 || expected.size() != 2)
    return std::numeric_limits<double>::infinity();
  return std::max(test::worstRowError(actual[0], expected[0]),
                  test::worstRowError(actual[1], expected[1]));
}

const char *kPlans[] = {
    "", R"(prune.skip "layers.0.attn" prune.skip "layers.1.mlp")",
    R"(prune.skip "layers.0")",
    R"(prune.keep "layers.*.mlp" channels = #prune.set<[0:3, 5, 11:18] of 19>)",
    R"(prune.keep "layers.0.mlp" channels = #prune.set<[18] of 19>
       prune.keep "layers.1.attn" kv_heads = #prune.set<[0, 2] of 3>)",
    R"(prune.skip "layers.0.mlp"
       prune.keep "layers.1.mlp" channels = #prune.set<[1:19] of 19>
       prune.keep "layers.*.attn" kv_heads = #prune.set<[1] of 3>)",
    // The same hidden dimensions everywhere, others at each boundary, and such
    // that two boundaries in a row have none in common.
    R"(prune.keep "embed" hidden = #prune.set<[0:5, 8:20] of 22>
       prune.keep "layers.*.*" hidden = #prune.set<[0:5, 8:20] of 22>)",
    R"(prune.keep "embed" hidden = #prune.set<[0:9, 21] of 22>
       prune.keep "layers.0.attn" hidden = #prune.set<[3:14] of 22>
       prune.keep "layers.1.mlp" hidden = #prune.set<[1, 3, 5:17] of 22>
       prune.keep "layers.0.mlp" channels = #prune.set<[2:11] of 19>
       prune.keep "layers.1.attn" kv_heads = #prune.set<[0, 2] of 3>)",
    R"(prune.skip "layers.0.mlp"
       prune.keep "layers.0.*" hidden = #prune.set<[0:11] of 22>
       prune.keep "layers.1.attn" hidden = #prune.set<[11:22] of 22>)",
    // Two sets of one value, around either half.
    R"(prune.skip "layers.0.mlp" prune.skip "layers.1.attn"
       prune.keep "layers.0.attn" hidden = #prune.set<[0:13, 20] of 22>
       prune.keep "layers.0.mlp" hidden = #prune.set<[4:22] of 22>
       prune.keep "layers.1.attn" hidden = #prune.set<[2:9, 11:22] of 22>)"};

} // namespace

TEST(PropagateModel, EqualsTheDenseModelUnderItsMasks) {
  bool biases = false;
  for (const char *plan : kPlans) {
    ModelDescription model = tiny(3, biases);
    EXPECT_LT(
        worstError(run(model, plan, kPropagated), run(model, plan, kMasked)),
        1e-5)
        << plan;
    biases = !biases; // both kinds see both kinds of decision
  }
}

TEST(PropagateModel, EqualsTheDenseModelWithOneKVHeadAQueryHead) {
  ModelDescription model = tiny(6, false);
  const char *plan =
      R"(prune.keep "layers.*.attn" kv_heads = #prune.set<[0, 2:4, 5] of 6>)";
  EXPECT_LT(
      worstError(run(model, plan, kPropagated), run(model, plan, kMasked)),
      1e-5);
}

TEST(PropagateModel, NormsOfHeadsAndWindowsMoveWithTheirHeads) {
  ModelDescription model = tiny(3, true);
  model.qkNorm = true;
  model.layers[0].window = 3;
  for (const char *plan : kPlans)
    EXPECT_LT(
        worstError(run(model, plan, kPropagated), run(model, plan, kMasked)),
        1e-5)
        << plan;
}

TEST(PropagateModel, LayersMayDifferAndLackAHalf) {
  ModelDescription model = tiny(3, false);
  model.layers = {{.intermediate = 19},
                  {.heads = 4, .kvHeads = 2, .intermediate = 7},
                  {.heads = 5, .kvHeads = 5}};
  for (const char *plan :
       {"", R"(prune.skip "layers.1.attn" prune.skip "layers.0.mlp")",
        R"(prune.keep "layers.1.attn" kv_heads = #prune.set<[1] of 2>
           prune.keep "layers.2.attn" kv_heads = #prune.set<[0, 3:5] of 5>
           prune.keep "layers.1.mlp" channels = #prune.set<[0:2, 6] of 7>)"})
    EXPECT_LT(
        worstError(run(model, plan, kPropagated), run(model, plan, kMasked)),
        1e-5)
        << plan;
}

TEST(PropagateModel, TheMetricSeesOneExchangedIndex) {
  ModelDescription model = tiny(3, false);
  auto masked = run(
      model, R"(prune.keep "layers.1.mlp" channels = #prune.set<[0:10] of 19>)",
      kMasked);
  auto exchanged =
      run(model,
          R"(prune.keep "layers.1.mlp" channels = #prune.set<[0:9, 10] of 19>)",
          kPropagated);
  EXPECT_GT(worstError(exchanged, masked), 1e-3);
}
