//===- RingGemm.cpp - a GEMM of cp.async, ldmatrix and mma.sync -----------===//

#include "RingGemm.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/LLVMIR/NVVMDialect.h"
#include "mlir/IR/Builders.h"

using namespace mlir;

namespace coppice {
namespace {

constexpr int kChunk = 16;                        // bytes of a copy
constexpr int kRowBytes = kRingDepth * 2;         // of a tile in shared memory
constexpr int kChunks = kRowBytes / kChunk;       // of a row
constexpr int kTileBytes = kRingTile * kRowBytes; // of A or B in a stage
constexpr int kStageBytes = 2 * kTileBytes;
constexpr int kRowsAtOnce = kRingThreads / kChunks; // that all threads copy
constexpr int kWarpRows = 2, kWarpColumns = 4;      // mma tiles of a warp

/// Numbers and addresses of 32 bits in the LLVM dialect. The location says to
/// which part of the kernel an op belongs.
class Emitter {
public:
  explicit Emitter(OpBuilder &builder)
      : b(builder), loc(builder.getUnknownLoc()) {}

  void part(StringRef name) { loc = NameLoc::get(b.getStringAttr(name)); }

  Type i32() { return b.getI32Type(); }
  Type pointer(unsigned space) {
    return LLVM::LLVMPointerType::get(b.getContext(), space);
  }
  Value constant(int64_t value) {
    return LLVM::ConstantOp::create(b, loc, i32(), b.getI32IntegerAttr(value));
  }
  Value add(Value x, Value y) { return LLVM::AddOp::create(b, loc, x, y); }
  Value add(Value x, int64_t y) { return add(x, constant(y)); }
  Value sub(Value x, Value y) { return LLVM::SubOp::create(b, loc, x, y); }
  Value mul(Value x, Value y) { return LLVM::MulOp::create(b, loc, x, y); }
  Value mul(Value x, int64_t y) { return mul(x, constant(y)); }
  Value div(Value x, int64_t y) {
    return LLVM::UDivOp::create(b, loc, x, constant(y));
  }
  Value rem(Value x, int64_t y) {
    return LLVM::URemOp::create(b, loc, x, constant(y));
  }
  Value both(Value x, Value y) { return LLVM::AndOp::create(b, loc, x, y); }
  Value exclusive(Value x, Value y) {
    return LLVM::XOrOp::create(b, loc, x, y);
  }
  Value less(Value x, Value y) {
    return LLVM::ICmpOp::create(b, loc, LLVM::ICmpPredicate::slt, x, y);
  }
  Value equal(Value x, Value y) {
    return LLVM::ICmpOp::create(b, loc, LLVM::ICmpPredicate::eq, x, y);
  }
  Value select(Value condition, Value x, Value y) {
    return LLVM::SelectOp::create(b, loc, condition, x, y);
  }
  Value smaller(Value x, Value y) { return LLVM::SMinOp::create(b, loc, x, y); }
  Value larger(Value x, Value y) { return LLVM::SMaxOp::create(b, loc, x, y); }
  template <typename Register> Value read() {
    return Register::create(b, loc, i32());
  }
  /// The address `bytes` further on; signed 32 bits.
  Value at(Value base, Value bytes) {
    return LLVM::GEPOp::create(b, loc, base.getType(), b.getI8Type(), base,
                               ArrayRef<LLVM::GEPArg>{bytes});
  }

  /// Emits `body` where `condition` holds.
  void ifThen(Value condition, llvm::function_ref<void()> body) {
    Block *here = b.getInsertionBlock();
    Block *then = newBlock(), *after = newBlock();
    LLVM::CondBrOp::create(b, loc, condition, then, after);
    b.setInsertionPointToStart(then);
    body();
    LLVM::BrOp::create(b, loc, after);
    b.setInsertionPointToStart(after);
    (void)here;
  }

  Block *newBlock() {
    Region *region = b.getInsertionBlock()->getParent();
    Block *block = new Block();
    region->push_back(block);
    return block;
  }

  OpBuilder &b;
  Location loc;
};

class GemmBuilder {
public:
  GemmBuilder(MLIRContext &context, const RingGemm &options)
      : options(options), builder(&context), e(builder) {}

  OwningOpRef<ModuleOp> build();

private:
  bool has(Mistake mistake) const { return options.mistake == mistake; }

  void declare(ModuleOp module);
  void mapThreads();
  void copyTile(Value base, Value pitch, Value firstRow, Value rows,
                Value stageAddress, Value k, bool isA);
  void copyStage(Value stage, Value k);
  void waitForStage();
  void barrier();
  Value swizzled(Value row, Value chunk);
  SmallVector<Value> loadFragments(Value address, Value row, Value chunk);
  void computeStage(Value stage, SmallVector<Value> &sums);
  void store(ArrayRef<Value> sums);

