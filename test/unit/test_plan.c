/*
 * test_plan.c - which question becomes which call.
 *
 * A question is written as one line: the table, then words.
 *      col=  col@  col<  col{  col>  col}  col?  col~     =, IN, <, <=, >, >=, IS NULL, anything else
 *      !col=                                              the value is not known when the scan starts
 *      +col                                               a column that is read
 *      order:col  order:-col  limit  offset  count  partial
 */
#include "base_test.h"
#include "scan.h"

#include <stdio.h>

typedef struct asked {
    clo_question q;
    clo_qual quals[12];
    clo_sort sorts[4];
} asked;

static clo_op
op_of(char c)
{
    static const char marks[] = "=@<{>}?~";
    static const clo_op ops[] = {CLO_OP_EQ, CLO_OP_IN, CLO_OP_LT,     CLO_OP_LE,
                                 CLO_OP_GT, CLO_OP_GE, CLO_OP_ISNULL, CLO_OP_OTHER};

    assert_non_null(strchr(marks, c));
    return ops[strchr(marks, c) - marks];
}

static int
column_of(const clo_table *t, const char *name)
{
    int c = clo_table_column(t, name);

    if (c < 0)
        fail_msg("%s has no column %s", t->name, name);
    return c;
}

static void
word(asked *a, char *w)
{
    const clo_table *t = a->q.table;
    bool usable = *w != '!';
    size_t n;

    if (strncmp(w, "order:", 6) == 0) {
        bool desc = w[6] == '-';
        a->sorts[a->q.n_sorts++] = (clo_sort){column_of(t, w + 6 + desc), desc};
    } else if (*w == '+') {
        clo_colset_add(&a->q.needed, column_of(t, w + 1));
    } else if (strcmp(w, "limit") == 0) {
        a->q.has_limit = true;
    } else if (strcmp(w, "offset") == 0) {
        a->q.has_offset = true;
    } else if (strcmp(w, "count") == 0) {
        a->q.count_only = true;
    } else if (strcmp(w, "partial") == 0) {
        a->q.complete = false;
    } else {
        w += !usable;
        n = strlen(w) - 1;
        a->quals[a->q.n_quals].op = op_of(w[n]);
        w[n] = '\0';
        a->quals[a->q.n_quals].column = column_of(t, w);
        a->quals[a->q.n_quals++].usable = usable;
    }
}

static void
parse(const char *text, asked *a)
{
    char copy[400], *save = NULL;

    memset(a, 0, sizeof *a);
    snprintf(copy, sizeof copy, "%s", text);
    a->q.table = clo_table_find(strtok_r(copy, " ", &save));
    assert_non_null(a->q.table);
    a->q.quals = a->quals;
    a->q.sorts = a->sorts;
    a->q.complete = true;
    for (char *w; (w = strtok_r(NULL, " ", &save)) != NULL;)
        word(a, w);
}

