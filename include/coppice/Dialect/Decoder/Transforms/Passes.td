#ifndef COPPICE_DIALECT_DECODER_TRANSFORMS_PASSES_TD
#define COPPICE_DIALECT_DECODER_TRANSFORMS_PASSES_TD

include "mlir/Pass/PassBase.td"

def DecoderCheckModel : Pass<"decoder-check-model", "::mlir::ModuleOp"> {
  let summary = "Check that a module is a model";
  let description = [{
    Verifiers look at one op; this pass checks the contract of the module as a
    whole, that of `docs/architecture.md` section 1:

    - the module has a `decoder.model` and a function `@forward` with one block;
    - its arguments are the step fields `tokens`, `slots`, `positions` and
      `head_rows`, once each, and caches with distinct names;
    - it returns the logits, `[head rows, vocabulary]` of f32, then for each
      cache, in the order of the arguments, the updated cache;
    - every weight (an external `ml_program.global`) has a `decoder.source`;
    - linalg ops, decoder ops and GEMMs have a site, and no site occurs twice.

    A projection of the `prune` dialect carries the name of what it projects and
    is not counted, and a `linalg.fill` needs no name. All violations are reported, not only the first.

    ```mlir
    func.func @forward(%tokens: tensor<?xi32> {decoder.step = "tokens"},
                       %cache: tensor<?x?x32xf32>) {  // error: neither step field nor cache
    ```

    The module is not changed.
  }];
}

#endif // COPPICE_DIALECT_DECODER_TRANSFORMS_PASSES_TD
