/*
 * request.c - what to send: a tool with checked parameters, a proxy request or an account operation.
 *
 * A clo_request is complete and correct before a client ever sees it. Everything that can be known
 * without the service is checked here, so that a wrong argument costs nothing and changes nothing:
 * number, names, types and presence of arguments against the catalogue, the shape of JSON, the
 * path of a proxy call. Errors are ARG and name the tool and the argument.
 *
 * Three doors lead to one check: positional arguments (a function call), one JSON object (named
 * arguments, close_execute), and a row (INSERT, UPDATE, DELETE). Each only maps its names to
 * parameters; conversion is value.c's, and finish() looks at the result. Two decisions that depend on
 * settings, the read-only switch and sending messages, wait for clo_request_allowed, because a request
 * knows no client.
 *
 * A tool that the catalogue does not know may be newer than it. It is sent as it is, and because
 * nothing is known about it, it counts as a writer.
 *
 * Proxy paths decide where the access token travels, so they are refused rather than repaired: no dot
 * segments in any number of percent encodings, no backslash, fragment or control character. The check
 * looks at what servers on the way might make of the path, not only at what libcurl would send.
 *
 * Ownership: a request owns everything in it; values are copied. clo_call_new consumes it.
 */
#include "clo_int.h"

#include <string.h>
#include <strings.h>

#define PATH_MAX_BYTES 8192

/* ---- making and freeing --------------------------------------------------------------------- */

clo_request *
clo_request_new(clo_reqkind kind, const clo_tool *tool, const char *name, clo_err *err)
{
    clo_request *req = clo_calloc(1, sizeof(*req));
    if (req) {
        req->kind = kind;
        req->tool = tool;
        req->name = clo_strdup(name);
        req->params = clo_json_object();
        req->writes = tool && (tool->flags & CLO_TOOL_WRITES);
        req->creates = tool && tool->kind == CLO_CREATE;
    }
    if (!req || !req->name || !req->params) {
        clo_request_free(req);
        (void)clo_err_nomem(err);
        return NULL;
    }
    return req;
}

void
clo_request_free(clo_request *req)
{
    if (!req)
        return;
    clo_json_free(req->params);
    clo_free(req->name);
    clo_free(req->method);
    clo_free(req->path);
    clo_free(req->body);
    clo_free(req);
}

const char *
clo_request_name(const clo_request *req)
{
    return req->name;
}

bool
clo_request_writes(const clo_request *req)
{
    return req->writes;
}

/* Frees `req` unless the step went well. */
static clo_request *
keep_if(bool ok, clo_request *req)
{
    if (ok)
        return req;
    clo_request_free(req);
    return NULL;
}

/* ---- finding what was meant ------------------------------------------------------------------ */

static const char *
suggest_param(const clo_tool *tool, const char *name)
{
    size_t limit = strlen(name) / 3 + 1, best = limit + 1;
    const char *found = NULL;
    for (size_t i = 0; i < tool->n_params; i++) {
        size_t d = clo_name_distance(name, tool->params[i].name);
        if (d < best) {
            best = d;
            found = tool->params[i].name;
        }
    }
    return found;
}

static void
unknown_param(const clo_tool *tool, const char *name, clo_err *err)
{
    const char *near = suggest_param(tool, name);
    if (near)
        (void)clo_err_set(err, CLO_E_ARG, "%s: unknown argument %.80s; did you mean %s?",
                          tool->name, name, near);
    else
        (void)clo_err_set(err, CLO_E_ARG, "%s: unknown argument %.80s", tool->name, name);
}

/* ---- parameters ------------------------------------------------------------------------------ */

static bool
check_text(const clo_tool *tool, const clo_param *p, const clo_value *v, clo_err *err)
{
    bool text = v->type != CLO_T_NULL && v->type != CLO_T_INT && v->type != CLO_T_REAL &&
                v->type != CLO_T_BOOL;
    if (!text || clo_utf8_ok(v->text, v->len))
        return true;
    (void)clo_err_set(err, CLO_E_ARG, "%s: argument %s is not valid UTF-8 text", tool->name,
                      p->name);
    return false;
}

