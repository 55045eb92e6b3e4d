#!/usr/bin/env python3
"""check_new_weights.py PRUNED.mlir [MASKS.safetensors]: the weights that `coppice prune` has computed, made once more with numpy.

Reads, for each prune.replace of the module, the old weight (a tensor of a safetensors file, or some rows of one) and the
new ones. A pair of factors must be LAPACK's best approximation of that rank of the rows that are not retained; a weight
with N:M sparsity, or with zeros anywhere, must be the old one with the smallest elements, of equal ones the last, at zero;
where MASKS has a mask for it, it must be the old one where that is not zero.
Knows nothing of keep-sets: for plans without. Prints a line for each weight and fails at the first that differs.
"""
import os
import re
import sys

import numpy as np

from llama import read_safetensors

TOLERANCE = 1e-5  # of ||error|| / ||weight||; the files hold f32


def indices(text):
    """'0, 2:5' -> [0, 2, 3, 4]"""
    found = []
    for part in text.split(","):
        begin, _, end = part.strip().partition(":")
        found += range(int(begin), int(end or int(begin) + 1))
    return found


class Module:
    def __init__(self, path):
        self.text = open(path).read()
        self.directory = os.path.dirname(path)
        self.files = {}
        source = r'@([\w.]+)\(.*#decoder\.file<"([^"]+)", "([^"]+)"(?:, rows = \[(\d+), (\d+)\])?>'
        self.sources = {m[0]: m[1:] for m in re.findall(source, self.text)}
        self.loads = dict(re.findall(r"(%[\w.#]+) = ml_program\.global_load_const @([\w.]+)", self.text))

    def weight(self, value):
        path, key, first, end = self.sources[self.loads[value]]
        path = os.path.join(self.directory, path)
        if path not in self.files:
            self.files[path] = read_safetensors(path)[0]
        tensor = self.files[path][key]
        return tensor[int(first):int(end)] if first else tensor


def low_rank(weight, rank):
    u, s, v = np.linalg.svd(weight, full_matrices=False)
    return (u[:, :rank] * s[:rank]) @ v[:rank]


def keep_largest(values, count):
    """All but `count` at zero: by magnitude, then by place."""
    order = np.argsort(-np.abs(values), kind="stable")
    kept = np.zeros_like(values)
    kept[order[:count]] = values[order[:count]]
    return kept


def with_pattern(weight, n, m):
    groups = [np.apply_along_axis(keep_largest, 1, weight[:, k:k + m], n) for k in range(0, weight.shape[1], m)]
    return np.concatenate(groups, axis=1)


def main():
    module = Module(sys.argv[1])
    masks = read_safetensors(sys.argv[2])[0] if sys.argv[2:] else {}
    replaced = re.findall(r'prune\.replace "([^"]+)" (%[\w.#]+)(?: retain <\[([^\]]*)\] of \d+>)? by (%[^ ,]+(?:, %[^ ,]+)?) '
                          r"(?:pattern <(\d+) of (\d+)>)?(?:sparsity ([\d.e+-]+))?", module.text)
    if not replaced:
        sys.exit(f"{sys.argv[1]}: expected replaced weights, found none")
    for site, old, retain, by, n, m, sparsity in replaced:
        weight, new = module.weight(old), [module.weight(value) for value in by.split(", ")]
        if len(new) == 2:
            rest = np.delete(weight, indices(retain), axis=0) if retain else weight
            rank = new[0].shape[1]
            expected, found, what = low_rank(rest, rank), new[0] @ new[1], f"rank {rank}"
        elif n:
            expected, found, what = with_pattern(weight, int(n), int(m)), new[0], f"{n} of {m}"
        elif site + ".mask" in masks:
            mask = masks[site + ".mask"] != 0
            expected, found, what = weight * mask, new[0], f"mask of {(mask == 0).sum()} zeros"
        else:
            zeros = round(float(sparsity) * weight.size)
            expected = keep_largest(weight.ravel(), weight.size - zeros).reshape(weight.shape)
            found, what = new[0], f"{zeros} zeros"
        error = np.linalg.norm(found - expected) / np.linalg.norm(weight)
        print(f"{site}: {what}, {error:.1e} from the reference's")
        if expected.shape != found.shape or not error <= TOLERANCE:
            sys.exit(f"{site}: expected an error of at most {TOLERANCE:g}")


main()
