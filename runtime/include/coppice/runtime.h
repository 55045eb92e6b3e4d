/* Coppice runtime: the C ABI.
 *
 * Opens a bundle (docs/bundle.md), makes a session with KV cache and arena,
 * runs steps. Links neither LLVM nor CUDA. Handles are not thread-safe; use one
 * session per thread, sessions may share a bundle.
 *
 * Every function that can fail returns a status; COPPICE_OK is 0. The message
 * of the last failure on the calling thread is coppice_last_error(). User input
 * (files, flags, token ids) never aborts the process.
 */
#ifndef COPPICE_RUNTIME_H
#define COPPICE_RUNTIME_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef enum coppice_status {
  COPPICE_OK = 0,
  COPPICE_INVALID_ARGUMENT = 1, /* a value out of range; the message names it */
  COPPICE_INVALID_FILE = 2, /* damaged, truncated, wrong schema, wrong hash */
  COPPICE_IO_ERROR = 3, /* the system refused; the message has errno's text */
  COPPICE_UNSUPPORTED = 4, /* sound, but not on this machine (ISA, device) */
  COPPICE_OUT_OF_MEMORY = 5,
  COPPICE_INTERNAL = 6 /* a defect in Coppice */
} coppice_status;

/* Message of the last failure on this thread; never NULL. Valid until the next
 * call on this thread. */
const char *coppice_last_error(void);

/* "0.1.0" */
const char *coppice_version(void);

typedef struct coppice_bundle coppice_bundle;
typedef struct coppice_session coppice_session;

/* Structures that a caller fills start with struct_size, which tells the fields
 * that the caller knows: those behind it count as 0. */

/* Reads and checks program.json and the headers of weights. Loads no code. */
coppice_status coppice_bundle_open(const char *path, coppice_bundle **out);
/* Sessions that are open keep what they need; NULL is allowed. */
void coppice_bundle_close(coppice_bundle *bundle);

/* program.json's text, NUL-terminated; owned by the bundle. */
const char *coppice_bundle_program_json(const coppice_bundle *bundle);

typedef struct coppice_session_options {
  size_t struct_size;    /* sizeof(coppice_session_options) */
  const char *target;    /* NULL: the first target that this machine can run */
  int32_t threads;       /* 0: as many as this process may use */
  int64_t max_rows;      /* rows in one step; 0: the bundle's limit */
  int64_t slots;         /* sequences; 0: the bundle's limit */
  int64_t context;       /* tokens per slot; 0: the bundle's limit */
  int32_t allow_nan;     /* 0: weights with NaN or Inf are refused */
  int64_t max_head_rows; /* head rows in one step; 0: max_rows. Logits take most
                            of a small model's arena. */
  int32_t pin; /* not 0: each thread, the caller's included, is bound to a CPU
                  of its own of the affinity mask while the session lives; an
                  error where there are fewer CPUs than threads */
  const char *isa; /* NULL: any; else the target's instruction set */
} coppice_session_options;

/* Checks the target's hash and ISA, loads its code, maps or generates weights,
 * allocates states and arena. `options` may be NULL: all defaults. */
coppice_status coppice_session_create(coppice_bundle *bundle,
                                      const coppice_session_options *options,
                                      coppice_session **out);
void coppice_session_destroy(coppice_session *session);

/* What a session was made with, defaults resolved. `target` is owned by the
 * session. */
typedef struct coppice_session_info {
  size_t struct_size;
  const char *target;
  int32_t threads;
  int64_t max_rows, max_head_rows, slots, context;
  const char *isa; /* the target's; "" if it has none. Owned by the session. */
} coppice_session_info;

coppice_status coppice_session_describe(const coppice_session *session,
                                        coppice_session_info *out);

typedef struct coppice_memory {
  size_t struct_size;
  int64_t weight_bytes, state_bytes, arena_bytes, step_bytes;
} coppice_memory;

/* What a session with these options would take; loads nothing. */
coppice_status coppice_bundle_memory(const coppice_bundle *bundle,
                                     const coppice_session_options *options,
                                     coppice_memory *out);

/* One step: any mix of prefill and decode rows. Row r feeds token tokens[r] of
 * the sequence in slot slots[r] at position positions[r]; it attends to
 * positions [0, positions[r]] of that slot. Rows of one slot are in ascending,
 * contiguous positions, and continue what the slot holds (position 0 starts it
 * afresh). logits: [head_row_count, vocabulary] f32, for the rows listed in
 * head_rows; may be NULL when head_row_count is 0. Nothing changes when the
 * step is refused. */
