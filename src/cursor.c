/*
 * cursor.c - one scan: which lists and objects are read, and their rows one by one.
 *
 * A plan becomes one or more walks (walk.c): one list; or one per value of an IN list, per kind
 * (smart views) or per parent row (comments per thread), in every combination; or one get per id.
 * Walks are read in order, and the next ones fetch ahead while the first is read, all inside one
 * window of pages. Parents are a cursor of their own, read as far as walks are needed, so a table of a
 * million parents costs no memory.
 *
 *      fill    ask for pages: first walk, then the following ones, then new walks
 *      poll    let the calls move; nothing waits
 *      next    a row of the first walk; at its end the next walk becomes the first
 *      wait    for the network, no longer than the host allows
 *
 * Invariants: ROW is only returned for rows that passed every check of walk.c; DONE only after every
 * walk ended without error; after ERROR or DONE nothing is in flight and the answer stays the same.
 *
 * Ownership: the cursor owns plan, values, walks, parent cursor and the arena of the present row; it
 * holds a reference on the client, and counts as one of its open cursors for the sharing of answers.
 *
 * Rejected: merging walks as their pages arrive. It is faster for the first rows of large IN lists,
 * but rows would come in another order each time, and a test could not say what is right.
 */
#include "scan.h"

#include <stdio.h>
#include <string.h>

typedef enum state { RUNNING, FINISHED, FAILED } state;
enum { LOOK_MS = 5 }; /* at most between two looks at the network */

struct clo_cursor {
    clo_client *client;           /* NULL: a finished answer */
    struct clo_cursor *next_open; /* in client->cursors */
    bool raw;                     /* for the core itself: in no list, and rows stay JSON */
    const clo_json *row;          /* the present one of a raw cursor */
    clo_plan plan;
    clo_scan scan;
    clo_gate own_gate;
    clo_arena *bind_arena, *row_arena;
    clo_value *vals;
    uint16_t *places; /* of the columns in the row before */
    state state;
    clo_err failure;
    int64_t limit; /* -1: none */
    int64_t max_rows;
    clo_json *fixed; /* the row of a finished answer */

    clo_walk *first, *last;
    int n_walks, walk_ramp;
    int held;        /* pages at the last look at the network */
    int64_t look_ms; /* when the next one is due */
    /* the walk that is made next */
    size_t n_values, value, n_each, each;
    clo_cursor *parent;
    char *parent_id;
    bool all_made;
    /* counting */
    bool by_hand; /* total_results could not be used: count rows */
};

static clo_cursor *open_cursor(clo_client *client, const clo_plan *plan, const clo_bind *binds,
                               int64_t limit, int64_t offset, clo_gate *gate, bool raw,
                               clo_err *err);

/* ---- opening -------------------------------------------------------------------------------- */

static clo_status
bind_all(clo_cursor *cur, const clo_bind *binds, clo_err *err)
{
    for (int i = 0; i < cur->plan.n_slots; i++) {
        clo_status st =
            clo_cond_bind(&cur->scan.conds[i], &cur->plan, i, &binds[i], cur->bind_arena, err);

        cur->scan.n_conds = i + 1;
        if (st == CLO_ERROR)
            return CLO_ERROR;
        if (st == CLO_DONE)
            cur->state = FINISHED;
    }
    return CLO_OK;
}

/* Requests for reading the whole list, or -1 when that cannot be said. */
static double
list_requests(const clo_cursor *cur)
{
    const clo_table *t = cur->plan.table;
    double known = clo_known_rows(cur->client, t);

    if (t->list == NULL || t->parent != NULL || clo_plan_each(&cur->plan) > 1 || known < 0 ||
        t->pager == CLO_PAGE_EVENTS || (t->skip_max > 0 && known > (double)t->skip_max))
        return -1;
    return t->page_max > 1 ? 1 + (double)(int64_t)(known / (t->page_max - 1)) : 1;
}

/* A long list of ids or values can cost more requests than the whole table: then that is read, and rows
 * are compared here. */
