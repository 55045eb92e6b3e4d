// RUN: %coppice-opt %s --codegen-nvptx-kernels --split-input-file --verify-diagnostics

// expected-error @below {{expected a kernel with 'exec.config'; 'exec-select-kernels' plans kernels}}
func.func @unplanned(%x: tensor<4xf32>, %out: tensor<4xf32>) -> tensor<4xf32> {
  %0 = linalg.exp ins(%x : tensor<4xf32>) outs(%out : tensor<4xf32>) -> tensor<4xf32>
  return %0 : tensor<4xf32>
}

// -----

// expected-error @below {{"loops"), found "magic"}}
func.func @strategy(%x: tensor<4xf32>, %out: tensor<4xf32>) -> tensor<4xf32>
    attributes {exec.config = #exec.config<"magic", threads = 32>, exec.grid = affine_map<()[s0, s1, s2, s3, s4, s5] -> (1)>} {
  %0 = linalg.exp ins(%x : tensor<4xf32>) outs(%out : tensor<4xf32>) -> tensor<4xf32>
  return %0 : tensor<4xf32>
}

// -----

// expected-error @below {{expected 'exec.grid' on a kernel for a GPU}}
func.func @grid(%x: tensor<4xf32>, %out: tensor<4xf32>) -> tensor<4xf32>
    attributes {exec.config = #exec.config<"elementwise", threads = 32>} {
  %0 = linalg.exp ins(%x : tensor<4xf32>) outs(%out : tensor<4xf32>) -> tensor<4xf32>
  return %0 : tensor<4xf32>
}

// -----

// expected-error @below {{expected 'exec.config' to have a parameter 'threads'}}
func.func @parameter(%x: tensor<4xf32>, %out: tensor<4xf32>) -> tensor<4xf32>
    attributes {exec.config = #exec.config<"elementwise", tile = 1>, exec.grid = affine_map<()[s0, s1, s2, s3, s4, s5] -> (1)>} {
  %0 = linalg.exp ins(%x : tensor<4xf32>) outs(%out : tensor<4xf32>) -> tensor<4xf32>
  return %0 : tensor<4xf32>
}

// -----

// expected-error @below {{expected 'threads' to be a multiple of 32 up to 1024, found 48}}
func.func @threads(%x: tensor<4xf32>, %out: tensor<4xf32>) -> tensor<4xf32>
    attributes {exec.config = #exec.config<"elementwise", threads = 48>, exec.grid = affine_map<()[s0, s1, s2, s3, s4, s5] -> (1)>} {
  %0 = linalg.exp ins(%x : tensor<4xf32>) outs(%out : tensor<4xf32>) -> tensor<4xf32>
  return %0 : tensor<4xf32>
}

// -----

// expected-error @below {{expected 'lanes' to be a power of two up to 32, or all threads, found 24}}
func.func @lanes(%x: tensor<?x24xf32> {exec.dims = ["rows", 24]}, %g: tensor<24xf32>, %out: tensor<?x24xf32> {exec.dims = ["rows", 24]}) -> tensor<?x24xf32>
    attributes {exec.config = #exec.config<"norm", threads = 128, lanes = 24>, exec.grid = affine_map<()[s0, s1, s2, s3, s4, s5] -> (s0)>} {
  %0 = decoder.rms_norm "" %x, %g {epsilon = 1.0e-5 : f32, divisor = 24 : i64} : tensor<?x24xf32>, tensor<24xf32>
  return %0 : tensor<?x24xf32>
}

// -----

// expected-error @below {{expected one 'decoder.rotary' in a kernel of strategy "rotary"}}
func.func @op(%x: tensor<?x24xf32> {exec.dims = ["rows", 24]}, %g: tensor<24xf32>, %out: tensor<?x24xf32> {exec.dims = ["rows", 24]}) -> tensor<?x24xf32>
    attributes {exec.config = #exec.config<"rotary", threads = 128>, exec.grid = affine_map<()[s0, s1, s2, s3, s4, s5] -> (s0)>} {
  %0 = decoder.rms_norm "" %x, %g {epsilon = 1.0e-5 : f32, divisor = 24 : i64} : tensor<?x24xf32>, tensor<24xf32>
  return %0 : tensor<?x24xf32>
}

// -----

