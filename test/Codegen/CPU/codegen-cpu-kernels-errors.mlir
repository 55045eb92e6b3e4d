// RUN: %coppice-opt %s --codegen-cpu-kernels --split-input-file --verify-diagnostics

// expected-error @below {{expected a kernel with 'exec.config'; 'exec-select-kernels' plans kernels}}
func.func @unplanned(%x: tensor<4xf32>, %out: tensor<4xf32>) -> tensor<4xf32> {
  %0 = linalg.exp ins(%x : tensor<4xf32>) outs(%out : tensor<4xf32>) -> tensor<4xf32>
  return %0 : tensor<4xf32>
}

// -----

// expected-error @below {{expected a strategy "gemm", "attention", "attention_split", "attention_merge", "rotary", "rows", "compact", "select_blocks", "loops" or "plain", found "magic"}}
func.func @strategy(%x: tensor<4xf32>, %out: tensor<4xf32>) -> tensor<4xf32>
    attributes {exec.config = #exec.config<"magic", tile = 1>} {
  %0 = linalg.exp ins(%x : tensor<4xf32>) outs(%out : tensor<4xf32>) -> tensor<4xf32>
  return %0 : tensor<4xf32>
}

// -----

// expected-error @below {{expected 'exec.config' to have a parameter 'tile'}}
func.func @parameter(%x: tensor<4xf32>, %out: tensor<4xf32>) -> tensor<4xf32>
    attributes {exec.config = #exec.config<"loops", rows = 1>} {
  %0 = linalg.exp ins(%x : tensor<4xf32>) outs(%out : tensor<4xf32>) -> tensor<4xf32>
  return %0 : tensor<4xf32>
}

// -----

// expected-error @below {{expected argument 1 to be packed as #exec.packing<panels = 64>, found it as it is}}
func.func @unpacked(%x: tensor<?x8xf32> {exec.dims = ["rows", 8]}, %w: tensor<9x8xf32>,
                    %out: tensor<?x9xf32> {exec.dims = ["rows", 9]}) -> tensor<?x9xf32>
    attributes {exec.config = #exec.config<"gemm", panel = 64, rows = 96, panels = 1, depth = 128, height = 6, width = 64, least = 1, unroll = 1, ahead = 0>} {
  %0 = prune.gemm "" %x, %w : tensor<?x8xf32>, tensor<9x8xf32> -> tensor<?x9xf32>
  return %0 : tensor<?x9xf32>
}

// -----

