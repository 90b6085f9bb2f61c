/* test_json.c - what is accepted and refused, what passes through unchanged, building. */
#include "base_test.h"

#include <locale.h>
#include <stdio.h>

static clo_json *
parse(const char *text, clo_err *err)
{
    return clo_json_parse(text, strlen(text), "the answer", err);
}

/* Malformed documents, with the byte and the reason that the message must show. */
static void
test_refused(void **state)
{
    static const struct {
        const char *in, *says;
    } cases[] = {
        {"", "at byte 0"},
        {" \n\t ", "at byte"},
        {"nul", "at byte 3"},
        {"tru", "at byte 3"},
        {"True", "at byte"},
        {"NaN", "at byte 0: not a JSON value"},
        {"[1, NaN]", "at byte 4: not a JSON value"},
        {"Infinity", "not a JSON value"},
        {"[-Infinity]", "at byte 1: malformed number"},
        {"[TRUE]", "at byte 1: not a JSON value"},
        {"[Null]", "at byte 1: not a JSON value"},
        {"[trux]", "at byte 1: not a JSON value"},
        {"[truefalse]", "at byte 5"},
        {"[nan]", "at byte"},
        {"[inf]", "at byte"},
        {"[01]", "at byte 1: malformed number"},
        {"[-01]", "malformed number"},
        {"[00]", "malformed number"},
        {"[1.]", "malformed number"},
        {"[1.e5]", "malformed number"},
        {"[.5]", "at byte 1"},
        {"[1e]", "malformed number"},
        {"[1e+]", "malformed number"},
        {"[-]", "malformed number"},
        {"-", "malformed number"},
        {"[+1]", "at byte 1"},
        {"[--1]", "malformed number"},
        {"[1.5.5]", "at byte 4"},
        {"[0x10]", "at byte 2"},
        {"[1-2]", "at byte"},
        {"[18446744073709551616]", "at byte 1: integer beyond 64 bits"},
        {"[99999999999999999999999]", "integer beyond 64 bits"},
        {"[-9223372036854775809]", "integer beyond 64 bits"},
        {"[1,]", "at byte 3"},
        {"[1, \n]", "at byte 5: comma before a closing bracket"},
        {"[{\"a\":1, },2]", "at byte 9: comma before a closing bracket"},
        {"[,1]", "at byte 1"},
        {"[1,,2]", "at byte 3"},
        {"[1 2]", "at byte 3"},
        {"[1", "at byte 2"},
        {"{", "at byte 1"},
        {"{\"a\"}", "at byte 4"},
        {"{\"a\" 1}", "at byte 5"},
        {"{\"a\":}", "at byte 5"},
        {"{\"a\":1,}", "at byte 7"},
        {"{,}", "at byte 2"},
        {"{a:1}", "at byte 1"},
        {"{1:1}", "at byte 1"},
        {"{'a':1}", "at byte 1"},
        {"['a']", "at byte 1"},
        {"\v1", "at byte 0"},
        {"[\f]", "at byte 1"},
        {"[\"a\tb\"]", "at byte 3: control character in a string"},
        {"[\"0123456789\nb\"]", "at byte 12: control character in a string"},
        {"[\"\\x\"]", "at byte"},
        {"[\"\\u12G4\"]", "at byte"},
        {"[\"\\u00\"]", "at byte"},
        {"\"abc", "at byte 4"},
        {"\"abc\\", "at byte"},
        {"\"abc\\u0000", "at byte"},
        {"/*x*/[1]", "at byte 0"},
        {"[1 /*x*/]", "at byte 3: not a JSON value"},
        {"[1]//x", "at byte 3"},
        {"[1]x", "at byte 3"},
        {"[1][2]", "at byte 3"},
        {"{}{}", "at byte 2"},
        {"12 13", "at byte"},
        {"\"a\" \"b\"", "at byte"},
        {"null null", "at byte"},
        {"{\"a\\u0000b\":1}", "at byte 1: U+0000 in a member name"},
        {"{\"k\":{\"\\u0000\" : 1}}", "at byte 6: U+0000 in a member name"},
        {"<html>", "at byte 0"},
        {"\xef\xbb\xbf{}", "at byte 0"},
    };
    size_t i;

    (void)state;
    for (i = 0; i < CLO_ARRAY_LEN(cases); i++) {
        clo_err err;
        clo_json *j = parse(cases[i].in, &err);

        if (j || err.code != CLO_E_PROTO || !strstr(err.msg, cases[i].says) ||
            strncmp(err.msg, "the answer is not valid JSON at byte", 36) != 0)
            fail_msg("%s gave %s", cases[i].in, j ? "a document" : err.msg);
    }
}

