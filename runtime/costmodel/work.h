// A program's cost expressions and one cell (phase, batch, tokens) come in, the
// work of each dispatch goes out: operations, bytes, and those bytes that
// cannot but come from DRAM.
//
// It needs a Program alone, no weights and no code, so that the compiler can
// ask about one that has never been built into a bundle.
#ifndef COPPICE_RUNTIME_COSTMODEL_WORK_H
#define COPPICE_RUNTIME_COSTMODEL_WORK_H

#include "runtime/base/status.h"
#include "runtime/bundle/program.h"

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

namespace coppice::rt {

enum class Phase { Prefill, Decode };
const char *nameOf(Phase phase);

/// Prefill: `batch` prompts of `seq` tokens into an empty cache, logits of the
/// last row of each. Decode: one token for each of `batch` sequences, each of
/// which has `seq` tokens in the cache.
struct Cell {
  Phase phase = Phase::Prefill;
  int64_t batch = 1, seq = 1;
};

/// The rows of one step: `batch` sequences, each fed positions
/// [begin, begin + length).
struct StepShape {
  int64_t batch = 1, begin = 0, length = 1;
  bool head = true;               ///< logits of the last row of each sequence
  int64_t slots = 1, context = 1; ///< capacity of the session

  int64_t rows() const { return batch * length; }
  int64_t headRows() const { return head ? batch : 0; }
  /// Query-key pairs; with a window, a row attends to so many positions at
  /// most, its own the last of them. 0: no window.
  int64_t attended(int64_t window = 0) const;
  /// Entries of the cache that a row of the step attends to.
  int64_t cached(int64_t window = 0) const;
};

/// The steps of a cell in order: one, or for a prefill beyond `maxRows` as many
/// as it takes, all sequences advancing together.
Result<std::vector<StepShape>> planSteps(const Cell &cell, int64_t maxRows,
                                         int64_t slots, int64_t context);

/// What a route leaves of the work of its dispatches, on the mean of many
/// steps.
struct RouteLoad {
  double rows = 1; ///< share of rows that are kept
  /// Share of steps in which some row is, so that weights are read, and of
  /// sequences of which some row is, so that their cache is. Where it is not
  /// known: that of rows which are kept independently of one another.
  std::optional<double> weights = {}, caches = {};
};

/// What one dispatch does in one step. Sums over steps add up all but n, k and
/// what does not change from step to step.
struct Work {
  double flops = 0;
  double executedFlops = 0; ///< by the kernels: no less than `flops`
  double weightBytes = 0, readBytes = 0, writeBytes = 0;
  /// Bytes that lie in DRAM when a cold step begins and that the dispatch must
  /// have: its weights, less what an earlier dispatch has fetched of the same
  /// ones, and the cache entries of earlier steps. Activations are not counted:
  /// they may stay in a cache. Nor are lookups: tokens may repeat.
  double coldBytes = 0;
  /// Of `readBytes` and of `coldBytes`, those of the KV cache.
  double cacheBytes = 0, coldCacheBytes = 0;
  int64_t m = 0, n = 0, k = 0; ///< GEMMs; else 0
  Arithmetic arithmetic = Arithmetic::F32;
  std::string_view storage; ///< of its weights or KV cache; empty: none
  int64_t rows = 0;         ///< of what it writes
  double activeRows = 0;    ///< those that its route keeps; else all
  int64_t items = 0;        ///< work items of the variant that runs
  int64_t panel = 1;        ///< columns that its kernel computes at a time

  double bytes() const { return weightBytes + readBytes + writeBytes; }
  Work &operator+=(const Work &other);
};

/// The work of each dispatch of `program`, in order. A cost that is negative or
/// cannot be evaluated is an invalid file. `loads`: of each route; without any,
/// each keeps the share that it expects.
Result<std::vector<Work>> evaluateWork(const Program &program,
                                       const StepShape &step,
                                       std::span<const RouteLoad> loads = {});

/// The same of all rows, whatever routes keep.
Result<std::vector<Work>> evaluateWholeWork(const Program &program,
                                            const StepShape &step);

/// What is left of the work of a GEMM that finds the fraction `zeros` of its
/// input to be zero: all of it with more than two rows.
Work workWithoutZeros(const Work &whole, double zeros);

/// What is left of the work of a dispatch with a route: FLOPs and activations
/// go with the kept rows, weights and cache entries are read where some row is.
Work keptWork(const Work &whole, const StepShape &step, const RouteLoad &load);

/// The load of a dispatch's route; of rows that are all kept where it has none.
RouteLoad loadOf(const Program &program, const Dispatch &dispatch,
                 std::span<const RouteLoad> loads);

/// The symbols of a step, for costs that count `window` positions.
SymbolValues symbolsOf(const StepShape &step, int64_t window);

/// Work items that the variant for `values` would have for `rows` rows; 0 where
/// that cannot be told.
int64_t countWorkItems(const Dispatch &dispatch, const SymbolValues &values,
                       int64_t rows);

} // namespace coppice::rt

#endif
