#!/usr/bin/env python3
"""Compares generated queries over the extension with the same queries over a plain copy of the data.

    test/host/property.py [--host sqlite|pg] [--count N] [--seed N] [--build DIR] [--leads N]
                          [--window N] [--page-size N] [--keep-going]

The stand-in's objects are loaded into ordinary tables by oracle.py, which shares no code with the
product: a SQLite database beside the shell, or local tables in the same PostgreSQL database. A generator makes queries from a seed: conditions of every kind, AND, OR and NOT, ORDER
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
import facts
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

    TRUTH = {0: "0", 1: "1"}
    MISSES = {"integer": "17", "boolean": "1", "real": "1.5"}

    def __init__(self, seed, copy, tables, page_size=0):
        self.random = random.Random(seed)
        self.copy = copy
        left_out = SINGLE_ONLY | facts.HIDDEN
        self.tables = {table: [c for c in columns if (table, c.name) not in left_out]
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
            extremes = self._extremes(table, column)
            return Query(f"SELECT count({column}), count(DISTINCT {column}){extremes} "
                         f"FROM {table}{where}", False)
        having = self.random.choice(("", " HAVING count(*) > 1"))
        return Query(f"SELECT {column}, count(*) FROM {table}{where} GROUP BY {column}{having}",
                     False)

    def _extremes(self, _table, column):
        return f", min({column}), max({column})"

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
        return Query(f"SELECT count(*) FROM ({inner.sql}) x", False)

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
            return self.MISSES.get(column.kind, "'nothing'")
        value = self.random.choice(values)
        if column.kind == "boolean":
            return self.TRUTH[value]
        if isinstance(value, (int, float)):
            if column.kind == "integer" and chance > 0.9:
                return f"{value}.0"
            return str(value)
        return "'" + value.replace("'", "''") + "'"

    def _pattern(self, table, column):
        values = [v for v in self._sample(table, column) if v] or ["x"]
        word = self.random.choice(values)[:self.random.randint(1, 4)].replace("'", "''")
        word = word.replace("\\", "")  # the escape character of one dialect
        return self.random.choice((f"'{word}%'", f"'%{word}%'", f"'%{word}'"))


class PgGenerator(Generator):
    """The same queries in PostgreSQL's dialect."""

    TRUTH = {0: "false", 1: "true"}
    MISSES = {"integer": "17", "boolean": "true", "real": "1.5", "time": "'1999-01-01'",
              "date": "'1999-01-01'"}

    def _extremes(self, table, column):
        kinds = {self._q(item.name): item.kind for item in self._columns(table)}
        return "" if kinds[column] == "boolean" else super()._extremes(table, column)


class SqliteSide:
    """The extension in the sqlite3 shell, the copy in Python's own SQLite."""

    generator = Generator

    def __init__(self, options, server, folder):
        self.host = hosts.SqliteHost(options.build, options.engine)
        self.shell = self.host.session(server, NoCase, {}, settings_of(options), folder, "property")
        self.copy = oracle.Oracle(server)

    def expected(self, query):
        return [compare.row(values, "sqlite") for values in self.copy.query(query.sql)], None

    def actual(self, query):
        outcome = self.shell.run(query.sql + ";")
        return [compare.row(values, "sqlite") for values in outcome.rows], outcome.errors

    def close(self):
        status, stderr = self.shell.close()
        self.host.close()
        return status, stderr


class PgSide:
    """Foreign tables in schema public, local copies of the same names in schema local."""

    generator = PgGenerator
    TYPES = {"text": "text", "integer": "bigint", "real": "double precision",
             "boolean": "boolean", "time": "timestamptz", "date": "date", "json": "jsonb",
             "custom": "jsonb"}

    def __init__(self, options, server, folder):
        self.host = hosts.PgHost(options.build)
        self.copy = oracle.Oracle(server)
        try:
            self.shell = self.host.session(server, NoCase, {}, settings_of(options), folder,
                                           "0-property")
            self._load()
        except BaseException:
            self.host.close()
            raise

    def _load(self):
        self._must("CREATE SCHEMA local;")
        for table in sorted(set(TABLES)):
            columns = self.copy.tables[table]
            declared = ", ".join(f'"{c.name}" {self.TYPES[c.kind]}' for c in columns)
            self._must(f"CREATE TABLE local.{table} ({declared});")
            for row in self.copy.query(f"SELECT * FROM {table}"):
                self._must(f"INSERT INTO local.{table} VALUES ("
                           + ", ".join(self._literal(v, c.kind) for v, c in zip(row, columns)) + ");")

    @staticmethod
    def _literal(value, kind):
        if value is None:
            return "NULL"
        if kind == "boolean":
            return "true" if value else "false"
        return "'" + str(value).replace("'", "''") + "'"

    def _must(self, sql):
        outcome = self.shell.run(sql)
        if outcome.errors:
            raise shells.ShellDied(f"{sql[:200]}: {outcome.errors[0]}")
        return outcome

    def _rows(self, schema, query):
        outcome = self.shell.run(f"SET search_path = {schema};\n{query.sql};")
        return [compare.row(values, "pg") for values in outcome.rows], outcome.errors

    def expected(self, query):
        return self._rows("local", query)

    def actual(self, query):
        return self._rows("public", query)

    def close(self):
        status, stderr = self.shell.close()
        self.host.close()
        return status, stderr


class Check:
    """Runs the queries on both sides."""

    def __init__(self, side):
        self.side = side
        self.rows = 0
        self.queries = 0

    def one(self, query):
        """None when both sides agree, else what differs."""
        self.queries += 1
        expected, errors = self.side.expected(query)
        if errors:
            return f"the copy refuses it: {errors[0]}"
        actual, errors = self.side.actual(query)
        if errors:
            return f"error: {errors[0]}"
        self.rows += len(actual)
        return compare.diff_rows(expected, actual, query.ordered)


def settings_of(options):
    return [("concurrency", str(options.window)), ("page_size", str(options.page_size))]


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--host", choices=("sqlite", "pg"), default="sqlite")
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
    with hosts.private_folder() as folder, \
            standin.Standin(options.build, f"--leads {options.leads}") as server:
        try:
            side = (PgSide if options.host == "pg" else SqliteSide)(options, server, folder)
        except (ImportError, FileNotFoundError) as problem:
            print(f"skipping the PostgreSQL host: {problem}")
            return 0
        check = Check(side)
        try:
            failures = compare_all(options, side, check)
        finally:
            status, stderr = side.close()
    if stderr.strip():
        print(stderr)
    took = time.monotonic() - started
    print(f"{check.rows} rows compared in {took:.1f} s")
    print(f"{check.queries - failures} passed, {failures} failed")
    return 1 if failures or status not in (0, 1) else 0


def compare_all(options, side, check):
    """Number of queries that differ."""
    generator = side.generator(options.seed, side.copy, side.copy.tables, options.page_size)
    failures = 0
    for number in range(options.count):
        query = generator.query()
        if options.only is not None and number != options.only:
            continue
        dead = False
        try:
            problem = check.one(query)
        except shells.ShellDied as death:
            problem, dead = str(death), True
        if not problem:
            continue
        failures += 1
        shown = problem.replace("\n", "\n  ")
        print(f"query {number} differs (--seed {options.seed} --only {number})\n"
              f"  {query.sql}\n  {shown}", flush=True)
        if dead or not options.keep_going:
            break
    return failures


if __name__ == "__main__":
    sys.exit(main())
