//===- CompileBundle.cpp - from a pruned module to a bundle ---------------===//
// In: model.mlir or pruned.mlir, as a module. Out: a bundle. Runs a pipeline of
// Pipelines.h, then writes the parts: weights, code, tokenizer, program.json.
// Parts that can fail by the user's input come first; all go to a temporary
// directory that takes the bundle's place at the end.
//===----------------------------------------------------------------------===//
#include "coppice/Bundle/CompileBundle.h"

#include "coppice/Bundle/AtomicDirectory.h"
#include "coppice/Bundle/EmitGPUKernels.h"
#include "coppice/Bundle/EmitKernels.h"
#include "coppice/Bundle/PackWeights.h"
#include "coppice/Bundle/ProgramJson.h"
#include "coppice/Dialect/Decoder/IR/Decoder.h"
#include "coppice/Dialect/Exec/IR/Exec.h"
#include "coppice/Dialect/Prune/IR/Prune.h"
#include "coppice/Dialect/Prune/Transforms/Passes.h"
#include "coppice/Pipelines/Pipelines.h"
#include "runtime/base/atomic_file.h"
#include "runtime/base/mapped_file.h"
#include "runtime/base/sha256.h"
#include "runtime/bundle/bundle.h"
#include "runtime/bundle/fallback_text.h"
#include "runtime/cpu/cpu_features.h"
#include "runtime/tokenizer/tokenizer.h"

#include "mlir/Dialect/MLProgram/IR/MLProgram.h"
#include "mlir/Pass/PassManager.h"
#include "llvm/Support/FormatVariadic.h"
#include "llvm/Support/Path.h"

#include <chrono>

using namespace mlir;
using namespace coppice;
using llvm::json::Object;

std::string coppice::getKnownTargets() {
  return "cpu, " + GPUTarget::getNames();
}

//===----------------------------------------------------------------------===//
// Records
//===----------------------------------------------------------------------===//

static Object recordModel(decoder::ModelAttr model) {
  std::string dtype;
  llvm::raw_string_ostream(dtype) << model.getDtype();
  ArrayRef<int64_t> eos = model.getEos().asArrayRef();
  return Object{{"name", llvm::json::fixUTF8(model.getName())},
                {"family", llvm::json::fixUTF8(model.getFamily())},
                {"dtype", dtype},
                {"vocabulary", model.getVocabulary()},
                {"context", model.getContextLength()},
                {"bos", model.getBos()},
                {"eos", eos.empty() ? int64_t(-1) : eos.front()},
                {"parameters", model.getParameters()},
                {"layers", model.getLayers()},
                {"source_sha256", model.getSourceSha256()}};
}

namespace {
/// What the module's plans decide; read before they are applied and gone.
struct PlanRecord {
  std::string text; // all plans, for the hash
  int64_t skips = 0, keeps = 0, factors = 0, patterns = 0, masks = 0,
          blocks = 0, rowRoutes = 0, widthRoutes = 0, inputRoutes = 0,
          activations = 0;
  std::optional<double> sparsity;
};
} // namespace

static PlanRecord readPlans(ModuleOp module) {
  PlanRecord record;
  llvm::raw_string_ostream os(record.text);
  for (auto plan : module.getOps<prune::PlanOp>()) {
    plan->print(os, OpPrintingFlags().useLocalScope());
    for (Operation &decision : plan.getBody().front()) {
      record.skips += isa<prune::SkipOp>(decision);
      record.keeps += isa<prune::KeepOp>(decision);
      record.factors += isa<prune::FactorOp>(decision);
      record.patterns += isa<prune::PatternOp>(decision);
      record.masks += isa<prune::MaskOp>(decision);
      record.blocks += isa<prune::BlocksOp>(decision);
      record.activations += isa<prune::ActivationsOp>(decision);
      if (auto route = dyn_cast<prune::RouteOp>(decision)) {
        auto &routes = route.getReduction()   ? record.inputRoutes
                       : route.getGroupSize() ? record.widthRoutes
                                              : record.rowRoutes;
        ++routes;
      }
    }
    // Nominal, as it was asked for; recorded by whoever made the plan.
    if (auto sparsity = plan->getAttrOfType<FloatAttr>("sparsity"))
      record.sparsity = sparsity.getValueAsDouble();
  }
  return record;
}

