#ifndef COPPICE_DIALECT_DECODER_IR_DECODEROPS_TD
#define COPPICE_DIALECT_DECODER_IR_DECODEROPS_TD

include "coppice/Dialect/Decoder/IR/DecoderAttributes.td"
include "mlir/Dialect/Linalg/IR/LinalgInterfaces.td"
include "mlir/Interfaces/DestinationStyleOpInterface.td"
include "mlir/Interfaces/InferTypeOpInterface.td"
include "mlir/Interfaces/SideEffectInterfaces.td"

//===----------------------------------------------------------------------===//
// Types
//===----------------------------------------------------------------------===//

def Decoder_Storage : AnyTypeOf<[F32, F16, BF16], "f32, f16 or bf16">;

class Decoder_Tensor<int rank, list<Type> elements, string what> : Type<And<[
    TensorRankOf<elements, [rank]>.predicate,
    CPred<[{::llvm::cast<::mlir::ShapedType>($_self).getShape().back() >= 1}]>]>,
  what, "::mlir::RankedTensorType">;

def Decoder_Rows : Decoder_Tensor<2, [F32],
  "row tensor: [rows, width] of f32 with a static width">;
def Decoder_Table : Decoder_Tensor<2, [F32, F16, BF16],
  "table: [entries, width] of f32, f16 or bf16 with a static width">;
def Decoder_Vector : Decoder_Tensor<1, [F32, F16, BF16],
  "vector: [width] of f32, f16 or bf16 with a static width">;
def Decoder_Cache : Decoder_Tensor<3, [F32, F16, BF16],
  "KV cache: [slots, context, width] of f32, f16 or bf16 with a static width">;
def Decoder_Indices : Type<TensorRankOf<[I32], [1]>.predicate,
  "index vector: [rows] of i32", "::mlir::RankedTensorType">;

/// What GEMMs, attention and caches read may be stored as narrow as they use it: the op computes in
/// f32 and rounds its result once, to nearest even. The result's type is printed
/// where it is not that of `like`.
def Decoder_RoundedRows : Decoder_Tensor<2, [F32, F16, BF16],
  "row tensor: [rows, width] of f32, f16 or bf16 with a static width">;
class Decoder_ShapeOf<string like> : PredOpTrait<
  "the result has the shape of " # like,
  CPred<"::llvm::cast<::mlir::ShapedType>($" # like # ".getType()).getShape() == "
        "::llvm::cast<::mlir::ShapedType>($result.getType()).getShape()">>;

/// One i32 for each row of `of`: nothing has to be printed.
class Decoder_IndexPerRow<string of, string indices> : TypesMatchWith<
  indices # " has one index for each row of " # of, of, indices,
  "::coppice::decoder::detail::getIndexPerRowType($_self)">;

/// A set of rows that is known at run time only: the numbers of rows that anyone
/// reads of the result, ascending, and how many the list holds. The others need
/// not be computed, and may hold anything.
///
/// There may be a list for each of so many equal groups of heads, as the rows of a
/// matrix: then it is those heads of its rows that anyone reads.
def Decoder_RowList : AnyTypeOf<[1DTensorOf<[I32]>, 2DTensorOf<[I32]>]>;
def Decoder_RowCount : AnyTypeOf<[0DTensorOf<[I32]>, 1DTensorOf<[I32]>]>;

/// Of each row, for each KV head as many blocks of positions.
def Decoder_BlockLists : Type<And<[
    TensorRankOf<[I32], [2]>.predicate,
    CPred<[{::llvm::cast<::mlir::ShapedType>($_self).getShape().back() >= 1}]>]>,
  "lists of blocks: [rows, KV heads * blocks] of i32 with a static width", "::mlir::RankedTensorType">;

//===----------------------------------------------------------------------===//
// Ops
//===----------------------------------------------------------------------===//

