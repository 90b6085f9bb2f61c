#!/usr/bin/env python3
"""Checks the stand-in service against the checklist of the Close and Scalekit references.

usage: selftest.py PATH/TO/close-standin

Every check talks to a server of its own over HTTP; nothing depends on timing except that a delay
that was asked for is not shorter than asked. Exit status 0 when all checks pass.
"""
import gzip
import http.client
import json
import re
import socket
import subprocess
import sys
import time
import traceback
import urllib.parse

BINARY = None
TESTS = []


def test(fn):
    TESTS.append(fn)
    return fn


class Server:
    def __init__(self, *args):
        self.proc = subprocess.Popen([BINARY, "--exit-with-stdin", *args], text=True,
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


# ---- Scalekit ----

@test
def tokens():
    with Server("--expires-in", "77") as s:
        status, data = s.login("wrong")
        eq((status, data["error"]), (401, "invalid_client"))
        status, data = s.login()
        eq((status, data["token_type"], data["expires_in"]), (200, "Bearer", 77))
        status, data = s.login(grant_type="password")
        eq((status, data["error"]), (400, "unsupported_grant_type"))
        for headers in ({}, {"Authorization": "Bearer nonsense"}):
            status, data = s.json("POST", "/api/v1/execute_tool", {"tool_name": "close_me_get"},
                                  headers)
            eq((status, data["code"]), (401, 16))
            eq(data["details"][0]["error_code"], "UNAUTHENTICATED")
        s.call("close_me_get")
        s.fault(kind="expire_token")
        status, data = s.call("close_me_get", {})
        eq((status, data["details"][0]["error_code"]), (401, "UNAUTHENTICATED"))
        status, data = s.call("close_me_get", {})
        eq(status, 401)  # the token itself is gone
        s.token = None
        s.ok("close_me_get")


@test
def selecting_an_account():
    with Server("--second-identifier", "user_two") as s:
        status, data = s.call("close_me_get", {}, connector="closed")
        eq((status, data["message"]), (404, "connection not found for key: closed"))
        status, data = s.call("close_me_get", {}, identifier="nobody")
        eq((status, data["details"][0]["error_code"]), (404, "RESOURCE_NOT_FOUND"))
        status, data = s.json("POST", "/api/v1/execute_tool",
                              {"tool_name": "close_me_get", "identifier": "user_two"}, s.auth())
        eq(status, 200)
        assert data["data"]["id"] != s.ok("close_me_get")["id"]
        a, b = s.objects("leads"), s.objects("leads", "user_two")
        assert a and b and not set(ids(a)) & set(ids(b)), "the accounts share rows"
        s.control("POST", "config", {"accounts": {"user_demo": "EXPIRED"}})
        status, data = s.call("close_me_get", {})
        eq((status, data["code"]), (400, 3))
        status, data = s.json("GET", "/api/v1/connected_accounts/details?connector=close"
                              "&identifier=user_demo", headers=s.auth())
        eq(data["connected_account"]["status"], "EXPIRED")
        assert "authorization_details" not in data["connected_account"]
        status, data = s.json("POST", "/api/v1/connected_accounts/magic_link",
                              {"connector": "close", "identifier": "user_demo"}, s.auth())
        assert status == 200 and data["link"].startswith("https://")
        status, data = s.json("GET", "/api/v1/connected_accounts/details?id=ca_9",
                              headers=s.auth())
        eq(status, 500)


@test
def tools_are_checked():
    with Server() as s:
        status, data = s.call("close_leads_lst", {})
        eq((status, data["details"][0]["error_code"]), (400, "RESOURCE_NOT_FOUND"))
        assert "failed to get tool" in data["message"]
        for params, field in (({"foo": 1}, "foo"), ({"_limit": "5"}, "_limit"),
                              ({"query": None}, "query"), ({"_limit": 1.5}, "_limit")):
            status, data = s.call("close_leads_list", params)
            eq(status, 400)
            eq(data["details"][0]["validation_error_info"]["field_violations"][0]["field"], field)
        status, data = s.call("close_lead_get", {})
        eq((status, data["code"]), (400, 3))
        lead = next(r["id"] for r in s.objects("leads") if r["description"])
        eq(s.ok("close_lead_update", lead_id=lead, description=None)["description"], None)
        eq(s.call("close_lead_update", {"lead_id": None})[0], 400)
        status, data = s.json("POST", "/api/v1/execute_tool",
                              {"tool_name": "close_me_get", "tool_input": {}}, s.auth())
        eq(status, 400)
        names = subprocess.run([BINARY, "--tools"], text=True, capture_output=True, check=True)
        tools = {line.split()[0] for line in names.stdout.splitlines()}
        eq(len(tools), 103)
        listed, token = [], ""
        while True:
            status, data = s.json("GET", "/api/v1/tools?page_size=100&page_token=" + token,
                                  headers=s.auth())
            listed += [t["definition"]["name"] for t in data["tools"]]
            token = data["next_page_token"]
            if not token:
                break
        eq(set(listed), tools)


@test
def error_modes():
    with Server() as s:
        eq(s.refused("close_lead_get", lead_id="lead_x"),
           {"error": "Empty query: Lead matching query does not exist."})
        s.control("POST", "config", {"error_mode": "keep"})
        status, data = s.call("close_lead_get", {"lead_id": "lead_x"})
        eq((status, data["code"], data["details"][0]["error_code"]), (404, 5, "TOOL_ERROR"))
        status, data = s.close("GET", "/lead/lead_x/")
        eq(status, 404)


@test
def proxy_face():
    with Server() as s:
        path, head = "/proxy/api/v1/me/", {"connection_name": "close", "identifier": "user_demo"}
        status, data = s.json("GET", path, headers=head)
        eq((status, data["code"], set(data)), (401, "UNAUTHORIZED", {"detail", "code"}))
        status, data = s.json("GET", path, headers={**head, **s.auth(), "connection_name": "x"})
        eq((status, data["code"]), (404, "NOT_FOUND"))
        status, data = s.close("GET", "/me/")
        eq((status, data), (200, s.ok("close_me_get")))
        status, headers, body = s.raw("GET", "/proxy/api/v1/lead?_limit=1", None,
                                      {**head, **s.auth()})
        eq((status, headers["location"], body), (301, "/api/v1/lead/", b""))
        eq(s.close("POST", "/lead", {"name": "x"})[0], 404)
        eq(len(s.objects("leads")), 100)
        eq(s.close("GET", "/nothing/")[0], 404)
        eq(s.close("DELETE", "/lead/")[0], 405)
        eq(s.close("POST", "/lead/" + s.objects("leads")[0]["id"] + "/", {})[0], 404)
        status, _, body = s.raw("POST", "/proxy/api/v1/lead/", "{bad",
                                {**head, **s.auth(), "Content-Type": "application/json"})
        eq((status, json.loads(body)["error"]), (400, "The request contains invalid JSON."))
        status, _, body = s.raw("POST", "/proxy/api/v1/lead/", "{}",
                                {**head, **s.auth(), "Content-Type": "text/plain"})
        eq(status, 415)
        eq(s.close("POST", "/lead/", [1])[1]["error"], "JSON data must be a dict.")
        some = ids(s.ok("close_notes_list", _limit=3)["data"])
        status, data = s.close("POST", "/activity/note/", {"_params": {"id__in": some}},
                               x_http_method_override="GET")
        eq((status, set(ids(data["data"]))), (200, set(some)))
        s.control("POST", "config", {"proxy": False})
        eq(s.close("GET", "/me/")[1]["code"], "TOOL_PROXY_DISABLED")


# ---- lists ----

LISTS = {"leads": 200, "contacts": 100, "opportunities": 250, "tasks": 1000, "activities": 100,
         "notes": 100, "calls": 100, "emails": 100, "sms": 100, "custom_activities": 100,
         "comment_threads": 100, "sequences": 1000, "users": 1000, "custom_fields_lead": 1000,
         "custom_fields_contact": 1000, "custom_fields_opportunity": 1000, "smart_views": 600}


@test
def paging():
    with Server("--leads", "237") as s:
        for table, cap in LISTS.items():
            tool = f"close_{table}_list"
            extra = {"_type": "all"} if table == "tasks" else {}
            want = s.objects(table)
            if table == "smart_views":
                want = [v for v in want if v["type"] == "lead"]
            for limit in {7, cap}:
                rows = s.walk(tool, limit, **extra)
                eq(len(rows), len(set(ids(rows))))
                eq(set(ids(rows)), set(ids(want)))
            first = s.ok(tool, **extra)
            eq(len(first["data"]), min(100, len(want)))
            eq(first["has_more"], len(want) > 100)
            eq("total_results" in first, table in ("leads", "opportunities"))
            eq(s.refused(tool, _limit=cap + 1)["field-errors"]["_limit"],
               f"Input should be less than or equal to {cap}")
            empty = s.ok(tool, _limit=0)
            eq((empty["data"], empty["has_more"]), ([], len(want) > 0))
        eq(s.close("GET", "/lead/?_limit=abc")[1]["error"],
           '_limit must be an integer (got "abc" instead).')
        eq(s.close("GET", "/lead/?_skip=-1")[1]["error"],
           '_skip must be a non-negative integer (got "-1" instead).')


@test
def skip_caps():
    with Server("--skip-cap", "50") as s:
        eq(len(s.ok("close_leads_list", _skip=50)["data"]), 50)
        assert "50" in s.refused("close_leads_list", _skip=51)["field-errors"]["_skip"]
        assert "max_skip = 250000" in s.refused("close_contacts_list", _skip=250001)["error"]
        s.control("POST", "config", {"other_skip_cap": 10, "page_caps": {"contacts": 5}})
        assert "max_skip = 10" in s.refused("close_contacts_list", _skip=11)["error"]
        eq(len(s.ok("close_contacts_list")["data"]), 5)


@test
def whole_lists():
    with Server() as s:
        for table, more in (("pipelines", False), ("webhooks", False),
                            ("custom_object_types", False), ("lead_statuses", True),
                            ("opportunity_statuses", True)):
            data = s.ok(f"close_{table}_list")
            eq("has_more" in data, more)
            eq(ids(data["data"]), ids(s.objects(table)))
        eq(len(s.ok("close_pipelines_list", _limit=1)["data"]), 2)


@test
def projection():
    with Server() as s:
        row = s.ok("close_leads_list", _fields="name,no_such_field", _limit=1)["data"][0]
        eq(set(row), {"name"})
        row = s.ok("close_leads_list", _fields="id, custom", _limit=1)["data"][0]
        assert any(key.startswith("custom.cf_") for key in row), row
        assert all(key == "id" or key.startswith("custom.cf_") for key in row), row
        assert "threads" not in s.ok("close_comment_threads_list")
        full, one = s.objects("leads")[1], s.ok("close_lead_get", lead_id=s.objects("leads")[1]["id"])
        eq(one, full)
        for field in full:
            part = s.ok("close_lead_get", lead_id=full["id"], _fields=field)
            eq(part, {field: full[field]})


@test
def filters_are_exact_or_silent():
    with Server() as s:
        tasks = s.objects("tasks")
        eq(set(ids(s.walk("close_tasks_list", 50))),
           {t["id"] for t in tasks if t["_type"] == "lead"})
        done = s.walk("close_tasks_list", 50, _type="all", is_complete=True)
        eq(set(ids(done)), {t["id"] for t in tasks if t["is_complete"]})
        user = tasks[0]["assigned_to"]
        mine = s.walk("close_tasks_list", 50, _type="all", assigned_to=user)
        eq(set(ids(mine)), {t["id"] for t in tasks if t["assigned_to"] == user})
        for view in ("inbox", "future", "archive"):
            rows = s.walk("close_tasks_list", 50, _type="all", view=view)
            eq(set(ids(rows)), {t["id"] for t in tasks if t["view"] == view})
        opps = s.objects("opportunities")
        won = s.walk("close_opportunities_list", 7, status_type="won")
        eq(set(ids(won)), {o["id"] for o in opps if o["status_type"] == "won"})
        by = s.walk("close_opportunities_list", 9, _order_by="-value")
        values = [-1 if o["value"] is None else o["value"] for o in by]
        eq(values, sorted(values, reverse=True))
        plain = ids(s.walk("close_opportunities_list", 100))
        eq(ids(s.walk("close_opportunities_list", 100, _order_by="note")), plain)
        day = "2024-06-01"
        status, data = s.close("GET", f"/opportunity/?date_created__gte={day}&_limit=250")
        eq(set(ids(data["data"])), {o["id"] for o in opps if o["date_created"] >= day})
        eq(len(s.close("GET", "/contact/?title=CEO")[1]["data"]), 100)
        eq(s.close("GET", "/opportunity/?date_created__gte=soon")[0], 400)


@test
def activities_need_one_lead():
    with Server() as s:
        all_rows = s.objects("activities")
        lead = next(a["lead_id"] for a in all_rows if a["_type"] == "Call" and a["lead_id"])
        other = next(a["lead_id"] for a in all_rows if a["lead_id"] not in (lead, None))
        calls = s.walk("close_activities_list", 50, lead_id=lead, _type="Call")
        eq(set(ids(calls)),
           {a["id"] for a in all_rows if a["lead_id"] == lead and a["_type"] == "Call"})
        for ignored in ({"_type": "Call"}, {"user_id": all_rows[0]["user_id"]}):
            eq(len(s.walk("close_activities_list", 100, **ignored)), len(all_rows))
        both = s.walk("close_activities_list", 50, lead_id=f"{lead},{other}", _type="Call")
        eq(set(ids(both)), {a["id"] for a in all_rows if a["lead_id"] in (lead, other)})
        eq(s.walk("close_activities_list", 50, lead_id=lead, _type="Sms"), [])
        rows = s.walk("close_activities_list", 30)
        stamps = [r["date_created"][:19] for r in rows]
        eq(stamps, sorted(stamps, reverse=True))
        custom = s.walk("close_custom_activities_list", 50)
        eq({a["_type"] for a in custom}, {"CustomActivity"})
        lead = custom[0]["lead_id"]
        eq({a["_type"] for a in s.walk("close_activities_list", 50, lead_id=lead, _type="Custom")},
           {"CustomActivity"})
        s.refused("close_custom_activities_list",
                  custom_activity_type_id=custom[0]["custom_activity_type_id"])
        user = all_rows[0]["user_id"]
        eq(set(ids(s.walk("close_notes_list", 50, user_id=user))),
           {a["id"] for a in all_rows if a["_type"] == "Note" and a["user_id"] == user})


@test
def lists_that_need_a_filter():
    with Server() as s:
        s.refused("close_comments_list")
        thread = s.objects("comment_threads")[1]
        s.refused("close_comments_list", object_id=thread["object_id"], thread_id=thread["id"])
        by_thread = s.ok("close_comments_list", thread_id=thread["id"])["data"]
        eq(s.ok("close_comments_list", object_id=thread["object_id"])["data"], by_thread)
        eq(len(by_thread), thread["num_comments"])
        assert all("object_id" not in c for c in by_thread)
        eq(s.ok("close_comments_list", object_id="acti_none")["data"], [])
        two = ",".join(ids(s.objects("comment_threads")[:2]))
        eq(len(s.ok("close_comment_threads_list", ids=two)["data"]), 2)
        s.refused("close_sequence_subscriptions_list")
        found = []
        for seq in s.objects("sequences"):
            found += ids(s.walk("close_sequence_subscriptions_list", 50, sequence_id=seq["id"]))
        eq(set(found), set(ids(s.objects("sequence_subscriptions"))))
        s.refused_validation = s.call("close_custom_objects_list", {})
        eq(s.refused_validation[0], 400)
        eq(s.close("GET", "/custom_object/")[0], 400)
        objs = s.objects("custom_objects")
        eq(ids(s.ok("close_custom_objects_list", lead_id=objs[0]["lead_id"])["data"]),
           [objs[0]["id"]])
        views = s.objects("smart_views")
        eq({v["type"] for v in s.walk("close_smart_views_list", 50)}, {"lead"})
        eq(set(ids(s.walk("close_smart_views_list", 50, type="call"))),
           {v["id"] for v in views if v["type"] == "call"})


@test
def event_log():
    with Server() as s:
        page = s.ok("close_events_list")
        eq(len(page["data"]), 50)
        assert "has_more" not in page and page["cursor_next"]
        eq(s.ok("close_events_list", _skip=50)["data"], page["data"])
        assert "50" in s.refused("close_events_list", _limit=51)["field-errors"]["_limit"]
        s.refused("close_events_list", object_type="lead")
        seen, last = {}, None
        while True:
            params = {"date_updated__lte": last} if last else {}
            rows = s.ok("close_events_list", **params)["data"]
            fresh = [r for r in rows if r["id"] not in seen]
            seen.update({r["id"]: r for r in rows})
            if not fresh:
                break
            last = rows[-1]["date_updated"]
        eq(set(seen), set(ids(s.objects("events"))))
        lead = s.ok("close_lead_create", name="Event")["id"]
        s.ok("close_lead_update", lead_id=lead, name="Event 2")
        rows = s.ok("close_events_list", object_type="lead", object_id=lead)["data"]
        eq([r["action"] for r in rows], ["updated", "created"])
        eq((rows[0]["changed_fields"], rows[0]["previous_data"]), (["name"], {"name": "Event"}))
        assert "+" not in rows[0]["date_created"]


@test
def search_language():
    with Server("--leads", "300") as s:
        leads = s.objects("leads")
        contacts = {}
        for c in s.objects("contacts"):
            contacts.setdefault(c["lead_id"], []).append(c)

        def q(text):
            return set(ids(s.walk("close_leads_list", 150, query=text)))

        def where(test_row):
            return {row["id"] for row in leads if test_row(row)}

        acme = where(lambda r: re.search(r"\bacme\b", r["name"] or "", re.I))
        assert len(acme) >= 5
        eq(q("Acme"), acme)
        eq(q("acme bolts"), where(lambda r: r["name"] == "Acme Bolts GmbH"))
        eq(q('"bolt & co"'), where(lambda r: "Bolt & Co" in (r["name"] or "")))
        eq(q("acm"), set())
        eq(q("acm*"), acme)
        eq(q("*"), where(lambda r: True))
        eq(q("not acme"), where(lambda r: True) - acme)
        eq(q("(acme or name:bolt) not gmbh"),
           {i for i in acme | q("name:bolt") if i not in q("gmbh")})
        eq(q('status:"Bad Fit"'), where(lambda r: r["status_label"] == "Bad Fit"))
        eq(q("status_id:" + leads[0]["status_id"]),
           where(lambda r: r["status_id"] == leads[0]["status_id"]))
        eq(q("lead_id:" + leads[3]["id"]), {leads[3]["id"]})
        eq(q("date_created>=2024-01-01 created<2025-01-01"),
           where(lambda r: "2024" <= r["date_created"] < "2025"))
        eq(q("contacts>1"), where(lambda r: len(r["contact_ids"]) > 1))
        eq(q("opportunities:0"), where(lambda r: not r["opportunities"]))
        eq(q("not has:phone_numbers"),
           where(lambda r: not any(c["phones"] for c in contacts.get(r["id"], []))))
        eq(q("email_address:contact0.0@example.test"), {leads[0]["id"]})
        tier = next(f["id"] for f in s.objects("custom_fields_lead") if f["name"] == "Tier")
        gold = where(lambda r: r.get("custom." + tier) == "Gold")
        eq(q(f"custom.{tier}:gold"), gold)
        eq(q('"custom.Tier":Gold'), gold)
        eq(q(f"not custom.{tier}:*"), where(lambda r: "custom." + tier not in r))
        parts = [q(f"slice:{k}/3") for k in (1, 2, 3)]
        eq(set.union(*parts), where(lambda r: True))
        eq(sum(map(len, parts)), 300)
        rows = s.walk("close_leads_list", 70, query="sort:-date_updated")
        stamps = [r["date_updated"] for r in rows]
        eq(stamps, sorted(stamps, reverse=True))
        eq(ids(s.walk("close_leads_list", 70, query="sort:date_created")),
           ids(sorted(leads, key=lambda r: r["date_created"])))
        for bad in ("nofield:1", "name:", "(acme", 'name:"x', "slice:4/3", ")"):
            assert "Invalid query" in s.refused("close_leads_list", query=bad)["error"]
        s.control("POST", "config", {"ignore_unknown_fields": True})
        eq(q("nofield:1"), set())
        plain = ids(s.ok("close_leads_list", _limit=200)["data"])
        eq(ids(s.ok("close_leads_list", _limit=200, _order_by="-name")["data"]), plain)


@test
def search_lags():
    with Server("--search-delay-ms", "600000") as s:
        lead = s.ok("close_lead_create", name="Zebrafish")["id"]
        eq(s.ok("close_leads_list", query="zebrafish")["data"], [])
        eq(s.ok("close_lead_get", lead_id=lead)["id"], lead)
        eq(s.ok("close_leads_list", _skip=100)["data"][0]["id"], lead)
        s.control("POST", "config", {"search_delay_ms": 0})
        late = s.ok("close_lead_create", name="Zebrafish two")["id"]
        eq(ids(s.ok("close_leads_list", query="zebrafish")["data"]), [late])


# ---- data ----

CLASSIC = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{6})?\+00:00"
NAIVE = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{6})?"


