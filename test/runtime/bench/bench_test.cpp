// bench on the toy bundle: what is measured is not asserted, what is recorded
// is.
#include "runtime/base/sha256.h"
#include "runtime/bench/bench.h"
#include "runtime/bench/calibrate.h"
#include "runtime/bench/record.h"

#include "temporary_directory.h"
#include "toy_bundle.h"

#include <array>
#include <gtest/gtest.h>
#include <random>
#include <set>

using namespace coppice::rt;
using namespace coppice::rt::test;
using Json = nlohmann::json;

namespace {

/// So fast that no measurement can beat its bound.
Machine fastMachine() {
  Machine machine;
  machine.cacheBytes = 1 << 20;
  Ceilings c;
  c.best = c.typical = {1e18, 0, 0, 1e18};
  c.cacheRead[2] = 1e18;
  machine.ceilings = {c};
  machine.curves = assumedCurves();
  return machine;
}

struct Collector : BenchListener {
  std::string predictions;
  std::vector<CellResult> results;
  std::vector<Json> records;
  std::string heading, table, remark;
  std::vector<std::string> advice;

  Status predicted(const BenchContext &context,
                   const std::string &json) override {
    EXPECT_TRUE(results.empty()) << "predictions come before any measurement";
    EXPECT_EQ(context.predictionsSha256, sha256(std::string_view(json)));
    predictions = json;
    remark = context.curvesRemark;
    advice = context.advice;
    heading = tableHeading(context.dense);
    return {};
  }
  void progress(const Cell &, int64_t) override {}
  Status measured(const BenchContext &context,
                  const CellResult &result) override {
    results.push_back(result);
    records.push_back(Json::parse(resultRecord(context, result)));
    table += tableRow(result) + routesText(context, result) +
             dispatchTable(context, result);
    return {};
  }
};

struct Bench : testing::Test {
  TemporaryDirectory directory;
  BenchOptions options;
  Collector collector;

  void SetUp() override {
    writeToyBundle(directory / "dense.coppice");
    writeToyBundle(directory / "pruned.coppice", {}, [](Json &json) {
      json["plan"]["family"] = "static_nk";
      json["plan"]["removed"]["parameters"] = 0.25;
      // Half the work at this site, says the cost.
      json["dispatches"][1]["cost"]["flops"] = {"*", "rows", 25};
    });
    options.pruned = directory / "pruned.coppice";
    options.dense = directory / "dense.coppice";
    options.batches = {1, 3};
    options.seqs = {7};
    options.threads = 1;
    options.maxRepeats = 4;
    options.maxSeconds = 2;
  }
};

} // namespace

TEST_F(Bench, MeasuresTheCrossProductInPairs) {
  Status status = runBench(options, fastMachine(), collector);
  ASSERT_TRUE(status.ok()) << status.message();
  ASSERT_EQ(collector.results.size(), 4u); // 2 phases x 2 batches
  EXPECT_EQ(collector.results[0].cell.phase, Phase::Prefill);
  EXPECT_EQ(collector.results[3].cell.phase, Phase::Decode);
  EXPECT_EQ(collector.results[3].cell.batch, 3);
  for (const CellResult &result : collector.results) {
    EXPECT_EQ(result.pruned.seconds.n, 4);
    EXPECT_EQ(result.dense->seconds.n, 4);
    EXPECT_GT(result.pruned.seconds.mean, 0);
    EXPECT_FALSE(result.converged); // fewer pairs than it takes
    EXPECT_TRUE(result.beatenBounds().empty());
    EXPECT_GT(result.amdahl, 1);
    EXPECT_EQ(result.pruned.dispatchSeconds.size(), 8u);
  }
  Json predictions = Json::parse(collector.predictions);
  EXPECT_EQ(predictions["cells"].size(), 4u);
}

