#!/usr/bin/env python3
"""Runs the conformance cases: the same statements in sqlite3 and psql, against the stand-in.

    test/host/conformance.py [--host sqlite|pg|both] [--filter REGEX] [--build DIR]
                             [--engine normal|slow|window1|asan|oom] [--valgrind] [FILE...]

Every worker has one stand-in, which is reset between cases. One line per failing case, with what
was expected; in the end "N passed, N failed". The exit code is 0 when nothing failed.
"""

import argparse
import concurrent.futures
import glob
import json
import os
import re
import sys
import threading
import time

import casefile
import compare
import hosts
import oracle
import shells
import standin

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
DEFAULT_SERVER = "--leads 60"
SECRETS = (standin.CLIENT_SECRET,)


class Failure(Exception):
    """A case that did not go as it should; the text is shown to the user."""


class Worker:
    """One stand-in and the copies of its data, used by one thread."""

    def __init__(self, number, build, folder):
        self.number = number
        self.build = build
        self.folder = folder
        self._server = None
        self._oracle = None

    def server(self, flags):
        """The running stand-in with these flags, as fresh as after its start."""
        if self._server and (self._server.flags != flags or not self._server.alive()):
            self.close()
        if self._server is None:
            self._server = standin.Standin(self.build, flags)
        else:
            self._server.reset()
        if self._oracle is None:
            self._oracle = oracle.Oracle(self._server)
        return self._server

    @property
    def oracle(self):
        """A copy of the initial data; the generator is deterministic, so it outlives a reset."""
        return self._oracle

    def close(self):
        if self._oracle:
            self._oracle.close()
            self._oracle = None
        if self._server:
            self._server.stop()
            self._server = None


