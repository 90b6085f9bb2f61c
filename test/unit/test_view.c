/* test_view.c - answers read in place: the same as json-c in every way, or left to it. */
#include "base_test.h"
#include "same_json.h"

#include <locale.h>
#include <stdio.h>

static clo_json *
read_text(const char *text, clo_err *err)
{
    clo_buf b;
    clo_json *j;

    clo_buf_init(&b, 1 << 20);
    assert_true(clo_buf_str(&b, text));
    j = clo_json_read(&b, "it", err);
    assert_true(!j || clo_json_bytes(j) == 0 || (b.data == NULL && b.len == 0));
    clo_buf_free(&b);
    return j;
}

static void
test_alike(void **state)
{
    static const struct {
        const char *text;
        bool in_place;
    } cases[] = {
        {"{}", true},
        {" \n{\t}\r ", true},
        {"{\"a\":1}", true},
        {"{\"a\":[]}", true},
        {"{\"a\":[[],[[]],{}],\"b\":{\"c\":{}}}", true},
        {"{\"a\":null,\"b\":true,\"c\":false}", true},
        {"{\"a\":0,\"b\":-1,\"c\":999999999999999999,\"d\":-999999999999999999}", true},
        {"{\"a\":9007199254740993,\"b\":123456789012345678}", true},
        {"{\"a\":1.0,\"b\":-0.0,\"c\":1e5,\"d\":1E+5,\"e\":12.50e-3,\"f\":0.1}", true},
        {"{\"a\":123456789.12345678,\"b\":1e400,\"c\":-1e400,\"d\":5e-324,\"e\":0.00000000000001}",
         true},
        {"{\"a\":1234567890123456789012.5,\"b\":0e0,\"c\":99999999999999.9}", true},
        {"{\"a\":\"\",\"\":\"b\"}", true},
        {"{\"a\":\"plain text of more than eight bytes\"}", true},
        {"{\"a\":\"\\b\\f\\n\\r\\t\\\"\\\\\",\"b\":\"x\\ny\"}", true},
        {"{\"a\":\"\\/\",\"b\":\"\\u0041\\u00e9\\u20ac\\ud83d\\ude00\\u007f\"}", true},
        {"{\"a\":\"\\u0001\\u001f\\u001F\\u000a\\u0022\\u005c\\u0008\"}", true},
        {"{\"a\":\"x\\u0000y\",\"b\":\"\\\\u0000\"}", true},
        {"{\"a\" : [ 1 , { \"b\" : \"c d\" } , \"\\u0020\" ] , \"e\" : { } }", true},
        {"{\"a\":\"K\xc3\xb6ln\",\"\xc3\xa9\":1}", true},
        {"{\"a\":\"\xff\xfe\",\"b\":\"\xed\xa0\x80\"}", true},
        {"{\"a\":1,\"b\":{\"a\":1,\"b\":{\"a\":1}},\"c\":[{\"a\":1},{\"a\":2}]}", true},
        /* objects like one another: in order, with some missing, added, or elsewhere */
        {"{\"r\":[{\"a\":1,\"b\":2},{\"a\":1,\"b\":2},{\"a\":1},{\"b\":2},{},{\"a\":3}]}", true},
        {"{\"r\":[{\"a\":1,\"b\":2,\"c\":3},{\"a\":1,\"c\":3,\"b\":2},{\"c\":1,\"a\":2}]}", true},
        {"{\"r\":[{\"a\":1},{\"x\":1,\"a\":1,\"y\":2,\"z\":3},{\"y\":1,\"a\":2,\"x\":3}]}", true},
        {"{\"r\":[{\"ab\":1,\"a\":2},{\"a\":1,\"ab\":2},{\"abc\":1,\"a\":2}]}", true},
        {"{\"r\":[{\"name_long1\":1},{\"name_long2\":1},{\"name_long\":1}]}", true},
        {"{\"r\":[{\"a\":{\"x\":1}},{\"a\":[{\"x\":1}]},{\"a\":[[]]},{\"a\":\"x\"},{\"a\":{\"x\":1}"
         "}]}",
         true},
        {"{\"r\":[{\"a\":\"\\n\",\"b\":\"\\t\",\"c\":1},{\"a\":\"\\n\",\"b\":1,\"c\":2}]}", true},
        {"{\"r\":[1,{\"a\":1},null,{\"a\":2},[{\"a\":3}],{\"a\":4}],\"s\":[{\"a\":5}]}", true},
        {"{\"a\":1,\"b\":1,\"c\":1,\"d\":1,\"e\":1,\"f\":1,\"g\":1,\"h\":1}", true},
        {"{\"r\":[{\"\xc3\xa9\":1},{\"\xc3\xa9\":2},{\"\xc3\":3}]}", true},
        /* left to json-c: its errors, its values */
        {"{\"r\":[{\"a\":1,\"b\":2},{\"a\":1,\"b\":2,\"a\":3}]}", false},
        {"{\"r\":[{\"a\":1,\"b\":2},{\"b\":1,\"a\":2,\"b\":3}]}", false},
        {"{\"r\":[{\"a\":1,\"b\":2},{\"x\":1,\"a\":2,\"x\":3}]}", false},
        {"{\"r\":[{\"a\":1,\"b\":2},{\"a\":1,\"a\":2}]}", false},
        {"{\"r\":[{\"a\":{\"x\":1}},{\"a\":{\"x\":1,\"x\":2}}]}", false},
        {"{\"r\":[{\"a\":1},{\"b\":1,\"b\":2}]}", false},
        {"{\"a\":1,\"b\":1,\"c\":1,\"d\":1,\"e\":1,\"f\":1,\"g\":1,\"a\":1}", false},
        {"{\"a\":1,\"b\":1,\"c\":1,\"d\":1,\"e\":1,\"f\":1,\"g\":1,\"g\":1}", false},
        {"{\"r\":[{\"a\":1},{\"a\"", false},
        {"{\"r\":[{\"a\":1},{\"a", false},
        {"{\"r\":[{\"a\":1},{\"a\" 1}]}", false},
        {"", false},
        {"null", false},
        {"[1]", false},
        {"\"a\"", false},
        {"{\"a\":1,\"a\":2}", false},
        {"{\"x\":{\"a\":1,\"b\":{\"a\":1},\"a\":2}}", false},
        {"{\"a\\u0062\":1}", false},
        {"{\"a\":\"\\ud83d\"}", false},
        {"{\"a\":\"\\ude00\\ud83d\"}", false},
        {"{\"a\":\"\\ud83dx\"}", false},
        {"{\"a\":\"\\ud83d\\u0041\"}", false},
        {"{\"a\":-0}", false},
        {"{\"a\":-0,\"b\":1}", false},
        {"{\"a\":1234567890123456789,\"b\":18446744073709551615}", false},
        {"{\"a\":18446744073709551616}", false},
        {"{\"a\":01}", false},
        {"{\"a\":1.}", false},
        {"{\"a\":.5}", false},
        {"{\"a\":1e}", false},
        {"{\"a\":-}", false},
        {"{\"a\":+1}", false},
        {"{\"a\":NaN}", false},
        {"{\"a\":tru}", false},
        {"{\"a\":nulL}", false},
        {"{\"a\":1,}", false},
        {"{\"a\":[1,]}", false},
        {"{\"a\":[1}}", false},
        {"{\"a\":{1]}", false},
        {"{\"a\" 1}", false},
        {"{\"a\":}", false},
        {"{a:1}", false},
        {"{'a':1}", false},
        {"{\"a\":1}}", false},
        {"{\"a\":1} x", false},
        {"{\"a\":1", false},
        {"{\"a\":\"b", false},
        {"{\"a\":\"b\\", false},
        {"{\"a\":\"b\\u12", false},
        {"{\"a\":\"b\\x\"}", false},
        {"{\"a\":\"b\nc\"}", false},
        {"{\"a\":/**/1}", false},
        {"{", false},
    };

    (void)state;
    for (size_t i = 0; i < CLO_ARRAY_LEN(cases); i++) {
        bool in_place = false;

        if (!reads_alike(cases[i].text, strlen(cases[i].text), &in_place))
            fail_msg("differs from json-c: %s", cases[i].text);
        if (in_place != cases[i].in_place)
            fail_msg("%s in place: %s", in_place ? "read" : "not read", cases[i].text);
    }
}

