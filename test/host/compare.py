"""Normal forms of rows and calls, and differences that a person can read.

Both hosts print values in their own way. Everything is brought to one text form before it is
compared: NULL, booleans as 1 and 0, whole numbers without a fraction, canonical UTC timestamps,
canonical JSON.
"""

import collections
import datetime
import json
import re
import urllib.parse

from oracle import canonical_json

_PG_STAMP = re.compile(r"(\d{4,})-(\d\d)-(\d\d) (\d\d):(\d\d):(\d\d)(?:\.(\d+))?\+00$")
_NUMBER = re.compile(r"-?\d+\.\d+(?:e[+-]?\d+)?$")


def cell(value):
    """One value as text."""
    if value is None:
        return "NULL"
    if isinstance(value, bool):
        return "1" if value else "0"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float):
        return _real(value)
    if isinstance(value, bytes):
        return "x'" + value.hex() + "'"
    return text(value)


def _real(value):
    if value == int(value) and abs(value) < 2**53:
        return str(int(value))
    return format(value, ".12g")


def text(value):
    """A text value: JSON containers and PostgreSQL's timestamps are made canonical."""
    if value[:1] in "{[" and value[-1:] in "}]":
        try:
            return canonical_json(json.loads(value))
        except ValueError:
            return _visible(value)
    match = _PG_STAMP.match(value)
    if match:
        year, month, day, hour, minute, second, fraction = match.groups()
        micro = ((fraction or "") + "000000")[:6]
        return f"{year}-{month}-{day}T{hour}:{minute}:{second}.{micro}Z"
    if _NUMBER.match(value):
        return _real(float(value))
    return _visible(value)


def _visible(value):
    return value.replace("\\", "\\\\").replace("\n", "\\n").replace("\r", "\\r")


def row(values, host):
    cells = [cell(value) for value in values]
    if host == "pg":
        # psql prints booleans as t and f; a text column with these letters compares equal too,
        # which weakens nothing that the SQLite host does not check strictly.
        cells = [{"t": "1", "f": "0"}.get(item, item) for item in cells]
    return tuple(cells)


def expected_row(line):
    """A line of a case file: cells separated by |, backslash escapes a bar."""
    cells, current, escaped = [], [], False
    for char in line:
        if escaped:
            current.append(char if char == "|" else "\\" + char)
            escaped = False
        elif char == "\\":
            escaped = True
        elif char == "|":
            cells.append("".join(current))
            current = []
        else:
            current.append(char)
    cells.append("".join(current))
    return tuple(_expected_cell(item) for item in cells)


def _expected_cell(item):
    if item[:1] in "{[" and item[-1:] in "}]":
        return text(item.replace("\\\\", "\\"))
    if _NUMBER.match(item):
        return _real(float(item))
    return item


def diff_rows(expected, actual, ordered):
    """None when equal, else a short description."""
    if ordered:
        if expected == actual:
            return None
        for index, (want, got) in enumerate(zip(expected, actual)):
            if want != got:
                return (f"row {index + 1} of {len(actual)} differs (expected {len(expected)} rows)\n"
                        f"  expected {_show(want)}\n  got      {_show(got)}")
        longer = expected if len(expected) > len(actual) else actual
        word = "missing" if longer is expected else "unexpected"
        index = min(len(expected), len(actual))
        return (f"expected {len(expected)} rows, got {len(actual)}; first {word}: "
                f"{_show(longer[index])}")
    missing = collections.Counter(expected)
    missing.subtract(collections.Counter(actual))
    absent = [item for item, count in missing.items() for _ in range(count) if count > 0]
    surplus = [item for item, count in missing.items() for _ in range(-count) if count < 0]
    if not absent and not surplus:
        return None
    lines = [f"expected {len(expected)} rows, got {len(actual)} "
             f"({len(absent)} missing, {len(surplus)} unexpected)"]
    if len(absent) == 1 and len(surplus) == 1 and len(absent[0]) == len(surplus[0]) > 6:
        # One wide row differs: only the columns that do are worth reading.
        for index, (want, got) in enumerate(zip(absent[0], surplus[0])):
            if want != got:
                lines.append(f"  column {index + 1}: expected {want[:300]!r}, got {got[:300]!r}")
        return "\n".join(lines)
    lines += [f"  missing    {_show(item)}" for item in absent[:4]]
    lines += [f"  unexpected {_show(item)}" for item in surplus[:4]]
    return "\n".join(lines)


