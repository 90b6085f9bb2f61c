"""The outbox when answers are lost: what is looked up, what is sent again, what waits for a person."""

import datetime
import json
import random
import time

from outbox_base import PAST, check, same

NOTE = "close_note_create"
BEFORE = {"kind": "reset_before"}
AFTER = {"kind": "reset_after"}


def creates(b):
    """Tool, parameters, table in which the effect is counted, and its column and value."""
    lead = b.leads[0]
    status = b.server.objects("opportunity_statuses")[0]["id"]
    view = {"type": "and", "queries": [{"type": "object_type", "object_type": "lead"}]}
    note = b.server.objects("notes")[0]["id"]
    return [
        (NOTE, {"lead_id": lead, "note": "fate of a note"}, "notes", "note"),
        ("close_call_create", {"lead_id": lead, "status": "completed", "note": "fate of a call", "duration": 60,
                               "direction": "outbound"}, "calls", "note"),
        ("close_task_create", {"lead_id": lead, "text": "fate of a task"}, "tasks", "text"),
        ("close_contact_create", {"lead_id": lead, "name": "Fate of a Contact", "title": "CEO"}, "contacts", "name"),
        ("close_opportunity_create", {"lead_id": lead, "status_id": status, "value": 123456, "confidence": 50,
                                      "note": "fate of an opportunity"}, "opportunities", "note"),
        ("close_lead_create", {"name": "Fate & Sons \"of\" a lead", "description": "fate"}, "leads", "name"),
        ("close_email_create", {"lead_id": lead, "status": "draft", "subject": "Fate of a mail",
                                "body_text": "Body"}, "emails", "subject"),
        ("close_webhook_create", {"url": "https://example.test/fate",
                                  "events": [{"object_type": "lead", "action": "created"}]}, "webhooks", "url"),
        ("close_pipeline_create", {"name": "Fate of a pipeline"}, "pipelines", "name"),
        ("close_custom_field_lead_create", {"name": "Fate L", "type": "text"}, "custom_fields_lead", "name"),
        ("close_custom_field_contact_create", {"name": "Fate C", "type": "text"}, "custom_fields_contact", "name"),
        ("close_custom_field_opportunity_create", {"name": "Fate O", "type": "text"},
         "custom_fields_opportunity", "name"),
        ("close_sequence_create", {"name": "Fate of a sequence"}, "sequences", "name"),
        ("close_smart_view_create", {"name": "Fate of a view", "s_query": {"query": view}}, "smart_views", "name"),
        ("close_comment_create", {"object_id": note, "body": "fate of a comment"}, "comments", "body"),
    ]


def count(b, table, column, value):
    return sum(1 for o in b.server.objects(table) if value in (o.get(column) or ""))


def lose(b, tool, params, fault):
    """Sends with that fault, lets the dust settle, drains on; the row's final state."""
    row = b.enqueue(tool, params)
    b.server.fault({"tool": tool, **fault})
    b.drain()
    before = b.row(row, "state, attempts, error_class")
    b.finish()
    return before, b.row(row, "state, attempts, object_id, error")


def test_creates_whose_answer_is_lost_are_found(b):
    for tool, params, table, column in creates(b):
        b.server.control("DELETE", "log")
        before, (state, attempts, object_id, error) = lose(b, tool, params, AFTER)
        same(before, ("sending", 1, "UNCERTAIN"), tool)
        same((state, attempts), ("done", 1), f"{tool}: {error}")
        found = [o["id"] for o in b.server.objects(table) if params[column] in (o.get(column) or "")]
        same(found, [object_id], tool)
        same(len(b.calls(tool)), 1, f"{tool} was sent once")


def test_creates_that_never_arrived_are_sent_again(b):
    for tool, params, table, column in creates(b):
        b.server.control("DELETE", "log")
        before, (state, attempts, object_id, error) = lose(b, tool, params, BEFORE)
        same(before, ("sending", 1, "UNCERTAIN"), tool)
        same((state, attempts), ("done", 2), f"{tool}: {error}")
        check(object_id, tool)
        same(count(b, table, column, params[column]), 1, tool)
        same(len(b.calls(tool)), 2, tool)


