/*
 * Generated activities, comments, threads, sequence subscriptions, custom objects and events.
 *
 * Activities of all kinds share one table, as they share one list at the service; the typed lists
 * filter it by kind. Members that one kind has and another has not are absent, not null, and some
 * rows lack even base members (users, created_by_name), as real answers do.
 */
#include "standin.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const types[A_COUNT] = {
    [A_NOTE] = "Note",
    [A_CALL] = "Call",
    [A_EMAIL] = "Email",
    [A_SMS] = "SMS",
    [A_MEETING] = "Meeting",
    [A_CREATED] = "Created",
    [A_LEAD_STATUS] = "LeadStatusChange",
    [A_OPP_STATUS] = "OpportunityStatusChange",
    [A_TASK_DONE] = "TaskCompleted",
    [A_MERGE] = "LeadMerge",
    [A_CUSTOM] = "CustomActivity",
};

const char *
st_act_type(enum st_act a)
{
    return types[a];
}

static void
gen_note(js *o, uint64_t h, uint32_t i)
{
    js_addf(o, "note", "Spoke about %s %u", st_word(h), i);
    js_addf(o, "note_html", "<body><p>Spoke about %s %u</p></body>", st_word(h), i);
    js_add(o, "note_mentions", json_object_new_array());
    js_adds(o, "title", i % 3 ? NULL : "Visit");
    js_addb(o, "pinned", i % 11 == 0);
    js_adds(o, "pinned_at", NULL);
    js_add(o, "attachments", json_object_new_array());
    js_adds(o, "source", i % 2 ? "api" : NULL);
}

static void
gen_call(js *o, uint64_t h, uint32_t i)
{
    static const char *const states[] = {"completed", "completed", "no-answer", "busy"};
    bool ours = i % 2;
    js_adds(o, "status", states[h % 4]);
    js_adds(o, "direction", h % 3 ? "outbound" : "inbound");
    if (i % 13)
        js_addi(o, "duration", (int64_t)(h % 1800));
    js_adds(o, "disposition", h % 4 < 2 ? "answered" : "no-answer");
    js_adds(o, "call_method", ours ? "regular" : "external");
    js_adds(o, "source", ours ? "Close.io" : "External");
    js_addf(o, "phone", "+468%u", (unsigned)(h % 900000) + 100000);
    js_addf(o, "remote_phone", "+468%u", (unsigned)(h % 900000) + 100000);
    js_adds(o, "remote_country_iso", "SE");
    if (ours) {
        js_adds(o, "local_phone", "+4681234500");
        js_adds(o, "local_country_iso", i % 4 == 1 ? "" : "SE");
    }
    js_adds(o, "note", "");
    js_adds(o, "note_html", "");
    js_adds(o, "outcome_id", NULL);
    js_addf(o, "cost", "%u", (unsigned)(h % 30));
    js_addb(o, "has_recording", false);
    js_adds(o, "recording_url", NULL);
    js_adds(o, "voicemail_url", NULL);
    js_addi(o, "voicemail_duration", 0);
}

static js *
one_string(const char *s)
{
    js *a = json_object_new_array();
    json_object_array_add(a, js_new_str(s));
    return a;
}

static void
gen_email(js *o, uint64_t h, uint32_t i)
{
    static const char *const states[] = {"sent", "sent", "inbox", "draft", "sent"};
    bool in = i % 5 == 2;
    js_adds(o, "status", states[i % 5]);
    js_adds(o, "direction", in ? "incoming" : "outgoing");
    if (i % 7)
        js_addf(o, "subject", "Offer for %s", st_word(h));
    else
        js_adds(o, "subject", "");
    js_adds(o, "sender", in ? "buyer@example.test" : "\"Ada Holm\" <user0@example.test>");
    js_add(o, "to", one_string(in ? "user0@example.test" : "buyer@example.test"));
    js_add(o, "cc", json_object_new_array());
    js_add(o, "bcc", json_object_new_array());
    js_addf(o, "body_text", "Hello,\nhere is our offer for %s.\n-- \nAda", st_word(h));
    js_addf(o, "body_html", "<p>Hello,</p><p>here is our offer for %s.</p>", st_word(h));
    if (i % 3)
        js_adds(o, "body_preview", "Hello, here is our offer");
    js_add(o, "attachments", json_object_new_array());
    js_add(o, "envelope", json_object_new_object());
    char message[48];
    snprintf(message, sizeof message, "<m%u@example.test>", i);
    js_add(o, "message_ids", one_string(message));
    js_add(o, "references", json_object_new_array());
    js_adds(o, "in_reply_to_id", NULL);
    js_adds(o, "thread_id", NULL);
    js_addb(o, "has_reply", h % 5 == 0);
    if (strcmp(states[i % 5], "draft") == 0)
        js_adds(o, "date_sent", NULL);
    else
        js_adds(o, "date_sent", js_str(o, "date_created"));
    js_adds(o, "date_scheduled", NULL);
    js_add(o, "opens", json_object_new_array());
    js_adds(o, "opens_summary", NULL);
    js_add(o, "send_attempts", json_object_new_array());
    js_addb(o, "need_smtp_credentials", false);
    js_addb(o, "followup_sequence_add_cc_bcc", true);
}

