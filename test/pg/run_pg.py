#!/usr/bin/env python3
"""What is particular to PostgreSQL, in a private cluster against a private stand-in.

    test/pg/run_pg.py [--build DIR] [--only WORD ...] [--keep] [--long]

Two kinds of suites:
  sql/NN_topic.sql   pgTAP scripts, each in a fresh database that setup.sql prepares, run by pg_prove
  t/topic.py         what needs several sessions, signals or counters; a module with functions
                     test_*(env), which raise AssertionError

The stand-in starts on a random port with 1,000 leads and is reset before each suite. Nothing outlives
the run. The last line is "N passed, N failed".
"""
import argparse
import importlib
import os
import re
import subprocess
import sys
import time
import traceback

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
sys.path.insert(0, os.path.join(ROOT, "test", "host"))
sys.path.insert(0, HERE)

import pgcluster  # noqa: E402
import pgsession  # noqa: E402
import standin  # noqa: E402

FLAGS = "--leads 1000 --second-identifier user_two"
SECOND = "user_two"


class Env:
    """What a suite gets: cluster, stand-in, a database of its own."""

    def __init__(self, build, long):
        self.build = build
        self.long = long
        self.cluster = pgcluster.Cluster(build, settings="log_statement = 'none'\n")
        try:
            self.server = standin.Standin(build, FLAGS)
        except BaseException:
            self.cluster.stop()
            raise
        self.database = None

    def stop(self):
        self.cluster.stop()
        self.server.stop()

    def variables(self):
        return {"url": self.server.url, "identifier": standin.IDENTIFIER, "second": SECOND,
                "client_id": standin.CLIENT_ID, "client_secret": standin.CLIENT_SECRET,
                "connection": standin.CONNECTION}

    def environment(self):
        env = self.cluster.environment()
        env["STANDIN_URL"] = self.server.url
        env["CTL"] = f"{sys.executable} {os.path.join(HERE, 'standin_ctl.py')}"
        env["PGOPTIONS"] = "-c timezone=UTC"
        env["PGDATABASE"] = self.database
        return env

    def fresh(self, name, setup=True):
        """A new database, prepared like a user's, and a stand-in as at the start."""
        self.database = re.sub(r"\W", "_", name)
        self.cluster.create_database(self.database, extension=False)
        self.server.reset()
        if setup:
            words = [self.cluster.psql, "-X", "-q", "-v", "ON_ERROR_STOP=1", "-f",
                     os.path.join(HERE, "setup.sql")]
            for key, value in self.variables().items():
                words += ["-v", f"{key}={value}"]
            subprocess.run(words, env=self.environment(), check=True)

    def session(self, user=None):
        return pgsession.Session(self, user)


def run_sql(env, path):
    """(passed, failed) of one pgTAP script."""
    words = ["pg_prove", "--psql-bin", env.cluster.psql, "--ext", ".sql", "-v"]
    for key, value in env.variables().items():
        words += ["--set", f"{key}={value}"]
    done = subprocess.run([*words, path], env=env.environment(), cwd=HERE, text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    passed = len(re.findall(r"^ok \d+", done.stdout, re.M))
    failed = len(re.findall(r"^not ok \d+", done.stdout, re.M))
    if done.returncode or failed:
        sys.stdout.write(done.stdout)
        failed = max(failed, 1)
    return passed, failed


def run_module(env, name):
    module = importlib.import_module("t." + name)
    passed = failed = 0
    for test in [item for item in vars(module) if item.startswith("test_")]:
        try:
            getattr(module, test)(env)
            passed += 1
        except Exception:  # noqa: BLE001 - any failure of a test is a failed test
            print(f"not ok {name}.{test}")
            traceback.print_exc(file=sys.stdout)
            failed += 1
    return passed, failed


def suites():
    for entry in sorted(os.listdir(os.path.join(HERE, "sql"))):
        if entry.endswith(".sql"):
            yield entry[:-4], os.path.join(HERE, "sql", entry)
    for entry in sorted(os.listdir(os.path.join(HERE, "t"))):
        if entry.endswith(".py") and not entry.startswith("_"):
            yield entry[:-3], None


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--build", default=os.path.join(ROOT, "build"))
    parser.add_argument("--only", nargs="*", default=[], help="suites whose name contains one of these")
    parser.add_argument("--long", action="store_true", help="full numbers of rounds")
    args = parser.parse_args()
    env = Env(os.path.abspath(args.build), args.long)
    passed = failed = 0
    try:
        for name, path in suites():
            if args.only and not any(word in name for word in args.only):
                continue
            start = time.monotonic()
            env.fresh("t_" + name, setup=name != "01_extension")
            good, bad = run_sql(env, path) if path else run_module(env, name)
            if not env.server.alive():
                print("the stand-in died")
                bad += 1
            print(f"{'FAIL' if bad else 'ok  '} pg {name}: {good} passed, {bad} failed"
                  f" ({time.monotonic() - start:.1f} s)", flush=True)
            passed += good
            failed += bad
        with open(env.cluster.log, encoding="utf-8", errors="replace") as file:
            log = file.read()
        crashed = [line for line in log.splitlines() if "was terminated by signal" in line or "TRAP:" in line]
        leaked = standin.CLIENT_SECRET in log
        for line in crashed:
            print("server log:", line)
        if leaked:
            print("server log: it shows the client secret")
        failed += len(crashed) + leaked
    finally:
        env.stop()
    print(f"{passed} passed, {failed} failed")
    return 1 if failed or not passed else 0


if __name__ == "__main__":
    sys.exit(main())