  RingGemm options;
  OpBuilder builder;
  Emitter e;
  Value a, bMatrix, c, m, n, k, pitchA, pitchB, pitchC, shared;
  Value thread, firstRow, firstColumn; // of the block
  Value copyRow, copyChunk;            // what a thread copies
  Value lane, warpRow, warpColumn;     // of the warp, in the block
};

void GemmBuilder::declare(ModuleOp module) {
  builder.setInsertionPointToEnd(module.getBody());
  LLVM::GlobalOp::create(
      builder, e.loc, LLVM::LLVMArrayType::get(builder.getI8Type(), 0),
      /*isConstant=*/false, LLVM::Linkage::External, "ring", Attribute(),
      /*alignment=*/16, /*addrSpace=*/3);
  Type global = e.pointer(1), i32 = e.i32();
  auto type = LLVM::LLVMFunctionType::get(
      LLVM::LLVMVoidType::get(builder.getContext()),
      {global, global, global, i32, i32, i32, i32, i32, i32});
  auto function = LLVM::LLVMFuncOp::create(builder, e.loc, "gemm", type);
  function->setAttr(NVVM::NVVMDialect::getKernelFuncAttrName(),
                    builder.getUnitAttr());
  function->setAttr(NVVM::NVVMDialect::getReqntidAttrName(),
                    builder.getDenseI32ArrayAttr({kRingThreads, 1, 1}));
  Block *entry = function.addEntryBlock(builder);
  builder.setInsertionPointToStart(entry);
  for (auto [value, argument] : llvm::zip(
           std::array{&a, &bMatrix, &c, &m, &n, &k, &pitchA, &pitchB, &pitchC},
           entry->getArguments()))
    *value = argument;
  shared = LLVM::AddressOfOp::create(builder, e.loc, e.pointer(3), "ring");
}

void GemmBuilder::mapThreads() {
  e.part("map");
  thread = e.read<NVVM::ThreadIdXOp>();
  firstRow = e.mul(e.read<NVVM::BlockIdYOp>(), kRingTile);
  firstColumn = e.mul(e.read<NVVM::BlockIdXOp>(), kRingTile);
  copyRow = e.div(thread, kChunks);
  copyChunk = e.rem(thread, kChunks);
  lane = e.rem(thread, 32);
  Value warp = e.div(thread, 32);
  warpRow = e.mul(e.div(warp, 2), kWarpRows * 16);
  warpColumn = e.mul(e.rem(warp, 2), kWarpColumns * 8);
}

/// Which chunk of its row in shared memory holds a chunk: eight rows that are
/// read at once lie in eight different groups of banks.
Value GemmBuilder::swizzled(Value row, Value chunk) {
  return e.exclusive(chunk, e.rem(e.div(row, 2), kChunks));
}

void GemmBuilder::copyTile(Value base, Value pitch, Value first, Value rows,
                           Value stageAddress, Value k0, bool isA) {
  Value zero = e.constant(0);
  if (isA && has(Mistake::CopyBoundOneTooFar))
    rows = e.add(rows, 1);
  Value column = e.add(k0, e.mul(copyChunk, kChunk / 2));
  // Bytes of the chunk that exist; zeros are written for the rest.
  Value bytes = e.mul(
      e.smaller(e.larger(e.sub(k, column), zero), e.constant(kChunk / 2)), 2);
  for (int i = 0; i < kRingTile; i += kRowsAtOnce) {
    Value row = e.add(copyRow, i);
    Value globalRow = e.add(first, row);
    Value valid = e.select(e.less(globalRow, rows), bytes, zero);
    Value from = e.at(base, e.mul(e.add(e.mul(globalRow, pitch), column), 2));
    Value to =
        e.at(stageAddress, e.add(e.mul(row, kRowBytes),
                                 e.mul(swizzled(row, copyChunk), kChunk)));
    NVVM::CpAsyncOp::create(
        builder, e.loc, to, from, builder.getI32IntegerAttr(kChunk),
        NVVM::LoadCacheModifierKindAttr::get(builder.getContext(),
                                             NVVM::LoadCacheModifierKind::CG),
        valid);
  }
}

void GemmBuilder::copyStage(Value stage, Value k0) {
  e.part("copy");
  Value address = e.at(shared, e.mul(stage, kStageBytes));
  copyTile(a, pitchA, firstRow, m, address, k0, /*isA=*/true);
  copyTile(bMatrix, pitchB, firstColumn, n,
           e.at(address, e.constant(kTileBytes)), k0, /*isA=*/false);
  NVVM::CpAsyncCommitGroupOp::create(builder, e.loc);
}

void GemmBuilder::waitForStage() {
  e.part("wait");
  if (has(Mistake::NoWait))
    return;
  int groups = options.stages - 2 + has(Mistake::WaitsForTooFew);
  NVVM::CpAsyncWaitGroupOp::create(builder, e.loc,
                                   builder.getI32IntegerAttr(groups));
}

void GemmBuilder::barrier() {
  e.part("barrier");
  if (has(Mistake::NoBarrier))
    return;
  if (has(Mistake::BarrierOfSome))
    return e.ifThen(e.less(thread, e.constant(64)),
                    [&] { NVVM::Barrier0Op::create(builder, e.loc); });
  NVVM::Barrier0Op::create(builder, e.loc);
}

/// Four matrices of 8 x 8, each lane giving the address of one row.
SmallVector<Value> GemmBuilder::loadFragments(Value address, Value row,
                                              Value chunk) {
  MLIRContext *context = builder.getContext();
  if (!has(Mistake::ReadsUnswizzled))
    chunk = swizzled(row, chunk);
  Value from = e.at(
      address, e.add(e.mul(row, has(Mistake::WrongStride) ? 80 : kRowBytes),
                     e.mul(chunk, kChunk)));
  Type type =
      LLVM::LLVMStructType::getLiteral(context, SmallVector<Type>(4, e.i32()));
  Value loaded = NVVM::LdMatrixOp::create(
      builder, e.loc, type, from, 4, NVVM::MMALayout::row,
      NVVM::LdStMatrixShapeAttr::get(context, 8, 8),
      NVVM::LdStMatrixEltType::B16);
  SmallVector<Value> registers;
  for (int64_t i = 0; i < 4; ++i)
    registers.push_back(LLVM::ExtractValueOp::create(builder, e.loc, loaded,
                                                     ArrayRef<int64_t>{i}));
  return registers;
}

void GemmBuilder::computeStage(Value stage, SmallVector<Value> &sums) {
  e.part("compute");
  MLIRContext *context = builder.getContext();
  Value addressA = e.at(shared, e.mul(stage, kStageBytes));
  Value addressB = e.at(addressA, e.constant(kTileBytes));
  // A: rows 0-7, 8-15, then the same of the next 8 columns. B: columns 0-7 of
  // two chunks, then columns 8-15.
  Value rowA = e.add(warpRow, e.rem(lane, 16)), halfA = e.div(lane, 16);
  Value rowB =
      e.add(warpColumn, e.add(e.mul(e.div(lane, 16), 8), e.rem(lane, 8)));
  Value halfB = e.rem(e.div(lane, 8), 2);
  // f16 fragments are vectors, bf16 ones numbers of 32 bits.
  Type pair = VectorType::get({2}, builder.getF16Type());
  auto asOperands = [&](ArrayRef<Value> registers) {
    SmallVector<Value> operands(registers);
    if (options.half)
      for (Value &value : operands)
        value = LLVM::BitcastOp::create(builder, e.loc, pair, value);
    return operands;
  };
  NVVM::MMATypes type =
      options.half ? NVVM::MMATypes::f16 : NVVM::MMATypes::bf16;
  Type result = LLVM::LLVMStructType::getLiteral(
      context, SmallVector<Type>(4, builder.getF32Type()));
  for (int step = 0; step < kRingDepth / 16; ++step) {
    SmallVector<SmallVector<Value>> fragmentsA, fragmentsB;
    for (int i = 0; i < kWarpRows; ++i)
      fragmentsA.push_back(
          loadFragments(addressA, e.add(rowA, 16 * i), e.add(halfA, 2 * step)));
    for (int j = 0; j < kWarpColumns; j += 2) {
      SmallVector<Value> four =
          loadFragments(addressB, e.add(rowB, 8 * j), e.add(halfB, 2 * step));
      fragmentsB.push_back({four[0], four[1]});
      fragmentsB.push_back({four[2], four[3]});
    }
    for (int i = 0; i < kWarpRows; ++i)
      for (int j = 0; j < kWarpColumns; ++j) {
        MutableArrayRef<Value> sum =
            MutableArrayRef(sums).slice((i * kWarpColumns + j) * 4, 4);
        Value product = NVVM::MmaOp::create(
            builder, e.loc, result, asOperands(fragmentsA[i]),
            asOperands(fragmentsB[j]), SmallVector<Value>(sum),
            ArrayRef<int64_t>{16, 8, 16}, std::nullopt, std::nullopt,
            std::array{type, type},
            std::array{NVVM::MMALayout::row, NVVM::MMALayout::col});
        for (auto [q, value] : llvm::enumerate(sum))
          value = LLVM::ExtractValueOp::create(builder, e.loc, product,
                                               ArrayRef<int64_t>{int64_t(q)});
      }
  }
}

void GemmBuilder::store(ArrayRef<Value> sums) {
  e.part("store");
  Value row0 = e.add(e.add(firstRow, warpRow), e.div(lane, 4));
  Value column0 =
      e.add(e.add(firstColumn, warpColumn), e.mul(e.rem(lane, 4), 2));
  Value lastRow = has(Mistake::RowBoundOneTooFar) ? e.add(m, 1) : m;
  Value lastColumn = has(Mistake::ColumnBoundOneTooFar) ? e.add(n, 1) : n;
  for (int i = 0; i < kWarpRows; ++i)
    for (int j = 0; j < kWarpColumns; ++j)
      for (int q = 0; q < 4; ++q) {
        Value row = e.add(row0, 16 * i + 8 * (q / 2));
        Value column = e.add(column0, 8 * j + q % 2);
        Value inside = e.both(e.less(row, lastRow), e.less(column, lastColumn));
        e.ifThen(inside, [&] {
          Value to = e.at(c, e.mul(e.add(e.mul(row, pitchC), column), 4));
          LLVM::StoreOp::create(builder, e.loc,
                                sums[(i * kWarpColumns + j) * 4 + q], to);
        });
      }
}

OwningOpRef<ModuleOp> GemmBuilder::build() {
  OwningOpRef<ModuleOp> module = ModuleOp::create(e.loc);
  declare(*module);
  mapThreads();
  // Copies run `ahead` tiles before the tile that is computed.
  int stages = options.stages, ahead = stages - 1;
  int ring = has(Mistake::OverwritesInFlight) ? stages - 1 : stages;
  if (!has(Mistake::NoPrologue))
    for (int stage = 0; stage < ahead; ++stage)
      copyStage(e.constant(stage % ring), e.constant(stage * kRingDepth));

  e.part("loop");
  SmallVector<Value> initial = {e.constant(0), e.constant(0)};
  Value zero = LLVM::ConstantOp::create(builder, e.loc, builder.getF32Type(),
                                        builder.getF32FloatAttr(0));
  initial.append(kWarpRows * kWarpColumns * 4, zero);
  Block *head = e.newBlock(), *body = e.newBlock(), *end = e.newBlock();
  for (Value value : initial)
    head->addArgument(value.getType(), e.loc);
  LLVM::BrOp::create(builder, e.loc, initial, head);

  // Arguments: the column of K, the stage that is computed, the sums.
  builder.setInsertionPointToStart(head);
  Value k0 = head->getArgument(0), stage = head->getArgument(1);
  SmallVector<Value> sums(head->getArguments().drop_front(2));
  LLVM::CondBrOp::create(builder, e.loc, e.less(k0, k), body, end);

  builder.setInsertionPointToStart(body);
  auto wrapped = [&](Value next) {
    Value last = e.constant(ring);
    return e.select(e.less(next, last), next, e.sub(next, last));
  };
  Value filled = wrapped(e.add(stage, ring == stages ? ahead : ring - 1));
  auto refill = [&] {
    // Past K there is nothing to read, and zeros are written that nobody reads.
    copyStage(filled, e.add(k0, ahead * kRingDepth));
  };
  waitForStage();
  if (has(Mistake::RefillsTooEarly))
    refill();
  barrier();
  if (!has(Mistake::RefillsTooEarly))
    refill();
  e.part("compute");
  computeStage(has(Mistake::WrongStage) ? wrapped(e.add(stage, 1)) : stage,
               sums);
  e.part("loop");
  SmallVector<Value> next = {e.add(k0, kRingDepth), wrapped(e.add(stage, 1))};
  next.append(sums);
  LLVM::BrOp::create(builder, e.loc, next, head);

  builder.setInsertionPointToStart(end);
  store(
      ArrayRef<Value>(SmallVector<Value>(head->getArguments().drop_front(2))));
  e.part("end");
  NVVM::CpAsyncWaitGroupOp::create(builder, e.loc,
                                   builder.getI32IntegerAttr(0));
  LLVM::ReturnOp::create(builder, e.loc, ValueRange());
  return module;
}

} // namespace

OwningOpRef<ModuleOp> buildRingGemm(MLIRContext &context,
                                    const RingGemm &options) {
  return GemmBuilder(context, options).build();
}

int ringSharedBytes(const RingGemm &options) {
  return options.stages * kStageBytes;
}

} // namespace coppice
