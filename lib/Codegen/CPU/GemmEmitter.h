//===- GemmEmitter.h - code of matrix products over packed panels -*- C++ -*-=//
//
// The state of one kernel of strategy "gemm" while it is built; GemmKernel.cpp
// says what the code does. GemmEmitter.cpp has the loops and the products in
// vector registers, GemmTiles.cpp those in tile registers, GemmListedTiles.cpp
// those of listed rows in them, GemmInput.cpp the rows of A.
//
//===----------------------------------------------------------------------===//

#ifndef COPPICE_LIB_CODEGEN_CPU_GEMMEMITTER_H
#define COPPICE_LIB_CODEGEN_CPU_GEMMEMITTER_H

#include "ExpandedPanels.h"
#include "GemmConfig.h"
#include "GemmEpilogue.h"
#include "GemmOperands.h"
#include "GemmProduct.h"
#include "RunTimeSet.h"
#include "TileRegisters.h"

namespace coppice::cpu {

/// Values along K to a multiple of which a copied run of A is filled up by
/// zeros where steps are several values: whole steps of any N:M weights, and
/// whole vectors.
inline constexpr int64_t kPaddedTo = 16;

/// How weights get from memory to products.
struct WeightPath {
  GemmStep step;
  bool expands = false; // by ExpandedPanels.h
  bool widens = false;  // to f32 in it
};

WeightPath choosePath(const GemmOperands &gemm, const GemmConfig &config,
                      const CPUTarget &target);

class GemmEmitter : KernelBuilder {
public:
  GemmEmitter(mlir::ImplicitLocOpBuilder &b, const KernelShell &shell,
              const GemmOperands &gemm, const GemmConfig &config,
              const CPUTarget &target)
      : KernelBuilder(b, shell), gemm(gemm), config(config), target(target),
        path(choosePath(gemm, config, target)), step(path.step),
        tallest(step == GemmStep::Select
                    ? std::min<int64_t>(tileHeight(config, target),
                                        target.lanes() == 8 ? 4 : 6)
                : step == GemmStep::Tiles ? 2 * TileRegisters::rows
                                          : tileHeight(config, target)),
        accumulator(mlir::VectorType::get(target.lanes(), b.getF32Type())),
        tiles(b), epilogue(b, shell, gemm, target) {}

  mlir::LogicalResult emit();

private:
  /// A work item.
  struct Item {
    Value first, count;      // rows, or positions in their set
    Value panel, panelCount; // panels, likewise
    Value block = {};        // of rows, where each panel has its list
  };
  /// [from, to) along K; with a set of groups, positions in it.
  struct Block {
    Value from, to;
    /// The item's rows that take part, as positions in a list of them, and the
    /// item's first row; null: all rows of the item.
    Value first = {}, count = {}, firstOfItem = {};
  };

  /// Which share of the next part of the weights a tile fetches.
  struct Ahead {
    Value row, count; // of the tile and of the item
    int64_t height;
    Value column; // the tile's first, in its panel
  };

  void emitItems();
  void emitItemsOfPanels(Value extent);
  void forItems(Value begin, Value end, llvm::function_ref<Value(Value)> leftOf,
                llvm::function_ref<void(Value, Value)> body);
  void emitItem(const Item &item);
  void emitGroupsOfRows(const Item &item);
  void emitBlock(const Item &item, const Block &block);
  void expandBlock(const Item &item, const Block &block);
  void setWeights(GemmProduct::Operands &operands, const Item &item,
                  const Block &block, Value local, size_t number);
  void emitTile(int64_t height, const Item &item, const Block &block,
                Value row);
  // Products in tile registers (GemmTiles.cpp).
  void emitTiles(const Item &item, const Block &block);
  void emitTilesOfPanel(int64_t rowTiles, const Item &item, const Block &block,
                        Value row, Value local);
  void emitTileGroup(int64_t rowTiles, const Item &item, const Block &block,
                     const GemmProduct::Operands &operands, Value row,
                     Value scratchColumn);
  void multiplyTiles(mlir::SmallVector<Value> &sums, int64_t rowTiles,
                     const GemmProduct::Operands &operands, Value inputColumn,
                     Value first, Value count);
  void addScattered(const Item &item, const Block &block, Value row,
                    Value scratchRow, Value scratchColumn, int64_t rowTiles,
                    int64_t columns);
  int64_t columnsOfTiles() { return config.panel % 32 ? 16 : 32; }

  // Products of listed rows (GemmListedTiles.cpp).
  Item rowsOfPanel(const Item &item, Value local);
  std::pair<Value, Value> shareOfList(Value block);
  void emitListedItem(const Item &item);
  void emitListedBlock(const Item &item, const Block &block);
  void emitListedEpilogue(const Item &item);
  void emitListedPanel(const Item &item, const Block &block, Value local,
                       size_t number);
  mlir::SmallVector<Value> multiplyListed(const GemmProduct::Operands &operands,
                                          const Block &block, Value steps,
                                          Value first);
  mlir::SmallVector<Value> loadListed(const Block &block, Value first);
  void setNext(const Item &item, const Block &block, Value row);
  void copyNext(Value at, int64_t from, int64_t to);
  /// Is a row copied for one panel at a time? Steps are whole.
  bool isListed() {
    return step == GemmStep::Tiles && gemm.rows && !gemm.groups &&
           !path.expands && gemm.k() % TileRegisters::depth == 0 &&
           config.panel <= 64;
  }
  /// Rows of the scratch for a panel.
  int64_t listedRows() {
    return llvm::alignTo(config.rows, TileRegisters::rows);
  }
  /// Elements of a copied row of a tile, and of a tile.
  static constexpr int64_t kCopiedRow = TileRegisters::depth;
  static constexpr int64_t kCopiedTile = TileRegisters::rows * kCopiedRow;

