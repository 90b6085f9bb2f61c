/*
 * keyset.c - order of rows, and how a walk goes on where the service stops counting.
 *
 * Every list refuses a _skip beyond some number (35,000 for leads). Past it a walk can only go on by a
 * key: "rows whose date is not before the last one read". A walk then consists of segments, each a
 * list of its own:
 *
 *   leads              sort:date_created, then date_created >= "minute of the last row"; newest first
 *                      the other way round. `query` knows minutes, so the last one is read twice.
 *   custom activities  newest first; date_created__lte = date of the last row
 *   events             newest 50 only; date_updated__lte = oldest date seen
 *
 * Bounds are inclusive and rows already seen are dropped by id, so rows that share a date cannot
 * fall between two segments. What the service claims to do is checked on every row: sorted, and on
 * the right side of the bound. When a check fails, or a segment brings the bound nowhere, the
 * statement ends with an error that says how far it got. Never fewer rows.
 *
 * A walk that meets the cap unsorted (it was not known, or no total was given) starts again from the
 * beginning in sorted order: what was delivered has no key to continue from. Rows seen are
 * dropped, so the host does not notice.
 *
 * Rejected: date_updated as key (changes while we read, so rows move across the bound); opening
 * several segments concurrently (their bounds are only known when the one before has been read).
 */
#include "scan.h"

#include <stdio.h>
#include <string.h>

static const char hint_narrow[] = "ask for fewer rows with the table's conditions";

/* ---- keys ----------------------------------------------------------------------------------- */

bool
clo_key_of(const clo_column *c, const clo_json *row, clo_key *key)
{
    const clo_json *j = clo_json_get(row, clo_column_path(c));
    clo_json_kind kind = clo_json_type(j);
    size_t n = 0;
    const char *s = clo_json_str(j, &n);

    memset(key, 0, sizeof *key);
    switch (c->type) {
    case CLO_T_TIME:
    case CLO_T_DATE:
        return s != NULL && clo_time_parse(s, n, &key->i);
    case CLO_T_INT:
    case CLO_T_REAL:
        key->real = true;
        key->r = kind == CLO_J_INT ? (double)clo_json_int(j) : clo_json_real(j);
        return kind == CLO_J_INT || kind == CLO_J_REAL;
    default:
        return false;
    }
}

int
clo_key_cmp(const clo_key *a, const clo_key *b)
{
    if (a->real)
        return a->r < b->r ? -1 : a->r > b->r;
    return a->i < b->i ? -1 : a->i > b->i;
}

static const char *
row_id(const clo_json *row)
{
    const char *id = clo_json_str(clo_json_get(row, "id"), NULL);

    return id != NULL ? id : "?";
}

clo_status
clo_walk_check_order(clo_walk *w, const clo_json *row, clo_err *err)
{
    const clo_plan *plan = w->scan->plan;
    const clo_table *t = w->scan->table;
    const clo_column *c;
    clo_key k;
    int order;

    if (plan->order < 0)
        return CLO_OK;
    c = &t->columns[clo_table_column(t, t->orders[plan->order].column)];
    if (!clo_key_of(c, row, &k))
        return clo_err_set(err, CLO_E_PROTO, "%s row %s: no %s, by which the list is sorted",
                           t->name, row_id(row), c->name);
    order = w->has_prev ? clo_key_cmp(&w->prev, &k) : 0;
    if (plan->order_desc ? order < 0 : order > 0)
        return clo_err_set(err, CLO_E_PROTO,
                           "%s row %s: the service did not sort by %s, as it was asked to", t->name,
                           row_id(row), c->name);
    w->prev = k;
    w->has_prev = true;
    return CLO_OK;
}

static clo_status
check_ascending(clo_walk *w, const clo_json *row, bool fresh, int64_t k, int64_t *prev,
                clo_err *err)
{
    const clo_table *t = w->scan->table;

    if (w->key.bounded && k < w->key.bound)
        return clo_err_set(err, CLO_E_PROTO,
                           "%s row %s: the service ignored the bound on %s that continues the list "
                           "after %zu rows",
                           t->name, row_id(row), t->key_column, w->seen.n);
    if ((*prev != INT64_MIN && k < *prev) || (fresh && w->key.known && k < w->key.last))
        return clo_err_set(err, CLO_E_PROTO,
                           "%s row %s: the service did not sort by %s, which is needed to go on "
                           "after %zu rows",
                           t->name, row_id(row), t->key_column, w->seen.n);
    *prev = k;
    if (!w->key.known || k > w->key.last)
        w->key.last = k;
    w->key.known = true;
    return CLO_OK;
}

static clo_status
check_descending(clo_walk *w, const clo_json *row, bool fresh, int64_t k, clo_err *err)
{
    const clo_table *t = w->scan->table;

    /* "<= minute" may mean its first instant or all of it */
    if (w->key.bounded && k > w->key.bound + (w->key.falling ? CLO_QUERY_MINUTE : 0))
        return clo_err_set(err, CLO_E_PROTO,
                           "%s row %s: the service ignored the bound on %s that continues the list "
                           "after %zu rows",
                           t->name, row_id(row), t->key_column, w->seen.n);
    if (fresh && w->key.known && k > w->key.last)
        w->key.broken = true;
    if (!w->key.known || k < w->key.last)
        w->key.last = k;
    w->key.known = true;
    return CLO_OK;
}