/* Random documents, mostly well-formed ones of few names, so that names repeat now and then. */
typedef struct maker {
    uint64_t seed;
    clo_buf out;
} maker;

static unsigned
pick(maker *m, unsigned n)
{
    m->seed = m->seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (unsigned)(m->seed >> 33) % n;
}

static void
make_space(maker *m)
{
    if (pick(m, 40) == 0)
        (void)clo_buf_add(&m->out, &" \n\t\r"[pick(m, 4)], 1);
}

static void
make_string(maker *m)
{
    static const char *const parts[] = {
        "a",       "lead_0123456789", "\\n",    "\\\"", "\\u00e9", "\\\\", "\xc3\xa4",
        "\\u0000", "\\ud83d\\ude00",  " ",      "\\/",  "{",       "]",    ",",
        ":",       "\\u0007",         "\\ud83d"};

    (void)clo_buf_str(&m->out, "\"");
    for (unsigned n = pick(m, 5); n > 0; n--)
        (void)clo_buf_str(&m->out, parts[pick(m, pick(m, 20) ? 3 : CLO_ARRAY_LEN(parts))]);
    (void)clo_buf_str(&m->out, "\"");
}

static void
make_scalar(maker *m)
{
    static const char *const words[] = {"true",
                                        "false",
                                        "null",
                                        "0",
                                        "-1",
                                        "12.5",
                                        "1e3",
                                        "123456789012345678",
                                        "0.1",
                                        "-0.0",
                                        "3.14159265358979",
                                        "-0",
                                        "1234567890123456789012",
                                        "1.7976931348623157e308"};

    if (pick(m, 2))
        make_string(m);
    else
        (void)clo_buf_str(&m->out, words[pick(m, pick(m, 20) ? 11 : CLO_ARRAY_LEN(words))]);
}