/// Elements that are not zero by N:M sparsity, if the weight has that.
static int64_t countElements(ml_program::GlobalOp global) {
  auto type = cast<ShapedType>(global.getType());
  auto pattern = global->getAttrOfType<prune::NMAttr>(
      prune::PruneDialect::patternAttrName);
  if (!pattern)
    return type.getNumElements();
  int64_t width = type.getShape().back();
  return width ? type.getNumElements() / width * pattern.countKept(width) : 0;
}

/// Parameters that the program still reads, each global once.
static int64_t countParameters(ModuleOp module, exec::ProgramOp program) {
  llvm::SmallPtrSet<Attribute, 32> seen;
  int64_t count = 0;
  for (auto weight : program.getOps<exec::WeightOp>())
    if (seen.insert(weight.getGlobalAttr()).second)
      if (auto global =
              module.lookupSymbol<ml_program::GlobalOp>(weight.getGlobal()))
        count += countElements(global);
  return count;
}

static Object recordPlan(const PlanRecord &plan, int64_t parameters,
                         int64_t denseParameters) {
  std::string family, summary;
  auto add = [&](std::string &text, const Twine &part, StringRef separator) {
    text += (text.empty() ? "" : separator).str() + part.str();
  };
  if (plan.skips) {
    add(family, "static-m", "+");
    add(summary, "skip x" + Twine(plan.skips), ", ");
  }
  if (plan.keeps) {
    add(family, "static-nk", "+");
    add(summary, "keep x" + Twine(plan.keeps), ", ");
  }
  if (plan.factors) {
    add(family, "low-rank", "+");
    add(summary, "factor x" + Twine(plan.factors), ", ");
  }
  if (plan.patterns) {
    add(family, "n:m", "+");
    add(summary, "pattern x" + Twine(plan.patterns), ", ");
  }
  if (plan.masks) {
    add(family, "unstructured", "+");
    add(summary, "mask x" + Twine(plan.masks), ", ");
  }
  if (plan.blocks) {
    add(family, "dynamic-nk", "+");
    add(summary, "blocks x" + Twine(plan.blocks), ", ");
  }
  for (auto [count, name] : {std::pair(plan.rowRoutes, "dynamic-m"),
                             {plan.widthRoutes, "dynamic-n"},
                             {plan.inputRoutes, "dynamic-k"}})
    if (count) {
      add(family, name, "+");
      add(summary, "route x" + Twine(count), ", ");
    }
  if (plan.activations) {
    add(family, "activation", "+");
    add(summary, "activations x" + Twine(plan.activations), ", ");
  }
  if (family.empty())
    family = summary = "dense";
  double removed =
      denseParameters > 0
          ? std::max(0.0, 1 - double(parameters) / double(denseParameters))
          : 0.0;
  return Object{{"summary", summary},
                {"sha256", rt::sha256(std::string_view(plan.text))},
                {"family", family},
                {"sparsity", plan.sparsity.value_or(removed)},
                {"removed", Object{{"parameters", removed}}}};
}

/// What `prune-choose-fallbacks` has left on the module.
static std::vector<rt::Fallback> readFallbacks(ModuleOp module) {
  std::vector<rt::Fallback> fallbacks;
  auto list =
      module->getAttrOfType<ArrayAttr>(prune::PruneDialect::fallbacksAttrName);
  for (Attribute entry : list ? list.getValue() : ArrayRef<Attribute>()) {
    auto of = cast<DictionaryAttr>(entry);
    fallbacks.push_back(
        {of.getAs<StringAttr>("site").str(),
         of.getAs<IntegerAttr>("group").getInt(),
         of.getAs<FloatAttr>("expected").getValueAsDouble(),
         of.getAs<FloatAttr>("predicted_speedup").getValueAsDouble(),
         of.getAs<BoolAttr>("masked").getValue()});
  }
  return fallbacks;
}

static llvm::json::Array recordFallbacks(ArrayRef<rt::Fallback> fallbacks) {
  llvm::json::Array list;
  for (const rt::Fallback &fallback : fallbacks)
    list.push_back(Object{{"site", llvm::json::fixUTF8(fallback.site)},
                          {"group", fallback.group},
                          {"expected", fallback.expected},
                          {"predicted_speedup", fallback.predictedSpeedup},
                          {"masked", fallback.masked}});
  return list;
}

