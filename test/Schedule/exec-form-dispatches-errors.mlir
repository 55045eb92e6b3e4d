// RUN: %coppice-opt %s -split-input-file -verify-diagnostics --exec-form-dispatches=max-context=33

// expected-error @below {{expected a function named @forward, found none}}
module {
}

// -----

// expected-error @below {{expected argument 0 of @forward to be a tensor with decoder.step or decoder.cache, found 'tensor<?xi32>'}}
func.func @forward(%tokens: tensor<?xi32>) {
  return
}

// -----

func.func @forward(%tokens: tensor<?xi32> {decoder.step = "tokens"}) {
  // expected-error @below {{expected @forward to return logits, found only caches}}
  return
}

// -----

// The old cache is read after the append.
func.func @forward(%slots: tensor<?xi32> {decoder.step = "slots"}, %positions: tensor<?xi32> {decoder.step = "positions"},
                   %k0: tensor<?x?x6xf32> {decoder.cache = "layers.0.k"}, %x: tensor<?xi32> {decoder.step = "tokens"}) -> tensor<?x6xf32> {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %zero = arith.constant 0.0 : f32
  // expected-error @below {{cache 'layers.0.k' is updated here and its old value is used too, so that all of it would be copied}}
  %k1 = linalg.generic {indexing_maps = [affine_map<(d0, d1, d2) -> (d0, d1, d2)>], iterator_types = ["parallel", "parallel", "parallel"]}
      outs(%k0 : tensor<?x?x6xf32>) {
  ^bb0(%o: f32):
    linalg.yield %zero : f32
  } -> tensor<?x?x6xf32>
  %t = tensor.empty() : tensor<5x6xf32>
  %q = linalg.fill ins(%zero : f32) outs(%t : tensor<5x6xf32>) -> tensor<5x6xf32>
  %rows = tensor.dim %x, %c0 : tensor<?xi32>
  %e = tensor.empty(%rows) : tensor<?x6xf32>
  // expected-note @below {{the old value is used here}}
  %s = linalg.generic {indexing_maps = [affine_map<(d0, d1, d2) -> (d0, d0, d1)>, affine_map<(d0, d1, d2) -> (d0, d0, d1)>, affine_map<(d0, d1, d2) -> (d2, d1)>], iterator_types = ["reduction", "parallel", "parallel"]}
      ins(%k0, %k1 : tensor<?x?x6xf32>, tensor<?x?x6xf32>) outs(%e : tensor<?x6xf32>) {
  ^bb0(%a: f32, %b: f32, %o: f32):
    linalg.yield %a : f32
  } -> tensor<?x6xf32>
  return %s : tensor<?x6xf32>
}

// -----

func.func @forward(%tokens: tensor<?xi32> {decoder.step = "tokens"}) -> tensor<?x6xf32> {
  %c0 = arith.constant 0 : index
  %c7 = arith.constant 7 : index
  %zero = arith.constant 0.0 : f32
  %rows = tensor.dim %tokens, %c0 : tensor<?xi32>
  %more = arith.addi %rows, %c7 : index
  %e = tensor.empty(%more) : tensor<?x6xf32>
  // expected-error @below {{expected dynamic extents that are symbols of the step (rows, head_rows, slots or context), found others in 'tensor<?x6xf32>'}}
  %s = linalg.generic {indexing_maps = [affine_map<(d0, d1) -> (d0, d1)>], iterator_types = ["parallel", "parallel"]} outs(%e : tensor<?x6xf32>) {
  ^bb0(%o: f32):
    linalg.yield %zero : f32
  } -> tensor<?x6xf32>
  return %s : tensor<?x6xf32>
}

// -----

func.func @forward(%tokens: tensor<?xi32> {decoder.step = "tokens"}) -> tensor<?x6xf32> {
  %c0 = arith.constant 0 : index
  %n = arith.constant dense<1> : tensor<i32>
  %w = arith.constant dense<1.0> : tensor<6x4xf32>
  %rows = tensor.dim %tokens, %c0 : tensor<?xi32>
  %x = tensor.empty(%rows) : tensor<?x4xf32>
  %e = tensor.empty(%rows) : tensor<?x6xf32>
  // expected-error @below {{expected a GEMM without sets but of rows that a route keeps: the cost of a dispatch cannot follow another run-time count}}
  %s = prune.gemm "s" %x, %w rows both(%tokens, %n : tensor<?xi32>) into %e : tensor<?x4xf32>, tensor<6x4xf32> -> tensor<?x6xf32>
  return %s : tensor<?x6xf32>
}
