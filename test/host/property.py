#!/usr/bin/env python3
"""Compares generated queries over the extension with the same queries over a plain copy of the data.

    test/host/property.py [--count N] [--seed N] [--build DIR] [--leads N] [--window N]
                          [--page-size N] [--keep-going]

The stand-in's objects are loaded into ordinary SQLite tables by oracle.py, which shares no code with
the product. A generator makes queries from a seed: conditions of every kind, AND, OR and NOT, ORDER
BY, LIMIT and OFFSET, joins, aggregates, sub-selects. Each must give the same rows on both sides; a
query whose order is not total is compared as a set, and one with LIMIT by a total order. The seed
is printed, and one query can be run again with --seed and --only.
"""

import argparse
import os
import random
import sys
import time

import compare
import hosts
import oracle
import shells
import standin

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

# Tables for random queries; the ones that walk parents are costly and appear less often.
TABLES = ["close_leads"] * 4 + ["close_contacts"] * 3 + ["close_opportunities"] * 4 + \
    ["close_tasks"] * 4 + ["close_activities"] * 2 + [
        "close_notes", "close_calls", "close_emails", "close_sms", "close_users", "close_pipelines",
        "close_sequences", "close_sequence_subscriptions", "close_comments",
        "close_comment_threads", "close_custom_activities", "close_lead_statuses",
        "close_opportunity_statuses", "close_smart_views", "close_custom_fields_lead",
        "close_events", "close_webhooks"]

# Foreign keys that joins follow.
JOINS = [
    ("close_contacts", "lead_id", "close_leads", "id"),
    ("close_opportunities", "lead_id", "close_leads", "id"),
    ("close_opportunities", "contact_id", "close_contacts", "id"),
    ("close_tasks", "lead_id", "close_leads", "id"),
    ("close_notes", "lead_id", "close_leads", "id"),
    ("close_activities", "lead_id", "close_leads", "id"),
    ("close_opportunities", "status_id", "close_opportunity_statuses", "id"),
    ("close_opportunities", "pipeline_id", "close_pipelines", "id"),
    ("close_comments", "thread_id", "close_comment_threads", "id"),
    ("close_sequence_subscriptions", "sequence_id", "close_sequences", "id"),
    ("close_leads", "status_id", "close_lead_statuses", "id"),
    ("close_contacts", "lead_id", "close_opportunities", "lead_id"),
    ("close_calls", "user_id", "close_users", "id"),
]

# Members that the service only gives in single answers, so that rows by id and rows by list differ.
SINGLE_ONLY = {("close_sequences", "subscription_counts_by_status"),
               ("close_smart_views", "used_recently")}
EVENTS_AT_ONCE = 8  # events that share an instant: a page must hold them all


class Query:
    """A generated query; `ordered` tells how its rows are compared."""

    def __init__(self, sql, ordered):
        self.sql = sql
        self.ordered = ordered


