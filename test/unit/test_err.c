/* test_err.c - error values, cutting at characters, masking secrets. */
#include "base_test.h"

static void
test_first_wins(void **state)
{
    clo_err err;

    (void)state;
    memset(&err, 0xab, sizeof err);
    clo_err_clear(&err);
    assert_int_equal(err.code, CLO_E_NONE);
    assert_null(err.hint);
    assert_string_equal(err.msg, "");
    assert_string_equal(err.detail, "");
    assert_string_equal(err.request_id, "");
    assert_false(err.retryable || err.uncertain || err.provider);
    assert_int_equal(clo_err_set(&err, CLO_E_ARG, "first %d", 1), CLO_ERROR);
    assert_int_equal(clo_err_set(&err, CLO_E_NET, "second"), CLO_ERROR);
    assert_int_equal(clo_err_nomem(&err), CLO_ERROR);
    assert_int_equal(err.code, CLO_E_ARG);
    assert_string_equal(err.msg, "first 1");
    clo_err_detail(&err, "words of %s", "theirs");
    assert_string_equal(err.detail, "words of theirs");
    assert_string_equal(err.msg, "first 1");
}

static void
test_names(void **state)
{
    int i, k;

    (void)state;
    for (i = 0; i < CLO_E__COUNT; i++) {
        assert_non_null(clo_code_name((clo_code)i));
        for (k = 0; k < i; k++)
            assert_string_not_equal(clo_code_name((clo_code)i), clo_code_name((clo_code)k));
    }
    assert_string_equal(clo_code_name(CLO_E_ARG), "ARG");
    assert_string_equal(clo_code_name(CLO_E_UNCERTAIN), "UNCERTAIN");
    assert_string_equal(clo_code_name((clo_code)999), "BUG");
}

static void
test_long_message(void **state)
{
    char text[2000];
    clo_err err;
    size_t i;

    (void)state;
    for (i = 0; i + 2 < sizeof text; i += 2)
        memcpy(text + i, "\xc3\xa9", 2);
    text[sizeof text - 2] = '\0';
    clo_err_clear(&err);
    clo_err_set(&err, CLO_E_ARG, "%s", text);
    clo_err_detail(&err, "x%s", text);
    assert_int_equal(strlen(err.msg), sizeof err.msg - 2);
    assert_true(clo_utf8_ok(err.msg, strlen(err.msg)));
    assert_int_equal(strlen(err.detail), sizeof err.detail - 1);
    assert_true(clo_utf8_ok(err.detail, strlen(err.detail)));
}

static void
test_cut(void **state)
{
    static const struct {
        const char *in;
        size_t cap;
        const char *out;
    } cases[] = {
        {"", 1, ""},
        {"abc", 1, ""},
        {"abc", 3, "ab"},
        {"abc", 4, "abc"},
        {"a\xc3\xa9", 3, "a"},
        {"a\xc3\xa9", 4, "a\xc3\xa9"},
        {"\xf0\x9f\x98\x80x", 5, "\xf0\x9f\x98\x80"},
        {"\xf0\x9f\x98\x80x", 4, ""},
        {"a\r\n\tb\x7f\x1b[31m", 20, "a   b  [31m"},
        {"a\xff\xfe"
         "b",
         20, "a??b"},
        {"a\xc3", 20, "a?"},
        {"\xed\xa0\x80", 20, "???"},
        {"a\xc2\x9b"
         "1m",
         20, "a 1m"},
    };
    char out[32];
    size_t i;

    (void)state;
    for (i = 0; i < CLO_ARRAY_LEN(cases); i++) {
        memset(out, 'z', sizeof out);
        clo_text_cut(out, cases[i].cap, cases[i].in, strlen(cases[i].in));
        assert_string_equal(out, cases[i].out);
        assert_int_equal(out[cases[i].cap], 'z');
    }
    clo_text_cut(out, sizeof out, "a\0b", 3);
    assert_string_equal(out, "a b");
    out[0] = 'q';
    clo_text_cut(out, 0, "x", 1);
    assert_int_equal(out[0], 'q');
}

static void
test_mask(void **state)
{
    static const struct {
        const char *in, *out;
    } cases[] = {
        {"", ""},
        {"nothing here", "nothing here"},
        {"topsecret", "***"},
        {"a topsecret b topsecret.", "a *** b ***."},
        {"topsecretary", "***ary"},
        {"topsecret-long!", "***!"}, /* the longer of two that start alike */
        {"topsecrettopsecret-long", "******"},
        {"token=topsecr", "token=***"}, /* cut off at the end of a message */
        {"token=top", "token=top"},     /* too short to tell */
        {"abc", "abc"},                 /* shorter than four bytes: not searched for */
        {"totopsecret", "to***"},
        {"TOPSECRET", "TOPSECRET"},
    };
    clo_secrets s = {{NULL}};
    char text[64];
    clo_err err;
    size_t i;

    (void)state;
    clo_secrets_set(&s, 0, clo_strdup("abc"));
    clo_secrets_set(&s, 1, clo_strdup("replaced"));
    clo_secrets_set(&s, 1, clo_strdup("topsecret"));
    clo_secrets_set(&s, 7, clo_strdup("topsecret-long"));
    clo_secrets_set(&s, 2, clo_strdup(""));
    for (i = 0; i < CLO_ARRAY_LEN(cases); i++) {
        clo_text_cut(text, sizeof text, cases[i].in, strlen(cases[i].in));
        clo_secrets_mask(&s, text);
        assert_string_equal(text, cases[i].out);
    }
    clo_err_clear(&err);
    clo_err_set(&err, CLO_E_AUTH, "refused topsecret");
    clo_err_detail(&err, "body: topsecret-long");
    clo_text_cut(err.request_id, sizeof err.request_id, "topsecret", 9);
    clo_err_mask(&s, &err);
    assert_string_equal(err.msg, "refused ***");
    assert_string_equal(err.detail, "body: ***");
    assert_string_equal(err.request_id, "***");
    clo_secrets_set(&s, 1, NULL);
    clo_text_cut(text, sizeof text, "topsecret", 9);
    clo_secrets_mask(&s, text);
    assert_string_equal(text, "***"); /* still the beginning of the longer one */
    clo_secrets_free(&s);
    clo_secrets_free(&s);
    clo_text_cut(text, sizeof text, "topsecret", 9);
    clo_secrets_mask(&s, text);
    assert_string_equal(text, "topsecret");
}

/* A secret that the end of a message cuts must not show its beginning. */
static void
test_mask_after_cut(void **state)
{
    static const char secret[] = "0123456789abcdef0123456789abcdef";
    clo_secrets s = {{NULL}};
    int pad;

    (void)state;
    clo_secrets_set(&s, 0, clo_strdup(secret));
    for (pad = 150; pad < 245; pad++) {
        clo_err err;

        clo_err_clear(&err);
        clo_err_set(&err, CLO_E_AUTH, "%*s%s", pad, "", secret);
        clo_err_mask(&s, &err);
        assert_null(strstr(err.msg, "0123"));
    }
    clo_secrets_free(&s);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_first_wins),   cmocka_unit_test(test_names),
        cmocka_unit_test(test_long_message), cmocka_unit_test(test_cut),
        cmocka_unit_test(test_mask),         cmocka_unit_test(test_mask_after_cut),
    };

    return cmocka_run_group_tests(tests, NULL, no_blocks_left);
}
