/*
 * test_job.c - a claimed row of the outbox as a state machine: every transition, what each end writes
 * into the row, and random sequences of events against a model of table, workers and service, in
 * which no order of faults may send a call twice.
 */
#include "base_test.h"
#include "fake_list.h"

#include <stdio.h>

#define NOTE "close_note_create"
#define NOTE_PARAMS "{\"lead_id\":\"lead_1\",\"note\":\"x\"}"
#define DELETE "close_note_delete"
#define DELETE_PARAMS "{\"note_id\":\"acti_1\"}"
#define NEW_TOOL "close_new_thing"
#define SECOND INT64_C(1000000)
#define TIMEOUT (20 * SECOND)
#define SETTLE (30 * SECOND)
#define LAST_ATTEMPT 5

static void
set(clo_client *c, const char *name, const char *value)
{
    clo_err err;

    if (clo_client_set(c, name, value, CLO_FROM_SESSION, &err) != CLO_OK)
        fail_msg("%s: %s", name, err.msg);
}

static clo_client *
client_new(void)
{
    clo_err err;
    clo_client *c = clo_client_new(&err);

    assert_non_null(c);
    set(c, "outbox_attempts", "5");
    set(c, "timeout_ms", "20000");
    set(c, "outbox_settle_ms", "30000");
    return c;
}

static clo_job *
job_new(clo_client *c, const char *tool, const char *params, int attempts, bool lost)
{
    int64_t now = clo_wall_us();
    clo_claim claim = {.id = 7,
                       .tool = tool,
                       .params = params,
                       .len = strlen(params),
                       .attempts = attempts,
                       .lost = lost,
                       .sent_us = now,
                       .lease_us = now + clo_outbox_lease_ms(c) * 1000};
    clo_err err;
    clo_job *job = clo_job_new(c, &claim, &err);

    assert_non_null(job);
    assert_int_equal(clo_job_what(job), CLO_JOB_COMMIT);
    assert_int_equal(clo_job_id(job), 7);
    assert_string_equal(clo_job_tool(job), tool);
    assert_int_equal(clo_job_asks(job), lost);
    return job;
}

static clo_err
error_of(clo_code code)
{
    clo_err err;

    clo_err_clear(&err);
    clo_err_set(&err, code, "it went wrong");
    err.uncertain = code == CLO_E_UNCERTAIN;
    return err;
}

/* A job that is to be sent, or looked up, whose request or question is out. */
static clo_job *
waiting(clo_client *c, const char *tool, const char *params, int attempts, bool lost)
{
    clo_job *job = job_new(c, tool, params, attempts, lost);

    clo_job_committed(job);
    assert_int_equal(clo_job_what(job), lost ? CLO_JOB_LOOK_UP : CLO_JOB_SEND);
    if (lost) {
        assert_true(clo_job_question(job));
    } else {
        clo_request *req = clo_job_request(job, clo_wall_us());

        assert_non_null(req);
        clo_request_free(req);
    }
    assert_int_equal(clo_job_what(job), CLO_JOB_WAIT);
    return job;
}

/* ---- transitions ---------------------------------------------------------------------------- */

static void
test_nothing_leaves_before_the_commit(void **state)
{
    fk *f = fk_start(0, 1);
    clo_client *c = client_new();
    char url[64];
    clo_err no = error_of(CLO_E_FORBIDDEN);

    (void)state;
    snprintf(url, sizeof url, "http://127.0.0.1:%d", f->port);
    set(c, "env_url", url);
    set(c, "client_id", "skc_unit");
    set(c, "client_secret", "unit-secret");
    set(c, "identifier", "user_unit");
    for (int lost = 0; lost < 2; lost++) {
        clo_job *job = job_new(c, NOTE, NOTE_PARAMS, 1, lost);

        for (int i = 0; i < 20; i++)
            clo_jobs_step(&job, 1, 1);
        assert_null(clo_job_request(job, clo_wall_us()));
        assert_false(clo_job_question(job));
        clo_job_refuse(job, &no);
        assert_int_equal(clo_job_what(job), CLO_JOB_COMMIT);
        clo_job_rolled_back(job);
        assert_int_equal(clo_job_what(job), CLO_JOB_OVER);
        clo_job_committed(job); /* too late */
        clo_jobs_step(&job, 1, 1);
        assert_null(clo_job_request(job, clo_wall_us()));
        assert_false(clo_job_question(job));
        assert_int_equal(clo_job_what(job), CLO_JOB_OVER);
        clo_job_free(job);
    }
    assert_int_equal(c->stat[CLO_STAT_REQUESTS] + c->stat[CLO_STAT_TOKENS], 0);
    assert_int_equal(f->n_calls, 0);
    clo_client_unref(c);
    fk_stop(f);
}

