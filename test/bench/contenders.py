"""Who is measured: both hosts, and what a user would run instead.

A contender answers a workload once and gives a Sample; it is started afresh each time (cold caches, a
new local table), but with its token and one connection ready, because those are paid once a day and not
per question. Only the shell pipeline, whose nature it is to start programs for every page, pays for
starting them.

    sqlite, pg          the stock shells with the built libraries
    sdk                 the official Node SDK, one request at a time, pages of the default size
    sdk-max, sdk-x8     the same with the largest pages, and with eight requests at once
    curl                curl | jq | sqlite3 .import, page by page
    floor, floor-x8     download and parse only, in C (floor.c)
"""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.parse
import urllib.request

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "host"))

import hosts  # noqa: E402  (needs the path above)
import shells  # noqa: E402
import standin  # noqa: E402

SDK_PACKAGE = "@scalekit-sdk/node"
SDK_RANGE = "2"  # the major version whose request() the job file uses
INSTALL_SECONDS = 120
TICK_MS = 1000 / os.sysconf("SC_CLK_TCK")


class Slow(Exception):
    """The contender did not end within the limit."""


class Failed(Exception):
    """The contender gave an error; the text says which."""


class Sample:
    """One measured answer."""

    def __init__(self, ms, rows, cpu_ms=None, peak_kb=None):
        self.ms = ms
        self.rows = rows
        self.cpu_ms = cpu_ms
        self.peak_kb = peak_kb


def cpu_ms(pid):
    """Processor time of a process so far."""
    with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as file:
        fields = file.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) * TICK_MS


def fine_cpu_ms(pid):
    """The same for a process of one thread, finer than the clock tick where the kernel counts so."""
    try:
        with open(f"/proc/{pid}/schedstat", encoding="ascii") as file:
            return int(file.read().split()[0]) / 1e6
    except OSError:
        return cpu_ms(pid)


def peak_kb(pid):
    with open(f"/proc/{pid}/status", encoding="ascii", errors="replace") as file:
        return int(re.search(r"^VmHWM:\s+(\d+) kB", file.read(), re.M)[1])


def token(server):
    """A bearer token, for contenders that do not fetch one by themselves."""
    form = urllib.parse.urlencode({"grant_type": "client_credentials", "client_id": standin.CLIENT_ID,
                                   "client_secret": standin.CLIENT_SECRET}).encode()
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(server.url + "/oauth/token", form, timeout=30) as answer:
        return json.load(answer)["access_token"]


def get_json(server, bearer, path, params):
    """One request through the proxy, for facts about the data."""
    request = urllib.request.Request(
        f"{server.url}/proxy{path}?{urllib.parse.urlencode(params)}",
        headers={"Authorization": "Bearer " + bearer, "connection_name": standin.CONNECTION,
                 "identifier": standin.IDENTIFIER})
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(request, timeout=60) as answer:
        return json.load(answer)


def calls(server):
    """What the service was asked since its log was emptied. Token requests and the call that warms a
    contender up are not part of a question."""
    def counts(entry):
        path = entry["path"] or ""
        return not path.startswith("/oauth") and entry["tool"] != "close_me_get" and not path.endswith("/me/")

    return [entry for entry in server.log() if counts(entry)]


class Session:
    """A shell of a host, warmed up, with the process that does its work."""

    def __init__(self, host, shell, pid):
        self.host = host
        self.shell = shell
        self.pid = pid

    def run(self, sql):
        try:
            outcome = self.shell.run(sql)
        except shells.ShellDied as died:
            raise Slow(str(died)) from died
        if outcome.errors:
            raise Failed(f"{self.host}: {outcome.errors[0][1]}")
        return outcome.rows

    def child(self):
        """The shell itself (for PostgreSQL psql, not the server process)."""
        return self.shell._session.process

    def close(self):
        self.shell.close()


class Host:
    """One of ours."""

    def __init__(self, build, name, settings):
        self.name = name
        self.build = os.path.abspath(build)
        self.settings = settings
        self._pg = hosts.PgHost(self.build) if name == "pg" else None
        self._count = 0

    @property
    def version(self):
        version = self._pg.version if self._pg else shells.sqlite_version()
        return ".".join(str(part) for part in version)

    def session(self, server, folder, on_disk=False):
        """A shell that is connected. SQLite's is the one without a file, unless the disk matters."""
        self._count += 1
        name = f"1-{self.name}{self._count}"
        if self._pg:
            shell = self._pg.session(server, None, {}, list(self.settings.items()), folder, name)
            pid = int(shell.run("SELECT pg_backend_pid();").rows[0][0])
        else:
            env = hosts.base_environment(folder)
            env.update(SCALEKIT_ENV_URL=server.url, SCALEKIT_CLIENT_ID=standin.CLIENT_ID,
                       SCALEKIT_CLIENT_SECRET=standin.CLIENT_SECRET,
                       CLOSE_CONNECTION=standin.CONNECTION, CLOSE_IDENTIFIER=standin.IDENTIFIER)
            shell = shells.SqliteShell(self.build, env, folder, name,
                                       database=os.path.join(folder, name + ".db") if on_disk else ":memory:")
            for key, value in self.settings.items():
                shell.set(key, value)
            shell.run("PRAGMA synchronous = OFF;")  # as in the cluster
            pid = shell._session.process.pid
        session = Session(self.name, shell, pid)
        session.run("SELECT length(CAST(close_me_get() AS text));")
        return session

    def vet(self, workload, server, facts, folder):
        """Fails when the plan would answer the question by less work than is to be measured."""
        session = self.session(server, folder)
        try:
            complaint = workload.plan_complaint(self.name, session.run(workload.plan(self.name, facts)), facts)
        finally:
            session.close()
        if complaint:
            raise Failed(complaint)

    def measure(self, workload, server, facts, folder, mark):
        session = self.session(server, folder)
        try:
            setup = workload.setup(self.name, facts)
            if setup:
                session.run(setup)
            timed, check = workload.timed(self.name, facts), workload.check(self.name)
            mark()
            cpu, start = fine_cpu_ms(session.pid), time.perf_counter()
            rows = session.run(timed)
            ms, cpu = (time.perf_counter() - start) * 1000, fine_cpu_ms(session.pid) - cpu
            peak = peak_kb(session.pid)
            complaint = workload.complaint(rows, facts)
            if complaint:
                raise Failed(complaint)
            if check:
                rows = session.run(check)
            return Sample(ms, int(rows[0][0]) if rows else None, cpu, peak)
        finally:
            session.close()

    def close(self):
        if self._pg:
            self._pg.close()


