// A session: a bundle's program on a device, with weights, KV cache and arena.
//
// In: a bundle and options. Out: logits, step by step. Everything that can be
// refused is refused before a step starts: rows are checked (step_check.h),
// then all kernels, grids and addresses are worked out (step_plan.h), and only
// then do dispatches run, in the program's order.
#ifndef COPPICE_RUNTIME_SESSION_SESSION_H
#define COPPICE_RUNTIME_SESSION_SESSION_H

#include "runtime/bundle/bundle.h"
#include "runtime/session/device_handle.h"
#include "runtime/session/step_check.h"
#include "runtime/session/step_plan.h"

#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace coppice::rt {

// Limits of a session with these options; fails where they exceed the bundle's.
Result<StepLimits> resolveLimits(const Program &program,
                                 const coppice_session_options &options);

// What a session would take.
Result<coppice_memory> sessionMemory(const Program &program,
                                     const StepLimits &limits);

class Session {
public:
  static Result<std::unique_ptr<Session>>
  create(std::shared_ptr<const Bundle> bundle,
         const coppice_session_options &options);

  Result<bool> flushCaches() { return device.flushCaches(); }
  Status step(const coppice_step &step, float *logits);
  Result<SymbolValues> symbols(const coppice_step &step) const;

  Status reset(int32_t slot);
  Status rewind(int32_t slot, int64_t length);
  Status enable(const std::string &group, bool enabled);

  int64_t routeColumns() const { return program.routeColumns; }
  int64_t routeCount() const { return int64_t(program.routes.size()); }
  // `name` points into the session.
  Result<coppice_route> route(int64_t index) const;
  Status readRoute(int64_t index, int8_t *mask);
  void observe(coppice_observer function, void *context) {
    observer = function;
    observerContext = context;
  }
  void editLists(coppice_list_editor function, void *context) {
    listEditor = function;
    listEditorContext = context;
  }
  void editValues(coppice_value_editor function, void *context) {
    valueEditor = function;
    valueEditorContext = context;
  }
  // Of the session; `target` and `isa` point into it.
  coppice_session_info info() const;

private:
  Session(std::shared_ptr<const Bundle> bundle, DeviceHandle device);
  Status allocate();
  Status findKernels(const Target &target);
  Status writeStepBuffer(const coppice_step &step);
  Status writeStepField(size_t index, const void *source, int64_t count);
  Status checkRoute(int64_t index) const;
  Status runDispatches(const SymbolValues &symbols);
  Status report(size_t dispatch, double seconds);
  Status editList(size_t dispatch);
  Status editValue(size_t dispatch);
  Status readLogits(float *logits);
  Status checkSlot(int32_t slot) const;
  Status readAsF32(DType dtype, const void *source, int64_t count,
                   const float *&data);

  std::shared_ptr<const Bundle> bundle;
  const Program &program;
  DeviceHandle device;
  std::string target, isa;
  int32_t threads = 0;
  StepLimits limits;
  SessionAddresses addresses;
  std::vector<std::vector<coppice_kernel *>> kernels;
  std::optional<StepPlan> plan; // refers to the members above
  std::vector<bool> disabled;   // by dispatch
  std::vector<int64_t> held;    // tokens in each slot
  // Slots that were fed while a group that writes a state was off: the state
  // lacks those tokens.
  std::vector<bool> incomplete;
  std::vector<int8_t> undecided; // routes of a step that gives none
  // Rows of the last step; 0: there was none, or it failed.
  int64_t lastRows = 0;
  std::vector<bool> decided; // by route: the last step ran its decision

  coppice_observer observer = nullptr;
  void *observerContext = nullptr;
  coppice_list_editor listEditor = nullptr;
  void *listEditorContext = nullptr;
  coppice_value_editor valueEditor = nullptr;
  void *valueEditorContext = nullptr;
  std::vector<std::byte> staging; // for reads that need a copy
  std::vector<float> converted;
};

} // namespace coppice::rt

#endif
