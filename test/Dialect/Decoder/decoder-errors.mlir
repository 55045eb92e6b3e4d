// RUN: %coppice-opt %s --split-input-file --verify-diagnostics

//===----------------------------------------------------------------------===//
// Operand types
//===----------------------------------------------------------------------===//

func.func @rows_are_f32(%x: tensor<?x5xf16>, %g: tensor<5xf32>) {
  // expected-error @below {{operand #0 must be row tensor: [rows, width] of f32 with a static width, but got 'tensor<?x5xf16>'}}
  "decoder.rms_norm"(%x, %g) <{operandSegmentSizes = array<i32: 1, 1, 0, 0>, site = "n", epsilon = 1.0e-5 : f32, divisor = 5 : i64}> : (tensor<?x5xf16>, tensor<5xf32>) -> tensor<?x5xf16>
  return
}

// -----

func.func @widths_are_static(%x: tensor<?x?xf32>, %g: tensor<5xf32>) {
  // expected-error @below {{operand #0 must be row tensor: [rows, width] of f32 with a static width, but got 'tensor<?x?xf32>'}}
  decoder.rms_norm "n" %x, %g {epsilon = 1.0e-5 : f32, divisor = 5 : i64} : tensor<?x?xf32>, tensor<5xf32>
  return
}

// -----

func.func @widths_are_not_empty(%x: tensor<?x0xf32>, %g: tensor<0xf32>) {
  // expected-error @below {{operand #0 must be row tensor: [rows, width] of f32 with a static width, but got 'tensor<?x0xf32>'}}
  decoder.rms_norm "n" %x, %g {epsilon = 1.0e-5 : f32, divisor = 5 : i64} : tensor<?x0xf32>, tensor<0xf32>
  return
}

// -----

func.func @normed_heads_are_whole(%x: tensor<?x5xf32>, %g: tensor<2xf32>) {
  // expected-error @below {{expected head_dim to divide the width of the input, found 2 and 5}}
  decoder.rms_norm "n" %x, %g {epsilon = 1.0e-5 : f32, divisor = 2 : i64, head_dim = 2 : i64} : tensor<?x5xf32>, tensor<2xf32>
  return
}

// -----

func.func @heads_share_their_gains(%x: tensor<?x6xf32>, %g: tensor<6xf32>) {
  // expected-error @below {{expected one gain for each of the 2 columns of a head, found 6}}
  decoder.rms_norm "n" %x, %g {epsilon = 1.0e-5 : f32, divisor = 6 : i64, head_dim = 2 : i64} : tensor<?x6xf32>, tensor<6xf32>
  return
}

// -----

func.func @gain_has_a_storage_type(%x: tensor<?x5xf32>, %g: tensor<5xf64>) {
  // expected-error @below {{operand #1 must be vector: [width] of f32, f16 or bf16 with a static width, but got 'tensor<5xf64>'}}
  decoder.rms_norm "n" %x, %g {epsilon = 1.0e-5 : f32, divisor = 5 : i64} : tensor<?x5xf32>, tensor<5xf64>
  return
}

// -----

func.func @table_has_two_dimensions(%i: tensor<?xi32>, %t: tensor<3x4x5xf32>) {
  // expected-error @below {{operand #1 must be table: [entries, width] of f32, f16 or bf16 with a static width, but got 'tensor<3x4x5xf32>'}}
  "decoder.lookup"(%i, %t) <{site = "l"}> : (tensor<?xi32>, tensor<3x4x5xf32>) -> tensor<?x5xf32>
  return
}

// -----

func.func @indices_are_i32(%i: tensor<?xi64>, %t: tensor<3x5xf32>) {
  // expected-error @below {{operand #0 must be index vector: [rows] of i32, but got 'tensor<?xi64>'}}
  decoder.lookup "l" %i in %t : tensor<?xi64>, tensor<3x5xf32> -> tensor<?x5xf32>
  return
}

// -----

func.func @caches_have_three_dimensions(%x: tensor<?x5xf32>, %c: tensor<?x5xf32>, %s: tensor<?xi32>, %p: tensor<?xi32>) {
  // expected-error @below {{operand #1 must be KV cache: [slots, context, width] of f32, f16 or bf16 with a static width, but got 'tensor<?x5xf32>'}}
  %r = decoder.append "a" %x into %c at %s, %p : tensor<?x5xf32> into tensor<?x5xf32>
  return
}

