"""Turns the figures into tables, and holds them against the goals: met or missed."""

import workloads

ORDER = ("sqlite", "pg", "sdk", "sdk-max", "sdk-x8", "curl", "floor", "floor-x8")
OURS = ("sqlite", "pg")
BASE = "sdk"
TITLES = {"sqlite": "SQLite", "pg": "PostgreSQL", "sdk": "SDK", "sdk-max": "SDK, largest pages",
          "sdk-x8": "SDK, 8 at once", "curl": "curl, jq", "floor": "C floor",
          "floor-x8": "C floor, 8 at once"}
MEMORY_KB = 32 * 1024
MEMORY_OF = (("five", "scan of five columns"), ("all", "scan of all columns"),
             ("join", "join with the opportunities"))
STORING_OF = {"read": "read from Close, counted, not kept", "scan": "read from Close and stored",
              "copy": "stored from a local table"}
WAYS = {"http": "HTTP/1.1, no TLS", "https-1.1": "HTTPS, HTTP/1.1", "https-2": "HTTPS, HTTP/2"}
GET_BY = {"sqlite": "SQLite", "floor": "C floor", "floor-new": "C floor, a new connection for each call"}
GOAL_ROUND = (10000, 20)


def milliseconds(value):
    if value is None:
        return "–"
    if value < 10:
        return f"{value:.1f}"
    return f"{value:,.0f}" if value < 10000 else f"{value / 1000:,.1f} s"


def find(cases, workload, contender):
    for case in cases:
        if case["workload"] == workload and case["contender"] == contender:
            return case
    return None


def _present(cases):
    names = {case["contender"] for case in cases}
    return [name for name in ORDER if name in names]


def _keys(cases):
    found = {case["workload"] for case in cases}
    return [key for key in workloads.BY_KEY if key in found]


def ratio(cases, workload, contender, base=BASE):
    """How many times faster `contender` is than the serial SDK; None when one is missing."""
    mine, other = find(cases, workload, contender), find(cases, workload, base)
    if not mine or not other or not mine["median_ms"] or not other["median_ms"]:
        return None
    return other["median_ms"] / mine["median_ms"]


def times(value):
    if value is None:
        return ""
    return f"{value:.1f}x" if value < 10 else f"{value:.0f}x"


def _cell(cases, key, name):
    case = find(cases, key, name)
    if case is None:
        return ""
    if case["median_ms"] is None:
        return case["note"] or "–"
    return milliseconds(case["median_ms"])


def time_rows(cases):
    """Header and rows: times of everyone, then how much faster ours are than the serial SDK."""
    names = _present(cases)
    ours = [name for name in names if name in OURS and BASE in names]
    header = ["ms", *(TITLES[name] for name in names), *(f"{TITLES[name]} : SDK" for name in ours)]
    rows = [[key, *(_cell(cases, key, name) for name in names),
             *(times(ratio(cases, key, name)) for name in ours)] for key in _keys(cases)]
    return header, rows


def call_rows(cases):
    """Header and rows: what was sent, and what the service spent on it."""
    ours = [name for name in _present(cases) if name in OURS]
    header = ["calls", "fewest"]
    for name in ours:
        header += [TITLES[name], "of fewest", "in flight", "service CPU", "own CPU"]
    rows = []
    for key in _keys(cases):
        row = [key, None]
        for name in ours:
            case = find(cases, key, name)
            if case is None or "calls" not in case:
                row += [""] * 5
                continue
            row[1] = f"{case['fewest']:,}"
            row += [f"{case['calls']:,}", f"{case['calls'] / case['fewest']:.2f}",
                    str(case["in_flight"]), milliseconds(case["service_cpu_ms"]),
                    milliseconds(case["cpu_ms"])]
        rows.append([cell or "" for cell in row])
    return header, rows


def spent_rows(cases, latency):
    """Header and rows: what a question of ours waits for, and what it computes."""
    ours = [name for name in _present(cases) if name in OURS]
    header = ["ms"]
    for name in ours:
        header += [TITLES[name], "waiting", "own CPU"]
    rows = []
    for key in _keys(cases):
        row = [key]
        for name in ours:
            case = find(cases, key, name)
            if case is None or not case.get("calls"):
                row += [""] * 3
                continue
            # The calls of a question that is in full flight; those alone at its start come on top.
            waiting = case["calls"] / max(case["in_flight"], 1) * latency
            row += [milliseconds(case["median_ms"]), milliseconds(waiting), milliseconds(case["cpu_ms"])]
        rows.append(row)
    return header, rows


