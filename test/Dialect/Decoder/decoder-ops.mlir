// RUN: coppice-opt %s | FileCheck %s
// RUN: coppice-opt %s --decoder-check-model -o /dev/null

// One layer of a model with every op and attribute of the dialect; sizes are odd
// on purpose. The attention has 1 KV head with 3 query heads.

// CHECK: decoder.model = #decoder.model<name = "one \22layer\22", family = "llama", vocabulary = 11, hidden = 7, layers = 1, heads = 3, kv_heads = 1, head_dim = 6, intermediate = 13, context_length = 9, dtype = bf16, tied = true, bos = -1, eos = [2, 3], parameters = 519, weights = "one.safetensors", weights_sha256 = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855", tokenizer = "tokenizer.json">
module @one attributes {decoder.model = #decoder.model<
    name = "one \22layer\22", family = "llama", vocabulary = 11, hidden = 7, layers = 1, heads = 3,
    kv_heads = 1, head_dim = 6, intermediate = 13, context_length = 9, dtype = bf16, tied = true, bos = -1,
    eos = [2, 3], parameters = 519, weights = "one.safetensors",
    weights_sha256 = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    tokenizer = "tokenizer.json">} {
  // CHECK: @embed{{.*}} {decoder.source = #decoder.file<"one.safetensors", "model.embed_tokens.weight">}
  ml_program.global private @embed(#ml_program.extern : tensor<11x7xbf16>) : tensor<11x7xbf16>
      {decoder.source = #decoder.file<"one.safetensors", "model.embed_tokens.weight">}
  // CHECK: @gain{{.*}} {decoder.source = #decoder.generated<seed = 18446744073709551615, name = "gain", stddev = 2.000000e-02, mean = 1.000000e+00>}
  ml_program.global private @gain(#ml_program.extern : tensor<7xbf16>) : tensor<7xbf16>
      {decoder.source = #decoder.generated<seed = 18446744073709551615, name = "gain", stddev = 0.02, mean = 1.0>}
  ml_program.global private @wq(#ml_program.extern : tensor<18x7xbf16>) : tensor<18x7xbf16>
      {decoder.source = #decoder.file<"one.safetensors", "q">}
  ml_program.global private @wk(#ml_program.extern : tensor<6x7xbf16>) : tensor<6x7xbf16>
      {decoder.source = #decoder.file<"one.safetensors", "k">}
  ml_program.global private @wo(#ml_program.extern : tensor<7x18xbf16>) : tensor<7x18xbf16>
      {decoder.source = #decoder.file<"one.safetensors", "o">}

  func.func @forward(%tokens: tensor<?xi32> {decoder.step = "tokens"},
                     %slots: tensor<?xi32> {decoder.step = "slots"},
                     %positions: tensor<?xi32> {decoder.step = "positions"},
                     %head_rows: tensor<?xi32> {decoder.step = "head_rows"},
                     %k0: tensor<?x?x6xbf16> {decoder.cache = "layers.0.k"},
                     %v0: tensor<?x?x6xbf16> {decoder.cache = "layers.0.v"})
      -> (tensor<?x11xf32>, tensor<?x?x6xbf16>, tensor<?x?x6xbf16>) {
    %embed = ml_program.global_load_const @embed : tensor<11x7xbf16>
    %gain = ml_program.global_load_const @gain : tensor<7xbf16>
    %wq = ml_program.global_load_const @wq : tensor<18x7xbf16>
    %wk = ml_program.global_load_const @wk : tensor<6x7xbf16>
    %wo = ml_program.global_load_const @wo : tensor<7x18xbf16>
    // CHECK: decoder.rotary_table "rotary" %{{.*}} {frequencies = array<f32: 1.000000e+00, 1.000000e-01>} : tensor<?xi32> -> tensor<?x4xf32>
    %angles = decoder.rotary_table "rotary" %positions {frequencies = array<f32: 1.0, 0.1>}
      : tensor<?xi32> -> tensor<?x4xf32>
    // CHECK: decoder.lookup "embed" %{{.*}} in %{{.*}} : tensor<?xi32>, tensor<11x7xbf16> -> tensor<?x7xf32>
    %r0 = decoder.lookup "embed" %tokens in %embed : tensor<?xi32>, tensor<11x7xbf16> -> tensor<?x7xf32>
    // CHECK: decoder.rms_norm "layers.0.attn.norm" %{{.*}}, %{{.*}} {divisor = 9 : i64, epsilon = 9.99999974E-6 : f32} : tensor<?x7xf32>, tensor<7xbf16>
    %n0 = decoder.rms_norm "layers.0.attn.norm" %r0, %gain {epsilon = 1.0e-5 : f32, divisor = 9 : i64}
      : tensor<?x7xf32>, tensor<7xbf16>
    %q = prune.gemm "layers.0.attn.q" %n0, %wq : tensor<?x7xf32>, tensor<18x7xbf16> -> tensor<?x18xf32>
    %k = prune.gemm "layers.0.attn.k" %n0, %wk : tensor<?x7xf32>, tensor<6x7xbf16> -> tensor<?x6xf32>
    %v = prune.gemm "layers.0.attn.v" %n0, %wk : tensor<?x7xf32>, tensor<6x7xbf16> -> tensor<?x6xf32>
    // CHECK: decoder.rotary "layers.0.attn.q.rotary" %{{.*}}, %{{.*}} {head_dim = 6 : i64} : tensor<?x18xf32>, tensor<?x4xf32>
    %qr = decoder.rotary "layers.0.attn.q.rotary" %q, %angles {head_dim = 6 : i64}
      : tensor<?x18xf32>, tensor<?x4xf32>
    %kr = decoder.rotary "layers.0.attn.k.rotary" %k, %angles {head_dim = 6 : i64}
      : tensor<?x6xf32>, tensor<?x4xf32>
    // CHECK: decoder.append "layers.0.attn.k.append" %{{.*}} into %{{.*}} at %{{.*}}, %{{.*}} : tensor<?x6xf32> into tensor<?x?x6xbf16>
    %kc = decoder.append "layers.0.attn.k.append" %kr into %k0 at %slots, %positions
      : tensor<?x6xf32> into tensor<?x?x6xbf16>
    %vc = decoder.append "layers.0.attn.v.append" %v into %v0 at %slots, %positions
      : tensor<?x6xf32> into tensor<?x?x6xbf16>
    // CHECK: decoder.attention "layers.0.attn.core" %{{.*}}, %{{.*}}, %{{.*}} at %{{.*}}, %{{.*}} {head_dim = 6 : i64, scale = 4.082000e-01 : f32, window = 5 : i64} : tensor<?x18xf32>, tensor<?x?x6xbf16>
    %a = decoder.attention "layers.0.attn.core" %qr, %kc, %vc at %slots, %positions
      {head_dim = 6 : i64, scale = 0.4082 : f32, window = 5 : i64} : tensor<?x18xf32>, tensor<?x?x6xbf16>
    %r1 = prune.gemm "layers.0.attn.o" %a, %wo : tensor<?x18xf32>, tensor<7x18xbf16> -> tensor<?x7xf32>
    %h = decoder.lookup "head.rows" %head_rows in %r1 : tensor<?xi32>, tensor<?x7xf32> -> tensor<?x7xf32>
    %logits = prune.gemm "lm_head" %h, %embed : tensor<?x7xf32>, tensor<11x7xbf16> -> tensor<?x11xf32>
    return %logits, %kc, %vc : tensor<?x11xf32>, tensor<?x?x6xbf16>, tensor<?x?x6xbf16>
  }
}
