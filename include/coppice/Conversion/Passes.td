#ifndef COPPICE_CONVERSION_PASSES_TD
#define COPPICE_CONVERSION_PASSES_TD

include "mlir/Pass/PassBase.td"

def DecoderToLinalg : Pass<"decoder-to-linalg"> {
  let summary = "Spell out decoder ops in linalg";
  let description = [{
    Replaces each op of the `decoder` dialect below the op that the pass runs on
    by its decomposition, which is what the op means. The linalg op (for
    `decoder.append`: the `scf.for`) that computes the op's value carries its
    site as `prune.site`, the steps before it carry `SITE.STEP`.

    ```mlir
    func.func @norm(%x: tensor<?x5xf32>, %g: tensor<5xf32>) -> tensor<?x5xf32> {
      %n = decoder.rms_norm "norm" %x, %g {epsilon = 1.0e-5 : f32, divisor = 5 : i64}
        : tensor<?x5xf32>, tensor<5xf32>
      return %n : tensor<?x5xf32>
    }
    ```
    becomes
    ```mlir
    %z = linalg.fill {prune.site = "norm.zero"} ins(...
    %s = linalg.generic {... iterator_types = ["parallel", "reduction"]} ins(%x : tensor<?x5xf32>) outs(%z : tensor<?xf32>) attrs = {prune.site = "norm.squares"}
    %n = linalg.generic {... iterator_types = ["parallel", "parallel"]} ins(%x, %s, %g : ... attrs = {prune.site = "norm"}
    ```

    Discardable attributes of the op (`prune.kept`) move to the op that computes
    its value. Everything else is left alone.
  }];
  let dependentDialects = [
    "::mlir::affine::AffineDialect", "::mlir::arith::ArithDialect",
    "::mlir::linalg::LinalgDialect", "::mlir::math::MathDialect",
    "::mlir::scf::SCFDialect", "::mlir::tensor::TensorDialect"
  ];
}

def PruneToLinalg : Pass<"prune-to-linalg"> {
  let summary = "Lower projections and GEMMs to their literal meaning";
  let description = [{
    The oracle's lowering. It applies no rule of the projection algebra and
    shares no code with the passes that do:

    - `prune.project` is an `arith.select` of its input against zero, by a
      constant mask along its axis (a product with a mask would turn Inf into
      NaN). Its op is named `SITE.project`.
    - `prune.restrict` and `prune.extend` are gathers by a constant table.
    - `prune.replace` is the new weight: the one that is given, or `U V`, computed
      in f32 as `SITE.factors`, or, where rows are retained, those of the old
      weight and U V in the others, as `SITE.weight`.
    - `prune.gemm` is a fill and one reduction over k in ascending order, in the
      element type of the result; then the epilogue, as an op of its own that
      has the name of the GEMM's `value`. The product has the site, or
      `SITE.product` where `value` is not another name. Its sets are compared
      with every index, and what they leave out is not selected.

    ```mlir
    func.func @mask(%x: tensor<?x3xf32>) -> tensor<?x3xf32> {
      %p = prune.project "layers.0.mlp" %x axis 1 keep #prune.set<[0:2] of 3> in tensor<?x3xf32>
      return %p : tensor<?x3xf32>
    }
    ```
    becomes
    ```mlir
    %mask = arith.constant dense<[true, true, false]> : tensor<3xi1>
    %p = linalg.generic {...} ins(%x, %mask : ...) ... attrs = {prune.site = "layers.0.mlp.project"} {
      %v = arith.select ... : f32
    ```

    Plans are left alone.
  }];
  let dependentDialects = [
    "::mlir::arith::ArithDialect", "::mlir::linalg::LinalgDialect",
    "::mlir::scf::SCFDialect", "::mlir::tensor::TensorDialect"
  ];
}

#endif // COPPICE_CONVERSION_PASSES_TD
