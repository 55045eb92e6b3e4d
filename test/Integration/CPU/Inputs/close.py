"""close.py A.npy B.npy TOLERANCE: is ||a - b|| / ||b|| of each row within it?"""
import sys

import numpy as np

a, b = (np.load(path).astype(np.float64) for path in sys.argv[1:3])
error = np.max(np.linalg.norm(a - b, axis=-1) / np.linalg.norm(b, axis=-1))
if not error <= float(sys.argv[3]):
    sys.exit(f"the worst row differs by {error:.2e}, expected at most {sys.argv[3]}")
