// Each error of a decision about weights: what was expected, what was found, where.

// RUN: %python %S/Inputs/make_tensors.py %t.safetensors layers.0.mlp.gate.u:BF16:5x2 layers.0.mlp.gate.v:F32:2x7 layers.1.mlp.gate.u:BF16:5x2 layers.1.mlp.gate.v:BF16:3x7 layers.0.mlp.up.u:BF16:5x2 layers.0.mlp.up.v:BF16:2x7 layers.0.mlp.gate.mask:F32:5x7 layers.0.mlp.up.mask:U8:7x5

// names no weight
// RUN: %python %S/Inputs/with_plan.py %S/Inputs/tiny.mlir 'prune.factor "layers.*.moe.up" rank = 2' > %t.0.mlir
// RUN: not coppice-opt %t.0.mlir --prune-apply-plan 2>&1 | FileCheck %s --check-prefix=E0
// E0: error: {{.*}}'layers.*.moe.up' names no matrix multiplication of the model; the model has such as 'layers.0.attn.q' and 'lm_head'

// a sublayer is no weight
// RUN: %python %S/Inputs/with_plan.py %S/Inputs/tiny.mlir 'prune.pattern "layers.0.mlp" axis(K) = 2 of 4' > %t.1.mlir
// RUN: not coppice-opt %t.1.mlir --prune-apply-plan 2>&1 | FileCheck %s --check-prefix=E1
// E1: error: {{.*}}'layers.0.mlp' names no matrix multiplication of the model

// out of range
// RUN: %python %S/Inputs/with_plan.py %S/Inputs/tiny.mlir 'prune.mask "layers.{1,3}.mlp.up" sparsity = 0.5' > %t.2.mlir
// RUN: not coppice-opt %t.2.mlir --prune-apply-plan 2>&1 | FileCheck %s --check-prefix=E2
// E2: error: {{.*}}'3' in 'layers.{1,3}.mlp.up' is out of range: nothing of the model matches it

// broken glob
// RUN: %python %S/Inputs/with_plan.py %S/Inputs/tiny.mlir 'prune.factor "layers.{1" rank = 2' > %t.3.mlir
// RUN: not coppice-opt %t.3.mlir --prune-apply-plan 2>&1 | FileCheck %s --check-prefix=E3
// E3: error: {{.*}}expected '}' after '{1'

// factors and a pattern
// RUN: %python %S/Inputs/with_plan.py %S/Inputs/tiny.mlir 'prune.factor "layers.*.mlp.up" rank = 2; prune.pattern "layers.1.mlp.*" axis(K) = 2 of 4' > %t.4.mlir
// RUN: not coppice-opt %t.4.mlir --prune-apply-plan 2>&1 | FileCheck %s --check-prefix=E4
// E4: error: {{.*}}the weight of 'layers.1.mlp.up' is decided about twice

// two patterns
// RUN: %python %S/Inputs/with_plan.py %S/Inputs/tiny.mlir 'prune.pattern "layers.1.mlp.*" axis(K) = 2 of 4 by magnitude; prune.mask "layers.*.mlp.down" sparsity = 0.5' > %t.5.mlir
// RUN: not coppice-opt %t.5.mlir --prune-apply-plan 2>&1 | FileCheck %s --check-prefix=E5
// E5: error: {{.*}}the weight of 'layers.1.mlp.down' is decided about twice

// of what is gone
// RUN: %python %S/Inputs/with_plan.py %S/Inputs/tiny.mlir 'prune.skip "layers.1.mlp"; prune.factor "layers.1.mlp.{up,gate}" rank = 2' > %t.6.mlir
// RUN: not coppice-opt %t.6.mlir --prune-apply-plan 2>&1 | FileCheck %s --check-prefix=E6
// E6: error: {{.*}}expected 'layers.1.mlp.{up,gate}' to name a weight that is left, found only such of sublayers that are skipped

// rank
// RUN: %python %S/Inputs/with_plan.py %S/Inputs/tiny.mlir 'prune.factor "layers.0.mlp.up" rank = 6' > %t.7.mlir
// RUN: not coppice-opt %t.7.mlir --prune-apply-plan 2>&1 | FileCheck %s --check-prefix=E7
// E7: error: {{.*}}expected a rank of at most 5 for the 5 x 7 weight of 'layers.0.mlp.up', found 6

// rank beside retained rows
// RUN: %python %S/Inputs/with_plan.py %S/Inputs/tiny.mlir 'prune.factor "layers.0.mlp.up" rank = 4 retain = #prune.set<[0, 4] of 5>' > %t.8.mlir
// RUN: not coppice-opt %t.8.mlir --prune-apply-plan 2>&1 | FileCheck %s --check-prefix=E8
// E8: error: {{.*}}expected a rank of at most 3 for the 3 x 7 weight of 'layers.0.mlp.up', found 4

