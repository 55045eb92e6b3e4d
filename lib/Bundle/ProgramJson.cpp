//===- ProgramJson.cpp - an exec.program as program.json ------------------===//
// In: an exec.program after exec-plan-memory, and what is not in it (storage,
// files, model). Out: the JSON of docs/bundle.md, one entry an op, in order:
// positions in the lists are what `args` and `outputs` refer to.
//===----------------------------------------------------------------------===//
#include "coppice/Bundle/ProgramJson.h"

#include "runtime/bench/host.h"
#include "llvm/ADT/SetVector.h"

using namespace mlir;
using namespace coppice;
using llvm::json::Array;
using llvm::json::Object;
using JsonValue = llvm::json::Value;

static constexpr llvm::StringLiteral schemaName = "coppice.program/2";

JsonValue coppice::exprToJson(AffineExpr expr) {
  if (auto constant = dyn_cast<AffineConstantExpr>(expr))
    return constant.getValue();
  if (auto symbol = dyn_cast<AffineSymbolExpr>(expr))
    return exec::getSymbolNames()[symbol.getPosition()];
  auto binary = cast<AffineBinaryOpExpr>(expr);
  StringRef op = [&] {
    switch (binary.getKind()) {
    case AffineExprKind::Add:
      return "+";
    case AffineExprKind::Mul:
      return "*";
    case AffineExprKind::FloorDiv:
      return "floordiv";
    case AffineExprKind::CeilDiv:
      return "ceildiv";
    default:
      return "mod";
    }
  }();
  return Array{op, exprToJson(binary.getLHS()), exprToJson(binary.getRHS())};
}

static JsonValue toJson(AffineMapAttr expr) {
  if (!expr)
    return nullptr;
  return exprToJson(expr.getValue().getResult(0));
}

/// An attribute made of integers, strings and lists of them.
static JsonValue toJson(Attribute attribute) {
  if (auto number = dyn_cast<IntegerAttr>(attribute))
    return number.getInt();
  if (auto text = dyn_cast<StringAttr>(attribute))
    return llvm::json::fixUTF8(text.getValue());
  Array list;
  for (Attribute element : cast<ArrayAttr>(attribute))
    list.push_back(toJson(element));
  return list;
}

static JsonValue toJson(StringAttr text) {
  if (!text)
    return nullptr;
  return llvm::json::fixUTF8(text.getValue());
}

static std::string getTypeName(Type type) {
  std::string name;
  llvm::raw_string_ostream(name) << type;
  return name;
}

namespace {
class ProgramPrinter {
public:
  ProgramPrinter(exec::ProgramOp program, ProgramRecords &records)
      : program(program), records(records) {}

  FailureOr<JsonValue> print();

private:
  /// The entry of a value in its list, and its number for `args`.
  Object declare(Array &list, StringRef kind, Value value, StringRef name);
  LogicalResult printDispatch(exec::DispatchOp dispatch);

  exec::ProgramOp program;
  ProgramRecords &records;
  DenseMap<Value, std::pair<StringRef, int64_t>> numbers;
  Array step, weights, states, buffers, outputs, routes, dispatches;
  llvm::SetVector<AffineMapAttr> workspaces;
};
} // namespace

/// The greatest of some expressions. Halving keeps the depth, which the reader
/// limits, small.
static JsonValue getMaximum(ArrayRef<AffineMapAttr> exprs) {
  if (exprs.size() == 1)
    return toJson(exprs.front());
  size_t half = exprs.size() / 2;
  return Array{"max", getMaximum(exprs.take_front(half)),
               getMaximum(exprs.drop_front(half))};
}

Object ProgramPrinter::declare(Array &list, StringRef kind, Value value,
                               StringRef name) {
  numbers[value] = {kind, list.size()};
  auto type = cast<MemRefType>(value.getType());
  return Object{{"name", llvm::json::fixUTF8(name)},
                {"dtype", getTypeName(type.getElementType())},
                {"shape", toJson(Attribute(exec::getExtents(value)))}};
}

