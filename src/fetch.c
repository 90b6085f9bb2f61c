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
 * misled it. And what was asked before a write through this client is not shared after it.
 *
 * A read of one key among many (clo_fetch_lookup) may not need a call: lookup.c knows more keys than were
 * asked for, or is reading the whole table. Such a fetch asks there first each time it is polled.
 *
 * That an object does not exist is an answer, and kept like one: as the document null.
 *
 * Ownership: a fetch is reference-counted by the cursors that wait for it; it owns its call and
 * the parsed answer. The last reference drops a call under way. The list holds no reference.
 *
 * What is kept is the answer as it was read in place (view.c), text and all, which costs nothing more as
 * long as its page is open. Where json-c had to read it, the tree is too large for that, and a copy of the
 * text is kept.
 */
#include "scan.h"

#include <string.h>

/* Trees of json-c: answers up to this are kept parsed; how much more memory that takes than the text. */
enum { SMALL = 4096, PARSED = 8 };

struct clo_fetch {
    clo_client *client; /* borrowed: each cursor that holds us holds a reference on it */
    struct clo_fetch *next;
    long refs;
    bool done;
    char *key; /* tool, newline, parameters as JSON */
    size_t key_len;
    unsigned generation; /* of the cache when it was asked */
    clo_lookup *lookup;  /* until a call is sent; lives as long as the statement */
    clo_json *params;    /* likewise */
    char *wanted;        /* the key that is looked up, of wanted_len bytes */
    size_t wanted_len;
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
        if (f->key_len == len && memcmp(f->key, key, len) == 0 &&
            f->generation == clo_cache_generation(client->cache))
            return f;
    return NULL;
}

/* Takes over params. */
static bool
start_call(clo_fetch *f, clo_json *params, clo_err *err)
{
    char tool[CLO_NAME_MAX + 1];
    size_t n = strcspn(f->key, "\n");
    clo_request *req;

    clo_text_cut(tool, sizeof tool, f->key, n);
    req = clo_request_read(tool, params, err);
    if (req == NULL)
        return false;
    f->call = clo_call_new(f->client, req, err);
    return f->call != NULL;
}

/* An object that is known not to be there. */
static void
set_missing(clo_fetch *f)
{
    clo_err_clear(&f->err);
    clo_err_set(&f->err, CLO_E_NOTFOUND, "%.*s: no such object", (int)strcspn(f->key, "\n"),
                f->key);
    f->err.provider = true;
}

/* The data in a kept answer, as the call that it came from gave it. NULL: memory is short. */
static clo_json *
parse_again(const char *text, size_t len)
{
    clo_err ignored;
    clo_json *answer, *data;

    clo_err_clear(&ignored);
    answer = clo_json_parse(text, len, "the answer", &ignored);
    if (answer == NULL)
        return NULL;
    data = share(clo_json_get(answer, "data"));
    clo_json_free(answer);
    return clo_json_type(data) == CLO_J_NULL ? clo_json_object() : data;
}

static bool
from_cache(clo_fetch *f)
{
    clo_client *c = f->client;
    int64_t age = clo_fetch_max_age(c), now = clo_now_ms();
    const char *text;
    size_t len = 0;

    f->doc = clo_cache_get(c->cache, f->key, f->key_len, now, age);
    if (f->doc == NULL) {
        text = clo_cache_text(c->cache, f->key, f->key_len, now, age, &len);
        f->doc = text != NULL ? parse_again(text, len) : NULL;
    }
    if (f->doc == NULL)
        return false;
    if (clo_json_type(f->doc) == CLO_J_NULL) {
        clo_json_free(f->doc);
        f->doc = NULL;
        set_missing(f);
    }
    f->done = true;
    f->cost.cached = true;
    c->stat[CLO_STAT_CACHE_HITS]++;
    return true;
}

/* Remembers the key, so that lookup.c can be asked while the fetch waits. Takes over params. */
static bool
wait_for_lookup(clo_fetch *f, clo_json *params, clo_lookup *lookup, const clo_value *key,
                clo_err *err)
{
    f->params = params;
    f->wanted = clo_strndup(key->text, key->len);
    f->wanted_len = key->len;
    f->lookup = lookup;
    if (f->wanted == NULL)
        clo_err_nomem(err);
    return f->wanted != NULL;
}

