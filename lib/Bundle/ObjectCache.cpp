#include "coppice/Bundle/ObjectCache.h"

#include "llvm/Support/raw_ostream.h"

using namespace mlir;
using namespace coppice;

std::string ObjectCache::keyOf(func::FuncOp kernel,
                               const CPUTargetOptions &options) {
  std::string key =
      (options.target.name() + (options.unoptimized ? "-" : "+")).str();
  llvm::raw_string_ostream os(key);
  // Without the aliases that the module around it would add.
  kernel->print(os, OpPrintingFlags().useLocalScope());
  return key;
}

std::optional<ObjectCode> ObjectCache::find(const std::string &key) {
  std::lock_guard<std::mutex> lock(mutex);
  auto entry = objects.find(key);
  if (entry == objects.end()) {
    ++missed;
    return std::nullopt;
  }
  ++found;
  return entry->second;
}

void ObjectCache::insert(std::string key, const ObjectCode &code) {
  std::lock_guard<std::mutex> lock(mutex);
  objects.emplace(std::move(key), code);
}
