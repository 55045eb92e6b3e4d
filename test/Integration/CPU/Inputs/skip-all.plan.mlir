prune.plan @nothing {
  prune.skip "layers.*"
}