// -----

//===----------------------------------------------------------------------===//
// lookup
//===----------------------------------------------------------------------===//

func.func @lookup_is_as_wide_as_its_table(%i: tensor<?xi32>, %t: tensor<3x5xf32>) {
  // expected-error @below {{inferred type(s) 'tensor<?x5xf32>' are incompatible with return type(s) of operation 'tensor<?x4xf32>'}}
  // expected-error @below {{failed to infer returned types}}
  decoder.lookup "l" %i in %t : tensor<?xi32>, tensor<3x5xf32> -> tensor<?x4xf32>
  return
}

// -----

//===----------------------------------------------------------------------===//
// rms_norm
//===----------------------------------------------------------------------===//

func.func @one_gain_a_column(%x: tensor<?x5xf32>, %g: tensor<4xf32>) {
  // expected-error @below {{expected one gain for each of the 5 columns, found 4}}
  decoder.rms_norm "n" %x, %g {epsilon = 1.0e-5 : f32, divisor = 5 : i64} : tensor<?x5xf32>, tensor<4xf32>
  return
}

// -----

func.func @divisor_counts_the_columns(%x: tensor<?x5xf32>, %g: tensor<5xf32>) {
  // expected-error @below {{expected the divisor to be at least the width 5, found 4}}
  decoder.rms_norm "n" %x, %g {epsilon = 1.0e-5 : f32, divisor = 4 : i64} : tensor<?x5xf32>, tensor<5xf32>
  return
}

// -----

func.func @epsilon_is_not_negative(%x: tensor<?x5xf32>, %g: tensor<5xf32>) {
  // expected-error @below {{expected epsilon to be finite and not negative, found -1.000000e+00 : f32}}
  decoder.rms_norm "n" %x, %g {epsilon = -1.0 : f32, divisor = 5 : i64} : tensor<?x5xf32>, tensor<5xf32>
  return
}

// -----

func.func @epsilon_is_finite(%x: tensor<?x5xf32>, %g: tensor<5xf32>) {
  // expected-error @below {{expected epsilon to be finite and not negative, found 0x7FC00000 : f32}}
  decoder.rms_norm "n" %x, %g {epsilon = 0x7FC00000 : f32, divisor = 5 : i64} : tensor<?x5xf32>, tensor<5xf32>
  return
}

// -----

func.func @append_of_another_narrow_type(%x: tensor<?x5xf16>, %c: tensor<?x?x5xbf16>, %s: tensor<?xi32>, %p: tensor<?xi32>) {
  // expected-error @below {{expected rows of f32 or, as the cache, of 'bf16', found 'f16'}}
  %r = decoder.append "a" %x into %c at %s, %p : tensor<?x5xf16> into tensor<?x?x5xbf16>
  return
}

// -----

//===----------------------------------------------------------------------===//
// rotary_table
//===----------------------------------------------------------------------===//

func.func @table_has_a_cosine_and_a_sine_a_frequency(%p: tensor<?xi32>) {
  // expected-error @below {{inferred type(s) 'tensor<?x4xf32>' are incompatible with return type(s) of operation 'tensor<?x2xf32>'}}
  // expected-error @below {{failed to infer returned types}}
  decoder.rotary_table "r" %p {frequencies = array<f32: 1.0, 0.5>} : tensor<?xi32> -> tensor<?x2xf32>
  return
}

// -----

func.func @frequencies_are_finite(%p: tensor<?xi32>) {
  // expected-error @below {{expected finite frequencies, found INF at index 1}}
  decoder.rotary_table "r" %p {frequencies = array<f32: 1.0, 0x7F800000>} : tensor<?xi32> -> tensor<?x4xf32>
  return
}

// -----

//===----------------------------------------------------------------------===//
// rotary
//===----------------------------------------------------------------------===//

func.func @rotary_needs_whole_heads(%x: tensor<?x10xf32>, %a: tensor<?x4xf32>) {
  // expected-error @below {{expected head_dim to divide the width of the input, found 4 and 10}}
  decoder.rotary "r" %x, %a {head_dim = 4 : i64} : tensor<?x10xf32>, tensor<?x4xf32>
  return
}

