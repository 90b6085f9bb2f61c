"""The outbox without faults: what goes in, transactions, order, states, rights to send."""

import json
import re
import sqlite3
import threading
import time

from outbox_base import PAST, check, quote, same

NOTE = "close_note_create"


def note_sql(lead, text):
    return f"close_enqueue('{NOTE}', json_object('lead_id', {quote(lead)}, 'note', {quote(text)}))"


def test_install_twice_and_in_a_transaction(b):
    same(b.ok("SELECT close_outbox_install();"), [[0]])
    other = b.other("fresh", install=False)
    other.error("SELECT close_enqueue('close_note_create', '{\"lead_id\":\"lead_1\",\"note\":\"x\"}');",
                "close_outbox_install()")
    other.error("SELECT close_outbox_drain();", "close_outbox_install()")
    other.error("SELECT * FROM close_outbox_summary;", "close_outbox_install()")
    other.ok("BEGIN; SELECT close_outbox_install(); ROLLBACK;")
    same(other.query("SELECT count(*) FROM sqlite_master"), [(0,)])
    same(other.ok("SELECT close_outbox_install();"), [[1]])


def test_arguments_are_checked_at_once(b):
    lead = b.leads[0]
    for sql, words in (
            ("close_enqueue('close_note_create', '{\"note\":\"x\"}')", "lead_id is required"),
            ("close_enqueue('close_note_create', NULL)", "lead_id is required"),
            (f"close_enqueue('close_note_create', json_object('lead_id', '{lead}', 'note', 'x', 'nte', 1))",
             "unknown argument nte"),
            ("close_enqueue('close_note_create', '{')", "close_note_create"),
            ("close_enqueue('close_note_create', '[]')", "JSON object"),
            ("close_enqueue('close_note_crate', '{}')", "did you mean close_note_create"),
            ("close_enqueue(NULL, '{}')", "tool is NULL"),
            ("close_enqueue('Bad Name', '{}')", "tool name"),
            ("close_enqueue('close_leads_list', '{}')", "only reads"),
            ("close_enqueue(x'00', '{}')", "BLOB"),
            (f"close_enqueue('close_note_create', json_object('lead_id','{lead}','note','x'), '[]')",
             "options must be a JSON object"),
            (f"close_enqueue('close_note_create', json_object('lead_id','{lead}','note','x'), '{{\"when\":1}}')",
             "unknown option when"),
            (f"close_enqueue('close_note_create', json_object('lead_id','{lead}','note','x'),"
             " '{\"not_before\":\"soon\"}')", "not_before"),
            (f"close_enqueue('close_note_create', json_object('lead_id','{lead}','note','x'),"
             " '{\"reference\":7}')", "reference"),
            (f"close_enqueue('close_email_create', json_object('lead_id','{lead}','status','outbox'))",
             "allow_messages"),
            ("close_enqueue('close_tasks_bulk_update', '{\"is_complete\": true}')", "filter_")):
        b.error(f"SELECT {sql};", words)
    for sql, words in (
            ("INSERT INTO close_outbox (tool, params) VALUES ('close_note_create', '{}')",
             "lead_id is required"),
            (f"INSERT INTO close_outbox (tool, params, state) VALUES ('{NOTE}',"
             f" json_object('lead_id','{lead}','note','x'), 'done')", "a new row is pending"),
            (f"INSERT INTO close_outbox (tool, params, next_attempt) VALUES ('{NOTE}',"
             f" json_object('lead_id','{lead}','note','x'), 'tomorrow')", "next_attempt")):
        b.error(sql + ";", words)
    same(b.query("SELECT count(*) FROM close_outbox"), [(0,)])
    same(b.calls(NOTE), [])


