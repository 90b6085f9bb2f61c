/*
 * scalekit.c - one call of the service as a state machine: token, send, answer, perhaps again.
 *
 *      TOKEN --> READY --> FLIGHT --> DONE
 *        ^         ^          |
 *        |         +----------+  retry after a pause (retry.c decides)
 *        +--------------------+  the bearer was refused: one refresh
 *      any state --> FAILED
 *
 * clo_call_poll runs the machine as far as it goes without waiting; clo_call_step waits once in between.
 * Every wait, be it for the network, a back-off, a rate limit or another call's token, is time in
 * which the caller holds control: AGAIN is returned, never slept through.
 *
 * Invariants
 *  - A write is sent again only if nothing of it can have been acted upon: nothing left (http.c knows
 *    exactly), or the answer itself says so (a refused bearer, a rate limit). Every other failure after
 *    the first byte is UNCERTAIN, including a success that cannot be read, and dropping a write under
 *    way is logged as uncertain.
 *  - A call works with the settings that it started with, whatever is set meanwhile.
 *  - The bearer is refreshed at most once per call, and only on a 401 that means the bearer.
 *  - Nothing leaves before the limiter lets it. A refusal holds back whatever shares the limit, in other
 *    clients and processes too: Scalekit's the environment, Close's the endpoint group of the account.
 *  - Waiting for the limiter is nobody's failure: the end of the retry budget moves on by that time. The
 *    call's own pause after a failure, a Retry-After included, is taken from the budget.
 *  - Whatever leaves here in an error or the log has been masked.
 *
 * Ownership: the call owns the request, its transfer and the parsed answer, and holds a reference on
 * the client. Result texts live as long as the call.
 */
#include "clo_int.h"

#include <string.h>

#define CONTROL_TIMEOUT_MS 25000

/* ---- making ---------------------------------------------------------------------------------- */

/* Names of the parameters for the log, with values only when asked for. */
static void
log_params(clo_call *call, bool values)
{
    clo_log_entry *e = &call->log;
    size_t used = 0, cap = sizeof(e->params);
    clo_json_iter it;
    clo_json_iter_init(&it, call->req->params);
    while (clo_json_iter_next(&it) && used + 2 < cap) {
        if (used)
            e->params[used++] = ',';
        clo_text_cut(e->params + used, cap - used, it.key, strlen(it.key));
        used += strlen(e->params + used);
        if (values && used + 2 < cap) {
            size_t n = 0;
            const char *s = clo_json_str(it.value, &n);
            if (!s)
                s = clo_json_text(it.value, &n);
            e->params[used++] = '=';
            clo_text_cut(e->params + used, cap - used, s ? s : "", s ? n : 0);
            used += strlen(e->params + used);
        }
    }
}

static bool
copy_settings(clo_call *call)
{
    const clo_config *c = &call->client->config;
    const char *id = clo_json_str(clo_json_get(call->req->params, "identifier"), NULL);
    const char *ca = clo_config_text(c, CLO_OPT_CA_FILE);
    bool account = call->req->kind == CLO_REQ_LINK || call->req->kind == CLO_REQ_ACCOUNT;
    if (!account || !id)
        id = clo_config_text(c, CLO_OPT_IDENTIFIER);
    call->identity = c->identity;
    call->env_url = clo_strdup(clo_config_text(c, CLO_OPT_ENV_URL));
    call->connection = clo_strdup(clo_config_text(c, CLO_OPT_CONNECTION));
    call->identifier = clo_strdup(id);
    call->ca_file = clo_strdup(ca);
    call->connect_timeout_ms = (int)clo_config_int(c, CLO_OPT_CONNECT_TIMEOUT_MS);
    call->timeout_ms = (int)clo_config_int(c, CLO_OPT_TIMEOUT_MS);
    call->max_bytes = (size_t)clo_config_int(c, CLO_OPT_MAX_BYTES);
    return call->env_url && call->connection && call->identifier && (call->ca_file || !ca);
}

