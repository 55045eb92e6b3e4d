// The terms of a dispatch's predicted time, as text for people.
#ifndef COPPICE_RUNTIME_COSTMODEL_EXPLAIN_H
#define COPPICE_RUNTIME_COSTMODEL_EXPLAIN_H

#include "runtime/costmodel/estimate.h"

#include <string>

namespace coppice::rt {

/// Several lines; of the last step where a cell has several. `index` is the
/// dispatch's in the program.
std::string explain(const Program &program, const Estimate &estimate,
                    size_t index);

} // namespace coppice::rt

#endif
