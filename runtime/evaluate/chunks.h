// A text comes in, the chunks that the NLL protocol scores go out.
//
// The text is cut at each blank line that is followed by the marker S: the
// blank line is dropped, S stays at the head of its chunk, and what precedes
// the first cut is a chunk too. Nothing else is touched: no trimming, no line
// ending conversion, so that two implementations score the same bytes.
#ifndef COPPICE_RUNTIME_EVALUATE_CHUNKS_H
#define COPPICE_RUNTIME_EVALUATE_CHUNKS_H

#include <string_view>
#include <vector>

namespace coppice::rt {

/// Cuts `text` at every "\n\n" + `marker`. Without a marker the whole text is
/// one chunk. An empty chunk (a text that opens with a blank line and S) holds
/// nothing to predict and is left out. The views point into `text`.
std::vector<std::string_view> splitChunks(std::string_view text,
                                          std::string_view marker);

} // namespace coppice::rt

#endif
