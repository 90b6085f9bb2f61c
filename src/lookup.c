/*
 * lookup.c - many reads of single rows: when to read ahead, and when to read the whole table.
 *
 * A nested loop asks for close_leads WHERE id = k again and again, or for close_contacts WHERE lead_id =
 * k, one k at a time, and nobody can say how many there will be. One read per key is right for ten keys
 * and hopeless for a thousand. All such reads of a statement, by table, column and columns wanted, share
 * a clo_lookup, which answers in one of three ways:
 *
 *      send    the get tool (or the list of that key), as if this file did not exist
 *      later   the whole table is being read, which will answer it
 *      doc     the row, or the rows, from the part of the table that has been read
 *
 * How many calls. Looking back, the best plan would have cost min(K, P) calls: K keys, or the P pages of the
 * table. The promise is not to exceed twice that, without knowing K. So with K keys asked for, pages
 * are read only up to 2K minus the single reads sent, and alongside of them:
 *
 *      K = 1       nothing
 *      K = 2       the first page. It says whether it is the only one, and often how many there are.
 *      K < P / 4   single reads alone: most joins are small
 *      then        pages as well. A key whose row has turned up in one costs nothing, so K grows
 *                  faster than the reads: about 0.4 P are sent until the table is complete.
 *      2K >= reads + P    the rest of the pages is paid for: keys wait for them
 *
 * Where P is not known (only leads and opportunities say it) pages keep pace with single reads, and a key
 * waits for pages under way rather than let there be more reads than pages.
 *
 * A list of values (IN) says how many keys there are. Where P is known nothing is tried out then; where it is not,
 * up to K pages are read first, several at a time, and the keys wait for them. Only when that was not the whole table
 * are the keys read one by one, and no further page.
 *
 * A key that the whole table lacks is asked for once by the get tool all the same, because lists lag behind
 * and leave out some objects that can be read (users who left). A list by another column is a list
 * like the one that was read, and is not asked again.
 *
 * None of it may change a result. What goes wrong while the table is read (an error, a row without the
 * column) turns it off for this statement, and the keys are read one by one, as with the
 * setting lookahead = off. After a write through the client everything is forgotten.
 *
 * Further conditions. `AND o.status_type = 'won'` travels with each read, and with the walk as well: scans
 * share a lookup only where these values are the same, as constants are. A further id (AND o.contact_id =
 * c.id) is another one for each key; it is left out of the walk, and the cursor compares it as it does
 * with every row. So is every condition once its values have proved to be many.
 *
 * Memory. Rows are kept up to lookup_bytes (rowset.c). With room for a share f of the table, and keys in no order of
 * its own, the best plan would have cost min(K, P + (1 - f) K) calls, looking back: the table once, and a read
 * for each key that did not fit. (What is remembered answers f of the keys whichever rows it holds, and a
 * call brings no more than one key, or rows that there is no room for.) Twice that is the promise there. By
 * id the part that fits stays, and the table is read no further; a list is nothing without its end, so
 * there the rows of some keys go, and the table is read to its end for the others. Until it has been read,
 * reads and pages are no more than 2 min(K, P); afterwards each key that did not fit costs one.
 *
 * The whole table in memory also serves the scans of it that are under way (a self join): they end without
 * asking for their further pages (walk.c).
 *
 * Ownership: lookups belong to the client and end with the statement; those of dynamic tables with their
 * last cursor, because the table may go away. A parsed answer is made for each use.
 *
 * Rejected: keeping the parsed pages (100,000 leads are 150 MB); asking for several ids at once (no
 * tool has it); pages ahead of the single reads while the number of keys is not known (the loop may end at any
 * key, and would have cost more than twice its keys: so as long as keys come one by one, a walk takes as many
 * round trips as it has pages, whatever the window).
 */
#include "lookup.h"

#include <string.h>

enum { PLAIN_LIST = 16, LONG_LOOP = 16, MAX_PARENTS = 1000, MAX_SIGNS = 4, MAX_ASKED = 65536 };

#define ANY_SIGN "*"

/* ---- forgetting ----------------------------------------------------------------------------- */

