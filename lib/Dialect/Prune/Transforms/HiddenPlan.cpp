#include "HiddenPlan.h"
#include "coppice/Analysis/SiteGlob.h"

using namespace mlir;
using namespace coppice;
using namespace coppice::prune;

LogicalResult HiddenPlan::findModelBoundaries(KeepOp op) {
  if (!boundaries.empty())
    return success();
  if (sublayers.empty())
    return op.emitOpError() << "'" << op.getSites()
                            << "' names no boundary: the model has no "
                               "sublayers";
  FailureOr<SmallVector<Boundary>> found =
      findBoundaries(sublayers, [&] { return op.emitOpError(); });
  if (failed(found))
    return failure();
  boundaries = *std::move(found);
  decisions.resize(boundaries.size());
  return success();
}

LogicalResult HiddenPlan::read(KeepOp op) {
  if (failed(findModelBoundaries(op)))
    return failure();
  std::string error;
  std::optional<SiteGlob> glob = SiteGlob::parse(op.getSites(), error);
  if (!glob)
    return op.emitOpError() << "'" << op.getSites() << "': " << error;
  auto describe = [&](InFlightDiagnostic diagnostic) {
    diagnostic << "; the residual stream of the model has the boundaries '"
               << boundaries.front().name << "' and '" << boundaries[1].name
               << "' to '" << boundaries.back().name << "'";
    return diagnostic;
  };
  SetAttr set;
  for (auto [boundary, decision] : llvm::zip_equal(boundaries, decisions)) {
    if (!glob->match(boundary.name))
      continue;
    if (decision.op) {
      InFlightDiagnostic diagnostic =
          op.emitOpError() << "the hidden dimension at '" << boundary.name
                           << "' is decided about twice";
      diagnostic.attachNote(decision.op->getLoc())
          << "the other decision, about '" << decision.op.getSites()
          << "', is here";
      return diagnostic;
    }
    if (!set) {
      FailureOr<SetAttr> resolved = resolveKeptSet(
          op, boundary.name, boundary.hidden(), files, directory);
      if (failed(resolved))
        return failure();
      set = *resolved;
    }
    decision = {op, set};
  }
  if (!set)
    return describe(op.emitOpError()
                    << "'" << op.getSites() << "' names no boundary");
  if (std::optional<std::string> unmatched = glob->findUnmatched())
    return describe(op.emitOpError()
                    << "'" << *unmatched << "' in '" << op.getSites()
                    << "' is out of range: nothing of the model matches it");
  if (isa<FileSetAttr>(op.getSet()))
    op->setAttr(op.getSetAttrName(), set);
  return success();
}

int64_t HiddenPlan::apply() const {
  int64_t written = 0;
  for (auto [boundary, decision] : llvm::zip_equal(boundaries, decisions)) {
    if (!decision.op)
      continue;
    Value dense = boundary.value;
    OpBuilder builder(dense.getContext());
    builder.setInsertionPointAfterValue(dense);
    auto project = ProjectOp::create(
        builder, dense.getLoc(), dense.getType(),
        // Not the boundary's own name: a sublayer's width has that.
        boundary.name + ".hidden", dense, 1, decision.keep);
    dense.replaceAllUsesExcept(project.getResult(), project);
    ++written;
  }
  return written;
}