static clo_status
check_settings(const clo_client *client, const clo_request *req, clo_err *err)
{
    static const clo_opt needed[] = {CLO_OPT_ENV_URL, CLO_OPT_CLIENT_ID, CLO_OPT_CLIENT_SECRET};
    bool named = (req->kind == CLO_REQ_LINK || req->kind == CLO_REQ_ACCOUNT) &&
                 clo_json_has(req->params, "identifier");
    if (clo_request_allowed(req, &client->config, err) == CLO_ERROR ||
        clo_config_env_ok(&client->config, err) == CLO_ERROR)
        return CLO_ERROR;
    if (!named)
        return clo_config_ready(&client->config, err);
    for (size_t i = 0; i < CLO_ARRAY_LEN(needed); i++)
        if (clo_config_need(&client->config, needed[i], err) == CLO_ERROR)
            return CLO_ERROR;
    return CLO_OK;
}

/* Verb and first segment of the path at Close, as its limits go; for a tool that the catalogue does not
 * know, its name. False: the call never gets to Close. */
static bool
endpoint_group(const clo_request *req, char *out, size_t cap)
{
    static const char api[] = "/api/v1/";
    const char *verb = req->method, *path = req->path;
    size_t n;
    if (req->kind == CLO_REQ_TOOL && req->tool) {
        verb = req->tool->method;
        path = req->tool->path + 1;
    } else if (req->kind == CLO_REQ_TOOL) {
        verb = "";
        path = req->name;
    } else if (req->kind == CLO_REQ_PROXY) {
        path += strncmp(path, api, strlen(api)) == 0 ? strlen(api) : 0;
    } else {
        return false;
    }
    n = strlen(verb);
    clo_text_cut(out, cap, verb, n);
    n = strlen(out);
    out[n++] = ' ';
    clo_text_cut(out + n, cap - n, path, strcspn(path, "/?"));
    return true;
}

static void
name_limits(clo_call *call)
{
    char group[128];
    const char *parts[] = {call->env_url, call->connection, call->identifier, group};
    call->limits[CLO_LIMIT_SCALEKIT] = clo_limit_key(parts, 1);
    if (endpoint_group(call->req, group, sizeof(group) - 1))
        call->limits[CLO_LIMIT_CLOSE] = clo_limit_key(parts, CLO_ARRAY_LEN(parts));
}

clo_call *
clo_call_new(clo_client *client, clo_request *req, clo_err *err)
{
    clo_call *call;
    clo_err_clear(err);
    call = clo_calloc(1, sizeof(*call));
    if (!call) {
        clo_request_free(req);
        (void)clo_err_nomem(err);
        return NULL;
    }
    call->client = clo_client_ref(client);
    call->req = req;
    clo_text_cut(call->log.tool, sizeof(call->log.tool), req->name, strlen(req->name));
    if (check_settings(client, req, err) == CLO_ERROR ||
        clo_client_know_secret(client, err) == CLO_ERROR)
        goto failed;
    log_params(call, clo_config_int(&client->config, CLO_OPT_LOG_VALUES) != 0);
    if (!copy_settings(call)) {
        (void)clo_err_nomem(err);
        goto failed;
    }
    if (!clo_call_message(call, err) || clo_client_http(client, err) == CLO_ERROR)
        goto failed;
    name_limits(call);
    return call;
failed:
    clo_err_mask(&client->secrets, err);
    clo_call_free(call);
    return NULL;
}

/* ---- sending --------------------------------------------------------------------------------- */

clo_xfer *
clo_call_send(clo_call *call, const char *method, const char *url, const char *const *headers,
              const char *body, size_t body_len, bool replay_safe, clo_err *err)
{
    bool control = call->state == CLO_CALL_TOKEN || call->req->kind == CLO_REQ_LINK ||
                   call->req->kind == CLO_REQ_ACCOUNT;
    clo_http_req r = {.method = method,
                      .url = url,
                      .headers = headers,
                      .body = body,
                      .body_len = body_len,
                      .replay_safe = replay_safe,
                      .connect_timeout_ms = call->connect_timeout_ms,
                      .timeout_ms = call->timeout_ms,
                      .max_bytes = call->max_bytes,
                      .ca_file = call->ca_file};
    if (control && r.timeout_ms > CONTROL_TIMEOUT_MS)
        r.timeout_ms = CONTROL_TIMEOUT_MS;
    return clo_http_start(call->client->http, &r, err);
}

