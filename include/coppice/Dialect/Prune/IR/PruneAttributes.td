// Keep-sets and where they come from.
#ifndef COPPICE_DIALECT_PRUNE_IR_PRUNEATTRIBUTES_TD
#define COPPICE_DIALECT_PRUNE_IR_PRUNEATTRIBUTES_TD

include "coppice/Dialect/Prune/IR/PruneDialect.td"
include "coppice/Dialect/Prune/IR/PruneInterfaces.td"
include "mlir/IR/AttrTypeBase.td"
include "mlir/IR/EnumAttr.td"

class Prune_Attr<string name, string attrMnemonic, list<Trait> traits = []>
    : AttrDef<Prune_Dialect, name, traits> {
  let mnemonic = attrMnemonic;
}

def Prune_SetAttr : Prune_Attr<"Set", "set",
    [DeclareAttrInterfaceMethods<Prune_PlannedSetAttrInterface>]> {
  let summary = "The kept indices of one dimension";
  let description = [{
    `COUNT` granules of `GRANULE` adjacent indices each (1 if not written), of
    which the listed ones are kept: single granules or half-open ranges, in
    ascending order and disjoint. `none` keeps nothing; without a count it is
    the empty set of a dimension whose extent is not known.

    ```
    #prune.set<[0:80, 96] of 172>     // 81 of 172 indices
    #prune.set<[0, 3] of 4 x 16>      // 2 of 4 granules: indices 0:16 and 48:64
    #prune.set<none of 8>             // nothing of 8
    #prune.set<none>                  // nothing of any number
    ```

    Touching ranges are merged, so that equal sets of equal granularity are
    equal attributes.
  }];
  let parameters = (ins
    ArrayRefParameter<"::coppice::prune::IndexRange">:$ranges,
    "int64_t":$count,
    "int64_t":$granule);
  let hasCustomAssemblyFormat = 1;
  let genVerifyDecl = 1;
  let builders = [
    AttrBuilder<(ins "::llvm::ArrayRef<::coppice::prune::IndexRange>":$ranges,
                     "int64_t":$count), [{
      return $_get($_ctxt, ranges, count, 1);
    }]>,
  ];
  let extraClassDeclaration = [{
    //===------------------------------------------------------------------===//
    // Making sets
    //===------------------------------------------------------------------===//

    /// Everything of `count` granules.
    static SetAttr all(::mlir::MLIRContext *context, int64_t count, int64_t granule = 1);
    /// Nothing; `count` may be ShapedType::kDynamic.
    static SetAttr none(::mlir::MLIRContext *context,
                        int64_t count = ::mlir::ShapedType::kDynamic, int64_t granule = 1);
    /// From ascending granule indices without repetition.
    static SetAttr fromIndices(::mlir::MLIRContext *context, ::llvm::ArrayRef<int64_t> sorted,
                               int64_t count, int64_t granule = 1);
    /// Granule i is kept if mask[i].
    static SetAttr fromMask(::mlir::MLIRContext *context, ::llvm::ArrayRef<bool> mask,
                            int64_t granule = 1);

    //===------------------------------------------------------------------===//
    // Asking
    //===------------------------------------------------------------------===//

    /// Is the extent of the dimension unknown? (Then the set is empty.)
    bool hasDynamicCount() const { return ::mlir::ShapedType::isDynamic(getCount()); }
    /// Number of kept granules.
    int64_t size() const;
    /// Indices of the dense dimension: count * granule, or kDynamic.
    int64_t getExtent() const;
    /// Indices that are kept: size() * granule.
    int64_t getKeptExtent() const { return size() * getGranule(); }
    bool isEmpty() const { return getRanges().empty(); }
    bool isFull() const;
    /// Is this granule kept? Logarithmic.
    bool containsGranule(int64_t granuleIndex) const;
    /// Is this index of the dense dimension kept? Logarithmic.
    bool contains(int64_t index) const { return containsGranule(index / getGranule()); }
    /// The kept indices of the dense dimension, ascending (granules expanded).
    ::llvm::SmallVector<int64_t> getIndices() const;
    /// The kept granules, ascending.
    ::llvm::SmallVector<int64_t> getGranuleIndices() const;
    /// Same indices of the same extent, whatever the granules.
    bool keepsSameAs(SetAttr other) const;

    //===------------------------------------------------------------------===//
    // Algebra. All linear in the number of ranges. Operands must have the same
    // extent (for two sets of one dimension) but may differ in granule; the
    // result then has the greatest common divisor of the granules.
    //===------------------------------------------------------------------===//

    SetAttr intersect(SetAttr other) const;
    SetAttr unite(SetAttr other) const;
    SetAttr complement() const;
    /// S_inner S_this: `inner` is a set of what this set keeps; the result is a
    /// set of the dense dimension.
    SetAttr compose(SetAttr inner) const;
    /// Where this set's indices lie inside of `outer`'s kept ones: the set k'
    /// of outer's kept extent with S_k' S_outer = S_(this and outer).
    SetAttr positionsIn(SetAttr outer) const;
    /// S_this E_other: for each kept index of this set its position among
    /// other's kept indices, or -1 where it is a zero.
    ::llvm::SmallVector<int64_t> indexMapFrom(SetAttr other) const;
    /// The same indices, counted in granules of `granule`, which must divide
    /// the present one.
    SetAttr refine(int64_t granule) const;
    /// The same indices in granules of `granule`; null if the set or the extent
    /// does not consist of whole ones.
    SetAttr coarsen(int64_t granule) const;
    /// The same granules, each `factor` times as large: a set of KV heads in
    /// heads becomes one in columns.
    SetAttr expand(int64_t factor) const;
  }];
}

