// coppice-run from outside: exit codes, what goes where, what is left behind.
#include "runtime/base/sha256.h"

#include "temporary_directory.h"
#include "tokenizer_file.h"
#include "toy_bundle.h"

#include <cstring>
#include <filesystem>
#include <gtest/gtest.h>
#include <sys/wait.h>

using namespace coppice::rt;
using namespace coppice::rt::test;
using Json = nlohmann::json;

namespace {

struct Outcome {
  int code;
  std::string out, err;
};

struct Cli : testing::Test {
  TemporaryDirectory directory;
  ToyOptions options{263, 11, 3, 17};
  std::string bundle = directory / "toy.coppice";

  void SetUp() override {
    writeToyBundle(bundle, options);
    writeBytes(bundle + "/tokenizer.bin",
               tokenizerFile({{" ", -1}, {"a", -1}, {"b", -1}, {"ab", -1}}));
  }

  /// `arguments` are words of a shell.
  Outcome run(const std::string &arguments, const std::string &out = "") {
    std::string stdoutFile = out.empty() ? directory / "stdout" : out;
    std::string command = "XDG_CACHE_HOME=" + directory / "cache" +
                          " '" COPPICE_RUN "' " + arguments + " > " +
                          stdoutFile + " 2> " + (directory / "stderr") +
                          " < /dev/null";
    int status = std::system(command.c_str());
    Outcome outcome{WIFEXITED(status) ? WEXITSTATUS(status) : -1,
                    out.empty() ? readBytes(stdoutFile) : "",
                    readBytes(directory / "stderr")};
    return outcome;
  }

  void expectError(int code, const std::string &arguments,
                   const std::string &word) {
    Outcome outcome = run(arguments);
    EXPECT_EQ(outcome.code, code) << arguments << "\n" << outcome.err;
    EXPECT_NE(outcome.err.find(word), std::string::npos) << arguments << "\n"
                                                         << outcome.err;
    EXPECT_EQ(outcome.out, "") << arguments;
  }

  /// A machine that is never probed for.
  std::string machineFile() {
    std::string path = directory / "machine.json";
    writeBytes(
        path,
        R"({"schema":"coppice.machine/2","host":"h","cpu":"c",)"
        R"("isa":"i","date":"d","origin":"o","cache_bytes":65536,)"
        R"("caches":[],"threads":[{"threads":1,"best":{"f32_flops_per_s":1e15,)"
        R"("dram_read_bytes_per_s":1e15},"l3_read_bytes_per_s":1e15,)"
        R"("dispatch_s":0}],"curves":[]})");
    return path;
  }
};

} // namespace

TEST_F(Cli, HelpIsDataAndExitsWithZero) {
  for (std::string words : {"--help", "info --help", "logits --help",
                            "generate --help", "nll --help", "bench --help",
                            "probe --help", "verify --help", "--version"}) {
    Outcome outcome = run(words);
    EXPECT_EQ(outcome.code, 0) << words;
    EXPECT_NE(outcome.out, "") << words;
    EXPECT_EQ(outcome.err, "") << words;
  }
}

