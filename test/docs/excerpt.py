"""Checks an excerpt of tool output, as documentation shows it, with FileCheck.

Each line of the excerpt must occur in the output, in order, but for white space.
`...` stands for anything within a line, or between lines; a `%name` or `#map` for
one value or map, the same wherever the excerpt uses it; a comment for nothing."""

import re
import subprocess
import tempfile

# What FileCheck would take for its own, and what it shall find instead.
TOKENS = re.compile(r"#map[0-9]*|%[A-Za-z0-9_.$#-]*[A-Za-z0-9_$]|\.\.\.|\[\[|\{\{")


def to_check_lines(excerpt):
    names = {}

    def translate(token):
        token = token.group()
        if token == "...":
            return "{{.*}}"
        if token in ("[[", "{{"):
            return "{{" + re.escape(token[0]) * 2 + "}}"
        if token in names:
            return f"[[{names[token]}]]"
        names[token] = f"V{len(names)}"
        pattern = "#map[0-9]*" if token[0] == "#" else "%[A-Za-z0-9_.$#-]+"
        return f"[[{names[token]}:{pattern}]]"

    for line in excerpt.splitlines():
        line = re.sub(r"//.*", "", line).strip()
        if line.strip("."):
            yield "CHECK: " + TOKENS.sub(translate, line)


def check_excerpt(excerpt, output, where):
    """Returns whether the excerpt is there; if not, FileCheck has said what is missing."""
    lines = list(to_check_lines(excerpt))
    if not lines:
        print(f"{where}: an excerpt of nothing", flush=True)
        return False
    with tempfile.NamedTemporaryFile("w", suffix=".check") as checks:
        checks.write("\n".join(lines) + "\n")
        checks.flush()
        found = subprocess.run(["FileCheck", "--allow-empty", "--color=false", checks.name],
                               input=output, text=True, stderr=subprocess.STDOUT, stdout=subprocess.PIPE)
    if found.returncode:
        print(f"{where}: the excerpt is not what the tools print\n{found.stdout}", flush=True)
    return found.returncode == 0
