// RUN: %python %S/Inputs/with_plan.py %S/Inputs/tiny.mlir 'prune.keep "embed" hidden = #prune.set<[0, 2:5] of 7>; prune.keep "layers.*.*" hidden = #prune.set<[0, 2:5] of 7>; prune.keep "layers.0.mlp" channels = #prune.set<[1] of 5>' > %t.same.mlir
// RUN: coppice-opt %t.same.mlir --prune-apply-plan | FileCheck %s
// RUN: coppice-opt %t.same.mlir --prune-apply-plan --prune-propagate --prune-fold-restricts | FileCheck %s --check-prefix=SAME

// A decision about the hidden dimension projects the columns of the residual
// stream, for all who read it; one about the sublayer's own width is another.
// CHECK: %[[E:.*]] = decoder.lookup "embed"
// CHECK-NEXT: %[[P:.*]] = prune.project "embed.hidden" %[[E]] axis 1 keep #prune.set<[0, 2:5] of 7> in tensor<?x7xf32>
// CHECK-NOT: %[[E]]
// CHECK: decoder.rms_norm "layers.0.attn.norm" %[[P]]
// CHECK: prune.project "layers.0.attn.hidden"
// CHECK: prune.project "layers.0.mlp" {{.*}} keep #prune.set<[1] of 5>
// CHECK: prune.project "layers.2.mlp.hidden"

// With one set for all, nothing of the hidden dimension is left whole: tables,
// norms (with their old divisor), inputs, outputs, the head; and no map.
// SAME-NOT: prune.{{project|restrict|extend}}
// SAME-DAG: @embed.weight({{.*}}) : tensor<11x4xbf16> {{.*}}prune.kept = {{\[\[}}1, #prune.set<[0, 2:5] of 7>]]
// SAME-DAG: @layers.0.attn.norm.weight({{.*}}) : tensor<4xbf16>
// SAME-DAG: @layers.0.attn.q.weight({{.*}}) : tensor<12x4xbf16>
// SAME-DAG: @layers.0.attn.o.weight({{.*}}) : tensor<4x12xbf16>
// SAME-DAG: @layers.0.mlp.down.weight({{.*}}) : tensor<4x1xbf16>
// SAME-DAG: @layers.1.attn.o.bias({{.*}}) : tensor<4xbf16>
// SAME: func.func @forward
// SAME-NOT: x7xf32
// SAME: decoder.rms_norm "layers.0.attn.norm" {{.*}}divisor = 7 : i64{{.*}} : tensor<?x4xf32>
// SAME-NOT: x7xf32
// SAME: decoder.lookup "head.rows" {{.*}} -> tensor<?x4xf32>
// SAME: prune.gemm "lm_head" {{.*}} : tensor<?x4xf32>, tensor<11x4xbf16> -> tensor<?x11xf32>
// SAME-NOT: x7xf32

// Where two boundaries differ there is an index map, and there only.
// RUN: %python %S/Inputs/with_plan.py %S/Inputs/tiny.mlir 'prune.keep "embed" hidden = #prune.set<[0:4] of 7>; prune.keep "layers.{0,1}.*" hidden = #prune.set<[0:4] of 7>; prune.keep "layers.2.*" hidden = #prune.set<[1, 3:6] of 7>' > %t.map.mlir
// RUN: coppice-opt %t.map.mlir --prune-apply-plan --prune-propagate --prune-fold-restricts | FileCheck %s --check-prefix=MAP
// MAP-NOT: prune.{{restrict|extend}}
// MAP: decoder.attention "layers.2.attn.core"
// MAP: %[[S:.*]] = prune.restrict %{{.*}} axis 1 keep #prune.set<[1, 3] of 4> in tensor<?x4xf32> -> tensor<?x2xf32>
// MAP: %[[X:.*]] = prune.extend %[[S]] axis 1 keep #prune.set<[0:2] of 4> in tensor<?x2xf32> -> tensor<?x4xf32>
// MAP-NOT: prune.{{restrict|extend}}

// What is before a skipped sublayer keeps only columns that are kept behind it,
// too: two decisions about one value. This goes for a skipped attention, though
// its keys and values were appended to caches: these go first.
// RUN: %python %S/Inputs/with_plan.py %S/Inputs/tiny.mlir 'prune.keep "layers.0.*" hidden = #prune.set<[0:4] of 7>; prune.skip "layers.1.attn"; prune.skip "layers.2.mlp"; prune.keep "layers.1.attn" hidden = #prune.set<[1, 3:6] of 7>; prune.keep "layers.2.attn" hidden = #prune.set<[2:5, 6] of 7>; prune.keep "layers.2.mlp" hidden = #prune.set<[1, 3:5] of 7>' > %t.skipped.mlir
// RUN: coppice-opt %t.skipped.mlir --prune-apply-plan --prune-propagate --prune-fold-restricts | FileCheck %s --check-prefix=SKIPPED
// SKIPPED: prune.gemm "layers.0.mlp.down" {{.*}} -> tensor<?x2xf32>
// SKIPPED: prune.restrict %{{.*}} axis 1 keep #prune.set<[1, 3] of 4>
// SKIPPED: %[[X:.*]] = linalg.generic {{.*}}prune.site = "layers.0.mlp"
// SKIPPED-NOT: prune.{{restrict|extend}}
// SKIPPED: %[[E:.*]] = prune.extend %[[X]] axis 1 keep #prune.set<[1, 3] of 7> in tensor<?x2xf32> -> tensor<?x7xf32>
// SKIPPED: decoder.rms_norm "layers.1.mlp.norm" %[[X]],
// SKIPPED-NOT: prune.{{restrict|extend}}
// SKIPPED: linalg.generic {{.*}} ins(%[[E]], {{.*}}prune.site = "layers.1.mlp"
// SKIPPED: prune.gemm "layers.2.attn.o" {{.*}} -> tensor<?x2xf32>
// SKIPPED: decoder.rms_norm "final.norm" {{.*}} : tensor<?x2xf32>
