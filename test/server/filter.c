/*
 * Which rows a list answers, and in which order.
 *
 * One table says for every list which parameters it honours. Everything else (unknown filters,
 * operators a filter does not have, sort keys that are not allowed) is ignored without a word, as
 * the service does: that silence is the trap that a client must survive. Activity lists honour
 * contact_id, user_id, _type and activity_at only together with exactly one lead_id.
 *
 * A selection is computed once and cached under the text of its effective parameters until the
 * data changes; paging then is an index into it.
 */
#include "standin.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct st_filter f_activity[] = {{"lead_id", "ei", F_LEAD},
                                              {"contact_id", "ei", F_TEXT},
                                              {"user_id", "ei", F_TEXT},
                                              {"_type", "ei", F_KIND},
                                              {"id", "i", F_ID},
                                              {"organization_id", "e", F_TEXT},
                                              {"date_created", "r", F_TIME},
                                              {"activity_at", "r", F_TIME},
                                              {NULL, NULL, F_TEXT}};
static const struct st_filter f_typed[] = {
    {"lead_id", "ei", F_LEAD},        {"contact_id", "ei", F_TEXT},
    {"user_id", "ei", F_TEXT},        {"id", "i", F_ID},
    {"organization_id", "e", F_TEXT}, {"date_created", "r", F_TIME},
    {"activity_at", "r", F_TIME},     {NULL, NULL, F_TEXT}};
static const struct st_filter f_custom[] = {{"lead_id", "ei", F_LEAD},
                                            {"contact_id", "ei", F_TEXT},
                                            {"user_id", "ei", F_TEXT},
                                            {"id", "i", F_ID},
                                            {"custom_activity_type_id", "ei", F_TEXT},
                                            {"organization_id", "e", F_TEXT},
                                            {"date_created", "r", F_TIME},
                                            {"activity_at", "r", F_TIME},
                                            {NULL, NULL, F_TEXT}};
static const struct st_filter f_contact[] = {{"lead_id", "e", F_LEAD}, {NULL, NULL, F_TEXT}};
static const struct st_filter f_opp[] = {{"lead_id", "e", F_LEAD},
                                         {"organization_id", "e", F_TEXT},
                                         {"user_id", "ei", F_TEXT},
                                         {"status_id", "ei", F_TEXT},
                                         {"status_type", "ei", F_TEXT},
                                         {"status_label", "ei", F_TEXT},
                                         {"status", "ei", F_TEXT},
                                         {"value_period", "ei", F_TEXT},
                                         {"date_won", "er", F_TIME},
                                         {"date_created", "er", F_TIME},
                                         {"date_updated", "er", F_TIME},
                                         {"is_stalled", "e", F_BOOL},
                                         {NULL, NULL, F_TEXT}};
static const struct st_filter f_task[] = {
    {"_type", "ei", F_TEXT},       {"id", "ei", F_ID},           {"lead_id", "e", F_LEAD},
    {"assigned_to", "e", F_TEXT},  {"is_complete", "e", F_BOOL}, {"view", "e", F_TEXT},
    {"date", "er", F_TIME},        {"due_date", "er", F_TIME},   {"date_created", "r", F_TIME},
    {"date_updated", "r", F_TIME}, {NULL, NULL, F_TEXT}};
static const struct st_filter f_comment[] = {{"thread_id", "e", F_TEXT}, {NULL, NULL, F_TEXT}};
static const struct st_filter f_thread[] = {
    {"ids", "i", F_ID}, {"object_ids", "i", F_TEXT}, {NULL, NULL, F_TEXT}};
static const struct st_filter f_sub[] = {{"sequence_id", "e", F_TEXT},
                                         {"contact_id", "e", F_TEXT},
                                         {"lead_id", "e", F_LEAD},
                                         {NULL, NULL, F_TEXT}};
static const struct st_filter f_custobj[] = {
    {"lead_id", "e", F_LEAD}, {"custom_object_type_id", "e", F_TEXT}, {NULL, NULL, F_TEXT}};
static const struct st_filter f_view[] = {{"type", "ei", F_TEXT}, {NULL, NULL, F_TEXT}};
static const struct st_filter f_none[] = {{NULL, NULL, F_TEXT}};

