// See explain.h.
#include "runtime/costmodel/explain.h"

#include <cstdarg>
#include <cstdio>

namespace coppice::rt {

__attribute__((format(printf, 1, 2))) static std::string
format(const char *pattern, ...) {
  char text[512];
  va_list args;
  va_start(args, pattern);
  vsnprintf(text, sizeof text, pattern, args);
  va_end(args);
  return text;
}

std::string explain(const Program &program, const Estimate &estimate,
                    size_t index) {
  const Dispatch &dispatch = program.dispatches[index];
  const DispatchEstimate &all = estimate.dispatches[index];
  const DispatchTime &t = all.steps.back();
  const Work &work = all.work;
  std::string text =
      format("  %s (%s, %s arithmetic%s%s)", dispatch.site.c_str(),
             std::string(nameOf(dispatch.kind)).c_str(),
             std::string(nameOf(work.arithmetic)).c_str(),
             work.storage.empty() ? "" : ", stored as ",
             std::string(work.storage).c_str());
  if (work.n > 0)
    text +=
        format(", m %lld n %lld k %lld", static_cast<long long>(work.m),
               static_cast<long long>(work.n), static_cast<long long>(work.k));
  if (dispatch.route)
    text += format(
        "; %.4g rows active, of those that %s keeps", work.activeRows,
        program.routes[static_cast<size_t>(*dispatch.route)].name.c_str());
  if (all.steps.size() > 1)
    text += format("; the last of %zu steps", all.steps.size());
  double unpadded = t.workFlops > 0 ? t.workFlops : 1;
  text += format(
      "\n    arithmetic  %.4g MFLOP, padding x%.3f, waves x%.3f, at %.1f "
      "GFLOP/s: %.3f us\n",
      t.workFlops / 1e6, t.workFlops > 0 ? t.paddedFlops / unpadded : 1,
      t.waves, t.peakFlopsPerSecond / 1e9, t.computeSeconds * 1e6);
  text += format("    memory      %.4g KB from DRAM: %.3f us; %.4g KB from "
                 "cache: %.3f us\n",
                 t.coldBytes / 1e3, t.coldSeconds * 1e6, t.warmBytes / 1e3,
                 t.warmSeconds * 1e6);
  text += format("    limit       %s; reaches %.3f of it, and %.3f us "
                 "besides\n                (%s)\n",
                 nameOf(t.limit), t.fraction, t.fixedSeconds * 1e6,
                 t.curve->origin.c_str());
  return text + format("    predicted   %.3f us, bound %.3f us\n",
                       t.predictedSeconds * 1e6, t.boundSeconds * 1e6);
}

} // namespace coppice::rt
