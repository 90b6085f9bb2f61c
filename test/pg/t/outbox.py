"""The outbox: transactions, order, workers, lost answers, roles, dumps."""
import json
import random
import re
import subprocess

import standin

from t._outbox import NOTE, Box, check, quote, same, until

BEFORE = {"kind": "reset_before"}
AFTER = {"kind": "reset_after"}
TRIGGER = f"""
CREATE TABLE calls (id bigserial PRIMARY KEY, lead text, body text);
CREATE FUNCTION log_call() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM close_enqueue('{NOTE}', jsonb_build_object('lead_id', NEW.lead, 'note', NEW.body));
    RETURN NEW;
END $$;
CREATE TRIGGER t AFTER INSERT ON calls FOR EACH ROW EXECUTE FUNCTION log_call();"""


def test_a_row_says_what_it_is(env):
    b = Box.of(env)
    row = b.enqueue(NOTE, {"lead_id": b.leads[0], "note": "hello"})
    same(b.row(row, "tool, ordering_key, state, attempts, finished, enqueued_by, server, reference"),
         (NOTE, b.leads[0], "pending", 0, None, "owner", "close", None))
    same(b.calls(NOTE), [], "nothing is sent by enqueuing")
    same(b.drain(), 1)
    state, attempts, finished, execution, object_id, result = b.row(
        row, "state, attempts, finished, execution_id, object_id, result")
    same((state, attempts), ("done", 1))
    check(finished and execution, "a time and an execution id")
    same((result["id"], result["note"]), (object_id, "hello"))
    same(b.notes("hello"), [(b.leads[0], "hello")])
    same(b.drain(), 0, "nothing left")
    same(len(b.calls(NOTE)), 1)


def test_rollback_and_savepoints(env):
    b = Box.of(env)
    lead = b.leads[0]

    def note(text):
        return f"SELECT close_enqueue('{NOTE}', '{{\"lead_id\": \"{lead}\", \"note\": \"{text}\"}}')"

    b.ok(f"BEGIN; {note('gone')}; ROLLBACK")
    b.ok(f"BEGIN; {note('tx kept')}; SAVEPOINT s; {note('tx not')}; ROLLBACK TO s; {note('tx too')}; COMMIT")
    b.drain()
    same([text for _, text in b.notes("tx ")], ["tx kept", "tx too"])
    same(b.notes("gone"), [])


def test_a_trigger_with_a_thousand_rows(env):
    b = Box.of(env)
    b.ok(TRIGGER)
    leads = ", ".join(quote(lead) for lead in b.leads[:20])
    insert = (f"INSERT INTO calls (lead, body) SELECT (ARRAY[{leads}])[i % 20 + 1], 'bulk ' || to_char(i, 'FM0000')"
              " FROM generate_series(1, 1000) i")
    b.ok(insert)
    same(b.values("count(*), count(DISTINCT ordering_key)"), [(1000, 20)])
    b.server.config({"latency_ms": 20})
    same(b.drain(), 1000)
    notes = b.notes("bulk ")
    same((len(notes), len(set(notes))), (1000, 1000), "each once")
    for lead in b.leads[:20]:
        texts = [text for owner, text in notes if owner == lead]
        same(texts, sorted(texts), f"order of {lead}")
    check(b.server.stats()["max_inflight"] > 4, "other leads proceed meanwhile")


def test_a_failing_statement_takes_its_rows_with_it(env):
    b = Box.of(env)
    lead = b.leads[0]
    b.error(f"INSERT INTO calls (lead, body) VALUES ('{lead}', 'one'), (NULL, 'without a lead')", "22023",
            "lead_id is required")
    same(b.values("count(*)"), [(0,)])