/* Takes note of what the walk has cost so far. */
static void
claim(clo_lookup *lk)
{
    clo_scan_stats s;

    if (lk->walk == NULL)
        return;
    clo_cursor_stats(lk->walk, &s);
    lk->unclaimed.attempts += (int)(s.requests - lk->claimed_requests);
    lk->unclaimed.bytes += s.bytes_in - lk->claimed_bytes;
    lk->claimed_requests = s.requests;
    lk->claimed_bytes = s.bytes_in;
}

static void
end_walk(clo_lookup *lk)
{
    claim(lk);
    clo_cursor_free(lk->walk);
    lk->walk = NULL;
    lk->claimed_requests = lk->claimed_bytes = 0;
}

static void
drop_rows(clo_lookup *lk)
{
    clo_rowset_unref(lk->rows);
    lk->rows = NULL;
}

/* The rest of the table cannot serve: from here on the keys are read one by one, and ahead again. A list
 * is nothing without its end, but each row that was read by its id is as good as before. */
static void
give_up(clo_lookup *lk)
{
    end_walk(lk);
    lk->all_paid = false;
    if (lk->by_id && lk->full)
        return;
    drop_rows(lk);
    lk->off = true;
}

static void
forget(clo_lookup *lk)
{
    end_walk(lk);
    drop_rows(lk);
    clo_ahead_drop_all(lk);
    clo_idset_free(&lk->asked);
    lk->off = lk->full = lk->complete = lk->all_paid = false;
    memset(&lk->gate, 0, sizeof lk->gate);
    lk->reads = lk->rows_seen = 0;
    lk->generation = clo_cache_generation(lk->client->cache);
}

static void
free_lookup(clo_lookup *lk)
{
    for (clo_lookup **p = &lk->client->lookups; *p != NULL; p = &(*p)->next)
        if (*p == lk) {
            *p = lk->next;
            break;
        }
    clo_fetch_detach(lk->client, lk);
    forget(lk);
    clo_arena_free(lk->texts);
    clo_free(lk->sign);
    clo_free(lk->params);
    clo_free(lk);
}

void
clo_lookup_leave(clo_scan *scan)
{
    clo_lookup *lk = scan->lookup;

    scan->lookup = NULL;
    if (lk != NULL && --lk->users == 0 && clo_table_find(lk->table->name) != lk->table)
        free_lookup(lk);
}

void
clo_lookups_end(clo_client *client)
{
    while (client->lookups != NULL)
        free_lookup(client->lookups);
}

/* ---- which scans ---------------------------------------------------------------------------- */

/* A table that is a list for each row of another one is read whole where those are few. */
static bool
few_parents(const clo_client *client, const clo_table *t)
{
    const clo_table *parent = t->parent != NULL ? clo_table_find(t->parent) : NULL;
    double known = parent != NULL ? clo_known_rows(client, parent) : 0;

    return t->parent == NULL ||
           (parent != NULL && (known > 0 ? known : parent->guess_rows) <= (double)MAX_PARENTS);
}

static bool
walkable(const clo_client *client, const clo_table *t)
{
    return t->list != NULL && t->pager != CLO_PAGE_EVENTS && t->pager != CLO_PAGE_ONE &&
           few_parents(client, t) &&
           (t->each_param == NULL || t->each_values[0] == NULL || t->each_values[1] == NULL);
}

static bool
reads_raw(const clo_plan *plan)
{
    for (int i = 0; (size_t)i < plan->table->n_columns; i++)
        if ((plan->table->columns[i].flags & CLO_C_RAW) && clo_colset_has(&plan->needed, i))
            return true;
    return false;
}

/* A documented filter that leaves few rows, and whose value every row shows. */
static bool
is_key(const clo_table *t, const clo_slot *s)
{
    const clo_column *c = &t->columns[s->column];
    const clo_filter *f = s->param != NULL ? clo_table_filter(t, s->column, s->op) : NULL;

    return f != NULL && (f->flags & CLO_F_EXACT) && !(f->flags & (CLO_F_ECHO | CLO_F_WITH_LEAD)) &&
           !(c->flags & CLO_C_PARAM) && c->type == CLO_T_TEXT && clo_column_narrows(c) &&
           (s->op == CLO_OP_EQ || s->op == CLO_OP_IN);
}