static const struct {
    const char *question, *plan; /* without columns=, or ERROR: words, or AGAIN */
} cases[] = {
    /* the key */
    {"close_leads id= +name", "close_lead_get lead_id=$1 _fields=id,name"},
    {"close_leads id@ +name", "close_lead_get lead_id=any($1) _fields=id,name"},
    {"close_leads name= id=", "close_lead_get lead_id=$1@2 _fields=id"},
    {"close_leads !id=", "close_leads_list _fields=id"},
    {"close_leads id>", "close_leads_list _fields=id"},
    {"close_leads id= limit", "close_lead_get lead_id=$1 _limit=$2 _fields=id"},
    {"close_leads id= name= limit", "close_lead_get lead_id=$1 _fields=id"},
    {"close_me +email", "close_me_get"},
    {"close_me id=", "close_me_get"},
    /* parameters */
    {"close_leads query= +name", "close_leads_list query=$1 _fields=id,name"},
    {"close_leads query@ +query", "close_leads_list query=any($1) _fields=id"},
    {"close_leads query= id=", "close_leads_list query=$1 _fields=id"},
    {"close_leads query= query~ +query", "close_leads_list query=$1 _fields=id"},
    {"close_leads +query",
     "ERROR: close_leads.query is a parameter of close_leads_list: use it as query = '...'"},
    {"close_leads query~", "ERROR: close_leads.query is a parameter of close_leads_list"},
    {"close_leads query> id=", "ERROR: close_leads.query is a parameter of close_leads_list"},
    {"close_leads !query= +query", "AGAIN"},
    {"close_leads !query@ +query", "AGAIN"},
    {"close_leads !query~", "ERROR: close_leads.query is a parameter"},
    {"close_leads query? +query limit", "close_leads_list _limit=$1 _fields=id"},
    {"close_comment_threads ids@ object_ids@",
     "ERROR: close_comment_threads: only one list of values"},
    /* filters, and the combinations that count */
    {"close_contacts lead_id= +name", "close_contacts_list lead_id=$1 _fields=id,lead_id,name"},
    {"close_contacts lead_id> +name", "close_contacts_list _fields=id,name"},
    {"close_contacts name= +name", "close_contacts_list _fields=id,name"},
    {"close_opportunities user_id= status_type@ status_id@",
     "close_opportunities_list user_id=$1 status_id=any($2)@3 _fields=id,user_id,status_id"},
    {"close_activities user_id=", "close_activities_list _fields=id"},
    {"close_activities user_id= lead_id= _type@",
     "close_activities_list lead_id=$1@2 user_id=$2@1 _type=any($3) "
     "_fields=id,_type,lead_id,user_id"},
    {"close_activities user_id= lead_id@",
     "close_activities_list lead_id=any($1)@2 _fields=id,lead_id"},
    {"close_events lead_id= action=", "close_events_list lead_id=$1"},
    {"close_events action=", "close_events_list"},
    {"close_events action= object_type=", "close_events_list object_type=$1@2 action=$2@1"},
    {"close_events date_updated} date_updated< date_updated>",
     "close_events_list date_updated__gte>=$1? date_updated__lte<$2?"},
    {"close_custom_activities date_created> date_created{",
     "close_custom_activities_list date_created__gte>$1? date_created__lte<=$2? "
     "_fields=id,date_created"},
    {"close_comment_threads object_ids= object_id=", "close_comment_threads_list object_ids=$1"},
    {"close_comment_threads object_id=", "close_comment_threads_list object_ids:object_id=$1"},
    /* parents and kinds */
    {"close_comments", "close_comments_list thread_id=each(close_comment_threads) _fields=id"},
    {"close_comments thread_id=", "close_comments_list thread_id=$1 _fields=id,thread_id"},
    {"close_comments object_id= thread_id=", "close_comments_list object_id=$1 _fields=id"},
    {"close_sequence_subscriptions contact_id=",
     "close_sequence_subscriptions_list contact_id=$1 _fields=id,contact_id"},
    {"close_tasks +text", "close_tasks_list _type=all _fields=id,text"},
    {"close_tasks _type= is_complete=",
     "close_tasks_list is_complete=$1@2 _type=$2@1 _fields=id,_type,is_complete"},
    {"close_smart_views type=", "close_smart_views_list type=$1"},
    /* order and limit */
    {"close_opportunities order:-date_created limit offset",
     "close_opportunities_list _order_by=-date_created _limit=$1 _skip=$2 _fields=id,date_created"},
    {"close_opportunities order:value limit", "close_opportunities_list _fields=id"},
    {"close_opportunities order:date_created order:id limit",
     "close_opportunities_list _fields=id"},
    {"close_opportunities lead_id@ order:date_created limit",
     "close_opportunities_list lead_id=any($1) _fields=id,lead_id"},
    {"close_leads order:date_created limit",
     "close_leads_list _order_by=sort:date_created _limit=$1 _fields=id,date_created"},
    {"close_leads order:-date_created", "close_leads_list _order_by=sort:-date_created "
                                        "_fields=id,date_created"},
    {"close_leads order:date_updated", "close_leads_list _fields=id"},
    {"close_leads order:date_updated limit",
     "close_leads_list _order_by=sort:date_updated _limit=$1 _fields=id,date_updated"},
    {"close_leads query= order:date_created limit", "close_leads_list query=$1 _fields=id"},
    {"close_leads limit offset", "close_leads_list _limit=$1 _skip=$2 _fields=id"},
    {"close_leads limit partial", "close_leads_list _fields=id"},
    {"close_leads name= limit", "close_leads_list _fields=id"},
    {"close_leads query= !id= limit", "close_leads_list query=$1 _fields=id"},
    {"close_contacts lead_id@ limit",
     "close_contacts_list lead_id=any($1) _limit=$2 _fields=id,lead_id"},
    {"close_events date_updated} limit", "close_events_list date_updated__gte>=$1?"},
    /* counting */
    {"close_leads count", "count(close_leads_list) _fields=id"},
    {"close_leads query= count", "count(close_leads_list) query=$1 _fields=id"},
    {"close_leads query@ count", "close_leads_list query=any($1) _fields=id"},
    {"close_leads name= count", "close_leads_list _fields=id"},
    {"close_contacts count", "close_contacts_list _fields=id"},
    {"close_leads count partial", "close_leads_list _fields=id"},
};

