/*
 * Comments, sequences and their subscriptions, events, and the jobs (bulk delete and edit, export,
 * field enrichment, activity report).
 *
 * Removing a comment empties it; the object stays until every comment of its thread is removed,
 * then the thread goes. Events can only be walked by date: 50 at most, newest first, and only the
 * filter combinations that the service documents. Bulk and export jobs are checked and recorded but
 * never carried out: no tool can poll them, so no client can see a difference but the objects.
 */
#include "standin.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CU (W_CREATE | W_UPDATE)
#define END                                                                                        \
    {                                                                                              \
        NULL, V_ANY, 0, NULL, 0                                                                    \
    }

static bool
same(const char *a, const char *b)
{
    return a && b && strcmp(a, b) == 0;
}

/* ---- comments ---- */

static const struct st_field comment_fields[] = {
    {"object_id", V_STR, W_CREATE | W_REQUIRED, NULL, 0},
    {"body", V_STR, CU | W_REQUIRED, NULL, 0},
    END};
static const struct st_writable comment_w = {"Comment", comment_fields, true, true, -1};

static uint32_t
thread_for(struct st_call *c, const char *object, uint32_t lead, const char *type)
{
    const struct st_table *tab = &c->ds->t[T_THREAD];
    for (uint32_t i = 0; i < tab->n_live; i++) {
        js *o = st_stored(c->ds, T_THREAD, &tab->rows[tab->order[i]]);
        bool hit = same(js_str(o, "object_id"), object);
        json_object_put(o);
        if (hit)
            return tab->order[i];
    }
    js *in = json_object_new_object();
    js *o = st_base(c, T_THREAD, "comthr", 22, in);
    json_object_put(in);
    json_object_object_del(o, "created_by");
    json_object_object_del(o, "updated_by");
    js_adds(o, "object_id", object);
    js_adds(o, "object_type", type);
    js_adds(o, "lead_id", lead == ST_NONE ? NULL : c->ds->t[T_LEAD].rows[lead].id);
    return st_create_row(c, T_THREAD, o, lead);
}

void
st_comment_create(struct st_call *c, struct st_answer *a)
{
    static const enum st_tab can[] = {T_ACTIVITY, T_OPP};
    static const char *const names[] = {"activity.note", "opportunity"};
    js *in = json_object_new_object();
    if (!st_check(c, &comment_w, true, in, a)) {
        json_object_put(in);
        return;
    }
    uint32_t row = ST_NONE;
    size_t k = 0;
    for (; k < ST_LEN(can); k++)
        if ((row = st_find(c->ds, can[k], js_str(in, "object_id"))) != ST_NONE)
            break;
    if (row == ST_NONE) {
        st_fail_field(a, "object_id", "Object does not exist.");
        json_object_put(in);
        return;
    }
    uint32_t lead = c->ds->t[can[k]].rows[row].lead;
    uint32_t thread = thread_for(c, js_str(in, "object_id"), lead, names[k]);
    json_object_object_del(in, "object_id");
    js *o = st_base(c, T_COMMENT, "comm", 22, in);
    js_adds(o, "thread_id", c->ds->t[T_THREAD].rows[thread].id);
    js_adds(o, "lead_id", lead == ST_NONE ? NULL : c->ds->t[T_LEAD].rows[lead].id);
    js_add(o, "mentions", json_object_new_array());
    js_adds(o, "removed_by", NULL);
    js_adds(o, "removed_at", NULL);
    json_object_put(in);
    st_reply_row(c, T_COMMENT, st_create_row(c, T_COMMENT, o, lead), 201, a);
}

static bool
own_comment(struct st_call *c, uint32_t row, struct st_answer *a)
{
    js *o = st_stored(c->ds, T_COMMENT, &c->ds->t[T_COMMENT].rows[row]);
    bool own = same(js_str(o, "created_by"), c->ds->user);
    json_object_put(o);
    if (!own)
        st_fail(a, 403, "You can only change your own comments.");
    return own;
}

