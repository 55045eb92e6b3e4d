#include "runtime/session/step_plan.h"

#include "runtime/base/aligned_memory.h"
#include "runtime/base/checked.h"
#include "runtime/base/concat.h"
#include "runtime/base/json.h"

namespace coppice::rt {

StepPlan::StepPlan(const Program &program,
                   const std::vector<std::vector<coppice_kernel *>> &kernels,
                   const SessionAddresses &addresses,
                   const SymbolValues &capacity)
    : program(program), kernels(kernels), addresses(addresses),
      capacity(capacity), bufferAddresses(program.buffers.size()),
      shapes(program.buffers.size()) {
  auto note = [&](const Expr &expr) {
    for (int symbol = 0; symbol < symbolCount; ++symbol)
      depends[size_t(symbol)] |= expr.uses(symbol);
  };
  for (const Buffer &buffer : program.buffers)
    for (const Expr &extent : buffer.shape)
      note(extent);
  for (const Dispatch &dispatch : program.dispatches) {
    for (const Variant &variant : dispatch.variants) {
      for (const Stage &stage : variant.stages)
        note(stage.grid);
      for (const std::optional<Expr> &expr : {variant.guard, variant.workspace})
        if (expr)
          note(*expr);
    }
  }
}

Status StepPlan::update(const SymbolValues &symbols) {
  bool same = valid;
  for (size_t i = 0; same && i < symbolCount; ++i)
    same = !depends[i] || symbols[i] == planSymbols[i];
  if (same)
    return {};
  valid = false;
  planned.clear();
  arguments.clear();
  firstLaunch = {0};
  if (Status status = placeBuffers(symbols); !status.ok())
    return status;
  for (size_t i = 0; i < program.dispatches.size(); ++i)
    if (Status status = planDispatch(i, symbols); !status.ok())
      return status.at(
          concat("dispatch ", i, ", ", quote(program.dispatches[i].site)));
  planSymbols = symbols;
  valid = true;
  return {};
}

// The bundle's reader has checked the extents for the limits only; expressions
// need not grow with their symbols, so that each new step is checked again.
Status StepPlan::placeBuffers(const SymbolValues &symbols) {
  for (size_t i = 0; i < program.buffers.size(); ++i) {
    const Buffer &buffer = program.buffers[i];
    auto shape = evaluateShape(buffer.shape, symbols);
    auto bytes = evaluateBytes(buffer.shape, buffer.dtype, symbols);
    auto offset = buffer.offset.evaluate(capacity);
    for (const Status *status :
         {&shape.status(), &bytes.status(), &offset.status()})
      if (!status->ok())
        return status->at("buffer " + quote(buffer.name));
    auto end = checkedAdd(*offset, *bytes);
    if (*offset < 0 || *offset % bufferAlignment != 0 || !end ||
        *end > addresses.arenaBytes)
      return invalidFile(concat(
          "buffer ", quote(buffer.name),
          ": expected an offset that is a "
          "multiple of ",
          bufferAlignment, " and ", *bytes, " bytes inside the arena of ",
          addresses.arenaBytes, " bytes, found offset ", *offset));
    bufferAddresses[i] = addresses.arena + *offset;
    shapes[i] = *std::move(shape);
  }
  return {};
}

void *StepPlan::addressOf(const Arg &arg) const {
  switch (arg.kind) {
  case ArgKind::Buffer:
    return bufferAddresses[size_t(arg.index)];
  case ArgKind::Weight:
    return addresses.weights[size_t(arg.index)];
  case ArgKind::State:
    return addresses.states[size_t(arg.index)];
  case ArgKind::Step:
    return addresses.step[size_t(arg.index)];
  }
  return nullptr; // not reached: the switch names every kind
}

Status StepPlan::planVariant(const Dispatch &dispatch, const Variant &variant,
                             coppice_kernel *const *stages,
                             const SymbolValues &symbols) {
  size_t firstArg = arguments.size();
  for (const Arg &arg : dispatch.args)
    arguments.push_back(addressOf(arg));
  if (variant.workspace) {
    auto offset = placeWorkspace(program, variant, capacity, symbols,
                                 addresses.arenaBytes);
    if (!offset)
      return offset.status();
    arguments.push_back(addresses.arena + *offset);
  }
  for (const Stage &stage : variant.stages) {
    auto grid = stage.grid.evaluate(symbols);
    if (!grid)
      return grid.status();
    if (*grid < 0)
      return invalidFile(
          concat("expected a grid of at least 0, found ", *grid));
    planned.push_back(
        {*stages++, *grid, firstArg, arguments.size() - firstArg});
  }
  return {};
}

Status StepPlan::planDispatch(size_t index, const SymbolValues &symbols) {
  const Dispatch &dispatch = program.dispatches[index];
  coppice_kernel *const *stages = kernels[index].data();
  for (const Variant &variant : dispatch.variants) {
    if (variant.guard) {
      auto guard = variant.guard->evaluate(symbols);
      if (!guard)
        return guard.status();
      if (*guard <= 0) {
        stages += variant.stages.size();
        continue;
      }
    }
    Status status = planVariant(dispatch, variant, stages, symbols);
    firstLaunch.push_back(planned.size());
    return status;
  }
  return invalidFile(concat("expected a variant for this step, found none of ",
                            dispatch.variants.size(),
                            " whose guard holds (rows ", symbols[symbolRows],
                            ", head_rows ", symbols[symbolHeadRows], ")"));
}

} // namespace coppice::rt
