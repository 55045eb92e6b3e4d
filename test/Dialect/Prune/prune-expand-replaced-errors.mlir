// RUN: %coppice-opt %s --prune-expand-replaced --verify-diagnostics

// Two GEMMs in the place of one that is fused would need a rule of their own.
func.func @fused(%x: tensor<?x6xf32>, %w: tensor<8x6xf32>, %u: tensor<8x2xf32>, %v: tensor<2x6xf32>) -> tensor<?x8xf32> {
  // expected-note @below {{the weight is factored here}}
  %f = prune.replace "s" %w by %u, %v in tensor<8x6xf32> by tensor<8x2xf32>, tensor<2x6xf32>
  // expected-error @below {{expected no epilogue and no sets where the weight is factored: those come after this}}
  %up = prune.gemm "s" %x, %f epilogue(%acc: f32) {
    %s = arith.negf %acc : f32
    prune.yield %s : f32
  } : tensor<?x6xf32>, tensor<8x6xf32> -> tensor<?x8xf32>
  return %up : tensor<?x8xf32>
}
