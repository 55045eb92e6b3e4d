#!/usr/bin/env python3
"""A plain Llama in numpy: the independent reference that golden files come from.

In:  a llama2.c .bin, or a Hugging Face directory (config.json, model.safetensors).
Out: logits (.npy), greedy token ids (.json), or the mean NLL of a text.

Idea: whole sequences, no cache, f64 arithmetic, formulas as in the papers; nothing is shared with the compiler or the
runtime, not even the rotary layout (llama2.c weights stay interleaved here, while the importer permutes them).
Run by hand by whoever makes golden files (make_golden.py); the tests read the files and need no numpy.
"""
import argparse
import json
import math
import os
import re
import struct
import sys

import numpy as np


class Model:
    """Weights in f64 by short names; `pairs` says which columns of a head a rotary angle turns together."""

    def __init__(self, **fields):
        self.__dict__.update(fields)

    def logits(self, tokens):
        """[T] ids -> [T, vocabulary]."""
        x = self.embed[tokens]
        for layer in self.layers:
            x = x + self.attention(layer, rms_norm(x, layer["attn_norm"], self.epsilon))
            h = rms_norm(x, layer["mlp_norm"], self.epsilon)
            gate = project(h, layer, "gate")
            x = x + project(gate / (1 + np.exp(-gate)) * project(h, layer, "up"), layer, "down")
        return rms_norm(x, self.final_norm, self.epsilon) @ self.head.T

    def attention(self, layer, x):
        length = x.shape[0]
        q = self.rotate(project(x, layer, "q").reshape(length, self.heads, self.head_dim))
        k = self.rotate(project(x, layer, "k").reshape(length, self.kv_heads, self.head_dim))
        v = project(x, layer, "v").reshape(length, self.kv_heads, self.head_dim)
        k, v = (ROUND[self.cache_dtype](t) for t in (k, v))
        out = np.empty_like(q)
        future = np.triu(np.ones((length, length), bool), 1)
        for head in range(self.heads):
            group = head // (self.heads // self.kv_heads)
            scores = q[:, head] @ k[:, group].T / math.sqrt(self.head_dim)
            scores[future] = -np.inf
            p = np.exp(scores - scores.max(axis=1, keepdims=True))
            out[:, head] = p / p.sum(axis=1, keepdims=True) @ v[:, group]
        return project(out.reshape(length, -1), layer, "o")

    def rotate(self, x):
        """Turns each pair (a, b) of a head's columns by position * frequency."""
        angles = np.arange(x.shape[0])[:, None] * self.frequencies[None, :]
        cos, sin = np.cos(angles)[:, None, :], np.sin(angles)[:, None, :]
        first, second = self.pairs
        out = np.empty_like(x)
        out[..., first] = x[..., first] * cos - x[..., second] * sin
        out[..., second] = x[..., first] * sin + x[..., second] * cos
        return out


def to_bf16(x):
    """The upper 16 bits of f32, to nearest even."""
    bits = x.astype("<f4").view("<u4")
    return ((bits + 0x7FFF + ((bits >> 16) & 1)) & 0xFFFF0000).astype("<u4").view("<f4").astype(np.float64)


# What a KV cache of a storage type keeps of a number. f32 is taken as exact.
ROUND = {"F32": lambda x: x, "F16": lambda x: x.astype("<f2").astype(np.float64), "BF16": to_bf16}


def rms_norm(x, gain, epsilon):
    return x / np.sqrt((x * x).mean(axis=-1, keepdims=True) + epsilon) * gain


def project(x, layer, name):
    y = x @ layer[name].T
    return y + layer[name + "_bias"] if name + "_bias" in layer else y


# ---- llama2.c -------------------------------------------------------------------------------------------------------


