"""What the suites of the outbox share: a database with it, psql as worker, the stand-in service.

Time never decides: instead of waiting for leases, settling times and back-off to pass, `hurry` waits until
the service has nothing under way and then sets the clocks of the waiting rows back, which is what the
passing of time would do.
"""
import json
import subprocess
import time

import standin

NOTE = "close_note_create"
PATIENCE = 120  # seconds until we say that something never happens
SETTINGS = {"close.retries": 0, "close.timeout_ms": 20000, "close.outbox_settle_ms": 120000,
            "synchronous_commit": "on"}


def check(condition, text):
    if not condition:
        raise AssertionError(text)


def same(got, wanted, what=""):
    if got != wanted:
        raise AssertionError(f"{what}\n  wanted {wanted!r}\n  got    {got!r}")


def until(condition, what):
    end = time.monotonic() + PATIENCE
    while not condition():
        check(time.monotonic() < end, "never: " + what)
        time.sleep(0.01)


def quote(value):
    return "'" + str(value).replace("'", "''") + "'"


class Box:
    """One database with an outbox, and ways to work on it."""

    def __init__(self, cluster, database, server):
        self.cluster, self.database, self.server = cluster, database, server
        server.control("DELETE", "log")
        self.leads = [lead["id"] for lead in server.objects("leads")]

    @classmethod
    def of(cls, env):
        """The database of the suite, with an empty outbox."""
        env.server.reset()
        env.server.control("DELETE", "faults")
        box = cls(env.cluster, env.database, env.server)
        box.ok("TRUNCATE close_outbox")
        return box

    @classmethod
    def made(cls, cluster, database, server):
        """A new database of its own."""
        cluster.create_database(database)
        box = cls(cluster, database, server)
        box.ok(f"CREATE SERVER close FOREIGN DATA WRAPPER close OPTIONS (env_url '{server.url}');"
               " CREATE USER MAPPING FOR CURRENT_USER SERVER close OPTIONS"
               f" (client_id '{standin.CLIENT_ID}', client_secret '{standin.CLIENT_SECRET}',"
               f" identifier '{standin.IDENTIFIER}')")
        return box

    # --- psql -------------------------------------------------------------------------------

    def start(self, sql, settings=None, user="owner"):
        env = self.cluster.environment()
        chosen = {**SETTINGS, **(settings or {})}
        env["PGOPTIONS"] = " ".join(f"-c {name}={value}" for name, value in chosen.items())
        process = subprocess.Popen(
            [self.cluster.psql, "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-v",
             "VERBOSITY=verbose", "-U", user, "-d", self.database], env=env, text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        try:
            process.stdin.write(sql + ";\n")
            process.stdin.close()
        except OSError:
            pass  # it ended early; its status says so
        return process

    def end(self, process):
        """Waits; (status, lines, standard error)."""
        process.stdin = None
        out, err = process.communicate(timeout=PATIENCE)
        return process.returncode, out.splitlines(), err

    def run(self, sql, **more):
        return self.end(self.start(sql, **more))

    def ok(self, sql, **more):
        """Lines of output; no error allowed."""
        status, lines, err = self.run(sql, **more)
        check(status == 0, f"{sql[:300]}: {err}")
        return lines

    def error(self, sql, sqlstate, pattern="", **more):
        status, lines, err = self.run(sql, **more)
        check(status != 0 and f" {sqlstate}: " in err and pattern in err,
              f"{sql[:300]}: wanted {sqlstate} {pattern!r}, got {status} {lines} {err}")

    def drain(self, **more):
        """The number of rows that came to an end."""
        before = self.ended()
        self.ok("CALL close_outbox_drain()", **more)
        return self.ended() - before

    # --- the table --------------------------------------------------------------------------

    def query(self, sql):
        """Rows as lists."""
        return [json.loads(line) for line in
                self.ok(f"SELECT json_build_array(q.*) FROM (SELECT to_json(r.*) AS r FROM ({sql}) r) q")]

    def values(self, columns, rest=""):
        """Rows as tuples."""
        names = ", ".join(columns.split(", "))
        return [tuple(json.loads(line)) for line in
                self.ok(f"SELECT json_build_array({names}) FROM close_outbox {rest}")]

    def ended(self):
        return self.values("count(*)", "WHERE state IN ('done', 'failed', 'uncertain')")[0][0]

    def states(self):
        return dict(self.values("state, count(*)", "GROUP BY state"))

    def row(self, row_id, columns="state"):
        found = self.values(columns, f"WHERE id = {row_id}")
        return found[0] if found else None

    def open_rows(self):
        """Rows that a drain should bring to an end, which those for a later time are not."""
        return self.values("count(*)", "WHERE state IN ('pending', 'sending')"
                           " AND NOT (attempts = 0 AND next_attempt > '2900-01-01')")[0][0]

    def hurry(self):
        """Lets the time pass that waiting rows wait for."""
        until(lambda: self.server.stats()["inflight"] == 0, "the service comes to rest")
        self.ok("UPDATE close_outbox SET lease_until = '2001-01-01' WHERE state = 'sending';"
                " UPDATE close_outbox SET next_attempt = '2001-01-01' WHERE state = 'pending' AND attempts > 0")

    def finish(self, turns=60, **more):
        """Drains until nothing is left to do."""
        for _ in range(turns):
            status, _, err = self.run("CALL close_outbox_drain()", **more)
            check(status == 0 or " 28000: " in err, f"drain: {status}: {err}")
            if not self.open_rows():
                return
            self.hurry()
        raise AssertionError(f"still open after {turns} drains: "
                             f"{self.values('id, tool, state, error', 'WHERE finished IS NULL')[:3]}")

    def enqueue(self, tool, params, options=None, **more):
        args = f"{quote(tool)}, {quote(json.dumps(params))}"
        if options is not None:
            args += ", " + quote(json.dumps(options))
        return int(self.ok(f"SELECT close_enqueue({args})", **more)[0])

    # --- the service ------------------------------------------------------------------------

    def notes(self, prefix):
        """(lead, text) of the notes with that beginning, in order of creation."""
        return [(n["lead_id"], n["note"]) for n in self.server.objects("notes")
                if (n.get("note") or "").startswith(prefix)]

    def calls(self, tool):
        return [e for e in self.server.log() if e.get("tool") == tool]
