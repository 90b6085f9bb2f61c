#!/usr/bin/env python3
"""Tests of what only SQLite has: its planner, triggers, conflict clauses, interrupts, threads.

Usage: check_sqlite.py --build DIR [--asan] [NAME ...]

Drives the stock sqlite3 shell against the stand-in service on a random loopback port; the threads
test compiles a small C program against libsqlite3. What both hosts share is tested by test/host.
Prints one block per failing test and in the end "N passed, N failed".
"""

import argparse
import os
import shutil
import sys
import tempfile
import traceback

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import batches  # noqa: E402
import bench  # noqa: E402
import language  # noqa: E402
import limits  # noqa: E402
import planning  # noqa: E402
import sessions  # noqa: E402
import tls  # noqa: E402
import writing  # noqa: E402

MODULES = (planning, limits, language, writing, batches, sessions, tls)


def tests(names):
    """Every test in the order of the files; `names` are parts of names."""
    for module in MODULES:
        for name, function in vars(module).items():
            full = f"{module.__name__}.{name}"
            if name.startswith("test_") and (not names or any(part in full for part in names)):
                yield full, function


def main():
    here = os.path.dirname(os.path.abspath(__file__))
    parser = argparse.ArgumentParser()
    parser.add_argument("--build", default=os.path.join(here, "..", "..", "build"))
    parser.add_argument("--asan", action="store_true", help="the library is built with sanitizers")
    parser.add_argument("names", nargs="*")
    args = parser.parse_args()
    passed = failed = 0
    folder = tempfile.mkdtemp(prefix="check-sqlite-")
    try:
        with bench.standin.Standin(args.build, f"--leads {bench.LEADS}") as server:
            for name, function in tests(args.names):
                server.reset()
                server.control("DELETE", "log")
                try:
                    function(bench.Bench(args.build, folder, server, args.asan))
                    passed += 1
                except bench.Failure as failure:
                    failed += 1
                    print(f"FAIL {name}: {failure}", flush=True)
                except Exception:  # the harness or the service broke: show where
                    failed += 1
                    print(f"FAIL {name}:\n{traceback.format_exc()}", flush=True)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    print(f"{passed} passed, {failed} failed")
    return 1 if failed or not passed else 0


if __name__ == "__main__":
    sys.exit(main())
