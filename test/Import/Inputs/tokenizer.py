#!/usr/bin/env python3
"""tokenizer.py FILE COUNT: writes a llama2.c tokenizer of COUNT pieces. Plain Python."""
import struct
import sys

pieces = [b"<unk>", b"<s>", b"</s>"] + [b"<0x%02X>" % i for i in range(256)]
pieces += [b"piece %d" % i for i in range(len(pieces), int(sys.argv[2]))]
with open(sys.argv[1], "wb") as file:
    file.write(struct.pack("<I", max(map(len, pieces))))
    for piece in pieces[:int(sys.argv[2])]:
        file.write(struct.pack("<fI", 0.0, len(piece)) + piece)
