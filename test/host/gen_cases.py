#!/usr/bin/env python3
"""Writes test/conformance/generated-*.case: one case or more per tool and per table.

    test/host/gen_cases.py [--check]

The expectations come from test/data (facts about tools and fields) and from the literals below,
never from the product: a tool's arguments are literal values of its parameters' types, and the
stand-in's log must show exactly them; a table must show exactly the stand-in's objects. With --check
nothing is written; the exit code tells whether the files are up to date.
"""

import json
import os
import sys

import facts

FOLDER = os.path.join(os.path.dirname(facts.DATA), "conformance")
HEADER = "# Written by test/host/gen_cases.py; do not edit.\n"

# Literal argument values by parameter name, else by type. Odd characters are there on purpose.
TEXT = {
    "_fields": "id,name",
    "_order_by": "-date_created",
    "_type": "lead",
    "query": "name:\"O'Hara & Söhne\"",
    "status": "draft",
    "note": "line one\nline \"two\" ¼ 🙂",
    "date": "2031-02-03",
    "date_won": "2031-02-04",
    "expected_date": "2031-02-05",
    "value_period": "monthly",
    "value_currency": "EUR",
    "type": "text",
    "view": "inbox",
    "url": "https://example.test/a?b=c&d=%20",
    "recording_url": "https://example.test/r.mp3",
    "date_created__gte": "2031-01-01T00:00:00Z",
    "date_created__lte": "2031-01-02T00:00:00Z",
    "date_updated__gte": "2031-01-01T00:00:00Z",
    "date_updated__lte": "2031-01-02T00:00:00Z",
}
INTEGERS = {"_limit": 7, "_skip": 14, "duration": 61, "value": 250000, "confidence": 40,
            "results_limit": 5}
# Parameters of wire type string whose content is JSON.
JSON_TEXT = {
    "emails": [{"email": "a@example.test", "type": "office"}],
    "phones": [{"phone": "+15550001", "type": "mobile"}],
    "to": ["a@example.test", "b@example.test"],
    "events": [{"object_type": "lead", "action": "created"}],
}
ARRAYS = {"metrics": ["calls.outbound.all.count"], "steps": [{"step_type": "call", "delay": 60}]}


def literal(param):
    """The value that goes over the wire for a parameter."""
    if param.name in JSON_TEXT and param.json_type == "string":
        return json.dumps(JSON_TEXT[param.name], separators=(",", ":"))
    if param.json_type == "integer":
        return INTEGERS.get(param.name, 3)
    if param.json_type == "boolean":
        return True
    if param.json_type == "array":
        return ARRAYS.get(param.name, ["one", {"two": 2.5}])
    if param.json_type == "object":
        return {"type": "and", "queries": [{"n": 1, "negate": False}]}
    return TEXT.get(param.name, param.name + " value")


def sql_literal(value):
    """A literal that both dialects take for the parameter."""
    if isinstance(value, bool):
        return "TRUE" if value else "FALSE"
    if isinstance(value, int):
        return str(value)
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    quoted = "'" + text.replace("'", "''") + "'"
    return quoted


def json_object_item(param, value):
    """`'name', value` for SQLite's json_object(), keeping JSON types."""
    if isinstance(value, bool):
        shown = f"json('{'true' if value else 'false'}')"
    elif not isinstance(value, (str, int)) or param.name in JSON_TEXT:
        shown = "json(" + sql_literal(value) + ")"
    else:
        shown = sql_literal(value)
    return f"'{param.name}', {shown}"


def pg_named(param, value):
    name = f'"{param.name}"' if param.name == "to" else param.name
    return f"{name} => {sql_literal(value)}"


def call_line(tool, values):
    return f"{tool.name} {json.dumps(values, ensure_ascii=False)}"


def block(directive, text):
    """A directive with an indented body."""
    lines = text.split("\n")
    return f"{directive}:\n" + "".join(f"  {line}\n" if line else "\n" for line in lines)


def canned(tool):
    answer = {"data": {"id": "x_1", "echo": [1, True, None]}, "execution_id": "4711"}
    return "fault: " + json.dumps({"tool": tool.name, "kind": "canned", "status": 200,
                                   "body": json.dumps(answer)}) + "\n"


ECHO = "rows:\n  {\"echo\":[1,true,null],\"id\":\"x_1\"}\n"


def tool_case(tool):
    """Positional with everything, named with everything, required ones only."""
    values = {param.name: literal(param) for param in tool.params}
    required = {param.name: literal(param) for param in tool.params if param.required}
    if tool.name == "close_tasks_bulk_update":
        required = {"filter_id_in": "task_1"}  # refused without a filter: see functions.case
    text = f"\nname: {tool.name} sends its arguments as they are\n"
    text += canned(tool)
    text += block("sql", f"SELECT {tool.name}("
                  + ", ".join(sql_literal(values[p.name]) for p in tool.params) + ");")
    text += ECHO + block("calls", call_line(tool, values))
    if not tool.params:
        return text
    text += canned(tool)
    named = ", ".join(json_object_item(p, values[p.name]) for p in tool.params)
    text += block("sql sqlite", f"SELECT {tool.name}(json_object({named}));")
    named = ", ".join(pg_named(p, values[p.name]) for p in tool.params)
    text += block("sql pg", f"SELECT {tool.name}({named});")
    text += ECHO + block("calls", call_line(tool, values))
    if len(required) == len(tool.params):
        return text
    text += canned(tool)
    text += block("sql sqlite", f"SELECT {tool.name}(" + (
        "json_object('filter_id_in', 'task_1')" if "filter_id_in" in required else
        ", ".join(sql_literal(values[p.name]) for p in tool.params if p.required)) + ");")
    named = ", ".join(f"{name} => {sql_literal(value)}" for name, value in required.items())
    text += block("sql pg", f"SELECT {tool.name}({named});")
    text += ECHO + block("calls", call_line(tool, required))
    return text


