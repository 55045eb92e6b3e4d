// Comes in: model.mlir or pruned.mlir, as a module. Goes out: a directory that
// any reader of Hugging Face checkpoints knows its way around.
//
// The module is propagated as for compilation. What is left is read as the
// description of a model, of which an importer would make the very same program
// (MatchModel.cpp says so, or it is refused), and weights are streamed from
// where they are. All goes to a temporary directory that takes the target's
// place at the end.
#include "coppice/Export/Export.h"

#include "NarrowModel.h"
#include "WeightStream.h"
#include "coppice/Bundle/AtomicDirectory.h"
#include "coppice/Dialect/Decoder/IR/Decoder.h"
#include "coppice/Dialect/Decoder/Transforms/Passes.h"
#include "coppice/Dialect/Prune/IR/Prune.h"
#include "coppice/Dialect/Prune/Transforms/Passes.h"
#include "coppice/Import/BitmaskLayout.h"
#include "coppice/Import/HuggingFace.h"
#include "coppice/Schedule/Passes.h"
#include "runtime/base/atomic_file.h"
#include "runtime/base/mapped_file.h"
#include "runtime/tokenizer/tokenizer.h"

#include "mlir/IR/AttrTypeSubElements.h"
#include "mlir/Pass/PassManager.h"
#include "llvm/ADT/SetVector.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/FormatVariadic.h"
#include "llvm/Support/Path.h"

#include <filesystem>

using namespace mlir;
using namespace coppice;
namespace fs = std::filesystem;
namespace json = llvm::json;

static const DirectoryKind checkpointKind = {
    "exported checkpoint", "config.json", "that has 'coppice'",
    [](const json::Object &config) {
      const json::Object *ours = config.getObject("coppice");
      std::optional<StringRef> schema =
          ours ? ours->getString("schema") : std::nullopt;
      return schema && schema->starts_with("coppice.checkpoint/");
    }};

namespace {
class Exporter {
public:
  Exporter(ModuleOp module, const ExportOptions &options)
      : module(module), options(options) {}

  LogicalResult run();

private:
  LogicalResult propagate();
  LogicalResult refuseRetained();
  LogicalResult refuseRoutes();
  LogicalResult refuseSparseInputs();
  LogicalResult checkSource();
  std::vector<std::string> listFilesRead();
  LogicalResult writeWeights(WeightStream &weights);
  LogicalResult writeShard(WeightStream &weights, const std::string &file,
                           ArrayRef<const CheckpointTensor *> tensors);
  LogicalResult writeText(StringRef file, std::string_view text);
  LogicalResult copyTokenizer();
  LogicalResult compressPatterns(WeightStream &weights,
                                 HuggingFaceConfigText &config, bool isTied);
  void report(const NarrowModel &model, const HuggingFaceConfigText &config);

  /// For what no line of the module is to blame for.
  InFlightDiagnostic emitOutsideError() {
    return emitError(UnknownLoc::get(module.getContext()));
  }
  std::string pathOf(StringRef file) {
    return (fs::path(directory) / file.str()).string();
  }

  ModuleOp module;
  const ExportOptions &options;
  std::string directory; // where to write
  std::string filesText; // for the report
};
} // namespace

/// A weight of which some rows stay beside the factors of the others is two
/// matrices and a pair of factors, and which row is whose.
LogicalResult Exporter::refuseRetained() {
  WalkResult retained = module.walk([](prune::ReplaceOp op) {
    if (!op.getRetainAttr())
      return WalkResult::advance();
    op.emitError("cannot be exported: rows of the weight of '")
        << op.getSite()
        << "' are retained beside the factors of the others, which no "
           "checkpoint has keys for; without 'retain' (--retained-ratio 0) it "
           "is two factors, and can be";
    return WalkResult::interrupt();
  });
  return failure(retained.wasInterrupted());
}

/// Zeros for what is small in the input of a weight are no part of a
/// checkpoint.
LogicalResult Exporter::refuseSparseInputs() {
  WalkResult sparse = module.walk([](prune::GemmOp op) {
    if (!op.getInputZeros())
      return WalkResult::advance();
    op.emitError("cannot be exported: what '")
        << op.getSite()
        << "' reads is zero where it is small, which no checkpoint says; "
           "without 'prune.activations' (--activation-sparsity) it can be";
    return WalkResult::interrupt();
  });
  return failure(sparse.wasInterrupted());
}

/// A sublayer whose rows a router chooses is another program than any that a
/// description says: better said of the route than of what it leaves.
LogicalResult Exporter::refuseRoutes() {
  WalkResult routed = module.walk([](prune::ProjectByOp op) {
    op.emitError("cannot be exported: expected sublayers that compute all "
                 "rows whole, found '")
        << op.getSite()
        << "', of whose rows a router chooses, which no checkpoint has keys "
           "for; without 'prune.route' (--dynamic-m, --dynamic-n, --dynamic-k) "
           "the model can be exported";
    return WalkResult::interrupt();
  });
  return failure(routed.wasInterrupted());
}