static bool
add_line(const char **lines, size_t *n, clo_buf *b, const char *name, const char *value)
{
    if (!clo_buf_str(b, name) || !clo_buf_str(b, value))
        return false;
    lines[(*n)++] = b->data;
    return true;
}

static clo_status
start(clo_call *call, clo_err *err)
{
    const clo_request *req = call->req;
    bool proxy = req->kind == CLO_REQ_PROXY, ok;
    const char *method = proxy ? req->method : req->kind == CLO_REQ_ACCOUNT ? "GET" : "POST";
    const char *lines[6];
    clo_buf parts[3];
    size_t n = 0;
    for (size_t i = 0; i < CLO_ARRAY_LEN(parts); i++)
        clo_buf_init(&parts[i], 65536);
    ok = add_line(lines, &n, &parts[0], "Authorization: Bearer ", call->token);
    if (ok && proxy)
        ok = add_line(lines, &n, &parts[1], "connection_name: ", call->connection) &&
             add_line(lines, &n, &parts[2], "identifier: ", call->identifier);
    lines[n++] = "Accept: application/json";
    if (call->body)
        lines[n++] = "Content-Type: application/json";
    lines[n] = NULL;
    if (ok)
        call->xfer = clo_call_send(call, method, call->url, lines, call->body, call->body_len,
                                   !req->writes, err);
    else
        (void)clo_err_nomem(err);
    if (parts[0].data)
        explicit_bzero(parts[0].data, parts[0].len);
    for (size_t i = 0; i < CLO_ARRAY_LEN(parts); i++)
        clo_buf_free(&parts[i]);
    if (!call->xfer)
        return CLO_ERROR;
    if (req->writes)
        clo_cache_clear(call->client->cache);
    call->state = CLO_CALL_FLIGHT;
    call->arrived_ms = 0;
    return CLO_OK;
}

/* ---- ending ---------------------------------------------------------------------------------- */

static void
write_log(clo_call *call, clo_code code)
{
    call->log.code = code;
    call->log.attempts = call->attempts;
    call->log.ms = (call->arrived_ms ? call->arrived_ms : clo_now_ms()) - call->began_ms;
    clo_client_log(call->client, &call->log);
}

static void
drop_token(clo_call *call)
{
    clo_wipe_free(call->token);
    call->token = NULL;
}

static clo_status
fail(clo_call *call, clo_err *err)
{
    clo_client *c = call->client;
    clo_token_abandon(call);
    clo_err_mask(&c->secrets, err);
    call->err = *err;
    call->state = CLO_CALL_FAILED;
    clo_json_free(call->answer);
    call->answer = NULL;
    if (err->request_id[0])
        clo_text_cut(call->log.request_id, sizeof(call->log.request_id), err->request_id,
                     strlen(err->request_id));
    c->stat[CLO_STAT_ERRORS]++;
    if (err->uncertain) {
        c->stat[CLO_STAT_UNCERTAIN]++;
        clo_cache_clear(c->cache);
    }
    write_log(call, err->code);
    return CLO_ERROR;
}

static clo_status
succeed(clo_call *call)
{
    clo_client *c = call->client;
    if (call->req->writes) {
        c->stat[CLO_STAT_WRITES]++;
        clo_cache_clear(c->cache);
    }
    call->state = CLO_CALL_DONE;
    write_log(call, CLO_E_NONE);
    return CLO_DONE;
}

/* ---- reading an answer ------------------------------------------------------------------------ */

/* A second reference to a part of our own answer: the tree is ours, only the accessor is const. */
static clo_json *
share(const clo_json *part)
{
    return clo_json_ref((clo_json *)(uintptr_t)part);
}

