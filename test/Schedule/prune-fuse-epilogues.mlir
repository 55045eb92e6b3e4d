// RUN: coppice-opt %s --prune-fuse-epilogues | FileCheck %s

#id = affine_map<(d0, d1) -> (d0, d1)>
#columns = affine_map<(d0, d1) -> (d1)>
#transposed = affine_map<(d0, d1) -> (d1, d0)>

// silu(gate) * up goes into `up`, the later of the two, with what it holds.
// CHECK-LABEL: func @swiglu
func.func @swiglu(%x: tensor<?x5xf32>, %wg: tensor<7x5xf32>, %wu: tensor<7x5xf32>, %e: tensor<?x7xf32>) -> tensor<?x7xf32> {
  // CHECK: %[[GATE:.*]] = prune.gemm "gate"
  %gate = prune.gemm "gate" %x, %wg : tensor<?x5xf32>, tensor<7x5xf32> -> tensor<?x7xf32>
  // CHECK: prune.gemm "up" %{{.*}}, %{{.*}} value "act" {prune.kept = {{.*}}} epilogue(%[[ACC:.*]]: f32, %[[G:.*]]: f32 = %[[GATE]] : tensor<?x7xf32>)
  // CHECK: math.exp
  // CHECK: %[[S:.*]] = arith.mulf %{{.*}}, %[[ACC]]
  // CHECK: prune.yield %[[S]]
  // CHECK-NOT: linalg.generic
  %up = prune.gemm "up" %x, %wu : tensor<?x5xf32>, tensor<7x5xf32> -> tensor<?x7xf32>
  %act = linalg.generic {indexing_maps = [#id, #id, #id], iterator_types = ["parallel", "parallel"]}
      ins(%gate, %up : tensor<?x7xf32>, tensor<?x7xf32>) outs(%e : tensor<?x7xf32>)
      attrs = {prune.site = "act", prune.kept = [[1, #prune.set<[0:7] of 9>]]} {
  ^bb0(%g: f32, %u: f32, %o: f32):
    %n = math.exp %g : f32
    %m = arith.mulf %n, %u : f32
    linalg.yield %m : f32
  } -> tensor<?x7xf32>
  return %act : tensor<?x7xf32>
}

// A bias, then the residual: two epilogues in one.
// CHECK-LABEL: func @bias_and_residual
func.func @bias_and_residual(%x: tensor<?x5xf32>, %w: tensor<7x5xf32>, %b: tensor<7xbf16>, %r: tensor<?x7xf32>, %e: tensor<?x7xf32>) -> tensor<?x7xf32> {
  // CHECK: prune.gemm "down" %{{.*}} value "mlp" epilogue(%[[ACC:.*]]: f32, %[[B:.*]]: bf16 = %{{.*}} : tensor<7xbf16>, %[[R:.*]]: f32 = %{{.*}} : tensor<?x7xf32>)
  // CHECK: %[[WIDE:.*]] = arith.extf %[[B]]
  // CHECK: %[[S:.*]] = arith.addf %[[ACC]], %[[WIDE]]
  // CHECK: arith.addf %[[R]], %[[S]]
  %d = prune.gemm "down" %x, %w : tensor<?x5xf32>, tensor<7x5xf32> -> tensor<?x7xf32>
  %s = linalg.generic {indexing_maps = [#id, #columns, #id], iterator_types = ["parallel", "parallel"]}
      ins(%d, %b : tensor<?x7xf32>, tensor<7xbf16>) outs(%e : tensor<?x7xf32>) attrs = {prune.site = "down.bias"} {
  ^bb0(%a: f32, %c: bf16, %o: f32):
    %f = arith.extf %c : bf16 to f32
    %t = arith.addf %a, %f : f32
    linalg.yield %t : f32
  } -> tensor<?x7xf32>
  %u = linalg.generic {indexing_maps = [#id, #id, #id], iterator_types = ["parallel", "parallel"]}
      ins(%r, %s : tensor<?x7xf32>, tensor<?x7xf32>) outs(%e : tensor<?x7xf32>) attrs = {prune.site = "mlp"} {
  ^bb0(%a: f32, %c: f32, %o: f32):
    %t = arith.addf %a, %c : f32
    linalg.yield %t : f32
  } -> tensor<?x7xf32>
  return %u : tensor<?x7xf32>
}

// Somebody else reads the product.
// CHECK-LABEL: func @several_uses
func.func @several_uses(%x: tensor<?x5xf32>, %w: tensor<7x5xf32>, %e: tensor<?x7xf32>) -> (tensor<?x7xf32>, tensor<?x7xf32>) {
  // CHECK: prune.gemm "up" %{{[a-z0-9]+}}, %{{[a-z0-9]+}} : tensor
  // CHECK: linalg.generic
  %d = prune.gemm "up" %x, %w : tensor<?x5xf32>, tensor<7x5xf32> -> tensor<?x7xf32>
  %s = linalg.generic {indexing_maps = [#id, #id], iterator_types = ["parallel", "parallel"]}
      ins(%d : tensor<?x7xf32>) outs(%e : tensor<?x7xf32>) {
  ^bb0(%a: f32, %o: f32):
    %t = math.exp %a : f32
    linalg.yield %t : f32
  } -> tensor<?x7xf32>
  return %d, %s : tensor<?x7xf32>, tensor<?x7xf32>
}

// A body that reads its output, and one that reads across.
// CHECK-LABEL: func @not_elementwise
func.func @not_elementwise(%x: tensor<7x5xf32>, %w: tensor<7x5xf32>, %e: tensor<7x7xf32>) -> (tensor<7x7xf32>, tensor<7x7xf32>) {
  // CHECK: linalg.generic
  %d = prune.gemm "a" %x, %w : tensor<7x5xf32>, tensor<7x5xf32> -> tensor<7x7xf32>
  %s = linalg.generic {indexing_maps = [#id, #id], iterator_types = ["parallel", "parallel"]}
      ins(%d : tensor<7x7xf32>) outs(%e : tensor<7x7xf32>) {
  ^bb0(%a: f32, %o: f32):
    %t = arith.addf %a, %o : f32
    linalg.yield %t : f32
  } -> tensor<7x7xf32>
  // CHECK: linalg.generic
  %f = prune.gemm "b" %x, %w : tensor<7x5xf32>, tensor<7x5xf32> -> tensor<7x7xf32>
  %g = linalg.generic {indexing_maps = [#transposed, #id], iterator_types = ["parallel", "parallel"]}
      ins(%f : tensor<7x7xf32>) outs(%e : tensor<7x7xf32>) {
  ^bb0(%a: f32, %o: f32):
    linalg.yield %a : f32
  } -> tensor<7x7xf32>
  return %s, %g : tensor<7x7xf32>, tensor<7x7xf32>
}

// What a set leaves out would not go through the epilogue.
// CHECK-LABEL: func @sets
// CHECK: prune.gemm
// CHECK-NOT: epilogue
// CHECK: linalg.generic
func.func @sets(%x: tensor<?x5xf32>, %w: tensor<7x5xf32>, %r: tensor<?xi32>, %n: tensor<i32>, %e: tensor<?x7xf32>) -> tensor<?x7xf32> {
  %d = prune.gemm "up" %x, %w rows both(%r, %n : tensor<?xi32>) into %e : tensor<?x5xf32>, tensor<7x5xf32> -> tensor<?x7xf32>
  %s = linalg.generic {indexing_maps = [#id, #id], iterator_types = ["parallel", "parallel"]}
      ins(%d : tensor<?x7xf32>) outs(%e : tensor<?x7xf32>) {
  ^bb0(%a: f32, %o: f32):
    %t = math.exp %a : f32
    linalg.yield %t : f32
  } -> tensor<?x7xf32>
  return %s : tensor<?x7xf32>
}