static void
test_nul_bytes(void **state)
{
    static const char text[] = "[1]\0", inside[] = "[1,\0 2]", string[] = "[\"a\0b\"]";
    clo_err err;

    (void)state;
    assert_null(clo_json_parse(text, 4, "it", &err));
    assert_string_equal(err.msg, "it is not valid JSON at byte 3: NUL byte");
    assert_null(clo_json_parse(inside, sizeof inside - 1, "it", &err));
    assert_null(clo_json_parse(string, sizeof string - 1, "it", &err));
    assert_non_null(strstr(err.msg, "control character"));
}

/* Accepted, and written back byte by byte (given compact input without needless escapes). */
static void
test_unchanged(void **state)
{
    static const char *const cases[] = {
        "null",
        "true",
        "false",
        "0",
        "-1",
        "12",
        "\"\"",
        "[]",
        "{}",
        "[null]",
        "1.0",
        "-0.0",
        "0.1",
        "1e5",
        "1E5",
        "1.50",
        "100000000000000000000.5",
        "1e999",
        "9007199254740993",
        "9223372036854775807",
        "-9223372036854775808",
        "18446744073709551615",
        "12345678901234567890123e0",
        "\"a/b\"",
        "\"<body>\\\"x\\\"</body>\"",
        "\"tab\\tnewline\\n\"",
        "\"caf\xc3\xa9 \xf0\x9f\x98\x80\"",
        "\"a\\u0000b\"",
        "\"\\\\u0000\"",
        "\"NaN\"",
        "\"Infinity 01 1.\"",
        "{\"NaN\":\"I\"}",
        "{\"\":1}",
        "{\"a\":{\"b\":[1,2,{\"c\":null}]}}",
        "[\"\\\\\",\"\\\"\"]",
        "{\"custom.cf_x\":\"01234567\\\\\\\"\"}",
    };
    size_t i, len;

    (void)state;
    for (i = 0; i < CLO_ARRAY_LEN(cases); i++) {
        clo_err err;
        clo_json *j = parse(cases[i], &err);

        if (!j)
            fail_msg("%s: %s", cases[i], err.msg);
        assert_string_equal(clo_json_text(j, &len), cases[i]);
        assert_int_equal(len, strlen(cases[i]));
        clo_json_free(j);
    }
}

static void
test_whitespace_and_escapes(void **state)
{
    static const struct {
        const char *in, *out;
    } cases[] = {
        {" [ 1 , 2 ] \r\n", "[1,2]"},
        {"\t{ \"a\" : 1 }", "{\"a\":1}"},
        {"\n12\n", "12"},
        {" null ", "null"},
        {"\"\\u00e9\\/\"", "\"\xc3\xa9/\""},
        {"\"\\ud83d\\ude00\"", "\"\xf0\x9f\x98\x80\""},
        {"{\"a\":1,\"a\":2}", "{\"a\":2}"},
    };
    size_t i;

    (void)state;
    for (i = 0; i < CLO_ARRAY_LEN(cases); i++) {
        clo_err err;
        clo_json *j = parse(cases[i].in, &err);

        assert_non_null(j);
        assert_string_equal(clo_json_text(j, NULL), cases[i].out);
        clo_json_free(j);
    }
}

static void
test_depth(void **state)
{
    int depth;

    (void)state;
    for (depth = 1; depth <= 70; depth++) {
        char text[150];
        clo_err err;
        clo_json *j;

        memset(text, '[', (size_t)depth);
        memset(text + depth, ']', (size_t)depth);
        j = clo_json_parse(text, (size_t)depth * 2, "it", &err);
        assert_int_equal(j != NULL, depth <= 64);
        if (!j)
            assert_int_equal(err.code, CLO_E_PROTO);
        clo_json_free(j);
    }
}

/* Every prefix of a document is refused, whatever the length says about the bytes behind it. */
static void
test_prefixes(void **state)
{
    static const char text[] = "{\"data\":[{\"id\":\"lead_1\",\"n\":-1.5e3,\"t\":true,\"x\":null,"
                               "\"u\":\"\\u00e9\\\\\"}],\"has_more\":false}";
    clo_err err;
    clo_json *j;
    size_t n;

    (void)state;
    for (n = 0; n < sizeof text - 1; n++) {
        assert_null(clo_json_parse(text, n, "it", &err));
        assert_int_equal(err.code, CLO_E_PROTO);
    }
    j = clo_json_parse(text, n, "it", &err);
    assert_non_null(j);
    clo_json_free(j);
}