def argument_cases(tool):
    """A missing required argument and an argument too many are refused and nothing is sent."""
    text = ""
    required = [param for param in tool.params if param.required]
    if required:
        first = required[0]
        text += f"\nname: {tool.name} without {first.name} is refused\n"
        nulls = ", ".join("NULL" for _ in required)
        text += block("sql", f"SELECT {tool.name}({nulls});")
        text += f"error: ARG /{tool.name}.*{first.name}/\ncalls: none\n"
    return text


def table_case(table, columns):
    """The whole table, column by column, and as *."""
    shown = [c for c in columns if (table, c.name) not in facts.HIDDEN]
    names = ", ".join(quoted(c.name) for c in shown)
    text = f"\nname: {table} holds every object with every column\n"
    text += block("sql", f"SELECT {names} FROM {table};")
    text += block("same-as", f"SELECT {names} FROM {table}") + "calls: 1..2000\n"
    star = ", ".join(quoted(c.name) for c in shown)
    text += f"\nname: {table} shows its columns in the documented order\nhosts: sqlite\n"
    text += block("sql", f"SELECT * FROM {table};")
    text += block("same-as", f"SELECT {star} FROM {table}") + "calls: 1..2000\n"
    return text


def quoted(name):
    return f'"{name}"'


def by_id_case(table, tool, columns):
    """One request for an id, no row for an unknown one."""
    resource = table[len("close_"):]
    param = tool.params[0].name
    fields = {"_fields": "id," + columns[1].name} if len(tool.params) > 1 else {}
    second = quoted(columns[1].name)
    text = f"\nname: {table} by id is one request\n"
    text += f"let: key = SELECT id FROM {table} ORDER BY id LIMIT 1\n"
    text += block("sql", f"SELECT id, {second} FROM {table} WHERE id = '${{key}}';")
    text += block("same-as", f"SELECT id, {second} FROM {table} WHERE id = '${{key}}'")
    text += block("calls", f"{tool.name} " + json.dumps({param: "${key}", **fields}))
    # A get tool answers with the whole object: all columns must come out as from the list.
    names = ", ".join(quoted(c.name) for c in columns if (table, c.name) not in facts.HIDDEN)
    # Some resources have members that only the single answer carries.
    if resource not in ("sequences", "users", "smart_views"):
        text += block("sql", f"SELECT {names} FROM {table} WHERE id = '${{key}}';")
        text += block("same-as", f"SELECT {names} FROM {table} WHERE id = '${{key}}'")
        text += "calls: 1\n"
    text += f"\nname: {table} by an unknown id is no row\n"
    text += f"let: key = SELECT substr(id, 1, length(id) - 4) || 'none' FROM {table} LIMIT 1\n"
    text += block("sql", f"SELECT id FROM {table} WHERE id = '${{key}}';")
    text += "rows: (none)\n" + "calls: 1\n"
    return text


def get_tools(tools):
    """Table -> its get tool, by the naming rule of the connector."""
    singular = {
        "close_leads": "close_lead_get", "close_contacts": "close_contact_get",
        "close_opportunities": "close_opportunity_get", "close_tasks": "close_task_get",
        "close_notes": "close_note_get", "close_calls": "close_call_get",
        "close_emails": "close_email_get", "close_sms": "close_sms_get",
        "close_comments": "close_comment_get", "close_pipelines": "close_pipeline_get",
        "close_sequences": "close_sequence_get",
        "close_sequence_subscriptions": "close_sequence_subscription_get",
        "close_users": "close_user_get", "close_webhooks": "close_webhook_get",
        "close_custom_fields_lead": "close_custom_field_lead_get",
        "close_custom_fields_contact": "close_custom_field_contact_get",
        "close_custom_fields_opportunity": "close_custom_field_opportunity_get",
        "close_smart_views": "close_smart_view_get",
    }
    return {table: tools[name] for table, name in singular.items()}


def files():
    """File name -> text."""
    tools, tables = facts.tools(), facts.tables()
    gets = get_tools(tools)
    return {
        "generated-tools.case": HEADER + "".join(tool_case(t) for t in tools.values()),
        "generated-arguments.case": HEADER + "".join(argument_cases(t) for t in tools.values()),
        "generated-tables.case": HEADER + "".join(table_case(name, columns)
                                                  for name, columns in tables.items()),
        "generated-by-id.case": HEADER + "".join(by_id_case(name, tool, tables[name])
                                                 for name, tool in gets.items()),
    }


def main():
    stale = []
    for name, text in files().items():
        path = os.path.join(FOLDER, name)
        try:
            with open(path, encoding="utf-8") as file:
                old = file.read()
        except FileNotFoundError:
            old = None
        if old == text:
            continue
        stale.append(name)
        if "--check" not in sys.argv:
            with open(path, "w", encoding="utf-8") as file:
                file.write(text)
    if "--check" in sys.argv and stale:
        print("not up to date, run test/host/gen_cases.py: " + ", ".join(stale))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
