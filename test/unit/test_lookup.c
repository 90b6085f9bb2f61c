/*
 * test_lookup.c - nested loops: keys asked for one by one, as both hosts do it, with the old cursor open
 * until the next one is.
 *
 * Every loop must bring what single reads would, for any size of table and any way in which the service
 * gets in the way of reading the whole table; and the calls may not exceed twice the best plan.
 */
#include "base_test.h"
#include "fake_list.h"
#include "scan.h"

typedef struct loop {
    fk *f;
    clo_client *client;
    const clo_table *table;
    const char *column;
    clo_cursor *open;
    clo_err err;
} loop;

static void
set(loop *l, const char *name, const char *value)
{
    if (clo_client_set(l->client, name, value, CLO_FROM_SESSION, &l->err) != CLO_OK)
        fail_msg("%s: %s", name, l->err.msg);
}

static loop *
begin(int rows, const char *table, const char *column)
{
    loop *l = calloc(1, sizeof *l);
    char url[64];

    l->f = fk_start(rows, 60);
    l->client = clo_client_new(&l->err);
    assert_non_null(l->client);
    l->table = clo_table_find(table);
    l->column = column;
    snprintf(url, sizeof url, "http://127.0.0.1:%d", l->f->port);
    set(l, "env_url", url);
    set(l, "client_id", "skc_unit");
    set(l, "client_secret", "unit-secret");
    set(l, "identifier", "user_unit");
    return l;
}

/* The statement ends. */
static void
end_statement(loop *l)
{
    clo_cursor_free(l->open);
    l->open = NULL;
    assert_null(l->client->lookups);
    assert_null(l->client->cursors);
}

static void
end(loop *l)
{
    end_statement(l);
    clo_client_unref(l->client);
    fk_stop(l->f);
    free(l);
}

/* Rows of one key; -1: an error. Every row is the one, or of the one, that was asked for. */
static int
look(loop *l, const char *key)
{
    clo_value v = clo_text(key, strlen(key));
    clo_bind bind = {&v, 1};
    clo_qual qual = {clo_table_column(l->table, l->column), CLO_OP_EQ, true};
    clo_question q = {.table = l->table, .quals = &qual, .n_quals = 1, .complete = true};
    clo_cursor *cur;
    clo_plan plan;
    clo_status st;
    int n = 0;

    clo_colset_add(&q.needed, qual.column);
    assert_int_equal(clo_plan_make(l->client, &q, &plan, &l->err), CLO_OK);
    cur = clo_cursor_open(l->client, &plan, &bind, -1, 0, &l->err);
    assert_non_null(cur);
    clo_cursor_free(l->open);
    l->open = cur;
    while ((st = clo_cursor_step(cur, 1000, &l->err)) == CLO_ROW || st == CLO_AGAIN) {
        const clo_value *got = &clo_cursor_row(cur)[qual.column];

        if (st == CLO_AGAIN)
            continue;
        assert_int_equal(got->len, strlen(key));
        assert_memory_equal(got->text, key, got->len);
        n++;
    }
    return st == CLO_DONE ? n : -1;
}

/* The i-th of many ids, in an order that is not the table's. */
static int
look_id(loop *l, int i)
{
    char key[32];

    snprintf(key, sizeof key, "row_%05d", i);
    return look(l, key);
}

static int
calls_of(const loop *l, const char *tool)
{
    int n = 0;

    for (int i = 0; i < l->f->n_calls; i++)
        n += strncmp(l->f->calls[i], tool, strlen(tool)) == 0;
    return n;
}

/* ---- by id ---------------------------------------------------------------------------------- */