class Decoder_Op<string mnemonic, list<Trait> traits = []>
    : Op<Decoder_Dialect, mnemonic, traits # [
        Pure,
        DeclareOpInterfaceMethods<AggregatedOpInterface, ["decomposeOperation"]>]> {
  let hasVerifier = 1;
}

def Decoder_LookupOp : Decoder_Op<"lookup",
    [DeclareOpInterfaceMethods<InferTypeOpInterface>]> {
  let summary = "gather rows of a table";
  let description = [{
    `result[r, c] = f32(table[indices[r], c])`. Indices outside the table are
    undefined behaviour: the runtime checks tokens and rows before a step.

    ```mlir
    %r = decoder.lookup "embed" %tokens in %table
      : tensor<?xi32>, tensor<512x64xbf16> -> tensor<?x64xf32>
    ```
  }];
  let arguments = (ins StrAttr:$site, Decoder_Indices:$indices, Decoder_Table:$table);
  let results = (outs Decoder_Rows:$result);
  let assemblyFormat = [{
    $site $indices `in` $table attr-dict `:` type($indices) `,` type($table) `->` type($result)
  }];
  let hasVerifier = 0;
}

def Decoder_RMSNormOp : Decoder_Op<"rms_norm", [
    AttrSizedOperandSegments, Decoder_ShapeOf<"input">]> {
  let summary = "scale rows by the inverse of their root mean square";
  let description = [{
    `result[r, c] = input[r, c] / sqrt(sum_c(input[r, c]^2) / divisor + epsilon) * f32(gain[c])`
    (Zhang and Sennrich, arXiv 1910.07467). `divisor` is the width of the original
    model: where columns that are zero have been removed, the mean is still taken
    over all that there were. The result may be narrower than f32.

    With `head_dim` every run of so many columns is a row of its own, and all of
    them have the same gains: the norm of queries and of keys, head by head
    (Henry et al., arXiv 2010.04245).

    With `rows(list, count)` only these rows are asked for.

    ```mlir
    %n = decoder.rms_norm "final.norm" %x, %g {epsilon = 1.0e-5 : f32, divisor = 64 : i64}
      : tensor<?x64xf32>, tensor<64xbf16>
    %h = decoder.rms_norm "layers.0.attn.q.norm" %q, %gq {divisor = 16 : i64, epsilon = 1.0e-5 : f32, head_dim = 16 : i64}
      : tensor<?x64xf32>, tensor<16xbf16>
    ```
  }];
  let arguments = (ins StrAttr:$site, Decoder_Rows:$input, Decoder_Vector:$gain,
                       Optional<Decoder_RowList>:$row_list, Optional<Decoder_RowCount>:$row_count,
                       F32Attr:$epsilon, I64Attr:$divisor, OptionalAttr<I64Attr>:$head_dim);
  let results = (outs Decoder_RoundedRows:$result);
  let assemblyFormat = [{
    $site $input `,` $gain custom<RowSet>($row_list, $row_count, type($row_list), type($row_count)) attr-dict `:` type($input) `,` type($gain)
    custom<RoundedType>(ref(type($input)), type($result))
  }];
  let extraClassDeclaration = [{
    /// Columns that are normed together.
    int64_t getNormedWidth() {
      return getHeadDimAttr() ? getHeadDimAttr().getInt()
                              : getInput().getType().getDimSize(1);
    }
  }];
}

def Decoder_RotaryTableOp : Decoder_Op<"rotary_table",
    [DeclareOpInterfaceMethods<InferTypeOpInterface>]> {
  let summary = "cosines and sines of the rotary embedding for each row";
  let description = [{
    With F frequencies (radians per position),
    `result[r, i] = cos(positions[r] * frequencies[i])` and
    `result[r, F + i] = sin(positions[r] * frequencies[i])`. One table serves all
    layers of a step; every scaling of the rotary embedding is another list of
    frequencies.

    ```mlir
    %a = decoder.rotary_table "rotary" %positions {frequencies = array<f32: 1.0, 0.1>}
      : tensor<?xi32> -> tensor<?x4xf32>
    ```
  }];
  let arguments = (ins StrAttr:$site, Decoder_Indices:$positions, DenseF32ArrayAttr:$frequencies);
  let results = (outs Decoder_Rows:$result);
  let assemblyFormat = "$site $positions attr-dict `:` type($positions) `->` type($result)";
}