def test_a_trigger_on_the_outbox_itself(env):
    """It may enqueue, before and after the check."""
    b = Box.of(env)
    b.ok(f"""CREATE FUNCTION echo() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            IF NEW.tool = '{NOTE}' THEN
                PERFORM public.close_enqueue('close_task_create', pg_catalog.jsonb_build_object('lead_id',
                    NEW.params ->> 'lead_id', 'text', 'echo'));
            END IF;
            RETURN NEW;
        END $$;
        CREATE TRIGGER a_first BEFORE INSERT ON close_outbox FOR EACH ROW EXECUTE FUNCTION echo();
        CREATE TRIGGER z_last AFTER INSERT ON close_outbox FOR EACH ROW EXECUTE FUNCTION echo()""")
    try:
        b.enqueue(NOTE, {"lead_id": b.leads[0], "note": "e"})
        same(b.values("tool, count(*)", "GROUP BY tool ORDER BY count(*)"), [(NOTE, 1), ("close_task_create", 2)])
    finally:
        b.ok("DROP TRIGGER a_first ON close_outbox; DROP TRIGGER z_last ON close_outbox; DROP FUNCTION echo()")


# What an owner may do to the table, and how a row shows that it was heeded: a condition, or an SQLSTATE.
SAFE_PATH = "'pg_catalog, pg_temp'"
ALTERED = (
    ("ADD COLUMN team text DEFAULT 'sales'", "DROP COLUMN team", "team = 'sales'"),
    (f"ADD CONSTRAINT no_notes CHECK (tool <> '{NOTE}')", "DROP CONSTRAINT no_notes", "23514"),
    ("ALTER COLUMN worker SET NOT NULL", "ALTER COLUMN worker DROP NOT NULL", "23502"),
    ("ALTER COLUMN next_attempt TYPE timestamptz(0)", "ALTER COLUMN next_attempt TYPE timestamptz",
     "next_attempt = '2900-01-01 00:00:00Z'"),
    ("ALTER COLUMN tool TYPE varchar(10)", "ALTER COLUMN tool TYPE text", "22001"),
    ("OWNER TO keeper; REVOKE INSERT ON close_outbox FROM keeper",
     "OWNER TO owner", "42501"),
    ("OWNER TO keeper; GRANT INSERT ON close_outbox TO keeper", "OWNER TO owner", "enqueued_by = 'owner'"),
    ("OWNER TO keeper; ALTER TABLE close_outbox FORCE ROW LEVEL SECURITY",
     "NO FORCE ROW LEVEL SECURITY; ALTER TABLE close_outbox OWNER TO owner", "42501"),
    ("ENABLE ROW LEVEL SECURITY; CREATE INDEX by_path ON close_outbox (on_safe_path(tool))",
     "ENABLE ROW LEVEL SECURITY; DROP INDEX by_path", "tool IS NOT NULL"),
    ("ENABLE ROW LEVEL SECURITY; CREATE INDEX by_path ON close_outbox (tool) WHERE on_safe_path(tool) = 1",
     "ENABLE ROW LEVEL SECURITY; DROP INDEX by_path", "tool IS NOT NULL"),
    ("ENABLE ROW LEVEL SECURITY; CREATE TRIGGER also AFTER INSERT ON close_outbox EXECUTE FUNCTION witness()",
     "ENABLE ROW LEVEL SECURITY; DROP TRIGGER also ON close_outbox", "EXISTS (SELECT FROM witnessed)"),
    ("ENABLE ROW LEVEL SECURITY; CREATE RULE also AS ON INSERT TO close_outbox DO ALSO INSERT INTO witnessed VALUES (2)",
     "ENABLE ROW LEVEL SECURITY; DROP RULE also ON close_outbox", "EXISTS (SELECT FROM witnessed)"),
)


