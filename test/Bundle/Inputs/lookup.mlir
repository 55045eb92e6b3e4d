module @m attributes {decoder.model = #decoder.model<name = "m", family = "llama", vocabulary = 3, hidden = 3, layers = 1, heads = 1, kv_heads = 1, head_dim = 3, intermediate = 1, context_length = 9, dtype = f32, tied = true, bos = 1, eos = [2], parameters = 33, weights = "FILE.safetensors">} {
  ml_program.global private @table(#ml_program.extern : tensor<11x3xf32>) : tensor<11x3xf32> {decoder.source = #decoder.file<"FILE.safetensors", "t">}
  func.func @forward(%tokens: tensor<?xi32> {decoder.step = "tokens"}, %slots: tensor<?xi32> {decoder.step = "slots"}, %positions: tensor<?xi32> {decoder.step = "positions"}, %head: tensor<?xi32> {decoder.step = "head_rows"}) -> tensor<?x3xf32> {
    %table = ml_program.global_load_const @table : tensor<11x3xf32>
    %a = decoder.lookup "embed" %tokens in %table : tensor<?xi32>, tensor<11x3xf32> -> tensor<?x3xf32>
    %l = decoder.lookup "head.rows" %head in %a : tensor<?xi32>, tensor<?x3xf32> -> tensor<?x3xf32>
    return %l : tensor<?x3xf32>
  }
}
