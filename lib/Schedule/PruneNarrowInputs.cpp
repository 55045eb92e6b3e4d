//===- PruneNarrowInputs.cpp - 16 bits where 16 bits are used -------------===//
// In: a propagated @forward whose rows are f32. Out: the same, with the values
// made in bf16 that are only read where they meet bf16: by GEMMs with bf16
// weights, by attention over bf16 caches, by appends to such caches. The same
// of f16 for a target that multiplies f16.
//
// The rounding itself changes nothing for who multiplies pairs of 16 bits or
// stores them, and would round anyway; where it is done decides how many bytes
// are stored and read, and how often.
//===----------------------------------------------------------------------===//
#include "coppice/Schedule/Passes.h"

#include "coppice/Dialect/Decoder/IR/Decoder.h"
#include "coppice/Dialect/Prune/IR/Prune.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "llvm/ADT/SetVector.h"
#include "llvm/ADT/TypeSwitch.h"

namespace coppice {
#define GEN_PASS_DEF_PRUNENARROWINPUTS
#include "coppice/Schedule/Passes.h.inc"
} // namespace coppice

using namespace mlir;
using namespace coppice;

/// The operand of `op` that meets elements of type `narrow` there; null if
/// there is none.
static OpOperand *getNarrowedOperand(Operation *op, Type narrow) {
  auto ifMeets = [&](OpOperand &operand, Value other) {
    return getElementTypeOrSelf(other) == narrow ? &operand : nullptr;
  };
  return llvm::TypeSwitch<Operation *, OpOperand *>(op)
      .Case([&](prune::GemmOp gemm) {
        return ifMeets(gemm.getInputMutable(), gemm.getWeight());
      })
      .Case([&](decoder::AttentionOp attention) {
        return ifMeets(attention.getQueryMutable(), attention.getKeys());
      })
      .Case([&](prune::SelectBlocksOp select) {
        return select.getQuery()
                   ? ifMeets(select.getQueryMutable()[0], select.getKeys())
                   : nullptr;
      })
      .Case([&](decoder::AppendOp append) {
        return ifMeets(append.getRowsMutable(), append.getCache());
      })
      .Default([](Operation *) { return nullptr; });
}

static bool isNarrowedUse(OpOperand &use, Type narrow) {
  return getNarrowedOperand(use.getOwner(), narrow) == &use;
}

/// Rounds what the block's terminator yields.
static void roundYield(Block &block, Type storage) {
  Operation *yield = block.getTerminator();
  OpBuilder builder(yield);
  yield->setOperand(0, arith::TruncFOp::create(builder, yield->getLoc(),
                                               storage, yield->getOperand(0)));
}

static LogicalResult narrow(linalg::GenericOp op, RankedTensorType type) {
  auto empty = op->getNumResults() == 1
                   ? op.getDpsInits()[0].getDefiningOp<tensor::EmptyOp>()
                   : tensor::EmptyOp();
  if (!empty || op.getNumReductionLoops() > 0 ||
      !op.getRegionOutputArgs()[0].use_empty())
    return failure();
  OpBuilder builder(op);
  op.getDpsInitsMutable()[0].set(tensor::EmptyOp::create(
      builder, op.getLoc(), empty.getMixedSizes(), type.getElementType()));
  op.getRegionOutputArgs()[0].setType(type.getElementType());
  roundYield(*op.getBody(), type.getElementType());
  op.getResult(0).setType(type);
  if (empty->use_empty())
    empty.erase();
  return success();
}

static LogicalResult narrow(prune::GemmOp op, RankedTensorType type) {
  // `into` has the result's type.
  if (!op.getType().getElementType().isF32() || op.getInto())
    return failure();
  op.getResult().setType(type);
  if (op.hasEpilogue())
    roundYield(op.getEpilogue().front(), type.getElementType());
  return success();
}

static LogicalResult narrow(Value value, RankedTensorType type);

/// Extents do not depend on the element type.
static bool areNarrowed(Value value, Type narrow, Operation *butFor = nullptr) {
  return llvm::all_of(value.getUses(), [&](OpOperand &use) {
    return isa<tensor::DimOp>(use.getOwner()) || use.getOwner() == butFor ||
           isNarrowedUse(use, narrow);
  });
}

/// What is zero or not is rounded before.
static LogicalResult narrow(prune::ProjectByOp op, RankedTensorType type) {
  if (op.getInto() || !areNarrowed(op.getInput(), type.getElementType(), op) ||
      failed(narrow(op.getInput(), type)))
    return failure();
  op.getResult().setType(type);
  return success();
}

/// Makes `value` in `type`.
static LogicalResult narrow(Value value, RankedTensorType type) {
  Operation *op = value.getDefiningOp();
  if (auto project = dyn_cast_or_null<prune::ProjectByOp>(op))
    return narrow(project, type);
  if (isa_and_nonnull<decoder::RMSNormOp, decoder::RotaryOp,
                      decoder::AttentionOp>(op)) {
    value.setType(type);
    return success();
  }
  if (auto generic = dyn_cast_or_null<linalg::GenericOp>(op))
    return narrow(generic, type);
  if (auto gemm = dyn_cast_or_null<prune::GemmOp>(op))
    return narrow(gemm, type);
  return failure();
}

namespace {
struct PruneNarrowInputs
    : coppice::impl::PruneNarrowInputsBase<PruneNarrowInputs> {
  using Base::Base;

  void runOnOperation() override {
    narrowTo(BFloat16Type::get(&getContext()));
    if (f16)
      narrowTo(Float16Type::get(&getContext()));
  }

  void narrowTo(Type element) {
    llvm::SetVector<Value> values;
    getOperation()->walk([&](Operation *op) {
      if (OpOperand *operand = getNarrowedOperand(op, element))
        if (getElementTypeOrSelf(operand->get()).isF32())
          values.insert(operand->get());
    });
    for (Value value : values) {
      auto type = cast<RankedTensorType>(value.getType());
      if (areNarrowed(value, element) &&
          succeeded(narrow(value, type.clone(element))))
        ++narrowed;
    }
  }
};
} // namespace