/* A condition that can be checked on rows of the whole table. */
static bool
is_checked(const clo_table *t, const clo_slot *s)
{
    const clo_filter *f = clo_table_filter(t, s->column, s->op);

    return !(t->columns[s->column].flags & CLO_C_PARAM) && s->op != CLO_OP_IN && f != NULL &&
           !(f->flags & CLO_F_ECHO);
}

/* The slot whose values are looked up, -1: such scans have nothing in common. */
static int
key_slot(const clo_client *client, const clo_plan *plan)
{
    const clo_table *t = plan->table;
    int key = -1;

    if ((client != NULL && !clo_config_int(&client->config, CLO_OPT_LOOKAHEAD)) ||
        !walkable(client, t) || reads_raw(plan) || plan->order >= 0 || plan->offset)
        return -1;
    if (plan->access == CLO_BY_ID)
        return plan->n_slots == 1 ? 0 : -1;
    for (int i = 0; i < plan->n_slots && key < 0; i++)
        if (is_key(t, &plan->slots[i]))
            key = i;
    for (int i = 0; i < plan->n_slots; i++)
        if (i != key && !is_checked(t, &plan->slots[i]))
            return -1;
    /* The list of one parent is a part of the walk: neither may wait for the other. */
    if (key >= 0 && t->parent_param != NULL && strcmp(plan->slots[key].param, t->parent_param) == 0)
        return -1;
    return plan->access == CLO_BY_LIST || plan->access == CLO_BY_COUNT ? key : -1;
}

bool
clo_lookup_serves(const clo_client *client, const clo_plan *plan)
{
    return key_slot(client, plan) >= 0;
}

static void
put_value(const clo_cond *c, clo_buf *b)
{
    const clo_value *v = &c->values[0];

    if (clo_cond_is_bound(c))
        clo_buf_str(b, c->bound != NULL ? c->bound : "");
    else if (v->text != NULL)
        clo_buf_fmt(b, "%zu %s", v->len, v->text);
    else if (v->type == CLO_T_BOOL)
        clo_buf_fmt(b, "%d", v->u.b);
    else if (v->type == CLO_T_REAL)
        clo_buf_fmt(b, "%a", v->u.r);
    else
        clo_buf_fmt(b, "%lld", (long long)v->u.i);
}

/* What a scan's lookup is known by: the values that go into the walk, and how many rows are wanted. */
static void
put_sign(const clo_scan *s, int key, clo_buf *b)
{
    clo_buf_fmt(b, "%lld", (long long)s->want);
    for (int i = 0; i < s->n_conds; i++) {
        const clo_cond *c = &s->conds[i];

        if (i == key || (c->slot->op == CLO_OP_EQ && clo_column_narrows(c->column)))
            continue;
        clo_buf_fmt(b, " %d %d ", c->slot->column, (int)c->slot->op);
        put_value(c, b);
    }
}

/* Takes a copy of the further conditions; `loose`: none for the walk. False: out of memory. */
static bool
keep_conditions(clo_lookup *lk, const clo_scan *s, int key, bool loose)
{
    for (int i = 0; i < s->n_conds; i++) {
        const clo_cond *c = &s->conds[i];
        clo_value v = c->values[0];

        if (i == key)
            continue;
        if (c->slot->op == CLO_OP_EQ && (loose || clo_column_narrows(c->column))) {
            clo_colset_add(&lk->others, c->slot->column);
            lk->varies = true;
            continue;
        }
        if (clo_cond_is_bound(c) && (loose || c->bound == NULL)) {
            lk->varies = true;
            continue;
        }
        if (clo_cond_is_bound(c))
            v = clo_text(c->bound, strlen(c->bound));
        if (v.text != NULL)
            v.text = clo_arena_strndup(lk->texts, v.text, v.len);
        if (c->values[0].text != NULL && v.text == NULL)
            return false;
        lk->quals[lk->n_quals] = (clo_qual){c->slot->column, c->slot->op, true};
        /* Inclusive, as it is sent: rows at the bound are for the cursor to judge. */
        if (c->slot->op == CLO_OP_GT)
            lk->quals[lk->n_quals].op = CLO_OP_GE;
        if (c->slot->op == CLO_OP_LT)
            lk->quals[lk->n_quals].op = CLO_OP_LE;
        lk->values[lk->n_quals++] = v;
    }
    return true;
}