/* NOLINTNEXTLINE(misc-no-recursion): at most six deep */
static void
make_value(maker *m, int depth)
{
    unsigned kind = depth == 0 ? 0 : pick(m, depth > 5 ? 3 : 5);
    bool object = kind == 0 || kind == 4;
    unsigned n = pick(m, 7);

    make_space(m);
    if (kind == 1 || kind == 2 || depth > 5) {
        make_scalar(m);
        return;
    }
    (void)clo_buf_str(&m->out, object ? "{" : "[");
    for (unsigned i = 0; i < n; i++) {
        make_space(m);
        if (object)
            (void)clo_buf_fmt(&m->out, "\"%s%u\":", pick(m, 2) ? "k" : "custom.cf_",
                              i * 5 + pick(m, 6));
        make_value(m, depth + 1);
        make_space(m);
        (void)clo_buf_str(&m->out, i + 1 < n ? "," : "");
    }
    (void)clo_buf_str(&m->out, object ? "}" : "]");
}

/* Rows of one kind: the same names in the same order, but for some. */
static void
make_rows(maker *m)
{
    (void)clo_buf_str(&m->out, "{\"rows\":[");
    for (unsigned rows = pick(m, 6), i = 0; i < rows; i++) {
        unsigned rate = pick(m, 2) ? 2 : 40, n = 0;

        (void)clo_buf_str(&m->out, i > 0 ? ",{" : "{");
        for (unsigned k = 0; k < 24; k++) {
            unsigned other = pick(m, rate) == 0 ? pick(m, 30) : k;

            if (pick(m, rate * 2) == 0)
                continue;
            (void)clo_buf_fmt(&m->out, "%s\"%s%u\":", n++ > 0 ? "," : "", k % 3 ? "k" : "a_name",
                              other);
            if (k % 5 == 4)
                make_value(m, 4);
            else
                make_scalar(m);
        }
        (void)clo_buf_str(&m->out, "}");
    }
    (void)clo_buf_str(&m->out, "]}");
}

static void
test_random_rows(void **state)
{
    maker m = {.seed = 2};
    int in_place = 0;

    (void)state;
    clo_buf_init(&m.out, 1 << 20);
    for (int i = 0; i < 10000; i++) {
        bool here = false;

        clo_buf_reset(&m.out);
        make_rows(&m);
        if (!reads_alike(m.out.data, m.out.len, &here))
            fail_msg("round %d differs from json-c: %s", i, m.out.data);
        in_place += here;
    }
    assert_between(in_place, 2000, 9000); /* both ways were taken */
    clo_buf_free(&m.out);
}

static void
test_random(void **state)
{
    maker m = {.seed = 1};
    int in_place = 0;

    (void)state;
    clo_buf_init(&m.out, 1 << 20);
    for (int i = 0; i < 20000; i++) {
        bool here = false;

        clo_buf_reset(&m.out);
        make_value(&m, 0);
        if (pick(&m, 4) == 0) /* one byte becomes another */
            m.out.data[pick(&m, (unsigned)m.out.len)] = "\"\\{}[],:0e-. \x01"[pick(&m, 14)];
        if (!reads_alike(m.out.data, m.out.len, &here))
            fail_msg("round %d differs from json-c: %s", i, m.out.data);
        in_place += here;
    }
    assert_between(in_place, 5000, 19000); /* both ways were taken */
    clo_buf_free(&m.out);
}

