"""EXPLAIN QUERY PLAN, conditions that travel, joins, hidden columns."""

EXPLAINED = [
    # statement, a part of its plan, requests that running it makes (None: not run)
    ("SELECT id, name FROM close_leads WHERE id = 'lead_x'",
     "close_leads VIRTUAL TABLE INDEX 0:close_lead_get lead_id=$1 _fields=id,name", 1),
    ("SELECT id FROM close_leads WHERE id IN ('lead_x', 'lead_y', NULL)",
     "close_lead_get lead_id=any($1) _fields=id", 2),
    ("SELECT id FROM close_leads WHERE id IS 'lead_x'", "close_lead_get lead_id=$1", 1),
    ("SELECT id FROM close_leads WHERE id = NULL", "close_lead_get lead_id=$1", 0),
    ("SELECT id FROM close_leads WHERE id = x'6c656164'", "close_lead_get lead_id=$1", 0),
    ("SELECT id FROM close_leads WHERE query = 'Acme'", "close_leads_list query=$1 _fields=id", 1),
    ("SELECT id FROM close_leads('Acme')", "close_leads_list query=$1 _fields=id", 1),
    ("SELECT id FROM close_leads LIMIT 5", "close_leads_list _limit=$1 _fields=id", 1),
    ("SELECT id FROM close_leads WHERE query = 'Acme' LIMIT 3",
     "close_leads_list query=$1 _limit=$2 _fields=id", 1),
    ("SELECT id FROM close_leads WHERE name = 'x' LIMIT 3", "close_leads_list _fields=id,name", None),
    ("SELECT id FROM close_leads WHERE name LIKE 'A%' LIMIT 3", "close_leads_list _fields=id,name",
     None),
    ("SELECT id FROM close_opportunities WHERE status_type = 'won' AND user_id = 'user_x'",
     "user_id=$", 1),
    ("SELECT count(*) FROM close_leads", "close_leads_list", 1),
    ("SELECT count(*) FROM close_leads WHERE name > ''", "close_leads_list _fields=id,name", None),
    ("SELECT id FROM close_leads WHERE id = 'LEAD_X' COLLATE NOCASE", "close_leads_list _fields=id",
     None),
    ("SELECT id FROM close_tasks WHERE is_complete = '1' LIMIT 2", "is_complete=$1", 1),
]


def test_plans_name_tool_and_parameters(b):
    with b.shell() as s:
        for sql, part, requests in EXPLAINED:
            b.expect_in(part, "\n".join(s.plan(sql)), sql)
            b.calls()
            if requests is not None:
                s.rows(sql)
                b.expect(len(b.calls()), requests, sql)


def test_explaining_sends_nothing(b):
    with b.shell() as s:
        s.plan("SELECT * FROM close_leads l JOIN close_contacts c ON c.lead_id = l.id")
        s.run("EXPLAIN SELECT * FROM close_leads")
        b.expect(b.calls(), [])


def test_order_is_consumed_only_where_the_service_sorts_like_sql(b):
    with b.shell() as s:
        b.expect(any("TEMP B-TREE" in line for line in s.plan(
            "SELECT id FROM close_leads ORDER BY name")), True)
        b.expect(any("TEMP B-TREE" in line for line in s.plan(
            "SELECT id FROM close_opportunities ORDER BY date_created DESC")), False)
        b.expect(any("TEMP B-TREE" in line for line in s.plan(
            "SELECT id FROM close_opportunities ORDER BY date_created COLLATE NOCASE")), True)
        dates = s.column("SELECT date_created FROM close_opportunities ORDER BY date_created DESC")
        b.expect(dates, sorted(dates, reverse=True))
        b.expect(len(dates) > 10, True, "enough rows to tell")


