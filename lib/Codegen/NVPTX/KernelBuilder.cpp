//===- KernelBuilder.cpp - what builders of GPU kernels share -------------===//

#include "KernelBuilder.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "llvm/Support/MathExtras.h"

using namespace mlir;

namespace coppice::nvptx {

Value KernelBuilder::convert(Value value, Type type) {
  Type from = getElementTypeOrSelf(value), to = getElementTypeOrSelf(type);
  if (from == to)
    return value;
  if (auto vector = dyn_cast<VectorType>(value.getType()))
    type = vector.clone(to);
  else
    type = to;
  if (from.getIntOrFloatBitWidth() < to.getIntOrFloatBitWidth())
    return arith::ExtFOp::create(b, type, value);
  if (from.getIntOrFloatBitWidth() > to.getIntOrFloatBitWidth())
    return arith::TruncFOp::create(b, type, value);
  return convert(convert(value, b.getF32Type()), to); // f16 and bf16
}

static int64_t bytesOf(Type element) {
  return element.getIntOrFloatBitWidth() / 8;
}

Value KernelBuilder::at(Value base, Type element, Value row, Value pitch,
                        Value column) {
  Type i64Type = b.getI64Type();
  auto wide = [&](Value value) -> Value {
    return arith::ExtSIOp::create(b, i64Type, value);
  };
  Value index = arith::AddIOp::create(
      b, arith::MulIOp::create(b, wide(row), wide(pitch)), wide(column));
  return at(base, arith::MulIOp::create(b, index, i64(bytesOf(element))));
}

Value KernelBuilder::addressOf(Value tensor, ValueRange indices) {
  Type element = getElementTypeOrSelf(tensor), i64Type = b.getI64Type();
  Value index;
  for (auto [dim, each] : llvm::enumerate(indices)) {
    Value wide = arith::ExtSIOp::create(b, i64Type, each);
    if (index) {
      Value extent = arith::ExtSIOp::create(b, i64Type, extentOf(tensor, dim));
      index = arith::AddIOp::create(b, arith::MulIOp::create(b, index, extent),
                                    wide);
    } else {
      index = wide;
    }
  }
  if (!index)
    return argumentOf(tensor);
  return at(argumentOf(tensor),
            arith::MulIOp::create(b, index, i64(bytesOf(element))));
}

Value KernelBuilder::loadElement(Value tensor, ValueRange indices) {
  Type element = getElementTypeOrSelf(tensor);
  Value value = load(element, addressOf(tensor, indices));
  return isa<FloatType>(element) ? convert(value, b.getF32Type()) : value;
}

void KernelBuilder::storeElement(Value value, Value tensor,
                                 ValueRange indices) {
  Type element = getElementTypeOrSelf(tensor);
  if (isa<FloatType>(element))
    value = convert(value, element);
  store(value, addressOf(tensor, indices));
}

Value KernelBuilder::firstNotBelow(Value list, Value count, Value value) {
  auto bounds = scf::WhileOp::create(
      b, TypeRange{b.getI32Type(), b.getI32Type()}, ValueRange{i32(0), count},
      [&](OpBuilder &, Location, ValueRange range) {
        scf::ConditionOp::create(b, less(range[0], range[1]), range);
      },
      [&](OpBuilder &, Location, ValueRange range) {
        Value middle = div(add(range[0], range[1]), 2);
        Value isBelow =
            less(load(b.getI32Type(), at(list, mul(middle, 4))), value);
        scf::YieldOp::create(
            b, ValueRange{select(isBelow, add(middle, 1), range[0]),
                          select(isBelow, range[1], middle)});
      });
  return bounds.getResult(0);
}

int64_t KernelBuilder::elementsOfAccess(int64_t width, ArrayRef<Type> types) {
  int64_t widest = 1;
  for (Type type : types)
    widest = std::max(widest, bytesOf(type));
  int64_t count = 16 / widest;
  while (width % count)
    count /= 2;
  return count;
}

/// What no more than 16 bytes at once need.
static unsigned alignmentOf(int64_t count, Type element) {
  return static_cast<unsigned>(std::min<int64_t>(16, count * bytesOf(element)));
}

Value KernelBuilder::loadRun(Type element, Value address, int64_t count,
                             bool isWeight) {
  Type type = count == 1 ? element : VectorType::get(count, element);
  unsigned alignment = alignmentOf(count, element);
  return isWeight ? loadConstant(type, address, alignment)
                  : load(type, address, alignment);
}

void KernelBuilder::storeRun(Value values, Value address) {
  auto vector = dyn_cast<VectorType>(values.getType());
  store(values, address,
        alignmentOf(vector ? vector.getNumElements() : 1,
                    getElementTypeOrSelf(values)));
}

Value KernelBuilder::elementOf(Value values, int64_t index) {
  if (!isa<VectorType>(values.getType()))
    return values;
  return LLVM::ExtractElementOp::create(b, values, i32(index));
}

Value KernelBuilder::runOf(ArrayRef<Value> elements) {
  if (elements.size() == 1)
    return elements.front();
  Value run = LLVM::PoisonOp::create(
      b, VectorType::get(static_cast<int64_t>(elements.size()),
                         elements.front().getType()));
  for (auto [index, element] : llvm::enumerate(elements))
    run = LLVM::InsertElementOp::create(b, run, element,
                                        i32(static_cast<int64_t>(index)));
  return run;
}

Value KernelBuilder::splat(Value value, int64_t count) {
  if (count == 1)
    return value;
  return vector::BroadcastOp::create(b, VectorType::get(count, value.getType()),
                                     value);
}

Value KernelBuilder::allocateShared(int64_t bytes, int64_t alignment) {
  if (!shared) {
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPointToStart(&shell.function.front());
    shared = getSharedMemory(b, shell.function);
  }
  // Several builders may work on one kernel.
  int64_t taken =
      shell.function->getAttrOfType<IntegerAttr>(exec::sharedAttrName).getInt();
  int64_t offset = llvm::alignTo(taken, alignment);
  shell.setSharedBytes(offset + bytes);
  return at(shared, offset);
}

void KernelBuilder::loop(Value from, Value to, Value step,
                         llvm::function_ref<void(Value)> body) {
  auto loop = scf::ForOp::create(b, from, to, step);
  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPoint(loop.getBody()->getTerminator());
  body(loop.getInductionVar());
}

ValueRange KernelBuilder::loop(
    Value from, Value to, Value step, ValueRange carried,
    llvm::function_ref<SmallVector<Value>(Value, ValueRange)> body) {
  auto loop = scf::ForOp::create(b, from, to, step, carried);
  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPointToEnd(loop.getBody());
  scf::YieldOp::create(b,
                       body(loop.getInductionVar(), loop.getRegionIterArgs()));
  return loop.getResults();
}

void KernelBuilder::ifThen(Value condition, llvm::function_ref<void()> body) {
  auto branch = scf::IfOp::create(b, condition, /*withElseRegion=*/false);
  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPoint(branch.thenBlock()->getTerminator());
  body();
}

ValueRange
KernelBuilder::ifThen(Value condition, ValueRange otherwise,
                      llvm::function_ref<SmallVector<Value>()> body) {
  if (otherwise.empty()) {
    ifThen(condition, [&] { (void)body(); });
    return {};
  }
  auto branch = scf::IfOp::create(b, otherwise.getTypes(), condition,
                                  /*withElseRegion=*/true);
  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPointToEnd(branch.elseBlock());
  scf::YieldOp::create(b, otherwise);
  b.setInsertionPointToEnd(branch.thenBlock());
  scf::YieldOp::create(b, body());
  return branch.getResults();
}

void KernelBuilder::forEachItem(Value count,
                                llvm::function_ref<void(Value)> body) {
  Value block = NVVM::BlockIdXOp::create(b, b.getI32Type());
  Value blocks = NVVM::GridDimXOp::create(b, b.getI32Type());
  loop(block, min(count, shell.items), blocks, body);
}

Value KernelBuilder::exchange(Value value, int64_t mask) {
  return NVVM::ShflOp::create(b, value.getType(), i32(-1), value, i32(mask),
                              i32(31), NVVM::ShflKind::bfly, UnitAttr());
}

Value KernelBuilder::fromLane(Value value, Value source) {
  return NVVM::ShflOp::create(b, value.getType(), i32(-1), value, source,
                              i32(31), NVVM::ShflKind::idx, UnitAttr());
}

Value KernelBuilder::reduceLanes(
    Value value, int64_t lanes,
    llvm::function_ref<Value(Value, Value)> combine) {
  for (int64_t mask = lanes / 2; mask > 0; mask /= 2)
    value = combine(value, exchange(value, mask));
  return value;
}

Value KernelBuilder::reduceBlock(
    Value value, Value scratch,
    llvm::function_ref<Value(Value, Value)> combine) {
  int64_t warps = shell.threads / 32;
  value = reduceLanes(value, 32, combine);
  if (warps == 1)
    return value;
  ifThen(equal(lane(), i32(0)),
         [&] { store(value, at(scratch, mul(warp(), 4))); });
  barrier();
  Value all = load(value.getType(), scratch);
  for (int64_t i = 1; i < warps; ++i)
    all = combine(all, load(value.getType(), at(scratch, 4 * i)));
  return all;
}

std::pair<Value, Value> KernelBuilder::countKept(Value isKept, Value scratch) {
  Value votes = NVVM::VoteSyncOp::create(b, b.getI32Type(), i32(-1), isKept,
                                         NVVM::VoteSyncKind::ballot);
  Value below =
      both(votes, NVVM::LaneMaskLtOp::create(b, b.getI32Type()).getResult());
  auto count = [&](Value bits) -> Value {
    return LLVM::CtPopOp::create(b, b.getI32Type(), bits);
  };
  ifThen(equal(lane(), i32(0)),
         [&] { store(count(votes), at(scratch, mul(warp(), 4))); });
  barrier();
  Value total = i32(0), before = count(below);
  for (int64_t i = 0; i < shell.threads / 32; ++i) {
    Value each = load(b.getI32Type(), at(scratch, 4 * i));
    before = add(before, select(less(i32(i), warp()), each, i32(0)));
    total = add(total, each);
  }
  return {before, total};
}

} // namespace coppice::nvptx