TEST_F(Cli, WrongUsageExitsWithTwo) {
  expectError(2, "", "subcommand");
  expectError(2, "frobnicate", "frobnicate");
  expectError(2, "info", "bundle");
  expectError(2, "info " + bundle + " --frobnicate", "frobnicate");
  expectError(2, "logits " + bundle + " -o x", "tokens");
  expectError(2, "logits " + bundle + " --tokens 1,x -o x", "tokens");
  expectError(2, "logits " + bundle + " --tokens 99999999999 -o x", "tokens");
  expectError(2, "logits " + bundle + " --tokens '' -o x", "tokens");
  expectError(2, "logits " + bundle + " --tokens 1,,2 -o x", "tokens");
  expectError(2, "logits " + bundle + " --tokens 1, -o x", "tokens");
  expectError(2, "generate " + bundle + " --tokens-in '' --ids", "tokens-in");
  expectError(2, "generate " + bundle, "--prompt");
  expectError(2, "generate " + bundle + " --prompt a --tokens-in 1",
              "--prompt");
  expectError(2, "generate " + bundle + " --prompt a --greedy --seed 3",
              "--greedy");
  expectError(2, "generate " + bundle + " --prompt a --tokens 0", "tokens");
  expectError(2, "generate " + bundle + " --tokens-in 1 --parse-special",
              "--prompt");
  expectError(2, "generate " + bundle + " --prompt a --top-p 1.5", "top-p");
  expectError(2, "generate " + bundle + " --prompt a --threads 0", "threads");
  for (std::string seed : {"18446744073709551616", "-1", "1.5", "x", "''"}) {
    expectError(2, "generate " + bundle + " --prompt a --seed " + seed, "seed");
    expectError(2, "bench " + bundle + " --seed " + seed, "seed");
  }
  expectError(2, "nll " + bundle + " --text x --window 4", "stride");
  expectError(2, "bench " + bundle + " --phase both", "phase");
  expectError(2, "bench " + bundle + " --batch 0", "batch");
  expectError(2, "probe --threads -1", "threads");
  expectError(2, "verify " + bundle, "oracle");
  expectError(2, "verify " + bundle + " " + bundle + " --batch 0", "batch");
  expectError(2, "verify " + bundle + " " + bundle + " --seed -1", "seed");
}

TEST_F(Cli, BadInputExitsWithOneAndNamesIt) {
  for (std::string words :
       {"info nowhere", "logits nowhere --tokens 1 -o x.npy",
        "generate nowhere --prompt a", "bench nowhere --machine M"}) {
    size_t machine = words.find(" M");
    if (machine != std::string::npos)
      words.replace(machine, 2, " " + machineFile());
    expectError(1, words, "nowhere");
  }
  expectError(1, "verify nowhere " + bundle, "nowhere");
  expectError(1, "verify " + bundle + " nowhere --seq 5", "nowhere");
  expectError(1, "nll " + bundle + " --text nowhere.txt", "nowhere.txt");
  expectError(1, "bench " + bundle + " --machine nowhere.json", "nowhere.json");
  expectError(1, "generate " + bundle + " --prompt a --target gpu", "gpu");
  expectError(1, "generate " + bundle + " --prompt a --pin --threads 4096",
              "affinity mask");
  expectError(1, "generate " + bundle + " --prompt a --tokenizer nowhere.bin",
              "nowhere.bin");
  // Passed on: this kind of tokenizer has none to parse.
  expectError(1, "generate " + bundle + " --prompt a --parse-special",
              "--prompt: a llama2.c tokenizer does not say");
  writeBytes(bundle + "/tokenizer.bin", "not one");
  expectError(1, "generate " + bundle + " --prompt a", "tokenizer.bin");
  // As long as program.json says, but another file.
  writeToyBundle(bundle, options, [](nlohmann::json &program) {
    program["files"].push_back({{"file", "tokenizer.bin"},
                                {"bytes", 7},
                                {"sha256", std::string(64, '0')}});
  });
  expectError(1, "generate " + bundle + " --prompt a",
              "tokenizer.bin: expected sha256 0000");
  writeToyBundle(bundle, options);
  std::filesystem::remove(bundle + "/tokenizer.bin");
  expectError(1, "generate " + bundle + " --prompt a", "--tokenizer");
  expectError(1,
              "logits " + bundle + " --tokens 1 --disable layers.9.mlp -o " +
                  directory / "x.npy",
              "layers.9.mlp");
  writeBytes(bundle + "/program.json", "{}");
  expectError(1, "info " + bundle, "schema");
}

