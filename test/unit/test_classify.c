/*
 * Tests of classify.c: a table from (status, body) to the class and what goes with it. The bodies are
 * those of the services' references, one line per shape.
 */
#include "base_test.h"

#include <stdio.h>
#include <stdlib.h>

#define TOOL(code, message)                                                                        \
    "{\"code\":3,\"message\":\"tool execution failed\",\"details\":[{\"@type\":"                   \
    "\"type.googleapis.com/scalekit.v1.errdetails.ErrorInfo\",\"error_code\":\"" code              \
    "\",\"request_info\":{\"request_id\":\"req-7\"},\"tool_error_info\":{\"execution_id\":"        \
    "\"135803\",\"tool_error_code\":\"INTERNAL_ERROR\",\"tool_error_message\":" message "}}]}"
#define TERR(message) TOOL("TOOL_ERROR", message)
#define GRPC(code, error_code, message)                                                            \
    "{\"code\":" code ",\"message\":\"" message                                                    \
    "\",\"details\":[{\"@type\":\"x/other.Info\",\"a\":1},"                                        \
    "{\"@type\":\"type.googleapis.com/"                                                            \
    "scalekit.v1.errdetails.ErrorInfo\",\"error_code\":\"" error_code "\"}]}"

enum { PROVIDER = 1, BEARER = 2, RETRY = 4, HTML = 8 };

typedef struct row {
    int status;
    const char *body;
    clo_code code;
    unsigned flags;
    const char *detail; /* occurs in the detail; NULL: any */
    const char *hint;   /* occurs in the hint; NULL: any */
} row;