def test_a_file_with_the_triggers_of_earlier_versions(b):
    """One BEFORE that checked, one AFTER that filled in the key; installing again leaves them."""
    b.ok("""DROP TRIGGER close_outbox_check;
        CREATE TRIGGER close_outbox_check BEFORE INSERT ON close_outbox BEGIN
          SELECT close_outbox_check(NEW.tool, NEW.params, NEW.next_attempt);
          SELECT RAISE(ABORT, 'close_outbox: a new row is pending') WHERE NEW.state <> 'pending';
        END;
        CREATE TRIGGER close_outbox_key AFTER INSERT ON close_outbox WHEN NEW.ordering_key IS NULL BEGIN
          UPDATE close_outbox SET ordering_key = close_outbox_key(NEW.tool, NEW.params) WHERE id = NEW.id;
        END;
        SELECT close_outbox_install();""")
    lead = b.leads[0]
    params = f"json_object('lead_id', '{lead}', 'note', 'x')"
    b.ok(f"SELECT close_enqueue('{NOTE}', {params});")
    b.ok(f"INSERT INTO close_outbox (tool, params) VALUES ('{NOTE}', {params});")
    b.error(f"INSERT INTO close_outbox (tool, params) VALUES ('{NOTE}', '{{}}');", "lead_id is required")
    same(b.query("SELECT ordering_key, enqueued_by IS NULL, count(*) FROM close_outbox GROUP BY 1, enqueued_by"),
         [(lead, 0, 2)])
    same(b.query("SELECT count(*) FROM sqlite_master WHERE type = 'trigger' AND tbl_name = 'close_outbox'"), [(2,)])


def test_the_time_of_a_row_is_one(b):
    """Text that would never be due, or that does not sort as time does."""
    insert = ("INSERT INTO close_outbox (tool, params, next_attempt) VALUES ('close_lead_create',"
              " '{\"name\":\"x\"}', '%s');")
    for wrong in ("2026-13-31T08:00:00.000000Z", "2026-01-3xT08:00:00.000000Z", "2026-01-31 08:00:00",
                  "2026-01-31T08:00:00Z", "soon", ""):
        b.error(insert % wrong, "next_attempt")
    b.ok(insert % "2026-01-31T08:00:00.000000Z")
    same(b.query("SELECT count(*), max(next_attempt) FROM close_outbox"), [(1, "2026-01-31T08:00:00.000000Z")])
    b.error("UPDATE close_outbox SET next_attempt = '2026-01-31 08:00:00';", "CHECK")


def test_what_the_library_does_not_check_is_not_written(b):
    try:
        b.query("INSERT INTO close_outbox (tool, params) VALUES ('close_note_create', '{}')")
    except sqlite3.OperationalError as error:
        check("function" in str(error), str(error))
    else:
        check(False, "a row went in without the library")


