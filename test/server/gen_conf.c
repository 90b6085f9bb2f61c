/*
 * The small, configured part of an account: users, statuses, pipelines, custom fields, sequences,
 * webhooks, Smart Views, custom object types. These rows are kept as objects.
 *
 * What is here on purpose: a user without last name and one who left (referred to, not listed), two
 * custom fields with the same name, a shared field, a field without values, a status label with
 * quotes and one that is not ASCII, an old Smart View with text query, null owner and a date in the
 * year 1, Smart Views of several types (the list shows only those of leads unless asked).
 */
#include "standin.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CONF_TIME INT64_C(1640995200) /* 2022-01-01 */

static js *
conf_new(struct st_dataset *ds, enum st_tab t, const char *prefix, int len, uint32_t n)
{
    char id[56], at[40];
    js *o = json_object_new_object();
    st_id(id, prefix, len, st_row_seed(ds, t, n));
    js_adds(o, "id", id);
    if (t == T_LSTATUS || t == T_OSTATUS) {
        js_adds(o, "organization_id", ds->org);
        return o;
    }
    int64_t us = (CONF_TIME + n * 86400) * ST_SECOND + (int64_t)(n % 3) * 120034;
    if (st_is_naive(t))
        st_time_naive(us, at);
    else
        st_time_classic(us, at);
    js_adds(o, "date_created", at);
    js_adds(o, "date_updated", at);
    if (t != T_USER && t != T_WEBHOOK)
        js_adds(o, "organization_id", ds->org);
    bool with_id = t == T_SEQUENCE;
    if (t != T_USER && t != T_VIEW) {
        js_adds(o, with_id ? "created_by_id" : "created_by", ds->user);
        js_adds(o, with_id ? "updated_by_id" : "updated_by", ds->user);
    }
    return o;
}

static void
conf_add(struct st_dataset *ds, enum st_tab t, js *o)
{
    st_append(ds, t, o, ST_NONE, ST_NONE);
}

static js *
str_array(const char *list)
{
    char item[80];
    js *a = json_object_new_array();
    while (st_comma(&list, item, sizeof item))
        json_object_array_add(a, js_new_str(item));
    return a;
}

static void
gen_users(struct st_dataset *ds)
{
    static const char *const who[][3] = {{"Ada", "Holm", "Europe/Stockholm"},
                                         {"Bruno", "Keller", "Europe/Berlin"},
                                         {"Chloé", "Ñandú", "America/Los_Angeles"},
                                         {"Dmitri", "", NULL},
                                         {"Eve", "O'Neill", "Europe/Dublin"}};
    for (uint32_t i = 0; i < ST_LEN(who); i++) {
        js *o = conf_new(ds, T_USER, "user", 43, i);
        js_adds(o, "first_name", who[i][0]);
        js_adds(o, "last_name", who[i][1]);
        js_addf(o, "email", "user%u@example.test", i);
        if (i % 2)
            js_adds(o, "image", NULL);
        else
            js_addf(o, "image", "https://images.example.test/u%u.png", i);
        if (i == 0)
            js_adds(o, "email_verified_at", "2022-01-02T09:00:00+00:00");
        if (who[i][2])
            js_adds(o, "last_used_timezone", who[i][2]);
        js *orgs = json_object_new_array();
        json_object_array_add(orgs, js_new_str(ds->org));
        js_add(o, "organizations", orgs);
        if (i == 0) {
            snprintf(ds->user, sizeof ds->user, "%s", js_str(o, "id"));
            snprintf(ds->email, sizeof ds->email, "%s", js_str(o, "email"));
        }
        conf_add(ds, T_USER, o);
    }
}

static void
gen_statuses(struct st_dataset *ds)
{
    static const char *const lead[] = {"Potential", "Bad Fit", "Qualified", "Customer",
                                       "Später \"vielleicht\""};
    static const struct {
        const char *label, *type;
        int pipe;
    } opp[] = {{"Demo Completed", "active", 0},
               {"Proposal", "active", 0},
               {"Won", "won", 0},
               {"Lost", "lost", 0},
               {"Review", "active", 1},
               {"Renewed", "won", 1},
               {"Churned", "lost", 1}};
    static const char *const pipes[] = {"Sales", "Renewals"};
    for (uint32_t i = 0; i < ST_LEN(lead); i++) {
        js *o = conf_new(ds, T_LSTATUS, "stat", 43, i);
        js_adds(o, "label", lead[i]);
        conf_add(ds, T_LSTATUS, o);
    }
    for (uint32_t i = 0; i < ST_LEN(pipes); i++) {
        js *o = conf_new(ds, T_PIPELINE, "pipe", 22, i);
        js_adds(o, "name", pipes[i]);
        conf_add(ds, T_PIPELINE, o);
    }
    for (uint32_t i = 0; i < ST_LEN(opp); i++) {
        js *o = conf_new(ds, T_OSTATUS, "stat", 43, i);
        js_adds(o, "label", opp[i].label);
        js_adds(o, "type", opp[i].type);
        js_adds(o, "pipeline_id", st_nth_id(ds, T_PIPELINE, (uint64_t)opp[i].pipe));
        conf_add(ds, T_OSTATUS, o);
    }
}

