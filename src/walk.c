/*
 * walk.c - one list read page by page (or one object by id), every row checked.
 *
 * Pages are asked for ahead of time and used strictly in order. How many: the first alone, because it
 * says whether there are more and how many; then exactly those that total_results calls for, or one
 * more with each page that has_more confirms, which is two, four, eight per round trip. Never more than
 * the gate lets through at once; and never more than the window holds, where a page counts from the moment
 * it is asked for until its last row has been handed out. The window is twice the gate: while rows are
 * handed out as many requests are under way as may be, so the pipe does not run dry.
 *
 * A page that arrives ahead of its turn is left as it is, which takes half the memory of one that has been
 * read, and no time from the page before it. What its status says counts at once, for the rate and for
 * repetitions; a body that turns out to be useless is asked for again when its turn comes.
 *
 * The service gives no snapshot. Rows that are created or deleted while we page shift the pages, so each
 * page starts at the last row of the page before it:
 *
 *      page 1        page 2          found first in page 2: nothing moved
 *      a b c d       d e f g         found later: rows were inserted before; ids seen are dropped
 *                    f g h i         not found: rows were deleted, `e` slipped through. Step back.
 *
 * Stepping back repeats until the page starts among rows that were seen, a bounded number of times.
 *
 * A list that is longer than the service pages is known by its total_results, and read again in the order that it
 * can be continued in (keyset.c), but not before the rows of its first page have been used: a LIMIT
 * that the host keeps to itself then costs one request, and the first row is there after one.
 *
 * A list ends when has_more says so. Where that key does not exist, a whole list ends with its answer
 * and a paged one with the page that brings nothing new. Claims without progress are errors.
 *
 * Refusals that only concern the form of the question are corrected and repeated: a page size, _fields,
 * an offset beyond the cap (keyset.c goes on from there). A failing page becomes an error when its
 * turn comes, not before: a page asked for speculatively may lie beyond the end.
 *
 * Ownership: a walk owns its pages, a page its fetch. Rows are borrowed from the page being read.
 *
 * Rejected: trusting total_results for the end (it comes from a search index); one connection per
 * page without a window (memory follows the size of the table).
 */
#include "scan.h"

#include <stdlib.h>
#include <string.h>

enum {
    WINDOW_BYTES = 8 << 20
}; /* text of the pages of a window; what is kept for others comes on top */
enum { MAX_STALLS = 8, EVENTS_PAGE = 50, FALLBACK_LIMIT = 100 };

/* ---- making and freeing --------------------------------------------------------------------- */

static int
page_size(const clo_scan *s)
{
    const clo_table *t = s->table;
    int64_t setting = clo_config_int(&s->client->config, CLO_OPT_PAGE_SIZE);
    int size = t->pager == CLO_PAGE_EVENTS && t->page_max <= 0 ? EVENTS_PAGE : t->page_max;

    if (size <= 0 || !clo_tool_takes(s->tool, "_limit"))
        return 0;
    return setting > 0 && setting < size ? (int)setting : size;
}

void
clo_walk_set_limit(clo_walk *w, int limit)
{
    w->limit = w->stride = limit;
}

clo_walk *
clo_walk_new(clo_scan *scan, clo_err *err)
{
    clo_walk *w = clo_calloc(1, sizeof *w);

    if (w == NULL) {
        clo_err_nomem(err);
        return NULL;
    }
    w->scan = scan;
    w->get = scan->plan->access == CLO_BY_ID || scan->plan->access == CLO_BY_ONE;
    clo_walk_set_limit(w, w->get ? 0 : page_size(scan));
    w->want = w->total = -1;
    w->cap = scan->table->skip_max > 0 ? scan->table->skip_max : -1;
    w->ramp = 1;
    if (scan->plan->order >= 0 && scan->table->keyset == CLO_KEY_LEAD_QUERY) {
        w->key.sorted =
            strcmp(scan->table->orders[scan->plan->order].column, scan->table->key_column) == 0;
        w->key.falling = w->key.sorted && scan->plan->order_desc;
    }
    return w;
}

