prune.plan @scaled_forecast {
  prune.route "layers.0.attn" axis(M) by bottleneck(5) scaled forecast(7)
  prune.route "layers.0.mlp" axis(M) by linear top = 0.4 order(same) scaled
  prune.route "layers.1.*" axis(M) by mlp(9) threshold = 0.45 forecast(11)
  prune.route "layers.2" axis(M) by linear scaled forecast(3)
}
