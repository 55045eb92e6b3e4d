// See route_source.h.
#include "runtime/routes/route_source.h"

#include "runtime/base/concat.h"
#include "runtime/base/json.h"
#include "runtime/base/weight_generator.h"
#include "runtime/routes/bernoulli.h"
#include "runtime/routes/trace.h"

#include <algorithm>
#include <charconv>
#include <optional>

namespace coppice::rt {

const char *const routeSourceHelp =
    "who decides which rows dynamic pruning keeps: router, all, none, "
    "bernoulli:P[:SEED] (P in [0, 1], or 'expected': that of each route) or "
    "trace:FILE";

namespace {

class Router : public RouteSource {
public:
  Status decide(const RoutedRows &, std::span<int8_t>) override { return {}; }
};

class Constant : public RouteSource {
public:
  explicit Constant(int8_t decision) : decision(decision) {}

  Status decide(const RoutedRows &, std::span<int8_t> decisions) override {
    std::fill(decisions.begin(), decisions.end(), decision);
    return {};
  }
  double density(const Route &) const override { return decision; }

private:
  int8_t decision;
};

class Bernoulli : public RouteSource {
public:
  /// No probability: that of each route.
  Bernoulli(const Program &program, std::optional<double> probability,
            uint64_t seed)
      : routes(program.routes), columns(program.routeColumns),
        probability(probability), firstSeed(seed), seed(seed) {}

  Status decide(const RoutedRows &rows, std::span<int8_t> decisions) override {
    for (size_t r = 0; r < rows.positions.size(); ++r)
      for (const Route &route : routes)
        for (int64_t g = 0; g < route.groups; ++g)
          decisions[r * size_t(columns) + size_t(route.column + g)] =
              drawDecision(seed, route.name, g, rows.sequences[r],
                           rows.positions[r], density(route));
    return {};
  }

  void renew(uint64_t round) override {
    seed = round == 0 ? firstSeed : splitmix64(firstSeed) + round;
  }

  double density(const Route &route) const override {
    return probability.value_or(route.expected);
  }

private:
  std::vector<Route> routes;
  int64_t columns;
  std::optional<double> probability;
  uint64_t firstSeed, seed;
};

/// All of `text` as a number.
template <typename T> std::optional<T> parseNumber(std::string_view text) {
  T value{};
  const char *end = text.data() + text.size();
  auto [next, error] = std::from_chars(text.data(), end, value);
  if (error != std::errc() || next != end)
    return std::nullopt;
  return value;
}

Status malformed(const std::string &spec) {
  return invalidArgument(
      "expected routes router, all, none, "
      "bernoulli:P[:SEED] with P in [0, 1] or 'expected', or "
      "trace:FILE, found " +
      quote(spec));
}

Result<std::unique_ptr<RouteSource>> makeBernoulli(const std::string &spec,
                                                   std::string_view parameters,
                                                   const Program &program) {
  size_t colon = parameters.find(':');
  std::string_view share = parameters.substr(0, colon);
  uint64_t seed = 1;
  if (colon != parameters.npos) {
    auto given = parseNumber<uint64_t>(parameters.substr(colon + 1));
    if (!given)
      return malformed(spec);
    seed = *given;
  }
  std::optional<double> probability;
  if (share != "expected") {
    probability = parseNumber<double>(share);
    if (!probability || !(*probability >= 0 && *probability <= 1))
      return malformed(spec);
  }
  return std::unique_ptr<RouteSource>(
      std::make_unique<Bernoulli>(program, probability, seed));
}

} // namespace

Result<std::unique_ptr<RouteSource>> makeRouteSource(const std::string &spec,
                                                     const Program &program) {
  constexpr std::string_view bernoulli = "bernoulli:", trace = "trace:";
  if (spec == "router")
    return std::unique_ptr<RouteSource>(std::make_unique<Router>());
  bool known = spec == "all" || spec == "none" || spec.starts_with(bernoulli) ||
               (spec.starts_with(trace) && spec.size() > trace.size());
  if (!known)
    return malformed(spec);
  if (program.routes.empty())
    return invalidArgument("routes " + quote(spec) +
                           ": expected a bundle with routes, found one without "
                           "(nothing in it is pruned dynamically)");
  if (spec.starts_with(bernoulli))
    return makeBernoulli(spec, std::string_view(spec).substr(bernoulli.size()),
                         program);
  if (spec.starts_with(trace)) {
    std::string path = spec.substr(trace.size());
    auto loaded = RouteTrace::load(path, program);
    if (!loaded)
      return loaded.status();
    return replay(*std::move(loaded), path);
  }
  return std::unique_ptr<RouteSource>(
      std::make_unique<Constant>(int8_t(spec == "all")));
}

} // namespace coppice::rt
