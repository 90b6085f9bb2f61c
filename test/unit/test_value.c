/* test_value.c - dates and times, JSON to columns, rows, equality, parameters. */
#include "base_test.h"

#include <math.h>
#include <stdio.h>

/* One column of each kind, in a table of their own: these tests are about conversion, not about Close. */
enum {
    C_ID,
    C_TEXT,
    C_INT,
    C_REAL,
    C_BOOL,
    C_TIME,
    C_DATE,
    C_JSON,
    C_SECRET,
    C_QUERY,
    C_CUSTOM,
    C_RAW,
    C_FIELD,
    C_LOOSE
};
static const clo_column columns[] = {
    [C_ID] = {"id", CLO_T_TEXT, CLO_C_KEY, NULL, "Id."},
    [C_TEXT] = {"name", CLO_T_TEXT, CLO_C_NULLABLE, NULL, "Text."},
    [C_INT] = {"value", CLO_T_INT, CLO_C_NULLABLE, NULL, "Integer."},
    [C_REAL] = {"rate", CLO_T_REAL, CLO_C_NULLABLE, NULL, "Number."},
    [C_BOOL] = {"done", CLO_T_BOOL, CLO_C_NULLABLE, NULL, "Boolean."},
    [C_TIME] = {"at", CLO_T_TIME, CLO_C_NULLABLE, "date_created", "Timestamp."},
    [C_DATE] = {"won", CLO_T_DATE, CLO_C_NULLABLE, NULL, "Date."},
    [C_JSON] = {"emails", CLO_T_JSON, CLO_C_NULLABLE, NULL, "JSON."},
    [C_SECRET] = {"key", CLO_T_TEXT, CLO_C_SECRET, NULL, "Secret."},
    [C_QUERY] = {"query", CLO_T_TEXT, CLO_C_PARAM, NULL, "Parameter."},
    [C_CUSTOM] = {"custom", CLO_T_JSON, CLO_C_CUSTOM, NULL, "Custom values."},
    [C_RAW] = {"_raw", CLO_T_JSON, CLO_C_RAW, NULL, "All."},
    [C_FIELD] = {"tier", CLO_T_INT, CLO_C_FIELD, "custom.cf_1", "Custom field."},
    [C_LOOSE] = {"latest", CLO_T_TEXT, CLO_C_NULLABLE | CLO_C_LOOSE, NULL, "Type unconfirmed."},
};
static const clo_table table = {
    .name = "close_things", .columns = columns, .n_columns = CLO_ARRAY_LEN(columns)};

static void
test_utf8(void **state)
{
    static const struct {
        const char *s;
        size_t n;
        bool ok;
    } cases[] = {
        {"", 0, true},
        {"abc", 3, true},
        {"a\0b", 3, false},
        {"abcdefgh\0", 9, false},
        {"abcd\0fgh", 8, false},
        {"caf\xc3\xa9", 5, true},
        {"\xe2\x82\xac", 3, true},
        {"\xf0\x9f\x98\x80", 4, true},
        {"\xf4\x8f\xbf\xbf", 4, true},
        {"\xed\x9f\xbf", 3, true},
        {"\xee\x80\x80", 3, true},
        {"\xef\xbf\xbd", 3, true},
        {"\x80", 1, false},
        {"\xbf", 1, false},
        {"\xc0\x80", 2, false},
        {"\xc1\xbf", 2, false},
        {"\xe0\x9f\xbf", 3, false},
        {"\xed\xa0\x80", 3, false},
        {"\xed\xbf\xbf", 3, false},
        {"\xf0\x8f\xbf\xbf", 4, false},
        {"\xf4\x90\x80\x80", 4, false},
        {"\xf5\x80\x80\x80", 4, false},
        {"\xff", 1, false},
        {"\xc3", 1, false},
        {"\xc3(", 2, false},
        {"\xe2\x82", 2, false},
        {"\xe2\x28\xa1", 3, false},
        {"\xf0\x9f\x98", 3, false},
        {"\xf0\x9f\x28\x80", 4, false},
        {"abcdefghijk\xff", 12, false},
    };
    char text[40];
    size_t i, at;

    (void)state;
    for (i = 0; i < CLO_ARRAY_LEN(cases); i++) {
        if (clo_utf8_ok(cases[i].s, cases[i].n) != cases[i].ok)
            fail_msg("case %zu", i);
        /* The same at every offset in plain text, so that no eight-byte step misses it. */
        for (at = 0; at < 24; at++) {
            memset(text, 'x', sizeof text);
            memcpy(text + at, cases[i].s, cases[i].n);
            assert_int_equal(clo_utf8_ok(text, sizeof text), cases[i].ok);
        }
    }
}

