/*
 * job.c - one row of the outbox in the hands of a worker: what to do with it, until it is let go.
 *
 * Both hosts claim rows in a short transaction, hand each to a job, and do what it says. They know SQL and
 * when to wait; everything that could lose or double a call is decided here, once:
 *
 *      COMMIT --committed--> SEND ----request---> WAIT --answered, failed, too late--> WRITE
 *         |            \---> LOOK_UP --question-> WAIT --looked, failed--------------> WRITE
 *         |                                                                             |
 *         +--rolled back--> OVER <--committed-- COMMIT <-----------written--------------+
 *                                                  \-----------rolled back--> WRITE
 *
 * What holds, whatever the order of events
 *  - Nothing leaves before the claim ("sending", the lease, the attempt) is durable: the request can be
 *    had in SEND only, and only clo_job_committed leads there.
 *  - A job sends once. The request is given out once; a second sending takes a second claim.
 *  - A row that was found in "sending" is never sent by the job that found it. It asks, and at best makes
 *    the row pending again.
 *  - A call begins to leave only while its lease has room for the time limit of the call, so nobody
 *    else asks for its fate while it may still be under way. One that is too late is freed at once: the
 *    transfers of a client move together, and one that is merely left alone might still get away.
 *  - What may have left and was not answered is written down as sending (to be looked up) or uncertain;
 *    as pending only where a repetition is harmless (outbox.c, fate.c).
 *  - An outcome that was rolled back is written again, not thought up again; only what depends on other
 *    rows (who owns a candidate) is asked again.
 * An event that is not due changes nothing, so a mistake of a host makes a row late, never double.
 *
 * Two layers. The events above are plain functions without clock, network or table (clo_int.h), which tests
 * walk at random; clo_jobs_step is the pump that makes calls and look-ups and reports their ends as
 * events.
 *
 * Ownership: a job owns its texts, its call or look-up, and a reference on the client. Rejected: decisions as
 * functions that each host calls at the right moment (as it was: the moments were the difficult part,
 * and were written twice); a machine that also owns the claim's SQL (the hosts' tables differ in types,
 * rights and locks).
 */
#include "clo_int.h"

#include <stdio.h>
#include <string.h>

#define WORDS_MAX 1024 /* message, detail and hint of an error in one sentence */

typedef enum job_end { BY_ANSWER, BY_LOOKING, BY_ERROR } job_end;

struct clo_job {
    clo_client *client;
    int64_t id;
    char *tool, *params;
    size_t len;
    int attempts;
    bool lost;
    int64_t sent_us, lease_us;
    clo_job_next what;
    bool written;   /* in COMMIT: the outcome, not the claim */
    clo_call *call; /* sends; stays until the end for what it answered */
    clo_fate *fate; /* looks up */
    job_end end;    /* from WRITE on */
    clo_outbox_next next;
    const char *object; /* the effect; borrowed from call or fate */
    clo_err err;        /* why it is not done */
    char words[WORDS_MAX];
};

/* ---- life ----------------------------------------------------------------------------------- */

clo_job *
clo_job_new(clo_client *client, const clo_claim *claim, clo_err *err)
{
    clo_job *job = clo_calloc(1, sizeof *job);

    clo_err_clear(err);
    if (job == NULL) {
        clo_err_nomem(err);
        return NULL;
    }
    job->client = clo_client_ref(client);
    job->tool = clo_strdup(claim->tool);
    job->params = clo_strndup(claim->params, claim->len);
    if (job->tool == NULL || job->params == NULL) {
        clo_job_free(job);
        clo_err_nomem(err);
        return NULL;
    }
    job->id = claim->id;
    job->len = claim->len;
    job->attempts = claim->attempts;
    job->lost = claim->lost;
    job->sent_us = claim->sent_us;
    job->lease_us = claim->lease_us;
    job->what = CLO_JOB_COMMIT;
    /* What an outcome that is asked for too early would say: ask later, when nothing is under way. */
    job->next.state = CLO_BOX_SENDING;
    job->next.wait_ms =
        clo_outbox_lease_ms(client) + clo_config_int(&client->config, CLO_OPT_OUTBOX_SETTLE_MS);
    return job;
}

void
clo_job_free(clo_job *job)
{
    if (job == NULL)
        return;
    clo_call_free(job->call);
    clo_fate_free(job->fate);
    clo_free(job->tool);
    clo_free(job->params);
    clo_client_unref(job->client);
    clo_free(job);
}

clo_job_next
clo_job_what(const clo_job *job)
{
    return job->what;
}

int64_t
clo_job_id(const clo_job *job)
{
    return job->id;
}

const char *
clo_job_tool(const clo_job *job)
{
    return job->tool;
}

bool
clo_job_asks(const clo_job *job)
{
    return job->lost;
}

/* ---- transactions of the host --------------------------------------------------------------- */

void
clo_job_committed(clo_job *job)
{
    if (job->what != CLO_JOB_COMMIT)
        return;
    if (job->written)
        job->what = CLO_JOB_OVER;
    else
        job->what = job->lost ? CLO_JOB_LOOK_UP : CLO_JOB_SEND;
}

