/*
 * The test's side door, /_standin/: log, faults, configuration, mutations, data as the service has
 * it, outbox, statistics, reset. Control requests are neither logged nor counted nor delayed.
 *
 * Unknown members and values are refused with 400 and a sentence: a test whose fault was misspelt
 * would otherwise pass without testing anything.
 *
 * Reset brings back the start: data, configuration, account states, no faults, no mutations, an
 * empty log. Tokens stay valid unless {"tokens": true} is posted, because a client that lives
 * across the reset would otherwise show one refused call that no test asked for.
 */
#include "standin.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void
say(struct st_reply *r, int status, const char *text)
{
    js *o = json_object_new_object();
    js_adds(o, status < 300 ? "ok" : "error", text);
    st_reply_json(r, status, o);
}

/* ---- faults ---- */

static void
faults_add(struct st_app *app, js *in, struct st_reply *r)
{
    char err[160];
    bool list = js_is(in, json_type_array);
    size_t n = list ? json_object_array_length(in) : 1;
    for (size_t i = 0; i < n; i++) {
        js *f = list ? json_object_array_get_idx(in, i) : in;
        if (!js_is(f, json_type_object)) {
            say(r, 400, "a fault must be an object");
            return;
        }
        if (!st_fault_valid(f, err, sizeof err)) {
            say(r, 400, err);
            return;
        }
    }
    for (size_t i = 0; i < n; i++)
        json_object_array_add(app->faults, js_copy(list ? json_object_array_get_idx(in, i) : in));
    say(r, 200, "added");
}

/* ---- configuration ---- */

static bool
config_accounts(struct st_app *app, js *v)
{
    if (!js_is(v, json_type_object))
        return false;
    json_object_object_foreach(v, id, status)
    {
        struct st_account *a = st_account_find(app, id);
        if (!a || !js_is(status, json_type_string))
            return false;
        snprintf(a->status, sizeof a->status, "%s", json_object_get_string(status));
    }
    return true;
}

static bool
config_one(struct st_app *app, const char *key, js *v)
{
    struct st_config *c = &app->cfg;
    const struct {
        const char *name;
        int64_t *num;
        bool *flag;
    } map[] = {{"latency_ms", &c->latency_ms, NULL},
               {"rate", &c->rate, NULL},
               {"search_delay_ms", &c->search_delay_ms, NULL},
               {"delete_lag_ms", &c->delete_lag_ms, NULL},
               {"skip_cap", &c->skip_cap, NULL},
               {"other_skip_cap", &c->other_skip_cap, NULL},
               {"expires_in", &c->expires_in, NULL},
               {"proxy", NULL, &c->proxy},
               {"rate_headers", NULL, &c->rate_headers},
               {"ignore_unknown_fields", NULL, &c->ignore_unknown_fields}};
    for (size_t i = 0; i < ST_LEN(map); i++) {
        if (strcmp(map[i].name, key))
            continue;
        if (map[i].num ? !js_is(v, json_type_int) : !js_is(v, json_type_boolean))
            return false;
        if (map[i].num)
            *map[i].num = json_object_get_int64(v);
        else
            *map[i].flag = json_object_get_boolean(v);
        return true;
    }
    if (strcmp(key, "error_mode") == 0 && js_is(v, json_type_string)) {
        const char *mode = json_object_get_string(v);
        c->keep_status = strcmp(mode, "keep") == 0;
        return c->keep_status || strcmp(mode, "wrapped") == 0;
    }
    if (strcmp(key, "page_caps") == 0 && js_is(v, json_type_object)) {
        json_object_object_foreach(v, name, cap) js_add(c->page_caps, name, json_object_get(cap));
        return true;
    }
    return strcmp(key, "accounts") == 0 && config_accounts(app, v);
}

static void
config(struct st_app *app, js *in, struct st_reply *r)
{
    if (!js_is(in, json_type_object)) {
        say(r, 400, "the configuration must be an object");
        return;
    }
    json_object_object_foreach(in, key, v)
    {
        if (strcmp(key, "latency_ms") != 0) /* no answer depends on it */
            st_changed(app);
        if (!config_one(app, key, v)) {
            char text[160];
            snprintf(text, sizeof text, "unknown or wrong configuration '%.100s'", key);
            say(r, 400, text);
            return;
        }
    }
    say(r, 200, "set");
}

