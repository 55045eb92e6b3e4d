// RUN: coppice-opt %s --prune-fold-restricts | FileCheck %s

// Both axes fold into one global, which takes the dense one's name; one that is
// still used stays beside it; what nothing uses goes.

// CHECK: ml_program.global private @w({{.*}}) : tensor<3x2xbf16> {prune.kept = {{\[\[}}0, #prune.set<[0, 3:5] of 5>], [1, #prune.set<[0, 2] of 3>]]}
ml_program.global private @w(#ml_program.extern : tensor<5x3xbf16>) : tensor<5x3xbf16>
// CHECK: ml_program.global private @tied({{.*}}) : tensor<7x3xbf16>
// CHECK-NEXT: ml_program.global private @tied_{{[0-9]+}}({{.*}}) : tensor<7x2xbf16> {prune.kept = {{\[\[}}1, #prune.set<[1:3] of 3>]]}
ml_program.global private @tied(#ml_program.extern : tensor<7x3xbf16>) : tensor<7x3xbf16>
// CHECK-NOT: @dead
ml_program.global private @dead(#ml_program.extern : tensor<7x3xbf16>) : tensor<7x3xbf16>
// CHECK: ml_program.global public @exported
ml_program.global public @exported(#ml_program.extern : tensor<7xf32>) : tensor<7xf32>
// CHECK: ml_program.global private @bias(dense<[1.000000e+00, 3.000000e+00]> : tensor<2xf32>)
ml_program.global private @bias(dense<[1.0, 2.0, 3.0]> : tensor<3xf32>) : tensor<3xf32>

// CHECK-LABEL: @f
func.func @f(%x: tensor<5xf32>) -> (tensor<3x2xbf16>, tensor<7x3xbf16>, tensor<7x2xbf16>, tensor<2xf32>, tensor<2x1xf32>, tensor<2xf32>) {
  // CHECK-DAG: ml_program.global_load_const @w : tensor<3x2xbf16>
  %w = ml_program.global_load_const @w : tensor<5x3xbf16>
  %a = prune.restrict %w axis 0 keep #prune.set<[0, 3:5] of 5> in tensor<5x3xbf16> -> tensor<3x3xbf16>
  %b = prune.restrict %a axis 1 keep #prune.set<[0, 2] of 3> in tensor<3x3xbf16> -> tensor<3x2xbf16>
  %t = ml_program.global_load_const @tied : tensor<7x3xbf16>
  %u = prune.restrict %t axis 1 keep #prune.set<[1:3] of 3> in tensor<7x3xbf16> -> tensor<7x2xbf16>
  %v = ml_program.global_load_const @bias : tensor<3xf32>
  %k = prune.restrict %v axis 0 keep #prune.set<[0, 2] of 3> in tensor<3xf32> -> tensor<2xf32>
  // CHECK-DAG: arith.constant dense<{{\[\[}}2.000000e+00], [5.000000e+00]]> : tensor<2x1xf32>
  %c = arith.constant dense<[[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]> : tensor<2x3xf32>
  %d = prune.restrict %c axis 1 keep #prune.set<[1] of 3> in tensor<2x3xf32> -> tensor<2x1xf32>
  // A computed value is left alone.
  // CHECK: prune.restrict
  %r = prune.restrict %x axis 0 keep #prune.set<[1, 4] of 5> in tensor<5xf32> -> tensor<2xf32>
  return %b, %t, %u, %k, %d, %r : tensor<3x2xbf16>, tensor<7x3xbf16>, tensor<7x2xbf16>, tensor<2xf32>, tensor<2x1xf32>, tensor<2xf32>
}
