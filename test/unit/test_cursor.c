/*
 * test_cursor.c - scans against a small service that misbehaves in every way the cursor knows.
 *
 * Each test states the rows that SQL would show, then what the service does to hide them.
 */
#include "base_test.h"
#include "fake_list.h"
#include "scan.h"

typedef struct scan {
    fk *f;
    clo_client *client;
    clo_status end;
    clo_err err;
    clo_scan_stats stats;
    int rows, doubles;
    char ids[FK_ROWS][16];
    char names[8][40]; /* column `show` of the first rows */
    int show;
    int64_t count; /* first column of the last row, when it is a number */
} scan;

static void
must(clo_status st, const clo_err *err)
{
    if (st != CLO_OK)
        fail_msg("%s: %s", clo_code_name(err->code), err->msg);
}

static scan *
begin(int rows, int step)
{
    scan *s = calloc(1, sizeof *s);
    char url[64];

    s->f = fk_start(rows, step);
    s->client = clo_client_new(&s->err);
    assert_non_null(s->client);
    snprintf(url, sizeof url, "http://127.0.0.1:%d", s->f->port);
    must(clo_client_set(s->client, "env_url", url, CLO_FROM_SESSION, &s->err), &s->err);
    must(clo_client_set(s->client, "client_id", "skc_unit", CLO_FROM_SESSION, &s->err), &s->err);
    must(clo_client_set(s->client, "client_secret", "unit-secret", CLO_FROM_SESSION, &s->err),
         &s->err);
    must(clo_client_set(s->client, "identifier", "user_unit", CLO_FROM_SESSION, &s->err), &s->err);
    s->show = -1;
    return s;
}

static void
end(scan *s)
{
    clo_client_unref(s->client);
    fk_stop(s->f);
    free(s);
}

static void
set(scan *s, const char *name, const char *value)
{
    must(clo_client_set(s->client, name, value, CLO_FROM_SESSION, &s->err), &s->err);
}

/* Reads a cursor to its end and frees it. */
static void
drain(scan *s, clo_cursor *cur, const clo_table *t)
{
    clo_status st;

    s->rows = s->doubles = 0;
    if (cur == NULL)
        fail_msg("open: %s", s->err.msg);
    while ((st = clo_cursor_step(cur, 1000, &s->err)) == CLO_ROW || st == CLO_AGAIN) {
        const clo_value *v = clo_cursor_row(cur);
        const clo_value *id = &v[clo_table_key(t)];

        if (st == CLO_AGAIN)
            continue;
        s->count = v[0].type == CLO_T_INT ? v[0].u.i : -1;
        for (int i = 0; i < s->rows; i++)
            s->doubles += id->text != NULL && strcmp(s->ids[i], id->text) == 0;
        if (s->show >= 0 && s->rows < 8 && v[s->show].text != NULL)
            snprintf(s->names[s->rows], sizeof s->names[0], "%s", v[s->show].text);
        assert_true(s->rows < FK_ROWS);
        if (id->text != NULL)
            snprintf(s->ids[s->rows], sizeof s->ids[0], "%s", id->text);
        s->rows++;
    }
    s->end = st;
    clo_cursor_stats(cur, &s->stats);
    assert_int_equal(clo_cursor_step(cur, 0, &s->err), st); /* the end stays the end */
    clo_cursor_free(cur);
}

typedef struct ask {
    const char *table;
    clo_qual quals[4];
    clo_bind binds[4]; /* by condition */
    size_t n;
    const char *needs[4];
    clo_sort sort;
    bool sorted, limited, count;
    int64_t limit, offset;
} ask;

