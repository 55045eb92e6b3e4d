#!/usr/bin/env python3
"""llama.cpp as a peer of bench-model; needs the package llama-cpp-python.

usage: llama_cpp_peer.py MODEL.gguf

Answers requests on stdin, a line each, by a line on stdout (model_peer.h):
  open THREADS      {"name": .., "version": .., "detail": ..}
  prefill TOKENS    seconds of a step of TOKENS tokens into an empty cache
  decode CACHED     seconds of a step of one token behind CACHED tokens
"""
import json
import sys
import time

import llama_cpp


class Engine:
    def __init__(self, path, threads):
        llama_cpp.llama_log_set(LOG, None)
        llama_cpp.llama_backend_init()
        parameters = llama_cpp.llama_model_default_params()
        # Copied to memory, as ours are: pages of a mapped file are slower.
        parameters.use_mmap = False
        self.model = llama_cpp.llama_model_load_from_file(path.encode(), parameters)
        if not self.model:
            sys.exit(f"llama_cpp_peer: cannot load '{path}'")
        context = llama_cpp.llama_context_default_params()
        context.n_ctx = context.n_batch = context.n_ubatch = 2048
        context.n_threads = context.n_threads_batch = threads
        self.context = llama_cpp.llama_init_from_model(self.model, context)
        self.memory = llama_cpp.llama_get_memory(self.context)
        self.cached = -1  # tokens that the cache holds for decode

    def step(self, count):
        tokens = (llama_cpp.llama_token * count)(*[(i * 7919 + 13) % 30000 for i in range(count)])
        batch = llama_cpp.llama_batch_get_one(tokens, count)
        begin = time.perf_counter()
        if llama_cpp.llama_decode(self.context, batch) != 0:
            sys.exit(f"llama_cpp_peer: a step of {count} tokens failed")
        llama_cpp.llama_synchronize(self.context)
        return time.perf_counter() - begin

    def prefill(self, count):
        self.cached = -1
        llama_cpp.llama_memory_clear(self.memory, False)
        return self.step(count)

    def decode(self, cached):
        if self.cached != cached:
            self.prefill(cached)
            self.cached = cached
        seconds = self.step(1)
        llama_cpp.llama_memory_seq_rm(self.memory, 0, cached, -1)
        return seconds


@llama_cpp.llama_log_callback
def LOG(level, text, data):
    pass


def main():
    if len(sys.argv) != 2:
        sys.exit("usage: llama_cpp_peer.py MODEL.gguf")
    engine = None
    for line in sys.stdin:
        request, value = line.split()
        if request == "open":
            engine = Engine(sys.argv[1], int(value))
            answer = json.dumps({
                "name": "llama.cpp",
                "version": "llama-cpp-python " + llama_cpp.__version__,
                "detail": llama_cpp.llama_print_system_info().decode().strip(),
            })
        else:
            answer = repr(getattr(engine, {"prefill": "prefill", "decode": "decode"}[request])(int(value)))
        print(answer, flush=True)


if __name__ == "__main__":
    main()