TEST_F(Cli, InfoNeedsNoCode) {
  std::filesystem::remove(bundle + "/kernels.cpu.so");
  Outcome outcome = run("info " + bundle);
  EXPECT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_NE(outcome.out.find("toy_gemm"), std::string::npos);
  EXPECT_NE(outcome.out.find("cpu with toy: kernels.cpu.so"),
            std::string::npos);
  EXPECT_NE(outcome.out.find("runs here: taken"), std::string::npos);

  outcome = run("info " + bundle + " --json - --slots 1 --rows 2 --context 5");
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  Json info = Json::parse(outcome.out);
  EXPECT_EQ(info["bundle_sha256"], sha256(readBytes(bundle + "/program.json")));
  // 5 tokens of 5 floats, rounded up to 64 bytes.
  EXPECT_EQ(info["memory"]["state_bytes"], 128);
  EXPECT_EQ(info["dispatches"]["gemm"], 2);
  EXPECT_EQ(info["targets"][0]["isa"], "toy");
  EXPECT_EQ(info["targets"][0]["taken"], true);
  // A prompt's length makes the request that bench makes: 2 x 4 rows, the last
  // of each with logits.
  outcome = run("info " + bundle + " --json - --batch 2 --seq 4");
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  Json memory = Json::parse(outcome.out)["memory"];
  EXPECT_EQ(memory["context"], 5);
  EXPECT_EQ(memory["rows"], 8);
  EXPECT_EQ(memory["head_rows"], 2);
  EXPECT_EQ(memory["state_bytes"], 256); // 2 x 5 x 5 floats, rounded up
  EXPECT_EQ(memory["total_bytes"], memory["weight_bytes"].get<int64_t>() +
                                       memory["state_bytes"].get<int64_t>() +
                                       memory["arena_bytes"].get<int64_t>() +
                                       memory["step_bytes"].get<int64_t>());
  writeToyBundle(bundle, options);
  outcome = run("bench " + bundle + " --machine " + machineFile() +
                " --phase decode --batch 2 --seq 4 --max-repeats 2 --json -");
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_EQ(Json::parse(outcome.out)["memory_bytes"], memory["total_bytes"]);
  expectError(1, "info " + bundle + " --slots 4", "slots");
}

TEST_F(Cli, LogitsAreThoseOfTheReference) {
  std::string file = directory / "x.npy";
  auto rowsOf = [&](const std::string &flags) {
    Outcome outcome =
        run("logits " + bundle + " --tokens 1,260,7 -o " + file + flags);
    EXPECT_EQ(outcome.code, 0) << outcome.err;
    EXPECT_EQ(outcome.out, "");
    std::string bytes = readBytes(file);
    size_t header = (bytes.find('\n') + 1);
    std::vector<float> values((bytes.size() - header) / 4);
    std::memcpy(values.data(), bytes.data() + header, values.size() * 4);
    return values;
  };
  ToyReference model(options);
  EXPECT_EQ(rowsOf(""), model.logits({1, 260, 7}));
  std::vector<float> all = rowsOf(" --all");
  ASSERT_EQ(all.size(), 3u * 263);
  EXPECT_EQ(std::vector<float>(all.begin() + 263, all.begin() + 526),
            model.logits({1, 260}));
}

TEST_F(Cli, RefusedLogitsLeaveTheOldFile) {
  std::string file = directory / "x.npy";
  writeBytes(file, "old");
  expectError(1, "logits " + bundle + " --tokens 1,263 -o " + file, "263");
  expectError(1, "logits " + bundle + " --tokens -1 -o " + file, "-1");
  expectError(
      1, "logits " + bundle + " --tokens 1,1,1,1,1,1,1,1,1,1,1,1 -o " + file,
      "context");
  expectError(1, "logits " + bundle + " --tokens 1 -o " + directory / "no/x",
              "no/x");
  EXPECT_EQ(readBytes(file), "old");
}

TEST_F(Cli, GenerateIsRepeatable) {
  std::string words =
      "generate " + bundle + " --tokens-in 1,200,17 --tokens 5 --ids";
  Outcome greedy = run(words + " --greedy");
  ASSERT_EQ(greedy.code, 0) << greedy.err;
  EXPECT_EQ(greedy.out, run(words + " --greedy --threads 2").out);
  EXPECT_EQ(greedy.out, run(words + " --greedy --threads 1 --pin").out);
  std::string sampled = words + " --temperature 1000 --seed ";
  EXPECT_EQ(run(sampled + "3").out, run(sampled + "3").out);
  EXPECT_NE(run(sampled + "3").out, run(sampled + "4").out);
  // The text begins with the prompt.
  Outcome text = run("generate " + bundle + " --prompt 'ab b' --tokens 2");
  EXPECT_EQ(text.code, 0);
  EXPECT_EQ(text.out.substr(0, 4), "ab b");
}

