// See compared_program.h.
#include "runtime/verify/compared_program.h"

#include "runtime/bundle/bundle.h"

#include <algorithm>
#include <string_view>

namespace coppice::rt {

namespace {

/// Does the configuration of some kernel of the dispatch satisfy `is`?
template <typename Is> bool anyConfig(const Dispatch &dispatch, Is is) {
  return std::ranges::any_of(dispatch.variants, [&](const Variant &variant) {
    return std::ranges::any_of(variant.stages, [&](const Stage &stage) {
      return is(std::string_view(stage.config));
    });
  });
}

bool writesIntegers(const Program &program, const Dispatch &dispatch) {
  const Arg &written = dispatch.args[size_t(dispatch.writes.front())];
  return written.kind == ArgKind::Buffer &&
         program.buffers[size_t(written.index)].dtype == DType::I32;
}

ComparedValue valueOf(const Program &program, const Dispatch &dispatch) {
  ComparedValue value;
  value.name = dispatch.value.value_or("");
  for (const KeptAxis &kept : dispatch.kept) {
    if (kept.axis != 1) {
      value.keepsColumnsOnly = false;
      continue;
    }
    for (auto [begin, end] : kept.ranges)
      for (int64_t column = begin; column < end; ++column)
        value.columns.push_back(column);
  }
  if (dispatch.partial) {
    value.partialRoute = dispatch.route;
    value.passed = dispatch.passed;
  }
  value.threshold = dispatch.threshold;
  value.isList = !value.name.empty() &&
                 dispatch.kind != DispatchKind::Compact &&
                 writesIntegers(program, dispatch);
  return value;
}

} // namespace

Result<ComparedProgram> ComparedProgram::open(const std::string &path,
                                              RunnerOptions options,
                                              const WorkloadOptions &workload) {
  // Ahead of the session, which could only name the fields of its options.
  Result<Bundle> bundle = Bundle::open(path);
  if (!bundle)
    return bundle.status();
  if (Status status = checkHolds(path, bundle->program().limits, workload);
      !status.ok())
    return status;
  options.slots = workload.batch;
  options.context = workload.length;
  options.maxRows = largestStepOf(workload);
  options.allowNan = true; // a NaN shows in the comparison
  Result<Runner> runner = Runner::open(path, options);
  if (!runner)
    return runner.status().at("cannot run bundle '" + path + "'");
  ComparedProgram opened{*std::move(runner), {}};
  for (const Dispatch &dispatch : opened.program().dispatches)
    opened.values.push_back(valueOf(opened.program(), dispatch));
  return opened;
}

bool ComparedProgram::dropsBlocks() const {
  auto drops = [](std::string_view config) {
    return config.find(", drops 1") != std::string_view::npos;
  };
  return std::ranges::any_of(
      program().dispatches,
      [&](const Dispatch &dispatch) { return anyConfig(dispatch, drops); });
}

int64_t ComparedProgram::fastKernels() const {
  auto isPlain = [](std::string_view config) {
    return config.starts_with("plain");
  };
  return std::ranges::count_if(
      program().dispatches,
      [&](const Dispatch &dispatch) { return !anyConfig(dispatch, isPlain); });
}

} // namespace coppice::rt