static void
gen_sms(js *o, uint64_t h, uint32_t i)
{
    js_adds(o, "status", i % 4 == 3 ? "error" : i % 4 == 2 ? "inbox" : "sent");
    js_adds(o, "direction", i % 4 == 2 ? "inbound" : "outbound");
    js_addf(o, "text", "On my way 🚗 %s", st_word(h));
    js_adds(o, "local_phone", "+4681234500");
    js_addf(o, "remote_phone", "+468%u", (unsigned)(h % 900000) + 100000);
    js_adds(o, "remote_country_iso", "SE");
    js_adds(o, "source", i % 2 ? "Close.io" : "External");
    js_adds(o, "cost", "3");
    js_adds(o, "date_sent", js_str(o, "date_created"));
    js_adds(o, "error_message", i % 4 == 3 ? "Number is not reachable" : NULL);
}

static void
gen_meeting(js *o, const struct st_row *row, uint64_t h)
{
    js_adds(o, "title", "Planning");
    js_adds(o, "status", h % 2 ? "completed" : "upcoming");
    st_stamp(o, "starts_at", row->created, false);
    st_stamp(o, "ends_at", row->created + 1800 * ST_SECOND, false);
    js_addi(o, "duration", 1800);
    js_adds(o, "location", h % 3 ? NULL : "Kajen 4");
    js_add(o, "attendees", json_object_new_array());
    js_addb(o, "is_recurring", false);
}

static void
gen_change(struct st_dataset *ds, js *o, enum st_act kind, const struct st_row *row, uint64_t h)
{
    bool lead = kind == A_LEAD_STATUS;
    enum st_tab t = lead ? T_LSTATUS : T_OSTATUS;
    js *old = ds->t[t].rows[h % 4].obj, *new = ds->t[t].rows[(h + 1) % 4].obj;
    js_adds(o, "old_status_id", js_str(old, "id"));
    js_adds(o, "old_status_label", js_str(old, "label"));
    js_adds(o, "new_status_id", js_str(new, "id"));
    js_adds(o, "new_status_label", js_str(new, "label"));
    if (lead)
        return;
    char day[16];
    const uint32_t *first = ds->t[T_OPP].first;
    js_adds(o, "old_status_type", js_str(old, "type"));
    js_adds(o, "new_status_type", js_str(new, "type"));
    js_adds(o, "old_pipeline_id", js_str(old, "pipeline_id"));
    js_adds(o, "new_pipeline_id", js_str(new, "pipeline_id"));
    if (row->lead < ds->n_leads && first[row->lead] < first[row->lead + 1])
        js_adds(o, "opportunity_id", ds->t[T_OPP].rows[first[row->lead]].id);
    js_addi(o, "opportunity_value", (int64_t)(h % 1000) * 100);
    js_adds(o, "opportunity_value_period", "one_time");
    js_adds(o, "opportunity_value_currency", "EUR");
    js_addi(o, "opportunity_confidence", 50);
    st_time_date(row->created, day); /* a date elsewhere, a timestamp here */
    js_addf(o, "opportunity_date_won", "%sT00:00:00+00:00", day);
}

static void
gen_custom(struct st_dataset *ds, js *o, uint64_t h)
{
    char id[56];
    st_id(id, "actitype", 22, st_row_seed(ds, T_ACTIVITY, 0x70000000 + (uint32_t)(h % 2)));
    js_adds(o, "custom_activity_type_id", id);
    js_adds(o, "status", h % 4 ? "published" : "draft");
    js_adds(o, "last_published_at", h % 4 ? js_str(o, "date_created") : NULL);
    js_adds(o, "source", "api");
    js_addb(o, "pinned", false);
    js_adds(o, "pinned_at", NULL);
    js_add(o, "mentions", json_object_new_array());
}