static void
never_more_than_twice_the_best(void **state)
{
    static const int sizes[] = {1, 150, 200, 201, 1000, 3000};
    static const int keys[] = {1, 2, 3, 5, 12, 60, 400};

    (void)state;
    for (size_t s = 0; s < CLO_ARRAY_LEN(sizes); s++)
        for (size_t k = 0; k < CLO_ARRAY_LEN(keys); k++) {
            int pages = sizes[s] <= 200 ? 1 : 1 + (sizes[s] - 200 + 198) / 199;
            int n = keys[k] < sizes[s] ? keys[k] : sizes[s], best = n < pages ? n : pages;
            loop *l = begin(sizes[s], "close_leads", "id");

            for (int i = 0; i < n; i++)
                assert_int_equal(look_id(l, (int)((long)i * 389 % sizes[s])), 1);
            if (l->f->n_calls > 2 * best)
                fail_msg("%d keys of %d rows: %d calls, best %d", n, sizes[s], l->f->n_calls, best);
            end(l);
        }
}

static void
one_key_is_one_call(void **state)
{
    loop *l = begin(500, "close_leads", "id");

    (void)state;
    for (int i = 0; i < 20; i++)
        assert_int_equal(look_id(l, 77), 1);
    assert_int_equal(l->f->n_calls, 1);
    end(l);
}

/* Not in the whole table: asked for once, and then known. Nothing of it survives the statement. */
static void
missing_ids(void **state)
{
    loop *l = begin(150, "close_leads", "id");

    (void)state;
    for (int i = 0; i < 40; i++)
        assert_int_equal(look_id(l, i % 4 == 3 ? 9000 + i % 8 : i), i % 4 != 3);
    assert_int_equal(calls_of(l, "close_leads_list"), 1);
    assert_int_equal(calls_of(l, "close_lead_get"), 1 + 2);
    end_statement(l);
    assert_int_equal(look_id(l, 9003), 0);
    assert_int_equal(calls_of(l, "close_lead_get"), 4);
    end(l);
}

static void
without_lookahead(void **state)
{
    loop *l = begin(150, "close_leads", "id");

    (void)state;
    set(l, "lookahead", "off");
    for (int i = 0; i < 40; i++)
        assert_int_equal(look_id(l, i), 1);
    assert_int_equal(calls_of(l, "close_lead_get"), 40);
    assert_int_equal(l->f->n_calls, 40);
    end(l);
}

/* Whatever keeps the table from being read, the keys are still found one by one. */
static void
the_table_cannot_be_read(void **state)
{
    (void)state;
    for (int way = 0; way < 4; way++) {
        loop *l = begin(900, "close_leads", "id");

        if (way == 0)
            set(l, "lookup_bytes", "5000");
        if (way == 1)
            set(l, "lookup_bytes", "0");
        if (way == 2)
            l->f->repeat_page = true;
        if (way == 3) {
            l->f->fail_at = 2;
            l->f->fail_words = "{\\\"error\\\":\\\"no\\\"}";
        }
        for (int i = 0; i < 60; i++)
            assert_int_equal(look_id(l, i), 1);
        assert_true(l->f->n_calls <= 60 + 20);
        end(l);
    }
}

/* A write forgets everything: what is looked up afterwards is read afterwards. */
static void
after_a_write(void **state)
{
    loop *l = begin(150, "close_leads", "id");
    int before;

    (void)state;
    for (int i = 0; i < 10; i++)
        assert_int_equal(look_id(l, i), 1);
    before = l->f->n_calls;
    assert_int_equal(look_id(l, 50), 1);
    assert_int_equal(l->f->n_calls, before);
    clo_cache_clear(l->client->cache); /* what a write does */
    assert_int_equal(look_id(l, 51), 1);
    assert_int_equal(l->f->n_calls, before + 1);
    end(l);
}

static void
one_call_in_flight(void **state)
{
    loop *l = begin(1500, "close_leads", "id");

    (void)state;
    set(l, "concurrency", "1");
    for (int i = 0; i < 300; i++)
        assert_int_equal(look_id(l, i), 1);
    assert_true(l->f->n_calls <= 16);
    end(l);
}

/* ---- by another column ---------------------------------------------------------------------- */