/* The eight-byte steps of the scanner: a special byte at every position of a string. */
static void
test_string_positions(void **state)
{
    static const char special[] = {'"',    '\\', '\n', '\x1f', '\x7f', '\x80',
                                   '\xff', ' ',  '!',  '#',    '[',    ']'};
    size_t at, k;

    (void)state;
    for (at = 1; at < 40; at++) {
        for (k = 0; k < sizeof special; k++) {
            char text[50];
            bool ok;
            clo_err err;
            clo_json *j;

            memset(text, 'a', 42);
            text[0] = text[41] = '"';
            text[at] = special[k];
            ok = (unsigned char)special[k] >= 0x20 && special[k] != '"' && special[k] != '\\';
            j = clo_json_parse(text, 42, "it", &err);
            assert_int_equal(j != NULL, ok);
            clo_json_free(j);
        }
    }
}

static void
test_null_document(void **state)
{
    clo_err err;
    clo_json *j = parse("null", &err), *obj = clo_json_object(), *arr = clo_json_array();

    (void)state;
    assert_non_null(j);
    assert_int_equal(clo_json_type(j), CLO_J_NULL);
    assert_ptr_equal(j, clo_json_new_null());
    assert_ptr_equal(clo_json_ref(j), j);
    assert_null(clo_json_get(j, "a"));
    assert_null(clo_json_at(j, 0));
    assert_null(clo_json_str(j, NULL));
    assert_int_equal(clo_json_len(j), 0);
    assert_false(clo_json_has(j, "a"));
    assert_true(clo_json_put(obj, "a", j));
    assert_true(clo_json_push(arr, j));
    assert_true(clo_json_put_null(obj, "b"));
    assert_string_equal(clo_json_text(obj, NULL), "{\"a\":null,\"b\":null}");
    assert_string_equal(clo_json_text(arr, NULL), "[null]");
    assert_true(clo_json_has(obj, "a"));
    assert_null(clo_json_get(obj, "a"));
    clo_json_free(j);
    clo_json_free(j);
    clo_json_free(obj);
    clo_json_free(arr);
    clo_json_free(NULL);
}

static void
test_access(void **state)
{
    clo_err err;
    clo_json *j = parse("{\"s\":\"a\\u0000b\",\"i\":-7,\"r\":2.5,\"b\":true,\"n\":null,"
                        "\"a\":[1,\"x\"],\"o\":{\"k\":1},\"big\":18446744073709551615}",
                        &err);
    static const struct {
        const char *key;
        clo_json_kind kind;
    } kinds[] = {
        {"s", CLO_J_STRING}, {"i", CLO_J_INT},     {"r", CLO_J_REAL},
        {"b", CLO_J_BOOL},   {"n", CLO_J_NULL},    {"a", CLO_J_ARRAY},
        {"o", CLO_J_OBJECT}, {"none", CLO_J_NULL}, {"big", CLO_J_INT},
    };
    const char *s;
    size_t i, len;

    (void)state;
    for (i = 0; i < CLO_ARRAY_LEN(kinds); i++)
        assert_int_equal(clo_json_type(clo_json_get(j, kinds[i].key)), kinds[i].kind);
    s = clo_json_str(clo_json_get(j, "s"), &len);
    assert_int_equal(len, 3);
    assert_memory_equal(s, "a\0b", 4);
    len = 9;
    assert_null(clo_json_str(clo_json_get(j, "i"), &len));
    assert_int_equal(len, 0);
    assert_int_equal(clo_json_int(clo_json_get(j, "i")), -7);
    assert_true(clo_json_real(clo_json_get(j, "r")) == 2.5);
    assert_true(clo_json_bool(clo_json_get(j, "b")));
    assert_int_equal(clo_json_len(j), 8);
    assert_int_equal(clo_json_len(clo_json_get(j, "a")), 2);
    assert_int_equal(clo_json_int(clo_json_at(clo_json_get(j, "a"), 0)), 1);
    assert_null(clo_json_at(clo_json_get(j, "a"), 2));
    assert_null(clo_json_at(j, 0));
    assert_null(clo_json_get(clo_json_get(j, "a"), "k"));
    assert_null(clo_json_get(NULL, "k"));
    assert_true(clo_json_has(j, "n"));
    assert_false(clo_json_has(j, "none"));
    clo_json_free(j);
}

static void
test_iteration(void **state)
{
    clo_err err;
    clo_json *j = parse("{\"a\":1,\"b\":null,\"c\":3}", &err);
    clo_json_iter it;
    int64_t sum = 0;
    size_t n = 0;

    (void)state;
    clo_json_iter_init(&it, j);
    while (clo_json_iter_next(&it)) {
        assert_ptr_equal(it.value, clo_json_get(j, it.key));
        sum += clo_json_int(it.value);
        n++;
    }
    assert_int_equal(n, 3);
    assert_int_equal(sum, 4);
    assert_false(clo_json_iter_next(&it));
    clo_json_free(j);
    clo_json_iter_init(&it, NULL);
    assert_false(clo_json_iter_next(&it));
    j = parse("[1]", &err);
    clo_json_iter_init(&it, j);
    assert_false(clo_json_iter_next(&it));
    clo_json_free(j);
}