void
st_comment_update(struct st_call *c, uint32_t row, struct st_answer *a)
{
    js *in = json_object_new_object();
    if (st_check(c, &comment_w, false, in, a) && own_comment(c, row, a)) {
        st_update_row(c, T_COMMENT, row, in);
        st_reply_row(c, T_COMMENT, row, 200, a);
    }
    json_object_put(in);
}

void
st_comment_delete(struct st_call *c, uint32_t row, struct st_answer *a)
{
    if (!own_comment(c, row, a))
        return;
    js *gone = json_object_new_object();
    js_adds(gone, "body", NULL);
    js_adds(gone, "removed_by", c->ds->user);
    st_stamp(gone, "removed_at", st_now(), false);
    st_update_row(c, T_COMMENT, row, gone);
    json_object_put(gone);
    const char *thread = js_str(c->ds->t[T_COMMENT].rows[row].obj, "thread_id");
    uint32_t *rows, left = 0;
    uint32_t n = st_children(c->ds, T_COMMENT, c->ds->t[T_COMMENT].rows[row].lead, &rows);
    for (int pass = 0; pass < 2 && !left; pass++)
        for (uint32_t i = 0; i < n; i++) {
            js *o = st_stored(c->ds, T_COMMENT, &c->ds->t[T_COMMENT].rows[rows[i]]);
            if (same(js_str(o, "thread_id"), thread)) {
                if (pass)
                    st_remove(c->ds, T_COMMENT, rows[i]);
                else
                    left += js_ref(o, "removed_at") == NULL;
            }
            json_object_put(o);
        }
    free(rows);
    uint32_t t = st_find(c->ds, T_THREAD, thread);
    if (!left && t != ST_NONE)
        st_delete_row(c, T_THREAD, t);
    st_ok(a, 204, NULL);
}

/* ---- sequences ---- */

static const struct st_field seq_fields[] = {{"name", V_STR, CU | W_REQUIRED, NULL, 0},
                                             {"steps", V_LIST, CU, NULL, 0},
                                             {"schedule", V_DICT, CU, NULL, 0},
                                             {"timezone", V_STR, CU, NULL, 0},
                                             {"status", V_CHOICE, CU, "active,paused,draft", 0},
                                             END};
static const struct st_writable seq_w = {"Sequence", seq_fields, false, false, -1};

/* Gives ids to new steps; steps named only by id keep what they were. False: unknown id. */
static bool
merge_steps(struct st_call *c, js *in, js *old, struct st_answer *a)
{
    js *list = js_ref(in, "steps"), *was = js_ref(old, "steps"), *out;
    if (!list)
        return true;
    out = json_object_new_array();
    for (size_t i = 0; i < json_object_array_length(list); i++) {
        js *s = json_object_array_get_idx(list, i), *found = NULL;
        const char *id = js_str(s, "id");
        for (size_t k = 0; id && was && k < json_object_array_length(was); k++)
            if (same(js_str(json_object_array_get_idx(was, k), "id"), id))
                found = js_copy(json_object_array_get_idx(was, k));
        if (!js_is(s, json_type_object) || (id && !found)) {
            st_fail_field(a, "steps",
                          id ? "Object does not exist." : "Value must be of dict type.");
            json_object_put(out);
            return false;
        }
        if (!found) {
            char fresh[56];
            found = json_object_new_object();
            st_new_id(c->ds, "seqstep", 22, fresh);
            js_adds(found, "id", fresh);
        }
        st_apply(found, s);
        json_object_array_add(out, found);
    }
    js_add(in, "steps", out);
    return true;
}

void
st_sequence_create(struct st_call *c, struct st_answer *a)
{
    js *in = json_object_new_object();
    if (st_check(c, &seq_w, true, in, a) && merge_steps(c, in, NULL, a)) {
        js *o = st_base(c, T_SEQUENCE, "seq", 22, in);
        if (!js_str(o, "status"))
            js_adds(o, "status", "active"); /* a new one comes back active */
        if (!js_ref(o, "steps"))
            js_add(o, "steps", json_object_new_array());
        if (!js_ref(o, "schedule"))
            js_add(o, "schedule", NULL);
        if (!js_ref(o, "timezone"))
            js_add(o, "timezone", NULL);
        st_reply_row(c, T_SEQUENCE, st_create_row(c, T_SEQUENCE, o, ST_NONE), 200, a);
    }
    json_object_put(in);
}

