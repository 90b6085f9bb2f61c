"""INSERT, UPDATE, DELETE: what is sent, conflict clauses, and transactions after a failure."""


def lead_with_note(s):
    return s.rows("SELECT id, lead_id, note FROM close_notes LIMIT 1")[0]


def test_only_changed_columns_are_sent(b):
    with b.shell() as s:
        lead = s.value("SELECT id FROM close_leads LIMIT 1")
        b.calls()
        s.rows(f"UPDATE close_leads SET description = 'new words' WHERE id = '{lead}'")
        writes = [r for r in b.requests() if r[0] == "close_lead_update"]
        b.expect(writes, [("close_lead_update", {"lead_id": lead, "description": "new words"})])
        b.expect(s.value(f"SELECT description FROM close_leads WHERE id = '{lead}'"), "new words")
        b.expect(s.value("SELECT changes()"), 1)


def test_update_sees_old_values_and_no_row_twice(b):
    with b.shell() as s:
        before = s.rows("SELECT id, text FROM close_tasks WHERE is_complete = 0 ORDER BY id")
        b.expect(len(before) > 3, True, "several open tasks")
        b.calls()
        s.rows("UPDATE close_tasks SET text = text || '!' WHERE is_complete = 0"
               " AND text IS NOT NULL AND _type = 'lead'")
        b.expect({tuple(sorted(params)) for tool, params in b.requests() if tool.endswith("_update")},
                 {("task_id", "text")})
        b.expect(s.rows("SELECT id, text FROM close_tasks WHERE is_complete = 0 AND _type = 'lead'"
                        " AND text IS NOT NULL AND text NOT LIKE '%!'"), [])
        b.expect(s.rows("SELECT id FROM close_tasks WHERE text LIKE '%!!'"), [])


def test_delete_and_insert(b):
    with b.shell() as s:
        lead = s.value("SELECT id FROM close_leads LIMIT 1")
        s.rows(f"INSERT INTO close_tasks(lead_id, text) VALUES ('{lead}', 'a'), ('{lead}', 'b');")
        task = s.value("SELECT close_last_id()")
        b.expect(s.value(f"SELECT text FROM close_tasks WHERE id = '{task}'"), "b")
        b.calls()
        s.rows(f"DELETE FROM close_tasks WHERE id = '{task}'")
        b.expect(b.calls()[-1], "close_task_delete")
        b.expect(s.rows(f"SELECT id FROM close_tasks WHERE id = '{task}'"), [])
        b.expect(s.value("SELECT changes()"), 1)


def test_insert_leaves_the_last_rowid_alone(b):
    with b.shell() as s:
        s.rows("CREATE TABLE t(x INTEGER PRIMARY KEY); INSERT INTO t VALUES (42);")
        s.rows("INSERT INTO close_leads(name) VALUES ('x')")
        b.expect(s.value("SELECT last_insert_rowid()"), 42)
        b.expect(s.value("SELECT name FROM close_leads WHERE id = close_last_id()"), "x")


def test_what_a_tool_cannot_set_is_refused_by_name(b):
    with b.shell() as s:
        note, _, _ = lead_with_note(s)
        b.calls()
        for sql, words in (
                ("INSERT INTO close_leads(id, name) VALUES ('lead_x', 'y')", "column id "),
                ("INSERT INTO close_leads(name, date_created) VALUES ('a', 'b')", "date_created"),
                ("INSERT INTO close_leads(description) VALUES ('b')", "name"),
                ("INSERT INTO close_leads(name) VALUES (x'00')", "column name is a BLOB"),
                ("INSERT INTO close_leads(name, query) VALUES ('a', 'b')", "query"),
                ("INSERT INTO close_me(email) VALUES ('a')", "close_me"),
                ("INSERT OR REPLACE INTO close_leads(name) VALUES ('a')", "OR REPLACE")):
            code, text = s.error(sql)
            b.expect_match("^close_[a-z]+: ARG: ", text, sql)
            b.expect_in(words, text, sql)
            b.expect(code, 19, sql)
        b.expect(b.calls(), [])
        for column in ("id", "date_created"):
            code, text = s.error(f"UPDATE close_notes SET {column} = 'x' WHERE id = '{note}'")
            b.expect((code, f"column {column} " in text), (19, True), text)
        b.expect("close_note_update" in b.calls(), False)


def test_setting_the_id_is_refused_also_through_from(b):
    """SQLite hands UPDATE ... FROM the new id only: writing would hit another row."""
    with b.shell() as s:
        ids = s.column("SELECT id FROM close_notes LIMIT 2")
        b.calls()
        for sql in (f"UPDATE close_notes SET id = '{ids[1]}', note = 'x' WHERE id = '{ids[0]}'",
                    f"UPDATE close_notes SET id = '{ids[1]}', note = v.x FROM (SELECT 'x' AS x) v"
                    f" WHERE close_notes.id = '{ids[0]}'",
                    "UPDATE close_notes SET id = id"):
            _, text = s.error(sql)
            b.expect_in(": ARG: ", text)
        b.expect("close_note_update" in b.calls(), False)


