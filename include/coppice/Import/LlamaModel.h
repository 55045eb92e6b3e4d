// What a Llama is, and the module that says it (docs/architecture.md, 1).
//
// Importers fill in a LlamaDescription, whatever they read it from; weightsOf()
// lists the weights that such a model must have, and buildLlama() writes the
// module, asking for each weight where it is found.
#ifndef COPPICE_IMPORT_LLAMAMODEL_H
#define COPPICE_IMPORT_LLAMAMODEL_H

#include "runtime/base/dtype.h"
#include "runtime/base/status.h"

#include "mlir/IR/BuiltinOps.h"
#include "mlir/IR/OwningOpRef.h"

#include <cstdint>
#include <string>
#include <vector>

namespace coppice {

/// How the frequencies of the rotary embedding are stretched for contexts
/// longer than those of the first training.
struct RotaryScaling {
  enum class Kind { None, Linear, Llama3 };
  Kind kind = Kind::None;
  double factor = 1;
  // Llama3 only: waves with fewer than `lowFrequencyFactor` turns in
  // `originalContext` are stretched, those with more than
  // `highFrequencyFactor` are left alone, between them the two are blended.
  double lowFrequencyFactor = 1;
  double highFrequencyFactor = 4;
  int64_t originalContext = 8192;
};

struct LlamaDescription {
  std::string name;
  std::string family = "llama";
  int64_t vocabulary = 0, hidden = 0, intermediate = 0, layers = 0;
  int64_t heads = 0, kvHeads = 0, headDim = 0, context = 0;
  double epsilon = 1e-5;
  double rotaryBase = 10000;
  RotaryScaling scaling;
  bool tied = false;       // the head is the embedding table
  bool qkvBias = false;    // on q, k and v
  bool outputBias = false; // on o
  bool mlpBias = false;    // on gate, up and down
  int64_t bos = -1;        // -1: none
  std::vector<int64_t> eos;
};

/// One weight of a model.
struct LlamaWeight {
  enum class Kind { Matrix, Gain, Bias };
  std::string symbol; // "layers.0.attn.q.weight", in the module
  std::string key;    // "model.layers.0.self_attn.q_proj.weight", in Hugging
                      // Face files
  std::vector<int64_t> shape;
  Kind kind;
};

/// Says which size is out of bounds or does not go with which other.
rt::Status checkDescription(const LlamaDescription &model);

/// All weights, in the order of their use. The description is a checked one.
std::vector<LlamaWeight> weightsOf(const LlamaDescription &model);

/// Elements of all weights together.
int64_t countParameters(const LlamaDescription &model);

/// Radians per position for each pair of columns of a head:
/// base^(-2 i / head_dim) (Su et al., arXiv 2104.09864), then scaled.
std::vector<float> rotaryFrequencies(const LlamaDescription &model);

/// What the module says of where it comes from. Paths are relative to its file.
struct ModelOrigin {
  std::string weights;       // empty: all generated
  std::string weightsSha256; // 64 hex digits
  std::string sourceSha256;
  std::string tokenizer; // empty: none
};

/// The module of a checked description. `dtype`: f32, f16 or bf16; `source`
/// gives the `#decoder.file` or `#decoder.generated` of a weight.
mlir::OwningOpRef<mlir::ModuleOp>
buildLlama(mlir::MLIRContext &context, const LlamaDescription &model,
           rt::DType dtype, const ModelOrigin &origin,
           llvm::function_ref<mlir::Attribute(const LlamaWeight &)> source);

} // namespace coppice

#endif // COPPICE_IMPORT_LLAMAMODEL_H
