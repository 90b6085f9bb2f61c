/*
 * classify.c - from an HTTP answer to an error of the right class, with the service's own words.
 *
 * Three parties speak in the same place: Scalekit's API (gRPC-gateway bodies with `details`), its proxy
 * (`{"detail","code"}`), and Close, whose body arrives verbatim through the proxy and as a string
 * inside `tool_error_message` through execute_tool. On top of that, any of them may sit behind a
 * gateway that answers in HTML. All of them must end in one table of classes.
 *
 * Rules
 *  - The status decides the class; `error_code` and the words refine it. Scalekit reports most failures
 *    of a tool as a generic 400 (or, by its own description, 500), so for those two, and only for
 *    a TOOL_ERROR, Close's body decides.
 *  - `provider` is set only when Close said it. A read by id turns "Close says: no such object" into no
 *    row; everything else that is called 404 (an unknown connection, a wrong URL) must stay an error,
 *    or a typing mistake in a setting would look like an empty CRM.
 *  - Validation bodies (`errors`, `field-errors`) are always a refusal of the content, whatever words
 *    they use: "Object does not exist." there speaks about a reference in the body.
 *  - A 401 concerns either the bearer, which is worth one refresh, or the connected account, which only
 *    a person can repair. Only the former sets *bearer_refused.
 *  - For a write, an answer that does not say whether it happened is UNCERTAIN.
 *
 * Everything works on bounded stack buffers and borrowed JSON; the only allocation is the parse of the
 * inner document, and running out of memory there is reported as such, never as another class.
 */
#include "clo_int.h"

#include <string.h>
#include <strings.h>

static const char hint_link[] = "authorize the account again: close_authorization_link() gives the "
                                "link, close_account() the state";
static const char hint_bearer[] =
    "check client_id, client_secret and that env_url is the environment they belong to";
static const char hint_connection[] =
    "check the setting connection: it must be the exact connection name of AgentKit > Connections";
static const char hint_account[] =
    "check the setting identifier; close_authorization_link() connects a new account";
static const char hint_disabled[] =
    "the connection is switched off: enable it in AgentKit > Connections";
static const char hint_proxy[] =
    "the proxy is switched off for this environment: use the tool functions, "
    "or ask Scalekit to enable it";
static const char hint_proxy_401[] = "the proxy does not renew Close's token, tools do: run "
                                     "close_me_get() and repeat; if that fails "
                                     "too, close_authorization_link()";
static const char hint_url[] = "check env_url: this does not look like a Scalekit environment";
static const char hint_slash[] = "Close's paths end with a slash";
static const char hint_tool[] = "close_tools lists the tools; the connector may not have this one";
static const char hint_uncertain[] = "look at the object in Close before repeating the statement";

/* ---- words -------------------------------------------------------------------------------- */

typedef struct words { /* text that stops growing when it is full */
    char text[480];
    size_t len;
} words;

static void
words_add(words *w, const char *s, size_t n)
{
    size_t room = sizeof(w->text) - 1 - w->len;
    if (n > room)
        n = room;
    memcpy(w->text + w->len, s, n);
    w->len += n;
    w->text[w->len] = 0;
}

static void
words_str(words *w, const char *s)
{
    words_add(w, s, strlen(s));
}

static bool
has(const char *text, const char *what)
{
    return strcasestr(text, what) != NULL;
}

static bool
has_any(const char *text, const char *const *list)
{
    for (; *list; list++)
        if (has(text, *list))
            return true;
    return false;
}

/* The string member, or "" when it is absent, null or of another type. */
static const char *
member(const clo_json *obj, const char *key)
{
    const char *s = clo_json_str(clo_json_get(obj, key), NULL);
    return s ? s : "";
}

/* Where a message in nested field-errors belongs: "emails.0.email". */
typedef struct place {
    const struct place *up;
    const char *name;
} place;

static void
words_place(words *w, const place *at)
{
    if (at->up) {
        words_place(w, at->up);
        words_str(w, ".");
    }
    words_str(w, at->name);
}

static void flatten(words *w, const clo_json *j, const place *at, int depth);

