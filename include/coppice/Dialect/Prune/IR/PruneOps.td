// Plans, projections and the GEMM that they act on.
#ifndef COPPICE_DIALECT_PRUNE_IR_PRUNEOPS_TD
#define COPPICE_DIALECT_PRUNE_IR_PRUNEOPS_TD

include "coppice/Dialect/Prune/IR/PruneAttributes.td"
include "coppice/Dialect/Prune/IR/PruneDialect.td"
include "coppice/Dialect/Prune/IR/PruneInterfaces.td"
include "mlir/Dialect/Linalg/IR/LinalgInterfaces.td"
include "mlir/IR/OpAsmInterface.td"
include "mlir/IR/SymbolInterfaces.td"
include "mlir/Interfaces/ControlFlowInterfaces.td"
include "mlir/Interfaces/InferTypeOpInterface.td"
include "mlir/Interfaces/SideEffectInterfaces.td"

class Prune_Op<string mnemonic, list<Trait> traits = []>
    : Op<Prune_Dialect, mnemonic, traits>;

//===----------------------------------------------------------------------===//
// Plans
//===----------------------------------------------------------------------===//

def Prune_PlanOp : Prune_Op<"plan", [
    Symbol, IsolatedFromAbove, NoTerminator, SingleBlock, NoRegionArguments]> {
  let summary = "A list of pruning decisions";
  let description = [{
    Decisions about sites that are named by globs. `*` and `?` match within one
    component of a dotted name, `{3,7}` lists alternatives and `[0-3]` is a
    range of numbers, both ends included. Indices always refer to the dense
    model, and the order of the decisions does not matter.

    ```mlir
    prune.plan @half {
      prune.skip "layers.{3,7}.mlp"
      prune.keep "layers.*.attn" kv_heads = #prune.set<[0, 3] of 4>
      prune.keep "layers.[0-2].mlp" channels = #prune.file_set<"keep.safetensors", "mlp">
    }
    ```
  }];
  let arguments = (ins SymbolNameAttr:$sym_name,
                       OptionalAttr<StrAttr>:$sym_visibility);
  let regions = (region SizedRegion<1>:$body);
  let assemblyFormat = "$sym_name attr-dict-with-keyword $body";
  let hasRegionVerifier = 1;
  let skipDefaultBuilders = 1;
  let builders = [OpBuilder<(ins "::llvm::StringRef":$name)>];
}

def Prune_SkipOp : Prune_Op<"skip", [
    HasParent<"PlanOp">, DeclareOpInterfaceMethods<Prune_DecisionOpInterface>]> {
  let summary = "Static M: take sublayers or whole layers out of the model";
  let description = [{
    The sublayers (`layers.N.attn`, `layers.N.mlp`) or layers (`layers.N`) that
    match become the identity; their weights and their KV cache are gone.

    ```mlir
    prune.skip "layers.3.mlp"
    prune.skip "layers.{5,6}"
    ```
  }];
  let arguments = (ins StrAttr:$sites);
  let assemblyFormat = "$sites attr-dict";
}

def Prune_KeepOp : Prune_Op<"keep", [
    HasParent<"PlanOp">, DeclareOpInterfaceMethods<Prune_DecisionOpInterface>]> {
  let summary = "Static N and K: keep some channels, heads or hidden dimensions";
  let description = [{
    `channels` counts the intermediate channels of an MLP, `kv_heads` the KV
    heads of an attention, each kept with all of its query heads. `hidden`
    counts the columns of the residual stream at the boundaries that are named:
    `embed`, where it begins, and `layers.N.attn` and `layers.N.mlp`, after the
    sublayer has been added. Sets are in channels, heads or columns: their
    granule is 1.

    ```mlir
    prune.keep "layers.*.mlp" channels = #prune.set<[0:80, 96] of 172>
    prune.keep "layers.*.attn" kv_heads = #prune.set<[0, 3] of 4>
    prune.keep "embed" hidden = #prune.set<[0:48] of 64>
    prune.keep "layers.*.*" hidden = #prune.set<[0:32, 40:56] of 64>
    ```

    What a boundary does not keep is zero there, and is gone from all that reads
    or writes it: norms, inputs and outputs of matrix multiplications, embedding
    and head. Where two boundaries in a row keep different columns, those that
    both keep go from one to the other, and what the sublayer computes is added.
    About one sublayer there may be a decision of each kind, `hidden` and one of
    the others.
  }];
  let arguments = (ins StrAttr:$sites, Prune_DimensionAttr:$dimension, Prune_PlannedSetAttr:$set);
  let assemblyFormat = "$sites $dimension `=` $set attr-dict";
  let hasVerifier = 1;
}