/* The account without what could be used in its name. */
static clo_json *
public_account(const clo_json *body)
{
    const clo_json *account = clo_json_get(body, "connected_account");
    clo_json *out = clo_json_object();
    clo_json_iter it;
    bool ok = out != NULL;
    clo_json_iter_init(&it, clo_json_type(account) == CLO_J_OBJECT ? account : body);
    while (ok && clo_json_iter_next(&it))
        if (strcmp(it.key, "authorization_details") != 0 && strcmp(it.key, "api_config") != 0)
            ok = clo_json_put(out, it.key, share(it.value));
    if (ok)
        return out;
    clo_json_free(out);
    return NULL;
}

/* Finds what the caller asked for in the answer. False: `err` says why it is not there. */
static bool
unwrap(clo_call *call, clo_err *err)
{
    const clo_json *data;
    clo_json *made = NULL;
    clo_json_kind kind;
    call->data = call->answer;
    if (call->req->kind == CLO_REQ_PROXY || call->req->kind == CLO_REQ_LINK)
        return true;
    if (call->req->kind == CLO_REQ_ACCOUNT) {
        made = public_account(call->answer);
    } else {
        const char *id = clo_json_str(clo_json_get(call->answer, "execution_id"), NULL);
        if (id)
            clo_text_cut(call->log.request_id, sizeof(call->log.request_id), id, strlen(id));
        data = clo_json_get(call->answer, "data");
        kind = clo_json_type(data);
        call->data = data;
        if (!data && !id && clo_json_len(call->answer) > 0) {
            (void)clo_err_set(err, CLO_E_PROTO, "%s: the answer is not one of execute_tool",
                              call->req->name);
            err->hint = "check env_url";
            return false;
        }
        if (kind == CLO_J_OBJECT || kind == CLO_J_ARRAY)
            return true;
        if (kind != CLO_J_NULL) {
            (void)clo_err_set(err, CLO_E_PROTO, "%s: the answer's data is not an object",
                              call->req->name);
            err->retryable = true;
            return false;
        }
        made = clo_json_object(); /* the provider answered nothing, as for a delete */
    }
    if (!made) {
        (void)clo_err_nomem(err);
        return false;
    }
    clo_json_free(call->answer);
    call->answer = made;
    call->data = made;
    return true;
}

/* The text that hosts show: checked here, because a result cannot fail any more. */
static bool
make_text(clo_call *call, clo_http_res *res, clo_err *err)
{
    const char *text;
    if (call->req->internal) { /* as it came: the cache may want it */
        if (res->body.len)
            call->text = clo_buf_take(&res->body, &call->text_len, "the answer", err);
        return err->code == CLO_E_NONE;
    }
    if (call->req->kind == CLO_REQ_PROXY && res->body.len) {
        call->text = clo_buf_take(&res->body, &call->text_len, "the answer", err);
        text = call->text;
    } else {
        text = clo_json_text(call->data, &call->text_len);
    }
    if (!text) {
        if (err->code == CLO_E_NONE)
            (void)clo_err_nomem(err);
        return false;
    }
    if ((!call->text && clo_json_clean(call->data)) || clo_utf8_ok(text, call->text_len))
        return true;
    (void)clo_err_set(err, CLO_E_PROTO, "%s: the answer is not valid UTF-8", call->req->name);
    return false;
}

const char *
clo_call_created_id(const clo_call *call)
{
    return call->req->creates ? clo_json_str(clo_json_get(call->data, "id"), NULL) : NULL;
}

static void
note_created(clo_call *call)
{
    const char *id = clo_call_created_id(call);
    if (id)
        clo_client_set_last_id(call->client, id);
}

