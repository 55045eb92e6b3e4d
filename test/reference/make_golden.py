#!/usr/bin/env python3
"""Makes the small models and golden files under test/Integration/Inputs. Run by hand, with numpy:

    make_golden.py [STORIES]     STORIES: a folder with stories260K.bin and tok512.bin

Each model is a Hugging Face directory of seeded random weights with odd sizes; golden/N.npy are the reference's f32
logits [T, vocabulary] for the tokens of golden/prompts.json, of unequal lengths. The widths are small and the scales
such that logits are spread and every part of the model matters to them.
"""
import json
import os
import struct
import sys

import numpy as np

import llama

INPUTS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "Integration", "Inputs")

BASE = {"architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_act": "silu", "bos_token_id": 1,
        "eos_token_id": 2, "initializer_range": 0.02, "use_cache": True}

MODELS = {
    # Grouped queries, a head size of its own, an untied head.
    "tiny-gqa": ("F32", BASE | {
        "hidden_size": 36, "intermediate_size": 53, "num_hidden_layers": 2, "num_attention_heads": 6,
        "num_key_value_heads": 2, "head_dim": 10, "vocab_size": 97, "max_position_embeddings": 64,
        "rms_norm_eps": 1e-5, "rope_theta": 10000.0, "tie_word_embeddings": False, "torch_dtype": "float32"}),
    # As many KV heads as heads, a tied head, 16-bit weights, the rotary scaling of Llama 3.1.
    "tiny-bf16": ("BF16", BASE | {
        "hidden_size": 24, "intermediate_size": 41, "num_hidden_layers": 3, "num_attention_heads": 3,
        "num_key_value_heads": 3, "vocab_size": 61, "max_position_embeddings": 128, "rms_norm_eps": 1e-5,
        "rope_theta": 500000.0, "tie_word_embeddings": True, "torch_dtype": "bfloat16",
        "rope_scaling": {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
                         "original_max_position_embeddings": 32}}),
    # Biases on q, k and v, and linear rotary scaling.
    "tiny-bias": ("F32", BASE | {
        "architectures": ["Qwen2ForCausalLM"], "model_type": "qwen2", "use_sliding_window": False,
        "hidden_size": 28, "intermediate_size": 37, "num_hidden_layers": 2, "num_attention_heads": 4,
        "num_key_value_heads": 2, "head_dim": 6, "vocab_size": 71, "max_position_embeddings": 64,
        "rms_norm_eps": 1e-6, "rope_theta": 10000.0, "tie_word_embeddings": True, "torch_dtype": "float32",
        "rope_scaling": {"rope_type": "linear", "factor": 2.0}}),
}
LENGTHS = [1, 7, 19]


def random_weights(config, rng):
    hidden, inner = config["hidden_size"], config["intermediate_size"]
    head_dim = config.get("head_dim") or hidden // config["num_attention_heads"]
    q, kv = config["num_attention_heads"] * head_dim, config["num_key_value_heads"] * head_dim

    def matrix(rows, columns):
        return rng.normal(0, 1.5 / np.sqrt(columns), (rows, columns))

    def gain():
        return rng.normal(1, 0.2, hidden)

    weights = {"model.embed_tokens.weight": matrix(config["vocab_size"], hidden)}
    for layer in range(config["num_hidden_layers"]):
        prefix = f"model.layers.{layer}."
        weights[prefix + "input_layernorm.weight"] = gain()
        for name, rows in [("q", q), ("k", kv), ("v", kv)]:
            weights[f"{prefix}self_attn.{name}_proj.weight"] = matrix(rows, hidden)
            if config["model_type"] == "qwen2":
                weights[f"{prefix}self_attn.{name}_proj.bias"] = rng.normal(0, 0.5, rows)
        weights[prefix + "self_attn.o_proj.weight"] = matrix(hidden, q)
        weights[prefix + "post_attention_layernorm.weight"] = gain()
        weights[prefix + "mlp.gate_proj.weight"] = matrix(inner, hidden)
        weights[prefix + "mlp.up_proj.weight"] = matrix(inner, hidden)
        weights[prefix + "mlp.down_proj.weight"] = matrix(hidden, inner)
    weights["model.norm.weight"] = gain()
    if not config["tie_word_embeddings"]:
        weights["lm_head.weight"] = matrix(config["vocab_size"], hidden)
    return weights


def write_safetensors(path, weights, dtype):
    header, data = {"__metadata__": {"format": "pt"}}, b""
    for name, values in weights.items():
        if dtype == "BF16":
            raw = (llama.to_bf16(values).astype("<f4").view("<u4") >> 16).astype("<u2").tobytes()
        else:
            raw = values.astype("<f4").tobytes()
        header[name] = {"dtype": dtype, "shape": list(values.shape), "data_offsets": [len(data), len(data) + len(raw)]}
        data += raw
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text + data)


def make_model(name, dtype, config, seed):
    directory = os.path.join(INPUTS, name)
    os.makedirs(os.path.join(directory, "golden"), exist_ok=True)
    with open(os.path.join(directory, "config.json"), "w") as file:
        json.dump(config, file, indent=2)
        file.write("\n")
    rng = np.random.default_rng(seed)
    write_safetensors(os.path.join(directory, "model.safetensors"), random_weights(config, rng), dtype)
    model = llama.load_huggingface(directory)
    prompts = [[1] + rng.integers(3, config["vocab_size"], length - 1).tolist() for length in LENGTHS]
    with open(os.path.join(directory, "golden", "prompts.json"), "w") as file:
        json.dump(prompts, file)
        file.write("\n")
    for i, tokens in enumerate(prompts):
        logits = model.logits(tokens)
        print(f"{name} {i}: {logits.shape}, standard deviation {logits.std():.2f}")
        np.save(os.path.join(directory, "golden", f"{i}.npy"), logits.astype("<f4"))


def make_stories(folder):
    model = llama.load_llama2c(os.path.join(folder, "stories260K.bin"))
    tokenizer = llama.Tokenizer(os.path.join(folder, "tok512.bin"))
    with open(os.path.join(INPUTS, "stories260K.greedy.json"), "w") as file:
        json.dump(llama.greedy(model, tokenizer, "Once upon a time", 128), file)
        file.write("\n")


for seed, (name, (dtype, config)) in enumerate(MODELS.items()):
    make_model(name, dtype, config, seed)
if len(sys.argv) > 1:
    make_stories(sys.argv[1])
