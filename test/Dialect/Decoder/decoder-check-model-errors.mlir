// RUN: coppice-opt %s --decoder-check-model --split-input-file --verify-diagnostics

// A model that passes is decoder-ops.mlir.

// expected-error @below {{expected a model: a module with the attribute 'decoder.model'; 'coppice import' makes one}}
module {}

// -----

#model = #decoder.model<name = "m", family = "llama", vocabulary = 11, hidden = 6, layers = 1, heads = 2, kv_heads = 1, head_dim = 3, intermediate = 7, context_length = 9, dtype = f32, tied = true, bos = 1, eos = [2], parameters = 1>
// expected-error @below {{expected a model to have a function @forward of one block, found none}}
module attributes {decoder.model = #model} {}

// -----

#model = #decoder.model<name = "m", family = "llama", vocabulary = 11, hidden = 6, layers = 1, heads = 2, kv_heads = 1, head_dim = 3, intermediate = 7, context_length = 9, dtype = f32, tied = true, bos = 1, eos = [2], parameters = 1>
// expected-error @below {{expected a model to have a function @forward of one block, found another body}}
module attributes {decoder.model = #model} {
  func.func private @forward()
}

// -----

#model = #decoder.model<name = "m", family = "llama", vocabulary = 11, hidden = 6, layers = 1, heads = 2, kv_heads = 1, head_dim = 3, intermediate = 7, context_length = 9, dtype = f32, tied = true, bos = 1, eos = [2], parameters = 1>
module attributes {decoder.model = #model} {
  // expected-error @below {{expected the external weight @w to have 'decoder.source', found none}}
  ml_program.global private @w(#ml_program.extern : tensor<3xf32>) : tensor<3xf32>
  // expected-error @below {{expected argument #1 of @forward to have either 'decoder.step' or 'decoder.cache', found neither}}
  // expected-error @below {{expected the step field "tokens" once, found it as arguments #0 and #2 of @forward}}
  // expected-error @below {{expected the cache "k" once, found it as arguments #3 and #4 of @forward}}
  // expected-error @below {{expected @forward to have an argument with the step field "slots", found none}}
  // expected-error @below {{expected @forward to have an argument with the step field "positions", found none}}
  // expected-error @below {{expected @forward to have an argument with the step field "head_rows", found none}}
  // expected-error @below {{expected @forward to return the logits and 2 updated caches, found 0 results}}
  func.func @forward(%t: tensor<?xi32> {decoder.step = "tokens"}, %x: tensor<?xi32>, %u: tensor<?xi32> {decoder.step = "tokens"},
                     %k: tensor<?x?x3xf32> {decoder.cache = "k"}, %l: tensor<?x?x3xf32> {decoder.cache = "k"}) {
    return
  }
}

// -----

#model = #decoder.model<name = "m", family = "llama", vocabulary = 11, hidden = 6, layers = 1, heads = 2, kv_heads = 1, head_dim = 3, intermediate = 7, context_length = 9, dtype = f32, tied = true, bos = 1, eos = [2], parameters = 1>
module attributes {decoder.model = #model} {
  // expected-error @below {{expected result #0 of @forward to be logits, [head rows, 11] of f32, found 'tensor<?x6xf32>'}}
  // expected-error @below {{expected result #1 of @forward to be the updated cache of argument #4, of type 'tensor<?x?x3xf32>', found 'tensor<?x6xf32>'}}
  func.func @forward(%t: tensor<?xi32> {decoder.step = "tokens"}, %s: tensor<?xi32> {decoder.step = "slots"},
                     %p: tensor<?xi32> {decoder.step = "positions"}, %h: tensor<?xi32> {decoder.step = "head_rows"},
                     %k: tensor<?x?x3xf32> {decoder.cache = "k"}) -> (tensor<?x6xf32>, tensor<?x6xf32>) {
    %w = arith.constant dense<1.0> : tensor<11x6xf32>
    // expected-note @below {{first used here}}
    %x = decoder.lookup "embed" %t in %w : tensor<?xi32>, tensor<11x6xf32> -> tensor<?x6xf32>
    // expected-error @below {{expected sites to be unique, found 'embed' again}}
    %y = decoder.lookup "embed" %h in %x : tensor<?xi32>, tensor<?x6xf32> -> tensor<?x6xf32>
    // expected-error @below {{expected a site that names the op, found none}}
    %z = linalg.exp ins(%x : tensor<?x6xf32>) outs(%y : tensor<?x6xf32>) -> tensor<?x6xf32>
    // A projection has the name of what it projects.
    %q = prune.project "embed" %z axis 1 keep #prune.set<[0] of 6> in tensor<?x6xf32>
    return %q, %q : tensor<?x6xf32>, tensor<?x6xf32>
  }
}

// -----

#model = #decoder.model<name = "m", family = "llama", vocabulary = 11, hidden = 6, layers = 1, heads = 2, kv_heads = 1, head_dim = 3, intermediate = 7, context_length = 9, dtype = f32, tied = true, bos = 1, eos = [2], parameters = 1>
module attributes {decoder.model = #model} {
  func.func @forward(%t: tensor<?xi32> {decoder.step = "tokens"}, %s: tensor<?xi32> {decoder.step = "slots"},
                     %p: tensor<?xi32> {decoder.step = "positions"}, %h: tensor<?xi32> {decoder.step = "head_rows"}) -> tensor<?x11xf32> {
    %table = arith.constant dense<1.0> : tensor<5x11xf32>
    %x = decoder.lookup "embed" %t in %table : tensor<?xi32>, tensor<5x11xf32> -> tensor<?x11xf32>
    %skipped = prune.project "layers.0.attn" %x axis 0 keep #prune.set<none> in tensor<?x11xf32>
    // expected-error @below {{expected at least one of 11 to remain of 'layers.0.mlp', found none; 'axis 0 keep #prune.set<none>' skips it whole}}
    %y = prune.project "layers.0.mlp" %skipped axis 1 keep #prune.set<none of 11> in tensor<?x11xf32>
    return %y : tensor<?x11xf32>
  }
}
