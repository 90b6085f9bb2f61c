/* test_outbox.c - what may go into the outbox, and what happens to a row after each kind of end. */
#include "base_test.h"

#include <stdio.h>

#define NOTE "close_note_create"
#define NOTE_PARAMS "{\"lead_id\":\"lead_1\",\"note\":\"x\"}"

static clo_client *
client_with(const char *name, const char *value)
{
    clo_err err;
    clo_client *c = clo_client_new(&err);

    assert_non_null(c);
    if (name != NULL)
        assert_int_equal(clo_client_set(c, name, value, CLO_FROM_SESSION, &err), CLO_OK);
    return c;
}

/* ---- what goes in --------------------------------------------------------------------------- */

static void
test_check(void **state)
{
    static const struct {
        const char *tool, *params, *key;
        clo_code code;
        const char *words;
    } cases[] = {
        {"close_note_create", "{\"lead_id\":\"lead_1\",\"note\":\"x\"}", "lead_1", CLO_E_NONE, ""},
        {"close_lead_create", "{\"name\":\"x\"}", NULL, CLO_E_NONE, ""},
        {"close_something_new", "{\"lead_id\":\"lead_2\"}", "lead_2", CLO_E_NONE, ""},
        {"close_something_new", NULL, NULL, CLO_E_NONE, ""},
        {"close_note_create", "{\"lead_id\":\"lead_1\"}", NULL, CLO_E_ARG, "note is required"},
        {"close_note_create", NULL, NULL, CLO_E_ARG, "is required"},
        {"close_note_create", "{", NULL, CLO_E_ARG, "close_note_create"},
        {"close_note_create", "[1]", NULL, CLO_E_ARG, "JSON object"},
        {"close_notes_create", "{}", NULL, CLO_E_ARG, "did you mean close_note_create"},
        {"close_lead_get", "{\"lead_id\":\"lead_1\"}", NULL, CLO_E_ARG, "only reads"},
        {"Close", "{}", NULL, CLO_E_ARG, "tool name"},
        {NULL, "{}", NULL, CLO_E_ARG, "tool is NULL"},
        {"close_sms_create", "{\"lead_id\":\"lead_1\",\"status\":\"outbox\"}", NULL,
         CLO_E_FORBIDDEN, "sends a message"},
    };
    clo_client *c = client_with(NULL, NULL);

    (void)state;
    for (size_t i = 0; i < CLO_ARRAY_LEN(cases); i++) {
        const char *params = cases[i].params;
        char *key = NULL;
        clo_err err;
        clo_status st = clo_outbox_check(c, cases[i].tool, params,
                                         params != NULL ? strlen(params) : 0, &key, &err);

        assert_int_equal(err.code, cases[i].code);
        assert_int_equal(st == CLO_OK, cases[i].code == CLO_E_NONE);
        if (cases[i].code != CLO_E_NONE)
            assert_non_null(strstr(err.msg, cases[i].words));
        if (cases[i].key != NULL)
            assert_string_equal(key, cases[i].key);
        else
            assert_null(key);
        clo_free(key);
    }
    clo_client_unref(c);
    c = client_with("readonly", "on");
    {
        clo_err err;

        assert_int_equal(
            clo_outbox_check(c, "close_lead_create", "{\"name\":\"x\"}", 12, NULL, &err),
            CLO_ERROR);
        assert_int_equal(err.code, CLO_E_FORBIDDEN);
        assert_int_equal(clo_outbox_ready(c, &err), CLO_ERROR);
        assert_int_equal(err.code, CLO_E_FORBIDDEN);
    }
    clo_client_unref(c);
}