/// Says what falls back, once for all sites that are alike.
static void tellFallbacks(exec::ProgramOp program,
                          const std::vector<rt::Fallback> &fallbacks,
                          llvm::raw_ostream *talk) {
  if (!talk || fallbacks.empty())
    return;
  std::vector<std::string> sites;
  for (auto dispatch : program.getOps<exec::DispatchOp>())
    sites.push_back(dispatch.getSite().str());
  for (const std::string &line : rt::describeFallbacks(fallbacks, sites))
    *talk << "do not prune here: " << line << " (--force skips all the same)\n";
}

//===----------------------------------------------------------------------===//
// Parts
//===----------------------------------------------------------------------===//

/// For what is wrong with a flag or an output: no line of the module is to
/// blame.
static InFlightDiagnostic emitOutsideError(ModuleOp module) {
  return emitError(UnknownLoc::get(module.getContext()));
}

/// Says which values the program of a bundle stores in 16 bits: those of a
/// model are all of one type.
static LogicalResult readRounded(ModuleOp module, StringRef bundle,
                                 ExecPipelineOptions &pipeline) {
  rt::Result<rt::Bundle> opened = rt::Bundle::open(bundle.str());
  if (!opened)
    return emitOutsideError(module) << opened.status().message();
  const rt::Program &program = opened->program();
  SmallVector<std::string> names;
  for (const rt::Dispatch &dispatch : program.dispatches) {
    if (dispatch.writes.size() != 1)
      continue;
    const rt::Arg &result = dispatch.args[dispatch.writes[0]];
    if (result.kind != rt::ArgKind::Buffer)
      continue;
    rt::DType dtype = program.buffers[result.index].dtype;
    if (dtype != rt::DType::BF16 && dtype != rt::DType::F16)
      continue;
    pipeline.roundedToF16 = dtype == rt::DType::F16;
    names.push_back(dispatch.value ? *dispatch.value : dispatch.site);
  }
  pipeline.rounded = names;
  return success();
}

static LogicalResult runPipeline(ModuleOp module,
                                 const CompileOptions &options) {
  PassManager manager(module.getContext());
  ExecPipelineOptions pipeline;
  if (!options.roundLike.empty() &&
      failed(readRounded(module, options.roundLike, pipeline)))
    return failure();
  bool isGPU = GPUTarget::isGPU(options.target);
  if (isGPU)
    pipeline.target = "nvptx";
  pipeline.maxRows = options.maxRows;
  pipeline.maxBatch = options.maxBatch;
  pipeline.maxContext = options.maxContext;
  pipeline.taps = options.taps;
  // What skipping gains is known of CPUs alone: on a GPU nothing falls back.
  pipeline.force = options.force || isGPU;
  pipeline.tuning = options.tuning;
  // A module straight from the importer has no prune.gemm yet.
  WalkResult applied =
      module.walk([](prune::GemmOp) { return WalkResult::interrupt(); });
  if (!applied.wasInterrupted()) {
    prune::PruneApplyPlanOptions plan;
    plan.directory = options.inputDirectory;
    manager.addPass(prune::createPruneApplyPlan(plan));
  }
  if (options.oracle)
    buildPruneToOracleExecPipeline(manager, pipeline);
  else
    buildPruneToExecPipeline(manager, pipeline);
  return manager.run(module);
}

/// The instruction sets to emit code for, best first.
static FailureOr<SmallVector<CPUTarget>>
chooseISAs(ModuleOp module, decoder::ModelAttr model,
           const CompileOptions &options) {
  std::string list = options.isa;
  if (list.empty()) {
    // The oracle's plain loops gain nothing from wider vectors.
    list = "avx2";
    if (!options.oracle)
      list += model.getDtype().isBF16() ? ",avx512_bf16" : ",avx512";
    // Tiles where they are: few CPUs have them, and code for one more
    // instruction set takes half as long again to compile.
    if (!options.oracle && model.getDtype().isBF16() &&
        rt::hasCpuFeature("amx_bf16"))
      list += ",amx_bf16";
  }
  SmallVector<StringRef> names;
  StringRef(list).split(names, ',');
  SmallVector<CPUTarget> targets;
  for (StringRef name : names) {
    std::string message;
    FailureOr<CPUTarget> target = CPUTarget::parse(name, message);
    if (failed(target))
      return emitOutsideError(module) << message;
    if (llvm::any_of(targets, [&](const CPUTarget &other) {
          return other.isa == target->isa;
        }))
      return emitOutsideError(module)
             << "instruction set '" << target->name() << "' is given twice";
    targets.push_back(*target);
  }
  llvm::sort(targets, [](const CPUTarget &a, const CPUTarget &b) {
    return a.isa > b.isa;
  });
  return targets;
}