// -----

func.func @rotary_head_dim_is_positive(%x: tensor<?x10xf32>, %a: tensor<?x4xf32>) {
  // expected-error @below {{expected head_dim to be positive, found 0}}
  decoder.rotary "r" %x, %a {head_dim = 0 : i64} : tensor<?x10xf32>, tensor<?x4xf32>
  return
}

// -----

func.func @rotary_angles_fit_a_head(%x: tensor<?x10xf32>, %a: tensor<?x6xf32>) {
  // expected-error @below {{expected angles to be cosines and as many sines, at most head_dim = 5 together, found 6}}
  decoder.rotary "r" %x, %a {head_dim = 5 : i64} : tensor<?x10xf32>, tensor<?x6xf32>
  return
}

// -----

func.func @rotary_angles_are_pairs(%x: tensor<?x10xf32>, %a: tensor<?x3xf32>) {
  // expected-error @below {{expected angles to be cosines and as many sines, at most head_dim = 5 together, found 3}}
  decoder.rotary "r" %x, %a {head_dim = 5 : i64} : tensor<?x10xf32>, tensor<?x3xf32>
  return
}

// -----

func.func @rotary_angles_for_each_row(%x: tensor<3x10xf32>, %a: tensor<2x4xf32>) {
  // expected-error @below {{expected angles for each row of the input, found 'tensor<2x4xf32>' and 'tensor<3x10xf32>'}}
  decoder.rotary "r" %x, %a {head_dim = 5 : i64} : tensor<3x10xf32>, tensor<2x4xf32>
  return
}

// -----

//===----------------------------------------------------------------------===//
// append
//===----------------------------------------------------------------------===//

func.func @append_rows_fit_the_cache(%x: tensor<?x5xf32>, %c: tensor<?x?x6xf32>, %s: tensor<?xi32>, %p: tensor<?xi32>) {
  // expected-error @below {{expected rows as wide as the cache, found 5 and 6}}
  %r = decoder.append "a" %x into %c at %s, %p : tensor<?x5xf32> into tensor<?x?x6xf32>
  return
}

// -----

func.func @append_is_the_only_use(%x: tensor<?x5xf32>, %c: tensor<?x?x5xf32>, %s: tensor<?xi32>, %p: tensor<?xi32>) -> tensor<?x?x5xf32> {
  // expected-error @below {{expected to be the only use of the cache that it updates; other users must read the updated cache}}
  %r = decoder.append "a" %x into %c at %s, %p : tensor<?x5xf32> into tensor<?x?x5xf32>
  // expected-note @below {{the old cache is also used here}}
  return %c : tensor<?x?x5xf32>
}

// -----

func.func @append_slots_for_each_row(%x: tensor<3x5xf32>, %c: tensor<?x?x5xf32>, %s: tensor<2xi32>, %p: tensor<3xi32>) {
  // expected-error @below {{failed to verify that slots has one index for each row of rows}}
  %r = "decoder.append"(%x, %c, %s, %p) <{site = "a"}> : (tensor<3x5xf32>, tensor<?x?x5xf32>, tensor<2xi32>, tensor<3xi32>) -> tensor<?x?x5xf32>
  return
}

// -----

func.func @append_positions_for_each_row(%x: tensor<3x5xf32>, %c: tensor<?x?x5xf32>, %s: tensor<3xi32>, %p: tensor<?xi32>) {
  // expected-error @below {{failed to verify that positions has one index for each row of rows}}
  %r = "decoder.append"(%x, %c, %s, %p) <{site = "a"}> : (tensor<3x5xf32>, tensor<?x?x5xf32>, tensor<3xi32>, tensor<?xi32>) -> tensor<?x?x5xf32>
  return
}

// -----

func.func @append_keeps_the_cache_type(%x: tensor<3x5xf32>, %c: tensor<?x?x5xf32>, %s: tensor<3xi32>, %p: tensor<3xi32>) {
  // expected-error @below {{failed to verify that all of {cache, result} have same type}}
  %r = "decoder.append"(%x, %c, %s, %p) <{site = "a"}> : (tensor<3x5xf32>, tensor<?x?x5xf32>, tensor<3xi32>, tensor<3xi32>) -> tensor<?x?x5xbf16>
  return
}