// ABBA or BAAB: in each block every side has the same mean place, so that a
// machine that gets slower all the time favours none.
TEST(BenchOrder, EachBlockTreatsSidesAlike) {
  std::mt19937_64 random(3);
  std::set<size_t> begun;
  for (int block = 0; block < 100; ++block) {
    std::vector<size_t> order = drawBlock(2, random);
    ASSERT_EQ(order.size(), 4u);
    std::array<size_t, 2> places{}, counts{};
    for (size_t place = 0; place < 4; ++place) {
      ++counts.at(order[place]);
      places.at(order[place]) += place;
    }
    EXPECT_EQ(counts[0], 2u);
    EXPECT_EQ(places[0], places[1]);
    EXPECT_NE(order[0], order[1]); // pairs hold one of each
    begun.insert(order[0]);
  }
  EXPECT_EQ(begun.size(), 2u);
  EXPECT_EQ(drawBlock(1, random), (std::vector<size_t>{0, 0}));
}

TEST_F(Bench, RecordHasEveryFieldOfTheSchema) {
  options.ops = true;
  options.phases = {Phase::Decode};
  options.batches = {1};
  Status status = runBench(options, fastMachine(), collector);
  ASSERT_TRUE(status.ok()) << status.message();
  const Json &record = collector.records.at(0);
  for (const char *field : {"model",
                            "source_sha256",
                            "plan",
                            "family",
                            "sparsity",
                            "removed",
                            "density",
                            "phase",
                            "batch",
                            "seq",
                            "dtype",
                            "device",
                            "target",
                            "isa",
                            "threads",
                            "host",
                            "date",
                            "commit",
                            "machine_sha256",
                            "bundle_sha256",
                            "cache",
                            "dense_s",
                            "pruned_s",
                            "speedup_ci95",
                            "bound_s",
                            "bound_speedup",
                            "ideal_speedup",
                            "amdahl_speedup",
                            "dense_predicted_s",
                            "pruned_predicted_s",
                            "predicted_speedup",
                            "measured_speedup",
                            "head_share",
                            "fallback_sites",
                            "advice",
                            "router",
                            "memory_bytes",
                            "peak_resident_bytes",
                            "pinned",
                            "excluded",
                            "ops"})
    EXPECT_TRUE(record.contains(field)) << field;
  EXPECT_EQ(record["schema"], "coppice.results/1");
  EXPECT_EQ(record["cache"], "cold");
  EXPECT_EQ(record["phase"], "decode");
  EXPECT_EQ(record["threads"], 1);
  EXPECT_EQ(record["removed"]["params"], 0.25);
  EXPECT_GT(record["removed"]["flops"], 0);
  for (const char *field : {"mean", "median", "p5", "p95", "n"})
    EXPECT_TRUE(record["dense_s"].contains(field)) << field;
  ASSERT_EQ(record["ops"].size(), 8u);
  const Json &up = record["ops"][1];
  EXPECT_EQ(up["site"], "layers.0.mlp.up");
  EXPECT_EQ(up["kind"], "gemm");
  EXPECT_EQ(up["m"], 1);
  EXPECT_EQ(up["n"], 5);
  EXPECT_EQ(up["flops"], 25);
  for (const char *field :
       {"k", "bytes", "bound_s", "predicted_s", "measured_s"})
    EXPECT_TRUE(up[field].is_number()) << field;
  EXPECT_TRUE(record["ops"][0]["m"].is_null());
}

/// The pruned bundle with routes; mlp expects to keep a half, attention a
/// quarter.
static void writeRouted(const std::string &path) {
  ToyOptions toy;
  toy.routed = true;
  writeToyBundle(path, toy);
}

