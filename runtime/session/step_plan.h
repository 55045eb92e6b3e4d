// What one step launches: kernels, grids and argument addresses for given
// symbol values, the stages of each dispatch's variant one after the other.
// Built as a whole before anything runs, so that a step is refused whole; kept
// from step to step while the symbols that it depends on stay the same.
#ifndef COPPICE_RUNTIME_SESSION_STEP_PLAN_H
#define COPPICE_RUNTIME_SESSION_STEP_PLAN_H

#include "runtime/base/device.h"
#include "runtime/bundle/program.h"

#include <cstdint>
#include <span>
#include <vector>

namespace coppice::rt {

// Where the session has put things; addresses are the device's.
struct SessionAddresses {
  std::vector<void *> weights, states, step;
  std::byte *arena = nullptr;
  int64_t arenaBytes = 0;
};

class StepPlan {
public:
  struct Launch {
    coppice_kernel *kernel = nullptr;
    int64_t grid = 0;
    size_t firstArg = 0, argCount = 0; // in args()
  };

  // `kernels`: of each dispatch, those of its variants' stages in order.
  // Pointers are kept: these arguments outlive the plan. `capacity`: the
  // symbols of the session's largest step, which say where buffers lie in every
  // step.
  StepPlan(const Program &program,
           const std::vector<std::vector<coppice_kernel *>> &kernels,
           const SessionAddresses &addresses, const SymbolValues &capacity);

  // Makes the plan fit `symbols`; a failure leaves no valid plan behind, and
  // the next call starts anew.
  Status update(const SymbolValues &symbols);

  // Of a dispatch, in order.
  std::span<const Launch> launches(size_t dispatch) const {
    return std::span(planned).subspan(firstLaunch[dispatch],
                                      firstLaunch[dispatch + 1] -
                                          firstLaunch[dispatch]);
  }
  void *const *args(const Launch &launch) const {
    return arguments.data() + launch.firstArg;
  }
  // Extents of a buffer under the current symbols.
  std::span<const int64_t> bufferShape(int64_t buffer) const {
    return shapes[size_t(buffer)];
  }
  void *bufferAddress(int64_t buffer) const {
    return bufferAddresses[size_t(buffer)];
  }

private:
  Status placeBuffers(const SymbolValues &symbols);
  Status planDispatch(size_t index, const SymbolValues &symbols);
  Status planVariant(const Dispatch &dispatch, const Variant &variant,
                     coppice_kernel *const *stages,
                     const SymbolValues &symbols);
  void *addressOf(const Arg &arg) const;

  const Program &program;
  const std::vector<std::vector<coppice_kernel *>> &kernels;
  const SessionAddresses &addresses;
  const SymbolValues capacity;
  std::array<bool, symbolCount> depends{}; // on which symbols the plan does
  SymbolValues planSymbols{};
  bool valid = false;
  std::vector<Launch> planned;
  std::vector<size_t> firstLaunch; // of each dispatch, and the end
  std::vector<void *> arguments;
  std::vector<void *> bufferAddresses;
  std::vector<std::vector<int64_t>> shapes;
};

} // namespace coppice::rt

#endif
