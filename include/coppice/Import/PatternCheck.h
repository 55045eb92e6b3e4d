// Do weights have the N:M sparsity that is claimed of them?
#ifndef COPPICE_IMPORT_PATTERNCHECK_H
#define COPPICE_IMPORT_PATTERNCHECK_H

#include "coppice/Import/ModelDescription.h"
#include "coppice/Import/Weights.h"

#include <span>

namespace coppice {

/// The first element of a row that is one more other than zero than its group
/// may have; -1: there is none. Of either sign a zero is one.
int64_t findExcess(rt::DType dtype, std::span<const std::byte> row,
                   SparsityPattern pattern);

/// Names the first element by which a matrix has not the pattern that the model
/// says it has. `tensors`: those of weightsOf(model), in its order. Reads the
/// matrices that have one.
rt::Status refuseFalsePatterns(const ModelDescription &model,
                               std::span<const TensorView> tensors);

} // namespace coppice

#endif // COPPICE_IMPORT_PATTERNCHECK_H
