// The oracle attends by the fast program's lists of blocks: one other choice
// leaves two programs with nothing in common. What it would have chosen itself
// is compared with them first.
#ifndef COPPICE_RUNTIME_VERIFY_TAKEN_LISTS_H
#define COPPICE_RUNTIME_VERIFY_TAKEN_LISTS_H

#include <cstdint>

namespace coppice::rt {

/// Of type coppice_list_editor, for the oracle, with a Comparison as context.
void takeLists(void *context, int64_t dispatch, int32_t *data,
               const int64_t *shape, int64_t rank);

} // namespace coppice::rt

#endif