static void
choose_list(clo_cursor *cur)
{
    clo_plan *plan = &cur->plan;

    for (int i = 0; i < cur->scan.n_conds; i++) {
        clo_cond *c = &cur->scan.conds[i];
        double pages;

        if (c->slot->op != CLO_OP_IN || (c->column->flags & CLO_C_PARAM))
            continue;
        pages = plan->access == CLO_BY_ID || plan->n_slots == 1 ? list_requests(cur) : -1;
        if (pages < 0 || (double)c->n <= pages ||
            (plan->table->each_param != NULL && c->slot->param != NULL &&
             strcmp(c->slot->param, plan->table->each_param) == 0))
            continue;
        c->local = true;
        plan->access = CLO_BY_LIST;
    }
}

/* Leaves OFFSET to the service where its counting can be relied on to the end. */
static void
place_offset(clo_cursor *cur, int64_t offset)
{
    const clo_plan *plan = &cur->plan;
    int64_t cap = plan->table->skip_max;
    bool pushes =
        plan->access == CLO_BY_LIST && plan->table->pager == CLO_PAGE_OFFSET && !cur->scan.multi &&
        clo_tool_takes(cur->scan.tool, "_skip") &&
        (cap == 0 || (cur->limit >= 0 && cur->limit <= cap && offset <= cap - cur->limit));

    cur->scan.base = pushes ? offset : 0;
    cur->scan.skip_left = pushes ? 0 : offset;
    cur->scan.want = cur->limit;
    if (cur->limit >= 0 && !pushes)
        cur->scan.want = cur->limit > INT64_MAX - offset ? INT64_MAX : cur->limit + offset;
}

static clo_status
open_parent(clo_cursor *cur, clo_err *err)
{
    clo_question q = {0};
    clo_plan plan;

    q.table = clo_table_find(cur->plan.table->parent);
    if (q.table == NULL)
        return clo_err_set(err, CLO_E_BUG, "%s: no table %s", cur->plan.table->name,
                           cur->plan.table->parent);
    clo_colset_add(&q.needed, clo_table_key(q.table));
    if (clo_plan_make(cur->client, &q, &plan, err) != CLO_OK)
        return CLO_ERROR;
    cur->parent = clo_cursor_open_raw(cur->client, &plan, NULL, cur->scan.gate, err);
    return cur->parent != NULL ? CLO_OK : CLO_ERROR;
}

static clo_status
prepare(clo_cursor *cur, const clo_bind *binds, int64_t offset, clo_err *err)
{
    clo_scan *s = &cur->scan;
    const clo_table *t = cur->plan.table;
    int width;

    cur->bind_arena = clo_arena_new();
    cur->row_arena = clo_arena_new();
    cur->vals = clo_calloc(t->n_columns, sizeof *cur->vals);
    cur->places = clo_calloc(t->n_columns, sizeof *cur->places);
    if (cur->bind_arena == NULL || cur->row_arena == NULL || cur->vals == NULL ||
        cur->places == NULL)
        return clo_err_nomem(err);
    s->client = cur->client;
    s->table = t;
    s->plan = &cur->plan;
    if (bind_all(cur, binds, err) != CLO_OK)
        return CLO_ERROR;
    choose_list(cur);
    s->tool = clo_tool_find(clo_plan_tool(&cur->plan));
    if (s->tool == NULL)
        return clo_err_set(err, CLO_E_BUG, "%s: no tool to read it", t->name);
    clo_plan_fetch_set(&cur->plan, &s->fetch);
    width = (int)clo_config_int(&cur->client->config, CLO_OPT_CONCURRENCY);
    s->reach = width > 1 ? 2 * width : 1;
    if (s->gate == &cur->own_gate)
        s->gate->width = width;
    cur->n_values = 1;
    for (int i = 0; i < s->n_conds; i++)
        if (s->conds[i].slot->op == CLO_OP_IN && !s->conds[i].local)
            cur->n_values = s->conds[i].n;
    cur->n_each = clo_plan_each(&cur->plan);
    s->multi = cur->plan.access == CLO_BY_LIST &&
               (cur->n_values > 1 || cur->n_each > 1 || clo_plan_walks_parent(&cur->plan));
    s->expect = s->n_conds == 0 && !s->multi ? clo_known_rows(cur->client, t) : -1;
    place_offset(cur, offset);
    if (!cur->raw && cur->state == RUNNING) {
        clo_lookup_join(s);
        clo_again_begin(s);
    }
    cur->walk_ramp = cur->limit >= 0 ? 1 : width;
    cur->max_rows = cur->raw ? 0 : clo_config_int(&cur->client->config, CLO_OPT_MAX_ROWS);
    if (cur->limit == 0)
        cur->state = FINISHED;
    if (cur->state == RUNNING && clo_plan_walks_parent(&cur->plan))
        return open_parent(cur, err);
    return CLO_OK;
}