enum {
    COMMIT = 1,
    REQUEST = 2,
    QUESTION = 4,
    LEAVE = 8,
    ANSWER = 16,
    FAIL = 32,
    LOOK = 64,
    JUDGE = 128,
    WRITE = 256,
    REFUSE = 512
};

/* All events but `due`, none of which may change anything. */
static void
poke(clo_job *job, unsigned due)
{
    clo_job_next what = clo_job_what(job);
    clo_err err = error_of(CLO_E_NET);
    clo_outcome before, after;

    clo_job_outcome(job, &before);
    if (!(due & COMMIT)) {
        clo_job_committed(job);
        clo_job_rolled_back(job);
    }
    if (!(due & REQUEST))
        assert_null(clo_job_request(job, clo_wall_us()));
    if (!(due & QUESTION))
        assert_false(clo_job_question(job));
    if (!(due & LEAVE))
        assert_false(clo_job_may_leave(job, 0));
    if (!(due & ANSWER))
        clo_job_answered(job);
    if (!(due & FAIL))
        clo_job_failed(job, &err, clo_wall_us());
    if (!(due & LOOK))
        clo_job_looked(job);
    if (!(due & JUDGE))
        clo_job_judged(job, CLO_FATE_FOUND, "acti_x", &err);
    if (!(due & WRITE))
        clo_job_written(job);
    if (!(due & REFUSE))
        clo_job_refuse(job, &err);
    assert_int_equal(clo_job_what(job), what);
    clo_job_outcome(job, &after);
    assert_int_equal(after.state, before.state);
    assert_ptr_equal(after.object_id, before.object_id);
    assert_int_equal(after.error != NULL, before.error != NULL);
}

static void
test_events_out_of_turn(void **state)
{
    clo_client *c = client_new();
    clo_job *job;
    clo_outcome out;

    (void)state;
    for (int lost = 0; lost < 2; lost++) {
        job = job_new(c, NOTE, NOTE_PARAMS, 1, lost);
        poke(job, COMMIT);
        clo_job_outcome(job, &out); /* asked too early: what the table says already */
        assert_int_equal(out.state, CLO_BOX_SENDING);
        assert_true(out.wait_ms > clo_outbox_lease_ms(c));
        clo_job_committed(job);
        poke(job, lost ? QUESTION : REQUEST | REFUSE);
        clo_job_free(job);
        job = waiting(c, NOTE, NOTE_PARAMS, 1, lost);
        poke(job, lost ? FAIL | LOOK : LEAVE | ANSWER | FAIL);
        if (lost)
            clo_job_looked(job);
        else
            clo_job_answered(job);
        poke(job, lost ? JUDGE | WRITE : WRITE);
        clo_job_written(job);
        assert_int_equal(clo_job_what(job), CLO_JOB_COMMIT);
        poke(job, COMMIT);
        clo_job_rolled_back(job);
        assert_int_equal(clo_job_what(job), CLO_JOB_WRITE);
        clo_job_written(job);
        clo_job_committed(job);
        assert_int_equal(clo_job_what(job), CLO_JOB_OVER);
        poke(job, 0);
        clo_job_free(job);
    }
    clo_client_unref(c);
}

/* ---- what is written ------------------------------------------------------------------------ */

typedef struct wanted {
    clo_box state;
    bool uncounted, stops, reports;
    int64_t min_ms, max_ms;
} wanted;

