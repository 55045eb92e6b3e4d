"""usage: run-pass-examples.py DIRECTORY

Runs the examples in the descriptions of passes, in each Passes.td below the
directory: of the ``` blocks in a description the first goes in, the second is an excerpt (excerpt.py) of what comes
out, and so on in pairs. The pass runs with its defaults, unless the first line
of what goes in is a comment with flags (`// --exec-plan-memory=...`). A pass
without an example is an error."""

import pathlib
import re
import subprocess
import sys

from excerpt import check_excerpt

PASS = re.compile(r'^def \w+ : Pass<"([^"]+)".*?description = \[\{(.*?)\}\];', re.M | re.S)
BLOCK = re.compile(r"^ *```\w*\n(.*?)^ *```", re.M | re.S)

files = sorted(pathlib.Path(sys.argv[1]).rglob("Passes.td"))
ok = bool(files)
for path in files:
    text = path.read_text()
    passes = PASS.findall(text)
    if not passes or len(passes) != len(re.findall(r"^def \w+ : Pass<", text, re.M)):
        sys.exit(f"{path}: a pass without a description")
    for flag, description in passes:
        where = f"{path}: {flag}"
        blocks = BLOCK.findall(description)
        if not blocks or len(blocks) % 2:
            print(f"{where}: expected examples in pairs, what goes in and what comes out, found {len(blocks)} blocks")
            ok = False
            continue
        for before, after in zip(blocks[::2], blocks[1::2]):
            flags = re.match(r"\s*// (--.*)", before)
            ran = subprocess.run(["coppice-opt", *(flags.group(1).split() if flags else ["--" + flag])],
                                 input=before, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
            ok &= check_excerpt(after, ran.stdout, where)
sys.exit(not ok)