def test_no_look_up_before_the_settling_time(b):
    row = b.enqueue(NOTE, {"lead_id": b.leads[0], "note": "settle"})
    b.server.fault({"tool": NOTE, **AFTER})
    b.drain()
    b.server.control("DELETE", "log")
    same(b.drain(), 0)
    same(b.server.log(), [])
    same(b.row(row), ("sending",))
    next_row = b.enqueue(NOTE, {"lead_id": b.leads[0], "note": "settle next"})
    same(b.drain(), 0, "the next of the key waits")
    same(b.row(next_row), ("pending",))


def test_updates_and_deletes_are_simply_repeated(b):
    lead, note = b.leads[0], b.server.objects("notes")[0]["id"]
    for fault in (BEFORE, AFTER):
        before, (state, attempts, _, error) = lose(b, "close_lead_update", {"lead_id": lead, "name": "Renamed"}, fault)
        same(before, ("pending", 1, "UNCERTAIN"))
        same((state, attempts), ("done", 2), str(error))
        same([o["name"] for o in b.server.objects("leads") if o["id"] == lead], ["Renamed"])
    before, (state, attempts, _, error) = lose(b, "close_note_delete", {"note_id": note}, AFTER)
    same(before, ("pending", 1, "UNCERTAIN"))
    same((state, attempts), ("done", 2), "not found on the second attempt is done")
    same([o["id"] for o in b.server.objects("notes") if o["id"] == note], [])
    row = b.enqueue("close_note_delete", {"note_id": note})
    b.drain()
    same(b.row(row, "state, error_class"), ("failed", "NOTFOUND"), "not found on the first attempt is not")


def test_a_merge_is_looked_up(b):
    for source, target, fault, wanted in ((b.leads[1], b.leads[2], AFTER, 1), (b.leads[3], b.leads[4], BEFORE, 2)):
        _, (state, attempts, _, error) = lose(b, "close_lead_merge", {"source": source, "destination": target}, fault)
        same((state, attempts), ("done", wanted), str(error))
        same([o["id"] for o in b.server.objects("leads") if o["id"] == source], [])


def test_what_cannot_be_looked_up_waits_for_a_person(b):
    lead = b.leads[0]
    sequence = b.server.objects("sequences")[0]["id"]
    contact = b.server.objects("contacts")[0]["id"]
    query = {"type": "and", "queries": [{"type": "object_type", "object_type": "lead"}]}
    for tool, params in (
            ("close_sequence_subscription_create", {"contact_id": contact, "sequence_id": sequence}),
            ("close_export_lead_create", {"format": "csv"}),
            ("close_bulk_delete_create", {"s_query": query}),
            ("close_tasks_bulk_update", {"filter_lead_id": lead, "is_complete": True}),
            ("close_something_quite_new", {"a": 1})):
        for fault in (BEFORE, AFTER):
            b.server.control("DELETE", "log")
            row = b.enqueue(tool, params)
            b.server.fault({"path": "/api/v1/execute_tool", **fault})
            b.drain()
            state, cls, words = b.row(row, "state, error_class, error")
            same((state, cls), ("uncertain", "UNCERTAIN"), tool)
            b.hurry()
            b.drain()
            same(len(b.calls(tool)), 1, f"{tool} was sent once: {words}")
            b.ok(f"SELECT close_outbox_cancel({row});")


def test_messages_are_never_sent_twice(b):
    on = {"allow_messages": "on"}
    params = json.dumps({"lead_id": b.leads[0], "status": "outbox", "subject": "Once", "body_text": "b",
                         "sender": "ada@example.test", "to": ["b@example.test"]})
    for fault, sent in ((BEFORE, 0), (AFTER, 1)):
        row = b.ok(f"SELECT close_enqueue('close_email_create', '{params}');", settings=on)[0][0]
        b.server.fault({"tool": "close_email_create", **fault})
        b.drain(settings=on)
        same(b.row(row), ("uncertain",))
        b.hurry()
        b.drain(settings=on)
        same(len(b.server.outbox()), sent)
        b.ok(f"SELECT close_outbox_cancel({row});")