def Prune_FactorOp : Prune_Op<"factor", [
    HasParent<"PlanOp">, DeclareOpInterfaceMethods<Prune_DecisionOpInterface>]> {
  let summary = "Static K: put two thin factors in the place of weights";
  let description = [{
    The weight W `[N, K]` of each matrix multiplication that matches becomes
    U V, with U `[N, rank]` and V `[rank, K]`: the best such factors (truncated
    SVD) of what other decisions leave of W, or those of a safetensors file,
    tensors `SITE.u` and `SITE.v`, whose rank then need not be written. With
    `retain`, these rows of W stay dense and U has the other ones. A bias is
    added after U.

    ```mlir
    prune.factor "layers.*.attn.q" rank = 1024
    prune.factor "layers.*.mlp.{gate,up}" rank = 400 retain = #prune.set<[0:128] of 2048>
    prune.factor "layers.0.mlp.down" from "factors.safetensors"
    ```
  }];
  let arguments = (ins StrAttr:$sites,
                       OptionalAttr<I64Attr>:$rank,
                       OptionalAttr<Prune_PlannedSetAttr>:$retain,
                       OptionalAttr<StrAttr>:$file);
  let assemblyFormat = [{
    $sites (`rank` `=` $rank^)? (`retain` `=` $retain^)? (`from` $file^)? attr-dict
  }];
  let hasVerifier = 1;
}

def Prune_PatternOp : Prune_Op<"pattern", [
    HasParent<"PlanOp">, DeclareOpInterfaceMethods<Prune_DecisionOpInterface>]> {
  let summary = "Static K: weights with N:M sparsity along K";
  let description = [{
    The weights of the matrix multiplications that match have the pattern, and
    are refused where they have not. With `by magnitude` they are made so: of
    each group the largest stay, of equal ones the first. Groups are counted
    along what other decisions leave of K.

    ```mlir
    prune.pattern "layers.*.mlp.*" axis(K) = 2 of 4
    prune.pattern "layers.*.attn.{q,k,v,o}" axis(K) = 4 of 8 by magnitude
    ```
  }];
  let arguments = (ins StrAttr:$sites, Prune_NMAttr:$pattern, UnitAttr:$by_magnitude);
  let assemblyFormat = [{
    $sites `axis` `(` `K` `)` `=` custom<Ratio>($pattern) (`by` `magnitude` $by_magnitude^)? attr-dict
  }];
}

