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

    The module is not changed.

    What is wrong:
    ```mlir
    #model = #decoder.model<name = "m", family = "llama", vocabulary = 11, hidden = 6, layers = 1,
        heads = 2, kv_heads = 1, head_dim = 3, intermediate = 7, context_length = 9, dtype = f32,
        tied = true, bos = 1, eos = [2], parameters = 1>
    module attributes {decoder.model = #model} {
      func.func @forward(%tokens: tensor<?xi32> {decoder.step = "tokens"}, %cache: tensor<?x?x32xf32>) {
        return
      }
    }
    ```
    What is said:
    ```
    error: expected argument #1 of @forward to have either 'decoder.step' or 'decoder.cache', found neither
    error: expected @forward to have an argument with the step field "slots", found none
    error: expected @forward to have an argument with the step field "positions", found none
    ```
  }];
}

#endif // COPPICE_DIALECT_DECODER_TRANSFORMS_PASSES_TD
