"""Self test: faults, limits, mutations, the log."""
import gzip
import http.client
import json
import socket
import threading
import time

from selfbase import Server, eq, ids, test

# ---- faults ----

@test
def broken_connections():
    with Server() as s:
        s.auth()
        for kind in ("reset_before", "reset_after"):
            n = len(s.objects("notes"))
            s.fault(kind=kind, tool="close_note_create")
            lead = s.objects("leads")[0]["id"]
            try:
                s.call("close_note_create", {"lead_id": lead, "note": "once"})
                raise AssertionError("an answer came")
            except (ConnectionError, http.client.HTTPException):
                pass
            eq(len(s.objects("notes")), n + (kind == "reset_after"))
        for kind in ({"kind": "truncate"}, {"kind": "wrong_length"}):
            s.fault(**kind)
            try:
                s.ok("close_me_get")
                raise AssertionError("a whole answer came")
            except http.client.IncompleteRead:
                pass
        s.fault(kind="wrong_length", delta=-5)
        try:
            s.ok("close_me_get")
            raise AssertionError("a whole answer came")
        except json.JSONDecodeError:
            pass
        s.fault(kind="slow")
        eq(s.ok("close_me_get")["first_name"], "Ada")
        s.fault(kind="delay", ms=150)
        start = time.monotonic()
        s.ok("close_me_get")
        assert time.monotonic() - start >= 0.15
        s.fault(kind="huge", bytes=3000000)
        eq(len(s.ok("close_me_get")["data"][0]["name"]), 3000000)
        s.fault(kind="stall", ms=60000)
        conn = http.client.HTTPConnection("127.0.0.1", s.port, timeout=0.3)
        conn.request("POST", "/api/v1/execute_tool", json.dumps(
            {"tool_name": "close_me_get", "identifier": "user_demo"}), s.auth())
        try:
            conn.getresponse().read()
            raise AssertionError("no stall")
        except (socket.timeout, TimeoutError):
            pass
        conn.close()
        deadline = time.monotonic() + 20
        while s.control("GET", "stats")["open_connections"] > 1:
            assert time.monotonic() < deadline, "a closed connection is still held"
            time.sleep(0.02)


@test
def broken_answers():
    with Server() as s:
        s.auth()
        s.control("POST", "faults", [
            {"kind": "garbage"}, {"kind": "html", "status": 502}, {"kind": "bad_utf8"},
            {"kind": "dup_keys"}, {"kind": "redirect", "location": "http://example.test/"},
            {"kind": "canned", "status": 418, "headers": {"X-A": "b"}, "body": {"k": 1}}])

        def once():
            body = json.dumps({"tool_name": "close_users_list", "identifier": "user_demo"})
            return s.raw("POST", "/api/v1/execute_tool", body, s.auth())
        status, _, body = once()
        eq(status, 200)
        assert not body.startswith(b'{"data": {') and b"garbage" in body
        status, headers, body = once()
        eq((status, headers["content-type"]), (502, "text/html"))
        status, _, body = once()
        assert b"\xff\xfe" in body
        status, _, body = once()
        eq(body.count(b'"data":{'), 2)
        status, headers, body = once()
        eq((status, headers["location"]), (302, "http://example.test/"))
        status, headers, body = once()
        eq((status, headers["x-a"], json.loads(body)), (418, "b", {"k": 1}))
        eq(once()[0], 200)
        s.fault(kind="bad_type", field="email", value={"a": 1})
        eq(s.ok("close_users_list")["data"][0]["email"], {"a": 1})
        s.fault(kind="drop_field", field="email", row=1)
        rows = s.ok("close_users_list")["data"]
        eq(["email" in r for r in rows], [True, False, True, True, True])
        s.fault(kind="no_has_more")
        assert "has_more" not in s.ok("close_leads_list")
        s.fault(kind="no_total")
        assert "total_results" not in s.ok("close_leads_list")
        page = s.ok("close_leads_list", _limit=10)
        s.fault(kind="repeat_page")
        eq(s.ok("close_leads_list", _limit=10, _skip=10), page)
        s.fault(kind="short_page", n=3)
        short = s.ok("close_leads_list", _limit=10)
        eq((len(short["data"]), short["has_more"]), (3, True))
        s.fault(kind="ignore_param", param="query")
        eq(len(s.ok("close_leads_list", query="acme")["data"]), 100)
        lead = s.objects("leads")[0]["id"]
        s.fault(kind="extra_rows")
        eq(len(s.ok("close_contacts_list", lead_id=lead)["data"]), 100)