TEST_F(Bench, RoutesKeepByChanceWhatIsExpected) {
  writeRouted(options.pruned);
  options.ops = true;
  options.maxRepeats = 60;
  options.maxSeconds = 20;
  options.phases = {Phase::Prefill};
  options.batches = {2};
  Status status = runBench(options, fastMachine(), collector);
  ASSERT_TRUE(status.ok()) << status.message();
  const CellResult &result = collector.results.at(0);
  ASSERT_EQ(result.pruned.routes.size(), 2u);
  EXPECT_TRUE(result.dense->routes.empty());
  // 14 rows a repeat: fresh masks, or a mean of few draws would be far off.
  int64_t repeats = result.pruned.seconds.n;
  EXPECT_EQ(result.pruned.routes[0].rows, 14 * repeats);
  EXPECT_NEAR(result.pruned.routes[0].density(), 0.5, 0.1);
  EXPECT_NEAR(result.pruned.routes[1].density(), 0.25, 0.1);
  EXPECT_EQ(result.pruned.routes[0].opportunities, repeats);

  const Json &record = collector.records.at(0);
  double mlp = record["densities"]["layers.0.mlp.route"],
         attention = record["densities"]["layers.0.attn.route"];
  EXPECT_DOUBLE_EQ(mlp, result.pruned.routes[0].density());
  EXPECT_NEAR(double(record["density"]), (mlp + attention) / 2, 1e-12);
  EXPECT_EQ(record["router"], "bernoulli:expected:1");
  double sum = 0;
  for (const char *part : {"gemm", "router", "compaction", "other"})
    sum += double(record["shares"][part]);
  EXPECT_NEAR(sum, 1, 1e-9);
  // Work is that of the rows that were kept.
  const Json &up = record["ops"][4];
  EXPECT_EQ(up["route"], "layers.0.mlp.route");
  EXPECT_EQ(up["rows"], 14);
  // The masks of the repeats whose dispatches were timed count for bounds.
  EXPECT_GT(result.pruned.observedRoutes[0].rows, 0);
  EXPECT_TRUE(up["bound_s"].is_number());
  EXPECT_NEAR(double(up["active_rows"]), 14 * mlp, 1e-9);
  EXPECT_NEAR(double(up["executed_rows"]), 14 * mlp, 1e-6);
  EXPECT_NEAR(double(up["flops"]), mlp * 14 * 50, 1e-9);
  EXPECT_EQ(record["ops"][2]["kind"], "route");
  EXPECT_EQ(record["ops"][3]["kind"], "compact");
  EXPECT_TRUE(record["ops"][3]["route"].is_null());
  // The repeats with clocks around dispatches have masks of their own.
  EXPECT_EQ(result.pruned.observedRoutes[0].rows % 14, 0);
  EXPECT_GE(result.pruned.observedRoutes[0].rows, 3 * 14);
  for (const Json &op : record["ops"])
    EXPECT_TRUE(op["bound_s"].is_number()) << op;
  EXPECT_TRUE(record["gap"]["gemm_s"].is_number()) << record["gap"];
  // One site's share and what is left of it.
  double dense = 0, left = 0;
  for (const Json &op : record["dense_ops"]) {
    double seconds = op["measured_s"];
    dense += seconds;
    left +=
        seconds *
        (op["site"] == "layers.0.mlp.up" || op["site"] == "layers.0.mlp" ? mlp
         : op["site"] == "layers.0.attn" ? attention
                                         : 1);
  }
  EXPECT_NEAR(double(record["amdahl_speedup"]), dense / left, 1e-9);
  EXPECT_NE(collector.table.find("routes pruned kept"), std::string::npos);
  EXPECT_NE(collector.table.find(" active, "), std::string::npos);
}

// A toy's router takes longer than all that it could save.
TEST_F(Bench, SaysWherePruningIsPredictedNotToPay) {
  ToyOptions toy;
  toy.routed = true;
  writeToyBundle(options.pruned, toy, [](Json &json) {
    json["fallbacks"] = {{{"site", "layers.0.mlp.up"},
                          {"group", 32},
                          {"expected", 0.9},
                          {"predicted_speedup", 0.89},
                          {"masked", true}}};
  });
  options.phases = {Phase::Decode};
  options.batches = {3};
  Status status = runBench(options, fastMachine(), collector);
  ASSERT_TRUE(status.ok()) << status.message();
  const Json &record = collector.records.at(0);
  EXPECT_EQ(record["fallback_sites"], Json({"layers.0.mlp.up"}));
  ASSERT_FALSE(record["advice"].empty());
  EXPECT_LT(double(record["advice"][0]["predicted_speedup"]), 1);
  ASSERT_FALSE(collector.advice.empty());
  EXPECT_TRUE(collector.advice[0].starts_with("do not prune here: layers.0."));
  EXPECT_TRUE(collector.advice[0].ends_with("x at M = 3"));

  // Nothing to compare with.
  options.dense.clear();
  collector = {};
  status = runBench(options, fastMachine(), collector);
  ASSERT_TRUE(status.ok()) << status.message();
  EXPECT_TRUE(collector.records.at(0)["advice"].is_null());
  EXPECT_TRUE(collector.advice.empty());
}

