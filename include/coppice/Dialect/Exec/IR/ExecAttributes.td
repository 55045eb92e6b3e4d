//===- ExecAttributes.td - packing, variants, costs -----------------------===//
#ifndef COPPICE_DIALECT_EXEC_IR_EXECATTRIBUTES_TD
#define COPPICE_DIALECT_EXEC_IR_EXECATTRIBUTES_TD

include "coppice/Dialect/Exec/IR/ExecDialect.td"
include "mlir/IR/AttrTypeBase.td"
include "mlir/IR/BuiltinAttributeInterfaces.td"
include "mlir/IR/EnumAttr.td"

class Exec_Attr<string name, string attrMnemonic, list<Trait> traits = []>
    : AttrDef<Exec_Dialect, name, traits> {
  let mnemonic = attrMnemonic;
}

def Exec_Kind : I32Enum<"Kind", "what a dispatch computes, for reports and cost models", [
    I32EnumCase<"Lookup", 0, "lookup">,
    I32EnumCase<"Norm", 1, "norm">,
    I32EnumCase<"Gemm", 2, "gemm">,
    I32EnumCase<"RotaryTable", 3, "rotary_table">,
    I32EnumCase<"Rotary", 4, "rotary">,
    I32EnumCase<"Append", 5, "append">,
    I32EnumCase<"Attention", 6, "attention">,
    I32EnumCase<"Elementwise", 7, "elementwise">,
    I32EnumCase<"Other", 8, "other">,
    I32EnumCase<"Route", 9, "route">,
    I32EnumCase<"Compact", 10, "compact">]> {
  let cppNamespace = "::coppice::exec";
}

def Exec_KindAttr : EnumAttr<Exec_Dialect, Exec_Kind, "kind">;

def Exec_PackingAttr : Exec_Attr<"Packing", "packing"> {
  let summary = "The layout of a packed weight";
  let description = [{
    `#exec.packing<rows>`: as is. `#exec.packing<panels = P, depth = D>`: an
    `[N, K]` weight becomes `[ceil(N/P), ceil(K/D), P * D]` with element `(n, k)`
    at `[n / P][k / D][n % P * D + k % D]`; N and K are padded with zeros. The
    depth may be left out where it is 1.
    `#exec.packing<panels = P, depth = D, keeps = 2 of 4>`: of each four
    neighbours along K the two that are not zero, and where they were
    (`runtime/base/nm_layout.h`); with P = 16 and D = 32 as tensor cores want it.
  }];
  let parameters = (ins "int64_t":$panels, "int64_t":$depth,
                        "int64_t":$kept, "int64_t":$of);
  let builders = [
    AttrBuilder<(ins "int64_t":$panels, "int64_t":$depth), [{
      return $_get($_ctxt, panels, depth, /*kept=*/0, /*of=*/0);
    }]>,
  ];
  let hasCustomAssemblyFormat = 1;
  let genVerifyDecl = 1;
  let extraClassDeclaration = [{
    static PackingAttr rows(::mlir::MLIRContext *context) {
      return get(context, 0, 1);
    }
    bool isRows() const { return getPanels() == 0; }
    /// Where the elements that an N:M pattern keeps go, if that is what is
    /// packed.
    std::optional<::coppice::rt::NMLayout> getNMLayout(::mlir::Type element) const;
    /// The shape of a tensor of `type` once packed; fails for panels of anything
    /// but a static matrix.
    ::mlir::FailureOr<::llvm::SmallVector<int64_t>>
    pack(::mlir::ShapedType type) const;
  }];
}

def Exec_ConfigAttr : Exec_Attr<"Config", "config"> {
  let summary = "What kernel selection chose: a strategy and its integer parameters";
  let description = [{
    `#exec.config<"gemm", rows = 6, panel = 64>`. Code generation reads
    the choice from here only; the bundle records its text.
  }];
  let parameters = (ins "::mlir::StringAttr":$strategy, "::mlir::DictionaryAttr":$parameters);
  let hasCustomAssemblyFormat = 1;
  let genVerifyDecl = 1;
  let extraClassDeclaration = [{
    /// The parameter `name`, or nothing.
    std::optional<int64_t> getParameter(::llvm::StringRef name) const;
    /// "gemm-panels, rows 6, panel 64", as in the bundle.
    std::string getText() const;
  }];
}

