// Compiled kernels by what they were compiled from.
#ifndef COPPICE_BUNDLE_OBJECTCACHE_H
#define COPPICE_BUNDLE_OBJECTCACHE_H

#include "coppice/Target/EmitCPU.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"

#include <mutex>
#include <optional>
#include <string>
#include <unordered_map>

namespace coppice {

/// For a process that compiles many programs which share kernels, such as the
/// plans of one model. The same kernel is the same text for the same
/// instruction set. Safe on several threads.
class ObjectCache {
public:
  /// What a planned kernel is known by.
  static std::string keyOf(mlir::func::FuncOp kernel,
                           const CPUTargetOptions &options);

  std::optional<ObjectCode> find(const std::string &key);
  void insert(std::string key, const ObjectCode &code);

  int64_t hits() const { return found; }
  int64_t misses() const { return missed; }

private:
  std::mutex mutex;
  std::unordered_map<std::string, ObjectCode> objects;
  int64_t found = 0, missed = 0;
};

} // namespace coppice

#endif // COPPICE_BUNDLE_OBJECTCACHE_H
