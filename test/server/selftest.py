#!/usr/bin/env python3
"""Checks the stand-in service against the checklist of the Close and Scalekit references.

usage: selftest.py PATH/TO/close-standin [NAME...]

Every check talks to a server of its own over HTTP; nothing depends on timing except that a delay
that was asked for is not shorter than asked. Exit status 0 when all checks pass.
"""
import sys
import traceback

from selfbase import TESTS, Server
import selftest_reads  # noqa: F401: importing registers the checks
import selftest_writes  # noqa: F401
import selftest_faults  # noqa: F401
import selftest_kept  # noqa: F401


def main():
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    Server.binary = sys.argv[1]
    chosen = [fn for fn in TESTS if not sys.argv[2:] or fn.__name__ in sys.argv[2:]]
    failed = 0
    for fn in chosen:
        try:
            fn()
            print("ok  ", fn.__name__)
        except Exception:
            failed += 1
            print("FAIL", fn.__name__)
            traceback.print_exc(limit=-3, file=sys.stdout)
    print(f"{len(chosen) - failed} of {len(chosen)} checks passed")
    sys.exit(1 if failed or not chosen else 0)


if __name__ == "__main__":
    main()
