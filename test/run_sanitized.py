#!/usr/bin/env python3
"""The tests of the core and of the SQLite host under AddressSanitizer and UBSan, or under Valgrind.

Usage: run_sanitized.py --build DIR [--valgrind] [--every N]

`DIR/asan` (or `DIR/debug`) holds the instrumented build, DIR the stand-in, which stays as it is: it is
not what is tested. Valgrind is some thirty times slower, so it sees every N-th conformance case (24); the
sanitizers see all of them, and the tests of the host and of the outbox. The closing line is
"N passed, N failed".
"""
import argparse
import glob
import os
import re
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
from run_all import ROOT, run_lanes  # noqa: E402

VALGRIND = ["valgrind", "--quiet", "--error-exitcode=9", "--leak-check=full", "--errors-for-leak-kinds=definite",
            f"--suppressions={HERE}/valgrind.supp"]
CONFORMANCE = [sys.executable, "test/host/conformance.py", "--host", "sqlite"]


def sample(every):
    """A regular expression for every n-th case, by name."""
    listing = subprocess.run([*CONFORMANCE, "--list"], cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True)
    names = [line.split("\t")[1] for line in listing.stdout.splitlines()][::every]
    return "(?:" + "|".join(re.escape(name) for name in names) + ")$"


def commands(build, valgrind, every):
    """Name and command of each suite, in two lists that run side by side."""
    variant = os.path.join(build, "debug" if valgrind else "asan")
    standin = os.path.join(variant, "close-standin")
    if not os.path.lexists(standin):
        os.symlink("../close-standin", standin)
    suites = [(os.path.basename(path), (VALGRIND if valgrind else []) + [path])
              for path in sorted(glob.glob(f"{variant}/unit/test_*"))
              if os.access(path, os.X_OK) and not path.endswith(".d")]
    conformance = [*CONFORMANCE, "--build", variant]
    if valgrind:
        return suites, [("conformance", [*conformance, "--valgrind", "--filter", sample(every)])]
    suites.append(("conformance", [*conformance, "--engine", "asan"]))
    suites.append(("outbox", [sys.executable, "test/sqlite/check_outbox.py", "--build", build, "--asan", variant]))
    return suites, [("host", [sys.executable, "test/sqlite/check_sqlite.py", "--build", variant, "--asan"])]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--build", required=True)
    parser.add_argument("--valgrind", action="store_true")
    parser.add_argument("--every", type=int, default=24)
    args = parser.parse_args()
    env = dict(os.environ, ASAN_OPTIONS="detect_leaks=1:abort_on_error=0:exitcode=9",
               UBSAN_OPTIONS="print_stacktrace=1:halt_on_error=1")
    return run_lanes(commands(os.path.abspath(args.build), args.valgrind, args.every), env)


if __name__ == "__main__":
    sys.exit(main())
