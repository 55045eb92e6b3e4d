// Comes in: globals that say where their values are and what is kept of them.
// Goes out: the bytes of a checkpoint's tensors, in order.
//
// A model may be larger than memory: files are mapped, and of a tensor some
// rows are picked or generated, written, and forgotten.
#include "WeightStream.h"

#include "coppice/Analysis/Sites.h"
#include "coppice/Dialect/Decoder/IR/Decoder.h"
#include "coppice/Import/BitmaskLayout.h"
#include "coppice/Import/HuggingFace.h"
#include "coppice/Import/PatternCheck.h"
#include "runtime/base/concat.h"
#include "runtime/base/sha256.h"

#include "llvm/Support/Parallel.h"
#include "llvm/Support/Path.h"

#include <atomic>
#include <cstring>

using namespace mlir;
using namespace coppice;

int64_t CheckpointTensor::bytes() const {
  int64_t count = rt::sizeOf(dtype);
  for (int64_t extent : shape)
    count *= extent;
  return count;
}

//===----------------------------------------------------------------------===//
// What there is
//===----------------------------------------------------------------------===//

/// What the global holds of the dense weight, in elements; of a weight that is
/// some rows of a tensor, in rows of the tensor.
static std::vector<rt::KeptAxis> getKeptAxes(Operation *global,
                                             DenseI64ArrayAttr rows) {
  std::vector<rt::KeptAxis> axes;
  for (const KeptAxis &kept : getKept(global)) {
    rt::KeptAxis axis{kept.axis, {}};
    for (prune::IndexRange range : kept.set.getRanges())
      axis.ranges.push_back({range.begin * kept.set.getGranule(),
                             range.end * kept.set.getGranule()});
    axes.push_back(std::move(axis));
  }
  if (!rows)
    return axes;
  auto first = llvm::find_if(axes, [](auto &axis) { return axis.axis == 0; });
  if (first == axes.end())
    axes.insert(axes.begin(), {0, {{rows[0], rows[1]}}});
  else
    for (auto &[begin, end] : first->ranges) {
      begin += rows[0];
      end += rows[0];
    }
  return axes;
}

/// The shape before anything was taken out.
static std::vector<int64_t> getDenseShape(ml_program::GlobalOp global) {
  auto type = cast<RankedTensorType>(global.getType());
  std::vector<int64_t> shape(type.getShape());
  for (const KeptAxis &kept : getKept(global))
    shape[kept.axis] = kept.set.getExtent();
  return shape;
}

FailureOr<WeightStream::Source *>
WeightStream::openFile(ml_program::GlobalOp global, StringRef path) {
  auto [entry, isNew] = sources.try_emplace(path);
  Source &source = entry->second;
  if (!isNew)
    return &source;
  SmallString<128> full(directory);
  if (llvm::sys::path::is_absolute(path))
    full = path;
  else
    llvm::sys::path::append(full, path);
  auto opened = rt::SafetensorsFile::open(std::string(full));
  if (!opened)
    return global.emitError("cannot read its weight file: ")
           << opened.status().message();
  source.file = *std::move(opened);
  source.expected = decoder::getFileSha256(module, path).str();
  if (!source.expected.empty())
    source.digest =
        std::async(std::launch::async,
                   [bytes = source.file.bytes()] { return rt::sha256(bytes); });
  return &source;
}

LogicalResult WeightStream::checkImported() {
  for (auto &entry : sources) {
    Source &source = entry.second;
    if (!source.digest.valid())
      continue;
    std::string found = source.digest.get();
    if (found != source.expected)
      return emitError(UnknownLoc::get(module.getContext()))
             << "weights changed since import: expected " << entry.first()
             << " to have sha256 " << source.expected << ", found " << found
             << "; import the model again";
  }
  return success();
}

FailureOr<CheckpointTensor::Part>
WeightStream::open(const ModelWeight &weight) {
  ml_program::GlobalOp global = model.weights.lookup(weight.symbol);
  CheckpointTensor::Part part;
  part.global = global;
  std::vector<int64_t> dense = getDenseShape(global);
  Attribute origin = global->getDiscardableAttr(decoder::kSourceAttrName);
  DenseI64ArrayAttr rows;
  if (auto generated = dyn_cast_or_null<decoder::GeneratedAttr>(origin)) {
    part.generator.emplace(generated.getSeed(),
                           std::string_view(generated.getName()),
                           generated.getMean().getValueAsDouble(),
                           generated.getStddev().getValueAsDouble());
  } else if (auto file = dyn_cast_or_null<decoder::FileAttr>(origin)) {
    FailureOr<Source *> source = openFile(global, file.getPath());
    if (failed(source))
      return failure();
    // Should the file not be the imported one, then that is what is wrong.
    const rt::TensorInfo *tensor =
        (*source)->file.find(std::string(file.getKey()));
    rows = file.getRows();
    bool fits =
        tensor && tensor->dtype == model.dtype &&
        tensor->shape.size() == dense.size() &&
        (rows ? rows[1] - rows[0] == dense[0] && rows[1] <= tensor->shape[0]
              : tensor->shape[0] == dense[0]) &&
        std::equal(dense.begin() + 1, dense.end(), tensor->shape.begin() + 1);
    if (!fits) {
      if (failed(checkImported()))
        return failure();
      return global.emitError("expected tensor '")
             << file.getKey() << "' of " << file.getPath() << " to be "
             << std::string(rt::nameOf(model.dtype))
             << " of the weight's shape, "
             << (tensor ? "found another" : "found none");
    }
    part.source = (*source)->file.data(*tensor);
    dense = tensor->shape;
  } else {
    return global.emitError("expected '")
           << decoder::kSourceAttrName
           << "' to be #decoder.file or #decoder.generated, found none";
  }
  auto layout =
      rt::PackedLayout::make(dense, getKeptAxes(global, rows), rt::Packing{});
  if (!layout || layout->packedShape() != weight.shape)
    return global.emitError("expected what is kept of it to have the shape of "
                            "its type; ")
           << layout.status().message();
  part.layout = *std::move(layout);
  return part;
}

