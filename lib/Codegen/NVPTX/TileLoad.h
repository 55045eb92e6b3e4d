//===- TileLoad.h - rows of a matrix to shared memory -----------*- C++ -*-===//
//
// In: a row-major matrix of 16-bit elements in memory of the device, which of
// its rows make up a tile, and a step along K. Out: the step's columns of these
// rows in a tile of shared memory, zeros in the place of what is not there.
//
// A thread copies the same rows in every step, and neighbouring threads copy
// neighbouring chunks of 16 bytes. How depends on how rows are aligned, which
// is known when the kernel is built: by `cp.async` of 16, 8 or 4 bytes; with
// an odd number of columns, element by element through registers, loaded before
// a step is computed (`fetch`) and stored behind it (`put`).
//
//===----------------------------------------------------------------------===//

#ifndef COPPICE_LIB_CODEGEN_NVPTX_TILELOAD_H
#define COPPICE_LIB_CODEGEN_NVPTX_TILELOAD_H

#include "KSteps.h"
#include "KernelBuilder.h"
#include "SharedTile.h"

namespace coppice::nvptx {

class TileLoad : KernelBuilder {
public:
  struct Source {
    Value matrix;      // an argument of the tensor-level kernel
    int64_t pitch;     // columns of a row
    int64_t alignment; // rows, and beginnings and ends of steps are multiples
    bool isWhole;      // no step is short

    /// A matrix of rows along K.
    static Source alongK(Value matrix, const KSteps &steps);
  };
  TileLoad(mlir::ImplicitLocOpBuilder &b, KernelShell &shell,
           const SharedTile &tile, const Source &source);

  struct Row {
    Value isThere, row; // of the matrix; a row that may be read, in any case
  };
  /// Asks for each row of the tile that this thread copies.
  void selectRows(llvm::function_ref<Row(Value ofTile)> rowAt);

  bool usesRegisters() const { return copyColumns == 1; }
  /// What is on its way through registers.
  using InFlight = llvm::SmallVector<Value>;
  /// Starts to copy. `isWanted`, if there is one, says for a row of the tile
  /// whether this step has it.
  InFlight fetch(const KSteps::Step &step, Value tileAddress,
                 llvm::function_ref<Value(Value ofTile)> isWanted = nullptr);
  void put(const InFlight &values, Value tileAddress);
  /// What `fetch` would return for zeros.
  InFlight nothing();

private:
  struct Selected {
    Value ofTile, isThere;
    Value address; // of its first element
    Value to;      // of this thread's chunk, in the tile
  };
  int64_t rowsAtOnce() const { return shell.threads / tile.chunks(); }
  /// Not all threads have a row where there are so few.
  void ifTakesPart(llvm::function_ref<void()> body);
  void startCopies(const Selected &row, Value isThere, const KSteps::Step &step,
                   Value tileAddress);
  Value loadChunk(const Selected &row, Value isThere, const KSteps::Step &step);

  SharedTile tile;
  Value matrix;
  mlir::Type element;
  int64_t pitch;
  int64_t copyColumns; // of a cp.async; 1: there is none
  bool isWhole;        // no step is short
  Value copyRow, chunk;
  llvm::SmallVector<Selected> rows;
};

} // namespace coppice::nvptx

#endif // COPPICE_LIB_CODEGEN_NVPTX_TILELOAD_H