  void emitColumns(const Block &block, const GemmProduct::Operands &operands,
                   const Ahead &ahead, mlir::ValueRange scratchRows,
                   Value scratchColumn);
  void findSteps(const Item &item, Value row, Value height);
  void multiplyFound(mlir::SmallVector<Value> &sums, const Block &block,
                     const GemmProduct::Operands &operands);
  void multiplyBlock(mlir::SmallVector<Value> &sums, const Block &block,
                     const GemmProduct::Operands &operands);
  void multiplyGroups(mlir::SmallVector<Value> &sums, const Block &block,
                      const GemmProduct::Operands &operands,
                      const Ahead &ahead);
  void multiplyHalf(mlir::SmallVector<Value> &sums,
                    const GemmProduct::Operands &operands, Value steps,
                    Value to);
  Value elementsAlongK(Value count);
  int64_t elementsAlongK(int64_t count);
  Value bytesAlongK(Value count);
  /// Values along K, and elements, of a step of the weights as they are stored.
  int64_t storedColumns() {
    return path.expands ? expanded->stepColumns() : product->depth();
  }
  int64_t storedElements() {
    return path.expands ? expanded->stepElements() : product->weightStride();
  }
  Value distanceOfListed(const Item &item, const Block &block, Value local);
  Value distanceToNext(const Item &item, const Block &block, Value local);
  void setAhead(GemmProduct::Operands &operands, const Ahead &ahead,
                Value distance, Value size);
  void copyInput(Value height, const Item &item, const Block &block, Value row);
  void copyRun(Value from, Value to, Value count, Value next = {});
  void emitEpilogue(const Item &item, Value row, Value count);
  void emitEpilogueOfPanel(const Item &item, Value local, Value scratchRow,
                           Value scratchColumn, Value row, Value count);
  void emitEpilogueRow(Value panel, Value scratchRow, Value scratchColumn,
                       Value row, bool masked);

