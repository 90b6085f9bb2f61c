/*
 * test_fate.c - verdicts about calls that were sent and not answered, against a service that shows
 * exactly the list that a test gives it.
 */
#include "base_test.h"
#include "fake_list.h"

#define NOTE "close_note_create"
#define HOUR (INT64_C(3600) * 1000000)

typedef struct world {
    fk *f;
    clo_client *client;
    char list[8192];
} world;

static void
set(world *w, const char *name, const char *value)
{
    clo_err err;

    if (clo_client_set(w->client, name, value, CLO_FROM_SESSION, &err) != CLO_OK)
        fail_msg("%s: %s", name, err.msg);
}

static world *
begin(void)
{
    world *w = calloc(1, sizeof *w);
    char url[64];
    clo_err err;

    w->f = fk_start(0, 1);
    w->client = clo_client_new(&err);
    assert_non_null(w->client);
    snprintf(url, sizeof url, "http://127.0.0.1:%d", w->f->port);
    set(w, "env_url", url);
    set(w, "client_id", "skc_unit");
    set(w, "client_secret", "unit-secret");
    set(w, "identifier", "user_unit");
    set(w, "retries", "0");
    w->f->canned = "{\"data\":[],\"has_more\":false}";
    return w;
}

static void
end(world *w)
{
    clo_client_unref(w->client);
    fk_stop(w->f);
    free(w);
}

/* One more row in the answer, made `age_us` before now. */
static void
show(world *w, const char *id, const char *members, int64_t age_us)
{
    char when[32];
    size_t n = strlen(w->list);

    clo_time_format(clo_wall_us() - age_us, when);
    if (n == 0)
        n = (size_t)snprintf(w->list, sizeof w->list, "{\"has_more\":false,\"data\":[");
    else
        n -= 2; /* takes the end off again */
    snprintf(w->list + n, sizeof w->list - n, "%s{\"id\":\"%s\",\"date_created\":\"%s\",%s}]}",
             w->list[n - 1] == '[' ? "" : ",", id, when, members);
    w->f->canned = w->list;
}

static void
show_nothing(world *w)
{
    w->list[0] = '\0';
    w->f->canned = "{\"data\":[],\"has_more\":false}";
}

static clo_fate *
look(world *w, const char *tool, const char *params, int64_t sent_ago_us)
{
    clo_err err;
    clo_fate *f =
        clo_fate_new(w->client, tool, params, strlen(params), clo_wall_us() - sent_ago_us, &err);
    clo_status st;

    if (f == NULL)
        fail_msg("%s", err.msg);
    while ((st = clo_fate_step(f, 1000, &err)) == CLO_AGAIN)
        continue;
    if (st != CLO_DONE)
        fail_msg("%s", err.msg);
    return f;
}

/* The verdict, with the id of the object (or "") in *id. */
static clo_fate_verdict
verdict(world *w, const char *tool, const char *params, int64_t sent_ago_us, char id[64])
{
    clo_fate *f = look(w, tool, params, sent_ago_us);
    const char *found;
    clo_err err;
    clo_fate_verdict v = clo_fate_judge(f, &found, &err);

    snprintf(id, 64, "%s", found != NULL ? found : "");
    assert_int_equal(err.code, v == CLO_FATE_UNKNOWN ? CLO_E_UNCERTAIN : CLO_E_NONE);
    clo_fate_free(f);
    return v;
}

#define HELLO "{\"lead_id\":\"lead_1\",\"note\":\"hello\"}"
#define ROW(text) "\"lead_id\":\"lead_1\",\"note\":\"" text "\""

