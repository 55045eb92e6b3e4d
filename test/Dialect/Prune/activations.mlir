// RUN: coppice-opt %s --split-input-file | coppice-opt --split-input-file | FileCheck %s

// CHECK-LABEL: prune.plan @plan
prune.plan @plan {
  // CHECK-NEXT: prune.activations "layers.*.mlp.down" threshold = 1.250000e-01
  prune.activations "layers.*.mlp.down" threshold = 0.125 expected = 0.5
  // CHECK-NEXT: prune.activations "layers.0.attn.{q,k,v}" threshold = 5.000000e-01 expected = 2.500000e-01
  prune.activations "layers.0.attn.{q,k,v}" threshold = 0.5 expected = 0.25
}

// CHECK-LABEL: func @gemm
func.func @gemm(%x: tensor<?x6xf32>, %w: tensor<2x6xf32>) -> tensor<?x2xf32> {
  // CHECK: prune.gemm "g" %{{.*}}, %{{.*}} zeros 5.000000e-01 : tensor<?x6xf32>, tensor<2x6xf32> -> tensor<?x2xf32>
  %y = prune.gemm "g" %x, %w zeros 0.5 : tensor<?x6xf32>, tensor<2x6xf32> -> tensor<?x2xf32>
  return %y : tensor<?x2xf32>
}
