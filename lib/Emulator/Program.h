//===- Program.h - kernels as lists of instructions -------------*- C++ -*-===//
//
// Each kernel is decoded once. An SSA value is a run of registers of 64 bits,
// one for each element of a vector and each member of a struct, at a fixed
// place of the thread's register file; constants are written there before the
// thread starts. An instruction is a pointer to the function that executes it
// and the places of its operands.
//
// What an op means is in one file with how it is decoded (Arithmetic.cpp,
// WarpMatrix.cpp, ..). Such a file adds its ops to the table by name; a further
// instruction set is a further file.
//
//===----------------------------------------------------------------------===//

#ifndef COPPICE_LIB_EMULATOR_PROGRAM_H
#define COPPICE_LIB_EMULATOR_PROGRAM_H

#include "Memory.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/IR/BuiltinOps.h"
#include "llvm/ADT/StringMap.h"

namespace coppice::emulator {

class ThreadBlock;
struct Thread;
struct Warp;

/// The type of a register.
struct Scalar {
  enum Kind : uint8_t { Int, F16, BF16, F32, F64, Pointer };
  Kind kind = Int;
  uint8_t bits = 0;
  uint8_t space = 0; // of a pointer

  unsigned bytes() const { return (bits + 7) / 8; }
  bool operator==(const Scalar &) const = default;
};

/// A register of a value, and where it lies in memory.
struct Leaf {
  Scalar scalar;
  uint32_t offset; // in bytes
};

/// How a type is spread over registers and laid out in memory, as NVPTX's data
/// layout says.
struct Layout {
  llvm::SmallVector<Leaf, 4> leaves;
  uint64_t size = 0;
  uint64_t alignment = 1;

  unsigned count() const { return leaves.size(); }
};

/// Fails for types that have no registers (tokens, scalable vectors, ..).
mlir::FailureOr<Layout> layoutOf(mlir::Type type);

/// The bits of a constant's numbers, one by one; none of another attribute.
llvm::SmallVector<uint64_t> numbersOf(mlir::Attribute value);

/// What a thread does after an instruction.
enum class Step {
  Next, // the following instruction
  Jump, // the one at `pc`, which the instruction has set
  Stop, // nothing until `state` is Ready again
};

struct Instruction;
using Run = Step (*)(ThreadBlock &, Thread &, const Instruction &);
/// Executes for all `lanes` at once (a bit for each).
using RunWarp = void (*)(ThreadBlock &, Warp &, uint32_t lanes,
                         const Instruction &);

struct Move {
  uint32_t from, to, count;
};

struct Instruction {
  Run run = nullptr;
  /// For ops that lanes execute together; `run` is then `arriveAtWarp`.
  RunWarp warp = nullptr;
  mlir::Operation *op = nullptr;
  uint32_t result = 0;                      // first register
  uint32_t count = 0;                       // registers of the result
  llvm::SmallVector<uint32_t, 4> operands;  // first register of each
  Scalar scalar;                            // of the operands
  Scalar to;                                // of the result, where it differs
  llvm::SmallVector<int64_t, 2> immediates; // as the op's file says
  llvm::SmallVector<Move, 0> moves;         // block arguments
  std::unique_ptr<Layout> layout;           // of what is loaded or stored
};

/// A kernel.
struct Function {
  struct Argument {
    uint32_t place;
    Scalar scalar;
  };

  mlir::LLVM::LLVMFuncOp op;
  std::vector<Instruction> code;
  std::vector<uint64_t> image; // the register file of a thread that starts
  std::vector<Argument> arguments;
  uint64_t staticShared = 0;  // bytes
  uint64_t dynamicShared = 0; // where dynamic shared memory starts
  bool usesDynamicShared = false;
};

/// All kernels, and the memory that they share.
struct Module {
  llvm::StringMap<Function> kernels;
  GlobalMemory memory;
  /// Values of `llvm.mlir.global` outside shared memory.
  std::vector<std::unique_ptr<std::vector<uint8_t>>> globals;
};

class FunctionDecoder;
using Decode = llvm::LogicalResult (*)(FunctionDecoder &, mlir::Operation *);

/// Decoders by the name of an op, and by what else names an instruction:
/// "llvm.call_intrinsic NAME", "llvm.inline_asm TEXT".
using OpTable = llvm::StringMap<Decode>;

void addArithmetic(OpTable &);
void addMath(OpTable &);
void addAggregates(OpTable &);
void addControlFlow(OpTable &);
void addLoadsAndStores(OpTable &);
void addSpecialRegisters(OpTable &);
void addBarriers(OpTable &);
void addWarpExchange(OpTable &);
void addWarpMatrix(OpTable &);
void addAsyncCopies(OpTable &);

/// Builds the instructions of one kernel.
class FunctionDecoder {
public:
  FunctionDecoder(Module &module, const OpTable &table, Function &function)
      : module(module), table(table), function(function) {}

  llvm::LogicalResult run();

  /// First register of a value, given out when it is first asked for.
  uint32_t placeOf(mlir::Value value);
  /// A register for one more number that is known now.
  uint32_t constant(uint64_t value);
  /// Writes a value that is known now.
  void setConstant(mlir::Value value, llvm::ArrayRef<uint64_t> registers);

  /// Appends an instruction with the places of results and operands filled in.
  Instruction &emit(mlir::Operation *op, Run run);
  /// The same for an op that the lanes of a warp execute together.
  /// `maskOperand` says which of them; without it all 32 must.
  Instruction &emitWarp(mlir::Operation *op, RunWarp run,
                        std::optional<unsigned> maskOperand = std::nullopt);

  /// The scalar of which a value consists; failure, with a diagnostic, where it
  /// consists of several kinds.
  mlir::FailureOr<Scalar> scalarOf(mlir::Operation *op, mlir::Value value);

  /// The index of the block's first instruction is written to the immediate
  /// `index` of the instruction emitted last, once it is known.
  void patchTarget(unsigned index, mlir::Block *block);

  /// Where a shared global lies; for globals elsewhere, their address.
  mlir::FailureOr<uint64_t> addressOf(mlir::Operation *op,
                                      mlir::LLVM::GlobalOp global);

  mlir::InFlightDiagnostic error(mlir::Operation *op);

private:
  llvm::LogicalResult decode(mlir::Operation *op);
  llvm::LogicalResult placeSharedMemory();

  struct Patch {
    size_t instruction;
    unsigned immediate;
    mlir::Block *block;
  };

  Module &module;
  const OpTable &table;
  Function &function;
  llvm::DenseMap<mlir::Value, uint32_t> places;
  llvm::DenseMap<mlir::Block *, size_t> starts;
  llvm::DenseMap<mlir::Operation *, uint64_t> addresses;
  llvm::SmallVector<Patch> patches;
};

/// Decodes every kernel of `module`.
llvm::LogicalResult decodeModule(mlir::ModuleOp source, Module &module);

/// "'llvm.load' at loc(..)"
std::string describe(mlir::Operation *op);

} // namespace coppice::emulator

#endif // COPPICE_LIB_EMULATOR_PROGRAM_H
