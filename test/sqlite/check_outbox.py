#!/usr/bin/env python3
"""Tests of the outbox on SQLite: rules, lost answers, dying workers.

Usage: check_outbox.py --build DIR [--debug DIR] [--asan DIR] [--rounds N] [NAME ...]

Drives the stock sqlite3 shell against the stand-in service on a random loopback port. The labelled
crashes need a library built with DEBUG=1; it is looked for in DIR/debug and built when it is not there.
--asan DIR runs the tests that need only a shell with the sanitized library of that folder.
--rounds is the number of killed workers and of random fault sequences (10; 50 is the full run).
Prints one block per failing test and in the end "N passed, N failed".
"""

import argparse
import inspect
import os
import shutil
import subprocess
import sys
import tempfile
import time
import traceback

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import outbox_base  # noqa: E402
import outbox_crash  # noqa: E402
import outbox_faults  # noqa: E402
import outbox_rules  # noqa: E402

ROOT = os.path.dirname(os.path.dirname(outbox_base.HERE))
MODULES = (outbox_rules, outbox_faults, outbox_crash)
LEADS = 30


def tests(names):
    for module in MODULES:
        for name, function in vars(module).items():
            full = f"{module.__name__}.{name}"
            if name.startswith("test_") and (not names or any(part in full for part in names)):
                yield full, function


def debug_library(folder):
    """The library with labelled crashes."""
    path = os.path.join(folder, "sqlite", "close")
    if not os.path.exists(path + ".so"):
        subprocess.run(["make", "-s", "DEBUG=1", "BUILD=" + folder, "sqlite"], cwd=ROOT, check=True,
                       stdout=subprocess.DEVNULL)
    return path


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--build", default=os.path.join(ROOT, "build"))
    parser.add_argument("--debug", help="folder of a build with DEBUG=1; default: BUILD/debug")
    parser.add_argument("--asan", help="folder of a build with DEBUG=1 SAN=address,undefined")
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("names", nargs="*")
    args = parser.parse_args()
    build = os.path.abspath(args.build)
    library = os.path.join(build, "sqlite", "close")
    debug = args.asan or args.debug or os.path.join(build, "debug")
    debug = debug_library(os.path.abspath(debug))
    if args.asan:
        library = debug
    passed = failed = 0
    folder = tempfile.mkdtemp(prefix="check-outbox-")
    try:
        with outbox_base.standin.Standin(build, f"--leads {LEADS}") as server:
            for name, function in tests(args.names):
                if args.asan and "connect(" in inspect.getsource(function):
                    continue  # this process has no sanitizer
                server.reset()
                server.control("DELETE", "log")
                begun = time.monotonic()
                try:
                    box = outbox_base.Box(library, folder, server, name, sanitized=bool(args.asan))
                    box.debug_library, box.rounds = debug, args.rounds
                    function(box)
                    passed += 1
                    print(f"ok   {name} ({time.monotonic() - begun:.1f} s)", flush=True)
                except outbox_base.Failure as failure:
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
