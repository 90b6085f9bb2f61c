"""What the tables must contain, worked out without the product.

The stand-in hands out its objects as plain JSON (/_standin/objects). This module converts them by
the facts of test/data/columns.tsv and loads them into an ordinary SQLite database with the same table
and column names. A case or a generated query is then asked twice: of the extension, and of this
copy. The two conversions share no code with each other, which is the point.
"""

import datetime
import json
import re
import sqlite3

import facts

_STAMP = re.compile(r"(\d{4})-(\d\d)-(\d\d)(?:[T ](\d\d):(\d\d):(\d\d)(?:\.(\d{1,9}))?)?"
                    r"(Z|[+-]\d\d:\d\d)?$")

DECLARED = {"text": "TEXT", "integer": "INTEGER", "real": "REAL", "boolean": "INTEGER",
            "time": "TEXT", "date": "TEXT", "json": "TEXT", "custom": "TEXT"}


def canonical_json(value):
    """One spelling per JSON value: sorted keys, no blanks, whole numbers without a fraction."""

    def plain(item):
        if isinstance(item, dict):
            return {key: plain(member) for key, member in item.items()}
        if isinstance(item, list):
            return [plain(member) for member in item]
        if isinstance(item, float) and item.is_integer() and abs(item) < 2**53:
            return int(item)
        return item

    return json.dumps(plain(value), sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def canonical_time(text):
    """Any of the service's timestamp forms as UTC with six digits; no offset means UTC."""
    match = _STAMP.match(text)
    if not match:
        raise ValueError(f"not a timestamp: {text!r}")
    year, month, day, hour, minute, second, fraction, zone = match.groups()
    micro = int(((fraction or "") + "000000")[:6])
    moment = datetime.datetime(int(year), int(month), int(day), int(hour or 0), int(minute or 0),
                               int(second or 0), micro)
    if zone and zone != "Z":
        sign = 1 if zone[0] == "+" else -1
        moment -= sign * datetime.timedelta(hours=int(zone[1:3]), minutes=int(zone[4:6]))
    return (f"{moment.year:04}-{moment.month:02}-{moment.day:02}T{moment.hour:02}:"
            f"{moment.minute:02}:{moment.second:02}.{moment.microsecond:06}Z")


def convert(value, kind):
    """A JSON value as the SQL value that the surface promises for this kind of column."""
    if value is None:
        return None
    if kind == "text":
        if not isinstance(value, str):
            raise ValueError(f"text expected, got {value!r}")
        return value
    if kind == "integer":
        if isinstance(value, bool) or int(value) != value:
            raise ValueError(f"integer expected, got {value!r}")
        return int(value)
    if kind == "real":
        return float(value)
    if kind == "boolean":
        if not isinstance(value, bool):
            raise ValueError(f"boolean expected, got {value!r}")
        return int(value)
    if kind == "time":
        return canonical_time(value)
    if kind == "date":
        return datetime.date.fromisoformat(value).isoformat()
    return canonical_json(value)


def row_of(columns, item):
    """The values of one object, in the order of `columns`."""
    values = []
    for column in columns:
        if column.kind == "custom":
            fields = {key[len("custom."):]: value for key, value in item.items()
                      if key.startswith("custom.")}
            values.append(canonical_json(fields))
            continue
        try:
            values.append(convert(item.get(column.name), column.kind))
        except ValueError as problem:
            raise ValueError(f"{item.get('id')}.{column.name}: {problem}") from problem
    return values


class Oracle:
    """A plain SQLite copy of the stand-in's data; tables are loaded when first asked for."""

    def __init__(self, standin, tables=None):
        self._standin = standin
        self.tables = tables or facts.tables()
        self._loaded = set()
        self._objects = {}
        self.db = sqlite3.connect(":memory:", check_same_thread=False)
        self.db.execute("PRAGMA case_sensitive_like = OFF")

    def close(self):
        self.db.close()

    def objects(self, resource):
        if resource not in self._objects:
            self._objects[resource] = self._standin.objects(resource)
        return self._objects[resource]

    def load(self, table):
        """Creates and fills one table of the copy."""
        if table in self._loaded:
            return
        columns = self.tables[table]
        declared = ", ".join(f'"{c.name}" {DECLARED[c.kind]}' for c in columns)
        self.db.execute(f'CREATE TABLE "{table}" ({declared})')
        marks = ",".join("?" * len(columns))
        rows = [row_of(columns, item) for item in self.objects(table[len("close_"):])]
        self.db.executemany(f'INSERT INTO "{table}" VALUES ({marks})', rows)
        self._loaded.add(table)

    def query(self, sql):
        """Rows of a query over the copy; the tables that it names are loaded on the way."""
        for table in sorted(set(re.findall(r"\bclose_[a-z_]+", sql))):
            if table in self.tables:
                self.load(table)
        return [list(row) for row in self.db.execute(sql)]
