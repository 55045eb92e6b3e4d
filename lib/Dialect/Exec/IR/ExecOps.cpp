//===- ExecOps.cpp - rules of programs and dispatches ---------------------===//
// The verifiers carry the guarantees that the bundle makes to the runtime:
// expressions over the right symbols, kernels that fit their arguments, groups
// that can be skipped.
//===----------------------------------------------------------------------===//
#include "coppice/Dialect/Exec/IR/Exec.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/MLProgram/IR/MLProgram.h"
#include "mlir/IR/Builders.h"
#include "llvm/ADT/StringSet.h"
#include "llvm/ADT/TypeSwitch.h"

using namespace mlir;
using namespace coppice::exec;

#define GET_OP_CLASSES
#include "coppice/Dialect/Exec/IR/ExecOps.cpp.inc"

/// Expressions are one result over the six symbols.
static LogicalResult verifyExpr(Operation *op, StringRef what,
                                AffineMapAttr attr) {
  if (!attr)
    return success();
  AffineMap map = attr.getValue();
  if (map.getNumDims() != 0 || map.getNumSymbols() != numSymbols ||
      map.getNumResults() != 1)
    return op->emitOpError("expected ")
           << what << " to be one expression over the " << numSymbols
           << " symbols, found " << attr;
  return success();
}

/// Declared extents say what each dimension of the type is.
static LogicalResult verifyExtents(Operation *op, ArrayAttr shape, Type type) {
  auto memref = cast<MemRefType>(type);
  if (static_cast<int64_t>(shape.size()) != memref.getRank())
    return op->emitOpError("expected ") << memref.getRank() << " extents for "
                                        << type << ", found " << shape.size();
  if (!memref.getLayout().isIdentity())
    return op->emitOpError("expected a dense row-major layout, found ") << type;
  for (auto [axis, extent] : llvm::enumerate(shape)) {
    if (!getExtentExpr(extent)) {
      InFlightDiagnostic error = op->emitOpError("expected extent ")
                                 << axis << " to be an integer or one of ";
      llvm::interleaveComma(getSymbolNames(), error);
      return error << ", found " << extent;
    }
    auto number = dyn_cast<IntegerAttr>(extent);
    bool dynamic = memref.isDynamicDim(axis);
    if (number ? dynamic || number.getInt() != memref.getDimSize(axis)
               : !dynamic)
      return op->emitOpError("extent ") << axis << " is declared as " << extent
                                        << ", the type is " << type;
  }
  return success();
}

//===----------------------------------------------------------------------===//
// ProgramOp
//===----------------------------------------------------------------------===//

namespace {
/// The dispatches of one group.
struct Group {
  DispatchOp first, last;
  /// Buffers that the group writes, but for the one that its last dispatch
  /// updates.
  llvm::SmallDenseSet<Value, 8> scratch;
};
} // namespace