static void
gen_details(struct st_dataset *ds, js *o, const struct st_row *row, uint64_t h)
{
    uint32_t i = row->gen;
    switch ((enum st_act)row->kind) {
    case A_NOTE:
        gen_note(o, h, i);
        break;
    case A_CALL:
        gen_call(o, h, i);
        break;
    case A_EMAIL:
        gen_email(o, h, i);
        break;
    case A_SMS:
        gen_sms(o, h, i);
        break;
    case A_MEETING:
        gen_meeting(o, row, h);
        break;
    case A_CREATED:
        js_adds(o, "source", h % 2 ? "api" : "import");
        js_adds(o, "import_id", NULL);
        break;
    case A_LEAD_STATUS:
    case A_OPP_STATUS:
        gen_change(ds, o, row->kind, row, h);
        break;
    case A_TASK_DONE:
        js_adds(o, "task_text", "Call back");
        js_adds(o, "task_assigned_to", ds->user);
        break;
    case A_CUSTOM:
        gen_custom(ds, o, h);
        break;
    case A_MERGE:
    case A_COUNT:
        break;
    }
}

js *
st_gen_activity(struct st_dataset *ds, const struct st_row *row)
{
    uint64_t h = st_mix(st_row_seed(ds, T_ACTIVITY, row->gen) + 1);
    uint32_t i = row->gen, c = st_gen_contact_of(ds, row->lead, h);
    const char *user = st_nth_id(ds, T_USER, h % 5);
    js *o = json_object_new_object();
    js_adds(o, "id", row->id);
    js_adds(o, "_type", types[row->kind]);
    js_adds(o, "lead_id", row->lead == ST_NONE ? NULL : ds->t[T_LEAD].rows[row->lead].id);
    js_adds(o, "contact_id", c == ST_NONE || i % 3 == 0 ? NULL : ds->t[T_CONTACT].rows[c].id);
    js_adds(o, "user_id", i % 19 == 18 ? NULL : user);
    if (row->kind == A_MEETING)
        js_add(o, "users", one_string(user));
    else if (i % 4)
        js_add(o, "users", json_object_new_array());
    st_common(ds, o, row, false);
    if (i % 10 == 9)
        js_adds(o, "activity_at", NULL);
    else
        st_stamp(o, "activity_at", row->created, false);
    gen_details(ds, o, row, h);
    return o;
}

/* ---- the rest ---- */

static uint32_t
thread_of(struct st_dataset *ds, uint32_t lead)
{
    return lead / 10 < ds->t[T_THREAD].generated ? lead / 10 : 0;
}

static js *
gen_thread(struct st_dataset *ds, const struct st_row *row)
{
    const uint32_t *first = ds->t[T_ACTIVITY].first;
    js *o = json_object_new_object();
    js_adds(o, "id", row->id);
    js_adds(o, "object_id", ds->t[T_ACTIVITY].rows[first[row->lead]].id);
    js_adds(o, "object_type",
            ds->t[T_ACTIVITY].rows[first[row->lead]].kind == A_NOTE ? "activity.note"
                                                                    : "activity.call");
    js_adds(o, "lead_id", ds->t[T_LEAD].rows[row->lead].id);
    js_adds(o, "organization_id", ds->org);
    st_stamp(o, "created_at", row->created, false);
    st_stamp(o, "updated_at", row->updated, false);
    return o;
}

static js *
gen_comment(struct st_dataset *ds, const struct st_row *row)
{
    uint64_t h = st_mix(st_row_seed(ds, T_COMMENT, row->gen) + 1);
    bool removed = row->gen % 9 == 8;
    const char *who = st_nth_id(ds, T_USER, h % 2 ? 0 : h % 5);
    js *o = json_object_new_object();
    js_adds(o, "id", row->id);
    js_adds(o, "thread_id", ds->t[T_THREAD].rows[thread_of(ds, row->lead)].id);
    js_adds(o, "lead_id", ds->t[T_LEAD].rows[row->lead].id);
    js_adds(o, "organization_id", ds->org);
    if (removed)
        js_adds(o, "body", NULL);
    else
        js_addf(o, "body", "<body><p>Please check the %s quote</p></body>", st_word(h));
    js_add(o, "mentions", json_object_new_array());
    js_adds(o, "created_by", who);
    js_adds(o, "updated_by", who);
    js_adds(o, "removed_by", removed ? who : NULL);
    if (removed)
        st_stamp(o, "removed_at", row->updated, false);
    else
        js_adds(o, "removed_at", NULL);
    st_stamp(o, "created_at", row->created, false);
    st_stamp(o, "updated_at", row->updated, false);
    return o;
}