def test_a_table_that_its_owner_altered(env):
    """Rows have a short way into the table as it was made; whatever was done to it is heeded from then on."""
    b = Box.of(env)
    columns = ("tool, params, ordering_key, state, attempts, next_attempt = created, created = now(), finished,"
               " execution_id, object_id, result, error_class, error, enqueued_by, server, worker, lease_until, sent_at")
    params = f"jsonb_build_object('lead_id', '{b.leads[0]}', 'note', 'a')"
    with env.session() as s:
        s.ok(f"""CREATE ROLE keeper;
            CREATE TABLE witnessed (n int); GRANT INSERT ON witnessed TO keeper;
            CREATE FUNCTION witness() RETURNS trigger LANGUAGE plpgsql AS $$
                BEGIN INSERT INTO public.witnessed VALUES (1); RETURN NULL; END $$;
            CREATE FUNCTION on_safe_path(text) RETURNS int IMMUTABLE LANGUAGE plpgsql AS $$
                BEGIN
                    IF pg_catalog.current_setting('search_path') <> {SAFE_PATH} THEN RAISE EXCEPTION 'led astray'; END IF;
                    RETURN 1;
                END $$""")
        try:
            for make, undo, wanted in ALTERED:
                s.ok("TRUNCATE close_outbox; TRUNCATE witnessed")
                s.ok(f"ALTER TABLE close_outbox {make}")
                call = f"SELECT close_enqueue('{NOTE}', {params}, '{{\"not_before\": \"2900-01-01T00:00:00.4Z\"}}')"
                if wanted.isdigit():
                    s.fails(call, wanted)
                    same(s.value("SELECT count(*) FROM close_outbox"), "0", make)
                else:
                    row = s.value(call)
                    same(s.value(f"SELECT {wanted} FROM close_outbox WHERE id = {row}"), "t", make)
                s.ok("TRUNCATE close_outbox")
                s.ok(f"ALTER TABLE close_outbox {undo}")
                s.ok("BEGIN")
                s.ok(f"SELECT close_enqueue('{NOTE}', {params})")
                s.ok(f"SELECT close_enqueue('{NOTE}', {params}, '{{\"reference\": \"{len(make)}\"}}')")
                same(s.value(f"SELECT count(*) || ' ' || count(DISTINCT ({columns})) FROM close_outbox"), "2 1", undo)
                s.ok("COMMIT")
        finally:
            s.ok("TRUNCATE close_outbox; DROP TABLE witnessed; DROP FUNCTION witness, on_safe_path; DROP ROLE keeper")


def test_memory(env):
    """Rows that were sent, and drains that were cut off, leave nothing in the session."""
    b = Box.of(env)
    with env.session() as s:
        def blocks():
            return int(s.value("SELECT value FROM close_stats WHERE name = 'memory_blocks'"))

        def work():
            s.ok(f"SELECT close_enqueue('{NOTE}', jsonb_build_object('lead_id', '{b.leads[0]}', 'note', 'm'))"
                 " FROM generate_series(1, 20)")
            s.ok("CALL close_outbox_drain()")
            b.server.fault({"tool": "close_task_create", "kind": "delay", "ms": 2000})
            s.ok(f"SELECT close_enqueue('close_task_create', '{{\"lead_id\": \"{b.leads[1]}\", \"text\": \"m\"}}')")
            s.ok("SET statement_timeout = 200")
            s.fails("CALL close_outbox_drain()", "57014")
            s.ok("SET statement_timeout = 0")
            b.hurry()

        work()
        before = blocks()
        for _ in range(3):
            work()
        check(blocks() <= before + 20, f"{before} blocks became {blocks()}")


def test_order_within_a_key(env):
    b = Box.of(env)
    one, two = b.leads[:2]
    first = b.enqueue(NOTE, {"lead_id": one, "note": "o 1"})
    b.enqueue(NOTE, {"lead_id": one, "note": "o 2"})
    b.enqueue(NOTE, {"lead_id": two, "note": "o other"})
    # As an attempt leaves it that did not reach the service.
    b.ok(f"UPDATE close_outbox SET attempts = 1, next_attempt = '2999-01-01Z' WHERE id = {first}")
    b.drain()
    b.drain()
    same(b.row(first), ("pending",), "it waits for its next attempt")
    check("o 2" not in [text for _, text in b.notes("o ")], "the second must wait for the first")
    b.finish()
    same([text for lead, text in b.notes("o ") if lead == one], ["o 1", "o 2"])


def test_a_rate_limit_costs_no_attempt(env):
    """However often the service asks to slow down: nothing was done, and what comes later waits."""
    b = Box.of(env)
    lead = b.leads[0]
    first = b.enqueue(NOTE, {"lead_id": lead, "note": "r 1"})
    b.enqueue(NOTE, {"lead_id": lead, "note": "r 2"})
    b.server.fault({"tool": NOTE, "params": {"note": "r 1"}, "kind": "status", "status": 429,
                    "shape": "tool_error_kept", "retry_after": 0, "times": 3})
    for _ in range(3):
        same(b.drain(settings={"close.outbox_attempts": 2}), 0)
        same(b.row(first, "state, attempts, error_class"), ("pending", 0, "RATE"))
        same(b.notes("r "), [], "the second waits for the first")
    same(b.drain(), 2)
    same(b.row(first, "state, attempts"), ("done", 1))
    same([text for _, text in b.notes("r ")], ["r 1", "r 2"])


