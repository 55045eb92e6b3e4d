prune.plan @blocks {
  prune.blocks "layers.0.attn" of 32 threshold = 0.8
  prune.blocks "layers.1.attn" of 32 window(2) sinks(1) threshold = 0.6
  prune.blocks "layers.2.attn" of 64 threshold = 0.9
}
