// In: two bundles, a workload. Out: the error of each named value, per row.
//
// The oracle runs a step first, and an observer keeps a copy of every value
// that the fast program says it computes too ("value" in program.json). Then
// the fast program runs the same step; its observer compares on the spot,
// column by kept column. So memory is one step of the oracle's values, whatever
// the model.
#include "coppice/Verify/Verify.h"

#include "coppice/runtime.h"
#include "llvm/ADT/STLExtras.h"
#include "llvm/ADT/StringMap.h"
#include "llvm/ADT/StringSet.h"
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
  return all_of(outputs, holds) && all_of(sites, holds);
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
  return Error::success();
}

/// A copy of one value of the oracle, [rows, width].
struct Reference {
  std::vector<float> data;
  int64_t rows = 0, width = 0;
};

/// Largest relative row error of `fast` [rows, columns.size() or width]. A few
/// kept columns may all be near zero by chance, and their rounding errors are
/// those of their whole row; so a row counts as no smaller than its share of
/// the whole row's norm.
double rowError(const float *fast, const Reference &reference,
                ArrayRef<int64_t> columns) {
  int64_t width = columns.empty() ? reference.width : columns.size();
  double worst = 0;
  for (int64_t row = 0; row < reference.rows; ++row) {
    const float *expected = &reference.data[row * reference.width];
    double squaredError = 0, squaredNorm = 0, squaredRow = 0;
    for (int64_t i = 0; i < reference.width; ++i)
      squaredRow += double(expected[i]) * expected[i];
    for (int64_t i = 0; i < width; ++i) {
      double kept = expected[columns.empty() ? i : columns[i]];
      double error = fast[row * width + i] - kept;
      squaredError += error * error;
      squaredNorm += kept * kept;
    }
    squaredNorm =
        std::max(squaredNorm, squaredRow * width / double(reference.width));
    double error = squaredNorm > 0 ? std::sqrt(squaredError / squaredNorm)
                                   : std::sqrt(squaredError);
    if (std::isnan(error))
      return error;
    worst = std::max(worst, error);
  }
  return worst;
}

/// State shared by the two observers of a run.
struct Comparison {
  const Program *fast = nullptr, *oracle = nullptr;
  StringSet<> wanted;
  StringMap<Reference> references; ///< of the current step
  StringMap<size_t> indices;       ///< into report.sites
  VerifyReport report;
  double tolerance = 0;
  std::string problem; ///< first structural mismatch
  /// All rows fed so far, and the fast program's logits for them.
  WorkloadStep fed;
  Reference incremental;
};

void record(ValueError &value, double error, int64_t rows) {
  value.rows += rows;
  if (std::isnan(error) || error > value.error)
    value.error = error;
}

void observeOracle(void *context, int64_t dispatch, double, const float *data,
                   const int64_t *shape, int64_t rank) {
  auto &comparison = *static_cast<Comparison *>(context);
  const DispatchValue &value = comparison.oracle->values[dispatch];
  if (!data || rank != 2 || !comparison.wanted.contains(value.name))
    return;
  Reference &reference = comparison.references[value.name];
  reference.rows = shape[0];
  reference.width = shape[1];
  reference.data.assign(data, data + shape[0] * shape[1]);
}

