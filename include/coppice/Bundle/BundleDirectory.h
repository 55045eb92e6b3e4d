// A bundle that appears whole or not at all.
#ifndef COPPICE_BUNDLE_BUNDLEDIRECTORY_H
#define COPPICE_BUNDLE_BUNDLEDIRECTORY_H

#include "llvm/ADT/StringRef.h"
#include "llvm/Support/Error.h"

#include <string>

namespace coppice {

/// A directory under a temporary name beside the target, which takes the
/// target's place when all is written, and is removed otherwise.
class BundleDirectory {
public:
  /// Refuses a target that exists and is no bundle: a directory whose
  /// program.json has our schema.
  static llvm::Expected<BundleDirectory> create(llvm::StringRef target);

  BundleDirectory(BundleDirectory &&other);
  BundleDirectory &operator=(BundleDirectory &&) = delete;
  ~BundleDirectory();

  /// Where to write.
  const std::string &path() const { return temporary; }
  /// Puts the directory in the place of the target.
  llvm::Error commit();

private:
  BundleDirectory() = default;
  std::string target, temporary;
};

} // namespace coppice

#endif // COPPICE_BUNDLE_BUNDLEDIRECTORY_H
