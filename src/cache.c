/*
 * cache.c - answers of reads, by tool and parameters.
 *
 * A hash map whose entries are also threaded on a list by last use; when the bytes are more than
 * allowed, the end of the list goes. Small answers are shared, not copied: an entry and each reader hold a
 * reference to the same parsed document, so an entry may vanish while a cursor still reads from it. Large
 * ones are kept as the text that came, because parsed they take about seven times as much; who asks
 * for one parses it again, which costs a thousandth of asking the service.
 * An answer that alone exceeds the limit is not kept, and running out of memory only means that it is
 * not kept either: a cache never turns a working statement into a failing one.
 *
 * Age is checked on the way out instead of by a sweep: entries that nobody asks for again are pushed
 * out by use. Invalidating single entries after a write was rejected: a write may change any list,
 * search result or count, so clo_cache_clear forgets everything.
 */
#include "clo_int.h"

#include <string.h>

typedef struct entry {
    struct entry *chain;         /* same bucket */
    struct entry *newer, *older; /* by last use */
    uint64_t hash;
    clo_json *doc;
    const char *text; /* behind the key; NULL: it is a document */
    size_t text_len, cost;
    int64_t at_ms;
    size_t len;
    char key[];
} entry;

struct clo_cache {
    entry **buckets;
    size_t n_buckets, count; /* n_buckets: a power of two, 0 before the first entry */
    entry *newest, *oldest;
    size_t bytes;
    unsigned generation;
};

uint64_t
clo_hash(const char *key, size_t len)
{
    uint64_t h = UINT64_C(14695981039346656037); /* FNV-1a; keys are not chosen by strangers */
    for (size_t i = 0; i < len; i++)
        h = (h ^ (unsigned char)key[i]) * UINT64_C(1099511628211);
    return h ^ (h >> 32);
}

clo_cache *
clo_cache_new(void)
{
    return clo_calloc(1, sizeof(clo_cache));
}

static void
unthread(clo_cache *c, entry *e)
{
    if (e->newer)
        e->newer->older = e->older;
    else
        c->newest = e->older;
    if (e->older)
        e->older->newer = e->newer;
    else
        c->oldest = e->newer;
    e->newer = e->older = NULL;
}

static void
thread_first(clo_cache *c, entry *e)
{
    e->older = c->newest;
    if (c->newest)
        c->newest->newer = e;
    c->newest = e;
    if (!c->oldest)
        c->oldest = e;
}

static entry **
find(clo_cache *c, uint64_t hash, const char *key, size_t len)
{
    entry **at = &c->buckets[hash & (c->n_buckets - 1)];
    while (*at && !((*at)->hash == hash && (*at)->len == len && memcmp((*at)->key, key, len) == 0))
        at = &(*at)->chain;
    return at;
}

static void
drop(clo_cache *c, entry **at)
{
    entry *e = *at;
    if (!e)
        return; /* never: what is threaded is chained as well */
    *at = e->chain;
    unthread(c, e);
    c->bytes -= e->cost;
    c->count--;
    clo_json_free(e->doc);
    clo_free(e);
}

void
clo_cache_clear(clo_cache *c)
{
    c->generation++;
    while (c->oldest)
        drop(c, find(c, c->oldest->hash, c->oldest->key, c->oldest->len));
}

unsigned
clo_cache_generation(const clo_cache *c)
{
    return c->generation;
}

void
clo_cache_free(clo_cache *c)
{
    if (!c)
        return;
    clo_cache_clear(c);
    clo_free(c->buckets);
    clo_free(c);
}

/* The entry, as the one used last; NULL when there is none of that age. */
static entry *
use(clo_cache *c, const char *key, size_t len, int64_t now_ms, int64_t ttl_ms)
{
    entry *e;
    if (c->count == 0)
        return NULL;
    e = *find(c, clo_hash(key, len), key, len);
    if (!e || now_ms - e->at_ms > ttl_ms)
        return NULL; /* an old one stays: another reader may accept an older answer */
    unthread(c, e);
    thread_first(c, e);
    return e;
}

clo_json *
clo_cache_get(clo_cache *c, const char *key, size_t len, int64_t now_ms, int64_t ttl_ms)
{
    entry *e = use(c, key, len, now_ms, ttl_ms);
    return e && !e->text ? clo_json_ref(e->doc) : NULL;
}

const char *
clo_cache_text(clo_cache *c, const char *key, size_t len, int64_t now_ms, int64_t ttl_ms,
               size_t *text_len)
{
    entry *e = use(c, key, len, now_ms, ttl_ms);
    if (!e || !e->text)
        return NULL;
    *text_len = e->text_len;
    return e->text;
}

/* Room for one more; false when there is no memory. */
static bool
grow(clo_cache *c)
{
    size_t n = c->n_buckets ? c->n_buckets * 2 : 64;
    entry **buckets;
    if (c->count < c->n_buckets)
        return true;
    buckets = clo_calloc(n, sizeof(entry *));
    if (!buckets)
        return c->n_buckets > 0; /* longer chains will do */
    for (entry *e = c->newest; e; e = e->older) {
        entry **at = &buckets[e->hash & (n - 1)];
        e->chain = *at;
        *at = e;
    }
    clo_free(c->buckets);
    c->buckets = buckets;
    c->n_buckets = n;
    return true;
}

/* An entry with room for a text behind its key, in the tables; NULL when it is not to be kept. */
static entry *
add(clo_cache *c, const char *key, size_t len, size_t text_len, size_t cost, size_t max_bytes,
    int64_t now_ms)
{
    uint64_t hash = clo_hash(key, len);
    size_t own = sizeof(entry) + len + text_len;
    entry **at, *e;
    if (c->count && *(at = find(c, hash, key, len)))
        drop(c, at);
    if (cost > max_bytes || max_bytes - cost < own || !grow(c))
        return NULL;
    e = clo_malloc(own);
    if (!e)
        return NULL;
    *e = (entry){.hash = hash, .cost = cost + own, .at_ms = now_ms, .len = len};
    memcpy(e->key, key, len);
    at = &c->buckets[hash & (c->n_buckets - 1)];
    e->chain = *at;
    *at = e;
    thread_first(c, e);
    c->bytes += e->cost;
    c->count++;
    while (c->oldest && c->bytes > max_bytes)
        drop(c, find(c, c->oldest->hash, c->oldest->key, c->oldest->len));
    return e; /* never dropped above: it is the newest, and fits */
}

void
clo_cache_put(clo_cache *c, const char *key, size_t len, clo_json *doc, size_t doc_bytes,
              size_t max_bytes, int64_t now_ms)
{
    entry *e = add(c, key, len, 0, doc_bytes, max_bytes, now_ms);
    if (e)
        e->doc = clo_json_ref(doc);
}

void
clo_cache_put_text(clo_cache *c, const char *key, size_t len, const char *text, size_t text_len,
                   size_t max_bytes, int64_t now_ms)
{
    entry *e = text_len <= max_bytes ? add(c, key, len, text_len, 0, max_bytes, now_ms) : NULL;
    if (!e)
        return;
    memcpy(e->key + len, text, text_len);
    e->text = e->key + len;
    e->text_len = text_len;
}
