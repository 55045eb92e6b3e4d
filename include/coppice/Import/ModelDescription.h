// What a decoder-only transformer is: its sizes, layer by layer, and the
// weights that it must have.
//
// Importers fill in a ModelDescription, whatever they read it from; weightsOf()
// lists the weights of such a model, and buildModel() (ModelBuilder.h) writes
// the module. All models have the same plan: a layer is a norm and attention, a
// norm and a gated MLP, each added to the residual.
#ifndef COPPICE_IMPORT_MODELDESCRIPTION_H
#define COPPICE_IMPORT_MODELDESCRIPTION_H

#include "runtime/base/status.h"

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
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

  bool operator==(const RotaryScaling &) const = default;
};

/// What becomes of the residual before a sublayer adds to it, where the hidden
/// dimension differs from sublayer to sublayer; also where that sublayer itself
/// has been skipped since.
struct ResidualMap {
  int64_t width = 0; // of the residual from here on; 0: it stays as it is
  std::vector<int32_t> columns; // of each of them the old column, ascending, or
                                // -1: zeros
  bool operator==(const ResidualMap &) const = default;
};

/// The ranks of a layer's weights that are two factors, U [outputs, rank] times
/// V [rank, inputs]; 0: one matrix.
struct LayerRanks {
  int64_t q = 0, k = 0, v = 0, o = 0, gate = 0, up = 0, down = 0;

  bool operator==(const LayerRanks &) const = default;
};

/// A projection of a layer, as sites name it, and where its rank is.
struct RankedProjection {
  const char *site; // "attn.q"
  int64_t LayerRanks::*rank;
};
inline constexpr RankedProjection rankedProjections[] = {
    {"attn.q", &LayerRanks::q},      {"attn.k", &LayerRanks::k},
    {"attn.v", &LayerRanks::v},      {"attn.o", &LayerRanks::o},
    {"mlp.gate", &LayerRanks::gate}, {"mlp.up", &LayerRanks::up},
    {"mlp.down", &LayerRanks::down}};

/// N:M sparsity that a matrix has: of each `of` neighbours of a row, the last
/// ones may be fewer, at most `kept` are not zero.
struct SparsityPattern {
  int64_t kept = 0, of = 0;

  bool operator==(const SparsityPattern &) const = default;
};

/// A layer. Those of a pruned model may differ.
struct LayerDescription {
  int64_t heads = 0, kvHeads = 0; // 0: there is no attention
  int64_t intermediate = 0;       // 0: there is no MLP
  int64_t window = 0; // positions that a row attends to, its own the last of
                      // them; 0: all
  ResidualMap attentionMap = {}, mlpMap = {};
  LayerRanks ranks = {};

  bool hasAttention() const { return heads > 0; }
  bool hasMLP() const { return intermediate > 0; }
  bool operator==(const LayerDescription &) const = default;
};

struct ModelDescription {
  std::string name;
  std::string family = "llama";
  int64_t vocabulary = 0, hidden = 0, headDim = 0, context = 0;
  std::vector<LayerDescription> layers;
  double epsilon = 1e-5;
  int64_t normWidth = 0; // columns that a norm's mean is over, those that have
                         // been removed included; 0: all of the residual
  double rotaryBase = 10000;
  int64_t rotaryDim = 0; // columns of a head that turn, the first; 0: all
  RotaryScaling scaling;
  bool tied = false;       // the head is the embedding table
  bool qkvBias = false;    // on q, k and v
  bool outputBias = false; // on o
  bool mlpBias = false;    // on gate, up and down
  bool qkNorm = false;     // each head of q and of k is normed, then turned
  int64_t bos = -1;        // -1: none
  std::vector<int64_t> eos;
  /// By the site that multiplies with the matrix, "layers.0.mlp.up".
  std::map<std::string, SparsityPattern> patterns;

  bool operator==(const ModelDescription &) const = default;
};

/// One weight of a model.
struct ModelWeight {
  enum class Kind { Matrix, Gain, Bias };
  std::string symbol; // "layers.0.attn.q.weight", in the module
  std::string key;    // "model.layers.0.self_attn.q_proj.weight": its name in
                      // the weight files that are written
  std::vector<int64_t> shape;
  Kind kind;
  // Where it is found in what is read: in a tensor of `sourceRows` rows, of
  // which it has those from `firstRow` on.
  std::string sourceKey;
  int64_t firstRow = 0, sourceRows = 0;
};

/// Gives the model `count` equal layers. No model has more than 4096: listing
/// the weights of one whose description is a lie takes no time.
rt::Status setLayers(ModelDescription &model, int64_t count,
                     const LayerDescription &layer);

/// The rank of a projection, such as `layers.N.attn.q`; null if the model has
/// no such projection.
int64_t *findRank(ModelDescription &model, std::string_view site);

/// The map of a sublayer, `layers.N.attn` or `layers.N.mlp`; null if the model
/// has no such layer.
ResidualMap *findResidualMap(ModelDescription &model,
                             std::string_view sublayer);

/// Columns of the residual stream as the head reads it.
int64_t finalWidth(const ModelDescription &model);

/// The sizes of the widest attention and of the widest MLP.
LayerDescription widestLayer(const ModelDescription &model);

/// Says which size is out of bounds or does not go with which other.
rt::Status checkDescription(const ModelDescription &model);

/// All weights, in the order of their use, each a whole tensor under its own
/// name. Of two factors, `SITE.weight` is U and `SITE.v.weight` V. The
/// description is a checked one.
std::vector<ModelWeight> weightsOf(const ModelDescription &model);

/// Elements of all weights together.
int64_t countParameters(const ModelDescription &model);

/// Radians per position for each pair of columns of a head:
/// base^(-2 i / rotary_dim) (Su et al., arXiv 2104.09864), then scaled.
std::vector<float> rotaryFrequencies(const ModelDescription &model);

} // namespace coppice

#endif // COPPICE_IMPORT_MODELDESCRIPTION_H