// -----

//===----------------------------------------------------------------------===//
// attention
//===----------------------------------------------------------------------===//

func.func @attention_needs_whole_query_heads(%q: tensor<?x10xf32>, %k: tensor<?x?x4xf32>, %v: tensor<?x?x4xf32>, %s: tensor<?xi32>, %p: tensor<?xi32>) {
  // expected-error @below {{expected head_dim to divide the width of the query, found 4 and 10}}
  decoder.attention "a" %q, %k, %v at %s, %p {head_dim = 4 : i64, scale = 0.5 : f32} : tensor<?x10xf32>, tensor<?x?x4xf32>
  return
}

// -----

func.func @attention_needs_whole_kv_heads(%q: tensor<?x12xf32>, %k: tensor<?x?x6xf32>, %v: tensor<?x?x6xf32>, %s: tensor<?xi32>, %p: tensor<?xi32>) {
  // expected-error @below {{expected head_dim to divide the width of the caches, found 4 and 6}}
  decoder.attention "a" %q, %k, %v at %s, %p {head_dim = 4 : i64, scale = 0.5 : f32} : tensor<?x12xf32>, tensor<?x?x6xf32>
  return
}

// -----

func.func @attention_head_dim_is_positive(%q: tensor<?x12xf32>, %k: tensor<?x?x6xf32>, %v: tensor<?x?x6xf32>, %s: tensor<?xi32>, %p: tensor<?xi32>) {
  // expected-error @below {{expected head_dim to be positive, found -3}}
  decoder.attention "a" %q, %k, %v at %s, %p {head_dim = -3 : i64, scale = 0.5 : f32} : tensor<?x12xf32>, tensor<?x?x6xf32>
  return
}

// -----

func.func @attention_groups_are_equal(%q: tensor<?x9xf32>, %k: tensor<?x?x6xf32>, %v: tensor<?x?x6xf32>, %s: tensor<?xi32>, %p: tensor<?xi32>) {
  // expected-error @below {{expected the number of KV heads to divide the number of query heads, found 2 and 3}}
  decoder.attention "a" %q, %k, %v at %s, %p {head_dim = 3 : i64, scale = 0.5 : f32} : tensor<?x9xf32>, tensor<?x?x6xf32>
  return
}

// -----

func.func @attention_scale_is_finite(%q: tensor<?x6xf32>, %k: tensor<?x?x6xf32>, %v: tensor<?x?x6xf32>, %s: tensor<?xi32>, %p: tensor<?xi32>) {
  // expected-error @below {{expected a finite scale, found 0x7F800000 : f32}}
  decoder.attention "a" %q, %k, %v at %s, %p {head_dim = 3 : i64, scale = 0x7F800000 : f32} : tensor<?x6xf32>, tensor<?x?x6xf32>
  return
}

// -----

func.func @attention_window_is_positive(%q: tensor<?x6xf32>, %k: tensor<?x?x6xf32>, %v: tensor<?x?x6xf32>, %s: tensor<?xi32>, %p: tensor<?xi32>) {
  // expected-error @below {{expected a window of at least 1, found 0}}
  decoder.attention "a" %q, %k, %v at %s, %p {head_dim = 3 : i64, scale = 0.5 : f32, window = 0 : i64} : tensor<?x6xf32>, tensor<?x?x6xf32>
  return
}

// -----

func.func @attention_blocks_have_a_size(%q: tensor<?x6xf32>, %k: tensor<?x?x6xf32>, %v: tensor<?x?x6xf32>, %s: tensor<?xi32>, %p: tensor<?xi32>, %b: tensor<?x4xi32>) {
  // expected-error @below {{expected lists of blocks and the size of a block, found only the lists}}
  %r = "decoder.attention"(%q, %k, %v, %s, %p, %b) <{operandSegmentSizes = array<i32: 1, 1, 1, 1, 1, 0, 0, 1>, site = "a", head_dim = 3 : i64, scale = 0.5 : f32}> : (tensor<?x6xf32>, tensor<?x?x6xf32>, tensor<?x?x6xf32>, tensor<?xi32>, tensor<?xi32>, tensor<?x4xi32>) -> tensor<?x6xf32>
  return
}

