/* test_config.c - the option table, checks, layers, locks, secrets, the environment. */
#include "base_test.h"

#include <stdio.h>
#include <stdlib.h>

static void
clear_environment(void)
{
    size_t i;

    for (i = 0; i < clo_option_count(); i++) {
        if (clo_option_at(i)->env)
            unsetenv(clo_option_at(i)->env);
    }
}

static void
set_ok(clo_config *c, const char *name, const char *value, clo_origin from)
{
    clo_err err;

    if (clo_config_set(c, name, value, from, &err) != CLO_OK)
        fail_msg("%s: %s", name, err.msg);
}

static void
test_table(void **state)
{
    size_t i, k;

    (void)state;
    assert_int_equal(clo_option_count(), CLO_OPT__COUNT);
    assert_null(clo_option_at(CLO_OPT__COUNT));
    for (i = 0; i < clo_option_count(); i++) {
        const clo_option *o = clo_option_at(i);
        clo_err err;

        assert_ptr_equal(clo_option_find(o->name, &err), o);
        assert_true(strlen(o->name) <= 32);
        assert_int_equal(o->name[strspn(o->name, "abcdefghijklmnopqrstuvwxyz_")], 0);
        assert_int_equal(o->doc[strlen(o->doc) - 1], '.');
        assert_true(o->flags & (CLO_O_SERVER | CLO_O_MAPPING));
        /* What a role can SET must not decide where credentials go. */
        if (o->flags & (CLO_O_IDENTITY | CLO_O_SECRET))
            assert_false(o->flags & CLO_O_GUC);
        if (o->flags & CLO_O_SECRET)
            assert_false(o->flags & CLO_O_SERVER);
        if (o->def)
            assert_int_equal(clo_option_check(o, o->def, &err), CLO_OK);
        else
            assert_int_equal(o->kind, CLO_OPT_TEXT);
        assert_int_equal(clo_option_check(o, NULL, &err), CLO_OK);
        assert_int_equal(o->kind == CLO_OPT_ENUM, o->choices != NULL);
        for (k = 0; k < i; k++)
            assert_string_not_equal(o->name, clo_option_at(k)->name);
    }
    assert_false(clo_option_at(CLO_OPT_READONLY)->flags & CLO_O_GUC);
    assert_false(clo_option_at(CLO_OPT_ALLOW_MESSAGES)->flags & CLO_O_GUC);
    assert_false(clo_option_at(CLO_OPT_CA_FILE)->flags & CLO_O_GUC);
}

static void
test_defaults(void **state)
{
    clo_config c;

    (void)state;
    clo_config_init(&c);
    assert_null(clo_config_text(&c, CLO_OPT_ENV_URL));
    assert_string_equal(clo_config_text(&c, CLO_OPT_CONNECTION), "close");
    assert_int_equal(clo_config_int(&c, CLO_OPT_CONNECT_TIMEOUT_MS), 10000);
    assert_int_equal(clo_config_int(&c, CLO_OPT_TIMEOUT_MS), 65000);
    assert_int_equal(clo_config_int(&c, CLO_OPT_RETRIES), 4);
    assert_int_equal(clo_config_int(&c, CLO_OPT_RETRY_BUDGET_MS), 60000);
    assert_int_equal(clo_config_int(&c, CLO_OPT_CONCURRENCY), 8);
    assert_int_equal(clo_config_int(&c, CLO_OPT_PAGE_SIZE), 0);
    assert_int_equal(clo_config_int(&c, CLO_OPT_MAX_ROWS), 0);
    assert_int_equal(clo_config_int(&c, CLO_OPT_MAX_BYTES), 64 << 20);
    assert_int_equal(clo_config_int(&c, CLO_OPT_CACHE_TTL_MS), 0);
    assert_int_equal(clo_config_int(&c, CLO_OPT_CACHE_BYTES), 8 << 20);
    assert_int_equal(clo_config_int(&c, CLO_OPT_READONLY), 0);
    assert_int_equal(clo_config_int(&c, CLO_OPT_ALLOW_MESSAGES), 0);
    assert_int_equal(clo_config_int(&c, CLO_OPT_JSON_PARAMS), 0);
    assert_int_equal(clo_config_int(&c, CLO_OPT_LOG_SIZE), 100);
    assert_int_equal(clo_config_int(&c, CLO_OPT_LOG_VALUES), 0);
    clo_config_free(&c);
}