  /// K of a block. A tile of copied rows takes more room than the rows do, and
  /// is to stay in L1 all the same.
  int64_t depthOfBlock() {
    if (config.zeros)
      return llvm::alignTo(gemm.k(), 2);
    // A panel's part is to stay in L1, beside rows that stream through it;
    // adding the sums of a group costs more than what does not.
    if (isListed())
      return std::min<int64_t>(
          llvm::alignTo(config.depth, TileRegisters::depth),
          gemm.rowsPerGroup ? std::min<int64_t>(gemm.rowsPerGroup, 256) : 192);
    if (step == GemmStep::Tiles) {
      int64_t depth = config.depth;
      if (gemm.rowsPerGroup)
        depth = std::min(depth, gemm.rowsPerGroup);
      return llvm::alignTo(depth, TileRegisters::depth);
    }
    // Whole steps of N:M weights.
    int64_t depth = isCopied() || gemm.of || path.expands
                        ? std::min<int64_t>(config.depth, 512)
                        : config.depth;
    if (gemm.rowsPerGroup)
      depth = std::min(depth, gemm.rowsPerGroup);
    return gemm.of || path.expands ? llvm::alignTo(depth, kPaddedTo) : depth;
  }
  /// Groups of a block.
  int64_t groupsOfBlock() {
    return std::max<int64_t>(1, depthOfBlock() / gemm.groups->size);
  }
  /// Of a block, in the units of `Block`.
  int64_t unitsOfBlock() {
    return gemm.groups ? groupsOfBlock() : depthOfBlock();
  }
  int64_t unitsAlongK() {
    return gemm.groups ? llvm::divideCeil(gemm.k(), gemm.groups->size)
                       : gemm.k();
  }
  /// Are all blocks along K as long?
  bool isEven() {
    return gemm.k() % depthOfBlock() == 0 &&
           gemm.rowsPerGroup % depthOfBlock() == 0;
  }
  bool isOneBlock() {
    return !gemm.rowsPerGroup && unitsAlongK() <= unitsOfBlock();
  }
  /// Elements from one copied row to the next. A run with zeros behind it may
  /// be longer than a group of a set: of the last one they are in the row, too.
  int64_t copyPitch() {
    int64_t runs = gemm.groups ? std::min(groupsOfBlock(), unitsAlongK()) : 1;
    int64_t size =
        std::min(gemm.groups ? gemm.groups->size : depthOfBlock(), gemm.k());
    // An odd number of lines from row to row, which are loaded together.
    if (step == GemmStep::Tiles)
      return llvm::alignTo((runs - 1) * size + llvm::alignTo(size, 32), 64) +
             32;
    if (step != GemmStep::Select)
      return std::min(runs * size, gemm.k());
    return llvm::alignTo((runs - 1) * size + llvm::alignTo(size, kPaddedTo),
                         kPaddedTo);
  }
  Value keptAlongK() { return gemm.groups ? groupCount : index(unitsAlongK()); }
  int64_t panelsOfAll() { return llvm::divideCeil(gemm.n(), config.panel); }
  Value rowOfInput(Value position) {
    return gemm.gathersRows ? rows->at(position) : position;
  }
  Value rowOfResult(Value position) {
    return gemm.scattersRows ? rows->at(position) : position;
  }
  Value panelAt(Value position) {
    return panels ? panels->at(position) : position;
  }
  /// A tile's part of A is copied to where its rows lie side by side: as f32,
  /// where the instructions want that; or because the rows of a group would
  /// else meet in the same few sets of the cache, a page apart.
  bool isCopied() {
    if (step == GemmStep::Select || step == GemmStep::Tiles)
      return true;
    if (!mlir::getElementTypeOrSelf(gemm.input).isF32())
      return step != GemmStep::Dot;
    return gemm.groups && target.lanes() == 8 && config.rows > tallest &&
           gemm.k() % 1024 == 0;
  }
  /// Columns of a register tile of `height` rows.
  int64_t widthOf(int64_t height) {
    if (isListed())
      return config.panel;
    if (step == GemmStep::Tiles)
      return columnsOfTiles();
    return tileVectors(config, target, height) * target.lanes();
  }
  int64_t scratchColumns() {
    return (isListed() ? 1 : panelsTogether()) * gemm.weights.size() *
           config.panel;
  }
  /// Panels that a copy of A is made for: of tiles, several items are done as
  /// one.
  int64_t panelsTogether() {
    if (step != GemmStep::Tiles)
      return config.panels;
    auto most = static_cast<int64_t>(
        (isListed() && !gemm.rowsPerGroup ? 8 : 4) / gemm.weights.size());
    if (gemm.rowsPerPanel && !takesLists())
      most = std::min(most, gemm.rowsPerPanel / config.panel);
    return std::max<int64_t>(1, most / config.panels) * config.panels;
  }
  /// Where each panel has a list of rows: may items go over several lists?
  /// Runs of panels are then all as long.
  bool takesLists() {
    return isListed() && gemm.rowsPerPanel / config.panel % config.panels == 0;
  }
  /// Lines of weights that are prefetched at a time. 256-bit vectors go over a
  /// panel in several passes of narrow columns, the first of which meets a
  /// quarter of the lines and leaves the CPU's own prefetching behind: few rows
  /// need it all the more (but one row, which is one pass). A product takes
  /// them longer, so that one line for several steps is enough.
  int64_t linesAhead(int64_t height) {
    if (config.zeros)
      return 0; // the steps that were found fetch one another
    bool isFew = config.rows <= tileHeight(config, target);
    if (path.expands)
      return config.ahead;
    if (isFew && target.lanes() == 8)
      return height == 1 ? 0 : step == GemmStep::Select ? linesOfStep() : 4;
    // The CPU's own prefetching does not see where the next group is.
    if (isFew && gemm.groups)
      return 4;
    return config.ahead;
  }
  /// Is there half a pair behind the last whole one?
  bool hasHalf() {
    return step != GemmStep::Select && gemm.k() % product->depth();
  }
  int64_t linesOfStep() {
    return llvm::divideCeil(
        product->weightStride() * gemm.getClass().weightBytes, 64);
  }
  /// Steps of `count` values along K: whole ones, if values without a step are
  /// multiplied otherwise.
  Value stepsOf(Value count) {
    int64_t depth = product->depth();
    return div(step == GemmStep::Select ? add(count, depth - 1) : count, depth);
  }
  int64_t stepsOf(int64_t count) {
    return step == GemmStep::Select ? llvm::divideCeil(count, product->depth())
                                    : count / product->depth();
  }
  Value flatten(Value memref);

  const GemmOperands &gemm;
  const GemmConfig &config;
  const CPUTarget &target;
  WeightPath path;
  GemmStep step;
  int64_t tallest; // rows of a tile, or of two of tile registers
  int64_t unroll = 1;
  mlir::VectorType accumulator;
  TileRegisters tiles;
  GemmEpilogue epilogue;
  std::optional<GemmProduct> product;
  std::optional<ExpandedPanels> expanded;
  std::optional<RunTimeSet> rows, panels, groups;
  Value panelCount, groupCount;     // kept
  mlir::SmallVector<Value> weights; // flat
  Value foundSteps, foundCount;     // of `config.zeros`
  Value input, flatInput, output, scratch, copied;
  Value nextRows;             // of listed rows: where the next 16 begin
  Value lastWeights, partial; // of tiles: the end of a panel; sums to be spread
  mlir::LogicalResult status = mlir::success();
};

} // namespace coppice::cpu

#endif // COPPICE_LIB_CODEGEN_CPU_GEMMEMITTER_H