/* A whole 2xx with JSON in it. The write has happened: what fails from here on is uncertain. */
static bool
accept_answer(clo_call *call, clo_http_res *res, clo_err *err)
{
    bool ok;
    if (!call->answer)
        call->answer = clo_json_object();
    ok = call->answer != NULL;
    if (!ok)
        (void)clo_err_nomem(err);
    ok = ok && unwrap(call, err);
    if (ok)
        note_created(call);
    ok = ok && make_text(call, res, err);
    if (!ok && call->req->writes)
        clo_err_uncertain(err, call->req->name);
    return ok;
}

/* No whole HTTP answer. */
static void
transport_error(clo_call *call, const clo_http_res *res, clo_err *err)
{
    const clo_err *e = &res->err;
    (void)clo_err_set(err, e->code, "%s: %s", call->req->name, e->msg);
    err->http_status = e->http_status;
    err->retryable = e->retryable;
    err->hint = e->hint;
    if (call->req->writes && res->sent != CLO_SENT_NO)
        clo_err_uncertain(err, call->req->name);
}

/* For a tool that the catalogue does not know, the nearest that it does. */
static void
suggest_tool(const clo_call *call, clo_err *err)
{
    const char *near;
    size_t n = strlen(err->msg);
    if (call->req->kind != CLO_REQ_TOOL || call->req->tool || err->code != CLO_E_CONFIG ||
        !strstr(err->msg, "no such tool"))
        return;
    near = clo_tool_suggest(call->req->name);
    if (near) {
        char text[128] = "; did you mean ";
        size_t at = strlen(text);
        clo_text_cut(text + at, sizeof(text) - at, near, strlen(near));
        clo_text_cut(err->msg + n, sizeof(err->msg) - n, text, strlen(text));
    }
}

/* Answers of tools that succeeded are read in place. Those of the proxy are shown as they came, and an
 * error is looked at as text too, so both keep their bytes. */
static clo_json *
parse_answer(const clo_call *call, clo_http_res *res, clo_err *err)
{
    if (call->req->kind == CLO_REQ_TOOL && res->status >= 200 && res->status < 300)
        return clo_json_read(&res->body, "the answer", err);
    return clo_json_parse(res->body.data, res->body.len, "the answer", err);
}

/* True: the call has its result. */
static bool
read_answer(clo_call *call, clo_http_res *res, clo_err *err, bool *bearer_refused)
{
    clo_err inner;
    bool proxy = call->req->kind == CLO_REQ_PROXY;
    *bearer_refused = false;
    if (res->err.code != CLO_E_NONE) {
        transport_error(call, res, err);
        return false;
    }
    clo_err_clear(&inner);
    if (res->body.len)
        call->answer = parse_answer(call, res, &inner);
    if (inner.code == CLO_E_NOMEM) {
        (void)clo_err_nomem(err);
        if (call->req->writes && (res->status < 300 || res->status >= 500))
            clo_err_uncertain(err, call->req->name);
        return false;
    }
    if (clo_classify(res, call->answer, proxy, call->req->name, call->req->writes, err,
                     bearer_refused)) {
        clo_err_not_json(err, &inner);
        suggest_tool(call, err);
        return false;
    }
    return accept_answer(call, res, err);
}

/* ---- trying again ----------------------------------------------------------------------------- */

/* Another bearer, once. The client's is dropped only if it is still the one that was refused. */
static bool
refresh(clo_call *call)
{
    clo_client *c = call->client;
    if (call->refreshed)
        return false;
    call->refreshed = true;
    if (c->token && call->token && strcmp(c->token, call->token) == 0)
        clo_client_drop_token(c);
    drop_token(call);
    call->waiting = false;
    call->state = CLO_CALL_TOKEN;
    return true;
}

/* Whose limit an answer speaks of: Close's where the call went there, unless Scalekit says it itself. */
static int
limit_of(const clo_call *call, bool close)
{
    return close && call->limits[CLO_LIMIT_CLOSE] ? CLO_LIMIT_CLOSE : CLO_LIMIT_SCALEKIT;
}

