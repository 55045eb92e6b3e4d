// Comes in: the name of a source. Goes out: model.mlir, and a weight file where
// the source's own cannot be used as it is.
//
// A source is opened and checked as a whole before anything is written. Then
// both outputs are made under temporary names, and renamed at the very end.
#include "coppice/Import/Import.h"

#include "coppice/Dialect/Decoder/IR/Decoder.h"
#include "coppice/Dialect/Decoder/Transforms/Passes.h"
#include "coppice/Import/HuggingFace.h"
#include "coppice/Import/Llama2C.h"
#include "coppice/Import/ModelBuilder.h"
#include "coppice/Import/PatternCheck.h"
#include "coppice/Import/Presets.h"
#include "runtime/base/atomic_file.h"
#include "runtime/base/concat.h"
#include "runtime/base/json_check.h"
#include "runtime/base/sha256.h"
#include "runtime/tokenizer/tokenizer.h"

#include "mlir/IR/Diagnostics.h"
#include "mlir/IR/MLIRContext.h"
#include "mlir/IR/Verifier.h"

#include "llvm/ADT/ScopeExit.h"
#include "llvm/ADT/StringRef.h"

#include <filesystem>

namespace fs = std::filesystem;

namespace coppice {

namespace {
/// What all kinds of sources come to.
struct OpenedSource {
  ModelDescription description;
  std::string sourceSha256;
  std::vector<std::string> filesRead;
  bool generated = false;
  WeightSource weights;   // where not generated
  std::string usableFile; // weights that can stay where they are
  std::string usableSha256;
  std::string note; // what a reader should know
};
} // namespace

static rt::Result<OpenedSource> openSource(const ImportOptions &options) {
  llvm::StringRef name = options.source;
  std::error_code ignored;
  OpenedSource source;
  if (name.consume_front("preset:")) {
    auto description = findPreset(name);
    if (!description)
      return description.status();
    source.description = *std::move(description);
    source.generated = true;
    source.sourceSha256 =
        rt::sha256(rt::concat(options.source, " seed ", options.seed));
    return source;
  }
  const fs::path path(options.source);
  if (fs::is_directory(path, ignored)) {
    auto model = openHuggingFace(options.source);
    if (!model)
      return model.status();
    source.description = std::move(model->description);
    source.description.name = fs::canonical(path, ignored).filename();
    source.filesRead = std::move(model->filesRead);
    source.weights = std::move(model->weights);
    source.usableFile = std::move(model->singleFile);
    source.usableSha256 = std::move(model->weightsSha256);
    source.sourceSha256 = std::move(model->sourceSha256);
    source.note = std::move(model->note);
    return source;
  }
  if (!fs::exists(path, ignored))
    return rt::ioError(options.source + ": no such file or directory");
  if (path.extension() == ".bin") {
    auto model = openLlama2C(options.source);
    if (!model)
      return model.status();
    source.description = std::move(model->description);
    source.description.name = path.stem();
    source.filesRead = {options.source};
    source.weights = std::move(model->weights);
    source.sourceSha256 = std::move(model->sourceSha256);
    return source;
  }
  return rt::unsupported(rt::concat(
      options.source, ": expected a Hugging Face directory, a llama2.c .bin "
                      "or preset:NAME"));
}

//===----------------------------------------------------------------------===//
// Checks
//===----------------------------------------------------------------------===//

/// The type that weights are stored in.
static rt::Result<rt::DType> chooseDType(const ImportOptions &options,
                                         const OpenedSource &source) {
  if (source.generated)
    return options.dtype.value_or(rt::DType::BF16);
  for (const TensorView &tensor : source.weights.tensors)
    if (!rt::isFloat(tensor.dtype))
      return rt::unsupported(
          rt::concat(options.source, ": tensor ", rt::quote(tensor.name),
                     ": expected floating-point numbers, found ",
                     rt::nameOf(tensor.dtype)));
  if (options.dtype)
    return *options.dtype;
  auto common = commonDType(source.weights.tensors);
  if (!common)
    return common.status().at(options.source);
  return common;
}

/// The path of the tokenizer: the one that is named, or a Hugging Face
/// directory's own; empty: none. It has been read and belongs to the model.
static rt::Result<std::string> chooseTokenizer(const ImportOptions &options,
                                               int64_t vocabulary) {
  std::string path = options.tokenizer, remedy;
  std::error_code ignored;
  if (options.withoutTokenizer && !path.empty())
    return rt::invalidArgument(
        "--tokenizer, --no-tokenizer: expected one of them, found both");
  if (options.withoutTokenizer)
    return path;
  if (path.empty() && fs::is_directory(options.source, ignored)) {
    path = (fs::path(options.source) / "tokenizer.json").string();
    if (!fs::exists(path, ignored))
      return std::string();
    remedy = "; --no-tokenizer imports the model without it";
  }
  if (path.empty())
    return path;
  auto tokenizer = rt::Tokenizer::load(path, vocabulary);
  if (!tokenizer)
    return rt::Status(tokenizer.status().code(),
                      tokenizer.status().message() + remedy);
  return path;
}

/// Outputs must not replace what is being read, nor each other.
static rt::Status checkOutputs(const ImportOptions &options,
                               const OpenedSource &source,
                               const std::string &tokenizer,
                               const std::string &weights) {
  auto same = [](const std::string &a, const std::string &b) {
    std::error_code error;
    if (fs::equivalent(a, b, error) && !error)
      return true;
    return fs::weakly_canonical(a, error) == fs::weakly_canonical(b, error);
  };
  std::vector<std::string> inputs = source.filesRead;
  if (!tokenizer.empty())
    inputs.push_back(tokenizer);
  for (const std::string &output : {options.output, weights})
    for (const std::string &input : inputs)
      if (!output.empty() && same(output, input))
        return rt::invalidArgument(
            output + ": is read from and would be overwritten; choose another "
                     "output");
  if (!weights.empty() && same(weights, options.output))
    return rt::invalidArgument(weights +
                               ": is the name of both the module and the "
                               "weights; choose another --weights-out");
  return {};
}

//===----------------------------------------------------------------------===//
// Module
//===----------------------------------------------------------------------===//

/// The path by which a file is found from the module's directory. Directories
/// are resolved, so that ".." means what the file system says; the file itself
/// is not, so that a link keeps its name.
static std::string relativeTo(const std::string &file,
                              const std::string &module) {
  std::error_code error;
  auto directory = [&](const fs::path &path) {
    return fs::weakly_canonical(
        path.has_parent_path() ? path.parent_path() : fs::path("."), error);
  };
  fs::path full = directory(file) / fs::path(file).filename();
  fs::path relative = full.lexically_relative(directory(module));
  return relative.empty() ? full : relative;
}

/// The text of the module.
static rt::Result<std::string>
moduleText(const ImportOptions &options, const OpenedSource &source,
           rt::DType dtype, const ModelOrigin &origin, bool isWritten) {
  mlir::MLIRContext context(mlir::MLIRContext::Threading::DISABLED);
  std::string problems;
  mlir::ScopedDiagnosticHandler handler(&context, [&](mlir::Diagnostic &d) {
    problems += d.str() + " ";
    return mlir::success();
  });
  context.loadDialect<decoder::DecoderDialect>();
  llvm::StringMap<const TensorView *> tensors;
  for (const TensorView &tensor : source.weights.tensors)
    tensors[tensor.name] = &tensor;
  auto locate = [&](const ModelWeight &weight) -> mlir::Attribute {
    if (!source.generated) {
      // A file that has been written has each weight under its own name.
      const TensorView *tensor = tensors.lookup(weight.key);
      const bool asItIs = tensor && !isWritten;
      mlir::DenseI64ArrayAttr rows;
      if (asItIs && tensor->isPartOfTensor())
        rows = mlir::DenseI64ArrayAttr::get(
            &context,
            {tensor->firstRow, tensor->firstRow + tensor->shape.front()});
      return decoder::FileAttr::get(&context, origin.weights,
                                    asItIs ? tensor->inTensor : weight.key,
                                    rows);
    }
    GeneratedScale scale = generatedScale(weight);
    return decoder::GeneratedAttr::get(&context, options.seed, weight.symbol,
                                       scale.stddev, scale.mean);
  };
  auto module = buildModel(context, source.description, dtype, origin, locate);
  if (mlir::failed(mlir::verify(*module)) ||
      mlir::failed(decoder::checkModel(*module)))
    return rt::internalError("the imported module is not valid: " + problems);
  std::string text;
  llvm::raw_string_ostream stream(text);
  module->print(stream);
  stream << "\n";
  return text;
}

static void report(const ImportOptions &options, const OpenedSource &source,
                   rt::DType dtype, const std::string &weightFile,
                   const std::string &tokenizer, llvm::raw_ostream &talk) {
  const ModelDescription &m = source.description;
  talk << "imported " << m.name << ": " << m.family << ", "
       << countParameters(m) << " parameters, " << m.layers.size()
       << " layers, " << std::string(rt::nameOf(dtype)) << "; weights ";
  if (source.generated)
    talk << "generated from seed " << options.seed;
  else
    talk << "in " << weightFile;
  if (!tokenizer.empty())
    talk << "; tokenizer " << tokenizer;
  talk << "\n";
  if (!source.note.empty())
    talk << "sizes of layers are those of their tensors: " << source.note
         << "\n";
}

rt::Status importModel(const ImportOptions &options, llvm::raw_ostream &talk) {
  auto source = openSource(options);
  if (!source)
    return source.status();
  if (options.withoutPatterns)
    source->description.patterns.clear();
  auto dtype = chooseDType(options, *source);
  if (!dtype)
    return dtype.status();
  auto tokenizer = chooseTokenizer(options, source->description.vocabulary);
  if (!tokenizer)
    return tokenizer.status();

  // A file that has the model as it should be stays where it is.
  std::string weightFile = source->usableFile;
  const bool asItIs =
      !weightFile.empty() && options.weightsOutput.empty() &&
      llvm::all_of(source->weights.tensors, [&](const TensorView &tensor) {
        return tensor.dtype == *dtype;
      });
  const bool write = !source->generated && !asItIs;
  if (source->generated && !options.weightsOutput.empty())
    return rt::invalidArgument(
        "--weights-out: a preset's weights are generated where they are used; "
        "there is nothing to write");
  if (write)
    weightFile =
        options.weightsOutput.empty()
            ? std::string(
                  fs::path(options.output).replace_extension(".safetensors"))
            : options.weightsOutput;
  if (auto s =
          checkOutputs(options, *source, *tokenizer, write ? weightFile : "");
      !s.ok())
    return s;
  if (!options.allowNonFinite)
    if (auto s = refuseNonFinite(source->weights.tensors); !s.ok())
      return s.at(options.source);
  if (auto s =
          refuseFalsePatterns(source->description, source->weights.tensors);
      !s.ok())
    return s.at(options.source);

  // The module's file first: where it cannot be, no time is lost on weights.
  auto moduleFile = rt::AtomicFile::create(options.output);
  if (!moduleFile)
    return moduleFile.status();
  ModelOrigin origin;
  origin.sourceSha256 = source->sourceSha256;
  origin.weightsSha256 = source->usableSha256;
  rt::SafetensorsWriter writer;
  if (write) {
    if (auto s =
            writeTensors(source->weights.tensors, *dtype, weightFile, writer);
        !s.ok())
      return s;
    origin.weightsSha256 = writer.sha256();
  }
  if (!source->generated)
    origin.weights = relativeTo(weightFile, options.output);
  if (!tokenizer->empty())
    origin.tokenizer = relativeTo(*tokenizer, options.output);

  auto text = moduleText(options, *source, *dtype, origin, write);
  if (!text)
    return text.status();
  if (auto s = moduleFile->write(*text); !s.ok())
    return s;
  if (auto s = moduleFile->flush(); !s.ok())
    return s;
  std::error_code ignored;
  const bool existed = fs::exists(weightFile, ignored);
  if (write)
    if (auto s = writer.commit(); !s.ok())
      return s;
  if (auto s = moduleFile->commit(); !s.ok()) {
    if (write && !existed) // a lone weight file is half of an import
      fs::remove(weightFile, ignored);
    return s;
  }
  report(options, *source, *dtype, weightFile, *tokenizer, talk);
  return {};
}

} // namespace coppice
