"""usage: make_tensors.py OUT.safetensors NAME:DTYPE:SHAPE ..

Writes tensors of zeros, such as a.u:BF16:12x3."""

import json
import math
import struct
import sys

BYTES = {"BOOL": 1, "U8": 1, "BF16": 2, "F16": 2, "F32": 4}
header, size = {}, 0
for text in sys.argv[2:]:
    name, dtype, shape = text.split(":")
    shape = [int(extent) for extent in shape.split("x")]
    end = size + math.prod(shape) * BYTES[dtype]
    header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [size, end]}
    size = end
text = json.dumps(header).encode()
with open(sys.argv[1], "wb") as file:
    file.write(struct.pack("<Q", len(text)) + text + bytes(size))