static void
learn_refusal(clo_call *call, const clo_err *err, int64_t delay)
{
    clo_client *c = call->client;
    int i = limit_of(call, err->provider);
    int64_t pause = err->retry_after_ms > 0 ? err->retry_after_ms : delay;
    clo_limit_refusal r = {call->numbers[i], call->sent_us, pause * 1000};
    clo_limit_refused(c->limits, call->limits[i], &r, clo_now_us());
    c->slowest = call->limits[i];
    c->stat[CLO_STAT_RATE_WAITS]++;
}

static void
learn_header(clo_call *call, const clo_http_res *res)
{
    int i = limit_of(call, true);
    clo_limit_header h = {call->numbers[i], res->ratelimit_limit, res->ratelimit_remaining,
                          res->ratelimit_reset_ms * 1000};
    if (res->err.code == CLO_E_NONE && res->status != 429)
        clo_limit_hint(call->client->limits, call->limits[i], &h, clo_now_us());
}

/* False: it stays an error. */
static bool
plan_retry(clo_call *call, const clo_err *err, clo_sent sent, bool bearer_refused)
{
    int64_t delay, now = clo_now_ms();
    if (bearer_refused)
        return refresh(call);
    if (!err->retryable)
        return false;
    delay = clo_retry_next(&call->retry, err, call->req->writes, sent);
    if (err->code == CLO_E_RATE)
        learn_refusal(call, err, delay < 0 ? 1000 : delay);
    if (delay < 0)
        return false;
    call->not_before_ms = now + delay;
    call->state = CLO_CALL_READY;
    call->client->stat[CLO_STAT_RETRIES]++;
    return true;
}

static void
count_attempt(clo_call *call, const clo_http_res *res)
{
    int64_t *stat = call->client->stat;
    call->attempts++;
    call->bytes_in += res->bytes_in;
    call->log.http_status = res->status;
    call->log.bytes_out += res->bytes_out;
    call->log.bytes_in += res->bytes_in;
    stat[CLO_STAT_REQUESTS]++;
    stat[CLO_STAT_CONNECTIONS] += res->connections;
    stat[CLO_STAT_BYTES_OUT] += res->bytes_out;
    stat[CLO_STAT_BYTES_IN] += res->bytes_in;
}

/* What the head of an answer says is learnt at once, even if its body is read later. */
static void
note_arrival(clo_call *call)
{
    if (call->arrived_ms)
        return;
    call->arrived_ms = clo_now_ms();
    count_attempt(call, clo_xfer_result(call->xfer));
    learn_header(call, clo_xfer_result(call->xfer));
}

bool
clo_call_arrived(clo_call *call)
{
    const clo_http_res *res;
    if (call->state != CLO_CALL_FLIGHT || !clo_xfer_done(call->xfer))
        return false;
    note_arrival(call);
    res = clo_xfer_result(call->xfer);
    return res->err.code == CLO_E_NONE && res->status >= 200 && res->status < 300;
}

/* ---- the machine ------------------------------------------------------------------------------ */

void
clo_call_wake_at(clo_call *call, int64_t at_ms)
{
    clo_client *c = call->client;
    if (c->wake_ms <= 0 || at_ms < c->wake_ms)
        c->wake_ms = at_ms;
}

/* Moves transfers if nobody did since this call's last look: its caller polls without waiting. */
static clo_status
nudge(clo_call *call, clo_err *err)
{
    clo_http *http = call->client->http;
    clo_status st = CLO_OK;
    if (call->turn_seen == clo_http_turns(http))
        st = clo_http_pump(http, 0, err);
    call->turn_seen = clo_http_turns(http);
    return st;
}

bool
clo_call_moved(clo_call *call, const clo_xfer *x, clo_err *err)
{
    return clo_xfer_done(x) || (nudge(call, err) != CLO_ERROR && clo_xfer_done(x));
}

