// Any bytes as machine.json: parsed or refused; a parsed one has ceilings for
// any number of threads, and its canonical text parses to the same text.
#include "runtime/costmodel/machine.h"

#include <cstdint>
#include <cstdlib>

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  using namespace coppice::rt;
  auto machine = Machine::parse({reinterpret_cast<const char *>(data), size});
  if (!machine)
    return 0;
  for (int threads : {1, 3, 1 << 20})
    if (!(machine->at(threads).best.f32 > 0))
      std::abort();
  auto again = Machine::parse(machine->json());
  if (!again || again->json() != machine->json())
    std::abort();
  return 0;
}