/* The pass over a plain call, against the long way, on documents that are nearly plain. */
static void
test_plain_calls_are_checked_alike(void **state)
{
    static const char *const parts[] = {
        "{",           "}",       "\"lead_id\"", "\"note\"", ":",  ",",           "\"lead_1\"",
        "\"a \\n b\"", "\"\"",    "null",        "1",        " ",  "\"\\u0041\"", "\"\xc3\xa4\"",
        "\"\xff\"",    "\"\\x\"", "\"a\tb\"",    "\"name\"", "[]", "\""};
    static const char *const whole[] = {"{\"lead_id\":\"lead_1\",\"note\":\"x\"}",
                                        " { \"note\" : \"x\" , \"lead_id\" : \"l\" } ",
                                        "{\"lead_id\":\"a\\/b\",\"note\":\"x\"}",
                                        "{\"note\":\"x\",\"note\":\"y\",\"lead_id\":\"l\"}",
                                        "{\"lead_id\":\"l\",\"note\":\"\\ud800\"}",
                                        "{\"name\":\"x\"}",
                                        "{\"name\":\"x\",\"description\":\"\\\"\"}",
                                        "{}",
                                        "{\"lead_id\":\"l\",\"note\":\"x\",}",
                                        "{\"lead_id\":\"l\" \"note\":\"x\"}"};
    static const char *const tools[] = {NOTE,
                                        NOTE,
                                        "close_lead_create",
                                        NOTE,
                                        "close_lead_update",
                                        "close_sms_create",
                                        "close_note_delete",
                                        "close_tasks_bulk_update"};
    clo_client *c = client_with(NULL, NULL);
    uint64_t x = 88172645463325252u;
    int accepted = 0;

    (void)state;
    for (int round = 0; round < 60000; round++) {
        char doc[512] = "";
        const char *tool = tools[(unsigned)round % CLO_ARRAY_LEN(tools)];
        char *key;
        clo_err err, want;
        clo_request *req;
        clo_status st;
        size_t n;

        x ^= x << 13, x ^= x >> 7, x ^= x << 17;
        strcpy(doc, whole[x % CLO_ARRAY_LEN(whole)]);
        n = strlen(doc);
        if (x >> 20 & 7) { /* something put in, or over something */
            const char *part = parts[(x >> 24) % CLO_ARRAY_LEN(parts)];
            size_t at = (x >> 32) % (n + 1), skip = (x >> 50) % 6;
            char rest[512];

            strcpy(rest, doc + (at + skip < n ? at + skip : n));
            snprintf(doc + at, sizeof doc - at, "%s%s", part, rest);
        }
        n = strlen(doc);
        req = clo_request_execute(tool, doc, n, &want);
        st = clo_outbox_check(c, tool, doc, n, &key, &err);
        if (req != NULL && clo_request_allowed(req, &c->config, &want) == CLO_OK) {
            const char *lead = clo_json_str(clo_json_get(req->params, "lead_id"), NULL);

            assert_int_equal(st, CLO_OK);
            assert_int_equal(key != NULL, lead != NULL);
            if (lead != NULL)
                assert_string_equal(key, lead);
            accepted++;
        } else {
            assert_int_equal(st, CLO_ERROR);
            assert_int_equal(err.code, want.code);
            assert_string_equal(err.msg, want.msg);
        }
        clo_free(key);
        clo_request_free(req);
    }
    assert_between(accepted, 1500, 40000);
    clo_client_unref(c);
}

static void
test_options(void **state)
{
    static const struct {
        const char *json, *not_before, *key, *reference, *words;
    } cases[] = {
        {NULL, "", NULL, NULL, NULL},
        {"{}", "", NULL, NULL, NULL},
        {"{\"not_before\":null,\"reference\":null}", "", NULL, NULL, NULL},
        {"{\"not_before\":\"2026-01-31 08:00:00\"}", "2026-01-31T08:00:00.000000Z", NULL, NULL,
         NULL},
        {"{\"not_before\":\"2026-01-31\"}", "2026-01-31T00:00:00.000000Z", NULL, NULL, NULL},
        {"{\"ordering_key\":\"k\",\"reference\":\"r\"}", "", "k", "r", NULL},
        {"{\"ordering_key\":null}", "", "", NULL, NULL},
        {"{\"ordering_key\":\"\"}", "", NULL, NULL, "ordering_key"},
        {"{\"ordering_key\":1}", "", NULL, NULL, "ordering_key"},
        {"{\"not_before\":\"soon\"}", "", NULL, NULL, "not_before"},
        {"{\"not_before\":5}", "", NULL, NULL, "not_before"},
        {"{\"refrence\":\"r\"}", "", NULL, NULL, "unknown option refrence"},
        {"[]", "", NULL, NULL, "JSON object"},
        {"{", "", NULL, NULL, "JSON object"},
    };

    (void)state;
    for (size_t i = 0; i < CLO_ARRAY_LEN(cases); i++) {
        const char *json = cases[i].json;
        clo_outbox_options o;
        clo_err err;
        clo_status st = clo_outbox_options_read(json, json != NULL ? strlen(json) : 0, &o, &err);

        if (cases[i].words != NULL) {
            assert_int_equal(st, CLO_ERROR);
            assert_int_equal(err.code, CLO_E_ARG);
            assert_non_null(strstr(err.msg, cases[i].words));
        } else {
            assert_int_equal(st, CLO_OK);
            assert_string_equal(o.not_before, cases[i].not_before);
            assert_int_equal(o.ordering_key != NULL, cases[i].key != NULL);
            if (cases[i].key != NULL)
                assert_string_equal(o.ordering_key, cases[i].key);
            assert_int_equal(o.reference != NULL, cases[i].reference != NULL);
            if (cases[i].reference != NULL)
                assert_string_equal(o.reference, cases[i].reference);
        }
        clo_outbox_options_free(&o);
    }
}