class Runner:
    """Runs one case on one host."""

    def __init__(self, case, host, worker, serial):
        self.case = case
        self.host = host
        self.worker = worker
        self.name = f"{worker.number}-{serial}"
        self.variables = {}
        self.extra_env = {}
        self.since = 0

    def run(self):
        self.server = self.worker.server(self.case.server or DEFAULT_SERVER)
        self._remember_data()
        if self.host.engine == "slow":
            self._slow_down()
        shell = None
        try:
            for step in self.case.steps:
                self._arrange(step)
                if shell is None:
                    shell = self._open()
                self._step(shell, step)
        except shells.ShellDied as problem:
            raise Failure(str(problem)) from problem
        finally:
            if shell:
                self._finish(shell)
        self._check_outbox()

    def _remember_data(self):
        """Copies what the case refers to before anything can change it."""
        texts = [text for step in self.case.steps
                 for text in [*(item[-1] for item in step.arrange + step.checks),
                              *step.sql.values()]]
        texts += [*self.case.env.values(), *(value for _, value in self.case.settings)]
        whole = "\n".join(texts)
        for resource in set(re.findall(r"\$\{#?([a-z_]+)[\[}]", whole)):
            if "close_" + resource in self.worker.oracle.tables:
                self.worker.oracle.objects(resource)
        for table in set(re.findall(r"\bclose_[a-z_]+", whole)):
            if table in self.worker.oracle.tables:
                self.worker.oracle.load(table)

    def _slow_down(self):
        self.server.fault({"path": "/api", "kind": "slow", "times": 0})

    def _open(self):
        env = {key: self._expand(value) for key, value in self.case.env.items()}
        env.update(self.extra_env)
        settings = [(key, self._expand(value)) for key, value in self.case.settings]
        return self.host.session(self.server, self.case, env, settings, self.worker.folder,
                                 self.name)

    # --- arrangements -------------------------------------------------------------------------

    def _arrange(self, step):
        self.faults = 0
        for directive, text in step.arrange:
            text = self._expand(text)
            if directive == "let":
                name, _, sql = text.partition("=")
                rows = self.worker.oracle.query(sql)
                if not rows:
                    raise Failure(f"let {name.strip()}: no row")
                self.variables[name.strip()] = compare.cell(rows[0][0])
                continue
            try:
                value = json.loads(text)
            except ValueError as problem:
                raise Failure(f"line {step.line}: {directive}: {problem}") from problem
            if directive in ("fault", "fault?"):
                self.server.fault(_fault(value))
                self.faults += directive == "fault"
            elif directive == "mutate":
                self.server.mutate(value)
            else:
                self.server.config(value)

    def _expand(self, text):
        """${leads[0].id}, ${#leads}, ${url}, ${today+1} and the variables of let:."""

        def replace(match):
            expression = match[1]
            if expression in self.variables:
                return self.variables[expression]
            if expression == "url":
                return self.server.url
            if expression == "conformance":
                return os.path.join(ROOT, "test", "conformance")
            day = re.match(r"today(?:([+-]\d+))?$", expression)
            if day:
                return compare.day(int(day[1] or 0))
            if expression.startswith("#"):
                return str(len(self.worker.oracle.objects(expression[1:])))
            item = re.match(r"([a-z_]+)\[(-?\d+)\]\.(\S+)$", expression)
            if not item:
                raise Failure(f"unknown placeholder ${{{expression}}}")
            value = self.worker.oracle.objects(item[1])[int(item[2])].get(item[3])
            return compare.cell(value) if not isinstance(value, (dict, list)) \
                else oracle.canonical_json(value)

        return re.sub(r"\$\{([^}]*)\}", replace, text)

    # --- one statement block --------------------------------------------------------------------

    def _step(self, shell, step):
        sql = step.sql_for(self.host.name)
        if sql is None:
            raise Failure(f"line {step.line}: no statement for {self.host.name}")
        outcome = shell.run(self._expand(sql))
        entries = self._new_entries()
        try:
            self._check_outcome(step, outcome)
            for directive, word, text in step.checks:
                self._check(directive, word, self._expand(text), outcome, entries)
            self._check_faults(entries)
            self._check_secrets(outcome)
        except Failure as problem:
            first = sql.strip().split("\n")[0]
            raise Failure(f"line {step.line}: {first[:100]}\n{problem}{_trail(outcome, entries)}") \
                from problem

    def _new_entries(self):
        entries = [entry for entry in self.server.log(self.since)
                   if not entry["path"].startswith("/_standin")]
        if entries:
            self.since = max(entry["n"] for entry in entries)
        return entries

    def _check_outcome(self, step, outcome):
        kinds = [item[0] for item in step.outcomes(self.host.name)]
        if "error" in kinds:
            if not outcome.errors:
                raise Failure("expected an error, got none")
        elif outcome.errors:
            raise Failure(f"unexpected error: {outcome.errors[0]}")

    def _check(self, directive, word, text, outcome, entries):
        name = self.host.name
        if directive == "rows":
            expected = [compare.expected_row(line) for line in text.split("\n") if line.strip()]
            if expected == [("(none)",)]:
                expected = []
            self._compare_rows(expected, outcome, word != "unordered")
        elif directive == "same-as":
            expected = [compare.row(values, name) for values in self.worker.oracle.query(text)]
            self._compare_rows(expected, outcome, word == "ordered")
        elif directive == "error":
            if word in ("", name):
                self._check_error(text, outcome)
        elif directive == "calls":
            self._check_calls(text, word != "unordered", entries)
        elif directive == "after":
            self._check_after(text)
        elif directive == "tokens":
            count = sum(entry["path"].endswith("/oauth/token") for entry in entries)
            low, _, high = text.partition("..")
            if not int(low) <= count <= int(high or low):
                raise Failure(f"expected {text} token requests, got {count}")
        elif directive in ("output", "not-output"):
            self._check_output(directive, text, outcome)

    def _compare_rows(self, expected, outcome, ordered):
        actual = [compare.row(values, self.host.name) for values in outcome.rows]
        difference = compare.diff_rows(expected, actual, ordered)
        if difference:
            raise Failure(difference)

    def _check_error(self, text, outcome):
        match = re.match(r"([A-Z]+|\*)(?:\s+(sqlite|pg)=(\S+))?(?:\s+/(.*)/)?$", text.strip(), re.S)
        if not match:
            raise Failure(f"error: cannot read {text!r}")
        label, host, given, pattern = match.groups()
        code, message = outcome.errors[-1]
        if self.host.name == "sqlite":
            allowed = {int(given)} if host == "sqlite" else shells.SQLITE_CODES.get(label)
            if label != "*" and not re.search(rf"\b{label}\b", message):
                raise Failure(f"expected class {label}, got: {message} ({code})")
        else:
            allowed = {given} if host == "pg" else {shells.SQLSTATES.get(label)}
        if label != "*" and all(code != one for one in allowed):
            raise Failure(f"expected code {allowed} for {label}, got {code}: {message}")
        if pattern and not re.search(pattern, message, re.I | re.S):
            raise Failure(f"the message does not match /{pattern}/: {message}")

    def _check_calls(self, text, ordered, entries):
        text = text.strip()
        calls = compare.calls_of(entries)
        if text == "any":
            return
        limits = re.match(r"(?:(\d+)\.\.)?(\d+)$", text)
        if text == "none" or limits:
            high = int(limits[2]) if limits else 0
            low = int(limits[1]) if limits and limits[1] else high
            if not low <= len(calls) <= high:
                listing = "".join(f"\n  {call}" for call in calls[:12])
                raise Failure(f"expected {text} calls, got {len(calls)}{listing}")
            return
        patterns = [compare.CallPattern(line) for line in text.split("\n") if line.strip()]
        difference = compare.diff_calls(patterns, calls, ordered)
        if difference:
            raise Failure(difference)

    def _check_after(self, text):
        """`SELECT ... => a|b` over a copy of what the stand-in holds now."""
        now = oracle.Oracle(self.server)
        try:
            for line in text.split("\n"):
                if not line.strip():
                    continue
                sql, _, wanted = line.partition("=>")
                rows = [compare.row(values, "sqlite") for values in now.query(sql)]
                expected = [] if wanted.strip() == "(none)" else [compare.expected_row(wanted.strip())]
                difference = compare.diff_rows(expected, rows, True)
                if difference:
                    raise Failure(f"after: {sql.strip()}\n{difference}")
        finally:
            now.close()

    def _check_output(self, directive, text, outcome):
        whole = outcome.output + outcome.stderr
        for line in text.split("\n"):
            found = re.search(line, whole, re.M) is not None
            if found != (directive == "output"):
                raise Failure(f"{directive}: /{line}/ " + ("found" if found else "not found")
                              + f" in {whole[:600]!r}")

    def _check_faults(self, entries):
        hit = sum(1 for entry in entries if entry.get("fault"))
        if self.host.engine != "slow" and hit < self.faults:
            raise Failure(f"{self.faults} faults were arranged, {hit} happened: "
                          "the case does not test what it says")

    def _check_secrets(self, outcome):
        for secret in SECRETS:
            if secret in outcome.output or secret in outcome.stderr:
                raise Failure("a secret was shown: " + (outcome.output + outcome.stderr)[:600])

    def _check_outbox(self):
        sent = self.server.outbox()
        items = sent["data"] if isinstance(sent, dict) else sent
        expected = self.case.outbox or 0
        if len(items) != expected:
            raise Failure(f"messages that would have left: expected {expected}, got {len(items)}: "
                          f"{json.dumps(items)[:400]}")

    def _finish(self, shell):
        status, stderr = shell.close()
        if re.search(r"(AddressSanitizer|LeakSanitizer|runtime error:|ERROR SUMMARY|"
                     r"definitely lost)", stderr):
            raise Failure("at exit: " + stderr[:3000])
        if status not in (0, 1, 2, 3) and not isinstance(status, str) and sys.exc_info()[0] is None:
            raise Failure(f"the shell ended with status {status}: {stderr[:1000]}")


