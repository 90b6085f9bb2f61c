"""The background workers: who starts and wakes them, that nothing runs when nothing is to be done, what errors and
crashes leave, and that they stop.

Tests that stop the server or change its settings have a cluster of their own, the others share one, each with a
database of its own. How often a worker looks, and when it means to look again, is read in the log of
the server, where it says so at debug1.
"""
import atexit
import json
import os
import re

import pgcluster
import standin

from t._outbox import NOTE, Box, check, same, until
from t.outbox_crash import die, fill, starts

SETTINGS = "log_min_messages = debug1\nrestart_after_crash = on\n"
WORKERS = "FROM pg_stat_activity WHERE backend_type = 'close outbox worker'"
NOTHING = None
common = []  # the shared cluster, once it is there


def made(env, settings="", preload="close"):
    return pgcluster.Cluster(env.build, settings=SETTINGS + settings, preload=preload)


def shared(env):
    """A new database of the shared cluster."""
    if not common:
        common.append(made(env))
        atexit.register(common[0].stop)
    shared.databases += 1
    return database(env, common[0], f"work{shared.databases}")


shared.databases = 0


def log_of(cluster):
    with open(cluster.log, encoding="utf-8", errors="replace") as log:
        return log.read()


def looks(b):
    """For each look into the database the ms until the next, NOTHING when there is to be none."""
    found = re.findall(rf'worker of "{b.database}": (?:next look in (\d+) ms|nothing is left)', log_of(b.cluster))
    return [int(ms) if ms else NOTHING for ms in found]


def said(b):
    """The complaints of the launcher, and of workers about this database."""
    return re.findall(rf'LOG:  close outbox (?:launcher|worker of "{b.database}").*', log_of(b.cluster))


def database(env, cluster, name="work"):
    env.server.reset()
    env.server.control("DELETE", "faults")
    return Box.made(cluster, name, env.server)


def pid_of(b):
    found = b.ok(f"SELECT pid {WORKERS} AND datname = '{b.database}'")
    return int(found[0]) if found else None


def nudge(b):
    """A commit that wakes the worker and leaves nothing."""
    row = json.dumps({"lead_id": b.leads[0], "note": "never"})
    b.ok(f"BEGIN; SELECT close_enqueue('{NOTE}', '{row}', '{{\"reference\": \"nudge\"}}');"
         " DELETE FROM close_outbox WHERE reference = 'nudge'; COMMIT")


def settle(b):
    """Lets workers bring everything to an end. Where a row waits for the lease of a worker that is gone, the lease is
    set back; a worker that lives must be able to rely on its own, so that happens when there is none, and only to rows
    that were claimed before. A worker leaves when all that is left has to wait."""
    def over():
        claimed = b.values("id, worker", "WHERE state = 'sending' AND worker IS NOT NULL")
        if pid_of(b) is not None or not b.open_rows():
            return not b.open_rows()
        until(lambda: b.server.stats()["inflight"] == 0, "the service comes to rest")
        for row, worker in claimed:
            b.ok(f"UPDATE close_outbox SET lease_until = '2001-01-01' WHERE id = {row} AND worker = '{worker}'")
        b.ok("UPDATE close_outbox SET next_attempt = '2001-01-01' WHERE state = 'pending' AND attempts > 0")
        nudge(b)
        return False

    until(over, "the outbox is empty")


def note(b, text, options=None):
    return b.enqueue(NOTE, {"lead_id": b.leads[0], "note": text}, options)


def until_state(b, row, state):
    until(lambda: b.row(row) == (state,), f"row {row} is {state}")


def until_gone(b):
    until(lambda: pid_of(b) is None, "the worker leaves")


def until_looks(b, n):
    until(lambda: len(looks(b)) >= n, f"{n} looks")


def reload(cluster, **settings):
    for name, value in settings.items():
        cluster.sql(f"ALTER SYSTEM SET close.{name} = {value}")
    cluster.sql("SELECT pg_reload_conf()")


