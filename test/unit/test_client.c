/*
 * Tests of client.c: settings and secrets, the request log, counters, and calls that are refused before
 * anything is sent.
 */
#include "service.h"

static void
refused_before_sending(void **state)
{
    clo_err err;
    clo_client *c = clo_client_new(&err);
    (void)state;
    assert_null(clo_call_new(c, lead_get(), &err));
    assert_int_equal(err.code, CLO_E_CONFIG);
    assert_non_null(strstr(err.msg, "SCALEKIT_ENV_URL"));
    set(c, "readonly", "on");
    assert_null(clo_call_new(c, lead_create(), &err));
    assert_int_equal(err.code, CLO_E_FORBIDDEN);
    assert_null(c->http); /* libcurl was not touched */
    clo_client_unref(c);
}

static void
settings(void **state)
{
    clo_err err;
    clo_client *c = clo_client_new(&err);
    char *json;
    (void)state;
    set(c, "client_secret", SECRET);
    assert_string_equal(clo_client_setting(c, "client_secret"), "***");
    assert_null(clo_client_setting(c, "client_id"));
    assert_null(clo_client_setting(c, "no_such"));
    assert_string_equal(clo_client_setting(c, "connection"), "close");
    assert_int_equal(clo_client_setting_int(c, "concurrency"), 8);
    assert_int_equal(clo_client_setting_int(c, "readonly"), 0);
    json = clo_client_settings(c, &err);
    assert_non_null(json);
    no_secret(json);
    clo_free(json);
    assert_int_equal(clo_client_set(c, "concurrencyy", "3", CLO_FROM_SESSION, &err), CLO_ERROR);
    assert_non_null(strstr(err.msg, "concurrency"));
    /* A value in the wrong place: the message must not repeat what happens to be a secret. */
    assert_int_equal(clo_client_set(c, "timeout_ms", SECRET, CLO_FROM_SESSION, &err), CLO_ERROR);
    no_secret(err.msg);
    no_secret(err.detail);
    clo_client_unref(clo_client_ref(c));
    clo_client_unref(c);
    clo_client_unref(NULL);
}

static void
the_log_is_a_ring(void **state)
{
    clo_err err;
    clo_client *c = clo_client_new(&err);
    clo_log_entry e = {.attempts = 0};
    (void)state;
    set(c, "client_secret", SECRET);
    set(c, "log_size", "3");
    for (int i = 0; i < 5; i++) {
        e.attempts = i;
        clo_text_cut(e.params, sizeof(e.params), "x=" SECRET, strlen("x=" SECRET));
        clo_client_log(c, &e);
    }
    assert_int_equal(clo_log_count(c), 3);
    for (size_t i = 0; i < 3; i++) {
        assert_true(clo_log_at(c, i, &e));
        assert_int_equal(e.attempts, i + 2);
        assert_string_equal(e.params, "x=***");
    }
    set(c, "log_size", "2");
    e.attempts = 5;
    clo_client_log(c, &e);
    assert_int_equal(clo_log_count(c), 2);
    assert_true(clo_log_at(c, 0, &e));
    assert_int_equal(e.attempts, 4);
    set(c, "log_size", "4");
    e.attempts = 6;
    clo_client_log(c, &e);
    assert_int_equal(clo_log_count(c), 3);
    assert_true(clo_log_at(c, 2, &e));
    assert_int_equal(e.attempts, 6);
    set(c, "log_size", "0");
    clo_client_log(c, &e);
    assert_int_equal(clo_log_count(c), 0);
    clo_client_unref(c);
}

static void
counters(void **state)
{
    clo_err err;
    clo_client *c = clo_client_new(&err);
    const char *name;
    int64_t value;
    size_t i = 0;
    (void)state;
    c->stat[CLO_STAT_ROWS] = 12;
    for (; clo_stat_at(c, i, &name, &value); i++)
        assert_int_equal(value, strcmp(name, "rows") == 0 ? 12 : 0);
    assert_int_equal(i, CLO_STAT__COUNT);
    clo_client_unref(c);
}

/* Making a client and a call, up to the point where libcurl would send. */
static bool
try_call(void *arg)
{
    static const char params[] = "{\"lead_id\":\"l\",\"emails\":[]}";
    clo_err err;
    clo_request *r;
    clo_call *call = NULL;
    clo_client *c = clo_client_new(&err);
    bool ok =
        c &&
        clo_client_set(c, "env_url", "https://x.example", CLO_FROM_SESSION, &err) != CLO_ERROR &&
        clo_client_set(c, "client_id", "id", CLO_FROM_SESSION, &err) != CLO_ERROR &&
        clo_client_set(c, "client_secret", SECRET, CLO_FROM_SESSION, &err) != CLO_ERROR &&
        clo_client_set(c, "identifier", "me", CLO_FROM_SESSION, &err) != CLO_ERROR &&
        clo_client_set(c, "json_params", "native", CLO_FROM_SESSION, &err) != CLO_ERROR;
    (void)arg;
    r = ok ? clo_request_execute("close_contact_create", params, strlen(params), &err) : NULL;
    if (r)
        call = clo_call_new(c, r, &err);
    if (!call)
        assert_int_equal(err.code, CLO_E_NOMEM);
    clo_call_free(call);
    clo_client_unref(c);
    return call != NULL;
}

static void
out_of_memory(void **state)
{
    (void)state;
    oom_loop(try_call, NULL);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(refused_before_sending), cmocka_unit_test(settings),
        cmocka_unit_test(the_log_is_a_ring),      cmocka_unit_test(counters),
        cmocka_unit_test(out_of_memory),
    };
    return cmocka_run_group_tests(tests, NULL, no_blocks_left);
}