static void
run(scan *s, const ask *a)
{
    clo_question q = {0};
    clo_plan plan, again;
    clo_bind binds[CLO_MAX_SLOTS];
    char *text;

    q.table = clo_table_find(a->table);
    assert_non_null(q.table);
    q.quals = a->quals;
    q.n_quals = a->n;
    q.sorts = &a->sort;
    q.n_sorts = a->sorted;
    q.complete = true;
    q.has_limit = a->limited;
    q.has_offset = a->offset > 0;
    q.count_only = a->count;
    if (!a->count)
        clo_colset_add(&q.needed, clo_table_key(q.table));
    for (size_t i = 0; i < 4 && a->needs[i] != NULL; i++) {
        s->show = clo_table_column(q.table, a->needs[i]);
        clo_colset_add(&q.needed, s->show);
    }
    must(clo_plan_make(s->client, &q, &plan, &s->err), &s->err);
    assert_true(plan.limit == a->limited && plan.offset == (a->offset > 0));
    text = clo_plan_encode(&plan, &s->err);
    must(clo_plan_decode(q.table, text, &again, &s->err), &s->err);
    clo_free(text);
    for (int i = 0; i < plan.n_slots; i++)
        binds[i] = a->binds[plan.slots[i].qual];
    drain(s,
          clo_cursor_open(s->client, &again, binds, a->limited ? a->limit : -1, a->offset, &s->err),
          q.table);
}

static ask
all_of(const char *table)
{
    ask a = {0};

    a.table = table;
    return a;
}

/* Adds `column op value`; the value is kept by the caller. */
static void
where(ask *a, const char *column, clo_op op, const clo_value *values, size_t n)
{
    a->quals[a->n] = (clo_qual){clo_table_column(clo_table_find(a->table), column), op, true};
    assert_true(a->quals[a->n].column >= 0);
    a->binds[a->n++] = (clo_bind){values, n};
}

static clo_value
txt(const char *s)
{
    return clo_text(s, strlen(s));
}

static void
expect_rows(const scan *s, int rows)
{
    if (s->end != CLO_DONE)
        fail_msg("%s: %s (%s)", clo_code_name(s->err.code), s->err.msg, s->err.detail);
    assert_int_equal(s->doubles, 0);
    assert_int_equal(s->rows, rows);
}

static void
expect_error(const scan *s, clo_code code, const char *words)
{
    assert_int_equal(s->end, CLO_ERROR);
    if (s->err.code != code || strstr(s->err.msg, words) == NULL)
        fail_msg("%s: %s", clo_code_name(s->err.code), s->err.msg);
}

static bool
sent(const scan *s, int call, const char *what)
{
    return call < s->f->n_calls && strstr(s->f->calls[call], what) != NULL;
}

/* ---- paging --------------------------------------------------------------------------------- */

static void
thousand_leads_are_six_requests(void **state)
{
    scan *s = begin(1000, 61);
    ask a = all_of("close_leads");

    (void)state;
    a.needs[0] = "name";
    run(s, &a);
    expect_rows(s, 1000);
    assert_int_equal(s->f->n_calls, 6);
    assert_int_equal(s->stats.requests, 6);
    assert_true(sent(s, 0, "\"_limit\":200"));
    assert_true(sent(s, 0, "\"_fields\":\"id,name\""));
    assert_false(sent(s, 0, "_skip"));
    assert_true(clo_known_rows(s->client, clo_table_find("close_leads")) == 1000);
    end(s);
}

static void
every_size_and_window(void **state)
{
    static const char *const windows[] = {"1", "2", "8"};
    static const int sizes[] = {0, 1, 99, 100, 101, 199, 200, 399, 1000};

    (void)state;
    for (size_t w = 0; w < CLO_ARRAY_LEN(windows); w++)
        for (size_t i = 0; i < CLO_ARRAY_LEN(sizes); i++) {
            scan *s = begin(sizes[i], 1);
            ask a = all_of("close_contacts");

            set(s, "concurrency", windows[w]);
            run(s, &a);
            expect_rows(s, sizes[i]);
            assert_true(s->stats.max_in_flight <= atoi(windows[w]));
            s->f->no_has_more = true;
            run(s, &a);
            expect_rows(s, sizes[i]);
            end(s);
        }
}