static void
test_means(void **state)
{
    static const struct {
        const char *tool, *params;
        clo_fate_means means;
    } cases[] = {
        {NOTE, HELLO, CLO_FATE_ASK},
        {NOTE, "{\"note\":\"no lead\"}", CLO_FATE_NONE},
        {NOTE, "not json", CLO_FATE_NONE},
        {"close_lead_create", "{\"name\":\"x\"}", CLO_FATE_ASK},
        {"close_lead_merge", "{\"source\":\"a\",\"destination\":\"b\"}", CLO_FATE_ASK},
        {"close_lead_update", "{\"lead_id\":\"a\"}", CLO_FATE_REPEAT},
        {"close_lead_delete", "{\"lead_id\":\"a\"}", CLO_FATE_REPEAT},
        {"close_sequence_subscription_create", "{\"contact_id\":\"a\"}", CLO_FATE_NONE},
        {"close_sequence_subscription_update", "{\"subscription_id\":\"a\"}", CLO_FATE_REPEAT},
        {"close_tasks_bulk_update", "{\"filter_lead_id\":\"a\"}", CLO_FATE_NONE},
        {"close_bulk_delete_create", "{\"s_query\":{}}", CLO_FATE_NONE},
        {"close_bulk_edit_create", "{\"s_query\":{}}", CLO_FATE_NONE},
        {"close_export_lead_create", "{\"format\":\"csv\"}", CLO_FATE_NONE},
        {"close_field_enrichment_create", "{\"field_id\":\"a\"}", CLO_FATE_NONE},
        {"close_email_create", "{\"lead_id\":\"a\",\"status\":\"draft\"}", CLO_FATE_ASK},
        {"close_email_create", "{\"lead_id\":\"a\",\"status\":\"outbox\"}", CLO_FATE_NONE},
        {"close_email_create", "{\"lead_id\":\"a\",\"status\":\"scheduled\"}", CLO_FATE_NONE},
        {"close_email_create", "{\"lead_id\":\"a\",\"status\":7}", CLO_FATE_NONE},
        {"close_sms_create", "{\"lead_id\":\"a\",\"status\":\"outbox\"}", CLO_FATE_NONE},
        {"close_sms_update", "{\"sms_id\":\"a\",\"text\":\"b\"}", CLO_FATE_REPEAT},
        {"close_sms_update", "{\"sms_id\":\"a\",\"status\":\"outbox\"}", CLO_FATE_NONE},
        {"close_email_update", "{\"email_id\":\"a\",\"status\":\"scheduled\"}", CLO_FATE_NONE},
        {"close_no_such_tool", "{}", CLO_FATE_NONE},
    };

    (void)state;
    for (size_t i = 0; i < CLO_ARRAY_LEN(cases); i++)
        assert_int_equal(clo_fate_means_of(cases[i].tool, cases[i].params, strlen(cases[i].params)),
                         cases[i].means);
}

/* Every writing tool of the catalogue: a create is never simply repeated. */
static void
test_no_create_is_repeated(void **state)
{
    (void)state;
    for (size_t i = 0; i < clo_tool_count(); i++) {
        const clo_tool *t = clo_tool_at(i);

        if ((t->flags & CLO_TOOL_WRITES) && t->kind != CLO_UPDATE && t->kind != CLO_DELETE)
            assert_int_not_equal(clo_fate_means_of(t->name, "{}", 2), CLO_FATE_REPEAT);
    }
}

