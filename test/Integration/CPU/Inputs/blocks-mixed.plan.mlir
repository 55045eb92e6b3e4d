prune.plan @blocks {
  prune.blocks "layers.0.attn" of 16 top(2)
  prune.blocks "layers.1.attn" of 32 window(2) sinks(1)
}