@test
def two_generations():
    with Server() as s:
        for table, prefix, size, form in (
                ("leads", "lead", 43, CLASSIC), ("opportunities", "oppo", 43, CLASSIC),
                ("activities", "acti", 43, CLASSIC), ("users", "user", 43, CLASSIC),
                ("custom_fields_lead", "cf", 43, CLASSIC), ("custom_objects", "custobj", 43, CLASSIC),
                ("pipelines", "pipe", 22, NAIVE), ("sequences", "seq", 22, NAIVE),
                ("sequence_subscriptions", "sub", 22, NAIVE), ("webhooks", "whsub", 22, NAIVE),
                ("events", "ev", 22, NAIVE), ("custom_object_types", "cotype", 22, NAIVE)):
            rows = s.objects(table)
            assert rows, table
            for row in rows:
                assert re.fullmatch(rf"{prefix}_[0-9A-Za-z]{{{size}}}", row["id"]), row["id"]
                assert re.fullmatch(form, row["date_created"]), (table, row["date_created"])
        for row in s.objects("comments"):
            assert re.fullmatch(r"comm_\w{22}", row["id"])
            assert re.fullmatch(CLASSIC, row["created_at"])


@test
def awkward_data():
    with Server("--leads", "400") as s:
        leads, contacts, tasks = s.objects("leads"), s.objects("contacts"), s.objects("tasks")
        eq((len(leads), len(contacts), len(s.objects("opportunities"))), (400, 600, 320))
        assert len(tasks) >= 480
        assert any(r["name"] == "" for r in leads) and any(r["name"] is None for r in leads)
        assert any("🚀" in (r["name"] or "") for r in leads)
        assert any("\n" in (r["name"] or "") for r in leads)
        assert {r["description"] is None for r in leads} == {True, False}
        assert any(r["description"] == "" for r in leads)
        assert any(not c["name"] for c in contacts)
        assert any(re.fullmatch(NAIVE, c["date_updated"]) for c in contacts)
        dates = {len(t["date"]) if t["date"] else 0 for t in tasks}
        assert 10 in dates and 0 in dates and max(dates) > 19, dates
        assert any(t["lead_id"] is None for t in tasks)
        assert {t["id"].split("_")[0] for t in tasks} == {"task", "noti"}
        users = set(ids(s.objects("users")))
        assert any(o["user_id"] not in users for o in s.objects("opportunities"))
        assert any("users" not in a for a in s.objects("activities"))
        assert any("duration" not in a for a in s.objects("calls"))
        views = s.objects("smart_views")
        assert any(v["date_created"].startswith("0001-01-01") and v["user_id"] is None
                   for v in views)
        stamps = [r["date_created"] for r in leads]
        assert len(set(stamps)) < len(stamps), "no two leads share an instant"
        fields = {f["id"]: f for f in s.objects("custom_fields_lead")}
        names = [f["name"] for f in fields.values()]
        assert len(set(names)) < len(names), "field names are unique"
        keys = {k[7:] for r in leads for k in r if k.startswith("custom.")}
        shared = {f["id"] for f in s.close("GET", "/custom_field/shared/")[1]["data"]}
        eq(keys - set(fields), shared)
        eq({f["id"] for f in s.close("GET", "/custom_field_schema/lead/")[1]["fields"]},
           set(fields) | shared)
        types = {f["type"] for f in fields.values()}
        assert {"text", "number", "date", "datetime", "choices", "user", "contact"} <= types
        me = s.ok("close_me_get")
        assert isinstance(me["organizations"][0], dict)
        assert isinstance(s.objects("users")[0]["organizations"][0], str)


