"""Prints a module with a plan put into it: with_plan.py MODULE 'decision; decision'."""
import sys

text = open(sys.argv[1]).read()
plan = "prune.plan @plan {\n" + sys.argv[2].replace("; ", "\n") + "\n}\n"
head, brace, tail = text.partition("module @tiny {\n")
print(head + brace + plan + tail)
