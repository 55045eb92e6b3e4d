//===- NVPTXMarkKernels.cpp - functions become kernels --------------------===//

#include "coppice/Codegen/NVPTX/Passes.h"
#include "coppice/Dialect/Exec/IR/Exec.h"

using namespace mlir;

namespace coppice {

#define GEN_PASS_DEF_NVPTXMARKKERNELS
#include "coppice/Codegen/NVPTX/Passes.h.inc"

namespace {

struct NVPTXMarkKernels : impl::NVPTXMarkKernelsBase<NVPTXMarkKernels> {
  void runOnOperation() override {
    Builder builder(&getContext());
    for (auto function : getOperation().getOps<LLVM::LLVMFuncOp>()) {
      auto threads =
          function->getAttrOfType<IntegerAttr>(exec::threadsAttrName);
      if (!threads)
        continue;
      function->setAttr(NVVM::NVVMDialect::getKernelFuncAttrName(),
                        builder.getUnitAttr());
      function->setAttr(NVVM::NVVMDialect::getReqntidAttrName(),
                        builder.getDenseI32ArrayAttr(
                            {static_cast<int32_t>(threads.getInt()), 1, 1}));
    }
  }
};

} // namespace
} // namespace coppice
