// RUN: coppice-opt %s --prune-round-values=names=final.norm,head,none.of.these,sparse | FileCheck %s

#id = affine_map<(d0, d1) -> (d0, d1)>

// A named value is rounded for all who read it; extents are those of the value
// itself. What has another name stays.
// CHECK-LABEL: func.func @forward
// CHECK: %[[X:.*]] = decoder.rms_norm "other.norm"
// CHECK-NEXT: %[[N:.*]] = decoder.rms_norm "final.norm" %[[X]]
// CHECK: %[[ROWS:.*]] = tensor.dim %[[N]]
// CHECK: tensor.empty(%[[ROWS]]) : tensor<?x7xf32>
// CHECK: %[[R:.*]] = linalg.generic {{.*}} ins(%[[N]] : tensor<?x7xf32>) {{.*}} attrs =  {prune.site = "final.norm"}
// CHECK: %[[B:.*]] = arith.truncf %{{.*}} : f32 to bf16
// CHECK: %[[W:.*]] = arith.extf %[[B]] : bf16 to f32
// CHECK: linalg.yield %[[W]] : f32
// CHECK: %[[G:.*]] = prune.gemm "lm_head" %[[R]], {{.*}} value "head"
// CHECK: %[[H:.*]] = linalg.generic {{.*}} ins(%[[G]] : tensor<?x3xf32>) {{.*}} attrs =  {prune.site = "head"}
// CHECK: return %[[R]], %[[H]]
func.func @forward(%x: tensor<?x7xf32>, %g: tensor<7xf32>, %w: tensor<3x7xbf16>) -> (tensor<?x7xf32>, tensor<?x3xf32>) {
  %o = decoder.rms_norm "other.norm" %x, %g {epsilon = 1.0e-5 : f32, divisor = 7 : i64} : tensor<?x7xf32>, tensor<7xf32>
  %n = decoder.rms_norm "final.norm" %o, %g {epsilon = 1.0e-5 : f32, divisor = 7 : i64} : tensor<?x7xf32>, tensor<7xf32>
  %h = prune.gemm "lm_head" %n, %w value "head" epilogue(%a: f32) {
    %s = arith.addf %a, %a : f32
    prune.yield %s : f32
  } : tensor<?x7xf32>, tensor<3x7xbf16> -> tensor<?x3xf32>
  return %n, %h : tensor<?x7xf32>, tensor<?x3xf32>
}

// RUN: coppice-opt %s --prune-round-values="names=sparse f16=true" | FileCheck %s --check-prefix=F16
// F16-LABEL: func.func @threshold
// F16: arith.truncf %{{.*}} : f32 to f16

// What a threshold makes zero stays zero: the rounding is what is decided of.
// CHECK-LABEL: func.func @threshold
// CHECK: linalg.generic {{.*}} attrs = {prune.site = "sparse"} {
// CHECK: arith.maximumf
// CHECK: linalg.generic {{.*}} attrs = {prune.site = "sparse", prune.threshold = 5.000000e-01 : f64} {
// CHECK: arith.truncf
func.func @threshold(%x: tensor<?x7xf32>, %init: tensor<?x7xf32>) -> tensor<?x7xf32> {
  %s = linalg.generic {indexing_maps = [#id, #id], iterator_types = ["parallel", "parallel"]} ins(%x : tensor<?x7xf32>) outs(%init : tensor<?x7xf32>)
      attrs = {prune.site = "sparse", prune.threshold = 5.0e-01 : f64} {
  ^bb0(%a: f32, %b: f32):
    %m = arith.maximumf %a, %a : f32
    linalg.yield %m : f32
  } -> tensor<?x7xf32>
  return %s : tensor<?x7xf32>
}