static void
test_references(void **state)
{
    clo_err err;
    clo_json *j = parse("{\"a\":[1]}", &err), *again = clo_json_ref(j);

    (void)state;
    clo_json_free(j);
    assert_string_equal(clo_json_text(again, NULL), "{\"a\":[1]}");
    clo_json_free(again);
}

static void
test_reals(void **state)
{
    static const struct {
        double r;
        const char *text;
    } cases[] = {
        {0.1, "0.1"},
        {0, "0"},
        {-2.5, "-2.5"},
        {1e300, "1e+300"},
        {1.0 / 3, "0.3333333333333333"},
        {5e-324, "4.94065645841247e-324"},
        {1234567.25, "1234567.25"},
    };
    size_t i;

    (void)state;
    for (i = 0; i < CLO_ARRAY_LEN(cases); i++) {
        clo_json *obj = clo_json_object();
        clo_json *back;
        clo_err err;

        assert_true(clo_json_put_real(obj, "r", cases[i].r));
        assert_string_equal(clo_json_text(clo_json_get(obj, "r"), NULL), cases[i].text);
        back = parse(clo_json_text(obj, NULL), &err);
        assert_true(clo_json_real(clo_json_get(back, "r")) == cases[i].r);
        clo_json_free(back);
        clo_json_free(obj);
    }
}

static void
build_reals(void)
{
    clo_json *obj = clo_json_object(), *back;
    clo_err err;

    assert_true(clo_json_put_real(obj, "r", 2.5));
    assert_string_equal(clo_json_text(obj, NULL), "{\"r\":2.5}");
    back = parse("[2.5]", &err);
    assert_non_null(back);
    assert_true(clo_json_real(clo_json_at(back, 0)) == 2.5);
    clo_json_free(back);
    clo_json_free(obj);
}

/* A host that runs with a decimal comma. */
static void
test_locale(void **state)
{
    static const char *const commas[] = {"de_DE.UTF-8", "de_DE.utf8", "fr_FR.UTF-8", "nl_NL.UTF-8"};
    size_t i;

    (void)state;
    build_reals();
    for (i = 0; i < CLO_ARRAY_LEN(commas); i++) {
        if (!setlocale(LC_NUMERIC, commas[i]))
            continue;
        build_reals();
        setlocale(LC_NUMERIC, "C");
    }
}

static bool
try_document(void *arg)
{
    static const char want[] =
        "{\"s\":\"x\",\"i\":1,\"r\":0.5,\"b\":true,\"n\":null,\"a\":[\"y\",2,false]}";
    clo_json *obj = clo_json_object(), *arr = clo_json_array(), *back = NULL, *y = NULL;
    const char *text;
    size_t len;
    clo_err err;
    bool ok;

    (void)arg;
    ok = obj && arr && clo_json_put_str(obj, "s", "x", 1) && clo_json_put_int(obj, "i", 1) &&
         clo_json_put_real(obj, "r", 0.5) && clo_json_put_bool(obj, "b", true) &&
         clo_json_put_null(obj, "n");
    ok = ok && (y = clo_json_new_str("y", 1)) && clo_json_push(arr, y);
    ok = ok && (y = clo_json_new_int(2)) && clo_json_push(arr, y);
    ok = ok && (y = clo_json_new_bool(false)) && clo_json_push(arr, y);
    if (ok) {
        ok = clo_json_put(obj, "a", arr); /* frees the array when it fails */
        arr = NULL;
    }
    text = ok ? clo_json_text(obj, &len) : NULL;
    if (text) {
        assert_string_equal(text, want);
        back = clo_json_parse(text, len, "it", &err);
        assert_true(back || err.code == CLO_E_NOMEM);
    }
    clo_json_free(arr);
    clo_json_free(obj);
    clo_json_free(back);
    return back != NULL;
}

static void
test_oom(void **state)
{
    (void)state;
    oom_loop(try_document, NULL);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_nul_bytes),
        cmocka_unit_test(test_unchanged),
        cmocka_unit_test(test_whitespace_and_escapes),
        cmocka_unit_test(test_depth),
        cmocka_unit_test(test_prefixes),
        cmocka_unit_test(test_string_positions),
        cmocka_unit_test(test_null_document),
        cmocka_unit_test(test_access),
        cmocka_unit_test(test_iteration),
        cmocka_unit_test(test_references),
        cmocka_unit_test(test_reals),
        cmocka_unit_test(test_locale),
        cmocka_unit_test(test_oom),
    };

    return cmocka_run_group_tests(tests, NULL, no_blocks_left);
}
