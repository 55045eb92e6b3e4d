"""Every figure of each machine description in a folder has a source."""
import json
import pathlib
import sys

files = sorted(pathlib.Path(sys.argv[1]).glob("*.json"))
assert files, "expected machine descriptions"
for file in files:
    machine = json.loads(file.read_text())
    names = {"cache_bytes", "caches", "dispatch_s", "step_s"}
    names |= {n for n in ("tile_rows", "tile_columns", "units") if n in machine}
    for entry in machine["threads"]:
        names |= set(entry["best"]) | {n for n in entry if n.endswith("bytes_per_s")}
    missing = names - set(machine["sources"])
    assert not missing, f"{file}: no source of {sorted(missing)}"
    for curve in machine["curves"]:
        assert curve["origin"], file