static void
check_outcome(clo_job *job, const wanted *w, clo_code code, int attempts)
{
    const clo_err *report;
    bool stops = clo_job_stops(job, &report);
    clo_outcome out;

    assert_int_equal(clo_job_what(job), CLO_JOB_WRITE);
    clo_job_outcome(job, &out);
    assert_int_equal(out.state, w->state);
    assert_int_equal(out.uncounted, w->uncounted);
    assert_int_equal(stops, w->stops);
    assert_int_equal(report != NULL, w->reports);
    assert_int_equal(out.attempts, attempts);
    assert_int_equal(out.ended, w->state != CLO_BOX_PENDING && w->state != CLO_BOX_SENDING);
    assert_int_equal(out.finished, w->state == CLO_BOX_DONE || w->state == CLO_BOX_FAILED);
    assert_between(out.wait_ms, w->min_ms, w->max_ms);
    assert_null(out.object_id);
    assert_false(out.claims);
    assert_null(out.result);
    if (w->state == CLO_BOX_DONE) {
        assert_null(out.error_class);
        assert_null(out.error);
    } else {
        assert_string_equal(out.error_class, clo_code_name(code));
        assert_non_null(out.error);
    }
}

/* What an error of the service means for a create, a delete and a tool that nothing is known about. */
static wanted
after_error(clo_code code, const char *tool, int attempts)
{
    bool last = attempts >= LAST_ATTEMPT, wipes = strcmp(tool, DELETE) == 0;
    wanted back = {last ? CLO_BOX_FAILED : CLO_BOX_PENDING, false, true, false, 0, 3600000};
    wanted held = {CLO_BOX_PENDING, true, true, true, 0, 0};
    wanted failed = {CLO_BOX_FAILED, false, false, false, 0, 0};

    switch (code) {
    case CLO_E_CONFIG:
    case CLO_E_AUTH:
    case CLO_E_NOMEM:
    case CLO_E_STOPPED:
        return held;
    case CLO_E_RATE: /* nobody has to act, and the row is not at fault */
        held.reports = false;
        return held;
    case CLO_E_REMOTE:
    case CLO_E_NET:
    case CLO_E_TIMEOUT:
    case CLO_E_PROTO:
        back.min_ms = last ? 0 : 1000;
        return back;
    case CLO_E_UNCERTAIN:
        if (strcmp(tool, NOTE) == 0)
            return (wanted){CLO_BOX_SENDING, false, false, false, 30000, 30000};
        if (wipes && !last)
            return (wanted){CLO_BOX_PENDING, false, false, false, 1000, 3600000};
        return (wanted){CLO_BOX_UNCERTAIN, false, false, false, 0, 0};
    case CLO_E_NOTFOUND: /* gone: by the attempt before, unless this was the first */
        failed.state = wipes && attempts > 1 ? CLO_BOX_DONE : CLO_BOX_FAILED;
        return failed;
    default:
        return failed;
    }
}

static void
test_every_error_and_attempt(void **state)
{
    static const struct {
        const char *tool, *params;
    } calls[] = {{NOTE, NOTE_PARAMS}, {DELETE, DELETE_PARAMS}, {NEW_TOOL, "{}"}};
    clo_client *c = client_new();

    (void)state;
    for (size_t i = 0; i < CLO_ARRAY_LEN(calls); i++) {
        for (int code = CLO_E_NONE + 1; code < CLO_E__COUNT; code++) {
            for (int attempts = 1; attempts <= LAST_ATTEMPT + 1; attempts++) {
                clo_job *job = waiting(c, calls[i].tool, calls[i].params, attempts, false);
                clo_err err = error_of((clo_code)code);
                wanted w = after_error((clo_code)code, calls[i].tool, attempts);

                clo_job_failed(job, &err, clo_wall_us());
                check_outcome(job, &w, (clo_code)code, attempts);
                clo_job_free(job);
            }
        }
    }
    clo_client_unref(c);
}

