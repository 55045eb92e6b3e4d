// See machine.h.
#include "runtime/costmodel/machine.h"

#include "runtime/base/concat.h"
#include "runtime/base/mapped_file.h"
#include "runtime/base/sha256.h"
#include "runtime/costmodel/machine_json.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>

namespace coppice::rt {

const char *const machineSchema = "coppice.machine/2";

void Rates::raise(const Rates &other) {
  f32 = std::max(f32, other.f32);
  bf16 = std::max(bf16, other.bf16);
  f32Avx2 = std::max(f32Avx2, other.f32Avx2);
  dram = std::max(dram, other.dram);
  tiles = std::max(tiles, other.tiles);
}

void Rates::replace(const Rates &other) {
  auto take = [](double &mine, double theirs) {
    if (theirs > 0)
      mine = theirs;
  };
  take(f32, other.f32);
  take(bf16, other.bf16);
  take(f32Avx2, other.f32Avx2);
  take(dram, other.dram);
  take(tiles, other.tiles);
}

double peakOf(const Rates &rates, Arithmetic arithmetic, std::string_view isa) {
  if (isa == "avx2" && rates.f32Avx2 > 0)
    return rates.f32Avx2;
  if (arithmetic != Arithmetic::BF16 || isa == "avx2" || isa == "avx512")
    return rates.f32;
  double tiles = isa == "avx512_bf16" ? 0 : rates.tiles;
  double narrow = std::max(rates.bf16, tiles);
  return narrow > 0 ? narrow : rates.f32;
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
    if (const Json *member = find(key))
      take(key, *member, value, least);
  }

  /// The same, or nothing where there is no such member.
  void readOptional(const char *key, double &value, double least) {
    if (const Json *member = findOptional(key))
      take(key, *member, value, least);
  }

  void readOptional(const char *key, std::string &value) {
    if (findOptional(key))
      read(key, value);
  }

  /// A whole number of at least `least`; counts and bytes.
  void read(const char *key, int64_t &value, int64_t least) {
    double number = 0;
    read(key, number, static_cast<double>(least));
    if (!status.ok())
      return;
    if (number > 0x1p50 || number != std::floor(number))
      return failed(concat(key, ": expected a whole number, found ", number));
    value = static_cast<int64_t>(number);
  }

  void readOptional(const char *key, int64_t &value, int64_t least) {
    if (findOptional(key))
      read(key, value, least);
  }

  const Json *findOptional(const char *key) {
    if (!status.ok())
      return nullptr;
    auto found = object.find(key);
    return found == object.end() ? nullptr : &*found;
  }

  const Json *find(const char *key) {
    const Json *found = findOptional(key);
    if (!found && status.ok())
      failed(concat("expected a member '", key, "', found none"));
    return found;
  }

  void failed(const std::string &what) {
    if (status.ok())
      status = invalidFile(where + ": " + what);
  }

  Status status;

private:
  void take(const char *key, const Json &member, double &value, double least) {
    if (!member.is_number())
      return failed(
          concat(key, ": expected a number, found ", member.type_name()));
    value = member.get<double>();
    if (!std::isfinite(value) || value < least)
      failed(concat(key, ": expected at least ", least, ", found ", value));
  }

  const Json &object;
  std::string where;
};

} // namespace

// Rates below one per second would make times overflow; nothing is so slow.
constexpr double leastRate = 1;

static Status readRates(const Json &json, const std::string &where,
                        Rates &out) {
  Reader reader(json, where);
  reader.read("f32_flops_per_s", out.f32, leastRate);
  reader.readOptional("bf16_flops_per_s", out.bf16, leastRate);
  reader.readOptional("bf16_tile_flops_per_s", out.tiles, leastRate);
  reader.readOptional("f32_avx2_flops_per_s", out.f32Avx2, leastRate);
  reader.read("dram_read_bytes_per_s", out.dram, leastRate);
  return reader.status;
}

static Status readCeilings(const Json &json, size_t index, Ceilings &out) {
  std::string where = concat("machine.threads[", index, "]");
  Reader reader(json, where);
  int64_t threads = 0;
  reader.read("threads", threads, 1);
  if (threads > 1 << 20)
    reader.failed(
        concat("threads: expected at most ", 1 << 20, ", found ", threads));
  const Json *best = reader.find("best");
  const Json *typical = reader.findOptional("typical");
  reader.readOptional("l1_read_bytes_per_s", out.cacheRead[0], leastRate);
  reader.readOptional("l2_read_bytes_per_s", out.cacheRead[1], leastRate);
  reader.readOptional("l3_read_bytes_per_s", out.cacheRead[2], leastRate);
  reader.read("dispatch_s", out.dispatchSeconds, 0);
  if (!reader.status.ok())
    return reader.status;
  out.threads = static_cast<int>(threads);
  if (Status status = readRates(*best, where + ".best", out.best); !status.ok())
    return status;
  out.typical = out.best;
  if (!typical)
    return {};
  out.typical = {};
  return readRates(*typical, where + ".typical", out.typical);
}

