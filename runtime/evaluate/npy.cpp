// See npy.h.
#include "runtime/evaluate/npy.h"

#include "runtime/base/atomic_file.h"
#include "runtime/base/concat.h"

namespace coppice::rt {

std::string npyHeader(int64_t rows, int64_t columns) {
  std::string text =
      concat("{'descr': '<f4', 'fortran_order': False, 'shape': (", rows, ", ",
             columns, "), }");
  // 10 bytes stand before the text, a line end closes it.
  constexpr size_t before = 10, alignment = 64;
  while ((before + text.size() + 1) % alignment)
    text += ' ';
  text += '\n';
  std::string header("\x93NUMPY\x01\x00", 8);
  header += static_cast<char>(text.size() & 0xFF);
  header += static_cast<char>(text.size() >> 8);
  return header + text;
}

Status writeNpy(const std::string &path, std::span<const float> values,
                int64_t rows, int64_t columns) {
  Result<AtomicFile> file = AtomicFile::create(path);
  if (!file)
    return file.status();
  if (Status status = file->write(npyHeader(rows, columns)); !status.ok())
    return status;
  if (Status status = file->write(std::as_bytes(values)); !status.ok())
    return status;
  return file->commit();
}

} // namespace coppice::rt