/* Answers of an earlier statement are too old, unless cache_ttl_ms keeps them. */
void
clo_statement_begin(clo_client *client)
{
    if (client->open_cursors++ > 0)
        return;
    client->cursors_since_ms = clo_now_ms();
    if (client->cache != NULL && clo_config_int(&client->config, CLO_OPT_CACHE_TTL_MS) == 0)
        clo_cache_clear(client->cache);
}

void
clo_statement_end(clo_client *client)
{
    if (--client->open_cursors > 0)
        return;
    clo_lookups_end(client);
    clo_agains_end(client);
    if (client->cache != NULL && clo_config_int(&client->config, CLO_OPT_CACHE_TTL_MS) == 0)
        clo_cache_clear(client->cache);
}

static void
enlist(clo_cursor *cur)
{
    cur->next_open = cur->client->cursors;
    cur->client->cursors = cur;
    clo_statement_begin(cur->client);
}

static void
unlist(clo_cursor *cur)
{
    for (clo_cursor **p = &cur->client->cursors; *p != NULL; p = &(*p)->next_open)
        if (*p == cur) {
            *p = cur->next_open;
            break;
        }
    clo_statement_end(cur->client);
}

static clo_cursor *
open_cursor(clo_client *client, const clo_plan *plan, const clo_bind *binds, int64_t limit,
            int64_t offset, clo_gate *gate, bool raw, clo_err *err)
{
    clo_cursor *cur = clo_calloc(1, sizeof *cur);

    if (cur == NULL) {
        clo_err_nomem(err);
        return NULL;
    }
    cur->client = clo_client_ref(client);
    cur->raw = raw;
    if (!raw)
        enlist(cur);
    cur->plan = *plan;
    cur->limit = limit < 0 ? -1 : limit;
    cur->scan.gate = gate != NULL ? gate : &cur->own_gate;
    if (prepare(cur, binds, offset < 0 ? 0 : offset, err) != CLO_OK) {
        clo_cursor_free(cur);
        return NULL;
    }
    return cur;
}

clo_cursor *
clo_cursor_open(clo_client *client, const clo_plan *plan, const clo_bind *binds, int64_t limit,
                int64_t offset, clo_err *err)
{
    clo_err_clear(err);
    return open_cursor(client, plan, binds, limit, offset, NULL, false, err);
}

clo_cursor *
clo_cursor_open_raw(clo_client *client, const clo_plan *plan, const clo_bind *binds, clo_gate *gate,
                    clo_err *err)
{
    clo_err_clear(err);
    return open_cursor(client, plan, binds, -1, 0, gate, true, err);
}

const clo_json *
clo_cursor_raw(const clo_cursor *cur)
{
    return cur->row;
}

int64_t
clo_cursor_total(const clo_cursor *cur)
{
    return cur->first != NULL ? cur->first->total : -1;
}

int
clo_cursor_page(const clo_cursor *cur)
{
    return cur->first != NULL ? cur->first->limit : cur->plan.table->page_max;
}

const clo_json *
clo_cursor_ahead(const clo_cursor *cur, size_t *row, const clo_plan **plan)
{
    const clo_walk *w = cur->first;

    *plan = &cur->plan;
    if (w == NULL || w->cur == NULL || w->get || w->row == 0)
        return NULL;
    *row = w->row - 1;
    return w->rows;
}

