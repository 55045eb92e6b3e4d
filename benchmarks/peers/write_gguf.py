#!/usr/bin/env python3
"""Writes a GGUF file with the shapes of a preset and random bf16 weights, for
whole-model peers that read that format. Needs the packages gguf and numpy.

usage: write_gguf.py PRESET OUT.gguf
"""
import sys

import gguf
import numpy as np

# layers, hidden, intermediate, query heads, KV heads, head width, vocabulary;
# all have tied embeddings.
PRESETS = {
    "demo": (6, 768, 2048, 12, 4, 64, 32000),
    "llama-3.2-1b": (16, 2048, 8192, 32, 8, 64, 128256),
}


def bf16(rng, rows, columns):
    """Random values as the bytes of bf16; the low half of an f32 is dropped."""
    values = rng.standard_normal((rows, columns), dtype=np.float32) * np.float32(0.02)
    return (values.view(np.uint32) >> 16).astype(np.uint16).view(np.uint8)


def main():
    if len(sys.argv) != 3 or sys.argv[1] not in PRESETS:
        sys.exit(f"usage: write_gguf.py {{{','.join(PRESETS)}}} OUT.gguf")
    layers, hidden, inner, heads, kv_heads, width, vocabulary = PRESETS[sys.argv[1]]
    rng = np.random.default_rng(1)
    writer = gguf.GGUFWriter(sys.argv[2], "llama")
    writer.add_block_count(layers)
    writer.add_context_length(8192)
    writer.add_embedding_length(hidden)
    writer.add_feed_forward_length(inner)
    writer.add_head_count(heads)
    writer.add_head_count_kv(kv_heads)
    writer.add_rope_dimension_count(width)
    writer.add_rope_freq_base(500000.0)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_vocab_size(vocabulary)
    writer.add_tokenizer_model("no_vocab")
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_BF16)

    def weight(name, rows, columns):
        writer.add_tensor(name, bf16(rng, rows, columns),
                          raw_dtype=gguf.GGMLQuantizationType.BF16)

    def norm(name):
        writer.add_tensor(name, np.ones(hidden, dtype=np.float32))

    weight("token_embd.weight", vocabulary, hidden)
    norm("output_norm.weight")
    for i in range(layers):
        norm(f"blk.{i}.attn_norm.weight")
        weight(f"blk.{i}.attn_q.weight", heads * width, hidden)
        weight(f"blk.{i}.attn_k.weight", kv_heads * width, hidden)
        weight(f"blk.{i}.attn_v.weight", kv_heads * width, hidden)
        weight(f"blk.{i}.attn_output.weight", hidden, heads * width)
        norm(f"blk.{i}.ffn_norm.weight")
        weight(f"blk.{i}.ffn_gate.weight", inner, hidden)
        weight(f"blk.{i}.ffn_up.weight", inner, hidden)
        weight(f"blk.{i}.ffn_down.weight", hidden, inner)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


if __name__ == "__main__":
    main()
