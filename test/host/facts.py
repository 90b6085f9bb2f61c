"""What the tests know about tools and tables, read from test/data and nowhere else.

The expectations of the suite must not come from the product, or a mistake in its catalogue would
confirm itself. test/data/tools.tsv and columns.tsv hold the facts as they were collected from public
documentation; this module turns them into Python and adds the handful of rules that the two files
cannot express.
"""

import csv
import os

DATA = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "data")

# JSON type of a field -> kind of SQL value that the suite expects.
KINDS = {
    "string": "text",
    "integer": "integer",
    "number": "real",
    "boolean": "boolean",
    "timestamp": "time",
    "date": "date",
    "array": "json",
    "object": "json",
}


class Column:
    """One documented field of a resource."""

    def __init__(self, name, kind, nullable):
        self.name = name
        self.kind = kind
        self.nullable = nullable

    def __repr__(self):
        return f"Column({self.name!r}, {self.kind!r})"


class Param:
    """One parameter of a tool."""

    def __init__(self, name, json_type, required):
        self.name = name
        self.json_type = json_type
        self.required = required


class Tool:
    """One tool with its parameters, required ones first, as the SQL functions take them."""

    def __init__(self, name, generation, params):
        self.name = name
        self.generation = generation
        self.params = [p for p in params if p.required] + [p for p in params if not p.required]


def _rows(name):
    path = os.path.join(DATA, name)
    with open(path, encoding="utf-8", newline="") as file:
        lines = [line for line in file if not line.startswith("#")]
    return list(csv.DictReader(lines, delimiter="\t", quoting=csv.QUOTE_NONE))


def tables():
    """{"close_leads": [Column, ...]} in the order of the file.

    A row `custom.cf_<id>` stands for every custom field and becomes the column `custom`; custom
    activities and custom objects carry such keys as well.
    """
    result = {}
    custom = {"close_custom_activities", "close_custom_objects"}
    for row in _rows("columns.tsv"):
        table = "close_" + row["resource"]
        columns = result.setdefault(table, [])
        if row["field"].startswith("custom."):
            custom.add(table)
            continue
        columns.append(Column(row["field"], KINDS[row["json_type"]], row["nullable"] == "yes"))
    for table in custom:
        result[table].append(Column("custom", "custom", False))
    return result


def tools():
    """{"close_note_create": Tool, ...}. `params` of the file is "name:type" or "name:type!"
    (required), separated by spaces."""
    result = {}
    for row in _rows("tools.tsv"):
        params = []
        for item in (row["params"] or "").split():
            name, _, json_type = item.partition(":")
            required = json_type.endswith("!")
            params.append(Param(name, json_type.rstrip("!"), required))
        result[row["name"]] = Tool(row["name"], row["set"], params)
    return result


# Columns that a plain SELECT * does not show: a secret in a table is asked for by name.
HIDDEN = {("close_webhooks", "signature_key")}

# Text columns that hold JSON text in neither host: everything else of kind json is JSON.
JSON_KINDS = {"json", "custom"}