static bool
put_value(clo_request *req, const clo_param *p, const clo_value *v, clo_err *err)
{
    clo_json *j;
    if (!check_text(req->tool, p, v, err))
        return false;
    j = clo_json_of_value(v, p, req->tool->name, err);
    if (!j)
        return false;
    if (clo_json_put(req->params, p->name, j))
        return true;
    (void)clo_err_nomem(err);
    return false;
}

static bool
is_given(const clo_request *req, const char *name)
{
    return clo_json_type(clo_json_get(req->params, name)) != CLO_J_NULL;
}

static bool
check_required(const clo_request *req, clo_err *err)
{
    for (size_t i = 0; i < req->tool->n_params; i++) {
        const clo_param *p = &req->tool->params[i];
        if (!(p->flags & CLO_P_REQUIRED) || is_given(req, p->name))
            continue;
        (void)clo_err_set(err, CLO_E_ARG, "%s: argument %s is required", req->name, p->name);
        return false;
    }
    return true;
}

/* Without a filter this tool changes every task of the organization. */
static bool
check_bulk(const clo_request *req, clo_err *err)
{
    if (strcmp(req->name, "close_tasks_bulk_update") != 0)
        return true;
    for (size_t i = 0; i < req->tool->n_params; i++) {
        const char *name = req->tool->params[i].name;
        if (strncmp(name, "filter_", 7) == 0 && is_given(req, name))
            return true;
    }
    (void)clo_err_set(err, CLO_E_ARG,
                      "%s: give at least one filter_ argument; without one it changes every task",
                      req->name);
    return false;
}

/* Close writes the type of an SMS activity in capitals only. */
static bool
normalize(clo_request *req, clo_err *err)
{
    const char *type;
    if (strcmp(req->name, "close_activities_list") != 0)
        return true;
    type = clo_json_str(clo_json_get(req->params, "_type"), NULL);
    if (!type || strcasecmp(type, "sms") != 0 || clo_json_put_str(req->params, "_type", "SMS", 3))
        return true;
    (void)clo_err_nomem(err);
    return false;
}

/* What every request for a catalogued tool passes last. */
static bool
finish(clo_request *req, clo_err *err)
{
    return check_required(req, err) && check_bulk(req, err) && normalize(req, err);
}

clo_request *
clo_request_tool(const clo_tool *tool, size_t n, const clo_value *args, clo_err *err)
{
    clo_request *req;
    bool ok = true;
    clo_err_clear(err);
    if (n > tool->n_params) {
        (void)clo_err_set(err, CLO_E_ARG, "%s takes at most %zu arguments, %zu were given",
                          tool->name, tool->n_params, n);
        return NULL;
    }
    req = clo_request_new(CLO_REQ_TOOL, tool, tool->name, err);
    if (!req)
        return NULL;
    for (size_t i = 0; ok && i < n; i++)
        if (args[i].type != CLO_T_NULL)
            ok = put_value(req, &tool->params[i], &args[i], err);
    return keep_if(ok && finish(req, err), req);
}

/* ---- named arguments -------------------------------------------------------------------------- */

/* False: out of memory. Texts are borrowed from `j`. */
static bool
value_of_json(const clo_json *j, clo_value *out, clo_err *err)
{
    const char *s;
    size_t n = 0;
    switch (clo_json_type(j)) {
    case CLO_J_NULL:
        *out = clo_null();
        return true;
    case CLO_J_BOOL:
        *out = clo_bool(clo_json_bool(j));
        return true;
    case CLO_J_INT:
        *out = clo_int(clo_json_int(j));
        return true;
    case CLO_J_REAL:
        *out = clo_real(clo_json_real(j));
        return true;
    case CLO_J_STRING:
        s = clo_json_str(j, &n);
        *out = clo_text(s, n);
        return true;
    default:
        s = clo_json_text(j, &n);
        *out = clo_json_value(s, n);
        if (!s)
            (void)clo_err_nomem(err);
        return s != NULL;
    }
}

