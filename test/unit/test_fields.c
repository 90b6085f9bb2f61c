/*
 * test_fields.c - custom fields as columns: names, types, both sources, and tables made by hand.
 */
#include "base_test.h"
#include "fake_list.h"
#include "scan.h"

static const char listed[] =
    "{\"has_more\":false,\"data\":["
    "{\"id\":\"cf_1\",\"name\":\"Deal Size "
    "(EUR)\",\"type\":\"number\",\"accepts_multiple_values\":false},"
    "{\"id\":\"cf_2\",\"name\":\"deal-size  "
    "eur\",\"type\":\"text\",\"accepts_multiple_values\":false},"
    "{\"id\":\"cf_3\",\"name\":\"2nd date\",\"type\":\"date\",\"accepts_multiple_values\":false},"
    "{\"id\":\"cf_4\",\"name\":\"\\u2603\",\"type\":\"datetime\",\"accepts_multiple_values\":false}"
    ","
    "{\"id\":\"cf_5\",\"name\":\"Name\",\"type\":\"choices\",\"accepts_multiple_values\":true},"
    "{\"id\":\"cf_6\",\"name\":\"A name that is much longer than any identifier of PostgreSQL may "
    "be, "
    "and then some\",\"type\":\"user\",\"accepts_multiple_values\":false}]}";

static const char schema[] =
    "{\"fields\":[{\"id\":\"cf_1\",\"name\":\"Deal Size (EUR)\",\"type\":\"number\"},"
    "{\"id\":\"cf_9\",\"name\":\"Shared\",\"type\":\"number\",\"accepts_multiple_values\":false}]}";

static clo_client *
client_of(const fk *f)
{
    clo_err err;
    clo_client *c = clo_client_new(&err);
    char url[64];

    snprintf(url, sizeof url, "http://127.0.0.1:%d", f->port);
    assert_int_equal(clo_client_set(c, "env_url", url, CLO_FROM_SESSION, &err), CLO_OK);
    assert_int_equal(clo_client_set(c, "client_id", "skc_unit", CLO_FROM_SESSION, &err), CLO_OK);
    assert_int_equal(clo_client_set(c, "client_secret", "unit-secret", CLO_FROM_SESSION, &err),
                     CLO_OK);
    assert_int_equal(clo_client_set(c, "identifier", "user_unit", CLO_FROM_SESSION, &err), CLO_OK);
    return c;
}

static clo_table *
read_fields(clo_client *c, const char *base, clo_err *err)
{
    clo_fields *f = clo_fields_new(c, clo_table_find(base), err);
    clo_table *t = NULL;
    clo_status st;

    if (f == NULL)
        return NULL;
    assert_null(clo_fields_take(f, err));
    do
        st = clo_fields_step(f, 500, err);
    while (st == CLO_AGAIN);
    if (st == CLO_DONE)
        t = clo_fields_take(f, err);
    clo_fields_free(f);
    return t;
}

static void
expect(const clo_table *t, const char *name, clo_type type, const char *path)
{
    int c = clo_table_column(t, name);

    if (c < 0)
        fail_msg("no column %s", name);
    assert_int_equal(t->columns[c].type, type);
    assert_string_equal(t->columns[c].path, path);
    assert_true(t->columns[c].flags & CLO_C_FIELD);
}

static void
fields_become_columns(void **state)
{
    fk *f = fk_start(0, 1);
    clo_client *c = client_of(f);
    const clo_table *base = clo_table_find("close_leads");
    clo_table *t;
    clo_err err;

    (void)state;
    f->canned = listed;
    t = read_fields(c, "close_leads", &err);
    if (t == NULL)
        fail_msg("%s", err.msg);
    assert_int_equal(t->n_columns, base->n_columns + 6);
    expect(t, "deal_size_eur", CLO_T_REAL, "custom.cf_1");
    expect(t, "deal_size_eur_2", CLO_T_TEXT, "custom.cf_2");
    expect(t, "f_2nd_date", CLO_T_DATE, "custom.cf_3");
    expect(t, "field", CLO_T_TIME, "custom.cf_4");
    expect(t, "name_2", CLO_T_JSON, "custom.cf_5"); /* the table has a name of its own */
    assert_true(strlen(t->columns[base->n_columns + 5].name) <= CLO_NAME_MAX);
    assert_string_equal(t->columns[0].name, "id");
    clo_table_free(t);
    f->proxy = schema;
    t = read_fields(c, "close_leads", &err);
    assert_non_null(t);
    assert_int_equal(t->n_columns, base->n_columns + 7);
    expect(t, "shared", CLO_T_REAL, "custom.cf_9");
    clo_table_free(t);
    clo_client_unref(c);
    fk_stop(f);
}

