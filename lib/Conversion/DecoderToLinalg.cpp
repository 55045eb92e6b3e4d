// Replaces decoder ops by their decomposition (DecoderDecompose.cpp).
#include "coppice/Conversion/Passes.h"

#include "coppice/Dialect/Decoder/IR/Decoder.h"

#include "mlir/Dialect/Affine/IR/AffineOps.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"

namespace coppice {
#define GEN_PASS_DEF_DECODERTOLINALG
#include "coppice/Conversion/Passes.h.inc"
} // namespace coppice

using namespace mlir;
using namespace coppice;

static LogicalResult decompose(IRRewriter &rewriter,
                               linalg::AggregatedOpInterface op) {
  rewriter.setInsertionPoint(op);
  FailureOr<SmallVector<Value>> values = op.decomposeOperation(rewriter);
  if (failed(values))
    return op->emitOpError("expected the op to decompose to linalg");
  for (NamedAttribute attr : op->getDiscardableAttrs())
    values->front().getDefiningOp()->setAttr(attr.getName(), attr.getValue());
  rewriter.replaceOp(op, *values);
  return success();
}

namespace {
struct DecoderToLinalg : coppice::impl::DecoderToLinalgBase<DecoderToLinalg> {
  void runOnOperation() override {
    // Collected first: the walk must not see what a decomposition makes.
    SmallVector<linalg::AggregatedOpInterface> ops;
    getOperation()->walk([&](linalg::AggregatedOpInterface op) {
      if (isa<decoder::DecoderDialect>(op->getDialect()))
        ops.push_back(op);
    });
    IRRewriter rewriter(&getContext());
    for (linalg::AggregatedOpInterface op : ops)
      if (failed(decompose(rewriter, op)))
        return signalPassFailure();
  }
};
} // namespace
