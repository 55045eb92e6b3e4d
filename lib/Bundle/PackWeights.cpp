//===- PackWeights.cpp - weights into the layout that kernels read --------===//
// In: exec.weights, whose globals say where the values come from and what of
// them is kept. Out: weights.safetensors, each tensor at a multiple of 64
// bytes, or, for generated weights, the recipe.
//
// Everything is checked before the first byte is written: that files are those
// of the import, that tensors are there with the right type and shape. One
// weight at a time is packed, its rows over all threads, so that memory is
// bounded by the largest.
//===----------------------------------------------------------------------===//
#include "coppice/Bundle/PackWeights.h"

#include "coppice/Analysis/Sites.h"
#include "coppice/Dialect/Decoder/IR/Decoder.h"
#include "runtime/base/packing.h"
#include "runtime/base/safetensors.h"
#include "runtime/base/safetensors_writer.h"
#include "runtime/base/sha256.h"

#include "mlir/Dialect/MLProgram/IR/MLProgram.h"
#include "llvm/ADT/StringMap.h"
#include "llvm/Support/Parallel.h"
#include "llvm/Support/Path.h"
#include "llvm/Support/Process.h"

#include <atomic>
#include <cmath>

using namespace mlir;
using namespace coppice;
using llvm::json::Array;
using llvm::json::Object;

static constexpr llvm::StringLiteral weightsFileName = "weights.safetensors";

namespace {
/// A weight that comes from a file.
struct FileWeight {
  exec::WeightOp op;
  const rt::SafetensorsFile *file;
  const rt::TensorInfo *tensor;
  rt::PackedLayout layout;
};

class WeightPacker {
public:
  WeightPacker(exec::ProgramOp program, const PackOptions &options)
      : program(program), options(options) {}

  LogicalResult collect(ProgramRecords &records);
  LogicalResult write(StringRef directory, ProgramRecords &records);

private:
  FailureOr<const rt::SafetensorsFile *> open(exec::WeightOp weight,
                                              StringRef path);
  LogicalResult collectFile(exec::WeightOp weight, decoder::FileAttr source,
                            ArrayRef<rt::KeptAxis> kept,
                            ProgramRecords &records);
  FailureOr<std::vector<std::byte>> pack(FileWeight &weight);

  exec::ProgramOp program;
  const PackOptions &options;
  llvm::StringMap<rt::SafetensorsFile> files;
  std::vector<FileWeight> weights;
};
} // namespace

static rt::DType getDType(Type type) {
  if (type.isBF16())
    return rt::DType::BF16;
  if (type.isF16())
    return rt::DType::F16;
  return type.isInteger(32) ? rt::DType::I32 : rt::DType::F32;
}

/// What the global holds of the dense weight, in elements.
static std::vector<rt::KeptAxis> getKeptAxes(Operation *global) {
  std::vector<rt::KeptAxis> axes;
  for (const KeptAxis &kept :
       parseKept(global->getDiscardableAttr("prune.kept"))) {
    rt::KeptAxis axis{kept.axis, {}};
    for (prune::IndexRange range : kept.set.getRanges())
      axis.ranges.push_back({range.begin * kept.set.getGranule(),
                             range.end * kept.set.getGranule()});
    axes.push_back(std::move(axis));
  }
  return axes;
}

static Array keptToJson(ArrayRef<rt::KeptAxis> kept) {
  Array list;
  for (const rt::KeptAxis &axis : kept) {
    Array ranges;
    for (auto [begin, end] : axis.ranges)
      ranges.push_back(Array{begin, end});
    list.push_back(Array{axis.axis, std::move(ranges)});
  }
  return list;
}

static std::string shapeText(ArrayRef<int64_t> shape) {
  std::string text;
  llvm::raw_string_ostream os(text);
  os << "[";
  llvm::interleaveComma(shape, os);
  os << "]";
  return text;
}