/// To the program that is left, as compilation does it.
LogicalResult Exporter::propagate() {
  PassManager passes(module.getContext());
  passes.addPass(decoder::createDecoderCheckModel());
  WalkResult applied =
      module.walk([](prune::GemmOp) { return WalkResult::interrupt(); });
  if (!applied.wasInterrupted()) {
    prune::PruneApplyPlanOptions plan;
    plan.directory = options.inputDirectory;
    passes.addPass(prune::createPruneApplyPlan(plan));
  }
  if (failed(passes.run(module)) || failed(refuseRetained()) ||
      failed(refuseRoutes()) || failed(refuseSparseInputs()))
    return failure();
  passes.clear();
  passes.addPass(prune::createPruneExpandReplaced());
  passes.addPass(prune::createPrunePropagate());
  passes.addPass(prune::createPruneFoldRestricts());
  passes.addPass(createPruneFormGathers());
  if (failed(passes.run(module)))
    return failure();
  // What is between two factors is a value of the model that has them.
  module.walk([](prune::GemmOp gemm) {
    if (gemm.getValue() == StringRef())
      gemm.removeValueAttr();
  });
  return success();
}

/// What the module names: weights, tokenizer, files of its plan; and, for the
/// module's own file, any name in its directory.
std::vector<std::string> Exporter::listFilesRead() {
  llvm::SetVector<StringRef> names;
  AttrTypeWalker walker;
  walker.addWalk([&](decoder::FileAttr file) { names.insert(file.getPath()); });
  walker.addWalk([&](prune::FileSetAttr file) {
    names.insert(file.getPath().getValue());
  });
  walker.addWalk([&](decoder::ModelAttr model) {
    names.insert(model.getWeights());
    names.insert(model.getTokenizer());
  });
  module->walk([&](Operation *op) {
    walker.walk(op->getAttrDictionary());
    if (auto factor = dyn_cast<prune::FactorOp>(op))
      names.insert(factor.getFile().value_or(""));
    if (auto mask = dyn_cast<prune::MaskOp>(op))
      names.insert(mask.getFile().value_or(""));
    if (auto route = dyn_cast<prune::RouteOp>(op))
      names.insert(route.getFile().value_or(""));
  });
  names.remove("");
  const fs::path directory(options.inputDirectory);
  std::vector<std::string> files{directory / "module.mlir"};
  for (StringRef name : names)
    files.push_back(directory / name.str());
  return files;
}

/// Does replacing `target` take `file` away, or what it is a link to?
static bool isInside(const fs::path &file, const fs::path &target) {
  std::error_code error;
  const fs::path absolute = fs::absolute(file, error);
  for (fs::path folder : {fs::weakly_canonical(absolute.parent_path(), error),
                          fs::weakly_canonical(absolute, error).parent_path()})
    for (; folder.has_relative_path(); folder = folder.parent_path())
      if (fs::equivalent(folder, target, error))
        return true;
  return false;
}

/// What is read must still be there afterwards: the module reads it, too.
LogicalResult Exporter::checkSource() {
  for (const std::string &file : listFilesRead())
    if (isInside(file, options.output))
      return emitOutsideError()
             << options.output
             << ": is read from and would be replaced; choose another output";
  return success();
}

LogicalResult Exporter::writeText(StringRef file, std::string_view text) {
  if (rt::Status status = rt::writeFile(pathOf(file), text); !status.ok())
    return emitOutsideError() << status.message();
  return success();
}

LogicalResult Exporter::writeShard(WeightStream &weights,
                                   const std::string &file,
                                   ArrayRef<const CheckpointTensor *> tensors) {
  auto check = [&](const rt::Status &status) -> LogicalResult {
    if (status.ok())
      return success();
    return emitOutsideError() << "cannot write weights: " << status.message();
  };
  rt::SafetensorsWriter writer;
  for (const CheckpointTensor *tensor : tensors)
    if (failed(
            check(writer.declare(tensor->key, tensor->dtype, tensor->shape))))
      return failure();
  writer.setMetadata("format", "pt"); // readers of the field ask for it
  if (failed(check(writer.begin(pathOf(file)))))
    return failure();
  for (const CheckpointTensor *tensor : tensors)
    if (failed(weights.write(*tensor, writer)))
      return failure();
  return check(writer.commit());
}

LogicalResult Exporter::writeWeights(WeightStream &weights) {
  std::vector<std::vector<const CheckpointTensor *>> shards(1);
  int64_t total = 0, inShard = 0;
  for (const CheckpointTensor &tensor : weights.tensors()) {
    if (!shards.back().empty() &&
        inShard + tensor.bytes() > options.maxShardBytes) {
      shards.emplace_back();
      inShard = 0;
    }
    shards.back().push_back(&tensor);
    inShard += tensor.bytes();
    total += tensor.bytes();
  }
  if (shards.size() == 1) {
    filesText = "model.safetensors";
    return writeShard(weights, filesText, shards.front());
  }
  json::Object map;
  for (auto [i, shard] : llvm::enumerate(shards)) {
    std::string file = llvm::formatv("model-{0,0+5}-of-{1,0+5}.safetensors",
                                     i + 1, shards.size());
    for (const CheckpointTensor *tensor : shard)
      map[tensor->key] = file;
    if (failed(writeShard(weights, file, shard)))
      return failure();
  }
  filesText = llvm::formatv("{0} files of weights", shards.size());
  json::Object index{{"metadata", json::Object{{"total_size", total}}},
                     {"weight_map", std::move(map)}};
  return writeText(
      "model.safetensors.index.json",
      llvm::formatv("{0:2}\n", json::Value(std::move(index))).str());
}