/* What a page whose answer has come did cost, once. */
static void
count_page(clo_scan *s, clo_page *p)
{
    clo_fetch_cost cost;

    if (p->flying || p->counted)
        return;
    p->counted = true;
    if (!clo_fetch_cost_once(p->fetch, &cost) || cost.cached) {
        s->stats.cache_hits++;
        return;
    }
    s->stats.requests += cost.attempts;
    s->stats.retries += cost.attempts > 1 ? cost.attempts - 1 : 0;
    s->stats.bytes_in += cost.bytes;
    if ((size_t)cost.bytes > s->page_bytes)
        s->page_bytes = (size_t)cost.bytes;
}

static void
free_page(clo_walk *w, clo_page *p)
{
    if (p == NULL)
        return;
    count_page(w->scan, p);
    if (p->flying)
        w->scan->gate->in_flight--;
    w->scan->held--;
    clo_fetch_free(p->fetch);
    clo_free(p);
}

void
clo_walk_drop_pages(clo_walk *w)
{
    clo_page *p;

    if (w->first != NULL)
        w->rest_at = 0; /* some may be of the rest; rows that were handed out are dropped by id */
    while ((p = w->first) != NULL) {
        w->first = p->next;
        free_page(w, p);
    }
    w->last = NULL;
    w->queued = 0;
}

static void
close_page(clo_walk *w)
{
    free_page(w, w->cur);
    w->cur = NULL;
    w->rows = NULL;
    w->n_rows = w->row = 0;
}

void
clo_walk_free(clo_walk *w)
{
    if (w == NULL)
        return;
    close_page(w);
    clo_walk_drop_pages(w);
    clo_rowset_unref(w->rest);
    clo_idset_free(&w->seen);
    clo_free(w->first_id);
    clo_free(w->last_id);
    clo_free(w->parent_id);
    clo_free(w->keep);
    clo_free(w);
}

/* ---- asking --------------------------------------------------------------------------------- */

/* Rows by which a page overlaps the one before. */
static int
overlap(const clo_walk *w)
{
    return w->scan->table->pager == CLO_PAGE_OFFSET && w->stride >= 2 ? 1 : 0;
}

/* Speculation: whether the next page probably holds rows that are needed. */
static bool
worth_asking(const clo_walk *w)
{
    int64_t fresh = w->next_skip + (w->next_skip > w->base ? overlap(w) : 0); /* first new row */

    if (w->scan->table->pager == CLO_PAGE_EVENTS) /* no offset to count by */
        fresh = w->base + (int64_t)w->seen.n;
    if (w->total >= 0 ? fresh >= w->total
                      : w->scan->expect >= 0 && (double)fresh >= w->scan->expect)
        return false;
    return w->want < 0 || fresh - w->base < w->want;
}

int
clo_scan_window(const clo_scan *s)
{
    size_t fit = s->page_bytes > 0 ? WINDOW_BYTES / s->page_bytes : (size_t)s->reach;

    if (fit >= (size_t)s->reach)
        return s->reach;
    return fit > 2 ? (int)fit : s->reach < 2 ? s->reach : 2;
}

static bool
may_ask(const clo_walk *w, bool head)
{
    const clo_scan *s = w->scan;
    bool idle = w->queued == 0 && w->cur == NULL; /* nothing to read unless a page is asked for */

    if (w->ended || (w->queued > 0 && !w->opened) || w->queued >= w->ramp)
        return false;
    if (s->gate->limited && s->gate->asked >= s->gate->allowed)
        return false;
    if (s->gate->in_flight >= s->gate->width || (s->held >= clo_scan_window(s) && !(head && idle)))
        return false;
    if (w->cap >= 0 && w->next_skip > w->cap)
        return false;
    return idle || worth_asking(w);
}

