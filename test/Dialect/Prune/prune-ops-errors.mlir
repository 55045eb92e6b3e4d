// RUN: %coppice-opt %s --split-input-file --verify-diagnostics

// expected-error @below {{expected ascending, disjoint indices, found 3 after 4}}
#a = #prune.set<[2:5, 3] of 7>

// -----

// expected-error @below {{expected a range 'a:b' with a < b, found 5:2}}
#a = #prune.set<[5:2] of 7>

// -----

// expected-error @below {{expected indices below 7, found 7}}
#a = #prune.set<[0, 7] of 7>

// -----

// expected-error @below {{expected a granule of at least 1, found 0}}
#a = #prune.set<[0] of 7 x 0>

// -----

// expected-error @below {{expected an extent that fits 64 bits, found 4611686018427387904 granules of 4}}
#a = #prune.set<[0] of 4611686018427387904 x 4>

// -----

// expected-error @below {{expected a number of granules of at least 0, found -1}}
#a = #prune.set<none of -1>

// -----

// expected-error @below {{and the number of granules after the list of kept ones}}
#a = #prune.set<[0]>

// -----

prune.plan @plan {
  // expected-error @below {{expected a set of kv_heads with a granule of 1, found one of 16}}
  prune.keep "layers.*.attn" kv_heads = #prune.set<[0] of 4 x 16>
}

// -----

// expected-note @below {{in this plan}}
prune.plan @plan {
  // expected-error @below {{is not a pruning decision}}
  %c = arith.constant 1 : index
}

// -----

// expected-error @below {{expects parent op 'prune.plan'}}
prune.skip "layers.0"

// -----

func.func @f(%x: tensor<?x5xf32>) {
  // expected-error @below {{expected an axis below the rank 2, found 2}}
  %p = prune.project "s" %x axis 2 keep #prune.set<[0] of 5> in tensor<?x5xf32>
  return
}

// -----

func.func @f(%x: tensor<?x5xf32>) {
  // expected-error @below {{expected a set of the 5 indices of axis 1, found one of 6}}
  %p = prune.project "s" %x axis 1 keep #prune.set<[0] of 3 x 2> in tensor<?x5xf32>
  return
}

// -----

func.func @f(%x: tensor<?x5xf32>) {
  // expected-error @below {{inferred type(s) 'tensor<?x2xf32>' are incompatible with return type(s) of operation 'tensor<?x3xf32>'}}
  // expected-error @below {{failed to infer returned types}}
  %p = prune.restrict %x axis 1 keep #prune.set<[0, 1] of 5> in tensor<?x5xf32> -> tensor<?x3xf32>
  return
}

// -----

func.func @f(%x: tensor<?x3xf32>) {
  // expected-error @below {{expected an input of type 'tensor<?x2xf32>', found 'tensor<?x3xf32>'}}
  %p = prune.extend %x axis 1 keep #prune.set<[0, 1] of 5> in tensor<?x3xf32> -> tensor<?x5xf32>
  return
}

// -----

func.func @f(%x: tensor<0x3xf32>) {
  // expected-error @below {{expected an extent, since neither the set nor the result's type has one}}
  %p = prune.extend %x axis 0 keep #prune.set<none> in tensor<0x3xf32> -> tensor<?x3xf32>
  return
}

// -----

func.func @f(%x: tensor<2x3xf32>, %n: index) {
  // expected-error @below {{expected no extent, since the set or the result's type has one}}
  %p = prune.extend %x axis 0 extent %n keep #prune.set<[0:2] of 4> in tensor<2x3xf32> -> tensor<4x3xf32>
  return
}

// -----

func.func @f(%x: tensor<?x3xf32>, %w: tensor<5x4xf32>) {
  // expected-error @below {{expected 3 columns (K) of the weight, as many as of the input, found 4}}
  %p = prune.gemm "s" %x, %w : tensor<?x3xf32>, tensor<5x4xf32> -> tensor<?x5xf32>
  return
}

// -----

func.func @f(%x: tensor<?x3xf32>, %w: tensor<5x3xf32>) {
  // expected-error @below {{expected 5 columns (N) of the result, as many as rows of the weight, found 6}}
  %p = prune.gemm "s" %x, %w : tensor<?x3xf32>, tensor<5x3xf32> -> tensor<?x6xf32>
  return
}

// -----

