// RUN: coppice-opt %s --prune-narrow-inputs | FileCheck %s
// RUN: coppice-opt %s --prune-narrow-inputs=f16=true | FileCheck %s --check-prefix=F16
// RUN: coppice-opt %s --prune-narrow-inputs --prune-fuse-epilogues | FileCheck %s --check-prefix=FUSED

#id = affine_map<(d0, d1) -> (d0, d1)>

// A norm that q and k share is rounded once; so are the query of an attention
// over bf16 caches, what is appended to them (straight from a GEMM, or rotated),
// and what attention gives to the next GEMM. What is rotated stays f32.
// CHECK-LABEL: func.func @attn
// CHECK: %[[N:.*]] = decoder.rms_norm "attn.norm" {{.*}} : tensor<?x10xf32>, tensor<10xbf16> -> tensor<?x10xbf16>
// CHECK-NEXT: %[[Q:.*]] = prune.gemm "attn.q" %[[N]], %{{.*}} : tensor<?x10xbf16>, tensor<15x10xbf16> -> tensor<?x15xf32>
// CHECK-NEXT: %[[V:.*]] = prune.gemm "attn.v" %[[N]], %{{.*}} : tensor<?x10xbf16>, tensor<5x10xbf16> -> tensor<?x5xbf16>
// CHECK-NEXT: %[[R:.*]] = decoder.rotary "attn.q.rotary" %[[Q]], {{.*}} : tensor<?x15xf32>, tensor<?x4xf32> -> tensor<?x15xbf16>
// CHECK-NEXT: %[[C:.*]] = decoder.append "attn.v.append" %[[V]] into {{.*}} : tensor<?x5xbf16> into tensor<?x?x5xbf16>
// CHECK-NEXT: %[[A:.*]] = decoder.attention "attn.core" %[[R]], %[[C]], %[[C]] {{.*}} : tensor<?x15xbf16>, tensor<?x?x5xbf16>{{ *$}}
// CHECK-NEXT: prune.gemm "attn.o" %[[A]], {{.*}} : tensor<?x15xbf16>, tensor<10x15xbf16> -> tensor<?x10xf32>
func.func @attn(%x: tensor<?x10xf32>, %g: tensor<10xbf16>, %wq: tensor<15x10xbf16>, %wv: tensor<5x10xbf16>, %wo: tensor<10x15xbf16>,
                %angles: tensor<?x4xf32>, %c0: tensor<?x?x5xbf16>, %slots: tensor<?xi32>, %positions: tensor<?xi32>)
    -> (tensor<?x10xf32>, tensor<?x?x5xbf16>) {
  %n = decoder.rms_norm "attn.norm" %x, %g {epsilon = 1.0e-5 : f32, divisor = 10 : i64} : tensor<?x10xf32>, tensor<10xbf16>
  %q = prune.gemm "attn.q" %n, %wq : tensor<?x10xf32>, tensor<15x10xbf16> -> tensor<?x15xf32>
  %v = prune.gemm "attn.v" %n, %wv : tensor<?x10xf32>, tensor<5x10xbf16> -> tensor<?x5xf32>
  %r = decoder.rotary "attn.q.rotary" %q, %angles {head_dim = 5 : i64} : tensor<?x15xf32>, tensor<?x4xf32>
  %c = decoder.append "attn.v.append" %v into %c0 at %slots, %positions : tensor<?x5xf32> into tensor<?x?x5xbf16>
  %a = decoder.attention "attn.core" %r, %c, %c at %slots, %positions {head_dim = 5 : i64, scale = 0.4 : f32}
      : tensor<?x15xf32>, tensor<?x?x5xbf16>
  %o = prune.gemm "attn.o" %a, %wo : tensor<?x15xf32>, tensor<10x15xbf16> -> tensor<?x10xf32>
  return %o, %c : tensor<?x10xf32>, tensor<?x?x5xbf16>
}

// Caches of other types take f32.
// CHECK-LABEL: func.func @f16_cache
// CHECK-NOT: bf16
// F16-LABEL: func.func @f16_cache
// F16: prune.gemm "v" %{{.*}} : tensor<?x10xf32>, tensor<5x10xf16> -> tensor<?x5xf16>
func.func @f16_cache(%x: tensor<?x10xf32>, %wv: tensor<5x10xf16>, %c0: tensor<?x?x5xf16>, %slots: tensor<?xi32>, %positions: tensor<?xi32>)
    -> tensor<?x?x5xf16> {
  %v = prune.gemm "v" %x, %wv : tensor<?x10xf32>, tensor<5x10xf16> -> tensor<?x5xf32>
  %c = decoder.append "v.append" %v into %c0 at %slots, %positions : tensor<?x5xf32> into tensor<?x?x5xf16>
  return %c : tensor<?x?x5xf16>
}