void
st_sequence_update(struct st_call *c, uint32_t row, struct st_answer *a)
{
    js *in = json_object_new_object();
    if (st_check(c, &seq_w, false, in, a) &&
        merge_steps(c, in, c->ds->t[T_SEQUENCE].rows[row].obj, a)) {
        st_update_row(c, T_SEQUENCE, row, in);
        st_reply_row(c, T_SEQUENCE, row, 200, a);
    }
    json_object_put(in);
}

static const struct st_field sub_fields[] = {
    {"contact_id", V_REF, W_CREATE | W_REQUIRED, NULL, T_CONTACT},
    {"sequence_id", V_REF, W_CREATE | W_REQUIRED, NULL, T_SEQUENCE},
    {"contact_email", V_STR, W_CREATE, NULL, 0},
    {"sender_account_id", V_STR, W_CREATE, NULL, 0},
    {"sender_name", V_STR, W_CREATE, NULL, 0},
    {"sender_email", V_STR, W_CREATE, NULL, 0},
    {"calls_assigned_to", V_LIST, W_CREATE, NULL, 0},
    {"status", V_CHOICE, W_UPDATE | W_REQUIRED, "active,paused", 0},
    END};
static const struct st_writable sub_w = {"Subscription", sub_fields, false, false, -1};

static bool
has_email_step(js *seq)
{
    js *steps = js_ref(seq, "steps");
    for (size_t i = 0; steps && i < json_object_array_length(steps); i++)
        if (same(js_str(json_object_array_get_idx(steps, i), "step_type"), "email"))
            return true;
    return false;
}

static bool
sub_active(struct st_call *c, const char *contact, const char *seq)
{
    const struct st_table *tab = &c->ds->t[T_SUB];
    for (uint32_t i = 0; i < tab->n_live; i++) {
        js *o = st_stored(c->ds, T_SUB, &tab->rows[tab->order[i]]);
        bool hit = same(js_str(o, "contact_id"), contact) && same(js_str(o, "sequence_id"), seq) &&
                   same(js_str(o, "status"), "active");
        json_object_put(o);
        if (hit)
            return true;
    }
    return false;
}

void
st_sub_create(struct st_call *c, struct st_answer *a)
{
    static const char *const nulls[] = {"contact_email", "sender_account_id", "sender_name",
                                        "sender_email", "start_date"};
    js *in = json_object_new_object(), *body = c->body;
    struct st_writable w = sub_w;
    struct st_field create_fields[ST_LEN(sub_fields)];
    memcpy(create_fields, sub_fields, sizeof sub_fields);
    create_fields[ST_LEN(sub_fields) - 2].flags = 0; /* status is no input of create */
    w.fields = create_fields;
    bool ok = js_is(body, json_type_object) && st_check(c, &w, true, in, a);
    const char *contact = js_str(in, "contact_id"), *seq = js_str(in, "sequence_id");
    if (ok && has_email_step(st_row_obj_ref(c->ds, T_SEQUENCE, seq)) &&
        !js_str(in, "sender_account_id")) {
        st_fail_field(a, "sender_account_id", "This field is required.");
        ok = false;
    }
    if (ok && sub_active(c, contact, seq)) {
        st_fail_field(a, "contact_id", "The contact is already subscribed to this sequence.");
        ok = false;
    }
    if (ok) {
        uint32_t lead = c->ds->t[T_CONTACT].rows[st_find(c->ds, T_CONTACT, contact)].lead;
        js *o = st_base(c, T_SUB, "sub", 22, in);
        for (size_t i = 0; i < ST_LEN(nulls); i++)
            if (!js_ref(o, nulls[i]))
                js_adds(o, nulls[i], NULL);
        if (!js_ref(o, "calls_assigned_to"))
            js_add(o, "calls_assigned_to", json_object_new_array());
        js_adds(o, "lead_id", lead == ST_NONE ? NULL : c->ds->t[T_LEAD].rows[lead].id);
        js_adds(o, "status", "active");
        js_adds(o, "status_reason", NULL);
        st_outbox(c, "sequence", o);
        st_reply_row(c, T_SUB, st_create_row(c, T_SUB, o, lead), 201, a);
    }
    json_object_put(in);
}

