// RUN: coppice-opt %s --split-input-file --verify-diagnostics

prune.plan @p {
  // expected-error @below {{expected blocks of a positive multiple of 16 positions, found 24}}
  prune.blocks "layers.0.attn" of 24
}

// -----

prune.plan @p {
  // expected-error @below {{expected blocks of a positive multiple of 16 positions, found -16}}
  prune.blocks "layers.0.attn" of -16
}

// -----

// A row always attends to itself.
prune.plan @p {
  // expected-error @below {{expected a number of last blocks from 1 to 4096, found 0}}
  prune.blocks "layers.0.attn" of 16 window(0) sinks(2)
}

// -----

prune.plan @p {
  // expected-error @below {{expected a number of first blocks from 0 to 4096, found -1}}
  prune.blocks "layers.0.attn" of 16 sinks(-1)
}

// -----

prune.plan @p {
  // expected-error @below {{expected a number of top blocks from 0 to 4096, found 9223372036854775807}}
  prune.blocks "layers.0.attn" of 16 top(9223372036854775807)
}

// -----

func.func @width(%s: tensor<?xi32>, %p: tensor<?xi32>) {
  // expected-error @below {{expected lists of 3 blocks for each KV head, for each row of 'tensor<?xi32>', found 'tensor<?x8xi32>'}}
  %b = prune.select_blocks "b" of 64 recent 2 first 1 top 0 at %s, %p : tensor<?xi32> -> tensor<?x8xi32>
  return
}

// -----

func.func @unscored(%s: tensor<?xi32>, %p: tensor<?xi32>) {
  // expected-error @below {{expected a query, keys and the size of heads if and only if there are top blocks, found 'top' 2 and no query}}
  %b = prune.select_blocks "b" of 64 recent 1 first 1 top 2 at %s, %p : tensor<?xi32> -> tensor<?x8xi32>
  return
}

// -----

func.func @keys(%q: tensor<?x12xf32>, %k: tensor<?x?x9xf32>, %s: tensor<?xi32>, %p: tensor<?xi32>) {
  // expected-error @below {{expected lists of 4 blocks for each KV head of the keys, found 'tensor<?x8xi32>' for heads of 3 of 'tensor<?x?x9xf32>'}}
  %b = prune.select_blocks "b" of 64 recent 1 first 1 top 2 by %q, %k heads of 3 : tensor<?x12xf32>, tensor<?x?x9xf32> at %s, %p : tensor<?xi32> -> tensor<?x8xi32>
  return
}

// -----

func.func @query(%q: tensor<?x9xf32>, %k: tensor<?x?x6xf32>, %s: tensor<?xi32>, %p: tensor<?xi32>) {
  // expected-error @below {{expected as many query heads of 3 columns for each of 2 KV heads, found 'tensor<?x9xf32>'}}
  %b = prune.select_blocks "b" of 64 recent 1 first 1 top 2 by %q, %k heads of 3 : tensor<?x9xf32>, tensor<?x?x6xf32> at %s, %p : tensor<?xi32> -> tensor<?x8xi32>
  return
}

// -----

// Lists that are made at one size of blocks and read at another.
func.func @sizes(%q: tensor<?x12xf32>, %k: tensor<?x?x6xf32>, %v: tensor<?x?x6xf32>, %s: tensor<?xi32>, %p: tensor<?xi32>) -> tensor<?x12xf32> {
  // expected-error @below {{expected to be read as lists of blocks of 64 positions, found blocks of 16}}
  %b = prune.select_blocks "b" of 64 recent 2 first 1 top 0 at %s, %p : tensor<?xi32> -> tensor<?x6xi32>
  // expected-note @below {{is read here}}
  %c = decoder.attention "c" %q, %k, %v at %s, %p blocks of 16(%b : tensor<?x6xi32>) {head_dim = 3 : i64, scale = 0.5 : f32} : tensor<?x12xf32>, tensor<?x?x6xf32>
  return %c : tensor<?x12xf32>
}

// -----

prune.plan @p {
  // expected-error @below {{expected a scorer beside 'top(K)', which is what it chooses, found no such blocks}}
  prune.blocks "layers.0.attn" of 16 window(2) scorer(4)
}

// -----

prune.plan @p {
  // expected-error @below {{expected a scorer of rank 1 to 4096, found 0}}
  prune.blocks "layers.0.attn" of 16 top(2) scorer(0)
}

// -----

prune.plan @p {
  // expected-error @below {{expected a file of the weights of a 'scorer(R)', found no scorer}}
  prune.blocks "layers.0.attn" of 16 top(2) from "f.safetensors"
}

// -----

prune.plan @p {
  // expected-error @below {{expected a threshold between 0 and 1, found 1}}
  prune.blocks "layers.0.attn" of 32 threshold = 1.0
}

// -----

prune.plan @p {
  // expected-error @below {{expected a threshold of blocks of a multiple of 32 positions up to 256, found 48}}
  prune.blocks "layers.0.attn" of 48 threshold = 0.5
}

// -----

func.func @weights(%q: tensor<?x12xf32>, %k: tensor<?x?x6xf32>, %u: tensor<8x6xf32>, %w: tensor<8x8xf32>, %s: tensor<?xi32>, %p: tensor<?xi32>) {
  // expected-error @below {{expected weights of as many rows, some for each of 2 KV heads, of 6 and 9 columns, found 'tensor<8x6xf32>' and 'tensor<8x8xf32>'}}
  %b = prune.select_blocks "b" of 16 recent 2 first 1 top 1 by %q, %k heads of 3 : tensor<?x12xf32>, tensor<?x?x6xf32> weights %u, %w : tensor<8x6xf32>, tensor<8x8xf32> at %s, %p : tensor<?xi32> -> tensor<?x8xi32>
  return
}

// -----

func.func @odd_rows(%q: tensor<?x12xf32>, %k: tensor<?x?x6xf32>, %u: tensor<7x6xf32>, %w: tensor<7x9xf32>, %s: tensor<?xi32>, %p: tensor<?xi32>) {
  // expected-error @below {{expected weights of as many rows, some for each of 2 KV heads, of 6 and 9 columns}}
  %b = prune.select_blocks "b" of 16 recent 2 first 1 top 1 by %q, %k heads of 3 : tensor<?x12xf32>, tensor<?x?x6xf32> weights %u, %w : tensor<7x6xf32>, tensor<7x9xf32> at %s, %p : tensor<?xi32> -> tensor<?x8xi32>
  return
}