static Status readCache(const Json &json, size_t index, Machine &machine) {
  Reader reader(json, concat("machine.caches[", index, "]"));
  int64_t level = 0;
  CacheLevel cache;
  reader.read("level", level, 1);
  reader.read("bytes", cache.bytes, 1);
  const Json *shared = reader.find("shared");
  if (reader.status.ok() && !shared->is_boolean())
    reader.failed("shared: expected true or false");
  if (reader.status.ok() && level > cacheLevels)
    reader.failed(
        concat("level: expected 1 to ", cacheLevels, ", found ", level));
  if (!reader.status.ok())
    return reader.status;
  cache.shared = shared->get<bool>();
  machine.caches[level - 1] = cache;
  return {};
}

static Status readPoint(const Json &json, const std::string &where,
                        Curve &curve) {
  Reader reader(json, where);
  CurvePoint point;
  point.fixedSeconds = -1;
  reader.read("rows", point.rows, 1);
  reader.readOptional("depth", point.depth, 1);
  reader.read("fraction", point.fraction, 1e-9);
  reader.readOptional("fixed_s", point.fixedSeconds, 0);
  if (!reader.status.ok())
    return reader.status;
  auto place = [](const CurvePoint &p) { return std::pair(p.rows, p.depth); };
  if (!curve.points.empty() && place(curve.points.back()) >= place(point))
    return invalidFile(where + ": expected points in ascending order of rows "
                               "and depth");
  curve.points.push_back(point);
  return {};
}

static Status readCurve(const Json &json, size_t index, Curve &curve) {
  std::string where = concat("machine.curves[", index, "]");
  Reader reader(json, where);
  int64_t threads = 0;
  reader.read("kind", curve.key.kind);
  reader.readOptional("arithmetic", curve.key.arithmetic);
  reader.readOptional("storage", curve.key.storage);
  reader.readOptional("isa", curve.key.isa);
  reader.readOptional("threads", threads, 1);
  reader.read("origin", curve.origin);
  reader.readOptional("producer", curve.producer);
  const Json *points = reader.find("points");
  if (points && (!points->is_array() || points->empty()))
    reader.failed("points: expected an array of points");
  if (!reader.status.ok())
    return reader.status;
  curve.key.threads = static_cast<int>(std::min<int64_t>(threads, 1 << 20));
  for (size_t i = 0; i < points->size(); ++i)
    if (Status status =
            readPoint((*points)[i], concat(where, ".points[", i, "]"), curve);
        !status.ok())
      return status;
  return {};
}

static Status checkSchema(Reader &reader) {
  std::string found;
  reader.read("schema", found);
  if (!reader.status.ok() || found == machineSchema)
    return reader.status;
  reader.failed(concat("schema: expected ", quote(machineSchema), ", found ",
                       quote(found),
                       found == "coppice.machine/1"
                           ? ", which has one peak for all arithmetic: run "
                             "`coppice-run probe --calibrate BUNDLE` again"
                           : ""));
  return reader.status;
}

Result<Machine> Machine::parse(std::string_view text) {
  Result<Json> json = parseJson(text);
  if (!json)
    return json.status();
  Machine machine;
  Reader reader(*json, "machine");
  if (Status status = checkSchema(reader); !status.ok())
    return status;
  reader.read("host", machine.host);
  reader.read("cpu", machine.cpu);
  reader.read("isa", machine.isa);
  reader.read("date", machine.date);
  reader.read("origin", machine.origin);
  reader.read("cache_bytes", machine.cacheBytes, 1);
  reader.readOptional("step_s", machine.stepSeconds, 0);
  reader.readOptional("tile_rows", machine.tileRows, 1);
  reader.readOptional("tile_columns", machine.tileColumns, 1);
  reader.readOptional("units", machine.units, 1);
  const Json *caches = reader.find("caches");
  if (caches && !caches->is_array())
    reader.failed("caches: expected an array of levels");
  const Json *threads = reader.find("threads");
  if (threads && (!threads->is_array() || threads->empty()))
    reader.failed("threads: expected an array of ceilings");
  const Json *curves = reader.find("curves");
  if (curves && !curves->is_array())
    reader.failed("curves: expected an array of curves");
  if (const Json *sources = reader.findOptional("sources")) {
    Reader names(*sources, "machine.sources");
    for (const auto &[name, ignored] : sources->items())
      names.read(name.c_str(), machine.sources[name]);
    if (!names.status.ok())
      return names.status;
  }
  if (!reader.status.ok())
    return reader.status;

  for (size_t i = 0; i < caches->size(); ++i)
    if (Status status = readCache((*caches)[i], i, machine); !status.ok())
      return status;
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
  // Classes that the file leaves out keep what is assumed of them.
  machine.curves = assumedCurves();
  for (size_t i = 0; i < curves->size(); ++i) {
    Curve curve;
    if (Status status = readCurve((*curves)[i], i, curve); !status.ok())
      return status;
    machine.setCurve(std::move(curve));
  }
  return machine;
}

