// The pipelines of Pipelines.h: addPass only.
#include "coppice/Pipelines/Pipelines.h"

#include "coppice/Conversion/Passes.h"
#include "coppice/Dialect/Decoder/Transforms/Passes.h"
#include "coppice/Dialect/Prune/Transforms/Passes.h"
#include "coppice/Schedule/Passes.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Pass/PassRegistry.h"

using namespace mlir;
using namespace coppice;

/// What both programs go through once their ops are what they are.
static void addSchedule(OpPassManager &manager,
                        const ExecPipelineOptions &options, bool oracle) {
  ExecFormDispatchesOptions form;
  form.oracle = oracle;
  form.maxRows = options.maxRows;
  form.maxBatch = options.maxBatch;
  form.maxContext = options.maxContext;
  manager.addPass(createExecFormDispatches(form));
  ExecSelectKernelsOptions select;
  select.target = options.target;
  select.tuning = options.tuning;
  manager.addPass(createExecSelectKernels(select));
  manager.addPass(createExecPlanMemory());
}

void coppice::buildPruneToExecPipeline(OpPassManager &manager,
                                       const ExecPipelineOptions &options) {
  manager.addPass(decoder::createDecoderCheckModel());
  manager.addPass(prune::createPruneExpandReplaced());
  manager.addPass(prune::createPrunePropagate());
  manager.addPass(prune::createPruneFoldRestricts());
  manager.addPass(createPruneFormGathers());
  if (!options.taps) {
    if (!options.force)
      manager.addPass(createPruneChooseFallbacks());
    manager.addPass(createPruneSinkRoutes());
  }
  if (options.narrowInputs) {
    PruneNarrowInputsOptions narrow;
    narrow.f16 = options.target == "nvptx";
    manager.addPass(createPruneNarrowInputs(narrow));
  }
  if (!options.taps) {
    manager.addPass(createPruneFuseEpilogues());
    manager.addNestedPass<func::FuncOp>(createPruneFormRowSets());
  }
  addSchedule(manager, options, /*oracle=*/false);
}

void coppice::buildPruneToOracleExecPipeline(
    OpPassManager &manager, const ExecPipelineOptions &options) {
  manager.addPass(decoder::createDecoderCheckModel());
  if (!options.rounded.empty()) {
    // Between two factors, too: only two products have a value to round there.
    manager.addPass(prune::createPruneExpandReplaced());
    PruneRoundValuesOptions round;
    round.names.assign(options.rounded.begin(), options.rounded.end());
    round.f16 = options.roundedToF16;
    manager.addPass(createPruneRoundValues(round));
  }
  manager.addPass(createPruneToLinalg());
  manager.addPass(createDecoderToLinalg());
  addSchedule(manager, options, /*oracle=*/true);
}

void coppice::registerExecPipelines() {
  PassPipelineRegistration<ExecPipelineOptions>(
      "prune-to-exec",
      "Propagate, fold, fuse, form dispatches, choose kernels, plan memory",
      buildPruneToExecPipeline);
  PassPipelineRegistration<ExecPipelineOptions>(
      "prune-to-oracle-exec",
      "Lower masks and ops to linalg, form one plain dispatch for each",
      buildPruneToOracleExecPipeline);
}