/* ---- time ----------------------------------------------------------------------------------- */

static void
test_delay(void **state)
{
    int64_t least = INT64_MAX, most = 0;

    (void)state;
    for (uint64_t seed = 0; seed < 1000; seed++) {
        int64_t first = clo_outbox_delay(1, 0, seed), tenth = clo_outbox_delay(10, 0, seed),
                late = clo_outbox_delay(1000, 0, seed);

        assert_between(first, 1000, 2000);
        assert_between(tenth, 512000, 1024000);
        assert_between(late, 1800000, 3600000);
        assert_int_equal(clo_outbox_delay(1, 30000, seed), 30000);
        least = first < least ? first : least;
        most = first > most ? first : most;
    }
    assert_true(most - least > 500); /* spread, not a constant */
}

static void
test_lease(void **state)
{
    clo_client *c = client_with("timeout_ms", "65000");
    clo_err err;
    int64_t now = clo_wall_us();

    (void)state;
    assert_int_equal(clo_outbox_lease_ms(c), 65000 + 250 + CLO_OUTBOX_LEASE_MS);
    assert_true(clo_outbox_may_send(c, now + 70000 * INT64_C(1000), now));
    assert_false(clo_outbox_may_send(c, now + 65000 * INT64_C(1000), now));
    assert_false(clo_outbox_may_send(c, now - 1, now));
    assert_int_equal(clo_client_set(c, "outbox_settle_ms", "0", CLO_FROM_SESSION, &err), CLO_OK);
    assert_int_equal(clo_outbox_lease_ms(c), 65000 + 250 + 1000);
    clo_client_unref(c);
}

/* ---- after a call --------------------------------------------------------------------------- */

static clo_outbox_next
after(const clo_client *c, const char *tool, const char *params, clo_code code, int attempts)
{
    clo_outbox_next next;
    clo_err err;

    clo_err_clear(&err);
    clo_err_set(&err, code, "%s", "it went wrong");
    err.uncertain = code == CLO_E_UNCERTAIN;
    clo_outbox_after_call(c, tool, params, strlen(params), &err, attempts, clo_wall_us(), &next);
    return next;
}

static void
test_every_class(void **state)
{
    static const struct {
        clo_code code;
        clo_box state;
        bool uncounted, stop, report;
    } cases[] = {
        {CLO_E_ARG, CLO_BOX_FAILED, false, false, false},
        {CLO_E_CONFIG, CLO_BOX_PENDING, true, true, true},
        {CLO_E_AUTH, CLO_BOX_PENDING, true, true, true},
        {CLO_E_FORBIDDEN, CLO_BOX_FAILED, false, false, false},
        {CLO_E_NOTFOUND, CLO_BOX_FAILED, false, false, false},
        {CLO_E_REJECTED, CLO_BOX_FAILED, false, false, false},
        {CLO_E_CONFLICT, CLO_BOX_FAILED, false, false, false},
        {CLO_E_RATE, CLO_BOX_PENDING, true, true, false},
        {CLO_E_REMOTE, CLO_BOX_PENDING, false, true, false},
        {CLO_E_NET, CLO_BOX_PENDING, false, true, false},
        {CLO_E_TIMEOUT, CLO_BOX_PENDING, false, true, false},
        {CLO_E_UNCERTAIN, CLO_BOX_SENDING, false, false, false},
        {CLO_E_PROTO, CLO_BOX_PENDING, false, true, false},
        {CLO_E_LIMIT, CLO_BOX_FAILED, false, false, false},
        {CLO_E_NOMEM, CLO_BOX_PENDING, true, true, true},
        {CLO_E_STOPPED, CLO_BOX_PENDING, true, true, true},
        {CLO_E_BUG, CLO_BOX_FAILED, false, false, false},
    };
    clo_client *c = client_with("outbox_attempts", "5");

    (void)state;
    assert_int_equal(CLO_ARRAY_LEN(cases), CLO_E__COUNT - 1);
    for (size_t i = 0; i < CLO_ARRAY_LEN(cases); i++) {
        clo_outbox_next next = after(c, NOTE, NOTE_PARAMS, cases[i].code, 1);

        assert_int_equal(next.state, cases[i].state);
        assert_int_equal(next.uncounted, cases[i].uncounted);
        assert_int_equal(next.stop, cases[i].stop);
        assert_int_equal(next.report, cases[i].report);
        assert_int_equal(next.state == CLO_BOX_PENDING && !next.uncounted,
                         next.wait_ms >= 1000 && next.state == CLO_BOX_PENDING);
    }
    assert_int_equal(after(c, NOTE, NOTE_PARAMS, CLO_E_NET, 4).state, CLO_BOX_PENDING);
    assert_int_equal(after(c, NOTE, NOTE_PARAMS, CLO_E_NET, 5).state, CLO_BOX_FAILED);
    assert_int_equal(after(c, NOTE, NOTE_PARAMS, CLO_E_AUTH, 5).state, CLO_BOX_PENDING);
    assert_int_equal(after(c, NOTE, NOTE_PARAMS, CLO_E_RATE, 5).state, CLO_BOX_PENDING);
    clo_client_unref(c);
}

