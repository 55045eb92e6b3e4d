// The one place that knows every dialect, pass and pipeline. Upstream's
// registration headers are slow to compile: they are included here only.
#include "coppice/InitAll.h"

#include "coppice/Codegen/CPU/Passes.h"
#include "coppice/Codegen/NVPTX/Passes.h"
#include "coppice/Conversion/Passes.h"
#include "coppice/Dialect/Decoder/IR/Decoder.h"
#include "coppice/Dialect/Decoder/Transforms/Passes.h"
#include "coppice/Dialect/Exec/IR/Exec.h"
#include "coppice/Dialect/Prune/IR/Prune.h"
#include "coppice/Dialect/Prune/Transforms/Passes.h"
#include "coppice/Pipelines/Pipelines.h"
#include "coppice/Schedule/Passes.h"

#include "mlir/InitAllDialects.h"
#include "mlir/InitAllExtensions.h"
#include "mlir/InitAllPasses.h"
#include "mlir/Target/LLVMIR/Dialect/All.h"

void coppice::registerAllDialects(mlir::DialectRegistry &registry) {
  mlir::registerAllDialects(registry);
  mlir::registerAllExtensions(registry);
  mlir::registerAllToLLVMIRTranslations(registry);
  registry.insert<decoder::DecoderDialect, exec::ExecDialect,
                  prune::PruneDialect>();
}

void coppice::registerAllPasses() {
  mlir::registerAllPasses();
  registerCodegenCPUPasses();
  registerCodegenCPUPipelines();
  registerCodegenNVPTXPasses();
  registerCodegenNVPTXPipelines();
  registerConversionPasses();
  decoder::registerDecoderPasses();
  prune::registerPrunePasses();
  registerSchedulePasses();
  registerExecPipelines();
}