/* ---- data ---- */

static struct st_dataset *
dataset_of(struct st_app *app, js *in)
{
    const char *id = js_str(in, "identifier");
    struct st_account *a = id ? st_account_find(app, id) : &app->accounts[0];
    return a ? a->ds : NULL;
}

static bool
table_of(const char *name, enum st_tab *t, int *kind)
{
    size_t n;
    const struct st_resource *all = st_resources(&n);
    for (size_t i = 0; name && i < n; i++)
        if (strcmp(all[i].name, name) == 0) {
            *t = all[i].table;
            *kind = all[i].kind;
            return true;
        }
    return false;
}

static void
objects(struct st_app *app, js *query, struct st_reply *r)
{
    struct st_dataset *ds = dataset_of(app, query);
    const char *name = js_str(query, "table");
    js *o = json_object_new_object(), *rows = json_object_new_array();
    enum st_tab t;
    int kind;
    if (ds && name && strcmp(name, "me") == 0)
        json_object_array_add(rows, st_me(ds));
    else if (!ds || !table_of(name, &t, &kind)) {
        json_object_put(rows);
        json_object_put(o);
        say(r, 400, ds ? "unknown table" : "unknown identifier");
        return;
    } else
        for (uint32_t i = 0; i < ds->t[t].n_live; i++) {
            const struct st_row *row = &ds->t[t].rows[ds->t[t].order[i]];
            if (kind < 0 || row->kind == kind)
                json_object_array_add(rows, st_render(ds, t, row, NULL));
        }
    js_adds(o, "table", name);
    js_addi(o, "count", (int64_t)json_object_array_length(rows));
    js_add(o, "data", rows);
    st_reply_json(r, 200, o);
}

/* ---- mutations: data that changes between two pages ---- */

static const char *
id_prefix(enum st_tab t, int *len)
{
    static const struct {
        enum st_tab t;
        const char *prefix;
        int len;
    } map[] = {{T_LEAD, "lead", 43},     {T_CONTACT, "cont", 43},  {T_OPP, "oppo", 43},
               {T_TASK, "task", 43},     {T_ACTIVITY, "acti", 43}, {T_COMMENT, "comm", 22},
               {T_THREAD, "comthr", 22}, {T_SUB, "sub", 22},       {T_CUSTOBJ, "custobj", 43},
               {T_EVENT, "ev", 22},      {T_USER, "user", 43},     {T_VIEW, "save", 43}};
    for (size_t i = 0; i < ST_LEN(map); i++)
        if (map[i].t == t) {
            *len = map[i].len;
            return map[i].prefix;
        }
    return NULL;
}

static void
mutate_defaults(struct st_dataset *ds, enum st_tab t, js *o)
{
    if (t == T_LEAD) {
        if (!js_str(o, "name"))
            js_adds(o, "name", "Inserted");
        if (!js_str(o, "status_id"))
            js_adds(o, "status_id", st_nth_id(ds, T_LSTATUS, 0));
        if (!js_ref(o, "addresses"))
            js_add(o, "addresses", json_object_new_array());
        js_addf(o, "html_url", "https://app.close.com/lead/%s/", js_str(o, "id"));
        js_add(o, "integration_links", json_object_new_array());
    }
    if (t == T_TASK && !js_str(o, "_type"))
        js_adds(o, "_type", "lead");
    if (t == T_TASK && !js_ref(o, "is_complete"))
        js_addb(o, "is_complete", false);
}

static void
mutate_insert(struct st_app *app, struct st_dataset *ds, enum st_tab t, int kind, js *m)
{
    struct st_call c = {.app = app, .ds = ds, .method = "POST", .path = "/"};
    js *empty = json_object_new_object(), *in = js_ref(m, "object");
    int len = 43;
    const char *prefix = id_prefix(t, &len);
    if (in && !js_str(in, "id"))
        json_object_object_del(in, "id");
    js *o = st_base(&c, t, prefix, len, in ? in : empty);
    json_object_put(empty);
    if (t == T_ACTIVITY && kind >= 0)
        js_adds(o, "_type", st_act_type((enum st_act)kind));
    mutate_defaults(ds, t, o);
    int64_t at = js_int(m, "position", -1);
    uint32_t row =
        st_append(ds, t, o, st_lead_of(ds, js_str(o, "lead_id")), at < 0 ? ST_NONE : (uint32_t)at);
    if (t == T_LEAD)
        ds->t[t].rows[row].lead = row;
}