/// A group may be skipped: the last dispatch updates in place what was there
/// before, the rest of what the group writes is read by nobody after it.
static LogicalResult verifyGroups(ProgramOp program) {
  llvm::MapVector<StringAttr, Group> groups;
  StringAttr open;
  for (auto dispatch : program.getOps<DispatchOp>()) {
    StringAttr name = dispatch.getGroupAttr();
    if (name) {
      auto [entry, isNew] = groups.try_emplace(name);
      if (isNew)
        entry->second.first = dispatch;
      else if (open != name) {
        InFlightDiagnostic error = dispatch.emitOpError("continues group ")
                                   << name
                                   << ", whose dispatches must be consecutive";
        error.attachNote(entry->second.last.getLoc()) << "the group ended here";
        return error;
      }
      entry->second.last = dispatch;
    }
    open = name;
  }

  llvm::DenseMap<Value, DispatchOp> firstWriter;
  for (auto dispatch : program.getOps<DispatchOp>())
    for (int64_t write : dispatch.getWrites())
      firstWriter.try_emplace(dispatch.getArgs()[write], dispatch);

  for (auto &[name, group] : groups) {
    Value residual = group.last.getArgs()[group.last.getWrites().front()];
    if (residual.getDefiningOp<BufferOp>()) {
      DispatchOp writer = firstWriter.lookup(residual);
      if (!writer->isBeforeInBlock(group.first)) {
        InFlightDiagnostic error =
            group.last.emitOpError("is the last of group ")
            << name
            << ", expected it to update in place a buffer written before the "
               "group";
        error.attachNote(writer.getLoc())
            << "first written here, inside the group";
        return error;
      }
    }
  }

  // Who wrote a buffer last: read after its group, it must not be the group's
  // own scratch.
  llvm::DenseMap<Value, DispatchOp> lastWriter;
  for (auto dispatch : program.getOps<DispatchOp>()) {
    for (Value arg : dispatch.getArgs()) {
      DispatchOp writer = lastWriter.lookup(arg);
      if (!arg.getDefiningOp<BufferOp>() || !writer || !writer.getGroupAttr() ||
          writer.getGroupAttr() == dispatch.getGroupAttr() ||
          writer == groups[writer.getGroupAttr()].last)
        continue;
      // A buffer that is overwritten without being read is no reader, but its
      // kernel's body decides; the destination of a dispatch is only read when
      // the kernel reads it.
      bool onlyWritten = dispatch.isWritten(
          llvm::find(dispatch.getArgs(), arg) - dispatch.getArgs().begin());
      if (onlyWritten)
        continue;
      InFlightDiagnostic error =
          dispatch.emitOpError("reads a buffer that only group ")
          << writer.getGroupAttr()
          << " writes, so that the group cannot be skipped";
      error.attachNote(writer.getLoc()) << "written here";
      return error;
    }
    for (int64_t write : dispatch.getWrites())
      lastWriter[dispatch.getArgs()[write]] = dispatch;
  }
  return success();
}

LogicalResult ProgramOp::verifyRegions() {
  auto names = llvm::map_to_vector(getSymbols().getAsRange<StringAttr>(),
                                   [](StringAttr s) { return s.getValue(); });
  if (ArrayRef<StringRef>(names) != getSymbolNames()) {
    InFlightDiagnostic error = emitOpError("expected the symbols ");
    llvm::interleaveComma(getSymbolNames(), error);
    return error << ", found " << getSymbols();
  }
  if (failed(verifyExpr(*this, "the arena's size", getArenaAttr())))
    return failure();

  llvm::StringSet<> seen;
  for (Operation &op : *getBody().begin()) {
    std::string key;
    if (auto weight = dyn_cast<WeightOp>(op))
      key = (weight.getName() + " as " +
             (weight.getPacking().isRows() ? "rows" : "panels"))
                .str();
    else if (auto step = dyn_cast<StepOp>(op))
      key = step.getName().str();
    else if (auto state = dyn_cast<StateOp>(op))
      key = state.getName().str();
    else if (auto output = dyn_cast<OutputOp>(op))
      key = output.getName().str();
    else if (auto route = dyn_cast<RouteOp>(op))
      key = route.getName().str();
    else if (isa<BufferOp, DispatchOp>(op))
      continue;
    else
      return op.emitOpError("expected only exec declarations, dispatches and "
                            "outputs in a program");
    if (!seen.insert((op.getName().getStringRef() + " " + key).str()).second)
      return op.emitOpError("declares '") << key << "' a second time";
  }

  llvm::SmallDenseSet<Value> written;
  for (Operation &op : *getBody().begin()) {
    if (auto dispatch = dyn_cast<DispatchOp>(op)) {
      for (auto [index, arg] : llvm::enumerate(dispatch.getArgs())) {
        if (!arg.getDefiningOp<BufferOp>())
          continue;
        if (dispatch.isWritten(index))
          written.insert(arg);
        else if (!written.contains(arg))
          return dispatch.emitOpError("argument ")
                 << index << " is a buffer that nothing has written yet";
      }
    } else if (auto output = dyn_cast<OutputOp>(op)) {
      if (!written.contains(output.getBuffer()))
        return output.emitOpError("is a buffer that nothing has written yet");
    } else if (auto route = dyn_cast<RouteOp>(op)) {
      if (!written.contains(route.getMask()))
        return route.emitOpError("is a mask that nothing has written yet");
    }
  }
  return verifyGroups(*this);
}