static const struct st_resource resources[] = {
    {"leads", "/lead/", T_LEAD, -1, 200, 35000, R_TOTAL | R_FIELDS, f_none, ""},
    {"contacts", "/contact/", T_CONTACT, -1, 100, 250000, R_FIELDS, f_contact, ""},
    {"opportunities", "/opportunity/", T_OPP, -1, 250, 250000, R_TOTAL | R_FIELDS, f_opp,
     "date_won,date_updated,date_created,confidence,user_name,value,annualized_value,"
     "annualized_expected_value"},
    {"tasks", "/task/", T_TASK, -1, 1000, 250000, R_FIELDS, f_task, "date,date_created"},
    {"activities", "/activity/", T_ACTIVITY, -1, 100, 250000,
     R_FIELDS | R_NEWEST | R_READ_ONLY | R_NO_GET, f_activity, "date_created,activity_at"},
    {"notes", "/activity/note/", T_ACTIVITY, A_NOTE, 100, 250000, R_FIELDS | R_NEWEST, f_typed, ""},
    {"calls", "/activity/call/", T_ACTIVITY, A_CALL, 100, 250000, R_FIELDS | R_NEWEST, f_typed, ""},
    {"emails", "/activity/email/", T_ACTIVITY, A_EMAIL, 100, 250000, R_FIELDS | R_NEWEST, f_typed,
     ""},
    {"sms", "/activity/sms/", T_ACTIVITY, A_SMS, 100, 250000, R_FIELDS | R_NEWEST, f_typed, ""},
    {"custom_activities", "/activity/custom/", T_ACTIVITY, A_CUSTOM, 100, 250000,
     R_FIELDS | R_NEWEST | R_READ_ONLY, f_custom, ""},
    {"comments", "/comment/", T_COMMENT, -1, 100, 250000, 0, f_comment, ""},
    {"comment_threads", "/comment_thread/", T_THREAD, -1, 100, 250000, R_READ_ONLY, f_thread, ""},
    {"pipelines", "/pipeline/", T_PIPELINE, -1, 0, 0, R_WHOLE | R_BARE, f_none, ""},
    {"sequences", "/sequence/", T_SEQUENCE, -1, 1000, 250000, 0, f_none, ""},
    {"sequence_subscriptions", "/sequence_subscription/", T_SUB, -1, 100, 250000, 0, f_sub, ""},
    {"users", "/user/", T_USER, -1, 1000, 250000, R_READ_ONLY | R_FIELDS, f_none,
     "last_name,first_name"},
    {"webhooks", "/webhook/", T_WEBHOOK, -1, 0, 0, R_WHOLE | R_BARE, f_none, ""},
    {"custom_fields_lead", "/custom_field/lead/", T_CF_LEAD, -1, 1000, 250000, R_FIELDS, f_none,
     ""},
    {"custom_fields_contact", "/custom_field/contact/", T_CF_CONTACT, -1, 1000, 250000, R_FIELDS,
     f_none, ""},
    {"custom_fields_opportunity", "/custom_field/opportunity/", T_CF_OPP, -1, 1000, 250000,
     R_FIELDS, f_none, ""},
    {"custom_fields_shared", "/custom_field/shared/", T_CF_SHARED, -1, 1000, 250000,
     R_FIELDS | R_READ_ONLY, f_none, ""},
    {"lead_statuses", "/status/lead/", T_LSTATUS, -1, 0, 0, R_WHOLE, f_none, ""},
    {"opportunity_statuses", "/status/opportunity/", T_OSTATUS, -1, 0, 0, R_WHOLE | R_FIELDS,
     f_none, ""},
    {"custom_object_types", "/custom_object_type/", T_COTYPE, -1, 0, 0,
     R_WHOLE | R_BARE | R_READ_ONLY, f_none, ""},
    {"custom_objects", "/custom_object/", T_CUSTOBJ, -1, 100, 250000, R_READ_ONLY, f_custobj, ""},
    {"smart_views", "/saved_search/", T_VIEW, -1, 600, 250000, R_FIELDS, f_view, ""},
    {"events", "/event/", T_EVENT, -1, 50, 0, R_READ_ONLY, f_none, ""},
};

const struct st_resource *
st_resources(size_t *n)
{
    *n = ST_LEN(resources);
    return resources;
}

