// A library loaded at run time, out of sight of all others, and its functions.
#ifndef COPPICE_BENCHMARKS_PEERS_SHARED_LIBRARY_H
#define COPPICE_BENCHMARKS_PEERS_SHARED_LIBRARY_H

#include "runtime/base/status.h"

#include <string>

namespace coppice::bench {

/// Stays loaded until the process ends: libraries with threads of their own do
/// not survive being unloaded.
class SharedLibrary {
public:
  /// `name`: a path, or a soname that the system's loader knows.
  static rt::Result<SharedLibrary> load(const std::string &name);

  /// Sets `function` to the symbol `name`, which libraries that this one needs
  /// may have too; false, and null, where there is none.
  template <typename Function>
  bool find(const char *name, Function *&function) const {
    function = reinterpret_cast<Function *>(symbol(name));
    return function != nullptr;
  }

  /// Where it was loaded from.
  const std::string &path() const { return file; }

private:
  SharedLibrary(void *handle, std::string file)
      : handle(handle), file(std::move(file)) {}
  void *symbol(const char *name) const;

  void *handle;
  std::string file;
};

} // namespace coppice::bench

#endif