TEST_F(Bench, RoutesMayBeDecidedOtherwise) {
  writeRouted(options.pruned);
  options.dense.clear();
  options.batches = {3};
  for (auto [spec, density] : {std::pair("all", 1.0), std::pair("none", 0.0)}) {
    collector = {};
    options.routes = spec;
    Status status = runBench(options, fastMachine(), collector);
    ASSERT_TRUE(status.ok()) << status.message();
    for (const Json &record : collector.records) {
      EXPECT_EQ(record["density"], density);
      EXPECT_EQ(record["router"], spec);
    }
  }
  // The routers themselves, on the tokens of each repeat.
  collector = {};
  options.routes = "router";
  Status status = runBench(options, fastMachine(), collector);
  ASSERT_TRUE(status.ok()) << status.message();
  EXPECT_GT(double(collector.records[0]["density"]), 0);
  EXPECT_LT(double(collector.records[0]["density"]), 1);

  options.routes = "most";
  EXPECT_FALSE(runBench(options, fastMachine(), collector).ok());
  options.pruned = directory / "dense.coppice";
  options.routes = "all";
  status = runBench(options, fastMachine(), collector);
  EXPECT_NE(status.message().find("found one without"), std::string::npos)
      << status.message();
}

// Each repeat is of the sequences that the trace has.
TEST_F(Bench, RecordedDecisionsAreReplayedInEachRepeat) {
  writeRouted(options.pruned);
  std::string trace = directory / "trace.safetensors";
  auto runner = Runner::open(options.pruned, {});
  ASSERT_TRUE(runner) << runner.status().message();
  std::vector<float> logits;
  std::vector<int32_t> tokens = {4, 0, 6, 1, 5, 2, 2, 3};
  ASSERT_TRUE(runner->recordRoutes().ok());
  ASSERT_TRUE(runner->feed(tokens, 0, 0, false, logits).ok());
  ASSERT_TRUE(runner->recordedRoutes().save(trace).ok());
  options.batches = {1};
  options.routes = "trace:" + trace;
  Status status = runBench(options, fastMachine(), collector);
  ASSERT_TRUE(status.ok()) << status.message();
  const RouteTrace &recorded = runner->recordedRoutes();
  for (const CellResult &result : collector.results)
    for (size_t r : {0, 1}) {
      const Route &route = runner->program().routes[r];
      size_t column = static_cast<size_t>(route.column);
      bool prefill = result.cell.phase == Phase::Prefill;
      int64_t kept = 0; // of a repeat: positions 0 to 6, or 7
      for (int32_t t = prefill ? 0 : 7; t < (prefill ? 7 : 8); ++t)
        kept += (*recorded.find(0, t))[column];
      EXPECT_EQ(result.pruned.routes[r].kept, kept * result.pruned.seconds.n);
    }
  // More sequences than it has.
  collector = {};
  options.batches = {2};
  status = runBench(options, fastMachine(), collector);
  EXPECT_NE(status.message().find("slot 1, position 0"), std::string::npos)
      << status.message();
}

TEST_F(Bench, BothSidesKeepTheSameRows) {
  writeRouted(options.pruned);
  writeRouted(options.dense);
  options.batches = {2};
  options.maxRepeats = 12;
  Status status = runBench(options, fastMachine(), collector);
  ASSERT_TRUE(status.ok()) << status.message();
  for (const CellResult &result : collector.results)
    for (size_t r : {0, 1})
      EXPECT_EQ(result.pruned.routes[r].kept, result.dense->routes[r].kept);
}

TEST_F(Bench, OneBundleAloneHasNoSpeedup) {
  options.dense.clear();
  options.hot = true;
  Status status = runBench(options, fastMachine(), collector);
  ASSERT_TRUE(status.ok()) << status.message();
  const Json &record = collector.records.at(0);
  EXPECT_EQ(record["cache"], "hot");
  EXPECT_TRUE(record["measured_speedup"].is_null());
  EXPECT_TRUE(record["dense_s"].is_null());
  EXPECT_TRUE(record["pruned_s"]["mean"].is_number());
}