def Exec_StageAttr : Exec_Attr<"Stage", "stage"> {
  let summary = "A kernel and the work items that it runs over: `[0, grid)`";
  let description = [{
    `grid` and `config` are absent until `exec-select-kernels` has chosen.
  }];
  let parameters = (ins "::mlir::SymbolRefAttr":$kernel,
                        OptionalParameter<"::mlir::AffineMapAttr">:$grid,
                        OptionalParameter<"::coppice::exec::ConfigAttr">:$config);
  let assemblyFormat = "`<` struct(params) `>`";
}

def Exec_VariantAttr : Exec_Attr<"Variant", "variant"> {
  let summary = "One way to run a dispatch";
  let description = [{
    The first variant of a dispatch whose `guard` is above zero, or that has
    none, runs: its stages, one after the other, over the dispatch's arguments.
    With a `workspace`, that many bytes of memory are passed to every stage as
    one more, last argument; what is in them at the start is not defined.

    ```mlir
    #exec.variant<[<kernel = @kernels::@k_split>, <kernel = @kernels::@k_merge>], guard = #map, workspace = #map1>
    ```
  }];
  let parameters = (ins ArrayRefParameter<"::coppice::exec::StageAttr">:$stages,
                        OptionalParameter<"::mlir::AffineMapAttr">:$guard,
                        OptionalParameter<"::mlir::AffineMapAttr">:$workspace);
  let builders = [
    AttrBuilder<(ins "::mlir::SymbolRefAttr":$kernel), [{
      return $_get($_ctxt, StageAttr::get($_ctxt, kernel, {}, {}),
                   ::mlir::AffineMapAttr(), ::mlir::AffineMapAttr());
    }]>
  ];
  let assemblyFormat = [{
    `<` `[` $stages `]` (`,` `guard` `=` $guard^)? (`,` `workspace` `=` $workspace^)? `>`
  }];
  let genVerifyDecl = 1;
}

def Exec_VariantArrayAttr : TypedArrayAttrBase<Exec_VariantAttr, "variants, in order of preference">;

def Exec_Arithmetic : I32Enum<"Arithmetic", "the products that a dispatch is made of, for cost models", [
    I32EnumCase<"F32", 0, "f32">,
    I32EnumCase<"BF16", 1, "bf16">]> {
  let cppNamespace = "::coppice::exec";
}

def Exec_CostAttr : Exec_Attr<"Cost", "cost"> {
  let summary = "What a dispatch costs, as expressions";
  let description = [{
    Units: FLOP (a multiply-add is 2) and bytes. `weight_bytes` are bytes of
    constants read, `read_bytes` all other bytes read, each counted once, as if
    caches were perfect. `arithmetic` is what the products are made of: `bf16`
    where both factors are stored so (a machine may have dot instructions for
    it), `f32` (not printed) where they are widened first. With a `window`, the
    symbols `attended` and `cached` of these expressions count no positions but
    those in the window of a row of the step; 0 (not printed) is none.
    `executed_per_flop` (1 is not printed) is what kernels execute for each FLOP
    of work: with weights of which a pattern leaves out half, zeros may well be
    multiplied. Bounds count FLOPs, predictions what is executed.
  }];
  let parameters = (ins "::mlir::AffineMapAttr":$flops, "::mlir::AffineMapAttr":$weight_bytes,
                        "::mlir::AffineMapAttr":$read_bytes, "::mlir::AffineMapAttr":$write_bytes,
                        DefaultValuedParameter<"::coppice::exec::Arithmetic", "::coppice::exec::Arithmetic::F32">:$arithmetic,
                        DefaultValuedParameter<"int64_t", "0">:$window,
                        DefaultValuedParameter<"int64_t", "1">:$executed_per_flop);
  let assemblyFormat = "`<` struct(params) `>`";
  let genVerifyDecl = 1;
}

def Exec_GemmAttr : Exec_Attr<"Gemm", "gemm"> {
  let summary = "The shape of a matrix product `C[m,n] = sum_k A[m,k] W[n,k]`";
  let parameters = (ins "::mlir::AffineMapAttr":$m, "int64_t":$n, "int64_t":$k);
  let assemblyFormat = "`<` struct(params) `>`";
}

def Exec_LimitsAttr : Exec_Attr<"Limits", "limits"> {
  let summary = "The largest capacities that a session may ask for";
  let parameters = (ins "int64_t":$maxRows, "int64_t":$maxSlots, "int64_t":$maxContext);
  let assemblyFormat = "`<` `rows` `=` $maxRows `,` `slots` `=` $maxSlots `,` `context` `=` $maxContext `>`";
  let genVerifyDecl = 1;
}

#endif // COPPICE_DIALECT_EXEC_IR_EXECATTRIBUTES_TD