static void
lists_by_key(void **state)
{
    loop *l = begin(300, "close_contacts", "lead_id");

    (void)state;
    for (int i = 0; i < 40; i++) {
        char key[32];

        snprintf(key, sizeof key, "group_%d", i % 12); /* ten of them exist */
        assert_int_equal(look(l, key), i % 12 < 10 ? 30 : 0);
    }
    assert_true(l->f->n_calls <= 12 + 4);
    end(l);
}

/* What fits of the table stays, and saves as many calls as it is large. */
static void
part_of_the_table(void **state)
{
    loop *l = begin(900, "close_leads", "id");
    int calls;

    (void)state;
    set(l, "lookup_bytes", "30000"); /* between one page and three of them */
    for (int i = 0; i < 900; i++)
        assert_int_equal(look_id(l, i), 1);
    calls = l->f->n_calls;
    assert_between(calls_of(l, "close_leads_list"), 1, 5);
    assert_between(calls_of(l, "close_lead_get"), 300, 800);
    for (int i = 0; i < 200; i++)
        assert_int_equal(look_id(l, i), 1);
    assert_int_equal(l->f->n_calls, calls);
    end(l);
}

/* Rows in `groups` groups instead of ten. */
static void
regroup(loop *l, int groups)
{
    for (int i = 0; i < l->f->n; i++)
        l->f->rows[i].group = l->f->rows[i].id % groups;
}

static int
look_groups(loop *l, int groups, int rows)
{
    int before = l->f->n_calls;

    for (int i = 0; i < groups; i++) {
        char key[32];

        snprintf(key, sizeof key, "group_%d", i);
        assert_int_equal(look(l, key), rows);
    }
    return l->f->n_calls - before;
}

/* Lists of keys: those that fit are known from then on, and the calls stay within twice those of the best plan
 * with as much memory: the table once, and one for each key that does not fit. */
static void
lists_that_do_not_fit(void **state)
{
    static const char *const room[] = {"1000", "20000", "60000", "120000", "200000", "1000000"};
    enum { GROUPS = 300, EACH = 8, PAGES = 25 };
    int last = GROUPS + 1;

    (void)state;
    for (size_t i = 0; i < CLO_ARRAY_LEN(room); i++) {
        loop *l = begin(GROUPS * EACH, "close_contacts", "lead_id");
        int calls, again, best;

        regroup(l, GROUPS);
        set(l, "lookup_bytes", room[i]);
        set(l, "cache_bytes", "0");
        calls = look_groups(l, GROUPS, EACH);
        again = look_groups(l, GROUPS, EACH);
        best = PAGES + again < GROUPS ? PAGES + again : GROUPS;
        if (calls > 2 * best)
            fail_msg("%s bytes: %d calls, best %d", room[i], calls, best);
        assert_true(again <= last);
        last = again;
        end(l);
    }
    assert_int_equal(last, 0); /* all of it fits */
}

/* A scan drives the loop over its own table: as soon as the loop has read it, the scan asks for nothing more,
 * and hands out each row once. */
