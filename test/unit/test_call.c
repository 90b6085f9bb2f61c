/*
 * Tests of scalekit.c and auth.c: whole calls against a scripted service. What is sent, how often, what
 * becomes of each kind of failure, and that no secret is ever shown.
 */
#include "service.h"

/* ---- fetching, sending, results --------------------------------------------------------------- */

static void
one_read(void **state)
{
    static const lb_answer script[] = {TOKEN_OK, {GET, LEAD, LB_CLOSE, 2}};
    lb_server *s = lb_start(script, CLO_ARRAY_LEN(script));
    clo_client *c = client_for(s->port);
    clo_call *call = call_new(c, lead_get());
    clo_log_entry e;
    clo_err err;
    size_t n;
    (void)state;
    assert_int_equal(lb_value(s, &s->n_requests), 0); /* nothing is sent before the first step */
    assert_null(clo_call_result(call, &n));
    assert_int_equal(finish(call, &err), CLO_DONE);
    assert_int_equal(finish(call, &err), CLO_DONE);
    assert_non_null(strstr(clo_call_result(call, &n), "\"id\":\"lead_9\""));
    assert_int_equal(n, strlen(clo_call_result(call, NULL)));
    assert_null(strstr(clo_call_result(call, NULL), "execution_id"));
    assert_string_equal(clo_json_str(clo_json_get(clo_call_data(call), "name"), NULL), "A");
    assert_int_equal(clo_call_attempts(call), 1);
    clo_call_free(call);
    run(c, lead_get(), CLO_E_NONE, &err);
    assert_int_equal(stat(c, CLO_STAT_TOKENS), 1);
    assert_int_equal(stat(c, CLO_STAT_REQUESTS), 2);
    assert_null(clo_client_last_id(c));
    /* what went over the wire */
    assert_int_equal(
        lb_count(s, "grant_type=client_credentials&client_id=skc_1&client_secret=s3cr3t-value"), 1);
    assert_int_equal(lb_count(s, "Authorization: Bearer tok-one-1234\r\n"), 2);
    assert_int_equal(lb_count(s, "POST /api/v1/execute_tool HTTP/1.1"), 2);
    assert_int_equal(lb_count(s, "\"connector\":\"close\""), 2);
    assert_int_equal(lb_count(s, "\"identifier\":\"user 1\""), 2);
    assert_int_equal(lb_count(s, "\"params\":{\"lead_id\":\"lead_9\"}"), 2);
    /* and what the log says of it */
    assert_int_equal(clo_log_count(c), 3);
    assert_true(clo_log_at(c, 0, &e));
    assert_string_equal(e.tool, "token");
    assert_true(clo_log_at(c, 1, &e));
    assert_string_equal(e.tool, "close_lead_get");
    assert_string_equal(e.params, "lead_id");
    assert_string_equal(e.request_id, "77");
    assert_int_equal(e.http_status, 200);
    assert_int_equal(e.attempts, 1);
    assert_true(e.bytes_in > 0 && e.bytes_out > 0 && e.at_us > 0);
    assert_false(clo_log_at(c, 3, &e));
    clo_client_unref(c);
    assert_int_equal(lb_stop(s), 0);
}

static void
creates(void **state)
{
    static const lb_answer script[] = {TOKEN_OK, {CREATE, LEAD, LB_CLOSE, 0}};
    lb_server *s = lb_start(script, CLO_ARRAY_LEN(script));
    clo_client *c = client_for(s->port);
    clo_json *doc = clo_json_object();
    clo_err err;
    (void)state;
    set(c, "log_values", "on");
    clo_cache_put(c->cache, "k", 1, doc, 1, 1000, 0);
    clo_json_free(doc);
    run(c, lead_create(), CLO_E_NONE, &err);
    assert_string_equal(clo_client_last_id(c), "lead_9");
    assert_null(clo_cache_get(c->cache, "k", 1, 0, 1)); /* a write forgets all answers */
    assert_int_equal(stat(c, CLO_STAT_WRITES), 1);
    {
        clo_log_entry e;
        assert_true(clo_log_at(c, 1, &e));
        assert_string_equal(e.params, "name=A");
    }
    clo_client_set_last_id(c, NULL);
    assert_null(clo_client_last_id(c));
    clo_client_unref(c);
    assert_int_equal(lb_stop(s), 0);
}

