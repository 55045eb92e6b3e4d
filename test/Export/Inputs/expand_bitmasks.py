#!/usr/bin/env python3
"""Reads sparse-24-bitmask weights by the format's description alone, and compares them with a file of whole matrices.

usage: expand_bitmasks.py COMPRESSED.safetensors WHOLE.safetensors
       expand_bitmasks.py --damage TENSOR BYTE FILE.safetensors     inverts a byte of a tensor
"""
import json
import struct
import sys


def read(path):
    data = open(path, "rb").read()
    length = struct.unpack("<Q", data[:8])[0]
    header = json.loads(data[8:8 + length])
    header.pop("__metadata__", None)
    return {name: (e["dtype"], e["shape"], data[8 + length + e["data_offsets"][0]:8 + length + e["data_offsets"][1]])
            for name, e in header.items()}, 8 + length, header


if sys.argv[1] == "--damage":
    name, byte, path = sys.argv[2], int(sys.argv[3]), sys.argv[4]
    _, start, header = read(path)
    with open(path, "r+b") as file:
        at = start + header[name]["data_offsets"][0] + byte
        file.seek(at)
        value = file.read(1)[0]
        file.seek(at)
        file.write(bytes([value ^ 0xFF if "bitmask" not in name else 0x0F]))
    sys.exit()

SIZES = {"F32": 4, "F16": 2, "BF16": 2}
tensors, _, _ = read(sys.argv[1])
expanded = 0
for key in [k for k in tensors if k.endswith(".compressed")]:
    name = key[:-len(".compressed")]
    dtype, _, values = tensors.pop(key)
    _, _, mask = tensors.pop(name + ".bitmask")
    shape_type, _, shape = tensors.pop(name + ".shape")
    assert shape_type == "I64"
    rows, columns = struct.unpack("<2q", shape)
    size, row_bytes, at, whole = SIZES[dtype], (columns + 7) // 8, 0, bytearray()
    for row in range(rows):
        for column in range(columns):
            if mask[row * row_bytes + column // 8] >> (column % 8) & 1:
                whole += values[at:at + size]
                at += size
            else:
                whole += bytes(size)
    assert at == len(values)
    tensors[name + ".weight"] = (dtype, [rows, columns], bytes(whole))
    expanded += 1
expected, _, _ = read(sys.argv[2])
assert set(tensors) == set(expected), set(tensors) ^ set(expected)
for name, tensor in expected.items():
    assert tensors[name] == tensor, name
print(f"{expanded} matrices expanded, {len(expected)} tensors equal")
