//===- ExecDialect.td - the exec dialect ----------------------------------===//
#ifndef COPPICE_DIALECT_EXEC_IR_EXECDIALECT_TD
#define COPPICE_DIALECT_EXEC_IR_EXECDIALECT_TD

include "mlir/IR/DialectBase.td"

def Exec_Dialect : Dialect {
  let name = "exec";
  let cppNamespace = "::coppice::exec";
  let summary = "What will run: weights, states, buffers, dispatches and their costs";
  let description = [{
    An `exec.program` is the bundle's `program.json` (docs/bundle.md) as IR, one
    op for each of its entries. Kernels are functions of the module `@kernels`
    beside it, named by the dispatches' variants.

    Sizes are symbolic. The symbols are fixed, in this order: `rows`,
    `head_rows`, `slots`, `context`, `attended`, `cached`; docs/bundle.md says
    what they mean. An expression is an
    `affine_map<()[s0, s1, s2, s3, s4, s5] -> (e)>` over all six; products of
    symbols are allowed. A shape is a list of extents, each an integer or a
    symbol's name: `["rows", 64]`.

    Arguments of kernel functions say which symbols their dynamic extents are
    by `exec.dims = ["rows", 64]`, and how a weight is packed by
    `exec.packing = #exec.packing<panels = 64>`:
    the argument keeps its logical type `[N, K]`, the weight that a dispatch
    passes has the packed shape.
  }];
  let useDefaultAttributePrinterParser = 1;
  let extraClassDeclaration = "void registerAttrs();";
  let hasRegionArgAttrVerify = 1;
}

#endif // COPPICE_DIALECT_EXEC_IR_EXECDIALECT_TD
