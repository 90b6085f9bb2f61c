/*
 * message.c - what a call sends: the URL and the body, made once, before anything leaves.
 *
 * A tool call is one JSON object for execute_tool; a proxy request goes to Close's own path, with its
 * body as the user wrote it; account calls have endpoints of their own. Repetitions send the same bytes
 * again. Everything is checked or encoded here, so that no setting can break out of its place: texts in a
 * URL are percent-encoded, and what travels in a header line must be printable ASCII.
 *
 * Ownership: url and body belong to the call, which frees them in any state; a failure leaves them as
 * far as they were made.
 */
#include "clo_int.h"

#include <string.h>

/* Parameters that hold JSON as text, as the tools document them, sent as JSON itself. */
static clo_json *
native_params(const clo_request *req, clo_err *err)
{
    clo_json *out = clo_json_object();
    clo_json_iter it;
    bool ok = out != NULL;
    clo_json_iter_init(&it, req->params);
    while (ok && clo_json_iter_next(&it)) {
        const clo_param *p = req->tool ? clo_tool_param(req->tool, it.key) : NULL;
        size_t n = 0;
        const char *s = clo_json_str(it.value, &n);
        clo_json *v;
        if (!(p && (p->flags & CLO_P_JSONTEXT) && s))
            s = clo_json_text(it.value, &n);
        v = s ? clo_json_parse(s, n, it.key, err) : NULL;
        ok = v && clo_json_put(out, it.key, v);
    }
    if (ok)
        return out;
    clo_json_free(out);
    if (err->code == CLO_E_NONE)
        (void)clo_err_nomem(err);
    return NULL;
}

static bool
keep_text(clo_call *call, const clo_json *doc, clo_err *err)
{
    const char *s = doc ? clo_json_text(doc, &call->body_len) : NULL;
    call->body = s ? clo_strndup(s, call->body_len) : NULL;
    if (!call->body)
        (void)clo_err_nomem(err);
    return call->body != NULL;
}

/* {"connector", "identifier"} and, for a tool, its name and parameters. */
static bool
make_body(clo_call *call, clo_err *err)
{
    const clo_request *req = call->req;
    bool native = clo_config_int(&call->client->config, CLO_OPT_JSON_PARAMS) == 1;
    clo_json *doc = clo_json_object(), *params = NULL;
    bool ok = doc &&
              clo_json_put_str(doc, "connector", call->connection, strlen(call->connection)) &&
              clo_json_put_str(doc, "identifier", call->identifier, strlen(call->identifier));
    if (ok && req->kind == CLO_REQ_TOOL) {
        ok = clo_json_put_str(doc, "tool_name", req->name, strlen(req->name));
        if (ok)
            params = native ? native_params(req, err) : clo_json_ref(req->params);
        ok = params && clo_json_put(doc, "params", params);
    }
    if (!ok && err->code == CLO_E_NONE)
        (void)clo_err_nomem(err);
    ok = ok && keep_text(call, doc, err);
    clo_json_free(doc);
    return ok;
}

/* Both travel in header lines of a proxy request. */
static bool
check_header_text(const char *what, const char *s, clo_err *err)
{
    for (const char *p = s; *p; p++) {
        if (*p >= ' ' && *p <= '~')
            continue;
        (void)clo_err_set(err, CLO_E_CONFIG,
                          "the setting %s has a character that a proxy request cannot carry", what);
        return false;
    }
    return true;
}

static bool
make_url(clo_call *call, const char *path, bool with_account, clo_err *err)
{
    clo_buf b;
    clo_buf_init(&b, 32768);
    (void)clo_buf_add(&b, call->env_url, strlen(call->env_url));
    while (b.len && b.data[b.len - 1] == '/')
        b.len--;
    (void)clo_buf_str(&b, path);
    if (with_account) {
        (void)clo_buf_str(&b, "?connector=");
        (void)clo_buf_uri(&b, call->connection, strlen(call->connection));
        (void)clo_buf_str(&b, "&identifier=");
        (void)clo_buf_uri(&b, call->identifier, strlen(call->identifier));
    }
    call->url = clo_buf_take(&b, NULL, "the URL", err);
    clo_buf_free(&b);
    return call->url != NULL;
}

static bool
make_proxy(clo_call *call, clo_err *err)
{
    clo_buf path;
    bool ok;
    if (!check_header_text("connection", call->connection, err) ||
        !check_header_text("identifier", call->identifier, err))
        return false;
    clo_buf_init(&path, 32768);
    (void)clo_buf_str(&path, "/proxy");
    (void)clo_buf_str(&path, call->req->path);
    ok =
        clo_buf_check(&path, "the path", err) != CLO_ERROR && make_url(call, path.data, false, err);
    clo_buf_free(&path);
    if (!ok || !call->req->body)
        return ok;
    call->body_len = call->req->body_len;
    call->body = clo_strndup(call->req->body, call->body_len);
    if (!call->body)
        (void)clo_err_nomem(err);
    return call->body != NULL;
}

bool
clo_call_message(clo_call *call, clo_err *err)
{
    switch (call->req->kind) {
    case CLO_REQ_PROXY:
        return make_proxy(call, err);
    case CLO_REQ_ACCOUNT:
        return make_url(call, "/api/v1/connected_accounts/details", true, err);
    case CLO_REQ_LINK:
        return make_url(call, "/api/v1/connected_accounts/magic_link", false, err) &&
               make_body(call, err);
    default:
        return make_url(call, "/api/v1/execute_tool", false, err) && make_body(call, err);
    }
}
