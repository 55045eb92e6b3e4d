// Reads program.json field by field (JsonCursor), then checks what spans
// fields: buffer extents against the arena for the limits, tied facts of
// weights, the logits output.
#include "runtime/bundle/program.h"

#include "runtime/base/aligned_memory.h"
#include "runtime/base/checked.h"
#include "runtime/base/concat.h"
#include "runtime/bundle/json_cursor.h"

#include <algorithm>
#include <set>

namespace coppice::rt {

const std::array<std::string, symbolCount> symbolNames = {
    "rows", "head_rows", "slots", "context", "attended", "cached"};

namespace {

constexpr std::array<std::string_view, 11> kindNames = {
    "lookup",    "norm",        "gemm",  "rotary_table", "rotary", "append",
    "attention", "elementwise", "other", "route",        "compact"};

constexpr size_t maxRank = 8;
// Limits stay far below 2^63, so that plain sums and products of two of them
// cannot overflow.
constexpr int64_t maxLimit = int64_t(1) << 31;
// A session keeps a length for each slot.
constexpr int64_t maxSlots = int64_t(1) << 20;
// Columns of the decisions of a row: rows times this stays below 2^63, too.
constexpr int64_t maxRouteColumns = int64_t(1) << 20;

Model parseModel(const JsonCursor &json) {
  Model model;
  model.name = json.at("name").text();
  model.family = json.at("family").text();
  model.dtype = json.at("dtype").text();
  model.vocabulary = json.at("vocabulary").integer(1, maxLimit);
  model.context = json.at("context").integer(1, maxLimit);
  model.bos = json.at("bos").integer(-1, model.vocabulary - 1);
  model.eos = json.at("eos").integer(-1, model.vocabulary - 1);
  model.parameters = json.at("parameters").integer(0);
  model.layers = json.at("layers").integer(0, maxLimit);
  model.sourceSha256 = json.at("source_sha256").text();
  return model;
}

Plan parsePlan(const JsonCursor &json) {
  Plan plan;
  plan.summary = json.at("summary").text();
  plan.sha256 = json.at("sha256").text();
  plan.family = json.at("family").text();
  plan.sparsity = json.at("sparsity").number();
  plan.removedParameters = json.at("removed").at("parameters").number();
  return plan;
}

void checkSymbols(const JsonCursor &json) {
  bool equal = json.size() == symbolCount;
  for (size_t i = 0; equal && i < symbolCount; ++i)
    equal = json.element(i).text() == symbolNames[i];
  if (!equal)
    json.fail("expected [\"rows\", \"head_rows\", \"slots\", \"context\", "
              "\"attended\", \"cached\"]");
}

std::vector<Expr> parseShape(const JsonCursor &json) {
  std::vector<Expr> shape;
  if (json.size() > maxRank)
    json.fail(
        concat("expected at most ", maxRank, " extents, found ", json.size()));
  for (size_t i = 0; json.ok() && i < json.size(); ++i)
    shape.push_back(json.element(i).expr(symbolNames));
  return shape;
}

std::vector<int64_t> parseConstantShape(const JsonCursor &json) {
  std::vector<int64_t> shape;
  if (json.size() > maxRank)
    json.fail(
        concat("expected at most ", maxRank, " extents, found ", json.size()));
  for (size_t i = 0; json.ok() && i < json.size(); ++i)
    shape.push_back(json.element(i).integer(0));
  return shape;
}

// [[axis, [[begin, end], ..]], ..]; order and bounds are checked by checkKept.
std::vector<KeptAxis> parseKept(const JsonCursor &json) {
  std::vector<KeptAxis> kept;
  for (size_t i = 0; json.ok() && i < json.size(); ++i) {
    JsonCursor entry = json.element(i);
    if (entry.size() != 2) {
      entry.expected("[axis, ranges]");
      break;
    }
    KeptAxis axis;
    axis.axis = entry.element(0).integer(0, maxRank - 1);
    JsonCursor ranges = entry.element(1);
    for (size_t r = 0; json.ok() && r < ranges.size(); ++r) {
      JsonCursor range = ranges.element(r);
      if (range.size() != 2) {
        range.expected("[begin, end]");
        break;
      }
      axis.ranges.emplace_back(range.element(0).integer(0),
                               range.element(1).integer(0));
    }
    kept.push_back(std::move(axis));
  }
  return kept;
}

// i8 [rows, R]: the decisions that are made outside.
void checkRoutesField(const JsonCursor &json, const StepField &field) {
  if (field.dtype != DType::I8)
    json.at("dtype").expected("\"i8\"");
  if (field.shape.size() != 2 || field.shape[0].asSymbol() != symbolRows ||
      field.shape[1].asConstant().value_or(0) < 1 ||
      *field.shape[1].asConstant() > maxRouteColumns)
    json.at("shape").fail(
        concat("expected [\"rows\", R] with R in [1, ", maxRouteColumns, "]"));
}

StepField parseStepField(const JsonCursor &json) {
  StepField field;
  field.name = json.at("name").text();
  field.dtype = json.at("dtype").dtype();
  field.shape = parseShape(json.at("shape"));
  if (!json.ok())
    return field;
  constexpr std::array<std::string_view, 5> roles = {
      "tokens", "slots", "positions", "head_rows", "routes"};
  auto role = std::find(roles.begin(), roles.end(), field.name);
  if (role == roles.end()) {
    json.at("name").expected(
        "one of tokens, slots, positions, head_rows, routes");
    return field;
  }
  field.role = StepRole(role - roles.begin());
  if (field.role == StepRole::Routes) {
    checkRoutesField(json, field);
    return field;
  }
  if (field.dtype != DType::I32)
    json.at("dtype").expected("\"i32\"");
  int extent = field.role == StepRole::HeadRows ? symbolHeadRows : symbolRows;
  if (field.shape != std::vector<Expr>{Expr::symbol(extent)})
    json.at("shape").fail("expected [\"" + symbolNames[extent] + "\"]");
  return field;
}

Packing parsePacking(const JsonCursor &json) {
  Packing packing;
  if (json.isObject()) {
    packing.panels = json.at("panels").integer(1, maxLimit);
    packing.depth = json.at("depth").integer(1, maxLimit);
  } else if (json.text() != "rows")
    json.expected("\"rows\" or {\"panels\": P, \"depth\": D}");
  return packing;
}

GeneratedStorage parseGenerated(const JsonCursor &json) {
  GeneratedStorage storage;
  storage.seed = json.at("seed").unsigned64();
  storage.name = json.at("name").text();
  storage.stddev = json.at("stddev").number();
  storage.mean = json.at("mean").number();
  storage.shape = parseConstantShape(json.at("shape"));
  if (json.has("kept"))
    storage.kept = parseKept(json.at("kept"));
  storage.packing = parsePacking(json.at("packing"));
  return storage;
}

// A generated weight's declared shape must be what its packing makes.
void checkGenerated(const JsonCursor &json, const Weight &weight,
                    const GeneratedStorage &storage) {
  if (!isFloat(weight.dtype))
    return json.fail("generated weights have a float dtype");
  auto shape = packedShape(storage.shape, storage.kept, storage.packing);
  if (!shape)
    return json.fail(shape.status().message());
  if (*shape != weight.shape)
    json.fail("shape, kept and packing do not make the weight's shape");
}

Weight parseWeight(const JsonCursor &json) {
  Weight weight;
  weight.name = json.at("name").text();
  weight.dtype = json.at("dtype").dtype();
  weight.shape = parseConstantShape(json.at("shape"));
  auto elements = checkedProduct(weight.shape);
  auto bytes =
      elements ? checkedMul(*elements, sizeOf(weight.dtype)) : std::nullopt;
  if (!bytes) {
    json.at("shape").fail("size overflows 64 bits");
    return weight;
  }
  weight.bytes = *bytes;
  JsonCursor storage = json.at("storage");
  if (storage.has("generated")) {
    GeneratedStorage generated = parseGenerated(storage.at("generated"));
    if (json.ok())
      checkGenerated(storage.at("generated"), weight, generated);
    weight.storage = std::move(generated);
    return weight;
  }
  FileStorage file;
  file.file = storage.at("file").fileName();
  file.key = storage.at("key").text();
  weight.storage = std::move(file);
  return weight;
}

State parseState(const JsonCursor &json) {
  State state;
  state.name = json.at("name").text();
  state.dtype = json.at("dtype").dtype();
  state.shape = parseShape(json.at("shape"));
  for (const Expr &extent : state.shape)
    for (int symbol :
         {symbolRows, symbolHeadRows, symbolAttended, symbolCached})
      if (extent.uses(symbol))
        json.at("shape").fail("a state's extents are over slots and context, "
                              "found " +
                              extent.json(symbolNames));
  return state;
}

Buffer parseBuffer(const JsonCursor &json) {
  Buffer buffer;
  buffer.name = json.at("name").text();
  buffer.dtype = json.at("dtype").dtype();
  buffer.shape = parseShape(json.at("shape"));
  buffer.offset = json.at("offset").expr(symbolNames);
  return buffer;
}

Route parseRoute(const JsonCursor &json, const Program &program) {
  Route route;
  route.name = json.at("name").text();
  if (json.ok() && route.name.empty())
    json.at("name").expected("a name");
  route.buffer = json.at("buffer").index(program.buffers.size());
  route.groups = json.at("groups").integer(1, maxRouteColumns);
  route.column = json.at("column").integer(0, maxRouteColumns);
  route.expected = json.at("expected").number();
  route.scores = json.at("scores").text();
  if (json.has("margin"))
    route.margin = json.at("margin").number();
  if (json.has("top"))
    route.top = json.at("top").number();
  if (json.has("columns"))
    route.columns = json.at("columns").integer(1, INT64_MAX);
  if (!json.ok())
    return route;
  if (!(route.top >= 0 && route.top <= 1))
    json.at("top").expected("a share in [0, 1]");
  if (!(route.expected >= 0 && route.expected <= 1))
    json.at("expected").expected("a share in [0, 1]");
  if (route.column + route.groups > program.routeColumns)
    json.fail(concat("expected columns inside the ", program.routeColumns,
                     " of the step field 'routes', found [", route.column, ", ",
                     route.column + route.groups, ")"));
  const Buffer &mask = program.buffers[size_t(route.buffer)];
  if (mask.dtype != DType::I8 || mask.shape.size() != 2 ||
      mask.shape[0].asSymbol() != symbolRows ||
      mask.shape[1].asConstant() != route.groups)
    json.at("buffer").fail(concat("expected a mask of dtype i8 and shape "
                                  "[\"rows\", ",
                                  route.groups, "], found buffer ",
                                  quote(mask.name)));
  if (json.ok() && route.groups > 1 && !route.columns)
    json.fail("expected 'columns' of a route of several groups, found none");
  return route;
}

// No two routes of one name, buffer or column: one would overrule the other.
void checkRoutes(const JsonCursor &json, const Program &program) {
  std::set<std::string_view> names;
  std::set<int64_t> buffers;
  std::vector<const Route *> owners(size_t(program.routeColumns), nullptr);
  for (const Route &route : program.routes) {
    if (!names.insert(route.name).second)
      return json.fail("routes: " + quote(route.name) + " appears twice");
    if (!buffers.insert(route.buffer).second)
      return json.fail("routes: " + quote(route.name) +
                       ": expected a buffer of its own, found another route's");
    for (int64_t i = route.column; i < route.column + route.groups; ++i) {
      const Route *&owner = owners[size_t(i)];
      if (owner)
        return json.fail(concat("routes: column ", i, " is of both ",
                                quote(owner->name), " and ",
                                quote(route.name)));
      owner = &route;
    }
  }
}

Target parseTarget(const JsonCursor &json) {
  Target target;
  target.name = json.at("name").text();
  if (JsonCursor isa = json.at("isa"); json.ok() && !isa.isNull())
    target.isa = isa.text();
  target.file = json.at("file").fileName();
  target.sha256 = json.at("sha256").sha256();
  target.bytes = json.at("bytes").integer(1);
  JsonCursor features = json.at("requires");
  for (size_t i = 0; json.ok() && i < features.size(); ++i)
    target.requires_.push_back(features.element(i).text());
  if (!json.has("kernels"))
    return target;
  JsonCursor kernels = json.at("kernels");
  if (!kernels.isObject()) {
    kernels.expected("an object of kernels");
    return target;
  }
  for (const auto &item : kernels.json()->items()) {
    JsonCursor kernel = kernels.at(item.key().c_str());
    KernelShape shape;
    shape.threads = int32_t(kernel.at("threads").integer(1, 1024));
    // More than any GPU has is no launch's fault.
    shape.sharedBytes = kernel.at("shared_bytes").integer(0, 1 << 20);
    if (kernel.has("registers"))
      shape.registers = int32_t(kernel.at("registers").integer(0, 255));
    if (kernel.has("spill_bytes"))
      shape.spillBytes = kernel.at("spill_bytes").integer(0);
    target.kernels.emplace(item.key(), shape);
  }
  return target;
}

FileRecord parseFile(const JsonCursor &json) {
  FileRecord record;
  record.file = json.at("file").fileName();
  record.bytes = json.at("bytes").integer(0);
  if (!json.has("pieces")) {
    record.sha256 = json.at("sha256").sha256();
    return record;
  }
  if (json.has("sha256"))
    json.fail("expected either sha256 or pieces, found both");
  JsonCursor pieces = json.at("pieces"), hashes = pieces.at("sha256");
  record.pieces.bytes = pieces.at("bytes").integer(4096);
  for (size_t i = 0; json.ok() && i < hashes.size(); ++i)
    record.pieces.sha256.push_back(hashes.element(i).sha256());
  if (!json.ok())
    return record;
  int64_t expected = record.bytes / record.pieces.bytes +
                     (record.bytes % record.pieces.bytes != 0);
  if (int64_t(record.pieces.sha256.size()) != expected)
    hashes.fail(concat("expected the hashes of ", expected, " pieces, found ",
                       record.pieces.sha256.size()));
  return record;
}

Arg parseArg(const JsonCursor &json, const Program &program) {
  struct Kind {
    const char *key;
    ArgKind kind;
    size_t count;
  };
  const Kind kinds[] = {{"buffer", ArgKind::Buffer, program.buffers.size()},
                        {"weight", ArgKind::Weight, program.weights.size()},
                        {"state", ArgKind::State, program.states.size()},
                        {"step", ArgKind::Step, program.step.size()}};
  for (const Kind &kind : kinds)
    if (json.has(kind.key))
      return {kind.kind, json.at(kind.key).index(kind.count)};
  json.fail("expected one of buffer, weight, state, step");
  return {};
}

void parseWrites(const JsonCursor &json, Dispatch &dispatch) {
  for (size_t i = 0; json.ok() && i < json.size(); ++i) {
    JsonCursor entry = json.element(i);
    int64_t position = entry.index(dispatch.args.size());
    if (!json.ok())
      return;
    ArgKind kind = dispatch.args[size_t(position)].kind;
    if (kind != ArgKind::Buffer && kind != ArgKind::State)
      entry.fail("only buffers and states can be written");
    dispatch.writes.push_back(position);
  }
  if (json.ok() && dispatch.writes.empty())
    json.fail("expected at least one written arg");
}

std::optional<Expr> parseOptionalExpr(const JsonCursor &json) {
  if (!json.ok() || json.isNull())
    return std::nullopt;
  return json.expr(symbolNames);
}

Variant parseVariant(const JsonCursor &json) {
  Variant variant;
  variant.guard = parseOptionalExpr(json.at("guard"));
  variant.workspace = parseOptionalExpr(json.at("workspace"));
  JsonCursor stages = json.at("stages");
  for (size_t i = 0; json.ok() && i < stages.size(); ++i) {
    JsonCursor entry = stages.element(i);
    Stage stage;
    stage.kernel = entry.at("kernel").text();
    stage.grid = entry.at("grid").expr(symbolNames);
    stage.config = entry.at("config").text();
    variant.stages.push_back(std::move(stage));
  }
  if (json.ok() && variant.stages.empty())
    stages.fail("expected at least one stage");
  return variant;
}

Cost parseCost(const JsonCursor &json) {
  Cost cost;
  cost.flops = json.at("flops").expr(symbolNames);
  cost.weightBytes = json.at("weight_bytes").expr(symbolNames);
  cost.readBytes = json.at("read_bytes").expr(symbolNames);
  cost.writeBytes = json.at("write_bytes").expr(symbolNames);
  if (json.has("arithmetic")) {
    JsonCursor arithmetic = json.at("arithmetic");
    std::string name = arithmetic.text();
    if (json.ok() && name != "f32" && name != "bf16")
      arithmetic.expected("f32 or bf16");
    cost.arithmetic = name == "bf16" ? Arithmetic::BF16 : Arithmetic::F32;
  }
  if (json.has("window"))
    cost.window = json.at("window").integer(0, maxLimit);
  if (json.has("executed_per_flop"))
    cost.executedPerFlop = json.at("executed_per_flop").integer(1, 64);
  return cost;
}

DispatchKind parseKind(const JsonCursor &json) {
  std::string name = json.text();
  auto found = std::find(kindNames.begin(), kindNames.end(), name);
  if (found == kindNames.end()) {
    json.expected("a dispatch kind");
    return DispatchKind::Other;
  }
  return DispatchKind(found - kindNames.begin());
}

Dispatch parseDispatch(const JsonCursor &json, const Program &program) {
  Dispatch dispatch;
  dispatch.site = json.at("site").text();
  dispatch.kind = parseKind(json.at("kind"));
  JsonCursor group = json.at("group");
  if (json.ok() && !group.isNull())
    dispatch.group = group.text();
  JsonCursor args = json.at("args");
  for (size_t i = 0; json.ok() && i < args.size(); ++i)
    dispatch.args.push_back(parseArg(args.element(i), program));
  parseWrites(json.at("writes"), dispatch);
  JsonCursor variants = json.at("variants");
  for (size_t i = 0; json.ok() && i < variants.size(); ++i)
    dispatch.variants.push_back(parseVariant(variants.element(i)));
  if (json.ok() && dispatch.variants.empty())
    variants.fail("expected at least one variant");
  dispatch.cost = parseCost(json.at("cost"));
  if (json.has("gemm") && !json.at("gemm").isNull()) {
    JsonCursor gemm = json.at("gemm");
    dispatch.gemm =
        GemmExtents{gemm.at("m").expr(symbolNames), gemm.at("n").integer(0),
                    gemm.at("k").integer(0)};
  } else if (json.ok() && dispatch.kind == DispatchKind::Gemm) {
    json.fail("missing key 'gemm'");
  }
  if (json.has("route") && !json.at("route").isNull()) {
    std::string name = json.at("route").text();
    for (size_t i = 0; i < program.routes.size(); ++i)
      if (program.routes[i].name == name)
        dispatch.route = int64_t(i);
    if (json.ok() && !dispatch.route)
      json.at("route").expected("the name of a route of the program");
  }
  if (json.has("zeros"))
    dispatch.zeros = json.at("zeros").number();
  if (json.ok() && !(dispatch.zeros >= 0 && dispatch.zeros <= 1))
    json.at("zeros").expected("a share in [0, 1]");
  if (json.has("threshold")) {
    dispatch.threshold = json.at("threshold").number();
    if (json.ok() && !(*dispatch.threshold >= 0))
      json.at("threshold").expected("a number that is not negative");
  }
  if (json.has("partial"))
    dispatch.partial = json.at("partial").boolean();
  if (json.has("passed"))
    dispatch.passed = json.at("passed").boolean();
  if (json.ok() && dispatch.passed && !dispatch.route)
    json.at("passed").fail("expected a 'route' beside it, found none");
  if (json.ok() && dispatch.partial && !dispatch.route)
    json.at("partial").fail("expected a 'route' beside it, found none");
  JsonCursor value = json.at("value");
  if (json.ok() && !value.isNull())
    dispatch.value = value.text();
  JsonCursor kept = json.at("kept");
  if (json.ok() && !kept.isNull())
    dispatch.kept = parseKept(kept);
  return dispatch;
}

Fallback parseFallback(const JsonCursor &json) {
  Fallback fallback;
  fallback.site = json.at("site").text();
  fallback.group = json.at("group").integer(0, maxLimit);
  fallback.expected = json.at("expected").number();
  if (json.ok() && !(fallback.expected >= 0 && fallback.expected <= 1))
    json.at("expected").expected("a share in [0, 1]");
  fallback.predictedSpeedup = json.at("predicted_speedup").number();
  if (json.ok() && !(fallback.predictedSpeedup > 0))
    json.at("predicted_speedup").expected("a number above 0");
  fallback.masked = json.at("masked").boolean();
  return fallback;
}

template <typename T, typename Parse>
void parseList(const JsonCursor &json, std::vector<T> &list, Parse parse) {
  size_t count = json.size();
  for (size_t i = 0; json.ok() && i < count; ++i)
    list.push_back(parse(json.element(i)));
}

Limits parseLimits(const JsonCursor &json) {
  Limits limits;
  limits.rows = json.at("rows").integer(1, maxLimit);
  limits.slots = json.at("slots").integer(1, maxSlots);
  limits.context = json.at("context").integer(1, maxLimit);
  return limits;
}

Output parseOutput(const JsonCursor &json, size_t buffers) {
  Output output;
  output.name = json.at("name").text();
  output.buffer = json.at("buffer").index(buffers);
  return output;
}

void checkSchema(const JsonCursor &json) {
  std::string schema = json.at("schema").text();
  if (json.ok() && schema != programSchema)
    json.fail(concat("expected schema '", programSchema, "', found ",
                     quote(schema),
                     "; the bundle needs the coppice-run of its own version"));
}

void checkLogits(const JsonCursor &json, Program &program) {
  const Output *logits = nullptr;
  for (const Output &output : program.outputs)
    if (output.name == "logits")
      logits = &output;
  if (!logits)
    return json.fail("outputs: expected one named 'logits'");
  program.logitsBuffer = logits->buffer;
  const Buffer &buffer = program.buffers[size_t(logits->buffer)];
  if (!isFloat(buffer.dtype) || buffer.shape.size() != 2 ||
      buffer.shape[0].asSymbol() != symbolHeadRows ||
      buffer.shape[1].asConstant() != program.model.vocabulary)
    json.fail(concat("buffers[", logits->buffer,
                     "]: expected logits of shape [\"head_rows\", ",
                     program.model.vocabulary, "] and a float dtype"));
}

void checkExtents(const JsonCursor &json, const Program &program) {
  const Limits &limits = program.limits;
  SymbolValues symbols =
      largestStep(limits.rows, limits.rows, limits.slots, limits.context);
  auto arena = program.arena.evaluate(symbols);
  if (!arena)
    return json.fail("arena: " + arena.status().message());
  if (*arena < 0)
    return json.fail(
        concat("arena: expected a size of at least 0, found ", *arena));
  for (const Buffer &buffer : program.buffers) {
    std::string where = "buffer " + quote(buffer.name) + ": ";
    auto bytes = evaluateBytes(buffer.shape, buffer.dtype, symbols);
    if (!bytes)
      return json.fail(where + bytes.status().message());
    auto offset = buffer.offset.evaluate(symbols);
    if (!offset)
      return json.fail(where + offset.status().message());
    if (*offset < 0 || *offset % bufferAlignment != 0)
      return json.fail(concat(where,
                              "expected an offset that is a multiple of ",
                              bufferAlignment, ", found ", *offset));
    auto end = checkedAdd(*offset, *bytes);
    if (!end || *end > *arena)
      return json.fail(concat(where, "expected it inside the arena of ", *arena,
                              " bytes, found [", *offset, ", ", *offset, " + ",
                              *bytes, ") at the limits"));
  }
  for (const State &state : program.states) {
    auto bytes = evaluateBytes(state.shape, state.dtype, symbols);
    if (!bytes)
      return json.fail("state " + quote(state.name) + ": " +
                       bytes.status().message());
  }
  for (size_t i = 0; i < program.dispatches.size(); ++i)
    for (const Variant &variant : program.dispatches[i].variants) {
      if (!variant.workspace)
        continue;
      auto place = placeWorkspace(program, variant, symbols, symbols, *arena);
      if (!place)
        return json.fail(
            concat("dispatches[", i, "]: ", place.status().message()));
    }
}

void checkNames(const JsonCursor &json, const Program &program) {
  std::set<std::string_view> seen;
  for (const StepField &field : program.step)
    if (!seen.insert(field.name).second)
      return json.fail("step: field " + quote(field.name) + " appears twice");
  seen.clear();
  std::set<std::pair<std::string_view, std::string_view>> targets;
  for (const Target &target : program.targets)
    if (!targets.emplace(target.name, target.isa).second)
      return json.fail("targets: " + quote(target.name) +
                       (target.isa.empty() ? "" : " for " + quote(target.isa)) +
                       " appears twice");
  seen.clear();
  for (const FileRecord &record : program.files)
    if (!seen.insert(record.file).second)
      return json.fail("files: " + quote(record.file) + " appears twice");
}

Program readProgram(const JsonCursor &json) {
  Program program;
  checkSchema(json);
  if (!json.ok()) // other versions may differ in everything below
    return program;
  program.producer = json.at("producer").text();
  program.model = parseModel(json.at("model"));
  program.plan = parsePlan(json.at("plan"));
  program.oracle = json.at("oracle").boolean();
  checkSymbols(json.at("symbols"));
  program.limits = parseLimits(json.at("limits"));
  if (json.has("files"))
    parseList(json.at("files"), program.files, parseFile);
  parseList(json.at("step"), program.step, parseStepField);
  parseList(json.at("weights"), program.weights, parseWeight);
  parseList(json.at("states"), program.states, parseState);
  program.arena = json.at("arena").expr(symbolNames);
  program.workspace = parseOptionalExpr(json.at("workspace"));
  parseList(json.at("buffers"), program.buffers, parseBuffer);
  parseList(json.at("outputs"), program.outputs, [&](const JsonCursor &entry) {
    return parseOutput(entry, program.buffers.size());
  });
  parseList(json.at("targets"), program.targets, parseTarget);
  for (const StepField &field : program.step)
    if (json.ok() && field.role == StepRole::Routes)
      program.routeColumns = *field.shape[1].asConstant();
  if (json.has("routes"))
    parseList(json.at("routes"), program.routes, [&](const JsonCursor &entry) {
      return parseRoute(entry, program);
    });
  if (json.ok())
    checkRoutes(json, program);
  parseList(
      json.at("dispatches"), program.dispatches,
      [&](const JsonCursor &entry) { return parseDispatch(entry, program); });
  if (json.has("fallbacks"))
    parseList(json.at("fallbacks"), program.fallbacks, parseFallback);
  if (json.ok())
    checkNames(json, program);
  if (json.ok())
    checkLogits(json, program);
  if (json.ok())
    checkExtents(json, program);
  return program;
}

} // namespace

std::string_view nameOf(Arithmetic arithmetic) {
  return arithmetic == Arithmetic::BF16 ? "bf16" : "f32";
}

SymbolValues largestStep(int64_t rows, int64_t headRows, int64_t slots,
                         int64_t context) {
  return {rows, headRows, slots, context, rows * context, slots * context};
}

std::string_view nameOf(DispatchKind kind) { return kindNames[size_t(kind)]; }

const FileRecord *Program::findFile(std::string_view file) const {
  for (const FileRecord &record : files)
    if (record.file == file)
      return &record;
  return nullptr;
}

Result<Program> parseProgram(std::string_view text) {
  auto json = parseJson(text);
  if (!json)
    return json.status();
  Status failure;
  Program program = readProgram(JsonCursor(*json, failure));
  if (!failure.ok())
    return failure;
  return program;
}

Result<int64_t> placeWorkspace(const Program &program, const Variant &variant,
                               const SymbolValues &capacity,
                               const SymbolValues &symbols,
                               int64_t arenaBytes) {
  if (!program.workspace)
    return invalidFile("a variant has a workspace, expected the program's "
                       "'workspace' to say where it lies, found null");
  auto offset = program.workspace->evaluate(capacity);
  auto bytes = variant.workspace->evaluate(symbols);
  for (const Status *status : {&offset.status(), &bytes.status()})
    if (!status->ok())
      return status->at("workspace");
  auto end = checkedAdd(*offset, *bytes);
  if (*offset < 0 || *offset % bufferAlignment != 0 || *bytes < 0 || !end ||
      *end > arenaBytes)
    return invalidFile(concat("workspace: expected an offset that is a "
                              "multiple of ",
                              bufferAlignment, " and ", *bytes,
                              " bytes inside the arena of ", arenaBytes,
                              " bytes, found offset ", *offset));
  return *offset;
}

Result<std::vector<int64_t>> evaluateShape(const std::vector<Expr> &shape,
                                           const SymbolValues &symbols) {
  std::vector<int64_t> extents;
  for (const Expr &extent : shape) {
    auto value = extent.evaluate(symbols);
    if (!value)
      return value.status();
    if (*value < 0)
      return invalidFile(
          concat("expected an extent of at least 0, found ", *value));
    extents.push_back(*value);
  }
  return extents;
}

Result<int64_t> evaluateBytes(const std::vector<Expr> &shape, DType dtype,
                              const SymbolValues &symbols) {
  auto extents = evaluateShape(shape, symbols);
  if (!extents)
    return extents.status();
  auto elements = checkedProduct(*extents);
  auto bytes = elements ? checkedMul(*elements, sizeOf(dtype)) : std::nullopt;
  if (!bytes)
    return invalidFile("size overflows 64 bits");
  return *bytes;
}

} // namespace coppice::rt