def function_rows(result):
    """Header and rows: one function call, by latency, against one bare libcurl call."""
    header, rows = ["ms a call", "libcurl", *(TITLES[name] for name in OURS)], []
    for latency in sorted({case["latency_ms"] for case in result["cases"]}):
        cases = one_round(result, GOAL_ROUND[0], latency)
        bare = find(cases, "calls", "floor")
        if not bare or not bare["median_ms"]:
            continue
        row = [f"{latency} ms a request", f"{bare['median_ms'] / bare['calls']:.3f}"]
        for name in OURS:
            case = find(cases, "calls", name)
            row.append(f"{case['median_ms'] / case['calls']:.3f}" if case and case["median_ms"] else "")
        rows.append(row)
    return header, rows


def trigger_rows(trigger):
    """Header and rows: processor time of enqueuing from a row trigger, and of writing the same rows."""
    rows = [[TITLES[name], *(f"{ms[kind]:.1f}" for kind in ("enqueue", "plain", "indexed", "bare")),
             f"{ms['enqueue'] / ms['plain']:.2f}"] for name, ms in trigger.items()]
    return ["ms", "`close_enqueue`", "plain table", "with its indexes", "three columns", "of plain"], rows


def brief_rows(result):
    """Header and rows of the few figures that a reader wants first: the goal's round."""
    cases = one_round(result, *GOAL_ROUND)
    header = ["", *(TITLES[name] for name in (*OURS, BASE)), *(f"{TITLES[name]} is faster" for name in OURS),
              "calls", "fewest possible"]
    rows = []
    for key in _keys(cases):
        mine = [find(cases, key, name) for name in OURS]
        calls = sorted({case["calls"] for case in mine if case and "calls" in case})
        if not calls:
            continue
        rows.append([title(result, key), *(f"{_cell(cases, key, name)}" for name in (*OURS, BASE)),
                     *(times(ratio(cases, key, name)) for name in OURS),
                     "–".join(f"{n:,}" for n in (calls[0], calls[-1])[:len(calls)]),
                     f"{mine[0]['fewest'] if mine[0] else mine[1]['fewest']:,}"])
    return header, rows


def _aligned(header, rows):
    widths = [max(len(str(row[i])) for row in (header, *rows)) for i in range(len(header))]
    lines = []
    for row in (header, *rows):
        cells = [str(row[0]).ljust(widths[0])]
        cells += [str(cell).rjust(width) for cell, width in zip(row[1:], widths[1:])]
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)


def markdown(header, rows):
    lines = ["| " + " | ".join(header) + " |", "|---" + "|--:" * (len(header) - 1) + "|"]
    lines += ["| " + " | ".join(str(cell) for cell in row) + " |" for row in rows]
    return "\n".join(lines)


def text_table(cases, leads, latency):
    title = f"\n== {leads:,} leads, {latency} ms a request"
    return "\n\n".join((title, _aligned(*time_rows(cases)), _aligned(*call_rows(cases))))


def cancel_rows(cancel):
    rows = []
    for name, taken in cancel.items():
        rows.append([TITLES[name], milliseconds(_median(taken["free_ms"])),
                     milliseconds(_median(taken["closed_ms"]))])
    return ["interrupted, ms", "shell has ended", "connections closed"], rows


def _median(values):
    values = sorted(values)
    middle = len(values) // 2
    return values[middle] if len(values) % 2 else (values[middle - 1] + values[middle]) / 2


def text_cancel(cancel):
    return "\n" + _aligned(*cancel_rows(cancel))


def memory_rows(memory):
    rows = []
    for name, widths in memory["hosts"].items():
        for width, text in MEMORY_OF:
            m = widths[width]
            idle, peak = m["idle_kb"] / 1024, m["peak_kb"] / 1024
            rows.append([f"{TITLES[name]}, {text}", f"{idle:.1f}", f"{peak:.1f}", f"{peak - idle:.1f}"])
    return [f"MiB, {memory['leads']:,} leads", "idle", "peak", "more"], rows


def storing_rows(storing):
    """Header and rows: reading, reading and storing, and storing by itself, by compression."""
    rows = []
    for name, lines in storing["hosts"].items():
        for line in lines:
            compression = f", compressed by {line['variant']}" if line["variant"] else ""
            rows.append([f"{TITLES[name]}: {STORING_OF[line['what']]}{compression}",
                         milliseconds(_median(line["ms"])), str(line["calls"])])
    return ["storing", "ms", "calls"], rows


def text_storing(storing):
    return "\n" + _aligned(*storing_rows(storing))


def transport_rows(transport):
    """Header and rows: the reads, by the way to the service."""
    rows = [[f"{line['question']}: {WAYS[line['way']]}", milliseconds(_median(line["ms"])),
             milliseconds(_median(line["cpu_ms"])), str(line["connections"]), str(line["in_flight"])]
            for line in transport["reads"]]
    return ["reads", "ms", "own CPU, ms", "connections", "in flight"], rows


