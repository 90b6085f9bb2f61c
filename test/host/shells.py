"""The two hosts as their users drive them: the stock sqlite3 shell and psql.

A shell is one session. `run(sql)` sends statements and waits for a mark that is printed after them,
so that a step of a case sees exactly its own rows and errors. Standard error goes to a file that is
read from where the last step ended: both shells write it unbuffered, so it is complete when the mark
arrives.
"""

import csv
import functools
import io
import json
import os
import queue
import re
import sqlite3
import subprocess
import threading

NULL = "@NULL@"
HANG_SECONDS = 120  # only to notice a session that will never answer

# Result codes by class of error: models of the two hosts, see the error table of the design.
SQLITE_CODES = {
    "ARG": {1, 19}, "CONFIG": {1}, "AUTH": {23}, "FORBIDDEN": {23}, "NOTFOUND": {1},
    "REJECTED": {19}, "CONFLICT": {19}, "RATE": {5}, "REMOTE": {1}, "NET": {1}, "TIMEOUT": {1},
    "UNCERTAIN": {1}, "PROTO": {1}, "LIMIT": {18}, "NOMEM": {7}, "STOPPED": {9}, "BUG": {1},
}
SQLSTATES = {
    "ARG": "22023", "CONFIG": "55000", "AUTH": "28000", "FORBIDDEN": "42501", "NOTFOUND": "P0002",
    "REJECTED": "22023", "CONFLICT": "23505", "RATE": "53400", "REMOTE": "HV000", "NET": "08006",
    "TIMEOUT": "08006", "UNCERTAIN": "08007", "PROTO": "08P01", "LIMIT": "54000", "NOMEM": "53200",
    "BUG": "XX000",
}


class UnknownCode:
    """The result code of an error whose shell shows none (3.52 does not): no test can tell it apart."""

    def __eq__(self, other):
        return isinstance(other, (int, UnknownCode))

    __hash__ = None

    def __repr__(self):
        return "not shown"


class ShellDied(Exception):
    """The shell ended, crashed or hung; the text says what it left on standard error."""


class Outcome:
    """What a step gave: rows of all its statements, and errors as (code, text)."""

    def __init__(self, rows, errors, output, stderr):
        self.rows = rows
        self.errors = errors
        self.output = output
        self.stderr = stderr


class _Session:
    """A child process with piped input and output, read by lines with a hang guard."""

    def __init__(self, command, env, folder, name):
        self._errors_path = os.path.join(folder, name + ".err")
        self._errors = open(self._errors_path, "wb")
        self._offset = 0
        self._marks = 0
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        stderr=self._errors, env=env, cwd=folder, bufsize=0)
        self._lines = queue.SimpleQueue()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self):
        for line in io.BufferedReader(self.process.stdout):
            self._lines.put(line)
        self._lines.put(None)

    def send(self, text):
        try:
            self.process.stdin.write(text.encode("utf-8", "surrogateescape"))
        except OSError:
            pass  # the end of output that follows tells the story

    def read_until(self, mark, timeout):
        wanted = mark.encode()
        collected = []
        while True:
            try:
                line = self._lines.get(timeout=timeout)
            except queue.Empty:
                self.kill()
                raise ShellDied("no answer within the hang limit; session ended\n"
                                + self.new_errors()) from None
            if line is None:
                status = self.process.wait()
                raise ShellDied(f"the shell ended with status {status}\n" + self.new_errors())
            if line.rstrip(b"\r\n") == wanted:
                return b"".join(collected).decode("utf-8", "surrogateescape")
            collected.append(line)

    def new_errors(self):
        """Text on standard error since the last call."""
        with open(self._errors_path, "rb") as file:
            file.seek(self._offset)
            data = file.read()
        self._offset += len(data)
        return data.decode("utf-8", "surrogateescape")

    def kill(self):
        self.process.kill()
        self.process.wait()

    def close(self):
        """Ends the session; returns its exit status."""
        try:
            self.process.stdin.close()
        except OSError:
            pass
        try:
            status = self.process.wait(timeout=HANG_SECONDS)
        except subprocess.TimeoutExpired:
            self.kill()
            status = "hung at exit"
        self._reader.join(timeout=5)
        self.process.stdout.close()
        self._errors.close()
        return status


def statements(sql):
    """Splits at complete statements, so that a trigger body stays in one piece."""
    parts, current = [], []
    for line in sql.split("\n"):
        current.append(line)
        text = "\n".join(current)
        if text.lstrip().startswith("."):
            parts.append(text.strip())
            current = []
        elif line.rstrip().endswith(";") and sqlite3.complete_statement(text):
            parts.append(text.strip())
            current = []
    rest = "\n".join(current).strip()
    if rest:
        parts.append(rest if rest.endswith(";") else rest + ";")
    return parts