// An elementwise op rounds in its body, which then becomes an epilogue; its
// name and what it has kept go along.
// CHECK-LABEL: func.func @mlp
// CHECK: linalg.generic {{.*}} ins(%{{.*}} : tensor<?x7xf32>) outs(%{{.*}} : tensor<?x7xbf16>) attrs =  {prune.kept = [{{.*}}], prune.site = "mlp.act"}
// CHECK: %[[E:.*]] = math.exp
// CHECK-NEXT: %[[T:.*]] = arith.truncf %[[E]] : f32 to bf16
// CHECK-NEXT: linalg.yield %[[T]] : bf16
// CHECK: prune.gemm "mlp.down" %{{.*}}, %{{.*}} : tensor<?x7xbf16>, tensor<10x7xbf16> -> tensor<?x10xf32>
// FUSED-LABEL: func.func @mlp
// FUSED-NOT: linalg.generic
// FUSED: %[[ACT:.*]] = prune.gemm "mlp.up" %{{.*}}, %{{.*}} value "mlp.act" {prune.kept = [{{.*}}]} epilogue(%[[ACC:.*]]: f32) {
// FUSED-NEXT: %[[E:.*]] = math.exp %[[ACC]] : f32
// FUSED-NEXT: %[[T:.*]] = arith.truncf %[[E]] : f32 to bf16
// FUSED-NEXT: prune.yield %[[T]] : bf16
// FUSED-NEXT: } : tensor<?x10xbf16>, tensor<7x10xbf16> -> tensor<?x7xbf16>
// FUSED: prune.gemm "mlp.down" %[[ACT]]
func.func @mlp(%x: tensor<?x10xf32>, %g: tensor<10xf32>, %wu: tensor<7x10xbf16>, %wd: tensor<10x7xbf16>) -> tensor<?x10xf32> {
  %c0 = arith.constant 0 : index
  %n = decoder.rms_norm "mlp.norm" %x, %g {epsilon = 1.0e-5 : f32, divisor = 10 : i64} : tensor<?x10xf32>, tensor<10xf32>
  %u = prune.gemm "mlp.up" %n, %wu : tensor<?x10xf32>, tensor<7x10xbf16> -> tensor<?x7xf32>
  %rows = tensor.dim %x, %c0 : tensor<?x10xf32>
  %e = tensor.empty(%rows) : tensor<?x7xf32>
  %act = linalg.generic {indexing_maps = [#id, #id], iterator_types = ["parallel", "parallel"]}
      ins(%u : tensor<?x7xf32>) outs(%e : tensor<?x7xf32>) attrs = {prune.site = "mlp.act", prune.kept = [[1, #prune.set<[0:7] of 9>]]} {
  ^bb0(%a: f32, %o: f32):
    %p = math.exp %a : f32
    linalg.yield %p : f32
  } -> tensor<?x7xf32>
  %d = prune.gemm "mlp.down" %act, %wd : tensor<?x7xf32>, tensor<10x7xbf16> -> tensor<?x10xf32>
  return %d : tensor<?x10xf32>
}

// Between two GEMMs the first rounds, in its epilogue if it has one.
// CHECK-LABEL: func.func @chain
// CHECK: prune.gemm "a" {{.*}} : tensor<?x10xf32>, tensor<3x10xf32> -> tensor<?x3xbf16>
// CHECK: prune.gemm "b" {{.*}} epilogue(%[[ACC:.*]]: f32) {
// CHECK-NEXT: %[[S:.*]] = math.absf %[[ACC]] : f32
// CHECK-NEXT: %[[T:.*]] = arith.truncf %[[S]] : f32 to bf16
// CHECK-NEXT: prune.yield %[[T]] : bf16
// CHECK: prune.gemm "c" {{.*}} : tensor<?x7xbf16>, tensor<5x7xbf16> -> tensor<?x5xf32>
func.func @chain(%x: tensor<?x10xf32>, %w0: tensor<3x10xf32>, %w1: tensor<7x3xbf16>, %w2: tensor<5x7xbf16>) -> tensor<?x5xf32> {
  %a = prune.gemm "a" %x, %w0 : tensor<?x10xf32>, tensor<3x10xf32> -> tensor<?x3xf32>
  %b = prune.gemm "b" %a, %w1 epilogue(%acc: f32) {
    %s = math.absf %acc : f32
    prune.yield %s : f32
  } : tensor<?x3xf32>, tensor<7x3xbf16> -> tensor<?x7xf32>
  %c = prune.gemm "c" %b, %w2 : tensor<?x7xf32>, tensor<5x7xbf16> -> tensor<?x5xf32>
  return %c : tensor<?x5xf32>
}

// Left alone: f32 and f16 weights, a second reader, an argument.
// CHECK-LABEL: func.func @others
// CHECK-NOT: truncf
// CHECK-NOT: -> tensor<?x10xbf16>
// CHECK: return
func.func @others(%x: tensor<?x10xf32>, %g: tensor<10xbf16>, %w: tensor<3x10xf32>, %h: tensor<3x10xf16>, %b: tensor<3x10xbf16>)
    -> (tensor<?x3xf32>, tensor<?x3xf32>, tensor<?x3xf32>, tensor<?x3xf32>, tensor<?x10xf32>) {
  %n = decoder.rms_norm "n" %x, %g {epsilon = 1.0e-5 : f32, divisor = 10 : i64} : tensor<?x10xf32>, tensor<10xbf16>
  %0 = prune.gemm "0" %n, %w : tensor<?x10xf32>, tensor<3x10xf32> -> tensor<?x3xf32>
  %1 = prune.gemm "1" %n, %h : tensor<?x10xf32>, tensor<3x10xf16> -> tensor<?x3xf32>
  %m = decoder.rms_norm "m" %x, %g {epsilon = 1.0e-5 : f32, divisor = 10 : i64} : tensor<?x10xf32>, tensor<10xbf16>
  %2 = prune.gemm "2" %m, %b : tensor<?x10xf32>, tensor<3x10xbf16> -> tensor<?x3xf32>
  %3 = prune.gemm "3" %x, %b : tensor<?x10xf32>, tensor<3x10xbf16> -> tensor<?x3xf32>
  return %0, %1, %2, %3, %m : tensor<?x3xf32>, tensor<?x3xf32>, tensor<?x3xf32>, tensor<?x3xf32>, tensor<?x10xf32>
}

// Queries that choose blocks meet the same keys as those that attend.
// CHECK-LABEL: func.func @blocks
// CHECK: %[[R:.*]] = decoder.rotary "attn.q.rotary" {{.*}} -> tensor<?x15xbf16>
// CHECK: prune.select_blocks "attn.blocks" {{.*}} by %[[R]], %{{.*}} heads of 5 : tensor<?x15xbf16>, tensor<?x?x5xbf16>
// CHECK: decoder.attention "attn.core" %[[R]], {{.*}} : tensor<?x15xbf16>, tensor<?x?x5xbf16> -> tensor<?x15xf32>
func.func @blocks(%q: tensor<?x15xf32>, %angles: tensor<?x4xf32>, %c: tensor<?x?x5xbf16>, %slots: tensor<?xi32>, %positions: tensor<?xi32>)
    -> tensor<?x15xf32> {
  %r = decoder.rotary "attn.q.rotary" %q, %angles {head_dim = 5 : i64} : tensor<?x15xf32>, tensor<?x4xf32>
  %b = prune.select_blocks "attn.blocks" of 16 recent 1 first 0 top 2 by %r, %c heads of 5 : tensor<?x15xf32>, tensor<?x?x5xbf16>
    at %slots, %positions : tensor<?xi32> -> tensor<?x3xi32>
  %a = decoder.attention "attn.core" %r, %c, %c at %slots, %positions blocks of 16(%b : tensor<?x3xi32>) {head_dim = 5 : i64, scale = 0.4 : f32}
      : tensor<?x15xf32>, tensor<?x?x5xbf16>
  return %a : tensor<?x15xf32>
}

// A select by a mask rounds nothing: what makes its input does.
// CHECK-LABEL: func.func @masked
// CHECK: %[[U:.*]] = prune.gemm "up" {{.*}} -> tensor<?x12xbf16>
// CHECK: %[[P:.*]] = prune.project_by "mlp" %[[U]], %{{.*}} groups of 4 : tensor<?x12xbf16>, tensor<?x3xi8>
// CHECK: prune.gemm "down" %[[P]], %{{.*}} : tensor<?x12xbf16>, tensor<10x12xbf16> -> tensor<?x10xf32>
func.func @masked(%x: tensor<?x10xbf16>, %m: tensor<?x3xi8>, %wu: tensor<12x10xbf16>, %wd: tensor<10x12xbf16>) -> tensor<?x10xf32> {
  %u = prune.gemm "up" %x, %wu : tensor<?x10xbf16>, tensor<12x10xbf16> -> tensor<?x12xf32>
  %p = prune.project_by "mlp" %u, %m groups of 4 : tensor<?x12xf32>, tensor<?x3xi8>
  %d = prune.gemm "down" %p, %wd : tensor<?x12xf32>, tensor<10x12xbf16> -> tensor<?x10xf32>
  return %d : tensor<?x10xf32>
}

// Someone else reads what is masked.
// CHECK-LABEL: func.func @masked_and_read
// CHECK: prune.project_by "mlp" %{{.*}}, %{{.*}} groups of 4 : tensor<?x12xf32>, tensor<?x3xi8>
func.func @masked_and_read(%x: tensor<?x10xbf16>, %m: tensor<?x3xi8>, %wu: tensor<12x10xbf16>, %wd: tensor<10x12xbf16>) -> (tensor<?x10xf32>, tensor<?x12xf32>) {
  %u = prune.gemm "up" %x, %wu : tensor<?x10xbf16>, tensor<12x10xbf16> -> tensor<?x12xf32>
  %p = prune.project_by "mlp" %u, %m groups of 4 : tensor<?x12xf32>, tensor<?x3xi8>
  %d = prune.gemm "down" %p, %wd : tensor<?x12xf32>, tensor<10x12xbf16> -> tensor<?x10xf32>
  return %d, %u : tensor<?x10xf32>, tensor<?x12xf32>
}
