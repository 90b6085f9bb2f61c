"""Measures that are not "how long does this statement take": memory, cancelling, instructions."""

import os
import re
import signal
import subprocess
import time

import contenders
import hosts
import standin
import workloads

GIVE_UP_SECONDS = 60


def memory(host, server, facts, folder):
    """Peak memory of the process that works, over that of an idle connection, by statement."""
    result = {}
    statements = {name: _wide_scan(columns)
                  for name, columns in (("five", workloads.FIVE), ("all", facts.visible))}
    statements["join"] = workloads.BY_KEY["join-tables"].timed(host.name, facts)
    for name, statement in statements.items():
        session = host.session(server, folder)
        try:
            idle = contenders.peak_kb(session.pid)
            rows = session.run(statement)
            result[name] = {"idle_kb": idle, "peak_kb": contenders.peak_kb(session.pid),
                            "rows": int(rows[0][0])}
        finally:
            session.close()
    return result


def _wide_scan(columns):
    """Every value is looked at, and none is stored: a local table would have its own memory."""
    total = " + ".join(f'coalesce(length(CAST("{column}" AS text)), 0)' for column in columns)
    return f"SELECT count(*), sum({total}) FROM close_leads;"


def storing(host, server, facts, folder, runs):
    """What keeping rows costs: [{"what", "variant", "ms": [...], "calls"}], at the latency that the service has now.

    "read" counts the values and keeps nothing, "scan" stores the rows, "copy" stores the same rows from a
    local table, where they lie uncompressed. The variants are the compressions that PostgreSQL knows for
    long rows. All take turns in one session."""
    session = host.session(server, folder)
    try:
        variants = _stored_source(session)
        scan = workloads.BY_KEY["scan"].timed(host.name, facts)
        read = workloads.BY_KEY["read"].timed(host.name, facts)
        result = [_storing_line("read", "", read)]
        result += [_storing_line("scan", variant, scan) for variant in variants]
        result += [_storing_line("copy", variant, scan.replace("close_leads", "source")) for variant in variants]
        for _ in range(runs):
            for line in result:
                _measure_storing(session, server, line)
        return [{key: line[key] for key in line if key != "statement"} for line in result]
    finally:
        session.close()


def _stored_source(session):
    """Stores the leads uncompressed in a table `source`; returns the compressions to compare."""
    if session.host == "sqlite":
        session.run("CREATE TABLE source AS SELECT * FROM close_leads;")
        return [""]
    session.run("CREATE TEMP TABLE source AS SELECT * FROM close_leads WITH NO DATA;")
    for (column,) in session.run("SELECT quote_ident(attname) FROM pg_attribute WHERE attnum > 0"
                                 " AND attrelid = 'source'::regclass AND attstorage = 'x';"):
        session.run(f"ALTER TABLE source ALTER {column} SET STORAGE EXTERNAL;")
    session.run("INSERT INTO source SELECT * FROM close_leads;")
    return [name for (name,) in session.run("SELECT unnest(enumvals) FROM pg_settings"
                                            " WHERE name = 'default_toast_compression';")] or [""]


def _storing_line(what, variant, statement):
    return {"what": what, "variant": variant, "statement": statement, "ms": [], "calls": 0}


def _measure_storing(session, server, line):
    if line["variant"]:
        session.run(f"SET default_toast_compression = {line['variant']};")
    server.control("DELETE", "log")
    start = time.perf_counter()
    session.run(line["statement"])
    line["ms"].append((time.perf_counter() - start) * 1000)
    line["calls"] = len(contenders.calls(server))
    if line["what"] != "read":
        session.run("DROP TABLE local_copy;")


def cancel(host, server, folder, runs):
    """Milliseconds from the interrupt until the shell has given up, and until the service sees the
    connection closed, while the service takes 30 seconds for its answer."""
    free, closed = [], []
    for _ in range(runs):
        session = host.session(server, folder)
        server.config({"latency_ms": 30000})
        try:
            before = server.stats()["inflight"]
            # Both shells end after an interrupt when they read from a pipe, sqlite3 with its next line.
            session.shell._session.send("SELECT count(name) FROM close_leads;\nSELECT 1;\n")
            _until(lambda: server.stats()["inflight"] > before)
            start = time.perf_counter()
            session.child().send_signal(signal.SIGINT)
            session.child().wait(timeout=GIVE_UP_SECONDS)
            free.append((time.perf_counter() - start) * 1000)
            _until(lambda: server.stats()["inflight"] == before)
            closed.append((time.perf_counter() - start) * 1000)
        finally:
            server.config({"latency_ms": 0})
            session.close()
    return {"free_ms": free, "closed_ms": closed}


def _until(condition):
    end = time.monotonic() + GIVE_UP_SECONDS
    while not condition():
        if time.monotonic() > end:
            raise contenders.Failed("a state that must come did not come")
        time.sleep(0.001)


def instructions(build, server, floor, facts, folder):
    """Instructions of a five-column scan in the sqlite3 shell and of the floor, under callgrind.

    Each program's own start (loading, the token, one call) is counted by a run without the scan and
    taken off."""
    library = os.path.join(os.path.abspath(build), "sqlite", "close")
    env = floor.environment(server, folder)
    env.update(SCALEKIT_ENV_URL=server.url, SCALEKIT_CLIENT_ID=standin.CLIENT_ID,
               SCALEKIT_CLIENT_SECRET=standin.CLIENT_SECRET, CLOSE_CONNECTION=standin.CONNECTION,
               CLOSE_IDENTIFIER=standin.IDENTIFIER)
    counted = ", ".join(f"count({column})" for column in workloads.FIVE)
    shell = ["sqlite3", "-batch", "-init", "/dev/null", ":memory:", f".load {library}",
             "SELECT length(close_me_get());"]
    pages = workloads.BY_KEY["fields"].floor(workloads.AT_ONCE, facts)
    one = [*pages[:2], "1", "1", "1", "id"]
    counts = {
        "sqlite": (_callgrind([*shell, f"SELECT {counted} FROM close_leads;"], env, folder),
                   _callgrind(shell, env, folder)),
        "floor": (_callgrind([floor.binary, *pages], env, folder),
                  _callgrind([floor.binary, *one], env, folder)),
    }
    return {name: whole - start for name, (whole, start) in counts.items()}


def _callgrind(command, env, folder):
    done = subprocess.run(["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null", *command],
                          env=env, cwd=folder, capture_output=True, text=True, check=False,
                          timeout=600)
    found = re.search(r"Collected\s*:\s*(\d+)", done.stderr)
    if done.returncode or not found:
        raise contenders.Failed("callgrind: " + done.stderr[-800:])
    return int(found[1])


def environment_versions():
    """What the figures depend on, by name and version; nothing that tells where they were made."""
    def first(command, pattern):
        try:
            text = subprocess.run(command, capture_output=True, text=True, check=False,
                                  env=hosts.base_environment("/")).stdout
        except OSError:
            return None
        found = re.search(pattern, text)
        return found[1] if found else None

    return {"cores": len(os.sched_getaffinity(0)), "curl": first(["curl", "--version"], r"libcurl/(\S+)"),
            "node": first(["node", "--version"], r"v(\S+)"), "jq": first(["jq", "--version"], r"jq-(\S+)")}
