#ifndef COPPICE_DIALECT_DECODER_IR_DECODERDIALECT_TD
#define COPPICE_DIALECT_DECODER_IR_DECODERDIALECT_TD

include "mlir/IR/OpBase.td"

def Decoder_Dialect : Dialect {
  let name = "decoder";
  let cppNamespace = "::coppice::decoder";
  let summary = "the transformer ops that linalg cannot name";
  let description = [{
    A decoder-only transformer is matrix multiplications and element-wise code,
    which `linalg` says well, and a handful of operations that linalg can only
    spell out. Those are the ops of this dialect: embedding lookup, RMS norm,
    rotary embedding, the update of a KV cache, and attention over it.

    All work on a *step*: a ragged batch of token rows. Row `r` has a token, the
    slot of its sequence in the caches and its position in that sequence. Prefill
    rows and decode rows of any sequences mix freely.

    - A *row tensor* is `[rows, width]` in f32. Heads are runs of `head_dim`
      columns: a set of heads is a set of columns, and nothing is ever reshaped.
    - Weights and caches have a *storage type* (f32, f16, bf16) and are widened
      to f32 where they are used. A cache is `[slots, context, width]`.
    - Widths are static, all other extents may be dynamic.

    The meaning of each op is its decomposition to linalg
    (`AggregatedOpInterface::decomposeOperation`, pass `decoder-to-linalg`).

    Discardable attributes of the dialect: `decoder.model` (on a module),
    `decoder.rope` (on a module: where its rotary frequencies come from), `decoder.source` (on an `ml_program.global`: where the weight is found),
    `decoder.step` (on a function argument: the field of the step that it is) and
    `decoder.cache` (on a function argument: the name of the KV cache that it is).
  }];
  let dependentDialects = [
    "::mlir::affine::AffineDialect", "::mlir::arith::ArithDialect",
    "::mlir::linalg::LinalgDialect", "::mlir::math::MathDialect",
    "::mlir::scf::SCFDialect", "::mlir::tensor::TensorDialect"
  ];
  let useDefaultAttributePrinterParser = 1;
  let hasOperationAttrVerify = 1;
  let hasRegionArgAttrVerify = 1;
  let extraClassDeclaration = "void registerAttributes();";
}

#endif // COPPICE_DIALECT_DECODER_IR_DECODERDIALECT_TD
