// Evaluates small programs with projections, op by op and by their definitions,
// in f64. It shares nothing with the compiler's lowerings, so that it can say
// whether a rewritten program still means the same.
#ifndef COPPICE_TEST_UNIT_PRUNE_EVALUATOR_H
#define COPPICE_TEST_UNIT_PRUNE_EVALUATOR_H

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/IR/BuiltinOps.h"

#include <map>
#include <string>
#include <vector>

namespace coppice::test {

struct Tensor {
  std::vector<int64_t> shape;
  std::vector<double> values;

  Tensor() = default;
  explicit Tensor(std::vector<int64_t> extents, double fill = 0);
  double &at(llvm::ArrayRef<int64_t> index);
};

/// `dense` with only what an attribute `prune.kept` lists; all if it is null.
Tensor restrictTo(const Tensor &dense, mlir::Attribute kept);

/// Runs `function` on `arguments`, which are dense: an argument that was
/// narrowed takes its part. `weights` are the dense globals, by name.
std::vector<Tensor> evaluate(mlir::func::FuncOp function,
                             const std::vector<Tensor> &arguments,
                             const std::map<std::string, Tensor> &weights = {});

} // namespace coppice::test

#endif