void WeightStream::addMaps() {
  auto add = [&](const std::string &sublayer, const ResidualMap &map) {
    if (map.width == 0)
      return;
    CheckpointTensor tensor{
        residualMapKey(sublayer), {map.width}, rt::DType::I32, {}};
    auto columns = std::as_bytes(std::span(map.columns));
    tensor.table.assign(columns.begin(), columns.end());
    list.push_back(std::move(tensor));
  };
  for (auto [i, layer] : llvm::enumerate(model.description.layers)) {
    add(rt::concat("layers.", i, ".attn"), layer.attentionMap);
    add(rt::concat("layers.", i, ".mlp"), layer.mlpMap);
  }
}

std::optional<SparsityPattern>
WeightStream::patternOf(const ModelWeight &weight) const {
  StringRef site = weight.symbol;
  site.consume_back(".weight");
  auto found = model.description.patterns.find(site.str());
  return found == model.description.patterns.end()
             ? std::nullopt
             : std::optional(found->second);
}

/// Groups of four must be whole, and follow from those of the pattern.
static bool is24(std::optional<SparsityPattern> pattern, int64_t width) {
  return pattern && width % 4 == 0 &&
         ((pattern->of == 4 && pattern->kept <= 2) ||
          *pattern == SparsityPattern{1, 2});
}

LogicalResult WeightStream::collect(const Architecture &architecture) {
  for (const ModelWeight &weight :
       locateWeights(architecture, model.description)) {
    FailureOr<CheckpointTensor::Part> part = open(weight);
    if (failed(part))
      return failure();
    // The rows of one tensor are listed in their order.
    auto known = llvm::find_if(
        list, [&](auto &other) { return other.key == weight.sourceKey; });
    if (known == list.end()) {
      std::vector<int64_t> shape = weight.shape;
      shape[0] = weight.sourceRows;
      CheckpointTensor tensor{weight.sourceKey, shape, model.dtype, {}};
      tensor.isLinear = weight.kind == ModelWeight::Kind::Matrix &&
                        weight.symbol != "embed.weight";
      tensor.is24 = true;
      known = list.insert(list.end(), std::move(tensor));
    }
    part->pattern = patternOf(weight);
    known->is24 &= is24(part->pattern, weight.shape.back());
    known->parts.push_back(*std::move(part));
  }
  addMaps();
  return success();
}

int64_t WeightStream::compressPatterns(std::vector<std::string> &others) {
  using Role = CheckpointTensor::Role;
  std::vector<CheckpointTensor> all;
  int64_t count = 0;
  for (CheckpointTensor &tensor : list) {
    if (!tensor.isLinear || !tensor.is24) {
      if (tensor.isLinear)
        others.push_back(StringRef(tensor.key).drop_back(7).str());
      all.push_back(std::move(tensor));
      continue;
    }
    ++count;
    const int64_t rows = tensor.shape[0], columns = tensor.shape[1];
    CheckpointTensor shape{
        bitmaskKey(tensor.key, "shape"), {2, 1}, rt::DType::I64, {}};
    const int64_t extents[2] = {rows, columns};
    auto bytes = std::as_bytes(std::span(extents));
    shape.table.assign(bytes.begin(), bytes.end());
    CheckpointTensor mask{bitmaskKey(tensor.key, "bitmask"),
                          {rows, bitmaskBytes(columns)},
                          rt::DType::U8,
                          tensor.parts};
    mask.role = Role::Bitmask;
    tensor.key = bitmaskKey(tensor.key, "compressed");
    tensor.shape[1] = columns / 2;
    tensor.role = Role::Compressed;
    all.push_back(std::move(tensor));
    all.push_back(std::move(mask));
    all.push_back(std::move(shape));
  }
  list = std::move(all);
  return count;
}

//===----------------------------------------------------------------------===//
// Bytes
//===----------------------------------------------------------------------===//