const struct st_resource *
st_resource_of(enum st_tab t, int kind)
{
    for (size_t i = 0; i < ST_LEN(resources); i++)
        if (resources[i].table == t && (t != T_ACTIVITY || resources[i].kind == kind))
            return &resources[i];
    return NULL;
}

/* ---- predicates ---- */

#define MAX_PRED 24

struct pred {
    const struct st_filter *f;
    char op[4]; /* "eq", "in", "gt", "gte", "lt", "lte" */
    char field[40];
    const char *value;
    int64_t us;
    bool yes;
    uint32_t *leads; /* F_LEAD: the row numbers meant */
    uint32_t n_leads;
};

struct selection {
    struct st_call *c;
    const struct st_resource *r;
    struct pred p[MAX_PRED];
    int n;
    struct st_text key, want;
    bool one_lead;
    char thread[56];
};

static const struct st_filter *
filter_named(const struct st_resource *r, const char *name, size_t len)
{
    for (const struct st_filter *f = r->filters; f->name; f++)
        if (strlen(f->name) == len && strncmp(f->name, name, len) == 0)
            return f;
    return NULL;
}

/* Finds the filter and operator of a parameter name; NULL when the list does not honour it. */
static const struct st_filter *
filter_split(const struct st_resource *r, const char *name, char op[4])
{
    const char *sep = NULL;
    for (const char *p = strstr(name, "__"); p; p = strstr(p + 1, "__"))
        if (p != name)
            sep = p;
    const struct st_filter *f = filter_named(r, name, sep ? (size_t)(sep - name) : strlen(name));
    snprintf(op, 4, "%.3s", sep ? sep + 2 : "eq");
    if (!f)
        return NULL;
    char letter = !sep ? 'e' : strcmp(op, "in") == 0 ? 'i' : 'r';
    if (letter == 'r' && strcmp(op, "gt") && strcmp(op, "gte") && strcmp(op, "lt") &&
        strcmp(op, "lte"))
        return NULL;
    if (letter == 'e' && f->ops[0] == 'i') { /* ids, object_ids: a list without suffix */
        if (r->table != T_THREAD)
            return NULL;
        snprintf(op, 4, "in");
        return f;
    }
    return strchr(f->ops, letter) ? f : NULL;
}

static bool
pred_lead(struct selection *s, struct pred *p)
{
    char id[80];
    const char *list = p->value;
    p->leads = st_alloc(sizeof *p->leads * (strlen(p->value) / 2 + 2));
    while (st_comma(&list, id, sizeof id))
        p->leads[p->n_leads++] = st_find(s->c->ds, T_LEAD, id);
    return true;
}

static bool
pred_add(struct selection *s, const struct st_filter *f, const char *op, const char *value,
         struct st_answer *a)
{
    bool date_only;
    if (s->n == MAX_PRED)
        return true;
    struct pred *p = &s->p[s->n++];
    p->f = f;
    p->value = value;
    snprintf(p->op, sizeof p->op, "%s", op);
    snprintf(p->field, sizeof p->field, "%s", f->name);
    if (s->r->table == T_THREAD && strcmp(f->name, "object_ids") == 0)
        snprintf(p->field, sizeof p->field, "object_id");
    if (s->r->table == T_OPP && strcmp(f->name, "status") == 0)
        snprintf(p->field, sizeof p->field, "status_label");
    if (f->type == F_LEAD)
        return pred_lead(s, p);
    if (f->type == F_BOOL) {
        p->yes =
            strcmp(value, "true") == 0 || strcmp(value, "1") == 0 || strcmp(value, "True") == 0;
        if (!p->yes && strcmp(value, "false") && strcmp(value, "0") && strcmp(value, "False")) {
            st_fail_field(a, f->name, "Value must be of bool type.");
            return false;
        }
    }
    if (f->type == F_TIME && *value && !st_time_parse(value, s->c->tz, &p->us, &date_only)) {
        st_fail_field(a, f->name, "Could not parse datetime");
        return false;
    }
    if (f->type != F_ID && f->type != F_KIND)
        st_putf(&s->want, "%s%s", s->want.n ? "," : "", p->field);
    return true;
}

