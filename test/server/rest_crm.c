/*
 * Writing leads, contacts, opportunities and tasks.
 *
 * Side effects that a client may not expect and that are faithful: a contact or an opportunity
 * without lead_id makes a lead, a status change leaves an activity, a won status sets date_won,
 * completing a task leaves an activity, deleting a lead takes everything that belongs to it.
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

static js *
answer_ok(void)
{
    return json_object_new_object();
}

/* An activity that Close writes by itself. */
static js *
activity_new(struct st_call *c, enum st_act kind, uint32_t lead, const char *contact)
{
    js *in = json_object_new_object();
    js *o = st_base(c, T_ACTIVITY, "acti", 43, in);
    json_object_put(in);
    js_adds(o, "_type", st_act_type(kind));
    js_adds(o, "lead_id", lead == ST_NONE ? NULL : c->ds->t[T_LEAD].rows[lead].id);
    js_adds(o, "contact_id", contact);
    js_adds(o, "user_id", c->ds->user);
    js_add(o, "users", json_object_new_array());
    st_stamp(o, "activity_at", st_now(), false);
    return o;
}

static void
status_activity(struct st_call *c, enum st_act kind, uint32_t lead, js *before, js *after)
{
    enum st_tab t = kind == A_LEAD_STATUS ? T_LSTATUS : T_OSTATUS;
    const char *was = js_str(before, "status_id"), *is = js_str(after, "status_id");
    if (!was || !is || strcmp(was, is) == 0)
        return;
    js *o = activity_new(c, kind, lead, NULL);
    js *old = st_row_obj_ref(c->ds, t, was), *new = st_row_obj_ref(c->ds, t, is);
    js_adds(o, "old_status_id", was);
    js_adds(o, "old_status_label", js_str(old, "label"));
    js_adds(o, "new_status_id", is);
    js_adds(o, "new_status_label", js_str(new, "label"));
    if (kind == A_OPP_STATUS) {
        js_adds(o, "old_status_type", js_str(old, "type"));
        js_adds(o, "new_status_type", js_str(new, "type"));
        js_adds(o, "old_pipeline_id", js_str(old, "pipeline_id"));
        js_adds(o, "new_pipeline_id", js_str(new, "pipeline_id"));
        js_adds(o, "opportunity_id", js_str(after, "id"));
        if (js_ref(after, "value"))
            js_addi(o, "opportunity_value", js_int(after, "value", 0));
        js_addi(o, "opportunity_confidence", js_int(after, "confidence", 0));
        js_adds(o, "opportunity_value_period", js_str(after, "value_period"));
        js_adds(o, "opportunity_value_currency", "EUR");
    }
    st_create_row(c, T_ACTIVITY, o, lead);
}

/* ---- leads ---- */

static const struct st_field lead_fields[] = {{"name", V_STR, CU, NULL, 0},
                                              {"description", V_STR, CU, NULL, 0},
                                              {"url", V_STR, CU, NULL, 0},
                                              {"status_id", V_REF, CU, NULL, T_LSTATUS},
                                              {"status", V_STR, CU, NULL, 0},
                                              {"addresses", V_LIST, CU, NULL, 0},
                                              {"contacts", V_LIST, W_CREATE, NULL, 0},
                                              END};
static const struct st_writable lead_w = {"Lead", lead_fields, false, false, T_CF_LEAD};

/* Turns a label into an id and refuses both at once. */
static bool
lead_status(struct st_call *c, js *in, struct st_answer *a)
{
    const char *label = js_str(in, "status");
    if (!label)
        return true;
    if (js_str(in, "status_id")) {
        st_fail_field(a, "status", "Only one of status and status_id can be given.");
        return false;
    }
    const struct st_table *tab = &c->ds->t[T_LSTATUS];
    for (uint32_t i = 0; i < tab->n_live; i++)
        if (strcmp(js_str(tab->rows[tab->order[i]].obj, "label"), label) == 0)
            js_adds(in, "status_id", tab->rows[tab->order[i]].id);
    json_object_object_del(in, "status");
    if (js_str(in, "status_id"))
        return true;
    st_fail_field(a, "status", "Object does not exist.");
    return false;
}