def test_what_holds_up_a_key(env):
    """Failed rows and those for later do not; uncertain ones do."""
    b = Box.of(env)
    lead = b.leads[0]
    later = b.enqueue(NOTE, {"lead_id": lead, "note": "k later"}, {"not_before": "2999-01-01T00:00:00Z"})
    failing = b.enqueue("close_task_create", {"lead_id": lead, "text": "t", "assigned_to": "user_nosuch"})
    b.enqueue(NOTE, {"lead_id": lead, "note": "k 1"})
    b.finish()
    same(b.row(failing, "state, error_class"), ("failed", "REJECTED"))
    same(b.row(later), ("pending",))
    same([text for _, text in b.notes("k ")], ["k 1"])
    b.ok(f"UPDATE close_outbox SET state = 'uncertain', finished = NULL WHERE id = {failing}")
    blocked = b.enqueue(NOTE, {"lead_id": lead, "note": "k 2"})
    same(b.drain(), 0)
    same(b.row(blocked), ("pending",))
    b.ok(f"SELECT close_outbox_cancel({failing})")
    same(b.drain(), 1)
    b.ok(f"SELECT close_outbox_retry({later})")
    same(b.drain(), 1, "a retry makes a waiting row due")
    same([text for _, text in b.notes("k ")], ["k 1", "k 2", "k later"])


def test_three_workers_at_once(env):
    b = Box.of(env)
    leads = ", ".join(quote(lead) for lead in b.leads[:15])
    b.ok(f"INSERT INTO close_outbox (tool, params) SELECT '{NOTE}', jsonb_build_object('lead_id',"
         f" (ARRAY[{leads}])[i % 15 + 1], 'note', 'w ' || to_char(i, 'FM0000')) FROM generate_series(1, 300) i"
         " ORDER BY i")
    b.server.config({"latency_ms": 5})
    for worker in [b.start("CALL close_outbox_drain()") for _ in range(3)]:
        status, _, err = b.end(worker)
        same((status, err), (0, ""))
    same(b.states(), {"done": 300})
    notes = b.notes("w ")
    same((len(notes), len(set(notes))), (300, 300), "each once")
    for lead in b.leads[:15]:
        texts = [text for owner, text in notes if owner == lead]
        same(texts, sorted(texts), f"order of {lead}")


def test_workers_in_other_isolation_levels(env):
    b = Box.of(env)
    for i in range(40):
        b.enqueue(NOTE, {"lead_id": b.leads[i % 4], "note": f"iso {i:02d}"})
    b.server.config({"latency_ms": 3})
    levels = ("serializable", "repeatable\\ read", "read\\ committed")
    for worker in [b.start("CALL close_outbox_drain()", settings={"default_transaction_isolation": level})
                   for level in levels]:
        status, _, err = b.end(worker)
        same((status, err), (0, ""))
    same(b.states(), {"done": 40})
    same(len(b.notes("iso ")), 40)


def test_options_and_references(env):
    b = Box.of(env)
    one = b.leads[0]
    same(b.row(b.enqueue(NOTE, {"lead_id": one, "note": "a"}, {"ordering_key": "mine"}), "ordering_key"), ("mine",))
    same(b.row(b.enqueue(NOTE, {"lead_id": one, "note": "b"}, {"ordering_key": None}), "ordering_key"), ("",))
    same(b.row(b.enqueue(NOTE, {"lead_id": one, "note": "c"}, {"not_before": "2030-01-31T10:00:00+02:00"}),
               "next_attempt = '2030-01-31 08:00:00+00'"), (True,))
    b.ok("TRUNCATE close_outbox")
    first = b.enqueue(NOTE, {"lead_id": one, "note": "r"}, {"reference": "call-17"})
    same(b.enqueue(NOTE, {"lead_id": one, "note": "r"}, {"reference": "call-17"}), first)
    check(b.enqueue(NOTE, {"lead_id": one, "note": "r"}, {"reference": "call-18"}) != first, "another row")
    b.drain()
    same(b.enqueue(NOTE, {"lead_id": one, "note": "r"}, {"reference": "call-17"}), first, "also later")
    same(b.drain(), 0)
    same(len(b.calls(NOTE)), 2)


