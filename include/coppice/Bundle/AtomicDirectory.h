// A directory that appears whole or not at all: a bundle, a checkpoint.
#ifndef COPPICE_BUNDLE_ATOMICDIRECTORY_H
#define COPPICE_BUNDLE_ATOMICDIRECTORY_H

#include "llvm/ADT/StringRef.h"
#include "llvm/Support/Error.h"
#include "llvm/Support/JSON.h"

#include <string>

namespace coppice {

/// What a directory is known by, so that no other is ever replaced.
struct DirectoryKind {
  llvm::StringRef name;     ///< "bundle"
  llvm::StringRef file;     ///< the file that all of its kind have, JSON
  llvm::StringRef evidence; ///< what is in it, for people
  bool (*isOne)(const llvm::json::Object &file);
};

/// A program.json with our schema.
extern const DirectoryKind bundleKind;

/// A directory under a temporary name beside the target, which takes the
/// target's place when all is written, and is removed otherwise.
class AtomicDirectory {
public:
  /// Refuses a target that exists and is not of the kind.
  static llvm::Expected<AtomicDirectory> create(llvm::StringRef target,
                                                const DirectoryKind &kind);

  AtomicDirectory(AtomicDirectory &&other);
  AtomicDirectory &operator=(AtomicDirectory &&) = delete;
  ~AtomicDirectory();

  /// Where to write.
  const std::string &path() const { return temporary; }
  /// Puts the directory in the place of the target.
  llvm::Error commit();

private:
  explicit AtomicDirectory(const DirectoryKind &kind) : kind(&kind) {}
  const DirectoryKind *kind;
  std::string target, temporary;
};

} // namespace coppice

#endif // COPPICE_BUNDLE_ATOMICDIRECTORY_H