/* Every prefix, in a block of exactly its size: what reads beyond the end is seen by the sanitizers. */
static void
test_prefixes(void **state)
{
    static const char text[] = " {\"data\":{\"has_more\":true,\"data\":[{\"id\":\"lead_1\",\"n\":-"
                               "12.5e+3,\"b\":false,\"s\":\"\\u00e9\\ud83d"
                               "\\ude00\\n\"},null, 7]},\"execution_id\":\"1\"} ";

    (void)state;
    for (size_t n = 0; n < sizeof text; n++)
        assert_true(reads_alike(text, n, NULL));
}

/* Parentheses around an object, and names in it, to both sides of what is read in place. */
static void
test_limits(void **state)
{
    static const int depths[] = {30, 31, 32, 33, 62, 63, 64, 65};
    static const int names[] = {500, 512, 513, 514, 2000};
    clo_buf b;
    bool in_place = false;

    (void)state;
    clo_buf_init(&b, 1 << 20);
    for (size_t i = 0; i < CLO_ARRAY_LEN(depths); i++) {
        clo_buf_reset(&b);
        (void)clo_buf_str(&b, "{\"a\":");
        for (int d = 1; d < depths[i]; d++)
            (void)clo_buf_str(&b, "[");
        for (int d = 1; d < depths[i]; d++)
            (void)clo_buf_str(&b, "]");
        assert_true(clo_buf_str(&b, "}"));
        assert_true(reads_alike(b.data, b.len, &in_place));
        assert_int_equal(in_place, depths[i] <= 32);
    }
    for (size_t i = 0; i < CLO_ARRAY_LEN(names); i++)
        for (int twice = 0; twice < 2; twice++) {
            clo_buf_reset(&b);
            (void)clo_buf_str(&b, "{\"o\":{");
            for (int k = 1; k < names[i]; k++)
                (void)clo_buf_fmt(&b, "%s\"%d\":[{\"1\":%d}]", k > 1 ? "," : "", k, k);
            assert_true(clo_buf_str(&b, twice ? ",\"7\":1}}" : "},\"7\":1}"));
            assert_true(reads_alike(b.data, b.len, &in_place));
            assert_int_equal(in_place, !twice && names[i] <= 513);
        }
    clo_buf_free(&b);
}

/* Names that differ only in the middle fall into one place of the table, and are still told apart. */
static void
test_collisions(void **state)
{
    clo_buf b;
    bool in_place = false;

    (void)state;
    clo_buf_init(&b, 1 << 20);
    for (int twice = 0; twice < 2; twice++) {
        clo_buf_reset(&b);
        (void)clo_buf_str(&b, "{");
        for (int k = 0; k < 200; k++)
            (void)clo_buf_fmt(&b, "\"custom.c%03dabcdefgh\":%d,", k, k);
        assert_true(clo_buf_fmt(&b, "\"custom.c%03dabcdefgh\":0}", twice ? 57 : 999));
        assert_true(reads_alike(b.data, b.len, &in_place));
        assert_int_equal(in_place, !twice);
    }
    clo_buf_free(&b);
}

static void
test_access(void **state)
{
    static const char text[] = "{\"a\":[\"x\",null,{\"b\":\"y\",\"c\":1}],\"d\":\"z\",\"e\":null}";
    clo_err err;
    clo_json *j = read_text(text, &err);
    const clo_json *a = clo_json_get(j, "a"), *o = clo_json_at(a, 2);
    size_t n = 99;

    (void)state;
    assert_true(clo_json_bytes(j) > sizeof text && clo_json_clean(j));
    assert_string_equal(clo_json_str(clo_json_at(a, 0), &n), "x");
    assert_int_equal(n, 1);
    assert_null(clo_json_at(a, 1));
    assert_null(clo_json_at(a, 3));
    assert_null(clo_json_at(j, 0));
    assert_null(clo_json_get(a, "a"));
    assert_null(clo_json_str(a, &n));
    assert_int_equal(n, 0);
    assert_string_equal(clo_json_str(clo_json_get(o, "b"), NULL), "y");
    assert_int_equal(clo_json_int(clo_json_get(o, "c")), 1);
    assert_null(clo_json_get(o, "d"));
    assert_null(clo_json_get(j, "e"));
    assert_true(clo_json_has(j, "e"));
    assert_false(clo_json_has(j, "f"));
    assert_false(clo_json_has(a, "a"));
    assert_int_equal(clo_json_len(clo_json_get(j, "d")), 0);
    assert_string_equal(clo_json_text(o, &n), "{\"b\":\"y\",\"c\":1}");
    assert_ptr_equal(clo_json_text(o, NULL), clo_json_text(o, NULL));
    assert_string_equal(clo_json_text(j, NULL), text);
    clo_json_free(j);
}

