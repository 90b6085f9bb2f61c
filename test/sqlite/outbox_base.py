"""What the tests of the outbox share: a database file, the stock shell on it, the stand-in service.

A worker is a sqlite3 process that drains. Time never decides: instead of waiting for leases, settling
times and back-off to pass, `hurry` waits until the service has nothing under way and then sets the
clocks of the waiting rows back, which is what the passing of time would do. The file itself is read
with Python's own SQLite, without the extension: the outbox has to be readable by anybody.
"""

import ctypes
import json
import os
import sqlite3
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(HERE), "host"))

import hosts  # noqa: E402
import shells  # noqa: E402
import standin  # noqa: E402

PAST = "2001-01-01T00:00:00.000000Z"
PROGRESS = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p)
HANG_SECONDS = 120  # only to notice a process that will never end
IDLE_SECONDS = 60


class Failure(Exception):
    """An expectation that did not hold."""


def check(condition, text):
    if not condition:
        raise Failure(text)


def same(got, wanted, what=""):
    if got != wanted:
        raise Failure(f"{what}\n  wanted {wanted!r}\n  got    {got!r}")


def quote(value):
    return "'" + str(value).replace("'", "''") + "'"


class Connection:
    """A connection through libsqlite3 itself: Python's module may lack extensions."""

    def __init__(self, path, library):
        self._lib = ctypes.CDLL("libsqlite3.so.0")
        self._lib.sqlite3_errmsg.restype = ctypes.c_char_p
        self._db = ctypes.c_void_p()
        self._call("open", path.encode(), ctypes.byref(self._db), db=False)
        self._call("enable_load_extension", 1)
        self._call("load_extension", library.encode(), None, None)
        self._call("busy_timeout", 20000)

    def _call(self, name, *args, db=True):
        function = getattr(self._lib, "sqlite3_" + name)
        status = function(self._db, *args) if db else function(*args)
        check(status == 0, f"sqlite3_{name}: {status}")

    def run(self, sql):
        """None, or the error message."""
        status = self._lib.sqlite3_exec(self._db, sql.encode(), None, None, None)
        return None if status == 0 else self._lib.sqlite3_errmsg(self._db).decode()

    def interrupt(self):
        self._lib.sqlite3_interrupt(self._db)

    def interrupt_after(self, n):
        """Ctrl-C at the n-th instruction of SQLite's machine from now; 0 takes it back."""
        left = [n]

        def count(_):
            left[0] -= 1
            if left[0] == 0:
                self.interrupt()
            return 0

        self._handler = PROGRESS(count if n else 0)
        self._lib.sqlite3_progress_handler(self._db, 1 if n else 0, self._handler, None)
        return lambda: left[0] <= 0

    def autocommit(self):
        return self._lib.sqlite3_get_autocommit(self._db) != 0

    def close(self):
        return self._lib.sqlite3_close(self._db)


