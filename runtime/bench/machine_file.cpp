#include "runtime/bench/machine_file.h"

#include "runtime/base/atomic_file.h"
#include "runtime/base/concat.h"
#include "runtime/base/json.h"
#include "runtime/base/mapped_file.h"
#include "runtime/bench/host.h"
#include "runtime/bench/probe.h"

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <optional>
#include <vector>

namespace coppice::rt {

namespace {

Status store(const Machine &machine, const std::string &path) {
  std::error_code error;
  std::filesystem::create_directories(std::filesystem::path(path).parent_path(),
                                      error);
  if (error)
    return ioError("cannot make the directory of '" + path +
                   "': " + error.message());
  return writeFile(path, machine.json() + "\n");
}

/// Of a file that may be another version's.
Result<std::string> readSchema(const std::string &path) {
  Result<MappedFile> file = MappedFile::open(path);
  if (!file)
    return file.status();
  Result<Json> json = parseJson(file->text());
  if (!json)
    return json.status();
  if (!json->is_object() || !json->contains("schema") ||
      !(*json)["schema"].is_string())
    return invalidFile("expected a member 'schema'");
  return (*json)["schema"].get<std::string>();
}

} // namespace

Result<Machine> machineToPredictFor(const std::string &named) {
  if (!named.empty())
    return Machine::load(named);
  std::string path = defaultMachinePath();
  std::error_code ignored;
  std::optional<Machine> old; // of this machine, for other code
  if (!path.empty() && std::filesystem::exists(path, ignored)) {
    Result<std::string> schema = readSchema(path);
    if (schema && *schema != machineSchema) {
      std::fprintf(stderr, "note: %s is of schema %s, expected %s\n",
                   path.c_str(), schema->c_str(), machineSchema);
    } else {
      Result<Machine> machine = Machine::load(path);
      if (!machine)
        return machine.status().at("remove it or run probe");
      if (machine->host == hostName() && machine->cpu == cpuName()) {
        if (machine->isa == bestIsa())
          return machine;
        // The ceilings of instructions that it does not know are missing.
        std::fprintf(stderr, "note: %s was probed for %s, code here has %s\n",
                     path.c_str(), machine->isa.c_str(), bestIsa().c_str());
        old = *std::move(machine);
      }
    }
  }
  std::fprintf(stderr, "probing this machine, some seconds\n");
  Result<Machine> machine = probeMachine({});
  if (!machine || path.empty())
    return machine;
  // What was calibrated stays.
  if (old) {
    machine->stepSeconds = old->stepSeconds;
    for (const Curve &curve : old->curves)
      machine->setCurve(curve);
  }
  Status status = store(*machine, path);
  // The figures are good without the file; the next run will probe again.
  std::fprintf(stderr, status.ok() ? "wrote %s\n" : "warning: %s\n",
               status.ok() ? path.c_str() : status.message().c_str());
  return machine;
}

/// share/coppice/machines of the tree that this executable stands in.
static std::filesystem::path shippedMachines() {
  std::error_code error;
  auto self = std::filesystem::read_symlink("/proc/self/exe", error);
  return self.parent_path().parent_path() / "share" / "coppice" / "machines";
}

/// "a100, h100, h200"
static std::string shippedNames() {
  std::vector<std::string> names;
  std::error_code ignored;
  for (const auto &entry :
       std::filesystem::directory_iterator(shippedMachines(), ignored))
    if (entry.path().extension() == ".json")
      names.push_back(entry.path().stem());
  std::sort(names.begin(), names.end());
  std::string all;
  for (const std::string &name : names)
    all += (all.empty() ? "" : ", ") + name;
  return all.empty() ? "none" : all;
}

Result<Machine> findMachine(const std::string &named) {
  std::error_code ignored;
  if (named.empty()) {
    std::string path = defaultMachinePath();
    if (!path.empty() && std::filesystem::exists(path, ignored))
      return Machine::load(path);
    return invalidArgument(concat(
        "expected a machine description: name a file, or one of ",
        shippedNames(), ", with --machine, or run `coppice-run probe` once"));
  }
  if (std::filesystem::exists(named, ignored))
    return Machine::load(named);
  bool isName = named.find('/') == std::string::npos;
  std::filesystem::path shipped = shippedMachines() / (named + ".json");
  if (isName && std::filesystem::exists(shipped, ignored))
    return Machine::load(shipped);
  return ioError(concat("expected a machine description or one of ",
                        shippedNames(), ", found no file ", quote(named)));
}

} // namespace coppice::rt