static clo_lookup *
make_lookup(const clo_scan *s, int key, const char *sign, bool loose)
{
    clo_lookup *lk = clo_calloc(1, sizeof *lk);

    if (lk == NULL)
        return NULL;
    lk->client = s->client;
    lk->table = s->table;
    lk->column = s->conds[key].slot->column;
    lk->by_id = s->plan->access == CLO_BY_ID;
    lk->fetch = s->fetch;
    lk->generation = clo_cache_generation(s->client->cache);
    lk->credit = 1;
    lk->sign = clo_strdup(sign);
    lk->texts = clo_arena_new();
    lk->next = s->client->lookups;
    s->client->lookups = lk;
    if (lk->sign != NULL && lk->texts != NULL && keep_conditions(lk, s, key, loose))
        return lk;
    free_lookup(lk);
    return NULL;
}

/* Sets *n to those that differ in nothing but their conditions. */
static clo_lookup *
find_lookup(const clo_scan *s, int key, const char *sign, int *n)
{
    *n = 0;
    for (clo_lookup *lk = s->client->lookups; lk != NULL; lk = lk->next) {
        if (lk->table != s->table || lk->column != s->conds[key].slot->column ||
            lk->by_id != (s->plan->access == CLO_BY_ID) ||
            memcmp(&lk->fetch, &s->fetch, sizeof lk->fetch) != 0)
            continue;
        if (strcmp(lk->sign, sign) == 0)
            return lk;
        (*n)++;
    }
    return NULL;
}

/* Conditions that turn out to be no constants are left to the cursors. */
static clo_lookup *
find_or_make(const clo_scan *s, int key, const char *sign)
{
    int n;
    clo_lookup *lk = find_lookup(s, key, sign, &n);

    if (lk != NULL || n < MAX_SIGNS)
        return lk != NULL ? lk : make_lookup(s, key, sign, false);
    lk = find_lookup(s, key, ANY_SIGN, &n);
    return lk != NULL ? lk : make_lookup(s, key, ANY_SIGN, true);
}

void
clo_lookup_join(clo_scan *scan)
{
    int key = scan->n_conds == scan->plan->n_slots ? key_slot(scan->client, scan->plan) : -1;
    const clo_cond *c = &scan->conds[key < 0 ? 0 : key];
    clo_lookup *lk = NULL;
    clo_buf sign;

    scan->lookup = NULL;
    if (key < 0 || c->local || (c->slot->op == CLO_OP_IN && c->n <= PLAIN_LIST))
        return;
    clo_buf_init(&sign, (size_t)1 << 20);
    put_sign(scan, key, &sign);
    if (sign.error == CLO_E_NONE)
        lk = find_or_make(scan, key, sign.data);
    clo_buf_free(&sign);
    if (lk == NULL)
        return;
    /* With a LIMIT nobody knows how many of the keys will be asked for. */
    if (c->slot->op == CLO_OP_IN && scan->want < 0 && (int64_t)c->n > lk->planned)
        lk->planned = (int64_t)c->n;
    lk->users++;
    scan->lookup = lk;
    scan->lookup_cond = key;
}

/* ---- rows ----------------------------------------------------------------------------------- */

/* What the other lookups of this table hold. */
static size_t
bytes_elsewhere(const clo_lookup *lk)
{
    size_t sum = 0;

    for (const clo_lookup *l = lk->client->lookups; l != NULL; l = l->next)
        sum += l->table == lk->table && l != lk ? clo_rowset_bytes(l->rows) : 0;
    return sum;
}

