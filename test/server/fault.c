/*
 * Faults: which request goes wrong, and how.
 *
 * A fault is a JSON object as the test posted it. It names what it hits (tool, path prefix, a
 * subset of parameters), how many hits to let pass (skip) and how many to take (times, 0 = all).
 * Faults act at four points: before anything is done, on the question to Close, on Close's answer,
 * and on the bytes on their way out; the last group is in send.c because it needs the socket.
 */
#include "standin.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const kinds[] = {
    "delay",        "stall",       "slow",        "reset_before", "reset_after",  "truncate",
    "wrong_length", "garbage",     "html",        "status",       "expire_token", "account_expired",
    "huge",         "bad_utf8",    "dup_keys",    "bad_type",     "drop_field",   "extra_rows",
    "ignore_param", "repeat_page", "no_has_more", "no_total",     "short_page",   "redirect",
    "canned",       "bad_envelope"};

bool
st_kind_is(js *fault, const char *kind)
{
    const char *k = js_str(fault, "kind");
    return k && strcmp(k, kind) == 0;
}

bool
st_fault_valid(js *fault, char *err, size_t cap)
{
    const char *kind = js_str(fault, "kind"), *tool = js_str(fault, "tool");
    static const char *const members[] = {
        "tool",  "path",   "params", "skip",       "times",       "kind",
        "ms",    "status", "shape",  "error_code", "message",     "text",
        "field", "value",  "row",    "param",      "retry_after", "ratelimit",
        "bytes", "n",      "body",   "headers",    "location",    "raw",
        "delta", "effect", "after",  "no_length",  "hold"};
    json_object_object_foreach(fault, key, val)
    {
        bool known = false;
        (void)val;
        for (size_t i = 0; i < ST_LEN(members); i++)
            known |= strcmp(members[i], key) == 0;
        if (!known) {
            snprintf(err, cap, "unknown member '%.80s' in a fault", key);
            return false;
        }
    }
    bool found = false;
    for (size_t i = 0; kind && i < ST_LEN(kinds); i++)
        found |= strcmp(kinds[i], kind) == 0;
    if (!found)
        snprintf(err, cap, "unknown fault kind '%s'", kind ? kind : "(none)");
    else if (tool && !st_tool_find(tool) && !strchr(tool, '*'))
        snprintf(err, cap, "unknown tool '%s' in a fault", tool);
    else
        return true;
    return false;
}

static bool
subset(js *want, js *have)
{
    json_object_object_foreach(want, key, v)
    {
        js *h = js_ref(have, key);
        if (!h && v)
            return false;
        if (json_object_equal(h, v))
            continue;
        if (!h || !v || strcmp(json_object_get_string(h), json_object_get_string(v)))
            return false;
    }
    return true;
}

static bool
tool_matches(const char *pattern, const char *tool)
{
    size_t n = strcspn(pattern, "*");
    if (!tool)
        return false;
    return pattern[n] ? strncmp(pattern, tool, n) == 0 : strcmp(pattern, tool) == 0;
}

static bool
hits(js *f, const char *tool, const char *path, js *params)
{
    const char *want_tool = js_str(f, "tool"), *want_path = js_str(f, "path");
    if (want_tool && !tool_matches(want_tool, tool))
        return false;
    if (want_path && !st_has_prefix(path, want_path))
        return false;
    if (!want_tool && !want_path && !tool && !st_has_prefix(path, "/proxy/"))
        return false; /* a fault that names nothing is meant for calls, not for tokens */
    js *want = js_ref(f, "params");
    return !js_is(want, json_type_object) || subset(want, params);
}

/* The first fault that hits, as a copy; its counters move on. NULL: none. */
js *
st_fault_take(struct st_app *app, const char *tool, const char *path, js *params)
{
    for (size_t i = 0; i < json_object_array_length(app->faults); i++) {
        js *f = json_object_array_get_idx(app->faults, i);
        if (!hits(f, tool, path, params))
            continue;
        int64_t skip = js_int(f, "skip", 0), times = js_int(f, "times", 1);
        if (skip > 0) {
            js_addi(f, "skip", skip - 1);
            continue;
        }
        js *out = js_copy(f);
        if (times == 1)
            json_object_array_del_idx(app->faults, i, 1);
        else if (times > 1)
            js_addi(f, "times", times - 1);
        return out;
    }
    return NULL;
}

/* ---- answers made up here ---- */

static void
plain(struct st_reply *r, int status, const char *type, const char *text)
{
    r->status = status;
    snprintf(r->type, sizeof r->type, "%s", type);
    r->body.n = 0;
    st_puts(&r->body, text);
}