static const row tool_rows[] = {
    /* the bearer, and what only looks like it */
    {401, GRPC("16", "UNAUTHENTICATED", "Token empty"), CLO_E_AUTH, BEARER, "Token empty",
     "client_secret"},
    {401, "{\"code\":16,\"message\":\"expired\",\"details\":[]}", CLO_E_AUTH, BEARER, "expired",
     NULL},
    {401, "", CLO_E_AUTH, BEARER, NULL, NULL},
    {401, "{}", CLO_E_AUTH, BEARER, NULL, NULL},
    {401, GRPC("16", "REAUTHENTICATION_NEEDED", "again"), CLO_E_AUTH, 0, "again",
     "close_authorization_link"},
    {401, GRPC("16", "REFRESH_TOKEN_MISSING", "none"), CLO_E_AUTH, 0, "none",
     "close_authorization_link"},
    {401, TERR("\"{\\\"error\\\":\\\"Unauthorized\\\"}\""), CLO_E_AUTH, PROVIDER, "Unauthorized",
     "close_authorization_link"},
    {401, TERR("\"\""), CLO_E_AUTH, PROVIDER, NULL, "close_authorization_link"},
    {401, GRPC("16", "INTERNAL_ERROR", "odd"), CLO_E_AUTH, 0, "odd", "close_authorization_link"},
    {400, GRPC("9", "REAUTHENTICATION_NEEDED", "again"), CLO_E_AUTH, 0, NULL,
     "close_authorization_link"},
    /* settings */
    {404, GRPC("5", "RESOURCE_NOT_FOUND", "connection not found for key: clos"), CLO_E_CONFIG, 0,
     "for key: clos", "connection"},
    {404, GRPC("5", "RESOURCE_NOT_FOUND", "connected account not found"), CLO_E_CONFIG, 0, NULL,
     "identifier"},
    {404, GRPC("5", "INTERNAL_ERROR", "connected account not found"), CLO_E_CONFIG, 0, NULL,
     "identifier"},
    {404, "{\"code\":5,\"message\":\"Not Found\",\"details\":[]}", CLO_E_CONFIG, 0, "Not Found",
     NULL},
    {404, "<html><head><title>404 Not Found</title></head></html>", CLO_E_CONFIG, 0,
     "a web page: 404 Not Found", "env_url"},
    {404, "404 page not found\n", CLO_E_CONFIG, 0, NULL, "env_url"},
    {404, "", CLO_E_CONFIG, 0, NULL, "env_url"},
    {400, GRPC("3", "RESOURCE_NOT_FOUND", "failed to get tool"), CLO_E_CONFIG, 0, NULL,
     "close_tools"},
    {404, GRPC("5", "RESOURCE_NOT_FOUND", "failed to get tool: x"), CLO_E_CONFIG, 0, NULL,
     "close_tools"},
    {403, GRPC("7", "CONNECTION_NOT_ENABLED", "off"), CLO_E_CONFIG, 0, "off", "enable"},
    {400, "{\"code\":3,\"message\":\"connected account is not active\",\"details\":[]}", CLO_E_AUTH,
     0, "not active", "close_authorization_link"},
    {400, GRPC("3", "", "connected account status is EXPIRED"), CLO_E_AUTH, 0, NULL,
     "close_authorization_link"},
    /* Scalekit's own refusals */
    {400,
     "{\"code\":3,\"message\":\"invalid\",\"details\":[{\"error_code\":\"\",\"validation_error_"
     "info\":"
     "{\"field_violations\":[{\"field\":\"params.x\",\"description\":\"unknown\"},"
     "{\"field\":\"params.y\",\"description\":\"bad\"}]}}]}",
     CLO_E_REJECTED, 0, "params.x: unknown; params.y: bad", NULL},
    {400, "{\"code\":3,\"message\":\"no account selected\",\"details\":[]}", CLO_E_REJECTED, 0,
     NULL, NULL},
    {400, GRPC("6", "RESOURCE_ALREADY_EXISTS", "dup"), CLO_E_CONFLICT, 0, "dup", NULL},
    {409, GRPC("6", "RESOURCE_ALREADY_EXISTS", "dup"), CLO_E_CONFLICT, 0, "dup", NULL},
    {409, GRPC("10", "", "aborted"), CLO_E_CONFLICT, 0, NULL, NULL},
    {403, GRPC("7", "", "denied"), CLO_E_FORBIDDEN, 0, "denied", NULL},
    {429, GRPC("8", "RATE_LIMITED", "slow down"), CLO_E_RATE, RETRY, "slow down", NULL},
    {429, "", CLO_E_RATE, RETRY, NULL, NULL},
    {429, "<html>nginx</html>", CLO_E_RATE, RETRY, NULL, NULL},
    {500, "{\"code\":13,\"message\":\"boom\",\"details\":[]}", CLO_E_REMOTE, RETRY, "boom", NULL},
    {502, "<html><head><title>502 Bad Gateway</title></head></html>", CLO_E_REMOTE, RETRY,
     "a web page: 502 Bad Gateway", NULL},
    {503, "", CLO_E_REMOTE, RETRY, NULL, NULL},
    {504, GRPC("4", "", "deadline"), CLO_E_REMOTE, RETRY, NULL, NULL},
    {501, GRPC("12", "", "unimplemented"), CLO_E_REMOTE, 0, NULL, NULL},
    {499, GRPC("1", "", "cancelled"), CLO_E_REMOTE, RETRY, NULL, NULL},
    {301, "", CLO_E_PROTO, 0, NULL, "env_url"},
    {304, "", CLO_E_PROTO, 0, NULL, NULL},
    /* Close, its status kept */
    {403, TERR("\"{\\\"error\\\":\\\"No permission\\\"}\""), CLO_E_FORBIDDEN, PROVIDER,
     "No permission", NULL},
    {429, TERR("\"{\\\"error\\\":{\\\"message\\\":\\\"too fast\\\",\\\"rate_reset\\\":0.4}}\""),
     CLO_E_RATE, PROVIDER | RETRY, "too fast", NULL},
    {404, TERR("\"{\\\"error\\\":\\\"Empty query: Lead matching query does not exist.\\\"}\""),
     CLO_E_NOTFOUND, PROVIDER, "does not exist", NULL},
    {404, TERR("\"\""), CLO_E_NOTFOUND, PROVIDER, NULL, NULL},
    {409, TERR("\"{\\\"error\\\":\\\"conflict\\\"}\""), CLO_E_CONFLICT, PROVIDER, NULL, NULL},
    {422, TERR("\"{\\\"field-errors\\\":{\\\"a\\\":\\\"b\\\"}}\""), CLO_E_REJECTED, PROVIDER,
     "a: b", NULL},
    {402, TERR("\"{\\\"error\\\":\\\"upgrade\\\"}\""), CLO_E_FORBIDDEN, PROVIDER, "upgrade", NULL},
    {502, TERR("\"Bad Gateway\""), CLO_E_REMOTE, PROVIDER | RETRY, NULL, NULL},
    /* Close, wrapped as 400 */
    {400, TERR("\"{\\\"error\\\":\\\"Empty query: Lead matching query does not exist.\\\"}\""),
     CLO_E_NOTFOUND, PROVIDER, "does not exist", NULL},
    {400, TERR("\"{\\\"error\\\":\\\"Not found.\\\"}\""), CLO_E_NOTFOUND, PROVIDER, NULL, NULL},
    {400, TERR("\"{\\\"error\\\":\\\"Unauthorized\\\"}\""), CLO_E_AUTH, PROVIDER, NULL,
     "close_authorization_link"},
    {400, TERR("\"{\\\"error\\\":\\\"You do not have permission to do this\\\"}\""),
     CLO_E_FORBIDDEN, PROVIDER, NULL, NULL},
    {400,
     TERR("\"{\\\"error\\\":{\\\"message\\\":\\\"API call count exceeded for this "
          "period\\\",\\\"rate_reset\\\":"
          "2}}\""),
     CLO_E_RATE, PROVIDER | RETRY, "call count exceeded", NULL},
    {400, TERR("\"{\\\"error\\\":\\\"Rate limit exceeded\\\"}\""), CLO_E_RATE, PROVIDER | RETRY,
     NULL, NULL},
    {400,
     TERR("\"{\\\"errors\\\":[\\\"first\\\",\\\"second\\\"],\\\"field-errors\\\":{\\\"lead\\\":"
          "\\\"This field "
          "is required.\\\"}}\""),
     CLO_E_REJECTED, PROVIDER, "first; second; lead: This field is required.", NULL},
    {400,
     TERR("\"{\\\"errors\\\":[],\\\"field-errors\\\":{\\\"emails\\\":{\\\"errors\\\":{\\\"0\\\":{"
          "\\\"errors\\\":"
          "[],\\\"field-errors\\\":{\\\"email\\\":\\\"Invalid email address.\\\"}}}}}}\""),
     CLO_E_REJECTED, PROVIDER, "emails.0.email: Invalid email address.", NULL},
    {400, TERR("\"{\\\"field-errors\\\":{\\\"lead_id\\\":\\\"Object does not exist.\\\"}}\""),
     CLO_E_REJECTED, PROVIDER, "lead_id: Object does not exist.", NULL},
    {400, TERR("\"{\\\"field-errors\\\":{\\\"cursor\\\":[\\\"Expired cursor\\\"]}}\""),
     CLO_E_REJECTED, PROVIDER, "cursor: Expired cursor", NULL},
    {400, TERR("\"{\\\"error\\\":\\\"Invalid query\\\"}\""), CLO_E_REJECTED, PROVIDER,
     "Invalid query", NULL},
    {400, TERR("\"<html><title>502 Bad Gateway</title></html>\""), CLO_E_REMOTE, PROVIDER | RETRY,
     "a web page: 502 Bad Gateway", NULL},
    {400, TERR("\"Internal Server Error\""), CLO_E_REMOTE, PROVIDER | RETRY, NULL, NULL},
    {400, TERR("\"{\\\"message\\\":\\\"Bad credentials\\\",\\\"status\\\":\\\"401\\\"}\""),
     CLO_E_AUTH, PROVIDER, "Bad credentials", NULL},
    {400, TERR("\"request failed with status 503: {\\\"error\\\":\\\"later\\\"}\""), CLO_E_REMOTE,
     PROVIDER | RETRY, "later", NULL},
    {400, TERR("\"status code: 404, body: {\\\"error\\\":\\\"nope\\\"}\""), CLO_E_NOTFOUND,
     PROVIDER, "nope", NULL},
    /* not found, but not said by Close about an object: never "no row" */
    {400, TERR("\"404 Not Found\""), CLO_E_NOTFOUND, 0, NULL, NULL},
    {400, TERR("\"connected account not found\""), CLO_E_REJECTED, PROVIDER, NULL, NULL},
    {404,
     TERR("\"{\\\"error\\\":\\\"The requested URL was not found on the server. If you "
          "entered\\\"}\""),
     CLO_E_NOTFOUND, 0, "URL was not found", NULL},
    /* and as 500, which the API description allows for any failure of a tool */
    {500, TERR("\"{\\\"errors\\\":[],\\\"field-errors\\\":{\\\"a\\\":\\\"b\\\"}}\""),
     CLO_E_REJECTED, PROVIDER, "a: b", NULL},
    {500, TERR("\"{\\\"error\\\":\\\"Lead matching query does not exist.\\\"}\""), CLO_E_NOTFOUND,
     PROVIDER, NULL, NULL},
    {500, TERR("\"panic in connector\""), CLO_E_REMOTE, PROVIDER | RETRY, "panic", NULL},
    {500, TERR("\"{\\\"error\\\":\\\"oops\\\"}\""), CLO_E_REMOTE, PROVIDER | RETRY, NULL, NULL},
    {400, TERR("\"not json {\""), CLO_E_REJECTED, PROVIDER, "not json {", NULL},
    {400, TERR("17"), CLO_E_REJECTED, PROVIDER, NULL, NULL},
    {400, TERR("null"), CLO_E_REJECTED, PROVIDER, NULL, NULL},
    {400, TOOL("", "\"{\\\"error\\\":\\\"Unauthorized\\\"}\""), CLO_E_AUTH, PROVIDER, NULL, NULL},
    /* successes that are none */
    {200, "not json", CLO_E_PROTO, RETRY, "not json", NULL},
    {200, "[1]", CLO_E_PROTO, RETRY, NULL, NULL},
    {200, "<html><title>Sign in</title></html>", CLO_E_PROTO, RETRY, "Sign in", "env_url"},
    {200, "{\"a\":1", CLO_E_PROTO, RETRY, NULL, NULL},
    /* nonsense in every place */
    {400, "[]", CLO_E_REJECTED, 0, NULL, NULL},
    {400, "{\"code\":{},\"message\":[],\"details\":{}}", CLO_E_REJECTED, 0, NULL, NULL},
    {400, "{\"code\":3,\"message\":\"m\",\"details\":[1,null,[],{\"error_code\":7}]}",
     CLO_E_REJECTED, 0, "m", NULL},
    {418, "teapot", CLO_E_REJECTED, 0, "teapot", NULL},
};