static void
flatten_members(words *w, const clo_json *obj, const place *at, int depth)
{
    clo_json_iter it;
    clo_json_iter_init(&it, obj);
    while (clo_json_iter_next(&it)) {
        /* These two only structure the answer; everything else is a field or an index. */
        if (strcmp(it.key, "errors") == 0 || strcmp(it.key, "field-errors") == 0) {
            flatten(w, it.value, at, depth + 1);
        } else {
            place here = {at, it.key};
            flatten(w, it.value, &here, depth + 1);
        }
    }
}

static void
flatten(words *w, const clo_json *j, const place *at, int depth)
{
    size_t n;
    const char *s;
    if (depth > 12)
        return;
    switch (clo_json_type(j)) {
    case CLO_J_OBJECT:
        flatten_members(w, j, at, depth);
        break;
    case CLO_J_ARRAY:
        for (size_t i = 0; i < clo_json_len(j); i++)
            flatten(w, clo_json_at(j, i), at, depth + 1);
        break;
    case CLO_J_NULL:
        break;
    default:
        s = clo_json_str(j, &n);
        if (!s)
            s = clo_json_text(j, &n);
        if (!s || n == 0)
            break;
        if (w->len)
            words_str(w, "; ");
        if (at) {
            words_place(w, at);
            words_str(w, ": ");
        }
        words_add(w, s, n);
    }
}

/* The title of an HTML page, else its beginning. */
static void
words_html(words *w, const char *text)
{
    const char *open = strcasestr(text, "<title"), *from = open ? strchr(open, '>') : NULL;
    const char *to = from ? strchr(from, '<') : NULL;
    words_str(w, "a web page");
    if (to && to > from + 1) {
        size_t n = (size_t)(to - from) - 1;
        words_str(w, ": ");
        words_add(w, from + 1, n > 80 ? 80 : n);
    }
}

static bool
is_html(const char *text)
{
    text += strspn(text, " \t\r\n");
    return *text == '<';
}

static void
words_raw(words *w, const char *text)
{
    size_t n = strlen(text);
    if (is_html(text))
        words_html(w, text);
    else
        words_add(w, text, n > 300 ? 300 : n);
}

/* ---- what an answer says -------------------------------------------------------------------- */

typedef struct report {
    const char *what;
    int http_status; /* of the answer */
    int status;      /* the same, or the one that the words carry */
    bool proxy, writes;
    bool tool_error;       /* the tool ran and failed */
    bool close_body;       /* `close` is Close's own error object */
    bool validation;       /* errors, field-errors */
    bool single;           /* one `error` text */
    int64_t rate_reset_ms; /* -1: none */
    char code[64];         /* error_code, or the proxy's code */
    char request_id[64];
    words said; /* for err->detail */
} report;

static void
copy_text(char *dst, size_t cap, const char *src)
{
    clo_text_cut(dst, cap, src, strlen(src));
}

/* Close's error object in its three shapes; false when it is none of them. */
static bool
read_close(report *r, const clo_json *body)
{
    const clo_json *error = clo_json_get(body, "error");
    if (clo_json_type(body) != CLO_J_OBJECT)
        return false;
    if (clo_json_has(body, "field-errors") ||
        clo_json_type(clo_json_get(body, "errors")) == CLO_J_ARRAY) {
        r->validation = true;
        flatten_members(&r->said, body, NULL, 0);
    } else if (clo_json_type(error) == CLO_J_STRING) {
        r->single = true;
        words_str(&r->said, member(body, "error"));
    } else if (clo_json_type(error) == CLO_J_OBJECT) { /* the older body of a 429 */
        const clo_json *reset = clo_json_get(error, "rate_reset");
        clo_json_kind kind = clo_json_type(reset);
        r->single = true;
        words_str(&r->said, member(error, "message"));
        if (kind == CLO_J_INT || kind == CLO_J_REAL) {
            double seconds = clo_json_real(reset);
            r->rate_reset_ms = seconds > 0 && seconds < 86400 ? (int64_t)(seconds * 1000) : 0;
        }
    } else {
        return false;
    }
    r->close_body = true;
    return true;
}

/* A status that free text carries: "request failed with status 404: ...", "HTTP 502", "404 Not
 * Found". 0 when it carries none. */
