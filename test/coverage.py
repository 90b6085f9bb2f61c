#!/usr/bin/env python3
"""Line coverage of the core by the unit tests and by the cases and tests of the SQLite host.

Usage: coverage.py --build DIR [--least PERCENT] [--least-file PERCENT]

DIR holds a build with --coverage: core/*.gcno, unit/test_*, sqlite/close.so; and close-standin. Runs the
suites, asks gcov (its JSON form, one record per line of source) and prints one line per file, the lines that
no test reaches of each file below its limit, and "N passed, N failed": the whole must have 90 % of its
lines run and each file 80 %, because some serve PostgreSQL alone. Lines that nobody can reach without a broken
machine are not counted out: the limits leave room for them.
"""

import argparse
import glob
import gzip
import json
import os
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(HERE)


def suites(build):
    for path in sorted(glob.glob(f"{build}/unit/test_*")):
        if os.access(path, os.X_OK) and not path.endswith((".d", ".gcno", ".gcda")):
            yield [path]
    yield [sys.executable, "test/host/conformance.py", "--host", "sqlite", "--build", build]
    yield [sys.executable, "test/sqlite/check_sqlite.py", "--build", build]
    yield [sys.executable, "test/sqlite/check_outbox.py", "--build", build, "--debug", build]


def run_suites(build):
    """Coverage of failing tests would say little: they are reported and the run ends."""
    for path in glob.glob(f"{build}/**/*.gcda", recursive=True):
        os.unlink(path)
    good = True
    for command in suites(build):
        done = subprocess.run(command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, errors="replace", check=False)
        if done.returncode != 0:
            print(f"{' '.join(command)} failed:\n{done.stdout[-4000:]}", flush=True)
            good = False
    return good


def lines_of(build):
    """{source: {line: how often}} of the core, added up over all objects that contain the line."""
    result = {}
    with tempfile.TemporaryDirectory() as folder:
        objects = sorted(glob.glob(f"{build}/core/*.gcno"))
        done = subprocess.run([os.environ.get("GCOV", "gcov"), "--json-format", *objects], cwd=folder,
                              stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, check=False)
        if done.returncode != 0:  # what it says otherwise is about files of data, which have no code
            raise SystemExit(done.stderr)
        for path in glob.glob(os.path.join(folder, "*.gcov.json.gz")):
            with gzip.open(path, "rt", encoding="utf-8") as file:
                report = json.load(file)
            for source in report["files"]:
                name = os.path.relpath(os.path.join(report["current_working_directory"], source["file"]), ROOT)
                if name.startswith("src" + os.sep) and name.endswith(".c"):
                    lines = result.setdefault(name, {})
                    for line in source["lines"]:
                        number = line["line_number"]
                        lines[number] = lines.get(number, 0) + line["count"]
    return result


def ranges(numbers):
    """1-3, 7, 9-10"""
    parts = []
    for number in sorted(numbers):
        if parts and parts[-1][1] == number - 1:
            parts[-1][1] = number
        else:
            parts.append([number, number])
    return ", ".join(f"{a}-{b}" if a != b else str(a) for a, b in parts)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--build", required=True)
    parser.add_argument("--least", type=float, default=90)
    parser.add_argument("--least-file", type=float, default=80)
    args = parser.parse_args()
    good = run_suites(os.path.abspath(args.build))
    passed = failed = all_lines = all_hit = 0
    for name, lines in sorted(lines_of(os.path.abspath(args.build)).items()):
        missed = [number for number, count in lines.items() if count == 0]
        hit = len(lines) - len(missed)
        percent = 100 * hit / max(len(lines), 1)
        print(f"{percent:5.1f} %  {hit:4} of {len(lines):4}  {name}")
        all_lines += len(lines)
        all_hit += hit
        if percent >= args.least_file:
            passed += 1
        else:
            failed += 1
            print(f"         not run: {ranges(missed)}")
    total = 100 * all_hit / max(all_lines, 1)
    print(f"{total:5.1f} %  {all_hit} of {all_lines} lines of the core")
    if total < args.least or not good:
        failed += 1
    else:
        passed += 1
    print(f"{passed} passed, {failed} failed")
    return 1 if failed or not passed else 0


if __name__ == "__main__":
    sys.exit(main())