static const row proxy_rows[] = {
    {401, "{\"detail\":\"bad bearer\",\"code\":\"UNAUTHORIZED\"}", CLO_E_AUTH, BEARER, "bad bearer",
     NULL},
    {401, "{\"error\":\"Unauthorized\"}", CLO_E_AUTH, PROVIDER, "Unauthorized", "close_me_get"},
    {401, "", CLO_E_AUTH, PROVIDER, NULL, "close_me_get"},
    {401, "{\"detail\":\"x\",\"code\":\"UNAUTHORIZED\",\"more\":1}", CLO_E_AUTH, PROVIDER, NULL,
     "close_me_get"},
    {404, "{\"detail\":\"connection not found\",\"code\":\"NOT_FOUND\"}", CLO_E_CONFIG, 0, NULL,
     "connection"},
    {404, "{\"error\":\"Empty query: Lead matching query does not exist.\"}", CLO_E_NOTFOUND,
     PROVIDER, "does not exist", NULL},
    {403, "{\"detail\":\"proxy not enabled for provider\",\"code\":\"TOOL_PROXY_DISABLED\"}",
     CLO_E_CONFIG, 0, NULL, "proxy"},
    {400, "{\"detail\":\"proxy not enabled for provider\",\"code\":\"TOOL_PROXY_DISABLED\"}",
     CLO_E_CONFIG, 0, NULL, "proxy"},
    {400,
     "{\"errors\":[],\"field-errors\":{\"_limit\":\"Input should be less than or equal to 200\"}}",
     CLO_E_REJECTED, PROVIDER, "_limit: Input", NULL},
    {400, "{\"error\":\"Unauthorized looking text\"}", CLO_E_REJECTED, PROVIDER, NULL, NULL},
    {403, "{\"error\":\"no\"}", CLO_E_FORBIDDEN, PROVIDER, "no", NULL},
    {429, "{\"error\":{\"message\":\"fast\",\"rate_reset\":1}}", CLO_E_RATE, PROVIDER | RETRY,
     "fast", NULL},
    {502, "upstream request failed", CLO_E_REMOTE, RETRY, "upstream request failed", NULL},
    {503, "<html><title>503</title></html>", CLO_E_REMOTE, RETRY, "503", NULL},
    {301, "", CLO_E_PROTO, 0, NULL, "slash"},
    {200, "plain", CLO_E_PROTO, RETRY, NULL, NULL},
};

