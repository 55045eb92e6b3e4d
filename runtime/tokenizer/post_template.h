// The "post_processor" of a tokenizer.json: the ids that every text gets.
#ifndef COPPICE_RUNTIME_TOKENIZER_POST_TEMPLATE_H
#define COPPICE_RUNTIME_TOKENIZER_POST_TEMPLATE_H

#include "runtime/bundle/json_cursor.h"

#include <cstdint>
#include <vector>

namespace coppice::rt {

struct PostTemplate {
  std::vector<int32_t> before, behind;

  /// null, ByteLevel (which changes no ids), TemplateProcessing, or a Sequence
  /// of these; the cursor's sink gets an error that names anything else. Ids
  /// must be below `size`.
  static PostTemplate read(const JsonCursor &json, size_t size);
};

} // namespace coppice::rt

#endif