LogicalResult ProgramPrinter::printDispatch(exec::DispatchOp dispatch) {
  Array args, variants;
  for (Value arg : dispatch.getArgs()) {
    auto [kind, number] = numbers.lookup(arg);
    args.push_back(Object{{kind, number}});
  }
  for (exec::VariantAttr variant : dispatch.getVariantList()) {
    Array stages;
    for (exec::StageAttr stage : variant.getStages()) {
      if (!stage.getGrid() || !stage.getConfig())
        return dispatch.emitError("has a stage without grid or configuration: "
                                  "expected exec-select-kernels to have run");
      stages.push_back(
          Object{{"kernel", stage.getKernel().getLeafReference().getValue()},
                 {"grid", toJson(stage.getGrid())},
                 {"config", stage.getConfig().getText()}});
    }
    if (variant.getWorkspace())
      workspaces.insert(variant.getWorkspace());
    variants.push_back(Object{{"guard", toJson(variant.getGuard())},
                              {"workspace", toJson(variant.getWorkspace())},
                              {"stages", std::move(stages)}});
  }
  exec::CostAttr cost = dispatch.getCostAttr();
  if (!cost)
    return dispatch.emitError("expected a cost, found none");
  Object entry{
      {"site", toJson(dispatch.getSiteAttr())},
      {"kind", exec::stringifyKind(dispatch.getKind())},
      {"group", toJson(dispatch.getGroupAttr())},
      {"args", std::move(args)},
      {"writes", Array(dispatch.getWrites())},
      {"variants", std::move(variants)},
      {"cost",
       Object{{"flops", toJson(cost.getFlops())},
              {"weight_bytes", toJson(cost.getWeightBytes())},
              {"read_bytes", toJson(cost.getReadBytes())},
              {"write_bytes", toJson(cost.getWriteBytes())},
              {"arithmetic", exec::stringifyArithmetic(cost.getArithmetic())}}},
      {"value", toJson(dispatch.getValueAttr())},
      {"kept", dispatch.getKeptAttr()
                   ? toJson(Attribute(dispatch.getKeptAttr()))
                   : JsonValue(Array())}};
  if (dispatch.getRouteAttr())
    entry["route"] = toJson(dispatch.getRouteAttr());
  if (dispatch.getPassed())
    entry["passed"] = true;
  if (auto zeros = dispatch.getZeros())
    entry["zeros"] = zeros->convertToDouble();
  if (auto threshold = dispatch.getThreshold())
    entry["threshold"] = threshold->convertToDouble();
  if (dispatch.getPartial())
    entry["partial"] = true;
  if (cost.getWindow())
    entry["cost"].getAsObject()->insert({"window", cost.getWindow()});
  if (cost.getExecutedPerFlop() != 1)
    entry["cost"].getAsObject()->insert(
        {"executed_per_flop", cost.getExecutedPerFlop()});
  if (exec::GemmAttr gemm = dispatch.getGemmAttr())
    entry["gemm"] = Object{
        {"m", toJson(gemm.getM())}, {"n", gemm.getN()}, {"k", gemm.getK()}};
  dispatches.push_back(std::move(entry));
  return success();
}

