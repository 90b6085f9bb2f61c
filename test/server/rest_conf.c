/*
 * Writing configuration: custom fields, pipelines, statuses, webhooks, Smart Views.
 *
 * Pipelines and webhooks are of the newer generation: 201 on create, unknown members refused (for
 * webhooks), timestamps without offset. A pipeline can be deleted only when it has no statuses.
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

/* ---- custom fields ---- */

static const struct st_field cf_fields[] = {
    {"name", V_STR, CU | W_REQUIRED, NULL, 0},
    {"type", V_CHOICE, CU | W_REQUIRED,
     "text,textarea,number,date,datetime,choices,user,contact,custom_object,url,hidden", 0},
    {"description", V_STR, CU, NULL, 0},
    {"choices", V_STRINGS, CU, NULL, 0},
    {"accepts_multiple_values", V_BOOL, CU, NULL, 0},
    {"editable_with_roles", V_LIST, CU, NULL, 0},
    {"referenced_custom_type_id", V_REF, W_CREATE, NULL, T_COTYPE},
    {"back_reference_is_visible", V_BOOL, CU, NULL, 0},
    END};
static const struct st_writable cf_w = {"CustomField", cf_fields, false, false, -1};

void
st_cf_create(struct st_call *c, enum st_tab t, struct st_answer *a)
{
    js *in = json_object_new_object();
    bool ok = st_check(c, &cf_w, true, in, a);
    if (ok && strcmp(js_str(in, "type"), "choices") == 0 && !js_ref(in, "choices")) {
        st_fail_field(a, "choices", "This field is required.");
        ok = false;
    }
    if (ok) {
        js *o = st_base(c, t, "cf", 43, in);
        if (!js_ref(o, "description"))
            js_adds(o, "description", NULL);
        if (!js_ref(o, "choices"))
            js_add(o, "choices", NULL);
        js_addb(o, "accepts_multiple_values", js_true(o, "accepts_multiple_values", false));
        if (!js_ref(o, "editable_with_roles"))
            js_add(o, "editable_with_roles", json_object_new_array());
        js_addb(o, "is_shared", false);
        st_reply_row(c, t, st_create_row(c, t, o, ST_NONE), 200, a);
    }
    json_object_put(in);
}

void
st_cf_update(struct st_call *c, enum st_tab t, uint32_t row, struct st_answer *a)
{
    js *in = json_object_new_object();
    if (st_check(c, &cf_w, false, in, a)) {
        bool converting = js_str(in, "type") != NULL;
        st_update_row(c, t, row, in);
        st_reply_row(c, t, row, 200, a);
        if (converting)
            js_adds(a->body, "converting_to_type", js_str(in, "type"));
    }
    json_object_put(in);
}

/* Deleting a field removes its values for good. Generated objects ask whether the field lives. */
void
st_cf_delete(struct st_call *c, enum st_tab t, uint32_t row, struct st_answer *a)
{
    enum st_tab of = t == T_CF_LEAD ? T_LEAD : t == T_CF_CONTACT ? T_CONTACT : T_OPP;
    char key[80];
    snprintf(key, sizeof key, "custom.%s", c->ds->t[t].rows[row].id);
    for (uint32_t i = 0; i < c->ds->t[of].n; i++)
        if (c->ds->t[of].rows[i].obj)
            json_object_object_del(c->ds->t[of].rows[i].obj, key);
    st_delete_row(c, t, row);
    st_ok(a, 200, json_object_new_object());
}

void
st_cf_schema(struct st_call *c, const char *type, struct st_answer *a)
{
    static const char *const names[] = {"lead/", "contact/", "opportunity/"};
    static const enum st_tab tabs[] = {T_CF_LEAD, T_CF_CONTACT, T_CF_OPP};
    js *fields = json_object_new_array();
    for (size_t k = 0; k < ST_LEN(names); k++) {
        if (strcmp(type, names[k]))
            continue;
        const enum st_tab both[] = {tabs[k], T_CF_SHARED};
        for (int p = 0; p < (tabs[k] == T_CF_OPP ? 1 : 2); p++) {
            const struct st_table *tab = &c->ds->t[both[p]];
            for (uint32_t i = 0; i < tab->n_live; i++)
                json_object_array_add(fields,
                                      st_render(c->ds, both[p], &tab->rows[tab->order[i]], NULL));
        }
        js *o = json_object_new_object();
        js_add(o, "fields", fields);
        st_ok(a, 200, o);
        return;
    }
    json_object_put(fields);
    st_not_found(a, "CustomFieldSchema");
}