class Generator:
    """Makes queries; the values in conditions come from the data, so that they hit."""

    def __init__(self, seed, copy, tables, page_size=0):
        self.random = random.Random(seed)
        self.copy = copy
        self.tables = {table: [c for c in columns if (table, c.name) not in SINGLE_ONLY]
                       for table, columns in tables.items()}
        self.choices = [table for table in TABLES
                        if table != "close_events" or not 0 < page_size < EVENTS_AT_ONCE]
        self.samples = {}

    def query(self):
        kind = self.random.choices(("plain", "join", "aggregate", "nested", "union"),
                                   (50, 15, 15, 15, 5))[0]
        return getattr(self, "_" + kind)()

    # --- shapes -------------------------------------------------------------------------------

    def _plain(self):
        table = self.random.choice(self.choices)
        columns = self._some(table, 1, 6)
        if self.random.random() < 0.06:
            columns = [column.name for column in self._columns(table)]
        sql = f"SELECT {self._list(columns)} FROM {table}{self._where(table)}"
        return self._tail(sql, table, columns)

    def _tail(self, sql, table, columns):
        """ORDER BY and LIMIT. With LIMIT the order is made total by id, or is the only column."""
        chance = self.random.random()
        if chance < 0.5:
            return Query(sql, False)
        key = self.random.choice(self._sortable(table))
        direction = self.random.choice(("", " DESC"))
        if chance < 0.6 and columns == [key]:
            return Query(f"{sql} ORDER BY {self._q(key)}{direction}" + self._limit(), True)
        if chance < 0.75:
            return Query(f"SELECT {self._q(key)} FROM {table}{self._where(table)} "
                         f"ORDER BY {self._q(key)}{direction}{self._limit()}", True)
        return Query(f'{sql} ORDER BY {self._q(key)}{direction}, "id"{self._limit()}', True)

    def _limit(self):
        if self.random.random() < 0.4:
            return ""
        limit = f" LIMIT {self.random.choice((0, 1, 2, 3, 5, 10, 40, 1000))}"
        if self.random.random() < 0.4:
            limit += f" OFFSET {self.random.choice((0, 1, 2, 7, 30, 500))}"
        return limit

    def _join(self):
        left, left_key, right, right_key = self.random.choice(JOINS)
        a, b = self._some(left, 1, 2), self._some(right, 1, 2)
        if self.random.random() < 0.3:
            left, left_key, right, right_key, a, b = right, right_key, left, left_key, b, a
        word = self.random.choice(("JOIN", "LEFT JOIN"))
        on = f'x."{left_key}" = y."{right_key}"'
        if self.random.random() < 0.3:
            on += " AND " + self._condition(right, "y.")
        where = ""
        if self.random.random() < 0.7:
            where = " WHERE " + self._condition(left, "x.")
        shown = ", ".join([f"x.{self._q(c)}" for c in a] + [f"y.{self._q(c)}" for c in b])
        return Query(f"SELECT {shown} FROM {left} x {word} {right} y ON {on}{where}", False)

    def _aggregate(self):
        table = self.random.choice(self.choices)
        # JSON is compared by value; as text it is spelt as the service spells it, which orders differently.
        column = self._q(self.random.choice(self._scalars(table)))
        shape = self.random.randrange(4)
        where = self._where(table)
        if shape == 0:
            return Query(f"SELECT count(*) FROM {table}{where}", False)
        if shape == 1:
            return Query(f"SELECT count({column}), count(DISTINCT {column}), min({column}), "
                         f"max({column}) FROM {table}{where}", False)
        having = self.random.choice(("", " HAVING count(*) > 1"))
        return Query(f"SELECT {column}, count(*) FROM {table}{where} GROUP BY {column}{having}",
                     False)

    def _nested(self):
        left, left_key, right, right_key = self.random.choice(JOINS)
        shown = self._list(self._some(left, 1, 3))
        word = self.random.choice(("IN", "NOT IN"))
        shape = self.random.randrange(3)
        if shape == 0:
            return Query(f'SELECT {shown} FROM {left} WHERE "{left_key}" {word} '
                         f'(SELECT "{right_key}" FROM {right}{self._where(right)})', False)
        if shape == 1:
            word = self.random.choice(("EXISTS", "NOT EXISTS"))
            return Query(f'SELECT x."id" FROM {left} x WHERE {word} (SELECT 1 FROM {right} y '
                         f'WHERE y."{right_key}" = x."{left_key}" AND '
                         f'{self._condition(right, "y.")})', False)
        inner = self._tail(f"SELECT {self._q('id')} FROM {left}{self._where(left)}", left, ["id"])
        return Query(f"SELECT count(*) FROM ({inner.sql})", False)

    def _union(self):
        table = self.random.choice(self.choices)
        column = self._q(self.random.choice(self._scalars(table)))
        word = self.random.choice(("UNION", "UNION ALL", "EXCEPT", "INTERSECT"))
        return Query(f"SELECT {column} FROM {table}{self._where(table)} {word} "
                     f"SELECT {column} FROM {table}{self._where(table)}", False)

    # --- parts --------------------------------------------------------------------------------

    def _columns(self, table):
        return self.tables[table]

    def _some(self, table, low, high):
        names = [column.name for column in self._columns(table)]
        count = min(len(names), self.random.randint(low, high))
        chosen = self.random.sample(names, count)
        return chosen if "id" in chosen or self.random.random() < 0.5 else ["id"] + chosen

    def _scalars(self, table):
        return [c.name for c in self._columns(table) if c.kind not in ("json", "custom")]

    def _sortable(self, table):
        return [column.name for column in self._columns(table)
                if column.kind in ("text", "integer", "time", "date", "boolean")]

    @staticmethod
    def _q(name):
        return f'"{name}"'

    def _list(self, names):
        return ", ".join(self._q(name) for name in names)

    def _where(self, table):
        if self.random.random() < 0.25:
            return ""
        return " WHERE " + self._condition(table, "")

    def _condition(self, table, prefix, depth=0):
        chance = self.random.random()
        if depth < 3 and chance < 0.3:
            parts = [self._condition(table, prefix, depth + 1)
                     for _ in range(self.random.randint(2, 3))]
            return "(" + self.random.choice((" AND ", " AND ", " OR ")).join(parts) + ")"
        if depth < 3 and chance < 0.36:
            return "NOT (" + self._condition(table, prefix, depth + 1) + ")"
        return self._comparison(table, prefix)

    def _comparison(self, table, prefix):
        column = self._likely(table)
        name = prefix + self._q(column.name)
        shape = self.random.choices(("=", "IN", "range", "null", "LIKE", "<>", "BETWEEN"),
                                    (40, 15, 15, 10, 10, 5, 5))[0]
        if shape == "null":
            return name + self.random.choice((" IS NULL", " IS NOT NULL"))
        if shape == "IN":
            values = [self._value(table, column) for _ in range(self.random.randint(1, 5))]
            return f"{name} {self.random.choice(('IN', 'IN', 'NOT IN'))} ({', '.join(values)})"
        if shape == "range":
            return f"{name} {self.random.choice(('<', '<=', '>', '>='))} {self._value(table, column)}"
        if shape == "BETWEEN":
            return f"{name} BETWEEN {self._value(table, column)} AND {self._value(table, column)}"
        if shape == "LIKE" and column.kind == "text":
            return f"{name} LIKE {self._pattern(table, column)}"
        if shape == "<>":
            return f"{name} <> {self._value(table, column)}"
        return f"{name} = {self._value(table, column)}"

    def _likely(self, table):
        """A column; the ones that may be sent to the service come up more often."""
        columns = self._columns(table)
        hot = [c for c in columns if c.name in (
            "id", "lead_id", "contact_id", "user_id", "status_id", "status_type", "_type",
            "is_complete", "assigned_to", "type", "thread_id", "sequence_id", "object_type",
            "action", "date_updated", "date_created", "custom_activity_type_id")]
        if hot and self.random.random() < 0.6:
            return self.random.choice(hot)
        plain = [c for c in columns if c.kind not in ("json", "custom")]
        return self.random.choice(plain)

    def _sample(self, table, column):
        key = (table, column.name)
        if key not in self.samples:
            rows = self.copy.query(f'SELECT DISTINCT "{column.name}" FROM {table} '
                                   f'WHERE "{column.name}" IS NOT NULL ORDER BY 1 LIMIT 60')
            self.samples[key] = [row[0] for row in rows]
        return self.samples[key]

    def _value(self, table, column):
        values = self._sample(table, column)
        chance = self.random.random()
        if chance < 0.03:
            return "NULL"
        if not values or chance < 0.1:
            return {"integer": "17", "boolean": "1", "real": "1.5"}.get(column.kind, "'nothing'")
        value = self.random.choice(values)
        if isinstance(value, (int, float)):
            if column.kind == "integer" and chance > 0.9:
                return f"{value}.0"
            return str(value)
        return "'" + value.replace("'", "''") + "'"

    def _pattern(self, table, column):
        values = [v for v in self._sample(table, column) if v] or ["x"]
        word = self.random.choice(values)[:self.random.randint(1, 4)].replace("'", "''")
        return self.random.choice((f"'{word}%'", f"'%{word}%'", f"'%{word}'"))