TEST_F(Cli, RoutesAreDecidedRecordedAndReplayed) {
  options.routed = true;
  writeToyBundle(bundle, options);
  std::string trace = directory / "trace.safetensors";
  auto logits = [&](const std::string &flags) {
    Outcome outcome = run("logits " + bundle + " --tokens 4,1,5,9 --all " +
                          flags + " -o " + directory / "x.npy");
    EXPECT_EQ(outcome.code, 0) << flags << "\n" << outcome.err;
    return readBytes(directory / "x.npy");
  };
  std::string routed = logits("--record-routes " + trace);
  EXPECT_EQ(logits("--routes router"), routed);
  EXPECT_EQ(logits("--routes trace:" + trace), routed);
  std::string all = logits("--routes all"), none = logits("--routes none"),
              chance =
                  logits("--routes bernoulli:0.5:3 --record-routes " + trace);
  EXPECT_NE(all, none);
  EXPECT_EQ(logits("--routes bernoulli:1"), all);
  EXPECT_EQ(logits("--routes bernoulli:0"), none);
  EXPECT_EQ(logits("--routes trace:" + trace), chance);

  // Decode goes on with the masks that a prefill of all would have.
  std::string ids = "generate " + bundle +
                    " --tokens-in 4,1 --ids --greedy "
                    "--tokens 3 --routes bernoulli:0.5:3 --record-routes ";
  Outcome outcome = run(ids + directory / "generated");
  EXPECT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_EQ(run("generate " + bundle +
                " --tokens-in 4,1 --ids --greedy "
                "--tokens 3 --routes trace:" +
                directory / "generated")
                .out,
            outcome.out);

  writeBytes(bundle + "/tokenizer.bin",
             tokenizerFile({{" ", -1}, {"a", -1}, {"b", -1}, {"ab", -1}}));
  writeBytes(directory / "text", "ab ab\n\nab a b\n\nabb");
  std::string nll = "nll " + bundle + " --text " + directory / "text" +
                    " --split-before ab --routes ";
  outcome = run(nll + "bernoulli:0.5 --record-routes " + directory / "nll");
  EXPECT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_EQ(run(nll + "trace:" + directory / "nll").out, outcome.out);
  EXPECT_NE(run(nll + "none").out, outcome.out);

  std::string x = " --tokens 4,1 -o " + directory / "y.npy";
  expectError(1, "logits " + bundle + x + " --routes half", "--routes");
  expectError(1, "logits " + bundle + x + " --routes trace:nowhere", "nowhere");
  expectError(1, "logits " + bundle + x + " --record-routes nowhere/x",
              "nowhere/x");
  expectError(1,
              "logits " + bundle +
                  " --tokens 4,1,5,9,1,1 -o x --routes "
                  "trace:" +
                  trace,
              "slot 0, position 4");
  EXPECT_FALSE(std::filesystem::exists(directory / "y.npy"));
  options.routed = false;
  writeToyBundle(bundle, options);
  expectError(1, "logits " + bundle + x + " --routes all", "without");
  expectError(1, "logits " + bundle + x + " --record-routes r", "without");
}

TEST_F(Cli, VerifyHoldsOneBundleAgainstAnother) {
  std::string words = "verify " + bundle + " " + directory / "other" +
                      " --batch 2 --seq 8 --threads 1";
  writeToyBundle(directory / "other", options);
  Outcome outcome = run(words);
  EXPECT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_EQ(outcome.err, "");
  EXPECT_NE(outcome.out.find("layers.0.mlp"), std::string::npos) << outcome.out;
  EXPECT_TRUE(outcome.out.ends_with("\nholds\n")) << outcome.out;

  // What differs is said on stdout, and in the exit code.
  options.poisoned = true;
  options.poison = 1000;
  writeToyBundle(directory / "other", options);
  outcome = run(words);
  EXPECT_EQ(outcome.code, 1);
  EXPECT_EQ(outcome.err, "");
  EXPECT_TRUE(outcome.out.ends_with("\nDOES NOT HOLD\n")) << outcome.out;
  outcome = run(words + " --json -");
  EXPECT_EQ(outcome.code, 1);
  Json record = Json::parse(outcome.out);
  EXPECT_EQ(record["schema"], "coppice.verify/1");
  EXPECT_EQ(record["input"], bundle);
  EXPECT_EQ(record["oracle"], directory / "other");
  EXPECT_EQ(record["holds"], false);

  expectError(
      1, "verify " + bundle + " " + directory / "other" + " --batch 3 --seq 6",
      "--max-rows 18");
  expectError(1, words + " --json " + directory.path(), "directory");
}