void observeFast(void *context, int64_t dispatch, double, const float *data,
                 const int64_t *shape, int64_t rank) {
  auto &comparison = *static_cast<Comparison *>(context);
  const DispatchValue &value = comparison.fast->values[dispatch];
  if (!data || rank != 2 || value.name.empty() || !value.keepsRowsOnly)
    return;
  auto found = comparison.references.find(value.name);
  if (found == comparison.references.end()) {
    if (comparison.problem.empty())
      comparison.problem = "value '" + value.name +
                           "' of the fast program is none of the oracle's";
    return;
  }
  const Reference &reference = found->second;
  int64_t width =
      value.columns.empty() ? reference.width : value.columns.size();
  if (shape[0] != reference.rows || shape[1] != width ||
      (!value.columns.empty() && value.columns.back() >= reference.width)) {
    if (comparison.problem.empty())
      comparison.problem =
          ("value '" + value.name + "': expected " + Twine(reference.rows) +
           " x " + Twine(width) + " from the oracle's " +
           Twine(reference.rows) + " x " + Twine(reference.width) + ", found " +
           Twine(shape[0]) + " x " + Twine(shape[1]))
              .str();
    return;
  }
  auto [index, isNew] = comparison.indices.try_emplace(
      value.name, comparison.report.sites.size());
  if (isNew)
    comparison.report.sites.push_back({value.name, 0, comparison.tolerance, 0});
  record(comparison.report.sites[index->second],
         rowError(data, reference, value.columns), reference.rows);
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

/// Runs one step on both programs.
Error compareStep(Comparison &comparison, const WorkloadStep &rows) {
  coppice_step step = asStep(rows);
  Reference expected;
  expected.rows = rows.headRows.size();
  expected.width = comparison.oracle->vocabulary;
  expected.data.resize(expected.rows * expected.width);
  std::vector<float> found(expected.data.size());
  comparison.references.clear();
  if (coppice_session_step(comparison.oracle->session, &step,
                           expected.data.data()))
    return runtimeError("the oracle's step failed");
  if (coppice_session_step(comparison.fast->session, &step, found.data()))
    return runtimeError("the fast program's step failed");
  if (!comparison.problem.empty())
    return createStringError(comparison.problem);
  record(comparison.report.outputs.front(),
         rowError(found.data(), expected, {}), expected.rows);
  comparison.report.steps += 1;
  comparison.report.rows += step.row_count;

  // Every row is a head row, so rows and logits run in parallel.
  WorkloadStep &fed = comparison.fed;
  fed.tokens.insert(fed.tokens.end(), rows.tokens.begin(), rows.tokens.end());
  fed.slots.insert(fed.slots.end(), rows.slots.begin(), rows.slots.end());
  fed.positions.insert(fed.positions.end(), rows.positions.begin(),
                       rows.positions.end());
  comparison.incremental.data.insert(comparison.incremental.data.end(),
                                     found.begin(), found.end());
  return Error::success();
}

/// Feeds the fast program all sequences afresh, each whole, in one step.
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
  Reference expected;
  expected.rows = order.size();
  expected.width = width;
  for (size_t row : order) {
    whole.headRows.push_back(static_cast<int32_t>(whole.tokens.size()));
    whole.tokens.push_back(fed.tokens[row]);
    whole.slots.push_back(fed.slots[row]);
    whole.positions.push_back(fed.positions[row]);
    auto first = comparison.incremental.data.begin() + row * width;
    expected.data.insert(expected.data.end(), first, first + width);
  }

  coppice_session *session = comparison.fast->session;
  coppice_session_observe(session, nullptr, nullptr);
  if (coppice_session_reset(session, -1))
    return runtimeError("the fast program cannot be reset");
  std::vector<float> found(expected.data.size());
  coppice_step step = asStep(whole);
  if (coppice_session_step(session, &step, found.data()))
    return runtimeError("the fast program's step from scratch failed");
  ValueError &value = comparison.report.outputs.emplace_back();
  value.name = "logits, cache or scratch";
  value.tolerance = comparison.tolerance;
  record(value, rowError(found.data(), expected, {}), expected.rows);
  return Error::success();
}

} // namespace

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

  Comparison comparison;
  comparison.fast = fast->get();
  comparison.oracle = oracle->get();
  comparison.tolerance = verifyTolerance((*fast)->dtype);
  for (const DispatchValue &value : (*fast)->values)
    if (!value.name.empty())
      comparison.wanted.insert(value.name);
  comparison.report.fastKernels = (*fast)->fastKernels;
  comparison.report.dispatches = (*fast)->values.size();
  comparison.report.outputs.push_back({"logits", 0, comparison.tolerance, 0});
  coppice_session_observe((*oracle)->session, observeOracle, &comparison);
  coppice_session_observe((*fast)->session, observeFast, &comparison);

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
