//===- WarpMatrix.cpp - ldmatrix and mma ----------------------------------===//
//
// Fragment layouts are those of the PTX ISA, "Matrix fragments for
// mma.m16n8k16" and "mma.sp.m16n8k32", with the lane as 4 * group + member:
//
// - A, element x of register q: row group + 8 (q % 2), and
//   column 2 member + x + 8 (q / 2);
// - B, element x of register q: row 2 member + x + 8 q, column group;
// - C and D, register q: row group + 8 (q / 2), column 2 member + q % 2.
//
// A sum is exact but for one rounding to f32 at its end (products and partial
// sums are double). A GPU's order and rounding of partial sums are its own, so
// bits agree where all partial sums are exact in f32.
//
//===----------------------------------------------------------------------===//

#include "Floats.h"
#include "ThreadBlock.h"
#include "mlir/Dialect/LLVMIR/NVVMDialect.h"
#include "llvm/Support/FormatVariadic.h"
#include <cstring>

using namespace mlir;

namespace coppice::emulator {
namespace {

//===--- ldmatrix ---------------------------------------------------------===//

/// Rows of 16 bytes fill all 32 banks of 4 bytes if they lie in eight different
/// groups of four.
unsigned countConflicts(ArrayRef<std::optional<ThreadBlock::Place>> rows) {
  uint32_t groups = 0;
  unsigned found = 0;
  for (const std::optional<ThreadBlock::Place> &row : rows) {
    if (!row)
      continue;
    groups |= 1u << (row->offset / 16 % 8);
    ++found;
  }
  return found - llvm::popcount(groups);
}

// Operand: the address of a row of 16 bytes, row r of matrix m from lane
// 8 m + r. Immediates after the mask's: matrices, and whether transposed. Each
// lane reads the bytes that it receives, whoever gave the address.
void loadMatrix(ThreadBlock &block, Warp &warp, uint32_t lanes,
                const Instruction &at) {
  bool transposed = at.immediates[2];
  for (uint32_t matrix = 0; matrix < at.immediates[1]; ++matrix) {
    std::optional<ThreadBlock::Place> rows[8];
    for (uint32_t row = 0; row < 8; ++row) {
      Thread &thread = block.lane(warp, 8 * matrix + row);
      rows[row] = block.find(thread, at, kShared, thread[at.operands[0]],
                             /*bytes=*/16, /*alignment=*/16, /*write=*/false);
    }
    block.launched().report.matrixBankConflicts += countConflicts(rows);
    forEachLane(lanes, [&](uint32_t index) {
      Thread &thread = block.lane(warp, index);
      uint32_t result = 0;
      for (uint32_t x = 0; x < 2; ++x) {
        uint32_t row = transposed ? 2 * (index % 4) + x : index / 4;
        uint32_t column = transposed ? index / 4 : 2 * (index % 4) + x;
        uint16_t element = 0x7fc1;
        if (rows[row]) {
          ThreadBlock::Place place = *rows[row];
          place.offset += 2 * column;
          place.data += 2 * column;
          block.noteRead(thread, at, place, 2);
          std::memcpy(&element, place.data, 2);
        }
        result |= uint32_t(element) << (16 * x);
      }
      thread[at.result + matrix] = result;
    });
  }
}

LogicalResult decodeLoadMatrix(FunctionDecoder &decoder, Operation *op) {
  auto load = cast<NVVM::LdMatrixOp>(op);
  if (load.getEltType() != NVVM::LdStMatrixEltType::B16 ||
      load.getShape().getM() != 8 || load.getShape().getN() != 8)
    return decoder.error(op) << "expected matrices of 8x8 b16";
  decoder.emitWarp(op, loadMatrix)
      .immediates.append(
          {load.getNum(), load.getLayout() == NVVM::MMALayout::col});
  return success();
}

//===--- mma.sync and mma.sp.sync -----------------------------------------===//

constexpr unsigned kRows = 16, kColumns = 8, kMaxDepth = 32;

struct Matrices {
  double a[kRows][kMaxDepth] = {};
  double b[kMaxDepth][kColumns] = {};
};

// Immediates after the mask's.
enum Immediate { kDepth = 1, kVectorA, kVectorB };

/// Two elements of 16 bits, from one register or a vector of two.
void readPair(Scalar::Kind kind, Thread &thread, uint32_t operand, bool vector,
              float pair[2]) {
  uint64_t low = thread[operand];
  pair[0] = toFloat(kind, low & 0xffff);
  pair[1] = toFloat(kind, vector ? thread[operand + 1] : low >> 16);
}

void gatherB(ThreadBlock &block, Warp &warp, const Instruction &at,
             unsigned firstOperand, Matrices &matrices) {
  for (uint32_t index = 0; index < kWarpSize; ++index) {
    Thread &thread = block.lane(warp, index);
    for (unsigned q = 0; q < at.immediates[kDepth] / 8; ++q) {
      float pair[2];
      readPair(at.scalar.kind, thread, at.operands[firstOperand + q],
               at.immediates[kVectorB], pair);
      for (unsigned x = 0; x < 2; ++x)
        matrices.b[2 * (index % 4) + x + 8 * q][index / 4] = pair[x];
    }
  }
}

void multiplyAndAdd(ThreadBlock &block, Warp &warp, const Instruction &at,
                    unsigned firstOperand, const Matrices &matrices) {
  for (uint32_t index = 0; index < kWarpSize; ++index) {
    Thread &thread = block.lane(warp, index);
    for (unsigned q = 0; q < 4; ++q) {
      unsigned row = index / 4 + 8 * (q / 2);
      unsigned column = 2 * (index % 4) + q % 2;
      double sum = asFloat(thread[at.operands[firstOperand + q]]);
      for (unsigned k = 0; k < at.immediates[kDepth]; ++k)
        sum += matrices.a[row][k] * matrices.b[k][column];
      thread[at.result + q] = bitsOf(static_cast<float>(sum));
    }
  }
}

void multiply(ThreadBlock &block, Warp &warp, uint32_t, const Instruction &at) {
  Matrices matrices;
  unsigned registersA = at.immediates[kDepth] / 4;
  unsigned registersB = at.immediates[kDepth] / 8;
  for (uint32_t index = 0; index < kWarpSize; ++index) {
    Thread &thread = block.lane(warp, index);
    for (unsigned q = 0; q < registersA; ++q) {
      float pair[2];
      readPair(at.scalar.kind, thread, at.operands[q], at.immediates[kVectorA],
               pair);
      for (unsigned x = 0; x < 2; ++x)
        matrices.a[index / 4 + 8 * (q % 2)][2 * (index % 4) + x + 8 * (q / 2)] =
            pair[x];
    }
  }
  gatherB(block, warp, at, registersA, matrices);
  multiplyAndAdd(block, warp, at, registersA + registersB, matrices);
}

// A has the elements that are kept, two of each four, in the layout of a dense
// A of half the depth. Metadata has 4 bits for each four, the place of the
// first and of the second. Of the lanes of a group, members 2 s and 2 s + 1
// give it for selector s: the low half is of row `group`, the high half of row
// `group + 8`; the first of the two has columns 0 to 15, the second the rest.
void multiplySparse(ThreadBlock &block, Warp &warp, uint32_t,
                    const Instruction &at) {
  Matrices matrices;
  unsigned registersA = 4, registersB = 4, registersC = 4;
  unsigned metadata = registersA + registersB + registersC;
  for (uint32_t index = 0; index < kWarpSize; ++index) {
    Thread &thread = block.lane(warp, index);
    uint32_t selector = thread[at.operands[metadata + 1]];
    if (selector > 1) {
      block.fault(
          Fault::Kind::Invalid, thread, at,
          llvm::formatv("expected selector 0 or 1, found {0}", selector));
      selector &= 1;
    }
    for (unsigned q = 0; q < registersA; ++q) {
      float pair[2];
      readPair(at.scalar.kind, thread, at.operands[q], at.immediates[kVectorA],
               pair);
      unsigned half = q % 2, row = index / 4 + 8 * half;
      // Kept columns 2 j and 2 j + 1 belong to the four columns 4 j to 4 j + 3.
      unsigned four = index % 4 + 4 * (q / 2);
      Thread &giver = block.lane(warp, index / 4 * 4 + 2 * selector + four / 4);
      uint32_t bits =
          giver[at.operands[metadata]] >> (16 * half + 4 * (four % 4));
      unsigned first = bits & 3, second = bits >> 2 & 3;
      if (first >= second)
        block.fault(Fault::Kind::Invalid, giver, at,
                    llvm::formatv("expected metadata with two ascending places "
                                  "in columns {0} to {1} of row {2}, found {3} "
                                  "and {4}",
                                  4 * four, 4 * four + 3, row, first, second));
      matrices.a[row][4 * four + first] = pair[0];
      matrices.a[row][4 * four + second] = pair[1];
    }
  }
  gatherB(block, warp, at, registersA, matrices);
  multiplyAndAdd(block, warp, at, registersA + registersB, matrices);
}

/// What dense and sparse products have in common.
template <typename Op>
LogicalResult decodeProduct(FunctionDecoder &decoder, Op op, RunWarp run,
                            bool shapeFits, StringRef shapes) {
  std::optional<NVVM::MMATypes> a = op.getMultiplicandAPtxType();
  std::optional<NVVM::MMATypes> b = op.getMultiplicandBPtxType();
  if (!shapeFits)
    return decoder.error(op)
           << "expected shape " << shapes << ", found m" << op.getShape().getM()
           << "n" << op.getShape().getN() << "k" << op.getShape().getK();
  if (!a || a != b || (*a != NVVM::MMATypes::bf16 && *a != NVVM::MMATypes::f16))
    return decoder.error(op)
           << "expected bf16 or f16 operands, found "
           << (a ? NVVM::stringifyMMATypes(*a) : "none") << " and "
           << (b ? NVVM::stringifyMMATypes(*b) : "none");
  if (!op.getOperandC().front().getType().isF32())
    return decoder.error(op) << "expected sums in f32, found "
                             << op.getOperandC().front().getType();
  Instruction &at = decoder.emitWarp(op, run);
  at.scalar = {*a == NVVM::MMATypes::bf16 ? Scalar::BF16 : Scalar::F16, 16, 0};
  at.immediates.append({op.getShape().getK(),
                        isa<VectorType>(op.getOperandA().front().getType()),
                        isa<VectorType>(op.getOperandB().front().getType())});
  return success();
}

LogicalResult decodeMultiply(FunctionDecoder &decoder, Operation *op) {
  auto product = cast<NVVM::MmaOp>(op);
  NVVM::MMAShapeAttr shape = product.getShape();
  if (product.getLayoutA() != NVVM::MMALayout::row ||
      product.getLayoutB() != NVVM::MMALayout::col)
    return decoder.error(op) << "expected layouts row and col";
  return decodeProduct(decoder, product, multiply,
                       shape.getM() == 16 && shape.getN() == 8 &&
                           (shape.getK() == 8 || shape.getK() == 16),
                       "m16n8k8 or m16n8k16");
}

LogicalResult decodeMultiplySparse(FunctionDecoder &decoder, Operation *op) {
  auto product = cast<NVVM::MmaSpOp>(op);
  NVVM::MMAShapeAttr shape = product.getShape();
  return decodeProduct(decoder, product, multiplySparse,
                       shape.getM() == 16 && shape.getN() == 8 &&
                           shape.getK() == 32,
                       "m16n8k32");
}

} // namespace

void addWarpMatrix(OpTable &table) {
  table["nvvm.ldmatrix"] = decodeLoadMatrix;
  table["nvvm.mma.sync"] = decodeMultiply;
  table["nvvm.mma.sp.sync"] = decodeMultiplySparse;
}

} // namespace coppice::emulator
