"""usage: run-examples.py FILE.md

Runs the ```sh blocks of a page, in order, in one shell and the current
directory, stopping at the first failure: what a reader pastes must work. Blocks
that build the project itself (./demo.sh, ./check.sh) are left out. A block that
opens with "```LANGUAGE prints" is an excerpt of what the ```sh block before it
prints (excerpt.py)."""

import os
import re
import subprocess
import sys
import tempfile

from excerpt import check_excerpt

path = sys.argv[1]
scripts, excerpts = [], []  # excerpts: (index of the script, text)
for language, prints, block in re.findall(r"^```(\w+)( prints)?\n(.*?)^```", open(path).read(), re.M | re.S):
    if language == "sh" and "./demo.sh" not in block and "./check.sh" not in block:
        scripts.append(block)
    elif prints:
        excerpts.append((len(scripts) - 1, block))
if not scripts:
    sys.exit(f"{path}: no ```sh block to run")

with tempfile.TemporaryDirectory() as directory:
    outputs = [os.path.join(directory, str(index)) for index in range(len(scripts))]
    whole = "set -euxo pipefail\n" + "\n".join(
        f"exec > {output}\n{script}" for output, script in zip(outputs, scripts))
    status = subprocess.run(["bash", "-c", whole]).returncode
    texts = [open(output).read() if os.path.exists(output) else "" for output in outputs]
print("".join(texts), end="", flush=True)
if status:
    sys.exit(status)
sys.exit(not all([check_excerpt(excerpt, texts[index], path) for index, excerpt in excerpts]))
