// What leaving rows out of a product takes, beside multiplying all of them: a
// model of a few constants, with which a schedule chooses. Units: the time of
// the dense kernel of the same product is 1, or, where products are added up,
// n * k of each.
//
// Where the constants come from: cells of `bench-sets --set
// rows-of-panels,rows-of-groups` with all rows kept, on an Intel Xeon with
// AVX-512 (docs/measuring.md, "When skipping does not pay"). Products of 512
// rows and more decide: there, time goes to arithmetic, and small granules cost
// more than they leave out. With one row or two, time goes to reading weights,
// and lists are never slower than the dense kernel.
#ifndef COPPICE_LIB_SCHEDULE_SKIPGAIN_H
#define COPPICE_LIB_SCHEDULE_SKIPGAIN_H

#include "mlir/IR/Types.h"

#include <cstdint>

namespace coppice {

/// A product over the rows of each group of `size` values along K, of which the
/// share `kept` is computed: kept (1 + 8 / size). Each group adds its sums to
/// those in memory. `weight` is the weight's element type.
double timeByGroups(int64_t size, double kept, mlir::Type weight);

/// A product over the rows of each panel of `size` columns:
/// kept (1 + 5 (1 / p - 1 / 64)) with p = gcd(64, size), the panel that is
/// packed: narrow ones reuse less of what is loaded.
double timeByPanels(int64_t size, double kept);

/// Setting what a mask does not keep to zero in an input of `k` columns, in
/// units of n * k.
double timeOfMask(int64_t k);

/// A product whose kernel of few rows looks for zeros, of which the share
/// `zeros` is expected: (1 - zeros) (1 + 0.04).
double timeByZeros(double zeros);

} // namespace coppice

#endif // COPPICE_LIB_SCHEDULE_SKIPGAIN_H
