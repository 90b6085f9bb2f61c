/*
 * auth.c - the bearer token: fetched once per client, shared by all of its calls.
 *
 * The first call that needs a token becomes the fetcher; the others wait. But waiting calls drive the
 * fetcher's transfer too: a scan that nobody steps at the moment may own the fetch while an inner scan
 * of the same statement needs its result, and waiting for each other would never end. So the fetch
 * belongs to whoever looks at it, and every call, the fetcher included, learns the outcome from
 * the client: a token, or a count of failures that has grown, with the error beside it. One wrong
 * secret thus costs one request, however many calls are waiting.
 *
 * A token belongs to an identity (config.identity). A call made before a change of identity never gets a
 * token of the new one, since it would act on another account than it was checked for.
 *
 * The request is safe to repeat, so it is retried as reads are. The form with the secret is wiped after
 * it was handed over, and the answer's bytes after they were parsed; json-c's own copy cannot be.
 */
#include "clo_int.h"

#include <string.h>

#define TOKEN_LIFE_S 3600 /* when the answer does not say */
#define TOKEN_MARGIN_S 60 /* renewed that much before it ends */
#define TOKEN_MAX 16384

static const char what_token[] = "no access token";

static bool
have_token(const clo_call *call)
{
    const clo_client *c = call->client;
    return c->token && c->token_identity == call->identity && clo_now_ms() < c->token_until_ms;
}

/* ---- the request ----------------------------------------------------------------------------- */

static void
wipe_buf(clo_buf *b)
{
    if (b->data)
        explicit_bzero(b->data, b->len);
    clo_buf_free(b);
}

static bool
add_field(clo_buf *b, const char *name, const char *value)
{
    return clo_buf_str(b, name) && clo_buf_uri(b, value, strlen(value));
}

static clo_status
start_fetch(clo_call *f, clo_err *err)
{
    static const char *const headers[] = {"Content-Type: application/x-www-form-urlencoded",
                                          "Accept: application/json", NULL};
    const clo_config *config = &f->client->config;
    const char *id = clo_config_text(config, CLO_OPT_CLIENT_ID);
    const char *secret = clo_config_text(config, CLO_OPT_CLIENT_SECRET);
    clo_buf form, url;
    clo_status st;
    clo_buf_init(&form, 65536);
    clo_buf_init(&url, 16384);
    (void)clo_buf_str(&form, "grant_type=client_credentials");
    (void)add_field(&form, "&client_id=", id ? id : "");
    (void)add_field(&form, "&client_secret=", secret ? secret : "");
    (void)clo_buf_str(&url, f->env_url);
    (void)clo_buf_str(&url, "/oauth/token");
    st = clo_buf_check(&form, "the token request", err);
    if (st != CLO_ERROR)
        st = clo_buf_check(&url, "the token URL", err);
    if (st != CLO_ERROR) {
        f->token_xfer = clo_call_send(f, "POST", url.data, headers, form.data, form.len, true, err);
        st = f->token_xfer ? CLO_OK : CLO_ERROR;
    }
    wipe_buf(&form);
    clo_buf_free(&url);
    return st;
}

/* ---- the answer ------------------------------------------------------------------------------ */

static void
again_as(clo_err *err, clo_code code, const char *text, const char *hint)
{
    clo_err old = *err;
    clo_err_clear(err);
    (void)clo_err_set(err, code, "%s: %s", what_token, text);
    clo_err_detail(err, "%s", old.detail);
    err->http_status = old.http_status;
    clo_text_cut(err->request_id, sizeof(err->request_id), old.request_id, strlen(old.request_id));
    err->hint = hint;
}

/* Any refusal of the token endpoint is about the credentials or the address. */
static void
refused(clo_err *err)
{
    int s = err->http_status;
    if (s == 400 || s == 401 || s == 403)
        again_as(
            err, CLO_E_AUTH, "Scalekit refused client_id and client_secret",
            "check client_id, client_secret, and that env_url is the environment they belong to");
    else if (s < 500 && s != 408 && s != 429)
        again_as(err, CLO_E_CONFIG, "this address does not hand out tokens", "check env_url");
}

/* A header line is made of it. */
static bool
token_ok(const char *token, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (token[i] <= ' ' || token[i] > '~')
            return false;
    return n > 0 && n <= TOKEN_MAX;
}

static int64_t
life_ms(const clo_json *body)
{
    const clo_json *j = clo_json_get(body, "expires_in");
    clo_json_kind kind = clo_json_type(j);
    int64_t s = TOKEN_LIFE_S;
    if (kind == CLO_J_INT || kind == CLO_J_REAL) {
        double real = clo_json_real(j);
        s = real > 1e7 ? 10000000 : real < 1 ? 1 : (int64_t)real;
    }
    return s > 2 * TOKEN_MARGIN_S ? (s - TOKEN_MARGIN_S) * 1000 : s * 500;
}

static clo_status
take_token(clo_call *f, const clo_json *body, clo_err *err)
{
    clo_client *c = f->client;
    size_t n = 0;
    const char *token = clo_json_str(clo_json_get(body, "access_token"), &n);
    char *copy;
    if (!token || !token_ok(token, n)) {
        (void)clo_err_set(err, CLO_E_PROTO, "%s: the answer has none in it", what_token);
        err->hint = "check env_url";
        return CLO_ERROR;
    }
    if (f->identity != c->config.identity)
        return CLO_OK; /* nobody may use it any more; the fetcher finds out by itself */
    copy = clo_strndup(token, n);
    if (!copy)
        return clo_err_nomem(err);
    return clo_client_keep_token(c, copy, clo_now_ms() + life_ms(body), err);
}

