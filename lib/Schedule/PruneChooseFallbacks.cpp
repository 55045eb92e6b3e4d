//===- PruneChooseFallbacks.cpp - where skipping is predicted not to pay --===//
// In: a propagated @forward with the projections of routes as plans write them.
// Out: the same, with marks: `prune.fallback` on a projection of groups of
// columns that is to stay a masked select, and on a GEMM that is to compute all
// rows though its readers want some; `prune-sink-routes` and
// `prune-form-row-sets` go by them. `prune.fallbacks` of the module lists the
// GEMMs that run dense for it, and what was predicted.
//
// A projection has *readers*, the products whose K it is, and may have
// *makers*, the products whose N it is. There are three ways to compute them:
//
//   lists          readers by groups of K, makers by panels of N
//   dense makers   readers by groups of K, makers whole
//   masked         makers whole, a select, readers whole
//
// and the fastest by SkipGain.h is taken. Attention in between is not counted:
// how much work it is depends on the context. Rows that are passed by in all
// columns are no matter of a choice: their lists cost nothing in a product.
//
// And where few zeros are expected in what a GEMM reads, its kernel of few rows
// does not look for them.
//===----------------------------------------------------------------------===//
#include "SkipGain.h"
#include "coppice/Schedule/Passes.h"

#include "coppice/Analysis/Sites.h"
#include "coppice/Dialect/Decoder/IR/Decoder.h"
#include "coppice/Dialect/Prune/IR/Prune.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "llvm/ADT/SetVector.h"
#include "llvm/ADT/TypeSwitch.h"

namespace coppice {
#define GEN_PASS_DEF_PRUNECHOOSEFALLBACKS
#include "coppice/Schedule/Passes.h.inc"
} // namespace coppice

using namespace mlir;
using namespace coppice;
using prune::GemmOp;
using prune::ProjectByOp;
using prune::PruneDialect;

/// The dense time of a product.
static double timeOf(GemmOp gemm) {
  RankedTensorType weight = gemm.getWeight().getType();
  return static_cast<double>(weight.getNumElements());
}

/// Puts products into the order of the program; that of uses says nothing.
static SmallVector<GemmOp> inOrder(ArrayRef<GemmOp> gemms) {
  SmallVector<GemmOp> sorted(gemms);
  llvm::sort(sorted, [](GemmOp a, GemmOp b) { return a->isBeforeInBlock(b); });
  return sorted;
}

/// The products whose input the projection is; none if anyone else reads it,
/// and then it is no list in any case.
static SmallVector<GemmOp> findReaders(ProjectByOp project) {
  SmallVector<GemmOp> readers;
  for (OpOperand &use : project->getUses()) {
    auto gemm = dyn_cast<GemmOp>(use.getOwner());
    if (gemm && gemm->getBlock() == project->getBlock() &&
        &use == &gemm.getInputMutable() && !gemm.hasSets())
      readers.push_back(gemm);
    else if (!isa<tensor::DimOp>(use.getOwner()))
      return {};
  }
  return inOrder(readers);
}

/// Has `value` one reader but for its extents?
static bool hasOneReader(Value value) {
  return llvm::count_if(value.getUsers(), [](Operation *user) {
           return !isa<tensor::DimOp>(user);
         }) == 1;
}

/// Adds the products of `block` whose rows are read as those of `value` are.
static void collectMakers(Value value, Block *block,
                          llvm::SetVector<GemmOp> &makers) {
  Operation *op = value.getDefiningOp();
  if (!op || op->getBlock() != block || !hasOneReader(value))
    return;
  llvm::TypeSwitch<Operation *>(op)
      .Case([&](GemmOp gemm) {
        if (!gemm.hasSets())
          makers.insert(gemm);
      })
      .Case([&](linalg::GenericOp generic) {
        if (generic.getNumParallelLoops() == generic.getNumLoops())
          for (OpOperand *input : generic.getDpsInputOperands())
            if (input->get().getType() == value.getType())
              collectMakers(input->get(), block, makers);
      })
      .Case([&](decoder::RMSNormOp norm) {
        if (norm.getHeadDimAttr())
          collectMakers(norm.getInput(), block, makers);
      })
      .Case([&](decoder::RotaryOp rotary) {
        collectMakers(rotary.getInput(), block, makers);
      })
      .Case([&](decoder::AttentionOp attention) {
        collectMakers(attention.getQuery(), block, makers);
      });
}