@test
def status_shapes():
    with Server() as s:
        s.auth()

        def once(**fault):
            s.fault(kind="status", message="boo", **fault)
            body = json.dumps({"tool_name": "close_me_get", "identifier": "user_demo"})
            status, headers, data = s.raw("POST", "/api/v1/execute_tool", body, s.auth())
            return status, headers, data
        status, _, data = once(status=503)
        eq((status, json.loads(data)["code"], json.loads(data)["details"]), (503, 14, []))
        status, headers, data = once(status=429, error_code="RATE_LIMITED", retry_after=2)
        eq((headers["retry-after"], json.loads(data)["details"][0]["error_code"]),
           ("2", "RATE_LIMITED"))
        status, _, data = once(status=409, shape="tool_error_wrapped")
        eq((status, json.loads(data)["details"][0]["error_code"]), (400, "TOOL_ERROR"))
        status, _, data = once(status=409, shape="tool_error_kept")
        eq((status, json.loads(data)["code"]), (409, 10))
        for shape, keys in (("close-error", {"error"}), ("close-short", {"field-errors"}),
                            ("close-validation", {"errors", "field-errors"})):
            status, _, data = once(status=400, shape=shape)
            info = json.loads(data)["details"][0]["tool_error_info"]
            eq(set(json.loads(info["tool_error_message"])), keys)
        status, _, data = once(status=502, shape="plain")
        eq((status, data), (502, b"boo"))
        status, _, data = once(status=500, shape="empty")
        eq((status, data), (500, b""))
        status, headers, data = once(status=429, shape="rate_headers_only", retry_after=1,
                                     ratelimit="limit=100, remaining=0, reset=1")
        eq((headers["retry-after"], headers["ratelimit"], data),
           ("1", "limit=100, remaining=0, reset=1", b""))
        status, _, data = once(status=401, shape="proxy", error_code="UNAUTHORIZED")
        eq(json.loads(data), {"detail": "boo", "code": "UNAUTHORIZED"})
        lead = s.objects("leads")[0]["id"]
        n = len(s.objects("notes"))
        s.fault(kind="status", status=504, effect=True, tool="close_note_create")
        eq(s.call("close_note_create", {"lead_id": lead, "note": "x"})[0], 504)
        eq(len(s.objects("notes")), n + 1)
        s.fault(kind="account_expired")
        eq(s.call("close_me_get", {})[0], 401)
        eq(s.call("close_me_get", {})[0], 400)


@test
def faults_hit_what_they_name():
    with Server() as s:
        s.auth()
        s.fault(kind="status", status=503, tool="close_leads_list", params={"_skip": 10},
                skip=1, times=2)

        def codes(n, tool="close_leads_list", **params):
            return [s.call(tool, params)[0] for _ in range(n)]
        eq(codes(2, "close_me_get"), [200, 200])
        eq(codes(2, _skip=0), [200, 200])
        eq(codes(4, _skip=10), [200, 503, 503, 200])
        s.fault(kind="status", status=500, path="/oauth/")
        eq(s.login()[0], 500)
        eq(s.login()[0], 200)
        s.fault(kind="status", status=500, tool="close_lead*", times=0)
        eq(codes(3), [500] * 3)
        eq(s.control("DELETE", "faults")["ok"], "cleared")
        eq(codes(1), [200])
        for bad in ({"kind": "nothing"}, {"kind": "delay", "tool": "close_x"}, {"kind": "delay",
                                                                             "milis": 3}, []):
            status, _ = s.json("POST", "/_standin/faults", bad)
            eq(status, 200 if bad == [] else 400)
        eq(s.json("POST", "/_standin/config", {"latency": 3})[0], 400)
        eq(s.json("POST", "/_standin/mutate", {"op": "insert", "table": "x"})[0], 400)


@test
def held_requests():
    with Server() as s:
        def finished():
            stats = s.control("GET", "stats")
            return stats["requests"], stats["finished"]

        def wait(state):
            deadline = time.monotonic() + 20
            while finished() != state:
                assert time.monotonic() < deadline, f"have {finished()!r}, want {state!r}"
                time.sleep(0.005)

        s.auth()
        wait((1, 1))  # it counts after its answer, and must not count after the reset
        s.control("POST", "reset", {})
        s.fault(kind="status", status=422, tool="close_me_get", hold="one")
        s.fault(kind="delay", ms=0, tool="close_me_get", hold="rest", times=0)

        codes = []
        held = [threading.Thread(target=lambda: codes.append(s.call("close_me_get")[0])) for _ in range(3)]
        for thread in held:
            thread.start()
        wait((3, 0))
        eq(s.call("close_users_list", {})[0], 200)
        wait((4, 1))
        s.control("POST", "release", {"hold": "one"})
        wait((4, 2))
        s.control("POST", "release", {"hold": "rest"})
        for thread in held:
            thread.join()
        eq(codes, [422, 200, 200])
        wait((4, 4))
        eq(s.call("close_me_get")[0], 200)  # what has been released stays so
        eq(s.json("POST", "/_standin/release", {})[0], 400)


