prune.plan @blocks {
  prune.blocks "layers.0.attn" of 16 sinks(1) top(2) scorer(6)
  prune.blocks "layers.1.attn" of 32 top(1) scorer(3) threshold = 0.8
}
