/*
 * The rows of one account.
 *
 * A row is about a hundred bytes whatever its object weighs: generated objects are recomputed from
 * (seed, table, number) when needed and only changed or created ones are kept as JSON. Rows are
 * appended and never moved, so row numbers are stable handles; the order array holds the live ones
 * in list order, which is what lets a test insert a row between two pages at a given position.
 *
 * Results of selections are cached by their text while nothing changes (ds->generation, and
 * ds->until for what the clock changes): walking 100,000 rows page by page would otherwise evaluate
 * the same filter for every page.
 *
 * Rejected: an SQL library underneath (the tests compare SQL results with this data, so it must
 * not share their engine), and keeping every object (several GiB at 100,000 leads).
 */
#include "standin.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const table_names[T_COUNT] = {
    [T_LEAD] = "leads",
    [T_CONTACT] = "contacts",
    [T_OPP] = "opportunities",
    [T_TASK] = "tasks",
    [T_ACTIVITY] = "activities",
    [T_COMMENT] = "comments",
    [T_THREAD] = "comment_threads",
    [T_PIPELINE] = "pipelines",
    [T_SEQUENCE] = "sequences",
    [T_SUB] = "sequence_subscriptions",
    [T_USER] = "users",
    [T_WEBHOOK] = "webhooks",
    [T_CF_LEAD] = "custom_fields_lead",
    [T_CF_CONTACT] = "custom_fields_contact",
    [T_CF_OPP] = "custom_fields_opportunity",
    [T_CF_SHARED] = "custom_fields_shared",
    [T_LSTATUS] = "lead_statuses",
    [T_OSTATUS] = "opportunity_statuses",
    [T_COTYPE] = "custom_object_types",
    [T_CUSTOBJ] = "custom_objects",
    [T_VIEW] = "smart_views",
    [T_EVENT] = "events",
    [T_JOB] = "jobs",
};

const char *
st_table_name(enum st_tab t)
{
    return table_names[t];
}

void
st_until(struct st_dataset *ds, int64_t at)
{
    if (at < ds->until)
        ds->until = at;
}

/* Whether the timestamps of a table come without an offset. */
bool
st_is_naive(enum st_tab t)
{
    return t == T_PIPELINE || t == T_SEQUENCE || t == T_SUB || t == T_WEBHOOK || t == T_EVENT ||
           t == T_COTYPE;
}

struct st_dataset *
st_dataset_new(uint64_t seed, uint32_t leads)
{
    struct st_dataset *ds = st_alloc(sizeof *ds);
    ds->seed = seed;
    ds->n_leads = leads;
    ds->outbox = json_object_new_array();
    st_generate(ds);
    ds->fresh = ds->generation;
    ds->search = st_alloc(sizeof *ds->search * (leads + 1));
    ds->n_search = leads;
    return ds;
}

static void
cached_clear(struct st_cached *c)
{
    free(c->key);
    free(c->rows);
    json_object_put(c->extra);
    memset(c, 0, sizeof *c);
}

void
st_dataset_free(struct st_dataset *ds)
{
    if (!ds)
        return;
    for (int t = 0; t < T_COUNT; t++) {
        struct st_table *tab = &ds->t[t];
        for (uint32_t i = 0; i < tab->n; i++)
            json_object_put(tab->rows[i].obj);
        free(tab->rows);
        free(tab->order);
        free(tab->slots);
        free(tab->first);
    }
    for (size_t i = 0; i < ST_LEN(ds->cache); i++)
        cached_clear(&ds->cache[i]);
    for (uint32_t i = 0; i < ds->n_search; i++)
        free(ds->search[i]);
    free(ds->search);
    json_object_put(ds->outbox);
    free(ds);
}

/* ---- index by id: open addressing, at most half full ---- */

static void
slot_insert(struct st_table *tab, uint32_t row)
{
    uint32_t mask = tab->n_slots - 1;
    uint32_t s = (uint32_t)st_hash(tab->rows[row].id) & mask;
    while (tab->slots[s] != ST_NONE)
        s = (s + 1) & mask;
    tab->slots[s] = row;
}