clo_cursor *
clo_cursor_next_open(const clo_cursor *cur)
{
    return cur->next_open;
}

clo_cursor *
clo_cursor_of_json(const clo_table *table, const clo_colset *needed, const char *json, size_t len,
                   clo_err *err)
{
    clo_cursor *cur;

    clo_err_clear(err);
    cur = clo_calloc(1, sizeof *cur);
    if (cur == NULL) {
        clo_err_nomem(err);
        return NULL;
    }
    cur->plan.table = table;
    cur->plan.needed = *needed;
    cur->plan.order = -1;
    cur->scan.table = table;
    cur->limit = -1;
    cur->row_arena = clo_arena_new();
    cur->vals = clo_calloc(table->n_columns, sizeof *cur->vals);
    cur->places = clo_calloc(table->n_columns, sizeof *cur->places);
    if (cur->row_arena == NULL || cur->vals == NULL || cur->places == NULL)
        clo_err_nomem(err);
    else
        cur->fixed = clo_json_parse(json, len, table->name, err);
    if (cur->fixed != NULL && clo_json_type(cur->fixed) != CLO_J_OBJECT)
        clo_err_set(err, CLO_E_PROTO, "%s: the answer is not an object", table->name);
    if (cur->fixed != NULL && clo_json_type(cur->fixed) == CLO_J_OBJECT)
        return cur;
    clo_cursor_free(cur);
    return NULL;
}

/* ---- walks ---------------------------------------------------------------------------------- */

static void
drop_first(clo_cursor *cur)
{
    clo_walk *w = cur->first;

    cur->first = w->next;
    if (cur->first == NULL)
        cur->last = NULL;
    cur->n_walks--;
    clo_walk_free(w);
}

static void
stop_all(clo_cursor *cur)
{
    while (cur->first != NULL)
        drop_first(cur);
    if (cur->parent != NULL) {
        clo_scan_stats p;

        clo_cursor_stats(cur->parent, &p);
        cur->scan.stats.requests += p.requests;
        cur->scan.stats.retries += p.retries;
        cur->scan.stats.bytes_in += p.bytes_in;
        cur->scan.stats.cache_hits += p.cache_hits;
        clo_cursor_free(cur->parent);
    }
    cur->parent = NULL;
    clo_free(cur->parent_id);
    cur->parent_id = NULL;
    clo_idset_free(&cur->scan.seen);
}

static clo_status
next_parent(clo_cursor *cur, clo_err *err)
{
    clo_status st = clo_cursor_step(cur->parent, 0, err);

    if (st != CLO_ROW)
        return st;
    cur->parent_id =
        clo_strdup(clo_json_str(clo_json_get(clo_cursor_raw(cur->parent), "id"), NULL));
    return cur->parent_id != NULL ? CLO_ROW : clo_err_nomem(err);
}

/* Moves on to the next combination of value, kind and parent. */
static void
advance(clo_cursor *cur)
{
    if (++cur->value < cur->n_values)
        return;
    cur->value = 0;
    if (++cur->each < cur->n_each)
        return;
    cur->each = 0;
    clo_free(cur->parent_id);
    cur->parent_id = NULL;
    if (cur->parent == NULL)
        cur->all_made = true;
}

static void
size_walk(const clo_cursor *cur, clo_walk *w)
{
    w->base = w->next_skip = cur->scan.base;
    w->want = cur->scan.want;
    /* A count believes the service. Where it was given a condition, a whole page of rows is asked for
     * along with the total, since one row may meet an ignored condition by chance. */
    if (cur->plan.access == CLO_BY_COUNT && !cur->by_hand)
        w->want = cur->scan.n_conds > 0 && w->limit > 0 ? w->limit : 1;
    if (w->limit > 0 && w->want > 0 && w->want < w->limit)
        clo_walk_set_limit(w, (int)w->want);
}

