//===- GemmConfig.cpp - how a matrix product is blocked -------------------===//

#include "GemmConfig.h"
#include "Strategies.h"

using namespace mlir;

namespace coppice {

namespace {
/// The parameters by name, in the order in which they are written.
template <typename Config> auto parametersOf(Config &config) {
  using Field = decltype(&config.panel);
  return std::array<std::pair<StringRef, Field>, 9>{{
      {"panel", &config.panel},
      {"rows", &config.rows},
      {"panels", &config.panels},
      {"depth", &config.depth},
      {"height", &config.height},
      {"width", &config.width},
      {"least", &config.least},
      {"unroll", &config.unroll},
      {"ahead", &config.ahead},
  }};
}
} // namespace

exec::ConfigAttr GemmConfig::toAttr(MLIRContext *context) const {
  SmallVector<std::pair<StringRef, int64_t>> parameters;
  for (auto [name, value] : parametersOf(*this))
    parameters.push_back({name, *value});
  if (expand)
    parameters.push_back({"expand", expand});
  if (zeros)
    parameters.push_back({"zeros", zeros});
  return makeConfig(context, cpu::kGemm, parameters);
}

namespace cpu {

FailureOr<GemmConfig> getGemmConfig(func::FuncOp kernel) {
  GemmConfig config;
  for (auto [name, value] : parametersOf(config)) {
    FailureOr<int64_t> parameter = getParameter(kernel, name);
    if (failed(parameter))
      return failure();
    if (*parameter < (name == "ahead" ? 0 : 1))
      return kernel.emitError()
             << "expected a positive '" << name << "', found " << *parameter;
    *value = *parameter;
  }
  auto attr = kernel->getAttrOfType<exec::ConfigAttr>(exec::configAttrName);
  config.expand = attr.getParameter("expand").value_or(0);
  if (config.expand < 0 || config.expand > 2)
    return kernel.emitError()
           << "expected 'expand' from 0 to 2, found " << config.expand;
  config.zeros = attr.getParameter("zeros").value_or(0);
  if (config.zeros < 0 || config.zeros > 1)
    return kernel.emitError()
           << "expected 'zeros' of 0 or 1, found " << config.zeros;
  if (config.zeros && config.rows > config.height)
    return kernel.emitError()
           << "expected 'rows' of one tile with 'zeros', at most "
           << config.height << ", found " << config.rows;
  // Vectors of a row of the tile and one broadcast beside the sums.
  if (config.width % 16 || config.panel % config.width ||
      (config.height + 1) * (config.width / 16) >= 32)
    return kernel.emitError()
           << "expected a register tile of whole vectors of a panel of "
           << config.panel << " columns that 32 registers can hold, found "
           << config.height << " x " << config.width;
  if (config.depth % 2)
    return kernel.emitError()
           << "expected an even 'depth', found " << config.depth;
  return config;
}

int64_t tileHeight(const GemmConfig &config, const CPUTarget &target) {
  return target.lanes() == 16 ? config.height
                              : std::min<int64_t>(config.height, 6);
}

int64_t tileVectors(const GemmConfig &config, const CPUTarget &target,
                    int64_t height) {
  if (target.lanes() == 16)
    return config.width / 16;
  for (int64_t vectors : {8, 4})
    if (height * vectors <= 8 && config.panel % (vectors * 8) == 0)
      return vectors;
  return 2;
}

} // namespace cpu
} // namespace coppice
