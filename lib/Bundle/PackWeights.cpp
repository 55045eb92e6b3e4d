//===- PackWeights.cpp - weights into the layout that kernels read --------===//
// In: exec.weights, whose globals say where the values come from and what of
// them is kept, or hold a table of indices. Out: weights.safetensors, each
// tensor at a multiple of 64 bytes, or, for generated weights, the recipe.
//
// That tensors are there with the right type and shape is checked before the
// first byte is written; that files are those of the import, while their
// tensors are packed. One weight at a time is packed, its rows over all
// threads, while the one before is hashed and written: memory is bounded by two
// of them.
//===----------------------------------------------------------------------===//
#include "coppice/Bundle/PackWeights.h"

#include "coppice/Analysis/Sites.h"
#include "coppice/Dialect/Decoder/IR/Decoder.h"
#include "runtime/base/aligned_memory.h"
#include "runtime/base/finite.h"
#include "runtime/base/packing.h"
#include "runtime/base/safetensors.h"
#include "runtime/base/safetensors_writer.h"
#include "runtime/base/sha256.h"

#include "mlir/Dialect/MLProgram/IR/MLProgram.h"
#include "llvm/ADT/StringMap.h"
#include "llvm/Support/FormatVariadic.h"
#include "llvm/Support/Parallel.h"
#include "llvm/Support/Path.h"
#include "llvm/Support/Process.h"

#include <atomic>
#include <chrono>
#include <cstring>
#include <future>

using namespace mlir;
using namespace coppice;
using llvm::json::Array;
using llvm::json::Object;

static constexpr llvm::StringLiteral weightsFileName = "weights.safetensors";

/// So small that a few threads find enough of them in a small model, so large
/// that the hashes of 100 GB are a few megabytes of program.json.
static constexpr int64_t hashedPieceBytes = int64_t(4) << 20;

namespace {
/// A weight whose elements go into the bundle: from a file, or from the module
/// itself, which holds tables of indices.
struct StoredWeight {
  exec::WeightOp op;
  const std::byte *source;
  rt::DType dtype;
  std::string name; // of what it comes from
  rt::PackedLayout layout;
  prune::NMAttr pattern; // that it must have; null: none
  int64_t width = 0;     // of a row of what it comes from, with a pattern

  /// How what a pattern keeps is packed: `layout` is that of whole rows then.
  std::optional<rt::NMLayout> selected = {};

  /// In the bundle.
  std::vector<int64_t> shape() const {
    return cast<MemRefType>(op->getResult(0).getType()).getShape().vec();
  }
  int64_t bytes() const {
    return llvm::product_of(shape()) * rt::sizeOf(dtype);
  }

  /// Are there places that no element goes to?
  bool isPadded() const {
    if (selected)
      return true;
    int64_t width = 0; // of a row
    if (layout.rowCount() > 0)
      layout.forEachRun(
          0, 1, [&](const rt::PackedLayout::Run &run) { width += run.count; });
    return layout.rowCount() * width != layout.packedElements();
  }
};

/// A file whose hash the import has recorded, being hashed on a thread.
struct ImportedFile {
  exec::WeightOp weight;
  std::string path, expected;
  std::future<std::string> found;
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
                            ArrayRef<rt::KeptAxis> kept, prune::NMAttr pattern,
                            ProgramRecords &records);
  LogicalResult collectTable(exec::WeightOp weight, DenseElementsAttr values,
                             ProgramRecords &records);
  LogicalResult pack(StoredWeight &weight, std::byte *packed);
  LogicalResult checkPattern(StoredWeight &weight);
  bool packSelected(const StoredWeight &weight, int64_t row, std::byte *packed);
  LogicalResult packAll(rt::SafetensorsWriter &writer);
  LogicalResult checkImported();
  LogicalResult check(const rt::Status &status);