static void
test_every_verdict_and_attempt(void **state)
{
    clo_client *c = client_new();
    clo_err why = error_of(CLO_E_UNCERTAIN);
    clo_outcome out;

    (void)state;
    for (int attempts = 1; attempts <= LAST_ATTEMPT + 1; attempts++) {
        wanted absent = {
            attempts < LAST_ATTEMPT ? CLO_BOX_PENDING : CLO_BOX_FAILED, false, false, false, 0, 0};
        wanted unknown = {CLO_BOX_UNCERTAIN, false, false, false, 0, 0};
        clo_job *job = waiting(c, NOTE, NOTE_PARAMS, attempts, true);

        clo_job_looked(job);
        clo_job_judged(job, CLO_FATE_UNKNOWN, NULL, &why);
        check_outcome(job, &unknown, CLO_E_UNCERTAIN, attempts);
        clo_job_judged(job, CLO_FATE_ABSENT, NULL, &why); /* the transaction was repeated */
        check_outcome(job, &absent, CLO_E_UNCERTAIN, attempts);
        clo_job_judged(job, CLO_FATE_FOUND, "acti_2", &why);
        clo_job_outcome(job, &out);
        assert_int_equal(out.state, CLO_BOX_DONE);
        assert_true(out.finished);
        assert_string_equal(out.object_id, "acti_2");
        assert_false(out.claims); /* a look-up takes nothing from another row */
        assert_null(out.error);
        clo_job_free(job);
    }
    clo_client_unref(c);
}

static void
test_every_error_of_a_look_up(void **state)
{
    clo_client *c = client_new();

    (void)state;
    for (int code = CLO_E_NONE + 1; code < CLO_E__COUNT; code++) {
        clo_job *job = waiting(c, NOTE, NOTE_PARAMS, LAST_ATTEMPT, true);
        clo_err err = error_of((clo_code)code);
        clo_outcome out;

        clo_job_failed(job, &err, clo_wall_us());
        clo_job_outcome(job, &out); /* whatever went wrong: not sent, not taken for absent */
        assert_true(out.state == CLO_BOX_SENDING || out.state == CLO_BOX_UNCERTAIN);
        assert_int_equal(out.state == CLO_BOX_SENDING, out.wait_ms >= 1000);
        assert_null(clo_job_candidate(job, 0));
        clo_job_free(job);
    }
    clo_client_unref(c);
}

static void
test_words(void **state)
{
    clo_client *c = client_new();
    clo_job *job = waiting(c, NOTE, NOTE_PARAMS, 1, false);
    clo_err err = error_of(CLO_E_REJECTED);
    clo_outcome out;

    (void)state;
    clo_err_detail(&err, "no such lead");
    err.hint = "look it up";
    snprintf(err.request_id, sizeof err.request_id, "%s", "77");
    clo_job_failed(job, &err, clo_wall_us());
    clo_job_outcome(job, &out);
    assert_string_equal(out.error, "it went wrong (no such lead); look it up");
    assert_string_equal(out.execution_id, "77");
    clo_job_free(job);
    clo_client_unref(c);
}

static void
test_refused_and_unreadable(void **state)
{
    static const wanted failed = {CLO_BOX_FAILED, false, false, false, 0, 0};
    clo_client *c = client_new();
    clo_job *job = job_new(c, NOTE, NOTE_PARAMS, 1, false);
    clo_err no = error_of(CLO_E_FORBIDDEN);

    (void)state;
    clo_job_committed(job);
    clo_job_refuse(job, &no);
    check_outcome(job, &failed, CLO_E_FORBIDDEN, 1);
    assert_null(clo_job_request(job, clo_wall_us()));
    clo_job_free(job);
    job = job_new(c, NOTE, "{", 1, false); /* somebody has changed it by hand */
    clo_job_committed(job);
    assert_null(clo_job_request(job, clo_wall_us()));
    check_outcome(job, &failed, CLO_E_ARG, 1);
    clo_job_free(job);
    clo_client_unref(c);
}

