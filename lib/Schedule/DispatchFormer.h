//===- DispatchFormer.h - @forward to dispatches of kernels -----*- C++ -*-===//
// The state of `exec-form-dispatches`, whose file says what comes in and what
// goes out. The parts: what a tensor's extents and home are
// (DispatchHomes.cpp), what a kernel takes and where its results go
// (DispatchSignatures.cpp), the kernels (DispatchKernels.cpp), the dispatches
// (Dispatches.cpp), names and groups (DispatchGroups.cpp).
//===----------------------------------------------------------------------===//
#ifndef COPPICE_LIB_SCHEDULE_DISPATCHFORMER_H
#define COPPICE_LIB_SCHEDULE_DISPATCHFORMER_H

#include "coppice/Dialect/Exec/IR/Exec.h"
#include "coppice/Schedule/Passes.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "llvm/ADT/SetVector.h"
#include "llvm/ADT/StringMap.h"

namespace coppice {

bool isReshape(mlir::Operation *op);

/// Does `op` only say what a kernel needs to know, and hold no data of the
/// step?
bool isCloned(mlir::Operation *op);

bool isWeightLoad(mlir::Operation *op);

/// The operand that a result starts from: a destination, or a loop's initial
/// value; null if there is none.
mlir::OpOperand *getTiedInit(mlir::OpResult result);
mlir::Value getInit(mlir::OpResult result);

/// An op of @forward on its way to a dispatch.
struct DispatchItem {
  mlir::Operation *op;
  std::string site;
  mlir::StringAttr group; // null: none
  mlir::StringAttr value; // null: computes no value that anyone knows by name
};

/// What a kernel takes and gives.
struct DispatchSignature {
  llvm::SetVector<mlir::Value> inputs;         // tensors of @forward
  llvm::SmallVector<mlir::Operation *> cloned; // what moves in, in order
  llvm::SmallVector<mlir::Value> destinations; // exec values, one a result
  llvm::SmallVector<mlir::Type> resultTypes;
  /// An input that is read through destination 0 instead: the residual.
  mlir::Value throughDestination;
};

class DispatchFormer {
public:
  DispatchFormer(mlir::ModuleOp module,
                 const ExecFormDispatchesOptions &options)
      : module(module), options(options), builder(module.getContext()) {}

  mlir::LogicalResult run();
  int64_t numDispatches = 0, numKernels = 0;

private:
  mlir::LogicalResult findForward();
  mlir::LogicalResult createProgram();
  mlir::LogicalResult declareArguments();
  void nameItems();
  mlir::LogicalResult form(const DispatchItem &item);
  mlir::LogicalResult formOutputs();
  void dropOpenGroups();

  // Extents.
  mlir::ArrayAttr getExtents(mlir::Value tensor);
  mlir::Attribute getIndexExtent(mlir::Value index);
  mlir::FailureOr<mlir::ArrayAttr> getResultExtents(mlir::Operation *op,
                                                    mlir::OpResult result);

  // Homes.
  mlir::Value getHome(mlir::Value tensor) { return homes.lookup(tensor); }
  mlir::FailureOr<mlir::Value> getOrDeclareHome(mlir::Value tensor,
                                                mlir::Operation *user);
  mlir::Value createBuffer(mlir::ArrayAttr extents, mlir::Type element,
                           mlir::Location loc);
  bool isUsedAfter(mlir::Value tensor, mlir::Operation *op);

  // Signatures.
  void collect(mlir::Value value, DispatchSignature &signature,
               llvm::SmallPtrSetImpl<mlir::Operation *> &seen);
  mlir::LogicalResult chooseDestinations(const DispatchItem &item,
                                         DispatchSignature &signature);
  mlir::FailureOr<mlir::Value>
  chooseInPlace(const DispatchItem &item, mlir::Value old, bool otherwiseRead);
  mlir::Value findResidual(const DispatchItem &item);
  mlir::Value copyBefore(const DispatchItem &item, mlir::Value old);

  // Kernels.
  mlir::FailureOr<mlir::func::FuncOp> buildKernel(const DispatchItem &item,
                                                  DispatchSignature &signature);
  mlir::SymbolRefAttr internKernel(mlir::func::FuncOp kernel,
                                   mlir::Operation *op, exec::Kind kind);
  exec::DispatchOp createDispatch(mlir::Location loc, llvm::StringRef site,
                                  exec::Kind kind,
                                  llvm::ArrayRef<mlir::Value> args,
                                  size_t writes, mlir::SymbolRefAttr kernel,
                                  exec::CostAttr cost);

  mlir::ModuleOp module;
  const ExecFormDispatchesOptions &options;
  mlir::OpBuilder builder; // appends to the program
  mlir::func::FuncOp forward;
  exec::ProgramOp program;
  mlir::ModuleOp kernels;
  mlir::Operation *lastDeclaration = nullptr;

  llvm::SmallVector<DispatchItem> items;
  llvm::DenseMap<mlir::Operation *, unsigned> order;
  llvm::DenseMap<mlir::Operation *, mlir::StringAttr> groupOf;
  llvm::DenseMap<mlir::Value, mlir::Value> homes;
  llvm::DenseMap<mlir::Value, mlir::ArrayAttr> extents;
  llvm::StringMap<exec::WeightOp> weights;
  llvm::StringMap<mlir::SymbolRefAttr> kernelByText;
  llvm::StringMap<int> kernelNames;
  llvm::DenseMap<mlir::StringAttr, exec::DispatchOp> firstOfGroup;
  llvm::DenseMap<mlir::StringAttr, exec::DispatchOp> lastOfGroup;
  /// Groups whose last dispatch updates the residual.
  llvm::DenseSet<mlir::StringAttr> closedGroups;
};

} // namespace coppice

#endif // COPPICE_LIB_SCHEDULE_DISPATCHFORMER_H