/* Parses user input: what is wrong with it is an ARG error of `name`. */
static clo_json *
parse_arg(const char *name, const char *what, const char *text, size_t len, clo_err *err)
{
    clo_err inner;
    clo_json *j;
    clo_err_clear(&inner);
    if (!clo_utf8_ok(text, len)) {
        (void)clo_err_set(err, CLO_E_ARG, "%s: %s is not valid UTF-8 text", name, what);
        return NULL;
    }
    j = clo_json_parse(text, len, what, &inner);
    if (j)
        return j;
    if (inner.code == CLO_E_NOMEM)
        (void)clo_err_nomem(err);
    else
        (void)clo_err_set(err, CLO_E_ARG, "%s: %s", name, inner.msg);
    return NULL;
}

/* The same for a JSON object; NULL text means an empty one. */
static clo_json *
parse_object(const char *name, const char *what, const char *text, size_t len, clo_err *err)
{
    clo_json *j = text ? parse_arg(name, what, text, len, err) : clo_json_object();
    if (!j && err->code == CLO_E_NONE)
        (void)clo_err_nomem(err);
    if (!j || clo_json_type(j) == CLO_J_OBJECT)
        return j;
    clo_json_free(j);
    (void)clo_err_set(err, CLO_E_ARG, "%s: %s must be a JSON object", name, what);
    return NULL;
}

clo_request *
clo_request_tool_json(const clo_tool *tool, const char *json, size_t len, clo_err *err)
{
    clo_request *req;
    clo_json *args;
    clo_json_iter it;
    bool ok = true;
    clo_err_clear(err);
    args = parse_object(tool->name, "the named arguments", json, len, err);
    if (!args)
        return NULL;
    req = clo_request_new(CLO_REQ_TOOL, tool, tool->name, err);
    if (req) {
        clo_json_iter_init(&it, args);
        while (ok && clo_json_iter_next(&it)) {
            const clo_param *p = clo_tool_param(tool, it.key);
            clo_value v;
            if (!value_of_json(it.value, &v, err)) {
                ok = false;
            } else if (!p) {
                unknown_param(tool, it.key, err);
                ok = false;
            } else if (v.type != CLO_T_NULL) {
                ok = put_value(req, p, &v, err);
            }
        }
        req = keep_if(ok && finish(req, err), req);
    }
    clo_json_free(args);
    return req;
}

static bool
tool_name_ok(const char *name)
{
    size_t n = strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_");
    return n > 0 && n <= 100 && name[n] == 0;
}

static bool
ends_with(const char *s, const char *end)
{
    size_t n = strlen(s), m = strlen(end);
    return n >= m && strcmp(s + n - m, end) == 0;
}

clo_request *
clo_request_execute(const char *name, const char *json, size_t len, clo_err *err)
{
    const clo_tool *tool;
    clo_request *req;
    clo_json *args;
    clo_err_clear(err);
    if (!name || !tool_name_ok(name)) {
        (void)clo_err_set(
            err, CLO_E_ARG,
            "close_execute: a tool name consists of lower case letters, digits and _");
        return NULL;
    }
    tool = clo_tool_find(name);
    if (tool)
        return clo_request_tool_json(tool, json, json ? len : 0, err);
    args = parse_object(name, "the named arguments", json, len, err);
    if (!args)
        return NULL;
    req = clo_request_new(CLO_REQ_TOOL, NULL, name, err);
    if (!req) {
        clo_json_free(args);
        return NULL;
    }
    clo_json_free(req->params);
    req->params = args;
    req->writes = true;
    req->creates = ends_with(name, "_create");
    return req;
}