static bool
add_row(clo_lookup *lk, const clo_value *key, const char *text, size_t len)
{
    size_t max = (size_t)clo_config_int(&lk->client->config, CLO_OPT_LOOKUP_BYTES);
    size_t others = bytes_elsewhere(lk);
    clo_kept kept;

    if (lk->rows == NULL)
        lk->rows = clo_rowset_new();
    if (lk->rows == NULL)
        return false;
    kept = clo_rowset_add(lk->rows, key, text, len, max > others ? max - others : 0, !lk->by_id);
    lk->full = kept == CLO_KEPT_FULL;
    return kept == CLO_KEPT || kept == CLO_KEPT_NOT;
}

/* Where a field is absent the service alone knows whether the row meets a condition. */
static bool
shows_others(const clo_lookup *lk, const clo_json *json)
{
    for (int i = 0; (size_t)i < lk->table->n_columns; i++)
        if (clo_colset_has(&lk->others, i) &&
            !clo_json_has(json, clo_column_path(&lk->table->columns[i])))
            return false;
    return true;
}

/* A row of the walk. False: the table cannot serve. A NULL equals nothing, so that row is kept for the sake of the whole
 * table alone; but where the field is absent the service alone knows. */
static bool
keep_row(clo_lookup *lk, const clo_json *json)
{
    const clo_column *c = &lk->table->columns[lk->column];
    const clo_json *j = clo_json_get(json, clo_column_path(c));
    clo_value key = clo_null();
    const char *text;
    size_t len = 0;

    lk->rows_seen++;
    if (lk->varies && !shows_others(lk, json))
        return false;
    key.text = clo_json_str(j, &key.len);
    if (key.text == NULL &&
        (!clo_json_has(json, clo_column_path(c)) || clo_json_type(j) != CLO_J_NULL))
        return false;
    text = clo_json_text(json, &len);
    return text != NULL && add_row(lk, &key, text, len);
}

/* ---- the table ------------------------------------------------------------------------------ */

/* Pages that so many rows fill: each but the first begins with the last row of the one before. */
static int64_t
pages_of(const clo_lookup *lk, int64_t rows)
{
    int64_t page = lk->walk != NULL ? clo_cursor_page(lk->walk) : lk->table->page_max;

    if (lk->table->pager == CLO_PAGE_WHOLE || page < 2 || rows <= page)
        return 1;
    return 1 + (rows - page + page - 2) / (page - 1);
}

/* Pages of the table, -1: not known. */
static int64_t
pages(const clo_lookup *lk)
{
    int64_t total = lk->walk != NULL ? clo_cursor_total(lk->walk) : -1;

    if (lk->table->parent != NULL)
        return -1;
    if (lk->table->pager == CLO_PAGE_WHOLE)
        return 1;
    if (total < 0 && lk->n_quals == 0)
        total = (int64_t)clo_known_rows(lk->client, lk->table);
    return total < 0 ? -1 : pages_of(lk, total);
}

/* Pages that have been read. */
static int64_t
pages_seen(const clo_lookup *lk)
{
    if (lk->table->parent != NULL)
        return lk->gate.asked - lk->gate.in_flight;
    return lk->rows_seen > 0 ? pages_of(lk, lk->rows_seen) : 0;
}

bool
clo_lookup_serves_all(const clo_lookup *lk)
{
    return (lk->complete || lk->all_paid) && !clo_rowset_lacks(lk->rows, NULL);
}

bool
clo_lookup_knows(const clo_lookup *lk, const clo_value *key)
{
    if (lk->by_id)
        return clo_rowset_has(lk->rows, key);
    return (lk->complete || lk->all_paid) && !clo_rowset_lacks(lk->rows, key);
}

/* As many single reads as the table has pages at least are never too many; nor are any where the table does not serve. */
bool
clo_lookup_may_read(const clo_lookup *lk)
{
    int64_t all = pages(lk), seen = pages_seen(lk);

    return lk->off || lk->full || clo_rowset_lacks(lk->rows, NULL) ||
           lk->reads < (all > seen ? all : seen + 1);
}

/* A key that is read again, because its answer was not kept, counts again: without the table each would be read. */
static int64_t
keys_asked(const clo_lookup *lk)
{
    int64_t keys = (int64_t)lk->asked.n, read = lk->reads - lk->n_ahead;

    return keys > read ? keys : read;
}

