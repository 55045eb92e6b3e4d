// RUN: coppice-opt %s --exec-form-dispatches="max-context=33 max-batch=2 max-rows=50" | FileCheck %s

#id = affine_map<(d0, d1) -> (d0, d1)>

// CHECK-DAG: #[[ATTENTION:.*]] = affine_map<()[s0, s1, s2, s3, s4, s5] -> (s4 * 34)>
// CHECK-DAG: #[[CACHED:.*]] = affine_map<()[s0, s1, s2, s3, s4, s5] -> (s0 * {{[0-9]+}} + s5 * {{[0-9]+}}{{.*}})>
ml_program.global private @table(#ml_program.extern : tensor<11x6xbf16>) : tensor<11x6xbf16>
ml_program.global private @wo(#ml_program.extern : tensor<6x6xf32>) : tensor<6x6xf32>
ml_program.global private @gain(#ml_program.extern : tensor<6xf32>) : tensor<6xf32>

// CHECK: exec.program @forward {{.*}} limits <rows = 50, slots = 2, context = 33>
// CHECK: %[[K:.*]] = exec.state "layers.0.k" ["slots", "context", 6]
// CHECK: exec.weight "table" @table packing <rows>
// CHECK: %[[R:.*]] = exec.buffer ["rows", 6]
// CHECK: exec.dispatch "embed" lookup value "embed" (%tokens, %table, %[[R]]) writes [2]
// CHECK: exec.dispatch "layers.0.attn.norm" norm group "layers.0.attn" value "layers.0.attn.norm" (%[[R]], %gain, %[[N:.*]]) writes [2] variants [#exec.variant<[<kernel = @kernels::@norm_6>]>]
// CHECK: exec.dispatch "layers.0.attn.k.append" append group "layers.0.attn" (%[[N]], %slots, %positions, %[[K]]) writes [3]
// CHECK: exec.dispatch "layers.0.attn.core" attention group "layers.0.attn" value "layers.0.attn.core" (%[[N]], %[[K]], %slots, %positions, %[[A:.*]]) writes [4] {{.*}} cost <flops = #[[ATTENTION]]
// The residual is updated where it is; `kept` is in columns.
// CHECK: exec.dispatch "layers.0.attn.o" gemm group "layers.0.attn" value "layers.0.attn" kept {{\[\[}}1, {{\[\[}}0, 4], [6, 8]]]] (%[[A]], %wo, %[[R]]) writes [2]
// CHECK-SAME: shape <m = #{{.*}}, n = 6, k = 6>
// Equal but for its name: the same kernel.
// CHECK: exec.dispatch "other.norm" norm value "other.norm" (%[[R]], %gain, %{{.*}}) writes [2] variants [#exec.variant<[<kernel = @kernels::@norm_6>]>]
// CHECK: %[[L:.*]] = exec.buffer ["head_rows", 6]
// CHECK: exec.dispatch "head.rows" lookup
// CHECK: exec.output "logits" %[[L]]
func.func @forward(%tokens: tensor<?xi32> {decoder.step = "tokens"}, %slots: tensor<?xi32> {decoder.step = "slots"},
                   %positions: tensor<?xi32> {decoder.step = "positions"}, %head_rows: tensor<?xi32> {decoder.step = "head_rows"},
                   %k0: tensor<?x?x6xf32> {decoder.cache = "layers.0.k"}) -> (tensor<?x6xf32>, tensor<?x?x6xf32>) {
  %table = ml_program.global_load_const @table : tensor<11x6xbf16>
  %gain = ml_program.global_load_const @gain : tensor<6xf32>
  %wo = ml_program.global_load_const @wo : tensor<6x6xf32>
  %r0 = decoder.lookup "embed" %tokens in %table : tensor<?xi32>, tensor<11x6xbf16> -> tensor<?x6xf32>
  %n = decoder.rms_norm "layers.0.attn.norm" %r0, %gain {epsilon = 1.0e-5 : f32, divisor = 6 : i64} : tensor<?x6xf32>, tensor<6xf32>
  %kc = decoder.append "layers.0.attn.k.append" %n into %k0 at %slots, %positions : tensor<?x6xf32> into tensor<?x?x6xf32>
  %a = decoder.attention "layers.0.attn.core" %n, %kc, %kc at %slots, %positions {head_dim = 3 : i64, scale = 0.5 : f32} : tensor<?x6xf32>, tensor<?x?x6xf32>
  %r1 = prune.gemm "layers.0.attn.o" %a, %wo value "layers.0.attn" {prune.kept = [[1, #prune.set<[0:2, 3] of 5 x 2>]]} epilogue(%acc: f32, %r: f32 = %r0 : tensor<?x6xf32>) {
    %s = arith.addf %acc, %r : f32
    prune.yield %s : f32
  } : tensor<?x6xf32>, tensor<6x6xf32> -> tensor<?x6xf32>
  %m = decoder.rms_norm "other.norm" %r1, %gain {epsilon = 1.0e-5 : f32, divisor = 6 : i64} : tensor<?x6xf32>, tensor<6xf32>
  %h = decoder.lookup "head.rows" %head_rows in %m : tensor<?xi32>, tensor<?x6xf32> -> tensor<?x6xf32>
  return %h, %kc : tensor<?x6xf32>, tensor<?x?x6xf32>
}

// CHECK: module @kernels
// CHECK: func.func @norm_6(%{{.*}}: tensor<?x6xf32> {exec.dims = ["rows", 6]}, %{{.*}}: tensor<6xf32>, %{{.*}}: tensor<?x6xf32> {exec.dims = ["rows", 6]}) -> tensor<?x6xf32>
// CHECK-SAME: exec.kind = "norm"
// CHECK-NEXT: decoder.rms_norm ""
// CHECK: func.func @gemm_n6_k6_f32_addf(%{{.*}}: tensor<?x6xf32> {{.*}}, %{{.*}}: tensor<6x6xf32>, %[[OUT:.*]]: tensor<?x6xf32>
// CHECK: prune.gemm "" {{.*}} epilogue(%{{.*}}: f32, %{{.*}}: f32 = %[[OUT]] : tensor<?x6xf32>)
// CHECK-NOT: func.func @norm
