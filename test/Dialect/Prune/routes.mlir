// RUN: coppice-opt %s | coppice-opt | FileCheck %s

// CHECK-LABEL: prune.plan @plan
prune.plan @plan {
  // The share that is expected by default is not printed.
  // CHECK-NEXT: prune.route "layers.*.mlp" axis(M) by bottleneck(16)
  prune.route "layers.*.mlp" axis(M) by bottleneck(16) expected = 0.5
  // CHECK-NEXT: prune.route "layers.3" axis(M) by linear expected = 2.500000e-01 from "routers.safetensors"
  prune.route "layers.3" axis(M) by linear expected = 0.25 from "routers.safetensors"
  // CHECK-NEXT: prune.route "layers.4.attn" axis(M) by mlp(7)
  prune.route "layers.4.attn" axis(M) by mlp(7)
  // CHECK-NEXT: prune.route "layers.5.mlp" axis(N) groups of 128 by bottleneck(32) expected = 2.500000e-01
  prune.route "layers.5.mlp" axis(N) groups of 128 by bottleneck(32) expected = 0.25
  // CHECK-NEXT: prune.route "layers.5.attn" axis(K) groups of 7 by linear
  prune.route "layers.5.attn" axis(K) groups of 7 by linear
  // CHECK-NEXT: prune.route "layers.6.mlp" axis(M) by linear order(same) scaled forecast(100)
  prune.route "layers.6.mlp" axis(M) by linear order(same) scaled forecast(100)
  // CHECK-NEXT: prune.route "layers.7.mlp" axis(M) by linear threshold = 7.500000e-01 expected = 2.500000e-01
  prune.route "layers.7.mlp" axis(M) by linear threshold = 0.75 expected = 0.25
  // CHECK-NEXT: prune.route "layers.7.attn" axis(M) by linear top = 2.500000e-01
  prune.route "layers.7.attn" axis(M) by linear top = 0.25
}

// CHECK-LABEL: func @routes
func.func @routes(%scores: tensor<?x2xf32>, %forced: tensor<?x5xi8>, %slots: tensor<?xi32>, %x: tensor<?x7xf32>, %r: tensor<?x7xf32>)
    -> (tensor<?x7xf32>, tensor<?x7xf32>, tensor<?xi32>, tensor<i32>) {
  // CHECK: %[[M:.*]] = prune.decide "layers.0.mlp.route" %{{.*}} forced %{{.*}} column 4 expected 5.000000e-01 : tensor<?x2xf32>, tensor<?x5xi8> -> tensor<?x1xi8>
  %m = prune.decide "layers.0.mlp.route" %scores forced %forced column 4 expected 0.5 : tensor<?x2xf32>, tensor<?x5xi8> -> tensor<?x1xi8>
  // CHECK: prune.decide "layers.1.mlp.route" %{{.*}} forced %{{.*}} column 3 margin 2.500000e-01 expected 5.000000e-01 : tensor<?x2xf32>
  %n = prune.decide "layers.1.mlp.route" %scores forced %forced column 3 margin 0.25 expected 0.5 : tensor<?x2xf32>, tensor<?x5xi8> -> tensor<?x1xi8>
  // CHECK: prune.decide "layers.2.mlp.route" %{{.*}} forced %{{.*}} column 3 top 5.000000e-01 of %{{.*}} : tensor<?xi32> expected 5.000000e-01 : tensor<?x2xf32>
  %t = prune.decide "layers.2.mlp.route" %scores forced %forced column 3 top 0.5 of %slots : tensor<?xi32> expected 0.5 : tensor<?x2xf32>, tensor<?x5xi8> -> tensor<?x1xi8>
  // CHECK: prune.project_by "layers.0.mlp" %{{.*}}, %[[M]] : tensor<?x7xf32>, tensor<?x1xi8>{{$}}
  %p = prune.project_by "layers.0.mlp" %x, %m : tensor<?x7xf32>, tensor<?x1xi8>
  // CHECK: prune.project_by "layers.0.mlp" %{{.*}}, %[[M]] : tensor<?x7xf32>, tensor<?x1xi8> into %{{.*}} : tensor<?x7xf32>
  %q = prune.project_by "layers.0.mlp" %x, %m : tensor<?x7xf32>, tensor<?x1xi8> into %r : tensor<?x7xf32>
  // CHECK: prune.compact "layers.0.mlp.rows" %[[M]] : tensor<?x1xi8> -> tensor<?xi32>, tensor<i32>
  %list, %count = prune.compact "layers.0.mlp.rows" %m : tensor<?x1xi8> -> tensor<?xi32>, tensor<i32>
  return %p, %q, %list, %count : tensor<?x7xf32>, tensor<?x7xf32>, tensor<?xi32>, tensor<i32>
}

// CHECK-LABEL: func @rows
func.func @rows(%x: tensor<?x6xf32>, %g: tensor<6xf32>, %a: tensor<?x2xf32>, %list: tensor<?xi32>, %count: tensor<i32>) -> tensor<?x6xf32> {
  // CHECK: decoder.rms_norm "n" %{{.*}}, %{{.*}} rows(%[[L:.*]], %[[C:.*]] : tensor<?xi32>) {divisor
  %n = decoder.rms_norm "n" %x, %g rows(%list, %count : tensor<?xi32>) {divisor = 6 : i64, epsilon = 1.0e-5 : f32} : tensor<?x6xf32>, tensor<6xf32>
  // CHECK: decoder.rotary "q" %{{.*}}, %{{.*}} rows(%[[L]], %[[C]] : tensor<?xi32>) {head_dim
  %q = decoder.rotary "q" %n, %a rows(%list, %count : tensor<?xi32>) {head_dim = 3 : i64} : tensor<?x6xf32>, tensor<?x2xf32>
  return %q : tensor<?x6xf32>
}

