/*
 * ask.c - the parameters of one page.
 *
 * Everything that is sent by a read comes from here: values of conditions, the parent or the kind this
 * walk is for, order, bounds (those of the statement and those of a continued walk), page size, offset
 * and fields. A parameter that the tool does not have is never sent: Scalekit would refuse it.
 *
 * Leads are special: the list has no order and no date filter of its own, but its `query` takes
 * `sort:` and `date_created >=`. The user's text is put in parentheses, which is only right when it is
 * balanced and holds no `sort:` or `slice:` itself; clo_query_extends decides that.
 */
#include "scan.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

bool
clo_tool_takes(const clo_tool *tool, const char *param)
{
    return tool != NULL && clo_tool_param(tool, param) != NULL;
}

const clo_value *
clo_walk_query(const clo_walk *w)
{
    const clo_scan *s = w->scan;

    for (int i = 0; i < s->n_conds; i++)
        if (s->conds[i].slot->param != NULL && strcmp(s->conds[i].slot->param, "query") == 0)
            return &s->conds[i].values[s->conds[i].slot->op == CLO_OP_IN ? w->which : 0];
    return NULL;
}

bool
clo_query_extends(const char *text, size_t len)
{
    int depth = 0;
    bool quoted = false, word = true; /* at the start of a word */

    for (size_t i = 0; i < len; i++) {
        char c = text[i];

        if (c == '"') {
            quoted = !quoted;
        } else if (!quoted) {
            if (word && ((len - i >= 5 && strncasecmp(text + i, "sort:", 5) == 0) ||
                         (len - i >= 6 && strncasecmp(text + i, "slice:", 6) == 0)))
                return false;
            depth += c == '(' ? 1 : c == ')' ? -1 : 0;
            if (depth < 0)
                return false;
        }
        word = c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '(' || c == ')';
    }
    return depth == 0 && !quoted;
}

/* The search text that travels: the user's, then the bound, then the order. */
static bool
put_query(const clo_walk *w, const char *sort, clo_json *params)
{
    const clo_value *user = clo_walk_query(w);
    bool bounded = w->key.bounded && w->scan->table->keyset == CLO_KEY_LEAD_QUERY;
    char minute[32];
    clo_buf b;
    bool ok;

    clo_buf_init(&b, (size_t)1 << 20);
    if (user != NULL && (bounded || sort != NULL) && user->len > 0)
        clo_buf_fmt(&b, "(%s)", user->text);
    else if (user != NULL)
        clo_buf_add(&b, user->text, user->len);
    if (bounded) {
        clo_time_format(w->key.bound, minute);
        clo_buf_fmt(&b, "%s%s %s \"%.16s\"", b.len > 0 ? " " : "", w->scan->table->key_column,
                    w->key.falling ? "<=" : ">=", minute);
    }
    if (sort != NULL)
        clo_buf_fmt(&b, "%ssort:%s", b.len > 0 ? " " : "", sort);
    ok = b.error == CLO_E_NONE;
    if (ok && (user != NULL || b.len > 0))
        ok = clo_json_put_str(params, "query", b.len > 0 ? b.data : "", b.len);
    clo_buf_free(&b);
    return ok;
}

/* Order: through _order_by, or for leads inside the search text. */
static bool
put_order(const clo_walk *w, clo_json *params)
{
    const clo_scan *s = w->scan;
    const clo_table *t = s->table;
    const char *sort = w->key.sorted ? t->key_column : NULL;
    const char *value = NULL;

    if (s->plan->order >= 0)
        value =
            s->plan->order_desc ? t->orders[s->plan->order].desc : t->orders[s->plan->order].asc;
    if (value != NULL && strncmp(value, "sort:", 5) == 0)
        sort = value + 5;
    else if (value != NULL && !clo_json_put_str(params, "_order_by", value, strlen(value)))
        return false;
    return put_query(w, sort, params);
}

static clo_status
put_conditions(const clo_walk *w, clo_json *params, clo_err *err)
{
    const clo_scan *s = w->scan;

    for (int i = 0; i < s->n_conds; i++) {
        const clo_cond *c = &s->conds[i];
        clo_json *v;

        if (c->local || strcmp(c->slot->param, "query") == 0 ||
            (clo_cond_is_bound(c) && c->bound == NULL))
            continue;
        v = clo_cond_json(c, c->slot->op == CLO_OP_IN ? w->which : 0, s->tool, err);
        if (v == NULL)
            return CLO_ERROR;
        if (!clo_json_put(params, c->slot->param, v))
            return clo_err_nomem(err);
    }
    return CLO_OK;
}

/* Stepping back by date: tighter than any bound of the statement, whose rows it continues. */
static bool
put_key_bound(const clo_walk *w, clo_json *params)
{
    const clo_table *t = w->scan->table;
    char text[32];

    if (t->keyset != CLO_KEY_DATE_LTE || !w->key.bounded)
        return true;
    clo_time_format(w->key.bound, text);
    return clo_json_put_str(params, t->key_param, text, strlen(text));
}

static bool
put_fields(const clo_walk *w, clo_json *params)
{
    const clo_table *t = w->scan->table;
    clo_colset set = w->scan->fetch;
    clo_buf b;
    bool ok = true;

    if (w->no_fields || !clo_tool_takes(w->scan->tool, "_fields"))
        return true;
    if (w->key.sorted)
        clo_colset_add(&set, clo_table_column(t, t->key_column));
    clo_buf_init(&b, 65536);
    if (clo_fields_text(t, &set, &b))
        ok = b.error == CLO_E_NONE && clo_json_put_str(params, "_fields", b.data, b.len);
    clo_buf_free(&b);
    return ok;
}

static clo_json *
get_params(const clo_walk *w, clo_err *err)
{
    const clo_scan *s = w->scan;
    clo_json *params = clo_json_object();
    bool ok = params != NULL;

    if (ok && s->plan->access == CLO_BY_ID) {
        const clo_value *id = &s->conds[0].values[w->which];
        ok = clo_json_put_str(params, s->table->get_param, id->text, id->len);
    }
    if (ok && put_fields(w, params))
        return params;
    clo_json_free(params);
    clo_err_nomem(err);
    return NULL;
}

static bool
put_paging(const clo_walk *w, int64_t skip, int limit, clo_json *params)
{
    const clo_tool *tool = w->scan->tool;

    if (limit > 0 && clo_tool_takes(tool, "_limit") && !clo_json_put_int(params, "_limit", limit))
        return false;
    return skip == 0 || clo_json_put_int(params, "_skip", skip);
}

clo_json *
clo_walk_params(const clo_walk *w, int64_t skip, int limit, clo_err *err)
{
    const clo_table *t = w->scan->table;
    clo_json *params;
    bool ok;

    if (w->get)
        return get_params(w, err);
    params = clo_json_object();
    if (params != NULL && put_conditions(w, params, err) != CLO_OK) {
        clo_json_free(params);
        return NULL;
    }
    ok = params != NULL;
    if (ok && w->parent_id != NULL)
        ok = clo_json_put_str(params, t->parent_param, w->parent_id, strlen(w->parent_id));
    if (ok && w->each_value != NULL)
        ok = clo_json_put_str(params, t->each_param, w->each_value, strlen(w->each_value));
    if (ok && put_order(w, params) && put_key_bound(w, params) &&
        put_paging(w, skip, limit, params) && put_fields(w, params))
        return params;
    clo_json_free(params);
    clo_err_nomem(err);
    return NULL;
}
