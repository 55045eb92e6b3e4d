// A llama2.c file: 28 bytes of header and, in the next 8 bytes of the input,
// how long the file claims to be. Every tensor of an accepted file of moderate
// size is read at both ends, where a wrong size would leave the buffer.
#include "coppice/Import/Llama2C.h"

#include <cstdint>
#include <cstring>

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  int64_t fileBytes = int64_t(size);
  if (size >= 36)
    std::memcpy(&fileBytes, data + 28, sizeof(fileBytes));
  auto header = std::as_bytes(std::span(data, size));
  auto model = coppice::parseLlama2CHeader(header, fileBytes);
  if (!model || fileBytes > (1 << 22))
    return 0;
  std::vector<std::byte> file(static_cast<size_t>(fileBytes), std::byte(1));
  for (const coppice::TensorView &tensor : coppice::viewLlama2C(*model, file)) {
    volatile std::byte first = tensor.data.front(), last = tensor.data.back();
    (void)first, (void)last;
  }
  return 0;
}