@test
def rate_limit():
    with Server("--rate", "5") as s:
        s.auth()
        codes = [s.call("close_users_list", {})[0] for _ in range(30)]
        assert 429 in codes and 200 in codes, codes
        eq(codes[:5], [200] * 5)
        headers = {**s.auth(), "connection_name": "close", "identifier": "user_demo"}

        def answers(n):
            return [s.raw("GET", "/proxy/api/v1/pipeline/", None, headers) for _ in range(n)]

        def sees(status, said):
            return lambda a: a[0] == status and said in a[1].get("ratelimit", "")
        s.control("POST", "config", {"rate": 2, "rate_headers": True})
        got = answers(30)
        assert any(map(sees(200, "limit=2, remaining=1, reset="), got))
        assert any(map(sees(200, "limit=2, remaining=0, reset="), got))
        refused = [a for a in got if sees(429, "remaining=0, reset=")(a)]
        eq(refused[0][1]["retry-after"], "1")
        eq(json.loads(refused[0][2])["error"]["rate_limit"], 2)
        body = json.dumps({"tool_name": "close_me_get", "identifier": "user_demo"})
        got = [s.raw("POST", "/api/v1/execute_tool", body, s.auth()) for _ in range(30)]
        assert any(map(sees(200, "remaining=1"), got))
        eq([a for a in got if a[0] == 429][0][1]["retry-after"], "1")
        s.control("POST", "config", {"rate_headers": False})
        body = body.replace("close_me_get", "close_lead_statuses_list")
        got = [s.raw("POST", "/api/v1/execute_tool", body, s.auth()) for _ in range(30)]
        refused = [a for a in got if a[0] == 429][0]
        assert "retry-after" not in refused[1] and "ratelimit" not in refused[1]
        assert "rate_reset" in refused[2].decode()


@test
def mutations_and_log():
    with Server() as s:
        s.auth()
        before = ids(s.objects("leads"))
        s.control("POST", "mutate", [
            {"op": "insert", "table": "leads", "position": 0, "after_requests": 1,
             "object": {"name": "Early"}},
            {"op": "delete", "table": "leads", "id": before[60], "after_requests": 2}])
        first = s.ok("close_leads_list", _limit=50)["data"]
        second = s.ok("close_leads_list", _limit=50, _skip=50)["data"]
        third = s.ok("close_leads_list", _limit=50, _skip=100)
        eq(ids(first), before[:50])
        eq(ids(second), before[49:99])
        eq((third["data"], third["total_results"]), ([], 100))
        eq(s.objects("leads")[0]["name"], "Early")
        log = s.control("GET", "log?since=1")
        eq([(e["tool"], e["status"], e["params"].get("_skip")) for e in log],
           [("close_leads_list", 200, None), ("close_leads_list", 200, 50),
            ("close_leads_list", 200, 100)])
        assert all(e["bytes"] > 0 and e["inflight"] == 1 for e in log)
        eq(s.control("GET", "stats")["max_inflight"], 1)
        s.control("DELETE", "log")
        eq(s.control("GET", "log"), [])
        s.control("POST", "reset")
        eq(ids(s.objects("leads")), before)
        s.ok("close_me_get")  # the token lives on
        eq([e["tool"] for e in s.control("GET", "log")], ["close_me_get"])


@test
def compression_and_reuse():
    with Server() as s:
        conn = http.client.HTTPConnection("127.0.0.1", s.port, timeout=30)
        body = json.dumps({"tool_name": "close_leads_list", "identifier": "user_demo"})
        head = {**s.auth(), "Accept-Encoding": "deflate, gzip"}
        for _ in range(3):
            conn.request("POST", "/api/v1/execute_tool", body, head)
            answer = conn.getresponse()
            eq(answer.getheader("Content-Encoding"), "gzip")
            eq(len(json.loads(gzip.decompress(answer.read()))["data"]["data"]), 100)
        conn.close()
        conns = {e["conn"] for e in s.control("GET", "log?since=1")}
        eq(len(conns), 1)
