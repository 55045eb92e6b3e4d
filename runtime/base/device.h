/* A device: what runs kernels. The session knows devices only through this
 * table, in C, so that one more device is one more file.
 *
 * Memory: `allocate` gives device memory, aligned to 64 bytes and zeroed. Where
 * `unified` is not 0, pointers are host pointers and memory that the host owns
 * (a mapped weight file) can be passed to kernels as it is.
 *
 * Work given to one device runs in the order in which it was given; `launch`
 * may return before it is done, `synchronize` waits for all of it. Copies wait
 * for the work before them. A device is used from one thread at a time.
 *
 * Every function that can fail returns a status and fills `message`, which is
 * never null. Objects are owned by the caller until passed to the function that
 * ends them: close, unload, release. */
#ifndef COPPICE_RUNTIME_BASE_DEVICE_H
#define COPPICE_RUNTIME_BASE_DEVICE_H

#include "coppice/runtime.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct coppice_device_message {
  char text[1024]; /* NUL-terminated */
} coppice_device_message;

typedef struct coppice_device coppice_device; /* an open device */
typedef struct coppice_module coppice_module; /* loaded code */
typedef struct coppice_kernel coppice_kernel; /* owned by its module */

typedef struct coppice_device_options {
  size_t struct_size;
  int32_t threads; /* of the host; 0: as many as this process may use */
  int32_t pin;     /* CPU: not 0 binds each thread to a CPU of its own */
} coppice_device_options;

/* How a kernel is launched, by the bundle; zeros where its target does not
 * launch blocks of threads. */
typedef struct coppice_launch_shape {
  int32_t threads;      /* of a block */
  int64_t shared_bytes; /* dynamic shared memory of a block */
} coppice_launch_shape;

typedef struct coppice_device_driver {
  /* A bundle's target belongs to the driver if its name is `name`, or starts
   * with it and a ':' ("cuda:sm_90a"). */
  const char *name;
  int32_t unified;

  /* Can this machine run code that requires these features (names as in the
   * bundle's `requires`)? Opens nothing, loads nothing. */
  coppice_status (*check)(const char *target, const char *const *features,
                          size_t feature_count,
                          coppice_device_message *message);

  coppice_status (*open)(const coppice_device_options *options,
                         coppice_device **out, coppice_device_message *message);
  void (*close)(coppice_device *device);

  /* `path`: a code file whose size and hash have been checked. */
  coppice_status (*load)(coppice_device *device, const char *path,
                         coppice_module **out, coppice_device_message *message);
  void (*unload)(coppice_device *device, coppice_module *module);
  coppice_status (*find_kernel)(coppice_device *device, coppice_module *module,
                                const char *name,
                                const coppice_launch_shape *shape,
                                coppice_kernel **out,
                                coppice_device_message *message);

  coppice_status (*allocate)(coppice_device *device, int64_t bytes, void **out,
                             coppice_device_message *message);
  void (*release)(coppice_device *device, void *memory);
  coppice_status (*upload)(coppice_device *device, void *target,
                           const void *source, int64_t bytes,
                           coppice_device_message *message);
  coppice_status (*download)(coppice_device *device, void *target,
                             const void *source, int64_t bytes,
                             coppice_device_message *message);

  /* Runs work items [0, grid) with the target's kernel ABI of docs/bundle.md.
   * The arrays are read before launch returns. */
  coppice_status (*launch)(coppice_device *device, coppice_kernel *kernel,
                           void *const *args, size_t arg_count,
                           const int64_t *symbols, size_t symbol_count,
                           int64_t grid, coppice_device_message *message);
  coppice_status (*synchronize)(coppice_device *device,
                                coppice_device_message *message);

  /* Puts everything that kernels have touched out of the device's caches,
   * before work that is given to it later. NULL: the host's caches are the
   * device's. */
  coppice_status (*flush_caches)(coppice_device *device,
                                 coppice_device_message *message);

  /* Host threads that the device uses, the caller's included. */
  int32_t (*threads)(const coppice_device *device);

  /* Calls body(context, begin, end) over chunks of [0, count) on the host, with
   * the threads that this device has for such work: loading weights. */
  void (*host_parallel)(coppice_device *device, int64_t count,
                        void (*body)(void *context, int64_t begin, int64_t end),
                        void *context);
} coppice_device_driver;

/* The drivers of this build and those that were added; a null pointer ends the
 * list. */
const coppice_device_driver *const *coppice_device_drivers(void);

/* Adds a driver, which must outlive the process, for a device that the runtime
 * itself does not have. Before anything else is done with the runtime: lists
 * that were given out are not valid any more. A driver of the same name is
 * replaced. */
void coppice_add_device_driver(const coppice_device_driver *driver);

#ifdef __cplusplus
}
#endif
#endif
