// A text and a model come in, the mean negative log-likelihood goes out.
//
// The protocol: the text is cut into chunks (chunks.h); a chunk is BOS and its
// tokens, cut at the context length; the mean is taken over the predicted
// tokens of all chunks together, in nats. BOS is not predicted; where the
// tokenizer puts none before a text, the first token is not predicted. Names of
// special tokens in the text are text. With a window,
// chunks are not cut but covered by windows of W ids that advance by S; each is
// a sequence of its own, and of each only what no earlier window has scored
// counts.
#ifndef COPPICE_RUNTIME_EVALUATE_NLL_H
#define COPPICE_RUNTIME_EVALUATE_NLL_H

#include "runtime/evaluate/runner.h"
#include "runtime/tokenizer/tokenizer.h"

#include <functional>

namespace coppice::rt {

struct NllOptions {
  std::string splitBefore;        ///< empty: the text is one chunk
  int64_t skip = 0;               ///< chunks left out at the beginning
  int64_t chunks = 0;             ///< at most so many; 0: all
  int64_t window = 0, stride = 0; ///< 0: no window
};

/// A sequence to feed and the first of its ids whose probability counts
/// (at least 1: the first id is never predicted).
struct ScoredSequence {
  std::vector<int32_t> ids;
  size_t firstScored = 1;
};

/// The sequences that cover a chunk's ids, by the protocol above.
/// window 0: one sequence of at most `context` ids.
std::vector<ScoredSequence> coverChunk(std::span<const int32_t> ids,
                                       int64_t context, int64_t window,
                                       int64_t stride);

struct Quality {
  double nll = 0;  ///< mean, nats a token
  double top1 = 0; ///< fraction of tokens that were the most probable one
  int64_t tokens = 0, chunks = 0;
};

/// Progress: chunks done, chunks in all.
using Progress = std::function<void(int64_t, int64_t)>;

Result<Quality> evaluateNll(Runner &runner, const Tokenizer &tokenizer,
                            std::string_view text, const NllOptions &options,
                            const Progress &progress = {});

/// One line: the object of schema coppice.quality/1.
std::string qualityRecord(const Quality &quality,
                          const std::string &bundleSha256,
                          const std::string &dataSha256);

} // namespace coppice::rt

#endif