/* Pages of a table of unknown size that are read before the keys of a list one by one. */
static int64_t
paid_by_list(const clo_lookup *lk)
{
    return pages(lk) < 0 ? lk->planned : 0;
}

/* How many pages may have been asked for by now; see above. Sets all_paid. */
static int64_t
allowance(clo_lookup *lk)
{
    int64_t keys = keys_asked(lk), all = pages(lk), paid = 2 * keys - lk->reads;

    if (keys < 2)
        return 0;
    if (all > 0 && (paid >= all || lk->planned >= all))
        lk->all_paid = true;
    if (lk->all_paid)
        return INT64_MAX;
    if (all < 0 && pages_seen(lk) == 0)
        return 1;
    if (all > 0 && (keys < all / 4 || keys <= lk->planned))
        return lk->gate.asked;
    if (pages_seen(lk) < paid_by_list(lk))
        return paid_by_list(lk);
    paid -= clo_fetch_waiting(lk->client, lk); /* the reads that the present keys may need */
    /* Keys that will be asked for next count as well; more of them in a long loop that has followed another
     * cursor so far. */
    paid += 2 * (keys >= LONG_LOOP && lk->n_ahead > 0 ? lk->credit : lk->n_ahead);
    return paid > lk->gate.asked ? paid : lk->gate.asked;
}

static void
begin_walk(clo_lookup *lk)
{
    clo_question q = {.table = lk->table,
                      .quals = lk->quals,
                      .n_quals = (size_t)lk->n_quals,
                      .needed = lk->fetch};
    clo_bind binds[CLO_MAX_SLOTS];
    clo_plan plan;
    clo_err err;
    int width = (int)clo_config_int(&lk->client->config, CLO_OPT_CONCURRENCY);

    lk->gate.width = width > 1 ? width - 1 : 1; /* one for the key that is waited for */
    lk->gate.limited = true;
    if (clo_plan_make(lk->client, &q, &plan, &err) == CLO_OK) {
        for (int i = 0; i < plan.n_slots; i++)
            binds[i] = (clo_bind){&lk->values[plan.slots[i].qual], 1};
        lk->walk = clo_cursor_open_raw(lk->client, &plan, binds, &lk->gate, &err);
    }
    if (lk->walk == NULL)
        lk->off = true;
}

/* What is known of the size says that hardly any rows will fit. */
static bool
too_large(const clo_lookup *lk)
{
    int64_t total = clo_cursor_total(lk->walk);
    int64_t max = clo_config_int(&lk->client->config, CLO_OPT_LOOKUP_BYTES);

    return total > 0 && lk->rows_seen > 0 && !lk->by_id && !clo_rowset_lacks(lk->rows, NULL) &&
           (double)clo_rowset_bytes(lk->rows) / (double)lk->rows_seen * (double)total >
               (double)max * (double)CLO_ROW_PARTS;
}

/* Takes in the rows that have arrived, and asks for the pages that are allowed. */
static void
read_on(clo_lookup *lk)
{
    clo_status st;
    clo_err err;

    do {
        st = clo_cursor_step(lk->walk, 0, &err);
        if (st == CLO_ROW && !keep_row(lk, clo_cursor_raw(lk->walk)))
            st = CLO_ERROR;
    } while (st == CLO_ROW);
    if (st == CLO_ERROR || (st == CLO_AGAIN && too_large(lk)))
        give_up(lk);
    if (st == CLO_DONE) {
        end_walk(lk);
        lk->complete = true;
    }
}

/* Lets the walk go as far as it can without waiting. */
static void
turn(clo_lookup *lk)
{
    if (lk->busy)
        return;
    if (lk->generation != clo_cache_generation(lk->client->cache))
        forget(lk);
    if (lk->off || lk->full || lk->complete)
        return;
    lk->busy = true;
    lk->gate.allowed = allowance(lk);
    if (lk->walk == NULL && lk->gate.allowed > 0)
        begin_walk(lk);
    while (lk->walk != NULL) {
        int64_t asked = lk->gate.asked, more;

        read_on(lk);
        more = lk->walk != NULL ? allowance(lk) : 0; /* the first page tells how many there are */
        /* A list that is asked for in another way, after it was refused, needs its first page twice. */
        if (lk->walk != NULL && lk->rows_seen == 0 && lk->table->parent == NULL &&
            lk->gate.in_flight == 0)
            more = lk->gate.asked + 1;
        if (more > lk->gate.allowed)
            lk->gate.allowed = more;
        else if (lk->gate.asked == asked)
            break;
    }
    lk->busy = false;
}