static void
mutate_delete(struct st_app *app, struct st_dataset *ds, enum st_tab t, js *m)
{
    struct st_call c = {.app = app, .ds = ds, .method = "DELETE", .path = "/"};
    uint32_t row = st_find(ds, t, js_str(m, "id"));
    int64_t at = js_int(m, "position", -1);
    if (row == ST_NONE && at >= 0 && at < ds->t[t].n_live)
        row = ds->t[t].order[at];
    if (row == ST_NONE)
        return;
    if (t == T_LEAD)
        st_lead_cascade(&c, row);
    st_remove(ds, t, row);
}

static void
mutate_update(struct st_dataset *ds, enum st_tab t, js *m)
{
    uint32_t row = st_find(ds, t, js_str(m, "id"));
    int64_t at = js_int(m, "position", -1);
    if (row == ST_NONE && at >= 0 && at < ds->t[t].n_live)
        row = ds->t[t].order[at];
    if (row == ST_NONE || !js_ref(m, "object"))
        return;
    st_apply(st_edit(ds, t, row), js_ref(m, "object"));
    st_touch(ds, t, row);
}

static void
mutate_now(struct st_app *app, js *m)
{
    struct st_dataset *ds = dataset_of(app, m);
    enum st_tab t;
    int kind;
    if (!ds || !table_of(js_str(m, "table"), &t, &kind))
        return;
    const char *op = js_str(m, "op");
    st_changed(app);
    if (strcmp(op, "insert") == 0)
        mutate_insert(app, ds, t, kind, m);
    else if (strcmp(op, "delete") == 0)
        mutate_delete(app, ds, t, m);
    else
        mutate_update(ds, t, m);
}

/* Called before a call is carried out: after_requests of them go first. */
void
st_mutations_due(struct st_app *app)
{
    for (size_t i = 0; i < json_object_array_length(app->mutations);) {
        js *m = json_object_array_get_idx(app->mutations, i);
        int64_t left = js_int(m, "after_requests", 0);
        if (js_int(m, "due", 0) > st_now()) {
            i++;
            continue;
        }
        if (left > 0) {
            js_addi(m, "after_requests", left - 1);
            i++;
            continue;
        }
        mutate_now(app, m);
        json_object_array_del_idx(app->mutations, i, 1);
    }
}

static void
mutate(struct st_app *app, js *in, struct st_reply *r)
{
    bool list = js_is(in, json_type_array);
    for (size_t i = 0; i < (list ? json_object_array_length(in) : 1); i++) {
        js *m = list ? json_object_array_get_idx(in, i) : in;
        const char *op = js_str(m, "op");
        enum st_tab t;
        int kind, len;
        bool ok = op && (!strcmp(op, "insert") || !strcmp(op, "delete") || !strcmp(op, "update"));
        if (!ok || !table_of(js_str(m, "table"), &t, &kind) || !dataset_of(app, m) ||
            (!strcmp(op, "insert") && !id_prefix(t, &len)) ||
            (js_ref(m, "object") && !js_is(js_ref(m, "object"), json_type_object))) {
            say(r, 400, "a mutation needs op (insert, delete, update), a known table, an object");
            return;
        }
        if (js_int(m, "after_requests", 0) > 0)
            json_object_array_add(app->mutations, js_copy(m));
        else
            mutate_now(app, m);
    }
    say(r, 200, "accepted");
}

/* ---- the rest ---- */

static js *
stats(struct st_app *app)
{
    js *o = json_object_new_object();
    js_addi(o, "requests", (int64_t)app->requests);
    js_addi(o, "finished", (int64_t)app->finished);
    js_addi(o, "inflight", app->inflight);
    js_addi(o, "max_inflight", app->max_inflight);
    js_addi(o, "connections", (int64_t)app->connections);
    js_addi(o, "open_connections", app->open_connections);
    js_addi(o, "kept_answers", (int64_t)st_kept_used(app));
    return o;
}