class _Program:
    """A child that answers one workload and ends."""

    def __init__(self, limit):
        self.limit = limit

    def run(self, command, env, text=None, cwd=None):
        child = subprocess.Popen(command, env=env, cwd=cwd, text=True, stdin=subprocess.PIPE,
                                 stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True)
        try:
            out, err = child.communicate(text, timeout=self.limit)
        except subprocess.TimeoutExpired:
            os.killpg(child.pid, signal.SIGKILL)
            child.communicate()
            raise Slow("no answer within the limit") from None
        if child.returncode:
            raise Failed(f"{os.path.basename(command[0])}: {err.strip()[-800:]}")
        return out

    def least_seconds(self, _workload, _facts, _latency):
        """A bound from below on the time that a run takes, where it is known."""
        return 0

    def close(self):
        """Nothing outlives a run."""


class Sdk(_Program):
    """The official SDK in node; the three variants share one installation."""

    def __init__(self, name, folder, limit):
        super().__init__(limit)
        self.name = name
        self.folder = folder

    def measure(self, workload, server, facts, folder, mark):
        job = workload.sdk(self.name, facts)
        env = hosts.base_environment(folder)
        env["BENCH_SETTINGS"] = json.dumps({
            "url": server.url, "clientId": standin.CLIENT_ID, "clientSecret": standin.CLIENT_SECRET,
            "connection": standin.CONNECTION, "identifier": standin.IDENTIFIER})
        mark()
        answer = json.loads(self.run(["node", "sdk.mjs"], env, json.dumps(job), self.folder))
        return Sample(answer["ms"], answer["rows"], answer["cpu_ms"], answer["peak_kb"])

    def takes(self, workload, facts):
        return workload.sdk(self.name, facts) is not None

    def least_seconds(self, workload, facts, latency):
        """What the latency alone makes of the calls of a loop that makes one call per key."""
        job = workload.sdk(self.name, facts)
        calls = len(job.get("ids", job.get("bodies", ())))
        return calls * latency / 1000 / job.get("atOnce", 1)


def install_sdk(folder):
    """Installs the SDK into `folder` with npm; returns (version, None) or (None, why not)."""
    for program in ("node", "npm"):
        if not shutil.which(program):
            return None, f"{program} is not installed"
    command = ["npm", "install", "--prefix", folder, "--no-audit", "--no-fund", "--ignore-scripts",
               "--loglevel=error", "--fetch-retries=1", "--fetch-timeout=20000", f"{SDK_PACKAGE}@{SDK_RANGE}"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=INSTALL_SECONDS,
                              check=False, cwd=folder)
    except subprocess.TimeoutExpired:
        return None, "npm did not finish"
    if done.returncode:
        return None, "npm could not install " + SDK_PACKAGE
    shutil.copy(os.path.join(HERE, "sdk.mjs"), folder)
    with open(os.path.join(folder, "node_modules", SDK_PACKAGE, "package.json"), encoding="utf-8") as file:
        return json.load(file)["version"], None


class Pipeline(_Program):
    """curl, jq and sqlite3 in a shell script."""

    name = "curl"

    def measure(self, workload, server, facts, folder, mark):
        env = hosts.base_environment(folder)
        env.update(PIPELINE_URL=server.url, PIPELINE_TOKEN=token(server), TMPDIR=folder)
        command = ["sh", os.path.join(HERE, "pipeline.sh"), *workload.pipeline(facts)]
        mark()
        start = time.perf_counter()
        rows = self.run(command, env)
        return Sample((time.perf_counter() - start) * 1000, int(rows))

    def takes(self, workload, facts):
        return workload.pipeline(facts) is not None


class Floor(_Program):
    """The C program that only downloads and parses."""

    def __init__(self, name, build, window, limit):
        super().__init__(limit)
        self.name = name
        self.window = window
        self.binary = os.path.join(os.path.abspath(build), "bench", "floor")
        if not os.path.exists(self.binary):
            raise SystemExit(f"{self.binary} is missing: run make bench")

    def measure(self, workload, server, facts, folder, mark):
        env = self.environment(server, folder)
        mark()
        text = "".join(key + "\n" for key in workload.floor_keys(facts))
        answer = json.loads(self.run([self.binary, *workload.floor(self.window, facts)], env, text))
        return Sample(answer["ms"], answer["rows"], answer["cpu_ms"], answer["peak_kb"])

    def environment(self, server, folder):
        env = hosts.base_environment(folder)
        env.update(FLOOR_URL=server.url, FLOOR_TOKEN=token(server))
        return env

    def takes(self, workload, facts):
        return workload.floor(self.window, facts) is not None


def make_folder():
    """A folder for one run that other users may enter (the database server is one)."""
    folder = tempfile.TemporaryDirectory(prefix="close-bench-")
    os.chmod(folder.name, 0o755)
    return folder