static void
a_table_joined_with_itself(void **state)
{
    enum { ROWS = 3000, PAGES = 31, WINDOW = 8 };

    (void)state;
    for (int way = 0; way < 4; way++) {
        loop *l = begin(ROWS, "close_contacts", "lead_id");
        clo_question q = {.table = l->table, .complete = true};
        static bool seen[2 * ROWS];
        clo_cursor *outer;
        clo_plan plan;
        clo_status st;
        int n = 0;

        regroup(l, ROWS / 3);
        set(l, "cache_bytes", "0"); /* nothing is shared by chance */
        if (way == 1)
            set(l, "concurrency", "1");
        if (way == 2) {
            l->f->delete_at = 20; /* behind the outer scan: none of its rows slips through */
            l->f->delete_row = 1;
            l->f->delete_n = 1;
        }
        l->f->no_has_more = way == 3;
        clo_colset_add(&q.needed, clo_table_column(l->table, "lead_id"));
        clo_colset_add(&q.needed, clo_table_column(l->table, "id"));
        assert_int_equal(clo_plan_make(l->client, &q, &plan, &l->err), CLO_OK);
        outer = clo_cursor_open(l->client, &plan, NULL, -1, 0, &l->err);
        assert_non_null(outer);
        memset(seen, 0, sizeof seen);
        while ((st = clo_cursor_step(outer, 1000, &l->err)) == CLO_ROW || st == CLO_AGAIN) {
            const clo_value *row = clo_cursor_row(outer);
            char key[32];
            int id;

            if (st == CLO_AGAIN)
                continue;
            id = atoi(row[clo_table_column(l->table, "id")].text + 4);
            assert_false(seen[id]);
            seen[id] = true;
            snprintf(key, sizeof key, "%s", row[clo_table_column(l->table, "lead_id")].text);
            assert_true(look(l, key) >= 2);
            n++;
        }
        assert_int_equal(st, CLO_DONE);
        assert_between(n, ROWS - (way == 2), ROWS);
        clo_cursor_free(outer);
        /* Without has_more the end of each list is a request of its own. */
        if (l->f->n_calls > (way == 3 ? 3 : 2) * PAGES + 2 * WINDOW)
            fail_msg("way %d: %d calls, best %d", way, l->f->n_calls, PAGES);
        end(l);
    }
}

/* ---- whole tables ----------------------------------------------------------------------------- */

static clo_cursor *
open_all(loop *l)
{
    clo_question q = {.table = l->table, .complete = true};
    clo_cursor *cur;
    clo_plan plan;

    clo_colset_add(&q.needed, clo_table_column(l->table, "id"));
    assert_int_equal(clo_plan_make(l->client, &q, &plan, &l->err), CLO_OK);
    cur = clo_cursor_open(l->client, &plan, NULL, -1, 0, &l->err);
    assert_non_null(cur);
    return cur;
}

/* Further rows, at most `most` of them; -1: an error. None of these comes twice. */
static int
take_rows(loop *l, clo_cursor *cur, int most)
{
    int id = clo_table_column(l->table, "id"), n = 0;
    static bool seen[FK_ROWS];
    clo_status st = CLO_ROW;

    memset(seen, 0, sizeof seen);
    while (n < most && (st == CLO_ROW || st == CLO_AGAIN)) {
        st = clo_cursor_step(cur, 1000, &l->err);
        if (st == CLO_ROW) {
            int i = atoi(clo_cursor_row(cur)[id].text + 4);

            assert_false(seen[i]);
            seen[i] = true;
            n++;
        }
    }
    return st == CLO_ERROR ? -1 : n;
}

static int
scan_all(loop *l, int most)
{
    clo_cursor *cur = open_all(l);
    int n = take_rows(l, cur, most);

    clo_cursor_free(cur);
    return n;
}

static int
calls_of_scan(loop *l, int rows)
{
    int before = l->f->n_calls;

    assert_int_equal(scan_all(l, FK_ROWS), rows);
    return l->f->n_calls - before;
}

static void
a_table_scanned_again_and_again(void **state)
{
    enum { ROWS = 1500, PAGES = 8 };

    (void)state;
    for (int way = 0; way < 4; way++) {
        loop *l = begin(ROWS, "close_leads", "id");

        set(l, "cache_bytes", "0");
        if (way == 1)
            set(l, "concurrency", "1");
        if (way == 2)
            set(l, "lookup_bytes", "20000");
        if (way == 3)
            set(l, "lookahead", "off");
        assert_int_equal(look_id(l, 7), 1); /* stays open: all of this is one statement */
        assert_int_equal(calls_of_scan(l, ROWS), PAGES);
        assert_int_equal(scan_all(l, 1), 1); /* left at its first row: nothing to go by */
        assert_int_equal(calls_of_scan(l, ROWS), PAGES);
        for (int i = 0; i < 3; i++)
            assert_int_equal(calls_of_scan(l, ROWS), way < 2 ? 0 : PAGES);
        clo_cache_clear(l->client->cache); /* what a write does */
        assert_int_equal(calls_of_scan(l, ROWS), PAGES);
        assert_int_equal(calls_of_scan(l, ROWS), way < 2 ? 0 : PAGES);
        end_statement(l);
        assert_null(l->client->agains);
        assert_int_equal(calls_of_scan(l, ROWS), PAGES);
        end(l);
    }
}