def test_a_reference_of_two_sessions_at_once(env):
    """The second waits for the first, and takes its row or makes its own."""
    for end, wanted in (("COMMIT", 1), ("ROLLBACK", 1)):
        b = Box.of(env)
        enqueue = (f"SELECT close_enqueue('{NOTE}', '{{\"lead_id\": \"{b.leads[0]}\", \"note\": \"two\"}}',"
                   " '{\"reference\": \"same\"}')")
        with env.session() as one, env.session() as watcher:
            one.ok("BEGIN")
            first = one.value(enqueue)
            two = b.start(enqueue)
            until(lambda: watcher.value("SELECT count(*) FROM pg_locks WHERE NOT granted") != "0", "the second waits")
            one.ok(end)
            status, lines, err = b.end(two)
            same((status, err), (0, ""))
            same(lines == [first], end == "COMMIT", "whose row it is")
        same(b.values("count(*)"), [(wanted,)])


def test_failure_retry_cancel_wait(env):
    b = Box.of(env)
    row = b.enqueue(NOTE, {"lead_id": "lead_nosuch", "note": "p"})
    same(b.ok(f"SELECT close_outbox_wait({row}, 0)"), ["pending"])
    same(b.drain(), 1)
    same(b.row(row, "state, error_class, attempts"), ("failed", "REJECTED", 1))
    same(b.ok(f"SELECT close_outbox_wait({row})"), ["failed"])
    b.error(f"SELECT close_outbox_retry({row + 1})", "P0002", "there is no row")
    b.error(f"SELECT close_outbox_wait({row + 1})", "P0002", "there is no row")
    same(b.ok(f"SELECT close_outbox_retry({row})"), [str(row)])
    same(b.row(row, "state, attempts, error"), ("pending", 0, None))
    b.ok(f"BEGIN; SELECT close_outbox_cancel({row}); ROLLBACK")
    same(b.row(row), ("pending",), "it joins the transaction")
    b.ok(f"SELECT close_outbox_cancel({row})")
    same(b.drain(), 0)
    same(b.row(row), ("cancelled",))
    b.error(f"SELECT close_outbox_cancel({row})", "55000", "is cancelled and cannot be cancelled")
    done = b.enqueue(NOTE, {"lead_id": b.leads[0], "note": "p2"})
    b.drain()
    b.error(f"SELECT close_outbox_retry({done})", "55000", "is done and cannot be sent again")
    b.error(f"BEGIN; SELECT close_outbox_wait(close_enqueue('{NOTE}', '{{\"lead_id\": \"{b.leads[0]}\", \"note\":"
            " \"w\"}'))", "25001", "leaves after it")


def test_waiting_and_notification(env):
    """Whoever waits sees the end; whoever listens hears it."""
    b = Box.of(env)
    row = b.enqueue(NOTE, {"lead_id": b.leads[0], "note": "heard"})
    for level in ("read committed", "repeatable read"):
        waiter = b.start(f"BEGIN ISOLATION LEVEL {level}; SELECT close_outbox_wait({row}, 100000); COMMIT")
        with env.session() as s:
            until(lambda: s.value("SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%close_outbox_wait%'"
                                  " AND wait_event_type = 'Extension'") != "0" or waiter.poll() is not None,
                  "somebody waits")
            out = b.ok("LISTEN close_outbox; CALL close_outbox_drain(); SELECT 1")
        status, lines, err = b.end(waiter)
        same((status, lines, err), (0, ["done"], ""))
        if level == "read committed":
            check(any(f'"close_outbox" with payload "{row} done"' in line for line in out), str(out))
        row = b.enqueue(NOTE, {"lead_id": b.leads[0], "note": "heard again"})