static js *
close_body(const char *shape, const char *message)
{
    js *o = json_object_new_object(), *fe = json_object_new_object();
    if (strcmp(shape, "close-error") == 0) {
        json_object_put(fe);
        js_adds(o, "error", message);
        return o;
    }
    js_adds(fe, "name", message);
    if (strcmp(shape, "close-validation") == 0)
        js_add(o, "errors", json_object_new_array());
    js_add(o, "field-errors", fe);
    return o;
}

static int
grpc_code(int status)
{
    static const int map[][2] = {{400, 3}, {401, 16}, {403, 7},  {404, 5},  {409, 10}, {429, 8},
                                 {499, 1}, {500, 13}, {501, 12}, {503, 14}, {504, 4}};
    for (size_t i = 0; i < ST_LEN(map); i++)
        if (map[i][0] == status)
            return map[i][1];
    return 2;
}

static void
status_headers(js *f, struct st_reply *r)
{
    js *after = js_ref(f, "retry_after"), *limit = js_ref(f, "ratelimit");
    if (after)
        st_header(r, "Retry-After", "%s", json_object_get_string(after));
    if (limit)
        st_header(r, "RateLimit", "%s", json_object_get_string(limit));
}

static void
answer_status(struct st_app *app, struct st_request *q, struct st_reply *r)
{
    js *f = q->fault;
    int status = (int)js_int(f, "status", 500);
    const char *shape = js_str(f, "shape"), *message = js_str(f, "message");
    const char *code = js_str(f, "error_code");
    bool proxy = st_has_prefix(q->path, "/proxy/");
    if (!shape)
        shape = "grpc";
    if (!message)
        message = "a fault was asked for";
    if (st_has_prefix(shape, "close-")) {
        js *o = close_body(shape, message);
        if (proxy)
            st_reply_json(r, status, json_object_get(o));
        else
            st_tool_error(r, app, status, js_text(o));
        json_object_put(o);
    } else if (st_has_prefix(shape, "tool_error")) {
        bool keep = strcmp(shape, "tool_error_kept") == 0;
        js *o = close_body("close-error", message);
        st_tool_error_as(r, app, keep ? status : 400,
                         js_str(f, "text") ? js_str(f, "text") : js_text(o));
        json_object_put(o);
    } else if (strcmp(shape, "proxy") == 0) {
        js *o = json_object_new_object();
        js_adds(o, "detail", message);
        js_adds(o, "code", code ? code : "NOT_FOUND");
        st_reply_json(r, status, o);
    } else if (strcmp(shape, "plain") == 0)
        plain(r, status, "text/plain", message);
    else if (strcmp(shape, "empty") == 0 || strcmp(shape, "rate_headers_only") == 0)
        plain(r, status, "text/plain", "");
    else if (strcmp(shape, "oauth") == 0) {
        js *o = json_object_new_object();
        js_adds(o, "error", code ? code : "invalid_client");
        js_adds(o, "error_description", message);
        st_reply_json(r, status, o);
    } else
        st_sk_error(r, status, grpc_code(status), message, code, NULL);
    status_headers(f, r);
}

static void
answer_canned(js *f, struct st_reply *r)
{
    js *headers = js_ref(f, "headers");
    const char *body = js_str(f, "body");
    js *json = js_ref(f, "body");
    plain(r, (int)js_int(f, "status", 200), "application/json",
          body   ? body
          : json ? js_text(json)
                 : "");
    if (!js_is(headers, json_type_object))
        return;
    json_object_object_foreach(headers, key, v)
    {
        if (strcasecmp(key, "content-type") == 0)
            snprintf(r->type, sizeof r->type, "%s", json_object_get_string(v));
        else
            st_header(r, key, "%s", json_object_get_string(v));
    }
}

