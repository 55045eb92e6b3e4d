// See nll.h.
//
// Sequences are independent, so as many as the session has slots advance
// together; a slot that has finished takes the next sequence at once.
#include "runtime/evaluate/nll.h"

#include "runtime/base/concat.h"
#include "runtime/base/json.h"
#include "runtime/evaluate/chunks.h"
#include "runtime/evaluate/sampler.h"

#include <algorithm>
#include <cmath>

namespace coppice::rt {

std::vector<ScoredSequence> coverChunk(std::span<const int32_t> ids,
                                       int64_t context, int64_t window,
                                       int64_t stride) {
  std::vector<ScoredSequence> sequences;
  if (window == 0) {
    size_t length = std::min(ids.size(), static_cast<size_t>(context));
    if (length > 1)
      sequences.push_back({{ids.begin(), ids.begin() + length}, 1});
    return sequences;
  }
  size_t scored = 1; // ids before this one have been scored, or are BOS
  for (size_t begin = 0; scored < ids.size();
       begin += static_cast<size_t>(stride)) {
    size_t end = std::min(ids.size(), begin + static_cast<size_t>(window));
    sequences.push_back(
        {{ids.begin() + begin, ids.begin() + end}, scored - begin});
    scored = end;
  }
  return sequences;
}

static Status checkOptions(const NllOptions &options, int64_t context) {
  if (options.skip < 0 || options.chunks < 0)
    return invalidArgument("skip, chunks: expected 0 or more");
  if (options.window == 0 && options.stride == 0)
    return {};
  if (options.window < 2 || options.window > context)
    return invalidArgument(concat("window: expected 2 to ", context,
                                  " (the context length), found ",
                                  options.window));
  // With stride == window the first id of each window would never be scored.
  if (options.stride < 1 || options.stride >= options.window)
    return invalidArgument(concat("stride: expected 1 to ", options.window - 1,
                                  " (less than the window), found ",
                                  options.stride));
  return {};
}

namespace {

struct Score {
  double sum = 0;
  int64_t hits = 0, tokens = 0;

  /// Adds -log softmax(logits)[id]; false if that is not a number.
  bool add(std::span<const float> logits, int32_t id) {
    int32_t best = argmax(logits);
    double greatest = logits[static_cast<size_t>(best)], mass = 0;
    for (float logit : logits)
      mass += std::exp(logit - greatest);
    double nll = std::log(mass) + greatest - logits[static_cast<size_t>(id)];
    sum += nll;
    hits += best == id;
    ++tokens;
    return std::isfinite(nll);
  }
};

/// A sequence on its way through a slot.
struct Running {
  const ScoredSequence *sequence = nullptr;
  size_t next = 0; ///< row to feed

  // The last id is predicted but predicts nothing.
  bool done() const { return !sequence || next + 1 >= sequence->ids.size(); }
};

} // namespace

/// Rows of one step: as many logits as fit 64 MiB, so that a large vocabulary
/// does not ask for gigabytes.
static int64_t rowsPerStep(const Runner &runner) {
  int64_t rows = (int64_t(64) << 20) / (4 * runner.vocabulary());
  return std::clamp<int64_t>(rows, 1,
                             std::min(runner.maxRows(), runner.maxHeadRows()));
}

static Status score(Runner &runner, const std::vector<ScoredSequence> &all,
                    const std::function<void(size_t)> &finished, Score &total) {
  std::vector<Running> slots(static_cast<size_t>(runner.slots()));
  size_t started = 0, done = 0;
  size_t room = static_cast<size_t>(rowsPerStep(runner));
  StepRows rows;
  std::vector<int32_t> expected; // of each head row
  std::vector<float> logits;
  while (true) {
    rows.clear();
    expected.clear();
    for (size_t s = 0; s < slots.size() && rows.tokens.size() < room; ++s) {
      Running &slot = slots[s];
      if (slot.done()) {
        if (started == all.size())
          continue;
        slot = {&all[started++], 0};
      }
      const std::vector<int32_t> &ids = slot.sequence->ids;
      for (; !slot.done() && rows.tokens.size() < room; ++slot.next) {
        bool scored = slot.next + 1 >= slot.sequence->firstScored;
        rows.add(ids[slot.next], static_cast<int32_t>(s),
                 static_cast<int64_t>(slot.next), scored);
        if (scored)
          expected.push_back(ids[slot.next + 1]);
      }
      done += slot.done();
    }
    if (rows.tokens.empty())
      return {};
    if (Status status = runner.step(rows, logits); !status.ok())
      return status;
    size_t vocabulary = static_cast<size_t>(runner.vocabulary());
    for (size_t i = 0; i < expected.size(); ++i) {
      std::span<const float> row(logits.data() + i * vocabulary, vocabulary);
      if (!total.add(row, expected[i]))
        return invalidFile(concat("expected finite logits, found NaN or "
                                  "infinity after ",
                                  total.tokens, " tokens"));
    }
    finished(done);
  }
}

Result<Quality> evaluateNll(Runner &runner, const Tokenizer &tokenizer,
                            std::string_view text, const NllOptions &options,
                            const Progress &progress) {
  if (Status status = checkOptions(options, runner.context()); !status.ok())
    return status;
  std::vector<std::string_view> chunks = splitChunks(text, options.splitBefore);
  size_t first = std::min(chunks.size(), static_cast<size_t>(options.skip));
  size_t count = chunks.size() - first;
  if (options.chunks > 0)
    count = std::min(count, static_cast<size_t>(options.chunks));

  std::vector<ScoredSequence> sequences;
  for (size_t i = first; i < first + count; ++i) {
    Result<std::vector<int32_t>> ids =
        tokenizer.encode(chunks[i], SpecialTokens::AsText);
    if (!ids)
      return ids.status().at(concat("chunk ", i));
    for (ScoredSequence &sequence :
         coverChunk(*ids, runner.context(), options.window, options.stride))
      sequences.push_back(std::move(sequence));
  }
  if (sequences.empty())
    return invalidArgument(concat("text: expected something to predict, found ",
                                  chunks.size(), " chunks of which ", count,
                                  " are asked for"));

  Score total;
  Status status = score(
      runner, sequences,
      [&](size_t done) {
        if (progress)
          progress(static_cast<int64_t>(done),
                   static_cast<int64_t>(sequences.size()));
      },
      total);
  if (!status.ok())
    return status;
  double tokens = static_cast<double>(total.tokens);
  return Quality{total.sum / tokens, static_cast<double>(total.hits) / tokens,
                 total.tokens, static_cast<int64_t>(count)};
}

std::string qualityRecord(const Quality &quality,
                          const std::string &bundleSha256,
                          const std::string &dataSha256) {
  return Json{{"schema", "coppice.quality/1"},
              {"nll_nats_per_token", quality.nll},
              {"perplexity", std::exp(quality.nll)},
              {"top1", quality.top1},
              {"tokens", quality.tokens},
              {"chunks", quality.chunks},
              {"bundle_sha256", bundleSha256},
              {"data_sha256", dataSha256}}
      .dump();
}

} // namespace coppice::rt