static void
shapes_of_data(void **state)
{
    static const struct {
        const char *body, *result;
        clo_code code;
        const char *says; /* of a read that failed, and of a write */
    } cases[] = {
        {"{\"data\":{\"array\":[1,2]},\"execution_id\":\"1\"}", "{\"array\":[1,2]}", CLO_E_NONE,
         NULL},
        {"{\"data\":{\"result\":\"ok\"}}", "{\"result\":\"ok\"}", CLO_E_NONE, NULL},
        {"{\"execution_id\":\"1\"}", "{}", CLO_E_NONE, NULL},
        {"{\"data\":null,\"execution_id\":\"1\"}", "{}", CLO_E_NONE, NULL},
        {"{}", "{}", CLO_E_NONE, NULL},
        {"{\"data\":\"text\",\"execution_id\":\"1\"}", NULL, CLO_E_PROTO, NULL},
        {"{\"welcome\":\"to the portal\"}", NULL, CLO_E_PROTO, NULL},
        {"{\"data\":{\"a\":\"\xff\"},\"execution_id\":\"1\"}", NULL, CLO_E_PROTO, NULL},
        {"not json", NULL, CLO_E_PROTO, "the answer is not valid JSON at byte 0: not a JSON value"},
        {"{\"data\":{\"a\":[1,]}}", NULL, CLO_E_PROTO,
         "the answer is not valid JSON at byte 16: comma before a closing bracket"},
        {"{\"data\":{\"a\":1}", NULL, CLO_E_PROTO, "the answer is not valid JSON at byte 15: "},
        {"[]", NULL, CLO_E_PROTO, NULL},
    };
    (void)state;
    for (size_t i = 0; i < CLO_ARRAY_LEN(cases); i++) {
        char bytes[400];
        lb_answer script[] = {TOKEN_OK, {"execute_tool", bytes, LB_CLOSE, 2}};
        lb_server *s;
        clo_client *c;
        clo_err err;
        clo_call *call;
        snprintf(bytes, sizeof(bytes), CLOSED("200 OK") "%s", cases[i].body);
        s = lb_start(script, CLO_ARRAY_LEN(script));
        c = client_for(s->port);
        set(c, "retries", "0");
        call = call_new(c, lead_get());
        if ((finish(call, &err) == CLO_ERROR ? err.code : CLO_E_NONE) != cases[i].code)
            fail_msg("%s: %s", cases[i].body, err.msg);
        if (cases[i].result)
            assert_string_equal(clo_call_result(call, NULL), cases[i].result);
        if (cases[i].says)
            assert_non_null(strstr(err.msg, cases[i].says));
        clo_call_free(call);
        /* The same answer to a write: it has happened, whatever the answer looks like. */
        run(c, lead_create(), cases[i].code == CLO_E_NONE ? CLO_E_NONE : CLO_E_UNCERTAIN, &err);
        if (cases[i].says)
            assert_non_null(strstr(err.msg, cases[i].says));
        clo_client_unref(c);
        assert_int_equal(lb_stop(s), 0);
    }
}

/* ---- the bearer ------------------------------------------------------------------------------- */

static void
refresh_once(void **state)
{
    static const lb_answer script[] = {TOKEN_OK,
                                       {"Bearer tok-one", UNAUTH, LB_CLOSE, 0},
                                       TOKEN_TWO,
                                       {"Bearer tok-two", LEAD, LB_CLOSE, 0},
                                       {"Bearer tok-two", UNAUTH, LB_CLOSE, 0},
                                       TOKEN_OK,
                                       {"Bearer tok-one", UNAUTH, LB_CLOSE, 0}};
    lb_server *s = lb_start(script, CLO_ARRAY_LEN(script));
    clo_client *c = client_for(s->port);
    clo_err err;
    (void)state;
    run(c, lead_create(), CLO_E_NONE, &err); /* a refused bearer did nothing: writes too */
    run(c, lead_create(), CLO_E_AUTH, &err); /* refused again after the refresh: no third try */
    assert_non_null(strstr(err.hint, "client_id"));
    assert_int_equal(stat(c, CLO_STAT_TOKENS), 3);
    assert_int_equal(lb_count(s, "execute_tool"), 4);
    clo_client_unref(c);
    assert_int_equal(lb_stop(s), 0);
}

static void
account_problems_do_not_refresh(void **state)
{
    static const lb_answer script[] = {
        TOKEN_OK,
        {GET,
         CLOSED("401 Unauthorized") "{\"code\":16,\"message\":\"x\",\"details\":[{\"error_code\":"
                                    "\"TOOL_ERROR\","
                                    "\"tool_error_info\":{\"tool_error_message\":\"{}\"}}]}",
         LB_CLOSE, 0}};
    lb_server *s = lb_start(script, CLO_ARRAY_LEN(script));
    clo_client *c = client_for(s->port);
    clo_err err;
    (void)state;
    run(c, lead_get(), CLO_E_AUTH, &err);
    assert_non_null(strstr(err.hint, "close_authorization_link"));
    assert_int_equal(stat(c, CLO_STAT_TOKENS), 1);
    clo_client_unref(c);
    assert_int_equal(lb_stop(s), 0);
}

/* Many calls share one fetch, and one failure of it. */
static void
waiting_calls_share_the_fetch(void **state)
{
    static const lb_answer good[] = {TOKEN_OK, {GET, LEAD, LB_CLOSE, 6}};
    static const lb_answer bad[] = {{"POST /oauth/token",
                                     CLOSED("401 Unauthorized") "{\"error\":\"invalid_client\","
                                                                "\"error_description\":\"no " SECRET
                                                                "\"}",
                                     LB_CLOSE, 0}};
    (void)state;
    for (int fails = 0; fails < 2; fails++) {
        lb_server *s = fails ? lb_start(bad, 1) : lb_start(good, CLO_ARRAY_LEN(good));
        clo_client *c = client_for(s->port);
        clo_call *calls[6];
        clo_err err;
        for (int i = 0; i < 6; i++) {
            calls[i] = call_new(c, lead_get());
            assert_int_equal(clo_call_poll(calls[i], &err), CLO_AGAIN);
        }
        for (int i = 5; i >= 0; i--) { /* the fetcher, the first, is polled last */
            assert_int_equal(finish(calls[i], &err), fails ? CLO_ERROR : CLO_DONE);
            if (fails) {
                assert_int_equal(err.code, CLO_E_AUTH);
                assert_non_null(strstr(err.detail, "no ***"));
                assert_non_null(strstr(err.hint, "client_secret"));
            }
        }
        for (int i = 0; i < 6; i++)
            clo_call_free(calls[i]);
        assert_int_equal(stat(c, CLO_STAT_TOKENS), 1);
        clo_client_unref(c);
        assert_int_equal(lb_stop(s), 0);
    }
}