func.func @f(%x: tensor<2x3xf32>, %w: tensor<5x3xf32>) {
  // expected-error @below {{expected 2 rows (M) of the result, as many as of the input, found 7}}
  %p = prune.gemm "s" %x, %w : tensor<2x3xf32>, tensor<5x3xf32> -> tensor<7x5xf32>
  return
}

// -----

func.func @f(%x: tensor<?x3xf32>, %w: tensor<5x3xf32>, %b: tensor<3xf32>) {
  // expected-error @below {{expected epilogue operand 0 to have the result's shape, one column, or be a vector of 5, found 'tensor<3xf32>'}}
  %p = prune.gemm "s" %x, %w epilogue(%acc: f32, %e: f32 = %b : tensor<3xf32>) {
    prune.yield %acc : f32
  } : tensor<?x3xf32>, tensor<5x3xf32> -> tensor<?x5xf32>
  return
}

// -----

func.func @f(%x: tensor<?x3xf32>, %w: tensor<5x3xf32>) {
  // expected-error @below {{expected an accumulator of 'f32', found 'bf16'}}
  %p = prune.gemm "s" %x, %w epilogue(%acc: bf16) {
    prune.yield %acc : bf16
  } : tensor<?x3xf32>, tensor<5x3xf32> -> tensor<?x5xf32>
  return
}

// -----

func.func @f(%x: tensor<?x3xf32>, %w: tensor<5x3xf32>, %b: tensor<5xbf16>) {
  // expected-error @below {{expected epilogue argument 1 to have its operand's element type 'bf16', found 'f32'}}
  %p = prune.gemm "s" %x, %w epilogue(%acc: f32, %e: f32 = %b : tensor<5xbf16>) {
    prune.yield %acc : f32
  } : tensor<?x3xf32>, tensor<5x3xf32> -> tensor<?x5xf32>
  return
}

// -----

func.func @f(%x: tensor<?x3xf32>, %w: tensor<5x3xf32>, %b: tensor<5xbf16>) {
  %p = prune.gemm "s" %x, %w epilogue(%acc: f32, %e: bf16 = %b : tensor<5xbf16>) {
    // expected-error @below {{expected the result's element type 'f32', found 'bf16'}}
    prune.yield %e : bf16
  } : tensor<?x3xf32>, tensor<5x3xf32> -> tensor<?x5xf32>
  return
}

// -----

func.func @f(%x: tensor<?x3xf32>, %w: tensor<5x3xf32>, %m: memref<f32>) {
  // expected-error @below {{expected only pure ops in the epilogue}}
  %p = prune.gemm "s" %x, %w epilogue(%acc: f32) {
    // expected-note @below {{found this one}}
    memref.store %acc, %m[] : memref<f32>
    prune.yield %acc : f32
  } : tensor<?x3xf32>, tensor<5x3xf32> -> tensor<?x5xf32>
  return
}

// -----

func.func @f(%x: tensor<?x3xf32>, %w: tensor<5x3xf32>, %b: tensor<5xf32>) {
  // expected-error @below {{expected no further operands without an epilogue, found 1}}
  %p = "prune.gemm"(%x, %w, %b) <{operandSegmentSizes = array<i32: 1, 1, 1, 0, 0, 0, 0, 0, 0, 0>, site = "s"}> ({}) : (tensor<?x3xf32>, tensor<5x3xf32>, tensor<5xf32>) -> tensor<?x5xf32>
  return
}

// -----

func.func @f(%x: tensor<?x3xf32>, %w: tensor<5x3xf32>, %b: tensor<5xf32>) {
  // expected-error @below {{expected an epilogue of 2 arguments (the accumulator and one for each further operand), found 1}}
  %p = "prune.gemm"(%x, %w, %b) <{operandSegmentSizes = array<i32: 1, 1, 1, 0, 0, 0, 0, 0, 0, 0>, site = "s"}> ({
  ^bb0(%acc: f32):
    prune.yield %acc : f32
  }) : (tensor<?x3xf32>, tensor<5x3xf32>, tensor<5xf32>) -> tensor<?x5xf32>
  return
}

// -----

func.func @f(%x: tensor<?x3xf32>, %w: tensor<5x3xf32>) {
  // expected-error @below {{expected an epilogue that ends with 'prune.yield'}}
  %p = prune.gemm "s" %x, %w epilogue(%acc: f32) {
    llvm.unreachable
  } : tensor<?x3xf32>, tensor<5x3xf32> -> tensor<?x5xf32>
  return
}