def Prune_MaskOp : Prune_Op<"mask", [
    HasParent<"PlanOp">, DeclareOpInterfaceMethods<Prune_DecisionOpInterface>]> {
  let summary = "Unstructured: zeros anywhere in weights, a baseline of quality";
  let description = [{
    The weights of the matrix multiplications that match get zeros in places
    that follow no pattern: either of each weight the fraction `sparsity` that is
    smallest by magnitude, of equal ones the last, counted in what other
    decisions leave of it; or where the tensor `SITE.mask` of a safetensors file
    (BOOL or U8, of the weight's shape) is zero.

    Nothing runs faster for it: such a weight is stored and multiplied as a dense
    one. It says what structure costs, since no pattern of as many zeros can be
    better.

    ```mlir
    prune.mask "layers.*.mlp.*" sparsity = 0.5
    prune.mask "layers.0.attn.q" from "masks.safetensors"
    ```
  }];
  let arguments = (ins StrAttr:$sites,
                       OptionalAttr<F64Attr>:$sparsity,
                       OptionalAttr<StrAttr>:$file);
  let assemblyFormat = [{
    $sites (`sparsity` `=` $sparsity^)? (`from` $file^)? attr-dict
  }];
  let hasVerifier = 1;
}

def Prune_RouteOp : Prune_Op<"route", [
    HasParent<"PlanOp">, DeclareOpInterfaceMethods<Prune_DecisionOpInterface>]> {
  let summary = "Dynamic M and token-wise width: let a router choose what a row computes";
  let description = [{
    `axis(M)`: each sublayer (`layers.N.attn`, `layers.N.mlp`) that matches
    computes only the rows (tokens) that its router chooses, anew in each step;
    to the others it adds nothing. Of a layer (`layers.N`) one router decides for
    both of its sublayers.

    `axis(N) groups of G`: a row computes only those groups of G channels of an
    MLP, or of G query heads of an attention, that its router chooses for it; the
    others are zero in what the sublayer's last product reads. Groups are counted
    along what other decisions leave; the last one of an MLP may be short. Kernels
    have panels of 16 columns: with groups of other sizes what makes them is
    computed whole, and set to zero where that is needed (by plain loops with
    `compile --force`, and where hardly any group is expected).

    `axis(K) groups of G`: the same of groups of G columns of the sublayer's
    normed input, which its first products read, counted among all columns.

    Keys and values are computed of all rows, so that whoever attends later finds
    them. A router reads the residual as the sublayer, or the layer,
    finds it; with `order(same)` that of an MLP reads it as the attention of its
    layer does.

    `scaled` multiplies what is added in a kept row by the router's probability
    (softmax) of keeping it. `forecast(R)` adds, in a row that is passed by, what
    two products H -> R -> H with SiLU between them make of the sublayer's normed
    input. Both are for `axis(M)`.

    A row, or a group of it, is kept if its score of being kept is not the smaller
    one; with `threshold = P` if its probability (softmax) is at least P; with
    `top = F` if it is among the `ceil(F n)` rows with the largest probability of
    the n rows that its sequence has in the step. The last is not causal: it
    depends on rows that come later, and on how a prompt is cut into steps.

    `expected` is the share of rows, or of groups of rows, that predictions
    assume to be kept. It changes nothing that is computed.

    Weights are those of a safetensors file, tensors `SITE.router.weight` and so
    on as the globals are called, or generated.

    ```mlir
    prune.route "layers.*.mlp" axis(M) by bottleneck(16) expected = 0.5
    prune.route "layers.3" axis(M) by linear from "routers.safetensors"
    prune.route "layers.*.mlp" axis(N) groups of 128 by bottleneck(32) expected = 0.5
    prune.route "layers.*.attn" axis(K) groups of 256 by linear
    prune.route "layers.2.mlp" axis(M) by mlp(24) order(same) scaled forecast(100)
    prune.route "layers.4.mlp" axis(M) by linear threshold = 0.7 expected = 0.3
    prune.route "layers.5.mlp" axis(M) by linear top = 0.5 scaled
    ```
  }];
  let arguments = (ins StrAttr:$sites, OptionalAttr<I64Attr>:$group_size,
                       UnitAttr:$reduction, Prune_RouterAttr:$router,
                       OptionalAttr<F64Attr>:$threshold, OptionalAttr<F64Attr>:$top,
                       DefaultValuedAttr<F64Attr, "0.5">:$expected,
                       UnitAttr:$same_order, UnitAttr:$scaled,
                       OptionalAttr<I64Attr>:$forecast,
                       OptionalAttr<StrAttr>:$file);
  let assemblyFormat = [{
    $sites custom<RouteAxis>($group_size, $reduction) `by` custom<Router>($router)
    (`threshold` `=` $threshold^)? (`top` `=` $top^)?
    (`expected` `=` $expected^)? (`order` `(` `same` $same_order^ `)`)? (`scaled` $scaled^)?
    (`forecast` `(` $forecast^ `)`)? (`from` $file^)? attr-dict
  }];
  let hasVerifier = 1;
}

def Prune_ActivationsOp : Prune_Op<"activations", [
    HasParent<"PlanOp">, DeclareOpInterfaceMethods<Prune_DecisionOpInterface>]> {
  let summary = "Dynamic K: leave out the columns of weights that meet small values";
  let description = [{
    What the matrix multiplications that match read is zero where its magnitude is
    below `threshold`; NaN stays. With few rows, whose time is that of reading
    weights, a kernel then reads only the columns of the weight that meet a value
    which is not zero in some row (Liu et al., TEAL, arXiv 2408.14690); with many
    rows it multiplies all of them.

    `expected` is the share of values that predictions assume to be left. It
    changes nothing that is computed.

    ```mlir
    prune.activations "layers.*.mlp.down" threshold = 0.12 expected = 0.5
    prune.activations "layers.*.attn.{q,k,v}" threshold = 0.6
    ```
  }];
  let arguments = (ins StrAttr:$sites, F64Attr:$threshold,
                       DefaultValuedAttr<F64Attr, "0.5">:$expected);
  let assemblyFormat = "$sites `threshold` `=` $threshold (`expected` `=` $expected^)? attr-dict";
  let hasVerifier = 1;
}

def Prune_BlocksOp : Prune_Op<"blocks", [
    HasParent<"PlanOp">, DeclareOpInterfaceMethods<Prune_DecisionOpInterface>]> {
  let summary = "Dynamic N and K of attention: attend to some blocks of positions only";
  let description = [{
    Positions are cut into blocks of so many, from 0 on. In the attentions
    (`layers.N.attn`) that match, each row attends, for each KV head, to at most
    W + S + K of the blocks that it sees:

    - `window(W)`: the last W, of which its own is one (1 where this is not
      said: a row always attends to itself);
    - `sinks(S)`: the first S (Xiao et al., arXiv 2309.17453);
    - `top(K)`: of the others the K whose mean key has the largest product with
      the queries that share the KV head, as `prune.select_blocks` says. With
      `scorer(R)` two learned matrices of rank R make the scores, of the queries
      and of the block's mean, largest and smallest keys (after SeerAttention,
      Gao et al., arXiv 2410.13276).

    What is not attended to is -inf in the scores, not 0. How much is left is
    known from W, S and K, so there is no share to expect.

    `threshold = T` drops, for each row and query head, what weighs less than T
    times the largest weight so far, a block at a time, as `decoder.attention`
    says: alone of all blocks, or of those that were chosen. Scores are computed
    all the same, values are not read.

    Weights of scorers are those of a safetensors file, tensors
    `layers.N.attn.scorer.query.weight` `[KV heads * R, query heads of each * D]`
    and `layers.N.attn.scorer.key.weight` `[KV heads * R, 3 D]`, or generated.

    ```mlir
    prune.blocks "layers.*.attn" of 64 window(4) sinks(1)
    prune.blocks "layers.[2-3].attn" of 128 window(2) sinks(1) top(8)
    prune.blocks "layers.4.attn" of 64 sinks(1) top(6) scorer(64) from "scorers.safetensors"
    prune.blocks "layers.5.attn" of 64 threshold = 1.0e-3
    ```
  }];
  let arguments = (ins StrAttr:$sites, I64Attr:$block_size,
                       OptionalAttr<I64Attr>:$recent,
                       DefaultValuedAttr<I64Attr, "0">:$first,
                       DefaultValuedAttr<I64Attr, "0">:$top,
                       OptionalAttr<I64Attr>:$scorer, OptionalAttr<StrAttr>:$file,
                       OptionalAttr<F64Attr>:$threshold);
  let assemblyFormat = [{
    $sites `of` $block_size (`window` `(` $recent^ `)`)? (`sinks` `(` $first^ `)`)?
    (`top` `(` $top^ `)`)? (`scorer` `(` $scorer^ `)`)? (`from` $file^)?
    (`threshold` `=` $threshold^)? attr-dict
  }];
  let hasVerifier = 1;
  let extraClassDeclaration = [{
    /// Are blocks chosen, or is there a threshold alone?
    bool hasLists() {
      return !getThreshold() || getRecentAttr() || getFirst() != 0 || getTop() != 0;
    }
    /// A row always attends to its own block.
    int64_t getLastBlocks() { return getRecentAttr() ? getRecentAttr().getInt() : 1; }
  }];
}

