#include "test/unit/Prune/Evaluator.h"

#include "coppice/Analysis/Sites.h"
#include "coppice/Dialect/Decoder/IR/Decoder.h"
#include "coppice/Dialect/Prune/IR/Prune.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/MLProgram/IR/MLProgram.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "llvm/ADT/TypeSwitch.h"

#include <cmath>
#include <limits>

using namespace mlir;
using namespace coppice;
using namespace coppice::test;
using namespace coppice::prune;
using namespace coppice::decoder;

Tensor::Tensor(std::vector<int64_t> extents, double fill)
    : shape(std::move(extents)) {
  values.assign(llvm::product_of(shape), fill);
}

double &Tensor::at(ArrayRef<int64_t> index) {
  int64_t offset = 0;
  for (size_t i = 0; i < shape.size(); ++i)
    offset = offset * shape[i] + index[i];
  return values[offset];
}

/// Calls `visit` with each index of `shape`.
static void forEachIndex(ArrayRef<int64_t> shape,
                         llvm::function_ref<void(ArrayRef<int64_t>)> visit) {
  if (llvm::is_contained(shape, 0))
    return;
  SmallVector<int64_t> index(shape.size(), 0);
  while (true) {
    visit(index);
    int64_t axis = static_cast<int64_t>(shape.size()) - 1;
    while (axis >= 0 && ++index[axis] == shape[axis])
      index[axis--] = 0;
    if (axis < 0)
      return;
  }
}

static Tensor restrictAxis(Tensor dense, int64_t axis, SetAttr set) {
  SmallVector<int64_t> indices = set.getIndices();
  std::vector<int64_t> shape = dense.shape;
  shape[axis] = static_cast<int64_t>(indices.size());
  Tensor narrow(shape);
  forEachIndex(narrow.shape, [&](ArrayRef<int64_t> at) {
    SmallVector<int64_t> from(at);
    from[axis] = indices[at[axis]];
    narrow.at(at) = dense.at(from);
  });
  return narrow;
}

Tensor test::restrictTo(const Tensor &dense, Attribute kept) {
  Tensor narrow = dense;
  for (const KeptAxis &entry : parseKept(kept))
    narrow = restrictAxis(narrow, entry.axis, entry.set);
  return narrow;
}

namespace {
class Evaluation {
public:
  Evaluation(ModuleOp module, const std::map<std::string, Tensor> &weights)
      : module(module), weights(weights) {}

  std::vector<Tensor> run(func::FuncOp function,
                          const std::vector<Tensor> &arguments) {
    Block &entry = function.getBody().front();
    for (BlockArgument argument : entry.getArguments())
      tensors[argument] =
          restrictTo(arguments[argument.getArgNumber()],
                     function.getArgAttr(argument.getArgNumber(),
                                         PruneDialect::keptAttrName));
    for (Operation &op : entry.without_terminator())
      evaluate(&op);
    std::vector<Tensor> results;
    for (Value value : entry.getTerminator()->getOperands())
      results.push_back(get(value));
    return results;
  }

private:
  Tensor &get(Value value) {
    auto found = tensors.find(value);
    if (found == tensors.end())
      llvm::report_fatal_error("value was not evaluated");
    return found->second;
  }
  double scalar(Value value) { return get(value).values.at(0); }

