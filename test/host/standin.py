"""The stand-in service as a child process, and its control interface.

One `Standin` is one server on a port that the kernel chose, bound to loopback, which dies with this
process: it watches its standard input (--exit-with-stdin), so even a killed runner leaves nothing
behind. Everything that a test needs to arrange or to look at goes through /_standin/ (see
test/server/README.md); the connection for that is kept open, because a suite makes thousands of
such requests.
"""

import http.client
import json
import os
import shlex
import subprocess
import time
import urllib.parse

CLIENT_ID = "skc_demo"
CLIENT_SECRET = "demo-secret"
CONNECTION = "close"
IDENTIFIER = "user_demo"
CLOSE_WAIT = b"08"  # in /proc/net/tcp: the peer has closed, the owner has not


class StandinError(Exception):
    """The server did not start, or refused a control request."""


class Standin:
    """A running server. Use it as a context manager or call stop()."""

    def __init__(self, build, flags=""):
        binary = os.path.join(build, "close-standin")
        if not os.path.exists(binary):
            raise StandinError(f"{binary} is missing: run make standin")
        command = [binary, "--exit-with-stdin", *shlex.split(flags)]
        self.flags = flags
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                         text=True)
        line = self._process.stdout.readline().strip()
        prefix = "listening on "
        if not line.startswith(prefix):
            self.stop()
            raise StandinError(f"unexpected first line of the stand-in: {line!r}")
        self.url = line[len(prefix):]
        self._address = urllib.parse.urlsplit(self.url)
        self._connection = None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()

    @property
    def pid(self):
        return self._process.pid

    def stop(self):
        """Ends the server and waits for it."""
        process = self._process
        if process.stdin and not process.stdin.closed:
            process.stdin.close()
        try:
            process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        process.stdout.close()

    def alive(self):
        return self._process.poll() is None

    # --- control interface ------------------------------------------------------------------

    def control(self, method, path, body=None):
        """One control request; the answer parsed as JSON, None when it is empty."""
        payload = None if body is None else json.dumps(body)
        for attempt in (0, 1):
            if self._connection is None:
                self._connection = http.client.HTTPConnection(
                    self._address.hostname, self._address.port, timeout=60)
            try:
                self._connection.request(method, "/_standin/" + path, payload,
                                         {"Content-Type": "application/json"})
                response = self._connection.getresponse()
                data = response.read()
                break
            except (http.client.HTTPException, OSError):
                # A kept-alive connection may have been closed in between; a control request is
                # repeated once, since none of ours is harmful twice on a fresh connection.
                self._connection.close()
                self._connection = None
                if attempt:
                    raise
        if response.status // 100 != 2:
            raise StandinError(f"{method} /_standin/{path}: {response.status} {data[:400]!r}")
        return json.loads(data) if data else None

    def reset(self):
        """Data, faults, configuration, log and outbox as they were at the start."""
        self.settle()
        self.control("POST", "reset", {})

    def settle(self):
        """Waits until the server has seen the end of every connection that a client has closed: a request
        on one of them, dropped half-way, would be counted with what comes next. In vain for a request that
        the server was asked to hold."""
        ours = b":%04X" % self._address.port
        for _ in range(200):
            with open("/proc/net/tcp", "rb") as table:
                if not any(line.split(None, 4)[1].endswith(ours) and line.split(None, 4)[3] == CLOSE_WAIT
                           for line in table):
                    return
            time.sleep(0.005)

    def config(self, settings):
        self.control("POST", "config", settings)

    def fault(self, fault):
        self.control("POST", "faults", fault)

    def mutate(self, mutation):
        self.control("POST", "mutate", mutation)

    def log(self, since=0):
        self.settle()
        return self.control("GET", f"log?since={since}")

    def outbox(self):
        return self.control("GET", "outbox")

    def stats(self):
        return self.control("GET", "stats")

    def objects(self, resource, identifier=None):
        """All objects of a resource as JSON objects, in the order in which they were created."""
        path = "objects?table=" + urllib.parse.quote(resource)
        if identifier:
            path += "&identifier=" + urllib.parse.quote(identifier)
        answer = self.control("GET", path)
        return answer["data"] if isinstance(answer, dict) else answer
