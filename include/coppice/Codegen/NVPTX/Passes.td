//===- Passes.td - code generation for NVIDIA GPUs ------------------------===//

#ifndef COPPICE_CODEGEN_NVPTX_PASSES
#define COPPICE_CODEGEN_NVPTX_PASSES

include "mlir/Pass/PassBase.td"

def CodegenNVPTXKernels : Pass<"codegen-nvptx-kernels", "::mlir::ModuleOp"> {
  let summary = "Emit the planned kernels of a module as code of GPU threads";
  let description = [{
    Each function of the module is a kernel with its plan for a GPU: `exec.config` and `exec.grid` on the function, `exec.packing` on
    packed arguments (KernelPlan.h). It is replaced by a function of the same name that a grid of thread blocks runs:

    ```mlir
    func.func @compact(%mask: tensor<?x1xi8> {exec.dims = ["rows", 1]}, %list: tensor<?xi32> {exec.dims = ["rows"]}, %count: tensor<i32>)
        -> (tensor<?xi32>, tensor<i32>)
        attributes {exec.config = #exec.config<"compact", threads = 256>, exec.grid = affine_map<()[s0, s1, s2, s3, s4, s5] -> (1)>} {
      %l, %c = prune.compact "" %mask : tensor<?x1xi8> -> tensor<?xi32>, tensor<i32>
      return %l, %c : tensor<?xi32>, tensor<i32>
    }
    ```
    becomes
    ```mlir
    func.func @compact(%mask: !llvm.ptr, %list: !llvm.ptr, %count: !llvm.ptr, %symbols: !llvm.ptr)
        attributes {exec.shared_bytes = 32 : i64, exec.threads = 256 : i64} {
      %memory = llvm.addrspacecast %symbols : !llvm.ptr to !llvm.ptr<1>
      %field = llvm.getelementptr %memory[0] ...
      %rows = llvm.load %field : !llvm.ptr<1> -> i64       // the sizes of the step, from memory of the device
      ...
      %block = nvvm.read.ptx.sreg.ctaid.x : i32
      %blocks = nvvm.read.ptx.sreg.nctaid.x : i32
      scf.for %item = %block to %items step %blocks ...    // a block does items until none is left
    ```

    Nothing is chosen here. `codegen-nvptx` is the pipeline from here to the LLVM and NVVM dialects.
  }];
}

def NVPTXApproximateMath : Pass<"nvptx-approximate-math"> {
  let summary = "Replace functions of f32 by what a GPU has instructions for";
  let description = [{
    Without a CUDA toolkit there is no libdevice, so nothing may be left that needs it. exp, exp2 and log become `ex2.approx` and `lg2.approx`, with a product by a
    constant; sqrt and rsqrt become instructions; erf and tanh become polynomials. sin and cos, whose approximations by a GPU are wrong for
    large arguments, become polynomials behind a reduction in f64. What is narrower than f32 is widened first.

    ```mlir
    func.func @f(%x: f32) -> f32 {
      %e = math.exp %x : f32
      return %e : f32
    }
    ```
    becomes
    ```mlir
    %log2e = arith.constant 1.44269502 : f32
    %s = arith.mulf %x, %log2e : f32
    %e = llvm.call_intrinsic "llvm.nvvm.ex2.approx.ftz.f32"(%s) : (f32) -> f32
    ```
  }];
  let dependentDialects = ["::mlir::arith::ArithDialect", "::mlir::LLVM::LLVMDialect", "::mlir::math::MathDialect", "::mlir::vector::VectorDialect"];
}

def NVPTXMarkKernels : Pass<"nvptx-mark-kernels", "::mlir::ModuleOp"> {
  let summary = "Make functions that have `exec.threads` kernels of so many threads";
  let description = [{
    Until they are functions of the LLVM dialect, kernels are known by the number of their threads alone.

    ```mlir
    llvm.func @k(%x: !llvm.ptr) attributes {exec.threads = 256 : i64} {
      llvm.return
    }
    ```
    becomes
    ```mlir
    llvm.func @k(%x: !llvm.ptr) attributes {exec.threads = 256 : i64, nvvm.kernel, nvvm.reqntid = array<i32: 256, 1, 1>} {
    ```
  }];
  let dependentDialects = ["::mlir::NVVM::NVVMDialect"];
}

#endif // COPPICE_CODEGEN_NVPTX_PASSES