static uint32_t
lead_store(struct st_call *c, js *in)
{
    js *o = st_base(c, T_LEAD, "lead", 43, in);
    json_object_object_del(o, "contacts");
    static const char *const text[] = {"name", "description"};
    for (size_t i = 0; i < ST_LEN(text); i++)
        if (!js_ref(o, text[i]))
            js_adds(o, text[i], "");
    if (!json_object_object_get_ex(o, "url", NULL))
        js_adds(o, "url", NULL);
    if (!js_ref(o, "addresses"))
        js_add(o, "addresses", json_object_new_array());
    if (!js_ref(o, "status_id") && c->ds->t[T_LSTATUS].n_live)
        js_adds(o, "status_id", c->ds->t[T_LSTATUS].rows[c->ds->t[T_LSTATUS].order[0]].id);
    js_add(o, "integration_links", json_object_new_array());
    js_adds(o, "source", "api");
    js_addf(o, "html_url", "https://app.close.com/lead/%s/", js_str(o, "id"));
    uint32_t row = st_create_row(c, T_LEAD, o, ST_NONE);
    js *act = activity_new(c, A_CREATED, row, NULL);
    js_adds(act, "source", "api");
    js_adds(act, "import_id", NULL);
    st_create_row(c, T_ACTIVITY, act, row);
    return row;
}

uint32_t
st_make_lead(struct st_call *c, const char *name)
{
    js *in = json_object_new_object();
    if (name)
        js_adds(in, "name", name);
    uint32_t row = lead_store(c, in);
    json_object_put(in);
    return row;
}

static uint32_t contact_store(struct st_call *c, js *in, uint32_t lead);
static const struct st_writable contact_w;

void
st_lead_create(struct st_call *c, struct st_answer *a)
{
    js *in = json_object_new_object(), *people = json_object_new_array();
    bool ok = st_check(c, &lead_w, true, in, a) && lead_status(c, in, a);
    js *contacts = js_ref(in, "contacts");
    for (size_t i = 0; ok && contacts && i < json_object_array_length(contacts); i++) {
        struct st_call nested = *c;
        js *person = json_object_new_object();
        nested.body = json_object_array_get_idx(contacts, i);
        if (!js_is(nested.body, json_type_object)) {
            st_fail_field(a, "contacts", "Value must be of dict type.");
            ok = false;
        } else
            ok = st_check(&nested, &contact_w, true, person, a);
        json_object_array_add(people, person);
    }
    if (ok) {
        uint32_t row = lead_store(c, in);
        for (size_t i = 0; i < json_object_array_length(people); i++)
            contact_store(c, json_object_array_get_idx(people, i), row);
        st_reply_row(c, T_LEAD, row, 200, a);
    }
    json_object_put(people);
    json_object_put(in);
}

void
st_lead_update(struct st_call *c, uint32_t row, struct st_answer *a)
{
    js *in = json_object_new_object();
    if (st_check(c, &lead_w, false, in, a) && lead_status(c, in, a)) {
        js *before = st_stored(c->ds, T_LEAD, &c->ds->t[T_LEAD].rows[row]);
        st_update_row(c, T_LEAD, row, in);
        status_activity(c, A_LEAD_STATUS, row, before, c->ds->t[T_LEAD].rows[row].obj);
        json_object_put(before);
        st_reply_row(c, T_LEAD, row, 200, a);
    }
    json_object_put(in);
}

static const enum st_tab parts[] = {T_CONTACT, T_OPP, T_TASK,   T_ACTIVITY,
                                    T_COMMENT, T_SUB, T_THREAD, T_CUSTOBJ};

void
st_lead_cascade(struct st_call *c, uint32_t row)
{
    for (size_t p = 0; p < ST_LEN(parts); p++) {
        uint32_t *rows, n = st_children(c->ds, parts[p], row, &rows);
        for (uint32_t i = 0; i < n; i++)
            st_remove(c->ds, parts[p], rows[i]);
        free(rows);
    }
}

/* As seen live: an empty answer, and for a while the lead can still be read and listed, while a
 * second delete gets 404. The removal itself then is a mutation with a due time. */
void
st_lead_delete(struct st_call *c, uint32_t row, struct st_answer *a)
{
    int64_t lag = c->app->cfg.delete_lag_ms;
    if (lag <= 0) {
        st_lead_cascade(c, row);
        st_delete_row(c, T_LEAD, row);
    } else {
        struct st_row *r = &c->ds->t[T_LEAD].rows[row];
        js *m = json_object_new_object(), *last = st_stored(c->ds, T_LEAD, r);
        js_adds(m, "op", "delete");
        js_adds(m, "table", "leads");
        js_adds(m, "id", r->id);
        js_adds(m, "identifier", c->identifier);
        js_addi(m, "due", st_now() + lag * 1000);
        json_object_array_add(c->app->mutations, m);
        r->dying = true;
        st_event(c, T_LEAD, row, "deleted", NULL, last);
        json_object_put(last);
    }
    st_ok(a, 200, NULL);
}