@test
def same_seed_same_data():
    with Server("--leads", "40", "--seed", "5") as a, Server("--leads", "40", "--seed", "5") as b, \
            Server("--leads", "40", "--seed", "6") as c:
        for table in ("leads", "contacts", "tasks", "emails", "events"):
            eq(a.objects(table), b.objects(table))
            assert a.objects(table) != c.objects(table)


# ---- writes ----

@test
def leads_and_contacts():
    with Server() as s:
        first = s.objects("lead_statuses")[0]
        status, lead = s.close("POST", "/lead/", {"name": "New", "unknown": 1})
        eq((status, lead["status_id"], lead["status_label"]), (200, first["id"], first["label"]))
        assert "unknown" not in lead
        eq(s.ok("close_lead_get", lead_id=lead["id"]), lead)
        cf = {f["name"]: f["id"] for f in s.objects("custom_fields_lead")}
        key, multi = "custom." + cf["Employees"], "custom." + cf["Interests"]
        path = f"/lead/{lead['id']}/"
        eq(s.close("PUT", path, {key: 12, multi: ["Nuts"]})[1][key], 12)
        eq(s.close("PUT", path, {multi + ".add": "Bolts"})[1][multi], ["Nuts", "Bolts"])
        eq(s.close("PUT", path, {multi + ".remove": "Nuts"})[1][multi], ["Bolts"])
        assert key not in s.close("PUT", path, {key: None})[1]
        eq(s.close("PUT", path, {key: "many"})[0], 400)
        eq(s.close("PUT", path, {"custom.cf_none": 1})[0], 400)
        row = s.close("PUT", path, {"description": None})[1]
        eq((row["name"], row["description"]), ("New", None))
        eq(s.close("POST", "/lead/", {"name": 5})[1]["field-errors"]["name"],
           "Value must be of str type.")
        eq(s.close("PUT", path, {"status_id": "stat_x"})[1]["field-errors"]["status_id"],
           "Object does not exist.")
        qualified = s.objects("lead_statuses")[2]
        s.ok("close_lead_update", lead_id=lead["id"], status_id=qualified["id"])
        change = s.ok("close_activities_list", lead_id=lead["id"], _type="LeadStatusChange")["data"]
        eq([c["new_status_label"] for c in change], [qualified["label"]])
        person = s.ok("close_contact_create", lead_id=lead["id"], name="Ann",
                      emails='[{"email": "a@b.test", "type": "office"}]')
        eq((person["emails"][0]["email"], person["lead_id"]), ("a@b.test", lead["id"]))
        error = s.refused("close_contact_create", lead_id=lead["id"], emails='[{"email": "x"}]')
        eq(error["field-errors"]["emails"]["errors"]["0"]["field-errors"]["email"],
           "Invalid email address.")
        error = s.refused("close_contact_create", lead_id=lead["id"], emails="nonsense")
        eq(error["field-errors"]["emails"], "Value must be of list type.")
        eq(s.ok("close_contact_update", contact_id=person["id"], emails="[]")["emails"], [])
        alone = s.close("POST", "/contact/", {"name": "Alone"})[1]
        eq(s.ok("close_lead_get", lead_id=alone["lead_id"])["name"], "Alone")
        nested = s.close("POST", "/lead/", {"name": "N", "contacts": [{"name": "C"}]})[1]
        eq([c["name"] for c in nested["contacts"]], ["C"])


