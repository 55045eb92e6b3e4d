// RUN: coppice-opt %s --decoder-to-linalg --split-input-file | FileCheck %s
// RUN: coppice-opt %s --decoder-to-linalg --split-input-file \
// RUN:   --one-shot-bufferize="bufferize-function-boundaries=true function-boundary-type-conversion=identity-layout-map" \
// RUN:   | FileCheck %s --check-prefix=BUFFER
// RUN: coppice-opt %s --decoder-to-linalg --split-input-file \
// RUN:   --one-shot-bufferize="bufferize-function-boundaries=true function-boundary-type-conversion=identity-layout-map" \
// RUN:   --convert-func-to-llvm | FileCheck %s --check-prefix=LLVM

// The values are tested in test/unit/Decoder; here are names, what moves along,
// and that a cache is never copied.

// CHECK-LABEL: @norm
// CHECK: linalg.fill {prune.site = "norm.zero"}
// CHECK: linalg.generic {{.*}}iterator_types = ["parallel", "reduction"]{{.*}}attrs = {prune.site = "norm.squares"}
// CHECK: linalg.generic {{.*}}attrs = {prune.kept = [], prune.site = "norm"}
// CHECK: arith.divf %{{.*}}, %[[DIVISOR:.*]] :
// CHECK-NOT: decoder.
func.func @norm(%x: tensor<?x5xf32>, %g: tensor<5xbf16>) -> tensor<?x5xf32> {
  %n = decoder.rms_norm "norm" %x, %g {epsilon = 1.0e-5 : f32, divisor = 7 : i64, prune.kept = []}
    : tensor<?x5xf32>, tensor<5xbf16>
  return %n : tensor<?x5xf32>
}

// -----

// The update goes through one carried value of the loop.
// CHECK-LABEL: @append
// CHECK-SAME: %[[ROWS:[a-z0-9]+]]: tensor<?x5xf32>, %[[CACHE:[a-z0-9]+]]: tensor<?x?x5xbf16>
// CHECK: %[[NARROW:.*]] = linalg.generic {{.*}}attrs = {prune.site = "append.narrowed"}
// CHECK: arith.truncf
// CHECK: %[[LOOP:.*]] = scf.for {{.*}} iter_args(%[[CARRIED:.*]] = %[[CACHE]])
// CHECK: %[[ROW:.*]] = tensor.extract_slice %[[NARROW]]
// CHECK: %[[NEXT:.*]] = tensor.insert_slice %[[ROW]] into %[[CARRIED]]
// CHECK: scf.yield %[[NEXT]]
// CHECK: } {prune.site = "append"}
// CHECK: return %[[LOOP]]

// No cache is allocated or copied: what is copied is one row, what is allocated
// is the narrowed rows. Attention then reads the updated cache.
// BUFFER-LABEL: @append
// BUFFER-SAME: %{{.*}}: memref<?x5xf32>, %[[CACHE:[a-z0-9]+]]: memref<?x?x5xbf16>
// BUFFER-NOT: memref.alloc({{.*}}) {{.*}}: memref<?x?x5xbf16>
// BUFFER: memref.copy %{{.*}}, %{{.*}} : memref<5xbf16, strided<[1], offset: ?>> to memref<5xbf16, strided<[1], offset: ?>>
// BUFFER-NOT: memref.copy
// BUFFER: return %{{.*}} : memref<?x5xf32>, memref<?x?x5xbf16>
func.func @append(%x: tensor<?x5xf32>, %c: tensor<?x?x5xbf16>, %s: tensor<?xi32>, %p: tensor<?xi32>)
    -> (tensor<?x5xf32>, tensor<?x?x5xbf16>) {
  %r = decoder.append "append" %x into %c at %s, %p : tensor<?x5xf32> into tensor<?x?x5xbf16>
  %a = decoder.attention "core" %x, %r, %r at %s, %p {head_dim = 5 : i64, scale = 0.5 : f32}
    : tensor<?x5xf32>, tensor<?x?x5xbf16>
  return %a, %r : tensor<?x5xf32>, tensor<?x?x5xbf16>
}

