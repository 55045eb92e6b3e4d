"""usage: make_pattern.py IN.safetensors OUT.safetensors TENSOR N M ROWS KEPT [ROW COLUMN]

Copies a file of f32; in rows ROWS (a:b) of TENSOR all but the first N of each M
elements become zeros, counted along the columns KEPT (a range a:b, or a list
a,b,..). ROW COLUMN: this element of the tensor then becomes 1."""

import json
import struct
import sys

source, target, name, n, m, rows, kept, *extra = sys.argv[1:]
data = bytearray(open(source, "rb").read())
(length,) = struct.unpack_from("<Q", data)
entry = json.loads(data[8:8 + length])[name]
assert entry["dtype"] == "F32"
width = entry["shape"][1]


def indices(text):
    if ":" in text:
        return range(*map(int, text.split(":")))
    return [int(i) for i in text.split(",")]


def put(row, column, value):
    struct.pack_into("<f", data, 8 + length + entry["data_offsets"][0] + 4 * (row * width + column), value)


for row in indices(rows):
    for place, column in enumerate(indices(kept)):
        if place % int(m) >= int(n):
            put(row, column, -0.0)  # a zero as well
if extra:
    put(int(extra[0]), int(extra[1]), 1.0)
open(target, "wb").write(data)
