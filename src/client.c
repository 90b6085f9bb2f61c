/*
 * client.c - what the calls of one connection share: settings, token, connections, the log.
 *
 * A client is reference-counted, because in PostgreSQL the cache entry that owns it and the scans that
 * use it end in any order: hosts hold one reference, every call and cursor another. It is used by one
 * thread at a time, so nothing here locks.
 *
 * Invariants
 *  - A token belongs to the identity (URL, credentials, account) that it was fetched for. Changing an
 *    identity setting drops it together with every cached answer; calls under way keep their own copy.
 *  - Every secret is registered before it is used, so that no error or log entry can show it. The
 *    token before the present one stays registered: a late answer may still quote it.
 *  - Making a client sends nothing and does not touch libcurl; the first call does. PostgreSQL may
 *    load the library in the postmaster, before it forks.
 */
#include "clo_int.h"

#include <poll.h>
#include <string.h>

enum { SECRET_CLIENT, SECRET_TOKEN, SECRET_OLD_TOKEN };

static const char *const stat_names[] = {
    [CLO_STAT_REQUESTS] = "requests",
    [CLO_STAT_RETRIES] = "retries",
    [CLO_STAT_ERRORS] = "errors",
    [CLO_STAT_WRITES] = "writes",
    [CLO_STAT_UNCERTAIN] = "uncertain",
    [CLO_STAT_TOKENS] = "tokens",
    [CLO_STAT_BYTES_OUT] = "bytes_out",
    [CLO_STAT_BYTES_IN] = "bytes_in",
    [CLO_STAT_ROWS] = "rows",
    [CLO_STAT_CACHE_HITS] = "cache_hits",
    [CLO_STAT_CONNECTIONS] = "connections",
    [CLO_STAT_RATE_WAITS] = "rate_waits",
    [CLO_STAT_RATE_HELD_MS] = "rate_held_ms",
    [CLO_STAT_RATE_PER_MINUTE] = "rate_per_minute",
};
_Static_assert(CLO_ARRAY_LEN(stat_names) == CLO_STAT__COUNT, "every counter has a name");
_Static_assert(CLO_STAT__COUNT <= CLO_ARRAY_LEN(((clo_client *)0)->stat), "counters fit");

/* ---- life ----------------------------------------------------------------------------------- */

clo_client *
clo_client_new(clo_err *err)
{
    clo_client *c = clo_calloc(1, sizeof(*c));
    clo_err_clear(err);
    if (c) {
        c->refs = 1;
        c->limits = clo_limits_process();
        clo_config_init(&c->config);
        c->cache = clo_cache_new();
        for (size_t i = 0; i < CLO_ARRAY_LEN(c->known_rows); i++)
            c->known_rows[i] = -1;
    }
    if (!c || !c->cache) {
        clo_client_unref(c);
        (void)clo_err_nomem(err);
        return NULL;
    }
    return c;
}

clo_client *
clo_client_ref(clo_client *client)
{
    client->refs++;
    return client;
}

void
clo_client_unref(clo_client *c)
{
    if (!c || --c->refs > 0)
        return;
    CLO_ASSERT(c->refs == 0 && c->token_call == NULL);
    clo_http_free(c->http);
    clo_wipe_free(c->token);
    clo_secrets_free(&c->secrets);
    clo_config_free(&c->config);
    clo_cache_free(c->cache);
    clo_free(c->last_id);
    clo_free(c->log);
    clo_free(c);
}

void
clo_client_share_limits(clo_client *c, void *memory)
{
    CLO_ASSERT((uintptr_t)memory % 64 == 0);
    c->limits = memory ? memory : clo_limits_process();
}

clo_status
clo_client_http(clo_client *c, clo_err *err)
{
    if (c->http)
        return CLO_OK;
    c->http = clo_http_new(err);
    if (!c->http)
        return CLO_ERROR;
    clo_http_limit(c->http, (int)clo_config_int(&c->config, CLO_OPT_CONCURRENCY));
    return CLO_OK;
}

clo_status
clo_client_wait(clo_client *c, int wait_ms, int64_t until_ms, clo_err *err)
{
    clo_err_clear(err);
    if (c->wake_ms > 0 && (until_ms <= 0 || c->wake_ms < until_ms))
        until_ms = c->wake_ms;
    c->wake_ms = 0; /* who still waits says so again when polled */
    if (until_ms > 0) {
        int64_t left = until_ms - clo_now_ms();
        if (left < wait_ms)
            wait_ms = left > 0 ? (int)left : 0;
    }
    if (c->http)
        return clo_http_pump(c->http, wait_ms, err);
    if (wait_ms > 0)
        (void)poll(NULL, 0, wait_ms); /* a signal ends it early, as it does the other wait */
    return CLO_OK;
}

/* ---- token ---------------------------------------------------------------------------------- */

void
clo_client_drop_token(clo_client *c)
{
    clo_wipe_free(c->token);
    c->token = NULL;
}

clo_status
clo_client_keep_token(clo_client *c, char *token, int64_t until_ms, clo_err *err)
{
    char *old = c->secrets.items[SECRET_TOKEN], *copy = clo_strdup(token);
    if (!copy) {
        clo_wipe_free(token);
        return clo_err_nomem(err);
    }
    c->secrets.items[SECRET_TOKEN] = NULL; /* moves on instead of being freed */
    clo_secrets_set(&c->secrets, SECRET_OLD_TOKEN, old);
    clo_secrets_set(&c->secrets, SECRET_TOKEN, copy);
    clo_client_drop_token(c);
    c->token = token;
    c->token_until_ms = until_ms;
    c->token_identity = c->config.identity;
    return CLO_OK;
}

