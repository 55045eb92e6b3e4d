// A check of `--seed N`: CLI11 turns what does not fit into 64 bits into the
// largest number that does, and says nothing.
#ifndef COPPICE_TOOLS_COPPICE_RUN_SEED_CHECK_H
#define COPPICE_TOOLS_COPPICE_RUN_SEED_CHECK_H

#include <CLI/CLI.hpp>

#include <charconv>
#include <cstdint>
#include <string>

namespace coppice::rt {

inline CLI::Validator seedCheck() {
  return CLI::Validator(
      [](std::string &text) -> std::string {
        uint64_t seed = 0;
        const char *end = text.data() + text.size();
        auto [next, error] = std::from_chars(text.data(), end, seed);
        if (error == std::errc() && next == end)
          return "";
        return "expected a whole number from 0 to 18446744073709551615, "
               "found '" +
               text + "'";
      },
      "");
}

} // namespace coppice::rt

#endif
