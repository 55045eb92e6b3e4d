// Of two layers with 53 channels: factors, factors beside retained rows, three
// patterns and zeros anywhere, on as many weights, biased or not.
prune.plan @static_k {
  prune.factor "layers.0.attn.{q,o}" rank = 7
  prune.factor "layers.0.mlp.up" rank = 5 retain = #prune.set<[1, 4:9, 50:53] of 53>
  prune.pattern "layers.0.attn.{k,v}" axis(K) = 1 of 4 by magnitude
  prune.pattern "layers.0.mlp.{gate,down}" axis(K) = 2 of 4 by magnitude
  prune.pattern "layers.1.attn.*" axis(K) = 4 of 8 by magnitude
  prune.factor "layers.1.mlp.down" rank = 9
  prune.mask "layers.1.mlp.{gate,up}" sparsity = 0.4
}
