// concat(a, b, ..): joins values into one string, for messages. Numbers print
// as with operator<<. (std::format is missing from g++-12.)
#ifndef COPPICE_RUNTIME_BASE_CONCAT_H
#define COPPICE_RUNTIME_BASE_CONCAT_H

#include <sstream>
#include <string>

namespace coppice::rt {

template <typename... Parts> std::string concat(const Parts &...parts) {
  std::ostringstream out;
  (out << ... << parts);
  return std::move(out).str();
}

} // namespace coppice::rt

#endif
