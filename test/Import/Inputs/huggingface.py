#!/usr/bin/env python3
"""Writes a small Hugging Face directory, whole or with one thing wrong with it. Plain Python.

The model: Llama, 2 layers, hidden 12, 3 heads and 1 KV head of 4, intermediate 7, vocabulary 11, f32, untied. Element i of
a tensor is a small number made from i and the tensor's place, so that no two rows are equal.
"""
import argparse
import json
import math
import os
import struct

CONFIG = {"model_type": "llama", "hidden_size": 12, "intermediate_size": 7, "num_hidden_layers": 2,
          "num_attention_heads": 3, "num_key_value_heads": 1, "vocab_size": 11, "max_position_embeddings": 32,
          "rms_norm_eps": 1e-5, "tie_word_embeddings": False, "bos_token_id": 1, "eos_token_id": [2, 3]}


def shapes(config, biases):
    result = {"model.embed_tokens.weight": [11, 12], "model.norm.weight": [12]}
    if not config["tie_word_embeddings"]:
        result["lm_head.weight"] = [11, 12]
    for layer in range(2):
        prefix = f"model.layers.{layer}."
        result[prefix + "input_layernorm.weight"] = [12]
        result[prefix + "post_attention_layernorm.weight"] = [12]
        for name, shape in {"self_attn.q_proj": [12, 12], "self_attn.k_proj": [4, 12], "self_attn.v_proj": [4, 12],
                            "self_attn.o_proj": [12, 12], "mlp.gate_proj": [7, 12], "mlp.up_proj": [7, 12],
                            "mlp.down_proj": [12, 7]}.items():
            result[f"{prefix}{name}.weight"] = shape
            if any(part in name for part in biases):
                result[f"{prefix}{name}.bias"] = shape[:1]
    return result


def encode(values, dtype):
    if dtype == "BF16":
        return b"".join(struct.pack("<f", v)[2:] for v in values)
    return struct.pack(f"<{len(values)}" + {"F32": "f", "F16": "e", "F64": "d", "I32": "i"}[dtype],
                       *(int(v) if dtype == "I32" else v for v in values))


def write_safetensors(path, tensors):
    """`tensors`: name -> (dtype, shape, bytes)."""
    header, data = {}, b""
    for name, (dtype, shape, raw) in tensors.items():
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [len(data), len(data) + len(raw)]}
        data += raw
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text + data)


parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("directory")
parser.add_argument("--config", action="append", default=[], metavar="KEY=JSON", help="set a key; no JSON: remove it")
parser.add_argument("--raw-config", help="the text of config.json")
parser.add_argument("--dtype", default="F32")
parser.add_argument("--drop", action="append", default=[], metavar="PART", help="tensors with this in their names")
parser.add_argument("--add", action="append", default=[], metavar="TENSOR=SHAPE")
parser.add_argument("--shape", action="append", default=[], metavar="TENSOR=SHAPE", help="instead of the configuration's")
parser.add_argument("--retype", action="append", default=[], metavar="TENSOR=DTYPE")
parser.add_argument("--set", action="append", default=[], metavar="TENSOR=INDEX=VALUE")
parser.add_argument("--bias", action="append", default=[], metavar="PART", help="of the names of projections with bias")
parser.add_argument("--shards", type=int, default=1)
parser.add_argument("--truncate", type=int, help="cut so many bytes from the end of the weights")
args = parser.parse_args()

config = dict(CONFIG)
for item in args.config:
    key, _, value = item.partition("=")
    if value:
        config[key] = json.loads(value)
    else:
        config.pop(key)
os.makedirs(args.directory, exist_ok=True)
with open(os.path.join(args.directory, "config.json"), "w") as file:
    file.write(args.raw_config if args.raw_config is not None else json.dumps(config))

wanted = shapes(config, args.bias)
for part in args.drop:
    for name in [name for name in wanted if part in name]:
        del wanted[name]
for item in args.add:
    name, _, shape = item.partition("=")
    wanted[name] = json.loads(shape)
for item in args.shape:
    name, _, shape = item.partition("=")
    assert name in wanted
    wanted[name] = json.loads(shape)
dtypes = dict(item.split("=") for item in args.retype)
settings = [item.split("=") for item in args.set]
tensors = {}
for place, (name, shape) in enumerate(wanted.items()):
    values = [((i * 37 + place * 11) % 101 - 50) / 64 for i in range(math.prod(shape))]
    for tensor, index, value in settings:
        if tensor == name:
            values[int(index)] = float(value)
    dtype = dtypes.get(name, args.dtype)
    tensors[name] = (dtype, shape, encode(values, dtype))

path = os.path.join(args.directory, "model.safetensors")
if args.shards == 1:
    write_safetensors(path, tensors)
    if args.truncate:
        os.truncate(path, os.path.getsize(path) - args.truncate)
else:
    names, mapping = list(tensors), {}
    for shard in range(args.shards):
        file = f"model-{shard + 1:05}-of-{args.shards:05}.safetensors"
        part = names[shard::args.shards]
        write_safetensors(os.path.join(args.directory, file), {name: tensors[name] for name in part})
        mapping |= {name: file for name in part}
    with open(path + ".index.json", "w") as file:
        json.dump({"metadata": {}, "weight_map": mapping}, file)