static void
tiny_pages(void **state)
{
    static const char *const sizes[] = {"1", "2", "3"};

    (void)state;
    for (size_t i = 0; i < CLO_ARRAY_LEN(sizes); i++) {
        scan *s = begin(23, 1);
        ask a = all_of("close_contacts");

        set(s, "page_size", sizes[i]);
        run(s, &a);
        expect_rows(s, 23);
        s->f->no_has_more = true;
        run(s, &a);
        expect_rows(s, 23);
        end(s);
    }
}

static void
short_pages_and_smaller_limits(void **state)
{
    scan *s = begin(500, 1);
    ask a = all_of("close_contacts");

    (void)state;
    s->f->silent_cap = 30;
    run(s, &a);
    expect_rows(s, 500);
    s->f->silent_cap = 1;
    s->f->n = 40;
    run(s, &a);
    expect_rows(s, 40);
    s->f->silent_cap = 0;
    s->f->max_limit = 50;
    s->f->n = 500;
    run(s, &a);
    expect_rows(s, 500);
    assert_true(sent(s, s->f->n_calls - 1, "\"_limit\":50"));
    end(s);
}

static void
one_short_page(void **state)
{
    (void)state;
    for (int at = 1; at <= 4; at++) {
        scan *s = begin(1000, 1);
        ask a = all_of("close_leads");

        s->f->short_at = at;
        run(s, &a);
        expect_rows(s, 1000);
        assert_true(s->f->n_calls <= 6 + 8);
        assert_true(sent(s, s->f->n_calls - 1, "\"_limit\":200"));
        end(s);
    }
}

static void
refused_fields_are_left_out(void **state)
{
    scan *s = begin(300, 1);
    ask a = all_of("close_contacts");

    (void)state;
    s->f->refuse_fields = true;
    run(s, &a);
    expect_rows(s, 300);
    assert_false(sent(s, s->f->n_calls - 1, "_fields"));
    end(s);
}

static void
no_progress_is_an_error(void **state)
{
    scan *s = begin(500, 1);
    ask a = all_of("close_contacts");

    (void)state;
    s->f->repeat_page = true;
    run(s, &a);
    expect_error(s, CLO_E_PROTO, "none that are new");
    assert_true(s->rows < 500);
    assert_true(s->f->n_calls < 12);
    s->f->no_has_more = true;
    free(s->f->last_page);
    s->f->last_page = NULL;
    run(s, &a);
    expect_error(s, CLO_E_PROTO, "none that are new");
    end(s);
}

static void
a_failing_page_is_an_error(void **state)
{
    scan *s = begin(500, 1);
    ask a = all_of("close_contacts");

    (void)state;
    s->f->fail_at = 3;
    s->f->fail_words = "{\\\"error\\\":\\\"Something is wrong.\\\"}";
    run(s, &a);
    expect_error(s, CLO_E_REJECTED, "");
    assert_int_equal(s->rows % 99, 1); /* whole pages before it, nothing after */
    end(s);
}

static void
rows_that_move(void **state)
{
    (void)state;
    for (int at = 1; at <= 7; at++)
        for (int n = 1; n <= 150; n += 29) {
            scan *s = begin(600, 1);
            ask a = all_of("close_contacts");
            int deleted[FK_ROWS] = {0}, missing = 0;

            set(s, "concurrency", at % 2 ? "1" : "8");
            for (int i = 3; i < 3 + n; i++)
                deleted[s->f->rows[i].id] = 1;
            s->f->delete_at = at;
            s->f->delete_row = 3;
            s->f->delete_n = n;
            run(s, &a);
            expect_rows(s, s->rows);
            for (int id = 0; id < 600; id++) {
                bool seen = deleted[id];
                char text[16];

                snprintf(text, sizeof text, "row_%05d", id);
                for (int i = 0; i < s->rows && !seen; i++)
                    seen = strcmp(s->ids[i], text) == 0;
                missing += !seen;
            }
            if (missing != 0)
                fail_msg("%d rows deleted before call %d hid %d others", n, at, missing);
            end(s);
        }
    for (int at = 1; at <= 7; at++) {
        scan *s = begin(600, 1);
        ask a = all_of("close_contacts");

        s->f->insert_at = at;
        s->f->insert_row = 5;
        run(s, &a);
        assert_int_equal(s->end, CLO_DONE);
        assert_int_equal(s->doubles, 0);
        assert_true(s->rows >= 600);
        end(s);
    }
}