//===----------------------------------------------------------------------===//
// Projections
//===----------------------------------------------------------------------===//

// `in`, not a colon, before the types: after an attribute the parser would take
// a colon as the beginning of the attribute's own type.
class Prune_ProjectionOp<string mnemonic, list<Trait> traits = []>
    : Prune_Op<mnemonic, !listconcat([Pure,
        DeclareOpInterfaceMethods<ReifyRankedShapedTypeOpInterface, ["reifyResultShapes"]>], traits)> {
  let hasVerifier = 1;
  let hasFolder = 1;
}

def Prune_ProjectOp : Prune_ProjectionOp<"project", [SameOperandsAndResultType]> {
  let summary = "P: set everything that is not kept along one axis to zero";
  let description = [{
    `result[.., i, ..] = i in keep ? input[.., i, ..] : 0`, where i counts along
    `axis`. This is the meaning of a pruning decision. (A select, not a product
    with a mask: what is not kept may be Inf or NaN.)

    ```mlir
    %p = prune.project "layers.0.mlp" %x axis 1 keep #prune.set<[0:80, 96] of 172> in tensor<?x172xf32>
    %z = prune.project "layers.3.mlp" %y axis 0 keep #prune.set<none> in tensor<?x64xf32>
    ```
  }];
  let arguments = (ins StrAttr:$site, AnyRankedTensor:$input, I64Attr:$axis, Prune_SetAttr:$keep);
  let results = (outs AnyRankedTensor:$result);
  let assemblyFormat = "$site $input `axis` $axis `keep` custom<FullSet>($keep) attr-dict `in` type($result)";
  let hasCanonicalizer = 1;
}

def Prune_RestrictOp : Prune_ProjectionOp<"restrict", [
    InferTypeOpAdaptor]> {
  let summary = "S: keep only the kept indices along one axis";
  let description = [{
    `result[.., j, ..] = input[.., keep[j], ..]`. One that is left after
    propagation is a gather.

    ```mlir
    %s = prune.restrict %x axis 1 keep #prune.set<[0:80, 96] of 172> in tensor<?x172xf32> -> tensor<?x81xf32>
    ```
  }];
  let arguments = (ins AnyRankedTensor:$input, I64Attr:$axis, Prune_SetAttr:$keep);
  let results = (outs AnyRankedTensor:$result);
  let assemblyFormat = "$input `axis` $axis `keep` custom<FullSet>($keep) attr-dict `in` type($input) `->` type($result)";
  let hasCanonicalizer = 1;
}

def Prune_ExtendOp : Prune_ProjectionOp<"extend"> {
  let summary = "E: put values at the kept indices along one axis, zeros elsewhere";
  let description = [{
    `result[.., keep[j], ..] = input[.., j, ..]`, zero where nothing is kept:
    the transpose of `prune.restrict`. Where the set has no count, `extent` says
    how long the dimension is.

    ```mlir
    %e = prune.extend %x axis 1 keep #prune.set<[0:80, 96] of 172> in tensor<?x81xf32> -> tensor<?x172xf32>
    %z = prune.extend %y axis 0 extent %n keep #prune.set<none> in tensor<0x64xf32> -> tensor<?x64xf32>
    ```
  }];
  let arguments = (ins AnyRankedTensor:$input, I64Attr:$axis, Prune_SetAttr:$keep, Optional<Index>:$extent);
  let results = (outs AnyRankedTensor:$result);
  let assemblyFormat = [{
    $input `axis` $axis (`extent` $extent^)? `keep` custom<FullSet>($keep) attr-dict
    `in` type($input) `->` type($result)
  }];
  let builders = [OpBuilder<(ins "::mlir::Value":$input, "int64_t":$axis, "::coppice::prune::SetAttr":$keep)>];
}

def Prune_GatherOp : Prune_Op<"gather", [Pure, DeclareOpInterfaceMethods<AggregatedOpInterface, ["decomposeOperation"]>]> {
  let summary = "Columns of a value by a table, zeros where it names none";
  let description = [{
    `result[r, c] = columns[c] < 0 ? 0 : input[r, columns[c]]`: what is left of
    restrictions and extensions of computed values once everything has been
    propagated, such as the index map between two boundaries of the residual
    stream that keep different columns. The table is data, not an attribute, so
    that all maps of the same widths are one kernel. An index that is not below
    the width of the input is undefined behaviour.

    ```mlir
    %r = prune.gather "residual.layers.0.attn" %x by %t : tensor<?x48xf32>, tensor<32xi32> -> tensor<?x32xf32>
    ```
  }];
  let arguments = (ins StrAttr:$site, 2DTensorOf<[AnyFloat]>:$input,
                       TensorRankOf<[I32], [1]>:$columns);
  let results = (outs 2DTensorOf<[AnyFloat]>:$result);
  let assemblyFormat = "$site $input `by` $columns attr-dict `:` type($input) `,` type($columns) `->` type($result)";
  let hasVerifier = 1;
}