static const clo_value *
looked_up(const clo_walk *w)
{
    const clo_cond *c = &w->scan->conds[w->scan->lookup_cond];

    return &c->values[c->slot->op == CLO_OP_IN ? w->which : 0];
}

/* Puts a page into the queue. Takes over the fetch; NULL stays NULL. */
static clo_page *
enqueue(clo_walk *w, clo_fetch *fetch, clo_err *err)
{
    clo_scan *s = w->scan;
    clo_page *p = fetch != NULL ? clo_calloc(1, sizeof *p) : NULL;

    if (p == NULL) {
        if (fetch != NULL)
            clo_err_nomem(err);
        clo_fetch_free(fetch);
        return NULL;
    }
    p->fetch = fetch;
    p->flying = true;
    p->skip = w->next_skip;
    if (w->last != NULL)
        w->last->next = p;
    else
        w->first = p;
    w->last = p;
    w->queued++;
    s->held++;
    s->gate->asked++;
    s->gate->in_flight++;
    if (s->gate->in_flight > s->gate->most)
        s->gate->most = s->gate->in_flight;
    return p;
}

static bool
ask_page(clo_walk *w, clo_err *err)
{
    clo_scan *s = w->scan;
    clo_json *params = clo_walk_params(w, w->next_skip, w->limit, err);
    clo_fetch *fetch;
    clo_page *p;

    if (params == NULL)
        return false;
    if (s->lookup != NULL && !w->moved && w->next_skip == 0)
        fetch = clo_fetch_lookup(s->client, s->tool->name, params, s->lookup, looked_up(w), err);
    else
        fetch = clo_fetch_start(s->client, s->tool->name, params, w->moved, err);
    p = enqueue(w, fetch, err);
    if (p == NULL)
        return false;
    p->limit = w->limit;
    p->expect = w->stride;
    p->overlap = w->next_skip > w->base ? overlap(w) : 0;
    w->next_skip += w->stride - overlap(w);
    return true;
}

/* Whether the whole table has been read meanwhile, for a lookup or by an earlier scan. What was kept has every row that was
 * there all the time, which is what a scan promises; those that were handed out are dropped by id. */
static bool
knows_rest(clo_walk *w)
{
    clo_scan *s = w->scan;

    if (w->rest != NULL || !clo_scan_is_whole(s))
        return w->rest != NULL;
    w->rest = clo_again_rows(s);
    if (w->rest == NULL)
        w->rest = clo_lookup_whole(s);
    if (w->rest == NULL)
        return false;
    clo_again_stop(s);
    w->cap = -1;
    w->key.sorted = w->key.bounded = false;
    return true;
}

static bool
take_rest(clo_walk *w, clo_err *err)
{
    clo_scan *s = w->scan;
    clo_json *doc =
        clo_rowset_page(w->rest, &w->rest_at, (size_t)s->table->page_max, s->table->name, err);

    return doc != NULL && enqueue(w, clo_fetch_known(s->client, doc, err), err) != NULL;
}

int
clo_walk_fill(clo_walk *w, bool head, clo_err *err)
{
    int n = 0;

    while (may_ask(w, head)) {
        if (!(knows_rest(w) ? take_rest(w, err) : ask_page(w, err)))
            return -1;
        n++;
    }
    return n;
}

void
clo_walk_poll(clo_walk *w)
{
    for (clo_page *p = w->first; p != NULL; p = p->next) {
        clo_err ignored; /* kept in the fetch, and asked for again when the page is due */

        clo_err_clear(&ignored);
        if (!p->flying ||
            (!clo_fetch_arrived(p->fetch) && clo_fetch_poll(p->fetch, &ignored) == CLO_AGAIN))
            continue;
        p->flying = false;
        w->scan->gate->in_flight--;
    }
}

clo_fetch *
clo_walk_pending(const clo_walk *w)
{
    for (const clo_page *p = w->first; p != NULL; p = p->next)
        if (p->flying)
            return p->fetch;
    return NULL;
}