/* ROW: a walk was appended; AGAIN: its parent is not known yet; DONE: there are no more. */
static clo_status
make_walk(clo_cursor *cur, clo_err *err)
{
    clo_walk *w;

    if (cur->all_made)
        return CLO_DONE;
    if (cur->parent != NULL && cur->parent_id == NULL) {
        clo_status st = next_parent(cur, err);

        if (st == CLO_DONE)
            cur->all_made = true;
        if (st != CLO_ROW)
            return st;
    }
    w = clo_walk_new(&cur->scan, err);
    if (w == NULL)
        return CLO_ERROR;
    w->which = cur->value;
    if (cur->n_each > 0)
        w->each_value = cur->plan.table->each_values[cur->each];
    w->optional = cur->n_each > 1 && cur->each >= 2; /* lead and contact views always exist */
    if (cur->parent_id != NULL) {
        w->parent_id = clo_strdup(cur->parent_id);
        if (w->parent_id == NULL) {
            clo_walk_free(w);
            return clo_err_nomem(err);
        }
    }
    size_walk(cur, w);
    if (cur->last != NULL)
        cur->last->next = w;
    else
        cur->first = w;
    cur->last = w;
    cur->n_walks++;
    advance(cur);
    return CLO_ROW;
}

/* Asks for pages as far as the window goes. Sets *asked; ERROR with `err`. */
static clo_status
fill(clo_cursor *cur, bool *asked, clo_err *err)
{
    clo_scan *s = &cur->scan;
    clo_status st = CLO_ROW;

    *asked = false;
    for (clo_walk *w = cur->first; w != NULL; w = w->next) {
        int n = clo_walk_fill(w, w == cur->first, err);

        if (n < 0)
            return CLO_ERROR;
        *asked = *asked || n > 0;
    }
    while (st == CLO_ROW && (cur->first == NULL ||
                             (s->held < clo_scan_window(s) && s->gate->in_flight < s->gate->width &&
                              cur->n_walks < cur->walk_ramp))) {
        st = make_walk(cur, err);
        if (st == CLO_ROW) {
            int n = clo_walk_fill(cur->last, cur->first == cur->last, err);

            if (n < 0)
                return CLO_ERROR;
            *asked = *asked || n > 0;
        }
    }
    return st == CLO_ERROR ? CLO_ERROR : CLO_OK;
}

/* ---- rows ----------------------------------------------------------------------------------- */

static clo_status
deliver(clo_cursor *cur, const clo_json *row, clo_err *err)
{
    const clo_walk *w = cur->first;
    clo_scan *s = &cur->scan;

    if (cur->max_rows > 0 && s->delivered >= cur->max_rows) {
        clo_err_set(err, CLO_E_LIMIT, "%s: more than %lld rows", s->table->name,
                    (long long)cur->max_rows);
        err->hint = "setting max_rows";
        return CLO_ERROR;
    }
    if (cur->raw) {
        cur->row = row;
        s->delivered++;
        return CLO_ROW;
    }
    clo_arena_reset(cur->row_arena);
    if (clo_row_of_json(row, s->table, &cur->plan.needed, cur->row_arena, cur->places, cur->vals,
                        err) != CLO_OK)
        return CLO_ERROR;
    for (int i = 0; i < s->n_conds; i++)
        clo_cond_echo(&s->conds[i], s->conds[i].slot->op == CLO_OP_IN ? w->which : 0, row,
                      &cur->plan.needed, cur->vals);
    s->delivered++;
    s->stats.rows_delivered++;
    if (cur->client != NULL)
        cur->client->stat[CLO_STAT_ROWS]++;
    return CLO_ROW;
}

static clo_status
deliver_count(clo_cursor *cur, int64_t n)
{
    cur->vals[0] = clo_int(n);
    cur->limit = 1;
    cur->by_hand = false;
    cur->scan.delivered = 1;
    cur->scan.stats.rows_delivered = 1;
    return CLO_ROW;
}