// expected-error @below {{expected one op without sums in a kernel of strategy "elementwise"}}
func.func @sums(%x: tensor<?x24xf32> {exec.dims = ["rows", 24]}, %g: tensor<24xf32>, %out: tensor<?x24xf32> {exec.dims = ["rows", 24]}) -> tensor<?x24xf32>
    attributes {exec.config = #exec.config<"elementwise", threads = 128>, exec.grid = affine_map<()[s0, s1, s2, s3, s4, s5] -> (s0)>} {
  %0 = decoder.rms_norm "" %x, %g {epsilon = 1.0e-5 : f32, divisor = 24 : i64} : tensor<?x24xf32>, tensor<24xf32>
  return %0 : tensor<?x24xf32>
}

// -----

// expected-error @below {{expected 'exec.workspace' on a kernel of strategy "score_blocks"}}
func.func @workspace(%q: tensor<?x16xf32> {exec.dims = ["rows", 16]}, %k: tensor<?x?x8xbf16> {exec.dims = ["slots", "context", 8]},
                         %slots: tensor<?xi32> {exec.dims = ["rows"]}, %positions: tensor<?xi32> {exec.dims = ["rows"]},
                         %out: tensor<?x4xi32> {exec.dims = ["rows", 4]}) -> tensor<?x4xi32>
    attributes {exec.config = #exec.config<"score_blocks", threads = 128, blocks = 8>, exec.grid = affine_map<()[s0, s1, s2, s3, s4, s5] -> (s0)>} {
  %0 = prune.select_blocks "" of 16 recent 1 first 1 top 2 by %q, %k heads of 8 : tensor<?x16xf32>, tensor<?x?x8xbf16>
    at %slots, %positions : tensor<?xi32> -> tensor<?x4xi32>
  return %0 : tensor<?x4xi32>
}

// -----

// expected-error @below {{expected 'exec.workspace', for scores, on a kernel of strategy "select_blocks"}}
func.func @scores(%q: tensor<?x16xf32> {exec.dims = ["rows", 16]}, %k: tensor<?x?x8xbf16> {exec.dims = ["slots", "context", 8]},
                         %slots: tensor<?xi32> {exec.dims = ["rows"]}, %positions: tensor<?xi32> {exec.dims = ["rows"]},
                         %out: tensor<?x4xi32> {exec.dims = ["rows", 4]}) -> tensor<?x4xi32>
    attributes {exec.config = #exec.config<"select_blocks", threads = 128>, exec.grid = affine_map<()[s0, s1, s2, s3, s4, s5] -> (s0)>} {
  %0 = prune.select_blocks "" of 16 recent 1 first 1 top 2 by %q, %k heads of 8 : tensor<?x16xf32>, tensor<?x?x8xbf16>
    at %slots, %positions : tensor<?xi32> -> tensor<?x4xi32>
  return %0 : tensor<?x4xi32>
}

// -----

