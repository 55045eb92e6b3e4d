// Runs functions on tensors inside a test.
//
// In: a module, as text or as IR, whose functions take and return ranked
// tensors (f32, f16, bf16, i32, i64, i1) or scalars of these types and index.
// Out: something that can be called with arrays of floats, which are converted
// to the element type of each parameter and back, with rounding to nearest
// even.
//
//   auto jit = test::Jit::compile(R"(
//     func.func @f(%x: tensor<?x3xf32>) -> tensor<?x3xf32> { ... })",
//     "decoder-to-linalg");
//   ASSERT_TRUE(jit) << jit.error();
//   auto out = jit->call("f", {test::Array({2, 3}, {1, 2, 3, 4, 5, 6})});
//   ASSERT_TRUE(out) << out.error();
//   out->front().at({1, 2});
//
// The pipeline runs first and must leave upstream dialects only; then come
// bufferization, plain loops and LLVM without optimization or fast-math.
// Nothing of Coppice's own lowering is used, so that it can be tested against
// this.
#ifndef COPPICE_TEST_UNIT_SUPPORT_JIT_H
#define COPPICE_TEST_UNIT_SUPPORT_JIT_H

#include "mlir/IR/BuiltinOps.h"
#include "mlir/IR/MLIRContext.h"

#include <cstdint>
#include <initializer_list>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <string_view>
#include <vector>

namespace mlir {
class ExecutionEngine;
}

namespace coppice::test {

/// A dense row-major array. Integers are floats here too, so they must be below
/// 2^24. Rank 0 is a scalar.
struct Array {
  Array() = default;
  /// Zeros.
  explicit Array(std::vector<int64_t> shape);
  Array(std::vector<int64_t> shape, std::vector<float> values);
  static Array scalar(float value) { return Array({}, {value}); }

  float &at(std::initializer_list<int64_t> index);
  float at(std::initializer_list<int64_t> index) const;

  std::vector<int64_t> shape;
  std::vector<float> values;
};

/// `value` after a round trip through a type with `exponent` and `mantissa`
/// (stored) bits, to nearest even: (8, 7) is bf16, (5, 10) is f16.
float roundTo(float value, int exponent, int mantissa);
inline float toBF16(float value) { return roundTo(value, 8, 7); }

/// Normally distributed values.
Array randomArray(std::mt19937 &random, std::vector<int64_t> shape,
                  float stddev = 1.0f);
/// Uniform integers in [low, high].
Array randomIntegers(std::mt19937 &random, std::vector<int64_t> shape, int low,
                     int high);

/// The largest ||actual - expected|| / ||expected|| over the rows (the last
/// dimension); infinity if shapes differ or anything in `actual` is NaN.
double worstRowError(const Array &actual, const Array &expected);

/// A value or the text of an error.
template <typename T> class Result {
public:
  Result(T value) : value(std::move(value)) {}
  static Result fail(std::string message) {
    Result result;
    result.message = std::move(message);
    return result;
  }
  explicit operator bool() const { return value.has_value(); }
  T &operator*() { return *value; }
  T *operator->() { return &*value; }
  const std::string &error() const { return message; }

private:
  Result() = default;
  std::optional<T> value;
  std::string message;
};

/// Registers all passes and the native target, once; compile() does it too.
void initialize();

class Jit {
public:
  /// `pipeline` is a list of passes on the module, as on coppice-opt's command
  /// line without dashes: "decoder-to-linalg,canonicalize"; may be empty.
  static Result<Jit> compile(std::string_view text,
                             std::string_view pipeline = "");
  /// Compiles a copy of `module`, whose context must have been made with
  /// coppice::registerAllDialects, and must outlive the result.
  static Result<Jit> compile(mlir::ModuleOp module,
                             std::string_view pipeline = "");

  Jit(Jit &&);
  Jit &operator=(Jit &&);
  ~Jit();

  /// Calls a function; gives its results, which must be tensors. Arguments are
  /// copied in: what the function writes to them shows in its results only.
  Result<std::vector<Array>> call(std::string_view function,
                                  const std::vector<Array> &arguments);

private:
  Jit();
  struct State;
  std::unique_ptr<State> state;
};

} // namespace coppice::test

#endif // COPPICE_TEST_UNIT_SUPPORT_JIT_H
