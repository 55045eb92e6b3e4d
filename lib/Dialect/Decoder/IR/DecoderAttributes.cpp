// Checks and builders of the decoder attributes. What a file says about a model
// ends up here, so every rule is an error and none an assertion.
#include "coppice/Dialect/Decoder/IR/Decoder.h"

#include "mlir/IR/Builders.h"
#include "mlir/IR/DialectImplementation.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/ADT/TypeSwitch.h"

using namespace mlir;
using namespace coppice::decoder;

FailureOr<FloatAttr> coppice::decoder::detail::parseDouble(AsmParser &parser) {
  FloatAttr value;
  if (parser.parseAttribute(value, parser.getBuilder().getF64Type()))
    return failure();
  return value;
}

#define GET_ATTRDEF_CLASSES
#include "coppice/Dialect/Decoder/IR/DecoderAttributes.cpp.inc"

void DecoderDialect::registerAttributes() {
  addAttributes<
#define GET_ATTRDEF_LIST
#include "coppice/Dialect/Decoder/IR/DecoderAttributes.cpp.inc"
      >();
}

using EmitError = llvm::function_ref<InFlightDiagnostic()>;

static LogicalResult verifySha256(EmitError emitError, StringRef field,
                                  StringRef digest) {
  if (digest.empty() ||
      (digest.size() == 64 && llvm::all_of(digest, llvm::isHexDigit)))
    return success();
  return emitError() << "expected " << field
                     << " to be 64 hexadecimal digits, found '" << digest
                     << "'";
}

LogicalResult ModelAttr::verify(EmitError emitError, StringRef name,
                                StringRef family, int64_t vocabulary,
                                int64_t hidden, int64_t layers, int64_t heads,
                                int64_t kvHeads, int64_t headDim,
                                int64_t intermediate, int64_t contextLength,
                                Type dtype, bool tied, int64_t bos,
                                DenseI64ArrayAttr eos, int64_t parameters,
                                StringRef weights, StringRef weightsSha256,
                                StringRef sourceSha256, StringRef tokenizer) {
  std::pair<StringRef, int64_t> sizes[] = {{"vocabulary", vocabulary},
                                           {"hidden", hidden},
                                           {"layers", layers},
                                           {"heads", heads},
                                           {"kv_heads", kvHeads},
                                           {"head_dim", headDim},
                                           {"intermediate", intermediate},
                                           {"context_length", contextLength},
                                           {"parameters", parameters}};
  for (auto [field, size] : sizes)
    if (size < 1)
      return emitError() << "expected " << field << " to be positive, found "
                         << size;
  if (heads % kvHeads != 0)
    return emitError() << "expected kv_heads to divide heads, found " << kvHeads
                       << " and " << heads;
  if (!isStorageType(dtype))
    return emitError() << "expected dtype to be f32, f16 or bf16, found "
                       << dtype;
  if (bos < -1 || bos >= vocabulary)
    return emitError() << "expected bos to be -1 (none) or a token below "
                       << vocabulary << ", found " << bos;
  for (int64_t token : eos.asArrayRef())
    if (token < 0 || token >= vocabulary)
      return emitError() << "expected eos to be tokens below " << vocabulary
                         << ", found " << token;
  if (failed(verifySha256(emitError, "weights_sha256", weightsSha256)) ||
      failed(verifySha256(emitError, "source_sha256", sourceSha256)))
    return failure();
  return success();
}

LogicalResult FileAttr::verify(EmitError emitError, StringRef path,
                               StringRef key, DenseI64ArrayAttr rows) {
  if (path.empty() || key.empty())
    return emitError() << "expected a path and a key, found '" << path
                       << "' and '" << key << "'";
  if (rows && (rows.size() != 2 || rows[0] < 0 || rows[1] <= rows[0]))
    return emitError() << "expected rows to be the first and the end, 0 <= "
                          "first < end, found "
                       << rows;
  return success();
}

GeneratedAttr GeneratedAttr::get(MLIRContext *context, uint64_t seed,
                                 StringRef name, double stddev, double mean) {
  Builder builder(context);
  return get(context, seed, name, builder.getF64FloatAttr(stddev),
             builder.getF64FloatAttr(mean));
}

LogicalResult GeneratedAttr::verify(EmitError emitError, uint64_t seed,
                                    StringRef name, FloatAttr stddev,
                                    FloatAttr mean) {
  if (name.empty())
    return emitError() << "expected the name of a stream, found ''";
  if (!mean.getValue().isFinite() || !stddev.getValue().isFinite() ||
      stddev.getValue().isNegative())
    return emitError()
           << "expected a finite mean and a finite stddev that is not negative";
  return success();
}

LogicalResult RopeAttr::verify(EmitError emitError, FloatAttr theta,
                               StringRef scaling, FloatAttr factor,
                               FloatAttr lowFreqFactor,
                               FloatAttr highFreqFactor,
                               int64_t originalContext) {
  if (!scaling.empty() && scaling != "linear" && scaling != "llama3")
    return emitError() << "expected scaling to be linear or llama3, found '"
                       << scaling << "'";
  bool isLlama3 = scaling == "llama3";
  if (bool(factor) != !scaling.empty())
    return emitError() << "expected a factor with a scaling, and none without";
  if (bool(lowFreqFactor) != isLlama3 || bool(highFreqFactor) != isLlama3 ||
      (originalContext > 0) != isLlama3)
    return emitError() << "expected low_freq_factor, high_freq_factor and "
                          "original_context with scaling llama3, and none "
                          "without";
  return success();
}