/* ---- pipelines and statuses ---- */

static const struct st_field pipe_fields[] = {
    {"name", V_STR, CU | W_REQUIRED, NULL, 0}, {"statuses", V_LIST, CU, NULL, 0}, END};
static const struct st_writable pipe_w = {"Pipeline", pipe_fields, false, false, -1};

static uint32_t
status_store(struct st_call *c, const char *pipeline, const char *label, const char *type)
{
    char id[56];
    js *o = json_object_new_object();
    st_new_id(c->ds, "stat", 43, id);
    js_adds(o, "id", id);
    js_adds(o, "label", label);
    js_adds(o, "organization_id", c->ds->org);
    if (pipeline) {
        js_adds(o, "type", type);
        js_adds(o, "pipeline_id", pipeline);
    }
    return st_create_row(c, pipeline ? T_OSTATUS : T_LSTATUS, o, ST_NONE);
}

/* Ids in the list move statuses here; items without id make new ones. */
static void
pipe_statuses(struct st_call *c, const char *pipeline, js *list)
{
    for (size_t i = 0; list && i < json_object_array_length(list); i++) {
        js *item = json_object_array_get_idx(list, i);
        uint32_t row = st_find(c->ds, T_OSTATUS, js_str(item, "id"));
        if (row != ST_NONE) {
            js *ch = json_object_new_object();
            js_adds(ch, "pipeline_id", pipeline);
            st_update_row(c, T_OSTATUS, row, ch);
            json_object_put(ch);
        } else if (js_str(item, "label"))
            status_store(c, pipeline, js_str(item, "label"),
                         js_str(item, "type") ? js_str(item, "type") : "active");
    }
}

void
st_pipeline_create(struct st_call *c, struct st_answer *a)
{
    js *in = json_object_new_object();
    if (st_check(c, &pipe_w, true, in, a)) {
        js *list = js_copy(js_ref(in, "statuses"));
        json_object_object_del(in, "statuses");
        js *o = st_base(c, T_PIPELINE, "pipe", 22, in);
        uint32_t row = st_create_row(c, T_PIPELINE, o, ST_NONE);
        pipe_statuses(c, c->ds->t[T_PIPELINE].rows[row].id, list);
        json_object_put(list);
        st_reply_row(c, T_PIPELINE, row, 201, a);
    }
    json_object_put(in);
}

void
st_pipeline_update(struct st_call *c, uint32_t row, struct st_answer *a)
{
    js *in = json_object_new_object();
    if (st_check(c, &pipe_w, false, in, a)) {
        js *list = js_copy(js_ref(in, "statuses"));
        json_object_object_del(in, "statuses");
        st_update_row(c, T_PIPELINE, row, in);
        pipe_statuses(c, c->ds->t[T_PIPELINE].rows[row].id, list);
        json_object_put(list);
        st_reply_row(c, T_PIPELINE, row, 200, a);
    }
    json_object_put(in);
}

void
st_pipeline_delete(struct st_call *c, uint32_t row, struct st_answer *a)
{
    const struct st_table *tab = &c->ds->t[T_OSTATUS];
    for (uint32_t i = 0; i < tab->n_live; i++)
        if (strcmp(js_str(tab->rows[tab->order[i]].obj, "pipeline_id"),
                   c->ds->t[T_PIPELINE].rows[row].id) == 0) {
            st_fail(a, 400, "A pipeline that has statuses cannot be deleted.");
            return;
        }
    st_delete_row(c, T_PIPELINE, row);
    st_ok(a, 204, NULL);
}

