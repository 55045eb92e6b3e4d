// Comes in: tensors in mapped files. Goes out: the assurance that they are
// those of the model and finite, or a file of them in another type or row
// order.
//
// Models may be larger than memory: everything streams through the mapping, a
// row at a time.
#include "coppice/Import/Weights.h"

#include "coppice/Import/BitmaskLayout.h"

#include "runtime/base/concat.h"
#include "runtime/base/json_check.h"

#include "llvm/ADT/STLExtras.h"
#include "llvm/ADT/StringMap.h"

#include <atomic>
#include <cmath>
#include <cstring>
#include <mutex>
#include <optional>
#include <thread>

namespace coppice {

static std::string shapeText(std::span<const int64_t> shape) {
  std::string text = "[";
  for (int64_t extent : shape)
    text += (text.size() > 1 ? ", " : "") + std::to_string(extent);
  return text + "]";
}

/// "'a', 'b', .. (7 in all)"
static std::string listText(const std::vector<std::string> &names) {
  constexpr size_t shown = 3;
  std::string text;
  for (size_t i = 0; i < std::min(names.size(), shown); ++i)
    text += (i ? ", " : "") + rt::quote(names[i]);
  if (names.size() > shown)
    text += rt::concat(", .. (", names.size(), " in all)");
  return text;
}

namespace {
/// A tensor of a file, and whether a weight has been found in it.
struct FoundTensor {
  const rt::SafetensorsFile *file;
  const rt::TensorInfo *tensor;
  bool isUsed = false;
};
} // namespace

/// The weight in its tensor, whose shape must be that of all weights in it.
static rt::Result<TensorView> viewIn(const FoundTensor &found,
                                     const ModelWeight &weight) {
  std::vector<int64_t> expected = weight.shape;
  expected[0] = weight.sourceRows;
  const rt::TensorInfo &tensor = *found.tensor;
  if (tensor.shape != expected)
    return rt::invalidFile(rt::concat("tensor ", rt::quote(weight.sourceKey),
                                      ": expected shape ", shapeText(expected),
                                      " by the configuration, found ",
                                      shapeText(tensor.shape)));
  auto data = found.file->data(tensor);
  const size_t rowBytes = data.size() / size_t(weight.sourceRows);
  return TensorView{weight.key,
                    weight.shape,
                    tensor.dtype,
                    data.subspan(size_t(weight.firstRow) * rowBytes,
                                 size_t(weight.shape[0]) * rowBytes),
                    0,
                    weight.sourceKey,
                    weight.firstRow,
                    weight.sourceRows};
}

/// The weight in what stands for its tensor: two of each four elements, and
/// which ones. Null if `found` has no such.
static rt::Result<std::optional<TensorView>>
viewCompressed(llvm::StringMap<FoundTensor> &found, const ModelWeight &weight) {
  FoundTensor *parts[3];
  const char *names[] = {"compressed", "bitmask", "shape"};
  for (auto [part, name] : llvm::zip_equal(parts, names)) {
    auto entry = found.find(bitmaskKey(weight.sourceKey, name));
    if (entry == found.end())
      return std::optional<TensorView>();
    part = &entry->second;
  }
  auto [compressed, bitmask, shape] = parts;
  const int64_t rows = weight.sourceRows, columns = weight.shape.back();
  auto expect = [&](const FoundTensor &part,
                    const std::vector<int64_t> &expected,
                    std::optional<rt::DType> dtype) -> rt::Status {
    if (part.tensor->shape == expected &&
        (!dtype || part.tensor->dtype == *dtype))
      return {};
    return rt::invalidFile(rt::concat(
        "tensor ", rt::quote(part.tensor->name), ": expected ",
        dtype ? rt::concat(rt::nameOf(*dtype), " of ") : std::string(),
        "shape ", shapeText(expected), " for a matrix ",
        shapeText(std::vector{rows, columns}), ", found ",
        rt::nameOf(part.tensor->dtype), " of ", shapeText(part.tensor->shape)));
  };
  if (weight.shape.size() != 2 || columns % 4 != 0)
    return rt::invalidFile(rt::concat(
        "tensor ", rt::quote(compressed->tensor->name),
        ": expected a matrix with a multiple of 4 columns to be stored as two "
        "of each four elements, found ",
        shapeText(weight.shape), " by the configuration"));
  if (auto s = expect(*compressed, {rows, columns / 2}, std::nullopt); !s.ok())
    return s;
  if (auto s = expect(*bitmask, {rows, bitmaskBytes(columns)}, rt::DType::U8);
      !s.ok())
    return s;
  if (auto s = expect(*shape, {2, 1}, rt::DType::I64); !s.ok())
    return s;
  int64_t stated[2];
  std::memcpy(stated, shape->file->data(*shape->tensor).data(), sizeof(stated));
  if (stated[0] != rows || stated[1] != columns)
    return rt::invalidFile(rt::concat("tensor ", rt::quote(shape->tensor->name),
                                      ": expected ", rows, " and ", columns,
                                      " by the configuration, found ",
                                      stated[0], " and ", stated[1]));
  auto data = compressed->file->data(*compressed->tensor);
  auto masks = bitmask->file->data(*bitmask->tensor);
  const size_t maskBytes = size_t(bitmaskBytes(columns));
  for (int64_t row = 0; row < rows; ++row)
    if (!isBitmask24(masks.subspan(size_t(row) * maskBytes, maskBytes),
                     columns))
      return rt::invalidFile(rt::concat(
          "tensor ", rt::quote(bitmask->tensor->name),
          ": expected two bits of each four, found others in row ", row));
  for (FoundTensor *part : parts)
    part->isUsed = true;
  const size_t rowBytes = data.size() / size_t(rows);
  TensorView view{weight.key,
                  weight.shape,
                  compressed->tensor->dtype,
                  data.subspan(size_t(weight.firstRow) * rowBytes,
                               size_t(weight.shape[0]) * rowBytes),
                  0,
                  weight.sourceKey,
                  weight.firstRow,
                  rows};
  view.bitmask = masks.subspan(size_t(weight.firstRow) * maskBytes,
                               size_t(weight.shape[0]) * maskBytes);
  return std::optional(std::move(view));
}

rt::Status matchTensors(std::span<const ModelWeight> expected,
                        llvm::function_ref<bool(llvm::StringRef)> ignorable,
                        WeightSource &source, bool hasBitmasks) {
  llvm::StringMap<FoundTensor> found;
  for (const rt::SafetensorsFile &file : source.files)
    for (const rt::TensorInfo &tensor : file.tensors())
      if (!found.insert({tensor.name, {&file, &tensor}}).second)
        return rt::invalidFile(
            rt::concat("tensor ", rt::quote(tensor.name), " is in two files"));

  std::vector<std::string> missing, extra;
  for (const ModelWeight &weight : expected) {
    auto entry = found.find(weight.sourceKey);
    if (entry == found.end() && hasBitmasks) {
      auto compressed = viewCompressed(found, weight);
      if (!compressed)
        return compressed.status();
      if (*compressed) {
        source.tensors.push_back(**std::move(compressed));
        continue;
      }
    }
    if (entry == found.end()) {
      if (!llvm::is_contained(missing, weight.sourceKey))
        missing.push_back(weight.sourceKey);
      continue;
    }
    auto view = viewIn(entry->second, weight);
    if (!view)
      return view.status();
    source.tensors.push_back(*std::move(view));
    entry->second.isUsed = true;
  }
  if (!missing.empty())
    return rt::invalidFile("missing tensor " + listText(missing));
  for (const auto &entry : found)
    if (!entry.second.isUsed && !ignorable(entry.first()))
      extra.push_back(entry.first().str());
  llvm::sort(extra);
  if (!extra.empty())
    return rt::invalidFile(
        "found tensor " + listText(extra) +
        ", which the model of the configuration does not have");
  return {};
}

rt::Result<rt::DType> commonDType(std::span<const TensorView> tensors) {
  for (const TensorView &tensor : tensors) {
    if (tensor.dtype != rt::DType::F32 && tensor.dtype != rt::DType::F16 &&
        tensor.dtype != rt::DType::BF16)
      return rt::unsupported(rt::concat("tensor ", rt::quote(tensor.name),
                                        ": expected f32, f16 or bf16, found ",
                                        rt::nameOf(tensor.dtype),
                                        "; --dtype converts it"));
    if (tensor.dtype != tensors.front().dtype)
      return rt::unsupported(rt::concat(
          "expected one type for all tensors, found ",
          rt::nameOf(tensors.front().dtype), " for ",
          rt::quote(tensors.front().name), " and ", rt::nameOf(tensor.dtype),
          " for ", rt::quote(tensor.name), "; --dtype converts them to one"));
  }
  return tensors.empty() ? rt::DType::F32 : tensors.front().dtype;
}

//===----------------------------------------------------------------------===//
// NaN and Inf
//===----------------------------------------------------------------------===//

/// Whether an exponent of all ones, NaN or Inf, is among `count` elements.
template <typename Bits, Bits exponent>
static bool anyNonFinite(const std::byte *data, int64_t count) {
  bool any = false;
  for (int64_t i = 0; i < count; ++i) {
    Bits bits;
    std::memcpy(&bits, data + i * int64_t(sizeof(Bits)), sizeof(Bits));
    any |= (bits & exponent) == exponent; // no branch: this loop vectorises
  }
  return any;
}

static bool anyNonFinite(rt::DType dtype, const std::byte *data,
                         int64_t count) {
  switch (dtype) {
  case rt::DType::F32:
    return anyNonFinite<uint32_t, 0x7F800000u>(data, count);
  case rt::DType::F16:
    return anyNonFinite<uint16_t, 0x7C00u>(data, count);
  case rt::DType::BF16:
    return anyNonFinite<uint16_t, 0x7F80u>(data, count);
  case rt::DType::F64:
    return anyNonFinite<uint64_t, 0x7FF0000000000000u>(data, count);
  default:
    return false; // integers
  }
}

static rt::Status describeNonFinite(const TensorView &tensor) {
  const int64_t count = int64_t(tensor.data.size()) / rt::sizeOf(tensor.dtype);
  for (int64_t i = 0; i < count; ++i) {
    const std::byte *element =
        tensor.data.data() + i * rt::sizeOf(tensor.dtype);
    if (anyNonFinite(tensor.dtype, element, 1))
      return rt::invalidFile(
          rt::concat("tensor ", rt::quote(tensor.name),
                     ": expected finite numbers, found ",
                     rt::loadAsF32(tensor.dtype, element, 0), " at element ", i,
                     "; --allow-nan imports it all the same"));
  }
  return {};
}

rt::Status refuseNonFinite(std::span<const TensorView> tensors) {
  // Blocks of tensors in one list, taken in turn by all threads.
  struct Block {
    size_t tensor;
    int64_t begin, count;
  };
  constexpr int64_t blockElements = int64_t(1) << 20;
  std::vector<Block> blocks;
  for (size_t t = 0; t < tensors.size(); ++t) {
    const int64_t count =
        int64_t(tensors[t].data.size()) / rt::sizeOf(tensors[t].dtype);
    for (int64_t begin = 0; begin < count; begin += blockElements)
      blocks.push_back({t, begin, std::min(blockElements, count - begin)});
  }

  std::atomic<size_t> next = 0, firstBad = tensors.size();
  auto work = [&] {
    for (size_t b; (b = next.fetch_add(1)) < blocks.size();) {
      const Block &block = blocks[b];
      const TensorView &tensor = tensors[block.tensor];
      if (!anyNonFinite(tensor.dtype,
                        tensor.data.data() +
                            block.begin * rt::sizeOf(tensor.dtype),
                        block.count))
        continue;
      // The lowest tensor is named, whichever thread was first.
      size_t seen = firstBad;
      while (block.tensor < seen &&
             !firstBad.compare_exchange_weak(seen, block.tensor))
        ;
    }
  };
  const size_t threads = std::min<size_t>(
      {std::max(1u, std::thread::hardware_concurrency()), blocks.size(), 16});
  std::vector<std::thread> helpers;
  for (size_t i = 1; i < threads; ++i)
    helpers.emplace_back(work);
  work();
  for (std::thread &helper : helpers)
    helper.join();
  return firstBad == tensors.size() ? rt::Status()
                                    : describeNonFinite(tensors[firstBad]);
}

//===----------------------------------------------------------------------===//
// Conversion
//===----------------------------------------------------------------------===//

/// The row of an interleaved tensor that becomes row `row` of its half layout.
static int64_t interleavedRow(int64_t row, int64_t headDim) {
  const int64_t head = row / headDim, column = row % headDim;
  const int64_t half = headDim / 2;
  return head * headDim +
         (column < half ? 2 * column : 2 * (column - half) + 1);
}

namespace {
/// Turns rows into `dtype` and hands them to the writer.
class RowWriter {
public:
  RowWriter(rt::DType dtype, rt::SafetensorsWriter &writer)
      : dtype(dtype), writer(writer) {}