// -----

func.func @f(%x: tensor<?x8xf32>, %w: tensor<6x8xf32>, %o: tensor<?x6xf32>, %l: tensor<?xi32>, %n: tensor<i32>) {
  // expected-error @below {{expected 'gather', 'scatter' or 'both', found 'somehow'}}
  %p = prune.gemm "s" %x, %w rows somehow(%l, %n : tensor<?xi32>) into %o : tensor<?x8xf32>, tensor<6x8xf32> -> tensor<?x6xf32>
  return
}

// -----

func.func @f(%x: tensor<?x8xf32>, %w: tensor<6x8xf32>, %o: tensor<?x6xf32>, %l: tensor<?xi32>, %n: tensor<i32>) {
  // expected-error @below {{expected panels of at least 1, found 0}}
  %p = prune.gemm "s" %x, %w panels of 0(%l, %n : tensor<?xi32>) into %o : tensor<?x8xf32>, tensor<6x8xf32> -> tensor<?x6xf32>
  return
}

// -----

func.func @f(%x: tensor<?x8xf32>, %w: tensor<6x8xf32>, %o: tensor<?x6xf32>, %l: tensor<4xi32>, %n: tensor<i32>) {
  // expected-error @below {{expected a list of at most the 3 groups that there are, found one of 4}}
  %p = prune.gemm "s" %x, %w groups of 3(%l, %n : tensor<4xi32>) : tensor<?x8xf32>, tensor<6x8xf32> -> tensor<?x6xf32>
  return
}

// -----

func.func @f(%x: tensor<?x8xf32>, %w: tensor<6x8xf32>, %o: tensor<?x6xf32>, %l: tensor<?xi32>, %n: tensor<i32>) {
  // expected-error @below {{expected an 'into' for what the sets leave out, found none}}
  %p = prune.gemm "s" %x, %w panels of 2(%l, %n : tensor<?xi32>) : tensor<?x8xf32>, tensor<6x8xf32> -> tensor<?x6xf32>
  return
}

// -----

func.func @f(%x: tensor<?x8xf32>, %w: tensor<6x8xf32>, %o: tensor<?x6xf32>, %l: tensor<?xi32>, %n: tensor<i32>) {
  // expected-error @below {{expected no 'into' where sets leave nothing out, found one}}
  %p = prune.gemm "s" %x, %w groups of 2(%l, %n : tensor<?xi32>) into %o : tensor<?x8xf32>, tensor<6x8xf32> -> tensor<?x6xf32>
  return
}

// -----

func.func @f(%x: tensor<?x8xf32>, %w: tensor<6x8xf32>, %o: tensor<5x6xf32>, %l: tensor<4xi32>, %n: tensor<i32>) {
  // expected-error @below {{expected 4 rows (M) of the result, as many as the list of rows has, found 5}}
  %p = prune.gemm "s" %x, %w rows gather(%l, %n : tensor<4xi32>) into %o : tensor<?x8xf32>, tensor<6x8xf32> -> tensor<5x6xf32>
  return
}

// -----

func.func @f(%x: tensor<5x8xf32>, %w: tensor<6x8xf32>, %o: tensor<?x6xf32>, %l: tensor<4xi32>, %n: tensor<i32>) {
  // expected-error @below {{expected 4 rows (M) of the input, as many as the list of rows has, found 5}}
  %p = prune.gemm "s" %x, %w rows scatter(%l, %n : tensor<4xi32>) into %o : tensor<5x8xf32>, tensor<6x8xf32> -> tensor<?x6xf32>
  return
}

// -----

// The custom form always has a count for each list.
func.func @f(%x: tensor<?x8xf32>, %w: tensor<6x8xf32>, %o: tensor<?x6xf32>, %l: tensor<?xi32>, %n: tensor<3xi32>) {
  // expected-error @below {{expected one count of a set of rows, found 'tensor<3xi32>'}}
  %p = "prune.gemm"(%x, %w, %l, %n, %o) <{operandSegmentSizes = array<i32: 1, 1, 0, 1, 1, 0, 0, 0, 0, 1>, row_sides = 2 : i32, site = "s"}> ({}) : (tensor<?x8xf32>, tensor<6x8xf32>, tensor<?xi32>, tensor<3xi32>, tensor<?x6xf32>) -> tensor<?x6xf32>
  return
}