/* ---- the envelope of a page ----------------------------------------------------------------- */

typedef struct envelope {
    const clo_json *rows;
    size_t n;
    bool has_more_known, has_more;
    bool cursor_known, cursor; /* cursor_next: there, and not null */
} envelope;

static clo_status
no_rows_in(const clo_walk *w, const clo_json *doc, clo_err *err)
{
    clo_json_iter it;
    clo_buf names;

    clo_buf_init(&names, 4096);
    clo_json_iter_init(&it, doc);
    while (clo_json_iter_next(&it))
        clo_buf_fmt(&names, "%s%.40s", names.len > 0 ? ", " : "", it.key);
    clo_err_set(err, CLO_E_PROTO, "%s: the answer holds no list of rows; it has: %.120s",
                w->scan->tool->name, names.len > 0 ? names.data : "nothing");
    clo_buf_free(&names);
    return CLO_ERROR;
}

/* The rows are at `data`, at `array` (the gateway's wrapping of a bare array), or in the only member that
 * is an array. */
static const clo_json *
find_rows(const clo_json *doc)
{
    const clo_json *only = NULL;
    clo_json_iter it;
    int arrays = 0;

    if (clo_json_type(clo_json_get(doc, "data")) == CLO_J_ARRAY)
        return clo_json_get(doc, "data");
    if (clo_json_type(clo_json_get(doc, "array")) == CLO_J_ARRAY)
        return clo_json_get(doc, "array");
    clo_json_iter_init(&it, doc);
    while (clo_json_iter_next(&it))
        if (clo_json_type(it.value) == CLO_J_ARRAY) {
            only = it.value;
            arrays++;
        }
    return arrays == 1 ? only : NULL;
}

static clo_status
read_envelope(clo_walk *w, const clo_page *p, envelope *e, clo_err *err)
{
    const clo_json *doc = clo_fetch_doc(p->fetch), *j;

    memset(e, 0, sizeof *e);
    if (w->get) {
        e->rows = doc;
        e->n = 1;
        return CLO_OK;
    }
    e->rows = clo_json_type(doc) == CLO_J_ARRAY ? doc : find_rows(doc);
    if (e->rows == NULL)
        return no_rows_in(w, doc, err);
    e->n = clo_json_len(e->rows);
    j = clo_json_get(doc, "has_more");
    e->has_more_known = clo_json_type(j) == CLO_J_BOOL;
    e->has_more = e->has_more_known && clo_json_bool(j);
    e->cursor_known = clo_json_has(doc, "cursor_next");
    j = clo_json_get(doc, "cursor_next");
    e->cursor = clo_json_type(j) == CLO_J_STRING && clo_json_str(j, NULL)[0] != '\0';
    j = clo_json_get(doc, "total_results");
    if (w->scan->table->totals && clo_json_type(j) == CLO_J_INT && clo_json_int(j) >= 0)
        w->total = clo_json_int(j);
    return CLO_OK;
}

static const clo_json *
row_at(const clo_walk *w, const envelope *e, size_t i)
{
    return w->get ? e->rows : clo_json_at(e->rows, i);
}

static const char *
id_at(const clo_walk *w, const envelope *e, size_t i, size_t *len)
{
    return clo_json_str(clo_json_get(row_at(w, e, i), "id"), len);
}

/* ---- drift ---------------------------------------------------------------------------------- */

/* Whether this page joins the one before without a gap. */
static bool
joins(const clo_walk *w, const clo_page *p, const envelope *e)
{
    const char *id;
    size_t len = 0;

    if (w->last_id == NULL || p->overlap == 0)
        return true;
    for (size_t i = 0; i < e->n; i++) {
        id = id_at(w, e, i, &len);
        if (id == NULL)
            return true; /* reported with its row */
        if (strcmp(id, w->last_id) == 0 || (i == 0 && clo_idset_has(&w->seen, id, len)))
            return true;
    }
    return false;
}