def load_llama2c(path):
    data = open(path, "rb").read()
    dim, hidden, layers, heads, kv_heads, vocabulary, context = struct.unpack("<7i", data[:28])
    tied, vocabulary = vocabulary > 0, abs(vocabulary)
    head_dim = dim // heads
    values = np.frombuffer(data, "<f4", offset=28).astype(np.float64)
    at = 0

    def take(*shape):
        nonlocal at
        at += math.prod(shape)
        return values[at - math.prod(shape):at].reshape(shape)

    kv = kv_heads * head_dim
    embed = take(vocabulary, dim)
    stacked = {"attn_norm": take(layers, dim), "q": take(layers, dim, dim), "k": take(layers, kv, dim),
               "v": take(layers, kv, dim), "o": take(layers, dim, dim), "mlp_norm": take(layers, dim),
               "gate": take(layers, hidden, dim), "down": take(layers, dim, hidden), "up": take(layers, hidden, dim)}
    final_norm = take(dim)
    take(context, head_dim // 2), take(context, head_dim // 2)  # rotary tables
    head = embed if tied else take(vocabulary, dim)
    assert at == values.size, f"{at} values expected, {values.size} found"
    return Model(embed=embed, layers=[{n: w[i] for n, w in stacked.items()} for i in range(layers)],
                 final_norm=final_norm, head=head, heads=heads, kv_heads=kv_heads, head_dim=head_dim, epsilon=1e-5,
                 context=context, cache_dtype="F32", pairs=(slice(0, None, 2), slice(1, None, 2)),
                 frequencies=10000.0 ** -(np.arange(0, head_dim, 2) / head_dim))


class Tokenizer:
    """tokenizer.bin of llama2.c: pieces with scores, merged greedily by the best score."""

    def __init__(self, path):
        data = open(path, "rb").read()
        self.pieces, self.scores, at = [], [], 4
        while at < len(data):
            score, length = struct.unpack_from("<fI", data, at)
            self.scores.append(score)
            self.pieces.append(data[at + 8:at + 8 + length])
            at += 8 + length
        self.ids = {}
        for i, piece in enumerate(self.pieces):
            self.ids.setdefault(piece, i)

    def decode(self, tokens):
        """The text of ids behind BOS, without the space that encode() put first."""
        raw = b"".join(bytes([t - 3]) if 3 <= t < 259 else self.pieces[t] for t in tokens)
        return raw.decode(errors="replace").removeprefix(" ")

    def encode(self, text):
        """BOS, then " " + text."""
        tokens = []
        for character in " " + text:
            raw = character.encode()
            tokens += [self.ids[raw]] if raw in self.ids else [3 + b for b in raw]
        while True:
            best = None
            for i in range(len(tokens) - 1):
                merged = self.ids.get(self.pieces[tokens[i]] + self.pieces[tokens[i + 1]])
                if merged is not None and (best is None or self.scores[merged] > best[0]):
                    best = (self.scores[merged], i, merged)
            if best is None:
                return [1] + tokens
            tokens[best[1]:best[1] + 2] = [best[2]]


# ---- Hugging Face ---------------------------------------------------------------------------------------------------


def read_safetensors(path):
    data = open(path, "rb").read()
    size = struct.unpack("<Q", data[:8])[0]
    tensors, dtypes = {}, set()
    for name, entry in json.loads(data[8:8 + size]).items():
        if name == "__metadata__":
            continue
        raw = data[8 + size + entry["data_offsets"][0]:8 + size + entry["data_offsets"][1]]
        if entry["dtype"] == "BF16":
            values = (np.frombuffer(raw, "<u2").astype("<u4") << 16).view("<f4")
        else:
            values = np.frombuffer(raw, {"F32": "<f4", "F16": "<f2", "U8": "u1"}[entry["dtype"]])
        tensors[name] = values.astype(np.float64).reshape(entry["shape"])
        dtypes.add(entry["dtype"])
    (dtype,) = dtypes
    return tensors, dtype


def frequencies(config, head_dim):
    base = config.get("rope_theta", 10000.0) ** -(np.arange(0, head_dim, 2) / head_dim)
    scaling = config.get("rope_scaling")
    if not scaling:
        return base
    factor = scaling["factor"]
    if scaling["rope_type"] == "linear":
        return base / factor
    assert scaling["rope_type"] == "llama3"
    # Long waves are stretched by `factor`, short ones are left alone, those between are blended.
    low, high = scaling["low_freq_factor"], scaling["high_freq_factor"]
    turns = scaling["original_max_position_embeddings"] * base / (2 * math.pi)
    smooth = np.clip((turns - low) / (high - low), 0, 1)
    return base * (smooth + (1 - smooth) / factor)


def load_huggingface(path):
    config = json.load(open(os.path.join(path, "config.json")))
    tensors, dtype = read_safetensors(os.path.join(path, "model.safetensors"))
    heads = config["num_attention_heads"]
    head_dim = config.get("head_dim") or config["hidden_size"] // heads
    names = {"q": "self_attn.q_proj", "k": "self_attn.k_proj", "v": "self_attn.v_proj", "o": "self_attn.o_proj",
             "gate": "mlp.gate_proj", "up": "mlp.up_proj", "down": "mlp.down_proj",
             "attn_norm": "input_layernorm", "mlp_norm": "post_attention_layernorm"}
    layers = []
    for i in range(config["num_hidden_layers"]):
        layer = {}
        for short, name in names.items():
            layer[short] = tensors[f"model.layers.{i}.{name}.weight"]
            if f"model.layers.{i}.{name}.bias" in tensors:
                layer[short + "_bias"] = tensors[f"model.layers.{i}.{name}.bias"]
        layers.append(layer)
    embed = tensors["model.embed_tokens.weight"]
    half = head_dim // 2
    return Model(embed=embed, layers=layers, final_norm=tensors["model.norm.weight"],
                 head=embed if config.get("tie_word_embeddings") else tensors["lm_head.weight"],
                 heads=heads, kv_heads=config.get("num_key_value_heads", heads), head_dim=head_dim,
                 epsilon=config.get("rms_norm_eps", 1e-6), context=config["max_position_embeddings"], cache_dtype=dtype,
                 pairs=(slice(0, half), slice(half, None)), frequencies=frequencies(config, head_dim))


# ---- Commands -------------------------------------------------------------------------------------------------------


def nll(model, tokenizer, text, split_before, chunks):
    """cut at blank lines before `split_before`; BOS + chunk, cut at the context; all predicted tokens together."""
    pieces = re.split(r"\n\n(?=" + re.escape(split_before) + ")", text)[:chunks]
    total, hits, count = 0.0, 0, 0
    for piece in pieces:
        tokens = tokenizer.encode(piece)[:model.context]
        z = model.logits(tokens)[:-1]
        z = z - z.max(axis=1, keepdims=True)
        target = np.array(tokens[1:])
        total -= (z[np.arange(len(target)), target] - np.log(np.exp(z).sum(axis=1))).sum()
        hits += int((z.argmax(axis=1) == target).sum())
        count += len(target)
    return {"chunks": len(pieces), "tokens": count, "nll_nats_per_token": total / count, "top1": hits / count}


def greedy(model, tokenizer, prompt, count):
    """`smallest_margin`: how far the second-best logit ever was; far above rounding, or the ids prove nothing."""
    tokens = tokenizer.encode(prompt)
    start, margins = len(tokens), []
    for _ in range(count):
        last = model.logits(tokens)[-1]
        second, first = np.sort(last)[-2:]
        margins.append(first - second)
        tokens.append(int(last.argmax()))
    return {"prompt": prompt, "prompt_tokens": tokens[:start], "generated_tokens": tokens[start:],
            "smallest_margin": float(min(margins)), "text": tokenizer.decode(tokens[1:])}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    logits = commands.add_parser("logits")
    logits.add_argument("model")
    logits.add_argument("--tokens", required=True)
    logits.add_argument("-o", required=True)
    generate = commands.add_parser("generate")
    generate.add_argument("model")
    generate.add_argument("--tokenizer", required=True)
    generate.add_argument("--prompt", required=True)
    generate.add_argument("--count", type=int, required=True)
    score = commands.add_parser("nll")
    score.add_argument("model")
    score.add_argument("--tokenizer", required=True)
    score.add_argument("--text", required=True)
    score.add_argument("--split-before", default="Once upon a time")
    score.add_argument("--chunks", type=int, default=200)
    args = parser.parse_args()

    model = load_huggingface(args.model) if os.path.isdir(args.model) else load_llama2c(args.model)
    if args.command == "logits":
        np.save(args.o, model.logits([int(t) for t in args.tokens.split(",")]).astype("<f4"))
        return
    tokenizer = Tokenizer(args.tokenizer)
    if args.command == "nll":
        text = open(args.text, encoding="utf-8").read()
        json.dump(nll(model, tokenizer, text, args.split_before, args.chunks), sys.stdout)
    else:
        json.dump(greedy(model, tokenizer, args.prompt, args.count), sys.stdout)
    print()


if __name__ == "__main__":
    main()
