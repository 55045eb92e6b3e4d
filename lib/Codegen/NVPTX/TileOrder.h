//===- TileOrder.h - which tile of a result a work item is ------*- C++ -*-===//
//
// In: how many tiles a result has down and across. Out: where tile number t
// is. Tiles go down a few rows of tiles before they go on to the next column,
// so that blocks that run at the same time share what they read in the L2
// cache.
//
//===----------------------------------------------------------------------===//

#ifndef COPPICE_LIB_CODEGEN_NVPTX_TILEORDER_H
#define COPPICE_LIB_CODEGEN_NVPTX_TILEORDER_H

#include "KernelBuilder.h"

namespace coppice::nvptx {

class TileOrder : KernelBuilder {
public:
  TileOrder(mlir::ImplicitLocOpBuilder &b, KernelShell &shell, Value down,
            Value across)
      : KernelBuilder(b, shell), down(down), across(across) {}

  struct Tile {
    Value row, column;
  };
  Value count() { return mul(down, across); }
  Tile at(Value number) {
    Value band = div(number, mul(across, kBand));
    Value first = mul(band, kBand), rest = rem(number, mul(across, kBand));
    Value height = min(sub(down, first), i32(kBand));
    return {add(first, rem(rest, height)), div(rest, height)};
  }

private:
  static constexpr int64_t kBand = 8; // rows of tiles

  Value down, across;
};

} // namespace coppice::nvptx

#endif // COPPICE_LIB_CODEGEN_NVPTX_TILEORDER_H