// expected-error @below {{expected a register tile of whole vectors of a panel of 48 columns that 32 registers can hold, found 6 x 64}}
func.func @panel(%x: tensor<?x8xf32> {exec.dims = ["rows", 8]}, %w: tensor<9x8xf32> {exec.packing = #exec.packing<panels = 48>},
                 %out: tensor<?x9xf32> {exec.dims = ["rows", 9]}) -> tensor<?x9xf32>
    attributes {exec.config = #exec.config<"gemm", panel = 48, rows = 96, panels = 1, depth = 128, height = 6, width = 64, least = 1, unroll = 1, ahead = 0>} {
  %0 = prune.gemm "" %x, %w : tensor<?x8xf32>, tensor<9x8xf32> -> tensor<?x9xf32>
  return %0 : tensor<?x9xf32>
}

// -----

// expected-error @below {{expected 'keys' to be a multiple of 32, found 48}}
func.func @keys(%q: tensor<?x8xf32> {exec.dims = ["rows", 8]}, %k: tensor<?x?x8xf32> {exec.dims = ["slots", "context", 8]},
                 %s: tensor<?xi32> {exec.dims = ["rows"]}, %out: tensor<?x8xf32> {exec.dims = ["rows", 8]}) -> tensor<?x8xf32>
    attributes {exec.config = #exec.config<"attention", rows = 4, keys = 48>} {
  %0 = decoder.attention "" %q, %k, %k at %s, %s {head_dim = 8 : i64, scale = 1.0 : f32} : tensor<?x8xf32>, tensor<?x?x8xf32>
  return %0 : tensor<?x8xf32>
}

// -----

// expected-error @below {{expected 'exec.workspace' on a kernel of strategy "attention_split"}}
func.func @workspace(%q: tensor<?x8xf32> {exec.dims = ["rows", 8]}, %k: tensor<?x?x8xf32> {exec.dims = ["slots", "context", 8]},
                 %s: tensor<?xi32> {exec.dims = ["rows"]}, %out: tensor<?x8xf32> {exec.dims = ["rows", 8]}) -> tensor<?x8xf32>
    attributes {exec.config = #exec.config<"attention_split", splits = 4, keys = 64>} {
  %0 = decoder.attention "" %q, %k, %k at %s, %s {head_dim = 8 : i64, scale = 1.0 : f32} : tensor<?x8xf32>, tensor<?x?x8xf32>
  return %0 : tensor<?x8xf32>
}

// -----

// expected-error @below {{expected one 'decoder.rms_norm', 'decoder.lookup', 'decoder.append', 'prune.gather' or 'prune.project_by' in a kernel of strategy "rows"}}
func.func @rows(%x: tensor<?x8xf32> {exec.dims = ["rows", 8]}, %out: tensor<?x8xf32> {exec.dims = ["rows", 8]}) -> tensor<?x8xf32>
    attributes {exec.config = #exec.config<"rows", rows = 4>} {
  return %x : tensor<?x8xf32>
}

// -----

// expected-error @below {{expected a positive 'rows', found 0}}
func.func @no_rows(%i: tensor<?xi32> {exec.dims = ["rows"]}, %t: tensor<3x8xf32>, %out: tensor<?x8xf32> {exec.dims = ["rows", 8]}) -> tensor<?x8xf32>
    attributes {exec.config = #exec.config<"rows", rows = 0>} {
  %0 = decoder.lookup "" %i in %t : tensor<?xi32>, tensor<3x8xf32> -> tensor<?x8xf32>
  return %0 : tensor<?x8xf32>
}

// -----

// expected-error @below {{expected 'exec.dims' to name the extent of dimension 0 of argument 0, which is dynamic}}
func.func @dims(%x: tensor<?x8xf32>, %out: tensor<?x8xf32> {exec.dims = ["rows", 8]}) -> tensor<?x8xf32>
    attributes {exec.config = #exec.config<"loops", tile = 1>} {
  %0 = linalg.exp ins(%x : tensor<?x8xf32>) outs(%out : tensor<?x8xf32>) -> tensor<?x8xf32>
  return %0 : tensor<?x8xf32>
}

// -----

// The result is another argument than its destination: it would be copied.
// expected-error @below {{result 0 is not computed in place: it would have to be copied into its destination}}
func.func @copy(%x: tensor<8xf32>, %y: tensor<8xf32>, %out: tensor<8xf32>) -> tensor<8xf32>
    attributes {exec.config = #exec.config<"loops", tile = 1>} {
  return %x : tensor<8xf32>
}

// -----

// Every row of the result needs all rows of the exponentials.
func.func @barrier(%x: tensor<?x8xf32> {exec.dims = ["rows", 8]},
                   %out: tensor<?x8xf32> {exec.dims = ["rows", 8]}) -> tensor<?x8xf32>
    attributes {exec.config = #exec.config<"loops", tile = 1>} {
  %c0 = arith.constant 0 : index
  %m = tensor.dim %x, %c0 : tensor<?x8xf32>
  %e = tensor.empty(%m) : tensor<?x8xf32>
  // expected-error @below {{a kernel would need a temporary of dynamic size}}
  %0 = linalg.exp ins(%x : tensor<?x8xf32>) outs(%e : tensor<?x8xf32>) -> tensor<?x8xf32>
  %1 = linalg.generic {indexing_maps = [affine_map<(r, c, k) -> (k, c)>, affine_map<(r, c, k) -> (r, c)>],
                       iterator_types = ["parallel", "parallel", "reduction"]}
      ins(%0 : tensor<?x8xf32>) outs(%out : tensor<?x8xf32>) {
  ^bb0(%a: f32, %s: f32):
    %t = arith.addf %a, %s : f32
    linalg.yield %t : f32
  } -> tensor<?x8xf32>
  return %1 : tensor<?x8xf32>
}

// -----

// A tile of one row would read x at row 0 only, for each row.
func.func @remainder(%x: tensor<4x8xf32>, %out: tensor<?x8xf32> {exec.dims = ["rows", 8]}) -> tensor<?x8xf32>
    attributes {exec.config = #exec.config<"loops", tile = 1>} {
  // expected-error @below {{cannot be computed by tiles: operand 0 is read at d0 mod 4 along its axis 0, which is no slice of it; compute the index in the body}}
  %0 = linalg.generic {indexing_maps = [affine_map<(r, c) -> (r mod 4, c)>, affine_map<(r, c) -> (r, c)>],
                       iterator_types = ["parallel", "parallel"]}
      ins(%x : tensor<4x8xf32>) outs(%out : tensor<?x8xf32>) {
  ^bb0(%a: f32, %b: f32):
    linalg.yield %a : f32
  } -> tensor<?x8xf32>
  return %0 : tensor<?x8xf32>
}

// -----

func.func @group(%x: tensor<?x8xf32> {exec.dims = ["rows", 8]}, %out: tensor<?x8xf32> {exec.dims = ["rows", 8]}) -> tensor<?x8xf32>
    attributes {exec.config = #exec.config<"plain", tile = 1>} {
  // expected-error @below {{cannot be computed by tiles: operand 0 is read at d0 floordiv 2 along its axis 0}}
  %0 = linalg.generic {indexing_maps = [affine_map<(r, c) -> (r floordiv 2, c)>, affine_map<(r, c) -> (r, c)>],
                       iterator_types = ["parallel", "parallel"]}
      ins(%x : tensor<?x8xf32>) outs(%out : tensor<?x8xf32>) {
  ^bb0(%a: f32, %b: f32):
    linalg.yield %a : f32
  } -> tensor<?x8xf32>
  return %0 : tensor<?x8xf32>
}

// -----

// The producer is fused, which slices all of its dimensions: 13 columns end at column 0 of x.
func.func @fused(%x: tensor<?x4xf32> {exec.dims = ["rows", 4]}, %out: tensor<?xf32> {exec.dims = ["rows"]}) -> tensor<?xf32>
    attributes {exec.config = #exec.config<"plain", tile = 1>} {
  %c0 = arith.constant 0 : index
  %m = tensor.dim %x, %c0 : tensor<?x4xf32>
  %e = tensor.empty(%m) : tensor<?x13xf32>
  // expected-error @below {{cannot be computed by tiles: operand 0 is read at d1 mod 4 along its axis 1}}
  %0 = linalg.generic {indexing_maps = [affine_map<(r, c) -> (r, c mod 4)>, affine_map<(r, c) -> (r, c)>],
                       iterator_types = ["parallel", "parallel"]}
      ins(%x : tensor<?x4xf32>) outs(%e : tensor<?x13xf32>) {
  ^bb0(%a: f32, %b: f32):
    linalg.yield %a : f32
  } -> tensor<?x13xf32>
  %1 = linalg.generic {indexing_maps = [affine_map<(r, c) -> (r, c)>, affine_map<(r, c) -> (r)>],
                       iterator_types = ["parallel", "reduction"]}
      ins(%0 : tensor<?x13xf32>) outs(%out : tensor<?xf32>) {
  ^bb0(%a: f32, %s: f32):
    %t = arith.addf %a, %s : f32
    linalg.yield %t : f32
  } -> tensor<?xf32>
  return %1 : tensor<?xf32>
}