struct cf_def {
    enum st_tab t;
    const char *name, *type, *choices;
    bool multi;
};

static const struct cf_def cf_defs[] = {
    {T_CF_LEAD, "Segment", "text", NULL, false},
    {T_CF_LEAD, "Employees", "number", NULL, false},
    {T_CF_LEAD, "Contract End", "date", NULL, false},
    {T_CF_LEAD, "Last Audit", "datetime", NULL, false},
    {T_CF_LEAD, "Tier", "choices", "Gold,Silver,Bronze", false},
    {T_CF_LEAD, "Interests", "choices", "Bolts,Nuts,Screws,Washers", true},
    {T_CF_LEAD, "Account Manager", "user", NULL, false},
    {T_CF_LEAD, "Background", "textarea", NULL, false},
    {T_CF_LEAD, "Segment", "text", NULL, false},
    {T_CF_LEAD, "Champion", "contact", NULL, false},
    {T_CF_LEAD, "Main Contract", "custom_object", NULL, false},
    {T_CF_CONTACT, "Role", "text", NULL, false},
    {T_CF_CONTACT, "Preferred Channel", "choices", "Phone,Mail,SMS", false},
    {T_CF_CONTACT, "Score", "number", NULL, false},
    {T_CF_OPP, "Forecast", "choices", "Commit,Best Case,Pipeline", false},
    {T_CF_OPP, "Kick-off", "date", NULL, false},
    {T_CF_OPP, "Discount %", "number", NULL, false},
    {T_CF_OPP, "Products", "choices", "Basic,Pro,Größe XL", true},
    {T_CF_SHARED, "Region", "text", NULL, false},
};

static void
gen_fields(struct st_dataset *ds)
{
    for (uint32_t i = 0; i < ST_LEN(cf_defs); i++) {
        const struct cf_def *d = &cf_defs[i];
        js *o = conf_new(ds, d->t, "cf", 43, i);
        js_adds(o, "name", d->name);
        js_adds(o, "type", d->type);
        js_adds(o, "description", i % 3 ? NULL : "");
        js_add(o, "choices", d->choices ? str_array(d->choices) : NULL);
        js_addb(o, "accepts_multiple_values", d->multi);
        js_add(o, "editable_with_roles",
               i % 5 == 4 ? str_array("admin,superuser") : json_object_new_array());
        if (i % 4)
            js_addb(o, "is_shared", d->t == T_CF_SHARED);
        if (strcmp(d->type, "custom_object") == 0) {
            char id[56];
            st_id(id, "cotype", 22, st_row_seed(ds, T_COTYPE, 0));
            js_adds(o, "referenced_custom_type_id", id);
            js_addb(o, "back_reference_is_visible", true);
        }
        conf_add(ds, d->t, o);
    }
}

static js *
step_new(struct st_dataset *ds, uint32_t seq, uint32_t n, const char *type)
{
    char id[56];
    js *s = json_object_new_object();
    st_id(id, "seqstep", 22, st_row_seed(ds, T_SEQUENCE, 1000 + seq * 10 + n));
    js_adds(s, "id", id);
    js_adds(s, "step_type", type);
    js_addi(s, "delay", (int64_t)n * 86400);
    if (strcmp(type, "email") == 0) {
        st_id(id, "tmpl", 43, st_row_seed(ds, T_SEQUENCE, 2000 + seq * 10 + n));
        js_adds(s, "email_template_id", id);
    }
    js_addb(s, "required", n == 0);
    js_adds(s, "threading", n ? "old_thread" : NULL);
    return s;
}

static void
gen_sequences(struct st_dataset *ds)
{
    static const char *const names[] = {"Inbound welcome", "Cold outreach", "Renewal reminder",
                                        "Calls only"};
    static const char *const states[] = {"active", "active", "paused", "draft"};
    for (uint32_t i = 0; i < ST_LEN(names); i++) {
        js *o = conf_new(ds, T_SEQUENCE, "seq", 22, i);
        js_adds(o, "name", names[i]);
        js_adds(o, "status", states[i]);
        js_adds(o, "timezone", i == 3 ? NULL : "Europe/Stockholm");
        js *sched = NULL;
        if (i == 1)
            sched = js_parse("{\"ranges\":[{\"weekday\":1,\"start\":\"09:00\",\"end\":\"17:00\"}]}",
                             58);
        js_add(o, "schedule", sched);
        js *steps = json_object_new_array();
        for (uint32_t k = 0; k < 2; k++)
            json_object_array_add(steps, step_new(ds, i, k, i == 3 ? "call" : "email"));
        js_add(o, "steps", steps);
        conf_add(ds, T_SEQUENCE, o);
    }
}

