// In: two bundles, a workload. Out: the error of each named value, per row.
//
// The fast program runs a step first, and an observer keeps a copy of every
// value that it says the oracle computes too ("value" in program.json). Then
// the oracle runs the same step; its observer compares on the spot, column by
// kept column. So memory is one step of the fast program's values, whatever the
// model. In this order the oracle can be given what the fast program has
// decided: reassociation flips an argmax, and after one other decision two
// programs have nothing left in common.
#include "coppice/Verify/Verify.h"

#include "coppice/Verify/RouteMix.h"
#include "coppice/runtime.h"
#include "runtime/routes/route_source.h"
#include "runtime/routes/sequence_numbers.h"
#include "llvm/ADT/STLExtras.h"
#include "llvm/ADT/StringMap.h"
#include "llvm/Support/JSON.h"
#include <cmath>
#include <limits>
#include <memory>
#include <numeric>
#include <tuple>

using namespace llvm;

namespace coppice {

bool VerifyReport::holds() const {
  auto holds = [](const ValueError &value) { return value.holds(); };
  return all_of(outputs, holds) && all_of(sites, holds) && routes.holds() &&
         blocks.holds();
}

double verifyTolerance(StringRef dtype) {
  return dtype == "f32" ? 1e-4 : dtype == "bf16" ? 3e-2 : 2e-2;
}

namespace {

Error runtimeError(const Twine &what) {
  return createStringError(what + ": " + coppice_last_error());
}

/// What verify needs of one dispatch of program.json.
struct DispatchValue {
  std::string name;             ///< empty: nothing to compare
  std::vector<int64_t> columns; ///< of the dense value; empty: all
  bool keepsRowsOnly = true;    ///< false: kept along an axis other than 1
  /// Route that leaves rows of it undefined, or groups of columns of rows; with
  /// `passed`, those that it keeps.
  std::optional<int64_t> partialRoute;
  bool passed = false;
  bool isList = false; ///< of blocks: integers, which the oracle takes over
};

/// A bundle with one session.
class Program {
public:
  static Expected<std::unique_ptr<Program>>
  open(StringRef path, const CompareOptions &options, StringRef isa) {
    auto program = std::unique_ptr<Program>(new Program);
    if (coppice_bundle_open(path.str().c_str(), &program->bundle))
      return createStringError(Twine(coppice_last_error())); // names the bundle
    if (Error error = program->readJson())
      return std::move(error);
    coppice_session_options session = {};
    session.struct_size = sizeof(session);
    session.isa = isa.empty() ? nullptr : isa.data();
    session.threads = options.threads;
    session.slots = options.workload.batch;
    session.context = options.workload.length;
    session.max_rows = options.workload.batch * options.workload.length;
    session.allow_nan = 1; // a NaN shows in the comparison
    if (coppice_session_create(program->bundle, &session, &program->session))
      return runtimeError("cannot run bundle '" + path + "'");
    return std::move(program);
  }

  ~Program() {
    if (session)
      coppice_session_destroy(session);
    if (bundle)
      coppice_bundle_close(bundle);
  }