clo_status
clo_walk_check_key(clo_walk *w, const clo_json *row, bool fresh, int64_t *prev, clo_err *err)
{
    const clo_table *t = w->scan->table;
    clo_key k;

    if (w->get || t->keyset == CLO_KEY_NONE || (t->keyset == CLO_KEY_LEAD_QUERY && !w->key.sorted))
        return CLO_OK;
    if (!clo_key_of(&t->columns[clo_table_column(t, t->key_column)], row, &k))
        return clo_err_set(err, CLO_E_PROTO, "%s row %s: no %s, by which the list is continued",
                           t->name, row_id(row), t->key_column);
    if (t->keyset == CLO_KEY_LEAD_QUERY && !w->key.falling)
        return check_ascending(w, row, fresh, k.i, prev, err);
    return check_descending(w, row, fresh, k.i, err);
}

/* ---- segments ------------------------------------------------------------------------------- */

void
clo_walk_restart(clo_walk *w)
{
    clo_walk_drop_pages(w);
    clo_free(w->first_id);
    clo_free(w->last_id);
    w->first_id = w->last_id = NULL;
    w->next_skip = w->base;
    w->opened = false;
    w->ramp = 1;
    w->stalls = 0;
    w->total = -1;
}

/* The end of the road: how far, and what would help. */
static clo_status
stuck(const clo_walk *w, const char *why, clo_err *err)
{
    const clo_table *t = w->scan->table;
    char columns[120] = "";
    size_t len = 0;

    for (size_t i = 0; i < t->n_filters && len < 80; i++)
        if (t->filters[i].op == CLO_OP_EQ && !(t->filters[i].flags & CLO_F_WITH_LEAD))
            len += (size_t)snprintf(columns + len, sizeof columns - len, "%s%.30s = ...",
                                    len > 0 ? " or " : "", t->filters[i].column);
    clo_err_set(
        err, CLO_E_LIMIT,
        "%s: the service pages only to row %lld of a list%s, and %zu rows were read; narrow "
        "the query%s%s",
        t->name, (long long)w->cap, why, w->seen.n, len > 0 ? " with " : "", columns);
    err->hint = hint_narrow;
    return CLO_ERROR;
}

static bool
own_order(const clo_walk *w)
{
    const clo_value *user = clo_walk_query(w);

    return user != NULL && !clo_query_extends(user->text, user->len);
}

/* The minute that holds the last row, as a bound: its start, or for newest first its end. */
static int64_t
minute_bound(const clo_walk *w)
{
    int64_t past = (w->key.last % CLO_QUERY_MINUTE + CLO_QUERY_MINUTE) % CLO_QUERY_MINUTE;

    return w->key.last - past + (w->key.falling ? CLO_QUERY_MINUTE : 0);
}

static clo_status
continue_leads(clo_walk *w, clo_err *err)
{
    int64_t bound;

    if (own_order(w))
        return stuck(w,
                     " (and this search text cannot be continued: it has its own sort: or "
                     "slice:, or unbalanced parentheses)",
                     err);
    if (w->scan->plan->order >= 0 && !w->key.sorted)
        return stuck(w, " in this order", err);
    if (!w->key.sorted) {
        w->key.sorted = true;
        return CLO_OK;
    }
    bound = minute_bound(w);
    if (!w->key.known ||
        (w->key.bounded && (w->key.falling ? bound >= w->key.bound : bound <= w->key.bound)))
        return stuck(w, ", and more rows than that share one minute of date_created", err);
    w->key.bounded = true;
    w->key.bound = bound;
    return CLO_OK;
}

static clo_status
continue_dates(clo_walk *w, clo_err *err)
{
    const clo_plan *plan = w->scan->plan;

    if (w->key.broken || (plan->order >= 0 && !plan->order_desc))
        return stuck(w, ", which does not come newest first", err);
    if (!w->key.known || (w->key.bounded && w->key.last >= w->key.bound))
        return stuck(w, ", and more rows than that have one date", err);
    w->key.bounded = true;
    w->key.bound = w->key.last;
    return CLO_OK;
}

clo_status
clo_walk_continue(clo_walk *w, clo_err *err)
{
    clo_status st = CLO_ERROR;

    /* Rows left out by the service were never seen, so they could not be told from new ones. */
    if (w->base > 0)
        return stuck(w, " with OFFSET", err);
    if (w->scan->table->keyset == CLO_KEY_LEAD_QUERY)
        st = continue_leads(w, err);
    else if (w->scan->table->keyset == CLO_KEY_DATE_LTE)
        st = continue_dates(w, err);
    else
        st = stuck(w, "", err);
    if (st != CLO_OK)
        return st;
    w->want = -1;
    clo_walk_restart(w);
    return CLO_OK;
}

bool
clo_walk_needs_sorting(const clo_walk *w)
{
    int64_t reach = w->cap + w->limit;

    return w->scan->table->keyset == CLO_KEY_LEAD_QUERY && !w->key.sorted && !w->get &&
           w->cap >= 0 && w->base == 0 && w->total > reach && (w->want < 0 || w->want > reach) &&
           w->scan->plan->order < 0 && !own_order(w);
}