// -----

func.func @attention_block_size_has_lists(%q: tensor<?x6xf32>, %k: tensor<?x?x6xf32>, %v: tensor<?x?x6xf32>, %s: tensor<?xi32>, %p: tensor<?xi32>) {
  // expected-error @below {{expected lists of blocks and the size of a block, found only the size}}
  %r = "decoder.attention"(%q, %k, %v, %s, %p) <{operandSegmentSizes = array<i32: 1, 1, 1, 1, 1, 0, 0, 0>, site = "a", head_dim = 3 : i64, scale = 0.5 : f32, block_size = 16 : i64}> : (tensor<?x6xf32>, tensor<?x?x6xf32>, tensor<?x?x6xf32>, tensor<?xi32>, tensor<?xi32>) -> tensor<?x6xf32>
  return
}

// -----

func.func @attention_blocks_are_positive(%q: tensor<?x6xf32>, %k: tensor<?x?x6xf32>, %v: tensor<?x?x6xf32>, %s: tensor<?xi32>, %p: tensor<?xi32>, %b: tensor<?x4xi32>) {
  // expected-error @below {{expected blocks of 1 to 1048576 positions, found 0}}
  decoder.attention "a" %q, %k, %v at %s, %p blocks of 0(%b : tensor<?x4xi32>) {head_dim = 3 : i64, scale = 0.5 : f32} : tensor<?x6xf32>, tensor<?x?x6xf32>
  return
}

// -----

func.func @attention_lists_are_equally_long(%q: tensor<?x6xf32>, %k: tensor<?x?x6xf32>, %v: tensor<?x?x6xf32>, %s: tensor<?xi32>, %p: tensor<?xi32>, %b: tensor<?x5xi32>) {
  // expected-error @below {{expected lists of blocks for each row of 'tensor<?x6xf32>', equally long for each of 2 KV heads, found 'tensor<?x5xi32>'}}
  decoder.attention "a" %q, %k, %v at %s, %p blocks of 16(%b : tensor<?x5xi32>) {head_dim = 3 : i64, scale = 0.5 : f32} : tensor<?x6xf32>, tensor<?x?x6xf32>
  return
}

// -----

func.func @attention_threshold_has_a_size(%q: tensor<?x6xf32>, %k: tensor<?x?x6xf32>, %v: tensor<?x?x6xf32>, %s: tensor<?xi32>, %p: tensor<?xi32>) {
  // expected-error @below {{expected 'drop_below' and 'drop_size', found only the former}}
  decoder.attention "a" %q, %k, %v at %s, %p {head_dim = 3 : i64, scale = 0.5 : f32, drop_below = 0.5 : f32} : tensor<?x6xf32>, tensor<?x?x6xf32>
  return
}

// -----

func.func @attention_threshold_is_a_share(%q: tensor<?x6xf32>, %k: tensor<?x?x6xf32>, %v: tensor<?x?x6xf32>, %s: tensor<?xi32>, %p: tensor<?xi32>) {
  // expected-error @below {{expected 'drop_below' between 0 and 1, found 1}}
  decoder.attention "a" %q, %k, %v at %s, %p {head_dim = 3 : i64, scale = 0.5 : f32, drop_below = 1.0 : f32, drop_size = 32 : i64} : tensor<?x6xf32>, tensor<?x?x6xf32>
  return
}

// -----

func.func @attention_drops_whole_registers(%q: tensor<?x6xf32>, %k: tensor<?x?x6xf32>, %v: tensor<?x?x6xf32>, %s: tensor<?xi32>, %p: tensor<?xi32>) {
  // expected-error @below {{expected a 'drop_size' of a multiple of 32 up to 256, found 48}}
  decoder.attention "a" %q, %k, %v at %s, %p {head_dim = 3 : i64, scale = 0.5 : f32, drop_below = 0.5 : f32, drop_size = 48 : i64} : tensor<?x6xf32>, tensor<?x?x6xf32>
  return
}

// -----