@test
def deleting():
    with Server() as s:
        lead = next(r for r in s.objects("leads") if len(r["contact_ids"]) > 1)
        before = {t: s.objects(t) for t in ("contacts", "opportunities", "tasks", "activities")}
        eq(s.ok("close_lead_delete", lead_id=lead["id"]), {})
        for table, rows in before.items():
            eq(ids(s.objects(table)), ids(r for r in rows if r["lead_id"] != lead["id"]))
        assert "does not exist" in s.refused("close_lead_get", lead_id=lead["id"])["error"]
        assert "does not exist" in s.refused("close_lead_delete", lead_id=lead["id"])["error"]
        event = s.ok("close_events_list", object_id=lead["id"], action="deleted")["data"]
        eq(len(event), 1)
        eq(s.close("DELETE", f"/pipeline/{s.objects('pipelines')[0]['id']}/")[0], 400)
        pipe = s.close("POST", "/pipeline/", {"name": "P"})
        eq((pipe[0], pipe[1]["statuses"]), (201, []))
        eq(s.close("DELETE", f"/pipeline/{pipe[1]['id']}/"), (204, None))
        hook = s.objects("webhooks")[0]["id"]
        eq(s.close("DELETE", f"/webhook/{hook}/"), (200, None))
        eq(s.call("close_webhook_delete", {"webhook_id": s.objects("webhooks")[0]["id"]})[0], 200)