static void
test_times(void **state)
{
    static const struct {
        const char *in, *out;
    } cases[] = {
        {"2024-05-02T09:14:07.318000+00:00", "2024-05-02T09:14:07.318000Z"},
        {"2024-05-02T09:14:07+00:00", "2024-05-02T09:14:07.000000Z"},
        {"2024-05-02T09:14:07.318442", "2024-05-02T09:14:07.318442Z"},
        {"2024-05-02T09:14:07.318442Z", "2024-05-02T09:14:07.318442Z"},
        {"2024-05-02t09:14:07z", "2024-05-02T09:14:07.000000Z"},
        {"2024-05-02 09:14:07", "2024-05-02T09:14:07.000000Z"},
        {"2024-05-02T09:14", "2024-05-02T09:14:00.000000Z"},
        {"2024-05-02", "2024-05-02T00:00:00.000000Z"},
        {"2024-05-02T09:14:07.3+00:00", "2024-05-02T09:14:07.300000Z"},
        {"2024-05-02T09:14:07.3184429999Z", "2024-05-02T09:14:07.318442Z"},
        {"2024-05-02T23:59:59.9999999Z", "2024-05-02T23:59:59.999999Z"},
        {"2024-05-02T09:14:07+02:00", "2024-05-02T07:14:07.000000Z"},
        {"2024-05-02T09:14:07-0830", "2024-05-02T17:44:07.000000Z"},
        {"2024-05-02T09:14:07+05", "2024-05-02T04:14:07.000000Z"},
        {"2024-03-01T00:30:00+01:00", "2024-02-29T23:30:00.000000Z"},
        {"2023-12-31T23:30:00-01:00", "2024-01-01T00:30:00.000000Z"},
        {"1970-01-01T00:00:00Z", "1970-01-01T00:00:00.000000Z"},
        {"1969-12-31T23:59:59.999999Z", "1969-12-31T23:59:59.999999Z"},
        {"1900-02-28", "1900-02-28T00:00:00.000000Z"},
        {"2000-02-29", "2000-02-29T00:00:00.000000Z"},
        {"0001-01-01T00:00:00", "0001-01-01T00:00:00.000000Z"},
        {"0001-01-01", "0001-01-01T00:00:00.000000Z"},
        {"9999-12-31T23:59:59.999999Z", "9999-12-31T23:59:59.999999Z"},
    };
    char out[32];
    int64_t us;
    size_t i;

    (void)state;
    for (i = 0; i < CLO_ARRAY_LEN(cases); i++) {
        if (!clo_time_parse(cases[i].in, strlen(cases[i].in), &us))
            fail_msg("%s refused", cases[i].in);
        clo_time_format(us, out);
        assert_string_equal(out, cases[i].out);
    }
    assert_true(clo_time_parse("1970-01-01T00:00:01.5Z", 22, &us));
    assert_int_equal(us, 1500000);
    assert_true(clo_time_parse("1969-12-31T23:59:59Z", 20, &us));
    assert_int_equal(us, -1000000);
}

static void
test_bad_times(void **state)
{
    static const char *const cases[] = {
        "",
        "2024",
        "2024-05",
        "2024-5-2",
        "24-05-02",
        "2024-13-01",
        "2024-00-01",
        "2024-05-00",
        "2024-05-32",
        "2024-04-31",
        "2023-02-29",
        "1900-02-29",
        "0000-01-01",
        "10000-01-01",
        "2024-05-02T",
        "2024-05-02T9:14",
        "2024-05-02T24:00",
        "2024-05-02T23:60",
        "2024-05-02T23:59:60",
        "2024-05-02T23:59:59.",
        "2024-05-02T23:59:59,5",
        "2024-05-02T23:59:59+",
        "2024-05-02T23:59:59+1",
        "2024-05-02T23:59:59+24:00",
        "2024-05-02T23:59:59+01:60",
        "2024-05-02T23:59:59+01:",
        "2024-05-02T23:59:59ZZ",
        "2024-05-02T23:59:59Z ",
        " 2024-05-02",
        "2024-05-02Z",
        "2024-05-02 ",
        "2024/05/02",
        "20240502",
        "yesterday",
        "1714641247",
        "0001-01-01T00:00:00+00:01",
        "9999-12-31T23:59:59-00:01",
        "-024-05-02",
        "2024-05-02X09:14:07",
    };
    int64_t us;
    size_t i;

    (void)state;
    for (i = 0; i < CLO_ARRAY_LEN(cases); i++) {
        if (clo_time_parse(cases[i], strlen(cases[i]), &us))
            fail_msg("%s accepted", cases[i]);
    }
    assert_false(clo_time_parse("2024-05-02\0", 11, &us));
    assert_false(clo_time_parse("2024-05-02T\0", 12, &us));
}

/* Every day of 9999 years, there and back, one after the other. */
static void
test_every_day(void **state)
{
    char text[16], before[16] = "";
    int32_t day, back;
    long n = 0;

    (void)state;
    for (day = -719162; day <= 2932896; day++, n++) {
        clo_date_format(day, text);
        if (strcmp(before, text) >= 0 || !clo_date_parse(text, 10, &back) || back != day)
            fail_msg("day %d is %s", (int)day, text);
        memcpy(before, text, sizeof before);
    }
    assert_int_equal(n, 3652059);
    assert_string_equal(before, "9999-12-31");
    clo_date_format(-719162, text);
    assert_string_equal(text, "0001-01-01");
    clo_date_format(0, text);
    assert_string_equal(text, "1970-01-01");
    clo_date_format(INT32_MIN, text);
    assert_string_equal(text, "0001-01-01");
    clo_date_format(INT32_MAX, text);
    assert_string_equal(text, "9999-12-31");
    assert_false(clo_date_parse("2024-05-02T00:00", 16, &back));
}

static void
test_time_bounds(void **state)
{
    char out[32];

    (void)state;
    clo_time_format(INT64_MIN, out);
    assert_string_equal(out, "0001-01-01T00:00:00.000000Z");
    clo_time_format(INT64_MAX, out);
    assert_string_equal(out, "9999-12-31T23:59:59.999999Z");
}

