//===- RowSet.h - the rows that a kernel goes by, on a GPU ------*- C++ -*-===//
//
// In: the input of a kernel and, perhaps, a list of its rows and their count;
// or a list and a count for each of several groups of columns. Out: the row at
// a position. Work is that of all rows: a position behind the count has none,
// so blocks of threads there end at once.
//
//===----------------------------------------------------------------------===//

#ifndef COPPICE_LIB_CODEGEN_NVPTX_ROWSET_H
#define COPPICE_LIB_CODEGEN_NVPTX_ROWSET_H

#include "KernelBuilder.h"

namespace coppice::nvptx {

/// How many groups of columns have lists of their own; 1 without lists.
inline int64_t groupsOf(mlir::Value list) {
  if (!list)
    return 1;
  auto type = mlir::cast<mlir::RankedTensorType>(list.getType());
  return type.getRank() == 2 ? type.getDimSize(0) : 1;
}

class RowSet : KernelBuilder {
public:
  /// `list` and `count` may be null: all rows of `input`.
  RowSet(mlir::ImplicitLocOpBuilder &b, KernelShell &shell, Value input,
         Value list, Value count)
      : KernelBuilder(b, shell), input(input), list(list), count(count) {}

  struct Row {
    Value isThere; // i1
    Value row;     // 0 where there is none
  };
  Row at(Value group, Value position) {
    Value rows = extentOf(input, 0);
    if (!list) {
      Value isThere = less(position, rows);
      return {isThere, select(isThere, position, i32(0))};
    }
    bool isMatrix =
        mlir::cast<mlir::RankedTensorType>(list.getType()).getRank() == 2;
    llvm::SmallVector<Value, 2> ofList, entry{position};
    if (isMatrix) {
      ofList = {group};
      entry = {group, position};
    }
    // The count may be anything of a group that there is none of.
    Value isGroup = less(group, i32(groupsOf(list)));
    Value kept = ifThen(isGroup, i32(0), [&]() -> llvm::SmallVector<Value> {
      return {loadElement(count, ofList)};
    })[0];
    Value isThere = less(position, kept);
    Value row = ifThen(isThere, i32(0), [&]() -> llvm::SmallVector<Value> {
      return {loadElement(list, entry)};
    })[0];
    return {isThere, row};
  }

private:
  Value input, list, count;
};

} // namespace coppice::nvptx

#endif // COPPICE_LIB_CODEGEN_NVPTX_ROWSET_H
