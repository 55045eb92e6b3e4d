// A bundle's path comes in, something that takes tokens and gives logits goes
// out: bundle and session of the C ABI with their owner, and the facts of
// program.json that callers need.
#ifndef COPPICE_RUNTIME_EVALUATE_RUNNER_H
#define COPPICE_RUNTIME_EVALUATE_RUNNER_H

#include "runtime/base/status.h"
#include "runtime/bundle/program.h"
#include "runtime/routes/route_source.h"
#include "runtime/routes/sequence_numbers.h"
#include "runtime/routes/trace.h"

#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace coppice::rt {

/// 0 and empty mean "as the bundle and the machine say".
struct RunnerOptions {
  std::string target, isa;
  int threads = 0;
  bool pin = false;
  int64_t maxRows = 0, maxHeadRows = 0, slots = 0, context = 0;
  bool allowNan = false;
};

/// The rows of one step; see coppice_step.
struct StepRows {
  std::vector<int32_t> tokens, slots, positions, headRows;
  /// [rows, route columns], or empty: the runner's source decides.
  std::vector<int8_t> routes;

  /// Appends a row; its logits are asked for if `head`.
  void add(int32_t token, int32_t slot, int64_t position, bool head);
  void clear();
  int64_t size() const { return static_cast<int64_t>(tokens.size()); }
};

class Runner {
public:
  static Result<Runner> open(const std::string &path,
                             const RunnerOptions &options);

  /// With at most `rows` rows a step, or the bundle's limit if that is less.
  static Result<Runner> openWithRows(const std::string &path,
                                     RunnerOptions options, int64_t rows);

  const std::string &path() const { return directory; }
  const Program &program() const { return facts; }
  /// Hash that names the bundle in records.
  const std::string &sha256() const { return hash; }
  coppice_session *session() const { return handle.get(); }
  const coppice_memory &memory() const { return taken; }

  const std::string &target() const { return targetName; }
  /// Empty for a target that has none.
  const std::string &isa() const { return isaName; }
  int threads() const { return made.threads; }
  int64_t maxRows() const { return made.max_rows; }
  int64_t maxHeadRows() const { return made.max_head_rows; }
  int64_t slots() const { return made.slots; }
  int64_t context() const { return made.context; }
  int64_t vocabulary() const { return facts.model.vocabulary; }

  /// Runs one step. `logits` gets [head rows, vocabulary] and is made as large
  /// as that.
  Status step(const StepRows &rows, std::vector<float> &logits);

  /// Takes decisions from `source`; the routers decide while there is none.
  void routeBy(std::unique_ptr<RouteSource> source) {
    routeSource = std::move(source);
  }
  /// The same by its name (route_source.h).
  Status routeBy(const std::string &spec);
  RouteSource *routes() const { return routeSource.get(); }
  /// Fills `rows.routes` with what the source decides, ahead of the step.
  Status decide(StepRows &rows);
  /// The next sequence is the first again: for runs that repeat one another.
  void restartSequences() { sequences.restart(); }

  /// From here on keeps what is decided; a program without routes is an invalid
  /// argument.
  Status recordRoutes();
  const RouteTrace &recordedRoutes() const { return *recorded; }
  /// What a route decided in the last step: [rows, groups].
  Result<std::vector<int8_t>> readRoute(size_t route, int64_t rows) const;

  /// Every id is inside the vocabulary, else an invalid argument.
  Status checkTokens(std::span<const int32_t> tokens) const;

  /// Feeds `tokens` to `slot` from position `begin` on, in as many steps as it
  /// takes. `logits` gets those of the last token, or with `all` those of every
  /// token.
  Status feed(std::span<const int32_t> tokens, int32_t slot, int64_t begin,
              bool all, std::vector<float> &logits);

private:
  Status openBundle();
  Status createSession(const RunnerOptions &options);
  Status decideInto(const StepRows &rows, std::span<const int32_t> numbers,
                    std::vector<int8_t> &routes);
  Status record(const StepRows &rows, std::span<const int32_t> numbers);

  struct Close {
    void operator()(coppice_bundle *b) const { coppice_bundle_close(b); }
    void operator()(coppice_session *s) const { coppice_session_destroy(s); }
  };

  std::string directory, hash, targetName, isaName;
  Program facts;
  coppice_memory taken{};
  coppice_session_info made{};
  // The session refers to the bundle, so it is declared behind it.
  std::unique_ptr<coppice_bundle, Close> bundle;
  std::unique_ptr<coppice_session, Close> handle;

  std::unique_ptr<RouteSource> routeSource;
  SequenceNumbers sequences;
  std::optional<RouteTrace> recorded;
  std::vector<int8_t> decisions; ///< of a step that comes without
};

/// The failure that the C ABI's last call on this thread left.
Status lastFailure(coppice_status code);

} // namespace coppice::rt

#endif