static void
fill(clo_http_res *res, const row *r)
{
    const char *type = r->body[0] == '{' || r->body[0] == '[' ? "application/json" : "text/html";
    memset(res, 0, sizeof(*res));
    res->status = r->status;
    res->retry_after_ms = res->ratelimit_reset_ms = -1;
    strcpy(res->content_type, type);
    clo_buf_init(&res->body, 1 << 20);
    if (r->body[0])
        assert_true(clo_buf_str(&res->body, r->body));
}

static clo_json *
parse(const char *text)
{
    clo_err err;
    clo_err_clear(&err);
    return *text ? clo_json_parse(text, strlen(text), "body", &err) : NULL;
}

/* Says what is wrong with a row and returns 1, so that one run shows all wrong rows. */
static int
check(const row *r, bool proxy)
{
    clo_http_res res;
    clo_json *body = parse(r->body);
    clo_err err;
    bool bearer, bad;
    memset(&err, 0x5a, sizeof(err)); /* its state before does not matter */
    fill(&res, r);
    assert_true(clo_classify(&res, body, proxy, "close_x", false, &err, &bearer));
    bad = err.code != r->code || err.provider != !!(r->flags & PROVIDER) ||
          bearer != !!(r->flags & BEARER) || err.retryable != !!(r->flags & RETRY) ||
          (r->detail && !strstr(err.detail, r->detail)) ||
          (r->hint && !(err.hint && strstr(err.hint, r->hint)));
    if (bad)
        print_error("%d %s\n gave %s provider=%d bearer=%d retryable=%d\n msg: %s\n detail: %s\n "
                    "hint: %s\n",
                    r->status, r->body, clo_code_name(err.code), err.provider, bearer,
                    err.retryable, err.msg, err.detail, err.hint ? err.hint : "-");
    assert_int_equal(err.http_status, r->status);
    assert_ptr_equal(strstr(err.msg, "close_x: "), err.msg);
    assert_false(err.uncertain);
    clo_json_free(body);
    clo_buf_free(&res.body);
    return bad;
}