static void
test_suggestions(void **state)
{
    static const struct {
        const char *name, *says;
    } cases[] = {
        {"env_ulr", "there is no setting env_ulr; did you mean env_url?"},
        {"ENV_URL", "there is no setting ENV_URL"},
        {"concurency", "did you mean concurrency?"},
        {"timeout", "did you mean timeout_ms?"},
        {"cache", "did you mean cache_"},
        {"clientsecret", "did you mean client_secret?"},
        {"identifer", "did you mean identifier?"},
        {"", "there is no setting "},
        {"xyzzy", "there is no setting xyzzy"},
        {"a_name_that_is_much_longer_than_any_setting_we_have", "there is no setting a_name"},
    };
    clo_config c;
    size_t i;

    (void)state;
    clo_config_init(&c);
    for (i = 0; i < CLO_ARRAY_LEN(cases); i++) {
        clo_err err;

        assert_int_equal(clo_config_set(&c, cases[i].name, "x", CLO_FROM_SESSION, &err), CLO_ERROR);
        assert_int_equal(err.code, CLO_E_CONFIG);
        if (!strstr(err.msg, cases[i].says))
            fail_msg("%s: %s", cases[i].name, err.msg);
        if (!strstr(cases[i].says, "did you"))
            assert_null(strstr(err.msg, "did you"));
    }
    clo_config_free(&c);
}

static void
test_accepted(void **state)
{
    static const struct {
        clo_opt opt;
        const char *value;
        int64_t number;
    } cases[] = {
        {CLO_OPT_CONCURRENCY, "1", 1},
        {CLO_OPT_CONCURRENCY, "32", 32},
        {CLO_OPT_PAGE_SIZE, "1000", 1000},
        {CLO_OPT_RETRIES, "0", 0},
        {CLO_OPT_MAX_ROWS, "9223372036854775807", INT64_MAX},
        {CLO_OPT_READONLY, "on", 1},
        {CLO_OPT_READONLY, "TRUE", 1},
        {CLO_OPT_READONLY, "1", 1},
        {CLO_OPT_READONLY, "Yes", 1},
        {CLO_OPT_READONLY, "off", 0},
        {CLO_OPT_READONLY, "false", 0},
        {CLO_OPT_READONLY, "0", 0},
        {CLO_OPT_READONLY, "no", 0},
        {CLO_OPT_JSON_PARAMS, "native", 1},
        {CLO_OPT_JSON_PARAMS, "text", 0},
        {CLO_OPT_ENV_URL, "https://acme.scalekit.dev", 0},
        {CLO_OPT_ENV_URL, "https://acme.scalekit.com:8443", 0},
        {CLO_OPT_ENV_URL, "http://127.0.0.1:8080", 0},
        {CLO_OPT_ENV_URL, "http://localhost:1", 0},
        {CLO_OPT_ENV_URL, "http://[::1]:9", 0},
        {CLO_OPT_CONNECTION, "close-a1B2_c:3 x", 0},
        {CLO_OPT_IDENTIFIER, "caf\xc3\xa9@example.com", 0},
    };
    size_t i;

    (void)state;
    for (i = 0; i < CLO_ARRAY_LEN(cases); i++) {
        const clo_option *o = clo_option_at(cases[i].opt);
        clo_config c;

        clo_config_init(&c);
        set_ok(&c, o->name, cases[i].value, CLO_FROM_SESSION);
        assert_int_equal(clo_config_int(&c, cases[i].opt), cases[i].number);
        assert_string_equal(clo_config_text(&c, cases[i].opt), cases[i].value);
        clo_config_free(&c);
    }
}

