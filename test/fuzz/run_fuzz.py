#!/usr/bin/env python3
"""Runs each fuzz target for a while from its seed corpus.

Usage: run_fuzz.py --build DIR --seconds N. New inputs go to a temporary folder; a crash leaves its input
in DIR and fails. "N passed, N failed" counts targets.
"""
import argparse
import glob
import os
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--build", required=True)
    parser.add_argument("--seconds", type=int, default=60)
    args = parser.parse_args()
    build = os.path.abspath(args.build)
    passed = failed = 0
    for source in sorted(glob.glob(os.path.join(HERE, "fuzz_*.c"))):
        name = os.path.basename(source)[:-2]
        seeds = os.path.join(HERE, "corpus", name[5:])
        with tempfile.TemporaryDirectory() as found:
            done = subprocess.run(
                [os.path.join(build, "fuzz", name), found, seeds, f"-max_total_time={args.seconds}", "-max_len=4096",
                 "-timeout=10", "-rss_limit_mb=1024", f"-artifact_prefix={build}/{name}-"],
                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                errors="replace", check=False)
        runs = [line for line in done.stdout.splitlines() if line.startswith("Done ")]
        if done.returncode or not runs:
            failed += 1
            print(done.stdout[-4000:])
        else:
            passed += 1
        print(f"{'ok  ' if not done.returncode else 'FAIL'} {name}: {runs[-1] if runs else 'no runs'}", flush=True)
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
