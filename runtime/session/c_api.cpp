// The C ABI (coppice/runtime.h) over Bundle and Session: null checks, structure
// versions, the last error's message, and a wall that no exception passes.
#include "coppice/runtime.h"

#include "runtime/base/concat.h"
#include "runtime/session/session.h"

#include <algorithm>
#include <cstring>
#include <memory>
#include <new>

using namespace coppice::rt;

struct coppice_bundle {
  std::shared_ptr<const Bundle> bundle;
};

struct coppice_session {
  std::unique_ptr<Session> session;
};

namespace {

thread_local std::string lastError;

coppice_status report(const Status &status) {
  lastError = status.message();
  return status.code();
}

// Runs the body of an entry point; its Status becomes the return value. The
// standard library throws where memory runs out.
template <typename Body> coppice_status guarded(Body &&body) {
  try {
    return report(body());
  } catch (const std::bad_alloc &) {
    return report(outOfMemory("out of memory"));
  } catch (const std::length_error &) {
    return report(outOfMemory("out of memory"));
  } catch (const std::exception &error) {
    return report(internalError(error.what()));
  }
}

// A copy of a caller's structure in which fields that the caller does not know
// are 0. Structures start with their size.
template <typename T> Result<T> versioned(const T *given, const char *name) {
  if (!given)
    return invalidArgument(concat("expected a ", name, ", found NULL"));
  size_t size = 0;
  std::memcpy(&size, given, sizeof(size));
  if (size < sizeof(size_t) || size > sizeof(T))
    return invalidArgument(concat("expected struct_size of ", name, " in [",
                                  sizeof(size_t), ", ", sizeof(T), "], found ",
                                  size));
  T copy = {};
  std::memcpy(&copy, given, size);
  return copy;
}

// Writes `value` to a caller's structure, as far as the caller knows it.
template <typename T> Status give(T value, T *out, const char *name) {
  auto known = versioned(out, name);
  if (!known)
    return known.status();
  size_t size = known->struct_size;
  value.struct_size = size;
  std::memcpy(out, &value, size);
  return {};
}

Result<coppice_session_options>
optionsOf(const coppice_session_options *options) {
  if (!options)
    return coppice_session_options{};
  return versioned(options, "coppice_session_options");
}

Status expectHandles(std::initializer_list<const void *> handles) {
  for (const void *handle : handles)
    if (!handle)
      return invalidArgument("expected a handle, found NULL");
  return {};
}

} // namespace

const char *coppice_last_error(void) { return lastError.c_str(); }

const char *coppice_version(void) { return "0.1.0"; }

coppice_status coppice_bundle_open(const char *path, coppice_bundle **out) {
  return guarded([&] {
    if (Status status = expectHandles({path, out}); !status.ok())
      return status;
    auto opened = Bundle::open(path);
    if (!opened)
      return opened.status();
    *out =
        new coppice_bundle{std::make_shared<const Bundle>(*std::move(opened))};
    return Status();
  });
}

void coppice_bundle_close(coppice_bundle *bundle) { delete bundle; }

const char *coppice_bundle_program_json(const coppice_bundle *bundle) {
  return bundle ? bundle->bundle->programJson().c_str() : "";
}

coppice_status coppice_session_create(coppice_bundle *bundle,
                                      const coppice_session_options *options,
                                      coppice_session **out) {
  return guarded([&] {
    if (Status status = expectHandles({bundle, out}); !status.ok())
      return status;
    auto known = optionsOf(options);
    if (!known)
      return known.status();
    auto created = Session::create(bundle->bundle, *known);
    if (!created)
      return created.status();
    *out = new coppice_session{*std::move(created)};
    return Status();
  });
}

void coppice_session_destroy(coppice_session *session) { delete session; }

coppice_status coppice_session_describe(const coppice_session *session,
                                        coppice_session_info *out) {
  return guarded([&] {
    if (Status status = expectHandles({session}); !status.ok())
      return status;
    return give(session->session->info(), out, "coppice_session_info");
  });
}

