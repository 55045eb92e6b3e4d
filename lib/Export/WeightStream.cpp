// Comes in: globals that say where their values are and what is kept of them.
// Goes out: the bytes of a checkpoint's tensors, in order.
//
// A model may be larger than memory: files are mapped, and of a tensor some
// rows are picked or generated, written, and forgotten.
#include "WeightStream.h"

#include "coppice/Analysis/Sites.h"
#include "coppice/Dialect/Decoder/IR/Decoder.h"
#include "coppice/Import/HuggingFace.h"
#include "runtime/base/concat.h"
#include "runtime/base/sha256.h"

#include "llvm/Support/Parallel.h"
#include "llvm/Support/Path.h"

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
        residualMapKey(sublayer), {map.width}, rt::DType::I32, {}, map.columns};
    list.push_back(std::move(tensor));
  };
  for (auto [i, layer] : llvm::enumerate(model.description.layers)) {
    add(rt::concat("layers.", i, ".attn"), layer.attentionMap);
    add(rt::concat("layers.", i, ".mlp"), layer.mlpMap);
  }
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
      CheckpointTensor tensor{weight.sourceKey, shape, model.dtype, {}, {}};
      known = list.insert(list.end(), std::move(tensor));
    }
    known->parts.push_back(*std::move(part));
  }
  addMaps();
  return success();
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

LogicalResult WeightStream::write(const CheckpointTensor &tensor,
                                  rt::SafetensorsWriter &writer) {
  auto check = [&](const rt::Status &status) -> LogicalResult {
    if (status.ok())
      return success();
    return emitError(UnknownLoc::get(module.getContext()))
           << "cannot write weights: " << status.message();
  };
  if (tensor.parts.empty())
    return check(writer.write(std::as_bytes(std::span(tensor.table))));
  std::vector<std::byte> buffer;
  for (const CheckpointTensor::Part &part : tensor.parts) {
    const int64_t rows = part.layout.rowCount();
    const int64_t rowBytes =
        rows ? part.layout.packedElements() / rows * rt::sizeOf(tensor.dtype)
             : 0;
    constexpr int64_t pieceBytes = int64_t(16) << 20;
    const int64_t step =
        std::max<int64_t>(1, pieceBytes / std::max<int64_t>(1, rowBytes));
    for (int64_t begin = 0; begin < rows; begin += step) {
      const int64_t count = std::min(step, rows - begin);
      buffer.resize(size_t(count * rowBytes));
      llvm::parallelFor(0, size_t(count), [&](size_t i) {
        const int64_t row = begin + int64_t(i);
        fillRows(part, tensor.dtype, row, row + 1,
                 buffer.data() + int64_t(i) * rowBytes);
      });
      if (failed(check(writer.write(buffer))))
        return failure();
    }
  }
  return success();
}
