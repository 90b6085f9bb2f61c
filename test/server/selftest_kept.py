"""Self test: answers that are kept for the next who asks are the ones that would be computed."""
import gzip
import http.client
import json
import re
import threading
import time

from selfbase import Server, eq, ids, test

TOOL = "/api/v1/execute_tool"
EXECUTION = re.compile(rb'"execution_id":"\d+"}$')


def ask(s, path, encoding, body=None):
    """(status, headers that matter, body without the execution id) of one raw request."""
    head = {**s.auth(), "connection_name": "close", "identifier": "user_demo"}
    if encoding:
        head["Accept-Encoding"] = encoding
    status, headers, data = s.raw("POST" if body else "GET", path, body, head)
    eq(headers.get("content-encoding"), "gzip" if encoding and len(data) > 200 else None)
    if headers.get("content-encoding"):
        data = gzip.decompress(data)  # checks length and checksum too
    kept = {k: v for k, v in headers.items() if k not in ("date", "content-length")}
    return status, kept, EXECUTION.sub(b"", data) if body else data


def question(tool, **params):
    return json.dumps({"tool_name": tool, "connector": "close", "identifier": "user_demo",
                       "params": params})


def used(s):
    return s.control("GET", "stats")["kept_answers"]


@test
def kept_answers_are_the_same():
    with Server() as s:
        lead = ids(s.objects("leads"))[3]
        asked = [(TOOL, question("close_leads_list", _limit=50)),
                 (TOOL, question("close_leads_list", _limit=50, _fields="id,name")),
                 (TOOL, question("close_leads_list", query="status:Potential", _limit=30)),
                 (TOOL, question("close_lead_get", lead_id=lead)),
                 (TOOL, question("close_tasks_list", _limit=80)),
                 (TOOL, question("close_opportunities_list", _limit=40)),
                 (TOOL, question("close_pipelines_list")), (TOOL, question("close_me_get")),
                 ("/proxy/api/v1/lead/?_limit=50", None), (f"/proxy/api/v1/lead/{lead}/", None)]
        for encoding in ("gzip", None):
            for path, body in asked:
                before = used(s)
                fresh = ask(s, path, encoding, body)
                eq(used(s), before)
                eq(ask(s, path, encoding, body), fresh)
                eq(used(s), before + 1)
                # A request that a fault hits is computed: a delay of nothing changes nothing else.
                s.fault(kind="delay", ms=0)
                eq(ask(s, path, encoding, body), fresh)
                eq(used(s), before + 1)
        numbers = [s.call("close_me_get", {})[1]["execution_id"] for _ in range(3)]
        eq(len(set(numbers)), 3)


@test
def failures_are_not_kept():
    with Server("--rate", "1000") as s:
        for _ in range(2):
            eq(s.call("close_lead_get", {"lead_id": "lead_x"})[0], 400)
            eq(s.call("close_leads_list", {"_limit": 5000})[0], 400)
            eq(s.close("GET", "/lead/lead_x/")[0], 404)
        s.ok("close_leads_list")
        eq(used(s), 0)
        # What is kept is still refused to those who may not ask, and counted against the rate.
        s.token = "nonsense"
        eq(s.call("close_leads_list", {})[0], 401)
        s.token = None
        s.control("POST", "config", {"rate": 1})
        statuses = {s.call("close_leads_list", {})[0] for _ in range(5)}
        assert 429 in statuses, statuses


