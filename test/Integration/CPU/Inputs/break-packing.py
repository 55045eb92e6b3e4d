"""usage: break-packing.py BUNDLE

Exchanges two rows of every panel (two values of k) in one packed weight: the
same numbers, in a wrong layout. The hash in program.json is made to agree, or
the runtime would refuse the file."""

import hashlib
import json
import struct
import sys

path = sys.argv[1] + "/weights.safetensors"
with open(path, "r+b") as file:
    (length,) = struct.unpack("<Q", file.read(8))
    header = json.loads(file.read(length))
    packed = {name: entry for name, entry in header.items()
              if name != "__metadata__" and len(entry["shape"]) == 3}
    if not packed:
        sys.exit("no packed weight in " + path)
    name, entry = sorted(packed.items())[0]
    panels, k, width = entry["shape"]
    row = width * 4
    for panel in range(panels):
        start = 8 + length + entry["data_offsets"][0] + panel * k * row
        file.seek(start)
        first, second = file.read(row), file.read(row)
        file.seek(start)
        file.write(second + first)
with open(path, "rb") as file:
    digest = hashlib.sha256(file.read()).hexdigest()
with open(sys.argv[1] + "/program.json") as file:
    program = json.load(file)
for entry in program.get("files", []):
    if entry["file"] == "weights.safetensors":
        entry.pop("pieces", None)
        entry["sha256"] = digest
with open(sys.argv[1] + "/program.json", "w") as file:
    json.dump(program, file)
print("exchanged two rows of the panels of", name)