static void
test_too_late(void **state)
{
    static const wanted back = {CLO_BOX_PENDING, true, true, false, 0, 0};
    clo_client *c = client_new();
    clo_job *job = waiting(c, NOTE, NOTE_PARAMS, 1, false);
    int64_t now = clo_wall_us();

    (void)state;
    assert_true(clo_job_may_leave(job, now));
    assert_int_equal(clo_job_what(job), CLO_JOB_WAIT);
    assert_false(clo_job_may_leave(job, now + clo_outbox_lease_ms(c) * 1000));
    check_outcome(job, &back, CLO_E_RATE, 1);
    assert_false(clo_job_may_leave(job, now)); /* there is no way back */
    assert_null(clo_job_request(job, now));
    clo_job_free(job);
    clo_client_unref(c);
}

/* ---- the pump, against a service ------------------------------------------------------------ */

static clo_client *
client_of(const fk *f)
{
    clo_client *c = client_new();
    char url[64];

    snprintf(url, sizeof url, "http://127.0.0.1:%d", f->port);
    set(c, "env_url", url);
    set(c, "client_id", "skc_unit");
    set(c, "client_secret", "unit-secret");
    set(c, "identifier", "user_unit");
    set(c, "retries", "0");
    return c;
}

static void
pump(clo_job *const *jobs, size_t n, clo_job *until)
{
    while (clo_job_what(until) != CLO_JOB_WRITE)
        clo_jobs_step(jobs, n, 1000);
}

static void
test_a_call_through_the_pump(void **state)
{
    fk *f = fk_start(0, 1);
    clo_client *c = client_of(f);
    clo_job *jobs[3] = {NULL, job_new(c, NOTE, NOTE_PARAMS, 1, false), NULL};
    clo_outcome out;

    (void)state;
    f->canned = "{\"id\":\"acti_9\",\"note\":\"x\"}";
    clo_job_committed(jobs[1]);
    pump(jobs, 3, jobs[1]);
    clo_job_outcome(jobs[1], &out);
    assert_int_equal(out.state, CLO_BOX_DONE);
    assert_string_equal(out.object_id, "acti_9");
    assert_true(out.claims);
    assert_string_equal(out.execution_id, "9");
    assert_non_null(strstr(out.result, "acti_9"));
    assert_int_equal(out.result_len, strlen(out.result));
    clo_jobs_step(jobs, 3, 1000); /* an ended one is not waited for, and not sent again */
    assert_int_equal(f->n_calls, 1);
    clo_job_free(jobs[1]);
    clo_client_unref(c);
    fk_stop(f);
}

static void
test_a_call_that_is_too_late_is_gone(void **state)
{
    fk *f = fk_start(0, 1);
    clo_client *c = client_of(f);
    clo_job *jobs[2] = {job_new(c, NOTE, NOTE_PARAMS, 1, false), NULL};
    clo_outcome out;

    (void)state;
    f->canned = "{\"id\":\"acti_9\",\"note\":\"x\"}";
    clo_job_committed(jobs[0]);
    clo_jobs_step(jobs, 1, 0); /* waits for a token: nothing has left */
    assert_int_equal(clo_job_what(jobs[0]), CLO_JOB_WAIT);
    set(c, "timeout_ms", "600000"); /* as if the lease were nearly over */
    clo_jobs_step(jobs, 1, 0);
    assert_int_equal(clo_job_what(jobs[0]), CLO_JOB_WRITE);
    set(c, "timeout_ms", "20000");
    jobs[1] = job_new(c, NOTE, "{\"lead_id\":\"lead_1\",\"note\":\"other\"}", 1, false);
    clo_job_committed(jobs[1]);
    pump(jobs, 2, jobs[1]);
    assert_int_equal(f->n_calls, 1);
    assert_non_null(strstr(f->calls[0], "other"));
    clo_job_outcome(jobs[0], &out);
    assert_int_equal(out.state, CLO_BOX_PENDING);
    assert_true(out.uncounted);
    clo_job_free(jobs[0]);
    clo_job_free(jobs[1]);
    clo_client_unref(c);
    fk_stop(f);
}