/* A new fetch, in the list while it is under way. Takes over text and params. */
static clo_fetch *
make(clo_client *client, char *text, size_t len, clo_json *params, bool anew, clo_lookup *lookup,
     const clo_value *key, clo_err *err)
{
    clo_fetch *f = clo_calloc(1, sizeof *f);
    bool ok;

    if (f == NULL) {
        clo_free(text);
        clo_json_free(params);
        clo_err_nomem(err);
        return NULL;
    }
    f->client = client;
    f->refs = 1;
    f->key = text;
    f->key_len = len;
    f->generation = clo_cache_generation(client->cache);
    if (!anew && from_cache(f)) {
        clo_json_free(params);
        return f;
    }
    ok = lookup != NULL ? wait_for_lookup(f, params, lookup, key, err) : start_call(f, params, err);
    if (!ok) {
        f->done = true; /* it is in no list */
        clo_fetch_free(f);
        return NULL;
    }
    f->next = client->fetches;
    client->fetches = f;
    return f;
}

static clo_fetch *
start(clo_client *client, const char *tool, clo_json *params, bool anew, clo_lookup *lookup,
      const clo_value *key, clo_err *err)
{
    size_t len = 0;
    char *text = make_key(tool, params, &len, err);
    clo_fetch *f = text != NULL && !anew ? find_running(client, text, len) : NULL;

    if (text != NULL && f == NULL)
        return make(client, text, len, params, anew, lookup, key, err);
    clo_free(text);
    clo_json_free(params);
    if (f != NULL)
        f->refs++;
    return f;
}

clo_fetch *
clo_fetch_start(clo_client *client, const char *tool, clo_json *params, bool anew, clo_err *err)
{
    return start(client, tool, params, anew, NULL, NULL, err);
}

clo_fetch *
clo_fetch_known(clo_client *client, clo_json *doc, clo_err *err)
{
    clo_fetch *f = clo_calloc(1, sizeof *f);

    if (f == NULL) {
        clo_json_free(doc);
        clo_err_nomem(err);
        return NULL;
    }
    *f = (clo_fetch){.client = client, .refs = 1, .done = true, .doc = doc, .cost.cached = true};
    client->stat[CLO_STAT_CACHE_HITS]++;
    return f;
}

clo_fetch *
clo_fetch_lookup(clo_client *client, const char *tool, clo_json *params, clo_lookup *lookup,
                 const clo_value *key, clo_err *err)
{
    clo_fetch *f;

    if (!clo_lookup_want(lookup, key, params)) {
        clo_json_free(params);
        clo_err_nomem(err);
        return NULL;
    }
    f = start(client, tool, params, false, lookup, key, err);
    if (f != NULL)
        clo_lookup_ahead(lookup, key);
    return f;
}

static void
keep_answer(clo_fetch *f)
{
    clo_client *c = f->client;
    size_t max = (size_t)clo_config_int(&c->config, CLO_OPT_CACHE_BYTES), len = 0;
    const char *text = clo_call_body(f->call, &len);
    size_t whole = clo_json_bytes(f->doc);

    if (f->generation != clo_cache_generation(c->cache) ||
        (c->open_cursors == 0 && clo_fetch_max_age(c) <= 0))
        return;
    if (whole > 0)
        clo_cache_put(c->cache, f->key, f->key_len, f->doc, whole, max, clo_now_ms());
    else if (text != NULL && len > SMALL)
        clo_cache_put_text(c->cache, f->key, f->key_len, text, len, max, clo_now_ms());
    else
        clo_cache_put(c->cache, f->key, f->key_len, f->doc, len * PARSED, max, clo_now_ms());
}

/* "Not found" from a get tool says something about the object, and not about the question. */
static void
keep_missing(clo_fetch *f)
{
    char name[CLO_NAME_MAX + 1];
    const clo_tool *tool;

    clo_text_cut(name, sizeof name, f->key, strcspn(f->key, "\n"));
    tool = clo_tool_find(name);
    if (f->err.code != CLO_E_NOTFOUND || !f->err.provider || tool == NULL || tool->kind != CLO_GET)
        return;
    f->doc = clo_json_new_null();
    keep_answer(f);
    f->doc = NULL;
}