/// Opens a weight file once, and sees to it that it is the one that was
/// imported.
FailureOr<const rt::SafetensorsFile *> WeightPacker::open(exec::WeightOp weight,
                                                          StringRef path) {
  auto [entry, isNew] = files.try_emplace(path);
  if (!isNew)
    return &entry->second;
  SmallString<128> full(options.inputDirectory);
  if (llvm::sys::path::is_absolute(path))
    full = path;
  else
    llvm::sys::path::append(full, path);
  auto opened = rt::SafetensorsFile::open(std::string(full));
  if (!opened)
    return weight.emitError("cannot read its weight file: ")
           << opened.status().message();
  entry->second = *std::move(opened);

  auto model = program->getParentOp()->getAttrOfType<decoder::ModelAttr>(
      decoder::kModelAttrName);
  if (model && model.getWeights() == path &&
      !model.getWeightsSha256().empty()) {
    std::string found = rt::sha256(entry->second.bytes());
    if (model.getWeightsSha256() != found)
      return weight.emitError("weights changed since import: expected ")
             << full << " to have sha256 " << model.getWeightsSha256()
             << ", found " << found << "; import the model again";
  }
  return &entry->second;
}

LogicalResult WeightPacker::collectFile(exec::WeightOp weight,
                                        decoder::FileAttr source,
                                        ArrayRef<rt::KeptAxis> kept,
                                        ProgramRecords &records) {
  FailureOr<const rt::SafetensorsFile *> file = open(weight, source.getPath());
  if (failed(file))
    return failure();
  const rt::TensorInfo *tensor = (*file)->find(std::string(source.getKey()));
  if (!tensor)
    return weight.emitError("expected a tensor '")
           << source.getKey() << "' in " << source.getPath() << ", found none";
  auto type = cast<MemRefType>(weight.getType());
  if (tensor->dtype != getDType(type.getElementType()))
    return weight.emitError("expected tensor '")
           << source.getKey() << "' of " << source.getPath() << " to be "
           << type.getElementType() << ", found "
           << std::string(rt::nameOf(tensor->dtype));
  auto layout =
      rt::PackedLayout::make(tensor->shape, kept,
                             rt::Packing{weight.getPacking().getPanels(),
                                         weight.getPacking().getDepth()});
  if (!layout)
    return weight.emitError("cannot pack tensor '")
           << source.getKey() << "' of shape " << shapeText(tensor->shape)
           << ": " << layout.status().message();
  if (ArrayRef<int64_t>(layout->packedShape()) != type.getShape())
    return weight.emitError("expected shape ")
           << shapeText(type.getShape()) << " packed, found "
           << shapeText(layout->packedShape()) << " from tensor '"
           << source.getKey() << "' of shape " << shapeText(tensor->shape);
  weights.push_back({weight, *file, tensor, *std::move(layout)});
  records.storages.push_back(
      Object{{"file", weightsFileName},
             {"key", llvm::json::fixUTF8(weight.getName())}});
  return success();
}

LogicalResult WeightPacker::collect(ProgramRecords &records) {
  SymbolTableCollection symbols;
  for (auto weight : program.getOps<exec::WeightOp>()) {
    auto global = symbols.lookupNearestSymbolFrom<ml_program::GlobalOp>(
        weight, weight.getGlobalAttr());
    if (!global)
      return weight.emitError("expected a global ") << weight.getGlobalAttr();
    std::vector<rt::KeptAxis> kept = getKeptAxes(global);
    Attribute source = global->getDiscardableAttr(decoder::kSourceAttrName);
    if (auto file = dyn_cast_or_null<decoder::FileAttr>(source)) {
      if (failed(collectFile(weight, file, kept, records)))
        return failure();
    } else if (auto generated =
                   dyn_cast_or_null<decoder::GeneratedAttr>(source)) {
      // The original shape: narrowed axes say how long they were.
      SmallVector<int64_t> shape(cast<ShapedType>(global.getType()).getShape());
      for (const KeptAxis &axis :
           parseKept(global->getDiscardableAttr("prune.kept")))
        shape[axis.axis] = axis.set.getExtent();
      exec::PackingAttr packing = weight.getPacking();
      records.storages.push_back(Object{
          {"generated",
           Object{{"seed", generated.getSeed()},
                  {"name", llvm::json::fixUTF8(generated.getName())},
                  {"stddev", generated.getStddev().getValueAsDouble()},
                  {"mean", generated.getMean().getValueAsDouble()},
                  {"shape", Array(shape)},
                  {"kept", keptToJson(kept)},
                  {"packing", packing.isRows()
                                  ? llvm::json::Value("rows")
                                  : Object{{"panels", packing.getPanels()},
                                           {"depth", packing.getDepth()}}}}}});
    } else {
      return weight.emitError("expected ")
             << weight.getGlobalAttr() << " to have a '"
             << decoder::kSourceAttrName
             << "' that is #decoder.file or #decoder.generated, found "
             << (source ? source : UnitAttr::get(weight.getContext()));
    }
  }
  return success();
}