static void
the_fetcher_may_go_away(void **state)
{
    static const lb_answer script[] = {
        {"POST /oauth/token", "", LB_HOLD, 0}, TOKEN_OK, {GET, LEAD, LB_CLOSE, 0}};
    lb_server *s = lb_start(script, CLO_ARRAY_LEN(script));
    clo_client *c = client_for(s->port);
    clo_call *first = call_new(c, lead_get()), *second = call_new(c, lead_get());
    clo_err err;
    (void)state;
    while (lb_value(s, &s->n_requests) == 0)
        assert_int_equal(clo_call_step(first, 20, &err), CLO_AGAIN);
    assert_int_equal(clo_call_poll(second, &err), CLO_AGAIN);
    clo_call_free(first);
    assert_int_equal(finish(second, &err), CLO_DONE);
    clo_call_free(second);
    clo_client_unref(c);
    assert_int_equal(lb_stop(s), 0);
}

static void
token_answers(void **state)
{
    static const struct {
        const char *bytes;
        clo_code code;
        const char *hint;
    } cases[] = {
        {CLOSED("400 Bad Request") "{\"error\":\"invalid_client\"}", CLO_E_AUTH, "client_secret"},
        {CLOSED("401 Unauthorized") "{\"code\":16,\"message\":\"bad client\"}", CLO_E_AUTH,
         "client_secret"},
        {CLOSED("403 Forbidden") "", CLO_E_AUTH, "client_secret"},
        {CLOSED("404 Not Found") "<html>", CLO_E_CONFIG, "env_url"},
        {CLOSED("302 Found") "", CLO_E_CONFIG, "env_url"},
        {CLOSED("200 OK") "<html>", CLO_E_CONFIG, "env_url"},
        {CLOSED("200 OK") "{}", CLO_E_PROTO, "env_url"},
        {CLOSED("200 OK") "{\"access_token\":\"a\\r\\nX: y\"}", CLO_E_PROTO, "env_url"},
        {CLOSED("200 OK") "{\"access_token\":7}", CLO_E_PROTO, "env_url"},
        {CLOSED("503 Busy") "", CLO_E_REMOTE, NULL},
        {CLOSED("429 Slow") "", CLO_E_RATE, NULL},
    };
    (void)state;
    for (size_t i = 0; i < CLO_ARRAY_LEN(cases); i++) {
        lb_answer script[] = {{"POST /oauth/token", cases[i].bytes, LB_CLOSE, 0}};
        lb_server *s = lb_start(script, 1);
        clo_client *c = client_for(s->port);
        clo_err err;
        set(c, "retries", "0");
        run(c, lead_create(), cases[i].code, &err);
        assert_false(err.uncertain);
        assert_ptr_equal(strstr(err.msg, "no access token"), err.msg);
        if (cases[i].hint)
            assert_non_null(strstr(err.hint, cases[i].hint));
        clo_client_unref(c);
        if (lb_count(s, "execute_tool"))
            fail_msg("case %zu", i);
        assert_int_equal(lb_stop(s), 0);
    }
}

static void
identity_changes(void **state)
{
    static const lb_answer script[] = {TOKEN_OK,
                                       {"Bearer tok-one", LEAD, LB_CLOSE, 0},
                                       TOKEN_TWO,
                                       {"user_2", LEAD, LB_CLOSE, 0},
                                       TOKEN_OK,
                                       TOKEN_TWO,
                                       {"user_3", LEAD, LB_CLOSE, 0}};
    lb_server *s = lb_start(script, CLO_ARRAY_LEN(script));
    clo_client *c = client_for(s->port);
    clo_json *doc = clo_json_object();
    clo_call *early;
    clo_err err;
    (void)state;
    run(c, lead_get(), CLO_E_NONE, &err);
    clo_cache_put(c->cache, "k", 1, doc, 1, 1000, 0);
    clo_json_free(doc);
    early = call_new(c, lead_get());
    set(c, "identifier", "user_2");
    assert_null(c->token);
    assert_null(clo_cache_get(c->cache, "k", 1, 0, 1));
    /* Made for the first account, it must not act on the second one. */
    assert_int_equal(finish(early, &err), CLO_ERROR);
    assert_int_equal(err.code, CLO_E_CONFIG);
    clo_call_free(early);
    run(c, lead_get(), CLO_E_NONE, &err);
    /* A fetch for the old account is under way when the account changes: its token is not used. */
    clo_client_drop_token(c);
    early = call_new(c, lead_get());
    assert_int_equal(clo_call_poll(early, &err), CLO_AGAIN);
    set(c, "identifier", "user_3");
    run(c, lead_get(), CLO_E_NONE, &err);
    assert_int_equal(finish(early, &err), CLO_ERROR);
    assert_int_equal(err.code, CLO_E_CONFIG);
    clo_call_free(early);
    clo_client_unref(c);
    assert_int_equal(lb_stop(s), 0);
}

/* ---- retries ---------------------------------------------------------------------------------- */

