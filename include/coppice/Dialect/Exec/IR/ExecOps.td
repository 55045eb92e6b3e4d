//===- ExecOps.td - programs, values, dispatches --------------------------===//
#ifndef COPPICE_DIALECT_EXEC_IR_EXECOPS_TD
#define COPPICE_DIALECT_EXEC_IR_EXECOPS_TD

include "coppice/Dialect/Exec/IR/ExecAttributes.td"
include "mlir/IR/BuiltinAttributes.td"
include "mlir/IR/CommonAttrConstraints.td"
include "mlir/IR/CommonTypeConstraints.td"
include "mlir/IR/OpAsmInterface.td"
include "mlir/IR/OpBase.td"
include "mlir/IR/RegionKindInterface.td"
include "mlir/IR/SymbolInterfaces.td"
include "mlir/Interfaces/SideEffectInterfaces.td"

class Exec_Op<string mnemonic, list<Trait> traits = []> : Op<Exec_Dialect, mnemonic, traits>;

/// A value that dispatches read or write: its index in the program's list of
/// its kind is its name in program.json.
class Exec_ValueOp<string mnemonic, list<Trait> traits = []>
    : Exec_Op<mnemonic, traits # [HasParent<"ProgramOp">,
              DeclareOpInterfaceMethods<OpAsmOpInterface, ["getAsmResultNames"]>]>;

def Exec_Memory : MemRefOf<[F32, F16, BF16, I32, I8]>;

def Exec_ProgramOp : Exec_Op<"program", [Symbol, IsolatedFromAbove, SingleBlock, NoTerminator,
                                         NoRegionArguments]> {
  let summary = "A step of a model, ready to run";
  let description = [{
    Declarations of weights, step fields, states and buffers, dispatches in
    execution order, outputs. `arena` is the size in bytes of the part of the
    arena that holds all buffers. Where variants have a workspace, that of the
    dispatch that runs lies behind it: one place, as large as the largest of
    them, serves all dispatches, since they run one after the other.

    Rules: the symbols are the six of the dialect, in order; value and output
    names are unique in their kind; the dispatches of a group are consecutive,
    its last dispatch updates in place a buffer that was written before the
    group, and nothing else that the group writes into a buffer is read after
    it: so that a group can be skipped at run time.
  }];
  let arguments = (ins SymbolNameAttr:$sym_name, StrArrayAttr:$symbols, Exec_LimitsAttr:$limits,
                       OptionalAttr<AffineMapAttr>:$arena, UnitAttr:$oracle);
  let regions = (region SizedRegion<1>:$body);
  let assemblyFormat = [{
    $sym_name (`oracle` $oracle^)? `symbols` $symbols `limits` $limits (`arena` $arena^)?
    attr-dict-with-keyword $body
  }];
  let hasRegionVerifier = 1;
}

def Exec_WeightOp : Exec_ValueOp<"weight", [Pure, DeclareOpInterfaceMethods<SymbolUserOpInterface>]> {
  let summary = "A constant, in the layout that kernels read";
  let description = [{
    `global` is the `ml_program.global` that says where the values come from; the
    type is that global's, packed.

    ```mlir
    %w = exec.weight "layers.0.attn.q.weight" @layers.0.attn.q.weight packing <panels = 64> : memref<1x64x64xf32>
    ```
  }];
  let arguments = (ins StrAttr:$name, FlatSymbolRefAttr:$global, Exec_PackingAttr:$packing);
  let results = (outs Exec_Memory:$result);
  let assemblyFormat = "$name $global `packing` $packing attr-dict `:` type($result)";
}

def Exec_StepOp : Exec_ValueOp<"step", [Pure]> {
  let summary = "A field of the step buffer: what changes from step to step";
  let arguments = (ins StrAttr:$name, ArrayAttr:$shape);
  let results = (outs Exec_Memory:$result);
  let assemblyFormat = "$name $shape attr-dict `:` type($result)";
  let hasVerifier = 1;
}

def Exec_StateOp : Exec_ValueOp<"state", [Pure]> {
  let summary = "Memory that lives from step to step (a KV cache), zeroed at first";
  let arguments = (ins StrAttr:$name, ArrayAttr:$shape);
  let results = (outs Exec_Memory:$result);
  let assemblyFormat = "$name $shape attr-dict `:` type($result)";
  let hasVerifier = 1;
}

def Exec_BufferOp : Exec_ValueOp<"buffer", [Pure]> {
  let summary = "An intermediate value in the arena";
  let description = [{
    `offset` is in bytes, a multiple of 64, set by `exec-plan-memory`, and
    evaluated at the capacities of a session (`rows` = the most rows that a step
    may have, and so on), once; so the place of a buffer does not depend on a step.
  }];
  let arguments = (ins ArrayAttr:$shape, OptionalAttr<AffineMapAttr>:$offset);
  let results = (outs Exec_Memory:$result);
  let assemblyFormat = "$shape (`offset` $offset^)? attr-dict `:` type($result)";
  let hasVerifier = 1;
}

