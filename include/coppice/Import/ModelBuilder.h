// The module that says what a ModelDescription describes
// (docs/architecture.md, 1).
#ifndef COPPICE_IMPORT_MODELBUILDER_H
#define COPPICE_IMPORT_MODELBUILDER_H

#include "coppice/Import/ModelDescription.h"
#include "runtime/base/dtype.h"

#include "mlir/IR/BuiltinOps.h"
#include "mlir/IR/OwningOpRef.h"

namespace coppice {

/// What the module says of where it comes from. Paths are relative to its file.
struct ModelOrigin {
  std::string weights;       // empty: all generated
  std::string weightsSha256; // 64 hex digits
  std::string sourceSha256;
  std::string tokenizer; // empty: none
};

/// The module of a checked description. `dtype`: f32, f16 or bf16; `source`
/// gives the `#decoder.file` or `#decoder.generated` of a weight. Where
/// matrices have a pattern, there is a plan that claims it.
mlir::OwningOpRef<mlir::ModuleOp>
buildModel(mlir::MLIRContext &context, const ModelDescription &model,
           rt::DType dtype, const ModelOrigin &origin,
           llvm::function_ref<mlir::Attribute(const ModelWeight &)> source);

} // namespace coppice

#endif // COPPICE_IMPORT_MODELBUILDER_H
