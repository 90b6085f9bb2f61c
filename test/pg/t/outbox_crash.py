"""The outbox when things die: kill -9 of a backend at work, immediate shutdown of the cluster, at random moments,
and death at every labelled step once.

Each suite has a cluster of its own, since a killed backend restarts the whole server. Afterwards the data of the
stand-in shows each write exactly once, or the row says uncertain and the data shows it at most once.
"""
import json
import os
import random
import signal
import subprocess
import time

import pgcluster

from t._outbox import NOTE, Box, check, quote, same, until

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))
ROUNDS = 5
LABELS = ("claimed", "sent", "answered", "commit", "recorded", "lookup", "looked")


def fill(b, mark):
    """Creates, updates and deletes over a few leads; returns what must be true of them in the end."""
    leads = b.leads[:5]
    victims = [n["id"] for n in b.server.objects("notes")[:4]]
    calls = [(NOTE, {"lead_id": leads[i % 5], "note": f"{mark} note {i}"}) for i in range(10)]
    for i in range(4):
        calls += [("close_task_create", {"lead_id": leads[i], "text": f"{mark} task {i}"}),
                  ("close_lead_create", {"name": f"{mark} lead {i}"}),
                  ("close_note_delete", {"note_id": victims[i]}),
                  ("close_lead_update", {"lead_id": leads[i], "description": f"{mark} {i}"})]
    b.ok("; ".join(f"SELECT close_enqueue('{tool}', {quote(json.dumps(params))})" for tool, params in calls))

    def verify():
        for tool, table, column, key in ((NOTE, "notes", "note", "note"),
                                         ("close_task_create", "tasks", "text", "text"),
                                         ("close_lead_create", "leads", "name", "name")):
            there = [o.get(column) for o in b.server.objects(table)]
            rows = b.values(f"params ->> '{key}', state, error", f"WHERE tool = '{tool}'")
            check(len(rows) == sum(t == tool for t, _ in calls), f"rows of {tool} are missing: {len(rows)}")
            for text, state, words in rows:
                found = there.count(text)
                check(found == 1 if state == "done" else found <= 1 and state == "uncertain",
                      f"{text!r} is there {found} times, its row is {state}: {words}")
        same(b.values("state", "WHERE tool IN ('close_note_delete', 'close_lead_update') AND state <> 'done'"), [])
        check(not {n["id"] for n in b.server.objects("notes")} & set(victims), "a deleted note is still there")
        about = {o["id"]: o.get("description") for o in b.server.objects("leads")}
        same([about[leads[i]] for i in range(4)], [f"{mark} {i}" for i in range(4)])
        texts = b.notes(f"{mark} note")
        for lead in leads:
            mine = [text for owner, text in texts if owner == lead]
            same(mine, sorted(mine), "order within a lead")
        b.ok("TRUNCATE close_outbox")

    return verify


def at_work(b, worker):
    """The backend that drains, or None when it has come to its end."""
    found = b.ok("SELECT pid FROM pg_stat_activity WHERE query LIKE 'CALL close_outbox_drain%'"
                 " AND pid <> pg_backend_pid() AND state = 'active'")
    return int(found[0]) if found and worker.poll() is None else None


def starts(cluster):
    """How often the server has begun to accept connections."""
    with open(cluster.log, encoding="utf-8", errors="replace") as log:
        return log.read().count("ready to accept connections")


def die(pid):
    """kill -9 of a process that lives: stopped first, since a zombie would take the signal and say nothing."""
    state = None
    try:
        os.kill(pid, signal.SIGSTOP)
        while state not in ("T", "Z"):
            with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as stat:
                state = stat.read().rsplit(")", 1)[1].split()[0]
        os.kill(pid, signal.SIGKILL)
    except (ProcessLookupError, FileNotFoundError):
        return False
    return state == "T"


def crash_rounds(env, name, crash):
    """Fills, then drains and crashes until it has been hit `rounds` times at work."""
    rng = random.Random(name)
    rounds = 50 if env.long else ROUNDS
    hit = parts = 0
    with pgcluster.Cluster(env.build, settings="restart_after_crash = on") as cluster:
        env.server.reset()
        b = Box.made(cluster, "crash", env.server)
        while hit < rounds:
            check(parts < 10 * rounds, "workers are not hit while they run")
            b.server.reset()
            b.server.config({"latency_ms": 8})
            verify = fill(b, f"{name}{parts}")
            while b.open_rows() and hit < rounds:
                workers = [b.start("CALL close_outbox_drain()") for _ in range(2)]
                time.sleep(rng.uniform(0.0, 0.1))
                hit += crash(b, workers)
                for worker in workers:
                    status, _, err = b.end(worker)
                    check(status in (0, 2, 3), f"{status} {err}")
                b.hurry()
            b.finish()
            verify()
            parts += 1
    print(f"  ({name}: {hit} crashes at work, {parts} fillings)")


def test_kill_of_a_backend(env):
    def crash(b, workers):
        before = starts(b.cluster)
        pid = at_work(b, workers[0])
        if pid is None or not die(pid):
            return False
        until(lambda: starts(b.cluster) > before, "the server recovers")
        return True

    crash_rounds(env, "k", crash)


def test_immediate_shutdown(env):
    def crash(b, workers):
        busy = at_work(b, workers[0]) is not None
        b.cluster.halt("immediate")
        b.cluster.start()
        return busy

    crash_rounds(env, "s", crash)


def test_death_at_every_labelled_step(env):
    """A debug build kills its own backend there."""
    debug = os.path.join(env.build, "debug")
    if not os.path.exists(os.path.join(debug, "pg", "close.so")):
        subprocess.run(["make", "-s", "DEBUG=1", "BUILD=" + debug, "pg"], cwd=ROOT, check=True,
                       stdout=subprocess.DEVNULL)
    with pgcluster.Cluster(debug) as cluster:
        b = Box.made(cluster, "label", env.server)
        for label in LABELS:
            b.server.reset()
            verify = fill(b, f"l {label}")
            if label in ("lookup", "looked"):
                b.server.fault([{"tool": NOTE, "kind": "reset_after", "times": 2},
                                {"tool": NOTE, "kind": "reset_before", "skip": 2, "times": 2}])
                b.drain()
                b.hurry()
            cluster.halt()
            os.environ["CLO_TEST_CRASH"] = label
            try:
                cluster.start()
            finally:
                del os.environ["CLO_TEST_CRASH"]
            status, _, err = b.run("CALL close_outbox_drain()")
            check(status != 0 and "connection to server was lost" in err, f"the backend dies at {label}: {err}")
            cluster.halt("immediate")
            cluster.start()
            check(b.open_rows() > 0, label)
            b.hurry()
            b.finish()
            verify()