def test_a_commit_starts_it_and_a_rollback_does_not(env):
    b = shared(env)
    until_state(b, note(b, "w enqueued"), "done")
    params = json.dumps({"lead_id": b.leads[0], "note": "w gone"})
    kept = params.replace("gone", "kept")
    b.ok(f"BEGIN; SELECT close_enqueue('{NOTE}', '{params}'); ROLLBACK")
    b.ok(f"BEGIN; SAVEPOINT s; SELECT close_enqueue('{NOTE}', '{params}'); ROLLBACK TO s;"
         f" INSERT INTO close_outbox (tool, params) VALUES ('{NOTE}', '{kept}'); COMMIT")
    until(lambda: b.states() == {"done": 2}, "the plain insert is sent")
    same([text for _, text in b.notes("w ")], ["w enqueued", "w kept"])
    same(b.ok(f"SELECT close_outbox_wait({note(b, 'w waited for')})"), ["done"])
    same(len(b.calls(NOTE)), 3, "each once")
    same(said(b), [])


def test_rows_of_a_role_go_as_that_role(env):
    b = shared(env)
    b.ok("CREATE ROLE clerk LOGIN; GRANT USAGE ON FOREIGN SERVER close TO clerk;"
         " CREATE USER MAPPING FOR clerk SERVER close OPTIONS"
         f" (client_id '{standin.CLIENT_ID}', client_secret '{standin.CLIENT_SECRET}', identifier 'user_two');"
         " GRANT EXECUTE ON FUNCTION close_execute, close_enqueue TO clerk; GRANT SELECT ON close_outbox TO clerk")
    row = b.enqueue("close_lead_create", {"name": "r clerk"}, user="clerk")
    until_state(b, row, "done")
    same([call.get("identifier") for call in b.calls("close_lead_create")], ["user_two"])


def test_nothing_runs_when_nothing_is_to_be_done(env):
    b = shared(env)
    same(looks(b), [], "a new database is nobody's business")
    until_state(b, note(b, "s first"), "done")
    until_gone(b)
    before = looks(b)
    same(before[-1], NOTHING)
    b.ok("CREATE TABLE plain (i int)")
    for i in range(20):
        b.ok(f"INSERT INTO plain VALUES ({i})")
    until_state(b, note(b, "s second"), "done")
    until_looks(b, len(before) + 1)
    same(len(looks(b)), len(before) + 1, "one look for one commit, none for the others")


def test_a_later_row_is_kept(env):
    b = shared(env)
    row = note(b, "l later", {"not_before": "2999-01-01T00:00:00Z"})
    until_looks(b, 1)
    until_gone(b)
    same(looks(b), [300000])
    same(b.row(row, "state, attempts"), ("pending", 0))
    b.ok(f"SELECT close_outbox_retry({row})")
    until_state(b, row, "done")
    soon = b.ok("SELECT (now() + interval '4 seconds')::text")[0].replace(" ", "T")
    row = note(b, "l soon", {"not_before": soon})
    until_state(b, row, "done")
    same(b.values("sent_at >= next_attempt", f"WHERE id = {row}"), [(True,)], "not before its time")
    same(len(b.calls(NOTE)), 2)


def test_what_waits_for_a_person_is_looked_at_less_and_less(env):
    b = shared(env)
    first = note(b, "p uncertain", {"not_before": "2999-01-01T00:00:00Z"})
    until_looks(b, 1)
    b.ok(f"UPDATE close_outbox SET state = 'uncertain', attempts = 1 WHERE id = {first}")
    behind = note(b, "p behind")
    until_looks(b, 4)
    same(looks(b)[1:4], [1000, 2000, 4000])
    same(b.row(behind), ("pending",))
    b.ok(f"SELECT close_outbox_cancel({first})")
    until_state(b, behind, "done")
    same([text for _, text in b.notes("p ")], ["p behind"])


def test_an_error_is_said_once_and_survived(env):
    b = shared(env)
    until_state(b, note(b, "e first"), "done")
    b.ok("ALTER USER MAPPING FOR CURRENT_USER SERVER close OPTIONS (SET client_secret 'wrong-secret')")
    before = len(looks(b))
    row = note(b, "e held")
    until_looks(b, before + 4)
    same(len(said(b)), 1, "said once, by two workers, since pauses grow from one to the next")
    log = log_of(b.cluster)
    check("stay in the outbox" in log, "it says what becomes of the rows")
    check("wrong-secret" not in log and standin.CLIENT_SECRET not in log, "no secret in the log")
    same(looks(b)[before:before + 4], [1000, 2000, 4000, 8000])
    same(b.row(row, "state, attempts"), ("pending", 0))
    b.ok("ALTER USER MAPPING FOR CURRENT_USER SERVER close OPTIONS"
         f" (SET client_secret '{standin.CLIENT_SECRET}')")
    nudge(b)
    until_state(b, row, "done")


