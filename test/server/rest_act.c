/*
 * Writing activities: notes, calls, emails, SMS.
 *
 * Messages are the dangerous part. A status that would make Close send something (outbox,
 * scheduled) is recorded in the outbox, so that a test can prove that nothing was sent. Only drafts
 * can be edited, a message not yet sent goes back to draft, and some statuses need a sender.
 */
#include "standin.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CU (W_CREATE | W_UPDATE)
#define END                                                                                        \
    {                                                                                              \
        NULL, V_ANY, 0, NULL, 0                                                                    \
    }
#define MESSAGE_STATES "inbox,draft,scheduled,outbox,sent,error"
#define IMPORT_FIELDS                                                                              \
    {"date_created", V_TIME, W_CREATE, NULL, 0}, {"activity_at", V_TIME, CU, NULL, 0},             \
        {"created_by_id", V_REF, W_CREATE, NULL, T_USER}, {"user_id", V_REF, CU, NULL, T_USER},    \
    {                                                                                              \
        "contact_id", V_REF, CU, NULL, T_CONTACT                                                   \
    }

static const struct st_field note_fields[] = {
    {"lead_id", V_REF, W_CREATE | W_REQUIRED, NULL, T_LEAD},
    {"note", V_STR, CU, NULL, 0},
    {"note_html", V_STR, CU, NULL, 0},
    {"title", V_STR, CU, NULL, 0},
    {"pinned", V_BOOL, CU, NULL, 0},
    {"attachments", V_LIST, CU, NULL, 0},
    IMPORT_FIELDS,
    END};
static const struct st_field call_fields[] = {
    {"lead_id", V_REF, CU, NULL, T_LEAD},
    {"status", V_CHOICE, CU, "created,in-progress,completed,cancel,no-answer,busy,failed,timeout",
     0},
    {"direction", V_CHOICE, W_CREATE, "inbound,outbound", 0},
    {"duration", V_INT, CU, NULL, 0},
    {"phone", V_STR, CU, NULL, 0},
    {"note", V_STR, CU, NULL, 0},
    {"note_html", V_STR, CU, NULL, 0},
    {"recording_url", V_STR, CU, NULL, 0},
    {"voicemail_url", V_STR, CU, NULL, 0},
    {"outcome_id", V_STR, CU, NULL, 0},
    {"source", V_STR, W_CREATE, NULL, 0},
    IMPORT_FIELDS,
    END};
static const struct st_field email_fields[] = {
    {"lead_id", V_REF, W_CREATE | W_REQUIRED, NULL, T_LEAD},
    {"status", V_CHOICE, CU | W_REQUIRED, MESSAGE_STATES, 0},
    {"sender", V_STR, CU, NULL, 0},
    {"to", V_STRINGS, CU, NULL, 0},
    {"cc", V_STRINGS, CU, NULL, 0},
    {"bcc", V_STRINGS, CU, NULL, 0},
    {"subject", V_STR, CU, NULL, 0},
    {"body_text", V_STR, CU, NULL, 0},
    {"body_html", V_STR, CU, NULL, 0},
    {"template_id", V_STR, CU, NULL, 0},
    {"attachments", V_LIST, CU, NULL, 0},
    {"in_reply_to_id", V_REF, CU, NULL, T_ACTIVITY},
    {"date_scheduled", V_TIME, CU, NULL, 0},
    {"followup_date", V_TIME, CU, NULL, 0},
    {"send_in", V_INT, CU, NULL, 0},
    IMPORT_FIELDS,
    END};
static const struct st_field sms_fields[] = {
    {"lead_id", V_REF, CU, NULL, T_LEAD},
    {"status", V_CHOICE, CU | W_REQUIRED, MESSAGE_STATES, 0},
    {"text", V_STR, CU, NULL, 0},
    {"local_phone", V_STR, CU, NULL, 0},
    {"remote_phone", V_STR, CU, NULL, 0},
    {"direction", V_CHOICE, W_CREATE, "inbound,outbound", 0},
    {"template_id", V_STR, CU, NULL, 0},
    {"source", V_STR, W_CREATE, NULL, 0},
    {"attachments", V_LIST, CU, NULL, 0},
    {"date_scheduled", V_TIME, CU, NULL, 0},
    {"send_in", V_INT, CU, NULL, 0},
    IMPORT_FIELDS,
    END};

static const struct st_writable act_w[] = {
    [A_NOTE] = {"Note", note_fields, false, false, -1},
    [A_CALL] = {"Call", call_fields, false, false, -1},
    [A_EMAIL] = {"Email", email_fields, false, false, -1},
    [A_SMS] = {"SMS", sms_fields, false, false, -1},
};

