#!/usr/bin/env python3
"""compare_tokenizers.py ENCODE_TEXTS FOLDER [--count N] [--seed S]: encodes and decodes N random texts with each NAME.json of FOLDER, by
build/release/bin/encode-texts and by the reference, the `tokenizers` package, and compares. Without that package it says so and does nothing."""
import argparse
import glob
import json
import os
import random
import subprocess
import sys

FRAGMENTS = ["'s", "'LL", "'Re", "\u2019t", " ", "  ", "\n", "\r\n", "\t", "\u00a0", "\u3000", "\u2028", "the", "The", " tree", "willow", "123", "4", "٣", "½", "é", "e\u0301",
             "ü", "森", "の木", "冬天", "숲", "\u1112\u1161\u11ab", "ив", "पे", "ड़", "السلام", "👩‍🌾", "🇩🇪", "❤️", "🌳", "!", "...", "(", "_", "-", "\u2581", "<s>", "</s>", "<unk>", "<0x41>",
             "<|im_start|>", "<|endoftext|>", "<|begin_of_text|>", "<|eot_id|>", "<|pad|>", "<think>", "[INST]", "[/INST]", "Åkerbär", "A\u030akerba\u0308r", "\x00", "\ufeff", "ſ", "ß"]
PLANES = [(0x20, 0x7F), (0x80, 0x250), (0x250, 0x800), (0x800, 0x3000), (0x3000, 0xD800), (0xE000, 0x10000), (0x10000, 0x20000), (0x20000, 0x110000)]


def unknown_to_reference():
    """Characters that one side has no properties of, its Unicode being older: those that Python (3.11: Unicode 14, as Debian 12's PCRE2 and
    utf8proc) does not know, and marks that the reference does not put in order."""
    import unicodedata
    from tokenizers import normalizers
    nfc = normalizers.NFC()
    unknown = set()
    for number in range(0x110000):
        c = chr(number)
        if unicodedata.category(c) in ("Cn", "Cs") or (unicodedata.combining(c) > 1 and nfc.normalize_str(c + "\u0334") != unicodedata.normalize("NFC", c + "\u0334")):
            unknown.add(c)
    return unknown


def random_text(rng, unknown):
    parts = []
    for _ in range(rng.choice([1, 2, 3, 8, 20, 60])):
        kind = rng.random()
        if kind < 0.6:
            parts.append(rng.choice(FRAGMENTS))
        elif kind < 0.7:
            parts.append(chr(rng.randrange(0x300, 0x370)))
        else:
            low, high = rng.choice(PLANES[:1] * 4 + PLANES)
            c = chr(rng.randrange(low, high))
            parts.append("" if c in unknown else c)
    return "".join(parts)


def known_characters():
    """Every character that Python's Unicode assigns, beside letters, digits and spaces, some to a text."""
    import unicodedata
    assigned = [chr(c) for c in range(0x110000) if not 0xD800 <= c < 0xE000 and unicodedata.category(chr(c)) not in ("Cn", "Co")]
    for begin in range(0, len(assigned), 8):
        yield "".join("x%s1%s %s" % (c, c, c) for c in assigned[begin:begin + 8])


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("encode_texts")
    parser.add_argument("folder")
    parser.add_argument("--count", type=int, default=5000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--all-characters", action="store_true", help="instead of random texts, every assigned character")
    args = parser.parse_args()
    try:
        from tokenizers import Tokenizer
    except ImportError:
        print("no package `tokenizers`: not compared")
        return 0
    rng = random.Random(args.seed)
    unknown = unknown_to_reference()
    texts = list(known_characters()) if args.all_characters else [random_text(rng, unknown) for _ in range(args.count)]
    failed = 0
    for path in sorted(glob.glob(os.path.join(args.folder, "*.json"))):
        name = os.path.basename(path)
        if name == "encodings.json":
            continue
        output = subprocess.run([args.encode_texts, path], input=json.dumps(texts), capture_output=True, text=True, check=True).stdout
        ours = iter(json.loads(output))
        tokenizer = Tokenizer.from_file(path)
        wrong = []
        for text in texts:
            for as_text in [True, False]:
                tokenizer.encode_special_tokens = as_text
                ids = tokenizer.encode(text).ids
                found = next(ours)
                if found != [ids, tokenizer.decode(ids)]:
                    wrong.append((text, as_text, ids, found))
        print("%s: %d texts, %d differ" % (name, len(texts), len(wrong)))
        for text, as_text, ids, found in wrong[:5]:
            print("  %s as_text=%s\n    expected %s\n    found    %s" % (ascii(text), as_text, ids, ascii(found)))
        failed += len(wrong)
    return 1 if failed else 0


sys.exit(main())
