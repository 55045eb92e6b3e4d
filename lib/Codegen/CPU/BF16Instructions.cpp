//===- BF16Instructions.cpp - what AVX512_BF16 adds -----------------------===//
//
// LLVM's intrinsics are called by name: the MLIR dialect of x86 vectors is
// being renamed, and has no rounding.
//
//===----------------------------------------------------------------------===//

#include "BF16Instructions.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"

using namespace mlir;

namespace coppice {

static Value call(ImplicitLocOpBuilder &b, StringRef intrinsic, Type type,
                  ValueRange operands) {
  return LLVM::CallIntrinsicOp::create(b, type, b.getStringAttr(intrinsic),
                                       operands)
      .getResult(0);
}

Value dotPairs(ImplicitLocOpBuilder &b, Value sums, Value lhs, Value rhs) {
  return call(b, "llvm.x86.avx512bf16.dpbf16ps.512", sums.getType(),
              {sums, lhs, rhs});
}

Value roundToBF16(ImplicitLocOpBuilder &b, Value value) {
  return call(b, "llvm.x86.avx512bf16.cvtneps2bf16.512",
              VectorType::get(16, b.getBF16Type()), value);
}

} // namespace coppice