static void
test_a_look_up_through_the_pump(void **state)
{
    fk *f = fk_start(0, 1);
    clo_client *c = client_of(f);
    clo_job *job = job_new(c, NOTE, NOTE_PARAMS, 1, true);
    char when[32], list[512];
    clo_outcome out;

    (void)state;
    clo_time_format(clo_wall_us(), when);
    snprintf(list, sizeof list,
             "{\"has_more\":false,\"data\":[{\"id\":\"acti_3\",\"lead_id\":\"lead_1\",\"note\":"
             "\"x\",\"date_created\":\"%s\"}]}",
             when);
    f->canned = list;
    clo_job_committed(job);
    assert_null(clo_job_candidate(job, 0));
    pump(&job, 1, job);
    assert_int_equal(c->stat[CLO_STAT_WRITES], 0); /* it asks, it does not send */
    assert_string_equal(clo_job_candidate(job, 0), "acti_3");
    assert_null(clo_job_candidate(job, 1));
    clo_job_outcome(job, &out);
    assert_int_equal(out.state, CLO_BOX_DONE);
    assert_string_equal(out.object_id, "acti_3");
    clo_job_written(job);
    assert_null(clo_job_candidate(job, 0));
    clo_job_rolled_back(job);
    clo_job_drop(job, 1); /* there is none */
    clo_job_drop(job, 0); /* another row got it in the meantime */
    clo_job_outcome(job, &out);
    assert_int_equal(out.state, CLO_BOX_PENDING);
    assert_null(out.object_id);
    clo_job_free(job);
    clo_client_unref(c);
    fk_stop(f);
}

static bool
job_once(void *arg)
{
    clo_claim claim = {.tool = NOTE, .params = NOTE_PARAMS, .len = strlen(NOTE_PARAMS)};
    clo_err err;
    clo_job *job = clo_job_new(arg, &claim, &err);
    bool made = job != NULL, sent = false;

    if (!made) {
        assert_int_equal(err.code, CLO_E_NOMEM);
    } else {
        clo_request *req;

        clo_job_committed(job);
        req = clo_job_request(job, clo_wall_us());
        sent = req != NULL;
        clo_request_free(req);
        if (!sent) { /* no fault of the row */
            clo_outcome out;

            clo_job_outcome(job, &out);
            assert_int_equal(out.state, CLO_BOX_PENDING);
            assert_true(out.uncounted);
        }
    }
    clo_job_free(job);
    return made && sent;
}

static void
test_oom(void **state)
{
    clo_client *c = client_new();

    (void)state;
    oom_loop(job_once, c);
    clo_client_unref(c);
}

/* ---- random sequences of faults ------------------------------------------------------------- */

#define WORKERS 3
#define EVENTS 600

/* A worker and the row that it holds. */
typedef struct hand {
    clo_job *job;
    int name;
    bool left;       /* the call has begun to leave */
    bool will;       /* ... and will be carried out */
    int64_t left_us; /* when */
} hand;

/* One row of the table, the workers, and the service that it is sent to. */
typedef struct model {
    uint64_t rng;
    clo_client *client;
    const char *tool, *params;
    int64_t now;
    struct {
        clo_box state;
        int attempts, worker; /* 0: none */
        int64_t next_us, lease_us, sent_us;
    } row;
    hand hands[WORKERS];
    int names, sends, effects;
    bool may_send;      /* never sent, or it is known that the last sending did nothing */
    int64_t effect_due; /* 0: none is under way */
} model;

static unsigned
dice(model *m, unsigned sides)
{
    m->rng ^= m->rng << 13;
    m->rng ^= m->rng >> 7;
    m->rng ^= m->rng << 17;
    return (unsigned)((m->rng >> 16) % sides);
}

static void
pass(model *m, int64_t us)
{
    m->now += us;
    if (m->effect_due != 0 && m->now >= m->effect_due) {
        m->effect_due = 0;
        m->effects++;
    }
    assert_true(m->effects <= 1);
}

static void
let_go(hand *h)
{
    clo_job_free(h->job);
    memset(h, 0, sizeof *h);
}