namespace {
class FallbackChooser {
public:
  explicit FallbackChooser(ModuleOp module)
      : module(module), builder(module.getContext()) {}

  void choose(ProjectByOp project);
  void chooseZeros(GemmOp gemm);
  /// Returns how many products run dense.
  int64_t finish();

private:
  enum class Way { Lists, DenseMakers, Masked };

  void add(GemmOp gemm, int64_t group, double expected, double predicted,
           Way way);
  void mark(Operation *op) {
    op->setDiscardableAttr(PruneDialect::fallbackAttrName,
                           builder.getUnitAttr());
  }

  ModuleOp module;
  Builder builder;
  SmallVector<Attribute> fallbacks;
};
} // namespace

void FallbackChooser::add(GemmOp gemm, int64_t group, double expected,
                          double predicted, Way way) {
  fallbacks.push_back(builder.getDictionaryAttr(
      {builder.getNamedAttr("site", builder.getStringAttr(gemm.getSite())),
       builder.getNamedAttr("group", builder.getI64IntegerAttr(group)),
       builder.getNamedAttr("expected", builder.getF64FloatAttr(expected)),
       builder.getNamedAttr("predicted_speedup",
                            builder.getF64FloatAttr(predicted)),
       builder.getNamedAttr("masked",
                            builder.getBoolAttr(way == Way::Masked))}));
}

void FallbackChooser::choose(ProjectByOp project) {
  auto decide = project.getMask().getDefiningOp<prune::DecideOp>();
  if (!project.getGroupSize() || project.getAmongAttr() || !decide)
    return;
  SmallVector<GemmOp> readers = findReaders(project);
  if (readers.empty())
    return;
  llvm::SetVector<GemmOp> found;
  collectMakers(project.getInput(), project->getBlock(), found);
  SmallVector<GemmOp> makers = inOrder(found.getArrayRef());

  auto size = static_cast<int64_t>(*project.getGroupSize());
  double kept = decide.getExpected().convertToDouble();
  double denseReaders = 0, denseMakers = 0, byGroups = 0, byPanels = 0;
  for (GemmOp reader : readers) {
    denseReaders += timeOf(reader);
    byGroups +=
        timeOf(reader) *
        timeByGroups(size, kept, reader.getWeight().getType().getElementType());
  }
  for (GemmOp maker : makers) {
    denseMakers += timeOf(maker);
    byPanels += timeOf(maker) * timeByPanels(size, kept);
  }
  double lists = byGroups + byPanels, split = byGroups + denseMakers,
         masked = denseReaders + denseMakers +
                  timeOfMask(project.getType().getDimSize(1));
  Way way = lists <= std::min(split, masked) ? Way::Lists
            : split <= masked                ? Way::DenseMakers
                                             : Way::Masked;
  if (way == Way::Lists)
    return;
  // Of what falls back: what it would gain by skipping all the same.
  double gain = way == Way::Masked ? masked / lists : denseMakers / byPanels;
  for (GemmOp maker : makers) {
    mark(maker);
    add(maker, size, kept, gain, way);
  }
  if (way == Way::DenseMakers)
    return;
  mark(project);
  // As the oracle calls it: the sublayer's name is that of its last value.
  project.setSite((project.getSite() + ".project").str());
  for (GemmOp reader : readers)
    add(reader, size, kept, gain, way);
}

void FallbackChooser::chooseZeros(GemmOp gemm) {
  if (!gemm.getInputZeros() || gemm.hasSets())
    return;
  double zeros = gemm.getInputZeros()->convertToDouble();
  double time = timeByZeros(zeros);
  if (time <= 1)
    return;
  gemm.removeInputZerosAttr();
  add(gemm, /*group=*/0, 1 - zeros, 1 / time, Way::Lists);
}

int64_t FallbackChooser::finish() {
  if (!fallbacks.empty())
    module->setAttr(PruneDialect::fallbacksAttrName,
                    builder.getArrayAttr(fallbacks));
  return static_cast<int64_t>(fallbacks.size());
}

namespace {
struct PruneChooseFallbacks
    : coppice::impl::PruneChooseFallbacksBase<PruneChooseFallbacks> {
  void runOnOperation() override {
    FallbackChooser chooser(getOperation());
    getOperation().walk([&](ProjectByOp project) { chooser.choose(project); });
    getOperation().walk([&](GemmOp gemm) { chooser.chooseZeros(gemm); });
    fallen += chooser.finish();
  }
};
} // namespace
