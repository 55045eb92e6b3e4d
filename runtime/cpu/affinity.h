// Which CPUs this process may run on, and binding threads to them.
//
// Binding a thread narrows what its system call for the mask answers, and what
// threads that it starts inherit. So the mask from before is kept while anything
// is bound: whoever asks for the process's CPUs gets all of them.
#ifndef COPPICE_RUNTIME_CPU_AFFINITY_H
#define COPPICE_RUNTIME_CPU_AFFINITY_H

#include <pthread.h>
#include <vector>

namespace coppice::rt {

// The CPUs in the affinity mask, ascending; as it was before the first
// ScopedPinning where there is one. At least one entry: 0 where the system
// tells nothing.
std::vector<int> allowedCpus();

// Binds a thread to these CPUs; false where the system refuses.
bool bindThread(pthread_t thread, const std::vector<int> &cpus);

// While one lives, allowedCpus() answers what it was before, and threads that
// are to run anywhere must be bound to all of allowedCpus().
class ScopedPinning {
public:
  ScopedPinning();
  ~ScopedPinning();
  ScopedPinning(const ScopedPinning &) = delete;
  ScopedPinning &operator=(const ScopedPinning &) = delete;
};

} // namespace coppice::rt

#endif