class SqliteShell:
    """One sqlite3 process with the extension loaded."""

    host = "sqlite"

    def __init__(self, build, env, folder, name, entry=None, prefix=(), preload=None,
                 database=":memory:"):
        env = dict(env)
        if preload:
            env["LD_PRELOAD"] = preload
        command = [*prefix, sqlite_program(), "-batch", "-init", "/dev/null", database]
        self._session = _Session(command, env, folder, name)
        library = os.path.join(os.path.abspath(build), "sqlite", "close")
        load = f".load {library}" + (f" {entry}" if entry else "")
        self.scale = 8 if prefix else 1
        # Newer shells start with untrusted schemas; triggers and views that call us need them trusted.
        outcome = self.run(f"{load}\nPRAGMA trusted_schema = ON;\n.mode json")
        if outcome.errors:
            self._session.close()
            raise ShellDied("loading failed: " + outcome.stderr)

    def version(self):
        return sqlite_version()

    def set(self, name, value):
        quoted = "NULL" if value == "NULL" else "'" + value.replace("'", "''") + "'"
        outcome = self.run(f"SELECT close_config('{name}', {quoted}) IS NULL;")
        if outcome.errors:
            raise ShellDied(f"setting {name}: {outcome.stderr}")

    def run(self, sql):
        rows, errors, output, stderr = [], [], [], []
        for statement in statements(sql):
            self._session._marks += 1
            mark = f"--mark {self._session._marks}--"
            self._session.send(f"{statement}\n.print {mark}\n")
            text = self._session.read_until(mark, HANG_SECONDS * self.scale)
            problem = self._session.new_errors()
            output.append(text)
            stderr.append(problem)
            rows += _json_rows(text)
            errors += _sqlite_errors(problem)
        return Outcome(rows, errors, "".join(output), "".join(stderr))

    def close(self):
        status = self._session.close()
        return status, self._session.new_errors()


def _json_rows(text):
    """Rows of one or more arrays as the shell's JSON mode prints them; other output is passed over."""
    decoder = json.JSONDecoder(object_pairs_hook=list, strict=False)
    text = text.encode("utf-8", "replace").decode()
    rows, at = [], text.find("[{")
    while at >= 0:
        records, end = decoder.raw_decode(text, at)
        rows += [[value for _, value in record] for record in records]
        at = text.find("[{", end)
    return rows


_SQLITE_ERROR = re.compile(r"^(?:Runtime error|Parse error|Error)(?: near line \d+)?: (.*?)"
                           r"(?: \((\d+)\))?$", re.M)


def _sqlite_errors(text):
    missing = 1 if _shows_codes() else UnknownCode()
    return [(int(match[2]) if match[2] else missing, match[1])
            for match in _SQLITE_ERROR.finditer(text)]


def sqlite_program():
    return os.environ.get("SQLITE3", "sqlite3")


@functools.lru_cache(maxsize=None)
def _shows_codes():
    """Whether the shell ends a message with the result code, which it then leaves out only for 1."""
    failed = subprocess.run([sqlite_program(), "-batch", "-init", "/dev/null", ":memory:",
                             "SELECT zeroblob(2147483648);"], capture_output=True, text=True,
                            check=False)
    return "(18)" in failed.stderr


@functools.lru_cache(maxsize=None)
def sqlite_version():
    text = subprocess.run([sqlite_program(), "--version"], capture_output=True, text=True,
                          check=True).stdout
    return tuple(int(part) for part in text.split()[0].split("."))


class PsqlShell:
    """One psql session in a database that has the extension and the foreign tables."""

    host = "pg"

    def __init__(self, cluster, database, folder, name, user=None):
        command = [cluster.psql, "-X", "-q", "-t", "--csv", "-P", "null=" + NULL, "-v",
                   "VERBOSITY=verbose", "-d", database]
        if user:
            command += ["-U", user]
        env = cluster.environment()
        env["PGOPTIONS"] = "-c timezone=UTC -c intervalstyle=iso_8601"
        self._session = _Session(command, env, folder, name)
        self.run("SELECT 1;")

    def run(self, sql):
        self._session._marks += 1
        mark = f"--mark {self._session._marks}--"
        # \\echo works in an aborted transaction too; psql flushes before it reads the next line.
        self._session.send(f"{_terminated(sql)}\n\\echo {mark}\n")
        text = self._session.read_until(mark, HANG_SECONDS)
        stderr = self._session.new_errors()
        # A row of one empty text is an empty line.
        rows = [[None if item == NULL else item for item in record or [""]]
                for record in csv.reader(io.StringIO(text))]
        return Outcome(rows, _pg_errors(stderr), text, stderr)

    def close(self):
        status = self._session.close()
        return status, self._session.new_errors()


def _terminated(sql):
    sql = sql.rstrip()
    return sql if sql.endswith(";") or sql.lstrip().startswith("\\") else sql + ";"


_PG_ERROR = re.compile(r"^(?:psql:.*?: )?(?:ERROR|FATAL):  ([0-9A-Z]{5}): (.*)$", re.M)


def _pg_errors(text):
    matches = list(_PG_ERROR.finditer(text))
    result = []
    for index, match in enumerate(matches):
        end = matches[index + 1].start() if index + 1 < len(matches) else len(text)
        rest = re.sub(r"^LOCATION:.*$", "", text[match.end():end], flags=re.M).strip()
        result.append((match[1], match[2] + ("\n" + rest if rest else "")))
    return result
