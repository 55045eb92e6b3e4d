// See curve.h.
#include "runtime/costmodel/curve.h"

#include <algorithm>
#include <cassert>
#include <cmath>
#include <span>

namespace coppice::rt {

namespace {

/// A value per logarithm of a coordinate.
struct Knot {
  double position, slowdown, fixedSeconds;
};

} // namespace

/// Linear between the two knots around `position`, constant beyond the ends.
static Knot interpolate(std::span<const Knot> knots, double position) {
  if (position <= knots.front().position)
    return knots.front();
  for (size_t i = 1; i < knots.size(); ++i) {
    const Knot &below = knots[i - 1], &above = knots[i];
    if (position > above.position)
      continue;
    double t = (position - below.position) / (above.position - below.position);
    return {position, below.slowdown + t * (above.slowdown - below.slowdown),
            below.fixedSeconds + t * (above.fixedSeconds - below.fixedSeconds)};
  }
  return knots.back();
}

static double logOf(int64_t value) {
  return std::log2(static_cast<double>(std::max<int64_t>(value, 1)));
}

CurvePoint Curve::at(int64_t rows, int64_t depth) const {
  assert(!points.empty() && "the reader and calibration give at least one");
  std::vector<Knot> byRows, byDepth;
  for (size_t i = 0; i < points.size();) {
    byDepth.clear();
    int64_t here = points[i].rows;
    for (; i < points.size() && points[i].rows == here; ++i)
      byDepth.push_back({logOf(points[i].depth), 1 / points[i].fraction,
                         points[i].fixedSeconds});
    Knot knot = interpolate(byDepth, logOf(depth));
    knot.position = logOf(here);
    byRows.push_back(knot);
  }
  Knot knot = interpolate(byRows, logOf(rows));
  return {rows, depth, 1 / knot.slowdown, knot.fixedSeconds};
}

int matchScore(const CurveKey &have, const CurveKey &wanted) {
  // Exact counts 2, "any" 1, another value 0: an unlike curve still says more
  // than none.
  auto compare = [](const std::string &a, const std::string &b) {
    return a == b ? 2 : a.empty() ? 1 : 0;
  };
  int kind = compare(have.kind, wanted.kind);
  if (kind == 0 && have.kind != "other")
    return -1;
  int threads = have.threads == wanted.threads ? 2 : have.threads == 0 ? 1 : 0;
  int score = kind;
  for (int part : {compare(have.arithmetic, wanted.arithmetic),
                   compare(have.storage, wanted.storage),
                   compare(have.isa, wanted.isa), threads})
    score = score * 3 + part;
  return score;
}

std::vector<Curve> assumedCurves() {
  const std::string origin = "assumed: round figures for vectorised code";
  std::vector<Curve> curves;
  // Few rows: bytes limit; around 16: neither bytes nor arithmetic alone.
  curves.push_back({{"gemm", "", "", "", 0},
                    origin,
                    {{1, 0, 0.9, -1}, {16, 0, 0.7, -1}, {128, 0, 0.85, -1}}});
  curves.push_back({{"attention", "", "", "", 0},
                    origin,
                    {{1, 0, 0.5, -1}, {128, 0, 0.4, -1}}});
  curves.push_back({{"other", "", "", "", 0}, origin, {{1, 0, 0.5, -1}}});
  return curves;
}

} // namespace coppice::rt