static int
status_in_text(const char *text)
{
    static const char *const before[] = {"status code", "status", "http/1.1", "http/2", "http"};
    const char *p = text + strspn(text, " \t\r\n");
    if (p[0] < '3' || p[0] > '5') {
        p = NULL;
        for (size_t i = 0; i < CLO_ARRAY_LEN(before) && !p; i++) {
            const char *hit = strcasestr(text, before[i]);
            if (hit)
                p = hit + strlen(before[i]) + strspn(hit + strlen(before[i]), " :=");
        }
    }
    if (!p || p[0] < '3' || p[0] > '5' || p[1] < '0' || p[1] > '9' || p[2] < '0' || p[2] > '9' ||
        (p[3] >= '0' && p[3] <= '9'))
        return 0;
    return (p[0] - '0') * 100 + (p[1] - '0') * 10 + (p[2] - '0');
}

/* A status inside a provider's JSON body: {"status": 404} or {"status": "404"}. */
static int
status_in_json(const clo_json *body)
{
    static const char *const keys[] = {"status", "status_code", "http_status"};
    for (size_t i = 0; i < CLO_ARRAY_LEN(keys); i++) {
        const clo_json *j = clo_json_get(body, keys[i]);
        const char *s = clo_json_str(j, NULL);
        int64_t n = clo_json_type(j) == CLO_J_INT ? clo_json_int(j) : 0;
        if (s)
            n = status_in_text(s);
        if (n >= 300 && n <= 599)
            return (int)n;
    }
    return 0;
}

/* The provider's words: JSON, text with JSON after it, or text. False: out of memory. */
static bool
read_tool_message(report *r, const char *text, clo_err *err)
{
    const char *brace = strchr(text, '{');
    clo_json *body = NULL;
    int status = 0;
    if (brace && !is_html(text)) {
        clo_err inner;
        clo_err_clear(&inner);
        body = clo_json_parse(brace, strlen(brace), "tool_error_message", &inner);
        if (!body && inner.code == CLO_E_NOMEM) {
            (void)clo_err_nomem(err);
            return false;
        }
    }
    if (!body || brace != text)
        status = status_in_text(text);
    if (!status)
        status = status_in_json(body);
    if (!read_close(r, body)) {
        const char *message = member(body, "message");
        words_raw(&r->said, *message ? message : text);
    }
    /* A generic status gives way to the one that the provider's answer names. */
    if (status && (r->status == 400 || r->status == 500))
        r->status = status;
    clo_json_free(body);
    return true;
}

static bool
is_error_info(const clo_json *detail)
{
    const char *type = member(detail, "@type");
    size_t n = strlen(type);
    return clo_json_type(detail) == CLO_J_OBJECT &&
           (n == 0 || (n >= 9 && strcmp(type + n - 9, "ErrorInfo") == 0));
}

static void
read_violations(report *r, const clo_json *info)
{
    const clo_json *list = clo_json_get(info, "field_violations");
    for (size_t i = 0; i < clo_json_len(list); i++) {
        const clo_json *v = clo_json_at(list, i);
        if (r->said.len)
            words_str(&r->said, "; ");
        words_str(&r->said, member(v, "field"));
        words_str(&r->said, ": ");
        words_str(&r->said, member(v, "description"));
    }
}

/* {"code", "message", "details": [...]}: every entry is looked at, unknown types are skipped. */
static bool
read_scalekit(report *r, const clo_json *body, clo_err *err)
{
    const clo_json *details = clo_json_get(body, "details");
    const char *said = "", *id = "", *request = "", *top = member(body, "message");
    for (size_t i = 0; clo_json_type(details) == CLO_J_ARRAY && i < clo_json_len(details); i++) {
        const clo_json *d = clo_json_at(details, i), *tool = clo_json_get(d, "tool_error_info");
        if (!is_error_info(d))
            continue;
        if (!r->code[0])
            copy_text(r->code, sizeof(r->code), member(d, "error_code"));
        if (!*said)
            said = member(tool, "tool_error_message");
        if (!*id)
            id = member(tool, "execution_id");
        if (!*request)
            request = member(clo_json_get(d, "request_info"), "request_id");
        read_violations(r, clo_json_get(d, "validation_error_info"));
    }
    if (!*id)
        id = member(body, "execution_id");
    if (*id || *request)
        copy_text(r->request_id, sizeof(r->request_id), *id ? id : request);
    r->tool_error = strcmp(r->code, "TOOL_ERROR") == 0 || *said;
    if (*said)
        return read_tool_message(r, said, err);
    if (r->said.len == 0)
        words_str(&r->said, top);
    return true;
}

