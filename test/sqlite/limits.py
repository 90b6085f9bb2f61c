"""LIMIT and OFFSET: what is asked for, and that the rows are those of a plain table."""

import random

TABLE = "close_opportunities"
COLUMNS = "id TEXT, lead_id TEXT, status_type TEXT, confidence INTEGER, value INTEGER, date_created TEXT"
NAMES = "id, lead_id, status_type, confidence, value, date_created"


def copy(s):
    """A plain table with the same rows in the same order."""
    s.rows(f"CREATE TEMP TABLE plain({COLUMNS});"
           f"\nINSERT INTO plain SELECT {NAMES} FROM {TABLE};")


def test_limit_asks_for_no_more(b):
    with b.shell() as s:
        for sql, params in (
                (f"SELECT id FROM {TABLE} LIMIT 5", {"_limit": 5}),
                (f"SELECT id FROM {TABLE} WHERE status_type = 'won' LIMIT 2",
                 {"_limit": 2, "status_type": "won"}),
                (f"SELECT id FROM {TABLE} ORDER BY date_created DESC LIMIT 3",
                 {"_limit": 3, "_order_by": "-date_created"})):
            b.calls()
            s.rows(sql)
            requests = b.requests()
            b.expect(len(requests), 1, sql)
            sent = {name: requests[0][1].get(name) for name in params}
            b.expect(sent, params, sql)


def test_limit_zero_and_negative(b):
    with b.shell() as s:
        total = s.value(f"SELECT count(*) FROM {TABLE}")
        b.calls()
        b.expect(s.rows(f"SELECT id FROM {TABLE} LIMIT 0"), [])
        b.expect(b.calls(), [])
        b.expect(len(s.rows(f"SELECT id FROM {TABLE} LIMIT -1")), total)
        b.expect(len(s.rows(f"SELECT id FROM {TABLE} LIMIT -1 OFFSET 3")), total - 3)
        b.expect(len(s.rows(f"SELECT id FROM {TABLE} LIMIT 4 OFFSET -2")), 4)
        b.expect(s.rows(f"SELECT id FROM {TABLE} LIMIT 4 OFFSET {total}"), [])
        b.expect(len(s.rows(f"SELECT id FROM {TABLE} LIMIT 9223372036854775807 OFFSET 1")), total - 1)


def test_conditions_that_the_planner_hides_do_not_cut_rows(b):
    """SQLite before 3.46 offers LIMIT although these conditions drop rows after the scan."""
    with b.shell() as s:
        copy(s)
        last = s.value("SELECT id FROM plain ORDER BY rowid DESC LIMIT 1")
        for where in (f"id = coalesce('{last}', id)", "confidence = value % 101", "status_type = lower("
                      "status_type) AND lead_id = trim(lead_id)", "id = lead_id", "+id = id",
                      "id = lead_id AND status_type = 'won'",
                      "status_type = 'won' AND confidence = value % 101 AND id <> lead_id"):
            for limit in ("LIMIT 2", "LIMIT 2 OFFSET 1", "LIMIT 30 OFFSET 3"):
                b.expect(s.rows(f"SELECT id FROM {TABLE} WHERE {where} {limit}"),
                         s.rows(f"SELECT id FROM plain WHERE {where} {limit}"), f"{where} {limit}")


def test_compound_queries_share_one_limit(b):
    with b.shell() as s:
        copy(s)
        arms = ("status_type = 'won'", "status_type = 'lost'", "confidence > 50", "1")
        for operator in ("UNION ALL", "UNION", "EXCEPT", "INTERSECT"):
            for first in arms:
                for limit in ("LIMIT 4", "LIMIT 4 OFFSET 2", "LIMIT 3 OFFSET 30", "LIMIT 5 OFFSET 1000"):
                    form = (f"SELECT id FROM %s WHERE {first} {operator} SELECT id FROM %s"
                            f" WHERE status_type = 'active' {limit}")
                    b.expect(s.rows(form % (TABLE, TABLE)), s.rows(form % ("plain", "plain")), form)


def queries(count):
    """Random statements over a table named %s; those without ORDER BY depend on the scan's order."""
    random.seed(20260923)
    conditions = ["status_type = 'won'", "status_type IN ('won', 'lost')", "confidence >= 50",
                  "value > 100000", "value IS NULL", "lead_id IS NOT NULL", "id <> 'oppo_x'",
                  "confidence BETWEEN 10 AND 90", "status_type LIKE '%o%'", "confidence = value % 101",
                  "date_created > '2020'", "NOT status_type = 'active'"]
    orders = ["", "", "ORDER BY date_created, id", "ORDER BY date_created DESC, id", "ORDER BY id",
              "ORDER BY confidence DESC, id", "ORDER BY value, id", "ORDER BY 1 DESC"]
    for _ in range(count):
        chosen = random.sample(conditions, random.choice((0, 0, 1, 1, 2)))
        # IN on a column that the service filters by comes list by list: order it.
        order = random.choice(orders) or ("ORDER BY id" if any("IN (" in c for c in chosen) else "")
        where = "WHERE " + " AND ".join(chosen) if chosen else ""
        limit = f"LIMIT {random.choice((1, 2, 5, 7, 20, 1000))}"
        offset = random.choice(("", "", "OFFSET 0", "OFFSET 1", "OFFSET 6", "OFFSET 39", "OFFSET 500"))
        inner = f"SELECT id, value FROM %s {where} {order} {limit} {offset}"
        yield random.choice((
            inner, inner, f"SELECT count(*), sum(value) FROM ({inner})",
            f"SELECT id FROM ({inner}) LIMIT 3 OFFSET 1",
            f"SELECT DISTINCT status_type FROM %s {where} ORDER BY 1 {limit} {offset}",
            f"SELECT status_type, count(*) FROM %s {where} GROUP BY 1 ORDER BY 1 {limit} {offset}"))


def test_property_same_rows_as_a_plain_table(b):
    with b.shell() as s:
        copy(s)
        for sql in queries(150):
            b.expect(s.rows(sql.replace("%s", TABLE)), s.rows(sql.replace("%s", "plain")), sql)


def test_limit_is_bound_at_run_time(b):
    with b.shell() as s:
        s.run(".parameter init\n.parameter set :many 4\n.parameter set :skip 2")
        copy(s)
        for limit in ("LIMIT :many", "LIMIT :many OFFSET :skip", "LIMIT (SELECT 3) OFFSET (SELECT 1)"):
            b.calls()
            b.expect(s.rows(f"SELECT id FROM {TABLE} {limit}"),
                     s.rows(f"SELECT id FROM plain {limit}"), limit)
            b.expect(len(b.calls()), 1, limit)
        _, text = s.error(f"SELECT id FROM {TABLE} LIMIT 'x'")
        b.expect_in("datatype mismatch", text)