  void evaluate(Operation *op) {
    if (op->getNumResults() == 0)
      return;
    Tensor result =
        llvm::TypeSwitch<Operation *, Tensor>(op)
            .Case<arith::ConstantOp>(
                [&](auto constant) { return evaluateConstant(constant); })
            .Case<tensor::DimOp>([&](tensor::DimOp dim) {
              return Tensor({},
                            static_cast<double>(
                                get(dim.getSource())
                                    .shape[size_t(scalar(dim.getIndex()))]));
            })
            .Case<tensor::EmptyOp>([&](tensor::EmptyOp empty) {
              // NaN: whoever reads what was never written shows it.
              std::vector<int64_t> shape(empty.getType().getShape());
              unsigned next = 0;
              for (int64_t &extent : shape)
                if (ShapedType::isDynamic(extent))
                  extent = static_cast<int64_t>(
                      scalar(empty.getDynamicSizes()[next++]));
              return Tensor(shape, std::numeric_limits<double>::quiet_NaN());
            })
            .Case<tensor::CastOp>(
                [&](tensor::CastOp cast) { return get(cast.getSource()); })
            .Case<ml_program::GlobalLoadConstOp>(
                [&](ml_program::GlobalLoadConstOp load) {
                  StringRef name =
                      load.getGlobal().getRootReference().getValue();
                  auto global = module.lookupSymbol<ml_program::GlobalOp>(name);
                  return restrictTo(
                      weights.at(name.str()),
                      global->getAttr(PruneDialect::keptAttrName));
                })
            .Case<ProjectOp>([&](ProjectOp project) {
              Tensor projected = get(project.getInput());
              forEachIndex(projected.shape, [&](ArrayRef<int64_t> at) {
                if (project.getKeep().hasDynamicCount() ||
                    !project.getKeep().contains(at[project.getAxis()]))
                  projected.at(at) = 0;
              });
              return projected;
            })
            .Case<RestrictOp>([&](RestrictOp restrict) {
              return restrictAxis(get(restrict.getInput()), restrict.getAxis(),
                                  restrict.getKeep());
            })
            .Case<ExtendOp>(
                [&](ExtendOp extend) { return evaluateExtend(extend); })
            .Case<GemmOp>([&](GemmOp gemm) { return evaluateGemm(gemm); })
            .Case<LookupOp>([&](LookupOp lookup) {
              Tensor &indices = get(lookup.getIndices()),
                     &table = get(lookup.getTable());
              Tensor rows({indices.shape[0], table.shape[1]});
              forEachIndex(rows.shape, [&](ArrayRef<int64_t> at) {
                rows.at(at) = table.at({int64_t(indices.at(at[0])), at[1]});
              });
              return rows;
            })
            .Case<RMSNormOp>([&](RMSNormOp norm) { return evaluateNorm(norm); })
            .Case<RotaryTableOp>([&](RotaryTableOp table) {
              Tensor &positions = get(table.getPositions());
              int64_t count = table.getFrequencies().size();
              Tensor angles({positions.shape[0], 2 * count});
              for (int64_t r = 0; r < positions.shape[0]; ++r)
                for (int64_t i = 0; i < count; ++i) {
                  double angle = positions.at(r) * table.getFrequencies()[i];
                  angles.at({r, i}) = std::cos(angle);
                  angles.at({r, count + i}) = std::sin(angle);
                }
              return angles;
            })
            .Case<RotaryOp>(
                [&](RotaryOp rotary) { return evaluateRotary(rotary); })
            .Case<AppendOp>([&](AppendOp append) {
              Tensor cache = get(append.getCache());
              Tensor &rows = get(append.getRows()),
                     &slots = get(append.getSlots()),
                     &positions = get(append.getPositions());
              forEachIndex(rows.shape, [&](ArrayRef<int64_t> at) {
                cache.at({int64_t(slots.at(at[0])),
                          int64_t(positions.at(at[0])), at[1]}) = rows.at(at);
              });
              return cache;
            })
            .Case<AttentionOp>([&](AttentionOp attention) {
              return evaluateAttention(attention);
            })
            .Case<linalg::LinalgOp>([&](linalg::LinalgOp structured) {
              evaluateStructured(structured);
              return get(op->getResult(0));
            })
            .Default([](Operation *other) -> Tensor {
              other->emitError("cannot be evaluated");
              llvm::report_fatal_error("unknown op");
            });
    tensors[op->getResult(0)] = std::move(result);
  }

  Tensor evaluateConstant(arith::ConstantOp op) {
    if (auto number = dyn_cast<FloatAttr>(op.getValue()))
      return Tensor({}, number.getValueAsDouble());
    return Tensor(
        {}, static_cast<double>(cast<IntegerAttr>(op.getValue()).getInt()));
  }

