/* test_retry.c - who may try again, and how long it waits. Nothing here sleeps. */
#include "base_test.h"

enum { HOUR = 3600 * 1000 };

static clo_err
failure(clo_code code)
{
    clo_err err;

    clo_err_clear(&err);
    clo_err_set(&err, code, "failed");
    return err;
}

static void
test_who(void **state)
{
    static const struct {
        clo_code code;
        bool retryable;
        int status;
        bool read, write_unsent, write_sent;
    } cases[] = {
        {CLO_E_NET, true, 0, true, true, false},
        {CLO_E_TIMEOUT, true, 0, true, true, false},
        {CLO_E_RATE, true, 429, true, true, true},
        {CLO_E_REMOTE, true, 503, true, false, false},
        {CLO_E_REMOTE, false, 500, true, false, false},
        {CLO_E_REMOTE, false, 501, false, false, false},
        {CLO_E_PROTO, true, 200, true, false, false},
        {CLO_E_PROTO, false, 200, false, false, false},
        {CLO_E_ARG, true, 0, false, false, false},
        {CLO_E_CONFIG, true, 0, false, false, false},
        {CLO_E_AUTH, true, 401, false, false, false},
        {CLO_E_FORBIDDEN, true, 403, false, false, false},
        {CLO_E_NOTFOUND, true, 404, false, false, false},
        {CLO_E_REJECTED, true, 400, false, false, false},
        {CLO_E_CONFLICT, true, 409, false, false, false},
        {CLO_E_UNCERTAIN, true, 0, false, false, false},
        {CLO_E_LIMIT, true, 0, false, false, false},
        {CLO_E_NOMEM, true, 0, false, false, false},
        {CLO_E_STOPPED, true, 0, false, false, false},
        {CLO_E_BUG, true, 0, false, false, false},
    };
    size_t i;

    (void)state;
    for (i = 0; i < CLO_ARRAY_LEN(cases); i++) {
        clo_err err = failure(cases[i].code);
        clo_retry r;

        err.retryable = cases[i].retryable;
        err.http_status = cases[i].status;
        clo_retry_init(&r, 3, HOUR);
        assert_int_equal(clo_retry_next(&r, &err, false, CLO_SENT_MAYBE) >= 0, cases[i].read);
        clo_retry_init(&r, 3, HOUR);
        assert_int_equal(clo_retry_next(&r, &err, true, CLO_SENT_NO) >= 0, cases[i].write_unsent);
        clo_retry_init(&r, 3, HOUR);
        assert_int_equal(clo_retry_next(&r, &err, true, CLO_SENT_MAYBE) >= 0, cases[i].write_sent);
        err.uncertain = true;
        clo_retry_init(&r, 3, HOUR);
        assert_int_equal(clo_retry_next(&r, &err, false, CLO_SENT_NO), -1);
    }
}

static void
test_count(void **state)
{
    clo_err err = failure(CLO_E_NET);
    clo_retry r;
    int max, i;

    (void)state;
    for (max = 0; max < 8; max++) {
        clo_retry_init(&r, max, HOUR);
        for (i = 0; i < max; i++)
            assert_true(clo_retry_next(&r, &err, false, CLO_SENT_MAYBE) >= 0);
        assert_int_equal(clo_retry_next(&r, &err, false, CLO_SENT_MAYBE), -1);
        assert_int_equal(clo_retry_next(&r, &err, false, CLO_SENT_MAYBE), -1);
    }
}

static void
test_time_limit_once(void **state)
{
    clo_err slow = failure(CLO_E_TIMEOUT), broken = failure(CLO_E_NET);
    clo_retry r;

    (void)state;
    clo_retry_init(&r, 9, HOUR);
    assert_true(clo_retry_next(&r, &slow, false, CLO_SENT_MAYBE) >= 0);
    assert_true(clo_retry_next(&r, &broken, false, CLO_SENT_MAYBE) >= 0);
    assert_int_equal(clo_retry_next(&r, &slow, false, CLO_SENT_MAYBE), -1);
}