static void
reads_are_retried(void **state)
{
    static const lb_answer script[] = {
        TOKEN_OK,
        {GET, EMPTY("503 Busy"), LB_KEEP, 0},
        {GET, "", LB_CLOSE, 2}, /* one more for the reused connection */
        {GET, LEAD, LB_CLOSE, 0}};
    lb_server *s = lb_start(script, CLO_ARRAY_LEN(script));
    clo_client *c = client_for(s->port);
    clo_err err;
    (void)state;
    run(c, lead_get(), CLO_E_NONE, &err);
    assert_true(stat(c, CLO_STAT_RETRIES) >= 2);
    clo_client_unref(c);
    assert_int_equal(lb_stop(s), 0);
}

static void
reads_give_up(void **state)
{
    static const lb_answer script[] = {TOKEN_OK, {GET, EMPTY("503 Busy"), LB_KEEP, 3}};
    lb_server *s = lb_start(script, CLO_ARRAY_LEN(script));
    clo_client *c = client_for(s->port);
    clo_log_entry e;
    clo_err err;
    (void)state;
    set(c, "retries", "2");
    run(c, lead_get(), CLO_E_REMOTE, &err);
    assert_int_equal(err.http_status, 503);
    assert_int_equal(lb_count(s, GET), 3);
    assert_true(clo_log_at(c, 1, &e));
    assert_int_equal(e.code, CLO_E_REMOTE);
    assert_int_equal(e.attempts, 3);
    clo_client_unref(c);
    assert_int_equal(lb_stop(s), 0);
}

/* Each of these leaves open whether the write happened: reported so, and sent exactly once. */
static void
lost_writes(void **state)
{
    static const struct {
        const char *bytes;
        lb_then then;
    } cases[] = {
        {"", LB_CLOSE},
        {"", LB_RESET},
        {HEAD("200 OK") "Content-Length: 500\r\n\r\n{\"data\":{", LB_CLOSE},
        {EMPTY("500 Oops"), LB_KEEP},
        {EMPTY("502 Bad Gateway"), LB_KEEP},
        {EMPTY("504 Timeout"), LB_KEEP},
        {CLOSED("200 OK") "<html>welcome</html>", LB_CLOSE},
        {HEAD("200 OK") "Content-Length: 2000000\r\n\r\n", LB_CLOSE},
    };
    (void)state;
    for (size_t i = 0; i < CLO_ARRAY_LEN(cases); i++) {
        lb_answer script[] = {TOKEN_OK, {CREATE, cases[i].bytes, cases[i].then, 0}};
        lb_server *s = lb_start(script, CLO_ARRAY_LEN(script));
        clo_client *c = client_for(s->port);
        clo_err err;
        run(c, lead_create(), CLO_E_UNCERTAIN, &err);
        assert_true(err.uncertain);
        assert_false(err.retryable);
        assert_non_null(strstr(err.msg, "close_lead_create"));
        assert_int_equal(lb_count(s, CREATE), 1);
        assert_int_equal(stat(c, CLO_STAT_UNCERTAIN), 1);
        assert_int_equal(stat(c, CLO_STAT_RETRIES), 0);
        clo_client_unref(c);
        assert_int_equal(lb_stop(s), 0);
    }
}

/* Also on a connection that is kept, where libcurl would repeat it by itself. */
static void
lost_write_on_a_kept_connection(void **state)
{
    static const lb_answer script[] = {
        TOKEN_OK,
        {GET, HEAD("200 OK") "Content-Length: 11\r\n\r\n{\"data\":{}}", LB_KEEP, 0},
        {CREATE, "", LB_CLOSE, 0}};
    lb_server *s = lb_start(script, CLO_ARRAY_LEN(script));
    clo_client *c = client_for(s->port);
    clo_err err;
    (void)state;
    run(c, lead_get(), CLO_E_NONE, &err);
    run(c, lead_create(), CLO_E_UNCERTAIN, &err);
    assert_int_equal(lb_count(s, CREATE), 1);
    assert_int_equal(lb_value(s, &s->conn_of[2]), lb_value(s, &s->conn_of[1]));
    clo_client_unref(c);
    assert_int_equal(lb_stop(s), 0);
}

static void
definite_write_errors(void **state)
{
    static const lb_answer script[] = {
        TOKEN_OK,
        {CREATE,
         CLOSED("400 Bad Request") "{\"code\":3,\"message\":\"m\",\"details\":[{\"error_code\":"
                                   "\"TOOL_ERROR\","
                                   "\"tool_error_info\":{\"execution_id\":\"5\",\"tool_error_"
                                   "message\":"
                                   "\"{\\\"field-errors\\\":{\\\"name\\\":\\\"Too long\\\"}}\"}}]}",
         LB_CLOSE, 0},
        {CREATE, EMPTY("429 Slow"), LB_KEEP, 0},
        {CREATE, LEAD, LB_CLOSE, 0}};
    lb_server *s = lb_start(script, CLO_ARRAY_LEN(script));
    clo_client *c = client_for(s->port);
    clo_err err;
    (void)state;
    run(c, lead_create(), CLO_E_REJECTED, &err);
    assert_string_equal(err.detail, "name: Too long");
    assert_string_equal(err.request_id, "5");
    assert_false(err.uncertain);
    run(c, lead_create(), CLO_E_NONE, &err); /* a rate limit did nothing: sent again */
    assert_int_equal(lb_count(s, CREATE), 3);
    assert_int_equal(stat(c, CLO_STAT_RATE_WAITS), 1);
    clo_client_unref(c);
    assert_int_equal(lb_stop(s), 0);
}