def test_draining_refuses_what_it_could_not_keep(env):
    b = Box.of(env)
    row = b.enqueue(NOTE, {"lead_id": b.leads[0], "note": "d"})
    b.error("BEGIN; CALL close_outbox_drain()", "25001", "inside a transaction block")
    b.error("CREATE FUNCTION f() RETURNS int LANGUAGE plpgsql AS $$BEGIN CALL close_outbox_drain(); RETURN 1; END$$;"
            " SELECT f()", "25001")
    b.error("CALL close_outbox_drain(0)", "22023", "at least 1")
    b.error("CALL close_outbox_drain()", "25006", settings={"default_transaction_read_only": "on"})
    same(b.row(row, "state, attempts"), ("pending", 0))
    same(b.calls(NOTE), [])
    b.ok("DO $$BEGIN CALL close_outbox_drain(); END$$")
    same(b.row(row, "state, attempts"), ("done", 1))
    b.enqueue(NOTE, {"lead_id": b.leads[0], "note": "d"})
    b.enqueue(NOTE, {"lead_id": b.leads[1], "note": "d"})
    b.ok("CALL close_outbox_drain(1)")
    same(b.states(), {"done": 2, "pending": 1})


def creates(b):
    lead = b.leads[0]
    status = b.server.objects("opportunity_statuses")[0]["id"]
    return [
        (NOTE, {"lead_id": lead, "note": "fate of a note"}, "notes", "note"),
        ("close_call_create", {"lead_id": lead, "status": "completed", "note": "fate of a call", "duration": 60,
                               "direction": "outbound"}, "calls", "note"),
        ("close_task_create", {"lead_id": lead, "text": "fate of a task"}, "tasks", "text"),
        ("close_contact_create", {"lead_id": lead, "name": "Fate of a Contact"}, "contacts", "name"),
        ("close_opportunity_create", {"lead_id": lead, "status_id": status, "value": 123456, "confidence": 50,
                                      "note": "fate of an opportunity"}, "opportunities", "note"),
        ("close_lead_create", {"name": "Fate & Sons \"of\" a lead"}, "leads", "name"),
    ]


def test_lost_answers(env):
    """After the effect: found. Before it: sent again. Either way once."""
    for fault, attempts in ((AFTER, 1), (BEFORE, 2)):
        b = Box.of(env)
        for tool, params, table, column in creates(b):
            row = b.enqueue(tool, params)
            b.server.fault({"tool": tool, **fault})
            b.drain()
            same(b.row(row, "state, attempts, error_class"), ("sending", 1, "UNCERTAIN"), tool)
            b.drain()
            same(b.row(row), ("sending",), "no look-up before the settling time")
            b.finish()
            state, tries, object_id, error = b.row(row, "state, attempts, object_id, error")
            same((state, tries), ("done", attempts), f"{tool}: {error}")
            same([o["id"] for o in b.server.objects(table) if params[column] in (o.get(column) or "")], [object_id],
                 tool)


def test_updates_deletes_and_what_cannot_be_looked_up(env):
    b = Box.of(env)
    lead, note = b.leads[0], b.server.objects("notes")[0]["id"]
    for tool, params in (("close_lead_update", {"lead_id": lead, "name": "Renamed"}),
                         ("close_note_delete", {"note_id": note})):
        row = b.enqueue(tool, params)
        b.server.fault({"tool": tool, **AFTER})
        b.finish()
        same(b.row(row, "state, attempts"), ("done", 2), tool)
    for fault in (BEFORE, AFTER):
        b.server.control("DELETE", "log")
        row = b.enqueue("close_export_lead_create", {"format": "csv"})
        b.server.fault({"tool": "close_export_lead_create", **fault})
        b.drain()
        same(b.row(row, "state, error_class"), ("uncertain", "UNCERTAIN"))
        b.hurry()
        b.drain()
        same(len(b.calls("close_export_lead_create")), 1, "sent once")


def test_equal_texts_find_one_object_each(env):
    b = Box.of(env)
    rows = [b.enqueue(NOTE, {"lead_id": b.leads[0], "note": "the same"}) for _ in range(4)]
    b.server.fault({"tool": NOTE, **AFTER})
    b.server.fault({"tool": NOTE, **BEFORE, "skip": 1})
    b.finish()
    same(b.states(), {"done": 4})
    found = [o["id"] for o in b.server.objects("notes") if o["note"] == "the same"]
    same(sorted(found), sorted(b.row(row, "object_id")[0] for row in rows))