clo_request *
clo_request_read(const char *name, clo_json *params, clo_err *err)
{
    const clo_tool *tool = clo_tool_find(name);
    clo_request *req;
    clo_err_clear(err);
    if (!tool || (tool->flags & CLO_TOOL_WRITES)) {
        clo_json_free(params);
        (void)clo_err_set(err, CLO_E_BUG, "%s is not a reading tool", name);
        return NULL;
    }
    req = clo_request_new(CLO_REQ_TOOL, tool, name, err);
    if (!req) {
        clo_json_free(params);
        return NULL;
    }
    clo_json_free(req->params);
    req->params = params;
    req->internal = true;
    return keep_if(normalize(req, err), req);
}

/* ---- proxy ------------------------------------------------------------------------------------ */

static int
hex(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = (char)(c | 0x20);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Decodes percent escapes once, in place. False: malformed. *changed: there were any. */
static bool
percent_decode(char *s, bool *changed)
{
    char *out = s;
    *changed = false;
    for (; *s; s++) {
        int hi, lo;
        if (*s != '%') {
            *out++ = *s;
            continue;
        }
        hi = hex(s[1]);
        lo = hi < 0 ? -1 : hex(s[2]);
        if (lo < 0 || hi * 16 + lo == 0)
            return false;
        *out++ = (char)(unsigned char)(hi * 16 + lo);
        s += 2;
        *changed = true;
    }
    *out = 0;
    return true;
}

static const char *
wrong_segments(const char *path)
{
    for (const char *s = path; *s; s++) {
        size_t n;
        if ((unsigned char)*s < ' ' || *s == 0x7f)
            return "has a control character";
        if (*s == '\\')
            return "has a backslash";
        if (*s != '/')
            continue;
        n = strcspn(s + 1, "/\\");
        if ((n == 1 && s[1] == '.') || (n == 2 && s[1] == '.' && s[2] == '.'))
            return "has a dot segment";
    }
    return NULL;
}

/* What is wrong with a proxy path (as "the path ..."), or NULL. `copy` is scratch of the same length. */
static const char *
wrong_path(const char *path, char *copy)
{
    const char *wrong = NULL;
    bool changed = true;
    if (path[0] != '/')
        return "does not begin with a slash";
    for (const char *s = path; *s; s++)
        if (*s <= ' ' || *s > '~' || *s == '#' || *s == '\\' || *s == '"')
            return "has a character that must be percent-encoded or is not allowed";
    copy[strcspn(copy, "?")] = 0;
    while (changed && !wrong) { /* ends: every decoding shortens the text */
        wrong = wrong_segments(copy);
        if (!wrong && !percent_decode(copy, &changed))
            return "has a wrong percent escape";
    }
    return wrong;
}

static bool
check_path(const char *path, clo_err *err)
{
    const char *wrong;
    char *copy;
    if (strlen(path) > PATH_MAX_BYTES) {
        (void)clo_err_set(err, CLO_E_ARG, "close_request: the path is too long");
        return false;
    }
    copy = clo_strdup(path);
    if (!copy) {
        (void)clo_err_nomem(err);
        return false;
    }
    wrong = wrong_path(path, copy);
    clo_free(copy);
    if (!wrong)
        return true;
    (void)clo_err_set(err, CLO_E_ARG, "close_request: the path %s", wrong);
    return false;
}

static bool
add_pair(clo_buf *b, const char *key, const clo_json *v, clo_err *err)
{
    clo_json_kind kind = clo_json_type(v);
    const char *s;
    size_t n = 0;
    if (kind == CLO_J_OBJECT || kind == CLO_J_ARRAY || kind == CLO_J_NULL) {
        (void)clo_err_set(
            err, CLO_E_ARG,
            "close_request: query parameter %.80s must be a text, number, boolean or an "
            "array of these",
            key);
        return false;
    }
    s = clo_json_str(v, &n);
    if (!s)
        s = clo_json_text(v, &n);
    if (!s) {
        (void)clo_err_nomem(err);
        return false;
    }
    (void)clo_buf_str(b, strchr(b->data ? b->data : "", '?') ? "&" : "?");
    (void)clo_buf_uri(b, key, strlen(key));
    (void)clo_buf_str(b, "=");
    return clo_buf_uri(b, s, n) || clo_buf_check(b, "close_request: the path", err) == CLO_OK;
}

/* The query object behind the path: arrays repeat their name, null leaves it out. */
static bool
add_query(clo_buf *b, const clo_json *query, clo_err *err)
{
    clo_json_iter it;
    clo_json_iter_init(&it, query);
    while (clo_json_iter_next(&it)) {
        clo_json_kind kind = clo_json_type(it.value);
        if (kind == CLO_J_NULL)
            continue;
        if (kind != CLO_J_ARRAY) {
            if (!add_pair(b, it.key, it.value, err))
                return false;
            continue;
        }
        for (size_t i = 0; i < clo_json_len(it.value); i++)
            if (!add_pair(b, it.key, clo_json_at(it.value, i), err))
                return false;
    }
    return true;
}

static bool
fill_proxy(clo_request *req, const char *path, const char *query, const char *body, clo_err *err)
{
    clo_buf url;
    clo_json *j;
    bool ok;
    j = parse_object("close_request", "the query", query, query ? strlen(query) : 0, err);
    if (!j)
        return false;
    clo_json_free(req->params);
    req->params = j; /* the log shows its names */
    clo_buf_init(&url, PATH_MAX_BYTES);
    ok = clo_buf_str(&url, path) && add_query(&url, j, err);
    if (ok)
        req->path = clo_buf_take(&url, NULL, "close_request: the path", err);
    else
        (void)clo_buf_check(&url, "close_request: the path", err);
    clo_buf_free(&url);
    if (!req->path || !body)
        return req->path != NULL;
    j = parse_arg("close_request", "the body", body, strlen(body), err);
    if (!j)
        return false;
    clo_json_free(j);
    req->body_len = strlen(body);
    req->body = clo_strdup(body);
    if (!req->body)
        (void)clo_err_nomem(err);
    return req->body != NULL;
}

clo_request *
clo_request_proxy(const char *method, const char *path, const char *query, const char *body,
                  clo_err *err)
{
    static const char *const methods[] = {"GET", "POST", "PUT", "PATCH", "DELETE"};
    clo_request *req;
    char name[128];
    bool known = false;
    size_t n;
    clo_err_clear(err);
    for (size_t i = 0; method && i < CLO_ARRAY_LEN(methods); i++)
        known = known || strcmp(method, methods[i]) == 0;
    if (!known) {
        (void)clo_err_set(err, CLO_E_ARG,
                          "close_request: method %.20s is none of GET, POST, PUT, PATCH, DELETE "
                          "(in capitals)",
                          method ? method : "NULL");
        return NULL;
    }
    if (!path) {
        (void)clo_err_set(err, CLO_E_ARG, "close_request: the path is missing");
        return NULL;
    }
    if (body && strcmp(method, "GET") == 0) {
        (void)clo_err_set(err, CLO_E_ARG, "close_request: GET takes no body");
        return NULL;
    }
    if (!check_path(path, err))
        return NULL;
    n = strlen(method);
    memcpy(name, method, n);
    name[n++] = ' ';
    clo_text_cut(name + n, sizeof(name) - n, path, strcspn(path, "?"));
    req = clo_request_new(CLO_REQ_PROXY, NULL, name, err);
    if (!req)
        return NULL;
    req->writes = strcmp(method, "GET") != 0;
    req->method = clo_strdup(method);
    if (!req->method) {
        (void)clo_err_nomem(err);
        return keep_if(false, req);
    }
    return keep_if(fill_proxy(req, path, query, body, err), req);
}

/* ---- accounts --------------------------------------------------------------------------------- */

static clo_request *
account_request(clo_reqkind kind, const char *name, const char *identifier, clo_err *err)
{
    clo_request *req;
    size_t n = identifier ? strlen(identifier) : 0;
    clo_err_clear(err);
    if (identifier && (n == 0 || n > 100 || !clo_utf8_ok(identifier, n))) {
        (void)clo_err_set(err, CLO_E_ARG, "%s: an identifier is a text of 1 to 100 bytes", name);
        return NULL;
    }
    req = clo_request_new(kind, NULL, name, err);
    if (req && identifier && !clo_json_put_str(req->params, "identifier", identifier, n)) {
        (void)clo_err_nomem(err);
        return keep_if(false, req);
    }
    return req;
}

clo_request *
clo_request_link(const char *identifier, clo_err *err)
{
    return account_request(CLO_REQ_LINK, "close_authorization_link", identifier, err);
}

clo_request *
clo_request_account(const char *identifier, clo_err *err)
{
    return account_request(CLO_REQ_ACCOUNT, "close_account", identifier, err);
}

/* ---- rows ------------------------------------------------------------------------------------- */

static const clo_tool *
row_tool(const clo_table *table, clo_kind kind, clo_err *err)
{
    const char *name = kind == CLO_CREATE   ? table->create
                       : kind == CLO_UPDATE ? table->update
                                            : table->remove;
    const char *verb = kind == CLO_CREATE   ? "inserted into"
                       : kind == CLO_UPDATE ? "updated"
                                            : "deleted from";
    const clo_tool *tool = name ? clo_tool_find(name) : NULL;
    if (!tool)
        (void)clo_err_set(err, CLO_E_ARG, "%s cannot be %s: Close has no tool for that",
                          table->name, verb);
    return tool;
}

/* The parameter that names the row: that of the get tool, else the first required one. */
static const clo_param *
id_param(const clo_table *table, const clo_tool *tool)
{
    const clo_param *p = table->get_param ? clo_tool_param(tool, table->get_param) : NULL;
    for (size_t i = 0; !p && i < tool->n_params; i++)
        if ((tool->params[i].flags & CLO_P_REQUIRED) && ends_with(tool->params[i].name, "_id"))
            p = &tool->params[i];
    return p;
}

static const clo_param *
param_of_column(const clo_table *table, const clo_tool *tool, clo_kind kind, const clo_column *c)
{
    for (size_t i = 0; i < table->n_aliases; i++)
        if (table->aliases[i].kind == kind && strcmp(table->aliases[i].column, c->name) == 0)
            return clo_tool_param(tool, table->aliases[i].param);
    return clo_tool_param(tool, c->name);
}

static bool
null_in_row(clo_request *req, clo_kind kind, const clo_param *p, clo_err *err)
{
    if (kind == CLO_CREATE)
        return true; /* check_required speaks up if it has to */
    if (clo_json_put_null(req->params, p->name))
        return true;
    (void)clo_err_nomem(err);
    return false;
}

/* A subscription's status is written through a boolean: pausing and resuming are its only changes. */
static bool
status_to_pause(const clo_table *table, const clo_value *v, clo_value *out, clo_err *err)
{
    bool text = v->type == CLO_T_TEXT;
    if (text && v->len == 6 && memcmp(v->text, "paused", 6) == 0)
        *out = clo_bool(true);
    else if (text && v->len == 6 && memcmp(v->text, "active", 6) == 0)
        *out = clo_bool(false);
    else {
        (void)clo_err_set(err, CLO_E_ARG, "%s: status can be set to 'paused' or 'active' only",
                          table->name);
        return false;
    }
    return true;
}

static bool
put_column(clo_request *req, const clo_table *table, clo_kind kind, const clo_param *id, int column,
           const clo_value *v, clo_err *err)
{
    const clo_column *c = &table->columns[column];
    const clo_param *p = param_of_column(table, req->tool, kind, c);
    clo_value paused;
    if (v->type == CLO_T_NULL && kind == CLO_CREATE)
        return true; /* hosts hand over every column of a new row */
    if (!p || (c->flags & CLO_C_KEY) || (p == id && kind != CLO_CREATE)) {
        (void)clo_err_set(err, CLO_E_ARG, "%s: column %s cannot be set: %s has no such parameter",
                          table->name, c->name, req->tool->name);
        return false;
    }
    if (v->type == CLO_T_NULL)
        return null_in_row(req, kind, p, err);
    if (strcmp(p->name, "pause") == 0 && strcmp(c->name, "status") == 0) {
        if (!status_to_pause(table, v, &paused, err))
            return false;
        v = &paused;
    }
    return put_value(req, p, v, err);
}

static bool
put_id(clo_request *req, const clo_table *table, const clo_param *p, const char *id, clo_err *err)
{
    clo_value v;
    if (!p || !id || !*id) {
        (void)clo_err_set(err, p ? CLO_E_ARG : CLO_E_BUG, "%s: the row has no id", table->name);
        return false;
    }
    v = clo_text(id, strlen(id));
    return put_value(req, p, &v, err);
}

clo_request *
clo_request_row(const clo_table *table, clo_kind kind, const char *id, size_t n, const int *cols,
                const clo_value *vals, clo_err *err)
{
    const clo_tool *tool;
    const clo_param *key = NULL;
    clo_request *req;
    bool ok = true;
    clo_err_clear(err);
    tool = row_tool(table, kind, err);
    if (!tool)
        return NULL;
    req = clo_request_new(CLO_REQ_TOOL, tool, tool->name, err);
    if (!req)
        return NULL;
    if (kind != CLO_CREATE) {
        key = id_param(table, tool);
        ok = put_id(req, table, key, id, err);
    }
    if (ok && kind == CLO_UPDATE && n == 0) {
        (void)clo_err_set(err, CLO_E_ARG, "%s: the update changes no column", table->name);
        ok = false;
    }
    for (size_t i = 0; ok && kind != CLO_DELETE && i < n; i++)
        ok = put_column(req, table, kind, key, cols[i], &vals[i], err);
    return keep_if(ok && finish(req, err), req);
}

/* ---- what settings forbid --------------------------------------------------------------------- */

static bool
status_sends(const clo_json *obj)
{
    const char *status = clo_json_str(clo_json_get(obj, "status"), NULL);
    return status && (strcasecmp(status, "outbox") == 0 || strcasecmp(status, "scheduled") == 0);
}

/* Would this send an email or SMS to somebody? A proxy body is looked at whatever its path: paths can
 * be written in many ways, and no other object of Close has these two states. Without the memory for a look
 * the answer is yes, and `err` says so. */
static bool
sends_message(const clo_request *req, clo_err *err)
{
    clo_json *body;
    bool sends;
    if (!req->writes)
        return false;
    if (req->kind == CLO_REQ_TOOL)
        return (!req->tool || (req->tool->flags & CLO_TOOL_MESSAGES)) && status_sends(req->params);
    if (!req->body)
        return false;
    body = clo_json_parse(req->body, req->body_len, "the body", err);
    sends = !body || status_sends(body); /* it parsed before: only memory can be missing */
    clo_json_free(body);
    return sends;
}

clo_status
clo_request_allowed(const clo_request *req, const clo_config *config, clo_err *err)
{
    if (req->writes && clo_config_int(config, CLO_OPT_READONLY)) {
        (void)clo_err_set(err, CLO_E_FORBIDDEN, "%s: this connection is read-only", req->name);
        err->hint = "the setting readonly is on";
        return CLO_ERROR;
    }
    if (!clo_config_int(config, CLO_OPT_ALLOW_MESSAGES) && sends_message(req, err)) {
        if (err->code == CLO_E_NOMEM)
            return CLO_ERROR;
        (void)clo_err_set(err, CLO_E_FORBIDDEN,
                          "%s: status outbox or scheduled sends a message to people, which is not "
                          "enabled",
                          req->name);
        err->hint = "set allow_messages on, or use status draft";
        return CLO_ERROR;
    }
    return CLO_OK;
}
