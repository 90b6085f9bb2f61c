"""Turns the figures into tables, docs/performance.md and its two plots.

The page is generated from bench.json alone, so that it can say nothing that was not measured: the prose
is about method, every number comes from the file, and a goal that is missed reads as missed.
"""

import os
import subprocess

import workloads

ORDER = ("sqlite", "pg", "sdk", "sdk-max", "sdk-x8", "curl", "floor", "floor-x8")
OURS = ("sqlite", "pg")
BASE = "sdk"
TITLES = {"sqlite": "SQLite", "pg": "PostgreSQL", "sdk": "SDK", "sdk-max": "SDK, largest pages",
          "sdk-x8": "SDK, 8 at once", "curl": "curl, jq", "floor": "C floor",
          "floor-x8": "C floor, 8 at once"}
MEMORY_KB = 32 * 1024
GOAL_ROUND = (10000, 20)


def milliseconds(value):
    if value is None:
        return "–"
    if value < 10:
        return f"{value:.1f}"
    return f"{value:,.0f}" if value < 10000 else f"{value / 1000:,.1f} s"


def _find(cases, workload, contender):
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
    mine, other = _find(cases, workload, contender), _find(cases, workload, base)
    if not mine or not other or not mine["median_ms"] or not other["median_ms"]:
        return None
    return other["median_ms"] / mine["median_ms"]


def _times(value):
    if value is None:
        return ""
    return f"{value:.1f}x" if value < 10 else f"{value:.0f}x"


def _cell(cases, key, name):
    case = _find(cases, key, name)
    if case is None:
        return ""
    if case["median_ms"] is None:
        return case["note"] or "–"
    return milliseconds(case["median_ms"])


def _time_rows(cases):
    """Header and rows: times of everyone, then how much faster ours are than the serial SDK."""
    names = _present(cases)
    ours = [name for name in names if name in OURS and BASE in names]
    header = ["ms", *(TITLES[name] for name in names), *(f"{TITLES[name]} : SDK" for name in ours)]
    rows = [[key, *(_cell(cases, key, name) for name in names),
             *(_times(ratio(cases, key, name)) for name in ours)] for key in _keys(cases)]
    return header, rows


def _call_rows(cases):
    """Header and rows: what was sent, and what the service spent on it."""
    ours = [name for name in _present(cases) if name in OURS]
    header = ["calls", "fewest"]
    for name in ours:
        header += [TITLES[name], "of fewest", "in flight", "service CPU", "own CPU"]
    rows = []
    for key in _keys(cases):
        row = [key, None]
        for name in ours:
            case = _find(cases, key, name)
            if case is None or "calls" not in case:
                row += [""] * 5
                continue
            row[1] = f"{case['fewest']:,}"
            row += [f"{case['calls']:,}", f"{case['calls'] / case['fewest']:.2f}",
                    str(case["in_flight"]), milliseconds(case["service_cpu_ms"]),
                    milliseconds(case["cpu_ms"])]
        rows.append([cell or "" for cell in row])
    return header, rows


def _aligned(header, rows):
    widths = [max(len(str(row[i])) for row in (header, *rows)) for i in range(len(header))]
    lines = []
    for row in (header, *rows):
        cells = [str(row[0]).ljust(widths[0])]
        cells += [str(cell).rjust(width) for cell, width in zip(row[1:], widths[1:])]
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)


def _markdown(header, rows):
    lines = ["| " + " | ".join(header) + " |", "|---" + "|--:" * (len(header) - 1) + "|"]
    lines += ["| " + " | ".join(str(cell) for cell in row) + " |" for row in rows]
    return "\n".join(lines)


def text_table(cases, leads, latency):
    title = f"\n== {leads:,} leads, {latency} ms a request"
    return "\n\n".join((title, _aligned(*_time_rows(cases)), _aligned(*_call_rows(cases))))


def _cancel_rows(cancel):
    rows = []
    for name, times in cancel.items():
        rows.append([TITLES[name], milliseconds(_median(times["free_ms"])),
                     milliseconds(_median(times["closed_ms"]))])
    return ["interrupted, ms", "shell has ended", "connections closed"], rows


def _median(values):
    values = sorted(values)
    middle = len(values) // 2
    return values[middle] if len(values) % 2 else (values[middle - 1] + values[middle]) / 2


def text_cancel(cancel):
    return "\n" + _aligned(*_cancel_rows(cancel))


def _memory_rows(memory):
    rows = []
    for name, widths in memory["hosts"].items():
        for width, text in (("five", "five columns"), ("all", "all columns")):
            m = widths[width]
            idle, peak = m["idle_kb"] / 1024, m["peak_kb"] / 1024
            rows.append([f"{TITLES[name]}, {text}", f"{idle:.1f}", f"{peak:.1f}", f"{peak - idle:.1f}"])
    return [f"MiB, {memory['leads']:,} leads", "idle", "peak", "more"], rows