void
st_lead_merge(struct st_call *c, struct st_answer *a)
{
    static const char *const keys[] = {"source", "destination"};
    uint32_t row[2];
    for (int i = 0; i < 2; i++) {
        const char *id = js_str(c->body, keys[i]);
        if (!id) {
            st_fail_field(a, keys[i], "This field is required.");
            return;
        }
        row[i] = st_find(c->ds, T_LEAD, id);
        if (row[i] == ST_NONE) {
            st_fail_field(a, keys[i], "Object does not exist.");
            return;
        }
    }
    if (row[0] == row[1]) {
        st_fail_field(a, "destination", "A lead cannot be merged into itself.");
        return;
    }
    const char *dest = c->ds->t[T_LEAD].rows[row[1]].id;
    js *act = activity_new(c, A_MERGE, row[1], NULL);
    js *from = st_stored(c->ds, T_LEAD, &c->ds->t[T_LEAD].rows[row[0]]);
    js *to = st_stored(c->ds, T_LEAD, &c->ds->t[T_LEAD].rows[row[1]]);
    js_adds(act, "source_lead_id", js_str(from, "id"));
    js_adds(act, "source_display_name", js_str(from, "name"));
    js_adds(act, "destination_lead_id", dest);
    js_adds(act, "destination_display_name", js_str(to, "name"));
    js_adds(act, "merge_status", "completed");
    js_adds(act, "error_message", NULL);
    for (size_t p = 0; p < ST_LEN(parts); p++) {
        uint32_t *rows, n = st_children(c->ds, parts[p], row[0], &rows);
        for (uint32_t i = 0; i < n; i++) {
            js_adds(st_edit(c->ds, parts[p], rows[i]), "lead_id", dest);
            c->ds->t[parts[p]].rows[rows[i]].lead = row[1];
            c->ds->t[parts[p]].moved = true;
            st_touch(c->ds, parts[p], rows[i]);
        }
        free(rows);
    }
    st_remove(c->ds, T_LEAD, row[0]);
    st_event(c, T_LEAD, row[0], "merged", NULL, from);
    st_create_row(c, T_ACTIVITY, act, row[1]);
    json_object_put(from);
    json_object_put(to);
    st_ok(a, 200, answer_ok());
}

/* ---- contacts ---- */

static const struct st_field contact_fields[] = {{"lead_id", V_REF, CU, NULL, T_LEAD},
                                                 {"name", V_STR, CU, NULL, 0},
                                                 {"title", V_STR, CU, NULL, 0},
                                                 {"emails", V_EMAILS, CU, NULL, 0},
                                                 {"phones", V_PHONES, CU, NULL, 0},
                                                 {"urls", V_URLS, CU, NULL, 0},
                                                 END};
static const struct st_writable contact_w = {"Contact", contact_fields, false, false, T_CF_CONTACT};

static uint32_t
contact_store(struct st_call *c, js *in, uint32_t lead)
{
    static const char *const lists[] = {"emails", "phones", "urls"};
    js *o = st_base(c, T_CONTACT, "cont", 43, in);
    js_adds(o, "lead_id", c->ds->t[T_LEAD].rows[lead].id);
    if (!js_ref(o, "name"))
        js_adds(o, "name", "");
    if (!json_object_object_get_ex(o, "title", NULL))
        js_adds(o, "title", NULL);
    for (size_t i = 0; i < ST_LEN(lists); i++)
        if (!js_ref(o, lists[i]))
            js_add(o, lists[i], json_object_new_array());
    js_add(o, "integration_links", json_object_new_array());
    return st_create_row(c, T_CONTACT, o, lead);
}

void
st_contact_create(struct st_call *c, struct st_answer *a)
{
    js *in = json_object_new_object();
    if (st_check(c, &contact_w, true, in, a)) {
        uint32_t lead = st_lead_of(c->ds, js_str(in, "lead_id"));
        if (lead == ST_NONE)
            lead = st_make_lead(c, js_str(in, "name"));
        st_reply_row(c, T_CONTACT, contact_store(c, in, lead), 200, a);
    }
    json_object_put(in);
}