/* ---- limit, offset, conditions -------------------------------------------------------------- */

static void
limits(void **state)
{
    scan *s = begin(1000, 1);
    ask a = all_of("close_leads");

    (void)state;
    a.limited = true;
    a.limit = 5;
    run(s, &a);
    expect_rows(s, 5);
    assert_int_equal(s->f->n_calls, 1);
    assert_true(sent(s, 0, "\"_limit\":5,") || sent(s, 0, "\"_limit\":5}"));
    a.limit = 0;
    run(s, &a);
    expect_rows(s, 0);
    assert_int_equal(s->f->n_calls, 1);
    a.limit = 450;
    a.offset = 20;
    run(s, &a);
    expect_rows(s, 450);
    assert_int_equal(s->f->n_calls, 4);
    assert_true(sent(s, 1, "\"_skip\":20"));
    a.limit = 50;
    a.offset = 990;
    run(s, &a);
    expect_rows(s, 10);
    end(s);
}

static void
ignored_filters_never_show(void **state)
{
    scan *s = begin(1000, 1);
    ask a = all_of("close_contacts");
    clo_value lead = txt("group_3"), five = clo_int(5), none = clo_null();

    (void)state;
    where(&a, "lead_id", CLO_OP_EQ, &lead, 1);
    run(s, &a);
    expect_rows(s, 100);
    s->f->ignore_filters = true;
    run(s, &a);
    expect_rows(s, 100);
    a.limited = true;
    a.limit = 30;
    run(s, &a);
    expect_rows(s, 30);
    a.offset = 80;
    run(s, &a);
    expect_rows(s, 20);
    end(s);
    s = begin(1000, 1); /* a dropped request may still arrive at the other one */
    a.binds[0].values = &none;
    run(s, &a);
    expect_rows(s, 0);
    assert_int_equal(s->f->n_calls, 0);
    a = all_of("close_contacts");
    where(&a, "lead_id", CLO_OP_EQ, &five, 1);
    run(s, &a);
    expect_rows(s, 0);
    end(s);
}

static void
lists_of_values(void **state)
{
    scan *s = begin(1000, 1);
    ask a = all_of("close_contacts");
    clo_value leads[5] = {txt("group_3"), txt("group_7"), txt("group_3"), clo_null(), txt("none")};
    clo_value ids[4] = {txt("row_00005"), txt("row_00900"), txt("nowhere"), txt("row_00005")};

    (void)state;
    where(&a, "lead_id", CLO_OP_IN, leads, 5);
    run(s, &a);
    expect_rows(s, 200);
    fk_forget(s->f);
    a = all_of("close_leads");
    where(&a, "id", CLO_OP_IN, ids, 4);
    run(s, &a);
    expect_rows(s, 2);
    assert_int_equal(s->f->n_calls, 3);
    a = all_of("close_leads");
    where(&a, "id", CLO_OP_EQ, ids, 1);
    run(s, &a);
    expect_rows(s, 1);
    assert_int_equal(s->f->n_calls, 4);
    end(s);
}

/* Nothing is sent for values that no row can have. */
static void
impossible_values(void **state)
{
    static const char *const texts[] = {"",    "a/b", "../x", "..",  "a?b",
                                        "a b", "a#b", "%2e",  "a\\b"};
    scan *s = begin(10, 1);

    (void)state;
    for (size_t i = 0; i < CLO_ARRAY_LEN(texts); i++) {
        ask a = all_of("close_leads");
        clo_value v = txt(texts[i]);

        where(&a, "id", CLO_OP_EQ, &v, 1);
        run(s, &a);
        expect_rows(s, 0);
    }
    {
        ask a = all_of("close_tasks");
        clo_value maybe = txt("maybe"), two = clo_int(2), far = clo_real(1e300);

        where(&a, "is_complete", CLO_OP_EQ, &maybe, 1);
        run(s, &a);
        expect_rows(s, 0);
        a.binds[0].values = &two;
        run(s, &a);
        expect_rows(s, 0);
        a.binds[0].values = &far;
        run(s, &a);
        expect_rows(s, 0);
    }
    assert_int_equal(s->f->n_calls, 0);
    end(s);
}

