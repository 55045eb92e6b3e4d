// Each error of prune-apply-plan: what was expected, what was found, where.

// names no site
// RUN: %python %S/Inputs/with_plan.py %S/Inputs/tiny.mlir 'prune.skip "layers.*.moe"' > %t.0.mlir
// RUN: not coppice-opt %t.0.mlir --prune-apply-plan 2>&1 | FileCheck %s --check-prefix=E0
// E0: error: {{.*}}'layers.*.moe' names no layer or sublayer of the model; the model has layers 0 to 2, with sublayers such as 'layers.0.attn'

// out of range
// RUN: %python %S/Inputs/with_plan.py %S/Inputs/tiny.mlir 'prune.skip "layers.{1,3}.mlp"' > %t.1.mlir
// RUN: not coppice-opt %t.1.mlir --prune-apply-plan 2>&1 | FileCheck %s --check-prefix=E1
// E1: error: {{.*}}'3' in 'layers.{1,3}.mlp' is out of range: nothing of the model matches it; the model has layers 0 to 2

// range out of range
// RUN: %python %S/Inputs/with_plan.py %S/Inputs/tiny.mlir 'prune.skip "layers.[1-4]"' > %t.2.mlir
// RUN: not coppice-opt %t.2.mlir --prune-apply-plan 2>&1 | FileCheck %s --check-prefix=E2
// E2: error: {{.*}}'3' in 'layers.[1-4]' is out of range

// index twice
// RUN: %python %S/Inputs/with_plan.py %S/Inputs/tiny.mlir 'prune.skip "layers.{1,1}.mlp"' > %t.3.mlir
// RUN: not coppice-opt %t.3.mlir --prune-apply-plan 2>&1 | FileCheck %s --check-prefix=E3
// E3: error: {{.*}}expected each alternative once, found '1' twice

// index twice in ranges
// RUN: %python %S/Inputs/with_plan.py %S/Inputs/tiny.mlir 'prune.skip "layers.{1,[0-2]}.mlp"' > %t.4.mlir
// RUN: not coppice-opt %t.4.mlir --prune-apply-plan 2>&1 | FileCheck %s --check-prefix=E4
// E4: error: {{.*}}expected each index once, found 1 twice

// broken glob
// RUN: %python %S/Inputs/with_plan.py %S/Inputs/tiny.mlir 'prune.skip "layers.{1.mlp"' > %t.5.mlir
// RUN: not coppice-opt %t.5.mlir --prune-apply-plan 2>&1 | FileCheck %s --check-prefix=E5
// E5: error: {{.*}}expected '}' after '{1.mlp'

// skip and keep
// RUN: %python %S/Inputs/with_plan.py %S/Inputs/tiny.mlir 'prune.skip "layers.1.mlp"; prune.keep "layers.*.mlp" channels = #prune.set<[0] of 5>' > %t.6.mlir
// RUN: not coppice-opt %t.6.mlir --prune-apply-plan 2>&1 | FileCheck %s --check-prefix=E6
// E6: error: {{.*}}'layers.1.mlp' is decided about twice

// layer and sublayer
// RUN: %python %S/Inputs/with_plan.py %S/Inputs/tiny.mlir 'prune.skip "layers.1"; prune.skip "layers.1.attn"' > %t.7.mlir
// RUN: not coppice-opt %t.7.mlir --prune-apply-plan 2>&1 | FileCheck %s --check-prefix=E7
// E7: error: {{.*}}'layers.1.attn' is decided about twice

// two keeps
// RUN: %python %S/Inputs/with_plan.py %S/Inputs/tiny.mlir 'prune.keep "layers.0.mlp" channels = #prune.set<[0] of 5>; prune.keep "layers.*.mlp" channels = #prune.set<[1] of 5>' > %t.8.mlir
// RUN: not coppice-opt %t.8.mlir --prune-apply-plan 2>&1 | FileCheck %s --check-prefix=E8
// E8: error: {{.*}}'layers.0.mlp' is decided about twice

// empty set
// RUN: %python %S/Inputs/with_plan.py %S/Inputs/tiny.mlir 'prune.keep "layers.0.mlp" channels = #prune.set<none of 5>' > %t.9.mlir
// RUN: not coppice-opt %t.9.mlir --prune-apply-plan 2>&1 | FileCheck %s --check-prefix=E9
// E9: error: {{.*}}channels of 'layers.0.mlp', of which there are 5: expected at least one to remain, found none; 'prune.skip' removes the whole sublayer