/// Makes rows [begin, end) of what is kept, into `target`.
static void fillRows(const CheckpointTensor::Part &part, rt::DType dtype,
                     int64_t begin, int64_t end, std::byte *target) {
  const int64_t size = rt::sizeOf(dtype);
  std::vector<float> values;
  part.layout.forEachRun(begin, end, [&](const rt::PackedLayout::Run &run) {
    if (part.generator) {
      values.resize(size_t(run.count));
      part.generator->fill(run.source, run.count, values.data());
      rt::convertFromF32(dtype, values.data(), target, run.count);
    } else {
      std::memcpy(target, part.source.data() + run.source * size,
                  size_t(run.count * size));
    }
    target += run.count * size;
  });
}

/// What a tensor has of a whole row, into `target`. Of four elements at most
/// two are not zero.
static void compressRow(CheckpointTensor::Role role, rt::DType dtype,
                        ArrayRef<std::byte> row, std::byte *target) {
  const int64_t size = rt::sizeOf(dtype),
                width = static_cast<int64_t>(row.size()) / size;
  SmallVector<std::byte> mask(static_cast<size_t>(bitmaskBytes(width)));
  makeBitmaskRow(
      width,
      [&](int64_t i) { return rt::loadAsF32(dtype, row.data(), i) == 0.0f; },
      mask.data());
  if (role == CheckpointTensor::Role::Bitmask) {
    llvm::copy(mask, target);
    return;
  }
  for (int64_t i = 0; i < width; ++i)
    if ((unsigned(mask[i / 8]) >> (i % 8)) & 1u) {
      std::memcpy(target, row.data() + i * size, static_cast<size_t>(size));
      target += size;
    }
}

/// The row's elements are not as its pattern says.
LogicalResult WeightStream::refuseRow(const CheckpointTensor::Part &part,
                                      int64_t row, ArrayRef<std::byte> whole) {
  // Should the file not be the imported one, then that is what is wrong.
  if (failed(checkImported()))
    return failure();
  return ml_program::GlobalOp(part.global).emitError("expected at most ")
         << part.pattern->kept << " of " << part.pattern->of
         << " elements that are not zero along K, as its pattern says, found "
            "one more in row "
         << row << " at column "
         << findExcess(model.dtype, whole, *part.pattern)
         << " of what is left; 'by magnitude' in the plan chooses some, and a "
            "plan of 'coppice import' is left out by its --no-patterns";
}

LogicalResult WeightStream::writePart(const CheckpointTensor &tensor,
                                      const CheckpointTensor::Part &part,
                                      rt::SafetensorsWriter &writer) {
  const bool isWhole = tensor.role == CheckpointTensor::Role::Whole;
  const int64_t rows = part.layout.rowCount();
  const int64_t rowBytes =
      rows ? part.layout.packedElements() / rows * rt::sizeOf(model.dtype) : 0;
  const int64_t partBytes =
      isWhole ? 0 : tensor.shape[1] * rt::sizeOf(tensor.dtype);
  constexpr int64_t pieceBytes = int64_t(16) << 20;
  const int64_t step =
      std::max<int64_t>(1, pieceBytes / std::max<int64_t>(1, rowBytes));
  std::vector<std::byte> buffer, compressed;
  for (int64_t begin = 0; begin < rows; begin += step) {
    const int64_t count = std::min(step, rows - begin);
    buffer.resize(size_t(count * rowBytes));
    compressed.resize(size_t(count * partBytes));
    auto wholeRow = [&](int64_t i) {
      return llvm::MutableArrayRef(buffer).slice(size_t(i * rowBytes),
                                                 size_t(rowBytes));
    };
    std::atomic<int64_t> bad = count; // the first row of the wrong pattern
    llvm::parallelFor(0, size_t(count), [&](size_t index) {
      const int64_t i = int64_t(index);
      fillRows(part, model.dtype, begin + i, begin + i + 1, wholeRow(i).data());
      if (part.pattern &&
          findExcess(model.dtype, wholeRow(i), *part.pattern) >= 0)
        for (int64_t least = bad;
             i < least && !bad.compare_exchange_weak(least, i);)
          ;
      if (!isWhole)
        compressRow(tensor.role, model.dtype, wholeRow(i),
                    compressed.data() + i * partBytes);
    });
    if (bad < count)
      return refuseRow(part, begin + bad, wholeRow(bad));
    if (failed(emitIfFailed(writer.write(isWhole ? buffer : compressed))))
      return failure();
  }
  return success();
}

LogicalResult WeightStream::emitIfFailed(const rt::Status &status) {
  if (status.ok())
    return success();
  return emitError(UnknownLoc::get(module.getContext()))
         << "cannot write weights: " << status.message();
}

LogicalResult WeightStream::write(const CheckpointTensor &tensor,
                                  rt::SafetensorsWriter &writer) {
  if (tensor.parts.empty())
    return emitIfFailed(writer.write(tensor.table));
  for (const CheckpointTensor::Part &part : tensor.parts)
    if (failed(writePart(tensor, part, writer)))
      return failure();
  return success();
}