static void
gen_webhooks(struct st_dataset *ds)
{
    for (uint32_t i = 0; i < 3; i++) {
        js *o = conf_new(ds, T_WEBHOOK, "whsub", 22, i);
        js_addf(o, "url", "https://hooks.example.test/close/%u", i);
        js *ev = js_parse("[{\"object_type\":\"lead\",\"action\":\"created\"}]", 43);
        js_add(o, "events", ev);
        js_adds(o, "status", i == 2 ? "paused" : "active");
        js_addb(o, "verify_ssl", i != 1);
        char key[65];
        for (int k = 0; k < 4; k++)
            snprintf(key + k * 16, 17, "%016llx",
                     (unsigned long long)st_mix(ds->seed + i * 4 + (unsigned)k));
        js_adds(o, "signature_key", key);
        js_adds(o, "health_status", "healthy");
        js_adds(o, "latest_error", NULL);
        js_adds(o, "pause_reason", i == 2 ? "api" : NULL);
        js_addi(o, "recent_consecutive_fail_buckets_cnt", 0);
        js_add(o, "counters", json_object_new_object());
        conf_add(ds, T_WEBHOOK, o);
    }
}

static js *
view_query(const char *type)
{
    char text[400];
    int n = snprintf(text, sizeof text,
                     "{\"query\":{\"type\":\"and\",\"queries\":[{\"type\":\"object_type\","
                     "\"object_type\":\"%s\"}]},\"results_limit\":null,\"sort\":[]}",
                     type);
    return js_parse(text, (size_t)n);
}

static void
gen_views(struct st_dataset *ds)
{
    static const char *const types[] = {"lead",        "lead", "contact", "opportunity",
                                        "lead",        "call", "email",   "sms",
                                        "opportunity", "lead", "meeting", "note"};
    for (uint32_t i = 0; i < ST_LEN(types); i++) {
        js *o = conf_new(ds, T_VIEW, "save", 43, i);
        bool old = i == 4;
        js_addf(o, "name", "%s view %u", types[i], i);
        js_adds(o, "type", types[i]);
        js_adds(o, "description", i % 2 ? "" : NULL);
        js_adds(o, "user_id", old ? NULL : st_nth_id(ds, T_USER, i));
        js_addb(o, "is_shared", i % 3 == 0);
        js_addb(o, "is_user_dependent", false);
        js_add(o, "s_query", old ? NULL : view_query(types[i]));
        js_adds(o, "query", old ? "status:\"Potential\" sort:-created" : NULL);
        if (i % 4 == 1)
            js_add(o, "selected_fields", json_object_new_array());
        if (old) {
            js_adds(o, "date_created", "0001-01-01T00:00:00");
            js_adds(o, "date_updated", "0001-01-01T00:00:00");
        }
        conf_add(ds, T_VIEW, o);
    }
}

static void
gen_cotypes(struct st_dataset *ds)
{
    static const char *const names[][2] = {{"Contract", "Contracts"}, {"Machine", "Machines"}};
    for (uint32_t i = 0; i < ST_LEN(names); i++) {
        js *o = conf_new(ds, T_COTYPE, "cotype", 22, i);
        char id[56];
        js_adds(o, "name", names[i][0]);
        js_adds(o, "name_plural", names[i][1]);
        js_adds(o, "description", i ? NULL : "");
        js_addb(o, "api_create_only", i == 1);
        js_add(o, "editable_with_roles", json_object_new_array());
        js *f = json_object_new_object(), *fields = json_object_new_array();
        st_id(id, "cf", 43, st_row_seed(ds, T_COTYPE, 100 + i));
        js_adds(f, "id", id);
        js_adds(f, "name", "Number");
        js_adds(f, "type", "text");
        js_adds(f, "description", NULL);
        js_addb(f, "required", false);
        js_addb(f, "accepts_multiple_values", false);
        js_add(f, "editable_with_roles", json_object_new_array());
        json_object_array_add(fields, f);
        js_add(o, "fields", fields);
        js_add(o, "back_reference_fields", json_object_new_array());
        conf_add(ds, T_COTYPE, o);
    }
}

void
st_generate_config(struct st_dataset *ds)
{
    st_id(ds->org, "orga", 43, st_mix(ds->seed ^ 0x6f726761));
    snprintf(ds->phone, sizeof ds->phone, "+4681234500");
    gen_users(ds);
    gen_statuses(ds);
    gen_cotypes(ds);
    gen_fields(ds);
    gen_sequences(ds);
    gen_webhooks(ds);
    gen_views(ds);
}

js *
st_nth_ref(struct st_dataset *ds, enum st_tab t, uint64_t n)
{
    const struct st_table *tab = &ds->t[t];
    return tab->n ? tab->rows[n % tab->n].obj : NULL;
}

const char *
st_nth_id(struct st_dataset *ds, enum st_tab t, uint64_t n)
{
    const struct st_table *tab = &ds->t[t];
    return tab->n ? tab->rows[n % tab->n].id : NULL;
}