def test_kill_of_the_worker(env):
    with made(env) as cluster:
        b = database(env, cluster)
        rounds = 50 if env.long else 4
        hit = part = 0
        while hit < rounds:
            part += 1
            check(part <= 5 * rounds, "the worker is not hit while it sends")
            b.server.reset()
            b.server.config({"latency_ms": 30})
            before = starts(cluster)
            verify = fill(b, f"k{part}")
            until(lambda: b.values("count(*)", "WHERE attempts > 0")[0][0] > 0, "it sends")
            pid, busy = pid_of(b), b.open_rows() > 0
            if pid is not None and die(pid):
                hit += busy
                until(lambda old=before: starts(cluster) > old, "the server recovers")
            settle(b)
            verify()
        same(said(b), [])
    print(f"  ({hit} workers killed at work, {part} fillings)")


def test_an_end_by_hand(env):
    """Worker and launcher come back when somebody tells them to end."""
    b = shared(env)
    b.server.config({"latency_ms": 30})
    verify = fill(b, "h")
    until(lambda: b.values("count(*)", "WHERE attempts > 0")[0][0] > 0, "it sends")
    b.ok("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE backend_type LIKE 'close outbox %'")
    settle(b)
    verify()
    same(starts(b.cluster), 1, "the server went on")


def test_drop_and_create_extension(env):
    with made(env) as cluster:
        b = database(env, cluster)
        until_state(b, note(b, "d before"), "done")
        note(b, "d never", {"not_before": "2999-01-01T00:00:00Z"})
        b.ok("DROP EXTENSION close CASCADE")
        before = len(looks(b))
        reload(cluster)
        until_looks(b, before + 1)
        until(lambda: looks(b)[-1] is NOTHING, "there is no extension")
        until_gone(b)
        b.ok("CREATE EXTENSION close;"
             f" CREATE SERVER close FOREIGN DATA WRAPPER close OPTIONS (env_url '{env.server.url}');"
             " CREATE USER MAPPING FOR CURRENT_USER SERVER close OPTIONS"
             f" (client_id '{standin.CLIENT_ID}', client_secret '{standin.CLIENT_SECRET}',"
             f" identifier '{standin.IDENTIFIER}')")
        until_state(b, note(b, "d after"), "done")
        same([text for _, text in b.notes("d ")], ["d before", "d after"])
        same(said(b), [])


def test_drop_database(env):
    """An idle outbox holds nobody up, FORCE ends a worker, and a row that was to come later is forgotten."""
    with made(env) as cluster:
        b = database(env, cluster)
        until_state(b, note(b, "x done"), "done")
        note(b, "x later", {"not_before": "2999-01-01T00:00:00Z"})
        until_gone(b)
        cluster.sql("DROP DATABASE work")
        b = database(env, cluster)
        b.server.config({"latency_ms": 200})
        fill(b, "x")
        until(lambda: pid_of(b) is not None, "a worker comes")
        cluster.sql("DROP DATABASE work WITH (FORCE)")
        b = database(env, cluster, "other")
        reload(cluster)
        until_state(b, note(b, "x other"), "done")
        log = log_of(cluster)
        check('database "work" does not exist' not in log and "FATAL:  database" not in log, "nobody looks for it")


def test_one_worker_for_many_databases(env):
    with made(env, "close.outbox_workers = 1\nmax_worker_processes = 3\n") as cluster:
        boxes = [database(env, cluster, f"many{i}") for i in range(4)]
        rows = [(b, note(b, f"m {b.database} {i}")) for i in range(3) for b in boxes]
        for b, row in rows:
            until_state(b, row, "done")
        same(len(boxes[0].notes("m ")), 12)


def test_settings_are_read_again(env):
    with made(env, "close.outbox_databases = 'work, \"Not There\"'\n") as cluster:
        b, other = database(env, cluster), database(env, cluster, "other")
        row = note(other, "o other")
        until_state(b, note(b, "o mine"), "done")
        same(other.row(row, "state, attempts"), ("pending", 0))
        b.error("SET close.outbox_databases = 'other'", "55P02")
        reload(cluster, outbox_databases="''")
        until_state(other, row, "done")
        reload(cluster, outbox_workers="0")
        until(lambda: b.ok("SHOW close.outbox_workers") == ["0"], "it is read")
        until_gone(b)
        until_gone(other)
        before = looks(b)
        row = note(b, "o held")
        same(b.ok("CALL close_outbox_drain(1); SELECT count(*) FROM close_outbox WHERE state = 'done'"), ["2"])
        same(looks(b), before, "no worker looked")
        row = note(b, "o again")
        reload(cluster, outbox_workers="2")
        until_state(b, row, "done")
        same(len(b.calls(NOTE)), 4)