//===----------------------------------------------------------------------===//
// Routes
//===----------------------------------------------------------------------===//

/// Of each row, what is kept: 1, or 0.
def Prune_RowMask : Type<And<[
    TensorRankOf<[I8], [2]>.predicate,
    CPred<[{::llvm::cast<::mlir::ShapedType>($_self).getShape().back() >= 1}]>]>,
  "mask of rows: [rows, groups] of i8 with a static number of groups", "::mlir::RankedTensorType">;
// A set that is only known at run time: the kept indices, and how many of them
// the tensor holds.
def Prune_IndexList : 1DTensorOf<[I32]>;
def Prune_IndexCount : 0DTensorOf<[I32]>;
// The same of rows, of which there may be a list for each group of columns.
def Prune_RowLists : AnyTypeOf<[1DTensorOf<[I32]>, 2DTensorOf<[I32]>]>;
def Prune_RowCounts : AnyTypeOf<[0DTensorOf<[I32]>, 1DTensorOf<[I32]>]>;

def Prune_DecideOp : Prune_Op<"decide", [Pure,
    DeclareOpInterfaceMethods<AggregatedOpInterface, ["decomposeOperation"]>]> {
  let summary = "A route's decision about each row: keep it, or pass it by";
  let description = [{
    With f = `forced[r, column + g]`: `result[r, g]` is 0 or 1 as f is, and if f
    is negative 0 where `scores[r, 2 g + 1] > scores[r, 2 g] + margin`, else 1. So
    of equal scores, and of NaN, it is 1. `forced` is given with a step: what
    replays a decision, or draws one.

    With `top F of` the slots of the rows it is 1 in the `ceil(F n)` rows of each
    slot with the largest `scores[r, 2 g] - scores[r, 2 g + 1]`, n being how many
    rows the slot has; of equal ones in the first. NaN counts as the largest.

    ```mlir
    %m = prune.decide "layers.0.mlp.route" %scores forced %routes column 3 expected 5.0e-01
      : tensor<?x2xf32>, tensor<?x8xi8> -> tensor<?x1xi8>
    %t = prune.decide "layers.1.mlp.route" %scores forced %routes column 4 top 5.0e-01 of %slots : tensor<?xi32> expected 5.0e-01
      : tensor<?x2xf32>, tensor<?x8xi8> -> tensor<?x1xi8>
    ```
  }];
  let arguments = (ins StrAttr:$site, 2DTensorOf<[F32]>:$scores, 2DTensorOf<[I8]>:$forced,
                       Optional<1DTensorOf<[I32]>>:$slots,
                       I64Attr:$column, DefaultValuedAttr<F64Attr, "0.0">:$margin,
                       OptionalAttr<F64Attr>:$top, F64Attr:$expected);
  let results = (outs Prune_RowMask:$mask);
  let assemblyFormat = [{
    $site $scores `forced` $forced `column` $column (`margin` $margin^)?
    (`top` $top^ `of` $slots `:` type($slots))? `expected` $expected attr-dict
    `:` type($scores) `,` type($forced) `->` type($mask)
  }];
  let hasVerifier = 1;
}

def Prune_ProjectByOp : Prune_Op<"project_by", [Pure,
    AllTypesMatch<["input", "result"]>,
    DeclareOpInterfaceMethods<AggregatedOpInterface, ["decomposeOperation"]>]> {
  let summary = "P of a route: set what a mask does not keep to zero";
  let description = [{
    With one group: `result[r, c] = mask[r, 0] ? input[r, c] : into[r, c]`, zero
    where there is no `into`; a projection along M. What is not kept may be Inf
    or NaN. With `passed` it is the rows that the mask does not keep that stay.

    With `groups of S` columns it is a projection along N or K that differs from
    row to row: `mask[r, p / S]` decides, p being the column, or with `among` its
    place among the columns of that set. The last group may be short, and columns
    that are not in the set are zero.

    ```mlir
    %p = prune.project_by "layers.0.mlp" %down, %m : tensor<?x64xf32>, tensor<?x1xi8>
    %s = prune.project_by "layers.0.mlp" %sum, %m : tensor<?x64xf32>, tensor<?x1xi8> into %r : tensor<?x64xf32>
    %f = prune.project_by "layers.0.mlp" %sum, %m passed : tensor<?x64xf32>, tensor<?x1xi8> into %r : tensor<?x64xf32>
    %g = prune.project_by "layers.0.mlp" %act, %n groups of 32 among <[0:80, 96] of 172> : tensor<?x172xf32>, tensor<?x3xi8>
    ```
  }];
  let arguments = (ins StrAttr:$site, 2DTensorOf<[AnyFloat]>:$input, Prune_RowMask:$mask,
                       Optional<2DTensorOf<[AnyFloat]>>:$into,
                       UnitAttr:$passed, OptionalAttr<I64Attr>:$group_size,
                       OptionalAttr<Prune_SetAttr>:$among);
  let results = (outs 2DTensorOf<[AnyFloat]>:$result);
  let assemblyFormat = [{
    $site $input `,` $mask (`passed` $passed^)? (`groups` `of` $group_size^)? (`among` $among^)? attr-dict
    `:` type($input) `,` type($mask) (`into` $into^ `:` type($into))?
  }];
  let hasVerifier = 1;
}

