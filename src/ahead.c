/*
 * ahead.c - reads of single keys before they are asked for.
 *
 * When the key that is asked for is the value of the present row of another open cursor, that cursor drives the
 * loop, and its buffered rows hold the keys that come next. A few are read at the same time. How many
 * doubles as they are used and halves as they are not (the host drops rows by conditions that we do not
 * see, or has enough), so the waste stays below what was used.
 *
 * A key is not read ahead when the table answers it (lookup.c), when it has been asked for, or when its text could not
 * be an id. What was read is kept by the cache, where the cursor that asks finds it; a key in the ring only
 * stands for the read and for what becomes of it.
 *
 * Ownership: the ring holds a reference on each fetch; an error stays in it for who asks for the key.
 *
 * Rejected: a table of which column refers to which table (comparing values needs none, and works for custom
 * fields and views); looking further than the page that the driving cursor stands in (its rows are not checked yet).
 */
#include "lookup.h"

#include <string.h>

enum { LOOK_ROWS = 256, SMALL_CACHE = 65536 };

static void
drop_ahead(clo_lookup *lk, int i)
{
    clo_fetch_free(lk->ring[i].fetch);
    clo_free(lk->ring[i].key);
    lk->n_ahead--;
    memmove(&lk->ring[i], &lk->ring[i + 1], (size_t)(lk->n_ahead - i) * sizeof lk->ring[0]);
}

/* Reads one more key; false when it can't, for whatever reason. */
static bool
read_ahead(clo_lookup *lk, const char *key, size_t len)
{
    const clo_tool *tool = clo_tool_find(lk->by_id ? lk->table->get : lk->table->list);
    const clo_filter *f = clo_table_filter(lk->table, lk->column, CLO_OP_EQ);
    const char *name = lk->by_id ? lk->table->get_param : f != NULL ? f->param : NULL;
    clo_err err;
    clo_json *params = NULL;
    clo_ahead *a = &lk->ring[lk->n_ahead];

    clo_err_clear(&err);
    if (tool != NULL && name != NULL && lk->params != NULL)
        params = clo_json_parse(lk->params, strlen(lk->params), "params", &err);
    if (params == NULL)
        return false;
    *a = (clo_ahead){.key = clo_strndup(key, len), .len = len, .seen = true};
    if (a->key != NULL && clo_json_put_str(params, name, key, len)) {
        a->fetch = clo_fetch_start(lk->client, tool->name, params, false, &err);
        params = NULL;
    }
    clo_json_free(params);
    if (a->fetch == NULL) {
        clo_free(a->key);
        return false;
    }
    lk->n_ahead++;
    lk->reads++;
    return true;
}

/* Looks for the row that the loop stands in, and at those that come after it. */
static void
follow(clo_lookup *lk, const clo_json *rows, size_t at, const clo_column *c, const clo_value *key)
{
    size_t len = 0, n = clo_json_len(rows);
    const char *path = clo_column_path(c);
    const char *s = clo_json_str(clo_json_get(clo_json_at(rows, at), path), &len);

    if (s == NULL || len != key->len || memcmp(s, key->text, len) != 0)
        return;
    for (size_t i = at + 1; i < n && i <= at + LOOK_ROWS; i++) {
        clo_value v;
        int k = 0;

        s = clo_json_str(clo_json_get(clo_json_at(rows, i), path), &len);
        if (s == NULL || len == 0 || strlen(s) != len || strpbrk(s, "/?#%\\ ") != NULL)
            continue;
        while (k < lk->n_ahead && (lk->ring[k].len != len || memcmp(lk->ring[k].key, s, len) != 0))
            k++;
        v = clo_text(s, len);
        if (k < lk->n_ahead)
            lk->ring[k].seen = true;
        else if (lk->n_ahead < lk->credit && clo_lookup_may_read(lk) &&
                 !clo_idset_has(&lk->asked, s, len) && !clo_lookup_knows(lk, &v) &&
                 !read_ahead(lk, s, len))
            return;
    }
}

/* Settles what became of the keys read ahead: used, or passed by. */
static void
settle(clo_lookup *lk, int width)
{
    for (int i = lk->n_ahead - 1; i >= 0; i--) {
        bool used = lk->ring[i].used;

        if (!used && lk->ring[i].seen)
            continue;
        lk->credit = used ? lk->credit * 2 : lk->credit / 2;
        if (lk->credit > width)
            lk->credit = width;
        drop_ahead(lk, i);
    }
}

void
clo_lookup_ahead(clo_lookup *lk, const clo_value *key)
{
    int width = (int)clo_config_int(&lk->client->config, CLO_OPT_CONCURRENCY);

    if (width > CLO_MAX_AHEAD)
        width = CLO_MAX_AHEAD;
    settle(lk, width); /* those that were used */
    if (clo_lookup_serves_all(lk) || lk->varies || lk->params == NULL || lk->credit == 0 ||
        width < 2 || clo_config_int(&lk->client->config, CLO_OPT_CACHE_BYTES) < SMALL_CACHE)
        return;
    for (int i = 0; i < lk->n_ahead; i++)
        lk->ring[i].seen = false;
    for (const clo_cursor *c = lk->client->cursors; c != NULL; c = clo_cursor_next_open(c)) {
        const clo_plan *plan;
        size_t at = 0;
        const clo_json *rows = clo_cursor_ahead(c, &at, &plan);

        for (int i = 0; rows != NULL && (size_t)i < plan->table->n_columns; i++)
            if (plan->table->columns[i].type == CLO_T_TEXT && clo_colset_has(&plan->needed, i))
                follow(lk, rows, at, &plan->table->columns[i], key);
    }
    settle(lk, width); /* those that were passed by */
}

void
clo_ahead_drop_all(clo_lookup *lk)
{
    while (lk->n_ahead > 0)
        drop_ahead(lk, lk->n_ahead - 1);
}

void
clo_ahead_poll(clo_lookup *lk)
{
    for (int i = 0; i < lk->n_ahead; i++) {
        clo_err ignored;

        clo_err_clear(&ignored); /* who asks for the key meets the error itself */
        (void)clo_fetch_poll(lk->ring[i].fetch, &ignored);
    }
}