static void
test_refused(void **state)
{
    static const struct {
        const char *name, *value, *says;
    } cases[] = {
        {"concurrency", "0", "setting concurrency: expected an integer from 1 to 32, got \"0\""},
        {"concurrency", "33", "from 1 to 32"},
        {"concurrency", "", "got \"\""},
        {"concurrency", "8x", "got \"8x\""},
        {"concurrency", " 8", "got \" 8\""},
        {"concurrency", "+8", "got"},
        {"concurrency", "-", "got"},
        {"concurrency", "1e1", "got"},
        {"concurrency", "18446744073709551617", "got"},
        {"timeout_ms", "10s", "expected an integer from 1 to 3600000 ms, got \"10s\""},
        {"retries", "-1", "from 0 to 20"},
        {"max_rows", "9223372036854775808", "got"},
        {"max_bytes", "1023", "from 1024"},
        {"readonly", "maybe", "setting readonly: expected on or off, got \"maybe\""},
        {"readonly", "", "expected on or off"},
        {"readonly", "2", "expected on or off"},
        {"json_params", "binary", "setting json_params: expected text or native, got \"binary\""},
        {"json_params", "TEXT", "expected text or native"},
        {"env_url", "", "the value is empty"},
        {"env_url", "acme.scalekit.dev", "setting env_url: "},
        {"env_url", "http://acme.scalekit.dev", "setting env_url: "},
        {"env_url", "ftp://acme.scalekit.dev", "setting env_url: "},
        {"env_url", "https://", "setting env_url: "},
        {"env_url", "https://user:pw@acme.scalekit.dev", "setting env_url: "},
        {"env_url", "https://acme.scalekit.dev/?a=b", "setting env_url: "},
        {"env_url", "https://acme.scalekit.dev#x", "setting env_url: "},
        {"env_url", "https://acme.scalekit.dev/\r\nX: y", "control character"},
        {"env_url", "http://127.0.0.1.evil.example", "setting env_url: "},
        {"env_url", "http://localhost.evil.example", "setting env_url: "},
        {"connection", "close/../x", "setting connection: a connection name has letters"},
        {"connection", "cl\xc3\xb6se", "a connection name has letters"},
        {"identifier", "a\nb", "setting identifier: the value has a control character"},
        {"identifier", "a\x7f", "control character"},
        {"identifier", "\xff", "setting identifier: the value is not valid UTF-8"},
        {"client_secret", "hush-hush\n",
         "setting client_secret: the value has a control character"},
    };
    clo_config c;
    size_t i;

    (void)state;
    clo_config_init(&c);
    for (i = 0; i < CLO_ARRAY_LEN(cases); i++) {
        clo_err err;

        if (clo_config_set(&c, cases[i].name, cases[i].value, CLO_FROM_SESSION, &err) == CLO_OK)
            fail_msg("%s accepted %s", cases[i].name, cases[i].value);
        assert_int_equal(err.code, CLO_E_CONFIG);
        if (!strstr(err.msg, cases[i].says))
            fail_msg("%s: %s", cases[i].name, err.msg);
        assert_null(strstr(err.msg, "hush"));
        assert_int_equal(c.from[clo_option_find(cases[i].name, &err) - clo_option_at(0)],
                         CLO_FROM_DEFAULT);
    }
    clo_config_free(&c);
}