/* OK: the answer is there, or a call has been sent; AGAIN: neither yet. */
static clo_status
ask_lookup(clo_fetch *f)
{
    clo_value key = clo_text(f->wanted, f->wanted_len);
    clo_json *params = f->params;
    clo_found found =
        f->lookup != NULL ? clo_lookup_find(f->lookup, &key, &f->doc) : CLO_FOUND_SEND;

    if (found == CLO_FOUND_LATER)
        return CLO_AGAIN;
    if (f->lookup != NULL)
        clo_lookup_cost(f->lookup, &f->cost);
    if (found == CLO_FOUND_SEND) {
        if (f->lookup != NULL)
            clo_lookup_sent(f->lookup, params);
        f->params = NULL;
        if (!start_call(f, params, &f->err))
            f->done = true;
        else if (f->lookup != NULL)
            clo_lookup_ahead(f->lookup, &key);
    } else {
        f->cost.cached = f->cost.attempts == 0;
        f->done = true;
        clo_json_free(params);
        f->params = NULL;
        f->client->stat[CLO_STAT_CACHE_HITS]++;
    }
    if (f->done)
        unlist(f);
    f->lookup = NULL;
    return CLO_OK;
}

static void
end_call(clo_fetch *f, clo_status st)
{
    f->done = true;
    f->cost.attempts += clo_call_attempts(f->call);
    f->cost.bytes += clo_call_bytes(f->call);
    unlist(f);
    if (st == CLO_DONE) {
        f->doc = share(clo_call_data(f->call));
        if (clo_json_type(f->doc) != CLO_J_NULL)
            keep_answer(f);
        if (f->doc == NULL)
            clo_err_set(&f->err, CLO_E_PROTO, "%.*s: the answer holds no data",
                        (int)strcspn(f->key, "\n"), f->key);
    } else {
        keep_missing(f);
    }
    clo_call_free(f->call);
    f->call = NULL;
}

clo_status
clo_fetch_poll(clo_fetch *f, clo_err *err)
{
    if (f->params != NULL && ask_lookup(f) == CLO_AGAIN)
        return CLO_AGAIN;
    if (!f->done) {
        clo_status st = clo_call_poll(f->call, &f->err);

        if (st == CLO_AGAIN)
            return CLO_AGAIN;
        end_call(f, st);
    }
    if (f->doc != NULL)
        return CLO_DONE;
    *err = f->err;
    return CLO_ERROR;
}

bool
clo_fetch_arrived(const clo_fetch *f)
{
    return f->done || (f->call != NULL && clo_call_arrived(f->call));
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
    if (f->call != NULL) {
        cost->attempts += clo_call_attempts(f->call);
        cost->bytes += clo_call_bytes(f->call);
    }
    if (f->cost.counted)
        return false;
    f->cost.counted = true;
    return true;
}

int64_t
clo_fetch_waiting(const clo_client *client, const clo_lookup *lookup)
{
    int64_t n = 0;

    for (const clo_fetch *f = client->fetches; f != NULL; f = f->next)
        n += f->lookup == lookup;
    return n;
}

void
clo_fetch_detach(clo_client *client, const clo_lookup *lookup)
{
    for (clo_fetch *f = client->fetches; f != NULL; f = f->next)
        if (f->lookup == lookup)
            f->lookup = NULL; /* it will be sent */
}

/* An answer that was fetched ahead and not needed may be what another cursor asks for next. */
static void
keep_unread(clo_fetch *f)
{
    clo_err ignored;

    clo_err_clear(&ignored);
    if (!f->done && f->client->open_cursors > 1 && clo_fetch_arrived(f))
        (void)clo_fetch_poll(f, &ignored);
}

void
clo_fetch_free(clo_fetch *f)
{
    if (f == NULL || --f->refs > 0)
        return;
    keep_unread(f);
    if (!f->done)
        unlist(f);
    clo_call_free(f->call);
    clo_json_free(f->doc);
    clo_json_free(f->params);
    clo_free(f->wanted);
    clo_free(f->key);
    clo_free(f);
}