// Groups of columns, and the rows that are passed by.
// CHECK-LABEL: func @groups
func.func @groups(%x: tensor<?x7xf32>, %r: tensor<?x7xf32>, %m: tensor<?x1xi8>, %g: tensor<?x3xi8>)
    -> (tensor<?x7xf32>, tensor<?x7xf32>, tensor<?x7xf32>, tensor<?xi32>, tensor<i32>, tensor<3x?xi32>, tensor<3xi32>) {
  // CHECK: prune.project_by "s" %{{.*}}, %{{.*}} passed : tensor<?x7xf32>, tensor<?x1xi8> into
  %p = prune.project_by "s" %x, %m passed : tensor<?x7xf32>, tensor<?x1xi8> into %r : tensor<?x7xf32>
  // CHECK: prune.project_by "s" %{{.*}}, %{{.*}} groups of 3 : tensor<?x7xf32>, tensor<?x3xi8>
  %q = prune.project_by "s" %x, %g groups of 3 : tensor<?x7xf32>, tensor<?x3xi8>
  // CHECK: prune.project_by "s" %{{.*}}, %{{.*}} groups of 2 among <[0:4, 6] of 7> : tensor<?x7xf32>, tensor<?x3xi8>
  %a = prune.project_by "s" %x, %g groups of 2 among <[0:4, 6] of 7> : tensor<?x7xf32>, tensor<?x3xi8>
  // CHECK: prune.compact "s.passed" %{{.*}} passed : tensor<?x1xi8> -> tensor<?xi32>, tensor<i32>
  %l, %c = prune.compact "s.passed" %m passed : tensor<?x1xi8> -> tensor<?xi32>, tensor<i32>
  // CHECK: prune.compact "s.rows" %{{.*}} : tensor<?x3xi8> -> tensor<3x?xi32>, tensor<3xi32>
  %ls, %cs = prune.compact "s.rows" %g : tensor<?x3xi8> -> tensor<3x?xi32>, tensor<3xi32>
  return %p, %q, %a, %l, %c, %ls, %cs : tensor<?x7xf32>, tensor<?x7xf32>, tensor<?x7xf32>, tensor<?xi32>, tensor<i32>, tensor<3x?xi32>, tensor<3xi32>
}

// Rows of each panel, of each group of K, of each group of heads; an operand of
// an epilogue that has one element a row.
// CHECK-LABEL: func @lists
func.func @lists(%x: tensor<?x6xf32>, %w: tensor<6x6xf32>, %s: tensor<?x1xf32>, %a: tensor<?x2xf32>, %l: tensor<3x?xi32>, %c: tensor<3xi32>, %o: tensor<?x6xf32>) -> tensor<?x6xf32> {
  // CHECK: prune.gemm "g" %{{.*}}, %{{.*}} rows both(%[[L:.*]], %[[C:.*]] : tensor<3x?xi32>) per panel of 2 into %{{.*}} :
  %p = prune.gemm "g" %x, %w rows both(%l, %c : tensor<3x?xi32>) per panel of 2 into %o : tensor<?x6xf32>, tensor<6x6xf32> -> tensor<?x6xf32>
  // CHECK: decoder.rotary "q" %{{.*}}, %{{.*}} rows(%[[L]], %[[C]] : tensor<3x?xi32>) {head_dim
  %q = decoder.rotary "q" %p, %a rows(%l, %c : tensor<3x?xi32>) {head_dim = 2 : i64} : tensor<?x6xf32>, tensor<?x2xf32>
  // CHECK: prune.gemm "h" %{{.*}}, %{{.*}} rows both(%[[L]], %[[C]] : tensor<3x?xi32>) per group of 2 epilogue(%{{.*}}: f32, %{{.*}}: f32 = %{{.*}} : tensor<?x1xf32>)
  %h = prune.gemm "h" %q, %w rows both(%l, %c : tensor<3x?xi32>) per group of 2 epilogue(%acc: f32, %e: f32 = %s : tensor<?x1xf32>) {
    %m = arith.mulf %acc, %e : f32
    prune.yield %m : f32
  } : tensor<?x6xf32>, tensor<6x6xf32> -> tensor<?x6xf32>
  return %h : tensor<?x6xf32>
}

// A name for the value of a product that nothing is fused with.
// CHECK-LABEL: func @value
func.func @value(%x: tensor<?x6xf32>, %w: tensor<2x6xf32>) -> tensor<?x2xf32> {
  // CHECK: prune.gemm "router.out" %{{.*}}, %{{.*}} value "router" : tensor<?x6xf32>, tensor<2x6xf32> -> tensor<?x2xf32>
  %y = prune.gemm "router.out" %x, %w value "router" : tensor<?x6xf32>, tensor<2x6xf32> -> tensor<?x2xf32>
  return %y : tensor<?x2xf32>
}
