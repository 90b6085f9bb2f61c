"""Ten thousand failing and cancelled statements in one backend: no handle, descriptor or memory grows.

The first part of each kind warms everything up (connections, caches, the backend's own memory); the
rest must not add to it. In builds that count them, the core's blocks must be the same to the last one.
"""
import os

ROUNDS = {True: 10000, False: 1000}  # with and without --long


def descriptors(session):
    """Of the backend, without the files of its tables, which it opens and closes as it likes."""
    folder = f"/proc/{session.pid}/fd"
    return sum("/data/base/" not in os.readlink(os.path.join(folder, fd)) for fd in os.listdir(folder))


def resident_kib(session):
    with open(f"/proc/{session.pid}/status", encoding="ascii") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("VmRSS:"))


def blocks(session):
    return int(session.value("SELECT value FROM close_stats WHERE name = 'memory_blocks'"))


def loop(session, statement, times, state):
    """Runs a failing statement in subtransactions of one statement, then alone."""
    session.ok(f"""
        DO $do$
        DECLARE
            caught int := 0;
        BEGIN
            FOR i IN 1 .. {times} LOOP
                BEGIN
                    EXECUTE $q${statement}$q$;
                EXCEPTION WHEN SQLSTATE '{state}' THEN
                    caught := caught + 1;
                END;
            END LOOP;
            IF caught <> {times} THEN
                RAISE 'caught % of {times}', caught;
            END IF;
        END $do$;""")
    session.fails(statement, state)


def measure(env, statement, state, part):
    with env.session() as s:
        s.ok("SET close.retries = 0")
        total = ROUNDS[env.long] // part
        loop(s, statement, max(total // 10, 20), state)
        before = (descriptors(s), resident_kib(s), blocks(s))
        loop(s, statement, total, state)
        after = (descriptors(s), resident_kib(s), blocks(s))
        assert after[0] <= before[0] + 1, f"descriptors {before[0]} -> {after[0]}: {statement}"
        assert after[2] <= before[2], f"blocks {before[2]} -> {after[2]}: {statement}"
        assert after[1] <= before[1] + 4096, f"memory {before[1]} -> {after[1]} KiB: {statement}"


def test_failing_calls(env):
    measure(env, "SELECT close_lead_get('lead_none')", "P0002", 2)


def test_refused_arguments(env):
    measure(env, "SELECT close_execute('close_lead_get', '{\"x\": 1}')", "22023", 4)


def test_failing_scans(env):
    measure(env, "SELECT 1 / (length(name) - length(name)) FROM close_leads", "22012", 10)


def test_refused_rows(env):
    measure(env, "INSERT INTO close_leads (name, date_created) VALUES ('x', now())", "22023", 4)


def test_cancelled_statements(env):
    """Each ends by its own statement_timeout, with a call in flight."""
    env.server.fault({"tool": "close_me_get", "kind": "delay", "ms": 600000, "times": 1000000})
    with env.session() as s:
        def cancel(times):
            for _ in range(times):
                s.fails("SELECT close_me_get()", "57014")

        s.ok("SET statement_timeout = 10")
        cancel(20)
        s.ok("SET statement_timeout = 0")
        before = (descriptors(s), blocks(s))
        s.ok("SET statement_timeout = 10")
        cancel(ROUNDS[env.long] // 10)
        s.ok("SET statement_timeout = 0")
        after = (descriptors(s), blocks(s))
        assert after[0] <= before[0], f"descriptors {before[0]} -> {after[0]}"
        assert after[1] <= before[1], f"blocks {before[1]} -> {after[1]}"
    env.server.control("DELETE", "faults")
