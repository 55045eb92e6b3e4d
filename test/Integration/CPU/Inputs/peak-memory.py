"""usage: peak-memory.py BUNDLE SEQ

Generates one token behind a prompt of SEQ tokens and compares the peak resident
set of that process with what `coppice-run info` has said, within 10 % and the
fixed size of the program itself."""

import json
import resource
import subprocess
import sys

bundle, seq = sys.argv[1], int(sys.argv[2])
FIXED = 16e6  # code, libraries, the program's description


def run(*words):
    return subprocess.run(words, check=True, capture_output=True, text=True).stdout


info = json.loads(run("coppice-run", "info", bundle, "--seq", str(seq), "--json", "-"))
told = info["memory"]["total_bytes"]
# info is the smaller of the two: the greatest child so far is what follows.
prompt = ",".join(str(3 + i) for i in range(seq))
run("coppice-run", "generate", bundle, "--tokens-in", prompt, "--tokens", "1", "--ids", "--greedy")
taken = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024
print(f"told {told / 1e6:.1f} MB, taken {taken / 1e6:.1f} MB")
if not 0.9 * told < taken < 1.1 * told + FIXED:
    sys.exit("expected them within 10 %")
print("peak memory within 10 %")