/* ---- what walk.c asks ----------------------------------------------------------------------- */

clo_rowset *
clo_lookup_whole(const clo_scan *s)
{
    for (clo_lookup *lk = s->client->lookups; lk != NULL; lk = lk->next)
        if (lk->table == s->table && lk->complete && lk->n_quals == 0 &&
            memcmp(&lk->fetch, &s->fetch, sizeof lk->fetch) == 0 &&
            !clo_rowset_lacks(lk->rows, NULL) &&
            lk->generation == clo_cache_generation(lk->client->cache))
            return clo_rowset_ref(lk->rows);
    return NULL;
}

/* ---- what fetch.c asks ---------------------------------------------------------------------- */

bool
clo_lookup_want(clo_lookup *lk, const clo_value *key, const clo_json *params)
{
    size_t len = key->len;
    const char *what = lk->varies ? clo_json_text(params, &len) : key->text;

    if (lk->generation != clo_cache_generation(lk->client->cache))
        forget(lk);
    for (int i = 0; i < lk->n_ahead; i++)
        if (lk->ring[i].len == key->len && memcmp(lk->ring[i].key, key->text, key->len) == 0)
            lk->ring[i].used = true;
    /* Where nothing is left to decide they only serve to read no key ahead twice. */
    if (clo_lookup_serves_all(lk) ||
        ((lk->complete || lk->off || lk->full) && lk->asked.n >= MAX_ASKED))
        return true;
    return what != NULL && clo_idset_add(&lk->asked, what, len) != CLO_IDSET_NOMEM;
}

clo_found
clo_lookup_find(clo_lookup *lk, const clo_value *key, clo_json **doc)
{
    clo_err ignored;

    turn(lk);
    *doc = NULL;
    if (lk->off)
        return CLO_FOUND_SEND;
    clo_err_clear(
        &ignored); /* a text of ours that does not parse: memory is short; send the read */
    if (lk->by_id)
        *doc = clo_rowset_object(lk->rows, key, lk->table->name, &ignored);
    else if (lk->complete && !clo_rowset_lacks(lk->rows, key)) /* `varies`: more than asked for */
        *doc = clo_rowset_list(lk->rows, key, !lk->varies, lk->table->name, &ignored);
    if (*doc != NULL)
        return CLO_FOUND_DOC;
    if (lk->complete || lk->walk == NULL || clo_rowset_lacks(lk->rows, key))
        return CLO_FOUND_SEND;
    if ((lk->all_paid || pages_seen(lk) == 0 || pages_seen(lk) < paid_by_list(lk) ||
         !clo_lookup_may_read(lk)) &&
        lk->gate.in_flight > 0)
        return CLO_FOUND_LATER; /* only ever for something that is under way */
    return CLO_FOUND_SEND;
}

void
clo_lookup_sent(clo_lookup *lk, const clo_json *params)
{
    const char *text = clo_json_text(params, NULL);

    lk->reads++;
    if (lk->params != NULL || text == NULL)
        return;
    lk->params = clo_strdup(text); /* without it nothing is read ahead */
}

void
clo_lookup_cost(clo_lookup *lk, clo_fetch_cost *cost)
{
    claim(lk);
    cost->attempts += lk->unclaimed.attempts;
    cost->bytes += lk->unclaimed.bytes;
    lk->unclaimed.attempts = 0;
    lk->unclaimed.bytes = 0;
}

void
clo_lookups_poll(clo_client *client)
{
    for (clo_lookup *lk = client->lookups; lk != NULL; lk = lk->next) {
        if (lk->walk != NULL)
            turn(lk);
        clo_ahead_poll(lk);
    }
}