static void
many_ids_become_a_list(void **state)
{
    static char names[300][16];
    clo_value ids[300];
    scan *s = begin(300, 1);
    ask a = all_of("close_leads");

    (void)state;
    for (int i = 0; i < 300; i++) {
        snprintf(names[i], sizeof names[i], "row_%05d", i * 2);
        ids[i] = txt(names[i]);
    }
    run(s, &a);
    fk_forget(s->f);
    where(&a, "id", CLO_OP_IN, ids, 300);
    run(s, &a);
    expect_rows(s, 150);
    assert_int_equal(s->f->n_calls, 2);
    end(s);
}

static void
counting(void **state)
{
    scan *s = begin(1000, 1);
    ask a = all_of("close_leads");

    (void)state;
    a.count = true;
    run(s, &a);
    expect_rows(s, 1);
    assert_int_equal(s->count, 1000);
    assert_int_equal(s->f->n_calls, 1);
    s->f->no_total = true;
    run(s, &a);
    expect_rows(s, 1);
    assert_int_equal(s->count, 1000);
    end(s);
}

static void
order(void **state)
{
    scan *s = begin(600, 1);
    ask a = all_of("close_leads");

    (void)state;
    a.sorted = true;
    a.sort.column = clo_table_column(clo_table_find("close_leads"), "date_created");
    run(s, &a);
    expect_rows(s, 600);
    for (int i = 0; i < 600; i++)
        assert_int_equal(atoi(s->ids[i] + 4), i);
    s->f->ignore_order = true;
    run(s, &a);
    expect_error(s, CLO_E_PROTO, "did not sort");
    end(s);
}

/* ---- beyond the cap ------------------------------------------------------------------------- */

static void
keyset_of_leads(void **state)
{
    static const int steps[] = {1, 7, 61, 600};

    (void)state;
    for (size_t i = 0; i < CLO_ARRAY_LEN(steps); i++) {
        scan *s = begin(1500, steps[i]);
        ask a = all_of("close_leads");

        s->f->skip_cap = 400;
        run(s, &a);
        expect_rows(s, 1500);
        s->f->no_total = true;
        s->f->no_has_more = true;
        run(s, &a);
        expect_rows(s, 1500);
        end(s);
    }
}

static void
keyset_in_order(void **state)
{
    (void)state;
    for (int desc = 0; desc < 2; desc++) {
        scan *s = begin(1500, 20);
        ask a = all_of("close_leads");

        s->f->skip_cap = 400;
        a.sorted = true;
        a.sort = (clo_sort){clo_table_column(clo_table_find("close_leads"), "date_created"), desc};
        run(s, &a);
        expect_rows(s, 1500);
        for (int i = 0; i < 1500; i++)
            assert_int_equal(atoi(s->ids[i] + 4), desc ? 1499 - i : i);
        s->f->ignore_bound = true;
        run(s, &a);
        expect_error(s, CLO_E_PROTO, "ignored the bound");
        end(s);
    }
}

static void
keyset_of_a_search(void **state)
{
    scan *s = begin(1500, 20);
    ask a = all_of("close_leads");
    clo_value query = txt("acme or (name:\"b c\")"), own = txt("acme sort:name");

    (void)state;
    s->f->skip_cap = 400;
    where(&a, "query", CLO_OP_EQ, &query, 1);
    a.needs[0] = "query";
    run(s, &a);
    expect_rows(s, 1500);
    assert_string_equal(s->names[0], "acme or (name:\"b c\")");
    assert_true(sent(s, s->f->n_calls - 1, "(acme or (name:\\\"b c\\\")) date_created >= "));
    a.binds[0].values = &own;
    run(s, &a);
    expect_error(s, CLO_E_LIMIT, "sort: or slice:");
    end(s);
}

