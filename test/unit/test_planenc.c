/*
 * test_planenc.c - plans as text: what is written is read back as the same plan, and nothing else is.
 */
#include "base_test.h"
#include "scan.h"

#include <stdio.h>

static unsigned long long seed = 1;

static unsigned
pick(unsigned n)
{
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    return (unsigned)(seed >> 33) % n;
}

/* A question about any table; most of them make sense, and the rest must be refused cleanly. */
static void
random_question(clo_question *q, clo_qual *quals, clo_sort *sort)
{
    memset(q, 0, sizeof *q);
    q->table = clo_table_at(pick((unsigned)clo_table_count()));
    q->quals = quals;
    q->n_quals = pick(7);
    for (size_t i = 0; i < q->n_quals; i++) {
        quals[i].column = (int)pick((unsigned)q->table->n_columns);
        if (q->table->n_filters > 0 && pick(3) > 0)
            quals[i].column = clo_table_column(
                q->table, q->table->filters[pick((unsigned)q->table->n_filters)].column);
        quals[i].op = pick(2) ? CLO_OP_EQ : (clo_op)pick(CLO_OP_OTHER + 1);
        quals[i].usable = pick(8) > 0;
    }
    for (size_t i = 0; i < q->table->n_columns; i++)
        if (!(q->table->columns[i].flags & CLO_C_PARAM) && pick(3) == 0)
            clo_colset_add(&q->needed, (int)i);
    sort->column = (int)pick((unsigned)q->table->n_columns);
    if (q->table->n_orders > 0 && pick(2))
        sort->column =
            clo_table_column(q->table, q->table->orders[pick((unsigned)q->table->n_orders)].column);
    sort->desc = pick(2);
    q->sorts = sort;
    q->n_sorts = pick(2);
    q->complete = pick(4) > 0;
    q->has_limit = pick(2);
    q->has_offset = pick(2);
    q->count_only = pick(4) == 0;
}

static void
same_plan(const clo_plan *a, const clo_plan *b)
{
    assert_ptr_equal(a->table, b->table);
    assert_int_equal(a->access, b->access);
    assert_int_equal(a->n_slots, b->n_slots);
    for (int i = 0; i < a->n_slots; i++) {
        assert_int_equal(a->slots[i].qual, b->slots[i].qual);
        assert_int_equal(a->slots[i].column, b->slots[i].column);
        assert_int_equal(a->slots[i].op, b->slots[i].op);
        assert_int_equal(a->slots[i].exact, b->slots[i].exact);
        assert_ptr_equal(a->slots[i].param, b->slots[i].param);
    }
    assert_int_equal(a->order, b->order);
    assert_int_equal(a->order_desc, b->order_desc);
    assert_int_equal(a->sorted, b->sorted);
    assert_int_equal(a->limit, b->limit);
    assert_int_equal(a->offset, b->offset);
    assert_int_equal(a->unique, b->unique);
    assert_memory_equal(&a->needed, &b->needed, sizeof a->needed);
}

static void
there_and_back(void **state)
{
    int made = 0;

    (void)state;
    for (int i = 0; i < 20000; i++) {
        clo_question q;
        clo_qual quals[8];
        clo_sort sort;
        clo_plan plan, back;
        clo_err err;
        char *text;

        random_question(&q, quals, &sort);
        if (clo_plan_make(NULL, &q, &plan, &err) != CLO_OK)
            continue;
        made++;
        text = clo_plan_encode(&plan, &err);
        assert_non_null(text);
        if (clo_plan_decode(q.table, text, &back, &err) != CLO_OK)
            fail_msg("%s", err.msg);
        same_plan(&plan, &back);
        clo_free(text);
    }
    assert_true(made > 10000);
}

