/*
 * Close's REST API: routing, lists, single objects, errors.
 *
 * A path is looked up in the resource table; the rest of the path is an id. Lists, gets and deletes
 * are alike for all resources and live here, creates and updates follow rules of their own
 * (rest_crm.c, rest_act.c, rest_conf.c, rest_more.c). Error bodies keep the shapes of the two
 * generations of endpoints: {"error": "..."} and {"errors": [], "field-errors": {...}}.
 *
 * Close never says which rule made a list shorter or a filter void; nothing here does either.
 */
#include "standin.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void
st_ok(struct st_answer *a, int status, js *body)
{
    json_object_put(a->body);
    a->status = status;
    a->body = body;
}

void
st_fail(struct st_answer *a, int status, const char *fmt, ...)
{
    char text[600];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    js *o = json_object_new_object();
    js_adds(o, "error", text);
    st_ok(a, status, o);
}

void
st_fail_field(struct st_answer *a, const char *field, const char *fmt, ...)
{
    char text[600];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    js *o = json_object_new_object(), *f = json_object_new_object();
    js_add(o, "errors", json_object_new_array());
    js_adds(f, field, text);
    js_add(o, "field-errors", f);
    st_ok(a, 400, o);
}

void
st_not_found(struct st_answer *a, const char *what)
{
    st_fail(a, 404, "Empty query: %s matching query does not exist.", what);
}

/* ---- lists ---- */

static bool
page_number(struct st_call *c, const char *name, int64_t dflt, int64_t *out, struct st_answer *a)
{
    const char *s = js_str(c->query, name);
    char *end;
    *out = dflt;
    if (!s)
        return true;
    errno = 0;
    long long v = strtoll(s, &end, 10);
    if (!*s || *end || errno) {
        st_fail(a, 400, "%s must be an integer (got \"%.80s\" instead).", name, s);
        return false;
    }
    if (v < 0) {
        st_fail(a, 400, "%s must be a non-negative integer (got \"%.80s\" instead).", name, s);
        return false;
    }
    *out = v;
    return true;
}

static bool
page_of(struct st_call *c, const struct st_resource *r, int64_t *limit, int64_t *skip,
        struct st_answer *a)
{
    int64_t cap = st_page_cap(c->app, r), most = st_skip_cap(c->app, r);
    if (!page_number(c, "_limit", cap < 100 ? cap : 100, limit, a) ||
        !page_number(c, "_skip", 0, skip, a))
        return false;
    if (*limit > cap) {
        st_fail_field(a, "_limit", "Input should be less than or equal to %lld", (long long)cap);
        return false;
    }
    if (*skip > most) {
        if (r->table == T_LEAD)
            st_fail_field(a, "_skip",
                          "Input should be less than or equal to %lld. Please use the Advanced "
                          "Filtering API to read more results.",
                          (long long)most);
        else
            st_fail(a, 400,
                    "The skip you set is larger than the maximum skip for this resource "
                    "(max_skip = %lld). Please refine your search query.",
                    (long long)most);
        return false;
    }
    return true;
}

/* Sums over all matches of an opportunity list; kept with the cached selection. */
static js *
opp_totals(struct st_call *c, struct st_cached *sel)
{
    static const char *const periods[] = {"one_time", "monthly", "annual"};
    double value[3] = {0}, expected[3] = {0}, year = 0, year_exp = 0;
    int64_t count[3] = {0};
    for (uint32_t i = 0; i < sel->n; i++) {
        js *o = st_stored(c->ds, T_OPP, &c->ds->t[T_OPP].rows[sel->rows[i]]);
        const char *p = js_str(o, "value_period");
        double v = (double)js_int(o, "value", 0);
        double e = v * (double)js_int(o, "confidence", 0) / 100.0;
        for (int k = 0; k < 3; k++)
            if (p && strcmp(p, periods[k]) == 0) {
                count[k]++;
                value[k] += v;
                expected[k] += e;
                year += k == 1 ? v * 12 : v;
                year_exp += k == 1 ? e * 12 : e;
            }
        json_object_put(o);
    }
    js *o = json_object_new_object(), *by = json_object_new_object();
    char key[60];
    for (int k = 0; k < 3; k++) {
        js_addi(by, periods[k], count[k]);
        snprintf(key, sizeof key, "total_value_%s", periods[k]);
        js_addi(o, key, (int64_t)value[k]);
        snprintf(key, sizeof key, "expected_value_%s", periods[k]);
        js_addi(o, key, (int64_t)expected[k]);
    }
    js_add(o, "count_by_value_period", by);
    js_addi(o, "total_value_annualized", (int64_t)year);
    js_addi(o, "expected_value_annualized", (int64_t)year_exp);
    return o;
}