def test_a_row_says_what_it_is(b):
    row = b.enqueue(NOTE, {"lead_id": b.leads[0], "note": "hello"})
    same(b.row(row, "tool, ordering_key, state, attempts, finished, enqueued_by, reference"),
         (NOTE, b.leads[0], "pending", 0, None, "user_demo", None))
    same(b.drain(), 1)
    state, attempts, finished, execution, object_id, result = b.row(
        row, "state, attempts, finished, execution_id, object_id, result")
    same((state, attempts), ("done", 1))
    check(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", finished), finished)
    check(execution, "an execution id")
    same(json.loads(result)["id"], object_id)
    same(json.loads(result)["note"], "hello")
    same(b.notes("hello"), [(b.leads[0], "hello")])
    same(b.drain(), 0, "nothing left")
    same(len(b.calls(NOTE)), 1)
    same(b.ok("SELECT state, rows FROM close_outbox_summary;"), [["done", 1]])


def test_the_summary_is_a_table(b):
    """Any scan of it, also two at once and one that is left early."""
    same(b.ok("SELECT * FROM close_outbox_summary;"), [])
    b.enqueue(NOTE, {"lead_id": b.leads[0], "note": "a"})
    for text in "bc":
        row = b.enqueue(NOTE, {"lead_id": b.leads[0], "note": text})
        b.ok(f"SELECT close_outbox_cancel({row});")
    rows = [["cancelled", 2], ["pending", 1]]
    same(b.ok("SELECT state, rows FROM close_outbox_summary;"), rows)
    same(b.ok("SELECT rowid, state FROM close_outbox_summary LIMIT 1;"), [[1, "cancelled"]])
    same(b.ok("SELECT x.state AS a, y.state AS b FROM close_outbox_summary x"
              " CROSS JOIN close_outbox_summary y WHERE y.oldest <= y.next_attempt;"),
         [[x, y] for x, _ in rows for y, _ in rows])


def test_rollback_and_savepoints(b):
    lead = b.leads[0]
    b.ok(f"BEGIN; SELECT {note_sql(lead, 'gone')}; ROLLBACK;")
    b.ok(f"BEGIN; SELECT {note_sql(lead, 'tx kept')}; SAVEPOINT s; SELECT {note_sql(lead, 'tx not')};"
         f" ROLLBACK TO s; SELECT {note_sql(lead, 'tx too')}; COMMIT;")
    same(b.calls(NOTE), [], "nothing is sent by enqueuing")
    same(b.drain(), 2)
    same([text for _, text in b.notes("tx ")], ["tx kept", "tx too"])
    same(b.notes("gone"), [])


def test_a_failing_statement_takes_its_rows_with_it(b):
    lead = b.leads[0]
    b.ok("CREATE TABLE calls (id INTEGER PRIMARY KEY, lead TEXT, body TEXT NOT NULL);"
         "CREATE TRIGGER t AFTER INSERT ON calls BEGIN"
         f" SELECT close_enqueue('{NOTE}', json_object('lead_id', NEW.lead, 'note', NEW.body));"
         " SELECT RAISE(ABORT, 'no more') WHERE NEW.body = 'bad'; END;")
    b.error(f"BEGIN; INSERT INTO calls (lead, body) VALUES ('{lead}', 'one'), ('{lead}', 'bad');", "no more")
    status, _, err = b.run(f".bail off\nBEGIN; INSERT INTO calls (lead, body) VALUES ('{lead}', 'kept');\n"
                           f"INSERT INTO calls (lead, body) VALUES ('{lead}', 'two'), ('{lead}', 'bad');\n"
                           "COMMIT;")
    check("no more" in err, err)
    same(b.query("SELECT body FROM calls"), [("kept",)], f"status {status}")
    same(b.query("SELECT json_extract(params, '$.note') FROM close_outbox"), [("kept",)])
    b.error("INSERT INTO calls (lead, body) VALUES (NULL, 'without a lead');", "lead_id is required")
    same(b.query("SELECT count(*) FROM calls"), [(1,)])


def test_a_trigger_with_a_thousand_rows(b):
    b.ok("CREATE TABLE calls (id INTEGER PRIMARY KEY, lead TEXT, body TEXT);"
         "CREATE TRIGGER t AFTER INSERT ON calls BEGIN"
         f" SELECT close_enqueue('{NOTE}', json_object('lead_id', NEW.lead, 'note', NEW.body)); END;"
         "CREATE TABLE lead (n INTEGER PRIMARY KEY, id TEXT);")
    b.query("INSERT INTO lead (id) VALUES " + ", ".join(f"('{lead}')" for lead in b.leads[:20]))
    rows = b.ok("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1000)"
                " INSERT INTO calls (lead, body) SELECT lead.id, printf('bulk %04d', i) FROM n JOIN lead"
                " ON lead.n = i % 20 + 1 ORDER BY i;"
                "SELECT last_insert_rowid(), count(*), count(DISTINCT ordering_key) FROM close_outbox;")
    same(rows, [[1000, 1000, 20]], "the user's own last_insert_rowid, rows, keys")
    b.server.config({"latency_ms": 20})
    begun = time.monotonic()
    same(b.drain(), 1000)
    took = time.monotonic() - begun
    notes = b.notes("bulk ")
    same(len(notes), 1000)
    same(len(set(notes)), 1000, "each once")
    for lead in b.leads[:20]:
        texts = [text for owner, text in notes if owner == lead]
        same(texts, sorted(texts), f"order of {lead}")
    check(b.server.stats()["max_inflight"] > 4, "other leads proceed meanwhile")
    print(f"  (drained 1000 rows at 20 ms in {took:.1f} s)")


def test_order_within_a_key(b):
    one, two = b.leads[:2]
    first = b.enqueue(NOTE, {"lead_id": one, "note": "o 1"})
    b.enqueue(NOTE, {"lead_id": one, "note": "o 2"})
    b.enqueue(NOTE, {"lead_id": two, "note": "o other"})
    # As an attempt leaves it that did not reach the service.
    b.query("UPDATE close_outbox SET attempts = 1, next_attempt = '2999-01-01T00:00:00.000000Z' WHERE id = ?", first)
    b.drain()
    b.drain()
    same(b.row(first), ("pending",), "it waits for its next attempt")
    check("o 2" not in [text for _, text in b.notes("o ")], "the second must wait for the first")
    b.finish()
    same([text for lead, text in b.notes("o ") if lead == one], ["o 1", "o 2"])


def test_a_rate_limit_costs_no_attempt(b):
    """However often the service asks to slow down: nothing was done, and what comes later waits."""
    lead = b.leads[0]
    first = b.enqueue(NOTE, {"lead_id": lead, "note": "r 1"})
    b.enqueue(NOTE, {"lead_id": lead, "note": "r 2"})
    b.server.fault({"tool": NOTE, "params": {"note": "r 1"}, "kind": "status", "status": 429,
                    "shape": "tool_error_kept", "retry_after": 0, "times": 3})
    for _ in range(3):
        same(b.drain(settings={"outbox_attempts": 2}), 0)
        same(b.row(first, "state, attempts, error_class"), ("pending", 0, "RATE"))
        same(b.notes("r "), [], "the second waits for the first")
    same(b.drain(), 2)
    same(b.row(first, "state, attempts"), ("done", 1))
    same([text for _, text in b.notes("r ")], ["r 1", "r 2"])


def test_failed_and_later_rows_do_not_hold_up_a_key_but_uncertain_ones_do(b):
    lead = b.leads[0]
    later = b.enqueue(NOTE, {"lead_id": lead, "note": "k later"}, {"not_before": "2999-01-01"})
    failing = b.enqueue("close_task_create", {"lead_id": lead, "text": "t", "assigned_to": "user_nosuch"})
    b.enqueue(NOTE, {"lead_id": lead, "note": "k 1"})
    b.finish()
    same(b.row(failing), ("failed",))
    same(b.row(failing, "error_class"), ("REJECTED",))
    same(b.row(later), ("pending",))
    same([text for _, text in b.notes("k ")], ["k 1"])
    b.query("UPDATE close_outbox SET state = 'uncertain', finished = NULL WHERE id = ?", failing)
    blocked = b.enqueue(NOTE, {"lead_id": lead, "note": "k 2"})
    same(b.drain(), 0)
    same(b.row(blocked), ("pending",))
    b.ok(f"SELECT close_outbox_cancel({failing});")
    same(b.drain(), 1)
    same([text for _, text in b.notes("k ")], ["k 1", "k 2"])
    b.ok(f"SELECT close_outbox_retry({later});")
    same(b.drain(), 1, "a retry makes a waiting row due")


def test_options(b):
    one, two = b.leads[:2]
    same(b.row(b.enqueue(NOTE, {"lead_id": one, "note": "a"}, {"ordering_key": "mine"}), "ordering_key"),
         ("mine",))
    same(b.row(b.enqueue(NOTE, {"lead_id": one, "note": "b"}, {"ordering_key": None}), "ordering_key"), ("",))
    same(b.row(b.enqueue("close_lead_create", {"name": "X"}), "ordering_key"), ("",))
    same(b.row(b.enqueue(NOTE, {"lead_id": one, "note": "c"},
                         {"not_before": "2030-01-31T10:00:00+02:00"}), "next_attempt"),
         ("2030-01-31T08:00:00.000000Z",))
    b.ok(f"INSERT INTO close_outbox (tool, params) VALUES ('{NOTE}', json_object('lead_id', '{two}',"
         " 'note', 'direct'));")
    same(b.query("SELECT ordering_key, enqueued_by FROM close_outbox ORDER BY id DESC LIMIT 1"),
         [(two, "user_demo")])


def test_a_reference_is_enqueued_once(b):
    first = b.enqueue(NOTE, {"lead_id": b.leads[0], "note": "r"}, {"reference": "call-17"})
    same(b.enqueue(NOTE, {"lead_id": b.leads[0], "note": "r"}, {"reference": "call-17"}), first)
    other = b.enqueue(NOTE, {"lead_id": b.leads[0], "note": "r"}, {"reference": "call-18"})
    check(other != first, "another reference is another row")
    b.drain()
    same(b.enqueue(NOTE, {"lead_id": b.leads[0], "note": "r"}, {"reference": "call-17"}), first, "also later")
    same(b.drain(), 0)
    same(len(b.calls(NOTE)), 2)


def test_permanent_failure_retry_cancel(b):
    row = b.enqueue(NOTE, {"lead_id": "lead_nosuch", "note": "p"})
    same(b.drain(), 1)
    state, cls, words, attempts = b.row(row, "state, error_class, error, attempts")
    same((state, cls, attempts), ("failed", "REJECTED", 1))
    check("lead" in words, words)
    b.error(f"SELECT close_outbox_retry({row + 1});", "there is no row")
    same(b.ok(f"SELECT close_outbox_retry({row});"), [[row]])
    same(b.row(row, "state, attempts, error"), ("pending", 0, None))
    same(b.ok(f"SELECT close_outbox_cancel({row});"), [[row]])
    same(b.drain(), 0)
    same(b.row(row), ("cancelled",))
    b.error(f"SELECT close_outbox_cancel({row});", "is cancelled")
    done = b.enqueue(NOTE, {"lead_id": b.leads[0], "note": "p2"})
    b.drain()
    b.error(f"SELECT close_outbox_cancel({done});", "is done")
    b.error(f"SELECT close_outbox_retry({done});", "is done")
    b.error("SELECT close_outbox_retry('x');", "integer")
    b.ok(f"BEGIN; SELECT close_outbox_retry({row}); ROLLBACK;")
    same(b.row(row), ("cancelled",), "a retry joins the transaction too")


def test_draining_refuses_what_it_could_not_keep(b):
    row = b.enqueue(NOTE, {"lead_id": b.leads[0], "note": "d"})
    b.error("BEGIN; SELECT close_outbox_drain();", "inside a transaction")
    b.error("CREATE TABLE x (n); INSERT INTO x SELECT close_outbox_drain();", "inside a transaction")
    b.error("SELECT close_outbox_drain() FROM close_outbox;", "another statement")
    b.error("SELECT close_outbox_drain() FROM close_leads;", "reads a table of Close")
    b.error("SELECT close_outbox_drain(0);", "at least 1")
    b.error("SELECT close_config('readonly', 'on'); SELECT close_outbox_drain();", "read-only")
    b.error("SELECT close_outbox_drain();", "SCALEKIT_CLIENT_SECRET", env={"SCALEKIT_CLIENT_SECRET": ""})
    same(b.row(row, "state, attempts"), ("pending", 0))
    same(b.calls(NOTE), [])
    status, _, err = b.run("SELECT close_outbox_drain();", library=b.library + " sqlite3_closereadonly_init",
                           settings={})
    check(status != 0, "the read-only entry point knows no outbox")
    check("no such function" in err or "fixed" in err, err)


def test_max_and_identity(b):
    for i in range(5):
        b.enqueue(NOTE, {"lead_id": b.leads[i], "note": f"m {i}"})
    same(b.ok("SELECT close_outbox_drain(2);"), [[2]])
    same(len(b.calls(NOTE)), 2)
    same(b.drain(env={"CLOSE_IDENTIFIER": "somebody_else"}), 0, "rows of another identity are not ours")
    same(b.drain(), 3)


def test_the_oldest_of_each_key_goes_first(b):
    one, two = b.leads[:2]

    rows = [b.enqueue(NOTE, {"lead_id": lead, "note": f"g {i}"})
            for i, lead in enumerate((one, one, two, two, one, two, one), start=1)]
    b.query("UPDATE close_outbox SET ordering_key = '' WHERE id = ?", rows[3])
    b.query("UPDATE close_outbox SET ordering_key = NULL WHERE id = ?", rows[6])

    def done():
        return [row for row, in b.query("SELECT id FROM close_outbox WHERE state = 'done' ORDER BY id")]

    same(b.ok("SELECT close_outbox_drain(3);"), [[3]])
    same(done(), [rows[0], rows[2], rows[3]], "one of each key, and what has none")
    same(b.ok("SELECT close_outbox_drain(3);"), [[3]])
    same(done(), [rows[0], rows[1], rows[2], rows[3], rows[5], rows[6]])
    same(b.drain(), 1)
    same(sorted(text for _, text in b.notes("g ")), [f"g {i}" for i in range(1, 8)])
    same([text for lead, text in b.notes("g ") if lead == one and text != "g 7"], ["g 1", "g 2", "g 5"])


def test_a_row_of_another_identity_holds_its_key(b):
    lead = b.leads[0]
    first = b.enqueue(NOTE, {"lead_id": lead, "note": "i theirs"})
    b.query("UPDATE close_outbox SET enqueued_by = 'somebody_else' WHERE id = ?", first)
    b.enqueue(NOTE, {"lead_id": lead, "note": "i mine"})
    b.enqueue(NOTE, {"lead_id": b.leads[1], "note": "i other"})
    same(b.drain(), 1)
    same([text for _, text in b.notes("i ")], ["i other"])
    b.query("UPDATE close_outbox SET enqueued_by = NULL WHERE id = ?", first)
    same(b.drain(), 2)
    same([text for _, text in b.notes("i ")], ["i other", "i theirs", "i mine"])


def test_many_rows_of_few_keys(b):
    """A worker passes over what waits, and comes back for it."""
    for i in range(400):
        b.enqueue(NOTE, {"lead_id": b.leads[i % 3], "note": f"f {i:03d}"})
    same(b.drain(), 400)
    for lead in b.leads[:3]:
        texts = [text for of, text in b.notes("f ") if of == lead]
        same(texts, sorted(texts))


def test_a_refused_account_stops_and_costs_no_attempts(b):
    rows = [b.enqueue(NOTE, {"lead_id": lead, "note": "acc"}) for lead in b.leads[:12]]
    b.server.config({"accounts": {"user_demo": "EXPIRED"}})
    b.error("SELECT close_outbox_drain();", "AUTH")
    same(b.states(), {"pending": 12})
    same({b.row(row, "attempts") for row in rows}, {(0,)})
    b.server.config({"accounts": {"user_demo": "ACTIVE"}})
    same(b.drain(), 12)


def test_an_unreachable_service_is_waited_for(b):
    row = b.enqueue(NOTE, {"lead_id": b.leads[0], "note": "far"})
    b.enqueue(NOTE, {"lead_id": b.leads[1], "note": "far"})
    nowhere = {"SCALEKIT_ENV_URL": "http://127.0.0.1:1"}
    same(b.drain(env=nowhere), 0)
    state, attempts, cls, due = b.row(row, "state, attempts, error_class, next_attempt > created")
    same((state, attempts, cls, due), ("pending", 1, "NET", 1))
    b.hurry()
    b.ok("SELECT close_config('outbox_attempts', 2); SELECT close_outbox_drain();", env=nowhere)
    same(b.row(row), ("failed",), "the limit of attempts")
    b.ok("SELECT close_outbox_retry(id) FROM close_outbox;")
    b.finish()
    same(len(b.notes("far")), 2)


def test_old_rows_are_pruned(b):
    old = [b.enqueue(NOTE, {"lead_id": b.leads[0], "note": f"old {i}"}) for i in range(3)]
    b.drain()
    b.query("UPDATE close_outbox SET created = ?, finished = ? WHERE id <= ?", PAST, PAST, old[1])
    b.query("UPDATE close_outbox SET state = 'failed' WHERE id = ?", old[0])
    b.drain()
    same(b.query("SELECT id, state FROM close_outbox ORDER BY id"), [(old[0], "failed"), (old[2], "done")])
    b.query("UPDATE close_outbox SET created = ?, finished = ?", PAST, PAST)
    b.drain()
    same(b.query("SELECT id FROM close_outbox ORDER BY id"), [(old[0],), (old[2],)], "the last id stays")


def test_a_busy_database_is_waited_for(b):
    for i in range(6):
        b.enqueue(NOTE, {"lead_id": b.leads[i], "note": f"busy {i}"})
    b.server.config({"latency_ms": 50})
    stop = threading.Event()

    def hold():
        db = sqlite3.connect(b.path, timeout=20, isolation_level=None)
        while not stop.is_set():
            db.execute("BEGIN IMMEDIATE")
            time.sleep(0.03)
            db.execute("ROLLBACK")
            time.sleep(0.005)
        db.close()

    thread = threading.Thread(target=hold)
    thread.start()
    try:
        same(b.ok(".timeout 0\nSELECT close_outbox_drain();"), [[6]])
    finally:
        stop.set()
        thread.join()
    same(len(b.notes("busy ")), 6)


def test_wal_and_synchronous(b):
    b.query("PRAGMA journal_mode = wal")
    b.enqueue(NOTE, {"lead_id": b.leads[0], "note": "wal"})
    rows = b.ok("PRAGMA synchronous = OFF;\nSELECT close_outbox_drain();\nPRAGMA synchronous;")
    same(rows, [[0]], "the connection gets its own setting back")
    same(len(b.notes("wal")), 1)


def test_three_workers_at_once(b):
    leads = b.leads[:15]
    values = ", ".join(f"('{NOTE}', json_object('lead_id', '{leads[i % 15]}', 'note', 'w {i:04d}'))"
                       for i in range(300))
    b.ok(f"INSERT INTO close_outbox (tool, params) VALUES {values};")
    b.server.config({"latency_ms": 5})
    workers = [b.start("SELECT close_outbox_drain();") for _ in range(3)]
    results = [b.end(worker) for worker in workers]
    for status, _, err in results:
        same((status, err), (0, ""))
    b.finish()
    same(sum(rows[0][0] for _, rows, _ in results) <= 300, True)
    notes = b.notes("w ")
    same(len(notes), 300)
    same(len(set(notes)), 300)
    for lead in leads:
        texts = [text for owner, text in notes if owner == lead]
        same(texts, sorted(texts), f"order of {lead}")
    same(b.states(), {"done": 300})


def test_an_interrupt_leaves_a_usable_connection(b):
    b.enqueue(NOTE, {"lead_id": b.leads[0], "note": "int"})
    b.server.fault({"tool": NOTE, "kind": "delay", "ms": 3000, "after": True})
    db = b.connect()
    errors = []
    thread = threading.Thread(target=lambda: errors.append(db.run("SELECT close_outbox_drain()")))
    thread.start()
    limit = time.monotonic() + 60
    while not b.server.stats()["inflight"]:
        check(time.monotonic() < limit, "the call never arrived")
        time.sleep(0.01)
    db.interrupt()
    thread.join()
    check("nterrupt" in (errors[0] or ""), str(errors))
    same(db.autocommit(), True, "no transaction is left open")
    same(db.run("BEGIN IMMEDIATE; UPDATE close_outbox SET error = 'x'; COMMIT"), None)
    same(db.close(), 0, "nothing is left behind")
    same(b.states(), {"sending": 1})
    b.hurry()
    b.finish()
    same(len(b.notes("int")), 1)
    same(b.states(), {"done": 1})


def test_an_interrupt_at_every_instruction(b):
    """Wherever it hits, no transaction stays open, and every note comes to be once."""
    for i in range(60):
        b.enqueue(NOTE, {"lead_id": b.leads[i % 20], "note": f"any {i:02d}"})
    db = b.connect()
    stopped, n = 0, 1
    reached = True
    while reached:
        hit = db.interrupt_after(n)
        error = db.run("SELECT close_outbox_drain(1)")
        reached = hit()
        same(db.autocommit(), True, f"after instruction {n}: {error}")
        same(error is not None, reached, f"instruction {n}: {error}")
        stopped += reached
        if not b.open_rows():
            break
        b.hurry()
        n += 1 if n < 500 else 17
    db.interrupt_after(0)
    same(db.close(), 0)
    check(stopped > 200, f"only {stopped} interrupts hit")
    b.finish()
    notes = b.notes("any ")
    same((len(notes), len(set(notes))), (60, 60))


def test_a_connection_that_enqueued_can_be_closed(b):
    db = b.connect()
    for i in range(3):
        same(db.run(f"SELECT {note_sql(b.leads[0], f'c {i}')}"), None)
    same(db.close(), 0, "no prepared statement is left")
    same(b.drain(), 3)


def test_in_memory(b):
    other = b.other("memory", install=False)
    other.path = ":memory:"
    rows = other.ok(f"SELECT close_outbox_install();\nSELECT {note_sql(b.leads[0], 'mem')};\n"
                    "SELECT close_outbox_drain();\nSELECT state FROM close_outbox;")
    same(rows, [["done"]])
    same(len(b.notes("mem")), 1)
