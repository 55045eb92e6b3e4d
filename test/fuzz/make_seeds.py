#!/usr/bin/env python3
"""make_seeds.py FOLDER: seeds for the fuzzers, FOLDER/fuzz-huggingface_config and FOLDER/fuzz-llama2c. Plain Python."""
import glob
import os
import shutil
import struct
import sys

here = os.path.dirname(os.path.abspath(__file__))
for name in ["fuzz-huggingface_config", "fuzz-llama2c"]:
    os.makedirs(os.path.join(sys.argv[1], name), exist_ok=True)
for path in glob.glob(os.path.join(here, "..", "Integration", "Inputs", "*", "config.json")):
    model = os.path.basename(os.path.dirname(path))
    shutil.copy(path, os.path.join(sys.argv[1], "fuzz-huggingface_config", model + ".json"))
with open(os.path.join(sys.argv[1], "fuzz-huggingface_config", "index.json"), "w") as file:
    file.write('{"metadata": {}, "weight_map": {"lm_head.weight": "model-00001-of-00002.safetensors"}}')


def llama2c(hidden, inner, layers, heads, kv_heads, vocabulary, context):
    """A header and the length that goes with it."""
    kv = hidden // heads * kv_heads
    tables = 2 if vocabulary < 0 else 1
    floats = tables * abs(vocabulary) * hidden + hidden + context * (hidden // heads)
    floats += layers * (2 * hidden + 2 * hidden * hidden + 2 * kv * hidden + 3 * hidden * inner)
    return struct.pack("<7iq", hidden, inner, layers, heads, kv_heads, vocabulary, context, 28 + 4 * floats)


for i, shape in enumerate([(12, 7, 2, 2, 1, 5, 3), (8, 3, 1, 2, 2, -7, 5), (64, 172, 5, 8, 4, 512, 512)]):
    with open(os.path.join(sys.argv[1], "fuzz-llama2c", f"{i}.bin"), "wb") as file:
        file.write(llama2c(*shape))
