// See routing.h.
#include "runtime/costmodel/routing.h"

namespace coppice::rt {

const char *nameOf(Part part) {
  switch (part) {
  case Part::Gemm:
    return "gemm";
  case Part::Router:
    return "router";
  case Part::Compaction:
    return "compaction";
  case Part::Other:
    return "other";
  }
  return "";
}

Part partOf(const Program &program, size_t index) {
  const Dispatch &dispatch = program.dispatches[index];
  if (dispatch.kind == DispatchKind::Route ||
      dispatch.kind == DispatchKind::Compact)
    return Part::Compaction;
  for (const Route &route : program.routes)
    if (!route.scores.empty() &&
        (dispatch.value == route.scores || dispatch.site == route.scores ||
         dispatch.site.starts_with(route.scores + ".")))
      return Part::Router;
  return dispatch.kind == DispatchKind::Gemm ? Part::Gemm : Part::Other;
}

bool isAddedByRouting(const Program &program, size_t dispatch) {
  Part part = partOf(program, dispatch);
  return part == Part::Router || part == Part::Compaction;
}

} // namespace coppice::rt
