// What stays of weights by magnitude: in groups, or anywhere.
#ifndef COPPICE_REPLACE_SELECTPATTERN_H
#define COPPICE_REPLACE_SELECTPATTERN_H

#include <cstdint>
#include <span>

namespace coppice {

// NaN counts as larger than Inf, so that no data makes these undefined; whether
// weights are finite is for the caller to check (`findNonFinite`).

/// Sets all but `kept` of each group of `of` neighbours of a row to zero: the
/// largest by magnitude stay, of equal ones the first. A last group that is
/// short is one with zeros behind it.
void selectByMagnitude(std::span<float> row, int64_t kept, int64_t of);

/// Sets floor(sparsity * size) elements to zero, those smallest by magnitude;
/// of equal ones the first stay.
void selectLargest(std::span<float> elements, double sparsity);

} // namespace coppice

#endif // COPPICE_REPLACE_SELECTPATTERN_H