def gets_rows(transport):
    """Header and rows: calls in a row, by the way and by whether the connection is kept."""
    rows = [[f"{GET_BY[line['who']]}: {WAYS[line['way']]}", f"{line['ms'] / transport['calls']:.2f}",
             f"{line['cpu_ms'] / transport['calls']:.2f}", str(line["connections"])]
            for line in transport["gets"]]
    return ["calls", "ms a call", "own CPU, ms", "connections"], rows


def cpu_of(transport, question, way):
    """Median of the client's own processor time for a read."""
    return next(_median(line["cpu_ms"]) for line in transport["reads"]
                if (line["question"], line["way"]) == (question, way))


def kept_saves(transport):
    """Milliseconds that the C floor saves per call by keeping its connection: (time, own CPU)."""
    kept, new = (next(line for line in transport["gets"] if line["who"] == who) for who in ("floor", "floor-new"))
    return tuple((new[key] - kept[key]) / transport["calls"] for key in ("ms", "cpu_ms"))


def transport_missing(transport):
    """Why the transports were not measured, or None."""
    packages = transport.get("missing")
    return packages and f"Left out: {', '.join(packages)} is not installed."


def text_transport(transport):
    return "\n" + (transport_missing(transport) or
                   _aligned(*transport_rows(transport)) + "\n\n" + _aligned(*gets_rows(transport)))


def text_memory(memory):
    return "\n" + _aligned(*memory_rows(memory))


def text_instructions(counts):
    return (f"\ninstructions of a five-column scan: sqlite3 {counts['sqlite'] / 1e6:,.0f} M, floor "
            f"{counts['floor'] / 1e6:,.0f} M, ratio {counts['sqlite'] / counts['floor']:.2f}")


# --- goals ----------------------------------------------------------------------------------------


def goals(result):
    """(goal, what was measured, met) for everything that this run can tell."""
    return [*_speed_goals(result), *_call_goals(result), *_resource_goals(result)]


def title(result, key):
    return workloads.title(workloads.BY_KEY[key], result["keys"])


def one_round(result, leads, latency):
    return [case for case in result["cases"]
            if (case["leads"], case["latency_ms"]) == (leads, latency)]


def _speed_goals(result):
    cases = one_round(result, *GOAL_ROUND)
    for key, least in (("read", 10), ("scan", 10), ("fields", 10), ("join-keys", 20)):
        for name in OURS:
            value = ratio(cases, key, name)
            if value is not None:
                yield (f"{TITLES[name]}: {title(result, key)} at 20 ms, at least {least} times "
                       "faster than the serial SDK", times(value), value >= least)
    for name in OURS:
        value = ratio(cases, "calls", name, "floor")
        if value is not None:
            yield (f"{TITLES[name]}: a function call at 20 ms takes at most 1.2 times a bare libcurl call",
                   f"{1 / value:.2f}x", 1 / value <= 1.2)


def _call_goals(result):
    for name in OURS:
        measured = [case for case in result["cases"] if case["contender"] == name and "calls" in case]
        if not measured:
            continue
        worst = max(measured, key=lambda case: case["calls"] / case["fewest"])
        value = worst["calls"] / worst["fewest"]
        yield (f"{TITLES[name]}: never more than twice the fewest possible calls",
               f"{value:.2f} ({worst['workload']})", value <= 2)


def _resource_goals(result):
    memory = result.get("memory", {"hosts": {}})
    for name, widths in memory["hosts"].items():
        for width, text in MEMORY_OF[:2]:
            more = widths[width]["peak_kb"] - widths[width]["idle_kb"]
            yield (f"{TITLES[name]}: {text} of {memory['leads']:,} leads within 32 MiB over an idle connection",
                   f"{more / 1024:.1f} MiB", more <= MEMORY_KB)
    for name, taken in result.get("cancel", {}).items():
        worst = max(taken["free_ms"])
        yield (f"{TITLES[name]}: an interrupt ends the statement within 100 ms", f"{worst:.0f} ms",
               worst <= 100)
    for name, ms in result.get("trigger", {}).items():
        value = ms["enqueue"] / ms["plain"]
        yield (f"{TITLES[name]}: a row trigger that enqueues takes at most twice the time of one that writes "
               "the same rows into a plain table", f"{value:.2f}x", value <= 2)
    if "instructions" in result:
        value = result["instructions"]["sqlite"] / result["instructions"]["floor"]
        yield "SQLite: at most 1.5 times the instructions of the C floor", f"{value:.2f}x", value <= 1.5


def text_goals(result):
    lines = [f"{'met   ' if met else 'MISSED'}  {text}: {value}" for text, value, met in goals(result)]
    return "\n" + "\n".join(lines)
