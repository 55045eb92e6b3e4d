// See machine.h.
#include "runtime/costmodel/machine.h"

#include "runtime/base/concat.h"
#include "runtime/base/json.h"
#include "runtime/base/mapped_file.h"
#include "runtime/base/sha256.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>

namespace coppice::rt {

constexpr const char *schema = "coppice.machine/1";

std::map<std::string, Efficiency, std::less<>> defaultEfficiencies() {
  // Round figures for vectorised but untuned code. `probe --calibrate` puts
  // measured ones in their place.
  const std::string origin = "default: assumed, not measured";
  std::map<std::string, Efficiency, std::less<>> result;
  for (const char *kind : {"lookup", "norm", "rotary_table", "rotary", "append",
                           "elementwise", "other"})
    result[kind] = {0.05, 0.5, origin};
  result["attention"] = {0.05, 0.4, origin};
  result["gemm"] = {0.3, 0.6, origin};
  return result;
}

namespace {

/// Reads members of one JSON object; the first that is missing or wrong is
/// kept as the failure.
class Reader {
public:
  Reader(const Json &object, std::string where)
      : object(object), where(std::move(where)) {
    if (!object.is_object())
      failed(concat("expected an object, found ", object.type_name()));
  }

  void read(const char *key, std::string &value) {
    if (const Json *member = find(key)) {
      if (member->is_string())
        value = member->get<std::string>();
      else
        failed(concat(key, ": expected a string, found ", member->type_name()));
    }
  }

  /// A finite number of at least `least`.
  void read(const char *key, double &value, double least) {
    if (const Json *member = find(key)) {
      if (!member->is_number())
        return failed(
            concat(key, ": expected a number, found ", member->type_name()));
      value = member->get<double>();
      if (!std::isfinite(value) || value < least)
        failed(concat(key, ": expected at least ", least, ", found ", value));
    }
  }

  const Json *find(const char *key) {
    if (!status.ok())
      return nullptr;
    auto found = object.find(key);
    if (found != object.end())
      return &*found;
    failed(concat("expected a member '", key, "', found none"));
    return nullptr;
  }

  void failed(const std::string &what) {
    if (status.ok())
      status = invalidFile(where + ": " + what);
  }