/// Packs and checks that what is kept is finite.
FailureOr<std::vector<std::byte>> WeightPacker::pack(FileWeight &weight) {
  rt::DType dtype = weight.tensor->dtype;
  int64_t size = rt::sizeOf(dtype);
  std::vector<std::byte> packed(
      static_cast<size_t>(weight.layout.packedElements() * size));
  const std::byte *source = weight.file->data(*weight.tensor).data();

  constexpr int64_t chunk = 64; // rows
  int64_t rows = weight.layout.rowCount();
  std::atomic<int64_t> bad = -1; // index of an element that is not finite
  llvm::parallelFor(0, (rows + chunk - 1) / chunk, [&](size_t index) {
    int64_t begin = static_cast<int64_t>(index) * chunk,
            end = std::min(rows, begin + chunk);
    weight.layout.packRows(source, size, packed.data(), begin, end);
    if (options.allowNonFinite || !rt::isFloat(dtype))
      return;
    weight.layout.forEachRun(begin, end, [&](rt::PackedLayout::Run run) {
      for (int64_t i = 0; i < run.count; ++i)
        if (!std::isfinite(rt::loadAsF32(dtype, packed.data(), run.place(i)))) {
          bad = run.source + i;
          return;
        }
    });
  });
  if (bad >= 0)
    return weight.op.emitError("tensor '")
           << weight.tensor->name << "' holds NaN or Inf (element "
           << bad.load() << "); --allow-nan takes it as it is";
  return packed;
}

LogicalResult WeightPacker::write(StringRef directory,
                                  ProgramRecords &records) {
  if (weights.empty())
    return success();
  SmallString<128> path(directory);
  llvm::sys::path::append(path, weightsFileName);
  rt::SafetensorsWriter writer(64);
  auto check = [&](rt::Status status) -> LogicalResult {
    if (status.ok())
      return success();
    return program.emitError("cannot write weights: ") << status.message();
  };
  for (FileWeight &weight : weights)
    if (failed(check(writer.declare(weight.op.getName().str(),
                                    weight.tensor->dtype,
                                    weight.layout.packedShape()))))
      return failure();
  if (failed(check(writer.begin(std::string(path)))))
    return failure();
  bool showProgress =
      options.progress && llvm::sys::Process::StandardErrIsDisplayed();
  for (auto [index, weight] : llvm::enumerate(weights)) {
    if (showProgress)
      *options.progress << "\rpacking weights " << index + 1 << "/"
                        << weights.size();
    FailureOr<std::vector<std::byte>> packed = pack(weight);
    if (failed(packed) || failed(check(writer.write(*packed))))
      return failure();
  }
  if (showProgress)
    *options.progress << "\n";
  if (failed(check(writer.commit())))
    return failure();
  records.files.push_back(
      {weightsFileName.str(), writer.sha256(), writer.fileBytes()});
  return success();
}

LogicalResult coppice::packWeights(exec::ProgramOp program, StringRef directory,
                                   const PackOptions &options,
                                   ProgramRecords &records) {
  WeightPacker packer(program, options);
  if (failed(packer.collect(records)))
    return failure();
  return packer.write(directory, records);
}