void
st_rest_list(struct st_call *c, const struct st_resource *r, struct st_answer *a)
{
    struct st_cached *sel;
    int64_t limit = INT32_MAX, skip = 0;
    const char *want = r->flags & R_FIELDS ? js_str(c->query, "_fields") : NULL;
    if (!(r->flags & R_WHOLE) && !page_of(c, r, &limit, &skip, a))
        return;
    if (!st_select(c, r, a, &sel))
        return;
    js *rows = json_object_new_array(), *o = json_object_new_object();
    for (int64_t i = skip; i < sel->n && i - skip < limit; i++) {
        js *row = st_render(c->ds, r->table, &c->ds->t[r->table].rows[sel->rows[i]], want);
        if (r->table == T_VIEW)
            json_object_object_del(row, "used_recently");
        json_object_array_add(rows, row);
    }
    if (!(r->flags & R_BARE))
        js_addb(o, "has_more", limit < sel->n && skip < sel->n - limit);
    js_add(o, "data", rows);
    if (r->flags & R_TOTAL)
        js_addi(o, "total_results", sel->n);
    if (r->table == T_OPP) {
        if (!sel->extra)
            sel->extra = opp_totals(c, sel);
        json_object_object_foreach(sel->extra, key, val) js_add(o, key, json_object_get(val));
    }
    st_ok(a, 200, o);
}

/* ---- single objects ---- */

static const char *
model_name(enum st_tab t, int kind)
{
    static const char *const names[T_COUNT] = {[T_LEAD] = "Lead",
                                               [T_CONTACT] = "Contact",
                                               [T_OPP] = "Opportunity",
                                               [T_TASK] = "Task",
                                               [T_COMMENT] = "Comment",
                                               [T_THREAD] = "CommentThread",
                                               [T_PIPELINE] = "Pipeline",
                                               [T_SEQUENCE] = "Sequence",
                                               [T_SUB] = "Subscription",
                                               [T_USER] = "User",
                                               [T_WEBHOOK] = "Webhook",
                                               [T_LSTATUS] = "LeadStatus",
                                               [T_OSTATUS] = "OpportunityStatus",
                                               [T_VIEW] = "SavedSearch",
                                               [T_EVENT] = "Event",
                                               [T_CUSTOBJ] = "CustomObject",
                                               [T_COTYPE] = "CustomObjectType"};
    if (t == T_ACTIVITY)
        return st_act_type((enum st_act)kind);
    return names[t] ? names[t] : "CustomField";
}

void
st_reply_row(struct st_call *c, enum st_tab t, uint32_t row, int status, struct st_answer *a)
{
    st_ok(a, status, st_render(c->ds, t, &c->ds->t[t].rows[row], NULL));
}

static void
counts_by_status(struct st_call *c, js *o)
{
    static const char *const states[] = {"active", "paused", "finished", "goal", "error"};
    int64_t n[ST_LEN(states)] = {0};
    const struct st_table *tab = &c->ds->t[T_SUB];
    const char *id = js_str(o, "id");
    for (uint32_t i = 0; id && i < tab->n_live; i++) {
        js *s = st_stored(c->ds, T_SUB, &tab->rows[tab->order[i]]);
        const char *seq = js_str(s, "sequence_id"), *st = js_str(s, "status");
        for (size_t k = 0; k < ST_LEN(states); k++)
            n[k] += seq && st && strcmp(seq, id) == 0 && strcmp(st, states[k]) == 0;
        json_object_put(s);
    }
    js *all = json_object_new_object();
    for (size_t k = 0; k < ST_LEN(states); k++)
        js_addi(all, states[k], n[k]);
    js_add(o, "subscription_counts_by_status", all);
}

