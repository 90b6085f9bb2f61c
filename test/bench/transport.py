"""What the way to the service costs: plain HTTP, HTTPS with HTTP/1.1, HTTPS with HTTP/2.

The same questions go straight to the stand-in, and through nghttpx before it (tlsfront), which offers one
protocol or the other. The sqlite3 shell asks them, because the way is the core's work and the same in
both hosts. Each is asked by a shell of its own with its token and one connection ready, as in the rest
of the benchmark, so what a question opens beyond that is its own. Reads take turns over the
ways, `runs` times; a hundred calls in a row are a mean by themselves and made once.

What a kept connection saves has no setting of ours to show it: the C floor makes the same calls, once on its
connection and once with a new one for each.

The front's log is held against what the library says: a way that is not the one it is called, or that
opens another number of connections than it counted, fails.
"""

import json
import os
import tempfile
import time
import types

import contenders
import tlsfront
import workloads

CALLS = 100
READS = ("fields", "read")
WAYS = (("http", None), ("https-1.1", "http/1.1"), ("https-2", "h2"))  # and what the front offers
LOG_SECONDS = 30


def run(build, server, floor, facts, settings, runs):
    """{"calls", "reads": [{"question", "way", "ms": [...], "cpu_ms": [...], "connections", "in_flight"}],
    "gets": [{"who", "way", "ms", "cpu_ms", "connections"}]} at the latency that the service has now, or
    {"missing": [packages]}."""
    if tlsfront.missing():
        return {"missing": tlsfront.missing()}
    with contenders.make_folder() as folder:
        authority = os.path.join(tlsfront.certificates(os.path.join(folder, "tls")), "ca.pem")
        ways = []
        try:
            ways = [_Way(name, protocol, build, server, authority, settings) for name, protocol in WAYS]
            keys = facts.keys[:CALLS]
            return {"leads": facts.leads, "calls": len(keys),
                    "reads": _reads(ways, server, facts, folder, runs),
                    "gets": [*(_our_gets(way, keys, server, folder) for way in ways),
                             *_floor_gets(ways[-1], keys, server, floor, folder)]}
        finally:
            for way in ways:
                way.close()


class _Way:
    """One way to the service, with a host that takes it."""

    def __init__(self, name, protocol, build, server, authority, settings):
        self.name = name
        self.protocol = protocol
        self.authority = authority
        self.front = protocol and tlsfront.Nghttpx(os.path.dirname(authority), server.url, protocol)
        self.url = self.front.url if self.front else server.url
        changes = {"ca_file": authority} if self.front else {}
        self.host = contenders.Host(build, "sqlite", {**settings, **changes})

    def close(self):
        self.host.close()
        if self.front:
            self.front.stop()

    def ask(self, statement, setup, server, folder):
        """One question in a new shell: (rows, milliseconds, processor time, connections, most in flight)."""
        seen = len(self.front.requests()) if self.front else 0
        with tempfile.TemporaryDirectory(dir=folder) as mine:
            session = self.host.session(types.SimpleNamespace(url=self.url), mine)
            try:
                session.run(setup)
                server.control("DELETE", "log")
                cpu, start = contenders.fine_cpu_ms(session.pid), time.perf_counter()
                rows = session.run(statement)
                ms, cpu = (time.perf_counter() - start) * 1000, contenders.fine_cpu_ms(session.pid) - cpu
                calls = contenders.calls(server)
                stats = dict(session.run("SELECT name, value FROM close_stats;"))
            finally:
                session.close()
        self.verify(seen, stats["requests"] + stats["tokens"], stats["connections"])
        return rows, ms, cpu, stats["connections"], max(call["inflight"] for call in calls)

    def verify(self, seen, requests, connections):
        """The front's log, beyond the first `seen` lines, tells the same of a client."""
        if not self.front:
            return
        end = time.monotonic() + LOG_SECONDS
        while len(self.front.requests()) < seen + requests and time.monotonic() < end:
            time.sleep(0.005)
        lines = self.front.requests()[seen:]
        found = (len(lines), len({port for port, _ in lines}), {protocol for _, protocol in lines})
        if found != (requests, connections, {self.protocol}):
            raise contenders.Failed(f"{self.name}: {requests} requests over {connections} connections, but the "
                                    f"front saw {found}")


def _reads(ways, server, facts, folder, runs):
    lines = [{"question": key, "way": way.name, "ms": [], "cpu_ms": [], "connections": 0, "in_flight": 0}
             for key in READS for way in ways]
    for _ in range(runs):
        for line in lines:
            workload = workloads.BY_KEY[line["question"]]
            way = next(way for way in ways if way.name == line["way"])
            _, ms, cpu, connections, in_flight = way.ask(workload.timed("sqlite", facts), "", server, folder)
            line["ms"].append(ms)
            line["cpu_ms"].append(cpu)
            line["connections"] = max(line["connections"], connections)
            line["in_flight"] = max(line["in_flight"], in_flight)
    return lines


def _our_gets(way, keys, server, folder):
    values = ",".join(f"('{key}')" for key in keys)
    setup = f"CREATE TABLE keys(id TEXT PRIMARY KEY);\nINSERT INTO keys VALUES {values};"
    rows, ms, cpu, connections, _ = way.ask("SELECT count(close_lead_get(id)) FROM keys;", setup, server, folder)
    _complete(int(rows[0][0]), keys)
    return {"who": "sqlite", "way": way.name, "ms": ms, "cpu_ms": cpu, "connections": connections}


def _floor_gets(way, keys, server, floor, folder):
    """The C floor's calls: on one connection, and each on a new one."""
    env = floor.environment(server, folder)
    env.update(FLOOR_URL=way.url, FLOOR_CA=way.authority)
    for who, words in (("floor", []), ("floor-new", ["new"])):
        seen = len(way.front.requests())
        answer = json.loads(floor.run([floor.binary, "gets", "close_lead_get", "lead_id", *words], env,
                                      "".join(key + "\n" for key in keys)))
        _complete(answer["rows"], keys)
        way.verify(seen, len(keys) + 1, answer["connections"])
        yield {"who": who, "way": way.name, **{name: answer[name] for name in ("ms", "cpu_ms", "connections")}}


def _complete(got, keys):
    if got != len(keys):
        raise contenders.Failed(f"{got} answers to {len(keys)} calls")