static void
test_unknown_outcomes(void **state)
{
    static const char id[] = "{\"note_id\":\"acti_1\"}";
    static const char merge[] = "{\"source\":\"lead_1\",\"destination\":\"lead_2\"}";
    clo_client *c = client_with("outbox_attempts", "5");
    clo_outbox_next next = after(c, NOTE, NOTE_PARAMS, CLO_E_UNCERTAIN, 5);

    (void)state;
    assert_int_equal(next.state, CLO_BOX_SENDING); /* asking is no attempt */
    assert_int_equal(next.wait_ms, 120000);
    assert_int_equal(after(c, "close_note_delete", id, CLO_E_UNCERTAIN, 4).state, CLO_BOX_PENDING);
    assert_int_equal(after(c, "close_note_delete", id, CLO_E_UNCERTAIN, 5).state,
                     CLO_BOX_UNCERTAIN);
    assert_int_equal(after(c, "close_note_delete", id, CLO_E_NOTFOUND, 1).state, CLO_BOX_FAILED);
    assert_int_equal(after(c, "close_note_delete", id, CLO_E_NOTFOUND, 2).state, CLO_BOX_DONE);
    assert_int_equal(after(c, "close_note_update", id, CLO_E_NOTFOUND, 2).state, CLO_BOX_FAILED);
    assert_int_equal(after(c, "close_lead_merge", merge, CLO_E_REJECTED, 1).state, CLO_BOX_FAILED);
    assert_int_equal(after(c, "close_lead_merge", merge, CLO_E_REJECTED, 2).state,
                     CLO_BOX_UNCERTAIN);
    assert_int_equal(after(c, "close_lead_merge", merge, CLO_E_NOTFOUND, 2).state,
                     CLO_BOX_UNCERTAIN);
    assert_int_equal(after(c, "close_new_thing", "{}", CLO_E_UNCERTAIN, 1).state,
                     CLO_BOX_UNCERTAIN);
    clo_outbox_after_absent(c, 4, &next);
    assert_int_equal(next.state, CLO_BOX_PENDING);
    clo_outbox_after_absent(c, 5, &next);
    assert_int_equal(next.state, CLO_BOX_FAILED);
    clo_client_unref(c);
}

static void
test_unknown_tool_fails_alone(void **state)
{
    clo_client *c = client_with(NULL, NULL);
    clo_outbox_next next;
    clo_err err;

    (void)state;
    clo_err_clear(&err);
    clo_err_set(&err, CLO_E_CONFIG, "close_new: the service has no such tool");
    clo_outbox_after_call(c, "close_new", "{}", 2, &err, 1, clo_wall_us(), &next);
    assert_int_equal(next.state, CLO_BOX_FAILED);
    assert_false(next.stop);
    clo_client_unref(c);
}

