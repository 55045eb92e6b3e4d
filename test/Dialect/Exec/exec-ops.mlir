// RUN: coppice-opt %s | FileCheck %s

#rows64 = affine_map<()[s0, s1, s2, s3, s4, s5] -> (s0 * 256)>
#zero = affine_map<()[s0, s1, s2, s3, s4, s5] -> (0)>
#rows = affine_map<()[s0, s1, s2, s3, s4, s5] -> (s0)>
#small = affine_map<()[s0, s1, s2, s3, s4, s5] -> (9 - s0)>

ml_program.global private @w(#ml_program.extern : tensor<37x64xf32>) : tensor<37x64xf32>

// CHECK: exec.program @forward symbols ["rows", "head_rows", "slots", "context", "attended", "cached"]
// CHECK-SAME: limits <rows = 96, slots = 3, context = 77> arena
exec.program @forward
    symbols ["rows", "head_rows", "slots", "context", "attended", "cached"]
    limits <rows = 96, slots = 3, context = 77>
    arena affine_map<()[s0, s1, s2, s3, s4, s5] -> (s0 * 448)> {
  // CHECK: exec.weight "w" @w packing <panels = 16> : memref<3x64x16xf32>
  %w = exec.weight "w" @w packing <panels = 16> : memref<3x64x16xf32>
  // CHECK: exec.step "tokens" ["rows"] : memref<?xi32>
  %t = exec.step "tokens" ["rows"] : memref<?xi32>
  // CHECK: exec.state "layers.0.k" ["slots", "context", 30] : memref<?x?x30xbf16>
  %k = exec.state "layers.0.k" ["slots", "context", 30] : memref<?x?x30xbf16>
  %x = exec.buffer ["rows", 64] offset #zero : memref<?x64xf32>
  // CHECK: exec.buffer ["rows", 37] offset #{{[a-z0-9]+}} : memref<?x37xf32>
  %y = exec.buffer ["rows", 37] offset #rows64 : memref<?x37xf32>
  exec.dispatch "fill" other (%t, %x) writes [1] variants [#exec.variant<[<kernel = @kernels::@fill>]>]
      : memref<?xi32>, memref<?x64xf32>
  // CHECK: exec.dispatch "up" gemm value "up" kept {{\[\[}}1, {{\[\[}}0, 30], [40, 47]]]] (%{{.*}}, %{{.*}}, %{{.*}}) writes [2]
  // CHECK-SAME: #exec.variant<[<kernel = @kernels::@up_split>, <kernel = @kernels::@up_merge>], guard = #{{[a-z0-9]+}}, workspace = #{{[a-z0-9]+}}>
  // CHECK-SAME: #exec.variant<[<kernel = @kernels::@up, grid = #{{[a-z0-9]+}}, config = <"gemm", panel = 16, rows = 6>>], guard = #{{[a-z0-9]+}}>
  // CHECK-SAME: #exec.variant<[<kernel = @kernels::@up>]>
  // CHECK-SAME: cost <flops = #{{[a-z0-9]+}}, weight_bytes = #{{[a-z0-9]+}}, read_bytes = #{{[a-z0-9]+}}, write_bytes = #{{[a-z0-9]+}}>
  // CHECK-SAME: shape <m = #{{[a-z0-9]+}}, n = 37, k = 64>
  exec.dispatch "up" gemm value "up" kept [[1, [[0, 30], [40, 47]]]] (%x, %w, %y) writes [2]
      variants [#exec.variant<[<kernel = @kernels::@up_split>, <kernel = @kernels::@up_merge>], guard = #small, workspace = #rows64>,
                #exec.variant<[<kernel = @kernels::@up, grid = #rows, config = <"gemm", panel = 16, rows = 6>>], guard = #small>,
                #exec.variant<[<kernel = @kernels::@up>]>]
      cost <flops = #rows64, weight_bytes = #zero, read_bytes = #zero, write_bytes = #zero> shape <m = #rows, n = 37, k = 64>
      : memref<?x64xf32>, memref<3x64x16xf32>, memref<?x37xf32>
  // CHECK: exec.output "logits" %{{.*}} : memref<?x37xf32>
  exec.output "logits" %y : memref<?x37xf32>
}
module @kernels {
  func.func private @fill(tensor<?xi32>, tensor<?x64xf32> {exec.dims = ["rows", 64]}) -> tensor<?x64xf32>
  func.func private @up(tensor<?x64xf32>, tensor<37x64xf32> {exec.packing = #exec.packing<panels = 16>}, tensor<?x37xf32>) -> tensor<?x37xf32>
  func.func private @up_split(tensor<?x64xf32>, tensor<37x64xf32> {exec.packing = #exec.packing<panels = 16>}, tensor<?x37xf32>) -> tensor<?x37xf32> attributes {exec.workspace = #rows64}
  // CHECK: @kept(tensor<?x64xbf16>, tensor<37x64xbf16> {exec.packing = #exec.packing<panels = 64, depth = 2, keeps = 2 of 4>})
  func.func private @kept(tensor<?x64xbf16>, tensor<37x64xbf16> {exec.packing = #exec.packing<panels = 64, depth = 2, keeps = 2 of 4>})
  func.func private @up_merge(tensor<?x64xf32>, tensor<37x64xf32> {exec.packing = #exec.packing<panels = 16>}, tensor<?x37xf32>) -> tensor<?x37xf32> attributes {exec.workspace = #rows64}
}
