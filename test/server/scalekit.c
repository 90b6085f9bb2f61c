/*
 * Scalekit's face: the token endpoint, execute_tool, the proxy, connected accounts, the tool list.
 *
 * Two error shapes live here and must not be mixed: the gRPC style of the JSON API
 * ({"code","message","details"}) and the proxy's own two members ({"detail","code"}). Close's own
 * failures go through execute_tool as TOOL_ERROR; by default the statuses 400, 404, 409 and 422
 * become 400 with Close's body inside tool_error_message, the others keep theirs ("keep" keeps all).
 *
 * All functions run with the lock held.
 */
#include "standin.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void
st_header(struct st_reply *r, const char *name, const char *fmt, ...)
{
    if (r->n_headers == ST_HEADERS)
        return;
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(r->headers[r->n_headers].value, sizeof r->headers[0].value, fmt, ap);
    va_end(ap);
    snprintf(r->headers[r->n_headers++].name, sizeof r->headers[0].name, "%s", name);
}

void
st_reply_json(struct st_reply *r, int status, js *body)
{
    r->status = status;
    snprintf(r->type, sizeof r->type, "application/json");
    r->body.n = 0;
    st_puts(&r->body, body ? js_text(body) : "");
    json_object_put(body);
}

void
st_sk_error(struct st_reply *r, int status, int code, const char *message, const char *error_code,
            js *extra)
{
    js *o = json_object_new_object(), *details = json_object_new_array();
    js_addi(o, "code", code);
    js_adds(o, "message", message);
    if (error_code || extra) {
        js *d = extra ? extra : json_object_new_object();
        js_adds(d, "@type", "type.googleapis.com/scalekit.v1.errdetails.ErrorInfo");
        if (error_code)
            js_adds(d, "error_code", error_code);
        json_object_array_add(details, d);
    }
    js_add(o, "details", details);
    st_reply_json(r, status, o);
}

static int
grpc_of(int status)
{
    return status == 401   ? 16
           : status == 403 ? 7
           : status == 404 ? 5
           : status == 409 ? 10
           : status == 429 ? 8
           : status >= 500 ? 13
                           : 3;
}

void
st_tool_error_as(struct st_reply *r, struct st_app *app, int status, const char *text)
{
    js *extra = json_object_new_object(), *info = json_object_new_object();
    js_addf(info, "execution_id", "%llu", (unsigned long long)++app->execution);
    js_adds(info, "tool_error_code", "INTERNAL_ERROR");
    js_adds(info, "tool_error_message", text);
    js_add(extra, "tool_error_info", info);
    st_sk_error(r, status, grpc_of(status), "tool execution failed", "TOOL_ERROR", extra);
}

void
st_tool_error(struct st_reply *r, struct st_app *app, int close_status, const char *text)
{
    int status = close_status;
    if (!app->cfg.keep_status && status != 401 && status != 403 && status != 429)
        status = status >= 500 ? 500 : 400;
    st_tool_error_as(r, app, status, text);
}

/* ---- tokens ---- */

bool
st_token_ok(struct st_app *app, const char *authorization)
{
    if (!authorization || !st_has_prefix(authorization, "Bearer "))
        return false;
    js *expiry = js_ref(app->tokens, authorization + 7);
    return expiry && json_object_get_int64(expiry) > st_now();
}