void
st_sub_update(struct st_call *c, uint32_t row, struct st_answer *a)
{
    js *in = json_object_new_object();
    if (st_check(c, &sub_w, false, in, a)) {
        bool pause = same(js_str(in, "status"), "paused");
        if (js_str(in, "status"))
            js_adds(in, "status_reason", pause ? "manual" : NULL);
        st_update_row(c, T_SUB, row, in);
        if (js_str(in, "status") && !pause)
            st_outbox(c, "sequence", c->ds->t[T_SUB].rows[row].obj);
        st_reply_row(c, T_SUB, row, 200, a);
    }
    json_object_put(in);
}

/* ---- events ---- */

static const char *const event_keys[] = {"object_type", "object_id", "lead_id",
                                         "user_id",     "action",    "request_id"};

/* Bits in the order of event_keys; a date range may go with each. */
static bool
event_combination(unsigned have)
{
    enum { OT = 1, OI = 2, LE = 4, US = 8, AC = 16, RE = 32 };
    static const unsigned allowed[] = {
        0,       OT | OI,      OT | AC,      OI | AC,      LE,
        LE | OT, LE | OT | AC, LE | US,      LE | US | OT, LE | US | OT | AC,
        US,      US | OI,      US | OI | AC, US | OT,      US | OT | AC,
        RE};
    for (size_t i = 0; i < ST_LEN(allowed); i++)
        if (allowed[i] == have)
            return true;
    return false;
}

static bool
event_range(struct st_call *c, int64_t us, struct st_answer *a)
{
    static const char *const ops[] = {"gt", "gte", "lt", "lte"};
    for (size_t i = 0; i < ST_LEN(ops); i++) {
        char key[40];
        int64_t bound;
        bool date_only;
        snprintf(key, sizeof key, "date_updated__%s", ops[i]);
        const char *v = js_str(c->query, key);
        if (!v)
            continue;
        if (!st_time_parse(v, c->tz, &bound, &date_only)) {
            st_fail_field(a, key, "Could not parse datetime");
            return false;
        }
        bool ok = i == 0 ? us > bound : i == 1 ? us >= bound : i == 2 ? us < bound : us <= bound;
        if (!ok)
            return false;
    }
    return true;
}

static bool
event_hit(struct st_call *c, const struct st_row *row, unsigned have, struct st_answer *a)
{
    if (!event_range(c, row->updated, a))
        return false;
    if (!have)
        return true;
    js *o = st_stored(c->ds, T_EVENT, row);
    bool ok = true;
    for (size_t k = 0; ok && k < ST_LEN(event_keys); k++)
        if (have & (1u << k))
            ok = same(js_str(o, event_keys[k]), js_str(c->query, event_keys[k]));
    json_object_put(o);
    return ok;
}

void
st_rest_events(struct st_call *c, struct st_answer *a)
{
    int64_t cap = st_page_cap(c->app, st_resource_of(T_EVENT, -1)), limit = cap;
    const struct st_table *tab = &c->ds->t[T_EVENT];
    const char *text = js_str(c->query, "_limit"), *cursor = js_str(c->query, "_cursor");
    char *end = NULL;
    unsigned have = 0;
    if (text) {
        limit = strtoll(text, &end, 10);
        if (*end || limit < 0) {
            st_fail(a, 400, "_limit must be an integer (got \"%.80s\" instead).", text);
            return;
        }
        if (limit > cap) {
            st_fail_field(a, "_limit", "Input should be less than or equal to %lld",
                          (long long)cap);
            return;
        }
    }
    for (size_t k = 0; k < ST_LEN(event_keys); k++)
        if (js_str(c->query, event_keys[k]))
            have |= 1u << k;
    if (!event_combination(have)) {
        st_fail(a, 400, "This combination of filters is not supported.");
        return;
    }
    js *rows = json_object_new_array();
    uint32_t from = tab->n_live, i;
    if (cursor)
        from = (uint32_t)strtoul(cursor, NULL, 10) % (tab->n_live + 1);
    for (i = from; i > 0 && (int64_t)json_object_array_length(rows) < limit && !a->status; i--)
        if (event_hit(c, &tab->rows[tab->order[i - 1]], have, a))
            json_object_array_add(rows,
                                  st_render(c->ds, T_EVENT, &tab->rows[tab->order[i - 1]], NULL));
    if (a->status) { /* a date could not be parsed */
        json_object_put(rows);
        return;
    }
    js *o = json_object_new_object();
    js_add(o, "data", rows);
    if (i)
        js_addf(o, "cursor_next", "%u", i);
    else
        js_adds(o, "cursor_next", NULL);
    js_adds(o, "cursor_previous", NULL);
    st_ok(a, 200, o);
}

