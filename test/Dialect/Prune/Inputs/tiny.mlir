// Three layers of a dense Llama: hidden 7, 6 query and 3 KV heads of 2 columns,
// 5 channels, a vocabulary of 11; layer 1 has biases on v and o.
#a = affine_map<(m, n, k) -> (m, k)>
#w = affine_map<(m, n, k) -> (n, k)>
#c = affine_map<(m, n, k) -> (m, n)>
#id = affine_map<(m, n) -> (m, n)>
#row = affine_map<(m, n) -> (n)>
module @tiny {
  ml_program.global private @embed.weight(#ml_program.extern : tensor<11x7xbf16>) : tensor<11x7xbf16>
  ml_program.global private @layers.0.attn.norm.weight(#ml_program.extern : tensor<7xbf16>) : tensor<7xbf16>
  ml_program.global private @layers.0.attn.q.weight(#ml_program.extern : tensor<12x7xbf16>) : tensor<12x7xbf16>
  ml_program.global private @layers.0.attn.k.weight(#ml_program.extern : tensor<6x7xbf16>) : tensor<6x7xbf16>
  ml_program.global private @layers.0.attn.v.weight(#ml_program.extern : tensor<6x7xbf16>) : tensor<6x7xbf16>
  ml_program.global private @layers.0.attn.o.weight(#ml_program.extern : tensor<7x12xbf16>) : tensor<7x12xbf16>
  ml_program.global private @layers.0.mlp.norm.weight(#ml_program.extern : tensor<7xbf16>) : tensor<7xbf16>
  ml_program.global private @layers.0.mlp.gate.weight(#ml_program.extern : tensor<5x7xbf16>) : tensor<5x7xbf16>
  ml_program.global private @layers.0.mlp.up.weight(#ml_program.extern : tensor<5x7xbf16>) : tensor<5x7xbf16>
  ml_program.global private @layers.0.mlp.down.weight(#ml_program.extern : tensor<7x5xbf16>) : tensor<7x5xbf16>
  ml_program.global private @layers.1.attn.norm.weight(#ml_program.extern : tensor<7xbf16>) : tensor<7xbf16>
  ml_program.global private @layers.1.attn.q.weight(#ml_program.extern : tensor<12x7xbf16>) : tensor<12x7xbf16>
  ml_program.global private @layers.1.attn.k.weight(#ml_program.extern : tensor<6x7xbf16>) : tensor<6x7xbf16>
  ml_program.global private @layers.1.attn.v.weight(#ml_program.extern : tensor<6x7xbf16>) : tensor<6x7xbf16>
  ml_program.global private @layers.1.attn.v.bias(#ml_program.extern : tensor<6xbf16>) : tensor<6xbf16>
  ml_program.global private @layers.1.attn.o.weight(#ml_program.extern : tensor<7x12xbf16>) : tensor<7x12xbf16>
  ml_program.global private @layers.1.attn.o.bias(#ml_program.extern : tensor<7xbf16>) : tensor<7xbf16>
  ml_program.global private @layers.1.mlp.norm.weight(#ml_program.extern : tensor<7xbf16>) : tensor<7xbf16>
  ml_program.global private @layers.1.mlp.gate.weight(#ml_program.extern : tensor<5x7xbf16>) : tensor<5x7xbf16>
  ml_program.global private @layers.1.mlp.up.weight(#ml_program.extern : tensor<5x7xbf16>) : tensor<5x7xbf16>
  ml_program.global private @layers.1.mlp.down.weight(#ml_program.extern : tensor<7x5xbf16>) : tensor<7x5xbf16>
  ml_program.global private @layers.2.attn.norm.weight(#ml_program.extern : tensor<7xbf16>) : tensor<7xbf16>
  ml_program.global private @layers.2.attn.q.weight(#ml_program.extern : tensor<12x7xbf16>) : tensor<12x7xbf16>
  ml_program.global private @layers.2.attn.k.weight(#ml_program.extern : tensor<6x7xbf16>) : tensor<6x7xbf16>
  ml_program.global private @layers.2.attn.v.weight(#ml_program.extern : tensor<6x7xbf16>) : tensor<6x7xbf16>
  ml_program.global private @layers.2.attn.o.weight(#ml_program.extern : tensor<7x12xbf16>) : tensor<7x12xbf16>
  ml_program.global private @layers.2.mlp.norm.weight(#ml_program.extern : tensor<7xbf16>) : tensor<7xbf16>
  ml_program.global private @layers.2.mlp.gate.weight(#ml_program.extern : tensor<5x7xbf16>) : tensor<5x7xbf16>
  ml_program.global private @layers.2.mlp.up.weight(#ml_program.extern : tensor<5x7xbf16>) : tensor<5x7xbf16>
  ml_program.global private @layers.2.mlp.down.weight(#ml_program.extern : tensor<7x5xbf16>) : tensor<7x5xbf16>
  ml_program.global private @final.norm.weight(#ml_program.extern : tensor<7xbf16>) : tensor<7xbf16>
  func.func @forward(%tokens: tensor<?xi32> {decoder.step = "tokens"},
      %slots: tensor<?xi32> {decoder.step = "slots"},
      %positions: tensor<?xi32> {decoder.step = "positions"},
      %head_rows: tensor<?xi32> {decoder.step = "head_rows"},
      %k0: tensor<?x?x6xbf16> {decoder.cache = "layers.0.k"},
      %v0: tensor<?x?x6xbf16> {decoder.cache = "layers.0.v"},
      %k1: tensor<?x?x6xbf16> {decoder.cache = "layers.1.k"},
      %v1: tensor<?x?x6xbf16> {decoder.cache = "layers.1.v"},
      %k2: tensor<?x?x6xbf16> {decoder.cache = "layers.2.k"},
      %v2: tensor<?x?x6xbf16> {decoder.cache = "layers.2.v"})
      -> (tensor<?x11xf32>, tensor<?x?x6xbf16>, tensor<?x?x6xbf16>, tensor<?x?x6xbf16>, tensor<?x?x6xbf16>, tensor<?x?x6xbf16>, tensor<?x?x6xbf16>) {
    %zero = arith.constant 0.0 : f32
    %axis0 = arith.constant 0 : index
    %rows = tensor.dim %tokens, %axis0 : tensor<?xi32>
    %angles = decoder.rotary_table "rotary" %positions {frequencies = array<f32: 0.5>} : tensor<?xi32> -> tensor<?x2xf32>
    %w1 = ml_program.global_load_const @embed.weight : tensor<11x7xbf16>
    %r0 = decoder.lookup "embed" %tokens in %w1 : tensor<?xi32>, tensor<11x7xbf16> -> tensor<?x7xf32>
    %w2 = ml_program.global_load_const @layers.0.attn.norm.weight : tensor<7xbf16>
    %l0_n = decoder.rms_norm "layers.0.attn.norm" %r0, %w2 {epsilon = 1.0e-5 : f32, divisor = 7 : i64} : tensor<?x7xf32>, tensor<7xbf16>
    %w3 = ml_program.global_load_const @layers.0.attn.q.weight : tensor<12x7xbf16>
    %l0_qe = tensor.empty(%rows) : tensor<?x12xf32>
    %l0_qz = linalg.fill ins(%zero : f32) outs(%l0_qe : tensor<?x12xf32>) -> tensor<?x12xf32>
    %l0_q = linalg.matmul indexing_maps = [#a, #w, #c] {prune.site = "layers.0.attn.q"} ins(%l0_n, %w3 : tensor<?x7xf32>, tensor<12x7xbf16>) outs(%l0_qz : tensor<?x12xf32>) -> tensor<?x12xf32>
    %l0_qr = decoder.rotary "layers.0.attn.q.rotary" %l0_q, %angles {head_dim = 2 : i64} : tensor<?x12xf32>, tensor<?x2xf32>
    %w4 = ml_program.global_load_const @layers.0.attn.k.weight : tensor<6x7xbf16>
    %l0_ke = tensor.empty(%rows) : tensor<?x6xf32>
    %l0_kz = linalg.fill ins(%zero : f32) outs(%l0_ke : tensor<?x6xf32>) -> tensor<?x6xf32>
    %l0_k = linalg.matmul indexing_maps = [#a, #w, #c] {prune.site = "layers.0.attn.k"} ins(%l0_n, %w4 : tensor<?x7xf32>, tensor<6x7xbf16>) outs(%l0_kz : tensor<?x6xf32>) -> tensor<?x6xf32>
    %l0_kr = decoder.rotary "layers.0.attn.k.rotary" %l0_k, %angles {head_dim = 2 : i64} : tensor<?x6xf32>, tensor<?x2xf32>
    %w5 = ml_program.global_load_const @layers.0.attn.v.weight : tensor<6x7xbf16>
    %l0_ve = tensor.empty(%rows) : tensor<?x6xf32>
    %l0_vz = linalg.fill ins(%zero : f32) outs(%l0_ve : tensor<?x6xf32>) -> tensor<?x6xf32>
    %l0_v = linalg.matmul indexing_maps = [#a, #w, #c] {prune.site = "layers.0.attn.v"} ins(%l0_n, %w5 : tensor<?x7xf32>, tensor<6x7xbf16>) outs(%l0_vz : tensor<?x6xf32>) -> tensor<?x6xf32>
    %l0_kc = decoder.append "layers.0.attn.k.append" %l0_kr into %k0 at %slots, %positions : tensor<?x6xf32> into tensor<?x?x6xbf16>
    %l0_vc = decoder.append "layers.0.attn.v.append" %l0_v into %v0 at %slots, %positions : tensor<?x6xf32> into tensor<?x?x6xbf16>
    %l0_a = decoder.attention "layers.0.attn.core" %l0_qr, %l0_kc, %l0_vc at %slots, %positions {head_dim = 2 : i64, scale = 0.7 : f32} : tensor<?x12xf32>, tensor<?x?x6xbf16>
    %w6 = ml_program.global_load_const @layers.0.attn.o.weight : tensor<7x12xbf16>
    %l0_oe = tensor.empty(%rows) : tensor<?x7xf32>
    %l0_oz = linalg.fill ins(%zero : f32) outs(%l0_oe : tensor<?x7xf32>) -> tensor<?x7xf32>
    %l0_o = linalg.matmul indexing_maps = [#a, #w, #c] {prune.site = "layers.0.attn.o"} ins(%l0_a, %w6 : tensor<?x12xf32>, tensor<7x12xbf16>) outs(%l0_oz : tensor<?x7xf32>) -> tensor<?x7xf32>
    %l0_re = tensor.empty(%rows) : tensor<?x7xf32>
    %l0_r = linalg.generic {indexing_maps = [#id, #id, #id], iterator_types = ["parallel", "parallel"]}
      ins(%r0, %l0_o : tensor<?x7xf32>, tensor<?x7xf32>) outs(%l0_re : tensor<?x7xf32>) attrs = {prune.site = "layers.0.attn"} {
    ^bb0(%p: f32, %q: f32, %o: f32):
      %s = arith.addf %p, %q : f32
      linalg.yield %s : f32
    } -> tensor<?x7xf32>
    %w7 = ml_program.global_load_const @layers.0.mlp.norm.weight : tensor<7xbf16>
    %l0_m = decoder.rms_norm "layers.0.mlp.norm" %l0_r, %w7 {epsilon = 1.0e-5 : f32, divisor = 7 : i64} : tensor<?x7xf32>, tensor<7xbf16>
    %w8 = ml_program.global_load_const @layers.0.mlp.gate.weight : tensor<5x7xbf16>
    %l0_gatee = tensor.empty(%rows) : tensor<?x5xf32>
    %l0_gatez = linalg.fill ins(%zero : f32) outs(%l0_gatee : tensor<?x5xf32>) -> tensor<?x5xf32>
    %l0_gate = linalg.matmul indexing_maps = [#a, #w, #c] {prune.site = "layers.0.mlp.gate"} ins(%l0_m, %w8 : tensor<?x7xf32>, tensor<5x7xbf16>) outs(%l0_gatez : tensor<?x5xf32>) -> tensor<?x5xf32>
    %w9 = ml_program.global_load_const @layers.0.mlp.up.weight : tensor<5x7xbf16>
    %l0_upe = tensor.empty(%rows) : tensor<?x5xf32>
    %l0_upz = linalg.fill ins(%zero : f32) outs(%l0_upe : tensor<?x5xf32>) -> tensor<?x5xf32>
    %l0_up = linalg.matmul indexing_maps = [#a, #w, #c] {prune.site = "layers.0.mlp.up"} ins(%l0_m, %w9 : tensor<?x7xf32>, tensor<5x7xbf16>) outs(%l0_upz : tensor<?x5xf32>) -> tensor<?x5xf32>
    %l0_acte = tensor.empty(%rows) : tensor<?x5xf32>
    %l0_act = linalg.generic {indexing_maps = [#id, #id, #id], iterator_types = ["parallel", "parallel"]}
      ins(%l0_gate, %l0_up : tensor<?x5xf32>, tensor<?x5xf32>) outs(%l0_acte : tensor<?x5xf32>) attrs = {prune.site = "layers.0.mlp.act"} {
    ^bb0(%p: f32, %q: f32, %o: f32):
      %one = arith.constant 1.0 : f32
      %minus = arith.negf %p : f32
      %exp = math.exp %minus : f32
      %divisor = arith.addf %exp, %one : f32
      %silu = arith.divf %p, %divisor : f32
      %s = arith.mulf %silu, %q : f32
      linalg.yield %s : f32
    } -> tensor<?x5xf32>
    %w10 = ml_program.global_load_const @layers.0.mlp.down.weight : tensor<7x5xbf16>
    %l0_downe = tensor.empty(%rows) : tensor<?x7xf32>
    %l0_downz = linalg.fill ins(%zero : f32) outs(%l0_downe : tensor<?x7xf32>) -> tensor<?x7xf32>
    %l0_down = linalg.matmul indexing_maps = [#a, #w, #c] {prune.site = "layers.0.mlp.down"} ins(%l0_act, %w10 : tensor<?x5xf32>, tensor<7x5xbf16>) outs(%l0_downz : tensor<?x7xf32>) -> tensor<?x7xf32>
    %l0_se = tensor.empty(%rows) : tensor<?x7xf32>
    %l0_s = linalg.generic {indexing_maps = [#id, #id, #id], iterator_types = ["parallel", "parallel"]}
      ins(%l0_r, %l0_down : tensor<?x7xf32>, tensor<?x7xf32>) outs(%l0_se : tensor<?x7xf32>) attrs = {prune.site = "layers.0.mlp"} {
    ^bb0(%p: f32, %q: f32, %o: f32):
      %s = arith.addf %p, %q : f32
      linalg.yield %s : f32
    } -> tensor<?x7xf32>
    %w11 = ml_program.global_load_const @layers.1.attn.norm.weight : tensor<7xbf16>
    %l1_n = decoder.rms_norm "layers.1.attn.norm" %l0_s, %w11 {epsilon = 1.0e-5 : f32, divisor = 7 : i64} : tensor<?x7xf32>, tensor<7xbf16>
    %w12 = ml_program.global_load_const @layers.1.attn.q.weight : tensor<12x7xbf16>
    %l1_qe = tensor.empty(%rows) : tensor<?x12xf32>
    %l1_qz = linalg.fill ins(%zero : f32) outs(%l1_qe : tensor<?x12xf32>) -> tensor<?x12xf32>
    %l1_q = linalg.matmul indexing_maps = [#a, #w, #c] {prune.site = "layers.1.attn.q"} ins(%l1_n, %w12 : tensor<?x7xf32>, tensor<12x7xbf16>) outs(%l1_qz : tensor<?x12xf32>) -> tensor<?x12xf32>
    %l1_qr = decoder.rotary "layers.1.attn.q.rotary" %l1_q, %angles {head_dim = 2 : i64} : tensor<?x12xf32>, tensor<?x2xf32>
    %w13 = ml_program.global_load_const @layers.1.attn.k.weight : tensor<6x7xbf16>
    %l1_ke = tensor.empty(%rows) : tensor<?x6xf32>
    %l1_kz = linalg.fill ins(%zero : f32) outs(%l1_ke : tensor<?x6xf32>) -> tensor<?x6xf32>
    %l1_k = linalg.matmul indexing_maps = [#a, #w, #c] {prune.site = "layers.1.attn.k"} ins(%l1_n, %w13 : tensor<?x7xf32>, tensor<6x7xbf16>) outs(%l1_kz : tensor<?x6xf32>) -> tensor<?x6xf32>
    %l1_kr = decoder.rotary "layers.1.attn.k.rotary" %l1_k, %angles {head_dim = 2 : i64} : tensor<?x6xf32>, tensor<?x2xf32>
    %w14 = ml_program.global_load_const @layers.1.attn.v.weight : tensor<6x7xbf16>
    %l1_ve = tensor.empty(%rows) : tensor<?x6xf32>
    %l1_vz = linalg.fill ins(%zero : f32) outs(%l1_ve : tensor<?x6xf32>) -> tensor<?x6xf32>
    %l1_v = linalg.matmul indexing_maps = [#a, #w, #c] {prune.site = "layers.1.attn.v"} ins(%l1_n, %w14 : tensor<?x7xf32>, tensor<6x7xbf16>) outs(%l1_vz : tensor<?x6xf32>) -> tensor<?x6xf32>
    %w15 = ml_program.global_load_const @layers.1.attn.v.bias : tensor<6xbf16>
    %l1_vbe = tensor.empty(%rows) : tensor<?x6xf32>
    %l1_vb = linalg.generic {indexing_maps = [#id, #row, #id], iterator_types = ["parallel", "parallel"]}
      ins(%l1_v, %w15 : tensor<?x6xf32>, tensor<6xbf16>) outs(%l1_vbe : tensor<?x6xf32>) attrs = {prune.site = "layers.1.attn.v.bias"} {
    ^bb0(%p: f32, %b: bf16, %o: f32):
      %f = arith.extf %b : bf16 to f32
      %s = arith.addf %p, %f : f32
      linalg.yield %s : f32
    } -> tensor<?x6xf32>
    %l1_kc = decoder.append "layers.1.attn.k.append" %l1_kr into %k1 at %slots, %positions : tensor<?x6xf32> into tensor<?x?x6xbf16>
    %l1_vc = decoder.append "layers.1.attn.v.append" %l1_vb into %v1 at %slots, %positions : tensor<?x6xf32> into tensor<?x?x6xbf16>
    %l1_a = decoder.attention "layers.1.attn.core" %l1_qr, %l1_kc, %l1_vc at %slots, %positions {head_dim = 2 : i64, scale = 0.7 : f32} : tensor<?x12xf32>, tensor<?x?x6xbf16>
    %w16 = ml_program.global_load_const @layers.1.attn.o.weight : tensor<7x12xbf16>
    %l1_oe = tensor.empty(%rows) : tensor<?x7xf32>
    %l1_oz = linalg.fill ins(%zero : f32) outs(%l1_oe : tensor<?x7xf32>) -> tensor<?x7xf32>
    %l1_o = linalg.matmul indexing_maps = [#a, #w, #c] {prune.site = "layers.1.attn.o"} ins(%l1_a, %w16 : tensor<?x12xf32>, tensor<7x12xbf16>) outs(%l1_oz : tensor<?x7xf32>) -> tensor<?x7xf32>
    %w17 = ml_program.global_load_const @layers.1.attn.o.bias : tensor<7xbf16>
    %l1_obe = tensor.empty(%rows) : tensor<?x7xf32>
    %l1_ob = linalg.generic {indexing_maps = [#id, #row, #id], iterator_types = ["parallel", "parallel"]}
      ins(%l1_o, %w17 : tensor<?x7xf32>, tensor<7xbf16>) outs(%l1_obe : tensor<?x7xf32>) attrs = {prune.site = "layers.1.attn.o.bias"} {
    ^bb0(%p: f32, %b: bf16, %o: f32):
      %f = arith.extf %b : bf16 to f32
      %s = arith.addf %p, %f : f32
      linalg.yield %s : f32
    } -> tensor<?x7xf32>
    %l1_re = tensor.empty(%rows) : tensor<?x7xf32>
    %l1_r = linalg.generic {indexing_maps = [#id, #id, #id], iterator_types = ["parallel", "parallel"]}
      ins(%l0_s, %l1_ob : tensor<?x7xf32>, tensor<?x7xf32>) outs(%l1_re : tensor<?x7xf32>) attrs = {prune.site = "layers.1.attn"} {
    ^bb0(%p: f32, %q: f32, %o: f32):
      %s = arith.addf %p, %q : f32
      linalg.yield %s : f32
    } -> tensor<?x7xf32>
    %w18 = ml_program.global_load_const @layers.1.mlp.norm.weight : tensor<7xbf16>
    %l1_m = decoder.rms_norm "layers.1.mlp.norm" %l1_r, %w18 {epsilon = 1.0e-5 : f32, divisor = 7 : i64} : tensor<?x7xf32>, tensor<7xbf16>
    %w19 = ml_program.global_load_const @layers.1.mlp.gate.weight : tensor<5x7xbf16>
    %l1_gatee = tensor.empty(%rows) : tensor<?x5xf32>
    %l1_gatez = linalg.fill ins(%zero : f32) outs(%l1_gatee : tensor<?x5xf32>) -> tensor<?x5xf32>
    %l1_gate = linalg.matmul indexing_maps = [#a, #w, #c] {prune.site = "layers.1.mlp.gate"} ins(%l1_m, %w19 : tensor<?x7xf32>, tensor<5x7xbf16>) outs(%l1_gatez : tensor<?x5xf32>) -> tensor<?x5xf32>
    %w20 = ml_program.global_load_const @layers.1.mlp.up.weight : tensor<5x7xbf16>
    %l1_upe = tensor.empty(%rows) : tensor<?x5xf32>
    %l1_upz = linalg.fill ins(%zero : f32) outs(%l1_upe : tensor<?x5xf32>) -> tensor<?x5xf32>
    %l1_up = linalg.matmul indexing_maps = [#a, #w, #c] {prune.site = "layers.1.mlp.up"} ins(%l1_m, %w20 : tensor<?x7xf32>, tensor<5x7xbf16>) outs(%l1_upz : tensor<?x5xf32>) -> tensor<?x5xf32>
    %l1_acte = tensor.empty(%rows) : tensor<?x5xf32>
    %l1_act = linalg.generic {indexing_maps = [#id, #id, #id], iterator_types = ["parallel", "parallel"]}
      ins(%l1_gate, %l1_up : tensor<?x5xf32>, tensor<?x5xf32>) outs(%l1_acte : tensor<?x5xf32>) attrs = {prune.site = "layers.1.mlp.act"} {
    ^bb0(%p: f32, %q: f32, %o: f32):
      %one = arith.constant 1.0 : f32
      %minus = arith.negf %p : f32
      %exp = math.exp %minus : f32
      %divisor = arith.addf %exp, %one : f32
      %silu = arith.divf %p, %divisor : f32
      %s = arith.mulf %silu, %q : f32
      linalg.yield %s : f32
    } -> tensor<?x5xf32>
    %w21 = ml_program.global_load_const @layers.1.mlp.down.weight : tensor<7x5xbf16>
    %l1_downe = tensor.empty(%rows) : tensor<?x7xf32>
    %l1_downz = linalg.fill ins(%zero : f32) outs(%l1_downe : tensor<?x7xf32>) -> tensor<?x7xf32>
    %l1_down = linalg.matmul indexing_maps = [#a, #w, #c] {prune.site = "layers.1.mlp.down"} ins(%l1_act, %w21 : tensor<?x5xf32>, tensor<7x5xbf16>) outs(%l1_downz : tensor<?x7xf32>) -> tensor<?x7xf32>
    %l1_se = tensor.empty(%rows) : tensor<?x7xf32>
    %l1_s = linalg.generic {indexing_maps = [#id, #id, #id], iterator_types = ["parallel", "parallel"]}
      ins(%l1_r, %l1_down : tensor<?x7xf32>, tensor<?x7xf32>) outs(%l1_se : tensor<?x7xf32>) attrs = {prune.site = "layers.1.mlp"} {
    ^bb0(%p: f32, %q: f32, %o: f32):
      %s = arith.addf %p, %q : f32
      linalg.yield %s : f32
    } -> tensor<?x7xf32>
    %w22 = ml_program.global_load_const @layers.2.attn.norm.weight : tensor<7xbf16>
    %l2_n = decoder.rms_norm "layers.2.attn.norm" %l1_s, %w22 {epsilon = 1.0e-5 : f32, divisor = 7 : i64} : tensor<?x7xf32>, tensor<7xbf16>
    %w23 = ml_program.global_load_const @layers.2.attn.q.weight : tensor<12x7xbf16>
    %l2_qe = tensor.empty(%rows) : tensor<?x12xf32>
    %l2_qz = linalg.fill ins(%zero : f32) outs(%l2_qe : tensor<?x12xf32>) -> tensor<?x12xf32>
    %l2_q = linalg.matmul indexing_maps = [#a, #w, #c] {prune.site = "layers.2.attn.q"} ins(%l2_n, %w23 : tensor<?x7xf32>, tensor<12x7xbf16>) outs(%l2_qz : tensor<?x12xf32>) -> tensor<?x12xf32>
    %l2_qr = decoder.rotary "layers.2.attn.q.rotary" %l2_q, %angles {head_dim = 2 : i64} : tensor<?x12xf32>, tensor<?x2xf32>
    %w24 = ml_program.global_load_const @layers.2.attn.k.weight : tensor<6x7xbf16>
    %l2_ke = tensor.empty(%rows) : tensor<?x6xf32>
    %l2_kz = linalg.fill ins(%zero : f32) outs(%l2_ke : tensor<?x6xf32>) -> tensor<?x6xf32>
    %l2_k = linalg.matmul indexing_maps = [#a, #w, #c] {prune.site = "layers.2.attn.k"} ins(%l2_n, %w24 : tensor<?x7xf32>, tensor<6x7xbf16>) outs(%l2_kz : tensor<?x6xf32>) -> tensor<?x6xf32>
    %l2_kr = decoder.rotary "layers.2.attn.k.rotary" %l2_k, %angles {head_dim = 2 : i64} : tensor<?x6xf32>, tensor<?x2xf32>
    %w25 = ml_program.global_load_const @layers.2.attn.v.weight : tensor<6x7xbf16>
    %l2_ve = tensor.empty(%rows) : tensor<?x6xf32>
    %l2_vz = linalg.fill ins(%zero : f32) outs(%l2_ve : tensor<?x6xf32>) -> tensor<?x6xf32>
    %l2_v = linalg.matmul indexing_maps = [#a, #w, #c] {prune.site = "layers.2.attn.v"} ins(%l2_n, %w25 : tensor<?x7xf32>, tensor<6x7xbf16>) outs(%l2_vz : tensor<?x6xf32>) -> tensor<?x6xf32>
    %l2_kc = decoder.append "layers.2.attn.k.append" %l2_kr into %k2 at %slots, %positions : tensor<?x6xf32> into tensor<?x?x6xbf16>
    %l2_vc = decoder.append "layers.2.attn.v.append" %l2_v into %v2 at %slots, %positions : tensor<?x6xf32> into tensor<?x?x6xbf16>
    %l2_a = decoder.attention "layers.2.attn.core" %l2_qr, %l2_kc, %l2_vc at %slots, %positions {head_dim = 2 : i64, scale = 0.7 : f32} : tensor<?x12xf32>, tensor<?x?x6xbf16>
    %w26 = ml_program.global_load_const @layers.2.attn.o.weight : tensor<7x12xbf16>
    %l2_oe = tensor.empty(%rows) : tensor<?x7xf32>
    %l2_oz = linalg.fill ins(%zero : f32) outs(%l2_oe : tensor<?x7xf32>) -> tensor<?x7xf32>
    %l2_o = linalg.matmul indexing_maps = [#a, #w, #c] {prune.site = "layers.2.attn.o"} ins(%l2_a, %w26 : tensor<?x12xf32>, tensor<7x12xbf16>) outs(%l2_oz : tensor<?x7xf32>) -> tensor<?x7xf32>
    %l2_re = tensor.empty(%rows) : tensor<?x7xf32>
    %l2_r = linalg.generic {indexing_maps = [#id, #id, #id], iterator_types = ["parallel", "parallel"]}
      ins(%l1_s, %l2_o : tensor<?x7xf32>, tensor<?x7xf32>) outs(%l2_re : tensor<?x7xf32>) attrs = {prune.site = "layers.2.attn"} {
    ^bb0(%p: f32, %q: f32, %o: f32):
      %s = arith.addf %p, %q : f32
      linalg.yield %s : f32
    } -> tensor<?x7xf32>
    %w27 = ml_program.global_load_const @layers.2.mlp.norm.weight : tensor<7xbf16>
    %l2_m = decoder.rms_norm "layers.2.mlp.norm" %l2_r, %w27 {epsilon = 1.0e-5 : f32, divisor = 7 : i64} : tensor<?x7xf32>, tensor<7xbf16>
    %w28 = ml_program.global_load_const @layers.2.mlp.gate.weight : tensor<5x7xbf16>
    %l2_gatee = tensor.empty(%rows) : tensor<?x5xf32>
    %l2_gatez = linalg.fill ins(%zero : f32) outs(%l2_gatee : tensor<?x5xf32>) -> tensor<?x5xf32>
    %l2_gate = linalg.matmul indexing_maps = [#a, #w, #c] {prune.site = "layers.2.mlp.gate"} ins(%l2_m, %w28 : tensor<?x7xf32>, tensor<5x7xbf16>) outs(%l2_gatez : tensor<?x5xf32>) -> tensor<?x5xf32>
    %w29 = ml_program.global_load_const @layers.2.mlp.up.weight : tensor<5x7xbf16>
    %l2_upe = tensor.empty(%rows) : tensor<?x5xf32>
    %l2_upz = linalg.fill ins(%zero : f32) outs(%l2_upe : tensor<?x5xf32>) -> tensor<?x5xf32>
    %l2_up = linalg.matmul indexing_maps = [#a, #w, #c] {prune.site = "layers.2.mlp.up"} ins(%l2_m, %w29 : tensor<?x7xf32>, tensor<5x7xbf16>) outs(%l2_upz : tensor<?x5xf32>) -> tensor<?x5xf32>
    %l2_acte = tensor.empty(%rows) : tensor<?x5xf32>
    %l2_act = linalg.generic {indexing_maps = [#id, #id, #id], iterator_types = ["parallel", "parallel"]}
      ins(%l2_gate, %l2_up : tensor<?x5xf32>, tensor<?x5xf32>) outs(%l2_acte : tensor<?x5xf32>) attrs = {prune.site = "layers.2.mlp.act"} {
    ^bb0(%p: f32, %q: f32, %o: f32):
      %one = arith.constant 1.0 : f32
      %minus = arith.negf %p : f32
      %exp = math.exp %minus : f32
      %divisor = arith.addf %exp, %one : f32
      %silu = arith.divf %p, %divisor : f32
      %s = arith.mulf %silu, %q : f32
      linalg.yield %s : f32
    } -> tensor<?x5xf32>
    %w30 = ml_program.global_load_const @layers.2.mlp.down.weight : tensor<7x5xbf16>
    %l2_downe = tensor.empty(%rows) : tensor<?x7xf32>
    %l2_downz = linalg.fill ins(%zero : f32) outs(%l2_downe : tensor<?x7xf32>) -> tensor<?x7xf32>
    %l2_down = linalg.matmul indexing_maps = [#a, #w, #c] {prune.site = "layers.2.mlp.down"} ins(%l2_act, %w30 : tensor<?x5xf32>, tensor<7x5xbf16>) outs(%l2_downz : tensor<?x7xf32>) -> tensor<?x7xf32>
    %l2_se = tensor.empty(%rows) : tensor<?x7xf32>
    %l2_s = linalg.generic {indexing_maps = [#id, #id, #id], iterator_types = ["parallel", "parallel"]}
      ins(%l2_r, %l2_down : tensor<?x7xf32>, tensor<?x7xf32>) outs(%l2_se : tensor<?x7xf32>) attrs = {prune.site = "layers.2.mlp"} {
    ^bb0(%p: f32, %q: f32, %o: f32):
      %s = arith.addf %p, %q : f32
      linalg.yield %s : f32
    } -> tensor<?x7xf32>
    %h = decoder.lookup "head.rows" %head_rows in %l2_s : tensor<?xi32>, tensor<?x7xf32> -> tensor<?x7xf32>
    %w31 = ml_program.global_load_const @final.norm.weight : tensor<7xbf16>
    %hn = decoder.rms_norm "final.norm" %h, %w31 {epsilon = 1.0e-5 : f32, divisor = 7 : i64} : tensor<?x7xf32>, tensor<7xbf16>
    %head_count = tensor.dim %head_rows, %axis0 : tensor<?xi32>
    %lze = tensor.empty(%head_count) : tensor<?x11xf32>
    %lz = linalg.fill ins(%zero : f32) outs(%lze : tensor<?x11xf32>) -> tensor<?x11xf32>
    %logits = linalg.matmul indexing_maps = [#a, #w, #c] {prune.site = "lm_head"} ins(%hn, %w1 : tensor<?x7xf32>, tensor<11x7xbf16>) outs(%lz : tensor<?x11xf32>) -> tensor<?x11xf32>
    return %logits, %l0_kc, %l0_vc, %l1_kc, %l1_vc, %l2_kc, %l2_vc : tensor<?x11xf32>, tensor<?x?x6xbf16>, tensor<?x?x6xbf16>, tensor<?x?x6xbf16>, tensor<?x?x6xbf16>, tensor<?x?x6xbf16>, tensor<?x?x6xbf16>
  }
}
