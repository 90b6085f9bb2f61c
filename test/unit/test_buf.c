/* test_buf.c - limits, sticky errors, formatting, percent-encoding, taking. */
#include "base_test.h"

static void
test_limits(void **state)
{
    clo_err err;
    clo_buf b;

    (void)state;
    clo_err_clear(&err);
    clo_buf_init(&b, 5);
    assert_null(b.data);
    assert_true(clo_buf_add(&b, "abc", 3));
    assert_true(clo_buf_str(&b, "de"));
    assert_string_equal(b.data, "abcde");
    assert_int_equal(clo_buf_check(&b, "text", &err), CLO_OK);
    assert_true(clo_buf_add(&b, "", 0));
    assert_false(clo_buf_add(&b, "f", 1));
    /* The content is gone, and stays gone. */
    assert_null(b.data);
    assert_int_equal(b.len, 0);
    assert_false(clo_buf_add(&b, "x", 1));
    assert_false(clo_buf_add(&b, "", 0));
    assert_false(clo_buf_fmt(&b, "%d", 1));
    assert_false(clo_buf_uri(&b, "x", 1));
    assert_int_equal(clo_buf_check(&b, "the URL", &err), CLO_ERROR);
    assert_int_equal(err.code, CLO_E_LIMIT);
    assert_string_equal(err.msg, "the URL is larger than the limit of 5 bytes");
    clo_err_clear(&err);
    assert_null(clo_buf_take(&b, NULL, "the URL", &err));
    assert_int_equal(err.code, CLO_E_LIMIT);
    clo_buf_reset(&b);
    assert_true(clo_buf_str(&b, "again"));
    clo_buf_free(&b);
    assert_null(b.data);
    assert_int_equal(b.max, 5);
}

static void
test_expected(void **state)
{
    clo_buf b;
    char *at;

    (void)state;
    clo_buf_init(&b, 1000);
    clo_buf_expect(&b, 500);
    assert_int_equal(b.cap, 501);
    assert_int_equal(b.len, 0);
    assert_string_equal(b.data, "");
    assert_true(clo_buf_str(&b, "abc"));
    at = b.data;
    for (int i = 0; i < 497; i++)
        assert_true(clo_buf_str(&b, "x"));
    assert_ptr_equal(b.data, at);
    clo_buf_expect(&b, 400); /* it has that */
    assert_int_equal(b.cap, 501);
    clo_buf_expect(&b, 5000); /* not beyond the limit */
    assert_int_equal(b.cap, 1001);
    assert_int_equal(b.len, 500);
    assert_memory_equal(b.data, "abcx", 4);
    clo_buf_expect(&b, 5000);
    assert_false(clo_buf_add(&b, b.data, 501));
    clo_buf_expect(&b, 100); /* the error stays */
    assert_null(b.data);
    assert_int_equal(b.error, CLO_E_LIMIT);
    clo_buf_free(&b);
}

static void
test_zero_limit(void **state)
{
    clo_buf b;

    (void)state;
    clo_buf_init(&b, 0);
    assert_true(clo_buf_str(&b, ""));
    assert_string_equal(b.data, "");
    assert_false(clo_buf_str(&b, "x"));
    clo_buf_free(&b);
    clo_buf_init(&b, SIZE_MAX);
    assert_true(clo_buf_str(&b, "x"));
    clo_buf_free(&b);
}

static void
test_growth(void **state)
{
    clo_buf b;
    size_t i;

    (void)state;
    clo_buf_init(&b, 100000);
    for (i = 0; i < 100000; i++)
        assert_true(clo_buf_add(&b, &"0123456789"[i % 10], 1));
    assert_int_equal(b.len, 100000);
    assert_int_equal(strlen(b.data), 100000);
    assert_true(b.cap <= 100001);
    for (i = 0; i < 100000; i++)
        assert_int_equal(b.data[i], '0' + (int)(i % 10));
    clo_buf_reset(&b);
    assert_string_equal(b.data, "");
    assert_true(b.cap >= 100001);
    clo_buf_free(&b);
}