def test_an_answer_beats_a_look_up(env):
    """A look-up takes the object of an equal call under way; its answer gives it to the right row."""
    b = Box.of(env)
    lost = b.enqueue("close_lead_create", {"name": "Double"})
    b.server.fault({"tool": "close_lead_create", **BEFORE})
    b.drain()
    slow = b.enqueue("close_lead_create", {"name": "Double"})
    b.server.fault({"tool": "close_lead_create", "kind": "delay", "ms": 1500, "after": True})
    worker = b.start("CALL close_outbox_drain()")
    until(lambda: any(o["name"] == "Double" for o in b.server.objects("leads")), "the call arrives")
    b.ok(f"UPDATE close_outbox SET lease_until = '2001-01-01' WHERE id = {lost}")
    b.drain()
    status, _, err = b.end(worker)
    same((status, err), (0, ""))
    b.finish()
    same(b.states(), {"done": 2})
    owned = {b.row(row, "object_id")[0] for row in (lost, slow)}
    same(owned, {o["id"] for o in b.server.objects("leads") if o["name"] == "Double"})
    same(len(owned), 2)


def test_accounts_and_unreachable_services(env):
    b = Box.of(env)
    rows = [b.enqueue(NOTE, {"lead_id": lead, "note": "acc"}) for lead in b.leads[:12]]
    b.server.config({"accounts": {"user_demo": "EXPIRED"}})
    b.error("CALL close_outbox_drain()", "28000")
    same(b.states(), {"pending": 12})
    same({b.row(row, "attempts") for row in rows}, {(0,)})
    b.server.config({"accounts": {"user_demo": "ACTIVE"}})
    b.ok("ALTER SERVER close OPTIONS (SET env_url 'http://127.0.0.1:1')")
    same(b.drain(), 0)
    same(b.row(rows[0], "state, error_class, next_attempt > created"), ("pending", "NET", True))
    b.hurry()
    b.ok("CALL close_outbox_drain()", settings={"close.outbox_attempts": 1})
    check(b.states().get("failed"), "the limit of attempts")
    b.ok(f"ALTER SERVER close OPTIONS (SET env_url '{b.server.url}')")
    b.ok("SELECT close_outbox_retry(id) FROM close_outbox")
    b.finish()
    same(len(b.notes("acc")), 12)


def test_old_rows_are_pruned(env):
    b = Box.of(env)
    rows = [b.enqueue(NOTE, {"lead_id": b.leads[0], "note": f"old {i}"}) for i in range(3)]
    b.drain()
    b.ok(f"UPDATE close_outbox SET finished = '2001-01-01' WHERE id < {rows[2]};"
         f" UPDATE close_outbox SET state = 'failed' WHERE id = {rows[0]}")
    b.enqueue(NOTE, {"lead_id": b.leads[0], "note": "new"})
    b.drain()
    same([r[0] for r in b.values("id", "ORDER BY id")], [rows[0], rows[2], rows[2] + 1])


def test_an_answer_that_is_no_jsonb(env):
    """What this database cannot hold does not keep the row from ending."""
    b = Box.of(env)
    row = b.enqueue("close_lead_update", {"lead_id": b.leads[0], "description": "w"})
    b.drain()
    same(b.row(row, "result ->> 'description'"), ("w",))
    row = b.enqueue("close_lead_update", {"lead_id": b.leads[0], "description": "x"})
    b.server.mutate({"op": "update", "table": "leads", "id": b.leads[0], "object": {"name": "nul \u0000 inside"}})
    b.drain()
    same(b.row(row, "state, attempts, result"), ("done", 1, None))


def test_cancelled_drains(env):
    """A statement timeout leaves rows to be looked up, and nothing twice."""
    b = Box.of(env)
    for i in range(8):
        b.enqueue(NOTE, {"lead_id": b.leads[i], "note": f"cut {i}"})
    b.server.fault({"tool": NOTE, "kind": "delay", "ms": 3000, "times": 4, "after": True})
    b.error("CALL close_outbox_drain()", "57014", settings={"statement_timeout": 300})
    b.finish()
    same(b.states(), {"done": 8})
    same(len(b.notes("cut ")), 8)