static void
test_too_long(void **state)
{
    char text[5000];
    clo_config c;
    clo_err err;

    (void)state;
    memset(text, 'a', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    clo_config_init(&c);
    assert_int_equal(clo_config_set(&c, "identifier", text, CLO_FROM_SESSION, &err), CLO_ERROR);
    text[401] = '\0';
    assert_int_equal(clo_config_set(&c, "connection", text, CLO_FROM_SESSION, &err), CLO_ERROR);
    assert_string_equal(err.msg, "setting connection: longer than 400 characters");
    text[400] = '\0';
    set_ok(&c, "connection", text, CLO_FROM_SESSION);
    clo_config_free(&c);
}

static void
test_trailing_slashes(void **state)
{
    clo_config c;

    (void)state;
    clo_config_init(&c);
    set_ok(&c, "env_url", "https://acme.scalekit.dev//", CLO_FROM_SESSION);
    assert_string_equal(clo_config_text(&c, CLO_OPT_ENV_URL), "https://acme.scalekit.dev");
    clo_config_free(&c);
}

/* Every order of setting and taking back gives what the highest origin says. */
static void
test_layers(void **state)
{
    static const clo_origin origins[] = {CLO_FROM_ENV, CLO_FROM_SERVER, CLO_FROM_SESSION};
    static const char *const values[] = {"5", "6", "7"};
    int round;

    (void)state;
    for (round = 0; round < 64; round++) {
        bool there[3] = {false, false, false};
        clo_config c;
        int step;

        clo_config_init(&c);
        for (step = 0; step < 12; step++) {
            int k = (round * 7 + step * step * 5 + step) % 3, top;

            there[k] = !there[k];
            set_ok(&c, "retries", there[k] ? values[k] : NULL, origins[k]);
            for (top = 2; top >= 0 && !there[top]; top--)
                continue;
            assert_int_equal(clo_config_int(&c, CLO_OPT_RETRIES), top < 0 ? 4 : 5 + top);
            assert_int_equal(c.from[CLO_OPT_RETRIES], top < 0 ? CLO_FROM_DEFAULT : origins[top]);
        }
        clo_config_free(&c);
    }
}

static void
test_objects(void **state)
{
    clo_config c;
    clo_err err;

    (void)state;
    clo_config_init(&c);
    assert_int_equal(clo_config_set(&c, "client_secret", "s3cret-s3cret", CLO_FROM_SERVER, &err),
                     CLO_ERROR);
    assert_string_equal(err.msg, "setting client_secret is no option of a server");
    assert_int_equal(clo_config_set(&c, "identifier", "x", CLO_FROM_SERVER, &err), CLO_ERROR);
    assert_int_equal(clo_config_set(&c, "env_url", "https://a.b", CLO_FROM_MAPPING, &err),
                     CLO_ERROR);
    assert_string_equal(err.msg, "setting env_url is no option of a user mapping");
    assert_int_equal(clo_config_set(&c, "readonly", "off", CLO_FROM_MAPPING, &err), CLO_ERROR);
    assert_int_equal(clo_config_set(&c, "retries", "1", CLO_FROM_DEFAULT, &err), CLO_ERROR);
    assert_int_equal(err.code, CLO_E_BUG);
    set_ok(&c, "identifier", "x", CLO_FROM_MAPPING);
    set_ok(&c, "env_url", "https://a.b", CLO_FROM_SERVER);
    clo_config_free(&c);
}

static void
test_lock(void **state)
{
    clo_config c;
    clo_err err;

    (void)state;
    clo_config_init(&c);
    set_ok(&c, "readonly", "off", CLO_FROM_SESSION);
    set_ok(&c, "readonly", "on", CLO_FROM_LOCK);
    assert_int_equal(clo_config_int(&c, CLO_OPT_READONLY), 1);
    assert_int_equal(clo_config_set(&c, "readonly", "off", CLO_FROM_SESSION, &err), CLO_ERROR);
    assert_int_equal(err.code, CLO_E_FORBIDDEN);
    assert_string_equal(err.msg, "setting readonly is fixed to on here and cannot be changed");
    assert_int_equal(clo_config_set(&c, "readonly", NULL, CLO_FROM_SESSION, &err), CLO_ERROR);
    assert_int_equal(clo_config_set(&c, "readonly", "off", CLO_FROM_LOCK, &err), CLO_ERROR);
    assert_int_equal(clo_config_set(&c, "readonly", NULL, CLO_FROM_LOCK, &err), CLO_ERROR);
    assert_int_equal(clo_config_int(&c, CLO_OPT_READONLY), 1);
    clo_config_free(&c);
}

static void
test_identity(void **state)
{
    clo_config c;
    unsigned before;

    (void)state;
    clo_config_init(&c);
    before = c.identity;
    set_ok(&c, "retries", "1", CLO_FROM_SESSION);
    set_ok(&c, "connection", "close", CLO_FROM_ENV); /* the default, said aloud */
    assert_int_equal(c.identity, before);
    set_ok(&c, "identifier", "u1", CLO_FROM_SESSION);
    assert_int_equal(c.identity, before + 1);
    set_ok(&c, "identifier", "u1", CLO_FROM_SESSION);
    set_ok(&c, "identifier", "u2", CLO_FROM_ENV); /* hidden by the session */
    assert_int_equal(c.identity, before + 1);
    set_ok(&c, "identifier", NULL, CLO_FROM_SESSION);
    assert_string_equal(clo_config_text(&c, CLO_OPT_IDENTIFIER), "u2");
    assert_int_equal(c.identity, before + 2);
    set_ok(&c, "client_secret", "other-secret", CLO_FROM_SESSION);
    assert_int_equal(c.identity, before + 3);
    clo_config_free(&c);
}

static void
test_environment(void **state)
{
    clo_config c;
    clo_err err;

    (void)state;
    clear_environment();
    clo_config_init(&c);
    assert_int_equal(clo_config_env(&c, &err), CLO_OK);
    assert_null(clo_config_text(&c, CLO_OPT_ENV_URL));
    setenv("SCALEKIT_ENV_URL", "https://acme.scalekit.dev/", 1);
    setenv("SCALEKIT_CLIENT_ID", "skc_1", 1);
    setenv("SCALEKIT_CLIENT_SECRET", "hush-hush", 1);
    setenv("CLOSE_IDENTIFIER", "user_1", 1);
    setenv("CLOSE_CONNECTION", "", 1);
    assert_int_equal(clo_config_env(&c, &err), CLO_OK);
    assert_string_equal(clo_config_text(&c, CLO_OPT_ENV_URL), "https://acme.scalekit.dev");
    assert_string_equal(clo_config_text(&c, CLO_OPT_CLIENT_SECRET), "hush-hush");
    assert_string_equal(clo_config_text(&c, CLO_OPT_CONNECTION), "close");
    assert_int_equal(c.from[CLO_OPT_ENV_URL], CLO_FROM_ENV);
    assert_int_equal(c.from[CLO_OPT_CONNECTION], CLO_FROM_DEFAULT);
    assert_int_equal(clo_config_ready(&c, &err), CLO_OK);

    /* One bad variable: the others are read, the old value stays, and the first call names it. */
    setenv("SCALEKIT_ENV_URL", "http://acme.scalekit.dev", 1);
    setenv("CLOSE_IDENTIFIER", "user_2", 1);
    assert_int_equal(clo_config_env(&c, &err), CLO_OK);
    assert_int_equal(clo_config_env_ok(&c, &err), CLO_ERROR);
    assert_int_equal(err.code, CLO_E_CONFIG);
    assert_non_null(strstr(err.msg, "environment variable SCALEKIT_ENV_URL: "));
    assert_string_equal(clo_config_text(&c, CLO_OPT_IDENTIFIER), "user_2");
    assert_string_equal(clo_config_text(&c, CLO_OPT_ENV_URL), "https://acme.scalekit.dev");
    assert_int_equal(
        clo_config_set(&c, "env_url", "https://third.scalekit.dev", CLO_FROM_SESSION, &err),
        CLO_OK);
    assert_int_equal(clo_config_env_ok(&c, &err), CLO_OK);
    assert_int_equal(clo_config_set(&c, "env_url", NULL, CLO_FROM_SESSION, &err), CLO_OK);
    assert_int_equal(clo_config_env_ok(&c, &err), CLO_ERROR);
    unsetenv("CLOSE_IDENTIFIER");
    setenv("SCALEKIT_ENV_URL", "https://other.scalekit.dev", 1);
    assert_int_equal(clo_config_env(&c, &err), CLO_OK);
    assert_null(clo_config_text(&c, CLO_OPT_IDENTIFIER));
    assert_int_equal(clo_config_env_ok(&c, &err), CLO_OK);
    clear_environment();
    clo_config_free(&c);
}

static void
test_ready(void **state)
{
    static const struct {
        const char *name, *value, *says;
    } steps[] = {
        {"env_url", "https://acme.scalekit.dev", "SCALEKIT_ENV_URL is not set: "},
        {"client_id", "skc_1", "SCALEKIT_CLIENT_ID is not set: "},
        {"client_secret", "hush-hush", "SCALEKIT_CLIENT_SECRET is not set: "},
        {"identifier", "user_1", "CLOSE_IDENTIFIER is not set: "},
    };
    clo_config c;
    clo_err err;
    size_t i;

    (void)state;
    clo_config_init(&c);
    for (i = 0; i < CLO_ARRAY_LEN(steps); i++) {
        assert_int_equal(clo_config_ready(&c, &err), CLO_ERROR);
        assert_int_equal(err.code, CLO_E_CONFIG);
        assert_ptr_equal(strstr(err.msg, steps[i].says), err.msg);
        assert_non_null(strstr(err.msg, steps[i].name));
        assert_non_null(err.hint);
        assert_non_null(strstr(err.hint, steps[i].name));
        set_ok(&c, steps[i].name, steps[i].value, CLO_FROM_SESSION);
    }
    assert_int_equal(clo_config_ready(&c, &err), CLO_OK);
    assert_int_equal(clo_config_need(&c, CLO_OPT_CONNECTION, &err), CLO_OK);
    clo_config_free(&c);
}

static void
test_json(void **state)
{
    clo_config c;
    clo_err err;
    clo_json *j;
    char *text;
    const clo_json *entry;

    (void)state;
    clo_config_init(&c);
    set_ok(&c, "client_secret", "hush-hush", CLO_FROM_MAPPING);
    set_ok(&c, "env_url", "https://acme.scalekit.dev", CLO_FROM_SERVER);
    set_ok(&c, "identifier", "a\"b", CLO_FROM_ENV);
    set_ok(&c, "readonly", "yes", CLO_FROM_LOCK);
    text = clo_config_json(&c, &err);
    assert_non_null(text);
    assert_null(strstr(text, "hush"));
    assert_non_null(
        strstr(text, "\"env_url\":{\"value\":\"https://acme.scalekit.dev\",\"from\":\"server\"}"));
    assert_non_null(
        strstr(text, "\"client_secret\":{\"value\":\"***\",\"from\":\"user mapping\"}"));
    assert_non_null(strstr(text, "\"client_id\":{\"value\":null,\"from\":\"default\"}"));
    assert_non_null(strstr(text, "\"readonly\":{\"value\":true,\"from\":\"lock\"}"));
    assert_non_null(strstr(text, "\"timeout_ms\":{\"value\":65000,\"from\":\"default\"}"));
    assert_non_null(strstr(text, "\"json_params\":{\"value\":\"text\",\"from\":\"default\"}"));
    j = clo_json_parse(text, strlen(text), "it", &err);
    assert_int_equal(clo_json_len(j), clo_option_count());
    entry = clo_json_get(j, "identifier");
    assert_string_equal(clo_json_str(clo_json_get(entry, "value"), NULL), "a\"b");
    clo_json_free(j);
    clo_free(text);
    clo_config_free(&c);
}

static bool
try_settings(void *arg)
{
    static const char *const pairs[][2] = {
        {"env_url", "https://acme.scalekit.dev/"},
        {"client_secret", "hush-hush"},
        {"retries", "3"},
    };
    clo_config c;
    clo_err err;
    char *text = NULL;
    size_t i;
    bool ok = true;

    (void)arg;
    clo_config_init(&c);
    for (i = 0; ok && i < CLO_ARRAY_LEN(pairs); i++) {
        ok = clo_config_set(&c, pairs[i][0], pairs[i][1], CLO_FROM_SESSION, &err) == CLO_OK;
        if (!ok)
            assert_int_equal(err.code, CLO_E_NOMEM);
    }
    if (ok) {
        text = clo_config_json(&c, &err);
        assert_true(text || err.code == CLO_E_NOMEM);
    }
    clo_free(text);
    clo_config_free(&c);
    return text != NULL;
}

static void
test_oom(void **state)
{
    clo_config c;
    clo_err err;

    (void)state;
    oom_loop(try_settings, NULL);
#ifdef CLO_DEBUG
    /* A change that fails leaves the old value. */
    clo_config_init(&c);
    set_ok(&c, "identifier", "before", CLO_FROM_SESSION);
    clo_mem_fail(1, true);
    assert_int_equal(clo_config_set(&c, "identifier", "after", CLO_FROM_SESSION, &err), CLO_ERROR);
    assert_int_equal(clo_config_set(&c, "readonly", "maybe", CLO_FROM_SESSION, &err), CLO_ERROR);
    assert_int_equal(err.code, CLO_E_CONFIG);
    clo_mem_fail(0, false);
    assert_string_equal(clo_config_text(&c, CLO_OPT_IDENTIFIER), "before");
    clo_config_free(&c);
#else
    (void)c;
    (void)err;
#endif
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_table),
        cmocka_unit_test(test_defaults),
        cmocka_unit_test(test_suggestions),
        cmocka_unit_test(test_accepted),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_too_long),
        cmocka_unit_test(test_trailing_slashes),
        cmocka_unit_test(test_layers),
        cmocka_unit_test(test_objects),
        cmocka_unit_test(test_lock),
        cmocka_unit_test(test_identity),
        cmocka_unit_test(test_environment),
        cmocka_unit_test(test_ready),
        cmocka_unit_test(test_json),
        cmocka_unit_test(test_oom),
    };

    return cmocka_run_group_tests(tests, NULL, no_blocks_left);
}