  rt::Status write(const TensorView &tensor) {
    const int64_t rows = tensor.shape.size() < 2 ? 1 : tensor.shape[0];
    const size_t rowBytes = rows ? tensor.data.size() / size_t(rows) : 0;
    for (int64_t row = 0; row < rows; ++row) {
      int64_t from = tensor.interleavedHeadDim
                         ? interleavedRow(row, tensor.interleavedHeadDim)
                         : row;
      auto bytes = tensor.data.subspan(size_t(from) * rowBytes, rowBytes);
      if (!tensor.bitmask.empty())
        bytes = expand(tensor, bytes, from);
      if (auto status = tensor.dtype == dtype ? writer.write(bytes)
                                              : convert(tensor, bytes);
          !status.ok())
        return status;
    }
    return {};
  }

private:
  /// The whole row `row`, whose two of each four elements are `bytes`.
  std::span<const std::byte> expand(const TensorView &tensor,
                                    std::span<const std::byte> bytes,
                                    int64_t row) {
    const int64_t width = tensor.shape.back(), size = rt::sizeOf(tensor.dtype);
    whole.resize(size_t(width * size));
    expandBitmaskRow(bytes.data(),
                     tensor.bitmask.data() + row * bitmaskBytes(width), width,
                     size, whole.data());
    return whole;
  }