// -----

// An f32 cache needs no narrowing.
// CHECK-LABEL: @append_f32
// CHECK-NOT: linalg
// CHECK: scf.for
func.func @append_f32(%x: tensor<3x5xf32>, %c: tensor<?x?x5xf32>, %s: tensor<3xi32>, %p: tensor<3xi32>) -> tensor<?x?x5xf32> {
  %r = decoder.append "append" %x into %c at %s, %p : tensor<3x5xf32> into tensor<?x?x5xf32>
  return %r : tensor<?x?x5xf32>
}

// -----

// Heads are addressed by maps; nothing is reshaped.
// CHECK-DAG: #[[Q:.*]] = affine_map<(d0, d1, d2, d3) -> (d0, d1 * 3 + d3)>
// CHECK-DAG: #[[P:.*]] = affine_map<(d0, d1, d2) -> (d0, d1 floordiv 3, d2)>
// CHECK-LABEL: @attention
// CHECK-NOT: shape
// CHECK: linalg.fill {prune.site = "core.zero"}
// CHECK: linalg.generic {indexing_maps = [#[[Q]],{{.*}}attrs = {prune.site = "core.dots"}
// CHECK: linalg.generic {{.*}}attrs = {prune.site = "core.scores"}
// CHECK: linalg.generic {{.*}}attrs = {prune.site = "core.largest"}
// CHECK: linalg.generic {{.*}}attrs = {prune.site = "core.weights"}
// CHECK: math.exp
// CHECK: linalg.generic {{.*}}attrs = {prune.site = "core.total"}
// CHECK: linalg.generic {{.*}}attrs = {prune.site = "core.softmax"}
// CHECK: linalg.generic {indexing_maps = [#[[P]],{{.*}}attrs = {prune.site = "core"}
func.func @attention(%q: tensor<?x12xf32>, %k: tensor<?x?x6xf16>, %v: tensor<?x?x6xf16>, %s: tensor<?xi32>, %p: tensor<?xi32>) -> tensor<?x12xf32> {
  %a = decoder.attention "core" %q, %k, %v at %s, %p {head_dim = 3 : i64, scale = 0.5 : f32}
    : tensor<?x12xf32>, tensor<?x?x6xf16>
  return %a : tensor<?x12xf32>
}

// -----

// What has no site (the op of a kernel that many sites share) gives it to nothing.
// CHECK-LABEL: @no_site
// CHECK-NOT: prune.site
func.func @no_site(%x: tensor<?x5xf32>, %g: tensor<5xf32>) -> tensor<?x5xf32> {
  %n = decoder.rms_norm "" %x, %g {epsilon = 1.0e-5 : f32, divisor = 5 : i64} : tensor<?x5xf32>, tensor<5xf32>
  return %n : tensor<?x5xf32>
}

// -----

// Aggregated ops of other dialects are not ours to take apart.
// CHECK-LABEL: @left_alone
// CHECK: linalg.softmax
func.func @left_alone(%x: tensor<3x5xf32>, %y: tensor<3x5xf32>) -> tensor<3x5xf32> {
  %r = linalg.softmax dimension(1) ins(%x : tensor<3x5xf32>) outs(%y : tensor<3x5xf32>) -> tensor<3x5xf32>
  return %r : tensor<3x5xf32>
}

// -----

// A step that goes all the way down keeps the names of its arguments.
// LLVM: llvm.func @_mlir_ciface_lowered({{.*}}decoder.step = "tokens"
func.func @lowered(%t: tensor<?xi32> {decoder.step = "tokens"}, %c: tensor<?x?x5xf32> {decoder.cache = "k"})
    attributes {llvm.emit_c_interface} {
  return
}
