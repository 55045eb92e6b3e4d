// See shared_library.h.
#include "benchmarks/peers/shared_library.h"

#include <dlfcn.h>
#include <link.h>

namespace coppice::bench {

rt::Result<SharedLibrary> SharedLibrary::load(const std::string &name) {
  void *handle = dlopen(name.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (!handle)
    return rt::ioError(std::string("cannot load a library: ") + dlerror());
  link_map *map = nullptr;
  std::string file = name;
  if (dlinfo(handle, RTLD_DI_LINKMAP, &map) == 0 && map->l_name)
    file = map->l_name;
  return SharedLibrary(handle, file);
}

void *SharedLibrary::symbol(const char *name) const {
  return dlsym(handle, name);
}

} // namespace coppice::bench
