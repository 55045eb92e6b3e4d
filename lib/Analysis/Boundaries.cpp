#include "coppice/Analysis/Boundaries.h"

using namespace mlir;
using namespace coppice;

int64_t Boundary::hidden() const {
  return cast<RankedTensorType>(value.getType()).getDimSize(1);
}

FailureOr<SmallVector<Boundary>>
coppice::findBoundaries(ArrayRef<Sublayer> sublayers,
                        function_ref<InFlightDiagnostic()> emitError) {
  SmallVector<Boundary> boundaries;
  for (const Sublayer &sublayer : sublayers) {
    linalg::GenericOp sum = sublayer.residual;
    Value before =
        sum.getDpsInputOperand(1 - sublayer.delta->getOperandNumber())->get();
    if (boundaries.empty()) {
      boundaries.push_back({kEmbedBoundary.str(), before});
      auto type = cast<RankedTensorType>(before.getType());
      if (type.getRank() != 2 || type.isDynamicDim(1))
        return emitError() << "expected a residual stream of static width, "
                              "found one of type "
                           << type;
    } else if (before != boundaries.back().value) {
      return emitError() << "expected '" << sublayer.name
                         << "' to add to the value of '"
                         << boundaries.back().name
                         << "': the hidden dimension is that of one residual "
                            "stream";
    }
    boundaries.push_back({sublayer.name, sum.getResult(0)});
  }
  return boundaries;
}