void
clo_job_rolled_back(clo_job *job)
{
    if (job->what != CLO_JOB_COMMIT)
        return;
    job->what = job->written ? CLO_JOB_WRITE : CLO_JOB_OVER;
    job->written = false;
}

void
clo_job_written(clo_job *job)
{
    if (job->what != CLO_JOB_WRITE)
        return;
    job->what = CLO_JOB_COMMIT;
    job->written = true;
}

/* ---- events --------------------------------------------------------------------------------- */

static void
end(clo_job *job, job_end how)
{
    job->what = CLO_JOB_WRITE;
    job->end = how;
}

/* Ends with an error of the call or of the look-up itself. */
static void
end_with_error(clo_job *job, int64_t now_us)
{
    if (job->lost)
        clo_outbox_after_fate(&job->err, job->sent_us, now_us, &job->next);
    else
        clo_outbox_after_call(job->client, job->tool, job->params, job->len, &job->err,
                              job->attempts, now_us, &job->next);
    end(job, BY_ERROR);
}

clo_request *
clo_job_request(clo_job *job, int64_t now_us)
{
    clo_request *req;

    if (job->what != CLO_JOB_SEND)
        return NULL;
    clo_err_clear(&job->err);
    req = clo_request_execute(job->tool, job->params, job->len, &job->err);
    if (req != NULL)
        job->what = CLO_JOB_WAIT;
    else
        end_with_error(job, now_us);
    return req;
}

bool
clo_job_question(clo_job *job)
{
    if (job->what != CLO_JOB_LOOK_UP)
        return false;
    job->what = CLO_JOB_WAIT;
    return true;
}

void
clo_job_refuse(clo_job *job, const clo_err *why)
{
    if (job->what != CLO_JOB_SEND)
        return;
    job->err = *why;
    end_with_error(job, clo_wall_us());
}

/* A call that did not get away in time goes back as if it had not been claimed. */
bool
clo_job_may_leave(clo_job *job, int64_t now_us)
{
    if (job->what != CLO_JOB_WAIT || job->lost)
        return false;
    if (clo_outbox_may_send(job->client, job->lease_us, now_us))
        return true;
    clo_call_free(job->call);
    job->call = NULL;
    clo_err_clear(&job->err);
    clo_err_set(&job->err, CLO_E_RATE, "%s: it could not be sent in time and waits", job->tool);
    memset(&job->next, 0, sizeof job->next);
    job->next.state = CLO_BOX_PENDING;
    job->next.uncounted = true;
    job->next.stop = true;
    end(job, BY_ERROR);
    return false;
}

void
clo_job_answered(clo_job *job)
{
    if (job->what != CLO_JOB_WAIT || job->lost)
        return;
    memset(&job->next, 0, sizeof job->next);
    job->next.state = CLO_BOX_DONE;
    clo_err_clear(&job->err);
    job->object = job->call != NULL ? clo_outbox_object_id(job->call) : NULL;
    end(job, BY_ANSWER);
}

void
clo_job_failed(clo_job *job, const clo_err *err, int64_t now_us)
{
    if (job->what != CLO_JOB_WAIT)
        return;
    if (err != &job->err)
        job->err = *err;
    end_with_error(job, now_us);
}

/* Until it is judged, nothing more is known than before. */
void
clo_job_looked(clo_job *job)
{
    if (job->what != CLO_JOB_WAIT || !job->lost)
        return;
    memset(&job->next, 0, sizeof job->next);
    job->next.state = CLO_BOX_SENDING;
    clo_err_clear(&job->err);
    end(job, BY_LOOKING);
}

void
clo_job_judged(clo_job *job, clo_fate_verdict verdict, const char *object, const clo_err *err)
{
    if (job->what != CLO_JOB_WRITE || job->end != BY_LOOKING)
        return;
    memset(&job->next, 0, sizeof job->next);
    job->object = NULL;
    clo_err_clear(&job->err);
    switch (verdict) {
    case CLO_FATE_FOUND:
        job->next.state = CLO_BOX_DONE;
        job->object = object;
        break;
    case CLO_FATE_ABSENT:
        clo_outbox_after_absent(job->client, job->attempts, &job->next);
        clo_err_set(&job->err, CLO_E_UNCERTAIN,
                    "%s: sent and not answered; the service was asked and does not have it",
                    job->tool);
        break;
    case CLO_FATE_UNKNOWN:
        job->next.state = CLO_BOX_UNCERTAIN;
        job->err = *err;
        break;
    }
}

/* ---- the pump ------------------------------------------------------------------------------- */

static void
begin_call(clo_job *job, int64_t now_us)
{
    clo_request *req;

    clo_test_crash("claimed");
    req = clo_job_request(job, now_us);
    if (req == NULL)
        return;
    job->call = clo_call_new(job->client, req, &job->err);
    if (job->call == NULL)
        clo_job_failed(job, &job->err, now_us);
}