func.func @attention_drops_what_it_lists(%q: tensor<?x6xf32>, %k: tensor<?x?x6xf32>, %v: tensor<?x?x6xf32>, %s: tensor<?xi32>, %p: tensor<?xi32>, %b: tensor<?x4xi32>) {
  // expected-error @below {{expected lists of blocks of 'drop_size' 32 positions, found blocks of 64}}
  decoder.attention "a" %q, %k, %v at %s, %p blocks of 64(%b : tensor<?x4xi32>) {head_dim = 3 : i64, scale = 0.5 : f32, drop_below = 0.5 : f32, drop_size = 32 : i64} : tensor<?x6xf32>, tensor<?x?x6xf32>
  return
}

// -----

func.func @attention_caches_are_alike(%q: tensor<?x6xf32>, %k: tensor<?x?x6xf32>, %v: tensor<?x?x3xf32>, %s: tensor<?xi32>, %p: tensor<?xi32>) {
  // expected-error @below {{failed to verify that all of {keys, values} have same type}}
  %r = "decoder.attention"(%q, %k, %v, %s, %p) <{operandSegmentSizes = array<i32: 1, 1, 1, 1, 1, 0, 0, 0>, site = "a", head_dim = 3 : i64, scale = 0.5 : f32}> : (tensor<?x6xf32>, tensor<?x?x6xf32>, tensor<?x?x3xf32>, tensor<?xi32>, tensor<?xi32>) -> tensor<?x6xf32>
  return
}

// -----

func.func @attention_slots_for_each_row(%q: tensor<3x6xf32>, %k: tensor<?x?x6xf32>, %v: tensor<?x?x6xf32>, %s: tensor<2xi32>, %p: tensor<3xi32>) {
  // expected-error @below {{failed to verify that slots has one index for each row of query}}
  %r = "decoder.attention"(%q, %k, %v, %s, %p) <{operandSegmentSizes = array<i32: 1, 1, 1, 1, 1, 0, 0, 0>, site = "a", head_dim = 3 : i64, scale = 0.5 : f32}> : (tensor<3x6xf32>, tensor<?x?x6xf32>, tensor<?x?x6xf32>, tensor<2xi32>, tensor<3xi32>) -> tensor<3x6xf32>
  return
}

// -----

func.func @attention_positions_for_each_row(%q: tensor<3x6xf32>, %k: tensor<?x?x6xf32>, %v: tensor<?x?x6xf32>, %s: tensor<3xi32>, %p: tensor<2xi32>) {
  // expected-error @below {{failed to verify that positions has one index for each row of query}}
  %r = "decoder.attention"(%q, %k, %v, %s, %p) <{operandSegmentSizes = array<i32: 1, 1, 1, 1, 1, 0, 0, 0>, site = "a", head_dim = 3 : i64, scale = 0.5 : f32}> : (tensor<3x6xf32>, tensor<?x?x6xf32>, tensor<?x?x6xf32>, tensor<3xi32>, tensor<2xi32>) -> tensor<3x6xf32>
  return
}

// -----

//===----------------------------------------------------------------------===//
// Attributes
//===----------------------------------------------------------------------===//