static void
test_alike(void **state)
{
    static const struct {
        const char *sent, *found;
        bool rich;
        int alike;
    } cases[] = {
        {"hello", "hello", false, 2},
        {" hello\n", "hello", false, 2},
        {"a\r\nb", "a\nb", false, 2},
        {"", "", false, 2},
        {"hello", "Hello", false, 1},
        {"hello, you!", "hello you", false, 1},
        {"hello", "<body><p>hello</p></body>", false, 1},
        {"hello", "<body><p>hello</p></body>", true, 2},
        {"a < b", "a &lt; b", true, 0},
        {"hello", "hello you", false, 0},
        {"hello", "", false, 0},
        {"", "hello", false, 0},
        {"!!", "??", false, 1},
        {"a long text that will be cut at its end", "a long text that will be cut at its", false,
         1},
        {"a long text that will be cut at its end", "a long text that will be kept at its end",
         false, 0},
        {"gr\xc3\xbc\xc3\x9f", "gr\xc3\xbc\xc3\x9f", false, 2},
        {"gr\xc3\xbc\xc3\x9f", "gr\xc3\xbc\xc3\x9f.", false, 1},
        {"gr\xc3\xbc\xc3\x9f", "gruss", false, 0},
        {"<b>bold</b>", "<b>bold</b>", false, 2},
        {"1 <2", "1 <2", true, 2},
    };

    (void)state;
    for (size_t i = 0; i < CLO_ARRAY_LEN(cases); i++) {
        int got = clo_fate_alike(cases[i].sent, strlen(cases[i].sent), cases[i].found,
                                 strlen(cases[i].found), cases[i].rich);

        if (got != cases[i].alike)
            fail_msg("case %zu: \"%s\" and \"%s\": %d", i, cases[i].sent, cases[i].found, got);
    }
}

static void
test_found_and_absent(void **state)
{
    world *w = begin();
    char id[64];

    (void)state;
    assert_int_equal(verdict(w, NOTE, HELLO, 1000000, id), CLO_FATE_ABSENT);
    assert_true(strstr(w->f->calls[0], "lead_1") != NULL);
    show(w, "acti_1", ROW("other"), 0);
    assert_int_equal(verdict(w, NOTE, HELLO, 1000000, id), CLO_FATE_ABSENT);
    show(w, "acti_2", ROW("hello"), 0);
    assert_int_equal(verdict(w, NOTE, HELLO, 1000000, id), CLO_FATE_FOUND);
    assert_string_equal(id, "acti_2");
    show(w, "acti_3", ROW("HELLO"), 0);
    assert_int_equal(verdict(w, NOTE, HELLO, 1000000, id), CLO_FATE_FOUND); /* the exact one */
    assert_string_equal(id, "acti_2");
    show(w, "acti_4", ROW("hello"), 0);
    assert_int_equal(verdict(w, NOTE, HELLO, 1000000, id), CLO_FATE_UNKNOWN); /* two */
    end(w);
}

static void
test_dropped_candidates(void **state)
{
    world *w = begin();
    const char *id;
    clo_fate *f;
    clo_err err;

    (void)state;
    show(w, "acti_1", ROW("hello"), 0);
    show(w, "acti_2", ROW("hello"), 0);
    f = look(w, NOTE, HELLO, 1000000);
    assert_string_equal(clo_fate_candidate(f, 0), "acti_1");
    assert_string_equal(clo_fate_candidate(f, 1), "acti_2");
    assert_null(clo_fate_candidate(f, 2));
    clo_fate_drop(f, 0);
    assert_int_equal(clo_fate_judge(f, &id, &err), CLO_FATE_FOUND);
    assert_string_equal(id, "acti_2");
    clo_fate_drop(f, 1);
    assert_int_equal(clo_fate_judge(f, &id, &err), CLO_FATE_ABSENT);
    clo_fate_free(f);
    end(w);
}