def _fault(fault):
    """Short forms of case files, spelt out for the stand-in.

    "data": X is a 200 with X as the tool's data; "provider": X is a tool error whose message holds
    X as JSON in a string (or X itself when it is text); "body" may be JSON instead of text.
    """
    fault = dict(fault)
    if "data" in fault:
        fault["body"] = {"data": fault.pop("data"), "execution_id": "4711"}
        fault.update(kind="canned", status=fault.get("status", 200))
    if "provider" in fault:
        inner = fault.pop("provider")
        status = fault.setdefault("status", 400)
        codes = {400: 3, 401: 16, 403: 7, 404: 5, 409: 6, 429: 8, 500: 13, 503: 14}
        fault["kind"] = "canned"
        fault["body"] = {
            "code": codes.get(status, 2), "message": "tool execution failed",
            "details": [{
                "@type": "type.googleapis.com/scalekit.v1.errdetails.ErrorInfo",
                "error_code": "TOOL_ERROR",
                "tool_error_info": {
                    "execution_id": "4712", "tool_error_code": "INTERNAL_ERROR",
                    "tool_error_message": inner if isinstance(inner, str) else json.dumps(inner),
                }}]}
    if "body" in fault and not isinstance(fault["body"], str):
        fault["body"] = json.dumps(fault["body"])
    return fault


def _trail(outcome, entries):
    calls = compare.calls_of(entries)
    lines = [f"\n  sent: {call} -> {call.entry.get('status')}"
             + (f" [{call.entry['fault']}]" if call.entry.get("fault") else "")
             for call in calls[:8]]
    if len(calls) > 8:
        lines.append(f"\n  ... {len(calls)} calls")
    if outcome.stderr.strip():
        lines.append("\n  said: " + outcome.stderr.strip()[:700].replace("\n", "\n        "))
    return "".join(lines)


# --- the suite --------------------------------------------------------------------------------

def load(paths):
    """All cases of the given files, in order."""
    cases = []
    for path in sorted(paths):
        with open(path, encoding="utf-8") as file:
            label = os.path.relpath(path, ROOT)
            cases += casefile.parse(path, file.read(), label)
    seen = {}
    for case in cases:
        if case.name in seen:
            raise casefile.CaseError(f"{case.where}: the name {case.name!r} is already used at "
                                     f"{seen[case.name]}")
        seen[case.name] = case.where
    return cases


