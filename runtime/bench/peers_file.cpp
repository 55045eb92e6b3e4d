// See peers_file.h.
#include "runtime/bench/peers_file.h"

#include "runtime/base/json.h"
#include "runtime/base/mapped_file.h"
#include "runtime/costmodel/machine.h"

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <map>
#include <set>
#include <tuple>

namespace coppice::rt {

namespace {

struct PeerRecord {
  std::string peer, date;
  double ratio = 0;
};

/// m, n, k
using Shape = std::tuple<int64_t, int64_t, int64_t>;

} // namespace

static std::string textOf(const Json &json, const char *key) {
  auto found = json.find(key);
  return found != json.end() && found->is_string() ? found->get<std::string>()
                                                   : std::string();
}

static double numberOf(const Json &json, const char *key) {
  auto found = json.find(key);
  return found != json.end() && found->is_number() ? found->get<double>() : 0;
}

std::optional<PeerComparison> comparePeers(std::string_view text,
                                           std::string_view dtype, int threads,
                                           std::string_view cpu) {
  // The latest by shape: a file grows with each run, and our kernels change.
  std::map<Shape, PeerRecord> shapes;
  while (!text.empty()) {
    size_t end = std::min(text.find('\n'), text.size());
    Result<Json> json = parseJson(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
    if (!json || !json->is_object() ||
        textOf(*json, "schema") != "coppice.peers/1" ||
        textOf(*json, "kind") != "gemm" || textOf(*json, "dtype") != dtype ||
        textOf(*json, "cpu") != cpu || numberOf(*json, "threads") != threads)
      continue;
    PeerRecord record{textOf(*json, "peer") + " " +
                          textOf(*json, "peer_version"),
                      textOf(*json, "date"), numberOf(*json, "ratio")};
    if (!(record.ratio > 0) || !std::isfinite(record.ratio))
      continue;
    Shape shape{static_cast<int64_t>(numberOf(*json, "m")),
                static_cast<int64_t>(numberOf(*json, "n")),
                static_cast<int64_t>(numberOf(*json, "k"))};
    PeerRecord &latest = shapes[shape];
    if (record.date >= latest.date)
      latest = record;
  }
  if (shapes.empty())
    return std::nullopt;

  PeerComparison result;
  std::set<std::string> names;
  double logs = 0;
  for (const auto &[shape, record] : shapes) {
    logs += std::log(record.ratio);
    names.insert(record.peer);
    result.date = std::max(result.date, record.date);
  }
  result.shapes = static_cast<int64_t>(shapes.size());
  result.ratio = std::exp(logs / static_cast<double>(shapes.size()));
  result.peers.assign(names.begin(), names.end());
  return result;
}

std::string readPeersFile() {
  std::string machine = defaultMachinePath();
  if (machine.empty())
    return {};
  std::string path =
      std::filesystem::path(machine).replace_filename("peers.jsonl");
  Result<MappedFile> file = MappedFile::open(path);
  return file ? std::string(file->text()) : std::string();
}

} // namespace coppice::rt