static void
every_shape(void **state)
{
    int bad = 0;
    (void)state;
    for (size_t i = 0; i < CLO_ARRAY_LEN(tool_rows); i++)
        bad += check(&tool_rows[i], false);
    for (size_t i = 0; i < CLO_ARRAY_LEN(proxy_rows); i++)
        bad += check(&proxy_rows[i], true);
    assert_int_equal(bad, 0);
}

/* A write keeps its definite answers; where the table says REMOTE or an unreadable success, nobody
 * knows, and nothing invites to a repetition. */
static void
writes(void **state)
{
    (void)state;
    for (size_t i = 0; i < CLO_ARRAY_LEN(tool_rows); i++) {
        const row *r = &tool_rows[i];
        bool unknown = r->code == CLO_E_REMOTE || (r->code == CLO_E_PROTO && r->status < 300);
        clo_http_res res;
        clo_json *body = parse(r->body);
        clo_err err;
        bool bearer;
        fill(&res, r);
        assert_true(clo_classify(&res, body, false, "close_x", true, &err, &bearer));
        if (err.code != (unknown ? CLO_E_UNCERTAIN : r->code) || err.uncertain != unknown)
            fail_msg("%d %s gave %s", r->status, r->body, clo_code_name(err.code));
        if (unknown) {
            assert_false(err.retryable);
            assert_non_null(strstr(err.msg, "may have happened"));
            assert_non_null(strstr(err.msg, "not repeated"));
            assert_int_equal(err.http_status, r->status);
            if (r->detail)
                assert_non_null(strstr(err.detail, r->detail));
        }
        clo_json_free(body);
        clo_buf_free(&res.body);
    }
}

