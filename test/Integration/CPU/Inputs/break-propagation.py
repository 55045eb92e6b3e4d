"""usage: break-propagation.py IN.mlir OUT.mlir

Gives the query weight of layer 1 the rows of another head: what a rule that
moves S past attention with a wrong set would do. Fails where there is nothing
to break."""

import re
import sys

text = open(sys.argv[1]).read()
line = re.search(r"^.*ml_program\.global.*@[\w.]*layers\.1\.attn\.q\.weight.*$", text, re.M)
if not line:
    sys.exit("no global of layers.1.attn.q.weight")
broken, count = re.subn(r"(prune\.kept = \[\[0[^,]*, #prune\.set<\[)1(\])", r"\g<1>0\g<2>", line.group(0))
if count != 1:
    sys.exit(f"expected kept rows [1], found: {line.group(0)}")
open(sys.argv[2], "w").write(text.replace(line.group(0), broken))