TEST_F(Bench, SaysWhenAMeasurementBeatsItsBound) {
  CellResult result;
  result.pruned.seconds.mean = 2;
  result.pruned.estimate.boundSeconds = 3;
  result.pruned.dispatchSeconds = {0.5, 1};
  result.pruned.estimate.dispatches.resize(2);
  result.pruned.estimate.dispatches[1].boundSeconds = 1.5;
  auto beaten = result.beatenBounds();
  ASSERT_EQ(beaten.size(), 2u);
  EXPECT_NE(beaten[0].find("step took 2"), std::string::npos) << beaten[0];
  EXPECT_NE(beaten[1].find("dispatch 1"), std::string::npos) << beaten[1];
}

TEST_F(Bench, ACeilingThatTheRunSeesExceededIsRaised) {
  Machine machine = fastMachine();
  machine.ceilings[0].best = machine.ceilings[0].typical = {1, 0, 0, 1};
  options.phases = {Phase::Decode};
  Status status = runBench(options, machine, collector);
  ASSERT_TRUE(status.ok()) << status.message();
  EXPECT_GT(collector.results.at(0).boundCeilings.f32, 1e6);
  EXPECT_GT(collector.results.at(0).boundCeilings.dram, 1e6);
  EXPECT_TRUE(collector.results.at(0).beatenBounds().empty());
  // Predictions are made of what the machine does now, not of the file's.
  const Json &record = collector.records.at(0);
  EXPECT_GT(record["prediction_ceilings"]["f32_flops_per_s"], 1e6);
  EXPECT_GT(record["measured_ceilings"]["dram_read_bytes_per_s"], 1e6);
  EXPECT_LT(record["pruned_predicted_s"], 1);
  EXPECT_EQ(Json::parse(collector.predictions)["prediction_ceilings"],
            record["prediction_ceilings"]);
}

TEST_F(Bench, TheGapIsAttributedToTheLastSecond) {
  options.phases = {Phase::Decode};
  options.batches = {1};
  Status status = runBench(options, fastMachine(), collector);
  ASSERT_TRUE(status.ok()) << status.message();
  for (bool dense : {false, true}) {
    const Json &record = collector.records.at(0);
    double sum = 0;
    for (const auto &[part, seconds] :
         record[dense ? "dense_gap" : "gap"].items())
      sum += seconds.get<double>();
    double measured = record[dense ? "dense_s" : "pruned_s"]["mean"];
    double bound = record[dense ? "dense_bound_s" : "bound_s"];
    EXPECT_NEAR(sum, measured - bound, 1e-12);
    EXPECT_GT(record[dense ? "dense_gap" : "gap"]["host_s"], 0);
  }
}

TEST_F(Bench, RefusesBundlesOfDifferentModels) {
  writeToyBundle(options.dense, {}, [](Json &json) {
    json["model"]["source_sha256"] = std::string(64, '1');
    json["model"]["dtype"] = "bf16";
  });
  Status status = runBench(options, fastMachine(), collector);
  ASSERT_FALSE(status.ok());
  EXPECT_NE(status.message().find("source_sha256"), std::string::npos);
  EXPECT_NE(status.message().find("dtype"), std::string::npos);
  EXPECT_TRUE(collector.predictions.empty());
  options.force = true;
  options.phases = {Phase::Decode};
  status = runBench(options, fastMachine(), collector);
  ASSERT_TRUE(status.ok()) << status.message();
  EXPECT_NE(collector.records.at(0)["excluded"].dump().find("source_sha256"),
            std::string::npos);
}

TEST_F(Bench, RefusesCellsThatDoNotFit) {
  options.seqs = {11}; // decode needs one token more than the context of 11
  EXPECT_FALSE(runBench(options, fastMachine(), collector).ok());
  options.phases = {Phase::Prefill};
  EXPECT_TRUE(runBench(options, fastMachine(), collector).ok());
  options.batches = {4};
  EXPECT_FALSE(runBench(options, fastMachine(), collector).ok());
}