// -----

func.func @f(%x: tensor<5x8xf32>, %w: tensor<6x8xf32>, %o: tensor<4x6xf32>, %l: tensor<?xi32>, %n: tensor<i32>) {
  // expected-error @below {{expected 5 rows (M) of the result, as many as of the input, found 4}}
  %p = prune.gemm "s" %x, %w rows both(%l, %n : tensor<?xi32>) into %o : tensor<5x8xf32>, tensor<6x8xf32> -> tensor<4x6xf32>
  return
}

// -----

func.func @f(%x: tensor<?x8xf32>, %w: tensor<6x8xf32>, %o: tensor<?x6xf32>, %l: tensor<?xi32>, %n: tensor<i32>) {
  // expected-error @below {{expected a list, a count and a size of a set of groups, or none of them}}
  %p = "prune.gemm"(%x, %w, %l, %n) <{operandSegmentSizes = array<i32: 1, 1, 0, 0, 0, 0, 0, 1, 1, 0>, site = "s"}> ({}) : (tensor<?x8xf32>, tensor<6x8xf32>, tensor<?xi32>, tensor<i32>) -> tensor<?x6xf32>
  return
}

// -----

func.func @f(%x: tensor<?x8xf32>, %w: tensor<6x8xf32>, %o: tensor<?x6xf32>, %l: tensor<?xi32>, %n: tensor<i32>) {
  // expected-error @below {{expected a list, a count and sides of a set of rows, or none of them}}
  %p = "prune.gemm"(%x, %w, %l, %o) <{operandSegmentSizes = array<i32: 1, 1, 0, 1, 0, 0, 0, 0, 0, 1>, row_sides = 0 : i32, site = "s"}> ({}) : (tensor<?x8xf32>, tensor<6x8xf32>, tensor<?xi32>, tensor<?x6xf32>) -> tensor<?x6xf32>
  return
}

// -----

func.func @f(%x: tensor<?x8xf32>, %w: tensor<6x8xf32>, %o: tensor<?x5xf32>, %l: tensor<?xi32>, %n: tensor<i32>) {
  // expected-error @below {{expected an 'into' of the result's type 'tensor<?x6xf32>', found 'tensor<?x5xf32>'}}
  %p = "prune.gemm"(%x, %w, %l, %n, %o) <{operandSegmentSizes = array<i32: 1, 1, 0, 1, 1, 0, 0, 0, 0, 1>, row_sides = 0 : i32, site = "s"}> ({}) : (tensor<?x8xf32>, tensor<6x8xf32>, tensor<?xi32>, tensor<i32>, tensor<?x5xf32>) -> tensor<?x6xf32>
  return
}

// -----

func.func @f(%x: tensor<?x3xf32>) {
  // expected-error @below {{'prune.site' expected a string, found 3 : i64}}
  %e = tensor.cast %x {prune.site = 3} : tensor<?x3xf32> to tensor<?x?xf32>
  return
}

// -----

func.func @f(%x: tensor<?x3xf32>, %w: tensor<5x3xf32>) {
  // expected-error @below {{'prune.site' expected on ops without a site of their own}}
  %p = prune.gemm "s" %x, %w {prune.site = "t"} : tensor<?x3xf32>, tensor<5x3xf32> -> tensor<?x5xf32>
  return
}

// -----

func.func @f(%x: tensor<?x3xf32>) {
  // expected-error @below {{unknown attribute 'prune.keeps', expected 'prune.site', 'prune.kept', 'prune.pattern', 'prune.threshold', 'prune.fallback' or 'prune.fallbacks'}}
  %e = tensor.cast %x {prune.keeps = 3} : tensor<?x3xf32> to tensor<?x?xf32>
  return
}

// -----

func.func @f(%x: tensor<?x3xf32>) {
  // expected-error @below {{'prune.threshold' expected a float that is finite and not negative, found -1.000000e+00 : f64}}
  %e = tensor.cast %x {prune.threshold = -1.0 : f64} : tensor<?x3xf32> to tensor<?x?xf32>
  return
}

// -----