def test_joins_look_up_by_key(b):
    with b.shell() as s:
        lead = s.value("SELECT lead_id FROM close_opportunities LIMIT 1")
        b.expect(s.plan("SELECT l.name, c.name FROM close_contacts c JOIN close_leads l"
                        f" ON l.id = c.lead_id WHERE l.id = '{lead}'")[0].split(":")[1].split()[0],
                 "close_lead_get")
        plan = s.plan("SELECT l.name FROM close_opportunities o JOIN close_leads l ON l.id = o.lead_id"
                      " WHERE o.status_type = 'won'")
        b.expect_in("close_opportunities_list status_type=$1", plan[0])
        b.expect_in("close_lead_get lead_id=$1", plan[1])
        b.calls()
        joined = s.rows("SELECT o.id, l.id FROM close_opportunities o JOIN close_leads l"
                        " ON l.id = o.lead_id WHERE o.status_type = 'won' ORDER BY o.id")
        calls = b.calls()
        plain = s.rows("CREATE TEMP TABLE o AS SELECT * FROM close_opportunities;"
                       "\nCREATE TEMP TABLE l AS SELECT * FROM close_leads;"
                       "\nSELECT o.id, l.id FROM o JOIN l ON l.id = o.lead_id"
                       " WHERE o.status_type = 'won' ORDER BY o.id;")
        b.expect(joined, plain)
        # One page of opportunities, and no lead twice.
        b.expect(len(calls) <= 1 + len({row[1] for row in joined}), True, calls)


def test_keys_from_a_subquery_are_fetched_together(b):
    with b.shell() as s:
        sql = ("SELECT id FROM close_leads WHERE id IN"
               " (SELECT lead_id FROM close_opportunities WHERE status_type = 'lost')")
        b.expect_in("lead_id=any($1)", "\n".join(s.plan(sql)))
        got = sorted(s.column(sql))
        s.rows("CREATE TEMP TABLE o AS SELECT * FROM close_opportunities")
        b.expect(got, s.column("SELECT DISTINCT lead_id FROM o WHERE status_type = 'lost' ORDER BY 1"))


def test_conditions_known_too_late_pick_another_join_order(b):
    with b.shell() as s:
        s.rows("CREATE TEMP TABLE words(word); INSERT INTO words VALUES ('Acme'), ('Bolt');")
        forward = s.rows("SELECT word, id FROM words JOIN close_leads ON query = word ORDER BY 1, 2")
        backward = s.rows("SELECT word, id FROM close_leads JOIN words ON query = word ORDER BY 1, 2")
        b.expect(len(forward) > 2, True, "some leads carry these words")
        b.expect(backward, forward)
        # CROSS JOIN forces the one order that has no answer.
        _, text = s.error("SELECT id FROM close_leads CROSS JOIN words ON query = word")
        b.expect_match("no query solution|query is a parameter of close_leads_list", text)


def test_left_join_keeps_rows_without_partner(b):
    with b.shell() as s:
        rows = s.rows("SELECT v.id, l.id FROM (SELECT 'lead_none' AS id) v"
                      " LEFT JOIN close_leads l ON l.id = v.id")
        b.expect(rows, [["lead_none", None]])


def test_outer_joins_and_alternatives_are_those_of_a_plain_table(b):
    with b.shell() as s:
        s.rows("CREATE TEMP TABLE plain AS SELECT id, name, status_id FROM close_leads;"
               "\nCREATE TEMP TABLE k(id, v); INSERT INTO k SELECT id, 'k' FROM plain LIMIT 3;"
               "\nINSERT INTO k VALUES ('none', 'z'), (NULL, 'n');")
        forms = ["SELECT l.name, k.v FROM {0} l JOIN k ON k.id = l.id ORDER BY 1, 2",
                 "SELECT l.name, k.v FROM k LEFT JOIN {0} l ON k.id = l.id AND l.name > 'B' ORDER BY 1, 2",
                 "SELECT id FROM {0} WHERE id IN (SELECT id FROM k) OR name LIKE 'A%' ORDER BY 1",
                 "SELECT id FROM {0} WHERE id = (SELECT min(id) FROM k) OR id = (SELECT max(id) FROM plain)"
                 " OR id = (SELECT min(id) FROM k) ORDER BY 1",
                 "SELECT a.id FROM {0} a, {0} b WHERE a.id = b.id AND b.id IN (SELECT id FROM k)"
                 " ORDER BY 1",
                 "SELECT count(*) FROM {0} a WHERE EXISTS (SELECT 1 FROM {0} b WHERE b.id = a.id"
                 " AND b.name = a.name)"]
        if b.sqlite_version() >= (3, 39):
            forms += ["SELECT l.name, k.v FROM {0} l RIGHT JOIN k ON k.id = l.id ORDER BY 1, 2",
                      "SELECT l.name, k.v FROM {0} l FULL JOIN k ON k.id = l.id ORDER BY 1, 2",
                      "SELECT l.name, k.v FROM k FULL JOIN {0} l ON k.id = l.id ORDER BY 1, 2"]
        for form in forms:
            b.expect(s.rows(form.format("close_leads")), s.rows(form.format("plain")), form)