def Prune_CompactOp : Prune_Op<"compact", [Pure]> {
  let summary = "The rows that a mask keeps, as lists";
  let description = [{
    Of each group of a mask the numbers of its rows that are 1, ascending, and
    how many there are; with `passed`, of those that are 0. What a list holds
    behind them means nothing. Lists are made once, for all that share the
    decision. Those of a mask of several groups are the rows of a matrix.

    ```mlir
    %list, %count = prune.compact "layers.0.mlp.rows" %m : tensor<?x1xi8> -> tensor<?xi32>, tensor<i32>
    %lists, %counts = prune.compact "layers.1.mlp.rows" %g : tensor<?x4xi8> -> tensor<4x?xi32>, tensor<4xi32>
    ```
  }];
  let arguments = (ins StrAttr:$site, Prune_RowMask:$mask, UnitAttr:$passed);
  let results = (outs Prune_RowLists:$list, Prune_RowCounts:$count);
  let assemblyFormat = "$site $mask (`passed` $passed^)? attr-dict `:` type($mask) `->` type($list) `,` type($count)";
  let hasVerifier = 1;
}

//===----------------------------------------------------------------------===//
// Blocks of positions
//===----------------------------------------------------------------------===//

def Prune_SelectBlocksOp : Prune_Op<"select_blocks", [Pure, AttrSizedOperandSegments,
    AllTypesMatch<["slots", "positions"]>,
    DeclareOpInterfaceMethods<AggregatedOpInterface, ["decomposeOperation"]>]> {
  let summary = "The blocks of positions that each row attends to";
  let description = [{
    With B positions to a block and C = `recent` + `first` + `top`,
    `result[r, k C .. (k + 1) C)` are the blocks that row r has chosen for KV head
    k, ascending; behind the last one comes -1. A row at position p of slot s
    sees the blocks from `max(0, p - window + 1) / B` (0 without a window) to
    p / B, its own; it chooses

    - the last `recent` of them, so always its own;
    - the first `first`;
    - of the others the `top` with the largest score, of equal ones the first; NaN
      counts as the largest. With D = `heads of`, Hk KV heads and g query heads
      to each, the score of block b is
      `sum over j in [b B, (b + 1) B) of sum over d of q[d] * f32(keys[s, j, k D + d])`, where
      `q[d] = sum over the g query heads h of k of f32(query[r, h D + d])`, in f32. That
      orders them as the product with the mean key does. These blocks lie whole before
      p, so nothing later is looked at.
      With `weights` U `[Hk R, g D]` and V `[Hk R, 3 D]` it is
      `sum over i < R of (sum over c of U[k R + i, c] * query[r, k g D + c]) *
      (sum over c of V[k R + i, c] * pooled[c])`, where `pooled` are, of each of the
      D columns of the block's keys of head k, the mean, then the largest, then the
      smallest.

    A row with p < 0 chooses none.

    **Rows of one block choose together.** Rows that follow one another in the
    step, with one slot and positions in one block, all have the choice of the
    first of them: what a tile of rows reads together is then one list. It follows
    that a choice by `top` depends on how a prompt is cut into steps.

    Query and keys are there if and only if `top` is not 0.

    ```mlir
    %l = prune.select_blocks "layers.0.attn.blocks" of 16 recent 2 first 1 top 2
        by %q, %kc heads of 8 : tensor<?x64xf32>, tensor<?x?x32xbf16> at %slots, %positions : tensor<?xi32> -> tensor<?x20xi32>
    %g = prune.select_blocks "layers.2.attn.blocks" of 16 recent 1 first 1 top 2
        by %q, %kc heads of 8 : tensor<?x64xf32>, tensor<?x?x32xbf16>
        weights %u, %v : tensor<64x16xbf16>, tensor<64x24xbf16> at %slots, %positions : tensor<?xi32> -> tensor<?x16xi32>
    %w = prune.select_blocks "layers.1.attn.blocks" of 64 recent 4 first 1 top 0 at %slots, %positions
      : tensor<?xi32> -> tensor<?x20xi32>
    ```
  }];
  let arguments = (ins StrAttr:$site,
                       Optional<2DTensorOf<[F32, F16, BF16]>>:$query,
                       Optional<TensorRankOf<[F32, F16, BF16], [3]>>:$keys,
                       Optional<2DTensorOf<[F32, F16, BF16]>>:$query_weight,
                       Optional<2DTensorOf<[F32, F16, BF16]>>:$key_weight,
                       1DTensorOf<[I32]>:$slots, 1DTensorOf<[I32]>:$positions,
                       I64Attr:$block_size, I64Attr:$recent, I64Attr:$first, I64Attr:$top,
                       OptionalAttr<I64Attr>:$head_dim, OptionalAttr<I64Attr>:$window);
  let results = (outs 2DTensorOf<[I32]>:$blocks);
  let assemblyFormat = [{
    $site `of` $block_size `recent` $recent `first` $first `top` $top (`window` $window^)?
    (`by` $query^ `,` $keys `heads` `of` $head_dim `:` type($query) `,` type($keys))?
    (`weights` $query_weight^ `,` $key_weight `:` type($query_weight) `,` type($key_weight))?
    `at` $slots `,` $positions attr-dict `:` type($positions) `->` type($blocks)
  }];
  let hasVerifier = 1;
  let extraClassDeclaration = [{
    /// R of the matrices that make scores; 0 without them.
    int64_t getScorerRank() {
      return getQueryWeight()
                 ? ::llvm::cast<::mlir::ShapedType>(getQueryWeight().getType()).getDimSize(0) / getKvHeads()
                 : 0;
    }
    /// Blocks of a row and KV head, at most.
    int64_t getBlocksPerHead() { return getRecent() + getFirst() + getTop(); }
    int64_t getKvHeads() {
      return ::llvm::cast<::mlir::ShapedType>(getBlocks().getType()).getDimSize(1) /
             getBlocksPerHead();
    }
  }];
}

