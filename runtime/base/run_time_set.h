// A set that is known at run time: which rows, panels or groups of a GEMM there
// are. Kernels take the list and its count as they are, and have nowhere to
// report an error, so a list that comes from outside is checked here first.
#ifndef COPPICE_RUNTIME_BASE_RUN_TIME_SET_H
#define COPPICE_RUNTIME_BASE_RUN_TIME_SET_H

#include "runtime/base/status.h"

#include <cstdint>
#include <span>
#include <string_view>

namespace coppice::rt {

// Is `set` ascending, without repetition, and in [0, extent)? `what` names its
// elements in the message ("rows").
Status checkSet(std::string_view what, std::span<const int32_t> set,
                int64_t extent);

} // namespace coppice::rt

#endif
