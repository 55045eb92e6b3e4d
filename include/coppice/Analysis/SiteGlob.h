// Globs over dotted site names, as plans write them.
//
// A glob is compared component by component: `layers.*.mlp` has three. Within a
// component `*` and `?` are wildcards that do not match a dot, `{a,b}` lists
// alternatives and `[2-5]` is a range of numbers, both ends included.
#ifndef COPPICE_ANALYSIS_SITEGLOB_H
#define COPPICE_ANALYSIS_SITEGLOB_H

#include "llvm/ADT/STLFunctionalExtras.h"
#include "llvm/ADT/SmallVector.h"
#include "llvm/ADT/StringRef.h"
#include <optional>
#include <string>

namespace coppice {

class SiteGlob {
public:
  /// Parses `text`; nothing if it is no glob, and then `error` says why.
  static std::optional<SiteGlob> parse(llvm::StringRef text,
                                       std::string &error);

  /// Does the glob match? Remembers which of its alternatives did.
  bool match(llvm::StringRef site);

  /// After all sites have been matched: an alternative or a number of a range
  /// that matched none of them, such as the index of a layer that is not there.
  std::optional<std::string> findUnmatched() const;

private:
  /// A component's alternative: a pattern, or a range of numbers.
  struct Alternative {
    std::string pattern;
    int64_t first = 0, last = -1; // a range if first <= last
    llvm::SmallVector<bool, 0>
        seen; // one for a pattern, one each for a range's numbers
    bool isRange() const { return first <= last; }
  };
  using Component = llvm::SmallVector<Alternative, 1>;

  static bool parseComponent(llvm::StringRef text, Component &component,
                             std::string &error);
  llvm::SmallVector<Component> components;
};

} // namespace coppice

#endif // COPPICE_ANALYSIS_SITEGLOB_H