/* The transaction of a claim; it may fail, and a worker may die before it knows. */
static void
claim(model *m, hand *h)
{
    bool due = m->row.state == CLO_BOX_PENDING && m->row.next_us <= m->now;
    bool lost = m->row.state == CLO_BOX_SENDING &&
                m->row.lease_us <= (m->row.worker == 0 ? m->now : m->now - SETTLE);
    clo_claim c = {.tool = m->tool, .params = m->params, .len = strlen(m->params), .lost = lost};
    clo_err err;

    if (!due && !lost)
        return;
    c.attempts = m->row.attempts + due;
    c.sent_us = due ? m->now : m->row.sent_us;
    c.lease_us = m->now + clo_outbox_lease_ms(m->client) * 1000;
    h->job = clo_job_new(m->client, &c, &err);
    assert_non_null(h->job);
    h->name = ++m->names;
    if (dice(m, 5) == 0) {
        clo_job_rolled_back(h->job);
        assert_int_equal(clo_job_what(h->job), CLO_JOB_OVER);
        let_go(h);
        return;
    }
    m->row.state = CLO_BOX_SENDING;
    m->row.attempts = c.attempts;
    m->row.worker = h->name;
    m->row.lease_us = c.lease_us;
    m->row.sent_us = c.sent_us;
    if (dice(m, 10) == 0)
        let_go(h);
    else
        clo_job_committed(h->job);
}

/* The first byte leaves. The service carries it out at once, soon, or never. */
static void
leave(model *m, hand *h)
{
    if (!clo_job_may_leave(h->job, m->now))
        return;
    assert_true(m->may_send);
    m->may_send = false;
    m->sends++;
    h->left = true;
    h->left_us = m->now;
    h->will = dice(m, 2);
    if (h->will)
        m->effect_due = m->now + 1 + (int64_t)dice(m, (unsigned)(TIMEOUT / SECOND)) * SECOND;
}

/* Whatever is known about a call that has left: an answer, an error that says that nothing was done, or
 * none in time. */
static void
hear(model *m, hand *h)
{
    static const clo_code certain[] = {CLO_E_RATE,  CLO_E_NET,     CLO_E_AUTH,    CLO_E_REMOTE,
                                       CLO_E_PROTO, CLO_E_STOPPED, CLO_E_REJECTED};
    bool over = m->now - h->left_us >= TIMEOUT;
    unsigned what = dice(m, 3);
    clo_err err;

    if (h->will && m->effects == 1 && what == 0 && !over) {
        clo_job_answered(h->job);
    } else if (!h->will && what == 1 && !over) {
        err = error_of(certain[dice(m, CLO_ARRAY_LEN(certain))]);
        m->may_send = true;
        clo_job_failed(h->job, &err, m->now);
    } else if (over || dice(m, 4) == 0) {
        err = error_of(dice(m, 2) ? CLO_E_UNCERTAIN : CLO_E_NET);
        err.uncertain = true;
        clo_job_failed(h->job, &err, m->now);
    }
}

/* The look-up fails, or sees what is there at this moment; sometimes it cannot tell. */
static void
look(model *m, hand *h)
{
    clo_err why = error_of(dice(m, 2) ? CLO_E_NET : CLO_E_UNCERTAIN);
    bool blind = strcmp(m->tool, NOTE) != 0 || dice(m, 8) == 0;

    if (dice(m, 5) == 0) {
        why = error_of(dice(m, 8) == 0 ? CLO_E_FORBIDDEN : CLO_E_NET);
        clo_job_failed(h->job, &why, m->now);
        return;
    }
    clo_job_looked(h->job);
    clo_job_judged(h->job,
                   blind            ? CLO_FATE_UNKNOWN
                   : m->effects > 0 ? CLO_FATE_FOUND
                                    : CLO_FATE_ABSENT,
                   NULL, &why);
    if (!blind && m->effects == 0)
        m->may_send = true;
}

/* The transaction of an outcome; it may fail, and the row may belong to another worker by now. */
static void
write_down(model *m, hand *h)
{
    clo_outcome out;

    clo_job_outcome(h->job, &out);
    clo_job_written(h->job);
    if (dice(m, 4) == 0) {
        clo_job_rolled_back(h->job);
        assert_int_equal(clo_job_what(h->job), CLO_JOB_WRITE);
        return;
    }
    if (m->row.state == CLO_BOX_SENDING && m->row.worker == h->name &&
        m->row.attempts == out.attempts) {
        m->row.state = out.state;
        m->row.attempts -= out.uncounted;
        m->row.worker = 0;
        m->row.next_us = m->row.lease_us = m->now + out.wait_ms * 1000;
    }
    clo_job_committed(h->job);
    assert_int_equal(clo_job_what(h->job), CLO_JOB_OVER);
    let_go(h);
}