/* The proxy's own errors have exactly these two members; everything else is Close's answer. */
static bool
is_proxy_body(const clo_json *body)
{
    return clo_json_type(body) == CLO_J_OBJECT && clo_json_len(body) == 2 &&
           clo_json_type(clo_json_get(body, "detail")) == CLO_J_STRING &&
           clo_json_type(clo_json_get(body, "code")) == CLO_J_STRING;
}

static bool
read_answer(report *r, const clo_http_res *res, const clo_json *body, clo_err *err)
{
    const char *text = res->body.data ? res->body.data : "";
    copy_text(r->request_id, sizeof(r->request_id), res->request_id);
    if (is_proxy_body(body) && has(res->content_type, "json")) {
        copy_text(r->code, sizeof(r->code), member(body, "code"));
        words_str(&r->said, member(body, "detail"));
        return true;
    }
    if (clo_json_type(clo_json_get(body, "details")) == CLO_J_ARRAY ||
        (clo_json_has(body, "message") && clo_json_has(body, "code")))
        return read_scalekit(r, body, err);
    if (r->proxy && read_close(r, body))
        return true;
    if (clo_json_type(body) == CLO_J_OBJECT) { /* OAuth style, or something new */
        static const char *const keys[] = {"error_description", "message", "error", "detail"};
        for (size_t i = 0; i < CLO_ARRAY_LEN(keys) && r->said.len == 0; i++)
            words_str(&r->said, member(body, keys[i]));
    }
    if (r->said.len == 0)
        words_raw(&r->said, text);
    return true;
}

/* ---- from the report to the class ------------------------------------------------------------ */

static bool
code_is(const report *r, const char *code)
{
    return strcmp(r->code, code) == 0;
}

static void
set(clo_err *err, const report *r, clo_code code, const char *hint, const char *text)
{
    (void)clo_err_set(err, code, "%s: %s", r->what, text);
    err->hint = hint;
    err->retryable = code == CLO_E_RATE || code == CLO_E_REMOTE;
}

static const char *const words_remote[] = {
    "internal server error", "bad gateway", "service unavailable", "gateway time",
    "upstream request",      "timed out",   "temporarily",         NULL};
static const char *const words_rate[] = {"rate limit", "rate_limit", "call count exceeded",
                                         "too many requests", NULL};
static const char *const words_forbidden[] = {"permission", "forbidden", "not allowed to", NULL};
static const char *const words_gone[] = {"does not exist", "not found", NULL};

/* The status that Close's words stand for, when the answer carries only a generic one. */
static int
status_of_words(const report *r)
{
    const char *said = r->said.text;
    if (r->validation)
        return 400;
    if (r->rate_reset_ms >= 0 || has_any(said, words_rate))
        return 429;
    if (is_html(said) || strncmp(said, "a web page", 10) == 0 || has_any(said, words_remote))
        return 502;
    if (strncasecmp(said, "unauthorized", 12) == 0)
        return 401;
    if (has_any(said, words_gone) && (r->single || has(said, "matching query")))
        return 404;
    if (r->single && has_any(said, words_forbidden))
        return 403;
    return r->status;
}

/* Close's refusal, by its own status or the one that its words stand for. */
static void
class_provider(clo_err *err, const report *r, int status)
{
    bool witness = true;
    if (status == 401) {
        set(err, r, CLO_E_AUTH, r->proxy ? hint_proxy_401 : hint_link,
            "Close refused the authorization of the connected account");
    } else if (status == 402) {
        set(err, r, CLO_E_FORBIDDEN, NULL,
            "the plan of the Close organization does not include this");
    } else if (status == 403) {
        set(err, r, CLO_E_FORBIDDEN, NULL, "Close does not allow this to the connected account");
    } else if (status == 404) {
        /* An unknown path is an error of ours or a change of the service, not an absent row; and
         * plain text may come from the connector, which is no witness for what Close has. */
        witness = !has(r->said.text, "URL") &&
                  (r->close_body || r->http_status == 404 || has(r->said.text, "matching query"));
        set(err, r, CLO_E_NOTFOUND, r->proxy && has(r->said.text, "URL") ? hint_slash : NULL,
            "Close has no such object");
    } else if (status == 409) {
        set(err, r, CLO_E_CONFLICT, NULL, "Close reports a conflict");
    } else if (status == 429) {
        set(err, r, CLO_E_RATE, "wait, or lower concurrency", "Close's rate limit is reached");
    } else if (status >= 500 || status == 408) {
        set(err, r, CLO_E_REMOTE, NULL, "Close failed");
        err->retryable = status != 501;
    } else if (status >= 300 && status < 400) {
        set(err, r, CLO_E_PROTO, hint_slash,
            "Close answered with a redirect, which is not followed");
    } else {
        set(err, r, CLO_E_REJECTED, NULL, "Close refused the request");
    }
    err->provider = witness;
}