TEST_F(Cli, InfoListsRoutes) {
  options.routed = true;
  writeToyBundle(bundle, options);
  Outcome outcome = run("info " + bundle);
  EXPECT_NE(outcome.out.find("layers.0.attn.route, 1 group, expected to keep "
                             "0.25 of the rows"),
            std::string::npos)
      << outcome.out;
  Json json = Json::parse(run("info " + bundle + " --json -").out);
  EXPECT_EQ(
      json["routes"][0],
      (Json{{"name", "layers.0.mlp.route"}, {"groups", 1}, {"expected", 0.5}}));
  EXPECT_EQ(json["dispatches"]["route"], 2);
}

TEST_F(Cli, AFullOutputIsAFailure) {
  EXPECT_EQ(run("info " + bundle, "/dev/full").code, 1);
  EXPECT_EQ(run("generate " + bundle + " --prompt a", "/dev/full").code, 1);
  EXPECT_EQ(run("nll " + bundle + " --text " + (bundle + "/program.json") +
                    " --json -",
                "/dev/full")
                .code,
            1);
  writeBytes(directory / "t", "ab");
  expectError(1, "logits " + bundle + " --tokens 1 -o /dev/full", "/dev/full");
}

TEST_F(Cli, NllRecordsItsInputs) {
  writeBytes(directory / "t", "ab\n\nSb ab\n\nSa");
  std::string words =
      "nll " + bundle + " --text " + directory / "t" + " --split-before S";
  Outcome plain = run(words);
  EXPECT_EQ(plain.code, 0) << plain.err;
  EXPECT_NE(plain.out.find("3 chunks"), std::string::npos) << plain.out;
  std::string records = directory / "records.jsonl";
  EXPECT_EQ(run(words + " --json " + records).code, 0);
  EXPECT_EQ(run(words + " --skip 1 --chunks 1 --json " + records).code, 0);
  std::string lines = readBytes(records);
  size_t end = lines.find('\n');
  ASSERT_NE(end, std::string::npos);
  Json first = Json::parse(lines.substr(0, end)),
       second = Json::parse(lines.substr(end + 1));
  EXPECT_EQ(first["schema"], "coppice.quality/1");
  EXPECT_EQ(first["chunks"], 3);
  EXPECT_EQ(second["chunks"], 1);
  EXPECT_EQ(first["data_sha256"], sha256("ab\n\nSb ab\n\nSa"));
  EXPECT_EQ(first["bundle_sha256"],
            sha256(readBytes(bundle + "/program.json")));
  EXPECT_GT(first["perplexity"], 1);
  expectError(1, words + " --skip 9", "chunks");
  expectError(1, words + " --json " + directory / "no/r", "no/r");
}

TEST_F(Cli, BenchPrintsATableAndAppendsRecords) {
  std::string records = directory / "r.jsonl";
  std::string words = "bench " + bundle + " --dense " + bundle + " --machine " +
                      machineFile() +
                      " --batch 1,3 --seq 5 --threads 1 --max-repeats 2 --ops";
  Outcome outcome = run(words + " --json " + records);
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_NE(outcome.out.find("measured x"), std::string::npos) << outcome.out;
  EXPECT_NE(outcome.out.find("lm_head"), std::string::npos);
  EXPECT_NE(outcome.out.find("gap pruned"), std::string::npos);
  std::string lines = readBytes(records);
  EXPECT_EQ(std::count(lines.begin(), lines.end(), '\n'), 4);
  std::string predictions = readBytes(records + ".predictions.jsonl");
  ASSERT_FALSE(predictions.empty());
  predictions.pop_back();
  EXPECT_EQ(
      Json::parse(lines.substr(0, lines.find('\n')))["predictions_sha256"],
      sha256(predictions));
  // Records on stdout are alone there.
  outcome = run("bench " + bundle + " --machine " + machineFile() +
                " --phase decode --seq 5 --max-repeats 2 --json -");
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_EQ(Json::parse(outcome.out)["phase"], "decode");
}