//===----------------------------------------------------------------------===//
// Values
//===----------------------------------------------------------------------===//

LogicalResult WeightOp::verifySymbolUses(SymbolTableCollection &symbolTable) {
  auto global = symbolTable.lookupNearestSymbolFrom<ml_program::GlobalOp>(
      *this, getGlobalAttr());
  if (!global)
    return emitOpError("expected an ml_program.global named ")
           << getGlobalAttr() << ", found none";
  auto type = dyn_cast<ShapedType>(global.getType());
  auto packed = cast<MemRefType>(getType());
  FailureOr<SmallVector<int64_t>> shape = failure();
  if (type && type.hasStaticShape())
    shape = getPacking().pack(type);
  if (failed(shape))
    return emitOpError("cannot pack ")
           << getGlobalAttr() << " of type " << global.getType() << " as "
           << getPacking();
  if (type.getElementType() != packed.getElementType() ||
      ArrayRef<int64_t>(*shape) != packed.getShape())
    return emitOpError("expected ")
           << MemRefType::get(*shape, type.getElementType()) << " for "
           << getGlobalAttr() << " packed as " << getPacking() << ", found "
           << packed;
  return success();
}

LogicalResult StepOp::verify() {
  return verifyExtents(*this, getShape(), getType());
}

LogicalResult StateOp::verify() {
  return verifyExtents(*this, getShape(), getType());
}

LogicalResult BufferOp::verify() {
  if (failed(verifyExtents(*this, getShape(), getType())) ||
      failed(verifyExpr(*this, "the offset", getOffsetAttr())))
    return failure();
  if (getOffsetAttr() &&
      getOffsetAttr().getValue().getResult(0).getLargestKnownDivisor() % 64 !=
          0)
    return emitOpError("expected an offset that is a multiple of 64, found ")
           << getOffsetAttr();
  return success();
}

LogicalResult OutputOp::verify() {
  if (!getBuffer().getDefiningOp<BufferOp>())
    return emitOpError("expected the result of an exec.buffer");
  return success();
}

LogicalResult RouteOp::verify() {
  auto type = cast<MemRefType>(getMask().getType());
  if (!getMask().getDefiningOp<BufferOp>() || type.getRank() != 2 ||
      !type.getElementType().isInteger(8) || type.isDynamicDim(1))
    return emitOpError("expected an exec.buffer [rows, groups] of i8, found ")
           << type;
  if (double share = getExpected().convertToDouble();
      !(share >= 0 && share <= 1))
    return emitOpError("expected a share of rows from 0 to 1, found ") << share;
  if (static_cast<int64_t>(getColumn()) < 0)
    return emitOpError("expected a column of at least 0, found ")
           << static_cast<int64_t>(getColumn());
  if (getColumns() ? static_cast<int64_t>(*getColumns()) < 1
                   : type.getDimSize(1) != 1)
    return emitOpError("expected the columns of a group of a mask of several, "
                       "at least 1, found ")
           << static_cast<int64_t>(getColumns().value_or(0));
  return success();
}

/// Names that can be read: `%layers.0.k`, `%b3` stays MLIR's own number.
static void nameResult(OpAsmSetValueNameFn setName, Value value,
                       StringRef name) {
  setName(value, name);
}

