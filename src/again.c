/*
 * again.c - tables that one statement reads whole more than once.
 *
 * A loop whose inner side has no condition that the service knows (local_names LEFT JOIN close_contacts c ON c.name =
 * local_names.name) scans the whole table for each outer row. As long as its pages fit in the cache that costs
 * nothing after the first time. Beyond that a cache is of no use, since each page has gone by the time that
 * it comes round again, and N rows outside would cost N times the pages. So:
 *
 *      scan 1      is read as ever: most tables are read once
 *      scan 2      when its first page is not in the cache any more, its rows are kept (rowset.c)
 *      scan 3 ...  read what was kept (walk.c), and ask for nothing
 *
 * A second scan is the sign of a loop when the first one has been closed, as hosts do when they rescan, or has not come to its
 * end (the outer side of a table joined with itself). Two that stand side by side, as those of a hash join do, are no loop, and
 * keeping rows would be in vain.
 *
 * which is twice the calls of the best plan at most, whatever N. Only scans without any condition, order or offset are
 * counted, by table and columns. A table that does not fit in lookup_bytes is not kept: a scan hands out its rows
 * in the order of the table, so a part of it would not save a page in the middle.
 *
 * Rows are kept only when the scan that brought them came to its end, and nothing was written meanwhile. Which
 * rows those are is walk.c's business; it has made sure that none slipped through.
 *
 * Ownership: one clo_again for each table of a statement, owned by the client, gone with the statement; that of a
 * dynamic table goes with its last scan. The rows are shared with the scans that read them.
 *
 * Rejected: keeping the first scan (every statement would pay in memory for what few need); an index on the column that is
 * compared (the host does not tell which one it is).
 */
#include "lookup.h"

#include <string.h>

struct clo_again {
    clo_again *next;
    const clo_table *table;
    clo_colset fetch;
    unsigned generation; /* of the cache when `rows` were begun */
    long users;          /* scans that are open */
    long running;        /* ... and have not come to their end */
    bool closed;         /* a scan has been */
    const clo_scan *by;  /* the one that brings the rows, NULL: none */
    clo_rowset *rows;
    bool complete, off;
};

static void
forget(clo_again *a)
{
    clo_rowset_unref(a->rows);
    a->rows = NULL;
    a->by = NULL;
    a->complete = false;
}

static void
free_first(clo_again **at)
{
    clo_again *a = *at;

    *at = a->next;
    forget(a);
    clo_free(a);
}

static clo_again *
find(const clo_scan *s)
{
    for (clo_again *a = s->client->agains; a != NULL; a = a->next)
        if (a->table == s->table && memcmp(&a->fetch, &s->fetch, sizeof a->fetch) == 0)
            return a;
    return NULL;
}

static clo_again *
make(clo_scan *s)
{
    clo_again *a = clo_calloc(1, sizeof *a);

    if (a == NULL)
        return NULL; /* then nothing is kept */
    a->table = s->table;
    a->fetch = s->fetch;
    a->next = s->client->agains;
    s->client->agains = a;
    return a;
}

bool
clo_scan_is_whole(const clo_scan *s)
{
    return s->n_conds == 0 && !s->multi && s->plan->access == CLO_BY_LIST && s->plan->order < 0 &&
           s->base == 0 && clo_plan_each(s->plan) == 0 && !clo_plan_walks_parent(s->plan) &&
           s->table->pager == CLO_PAGE_OFFSET &&
           clo_config_int(&s->client->config, CLO_OPT_LOOKAHEAD);
}

void
clo_again_begin(clo_scan *s)
{
    clo_again *a = clo_scan_is_whole(s) ? find(s) : NULL;

    s->again = NULL;
    if (a == NULL && clo_scan_is_whole(s))
        a = make(s);
    if (a == NULL)
        return;
    s->again = a;
    a->users++;
    a->running++;
}

void
clo_again_first(clo_scan *s, bool cached)
{
    clo_again *a = s->again;
    unsigned now = clo_cache_generation(s->client->cache);

    if (a == NULL || a->off || a->by != NULL || (a->complete && a->generation == now) || cached ||
        (!a->closed && a->running < 2))
        return;
    forget(a);
    a->rows = clo_rowset_new();
    a->by = a->rows != NULL ? s : NULL;
    a->generation = now;
}

void
clo_again_row(clo_scan *s, const clo_json *row)
{
    clo_value no_key = clo_null();
    const char *text;
    size_t max, len = 0;

    if (s->again == NULL || s->again->by != s)
        return;
    max = (size_t)clo_config_int(&s->client->config, CLO_OPT_LOOKUP_BYTES);
    text = clo_json_text(row, &len);
    if (text != NULL && clo_rowset_add(s->again->rows, &no_key, text, len, max, false) == CLO_KEPT)
        return;
    s->again->off = true;
    forget(s->again);
}

void
clo_again_done(clo_scan *s)
{
    clo_again *a = s->again;

    if (a == NULL || s->all_read)
        return;
    s->all_read = true;
    a->running--;
    if (a->by != s)
        return;
    a->by = NULL;
    a->complete = a->generation == clo_cache_generation(s->client->cache);
    if (!a->complete)
        forget(a);
}

void
clo_again_stop(clo_scan *s)
{
    if (s->again != NULL && s->again->by == s)
        forget(s->again);
}

clo_rowset *
clo_again_rows(const clo_scan *s)
{
    const clo_again *a = s->again;

    return a != NULL && a->complete && a->generation == clo_cache_generation(s->client->cache)
               ? clo_rowset_ref(a->rows)
               : NULL;
}

void
clo_again_leave(clo_scan *s)
{
    clo_again *a = s->again, **at;

    if (a == NULL)
        return;
    clo_again_stop(s);
    s->again = NULL;
    a->running -= !s->all_read;
    a->closed = true;
    if (--a->users > 0 || clo_table_find(a->table->name) == a->table)
        return;
    at = &s->client->agains;
    while (*at != a)
        at = &(*at)->next;
    free_first(at);
}

void
clo_agains_end(clo_client *client)
{
    while (client->agains != NULL)
        free_first(&client->agains);
}
