//===- AtomicDirectory.cpp - a directory appears whole or not at all ------===//
// The directory is built beside the target, on the same file system, so that a
// rename puts it in place. A target that is there changes names with it in one
// step, so that there is one at every moment. Where the system cannot do
// that, the target is moved aside first and removed last: should the second
// rename fail, the old one comes back.
//===----------------------------------------------------------------------===//
#include "coppice/Bundle/AtomicDirectory.h"

#include "llvm/Support/FileSystem.h"
#include "llvm/Support/JSON.h"
#include "llvm/Support/MemoryBuffer.h"
#include "llvm/Support/Path.h"
#include "llvm/Support/Process.h"

#include <cstdio>
#include <fcntl.h>
#include <utility>

using namespace llvm;
using namespace coppice;

template <typename... Args>
static Error fail(const char *format, const Args &...args) {
  return createStringError(inconvertibleErrorCode(), format, args...);
}

/// Only what we have written ourselves is ever replaced.
static Error checkReplaceable(const std::string &target,
                              const DirectoryKind &kind) {
  if (!sys::fs::exists(target))
    return Error::success();
  SmallString<128> file(target);
  sys::path::append(file, kind.file);
  auto text = MemoryBuffer::getFile(file);
  if (sys::fs::is_directory(target) && text) {
    Expected<json::Value> parsed = json::parse((*text)->getBuffer());
    if (!parsed)
      consumeError(parsed.takeError());
    else if (const json::Object *object = parsed->getAsObject();
             object && kind.isOne(*object))
      return Error::success();
  }
  return fail("%s exists and is no %s (a directory with a %s %s); it is left "
              "as it is",
              target.c_str(), kind.name.str().c_str(), kind.file.str().c_str(),
              kind.evidence.str().c_str());
}

const DirectoryKind coppice::bundleKind = {
    "bundle", "program.json", "of schema coppice.program/..",
    [](const json::Object &program) {
      std::optional<StringRef> schema = program.getString("schema");
      return schema && schema->starts_with("coppice.program/");
    }};

Expected<AtomicDirectory> AtomicDirectory::create(StringRef target,
                                                  const DirectoryKind &kind) {
  AtomicDirectory directory(kind);
  directory.target = target.rtrim('/').str();
  if (directory.target.empty())
    return fail("expected the name of a directory for the %s, found '%s'",
                kind.name.str().c_str(), target.str().c_str());
  if (Error error = checkReplaceable(directory.target, kind))
    return std::move(error);
  std::string temporary =
      directory.target + ".tmp-" + std::to_string(sys::Process::getProcessId());
  if (std::error_code code = sys::fs::create_directory(
          temporary, /*IgnoreExisting=*/false,
          sys::fs::all_all) /* less what the umask takes */)
    return fail("cannot create %s: %s", temporary.c_str(),
                code.message().c_str());
  directory.temporary = temporary; // from here on ours to remove
  return directory;
}

AtomicDirectory::AtomicDirectory(AtomicDirectory &&other)
    : kind(other.kind), target(std::move(other.target)),
      temporary(std::exchange(other.temporary, {})) {}

AtomicDirectory::~AtomicDirectory() {
  if (!temporary.empty())
    sys::fs::remove_directories(temporary);
}

/// Lets two paths change names at once; false where that cannot be done.
static bool exchangeNames(const std::string &a, const std::string &b) {
#ifdef RENAME_EXCHANGE
  return renameat2(AT_FDCWD, a.c_str(), AT_FDCWD, b.c_str(), RENAME_EXCHANGE) ==
         0;
#else
  return false;
#endif
}

Error AtomicDirectory::commit() {
  // Again: it may have appeared in the meantime.
  if (Error error = checkReplaceable(target, *kind))
    return error;
  bool replaces = sys::fs::exists(target);
  if (replaces && exchangeNames(temporary, target)) {
    sys::fs::remove_directories(std::exchange(temporary, {})); // the old one
    return Error::success();
  }
  std::string old = temporary + ".old";
  if (replaces)
    if (std::error_code code = sys::fs::rename(target, old))
      return fail("cannot replace %s: %s", target.c_str(),
                  code.message().c_str());
  if (std::error_code code = sys::fs::rename(temporary, target)) {
    if (replaces)
      sys::fs::rename(old, target);
    return fail("cannot create %s: %s", target.c_str(), code.message().c_str());
  }
  temporary.clear();
  if (replaces)
    sys::fs::remove_directories(old);
  return Error::success();
}