/* A write that cannot even connect has not happened. */
static void
unsent_writes_are_retried(void **state)
{
    lb_server *s = lb_start(NULL, 0);
    clo_client *c = client_for(s->port);
    clo_err err;
    clo_call *call;
    (void)state;
    assert_int_equal(lb_stop(s), 0);
    set(c, "retries", "1");
    c->token = clo_strdup("tok-one-1234");
    c->token_identity = c->config.identity;
    c->token_until_ms = INT64_MAX;
    call = call_new(c, lead_create());
    assert_int_equal(finish(call, &err), CLO_ERROR);
    assert_int_equal(err.code, CLO_E_NET);
    assert_false(err.uncertain);
    assert_int_equal(clo_call_attempts(call), 2);
    clo_call_free(call);
    clo_client_unref(c);
}

static void
rate_limits_hold_everybody(void **state)
{
    /* Scalekit's own refusal holds everything back, in other clients too. */
    static const lb_answer script[] = {
        TOKEN_OK,
        TOKEN_TWO,
        {"\"lead_id\":\"lead_9\"",
         "HTTP/1.1 429 Slow\r\nRetry-After: 1\r\nContent-Length: 0\r\n\r\n", LB_KEEP, 0},
        {CREATE, LEAD, LB_CLOSE, 0},
        {GET, LEAD, LB_CLOSE, 0}};
    lb_server *s = lb_start(script, CLO_ARRAY_LEN(script));
    clo_client *c = client_for(s->port), *other = client_for(s->port);
    clo_call *one = call_new(c, lead_get()), *two = call_new(other, lead_create());
    int64_t until, deadline;
    clo_err err;
    (void)state;
    while (stat(c, CLO_STAT_RATE_WAITS) == 0)
        assert_int_equal(clo_call_step(one, 50, &err), CLO_AGAIN);
    until = clo_limit_ready(c->limits, one->limits[CLO_LIMIT_SCALEKIT], clo_now_us());
    assert_true(until > clo_now_us());
    while (two->held_ms == 0)
        assert_int_equal(clo_call_step(two, 50, &err), CLO_AGAIN);
    assert_int_equal(lb_count(s, CREATE), 0);
    deadline = two->retry.deadline_ms;
    assert_int_equal(finish(two, &err), CLO_DONE);
    assert_true(clo_now_us() >= until);
    /* That wait is not taken from its budget. */
    assert_true(stat(other, CLO_STAT_RATE_HELD_MS) > 0);
    assert_int_equal(two->retry.deadline_ms, deadline + stat(other, CLO_STAT_RATE_HELD_MS));
    assert_int_equal(finish(one, &err), CLO_DONE);
    clo_call_free(one);
    clo_call_free(two);
    clo_client_unref(c);
    clo_client_unref(other);
    assert_int_equal(lb_stop(s), 0);
}

#define CLOSE_BUSY                                                                                 \
    "HTTP/1.1 429 Slow\r\nRetry-After: 30\r\nConnection: close\r\n\r\n"                            \
    "{\"code\":8,\"message\":\"x\",\"details\":[{\"error_code\":\"TOOL_ERROR\","                   \
    "\"tool_error_info\":{\"tool_error_message\":\"{}\"}}]}"

/* Close's refusal is that of an endpoint group and an account. */
static void
other_groups_go_on(void **state)
{
    static const lb_answer script[] = {TOKEN_OK,
                                       {GET, CLOSE_BUSY, LB_CLOSE, 0},
                                       {CREATE, LEAD, LB_CLOSE, 0},
                                       TOKEN_TWO,
                                       {"user_2", LEAD, LB_CLOSE, 0}};
    static _Alignas(64) char apart[CLO_LIMITS_BYTES];
    lb_server *s = lb_start(script, CLO_ARRAY_LEN(script));
    clo_client *c = client_for(s->port);
    clo_call *held;
    clo_err err;
    int64_t value = 0;
    const char *name = "";
    (void)state;
    set(c, "retries", "0");
    run(c, lead_get(), CLO_E_RATE, &err);
    run(c, lead_create(), CLO_E_NONE, &err);
    held = call_new(c, request("close_leads_list", "{}")); /* the same path and verb */
    assert_int_equal(clo_call_step(held, 20, &err), CLO_AGAIN);
    assert_int_equal(lb_count(s, "leads_list"), 0);
    for (size_t i = 0; strcmp(name, "rate_per_minute") != 0; i++)
        assert_true(clo_stat_at(c, i, &name, &value));
    assert_true(value > 0); /* what it has learnt is shown */
    clo_call_free(held);
    set(c, "identifier", "user_2");
    run(c, lead_get(), CLO_E_NONE, &err);
    /* Who has another table knows nothing of it. */
    set(c, "identifier", "user 1");
    held = call_new(c, lead_get());
    assert_true(clo_limit_ready(c->limits, held->limits[CLO_LIMIT_CLOSE], clo_now_us()) >
                clo_now_us());
    clo_client_share_limits(c, apart);
    assert_true(clo_limit_ready(c->limits, held->limits[CLO_LIMIT_CLOSE], 1) == 1);
    clo_client_share_limits(c, NULL);
    assert_ptr_equal(c->limits, clo_limits_process());
    clo_call_free(held);
    clo_client_unref(c);
    assert_int_equal(lb_stop(s), 0);
}