@test
def merging():
    with Server() as s:
        leads = [r for r in s.objects("leads") if r["contact_ids"]]
        a, b = leads[0], leads[1]
        s.ok("close_lead_merge", source=a["id"], destination=b["id"])
        s.refused("close_lead_get", lead_id=a["id"])
        merged = s.ok("close_lead_get", lead_id=b["id"])
        eq(set(merged["contact_ids"]), set(a["contact_ids"]) | set(b["contact_ids"]))
        acts = s.ok("close_activities_list", lead_id=b["id"], _type="LeadMerge")["data"]
        eq([x["source_lead_id"] for x in acts], [a["id"]])
        s.refused("close_lead_merge", source=a["id"], destination=b["id"])
        s.refused("close_lead_merge", source=b["id"], destination=b["id"])


@test
def opportunities():
    with Server() as s:
        lead = s.objects("leads")[0]["id"]
        stats = s.objects("opportunity_statuses")
        won = next(x for x in stats if x["type"] == "won")
        row = s.close("POST", "/opportunity/", {"lead_id": lead, "value": 1001, "confidence": 50,
                                                "value_period": "monthly", "expected_date": "x"})[1]
        eq((row["status_id"], row["value_currency"]), (stats[0]["id"], "EUR"))
        eq((row["annualized_value"], row["annualized_expected_value"]), (12012, 6006))
        assert "expected_date" not in row and row["date_won"] is None
        row = s.ok("close_opportunity_update", opportunity_id=row["id"], status_id=won["id"])
        assert re.fullmatch(r"\d{4}-\d\d-\d\d", row["date_won"]), row["date_won"]
        back = s.ok("close_opportunity_update", opportunity_id=row["id"], status_id=stats[0]["id"])
        eq(back["date_won"], row["date_won"])
        acts = s.ok("close_activities_list", lead_id=lead, _type="OpportunityStatusChange")["data"]
        eq(len([x for x in acts if x["opportunity_id"] == row["id"]]), 2)
        other = next(p for p in s.objects("pipelines") if p["id"] != stats[0]["pipeline_id"])
        status, error = s.close("POST", "/opportunity/",
                                {"pipeline_id": other["id"], "status_id": stats[0]["id"]})
        eq((status, "status_id" in error["field-errors"]), (400, True))
        n = len(s.objects("leads"))
        alone = s.close("POST", "/opportunity/", {"pipeline_id": other["id"]})[1]
        eq((alone["pipeline_id"], len(s.objects("leads"))), (other["id"], n + 1))
        eq(s.refused("close_opportunity_update", opportunity_id=row["id"], confidence=101)
           ["field-errors"]["confidence"], "The value must not be larger than 100.")
        eq(s.refused("close_opportunity_update", opportunity_id=row["id"], value_period="weekly")
           ["field-errors"]["value_period"], "Not a valid choice.")
        noted = s.close("PUT", f"/opportunity/{row['id']}/", {"note": "a < b"})[1]
        eq(noted["note_html"], "<body><p>a &lt; b</p></body>")