/* Both sides of a hash join are no loop; the outer side of a nested one ends with what the inner has read. */
static void
scans_at_the_same_time(void **state)
{
    enum { ROWS = 1500, PAGES = 8 };
    loop *l = begin(ROWS, "close_leads", "id");
    clo_cursor *a, *b;

    (void)state;
    set(l, "cache_bytes", "0");
    a = open_all(l);
    assert_int_equal(take_rows(l, a, FK_ROWS), ROWS);
    b = open_all(l);
    assert_int_equal(take_rows(l, b, FK_ROWS), ROWS);
    assert_int_equal(calls_of_scan(l, ROWS), PAGES);
    assert_int_equal(l->f->n_calls, 3 * PAGES);
    clo_cursor_free(b);
    clo_cursor_free(a);
    a = open_all(l);
    assert_int_equal(take_rows(l, a, 1), 1);
    assert_int_equal(calls_of_scan(l, ROWS), PAGES);
    assert_int_equal(take_rows(l, a, FK_ROWS), ROWS - 1);
    assert_int_equal(l->f->n_calls, 4 * PAGES + 1);
    clo_cursor_free(a);
    end(l);
}

/* Rows move and the list has to be continued by key: the rows kept are those of a scan all the same. */
static void
a_table_that_moves_between_scans(void **state)
{
    loop *l = begin(1500, "close_leads", "id");

    (void)state;
    set(l, "cache_bytes", "0");
    l->f->skip_cap = 400;
    assert_int_equal(look_id(l, 7), 1);
    assert_true(calls_of_scan(l, 1500) > 8);
    l->f->delete_at = l->f->n_calls + 3;
    l->f->delete_row = 900;
    l->f->delete_n = 1;
    assert_true(calls_of_scan(l, 1499) > 8);
    assert_int_equal(calls_of_scan(l, 1499), 0);
    l->f->fail_at = l->f->n_calls + 2;
    l->f->fail_words = "{\\\"error\\\":\\\"no\\\"}";
    clo_cache_clear(l->client->cache);
    assert_int_equal(scan_all(l, FK_ROWS), -1); /* half a table is none */
    l->f->fail_at = -1;
    assert_true(calls_of_scan(l, 1499) > 8);
    assert_int_equal(calls_of_scan(l, 1499), 0);
    end(l);
}

static void
a_cursor_dropped_while_the_table_is_read(void **state)
{
    loop *l = begin(2000, "close_leads", "id");

    (void)state;
    for (int i = 0; i < 4; i++)
        assert_int_equal(look_id(l, i), 1);
    end(l); /* pages are under way */
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(never_more_than_twice_the_best),
        cmocka_unit_test(one_key_is_one_call),
        cmocka_unit_test(missing_ids),
        cmocka_unit_test(without_lookahead),
        cmocka_unit_test(the_table_cannot_be_read),
        cmocka_unit_test(after_a_write),
        cmocka_unit_test(one_call_in_flight),
        cmocka_unit_test(lists_by_key),
        cmocka_unit_test(part_of_the_table),
        cmocka_unit_test(lists_that_do_not_fit),
        cmocka_unit_test(a_table_joined_with_itself),
        cmocka_unit_test(a_table_scanned_again_and_again),
        cmocka_unit_test(scans_at_the_same_time),
        cmocka_unit_test(a_table_that_moves_between_scans),
        cmocka_unit_test(a_cursor_dropped_while_the_table_is_read),
    };

    return cmocka_run_group_tests(tests, NULL, no_blocks_left);
}
