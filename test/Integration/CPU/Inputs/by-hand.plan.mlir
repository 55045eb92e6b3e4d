prune.plan @by_hand {
  prune.skip "layers.0"
  prune.keep "layers.1.mlp" channels = #prune.set<[0, 5:70, 90] of 91>
  prune.keep "layers.1.attn" kv_heads = #prune.set<[1] of 3>
  prune.keep "layers.2.mlp" channels = #prune.set<[3:4] of 91>
  prune.keep "layers.2.attn" kv_heads = #prune.set<[0, 2] of 3>
}
