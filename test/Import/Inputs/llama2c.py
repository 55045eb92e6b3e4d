#!/usr/bin/env python3
"""Writes a small llama2.c checkpoint, whole or with one thing wrong with it. Plain Python.

The model: hidden 12, intermediate 7, 2 layers, 3 heads, 1 KV head, vocabulary 11 (or as asked), context 5; value i of the file's body is
i / 1024, so that each row tells where it came from.
"""
import argparse
import struct

FIELDS = ["hidden", "intermediate", "layers", "heads", "kv_heads", "vocabulary", "context"]
parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("file")
parser.add_argument("--header", action="append", default=[], metavar="FIELD=VALUE", help="change the header alone")
parser.add_argument("--vocabulary", type=int, default=11)
parser.add_argument("--untied", action="store_true")
parser.add_argument("--trailing", type=int, default=0, metavar="BYTES")
parser.add_argument("--truncate", type=int, default=0, metavar="BYTES")
parser.add_argument("--nan", type=int, metavar="INDEX")
args = parser.parse_args()

header = {"hidden": 12, "intermediate": 7, "layers": 2, "heads": 3, "kv_heads": 1,
          "vocabulary": -args.vocabulary if args.untied else args.vocabulary, "context": 5}
table = args.vocabulary * 12
count = table + 2 * (12 + 12 * 12 + 4 * 12 + 4 * 12 + 12 * 12 + 12 + 3 * 7 * 12) + 12 + 2 * 5 * 2
count += table if args.untied else 0
header |= {key: int(value) for key, value in (item.split("=") for item in args.header)}
values = [i / 1024 for i in range(count)]
if args.nan is not None:
    values[args.nan] = float("nan")
data = struct.pack("<7i", *(header[name] for name in FIELDS)) + struct.pack(f"<{count}f", *values)
data += b"\0" * args.trailing
with open(args.file, "wb") as file:
    file.write(data[:len(data) - args.truncate])