/* ---- JSON to a column ---- */

typedef struct cell {
    int column;
    const char *json;
    const char *text; /* what SQL sees; NULL: SQL's NULL */
} cell;

static const char *
show(const clo_value *v, char out[64])
{
    switch (v->type) {
    case CLO_T_NULL:
        return NULL;
    case CLO_T_INT:
        snprintf(out, 64, "%lld", (long long)v->u.i);
        return out;
    case CLO_T_REAL:
        snprintf(out, 64, "%.17g", v->u.r);
        return out;
    case CLO_T_BOOL:
        return v->u.b ? "true" : "false";
    default:
        assert_int_equal(v->text[v->len], 0);
        return v->text;
    }
}

static clo_status
read_cell(int column, const char *json, clo_arena *a, char out[64], const char **shown,
          clo_err *err)
{
    clo_json *j = clo_json_parse(json, strlen(json), "the case", err);
    clo_value v;
    clo_status st;

    if (!j)
        fail_msg("%s: %s", json, err->msg);
    memset(err, 0x5a, sizeof *err); /* an error from before does not matter */
    st = clo_value_of_json(j, &table, &columns[column], "thin_1", a, &v, err);
    if (st == CLO_OK) {
        const char *s = show(&v, out);

        assert_true(v.type == CLO_T_NULL || v.type == columns[column].type);
        *shown = s ? clo_arena_strndup(a, s, strlen(s)) : NULL;
    }
    clo_json_free(j);
    return st;
}

static void
test_fits(void **state)
{
    static const cell cases[] = {
        {C_TEXT, "\"Acme\"", "Acme"},
        {C_TEXT, "\"\"", ""},
        {C_TEXT, "null", NULL},
        {C_TEXT, "\"3\"", "3"},
        {C_INT, "0", "0"},
        {C_INT, "-250000", "-250000"},
        {C_INT, "250000.0", "250000"},
        {C_INT, "2.5e5", "250000"},
        {C_INT, "9007199254740992", "9007199254740992"},
        {C_INT, "-9007199254740992", "-9007199254740992"},
        {C_INT, "9.007199254740992e15", "9007199254740992"},
        {C_INT, "null", NULL},
        {C_REAL, "1", "1"},
        {C_REAL, "0.5", "0.5"},
        {C_REAL, "-1e300", "-1.0000000000000001e+300"},
        {C_REAL, "18446744073709551615", "1.8446744073709552e+19"},
        {C_BOOL, "true", "true"},
        {C_BOOL, "false", "false"},
        {C_BOOL, "null", NULL},
        {C_TIME, "\"2024-05-02T09:14:07.318000+00:00\"", "2024-05-02T09:14:07.318000Z"},
        {C_TIME, "\"2024-05-02T09:14:07\"", "2024-05-02T09:14:07.000000Z"},
        {C_TIME, "\"2024-05-02\"", "2024-05-02T00:00:00.000000Z"},
        {C_TIME, "\"0001-01-01T00:00:00\"", "0001-01-01T00:00:00.000000Z"},
        {C_TIME, "null", NULL},
        {C_DATE, "\"2024-02-29\"", "2024-02-29"},
        {C_DATE, "\"2024-02-29T00:00:00+00:00\"", "2024-02-29"},
        {C_DATE, "\"1960-02-29T00:00:00\"", "1960-02-29"},
        {C_JSON, "[]", "[]"},
        {C_JSON, "{\"a\": [1.50, 1e5]}", "{\"a\":[1.50,1e5]}"},
        {C_JSON, "\"text\"", "\"text\""},
        {C_JSON, "5", "5"},
        {C_JSON, "false", "false"},
        {C_JSON, "null", NULL},
        {C_JSON, "\"a\\\\u0000\"", "\"a\\\\u0000\""},
    };
    clo_arena *a = clo_arena_new();
    size_t i;

    (void)state;
    for (i = 0; i < CLO_ARRAY_LEN(cases); i++) {
        const char *shown = NULL;
        char out[64];
        clo_err err;

        if (read_cell(cases[i].column, cases[i].json, a, out, &shown, &err) != CLO_OK)
            fail_msg("%s: %s", cases[i].json, err.msg);
        if (cases[i].text)
            assert_string_equal(shown, cases[i].text);
        else
            assert_null(shown);
    }
    clo_arena_free(a);
}

