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
from run_all import ROOT, counts  # noqa: E402

VALGRIND = ["valgrind", "--quiet", "--error-exitcode=9", "--leak-check=full", "--errors-for-leak-kinds=definite",
            f"--suppressions={HERE}/valgrind.supp"]
CONFORMANCE = [sys.executable, "test/host/conformance.py", "--host", "sqlite"]


def sample(every):
    """A regular expression for every n-th case, by name."""
    listing = subprocess.run([*CONFORMANCE, "--list"], cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True)
    names = [line.split("\t")[1] for line in listing.stdout.splitlines()][::every]
    return "(?:" + "|".join(re.escape(name) for name in names) + ")$"


def commands(build, valgrind, every):
    """Name and command of each suite."""
    variant = os.path.join(build, "debug" if valgrind else "asan")
    standin = os.path.join(variant, "close-standin")
    if not os.path.lexists(standin):
        os.symlink("../close-standin", standin)
    for path in sorted(glob.glob(f"{variant}/unit/test_*")):
        if os.access(path, os.X_OK) and not path.endswith(".d"):
            yield os.path.basename(path), (VALGRIND if valgrind else []) + [path]
    conformance = [*CONFORMANCE, "--build", variant]
    if valgrind:
        yield "conformance", [*conformance, "--valgrind", "--filter", sample(every)]
        return
    yield "conformance", [*conformance, "--engine", "asan"]
    yield "host", [sys.executable, "test/sqlite/check_sqlite.py", "--build", variant, "--asan"]
    yield "outbox", [sys.executable, "test/sqlite/check_outbox.py", "--build", build, "--asan", variant]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--build", required=True)
    parser.add_argument("--valgrind", action="store_true")
    parser.add_argument("--every", type=int, default=24)
    args = parser.parse_args()
    env = dict(os.environ, ASAN_OPTIONS="detect_leaks=1:abort_on_error=0:exitcode=9",
               UBSAN_OPTIONS="print_stacktrace=1:halt_on_error=1")
    passed = failed = 0
    for name, command in commands(os.path.abspath(args.build), args.valgrind, args.every):
        done = subprocess.run(command, cwd=ROOT, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, errors="replace", check=False)
        good, bad = counts(done.stdout)
        if done.returncode or bad or not good:
            bad = max(bad, 1)
            sys.stdout.write(done.stdout[-20000:] + "\n")
        print(f"{'FAIL' if bad else 'ok  '} {name}: {good} passed, {bad} failed", flush=True)
        passed += good
        failed += bad
    print(f"{passed} passed, {failed} failed")
    return 1 if failed or not passed else 0


if __name__ == "__main__":
    sys.exit(main())
