#!/usr/bin/env python3
"""The unit tests and the SQLite conformance cases under AddressSanitizer and UBSan, or Valgrind.

Usage: run_sanitized.py --build DIR [--valgrind]. `DIR/asan` (or `DIR/debug`) holds the instrumented build.
"""
import argparse
import glob
import os
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
from run_all import ROOT, counts  # noqa: E402

VALGRIND = ["valgrind", "--quiet", "--error-exitcode=9", "--leak-check=full", "--errors-for-leak-kinds=definite",
            f"--suppressions={HERE}/valgrind.supp"]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--build", required=True)
    parser.add_argument("--valgrind", action="store_true")
    args = parser.parse_args()
    build = os.path.abspath(args.build)
    variant = os.path.join(build, "debug" if args.valgrind else "asan")
    env = dict(os.environ, ASAN_OPTIONS="detect_leaks=1:abort_on_error=0:exitcode=9",
               UBSAN_OPTIONS="print_stacktrace=1:halt_on_error=1")
    prefix = VALGRIND if args.valgrind else []
    commands = [(os.path.basename(p), prefix + [p]) for p in sorted(glob.glob(f"{variant}/unit/test_*"))
                if os.access(p, os.X_OK) and not p.endswith(".d")]
    commands.append(("conformance", [sys.executable, "test/host/conformance.py", "--host", "sqlite", "--build", build,
                                     "--engine", "valgrind" if args.valgrind else "asan"]))
    passed = failed = 0
    for name, command in commands:
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
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