static void
test_misfits(void **state)
{
    static const struct {
        int column;
        const char *json, *says;
    } cases[] = {
        {C_INT, "9007199254740993",
         "close_things row thin_1: column value holds 9007199254740993, which is beyond exact "
         "integers"},
        {C_INT, "-9007199254740993", "beyond exact integers"},
        {C_INT, "18446744073709551615",
         "holds 18446744073709551615, which is beyond exact integers"},
        {C_INT, "1e16", "beyond exact integers"},
        {C_INT, "1e999", "beyond exact integers"},
        {C_INT, "1.5", "column value holds 1.5, which is not an integer"},
        {C_INT, "\"5\"", "holds \"5\", which is not an integer"},
        {C_INT, "true", "holds true, which is not an integer"},
        {C_INT, "[1]", "holds [1], which is not an integer"},
        {C_TEXT, "5", "column name holds 5, which is not text"},
        {C_TEXT, "{\"a\":1}", "holds {\"a\":1}, which is not text"},
        {C_TEXT, "false", "which is not text"},
        {C_TEXT, "\"a\\u0000b\"", "column name holds text with the character U+0000"},
        {C_TEXT, "\"\xff\"", "column name holds text that is not valid UTF-8"},
        {C_TEXT, "\"caf\xe9\"", "column name holds text that is not valid UTF-8"},
        {C_REAL, "\"1\"", "column rate holds \"1\", which is not a number"},
        {C_REAL, "1e999", "beyond the range of numbers"},
        {C_BOOL, "1", "column done holds 1, which is not a boolean"},
        {C_BOOL, "\"true\"", "which is not a boolean"},
        {C_TIME, "\"soon\"", "column at holds \"soon\", which is not a timestamp"},
        {C_TIME, "\"\"", "holds \"\", which is not a timestamp"},
        {C_TIME, "1714641247", "which is not a timestamp"},
        {C_TIME, "\"2024-05-02T09:14:07\\u0000\"", "which is not a timestamp"},
        {C_DATE, "\"2024-02-30\"", "column won holds \"2024-02-30\", which is not a date"},
        {C_DATE, "\"2024-02-29T00:00:01Z\"", "which is not a date"},
        {C_DATE, "20240229", "which is not a date"},
        {C_JSON, "[\"a\\u0000b\"]", "column emails holds text with the character U+0000"},
        {C_JSON, "[\"\\\\\\u0000\"]", "column emails holds text with the character U+0000"},
        {C_JSON, "{\"k\":\"\xc3\"}", "column emails holds text that is not valid UTF-8"},
        {C_SECRET, "12345", "column key holds a value, which is not text"},
    };
    clo_arena *a = clo_arena_new();
    size_t i;

    (void)state;
    for (i = 0; i < CLO_ARRAY_LEN(cases); i++) {
        const char *shown = NULL;
        char out[64];
        clo_err err;

        if (read_cell(cases[i].column, cases[i].json, a, out, &shown, &err) == CLO_OK)
            fail_msg("%s accepted as %s", cases[i].json, shown ? shown : "NULL");
        assert_int_equal(err.code, CLO_E_PROTO);
        assert_null(err.hint);
        if (!strstr(err.msg, cases[i].says))
            fail_msg("%s: %s", cases[i].json, err.msg);
        assert_non_null(strstr(err.msg, "close_things row thin_1: column "));
    }
    clo_arena_free(a);
}

static void
test_numbers_behind_texts(void **state)
{
    static const char json[] = "{\"date_created\":\"1970-01-02T00:00:01Z\",\"won\":\"1970-02-01\"}";
    clo_arena *a = clo_arena_new();
    clo_value at, won;
    clo_err err;
    clo_json *j = clo_json_parse(json, sizeof json - 1, "it", &err);

    (void)state;
    assert_int_equal(clo_value_of_json(clo_json_get(j, "date_created"), &table, &columns[C_TIME],
                                       NULL, a, &at, &err),
                     CLO_OK);
    assert_int_equal(at.u.i, INT64_C(86401000000));
    assert_int_equal(
        clo_value_of_json(clo_json_get(j, "won"), &table, &columns[C_DATE], NULL, a, &won, &err),
        CLO_OK);
    assert_int_equal(won.u.i, 31);
    clo_json_free(j);
    clo_arena_free(a);
}

/* ---- rows ---- */

static const char row_json[] =
    "{\"id\":\"thin_9\",\"name\":\"Acme\",\"value\":3,\"rate\":0.5,\"done\":false,"
    "\"date_created\":\"2024-05-02T09:14:07\",\"won\":null,\"emails\":[{\"email\":\"a@b.c\"}],"
    "\"custom\":{\"Old Name\":1},\"custom.cf_1\":7,\"custom.cf_b\":[\"x\",\"y\"],"
    "\"custom.odd \\\"key\\\"\":null}";

static void
all_columns(clo_colset *set)
{
    memset(set, 0xff, sizeof *set);
}

/* A row that is the first one. */
static clo_status
row_of(const clo_json *row, const clo_colset *needed, clo_arena *a, clo_value *vals, clo_err *err)
{
    uint16_t places[CLO_ARRAY_LEN(columns)] = {0};

    return clo_row_of_json(row, &table, needed, a, places, vals, err);
}

static void
test_row(void **state)
{
    static const char *const want[] = {
        [C_ID] = "thin_9",
        [C_TEXT] = "Acme",
        [C_INT] = "3",
        [C_REAL] = "0.5",
        [C_BOOL] = "false",
        [C_TIME] = "2024-05-02T09:14:07.000000Z",
        [C_DATE] = NULL,
        [C_JSON] = "[{\"email\":\"a@b.c\"}]",
        [C_SECRET] = NULL,
        [C_QUERY] = NULL,
        [C_CUSTOM] = "{\"cf_1\":7,\"cf_b\":[\"x\",\"y\"],\"odd \\\"key\\\"\":null}",
        [C_RAW] = row_json,
        [C_FIELD] = "7",
        [C_LOOSE] = NULL,
    };
    clo_arena *a = clo_arena_new();
    clo_value vals[CLO_ARRAY_LEN(columns)];
    clo_colset needed;
    clo_err err;
    clo_json *row = clo_json_parse(row_json, sizeof row_json - 1, "it", &err);
    size_t i;

    (void)state;
    all_columns(&needed);
    if (row_of(row, &needed, a, vals, &err) != CLO_OK)
        fail_msg("%s", err.msg);
    for (i = 0; i < CLO_ARRAY_LEN(columns); i++) {
        char out[64];
        const char *shown = show(&vals[i], out);

        if (want[i])
            assert_string_equal(shown, want[i]);
        else
            assert_null(shown);
    }
    clo_json_free(row);
    clo_arena_free(a);
}