def test_a_bad_list_means_no_database(env):
    with made(env, "close.outbox_databases = 'one two'\n") as cluster:
        b = database(env, cluster)
        row = note(b, "b row")
        until(lambda: said(b), "it says so")
        reload(cluster)
        same(b.ok("SELECT close_outbox_cancel(id) FROM close_outbox"), [str(row)])
        reload(cluster, outbox_databases="''")
        until_state(b, note(b, "b again"), "done")
        same(len(said(b)), 1)
        same([text for _, text in b.notes("b ")], ["b again"])


def test_a_prepared_transaction_is_not_forgotten(env):
    with made(env, "max_prepared_transactions = 2\n") as cluster:
        b = database(env, cluster)
        params = json.dumps({"lead_id": b.leads[0], "note": "2 phases"})
        b.ok(f"BEGIN; SELECT close_enqueue('{NOTE}', '{params}'); PREPARE TRANSACTION 'outbox'")
        until_looks(b, 1)
        same(looks(b)[-1], 60000)
        b.ok("COMMIT PREPARED 'outbox'")
        nudge(b)
        until(lambda: b.states() == {"done": 1}, "it is sent")


def test_nothing_of_a_database_can_mislead_it(env):
    """It is a superuser: neither a search path that the owner of the database sets nor a procedure that fits better
    must lead it elsewhere."""
    b = shared(env)
    b.ok("CREATE SCHEMA evil; CREATE TABLE evil.calls (who name); CREATE FUNCTION evil.bool_or_state(boolean,"
         " boolean) RETURNS boolean LANGUAGE sql AS 'INSERT INTO evil.calls VALUES (current_user); SELECT true';"
         " CREATE AGGREGATE evil.bool_or(boolean) (SFUNC = evil.bool_or_state, STYPE = boolean);"
         " CREATE PROCEDURE public.close_outbox_drain() LANGUAGE sql"
         " AS 'INSERT INTO evil.calls VALUES (current_user)';"
         " CREATE TABLE evil.pg_extension (extname name); CREATE TABLE evil.close_outbox (id bigint);"
         " ALTER DATABASE " + b.database + " SET search_path = evil, public, pg_catalog")
    b.ok("SET search_path = public; SELECT close_enqueue('close_note_create', '"
         + json.dumps({"lead_id": b.leads[0], "note": "m one"}) + "')")
    until(lambda: b.notes("m one"), "it sends")
    until_looks(b, 1)
    same(b.ok("SELECT count(*) FROM evil.calls"), ["0"])


def test_it_stops_and_starts_with_the_server(env):
    with made(env) as cluster:
        b = database(env, cluster)
        b.server.config({"latency_ms": 30})
        verify = fill(b, "t")
        until(lambda: b.values("count(*)", "WHERE attempts > 0")[0][0] > 0, "it sends")
        pid = pid_of(b)
        cluster.halt("fast")
        check(pid is None or not os.path.exists(f"/proc/{pid}"), "the worker has gone")
        log = log_of(cluster)
        check("database system is shut down" in log and "terminated by signal" not in log, "a clean stop")
        cluster.start()
        settle(b)
        verify()
        note(b, "t over", {"not_before": "2999-01-01T00:00:00Z"})
        before = len(looks(b))
        cluster.halt("fast")
        cluster.start()
        until_looks(b, before + 1)
        same(looks(b)[-1], 300000, "a start finds what is there")


def test_without_preloading_nothing_changes(env):
    b = Box.of(env)
    b.error("SHOW close.outbox_databases", "42704")
    b.error("SHOW close.outbox_workers", "42704")
    row = note(b, "n by hand")
    same(b.ok("SELECT count(*) FROM pg_stat_activity WHERE backend_type LIKE 'close%'"), ["0"])
    same(b.row(row), ("pending",))
    same(b.drain(), 1)
