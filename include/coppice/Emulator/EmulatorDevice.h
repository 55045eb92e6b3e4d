//===- EmulatorDevice.h - the emulator behind the device ABI ----*- C++ -*-===//

#ifndef COPPICE_EMULATOR_EMULATORDEVICE_H
#define COPPICE_EMULATOR_EMULATORDEVICE_H

#include "coppice/Emulator/Emulator.h"

namespace coppice {

/// Adds device "emu" to those that sessions of this process may run on: it
/// executes the kernels of targets "emu:CHIP" with these options, and what a
/// GPU would not forgive is an error of the step. With random copies each
/// launch has a seed of its own, made from that of the options.
void addEmulatorDevice(const EmulatorOptions &options = {});

} // namespace coppice

#endif // COPPICE_EMULATOR_EMULATORDEVICE_H
