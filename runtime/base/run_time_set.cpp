#include "runtime/base/run_time_set.h"

#include "runtime/base/concat.h"

namespace coppice::rt {

Status checkSet(std::string_view what, std::span<const int32_t> set,
                int64_t extent) {
  for (size_t i = 0; i < set.size(); ++i) {
    if (set[i] < 0 || set[i] >= extent)
      return invalidArgument(concat("a set of ", what,
                                    ": expected elements of 0 to ", extent - 1,
                                    ", found ", set[i], " at position ", i));
    if (i > 0 && set[i] <= set[i - 1])
      return invalidArgument(
          concat("a set of ", what, ": expected ascending elements, found ",
                 set[i], " after ", set[i - 1], " at position ", i));
  }
  return {};
}

} // namespace coppice::rt