  Status status;

private:
  const Json &object;
  std::string where;
};

} // namespace

// Rates below one per second would make times overflow; nothing is so slow.
constexpr double leastRate = 1;

static Status readCeilings(const Json &json, size_t index, Ceilings &out) {
  Reader reader(json, concat("machine.threads[", index, "]"));
  double threads = 0;
  reader.read("threads", threads, 1);
  reader.read("f32_flops_per_s", out.flopsPerSecond, leastRate);
  reader.read("dram_read_bytes_per_s", out.dramReadBytesPerSecond, leastRate);
  reader.read("cache_read_bytes_per_s", out.cacheReadBytesPerSecond, leastRate);
  reader.read("dispatch_s", out.dispatchSeconds, 0);
  if (threads > 1 << 20 || threads != std::floor(threads))
    reader.failed(concat("threads: expected a whole number, found ", threads));
  if (reader.status.ok())
    out.threads = static_cast<int>(threads);
  return reader.status;
}

static Status readEfficiency(const Json &json, const std::string &kind,
                             Efficiency &out) {
  Reader reader(json, concat("machine.efficiency.", quote(kind)));
  reader.read("compute", out.compute, 1e-9);
  reader.read("memory", out.memory, 1e-9);
  reader.read("origin", out.origin);
  return reader.status;
}

Result<Machine> Machine::parse(std::string_view text) {
  Result<Json> json = parseJson(text);
  if (!json)
    return json.status();
  Machine machine;
  Reader reader(*json, "machine");
  std::string found;
  reader.read("schema", found);
  if (reader.status.ok() && found != schema)
    reader.failed(
        concat("schema: expected '", schema, "', found ", quote(found)));
  reader.read("host", machine.host);
  reader.read("cpu", machine.cpu);
  reader.read("isa", machine.isa);
  reader.read("date", machine.date);
  reader.read("origin", machine.origin);
  double cacheBytes = 0;
  reader.read("cache_bytes", cacheBytes, 1);
  if (cacheBytes > 0x1p50)
    reader.failed(concat("cache_bytes: expected bytes, found ", cacheBytes));
  const Json *threads = reader.find("threads");
  if (threads && (!threads->is_array() || threads->empty()))
    reader.failed("threads: expected an array of ceilings");
  const Json *efficiency = reader.find("efficiency");
  if (efficiency && !efficiency->is_object())
    reader.failed("efficiency: expected an object, one member a kind");
  if (!reader.status.ok())
    return reader.status;

  machine.cacheBytes = static_cast<int64_t>(cacheBytes);
  for (const Json &entry : *threads) {
    Ceilings ceilings;
    if (Status status = readCeilings(entry, machine.ceilings.size(), ceilings);
        !status.ok())
      return status;
    if (!machine.ceilings.empty() &&
        machine.ceilings.back().threads >= ceilings.threads)
      return invalidFile("machine.threads: expected ascending counts");
    machine.ceilings.push_back(ceilings);
  }
  // Kinds that the file leaves out keep their defaults.
  machine.efficiency = defaultEfficiencies();
  for (const auto &[kind, entry] : efficiency->items())
    if (Status status = readEfficiency(entry, kind, machine.efficiency[kind]);
        !status.ok())
      return status;
  return machine;
}

Result<Machine> Machine::load(const std::string &path) {
  Result<MappedFile> file = MappedFile::open(path);
  if (!file)
    return file.status();
  Result<Machine> machine = parse(file->text());
  return machine ? std::move(machine) : machine.status().at(path);
}

std::string Machine::json() const {
  Json threads = Json::array(), kinds = Json::object();
  for (const Ceilings &c : ceilings)
    threads.push_back({{"threads", c.threads},
                       {"f32_flops_per_s", c.flopsPerSecond},
                       {"dram_read_bytes_per_s", c.dramReadBytesPerSecond},
                       {"cache_read_bytes_per_s", c.cacheReadBytesPerSecond},
                       {"dispatch_s", c.dispatchSeconds}});
  for (const auto &[kind, e] : efficiency)
    kinds[kind] = {
        {"compute", e.compute}, {"memory", e.memory}, {"origin", e.origin}};
  Json json = {{"schema", schema},
               {"host", host},
               {"cpu", cpu},
               {"isa", isa},
               {"date", date},
               {"origin", origin},
               {"cache_bytes", cacheBytes},
               {"threads", threads},
               {"efficiency", kinds}};
  // Host names are bytes to us; a strange one must not throw.
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

std::string Machine::sha256() const { return rt::sha256(json()); }

const Ceilings &Machine::at(int threads) const {
  assert(!ceilings.empty() && "parse() and the probe give at least one");
  for (const Ceilings &c : ceilings)
    if (c.threads >= threads)
      return c;
  return ceilings.back();
}

void Machine::raise(int threads, double flopsPerSecond,
                    double dramReadBytesPerSecond) {
  auto &c = const_cast<Ceilings &>(at(threads));
  c.flopsPerSecond = std::max(c.flopsPerSecond, flopsPerSecond);
  c.dramReadBytesPerSecond =
      std::max(c.dramReadBytesPerSecond, dramReadBytesPerSecond);
}

const Efficiency &Machine::of(std::string_view kind) const {
  static const Efficiency none{1, 1, "default: none known"};
  auto found = efficiency.find(kind);
  if (found == efficiency.end())
    found = efficiency.find("other");
  return found == efficiency.end() ? none : found->second;
}

std::string defaultMachinePath() {
  const char *cache = std::getenv("XDG_CACHE_HOME");
  if (cache && *cache)
    return std::string(cache) + "/coppice/machine.json";
  const char *home = std::getenv("HOME");
  if (home && *home)
    return std::string(home) + "/.cache/coppice/machine.json";
  return {};
}

} // namespace coppice::rt
