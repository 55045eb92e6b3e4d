"""exits.py CODE COMMAND..: runs the command and fails unless it exits with CODE.

lit's `not` takes every code but 0, a signal's too on some systems; here 1 (an
input or a check failed) and 2 (wrong usage) are told apart.
"""
import subprocess
import sys

code = subprocess.run(sys.argv[2:], stdin=subprocess.DEVNULL).returncode
if code != int(sys.argv[1]):
    sys.exit(f"expected exit code {sys.argv[1]}, found {code}: {' '.join(sys.argv[2:])}")