/* A header spreads what is left of a window before anything is refused. */
static void
headers_slow_down(void **state)
{
#define LEFT(n)                                                                                    \
    "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\n"                   \
    "RateLimit: limit=10, remaining=" n ", reset=20\r\n\r\n{\"data\":{}}"
    static const lb_answer script[] = {
        TOKEN_OK, {GET, LEFT("8"), LB_CLOSE, 0}, {GET, LEFT("1"), LB_CLOSE, 0}};
    lb_server *s = lb_start(script, CLO_ARRAY_LEN(script));
    clo_client *c = client_for(s->port);
    clo_call *held;
    int64_t at;
    clo_err err;
    (void)state;
    run(c, lead_get(), CLO_E_NONE, &err);
    run(c, lead_get(), CLO_E_NONE, &err);
    held = call_new(c, lead_get());
    assert_int_equal(clo_call_step(held, 20, &err), CLO_AGAIN);
    assert_int_equal(lb_count(s, GET), 2);
    at = clo_limit_ready(c->limits, held->limits[CLO_LIMIT_CLOSE], clo_now_us());
    assert_true(at > clo_now_us() + 5000000 && at < clo_now_us() + 10000001);
    assert_int_equal(stat(c, CLO_STAT_RATE_WAITS), 0);
    clo_call_free(held);
    clo_client_unref(c);
    assert_int_equal(lb_stop(s), 0);
}

static void
dropped_calls(void **state)
{
    static const lb_answer script[] = {TOKEN_OK, {CREATE, "", LB_HOLD, 0}, {GET, "", LB_HOLD, 0}};
    lb_server *s = lb_start(script, CLO_ARRAY_LEN(script));
    clo_client *c = client_for(s->port);
    clo_call *call = call_new(c, lead_create());
    clo_log_entry e;
    clo_err err;
    (void)state;
    assert_false(clo_call_uncertain(call));
    while (lb_count(s, CREATE) == 0)
        assert_int_equal(clo_call_step(call, 20, &err), CLO_AGAIN);
    assert_true(clo_call_uncertain(call));
    clo_call_free(call);
    assert_int_equal(stat(c, CLO_STAT_UNCERTAIN), 1);
    assert_true(clo_log_at(c, 1, &e));
    assert_int_equal(e.code, CLO_E_UNCERTAIN);
    call = call_new(c, lead_get());
    while (lb_count(s, GET) == 0)
        assert_int_equal(clo_call_step(call, 20, &err), CLO_AGAIN);
    assert_false(clo_call_uncertain(call));
    clo_call_free(call);
    assert_true(clo_log_at(c, 2, &e));
    assert_int_equal(e.code, CLO_E_STOPPED);
    clo_call_free(call_new(c, lead_get())); /* never stepped: no trace */
    assert_int_equal(clo_log_count(c), 3);
    clo_client_unref(c);
    assert_int_equal(lb_stop(s), 0);
}

/* A read whose answer is there and unread: it was made, and it succeeded or not. */
static void
dropped_answers(void **state)
{
    static const lb_answer script[] = {
        TOKEN_OK, {GET, LEAD, LB_CLOSE, 2}, {GET, CLOSED("404 Not Found") "{}", LB_CLOSE, 0}};
    lb_server *s = lb_start(script, CLO_ARRAY_LEN(script));
    clo_client *c = client_for(s->port);
    clo_log_entry e;
    clo_err err;
    clo_call *call = call_new(c, lead_get());
    (void)state;
    assert_int_equal(finish(call, &err), CLO_DONE);
    assert_false(clo_call_arrived(call));
    clo_call_free(call);
    for (int i = 0; i < 2; i++) {
        call = call_new(c, lead_get());
        call->turn_seen = clo_http_turns(c->http) - 1; /* no look at the network yet */
        assert_int_equal(clo_call_poll(call, &err), CLO_AGAIN);
        assert_false(clo_call_arrived(call));
        while (clo_http_running(c->http) > 0)
            assert_int_equal(clo_http_pump(c->http, 1000, &err), CLO_OK);
        assert_int_equal(clo_call_arrived(call), i == 0);
        assert_int_equal(clo_call_attempts(call), 1);
        clo_call_free(call);
        assert_int_equal(stat(c, CLO_STAT_REQUESTS), i + 2);
        assert_true(clo_log_at(c, (size_t)i + 2, &e));
        assert_int_equal(e.code, i == 0 ? CLO_E_NONE : CLO_E_STOPPED);
        assert_int_equal(e.http_status, i == 0 ? 200 : 404);
    }
    clo_client_unref(c);
    assert_int_equal(lb_stop(s), 0);
}

/* More calls than the setting allows at once wait their turn, outside of libcurl. */
static void
concurrency_is_bounded(void **state)
{
    static const lb_answer script[] = {TOKEN_OK, {GET, LEAD, LB_CLOSE, 12}};
    lb_server *s = lb_start(script, CLO_ARRAY_LEN(script));
    clo_client *c = client_for(s->port);
    clo_call *calls[12];
    int left = 12;
    clo_err err;
    (void)state;
    set(c, "concurrency", "2");
    for (int i = 0; i < 12; i++)
        calls[i] = call_new(c, lead_get());
    while (left > 0) {
        for (int i = 0; i < 12; i++) {
            if (!calls[i] || clo_call_poll(calls[i], &err) == CLO_AGAIN)
                continue;
            assert_non_null(clo_call_result(calls[i], NULL));
            clo_call_free(calls[i]);
            calls[i] = NULL;
            left--;
        }
        assert_true(clo_http_running(c->http) <= 2);
        if (left)
            assert_int_equal(clo_client_wait(c, 1000, 0, &err), CLO_OK);
    }
    clo_client_unref(c);
    assert_int_equal(lb_stop(s), 0);
}