@test
def tasks():
    with Server() as s:
        lead = s.objects("leads")[0]["id"]
        eq(s.refused("close_task_create", lead_id=lead)["field-errors"]["text"],
           "This field is required.")
        row = s.ok("close_task_create", lead_id=lead, text="Ring", date="2030-01-02")
        eq((row["_type"], row["date"], row["view"]), ("lead", "2030-01-02", "future"))
        row = s.ok("close_task_update", task_id=row["id"], date="2030-01-02T10:00:00+00:00",
                   is_complete=True)
        eq((row["object_type"], row["view"]), ("taskcompleted", "archive"))
        done = s.ok("close_activities_list", lead_id=lead, _type="TaskCompleted")["data"]
        assert row["id"] in [a.get("task_id") for a in done]
        s.refused("close_task_create", lead_id=lead, text="x", _type="email")
        eq(s.close("PUT", f"/task/{row['id']}/", {"colour": 1})[0], 400)
        other = next(t for t in s.objects("tasks") if t["_type"] != "lead")
        s.refused("close_task_update", task_id=other["id"], text="x")
        mine = [t for t in s.objects("tasks") if t["lead_id"] == lead]
        user = s.objects("users")[2]["id"]
        eq(s.ok("close_tasks_bulk_update", filter_lead_id=lead, filter_type="all",
                assigned_to=user), {"ok": True})
        changed = {t["id"] for t in s.objects("tasks") if t["assigned_to"] == user}
        assert set(ids(mine)) <= changed


