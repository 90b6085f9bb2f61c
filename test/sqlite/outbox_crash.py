"""Workers that die: kill -9 at random moments, and at every labelled step once."""

import random
import signal
import time

from outbox_base import check, same

NOTE = "close_note_create"
LABELS = ("claimed", "sent", "answered", "commit", "recorded", "lookup", "looked")


def fill(box, mark):
    """Creates, updates and deletes over a few leads; returns what must be true of them in the end."""
    leads = box.leads[:5]
    victims = [n["id"] for n in box.server.objects("notes")[:4]]
    for i in range(10):
        box.enqueue(NOTE, {"lead_id": leads[i % 5], "note": f"{mark} note {i}"})
    for i in range(4):
        box.enqueue("close_task_create", {"lead_id": leads[i], "text": f"{mark} task {i}"})
        box.enqueue("close_lead_create", {"name": f"{mark} lead {i}"})
        box.enqueue("close_note_delete", {"note_id": victims[i]})
        box.enqueue("close_lead_update", {"lead_id": leads[i], "description": f"{mark} {i}"})

    def verify():
        for tool, table, column, key in ((NOTE, "notes", "note", "note"),
                                         ("close_task_create", "tasks", "text", "text"),
                                         ("close_lead_create", "leads", "name", "name")):
            there = [o.get(column) for o in box.server.objects(table)]
            for text, state, words in box.query(f"SELECT json_extract(params, '$.{key}'), state, error"
                                                " FROM close_outbox WHERE tool = ?", tool):
                found = there.count(text)
                check(found == 1 if state == "done" else found <= 1 and state == "uncertain",
                      f"{text!r} is there {found} times, its row is {state}: {words}")
        same(box.query("SELECT state FROM close_outbox WHERE tool IN ('close_note_delete',"
                       " 'close_lead_update') AND state <> 'done'"), [])
        live = {n["id"] for n in box.server.objects("notes")}
        check(not live & set(victims), "a deleted note is still there")
        about = {o["id"]: o.get("description") for o in box.server.objects("leads")}
        same([about[leads[i]] for i in range(4)], [f"{mark} {i}" for i in range(4)])
        texts = [(lead, text) for lead, text in box.notes(f"{mark} note")]
        for lead in leads:
            mine = [text for owner, text in texts if owner == lead]
            same(mine, sorted(mine), "order within a lead")

    return verify


def test_kill_at_random_moments(b):
    """Workers are killed until `rounds` of them died at work; several on each file."""
    rng = random.Random(4)
    killed = parts = 0
    while killed < b.rounds:
        check(parts < 10 * b.rounds, "workers are not hit while they run")
        b.server.reset()
        b.server.config({"latency_ms": 8})
        box = b.other(f"crash{parts}")
        verify = fill(box, f"c{parts}")
        while box.open_rows() and killed < b.rounds:
            worker = box.start("SELECT close_outbox_drain();")
            time.sleep(rng.uniform(0.01, 0.2))
            worker.send_signal(signal.SIGKILL)
            status, _, err = box.end(worker)
            check(status in (0, -signal.SIGKILL), f"{status} {err}")
            killed += status == -signal.SIGKILL
            box.hurry()
        box.finish()
        verify()
        parts += 1
    print(f"  ({killed} workers killed at work, {parts} files)")


def test_two_workers_one_killed(b):
    """The survivor goes on; what the dead one held is looked up."""
    rng = random.Random(5)
    for part in range(max(1, b.rounds // 5)):
        b.server.reset()
        b.server.config({"latency_ms": 8})
        box = b.other(f"pair{part}")
        verify = fill(box, f"p{part}")
        workers = [box.start("SELECT close_outbox_drain();") for _ in range(2)]
        time.sleep(rng.uniform(0.03, 0.2))
        workers[0].send_signal(signal.SIGKILL)
        for worker in workers:
            box.end(worker)
        box.finish()
        verify()


def test_death_at_every_labelled_step(b):
    """A debug build kills itself there, as kill -9 would."""
    for label in LABELS:
        b.server.reset()
        box = b.other("label")
        verify = fill(box, f"l {label}")
        if label in ("lookup", "looked"):
            box.server.fault([{"tool": NOTE, "kind": "reset_after", "times": 2},
                              {"tool": NOTE, "kind": "reset_before", "skip": 2, "times": 2}])
            box.drain()
            box.hurry()
        status, _, err = box.run("SELECT close_outbox_drain();", library=b.debug_library,
                                 env={"CLO_TEST_CRASH": label})
        same(status, -signal.SIGKILL, f"the worker dies at {label}: {err}")
        check(box.open_rows() > 0, label)
        box.hurry()
        box.finish()
        verify()


def test_death_at_every_step_again_and_again(b):
    """A worker that dies at the same step each time still gets nowhere near sending twice."""
    for label in ("claimed", "sent", "answered", "looked"):
        b.server.reset()
        box = b.other("again")
        verify = fill(box, f"a {label}")
        for _ in range(4):
            box.run("SELECT close_outbox_drain();", library=b.debug_library,
                    env={"CLO_TEST_CRASH": label})
            box.hurry()
        box.finish()
        verify()


def test_memory_that_runs_out_is_said_and_loses_nothing(b):
    """In a debug build the n-th allocation fails, at the latest in the middle of a drain."""
    refused = 0
    for n in range(1, 40):
        box = b.other("oom")
        box.enqueue(NOTE, {"lead_id": box.leads[0], "note": f"short of memory {n}"})
        status, rows, err = box.run("SELECT 'loaded'; SELECT close_outbox_drain();", library=b.debug_library,
                                    env={"CLO_TEST_OOM": str(n)})
        check(status == 0 or "out of memory" in err, f"allocation {n}: {err}")
        refused += status != 0 and rows == [["loaded"]]
        box.finish()
        same(box.query("SELECT state FROM close_outbox"), [("done",)], f"allocation {n}")
        same(len(box.notes(f"short of memory {n}")), 1, f"allocation {n}")
    check(refused > 3, f"a drain was refused {refused} times")
