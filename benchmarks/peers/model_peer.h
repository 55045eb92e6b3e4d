// Another inference engine, as a process that answers requests on its standard
// input, a line each, by a line on its standard output:
//
//   open THREADS      {"name": .., "version": .., "detail": ..}
//   prefill TOKENS    seconds of a step of TOKENS tokens into an empty cache
//   decode CACHED     seconds of a step of one token behind CACHED tokens
//
// Filling the cache for decode is not timed. Between requests it waits for the
// next, so that it does not disturb what is measured meanwhile.
#ifndef COPPICE_BENCHMARKS_PEERS_MODEL_PEER_H
#define COPPICE_BENCHMARKS_PEERS_MODEL_PEER_H

#include "runtime/base/status.h"

#include <cstdio>
#include <memory>
#include <string>

#include <sys/types.h>

namespace coppice::bench {

class ModelPeer {
public:
  /// `command` is one of the shell's.
  static rt::Result<std::unique_ptr<ModelPeer>>
  start(const std::string &command, int threads);
  /// Closes its input and waits for its end.
  ~ModelPeer();

  /// `phase`: "prefill" or "decode". Seconds, by the peer's own clock.
  rt::Result<double> time(const std::string &phase, int64_t tokens);

  std::string name, version, detail;

private:
  ModelPeer() = default;
  rt::Result<std::string> ask(const std::string &request);

  pid_t process = -1;
  std::FILE *requests = nullptr, *answers = nullptr;
};

} // namespace coppice::bench

#endif
