// See post_template.h.
#include "runtime/tokenizer/post_template.h"

#include "runtime/base/concat.h"

namespace coppice::rt {

// Each mention of a special token may stand for many ids, and there may be many
// mentions: a small file would ask for any amount of memory.
static constexpr size_t mostIds = 1024;

/// The ids of one `{"SpecialToken": {"id": NAME}}`.
static std::vector<int32_t>
readSpecial(const JsonCursor &piece, const JsonCursor &specials, size_t size) {
  std::vector<int32_t> ids;
  JsonCursor special = piece.at("SpecialToken");
  std::string name = special.at("id").text();
  if (!piece.ok())
    return ids;
  JsonCursor entry = specials.at(name.c_str()), list = entry.at("ids");
  for (size_t i = 0; i < list.size() && list.ok(); ++i)
    ids.push_back(static_cast<int32_t>(list.element(i).index(size)));
  return ids;
}

static void readTemplate(const JsonCursor &json, size_t size,
                         PostTemplate &result) {
  json.onlyKeys({"type", "single", "pair", "special_tokens"});
  JsonCursor pieces = json.at("single"), specials = json.at("special_tokens");
  PostTemplate own;
  bool text = false;
  for (size_t i = 0; i < pieces.size() && pieces.ok(); ++i) {
    JsonCursor piece = pieces.element(i);
    piece.onlyKeys({"Sequence", "SpecialToken"});
    if (piece.has("Sequence")) {
      if (piece.at("Sequence").at("id").text() != "A" || text)
        piece.fail("expected the text (\"A\") once in a template for one text");
      text = true;
      continue;
    }
    std::vector<int32_t> ids = readSpecial(piece, specials, size);
    std::vector<int32_t> &side = text ? own.behind : own.before;
    if (side.size() + ids.size() > mostIds)
      return piece.fail(
          concat("expected at most ", mostIds, " ids on a side of the text"));
    side.insert(side.end(), ids.begin(), ids.end());
  }
  if (json.ok() && !text)
    pieces.fail("expected the text (\"A\") in the template, found none");
  if (result.before.size() + own.before.size() > mostIds ||
      result.behind.size() + own.behind.size() > mostIds)
    return pieces.fail(
        concat("expected at most ", mostIds, " ids on a side of the text"));
  // A later template is put around what an earlier one has made.
  result.before.insert(result.before.begin(), own.before.begin(),
                       own.before.end());
  result.behind.insert(result.behind.end(), own.behind.begin(),
                       own.behind.end());
}

static void readInto(const JsonCursor &json, size_t size,
                     PostTemplate &result) {
  std::string kind = json.at("type").text();
  if (!json.ok())
    return;
  if (kind == "Sequence") {
    json.onlyKeys({"type", "processors"});
    JsonCursor list = json.at("processors");
    for (size_t i = 0; i < list.size() && list.ok(); ++i) {
      JsonCursor item = list.element(i);
      if (item.isObject() && item.has("processors"))
        return item.fail("not understood: a Sequence in a Sequence");
      readInto(item, size, result);
    }
  } else if (kind == "TemplateProcessing") {
    readTemplate(json, size, result);
  } else if (kind == "ByteLevel") {
    json.onlyKeys({"type", "add_prefix_space", "trim_offsets", "use_regex"});
  } else {
    json.fail(concat("post-processor ", quote(kind),
                     " is not understood (known: ByteLevel, "
                     "TemplateProcessing, Sequence)"));
  }
}

PostTemplate PostTemplate::read(const JsonCursor &json, size_t size) {
  PostTemplate result;
  if (!json.isNull())
    readInto(json, size, result);
  return result;
}

} // namespace coppice::rt