// heads that are not KV heads
// RUN: %python %S/Inputs/with_plan.py %S/Inputs/tiny.mlir 'prune.keep "layers.0.attn" kv_heads = #prune.set<[0, 3] of 6>' > %t.10.mlir
// RUN: not coppice-opt %t.10.mlir --prune-apply-plan 2>&1 | FileCheck %s --check-prefix=E10
// E10: error: {{.*}}kv_heads of 'layers.0.attn', of which there are 3: expected a set of 3, as many as the model has, found one of 6

// wrong dimension
// RUN: %python %S/Inputs/with_plan.py %S/Inputs/tiny.mlir 'prune.keep "layers.*.*" channels = #prune.set<[0] of 5>' > %t.11.mlir
// RUN: not coppice-opt %t.11.mlir --prune-apply-plan 2>&1 | FileCheck %s --check-prefix=E11
// E11: error: {{.*}}'layers.0.attn' has kv_heads to keep, found channels

// layers have no width
// RUN: %python %S/Inputs/with_plan.py %S/Inputs/tiny.mlir 'prune.keep "layers.0" channels = #prune.set<[0] of 5>' > %t.12.mlir
// RUN: not coppice-opt %t.12.mlir --prune-apply-plan 2>&1 | FileCheck %s --check-prefix=E12
// E12: error: {{.*}}'layers.0' names whole layers, expected sublayers such as 'layers.0.attn'

// missing file
// RUN: %python %S/Inputs/with_plan.py %S/Inputs/tiny.mlir 'prune.keep "layers.0.mlp" channels = #prune.file_set<"nowhere.safetensors", "mlp">' > %t.13.mlir
// RUN: not coppice-opt %t.13.mlir --prune-apply-plan 2>&1 | FileCheck %s --check-prefix=E13
// E13: error: {{.*}}nowhere.safetensors

// hidden: no boundary
// RUN: %python %S/Inputs/with_plan.py %S/Inputs/tiny.mlir 'prune.keep "layers.*.moe" hidden = #prune.set<[0] of 7>' > %t.h0.mlir
// RUN: not coppice-opt %t.h0.mlir --prune-apply-plan 2>&1 | FileCheck %s --check-prefix=H0
// H0: error: {{.*}}'layers.*.moe' names no boundary; the residual stream of the model has the boundaries 'embed' and 'layers.0.attn' to 'layers.2.mlp'

// hidden: out of range
// RUN: %python %S/Inputs/with_plan.py %S/Inputs/tiny.mlir 'prune.keep "layers.[2-3].mlp" hidden = #prune.set<[0] of 7>' > %t.h1.mlir
// RUN: not coppice-opt %t.h1.mlir --prune-apply-plan 2>&1 | FileCheck %s --check-prefix=H1
// H1: error: {{.*}}'3' in 'layers.[2-3].mlp' is out of range

// hidden: twice
// RUN: %python %S/Inputs/with_plan.py %S/Inputs/tiny.mlir 'prune.keep "layers.1.*" hidden = #prune.set<[0] of 7>; prune.keep "layers.*.mlp" hidden = #prune.set<[0] of 7>' > %t.h2.mlir
// RUN: not coppice-opt %t.h2.mlir --prune-apply-plan 2>&1 | FileCheck %s --check-prefix=H2
// H2: error: {{.*}}the hidden dimension at 'layers.1.mlp' is decided about twice

// hidden: another size, and nothing
// RUN: %python %S/Inputs/with_plan.py %S/Inputs/tiny.mlir 'prune.keep "embed" hidden = #prune.set<[0] of 8>' > %t.h3.mlir
// RUN: not coppice-opt %t.h3.mlir --prune-apply-plan 2>&1 | FileCheck %s --check-prefix=H3
// H3: error: {{.*}}hidden of 'embed', of which there are 7: expected a set of 7, as many as the model has, found one of 8
// RUN: %python %S/Inputs/with_plan.py %S/Inputs/tiny.mlir 'prune.keep "embed" hidden = #prune.set<none of 7>' > %t.h4.mlir
// RUN: not coppice-opt %t.h4.mlir --prune-apply-plan 2>&1 | FileCheck %s --check-prefix=H4
// H4: error: {{.*}}expected at least one to remain, found none{{$}}