//===----------------------------------------------------------------------===//
// Replacements
//===----------------------------------------------------------------------===//

def Prune_ReplaceOp : Prune_Op<"replace", [Pure, AllTypesMatch<["weight", "result"]>]> {
  let summary = "Other weights in the place of a weight";
  let description = [{
    What the weight `[N, K]` of a matrix multiplication becomes. It is read by
    `prune.gemm` only, as its weight, and says by how many GEMMs that is done:

    - by one weight `[N, K]`: the GEMM multiplies with that;
    - by two, U `[N - retained, rank]` and V `[rank, K]`: two GEMMs,
      `(x V^T) U^T`, each summed and stored as any GEMM. Rows that are in
      `retain` are those of the weight itself, the other ones are U's.

    `pattern` says that what is kept of the new weight has N:M sparsity,
    `sparsity` that this fraction of it are zeros in no pattern, of which nothing
    is made; until the new weight is there, `mask` may name the tensor that says
    where they are to be. Together with `prune.project` this is all that can change what a
    program means; the old weight stays an operand, so that the dense program is
    at hand.

    The meaning is the product with the new weight, which of a pair of factors is
    U V, or W in its retained rows and U V in the others: `prune-to-linalg`
    computes that weight. Two GEMMs in its place (`prune-expand-replaced`) are
    the same but for the order of sums.

    ```mlir
    %f = prune.replace "layers.0.attn.q" %w by %u, %v in tensor<64x64xf32> by tensor<64x16xf32>, tensor<16x64xf32>
    %s = prune.replace "layers.0.mlp.up" %w by %m pattern <2 of 4> in tensor<172x64xf32> by tensor<172x64xf32>
    ```
  }];
  let arguments = (ins StrAttr:$site,
                       2DTensorOf<[AnyFloat]>:$weight,
                       Variadic<2DTensorOf<[AnyFloat]>>:$by,
                       OptionalAttr<Prune_SetAttr>:$retain,
                       OptionalAttr<Prune_NMAttr>:$pattern,
                       OptionalAttr<F64Attr>:$sparsity,
                       OptionalAttr<Prune_FileSetAttr>:$mask);
  let results = (outs 2DTensorOf<[AnyFloat]>:$result);
  let assemblyFormat = [{
    $site $weight (`retain` $retain^)? `by` $by (`pattern` $pattern^)?
    (`sparsity` $sparsity^)? (`mask` $mask^)? attr-dict
    `in` type($weight) `by` type($by)
  }];
  let hasVerifier = 1;
  let extraClassDeclaration = [{
    bool isFactored() { return getBy().size() == 2; }
    ::mlir::Value getU() { return getBy()[0]; }
    ::mlir::Value getV() { return getBy()[1]; }
  }];
}

//===----------------------------------------------------------------------===//
// GEMM
//===----------------------------------------------------------------------===//