/* The moment from which every limit lets the call go; when that is now, it has been counted. */
static int64_t
ask_limits(clo_call *call, int64_t now)
{
    clo_limits *l = call->client->limits;
    for (int i = 0; i < CLO_LIMITS_OF_CALL; i++) { /* all are asked before one counts it */
        int64_t at = call->limits[i] ? clo_limit_ready(l, call->limits[i], now) : now;
        if (at > now) {
            call->client->slowest = call->limits[i];
            return at;
        }
    }
    for (int i = 0; i < CLO_LIMITS_OF_CALL; i++) {
        int64_t at = now;
        if (call->limits[i])
            at = clo_limit_take(l, call->limits[i], now, &call->numbers[i]);
        if (at > now)
            return at; /* somebody else was quicker; the turn in the other one is lost */
    }
    return now;
}

static bool
limits_let_go(clo_call *call)
{
    int64_t now = clo_now_us(), at = ask_limits(call, now);
    if (at > now) {
        if (call->held_ms == 0)
            call->held_ms = now / 1000;
        clo_call_wake_at(call, at / 1000 + 1);
        return false;
    }
    if (call->held_ms > 0) {
        int64_t held = now / 1000 - call->held_ms;
        call->retry.deadline_ms += held;
        call->client->stat[CLO_STAT_RATE_HELD_MS] += held;
        call->held_ms = 0;
    }
    call->sent_us = now;
    return true;
}

static clo_status
poll_ready(clo_call *call, clo_err *err)
{
    clo_client *c = call->client;
    if (clo_now_ms() < call->not_before_ms) {
        clo_call_wake_at(call, call->not_before_ms);
        return CLO_AGAIN;
    }
    /* Waiting here instead of in libcurl's queue keeps that time out of the transfer's own limit: a write
     * that was sent just before its limit would end as uncertain for no reason. */
    if (clo_http_running(c->http) >= clo_config_int(&c->config, CLO_OPT_CONCURRENCY))
        return nudge(call, err) == CLO_ERROR ? CLO_ERROR : CLO_AGAIN;
    return limits_let_go(call) ? start(call, err) : CLO_AGAIN;
}

static clo_status
poll_flight(clo_call *call, clo_err *err)
{
    clo_http_res *res;
    bool done, bearer_refused;
    clo_sent sent;
    if (!clo_call_moved(call, call->xfer, err)) {
        if (err->code == CLO_E_NONE)
            return CLO_AGAIN;
        if (clo_call_uncertain(call))
            clo_err_uncertain(err, call->req->name);
        return CLO_ERROR;
    }
    res = clo_xfer_result(call->xfer);
    sent = res->sent;
    note_arrival(call);
    call->retry.deadline_ms += clo_now_ms() - call->arrived_ms; /* it may have lain here */
    done = read_answer(call, res, err, &bearer_refused);
    clo_xfer_free(call->xfer);
    call->xfer = NULL;
    if (done)
        return succeed(call);
    clo_json_free(call->answer);
    call->answer = NULL;
    call->data = NULL;
    if (!plan_retry(call, err, sent, bearer_refused))
        return CLO_ERROR;
    clo_err_clear(err);
    return CLO_OK;
}

clo_status
clo_call_poll(clo_call *call, clo_err *err)
{
    clo_status st = CLO_OK;
    clo_err_clear(err);
    if (call->state == CLO_CALL_FAILED) {
        *err = call->err;
        return CLO_ERROR;
    }
    if (!call->started) {
        const clo_config *c = &call->client->config;
        call->started = true;
        call->began_ms = clo_now_ms();
        call->log.at_us = clo_wall_us();
        clo_retry_init(&call->retry, (int)clo_config_int(c, CLO_OPT_RETRIES),
                       clo_config_int(c, CLO_OPT_RETRY_BUDGET_MS));
    }
    while (st == CLO_OK) { /* each turn changes the state; refresh and retries are bounded */
        switch (call->state) {
        case CLO_CALL_TOKEN:
            st = clo_token_poll(call, err);
            if (st == CLO_OK)
                call->state = CLO_CALL_READY;
            break;
        case CLO_CALL_READY:
            st = poll_ready(call, err);
            break;
        case CLO_CALL_FLIGHT:
            st = poll_flight(call, err);
            break;
        default:
            return CLO_DONE;
        }
    }
    return st == CLO_ERROR ? fail(call, err) : st;
}