static clo_status
kept_moving(const clo_walk *w, clo_err *err)
{
    clo_err_set(err, CLO_E_PROTO,
                "%s: rows kept moving while the list was read; it got as far as row %zu",
                w->scan->table->name, w->seen.n);
    err->retryable = true;
    return CLO_ERROR;
}

static clo_status
step_back(clo_walk *w, const clo_page *p, clo_err *err)
{
    int64_t skip = p->skip - (w->stride - overlap(w));

    if (++w->stalls > MAX_STALLS)
        return kept_moving(w, err);
    clo_walk_drop_pages(w); /* p is one of them */
    w->moved = true;
    w->next_skip = skip > w->base ? skip : w->base;
    w->ramp = 1;
    return CLO_OK;
}

/* ---- rows of a page ------------------------------------------------------------------------- */

/* The id of a row; NULL: `err`. */
static const char *
take_id(const clo_walk *w, const envelope *e, size_t i, size_t *len, clo_err *err)
{
    const clo_scan *s = w->scan;
    const char *id = id_at(w, e, i, len);

    if (id == NULL || *len == 0) {
        clo_err_set(err, CLO_E_PROTO, "%s: row %zu of the answer has no id", s->tool->name, i + 1);
        return NULL;
    }
    if (s->plan->access == CLO_BY_ID) {
        const clo_value *want = &s->conds[0].values[w->which];

        if (*len != want->len || memcmp(id, want->text, *len) != 0) {
            clo_err_set(err, CLO_E_PROTO, "%s: asked for %.64s and got %.64s", s->tool->name,
                        want->text, id);
            return NULL;
        }
    }
    return id;
}

/* One row: new or not, in order, wanted or not. */
static clo_status
take_row(clo_walk *w, const envelope *e, size_t i, int64_t *prev, bool *mismatch, size_t *fresh,
         clo_err *err)
{
    clo_scan *s = w->scan;
    const clo_json *row = row_at(w, e, i);
    const char *id;
    size_t len = 0;
    clo_idset_result added;

    w->keep[i] = 0;
    id = take_id(w, e, i, &len, err);
    if (id == NULL)
        return CLO_ERROR;
    added = clo_idset_add(&w->seen, id, len);
    if (added == CLO_IDSET_NOMEM)
        return clo_err_nomem(err);
    if (clo_walk_check_key(w, row, added == CLO_IDSET_NEW, prev, err) != CLO_OK)
        return CLO_ERROR;
    if (added == CLO_IDSET_OLD)
        return CLO_OK;
    (*fresh)++;
    if (clo_walk_check_order(w, row, err) != CLO_OK)
        return CLO_ERROR;
    for (int c = 0; c < s->n_conds; c++)
        if (!clo_cond_keeps(&s->conds[c], s->conds[c].slot->op == CLO_OP_IN ? w->which : 0, row)) {
            *mismatch = *mismatch || !s->conds[c].local;
            return CLO_OK;
        }
    if (s->multi) {
        added = clo_idset_add(&s->seen, id, len);
        if (added == CLO_IDSET_NOMEM)
            return clo_err_nomem(err);
        if (added == CLO_IDSET_OLD)
            return CLO_OK;
    }
    w->keep[i] = 1;
    clo_again_row(s, row);
    return CLO_OK;
}

static clo_status
take_rows(clo_walk *w, const envelope *e, bool *mismatch, size_t *fresh, clo_err *err)
{
    int64_t prev = INT64_MIN;

    if (e->n > w->keep_cap) {
        unsigned char *keep = clo_grow(w->keep, &w->keep_cap, e->n, 1);

        if (keep == NULL)
            return clo_err_nomem(err);
        w->keep = keep;
    }
    for (size_t i = 0; i < e->n; i++)
        if (take_row(w, e, i, &prev, mismatch, fresh, err) != CLO_OK)
            return CLO_ERROR;
    w->scan->stats.rows_received += (int64_t)e->n;
    return CLO_OK;
}