/* ---- jobs ---- */

static void
job_add(struct st_call *c, const char *prefix, const char *status, struct st_answer *a)
{
    js *empty = json_object_new_object();
    js *o = st_base(c, T_JOB, prefix, 22, empty);
    json_object_put(empty);
    json_object_object_foreach(c->body, key, v) js_add(o, key, js_copy(v));
    js_adds(o, "status", status);
    js_add(o, "n_objects", NULL);
    js_addi(o, "n_objects_processed", 0);
    if (strcmp(prefix, "expo") == 0)
        js_add(o, "download_url", NULL);
    uint32_t row = st_append(c->ds, T_JOB, o, ST_NONE, ST_NONE);
    st_reply_row(c, T_JOB, row, 200, a);
}

static bool
job_required(struct st_call *c, const char *key, enum json_type type, struct st_answer *a)
{
    js *v = js_ref(c->body, key);
    if (!v)
        st_fail_field(a, key, "This field is required.");
    else if (!js_is(v, type))
        st_fail_field(a, key, "Value must be of %s type.",
                      type == json_type_object  ? "dict"
                      : type == json_type_array ? "list"
                                                : "str");
    else
        return true;
    return false;
}

static void
bulk_edit(struct st_call *c, struct st_answer *a)
{
    const char *type = js_str(c->body, "type");
    if (same(type, "set_lead_status")) {
        if (!job_required(c, "lead_status_id", json_type_string, a))
            return;
    } else if (same(type, "clear_custom_field") || same(type, "set_custom_field")) {
        if (!js_str(c->body, "custom_field_name") &&
            !job_required(c, "custom_field_id", json_type_string, a))
            return;
        if (same(type, "set_custom_field") && !js_ref(c->body, "custom_field_value") &&
            !js_ref(c->body, "custom_field_values")) {
            st_fail_field(a, "custom_field_value", "This field is required.");
            return;
        }
    } else {
        st_fail_field(a, "type", type ? "Not a valid choice." : "This field is required.");
        return;
    }
    job_add(c, "bulkedit", "created", a);
}

static void
enrich(struct st_call *c, struct st_answer *a)
{
    static const char *const ids[] = {"organization_id", "object_type", "object_id", "field_id"};
    for (size_t i = 0; i < ST_LEN(ids); i++)
        if (!job_required(c, ids[i], json_type_string, a))
            return;
    const char *type = js_str(c->body, "object_type"), *id = js_str(c->body, "object_id");
    bool lead = same(type, "lead");
    if (!lead && !same(type, "contact")) {
        st_fail_field(a, "object_type", "Not a valid choice.");
        return;
    }
    enum st_tab t = lead ? T_LEAD : T_CONTACT;
    uint32_t row = st_find(c->ds, t, id);
    js *field = st_row_obj_ref(c->ds, lead ? T_CF_LEAD : T_CF_CONTACT, js_str(c->body, "field_id"));
    if (row == ST_NONE || !field) {
        st_fail_field(a, row == ST_NONE ? "object_id" : "field_id", "Object does not exist.");
        return;
    }
    char key[80];
    snprintf(key, sizeof key, "custom.%s", js_str(field, "id"));
    js *old = st_stored(c->ds, t, &c->ds->t[t].rows[row]), *o = json_object_new_object();
    bool write = js_true(c->body, "set_new_value", true) &&
                 (!js_ref(old, key) || js_true(c->body, "overwrite_existing_value", false));
    for (size_t i = 0; i < ST_LEN(ids); i++)
        js_adds(o, ids[i], js_str(c->body, ids[i]));
    js_adds(o, "value", "enriched");
    js_adds(o, "confidence", "high");
    js_adds(o, "reasoning", "Invented by the stand-in.");
    if (write && same(js_str(field, "type"), "text")) {
        js *ch = json_object_new_object();
        js_adds(ch, key, "enriched");
        st_update_row(c, t, row, ch);
        json_object_put(ch);
    }
    json_object_put(old);
    st_ok(a, 200, o);
}