static void
test_after_a_failed_look_up(void **state)
{
    static const struct {
        clo_code code;
        clo_box now, old;
        bool stop, report;
    } cases[] = {
        {CLO_E_NET, CLO_BOX_SENDING, CLO_BOX_UNCERTAIN, true, false},
        {CLO_E_RATE, CLO_BOX_SENDING, CLO_BOX_UNCERTAIN, true, false},
        {CLO_E_REMOTE, CLO_BOX_SENDING, CLO_BOX_UNCERTAIN, true, false},
        {CLO_E_AUTH, CLO_BOX_SENDING, CLO_BOX_SENDING, true, true},
        {CLO_E_CONFIG, CLO_BOX_SENDING, CLO_BOX_SENDING, true, true},
        {CLO_E_FORBIDDEN, CLO_BOX_UNCERTAIN, CLO_BOX_UNCERTAIN, false, false},
        {CLO_E_REJECTED, CLO_BOX_UNCERTAIN, CLO_BOX_UNCERTAIN, false, false},
    };
    int64_t now = clo_wall_us(), two_days = INT64_C(2) * 24 * 3600 * 1000000;

    (void)state;
    for (size_t i = 0; i < CLO_ARRAY_LEN(cases); i++) {
        clo_outbox_next next;
        clo_err err;

        clo_err_clear(&err);
        clo_err_set(&err, cases[i].code, "no");
        clo_outbox_after_fate(&err, now, now, &next);
        assert_int_equal(next.state, cases[i].now);
        assert_int_equal(next.stop, cases[i].stop);
        assert_int_equal(next.report, cases[i].report);
        assert_between(next.wait_ms, 1000, 10 * 60 * 1000);
        clo_outbox_after_fate(&err, now - two_days, now, &next);
        assert_int_equal(next.state, cases[i].old);
        assert_int_equal(next.wait_ms, 10 * 60 * 1000);
    }
}

static bool
check_once(void *arg)
{
    char *key = NULL;
    clo_err err;
    clo_status st = clo_outbox_check(arg, NOTE, NOTE_PARAMS, strlen(NOTE_PARAMS), &key, &err);

    if (st != CLO_OK)
        assert_int_equal(err.code, CLO_E_NOMEM);
    clo_free(key);
    return st == CLO_OK;
}

static bool
options_once(void *arg)
{
    static const char json[] = "{\"ordering_key\":\"a\",\"reference\":\"b\"}";
    clo_outbox_options o;
    clo_err err;
    clo_status st = clo_outbox_options_read(json, strlen(json), &o, &err);

    (void)arg;
    if (st != CLO_OK)
        assert_int_equal(err.code, CLO_E_NOMEM);
    clo_outbox_options_free(&o);
    return st == CLO_OK;
}

static bool
keys_once(void *arg)
{
    clo_err err;
    clo_keys *keys = clo_keys_new(&err);
    clo_status st = keys != NULL ? clo_keys_take(keys, "lead_1", 6, &err) : CLO_ERROR;

    (void)arg;
    if (st != CLO_OK)
        assert_int_equal(err.code, CLO_E_NOMEM);
    clo_keys_free(keys);
    return st == CLO_OK;
}

static void
test_keys(void **state)
{
    clo_err err;
    clo_keys *keys = clo_keys_new(&err);

    (void)state;
    assert_non_null(keys);
    assert_int_equal(clo_keys_take(keys, "lead_1", 6, &err), CLO_OK);
    assert_int_equal(clo_keys_take(keys, "lead_1", 6, &err), CLO_AGAIN);
    assert_int_equal(clo_keys_take(keys, "lead_12", 7, &err), CLO_OK);
    assert_int_equal(clo_keys_take(keys, "lead_1", 6, &err), CLO_AGAIN);
    assert_int_equal(clo_keys_take(keys, "", 0, &err), CLO_OK);
    assert_int_equal(clo_keys_take(keys, "", 0, &err), CLO_OK); /* none: any number may go */
    clo_keys_free(keys);
    clo_keys_free(NULL);
}

static void
test_oom(void **state)
{
    clo_client *c = client_with(NULL, NULL);

    (void)state;
    oom_loop(check_once, c);
    oom_loop(options_once, NULL);
    oom_loop(keys_once, NULL);
    clo_client_unref(c);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_check),
        cmocka_unit_test(test_plain_calls_are_checked_alike),
        cmocka_unit_test(test_options),
        cmocka_unit_test(test_delay),
        cmocka_unit_test(test_lease),
        cmocka_unit_test(test_every_class),
        cmocka_unit_test(test_unknown_outcomes),
        cmocka_unit_test(test_unknown_tool_fails_alone),
        cmocka_unit_test(test_after_a_failed_look_up),
        cmocka_unit_test(test_keys),
        cmocka_unit_test(test_oom),
    };

    return cmocka_run_group_tests(tests, NULL, no_blocks_left);
}