def test_update_from_works_or_says_what_to_write(b):
    with b.shell() as s:
        note, _, _ = lead_with_note(s)
        outcome = s.run(f"UPDATE close_notes SET note = v.t FROM (SELECT '{note}' AS i, 'new' AS t) v"
                        " WHERE v.i = close_notes.id")
        if outcome.errors:
            b.expect_in("write SET column = (SELECT ...)", outcome.errors[0][1])
        else:
            b.expect(s.value(f"SELECT note FROM close_notes WHERE id = '{note}'"), "new")
        s.rows(f"UPDATE close_notes SET note = (SELECT 'newer') WHERE id IN (SELECT '{note}')")
        b.expect(s.value(f"SELECT note FROM close_notes WHERE id = '{note}'"), "newer")


def conflict_on(b, tool, times=1):
    b.server.fault({"tool": tool, "kind": "status", "status": 409, "shape": "tool_error_kept",
                    "message": "exists already", "times": times})


def test_or_ignore_skips_conflicts_and_nothing_else(b):
    with b.shell() as s:
        lead = s.value("SELECT id FROM close_leads LIMIT 1")
        conflict_on(b, "close_note_create")
        s.rows(f"INSERT OR IGNORE INTO close_notes(lead_id, note) VALUES ('{lead}', 'first'),"
               f" ('{lead}', 'second')")
        b.expect(s.value("SELECT note FROM close_notes WHERE id = close_last_id()"), "second")
        b.expect(s.value(f"SELECT count(*) FROM close_notes WHERE lead_id = '{lead}'"
                         " AND note = 'first'"), 0)
        _, text = s.error("INSERT OR IGNORE INTO close_notes(lead_id, note) VALUES ('lead_none', 'x')")
        b.expect_match("^close_notes: (REJECTED|NOTFOUND): ", text)
        _, text = s.error("INSERT OR IGNORE INTO close_notes(note, date_created) VALUES ('x', 'y')")
        b.expect_match("^close_notes: ARG: ", text)


def test_conflict_clauses_act_on_the_local_transaction(b):
    with b.shell() as s:
        lead = s.value("SELECT id FROM close_leads LIMIT 1")
        s.rows("CREATE TABLE t(x)")
        insert = f"INTO close_notes(lead_id, note) VALUES ('{lead}', 'x')"
        for clause, kept in (("", 1), ("OR ABORT", 1), ("OR FAIL", 1), ("OR ROLLBACK", 0)):
            s.rows("DELETE FROM t")
            s.rows("BEGIN; INSERT INTO t VALUES (1);")
            conflict_on(b, "close_note_create")
            code, text = s.error(f"INSERT {clause} {insert}")
            b.expect_match("^close_notes: CONFLICT: ", text)
            b.expect(code, 19)
            b.expect(s.value("SELECT count(*) FROM t"), kept, clause)
            s.run("COMMIT")
            b.expect(s.value("SELECT count(*) FROM t"), kept, clause)


FAULTS = [
    # fault of the read, class, result code
    ({"kind": "status", "status": 500, "shape": "close-error", "times": 50}, "REMOTE", 1),
    ({"kind": "status", "status": 400, "shape": "close-validation", "times": 50}, "REJECTED", 19),
    ({"kind": "status", "status": 403, "shape": "close-error", "times": 50}, "FORBIDDEN", 23),
    ({"kind": "reset_before", "times": 50}, "NET", 1),
    ({"kind": "garbage", "times": 50}, "PROTO", 1),
]


def test_a_failed_statement_leaves_transaction_and_connection_usable(b):
    with b.shell() as s:
        s.rows("SELECT close_config('retries', 0); CREATE TABLE t(x);")
        total = s.value("SELECT count(*) FROM close_leads")
        for fault, name, wanted in FAULTS:
            s.rows("DELETE FROM t")
            s.rows("BEGIN; INSERT INTO t VALUES (1);")
            b.server.fault({"tool": "close_leads_list", **fault})
            code, text = s.error("INSERT INTO t SELECT id FROM close_leads")
            b.expect_match(f"^close_leads: {name}: ", text)
            b.expect(code, wanted, text)
            b.server.control("DELETE", "faults")
            b.expect(s.value("SELECT count(*) FROM t"), 1, name)
            s.rows("COMMIT")
            b.expect(s.value("SELECT count(*) FROM close_leads"), total)


def test_a_failing_page_never_looks_like_the_end(b):
    with b.shell() as s:
        s.rows("SELECT close_config('retries', 0); SELECT close_config('page_size', 20);")
        b.server.fault({"tool": "close_leads_list", "kind": "status", "status": 500,
                        "shape": "close-error", "skip": 1, "times": 50})
        _, text = s.error("SELECT count(name) FROM close_leads")
        b.expect_match("^close_leads: REMOTE: ", text)
        s.rows("CREATE TABLE t(id)")
        s.error("INSERT INTO t SELECT id FROM close_leads")
        b.expect(s.value("SELECT count(*) FROM t"), 0)


def test_a_lost_answer_is_reported_and_not_repeated(b):
    with b.shell() as s:
        lead = s.value("SELECT id FROM close_leads LIMIT 1")
        b.server.fault({"tool": "close_note_create", "kind": "reset_after"})
        b.calls()
        code, text = s.error(f"INSERT INTO close_notes(lead_id, note) VALUES ('{lead}', 'once')")
        b.expect_match("^close_notes: UNCERTAIN: ", text)
        b.expect(code, 1)
        b.expect(b.calls(), ["close_note_create"])
        b.expect(s.value(f"SELECT count(*) FROM close_notes WHERE lead_id = '{lead}'"
                         " AND note = 'once'"), 1)