void
st_contact_update(struct st_call *c, uint32_t row, struct st_answer *a)
{
    js *in = json_object_new_object();
    if (st_check(c, &contact_w, false, in, a)) {
        if (js_str(in, "lead_id")) {
            c->ds->t[T_CONTACT].rows[row].lead = st_lead_of(c->ds, js_str(in, "lead_id"));
            c->ds->t[T_CONTACT].moved = true;
        }
        st_update_row(c, T_CONTACT, row, in);
        st_reply_row(c, T_CONTACT, row, 200, a);
    }
    json_object_put(in);
}

/* ---- opportunities ---- */

static const struct st_field opp_fields[] = {
    {"lead_id", V_REF, CU, NULL, T_LEAD},
    {"status_id", V_REF, CU, NULL, T_OSTATUS},
    {"status", V_STR, CU, NULL, 0},
    {"pipeline_id", V_REF, W_CREATE, NULL, T_PIPELINE},
    {"value", V_INT, CU, NULL, 0},
    {"value_period", V_CHOICE, CU, "one_time,monthly,annual", 0},
    {"confidence", V_INT, CU, NULL, 0},
    {"contact_id", V_REF, CU, NULL, T_CONTACT},
    {"user_id", V_REF, CU, NULL, T_USER},
    {"note", V_STR, CU, NULL, 0},
    {"note_html", V_STR, CU, NULL, 0},
    {"date_won", V_DATE, CU, NULL, 0},
    {"date_created", V_TIME, W_CREATE, NULL, 0},
    {"created_by", V_REF, W_CREATE, NULL, T_USER},
    {"attachments", V_LIST, CU, NULL, 0},
    END};
static const struct st_writable opp_w = {"Opportunity", opp_fields, false, false, T_CF_OPP};

static bool
opp_status(struct st_call *c, js *in, bool create, struct st_answer *a)
{
    const char *pipe = js_str(in, "pipeline_id"), *id = js_str(in, "status_id");
    const struct st_table *tab = &c->ds->t[T_OSTATUS];
    if (!id && create) {
        for (uint32_t i = 0; i < tab->n_live && !id; i++) {
            const struct st_row *row = &tab->rows[tab->order[i]];
            if (!pipe || strcmp(js_str(row->obj, "pipeline_id"), pipe) == 0)
                id = row->id;
        }
        if (!id) {
            st_fail_field(a, "pipeline_id", "The pipeline has no statuses.");
            return false;
        }
        js_adds(in, "status_id", id);
    }
    if (!id)
        return true;
    js *status = st_row_obj_ref(c->ds, T_OSTATUS, js_str(in, "status_id"));
    if (pipe && strcmp(js_str(status, "pipeline_id"), pipe)) {
        st_fail_field(a, "status_id", "The status does not belong to the given pipeline.");
        return false;
    }
    return true;
}

static bool
opp_ranges(js *in, struct st_answer *a)
{
    int64_t conf = js_int(in, "confidence", 0);
    if (conf < 0)
        st_fail_field(a, "confidence", "The value must be at least 0.");
    else if (conf > 100)
        st_fail_field(a, "confidence", "The value must not be larger than 100.");
    else if (js_int(in, "value", 0) < 0)
        st_fail_field(a, "value", "The value must be at least 0.");
    else
        return true;
    return false;
}

/* Moving to won sets date_won unless set; moving back does not clear it. */
static void
opp_dates(struct st_call *c, js *in, js *old)
{
    js *status = st_row_obj_ref(c->ds, T_OSTATUS, js_str(in, "status_id"));
    const char *type = js_str(status, "type");
    char day[16];
    if (!type)
        return;
    if (strcmp(type, "won") == 0 && !js_ref(in, "date_won") && !js_ref(old, "date_won")) {
        st_time_date(st_now() + c->tz * 3600 * ST_SECOND, day);
        js_adds(in, "date_won", day);
    }
    if (strcmp(type, "lost") == 0)
        st_stamp(in, "date_lost", st_now(), false);
}

static void
opp_default(js *o, const char *key, js *value)
{
    if (js_ref(o, key))
        json_object_put(value);
    else
        js_add(o, key, value);
}

