// A weight with N of M elements along K that are not zero, as kernels read it
// (docs/bundle.md, "Packing"): the elements that are kept, and where in their
// group each was.
//
// K is cut into steps of a few groups; a step of a panel holds the `kept`
// elements of each of its columns, then a few bits for each of those. A step
// and a panel of it, with 2 of 4, 64 columns, bf16 (pairs lie side by side):
//
//   values     [kept / depth][panel][depth]   64 x 2 elements
//   positions  [words] of 32 bits             8 words
//
// The positions of column c are `kept * positionBits` bits, those of the first
// kept element lowest. They lie so that one vector of eight words serves as
// many vectors of eight columns as fit: word `c / 8 / share * 8 + c % 8`, from
// bit `c / 8 % share * kept * positionBits` on.
//
// Tensor cores take 2 of 4 of 16 bits in an order of their own (PTX ISA,
// "Sparse matrix storage" and "Matrix fragments for mma.sp.m16n8k32"). A step
// is 64 values along K, and the panel's 16 columns have places: column c has
// place `c % 2 * 8 + c / 2`, so that a thread's two results are neighbours.
//
//   values     [16 places][32]
//   positions  [k / 32][place % 8][k / 16 % 2][place / 8]  16 bits each
//
// Each 16 bits are of four groups, of each the position of the first element
// and of the second, which is larger: zeros fill groups that have fewer.
#ifndef COPPICE_RUNTIME_BASE_NM_LAYOUT_H
#define COPPICE_RUNTIME_BASE_NM_LAYOUT_H

#include <cstddef>
#include <cstdint>
#include <optional>

namespace coppice::rt {

class NMLayout {
public:
  // Columns, and words of positions, of a vector; and what a word is.
  static constexpr int64_t vectorColumns = 8, wordBits = 32, wordBytes = 4;
  static constexpr int64_t bitsOfPosition = 2; // 0 to 3: groups are four

  // What tensor cores read.
  static constexpr int64_t tensorPanel = 16, tensorDepth = 32, tensorStep = 64;

  // Nothing where no kernel reads the pattern: it takes 1 or 2 of 4 (1 of 2 is
  // 2 of 4). `panel`: a multiple of 8; `depth`: kept elements that lie side by
  // side, 1 or 2; `elementBytes`: 2 or 4. Or, for tensor cores, `tensorPanel`,
  // `tensorDepth` and 2; what keeps 1 of 4 is 2 of 4 there.
  static std::optional<NMLayout> make(int64_t kept, int64_t of, int64_t panel,
                                      int64_t depth, int64_t elementBytes);

  int64_t groupSize() const { return of; }      // values along K
  int64_t keptOfGroup() const { return n; }     // of them
  int64_t stepColumns() const { return steps; } // values along K of a step
  int64_t keptOfStep() const { return steps / of * n; }
  int64_t positionBits() const { return bitsOfPosition; }
  // Vectors of columns that share a vector of words.
  int64_t share() const;
  // Elements of a panel's step: of the values, and of all.
  int64_t valueElements() const { return panel * keptOfStep(); }
  int64_t stepElements() const;
  int64_t panelColumns() const { return panel; }

  bool isForTensorCores() const { return depth == tensorDepth; }

  // Stores row `row` of the weight: `elements` are its `k` values, dense. Rows
  // of one panel are stored one after the other, the first one first, into
  // memory that was zero.
  // False, with the row stored in part, if a group has too many that are not
  // zero.
  bool packRow(const void *elements, int64_t k, int64_t row,
               void *packed) const;

private:
  NMLayout() = default;
  int64_t n = 0, of = 0, panel = 0, depth = 1, elementBytes = 4, steps = 0;
};

} // namespace coppice::rt

#endif
