// A regular expression as tokenizer.json has it comes in (Oniguruma's Ruby
// syntax), the same for PCRE2 goes out.
//
// The two agree on much and differ in corners: what \s is, what a quantifier
// behind {1,3} does, what folds to what without case. So only what means the
// same is passed on, and classes are spelled out. Understood are literals,
// `.`, escapes \s \S \d \D \r \n \t \v \f \p{..} \P{..} (general categories),
// classes of these, `|`, groups `(..)`, `(?:..)`, `(?i:..)` around ASCII
// letters, `(?=..)`, `(?!..)`, and the quantifiers ? * + {m} {m,} {m,n}, of
// which the first three may be lazy or possessive. Anything else is an error
// that names it.
#ifndef COPPICE_RUNTIME_TOKENIZER_ONIGURUMA_PATTERN_H
#define COPPICE_RUNTIME_TOKENIZER_ONIGURUMA_PATTERN_H

#include "runtime/base/status.h"

#include <string>
#include <string_view>

namespace coppice::rt {

/// A pattern for PCRE2 with PCRE2_UTF and no other option. `pattern` is UTF-8.
Result<std::string> translateOniguruma(std::string_view pattern);

/// A pattern for PCRE2 that matches `text` alone.
std::string literalPattern(std::string_view text);

} // namespace coppice::rt

#endif