static int
complain(size_t i, const char *got)
{
    print_message("%s\n got %s\nwant %s\n", cases[i].question, got, cases[i].plan);
    return 1;
}

static void
questions_become_calls(void **state)
{
    int wrong = 0;

    (void)state;
    for (size_t i = 0; i < CLO_ARRAY_LEN(cases); i++) {
        asked a;
        clo_plan plan;
        clo_err err;
        clo_status st;
        char got[600];

        parse(cases[i].question, &a);
        st = clo_plan_make(NULL, &a.q, &plan, &err);
        if (st == CLO_OK) {
            char *text = clo_plan_encode(&plan, &err);
            snprintf(got, sizeof got, "%s", text);
            clo_free(text);
            if (strstr(got, " columns=") != NULL)
                *strstr(got, " columns=") = '\0';
            if (strcmp(got, cases[i].plan) != 0)
                wrong += complain(i, got);
            assert_true(plan.requests >= 1 && plan.rows >= 1);
            assert_int_equal(plan.sorted, plan.unique || plan.order >= 0);
        } else {
            snprintf(got, sizeof got, "%s%s",
                     st == CLO_AGAIN ? "AGAIN" : "ERROR: ", st == CLO_AGAIN ? "" : err.msg);
            if (strncmp(got, cases[i].plan, strlen(cases[i].plan)) != 0)
                wrong += complain(i, got);
        }
    }
    assert_int_equal(wrong, 0);
}

/* LIMIT may only travel when every condition is exact. */
static void
limit_needs_exactness(void **state)
{
    static const char *const questions[] = {"close_leads limit",
                                            "close_leads name= limit",
                                            "close_leads query= limit",
                                            "close_contacts lead_id= limit",
                                            "close_contacts lead_id= name= limit",
                                            "close_events date_updated} limit",
                                            "close_activities user_id= limit",
                                            "close_opportunities order:value limit",
                                            "close_opportunities order:date_created limit"};

    (void)state;
    for (size_t i = 0; i < CLO_ARRAY_LEN(questions); i++) {
        asked a;
        clo_plan plan;
        clo_err err;
        size_t exact = 0;

        parse(questions[i], &a);
        assert_int_equal(clo_plan_make(NULL, &a.q, &plan, &err), CLO_OK);
        for (int k = 0; k < plan.n_slots; k++)
            exact += plan.slots[k].exact;
        assert_int_equal(plan.limit, exact == a.q.n_quals && (a.q.n_sorts == 0 || plan.sorted));
    }
}

