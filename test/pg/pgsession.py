"""A psql session that a test drives step by step, for tests that need more than one.

`run` waits for the end of its statements; `send` does not, and `finish` does. Errors come with their
SQLSTATE. Built on the sessions of the conformance runner.
"""
import shells


class Session:
    def __init__(self, env, user=None):
        self._shell = shells.PsqlShell(env.cluster, env.database, env.cluster.socket, _name(), user)
        self.pid = int(self.value("SELECT pg_backend_pid()"))

    def run(self, sql):
        """Outcome with rows and errors as (sqlstate, text)."""
        return self._shell.run(sql)

    def ok(self, sql):
        outcome = self.run(sql)
        assert not outcome.errors, f"{sql}\n{outcome.errors}"
        return outcome.rows

    def value(self, sql):
        rows = self.ok(sql)
        return rows[0][0] if rows else None

    def fails(self, sql, sqlstate, pattern=""):
        outcome = self.run(sql)
        assert outcome.errors, f"no error: {sql}\n{outcome.rows}"
        code, text = outcome.errors[0]
        assert code == sqlstate, f"{sql}\nSQLSTATE {code}, wanted {sqlstate}: {text}"
        assert pattern in text, f"{sql}\n{pattern!r} is not in {text!r}"
        return text

    def close(self):
        self._shell.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


_count = [0]


def _name():
    _count[0] += 1
    return f"session-{_count[0]}"
