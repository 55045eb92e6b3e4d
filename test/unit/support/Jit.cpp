// A function @f on tensors becomes, after bufferization, one on memrefs, and
// `llvm.emit_c_interface` gives it a wrapper that takes pointers to memref
// descriptors. call() builds these descriptors by hand: {allocated, aligned,
// offset, sizes.., strides..}, all 8 bytes each. Results come back as one
// struct of descriptors. The buffer deallocation pipeline makes the caller own
// them.
#include "test/unit/support/Jit.h"

#include "coppice/InitAll.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/ExecutionEngine/ExecutionEngine.h"
#include "mlir/IR/Diagnostics.h"
#include "mlir/Parser/Parser.h"
#include "mlir/Pass/PassManager.h"
#include "mlir/Pass/PassRegistry.h"
#include "llvm/Support/TargetSelect.h"

#include <cmath>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <map>
#include <numeric>

using namespace mlir;

namespace coppice::test {

//===----------------------------------------------------------------------===//
// Arrays
//===----------------------------------------------------------------------===//

static int64_t countOf(const std::vector<int64_t> &shape) {
  return std::accumulate(shape.begin(), shape.end(), int64_t(1),
                         std::multiplies<>());
}

Array::Array(std::vector<int64_t> shape)
    : shape(shape), values(countOf(shape)) {}

Array::Array(std::vector<int64_t> shape, std::vector<float> values)
    : shape(std::move(shape)), values(std::move(values)) {}

static int64_t offsetOf(const Array &array,
                        std::initializer_list<int64_t> index) {
  int64_t offset = 0;
  size_t axis = 0;
  for (int64_t i : index)
    offset = offset * array.shape[axis++] + i;
  return offset;
}

float &Array::at(std::initializer_list<int64_t> index) {
  return values[offsetOf(*this, index)];
}
float Array::at(std::initializer_list<int64_t> index) const {
  return values[offsetOf(*this, index)];
}

float roundTo(float value, int exponent, int mantissa) {
  if (!std::isfinite(value) || value == 0)
    return value;
  int power;
  std::frexp(value, &power);              // |value| in [2^(power-1), 2^power)
  int lowest = 3 - (1 << (exponent - 1)); // of the normal numbers
  int shift = mantissa + 1 - std::max(power, lowest);
  // nearbyint rounds to nearest even, the mode that every program starts in.
  double rounded = std::ldexp(
      std::nearbyint(std::ldexp(static_cast<double>(value), shift)), -shift);
  double largest =
      std::ldexp(2.0 - std::ldexp(1.0, -mantissa), (1 << (exponent - 1)) - 1);
  if (std::abs(rounded) > largest)
    return std::copysign(std::numeric_limits<float>::infinity(), value);
  return static_cast<float>(rounded);
}

Array randomArray(std::mt19937 &random, std::vector<int64_t> shape,
                  float stddev) {
  Array array(std::move(shape));
  std::normal_distribution<float> normal(0.0f, stddev);
  for (float &value : array.values)
    value = normal(random);
  return array;
}

Array randomIntegers(std::mt19937 &random, std::vector<int64_t> shape, int low,
                     int high) {
  Array array(std::move(shape));
  std::uniform_int_distribution<int> uniform(low, high);
  for (float &value : array.values)
    value = static_cast<float>(uniform(random));
  return array;
}

double worstRowError(const Array &actual, const Array &expected) {
  double worst = 0;
  if (actual.shape != expected.shape)
    return std::numeric_limits<double>::infinity();
  if (actual.values.empty())
    return 0;
  int64_t width = expected.shape.empty() ? 1 : expected.shape.back();
  for (size_t row = 0; row < expected.values.size(); row += width) {
    double error = 0, norm = 0;
    for (int64_t i = 0; i < width; ++i) {
      double want = expected.values[row + i], got = actual.values[row + i];
      if (std::isnan(got) || std::isnan(want))
        return std::numeric_limits<double>::infinity();
      error += (got - want) * (got - want);
      norm += want * want;
    }
    if (error > 0)
      worst = std::max(worst, std::sqrt(error / norm));
  }
  return worst;
}

//===----------------------------------------------------------------------===//
// Elements
//===----------------------------------------------------------------------===//

/// Bytes of an element in memory, or 0 if the type is not supported.
static size_t sizeOf(Type type) {
  if (type.isF32() || type.isInteger(32))
    return 4;
  if (type.isF16() || type.isBF16())
    return 2;
  if (type.isInteger(64) || type.isIndex())
    return 8;
  if (type.isInteger(1) || type.isInteger(8))
    return 1;
  return 0;
}

static const llvm::fltSemantics &semanticsOf(Type type) {
  return cast<FloatType>(type).getFloatSemantics();
}

static void store(Type type, float value, char *to) {
  size_t size = sizeOf(type);
  uint64_t bits;
  if (isa<FloatType>(type)) {
    llvm::APFloat narrow(value);
    bool inexact;
    narrow.convert(semanticsOf(type), llvm::APFloat::rmNearestTiesToEven,
                   &inexact);
    bits = narrow.bitcastToAPInt().getZExtValue();
  } else {
    bits = static_cast<uint64_t>(static_cast<int64_t>(value));
  }
  std::memcpy(to, &bits, size); // little endian
}

static float load(Type type, const char *from) {
  size_t size = sizeOf(type);
  uint64_t bits = 0;
  std::memcpy(&bits, from, size);
  if (isa<FloatType>(type)) {
    llvm::APFloat wide(semanticsOf(type),
                       llvm::APInt(type.getIntOrFloatBitWidth(), bits));
    bool inexact;
    wide.convert(llvm::APFloat::IEEEsingle(),
                 llvm::APFloat::rmNearestTiesToEven, &inexact);
    return wide.convertToFloat();
  }
  return static_cast<float>(llvm::SignExtend64(bits, 8 * size));
}

//===----------------------------------------------------------------------===//
// Compilation
//===----------------------------------------------------------------------===//

struct Jit::State {
  std::unique_ptr<MLIRContext> context; // null for a module of the caller's
  OwningOpRef<ModuleOp> module;
  std::map<std::string, FunctionType, std::less<>> signatures;
  std::unique_ptr<ExecutionEngine> engine;
};

Jit::Jit() : state(std::make_unique<State>()) {}
Jit::Jit(Jit &&) = default;
Jit &Jit::operator=(Jit &&) = default;
Jit::~Jit() = default;

void initialize() {
  static const bool done = [] {
    llvm::InitializeNativeTarget();
    llvm::InitializeNativeTargetAsmPrinter();
    coppice::registerAllPasses();
    return true;
  }();
  (void)done;
}

// arith-expand: narrowing to bf16 would call a function of compiler-rt.
static constexpr const char *kLowering =
    "one-shot-bufferize{bufferize-function-boundaries=true "
    "function-boundary-type-conversion=identity-layout-map},"
    "buffer-deallocation-pipeline,"
    "convert-bufferization-to-memref,"
    "convert-linalg-to-loops,"
    "expand-strided-metadata,"
    "lower-affine,"
    "arith-expand{include-bf16=true},"
    "convert-scf-to-cf,"
    "convert-to-llvm,"
    "reconcile-unrealized-casts";

/// Collects the errors of a context into a string.
struct Errors {
  explicit Errors(MLIRContext *context)
      : handler(context, [this](Diagnostic &diagnostic) {
          llvm::raw_string_ostream stream(text);
          diagnostic.getLocation().print(stream);
          stream << ": " << diagnostic << "\n";
          return success();
        }) {}
  std::string text;
  ScopedDiagnosticHandler handler;
};

Result<Jit> Jit::compile(std::string_view text, std::string_view pipeline) {
  DialectRegistry registry;
  coppice::registerAllDialects(registry);
  auto context =
      std::make_unique<MLIRContext>(registry, MLIRContext::Threading::DISABLED);
  OwningOpRef<ModuleOp> module;
  {
    Errors errors(context.get());
    module = parseSourceString<ModuleOp>(StringRef(text.data(), text.size()),
                                         context.get());
    if (!module)
      return Result<Jit>::fail(errors.text);
  }
  Result<Jit> jit = compile(*module, pipeline);
  module = {}; // before its context
  if (jit)
    jit->state->context = std::move(context);
  return jit;
}

Result<Jit> Jit::compile(ModuleOp module, std::string_view pipeline) {
  initialize();
  Jit jit;
  State &state = *jit.state;
  MLIRContext *context = module.getContext();
  Errors errors(context);

  state.module = module.clone();
  for (auto function : state.module->getOps<func::FuncOp>()) {
    if (!function.isPublic() || function.isDeclaration())
      continue;
    state.signatures[function.getSymName().str()] = function.getFunctionType();
    function->setAttr("llvm.emit_c_interface", UnitAttr::get(context));
  }
  std::string passes(pipeline);
  passes += (passes.empty() ? "" : ",") + std::string(kLowering);
  PassManager manager(context);
  llvm::raw_string_ostream stream(errors.text);
  if (failed(parsePassPipeline(passes, manager, stream)) ||
      failed(manager.run(*state.module)))
    return Result<Jit>::fail(errors.text);

  ExecutionEngineOptions options;
  options.jitCodeGenOptLevel = llvm::CodeGenOptLevel::None;
  auto engine = ExecutionEngine::create(*state.module, options);
  if (!engine)
    return Result<Jit>::fail(llvm::toString(engine.takeError()) + errors.text);
  state.engine = std::move(*engine);
  return jit;
}

//===----------------------------------------------------------------------===//
// Calls
//===----------------------------------------------------------------------===//

namespace {
/// One argument in memory: its elements, and the descriptor of a tensor.
struct Operand {
  std::vector<char> elements;
  std::vector<int64_t> descriptor;
  void *pointer = nullptr;
};
} // namespace

static std::string describe(Type type) {
  std::string text;
  llvm::raw_string_ostream(text) << type;
  return text;
}

/// Fills in `operand`; gives an error text, empty if there is none.
static std::string marshal(Type type, const Array &array, Operand &operand) {
  auto tensor = dyn_cast<RankedTensorType>(type);
  Type element = tensor ? tensor.getElementType() : type;
  size_t size = sizeOf(element);
  if (size == 0)
    return "unsupported type " + describe(type);
  if (countOf(array.shape) != static_cast<int64_t>(array.values.size()))
    return "an array's shape and values disagree";
  std::vector<int64_t> expected;
  if (tensor)
    expected.assign(tensor.getShape().begin(), tensor.getShape().end());
  bool fits = expected.size() == array.shape.size();
  for (size_t i = 0; fits && i < expected.size(); ++i)
    fits = ShapedType::isDynamic(expected[i]) || expected[i] == array.shape[i];
  if (!fits)
    return "an array does not have the shape of " + describe(type);

  operand.elements.resize(array.values.size() * size + 64);
  for (size_t i = 0; i < array.values.size(); ++i)
    store(element, array.values[i], operand.elements.data() + i * size);
  if (!tensor) {
    operand.pointer = operand.elements.data();
    return "";
  }
  auto address = reinterpret_cast<int64_t>(operand.elements.data());
  std::vector<int64_t> strides(array.shape.size(), 1);
  for (size_t i = strides.size(); i-- > 1;)
    strides[i - 1] = strides[i] * array.shape[i];
  operand.descriptor = {address, address, 0};
  llvm::append_range(operand.descriptor, array.shape);
  llvm::append_range(operand.descriptor, strides);
  operand.pointer = operand.descriptor.data();
  return "";
}

/// Reads the memref of a result, and frees it.
static Array unmarshal(RankedTensorType type, const int64_t *descriptor) {
  int64_t rank = type.getRank();
  const int64_t *sizes = descriptor + 3, *strides = sizes + rank;
  Array array(std::vector<int64_t>(sizes, sizes + rank));
  auto *data = reinterpret_cast<const char *>(descriptor[1]);
  size_t size = sizeOf(type.getElementType());
  for (size_t i = 0; i < array.values.size(); ++i) {
    int64_t rest = static_cast<int64_t>(i), offset = descriptor[2];
    for (int64_t axis = rank; axis-- > 0; rest /= sizes[axis])
      offset += rest % sizes[axis] * strides[axis];
    array.values[i] = load(type.getElementType(), data + offset * size);
  }
  std::free(reinterpret_cast<void *>(descriptor[0]));
  return array;
}

Result<std::vector<Array>> Jit::call(std::string_view function,
                                     const std::vector<Array> &arguments) {
  using Arrays = Result<std::vector<Array>>;
  auto found = state->signatures.find(function);
  if (found == state->signatures.end())
    return Arrays::fail("no function @" + std::string(function));
  FunctionType type = found->second;
  if (type.getNumInputs() != arguments.size())
    return Arrays::fail("expected " + std::to_string(type.getNumInputs()) +
                        " arguments, found " +
                        std::to_string(arguments.size()));

  std::vector<Operand> operands(arguments.size());
  for (size_t i = 0; i < arguments.size(); ++i) {
    std::string error = marshal(type.getInput(i), arguments[i], operands[i]);
    if (!error.empty())
      return Arrays::fail("argument #" + std::to_string(i) + ": " + error);
  }
  std::vector<int64_t> results;
  for (Type result : type.getResults()) {
    auto tensor = dyn_cast<RankedTensorType>(result);
    if (!tensor || !sizeOf(tensor.getElementType()))
      return Arrays::fail("unsupported result type " + describe(result));
    results.resize(results.size() + 3 + 2 * tensor.getRank());
  }

  // Each packed entry is the address of a parameter: of a pointer to a
  // descriptor, or of a scalar.
  std::vector<void *> packed;
  void *resultPointer = results.data();
  if (type.getNumResults())
    packed.push_back(&resultPointer);
  for (auto [operand, input] : llvm::zip(operands, type.getInputs()))
    packed.push_back(isa<RankedTensorType>(input) ? &operand.pointer
                                                  : operand.pointer);
  std::string name = "_mlir_ciface_" + std::string(function);
  if (llvm::Error error = state->engine->invokePacked(name, packed))
    return Arrays::fail(llvm::toString(std::move(error)));

  std::vector<Array> arrays;
  const int64_t *descriptor = results.data();
  for (Type result : type.getResults()) {
    auto tensor = cast<RankedTensorType>(result);
    arrays.push_back(unmarshal(tensor, descriptor));
    descriptor += 3 + 2 * tensor.getRank();
  }
  return arrays;
}

} // namespace coppice::test
