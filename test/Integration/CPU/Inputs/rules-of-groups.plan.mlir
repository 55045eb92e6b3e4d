prune.plan @rules_of_groups {
  prune.route "layers.*.attn" axis(N) groups of 2 by linear top = 0.6
  prune.route "layers.*.mlp" axis(N) groups of 24 by mlp(8) threshold = 0.55
}