coppice_status coppice_bundle_memory(const coppice_bundle *bundle,
                                     const coppice_session_options *options,
                                     coppice_memory *out) {
  return guarded([&] {
    if (Status status = expectHandles({bundle}); !status.ok())
      return status;
    auto known = optionsOf(options);
    if (!known)
      return known.status();
    const Program &program = bundle->bundle->program();
    auto limits = resolveLimits(program, *known);
    if (!limits)
      return limits.status();
    auto memory = sessionMemory(program, *limits);
    if (!memory)
      return memory.status();
    return give(*memory, out, "coppice_memory");
  });
}

coppice_status coppice_session_step(coppice_session *session,
                                    const coppice_step *step, float *logits) {
  return guarded([&] {
    if (Status status = expectHandles({session}); !status.ok())
      return status;
    auto known = versioned(step, "coppice_step");
    if (!known)
      return known.status();
    return session->session->step(*known, logits);
  });
}

int64_t coppice_session_route_columns(const coppice_session *session) {
  return session ? session->session->routeColumns() : 0;
}

int64_t coppice_session_route_count(const coppice_session *session) {
  return session ? session->session->routeCount() : 0;
}

coppice_status coppice_session_route(const coppice_session *session,
                                     int64_t index, coppice_route *out) {
  return guarded([&] {
    if (Status status = expectHandles({session}); !status.ok())
      return status;
    auto route = session->session->route(index);
    if (!route)
      return route.status();
    return give(*route, out, "coppice_route");
  });
}

coppice_status coppice_session_read_route(coppice_session *session,
                                          int64_t index, int8_t *mask) {
  return guarded([&] {
    if (Status status = expectHandles({session, mask}); !status.ok())
      return status;
    return session->session->readRoute(index, mask);
  });
}

coppice_status coppice_session_flush_caches(coppice_session *session,
                                            int32_t *flushed) {
  return guarded([&]() -> Status {
    if (Status status = expectHandles({session, flushed}); !status.ok())
      return status;
    auto done = session->session->flushCaches();
    if (!done)
      return done.status();
    *flushed = *done;
    return {};
  });
}

coppice_status coppice_session_reset(coppice_session *session, int32_t slot) {
  return guarded([&] {
    if (Status status = expectHandles({session}); !status.ok())
      return status;
    return session->session->reset(slot);
  });
}

coppice_status coppice_session_rewind(coppice_session *session, int32_t slot,
                                      int64_t length) {
  return guarded([&] {
    if (Status status = expectHandles({session}); !status.ok())
      return status;
    return session->session->rewind(slot, length);
  });
}

coppice_status coppice_session_enable(coppice_session *session,
                                      const char *group, int32_t enabled) {
  return guarded([&] {
    if (Status status = expectHandles({session, group}); !status.ok())
      return status;
    return session->session->enable(group, enabled != 0);
  });
}

void coppice_session_observe(coppice_session *session,
                             coppice_observer observer, void *context) {
  if (session)
    session->session->observe(observer, context);
}

void coppice_session_edit_lists(coppice_session *session,
                                coppice_list_editor editor, void *context) {
  if (session)
    session->session->editLists(editor, context);
}

void coppice_session_edit_values(coppice_session *session,
                                 coppice_value_editor editor, void *context) {
  if (session)
    session->session->editValues(editor, context);
}

coppice_status coppice_session_symbols(const coppice_session *session,
                                       const coppice_step *step,
                                       int64_t *values, int64_t count) {
  return guarded([&] {
    if (Status status = expectHandles({session, values}); !status.ok())
      return status;
    if (count != symbolCount)
      return invalidArgument(concat("expected room for ", int(symbolCount),
                                    " symbols, found ", count));
    auto known = versioned(step, "coppice_step");
    if (!known)
      return known.status();
    auto symbols = session->session->symbols(*known);
    if (!symbols)
      return symbols.status();
    std::copy(symbols->begin(), symbols->end(), values);
    return Status();
  });
}