class Box:
    """One database file with an outbox, and ways to work on it."""

    SETTINGS = {"outbox_settle_ms": 120000, "timeout_ms": 20000, "retries": 0}

    def __init__(self, library, folder, server, name, install=True, sanitized=False):
        self.library = library
        self.server = server
        self.sanitized = sanitized
        self.path = os.path.join(folder, name + ".db")
        for suffix in ("", "-journal", "-wal", "-shm"):
            if os.path.exists(self.path + suffix):
                os.unlink(self.path + suffix)
        self.env = hosts.base_environment(folder)
        self.env.update({"SCALEKIT_ENV_URL": server.url, "SCALEKIT_CLIENT_ID": standin.CLIENT_ID,
                         "SCALEKIT_CLIENT_SECRET": standin.CLIENT_SECRET,
                         "CLOSE_CONNECTION": standin.CONNECTION,
                         "CLOSE_IDENTIFIER": standin.IDENTIFIER})
        if sanitized:
            self.env.update({"LD_PRELOAD": hosts._sanitizer_runtime(),
                             "ASAN_OPTIONS": "abort_on_error=0:exitcode=99:detect_leaks=1",
                             "UBSAN_OPTIONS": "print_stacktrace=1:exitcode=99"})
        self.leads = [lead["id"] for lead in server.objects("leads")]
        if install:
            self.ok("SELECT close_outbox_install();")

    def other(self, name, **more):
        """Another file for the same service."""
        return Box(self.library, os.path.dirname(self.path), self.server, name,
                   sanitized=self.sanitized, **more)

    # --- the shell ------------------------------------------------------------------------

    def start(self, sql, library=None, env=None, settings=None):
        """A shell that runs `sql`, as a running process."""
        lines = [".load " + (library or self.library), ".timeout 20000", ".output /dev/null",
                 "PRAGMA trusted_schema = ON;"]  # newer shells start without
        for name, value in {**self.SETTINGS, **(settings or {})}.items():
            lines.append(f"SELECT close_config({quote(name)}, {quote(value)});")
        lines += [".output stdout", ".mode json", sql]
        process = subprocess.Popen([shells.sqlite_program(), "-bail", self.path], env={**self.env, **(env or {})},
                                   stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                   stderr=subprocess.PIPE)
        try:
            process.stdin.write("\n".join(lines).encode() + b"\n")
            process.stdin.close()
        except OSError:
            pass  # it ended early; its status says so
        return process

    def end(self, process):
        """Waits; (status, rows of the last statement, standard error)."""
        process.stdin = None
        out, err = process.communicate(timeout=HANG_SECONDS)
        rows = []
        for part in out.decode().split("]\n"):
            if part.strip():
                rows = [list(row.values()) for row in json.loads(part + "]")]
        return process.returncode, rows, err.decode()

    def run(self, sql, **more):
        return self.end(self.start(sql, **more))

    def ok(self, sql, **more):
        """Rows of the last statement; no error allowed."""
        status, rows, err = self.run(sql, **more)
        check(status == 0 and not err, f"{sql[:200]}: status {status}: {err}")
        return rows

    def error(self, sql, pattern, **more):
        """The statement fails with words that contain `pattern`."""
        status, rows, err = self.run(sql, **more)
        check(status != 0 and pattern in err, f"{sql[:200]}: wanted an error with {pattern!r}, got "
                                              f"{status} {rows} {err}")

    def drain(self, **more):
        rows = self.ok("SELECT close_outbox_drain();", **more)
        return rows[0][0]

    # --- the file -------------------------------------------------------------------------

    def query(self, sql, *args):
        db = sqlite3.connect(self.path, timeout=20)
        try:
            with db:
                return db.execute(sql, args).fetchall()
        finally:
            db.close()

    def states(self):
        return dict(self.query("SELECT state, count(*) FROM close_outbox GROUP BY state"))

    def open_rows(self):
        """Rows that a drain should bring to an end, which those for a later time are not."""
        return self.query("SELECT count(*) FROM close_outbox WHERE state IN ('pending', 'sending')"
                          " AND NOT (attempts = 0 AND next_attempt > '2900')")[0][0]

    def hurry(self):
        """Lets the time pass that waiting rows wait for."""
        limit = time.monotonic() + IDLE_SECONDS
        while self.server.stats()["inflight"] > 0:
            check(time.monotonic() < limit, "the service never came to rest")
            time.sleep(0.005)
        self.query("UPDATE close_outbox SET lease_until = ? WHERE state = 'sending'", PAST)
        self.query("UPDATE close_outbox SET next_attempt = ? WHERE state = 'pending'"
                   " AND attempts > 0", PAST)

    def finish(self, turns=60, **more):
        """Drains until nothing is left to do."""
        for _ in range(turns):
            status, _, err = self.run("SELECT close_outbox_drain();", **more)
            check(status == 0 or "AUTH" in err, f"drain: {status}: {err}")
            if not self.open_rows():
                return
            self.hurry()
        raise Failure(f"still open after {turns} drains: "
                      f"{self.query('SELECT * FROM close_outbox WHERE finished IS NULL')[:3]}")

    def connect(self):
        """A connection of this process with the extension, for what the shell cannot do."""
        db = Connection(self.path, self.library)
        for name, value in {**self.SETTINGS, "env_url": self.server.url,
                            "client_id": standin.CLIENT_ID, "client_secret": standin.CLIENT_SECRET,
                            "connection": standin.CONNECTION,
                            "identifier": standin.IDENTIFIER}.items():
            same(db.run(f"SELECT close_config({quote(name)}, {quote(value)})"), None)
        return db

    def enqueue(self, tool, params, options=None):
        args = f"{quote(tool)}, {quote(json.dumps(params))}"
        if options is not None:
            args += ", " + quote(json.dumps(options))
        return self.ok(f"SELECT close_enqueue({args});")[0][0]

    def row(self, row_id, columns="state"):
        found = self.query(f"SELECT {columns} FROM close_outbox WHERE id = ?", row_id)
        return found[0] if found else None

    # --- the service ----------------------------------------------------------------------

    def notes(self, prefix=""):
        """(lead, text) of the notes with that beginning, in order of creation."""
        return [(n["lead_id"], n["note"]) for n in self.server.objects("notes")
                if (n.get("note") or "").startswith(prefix or "\0")]

    def calls(self, tool):
        return [e for e in self.server.log() if e.get("tool") == tool]