class Suite:
    """Distributes cases over workers, one server per worker."""

    def __init__(self, options, host, folder):
        self.options = options
        self.host = host
        self.folder = folder
        self.lock = threading.Lock()
        self.queue = []
        self.passed = 0
        self.failures = []
        self.serial = 0

    def run(self, cases):
        # Cases with the same server flags stand together, so that servers are seldom restarted.
        self.queue = sorted(cases, key=lambda case: case.server, reverse=True)
        count = max(1, min(self.options.jobs, len(cases)))
        with concurrent.futures.ThreadPoolExecutor(count) as pool:
            for future in [pool.submit(self._work, number) for number in range(count)]:
                future.result()

    def _next(self):
        with self.lock:
            self.serial += 1
            return (self.queue.pop(), self.serial) if self.queue else (None, 0)

    def _work(self, number):
        worker = Worker(number, self.options.build, self.folder)
        try:
            while True:
                case, serial = self._next()
                if case is None:
                    return
                self._one(case, worker, serial)
        finally:
            worker.close()

    def _run_case(self, case, worker, serial):
        if self.options.engine == "oom":
            import oom  # it imports this module
            oom.run_case(case, self.host, worker, serial)
        else:
            Runner(case, self.host, worker, serial).run()

    def _one(self, case, worker, serial):
        started = time.monotonic()
        try:
            self._run_case(case, worker, serial)
            problem = None
        except Failure as failure:
            problem = str(failure)
        except (standin.StandinError, shells.ShellDied, ValueError, LookupError, OSError,
                oracle.sqlite3.Error) as failure:
            problem = f"{type(failure).__name__}: {failure}"
            worker.close()
        with self.lock:
            if problem is None:
                self.passed += 1
            else:
                self.failures.append(case)
                shown = problem.replace("\n", "\n    ")
                print(f"FAIL [{self.host.name}] {case.where} {case.name}\n    {shown}", flush=True)
            if self.options.verbose:
                took = time.monotonic() - started
                print(f"{'ok  ' if problem is None else 'FAIL'} {took:6.2f}s [{self.host.name}] "
                      f"{case.name}", flush=True)


def selected(cases, host, options):
    result = []
    for case in cases:
        if not case.runs_on(host.name, host.version):
            continue
        if options.filter and not re.search(options.filter, f"{case.path} {case.name}"):
            continue
        if case.engines and options.engine not in case.engines:
            continue
        if options.engine == "slow" and any(step.arrange for step in case.steps
                                            if any(item[0] != "let" for item in step.arrange)):
            continue  # the first fault that fits is used: slowness would hide the others
        result.append(case)
    return result


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("files", nargs="*")
    parser.add_argument("--host", choices=("sqlite", "pg", "both"), default="sqlite")
    parser.add_argument("--filter", help="regular expression over file and case names")
    parser.add_argument("--build", default=os.path.join(ROOT, "build"))
    parser.add_argument("--engine", default="normal",
                        choices=("normal", "slow", "window1", "asan", "oom"))
    parser.add_argument("--valgrind", action="store_true")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--verbose", action="store_true")
    parser.add_argument("--list", action="store_true", help="only name the cases")
    return parser.parse_args()


def main():
    options = arguments()
    options.build = os.path.abspath(options.build)
    paths = options.files or glob.glob(os.path.join(ROOT, "test", "conformance", "*.case"))
    try:
        cases = load(paths)
    except casefile.CaseError as problem:
        print(problem)
        return 2
    if options.list:
        for case in cases:
            print(f"{case.where}\t{case.name}")
        return 0
    passed, failed = 0, 0
    with hosts.private_folder() as folder:
        for name in ("sqlite", "pg") if options.host == "both" else (options.host,):
            host = make_host(name, options)
            if host is None:
                continue
            try:
                suite = Suite(options, host, folder)
                suite.run(selected(cases, host, options))
            finally:
                host.close()
            passed += suite.passed
            failed += len(suite.failures)
    print(f"{passed} passed, {failed} failed")
    return 1 if failed or not passed else 0


def make_host(name, options):
    if name == "sqlite":
        return hosts.SqliteHost(options.build, options.engine, options.valgrind)
    try:
        return hosts.PgHost(options.build, options.engine)
    except (ImportError, FileNotFoundError) as problem:
        print(f"skipping the PostgreSQL host: {problem}")
        return None


if __name__ == "__main__":
    sys.modules["conformance"] = sys.modules["__main__"]
    sys.exit(main())
