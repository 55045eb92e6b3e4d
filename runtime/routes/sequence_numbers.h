// The rows of a step come in, the number of each row's sequence goes out.
//
// Sequences are numbered from 0 in the order in which they begin (a row of
// position 0), those that begin in one step in the order of their slots. So a
// sequence has one number whatever slot it is fed to, in whatever pieces and
// beside whatever others: masks that are a function of it agree between prefill
// and decode, and between runs with more slots and fewer.
#ifndef COPPICE_RUNTIME_ROUTES_SEQUENCE_NUMBERS_H
#define COPPICE_RUNTIME_ROUTES_SEQUENCE_NUMBERS_H

#include <cstdint>
#include <map>
#include <span>
#include <vector>

namespace coppice::rt {

class SequenceNumbers {
public:
  /// Of each row, in order. A slot that has never begun gets a new number.
  std::vector<int32_t> assign(std::span<const int32_t> slots,
                              std::span<const int32_t> positions);
  /// The next sequence is number 0 again.
  void restart() { next = 0, bySlot.clear(); }

private:
  std::map<int32_t, int32_t> bySlot;
  int32_t next = 0;
};

} // namespace coppice::rt

#endif