static bool
same(const char *a, const char *b)
{
    return a && b && strcmp(a, b) == 0;
}

static bool
leaves(const char *status)
{
    return same(status, "outbox") || same(status, "scheduled");
}

/* The rules of a message as it will be after the change; before is NULL on create. */
static bool
message_rules(struct st_call *c, int kind, js *after, js *before, js *in, struct st_answer *a)
{
    const char *status = js_str(after, "status"), *was = js_str(before, "status");
    if (before && !same(was, "draft")) {
        bool cancel = leaves(was) && same(js_str(in, "status"), "draft");
        if (!cancel || json_object_object_length(in) != 1) {
            st_fail(a, 400, "Only drafts can be edited.");
            return false;
        }
    }
    bool changed = !before || !same(status, was);
    if (kind == A_EMAIL && changed && !js_str(after, "sender") && !same(status, "draft") &&
        !same(status, "sent")) {
        st_fail_field(a, "sender", "This field is required.");
        return false;
    }
    if (same(status, "scheduled") && !js_str(after, "date_scheduled")) {
        st_fail_field(a, "date_scheduled", "This field is required.");
        return false;
    }
    if (kind == A_SMS && !same(js_str(after, "source"), "External") &&
        !same(js_str(after, "local_phone"), c->ds->phone)) {
        st_fail_field(a, "local_phone", "Not a valid internal phone number.");
        return false;
    }
    js *to = js_ref(after, "to");
    if (kind == A_EMAIL && leaves(status) && changed &&
        (!js_is(to, json_type_array) || json_object_array_length(to) == 0)) {
        st_fail_field(a, "to", "List must not be empty.");
        return false;
    }
    return true;
}

static void
fill(js *o, const char *key, js *value)
{
    if (json_object_object_get_ex(o, key, NULL))
        json_object_put(value);
    else
        js_add(o, key, value);
}

static void
note_defaults(js *o)
{
    fill(o, "note", js_new_str(""));
    fill(o, "note_html", js_new_str(""));
    fill(o, "title", NULL);
    fill(o, "pinned", json_object_new_boolean(false));
    fill(o, "pinned_at", NULL);
    fill(o, "note_mentions", json_object_new_array());
    fill(o, "attachments", json_object_new_array());
    fill(o, "source", js_new_str("api"));
}

static void
call_defaults(js *o)
{
    fill(o, "status", js_new_str("completed"));
    fill(o, "direction", js_new_str("outbound"));
    fill(o, "duration", json_object_new_int(0));
    fill(o, "source", js_new_str("External"));
    fill(o, "call_method", js_new_str("external"));
    fill(o, "disposition", js_new_str("answered"));
    fill(o, "phone", NULL);
    fill(o, "remote_phone", js_ref(o, "phone") ? json_object_get(js_ref(o, "phone")) : NULL);
    fill(o, "note", js_new_str(""));
    fill(o, "note_html", js_new_str(""));
    fill(o, "recording_url", NULL);
    fill(o, "voicemail_url", NULL);
    fill(o, "outcome_id", NULL);
    fill(o, "has_recording", json_object_new_boolean(false));
}

static void
message_defaults(struct st_call *c, int kind, js *o)
{
    bool in = same(js_str(o, "status"), "inbox"), sent = same(js_str(o, "status"), "sent");
    if (kind == A_EMAIL) {
        static const char *const lists[] = {"to",    "cc",         "bcc",         "attachments",
                                            "opens", "references", "message_ids", "send_attempts"};
        for (size_t i = 0; i < ST_LEN(lists); i++)
            fill(o, lists[i], json_object_new_array());
        fill(o, "direction", js_new_str(in ? "incoming" : "outgoing"));
        fill(o, "sender", js_new_str(c->ds->email));
        fill(o, "subject", js_new_str(""));
        fill(o, "body_text", js_new_str(""));
        fill(o, "body_html", js_new_str(""));
        fill(o, "has_reply", json_object_new_boolean(false));
        fill(o, "need_smtp_credentials", json_object_new_boolean(false));
        fill(o, "followup_sequence_add_cc_bcc", json_object_new_boolean(true));
        fill(o, "thread_id", NULL);
    } else {
        fill(o, "direction", js_new_str(in ? "inbound" : "outbound"));
        fill(o, "source", js_new_str("Close.io"));
        fill(o, "text", js_new_str(""));
        fill(o, "remote_phone", NULL);
        fill(o, "cost", NULL);
        fill(o, "error_message", NULL);
    }
    fill(o, "date_scheduled", NULL);
    fill(o, "date_sent", sent ? json_object_get(js_ref(o, "date_created")) : NULL);
}

