// See runner.h.
#include "runtime/evaluate/runner.h"

#include "runtime/base/concat.h"
#include "runtime/base/sha256.h"

#include <algorithm>

namespace coppice::rt {

Status lastFailure(coppice_status code) { return {code, coppice_last_error()}; }

void StepRows::add(int32_t token, int32_t slot, int64_t position, bool head) {
  if (head)
    headRows.push_back(static_cast<int32_t>(tokens.size()));
  tokens.push_back(token);
  slots.push_back(slot);
  positions.push_back(static_cast<int32_t>(position));
}

void StepRows::clear() {
  tokens.clear();
  slots.clear();
  positions.clear();
  headRows.clear();
  routes.clear();
}

Status Runner::openBundle() {
  coppice_bundle *opened = nullptr;
  if (coppice_status code = coppice_bundle_open(directory.c_str(), &opened))
    return lastFailure(code);
  bundle.reset(opened);
  std::string_view text = coppice_bundle_program_json(opened);
  hash = rt::sha256(text);
  Result<Program> program = parseProgram(text);
  if (!program)
    return program.status().at(directory);
  facts = *std::move(program);
  return {};
}

Status Runner::createSession(const RunnerOptions &options) {
  coppice_session_options wanted{};
  wanted.struct_size = sizeof wanted;
  wanted.target = options.target.empty() ? nullptr : options.target.c_str();
  wanted.isa = options.isa.empty() ? nullptr : options.isa.c_str();
  wanted.threads = options.threads;
  wanted.pin = options.pin;
  wanted.max_rows = options.maxRows;
  wanted.max_head_rows = options.maxHeadRows;
  wanted.slots = options.slots;
  wanted.context = options.context;
  wanted.allow_nan = options.allowNan;
  taken.struct_size = sizeof taken;
  if (coppice_status code =
          coppice_bundle_memory(bundle.get(), &wanted, &taken))
    return lastFailure(code);
  coppice_session *session = nullptr;
  if (coppice_status code =
          coppice_session_create(bundle.get(), &wanted, &session))
    return lastFailure(code);
  handle.reset(session);
  made.struct_size = sizeof made;
  if (coppice_status code = coppice_session_describe(session, &made))
    return lastFailure(code);
  targetName = made.target;
  isaName = made.isa;
  return {};
}

Result<Runner> Runner::open(const std::string &path,
                            const RunnerOptions &options) {
  Runner runner;
  runner.directory = path;
  if (Status status = runner.openBundle(); !status.ok())
    return status;
  if (Status status = runner.createSession(options); !status.ok())
    return status;
  return runner;
}

Result<Runner> Runner::openWithRows(const std::string &path,
                                    RunnerOptions options, int64_t rows) {
  Runner runner;
  runner.directory = path;
  if (Status status = runner.openBundle(); !status.ok())
    return status;
  options.maxRows = std::min(rows, runner.facts.limits.rows);
  if (Status status = runner.createSession(options); !status.ok())
    return status;
  return runner;
}

Status Runner::routeBy(const std::string &spec) {
  auto source = makeRouteSource(spec, facts);
  if (!source)
    return source.status();
  routeBy(*std::move(source));
  return {};
}

Status Runner::recordRoutes() {
  if (facts.routes.empty())
    return invalidArgument(path() +
                           ": expected a bundle with routes to record, "
                           "found one without");
  recorded.emplace(facts);
  return {};
}

Status Runner::decideInto(const StepRows &rows,
                          std::span<const int32_t> numbers,
                          std::vector<int8_t> &routes) {
  routes.assign(rows.tokens.size() * size_t(facts.routeColumns), -1);
  return routeSource->decide({numbers, rows.positions}, routes);
}

Status Runner::decide(StepRows &rows) {
  if (!routeSource || facts.routeColumns == 0)
    return {};
  return decideInto(rows, sequences.assign(rows.slots, rows.positions),
                    rows.routes);
}

Result<std::vector<int8_t>> Runner::readRoute(size_t route,
                                              int64_t rows) const {
  std::vector<int8_t> mask(size_t(rows * facts.routes[route].groups));
  if (coppice_status code =
          coppice_session_read_route(handle.get(), int64_t(route), mask.data()))
    return lastFailure(code);
  return mask;
}

Status Runner::record(const StepRows &rows, std::span<const int32_t> numbers) {
  for (size_t r = 0; r < facts.routes.size(); ++r) {
    const Route &route = facts.routes[r];
    auto mask = readRoute(r, rows.size());
    if (!mask)
      return mask.status();
    for (size_t row = 0; row < numbers.size(); ++row)
      std::copy_n(mask->begin() + int64_t(row) * route.groups, route.groups,
                  recorded->at(numbers[row], rows.positions[row]).begin() +
                      route.column);
  }
  return {};
}

Status Runner::step(const StepRows &rows, std::vector<float> &logits) {
  coppice_step step{};
  step.struct_size = sizeof step;
  step.row_count = rows.size();
  step.tokens = rows.tokens.data();
  step.slots = rows.slots.data();
  step.positions = rows.positions.data();
  step.head_row_count = static_cast<int64_t>(rows.headRows.size());
  step.head_rows = rows.headRows.data();
  std::vector<int32_t> numbers;
  if (recorded || (routeSource && rows.routes.empty()))
    numbers = sequences.assign(rows.slots, rows.positions);
  const std::vector<int8_t> *routes = &rows.routes;
  if (routeSource && facts.routeColumns > 0 && rows.routes.empty()) {
    if (Status status = decideInto(rows, numbers, decisions); !status.ok())
      return status;
    routes = &decisions;
  }
  step.routes = routes->empty() ? nullptr : routes->data();
  logits.resize(rows.headRows.size() * static_cast<size_t>(vocabulary()));
  if (coppice_status code = coppice_session_step(
          handle.get(), &step, logits.empty() ? nullptr : logits.data()))
    return lastFailure(code);
  return recorded ? record(rows, numbers) : Status();
}

Status Runner::checkTokens(std::span<const int32_t> tokens) const {
  for (size_t i = 0; i < tokens.size(); ++i)
    if (tokens[i] < 0 || tokens[i] >= vocabulary())
      return invalidArgument(concat("tokens[", i,
                                    "]: expected an id from 0 to ",
                                    vocabulary() - 1, ", found ", tokens[i]));
  return {};
}

Status Runner::feed(std::span<const int32_t> tokens, int32_t slot,
                    int64_t begin, bool all, std::vector<float> &logits) {
  StepRows rows;
  std::vector<float> part;
  logits.clear();
  for (size_t at = 0; at < tokens.size();) {
    rows.clear();
    int64_t most = all ? std::min(maxRows(), maxHeadRows()) : maxRows();
    size_t end = std::min(tokens.size(), at + static_cast<size_t>(most));
    for (; at < end; ++at)
      rows.add(tokens[at], slot, begin + static_cast<int64_t>(at),
               all || at + 1 == tokens.size());
    if (Status status = step(rows, part); !status.ok())
      return status;
    logits.insert(logits.end(), part.begin(), part.end());
  }
  return {};
}

} // namespace coppice::rt
