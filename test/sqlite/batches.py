"""INSERT of many rows: several at a time where that is right, one after the other elsewhere, and what is
reported when some of them fail."""

import random
import re

import bench
import sessions

ROWS = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {n})"
WINDOW = 8


def insert(n, value="'made ' || i", clause="", tail=""):
    return f"INSERT {clause} INTO close_leads(name) {ROWS.format(n=n)} SELECT {value} FROM n {tail}"


def made(b, like="made "):
    """Names that the service holds, by its own account."""
    return [lead["name"] for lead in b.server.objects("leads") if (lead["name"] or "").startswith(like)]


def most_at_once(b, s, sql, latency=100):
    """The most calls that the service saw at one time."""
    b.server.reset()
    s.rows("SELECT close_me_get() IS NOT NULL")  # a token, so that it is not in the way
    b.server.config({"latency_ms": latency})
    s.rows(sql)
    b.server.config({"latency_ms": 0})
    return b.server.stats()["max_inflight"]


def test_rows_are_sent_several_at_a_time(b):
    with b.shell() as s:
        b.expect(most_at_once(b, s, insert(24)), WINDOW)
        b.expect(s.value("SELECT changes()"), 24)
        b.expect(sorted(made(b)), sorted(f"made {i}" for i in range(1, 25)))
        b.expect(s.value("SELECT name FROM close_leads WHERE id = close_last_id()"), "made 24")
        s.rows("SELECT close_config('concurrency', 3)")
        b.expect(most_at_once(b, s, insert(10)), 3)
        s.rows("SELECT close_config('concurrency', 1)")
        b.expect(most_at_once(b, s, insert(5)), 1)
        b.expect(s.value("SELECT name FROM close_leads WHERE id = close_last_id()"), "made 5")


def test_rows_are_sent_in_turn_where_the_end_cannot_be_seen(b):
    with b.shell() as s:
        for before, clause, tail, after in (
                ("BEGIN;", "", "", "COMMIT;"), ("SAVEPOINT p;", "", "", "RELEASE p;"),
                ("", "OR FAIL", "", ""), ("", "OR IGNORE", "", ""), ("", "", "RETURNING name", "")):
            sql = f"{before} {insert(6, clause=clause, tail=tail)}; {after}"
            b.expect(most_at_once(b, s, sql, 5), 1, sql)
            b.expect(len(made(b)), 6, sql)
        b.expect(most_at_once(b, s, insert(6, clause="OR ROLLBACK")) > 1, True)


def test_a_lonely_refusal_costs_one_call(b):
    with b.shell() as s:
        s.rows("SELECT close_me_get() IS NOT NULL")
        b.server.fault({"tool": "close_lead_create", "kind": "status", "status": 403, "shape": "close-error",
                        "times": 0})
        b.calls()
        code, text = s.error(insert(30))
        b.expect_match("^close_leads: FORBIDDEN: ", text)
        b.expect((code, "already created" in text), (23, False), text)
        b.expect(b.calls(), ["close_lead_create"])


FAILURES = [
    # fault, class, result code; whether the row that failed exists
    ({"kind": "status", "status": 422, "shape": "close-validation"}, "REJECTED", 19, False),
    ({"kind": "status", "status": 403, "shape": "close-error"}, "FORBIDDEN", 23, False),
    ({"kind": "reset_after"}, "UNCERTAIN", 1, True),
    ({"kind": "reset_before"}, "UNCERTAIN", 1, False),
    ({"kind": "truncate"}, "UNCERTAIN", 1, True),
    ({"kind": "status", "status": 500, "shape": "close-error"}, "UNCERTAIN", 1, False),
]


def told(text):
    """Rows that the message says exist, and those that it is not sure of."""
    created = re.search(r"already created and that stay: (\d+)", text)
    lost = re.search(r"may have been created: (\d+)", text)
    return int(created.group(1)) if created else 0, int(lost.group(1)) if lost else 0


def test_a_failure_says_what_was_created(b):
    with b.shell() as s:
        s.rows("CREATE TABLE t(x); SELECT close_config('retries', 0);")
        for fault, name, wanted, exists in FAILURES:
            b.server.reset()
            b.server.fault({"tool": "close_lead_create", "params": {"name": "made 20"}, **fault})
            code, text = s.error(insert(200))
            b.expect_match(f"^close_leads: {name}: ", text)
            b.expect(code, wanted, text)
            names = made(b)
            b.expect(told(text), (len(names) - exists, 0), text)
            b.expect(len(names) >= 19, True, f"{len(names)} rows")
            b.expect(len(set(names)), len(names), "a row twice")
            for id_ in re.findall(r"lead_\w{20,}", text):
                b.expect(s.value(f"SELECT name LIKE 'made %' FROM close_leads WHERE id = '{id_}'"), 1)
            b.expect(s.rows("BEGIN; INSERT INTO t VALUES (1); COMMIT; SELECT changes()"), [[1]])