static void
report(struct st_call *c, struct st_answer *a)
{
    if (!job_required(c, "metrics", json_type_array, a) ||
        !job_required(c, "type", json_type_string, a))
        return;
    if (!js_ref(c->body, "datetime_range") == !js_ref(c->body, "relative_range")) {
        st_fail_field(a, "datetime_range", "Exactly one of datetime_range and relative_range.");
        return;
    }
    js *o = json_object_new_object(), *row = json_object_new_object();
    js *data = json_object_new_array(), *agg = json_object_new_object();
    js *metrics = js_ref(c->body, "metrics"), *totals = json_object_new_object();
    js_adds(row, "datetime", "2026-08-31T00:00:00+00:00");
    for (size_t i = 0; i < json_object_array_length(metrics); i++) {
        const char *m = json_object_get_string(json_object_array_get_idx(metrics, i));
        js_addi(row, m, (int64_t)(st_hash(m) % 100));
        js_addi(totals, m, (int64_t)(st_hash(m) % 100));
    }
    json_object_array_add(data, row);
    js_add(o, "data", data);
    js_add(agg, "totals", totals);
    js_add(o, "aggregations", agg);
    js_add(o, "queries", json_object_new_array());
    st_ok(a, 200, o);
}

static void
export_lead(struct st_call *c, struct st_answer *a)
{
    const char *format = js_str(c->body, "format");
    if (!same(format, "csv") && !same(format, "json"))
        st_fail_field(a, "format", format ? "Not a valid choice." : "This field is required.");
    else
        job_add(c, "expo", "created", a);
}

/* True: the path is one of these. */
bool
st_rest_jobs(struct st_call *c, struct st_answer *a)
{
    static const char *const posts[] = {"/bulk_action/delete/", "/bulk_action/edit/",
                                        "/export/lead/", "/enrich_field/", "/report/activity/"};
    static const char *const gets[] = {"/bulk_action/delete/", "/bulk_action/edit/",
                                       "/export/lead/", "/export/"};
    for (size_t i = 0; i < ST_LEN(posts) && strcmp(c->method, "POST") == 0; i++) {
        if (strcmp(c->path, posts[i]))
            continue;
        if (!st_body_object(c, a))
            return true;
        if (i == 0 && job_required(c, "s_query", json_type_object, a))
            job_add(c, "bulkdelete", "created", a);
        else if (i == 1 && job_required(c, "s_query", json_type_object, a))
            bulk_edit(c, a);
        else if (i == 2)
            export_lead(c, a);
        else if (i == 3)
            enrich(c, a);
        else if (i == 4)
            report(c, a);
        return true;
    }
    for (size_t i = 0; i < ST_LEN(gets) && strcmp(c->method, "GET") == 0; i++) {
        if (!st_has_prefix(c->path, gets[i]) || !c->path[strlen(gets[i])])
            continue;
        char id[80];
        snprintf(id, sizeof id, "%.79s", c->path + strlen(gets[i]));
        id[strcspn(id, "/")] = 0;
        uint32_t row = st_find(c->ds, T_JOB, id);
        if (row == ST_NONE)
            st_not_found(a, "BulkAction");
        else
            st_reply_row(c, T_JOB, row, 200, a);
        return true;
    }
    return false;
}
