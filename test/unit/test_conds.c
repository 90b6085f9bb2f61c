/*
 * test_conds.c - the parts of a scan that need no service: the set of seen ids, which searches can be
 * continued, and what is sent for a bound.
 */
#include "base_test.h"
#include "scan.h"

#include <stdio.h>

static clo_value
txt(const char *s)
{
    return clo_text(s, strlen(s));
}

static void
ids_are_told_apart(void **state)
{
    clo_idset set = {0};
    char id[32];

    (void)state;
    assert_false(clo_idset_has(&set, "x", 1));
    for (int i = 0; i < 100000; i++) {
        int n = snprintf(id, sizeof id, "lead_%d", i);
        assert_int_equal(clo_idset_add(&set, id, (size_t)n), CLO_IDSET_NEW);
    }
    for (int i = 0; i < 100000; i++) {
        int n = snprintf(id, sizeof id, "lead_%d", i);
        assert_true(clo_idset_has(&set, id, (size_t)n));
        n = snprintf(id, sizeof id, "leaf_%d", i);
        assert_false(clo_idset_has(&set, id, (size_t)n));
    }
    assert_true(set.cap * 16 <= 4u << 20);
    assert_int_equal(clo_idset_add(&set, "", 0), CLO_IDSET_NEW);
    assert_int_equal(clo_idset_add(&set, "", 0), CLO_IDSET_OLD);
    assert_int_equal(clo_idset_add(&set, "\0", 1), CLO_IDSET_NEW);
    clo_idset_free(&set);
}

static void
searches_that_can_go_on(void **state)
{
    static const struct {
        const char *text;
        bool ok;
    } cases[] = {{"", true},
                 {"acme", true},
                 {"(a or b) c", true},
                 {"a \"x sort:y\" b", true},
                 {"resort:x", true},
                 {"sort:name", false},
                 {"a Sort:-name", false},
                 {"(slice:2/10)", false},
                 {"a) or (b", false},
                 {"(a", false},
                 {"\"a", false},
                 {"name:sort", true}};

    (void)state;
    for (size_t i = 0; i < CLO_ARRAY_LEN(cases); i++)
        if (clo_query_extends(cases[i].text, strlen(cases[i].text)) != cases[i].ok)
            fail_msg("%s", cases[i].text);
}

/* What is sent for a bound never excludes a row that the host's comparison keeps. */
static void
bounds_keep_every_row(void **state)
{
    static const char *const texts[] = {"2024",
                                        "2024-05",
                                        "2024-05-02",
                                        "2024-05-02 10:00:00",
                                        "2024-05-02T",
                                        "2024-05-02T10:00",
                                        "2024-05-02T10:00:00Z",
                                        "2024-05-02T10:00:00+02:00",
                                        "2024-05-02T10:00:00.5Z",
                                        "2024-05-02T99:00",
                                        "",
                                        "x",
                                        "9999-12-31",
                                        "2024-13-01"};
    static const char *const rows[] = {
        "2023-12-31T23:59:59.999999Z", "2024-01-01T00:00:00.000000Z", "2024-05-01T23:59:59.999999Z",
        "2024-05-02T00:00:00.000000Z", "2024-05-02T09:59:59.999999Z", "2024-05-02T10:00:00.000000Z",
        "2024-05-02T10:00:00.499999Z", "2024-05-02T10:00:00.500001Z", "2024-05-02T10:00:01.000000Z",
        "2024-05-03T00:00:00.000000Z", "9999-12-31T23:59:59.999999Z"};
    const clo_table *t = clo_table_find("close_events");
    int column = clo_table_column(t, "date_updated");

    (void)state;
    for (size_t i = 0; i < CLO_ARRAY_LEN(texts); i++)
        for (size_t r = 0; r < CLO_ARRAY_LEN(rows); r++)
            for (clo_op op = CLO_OP_LT; op <= CLO_OP_GE; op++) {
                clo_plan plan = {.table = t, .access = CLO_BY_LIST, .n_slots = 1, .order = -1};
                clo_value v = txt(texts[i]);
                clo_bind bind = {&v, 1};
                clo_arena *arena = clo_arena_new();
                clo_cond c;
                clo_err err;
                char row[128];
                clo_json *j;
                int cmp = strcmp(rows[r], texts[i]);
                bool sql = op == CLO_OP_LT   ? cmp < 0
                           : op == CLO_OP_LE ? cmp <= 0
                           : op == CLO_OP_GT ? cmp > 0
                                             : cmp >= 0;

                plan.slots[0] =
                    (clo_slot){0, column, op, false, clo_table_filter(t, column, op)->param};
                assert_int_equal(clo_cond_bind(&c, &plan, 0, &bind, arena, &err), CLO_OK);
                snprintf(row, sizeof row, "{\"date_updated\":\"%s\"}", rows[r]);
                j = clo_json_parse(row, strlen(row), "row", &err);
                assert_int_equal(clo_cond_keeps(&c, 0, j), sql);
                if (sql && c.bound != NULL) {
                    bool lower = op == CLO_OP_GT || op == CLO_OP_GE;
                    if (lower ? strcmp(rows[r], c.bound) < 0 : strcmp(rows[r], c.bound) > 0)
                        fail_msg("%s %d %s is sent as %s", rows[r], (int)op, texts[i], c.bound);
                }
                clo_json_free(j);
                clo_cond_free(&c);
                clo_arena_free(arena);
            }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ids_are_told_apart),
        cmocka_unit_test(searches_that_can_go_on),
        cmocka_unit_test(bounds_keep_every_row),
    };

    return cmocka_run_group_tests(tests, NULL, no_blocks_left);
}