  coppice_bundle *bundle = nullptr;
  coppice_session *session = nullptr;
  std::vector<DispatchValue> values;
  int64_t fastKernels = 0, vocabulary = 0;
  std::string dtype;
  rt::Program facts; ///< routes and their columns

private:
  Program() = default;
  Error readJson();
};

Error Program::readJson() {
  // The runtime has checked the schema; what is absent here is optional.
  Expected<json::Value> parsed =
      json::parse(coppice_bundle_program_json(bundle));
  if (!parsed)
    return parsed.takeError();
  const json::Object *root = parsed->getAsObject();
  const json::Object *model = root ? root->getObject("model") : nullptr;
  const json::Array *dispatches = root ? root->getArray("dispatches") : nullptr;
  if (!model || !dispatches)
    return createStringError("program.json lacks 'model' or 'dispatches'");
  vocabulary = model->getInteger("vocabulary").value_or(0);
  dtype = model->getString("dtype").value_or("f32").str();

  for (const json::Value &entry : *dispatches) {
    const json::Object *dispatch = entry.getAsObject();
    DispatchValue value;
    if (std::optional<StringRef> name = dispatch->getString("value"))
      value.name = name->str();
    if (const json::Array *kept = dispatch->getArray("kept")) {
      for (const json::Value &axisAndRanges : *kept) {
        const json::Array &pair = *axisAndRanges.getAsArray();
        if (pair[0].getAsInteger() != 1) {
          value.keepsRowsOnly = false;
          continue;
        }
        for (const json::Value &range : *pair[1].getAsArray()) {
          const json::Array &ends = *range.getAsArray();
          for (int64_t i = *ends[0].getAsInteger(),
                       end = *ends[1].getAsInteger();
               i < end; ++i)
            value.columns.push_back(i);
        }
      }
    }
    bool plain = false;
    if (const json::Array *variants = dispatch->getArray("variants"))
      for (const json::Value &variant : *variants)
        for (const json::Value &stage :
             *variant.getAsObject()->getArray("stages"))
          plain |=
              stage.getAsObject()->getString("config").value_or("").starts_with(
                  "plain");
    fastKernels += !plain;
    values.push_back(std::move(value));
  }
  rt::Result<rt::Program> read =
      rt::parseProgram(coppice_bundle_program_json(bundle));
  if (!read)
    return createStringError(read.status().message());
  facts = *std::move(read);
  for (auto [value, dispatch] : zip(values, facts.dispatches))
    if (dispatch.partial) {
      value.partialRoute = dispatch.route;
      value.passed = dispatch.passed;
    }
  for (auto [value, dispatch] : zip(values, facts.dispatches)) {
    const rt::Arg &written = dispatch.args[dispatch.writes.front()];
    value.isList = !value.name.empty() &&
                   dispatch.kind != rt::DispatchKind::Compact &&
                   written.kind == rt::ArgKind::Buffer &&
                   facts.buffers[written.index].dtype == rt::DType::I32;
  }
  return Error::success();
}

/// Rows of numbers, [rows, width].
struct Reference {
  std::vector<float> data;
  int64_t rows = 0, width = 0;
};

/// Largest relative row error of `fast` [rows, columns.size() or width]. A few
/// kept columns may all be near zero by chance, and their rounding errors are
/// those of their whole row; so a row counts as no smaller than its share of
/// the whole row's norm. Elements [row, column of `fast`] that `skipped` says
/// yes of are undefined. No row counts as smaller than `smallest`.
double rowError(const float *fast, const float *oracle, int64_t rows,
                int64_t oracleWidth, ArrayRef<int64_t> columns,
                function_ref<bool(int64_t, int64_t)> skipped = nullptr,
                double smallest = 0) {
  int64_t width = columns.empty() ? oracleWidth : columns.size();
  double worst = 0;
  for (int64_t row = 0; row < rows; ++row) {
    const float *expected = oracle + row * oracleWidth;
    double squaredError = 0, squaredNorm = 0, squaredRow = 0;
    for (int64_t i = 0; i < oracleWidth; ++i)
      squaredRow += double(expected[i]) * expected[i];
    int64_t defined = 0;
    for (int64_t i = 0; i < width; ++i) {
      if (skipped && skipped(row, i))
        continue;
      ++defined;
      double kept = expected[columns.empty() ? i : columns[i]];
      double error = fast[row * width + i] - kept;
      squaredError += error * error;
      squaredNorm += kept * kept;
    }
    squaredNorm =
        std::max(squaredNorm, squaredRow * defined / double(oracleWidth));
    squaredNorm = std::max(squaredNorm, smallest * smallest);
    double error = squaredNorm > 0 ? std::sqrt(squaredError / squaredNorm)
                                   : std::sqrt(squaredError);
    if (std::isnan(error))
      return error;
    worst = std::max(worst, error);
  }
  return worst;
}

/// A value of the fast program in the present step, and what came of it.
struct Kept {
  const DispatchValue *value;
  Reference found;
  std::optional<double> error; ///< none: the oracle has not computed it
  int64_t compared = 0;        ///< rows
};

/// What the oracle's router says in the present step: [rows, 2 groups].
struct Scores {
  Reference found;
  bool seen = false;
};

/// The norm of the scores of a row, on the mean of all rows so far. Two scores
/// of a row may both be near zero by chance, and their rounding errors are
/// those of any row: so no row counts as smaller than this.
struct ScoreScale {
  double squares = 0;
  int64_t rows = 0;

