#include "coppice/Replace/WeightReader.h"

#include "coppice/Dialect/Decoder/IR/Decoder.h"
#include "runtime/base/sha256.h"
#include "runtime/base/weight_generator.h"

#include "llvm/Support/FormatVariadic.h"
#include "llvm/Support/Path.h"

#include <cmath>

using namespace mlir;
using namespace coppice;

rt::DType coppice::getStorageType(Type type) {
  if (type.isBF16())
    return rt::DType::BF16;
  return type.isF16() ? rt::DType::F16 : rt::DType::F32;
}

FailureOr<const rt::SafetensorsFile *>
WeightReader::open(ml_program::GlobalOp weight, StringRef path) {
  auto [entry, isNew] = files.try_emplace(path);
  if (!isNew)
    return &entry->second;
  SmallString<128> full(directory);
  if (llvm::sys::path::is_absolute(path))
    full = path;
  else
    llvm::sys::path::append(full, path);
  auto opened = rt::SafetensorsFile::open(std::string(full));
  if (!opened)
    return weight.emitError("cannot read its weight file: ")
           << opened.status().message();
  entry->second = *std::move(opened);
  StringRef expected = decoder::getFileSha256(module, path);
  if (expected.empty())
    return &entry->second;
  std::string found = rt::sha256(entry->second.bytes());
  if (found != expected)
    return weight.emitError("weights changed since import: expected ")
           << full << " to have sha256 " << expected << ", found " << found
           << "; import the model again";
  return &entry->second;
}

LogicalResult WeightReader::check(ml_program::GlobalOp weight) {
  auto type = cast<RankedTensorType>(weight.getType());
  Attribute source = weight->getDiscardableAttr(decoder::kSourceAttrName);
  if (isa_and_nonnull<decoder::GeneratedAttr>(source))
    return success();
  auto location = dyn_cast_or_null<decoder::FileAttr>(source);
  if (!location)
    return weight.emitError("expected the weight @")
           << weight.getSymName() << " to have '" << decoder::kSourceAttrName
           << "', found none";
  FailureOr<const rt::SafetensorsFile *> file =
      open(weight, location.getPath());
  if (failed(file))
    return failure();
  const rt::TensorInfo *tensor = (*file)->find(std::string(location.getKey()));
  if (!tensor)
    return weight.emitError("expected a tensor '")
           << location.getKey() << "' in " << location.getPath()
           << ", found none";
  // Of a tensor that several weights share, these rows are its own.
  SmallVector<int64_t> shape(tensor->shape.begin(), tensor->shape.end());
  if (DenseI64ArrayAttr rows = location.getRows();
      rows && !shape.empty() && rows[1] <= shape.front())
    shape.front() = rows[1] - rows[0];
  if (tensor->dtype != getStorageType(type.getElementType()) ||
      ArrayRef<int64_t>(shape) != type.getShape())
    return weight.emitError("expected tensor '")
           << location.getKey() << "' of " << location.getPath() << " to have "
           << (location.getRows() ? "rows that are " : "type ") << type
           << ", found another type or shape";
  return success();
}

std::vector<float> WeightReader::read(ml_program::GlobalOp weight,
                                      ArrayRef<int64_t> rows,
                                      ArrayRef<int64_t> columns) const {
  auto type = cast<RankedTensorType>(weight.getType());
  int64_t width = type.getDimSize(1);
  rt::DType dtype = getStorageType(type.getElementType());
  std::vector<float> line(static_cast<size_t>(width)), result;
  result.reserve(rows.size() * columns.size());
  auto keepColumns = [&] {
    for (int64_t column : columns)
      result.push_back(line[static_cast<size_t>(column)]);
  };
  Attribute source = weight->getDiscardableAttr(decoder::kSourceAttrName);
  if (auto generated = dyn_cast<decoder::GeneratedAttr>(source)) {
    rt::WeightGenerator make(generated.getSeed(), generated.getName(),
                             generated.getMean().getValueAsDouble(),
                             generated.getStddev().getValueAsDouble());
    std::vector<std::byte> stored(
        static_cast<size_t>(width * rt::sizeOf(dtype)));
    for (int64_t row : rows) {
      make.fill(row * width, width, line.data());
      // Rounded as the weight is where it is used.
      rt::convertFromF32(dtype, line.data(), stored.data(), width);
      rt::convertToF32(dtype, stored.data(), line.data(), width);
      keepColumns();
    }
    return result;
  }
  auto location = cast<decoder::FileAttr>(source);
  const rt::SafetensorsFile &file = files.find(location.getPath())->second;
  std::span<const std::byte> data =
      file.data(*file.find(std::string(location.getKey())));
  const int64_t first = location.getRows() ? location.getRows()[0] : 0;
  for (int64_t row : rows) {
    rt::convertToF32(dtype,
                     data.data() + (first + row) * width * rt::sizeOf(dtype),
                     line.data(), width);
    keepColumns();
  }
  return result;
}

std::optional<std::string>
WeightReader::findNonFinite(ml_program::GlobalOp weight,
                            ArrayRef<float> elements, ArrayRef<int64_t> rows,
                            ArrayRef<int64_t> columns) {
  const auto *found =
      llvm::find_if_not(elements, [](float x) { return std::isfinite(x); });
  if (found == elements.end())
    return std::nullopt;
  size_t place = static_cast<size_t>(found - elements.begin());
  int64_t row = rows[place / columns.size()],
          column = columns[place % columns.size()];
  StringRef what = std::isnan(*found) ? "NaN" : "Inf";
  auto location = dyn_cast_or_null<decoder::FileAttr>(
      weight->getDiscardableAttr(decoder::kSourceAttrName));
  if (!location)
    return llvm::formatv("{0} at [{1}, {2}] of @{3}", what, row, column,
                         weight.getSymName());
  int64_t first = location.getRows() ? location.getRows()[0] : 0;
  return llvm::formatv("{0} at [{1}, {2}] of tensor '{3}' in '{4}'", what,
                       first + row, column, location.getKey(),
                       location.getPath());
}