def test_parameter_columns_are_hidden_arguments(b):
    with b.shell() as s:
        b.expect("query" in s.run("SELECT * FROM close_leads LIMIT 1").output, False)
        b.expect("_raw" in s.run("SELECT * FROM close_leads LIMIT 1").output, False)
        by_name = s.rows("SELECT id, query FROM close_leads WHERE query = 'Acme'")
        b.expect(len(by_name) > 1, True, "several leads named Acme")
        b.expect(s.rows("SELECT id, query FROM close_leads('Acme')"), by_name)
        b.expect({row[1] for row in by_name}, {"Acme"})
        b.expect(s.value("SELECT json_valid(_raw) AND _raw ->> 'id' = id FROM close_leads LIMIT 1"), 1)
        b.expect(s.rows("SELECT id FROM close_leads(NULL)"), [])


def test_misused_parameter_columns_are_errors_that_help(b):
    with b.shell() as s:
        for sql in ("SELECT query FROM close_leads",
                    "SELECT id FROM close_leads WHERE query LIKE 'A%'",
                    "SELECT id FROM close_leads WHERE query = 'Acme' OR name = 'x'",
                    "SELECT id FROM close_leads WHERE query > 'Acme'"):
            b.calls()
            code, text = s.error(sql)
            b.expect_match(r"^close_leads: ARG: .*query is a parameter of close_leads_list", text, sql)
            b.expect((code, b.calls()), (1, []), sql)
        b.expect(s.value("SELECT count(*) FROM close_leads WHERE query IS NULL"),
                 s.value("SELECT count(*) FROM close_leads"))


def test_lists_of_parameters(b):
    with b.shell() as s:
        one = s.column("SELECT id FROM close_leads WHERE query = 'Acme'")
        two = s.column("SELECT id FROM close_leads WHERE query = 'Bolt'")
        b.expect(sorted(s.column("SELECT id FROM close_leads WHERE query IN ('Acme', 'Bolt')")),
                 sorted(set(one + two)))
        b.expect(sorted(s.column("SELECT id FROM close_leads WHERE query = 'Acme' OR query = 'Bolt'")),
                 sorted(set(one + two)))
        both = s.column(f"SELECT id FROM close_leads WHERE query IN ('Acme', 'Bolt') AND id IN"
                        f" ('{one[0]}', 'lead_none')")
        b.expect(both, [one[0]])


def test_a_bound_is_a_comparison_of_texts(b):
    with b.shell() as s:
        s.rows("CREATE TEMP TABLE e AS SELECT id, date_updated FROM close_events")
        stamps = s.column("SELECT date_updated FROM e ORDER BY 1")
        middle = stamps[len(stamps) // 2]
        for value in (middle, middle[:10], middle[:19] + "Z", middle[:10] + " 12:00:00", middle[:4],
                      "zebra", "", "0"):
            for op in ("<", "<=", ">", ">="):
                where = f"date_updated {op} '{value}'"
                b.expect(s.column(f"SELECT id FROM close_events WHERE {where} ORDER BY id"),
                         s.column(f"SELECT id FROM e WHERE {where} ORDER BY id"), where)
        b.expect(s.value("SELECT count(*) FROM close_events WHERE date_updated < x'00'"), len(stamps))
        b.expect(s.value("SELECT count(*) FROM close_events WHERE date_updated > x'00'"), 0)
        b.expect(s.value("SELECT count(*) FROM close_events WHERE date_updated > NULL"), 0)


def test_affinity_decides_what_is_equal(b):
    with b.shell() as s:
        s.rows("CREATE TEMP TABLE t(id TEXT, is_complete INTEGER);"
               "\nINSERT INTO t SELECT id, is_complete FROM close_tasks;")
        for value in ("1", "0", "'1'", "' 1 '", "1.0", "'1.0'", "1.5", "2", "'true'", "true", "x'31'",
                      "NULL", "'1' || ''"):
            for where in (f"is_complete = {value}", f"is_complete IN ({value}, 7)",
                          f"id = {value}", f"is_complete IS {value}"):
                b.expect(s.column(f"SELECT id FROM close_tasks WHERE {where} ORDER BY id"),
                         s.column(f"SELECT id FROM t WHERE {where} ORDER BY id"), where)