  exec::ProgramOp program;
  const PackOptions &options;
  llvm::StringMap<rt::SafetensorsFile> files;
  std::vector<std::vector<int32_t>> tables; // what some weights come from
  std::vector<StoredWeight> weights;
  std::vector<ImportedFile> imported; // behind `files`, whose bytes they read
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

/// Of a weight that is some rows of a tensor, what is kept, in rows of the
/// tensor.
static std::vector<rt::KeptAxis> inRowsOfTensor(decoder::FileAttr source,
                                                ArrayRef<rt::KeptAxis> kept) {
  std::vector<rt::KeptAxis> axes(kept.begin(), kept.end());
  if (!source.getRows())
    return axes;
  const int64_t first = source.getRows()[0], end = source.getRows()[1];
  auto rows = llvm::find_if(
      axes, [](const rt::KeptAxis &axis) { return axis.axis == 0; });
  if (rows == axes.end()) {
    axes.insert(axes.begin(), {0, {{first, end}}});
    return axes;
  }
  for (auto &[rangeBegin, rangeEnd] : rows->ranges) {
    rangeBegin += first;
    rangeEnd += first;
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

/// Opens a weight file once, and begins to hash it, to see whether it is the
/// one that was imported.
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

  StringRef expected = decoder::getFileSha256(program->getParentOp(), path);
  if (!expected.empty())
    imported.push_back(
        {weight, std::string(full), expected.str(),
         std::async(std::launch::async, [bytes = entry->second.bytes()] {
           return rt::sha256(bytes);
         })});
  return &entry->second;
}

LogicalResult WeightPacker::collectFile(exec::WeightOp weight,
                                        decoder::FileAttr source,
                                        ArrayRef<rt::KeptAxis> kept,
                                        prune::NMAttr pattern,
                                        ProgramRecords &records) {
  FailureOr<const rt::SafetensorsFile *> file = open(weight, source.getPath());
  if (failed(file))
    return failure();
  const rt::TensorInfo *tensor = (*file)->find(std::string(source.getKey()));
  // Should the file not be the imported one, then that is what is wrong.
  if (!tensor) {
    if (failed(checkImported()))
      return failure();
    return weight.emitError("expected a tensor '")
           << source.getKey() << "' in " << source.getPath() << ", found none";
  }
  auto type = cast<MemRefType>(weight.getType());
  if (tensor->dtype != getDType(type.getElementType())) {
    if (failed(checkImported()))
      return failure();
    return weight.emitError("expected tensor '")
           << source.getKey() << "' of " << source.getPath() << " to be "
           << type.getElementType() << ", found "
           << std::string(rt::nameOf(tensor->dtype));
  }
  // Rows behind its own are another weight's.
  if (source.getRows())
    for (const rt::KeptAxis &axis : kept)
      if (axis.axis == 0 && !axis.ranges.empty() &&
          axis.ranges.back().second > source.getRows()[1] - source.getRows()[0])
        return weight.emitError("expected kept rows below ")
               << source.getRows()[1] - source.getRows()[0]
               << ", of the rows of tensor '" << source.getKey()
               << "' that are its, found " << axis.ranges.back().second;
  exec::PackingAttr packing = weight.getPacking();
  std::optional<rt::NMLayout> selected =
      packing.getNMLayout(type.getElementType());
  auto layout = rt::PackedLayout::make(
      tensor->shape, inRowsOfTensor(source, kept),
      selected ? rt::Packing{}
               : rt::Packing{packing.getPanels(), packing.getDepth()});
  if (!layout) {
    if (failed(checkImported()))
      return failure();
    return weight.emitError("cannot pack tensor '")
           << source.getKey() << "' of shape " << shapeText(tensor->shape)
           << ": " << layout.status().message();
  }
  std::vector<int64_t> packedShape = layout->packedShape();
  if (selected)
    if (auto shape = packing.pack(
            RankedTensorType::get(packedShape, type.getElementType()));
        succeeded(shape))
      packedShape.assign(shape->begin(), shape->end());
  if (ArrayRef<int64_t>(packedShape) != type.getShape()) {
    if (failed(checkImported()))
      return failure();
    return weight.emitError("expected shape ")
           << shapeText(type.getShape()) << " packed, found "
           << shapeText(packedShape) << " from tensor '" << source.getKey()
           << "' of shape " << shapeText(tensor->shape);
  }
  weights.push_back({weight, (*file)->data(*tensor).data(), tensor->dtype,
                     tensor->name, *std::move(layout), pattern,
                     tensor->shape.empty() ? 0 : tensor->shape.back(),
                     selected});
  records.storages.push_back(
      Object{{"file", weightsFileName},
             {"key", llvm::json::fixUTF8(weight.getName())}});
  return success();
}

/// Elements that the module itself holds.
LogicalResult WeightPacker::collectTable(exec::WeightOp weight,
                                         DenseElementsAttr values,
                                         ProgramRecords &records) {
  auto layout = rt::PackedLayout::make(values.getType().getShape().vec(), {},
                                       rt::Packing{});
  if (!layout || !weight.getPacking().isRows() ||
      !values.getElementType().isInteger(32))
    return weight.emitError("expected a table of i32 in rows, found ")
           << values.getType();
  auto elements = values.getValues<int32_t>();
  auto &table = tables.emplace_back(elements.begin(), elements.end());
  weights.push_back({weight, reinterpret_cast<const std::byte *>(table.data()),
                     rt::DType::I32, weight.getName().str(), *std::move(layout),
                     prune::NMAttr(), 0, std::nullopt});
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
    // Along what is kept, which the oracle does not look at.
    auto pattern = program.getOracle()
                       ? prune::NMAttr()
                       : global->getAttrOfType<prune::NMAttr>(
                             prune::PruneDialect::patternAttrName);
    if (pattern && !isa_and_nonnull<decoder::FileAttr>(source))
      return weight.emitError("expected weights with N:M sparsity, ")
             << pattern << ", found generated ones, which have none; 'by "
             << "magnitude' makes them so";
    if (auto file = dyn_cast_or_null<decoder::FileAttr>(source)) {
      if (failed(collectFile(weight, file, kept, pattern, records)))
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
    } else if (auto values =
                   dyn_cast_or_null<DenseElementsAttr>(global.getValueAttr())) {
      if (failed(collectTable(weight, values, records)))
        return failure();
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

/// Finds the first group of a row with more elements than the pattern allows.
LogicalResult WeightPacker::checkPattern(StoredWeight &weight) {
  if (!weight.pattern)
    return success();
  int64_t most = weight.pattern.getKept(), of = weight.pattern.getOf(),
          rows = weight.layout.rowCount();
  std::atomic<int64_t> bad = INT64_MAX; // the group's last element
  llvm::parallelFor(0, static_cast<size_t>(rows), [&](size_t row) {
    int64_t group = -1, found = 0, begin = static_cast<int64_t>(row);
    weight.layout.forEachRun(
        begin, begin + 1, [&](const rt::PackedLayout::Run &run) {
          for (int64_t i = 0; i < run.count; ++i) {
            if ((run.first + i) / of != group) {
              group = (run.first + i) / of;
              found = 0;
            }
            int64_t at = run.source + i;
            // Of either sign a zero is one.
            found += rt::loadAsF32(weight.dtype, weight.source, at) != 0.0f;
            int64_t least = bad;
            while (found > most && at < least &&
                   !bad.compare_exchange_weak(least, at))
              ;
          }
        });
  });
  if (bad == INT64_MAX)
    return success();
  int64_t width = weight.width;
  if (failed(checkImported()))
    return failure();
  return weight.op.emitError("expected tensor '")
         << weight.name << "' to have at most " << most << " of " << of
         << " elements that are not zero along K, found one more in row "
         << bad / width << " at column " << bad % width
         << "; 'by magnitude' in the plan chooses some, and a plan of "
            "'coppice import' is left out by its --no-patterns";
}

/// False if the row has more than the pattern keeps.
bool WeightPacker::packSelected(const StoredWeight &weight, int64_t row,
                                std::byte *packed) {
  int64_t size = rt::sizeOf(weight.dtype), width = 0;
  SmallVector<uint32_t> words; // so that elements are aligned
  weight.layout.forEachRun(row, row + 1, [&](const rt::PackedLayout::Run &run) {
    width = run.first + run.count;
    words.resize(static_cast<size_t>((width * size + 3) / 4));
    std::memcpy(reinterpret_cast<std::byte *>(words.data()) + run.first * size,
                weight.source + run.source * size,
                static_cast<size_t>(run.count * size));
  });
  return weight.selected->packRow(words.data(), width, row, packed);
}

/// Packs into weight.bytes() bytes, and checks that what is kept is finite.
LogicalResult WeightPacker::pack(StoredWeight &weight, std::byte *packed) {
  rt::DType dtype = weight.dtype;
  int64_t size = rt::sizeOf(dtype), rows = weight.layout.rowCount();
  if (weight.isPadded())
    std::memset(packed, 0, static_cast<size_t>(weight.bytes()));
  const std::byte *source = weight.source;

  // Whole panels: no two threads write to one cache line.
  int64_t panel = std::max<int64_t>(1, weight.op.getPacking().getPanels());
  int64_t chunk = panel * std::max<int64_t>(1, 64 / panel); // rows
  std::atomic<int64_t> bad = INT64_MAX; // first element that is not finite
  std::atomic<bool> isDense = false;    // where a pattern was promised
  llvm::parallelFor(0, (rows + chunk - 1) / chunk, [&](size_t index) {
    int64_t begin = static_cast<int64_t>(index) * chunk,
            end = std::min(rows, begin + chunk);
    if (!weight.selected)
      weight.layout.packRows(source, size, packed, begin, end);
    for (int64_t row = begin; weight.selected && row < end; ++row)
      if (!packSelected(weight, row, packed))
        isDense = true;
    if (options.allowNonFinite || !rt::isFloat(dtype))
      return;
    weight.layout.forEachRun(begin, end, [&](const rt::PackedLayout::Run &run) {
      int64_t stop = run.source + run.count;
      int64_t found = rt::firstNonFinite(dtype, source, run.source, stop);
      int64_t least = bad;
      while (found < stop && found < least &&
             !bad.compare_exchange_weak(least, found))
        ;
    });
  });
  if (isDense) {
    if (failed(checkImported()))
      return failure();
    return weight.op.emitError("expected tensor '")
           << weight.name << "' to have zeros where " << weight.op.getPacking()
           << " keeps nothing, found others";
  }
  if (bad < INT64_MAX) {
    if (failed(checkImported()))
      return failure();
    return weight.op.emitError("tensor '")
           << weight.name << "' holds NaN or Inf (element " << bad.load()
           << "); --allow-nan takes it as it is";
  }
  return success();
}

/// Compares the hashes that open() has begun. Each names the import's fault
/// better than whatever else went wrong with such a file.
LogicalResult WeightPacker::checkImported() {
  for (ImportedFile &file : imported) {
    std::string found = file.found.get();
    if (found != file.expected)
      return file.weight.emitError("weights changed since import: expected ")
             << file.path << " to have sha256 " << file.expected << ", found "
             << found << "; import the model, and prune it, again";
  }
  imported.clear();
  return success();
}

namespace {
/// How far packing is: a line that is written over, on a terminal only.
class Progress {
public:
  Progress(llvm::raw_ostream *stream, int64_t total)
      : stream(stream), total(total),
        live(stream && llvm::sys::Process::StandardErrIsDisplayed()) {}

  ~Progress() {
    if (live)
      *stream << "\r\x1b[K";
  }

  void add(int64_t bytes) {
    done += bytes;
    if (live)
      *stream << llvm::formatv("\rpacking weights: {0}%",
                               100 * done / std::max<int64_t>(1, total));
  }

  /// Says how fast it was, where it took long enough to wonder.
  void finish() {
    std::chrono::duration<double> time = Clock::now() - begin;
    if (stream && time.count() > 1)
      *stream << (live ? "\r\x1b[K" : "")
              << llvm::formatv("packed {0:f2} GB of weights in {1:f1} s\n",
                               static_cast<double>(total) / 1e9, time.count());
  }

private:
  using Clock = std::chrono::steady_clock;
  llvm::raw_ostream *stream;
  int64_t total, done = 0;
  bool live;
  Clock::time_point begin = Clock::now();
};
} // namespace

/// Packs all weights; each is hashed and written while the next is packed. Two
/// buffers take turns: pages are asked from the system once.
LogicalResult WeightPacker::packAll(rt::SafetensorsWriter &writer) {
  int64_t total = 0, largest = 0;
  for (const StoredWeight &weight : weights) {
    total += weight.bytes();
    largest = std::max(largest, weight.bytes());
  }
  rt::AlignedMemory buffers[2];
  for (rt::AlignedMemory &buffer : buffers) {
    auto allocated = rt::AlignedMemory::allocate(largest);
    if (!allocated)
      return program.emitError("cannot pack weights: ")
             << allocated.status().message();
    buffer = *std::move(allocated);
  }
  Progress progress(options.progress, total);
  std::future<rt::Status> writing;
  auto finishWriting = [&]() -> LogicalResult {
    return writing.valid() ? check(writing.get()) : success();
  };
  for (auto [index, weight] : llvm::enumerate(weights)) {
    std::byte *packed = buffers[index % 2].data();
    LogicalResult done = checkPattern(weight);
    if (succeeded(done))
      done = pack(weight, packed);
    if (failed(finishWriting()) || failed(done))
      return failure();
    std::span<const std::byte> bytes(packed,
                                     static_cast<size_t>(weight.bytes()));
    writing = std::async(std::launch::async,
                         [&writer, bytes] { return writer.write(bytes); });
    progress.add(weight.bytes());
  }
  if (failed(finishWriting()))
    return failure();
  progress.finish();
  return success();
}

LogicalResult WeightPacker::check(const rt::Status &status) {
  if (status.ok())
    return success();
  return program.emitError("cannot write weights: ") << status.message();
}

LogicalResult WeightPacker::write(StringRef directory,
                                  ProgramRecords &records) {
  if (weights.empty())
    return success();
  SmallString<128> path(directory);
  llvm::sys::path::append(path, weightsFileName);
  rt::SafetensorsWriter writer(64);
  writer.hashPieces(hashedPieceBytes, [](int64_t count, const auto &function) {
    llvm::parallelFor(0, static_cast<size_t>(count), function);
  });
  for (StoredWeight &weight : weights)
    if (failed(check(writer.declare(weight.op.getName().str(), weight.dtype,
                                    weight.shape()))))
      return failure();
  if (failed(check(writer.begin(std::string(path)))) ||
      failed(packAll(writer)) || failed(checkImported()) ||
      failed(check(writer.commit())))
    return failure();
  records.files.push_back(
      {weightsFileName.str(), "", writer.fileBytes(), writer.pieceHashes()});
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