Result<Machine> Machine::load(const std::string &path) {
  Result<MappedFile> file = MappedFile::open(path);
  if (!file)
    return file.status();
  Result<Machine> machine = parse(file->text());
  return machine ? std::move(machine) : machine.status().at(path);
}

Json ratesJson(const Rates &rates) {
  Json json = Json::object();
  auto add = [&](const char *name, double rate) {
    if (rate > 0)
      json[name] = rate;
  };
  add("f32_flops_per_s", rates.f32);
  add("bf16_flops_per_s", rates.bf16);
  add("bf16_tile_flops_per_s", rates.tiles);
  add("f32_avx2_flops_per_s", rates.f32Avx2);
  add("dram_read_bytes_per_s", rates.dram);
  return json;
}

static Json ceilingsJson(const Ceilings &c) {
  Json json = {{"threads", c.threads},
               {"best", ratesJson(c.best)},
               {"typical", ratesJson(c.typical)},
               {"dispatch_s", c.dispatchSeconds}};
  const char *names[] = {"l1_read_bytes_per_s", "l2_read_bytes_per_s",
                         "l3_read_bytes_per_s"};
  for (int level = 0; level < cacheLevels; ++level)
    if (c.cacheRead[level] > 0)
      json[names[level]] = c.cacheRead[level];
  return json;
}

static Json curveJson(const Curve &curve) {
  Json points = Json::array();
  for (const CurvePoint &point : curve.points) {
    Json json = {{"rows", point.rows}, {"fraction", point.fraction}};
    if (point.depth > 0)
      json["depth"] = point.depth;
    if (point.fixedSeconds >= 0)
      json["fixed_s"] = point.fixedSeconds;
    points.push_back(json);
  }
  Json json = {
      {"kind", curve.key.kind}, {"origin", curve.origin}, {"points", points}};
  auto add = [&](const char *name, const std::string &value) {
    if (!value.empty())
      json[name] = value;
  };
  add("arithmetic", curve.key.arithmetic);
  add("storage", curve.key.storage);
  add("isa", curve.key.isa);
  add("producer", curve.producer);
  if (curve.key.threads > 0)
    json["threads"] = curve.key.threads;
  return json;
}

std::string Machine::json() const {
  Json threads = Json::array(), levels = Json::array(), list = Json::array();
  for (const Ceilings &c : ceilings)
    threads.push_back(ceilingsJson(c));
  for (int level = 0; level < cacheLevels; ++level)
    if (caches[level].bytes > 0)
      levels.push_back({{"level", level + 1},
                        {"bytes", caches[level].bytes},
                        {"shared", caches[level].shared}});
  for (const Curve &curve : curves)
    list.push_back(curveJson(curve));
  Json json = {{"schema", machineSchema},
               {"host", host},
               {"cpu", cpu},
               {"isa", isa},
               {"date", date},
               {"origin", origin},
               {"cache_bytes", cacheBytes},
               {"caches", levels},
               {"threads", threads},
               {"curves", list},
               {"step_s", stepSeconds}};
  auto add = [&](const char *name, int64_t value) {
    if (value > 0)
      json[name] = value;
  };
  add("tile_rows", tileRows);
  add("tile_columns", tileColumns);
  add("units", units);
  if (!sources.empty())
    json["sources"] = sources;
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

Ceilings &Machine::at(int threads) {
  return const_cast<Ceilings &>(std::as_const(*this).at(threads));
}

double Machine::cacheReadBytesPerSecond(double bytes, int threads) const {
  const Ceilings &c = at(threads);
  for (int level = 0; level < cacheLevels; ++level) {
    double room = static_cast<double>(caches[level].bytes) *
                  (caches[level].shared ? 1 : threads);
    if (bytes <= room && c.cacheRead[level] > 0)
      return c.cacheRead[level];
  }
  // A last level of several instances, or one whose size per core is not known.
  if (bytes <= static_cast<double>(cacheBytes))
    for (int level = cacheLevels - 1; level >= 0; --level)
      if (c.cacheRead[level] > 0)
        return c.cacheRead[level];
  return 0;
}

const Curve &Machine::curveFor(const CurveKey &key) const {
  static const Curve none{{}, "assumed: nothing is known", {{1, 0, 1, -1}}};
  const Curve *found = &none;
  int best = -1;
  for (const Curve &curve : curves)
    if (int score = matchScore(curve.key, key); score > best) {
      best = score;
      found = &curve;
    }
  return *found;
}

void Machine::setCurve(Curve curve) {
  for (Curve &old : curves)
    if (old.key == curve.key) {
      old = std::move(curve);
      return;
    }
  curves.push_back(std::move(curve));
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