static void
keyset_checks_what_it_is_told(void **state)
{
    scan *s = begin(1500, 20);
    ask a = all_of("close_leads");

    (void)state;
    s->f->skip_cap = 400;
    s->f->ignore_bound = true;
    run(s, &a);
    expect_error(s, CLO_E_PROTO, "ignored the bound");
    s->f->ignore_bound = false;
    s->f->ignore_order = true;
    run(s, &a);
    expect_error(s, CLO_E_PROTO, "did not sort");
    end(s);
    s = begin(1500, 0); /* all in one minute */
    s->f->skip_cap = 400;
    run(s, &a);
    expect_error(s, CLO_E_LIMIT, "share one minute");
    end(s);
}

static void
cap_without_a_key(void **state)
{
    scan *s = begin(1500, 1);
    ask a = all_of("close_contacts");

    (void)state;
    s->f->skip_cap = 400;
    run(s, &a);
    expect_error(s, CLO_E_LIMIT, "narrow the query with lead_id");
    assert_true(s->rows >= 400);
    end(s);
}

static void
dates_of_custom_activities(void **state)
{
    scan *s = begin(1200, 3);
    ask a = all_of("close_custom_activities");

    (void)state;
    s->f->skip_cap = 250;
    run(s, &a);
    expect_rows(s, 1200);
    s->f->ignore_order = true;
    run(s, &a);
    expect_error(s, CLO_E_LIMIT, "newest first");
    end(s);
}

static void
events_step_back(void **state)
{
    scan *s = begin(430, 1);
    ask a = all_of("close_events");
    clo_value day = txt("2024-01-01T00:05");

    (void)state;
    a.limited = true;
    a.limit = 5;
    run(s, &a);
    expect_rows(s, 5);
    assert_int_equal(s->f->n_calls, 1);
    a.limited = false;
    run(s, &a);
    expect_rows(s, 430);
    s->f->no_cursor = true;
    run(s, &a);
    expect_rows(s, 430);
    where(&a, "date_updated", CLO_OP_LT, &day, 1);
    run(s, &a);
    expect_rows(s, 300);
    end(s);
    s = begin(430, 0);
    a = all_of("close_events");
    run(s, &a);
    expect_error(s, CLO_E_LIMIT, "share one");
    end(s);
}

/* ---- parents, sharing, limits --------------------------------------------------------------- */

static void
custom_objects_walk_leads(void **state)
{
    static const char *const windows[] = {"1", "3", "8"};

    (void)state;
    for (size_t w = 0; w < CLO_ARRAY_LEN(windows); w++) {
        scan *s = begin(450, 1);
        ask a = all_of("close_custom_objects");

        set(s, "concurrency", windows[w]);
        s->f->ignore_filters = true; /* each lead answers all 450; each shows once, if it may */
        s->f->n = 30;
        run(s, &a);
        expect_rows(s, 30);
        assert_int_equal(s->f->n_calls, 31);
        assert_true(s->stats.max_in_flight <= atoi(windows[w]));
        end(s);
    }
}

/* Among the first n calls and between them and the later ones. */
static void
expect_no_repetition(const scan *s, int n)
{
    for (int i = 0; i < n; i++)
        for (int j = i + 1; j < s->f->n_calls; j++)
            assert_string_not_equal(s->f->calls[i], s->f->calls[j]);
}

/* A whole table, its key only. */
static clo_cursor *
scan_of(scan *s, const char *table)
{
    clo_question q = {.table = clo_table_find(table)};
    clo_plan plan;

    clo_colset_add(&q.needed, clo_table_key(q.table));
    must(clo_plan_make(s->client, &q, &plan, &s->err), &s->err);
    return clo_cursor_open(s->client, &plan, NULL, -1, 0, &s->err);
}