static clo_status
digest(clo_call *f, const clo_http_res *res, clo_err *err)
{
    clo_json *body = NULL;
    clo_status st = CLO_ERROR;
    bool bearer;
    if (res->err.code != CLO_E_NONE) {
        const clo_err *e = &res->err;
        (void)clo_err_set(err, e->code, "%s: %s", what_token, e->msg);
        err->retryable = e->retryable;
        err->hint = e->hint;
        return CLO_ERROR;
    }
    if (res->body.len) {
        body = clo_json_parse(res->body.data, res->body.len, "the answer", err);
        if (!body && err->code == CLO_E_NOMEM)
            return CLO_ERROR;
    }
    if (clo_classify(res, body, false, what_token, false, err, &bearer))
        refused(err);
    else
        st = take_token(f, body, err);
    clo_json_free(body);
    return st;
}

static void
log_fetch(clo_call *f, const clo_http_res *res, clo_code code)
{
    clo_client *c = f->client;
    clo_log_entry e = {.tool = "token", .code = code, .attempts = 1, .ms = res->ms};
    e.at_us = clo_wall_us() - res->ms * 1000;
    e.http_status = res->status;
    e.bytes_out = res->bytes_out;
    e.bytes_in = res->bytes_in;
    c->stat[CLO_STAT_TOKENS]++;
    c->stat[CLO_STAT_CONNECTIONS] += res->connections;
    c->stat[CLO_STAT_BYTES_OUT] += res->bytes_out;
    c->stat[CLO_STAT_BYTES_IN] += res->bytes_in;
    clo_client_log(c, &e);
}

/* ---- driving --------------------------------------------------------------------------------- */

static void
fetch_failed(clo_call *f, const clo_err *err)
{
    clo_client *c = f->client;
    c->token_call = NULL;
    if (f->identity != c->config.identity)
        return;
    c->token_fails++;
    c->token_err = *err;
}

static void
fetch_done(clo_call *f)
{
    clo_client *c = f->client;
    clo_http_res *res = clo_xfer_result(f->token_xfer);
    clo_sent sent = res->sent;
    clo_err err;
    clo_status st;
    int64_t delay;
    clo_err_clear(&err);
    st = digest(f, res, &err);
    log_fetch(f, res, err.code);
    if (res->body.data)
        explicit_bzero(res->body.data, res->body.len);
    clo_xfer_free(f->token_xfer);
    f->token_xfer = NULL;
    if (st != CLO_ERROR) {
        c->token_call = NULL;
        return;
    }
    delay = err.retryable ? clo_retry_next(&f->retry, &err, false, sent) : -1;
    if (delay < 0) {
        fetch_failed(f, &err);
        return;
    }
    c->stat[CLO_STAT_RETRIES]++;
    f->not_before_ms = clo_now_ms() + delay;
}

/* Moves the client's fetch on, whoever owns it. `call` is the one that is being polled. */
static void
drive(clo_call *call, clo_call *f)
{
    clo_err err;
    clo_err_clear(&err);
    if (f->token_xfer) {
        if (clo_call_moved(call, f->token_xfer, &err))
            fetch_done(f);
        else if (err.code != CLO_E_NONE)
            fetch_failed(f, &err);
    } else if (f->identity != f->client->config.identity) {
        f->client->token_call = NULL;
    } else if (clo_now_ms() >= f->not_before_ms && start_fetch(f, &err) == CLO_ERROR) {
        fetch_failed(f, &err);
    }
    if (f->client->token_call == f && !f->token_xfer)
        clo_call_wake_at(call, f->not_before_ms);
}

/* CLO_OK when the call has its token, CLO_ERROR when the fetch that it waited for failed. */
static clo_status
outcome(clo_call *call, clo_err *err)
{
    clo_client *c = call->client;
    if (have_token(call)) {
        call->token = clo_strdup(c->token);
        call->waiting = false;
        return call->token ? CLO_OK : clo_err_nomem(err);
    }
    if (call->waiting && call->fails_seen != c->token_fails) {
        *err = c->token_err;
        return CLO_ERROR;
    }
    if (call->identity != c->config.identity) {
        (void)clo_err_set(err, CLO_E_CONFIG, "%s: the settings were changed while it waited",
                          clo_call_name(call));
        return CLO_ERROR;
    }
    return CLO_AGAIN;
}

clo_status
clo_token_poll(clo_call *call, clo_err *err)
{
    clo_client *c = call->client;
    clo_status st = outcome(call, err);
    if (st != CLO_AGAIN)
        return st;
    if (!call->waiting) {
        call->waiting = true;
        call->fails_seen = c->token_fails;
    }
    do { /* a second turn only after a fetch for an identity that is no longer wanted */
        if (!c->token_call)
            c->token_call = call;
        drive(call, c->token_call);
        st = outcome(call, err);
    } while (st == CLO_AGAIN && !c->token_call);
    return st;
}

void
clo_token_abandon(clo_call *call)
{
    clo_xfer_free(call->token_xfer);
    call->token_xfer = NULL;
    if (call->client->token_call == call)
        call->client->token_call = NULL;
}