/* A row that fails a condition which was sent: the service ignored it. Its own counting of rows is
 * worth nothing then, so OFFSET and LIMIT become ours. */
static clo_status
distrust(clo_walk *w, bool *restart, clo_err *err)
{
    clo_scan *s = w->scan;

    *restart = false;
    w->want = -1;
    w->total = -1;
    if (w->base == 0)
        return CLO_OK;
    if (s->delivered > 0 || w->opened)
        return clo_err_set(err, CLO_E_PROTO,
                           "%s: the service ignored a condition after it had applied OFFSET; leave "
                           "OFFSET out",
                           s->tool->name);
    s->skip_left = w->base;
    w->base = 0;
    clo_idset_free(&w->seen);
    w->has_prev = false;
    clo_walk_set_limit(w, page_size(s));
    clo_walk_restart(w);
    *restart = true;
    return CLO_OK;
}

/* ---- after a page: is there more, and where ------------------------------------------------- */

static bool
remember_ends(clo_walk *w, const envelope *e)
{
    const char *a = e->n > 0 ? id_at(w, e, 0, NULL) : NULL;
    const char *z = e->n > 0 ? id_at(w, e, e->n - 1, NULL) : NULL;

    if (e->n == 0)
        return true;
    clo_free(w->first_id);
    clo_free(w->last_id);
    w->first_id = clo_strdup(a);
    w->last_id = clo_strdup(z);
    return w->first_id != NULL && w->last_id != NULL;
}

static clo_status
no_progress(const clo_walk *w, clo_err *err)
{
    return clo_err_set(
        err, CLO_E_PROTO,
        "%s: the service claims more rows but sends none that are new; %zu rows were "
        "read",
        w->scan->tool->name, w->seen.n);
}

/* Events have no offset: the next page is asked for by date. */
static clo_status
settle_events(clo_walk *w, const envelope *e, size_t fresh, clo_err *err)
{
    if (e->n == 0 || (e->cursor_known && !e->cursor) || (e->has_more_known && !e->has_more)) {
        w->ended = true;
        return CLO_OK;
    }
    if (fresh == 0) {
        if (e->n >= EVENTS_PAGE || e->cursor)
            return clo_err_set(
                err, CLO_E_LIMIT,
                "%s: %zu events share one %s, and the service shows no more of them; "
                "%zu rows were read; narrow the query with lead_id or user_id",
                w->scan->table->name, e->n, w->scan->table->key_column, w->seen.n);
        w->ended = true;
        return CLO_OK;
    }
    w->key.bounded = true;
    w->key.bound = w->key.last;
    w->next_skip = 0;
    w->ramp = 1;
    return CLO_OK;
}

/* Pages asked for ahead of time fit only if this one was as long as expected. After a surprise the next
 * one is asked for alone: it tells whether the length has changed for good. */
static void
aim(clo_walk *w, const clo_page *p, const envelope *e, bool mismatch)
{
    bool surprise = p->limit > 0 && e->n != (size_t)p->expect;

    w->ramp = w->total >= 0 ? w->scan->reach : w->ramp + 1;
    if (surprise) {
        w->stride = e->n < 100000 ? (int)e->n : 100000;
        w->ramp = 1;
    }
    if (mismatch && w->limit > 0 && w->limit < page_size(w->scan)) {
        clo_walk_set_limit(w, page_size(w->scan));
        surprise = true;
    }
    if (surprise || w->queued == 0) {
        clo_walk_drop_pages(w);
        w->next_skip = p->skip + (int64_t)e->n - overlap(w);
    }
    if (w->ramp > w->scan->reach)
        w->ramp = w->scan->reach;
    if (w->limit == 0) /* the length of a page is not ours: one after the other */
        w->ramp = 1;
}