static bool
in_list(const char *list, const char *value, bool kinds)
{
    char item[120];
    if (!value)
        return false;
    while (st_comma(&list, item, sizeof item)) {
        if (strcmp(item, value) == 0)
            return true;
        if (kinds && strcmp(item, "Custom") == 0 && strcmp(value, "CustomActivity") == 0)
            return true;
    }
    return false;
}

static bool
pred_time(const struct pred *p, const char *text)
{
    int64_t us;
    bool date_only;
    if (!text || !st_time_parse(text, 0, &us, &date_only))
        return !text && !*p->value;
    if (!*p->value)
        return false;
    if (strcmp(p->op, "eq") == 0)
        return us == p->us;
    if (p->op[0] == 'g')
        return p->op[2] ? us >= p->us : us > p->us;
    return p->op[2] ? us <= p->us : us < p->us;
}

static bool
pred_fast_time(const struct pred *p, int64_t us)
{
    if (!*p->value)
        return false;
    if (p->op[0] == 'g')
        return p->op[2] ? us >= p->us : us > p->us;
    if (p->op[0] == 'l')
        return p->op[2] ? us <= p->us : us < p->us;
    return us == p->us;
}

static bool
pred_slow(const struct pred *p, js *o)
{
    js *v = js_ref(o, p->field);
    if (p->f->type == F_BOOL)
        return js_true(o, p->field, false) == p->yes;
    if (p->f->type == F_TIME)
        return pred_time(p, js_str(o, p->field));
    if (!*p->value)
        return v == NULL;
    if (!v)
        return false;
    if (strcmp(p->op, "in") == 0 || strchr(p->f->ops, 'i'))
        return in_list(p->value, json_object_get_string(v), false);
    return strcmp(json_object_get_string(v), p->value) == 0;
}

static bool
row_matches(struct selection *s, const struct st_row *row)
{
    js *o = NULL;
    bool ok = s->r->kind < 0 || row->kind == s->r->kind;
    for (int pass = 0; ok && pass < 2; pass++)
        for (int i = 0; ok && i < s->n; i++) {
            const struct pred *p = &s->p[i];
            bool created = strcmp(p->field, "date_created") == 0;
            bool fast = p->f->type == F_LEAD || p->f->type == F_ID || p->f->type == F_KIND ||
                        created || strcmp(p->field, "date_updated") == 0;
            if (fast != (pass == 0))
                continue;
            if (p->f->type == F_LEAD) {
                ok = false;
                for (uint32_t k = 0; k < p->n_leads; k++)
                    ok |= p->leads[k] == row->lead && row->lead != ST_NONE;
            } else if (p->f->type == F_ID)
                ok = in_list(p->value, row->id, false);
            else if (p->f->type == F_KIND)
                ok = in_list(p->value, st_act_type(row->kind), true);
            else if (fast)
                ok = pred_fast_time(p, created ? row->created : row->updated);
            else {
                if (!o)
                    o = st_render(s->c->ds, s->r->table, row, s->want.s);
                ok = pred_slow(p, o);
            }
        }
    json_object_put(o);
    return ok;
}

/* ---- order ---- */

struct sort_item {
    uint32_t row, pos;
    double num;
    char text[64];
    bool null;
};

static int
sort_cmp(const void *pa, const void *pb)
{
    const struct sort_item *a = pa, *b = pb;
    if (a->null != b->null)
        return a->null ? -1 : 1;
    int c = a->num < b->num ? -1 : a->num > b->num ? 1 : strcmp(a->text, b->text);
    if (c)
        return c;
    return a->pos < b->pos ? -1 : a->pos > b->pos;
}

static int
sort_cmp_desc(const void *pa, const void *pb)
{
    const struct sort_item *a = pa, *b = pb;
    struct sort_item x = *a, y = *b;
    x.pos = b->pos;
    y.pos = a->pos;
    return sort_cmp(&y, &x);
}

static void
sort_key(struct selection *s, const char *field, struct sort_item *it)
{
    const struct st_row *row = &s->c->ds->t[s->r->table].rows[it->row];
    if (strcmp(field, "date_created") == 0 || strcmp(field, "date_updated") == 0) {
        it->num = (double)(field[5] == 'c' ? row->created : row->updated);
        return;
    }
    js *o = st_render(s->c->ds, s->r->table, row, field), *v = js_ref(o, field);
    int64_t us;
    bool date_only;
    it->null = v == NULL;
    if (js_is(v, json_type_int) || js_is(v, json_type_double))
        it->num = json_object_get_double(v);
    else if (v && st_time_parse(json_object_get_string(v), 0, &us, &date_only))
        it->num = (double)us;
    else if (v)
        snprintf(it->text, sizeof it->text, "%s", json_object_get_string(v));
    json_object_put(o);
}