/* Polling without ever waiting must get there as well. */
static void
polling_alone_moves(void **state)
{
    static const lb_answer script[] = {TOKEN_OK, {GET, LEAD, LB_CLOSE, 0}};
    lb_server *s = lb_start(script, CLO_ARRAY_LEN(script));
    clo_client *c = client_for(s->port);
    clo_call *call = call_new(c, lead_get());
    clo_status st;
    clo_err err;
    (void)state;
    while ((st = clo_call_poll(call, &err)) == CLO_AGAIN)
        usleep(1000);
    assert_int_equal(st, CLO_DONE);
    clo_call_free(call);
    clo_client_unref(c);
    assert_int_equal(lb_stop(s), 0);
}

/* ---- proxy and accounts ------------------------------------------------------------------------ */

static void
proxy_calls(void **state)
{
    static const lb_answer script[] = {
        TOKEN_OK,
        {"GET /proxy/api/v1/me/?a=b%20c HTTP/1.1",
         CLOSED("200 OK") "{\"id\": \"user_1\", \"n\": 1.50}", LB_CLOSE, 0},
        {"GET /proxy/api/v1/lead/",
         CLOSED("401 Unauthorized") "{\"detail\":\"old\",\"code\":\"UNAUTHORIZED\"}", LB_CLOSE, 0},
        TOKEN_TWO,
        {"Bearer tok-two", CLOSED("200 OK") "[1]", LB_CLOSE, 0},
        {"DELETE /proxy/api/v1/lead/x/", "HTTP/1.1 204 No Content\r\n\r\n", LB_KEEP, 0},
        {"POST /proxy/api/v1/lead/", "", LB_RESET, 0},
        {"GET /proxy/x/",
         CLOSED("404 Not Found") "{\"error\":\"Lead matching query does not exist.\"}", LB_CLOSE,
         0}};
    lb_server *s = lb_start(script, CLO_ARRAY_LEN(script));
    clo_client *c = client_for(s->port);
    clo_call *call;
    clo_err err;
    (void)state;
    call = call_new(c, clo_request_proxy("GET", "/api/v1/me/", "{\"a\":\"b c\"}", NULL, &err));
    assert_int_equal(finish(call, &err), CLO_DONE);
    assert_string_equal(clo_call_result(call, NULL), "{\"id\": \"user_1\", \"n\": 1.50}");
    assert_string_equal(clo_json_str(clo_json_get(clo_call_data(call), "id"), NULL), "user_1");
    clo_call_free(call);
    assert_int_equal(lb_count(s, "connection_name: close\r\n"), 1);
    assert_int_equal(lb_count(s, "identifier: user 1\r\n"), 1);
    call = call_new(c, clo_request_proxy("GET", "/api/v1/lead/", NULL, NULL, &err));
    assert_int_equal(finish(call, &err), CLO_DONE);
    assert_string_equal(clo_call_result(call, NULL), "[1]");
    clo_call_free(call);
    call = call_new(c, clo_request_proxy("DELETE", "/api/v1/lead/x/", NULL, NULL, &err));
    assert_int_equal(finish(call, &err), CLO_DONE);
    assert_string_equal(clo_call_result(call, NULL), "{}");
    clo_call_free(call);
    run(c, clo_request_proxy("POST", "/api/v1/lead/", NULL, "{\"name\":\"x\"}", &err),
        CLO_E_UNCERTAIN, &err);
    run(c, clo_request_proxy("GET", "/x/", NULL, NULL, &err), CLO_E_NOTFOUND, &err);
    assert_true(err.provider);
    set(c, "identifier", "us\xc3\xa4r");
    call = clo_call_new(c, clo_request_proxy("GET", "/x/", NULL, NULL, &err), &err);
    assert_null(call);
    assert_int_equal(err.code, CLO_E_CONFIG);
    clo_client_unref(c);
    assert_int_equal(lb_stop(s), 0);
}

static void
account_calls(void **state)
{
    static const lb_answer script[] = {
        TOKEN_OK,
        {"GET /api/v1/connected_accounts/details?connector=close&identifier=user%201 ",
         CLOSED("200 OK") "{\"connected_account\":{\"id\":\"ca_1\",\"status\":\"ACTIVE\","
                          "\"authorization_details\":"
                          "{\"oauth_token\":{\"access_token\":\"LEAK\"}},\"api_config\":{\"key\":"
                          "\"LEAK\"}}}",
         LB_CLOSE, 0},
        {"POST /api/v1/connected_accounts/magic_link",
         CLOSED("200 OK") "{\"link\":\"https://x/y\",\"expiry\":\"2026-10-01T12:05:00Z\"}",
         LB_CLOSE, 0},
        {"GET /api/v1/connected_accounts/details?connector=close&identifier=nobody ",
         CLOSED("404 Not Found") "{\"code\":5,\"message\":\"connected account not "
                                 "found\",\"details\":[]}",
         LB_CLOSE, 0}};
    lb_server *s = lb_start(script, CLO_ARRAY_LEN(script));
    clo_client *c = client_for(s->port);
    clo_call *call;
    clo_err err;
    (void)state;
    call = call_new(c, clo_request_account(NULL, &err));
    assert_int_equal(finish(call, &err), CLO_DONE);
    assert_string_equal(clo_call_result(call, NULL), "{\"id\":\"ca_1\",\"status\":\"ACTIVE\"}");
    clo_call_free(call);
    set(c, "readonly", "on"); /* not about CRM data: allowed */
    call = call_new(c, clo_request_link("other", &err));
    assert_int_equal(finish(call, &err), CLO_DONE);
    assert_non_null(strstr(clo_call_result(call, NULL), "https://x/y"));
    clo_call_free(call);
    assert_int_equal(lb_count(s, "{\"connector\":\"close\",\"identifier\":\"other\"}"), 1);
    run(c, clo_request_account("nobody", &err), CLO_E_CONFIG, &err);
    clo_client_unref(c);
    assert_int_equal(lb_stop(s), 0);
}