static clo_status
settle(clo_walk *w, const clo_page *p, const envelope *e, size_t fresh, bool mismatch, clo_err *err)
{
    clo_pager pager = w->scan->table->pager;
    /* Reads rows again that were seen before. */
    bool by_key = w->key.sorted || w->key.bounded || w->rest != NULL;
    bool beyond = e->n > (size_t)p->overlap; /* more than the row that pages share */
    bool more = e->has_more_known ? e->has_more
                                  : pager == CLO_PAGE_OFFSET && (fresh > 0 || (by_key && beyond));
    bool repeated = e->n > 0 && w->first_id != NULL && w->opened &&
                    strcmp(w->first_id, id_at(w, e, 0, NULL)) == 0;

    if (w->get)
        more = false;
    else if (pager == CLO_PAGE_EVENTS)
        return settle_events(w, e, fresh, err);
    if (!more && !w->get && !e->has_more_known && pager == CLO_PAGE_OFFSET && beyond)
        return no_progress(w, err); /* the end is a page with nothing beyond the overlap */
    if (!more) {
        w->ended = true;
        clo_walk_drop_pages(w);
        return CLO_OK;
    }
    if (!clo_tool_takes(w->scan->tool, "_skip"))
        return clo_err_set(err, CLO_E_PROTO, "%s: the service claims more rows and cannot page",
                           w->scan->tool->name);
    if (fresh > 0)
        w->stalls = 0;
    else if (e->n == 0 || (!by_key && ((w->stalls == 0 && repeated) || ++w->stalls > MAX_STALLS)))
        return no_progress(w, err);
    if (!remember_ends(w, e))
        return clo_err_nomem(err);
    aim(w, p, e, mismatch);
    return CLO_OK;
}

static bool
was_kept(const clo_page *p)
{
    clo_fetch_cost cost;

    (void)clo_fetch_cost_once(p->fetch, &cost);
    return cost.cached;
}

/* The list is longer than the service pages, which its first page has told: the list starts again in the order
 * that it can be continued in. The rows of this page are handed out all the same, and dropped when they come
 * again: often they are all that is wanted. */
static clo_status
sort_rest(clo_walk *w, clo_err *err)
{
    int64_t total = w->total;

    if (clo_walk_continue(w, err) != CLO_OK)
        return CLO_ERROR;
    w->total = total; /* the same rows in another order */
    return CLO_OK;
}

/* Takes the first page of the queue into reading. OK without w->cur: the walk starts again. */
static clo_status
open_page(clo_walk *w, clo_err *err)
{
    clo_page *p = w->first;
    bool mismatch = false, restart = false, sort;
    size_t fresh = 0;
    envelope e;

    if (read_envelope(w, p, &e, err) != CLO_OK)
        return CLO_ERROR;
    sort = !w->opened && clo_walk_needs_sorting(w);
    if (!joins(w, p, &e))
        return step_back(w, p, err);
    if (w->seen.n == 0)
        clo_again_first(w->scan, was_kept(p));
    if (take_rows(w, &e, &mismatch, &fresh, err) != CLO_OK)
        return CLO_ERROR;
    if (mismatch && distrust(w, &restart, err) != CLO_OK)
        return CLO_ERROR;
    if (restart)
        return CLO_OK;
    w->first = p->next;
    if (w->first == NULL)
        w->last = NULL;
    w->queued--;
    w->cur = p;
    w->rows = e.rows;
    w->n_rows = e.n;
    w->row = 0;
    if (settle(w, p, &e, fresh, mismatch, err) != CLO_OK)
        return CLO_ERROR;
    w->opened = true;
    return sort && !w->ended ? sort_rest(w, err) : CLO_OK;
}

/* ---- refusals ------------------------------------------------------------------------------- */

static bool
says(const clo_err *e, const char *word)
{
    return strstr(e->detail, word) != NULL || strstr(e->msg, word) != NULL;
}

