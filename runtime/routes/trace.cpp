// See trace.h.
#include "runtime/routes/trace.h"

#include "runtime/base/concat.h"
#include "runtime/base/json.h"
#include "runtime/base/safetensors.h"
#include "runtime/base/safetensors_writer.h"

#include <algorithm>
#include <cstring>

namespace coppice::rt {

static std::string shapeText(std::span<const int64_t> shape) {
  std::string text;
  for (int64_t extent : shape)
    text += (text.empty() ? "" : ", ") + std::to_string(extent);
  return "[" + text + "]";
}

/// The tensor of that name, dtype and shape; an extent of -1 is any.
static Result<const TensorInfo *> take(const SafetensorsFile &file,
                                       const std::string &name, DType dtype,
                                       std::vector<int64_t> shape) {
  const TensorInfo *tensor = file.find(name);
  if (!tensor)
    return invalidFile("expected a tensor " + quote(name) +
                       ", found none of that name");
  bool fits = tensor->dtype == dtype && tensor->shape.size() == shape.size();
  for (size_t i = 0; fits && i < shape.size(); ++i)
    fits = shape[i] < 0 || shape[i] == tensor->shape[i];
  std::string wanted = shape[0] < 0 ? "[n]" : shapeText(shape);
  if (!fits)
    return invalidFile(concat("tensor ", quote(name), ": expected ",
                              safetensorsNameOf(dtype), " ", wanted, ", found ",
                              safetensorsNameOf(tensor->dtype), " ",
                              shapeText(tensor->shape)));
  return tensor;
}

/// Element i of a tensor whose bytes need not be aligned.
static int32_t elementAt(std::span<const std::byte> bytes, int64_t i) {
  int32_t value;
  std::memcpy(&value, bytes.data() + i * int64_t(sizeof value), sizeof value);
  return value;
}

std::vector<int8_t> &RouteTrace::at(int32_t sequence, int32_t position) {
  std::vector<int8_t> &row = rows[{sequence, position}];
  row.resize(size_t(columns), -1);
  return row;
}

const std::vector<int8_t> *RouteTrace::find(int32_t sequence,
                                            int32_t position) const {
  auto found = rows.find({sequence, position});
  return found == rows.end() ? nullptr : &found->second;
}

double RouteTrace::density(const Route &route) const {
  int64_t kept = 0;
  for (const auto &[key, row] : rows)
    kept += std::count(row.begin() + route.column,
                       row.begin() + route.column + route.groups, 1);
  return rows.empty()
             ? 1
             : double(kept) / double(route.groups) / double(rows.size());
}

static Status readRows(const SafetensorsFile &file, const Program &program,
                       RouteTrace &trace) {
  auto slots = take(file, "slots", DType::I32, {-1});
  if (!slots)
    return slots.status();
  int64_t count = (*slots)->shape[0];
  auto positions = take(file, "positions", DType::I32, {count});
  if (!positions)
    return positions.status();
  std::span<const std::byte> slotBytes = file.data(**slots),
                             positionBytes = file.data(**positions);
  std::vector<std::vector<int8_t> *> rows;
  for (int64_t i = 0; i < count; ++i) {
    int32_t slot = elementAt(slotBytes, i),
            position = elementAt(positionBytes, i);
    if (slot < 0 || position < 0)
      return invalidFile(concat("row ", i,
                                ": expected a slot and a position of at least "
                                "0, found ",
                                slot, " and ", position));
    if (trace.find(slot, position))
      return invalidFile(concat("row ", i, ": slot ", slot, ", position ",
                                position, " appears twice"));
    rows.push_back(&trace.at(slot, position));
  }
  for (const Route &route : program.routes) {
    auto tensor = take(file, route.name, DType::U8, {count, route.groups});
    if (!tensor)
      return tensor.status();
    std::span<const std::byte> mask = file.data(**tensor);
    for (size_t i = 0; i < mask.size(); ++i) {
      int value = int(mask[i]);
      if (value > 1)
        return invalidFile(concat("tensor ", quote(route.name),
                                  ": expected 0 or 1, found ", value,
                                  " in row ", i / size_t(route.groups)));
      (*rows[i / size_t(route.groups)])[size_t(route.column) +
                                        i % size_t(route.groups)] =
          int8_t(value);
    }
  }
  return {};
}

Result<RouteTrace> RouteTrace::load(const std::string &path,
                                    const Program &program) {
  auto file = SafetensorsFile::open(path);
  if (!file)
    return file.status();
  RouteTrace trace(program);
  if (Status status = readRows(*file, program, trace); !status.ok())
    return status.at(path);
  return trace;
}

Status RouteTrace::save(const std::string &path) const {
  if (rows.empty())
    return invalidArgument(path + ": expected decisions to record, found none");
  int64_t count = int64_t(rows.size());
  SafetensorsWriter writer;
  auto begin = [&]() -> Status {
    for (const char *name : {"slots", "positions"})
      if (Status status = writer.declare(name, DType::I32, {{count}});
          !status.ok())
        return status;
    for (const Route &route : routes)
      if (Status status =
              writer.declare(route.name, DType::U8, {{count, route.groups}});
          !status.ok())
        return status;
    return writer.begin(path);
  };
  Status status = begin();
  std::vector<int32_t> slots, positions;
  for (const auto &[key, row] : rows) {
    slots.push_back(key.first);
    positions.push_back(key.second);
  }
  for (const auto *list : {&slots, &positions})
    if (status.ok())
      status = writer.write(std::as_bytes(std::span(*list)));
  std::vector<int8_t> mask;
  for (const Route &route : routes) {
    mask.clear();
    for (const auto &[key, row] : rows)
      mask.insert(mask.end(), row.begin() + route.column,
                  row.begin() + route.column + route.groups);
    if (status.ok())
      status = writer.write(std::as_bytes(std::span(mask)));
  }
  return status.ok() ? writer.commit() : status;
}

namespace {
class Replay : public RouteSource {
public:
  Replay(RouteTrace trace, std::string path)
      : trace(std::move(trace)), path(std::move(path)) {}

  Status decide(const RoutedRows &rows, std::span<int8_t> decisions) override {
    auto out = decisions.begin();
    for (size_t r = 0; r < rows.positions.size(); ++r) {
      const std::vector<int8_t> *row =
          trace.find(rows.sequences[r], rows.positions[r]);
      if (!row)
        return invalidArgument(
            concat(path, ": expected decisions for slot ", rows.sequences[r],
                   ", position ", rows.positions[r], ", found no such row"));
      out = std::copy(row->begin(), row->end(), out);
    }
    return {};
  }

  double density(const Route &route) const override {
    return trace.density(route);
  }

private:
  RouteTrace trace;
  std::string path;
};
} // namespace

std::unique_ptr<RouteSource> replay(RouteTrace trace, std::string path) {
  return std::make_unique<Replay>(std::move(trace), std::move(path));
}

} // namespace coppice::rt