static void
unknown_tools(void **state)
{
    static const lb_answer script[] = {TOKEN_OK,
                                       {"execute_tool",
                                        CLOSED("400 Bad") "{\"code\":3,\"message\":\"failed to get "
                                                          "tool\",\"details\":[{\"error_code\":"
                                                          "\"RESOURCE_NOT_FOUND\"}]}",
                                        LB_CLOSE, 0}};
    lb_server *s = lb_start(script, CLO_ARRAY_LEN(script));
    clo_client *c = client_for(s->port);
    clo_err err;
    (void)state;
    run(c, request("close_lead_gett", "{}"), CLO_E_CONFIG, &err);
    assert_non_null(strstr(err.msg, "did you mean close_lead_get"));
    clo_client_unref(c);
    assert_int_equal(lb_stop(s), 0);
}

static void
native_json_parameters(void **state)
{
    static const char params[] = "{\"lead_id\":\"l\",\"emails\":[{\"email\":\"a@b.c\"}]}";
    static const lb_answer script[] = {TOKEN_OK, {"close_contact_create", LEAD, LB_CLOSE, 2}};
    lb_server *s = lb_start(script, CLO_ARRAY_LEN(script));
    clo_client *c = client_for(s->port);
    clo_err err;
    (void)state;
    run(c, request("close_contact_create", params), CLO_E_NONE, &err);
    assert_int_equal(lb_count(s, "\"emails\":\"[{\\\"email\\\":\\\"a@b.c\\\"}]\""), 1);
    set(c, "json_params", "native");
    run(c, request("close_contact_create", params), CLO_E_NONE, &err);
    assert_int_equal(lb_count(s, "\"emails\":[{\"email\":\"a@b.c\"}]"), 1);
    clo_client_unref(c);
    assert_int_equal(lb_stop(s), 0);
}

/* A whole call with the n-th allocation failing: it ends well or says why, and leaves nothing. A write
 * that left is never reported as harmless. */
static void
out_of_memory_on_the_way(void **state)
{
#ifdef CLO_DEBUG
    bool reached = true;
    (void)state;
    for (long n = 1; reached; n++) {
        static const lb_answer script[] = {TOKEN_OK, TOKEN_TWO, {CREATE, LEAD, LB_CLOSE, 0}};
        lb_server *s = lb_start(script, CLO_ARRAY_LEN(script));
        clo_client *c = client_for(s->port);
        clo_call *call = call_new(c, lead_create());
        clo_status st;
        clo_err err;
        clo_mem_fail(n, false);
        st = finish(call, &err);
        reached = clo_mem_fail(0, false) == 0;
        if (st == CLO_ERROR && lb_count(s, CREATE) > 0)
            assert_int_equal(err.code, CLO_E_UNCERTAIN);
        else if (st == CLO_ERROR)
            assert_int_equal(err.code, CLO_E_NOMEM);
        assert_true(st == CLO_DONE || reached);
        clo_call_free(call);
        clo_client_unref(c);
        lb_stop(s);
    }
#else
    (void)state;
    skip();
#endif
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_read),
        cmocka_unit_test(creates),
        cmocka_unit_test(shapes_of_data),
        cmocka_unit_test(refresh_once),
        cmocka_unit_test(account_problems_do_not_refresh),
        cmocka_unit_test(waiting_calls_share_the_fetch),
        cmocka_unit_test(the_fetcher_may_go_away),
        cmocka_unit_test(token_answers),
        cmocka_unit_test(identity_changes),
        cmocka_unit_test(reads_are_retried),
        cmocka_unit_test(reads_give_up),
        cmocka_unit_test(lost_writes),
        cmocka_unit_test(lost_write_on_a_kept_connection),
        cmocka_unit_test(definite_write_errors),
        cmocka_unit_test(unsent_writes_are_retried),
        cmocka_unit_test(rate_limits_hold_everybody),
        cmocka_unit_test(other_groups_go_on),
        cmocka_unit_test(headers_slow_down),
        cmocka_unit_test(dropped_calls),
        cmocka_unit_test(dropped_answers),
        cmocka_unit_test(concurrency_is_bounded),
        cmocka_unit_test(polling_alone_moves),
        cmocka_unit_test(proxy_calls),
        cmocka_unit_test(account_calls),
        cmocka_unit_test(unknown_tools),
        cmocka_unit_test(native_json_parameters),
        cmocka_unit_test(out_of_memory_on_the_way),
    };
    return cmocka_run_group_tests(tests, NULL, no_blocks_left);
}