  Tensor evaluateExtend(ExtendOp op) {
    Tensor &narrow = get(op.getInput());
    std::vector<int64_t> shape = narrow.shape;
    shape[op.getAxis()] = op.getExtent() ? int64_t(scalar(op.getExtent()))
                                         : op.getKeep().getExtent();
    Tensor dense(shape);
    SmallVector<int64_t> indices = op.getKeep().getIndices();
    forEachIndex(narrow.shape, [&](ArrayRef<int64_t> at) {
      SmallVector<int64_t> to(at);
      to[op.getAxis()] = indices[at[op.getAxis()]];
      dense.at(to) = narrow.at(at);
    });
    return dense;
  }

  Tensor evaluateGemm(GemmOp op) {
    Tensor &input = get(op.getInput()), &weight = get(op.getWeight());
    requireShapes(input.shape[1] == weight.shape[1]);
    Tensor result({input.shape[0], weight.shape[0]});
    forEachIndex(result.shape, [&](ArrayRef<int64_t> at) {
      double sum = 0;
      for (int64_t k = 0; k < input.shape[1]; ++k)
        sum += input.at({at[0], k}) * weight.at({at[1], k});
      if (op.hasEpilogue()) {
        Block &block = op.getEpilogue().front();
        tensors[block.getArgument(0)] = Tensor({}, sum);
        for (auto [index, extra] : llvm::enumerate(op.getExtras())) {
          Tensor &values = get(extra);
          double element =
              values.shape.size() == 1 ? values.at(at[1]) : values.at(at);
          tensors[block.getArgument(index + 1)] = Tensor({}, element);
        }
        sum = evaluateBody(block).front();
      }
      result.at(at) = sum;
    });
    return result;
  }

  Tensor evaluateNorm(RMSNormOp op) {
    Tensor result = get(op.getInput());
    Tensor &gain = get(op.getGain());
    for (int64_t r = 0; r < result.shape[0]; ++r) {
      double squares = 0;
      for (int64_t c = 0; c < result.shape[1]; ++c)
        squares += result.at({r, c}) * result.at({r, c});
      double scale = 1 / std::sqrt(squares / double(op.getDivisor()) +
                                   op.getEpsilon().convertToFloat());
      for (int64_t c = 0; c < result.shape[1]; ++c)
        result.at({r, c}) *= scale * gain.at(c);
    }
    return result;
  }

  Tensor evaluateRotary(RotaryOp op) {
    Tensor &input = get(op.getInput()), &angles = get(op.getAngles());
    Tensor result = input;
    int64_t width = op.getHeadDim(), count = angles.shape[1] / 2;
    for (int64_t r = 0; r < input.shape[0]; ++r)
      for (int64_t h = 0; h < input.shape[1]; h += width)
        for (int64_t i = 0; i < count; ++i) {
          double a = input.at({r, h + i}), b = input.at({r, h + count + i});
          double c = angles.at({r, i}), s = angles.at({r, count + i});
          result.at({r, h + i}) = a * c - b * s;
          result.at({r, h + count + i}) = b * c + a * s;
        }
    return result;
  }

  Tensor evaluateAttention(AttentionOp op) {
    Tensor &query = get(op.getQuery()), &keys = get(op.getKeys()),
           &values = get(op.getValues());
    Tensor &slots = get(op.getSlots()), &positions = get(op.getPositions());
    Tensor result(query.shape);
    int64_t width = op.getHeadDim(), group = query.shape[1] / keys.shape[2];
    for (int64_t r = 0; r < query.shape[0]; ++r)
      for (int64_t h = 0; h < query.shape[1] / width; ++h) {
        int64_t slot = int64_t(slots.at(r)), k = h / group * width;
        double total = 0;
        for (int64_t j = 0; j <= int64_t(positions.at(r)); ++j) {
          double score = 0;
          for (int64_t d = 0; d < width; ++d)
            score += query.at({r, h * width + d}) * keys.at({slot, j, k + d});
          double weight = std::exp(score * op.getScale().convertToFloat());
          total += weight;
          for (int64_t d = 0; d < width; ++d)
            result.at({r, h * width + d}) +=
                weight * values.at({slot, j, k + d});
        }
        for (int64_t d = 0; d < width && total > 0; ++d)
          result.at({r, h * width + d}) /= total;
      }
    return result;
  }