def text_memory(memory):
    return "\n" + _aligned(*_memory_rows(memory))


def text_instructions(counts):
    return (f"\ninstructions of a five-column scan: sqlite3 {counts['sqlite'] / 1e6:,.0f} M, floor "
            f"{counts['floor'] / 1e6:,.0f} M, ratio {counts['sqlite'] / counts['floor']:.2f}")


# --- goals ----------------------------------------------------------------------------------------


def goals(result):
    """(goal, what was measured, met) for everything that this run can tell."""
    return [*_speed_goals(result), *_call_goals(result), *_resource_goals(result)]


def _title(result, key):
    return workloads.BY_KEY[key].title.format(keys=result["keys"])


def _round(result, leads, latency):
    return [case for case in result["cases"]
            if (case["leads"], case["latency_ms"]) == (leads, latency)]


def _speed_goals(result):
    cases = _round(result, *GOAL_ROUND)
    for key, least in (("scan", 10), ("fields", 10), ("join-keys", 20)):
        for name in OURS:
            value = ratio(cases, key, name)
            if value is not None:
                yield (f"{TITLES[name]}: {_title(result, key)} at 20 ms, at least {least} times "
                       "faster than the serial SDK", _times(value), value >= least)
    cases = _round(result, GOAL_ROUND[0], 0)
    for name in OURS:
        value = ratio(cases, "calls", name, "floor")
        if value is not None:
            yield (f"{TITLES[name]}: a function call takes at most 1.2 times a bare libcurl call",
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
    for name, widths in result.get("memory", {}).get("hosts", {}).items():
        for width, m in widths.items():
            more = m["peak_kb"] - m["idle_kb"]
            yield (f"{TITLES[name]}: a scan of {m['rows']:,} leads ({width} columns) within 32 MiB",
                   f"{more / 1024:.1f} MiB", more <= MEMORY_KB)
    for name, times in result.get("cancel", {}).items():
        worst = max(times["free_ms"])
        yield (f"{TITLES[name]}: an interrupt ends the statement within 100 ms", f"{worst:.0f} ms",
               worst <= 100)
    if "instructions" in result:
        value = result["instructions"]["sqlite"] / result["instructions"]["floor"]
        yield "SQLite: at most 1.5 times the instructions of the C floor", f"{value:.2f}x", value <= 1.5


def text_goals(result):
    lines = [f"{'met   ' if met else 'MISSED'}  {text}: {value}" for text, value, met in goals(result)]
    return "\n" + "\n".join(lines)


# --- docs -----------------------------------------------------------------------------------------

PAGE = """# Performance

Generated by `{command}` and `make bench-docs`; do not edit. {runs}

Who is compared, each started afresh for every run, token and one connection ready:

| | |
|---|---|
| SQLite, PostgreSQL | the stock shells with this library{settings} |
| SDK | the official Node SDK, `actions.request` in a loop, serially, pages of the default size ({sdk_page}) |
| SDK, largest pages | the same loop with the largest pages that the service takes |
| SDK, 8 at once | the largest pages, and eight requests in flight |
| curl, jq | `curl`, `jq` and `sqlite3 .import`, a page at a time |
| C floor | a C program that only downloads and parses the pages, with libcurl and json-c, one at a time |
| C floor, 8 at once | the same with eight requests in flight |

The SDK's rows end as objects in memory and are not charged for being stored; ours end in a local table
(without waiting for the disk). The service is the stand-in (`test/server`) on the same machine, answers
compressed, every answer late by the latency given. It shares the processor with everybody measured: its
own time is in the second table of each section, and where the latency is small it limits the fast ones.
Like the real service it refuses to skip more than 35,000 leads: the loops of the others end there with an
error, and only this library reads on (by key).

The questions:

{questions}

## Goals

{goals}
"""

VERSION_NAMES = (("sqlite", "SQLite"), ("pg", "PostgreSQL"), ("curl", "libcurl"), ("node", "Node"),
                 ("sdk", "SDK"), ("jq", "jq"))


def _versions(result):
    known = [f"{title} {result['versions'][key]}" for key, title in VERSION_NAMES
             if result["versions"].get(key)]
    runs = result["runs"]
    median = f"Medians of {runs} runs" if runs > 1 else "Single runs"
    return f"{median}, on {result['versions']['cores']} cores: {', '.join(known)}."


def _page(result):
    header = ["goal", "measured", ""]
    rows = [[text, value, "met" if met else "**missed**"] for text, value, met in goals(result)]
    questions = "\n".join(f"* `{w.key}`: {w.title.format(keys=result['keys'])}" for w in workloads.ALL)
    settings = "".join(f", `{name}` set to {value}" for name, value in result["settings"].items())
    parts = [PAGE.format(command=result["command"], runs=_versions(result), settings=settings,
                         sdk_page=workloads.SDK_PAGE, questions=questions, goals=_markdown(header, rows))]
    if result["notes"]:
        parts.append("\n".join(result["notes"]) + "\n")
    rounds = sorted({(case["leads"], case["latency_ms"]) for case in result["cases"]})
    main = [r for r in rounds if r[0] == GOAL_ROUND[0]]
    if len(main) > 1:
        parts.append("## Time against latency\n\n![Time against latency](performance-latency.svg)\n")
    if len({leads for leads, _ in rounds}) > 1:
        parts.append("## Time against rows\n\n![Time against rows](performance-rows.svg)\n")
    for leads, latency in rounds:
        cases = _round(result, leads, latency)
        parts.append(f"## {leads:,} leads, {latency} ms a request\n\n{_markdown(*_time_rows(cases))}"
                     f"\n\n{_markdown(*_call_rows(cases))}\n")
    if "memory" in result:
        parts.append("## Memory\n\nPeak of the process that works (`VmHWM`), and how much that is "
                     "more than an idle connection has.\n\n"
                     f"{_markdown(*_memory_rows(result['memory']))}\n")
    if "cancel" in result:
        parts.append("## Cancelling\n\nA scan is interrupted while the service takes 30 seconds to "
                     f"answer.\n\n{_markdown(*_cancel_rows(result['cancel']))}\n")
    if "instructions" in result:
        counts = result["instructions"]
        parts.append("## Instructions\n\nOf a five-column scan (callgrind), without what each program "
                     f"needs to start: sqlite3 {counts['sqlite'] / 1e6:,.0f} million, C floor "
                     f"{counts['floor'] / 1e6:,.0f} million.\n")
    return "\n".join(parts)


def write_docs(result, folder):
    """docs/performance.md and the plots that it shows."""
    with open(os.path.join(folder, "performance.md"), "w", encoding="utf-8") as file:
        file.write(_page(result))
    leads = GOAL_ROUND[0]
    latencies = sorted({case["latency_ms"] for case in result["cases"] if case["leads"] == leads})
    if len(latencies) > 1:
        panels = [(_title(result, key),
                   _series(result, key, [(leads, latency, latency) for latency in latencies]))
                  for key in ("fields", "join-keys")]
        _plot(os.path.join(folder, "performance-latency.svg"), "latency of a request, ms", False, panels)
    sizes = sorted({case["leads"] for case in result["cases"] if case["latency_ms"] == GOAL_ROUND[1]})
    if len(sizes) > 1:
        panels = [(_title(result, key),
                   _series(result, key, [(size, GOAL_ROUND[1], size) for size in sizes]))
                  for key in ("fields", "scan")]
        _plot(os.path.join(folder, "performance-rows.svg"), "leads", True, panels)


def _series(result, key, points):
    """[(title, [(x, seconds)])] of everybody who has the workload."""
    series = []
    for name in ORDER:
        values = []
        for leads, latency, x in points:
            case = _find(_round(result, leads, latency), key, name)
            if case and case["median_ms"]:
                values.append((x, case["median_ms"] / 1000))
        if len(values) > 1:
            series.append((name, values))
    return series


COLOURS = {"sqlite": "#0072b2", "pg": "#009e73", "sdk": "#d55e00", "sdk-max": "#e69f00",
           "sdk-x8": "#cc79a7", "curl": "#777777", "floor": "#bbbbbb", "floor-x8": "#000000"}


def _plot(path, label, logarithmic, panels):
    """One panel for each workload that has lines (a partial run has fewer)."""
    panels = [(title, series) for title, series in panels if series]
    if not panels:
        return
    script = ["set terminal svg size 960,460 dynamic background 'white' font 'sans-serif,12'",
              f"set output '{os.path.basename(path)}'", f"set multiplot layout 1,{len(panels)}",
              "set key outside below horizontal samplen 1.5 font ',10'", "set logscale y",
              "set grid ytics lc '#dddddd'", f"set xlabel '{label}'", "set ylabel 'seconds'",
              "set format y '%g'", "set offsets graph 0.03, graph 0.03, 0, 0",
              "set xtics (0, 20, 100)", "set bmargin 8"]
    if logarithmic:
        script += ["set logscale x", "set xtics (1000, 10000, 30000, 100000)", "set format x '%.0f'"]
    for title, series in panels:
        lines = []
        for name, values in series:
            block = "$" + name.replace("-", "_")
            script += [f"{block} << EOD", *(f"{x} {y:.6f}" for x, y in values), "EOD"]
            width = 3 if name in OURS else 1.5
            lines.append(f"{block} with linespoints lw {width} pt 7 ps 0.5 lc '{COLOURS[name]}' "
                         f"title '{TITLES[name]}'")
        script.append(f"set title '{title}'")
        script.append("plot " + ", ".join(lines))
    script.append("unset multiplot")
    subprocess.run(["gnuplot"], input="\n".join(script) + "\n", text=True, check=True,
                   cwd=os.path.dirname(os.path.abspath(path)))