static int
hex(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = (char)(c | 32);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static void
form_value(const char *body, const char *name, char *out, size_t cap)
{
    size_t n = strlen(name), len = 0;
    out[0] = 0;
    for (const char *p = body; p && *p; p = strchr(p, '&') ? strchr(p, '&') + 1 : NULL) {
        if (strncmp(p, name, n) || p[n] != '=')
            continue;
        for (p += n + 1; *p && *p != '&' && len < cap - 1; p++) {
            if (*p == '%' && p[1] && hex(p[1]) >= 0 && hex(p[2]) >= 0) {
                out[len++] = (char)(hex(p[1]) * 16 + hex(p[2]));
                p += 2;
            } else
                out[len++] = *p == '+' ? ' ' : *p;
        }
        out[len] = 0;
        return;
    }
}

static void
token(struct st_app *app, struct st_request *q, struct st_reply *r)
{
    char grant[64], id[200], secret[200], value[64];
    const char *body = q->body.s ? q->body.s : "";
    form_value(body, "grant_type", grant, sizeof grant);
    form_value(body, "client_id", id, sizeof id);
    form_value(body, "client_secret", secret, sizeof secret);
    js *o = json_object_new_object();
    bool form =
        q->content_type && st_has_prefix(q->content_type, "application/x-www-form-urlencoded");
    if (!form || strcmp(grant, "client_credentials")) {
        js_adds(o, "error", form ? "unsupported_grant_type" : "invalid_request");
        js_adds(o, "error_description", "expected a form with grant_type=client_credentials");
        st_reply_json(r, 400, o);
        return;
    }
    if (q->authorization || strcmp(id, app->cfg.client_id) ||
        strcmp(secret, app->cfg.client_secret)) {
        js_adds(o, "error", "invalid_client");
        js_adds(o, "error_description",
                q->authorization ? "the Authorization header must not be sent here"
                                 : "client authentication failed");
        st_reply_json(r, 401, o);
        return;
    }
    st_id(value, "eyStandin", 40, st_mix(app->cfg.seed ^ 0x746f6b) + ++app->token_serial);
    js_addi(app->tokens, value, st_now() + app->cfg.expires_in * ST_SECOND);
    js_adds(o, "access_token", value);
    js_adds(o, "token_type", "Bearer");
    js_addi(o, "expires_in", app->cfg.expires_in);
    js_adds(o, "scope", "openid");
    st_reply_json(r, 200, o);
}

static bool
authorized(struct st_app *app, struct st_request *q, struct st_reply *r)
{
    if (st_token_ok(app, q->authorization))
        return true;
    st_sk_error(r, 401, 16, q->authorization ? "Token invalid or expired" : "Token empty",
                "UNAUTHENTICATED", NULL);
    return false;
}

/* ---- accounts ---- */

struct st_account *
st_account_find(struct st_app *app, const char *identifier)
{
    for (int i = 0; identifier && i < app->n_accounts; i++)
        if (strcmp(app->accounts[i].identifier, identifier) == 0)
            return &app->accounts[i];
    return NULL;
}

static struct st_account *
select_account(struct st_app *app, const char *id, const char *connector, const char *identifier,
               struct st_reply *r)
{
    char text[240];
    if (!id && !identifier) {
        st_sk_error(r, 400, 3, "connected_account_id or identifier is required", NULL, NULL);
        return NULL;
    }
    if (id) {
        for (int i = 0; i < app->n_accounts; i++)
            if (strcmp(app->accounts[i].id, id) == 0)
                return &app->accounts[i];
        st_sk_error(r, 500, 13, "internal error", NULL, NULL);
        return NULL;
    }
    if (connector && strcmp(connector, app->cfg.connection)) {
        snprintf(text, sizeof text, "connection not found for key: %.120s", connector);
        st_sk_error(r, 404, 5, text, "RESOURCE_NOT_FOUND", NULL);
        return NULL;
    }
    struct st_account *a = st_account_find(app, identifier);
    if (!a) {
        snprintf(text, sizeof text, "connected account not found for identifier: %.110s",
                 identifier);
        st_sk_error(r, 404, 5, text, "RESOURCE_NOT_FOUND", NULL);
    }
    return a;
}

static js *
account_json(struct st_app *app, const struct st_account *a, bool secrets)
{
    js *o = json_object_new_object();
    js_adds(o, "id", a->id);
    js_adds(o, "identifier", a->identifier);
    js_adds(o, "provider", "CLOSE");
    js_adds(o, "status", a->status);
    js_adds(o, "authorization_type", "OAUTH");
    js_adds(o, "connector", app->cfg.connection);
    js_adds(o, "connection_id", "conn_5");
    js_adds(o, "token_expires_at", "2026-10-01T12:00:00.123456789Z");
    js_adds(o, "updated_at", "2026-10-01T11:00:00Z");
    js_adds(o, "last_used_at", "2026-10-01T11:30:00Z");
    if (secrets) {
        js *d = json_object_new_object(), *t = json_object_new_object();
        js_adds(t, "access_token", "standin-provider-token");
        js_adds(t, "refresh_token", "standin-provider-refresh");
        js_add(d, "oauth_token", t);
        js_add(o, "authorization_details", d);
    }
    return o;
}

static void
link_members(js *o, const char *account)
{
    js_addf(o, "link", "https://standin.example.test/magicLink/%s", account);
    js_adds(o, "expiry", "2026-10-01T12:05:00Z");
}

/* A link for an identifier that is new to the connection makes its account. Ours has no data until
 * somebody follows the link, so nothing is kept of it. */
static bool
link_for_new(const struct st_app *app, js *in, js *o)
{
    const char *connector = js_str(in, "connector"), *identifier = js_str(in, "identifier");
    if (!connector || !identifier || strcmp(connector, app->cfg.connection) != 0)
        return false;
    for (int i = 0; i < app->n_accounts; i++)
        if (strcmp(app->accounts[i].identifier, identifier) == 0)
            return false;
    link_members(o, "ca_new");
    return true;
}

static void
accounts(struct st_app *app, struct st_request *q, struct st_reply *r)
{
    const char *what = q->path + strlen("/api/v1/connected_accounts");
    bool get = strcmp(q->method, "GET") == 0;
    js *in = get ? json_object_get(q->query) : js_parse(q->body.s ? q->body.s : "", q->body.n);
    js *o = json_object_new_object();
    if (get && *what == 0) {
        js *all = json_object_new_array();
        for (int i = 0; i < app->n_accounts; i++)
            json_object_array_add(all, account_json(app, &app->accounts[i], false));
        js_add(o, "connected_accounts", all);
        js_addi(o, "total_size", app->n_accounts);
        js_adds(o, "next_page_token", "");
        st_reply_json(r, 200, o);
        json_object_put(in);
        return;
    }
    if (!get && strcmp(what, "/magic_link") == 0 && link_for_new(app, in, o)) {
        st_reply_json(r, 200, o);
        json_object_put(in);
        return;
    }
    struct st_account *a =
        select_account(app, js_str(in, "id"), js_str(in, "connector"), js_str(in, "identifier"), r);
    bool auth = strcmp(what, "/auth") == 0;
    if (!a)
        json_object_put(o);
    else if (get && (auth || strcmp(what, "/details") == 0)) {
        js_add(o, "connected_account", account_json(app, a, auth));
        st_reply_json(r, 200, o);
    } else if (!get && strcmp(what, "/magic_link") == 0) {
        link_members(o, a->id);
        st_reply_json(r, 200, o);
    } else {
        json_object_put(o);
        st_sk_error(r, 404, 5, "Not Found", NULL, NULL);
    }
    json_object_put(in);
}

/* ---- rate ---- */

/* What is left of a rate limit, as its headers say it. */
struct rate {
    int64_t remaining, reset_ms;
    bool refused;
};

/* A window begins with the first request after the one before it, so that counts do not depend on when
 * a test happens to start. */
static struct rate
count_request(struct st_app *app, const char *method, const char *path)
{
    char key[80];
    int64_t now = st_now(), limit = app->cfg.rate;
    if (limit <= 0)
        return (struct rate){.remaining = 99, .reset_ms = 1000};
    snprintf(key, sizeof key, "%s %.*s", method, (int)strcspn(path + 1, "/"), path + 1);
    struct st_bucket *b = &app->buckets[st_hash(key) % ST_LEN(app->buckets)];
    if (now - b->since >= ST_SECOND || strcmp(b->key, key)) {
        snprintf(b->key, sizeof b->key, "%s", key);
        b->since = now;
        b->count = 0;
    }
    b->count++;
    return (struct rate){.remaining = b->count < limit ? limit - b->count : 0,
                         .reset_ms = (b->since + ST_SECOND - now) / 1000 + 1,
                         .refused = b->count > limit};
}

static void
rate_answer(struct st_app *app, const struct rate *rate, struct st_answer *a)
{
    js *o = json_object_new_object(), *e = json_object_new_object();
    js_adds(e, "message", "API call count exceeded for this period");
    js_add(e, "rate_reset", json_object_new_double((double)rate->reset_ms / 1000.0));
    js_addi(e, "rate_limit", app->cfg.rate);
    js_addi(e, "rate_window", 1);
    js_adds(e, "rate_limit_type", "key");
    js_add(o, "error", e);
    st_ok(a, 429, o);
}

/* Close sends them; through a tool they arrive only if rate_headers says so. */
static void
rate_headers(struct st_app *app, const struct rate *rate, bool proxy, struct st_reply *r)
{
    if (rate->refused && (proxy || app->cfg.rate_headers))
        st_header(r, "Retry-After", "%lld", (long long)(rate->reset_ms + 999) / 1000);
    if (app->cfg.rate_headers)
        st_header(r, "RateLimit", "limit=%lld, remaining=%lld, reset=%.3f",
                  (long long)(app->cfg.rate ? app->cfg.rate : 100), (long long)rate->remaining,
                  (double)rate->reset_ms / 1000.0);
}

/* ---- calls ---- */

void
st_changed(struct st_app *app)
{
    app->state = ++app->states;
}

bool
st_only_reads(const struct st_request *q)
{
    const struct st_tool *t = st_tool_find(js_str(q->json, "tool_name"));
    return strcmp(t ? t->method : q->method, "GET") == 0;
}

/* What Close answers: a, unless r->front has it from before. A request that a fault hits is neither
 * answered from there nor kept. */
static void
ask_close(struct st_app *app, struct st_request *q, struct st_call *c, bool envelope,
          struct st_answer *a, struct st_reply *r, struct rate *rate)
{
    *rate = count_request(app, c->method, c->path);
    if (rate->refused) {
        rate_answer(app, rate, a);
        return;
    }
    if (strcmp(c->method, "GET") != 0)
        st_changed(app);
    else if (!q->fault && !c->body && st_kept_find(app, c, q->gzip, envelope, r))
        return;
    c->ds->until = INT64_MAX;
    st_fault_call(q->fault, c);
    st_rest(c, a);
    st_fault_rows(q->fault, a);
    r->until = c->ds->until;
}

static void
not_kept(struct st_reply *r)
{
    free(r->key);
    r->key = NULL;
}

static void
reply_as_json(struct st_reply *r, int status)
{
    r->status = status;
    r->body.n = 0;
    snprintf(r->type, sizeof r->type, "application/json");
}

/* The text of a fresh answer goes to the front when it may be kept, and else straight to the body. */
static struct st_text *
text_of(struct st_reply *r)
{
    return r->key ? &r->front.text : &r->body;
}

static void
tool_unknown(struct st_reply *r, const char *name)
{
    char text[200];
    snprintf(text, sizeof text, "failed to get tool: %.150s", name);
    st_sk_error(r, 400, 3, text, "RESOURCE_NOT_FOUND", NULL);
}

static bool
tool_params(struct st_reply *r, const struct st_tool *t, js *params)
{
    js *bad = params && !js_is(params, json_type_object) ? json_object_new_array()
                                                         : st_tool_check(t, params);
    if (!bad)
        return true;
    js *extra = json_object_new_object(), *info = json_object_new_object();
    js_add(info, "field_violations", bad);
    js_add(extra, "validation_error_info", info);
    char text[300];
    js *first = json_object_array_get_idx(bad, 0);
    snprintf(text, sizeof text, "invalid params for %s: %s %s", t->name,
             js_str(first, "field") ? js_str(first, "field") : "params",
             js_str(first, "description") ? js_str(first, "description") : "must be an object");
    st_sk_error(r, 400, 3, text, "INVALID_ARGUMENT", extra);
    return false;
}

static void
tool_run(struct st_app *app, struct st_request *q, struct st_account *acct, const struct st_tool *t,
         struct st_reply *r)
{
    char path[400];
    struct st_call c = {.app = app, .ds = acct->ds, .identifier = acct->identifier};
    struct st_answer a = {0};
    struct rate rate;
    st_tool_call(t, js_ref(q->json, "params"), &c, path, sizeof path);
    ask_close(app, q, &c, true, &a, r, &rate);
    rate_headers(app, &rate, false, r);
    if (a.status >= 300) {
        not_kept(r);
        st_tool_error(r, app, a.status, a.body ? js_text(a.body) : "");
    } else {
        reply_as_json(r, 200);
        if (!r->front.text.n) {
            bool list = js_is(a.body, json_type_array);
            st_puts(text_of(r), !a.body ? "{" : list ? "{\"data\":{\"array\":" : "{\"data\":");
            st_puts(text_of(r), a.body ? js_text(a.body) : "");
            st_puts(text_of(r), !a.body ? "" : list ? "}," : ",");
        }
        /* The one member that is new in every answer comes last, outside of what is kept. */
        st_putf(&r->body, "\"execution_id\":\"%llu\"}", (unsigned long long)++app->execution);
    }
    json_object_put(a.body);
    json_object_put(c.query);
    json_object_put(c.body);
}

static void
execute(struct st_app *app, struct st_request *q, struct st_reply *r)
{
    static const char *const members[] = {"tool_name",       "params",      "connector",
                                          "identifier",      "user_id",     "connected_account_id",
                                          "organization_id", "agent_run_id"};
    const char *name = js_str(q->json, "tool_name");
    if (!js_is(q->json, json_type_object) || !name) {
        st_sk_error(r, 400, 3, q->json ? "tool_name is required" : "invalid JSON body", NULL, NULL);
        return;
    }
    json_object_object_foreach(q->json, key, v)
    {
        bool known = false;
        for (size_t i = 0; i < ST_LEN(members); i++)
            known |= strcmp(members[i], key) == 0;
        if (!known || (js_is(v, json_type_string) && !*json_object_get_string(v))) {
            char text[160];
            snprintf(text, sizeof text, known ? "empty member %.100s" : "unknown member %.100s",
                     key);
            st_sk_error(r, 400, 3, text, NULL, NULL);
            return;
        }
    }
    const struct st_tool *t = st_tool_find(name);
    if (!t) {
        tool_unknown(r, name);
        return;
    }
    struct st_account *acct =
        select_account(app, js_str(q->json, "connected_account_id"), js_str(q->json, "connector"),
                       js_str(q->json, "identifier"), r);
    if (!acct || !tool_params(r, t, js_ref(q->json, "params")))
        return;
    if (strcmp(acct->status, "ACTIVE")) {
        char text[120];
        snprintf(text, sizeof text, "connected account is not active: %s", acct->status);
        st_sk_error(r, 400, 3, text, "INVALID_ARGUMENT", NULL);
        return;
    }
    tool_run(app, q, acct, t, r);
}

static void
proxy_error(struct st_reply *r, int status, const char *detail, const char *code)
{
    js *o = json_object_new_object();
    js_adds(o, "detail", detail);
    js_adds(o, "code", code);
    st_reply_json(r, status, o);
}

/* x-http-method-override: GET with {"_params": {...}} stands for a long query string. */
static void
proxy_override(struct st_request *q, struct st_call *c)
{
    js *params = js_ref(c->body, "_params");
    if (!q->method_override || strcmp(q->method_override, "GET") || !params)
        return;
    c->method = "GET";
    json_object_put(c->query);
    c->query = json_object_new_object();
    json_object_object_foreach(params, key, v)
    {
        struct st_text list = {0};
        for (size_t i = 0; js_is(v, json_type_array) && i < json_object_array_length(v); i++) {
            st_puts(&list, i ? "," : "");
            st_puts(&list, json_object_get_string(json_object_array_get_idx(v, i)));
        }
        js_adds(c->query, key, list.s ? list.s : json_object_get_string(v));
        st_text_free(&list);
    }
}

static void
proxy_run(struct st_app *app, struct st_request *q, struct st_account *acct, struct st_reply *r)
{
    struct st_call c = {.app = app, .ds = acct->ds, .identifier = acct->identifier};
    struct st_answer a = {0};
    struct rate rate;
    c.method = q->method;
    c.path = q->path + strlen("/proxy/api/v1");
    c.query = json_object_get(q->query);
    c.tz = q->tz_offset ? (int)strtol(q->tz_offset, NULL, 10) % 24 : 0;
    c.json_type = q->content_type && st_has_prefix(q->content_type, "application/json");
    if (q->body.n) {
        c.body = js_parse(q->body.s, q->body.n);
        c.body_bad = c.body == NULL;
    }
    proxy_override(q, &c);
    ask_close(app, q, &c, false, &a, r, &rate);
    rate_headers(app, &rate, true, r);
    if (*a.location)
        st_header(r, "Location", "%s", a.location);
    if (r->front.text.n)
        reply_as_json(r, 200);
    else {
        if (a.status != 200)
            not_kept(r);
        reply_as_json(r, a.status);
        st_puts(text_of(r), a.body ? js_text(a.body) : "");
    }
    json_object_put(a.body);
    json_object_put(c.query);
    json_object_put(c.body);
}

static void
proxy(struct st_app *app, struct st_request *q, struct st_reply *r)
{
    struct st_account *acct = st_account_find(app, q->identifier);
    if (!st_token_ok(app, q->authorization))
        proxy_error(r, 401, "invalid or expired token", "UNAUTHORIZED");
    else if (!app->cfg.proxy)
        proxy_error(r, 403, "proxy not enabled for provider", "TOOL_PROXY_DISABLED");
    else if (!q->connection_name || strcmp(q->connection_name, app->cfg.connection))
        proxy_error(r, 404, "connection not found", "NOT_FOUND");
    else if (!acct)
        proxy_error(r, 404, "connected account not found", "NOT_FOUND");
    else if (!st_has_prefix(q->path, "/proxy/api/v1/") || strstr(q->path, ".."))
        proxy_error(r, 404, "unknown provider path", "NOT_FOUND");
    else if (strcmp(acct->status, "ACTIVE")) {
        js *o = json_object_new_object();
        js_adds(o, "error", "Unauthorized"); /* Close's own 401: the stored token is stale */
        st_reply_json(r, 401, o);
    } else
        proxy_run(app, q, acct, r);
}

static void
tool_list(struct st_request *q, struct st_reply *r)
{
    size_t n;
    const struct st_tool *all = st_tools(&n);
    const char *size = js_str(q->query, "page_size"), *at = js_str(q->query, "page_token");
    size_t page = size ? strtoul(size, NULL, 10) : 10, from = at ? strtoul(at, NULL, 10) : 0;
    js *o = json_object_new_object(), *tools = json_object_new_array();
    size_t i = from;
    for (; i < n && i - from < (page && page <= 100 ? page : 100); i++) {
        js *t = json_object_new_object(), *d = json_object_new_object();
        js_addf(t, "id", "tol_%zu", i);
        js_adds(t, "provider", "CLOSE");
        js_adds(d, "name", all[i].name);
        js_add(t, "definition", d);
        json_object_array_add(tools, t);
    }
    js_add(o, "tools", tools);
    js_addi(o, "total_size", (int64_t)n);
    if (i < n)
        js_addf(o, "next_page_token", "%zu", i);
    else
        js_adds(o, "next_page_token", "");
    st_reply_json(r, 200, o);
}

void
st_dispatch(struct st_app *app, struct st_request *q, struct st_reply *r)
{
    bool post = strcmp(q->method, "POST") == 0;
    if (strcmp(q->path, "/oauth/token") == 0 && post) {
        token(app, q, r);
        return;
    }
    if (st_has_prefix(q->path, "/proxy/")) {
        st_mutations_due(app);
        proxy(app, q, r);
        return;
    }
    if (!authorized(app, q, r))
        return;
    if (strcmp(q->path, "/api/v1/execute_tool") == 0 && post) {
        st_mutations_due(app);
        execute(app, q, r);
    } else if (st_has_prefix(q->path, "/api/v1/connected_accounts"))
        accounts(app, q, r);
    else if (strcmp(q->path, "/api/v1/tools") == 0 && !post)
        tool_list(q, r);
    else
        st_sk_error(r, 404, 5, "Not Found", NULL, NULL);
}
