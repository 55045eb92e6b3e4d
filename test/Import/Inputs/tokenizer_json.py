#!/usr/bin/env python3
"""tokenizer_json.py FILE COUNT: writes a tokenizer.json of COUNT tokens (at least 8), in SentencePiece's manner. Plain Python."""
import json
import sys

path, count = sys.argv[1], int(sys.argv[2])
vocab = {token: number for number, token in enumerate(["<unk>", "<s>", "</s>", "a", "b", "\u2581", "ab", "\u2581a"])}
for number in range(len(vocab), count):
    vocab["token%d" % number] = number
special = [{"id": vocab[token], "content": token, "single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
           for token in ["<unk>", "<s>", "</s>"]]
mark = {"String": "\u2581"}
json.dump({
    "version": "1.0", "truncation": None, "padding": None, "added_tokens": special,
    "normalizer": {"type": "Sequence", "normalizers": [{"type": "Prepend", "prepend": "\u2581"},
                                                       {"type": "Replace", "pattern": {"String": " "}, "content": "\u2581"}]},
    "pre_tokenizer": None,
    "post_processor": {"type": "TemplateProcessing", "single": [{"SpecialToken": {"id": "<s>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}],
                       "pair": [], "special_tokens": {"<s>": {"id": "<s>", "ids": [1], "tokens": ["<s>"]}}},
    "decoder": {"type": "Sequence", "decoders": [{"type": "Replace", "pattern": mark, "content": " "}, {"type": "Fuse"},
                                                 {"type": "Strip", "content": " ", "start": 1, "stop": 0}]},
    "model": {"type": "BPE", "unk_token": "<unk>", "fuse_unk": True, "vocab": vocab, "merges": ["a b", "\u2581 a"]}}, open(path, "w"))