@test
def messages_and_the_outbox():
    with Server() as s:
        lead = s.objects("leads")[0]["id"]
        eq(s.control("GET", "outbox"), [])
        s.refused("close_email_create", lead_id=lead, status="outbox", to='["a@b.test"]')
        s.refused("close_email_create", lead_id=lead, status="draft",
                  to='[{"email": "a@b.test"}]')
        draft = s.ok("close_email_create", lead_id=lead, status="draft", subject="Hi",
                     to='["a@b.test"]', sender="me@b.test")
        s.ok("close_email_update", email_id=draft["id"], subject="Hello")
        eq(s.control("GET", "outbox"), [])
        s.ok("close_email_update", email_id=draft["id"], status="outbox")
        sent = s.control("GET", "outbox")
        eq([(m["what"], m["object"]["id"]) for m in sent], [("email", draft["id"])])
        eq(s.refused("close_email_update", email_id=draft["id"], subject="Late")["error"],
           "Only drafts can be edited.")
        s.ok("close_email_update", email_id=draft["id"], status="draft")
        phone = s.ok("close_me_get")["phone_numbers"][0]["number"]
        s.refused("close_sms_create", lead_id=lead, status="draft", local_phone="+4670")
        sms = s.ok("close_sms_create", lead_id=lead, status="outbox", local_phone=phone, text="Yo")
        eq((sms["_type"], len(s.control("GET", "outbox"))), ("SMS", 2))
        call = s.ok("close_call_create", lead_id=lead, status="no-answer", note="later")
        eq((call["status"], call["note_html"]), ("no-answer", "<body><p>later</p></body>"))
        eq(s.refused("close_call_create", lead_id=lead, status="no_answer")
           ["field-errors"]["status"], "Not a valid choice.")
        ours = next(c for c in s.objects("calls") if c["source"] == "Close.io")
        s.refused("close_call_update", call_id=ours["id"], duration=3)
        s.ok("close_call_update", call_id=ours["id"], note="ok")
        note = s.close("POST", "/activity/note/", {"lead_id": lead, "note": "plain",
                                                   "note_html": "<body><p>rich</p></body>"})[1]
        eq((note["note"], note["source"]), ("rich", "api"))
        eq(s.close("POST", "/activity/note/", {"note": "x"})[1]["field-errors"],
           {"lead": "This field is required."})
        eq(s.close("GET", f"/activity/call/{note['id']}/")[0], 404)