/* The answer of a finished call becomes text while there is still an error to tell it with: hosts look at it
 * later, and could not know a missing text from an empty one. The log keeps what the service did. */
static clo_status
show(clo_call *call, clo_status st, clo_err *err)
{
    if (st != CLO_DONE || call->text || call->shown)
        return st;
    call->shown = clo_json_text(call->data, &call->shown_len);
    if (call->shown)
        return st;
    clo_err_clear(err);
    (void)clo_err_set(err, CLO_E_NOMEM, "%s was answered, but there is no memory for the answer",
                      call->req->name);
    if (call->req->writes)
        clo_err_uncertain(err, call->req->name);
    call->err = *err;
    call->state = CLO_CALL_FAILED;
    return CLO_ERROR;
}

clo_status
clo_call_step(clo_call *call, int wait_ms, clo_err *err)
{
    clo_status st;
    if (wait_ms > 0 &&
        call->client->http) /* the wait moves transfers: no turn before it is needed */
        call->turn_seen = clo_http_turns(call->client->http) - 1;
    st = show(call, clo_call_poll(call, err), err);
    if (st != CLO_AGAIN || wait_ms <= 0)
        return st;
    if (clo_client_wait(call->client, wait_ms, 0, err) == CLO_ERROR) {
        if (clo_call_uncertain(call))
            clo_err_uncertain(err, call->req->name);
        return fail(call, err);
    }
    return show(call, clo_call_poll(call, err), err);
}

/* ---- looking at it ---------------------------------------------------------------------------- */

const char *
clo_call_result(const clo_call *call, size_t *len)
{
    if (call->state != CLO_CALL_DONE)
        return NULL;
    if (call->text) {
        if (len)
            *len = call->text_len;
        return call->text;
    }
    if (call->shown) {
        if (len)
            *len = call->shown_len;
        return call->shown;
    }
    return clo_json_text(call->data, len);
}

const clo_json *
clo_call_data(const clo_call *call)
{
    return call->state == CLO_CALL_DONE ? call->data : NULL;
}

const char *
clo_call_body(const clo_call *call, size_t *len)
{
    *len = call->text ? call->text_len : 0;
    return call->text;
}

int64_t
clo_call_bytes(const clo_call *call)
{
    return call->bytes_in;
}

int
clo_call_attempts(const clo_call *call)
{
    return call->attempts;
}

bool
clo_call_uncertain(const clo_call *call)
{
    return call->req->writes && call->xfer && clo_xfer_sent(call->xfer) != CLO_SENT_NO;
}

const char *
clo_call_name(const clo_call *call)
{
    return call->req->name;
}

/* A call that is dropped before its end leaves a trace too, above all a write: its answer, unread, does not
 * say what became of it. */
static void
log_dropped(clo_call *call)
{
    if (!call->started || call->state == CLO_CALL_DONE || call->state == CLO_CALL_FAILED)
        return;
    if (clo_call_uncertain(call)) {
        call->client->stat[CLO_STAT_UNCERTAIN]++;
        clo_cache_clear(call->client->cache);
        call->attempts++;
        write_log(call, CLO_E_UNCERTAIN);
    } else if (clo_call_arrived(call)) { /* a read ahead of time, and not needed */
        write_log(call, CLO_E_NONE);
    } else {
        write_log(call, CLO_E_STOPPED);
    }
}

void
clo_call_free(clo_call *call)
{
    if (!call)
        return;
    log_dropped(call);
    clo_token_abandon(call);
    clo_xfer_free(call->xfer);
    clo_json_free(call->answer);
    drop_token(call);
    clo_free(call->text);
    clo_free(call->env_url);
    clo_free(call->connection);
    clo_free(call->identifier);
    clo_free(call->ca_file);
    clo_free(call->url);
    clo_free(call->body);
    clo_request_free(call->req);
    clo_client_unref(call->client);
    clo_free(call);
}
