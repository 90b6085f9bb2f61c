/*
 * rowset.c - rows of one table, found by a key, within a bound of memory.
 *
 * A row is kept as its JSON text, about a fifth of what it takes when parsed. The key is a part of that text
 * nearly always (it is a field of the row), so it is not stored a second time: a row remembers where in its
 * text the key stands, and appends a copy only where JSON wrote it in another way.
 *
 *      rows      in the order of the table
 *      buckets   by hash of the key; a chain runs from the newest row to the oldest
 *      parts     the keys fall into PARTS parts by their hash, and the texts of each part have an arena of their own
 *
 * When the bound is reached there are two ways on. Rows that are looked up by id are worth something one by
 * one: the set is full, and what is in it stays. The list of a key is worth nothing without its last row,
 * so there a part is given up, all its keys at once, and what is left is complete for the keys that
 * remain. With room for a share f of the table, f of its keys are answered from here, less one part at most.
 *
 * Invariants: a row is in the set if and only if its part is; a row without a key is in the last part, which
 * goes first, and in no bucket; bytes counts texts, rows and buckets.
 *
 * Ownership: reference-counted, because a scan may go on reading a set that its lookup has given up (after a
 * write). Whoever adds is the only one who holds it.
 *
 * Rejected: halving the keys each time (half of the memory lies idle); copying what stays to
 * a new arena (takes half as much again at the worst moment); a file on disk (customer data outside of the database).
 */
#include "lookup.h"

#include <string.h>

enum { PARTS = CLO_ROW_PARTS, PART_SHIFT = 60 }; /* four bits of the hash */

#define NO_ROW UINT32_MAX
#define NO_KEY UINT32_MAX

typedef struct row {
    const char *text;
    uint32_t len;
    uint32_t hash;
    uint32_t key_at, key_len; /* in the text; NO_KEY: none */
    uint32_t next;            /* same bucket, older */
    uint32_t part;
} row;

struct clo_rowset {
    long refs;
    row *rows;
    size_t n, cap, bytes;
    uint32_t *buckets;
    size_t n_buckets;
    uint32_t parts; /* that are kept: those below */
    clo_arena *arenas[PARTS];
    size_t part_bytes[PARTS];
};

clo_rowset *
clo_rowset_new(void)
{
    clo_rowset *set = clo_calloc(1, sizeof *set);

    if (set == NULL)
        return NULL;
    set->refs = 1;
    set->parts = PARTS;
    return set;
}

clo_rowset *
clo_rowset_ref(clo_rowset *set)
{
    if (set != NULL)
        set->refs++;
    return set;
}

void
clo_rowset_unref(clo_rowset *set)
{
    if (set == NULL || --set->refs > 0)
        return;
    for (int i = 0; i < PARTS; i++)
        clo_arena_free(set->arenas[i]);
    clo_free(set->rows);
    clo_free(set->buckets);
    clo_free(set);
}

size_t
clo_rowset_bytes(const clo_rowset *set)
{
    return set != NULL ? set->bytes : 0;
}

/* ---- by key --------------------------------------------------------------------------------- */

/* Other bits than the bucket's, and of the whole hash: FNV hardly moves its upper ones with the end of a key. */
static uint32_t
part_of(uint64_t hash)
{
    return (uint32_t)(hash * UINT64_C(0x9E3779B97F4A7C15) >> PART_SHIFT);
}

static void
put_bucket(clo_rowset *set, uint32_t i)
{
    uint32_t *head;

    if (set->rows[i].key_len == NO_KEY)
        return;
    head = &set->buckets[set->rows[i].hash & (set->n_buckets - 1)];
    set->rows[i].next = *head;
    *head = i;
}

static void
fill_buckets(clo_rowset *set)
{
    if (set->n_buckets > 0)
        memset(set->buckets, 0xff, set->n_buckets * sizeof *set->buckets); /* NO_ROW */
    for (uint32_t i = 0; i < set->n; i++)
        put_bucket(set, i);
}

static bool
grow_buckets(clo_rowset *set)
{
    size_t n = set->n_buckets > 0 ? set->n_buckets * 2 : 256;
    uint32_t *buckets;

    if (set->n < set->n_buckets)
        return true;
    buckets = n < NO_ROW ? clo_calloc(n, sizeof *buckets) : NULL;
    if (buckets == NULL)
        return false;
    clo_free(set->buckets);
    set->buckets = buckets;
    set->bytes += (n - set->n_buckets) * sizeof *buckets;
    set->n_buckets = n;
    fill_buckets(set);
    return true;
}

static bool
is_key(const row *r, const clo_value *key)
{
    return r->key_len == key->len && memcmp(r->text + r->key_at, key->text, key->len) == 0;
}

/* The newest row of this key at or behind `i` in its chain. */
static uint32_t
skip_to(const clo_rowset *set, uint32_t i, const clo_value *key)
{
    while (i != NO_ROW && !is_key(&set->rows[i], key))
        i = set->rows[i].next;
    return i;
}

static uint32_t
first_row(const clo_rowset *set, const clo_value *key)
{
    if (set == NULL || set->n_buckets == 0)
        return NO_ROW;
    return skip_to(set, set->buckets[clo_hash(key->text, key->len) & (set->n_buckets - 1)], key);
}

bool
clo_rowset_lacks(const clo_rowset *set, const clo_value *key)
{
    if (set == NULL || set->parts == PARTS)
        return false;
    return key == NULL || part_of(clo_hash(key->text, key->len)) >= set->parts;
}

bool
clo_rowset_has(const clo_rowset *set, const clo_value *key)
{
    return first_row(set, key) != NO_ROW;
}

/* ---- adding --------------------------------------------------------------------------------- */