static bool
says_unknown_tool(const report *r)
{
    return has(r->said.text, "failed to get tool") || has(r->said.text, "tool not found");
}

static bool
says_inactive(const report *r)
{
    static const char *const states[] = {"active",         "expired", "pending", "disconnected",
                                         "not authorized", "reauth",  "revoked", NULL};
    return has(r->said.text, "account") && has_any(r->said.text, states);
}

/* Scalekit's `error_code`s whose meaning does not depend on the status. */
static bool
class_by_code(clo_err *err, const report *r)
{
    if (code_is(r, "REAUTHENTICATION_NEEDED") || code_is(r, "REFRESH_TOKEN_MISSING"))
        set(err, r, CLO_E_AUTH, hint_link, "the connected account must be authorized again");
    else if (code_is(r, "CONNECTION_NOT_ENABLED"))
        set(err, r, CLO_E_CONFIG, hint_disabled, "the connection is not enabled");
    else if (code_is(r, "TOOL_PROXY_DISABLED"))
        set(err, r, CLO_E_CONFIG, hint_proxy, "the proxy is not enabled");
    else if (r->status != 401 && says_unknown_tool(r))
        set(err, r, CLO_E_CONFIG, hint_tool, "the service has no such tool");
    else if (code_is(r, "RESOURCE_ALREADY_EXISTS"))
        set(err, r, CLO_E_CONFLICT, NULL, "it exists already");
    else
        return false;
    return true;
}

static void
class_missing(clo_err *err, const report *r)
{
    const char *said = r->said.text;
    if (!r->code[0] && (!*said || has(said, "page")))
        set(err, r, CLO_E_CONFIG, hint_url, "nothing is served at this address");
    else if (has(said, "account"))
        set(err, r, CLO_E_CONFIG, hint_account, "the service knows no such connected account");
    else if (has(said, "connection"))
        set(err, r, CLO_E_CONFIG, hint_connection, "the service knows no such connection");
    else
        set(err, r, CLO_E_CONFIG, hint_account, "the service knows no such connection or account");
}

/* On the proxy only Scalekit's own body means the bearer; any other 401 is Close's. */
static bool
means_bearer(const report *r)
{
    if (r->status != 401)
        return false;
    if (r->proxy)
        return code_is(r, "UNAUTHORIZED") || code_is(r, "UNAUTHENTICATED");
    return !r->code[0] || code_is(r, "UNAUTHENTICATED");
}

/* Scalekit's own refusal. */
static void
class_scalekit(clo_err *err, const report *r, bool *bearer_refused)
{
    int s = r->status;
    if (means_bearer(r)) {
        *bearer_refused = true;
        set(err, r, CLO_E_AUTH, hint_bearer, "Scalekit refused the access token");
    } else if (class_by_code(err, r)) {
        return;
    } else if (s == 401 || (s == 400 && says_inactive(r))) {
        set(err, r, CLO_E_AUTH, hint_link, "the connected account is not ready for use");
    } else if (s == 403) {
        set(err, r, CLO_E_FORBIDDEN, NULL, "Scalekit does not allow this");
    } else if (s == 404) {
        class_missing(err, r);
    } else if (s == 409) {
        set(err, r, CLO_E_CONFLICT, NULL, "Scalekit reports a conflict");
    } else if (s == 429) {
        set(err, r, CLO_E_RATE, "wait, or lower concurrency", "Scalekit's rate limit is reached");
    } else if (s >= 500 || s == 408 || s == 499) {
        set(err, r, CLO_E_REMOTE, NULL, "the service failed");
        err->retryable = s != 501;
    } else {
        set(err, r, CLO_E_REJECTED, NULL, "Scalekit refused the request");
    }
}