/* ---- settings ------------------------------------------------------------------------------- */

clo_status
clo_client_know_secret(clo_client *c, clo_err *err)
{
    const char *secret = clo_config_text(&c->config, CLO_OPT_CLIENT_SECRET);
    const char *known = c->secrets.items[SECRET_CLIENT];
    char *copy;
    if (!secret || (known && strcmp(secret, known) == 0))
        return CLO_OK;
    copy = clo_strdup(secret);
    if (!copy)
        return clo_err_nomem(err);
    clo_secrets_set(&c->secrets, SECRET_CLIENT, copy);
    return CLO_OK;
}

/* What hangs on the settings follows them. */
static clo_status
settings_changed(clo_client *c, unsigned identity_before, clo_err *err)
{
    if (c->config.identity != identity_before) {
        clo_client_drop_token(c);
        clo_cache_clear(c->cache);
    }
    if (c->http)
        clo_http_limit(c->http, (int)clo_config_int(&c->config, CLO_OPT_CONCURRENCY));
    return clo_client_know_secret(c, err);
}

clo_status
clo_client_set(clo_client *c, const char *name, const char *value, clo_origin from, clo_err *err)
{
    unsigned identity = c->config.identity;
    clo_status st;
    clo_err_clear(err);
    st = clo_config_set(&c->config, name, value, from, err);
    if (st != CLO_ERROR)
        st = settings_changed(c, identity, err);
    if (st == CLO_ERROR)
        clo_err_mask(&c->secrets, err);
    return st;
}

clo_status
clo_client_set_env(clo_client *c, clo_err *err)
{
    unsigned identity = c->config.identity;
    clo_status st;
    clo_err ignored;
    clo_err_clear(err);
    st = clo_config_env(&c->config, err);
    clo_err_clear(&ignored); /* those that were read before a wrong one count */
    if (settings_changed(c, identity, st == CLO_ERROR ? &ignored : err) == CLO_ERROR)
        st = CLO_ERROR;
    if (st == CLO_ERROR)
        clo_err_mask(&c->secrets, err);
    return st;
}

char *
clo_client_settings(const clo_client *c, clo_err *err)
{
    clo_err_clear(err);
    return clo_config_json(&c->config, err);
}

/* Index of a setting, -1 when there is none of that name. */
static int
option_index(const char *name)
{
    for (size_t i = 0; i < clo_option_count(); i++)
        if (strcmp(clo_option_at(i)->name, name) == 0)
            return (int)i;
    return -1;
}

const char *
clo_client_setting(const clo_client *c, const char *name)
{
    int i = option_index(name);
    const char *text = i < 0 ? NULL : clo_config_text(&c->config, (clo_opt)i);
    return text && (clo_option_at((size_t)i)->flags & CLO_O_SECRET) ? "***" : text;
}

int64_t
clo_client_setting_int(const clo_client *c, const char *name)
{
    int i = option_index(name);
    CLO_ASSERT(i >= 0);
    return i < 0 ? 0 : clo_config_int(&c->config, (clo_opt)i);
}

/* ---- last id -------------------------------------------------------------------------------- */

const char *
clo_client_last_id(const clo_client *c)
{
    return c->last_id;
}

/* Without memory for the new id none is better than a stale one. */
void
clo_client_set_last_id(clo_client *c, const char *id)
{
    char *copy = clo_strdup(id);
    clo_free(c->last_id);
    c->last_id = copy;
}

/* ---- log and counters ----------------------------------------------------------------------- */

/* A ring of the size that the setting asks for now; a change keeps the newest entries. */
static bool
size_log(clo_client *c)
{
    int64_t want = clo_config_int(&c->config, CLO_OPT_LOG_SIZE);
    size_t cap = want > 0 ? (size_t)want : 0, keep = c->log_len < cap ? c->log_len : cap;
    clo_log_entry *log = NULL;
    if (cap == c->log_cap)
        return cap > 0;
    if (cap) {
        log = clo_calloc(cap, sizeof(*log));
        if (!log)
            return c->log_cap > 0;
    }
    for (size_t i = 0; i < keep; i++)
        (void)clo_log_at(c, c->log_len - keep + i, &log[i]);
    clo_free(c->log);
    c->log = log;
    c->log_cap = cap;
    c->log_len = keep;
    c->log_next = cap ? keep % cap : 0;
    return cap > 0;
}

void
clo_client_log(clo_client *c, const clo_log_entry *e)
{
    clo_log_entry *to;
    if (!size_log(c))
        return;
    to = &c->log[c->log_next];
    *to = *e;
    clo_secrets_mask(&c->secrets, to->tool);
    clo_secrets_mask(&c->secrets, to->params);
    clo_secrets_mask(&c->secrets, to->request_id);
    c->log_next = (c->log_next + 1) % c->log_cap;
    if (c->log_len < c->log_cap)
        c->log_len++;
}

size_t
clo_log_count(const clo_client *c)
{
    return c->log_len;
}

bool
clo_log_at(const clo_client *c, size_t i, clo_log_entry *out)
{
    if (i >= c->log_len)
        return false;
    *out = c->log[(c->log_next + c->log_cap - c->log_len + i) % c->log_cap];
    return true;
}

bool
clo_stat_at(const clo_client *c, size_t i, const char **name, int64_t *value)
{
    if (i >= CLO_STAT__COUNT)
        return false;
    *name = stat_names[i];
    *value = c->stat[i];
    if (i == CLO_STAT_RATE_PER_MINUTE && c->slowest) /* a gauge: what is known at this moment */
        *value = (int64_t)(60 * clo_limit_rate(c->limits, c->slowest, clo_now_us()));
    return true;
}