  rt::Status convert(const TensorView &tensor,
                     std::span<const std::byte> bytes) {
    const int64_t count = int64_t(bytes.size()) / rt::sizeOf(tensor.dtype);
    wide.resize(size_t(count));
    narrow.resize(size_t(count * rt::sizeOf(dtype)));
    rt::convertToF32(tensor.dtype, bytes.data(), wide.data(), count);
    rt::convertFromF32(dtype, wide.data(), narrow.data(), count);
    // Overflow: the result is not finite where the source was.
    if (anyNonFinite(dtype, narrow.data(), count))
      for (int64_t i = 0; i < count; ++i)
        if (anyNonFinite(dtype, narrow.data() + i * rt::sizeOf(dtype), 1) &&
            !anyNonFinite(tensor.dtype,
                          bytes.data() + i * rt::sizeOf(tensor.dtype), 1))
          return rt::invalidFile(rt::concat(
              "tensor ", rt::quote(tensor.name), ": expected numbers that ",
              rt::nameOf(dtype), " can hold, found ", wide[size_t(i)],
              "; import with another --dtype"));
    return writer.write(narrow);
  }

  rt::DType dtype;
  rt::SafetensorsWriter &writer;
  std::vector<float> wide;
  std::vector<std::byte> narrow, whole;
};
} // namespace

rt::Status writeTensors(std::span<const TensorView> tensors, rt::DType dtype,
                        const std::string &path,
                        rt::SafetensorsWriter &writer) {
  for (const TensorView &tensor : tensors)
    if (auto s = writer.declare(tensor.name, dtype, tensor.shape); !s.ok())
      return s;
  writer.setMetadata("format", "pt"); // readers of the field ask for it
  if (auto s = writer.begin(path); !s.ok())
    return s;
  RowWriter rows(dtype, writer);
  for (const TensorView &tensor : tensors)
    if (auto s = rows.write(tensor); !s.ok())
      return s;
  return writer.finish();
}

} // namespace coppice
