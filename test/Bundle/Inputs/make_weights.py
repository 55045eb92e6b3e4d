# make_weights.py OUT [nan|missing|short]: a safetensors file with one tensor.
import json, struct, sys

kind = sys.argv[2] if len(sys.argv) > 2 else ""
rows = 10 if kind == "short" else 11
values = [0.25 * i for i in range(rows * 3)]
if kind == "nan":
    values[5] = float("nan")
name = "u" if kind == "missing" else "t"
data = struct.pack("<%df" % len(values), *values)
header = json.dumps({name: {"dtype": "F32", "shape": [rows, 3], "data_offsets": [0, len(data)]}}).encode()
with open(sys.argv[1], "wb") as file:
    file.write(struct.pack("<Q", len(header)) + header + data)