void
st_opp_create(struct st_call *c, struct st_answer *a)
{
    js *in = json_object_new_object();
    if (!st_check(c, &opp_w, true, in, a) || !opp_status(c, in, true, a) || !opp_ranges(in, a)) {
        json_object_put(in);
        return;
    }
    uint32_t lead = st_lead_of(c->ds, js_str(in, "lead_id"));
    if (lead == ST_NONE)
        lead = st_make_lead(c, NULL);
    st_couple_notes(in);
    opp_dates(c, in, NULL);
    js *o = st_base(c, T_OPP, "oppo", 43, in);
    json_object_put(in);
    static const char *const nulls[] = {"value", "contact_id", "date_won", "date_lost"};
    for (size_t i = 0; i < ST_LEN(nulls); i++)
        if (!json_object_object_get_ex(o, nulls[i], NULL))
            js_adds(o, nulls[i], NULL);
    js_adds(o, "lead_id", c->ds->t[T_LEAD].rows[lead].id);
    json_object_object_del(o, "status");
    json_object_object_del(o, "pipeline_id");
    opp_default(o, "value_period", js_new_str("one_time"));
    opp_default(o, "confidence", json_object_new_int(50));
    opp_default(o, "user_id", js_new_str(c->ds->user));
    opp_default(o, "note", js_new_str(""));
    opp_default(o, "note_html", js_new_str(""));
    opp_default(o, "attachments", json_object_new_array());
    js_add(o, "integration_links", json_object_new_array());
    st_reply_row(c, T_OPP, st_create_row(c, T_OPP, o, lead), 200, a);
}

void
st_opp_update(struct st_call *c, uint32_t row, struct st_answer *a)
{
    js *in = json_object_new_object();
    if (st_check(c, &opp_w, false, in, a) && opp_status(c, in, false, a) && opp_ranges(in, a)) {
        js *before = st_stored(c->ds, T_OPP, &c->ds->t[T_OPP].rows[row]);
        json_object_object_del(in, "status");
        st_couple_notes(in);
        opp_dates(c, in, before);
        if (js_str(in, "lead_id")) {
            c->ds->t[T_OPP].rows[row].lead = st_lead_of(c->ds, js_str(in, "lead_id"));
            c->ds->t[T_OPP].moved = true;
        }
        st_update_row(c, T_OPP, row, in);
        struct st_row *r = &c->ds->t[T_OPP].rows[row];
        status_activity(c, A_OPP_STATUS, r->lead, before, r->obj);
        json_object_put(before);
        st_reply_row(c, T_OPP, row, 200, a);
    }
    json_object_put(in);
}

/* ---- tasks ---- */

static const struct st_field task_fields[] = {
    {"_type", V_CHOICE, W_CREATE, "lead,outgoing_call", 0},
    {"lead_id", V_REF, CU, NULL, T_LEAD},
    {"contact_id", V_REF, CU, NULL, T_CONTACT},
    {"text", V_STR, CU, NULL, 0},
    {"assigned_to", V_REF, CU, NULL, T_USER},
    {"date", V_DATE_OR_TIME, CU, NULL, 0},
    {"is_complete", V_BOOL, CU, NULL, 0},
    {"is_dateless", V_BOOL, CU, NULL, 0},
    {"priority", V_CHOICE, CU, "high,medium", 0},
    {"resolution", V_CHOICE, W_UPDATE, "abandoned,skipped", 0},
    {"date_created", V_TIME, W_CREATE, NULL, 0},
    {"created_by", V_REF, CU, NULL, T_USER},
    {"disable_notification", V_BOOL, W_CREATE, NULL, 0},
    END};
static const struct st_writable task_w = {"Task", task_fields, false, true, -1};

static bool
task_needs(js *in, struct st_answer *a)
{
    const char *type = js_str(in, "_type");
    bool call = type && strcmp(type, "outgoing_call") == 0;
    const char *need = !js_str(in, "lead_id")                                  ? "lead"
                       : call && !js_str(in, "contact_id")                     ? "contact"
                       : !call && !(js_str(in, "text") && *js_str(in, "text")) ? "text"
                                                                               : NULL;
    if (need)
        st_fail_field(a, need, "This field is required.");
    return !need;
}

