prune.plan @blocks {
  prune.blocks "layers.*.attn" of 16 window(1) sinks(1)
}