def test_equal_texts_find_one_object_each(b):
    lead = b.leads[0]
    rows = [b.enqueue(NOTE, {"lead_id": lead, "note": "the same"}) for _ in range(4)]
    b.server.fault({"tool": NOTE, **AFTER})
    b.server.fault({"tool": NOTE, **BEFORE, "skip": 1})
    b.finish()
    same(b.states(), {"done": 4})
    found = [o["id"] for o in b.server.objects("notes") if o["note"] == "the same"]
    same(sorted(found), sorted(b.row(row, "object_id")[0] for row in rows))


def test_equal_calls_at_the_same_time(b):
    """Leads have no order among each other, so equal ones are sent and looked up together."""
    for _ in range(8):
        b.enqueue("close_lead_create", {"name": "Twin"})
    b.server.fault([{"tool": "close_lead_create", **AFTER}, {"tool": "close_lead_create", **BEFORE, "skip": 3}])
    b.drain()
    b.hurry()
    b.finish()
    made = [o["id"] for o in b.server.objects("leads") if o["name"] == "Twin"]
    owned = [row[0] for row in b.query("SELECT object_id FROM close_outbox WHERE state = 'done'")]
    same(len(set(owned)), len(owned), "no object belongs to two rows")
    check(len(made) <= 8, f"{len(made)} leads of 8")
    check(set(owned) <= set(made), "every object that a row names exists")
    same(len(owned) + b.states().get("uncertain", 0), 8)


def test_an_answer_beats_a_look_up(b):
    """A look-up takes the object of an equal call under way; its answer gives it to the right row."""
    lost = b.enqueue("close_lead_create", {"name": "Double"})
    b.server.fault({"tool": "close_lead_create", **BEFORE})
    b.drain()
    slow = b.enqueue("close_lead_create", {"name": "Double"})
    b.server.fault({"tool": "close_lead_create", "kind": "delay", "ms": 1500, "after": True})
    worker = b.start("SELECT close_outbox_drain();")
    limit = time.monotonic() + 60
    while not count(b, "leads", "name", "Double"):
        check(time.monotonic() < limit, "the call never arrived")
        time.sleep(0.01)
    b.query("UPDATE close_outbox SET lease_until = ? WHERE id = ?", PAST, lost)
    b.drain()
    status, _, err = b.end(worker)
    same((status, err), (0, ""))
    b.finish()
    same(b.states(), {"done": 2})
    owned = {b.row(row, "object_id")[0] for row in (lost, slow)}
    same(owned, {o["id"] for o in b.server.objects("leads") if o["name"] == "Double"})
    same(len(owned), 2)


def test_doubt_is_uncertain(b):
    lead = b.leads[0]

    def judged(text, others, when=None):
        """The state of a row that never arrived, while the lead has these other notes."""
        row = b.enqueue(NOTE, {"lead_id": lead, "note": text})
        b.server.fault({"tool": NOTE, **BEFORE})
        b.drain()
        for words in others:
            note = {"lead_id": lead, "note": words}
            if when:
                stamp = (datetime.datetime.now(datetime.timezone.utc) - when).isoformat()
                note.update(date_created=stamp, activity_at=stamp)
            b.server.mutate({"op": "insert", "table": "notes", "object": note})
        b.finish()
        state = b.row(row)[0]
        if state == "uncertain":
            b.ok(f"SELECT close_outbox_cancel({row});")
        return state

    hour, days = datetime.timedelta(hours=1), datetime.timedelta(days=3)
    same(judged("plain text here", []), "done")
    same(judged("one of them", ["one of them"]), "done", "taken for the effect: it looks exactly so")
    same(b.row(2, "attempts"), (1,))
    same(judged("two of them", ["two of them", "two of them"]), "uncertain", "several candidates")
    same(judged("nearly the same, is it", ["Nearly the SAME -- is it?"]), "uncertain", "nearly")
    same(judged("a long text that the service may cut, somewhere towards its end",
                ["a long text that the service may cut, somewhere"]), "uncertain", "cut")
    same(judged("older", ["older"], hour), "uncertain", "a clock may be wrong")
    same(judged("much older", ["much older"], days), "done", "not by days")
    same(judged("quite another", ["something else"]), "done")


