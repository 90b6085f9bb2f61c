"""What the tests of the SQLite host share: a stand-in service, shells, and plain comparisons.

A test is a function `test_...(b)` in one of the modules of this folder; `b` is a Bench that starts
each test with a service in its initial state. A test fails by raising: `b.expect` and its relatives do so
with both values in the text. Nothing here waits for time to pass: `b.until` polls for a state and gives up
after a minute, which only a hanging program reaches.
"""

import contextlib
import os
import re
import signal
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "host"))

import hosts  # noqa: E402  (needs the path above)
import shells  # noqa: E402
import standin  # noqa: E402

LEADS = 60
SECRET = standin.CLIENT_SECRET
GIVE_UP_SECONDS = 60


class Failure(Exception):
    """An expectation that did not hold."""


class Bench:
    """The environment of one test."""

    def __init__(self, build, folder, server, sanitized=False):
        self.build = build
        self.preload = hosts._sanitizer_runtime() if sanitized else None
        self.folder = folder
        self.server = server
        self._shells = 0

    # --- sessions -----------------------------------------------------------------------------

    def environment(self, **changes):
        """Settings as users give them; None removes one."""
        env = hosts.base_environment(self.folder)
        env.update({
            "SCALEKIT_ENV_URL": self.server.url,
            "SCALEKIT_CLIENT_ID": standin.CLIENT_ID,
            "SCALEKIT_CLIENT_SECRET": standin.CLIENT_SECRET,
            "CLOSE_CONNECTION": standin.CONNECTION,
            "CLOSE_IDENTIFIER": standin.IDENTIFIER,
        })
        if self.preload:
            env["ASAN_OPTIONS"] = "abort_on_error=0:exitcode=99:detect_leaks=1"
            env["UBSAN_OPTIONS"] = "print_stacktrace=1:exitcode=99"
        for name, value in changes.items():
            if value is None:
                env.pop(name, None)
            else:
                env[name] = value
        return env

    @contextlib.contextmanager
    def shell(self, entry=None, database=":memory:", **changes):
        """A sqlite3 shell with the library loaded; it must end well."""
        self._shells += 1
        session = shells.SqliteShell(self.build, self.environment(**changes), self.folder,
                                     f"shell{self._shells}", entry=entry, database=database,
                                     preload=self.preload)
        ended = False
        try:
            yield Session(session)
            ended = True
        finally:
            status, errors = session.close()
        if ended:
            # A shell in batch mode answers 1 when a statement failed, which tests do on purpose.
            self.expect(status in (0, 1), True, f"exit status {status}: {errors}")

    def program_environment(self):
        """For programs that are started without the help of `shell`."""
        env = self.environment()
        if self.preload:
            env["LD_PRELOAD"] = self.preload
        return env

    def library(self):
        return os.path.join(os.path.abspath(self.build), "sqlite", "close")

    @staticmethod
    def sqlite_version():
        return shells.sqlite_version()

    # --- the service --------------------------------------------------------------------------

    def calls(self):
        """Tool names called since the last look, tokens left out."""
        log = self.server.log()
        self.server.control("DELETE", "log")
        return [entry["tool"] for entry in log if entry.get("tool")]

    def requests(self):
        """(tool, params) of the calls since the last look."""
        log = self.server.log()
        self.server.control("DELETE", "log")
        return [(entry["tool"], entry.get("params") or {}) for entry in log if entry.get("tool")]

    # --- expectations -------------------------------------------------------------------------

    def expect(self, got, wanted, what=""):
        if got != wanted:
            raise Failure(f"{what}\n    got    {got!r}\n    wanted {wanted!r}")

    def expect_in(self, part, text, what=""):
        if part not in text:
            raise Failure(f"{what}\n    {part!r}\n    is not in {text!r}")

    def expect_match(self, pattern, text, what=""):
        if not re.search(pattern, text):
            raise Failure(f"{what}\n    {text!r}\n    does not match {pattern!r}")

    def until(self, condition, what):
        """Waits for a state that must come."""
        deadline = time.monotonic() + GIVE_UP_SECONDS
        while not condition():
            if time.monotonic() > deadline:
                raise Failure(f"gave up waiting: {what}")
            time.sleep(0.01)


class Session:
    """A shell with the few questions that tests ask."""

    def __init__(self, shell):
        self._shell = shell

    def run(self, sql):
        return self._shell.run(sql)

    def rows(self, sql):
        """Rows of statements that must succeed."""
        outcome = self._shell.run(sql)
        if outcome.errors or outcome.stderr.strip():
            raise Failure(f"{sql}\n    failed: {outcome.stderr}")
        return outcome.rows

    def column(self, sql):
        return [row[0] for row in self.rows(sql)]

    def value(self, sql):
        rows = self.rows(sql)
        if len(rows) != 1:
            raise Failure(f"{sql}\n    gave {len(rows)} rows")
        return rows[0][0]

    def error(self, sql):
        """(result code, text) of a statement that must fail."""
        outcome = self._shell.run(sql)
        if not outcome.errors:
            raise Failure(f"{sql}\n    did not fail: {outcome.rows!r}")
        return outcome.errors[0]

    def plan(self, sql):
        """Lines of EXPLAIN QUERY PLAN without the drawing."""
        outcome = self._shell.run("EXPLAIN QUERY PLAN " + sql)
        if outcome.errors:
            raise Failure(f"{sql}\n    failed: {outcome.stderr}")
        lines = [re.sub(r"^[ |`-]+", "", line) for line in outcome.output.splitlines()]
        return [line for line in lines if line and line != "QUERY PLAN"]


class Process:
    """A shell that is signalled while a statement runs. Interactive: otherwise it ends on a signal."""

    def __init__(self, bench):
        self.bench = bench
        self._marks = 0
        self.out = tempfile.TemporaryFile("w+", dir=bench.folder)
        self.process = subprocess.Popen(
            [shells.sqlite_program(), "-interactive", "-init", "/dev/null", ":memory:"],
            stdin=subprocess.PIPE, stdout=self.out, stderr=subprocess.STDOUT, text=True,
            env=bench.program_environment(), cwd=bench.folder)
        self.send(f".load {bench.library()}")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.stdin.close()
        try:
            self.process.wait(timeout=GIVE_UP_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise Failure("the shell did not end") from None
        text = self.output()
        self.out.close()
        self.bench.expect(self.process.returncode in (0, 1), True, text)

    def send(self, line):
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()

    def interrupt(self):
        self.process.send_signal(signal.SIGINT)

    def output(self):
        self.out.seek(0)
        return self.out.read()

    def finish(self, line):
        """Sends a statement and gives all output once its answer is there."""
        self._marks += 1
        mark = f"finished-{self._marks}"
        self.send(line)
        self.send(f"SELECT 'finished' || -{self._marks};")  # what is typed shows up as well
        self.bench.until(lambda: mark in self.output(), "the shell to answer")
        return self.output()
