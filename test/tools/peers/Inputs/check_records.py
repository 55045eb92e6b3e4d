"""Records of the peer benches: every field of the contract, of its type; times
agree with one another but are not judged.

usage: check_records.py FILE KIND COUNT
"""
import json
import sys

TEXT = ["peer", "peer_version", "dtype", "isa", "host", "cpu", "date", "commit", "model", "cache"]
NUMBERS = {"gemm": ["m", "n", "k"], "model": ["batch", "seq"]}


def check(record, kind):
    assert record["schema"] == "coppice.peers/1" and record["kind"] == kind, record
    for key in TEXT:
        assert isinstance(record[key], str) and record[key], key
    for key in ["threads", "ours_s", "peer_s", "ratio", "predicted_s", "bound_s"] + NUMBERS[kind]:
        assert record[key] > 0, key
    assert abs(record["peer_s"] / record["ours_s"] / record["ratio"] - 1) < 1e-9
    low, high = record["ratio_ci95"]
    assert low <= record["ratio"] <= high
    if kind == "gemm":
        names = [(peer["name"], peer["version"]) for peer in record["peers"]]
        assert names[0] == (record["peer"], record["peer_version"]), names
        assert all(peer["difference"] < 1e-3 for peer in record["peers"])
        assert record["copies"] >= 5


path, kind, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
records = [json.loads(line) for line in open(path)]
for record in records:
    check(record, kind)
assert len(records) == count, f"expected {count} records, found {len(records)}"