/* Rows of one answer, read in place, give what each would give alone: their members stand elsewhere, are missing,
 * or are too many. */
static void
test_rows_in_place(void **state)
{
    static const char *const rows[] = {
        row_json,
        "{\"id\":\"thin_1\",\"name\":\"a\",\"value\":1}",
        "{\"value\":1,\"name\":\"a\",\"id\":\"thin_1\"}",
        "{\"x\":1,\"custom.\":1,\"id\":\"thin_1\",\"custom\":{\"cf_1\":0},\"custom.cf_1\":7,"
        "\"value\":2}",
        "{\"custom.cf_2\":\"q\\\"\\/\",\"id\":\"thin_1\",\"custom.cf_\xc3\xa9/\": { \"a\" : [ 1 ] "
        "} }",
        "{\"custom.a\":null,\"custom.b\":\"b\",\"custom.c\":[\"\",{\"d\":\"e\"}],\"id\":\"thin_"
        "1\"}",
        "{\"id\":\"thin_1\"}",
        NULL /* with many members */,
        row_json,
    };
    uint16_t places[CLO_ARRAY_LEN(columns)] = {0};
    clo_value vals[CLO_ARRAY_LEN(columns)], alone[CLO_ARRAY_LEN(columns)];
    clo_colset needed;
    clo_err err;

    (void)state;
    all_columns(&needed);
    for (size_t r = 0; r < CLO_ARRAY_LEN(rows); r++) {
        clo_arena *a = clo_arena_new();
        clo_json *row, *tree;
        clo_buf b;

        clo_buf_init(&b, 1 << 20);
        for (int i = 0; rows[r] == NULL && i < 300; i++)
            assert_true(clo_buf_fmt(&b, "%s\"custom.m%d\":%d", i > 0 ? "," : "{", i, i));
        assert_true(clo_buf_str(&b, rows[r] != NULL ? rows[r] : ",\"id\":\"thin_1\"}"));
        tree = clo_json_parse(b.data, b.len, "it", &err);
        row = clo_json_read(&b, "it", &err);
        assert_true((clo_json_bytes(row) > 0) == (rows[r] != row_json)); /* a name has an escape */
        assert_int_equal(row_of(tree, &needed, a, alone, &err), CLO_OK);
        assert_int_equal(clo_row_of_json(row, &table, &needed, a, places, vals, &err), CLO_OK);
        for (size_t i = 0; i < CLO_ARRAY_LEN(columns); i++) {
            char out[64], other[64];
            const char *shown = show(&vals[i], out), *want = show(&alone[i], other);

            assert_int_equal(vals[i].type, alone[i].type);
            assert_int_equal(vals[i].len, alone[i].len);
            if (want != NULL)
                assert_string_equal(shown, want);
            else
                assert_null(shown);
        }
        clo_json_free(row);
        clo_json_free(tree);
        clo_buf_free(&b);
        clo_arena_free(a);
    }
}

/* Only needed columns are read: a bad value in another one is nobody's business. */
static void
test_needed(void **state)
{
    static const char json[] = "{\"id\":\"thin_2\",\"name\":5,\"value\":1}";
    clo_arena *a = clo_arena_new();
    clo_value vals[CLO_ARRAY_LEN(columns)];
    clo_colset needed;
    clo_err err;
    clo_json *row = clo_json_parse(json, sizeof json - 1, "it", &err);

    (void)state;
    memset(&needed, 0, sizeof needed);
    needed.w[0] = 1U << C_ID | 1U << C_INT | 1U << C_CUSTOM;
    assert_int_equal(row_of(row, &needed, a, vals, &err), CLO_OK);
    assert_int_equal(vals[C_INT].u.i, 1);
    assert_int_equal(vals[C_TEXT].type, CLO_T_NULL);
    assert_string_equal(vals[C_CUSTOM].text, "{}");
    assert_int_equal(vals[C_CUSTOM].len, 2);
    all_columns(&needed);
    assert_int_equal(row_of(row, &needed, a, vals, &err), CLO_ERROR);
    assert_string_equal(err.msg, "close_things row thin_2: column name holds 5, which is not text");
    clo_json_free(row);
    clo_arena_free(a);
}