def test_nothing_is_sent_after_a_failure(b):
    """The window is full when the failure comes: what is in flight then ends, and no other row begins."""
    create = "close_lead_create"
    for fault, name, _, exists in FAILURES:
        b.server.reset()
        with bench.Process(b) as process:
            process.finish("SELECT close_config('retries', 0), close_me_get();")
            first = b.server.stats()["requests"]
            b.server.fault({"tool": create, "params": {"name": "made 20"}, "hold": "failure", **fault})
            b.server.fault({"tool": create, "kind": "delay", "ms": 0, "skip": 19, "times": 0, "hold": "others"})
            process.send(insert(200) + ";")
            b.until(lambda: b.server.stats()["requests"] == first + 19 + WINDOW, "a full window")
            b.server.control("POST", "release", {"hold": "failure"})
            b.until(lambda: b.server.stats()["finished"] == first + 20, "the failure")
            b.server.control("POST", "release", {"hold": "others"})
            output = process.finish("")
            b.expect_in(f"close_leads: {name}: ", output)
            b.expect(told(output), (19 + WINDOW - 1, 0), output)
            made_rows = [i for i in range(1, 20 + WINDOW) if i != 20 or exists]
            b.expect(sorted(made(b)), sorted(f"made {i}" for i in made_rows))
            b.expect(b.server.stats()["requests"], first + 19 + WINDOW)


def test_a_row_that_cannot_be_sent_waits_for_those_that_were(b):
    with b.shell() as s:
        b.server.config({"latency_ms": 20})
        code, text = s.error(insert(30, "CASE i WHEN 12 THEN x'00' ELSE 'made ' || i END"))
        b.expect_match("^close_leads: ARG: column name is a BLOB", text)
        b.expect((code, told(text)), (19, (11, 0)), text)
        b.expect(b.server.stats()["inflight"], 0)
        b.expect(len(made(b)), 11)


def test_an_error_of_sqlite_waits_for_what_is_in_flight(b):
    with b.shell() as s:
        b.server.config({"latency_ms": 20})
        _, text = s.error(insert(30, "CASE i WHEN 12 THEN json('{') ELSE 'made ' || i END"))
        b.expect_in("malformed JSON", text)
        b.expect(b.server.stats()["inflight"], 0)
        b.expect(len(made(b)), 11)
        b.expect(s.value("SELECT count(*) FROM close_requests WHERE tool = 'close_lead_create'"
                         " AND error IS NULL"), 11)
        b.server.config({"latency_ms": 0})
        s.rows(insert(2, "'again ' || i"))
        b.expect(s.value("SELECT name FROM close_leads WHERE id = close_last_id()"), "again 2")


def test_a_busy_answer_is_not_one_after_rows_were_created(b):
    """SQLITE_BUSY asks programs to repeat the statement."""
    with b.shell() as s:
        s.rows("SELECT close_config('retries', 0);")
        rate = {"tool": "close_lead_create", "kind": "status", "status": 429, "shape": "close-error",
                "times": 0}
        b.server.fault({**rate, "params": {"name": "made 1"}})
        code, text = s.error(insert(3))
        b.expect((code, text.startswith("close_leads: RATE: ")), (5, True), text)
        b.server.control("DELETE", "faults")
        b.server.fault({**rate, "params": {"name": "made 3"}})
        code, text = s.error(insert(3))
        b.expect((code, text.startswith("close_leads: RATE: ")), (1, True), text)
        b.expect(told(text), (2, 0))


TRIGGER = """
    CREATE TABLE t(i, lead, note);
    CREATE TRIGGER copy AFTER INSERT ON t BEGIN
      INSERT INTO close_notes(lead_id, note) VALUES (NEW.lead, 'noted ' || NEW.i);
      {more}
    END;
"""


def fill(n, lead):
    return f"INSERT INTO t(i, lead) {ROWS.format(n=n)} SELECT i, '{lead}' FROM n"


def notes(b):
    return [note["note"] for note in b.server.objects("notes") if (note["note"] or "").startswith("noted ")]


def test_a_trigger_sends_several_at_a_time_and_fails_as_a_whole(b):
    with b.shell() as s:
        lead = s.value("SELECT id FROM close_leads LIMIT 1")
        s.rows(TRIGGER.format(more="INSERT INTO close_tasks(lead_id, text) VALUES (NEW.lead, 'do it');"))
        b.expect(most_at_once(b, s, fill(20, lead)), WINDOW)
        b.expect((len(notes(b)), s.value("SELECT count(*) FROM t")), (20, 20))
        b.server.fault({"tool": "close_note_create", "params": {"note": "noted 15"}, "kind": "status",
                        "status": 422, "shape": "close-validation"})
        _, text = s.error(fill(15, lead))
        b.expect_match("^close_(notes|tasks): REJECTED: ", text)
        b.expect((len(notes(b)), s.value("SELECT count(*) FROM t")), (34, 20))