static void
record(struct st_call *c, int kind, js *o, js *before)
{
    if (leaves(js_str(o, "status")) && !same(js_str(o, "status"), js_str(before, "status")))
        st_outbox(c, kind == A_EMAIL ? "email" : "sms", o);
}

void
st_act_create(struct st_call *c, int kind, struct st_answer *a)
{
    js *in = json_object_new_object();
    if (kind < 0 || kind > A_SMS) {
        st_fail(a, 405, "Method Not Allowed");
        json_object_put(in);
        return;
    }
    bool message = kind == A_EMAIL || kind == A_SMS;
    bool ok = st_check(c, &act_w[kind], true, in, a) &&
              (!message || message_rules(c, kind, in, NULL, in, a));
    if (ok && kind == A_CALL && !js_str(in, "lead_id") && !js_str(in, "contact_id")) {
        st_fail_field(a, "lead", "This field is required.");
        ok = false;
    }
    if (!ok) {
        json_object_put(in);
        return;
    }
    if (!message)
        st_couple_notes(in);
    uint32_t lead = st_lead_of(c->ds, js_str(in, "lead_id"));
    uint32_t contact = st_find(c->ds, T_CONTACT, js_str(in, "contact_id"));
    if (lead == ST_NONE && contact != ST_NONE)
        lead = c->ds->t[T_CONTACT].rows[contact].lead;
    js *o = st_base(c, T_ACTIVITY, "acti", 43, in);
    js_adds(o, "_type", st_act_type((enum st_act)kind));
    js_adds(o, "lead_id", lead == ST_NONE ? NULL : c->ds->t[T_LEAD].rows[lead].id);
    fill(o, "contact_id", NULL);
    fill(o, "user_id", js_new_str(c->ds->user));
    js_add(o, "users", json_object_new_array());
    fill(o, "activity_at", json_object_get(js_ref(o, "date_created")));
    if (js_str(o, "created_by_id"))
        js_adds(o, "created_by", js_str(o, "created_by_id"));
    json_object_object_del(o, "created_by_id");
    if (kind == A_NOTE)
        note_defaults(o);
    else if (kind == A_CALL)
        call_defaults(o);
    else
        message_defaults(c, kind, o);
    if (message)
        record(c, kind, o, NULL);
    json_object_put(in);
    st_reply_row(c, T_ACTIVITY, st_create_row(c, T_ACTIVITY, o, lead), 200, a);
}

/* For calls made by Close itself status, duration and direction are fixed. */
static bool
call_rules(js *before, js *in, struct st_answer *a)
{
    static const char *const fixed[] = {"status", "duration", "direction"};
    static const char *const media[] = {"recording_url", "voicemail_url"};
    if (same(js_str(before, "source"), "Close.io"))
        for (size_t i = 0; i < ST_LEN(fixed); i++)
            if (js_ref(in, fixed[i])) {
                st_fail_field(a, fixed[i], "This field cannot be changed for calls made by Close.");
                return false;
            }
    for (size_t i = 0; i < ST_LEN(media); i++)
        if (json_object_object_get_ex(in, media[i], NULL) && !js_ref(in, media[i])) {
            st_fail_field(a, media[i], "You do not have permission to delete recordings.");
            return false;
        }
    return true;
}

void
st_act_update(struct st_call *c, uint32_t row, struct st_answer *a)
{
    int kind = c->ds->t[T_ACTIVITY].rows[row].kind;
    if (kind > A_SMS) {
        st_fail(a, 405, "Method Not Allowed");
        return;
    }
    js *in = json_object_new_object();
    js *before = st_stored(c->ds, T_ACTIVITY, &c->ds->t[T_ACTIVITY].rows[row]);
    js *after = js_copy(before);
    bool message = kind == A_EMAIL || kind == A_SMS;
    bool ok = st_check(c, &act_w[kind], false, in, a);
    if (ok) {
        st_apply(after, in);
        if (message)
            ok = message_rules(c, kind, after, before, in, a);
        else if (kind == A_CALL)
            ok = call_rules(before, in, a);
    }
    if (ok) {
        if (!message)
            st_couple_notes(in);
        if (js_true(in, "pinned", false))
            st_stamp(in, "pinned_at", st_now(), false);
        if (js_str(in, "lead_id")) {
            c->ds->t[T_ACTIVITY].rows[row].lead = st_lead_of(c->ds, js_str(in, "lead_id"));
            c->ds->t[T_ACTIVITY].moved = true;
        }
        st_update_row(c, T_ACTIVITY, row, in);
        if (message)
            record(c, kind, after, before);
        st_reply_row(c, T_ACTIVITY, row, 200, a);
    }
    json_object_put(after);
    json_object_put(before);
    json_object_put(in);
}