static const struct st_field status_fields[] = {{"label", V_STR, CU | W_REQUIRED, NULL, 0},
                                                {"type", V_CHOICE, W_CREATE, "active,won,lost", 0},
                                                {"pipeline_id", V_REF, W_CREATE, NULL, T_PIPELINE},
                                                {"color", V_STR, W_UPDATE, NULL, 0},
                                                END};
static const struct st_writable status_w = {"Status", status_fields, false, false, -1};

void
st_status_create(struct st_call *c, enum st_tab t, struct st_answer *a)
{
    static const char *const need[] = {"type", "pipeline_id"};
    js *in = json_object_new_object();
    bool ok = st_check(c, &status_w, true, in, a);
    for (size_t i = 0; ok && t == T_OSTATUS && i < ST_LEN(need); i++)
        if (!js_str(in, need[i])) {
            st_fail_field(a, need[i], "This field is required.");
            ok = false;
        }
    if (ok)
        st_reply_row(c, t,
                     status_store(c, t == T_OSTATUS ? js_str(in, "pipeline_id") : NULL,
                                  js_str(in, "label"), js_str(in, "type")),
                     200, a);
    json_object_put(in);
}

void
st_status_update(struct st_call *c, enum st_tab t, uint32_t row, struct st_answer *a)
{
    js *in = json_object_new_object();
    if (st_check(c, &status_w, false, in, a)) {
        st_update_row(c, t, row, in);
        st_reply_row(c, t, row, 200, a);
    }
    json_object_put(in);
}

/* ---- webhooks ---- */

static const struct st_field hook_fields[] = {{"url", V_STR, CU | W_REQUIRED, NULL, 0},
                                              {"events", V_LIST, CU | W_REQUIRED, NULL, 0},
                                              {"status", V_CHOICE, W_UPDATE, "active,paused", 0},
                                              {"verify_ssl", V_BOOL, CU, NULL, 0},
                                              END};
static const struct st_writable hook_w = {"Webhook", hook_fields, true, true, -1};

static bool
hook_rules(js *in, struct st_answer *a)
{
    const char *url = js_str(in, "url");
    js *events = js_ref(in, "events");
    if (url && !st_has_prefix(url, "https://") && !st_has_prefix(url, "http://")) {
        st_fail_field(a, "url", "Invalid URL.");
        return false;
    }
    for (size_t i = 0; events && i < json_object_array_length(events); i++) {
        js *e = json_object_array_get_idx(events, i);
        if (!js_str(e, "object_type") || !js_str(e, "action")) {
            st_fail_field(a, "events", "Each event needs object_type and action.");
            return false;
        }
    }
    if (events && json_object_array_length(events) == 0) {
        st_fail_field(a, "events", "List must not be empty.");
        return false;
    }
    return true;
}

void
st_webhook_create(struct st_call *c, struct st_answer *a)
{
    js *in = json_object_new_object();
    if (st_check(c, &hook_w, true, in, a) && hook_rules(in, a)) {
        char key[65];
        js *o = st_base(c, T_WEBHOOK, "whsub", 22, in);
        for (unsigned k = 0; k < 4; k++)
            snprintf(key + k * 16, 17, "%016llx",
                     (unsigned long long)st_mix(st_hash(js_str(o, "id")) + k));
        json_object_object_del(o, "organization_id");
        js_adds(o, "status", "active");
        js_addb(o, "verify_ssl", js_true(o, "verify_ssl", true));
        js_adds(o, "signature_key", key);
        js_adds(o, "health_status", "healthy");
        js_adds(o, "latest_error", NULL);
        js_adds(o, "pause_reason", NULL);
        js_addi(o, "recent_consecutive_fail_buckets_cnt", 0);
        js_add(o, "counters", json_object_new_object());
        st_reply_row(c, T_WEBHOOK, st_create_row(c, T_WEBHOOK, o, ST_NONE), 201, a);
    }
    json_object_put(in);
}

void
st_webhook_update(struct st_call *c, uint32_t row, struct st_answer *a)
{
    js *in = json_object_new_object();
    if (st_check(c, &hook_w, false, in, a) && hook_rules(in, a)) {
        const char *status = js_str(in, "status");
        if (status)
            js_adds(in, "pause_reason", strcmp(status, "paused") == 0 ? "api" : NULL);
        st_update_row(c, T_WEBHOOK, row, in);
        st_reply_row(c, T_WEBHOOK, row, 200, a);
    }
    json_object_put(in);
}

