// A bundle on disk (docs/bundle.md), opened and checked; loads no code.
//
// In: the path of a directory. Out: its Program, and the weight file mapped
// with its header checked against the program's weights. Every file is opened
// by a name without '/', and never through a symbolic link, so that nothing
// outside the directory is reached.
#ifndef COPPICE_RUNTIME_BUNDLE_BUNDLE_H
#define COPPICE_RUNTIME_BUNDLE_BUNDLE_H

#include "runtime/base/safetensors.h"
#include "runtime/bundle/program.h"

#include <map>
#include <string>

namespace coppice::rt {

class Bundle {
public:
  static Result<Bundle> open(const std::string &path);

  const std::string &path() const { return directory; }
  const Program &program() const { return parsed; }
  // program.json as it stands on disk.
  const std::string &programJson() const { return text; }

  // Path of a file of the bundle.
  std::string pathOf(const std::string &file) const {
    return directory + "/" + file;
  }

  // Bytes of a weight that is stored in a file; empty for generated ones.
  std::span<const std::byte> storedWeight(size_t index) const;

  // A part of a weight file and what program.json says that it hashes to; a
  // file that is recorded as a whole is one part.
  struct HashedPart {
    const std::string *file;
    std::span<const std::byte> bytes;
    const std::string *sha256;
    int64_t begin; // in the file
    bool whole;

    // Hashes and compares; for any thread.
    bool holds() const;
  };
  std::vector<HashedPart> hashedParts() const;
  // What to say of a part that does not hold.
  Status hashFailure(const HashedPart &part) const;

private:
  // Sizes and hashes of files that hold no weights.
  Status checkOtherFiles() const;

  std::string directory, text;
  Program parsed;
  std::map<std::string, SafetensorsFile> weightFiles;
  std::vector<std::span<const std::byte>> stored;
};

// Is it a directory with a program.json of this schema? For `-o`, which
// replaces a directory only if it is a bundle.
bool isBundle(const std::string &path);

// Hash that names a bundle in records: SHA-256 of program.json, which itself
// holds the hashes of all other files.
std::string bundleSha256(const Bundle &bundle);

} // namespace coppice::rt

#endif