static void
nothing_else_is_read(void **state)
{
    static const char *const bad[] = {
        "",
        " ",
        "close_leads_lists",
        "close_leads_list columns=",
        "close_leads_list _fields=id columns=00",
        "close_leads_list _fields=id,name columns=1",
        "close_leads_list  _fields=id",
        "close_leads_list _fields=id ",
        "close_leads_list _fields=id columns=3 columns=3",
        "close_leads_list _fields=id columns=1",
        "close_leads_list _fields=id columns=g",
        "close_contacts_list columns=1",
        "close_leads_list query=$2 _fields=id",
        "close_leads_list query=$01 _fields=id",
        "close_leads_list query=$1@0 _fields=id",
        "close_leads_list query=$1@1 _fields=id",
        "close_leads_list query=$1@99999999999 _fields=id",
        "close_leads_list query=any($1 _fields=id",
        "close_leads_list query<$1 _fields=id",
        "close_leads_list name=$1 _fields=id,name columns=1",
        "close_leads_list _limit=$2 _fields=id",
        "close_leads_list _order_by=name _fields=id",
        "count(close_leads_list _fields=id",
        "count(close_lead_get) _fields=id",
        "close_lead_get contact_id=$1 _fields=id",
        ("close_leads_list query=$1 query=$2 query=$3 query=$4 query=$5 query=$6 query=$7 query=$8 "
         "query=$9 _fields=id"),
    };
    char *huge = clo_malloc(200000);

    (void)state;
    for (size_t i = 0; i < CLO_ARRAY_LEN(bad); i++) {
        clo_plan plan;
        clo_err err;

        if (clo_plan_decode(clo_table_find("close_leads"), bad[i], &plan, &err) == CLO_OK)
            fail_msg("accepted: %s", bad[i]);
        assert_int_equal(err.code, CLO_E_BUG);
    }
    memset(huge, 'f', 199999);
    huge[199999] = '\0';
    memcpy(huge, "close_leads_list columns=", 25);
    {
        clo_plan plan;
        clo_err err;

        assert_int_equal(clo_plan_decode(clo_table_find("close_leads"), huge, &plan, &err),
                         CLO_ERROR);
        assert_int_equal(clo_plan_decode(clo_table_find("close_leads"), NULL, &plan, &err),
                         CLO_ERROR);
    }
    clo_free(huge);
}

static bool
encode_and_decode(void *arg)
{
    const clo_plan *plan = arg;
    clo_plan back;
    clo_err err;
    char *text = clo_plan_encode(plan, &err);
    bool ok = text != NULL && clo_plan_decode(plan->table, text, &back, &err) == CLO_OK;

    if (!ok)
        assert_int_equal(err.code, CLO_E_NOMEM);
    clo_free(text);
    return ok;
}

/* People see EXPLAIN: the columns are in _fields already, or are all there are. */
static void
columns_are_said_once(void **state)
{
    const clo_table *t = clo_table_find("close_leads");
    clo_question q = {.table = t};
    clo_colset all = {{0}};

    (void)state;
    for (int i = 0; (size_t)i < t->n_columns; i++)
        if (!(t->columns[i].flags & CLO_C_HIDDEN))
            clo_colset_add(&all, i);
    for (int columns = 0; columns < 3; columns++) {
        static const char *const lines[] = {"close_leads_list _fields=id",
                                            "close_leads_list _fields=id,name", "close_leads_list"};
        clo_plan plan, again;
        clo_err err;
        char *text;

        memset(&q.needed, 0, sizeof q.needed);
        if (columns == 1)
            clo_colset_add(&q.needed, clo_table_column(t, "name"));
        if (columns == 2)
            q.needed = all;
        assert_int_equal(clo_plan_make(NULL, &q, &plan, &err), CLO_OK);
        text = clo_plan_encode(&plan, &err);
        assert_string_equal(text, lines[columns]);
        assert_int_equal(clo_plan_decode(t, text, &again, &err), CLO_OK);
        assert_memory_equal(&again.needed, &plan.needed, sizeof plan.needed);
        assert_true(clo_colset_has(&again.needed, 0));
        clo_free(text);
    }
}

static void
without_memory(void **state)
{
    clo_qual quals[2] = {{0, CLO_OP_EQ, true}, {1, CLO_OP_EQ, true}};
    clo_question q = {0};
    clo_plan plan;
    clo_err err;

    (void)state;
    q.table = clo_table_find("close_opportunities");
    q.quals = quals;
    q.n_quals = 2;
    assert_int_equal(clo_plan_make(NULL, &q, &plan, &err), CLO_OK);
    oom_loop(encode_and_decode, &plan);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(there_and_back),
        cmocka_unit_test(nothing_else_is_read),
        cmocka_unit_test(columns_are_said_once),
        cmocka_unit_test(without_memory),
    };

    return cmocka_run_group_tests(tests, NULL, no_blocks_left);
}