TEST_F(Bench, CalibrationMeasuresTheKindsThatRan) {
  Machine machine = fastMachine();
  machine.ceilings[0].best = machine.ceilings[0].typical = {1e9, 0, 0, 1e9};
  machine.ceilings[0].cacheRead[2] = 1e9;
  writeToyBundle(options.dense, {4001, 999, 1, 999});
  CalibrateOptions calibration;
  calibration.bundles = {options.dense};
  calibration.threads = 1;
  calibration.rows = {1, 900, 5000}; // the last is beyond the context
  calibration.cached = {7};
  calibration.repeats = 2;
  Status status = calibrate(machine, calibration);
  ASSERT_TRUE(status.ok()) << status.message();
  CurveKey gemm{"gemm", "f32", "f32", "", 1};
  const Curve &curve = machine.curveFor(gemm);
  EXPECT_TRUE(curve.origin.starts_with("measured")) << curve.origin;
  EXPECT_EQ(curve.points.front().rows, 1);
  EXPECT_EQ(curve.points.back().rows, 900);
  EXPECT_TRUE(machine.curveFor({"rotary", "f32", "", "", 1}).isAssumed());
  EXPECT_GT(machine.stepSeconds, 0);
  EXPECT_TRUE(Machine::parse(machine.json()).ok());
  EXPECT_EQ(curve.producer, "toy");
  calibration.rows = {5000};
  calibration.cached = {};
  EXPECT_FALSE(calibrate(machine, calibration).ok());
  calibration.bundles.clear();
  EXPECT_FALSE(calibrate(machine, calibration).ok());
}

// The curve of a class has the points of all bundles together.
TEST_F(Bench, CalibrationJoinsBundles) {
  CalibrateOptions calibration;
  calibration.threads = 1;
  calibration.rows = {2};
  calibration.cached = {};
  calibration.repeats = 1;
  std::string other = directory / "other.coppice";
  writeToyBundle(other, {}, [](Json &json) {
    for (Json &dispatch : json["dispatches"])
      if (!dispatch["gemm"].is_null())
        dispatch["gemm"]["k"] = 3 * dispatch["gemm"]["k"].get<int>();
  });
  auto depths = [&](std::vector<std::string> bundles) {
    Machine machine = fastMachine();
    calibration.bundles = std::move(bundles);
    Status status = calibrate(machine, calibration);
    EXPECT_TRUE(status.ok()) << status.message();
    std::set<int64_t> all;
    for (const CurvePoint &p :
         machine.curveFor({"gemm", "f32", "f32", "", 1}).points)
      all.insert(p.depth);
    return all;
  };
  std::set<int64_t> expected = depths({options.dense});
  ASSERT_FALSE(expected.empty());
  for (int64_t depth : std::set(expected))
    expected.insert(3 * depth);
  EXPECT_EQ(depths({options.dense, other}), expected);

  writeToyBundle(other, {}, [](Json &json) { json["producer"] = "axe"; });
  Machine machine = fastMachine();
  Status status = calibrate(machine, calibration);
  ASSERT_FALSE(status.ok());
  EXPECT_NE(status.message().find("bundles of one compiler, found 'toy' and "
                                  "'axe'"),
            std::string::npos)
      << status.message();
}

TEST_F(Bench, SaysWhatItsPredictionsRestOn) {
  options.batches = {1};
  options.maxRepeats = 2;
  auto run = [&](const Machine &machine) {
    collector = {};
    Status status = runBench(options, machine, collector);
    EXPECT_TRUE(status.ok()) << status.message();
    EXPECT_EQ(Json::parse(collector.predictions)["curves"],
              collector.records[0]["curves"]);
    return collector.records[0]["curves"].get<std::string>();
  };
  Machine machine = fastMachine();
  EXPECT_EQ(run(machine), "assumed");
  EXPECT_NE(collector.remark.find("--calibrate"), std::string::npos);

  options.calibrate = true;
  EXPECT_EQ(run(machine), "measured");
  EXPECT_EQ(collector.remark, "");

  // Curves of the file, of another compiler's code.
  options.calibrate = false;
  CalibrateOptions calibration;
  calibration.bundles = {options.dense};
  calibration.threads = 1;
  calibration.rows = {2};
  calibration.cached = {7};
  calibration.repeats = 1;
  ASSERT_TRUE(calibrate(machine, calibration).ok());
  EXPECT_EQ(run(machine), "measured");
  for (Curve &curve : machine.curves)
    curve.producer = "axe";
  EXPECT_EQ(run(machine), "stale");
  EXPECT_NE(collector.remark.find("'toy'"), std::string::npos)
      << collector.remark;
  for (Curve &curve : machine.curves)
    curve.key.threads = 77;
  EXPECT_EQ(run(machine), "unlike");
}