FailureOr<JsonValue> ProgramPrinter::print() {
  size_t nextStorage = 0;
  for (Operation &op : program.getBody().front()) {
    if (auto weight = dyn_cast<exec::WeightOp>(op)) {
      Object entry = declare(weights, "weight", weight, weight.getName());
      entry["storage"] = std::move(records.storages[nextStorage++]);
      weights.push_back(std::move(entry));
    } else if (auto field = dyn_cast<exec::StepOp>(op)) {
      step.push_back(declare(step, "step", field, field.getName()));
    } else if (auto state = dyn_cast<exec::StateOp>(op)) {
      states.push_back(declare(states, "state", state, state.getName()));
    } else if (auto buffer = dyn_cast<exec::BufferOp>(op)) {
      if (!buffer.getOffsetAttr())
        return buffer.emitError("has no offset: expected exec-plan-memory to "
                                "have run");
      Object entry = declare(buffers, "buffer", buffer,
                             "b" + std::to_string(buffers.size()));
      entry["offset"] = toJson(buffer.getOffsetAttr());
      buffers.push_back(std::move(entry));
    } else if (auto output = dyn_cast<exec::OutputOp>(op)) {
      outputs.push_back(
          Object{{"name", toJson(output.getNameAttr())},
                 {"buffer", numbers.lookup(output.getBuffer()).second}});
    } else if (auto route = dyn_cast<exec::RouteOp>(op)) {
      routes.push_back(Object{
          {"name", toJson(route.getNameAttr())},
          {"buffer", numbers.lookup(route.getMask()).second},
          {"column", static_cast<int64_t>(route.getColumn())},
          {"groups", cast<MemRefType>(route.getMask().getType()).getDimSize(1)},
          {"expected", route.getExpected().convertToDouble()},
          {"scores", toJson(route.getScoresAttr())}});
      if (double margin = route.getMargin().convertToDouble())
        routes.back().getAsObject()->insert({"margin", margin});
      if (auto top = route.getTop())
        routes.back().getAsObject()->insert({"top", top->convertToDouble()});
      if (auto columns = route.getColumns())
        routes.back().getAsObject()->insert(
            {"columns", static_cast<int64_t>(*columns)});
    } else if (failed(printDispatch(cast<exec::DispatchOp>(op)))) {
      return failure();
    }
  }

  Array files, targets;
  for (const BundleFile &file : records.files) {
    Object entry{{"file", file.file}, {"bytes", file.bytes}};
    if (file.sha256.empty())
      entry["pieces"] = Object{{"bytes", file.pieces.bytes},
                               {"sha256", Array(file.pieces.sha256)}};
    else
      entry["sha256"] = file.sha256;
    files.push_back(std::move(entry));
  }
  for (const BundleTarget &target : records.targets) {
    Object entry{
        {"name", target.name},        {"isa", nullptr},
        {"file", target.code.file},   {"sha256", target.code.sha256},
        {"bytes", target.code.bytes}, {"requires", Array(target.requirements)}};
    if (!target.isa.empty())
      entry["isa"] = target.isa;
    Object kernels;
    for (const auto &[name, shape] : target.kernels) {
      Object kernel{{"threads", shape.threads},
                    {"shared_bytes", shape.sharedBytes}};
      if (shape.registers)
        kernel["registers"] = *shape.registers;
      if (shape.spillBytes)
        kernel["spill_bytes"] = *shape.spillBytes;
      kernels[name.str()] = std::move(kernel); // a key of its own
    }
    if (!kernels.empty())
      entry["kernels"] = std::move(kernels);
    targets.push_back(std::move(entry));
  }
  // The workspace lies behind the buffers.
  JsonValue arena = toJson(program.getArenaAttr()), workspace = nullptr;
  if (!workspaces.empty()) {
    workspace = arena;
    arena = Array{"+", workspace, getMaximum(workspaces.getArrayRef())};
  }
  exec::LimitsAttr limits = program.getLimits();
  Object document{{"schema", schemaName},
                  {"producer", rt::producerName()},
                  {"model", std::move(records.model)},
                  {"plan", std::move(records.plan)},
                  {"oracle", program.getOracle()},
                  {"symbols", Array(exec::getSymbolNames())},
                  {"limits", Object{{"rows", limits.getMaxRows()},
                                    {"slots", limits.getMaxSlots()},
                                    {"context", limits.getMaxContext()}}},
                  {"files", std::move(files)},
                  {"step", std::move(step)},
                  {"weights", std::move(weights)},
                  {"states", std::move(states)},
                  {"arena", std::move(arena)},
                  {"workspace", std::move(workspace)},
                  {"buffers", std::move(buffers)},
                  {"outputs", std::move(outputs)},
                  {"targets", std::move(targets)},
                  {"dispatches", std::move(dispatches)}};
  if (!routes.empty())
    document["routes"] = std::move(routes);
  if (!records.fallbacks.empty())
    document["fallbacks"] = std::move(records.fallbacks);
  return JsonValue(std::move(document));
}

FailureOr<JsonValue> coppice::programToJson(exec::ProgramOp program,
                                            ProgramRecords records) {
  if (!program.getArenaAttr())
    return program.emitError("has no arena: expected exec-plan-memory to have "
                             "run");
  return ProgramPrinter(program, records).print();
}
