#!/bin/sh
# An engine that takes 4 ms for everything; with an argument, one that answers
# that instead of seconds.
while read -r request value; do
  case "$request" in
    open) echo '{"name": "fake", "version": "1", "detail": "sleeps"}' ;;
    *) sleep 0.004; echo "${1:-0.004}" ;;
  esac
done
