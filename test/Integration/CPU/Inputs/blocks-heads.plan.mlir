prune.plan @blocks {
  prune.blocks "layers.0.attn" of 16 top(2)
  prune.keep "layers.0.attn" kv_heads = #prune.set<[2] of 3>
  prune.blocks "layers.1.attn" of 16 window(1) sinks(1) top(1)
  prune.keep "layers.1.attn" kv_heads = #prune.set<[1, 2] of 3>
}