/* A reference to a part keeps the whole; a part goes into a document of json-c as a copy. */
static void
test_parts(void **state)
{
    clo_err err;
    clo_json *j = read_text("{\"a\":{\"s\":\"x\\ny\"},\"l\":[1, 2]}", &err);
    clo_json *a = clo_json_ref((clo_json *)(uintptr_t)clo_json_get(j, "a"));
    clo_json *l = clo_json_ref((clo_json *)(uintptr_t)clo_json_get(j, "l"));
    clo_json *out = clo_json_object(), *list = clo_json_array();

    (void)state;
    clo_json_free(j);
    assert_string_equal(clo_json_str(clo_json_get(a, "s"), NULL), "x\ny");
    assert_true(clo_json_put(out, "part", a));
    assert_true(clo_json_push(list, l));
    assert_true(clo_json_put(out, "list", list));
    assert_string_equal(clo_json_text(out, NULL), "{\"part\":{\"s\":\"x\\ny\"},\"list\":[[1,2]]}");
    clo_json_free(out);
}

static void
test_unclean(void **state)
{
    static const char *const texts[] = {"{\"a\":\"\xff\"}", "{\"a\":\"\\u0000\"}"};
    clo_err err;

    (void)state;
    for (size_t i = 0; i < CLO_ARRAY_LEN(texts); i++) {
        clo_json *j = read_text(texts[i], &err);

        assert_true(clo_json_bytes(j) > 0);
        assert_false(clo_json_clean(j));
        clo_json_free(j);
    }
}

/* A number is read alike where the host writes a comma for the decimal point. */
static void
test_locale(void **state)
{
    static const char *const names[] = {"de_DE.UTF-8", "fr_FR.UTF-8", "de_DE", "fr_FR"};
    const char *set = NULL;

    (void)state;
    for (size_t i = 0; i < CLO_ARRAY_LEN(names) && !set; i++)
        set = setlocale(LC_NUMERIC, names[i]);
    if (!set)
        skip();
    assert_true(reads_alike("{\"a\":1.5,\"b\":1.2345678901234567e8}", 34, NULL));
    setlocale(LC_NUMERIC, "C");
}

/* Without memory for a view json-c is asked, so it fails only where both do. */
static bool
try_read(void *arg)
{
    clo_json *j;
    clo_buf b;
    clo_err err;
    bool ok;

    (void)arg;
    clo_buf_init(&b, 4096);
    if (!clo_buf_str(&b, "{\"a\":[1,\"x\\ny\",{\"b\":2}],\"c\":{\"d\":[ ]}}")) {
        clo_buf_free(&b);
        return false;
    }
    j = clo_json_read(&b, "it", &err);
    assert_true(j || err.code == CLO_E_NOMEM);
    ok = j && clo_json_text(clo_json_get(j, "c"), NULL);
    if (ok)
        assert_string_equal(clo_json_text(clo_json_get(j, "c"), NULL), "{\"d\":[]}");
    clo_json_free(j);
    clo_buf_free(&b);
    return ok;
}

static void
test_oom(void **state)
{
    (void)state;
    oom_loop(try_read, NULL);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_alike),       cmocka_unit_test(test_random),
        cmocka_unit_test(test_random_rows), cmocka_unit_test(test_prefixes),
        cmocka_unit_test(test_limits),      cmocka_unit_test(test_collisions),
        cmocka_unit_test(test_access),      cmocka_unit_test(test_parts),
        cmocka_unit_test(test_unclean),     cmocka_unit_test(test_locale),
        cmocka_unit_test(test_oom),
    };

    return cmocka_run_group_tests(tests, NULL, no_blocks_left);
}