/* A full walk without conditions has told how large the table is. */
static void
learn(clo_cursor *cur)
{
    int i = clo_table_index(cur->plan.table);

    if (cur->plan.n_slots == 0 && cur->limit < 0 && cur->scan.skip_left == 0 && i >= 0 &&
        cur->scan.base == 0 && (size_t)i < CLO_ARRAY_LEN(cur->client->known_rows))
        cur->client->known_rows[i] = (double)cur->scan.delivered;
}

static void
learn_total(clo_cursor *cur)
{
    int i = clo_table_index(cur->plan.table);

    if (cur->first != NULL && cur->first->total >= 0 && cur->plan.n_slots == 0 && i >= 0 &&
        (size_t)i < CLO_ARRAY_LEN(cur->client->known_rows))
        cur->client->known_rows[i] = (double)cur->first->total;
}

/* Whether total_results answers the question: it is there, and the rows asked for along with it
 * meet the conditions. Otherwise the rows themselves are counted. */
static clo_status
count_step(clo_cursor *cur, clo_status st)
{
    int64_t total = cur->first->total;

    if (cur->by_hand) {
        if (st == CLO_ROW)
            cur->scan.delivered++;
        return st;
    }
    if (st != CLO_ROW && st != CLO_DONE)
        return st;
    if (total >= 0 && (st == CLO_ROW || total == 0))
        return deliver_count(cur, total);
    cur->by_hand = true;
    drop_first(cur);
    cur->all_made = false;
    cur->value = cur->each = 0;
    return CLO_AGAIN;
}

/* A row of the first walk, without waiting. OK: something happened, try again. */
static clo_status
take(clo_cursor *cur, clo_err *err)
{
    const clo_json *row = NULL;
    clo_status st;

    if (cur->first == NULL) {
        if (!cur->all_made)
            return CLO_AGAIN;
        if (cur->plan.access == CLO_BY_COUNT)
            return deliver_count(cur, cur->scan.delivered);
        return CLO_DONE;
    }
    st = clo_walk_next(cur->first, &row, err);
    if (cur->plan.access != CLO_BY_COUNT || st == CLO_ERROR) {
        if (st == CLO_ROW && cur->scan.skip_left > 0) {
            cur->scan.skip_left--;
            return CLO_OK;
        }
        if (st == CLO_ROW)
            return deliver(cur, row, err);
    } else {
        bool by_hand = cur->by_hand;

        st = count_step(cur, st);
        if (st == CLO_ROW && !by_hand)
            return CLO_ROW;
        if (st == CLO_ROW || cur->by_hand != by_hand)
            return CLO_OK;
    }
    if (st != CLO_DONE)
        return st;
    learn_total(cur);
    drop_first(cur);
    if (cur->walk_ramp < cur->scan.gate->width)
        cur->walk_ramp *= 2;
    return CLO_OK;
}

/* ---- stepping ------------------------------------------------------------------------------- */

static clo_status
finish(clo_cursor *cur, clo_status st, clo_err *err)
{
    if (st == CLO_DONE && cur->client != NULL)
        learn(cur);
    cur->state = st == CLO_DONE ? FINISHED : FAILED;
    if (cur->client != NULL)
        clo_err_mask(&cur->client->secrets, err);
    cur->failure = *err;
    stop_all(cur);
    return st;
}

static clo_status
step_fixed(clo_cursor *cur, clo_err *err)
{
    clo_status st;

    if (cur->scan.delivered > 0)
        return CLO_DONE;
    st = deliver(cur, cur->fixed, err);
    return st == CLO_ROW ? st : finish(cur, CLO_ERROR, err);
}

/* The parent as well: its calls share the gate, so they must move even while no parent row is needed. */
static void
poll_all(clo_cursor *cur)
{
    for (clo_walk *w = cur->first; w != NULL; w = w->next)
        clo_walk_poll(w);
    if (cur->parent != NULL)
        poll_all(cur->parent);
}