// expected-error @below {{expected a weight with a pattern of 2 of 4 for strategy "gemm_2of4", panels of a multiple of 16 and groups of a multiple of 64}}
func.func @no_pattern(%x: tensor<?x128xbf16> {exec.dims = ["rows", 128]}, %w: tensor<64x128xbf16> {exec.packing = #exec.packing<panels = 16, depth = 32, keeps = 2 of 4>}, %out: tensor<?x64xf32> {exec.dims = ["rows", 64]}) -> tensor<?x64xf32>
    attributes {exec.config = #exec.config<"gemm_2of4", threads = 128, rows = 8, columns = 64, depth = 64, warp_rows = 8, warp_columns = 16, stages = 4, splits = 1>, exec.grid = affine_map<()[s0, s1, s2, s3, s4, s5] -> (s0)>} {
  %0 = prune.gemm "" %x, %w : tensor<?x128xbf16>, tensor<64x128xbf16> -> tensor<?x64xf32>
  return %0 : tensor<?x64xf32>
}

// -----

// expected-error @below {{expected a weight with a pattern of 2 of 4 for strategy "gemm_2of4", panels of a multiple of 16 and groups of a multiple of 64}}
func.func @groups(%x: tensor<?x128xbf16> {exec.dims = ["rows", 128]}, %w: tensor<64x128xbf16> {exec.packing = #exec.packing<panels = 16, depth = 32, keeps = 2 of 4>}, %g: tensor<4xi32>, %n: tensor<i32>, %out: tensor<?x64xf32> {exec.dims = ["rows", 64]}) -> tensor<?x64xf32>
    attributes {exec.config = #exec.config<"gemm_2of4", threads = 128, rows = 8, columns = 64, depth = 64, warp_rows = 8, warp_columns = 16, stages = 4, splits = 1>, exec.grid = affine_map<()[s0, s1, s2, s3, s4, s5] -> (s0)>} {
  %0 = prune.gemm "" %x, %w groups of 32(%g, %n : tensor<4xi32>) pattern <2 of 4> : tensor<?x128xbf16>, tensor<64x128xbf16> -> tensor<?x64xf32>
  return %0 : tensor<?x64xf32>
}

// -----

// expected-error @below {{expected a weight with a pattern of 2 of 4 for strategy "gemm_2of4", panels of a multiple of 16 and groups of a multiple of 64}}
func.func @panels(%x: tensor<?x128xbf16> {exec.dims = ["rows", 128]}, %w: tensor<64x128xbf16> {exec.packing = #exec.packing<panels = 16, depth = 32, keeps = 2 of 4>}, %g: tensor<3xi32>, %n: tensor<i32>, %out: tensor<?x64xf32> {exec.dims = ["rows", 64]}) -> tensor<?x64xf32>
    attributes {exec.config = #exec.config<"gemm_2of4", threads = 128, rows = 8, columns = 64, depth = 64, warp_rows = 8, warp_columns = 16, stages = 4, splits = 1>, exec.grid = affine_map<()[s0, s1, s2, s3, s4, s5] -> (s0)>} {
  %0 = prune.gemm "" %x, %w panels of 24(%g, %n : tensor<3xi32>) into %out pattern <2 of 4> : tensor<?x128xbf16>, tensor<64x128xbf16> -> tensor<?x64xf32>
  return %0 : tensor<?x64xf32>
}

// -----

// expected-error @below {{expected 'exec.packing' of the weight to be that of strategy "gemm_2of4"}}
func.func @packing(%x: tensor<?x128xbf16> {exec.dims = ["rows", 128]}, %w: tensor<64x128xbf16>, %out: tensor<?x64xf32> {exec.dims = ["rows", 64]}) -> tensor<?x64xf32>
    attributes {exec.config = #exec.config<"gemm_2of4", threads = 128, rows = 8, columns = 64, depth = 64, warp_rows = 8, warp_columns = 16, stages = 4, splits = 1>, exec.grid = affine_map<()[s0, s1, s2, s3, s4, s5] -> (s0)>} {
  %0 = prune.gemm "" %x, %w pattern <2 of 4> : tensor<?x128xbf16>, tensor<64x128xbf16> -> tensor<?x64xf32>
  return %0 : tensor<?x64xf32>
}

// -----

// expected-error @below {{expected 'warp_rows' to be a multiple of 8, found 4}}
func.func @warp_rows(%x: tensor<?x128xbf16> {exec.dims = ["rows", 128]}, %w: tensor<64x128xbf16> {exec.packing = #exec.packing<panels = 16, depth = 32, keeps = 2 of 4>}, %out: tensor<?x64xf32> {exec.dims = ["rows", 64]}) -> tensor<?x64xf32>
    attributes {exec.config = #exec.config<"gemm_2of4", threads = 128, rows = 8, columns = 64, depth = 64, warp_rows = 4, warp_columns = 16, stages = 4, splits = 1>, exec.grid = affine_map<()[s0, s1, s2, s3, s4, s5] -> (s0)>} {
  %0 = prune.gemm "" %x, %w pattern <2 of 4> : tensor<?x128xbf16>, tensor<64x128xbf16> -> tensor<?x64xf32>
  return %0 : tensor<?x64xf32>
}

// -----

// expected-error @below {{expected 'depth' to be 64, found 32}}
func.func @depth(%x: tensor<?x128xbf16> {exec.dims = ["rows", 128]}, %w: tensor<64x128xbf16> {exec.packing = #exec.packing<panels = 16, depth = 32, keeps = 2 of 4>}, %out: tensor<?x64xf32> {exec.dims = ["rows", 64]}) -> tensor<?x64xf32>
    attributes {exec.config = #exec.config<"gemm_2of4", threads = 128, rows = 8, columns = 64, depth = 32, warp_rows = 8, warp_columns = 16, stages = 4, splits = 1>, exec.grid = affine_map<()[s0, s1, s2, s3, s4, s5] -> (s0)>} {
  %0 = prune.gemm "" %x, %w pattern <2 of 4> : tensor<?x128xbf16>, tensor<64x128xbf16> -> tensor<?x64xf32>
  return %0 : tensor<?x64xf32>
}