static void
task_completed(struct st_call *c, uint32_t row, js *before)
{
    struct st_row *r = &c->ds->t[T_TASK].rows[row];
    if (js_true(before, "is_complete", false) || !js_true(r->obj, "is_complete", false))
        return;
    js_adds(r->obj, "object_type", "taskcompleted");
    js *o = activity_new(c, A_TASK_DONE, r->lead, js_str(r->obj, "contact_id"));
    js_adds(o, "task_id", r->id);
    js_adds(o, "task_text", js_str(r->obj, "text"));
    js_adds(o, "task_assigned_to", js_str(r->obj, "assigned_to"));
    js_adds(r->obj, "object_id", js_str(o, "id"));
    st_create_row(c, T_ACTIVITY, o, r->lead);
}

void
st_task_create(struct st_call *c, struct st_answer *a)
{
    js *in = json_object_new_object();
    if (!st_check(c, &task_w, true, in, a) || !task_needs(in, a)) {
        json_object_put(in);
        return;
    }
    uint32_t lead = st_lead_of(c->ds, js_str(in, "lead_id"));
    js *o = st_base(c, T_TASK, "task", 43, in);
    json_object_put(in);
    json_object_object_del(o, "disable_notification");
    opp_default(o, "_type", js_new_str("lead"));
    opp_default(o, "assigned_to", js_new_str(c->ds->user));
    opp_default(o, "is_complete", json_object_new_boolean(false));
    opp_default(o, "is_dateless", json_object_new_boolean(!js_ref(o, "date")));
    static const char *const nulls[] = {"contact_id", "date", "object_id", "object_type"};
    for (size_t i = 0; i < ST_LEN(nulls); i++)
        if (!json_object_object_get_ex(o, nulls[i], NULL))
            js_adds(o, nulls[i], NULL);
    uint32_t row = st_create_row(c, T_TASK, o, lead);
    task_completed(c, row, NULL);
    st_reply_row(c, T_TASK, row, 200, a);
}

static void
task_change(struct st_call *c, uint32_t row, js *in)
{
    js *before = st_stored(c->ds, T_TASK, &c->ds->t[T_TASK].rows[row]);
    if (js_str(in, "lead_id")) {
        c->ds->t[T_TASK].rows[row].lead = st_lead_of(c->ds, js_str(in, "lead_id"));
        c->ds->t[T_TASK].moved = true;
    }
    st_update_row(c, T_TASK, row, in);
    task_completed(c, row, before);
    json_object_put(before);
}

void
st_task_update(struct st_call *c, uint32_t row, struct st_answer *a)
{
    js *in = json_object_new_object();
    bool ok = st_check(c, &task_w, false, in, a);
    if (ok && json_object_object_get_ex(in, "text", NULL)) {
        js *old = st_stored(c->ds, T_TASK, &c->ds->t[T_TASK].rows[row]);
        ok = strcmp(js_str(old, "_type"), "lead") == 0;
        json_object_put(old);
        if (!ok)
            st_fail_field(a, "text", "Only tasks of type lead have a text that can be changed.");
    }
    if (ok) {
        task_change(c, row, in);
        st_reply_row(c, T_TASK, row, 200, a);
    }
    json_object_put(in);
}

void
st_task_bulk(struct st_call *c, struct st_answer *a)
{
    static const struct st_field fields[] = {{"assigned_to", V_REF, W_UPDATE, NULL, T_USER},
                                             {"date", V_DATE_OR_TIME, W_UPDATE, NULL, 0},
                                             {"is_complete", V_BOOL, W_UPDATE, NULL, 0},
                                             END};
    static const struct st_writable w = {"Task", fields, true, true, -1};
    js *in = json_object_new_object(), *o;
    struct st_cached *sel;
    js *params = js_ref(c->body, "_params");
    if (params) {
        c->query = params;
        json_object_get(params);
        json_object_object_del(c->body, "_params");
    }
    if (st_check(c, &w, false, in, a) && st_select(c, st_resource_of(T_TASK, -1), a, &sel)) {
        if (sel->n > 1000) {
            st_fail(a, 400, "At most 1000 tasks can be updated at once.");
        } else {
            uint32_t n = sel->n, *rows = st_alloc(sizeof *rows * (n + 1));
            if (n)
                memcpy(rows, sel->rows, sizeof *rows * n);
            for (uint32_t i = 0; i < n; i++)
                task_change(c, rows[i], in);
            free(rows);
            o = json_object_new_object();
            js_addb(o, "ok", true);
            st_ok(a, 200, o);
        }
    }
    if (params)
        json_object_put(params);
    json_object_put(in);
}