/* Gives up the last part. */
static void
drop_part(clo_rowset *set)
{
    uint32_t part = --set->parts;
    size_t n = 0;

    for (size_t i = 0; i < set->n; i++)
        if (set->rows[i].part != part)
            set->rows[n++] = set->rows[i];
    set->bytes -= set->part_bytes[part] + (set->n - n) * sizeof *set->rows;
    set->n = n;
    clo_arena_free(set->arenas[part]);
    set->arenas[part] = NULL;
    set->part_bytes[part] = 0;
    fill_buckets(set);
}

/* Where the text of a row holds the key; its length when it does not. */
static size_t
find_key(const clo_value *key, const char *text, size_t len)
{
    const char *at = memmem(text, len, key->text, key->len);

    return at != NULL ? (size_t)(at - text) : len;
}

static clo_kept
append(clo_rowset *set, row r, const clo_value *key, const char *text)
{
    size_t need = r.len + (r.key_at == r.len ? key->len : 0);
    clo_arena **arena = &set->arenas[r.part];
    row *rows;
    char *copy;

    if (*arena == NULL)
        *arena = clo_arena_new();
    rows = *arena != NULL ? clo_grow(set->rows, &set->cap, set->n + 1, sizeof *rows) : NULL;
    if (rows == NULL)
        return CLO_KEPT_NOMEM;
    set->rows = rows;
    copy = grow_buckets(set) ? clo_arena_alloc(*arena, need) : NULL;
    if (copy == NULL)
        return CLO_KEPT_NOMEM;
    memcpy(copy, text, r.len);
    if (need > r.len)
        memcpy(copy + r.len, key->text, key->len);
    r.text = copy;
    set->rows[set->n] = r;
    put_bucket(set, (uint32_t)set->n++);
    set->part_bytes[r.part] += need;
    set->bytes += need + sizeof r;
    return CLO_KEPT;
}

clo_kept
clo_rowset_add(clo_rowset *set, const clo_value *key, const char *text, size_t len, size_t room,
               bool parted)
{
    row r = {.key_at = NO_KEY, .key_len = NO_KEY, .part = PARTS - 1};
    size_t need = len + sizeof r;

    if (len >= NO_KEY / 4 || (key->text != NULL && key->len >= NO_KEY / 4))
        return CLO_KEPT_FULL;
    r.len = (uint32_t)len;
    if (key->text != NULL) {
        uint64_t hash = clo_hash(key->text, key->len);

        r.hash = (uint32_t)hash;
        r.part = part_of(hash);
        r.key_at = (uint32_t)find_key(key, text, len);
        r.key_len = (uint32_t)key->len;
        need += r.key_at == r.len ? key->len : 0;
    }
    while (r.part < set->parts && (need > room || set->bytes > room - need)) {
        if (!parted || set->parts == 1)
            return CLO_KEPT_FULL;
        drop_part(set);
    }
    return r.part < set->parts ? append(set, r, key, text) : CLO_KEPT_NOT;
}

/* ---- answers -------------------------------------------------------------------------------- */

clo_json *
clo_rowset_object(const clo_rowset *set, const clo_value *key, const char *name, clo_err *err)
{
    uint32_t i = first_row(set, key);

    return i != NO_ROW ? clo_json_parse(set->rows[i].text, set->rows[i].len, name, err) : NULL;
}

static void
begin_list(clo_buf *b, bool more)
{
    clo_buf_init(b, (size_t)1 << 30);
    clo_buf_fmt(b, "{\"has_more\":%s,\"data\":[", more ? "true" : "false");
}

static void
put_row(clo_buf *b, const row *r, bool first)
{
    clo_buf_str(b, first ? "" : ",");
    clo_buf_add(b, r->text, r->len);
}

static clo_json *
end_list(clo_buf *b, const char *name, clo_err *err)
{
    clo_json *doc = NULL;

    clo_buf_str(b, "}");
    if (b->error == CLO_E_NONE)
        doc = clo_json_parse(b->data, b->len, name, err);
    else
        clo_err_nomem(err);
    clo_buf_free(b);
    return doc;
}

/* The rows of a key in the order of the table: *n of them. Caller frees. */
static uint32_t *
rows_of(const clo_rowset *set, const clo_value *key, size_t *n)
{
    uint32_t first = first_row(set, key), *found;
    size_t at = 0;

    for (uint32_t i = first; i != NO_ROW; i = skip_to(set, set->rows[i].next, key))
        at++;
    *n = at;
    found = clo_calloc(at > 0 ? at : 1, sizeof *found);
    for (uint32_t i = first; found != NULL && i != NO_ROW; i = skip_to(set, set->rows[i].next, key))
        found[--at] = i;
    return found;
}

clo_json *
clo_rowset_list(const clo_rowset *set, const clo_value *key, bool total, const char *name,
                clo_err *err)
{
    size_t n = 0;
    uint32_t *found = rows_of(set, key, &n);
    clo_buf b;

    if (found == NULL) {
        clo_err_nomem(err);
        return NULL;
    }
    begin_list(&b, false);
    for (size_t i = 0; i < n; i++)
        put_row(&b, &set->rows[found[i]], i == 0);
    clo_free(found);
    clo_buf_str(&b, "]");
    if (total)
        clo_buf_fmt(&b, ",\"total_results\":%zu", n);
    return end_list(&b, name, err);
}

clo_json *
clo_rowset_page(const clo_rowset *set, size_t *at, size_t n, const char *name, clo_err *err)
{
    size_t first = *at;
    clo_buf b;

    *at = set->n - first > n ? first + n : set->n;
    begin_list(&b, *at < set->n);
    for (size_t i = first; i < *at; i++)
        put_row(&b, &set->rows[i], i == first);
    clo_buf_str(&b, "]");
    return end_list(&b, name, err);
}