@test
def comments():
    with Server() as s:
        note = s.objects("notes")[-1]["id"]
        row = s.close("POST", "/comment/", {"object_id": note, "body": "<body>x</body>"})
        eq(row[0], 201)
        row = row[1]
        eq(s.close("POST", "/comment/", {"object_id": note, "body": "x", "more": 1})[0], 400)
        eq(s.ok("close_comment_update", comment_id=row["id"], comment="<body>y</body>")["body"],
           "<body>y</body>")
        foreign = next(c for c in s.objects("comments")
                       if c["created_by"] != row["created_by"] and not c["removed_at"])
        status, data = s.call("close_comment_update", {"comment_id": foreign["id"], "comment": "z"})
        eq((status, data["details"][0]["error_code"]), (403, "TOOL_ERROR"))
        second = s.ok("close_comment_create", object_id=note, body="<body>2</body>")
        eq(second["thread_id"], row["thread_id"])
        s.ok("close_comment_delete", comment_id=row["id"])
        gone = s.ok("close_comment_get", comment_id=row["id"])
        assert gone["body"] is None and gone["removed_at"]
        s.ok("close_comment_delete", comment_id=second["id"])
        eq(s.ok("close_comments_list", thread_id=row["thread_id"])["data"], [])
        eq(s.ok("close_comment_threads_list", object_ids=note)["data"], [])


@test
def sequences():
    with Server() as s:
        seqs = s.objects("sequences")
        contact = s.objects("contacts")[0]["id"]
        s.refused("close_sequence_subscription_create", contact_id=contact,
                  sequence_id=seqs[0]["id"])
        params = {"contact_id": contact, "sequence_id": seqs[3]["id"]}
        status, sub = s.close("POST", "/sequence_subscription/", params)
        eq((status, sub["status"]), (201, "active"))
        s.refused("close_sequence_subscription_create", **params)
        eq([m["what"] for m in s.control("GET", "outbox")], ["sequence"])
        row = s.ok("close_sequence_subscription_update", subscription_id=sub["id"], pause=True)
        eq((row["status"], row["status_reason"]), ("paused", "manual"))
        row = s.ok("close_sequence_get", sequence_id=seqs[3]["id"])
        assert row["subscription_counts_by_status"]["paused"] >= 1
        assert "subscription_counts_by_status" not in seqs[3]
        new = s.ok("close_sequence_create", name="S", steps=[{"step_type": "call", "delay": 0}])
        eq(new["status"], "active")
        row = s.ok("close_sequence_update", sequence_id=new["id"],
                   steps=[{"id": new["steps"][0]["id"]}, {"step_type": "email"}])
        eq([x["step_type"] for x in row["steps"]], ["call", "email"])
        s.ok("close_sequence_subscription_delete", subscription_id=sub["id"])
        s.ok("close_sequence_delete", sequence_id=new["id"])


@test
def configuration_objects():
    with Server() as s:
        field = s.ok("close_custom_field_lead_create", name="Fresh", type="text")
        lead = s.objects("leads")[0]["id"]
        key = "custom." + field["id"]
        s.close("PUT", f"/lead/{lead}/", {key: "v"})
        eq(s.ok("close_lead_get", lead_id=lead)[key], "v")
        s.refused("close_custom_field_lead_create", name="X", type="colour")
        s.ok("close_custom_field_lead_delete", custom_field_id=field["id"])
        assert key not in s.ok("close_lead_get", lead_id=lead)
        old = s.objects("custom_fields_lead")[0]["id"]
        s.ok("close_custom_field_lead_delete", custom_field_id=old)
        assert not any("custom." + old in r for r in s.objects("leads"))
        hook = s.ok("close_webhook_create", url="https://x.test/",
                    events='[{"object_type": "lead", "action": "created"}]')
        assert re.fullmatch("[0-9a-f]{64}", hook["signature_key"])
        eq(s.close("PUT", f"/webhook/{hook['id']}/", {"status": "paused"})[1]["pause_reason"],
           "api")
        eq(s.close("POST", "/webhook/", {"url": "https://x.test/", "events": [], "x": 1})[0], 400)
        query = {"query": {"type": "and", "queries": [{"type": "object_type",
                                                       "object_type": "lead"}]}}
        view = s.ok("close_smart_view_create", name="V", s_query=query)
        eq((view["type"], view["s_query"]["sort"]), ("lead", []))
        s.refused("close_smart_view_create", name="V", s_query=query, type="contact")
        s.ok("close_bulk_delete_create", s_query=query["query"])
        s.refused("close_bulk_edit_create", s_query=query["query"], type="set_lead_status")
        s.ok("close_export_lead_create", format="csv")
        s.ok("close_report_activity_get", metrics=["calls.all.count"], type="overview",
             relative_range="this-week")
        eq(len(s.objects("leads")), 100)


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
def rate_limit():
    with Server("--rate", "5") as s:
        s.auth()
        codes = [s.call("close_users_list", {})[0] for _ in range(30)]
        assert 429 in codes and 200 in codes, codes
        s.control("POST", "config", {"rate": 1, "rate_headers": True})
        for _ in range(30):
            status, headers, body = s.raw(
                "GET", "/proxy/api/v1/user/", None,
                {**s.auth(), "connection_name": "close", "identifier": "user_demo"})
            if status == 429:
                break
        assert int(headers["retry-after"]) >= 1 and "reset=" in headers["ratelimit"]
        eq(json.loads(body)["error"]["rate_limit"], 1)


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


def main():
    global BINARY
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    BINARY = sys.argv[1]
    failed = 0
    for fn in TESTS:
        try:
            fn()
            print("ok  ", fn.__name__)
        except Exception:
            failed += 1
            print("FAIL", fn.__name__)
            traceback.print_exc(limit=-3, file=sys.stdout)
    print(f"{len(TESTS) - failed} of {len(TESTS)} checks passed")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
