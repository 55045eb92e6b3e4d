#!/usr/bin/env python3
"""usage: family_figures.py FAMILY < PLAN.json

Compares what `coppice plan show --json -` says of Llama-3.1-8B with the figures that follow from its published sizes and
from the definition of FAMILY (dense, m, nk, cross, low-rank; sparsity one half). Nothing here is asked of the compiler:
the sums are written out once more, by hand. Plain Python.
"""
import json
import sys

VOCABULARY, HIDDEN, INTERMEDIATE, LAYERS, HEADS, KV_HEADS, HEAD_DIM, BYTES = 128256, 4096, 14336, 32, 32, 8, 128, 2


def figures(tokens, attentions=LAYERS, mlps=LAYERS, hidden=HIDDEN, intermediate=INTERMEDIATE, heads=HEADS,
            kv_heads=KV_HEADS, ranks=None):
    """Sizes that are left, `ranks`: of q and o, of k and v, of gate, up and down."""
    q, kv = heads * HEAD_DIM, kv_heads * HEAD_DIM

    def matrix(rows, columns, rank):
        return rank * (rows + columns) if rank else rows * columns

    qo, k_v, mlp = ranks or (0, 0, 0)
    attention = 2 * matrix(q, hidden, qo) + 2 * matrix(kv, hidden, k_v)
    feed_forward = 3 * matrix(intermediate, hidden, mlp)
    layers = attentions * attention + mlps * feed_forward
    table = VOCABULARY * hidden
    parameters = 2 * table + layers + hidden * (attentions + mlps + 1)
    cache = attentions * 2 * kv * BYTES
    # Q K^T and P V: two multiply-adds, two FLOP each, for each query column and position.
    per_position = attentions * 4 * q
    row = hidden * BYTES  # of the embedding: what a token reads of it
    return {
        "params": parameters,
        "weight_bytes": parameters * BYTES,
        # One row of the head: the last token's.
        "prefill_flops": 2 * layers * tokens + 2 * table + per_position * tokens * (tokens + 1) // 2,
        "prefill_bytes": (parameters - table) * BYTES + tokens * (row + cache),
        "decode_flops": 2 * layers + 2 * table + per_position * (tokens + 1),
        "decode_bytes": (parameters - table) * BYTES + row + (tokens + 1) * cache,
        "kv_bytes_per_token": cache,
    }


FAMILIES = {
    "dense": {},
    "m": {"attentions": 16, "mlps": 16},
    "nk": {"heads": 16, "kv_heads": 4, "intermediate": 7168},
    "cross": {"hidden": 2048},
    "low-rank": {"ranks": (1024, 416, 1600)},
}
plan = json.load(sys.stdin)
wrong = []
for side, sizes in ("dense", {}), ("pruned", FAMILIES[sys.argv[1]]):
    for key, expected in figures(plan["seq"], **sizes).items():
        if plan[side][key] != expected:
            wrong.append(f"{side} {key}: expected {expected}, found {plan[side][key]:.0f}")
print("\n".join(wrong) or f"{sys.argv[1]}: all figures as computed by hand")
sys.exit(bool(wrong))
