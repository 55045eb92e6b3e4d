// Any bytes as a safetensors file: parsed or refused, and what is parsed lies
// inside the file.
#include "runtime/base/safetensors.h"

#include <cstdlib>

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  using namespace coppice::rt;
  std::string_view file(reinterpret_cast<const char *>(data), size);
  auto header = SafetensorsHeader::parse(file, int64_t(size));
  if (!header)
    return 0;
  int64_t end = 0;
  for (const TensorInfo &tensor : header->tensors) {
    if (tensor.bytes < 0 || tensor.offset < end ||
        tensor.offset + tensor.bytes > int64_t(size))
      std::abort();
    end = tensor.offset + tensor.bytes;
  }
  return 0;
}