static void
sort_rows(struct selection *s, uint32_t *rows, uint32_t n, const char *field, bool desc)
{
    struct sort_item *items = st_alloc(sizeof *items * n);
    for (uint32_t i = 0; i < n; i++) {
        items[i].row = rows[i];
        items[i].pos = i;
        sort_key(s, field, &items[i]);
    }
    qsort(items, n, sizeof *items, desc ? sort_cmp_desc : sort_cmp);
    for (uint32_t i = 0; i < n; i++)
        rows[i] = items[i].row;
    free(items);
}

/* The sort key that applies, or NULL; text starts with a minus for descending. */
static const char *
order_of(struct selection *s)
{
    const char *want = js_str(s->c->query, "_order_by");
    if (want) {
        const char *bare = want + (*want == '-');
        bool at = strcmp(bare, "activity_at") == 0;
        if (in_list(s->r->order, bare, false) && (!at || (s->one_lead && bare != want)))
            return want;
        if (s->r->table == T_USER && (strcmp(bare, "last_name,first_name") == 0))
            return "last_name";
        if (s->r->table == T_USER && (strcmp(bare, "first_name,last_name") == 0))
            return "first_name";
    }
    return s->r->flags & R_NEWEST ? "-date_created" : NULL;
}

/* ---- the rules of single lists ---- */

static bool
needs(struct selection *s, struct st_answer *a)
{
    js *q = s->c->query;
    switch (s->r->table) {
    case T_COMMENT:
        if (!js_str(q, "object_id") == !js_str(q, "thread_id")) {
            st_fail(a, 400, "Exactly one of object_id and thread_id must be given.");
            return false;
        }
        return true;
    case T_SUB:
        if (!js_str(q, "sequence_id") && !js_str(q, "contact_id") && !js_str(q, "lead_id")) {
            st_fail(a, 400, "One of sequence_id, contact_id or lead_id is required.");
            return false;
        }
        return true;
    case T_CUSTOBJ:
        if (!js_str(q, "lead_id")) {
            st_fail_field(a, "lead_id", "This field is required.");
            return false;
        }
        return true;
    case T_ACTIVITY:
        if (s->r->kind == A_CUSTOM && !js_str(q, "lead_id") &&
            (js_str(q, "custom_activity_type_id") || js_str(q, "custom_activity_type_id__in"))) {
            st_fail(a, 400, "custom_activity_type_id can only be used together with lead_id.");
            return false;
        }
        return true;
    case T_OPP:
        if (js_str(q, "query") || js_str(q, "_group_by") || js_str(q, "lead_query") ||
            js_str(q, "lead_saved_search_id")) {
            st_fail(a, 400, "The stand-in has no query, lead_query or _group_by here.");
            return false;
        }
        return true;
    default:
        return true;
    }
}

/* Parameters that this list would honour but does not in this combination. */
static bool
disregarded(struct selection *s, const char *name)
{
    if (s->r->table == T_ACTIVITY && st_has_prefix(name, "activity_at"))
        return !s->one_lead && s->r->kind < 0;
    if (s->r->table == T_ACTIVITY && s->r->kind < 0 &&
        (st_has_prefix(name, "contact_id") || st_has_prefix(name, "user_id") ||
         st_has_prefix(name, "_type")))
        return !s->one_lead;
    if (s->r->table == T_TASK && st_has_prefix(name, "_type"))
        return js_str(s->c->query, "_type") && strcmp(js_str(s->c->query, "_type"), "all") == 0;
    return false;
}