static void
test_times(void **state)
{
    world *w = begin();
    char id[64];

    (void)state;
    show(w, "acti_1", ROW("hello"), HOUR / 30); /* two minutes before the call: clocks differ */
    assert_int_equal(verdict(w, NOTE, HELLO, 1000000, id), CLO_FATE_FOUND);
    show_nothing(w);
    show(w, "acti_1", ROW("hello"), HOUR);
    assert_int_equal(verdict(w, NOTE, HELLO, 1000000, id), CLO_FATE_UNKNOWN);
    show_nothing(w);
    show(w, "acti_1", ROW("Hello"), HOUR); /* nearly equal and old: another one */
    assert_int_equal(verdict(w, NOTE, HELLO, 1000000, id), CLO_FATE_ABSENT);
    show_nothing(w);
    show(w, "acti_1", ROW("hello"), 30 * HOUR);
    assert_int_equal(verdict(w, NOTE, HELLO, 1000000, id), CLO_FATE_ABSENT);
    show_nothing(w);
    assert_int_equal(verdict(w, NOTE, HELLO, 30 * HOUR, id), CLO_FATE_UNKNOWN); /* too long ago */
    assert_int_equal(
        verdict(w, "close_lead_update", "{\"lead_id\":\"a\",\"name\":\"b\"}", 30 * HOUR, id),
        CLO_FATE_UNKNOWN);
    show(w, "acti_1", ROW("hello"), HOUR);
    assert_int_equal(verdict(w, NOTE, HELLO, 30 * HOUR, id),
                     CLO_FATE_FOUND); /* but seeing is believing */
    show_nothing(w);
    show(w, "acti_1", ROW("hello"), -10 * HOUR); /* made in the future: a clock is wrong */
    assert_int_equal(verdict(w, NOTE, HELLO, 1000000, id), CLO_FATE_FOUND);
    end(w);
}

static void
test_numbers_and_several_parameters(void **state)
{
    static const char call[] =
        "{\"lead_id\":\"lead_1\",\"status\":\"completed\",\"note\":\"n\",\"duration\":60}";
    static const char sale[] = "{\"lead_id\":\"lead_1\",\"status_id\":\"stat_1\",\"value\":100}";
    static const char bare[] = "{\"lead_id\":\"lead_1\",\"emails\":[]}";
    world *w = begin();
    char id[64];

    (void)state;
    show(w, "acti_1", "\"lead_id\":\"lead_1\",\"note\":\"n\",\"duration\":61", 0);
    assert_int_equal(verdict(w, "close_call_create", call, 0, id), CLO_FATE_ABSENT);
    show(w, "acti_2",
         "\"lead_id\":\"lead_1\",\"note\":\"n\",\"duration\":60,\"direction\":\"inbound\"", 0);
    assert_int_equal(verdict(w, "close_call_create", call, 0, id), CLO_FATE_FOUND);
    assert_string_equal(id, "acti_2");
    show_nothing(w);
    show(w, "oppo_1", "\"lead_id\":\"lead_1\",\"status_id\":\"stat_2\",\"value\":100", 0);
    show(w, "oppo_2", "\"lead_id\":\"lead_1\",\"status_id\":\"stat_1\",\"value\":100", 0);
    assert_int_equal(verdict(w, "close_opportunity_create", sale, 0, id), CLO_FATE_FOUND);
    assert_string_equal(id, "oppo_2");
    show_nothing(w);
    assert_int_equal(verdict(w, "close_contact_create", bare, 0, id), CLO_FATE_ABSENT);
    show(w, "cont_1", "\"lead_id\":\"lead_1\",\"name\":\"Somebody\"", 0);
    assert_int_equal(verdict(w, "close_contact_create", bare, 0, id),
                     CLO_FATE_UNKNOWN); /* nothing to tell by */
    end(w);
}

static void
test_leads_are_asked_by_date(void **state)
{
    world *w = begin();
    char id[64];

    (void)state;
    show(w, "lead_9", "\"name\":\"A \\\"quoted\\\" & Co\"", 0);
    assert_int_equal(verdict(w, "close_lead_create", "{\"name\":\"A \\\"quoted\\\" & Co\"}", 0, id),
                     CLO_FATE_FOUND);
    assert_string_equal(id, "lead_9");
    assert_non_null(strstr(w->f->calls[0], "date_created >="));
    assert_null(strstr(w->f->calls[0], "quoted")); /* words are not left to a search */
    end(w);
}

