#!/usr/bin/env python3
"""What a row trigger that enqueues costs, against one that writes the same rows into a plain table.

    trigger.py --build build [--rows 1000] [--runs 15] [--hosts sqlite,pg]

One statement inserts ROWS rows, in a transaction that is rolled back: the disk, which both need alike, would
only blur the difference. Three plain tables are compared with:

    bare      an id, the tool, its parameters
    plain     every column of close_outbox with its defaults: the same row
    indexed   the same with the indexes of close_outbox

What is counted is the processor time of the process that works, the same for all. The statements alternate;
figures are medians. Ends with status 1 when enqueuing takes more than twice the time of
`plain` on either host. Nothing is sent: the service is only there because a connection wants one.
"""
import argparse
import os
import statistics
import sys
import tempfile

import contenders
import standin

GOAL = 2.0
LEADS = 20
KINDS = ("enqueue", "bare", "plain", "indexed")
NOTE = "close_note_create"

SQLITE_SETUP = """
SELECT close_outbox_install();
CREATE TABLE bare (id INTEGER PRIMARY KEY, tool TEXT NOT NULL, params TEXT NOT NULL) STRICT;
"""
SQLITE_TABLE = """
CREATE TABLE {kind} (id INTEGER PRIMARY KEY, tool TEXT NOT NULL, params TEXT NOT NULL DEFAULT '{{}}',
  ordering_key TEXT, reference TEXT, state TEXT NOT NULL DEFAULT 'pending', attempts INTEGER NOT NULL DEFAULT 0,
  next_attempt TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%f000Z', 'now')),
  created TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%f000Z', 'now')),
  finished TEXT, execution_id TEXT, object_id TEXT, result TEXT, error_class TEXT, error TEXT,
  enqueued_by TEXT DEFAULT 'user', worker TEXT, lease_until TEXT, sent_at TEXT) STRICT;
"""
SQLITE_INSERT = """
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {rows})
INSERT INTO {kind}_calls (lead, body) SELECT 'lead_' || (i % {leads}), 'a note of some length, number ' || i FROM n;
"""
SQLITE_INDEXES = (
    "CREATE UNIQUE INDEX indexed_reference ON indexed (reference) WHERE reference IS NOT NULL;",
    "CREATE UNIQUE INDEX indexed_object ON indexed (object_id) WHERE object_id IS NOT NULL;",
    "CREATE INDEX indexed_open ON indexed (state) WHERE finished IS NULL;")

PG_SETUP = """
CREATE TABLE bare (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, tool text NOT NULL, params jsonb NOT NULL);
CREATE TABLE plain (LIKE close_outbox INCLUDING DEFAULTS INCLUDING IDENTITY);
ALTER TABLE plain ADD PRIMARY KEY (id);
CREATE TABLE indexed (LIKE close_outbox INCLUDING DEFAULTS INCLUDING IDENTITY INCLUDING INDEXES);
"""
PG_INSERT = """
INSERT INTO {kind}_calls (lead, body)
SELECT 'lead_' || (i % {leads}), 'a note of some length, number ' || i FROM generate_series(1, {rows}) i;
"""


def statement(kind, params):
    """What the trigger does."""
    if kind == "enqueue":
        return f"close_enqueue('{NOTE}', {params})"
    if kind == "bare":
        return f"INSERT INTO bare (tool, params) VALUES ('{NOTE}', {params})"
    return f"INSERT INTO {kind} (tool, params, ordering_key) VALUES ('{NOTE}', {params}, NEW.lead)"


def sqlite_setup():
    yield SQLITE_SETUP
    for kind in ("plain", "indexed"):
        yield SQLITE_TABLE.format(kind=kind)
    yield from SQLITE_INDEXES
    for kind in KINDS:
        call = statement(kind, "json_object('lead_id', NEW.lead, 'note', NEW.body)")
        yield (f"CREATE TABLE {kind}_calls (id INTEGER PRIMARY KEY, lead TEXT, body TEXT);"
               f"CREATE TRIGGER {kind}_t AFTER INSERT ON {kind}_calls BEGIN"
               f" {'SELECT ' if kind == 'enqueue' else ''}{call}; END;")


def pg_setup():
    yield PG_SETUP
    for kind in KINDS:
        call = statement(kind, "jsonb_build_object('lead_id', NEW.lead, 'note', NEW.body)")
        yield (f"CREATE TABLE {kind}_calls (id bigserial PRIMARY KEY, lead text, body text);"
               f"CREATE FUNCTION {kind}_f() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
               f" {'PERFORM ' if kind == 'enqueue' else ''}{call}; RETURN NULL; END $$;"
               f"CREATE TRIGGER t AFTER INSERT ON {kind}_calls FOR EACH ROW EXECUTE FUNCTION {kind}_f();")


def measure(host, server, folder, rows=1000, runs=15):
    """{kind: median milliseconds} on one host."""
    times = {kind: [] for kind in KINDS}
    insert = SQLITE_INSERT if host.name == "sqlite" else PG_INSERT
    session = host.session(server, folder, on_disk=True)
    try:
        for sql in sqlite_setup() if host.name == "sqlite" else pg_setup():
            session.run(sql)
        for turn in range(runs + 1):  # the first one warms up
            for kind in KINDS:
                session.run("BEGIN;")
                start = contenders.fine_cpu_ms(session.pid)
                session.run(insert.format(kind=kind, rows=rows, leads=LEADS))
                spent = contenders.fine_cpu_ms(session.pid) - start
                table = "close_outbox" if kind == "enqueue" else kind
                found = session.run(f"SELECT count(*) FROM {table};")
                session.run("ROLLBACK;")
                if int(found[0][0]) != rows:
                    raise contenders.Failed(f"{host.name}, {kind}: {found} rows, not {rows}")
                if turn:
                    times[kind].append(spent)
    finally:
        session.close()
    return {kind: statistics.median(spent) for kind, spent in times.items()}


def text(results, rows):
    """The table for people."""
    lines = [f"A row trigger over {rows:,} rows, milliseconds (and enqueuing as a multiple)"]
    for name, ms in results.items():
        cells = [f"{kind} {ms[kind]:7.1f} ({ms['enqueue'] / ms[kind]:.2f}x)" for kind in KINDS[1:]]
        lines.append(f"  {name:7} enqueue {ms['enqueue']:7.1f}   " + "   ".join(cells))
    return "\n".join(lines)


def run(hosts_, server, folder, rows=1000, runs=15):
    """All hosts: their figures, and what misses the goal."""
    results, missed = {}, []
    for host in hosts_:
        with tempfile.TemporaryDirectory(dir=folder) as own:
            os.chmod(own, 0o755)
            results[host.name] = measure(host, server, own, rows, runs)
        ratio = results[host.name]["enqueue"] / results[host.name]["plain"]
        if ratio > GOAL:
            missed.append(f"{host.name}: enqueuing takes {ratio:.2f} times a plain table, goal {GOAL}")
    print(text(results, rows), flush=True)
    return results, missed


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--build", default="build")
    parser.add_argument("--rows", type=int, default=1000)
    parser.add_argument("--runs", type=int, default=15)
    parser.add_argument("--hosts", default="sqlite,pg")
    args = parser.parse_args()
    with contenders.make_folder() as folder:
        chosen = [contenders.Host(args.build, name, {}) for name in args.hosts.split(",")]
        try:
            with standin.Standin(os.path.abspath(args.build), "--leads 30") as server:
                _, missed = run(chosen, server, folder, args.rows, args.runs)
        finally:
            for host in chosen:
                host.close()
    for line in missed:
        print(line, file=sys.stderr)
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