static void
get_one(struct st_call *c, const struct st_resource *r, uint32_t row, struct st_answer *a)
{
    js *o = st_render(c->ds, r->table, &c->ds->t[r->table].rows[row], NULL);
    if (r->table == T_SEQUENCE)
        counts_by_status(c, o);
    if (r->table == T_VIEW)
        js_addb(o, "used_recently", false);
    if (r->flags & R_FIELDS)
        o = st_project(o, js_str(c->query, "_fields"));
    st_ok(a, 200, o);
}

static void
create(struct st_call *c, const struct st_resource *r, struct st_answer *a)
{
    static st_create_fn *const by_table[T_COUNT] = {
        [T_LEAD] = st_lead_create,         [T_CONTACT] = st_contact_create,
        [T_OPP] = st_opp_create,           [T_TASK] = st_task_create,
        [T_COMMENT] = st_comment_create,   [T_PIPELINE] = st_pipeline_create,
        [T_SEQUENCE] = st_sequence_create, [T_SUB] = st_sub_create,
        [T_WEBHOOK] = st_webhook_create,   [T_VIEW] = st_view_create};
    if (!st_body_object(c, a))
        return;
    if (r->table == T_ACTIVITY)
        st_act_create(c, r->kind, a);
    else if (r->table == T_CF_LEAD || r->table == T_CF_CONTACT || r->table == T_CF_OPP)
        st_cf_create(c, r->table, a);
    else if (r->table == T_LSTATUS || r->table == T_OSTATUS)
        st_status_create(c, r->table, a);
    else if (by_table[r->table])
        by_table[r->table](c, a);
    else
        st_fail(a, 405, "Method Not Allowed");
}

static void
update(struct st_call *c, const struct st_resource *r, uint32_t row, struct st_answer *a)
{
    static st_change_fn *const by_table[T_COUNT] = {
        [T_LEAD] = st_lead_update,         [T_CONTACT] = st_contact_update,
        [T_OPP] = st_opp_update,           [T_TASK] = st_task_update,
        [T_ACTIVITY] = st_act_update,      [T_COMMENT] = st_comment_update,
        [T_PIPELINE] = st_pipeline_update, [T_SEQUENCE] = st_sequence_update,
        [T_SUB] = st_sub_update,           [T_WEBHOOK] = st_webhook_update,
        [T_VIEW] = st_view_update};
    if (!st_body_object(c, a))
        return;
    if (r->table == T_CF_LEAD || r->table == T_CF_CONTACT || r->table == T_CF_OPP)
        st_cf_update(c, r->table, row, a);
    else if (r->table == T_LSTATUS || r->table == T_OSTATUS)
        st_status_update(c, r->table, row, a);
    else if (by_table[r->table])
        by_table[r->table](c, row, a);
    else
        st_fail(a, 405, "Method Not Allowed");
}

static void
destroy(struct st_call *c, const struct st_resource *r, uint32_t row, struct st_answer *a)
{
    switch (r->table) {
    case T_LEAD:
        st_lead_delete(c, row, a);
        break;
    case T_COMMENT:
        st_comment_delete(c, row, a);
        break;
    case T_PIPELINE:
        st_pipeline_delete(c, row, a);
        break;
    case T_CF_LEAD:
    case T_CF_CONTACT:
    case T_CF_OPP:
        st_cf_delete(c, r->table, row, a);
        break;
    default:
        st_delete_row(c, r->table, row);
        /* seen live: 200 with nothing; the framework's own answer is {}: both occur */
        st_ok(a, 200,
              r->table == T_SUB || r->table == T_WEBHOOK || r->table == T_CONTACT
                  ? NULL
                  : json_object_new_object());
    }
}

