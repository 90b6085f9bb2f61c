"""Functions and tables inside triggers, views, CTEs, sub-selects; JSON between them; custom fields."""

import bench


def a_lead(s):
    return s.value("SELECT id FROM close_leads LIMIT 1")


def test_a_note_from_a_trigger(b):
    with b.shell() as s:
        lead = a_lead(s)
        s.rows("CREATE TABLE calls_made(lead_id, body, note_id);")
        s.rows("CREATE TRIGGER ring AFTER INSERT ON calls_made BEGIN\n"
               "  UPDATE calls_made SET note_id = close_note_create(NEW.lead_id, NEW.body) ->> 'id'\n"
               "   WHERE rowid = NEW.rowid;\nEND;")
        s.rows(f"INSERT INTO calls_made(lead_id, body) VALUES ('{lead}', 'rang back')")
        note = s.value("SELECT note_id FROM calls_made")
        b.expect(s.value(f"SELECT note FROM close_notes WHERE id = '{note}'"), "rang back")
        b.expect(s.value("SELECT close_last_id()"), note)


def test_a_trigger_that_fails_aborts_its_statement(b):
    with b.shell() as s:
        s.rows("CREATE TABLE t(lead_id);")
        s.rows("CREATE TRIGGER ring AFTER INSERT ON t BEGIN\n"
               "  SELECT close_note_create(NEW.lead_id, 'x');\nEND;")
        s.rows("BEGIN; INSERT INTO t SELECT 'before' WHERE 0;")
        s.rows("CREATE TABLE kept(x); INSERT INTO kept VALUES (1);")
        _, text = s.error("INSERT INTO t VALUES ('lead_none')")
        b.expect_match("^close_note_create: (NOTFOUND|REJECTED): ", text)
        b.expect(s.value("SELECT count(*) FROM t"), 0)
        s.rows("COMMIT")
        b.expect(s.value("SELECT count(*) FROM kept"), 1)


def test_a_trigger_writes_through_a_table(b):
    with b.shell() as s:
        lead = a_lead(s)
        s.rows("CREATE TABLE todo(lead_id, text);")
        s.rows("CREATE TEMP TRIGGER todo_task AFTER INSERT ON main.todo BEGIN\n"
               "  INSERT INTO close_tasks(lead_id, text) VALUES (NEW.lead_id, NEW.text);\nEND;")
        s.rows(f"INSERT INTO todo VALUES ('{lead}', 'ring them')")
        b.expect(s.value("SELECT text FROM close_tasks WHERE id = close_last_id()"), "ring them")


def test_views(b):
    with b.shell() as s:
        s.rows("CREATE VIEW won AS SELECT lead_id, value / 100.0 AS amount FROM close_opportunities"
               " WHERE status_type = 'won';")
        b.calls()
        got = s.value("SELECT count(*) FROM won")
        b.expect([params.get("status_type") for _, params in b.requests()], ["won"])
        b.expect(got, s.value("SELECT count(*) FROM close_opportunities WHERE status_type = 'won'"))
        s.rows("CREATE VIEW me AS SELECT close_me_get() ->> 'email' AS email;")
        b.expect(s.value("SELECT email FROM me"), s.value("SELECT email FROM close_me"))


def test_untrusted_schemas_are_kept_out_by_sqlite(b):
    with b.shell() as s:
        s.rows("CREATE VIEW me AS SELECT close_me_get() ->> 'email' AS email;")
        s.rows("CREATE VIEW elsewhere AS SELECT close_config('env_url', 'https://evil.example') AS x;")
        s.rows("SELECT email FROM me")
        _, text = s.error("SELECT x FROM elsewhere")
        b.expect_in("unsafe use of close_config()", text)
        s.rows("PRAGMA trusted_schema = off")
        b.calls()
        _, text = s.error("SELECT email FROM me")
        b.expect_in("unsafe use of close_me_get()", text)
        b.expect(b.calls(), [])


def test_the_outbox_works_in_untrusted_schemas(b):
    """Its own table asks only harmless functions; triggers of the file still reach no other."""
    with b.shell() as s:
        s.rows("PRAGMA trusted_schema = off; SELECT close_outbox_install();")
        call = f"'close_note_create', '{{\"lead_id\": \"{a_lead(s)}\", \"note\": \"queued\"}}'"
        s.rows(f"SELECT close_enqueue({call})")
        s.rows(f"INSERT INTO close_outbox(tool, params) VALUES ({call})")
        b.expect(s.column("SELECT enqueued_by FROM close_outbox"), [bench.standin.IDENTIFIER] * 2)
        _, text = s.error("INSERT INTO close_outbox(tool, params) VALUES ('close_note_create', '{}')")
        b.expect_in("lead_id is required", text)
        s.rows(f"CREATE VIEW more AS SELECT close_enqueue({call}) AS x;")
        _, text = s.error("SELECT x FROM more")
        b.expect_in("unsafe use of close_enqueue()", text)
        b.expect(s.value("SELECT close_outbox_drain()"), 2)
        b.expect(sum(note["note"] == "queued" for note in b.server.objects("notes")), 2)


def test_ctes_and_subselects(b):
    with b.shell() as s:
        got = s.rows("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 3),"
                     " l AS MATERIALIZED (SELECT id, name FROM close_leads)"
                     " SELECT i, (SELECT count(*) FROM l) AS c FROM n ORDER BY i")
        total = s.value("SELECT count(*) FROM close_leads")
        b.expect(got, [[1, total], [2, total], [3, total]])
        b.expect(s.value("SELECT EXISTS (SELECT 1 FROM close_leads WHERE query = 'Acme')"), 1)
        s.rows("CREATE TEMP TABLE l AS SELECT id FROM close_leads;"
               "\nCREATE TEMP TABLE c AS SELECT id, lead_id FROM close_contacts;")
        correlated = ("SELECT l.id, (SELECT count(*) FROM {0} c WHERE c.lead_id = l.id) AS n"
                      " FROM l ORDER BY 1")
        b.expect(s.rows(correlated.format("close_contacts")), s.rows(correlated.format("c")))


