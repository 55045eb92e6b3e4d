// What watches the two programs of a comparison, dispatch by dispatch.
//
// The fast program runs a step first, and an observer keeps a copy of every
// value that it says the oracle computes too ("value" in program.json). Then
// the oracle runs the same step; its observer compares on the spot, column by
// kept column. So memory is one step of the fast program's values, whatever the
// model.
#ifndef COPPICE_RUNTIME_VERIFY_OBSERVERS_H
#define COPPICE_RUNTIME_VERIFY_OBSERVERS_H

#include <cstdint>

namespace coppice::rt {

/// Of type coppice_observer, with a Comparison as context.
void observeFast(void *context, int64_t dispatch, double seconds,
                 const float *data, const int64_t *shape, int64_t rank);
void observeOracle(void *context, int64_t dispatch, double seconds,
                   const float *data, const int64_t *shape, int64_t rank);

} // namespace coppice::rt

#endif