static void
slots_rebuild(struct st_table *tab)
{
    uint32_t want = 64;
    while (want < tab->n * 2 + 2)
        want *= 2;
    tab->n_slots = want;
    tab->slots = st_grow(tab->slots, sizeof *tab->slots * want);
    memset(tab->slots, 0xff, sizeof *tab->slots * want);
    for (uint32_t i = 0; i < tab->n; i++)
        slot_insert(tab, i);
}

void
st_index_done(struct st_dataset *ds, enum st_tab t)
{
    slots_rebuild(&ds->t[t]);
    ds->t[t].generated = ds->t[t].n;
}

uint32_t
st_find(struct st_dataset *ds, enum st_tab t, const char *id)
{
    struct st_table *tab = &ds->t[t];
    if (!id || !tab->n_slots)
        return ST_NONE;
    uint32_t mask = tab->n_slots - 1;
    for (uint32_t s = (uint32_t)st_hash(id) & mask; tab->slots[s] != ST_NONE; s = (s + 1) & mask)
        if (tab->rows[tab->slots[s]].live && strcmp(tab->rows[tab->slots[s]].id, id) == 0)
            return tab->slots[s];
    return ST_NONE;
}

static void
order_insert(struct st_table *tab, uint32_t row, uint32_t before)
{
    if (tab->n_live == tab->order_cap) {
        tab->order_cap = tab->order_cap ? tab->order_cap * 2 : 64;
        tab->order = st_grow(tab->order, sizeof *tab->order * tab->order_cap);
    }
    if (before > tab->n_live)
        before = tab->n_live;
    memmove(tab->order + before + 1, tab->order + before,
            sizeof *tab->order * (tab->n_live - before));
    tab->order[before] = row;
    tab->n_live++;
}

uint32_t
st_append_generated(struct st_dataset *ds, enum st_tab t, const struct st_row *row)
{
    struct st_table *tab = &ds->t[t];
    if (tab->n == tab->cap) {
        tab->cap = tab->cap ? tab->cap * 2 : 64;
        tab->rows = st_grow(tab->rows, sizeof *tab->rows * tab->cap);
    }
    uint32_t n = tab->n++;
    tab->rows[n] = *row;
    tab->rows[n].live = true;
    order_insert(tab, n, ST_NONE);
    return n;
}

static void
read_times(struct st_row *row, enum st_tab t)
{
    bool date_only;
    bool at = t == T_COMMENT || t == T_THREAD;
    const char *s = js_str(row->obj, at ? "created_at" : "date_created");
    if (!s || !st_time_parse(s, 0, &row->created, &date_only))
        row->created = st_now();
    s = js_str(row->obj, at ? "updated_at" : "date_updated");
    if (!s || !st_time_parse(s, 0, &row->updated, &date_only))
        row->updated = row->created;
}

uint32_t
st_append(struct st_dataset *ds, enum st_tab t, js *obj, uint32_t lead, uint32_t before)
{
    struct st_row row = {.obj = obj, .gen = ST_NONE, .lead = lead};
    snprintf(row.id, sizeof row.id, "%s", js_str(obj, "id") ? js_str(obj, "id") : "");
    read_times(&row, t);
    for (unsigned k = 0; t == T_ACTIVITY && k < A_COUNT; k++)
        if (js_str(obj, "_type") && strcmp(js_str(obj, "_type"), st_act_type((enum st_act)k)) == 0)
            row.kind = (uint8_t)k;
    uint32_t n = st_append_generated(ds, t, &row);
    struct st_table *tab = &ds->t[t];
    if (before < tab->n_live) {
        tab->n_live--;
        order_insert(tab, n, before);
    }
    if (tab->n * 2 > tab->n_slots)
        slots_rebuild(tab);
    else
        slot_insert(tab, n);
    ds->generation++;
    st_search_forget(ds, lead);
    return n;
}