static void
test_bad_rows(void **state)
{
    static const struct {
        const char *json, *says;
    } cases[] = {
        {"[]", "close_things: a row is an array instead of an object"},
        {"null", "close_things: a row is null instead of an object"},
        {"\"x\"", "a row is a string instead"},
        {"{\"name\":5}", "close_things row ?: column name holds 5"},
        {"{\"id\":7}", "close_things row ?: column id holds 7, which is not text"},
        {"{\"id\":\"t\",\"custom.cf_2\":\"\xff\"}",
         "close_things row t: column custom holds text that is not valid UTF-8"},
        {"{\"id\":\"t\",\"custom.cf_\xff\":1}", "column custom holds text that is not valid UTF-8"},
        {"{\"id\":\"t\",\"custom.cf_2\":\"\\u0000\"}",
         "column custom holds text with the character U+0000"},
        {"{\"id\":\"t\",\"other\":\"\\u0000\"}",
         "column _raw holds text with the character U+0000"},
        {"{\"id\":\"t\",\"custom.cf_1\":\"seven\"}",
         "column tier holds \"seven\", which is not an integer"},
    };
    clo_arena *a = clo_arena_new();
    clo_value vals[CLO_ARRAY_LEN(columns)];
    clo_colset needed;
    size_t i;

    (void)state;
    all_columns(&needed);
    for (i = 0; i < CLO_ARRAY_LEN(cases); i++) {
        clo_err err;
        clo_json *row = clo_json_parse(cases[i].json, strlen(cases[i].json), "it", &err);

        assert_non_null(row);
        assert_int_equal(row_of(row, &needed, a, vals, &err), CLO_ERROR);
        assert_int_equal(err.code, CLO_E_PROTO);
        if (!strstr(err.msg, cases[i].says))
            fail_msg("%s: %s", cases[i].json, err.msg);
        clo_json_free(row);
    }
    clo_arena_free(a);
}

/* ---- equality ---- */

static clo_value
time_value(const char *s)
{
    clo_value v = clo_text(s, strlen(s));

    v.type = CLO_T_TIME;
    assert_true(clo_time_parse(s, v.len, &v.u.i));
    return v;
}

static clo_value
date_value(const char *s)
{
    clo_value v = clo_text(s, strlen(s));
    int32_t days;

    v.type = CLO_T_DATE;
    assert_true(clo_date_parse(s, v.len, &days));
    v.u.i = days;
    return v;
}

static void
test_equal(void **state)
{
    const struct {
        clo_value a, b;
        bool equal;
    } cases[] = {
        {clo_null(), clo_null(), false},
        {clo_null(), clo_int(0), false},
        {clo_text("", 0), clo_null(), false},
        {clo_text("a", 1), clo_text("a", 1), true},
        {clo_text("a", 1), clo_text("A", 1), false},
        {clo_text("a", 1), clo_text("a\0", 2), false},
        {clo_text("a", 1), clo_text("ab", 2), false},
        {clo_text("5", 1), clo_int(5), true},
        {clo_text("05", 2), clo_int(5), false},
        {clo_text("-5", 2), clo_int(-5), true},
        {clo_int(5), clo_text("5", 1), false},
        {clo_int(5), clo_int(5), true},
        {clo_int(5), clo_int(6), false},
        {clo_int(5), clo_real(5.0), true},
        {clo_real(5.0), clo_int(5), true},
        {clo_int(5), clo_real(5.5), false},
        {clo_int(INT64_MAX), clo_real(9223372036854775807.0), false},
        {clo_int(INT64_MIN), clo_real(-9223372036854775808.0), true},
        {clo_int(9007199254740993), clo_real(9007199254740992.0), false},
        {clo_int(0), clo_real((double)INFINITY), false},
        {clo_int(0), clo_real((double)NAN), false},
        {clo_real((double)NAN), clo_real((double)NAN), false},
        {clo_real(0.5), clo_real(0.5), true},
        {clo_bool(true), clo_int(1), true},
        {clo_bool(true), clo_int(2), false},
        {clo_bool(false), clo_bool(false), true},
        {clo_bool(true), clo_text("true", 4), false},
        {time_value("2024-05-02T09:00:00Z"), time_value("2024-05-02T11:00:00+02:00"), true},
        {time_value("2024-05-02T09:00:00Z"), time_value("2024-05-02T09:00:01Z"), false},
        {time_value("2024-05-02T09:00:00.000000Z"), clo_text("2024-05-02T09:00:00.000000Z", 27),
         true},
        {time_value("2024-05-02T09:00:00.000000Z"), clo_text("2024-05-02T09:00:00Z", 20), false},
        {date_value("2024-05-02"), time_value("2024-05-02T00:00:00Z"), true},
        {time_value("2024-05-02T00:00:01Z"), date_value("2024-05-02"), false},
        {time_value("2024-05-02T00:00:00Z"), date_value("2024-05-02"), true},
        {date_value("2024-05-02"), date_value("2024-05-02"), true},
        {date_value("2024-05-02"), clo_text("2024-05-02", 10), true},
        {clo_json_value("[1]", 3), clo_json_value("[1]", 3), true},
        {clo_json_value("[1]", 3), clo_json_value("[2]", 3), false},
    };
    size_t i;

    (void)state;
    for (i = 0; i < CLO_ARRAY_LEN(cases); i++) {
        if (clo_value_equal(&cases[i].a, &cases[i].b) != cases[i].equal)
            fail_msg("case %zu", i);
    }
}

/* ---- parameters ---- */

static const clo_param p_text = {"lead_id", CLO_T_TEXT, CLO_P_REQUIRED, "Text."};
static const clo_param p_int = {"_limit", CLO_T_INT, CLO_P_PAGING, "Integer."};
static const clo_param p_bool = {"paused", CLO_T_BOOL, 0, "Boolean."};
static const clo_param p_emails = {"emails", CLO_T_JSON, CLO_P_JSONTEXT, "JSON in a string."};
static const clo_param p_object = {"s_query", CLO_T_JSON, CLO_P_OBJECT, "Object."};
static const clo_param p_array = {"sort", CLO_T_JSON, CLO_P_ARRAY, "Array."};