class Check:
    """Runs the queries on both sides."""

    def __init__(self, options, server, shell, copy):
        self.options = options
        self.server = server
        self.shell = shell
        self.copy = copy
        self.rows = 0
        self.queries = 0

    def one(self, query):
        """None when both sides agree, else what differs."""
        self.queries += 1
        expected = [compare.row(values, "sqlite") for values in self.copy.query(query.sql)]
        outcome = self.shell.run(query.sql + ";")
        if outcome.errors:
            return f"error: {outcome.errors[0]}"
        actual = [compare.row(values, "sqlite") for values in outcome.rows]
        self.rows += len(actual)
        return compare.diff_rows(expected, actual, query.ordered)


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--count", type=int, default=400)
    parser.add_argument("--seed", type=int, default=20240502)
    parser.add_argument("--only", type=int, help="run only the query of this number")
    parser.add_argument("--build", default=os.path.join(ROOT, "build"))
    parser.add_argument("--leads", type=int, default=45)
    parser.add_argument("--window", type=int, default=8)
    parser.add_argument("--page-size", type=int, default=0)
    parser.add_argument("--engine", choices=("normal", "asan"), default="normal")
    parser.add_argument("--keep-going", action="store_true")
    return parser.parse_args()


class NoCase:
    """The session of the property test has no particular settings."""

    entry = None


def main():
    options = arguments()
    started = time.monotonic()
    print(f"seed {options.seed}, {options.count} queries over {options.leads} leads, "
          f"window {options.window}, page size {options.page_size or 'default'}")
    failures = 0
    with hosts.private_folder() as folder, \
            standin.Standin(options.build, f"--leads {options.leads}") as server:
        host = hosts.SqliteHost(options.build, options.engine)
        settings = [("concurrency", str(options.window)), ("page_size", str(options.page_size)),
                    ("cache_ttl_ms", "0")]
        shell = host.session(server, NoCase, {}, settings, folder, "property")
        copy = oracle.Oracle(server)
        generator = Generator(options.seed, copy, copy.tables, options.page_size)
        check = Check(options, server, shell, copy)
        for number in range(options.count):
            query = generator.query()
            if options.only is not None and number != options.only:
                continue
            try:
                problem = check.one(query)
            except shells.ShellDied as death:
                problem = str(death)
                options.keep_going = False
            if problem:
                failures += 1
                shown = problem.replace("\n", "\n  ")
                print(f"query {number} differs (--seed {options.seed} --only {number})\n"
                      f"  {query.sql}\n  {shown}", flush=True)
                if not options.keep_going:
                    break
        status, stderr = shell.close()
        if stderr.strip():
            print(stderr)
    took = time.monotonic() - started
    print(f"{check.rows} rows compared in {took:.1f} s")
    print(f"{check.queries - failures} passed, {failures} failed")
    return 1 if failures or (status not in (0, 1) and not failures) else 0


if __name__ == "__main__":
    sys.exit(main())
