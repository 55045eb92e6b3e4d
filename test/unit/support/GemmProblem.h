//===- GemmProblem.h - random products with sets, and their results -------===//
//
// In: a `GemmSpec`. Out: data for a kernel that computes it, on small integers,
// and what it has to be, element by element.
//
//===----------------------------------------------------------------------===//

#ifndef COPPICE_TEST_UNIT_SUPPORT_GEMMPROBLEM_H
#define COPPICE_TEST_UNIT_SUPPORT_GEMMPROBLEM_H

#include "KernelData.h"
#include "coppice/Codegen/CPU/LoadedGemm.h"

namespace coppice::test {

/// How much of a set there is.
enum class Kept { None, One, Some, All };

/// A list of indices below `extent` with room for all of them; what is behind
/// the count is out of range.
struct Set {
  std::vector<int32_t> list;
  int32_t count = 0;

  Set(int64_t extent, Kept kept);
  bool has(int32_t index) const;
};

class GemmProblem {
public:
  /// `m` rows; of A `percentZero` are zeros. Of several lists the first has
  /// what is asked for, others something else.
  GemmProblem(const GemmSpec &spec, int64_t m, Kept kept, int percentZero = 0);

  /// The weight as it is, [N, K].
  std::vector<float> &weight() { return w; }
  /// The kernel's arguments, `weight` as it reads it.
  std::vector<const void *> arguments(const void *weight);
  /// The kernel has written what it should have, and nothing else.
  void expectExact();

private:
  void compute(int64_t m);

  GemmSpec spec;
  std::vector<Set> lists; // of rows, one for each panel or group
  std::vector<int32_t> listed, counts;
  Set rows, panels, groups;
  std::vector<float> a, w, biases, expected;
  Guarded input, bias, output;
};

} // namespace coppice::test

#endif // COPPICE_TEST_UNIT_SUPPORT_GEMMPROBLEM_H