// expected-error @below {{expected layers to be positive, found 0}}
module attributes {decoder.model = #decoder.model<name = "m", family = "llama", vocabulary = 11, hidden = 6, layers = 0, heads = 2, kv_heads = 1, head_dim = 3, intermediate = 7, context_length = 9, dtype = f32, tied = true, bos = 1, eos = [2], parameters = 1>} {}

// -----

// expected-error @below {{expected kv_heads to divide heads, found 2 and 3}}
module attributes {decoder.model = #decoder.model<name = "m", family = "llama", vocabulary = 11, hidden = 6, layers = 1, heads = 3, kv_heads = 2, head_dim = 3, intermediate = 7, context_length = 9, dtype = f32, tied = true, bos = 1, eos = [2], parameters = 1>} {}

// -----

// expected-error @below {{expected dtype to be f32, f16 or bf16, found 'f64'}}
module attributes {decoder.model = #decoder.model<name = "m", family = "llama", vocabulary = 11, hidden = 6, layers = 1, heads = 3, kv_heads = 1, head_dim = 3, intermediate = 7, context_length = 9, dtype = f64, tied = true, bos = 1, eos = [2], parameters = 1>} {}

// -----

// expected-error @below {{expected bos to be -1 (none) or a token below 11, found 11}}
module attributes {decoder.model = #decoder.model<name = "m", family = "llama", vocabulary = 11, hidden = 6, layers = 1, heads = 3, kv_heads = 1, head_dim = 3, intermediate = 7, context_length = 9, dtype = f32, tied = true, bos = 11, eos = [2], parameters = 1>} {}

// -----

// expected-error @below {{expected eos to be tokens below 11, found -2}}
module attributes {decoder.model = #decoder.model<name = "m", family = "llama", vocabulary = 11, hidden = 6, layers = 1, heads = 3, kv_heads = 1, head_dim = 3, intermediate = 7, context_length = 9, dtype = f32, tied = true, bos = -1, eos = [2, -2], parameters = 1>} {}

// -----

// expected-error @below {{expected weights_sha256 to be 64 hexadecimal digits, found 'abc'}}
module attributes {decoder.model = #decoder.model<name = "m", family = "llama", vocabulary = 11, hidden = 6, layers = 1, heads = 3, kv_heads = 1, head_dim = 3, intermediate = 7, context_length = 9, dtype = f32, tied = true, bos = -1, eos = [], parameters = 1, weights_sha256 = "abc">} {}

// -----

// expected-error @below {{expected source_sha256 to be 64 hexadecimal digits, found 'z'}}
module attributes {decoder.model = #decoder.model<name = "m", family = "llama", vocabulary = 11, hidden = 6, layers = 1, heads = 3, kv_heads = 1, head_dim = 3, intermediate = 7, context_length = 9, dtype = f32, tied = true, bos = -1, eos = [], parameters = 1, source_sha256 = "z">} {}

// -----

// expected-error @below {{expected 'decoder.model' to be a #decoder.model on a module, found "llama"}}
module attributes {decoder.model = "llama"} {}

// -----

// expected-error @below {{expected a path and a key, found 'w.safetensors' and ''}}
ml_program.global private @w(#ml_program.extern : tensor<3xf32>) : tensor<3xf32> {decoder.source = #decoder.file<"w.safetensors", "">}

// -----

// expected-error @below {{expected the name of a stream, found ''}}
ml_program.global private @w(#ml_program.extern : tensor<3xf32>) : tensor<3xf32> {decoder.source = #decoder.generated<seed = 1, name = "", stddev = 1.0, mean = 0.0>}

// -----

// expected-error @below {{expected a finite mean and a finite stddev that is not negative}}
ml_program.global private @w(#ml_program.extern : tensor<3xf32>) : tensor<3xf32> {decoder.source = #decoder.generated<seed = 1, name = "w", stddev = -1.0, mean = 0.0>}

// -----

// expected-error @below {{expected 'decoder.source' to be #decoder.file or #decoder.generated on an ml_program.global, found "w"}}
ml_program.global private @w(#ml_program.extern : tensor<3xf32>) : tensor<3xf32> {decoder.source = "w"}

// -----

// expected-error @below {{expected 'decoder.step' on an argument of a function, found it on an operation}}
func.func private @f() attributes {decoder.step = "tokens"}

// -----

// expected-error @below {{has an attribute that the decoder dialect does not know: 'decoder.stride'}}
func.func private @f() attributes {decoder.stride = 3}

// -----

// expected-error @below {{expected 'decoder.step' to be "tokens", "slots", "positions", "head_rows" or "routes", found "lengths" on argument #0}}
func.func private @f(tensor<?xi32> {decoder.step = "lengths"})

// -----

// expected-error @below {{expected the step field "tokens" to be a vector of i32, found 'tensor<?xi64>' as argument #1}}
func.func private @f(i32, tensor<?xi64> {decoder.step = "tokens"})

// -----

// expected-error @below {{expected 'decoder.cache' to be the name of a cache, found "" on argument #0}}
func.func private @f(tensor<?x?x3xf32> {decoder.cache = ""})

// -----

// expected-error @below {{expected the cache "k" to be [slots, context, width] of f32, f16 or bf16 with a static width, found 'tensor<?x?x?xf32>' as argument #0}}
func.func private @f(tensor<?x?x?xf32> {decoder.cache = "k"})

// -----

// expected-error @below {{has an argument attribute that the decoder dialect does not know: 'decoder.caches'}}
func.func private @f(tensor<?x?x3xf32> {decoder.caches = "k"})
