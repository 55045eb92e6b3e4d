// RUN: %coppice-opt %s -split-input-file -verify-diagnostics

// expected-error @below {{expected the symbols rows, head_rows, slots, context, attended, cached, found ["rows"]}}
exec.program @forward symbols ["rows"] limits <rows = 1, slots = 1, context = 1> {
}

// -----

// expected-error @below {{expected limit 'slots' to be 1 to 2^31, found 0}}
exec.program @forward symbols ["rows"] limits <rows = 1, slots = 0, context = 1> {
}

// -----

// expected-error @below {{expected panels of 1 to 4096 columns, found 5000}}
func.func private @f() attributes {a = #exec.packing<panels = 5000>}

// -----

// expected-error @below {{expected to keep 1 or 2 of 4, in panels of a multiple of 8 and a depth of 1 or 2, or of 16 and a depth of 32, found 4 of 8 in panels of 64, depth 2}}
func.func private @f() attributes {a = #exec.packing<panels = 64, depth = 2, keeps = 4 of 8>}

// -----

// expected-error @below {{expected 'keeps'}}
func.func private @f() attributes {a = #exec.packing<panels = 64, kept = 2 of 4>}

// -----

// expected-error @below {{parameter 'tile' is given twice}}
func.func private @f() attributes {a = #exec.config<"loops", tile = 1, tile = 2>}

// -----

// expected-error @below {{expected the name of a strategy, found an empty string}}
func.func private @f() attributes {a = #exec.config<"">}

// -----

// expected-error @below {{expected 'exec.dims' of argument 0 to have 2 extents, found 1}}
func.func private @f(tensor<?x5xf32> {exec.dims = ["rows"]})

// -----

// expected-error @below {{extent 1 of argument 0 is declared as "rows", its type is 'tensor<?x5xf32>'}}
func.func private @f(tensor<?x5xf32> {exec.dims = ["rows", "rows"]})

// -----

// expected-error @below {{argument 0 cannot be packed into panels: expected a static matrix, found 'tensor<5xf32>'}}
func.func private @f(tensor<5xf32> {exec.packing = #exec.packing<panels = 16>})

// -----

// expected-error @below {{unknown argument attribute 'exec.size'}}
func.func private @f(tensor<5xf32> {exec.size = 16 : i64})

// -----

exec.program @forward symbols ["rows", "head_rows", "slots", "context", "attended", "cached"] limits <rows = 1, slots = 1, context = 1> {
  // expected-error @below {{expected an ml_program.global named @w, found none}}
  %w = exec.weight "w" @w packing <rows> : memref<5xf32>
}

// -----

ml_program.global private @w(#ml_program.extern : tensor<37x64xf32>) : tensor<37x64xf32>
exec.program @forward symbols ["rows", "head_rows", "slots", "context", "attended", "cached"] limits <rows = 1, slots = 1, context = 1> {
  // expected-error @below {{expected 'memref<3x64x16xf32>' for @w packed as #exec.packing<panels = 16>, found 'memref<2x64x16xf32>'}}
  %w = exec.weight "w" @w packing <panels = 16> : memref<2x64x16xf32>
}

// -----

exec.program @forward symbols ["rows", "head_rows", "slots", "context", "attended", "cached"] limits <rows = 1, slots = 1, context = 1> {
  // expected-error @below {{expected extent 0 to be an integer or one of rows, head_rows, slots, context, attended, cached, found "tokens"}}
  %t = exec.step "tokens" ["tokens"] : memref<?xi32>
}

// -----

exec.program @forward symbols ["rows", "head_rows", "slots", "context", "attended", "cached"] limits <rows = 1, slots = 1, context = 1> {
  // expected-error @below {{extent 1 is declared as 65 : i64, the type is 'memref<?x64xf32>'}}
  %b = exec.buffer ["rows", 65] : memref<?x64xf32>
}

// -----

exec.program @forward symbols ["rows", "head_rows", "slots", "context", "attended", "cached"] limits <rows = 1, slots = 1, context = 1> {
  // expected-error @below {{expected an offset that is a multiple of 64}}
  %b = exec.buffer ["rows", 64] offset affine_map<()[s0, s1, s2, s3, s4, s5] -> (s0 * 32)> : memref<?x64xf32>
}

// -----

exec.program @forward symbols ["rows", "head_rows", "slots", "context", "attended", "cached"] limits <rows = 1, slots = 1, context = 1> {
  // expected-error @below {{expected the offset to be one expression over the 6 symbols}}
  %b = exec.buffer ["rows", 64] offset affine_map<()[s0] -> (s0 * 64)> : memref<?x64xf32>
}

// -----

exec.program @forward symbols ["rows", "head_rows", "slots", "context", "attended", "cached"] limits <rows = 1, slots = 1, context = 1> {
  %t = exec.step "tokens" ["rows"] : memref<?xi32>
  // expected-error @below {{declares 'tokens' a second time}}
  %u = exec.step "tokens" ["rows"] : memref<?xi32>
}

// -----

exec.program @forward symbols ["rows", "head_rows", "slots", "context", "attended", "cached"] limits <rows = 1, slots = 1, context = 1> {
  %b = exec.buffer ["rows", 64] : memref<?x64xf32>
  // expected-error @below {{is a buffer that nothing has written yet}}
  exec.output "logits" %b : memref<?x64xf32>
}

// -----

exec.program @forward symbols ["rows", "head_rows", "slots", "context", "attended", "cached"] limits <rows = 1, slots = 1, context = 1> {
  %t = exec.step "tokens" ["rows"] : memref<?xi32>
  %b = exec.buffer ["rows", 64] : memref<?x64xf32>
  // expected-error @below {{writes argument 2, expected 0 to 1}}
  exec.dispatch "a" other (%t, %b) writes [2] variants [#exec.variant<[<kernel = @kernels::@f>]>] : memref<?xi32>, memref<?x64xf32>
}

// -----

exec.program @forward symbols ["rows", "head_rows", "slots", "context", "attended", "cached"] limits <rows = 1, slots = 1, context = 1> {
  %t = exec.step "tokens" ["rows"] : memref<?xi32>
  %b = exec.buffer ["rows", 64] : memref<?x64xf32>
  // expected-error @below {{expected the written arguments to be the last 1 of 2, in order, found 0}}
  exec.dispatch "a" other (%b, %t) writes [0] variants [#exec.variant<[<kernel = @kernels::@f>]>] : memref<?x64xf32>, memref<?xi32>
}

// -----

exec.program @forward symbols ["rows", "head_rows", "slots", "context", "attended", "cached"] limits <rows = 1, slots = 1, context = 1> {
  %t = exec.step "tokens" ["rows"] : memref<?xi32>
  // expected-error @below {{writes argument 0, which is neither a buffer nor a state}}
  exec.dispatch "a" other (%t) writes [0] variants [#exec.variant<[<kernel = @kernels::@f>]>] : memref<?xi32>
}

// -----

exec.program @forward symbols ["rows", "head_rows", "slots", "context", "attended", "cached"] limits <rows = 1, slots = 1, context = 1> {
  %t = exec.step "tokens" ["rows"] : memref<?xi32>
  %b = exec.buffer ["rows", 64] : memref<?x64xf32>
  // expected-error @below {{expected the last variant to have no guard, so that one always runs}}
  exec.dispatch "a" other (%t, %b) writes [1] variants [#exec.variant<[<kernel = @kernels::@f>], guard = affine_map<()[s0, s1, s2, s3, s4, s5] -> (s0)>>] : memref<?xi32>, memref<?x64xf32>
}

// -----

exec.program @forward symbols ["rows", "head_rows", "slots", "context", "attended", "cached"] limits <rows = 1, slots = 1, context = 1> {
  %t = exec.step "tokens" ["rows"] : memref<?xi32>
  %b = exec.buffer ["rows", 64] : memref<?x64xf32>
  // expected-error @below {{variant 0 has no guard, so that those after it never run}}
  exec.dispatch "a" other (%t, %b) writes [1] variants [#exec.variant<[<kernel = @kernels::@f>]>, #exec.variant<[<kernel = @kernels::@f>]>] : memref<?xi32>, memref<?x64xf32>
}

// -----

exec.program @forward symbols ["rows", "head_rows", "slots", "context", "attended", "cached"] limits <rows = 1, slots = 1, context = 1> {
  %t = exec.step "tokens" ["rows"] : memref<?xi32>
  %b = exec.buffer ["rows", 64] : memref<?x64xf32>
  // expected-error @below {{expected a shape for kind 'gemm', and for no other}}
  exec.dispatch "a" gemm (%t, %b) writes [1] variants [#exec.variant<[<kernel = @kernels::@f>]>] : memref<?xi32>, memref<?x64xf32>
}

// -----

exec.program @forward symbols ["rows", "head_rows", "slots", "context", "attended", "cached"] limits <rows = 1, slots = 1, context = 1> {
  %t = exec.step "tokens" ["rows"] : memref<?xi32>
  %b = exec.buffer ["rows", 64] : memref<?x64xf32>
  // expected-error @below {{with ascending, disjoint ranges, found [1, }}
  exec.dispatch "a" other value "a" kept [[1, [[5, 9], [8, 10]]]] (%t, %b) writes [1] variants [#exec.variant<[<kernel = @kernels::@f>]>] : memref<?xi32>, memref<?x64xf32>
}

// -----

exec.program @forward symbols ["rows", "head_rows", "slots", "context", "attended", "cached"] limits <rows = 1, slots = 1, context = 1> {
  %t = exec.step "tokens" ["rows"] : memref<?xi32>
  %b = exec.buffer ["rows", 64] : memref<?x64xf32>
  // expected-error @below {{expected a kernel named @kernels::@f, found none}}
  exec.dispatch "a" other (%t, %b) writes [1] variants [#exec.variant<[<kernel = @kernels::@f>]>] : memref<?xi32>, memref<?x64xf32>
}

// -----

exec.program @forward symbols ["rows", "head_rows", "slots", "context", "attended", "cached"] limits <rows = 1, slots = 1, context = 1> {
  %t = exec.step "tokens" ["rows"] : memref<?xi32>
  %b = exec.buffer ["rows", 64] : memref<?x64xf32>
  // expected-error @below {{argument 1 is 'memref<?x64xf32>', the kernel expects shape}}
  exec.dispatch "a" other (%t, %b) writes [1] variants [#exec.variant<[<kernel = @kernels::@f>]>] : memref<?xi32>, memref<?x64xf32>
}
module @kernels {
  // expected-note @below {{kernel @kernels::@f is here}}
  func.func private @f(tensor<?xi32>, tensor<?x65xf32>) -> tensor<?x65xf32>
}

// -----

exec.program @forward symbols ["rows", "head_rows", "slots", "context", "attended", "cached"] limits <rows = 1, slots = 1, context = 1> {
  %t = exec.step "tokens" ["rows"] : memref<?xi32>
  %b = exec.buffer ["rows", 64] : memref<?x64xf32>
  // expected-error @below {{argument 1 has extents ["rows", 64], the kernel expects ["head_rows", 64]}}
  exec.dispatch "a" other (%t, %b) writes [1] variants [#exec.variant<[<kernel = @kernels::@f>]>] : memref<?xi32>, memref<?x64xf32>
}
module @kernels {
  // expected-note @below {{kernel @kernels::@f is here}}
  func.func private @f(tensor<?xi32>, tensor<?x64xf32> {exec.dims = ["head_rows", 64]}) -> tensor<?x64xf32>
}

// -----

exec.program @forward symbols ["rows", "head_rows", "slots", "context", "attended", "cached"] limits <rows = 1, slots = 1, context = 1> {
  %t = exec.step "tokens" ["rows"] : memref<?xi32>
  %b = exec.buffer ["rows", 64] : memref<?x64xf32>
  // expected-error @below {{passes 2 arguments to a kernel of 1}}
  exec.dispatch "a" other (%t, %b) writes [1] variants [#exec.variant<[<kernel = @kernels::@f>]>] : memref<?xi32>, memref<?x64xf32>
}
module @kernels {
  // expected-note @below {{kernel @kernels::@f is here}}
  func.func private @f(tensor<?xi32>) -> tensor<?x64xf32>
}

// -----

// The last dispatch of a group must update what was there before.
exec.program @forward symbols ["rows", "head_rows", "slots", "context", "attended", "cached"] limits <rows = 1, slots = 1, context = 1> {
  %t = exec.step "tokens" ["rows"] : memref<?xi32>
  %b = exec.buffer ["rows", 64] : memref<?x64xf32>
  // expected-error @below {{is the last of group "layers.0.mlp", expected it to update in place a buffer written before the group}}
  // expected-note @below {{first written here, inside the group}}
  exec.dispatch "a" other group "layers.0.mlp" (%t, %b) writes [1] variants [#exec.variant<[<kernel = @kernels::@f>]>] : memref<?xi32>, memref<?x64xf32>
}
module @kernels {
  func.func private @f(tensor<?xi32>, tensor<?x64xf32>) -> tensor<?x64xf32>
}

// -----

// What else a group writes must not be read after it.
exec.program @forward symbols ["rows", "head_rows", "slots", "context", "attended", "cached"] limits <rows = 1, slots = 1, context = 1> {
  %t = exec.step "tokens" ["rows"] : memref<?xi32>
  %a = exec.buffer ["rows", 64] : memref<?x64xf32>
  %b = exec.buffer ["rows", 64] : memref<?x64xf32>
  %c = exec.buffer ["rows", 64] : memref<?x64xf32>
  exec.dispatch "r" other (%t, %a) writes [1] variants [#exec.variant<[<kernel = @kernels::@f>]>] : memref<?xi32>, memref<?x64xf32>
  // expected-note @below {{written here}}
  exec.dispatch "s" other group "g" (%t, %b) writes [1] variants [#exec.variant<[<kernel = @kernels::@f>]>] : memref<?xi32>, memref<?x64xf32>
  exec.dispatch "g" other group "g" (%t, %a) writes [1] variants [#exec.variant<[<kernel = @kernels::@f>]>] : memref<?xi32>, memref<?x64xf32>
  // expected-error @below {{reads a buffer that only group "g" writes, so that the group cannot be skipped}}
  exec.dispatch "h" other (%b, %c) writes [1] variants [#exec.variant<[<kernel = @kernels::@g>]>] : memref<?x64xf32>, memref<?x64xf32>
}
module @kernels {
  func.func private @f(tensor<?xi32>, tensor<?x64xf32>) -> tensor<?x64xf32>
  func.func private @g(tensor<?x64xf32>, tensor<?x64xf32>) -> tensor<?x64xf32>
}

// -----

exec.program @forward symbols ["rows", "head_rows", "slots", "context", "attended", "cached"] limits <rows = 1, slots = 1, context = 1> {
  %t = exec.step "tokens" ["rows"] : memref<?xi32>
  %b = exec.buffer ["rows", 64] : memref<?x64xf32>
  exec.dispatch "r" other (%t, %b) writes [1] variants [#exec.variant<[<kernel = @kernels::@f>]>] : memref<?xi32>, memref<?x64xf32>
  // expected-note @below {{the group ended here}}
  exec.dispatch "s" other group "g" (%t, %b) writes [1] variants [#exec.variant<[<kernel = @kernels::@f>]>] : memref<?xi32>, memref<?x64xf32>
  exec.dispatch "t" other (%t, %b) writes [1] variants [#exec.variant<[<kernel = @kernels::@f>]>] : memref<?xi32>, memref<?x64xf32>
  // expected-error @below {{continues group "g", whose dispatches must be consecutive}}
  exec.dispatch "u" other group "g" (%t, %b) writes [1] variants [#exec.variant<[<kernel = @kernels::@f>]>] : memref<?xi32>, memref<?x64xf32>
}
module @kernels {
  func.func private @f(tensor<?xi32>, tensor<?x64xf32>) -> tensor<?x64xf32>
}

// -----

exec.program @forward symbols ["rows", "head_rows", "slots", "context", "attended", "cached"] limits <rows = 1, slots = 1, context = 1> {
  %t = exec.step "tokens" ["rows"] : memref<?xi32>
  %b = exec.buffer ["rows", 64] : memref<?x64xf32>
  // expected-error @below {{has a workspace of none, the kernel expects affine_map<()[s0, s1, s2, s3, s4, s5] -> (s0 * 24)>}}
  exec.dispatch "a" other (%t, %b) writes [1] variants [#exec.variant<[<kernel = @kernels::@f>]>] : memref<?xi32>, memref<?x64xf32>
}
module @kernels {
  // expected-note @below {{kernel @kernels::@f is here}}
  func.func private @f(tensor<?xi32>, tensor<?x64xf32>) -> tensor<?x64xf32> attributes {exec.workspace = affine_map<()[s0, s1, s2, s3, s4, s5] -> (s0 * 24)>}
}
