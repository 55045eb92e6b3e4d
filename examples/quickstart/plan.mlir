// Written for preset:demo (6 layers, 12 query and 4 KV heads, 2048 FFN channels).
// Indices refer to the dense model.
prune.plan @example {
  prune.skip "layers.{1,4}.mlp"                                        // static M: these sublayers are gone
  prune.keep "layers.*.attn" kv_heads = #prune.set<[0, 2] of 4>        // static NK: KV heads 0 and 2 with their query heads
  prune.keep "layers.[2-3].mlp" channels = #prune.set<[0:1024] of 2048>
}