def test_a_trigger_sees_what_it_inserted(b):
    with b.shell() as s:
        lead = s.value("SELECT id FROM close_leads LIMIT 1")
        s.rows(TRIGGER.format(more="UPDATE t SET note = close_last_id() WHERE rowid = NEW.rowid;"
                                   "UPDATE t SET note = (SELECT note FROM close_notes WHERE id = t.note)"
                                   " WHERE rowid = NEW.rowid;"))
        b.expect(most_at_once(b, s, fill(5, lead)), 1)
        b.expect(s.column("SELECT note FROM t ORDER BY i"), [f"noted {i}" for i in range(1, 6)])


def test_functions_in_the_statement_see_the_rows_before(b):
    with b.shell() as s:
        s.rows("SELECT close_lead_create('made 0') IS NOT NULL")
        s.rows(insert(4, "'made ' || i || ' after ' || (close_lead_get("
                         "CASE WHEN i THEN close_last_id() END) ->> 'name')"))
        b.expect(s.value("SELECT name FROM close_leads WHERE id = close_last_id()"),
                 "made 4 after made 3 after made 2 after made 1 after made 0")
        b.server.fault({"tool": "close_lead_create", "params": {"name": "made 3"}, "kind": "status",
                        "status": 422, "shape": "close-validation"})
        _, text = s.error(insert(9, "CASE WHEN i < 5 THEN 'made ' || i ELSE close_last_id() END"))
        b.expect_match("^close_(leads|last_id): REJECTED: ", text)


def test_a_table_can_be_its_own_source(b):
    with b.shell() as s:
        n = s.value("SELECT count(*) FROM close_leads")
        s.rows("INSERT INTO close_leads(name) SELECT 'made ' || id FROM close_leads")
        b.expect(s.value("SELECT count(*) FROM close_leads"), 2 * n)
        b.expect(len(set(made(b))), n)
        s.rows("CREATE VIRTUAL TABLE temp.l USING close_leads")
        s.rows("INSERT INTO close_notes(lead_id, note) SELECT id, 'noted ' || name FROM temp.l")
        b.expect(len(notes(b)), 2 * n)
        s.rows("INSERT INTO temp.l(name) VALUES ('made a'), ('made b'), ('made c'); DROP TABLE temp.l;")
        b.expect(len(made(b)), n + 3)


def test_the_source_goes_on_while_rows_are_in_flight(b):
    """Pages of another table are read between the writes."""
    with b.shell() as s:
        s.rows("SELECT close_config('page_size', 5)")
        b.expect(most_at_once(b, s, "INSERT INTO close_notes(lead_id, note)"
                                    " SELECT id, 'noted ' || name FROM close_leads") > 2, True)
        b.expect(len(notes(b)), bench.LEADS)


def test_ctrl_c_names_the_rows_in_flight(b):
    with bench.Process(b) as process:
        process.finish("SELECT close_me_get() IS NOT NULL;")
        b.server.fault({"tool": "close_lead_create", "kind": "delay", "ms": 300000, "skip": 3, "times": 0})
        process.send(insert(30) + ";")
        b.until(lambda: sum(e["tool"] == "close_lead_create" and e["status"] == 0
                            for e in b.server.log()) == WINDOW, "a full window")
        process.interrupt()
        output = process.finish("")
        b.expect_in("may have been carried out", output)
        b.expect(told(output), (3, WINDOW), output)
        b.server.control("DELETE", "faults")
        b.expect_in("alive", process.finish("SELECT 'alive' WHERE close_me_get() IS NOT NULL;"))


KINDS = [{"kind": "status", "status": 422, "shape": "close-validation"}, {"kind": "reset_after"},
         {"kind": "reset_before"}, {"kind": "truncate"}, {"kind": "expire_token"},
         {"kind": "status", "status": 429, "shape": "close-error", "retry_after": "0"},
         {"kind": "status", "status": 503, "shape": "grpc"}, {"kind": "delay", "ms": 30, "after": True},
         {"kind": "status", "status": 500, "shape": "close-error", "effect": True}, {"kind": "garbage"}]


def test_no_fault_makes_a_row_vanish_or_double(b):
    chance = random.Random(5)
    for round_ in range(60):
        b.server.reset()
        n = chance.randint(1, 30)
        faults = [{"tool": "close_lead_create", "skip": chance.randint(0, n), "times": chance.randint(1, 3),
                   **chance.choice(KINDS)} for _ in range(chance.randint(1, 3))]
        b.server.control("POST", "faults", faults)
        with b.shell() as s:  # a new one, which has not yet learned to go slowly
            outcome = s.run(insert(n))
        names = made(b)
        what = f"round {round_}: {n} rows, {faults}, {outcome.errors}"
        b.expect(len(set(names)), len(names), what)
        if not outcome.errors:
            b.expect(len(names), n, what)
            continue
        created, lost = told(outcome.errors[0][1])
        unsure = lost + ("UNCERTAIN" in outcome.errors[0][1])
        b.expect(created <= len(names) <= created + unsure, True, what)


def test_connections_with_other_statements_open(b):
    sessions.program(b, "batches")
