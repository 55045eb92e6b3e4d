//===- Passes.td - code generation for x86-64 -----------------------------===//

#ifndef COPPICE_CODEGEN_CPU_PASSES
#define COPPICE_CODEGEN_CPU_PASSES

include "mlir/Pass/PassBase.td"

def CodegenCPUKernels : Pass<"codegen-cpu-kernels", "::mlir::ModuleOp"> {
  let summary = "Emit the planned kernels of a module as loops and vectors";
  let description = [{
    Each function of the module is a kernel with its plan: `exec.config` on the
    function and `exec.panels` on packed arguments (KernelPlan.h says what they
    mean). It is replaced by a function of the same name with the bundle's kernel
    signature, made of `scf`, `arith`, `math`, `vector` and `memref` operations:

    ```mlir
    func.func @gemm(%x: tensor<?x64xf32> {exec.dims = ["rows", 64]},
                    %w: tensor<40x64xf32> {exec.panels = 48 : i64},
                    %out: tensor<?x40xf32> {exec.dims = ["rows", 40]}) -> tensor<?x40xf32>
        attributes {exec.config = #exec.config<"gemm", rows = 96, panel = 48, ...>} {
      %0 = prune.gemm "" %x, %w : ...
      return %0 : tensor<?x40xf32>
    }
    ```
    becomes
    ```mlir
    func.func @gemm(%args: !llvm.ptr, %symbols: !llvm.ptr, %begin: i64, %end: i64) {
      // memrefs from %args and %symbols; scf.for over the items [%begin, %end)
    }
    ```

    Nothing is chosen here. exp, log, tanh and erf become polynomials, except in
    kernels of the strategy "plain". The pass fails, at the operation in question,
    where a result cannot be computed in place or a temporary would be large.
    `codegen-cpu` is the pipeline from here to the LLVM dialect.
  }];
  let statistics = [
    Statistic<"numGemm", "gemm", "Kernels emitted by the GEMM builder">,
    Statistic<"numAttention", "attention", "Kernels emitted by the attention builder">,
    Statistic<"numLoops", "loops", "Kernels lowered to loops">,
  ];
}

#endif // COPPICE_CODEGEN_CPU_PASSES
