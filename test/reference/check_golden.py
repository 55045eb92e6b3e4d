#!/usr/bin/env python3
"""check_golden.py MODEL BUNDLE TOLERANCE: the logits of a bundle against the reference's, for each golden prompt.

MODEL is a folder of test/Integration/Inputs. Runs coppice-run from PATH; plain Python.
"""
import json
import os
import subprocess
import sys

model, bundle, tolerance = sys.argv[1:]
golden = os.path.join(model, "golden")
compare = os.path.join(os.path.dirname(os.path.abspath(__file__)), "compare_logits.py")
with open(os.path.join(golden, "prompts.json")) as file:
    prompts = json.load(file)
for i, tokens in enumerate(prompts):
    found = f"{bundle}.{i}.npy"
    subprocess.run(["coppice-run", "logits", bundle, "--tokens", ",".join(map(str, tokens)), "--all", "-o", found],
                   check=True)
    print(f"prompt {i}: ", end="", flush=True)
    subprocess.run([sys.executable, compare, os.path.join(golden, f"{i}.npy"), found, tolerance], check=True)