static void
begin_look_up(clo_job *job, int64_t now_us)
{
    clo_test_crash("lookup");
    if (!clo_job_question(job))
        return;
    job->fate =
        clo_fate_new(job->client, job->tool, job->params, job->len, job->sent_us, &job->err);
    if (job->fate == NULL)
        clo_job_failed(job, &job->err, now_us);
}

static void
step_call(clo_job *job, int wait_ms)
{
    clo_status st;

    if (!clo_call_uncertain(job->call) && !clo_job_may_leave(job, clo_wall_us()))
        return;
    st = clo_call_step(job->call, wait_ms, &job->err);
    if (st == CLO_AGAIN && clo_call_uncertain(job->call))
        clo_test_crash("sent");
    if (st == CLO_DONE) {
        clo_job_answered(job);
        clo_test_crash("answered");
    } else if (st == CLO_ERROR) {
        clo_job_failed(job, &job->err, clo_wall_us());
    }
}

static void
step_look_up(clo_job *job, int wait_ms)
{
    clo_status st = clo_fate_step(job->fate, wait_ms, &job->err);

    if (st == CLO_DONE) {
        clo_job_looked(job);
        clo_test_crash("looked");
    } else if (st == CLO_ERROR) {
        clo_job_failed(job, &job->err, clo_wall_us());
    }
}

static void
step_one(clo_job *job, int wait_ms)
{
    if (job->what == CLO_JOB_SEND)
        begin_call(job, clo_wall_us());
    else if (job->what == CLO_JOB_LOOK_UP)
        begin_look_up(job, clo_wall_us());
    if (job->what != CLO_JOB_WAIT)
        return;
    if (job->lost)
        step_look_up(job, wait_ms);
    else
        step_call(job, wait_ms);
}

void
clo_jobs_step(clo_job *const *jobs, size_t n, int wait_ms)
{
    clo_job *first = NULL;
    bool ended = false;

    for (size_t i = 0; i < n; i++) {
        if (jobs[i] == NULL)
            continue;
        step_one(jobs[i], 0);
        ended = ended || jobs[i]->what == CLO_JOB_WRITE;
        if (first == NULL && jobs[i]->what == CLO_JOB_WAIT)
            first = jobs[i];
    }
    if (!ended && first != NULL)
        step_one(first, wait_ms);
}

/* ---- the outcome ---------------------------------------------------------------------------- */

bool
clo_job_stops(const clo_job *job, const clo_err **report)
{
    bool stop = job->what == CLO_JOB_WRITE && job->next.stop;

    *report = stop && job->next.report ? &job->err : NULL;
    return stop;
}

const char *
clo_job_candidate(const clo_job *job, size_t i)
{
    if (job->what != CLO_JOB_WRITE || job->end != BY_LOOKING || job->fate == NULL)
        return NULL;
    return clo_fate_candidate(job->fate, i);
}

void
clo_job_drop(clo_job *job, size_t i)
{
    if (clo_job_candidate(job, i) != NULL)
        clo_fate_drop(job->fate, i);
}

static const char *
words(clo_job *job)
{
    char text[WORDS_MAX];
    const clo_err *e = &job->err;
    int n = snprintf(text, sizeof text, "%s%s%s%s%s%s", e->msg, e->detail[0] != '\0' ? " (" : "",
                     e->detail, e->detail[0] != '\0' ? ")" : "", e->hint != NULL ? "; " : "",
                     e->hint != NULL ? e->hint : "");

    if (n < 0)
        return e->msg;
    clo_text_cut(job->words, sizeof job->words, text, strlen(text));
    return job->words;
}

static void
put_answer(const clo_job *job, clo_outcome *out)
{
    out->claims = job->end == BY_ANSWER && job->object != NULL;
    out->object_id = job->object;
    if (job->end == BY_ANSWER && job->call != NULL)
        out->result = clo_call_result(job->call, &out->result_len);
}

void
clo_job_outcome(clo_job *job, clo_outcome *out)
{
    const char *id = job->call != NULL ? clo_outbox_execution_id(job->call) : "";

    memset(out, 0, sizeof *out);
    if (job->what == CLO_JOB_WRITE && job->end == BY_LOOKING && job->fate != NULL) {
        const char *object = NULL;
        clo_err why;
        clo_fate_verdict verdict = clo_fate_judge(job->fate, &object, &why);

        clo_job_judged(job, verdict, object, &why);
    }
    out->state = job->next.state;
    out->ended = out->state != CLO_BOX_PENDING && out->state != CLO_BOX_SENDING;
    out->finished = out->ended && out->state != CLO_BOX_UNCERTAIN;
    out->wait_ms = out->ended ? 0 : job->next.wait_ms;
    out->attempts = job->attempts;
    out->uncounted = job->next.uncounted;
    out->execution_id = id[0] != '\0'                    ? id
                        : job->err.request_id[0] != '\0' ? job->err.request_id
                                                         : NULL;
    if (out->state == CLO_BOX_DONE) {
        put_answer(job, out);
    } else if (job->err.code != CLO_E_NONE) {
        out->error_class = clo_code_name(job->err.code);
        out->error = words(job);
    }
}