static void
test_delays(void **state)
{
    static const int64_t full[] = {250, 500, 1000, 2000, 4000, 8000, 8000, 8000};
    clo_err err = failure(CLO_E_REMOTE);
    int64_t seen_low[CLO_ARRAY_LEN(full)], seen_high[CLO_ARRAY_LEN(full)];
    uint64_t seed;
    size_t i;

    (void)state;
    for (i = 0; i < CLO_ARRAY_LEN(full); i++) {
        seen_low[i] = INT64_MAX;
        seen_high[i] = -1;
    }
    for (seed = 0; seed < 300; seed++) {
        clo_retry r;

        clo_retry_init(&r, 20, HOUR);
        r.seed = seed * UINT64_C(0x9e3779b97f4a7c15);
        for (i = 0; i < CLO_ARRAY_LEN(full); i++) {
            int64_t d = clo_retry_next(&r, &err, false, CLO_SENT_MAYBE);

            assert_true(d >= full[i] / 2 && d <= full[i]);
            seen_low[i] = d < seen_low[i] ? d : seen_low[i];
            seen_high[i] = d > seen_high[i] ? d : seen_high[i];
        }
    }
    /* Really spread over the range, not stuck somewhere in it. */
    for (i = 0; i < CLO_ARRAY_LEN(full); i++)
        assert_true(seen_high[i] - seen_low[i] > full[i] / 4);
}

static void
test_same_seed_same_delays(void **state)
{
    clo_err err = failure(CLO_E_REMOTE);
    clo_retry a, b;
    int i;

    (void)state;
    clo_retry_init(&a, 20, HOUR);
    clo_retry_init(&b, 20, HOUR);
    a.seed = b.seed = 42;
    for (i = 0; i < 10; i++)
        assert_int_equal(clo_retry_next(&a, &err, false, CLO_SENT_NO),
                         clo_retry_next(&b, &err, false, CLO_SENT_NO));
}

static void
test_retry_after(void **state)
{
    static const struct {
        int asked, low, high;
    } cases[] = {
        {1, 1, 251},           {400, 400, 650},       {5000, 5000, 5250},
        {30000, 30000, 30250}, {90000, 30000, 30250},
    };
    size_t i;

    (void)state;
    for (i = 0; i < CLO_ARRAY_LEN(cases); i++) {
        clo_err err = failure(CLO_E_RATE);
        clo_retry r;
        int64_t d;

        err.retry_after_ms = cases[i].asked;
        clo_retry_init(&r, 3, HOUR);
        d = clo_retry_next(&r, &err, true, CLO_SENT_MAYBE);
        assert_true(d >= cases[i].low && d <= cases[i].high);
    }
}

static void
test_budget(void **state)
{
    clo_err err = failure(CLO_E_RATE);
    clo_retry r;

    (void)state;
    clo_retry_init(&r, 9, 0);
    assert_int_equal(clo_retry_next(&r, &err, false, CLO_SENT_MAYBE), -1);
    /* A wait that would end behind the budget is not begun. */
    err.retry_after_ms = 20000;
    clo_retry_init(&r, 9, 19999);
    assert_int_equal(clo_retry_next(&r, &err, false, CLO_SENT_MAYBE), -1);
    clo_retry_init(&r, 9, HOUR);
    r.deadline_ms = clo_now_ms() - 1;
    err.retry_after_ms = 0;
    assert_int_equal(clo_retry_next(&r, &err, false, CLO_SENT_MAYBE), -1);
}

static void
test_clocks(void **state)
{
    int64_t a = clo_now_ms(), b = clo_now_ms();

    (void)state;
    assert_true(a >= 0 && b >= a);
    assert_true(clo_wall_us() > INT64_C(1600000000) * 1000000);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_who),
        cmocka_unit_test(test_count),
        cmocka_unit_test(test_time_limit_once),
        cmocka_unit_test(test_delays),
        cmocka_unit_test(test_same_seed_same_delays),
        cmocka_unit_test(test_retry_after),
        cmocka_unit_test(test_budget),
        cmocka_unit_test(test_clocks),
    };

    return cmocka_run_group_tests(tests, NULL, no_blocks_left);
}
