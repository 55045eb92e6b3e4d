//===- BundleDirectory.cpp - a bundle appears whole or not at all ---------===//
// The directory is built beside the target, on the same file system, so that a
// rename puts it in place. A target that is there changes names with it in one
// step, so that there is a bundle at every moment. Where the system cannot do
// that, the target is moved aside first and removed last: should the second
// rename fail, the old bundle comes back.
//===----------------------------------------------------------------------===//
#include "coppice/Bundle/BundleDirectory.h"

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
static Error checkReplaceable(const std::string &target) {
  if (!sys::fs::exists(target))
    return Error::success();
  SmallString<128> program(target);
  sys::path::append(program, "program.json");
  auto text = MemoryBuffer::getFile(program);
  if (sys::fs::is_directory(target) && text) {
    Expected<json::Value> parsed = json::parse((*text)->getBuffer());
    if (parsed) {
      const json::Object *object = parsed->getAsObject();
      std::optional<StringRef> schema =
          object ? object->getString("schema") : std::nullopt;
      if (schema && schema->starts_with("coppice.program/"))
        return Error::success();
    } else {
      consumeError(parsed.takeError());
    }
  }
  return fail("%s exists and is no bundle (a directory with a program.json of "
              "schema coppice.program/..); it is left as it is",
              target.c_str());
}

Expected<BundleDirectory> BundleDirectory::create(StringRef target) {
  BundleDirectory directory;
  directory.target = target.rtrim('/').str();
  if (directory.target.empty())
    return fail("expected the name of a directory for the bundle, found '%s'",
                target.str().c_str());
  if (Error error = checkReplaceable(directory.target))
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

BundleDirectory::BundleDirectory(BundleDirectory &&other)
    : target(std::move(other.target)),
      temporary(std::exchange(other.temporary, {})) {}

BundleDirectory::~BundleDirectory() {
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

Error BundleDirectory::commit() {
  // Again: it may have appeared in the meantime.
  if (Error error = checkReplaceable(target))
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