void
st_remove(struct st_dataset *ds, enum st_tab t, uint32_t row)
{
    struct st_table *tab = &ds->t[t];
    if (!tab->rows[row].live)
        return;
    tab->rows[row].live = false;
    uint32_t i = 0;
    while (tab->order[i] != row)
        i++;
    memmove(tab->order + i, tab->order + i + 1, sizeof *tab->order * (tab->n_live - i - 1));
    tab->n_live--;
    ds->generation++;
    st_search_forget(ds, tab->rows[row].lead);
}

js *
st_stored(struct st_dataset *ds, enum st_tab t, const struct st_row *row)
{
    return row->obj ? js_copy(row->obj) : st_gen_object(ds, t, row);
}

js *
st_edit(struct st_dataset *ds, enum st_tab t, uint32_t row)
{
    struct st_row *r = &ds->t[t].rows[row];
    if (!r->obj)
        r->obj = st_gen_object(ds, t, r);
    return r->obj;
}

void
st_touch(struct st_dataset *ds, enum st_tab t, uint32_t row)
{
    struct st_row *r = &ds->t[t].rows[row];
    if (r->obj)
        read_times(r, t);
    ds->generation++;
    st_search_forget(ds, t == T_LEAD ? row : r->lead);
}

uint32_t
st_children(struct st_dataset *ds, enum st_tab t, uint32_t lead, uint32_t **rows)
{
    struct st_table *tab = &ds->t[t];
    uint32_t n = 0, cap = 8, from = tab->generated, to = tab->generated;
    *rows = st_alloc(sizeof **rows * cap);
    if (!tab->first || tab->moved)
        from = 0;
    else if (lead < ds->n_leads) {
        from = tab->first[lead];
        to = tab->first[lead + 1];
    }
    for (uint32_t i = from; i < tab->n; i++) {
        if (i == to && to < tab->generated)
            i = tab->generated; /* on to the rows added since */
        if (i >= tab->n)
            break;
        if (!tab->rows[i].live || tab->rows[i].lead != lead)
            continue;
        if (n == cap)
            *rows = st_grow(*rows, sizeof **rows * (cap *= 2));
        (*rows)[n++] = i;
    }
    return n;
}

void
st_new_id(struct st_dataset *ds, const char *prefix, int len, char out[56])
{
    st_id(out, prefix, len, st_mix(ds->seed ^ UINT64_C(0x6e657720)) ^ st_mix(++ds->serial));
}

js *
st_row_obj_ref(struct st_dataset *ds, enum st_tab t, const char *id)
{
    uint32_t row = st_find(ds, t, id);
    return row == ST_NONE ? NULL : ds->t[t].rows[row].obj;
}

/* ---- cached selections ---- */

struct st_cached *
st_cache_find(struct st_dataset *ds, const char *key)
{
    for (size_t i = 0; i < ST_LEN(ds->cache); i++) {
        struct st_cached *c = &ds->cache[i];
        if (c->key && c->generation == ds->generation && strcmp(c->key, key) == 0 &&
            c->until > st_now()) {
            c->used = ++ds->cache_clock;
            return c;
        }
    }
    return NULL;
}

struct st_cached *
st_cache_add(struct st_dataset *ds, const char *key, uint32_t *rows, uint32_t n)
{
    struct st_cached *oldest = &ds->cache[0];
    for (size_t i = 0; i < ST_LEN(ds->cache); i++)
        if (ds->cache[i].used < oldest->used)
            oldest = &ds->cache[i];
    cached_clear(oldest);
    oldest->key = st_dup(key);
    oldest->rows = rows;
    oldest->n = n;
    oldest->generation = ds->generation;
    oldest->until = ds->until;
    oldest->used = ++ds->cache_clock;
    return oldest;
}

void
st_search_forget(struct st_dataset *ds, uint32_t lead)
{
    if (lead < ds->n_search && ds->search[lead]) {
        free(ds->search[lead]);
        ds->search[lead] = NULL;
    }
}
