// Any text as program.json: parsed or refused, and a parsed program can be
// planned for and evaluated without leaving the arena.
#include "runtime/session/session.h"

#include <cstdlib>

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  using namespace coppice::rt;
  auto program = parseProgram({reinterpret_cast<const char *>(data), size});
  if (!program)
    return 0;
  auto limits = resolveLimits(*program, coppice_session_options{});
  if (!limits)
    std::abort(); // the bundle's own limits are always in range
  auto memory = sessionMemory(*program, *limits);
  if (!memory)
    return 0;

  // A plan only computes addresses: none of this memory is there.
  std::vector<std::vector<coppice_kernel *>> kernels;
  for (const Dispatch &dispatch : program->dispatches) {
    size_t stages = 0;
    for (const Variant &variant : dispatch.variants)
      stages += variant.stages.size();
    kernels.emplace_back(stages);
  }
  SessionAddresses addresses;
  addresses.weights.resize(program->weights.size());
  addresses.states.resize(program->states.size());
  addresses.step.resize(program->step.size());
  auto *base = reinterpret_cast<std::byte *>(uintptr_t(1) << 20);
  addresses.arena = base;
  addresses.arenaBytes = memory->arena_bytes;
  SymbolValues symbols = {1, 1, limits->slots, limits->context, 1, 1};
  StepPlan plan(*program, kernels, addresses,
                {limits->rows, limits->headRows, limits->slots, limits->context,
                 limits->rows * limits->context,
                 limits->slots * limits->context});
  if (!plan.update(symbols).ok())
    return 0;
  for (size_t i = 0; i < program->buffers.size(); ++i) {
    auto bytes = evaluateBytes(program->buffers[i].shape,
                               program->buffers[i].dtype, symbols);
    auto *start = static_cast<std::byte *>(plan.bufferAddress(int64_t(i)));
    if (!bytes || start < base || start - base + *bytes > addresses.arenaBytes)
      std::abort();
  }
  return 0;
}
