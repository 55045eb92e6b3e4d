// Reading program.json and opening bundles: each rule of docs/bundle.md that
// the reader enforces, by one damaged copy of the toy program.
#include "runtime/base/sha256.h"
#include "runtime/bundle/bundle.h"
#include "runtime/bundle/fallback_text.h"
#include "temporary_directory.h"
#include "toy_bundle.h"

#include <gtest/gtest.h>

namespace coppice::rt {
namespace {

using test::TemporaryDirectory;
using test::writeBytes;
using test::writeToyBundle;
using Json = nlohmann::json;

Json toyProgram(bool routed = false) {
  TemporaryDirectory directory;
  Json program;
  test::ToyOptions options;
  options.routed = routed;
  writeToyBundle(directory / "toy", options,
                 [&](Json &json) { program = json; });
  return program;
}

TEST(ProgramTest, ReadsEveryField) {
  auto program = parseProgram(toyProgram().dump());
  ASSERT_TRUE(program) << program.status().message();
  EXPECT_EQ(program->model.vocabulary, 7);
  EXPECT_EQ(program->model.bos, 1);
  EXPECT_EQ(program->limits.context, 11);
  EXPECT_EQ(program->files.at(0).file, "weights.safetensors");
  EXPECT_NE(program->findFile("weights.safetensors"), nullptr);
  EXPECT_EQ(program->findFile("tokenizer.bin"), nullptr);
  ASSERT_EQ(program->weights.size(), 4u);
  EXPECT_EQ(std::get<FileStorage>(program->weights[1].storage).key, "up");
  EXPECT_EQ(program->weights[1].shape, (std::vector<int64_t>{2, 5, 4}));
  EXPECT_EQ(program->weights[1].bytes, 160);
  const auto &generated =
      std::get<GeneratedStorage>(program->weights[3].storage);
  EXPECT_EQ(generated.seed, 42u);
  EXPECT_EQ(generated.kept.at(0).ranges,
            (std::vector<std::pair<int64_t, int64_t>>{{0, 2}, {3, 6}}));
  EXPECT_EQ(program->step[3].role, StepRole::HeadRows);
  EXPECT_EQ(program->logitsBuffer, 3);
  ASSERT_EQ(program->dispatches.size(), 8u);
  const Dispatch &append = program->dispatches[3];
  EXPECT_EQ(append.kind, DispatchKind::Append);
  EXPECT_EQ(append.group, "layers.0.attn");
  EXPECT_EQ(append.args[3].kind, ArgKind::State);
  EXPECT_EQ(append.writes, (std::vector<int64_t>{3}));
  EXPECT_FALSE(append.value);
  const Dispatch &head = program->dispatches[7];
  EXPECT_EQ(head.gemm->n, 7);
  EXPECT_TRUE(head.variants[0].guard);
  EXPECT_FALSE(head.variants[1].guard);
  EXPECT_EQ(head.group, "");
  SymbolValues symbols = {3, 2, 3, 11, 9, 9};
  EXPECT_EQ(*head.cost.flops.evaluate(symbols), 2 * 70);
  EXPECT_EQ(*evaluateBytes(program->states[0].shape, DType::F32, symbols),
            3 * 11 * 5 * 4);
}

struct BadProgram {
  const char *name;
  const char *pointer; // what to replace
  Json value;
  const char *message;
};

TEST(ProgramTest, ReadsRoutes) {
  auto program = parseProgram(toyProgram(/*routed=*/true).dump());
  ASSERT_TRUE(program) << program.status().message();
  EXPECT_EQ(program->step[4].role, StepRole::Routes);
  EXPECT_EQ(program->step[4].dtype, DType::I8);
  EXPECT_EQ(program->routeColumns, 2);
  ASSERT_EQ(program->routes.size(), 2u);
  const Route &route = program->routes[1];
  EXPECT_EQ(route.name, "layers.0.attn.route");
  EXPECT_EQ(route.scores, "layers.0.attn.router");
  EXPECT_EQ(route.buffer, 8);
  EXPECT_EQ(route.column, 0);
  EXPECT_EQ(route.groups, 1);
  EXPECT_EQ(route.expected, 0.25);
  EXPECT_EQ(program->dispatches[2].kind, DispatchKind::Route);
  EXPECT_EQ(program->dispatches[3].kind, DispatchKind::Compact);
  EXPECT_FALSE(program->dispatches[3].route);
  EXPECT_EQ(program->dispatches[4].route, 0);
  EXPECT_TRUE(program->dispatches[4].partial);
  EXPECT_EQ(program->dispatches[5].route, 0);
  EXPECT_FALSE(program->dispatches[5].partial);
  EXPECT_EQ(program->dispatches[9].route, 1);

  auto plain = parseProgram(toyProgram().dump());
  ASSERT_TRUE(plain);
  EXPECT_EQ(plain->routeColumns, 0);
  EXPECT_TRUE(plain->routes.empty());
}

TEST(ProgramTest, ReadsFallbacks) {
  Json json = toyProgram();
  json["fallbacks"] = {{{"site", "layers.0.mlp.down"},
                        {"group", 32},
                        {"expected", 0.9},
                        {"predicted_speedup", 0.89},
                        {"masked", true}}};
  auto program = parseProgram(json.dump());
  ASSERT_TRUE(program) << program.status().message();
  ASSERT_EQ(program->fallbacks.size(), 1u);
  EXPECT_EQ(program->fallbacks[0].site, "layers.0.mlp.down");
  EXPECT_EQ(program->fallbacks[0].group, 32);
  EXPECT_TRUE(program->fallbacks[0].masked);
  ASSERT_EQ(describeFallbacks(*program).size(), 1u);
  EXPECT_EQ(describeFallbacks(*program)[0],
            "layers.0.mlp.down: predicted 0.89x with groups of 32 and 90 % "
            "kept; runs dense and masked; larger groups or fewer kept rows "
            "would pay");
  EXPECT_TRUE(parseProgram(toyProgram().dump())->fallbacks.empty());

  const BadProgram list[] = {
      {"an object", "/fallbacks", Json::object(),
       "fallbacks: expected an array"},
      {"no site", "/fallbacks/0/site", 3,
       "fallbacks[0].site: expected a string"},
      {"negative group", "/fallbacks/0/group", -1,
       "fallbacks[0].group: expected an integer in [0"},
      {"expected above 1", "/fallbacks/0/expected", 1.5,
       "fallbacks[0].expected: expected a share in [0, 1]"},
      {"no gain", "/fallbacks/0/predicted_speedup", 0,
       "fallbacks[0].predicted_speedup: expected a number above 0"},
      {"masked is text", "/fallbacks/0/masked", "yes",
       "fallbacks[0].masked: expected true or false"},
  };
  for (const BadProgram &bad : list) {
    SCOPED_TRACE(bad.name);
    Json damaged = json;
    damaged[Json::json_pointer(bad.pointer)] = bad.value;
    auto parsed = parseProgram(damaged.dump());
    ASSERT_FALSE(parsed);
    EXPECT_NE(parsed.status().message().find(bad.message), std::string::npos)
        << parsed.status().message();
  }
}

TEST(ProgramTest, DescribesFallbacksOnceForAllThatAreAlike) {
  auto lines = describeFallbacks(
      {{"layers.0.mlp.up", 24, 0.5, 0.2, false},
       {"layers.1.mlp.up", 24, 0.5, 0.2, false},
       {"layers.0.mlp.down", 0, 0.98, 0.981, false}},
      {"layers.0.mlp.up", "layers.1.mlp.up", "layers.0.mlp.down", "lm_head"});
  ASSERT_EQ(lines.size(), 2u);
  EXPECT_EQ(lines[0], "layers.*.mlp.up: predicted 0.20x with groups of 24 and "
                      "50 % kept; runs dense; larger groups, of a multiple of "
                      "16, or fewer kept rows would pay");
  EXPECT_EQ(lines[1], "layers.0.mlp.down: predicted 0.98x with 2 % zeros; runs "
                      "dense; more zeros would pay");
}

// An oracle takes decisions and lists no routes; what names one then fails.
TEST(ProgramTest, RoutesMayBeAbsent) {
  Json program = toyProgram(/*routed=*/true);
  program.erase("routes");
  auto named = parseProgram(program.dump());
  ASSERT_FALSE(named);
  EXPECT_NE(named.status().message().find("the name of a route"),
            std::string::npos);
  for (Json &dispatch : program["dispatches"]) {
    dispatch.erase("route");
    dispatch.erase("partial");
  }
  auto parsed = parseProgram(program.dump());
  ASSERT_TRUE(parsed) << parsed.status().message();
  EXPECT_EQ(parsed->routeColumns, 2);
}

TEST(ProgramTest, DamagedRoutesAreRefused) {
  const Json good = toyProgram(/*routed=*/true);
  const BadProgram list[] = {
      {"field of i32", "/step/4/dtype", "i32",
       "step[4].dtype: expected \"i8\""},
      {"field of one extent",
       "/step/4/shape",
       {"rows"},
       "step[4].shape: expected [\"rows\", R]"},
      {"field of head rows",
       "/step/4/shape",
       {"head_rows", 2},
       "step[4].shape: expected [\"rows\", R]"},
      {"field without columns",
       "/step/4/shape",
       {"rows", 0},
       "step[4].shape: expected [\"rows\", R]"},
      {"field of symbolic columns",
       "/step/4/shape",
       {"rows", "slots"},
       "step[4].shape: expected [\"rows\", R]"},
      {"field of too many columns",
       "/step/4/shape",
       {"rows", int64_t(1) << 40},
       "step[4].shape: expected [\"rows\", R]"},
      {"routes are an object", "/routes", Json::object(),
       "routes: expected an array"},
      {"name is empty", "/routes/0/name", "",
       "routes[0].name: expected a name"},
      {"name twice", "/routes/0/name", "layers.0.attn.route",
       "'layers.0.attn.route' appears twice"},
      {"buffer of no index", "/routes/0/buffer", 9,
       "routes[0].buffer: expected an index below 9"},
      {"buffer of f32", "/routes/0/buffer", 4,
       "routes[0].buffer: expected a mask of dtype i8 and shape [\"rows\", 1], "
       "found buffer 'mlp.scores'"},
      {"buffer of another", "/routes/0/buffer", 8,
       "'layers.0.attn.route': expected a buffer of its own"},
      {"mask of i32", "/buffers/5/dtype", "i32",
       "routes[0].buffer: expected a mask"},
      {"mask of head rows", "/buffers/5/shape/0", "head_rows",
       "routes[0].buffer: expected a mask"},
      {"mask of two groups", "/buffers/5/shape/1", 2,
       "routes[0].buffer: expected a mask"},
      {"no groups", "/routes/0/groups", 0,
       "routes[0].groups: expected an integer in [1"},
      {"groups beyond the field", "/routes/0/groups", 2,
       "expected columns inside the 2 of the step field 'routes', found [1, "
       "3)"},
      {"huge groups", "/routes/0/groups", INT64_MAX, "routes[0].groups"},
      {"negative column", "/routes/0/column", -1, "routes[0].column"},
      {"column beyond the field", "/routes/0/column", 2,
       "expected columns inside the 2"},
      {"huge column", "/routes/0/column", INT64_MAX, "routes[0].column"},
      {"column of another", "/routes/0/column", 0,
       "column 0 is of both 'layers.0.mlp.route' and 'layers.0.attn.route'"},
      {"expected below 0", "/routes/0/expected", -0.25,
       "routes[0].expected: expected a share in [0, 1]"},
      {"expected above 1", "/routes/0/expected", 1.25,
       "routes[0].expected: expected a share in [0, 1]"},
      {"expected is text", "/routes/0/expected", "half",
       "routes[0].expected: expected a number"},
      {"scores are a number", "/routes/0/scores", 3,
       "routes[0].scores: expected a string"},
      {"route of a dispatch unknown", "/dispatches/4/route", "layers.1.mlp",
       "dispatches[4].route: expected the name of a route"},
      {"partial without a route", "/dispatches/4/route", nullptr,
       "dispatches[4].partial: expected a 'route' beside it"},
      {"partial is a number", "/dispatches/4/partial", 1,
       "dispatches[4].partial: expected true or false"},
      {"groups of no columns", "/routes/0/columns", 0,
       "routes[0].columns: expected an integer of at least 1"},
      {"margin is text", "/routes/0/margin", "wide",
       "routes[0].margin: expected a number"},
      {"top above 1", "/routes/0/top", 1.5,
       "routes[0].top: expected a share in [0, 1]"},
      {"passed is a number", "/dispatches/4/passed", 1,
       "dispatches[4].passed: expected true or false"},
      {"passed without a route", "/dispatches/0/passed", true,
       "dispatches[0].passed: expected a 'route' beside it"},
      {"zeros above 1", "/dispatches/0/zeros", 1.5,
       "dispatches[0].zeros: expected a share in [0, 1]"},
  };
  for (const BadProgram &bad : list) {
    SCOPED_TRACE(bad.name);
    Json program = good;
    program[Json::json_pointer(bad.pointer)] = bad.value;
    auto parsed = parseProgram(program.dump());
    ASSERT_FALSE(parsed);
    EXPECT_EQ(parsed.status().code(), COPPICE_INVALID_FILE);
    EXPECT_NE(parsed.status().message().find(bad.message), std::string::npos)
        << parsed.status().message();
  }
  Json program = good; // routes without the field that overrules them
  program["step"].erase(4);
  EXPECT_FALSE(parseProgram(program.dump()));
  for (const char *key :
       {"name", "buffer", "column", "groups", "expected", "scores"}) {
    program = good;
    program["routes"][0].erase(key);
    EXPECT_FALSE(parseProgram(program.dump())) << key;
  }
}

TEST(ProgramTest, UnknownKeysAreIgnored) {
  Json program = toyProgram();
  program["later"] = {1, 2, 3};
  program["dispatches"][0]["later"] = "x";
  EXPECT_TRUE(parseProgram(program.dump()));
  program.erase("files"); // optional
  EXPECT_TRUE(parseProgram(program.dump()));
}

const std::vector<BadProgram> &badPrograms() {
  static const std::vector<BadProgram> list = {
      {"newer schema", "/schema", "coppice.program/3",
       "expected schema 'coppice.program/2', found 'coppice.program/3'"},
      {"schema is a number", "/schema", 1,
       "schema: expected a string, found '1'"},
      {"no vocabulary", "/model/vocabulary", 0,
       "model.vocabulary: expected an integer in [1, "},
      {"vocabulary is text", "/model/vocabulary", "7",
       "model.vocabulary: expected an integer"},
      {"bos below -1", "/model/bos", -2, "model.bos"},
      {"bos that the vocabulary lacks", "/model/bos", 1 << 20, "model.bos"},
      {"eos that the vocabulary lacks", "/model/eos", 1 << 20, "model.eos"},
      {"sparsity is text", "/plan/sparsity", "half",
       "plan.sparsity: expected a number"},
      {"oracle is a number", "/oracle", 1, "oracle: expected true or false"},
      {"other symbols", "/symbols/0", "tokens", "symbols: expected [\"rows\""},
      {"too few symbols", "/symbols", Json::array(),
       "symbols: expected [\"rows\""},
      {"no rows", "/limits/rows", 0, "limits.rows: expected an integer in [1"},
      {"huge limits", "/limits/context", int64_t(1) << 40, "limits.context"},
      {"limit over 64 bits", "/limits/slots", UINT64_MAX, "limits.slots"},
      {"file outside", "/files/0/file", "../weights.safetensors",
       "files[0].file: expected a file name inside the bundle"},
      {"file size negative", "/files/0/bytes", -1, "files[0].bytes"},
      {"file hash short", "/files/0/sha256", "abc",
       "files[0].sha256: expected 64 lower-case"},
      {"step field unknown", "/step/1/name", "lengths",
       "step[1].name: expected one of tokens"},
      {"step field twice", "/step/1/name", "tokens",
       "field 'tokens' appears twice"},
      {"step field f32", "/step/0/dtype", "f32",
       "step[0].dtype: expected \"i32\""},
      {"step field of other extent",
       "/step/0/shape",
       {"slots"},
       "step[0].shape: expected [\"rows\"]"},
      {"weight dtype unknown", "/weights/0/dtype", "f33",
       "weights[0].dtype: expected a dtype"},
      {"weight shape symbolic", "/weights/0/shape/0", "rows",
       "weights[0].shape[0]: expected an integer"},
      {"weight shape overflows",
       "/weights/0/shape",
       {int64_t(1) << 40, int64_t(1) << 40},
       "weights[0].shape: size overflows"},
      {"weight in another folder", "/weights/0/storage/file", "a/w.safetensors",
       "weights[0].storage.file: expected a file name"},
      {"weight with NUL in its file", "/weights/0/storage/file",
       std::string("a\0b", 3), "weights[0].storage.file: expected a file name"},
      {"weight without storage", "/weights/0/storage", 3,
       "weights[0].storage: expected an object"},
      {"generated: negative seed", "/weights/3/storage/generated/seed", -1,
       "generated.seed: expected an integer of at least 0"},
      {"generated: kept beyond",
       "/weights/3/storage/generated/kept",
       {{0, {{0, 7}}}},
       "kept ranges in [0, 6)"},
      {"generated: kept on no axis",
       "/weights/3/storage/generated/kept",
       {{1, {{0, 1}}}},
       "kept axis below 1"},
      {"generated: kept malformed",
       "/weights/3/storage/generated/kept",
       {{0}},
       "kept[0]: expected [axis, ranges]"},
      {"generated: other shape",
       "/weights/3/shape",
       {6},
       "do not make the weight's shape"},
      {"generated: unknown packing", "/weights/3/storage/generated/packing",
       "tiles", "expected \"rows\" or {\"panels\": P, \"depth\": D}"},
      {"generated: panels of a vector",
       "/weights/3/storage/generated/packing",
       {{"panels", 4}, {"depth", 1}},
       "expected two axes"},
      {"generated: panels of 0",
       "/weights/3/storage/generated/packing",
       {{"panels", 0}, {"depth", 1}},
       "packing.panels: expected an integer in [1"},
      {"generated: integers", "/weights/3/dtype", "i32", "float dtype"},
      {"state over rows", "/states/0/shape/0", "rows",
       "states[0].shape: a state's extents are over slots and context"},
      {"state overflows", "/states/0/shape/2", int64_t(1) << 60,
       "state 'layers.0.k': size overflows"},
      {"state of negative extent", "/states/0/shape/2", -1,
       "state 'layers.0.k': expected an extent of at least 0"},
      {"arena of unknown symbol",
       "/arena",
       {"*", "row", 4},
       "arena: expected a symbol"},
      {"arena negative", "/arena", -64, "arena: expected a size of at least 0"},
      {"arena too small", "/arena", 64,
       "expected it inside the arena of 64 bytes"},
      {"buffer at an odd offset", "/buffers/0/offset", 4,
       "buffer 'x': expected an offset that is a multiple of 64, found 4"},
      {"buffer at a negative offset", "/buffers/0/offset", -64,
       "buffer 'x': expected an offset"},
      {"buffer beyond the arena", "/buffers/0/offset", int64_t(1) << 62,
       "buffer 'x': expected it inside the arena"},
      {"buffer offset divides by zero",
       "/buffers/0/offset",
       {"mod", 64, 0},
       "buffer 'x': expression divides by 0"},
      {"buffer shape overflows",
       "/buffers/0/shape",
       {int64_t(1) << 62, "rows"},
       "buffer 'x': size overflows"},
      {"buffer extent overflows",
       "/buffers/0/shape/1",
       {"*", int64_t(1) << 62, "rows"},
       "buffer 'x': expression overflows"},
      {"buffer of rank 9",
       "/buffers/0/shape",
       {1, 1, 1, 1, 1, 1, 1, 1, 1},
       "at most 8 extents"},
      {"no logits", "/outputs/0/name", "hidden", "expected one named 'logits'"},
      {"output of no buffer", "/outputs/0/buffer", 4,
       "outputs[0].buffer: expected an index below 4, found '4'"},
      {"logits of another shape", "/outputs/0/buffer", 0,
       "expected logits of shape [\"head_rows\", 7]"},
      {"logits are integers", "/buffers/3/dtype", "i32",
       "expected logits of shape"},
      {"isa is a number", "/targets/0/isa", 512,
       "targets[0].isa: expected a string"},
      {"code outside", "/targets/0/file", "../kernels.so",
       "targets[0].file: expected a file name"},
      {"code is the folder", "/targets/0/file", "..",
       "targets[0].file: expected a file name"},
      {"code without a name", "/targets/0/file", "",
       "targets[0].file: expected a file name"},
      {"code hash in capitals", "/targets/0/sha256", std::string(64, 'A'),
       "targets[0].sha256"},
      {"empty code", "/targets/0/bytes", 0, "targets[0].bytes"},
      {"features are numbers",
       "/targets/0/requires",
       {1},
       "targets[0].requires[0]: expected a string"},
      {"dispatches are an object", "/dispatches", Json::object(),
       "dispatches: expected an array, found an object"},
      {"unknown kind", "/dispatches/1/kind", "conv",
       "dispatches[1].kind: expected a dispatch kind, found"},
      {"arg of no kind", "/dispatches/1/args/0", Json::object(),
       "dispatches[1].args[0]: expected one of buffer, weight"},
      {"arg of no buffer",
       "/dispatches/1/args/0",
       {{"buffer", 4}},
       "dispatches[1].args[0].buffer: expected an index below 4"},
      {"arg of no weight",
       "/dispatches/1/args/1",
       {{"weight", -1}},
       "args[1].weight: expected an index below 4"},
      {"arg of no state",
       "/dispatches/3/args/3",
       {{"state", 1}},
       "args[3].state: expected an index below 1"},
      {"arg of no step field",
       "/dispatches/3/args/1",
       {{"step", 4}},
       "args[1].step: expected an index below 4"},
      {"writes nothing", "/dispatches/1/writes", Json::array(),
       "writes: expected at least one"},
      {"writes no arg",
       "/dispatches/1/writes",
       {3},
       "writes[0]: expected an index below 3"},
      {"writes a weight",
       "/dispatches/1/writes",
       {1},
       "only buffers and states can be written"},
      {"writes the step",
       "/dispatches/0/writes",
       {0},
       "only buffers and states can be written"},
      {"no variants", "/dispatches/1/variants", Json::array(),
       "variants: expected at least one"},
      {"guard is a string", "/dispatches/1/variants/0/guard", "always",
       "variants[0].guard: expected a symbol"},
      {"no stages", "/dispatches/1/variants/0/stages", Json::array(),
       "variants[0].stages: expected at least one"},
      {"grid is fractional", "/dispatches/1/variants/0/stages/0/grid", 1.5,
       "variants[0].stages[0].grid: expected an integer"},
      {"workspace of unknown symbol", "/dispatches/4/variants/0/workspace",
       "row", "variants[0].workspace: expected a symbol"},
      {"workspace in no place", "/workspace", nullptr,
       "dispatches[4]: a variant has a workspace, expected the program's "
       "'workspace'"},
      {"workspace at an odd offset", "/workspace", 4,
       "dispatches[4]: workspace: expected an offset that is a multiple of "
       "64"},
      {"workspace beyond the arena", "/dispatches/4/variants/0/workspace",
       int64_t(1) << 40, "dispatches[4]: workspace: expected"},
      {"workspace of negative size", "/dispatches/4/variants/0/workspace", -8,
       "dispatches[4]: workspace: expected"},
      {"gemm without extents", "/dispatches/1/gemm", nullptr,
       "missing key 'gemm'"},
      {"gemm of negative width", "/dispatches/1/gemm/n", -1,
       "gemm.n: expected an integer of at least 0"},
      {"value is a number", "/dispatches/1/value", 3,
       "value: expected a string"},
      {"kept is a number", "/dispatches/1/kept", 3, "kept: expected an array"},
      {"cost is missing a part",
       "/dispatches/1/cost",
       {{"flops", 1}},
       "cost: missing key 'weight_bytes'"},
      {"arithmetic is unknown",
       "/dispatches/1/cost",
       {{"flops", 1},
        {"weight_bytes", 1},
        {"read_bytes", 1},
        {"write_bytes", 1},
        {"arithmetic", "f8"}},
       "cost.arithmetic: expected f32 or bf16"},
      {"less is executed than counts",
       "/dispatches/1/cost",
       {{"flops", 1},
        {"weight_bytes", 1},
        {"read_bytes", 1},
        {"write_bytes", 1},
        {"executed_per_flop", 0}},
       "cost.executed_per_flop: expected an integer in [1, 64], found '0'"},
  };
  return list;
}

TEST(ProgramTest, DamagedProgramsAreRefused) {
  const Json good = toyProgram();
  for (const BadProgram &bad : badPrograms()) {
    SCOPED_TRACE(bad.name);
    Json program = good;
    Json::json_pointer pointer(bad.pointer);
    ASSERT_TRUE(program.contains(pointer));
    program[pointer] = bad.value;
    auto parsed = parseProgram(program.dump());
    ASSERT_FALSE(parsed);
    EXPECT_EQ(parsed.status().code(), COPPICE_INVALID_FILE);
    EXPECT_NE(parsed.status().message().find(bad.message), std::string::npos)
        << parsed.status().message();
  }
}

// Every key that the toy program has, but for those that may be missing.
void collectKeys(const Json &value, const Json::json_pointer &at,
                 std::vector<Json::json_pointer> &keys) {
  if (value.is_object())
    for (const auto &[key, member] : value.items()) {
      keys.push_back(at / key);
      collectKeys(member, at / key, keys);
    }
  if (value.is_array())
    for (size_t i = 0; i < value.size(); ++i)
      collectKeys(value[i], at / i, keys);
}

TEST(ProgramTest, EveryOtherKeyIsRequired) {
  const Json good = toyProgram();
  std::vector<Json::json_pointer> keys;
  collectKeys(good, Json::json_pointer(), keys);
  ASSERT_GT(keys.size(), 200u);
  for (const auto &key : keys) {
    if (key.to_string() == "/files" || key.back() == "kept")
      continue;
    Json program = good;
    program[key.parent_pointer()].erase(key.back());
    EXPECT_FALSE(parseProgram(program.dump())) << key.to_string();
    // And a null in its place is an error where the format does not name it.
    if (key.back() == "group" || key.back() == "guard" ||
        key.back() == "value" || key.back() == "isa" ||
        (key.back() == "workspace" && key.to_string() != "/workspace"))
      continue;
    program = good;
    program[key] = nullptr;
    EXPECT_FALSE(parseProgram(program.dump())) << key.to_string();
  }
}

TEST(ProgramTest, MalformedTextIsRefused) {
  std::string good = toyProgram().dump();
  auto messageOf = [](const std::string &text) {
    auto program = parseProgram(text);
    EXPECT_FALSE(program);
    return program.status().message();
  };
  EXPECT_NE(messageOf("").find("not valid JSON"), std::string::npos);
  EXPECT_NE(messageOf("[]").find("expected an object"), std::string::npos);
  EXPECT_NE(messageOf("{\"oracle\": true, " + good.substr(1))
                .find("'oracle' appears twice"),
            std::string::npos);
  EXPECT_NE(
      messageOf("{\"x\": " + std::string(100000, '[')).find("levels deep"),
      std::string::npos);
  EXPECT_NE(messageOf(good + "x").find("not valid JSON"), std::string::npos);
  for (size_t size = 0; size < good.size(); size += 97)
    EXPECT_FALSE(parseProgram(good.substr(0, size))) << size;
}

TEST(BundleTest, OpensAndNamesItself) {
  TemporaryDirectory directory;
  writeToyBundle(directory / "toy.coppice");
  auto bundle = Bundle::open(directory / "toy.coppice///");
  ASSERT_TRUE(bundle) << bundle.status().message();
  EXPECT_EQ(bundle->storedWeight(0).size(), 140u);
  EXPECT_TRUE(bundle->storedWeight(3).empty());
  std::vector<Bundle::HashedPart> parts = bundle->hashedParts();
  ASSERT_EQ(parts.size(), 1u);
  EXPECT_TRUE(parts[0].holds());
  EXPECT_EQ(bundleSha256(*bundle),
            sha256(test::readBytes(directory / "toy.coppice/program.json")));
  EXPECT_TRUE(isBundle(directory / "toy.coppice"));
  EXPECT_FALSE(isBundle(directory.path()));
  EXPECT_FALSE(isBundle(directory / "toy.coppice/program.json"));
}

TEST(BundleTest, PlacesThatAreNoBundlesAreRefused) {
  TemporaryDirectory directory;
  EXPECT_EQ(Bundle::open(directory / "missing").status().code(),
            COPPICE_IO_ERROR);
  EXPECT_EQ(Bundle::open(directory.path()).status().code(), COPPICE_IO_ERROR);
  writeBytes(directory / "file", "{}");
  auto file = Bundle::open(directory / "file");
  EXPECT_EQ(file.status().code(), COPPICE_INVALID_FILE);
  EXPECT_NE(file.status().message().find("which is a directory"),
            std::string::npos);
}

TEST(BundleTest, WeightsMustBeWhatTheProgramSays) {
  TemporaryDirectory directory;
  auto refused = [&](const std::function<void(Json &)> &edit,
                     const char *part) {
    writeToyBundle(directory / "toy.coppice", {}, edit);
    auto bundle = Bundle::open(directory / "toy.coppice");
    ASSERT_FALSE(bundle);
    EXPECT_EQ(bundle.status().code(), COPPICE_INVALID_FILE);
    EXPECT_NE(bundle.status().message().find(part), std::string::npos)
        << bundle.status().message();
  };
  refused([](Json &p) { p["weights"][0]["storage"]["key"] = "head"; },
          "tensor 'head': no such tensor");
  refused([](Json &p) { p["weights"][0]["shape"] = {5, 7}; },
          "tensor 'embed': expected f32 [5, 7], found f32 [7, 5]");
  refused([](Json &p) { p["weights"][2]["dtype"] = "f32"; },
          "tensor 'vocabulary': expected f32 [1], found i32 [1]");
  refused([](Json &p) { p["files"][0]["bytes"] = 1; },
          "weights.safetensors: expected 1 bytes by program.json");
}

// Pieces of a weight file are checked one by one; what is wrong is named.
TEST(BundleTest, PiecesOfAWeightFileHaveHashesOfTheirOwn) {
  TemporaryDirectory directory;
  std::string path = directory / "toy.coppice";
  test::ToyOptions options;
  options.vocabulary = 701; // 14020 bytes and more: four pieces
  auto write = [&](const std::function<void(Json &)> &edit) {
    writeToyBundle(path, options, [&](Json &p) {
      std::string bytes = test::readBytes(path + "/weights.safetensors");
      Json hashes = Json::array();
      for (size_t at = 0; at < bytes.size(); at += 4096)
        hashes.push_back(sha256(bytes.substr(at, 4096)));
      p["files"][0].erase("sha256");
      p["files"][0]["pieces"] = {{"bytes", 4096}, {"sha256", hashes}};
      edit(p);
    });
    return Bundle::open(path);
  };
  auto bundle = write([](Json &) {});
  ASSERT_TRUE(bundle) << bundle.status().message();
  std::vector<Bundle::HashedPart> parts = bundle->hashedParts();
  ASSERT_EQ(parts.size(), 4u);
  for (const Bundle::HashedPart &part : parts)
    EXPECT_TRUE(part.holds());

  bundle = write([](Json &p) {
    p["files"][0]["pieces"]["sha256"][2] = std::string(64, '0');
  });
  ASSERT_TRUE(bundle);
  parts = bundle->hashedParts();
  EXPECT_TRUE(parts[1].holds());
  EXPECT_FALSE(parts[2].holds());
  std::string message = bundle->hashFailure(parts[2]).message();
  EXPECT_NE(message.find("expected sha256 000"), std::string::npos);
  EXPECT_NE(message.find("of bytes 8192 to 12288"), std::string::npos)
      << message;

  auto refused = [&](const std::function<void(Json &)> &edit,
                     const char *part) {
    auto opened = write(edit);
    ASSERT_FALSE(opened);
    EXPECT_NE(opened.status().message().find(part), std::string::npos)
        << opened.status().message();
  };
  refused([](Json &p) { p["files"][0]["pieces"]["sha256"].erase(1); },
          "expected the hashes of 4 pieces, found 3");
  refused([](Json &p) { p["files"][0]["pieces"]["bytes"] = 64; }, "4096");
  refused([](Json &p) { p["files"][0]["sha256"] = std::string(64, '0'); },
          "either sha256 or pieces");
  refused([](Json &p) { p["files"][0]["pieces"]["sha256"][0] = "no hash"; },
          "sha256");
}

// safetensors itself does not align; kernels need it.
TEST(BundleTest, UnalignedWeightsAreRefused) {
  TemporaryDirectory directory;
  writeToyBundle(directory / "toy.coppice", {},
                 [](Json &p) { p.erase("files"); });
  std::string path = directory / "toy.coppice/weights.safetensors";
  std::string file = test::readBytes(path);
  uint64_t length = 0;
  std::memcpy(&length, file.data(), 8);
  file.insert(8 + length, 4, ' '); // spaces may end a header
  length += 4;
  std::memcpy(file.data(), &length, 8);
  writeBytes(path, file);
  auto bundle = Bundle::open(directory / "toy.coppice");
  ASSERT_FALSE(bundle);
  EXPECT_NE(bundle.status().message().find("multiple of 64 bytes"),
            std::string::npos)
      << bundle.status().message();
}

} // namespace
} // namespace coppice::rt