def _show(cells):
    line = "|".join(cells)
    return line if len(line) <= 300 else line[:300] + f"... ({len(line)} characters)"


# --- calls ------------------------------------------------------------------------------------

class Call:
    """One request that the service saw: a tool with parameters, or "GET /path" with a query."""

    def __init__(self, name, params, entry=None):
        self.name = name
        self.params = params
        self.entry = entry

    def __str__(self):
        return f"{self.name} {json.dumps(self.params, sort_keys=True, ensure_ascii=False)}"


class CallPattern:
    """An expected call of a case file: `name {json}[ ...][ xN]`.

    "*" as a value stands for any value; `...` after the object allows further parameters.
    """

    _LINE = re.compile(r"(?P<name>(?:[A-Z]+ )?\S+)(?:\s+(?P<json>\{.*\}))?(?P<open>\s+\.\.\.)?"
                       r"(?:\s+x(?P<times>\d+))?$")

    def __init__(self, line):
        match = self._LINE.match(line.strip())
        if not match:
            raise ValueError(f"not a call: {line!r}")
        self.name = match["name"]
        self.params = json.loads(match["json"] or "{}")
        self.open = bool(match["open"])
        self.times = int(match["times"] or 1)
        self.line = line.strip()

    def matches(self, call):
        if call.name != self.name:
            return False
        params = call.params or {}
        if set(self.params) - set(params):
            return False
        if not self.open and set(params) - set(self.params):
            return False
        return all(_same_param(key, want, params[key]) for key, want in self.params.items())


def _same_param(key, want, got):
    if want == "*":
        return True
    if key == "_fields" and isinstance(want, str) and isinstance(got, str):
        # The order of names in _fields means nothing.
        return sorted(want.split(",")) == sorted(got.split(","))
    if isinstance(want, str) and isinstance(got, str) and want[:1] in ("[", "{"):
        # JSON in a string: jsonb forgets the order of members, and no service minds it.
        return text(want) == text(got)
    # True == 1 in Python, but a boolean sent as a number is a mistake.
    return want == got and isinstance(want, bool) == isinstance(got, bool)


def calls_of(entries):
    """The calls in a stretch of the stand-in's log; token requests are not among them."""
    calls = []
    for entry in entries:
        path = entry["path"]
        if path.endswith("/oauth/token"):
            continue
        if entry.get("tool"):
            calls.append(Call(entry["tool"], entry.get("params") or {}, entry))
        else:
            query = entry.get("query") or {}
            if isinstance(query, str):
                query = dict(urllib.parse.parse_qsl(query, keep_blank_values=True))
            calls.append(Call(entry["method"] + " " + path, query, entry))
    return calls


def diff_calls(patterns, calls, ordered):
    """None when the calls are exactly the expected ones."""
    wanted = [pattern for pattern in patterns for _ in range(pattern.times)]
    if ordered:
        for index, (pattern, call) in enumerate(zip(wanted, calls)):
            if not pattern.matches(call):
                return (f"call {index + 1} of {len(calls)} differs (expected {len(wanted)})\n"
                        f"  expected {pattern.line}\n  got      {call}")
        if len(wanted) != len(calls):
            return _count_diff(wanted, calls)
        return None
    left = list(calls)
    missing = []
    for pattern in sorted(wanted, key=lambda item: item.open):
        hit = next((call for call in left if pattern.matches(call)), None)
        if hit is None:
            missing.append(pattern)
        else:
            left.remove(hit)
    if not missing and not left:
        return None
    lines = [f"expected {len(wanted)} calls, got {len(calls)}"]
    lines += [f"  missing    {pattern.line}" for pattern in missing[:4]]
    lines += [f"  unexpected {call}" for call in left[:4]]
    return "\n".join(lines)


def _count_diff(wanted, calls):
    lines = [f"expected {len(wanted)} calls, got {len(calls)}"]
    lines += [f"  missing    {pattern.line}" for pattern in wanted[len(calls):][:4]]
    lines += [f"  unexpected {call}" for call in calls[len(wanted):][:4]]
    return "\n".join(lines)


def day(offset):
    """Today plus `offset` days in UTC, for dates relative to now."""
    today = datetime.datetime.now(datetime.timezone.utc).date()
    return (today + datetime.timedelta(days=offset)).isoformat()
