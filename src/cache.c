/*
 * cache.c - answers of reads, by tool and parameters.
 *
 * A hash map whose entries are also threaded on a list by last use; when the bytes are more than
 * allowed, the end of the list goes. Answers are shared, not copied: an entry and each reader hold a
 * reference to the same parsed document, so an entry may vanish while a cursor still reads from it.
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
    size_t cost;
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

static uint64_t
hash_of(const char *key, size_t len)
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

clo_json *
clo_cache_get(clo_cache *c, const char *key, size_t len, int64_t now_ms, int64_t ttl_ms)
{
    entry **at, *e;
    if (c->count == 0)
        return NULL;
    at = find(c, hash_of(key, len), key, len);
    e = *at;
    if (!e || now_ms - e->at_ms > ttl_ms)
        return NULL; /* an old one stays: another reader may accept an older answer */
    unthread(c, e);
    thread_first(c, e);
    return clo_json_ref(e->doc);
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

void
clo_cache_put(clo_cache *c, const char *key, size_t len, clo_json *doc, size_t doc_bytes,
              size_t max_bytes, int64_t now_ms)
{
    uint64_t hash = hash_of(key, len);
    size_t cost = sizeof(entry) + len;
    entry **at, *e;
    if (c->count && *(at = find(c, hash, key, len)))
        drop(c, at);
    if (doc_bytes > max_bytes || max_bytes - doc_bytes < cost || !grow(c))
        return;
    cost += doc_bytes;
    e = clo_malloc(sizeof(entry) + len);
    if (!e)
        return;
    *e = (entry){.hash = hash, .doc = clo_json_ref(doc), .cost = cost, .at_ms = now_ms, .len = len};
    memcpy(e->key, key, len);
    at = &c->buckets[hash & (c->n_buckets - 1)];
    e->chain = *at;
    *at = e;
    thread_first(c, e);
    c->bytes += cost;
    c->count++;
    while (c->oldest && c->bytes > max_bytes)
        drop(c, find(c, c->oldest->hash, c->oldest->key, c->oldest->len));
}
