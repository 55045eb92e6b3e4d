// Where the machine description of a bench comes from.
#ifndef COPPICE_RUNTIME_BENCH_MACHINE_FILE_H
#define COPPICE_RUNTIME_BENCH_MACHINE_FILE_H

#include "runtime/costmodel/machine.h"

namespace coppice::rt {

/// The description in the file `named`; with no name that of the default place
/// if it is of this machine and of the instructions that code for it has, else
/// one that is probed now and stored there, with the curves that were
/// calibrated for this machine. Says on stderr when it probes; a file that
/// cannot be stored is a warning only.
Result<Machine> machineToPredictFor(const std::string &named);

/// The description in the file `named`, or that of a machine of this name that
/// was shipped with this program ("h200"): in share/coppice/machines beside the
/// folder of the executable. With no name that of the default place. Never
/// probes.
Result<Machine> findMachine(const std::string &named);

} // namespace coppice::rt

#endif
