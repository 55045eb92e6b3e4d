#include "runtime/session/choose_target.h"

#include "runtime/base/concat.h"
#include "runtime/base/json.h"
#include "runtime/cpu/cpu_features.h"
#include "runtime/session/device_handle.h"

namespace coppice::rt {

std::string describe(const Target &target) {
  return target.isa.empty() ? target.name : target.name + " with " + target.isa;
}

static const Target *findCodeFor(const Program &program, const char *isa) {
  for (const Target &target : program.targets)
    if (target.name == "cpu" && target.isa == isa && checkTarget(target).ok())
      return &target;
  return nullptr;
}

Result<const Target *> chooseTarget(const Program &program, const char *name,
                                    const char *isa) {
  bool takesCpu = !isa && (!name || std::string_view(name) == "cpu");
  if (takesCpu && hasSlowBF16Dots() && findCodeFor(program, "avx512_bf16") &&
      !findCodeFor(program, "amx_bf16"))
    if (const Target *better = findCodeFor(program, "avx512"))
      return better;
  std::string reasons, found;
  for (const Target &target : program.targets) {
    found += (found.empty() ? "" : ", ") + describe(target);
    if ((name && target.name != name) || (isa && target.isa != isa))
      continue;
    Status status = checkTarget(target);
    if (status.ok())
      return &target;
    reasons += (reasons.empty() ? "" : "; ") + describe(target) + ": " +
               status.message();
  }
  if (!reasons.empty())
    return unsupported("the bundle has no code for this machine: " + reasons);
  if (found.empty())
    return unsupported("the bundle has no targets");
  return invalidArgument(concat("expected one of the bundle's targets (", found,
                                "), found ", name ? quote(name) : "any",
                                isa ? " with " + quote(isa) : ""));
}

} // namespace coppice::rt
