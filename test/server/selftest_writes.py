"""Self test: what writes do."""
import re
import time

from selfbase import Server, eq, ids, test

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
        assert "data" not in s.call("close_lead_delete", {"lead_id": s.objects("leads")[0]["id"]})[1]
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
def deletes_lag():
    with Server("--delete-lag-ms", "600000") as s:
        lead = s.objects("leads")[0]["id"]
        eq(s.close("DELETE", f"/lead/{lead}/"), (200, None))
        eq(s.ok("close_lead_get", lead_id=lead)["id"], lead)
        eq(s.ok("close_leads_list", _limit=1)["data"][0]["id"], lead)
        eq(s.close("DELETE", f"/lead/{lead}/")[0], 404)
        eq(s.close("PUT", f"/lead/{lead}/", {"name": "x"})[0], 404)
        s.control("POST", "config", {"delete_lag_ms": 1})
        other = s.objects("leads")[1]["id"]
        eq(s.close("DELETE", f"/lead/{other}/"), (200, None))
        time.sleep(0.01)
        eq(s.close("GET", f"/lead/{other}/")[0], 404)


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
        long = "x < & > " * 2000
        note = s.ok("close_note_update", note_id=note["id"], note=long)
        eq((note["note"], note["note_html"]),
           (long, "<body><p>" + "x &lt; &amp; &gt; " * 2000 + "</p></body>"))
        path = f"/activity/note/{note['id']}/"
        eq(s.close("PUT", path, {"note_html": note["note_html"]})[1]["note"], long)
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