/* ---- Smart Views ---- */

#define VIEW_TYPES                                                                                 \
    "lead,contact,opportunity,call,email,sms,meeting,note,whatsapp_message,custom_activity,"       \
    "form_submission"

static const struct st_field view_fields[] = {
    {"name", V_STR, CU | W_REQUIRED, NULL, 0}, {"type", V_CHOICE, W_CREATE, VIEW_TYPES, 0},
    {"description", V_STR, CU, NULL, 0},       {"is_shared", V_BOOL, CU, NULL, 0},
    {"s_query", V_DICT, CU, NULL, 0},          {"query", V_STR, CU, NULL, 0},
    {"selected_fields", V_LIST, CU, NULL, 0},  END};
static const struct st_writable view_w = {"SavedSearch", view_fields, false, false, -1};

/* Whether the tree has an object_type clause for type. */
static bool
names_type(js *q, const char *type, int depth)
{
    const char *is = js_str(q, "type"), *of = js_str(q, "object_type");
    if (is && of && strcmp(is, "object_type") == 0 && strcmp(of, type) == 0)
        return true;
    js *list = js_ref(q, "queries");
    for (size_t i = 0;
         depth < 20 && js_is(list, json_type_array) && i < json_object_array_length(list); i++)
        if (names_type(json_object_array_get_idx(list, i), type, depth + 1))
            return true;
    return false;
}

static bool
view_rules(js *in, const char *type, struct st_answer *a)
{
    js *s = js_ref(in, "s_query");
    const char *text = js_str(in, "description");
    if (text && strlen(text) > 300) {
        st_fail_field(a, "description", "The value must be no longer than 300 characters.");
        return false;
    }
    if (s && !js_is(js_ref(s, "query"), json_type_object)) {
        st_fail_field(a, "s_query", "This field is required: query");
        return false;
    }
    if (s && !names_type(js_ref(s, "query"), type, 0)) {
        st_fail_field(a, "s_query", "The query must contain an object_type clause for %s.", type);
        return false;
    }
    return true;
}

void
st_view_create(struct st_call *c, struct st_answer *a)
{
    js *in = json_object_new_object();
    bool ok = st_check(c, &view_w, true, in, a);
    const char *type = js_str(in, "type") ? js_str(in, "type") : "lead";
    if (ok && !js_ref(in, "s_query") && !js_ref(in, "query")) {
        st_fail_field(a, "s_query", "This field is required.");
        ok = false;
    }
    if (ok && view_rules(in, type, a)) {
        js *o = st_base(c, T_VIEW, "save", 43, in);
        json_object_object_del(o, "created_by");
        js_adds(o, "type", type);
        js_adds(o, "user_id", c->ds->user);
        js_addb(o, "is_shared", js_true(o, "is_shared", false));
        js_addb(o, "is_user_dependent", false);
        if (!js_ref(o, "description"))
            js_adds(o, "description", "");
        if (!js_ref(o, "query"))
            js_adds(o, "query", NULL);
        js *s = js_ref(o, "s_query");
        if (s && !json_object_object_get_ex(s, "results_limit", NULL))
            js_add(s, "results_limit", NULL);
        if (s && !js_ref(s, "sort"))
            js_add(s, "sort", json_object_new_array());
        st_reply_row(c, T_VIEW, st_create_row(c, T_VIEW, o, ST_NONE), 200, a);
    }
    json_object_put(in);
}

void
st_view_update(struct st_call *c, uint32_t row, struct st_answer *a)
{
    js *in = json_object_new_object();
    const char *type = js_str(c->ds->t[T_VIEW].rows[row].obj, "type");
    if (st_check(c, &view_w, false, in, a) && view_rules(in, type, a)) {
        st_update_row(c, T_VIEW, row, in);
        st_reply_row(c, T_VIEW, row, 200, a);
    }
    json_object_put(in);
}