/* No row yet. OK: try again at once; AGAIN: something is under way and worth waiting for. */
static clo_status
wait_or_go_on(clo_cursor *cur, clo_err *err)
{
    bool asked;

    if (fill(cur, &asked, err) != CLO_OK)
        return CLO_ERROR;
    if (asked || (cur->first == NULL && cur->all_made))
        return CLO_OK;
    if (cur->scan.gate->in_flight > 0 || cur->scan.gate->limited)
        return CLO_AGAIN;
    return clo_err_set(err, CLO_E_BUG, "%s: the scan waits for nothing", cur->plan.table->name);
}

/* Asks for what is missing and lets everything under way move. */
static clo_status
move_on(clo_cursor *cur, clo_err *err)
{
    bool asked;

    if (fill(cur, &asked, err) != CLO_OK)
        return CLO_ERROR;
    cur->held = cur->scan.held;
    poll_all(cur);
    if (!cur->raw)
        clo_lookups_poll(cur->client);
    cur->look_ms = clo_now_ms() + LOOK_MS;
    return CLO_OK;
}

/* One turn of the loop without waiting. While a page is read the network is looked after only now and then,
 * counted from the end of the look before, and when a page has been used up: a look may unpack a page, which
 * takes longer than handing one out, and meanwhile nobody asks for more. */
static clo_status
turn(clo_cursor *cur, int64_t now, clo_err *err)
{
    bool reading = cur->first != NULL && cur->first->cur != NULL && cur->scan.held >= cur->held &&
                   now < cur->look_ms;
    clo_status st = reading ? CLO_OK : move_on(cur, err);

    while (st == CLO_OK)
        st = take(cur, err);
    if (st == CLO_AGAIN && reading)
        return move_on(cur, err); /* what arrived meanwhile is not waited for */
    return st == CLO_AGAIN ? wait_or_go_on(cur, err) : st;
}

clo_status
clo_cursor_step(clo_cursor *cur, int wait_ms, clo_err *err)
{
    int64_t now, until;
    clo_status st;

    clo_err_clear(err);
    if (cur->state == FAILED)
        *err = cur->failure;
    if (cur->state != RUNNING)
        return cur->state == FAILED ? CLO_ERROR : CLO_DONE;
    if (cur->fixed != NULL)
        return step_fixed(cur, err);
    if (cur->limit >= 0 && cur->scan.delivered >= cur->limit && !cur->by_hand)
        return finish(cur, CLO_DONE, err);
    now = clo_now_ms();
    until = now + (wait_ms > 0 ? wait_ms : 0);
    for (;;) {
        st = turn(cur, now, err);
        if (st == CLO_ROW)
            return st;
        now = clo_now_ms();
        if (st == CLO_AGAIN) {
            if (now >= until)
                return CLO_AGAIN;
            st = clo_client_wait(cur->client, (int)(until - now), 0, err);
        }
        if (st == CLO_DONE || st == CLO_ERROR)
            return finish(cur, st, err);
    }
}

const clo_value *
clo_cursor_row(const clo_cursor *cur)
{
    return cur->vals;
}

void
clo_cursor_stats(const clo_cursor *cur, clo_scan_stats *out)
{
    *out = cur->scan.stats;
    out->max_in_flight = cur->scan.gate != NULL ? cur->scan.gate->most : 0;
    if (cur->parent != NULL) {
        clo_scan_stats p;

        clo_cursor_stats(cur->parent, &p);
        out->requests += p.requests;
        out->retries += p.retries;
        out->bytes_in += p.bytes_in;
        out->cache_hits += p.cache_hits;
    }
}

void
clo_cursor_free(clo_cursor *cur)
{
    if (cur == NULL)
        return;
    stop_all(cur);
    clo_lookup_leave(&cur->scan);
    clo_again_leave(&cur->scan);
    for (int i = 0; i < cur->scan.n_conds; i++)
        clo_cond_free(&cur->scan.conds[i]);
    clo_arena_free(cur->bind_arena);
    clo_arena_free(cur->row_arena);
    clo_json_free(cur->fixed);
    clo_free(cur->vals);
    clo_free(cur->places);
    if (cur->client != NULL) {
        if (!cur->raw)
            unlist(cur);
        clo_client_unref(cur->client);
    }
    clo_free(cur);
}