static void
object_call(struct st_call *c, const struct st_resource *r, const char *id, struct st_answer *a)
{
    uint32_t row = st_find(c->ds, r->table, id);
    if (row != ST_NONE && r->kind >= 0 && c->ds->t[r->table].rows[row].kind != r->kind)
        row = ST_NONE;
    if (r->flags & R_NO_GET) {
        st_fail(a, 404,
                "The requested URL was not found on the server. If you entered the URL manually "
                "please check your spelling and try again.");
        return;
    }
    if (strcmp(c->method, "POST") == 0) {
        st_fail(a, 404, "To update an object use PUT instead of POST.");
        return;
    }
    bool get = strcmp(c->method, "GET") == 0, put = strcmp(c->method, "PUT") == 0;
    if (!get && ((r->flags & R_READ_ONLY) || (!put && strcmp(c->method, "DELETE")))) {
        st_fail(a, 405, "Method Not Allowed");
        return;
    }
    if (row == ST_NONE || (!get && c->ds->t[r->table].rows[row].dying))
        st_not_found(a, model_name(r->table, r->kind));
    else if (get)
        get_one(c, r, row, a);
    else if (put)
        update(c, r, row, a);
    else
        destroy(c, r, row, a);
}

static const struct st_resource *
route(const char *path, char id[80])
{
    size_t n, best_len = 0;
    const struct st_resource *all = st_resources(&n), *best = NULL;
    for (size_t i = 0; i < n; i++) {
        size_t len = strlen(all[i].path);
        if (len > best_len && strncmp(path, all[i].path, len) == 0) {
            best = &all[i];
            best_len = len;
        }
    }
    id[0] = 0;
    if (!best)
        return NULL;
    const char *rest = path + best_len;
    size_t len = strlen(rest);
    if (len && (len < 2 || rest[len - 1] != '/' || memchr(rest, '/', len - 1) || len > 79))
        return NULL;
    if (len) {
        memcpy(id, rest, len - 1);
        id[len - 1] = 0;
    }
    return best;
}

/* The paths that are no plain resource. True: handled. */
static bool
special(struct st_call *c, struct st_answer *a)
{
    bool get = strcmp(c->method, "GET") == 0, post = strcmp(c->method, "POST") == 0;
    if (strcmp(c->path, "/me/") == 0 && get) {
        st_ok(a, 200, st_project(st_me(c->ds), js_str(c->query, "_fields")));
        return true;
    }
    if (strcmp(c->path, "/lead/merge/") == 0 && post) {
        if (st_body_object(c, a))
            st_lead_merge(c, a);
        return true;
    }
    if (strcmp(c->path, "/task/") == 0 && strcmp(c->method, "PUT") == 0) {
        if (st_body_object(c, a))
            st_task_bulk(c, a);
        return true;
    }
    if (st_has_prefix(c->path, "/custom_field_schema/") && get) {
        st_cf_schema(c, c->path + strlen("/custom_field_schema/"), a);
        return true;
    }
    if (strcmp(c->path, "/event/") == 0 && get) {
        st_rest_events(c, a);
        return true;
    }
    return st_rest_jobs(c, a);
}

static bool
slash_missing(struct st_call *c, struct st_answer *a)
{
    size_t n = strlen(c->path);
    if (n && c->path[n - 1] == '/')
        return false;
    if (strcmp(c->method, "GET") == 0) {
        snprintf(a->location, sizeof a->location, "/api/v1%.400s/", c->path);
        st_ok(a, 301, NULL);
    } else
        st_fail(a, 404,
                "The requested URL was not found on the server. If you entered the URL manually "
                "please check your spelling and try again.");
    return true;
}

void
st_rest(struct st_call *c, struct st_answer *a)
{
    char id[80];
    if (slash_missing(c, a) || special(c, a))
        return;
    const struct st_resource *r = route(c->path, id);
    if (!r)
        st_fail(a, 404,
                "The requested URL was not found on the server. If you entered the URL manually "
                "please check your spelling and try again.");
    else if (*id)
        object_call(c, r, id, a);
    else if (strcmp(c->method, "GET") == 0)
        st_rest_list(c, r, a);
    else if (strcmp(c->method, "POST") == 0 && !(r->flags & R_READ_ONLY))
        create(c, r, a);
    else
        st_fail(a, 405, "Method Not Allowed");
}