static bool
defaults(struct selection *s, struct st_answer *a)
{
    js *q = s->c->query;
    if (s->r->table == T_TASK && !js_str(q, "_type") && !js_str(q, "_type__in")) {
        st_puts(&s->key, "&_type=lead");
        return pred_add(s, filter_named(s->r, "_type", 5), "eq", "lead", a);
    }
    if (s->r->table == T_VIEW && !js_str(q, "type") && !js_str(q, "type__in")) {
        st_puts(&s->key, "&type=lead");
        return pred_add(s, filter_named(s->r, "type", 4), "eq", "lead", a);
    }
    if (s->r->table == T_COMMENT && js_str(q, "object_id")) {
        struct st_dataset *ds = s->c->ds;
        const struct st_table *tab = &ds->t[T_THREAD];
        snprintf(s->thread, sizeof s->thread, "-");
        for (uint32_t i = 0; i < tab->n_live; i++) {
            js *o = st_stored(ds, T_THREAD, &tab->rows[tab->order[i]]);
            const char *id = js_str(o, "object_id");
            if (id && strcmp(id, js_str(q, "object_id")) == 0)
                snprintf(s->thread, sizeof s->thread, "%s", js_str(o, "id"));
            json_object_put(o);
        }
        st_putf(&s->key, "&thread=%s", s->thread);
        return pred_add(s, filter_named(s->r, "thread_id", 9), "eq", s->thread, a);
    }
    return true;
}

static bool
gather(struct selection *s, struct st_answer *a)
{
    const char *lead = js_str(s->c->query, "lead_id");
    if (!lead)
        lead = js_str(s->c->query, "lead_id__in");
    s->one_lead = lead && *lead && !strchr(lead, ',');
    st_putf(&s->key, "%s?tz=%d", s->r->path, s->c->tz);
    json_object_object_foreach(s->c->query, name, val)
    {
        char op[4];
        const struct st_filter *f = filter_split(s->r, name, op);
        if (!f || disregarded(s, name))
            continue;
        const char *value = json_object_get_string(val);
        st_putf(&s->key, "&%s=", name);
        st_puts(&s->key, value);
        if (!pred_add(s, f, op, value, a))
            return false;
    }
    const char *query = s->r->table == T_LEAD ? js_str(s->c->query, "query") : NULL;
    if (query) {
        st_puts(&s->key, "&query=");
        st_puts(&s->key, query);
    }
    const char *order = order_of(s);
    st_putf(&s->key, "&order=%s", order ? order : "");
    return defaults(s, a);
}

static uint32_t
scan(struct selection *s, uint32_t **out)
{
    const struct st_table *tab = &s->c->ds->t[s->r->table];
    uint32_t n = 0, cap = 64, *rows = st_alloc(sizeof *rows * cap);
    for (uint32_t i = 0; i < tab->n_live; i++) {
        if (!row_matches(s, &tab->rows[tab->order[i]]))
            continue;
        if (n == cap)
            rows = st_grow(rows, sizeof *rows * (cap *= 2));
        rows[n++] = tab->order[i];
    }
    *out = rows;
    return n;
}

static bool
run(struct selection *s, struct st_answer *a, struct st_cached **out)
{
    uint32_t *rows = NULL, n;
    const char *query = s->r->table == T_LEAD ? js_str(s->c->query, "query") : NULL;
    if (query && *query) {
        char err[200] = "";
        if (!st_query_run(s->c->ds, query, s->c->app->cfg.ignore_unknown_fields, &rows, &n, err,
                          sizeof err)) {
            st_fail(a, 400, "Invalid query: %s", err);
            return false;
        }
    } else {
        n = scan(s, &rows);
        const char *order = order_of(s);
        if (order && n > 1)
            sort_rows(s, rows, n, order + (*order == '-'), *order == '-');
    }
    *out = st_cache_add(s->c->ds, s->key.s, rows, n);
    return true;
}

bool
st_select(struct st_call *c, const struct st_resource *r, struct st_answer *a,
          struct st_cached **out)
{
    struct selection *s = st_alloc(sizeof *s);
    s->c = c;
    s->r = r;
    bool ok = needs(s, a) && gather(s, a);
    if (ok) {
        *out = st_cache_find(c->ds, s->key.s);
        int64_t outer = c->ds->until;
        c->ds->until = *out ? (*out)->until : INT64_MAX;
        if (!*out)
            ok = run(s, a, out);
        st_until(c->ds, outer);
    }
    for (int i = 0; i < s->n; i++)
        free(s->p[i].leads);
    st_text_free(&s->key);
    st_text_free(&s->want);
    free(s);
    return ok;
}