def Decoder_RotaryOp : Decoder_Op<"rotary", [
    AttrSizedOperandSegments, Decoder_ShapeOf<"input">]> {
  let summary = "rotate pairs of columns of each head by the position's angles";
  let description = [{
    The "half" layout. Let x be the `head_dim` columns of one head in one row, and
    the row of `angles` be F cosines c and F sines s. Then for i < F
    `y[i] = x[i] * c[i] - x[F + i] * s[i]`, `y[F + i] = x[F + i] * c[i] + x[i] * s[i]`,
    and `y[i] = x[i]` for i >= 2 F (partial rotary embedding). The result may be
    narrower than f32. With `rows(list, count)` only these rows are asked for.

    ```mlir
    %q = decoder.rotary "layers.0.attn.q.rotary" %x, %angles {head_dim = 8 : i64}
      : tensor<?x64xf32>, tensor<?x8xf32>
    ```
  }];
  let arguments = (ins StrAttr:$site, Decoder_Rows:$input, Decoder_Rows:$angles,
                       Optional<Decoder_RowList>:$row_list, Optional<Decoder_RowCount>:$row_count,
                       I64Attr:$head_dim);
  let results = (outs Decoder_RoundedRows:$result);
  let assemblyFormat = [{
    $site $input `,` $angles custom<RowSet>($row_list, $row_count, type($row_list), type($row_count)) attr-dict `:` type($input) `,` type($angles)
    custom<RoundedType>(ref(type($input)), type($result))
  }];
}

def Decoder_AppendOp : Decoder_Op<"append", [
    DestinationStyleOpInterface, AllTypesMatch<["cache", "result"]>,
    Decoder_IndexPerRow<"rows", "slots">, Decoder_IndexPerRow<"rows", "positions">]> {
  let summary = "write rows into a KV cache, in place";
  let description = [{
    The cache with `cache[slots[r], positions[r], c] = storage(rows[r, c])` for all
    r and c; narrowing rounds to nearest even. No two rows may have the same slot
    and position; slots and positions outside the cache are undefined behaviour.
    The runtime checks both. Rows are f32, or as narrow as the cache.

    The append is the only use of the cache that it updates. Else the old cache
    would live on, and bufferization would quietly copy all of it.

    ```mlir
    %kc = decoder.append "layers.0.attn.k.append" %k into %k0 at %slots, %positions
      : tensor<?x32xf32> into tensor<?x?x32xbf16>
    ```
  }];
  let arguments = (ins StrAttr:$site, Decoder_RoundedRows:$rows, Decoder_Cache:$cache,
                       Decoder_Indices:$slots, Decoder_Indices:$positions);
  let results = (outs Decoder_Cache:$result);
  let assemblyFormat = [{
    $site $rows `into` $cache `at` $slots `,` $positions attr-dict `:` type($rows) `into` type($cache)
  }];
  let extraClassDeclaration = [{
    ::mlir::MutableOperandRange getDpsInitsMutable() { return getCacheMutable(); }
  }];
}