TEST_F(Cli, RecordsThatCannotBeWrittenAreRefusedBeforeTheWork) {
  writeBytes(directory / "t", "ab");
  std::string folder = directory / "folder", file = directory / "t";
  std::filesystem::create_directory(folder);
  for (std::string target : {folder, file + "/r", directory / "no/r"}) {
    expectError(1, "nll " + bundle + " --text " + file + " --json " + target,
                target);
    expectError(1,
                "bench " + bundle + " --machine " + machineFile() +
                    " --seq 5 --json " + target,
                target);
    EXPECT_FALSE(std::filesystem::exists(target + ".predictions.jsonl"));
  }
}

TEST_F(Cli, TheBundlesOwnTokenizerIsChecked) {
  std::string path = bundle + "/tokenizer.bin", good = readBytes(path);
  writeToyBundle(bundle, options, [&](Json &json) {
    json["files"].push_back({{"file", "tokenizer.bin"},
                             {"bytes", good.size()},
                             {"sha256", sha256(good)}});
  });
  writeBytes(path, good);
  std::string words = "generate " + bundle + " --prompt a --tokens 1";
  EXPECT_EQ(run(words).code, 0);
  writeBytes(path, good + "x");
  expectError(1, words,
              "tokenizer.bin: expected " + std::to_string(good.size()) +
                  " bytes");
  std::string damaged = good;
  damaged.back() ^= 1;
  writeBytes(path, damaged);
  expectError(1, words, "tokenizer.bin: expected sha256");
  std::filesystem::remove(path);
  expectError(1, words, "No such file");
  writeBytes(directory / "outside", good);
  std::filesystem::create_symlink(directory / "outside", path);
  expectError(1, words, "symbolic link");
  writeToyBundle(bundle, options); // records no tokenizer
  expectError(1, words, "symbolic link");
}

TEST_F(Cli, BenchRefusesOtherModels) {
  std::string other = directory / "other.coppice";
  writeToyBundle(other, options, [](Json &json) {
    json["model"]["source_sha256"] = std::string(64, 'a');
  });
  expectError(1,
              "bench " + bundle + " --dense " + other + " --machine " +
                  machineFile(),
              "source_sha256");
}

TEST_F(Cli, BenchSaysWhatToDoWithAnOldMachineFile) {
  std::string file = directory / "old.json";
  writeBytes(file, R"({"schema":"coppice.machine/1"})");
  expectError(1, "bench " + bundle + " --machine " + file,
              "run `coppice-run probe");
}

TEST_F(Cli, ProbeWritesWhatBenchReads) {
  std::string file = directory / "m.json";
  Outcome outcome = run("probe --threads 1 -o " + file);
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_EQ(outcome.out, "");
  EXPECT_NE(outcome.err.find("DRAM"), std::string::npos) << outcome.err;
  Json machine = Json::parse(readBytes(file));
  EXPECT_EQ(machine["schema"], "coppice.machine/2");

  // One that was made for other code is made anew; what was calibrated stays.
  machine["isa"] = "sse9";
  machine["step_s"] = 0.125;
  std::string stored = directory / "cache/coppice/machine.json";
  std::filesystem::create_directories(directory / "cache/coppice");
  writeBytes(stored, machine.dump());
  outcome = run("bench " + bundle + " --phase decode --threads 1 --seq 2 " +
                "--max-seconds 0.01 --max-repeats 2");
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_NE(outcome.err.find("was probed for sse9"), std::string::npos)
      << outcome.err;
  Json made = Json::parse(readBytes(stored));
  EXPECT_NE(made["isa"], "sse9");
  EXPECT_EQ(made["step_s"], 0.125);
  expectError(1, "probe --threads 1 -o " + directory / "no/m.json",
              "no/m.json");
}