def Prune_GemmOp : Prune_Op<"gemm", [
    Pure, SingleBlock, AttrSizedOperandSegments,
    DeclareOpInterfaceMethods<AggregatedOpInterface, ["decomposeOperation"]>,
    DeclareOpInterfaceMethods<ReifyRankedShapedTypeOpInterface, ["reifyResultShapes"]>]> {
  let summary = "C[m, n] = epilogue(sum over k of A[m, k] * W[n, k])";
  let description = [{
    The matrix multiplication of a site: activations `input` `[M, K]`, `weight`
    `[N, K]`, result `[M, N]`. Products and sums have the result's element type,
    but f32 at the least; narrower operands are widened first, a narrower result
    is rounded once, to nearest even.

    The epilogue is applied to each sum, which is its first argument; the other arguments are the elements of further operands,
    which have the result's shape (element [m, n]), are `[M, 1]` (element
    [m, 0]) or are `[N]` vectors (element [n]). Without a region the product itself is the result. `value`
    names what a fused GEMM computes, where that is no longer the site.
    `pattern` says that the weight has N:M sparsity along K: what it leaves out
    is zero, so that it changes what a kernel may do and not what is computed.
    (`... %x, %w pattern <2 of 4> : ...`) So does `zeros S`: it says that about
    the fraction S of the input is zero, and worth looking for.

    ```mlir
    %up = prune.gemm "layers.0.mlp.up" %x, %w : tensor<?x64xf32>, tensor<172x64xbf16> -> tensor<?x172xf32>
    %r1 = prune.gemm "layers.0.mlp.down" %act, %w value "layers.0.mlp" epilogue(%acc: f32, %r: f32 = %r0 : tensor<?x64xf32>) {
      %s = arith.addf %acc, %r : f32
      prune.yield %s : f32
    } : tensor<?x172xf32>, tensor<64x172xbf16> -> tensor<?x64xf32>
    ```

    **Sets** say at run time which rows, panels of N and groups of K there are. Each is a list of i32 and a count: the first `count`
    elements are the set, in ascending order, none twice, each below the number of rows, panels or groups. What the list holds behind
    them means nothing. Whoever makes a list answers for that order and range; nothing here checks it.

    - `groups of G`: the sum is over those k with k / G in the set.
    - `panels of P`: those columns are computed with n / P in the set. The last panel or group may be short.
    - `rows`: with row number i of the set being row r,
      - `gather`: result row i comes from input row r; the result has as many rows as the list is long;
      - `scatter`: result row r comes from input row i;
      - `both`: result row r comes from input row r.

    Rows may differ from panel to panel, or from group to group (token-wise width): then there is a list of rows for each, all of
    them in a matrix, a vector of counts, and no other set.

    - `rows both(..) per panel of P`: element [r, n] of the result is computed where r is in list n / P.
    - `rows both(..) per group of G`: all rows are computed, the sum of row r over those k where r is in list k / G.

    What the epilogue reads has the shape of the result, `[M, 1]` (element [m, 0]) or `[N]`, and it reads where it writes. Elements of the result that are not computed,
    for their row or their column is in no set, are those of `into`, which is there if and only if there are such elements. In a
    kernel that is the destination, of which those elements are not touched: a residual that is added to itself passes through,
    a destination of zeros is a projection, and what nobody reads costs nothing.

    ```mlir
    %y = prune.gemm "layers.0.mlp.down" %act, %w rows scatter(%r, %m : tensor<?xi32>) groups of 128(%g, %n : tensor<4xi32>) into %r0
        value "layers.0.mlp" epilogue(%acc: f32, %r: f32 = %r0 : tensor<?x64xf32>) {
      %s = arith.addf %acc, %r : f32
      prune.yield %s : f32
    } : tensor<?x512xf32>, tensor<64x512xbf16> -> tensor<?x64xf32>
    ```
  }];
  let arguments = (ins
    StrAttr:$site,
    2DTensorOf<[AnyFloat]>:$input,
    2DTensorOf<[AnyFloat]>:$weight,
    Variadic<AnyRankedTensor>:$extras,
    Optional<Prune_RowLists>:$rows, Optional<Prune_RowCounts>:$row_count,
    Optional<Prune_IndexList>:$panels, Optional<Prune_IndexCount>:$panel_count,
    Optional<Prune_IndexList>:$groups, Optional<Prune_IndexCount>:$group_count,
    Optional<2DTensorOf<[AnyFloat]>>:$into,
    OptionalAttr<Prune_RowSidesAttr>:$row_sides,
    OptionalAttr<I64Attr>:$panel_size,
    OptionalAttr<I64Attr>:$group_size,
    OptionalAttr<StrAttr>:$value,
    OptionalAttr<Prune_NMAttr>:$pattern,
    OptionalAttr<F64Attr>:$input_zeros);
  let results = (outs 2DTensorOf<[AnyFloat]>:$result);
  let regions = (region AnyRegion:$epilogue);
  let hasCustomAssemblyFormat = 1;
  let hasVerifier = 1;
  let hasRegionVerifier = 1;
  let builders = [
    // Without an epilogue and without sets.
    OpBuilder<(ins "::mlir::Type":$result, "::llvm::StringRef":$site,
                   "::mlir::Value":$input, "::mlir::Value":$weight)>,
  ];
  let skipDefaultBuilders = 1;
  let extraClassDeclaration = [{
    bool hasEpilogue() { return !getEpilogue().empty(); }
    bool hasSets() { return getRows() || getPanels() || getGroups(); }
    /// Is there a list of rows for each panel, or each group of K?
    bool hasRowsPerPanel() { return getRows() && !getPanels() && getPanelSize(); }
    bool hasRowsPerGroup() { return getRows() && !getGroups() && getGroupSize(); }
    /// Can there be elements of the result that are not computed?
    bool leavesOut() { return (getRows() && !hasRowsPerGroup()) || getPanels(); }
    /// The type of products and sums, and of the epilogue's first argument.
    ::mlir::Type getSumType();
    /// The name of what this op computes: `value`, or the site if not fused.
    ::llvm::StringRef getValueName() { return getValue().value_or(getSite()); }
    /// Creates the epilogue's block with `accumulator` and one scalar argument
    /// for each extra operand; the caller fills it and adds the yield.
    ::mlir::Block *addEpilogue(::mlir::OpBuilder &builder, ::mlir::ValueRange extras);
  }];
}

def Prune_YieldOp : Prune_Op<"yield", [Pure, Terminator, ReturnLike, HasParent<"GemmOp">]> {
  let summary = "The element that an epilogue computes";
  let arguments = (ins AnyFloat:$value);
  let assemblyFormat = "$value attr-dict `:` type($value)";
}

#endif
