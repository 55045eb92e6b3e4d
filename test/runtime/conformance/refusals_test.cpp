// What a session refuses: steps out of range, options, damaged files, code for
// another machine. Nothing may change where a step is refused.
#include "conformance.h"

#include "runtime/base/sha256.h"

#include <filesystem>
#include <limits>

namespace coppice::rt::test {
namespace {

struct BadStep {
  const char *name;
  std::vector<Row> rows;
  std::vector<int32_t> heads;
  std::vector<std::string> message;
};

TEST_P(Conformance, BadStepsAreRefusedAndChangeNothing) {
  open();
  feed({1, 2}, 0, 0); // slot 0 holds two tokens, slot 1 none
  std::vector<Row> tooMany(18, Row{1, 1, 0});
  const BadStep steps[] = {
      {"no rows", {}, {}, {"between 1 and 17 rows", "found 0"}},
      {"too many rows", tooMany, {}, {"between 1 and 17 rows", "found 18"}},
      {"token too large",
       {{7, 0, 2}},
       {},
       {"token id in [0, 7)", "found 7", "row 0"}},
      {"negative token", {{-1, 0, 2}}, {}, {"token id in [0, 7)", "found -1"}},
      {"slot too large", {{1, 3, 0}}, {}, {"slot in [0, 3)", "found 3"}},
      {"negative slot", {{1, -1, 0}}, {}, {"slot in [0, 3)", "found -1"}},
      {"beyond the context",
       {{1, 0, 11}},
       {},
       {"position in [0, 11)", "found 11"}},
      {"negative position",
       {{1, 0, -1}},
       {},
       {"position in [0, 11)", "found -1"}},
      {"gap after what the slot holds",
       {{1, 0, 3}},
       {},
       {"position 2 (slot 0 holds 2 tokens)", "found 3"}},
      {"rewrites what the slot holds",
       {{1, 0, 1}},
       {},
       {"position 2", "found 1"}},
      {"empty slot not at 0",
       {{1, 0, 2}, {1, 1, 1}},
       {},
       {"slot 1 holds 0 tokens", "row 1", "found 1"}},
      {"gap inside the step",
       {{1, 0, 2}, {1, 0, 4}},
       {},
       {"expected position 3 in row 1", "found 4"}},
      {"descending",
       {{1, 1, 0}, {1, 1, 1}, {1, 1, 0}},
       {},
       {"expected position 2 in row 2", "found 0"}},
      {"repeated",
       {{1, 0, 2}, {1, 0, 2}},
       {},
       {"expected position 3 in row 1", "found 2"}},
      {"head row too large",
       {{1, 0, 2}},
       {1},
       {"head rows in [0, 1)", "found 1"}},
      {"negative head row",
       {{1, 0, 2}},
       {-1},
       {"head rows in [0, 1)", "found -1"}},
      {"too many head rows",
       {{1, 0, 2}},
       std::vector<int32_t>(18, 0),
       {"between 0 and 17 head rows", "found 18"}},
  };
  for (const BadStep &step : steps) {
    SCOPED_TRACE(step.name);
    std::vector<float> logits;
    EXPECT_EQ(run(step.rows, step.heads, logits), COPPICE_INVALID_ARGUMENT);
    std::string message = coppice_last_error();
    for (const std::string &part : step.message)
      EXPECT_NE(message.find(part), std::string::npos) << message;
  }
  EXPECT_EQ(feed({6}, 0, 2), ToyReference().logits({1, 2, 6}));
}

TEST_P(Conformance, NullArgumentsAreRefused) {
  open();
  std::vector<int32_t> ones = {0};
  float logits[7];
  coppice_step step = {sizeof(step), 1, ones.data(), ones.data(),
                       ones.data(),  1, ones.data(), nullptr};
  auto refused = [&](coppice_step bad, float *out) {
    EXPECT_EQ(coppice_session_step(session.get(), &bad, out),
              COPPICE_INVALID_ARGUMENT);
    EXPECT_NE(std::string(coppice_last_error()).find("NULL"), std::string::npos)
        << coppice_last_error();
  };
  coppice_step bad = step;
  bad.tokens = nullptr;
  refused(bad, logits);
  bad = step;
  bad.head_rows = nullptr;
  refused(bad, logits);
  refused(step, nullptr);
  EXPECT_EQ(coppice_session_step(session.get(), nullptr, logits),
            COPPICE_INVALID_ARGUMENT);
  EXPECT_EQ(coppice_session_step(nullptr, &step, logits),
            COPPICE_INVALID_ARGUMENT);
  EXPECT_EQ(coppice_bundle_open(nullptr, nullptr), COPPICE_INVALID_ARGUMENT);
  bad = step;
  bad.struct_size = 0;
  EXPECT_EQ(coppice_session_step(session.get(), &bad, logits),
            COPPICE_INVALID_ARGUMENT);
}

TEST_P(Conformance, OptionsOutOfRangeAreRefused) {
  open();
  auto refused = [&](auto change, coppice_status code, const char *part) {
    coppice_session_options options = {};
    options.struct_size = sizeof(options);
    change(options);
    coppice_session *opened = nullptr;
    EXPECT_EQ(coppice_session_create(bundle.get(), &options, &opened), code);
    EXPECT_EQ(opened, nullptr);
    EXPECT_NE(std::string(coppice_last_error()).find(part), std::string::npos)
        << coppice_last_error();
  };
  using Options = coppice_session_options;
  refused([](Options &o) { o.max_rows = 18; }, COPPICE_INVALID_ARGUMENT,
          "max_rows");
  refused([](Options &o) { o.slots = -1; }, COPPICE_INVALID_ARGUMENT, "slots");
  refused([](Options &o) { o.context = 12; }, COPPICE_INVALID_ARGUMENT,
          "context");
  refused(
      [](Options &o) {
        o.max_rows = 3;
        o.max_head_rows = 4;
      },
      COPPICE_INVALID_ARGUMENT, "max_head_rows");
  refused([](Options &o) { o.threads = -1; }, COPPICE_INVALID_ARGUMENT,
          "thread count");
  refused([](Options &o) { o.target = "tpu"; }, COPPICE_INVALID_ARGUMENT,
          (std::string("targets (") + GetParam() + " with toy), found 'tpu'")
              .c_str());
}

TEST_P(Conformance, CodeIsCheckedBeforeItIsLoaded) {
  std::string path = directory / "toy.coppice/kernels.cpu.so";
  writeToyBundle(directory / "toy.coppice");
  std::string code = readBytes(path);
  writeBytes(path, code + "x");
  expectRefusedAsIs(COPPICE_INVALID_FILE,
                    {"kernels.cpu.so: expected", "bytes by program.json"});
  std::string damaged = code;
  damaged[damaged.size() / 2] ^= 1;
  writeBytes(path, damaged);
  expectRefusedAsIs(COPPICE_INVALID_FILE, {"kernels.cpu.so: expected sha256"});
  std::filesystem::remove(path);
  expectRefusedAsIs(COPPICE_IO_ERROR, {"kernels.cpu.so", "No such file"});
}

// The file would not even load: that no attempt is made shows in the status.
TEST_P(Conformance, CodeForAnotherCpuIsNotLoaded) {
  std::string junk = "not an ELF file";
  auto edit = [&](nlohmann::json &program) {
    auto &target = program["targets"][0];
    target["requires"] = {"avx1024f"};
    target["bytes"] = junk.size();
    target["sha256"] = sha256(junk);
  };
  writeToyBundle(directory / "toy.coppice", {}, edit);
  writeBytes(directory / "toy.coppice/kernels.cpu.so", junk);
  expectRefusedAsIs(COPPICE_UNSUPPORTED, {"CPU features", "avx1024f"});

  writeToyBundle(directory / "toy.coppice", {}, [&](nlohmann::json &program) {
    edit(program);
    program["targets"][0]["requires"] = nlohmann::json::array();
  });
  writeBytes(directory / "toy.coppice/kernels.cpu.so", junk);
  expectRefusedAsIs(COPPICE_INVALID_FILE, {"cannot load code"});
}

// Two files of code, of which this machine lacks the features for the first.
TEST_P(Conformance, TheFirstTargetThatRunsIsTaken) {
  auto twoTargets = [](nlohmann::json &program) {
    auto &targets = program["targets"];
    targets.push_back(targets[0]);
    targets[0]["isa"] = "future";
    targets[0]["requires"] = {"avx1024f"};
  };
  open({}, {}, twoTargets);
  coppice_session_info info = {};
  info.struct_size = sizeof(info);
  ASSERT_EQ(coppice_session_describe(session.get(), &info), COPPICE_OK);
  EXPECT_STREQ(info.isa, "toy");
  EXPECT_EQ(feed({3, 1}, 0, 0), ToyReference().logits({3, 1}));

  auto create = [&](const char *isa) {
    coppice_session_options options = {};
    options.struct_size = sizeof(options);
    options.isa = isa;
    coppice_session *made = nullptr;
    coppice_status status =
        coppice_session_create(bundle.get(), &options, &made);
    coppice_session_destroy(made);
    return status;
  };
  auto expectMessage = [](const std::string &word) {
    EXPECT_NE(std::string(coppice_last_error()).find(word), std::string::npos)
        << coppice_last_error();
  };
  EXPECT_EQ(create("toy"), COPPICE_OK);
  EXPECT_EQ(create("future"), COPPICE_UNSUPPORTED);
  std::string name = GetParam();
  expectMessage(name + " with future: target '" + name + "' needs ");
  expectMessage("avx1024f");
  EXPECT_EQ(create("other"), COPPICE_INVALID_ARGUMENT);
  expectMessage("(" + name + " with future, " + name +
                " with toy), found any with 'other'");

  expectRefused(COPPICE_INVALID_FILE, {"'cpu' for 'toy' appears twice"},
                [](nlohmann::json &program) {
                  program["targets"].push_back(program["targets"][0]);
                });
}

TEST_P(Conformance, UnknownDevicesAndKernelsAreRefused) {
  expectRefused(COPPICE_UNSUPPORTED, {"'tpu:v9'", "no such device"},
                [](nlohmann::json &program) {
                  program["targets"][0]["name"] = "tpu:v9";
                });
  expectRefused(COPPICE_UNSUPPORTED, {"no targets"},
                [](nlohmann::json &program) {
                  program["targets"] = nlohmann::json::array();
                });
  expectRefused(
      COPPICE_INVALID_FILE, {"kernel 'toy_nothing'"},
      [](nlohmann::json &program) {
        program["dispatches"][0]["variants"][0]["stages"][0]["kernel"] =
            "toy_nothing";
      });
}

TEST_P(Conformance, NonFiniteWeightsNeedPermission) {
  for (float poison : {std::numeric_limits<float>::quiet_NaN(),
                       -std::numeric_limits<float>::infinity()}) {
    ToyOptions toy;
    toy.poisoned = true;
    toy.poison = poison;
    expectRefused(COPPICE_INVALID_FILE,
                  {"'embed.weight'", "element 3", "--allow-nan"}, nullptr, toy);
    coppice_session_options options = {};
    options.allow_nan = 1;
    open(options, toy);
    std::vector<float> logits = feed({1}, 0, 0);
    EXPECT_EQ(logits.size(), 7u);
  }
}

TEST_P(Conformance, DamagedWeightsAreRefused) {
  writeToyBundle(directory / "toy.coppice");
  std::string path = directory / "toy.coppice/weights.safetensors";
  std::string bytes = readBytes(path);
  std::string damaged = bytes;
  damaged[damaged.size() - 70] ^= 1;
  writeBytes(path, damaged);
  expectRefusedAsIs(COPPICE_INVALID_FILE,
                    {"weights.safetensors: expected sha256"});
  writeBytes(path, bytes.substr(0, bytes.size() - 1));
  expectRefusedAsIs(COPPICE_INVALID_FILE, {"weights.safetensors"});
  writeBytes(path, bytes.substr(0, 5));
  expectRefusedAsIs(COPPICE_INVALID_FILE,
                    {"expected at least 8 bytes, found 5"});
}

TEST_P(Conformance, FilesThatHoldNoWeightsAreCheckedToo) {
  auto addTokenizer = [](nlohmann::json &program) {
    program["files"].push_back({{"file", "tokenizer.bin"},
                                {"bytes", 3},
                                {"sha256", sha256(std::string_view("abc"))}});
  };
  expectRefused(COPPICE_IO_ERROR, {"tokenizer.bin", "No such file"},
                addTokenizer);
  std::string path = directory / "toy.coppice/tokenizer.bin";
  writeBytes(path, "abcd");
  expectRefusedAsIs(
      COPPICE_INVALID_FILE,
      {"tokenizer.bin: expected 3 bytes by program.json, found 4"});
  writeBytes(path, "abc");
  open({}, {}, addTokenizer);
}

TEST_P(Conformance, FilesOutsideTheBundleAreNotOpened) {
  writeToyBundle(directory / "toy.coppice");
  for (const char *name :
       {"kernels.cpu.so", "weights.safetensors", "program.json"}) {
    std::string path = directory / "toy.coppice/" + name;
    std::string outside = directory / name;
    std::filesystem::rename(path, outside);
    std::filesystem::create_symlink(outside, path);
    expectRefusedAsIs(COPPICE_INVALID_FILE, {name, "symbolic link"});
    std::filesystem::remove(path);
    std::filesystem::rename(outside, path);
  }
}

} // namespace
} // namespace coppice::rt::test
