/*
 * fetch.c - one read of the service: from the cache, from another cursor that is asking the same right
 * now, or by a call of its own.
 *
 * One statement never sends the same read twice. Two mechanisms make that true: finished
 * answers go to the client's cache, and reads under way stand in the list client->fetches, where a
 * second cursor with the same question (a self join, a sub-select) joins them.
 *
 * How old an answer may be: within a statement any answer of that statement is good, so the limit
 * is the time since the client's first open cursor, or cache_ttl_ms if that is longer. The host cannot
 * tell the core where a statement begins; "no cursor was open" is the closest thing there is.
 *
 * The exception: a walk that sees its list change asks anew, because the answer it already had is what
 * misled it.
 *
 * Ownership: a fetch is reference-counted by the cursors that wait for it; it owns its call and
 * the parsed answer. The last reference drops a call under way. The list holds no reference.
 *
 * Rejected: keeping the call for as long as its page is read: it holds the raw text too, which would
 * double the memory of the window.
 */
#include "scan.h"

#include <string.h>

struct clo_fetch {
    clo_client *client; /* borrowed: each cursor that holds us holds a reference on it */
    struct clo_fetch *next;
    long refs;
    bool done;
    char *key; /* tool, newline, parameters as JSON */
    size_t key_len;
    clo_call *call; /* until it ends */
    clo_json *doc;
    clo_err err;
    clo_fetch_cost cost;
};

/* References are counted inside the document, which is why json.c wants it without const; the bytes
 * themselves are never changed here. */
static clo_json *
share(const clo_json *doc)
{
    return clo_json_ref((clo_json *)(uintptr_t)doc);
}

int64_t
clo_fetch_max_age(const clo_client *client)
{
    int64_t ttl = clo_config_int(&client->config, CLO_OPT_CACHE_TTL_MS);
    int64_t statement = client->open_cursors > 0 ? clo_now_ms() - client->cursors_since_ms + 1 : 0;

    return statement > ttl ? statement : ttl;
}

static char *
make_key(const char *tool, const clo_json *params, size_t *len, clo_err *err)
{
    clo_buf b;
    size_t n = 0;
    const char *text = clo_json_text(params, &n);
    char *key;

    if (text == NULL) {
        clo_err_nomem(err);
        return NULL;
    }
    clo_buf_init(&b, (size_t)16 << 20);
    clo_buf_str(&b, tool);
    clo_buf_str(&b, "\n");
    clo_buf_add(&b, text, n);
    key = clo_buf_take(&b, len, tool, err);
    clo_buf_free(&b);
    return key;
}

static void
unlist(clo_fetch *f)
{
    for (clo_fetch **p = &f->client->fetches; *p != NULL; p = &(*p)->next)
        if (*p == f) {
            *p = f->next;
            break;
        }
    f->next = NULL;
}

static clo_fetch *
find_running(const clo_client *client, const char *key, size_t len)
{
    for (clo_fetch *f = client->fetches; f != NULL; f = f->next)
        if (f->key_len == len && memcmp(f->key, key, len) == 0)
            return f;
    return NULL;
}

/* Takes over params. */
static bool
start_call(clo_fetch *f, const char *tool, clo_json *params, clo_err *err)
{
    clo_request *req = clo_request_read(tool, params, err);

    if (req == NULL)
        return false;
    f->call = clo_call_new(f->client, req, err);
    if (f->call == NULL)
        return false;
    f->next = f->client->fetches;
    f->client->fetches = f;
    return true;
}

clo_fetch *
clo_fetch_start(clo_client *client, const char *tool, clo_json *params, bool anew, clo_err *err)
{
    size_t len = 0;
    char *key = make_key(tool, params, &len, err);
    clo_fetch *f = key != NULL && !anew ? find_running(client, key, len) : NULL;

    if (f != NULL) {
        clo_free(key);
        clo_json_free(params);
        f->refs++;
        return f;
    }
    f = key != NULL ? clo_calloc(1, sizeof *f) : NULL;
    if (f == NULL) {
        clo_free(key);
        clo_json_free(params);
        if (key != NULL)
            clo_err_nomem(err);
        return NULL;
    }
    f->client = client;
    f->refs = 1;
    f->key = key;
    f->key_len = len;
    if (client->cache != NULL && !anew)
        f->doc = clo_cache_get(client->cache, key, len, clo_now_ms(), clo_fetch_max_age(client));
    if (f->doc != NULL) {
        f->done = true;
        f->cost.cached = true;
        client->stat[CLO_STAT_CACHE_HITS]++;
        clo_json_free(params);
    } else if (!start_call(f, tool, params, err)) {
        clo_fetch_free(f);
        return NULL;
    }
    return f;
}

static void
keep_answer(clo_fetch *f)
{
    clo_client *c = f->client;

    f->doc = share(clo_call_data(f->call));
    if (c->cache != NULL && (c->open_cursors > 0 || clo_fetch_max_age(c) > 0))
        clo_cache_put(c->cache, f->key, f->key_len, f->doc, (size_t)f->cost.bytes,
                      (size_t)clo_config_int(&c->config, CLO_OPT_CACHE_BYTES), clo_now_ms());
}

clo_status
clo_fetch_poll(clo_fetch *f, clo_err *err)
{
    if (!f->done) {
        clo_status st = clo_call_poll(f->call, &f->err);

        if (st == CLO_AGAIN)
            return CLO_AGAIN;
        f->done = true;
        f->cost.attempts = clo_call_attempts(f->call);
        f->cost.bytes = clo_call_bytes(f->call);
        unlist(f);
        if (st == CLO_DONE)
            keep_answer(f);
        clo_call_free(f->call);
        f->call = NULL;
        if (f->doc == NULL && st == CLO_DONE)
            clo_err_set(&f->err, CLO_E_PROTO, "%.*s: the answer holds no data",
                        (int)strcspn(f->key, "\n"), f->key);
    }
    if (f->doc != NULL)
        return CLO_DONE;
    *err = f->err;
    return CLO_ERROR;
}

const clo_json *
clo_fetch_doc(const clo_fetch *f)
{
    return f->doc;
}

clo_call *
clo_fetch_call(const clo_fetch *f)
{
    return f->call;
}

bool
clo_fetch_cost_once(clo_fetch *f, clo_fetch_cost *cost)
{
    *cost = f->cost;
    if (f->cost.counted)
        return false;
    f->cost.counted = true;
    return true;
}

void
clo_fetch_free(clo_fetch *f)
{
    if (f == NULL || --f->refs > 0)
        return;
    if (!f->done)
        unlist(f);
    clo_call_free(f->call);
    clo_json_free(f->doc);
    clo_free(f->key);
    clo_free(f);
}