static void
successes(void **state)
{
    static const struct {
        int status;
        const char *body;
        bool proxy;
    } cases[] = {{200, "{\"data\":{}}", false},
                 {201, "{}", false},
                 {204, "", false},
                 {200, " \n", false},
                 {200, "[1]", true},
                 {200, "\"text\"", true},
                 {200, "{}", true},
                 {204, "", true}};
    (void)state;
    for (size_t i = 0; i < CLO_ARRAY_LEN(cases); i++) {
        row r = {cases[i].status, cases[i].body, CLO_E_NONE, 0, NULL, NULL};
        clo_http_res res;
        clo_json *body = parse(r.body);
        clo_err err;
        bool bearer = true;
        fill(&res, &r);
        assert_false(clo_classify(&res, body, cases[i].proxy, "close_x", true, &err, &bearer));
        assert_false(bearer);
        assert_int_equal(err.code, CLO_E_NONE);
        clo_json_free(body);
        clo_buf_free(&res.body);
    }
}

static void
waits_and_ids(void **state)
{
    static const char wrapped[] =
        TERR("\"{\\\"error\\\":{\\\"message\\\":\\\"m\\\",\\\"rate_reset\\\":1.5}}\"");
    row r = {429, wrapped, CLO_E_RATE, 0, NULL, NULL};
    clo_http_res res;
    clo_json *body = parse(wrapped);
    clo_err err;
    bool bearer;
    (void)state;
    fill(&res, &r);
    assert_true(clo_classify(&res, body, false, "x", false, &err, &bearer));
    assert_int_equal(err.retry_after_ms, 1500);
    assert_string_equal(err.request_id, "135803");
    res.ratelimit_reset_ms = 700;
    assert_true(clo_classify(&res, body, false, "x", false, &err, &bearer));
    assert_int_equal(err.retry_after_ms, 700);
    res.retry_after_ms = 2000;
    assert_true(clo_classify(&res, body, false, "x", false, &err, &bearer));
    assert_int_equal(err.retry_after_ms, 2000);
    clo_json_free(body);
    clo_buf_free(&res.body);
}

/* A body deeper than any honest one, and texts longer than any field. */
static void
hostile_bodies(void **state)
{
    char *text = malloc(200000), *p = text;
    row r = {400, text, CLO_E_REJECTED, 0, NULL, NULL};
    clo_http_res res;
    clo_json *body;
    clo_err err;
    bool bearer;
    (void)state;
    p += sprintf(p, "{\"field-errors\":");
    for (int i = 0; i < 50; i++)
        p += sprintf(p, "{\"%0*d\":", 1000, i);
    p += sprintf(p, "\"deep\"");
    for (int i = 0; i < 50; i++)
        *p++ = '}';
    p += sprintf(p, ",\"errors\":[\"\\u001b[31m%0*d\"]}", 5000, 7);
    body = parse(text);
    assert_non_null(body);
    fill(&res, &r);
    assert_true(clo_classify(&res, body, true, "x", false, &err, &bearer));
    assert_int_equal(err.code, CLO_E_REJECTED);
    assert_null(strchr(err.detail, 0x1b));
    clo_json_free(body);
    clo_buf_free(&res.body);
    free(text);
}

static bool
classify_once(void *arg)
{
    const row *r = arg;
    clo_http_res res = {.status = r->status, .retry_after_ms = -1, .ratelimit_reset_ms = -1};
    clo_err err;
    clo_json *body;
    bool bearer, ok;
    clo_err_clear(&err);
    clo_buf_init(&res.body, 1 << 20);
    ok = clo_buf_str(&res.body, r->body);
    body = ok ? clo_json_parse(r->body, strlen(r->body), "body", &err) : NULL;
    ok = body != NULL;
    if (ok) {
        assert_true(clo_classify(&res, body, false, "x", false, &err, &bearer));
        ok = err.code != CLO_E_NOMEM;
        if (ok)
            assert_int_equal(err.code, r->code); /* never another class for want of memory */
    }
    clo_json_free(body);
    clo_buf_free(&res.body);
    return ok;
}

static void
out_of_memory(void **state)
{
    row r = {400,
             TERR("\"{\\\"error\\\":\\\"Lead matching query does not exist.\\\"}\""),
             CLO_E_NOTFOUND,
             0,
             NULL,
             NULL};
    (void)state;
    oom_loop(classify_once, &r);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_shape),    cmocka_unit_test(writes),
        cmocka_unit_test(successes),      cmocka_unit_test(waits_and_ids),
        cmocka_unit_test(hostile_bodies), cmocka_unit_test(out_of_memory),
    };
    return cmocka_run_group_tests(tests, NULL, no_blocks_left);
}
