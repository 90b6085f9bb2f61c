"""Self test: Scalekit's face, lists, search, the data itself."""
import json
import re
import subprocess

from selfbase import Server, eq, ids, test

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
        names = subprocess.run([Server.binary, "--tools"], text=True, capture_output=True, check=True)
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
