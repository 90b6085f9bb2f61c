#!/usr/bin/env python3
"""Runs the suites of `make check`, the two hosts side by side, and adds their counts up.

Usage: run_all.py --build DIR [--hosts sqlite|pg|both] [SUITE ...]

A suite is a command whose last count is read from its output: cmocka's "[  PASSED  ] 12 test(s).",
"12 passed, 0 failed", "12 of 12 checks passed", unittest's "Ran 12 tests", or pg_prove's "Files=2, Tests=31". A suite fails when its command fails or when
it ran no test at all. The closing line of this program is "N passed, N failed".

The suites of one host follow each other. Those of the other run at the same time: most of them wait for
answers, for back-offs and for processes to die.
"""
import argparse
import concurrent.futures
import glob
import os
import re
import subprocess
import sys
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(HERE)


def suites(build, hosts):
    """Name, host (None: both), command."""
    def py(*words):
        return [sys.executable, *words]
    for path in sorted(glob.glob(os.path.join(build, "debug", "unit", "test_*"))):
        if os.access(path, os.X_OK) and not path.endswith((".d", ".o")):
            yield "unit " + os.path.basename(path), None, [path]
    standin = os.path.join(build, "close-standin")
    yield "standin", None, py("test/server/selftest.py", standin)
    yield "catalogue", None, py("test/host/catalog_drift.py", "--build", build)
    yield "runner", None, py("test/host/test_runner.py")
    yield "conformance sqlite", "sqlite", py("test/host/conformance.py", "--host", "sqlite", "--build", build)
    yield "property sqlite", "sqlite", py("test/host/property.py", "--build", build)
    yield "conformance sqlite, window 1", "sqlite", py("test/host/conformance.py", "--host", "sqlite", "--build",
                                                       build, "--engine", "window1")
    yield "host sqlite", "sqlite", py("test/sqlite/check_sqlite.py", "--build", build)
    yield "outbox sqlite", "sqlite", py("test/sqlite/check_outbox.py", "--build", build)
    if hosts != "sqlite":
        yield "conformance pg", "pg", py("test/host/conformance.py", "--host", "pg", "--build", build)
        yield "property pg", "pg", py("test/host/property.py", "--host", "pg", "--build", build)
        yield "host pg", "pg", py("test/pg/run_pg.py", "--build", build)


def counts(text):
    """(passed, failed) as far as the output tells."""
    plain = re.findall(r"(\d+) passed, (\d+) failed", text)
    if plain:
        return int(plain[-1][0]), int(plain[-1][1])
    passed = sum(int(n) for n in re.findall(r"\[  PASSED  \] (\d+) test", text))
    failed = sum(int(n) for n in re.findall(r"\[  FAILED  \] (\d+) test", text))
    if passed or failed:
        return passed, failed
    plain = re.findall(r"^Ran (\d+) tests? in .*\n\n(OK|FAILED)", text, re.M)
    if plain:
        return (int(plain[-1][0]), 0) if plain[-1][1] == "OK" else (0, int(plain[-1][0]))
    share = re.findall(r"(\d+) of (\d+) checks passed", text)
    if share:
        return int(share[-1][0]), int(share[-1][1]) - int(share[-1][0])
    tap = re.findall(r"Files=\d+, Tests=(\d+)", text)
    return (int(tap[-1]), 0) if tap else (0, 0)


def run(name, command, env, printing):
    """One suite; (passed, failed)."""
    start = time.monotonic()
    done = subprocess.run(command, cwd=ROOT, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, errors="replace", check=False)
    passed, failed = counts(done.stdout)
    bad = done.returncode != 0 or failed or not passed
    if bad:
        failed = max(failed, 1)
    with printing:
        if bad:
            sys.stdout.write(done.stdout[-20000:] + "\n")
        print(f"{'FAIL' if bad else 'ok  '} {name}: {passed} passed, {failed} failed"
              f" ({time.monotonic() - start:.0f} s)", flush=True)
    return passed, failed


def run_lanes(lanes, env=None):
    """Runs lists of (name, command) side by side, prints the counts; the status to exit with."""
    printing = threading.Lock()

    def follow(lane):
        return [run(name, command, env, printing) for name, command in lane]

    with concurrent.futures.ThreadPoolExecutor(max_workers=len(lanes)) as pool:
        results = [result for lane in pool.map(follow, lanes) for result in lane]
    passed, failed = (sum(column) for column in zip(*results)) if results else (0, 0)
    print(f"{passed} passed, {failed} failed")
    return 1 if failed or not passed else 0


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--build", default=os.path.join(ROOT, "build"))
    parser.add_argument("--hosts", choices=["sqlite", "pg", "both"], default="both")
    parser.add_argument("suite", nargs="*", help="only suites whose name contains one of these")
    args = parser.parse_args()
    lanes = {"sqlite": [], "pg": []}
    for name, host, command in suites(os.path.abspath(args.build), args.hosts):
        if args.hosts != "both" and host not in (None, args.hosts):
            continue
        if not args.suite or any(word in name for word in args.suite):
            lanes[host or "sqlite"].append((name, command))
    return run_lanes(lanes.values())


if __name__ == "__main__":
    sys.exit(main())