/* Steps on, to the next row or to the end; true for a row. */
static bool
next_row(scan *s, clo_cursor *cur)
{
    clo_status st = CLO_AGAIN;

    while (st == CLO_AGAIN)
        st = clo_cursor_step(cur, 20, &s->err);
    assert_true(st != CLO_ERROR);
    return st == CLO_ROW;
}

static void
the_same_read_once(void **state)
{
    scan *s = begin(300, 1);
    clo_cursor *a = scan_of(s, "close_contacts"), *b = scan_of(s, "close_contacts");

    (void)state;
    for (int i = 0; i < 300; i++) {
        assert_true(next_row(s, a));
        assert_true(next_row(s, b));
    }
    assert_true(!next_row(s, a) && !next_row(s, b));
    clo_cursor_free(a);
    clo_cursor_free(b);
    expect_no_repetition(s,
                         4); /* a page beyond the end may have been given up, and asked for again */
    end(s);
}

/* Contacts do not say how many there are, so the first cursor ends with pages that it did not need, and the other
 * one, which began before that was known, asks for the same. */
static void
pages_left_unread_serve_others(void **state)
{
    scan *s = begin(300, 1);
    clo_cursor *a = scan_of(s, "close_contacts"), *b = scan_of(s, "close_contacts");

    (void)state;
    assert_true(next_row(s, b));
    for (int rows = 0; next_row(s, a); rows++)
        if (rows % 25 == 24)
            (void)poll(NULL, 0, 10); /* what is under way arrives */
    clo_cursor_free(a);
    for (int rows = 1; rows < 300; rows++)
        assert_true(next_row(s, b));
    assert_false(next_row(s, b));
    clo_cursor_free(b);
    expect_no_repetition(s, s->f->n_calls);
    end(s);
}

static void
too_many_rows(void **state)
{
    scan *s = begin(300, 1);
    ask a = all_of("close_contacts");

    (void)state;
    set(s, "max_rows", "250");
    run(s, &a);
    expect_error(s, CLO_E_LIMIT, "more than 250 rows");
    assert_int_equal(s->rows, 250);
    end(s);
}

static void
abandoned_at_any_time(void **state)
{
    (void)state;
    for (int steps = 0; steps < 400; steps += 13) {
        scan *s = begin(600, 1);
        clo_cursor *cur = scan_of(s, "close_leads");

        for (int i = 0; i < steps; i++)
            (void)!clo_cursor_step(cur, i % 3, &s->err);
        clo_cursor_free(cur);
        assert_int_equal(s->client->open_cursors, 0);
        assert_null(s->client->fetches);
        end(s);
    }
}

static int
calls_so_far(fk *f)
{
    int n;

    pthread_mutex_lock(&f->lock);
    n = f->n_calls;
    pthread_mutex_unlock(&f->lock);
    return n;
}

/* Two requests at once, and up to four pages: the one being read, and what came meanwhile. */
static void
the_pipe_stays_full(void **state)
{
    scan *s = begin(600, 1);
    clo_cursor *cur;
    int rows = 0;

    (void)state;
    set(s, "concurrency", "2");
    set(s, "page_size", "100");
    cur = scan_of(s, "close_leads");
    while (rows < 100) {
        clo_status st = clo_cursor_step(cur, 1000, &s->err);

        assert_true(st == CLO_ROW || st == CLO_AGAIN);
        rows += st == CLO_ROW;
        if (rows > 0 && rows < 90 && calls_so_far(s->f) < 4)
            usleep(10000); /* the first page is read slowly */
    }
    assert_int_equal(calls_so_far(s->f), 4);
    drain(s, cur, clo_table_find("close_leads"));
    expect_rows(s, 500);
    assert_int_equal(s->stats.requests, 7);
    assert_int_equal(s->stats.max_in_flight, 2);
    end(s);
}