enum st_when
st_fault_before(struct st_app *app, struct st_request *q, struct st_reply *r)
{
    js *f = q->fault;
    if (st_kind_is(f, "reset_before"))
        return ST_DROP;
    if (st_kind_is(f, "status"))
        answer_status(app, q, r);
    else if (st_kind_is(f, "html"))
        plain(r, (int)js_int(f, "status", 502), "text/html",
              "<html><head><title>502 Bad Gateway</title></head><body>Bad Gateway</body></html>");
    else if (st_kind_is(f, "garbage"))
        plain(r, 200, "application/json", "{\"data\": <garbage> not json");
    else if (st_kind_is(f, "bad_envelope"))
        plain(r, 200, "application/json", "[1, 2, 3]");
    else if (st_kind_is(f, "canned"))
        answer_canned(f, r);
    else if (st_kind_is(f, "redirect")) {
        plain(r, 302, "text/plain", "");
        st_header(r, "Location", "%s", js_str(f, "location") ? js_str(f, "location") : "/");
    } else if (st_kind_is(f, "expire_token")) {
        const char *bearer = q->authorization;
        if (bearer && st_has_prefix(bearer, "Bearer "))
            json_object_object_del(app->tokens, bearer + 7);
        st_sk_error(r, 401, 16, "Token expired", "UNAUTHENTICATED", NULL);
    } else if (st_kind_is(f, "account_expired")) {
        const char *id = js_str(q->json, "identifier");
        struct st_account *acct = st_account_find(app, id ? id : q->identifier);
        if (acct)
            snprintf(acct->status, sizeof acct->status, "EXPIRED");
        if (st_has_prefix(q->path, "/proxy/"))
            plain(r, 401, "application/json", "{\"error\": \"Unauthorized\"}");
        else
            st_tool_error(r, app, 401, "{\"error\": \"Unauthorized\"}");
    } else if (st_kind_is(f, "huge"))
        r->status = 200; /* send.c streams it */
    else
        return ST_GO;
    return ST_ANSWERED;
}

/* ---- the question ---- */

void
st_fault_call(js *fault, struct st_call *c)
{
    if (st_kind_is(fault, "ignore_param") && js_str(fault, "param"))
        json_object_object_del(c->query, js_str(fault, "param"));
    if (st_kind_is(fault, "extra_rows")) {
        /* none of the filters is honoured; paging is */
        struct json_object_iter it;
        js *kept = json_object_new_object();
        json_object_object_foreachC(c->query, it)
        {
            if (it.key[0] == '_' && strcmp(it.key, "_type"))
                js_add(kept, it.key, json_object_get(it.val));
        }
        json_object_put(c->query);
        c->query = kept;
    }
    if (st_kind_is(fault, "repeat_page")) {
        const char *limit = js_str(c->query, "_limit"), *skip = js_str(c->query, "_skip");
        int64_t n = limit ? strtoll(limit, NULL, 10) : 100;
        int64_t at = (skip ? strtoll(skip, NULL, 10) : 0) - n;
        js_addf(c->query, "_skip", "%lld", (long long)(at > 0 ? at : 0));
    }
    if (st_kind_is(fault, "short_page"))
        js_addf(c->query, "_limit", "%lld", (long long)js_int(fault, "n", 1));
}

/* ---- Close's answer ---- */

static void
change_row(js *fault, js *row)
{
    const char *field = js_str(fault, "field");
    if (!field || !js_is(row, json_type_object))
        return;
    if (st_kind_is(fault, "drop_field"))
        json_object_object_del(row, field);
    else
        js_add(row, field, js_copy(js_ref(fault, "value")));
}

void
st_fault_rows(js *fault, struct st_answer *a)
{
    js *rows = js_ref(a->body, "data");
    if (!fault || a->status >= 300 || !a->body)
        return;
    if (st_kind_is(fault, "no_has_more"))
        json_object_object_del(a->body, "has_more");
    if (st_kind_is(fault, "no_total"))
        json_object_object_del(a->body, "total_results");
    if (!st_kind_is(fault, "bad_type") && !st_kind_is(fault, "drop_field"))
        return;
    if (!js_is(rows, json_type_array)) {
        change_row(fault, a->body);
        return;
    }
    int64_t only = js_int(fault, "row", -1);
    for (size_t i = 0; i < json_object_array_length(rows); i++)
        if (only < 0 || only == (int64_t)i)
            change_row(fault, json_object_array_get_idx(rows, i));
}

/* ---- the text ---- */

void
st_fault_body(js *fault, struct st_reply *r)
{
    bool dup = st_kind_is(fault, "dup_keys"), utf8 = st_kind_is(fault, "bad_utf8");
    if ((!dup && !utf8) || r->body.n < 3)
        return;
    struct st_text t = {0};
    const char *s = r->body.s, *at = dup ? s + 1 : NULL;
    if (utf8) { /* inside the first text of the rows */
        at = strstr(s, "[{");
        at = strstr(at ? at : s, "\":\"");
        at = at ? at + 3 : s + r->body.n - 1;
    }
    st_put(&t, s, (size_t)(at - s));
    st_puts(&t, dup ? "\"data\":{\"data\":[],\"has_more\":false}," : "\xff\xfe");
    st_puts(&t, at);
    st_text_free(&r->body);
    r->body = t;
}
