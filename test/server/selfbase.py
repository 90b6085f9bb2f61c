"""What the parts of the self test share: a server as a child process, and the register of checks."""
import http.client
import json
import re
import subprocess
import urllib.parse

TESTS = []


def test(fn):
    TESTS.append(fn)
    return fn


class Server:
    binary = None

    def __init__(self, *args):
        self.proc = subprocess.Popen([Server.binary, "--exit-with-stdin", *args], text=True,
                                     stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        line = self.proc.stdout.readline()
        found = re.fullmatch(r"listening on http://127\.0\.0\.1:(\d+)\n", line)
        assert found, line
        self.port = int(found.group(1))
        self.token = None

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.proc.stdin.close()
        code = self.proc.wait(20)
        self.proc.stdout.close()
        assert exc[0] or code == 0, f"exit status {code}"

    def raw(self, method, path, body=None, headers=None):
        conn = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            conn.request(method, path, body, headers or {})
            answer = conn.getresponse()
            return answer.status, dict((k.lower(), v) for k, v in answer.getheaders()), answer.read()
        finally:
            conn.close()

    def json(self, method, path, body=None, headers=None):
        headers = dict(headers or {})
        if body is not None:
            headers.setdefault("Content-Type", "application/json")
            body = json.dumps(body)
        status, _, data = self.raw(method, path, body, headers)
        return status, json.loads(data) if data else None

    def login(self, secret="demo-secret", **more):
        form = {"grant_type": "client_credentials", "client_id": "skc_demo",
                "client_secret": secret, **more}
        status, _, data = self.raw("POST", "/oauth/token", urllib.parse.urlencode(form),
                                   {"Content-Type": "application/x-www-form-urlencoded"})
        data = json.loads(data)
        if status == 200:
            self.token = data["access_token"]
        return status, data

    def auth(self):
        if not self.token:
            self.login()
        return {"Authorization": "Bearer " + self.token}

    def call(self, tool, params=None, identifier="user_demo", connector="close"):
        body = {"tool_name": tool, "connector": connector, "identifier": identifier}
        if params is not None:
            body["params"] = params
        return self.json("POST", "/api/v1/execute_tool", body, self.auth())

    def ok(self, tool, identifier="user_demo", **params):
        status, data = self.call(tool, params, identifier)
        assert status == 200, (tool, params, status, data)
        return data.get("data", {})

    def refused(self, tool, **params):
        """The text of a TOOL_ERROR, parsed."""
        status, data = self.call(tool, params)
        assert status == 400, (tool, status, data)
        info = data["details"][0]
        assert info["error_code"] == "TOOL_ERROR", data
        return json.loads(info["tool_error_info"]["tool_error_message"])

    def close(self, method, path, body=None, identifier="user_demo", **headers):
        head = {**self.auth(), "connection_name": "close", "identifier": identifier}
        head.update({k.replace("_", "-"): v for k, v in headers.items()})
        return self.json(method, "/proxy/api/v1" + path, body, head)

    def control(self, method, what, body=None):
        status, data = self.json(method, "/_standin/" + what, body)
        assert status == 200, (what, status, data)
        return data

    def fault(self, **fault):
        self.control("POST", "faults", fault)

    def objects(self, table, identifier="user_demo"):
        return self.control("GET", f"objects?table={table}&identifier={identifier}")["data"]

    def walk(self, tool, limit, **params):
        rows, skip = [], 0
        while True:
            page = self.ok(tool, _limit=limit, _skip=skip, **params)
            rows += page["data"]
            skip += len(page["data"])
            if not page["has_more"]:
                return rows
            assert page["data"], "has_more without rows"


def eq(have, want):
    assert have == want, f"have {have!r}, want {want!r}"


def ids(rows):
    return [row["id"] for row in rows]
