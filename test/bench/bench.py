#!/usr/bin/env python3
"""The benchmark: both hosts and what a user would run instead, in one run against one service.

    bench.py --build build                      everything; about 20 minutes on two quiet cores
    bench.py --build build --quick              one run each, 1,000 leads, 20 ms: a smoke test
    bench.py --build build --only fields,count  some questions only (workloads.py has the names)
    bench.py --build build --write-docs         docs/performance.md and its plots from bench.json

Prints tables as it goes, writes bench.json into the build folder, and ends with one line for each goal:
met or MISSED. The runs of the contenders alternate, so that a noisy moment does not hit one of them
alone; figures are medians. The service is the stand-in on the same machine, which keeps the answers that
it has given: everybody asks everything once before he is measured, so that nobody waits for its work.
What it spends all the same is measured and printed.

Ends with status 1 when a contender brings a wrong number of rows or fails.
"""

import argparse
import contextlib
import json
import os
import signal
import statistics
import sys
import tempfile
import time

import contenders
import page
import report
import special
import transport
import trigger
import workloads

import shells  # found by the path that contenders sets
import standin
import tlsfront

LATENCIES = (0, 20, 100)
ROWS = (10000, 1000, 30000, 100000)
SKIP_CAP = 35000  # the service refuses a larger _skip: only ours read on by key
MIDDLE = 20
MAIN = 10000
LARGE = 100000
KEYS = 1000
SLOW_MS = 3000  # what takes longer is not repeated
LEFT_OUT_SECONDS = 60  # what takes longer by the latency of its calls alone is not run
AT_LARGE = ("scan", "fields", "filter", "limit", "count", "first", "join-keys", "join-tables")
WALKS = ("scan", "fields", "join-tables")  # what grows with the table, at the other latencies


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--build", default="build")
    parser.add_argument("--runs", type=int, default=3, help="runs of each (default 3)")
    parser.add_argument("--quick", action="store_true", help="smoke test")
    parser.add_argument("--only", help="comma-separated workloads")
    parser.add_argument("--hosts", default="sqlite,pg")
    parser.add_argument("--latencies", help="comma-separated milliseconds")
    parser.add_argument("--sizes", help="comma-separated numbers of leads")
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE",
                        help="a setting of our hosts, for comparisons (concurrency=1)")
    parser.add_argument("--no-sdk", action="store_true", help="leave the SDK out")
    parser.add_argument("--limit", type=int, default=150, help="seconds for one run")
    parser.add_argument("--write-docs", action="store_true", help="only write docs from bench.json")
    return parser.parse_args()