static LogicalResult writePart(ModuleOp module, StringRef directory,
                               StringRef name, std::string_view text) {
  SmallString<128> path(directory);
  llvm::sys::path::append(path, name);
  if (rt::Status status = rt::writeFile(std::string(path), text); !status.ok())
    return emitOutsideError(module)
           << "cannot write " << path << ": " << status.message();
  return success();
}

static LogicalResult copyTokenizer(ModuleOp module, decoder::ModelAttr model,
                                   StringRef directory,
                                   const CompileOptions &options,
                                   ProgramRecords &records) {
  if (model.getTokenizer().empty())
    return success();
  SmallString<128> path(options.inputDirectory);
  if (llvm::sys::path::is_absolute(model.getTokenizer()))
    path = model.getTokenizer();
  else
    llvm::sys::path::append(path, model.getTokenizer());
  auto file = rt::MappedFile::open(std::string(path));
  if (!file)
    return emitOutsideError(module)
           << "cannot read the tokenizer: " << file.status().message();
  std::string_view text = file->text();
  const char *name =
      rt::isHuggingFaceTokenizer(text) ? "tokenizer.json" : "tokenizer.bin";
  records.files.push_back(
      {name, rt::sha256(text), static_cast<int64_t>(text.size())});
  return writePart(module, directory, name, text);
}

/// The GPUs among the targets; none: it is the CPU. Every name in the list must
/// be one that there is code for. Programs for a CPU and for GPUs have weights
/// in different layouts, so that a bundle is for one or the other.
static FailureOr<SmallVector<GPUTarget>>
chooseGPUs(ModuleOp module, const CompileOptions &options) {
  SmallVector<StringRef> names;
  StringRef(options.target).split(names, ',');
  SmallVector<GPUTarget> gpus;
  for (auto [index, name] : llvm::enumerate(names)) {
    if (llvm::is_contained(ArrayRef(names).take_front(index), name))
      return emitOutsideError(module)
             << "target '" << name << "' is given twice";
    if (name == "cpu")
      continue;
    std::string error;
    FailureOr<GPUTarget> gpu = GPUTarget::parse(name, error);
    if (!GPUTarget::isGPU(name))
      return emitOutsideError(module)
             << "unknown target '" << name
             << "', expected one of: " << getKnownTargets();
    if (failed(gpu))
      return emitOutsideError(module) << error;
    gpus.push_back(*gpu);
  }
  if (!gpus.empty() && gpus.size() != names.size())
    return emitOutsideError(module)
           << "expected targets that are all CPUs or all GPUs, found '"
           << options.target << "': compile a bundle for each";
  if (!gpus.empty() && options.oracle)
    return emitOutsideError(module)
           << "expected target 'cpu' for the oracle, found '" << options.target
           << "'";
  if (!gpus.empty() && !options.isa.empty())
    return emitOutsideError(module)
           << "instruction sets are of target 'cpu', found '" << options.isa
           << "' for target '" << options.target << "'";
  return gpus;
}

//===----------------------------------------------------------------------===//
// The whole
//===----------------------------------------------------------------------===//

static FailureOr<decoder::ModelAttr> findModel(ModuleOp module) {
  auto model =
      module->getAttrOfType<decoder::ModelAttr>(decoder::kModelAttrName);
  if (!model)
    return module.emitError("expected a module with a #decoder.model as '")
           << decoder::kModelAttrName << "': import the model first";
  return model;
}

/// Runs `part` and adds what it took to `seconds`.
static LogicalResult timed(double &seconds,
                           llvm::function_ref<LogicalResult()> part) {
  auto start = std::chrono::steady_clock::now();
  LogicalResult result = part();
  seconds +=
      std::chrono::duration<double>(std::chrono::steady_clock::now() - start)
          .count();
  return result;
}

