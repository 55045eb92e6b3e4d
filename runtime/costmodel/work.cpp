// See work.h.
#include "runtime/costmodel/work.h"

#include "runtime/base/concat.h"

#include <algorithm>
#include <charconv>
#include <cmath>

namespace coppice::rt {

const char *nameOf(Phase phase) {
  return phase == Phase::Prefill ? "prefill" : "decode";
}

int64_t StepShape::attended(int64_t window) const {
  // Positions begin .. begin + length - 1, each attends to itself and to what
  // is before it; the last `full` of them to a window that is full. planSteps()
  // has checked that this does not overflow.
  int64_t rising =
      window ? std::clamp<int64_t>(window - begin, 0, length) : length;
  int64_t full = length - rising;
  return batch * (begin * rising + rising * (rising + 1) / 2 + full * window);
}

int64_t StepShape::cached(int64_t window) const {
  // What the first row sees of the past, and the rows themselves.
  int64_t past = window ? std::min(begin, window - 1) : begin;
  return batch * (past + length);
}

Result<std::vector<StepShape>> planSteps(const Cell &cell, int64_t maxRows,
                                         int64_t slots, int64_t context) {
  // 2^20 each keeps every product here, and attended(), below 2^61.
  constexpr int64_t most = int64_t(1) << 20;
  int64_t longest = cell.phase == Phase::Decode ? cell.seq + 1 : cell.seq;
  if (cell.batch < 1 || cell.batch > std::min(slots, most))
    return invalidArgument(concat("batch: expected 1 to ",
                                  std::min(slots, most), ", found ",
                                  cell.batch));
  if (cell.seq < 1 || longest > std::min(context, most))
    return invalidArgument(concat(
        "seq: expected 1 to ", std::min(context, most) - (longest - cell.seq),
        cell.phase == Phase::Decode
            ? " (the context length less the token that is decoded)"
            : " (the context length)",
        ", found ", cell.seq));
  if (cell.batch > maxRows)
    return invalidArgument(concat("batch: expected at most ", maxRows,
                                  " rows in a step, found ", cell.batch));

  std::vector<StepShape> steps;
  if (cell.phase == Phase::Decode) {
    steps.push_back({cell.batch, cell.seq, 1, true, slots, context});
    return steps;
  }
  int64_t chunk = maxRows / cell.batch;
  for (int64_t begin = 0; begin < cell.seq; begin += chunk) {
    int64_t length = std::min(chunk, cell.seq - begin);
    bool last = begin + length == cell.seq;
    steps.push_back({cell.batch, begin, length, last, slots, context});
  }
  return steps;
}

Work &Work::operator+=(const Work &other) {
  flops += other.flops;
  executedFlops += other.executedFlops;
  weightBytes += other.weightBytes;
  readBytes += other.readBytes;
  writeBytes += other.writeBytes;
  coldBytes += other.coldBytes;
  cacheBytes += other.cacheBytes;
  coldCacheBytes += other.coldCacheBytes;
  activeRows += other.activeRows;
  m += other.m;
  n = other.n;
  k = other.k;
  arithmetic = other.arithmetic;
  storage = other.storage;
  rows += other.rows;
  items += other.items;
  panel = other.panel;
  return *this;
}

/// Bytes of one token of one sequence in a state of shape
/// [slots, context, ...]; 0 where the shape is another.
static double bytesPerToken(const State &state) {
  if (state.shape.size() < 2 || state.shape[0].asSymbol() != symbolSlots ||
      state.shape[1].asSymbol() != symbolContext)
    return 0;
  SymbolValues one{};
  one[symbolSlots] = one[symbolContext] = 1;
  Result<int64_t> bytes = evaluateBytes(state.shape, state.dtype, one);
  return bytes ? static_cast<double>(*bytes) : 0;
}

/// The columns that a kernel computes at a time, by its configuration ("gemm,
/// panel 64, .."): the shape of a packed weight does not tell them from what
/// lies beside them. 1 where it has no panels.
static int64_t panelOf(std::string_view config) {
  constexpr std::string_view name = ", panel ";
  constexpr int64_t most = 4096;
  size_t at = config.find(name);
  if (at == config.npos)
    return 1;
  config.remove_prefix(at + name.size());
  int64_t columns = 0;
  auto [end, error] =
      std::from_chars(config.data(), config.data() + config.size(), columns);
  return error == std::errc() && columns >= 1 && columns <= most ? columns : 1;
}

/// What is known of a dispatch without its costs: what it is made of and how
/// many rows and work items there are. Expressions that cannot be evaluated
/// fail elsewhere; here they leave a zero.
static void describe(const Program &program, const Dispatch &d,
                     const SymbolValues &values, int64_t stepRows, Work &work) {
  auto value = [&](const Expr &expr) {
    Result<int64_t> number = expr.evaluate(values);
    return number ? *number : 0;
  };
  work.arithmetic = d.cost.arithmetic;
  // The widest array is what counts: a bias is not what a GEMM streams.
  int64_t most = -1;
  for (const Arg &arg : d.args) {
    size_t index = static_cast<size_t>(arg.index);
    if (arg.kind == ArgKind::State && work.storage.empty())
      work.storage = nameOf(program.states[index].dtype);
    if (arg.kind != ArgKind::Weight || program.weights[index].bytes <= most)
      continue;
    const Weight &weight = program.weights[index];
    most = weight.bytes;
    work.storage = nameOf(weight.dtype);
  }
  work.rows = stepRows;
  if (d.writes.empty())
    return;
  const Arg &written = d.args[static_cast<size_t>(d.writes.front())];
  if (written.kind == ArgKind::Buffer &&
      static_cast<size_t>(written.index) < program.buffers.size()) {
    const auto &shape =
        program.buffers[static_cast<size_t>(written.index)].shape;
    if (!shape.empty())
      work.rows = value(shape.front());
  }
  for (const Variant &variant : d.variants)
    if (!variant.guard || value(*variant.guard) > 0) {
      if (d.gemm)
        work.panel = panelOf(variant.stages.front().config);
      break;
    }
  work.items = countWorkItems(d, values, values[symbolRows]);
}

SymbolValues symbolsOf(const StepShape &step, int64_t window) {
  SymbolValues values{};
  values[symbolRows] = step.rows();
  values[symbolHeadRows] = step.headRows();
  values[symbolSlots] = step.slots;
  values[symbolContext] = step.context;
  values[symbolAttended] = step.attended(window);
  values[symbolCached] = step.cached(window);
  return values;
}

int64_t countWorkItems(const Dispatch &dispatch, const SymbolValues &values,
                       int64_t rows) {
  for (const Variant &variant : dispatch.variants) {
    if (variant.guard) {
      auto guard = variant.guard->evaluate(values);
      if (!guard || *guard <= 0)
        continue;
    }
    // The variant is chosen by the step's rows; its list has as many as are
    // kept.
    SymbolValues kept = values;
    kept[symbolRows] = rows;
    auto items = variant.stages.front().grid.evaluate(kept);
    return items ? *items : 0;
  }
  return 0;
}

RouteLoad loadOf(const Program &program, const Dispatch &dispatch,
                 std::span<const RouteLoad> loads) {
  if (!dispatch.route)
    return {};
  size_t route = static_cast<size_t>(*dispatch.route);
  RouteLoad load =
      loads.empty() ? RouteLoad{program.routes[route].expected} : loads[route];
  // How often some row is passed by has not been counted.
  return dispatch.passed ? RouteLoad{1 - load.rows} : load;
}

/// The chance that some of `rows` independent rows is kept.
static double chanceOfSome(double density, int64_t rows) {
  return 1 - std::pow(1 - density, static_cast<double>(rows));
}

Work keptWork(const Work &whole, const StepShape &step, const RouteLoad &load) {
  double weights = load.weights.value_or(chanceOfSome(load.rows, step.rows())),
         caches = load.caches.value_or(chanceOfSome(load.rows, step.length));
  Work work = whole;
  work.flops *= load.rows;
  work.executedFlops *= load.rows;
  work.writeBytes *= load.rows;
  work.activeRows *= load.rows;
  work.weightBytes *= weights;
  work.cacheBytes *= caches;
  work.readBytes =
      (whole.readBytes - whole.cacheBytes) * load.rows + work.cacheBytes;
  work.coldCacheBytes *= caches;
  work.coldBytes =
      (whole.coldBytes - whole.coldCacheBytes) * weights + work.coldCacheBytes;
  return work;
}

Work workWithoutZeros(const Work &whole, double zeros) {
  constexpr int64_t fewRows = 2;
  if (whole.rows > fewRows || zeros <= 0)
    return whole;
  // A value along K is left out if it is zero in all rows.
  double share = 1 - std::pow(zeros, static_cast<double>(whole.rows));
  Work work = whole;
  work.flops *= share;
  work.executedFlops *= share;
  work.weightBytes *= share;
  work.coldBytes *= share;
  return work;
}

Result<std::vector<Work>> evaluateWork(const Program &program,
                                       const StepShape &step,
                                       std::span<const RouteLoad> loads) {
  auto all = evaluateWholeWork(program, step);
  for (size_t i = 0; all && i < all->size(); ++i)
    (*all)[i] = workWithoutZeros((*all)[i], program.dispatches[i].zeros);
  for (size_t i = 0; all && i < all->size(); ++i)
    if (program.dispatches[i].route)
      (*all)[i] = keptWork((*all)[i], step,
                           loadOf(program, program.dispatches[i], loads));
  return all;
}

Result<std::vector<Work>> evaluateWholeWork(const Program &program,
                                            const StepShape &step) {

  // Bytes of each weight that earlier dispatches of the step have fetched.
  std::vector<double> fetched(program.weights.size(), 0);
  std::vector<Work> result;
  for (const Dispatch &d : program.dispatches) {
    Work work;
    SymbolValues values = symbolsOf(step, d.cost.window);
    // Cache entries that the step finds.
    double entries = static_cast<double>(values[symbolCached] - step.rows());
    describe(program, d, values, step.rows(), work);
    Status status;
    auto value = [&](const Expr &expr) -> double {
      Result<int64_t> number = expr.evaluate(values);
      if (!number)
        status = number.status();
      else if (*number < 0)
        status =
            invalidFile(concat("expected no negative cost, found ", *number));
      return number ? static_cast<double>(*number) : 0;
    };
    work.flops = value(d.cost.flops);
    work.executedFlops =
        work.flops * static_cast<double>(d.cost.executedPerFlop);
    work.weightBytes = value(d.cost.weightBytes);
    work.readBytes = value(d.cost.readBytes);
    work.writeBytes = value(d.cost.writeBytes);
    if (d.gemm) {
      work.m = static_cast<int64_t>(value(d.gemm->m));
      work.n = d.gemm->n;
      work.k = d.gemm->k;
    }
    if (!status.ok())
      return status.at("cost of " + d.site);
    work.activeRows = static_cast<double>(work.m > 0 ? work.m : work.rows);

    double already = 0, cache = 0, allCache = 0;
    for (size_t a = 0; a < d.args.size(); ++a) {
      const Arg &arg = d.args[a];
      size_t index = static_cast<size_t>(arg.index);
      bool written = std::find(d.writes.begin(), d.writes.end(),
                               static_cast<int64_t>(a)) != d.writes.end();
      if (arg.kind == ArgKind::Weight) {
        already += fetched[index];
        fetched[index] += work.weightBytes;
      } else if (arg.kind == ArgKind::State && !written) {
        double each = bytesPerToken(program.states[index]);
        cache += entries * each;
        allCache += static_cast<double>(values[symbolCached]) * each;
      }
    }
    work.cacheBytes = std::min(allCache, work.readBytes);
    if (d.kind != DispatchKind::Lookup) {
      work.coldCacheBytes = std::min(cache, work.readBytes);
      work.coldBytes =
          std::max(0.0, work.weightBytes - already) + work.coldCacheBytes;
    }
    result.push_back(work);
  }
  return result;
}

} // namespace coppice::rt
