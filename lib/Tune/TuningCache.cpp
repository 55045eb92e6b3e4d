//===- TuningCache.cpp - what was measured to be best, on this machine ----===//

#include "coppice/Tune/TuningCache.h"
#include "coppice/runtime.h"
#include "runtime/bench/host.h"

#include "llvm/Support/FileSystem.h"
#include "llvm/Support/FormatVariadic.h"
#include "llvm/Support/JSON.h"
#include "llvm/Support/MemoryBuffer.h"
#include "llvm/Support/Path.h"

#include <cerrno>
#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

using namespace llvm;

namespace coppice {

static constexpr StringLiteral schemaName = "coppice.tuning/1";

static std::string keyOf(const GemmClass &gemm, const RowBucket &bucket,
                         StringRef isa) {
  return formatv("{0}x{1} {2} {3} x{4} rows {5}-{6} {7}", gemm.n, gemm.k,
                 gemm.inputBytes, gemm.weightBytes, gemm.weights, bucket.least,
                 bucket.most, isa);
}

static std::string textOf(const GemmConfig &config,
                          mlir::MLIRContext *context) {
  std::string text;
  raw_string_ostream(text) << config.toAttr(context);
  return text;
}

std::string TuningCache::defaultPath() {
  SmallString<128> path;
  if (const char *cache = std::getenv("XDG_CACHE_HOME"); cache && *cache)
    path = cache;
  else if (const char *home = std::getenv("HOME"); home && *home)
    sys::path::append(path, home, ".cache");
  else
    return "";
  sys::path::append(path, "coppice", "tuning.jsonl");
  return path.str().str();
}

std::string TuningCache::currentVersion() {
  return formatv("{0} {1}", coppice_version(), rt::buildCommit());
}

//===----------------------------------------------------------------------===//
// Reading
//===----------------------------------------------------------------------===//

/// The fields of one line that lookups need; nothing where one is missing.
static std::optional<TuningEntry> parseLine(StringRef line) {
  Expected<json::Value> value = json::parse(line);
  if (!value) {
    consumeError(value.takeError());
    return std::nullopt;
  }
  const json::Object *object = value->getAsObject();
  if (!object || object->getString("schema") != schemaName)
    return std::nullopt;
  TuningEntry entry;
  bool whole = true;
  auto integer = [&](StringRef name, int64_t &out) {
    std::optional<int64_t> found = object->getInteger(name);
    whole &= found.has_value();
    out = found.value_or(0);
  };
  auto string = [&](StringRef name, std::string &out) {
    std::optional<StringRef> found = object->getString(name);
    whole &= found.has_value();
    out = found.value_or("").str();
  };
  integer("n", entry.gemm.n);
  integer("k", entry.gemm.k);
  integer("input_bytes", entry.gemm.inputBytes);
  integer("weight_bytes", entry.gemm.weightBytes);
  integer("weights", entry.gemm.weights);
  integer("least_rows", entry.bucket.least);
  integer("most_rows", entry.bucket.most);
  string("cpu", entry.cpu);
  string("isa", entry.isa);
  string("version", entry.version);
  string("config", entry.config);
  return whole ? std::optional(entry) : std::nullopt;
}

Expected<TuningCache> TuningCache::load(const std::string &path) {
  TuningCache cache;
  ErrorOr<std::unique_ptr<MemoryBuffer>> file =
      MemoryBuffer::getFile(path, /*IsText=*/false,
                            /*RequiresNullTerminator=*/false,
                            /*IsVolatile=*/true);
  if (!file) {
    if (file.getError() == std::errc::no_such_file_or_directory)
      return cache;
    return createStringError(file.getError(), "cannot read '%s': %s",
                             path.c_str(), file.getError().message().c_str());
  }
  std::string cpu = rt::cpuName(), version = currentVersion();
  StringRef rest = (*file)->getBuffer();
  while (!rest.empty()) {
    // A last line without its end is one that is being written.
    size_t end = rest.find('\n');
    if (end == StringRef::npos)
      break;
    StringRef line = rest.take_front(end);
    rest = rest.drop_front(end + 1);
    std::optional<TuningEntry> entry = parseLine(line);
    if (!entry)
      ++cache.ignored;
    else if (entry->cpu == cpu && entry->version == version)
      cache.configs[keyOf(entry->gemm, entry->bucket, entry->isa)] =
          std::move(entry->config);
  }
  return cache;
}

std::optional<GemmConfig>
TuningCache::lookup(const GemmClass &gemm, const RowBucket &bucket,
                    StringRef isa, mlir::MLIRContext *context) const {
  auto found = configs.find(keyOf(gemm, bucket, isa));
  if (found == configs.end())
    return std::nullopt;
  for (const GemmConfig &candidate : gemmCandidates(gemm, bucket))
    if (textOf(candidate, context) == found->second)
      return candidate;
  return std::nullopt;
}

//===----------------------------------------------------------------------===//
// Writing
//===----------------------------------------------------------------------===//

static Error ioFailure(const std::string &path, int code) {
  return createStringError(std::error_code(code, std::generic_category()),
                           "cannot write '%s': %s", path.c_str(),
                           std::strerror(code));
}

/// Writes all of `text`; 0, or what went wrong.
static int writeAll(int file, StringRef text) {
  while (!text.empty()) {
    ssize_t written = write(file, text.data(), text.size());
    if (written < 0 && errno == EINTR)
      continue;
    if (written < 0)
      return errno;
    text = text.drop_front(static_cast<size_t>(written));
  }
  return 0;
}

/// Does the file end inside of a line?
static bool endsInLine(int file) {
  off_t size = lseek(file, 0, SEEK_END);
  char last = '\n';
  return size > 0 && pread(file, &last, 1, size - 1) == 1 && last != '\n';
}

Error TuningCache::append(const std::string &path, const TuningEntry &entry) {
  std::string line;
  raw_string_ostream(line) << json::Value(
      json::Object{{"schema", schemaName},
                   {"cpu", json::fixUTF8(entry.cpu)},
                   {"isa", entry.isa},
                   {"version", entry.version},
                   {"threads", entry.threads},
                   {"n", entry.gemm.n},
                   {"k", entry.gemm.k},
                   {"input_bytes", entry.gemm.inputBytes},
                   {"weight_bytes", entry.gemm.weightBytes},
                   {"weights", entry.gemm.weights},
                   {"least_rows", entry.bucket.least},
                   {"most_rows", entry.bucket.most},
                   {"config", entry.config},
                   {"seconds", entry.seconds},
                   {"default_seconds", entry.defaultSeconds},
                   {"date", entry.date}});
  line += "\n";

  StringRef folder = sys::path::parent_path(path);
  if (std::error_code code = folder.empty()
                                 ? std::error_code()
                                 : sys::fs::create_directories(folder))
    return createStringError(code, "cannot make the folder of '%s': %s",
                             path.c_str(), code.message().c_str());
  int file = open(path.c_str(), O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
  if (file < 0)
    return ioFailure(path, errno);
  int code = flock(file, LOCK_EX) == 0 ? 0 : errno;
  if (code == 0 && endsInLine(file))
    line.insert(line.begin(), '\n');
  if (code == 0)
    code = writeAll(file, line);
  if (close(file) != 0 && code == 0) // gives the lock back, too
    code = errno;
  return code == 0 ? Error::success() : ioFailure(path, code);
}

} // namespace coppice