void WeightOp::getAsmResultNames(OpAsmSetValueNameFn setName) {
  nameResult(setName, getResult(), getName());
}
void StepOp::getAsmResultNames(OpAsmSetValueNameFn setName) {
  nameResult(setName, getResult(), getName());
}
void StateOp::getAsmResultNames(OpAsmSetValueNameFn setName) {
  nameResult(setName, getResult(), getName());
}
void BufferOp::getAsmResultNames(OpAsmSetValueNameFn setName) {
  nameResult(setName, getResult(), "buffer");
}

//===----------------------------------------------------------------------===//
// DispatchOp
//===----------------------------------------------------------------------===//

/// `[[axis, [[begin, end], ...]], ...]`: ascending, disjoint, not empty ranges.
static LogicalResult verifyKept(DispatchOp op) {
  if (!op.getKeptAttr())
    return success();
  auto bad = [&](Attribute found) {
    return op.emitOpError("expected 'kept' to be [[axis, [[begin, end], ...]], "
                          "...] with ascending, "
                          "disjoint ranges, found ")
           << found;
  };
  for (Attribute entry : op.getKeptAttr()) {
    auto pair = dyn_cast<ArrayAttr>(entry);
    if (!pair || pair.size() != 2 || !isa<IntegerAttr>(pair[0]) ||
        !isa<ArrayAttr>(pair[1]))
      return bad(entry);
    int64_t last = -1;
    for (Attribute element : cast<ArrayAttr>(pair[1])) {
      auto range = dyn_cast<ArrayAttr>(element);
      if (!range || range.size() != 2 ||
          !llvm::all_of(range, llvm::IsaPred<IntegerAttr>))
        return bad(entry);
      int64_t begin = cast<IntegerAttr>(range[0]).getInt(),
              end = cast<IntegerAttr>(range[1]).getInt();
      if (begin < 0 || begin <= last - (last < 0) || end <= begin)
        return bad(entry);
      last = end;
    }
  }
  return success();
}

LogicalResult DispatchOp::verify() {
  ArrayRef<int64_t> writes = getWrites();
  if (writes.empty())
    return emitOpError("expected at least one written argument, found none");
  int64_t count = getArgs().size();
  for (auto [index, write] : llvm::enumerate(writes)) {
    if (write < 0 || write >= count)
      return emitOpError("writes argument ")
             << write << ", expected 0 to " << count - 1;
    if (write != count - static_cast<int64_t>(writes.size()) +
                     static_cast<int64_t>(index))
      return emitOpError("expected the written arguments to be the last ")
             << writes.size() << " of " << count << ", in order, found "
             << write;
    if (!getArgs()[write].getDefiningOp<BufferOp>() &&
        !getArgs()[write].getDefiningOp<StateOp>())
      return emitOpError("writes argument ")
             << write << ", which is neither a buffer nor a state";
  }
  for (int64_t index = 0; index < count - static_cast<int64_t>(writes.size());
       ++index)
    for (int64_t write : writes)
      if (getArgs()[index] == getArgs()[write])
        return emitOpError("argument ")
               << index << " is also written as argument " << write
               << "; a kernel that updates in place reads its destination";

  SmallVector<VariantAttr> variants = getVariantList();
  if (variants.empty())
    return emitOpError("expected at least one variant, found none");
  for (auto [index, variant] : llvm::enumerate(variants)) {
    bool isLast = index + 1 == variants.size();
    if (isLast && variant.getGuard())
      return emitOpError("expected the last variant to have no guard, so that "
                         "one always runs");
    if (!isLast && !variant.getGuard())
      return emitOpError("variant ")
             << index << " has no guard, so that those after it never run";
    if (failed(verifyExpr(*this, "a variant's guard", variant.getGuard())) ||
        failed(
            verifyExpr(*this, "a variant's workspace", variant.getWorkspace())))
      return failure();
    for (StageAttr stage : variant.getStages())
      if (failed(verifyExpr(*this, "a stage's grid", stage.getGrid())))
        return failure();
  }
  if (CostAttr cost = getCostAttr())
    for (auto [name, expr] : {std::pair("cost 'flops'", cost.getFlops()),
                              {"cost 'weight_bytes'", cost.getWeightBytes()},
                              {"cost 'read_bytes'", cost.getReadBytes()},
                              {"cost 'write_bytes'", cost.getWriteBytes()}})
      if (failed(verifyExpr(*this, name, expr)))
        return failure();
  if (GemmAttr gemm = getGemmAttr())
    if (failed(verifyExpr(*this, "the rows of a gemm", gemm.getM())))
      return failure();
  if ((getPartial() || getPassed()) && !getRoute())
    return emitOpError() << "is "
                         << (getPartial() ? "partial"
                                          : "of rows that "
                                            "are passed by")
                         << ", expected a route that says which rows of the "
                            "result are defined";
  if ((getKind() == Kind::Gemm) != static_cast<bool>(getGemmAttr()))
    return emitOpError("expected a shape for kind 'gemm', and for no other");
  return verifyKept(*this);
}

