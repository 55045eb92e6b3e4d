// Which of a bundle's code files a session takes.
#ifndef COPPICE_RUNTIME_SESSION_CHOOSE_TARGET_H
#define COPPICE_RUNTIME_SESSION_CHOOSE_TARGET_H

#include "runtime/base/status.h"
#include "runtime/bundle/program.h"

namespace coppice::rt {

// "cpu", or "cpu with avx2" where the target is for an instruction set.
std::string describe(const Target &target);

// The first target that this machine can run and that has the given name and
// instruction set; null: any. The bundle lists the best first; where bf16 dot
// products are slow, code for avx512 is better than that for avx512_bf16,
// unless there is code for AMX.
Result<const Target *> chooseTarget(const Program &program, const char *name,
                                    const char *isa);

} // namespace coppice::rt

#endif
