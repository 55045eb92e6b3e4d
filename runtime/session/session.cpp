#include "runtime/session/session.h"

#include "runtime/base/aligned_memory.h"
#include "runtime/base/checked.h"
#include "runtime/base/concat.h"
#include "runtime/base/json.h"
#include "runtime/base/mapped_file.h"
#include "runtime/base/sha256.h"
#include "runtime/session/choose_target.h"
#include "runtime/session/weight_loader.h"

#include <algorithm>
#include <chrono>
#include <map>

namespace coppice::rt {
namespace {

Status takeLimit(const char *what, int64_t asked, int64_t limit, int64_t &out) {
  if (asked < 0 || asked > limit)
    return invalidArgument(concat("expected ", what, " in [1, ", limit,
                                  "] (0: the bundle's limit), found ", asked));
  out = asked == 0 ? limit : asked;
  return {};
}

// Symbols of the largest step that a session takes: what it allocates for.
SymbolValues largestStep(const StepLimits &limits) {
  return rt::largestStep(limits.rows, limits.headRows, limits.slots,
                         limits.context);
}

int64_t stepFieldElements(const StepField &field, const StepLimits &limits) {
  if (field.role == StepRole::HeadRows)
    return limits.headRows;
  return limits.rows *
         (field.role == StepRole::Routes ? limits.routeColumns : 1);
}

// Does the dispatch write the mask of the route?
bool decides(const Dispatch &dispatch, const Route &route) {
  return std::any_of(
      dispatch.writes.begin(), dispatch.writes.end(), [&](int64_t written) {
        const Arg &arg = dispatch.args[size_t(written)];
        return arg.kind == ArgKind::Buffer && arg.index == route.buffer;
      });
}

bool writesState(const Dispatch &dispatch) {
  return std::any_of(
      dispatch.writes.begin(), dispatch.writes.end(), [&](int64_t written) {
        return dispatch.args[size_t(written)].kind == ArgKind::State;
      });
}

// Size and hash of a code file, before any of it is loaded.
Status checkCodeFile(const std::string &path, const Target &target) {
  auto file = MappedFile::open(path, /*followLinks=*/false);
  if (!file)
    return file.status();
  if (int64_t(file->bytes().size()) != target.bytes)
    return invalidFile(concat(path, ": expected ", target.bytes,
                              " bytes by program.json, found ",
                              file->bytes().size()));
  std::string found = sha256(file->bytes());
  if (found != target.sha256)
    return invalidFile(concat(path, ": expected sha256 ", target.sha256,
                              " by program.json, found ", found));
  return {};
}

} // namespace

Result<StepLimits> resolveLimits(const Program &program,
                                 const coppice_session_options &options) {
  StepLimits limits;
  limits.vocabulary = program.model.vocabulary;
  limits.routeColumns = program.routeColumns;
  Status status =
      takeLimit("max_rows", options.max_rows, program.limits.rows, limits.rows);
  if (status.ok())
    status = takeLimit("max_head_rows", options.max_head_rows, limits.rows,
                       limits.headRows);
  if (status.ok())
    status =
        takeLimit("slots", options.slots, program.limits.slots, limits.slots);
  if (status.ok())
    status = takeLimit("context", options.context, program.limits.context,
                       limits.context);
  if (!status.ok())
    return status;
  return limits;
}

Result<coppice_memory> sessionMemory(const Program &program,
                                     const StepLimits &limits) {
  SymbolValues symbols = largestStep(limits);
  coppice_memory memory = {};
  memory.struct_size = sizeof(memory);
  auto add = [](int64_t &total, int64_t bytes) {
    auto aligned = checkedAlign(bytes, bufferAlignment);
    auto sum = aligned ? checkedAdd(total, *aligned) : std::nullopt;
    if (!sum)
      return invalidFile("the session's memory overflows 64 bits");
    total = *sum;
    return Status();
  };
  for (const Weight &weight : program.weights)
    if (Status status = add(memory.weight_bytes, weight.bytes); !status.ok())
      return status;
  for (const State &state : program.states) {
    auto bytes = evaluateBytes(state.shape, state.dtype, symbols);
    if (!bytes)
      return bytes.status().at("state " + quote(state.name));
    if (Status status = add(memory.state_bytes, *bytes); !status.ok())
      return status;
  }
  for (const StepField &field : program.step) {
    int64_t bytes = stepFieldElements(field, limits) * sizeOf(field.dtype);
    if (Status status = add(memory.step_bytes, bytes); !status.ok())
      return status;
  }
  auto arena = program.arena.evaluate(symbols);
  if (!arena)
    return arena.status().at("arena");
  if (*arena < 0)
    return invalidFile(
        concat("arena: expected a size of at least 0, found ", *arena));
  memory.arena_bytes = *arena;
  return memory;
}

Session::Session(std::shared_ptr<const Bundle> opened, DeviceHandle handle)
    : bundle(std::move(opened)), program(bundle->program()),
      device(std::move(handle)), disabled(program.dispatches.size()) {}

Result<std::unique_ptr<Session>>
Session::create(std::shared_ptr<const Bundle> bundle,
                const coppice_session_options &options) {
  const Program &program = bundle->program();
  auto limits = resolveLimits(program, options);
  if (!limits)
    return limits.status();
  auto target = chooseTarget(program, options.target, options.isa);
  if (!target)
    return target.status();
  std::string code = bundle->pathOf((*target)->file);
  if (Status status = checkCodeFile(code, **target); !status.ok())
    return status;
  auto device = DeviceHandle::open(*driverFor((*target)->name), options.threads,
                                   options.pin != 0);
  if (!device)
    return device.status();

  std::unique_ptr<Session> session(
      new Session(std::move(bundle), *std::move(device)));
  session->target = (*target)->name;
  session->isa = (*target)->isa;
  session->threads = session->device.threads();
  session->limits = *limits;
  session->held.assign(size_t(limits->slots), 0);
  session->incomplete.assign(size_t(limits->slots), false);
  session->undecided.assign(size_t(limits->rows * limits->routeColumns), -1);
  session->decided.assign(program.routes.size(), false);
  if (Status status = session->device.load(code); !status.ok())
    return status.at(code);
  if (Status status = session->findKernels(**target); !status.ok())
    return status.at(code);
  auto weights =
      loadWeights(*session->bundle, session->device, options.allow_nan != 0);
  if (!weights)
    return weights.status();
  session->addresses.weights = *std::move(weights);
  if (Status status = session->allocate(); !status.ok())
    return status;
  session->plan.emplace(program, session->kernels, session->addresses,
                        largestStep(session->limits));
  return session;
}

Status Session::allocate() {
  auto memory = sessionMemory(program, limits);
  if (!memory)
    return memory.status();
  SymbolValues symbols = largestStep(limits);
  for (const State &state : program.states) {
    auto bytes = evaluateBytes(state.shape, state.dtype, symbols);
    if (!bytes)
      return bytes.status();
    auto block = device.allocate(*bytes);
    if (!block)
      return block.status().at("state " + quote(state.name));
    addresses.states.push_back(*block);
  }
  auto arena = device.allocate(memory->arena_bytes);
  if (!arena)
    return arena.status().at("arena");
  addresses.arena = static_cast<std::byte *>(*arena);
  addresses.arenaBytes = memory->arena_bytes;
  auto step = device.allocate(memory->step_bytes);
  if (!step)
    return step.status().at("step buffer");
  auto *field = static_cast<std::byte *>(*step);
  for (const StepField &entry : program.step) {
    addresses.step.push_back(field);
    int64_t bytes = stepFieldElements(entry, limits) * sizeOf(entry.dtype);
    field += *checkedAlign(bytes, bufferAlignment);
  }
  return {};
}

// The shapes of GPU kernels are the bundle's: a file that lacks one is damaged.
static Result<coppice_launch_shape> shapeOf(const Target &target,
                                            const std::string &kernel) {
  if (target.kernels.empty())
    return coppice_launch_shape{};
  auto shape = target.kernels.find(kernel);
  if (shape == target.kernels.end())
    return invalidFile(concat("expected kernel ", quote(kernel),
                              " among the kernels of target ",
                              quote(target.name), ", found none"));
  return coppice_launch_shape{shape->second.threads, shape->second.sharedBytes};
}

Status Session::findKernels(const Target &target) {
  std::map<std::string, coppice_kernel *> found;
  for (const Dispatch &dispatch : program.dispatches) {
    auto &stages = kernels.emplace_back();
    for (const Variant &variant : dispatch.variants)
      for (const Stage &stage : variant.stages) {
        coppice_kernel *&kernel = found[stage.kernel];
        if (!kernel) {
          auto shape = shapeOf(target, stage.kernel);
          if (!shape)
            return shape.status();
          auto symbol = device.findKernel(stage.kernel, *shape);
          if (!symbol)
            return symbol.status();
          kernel = *symbol;
        }
        stages.push_back(kernel);
      }
  }
  return {};
}

Result<SymbolValues> Session::symbols(const coppice_step &step) const {
  auto checked = checkStep(step, limits, nullptr);
  if (!checked)
    return checked.status();
  return checked->symbols;
}

Status Session::step(const coppice_step &step, float *logits) {
  if (step.head_row_count > 0 && !logits)
    return invalidArgument("expected a buffer for the logits of head_rows, "
                           "found NULL");
  auto checked = checkStep(step, limits, held.data());
  if (!checked)
    return checked.status();
  if (Status status = plan->update(checked->symbols); !status.ok())
    return status;

  // From here on only a device can fail; what the slots hold is then unknown.
  lastRows = 0;
  for (const auto &[slot, length] : checked->lengths)
    held[size_t(slot)] = 0;
  if (Status status = writeStepBuffer(step); !status.ok())
    return status;
  if (Status status = runDispatches(checked->symbols); !status.ok())
    return status;
  if (step.head_row_count > 0)
    if (Status status = readLogits(logits); !status.ok())
      return status;
  bool skipsState = false;
  for (size_t i = 0; i < disabled.size(); ++i)
    skipsState |= disabled[i] && writesState(program.dispatches[i]);
  lastRows = step.row_count;
  for (size_t r = 0; r < decided.size(); ++r) {
    decided[r] = false;
    for (size_t i = 0; !decided[r] && i < disabled.size(); ++i)
      decided[r] =
          !disabled[i] && decides(program.dispatches[i], program.routes[r]);
  }
  for (const auto &[slot, length] : checked->lengths) {
    held[size_t(slot)] = length;
    if (skipsState)
      incomplete[size_t(slot)] = true;
  }
  return {};
}

Status Session::writeStepField(size_t index, const void *source,
                               int64_t count) {
  return device.upload(addresses.step[index], source,
                       count * sizeOf(program.step[index].dtype));
}

Status Session::writeStepBuffer(const coppice_step &step) {
  for (size_t i = 0; i < program.step.size(); ++i) {
    Status status;
    switch (program.step[i].role) {
    case StepRole::Tokens:
      status = writeStepField(i, step.tokens, step.row_count);
      break;
    case StepRole::Slots:
      status = writeStepField(i, step.slots, step.row_count);
      break;
    case StepRole::Positions:
      status = writeStepField(i, step.positions, step.row_count);
      break;
    case StepRole::HeadRows:
      status = writeStepField(i, step.head_rows, step.head_row_count);
      break;
    case StepRole::Routes:
      status = writeStepField(i, step.routes ? step.routes : undecided.data(),
                              step.row_count * program.routeColumns);
      break;
    }
    if (!status.ok())
      return status;
  }
  return {};
}

Status Session::runDispatches(const SymbolValues &symbols) {
  using Clock = std::chrono::steady_clock;
  for (size_t i = 0; i < program.dispatches.size(); ++i) {
    if (disabled[i])
      continue;
    Clock::time_point start;
    if (observer)
      start = Clock::now();
    Status status;
    for (const StepPlan::Launch &launch : plan->launches(i)) {
      status =
          device.launch(launch.kernel, {plan->args(launch), launch.argCount},
                        symbols, launch.grid);
      if (!status.ok())
        return status.at(concat("dispatch ", i));
    }
    if (listEditor)
      if (status = editList(i); !status.ok())
        return status.at(concat("dispatch ", i));
    if (valueEditor)
      if (status = editValue(i); !status.ok())
        return status.at(concat("dispatch ", i));
    if (!observer)
      continue;
    if (status = device.synchronize(); !status.ok())
      return status.at(concat("dispatch ", i));
    std::chrono::duration<double> seconds = Clock::now() - start;
    if (status = report(i, seconds.count()); !status.ok())
      return status;
  }
  return device.synchronize();
}

// Makes `count` elements on the device readable as f32 on the host, without a
// copy where they already are.
Status Session::readAsF32(DType dtype, const void *source, int64_t count,
                          const float *&data) {
  if (!device.unified()) {
    staging.resize(size_t(count * sizeOf(dtype)));
    Status status =
        device.download(staging.data(), source, count * sizeOf(dtype));
    if (!status.ok())
      return status;
    source = staging.data();
  }
  if (dtype == DType::F32) {
    data = static_cast<const float *>(source);
    return {};
  }
  converted.resize(size_t(count));
  convertToF32(dtype, source, converted.data(), count);
  data = converted.data();
  return {};
}

Status Session::report(size_t index, double seconds) {
  const Dispatch &dispatch = program.dispatches[index];
  const Arg &written = dispatch.args[size_t(dispatch.writes.front())];
  if (written.kind == ArgKind::State) {
    auto shape = evaluateShape(program.states[size_t(written.index)].shape,
                               largestStep(limits));
    if (!shape)
      return shape.status();
    observer(observerContext, int64_t(index), seconds, nullptr, shape->data(),
             int64_t(shape->size()));
    return {};
  }
  const Buffer &buffer = program.buffers[size_t(written.index)];
  auto shape = plan->bufferShape(written.index);
  const float *data = nullptr;
  Status status = readAsF32(buffer.dtype, plan->bufferAddress(written.index),
                            *checkedProduct(shape), data);
  if (!status.ok())
    return status;
  observer(observerContext, int64_t(index), seconds, data, shape.data(),
           int64_t(shape.size()));
  return {};
}

// Lets the editor change a list of integers before anything reads it.
Status Session::editList(size_t index) {
  const Dispatch &dispatch = program.dispatches[index];
  const Arg &written = dispatch.args[size_t(dispatch.writes.front())];
  if (written.kind == ArgKind::State ||
      program.buffers[size_t(written.index)].dtype != DType::I32)
    return {};
  if (Status status = device.synchronize(); !status.ok())
    return status;
  auto shape = plan->bufferShape(written.index);
  void *address = plan->bufferAddress(written.index);
  std::vector<int32_t> list(size_t(*checkedProduct(shape)));
  int64_t bytes = int64_t(list.size() * sizeof(int32_t));
  if (Status status = device.download(list.data(), address, bytes);
      !status.ok())
    return status;
  listEditor(listEditorContext, int64_t(index), list.data(), shape.data(),
             int64_t(shape.size()));
  return device.upload(address, list.data(), bytes);
}

// Lets the editor change what a threshold has decided.
Status Session::editValue(size_t index) {
  const Dispatch &dispatch = program.dispatches[index];
  const Arg &written = dispatch.args[size_t(dispatch.writes.front())];
  if (!dispatch.threshold || written.kind != ArgKind::Buffer)
    return {};
  const Buffer &buffer = program.buffers[size_t(written.index)];
  if (!isFloat(buffer.dtype))
    return {};
  if (Status status = device.synchronize(); !status.ok())
    return status;
  auto shape = plan->bufferShape(written.index);
  void *address = plan->bufferAddress(written.index);
  int64_t count = *checkedProduct(shape);
  const float *data = nullptr;
  if (Status status = readAsF32(buffer.dtype, address, count, data);
      !status.ok())
    return status;
  std::vector<float> values(data, data + count);
  valueEditor(valueEditorContext, int64_t(index), values.data(), shape.data(),
              int64_t(shape.size()));
  std::vector<std::byte> stored(size_t(count * sizeOf(buffer.dtype)));
  convertFromF32(buffer.dtype, values.data(), stored.data(), count);
  return device.upload(address, stored.data(), int64_t(stored.size()));
}

Status Session::readLogits(float *logits) {
  const Buffer &buffer = program.buffers[size_t(program.logitsBuffer)];
  auto shape = plan->bufferShape(program.logitsBuffer);
  const float *data = nullptr;
  int64_t count = *checkedProduct(shape);
  Status status = readAsF32(
      buffer.dtype, plan->bufferAddress(program.logitsBuffer), count, data);
  if (status.ok())
    std::copy_n(data, count, logits);
  return status;
}

Status Session::checkSlot(int32_t slot) const {
  if (slot >= 0 && slot < limits.slots)
    return {};
  return invalidArgument(
      concat("expected a slot in [0, ", limits.slots, "), found ", slot));
}

Status Session::reset(int32_t slot) {
  if (slot < 0) {
    std::fill(held.begin(), held.end(), 0);
    return {};
  }
  if (Status status = checkSlot(slot); !status.ok())
    return status;
  held[size_t(slot)] = 0;
  return {};
}

Status Session::rewind(int32_t slot, int64_t length) {
  if (Status status = checkSlot(slot); !status.ok())
    return status;
  int64_t &tokens = held[size_t(slot)];
  if (length < 0 || length > tokens)
    return invalidArgument(concat("expected a length in [0, ", tokens,
                                  "], the tokens that slot ", slot,
                                  " holds, found ", length));
  tokens = length;
  return {};
}

Status Session::enable(const std::string &group, bool enabled) {
  bool known = false, needsState = false;
  for (size_t i = 0; i < program.dispatches.size(); ++i) {
    const Dispatch &dispatch = program.dispatches[i];
    if (dispatch.group.empty() || dispatch.group != group)
      continue;
    known = true;
    needsState |= enabled && disabled[i] && writesState(dispatch);
    disabled[i] = !enabled;
  }
  // Its state lacks the tokens of these slots: they have to be fed again.
  for (size_t slot = 0; needsState && slot < held.size(); ++slot) {
    if (incomplete[slot])
      held[slot] = 0;
    incomplete[slot] = false;
  }
  if (known)
    return {};
  return invalidArgument(
      concat("expected a group of the program, found ", quote(group)));
}

Status Session::checkRoute(int64_t index) const {
  if (index >= 0 && index < routeCount())
    return {};
  return invalidArgument(
      concat("expected a route in [0, ", routeCount(), "), found ", index));
}

Result<coppice_route> Session::route(int64_t index) const {
  if (Status status = checkRoute(index); !status.ok())
    return status;
  const Route &route = program.routes[size_t(index)];
  return coppice_route{sizeof(coppice_route), route.name.c_str(), route.column,
                       route.groups, route.expected};
}

Status Session::readRoute(int64_t index, int8_t *mask) {
  if (Status status = checkRoute(index); !status.ok())
    return status;
  const Route &route = program.routes[size_t(index)];
  if (lastRows == 0)
    return invalidArgument("route " + quote(route.name) +
                           ": expected a step before its decisions are read, "
                           "found none, or one that failed");
  if (!decided[size_t(index)])
    return invalidArgument("route " + quote(route.name) +
                           ": the last step has decided nothing, because the "
                           "group of its decision is switched off");
  int64_t count = lastRows * route.groups;
  Status status =
      device.download(mask, plan->bufferAddress(route.buffer), count);
  if (!status.ok())
    return status;
  // What a kernel has written is believed no more than what a caller has.
  for (int64_t i = 0; i < count; ++i)
    if (mask[i] != 0 && mask[i] != 1)
      return internalError(concat("route ", quote(route.name),
                                  ": expected a mask of 0 and 1, found ",
                                  int(mask[i]), " in row ", i / route.groups));
  return {};
}

coppice_session_info Session::info() const {
  return {sizeof(coppice_session_info),
          target.c_str(),
          threads,
          limits.rows,
          limits.headRows,
          limits.slots,
          limits.context,
          isa.c_str()};
}

} // namespace coppice::rt
