// Parts of machine.json that records and predictions repeat.
#ifndef COPPICE_RUNTIME_COSTMODEL_MACHINE_JSON_H
#define COPPICE_RUNTIME_COSTMODEL_MACHINE_JSON_H

#include "runtime/base/json.h"
#include "runtime/costmodel/machine.h"

namespace coppice::rt {

/// The rates that are known, under their names in machine.json.
Json ratesJson(const Rates &rates);

} // namespace coppice::rt

#endif
