// RUN: coppice-opt %s --split-input-file --verify-diagnostics

prune.plan @p {
  // expected-error @below {{expected a threshold above 0, found 0}}
  prune.activations "layers.0.mlp.down" threshold = 0.0
}

// -----

prune.plan @p {
  // expected-error @below {{expected an expected share of values from 0 to 1, found 2}}
  prune.activations "layers.0.mlp.down" threshold = 1.0 expected = 2.0
}

// -----

func.func @gemm(%x: tensor<?x6xf32>, %w: tensor<2x6xf32>) {
  // expected-error @below {{expected a share of zeros from 0 to 1, found 1.5}}
  %y = prune.gemm "g" %x, %w zeros 1.5 : tensor<?x6xf32>, tensor<2x6xf32> -> tensor<?x2xf32>
  return
}
