"""usage: run-examples.py FILE.md

Runs the ```sh blocks of a page, in order, in one shell and the current
directory, stopping at the first failure: what a reader pastes must work. Blocks
that build the project itself (./demo.sh, ./check.sh) are left out."""

import re
import subprocess
import sys

page = open(sys.argv[1]).read()
blocks = [block for block in re.findall(r"^```sh\n(.*?)^```", page, re.M | re.S)
          if "./demo.sh" not in block and "./check.sh" not in block]
if not blocks:
    sys.exit(f"{sys.argv[1]}: no ```sh block to run")
script = "set -euxo pipefail\n" + "\n".join(blocks)
sys.exit(subprocess.run(["bash", "-c", script]).returncode)