def test_one_statement_reads_nothing_twice(b):
    with b.shell() as s:
        b.calls()
        s.rows("SELECT a.id FROM close_pipelines a JOIN close_pipelines b ON b.name = a.name")
        b.expect(b.calls(), ["close_pipelines_list"])


def test_named_and_positional_arguments(b):
    with b.shell() as s:
        lead = a_lead(s)
        for call in (f"close_note_create('{lead}', 'one')",
                     f"close_note_create(json_object('note', 'one', 'lead_id', '{lead}'))"):
            b.calls()
            b.expect(s.value(f"SELECT {call} ->> 'note'"), "one")
            b.expect(b.requests(), [("close_note_create", {"lead_id": lead, "note": "one"})])
        b.calls()
        for call, pattern in (
                ("close_note_create()", "lead_id"),
                ("close_note_create('x')", "note"),
                ("close_note_create('x', 'y', 'z', 'a', 'b')", "argument"),
                ("close_note_create(json_object('lead_id', 'x', 'nope', 1))", "nope"),
                ("close_note_create('x', x'00')", "note is a BLOB"),
                ("close_note_create('{\"lead_id\":\"x\",\"note\":\"y\"}')", "note"),
                ("close_lead_get(json_array(1))", "lead_id")):
            code, text = s.error(f"SELECT {call}")
            b.expect_match("^close_[a-z_]+: ARG: ", text, call)
            b.expect_in(pattern, text, call)
            b.expect(code, 1, call)
        b.expect(b.calls(), [])


def test_an_object_for_a_tool_that_takes_an_object(b):
    """One object is named arguments as soon as one key is a parameter; else it is the query."""
    with b.shell() as s:
        b.calls()
        for arguments in ("json_object('s_query', json_object('type', 'x'), 'result_limit', 1)",
                          "json_object()", "json_object('results_limit', 1)"):
            _, text = s.error(f"SELECT close_bulk_delete_create({arguments})")
            b.expect_match("^close_bulk_delete_create: ARG: ", text, arguments)
        b.expect(b.calls(), [])
        query = "json_object('type', 'id', 'object_type', 'lead', 'value', 'lead_none')"
        s.run(f"SELECT close_bulk_delete_create({query})")
        s.run(f"SELECT close_bulk_delete_create(json_object('s_query', {query}))")
        sent = b.requests()
        b.expect([params for _, params in sent],
                 [{"s_query": {"type": "id", "object_type": "lead", "value": "lead_none"}}] * 2)


def test_json_stays_json(b):
    with b.shell() as s:
        b.expect(s.value("SELECT json_type(json_object('l', close_me_get()), '$.l')"), "object")
        b.expect(s.value("SELECT json_type(json_object('c', contacts), '$.c') FROM close_leads LIMIT 1"),
                 "array")
        lead = a_lead(s)
        emails = ("close_contact_create('{0}', 'Jo', NULL,"
                  " json_array(json_object('type', 'office', 'email', 'jo@acme.example')))")
        b.expect(s.value(f"SELECT {emails.format(lead)} ->> '$.emails[0].email'"), "jo@acme.example")
        s.rows(f"INSERT INTO close_contacts(lead_id, name, emails) VALUES ('{lead}', 'Al',"
               " json_array(json_object('type', 'office', 'email', 'al@acme.example')));")
        b.expect(s.value("SELECT emails ->> '$[0].email' FROM close_contacts"
                         " WHERE id = close_last_id()"), "al@acme.example")


def test_custom_fields_become_columns(b):
    with b.shell() as s:
        s.rows("CREATE VIRTUAL TABLE temp.l USING close_leads(custom_fields = on);")
        fields = s.rows("SELECT id, name FROM close_custom_fields_lead ORDER BY id")
        plain = s.column("SELECT name FROM pragma_table_xinfo('close_leads')")
        wide = s.column("SELECT name FROM pragma_table_xinfo('l')")
        extra = [name for name in wide if name not in plain]
        b.expect(len(extra) >= len(fields) > 0, True, extra)
        b.expect(s.rows("SELECT id FROM l"), s.rows("SELECT id FROM close_leads"))
        total = 0
        for name in extra:
            total += s.value(f"SELECT count(\"{name}\") FROM l")
        b.expect(total > 0, True, "some field has a value")
        s.rows("DROP TABLE l")


def test_module_arguments_are_checked(b):
    with b.shell() as s:
        for module, arguments, pattern in (
                ("close_leads", "custom_field=on", "custom_fields=on"),
                ("close_leads", "custom_fields=perhaps", "on or off, not \"perhaps\""),
                ("close_leads", "x", "custom_fields=on"),
                ("close_users", "custom_fields=on", "custom fields")):
            _, text = s.error(f"CREATE VIRTUAL TABLE temp.t USING {module}({arguments})")
            b.expect_in(pattern, text)
            b.expect_match(f"^{module}: ARG: ", text)
        s.rows("CREATE VIRTUAL TABLE temp.t USING close_leads(custom_fields=off);")
        s.rows("ALTER TABLE t RENAME TO u")
        b.expect(s.value("SELECT count(*) FROM u"), s.value("SELECT count(*) FROM close_leads"))