/// A kernel agrees with what the dispatch passes to it.
static LogicalResult verifyKernel(DispatchOp op, FunctionOpInterface kernel,
                                  SymbolRefAttr name, AffineMapAttr workspace) {
  auto fail = [&]() {
    InFlightDiagnostic error = op.emitOpError();
    error.attachNote(kernel->getLoc()) << "kernel " << name << " is here";
    return error;
  };
  if (kernel.getNumArguments() != op.getArgs().size())
    return fail() << "passes " << op.getArgs().size()
                  << " arguments to a kernel of " << kernel.getNumArguments();
  if (kernel.getNumResults() != op.getWrites().size())
    return fail() << "writes " << op.getWrites().size()
                  << " arguments by a kernel of " << kernel.getNumResults()
                  << " results";
  if (auto wanted = kernel->getAttrOfType<AffineMapAttr>(workspaceAttrName);
      wanted != workspace) {
    auto text = [](AffineMapAttr map) -> std::string {
      std::string text = "none";
      if (map)
        llvm::raw_string_ostream(text = "") << map;
      return text;
    };
    return fail() << "has a workspace of " << text(workspace)
                  << ", the kernel expects " << text(wanted);
  }
  for (auto [index, arg] : llvm::enumerate(op.getArgs())) {
    auto expected = dyn_cast<ShapedType>(kernel.getArgumentTypes()[index]);
    auto found = cast<ShapedType>(arg.getType());
    if (!expected || expected.getElementType() != found.getElementType())
      return fail() << "argument " << index << " is " << found
                    << ", the kernel expects "
                    << kernel.getArgumentTypes()[index];
    SmallVector<int64_t> shape(expected.getShape());
    if (auto packing =
            kernel.getArgAttrOfType<PackingAttr>(index, packingAttrName))
      if (auto packed = packing.pack(expected); succeeded(packed))
        shape = *packed;
    if (ArrayRef<int64_t>(shape) != found.getShape())
      return fail() << "argument " << index << " is " << found
                    << ", the kernel expects shape [" << shape << "]";
    auto dims = kernel.getArgAttrOfType<ArrayAttr>(index, dimsAttrName);
    if (dims && dims != getExtents(arg))
      return fail() << "argument " << index << " has extents "
                    << getExtents(arg) << ", the kernel expects " << dims;
  }
  return success();
}

LogicalResult DispatchOp::verifySymbolUses(SymbolTableCollection &symbolTable) {
  for (VariantAttr variant : getVariantList())
    for (StageAttr stage : variant.getStages()) {
      auto kernel = symbolTable.lookupNearestSymbolFrom<FunctionOpInterface>(
          *this, stage.getKernel());
      if (!kernel)
        return emitOpError("expected a kernel named ")
               << stage.getKernel() << ", found none";
      if (failed(verifyKernel(*this, kernel, stage.getKernel(),
                              variant.getWorkspace())))
        return failure();
    }
  return success();
}
