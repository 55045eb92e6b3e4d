// The two open ends of a plan: where a set comes from, and what a decision is.
#ifndef COPPICE_DIALECT_PRUNE_IR_PRUNEINTERFACES_TD
#define COPPICE_DIALECT_PRUNE_IR_PRUNEINTERFACES_TD

include "mlir/IR/OpBase.td"

def Prune_PlannedSetAttrInterface : AttrInterface<"PlannedSetAttrInterface"> {
  let cppNamespace = "::coppice::prune";
  let description = [{
    A keep-set as a plan may write it: literally, or by a recipe that is
    resolved against the model when the plan is applied.
  }];
  let methods = [
    InterfaceMethod<[{
        Returns the kept ones of `count` indices, ascending. `files` reads what
        is external. Reports through `emitError` if there is no such set.
      }],
      "::mlir::FailureOr<::llvm::SmallVector<int64_t>>", "resolve",
      (ins "int64_t":$count, "::coppice::prune::SetFileReader &":$files,
           "::llvm::function_ref<::mlir::InFlightDiagnostic()>":$emitError)>,
  ];
}

def Prune_DecisionOpInterface : OpInterface<"DecisionOpInterface"> {
  let cppNamespace = "::coppice::prune";
  let description = [{
    One decision of a `prune.plan`: a glob of sites and what happens to them.
  }];
  let methods = [
    InterfaceMethod<"The glob of the sites that are decided about.",
      "::llvm::StringRef", "getSites">,
  ];
}

#endif