/// The tokenizer, under the name that its kind has, and what other tools look
/// for beside it.
LogicalResult Exporter::copyTokenizer() {
  auto model =
      module->getAttrOfType<decoder::ModelAttr>(decoder::kModelAttrName);
  if (model.getTokenizer().empty())
    return success();
  fs::path path =
      fs::path(options.inputDirectory) / fs::path(model.getTokenizer().str());
  auto file = rt::MappedFile::open(path);
  if (!file)
    return emitOutsideError()
           << "cannot read the tokenizer: " << file.status().message();
  const bool isHuggingFace = rt::isHuggingFaceTokenizer(file->text());
  StringRef name = isHuggingFace ? "tokenizer.json" : "tokenizer.bin";
  if (failed(writeText(name, file->text())))
    return failure();
  filesText += (", " + name).str();
  if (!isHuggingFace)
    return success();
  for (StringRef other :
       {"tokenizer_config.json", "special_tokens_map.json", "added_tokens.json",
        "chat_template.jinja", "tokenizer.model", "vocab.json", "merges.txt"}) {
    fs::path beside = path.parent_path() / other.str();
    std::error_code ignored;
    if (!fs::is_regular_file(beside, ignored))
      continue;
    auto text = rt::MappedFile::open(beside);
    if (!text)
      return emitOutsideError()
             << "cannot read the tokenizer: " << text.status().message();
    if (failed(writeText(other, text->text())))
      return failure();
  }
  return success();
}

/// Weights that are 2:4 as compressed-tensors stores them, and the key by which
/// it knows.
LogicalResult Exporter::compressPatterns(WeightStream &weights,
                                         HuggingFaceConfigText &config,
                                         bool isTied) {
  if (options.patternLayout != PatternLayout::CompressedTensors)
    return success();
  std::vector<std::string> others;
  if (weights.compressPatterns(others) == 0)
    return emitOutsideError()
           << "expected weights with 2:4 sparsity and a multiple of 4 columns "
              "to be stored as compressed-tensors does, found none";
  if (isTied) // a layer of the model all the same
    others.push_back("lm_head");
  llvm::Expected<json::Value> object = json::parse(config.json);
  if (!object)
    return emitOutsideError() << llvm::toString(object.takeError());
  (*object->getAsObject())["quantization_config"] = json::Object{
      {"quant_method", "compressed-tensors"},
      {"sparsity_config", json::Object{{"format", StringRef(bitmaskFormat)},
                                       {"sparsity_structure", "2:4"},
                                       {"targets", json::Array{"Linear"}},
                                       {"ignore", json::Array(others)}}}};
  config.json = llvm::formatv("{0:2}\n", *object).str();
  return success();
}

void Exporter::report(const NarrowModel &model,
                      const HuggingFaceConfigText &config) {
  if (!options.talk)
    return;
  const ModelDescription &m = model.description;
  *options.talk << "exported " << m.name << " to " << options.output << ": "
                << countParameters(m) << " parameters, " << m.layers.size()
                << " layers, " << std::string(rt::nameOf(model.dtype)) << "; "
                << filesText << "\n";
  if (config.isExtended)
    *options.talk
        << "note: only tools that know the model_type '" << extendedTypePrefix
        << "..' can read it: layers lack halves, the hidden dimension "
           "is pruned, or weights are two factors "
           "(docs/export.md)\n";
}

LogicalResult Exporter::run() {
  // First of all, so that a bad target costs no work.
  auto output = AtomicDirectory::create(options.output, checkpointKind);
  if (!output)
    return emitOutsideError() << llvm::toString(output.takeError());
  directory = output->path();

  if (failed(checkSource()) || failed(propagate()))
    return failure();
  FailureOr<NarrowModel> model = readNarrowModel(module);
  if (failed(model) || failed(matchModel(module, *model)))
    return failure();
  auto config = writeHuggingFaceConfig(model->description, model->dtype);
  if (!config)
    return emitOutsideError()
           << "cannot be exported: " << config.status().message();

  WeightStream weights(module, *model, options.inputDirectory);
  if (failed(weights.collect(*config->architecture)) ||
      failed(compressPatterns(weights, *config, model->description.tied)) ||
      failed(writeWeights(weights)) || failed(weights.checkImported()) ||
      failed(copyTokenizer()) || failed(writeText("config.json", config->json)))
    return failure();
  if (llvm::Error error = output->commit())
    return emitOutsideError() << llvm::toString(std::move(error));
  report(*model, *config);
  return success();
}

LogicalResult coppice::exportCheckpoint(ModuleOp module,
                                        const ExportOptions &options) {
  return Exporter(module, options).run();
}