/* An answer that came ahead of its turn is asked for again when its turn comes. */
static void
a_useless_page_is_asked_for_again(void **state)
{
    static const char *const windows[] = {"1", "8"};

    (void)state;
    for (size_t w = 0; w < CLO_ARRAY_LEN(windows); w++) {
        scan *s = begin(500, 1);
        ask a = all_of("close_leads");

        set(s, "concurrency", windows[w]);
        set(s, "page_size", "100");
        s->f->garble_at = 3;
        run(s, &a);
        expect_rows(s, 500);
        assert_int_equal(s->stats.retries, 1);
        assert_int_equal(s->stats.requests, s->f->n_calls);
        set(s, "retries", "0");
        s->f->garble_at = s->f->n_calls + 3;
        run(s, &a);
        expect_error(s, CLO_E_PROTO, "not an object");
        end(s);
    }
}

/* A scan with conditions, two lists, echo and several pages: rows or a clean "out of memory". */
static bool
whole_scan(void *arg)
{
    scan *s = arg;
    clo_value queries[2] = {txt("a"), txt("b")};
    clo_qual qual = {clo_table_column(clo_table_find("close_leads"), "query"), CLO_OP_IN, true};
    clo_bind bind = {queries, 2};
    clo_question q = {0};
    clo_plan plan;
    clo_cursor *cur;
    clo_status st = CLO_ERROR;
    int rows = 0;

    q.table = clo_table_find("close_leads");
    q.quals = &qual;
    q.n_quals = 1;
    clo_colset_add(&q.needed, 0);
    clo_colset_add(&q.needed, qual.column);
    must(clo_plan_make(s->client, &q, &plan, &s->err), &s->err);
    cur = clo_cursor_open(s->client, &plan, &bind, -1, 0, &s->err);
    if (cur != NULL)
        while ((st = clo_cursor_step(cur, 500, &s->err)) == CLO_ROW || st == CLO_AGAIN)
            rows += st == CLO_ROW;
    clo_cursor_free(cur);
    if (st == CLO_DONE)
        assert_int_equal(rows, 30);
    else
        assert_int_equal(s->err.code, CLO_E_NOMEM);
    return st == CLO_DONE;
}

static void
without_memory(void **state)
{
    scan *s = begin(30, 1);

    (void)state;
    set(s, "page_size", "9");
    set(s, "retries", "0");
    assert_true(whole_scan(s)); /* token, connection and log are made once */
    oom_loop(whole_scan, s);
    end(s);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(thousand_leads_are_six_requests),
        cmocka_unit_test(every_size_and_window),
        cmocka_unit_test(tiny_pages),
        cmocka_unit_test(short_pages_and_smaller_limits),
        cmocka_unit_test(one_short_page),
        cmocka_unit_test(refused_fields_are_left_out),
        cmocka_unit_test(no_progress_is_an_error),
        cmocka_unit_test(a_failing_page_is_an_error),
        cmocka_unit_test(rows_that_move),
        cmocka_unit_test(limits),
        cmocka_unit_test(ignored_filters_never_show),
        cmocka_unit_test(lists_of_values),
        cmocka_unit_test(impossible_values),
        cmocka_unit_test(many_ids_become_a_list),
        cmocka_unit_test(counting),
        cmocka_unit_test(order),
        cmocka_unit_test(keyset_of_leads),
        cmocka_unit_test(keyset_in_order),
        cmocka_unit_test(keyset_of_a_search),
        cmocka_unit_test(keyset_checks_what_it_is_told),
        cmocka_unit_test(cap_without_a_key),
        cmocka_unit_test(dates_of_custom_activities),
        cmocka_unit_test(events_step_back),
        cmocka_unit_test(custom_objects_walk_leads),
        cmocka_unit_test(the_same_read_once),
        cmocka_unit_test(pages_left_unread_serve_others),
        cmocka_unit_test(too_many_rows),
        cmocka_unit_test(abandoned_at_any_time),
        cmocka_unit_test(the_pipe_stays_full),
        cmocka_unit_test(a_useless_page_is_asked_for_again),
        cmocka_unit_test(without_memory),
    };

    return cmocka_run_group_tests(tests, NULL, no_blocks_left);
}
