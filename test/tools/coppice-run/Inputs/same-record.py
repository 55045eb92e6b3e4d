"""usage: same-record.py RUN.json DRIVER.json

The record of `coppice-run verify` names both bundles; else it is that of
`coppice verify`."""

import json
import os
import sys

run, driver = (json.loads(open(path).read()) for path in sys.argv[1:])
print(os.path.basename(run["input"]), os.path.basename(run.pop("oracle")))
run.pop("input"), driver.pop("input")
if run != driver:
    sys.exit(f"expected\n{driver}\nfound\n{run}")
print("the rest is the same")
