#include "SetFiles.h"
#include "llvm/Support/Path.h"
#include <cstring>

using namespace mlir;
using namespace coppice;
using namespace coppice::prune;

/// Element `index` of a tensor of integers.
static int64_t loadInteger(std::span<const std::byte> data, rt::DType dtype,
                           int64_t index) {
  auto load = [&](auto value) -> int64_t {
    std::memcpy(&value, data.data() + index * sizeof(value), sizeof(value));
    return value;
  };
  switch (dtype) {
  case rt::DType::I32:
    return load(int32_t());
  case rt::DType::I64:
    return load(int64_t());
  default: // BOOL, U8
    return load(uint8_t());
  }
}

FailureOr<const rt::SafetensorsFile *>
SafetensorsSetReader::open(const std::string &name,
                           function_ref<InFlightDiagnostic()> emitError) {
  auto file = files.find(name);
  if (file == files.end()) {
    rt::Result<rt::SafetensorsFile> opened = rt::SafetensorsFile::open(name);
    if (!opened)
      return emitError() << opened.status().message();
    file = files.emplace(name, *std::move(opened)).first;
  }
  return &file->second;
}

FailureOr<SmallVector<int64_t>>
SafetensorsSetReader::find(StringRef path, StringRef key, Type element,
                           function_ref<InFlightDiagnostic()> emitError,
                           size_t rank) {
  FailureOr<const rt::SafetensorsFile *> file = open(path.str(), emitError);
  if (failed(file))
    return failure();
  const rt::TensorInfo *tensor =
      (*file)->find(std::string_view(key.data(), key.size()));
  if (!tensor)
    return emitError() << "expected a tensor '" << key << "' in '" << path
                       << "', found none";
  rt::DType found = tensor->dtype;
  bool fits = element.isInteger(1)
                  ? found == rt::DType::Bool || found == rt::DType::U8
                  : found == (element.isBF16()  ? rt::DType::BF16
                              : element.isF16() ? rt::DType::F16
                                                : rt::DType::F32);
  if (!fits || tensor->shape.size() != rank) {
    InFlightDiagnostic diagnostic = emitError();
    diagnostic << "'" << key << "' of '" << path << "': expected "
               << (rank == 1 ? "one axis" : "two axes") << " of ";
    if (element.isInteger(1))
      diagnostic << "BOOL or U8";
    else
      diagnostic << element << ", as the weight has";
    return diagnostic << ", found " << tensor->shape.size() << " of "
                      << StringRef(rt::safetensorsNameOf(found));
  }
  return SmallVector<int64_t>(tensor->shape.begin(), tensor->shape.end());
}

FailureOr<SmallVector<int64_t>>
SafetensorsSetReader::read(StringRef path, StringRef key, int64_t count,
                           function_ref<InFlightDiagnostic()> emitError) {
  SmallString<128> full(path);
  if (llvm::sys::path::is_relative(path) && !directory.empty()) {
    full = directory;
    llvm::sys::path::append(full, path);
  }
  std::string name = full.str().str();
  FailureOr<const rt::SafetensorsFile *> opened = open(name, emitError);
  if (failed(opened))
    return failure();
  const rt::SafetensorsFile &file = **opened;
  auto fail = [&]() -> InFlightDiagnostic {
    return emitError() << "'" << key << "' of '" << name << "': ";
  };
  const rt::TensorInfo *tensor =
      file.find(std::string_view(key.data(), key.size()));
  if (!tensor)
    return emitError() << "expected a tensor '" << key << "' in '" << name
                       << "', found none";
  bool isMask =
      tensor->dtype == rt::DType::Bool || tensor->dtype == rt::DType::U8;
  if (!isMask && tensor->dtype != rt::DType::I32 &&
      tensor->dtype != rt::DType::I64)
    return fail() << "expected a mask (BOOL, U8) or indices (I32, I64), found "
                  << StringRef(rt::safetensorsNameOf(tensor->dtype));
  if (tensor->shape.size() != 1 || (isMask && tensor->shape[0] != count))
    return fail() << (isMask ? "expected a mask of one dimension of "
                             : "expected one dimension of indices below ")
                  << count << ", found another shape";

  std::span<const std::byte> data = file.data(*tensor);
  SmallVector<int64_t> indices;
  for (int64_t i = 0, e = tensor->shape[0]; i < e; ++i) {
    int64_t value = loadInteger(data, tensor->dtype, i);
    if (isMask && value)
      indices.push_back(i);
    if (isMask)
      continue;
    if (value < 0 || value >= count)
      return fail() << "expected indices from 0 to " << count - 1 << ", found "
                    << value;
    indices.push_back(value);
  }
  llvm::sort(indices);
  if (auto *twice = std::adjacent_find(indices.begin(), indices.end());
      twice != indices.end())
    return fail() << "expected each index once, found " << *twice << " twice";
  return indices;
}

FailureOr<SetAttr> coppice::prune::resolveKeptSet(KeepOp op, StringRef name,
                                                  int64_t count,
                                                  SafetensorsSetReader &files,
                                                  StringRef directory) {
  auto emitError = [&] {
    return op.emitOpError()
           << stringifyDimension(op.getDimension()) << " of '" << name
           << "', of which there are " << count << ": ";
  };
  auto file = op->getLoc()->findInstanceOf<FileLineColLoc>();
  files.setDirectory(
      directory.empty() && file
          ? llvm::sys::path::parent_path(file.getFilename()).str()
          : directory.str());
  FailureOr<SmallVector<int64_t>> indices =
      op.getSet().resolve(count, files, emitError);
  if (failed(indices))
    return failure();
  if (indices->empty()) {
    InFlightDiagnostic diagnostic =
        emitError() << "expected at least one to remain, found none";
    if (op.getDimension() != Dimension::Hidden)
      diagnostic << "; 'prune.skip' removes the whole sublayer";
    return diagnostic;
  }
  return SetAttr::fromIndices(op.getContext(), *indices, count);
}

std::string coppice::prune::resolvePlanPath(Operation *op, StringRef path,
                                            StringRef directory) {
  auto file = op->getLoc()->findInstanceOf<FileLineColLoc>();
  if (directory.empty() && file)
    directory = llvm::sys::path::parent_path(file.getFilename());
  if (directory.empty() || llvm::sys::path::is_absolute(path))
    return path.str();
  SmallString<128> full(directory);
  llvm::sys::path::append(full, path);
  return full.str().str();
}
