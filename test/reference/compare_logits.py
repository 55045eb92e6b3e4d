#!/usr/bin/env python3
"""compare_logits.py REFERENCE.npy FOUND.npy TOLERANCE: fails unless ||error|| / ||reference|| <= TOLERANCE in each row.

Both hold f32 [T, vocabulary]. Plain Python: the tests need no numpy.
"""
import ast
import math
import struct
import sys


def load(path):
    with open(path, "rb") as file:
        data = file.read()
    if data[:6] != b"\x93NUMPY":
        sys.exit(f"{path}: expected an .npy file")
    wide = data[6] > 1  # versions 2 and 3 have a longer header length
    size = struct.unpack_from("<I" if wide else "<H", data, 8)[0]
    begin = (12 if wide else 10) + size
    header = ast.literal_eval(data[begin - size:begin].decode())
    if header["descr"] != "<f4" or header["fortran_order"] or len(header["shape"]) != 2:
        sys.exit(f"{path}: expected f32 [T, vocabulary], found {header}")
    rows, columns = header["shape"]
    values = struct.unpack_from(f"<{rows * columns}f", data, begin)
    return [values[r * columns:(r + 1) * columns] for r in range(rows)]


def main():
    if len(sys.argv) != 4:
        sys.exit(__doc__)
    reference, found, tolerance = load(sys.argv[1]), load(sys.argv[2]), float(sys.argv[3])
    shapes = [(len(m), len(m[0]) if m else 0) for m in (reference, found)]
    if shapes[0] != shapes[1]:
        sys.exit(f"{sys.argv[2]}: expected shape {shapes[0]}, found {shapes[1]}")
    errors = [math.dist(r, f) / math.hypot(*r) for r, f in zip(reference, found)]
    worst = max(range(len(errors)), key=lambda i: math.inf if math.isnan(errors[i]) else errors[i])
    print(f"largest error {errors[worst]:.3g} in row {worst} of {len(errors)}, tolerance {tolerance:g}")
    if not errors[worst] <= tolerance:
        sys.exit(1)


main()