  void add(const Reference &scores) {
    for (float score : scores.data)
      squares += double(score) * score;
    rows += scores.rows;
  }
  double norm() const { return rows ? std::sqrt(squares / double(rows)) : 0; }
};

/// State shared by the two observers of a run.
struct Comparison {
  const Program *fast = nullptr, *oracle = nullptr;
  std::vector<Kept> kept;                       ///< in program order
  StringMap<SmallVector<size_t, 1>> keptByName; ///< into `kept`
  StringMap<size_t> indices;                    ///< into report.sites
  std::vector<int8_t> given, masks; ///< of the step: [rows, route columns]
  std::vector<Scores> scores;       ///< by route
  std::vector<ScoreScale> scales;   ///< by route
  /// Scores of blocks in the oracle's present step, by name: [rows, KV heads,
  /// blocks].
  StringMap<std::pair<Reference, int64_t>> blockScores; ///< and blocks of each
  VerifyReport report;
  double tolerance = 0;
  std::string problem;                     ///< first structural mismatch
  std::unique_ptr<rt::RouteSource> source; ///< null: the mix
  rt::SequenceNumbers sequences;
  /// All rows fed so far, what was decided of them, and the fast program's
  /// logits for them.
  WorkloadStep fed;
  std::vector<int8_t> fedMasks;
  StringMap<Reference> fedLists; ///< of blocks, by name
  ArrayRef<size_t> scratchOrder; ///< of these rows in the step from scratch
  Reference incremental;