/* A count that becomes a scan is the scan that would have been planned at once. */
static void
counts_become_rows(void **state)
{
    static const char *const questions[][2] = {
        {"close_leads count", "close_leads +id"},
        {"close_leads query= count", "close_leads query= +id"},
        {"close_opportunities status_type= count", "close_opportunities status_type= +id"}};

    (void)state;
    for (size_t i = 0; i < CLO_ARRAY_LEN(questions); i++) {
        asked counted, listed;
        clo_plan plan, rows;
        clo_err err;
        char *a, *b;

        parse(questions[i][0], &counted);
        parse(questions[i][1], &listed);
        assert_int_equal(clo_plan_make(NULL, &counted.q, &plan, &err), CLO_OK);
        assert_int_equal(plan.access, CLO_BY_COUNT);
        assert_int_equal(clo_plan_make(NULL, &listed.q, &rows, &err), CLO_OK);
        clo_plan_rows(&plan, &listed.q.needed);
        a = clo_plan_encode(&plan, &err);
        b = clo_plan_encode(&rows, &err);
        assert_string_equal(a, b);
        assert_false(plan.unique);
        clo_free(a);
        clo_free(b);
    }
}

static void
costs_in_requests(void **state)
{
    clo_err err;
    clo_client *c = clo_client_new(&err);
    asked a;
    clo_plan one, few, all, parents;

    (void)state;
    c->known_rows[clo_table_index(clo_table_find("close_leads"))] = 1000;
    parse("close_leads id=", &a);
    assert_int_equal(clo_plan_make(c, &a.q, &one, &err), CLO_OK);
    parse("close_leads", &a);
    assert_int_equal(clo_plan_make(c, &a.q, &all, &err), CLO_OK);
    parse("close_contacts lead_id=", &a);
    assert_int_equal(clo_plan_make(c, &a.q, &few, &err), CLO_OK);
    parse("close_custom_objects", &a);
    assert_int_equal(clo_plan_make(c, &a.q, &parents, &err), CLO_OK);
    assert_true(one.requests == 1 && one.rows == 1 && one.unique);
    assert_true(all.requests == 6 && all.rows == 1000);
    assert_true(few.requests == 1 && few.rows < 20);
    assert_true(parents.requests > 1000);
    clo_client_unref(c);
}

static void
broken_questions(void **state)
{
    clo_qual q = {999, CLO_OP_EQ, true};
    clo_question question = {0};
    clo_plan plan;
    clo_err err;

    (void)state;
    question.table = clo_table_find("close_leads");
    question.quals = &q;
    question.n_quals = 1;
    assert_int_equal(clo_plan_make(NULL, &question, &plan, &err), CLO_ERROR);
    assert_int_equal(err.code, CLO_E_BUG);
    q.column = -1;
    assert_int_equal(clo_plan_make(NULL, &question, &plan, &err), CLO_ERROR);
}

static void
column_sets(void **state)
{
    clo_colset s = {{0}};

    (void)state;
    for (int i = 0; i < CLO_MAX_COLUMNS; i += 63)
        clo_colset_add(&s, i);
    clo_colset_add(&s, -1);
    clo_colset_add(&s, CLO_MAX_COLUMNS);
    for (int i = -2; i < CLO_MAX_COLUMNS + 2; i++)
        assert_int_equal(clo_colset_has(&s, i), i >= 0 && i < CLO_MAX_COLUMNS && i % 63 == 0);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(questions_become_calls), cmocka_unit_test(limit_needs_exactness),
        cmocka_unit_test(counts_become_rows),     cmocka_unit_test(costs_in_requests),
        cmocka_unit_test(broken_questions),       cmocka_unit_test(column_sets),
    };

    return cmocka_run_group_tests(tests, NULL, no_blocks_left);
}