def Prune_FileSetAttr : Prune_Attr<"FileSet", "file_set",
    [DeclareAttrInterfaceMethods<Prune_PlannedSetAttrInterface>]> {
  let summary = "A keep-set that lies in a safetensors file";
  let description = [{
    The tensor `key` of the file: either a mask (BOOL or U8, one element an
    index, not zero where kept) or the kept indices (I32 or I64, in any order,
    without repetition). A relative path is relative to the plan's file.

    ```
    #prune.file_set<"keep.safetensors", "layers.0.mlp">
    ```
  }];
  let parameters = (ins "::mlir::StringAttr":$path, "::mlir::StringAttr":$key);
  let assemblyFormat = "`<` $path `,` $key `>`";
}

def Prune_PlannedSet : AttrConstraint<
    CPred<"::llvm::isa<::coppice::prune::PlannedSetAttrInterface>($_self)">,
    "a keep-set, literal or external">;
def Prune_PlannedSetAttr : Attr<Prune_PlannedSet.predicate, Prune_PlannedSet.summary> {
  let storageType = "::coppice::prune::PlannedSetAttrInterface";
  let returnType = "::coppice::prune::PlannedSetAttrInterface";
  let convertFromStorage = "::llvm::cast<::coppice::prune::PlannedSetAttrInterface>($_self)";
}

def Prune_NMAttr : Prune_Attr<"NM", "nm"> {
  let summary = "N:M sparsity: at most N of each M neighbours along K are not zero";
  let description = [{
    Of a weight `[N, K]`: each row is cut into groups of `of` neighbours along
    K, and at most `kept` of a group are not zero. Groups are counted along
    what is kept of K, and the last one may be short, as if zeros followed.

    ```
    #prune.nm<2 of 4>
    ```
  }];
  let parameters = (ins "int64_t":$kept, "int64_t":$of);
  let extraClassDeclaration = [{
    /// Elements that may be other than zero of a row of `width`.
    int64_t countKept(int64_t width) const {
      return width / getOf() * getKept() + std::min(width % getOf(), getKept());
    }
    /// Bits that say where in its group one of them is.
    int64_t getPositionBits() const { return ::llvm::Log2_64_Ceil(getOf()); }
  }];
  let assemblyFormat = "`<` $kept `of` $of `>`";
  let genVerifyDecl = 1;
}

def Prune_RouterKind : I32Enum<"RouterKind", "how a router makes scores of a row", [
    I32EnumCase<"Linear", 0, "linear">,
    I32EnumCase<"Bottleneck", 1, "bottleneck">,
    I32EnumCase<"MLP", 2, "mlp">]> {
  let cppNamespace = "::coppice::prune";
}

def Prune_RouterAttr : Prune_Attr<"Router", "router"> {
  let summary = "The form of a router: what scores of a row of width H are made by";
  let description = [{
    Two scores for each thing that is decided about, G of them:

    - `linear`: H -> 2 G;
    - `bottleneck(R)`: H -> R -> 2 G, biased, without an activation between;
    - `mlp(R)`: H -> R -> 2 G, biased, with max(x, 0) between.

    ```
    #prune.router<bottleneck(16)>
    ```
  }];
  let parameters = (ins EnumParameter<Prune_RouterKind>:$kind,
                        DefaultValuedParameter<"int64_t", "0">:$rank);
  let hasCustomAssemblyFormat = 1;
  let genVerifyDecl = 1;
}

def Prune_RowSidesAttr : I32EnumAttr<"RowSides", "the side of a GEMM whose rows a row set names", [
    I32EnumAttrCase<"Gather", 0, "gather">,
    I32EnumAttrCase<"Scatter", 1, "scatter">,
    I32EnumAttrCase<"Both", 2, "both">]> {
  let cppNamespace = "::coppice::prune";
}

def Prune_DimensionAttr : I32EnumAttr<"Dimension", "what a set of a plan counts", [
    I32EnumAttrCase<"Channels", 0, "channels">,
    I32EnumAttrCase<"KVHeads", 1, "kv_heads">,
    I32EnumAttrCase<"Hidden", 2, "hidden">]> {
  let cppNamespace = "::coppice::prune";
}

#endif
