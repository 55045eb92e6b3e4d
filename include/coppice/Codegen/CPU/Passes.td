//===- Passes.td - code generation for x86-64 -----------------------------===//

#ifndef COPPICE_CODEGEN_CPU_PASSES
#define COPPICE_CODEGEN_CPU_PASSES

include "mlir/Pass/PassBase.td"

def CodegenCPUKernels : Pass<"codegen-cpu-kernels", "::mlir::ModuleOp"> {
  let summary = "Emit the planned kernels of a module as loops and vectors";
  let description = [{
    Each function of the module is a kernel with its plan: `exec.config` on the
    function and `exec.packing` on packed arguments (KernelPlan.h says what they
    mean). It is replaced by a function of the same name with the bundle's kernel
    signature, made of `scf`, `arith`, `math`, `vector` and `memref` operations:

    ```mlir
    func.func @norm(%x: tensor<?x5xf32> {exec.dims = ["rows", 5]}, %g: tensor<5xf32>,
                    %out: tensor<?x5xf32> {exec.dims = ["rows", 5]}) -> tensor<?x5xf32>
        attributes {exec.config = #exec.config<"loops", tile = 1>} {
      %n = decoder.rms_norm "" %x, %g {epsilon = 1.0e-5 : f32, divisor = 5 : i64}
        : tensor<?x5xf32>, tensor<5xf32>
      return %n : tensor<?x5xf32>
    }
    ```
    becomes
    ```mlir
    func.func @norm(%args: !llvm.ptr, %symbols: !llvm.ptr, %begin: i64, %end: i64) {
      %b = arith.index_cast %begin : i64 to index  // rows [begin, end)
      %e = arith.index_cast %end : i64 to index
      scf.for ... = %b to %e
    ```

    Nothing is chosen here; which instructions do it depends on `isa`. exp, log, tanh and erf become polynomials, except in
    kernels of the strategy "plain". The pass fails, at the operation in question,
    where a result cannot be computed in place or a temporary would be large.
    `codegen-cpu` is the pipeline from here to the LLVM dialect.
  }];
  let options = [Option<"isa", "isa", "std::string", "\"avx512\"",
                        "Instruction set: host, avx2, avx512, avx512_bf16 or amx_bf16">];
  let statistics = [
    Statistic<"numGemm", "gemm", "Kernels emitted by the GEMM builder">,
    Statistic<"numAttention", "attention", "Kernels emitted by the attention builder">,
    Statistic<"numRotary", "rotary", "Kernels emitted by the rotary builder">,
    Statistic<"numRows", "rows", "Kernels emitted by the builder of norms, lookups and appends">,
    Statistic<"numLoops", "loops", "Kernels lowered to loops">,
  ];
}

#endif // COPPICE_CODEGEN_CPU_PASSES