/* The limit holds for formatted text also where spare capacity would have room for it. */
static void
test_format(void **state)
{
    char long_text[500];
    clo_buf b;

    (void)state;
    memset(long_text, 'x', sizeof long_text - 1);
    long_text[sizeof long_text - 1] = '\0';
    clo_buf_init(&b, 1000);
    assert_true(clo_buf_fmt(&b, "%s=%d;", "a", 42));
    assert_true(clo_buf_fmt(&b, "%s", long_text));
    assert_int_equal(b.len, 5 + 499);
    assert_memory_equal(b.data, "a=42;xxx", 8);
    assert_int_equal(b.data[b.len], 0);
    assert_false(clo_buf_fmt(&b, "%s", long_text));
    assert_int_equal(b.error, CLO_E_LIMIT);
    clo_buf_free(&b);
    clo_buf_init(&b, 70);
    assert_true(clo_buf_fmt(&b, "%60s", ""));
    assert_true(clo_buf_fmt(&b, "%10s", ""));
    assert_false(clo_buf_fmt(&b, "%s", "x"));
    clo_buf_free(&b);
}

static void
test_uri(void **state)
{
    static const struct {
        const char *in;
        size_t n;
        const char *out;
    } cases[] = {
        {"", 0, ""},
        {"azAZ09-._~", 10, "azAZ09-._~"},
        {"a b+c", 5, "a%20b%2Bc"},
        {"/?#%&=", 6, "%2F%3F%23%25%26%3D"},
        {"\0\xff", 2, "%00%FF"},
        {"\xc3\xa9", 2, "%C3%A9"},
    };
    clo_buf b;
    size_t i;

    (void)state;
    for (i = 0; i < CLO_ARRAY_LEN(cases); i++) {
        clo_buf_init(&b, 100);
        assert_true(clo_buf_uri(&b, cases[i].in, cases[i].n));
        assert_string_equal(b.data, cases[i].out);
        clo_buf_free(&b);
    }
    clo_buf_init(&b, 4);
    assert_false(clo_buf_uri(&b, "a  ", 3));
    assert_int_equal(b.error, CLO_E_LIMIT);
}

static void
test_take(void **state)
{
    clo_err err;
    clo_buf b;
    size_t len = 99;
    char *p;

    (void)state;
    clo_err_clear(&err);
    clo_buf_init(&b, 10);
    p = clo_buf_take(&b, &len, "it", &err);
    assert_non_null(p);
    assert_string_equal(p, "");
    assert_int_equal(len, 0);
    clo_free(p);
    clo_buf_add(&b, "a\0b", 3);
    p = clo_buf_take(&b, &len, "it", &err);
    assert_int_equal(len, 3);
    assert_memory_equal(p, "a\0b", 4);
    clo_free(p);
    assert_null(b.data);
    assert_true(clo_buf_str(&b, "0123456789"));
    clo_buf_free(&b);
}

static bool
try_building(void *arg)
{
    clo_err err;
    clo_buf b;
    char *p;

    (void)arg;
    clo_err_clear(&err);
    clo_buf_init(&b, 10000);
    clo_buf_str(&b, "start");
    clo_buf_fmt(&b, "%500s", "x");
    clo_buf_uri(&b, "a b", 3);
    clo_buf_fmt(&b, "%5000s", "x");
    p = clo_buf_take(&b, NULL, "it", &err);
    if (!p) {
        assert_int_equal(err.code, CLO_E_NOMEM);
        assert_null(b.data);
        return false;
    }
    assert_int_equal(strlen(p), 5 + 500 + 5 + 5000);
    clo_free(p);
    return true;
}

static void
test_oom(void **state)
{
    (void)state;
    oom_loop(try_building, NULL);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_limits),     cmocka_unit_test(test_expected),
        cmocka_unit_test(test_zero_limit), cmocka_unit_test(test_growth),
        cmocka_unit_test(test_format),     cmocka_unit_test(test_uri),
        cmocka_unit_test(test_take),       cmocka_unit_test(test_oom),
    };

    return cmocka_run_group_tests(tests, NULL, no_blocks_left);
}