static void
act(model *m, hand *h)
{
    clo_request *req;

    switch (clo_job_what(h->job)) {
    case CLO_JOB_SEND:
        req = clo_job_request(h->job, m->now);
        assert_non_null(req);
        clo_request_free(req);
        break;
    case CLO_JOB_LOOK_UP:
        assert_true(clo_job_question(h->job));
        break;
    case CLO_JOB_WAIT:
        if (clo_job_asks(h->job))
            look(m, h);
        else if (h->left)
            hear(m, h);
        else
            leave(m, h);
        break;
    default:
        write_down(m, h);
    }
}

static bool
over(const model *m)
{
    return m->row.state != CLO_BOX_PENDING && m->row.state != CLO_BOX_SENDING;
}

/* One life of a row; returns the state in which it ended. */
static clo_box
live(model *m)
{
    for (int i = 0; i < EVENTS && !over(m); i++) {
        hand *h = &m->hands[dice(m, WORKERS)];

        pass(m, 1 + (dice(m, 12) == 0 ? (int64_t)dice(m, 100) * SECOND : (int64_t)dice(m, 3000)));
        if (h->job == NULL)
            claim(m, h);
        else if (dice(m, 40) == 0)
            let_go(h); /* kill -9 */
        else
            act(m, h);
    }
    /* Stale workers go on after the row has ended: nothing may come of it. */
    for (int i = 0; i < EVENTS; i++) {
        hand *h = &m->hands[dice(m, WORKERS)];

        pass(m, (int64_t)dice(m, 2) * SECOND);
        if (h->job != NULL)
            act(m, h);
    }
    for (int i = 0; i < WORKERS; i++)
        let_go(&m->hands[i]);
    pass(m, 2 * TIMEOUT);
    return m->row.state;
}

static void
test_no_sequence_of_events_sends_twice(void **state)
{
    clo_client *c = client_new();
    int ends[CLO_BOX_CANCELLED + 1] = {0}, repeated = 0;

    (void)state;
    for (uint64_t seed = 1; seed <= 6000; seed++) {
        bool known = seed % 4 != 0;
        model m = {.rng = seed * UINT64_C(0x9e3779b97f4a7c15),
                   .client = c,
                   .tool = known ? NOTE : NEW_TOOL,
                   .params = known ? NOTE_PARAMS : "{}",
                   .now = clo_wall_us(),
                   .may_send = true};
        clo_box end = live(&m);

        ends[end]++;
        repeated += m.sends > 1;
        if (end == CLO_BOX_DONE)
            assert_int_equal(m.effects, 1);
        if (end == CLO_BOX_FAILED)
            assert_int_equal(m.effects, 0);
    }
    /* The walk has been everywhere. */
    assert_true(ends[CLO_BOX_DONE] > 500);
    assert_true(ends[CLO_BOX_FAILED] > 100);
    assert_true(ends[CLO_BOX_UNCERTAIN] > 100);
    assert_true(repeated > 300);
    clo_client_unref(c);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_nothing_leaves_before_the_commit),
        cmocka_unit_test(test_events_out_of_turn),
        cmocka_unit_test(test_every_error_and_attempt),
        cmocka_unit_test(test_every_verdict_and_attempt),
        cmocka_unit_test(test_every_error_of_a_look_up),
        cmocka_unit_test(test_words),
        cmocka_unit_test(test_refused_and_unreadable),
        cmocka_unit_test(test_too_late),
        cmocka_unit_test(test_a_call_through_the_pump),
        cmocka_unit_test(test_a_call_that_is_too_late_is_gone),
        cmocka_unit_test(test_a_look_up_through_the_pump),
        cmocka_unit_test(test_oom),
        cmocka_unit_test(test_no_sequence_of_events_sends_twice),
    };

    return cmocka_run_group_tests(tests, NULL, no_blocks_left);
}