class Service:
    """A stand-in of one size, with the facts about its data."""

    def __init__(self, build, leads, keys):
        self.leads = leads
        self.keys = keys
        self.server = standin.Standin(build, f"--leads {leads}")
        self.facts = None
        self.warmed = set()

    def learn(self):
        """The facts come from the service by other means than those that are measured."""
        bearer = contenders.token(self.server)
        ids = self._ids(bearer, min(self.leads, MAIN))
        step = max(1, len(ids) // self.keys)
        self.facts = workloads.Facts(
            leads=self._total(bearer, workloads.LEADS, {}),
            opportunities=self._total(bearer, workloads.OPPORTUNITIES, {}),
            matching=self._total(bearer, workloads.LEADS, {"query": workloads.FILTER}),
            keys=ids[::step][:self.keys], columns=_columns())

    def learn_held(self):
        """How many leads have a value, for each column: counted in the service's own answers."""
        bearer, held, skip = contenders.token(self.server), dict.fromkeys(self.facts.visible, 0), 0
        while skip < self.leads:
            page = self._get(bearer, workloads.LEADS, {"_limit": workloads.LEAD_PAGE, "_skip": skip})["data"]
            for lead in page:
                lead[workloads.CUSTOM] = any(name.startswith("custom.") for name in lead) or None
                for column in held:
                    held[column] += lead.get(column) is not None
            skip += workloads.LEAD_PAGE
        self.facts.held = held

    def _get(self, bearer, path, params):
        return contenders.get_json(self.server, bearer, path, params)

    def _total(self, bearer, path, params):
        return self._get(bearer, path, {**params, "_limit": 1, "_fields": "id"})["total_results"]

    def _ids(self, bearer, most):
        ids, more = [], True
        while more and len(ids) < most:
            answer = self._get(bearer, workloads.LEADS, {"_fields": "id", "_limit": workloads.LEAD_PAGE,
                                                         "_skip": len(ids)})
            ids += [row["id"] for row in answer["data"]]
            more = answer["has_more"]
        return ids


def _columns():
    """The plain columns of the leads, as the tests know them."""
    path = os.path.join(contenders.HERE, "..", "data", "columns.tsv")
    with open(path, encoding="utf-8") as file:
        rows = [line.rstrip("\n").split("\t") for line in file if not line.startswith("#")]
    return [row[1] for row in rows if row[0] == "leads" and row[1].isidentifier()]


class Bench:
    """One run of the whole program."""

    def __init__(self, args, folder):
        self.args = args
        self.folder = folder
        self.build = os.path.abspath(args.build)
        self.runs = 1 if args.quick else args.runs
        self.started = time.monotonic()
        self.problems = []
        self.cases = []
        self.result = {"command": _command(args), "versions": special.environment_versions(),
                       "runs": self.runs, "keys": 50 if args.quick else KEYS, "notes": [],
                       "cases": self.cases, "settings": _settings(args)}
        self.hosts = [contenders.Host(self.build, name, _settings(args))
                      for name in args.hosts.split(",") if name]
        for host in self.hosts:
            self.result["versions"][host.name] = host.version
        self.floors = [contenders.Floor("floor", self.build, 1, args.limit),
                       contenders.Floor("floor-x8", self.build, workloads.AT_ONCE, args.limit)]
        self.others = [*self._sdk(), *self._pipeline(), *self.floors]

    def _sdk(self):
        if self.args.no_sdk:
            return []
        folder = os.path.join(self.folder, "sdk")
        os.mkdir(folder)
        version, why = contenders.install_sdk(folder)
        self.result["versions"]["sdk"] = version
        if version is None:
            self._note(f"The SDK is left out: {why}.")
            return []
        return [contenders.Sdk(name, folder, self.args.limit) for name in ("sdk", "sdk-max", "sdk-x8")]

    def _pipeline(self):
        missing = [name for name in ("curl", "jq", "sqlite3") if not contenders.shutil.which(name)]
        if missing:
            self._note(f"The pipeline is left out: {', '.join(missing)} missing.")
            return []
        return [contenders.Pipeline(self.args.limit)]

    def _note(self, text):
        self.result["notes"].append(text)
        print(text, flush=True)

    # --- measuring ------------------------------------------------------------------------------

    def round(self, service, latency, keys):
        """All contenders on some workloads at one latency; prints their table."""
        chosen = [workloads.BY_KEY[key] for key in keys if self._wanted(key, latency)]
        done = []
        for workload in chosen:
            takers = list(self.hosts)
            for other in self.others:
                if not other.takes(workload, service.facts):
                    continue
                same = report.find(done, workload.same_job, other.name)
                if same:
                    done.append({**same, "workload": workload.key})
                elif workload.walked(service.facts) > SKIP_CAP:
                    done.append(_absent(service, latency, workload, other, f"ends at {SKIP_CAP:,}"))
                elif other.least_seconds(workload, service.facts, latency) > LEFT_OUT_SECONDS:
                    done.append(_absent(service, latency, workload, other, "left out"))
                else:
                    takers.append(other)
            done += self._case_row(service, latency, workload, takers)
        self.cases += done
        self.save()
        if done:
            print(report.text_table(done, service.leads, latency), flush=True)

    def _wanted(self, key, latency):
        workload = workloads.BY_KEY[key]
        if self.args.only and key not in self.args.only.split(","):
            return False
        return workload.most_latency is None or latency <= workload.most_latency

    def _vet(self, service, workload):
        """A plan that evades the question is a failure, of which nothing else would tell."""
        if not workload.vetted:
            return
        service.learn_held()
        for host in self.hosts:
            with tempfile.TemporaryDirectory(dir=self.folder) as folder:
                os.chmod(folder, 0o755)
                try:
                    host.vet(workload, service.server, service.facts, folder)
                except (contenders.Slow, contenders.Failed) as error:
                    self._problem(_new_case(service, 0, workload, host), str(error))

    def _warm(self, service, workload, takers):
        """Everybody asks once before anybody is measured; a failure will show again. In a smoke run only
        one does."""
        if workload.writes or workload.key in service.warmed:
            return
        service.warmed.add(workload.key)
        self._vet(service, workload)
        for taker in takers[:1] if self.args.quick else takers:
            with tempfile.TemporaryDirectory(dir=self.folder) as folder:
                os.chmod(folder, 0o755)
                with contextlib.suppress(contenders.Slow, contenders.Failed):
                    taker.measure(workload, service.server, service.facts, folder, lambda: None)

    def _case_row(self, service, latency, workload, takers):
        cases = {}
        self._warm(service, workload, takers)
        service.server.config({"latency_ms": latency})
        for turn in range(self.runs):
            # Nobody is always the first, which would find the service at its slowest.
            first = turn % len(takers)
            for taker in takers[first:] + takers[:first]:
                case = cases.setdefault(taker.name, _new_case(service, latency, workload, taker))
                if turn and (case["note"] or max(case["ms"]) > SLOW_MS):
                    continue
                self._measure(case, service, workload, taker)
        service.server.config({"latency_ms": 0})
        for case in cases.values():
            case["median_ms"] = statistics.median(case["ms"]) if case["ms"] else None
        return list(cases.values())

    def _measure(self, case, service, workload, taker):
        server = service.server
        start = {}

        def mark():
            server.control("DELETE", "log")
            start["cpu"] = contenders.cpu_ms(server.pid)

        try:
            with tempfile.TemporaryDirectory(dir=self.folder) as folder:
                os.chmod(folder, 0o755)
                sample = taker.measure(workload, server, service.facts, folder, mark)
            service_cpu = contenders.cpu_ms(server.pid) - start["cpu"]
            log = contenders.calls(server)
        except contenders.Slow:
            case["note"] = f"> {self.args.limit} s"
            return
        except contenders.Failed as error:
            case["note"] = "failed"
            self._problem(case, str(error))
            return
        finally:
            if workload.writes:
                server.reset()
                server.config({"latency_ms": case["latency_ms"]})
        rows = sum(entry["status"] // 100 == 2 for entry in log) if workload.writes else sample.rows
        expected = workload.expected(service.facts)
        if expected is not None and rows != expected:
            case["note"] = "wrong"
            self._problem(case, f"{rows} rows, not {expected}")
        case["ms"].append(round(sample.ms, 2))
        case.update(rows=rows, cpu_ms=sample.cpu_ms and round(sample.cpu_ms, 1), peak_kb=sample.peak_kb,
                    calls=len(log), in_flight=max((entry["inflight"] for entry in log), default=0),
                    service_cpu_ms=round(service_cpu, 1))

    def _problem(self, case, text):
        self.problems.append(f"{case['workload']} at {case['latency_ms']} ms, {case['contender']}: {text}")
        print(self.problems[-1], file=sys.stderr, flush=True)

    # --- the whole ------------------------------------------------------------------------------

    def service(self, leads):
        service = Service(self.build, leads, self.result["keys"])
        service.learn()
        return service

    def quick(self):
        service = self.service(1000)
        try:
            self.round(service, MIDDLE, list(workloads.BY_KEY))
            self._special(service, runs=1)
        finally:
            service.server.stop()

    def full(self):
        for leads in _numbers(self.args.sizes, ROWS):
            service = self.service(leads)
            try:
                self._size(service, _numbers(self.args.latencies, LATENCIES))
            finally:
                service.server.stop()

    def _size(self, service, latencies):
        """What is worth knowing at one size: everything at MAIN, what grows with the table at others."""
        if service.leads == MAIN:
            for latency in latencies:
                self.round(service, latency, list(workloads.BY_KEY))
        elif service.leads == LARGE:
            for latency in latencies:
                self.round(service, latency, AT_LARGE if latency == MIDDLE else WALKS)
        elif MIDDLE in latencies:
            self.round(service, MIDDLE, ["read", "scan", "fields"])
        if self.args.only:
            return
        if service.leads == MAIN:
            self._special(service, runs=self.runs)
            self._instructions(service)
        if service.leads == LARGE:
            self._memory(service)

    def _special(self, service, runs):
        self.result["cancel"] = {}
        for host in self.hosts:
            with tempfile.TemporaryDirectory(dir=self.folder) as folder:
                os.chmod(folder, 0o755)
                times = special.cancel(host, service.server, folder, runs)
            self.result["cancel"][host.name] = times
        service.server.config({"latency_ms": MIDDLE})
        self.result["storing"] = {"leads": service.leads, "hosts": {}}
        for host in self.hosts:
            with tempfile.TemporaryDirectory(dir=self.folder) as folder:
                os.chmod(folder, 0o755)
                self.result["storing"]["hosts"][host.name] = special.storing(host, service.server,
                                                                             service.facts, folder, runs)
        self._transport(service, runs)
        service.server.config({"latency_ms": 0})
        print(report.text_storing(self.result["storing"]) + "\n", flush=True)
        if service.leads < MAIN:
            self._memory(service)
        print(report.text_cancel(self.result["cancel"]) + "\n", flush=True)
        self.result["trigger"], _ = trigger.run(self.hosts, service.server, self.folder,
                                                runs=3 if self.args.quick else 15)

    def _transport(self, service, runs):
        if "sqlite" not in [host.name for host in self.hosts]:
            return
        try:
            measured = transport.run(self.build, service.server, self.floors[0], service.facts,
                                     _settings(self.args), runs)
        except (contenders.Slow, contenders.Failed, tlsfront.FrontError) as error:
            self.problems.append(f"transport: {error}")
            print(self.problems[-1], file=sys.stderr, flush=True)
            return
        self.result["transport"] = measured
        print(report.text_transport(measured), flush=True)

    def _memory(self, service):
        self.result["memory"] = {"leads": service.leads, "hosts": {}}
        for host in self.hosts:
            with tempfile.TemporaryDirectory(dir=self.folder) as folder:
                os.chmod(folder, 0o755)
                self.result["memory"]["hosts"][host.name] = special.memory(host, service.server,
                                                                           service.facts, folder)
        print(report.text_memory(self.result["memory"]), flush=True)

    def _instructions(self, service):
        if not contenders.shutil.which("valgrind"):
            self._note("Instructions are left out: valgrind is not installed.")
            return
        if "sqlite" not in [host.name for host in self.hosts]:
            return
        counts = special.instructions(self.build, service.server, self.floors[0], service.facts, self.folder)
        self.result["instructions"] = counts
        print(report.text_instructions(counts), flush=True)

    def save(self):
        """After each part, so that an interrupted run leaves what it found."""
        self.result.update(problems=self.problems, seconds=round(time.monotonic() - self.started))
        with open(os.path.join(self.build, "bench.json"), "w", encoding="utf-8") as file:
            json.dump(self.result, file, indent=1)

    def close(self):
        for host in self.hosts:
            host.close()


def _new_case(service, latency, workload, taker):
    return {"leads": service.leads, "latency_ms": latency, "workload": workload.key,
            "contender": taker.name, "ms": [], "note": None,
            "fewest": workload.fewest(service.facts)}


def _absent(service, latency, workload, taker, note):
    """The case of a contender that is not run, and why."""
    case = _new_case(service, latency, workload, taker)
    case.update(note=note, median_ms=None)
    return case


def _numbers(text, default):
    return [int(word) for word in text.split(",")] if text else default


def _settings(args):
    return dict(pair.split("=", 1) for pair in args.set)


def _command(args):
    """The command as somebody else would type it: no folder of this machine."""
    words = ["make bench"]
    if args.quick:
        words.append("BENCH=--quick")
    elif args.runs != 3 or args.only or args.set or args.latencies or args.sizes:
        parts = [f"--runs {args.runs}"] if args.runs != 3 else []
        parts += [f"--only {args.only}"] if args.only else []
        parts += [f"--latencies {args.latencies}"] if args.latencies else []
        parts += [f"--sizes {args.sizes}"] if args.sizes else []
        parts += [f"--set {pair}" for pair in args.set]
        words.append("BENCH='" + " ".join(parts) + "'")
    return " ".join(words)


def main():
    args = arguments()
    if args.write_docs:
        with open(os.path.join(args.build, "bench.json"), encoding="utf-8") as file:
            result = json.load(file)
        page.write_docs(result, os.path.join(contenders.HERE, "..", "..", "docs"))
        print(page.brief(result))  # for the README
        return 0
    shells.HANG_SECONDS = args.limit
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # the servers are stopped on the way out
    with contenders.make_folder() as folder:
        bench = Bench(args, folder)
        try:
            if args.quick:
                bench.quick()
            else:
                bench.full()
        finally:
            bench.close()
    bench.save()
    print(report.text_goals(bench.result))
    return 1 if bench.problems else 0


if __name__ == "__main__":
    sys.exit(main())