// all rows
// RUN: %python %S/Inputs/with_plan.py %S/Inputs/tiny.mlir 'prune.factor "layers.0.mlp.up" rank = 1 retain = #prune.set<[0:5] of 5>' > %t.9.mlir
// RUN: not coppice-opt %t.9.mlir --prune-apply-plan 2>&1 | FileCheck %s --check-prefix=E9
// E9: error: {{.*}}rows of 'layers.0.mlp.up', of which there are 5: expected some not to be retained, found none

// rows of another weight
// RUN: %python %S/Inputs/with_plan.py %S/Inputs/tiny.mlir 'prune.factor "layers.*.mlp.*" rank = 1 retain = #prune.set<[0] of 5>' > %t.10.mlir
// RUN: not coppice-opt %t.10.mlir --prune-apply-plan 2>&1 | FileCheck %s --check-prefix=E10
// E10: error: {{.*}}rows of 'layers.0.mlp.down', of which there are 7: expected a set of 7

// no file
// RUN: %python %S/Inputs/with_plan.py %S/Inputs/tiny.mlir 'prune.factor "layers.0.mlp.up" from "nowhere.safetensors"' > %t.11.mlir
// RUN: not coppice-opt %t.11.mlir --prune-apply-plan 2>&1 | FileCheck %s --check-prefix=E11
// E11: error: {{.*}}nowhere.safetensors

// no mask file
// RUN: %python %S/Inputs/with_plan.py %S/Inputs/tiny.mlir 'prune.mask "layers.0.mlp.up" from "nowhere.safetensors"' > %t.12.mlir
// RUN: not coppice-opt %t.12.mlir --prune-apply-plan 2>&1 | FileCheck %s --check-prefix=E12
// E12: error: {{.*}}nowhere.safetensors

// no left factor
// RUN: %python %S/Inputs/with_plan.py %S/Inputs/tiny.mlir 'prune.factor "layers.0.mlp.down" from "%t.safetensors"' > %t.13.mlir
// RUN: not coppice-opt %t.13.mlir --prune-apply-plan 2>&1 | FileCheck %s --check-prefix=E13
// E13: error: {{.*}}expected a tensor 'layers.0.mlp.down.u' in '{{.*}}.safetensors', found none

// another type
// RUN: %python %S/Inputs/with_plan.py %S/Inputs/tiny.mlir 'prune.factor "layers.0.mlp.gate" from "%t.safetensors"' > %t.14.mlir
// RUN: not coppice-opt %t.14.mlir --prune-apply-plan 2>&1 | FileCheck %s --check-prefix=E14
// E14: error: {{.*}}'layers.0.mlp.gate.v' of '{{.*}}.safetensors': expected two axes of 'bf16', as the weight has, found 2 of F32

// another shape
// RUN: %python %S/Inputs/with_plan.py %S/Inputs/tiny.mlir 'prune.factor "layers.1.mlp.gate" from "%t.safetensors"' > %t.15.mlir
// RUN: not coppice-opt %t.15.mlir --prune-apply-plan 2>&1 | FileCheck %s --check-prefix=E15
// E15: error: {{.*}}expected factors [5, rank] and [rank, 7] of 'layers.1.mlp.gate' in '{{.*}}.safetensors', found [5, 2] and [3, 7]

// another rank
// RUN: %python %S/Inputs/with_plan.py %S/Inputs/tiny.mlir 'prune.factor "layers.0.mlp.up" rank = 3 from "%t.safetensors"' > %t.16.mlir
// RUN: not coppice-opt %t.16.mlir --prune-apply-plan 2>&1 | FileCheck %s --check-prefix=E16
// E16: error: {{.*}}expected factors of rank 3 of 'layers.0.mlp.up' in '{{.*}}.safetensors', found rank 2

// a mask of numbers
// RUN: %python %S/Inputs/with_plan.py %S/Inputs/tiny.mlir 'prune.mask "layers.0.mlp.gate" from "%t.safetensors"' > %t.17.mlir
// RUN: not coppice-opt %t.17.mlir --prune-apply-plan 2>&1 | FileCheck %s --check-prefix=E17
// E17: error: {{.*}}'layers.0.mlp.gate.mask' of '{{.*}}.safetensors': expected two axes of BOOL or U8, found 2 of F32

// a mask of another shape
// RUN: %python %S/Inputs/with_plan.py %S/Inputs/tiny.mlir 'prune.mask "layers.0.mlp.up" from "%t.safetensors"' > %t.18.mlir
// RUN: not coppice-opt %t.18.mlir --prune-apply-plan 2>&1 | FileCheck %s --check-prefix=E18
// E18: error: {{.*}}'layers.0.mlp.up.mask' of '{{.*}}.safetensors': expected the shape of the weight, [5, 7], found [7, 5]

// what is replaced is no dense model
// RUN: %python %S/Inputs/with_plan.py %S/Inputs/tiny.mlir 'prune.factor "layers.0.mlp.up" rank = 2' > %t.twice.mlir
// RUN: not coppice-opt %t.twice.mlir --prune-apply-plan --prune-apply-plan 2>&1 | FileCheck %s --check-prefix=TWICE
// TWICE: error: expected a dense module to apply a plan to, found a replaced weight
