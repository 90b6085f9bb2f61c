#!/usr/bin/env python3
"""Torture: memory runs out and interrupts arrive at every point that can be reached in five minutes.

Usage: torture.py --build DIR [--seconds N] [--seed N] [--jobs N]

DIR holds a build with DEBUG=1 (sqlite/close.so) and close-standin. Two engines:

  stop  every instruction of SQLite's machine is interrupted once (test/sqlite/stops.c)
  oom   the n-th allocation of the core fails, for growing n, in conformance cases (oom.py says what must
        hold). Cases come in a random order and stop being started when N seconds (240) are over, so that a
        slow machine tests fewer of them rather than longer; the order is that of the seed, which
        is printed. At least 50 cases must have been tried.

The closing line is "N passed, N failed".
"""

import argparse
import os
import random
import re
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
BATCH = 40
FEWEST = 50


def run(command):
    """Passed, failed and text of a suite that ends in a count."""
    done = subprocess.run(command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, errors="replace", check=False)
    found = re.findall(r"^(\d+) passed, (\d+) failed$", done.stdout, re.M)
    passed, failed = map(int, found[-1]) if found else (0, 1)
    if done.returncode != 0:
        failed = max(failed, 1)
    if failed:
        print(done.stdout[-20000:], flush=True)
    return passed, failed


def case_names():
    done = subprocess.run([sys.executable, "test/host/conformance.py", "--list"], cwd=ROOT,
                          stdout=subprocess.PIPE, text=True, check=True)
    return [line.split("\t")[1] for line in done.stdout.splitlines()]


def short_of_memory(build, seconds, jobs):
    """The oom engine over as many random cases as there is time for."""
    names = case_names()
    random.shuffle(names)
    deadline = time.monotonic() + seconds
    passed = failed = 0
    while names and (time.monotonic() < deadline or passed + failed < FEWEST):
        batch, names = names[:BATCH], names[BATCH:]
        pattern = " (?:" + "|".join(re.escape(name) for name in batch) + ")$"
        good, bad = run([sys.executable, "test/host/conformance.py", "--host", "sqlite", "--engine", "oom",
                         "--build", build, "--jobs", str(jobs), "--filter", pattern])
        passed += good
        failed += bad
    print(f"oom: {passed} passed, {failed} failed, {len(names)} cases left out", flush=True)
    return passed, failed


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--build", required=True)
    parser.add_argument("--seconds", type=int, default=240)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1000000))
    parser.add_argument("--jobs", type=int, default=2)
    args = parser.parse_args()
    build = os.path.abspath(args.build)
    print(f"seed {args.seed}", flush=True)
    random.seed(args.seed)
    stop = run([sys.executable, "test/sqlite/check_sqlite.py", "--build", build, "every_instruction"])
    print(f"stop: {stop[0]} passed, {stop[1]} failed", flush=True)
    oom = short_of_memory(build, args.seconds, args.jobs)
    print(f"{stop[0] + oom[0]} passed, {stop[1] + oom[1]} failed")
    return 1 if stop[1] or oom[1] or not stop[0] or not oom[0] else 0


if __name__ == "__main__":
    sys.exit(main())