  void evaluateStructured(linalg::LinalgOp op) {
    std::vector<int64_t> extents(op.getNumLoops(), -1);
    std::vector<Tensor> outputs;
    for (OpOperand &operand : op->getOpOperands()) {
      AffineMap map = op.getMatchingIndexingMap(&operand);
      for (auto [axis, expr] : llvm::enumerate(map.getResults()))
        if (auto dim = dyn_cast<AffineDimExpr>(expr)) {
          int64_t extent = get(operand.get()).shape[axis];
          requireShapes(extents[dim.getPosition()] < 0 ||
                        extents[dim.getPosition()] == extent);
          extents[dim.getPosition()] = extent;
        }
    }
    for (OpOperand &init : op.getDpsInitsMutable())
      outputs.push_back(get(init.get()));
    Block &body = *op.getBlock();
    forEachIndex(extents, [&](ArrayRef<int64_t> at) {
      for (OpOperand &operand : op->getOpOperands()) {
        SmallVector<int64_t> index =
            op.getMatchingIndexingMap(&operand).compose(at);
        int64_t output =
            int64_t(operand.getOperandNumber()) - op.getNumDpsInputs();
        Tensor &source = output < 0 ? get(operand.get()) : outputs[output];
        tensors[op.getMatchingBlockArgument(&operand)] =
            Tensor({}, source.at(index));
      }
      for (auto [number, value] : llvm::enumerate(evaluateBody(body)))
        outputs[number].at(
            op.getMatchingIndexingMap(op.getDpsInitOperand(number))
                .compose(at)) = value;
    });
    for (auto [result, output] : llvm::zip_equal(op->getResults(), outputs))
      tensors[result] = output;
  }

  std::vector<double> evaluateBody(Block &body) {
    for (Operation &op : body.without_terminator())
      tensors[op.getResult(0)] = Tensor({}, evaluateScalar(&op));
    std::vector<double> results;
    for (Value value : body.getTerminator()->getOperands())
      results.push_back(scalar(value));
    return results;
  }

  double evaluateScalar(Operation *op) {
    auto in = [&](unsigned i) { return scalar(op->getOperand(i)); };
    return llvm::TypeSwitch<Operation *, double>(op)
        .Case<arith::ConstantOp>(
            [&](auto constant) { return evaluateConstant(constant).values[0]; })
        .Case<arith::AddFOp>([&](auto) { return in(0) + in(1); })
        .Case<arith::SubFOp>([&](auto) { return in(0) - in(1); })
        .Case<arith::MulFOp>([&](auto) { return in(0) * in(1); })
        .Case<arith::DivFOp>([&](auto) { return in(0) / in(1); })
        .Case<arith::MaximumFOp>([&](auto) { return std::max(in(0), in(1)); })
        .Case<arith::NegFOp>([&](auto) { return -in(0); })
        .Case<arith::ExtFOp, arith::TruncFOp>([&](auto) { return in(0); })
        .Case<math::ExpOp>([&](auto) { return std::exp(in(0)); })
        .Default([](Operation *other) -> double {
          other->emitError("cannot be evaluated");
          llvm::report_fatal_error("unknown scalar op");
        });
  }

  static void requireShapes(bool agree) {
    if (!agree)
      llvm::report_fatal_error("shapes disagree");
  }

  ModuleOp module;
  const std::map<std::string, Tensor> &weights;
  llvm::DenseMap<Value, Tensor> tensors;
};
} // namespace

std::vector<Tensor>
test::evaluate(func::FuncOp function, const std::vector<Tensor> &arguments,
               const std::map<std::string, Tensor> &weights) {
  return Evaluation(function->getParentOfType<ModuleOp>(), weights)
      .run(function, arguments);
}