  int64_t columns() const { return fast->facts.routeColumns; }
  /// Is this element of what the fast program computes undefined?
  bool isLeftOut(const DispatchValue &value, int64_t row,
                 int64_t column) const {
    if (!value.partialRoute)
      return false;
    const rt::Route &r = fast->facts.routes[*value.partialRoute];
    int64_t group = r.columns ? column / r.columns : 0;
    return masks[row * columns() + r.column + group] == value.passed;
  }
};

void record(ValueError &value, double error, int64_t rows) {
  value.rows += rows;
  if (std::isnan(error) || error > value.error)
    value.error = error;
}

void observeFast(void *context, int64_t dispatch, double, const float *data,
                 const int64_t *shape, int64_t rank) {
  auto &comparison = *static_cast<Comparison *>(context);
  const DispatchValue &value = comparison.fast->values[dispatch];
  if (!data || rank != 2 || value.name.empty() || !value.keepsRowsOnly)
    return;
  comparison.keptByName[value.name].push_back(comparison.kept.size());
  Kept &kept = comparison.kept.emplace_back();
  kept.value = &value;
  kept.found.rows = shape[0];
  kept.found.width = shape[1];
  kept.found.data.assign(data, data + shape[0] * shape[1]);
}

/// Holds one value of the fast program against the oracle's.
void compareValue(Comparison &comparison, Kept &kept, const float *data,
                  int64_t rows, int64_t width) {
  const DispatchValue &value = *kept.value;
  int64_t wanted = value.columns.empty() ? width : value.columns.size();
  if (kept.found.rows != rows || kept.found.width != wanted ||
      (!value.columns.empty() && value.columns.back() >= width)) {
    if (comparison.problem.empty())
      comparison.problem =
          ("value '" + value.name + "': expected " + Twine(rows) + " x " +
           Twine(wanted) + " from the oracle's " + Twine(rows) + " x " +
           Twine(width) + ", found " + Twine(kept.found.rows) + " x " +
           Twine(kept.found.width))
              .str();
    return;
  }
  auto skipped = [&](int64_t row, int64_t column) {
    return comparison.isLeftOut(value, row, column);
  };
  kept.compared = 0;
  for (int64_t row = 0; row < rows; ++row)
    kept.compared +=
        !all_of(seq(wanted), [&](int64_t i) { return skipped(row, i); });
  double smallest = 0;
  for (auto [scale, route] :
       zip(comparison.scales, comparison.fast->facts.routes))
    if (route.scores == value.name)
      smallest = scale.norm();
  kept.error = rowError(kept.found.data.data(), data, rows, width,
                        value.columns, skipped, smallest);
}

/// Holds a list of blocks of the fast program against the oracle's own.
void compareLists(Comparison &comparison, const Kept &kept,
                  ArrayRef<int32_t> own, int64_t width) {
  const DispatchValue &value = *kept.value;
  auto scores = comparison.blockScores.find(value.name + ".scores");
  bool scored = scores != comparison.blockScores.end();
  int64_t heads =
      scored ? scores->second.first.width / scores->second.second : 1;
  // Without scores the lists of all heads are compared as one.
  int64_t perHead = scored ? width / heads : kept.found.width;
  for (int64_t row = 0; row < kept.found.rows; ++row)
    for (int64_t first = 0; first < kept.found.width; first += perHead) {
      SmallVector<int32_t> mine, theirs;
      for (int64_t i = first; i < first + perHead; ++i) {
        int64_t column = value.columns.empty() ? i : value.columns[i];
        mine.push_back(int32_t(kept.found.data[row * kept.found.width + i]));
        theirs.push_back(own[row * width + column]);
      }
      ArrayRef<float> ofHead;
      if (scored) {
        auto &[table, blocks] = scores->second;
        int64_t column = value.columns.empty() ? first : value.columns[first];
        ofHead =
            ArrayRef(table.data)
                .slice(row * table.width + column / perHead * blocks, blocks);
      }
      compareBlockLists(comparison.report.blocks, mine, theirs, ofHead);
    }
}

/// Gives the oracle the fast program's lists of blocks.
void editOracle(void *context, int64_t dispatch, int32_t *data,
                const int64_t *shape, int64_t rank) {
  auto &comparison = *static_cast<Comparison *>(context);
  const DispatchValue &value = comparison.oracle->values[dispatch];
  auto found = comparison.keptByName.find(value.name);
  if (!value.isList || rank != 2 || found == comparison.keptByName.end())
    return;
  const Kept &kept = comparison.kept[found->second.front()];
  const std::vector<int64_t> &columns = kept.value->columns;
  int64_t wanted = columns.empty() ? shape[1] : columns.size();
  // Another shape is reported when the values are compared.
  if (kept.found.rows != shape[0] || kept.found.width != wanted ||
      (!columns.empty() && columns.back() >= shape[1]))
    return;
  compareLists(comparison, kept, ArrayRef(data, shape[0] * shape[1]), shape[1]);
  for (int64_t row = 0; row < shape[0]; ++row)
    for (int64_t i = 0; i < wanted; ++i)
      data[row * shape[1] + (columns.empty() ? i : columns[i])] =
          int32_t(kept.found.data[row * wanted + i]);
}

/// Gives the fast program, from scratch, the lists that it has made before.
void editScratch(void *context, int64_t dispatch, int32_t *data,
                 const int64_t *shape, int64_t rank) {
  auto &comparison = *static_cast<Comparison *>(context);
  const DispatchValue &value = comparison.fast->values[dispatch];
  auto found = comparison.fedLists.find(value.name);
  if (!value.isList || rank != 2 || found == comparison.fedLists.end())
    return;
  const Reference &lists = found->second;
  for (auto [row, fed] : enumerate(comparison.scratchOrder))
    for (int64_t i = 0; i < shape[1]; ++i)
      data[row * shape[1] + i] = int32_t(lists.data[fed * shape[1] + i]);
}

void observeOracle(void *context, int64_t dispatch, double, const float *data,
                   const int64_t *shape, int64_t rank) {
  auto &comparison = *static_cast<Comparison *>(context);
  const DispatchValue &value = comparison.oracle->values[dispatch];
  if (data && rank == 3 && StringRef(value.name).ends_with(".blocks.scores")) {
    auto &[table, blocks] = comparison.blockScores[value.name];
    blocks = shape[2];
    table.rows = shape[0];
    table.width = shape[1] * shape[2];
    table.data.assign(data, data + table.rows * table.width);
  }
  if (!data || rank != 2 || value.name.empty())
    return;
  for (auto [scores, scale, route] :
       zip(comparison.scores, comparison.scales, comparison.fast->facts.routes))
    if (route.scores == value.name) {
      scores.seen = true;
      scores.found.rows = shape[0];
      scores.found.width = shape[1];
      scores.found.data.assign(data, data + shape[0] * shape[1]);
      scale.add(scores.found);
    }
  auto found = comparison.keptByName.find(value.name);
  if (found == comparison.keptByName.end())
    return;
  for (size_t index : found->second)
    compareValue(comparison, comparison.kept[index], data, shape[0], shape[1]);
}

/// Errors of the step's values, into the report.
void recordValues(Comparison &comparison) {
  for (const Kept &kept : comparison.kept) {
    const std::string &name = kept.value->name;
    if (!kept.error) {
      if (comparison.problem.empty())
        comparison.problem =
            "value '" + name + "' of the fast program is none of the oracle's";
      continue;
    }
    auto [index, isNew] =
        comparison.indices.try_emplace(name, comparison.report.sites.size());
    if (isNew)
      comparison.report.sites.push_back({name, 0, comparison.tolerance, 0});
    record(comparison.report.sites[index->second], *kept.error, kept.compared);
  }
}

/// What scores decide, and how far they are from deciding otherwise.
struct Ruling {
  bool keeps;
  double margin;
};

/// The rule of a route (runtime/bundle/program.h) for one row and group.
Ruling ruleOn(const rt::Route &route, const Reference &scores,
              ArrayRef<int32_t> slots, int64_t row, int64_t group) {
  auto preference = [&](int64_t r) {
    const float *s = &scores.data[r * scores.width + 2 * group];
    double difference = double(s[0]) - s[1];
    // NaN counts as the largest.
    return std::isnan(difference) ? std::numeric_limits<double>::infinity()
                                  : difference;
  };
  double mine = preference(row);
  if (route.top == 0)
    return {!(-mine > route.margin), std::abs(mine + route.margin)};
  SmallVector<std::pair<double, int64_t>> order; // the first to be kept first
  for (int64_t r = 0; r < scores.rows; ++r)
    if (slots[r] == slots[row])
      order.push_back({-preference(r), r});
  llvm::sort(order);
  auto kept = static_cast<size_t>(
      std::ceil(route.top * static_cast<double>(order.size())));
  size_t place = std::distance(order.begin(), find_if(order, [&](auto &entry) {
                                 return entry.second == row;
                               }));
  bool keeps = place < kept;
  // The nearest on the other side of the line.
  size_t other = keeps ? kept : kept - 1;
  double margin = other < order.size() ? std::abs(mine + order[other].first)
                                       : std::numeric_limits<double>::max();
  return {keeps, margin};
}

/// Holds one row's decisions of a route against the oracle's scores of it.
void recordDecisions(Comparison &comparison, const rt::Route &route,
                     const Reference &scores, double smallest,
                     ArrayRef<int32_t> slots, int64_t row) {
  RouteReport &report = comparison.report.routes;
  const float *s = &scores.data[row * scores.width];
  double squares = 0;
  for (int64_t i = 0; i < scores.width; ++i)
    squares += double(s[i]) * s[i];
  squares = std::max(squares, smallest * smallest);
  for (int64_t group = 0; group < route.groups; ++group) {
    int64_t element = row * comparison.columns() + route.column + group;
    int8_t mask = comparison.masks[element];
    report.rows += 1;
    report.kept += mask;
    int8_t given = comparison.given[element];
    if (given >= 0 && mask != given && comparison.problem.empty())
      comparison.problem = ("route '" + route.name + "', row " + Twine(row) +
                            ": expected the decision that the step gives, " +
                            Twine(int(given)) + ", found " + Twine(int(mask)))
                               .str();
    if (given >= 0)
      continue;
    report.decided += 1;
    Ruling ruling = ruleOn(route, scores, slots, row, group);
    if (mask == ruling.keeps)
      continue;
    report.disagreements += 1;
    double margin = squares > 0 ? ruling.margin / std::sqrt(squares) : 0;
    if (std::isnan(margin) || margin > report.largestMargin)
      report.largestMargin = margin;
  }
}

void recordRoutes(Comparison &comparison, ArrayRef<int32_t> slots) {
  auto rows = static_cast<int64_t>(slots.size());
  for (auto [scores, scale, route] : zip(comparison.scores, comparison.scales,
                                         comparison.fast->facts.routes)) {
    const Reference &found = scores.found;
    if (!scores.seen || found.rows != rows || found.width != 2 * route.groups) {
      if (comparison.problem.empty())
        comparison.problem =
            ("route '" + route.name + "': expected scores '" + route.scores +
             "' of " + Twine(rows) + " x " + Twine(2 * route.groups) +
             " from the oracle, found " +
             (scores.seen ? Twine(found.rows) + " x " + Twine(found.width)
                          : Twine("none of that name")))
                .str();
      return;
    }
    for (int64_t row = 0; row < rows; ++row)
      recordDecisions(comparison, route, found, scale.norm(), slots, row);
  }
}

coppice_step asStep(const WorkloadStep &rows) {
  coppice_step step = {};
  step.struct_size = sizeof(step);
  step.row_count = rows.tokens.size();
  step.tokens = rows.tokens.data();
  step.slots = rows.slots.data();
  step.positions = rows.positions.data();
  step.head_row_count = rows.headRows.size();
  step.head_rows = rows.headRows.data();
  return step;
}

/// What the fast program is told to decide.
Error giveDecisions(Comparison &comparison, const WorkloadStep &rows) {
  if (comparison.columns() == 0)
    return Error::success();
  std::vector<int32_t> numbers =
      comparison.sequences.assign(rows.slots, rows.positions);
  rt::RoutedRows routed{numbers, rows.positions};
  if (!comparison.source) {
    comparison.given =
        mixDecisions(comparison.fast->facts, comparison.report.steps, routed);
    return Error::success();
  }
  comparison.given.assign(rows.tokens.size() * comparison.columns(), -1);
  rt::Status status = comparison.source->decide(routed, comparison.given);
  return status.ok() ? Error::success() : createStringError(status.message());
}

/// What the fast program has decided.
Error readMasks(Comparison &comparison, int64_t rows) {
  comparison.masks = comparison.given; // columns without a route stay open
  std::vector<int8_t> mask;
  for (auto [index, route] : enumerate(comparison.fast->facts.routes)) {
    mask.resize(rows * route.groups);
    if (coppice_session_read_route(comparison.fast->session, index,
                                   mask.data()))
      return runtimeError("the fast program's decisions cannot be read");
    for (int64_t row = 0; row < rows; ++row)
      std::copy_n(&mask[row * route.groups], route.groups,
                  &comparison.masks[row * comparison.columns() + route.column]);
  }
  return Error::success();
}

/// Runs one step on both programs.
Error compareStep(Comparison &comparison, const WorkloadStep &rows) {
  coppice_step step = asStep(rows);
  Reference expected;
  expected.rows = rows.headRows.size();
  expected.width = comparison.oracle->vocabulary;
  expected.data.resize(expected.rows * expected.width);
  std::vector<float> found(expected.data.size());
  comparison.kept.clear();
  comparison.keptByName.clear();
  comparison.scores.assign(comparison.fast->facts.routes.size(), {});
  comparison.blockScores.clear();
  if (Error error = giveDecisions(comparison, rows))
    return error;
  step.routes = comparison.columns() ? comparison.given.data() : nullptr;
  if (coppice_session_step(comparison.fast->session, &step, found.data()))
    return runtimeError("the fast program's step failed");
  if (Error error = readMasks(comparison, step.row_count))
    return error;
  step.routes = comparison.columns() ? comparison.masks.data() : nullptr;
  if (coppice_session_step(comparison.oracle->session, &step,
                           expected.data.data()))
    return runtimeError("the oracle's step failed");
  recordValues(comparison);
  recordRoutes(comparison, ArrayRef(step.slots, step.row_count));
  if (!comparison.problem.empty())
    return createStringError(comparison.problem);
  record(comparison.report.outputs.front(),
         rowError(found.data(), expected.data.data(), expected.rows,
                  expected.width, {}),
         expected.rows);
  comparison.report.steps += 1;
  comparison.report.rows += step.row_count;

  // Every row is a head row, so rows and logits run in parallel.
  WorkloadStep &fed = comparison.fed;
  fed.tokens.insert(fed.tokens.end(), rows.tokens.begin(), rows.tokens.end());
  fed.slots.insert(fed.slots.end(), rows.slots.begin(), rows.slots.end());
  fed.positions.insert(fed.positions.end(), rows.positions.begin(),
                       rows.positions.end());
  append_range(comparison.fedMasks, comparison.masks);
  for (const Kept &kept : comparison.kept)
    if (kept.value->isList)
      append_range(comparison.fedLists[kept.value->name].data, kept.found.data);
  comparison.incremental.data.insert(comparison.incremental.data.end(),
                                     found.begin(), found.end());
  return Error::success();
}

/// Feeds the fast program all sequences afresh, each whole, in one step, with
/// the decisions that it has taken before.
Error compareWithScratch(Comparison &comparison) {
  const WorkloadStep &fed = comparison.fed;
  std::vector<size_t> order(fed.tokens.size());
  std::iota(order.begin(), order.end(), 0);
  sort(order, [&](size_t a, size_t b) {
    return std::tie(fed.slots[a], fed.positions[a]) <
           std::tie(fed.slots[b], fed.positions[b]);
  });
  int64_t width = comparison.oracle->vocabulary;
  WorkloadStep whole;
  std::vector<int8_t> masks;
  Reference expected;
  expected.rows = order.size();
  expected.width = width;
  for (size_t row : order) {
    whole.headRows.push_back(static_cast<int32_t>(whole.tokens.size()));
    whole.tokens.push_back(fed.tokens[row]);
    whole.slots.push_back(fed.slots[row]);
    whole.positions.push_back(fed.positions[row]);
    auto mask = comparison.fedMasks.begin() + row * comparison.columns();
    masks.insert(masks.end(), mask, mask + comparison.columns());
    auto first = comparison.incremental.data.begin() + row * width;
    expected.data.insert(expected.data.end(), first, first + width);
  }

  coppice_session *session = comparison.fast->session;
  coppice_session_observe(session, nullptr, nullptr);
  if (coppice_session_reset(session, -1))
    return runtimeError("the fast program cannot be reset");
  std::vector<float> found(expected.data.size());
  comparison.scratchOrder = order;
  coppice_session_edit_lists(session, editScratch, &comparison);
  coppice_step step = asStep(whole);
  step.routes = masks.empty() ? nullptr : masks.data();
  if (coppice_session_step(session, &step, found.data()))
    return runtimeError("the fast program's step from scratch failed");
  ValueError &value = comparison.report.outputs.emplace_back();
  value.name = "logits, cache or scratch";
  value.tolerance = comparison.tolerance;
  record(value,
         rowError(found.data(), expected.data.data(), expected.rows, width, {}),
         expected.rows);
  return Error::success();
}

} // namespace

/// Does its attention drop blocks that weigh little?
static bool dropsBlocks(const rt::Dispatch &dispatch) {
  return any_of(dispatch.variants, [](const rt::Variant &variant) {
    return any_of(variant.stages, [](const rt::Stage &stage) {
      return StringRef(stage.config).contains(", drops 1");
    });
  });
}

Expected<VerifyReport> compareBundles(StringRef fastPath, StringRef oraclePath,
                                      const CompareOptions &options) {
  Expected<std::unique_ptr<Program>> fast =
      Program::open(fastPath, options, options.isa);
  if (!fast)
    return fast.takeError();
  Expected<std::unique_ptr<Program>> oracle =
      Program::open(oraclePath, options, "");
  if (!oracle)
    return oracle.takeError();
  if ((*fast)->vocabulary != (*oracle)->vocabulary)
    return createStringError("the two bundles are not of one model: "
                             "vocabulary " +
                             Twine((*fast)->vocabulary) + " and " +
                             Twine((*oracle)->vocabulary));

  if ((*fast)->facts.routeColumns != (*oracle)->facts.routeColumns)
    return createStringError(
        "the two bundles are not of one plan: decisions in " +
        Twine((*fast)->facts.routeColumns) + " and in " +
        Twine((*oracle)->facts.routeColumns) + " columns");

  Comparison comparison;
  comparison.fast = fast->get();
  comparison.oracle = oracle->get();
  comparison.tolerance = verifyTolerance((*fast)->dtype);
  comparison.report.routes.routes = (*fast)->facts.routes.size();
  comparison.report.hasThresholds =
      any_of((*fast)->facts.dispatches, [](const rt::Dispatch &dispatch) {
        return dispatch.zeros > 0 || dropsBlocks(dispatch);
      });
  comparison.scales.resize((*fast)->facts.routes.size());
  comparison.report.routes.tolerance = comparison.tolerance;
  comparison.report.blocks.tolerance = comparison.tolerance;
  if (!options.routes.empty()) {
    auto source = rt::makeRouteSource(options.routes, (*fast)->facts);
    if (!source)
      return createStringError(source.status().message());
    comparison.source = *std::move(source);
  }
  comparison.report.fastKernels = (*fast)->fastKernels;
  comparison.report.dispatches = (*fast)->values.size();
  comparison.report.outputs.push_back({"logits", 0, comparison.tolerance, 0});
  coppice_session_observe((*oracle)->session, observeOracle, &comparison);
  coppice_session_observe((*fast)->session, observeFast, &comparison);
  coppice_session_edit_lists((*oracle)->session, editOracle, &comparison);

  WorkloadOptions workload = options.workload;
  workload.vocabulary = (*fast)->vocabulary;
  for (const WorkloadStep &step : makeWorkload(workload))
    if (Error error = compareStep(comparison, step))
      return std::move(error);
  if (Error error = compareWithScratch(comparison))
    return std::move(error);
  if (comparison.report.sites.empty())
    return createStringError("the two bundles have no named value in common; "
                             "expected the oracle of the same model");
  return std::move(comparison.report);
}

} // namespace coppice