void
st_reset(struct st_app *app)
{
    json_object_put(app->cfg.page_caps);
    app->cfg = app->start;
    app->cfg.page_caps = js_copy(app->start.page_caps);
    for (int i = 0; i < app->n_accounts; i++) {
        struct st_account *a = &app->accounts[i];
        snprintf(a->status, sizeof a->status, "ACTIVE");
        if (a->ds && a->ds->generation == a->ds->fresh &&
            json_object_array_length(a->ds->outbox) == 0)
            continue;
        st_dataset_free(a->ds);
        a->ds = st_dataset_new(app->cfg.seed + (unsigned)i * 7919, app->cfg.leads);
    }
    json_object_put(app->faults);
    app->faults = json_object_new_array();
    json_object_put(app->released);
    app->released = json_object_new_object();
    json_object_put(app->mutations);
    app->mutations = json_object_new_array();
    memset(app->buckets, 0, sizeof app->buckets);
    st_log_clear(app);
    app->state = 0;
    app->requests = app->finished = app->connections = 0;
    app->max_inflight = app->inflight;
}

static void
log_get(struct st_app *app, struct st_request *q, struct st_reply *r)
{
    const char *since = js_str(q->query, "since");
    st_reply_json(r, 200, st_log_since(app, since ? strtoull(since, NULL, 10) : 0));
}

static void
release(struct st_app *app, js *in, struct st_reply *r)
{
    const char *hold = js_str(in, "hold");
    if (!hold) {
        say(r, 400, "release needs the name of a hold");
        return;
    }
    js_add(app->released, hold, NULL);
    say(r, 200, "released");
}

static void
reset(struct st_app *app, js *in, struct st_reply *r)
{
    if (js_true(in, "tokens", false)) {
        json_object_put(app->tokens);
        app->tokens = json_object_new_object();
    }
    st_reset(app);
    say(r, 200, "reset");
}

void
st_control(struct st_app *app, struct st_request *q, struct st_reply *r)
{
    const char *what = q->path + strlen("/_standin/");
    bool get = strcmp(q->method, "GET") == 0, post = strcmp(q->method, "POST") == 0;
    bool del = strcmp(q->method, "DELETE") == 0;
    js *in = q->body.n ? js_parse(q->body.s, q->body.n) : NULL;
    if (q->body.n && !in)
        say(r, 400, "the body is not JSON");
    else if (get && strcmp(what, "log") == 0)
        log_get(app, q, r);
    else if (del && strcmp(what, "log") == 0) {
        st_log_clear(app);
        say(r, 200, "cleared");
    } else if (post && strcmp(what, "faults") == 0)
        faults_add(app, in, r);
    else if (get && strcmp(what, "faults") == 0)
        st_reply_json(r, 200, js_copy(app->faults));
    else if (del && strcmp(what, "faults") == 0) {
        json_object_put(app->faults);
        app->faults = json_object_new_array();
        say(r, 200, "cleared");
    } else if (post && strcmp(what, "config") == 0)
        config(app, in, r);
    else if (post && strcmp(what, "mutate") == 0)
        mutate(app, in, r);
    else if (post && strcmp(what, "reset") == 0)
        reset(app, in, r);
    else if (post && strcmp(what, "release") == 0)
        release(app, in, r);
    else if (get && strcmp(what, "objects") == 0)
        objects(app, q->query, r);
    else if (get && strcmp(what, "outbox") == 0) {
        struct st_dataset *ds = dataset_of(app, q->query);
        st_reply_json(r, 200, ds ? js_copy(ds->outbox) : json_object_new_array());
    } else if (get && strcmp(what, "stats") == 0)
        st_reply_json(r, 200, stats(app));
    else
        say(r, 404, "unknown control request");
    json_object_put(in);
}

/* ---- limits that tests may lower ---- */

int64_t
st_page_cap(struct st_app *app, const struct st_resource *r)
{
    return js_int(app->cfg.page_caps, r->name, r->max_limit);
}

int64_t
st_skip_cap(struct st_app *app, const struct st_resource *r)
{
    int64_t set = r->table == T_LEAD ? app->cfg.skip_cap : app->cfg.other_skip_cap;
    return set >= 0 ? set : r->max_skip;
}