FAULTS = [
    {"kind": "reset_before"}, {"kind": "reset_after"}, {"kind": "truncate"}, {"kind": "garbage"},
    {"kind": "html", "status": 502}, {"kind": "status", "status": 500, "shape": "grpc"},
    {"kind": "status", "status": 500, "shape": "grpc", "effect": True},
    {"kind": "status", "status": 504, "shape": "grpc"},
    {"kind": "status", "status": 429, "shape": "grpc", "retry_after": 0},
    {"kind": "delay", "ms": 450}, {"kind": "delay", "ms": 450, "after": True}, {"kind": "expire_token"},
    {"kind": "bad_envelope"},
]


def test_no_sequence_of_faults_ever_yields_two(env):
    for seed in range(50 if env.long else 5):
        rng = random.Random(seed)
        b = Box.of(env)
        for i in range(12):
            b.enqueue(NOTE, {"lead_id": b.leads[i % 4], "note": f"q{seed} {i}"})
        for _ in range(rng.randint(6, 16)):
            tool = NOTE if rng.random() < 0.75 else "close_notes_list"
            b.server.fault({"tool": tool, "skip": rng.randint(0, 3), **rng.choice(FAULTS)})
        b.finish(settings={"close.timeout_ms": 300})
        notes = [text for _, text in b.notes(f"q{seed} ")]
        for text, state, words in b.values("params ->> 'note', state, error"):
            found = notes.count(text)
            check(found == 1 if state == "done" else found <= 1 and state == "uncertain",
                  f"seed {seed}: {text!r} is there {found} times, its row is {state}: {words}")


def test_dump_and_restore(env):
    """pg_dump carries the rows; they go in as they were, and ids go on after them."""
    b = Box.of(env)
    done = b.enqueue(NOTE, {"lead_id": b.leads[0], "note": "dumped"})
    b.drain()
    waiting = b.enqueue(NOTE, {"lead_id": b.leads[0], "note": "dumped too"}, {"reference": "d"})
    text = subprocess.run([env.cluster.bindir + "/pg_dump", "-d", env.database], env=env.environment(), text=True,
                          capture_output=True, check=True).stdout
    check("COPY public.close_outbox" in text, "no rows in the dump")
    check("CREATE TABLE public.close_outbox" not in text, "the table belongs to the extension")
    env.cluster.create_database("outbox_restored", extension=False)
    restored = Box(env.cluster, "outbox_restored", env.server)
    restored.ok(text)
    everything = ("id, tool, params, ordering_key, reference, state, attempts, next_attempt, created, finished,"
                  " execution_id, object_id, result, enqueued_by, server")
    same(restored.values(everything, "ORDER BY id"), b.values(everything, "ORDER BY id"))
    same(len(restored.values("id")), 2)
    new = restored.enqueue(NOTE, {"lead_id": b.leads[0], "note": "after"})
    check(new > max(done, waiting), f"id {new} again")


def test_drop_extension_and_another_schema(env):
    """The kept statement follows the table."""
    env.cluster.create_database("outbox_moved", extension=False)
    b = Box(env.cluster, "outbox_moved", env.server)
    prepare = f"""CREATE SERVER close FOREIGN DATA WRAPPER close OPTIONS (env_url '{env.server.url}');
        CREATE USER MAPPING FOR CURRENT_USER SERVER close OPTIONS (client_id '{standin.CLIENT_ID}',
        client_secret '{standin.CLIENT_SECRET}', identifier '{standin.IDENTIFIER}')"""
    enqueue = f"close_enqueue('{NOTE}', {quote(json.dumps({'lead_id': b.leads[0], 'note': 'moved'}))})"
    b.ok(f"CREATE EXTENSION close; {prepare}; SELECT {enqueue}; SELECT {enqueue}; DROP EXTENSION close CASCADE;"
         f" CREATE SCHEMA crm; CREATE EXTENSION close SCHEMA crm; {prepare}; SELECT crm.{enqueue};"
         " CALL crm.close_outbox_drain()")
    same(b.ok("SELECT state FROM crm.close_outbox"), ["done"])
    check(re.match(r"f|t", b.ok("SELECT to_regclass('public.close_outbox') IS NULL")[0]), "moved")