/* The number in "... less than or equal to 200" or "max_limit = 100"; 100 when there is none. */
static int
limit_in(const clo_err *e)
{
    static const char *const marks[] = {"less than or equal to ", "max_limit = "};

    for (size_t i = 0; i < CLO_ARRAY_LEN(marks); i++) {
        const char *p = strstr(e->detail, marks[i]);
        int v = 0;

        if (p == NULL)
            continue;
        for (p += strlen(marks[i]); *p >= '0' && *p <= '9' && v < 100000; p++)
            v = v * 10 + (*p - '0');
        if (v > 0)
            return v;
    }
    return FALLBACK_LIMIT;
}

/* Asks for the same rows again in another way. */
static clo_status
ask_again(clo_walk *w, int64_t skip)
{
    clo_walk_drop_pages(w);
    w->next_skip = skip;
    return CLO_OK;
}

static clo_status
beyond_cap(clo_walk *w, int64_t skip)
{
    w->cap = skip - 1;
    if (w->base == 0 || skip != w->base)
        return ask_again(w, skip);
    w->scan->skip_left = w->base; /* OFFSET itself went too far: the rows are left out here */
    w->base = 0;
    w->want = -1;
    clo_walk_set_limit(w, page_size(w->scan));
    clo_walk_restart(w);
    return CLO_OK;
}

/* The first page failed: OK when the walk goes on in another way, DONE when it has no rows. */
static clo_status
refused(clo_walk *w, const clo_err *why, clo_err *err)
{
    const clo_page *p = w->first;
    int64_t skip = p->skip;

    if (w->rest != NULL)
        return ask_again(w, skip); /* what this page would have brought is known */
    if (why->code == CLO_E_NOTFOUND && why->provider && (w->get || w->parent_id != NULL) &&
        skip == 0)
        return CLO_DONE;
    if (why->code == CLO_E_REJECTED && !w->get) {
        bool names_skip = says(why, "_skip") || says(why, "skip you set");
        bool names_limit = says(why, "_limit") || says(why, "limit you set");

        if (w->optional && !w->opened)
            return CLO_DONE;
        if (names_limit && !names_skip && p->limit > 0 && limit_in(why) < p->limit) {
            clo_walk_set_limit(w, limit_in(why));
            return ask_again(w, skip);
        }
        if (says(why, "_fields") && !w->no_fields && clo_tool_takes(w->scan->tool, "_fields")) {
            w->no_fields = true;
            return ask_again(w, skip);
        }
        if (skip > 0 && (names_skip || says(why, "less than or equal to")))
            return beyond_cap(w, skip);
    }
    clo_err_clear(err);
    *err = *why;
    return CLO_ERROR;
}

/* ---- the loop ------------------------------------------------------------------------------- */

clo_status
clo_walk_next(clo_walk *w, const clo_json **row, clo_err *err)
{
    for (;;) {
        clo_err why;
        clo_status st;

        if (w->cur != NULL) {
            for (; w->row < w->n_rows; w->row++)
                if (w->keep[w->row]) {
                    *row = w->get ? w->rows : clo_json_at(w->rows, w->row);
                    w->row++;
                    return CLO_ROW;
                }
            close_page(w);
        }
        if (w->first == NULL) {
            if (w->ended) {
                clo_again_done(w->scan);
                return CLO_DONE;
            }
            if (w->cap < 0 || w->next_skip <= w->cap)
                return CLO_AGAIN;
            if (clo_walk_continue(w, err) != CLO_OK)
                return CLO_ERROR;
            continue;
        }
        if (w->first->flying)
            return CLO_AGAIN;
        clo_err_clear(&why);
        st = clo_fetch_poll(w->first->fetch, &why);
        if (st == CLO_AGAIN) { /* the answer was not good enough, and is asked for again */
            w->first->flying = true;
            w->scan->gate->in_flight++;
            return CLO_AGAIN;
        }
        count_page(w->scan, w->first);
        if (st == CLO_ERROR)
            st = refused(w, &why, err);
        else
            st = open_page(w, err);
        if (st == CLO_DONE) {
            clo_walk_drop_pages(w);
            w->ended = true;
        }
        if (st == CLO_ERROR)
            return CLO_ERROR;
    }
}