typedef struct coppice_step {
  size_t struct_size;
  int64_t row_count;
  const int32_t *tokens, *slots, *positions;
  int64_t head_row_count;
  const int32_t *head_rows;
  const int8_t *routes; /* [row_count, route columns]: -1 leaves the decision to
                           the router, 0 passes the row over, 1 computes it.
                           NULL: the routers decide all */
} coppice_step;

coppice_status coppice_session_step(coppice_session *session,
                                    const coppice_step *step, float *logits);

/* Columns of coppice_step's routes; 0: the program takes no decisions. */
int64_t coppice_session_route_columns(const coppice_session *session);

/* What decides, row by row, whether a sublayer computes a row. `name` is owned
 * by the session. */
typedef struct coppice_route {
  size_t struct_size;
  const char *name;
  int64_t column;  /* its first in coppice_step's routes */
  int64_t groups;  /* so many columns */
  double expected; /* share of computed rows that predictions assume */
} coppice_route;

/* Routes [0, count) of the program; an oracle has columns, but lists none. */
int64_t coppice_session_route_count(const coppice_session *session);
coppice_status coppice_session_route(const coppice_session *session,
                                     int64_t index, coppice_route *out);

/* What a route decided in the last step: mask gets [row_count of that step,
 * groups], 1 for a row that was computed, 0 for one that was passed over. There
 * must have been a step, it must not have failed, and the route's decision must
 * not have been switched off in it. */
coppice_status coppice_session_read_route(coppice_session *session,
                                          int64_t index, int8_t *mask);

/* Puts what steps have touched out of the caches of the session's device, and
 * waits for that; `flushed` is 0, and nothing is done, where these are the
 * host's. */
coppice_status coppice_session_flush_caches(coppice_session *session,
                                            int32_t *flushed);

/* Forgets a slot's tokens (slot < 0: all slots). */
coppice_status coppice_session_reset(coppice_session *session, int32_t slot);

/* Forgets all but the first `length` tokens of a slot: the slot's next row has
 * position `length`. More tokens than the slot holds is an invalid argument. */
coppice_status coppice_session_rewind(coppice_session *session, int32_t slot,
                                      int64_t length);

/* Switches the dispatches of a group ("layers.3.mlp") on or off. A group that
 * no dispatch has is an invalid argument. While a group that keeps a state (a
 * KV cache) is off, its state does not get the tokens that are fed: when it is
 * switched on again, slots that were fed meanwhile are forgotten. */
coppice_status coppice_session_enable(coppice_session *session,
                                      const char *group, int32_t enabled);

/* Called after each dispatch of a step while set: index into program.json's
 * dispatches, wall time of the dispatch in seconds, and its first written
 * argument as f32 (NULL for states), whose extents are in shape[0..rank). Data
 * and shape are valid during the call. Dispatches that are switched off are not
 * reported. The observer must not call into the session. */
typedef void (*coppice_observer)(void *context, int64_t dispatch,
                                 double seconds, const float *data,
                                 const int64_t *shape, int64_t rank);
void coppice_session_observe(coppice_session *session,
                             coppice_observer observer, void *context);

/* Called after each dispatch of a step while set, if what it writes first is a
 * buffer of i32, such as the lists of blocks that attention is to read: `data`
 * are its elements, of the extents shape[0..rank), and what the editor leaves
 * there is what the rest of the step reads. So choices can be recorded and
 * replayed. Nothing checks what it leaves, and kernels may rely on it. The
 * editor must not call into the session. */
typedef void (*coppice_list_editor)(void *context, int64_t dispatch,
                                    int32_t *data, const int64_t *shape,
                                    int64_t rank);
void coppice_session_edit_lists(coppice_session *session,
                                coppice_list_editor editor, void *context);

/* Called after each dispatch of a step while set, if the dispatch sets small
 * values to zero ("threshold" in program.json): `data` is what it writes first,
 * as f32, of the extents shape[0..rank), and what the editor leaves there,
 * rounded to the buffer's type, is what the rest of the step reads. So such
 * choices can be recorded and replayed, too. The editor must not call into the
 * session. */
typedef void (*coppice_value_editor)(void *context, int64_t dispatch,
                                     float *data, const int64_t *shape,
                                     int64_t rank);
void coppice_session_edit_values(coppice_session *session,
                                 coppice_value_editor editor, void *context);

/* The program's symbols for a step; order as in program.json, `count` of them
 * (6). The step is checked as by coppice_session_step, except that it need not
 * continue what the slots hold: costs can be asked for before running. */
coppice_status coppice_session_symbols(const coppice_session *session,
                                       const coppice_step *step,
                                       int64_t *values, int64_t count);

#ifdef __cplusplus
}
#endif
#endif
