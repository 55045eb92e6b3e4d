#!/usr/bin/env python3
"""Makes the models hf-* and their golden logits under test/Integration/Inputs, with the implementation of Hugging Face.
Run by hand, with torch and transformers (last: torch 2.15, transformers 5.24); the tests read the files and need neither:

    make_golden_hf.py [NAME ..]      NAME: of those below; all if there is none

Each model is a directory as `save_pretrained` writes it, of seeded random weights with odd sizes; golden/N.npy are the f32
logits [T, vocabulary] for the tokens of golden/prompts.json, computed in f64 with eager attention. All weights are drawn,
also biases and gains, which the library would leave at 0 and 1: dropping any of them shows. Windows are much shorter than
the longest prompt.
"""
import json
import os
import shutil
import sys

import numpy as np
import torch
from transformers import (LlamaConfig, LlamaForCausalLM, MistralConfig, MistralForCausalLM, Phi3Config, Phi3ForCausalLM,
                          Qwen2Config, Qwen2ForCausalLM, Qwen3Config, Qwen3ForCausalLM)

INPUTS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "Integration", "Inputs")
LENGTHS = [1, 7, 23]

BASE = {"vocab_size": 151, "hidden_size": 36, "intermediate_size": 53, "num_hidden_layers": 2, "num_attention_heads": 6,
        "num_key_value_heads": 2, "max_position_embeddings": 64, "bos_token_id": 1, "eos_token_id": 2, "pad_token_id": None,
        "initializer_range": 0.2}

MODELS = {
    # The scaling of Llama 3.1, biases on everything, a head size of its own, an untied head.
    "hf-llama": (LlamaForCausalLM, LlamaConfig, {
        "head_dim": 10, "attention_bias": True, "mlp_bias": True, "rms_norm_eps": 1e-5, "tie_word_embeddings": False,
        "rope_parameters": {"rope_type": "llama3", "rope_theta": 10000.0, "factor": 8.0, "low_freq_factor": 1.0,
                            "high_freq_factor": 4.0, "original_max_position_embeddings": 16}}),
    # A window in all layers.
    "hf-mistral": (MistralForCausalLM, MistralConfig, {
        "head_dim": 8, "sliding_window": 5, "rms_norm_eps": 1e-5, "tie_word_embeddings": False,
        "rope_parameters": {"rope_type": "default", "rope_theta": 10000.0}}),
    # Biases on q, k and v; a window from the second layer on; a tied head.
    "hf-qwen2": (Qwen2ForCausalLM, Qwen2Config, {
        "num_hidden_layers": 3, "use_sliding_window": True, "sliding_window": 5, "max_window_layers": 1,
        "tie_word_embeddings": True, "rope_parameters": {"rope_type": "linear", "rope_theta": 10000.0, "factor": 2.0}}),
    # Norms of the heads of q and k, which are wider than hidden / heads; three query heads in a group.
    "hf-qwen3": (Qwen3ForCausalLM, Qwen3Config, {
        "head_dim": 14, "tie_word_embeddings": True, "rope_parameters": {"rope_type": "default", "rope_theta": 1e6}}),
    # Fused tensors, a window, and a third of each head does not turn.
    "hf-phi3": (Phi3ForCausalLM, Phi3Config, {
        "sliding_window": 6, "tie_word_embeddings": False, "original_max_position_embeddings": 64,
        "rope_parameters": {"rope_type": "default", "rope_theta": 10000.0, "partial_rotary_factor": 0.67}}),
}


def draw_weights(model, generator):
    for name, parameter in model.named_parameters():
        values = torch.randn(parameter.shape, generator=generator, dtype=torch.float64)
        if name.endswith("bias"):
            values *= 0.5
        elif parameter.dim() == 1:
            values = 1 + 0.2 * values
        else:
            values *= 1.5 / parameter.shape[1] ** 0.5
        # What is stored is what is computed with.
        parameter.data = values.to(torch.float32).to(torch.float64)


def make(name, seed):
    kind, config_kind, config = MODELS[name]
    directory = os.path.join(INPUTS, name)
    shutil.rmtree(directory, ignore_errors=True)
    os.makedirs(os.path.join(directory, "golden"))
    model = kind(config_kind(**(BASE | config), attn_implementation="eager")).to(torch.float64).eval()
    generator = torch.Generator().manual_seed(seed)
    draw_weights(model, generator)
    if model.config.tie_word_embeddings:
        model.tie_weights()
    prompts = [[1] + torch.randint(3, BASE["vocab_size"], (length - 1,), generator=generator).tolist()
               for length in LENGTHS]
    with open(os.path.join(directory, "golden", "prompts.json"), "w") as file:
        json.dump(prompts, file)
        file.write("\n")
    for i, tokens in enumerate(prompts):
        with torch.no_grad():
            logits = model(torch.tensor([tokens])).logits[0].numpy()
        print(f"{name} {i}: {logits.shape}, standard deviation {logits.std():.2f}")
        np.save(os.path.join(directory, "golden", f"{i}.npy"), logits.astype("<f4"))
    model.to(torch.float32).save_pretrained(directory)
    os.remove(os.path.join(directory, "generation_config.json"))


for seed, name in enumerate(MODELS):
    if not sys.argv[1:] or name in sys.argv[1:]:
        make(name, seed)
