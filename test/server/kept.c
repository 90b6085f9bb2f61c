/*
 * Finished answers to reads, kept for the next who asks the same.
 *
 * The stand-in shares its processor with whoever is measured against it, and rendering, serialising
 * and compressing a page costs it more than most clients spend on reading one. An answer that was
 * given once is therefore kept as it goes over the wire. Nobody can tell by the bytes: what is new
 * in every answer (the execution id, headers) is not part of what is kept, and the compressed form
 * of a kept answer is the very one that it had when it was fresh.
 *
 * How: an answer is a front, which depends on nothing but the question and the data, and an end. The
 * front is deflated and flushed to a byte boundary; the end follows as one stored block, and the
 * checksum of the whole is combined from the two. A fresh answer takes the same way.
 *
 * When a kept answer is right: its key names the account, the state of data and configuration
 * (app->state, a new number with every write, mutation and configuration, 0 again after a reset,
 * which brings the data of the start back), the encoding and the question. What the clock changes
 * (a task that becomes due, a search that catches up) is noted while it is rendered, as `until`.
 * Requests that a fault hits come never here.
 *
 * Bounded by bytes; the one that was not asked for the longest goes first. Rejected: handing out
 * kept bytes by reference (a copy of a page costs less than counting who holds it), and keeping
 * plain text to compress for each (compressing is the larger half of the work).
 */
#include "standin.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#define KEPT_BYTES ((size_t)192 << 20)
#define SLOTS 16384u
#define PACK_FROM 1024 /* shorter ones are not worth compressing */
#define BLOCK_MAX 65535

struct kept {
    char *key;
    struct st_front front;
    int64_t until;
    struct kept *next;          /* in the slot */
    struct kept *newer, *older; /* by last use */
};

struct st_kept_all {
    struct kept *slots[SLOTS];
    struct kept *newest, *oldest;
    size_t bytes;
    uint64_t used;
};

struct st_kept_all *
st_kept_new(void)
{
    return st_alloc(sizeof(struct st_kept_all));
}

static size_t
weight(const struct kept *k)
{
    return sizeof *k + strlen(k->key) + k->front.text.n;
}

static struct kept **
slot_of(struct st_kept_all *all, const char *key)
{
    struct kept **at = &all->slots[st_hash(key) % SLOTS];
    while (*at && strcmp((*at)->key, key) != 0)
        at = &(*at)->next;
    return at;
}

static void
unlink_use(struct st_kept_all *all, struct kept *k)
{
    *(k->newer ? &k->newer->older : &all->newest) = k->older;
    *(k->older ? &k->older->newer : &all->oldest) = k->newer;
}

static void
link_newest(struct st_kept_all *all, struct kept *k)
{
    k->newer = NULL;
    k->older = all->newest;
    *(all->newest ? &all->newest->newer : &all->oldest) = k;
    all->newest = k;
}

static void
forget(struct st_kept_all *all, struct kept **at)
{
    struct kept *k = *at;
    *at = k->next;
    unlink_use(all, k);
    all->bytes -= weight(k);
    free(k->key);
    st_text_free(&k->front.text);
    free(k);
}

void
st_kept_free(struct st_kept_all *all)
{
    while (all && all->oldest)
        forget(all, slot_of(all, all->oldest->key));
    free(all);
}

static char *
key_of(struct st_app *app, const struct st_call *c, bool gzip, bool envelope)
{
    struct st_text key = {0};
    st_putf(&key, "%s %llu %c%c%d ", c->identifier, (unsigned long long)app->state,
            gzip ? 'z' : '-', envelope ? 'e' : '-', c->tz);
    st_puts(&key, c->path);
    st_puts(&key, js_text(c->query));
    return key.s;
}

bool
st_kept_find(struct st_app *app, const struct st_call *c, bool gzip, bool envelope,
             struct st_reply *r)
{
    struct st_kept_all *all = app->kept;
    char *key = key_of(app, c, gzip, envelope);
    struct kept **at = slot_of(all, key), *k = *at;
    free(r->key);
    r->key = key;
    if (k && k->until <= st_now()) {
        forget(all, at);
        return false;
    }
    if (!k)
        return false;
    unlink_use(all, k);
    link_newest(all, k);
    all->used++;
    r->front = k->front;
    r->front.text = (struct st_text){0};
    st_put(&r->front.text, k->front.text.s, k->front.text.n);
    free(r->key);
    r->key = NULL;
    return true;
}

void
st_kept_add(struct st_app *app, const struct st_reply *r)
{
    struct st_kept_all *all = app->kept;
    struct kept **at = slot_of(all, r->key);
    if (*at || r->until <= st_now())
        return; /* two asked at the same time */
    struct kept *k = st_alloc(sizeof *k);
    k->key = st_dup(r->key);
    k->front = r->front;
    k->front.text = (struct st_text){0};
    st_put(&k->front.text, r->front.text.s, r->front.text.n);
    k->until = r->until;
    *at = k;
    link_newest(all, k);
    all->bytes += weight(k);
    while (all->bytes > KEPT_BYTES)
        forget(all, slot_of(all, all->oldest->key));
}

uint64_t
st_kept_used(const struct st_app *app)
{
    return app->kept->used;
}

/* ---- the compressed form ---- */

void
st_front_pack(struct st_front *f)
{
    z_stream z = {0};
    if (f->packed || f->text.n <= PACK_FROM || f->text.n > UINT32_MAX / 2 ||
        deflateInit2(&z, 1, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY))
        return;
    struct st_text out = {0};
    out.cap = deflateBound(&z, (uLong)f->text.n) + 16; /* 16: the flush */
    out.s = st_alloc(out.cap);
    z.next_in = (Bytef *)f->text.s;
    z.avail_in = (uInt)f->text.n;
    z.next_out = (Bytef *)out.s;
    z.avail_out = (uInt)out.cap;
    int rc = deflate(&z, Z_SYNC_FLUSH);
    bool ok = rc == Z_OK && z.avail_in == 0 && z.avail_out > 0;
    out.n = z.total_out;
    deflateEnd(&z);
    if (!ok) {
        st_text_free(&out);
        return;
    }
    f->crc = crc32(crc32(0, NULL, 0), (Bytef *)f->text.s, (uInt)f->text.n);
    f->plain_n = f->text.n;
    st_text_free(&f->text);
    f->text = out;
    f->packed = true;
}

static void
put_le(struct st_text *t, uint64_t v, int bytes)
{
    for (int i = 0; i < bytes; i++) {
        char c = (char)(v >> (8 * i) & 255);
        st_put(t, &c, 1);
    }
}

void
st_front_end(struct st_front *f, const struct st_text *tail)
{
    if (!f->packed) {
        st_put(&f->text, tail->s, tail->n);
        return;
    }
    size_t at = 0;
    do { /* at least one block, because the last one says that it is the last */
        size_t n = tail->n - at < BLOCK_MAX ? tail->n - at : BLOCK_MAX;
        put_le(&f->text, at + n == tail->n, 1);
        put_le(&f->text, n, 2);
        put_le(&f->text, ~n & 0xffff, 2);
        st_put(&f->text, tail->s + at, n);
        at += n;
    } while (at < tail->n);
    unsigned long end = crc32(crc32(0, NULL, 0), (Bytef *)tail->s, (uInt)tail->n);
    put_le(&f->text, crc32_combine(f->crc, end, (z_off_t)tail->n), 4);
    put_le(&f->text, f->plain_n + tail->n, 4);
}