LogicalResult coppice::compileToBundle(ModuleOp module,
                                       const CompileOptions &options) {
  FailureOr<SmallVector<GPUTarget>> gpus = chooseGPUs(module, options);
  if (failed(gpus))
    return failure();
  FailureOr<decoder::ModelAttr> model = findModel(module);
  if (failed(model))
    return failure();
  auto fail = [&](llvm::Error error) -> LogicalResult {
    return emitOutsideError(module) << llvm::toString(std::move(error));
  };
  FailureOr<SmallVector<CPUTarget>> isas = chooseISAs(module, *model, options);
  if (failed(isas))
    return failure();
  // First of all, so that a bad target costs no work.
  llvm::Expected<AtomicDirectory> directory =
      AtomicDirectory::create(options.output, bundleKind);
  if (!directory)
    return fail(directory.takeError());

  CompileSeconds parts;
  PlanRecord plan = readPlans(module);
  if (failed(
          timed(parts.planning, [&] { return runPipeline(module, options); })))
    return failure();
  auto programs = module.getOps<exec::ProgramOp>();
  exec::ProgramOp program = *programs.begin();

  ProgramRecords records;
  PackOptions pack;
  pack.inputDirectory = options.inputDirectory;
  pack.allowNonFinite = options.allowNonFinite;
  pack.progress = options.talk;
  auto writeWeights = [&] {
    return packWeights(program, directory->path(), pack, records);
  };
  auto writeCode = [&] {
    auto kernels = module.lookupSymbol<ModuleOp>(exec::kernelsModuleName);
    if (!gpus->empty())
      return emitGPUKernels(kernels, *gpus, directory->path(), records.targets);
    return emitKernels(kernels, *isas, directory->path(), records.targets,
                       {options.objects, options.unoptimized});
  };
  if (failed(timed(parts.weights, writeWeights)) ||
      failed(
          copyTokenizer(module, *model, directory->path(), options, records)) ||
      failed(timed(parts.code, writeCode)))
    return failure();
  if (options.seconds)
    *options.seconds = parts;

  records.model = recordModel(*model);
  records.plan = recordPlan(plan, countParameters(module, program),
                            model->getParameters());
  std::vector<rt::Fallback> fallbacks = readFallbacks(module);
  tellFallbacks(program, fallbacks, options.talk);
  records.fallbacks = recordFallbacks(fallbacks);
  FailureOr<llvm::json::Value> json =
      programToJson(program, std::move(records));
  if (failed(json))
    return failure();
  std::string text;
  llvm::raw_string_ostream(text) << llvm::formatv("{0}\n", *json);
  if (failed(writePart(module, directory->path(), "program.json", text)))
    return failure();
  if (llvm::Error error = directory->commit())
    return fail(std::move(error));
  return success();
}

FailureOr<std::string> coppice::compileToCosts(ModuleOp module,
                                               const CompileOptions &options) {
  FailureOr<decoder::ModelAttr> model = findModel(module);
  if (failed(model))
    return failure();
  PlanRecord plan = readPlans(module);
  if (failed(runPipeline(module, options)))
    return failure();
  exec::ProgramOp program = *module.getOps<exec::ProgramOp>().begin();

  // Weights must be somewhere for the reader; nobody looks there.
  constexpr llvm::StringLiteral nowhere = "weights.safetensors";
  ProgramRecords records;
  records.files.push_back({nowhere.str(), std::string(64, '0'), 0});
  for (auto weight : program.getOps<exec::WeightOp>())
    records.storages.push_back(Object{
        {"file", nowhere}, {"key", llvm::json::fixUTF8(weight.getName())}});
  records.model = recordModel(*model);
  records.plan = recordPlan(plan, countParameters(module, program),
                            model->getParameters());
  std::vector<rt::Fallback> fallbacks = readFallbacks(module);
  tellFallbacks(program, fallbacks, options.talk);
  records.fallbacks = recordFallbacks(fallbacks);
  FailureOr<llvm::json::Value> json =
      programToJson(program, std::move(records));
  if (failed(json))
    return failure();
  return llvm::formatv("{0}", *json).str();
}