def Decoder_AttentionOp : Decoder_Op<"attention", [
    AttrSizedOperandSegments, Decoder_ShapeOf<"query">, AllTypesMatch<["keys", "values"]>,
    Decoder_IndexPerRow<"query", "slots">, Decoder_IndexPerRow<"query", "positions">]> {
  let summary = "causal attention of query rows over KV caches";
  let description = [{
    With D = `head_dim` there are Hq = width(query) / D query heads and
    Hk = width(keys) / D KV heads; query head h belongs to KV head
    h / (Hq / Hk) (grouped-query attention). Row r at position p of slot s attends
    to the positions j of its slot with `0 <= j <= p`, or with `p - window < j <= p`
    where there is a window; its own key and value have been appended before.

    `z[j] = scale * sum_d f32(query[r, h D + d]) * f32(keys[s, j, k D + d])`,
    `result[r, h D + d] = sum_j softmax(z)[j] * f32(values[s, j, k D + d])`,
    all in f32. What the caches hold at other positions has no influence, even if
    it is NaN. A row that attends to nothing (p < 0) is 0. The result may be
    narrower than f32. With `rows(list, count)` only these query rows are asked
    for; they attend to the keys and values of all.

    With `blocks of B`, row r and KV head k attend to those of these positions
    only with `j / B` in its list `blocks[r, k C .. (k + 1) C)`, where C is
    width(blocks) / Hk. A list ascends, and has -1 behind its end: whoever makes
    one answers for that. A row whose list has no block that it sees is 0.

    With `drop_below` = T and `drop_size` = B, blocks of B positions that weigh
    little are dropped, for each row and query head apart. Blocks are looked at in
    ascending order. With m[b] the largest z of the positions of block b that the
    row attends to, block b is dropped if it is not the row's own and
    `m[b] < max(m[0], .., m[b]) + log(T)`: then no weight in it is more than T times
    the largest so far. What is dropped is -inf in z, so that its values need not be
    read; they must be finite.

    ```mlir
    %a = decoder.attention "layers.0.attn.core" %q, %kc, %vc at %slots, %positions
      {head_dim = 8 : i64, scale = 0.353553385 : f32}
      : tensor<?x64xf32>, tensor<?x?x32xbf16>
    %b = decoder.attention "layers.1.attn.core" %q, %kc, %vc at %slots, %positions
      blocks of 16(%lists : tensor<?x20xi32>) {head_dim = 8 : i64, scale = 0.353553385 : f32}
      : tensor<?x64xf32>, tensor<?x?x32xbf16>
    ```
  }];
  let arguments = (ins StrAttr:$site, Decoder_RoundedRows:$query, Decoder_Cache:$keys,
                       Decoder_Cache:$values, Decoder_Indices:$slots,
                       Decoder_Indices:$positions,
                       Optional<Decoder_RowList>:$row_list, Optional<Decoder_RowCount>:$row_count,
                       Optional<Decoder_BlockLists>:$blocks,
                       I64Attr:$head_dim, F32Attr:$scale,
                       OptionalAttr<I64Attr>:$window,
                       OptionalAttr<I64Attr>:$block_size,
                       OptionalAttr<F32Attr>:$drop_below,
                       OptionalAttr<I64Attr>:$drop_size);
  let results = (outs Decoder_RoundedRows:$result);
  let assemblyFormat = [{
    $site $query `,` $keys `,` $values `at` $slots `,` $positions
    custom<RowSet>($row_list, $row_count, type($row_list), type($row_count))
    (`blocks` `of` $block_size `(` $blocks^ `:` type($blocks) `)`)? attr-dict
    `:` type($query) `,` type($keys) custom<RoundedType>(ref(type($query)), type($result))
  }];
  let extraClassDeclaration = [{
    int64_t getQueryHeads() { return getQuery().getType().getDimSize(1) / getHeadDim(); }
    int64_t getKvHeads() { return getKeys().getType().getDimSize(2) / getHeadDim(); }
    /// How many blocks a row's list for one KV head has room for; 0: there are
    /// no lists.
    int64_t getBlocksPerHead() {
      return getBlocks() ? getBlocks().getType().getDimSize(1) / getKvHeads() : 0;
    }
  }];
}

#endif // COPPICE_DIALECT_DECODER_IR_DECODEROPS_TD
