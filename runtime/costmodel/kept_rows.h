// How many of a step's rows chance keeps: a few numbers of rows with their
// probabilities.
#ifndef COPPICE_RUNTIME_COSTMODEL_KEPT_ROWS_H
#define COPPICE_RUNTIME_COSTMODEL_KEPT_ROWS_H

#include <cstdint>
#include <vector>

namespace coppice::rt {

struct KeptRows {
  int64_t rows = 0;
  double probability = 0;
};

/// The binomial distribution of `rows` rows that are each kept with probability
/// `density`: every number that has a chance, where these are few; else no row
/// at all, and strata of about equal probability, each by its mean. The
/// probabilities sum to 1; ascending rows.
std::vector<KeptRows> keptRows(int64_t rows, double density);

} // namespace coppice::rt

#endif