#define TEXT(s) clo_text(s, sizeof(s) - 1)
#define JSON(s) clo_json_value(s, sizeof(s) - 1)

static void
test_parameters(void **state)
{
    const struct {
        const clo_param *param;
        clo_value value;
        const char *wire;
    } cases[] = {
        {&p_text, clo_null(), "null"},
        {&p_text, TEXT("lead_1"), "\"lead_1\""},
        {&p_text, TEXT(""), "\"\""},
        {&p_text, clo_int(15551234567), "\"15551234567\""},
        {&p_text, clo_int(INT64_MIN), "\"-9223372036854775808\""},
        {&p_text, date_value("2024-05-02"), "\"2024-05-02\""},
        {&p_text, time_value("2024-05-02T09:00:00.000000Z"), "\"2024-05-02T09:00:00.000000Z\""},
        {&p_int, clo_int(-3), "-3"},
        {&p_int, clo_real(100.0), "100"},
        {&p_int, clo_int(9007199254740992), "9007199254740992"},
        {&p_bool, clo_bool(true), "true"},
        {&p_bool, clo_int(0), "false"},
        {&p_bool, clo_int(1), "true"},
        {&p_bool, TEXT("false"), "false"},
        {&p_emails, JSON("[ {\"email\": \"a@b.c\"} ]"), "\"[{\\\"email\\\":\\\"a@b.c\\\"}]\""},
        {&p_emails, TEXT("{}"), "\"{}\""},
        {&p_object, JSON("{ \"type\": \"and\" }"), "{\"type\":\"and\"}"},
        {&p_array, TEXT("[1.50, 2]"), "[1.50,2]"},
    };
    size_t i;

    (void)state;
    for (i = 0; i < CLO_ARRAY_LEN(cases); i++) {
        clo_err err;
        clo_json *j = clo_json_of_value(&cases[i].value, cases[i].param, "close_x", &err);

        if (!j)
            fail_msg("case %zu: %s", i, err.msg);
        assert_string_equal(clo_json_text(j, NULL), cases[i].wire);
        clo_json_free(j);
    }
}

static void
test_refused_parameters(void **state)
{
    const struct {
        const clo_param *param;
        clo_value value;
        const char *says;
    } cases[] = {
        {&p_text, clo_real(1.5), "close_x: argument lead_id: expected text, got number"},
        {&p_text, clo_bool(true), "expected text, got boolean"},
        {&p_text, JSON("[\"lead_1\"]"), "expected text, got JSON"},
        {&p_text, TEXT("a\0b"), "argument lead_id: the text has the character U+0000"},
        {&p_text, TEXT("\xff"), "argument lead_id: the text is not valid UTF-8"},
        {&p_int, TEXT("5"), "close_x: argument _limit: expected integer, got text"},
        {&p_int, clo_real(1.5), "expected integer, got 1.5"},
        {&p_int, clo_real((double)NAN), "expected integer"},
        {&p_int, clo_real((double)INFINITY), "beyond exact integers"},
        {&p_int, clo_real(1e300), "beyond exact integers"},
        {&p_int, clo_int(9007199254740993), "9007199254740993 is beyond exact integers"},
        {&p_int, clo_int(INT64_MIN), "beyond exact integers"},
        {&p_int, clo_bool(true), "expected integer, got boolean"},
        {&p_int, date_value("2024-05-02"), "expected integer, got date"},
        {&p_bool, clo_int(2), "close_x: argument paused: expected boolean (1 or 0), got 2"},
        {&p_bool, clo_real(1), "expected boolean, got number"},
        {&p_bool, TEXT("yes"), "expected true or false"},
        {&p_emails, clo_int(5), "close_x: argument emails: expected JSON, got integer"},
        {&p_emails, TEXT("a@b.c"), "argument emails: the value is not valid JSON at byte 0"},
        {&p_emails, TEXT(""), "the value is not valid JSON"},
        {&p_emails, TEXT("[1] x"), "the value is not valid JSON at byte 4"},
        {&p_emails, TEXT("\"a@b.c\""), "expected a JSON array or object, got a string"},
        {&p_emails, TEXT("null"), "expected a JSON array or object, got null"},
        {&p_emails, TEXT("[\"\\u0000\"]"), "the JSON has the character U+0000"},
        {&p_emails, TEXT("[\"\xff\"]"), "the text is not valid UTF-8"},
        {&p_object, JSON("[1]"), "argument s_query: expected a JSON object, got an array"},
        {&p_array, JSON("{}"), "argument sort: expected a JSON array, got an object"},
        {&p_array, JSON("5"), "expected a JSON array, got an integer"},
    };
    size_t i;

    (void)state;
    for (i = 0; i < CLO_ARRAY_LEN(cases); i++) {
        clo_err err;

        memset(&err, 0x5a, sizeof err);
        if (clo_json_of_value(&cases[i].value, cases[i].param, "close_x", &err))
            fail_msg("case %zu accepted", i);
        assert_int_equal(err.code, CLO_E_ARG);
        if (!strstr(err.msg, cases[i].says))
            fail_msg("case %zu: %s", i, err.msg);
        assert_ptr_equal(strstr(err.msg, "close_x: argument "), err.msg);
    }
}

static const clo_param native_params[] = {
    {"emails", CLO_T_JSON, CLO_P_JSONTEXT, "."},
    {"name", CLO_T_TEXT, 0, "."},
    {"phones", CLO_T_JSON, CLO_P_JSONTEXT, "."},
};
static const clo_tool native_tool = {
    .name = "close_x", .params = native_params, .n_params = CLO_ARRAY_LEN(native_params)};

