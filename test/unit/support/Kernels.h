//===- Kernels.h - kernels as `compile` makes them, in a test ---*- C++ -*-===//
//
// In: kernels as MLIR (KernelPlan.h). They are planned and compiled as
// `compile` does, for a CPU, or for a GPU that the emulator stands for, and run
// through the kernel ABI on arrays of the test.
//
//===----------------------------------------------------------------------===//

#ifndef COPPICE_TEST_UNIT_SUPPORT_KERNELS_H
#define COPPICE_TEST_UNIT_SUPPORT_KERNELS_H

#include "coppice/Codegen/NVPTX/PlanKernel.h"
#include "coppice/Target/AssemblePTX.h"
#include "llvm/ADT/StringMap.h"
#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace coppice::test {

/// The GPU that the emulator stands for.
constexpr const char *kGPU = "emu:sm_80";

/// Values of the symbols of a step.
struct Symbols {
  int64_t rows = 1, headRows = 1, slots = 1, context = 1, attended = 0,
          cached = 0;

  std::vector<int64_t> values() const {
    return {rows, headRows, slots, context, attended, cached};
  }
};

/// An expression of symbols that outlives its context; null for a null map.
using Expr = std::function<int64_t(const Symbols &)>;
Expr keepMap(mlir::AffineMap map);

/// A compiled module of kernels.
class Kernels {
public:
  /// `isa`: "host" or an instruction set of CPUs, or "emu:sm_80", where there
  /// is no oracle. Null, with a diagnostic on stderr, where it does not
  /// compile.
  static std::unique_ptr<Kernels> compile(const std::string &source,
                                          bool oracle = false,
                                          std::string isa = "host");
  virtual ~Kernels() = default;

  /// Columns of a panel of a packed argument; 0: it is not packed.
  int64_t panels(llvm::StringRef name, unsigned arg) {
    return kernels.find(name)->second.panels[arg];
  }
  std::string strategy(llvm::StringRef name) {
    return kernels.find(name)->second.strategy;
  }
  int64_t rowsOfItem(llvm::StringRef name) {
    return kernels.find(name)->second.rows;
  }
  /// On a GPU: the kernels as PTX, and what they take, if there is a ptxas.
  const std::string &ptx() { return assembly; }
  const llvm::StringMap<KernelResources> &resources() { return taken; }

  /// Runs the work items [begin, end) of a kernel of one stage, on a CPU.
  void runItems(llvm::StringRef name, const std::vector<const void *> &args,
                const Symbols &symbols, int64_t begin, int64_t end);

  /// Runs all work items of a kernel, stage by stage. On a CPU in chunks of
  /// `chunk` from the last to the first, in one piece if it is 0. On a GPU in
  /// so many blocks, in one for each if it is 0; what the emulator finds fault
  /// with is a failure of the test.
  void run(llvm::StringRef name, std::vector<const void *> args,
           const Symbols &symbols, int64_t chunk = 0);

protected:
  struct Stage {
    std::string symbol;
    Expr grid;
  };
  struct Variant {
    Expr guard, workspace; // may be null
    std::vector<Stage> stages;
  };
  struct Argument {
    std::vector<Expr> shape;
    int64_t elementBytes;
  };
  struct Kernel {
    llvm::SmallVector<int64_t> panels;
    std::string strategy; // of the last stage
    int64_t rows = 0;     // of one of its work items, where it says so
    std::vector<Variant> variants;
    std::vector<Argument> arguments;
    unsigned results = 0; // so many last arguments are written
  };

  using Plan = llvm::function_ref<mlir::FailureOr<KernelPlan>(
      mlir::func::FuncOp kernel)>;
  /// Replaces the kernels of `module` by those of their stages.
  mlir::LogicalResult plan(mlir::ModuleOp module, Plan planKernel);

  /// Runs a stage. Its grid is of `items`, `chunk` as above. `args` may have a
  /// workspace of `workspaceBytes` at its end.
  virtual void call(const Kernel &kernel, const Stage &stage,
                    const std::vector<const void *> &args,
                    int64_t workspaceBytes, const Symbols &symbols,
                    int64_t chunk) = 0;
  std::string assembly;
  llvm::StringMap<KernelResources> taken;

  virtual void callItems(const std::string &symbol,
                         const std::vector<const void *> &args,
                         const Symbols &symbols, int64_t begin,
                         int64_t end) = 0;

private:
  const Variant &choose(const Kernel &kernel, const Symbols &symbols);

  llvm::StringMap<Kernel> kernels;
};

/// The instruction sets of CPUs that this machine has.
std::vector<std::string> instructionSets();

/// The type of a tensor of a row for each of the step's, and the attribute of
/// an argument that says so.
std::string rowsType(int64_t width, llvm::StringRef element = "f32");
std::string rowsDims(int64_t width);

std::unique_ptr<Kernels> compileForCPU(const std::string &source, bool oracle,
                                       const std::string &isa);
std::unique_ptr<Kernels> compileForGPU(const std::string &source,
                                       const nvptx::PlanOptions &options = {});

} // namespace coppice::test

#endif // COPPICE_TEST_UNIT_SUPPORT_KERNELS_H