static js *
gen_sub(struct st_dataset *ds, const struct st_row *row)
{
    static const char *const states[][2] = {{"active", NULL},
                                            {"paused", "manual"},
                                            {"finished", NULL},
                                            {"goal", "reply-received"},
                                            {"error", "email-bounced"}};
    uint64_t h = st_mix(st_row_seed(ds, T_SUB, row->gen) + 1);
    uint32_t c = st_gen_contact_of(ds, row->lead, h);
    char id[56];
    js *o = json_object_new_object();
    js_adds(o, "id", row->id);
    js_adds(o, "sequence_id", st_nth_id(ds, T_SEQUENCE, row->gen % 4));
    js_adds(o, "contact_id", c == ST_NONE ? NULL : ds->t[T_CONTACT].rows[c].id);
    js_adds(o, "lead_id", ds->t[T_LEAD].rows[row->lead].id);
    if (row->gen % 4 == 3)
        js_adds(o, "contact_email", NULL);
    else
        js_addf(o, "contact_email", "contact%u.0@example.test", c == ST_NONE ? 0 : c);
    st_id(id, "emailacct", 43, st_row_seed(ds, T_USER, 500));
    js_adds(o, "sender_account_id", id);
    js_adds(o, "sender_email", ds->email);
    js_adds(o, "sender_name", "Ada Holm");
    js_add(o, "calls_assigned_to", json_object_new_array());
    js_adds(o, "status", states[h % 5][0]);
    js_adds(o, "status_reason", states[h % 5][1]);
    js_adds(o, "start_date", NULL);
    js_adds(o, "organization_id", ds->org);
    js_adds(o, "created_by_id", ds->user);
    js_adds(o, "updated_by_id", ds->user);
    st_stamp(o, "date_created", row->created, true);
    st_stamp(o, "date_updated", row->updated, true);
    return o;
}

static js *
gen_custobj(struct st_dataset *ds, const struct st_row *row)
{
    js *o = json_object_new_object();
    js_adds(o, "id", row->id);
    js_adds(o, "custom_object_type_id", st_nth_id(ds, T_COTYPE, row->gen % 2));
    js_adds(o, "lead_id", ds->t[T_LEAD].rows[row->lead].id);
    js_addf(o, "name", "%s %u", row->gen % 2 ? "Machine" : "Contract", row->gen);
    st_common(ds, o, row, false);
    return o;
}

static js *
gen_event(struct st_dataset *ds, const struct st_row *row)
{
    uint64_t h = st_mix(st_row_seed(ds, T_EVENT, row->gen) + 1);
    static const enum st_tab kinds[] = {T_LEAD, T_CONTACT, T_OPP};
    static const char *const names[] = {"lead", "contact", "opportunity"};
    size_t k = h % 3;
    uint32_t obj = row->lead;
    if (k && ds->t[kinds[k]].generated)
        obj = (uint32_t)((h >> 8) % ds->t[kinds[k]].generated);
    else
        k = 0;
    const struct st_row *about = &ds->t[kinds[k]].rows[obj];
    js *o = json_object_new_object(), *fields = json_object_new_array();
    js *data = json_object_new_object(), *prev = json_object_new_object();
    js_adds(o, "id", row->id);
    js_adds(o, "object_type", names[k]);
    js_adds(o, "object_id", about->id);
    js_adds(o, "action", "updated");
    js_adds(o, "lead_id", about->lead == ST_NONE ? NULL : ds->t[T_LEAD].rows[about->lead].id);
    js_adds(o, "user_id", row->gen % 7 ? st_nth_id(ds, T_USER, h % 5) : NULL);
    js_adds(o, "organization_id", ds->org);
    if (row->gen % 3)
        js_adds(o, "api_key_id", NULL);
    char id[56];
    st_id(id, "req", 22, h);
    js_adds(o, "request_id", row->gen % 5 ? id : NULL);
    json_object_array_add(fields, js_new_str(k == 1 ? "title" : "note"));
    js_add(o, "changed_fields", fields);
    js_adds(data, "id", about->id);
    js_adds(prev, k == 1 ? "title" : "note", "");
    js_add(o, "data", data);
    js_add(o, "previous_data", prev);
    js_add(o, "meta", json_object_new_object());
    st_stamp(o, "date_created", row->created, true);
    st_stamp(o, "date_updated", row->updated, true);
    return o;
}

js *
st_gen_minor(struct st_dataset *ds, enum st_tab t, const struct st_row *row)
{
    switch (t) {
    case T_THREAD:
        return gen_thread(ds, row);
    case T_COMMENT:
        return gen_comment(ds, row);
    case T_SUB:
        return gen_sub(ds, row);
    case T_CUSTOBJ:
        return gen_custobj(ds, row);
    case T_EVENT:
        return gen_event(ds, row);
    default:
        return json_object_new_object();
    }
}
