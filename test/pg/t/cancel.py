"""Cancels, timeouts and disconnects, while the service does not answer.

No clock decides here: the service would answer after ten minutes, so that a statement that ends at all
was ended by us. That the socket is closed is read from the stand-in's count of connections.
"""
import time

NEVER = 600000
PATIENCE = 30  # seconds until we say that something never happens


def until(condition, what):
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end, "never: " + what
        time.sleep(0.02)


def stall(env, tool, times=50, kind="delay"):
    env.server.fault({"tool": tool, "kind": kind, "ms": NEVER, "times": times})


def open_connections(env):
    return env.server.stats()["open_connections"]


def waits(observer, pid):
    return observer.value(f"SELECT wait_event_type FROM pg_stat_activity WHERE pid = {pid}") == "Extension"


STATEMENTS = [
    ("close_me_get", "SELECT close_me_get()"),
    ("close_leads_list", "SELECT count(name) FROM close_leads"),
    ("close_lead_get", "SELECT name FROM close_leads WHERE id IN ('lead_a', 'lead_b', 'lead_c')"),
    ("close_leads_list", "ANALYZE close_leads"),
    ("close_custom_fields_lead_list", "CREATE SCHEMA f; IMPORT FOREIGN SCHEMA close LIMIT TO (close_leads)"
     " FROM SERVER close INTO f OPTIONS (custom_fields 'true')"),
    ("close_comment_threads_list", "SELECT * FROM close_comments"),
]


def test_statement_timeout(env):
    with env.session() as s:
        s.ok("SELECT close_lead_statuses_list()")
        for tool, statement in STATEMENTS:
            env.server.control("DELETE", "faults")
            stall(env, tool)
            before = open_connections(env)
            s.ok("SET statement_timeout = 300")
            s.fails(statement, "57014", "statement timeout")
            s.ok("SET statement_timeout = 0")
            until(lambda: open_connections(env) <= before, f"the socket of {statement} closes")
            env.server.control("DELETE", "faults")
            s.ok("SELECT close_lead_statuses_list()")


def test_cancel_shows_wait_event(env):
    with env.session() as s, env.session() as observer:
        for tool, statement in STATEMENTS:
            env.server.control("DELETE", "faults")
            stall(env, tool)
            s._shell._session.send(f"{statement};\n")
            until(lambda: waits(observer, s.pid), "the wait event of " + statement)
            observer.ok(f"SELECT pg_cancel_backend({s.pid})")
            outcome = s.run("SELECT 1")
            assert [code for code, _ in outcome.errors] == ["57014"], outcome.errors
            env.server.control("DELETE", "faults")
            s.run("DROP SCHEMA IF EXISTS f")


def test_cancelled_write_is_uncertain(env):
    with env.session() as s, env.session() as observer:
        lead = s.value("SELECT id FROM close_leads LIMIT 1")
        for statement in (f"SELECT close_note_create('{lead}', 'cut off')",
                          f"INSERT INTO close_notes (lead_id, note) VALUES ('{lead}', 'cut off')",
                          f"INSERT INTO close_notes (lead_id, note) SELECT '{lead}', 'many' || n FROM generate_series(1, 5) n"):
            env.server.control("DELETE", "faults")
            stall(env, "close_note_create")
            s._shell._session.send(f"{statement};\n")
            until(lambda: waits(observer, s.pid), "the wait event")
            until(lambda: any(e.get("tool") == "close_note_create" for e in env.server.log())
                  or env.server.stats().get("inflight", 1), "the call to leave")
            observer.ok(f"SELECT pg_cancel_backend({s.pid})")
            outcome = s.run("SELECT 1")
            assert [code for code, _ in outcome.errors] == ["57014"], outcome.errors
            assert "may have been carried out" in outcome.stderr, outcome.stderr
            env.server.control("DELETE", "faults")


def test_terminate(env):
    with env.session() as observer:
        s = env.session()
        stall(env, "close_me_get")
        s._shell._session.send("SELECT close_me_get();\n")
        until(lambda: waits(observer, s.pid), "the wait event")
        observer.ok(f"SELECT pg_terminate_backend({s.pid})")
        until(lambda: observer.value(f"SELECT count(*) FROM pg_stat_activity WHERE pid = {s.pid}") == "0",
              "the backend ends")
        s.close()
        env.server.control("DELETE", "faults")


def test_client_goes_away(env):
    if env.cluster.version[0] < 14:
        return
    with env.session() as observer:
        s = env.session()
        s.ok("SET client_connection_check_interval = 50")
        stall(env, "close_me_get")
        s._shell._session.send("SELECT close_me_get();\n")
        until(lambda: waits(observer, s.pid), "the wait event")
        s._shell._session.process.kill()
        until(lambda: observer.value(f"SELECT count(*) FROM pg_stat_activity WHERE pid = {s.pid}") == "0",
              "the backend ends")
        env.server.control("DELETE", "faults")


def test_retry_waits_are_interruptible(env):
    """A back-off of minutes is a wait like any other."""
    with env.session() as s:
        env.server.fault({"tool": "close_me_get", "kind": "status", "status": 429, "shape": "close-error",
                          "message": "slow down", "retry_after": 25, "times": 50})
        s.ok("SET close.retry_budget_ms = 600000")
        s.ok("SET statement_timeout = 300")
        s.fails("SELECT close_me_get()", "57014", "statement timeout")
        env.server.control("DELETE", "faults")