def test_an_old_question_is_not_answered_by_absence(b):
    row = b.enqueue(NOTE, {"lead_id": b.leads[0], "note": "long ago"})
    b.server.fault({"tool": NOTE, **BEFORE})
    b.drain()
    b.query("UPDATE close_outbox SET sent_at = '2020-01-01T00:00:00.000000Z' WHERE id = ?", row)
    b.finish()
    state, words = b.row(row, "state, error")
    same(state, "uncertain")
    check("too long ago" in words, words)


def test_a_failing_look_up_is_repeated(b):
    row = b.enqueue(NOTE, {"lead_id": b.leads[0], "note": "look"})
    b.server.fault([{"tool": NOTE, **AFTER}, {"tool": "close_notes_list", "kind": "status", "status": 503,
                                              "shape": "grpc", "times": 2},
                    {"tool": "close_notes_list", "kind": "truncate"}])
    b.finish()
    same(b.row(row, "state, attempts"), ("done", 1))
    same(len(b.calls(NOTE)), 1)


def test_many_pages_are_searched(b):
    lead = b.leads[0]
    row = b.enqueue(NOTE, {"lead_id": lead, "note": "needle"})
    b.server.fault({"tool": NOTE, **AFTER})
    b.drain()
    for i in range(130):
        b.server.mutate({"op": "insert", "table": "notes", "object": {"lead_id": lead, "note": f"hay {i}"}})
    b.finish()
    same(b.row(row, "state, attempts"), ("done", 1))
    same(len(b.notes("needle")), 1)


FAULTS = [
    {"kind": "reset_before"}, {"kind": "reset_after"}, {"kind": "truncate"}, {"kind": "garbage"},
    {"kind": "html", "status": 502}, {"kind": "wrong_length", "delta": 16},
    {"kind": "status", "status": 500, "shape": "grpc"},
    {"kind": "status", "status": 500, "shape": "grpc", "effect": True},
    {"kind": "status", "status": 503, "shape": "grpc", "effect": True},
    {"kind": "status", "status": 504, "shape": "grpc"},
    {"kind": "status", "status": 429, "shape": "grpc", "retry_after": 0},
    {"kind": "status", "status": 429, "shape": "tool_error_kept", "retry_after": 0},
    {"kind": "delay", "ms": 450}, {"kind": "delay", "ms": 450, "after": True}, {"kind": "expire_token"},
    {"kind": "bad_envelope"},
]


def test_no_sequence_of_faults_ever_yields_two(b):
    """Random faults on writes and look-ups; every note exists once, or its row says uncertain."""
    for seed in range(b.rounds):
        rng = random.Random(seed)
        b.server.reset()
        box = b.other(f"property{seed}")
        texts = [f"q{seed} {i}" for i in range(12)]
        for i, text in enumerate(texts):
            box.enqueue(NOTE, {"lead_id": box.leads[i % 4], "note": text})
        for _ in range(rng.randint(6, 16)):
            tool = NOTE if rng.random() < 0.75 else "close_notes_list"
            box.server.fault({"tool": tool, "skip": rng.randint(0, 3), **rng.choice(FAULTS)})
        box.finish(settings={"timeout_ms": 300})
        notes = [text for _, text in box.notes(f"q{seed} ")]
        for text, state, words in box.query("SELECT json_extract(params, '$.note'), state, error"
                                            " FROM close_outbox"):
            found = notes.count(text)
            check(found == 1 if state == "done" else found <= 1 and state == "uncertain",
                  f"seed {seed}: {text!r} is there {found} times, its row is {state}: {words}")
