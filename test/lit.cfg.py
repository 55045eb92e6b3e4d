# lit's configuration: .mlir files are IR tests, .test files run the tools.
#
# `coppice-opt` in a RUN line is `coppice-opt --verify-roundtrip`: what every IR
# test reads must print and parse back to itself. `%coppice-opt` is the same
# with nothing added, for the few that read what cannot round-trip.
import ctypes
import os

import lit.formats

config.name = "coppice"
config.test_format = lit.formats.ShTest(execute_external=False)
config.suffixes = [".mlir", ".test"]
config.excludes = ["Inputs", "CMakeLists.txt", "lit.cfg.py", "unit", "runtime", "reference", "fuzz", "compose"]
config.test_source_root = os.path.dirname(__file__)
config.test_exec_root = config.coppice_build_test

config.environment["PATH"] = os.pathsep.join(
    [config.coppice_tools, config.llvm_tools, config.environment["PATH"]])
# The tools must not pick up what a developer's machine has stored about itself.
config.environment["XDG_CACHE_HOME"] = os.path.join(config.test_exec_root, "cache")

opt = os.path.join(config.coppice_tools, "coppice-opt")
config.substitutions.append(("%coppice-opt", opt))
config.substitutions.append((r"(?<![\w/.%-])coppice-opt\b", opt + " --verify-roundtrip"))
config.substitutions.append(("%python", config.python))
config.substitutions.append(("%source_root", config.coppice_source))
config.substitutions.append(("%build_root", os.path.dirname(config.coppice_tools)))
config.substitutions.append(("%data", os.path.join(config.test_source_root, "Inputs")))

# Models and texts that the project does not commit; the tests that need them are
# skipped where they are not.
test_data = os.path.abspath(os.environ.get(
    "COPPICE_TEST_DATA", os.path.join(config.coppice_source, "..", "shared", "data")))
config.substitutions.append(("%test_data", test_data))
if os.path.isfile(os.path.join(test_data, "models", "stories260K", "stories260K.bin")):
    config.available_features.add("stories260K")
else:
    lit_config.note(f"no stories260K in {test_data} (COPPICE_TEST_DATA): its tests are skipped")

# Libraries that bench-gemm compares with. They multiply bf16 where the CPU has
# AVX-512.
def loads(name):
    try:
        return bool(ctypes.CDLL(name))
    except OSError:
        return False


if any(map(loads, ["libdnnl.so.2", "libdnnl.so.3", "libopenblas.so.0"])):
    config.available_features.add("peers")
    with open("/proc/cpuinfo") as info:
        if " avx512bw " in info.read():
            config.available_features.add("bf16-peers")
else:
    lit_config.note("neither oneDNN nor OpenBLAS is installed: the tests of bench-gemm's records are skipped")