def Exec_DispatchOp : Exec_Op<"dispatch", [HasParent<"ProgramOp">,
                                           DeclareOpInterfaceMethods<SymbolUserOpInterface>]> {
  let summary = "Run a kernel";
  let description = [{
    `value` names the value of the dense program that the first written argument
    corresponds to, and `kept` which of its indices that argument holds:
    `[axis, half-open ranges]`, one entry a narrowed axis. With a `route`, a
    kernel computes the rows that it keeps, or of each group of columns those that
    it keeps of the group, or with `passed` the rows that it does not keep; cost and
    shape are those of all rows. `partial` says that what the rest of the result
    holds is not defined. `zeros` is the share of a GEMM's input that is expected to
    be zero, and that it need not read weights for in steps of one or two rows.
    `threshold` says that the kernel sets to zero what is smaller in magnitude.

    Rules: `writes` are the trailing arguments, ascending, as many as the kernel
    has results, and neither weights nor step fields; every kernel exists and
    agrees with the arguments in number, element type, shape (packed, for an
    argument with `exec.packing`) and named extents; only the last variant has no guard.

    ```mlir
    exec.dispatch "layers.0.attn.q" gemm group "layers.0.attn" value "layers.0.attn.q" kept [[1, [[0, 32], [40, 64]]]]
        (%buffer, %weight, %buffer_0) writes [2] variants [#exec.variant<[<kernel = @kernels::@gemm_n56_k64>]>]
        cost <flops = #map, weight_bytes = #map1, read_bytes = #map2, write_bytes = #map3> shape <m = #map4, n = 56, k = 64>
        : memref<?x64xf32>, memref<56x64xf32>, memref<?x56xf32>
    ```
  }];
  let arguments = (ins StrAttr:$site, Exec_KindAttr:$kind, OptionalAttr<StrAttr>:$group,
                       OptionalAttr<StrAttr>:$value, OptionalAttr<ArrayAttr>:$kept,
                       OptionalAttr<StrAttr>:$route, UnitAttr:$passed, UnitAttr:$partial, OptionalAttr<F64Attr>:$zeros,
                       OptionalAttr<F64Attr>:$threshold,
                       Variadic<Exec_Memory>:$args, DenseI64ArrayAttr:$writes,
                       Exec_VariantArrayAttr:$variants, OptionalAttr<Exec_CostAttr>:$cost,
                       OptionalAttr<Exec_GemmAttr>:$gemm);
  let assemblyFormat = [{
    $site `` $kind (`group` $group^)? (`value` $value^)? (`kept` $kept^)?
    (`route` $route^)? (`passed` $passed^)? (`partial` $partial^)? (`zeros` $zeros^)? (`threshold` $threshold^)? ` ` `(` $args `)` `writes` $writes
    `variants` $variants (`cost` $cost^)? (`shape` $gemm^)? attr-dict `:` type($args)
  }];
  let extraClassDeclaration = [{
    bool isWritten(unsigned arg) {
      return ::llvm::is_contained(getWrites(), int64_t(arg));
    }
    ::llvm::SmallVector<VariantAttr> getVariantList() {
      return ::llvm::to_vector(getVariants().getAsRange<VariantAttr>());
    }
  }];
  let hasVerifier = 1;
}

def Exec_RouteOp : Exec_Op<"route", [HasParent<"ProgramOp">]> {
  let summary = "A decision about rows that the caller may read, and may take";
  let description = [{
    `mask` is what was decided in a step, `[rows, groups]` of i8; it lives to the
    end of the step. Column `column + g` of the step field `routes` overrides it
    for group g. `expected` is the share of rows that predictions assume to be
    kept, `scores` the value that the decision is made from. With `columns`, a
    group is about so many neighbouring columns of what is computed, not all.
    `margin` and `top` are the rule of the decision (`prune.decide`).

    ```mlir
    exec.route "layers.0.mlp.route" %mask column 3 expected 5.0e-01 scores "layers.0.mlp.router" : memref<?x1xi8>
    ```
  }];
  let arguments = (ins StrAttr:$name, Exec_Memory:$mask, I64Attr:$column, F64Attr:$expected, StrAttr:$scores,
                       OptionalAttr<I64Attr>:$columns,
                       DefaultValuedAttr<F64Attr, "0.0">:$margin, OptionalAttr<F64Attr>:$top);
  let assemblyFormat = "$name $mask `column` $column `expected` $expected `scores` $scores (`columns` $columns^)? (`margin` $margin^)? (`top` $top^)? attr-dict `:` type($mask)";
  let hasVerifier = 1;
}

def Exec_OutputOp : Exec_Op<"output", [HasParent<"ProgramOp">]> {
  let summary = "A buffer that the caller reads after a step";
  let arguments = (ins StrAttr:$name, Exec_Memory:$buffer);
  let assemblyFormat = "$name $buffer attr-dict `:` type($buffer)";
  let hasVerifier = 1;
}

#endif // COPPICE_DIALECT_EXEC_IR_EXECOPS_TD
