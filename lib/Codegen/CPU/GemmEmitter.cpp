//===- GemmEmitter.cpp - code of matrix products over packed panels -------===//
//
// In: what a kernel computes and how it is blocked. Out: its loops over work
// items, blocks of K and tiles, as GemmKernel.cpp says, with products in vector
// registers; the epilogue.
//
//===----------------------------------------------------------------------===//

#include "GemmEmitter.h"
#include "Strategies.h"
#include "VectorAccess.h"

using namespace mlir;

namespace coppice::cpu {

/// Of dense weights in panels as they are.
static GemmStep chooseDenseStep(const GemmOperands &gemm,
                                const GemmConfig &config,
                                const CPUTarget &target) {
  if (gemm.pack() == 1)
    return GemmStep::Single;
  if (!getElementTypeOrSelf(gemm.input).isBF16())
    return GemmStep::Pairs;
  if (target.isa == CPUTarget::ISA::AVX512_BF16)
    return GemmStep::Dot;
  // Few rows wait for memory, and would leave most of a tile empty. A step of
  // tiles is 32 values along K, all of one group.
  bool isFew = config.rows <= tileHeight(config, target);
  bool hasSteps =
      gemm.rowsPerGroup % TileRegisters::depth == 0 &&
      (!gemm.groups || gemm.groups->size % TileRegisters::depth == 0);
  bool isTiled = target.isa == CPUTarget::ISA::AMX_BF16 && !isFew && hasSteps;
  return isTiled ? GemmStep::Tiles : GemmStep::Pairs;
}

WeightPath choosePath(const GemmOperands &gemm, const GemmConfig &config,
                      const CPUTarget &target) {
  GemmStep dense = chooseDenseStep(gemm, config, target);
  // The cache has no room for long granules of a set. (A group of K that has
  // rows of its own is cut into blocks like any K.)
  bool isShort = !gemm.groups || gemm.groups->size <= 1024;
  bool isMany = config.rows > 4 * tileHeight(config, target);
  // A tile of 256-bit vectors has two of a panel: too few products to widen
  // each pair for.
  bool widens = dense == GemmStep::Pairs && target.lanes() == 8;
  WeightPath expanded{widens ? GemmStep::Single : dense, true, widens};
  if (!gemm.of)
    return widens && isMany && isShort ? expanded : WeightPath{dense};
  bool pays = config.expand == 2 ||
              (config.expand == 1 &&
               (dense == GemmStep::Dot || dense == GemmStep::Tiles));
  return pays && isShort ? expanded : WeightPath{GemmStep::Select};
}

Value GemmEmitter::flatten(Value memref) {
  ReassociationIndices all = llvm::to_vector(
      llvm::seq<int64_t>(cast<MemRefType>(memref.getType()).getRank()));
  return memref::CollapseShapeOp::create(b, memref, ArrayRef{all});
}

LogicalResult GemmEmitter::emit() {
  input = argumentOf(gemm.input);
  flatInput = flatten(input);
  for (Value weight : gemm.weights)
    weights.push_back(flatten(argumentOf(weight)));
  output = shell.arguments.back();
  // A step of pairs is as long as two.
  bool isFew = config.rows <= tileHeight(config, target);
  unroll = target.lanes() == 8 && !isFew ? 4 : config.unroll;
  if (step == GemmStep::Pairs)
    unroll = llvm::divideCeil(unroll, 2);
  if (step == GemmStep::Select)
    unroll = 1;
  Type stored = getElementTypeOrSelf(gemm.weights.front());
  std::optional<rt::NMLayout> layout = gemm.getNMLayout(config.panel);
  product.emplace(
      b, shell,
      GemmProduct::Options{step, path.widens ? Type(b.getF32Type()) : stored,
                           target.lanes(), config.panel, unroll,
                           /*fetchesEachStep=*/target.lanes() == 16 || isFew,
                           layout});
  if (path.expands)
    expanded.emplace(
        b, shell,
        ExpandedPanels::Options{
            stored, layout, path.widens, config.panel, target.lanes(),
            panelsTogether() * static_cast<int64_t>(gemm.weights.size()),
            gemm.groups ? groupsOfBlock() * gemm.groups->size : depthOfBlock(),
            cast<MemRefType>(weights.front().getType()).getElementType()});
  bool isTiled = step == GemmStep::Tiles;
  int64_t scratchRows = isOneBlock() ? tallest : config.rows;
  if (isTiled)
    scratchRows = static_cast<int64_t>(llvm::alignTo(scratchRows, tallest));
  if (isListed())
    scratchRows = panelsTogether() * listedRows();
  scratch = onStack({scratchRows, scratchColumns()}, b.getF32Type());
  if (isListed()) {
    copied = onStack({depthOfBlock() / TileRegisters::depth * kCopiedTile},
                     b.getI16Type());
    nextRows = onStack({TileRegisters::rows}, b.getIndexType());
  } else if (isCopied())
    copied = flatten(onStack({tallest, copyPitch()},
                             isTiled ? Type(b.getI16Type()) : b.getF32Type()));
  if (isTiled)
    lastWeights =
        onStack({TileRegisters::depth * config.panel}, b.getI16Type());
  if (isTiled && gemm.rowsPerGroup)
    partial = onStack({isListed() ? TileRegisters::rows * config.panel
                                  : tallest * columnsOfTiles()},
                      b.getF32Type());
  product->setInput(isCopied() ? copied : flatInput);
  if (config.zeros)
    foundSteps =
        onStack({std::max<int64_t>(1, stepsOf(gemm.k())) + 1}, b.getI32Type());

  emitItems();
  return status;
}

void GemmEmitter::emitItems() {
  Value extent = memref::DimOp::create(b, argumentOf(gemm.rowsOfWork()), 0);
  Value begin = shell.begin, end = shell.end, count = extent;
  panelCount = index(panelsOfAll());
  if (gemm.rows)
    rows.emplace(b, shell, gemm.rows->list, gemm.rows->count, 1, 1);
  if (gemm.rowsPerPanel)
    return emitItemsOfPanels(extent);
  bool hasRowSet = rows && !gemm.rowsPerGroup;
  if (hasRowSet)
    count = rows->count();
  if (gemm.panels) {
    panels.emplace(b, shell, gemm.panels->list, gemm.panels->count,
                   gemm.panels->size / config.panel, panelsOfAll());
    panelCount = panels->count();
  }
  if (gemm.groups) {
    groups.emplace(b, shell, gemm.groups->list, gemm.groups->count, 1, 1);
    groupCount = groups->count();
  }
  auto blocksOf = [&](Value rows) {
    return div(add(rows, config.rows - 1), config.rows);
  };
  auto runsOf = [&](Value panels) {
    return div(add(panels, config.panels - 1), config.panels);
  };
  Value blocks = blocksOf(count), runs = runsOf(panelCount);
  if (hasRowSet || panels) {
    // The grid is that of everything: an item is its share of what is kept.
    Value kept = arith::MulIOp::create(b, blocks, runs);
    Value all =
        mul(blocksOf(extent), llvm::divideCeil(panelsOfAll(), config.panels));
    begin = portionOf(begin, kept, all);
    end = portionOf(end, kept, all);
  }
  // Panels are innermost: consecutive items share their rows of A.
  auto emitFrom = [&](Value number, Value most) {
    Value block = arith::DivUIOp::create(b, number, runs);
    auto bound = [&](Value block) -> Value {
      return arith::DivUIOp::create(b, arith::MulIOp::create(b, block, count),
                                    blocks);
    };
    Item item;
    item.first = bound(block);
    item.count = sub(bound(add(block, 1)), item.first);
    item.panel = mul(arith::RemUIOp::create(b, number, runs), config.panels);
    item.panelCount = min(sub(panelCount, item.panel), most);
    emitItem(item);
  };
  forItems(
      begin, end,
      [&](Value number) {
        return sub(runs, arith::RemUIOp::create(b, number, runs));
      },
      [&](Value number, Value taken) {
        emitFrom(number, mul(taken, config.panels));
      });
}

/// Builds `body` around work items, those that can be done as one at a time:
/// not more than `leftOf` says of the first.
void GemmEmitter::forItems(Value begin, Value end,
                           llvm::function_ref<Value(Value)> leftOf,
                           llvm::function_ref<void(Value, Value)> body) {
  int64_t together = panelsTogether() / config.panels;
  if (together <= 1) {
    loop(begin, end, 1, [&](Value number) { body(number, index(1)); });
    return;
  }
  Type type = b.getIndexType();
  auto walk = scf::WhileOp::create(b, TypeRange{type}, ValueRange{begin});
  OpBuilder::InsertionGuard guard(b);
  mlir::Block *before =
      b.createBlock(&walk.getBefore(), {}, {type}, {b.getLoc()});
  scf::ConditionOp::create(b,
                           arith::CmpIOp::create(b, arith::CmpIPredicate::slt,
                                                 before->getArgument(0), end),
                           before->getArguments());
  mlir::Block *after =
      b.createBlock(&walk.getAfter(), {}, {type}, {b.getLoc()});
  Value number = after->getArgument(0);
  Value taken = min(min(leftOf(number), sub(end, number)), index(together));
  body(number, taken);
  scf::YieldOp::create(b, ValueRange{add(number, taken)});
}

/// Items where each panel has rows of its own: as many blocks as all rows would
/// be, of which those are empty that a list does not fill. A run of panels is
/// of one list.
void GemmEmitter::emitItemsOfPanels(Value extent) {
  int64_t ofList = gemm.rowsPerPanel / config.panel,
          runs = llvm::divideCeil(ofList, config.panels);
  auto emitFrom = [&](Value number, Value taken) {
    Value run = rem(number, rows->lists() * runs), list = div(run, runs);
    rows->select(list);
    Item item;
    item.block = div(number, rows->lists() * runs);
    std::tie(item.first, item.count) = shareOfList(item.block);
    Value within = mul(rem(run, runs), config.panels);
    item.panel = add(mul(list, ofList), within);
    Value left = sub(index(panelsOfAll()), item.panel);
    if (!takesLists())
      left = min(left, sub(index(ofList), within));
    item.panelCount = min(left, mul(taken, config.panels));
    Value isThere = arith::AndIOp::create(
        b,
        arith::CmpIOp::create(b, arith::CmpIPredicate::sgt,
                              takesLists() ? index(1) : item.count, index(0)),
        arith::CmpIOp::create(b, arith::CmpIPredicate::sgt, item.panelCount,
                              index(0)));
    auto branch = scf::IfOp::create(b, isThere);
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPointToStart(branch.thenBlock());
    emitItem(item);
  };
  forItems(
      shell.begin, shell.end,
      [&](Value number) {
        int64_t together = takesLists() ? runs * rows->lists() : runs;
        return sub(index(together), rem(number, together));
      },
      emitFrom);
}

/// First position and count of a block's share of the selected list.
std::pair<Value, Value> GemmEmitter::shareOfList(Value block) {
  Value count = rows->count();
  Value blocks = div(add(count, config.rows - 1), config.rows);
  auto bound = [&](Value block) -> Value {
    return arith::DivUIOp::create(
        b, arith::MulIOp::create(b, min(block, blocks), count),
        max(blocks, index(1)));
  };
  Value first = bound(block);
  return {first, sub(bound(add(block, 1)), first)};
}

/// The groups of K in their order, each over those rows of the item that are in
/// its list.
void GemmEmitter::emitGroupsOfRows(const Item &item) {
  int64_t size = gemm.rowsPerGroup;
  loop(index(0), index(rows->lists()), 1, [&](Value group) {
    rows->select(group);
    Value first = rows->lowerBound(item.first);
    Value count = sub(rows->lowerBound(add(item.first, item.count)), first);
    auto any =
        scf::IfOp::create(b, arith::CmpIOp::create(b, arith::CmpIPredicate::sgt,
                                                   count, index(0)));
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPointToStart(any.thenBlock());
    Value begin = mul(group, size);
    Value end = min(add(begin, size), index(gemm.k()));
    loop(begin, end, depthOfBlock(), [&](Value from) {
      emitBlock(item, {from, min(add(from, depthOfBlock()), end), first, count,
                       item.first});
    });
  });
}

void GemmEmitter::emitItem(const Item &item) {
  if (isListed() && !gemm.rowsPerGroup)
    return emitListedItem(item);
  Value all = keptAlongK();
  if (isOneBlock())
    return emitBlock(item, {index(0), all});

  Value zero = zeros(accumulator);
  auto clear = [&](Value first) {
    loop(first, add(first, item.count), 1, [&](Value row) {
      loop(index(0), index(scratchColumns()), target.lanes(),
           [&](Value column) {
             vector::StoreOp::create(b, zero, scratch, ValueRange{row, column});
           });
    });
  };
  if (isListed())
    loop(index(0), item.panelCount, 1,
         [&](Value local) { clear(mul(local, listedRows())); });
  else
    clear(index(0));
  if (gemm.rowsPerGroup) {
    emitGroupsOfRows(item);
    if (isListed())
      return emitListedEpilogue(item);
    return emitEpilogue(item, index(0), item.count);
  }
  loop(index(0), all, unitsOfBlock(), [&](Value from) {
    Value to = add(from, unitsOfBlock());
    if (gemm.groups || gemm.k() % unitsOfBlock())
      to = min(to, all);
    emitBlock(item, {from, to});
  });
  emitEpilogue(item, index(0), item.count);
}

/// Tiles of two heights, one apart, whose rows add up: the taller ones first.
void GemmEmitter::emitBlock(const Item &whole, const Block &block) {
  Item item = whole;
  if (block.first) {
    item.first = block.first;
    item.count = block.count;
  }
  if (isListed())
    return emitListedBlock(item, block);
  if (path.expands)
    expandBlock(item, block);
  if (step == GemmStep::Tiles)
    return emitTiles(item, block);
  int64_t most = tallest;
  Value tiles = max(div(add(item.count, most - 1), most), index(1));
  Value low = arith::DivUIOp::create(b, item.count, tiles);
  Value taller = arith::RemUIOp::create(b, item.count, tiles);
  // With at least half a tile of rows, no tile has less; nor has an item less
  // than half of what items have at most.
  // (A set of rows has any number of them.)
  int64_t least =
      gemm.rows
          ? 1
          : std::min({config.least, (most + 1) / 2, (config.rows + 1) / 2});
  loop(index(0), tiles, 1, index(0), [&](Value tile, ValueRange carried) {
    Value row = carried.front();
    Value isTaller =
        arith::CmpIOp::create(b, arith::CmpIPredicate::ult, tile, taller);
    Value height = arith::SelectOp::create(b, isTaller, add(low, 1), low);
    if (isCopied())
      copyInput(height, item, block, row);
    if (config.zeros)
      findSteps(item, row, height);
    auto heights = llvm::to_vector(llvm::seq(least, most));
    auto choice = scf::IndexSwitchOp::create(b, TypeRange(), height, heights,
                                             heights.size());
    auto emitCase = [&](Region &region, int64_t height) {
      OpBuilder::InsertionGuard guard(b);
      b.createBlock(&region);
      emitTile(height, item, block, row);
      scf::YieldOp::create(b);
    };
    emitCase(choice.getDefaultRegion(), most);
    for (auto [number, region] : llvm::enumerate(choice.getCaseRegions()))
      emitCase(region, heights[number]);
    if (isOneBlock())
      emitEpilogue(item, row, height);
    return SmallVector<Value>{add(row, height)};
  });
}

/// Makes the block's part of all panels of an item dense.
void GemmEmitter::expandBlock(const Item &item, const Block &block) {
  auto stepsOfStored = [&](Value count) {
    return div(add(count, storedColumns() - 1), storedColumns());
  };
  loop(index(0), item.panelCount, 1, [&](Value local) {
    Value start =
        mul(panelAt(add(item.panel, local)), elementsAlongK(gemm.k()));
    for (auto [number, weight] : llvm::enumerate(weights)) {
      Value slot = add(mul(local, weights.size()), number);
      if (!gemm.groups) {
        expanded->expand(weight, add(start, elementsAlongK(block.from)),
                         stepsOfStored(sub(block.to, block.from)), slot,
                         index(0));
        continue;
      }
      int64_t size = gemm.groups->size;
      loop(block.from, block.to, 1, [&](Value position) {
        Value from = mul(groups->at(position), size);
        Value count = min(index(size), sub(index(gemm.k()), from));
        expanded->expand(weight, add(start, elementsAlongK(from)),
                         stepsOfStored(count), slot,
                         mul(sub(position, block.from), size));
      });
    }
  });
}

/// Rows [row, row + height) of an item by its panels, over a block of K: the
/// part of a tile that is compiled for each height.
void GemmEmitter::emitTile(int64_t height, const Item &item, const Block &block,
                           Value row) {
  GemmProduct::Operands operands;
  for (int64_t r = 0; r < height; ++r) {
    Value first = index(r * copyPitch());
    if (!isCopied()) {
      first = mul(rowOfInput(add(add(item.first, row), r)), gemm.k());
      if (!gemm.groups)
        first = add(first, block.from);
    }
    operands.rows.push_back(first);
  }

  int64_t width = widthOf(height);
  SmallVector<Value> scratchRows;
  for (int64_t r = 0; r < height; ++r)
    scratchRows.push_back(
        block.first
            ? sub(rows->at(add(add(item.first, row), r)), block.firstOfItem)
            : add(isOneBlock() ? index(0) : row, r));
  loop(index(0), item.panelCount, 1, [&](Value local) {
    for (size_t number = 0; number < weights.size(); ++number) {
      Value scratchColumn =
          add(mul(local, weights.size() * config.panel), number * config.panel);
      setWeights(operands, item, block, local, number);
      loop(index(0), index(config.panel), width, [&](Value column) {
        operands.column = column;
        operands.lines = linesAhead(height);
        Ahead ahead{row, item.count, height, column};
        if (operands.lines && !gemm.groups)
          setAhead(operands, ahead, distanceToNext(item, block, local),
                   bytesAlongK(sub(block.to, block.from)));
        emitColumns(block, operands, ahead, scratchRows,
                    add(scratchColumn, column));
      });
    }
  });
}

/// Where weight `number` of panel `local` of an item has its part of a block.
void GemmEmitter::setWeights(GemmProduct::Operands &operands, const Item &item,
                             const Block &block, Value local, size_t number) {
  Value panel = mul(panelAt(add(item.panel, local)), elementsAlongK(gemm.k()));
  operands.weights = operands.fetched = weights[number];
  operands.first = operands.fetchedFirst =
      gemm.groups ? panel : add(panel, elementsAlongK(block.from));
  if (path.expands) {
    operands.weights = expanded->memory();
    operands.first = expanded->firstOf(add(mul(local, weights.size()), number));
  }
}

/// Elements of a panel's part of `count` values along K, as stored.
Value GemmEmitter::elementsAlongK(Value count) {
  return mul(div(add(count, storedColumns() - 1), storedColumns()),
             storedElements());
}
int64_t GemmEmitter::elementsAlongK(int64_t count) {
  return llvm::divideCeil(count, storedColumns()) * storedElements();
}

Value GemmEmitter::bytesAlongK(Value count) {
  return mul(elementsAlongK(count), gemm.getClass().weightBytes);
}

/// Bytes from a block's part of a panel to what is used next: the next block's
/// part, or the next panel, which mostly is the next item's. Both follow in
/// memory, unless there is a set of panels.
Value GemmEmitter::distanceToNext(const Item &item, const Block &block,
                                  Value local) {
  if (isListed())
    return distanceOfListed(item, block, local);
  Value size = bytesAlongK(sub(block.to, block.from));
  if (!panels)
    return size;
  Value position = add(item.panel, local);
  Value next = min(add(position, 1), sub(panelCount, index(1)));
  Value toPanel = arith::MulIOp::create(
      b, sub(panelAt(next), panelAt(position)), bytesAlongK(index(gemm.k())));
  toPanel = sub(toPanel, bytesAlongK(block.from));
  Value isLast = arith::CmpIOp::create(b, arith::CmpIPredicate::eq, block.to,
                                       index(gemm.k()));
  return arith::SelectOp::create(b, isLast, toPanel, size);
}

/// The same where a block goes over all panels of an item.
Value GemmEmitter::distanceOfListed(const Item &item, const Block &block,
                                    Value local) {
  auto isEqual = [&](Value x, Value y) -> Value {
    return arith::CmpIOp::create(b, arith::CmpIPredicate::eq, x, y);
  };
  Value next = add(local, 1);
  Value isLast = isEqual(next, item.panelCount),
        isEnd = isEqual(block.to, index(gemm.k()));
  Value toPanel = arith::SelectOp::create(
      b,
      arith::AndIOp::create(b, isLast,
                            arith::CmpIOp::create(b, arith::CmpIPredicate::ne,
                                                  block.to, index(gemm.k()))),
      index(0), next);
  Value to = arith::SelectOp::create(
      b, isLast, arith::SelectOp::create(b, isEnd, index(0), block.to),
      block.from);
  Value position = min(add(item.panel, toPanel), sub(panelCount, index(1)));
  Value ofPanels = arith::MulIOp::create(
      b, sub(panelAt(position), panelAt(add(item.panel, local))),
      bytesAlongK(index(gemm.k())));
  return add(ofPanels, sub(bytesAlongK(to), bytesAlongK(block.from)));
}

/// While a part of a panel is used, another of `size` bytes is fetched, which
/// lies `distance` bytes behind it. Each tile fetches its share of it, so that
/// memory is busy all the time and not only during the first tile.
void GemmEmitter::setAhead(GemmProduct::Operands &operands, const Ahead &ahead,
                           Value distance, Value size) {
  int64_t width = widthOf(ahead.height);
  int64_t passes = config.panel / width; // of a tile over the panel
  int64_t bytes = gemm.getClass().weightBytes;
  Value done =
      add(mul(ahead.row, passes), mul(div(ahead.column, width), ahead.height));
  Value all = mul(ahead.count, passes);
  Value share =
      arith::DivUIOp::create(b, arith::MulIOp::create(b, size, done), all);
  operands.ahead = add(distance, share);
  operands.aheadStride =
      arith::DivUIOp::create(b,
                             index(storedElements() * product->depth() * bytes *
                                   ahead.height / storedColumns()),
                             all);
}

void GemmEmitter::emitColumns(const Block &block,
                              const GemmProduct::Operands &operands,
                              const Ahead &ahead, ValueRange scratchRows,
                              Value scratchColumn) {
  int64_t height = ahead.height;
  int64_t vectors = tileVectors(config, target, height);
  auto at = [&](int64_t r, int64_t v) {
    return SmallVector<Value>{scratchRows[r],
                              add(scratchColumn, v * target.lanes())};
  };
  SmallVector<Value> sums;
  for (int64_t r = 0; r < height; ++r)
    for (int64_t v = 0; v < vectors; ++v)
      sums.push_back(isOneBlock() ? zeros(accumulator)
                                  : vector::LoadOp::create(b, accumulator,
                                                           scratch, at(r, v)));
  if (config.zeros)
    multiplyFound(sums, block, operands);
  else if (groups)
    multiplyGroups(sums, block, operands, ahead);
  else
    multiplyBlock(sums, block, operands);
  for (int64_t r = 0; r < height; ++r)
    for (int64_t v = 0; v < vectors; ++v)
      vector::StoreOp::create(b, sums[r * vectors + v], scratch, at(r, v));
}

/// The steps that were found, each while one further on is fetched.
void GemmEmitter::multiplyFound(SmallVector<Value> &sums, const Block &block,
                                const GemmProduct::Operands &operands) {
  constexpr int64_t kStepsAhead = 12;
  GemmProduct::Operands here = operands;
  here.lines = linesOfStep();
  here.ahead = index(0);
  here.aheadStride =
      index(product->weightStride() * gemm.getClass().weightBytes);
  auto stepAt = [&](Value position) {
    return arith::IndexCastUIOp::create(
        b, b.getIndexType(), memref::LoadOp::create(b, foundSteps, position));
  };
  Value last = sub(foundCount, index(1));
  sums = llvm::to_vector(loop(
      index(0), foundCount, 1, sums, [&](Value position, ValueRange carried) {
        product->fetchStep(here, stepAt(min(add(position, kStepsAhead), last)));
        return product->runStep(carried, here, stepAt(position));
      }));
  if (hasHalf())
    multiplyHalf(sums, operands, index(stepsOf(gemm.k())), block.to);
}

void GemmEmitter::multiplyBlock(SmallVector<Value> &sums, const Block &block,
                                const GemmProduct::Operands &operands) {
  int64_t stepsOfBlock = depthOfBlock() / product->depth();
  int64_t all = stepsOf(gemm.k());
  Value steps = isOneBlock() ? index(all)
                : !isEven()  ? stepsOf(sub(block.to, block.from))
                             : index(stepsOfBlock);
  bool isMultiple = all % unroll == 0 &&
                    (isOneBlock() || (isEven() && stepsOfBlock % unroll == 0));
  sums = product->run(sums, operands, steps, isMultiple);
  if (hasHalf())
    multiplyHalf(sums, operands, steps, block.to);
}

/// The half pair of an odd K, if the steps before it end there.
void GemmEmitter::multiplyHalf(SmallVector<Value> &sums,
                               const GemmProduct::Operands &operands,
                               Value steps, Value to) {
  Value isLast =
      arith::CmpIOp::create(b, arith::CmpIPredicate::eq, to, index(gemm.k()));
  auto branch = scf::IfOp::create(b, TypeRange(ValueRange(sums)), isLast,
                                  /*withElseRegion=*/true);
  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPointToStart(branch.thenBlock());
  SmallVector<Value> last = product->runHalf(sums, operands, steps);
  scf::YieldOp::create(b, last);
  b.setInsertionPointToStart(branch.elseBlock());
  scf::YieldOp::create(b, sums);
  sums = llvm::to_vector_of<Value>(branch.getResults());
}

/// The groups of a block one after the other, each while the next is fetched.
void GemmEmitter::multiplyGroups(SmallVector<Value> &sums, const Block &block,
                                 const GemmProduct::Operands &operands,
                                 const Ahead &ahead) {
  int64_t size = gemm.groups->size, depth = product->depth();
  bool isWhole = gemm.k() % size == 0;
  ValueRange all =
      loop(block.from, block.to, 1, sums, [&](Value position, ValueRange sums) {
        Value from = mul(groups->at(position), size);
        Value to = add(from, size);
        if (!isWhole)
          to = min(to, index(gemm.k()));
        GemmProduct::Operands here = operands;
        Value fromOfBlock = mul(sub(position, block.from), size);
        for (Value &row : here.rows)
          row = add(row, isCopied() ? fromOfBlock : from);
        here.fetchedFirst = add(operands.fetchedFirst, elementsAlongK(from));
        here.first = path.expands
                         ? add(operands.first, mul(fromOfBlock, config.panel))
                         : here.fetchedFirst;
        if (here.lines) {
          // What is expanded has been fetched for the whole block.
          Value next = add(position, path.expands ? groupsOfBlock() : 1);
          next = min(next, sub(groupCount, index(1)));
          Value distance = bytesAlongK(
              mul(sub(groups->at(next), groups->at(position)), size));
          setAhead(here, ahead, distance, bytesAlongK(index(size)));
        }
        Value steps = isWhole ? index(size / depth) : stepsOf(sub(to, from));
        SmallVector<Value> more = product->run(
            sums, here, steps, isWhole && size / depth % unroll == 0);
        if (hasHalf())
          multiplyHalf(more, here, steps, to);
        return more;
      });
  sums = llvm::to_vector(all);
}

/// Rows [row, row + count) of an item, of all its panels.
void GemmEmitter::emitEpilogue(const Item &item, Value row, Value count) {
  loop(index(0), item.panelCount, 1, [&](Value local) {
    emitEpilogueOfPanel(item, local, isOneBlock() ? index(0) : row,
                        mul(local, weights.size() * config.panel), row, count);
  });
}

void GemmEmitter::emitEpilogueOfPanel(const Item &item, Value local,
                                      Value scratchRow, Value scratchColumn,
                                      Value row, Value count) {
  int64_t last = gemm.n() / config.panel; // the one that is not full
  Value panel = panelAt(add(item.panel, local));
  auto rows = [&](bool masked) {
    loop(index(0), count, 1, [&](Value at) {
      emitEpilogueRow(panel, add(scratchRow, at), scratchColumn,
                      rowOfResult(add(item.first, add(row, at))), masked);
    });
  };
  if (gemm.n() % config.panel == 0)
    return rows(false);
  Value isLast =
      arith::CmpIOp::create(b, arith::CmpIPredicate::eq, panel, index(last));
  auto branch = scf::IfOp::create(b, TypeRange(), isLast, true);
  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPointToStart(branch.thenBlock());
  rows(true);
  b.setInsertionPointToStart(branch.elseBlock());
  rows(false);
}

void GemmEmitter::emitEpilogueRow(Value panel, Value scratchRow,
                                  Value scratchColumn, Value row, bool masked) {
  Value base = mul(panel, config.panel);
  for (int64_t offset = 0; offset < config.panel; offset += target.lanes()) {
    Value column = add(base, offset), mask;
    if (masked)
      mask = vector::CreateMaskOp::create(
          b, VectorType::get(target.lanes(), b.getI1Type()),
          max(sub(index(gemm.n()), column), index(0)));
    SmallVector<Value> sums;
    for (size_t number = 0; number < weights.size(); ++number)
      sums.push_back(vector::LoadOp::create(
          b, accumulator, scratch,
          ValueRange{scratchRow,
                     add(scratchColumn, number * config.panel + offset)}));
    FailureOr<Value> value = epilogue.emit(sums, row, column, mask);
    if (failed(value)) {
      status = failure();
      return;
    }
    storeVector(b, *value, output, {row, column}, mask);
  }
}

} // namespace coppice::cpu