static void
test_a_merge_is_done_when_its_source_is_gone(void **state)
{
    static const char merge[] = "{\"source\":\"lead_1\",\"destination\":\"lead_2\"}";
    world *w = begin();
    char id[64];

    (void)state;
    w->f->canned = NULL; /* no lead is there */
    assert_int_equal(verdict(w, "close_lead_merge", merge, 0, id), CLO_FATE_FOUND);
    assert_string_equal(id, "");
    assert_int_equal(w->f->n_calls, 1);
    w->f->canned = "{\"id\":\"lead_1\"}";
    assert_int_equal(verdict(w, "close_lead_merge", merge, 0, id), CLO_FATE_ABSENT);
    end(w);
}

static void
test_a_crowd_is_unknown(void **state)
{
    world *w = begin();
    char id[64], name[24];

    (void)state;
    for (int i = 0; i < 70; i++) {
        snprintf(name, sizeof name, "acti_%d", i);
        show(w, name, ROW("hello"), 0);
    }
    assert_int_equal(verdict(w, NOTE, HELLO, 0, id), CLO_FATE_UNKNOWN);
    end(w);
}

static void
test_without_asking(void **state)
{
    world *w = begin();
    char id[64];

    (void)state;
    assert_int_equal(verdict(w, "close_lead_update", "{\"lead_id\":\"a\"}", 0, id),
                     CLO_FATE_ABSENT);
    assert_int_equal(verdict(w, "close_export_lead_create", "{\"format\":\"csv\"}", 0, id),
                     CLO_FATE_UNKNOWN);
    assert_int_equal(verdict(w, NOTE, "{broken", 0, id), CLO_FATE_UNKNOWN);
    assert_int_equal(w->f->n_calls, 0);
    end(w);
}

static void
test_a_failed_look_up_is_an_error(void **state)
{
    world *w = begin();
    clo_err err;
    clo_fate *f;
    clo_status st;

    (void)state;
    w->f->canned = "{\"has_more\":false}";
    f = clo_fate_new(w->client, NOTE, HELLO, strlen(HELLO), clo_wall_us(), &err);
    assert_non_null(f);
    while ((st = clo_fate_step(f, 1000, &err)) == CLO_AGAIN)
        continue;
    assert_int_equal(st, CLO_ERROR);
    clo_fate_free(f);
    end(w);
}

static bool
look_once(void *arg)
{
    world *w = arg;
    clo_err err;
    clo_fate *f = clo_fate_new(w->client, NOTE, HELLO, strlen(HELLO), clo_wall_us(), &err);
    clo_status st = f != NULL ? CLO_AGAIN : CLO_ERROR;
    const char *id;

    while (st == CLO_AGAIN)
        st = clo_fate_step(f, 1000, &err);
    /* A failing allocation must never become a verdict about a call that is there. */
    if (st == CLO_DONE)
        assert_int_equal(clo_fate_judge(f, &id, &err), CLO_FATE_FOUND);
    clo_fate_free(f);
    return st == CLO_DONE;
}

static void
test_oom(void **state)
{
    world *w = begin();

    (void)state;
    show(w, "acti_1", ROW("hello"), 0);
    assert_true(look_once(w)); /* token, connection and log are there before counting begins */
    assert_true(look_once(w));
    oom_loop(look_once, w);
    end(w);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_means),
        cmocka_unit_test(test_no_create_is_repeated),
        cmocka_unit_test(test_alike),
        cmocka_unit_test(test_found_and_absent),
        cmocka_unit_test(test_dropped_candidates),
        cmocka_unit_test(test_times),
        cmocka_unit_test(test_numbers_and_several_parameters),
        cmocka_unit_test(test_leads_are_asked_by_date),
        cmocka_unit_test(test_a_merge_is_done_when_its_source_is_gone),
        cmocka_unit_test(test_a_crowd_is_unknown),
        cmocka_unit_test(test_without_asking),
        cmocka_unit_test(test_a_failed_look_up_is_an_error),
        cmocka_unit_test(test_oom),
    };

    return cmocka_run_group_tests(tests, NULL, no_blocks_left);
}