static void
test_native(void **state)
{
    static const char json[] = "{\"emails\":\"[{\\\"email\\\":\\\"a\\\"}]\",\"name\":\"[1]\"}";
    clo_err err;
    clo_json *params = clo_json_parse(json, sizeof json - 1, "it", &err);

    (void)state;
    assert_int_equal(clo_params_native(params, &native_tool, &err), CLO_OK);
    assert_string_equal(clo_json_text(params, NULL),
                        "{\"emails\":[{\"email\":\"a\"}],\"name\":\"[1]\"}");
    /* A second time changes nothing. */
    assert_int_equal(clo_params_native(params, &native_tool, &err), CLO_OK);
    assert_string_equal(clo_json_text(params, NULL),
                        "{\"emails\":[{\"email\":\"a\"}],\"name\":\"[1]\"}");
    clo_json_free(params);
}

/* ---- memory ---- */

static bool
try_row(void *arg)
{
    clo_err err;
    clo_arena *a = clo_arena_new();
    clo_json *row = a ? clo_json_parse(row_json, sizeof row_json - 1, "it", &err) : NULL;
    clo_value vals[CLO_ARRAY_LEN(columns)];
    clo_colset needed;
    bool ok = false;

    (void)arg;
    if (row) {
        all_columns(&needed);
        ok = row_of(row, &needed, a, vals, &err) == CLO_OK;
        if (!ok)
            assert_int_equal(err.code, CLO_E_NOMEM);
    }
    clo_json_free(row);
    clo_arena_free(a);
    return ok;
}

static bool
try_parameters(void *arg)
{
    const clo_value values[] = {TEXT("x"),   clo_int(5), clo_bool(true),
                                JSON("[1]"), JSON("{}"), clo_int(7)};
    const clo_param *const params[] = {&p_text, &p_int, &p_bool, &p_emails, &p_object, &p_text};
    size_t i;

    (void)arg;
    for (i = 0; i < CLO_ARRAY_LEN(values); i++) {
        clo_err err;
        clo_json *j = clo_json_of_value(&values[i], params[i], "close_x", &err);

        if (!j) {
            assert_int_equal(err.code, CLO_E_NOMEM);
            return false;
        }
        clo_json_free(j);
    }
    return true;
}

static bool
try_native(void *arg)
{
    clo_err err;
    clo_json *params = clo_json_object();
    bool ok = params && clo_json_put_str(params, "emails", "[1]", 3) &&
              clo_json_put_str(params, "phones", "[2]", 3);

    (void)arg;
    if (ok && clo_params_native(params, &native_tool, &err) != CLO_OK) {
        assert_int_equal(err.code, CLO_E_NOMEM);
        ok = false;
    }
    clo_json_free(params);
    return ok;
}

/* A column whose real type nobody has confirmed takes what comes, as text. */
static void
test_loose(void **state)
{
    static const struct {
        const char *json, *text;
    } cases[] = {
        {"\"timeout\"", "timeout"},
        {"{\"code\":500,\"why\":\"down\"}", "{\"code\":500,\"why\":\"down\"}"},
        {"[1,2]", "[1,2]"},
        {"503", "503"},
        {"null", NULL},
    };
    clo_arena *a = clo_arena_new();
    clo_err err;

    (void)state;
    for (size_t i = 0; i < CLO_ARRAY_LEN(cases); i++) {
        clo_json *j = clo_json_parse(cases[i].json, strlen(cases[i].json), "value", &err);
        clo_value v;

        assert_int_equal(clo_value_of_json(j, &table, &columns[C_LOOSE], "id_1", a, &v, &err),
                         CLO_OK);
        assert_int_equal(v.type, cases[i].text ? CLO_T_TEXT : CLO_T_NULL);
        if (cases[i].text)
            assert_string_equal(v.text, cases[i].text);
        clo_json_free(j);
    }
    clo_arena_free(a);
}

static void
test_oom(void **state)
{
    (void)state;
    oom_loop(try_row, NULL);
    oom_loop(try_parameters, NULL);
    oom_loop(try_native, NULL);
}

static void
test_names(void **state)
{
    (void)state;
    assert_string_equal(clo_type_name(CLO_T_TEXT), "text");
    assert_string_equal(clo_type_name(CLO_T_DATE), "date");
    assert_string_equal(clo_type_name((clo_type)99), "null");
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_utf8),
        cmocka_unit_test(test_times),
        cmocka_unit_test(test_bad_times),
        cmocka_unit_test(test_every_day),
        cmocka_unit_test(test_time_bounds),
        cmocka_unit_test(test_fits),
        cmocka_unit_test(test_misfits),
        cmocka_unit_test(test_numbers_behind_texts),
        cmocka_unit_test(test_row),
        cmocka_unit_test(test_needed),
        cmocka_unit_test(test_rows_in_place),
        cmocka_unit_test(test_bad_rows),
        cmocka_unit_test(test_equal),
        cmocka_unit_test(test_parameters),
        cmocka_unit_test(test_refused_parameters),
        cmocka_unit_test(test_native),
        cmocka_unit_test(test_oom),
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_loose),
    };

    return cmocka_run_group_tests(tests, NULL, no_blocks_left);
}