@test
def every_change_shows_at_once():
    with Server() as s:
        lead = s.ok("close_leads_list", _limit=1)["data"][0]["id"]

        def seen():
            page = s.ok("close_leads_list", _limit=10)["data"]
            return (page[0]["name"], s.ok("close_lead_get", lead_id=lead)["name"],
                    s.close("GET", f"/lead/{lead}/")[1]["name"], len(page))

        start = seen()
        eq(seen(), start)
        s.ok("close_lead_update", lead_id=lead, name="By tool")
        eq(seen(), ("By tool",) * 3 + (10,))
        s.close("PUT", f"/lead/{lead}/", {"name": "By proxy"})
        eq(seen(), ("By proxy",) * 3 + (10,))
        s.control("POST", "mutate", {"op": "update", "table": "leads", "id": lead,
                                     "object": {"name": "By mutation"}})
        eq(seen(), ("By mutation",) * 3 + (10,))
        s.control("POST", "mutate", {"op": "update", "table": "leads", "id": lead,
                                     "object": {"name": "Later"}, "after_requests": 3})
        eq(seen(), ("By mutation",) * 3 + (10,))
        eq(seen(), ("Later",) * 3 + (10,))
        s.control("POST", "config", {"page_caps": {"leads": 5}})
        eq(s.call("close_leads_list", {"_limit": 10})[0], 400)
        s.control("POST", "reset", {})
        before = used(s)
        eq(seen(), start)
        eq(used(s), before + 3)  # the data of the start, and its answers
        s.close("DELETE", f"/lead/{lead}/")
        eq(s.call("close_lead_get", {"lead_id": lead})[0], 400)


@test
def accounts_do_not_share_answers():
    with Server("--second-identifier", "user_two") as s:
        pages = [s.ok("close_leads_list", identifier=who, _limit=20)["data"]
                 for who in ("user_demo", "user_two", "user_demo", "user_two")]
        eq(pages[:2], pages[2:])
        assert not set(ids(pages[0])) & set(ids(pages[1])), "the accounts share rows"


@test
def the_clock_ends_what_is_kept():
    with Server() as s:
        lead = ids(s.objects("leads"))[0]
        due = time.strftime("%Y-%m-%dT%H:%M:%S+00:00", time.gmtime(time.time() + 3))
        task = s.ok("close_task_create", lead_id=lead, text="Soon", date=due)["id"]
        s.ok("close_task_get", task_id=task)
        deadline = time.monotonic() + 30
        while s.ok("close_task_get", task_id=task)["view"] != "inbox":
            assert time.monotonic() < deadline, "a task that is due is shown as of before"
            time.sleep(0.05)


@test
def nobody_reads_what_was_before_his_write():
    with Server() as s:
        s.auth()
        lead = ids(s.objects("leads"))[0]
        wrong = []

        def reader():
            # Names only ever grow: a smaller one than a write had left behind is an old answer.
            for _ in range(60):
                least = written[0]
                name = s.ok("close_lead_get", lead_id=lead)["name"]
                if int(name) < least:
                    wrong.append((name, least))

        written = [0]
        s.ok("close_lead_update", lead_id=lead, name="0")
        readers = [threading.Thread(target=reader) for _ in range(4)]
        for thread in readers:
            thread.start()
        for n in range(1, 60):
            s.ok("close_lead_update", lead_id=lead, name=str(n))
            written[0] = n
        for thread in readers:
            thread.join()
        eq(wrong, [])


@test
def latency_runs_from_arrival():
    """A read is carried out while its latency runs; a write when it has run out."""
    with Server() as s:
        s.ok("close_leads_list", _limit=20)
        before, notes = used(s), len(s.objects("notes"))
        lead = ids(s.objects("leads"))[0]
        s.control("POST", "config", {"latency_ms": 60000})
        open_ones = []
        for body in (question("close_leads_list", _limit=20),
                     question("close_note_create", lead_id=lead, note="never")):
            conn = http.client.HTTPConnection("127.0.0.1", s.port, timeout=30)
            conn.request("POST", TOOL, body, s.auth())
            open_ones.append(conn)
        deadline = time.monotonic() + 30
        while (stats := s.control("GET", "stats"))["kept_answers"] == before or stats["inflight"] < 2:
            assert time.monotonic() < deadline, "the work waits for the latency to run out"
            time.sleep(0.01)
        eq(stats["inflight"], 2)  # worked out, and not answered
        for conn in open_ones:
            conn.close()
        while any(entry["status"] != 499 for entry in s.control("GET", "log")[-2:]):
            assert time.monotonic() < deadline, "a client that left is not noticed"
            time.sleep(0.01)
        eq(len(s.objects("notes")), notes)