static void
values_of_fields_are_read(void **state)
{
    static const char rows[] = "{\"has_more\":false,\"data\":[{\"id\":\"lead_1\",\"custom.cf_1\":"
                               "12.5,\"custom.cf_2\":\"x\"},"
                               "{\"id\":\"lead_2\"}]}";
    static const clo_column extra[] = {
        {"size", CLO_T_REAL, CLO_C_FIELD | CLO_C_NULLABLE, "custom.cf_1", "Size."},
        {"note", CLO_T_TEXT, CLO_C_FIELD | CLO_C_NULLABLE, "custom.cf_2", NULL}};
    fk *f = fk_start(0, 1);
    clo_client *c = client_of(f);
    clo_err err;
    clo_table *t = clo_table_extend(clo_table_find("close_leads"), extra, 2, &err);
    clo_question q = {0};
    clo_plan plan, again;
    clo_cursor *cur;
    char *text;
    int n = 0, size = clo_table_column(t, "size");
    clo_status st;

    (void)state;
    f->canned = rows;
    q.table = t;
    clo_colset_add(&q.needed, size);
    assert_int_equal(clo_plan_make(c, &q, &plan, &err), CLO_OK);
    text = clo_plan_encode(&plan, &err);
    assert_non_null(strstr(text, "_fields=id,custom.cf_1"));
    assert_int_equal(clo_plan_decode(t, text, &again, &err), CLO_OK);
    clo_free(text);
    cur = clo_cursor_open(c, &again, NULL, -1, 0, &err);
    while ((st = clo_cursor_step(cur, 500, &err)) == CLO_ROW || st == CLO_AGAIN)
        if (st == CLO_ROW) {
            const clo_value *v = &clo_cursor_row(cur)[size];
            assert_true(n == 0 ? v->type == CLO_T_REAL && v->u.r == 12.5 : v->type == CLO_T_NULL);
            n++;
        }
    assert_int_equal(st, CLO_DONE);
    assert_int_equal(n, 2);
    clo_cursor_free(cur);
    clo_table_free(t);
    clo_client_unref(c);
    fk_stop(f);
}

static void
refusals(void **state)
{
    static clo_column many[CLO_MAX_COLUMNS];
    fk *f = fk_start(0, 1);
    clo_client *c = client_of(f);
    clo_err err;

    (void)state;
    assert_null(clo_fields_new(c, clo_table_find("close_users"), &err));
    assert_int_equal(err.code, CLO_E_ARG);
    f->canned = "{\"has_more\":false,\"data\":[{\"id\":\"cf_1\",\"name\":null,\"type\":\"text\"}]}";
    assert_null(read_fields(c, "close_contacts", &err));
    assert_int_equal(err.code, CLO_E_PROTO);
    assert_null(clo_table_extend(clo_table_find("close_leads"), many, CLO_MAX_COLUMNS, &err));
    assert_int_equal(err.code, CLO_E_LIMIT);
    clo_table_free(NULL);
    clo_fields_free(NULL);
    clo_client_unref(c);
    fk_stop(f);
}

static bool
extend(void *arg)
{
    static const clo_column extra[] = {{"a", CLO_T_TEXT, CLO_C_FIELD, "custom.cf_1", "A."}};
    clo_err err;
    clo_table *t = clo_table_extend(arg, extra, 1, &err);

    if (t == NULL)
        assert_int_equal(err.code, CLO_E_NOMEM);
    clo_table_free(t);
    return t != NULL;
}

static void
without_memory(void **state)
{
    clo_table copy = *clo_table_find("close_leads");

    (void)state;
    oom_loop(extend, &copy);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fields_become_columns),
        cmocka_unit_test(values_of_fields_are_read),
        cmocka_unit_test(refusals),
        cmocka_unit_test(without_memory),
    };

    return cmocka_run_group_tests(tests, NULL, no_blocks_left);
}