static void
take_retry_after(clo_err *err, const report *r, const clo_http_res *res)
{
    int64_t ms = res->retry_after_ms;
    if (ms < 0 && err->code == CLO_E_RATE)
        ms = res->ratelimit_reset_ms;
    if (ms < 0)
        ms = r->rate_reset_ms;
    err->retry_after_ms = ms > 0 ? (int)(ms > 86400000 ? 86400000 : ms) : 0;
}

/* A write whose effect is unknown: says so in place of what went wrong, which moves to the detail. */
static void
make_uncertain(clo_err *err, const char *what)
{
    char why[sizeof(err->msg)], said[sizeof(err->detail)];
    clo_err keep = *err;
    const char *text = err->msg;
    size_t prefix = strlen(what);
    if (strncmp(text, what, prefix) == 0 && strncmp(text + prefix, ": ", 2) == 0)
        text += prefix + 2;
    copy_text(why, sizeof(why), text);
    copy_text(said, sizeof(said), err->detail);
    clo_err_clear(err);
    (void)clo_err_set(err, CLO_E_UNCERTAIN,
                      "%s: the write may have happened; it was not repeated (%s)", what, why);
    clo_err_detail(err, "%s", said);
    err->http_status = keep.http_status;
    err->provider = keep.provider;
    err->uncertain = true;
    err->hint = hint_uncertain;
    copy_text(err->request_id, sizeof(err->request_id), keep.request_id);
}

void
clo_err_uncertain(clo_err *err, const char *what)
{
    make_uncertain(err, what);
}

/* A 2xx must be JSON: an object from the API, anything from Close. */
static bool
check_success(const clo_http_res *res, const clo_json *body, report *r, clo_err *err)
{
    if (clo_json_type(body) == CLO_J_OBJECT || (r->proxy && body) || res->body.len == 0 ||
        strspn(res->body.data, " \t\r\n") == res->body.len)
        return true;
    words_raw(&r->said, res->body.data);
    set(err, r, CLO_E_PROTO, is_html(res->body.data) ? hint_url : NULL,
        body ? "the answer is not a JSON object" : "the answer is not JSON");
    err->retryable = true;
    return false;
}

void
clo_err_not_json(clo_err *err, const clo_err *parse)
{
    static const char fact[] = "the answer is not JSON";
    char *at = strstr(err->msg, fact), rest[sizeof(err->msg)];
    size_t room;
    if (!at || parse->code == CLO_E_NONE)
        return;
    clo_text_cut(rest, sizeof(rest), at + sizeof(fact) - 1, strlen(at + sizeof(fact) - 1));
    room = sizeof(err->msg) - (size_t)(at - err->msg);
    clo_text_cut(at, room, parse->msg, strlen(parse->msg));
    room -= strlen(at);
    at += strlen(at);
    clo_text_cut(at, room, rest, strlen(rest));
}

bool
clo_classify(const clo_http_res *res, const clo_json *body, bool proxy, const char *what,
             bool writes, clo_err *err, bool *bearer_refused)
{
    report r = {.what = what,
                .http_status = res->status,
                .status = res->status,
                .proxy = proxy,
                .writes = writes};
    r.rate_reset_ms = -1;
    *bearer_refused = false;
    clo_err_clear(err);
    if (res->status >= 200 && res->status < 300) {
        if (check_success(res, body, &r, err))
            return false;
    } else if (res->status < 400) {
        set(err, &r, CLO_E_PROTO, proxy ? hint_slash : hint_url,
            "the service answered with a redirect, which is not followed");
    } else if (!read_answer(&r, res, body, err)) {
        return true;
    } else if (r.tool_error || r.close_body || (proxy && r.status == 401 && !r.code[0])) {
        /* Through the proxy the status is Close's own and final. */
        bool generic = !proxy && (r.status == 400 || r.status == 500);
        class_provider(err, &r, generic ? status_of_words(&r) : r.status);
    } else {
        class_scalekit(err, &r, bearer_refused);
    }
    clo_err_detail(err, "%s", r.said.text);
    err->http_status = res->status;
    take_retry_after(err, &r, res);
    copy_text(err->request_id, sizeof(err->request_id), r.request_id);
    if (writes && (err->code == CLO_E_REMOTE || (err->code == CLO_E_PROTO && res->status < 300)))
        make_uncertain(err, what);
    return true;
}