func.func @f(%x: tensor<?x3xf32>, %w: tensor<5x3xf32>) {
  // expected-error @below {{'prune.kept' expected a set of 5 indices for axis 1, found one of 4}}
  %p = prune.gemm "s" %x, %w {prune.kept = [[1, #prune.set<[0:4] of 7>]]} : tensor<?x3xf32>, tensor<5x3xf32> -> tensor<?x5xf32>
  return
}

// -----

func.func @f(%x: tensor<?x3xf32>, %w: tensor<5x3xf32>) {
  // expected-error @below {{'prune.kept' expected pairs [axis, set], found 1 : i64}}
  %p = prune.gemm "s" %x, %w {prune.kept = [1]} : tensor<?x3xf32>, tensor<5x3xf32> -> tensor<?x5xf32>
  return
}

// -----

func.func @f(%x: tensor<?x3xf32>, %w: tensor<5x3xf32>) {
  // expected-error @below {{'prune.kept' expected ascending axes, found 1 after 1}}
  %p = prune.gemm "s" %x, %w {prune.kept = [[1, #prune.set<[0:5] of 7>], [1, #prune.set<[0:5] of 7>]]} : tensor<?x3xf32>, tensor<5x3xf32> -> tensor<?x5xf32>
  return
}

// -----

// expected-error @below {{'prune.kept' expected an axis below the rank 1, found 2}}
func.func @f(%x: tensor<?xf32> {prune.kept = [[2, #prune.set<[0:5] of 7>]]}) {
  return
}

// -----

// expected-error @below {{unknown argument attribute 'prune.hello', expected 'prune.kept'}}
func.func @f(%x: tensor<?xf32> {prune.hello = 3}) {
  return
}

// -----

func.func @f(%x: tensor<?x5xf32>, %t: tensor<3xi32>) {
  // expected-error @below {{expected a result of type 'tensor<?x3xf32>', found 'tensor<?x4xf32>'}}
  %r = prune.gather "s" %x by %t : tensor<?x5xf32>, tensor<3xi32> -> tensor<?x4xf32>
  return
}

// -----

func.func @f(%x: tensor<?x5xf32>, %t: tensor<?xi32>) {
  // expected-error @below {{expected an input of static width and a table of static length, found 'tensor<?x5xf32>' and 'tensor<?xi32>'}}
  %r = prune.gather "s" %x by %t : tensor<?x5xf32>, tensor<?xi32> -> tensor<?x?xf32>
  return
}

// -----

prune.plan @plan {
  // expected-error @below {{expected 'rank = R' or 'from' a file of factors}}
  prune.factor "layers.*.attn.q"
}

// -----

prune.plan @plan {
  // expected-error @below {{expected a rank of at least 1, found 0}}
  prune.factor "layers.*.attn.q" rank = 0
}

// -----

prune.plan @plan {
  // expected-error @below {{expected a set of rows with a granule of 1, found one of 2}}
  prune.factor "layers.*.attn.q" rank = 3 retain = #prune.set<[0] of 4 x 2>
}

// -----

prune.plan @plan {
  // expected-error @below {{expected a pattern 'N of M' with 1 <= N <= M <= 1024, found 5 of 4}}
  prune.pattern "layers.*.attn.q" axis(K) = 5 of 4
}

// -----

prune.plan @plan {
  // expected-error @below {{expected either 'sparsity = S' or 'from' a file of masks}}
  prune.mask "layers.*.attn.q"
}

// -----

prune.plan @plan {
  // expected-error @below {{expected either 'sparsity = S' or 'from' a file of masks}}
  prune.mask "layers.*.attn.q" sparsity = 0.5 from "masks.safetensors"
}

// -----

prune.plan @plan {
  // expected-error @below {{expected a sparsity from 0 to below 1, found 1}}
  prune.mask "layers.*.attn.q" sparsity = 1.0
}

// -----

// expected-error @below {{expected a pattern 'N of M' with 1 <= N <= M <= 1024, found 0 of 4}}
#a = #prune.nm<0 of 4>

// -----

func.func @f(%w: tensor<8x6xf32>, %m: tensor<8x6xf32>, %u: tensor<8x2xf32>, %v: tensor<2x6xf32>) {
  // expected-error @below {{expected a weight of type 'tensor<8x6xf32>', found 'tensor<2x6xf32>'}}
  %f = prune.replace "s" %w by %v in tensor<8x6xf32> by tensor<2x6xf32>
  return
}

// -----

func.func @f(%w: tensor<8x6xf32>, %m: tensor<8x6xf32>, %u: tensor<8x2xf32>, %v: tensor<2x6xf32>) {
  // expected-error @below {{expected a right factor of type 'tensor<2x6xf32>', found 'tensor<8x6xf32>'}}
  %f = prune.replace "s" %w by %u, %m in tensor<8x6xf32> by tensor<8x2xf32>, tensor<8x6xf32>
  return
}

// -----

func.func @f(%w: tensor<8x6xf32>, %m: tensor<8x6xf32>, %u: tensor<8x2xf32>, %v: tensor<2x6xf32>) {
  // expected-error @below {{expected a left factor of type 'tensor<6x2xf32>', found 'tensor<8x2xf32>'}}
  %f = prune.replace "s" %w retain <[0:2] of 8> by %u, %v in tensor<8x6xf32> by tensor<8x2xf32>, tensor<2x6xf32>
  return
}

// -----

func.func @f(%w: tensor<8x6xf32>, %m: tensor<8x6xf32>, %u: tensor<8x2xf32>, %v: tensor<2x6xf32>) {
  // expected-error @below {{expected a set of the 8 rows of the weight, found one of 7}}
  %f = prune.replace "s" %w retain <[0:2] of 7> by %u, %v in tensor<8x6xf32> by tensor<8x2xf32>, tensor<2x6xf32>
  return
}

// -----

func.func @f(%w: tensor<8x6xf32>, %m: tensor<8x6xf32>, %u: tensor<8x2xf32>, %v: tensor<2x6xf32>) {
  // expected-error @below {{expected some of the 8 rows to be retained and some not, found 8}}
  %f = prune.replace "s" %w retain <[0:8] of 8> by %u, %v in tensor<8x6xf32> by tensor<8x2xf32>, tensor<2x6xf32>
  return
}

// -----

func.func @f(%w: tensor<8x6xf32>, %m: tensor<8x6xf32>, %u: tensor<8x2xf32>, %v: tensor<2x6xf32>) {
  // expected-error @below {{expected no 'retain' without factors}}
  %f = prune.replace "s" %w retain <[0:2] of 8> by %m in tensor<8x6xf32> by tensor<8x6xf32>
  return
}

// -----

func.func @f(%w: tensor<8x6xf32>, %m: tensor<8x6xf32>, %u: tensor<8x2xf32>, %v: tensor<2x6xf32>) {
  // expected-error @below {{expected no pattern, sparsity or mask of a pair of factors}}
  %f = prune.replace "s" %w by %u, %v pattern <2 of 4> in tensor<8x6xf32> by tensor<8x2xf32>, tensor<2x6xf32>
  return
}

// -----

func.func @f(%w: tensor<8x6xf32>, %m: tensor<8x6xf32>, %u: tensor<8x2xf32>, %v: tensor<2x6xf32>) {
  // expected-error @below {{expected zeros in a pattern or anywhere, found both}}
  %f = prune.replace "s" %w by %m pattern <2 of 4> sparsity 0.5 in tensor<8x6xf32> by tensor<8x6xf32>
  return
}

// -----

func.func @f(%w: tensor<8x6xf32>, %m: tensor<8x6xf32>, %u: tensor<8x2xf32>, %v: tensor<2x6xf32>) {
  // expected-error @below {{expected one weight or two factors, found 3}}
  %f = prune.replace "s" %w by %m, %m, %m in tensor<8x6xf32> by tensor<8x6xf32>, tensor<8x6xf32>, tensor<8x6xf32>
  return
}

// -----

func.func @f(%w: tensor<8x6xf32>, %m: tensor<8x6xf32>, %u: tensor<8x2xf32>, %v: tensor<2x6xf32>) {
  // expected-error @below {{expected to be the weight of 'prune.gemm'}}
  %f = prune.replace "s" %w by %m in tensor<8x6xf32> by tensor<8x6xf32>
  // expected-note @below {{is read by this op}}
  %n = arith.negf %f : tensor<8x6xf32>
  return
}

// -----

// expected-error @below {{'prune.pattern' expected on a global of two static axes}}
ml_program.global private @w(#ml_program.extern : tensor<8xf32>) : tensor<8xf32> {prune.pattern = #prune.nm<2 of 4>}

// -----

// expected-error @below {{'prune.pattern' expected '#prune.nm', found "2:4"}}
ml_program.global private @w(#ml_program.extern : tensor<8x8xf32>) : tensor<8x8xf32> {prune.pattern = "2:4"}
