// Conversions of one of our dialects to upstream's; what each does is in
// Passes.td.
#ifndef COPPICE_CONVERSION_PASSES_H
#define COPPICE_CONVERSION_PASSES_H

#include "mlir/Pass/Pass.h"

namespace coppice {

#define GEN_PASS_DECL
#define GEN_PASS_REGISTRATION
#include "coppice/Conversion/Passes.h.inc"

} // namespace coppice

#endif // COPPICE_CONVERSION_PASSES_H
