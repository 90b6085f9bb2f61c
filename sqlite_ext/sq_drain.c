/*
 * sq_drain.c - close_outbox_drain: takes due rows from close_outbox, sends them, writes down what came of it.
 *
 * One worker is one call of the function. It holds up to `concurrency` rows at a time and repeats:
 *
 *      turn   one short write transaction: what has ended is written down, free places are filled with
 *             rows that are claimed ("sending", a lease, the attempt counted)
 *      step   every call and look-up is moved on, a slice is waited
 *
 * Any number of workers and processes may do this at once: the transaction is the claim. Nothing is
 * sent before the transaction that claimed it is durable, so synchronous is raised to FULL meanwhile.
 * That is also why draining inside a transaction is refused: the claim could be taken back.
 *
 * Order. Of the rows with one ordering key only the first may be under way. A later one waits for
 * those before it that are due, being retried, being sent, or uncertain (whether it comes first is
 * then not known); it does not wait for those that failed or were cancelled, nor for one that was
 * enqueued for a later time.
 *
 * A row in "sending" whose worker is gone (its lease and the settling time are over) or whose answer was
 * lost is not sent but looked up (fate.c). Look-ups begin together and a next batch waits for them,
 * because answers are shared between reads that run at the same time: one that began before a call was
 * made must not serve the look-up of that call.
 *
 * Claiming an object. A create's result is an object id, unique in the table. A look-up drops candidates
 * that other rows own. When a direct answer names an object that a look-up of another row has
 * taken (two equal calls at the same time), the answer is right and the other row goes back to be
 * looked up.
 *
 * Busy databases are waited for, while calls under way go on. When it takes too long, or on Ctrl-C, rows
 * under way stay in "sending" and are looked up later: nothing is lost, nothing doubled. Under an
 * interrupt SQLite refuses every statement; an open transaction is then ended by running a prepared
 * write, which SQLite answers by rolling back.
 *
 * What it relies on: clocks of the workers' machine that do not jump by minutes, a file system that
 * keeps what was synced, and a service that has carried a call out, or never will, once the settling
 * time is over. A process that is stopped between its last look at the clock and the first byte of a
 * call, and goes on when its lease is long over, is beyond that.
 *
 * Rejected: a second connection for the transactions (an in-memory database has none, and the user's own
 * transaction would block it for ever); renewing leases (a call that cannot begin in time is given
 * back instead, see clo_outbox_may_send).
 */
#include "sq.h"

#include <string.h>

#define SLICE_MS 20
#define BUSY_PAUSE_MS 2
#define BUSY_LIMIT_MS 120000
#define COMMIT_TRIES 200

typedef struct job {
    sqlite3_int64 id;
    int attempts;
    char *tool, *params; /* sqlite3_malloc */
    size_t len;
    int64_t sent_us, lease_us;
    clo_call *call; /* sends */
    clo_fate *fate; /* looks up */
    bool used, looks, started, ended;
    bool failed;          /* ended with an error of the call or of the look-up itself */
    bool fresh, recorded; /* claimed, written down in a transaction that is not committed yet */
    clo_outbox_next next;
    clo_err err;
} job;

enum {
    S_BEGIN,
    S_COMMIT,
    S_ROLLBACK,
    S_LOST,
    S_DUE,
    S_OWNED,
    S_RELEASE,
    S_RECORD,
    S_PRUNE,
    S_COUNT
};

#define CLAIM_HEAD "UPDATE main.close_outbox SET state = 'sending', worker = ?1, lease_until = ?2, "
#define CLAIM_MINE "(a.enqueued_by IS NULL OR a.enqueued_by = ?4)"
#define CLAIM_TAIL " ORDER BY a.id LIMIT ?5) RETURNING id, tool, params, attempts, sent_at"

static const char *const sql[S_COUNT] = {
    [S_BEGIN] = "BEGIN IMMEDIATE",
    [S_COMMIT] = "COMMIT",
    [S_ROLLBACK] = "ROLLBACK",
    /* ?3 now, ?6 now less the settling time */
    [S_LOST] = CLAIM_HEAD
    "attempts = attempts WHERE id IN (SELECT a.id FROM main.close_outbox a WHERE a.state = "
    "'sending' "
    "AND a.finished IS NULL "
    "AND a.lease_until <= CASE WHEN a.worker IS NULL THEN ?3 ELSE ?6 END AND " CLAIM_MINE
        CLAIM_TAIL,
    [S_DUE] = CLAIM_HEAD
    "attempts = attempts + 1, sent_at = ?3 WHERE id IN (SELECT a.id FROM main.close_outbox a "
    "WHERE a.state = 'pending' AND a.finished IS NULL "
    "AND a.next_attempt <= ?3 AND " CLAIM_MINE
    " AND (a.ordering_key IS NULL OR a.ordering_key = '' OR NOT EXISTS ("
    "SELECT 1 FROM main.close_outbox b WHERE b.ordering_key = a.ordering_key "
    "AND b.finished IS NULL AND b.id <> a.id "
    "AND (b.state <> 'pending' OR (b.id < a.id AND (b.attempts > 0 OR b.next_attempt <= "
    "?3)))))" CLAIM_TAIL,
    [S_OWNED] = "SELECT 1 FROM main.close_outbox WHERE object_id = ?1 AND id <> ?2",
    [S_RELEASE] =
        "UPDATE main.close_outbox SET state = 'sending', object_id = NULL, result = NULL, "
        "finished = NULL, worker = NULL, lease_until = ?3 "
        "WHERE object_id = ?1 AND id <> ?2",
    [S_RECORD] =
        "UPDATE main.close_outbox SET state = ?2, next_attempt = coalesce(?3, next_attempt), "
        "finished = ?4, execution_id = coalesce(?5, execution_id), object_id = ?6, "
        "result = coalesce(?7, iif(?6 IS NULL, NULL, json_object('id', ?6))), error_class = ?8, "
        "error = ?9, lease_until = ?10, worker = NULL, "
        "attempts = attempts - ?11 "
        "WHERE id = ?1 AND state = 'sending' AND worker = ?12 AND attempts = ?13",
    /* Ids grow with time, so the search ends at the first row that is young enough. The last row stays:
     * its id must not be given away again. */
    [S_PRUNE] = "DELETE FROM main.close_outbox WHERE id < coalesce("
                "(SELECT id FROM main.close_outbox WHERE created >= ?1 ORDER BY id LIMIT 1), "
                "(SELECT max(id) FROM main.close_outbox)) "
                "AND (state = 'done' OR state = 'cancelled') AND finished < ?1",
};

typedef struct drain {
    sq_state *state;
    sqlite3 *db;
    sqlite3_stmt *stmt[S_COUNT];
    sq_probe probe;
    char worker[33];
    char *identity; /* sqlite3_malloc; NULL: none is set */
    job *
        jobs; /* twice the width: places of rows that are written down but not committed are not free */
    int width, slots;
    sqlite3_int64 room, ended; /* rows that may still be claimed; rows that came to an end */
    bool dry;                  /* nothing was left to claim */
    bool stop, pruned;
    int64_t busy_since_us;
    clo_err trouble; /* of the service or the settings, to be reported at the end */
} drain;

/* ---- statements ----------------------------------------------------------------------------- */

static clo_status
db_error(const drain *d, clo_err *err)
{
    if (sqlite3_errcode(d->db) == SQLITE_INTERRUPT)
        return clo_err_set(
            err, CLO_E_STOPPED,
            "interrupted; rows under way stay in state sending until it is known what "
            "became of them");
    return clo_err_set(err, sqlite3_errcode(d->db) == SQLITE_NOMEM ? CLO_E_NOMEM : CLO_E_CONFIG,
                       "the database refused: %s", sqlite3_errmsg(d->db));
}

static int
run(const drain *d, int which)
{
    int rc = sqlite3_step(d->stmt[which]);

    (void)sqlite3_reset(d->stmt[which]);
    return rc == SQLITE_DONE ? SQLITE_OK : rc;
}

/* Ends a transaction that failed. Under an interrupt ROLLBACK itself is refused; then any write is
 * refused too, and SQLite rolls back because of that. */
static void
roll_back(drain *d)
{
    if (sqlite3_get_autocommit(d->db))
        return;
    (void)run(d, S_ROLLBACK);
    if (sqlite3_get_autocommit(d->db))
        return;
    sqlite3_bind_text(d->stmt[S_PRUNE], 1, "", -1, SQLITE_STATIC); /* matches nothing */
    (void)run(d, S_PRUNE);
}

static void
bind_text(sqlite3_stmt *s, int i, const char *text)
{
    sqlite3_bind_text(s, i, text, -1, SQLITE_TRANSIENT); /* NULL binds NULL */
}

/* Now and a distance, in the text form of the table. */
static void
bind_time(sqlite3_stmt *s, int i, int64_t offset_ms)
{
    char text[32];

    clo_outbox_time(offset_ms, text);
    bind_text(s, i, text);
}

/* ---- jobs ----------------------------------------------------------------------------------- */

static void
job_end(job *j)
{
    clo_call_free(j->call);
    clo_fate_free(j->fate);
    sqlite3_free(j->tool);
    sqlite3_free(j->params);
    memset(j, 0, sizeof *j);
}

static void
ended_with_error(drain *d, job *j)
{
    j->ended = j->failed = true;
    if (j->looks)
        clo_outbox_after_fate(&j->err, j->sent_us, &j->next);
    else
        clo_outbox_after_call(d->state->client, j->tool, j->params, j->len, &j->err, j->attempts,
                              &j->next);
    d->stop = d->stop || j->next.stop;
    if (j->next.report && d->trouble.code == CLO_E_NONE)
        d->trouble = j->err;
}

static void
job_start(drain *d, job *j)
{
    clo_client *client = d->state->client;
    clo_request *req;

    j->started = true;
    clo_err_clear(&j->err);
    if (j->looks) {
        clo_test_crash("lookup");
        j->fate = clo_fate_new(client, j->tool, j->params, j->len, j->sent_us, &j->err);
    } else {
        clo_test_crash("claimed");
        req = clo_request_execute(j->tool, j->params, j->len, &j->err);
        if (req != NULL)
            j->call = clo_call_new(client, req, &j->err);
    }
    if (j->fate == NULL && j->call == NULL)
        ended_with_error(d, j);
}

/* A call that did not get away in time for its lease goes back as if it had not been claimed. */
static bool
too_late(drain *d, job *j)
{
    if (clo_call_uncertain(j->call) || clo_outbox_may_send(d->state->client, j->lease_us))
        return false;
    memset(&j->next, 0, sizeof j->next);
    clo_err_set(&j->err, CLO_E_RATE, "%s: it could not be sent in time and waits", j->tool);
    j->next.state = CLO_BOX_PENDING;
    j->next.uncounted = true;
    j->next.stop = d->stop = true;
    j->ended = j->failed = true;
    return true;
}

static void
job_step(drain *d, job *j, int wait_ms)
{
    clo_status st;

    if (j->looks) {
        st = clo_fate_step(j->fate, wait_ms, &j->err);
        if (st == CLO_DONE) {
            j->ended = true;
            clo_test_crash("looked");
        }
    } else {
        if (too_late(d, j))
            return;
        st = clo_call_step(j->call, wait_ms, &j->err);
        if (st == CLO_AGAIN && clo_call_uncertain(j->call))
            clo_test_crash("sent");
        if (st == CLO_DONE) {
            j->ended = true;
            j->next.state = CLO_BOX_DONE;
            clo_test_crash("answered");
        }
    }
    if (st == CLO_ERROR)
        ended_with_error(d, j);
}

/* Moves every job; waits a slice when none ended. */
static void
step_all(drain *d)
{
    job *first = NULL;
    bool any = false;

    for (int i = 0; i < d->slots; i++) {
        job *j = &d->jobs[i];

        if (!j->used)
            continue;
        if (!j->started)
            job_start(d, j);
        if (!j->ended)
            job_step(d, j, 0);
        any = any || j->ended;
        if (!j->ended && first == NULL)
            first = j;
    }
    if (!any && first != NULL)
        job_step(d, first, SLICE_MS);
}

/* ---- writing down --------------------------------------------------------------------------- */

/* Drops the candidates of a look-up that belong to other rows, and decides. */
static int
judge(drain *d, job *j, const char **object)
{
    sqlite3_stmt *owned = d->stmt[S_OWNED];
    const char *id;
    int rc = SQLITE_DONE;

    clo_err_clear(&j->err);
    for (size_t i = 0; (id = clo_fate_candidate(j->fate, i)) != NULL; i++) {
        bind_text(owned, 1, id);
        sqlite3_bind_int64(owned, 2, j->id);
        rc = sqlite3_step(owned);
        (void)sqlite3_reset(owned);
        if (rc == SQLITE_ROW)
            clo_fate_drop(j->fate, i);
        else if (rc != SQLITE_DONE)
            return rc;
    }
    switch (clo_fate_judge(j->fate, object, &j->err)) {
    case CLO_FATE_FOUND:
        j->next.state = CLO_BOX_DONE;
        break;
    case CLO_FATE_ABSENT:
        clo_outbox_after_absent(d->state->client, j->attempts, &j->next);
        clo_err_set(&j->err, CLO_E_UNCERTAIN,
                    "%s: sent and not answered; the service was asked and does not have it",
                    j->tool);
        break;
    case CLO_FATE_UNKNOWN:
        j->next.state = CLO_BOX_UNCERTAIN;
        break;
    }
    return SQLITE_OK;
}

/* An answer that names an object beats a look-up that took it for another row's. */
static int
release_object(drain *d, const job *j, const char *object)
{
    sqlite3_stmt *s = d->stmt[S_RELEASE];

    bind_text(s, 1, object);
    sqlite3_bind_int64(s, 2, j->id);
    bind_time(s, 3, 0);
    return run(d, S_RELEASE);
}

static void
bind_error(sqlite3_stmt *s, const job *j)
{
    const clo_err *e = &j->err;
    char *text;

    if (e->code == CLO_E_NONE || j->next.state == CLO_BOX_DONE) {
        sqlite3_bind_null(s, 8);
        sqlite3_bind_null(s, 9);
        return;
    }
    text = sqlite3_mprintf("%s%s%s%s%s%s", e->msg, e->detail[0] ? " (" : "", e->detail,
                           e->detail[0] ? ")" : "", e->hint != NULL ? "; " : "",
                           e->hint != NULL ? e->hint : "");
    sqlite3_bind_text(s, 8, clo_code_name(e->code), -1, SQLITE_STATIC);
    sqlite3_bind_text(s, 9, text, -1, sqlite3_free);
}

static void
bind_result(sqlite3_stmt *s, const job *j, const char *object)
{
    const char *id = j->call != NULL ? clo_outbox_execution_id(j->call) : "";
    const char *text;
    size_t n;

    bind_text(s, 5, id[0] != '\0' ? id : j->err.request_id[0] ? j->err.request_id : NULL);
    bind_text(s, 6, object);
    sqlite3_bind_null(s, 7);
    if (j->next.state != CLO_BOX_DONE)
        return;
    if (j->call != NULL && !j->failed && (text = clo_call_result(j->call, &n)) != NULL)
        sqlite3_bind_text64(s, 7, text, n, SQLITE_TRANSIENT, SQLITE_UTF8);
}

static int
record(drain *d, job *j)
{
    sqlite3_stmt *s = d->stmt[S_RECORD];
    const char *object = NULL;
    bool final, uncertain;
    int rc = SQLITE_OK;

    if (j->looks && !j->failed) {
        rc = judge(d, j, &object);
    } else if (!j->failed) {
        object = clo_outbox_object_id(j->call);
        if (object != NULL)
            rc = release_object(d, j, object);
    }
    if (rc != SQLITE_OK)
        return rc;
    final = j->next.state != CLO_BOX_PENDING && j->next.state != CLO_BOX_SENDING;
    uncertain = j->next.state == CLO_BOX_UNCERTAIN;
    sqlite3_clear_bindings(s);
    sqlite3_bind_int64(s, 1, j->id);
    bind_text(s, 2, clo_box_name(j->next.state));
    if (j->next.state == CLO_BOX_PENDING)
        bind_time(s, 3, j->next.wait_ms);
    if (final && !uncertain)
        bind_time(s, 4, 0);
    bind_result(s, j, object);
    bind_error(s, j);
    if (j->next.state == CLO_BOX_SENDING)
        bind_time(s, 10, j->next.wait_ms);
    sqlite3_bind_int(s, 11, j->next.uncounted);
    bind_text(s, 12, d->worker);
    sqlite3_bind_int(s, 13, j->attempts);
    rc = run(d, S_RECORD);
    if (rc == SQLITE_OK) {
        /* No row: the lease had run out and another worker looks after it. */
        j->recorded = true;
        d->ended += final && sqlite3_changes(d->db) > 0;
    }
    return rc;
}

/* ---- claiming ------------------------------------------------------------------------------- */

static job *
free_place(drain *d)
{
    for (int i = 0; i < d->slots; i++)
        if (!d->jobs[i].used)
            return &d->jobs[i];
    return NULL;
}

static int
places(const drain *d)
{
    int n = d->width;

    for (int i = 0; i < d->slots; i++)
        n -= d->jobs[i].used && !d->jobs[i].recorded;
    return (sqlite3_int64)n < d->room ? n : (int)d->room;
}

static int
take_row(drain *d, sqlite3_stmt *s, bool looks, int64_t lease_us)
{
    job *j = free_place(d);
    const char *sent = (const char *)sqlite3_column_text(s, 4);

    memset(j, 0, sizeof *j);
    j->used = j->fresh = true;
    j->looks = looks;
    j->id = sqlite3_column_int64(s, 0);
    j->tool = sqlite3_mprintf("%s", sqlite3_column_text(s, 1));
    j->params = sqlite3_mprintf("%s", sqlite3_column_text(s, 2));
    j->attempts = sqlite3_column_int(s, 3);
    j->lease_us = lease_us;
    if (j->tool == NULL || j->params == NULL)
        return SQLITE_NOMEM;
    j->len = strlen(j->params);
    /* Somebody has cleared it by hand: then anything may have been this row's doing, long ago. */
    if (!clo_outbox_time_us(sent, &j->sent_us))
        j->sent_us = 0;
    return SQLITE_OK;
}

static int
claim(drain *d, int which, int *left)
{
    sqlite3_stmt *s = d->stmt[which];
    int64_t lease_ms = clo_outbox_lease_ms(d->state->client);
    int64_t settle_ms = clo_client_setting_int(d->state->client, "outbox_settle_ms"), lease_us = 0;
    char lease[32];
    int rc;

    if (*left <= 0)
        return SQLITE_OK;
    clo_outbox_time(lease_ms, lease);
    (void)clo_outbox_time_us(lease, &lease_us);
    sqlite3_clear_bindings(s);
    bind_text(s, 1, d->worker);
    bind_text(s, 2, lease);
    bind_time(s, 3, 0);
    bind_text(s, 4, d->identity);
    sqlite3_bind_int(s, 5, *left);
    if (which == S_LOST)
        bind_time(s, 6, -settle_ms);
    while ((rc = sqlite3_step(s)) == SQLITE_ROW) {
        rc = take_row(d, s, which == S_LOST, lease_us);
        if (rc != SQLITE_OK)
            break;
        --*left;
    }
    (void)sqlite3_reset(s);
    return rc == SQLITE_DONE ? SQLITE_OK : rc;
}

static bool
looking(const drain *d)
{
    for (int i = 0; i < d->slots; i++)
        if (d->jobs[i].used && d->jobs[i].looks && !d->jobs[i].recorded)
            return true;
    return false;
}

/* ---- a turn --------------------------------------------------------------------------------- */

static int
prune(drain *d)
{
    if (d->pruned)
        return SQLITE_OK;
    bind_time(d->stmt[S_PRUNE], 1,
              -clo_client_setting_int(d->state->client, "outbox_keep_hours") * 3600000);
    return run(d, S_PRUNE);
}

/* Fills the free places: look-ups first, rows that are due after them. */
static int
claim_all(drain *d, bool *dry)
{
    int left = d->stop ? 0 : places(d), rc = SQLITE_OK;

    if (left > 0 && !looking(d))
        rc = claim(d, S_LOST, &left);
    if (rc == SQLITE_OK)
        rc = claim(d, S_DUE, &left);
    *dry = left > 0;
    return rc;
}

/* Retried when readers hold up the end of a transaction: it blocks new ones meanwhile. */
static int
commit(drain *d)
{
    int rc = run(d, S_COMMIT);

    for (int i = 0; rc == SQLITE_BUSY && i < COMMIT_TRIES; i++) {
        sqlite3_sleep(5);
        rc = run(d, S_COMMIT);
    }
    return rc;
}

static int
transaction(drain *d, bool *dry)
{
    int rc = run(d, S_BEGIN);

    for (int i = 0; rc == SQLITE_OK && i < d->slots; i++)
        if (d->jobs[i].used && d->jobs[i].ended)
            rc = record(d, &d->jobs[i]);
    if (rc == SQLITE_OK)
        rc = prune(d);
    if (rc == SQLITE_OK)
        rc = claim_all(d, dry);
    clo_test_crash("commit");
    if (rc == SQLITE_OK)
        rc = commit(d);
    return rc;
}

/* After the transaction: what it did holds, or has never been. */
static void
settle(drain *d, bool committed)
{
    for (int i = 0; i < d->slots; i++) {
        job *j = &d->jobs[i];

        if (j->used && (committed ? j->recorded : j->fresh)) {
            job_end(j);
        } else if (j->used) {
            d->room -= j->fresh;
            j->fresh = j->recorded = false;
        }
    }
    d->pruned = d->pruned || committed;
}

/* OK, AGAIN when the database is busy, or ERROR. */
static clo_status
turn(drain *d, clo_err *err)
{
    sqlite3_int64 ended = d->ended;
    bool dry = d->dry;
    int rc = transaction(d, &dry);

    if (rc == SQLITE_OK) {
        settle(d, true);
        d->dry = dry;
        d->busy_since_us = 0;
        clo_test_crash("recorded");
        return CLO_OK;
    }
    (void)db_error(d, err); /* before the roll-back says something else */
    roll_back(d);
    settle(d, false);
    d->ended = ended;
    if ((rc & 0xff) != SQLITE_BUSY || sqlite3_extended_errcode(d->db) == SQLITE_BUSY_SNAPSHOT)
        return CLO_ERROR;
    return CLO_AGAIN;
}

/* ---- the loop ------------------------------------------------------------------------------- */

static clo_status
stopped_or_late(drain *d, clo_err *err)
{
    int64_t now = 0;
    char text[32];

    if (sq_interrupted(d->db, &d->probe)) {
        clo_err_clear(err);
        return clo_err_set(err, CLO_E_STOPPED,
                           "interrupted; rows under way stay in state sending until it is known "
                           "what became of them");
    }
    if (d->busy_since_us == 0)
        return CLO_OK;
    clo_outbox_time(0, text);
    (void)clo_outbox_time_us(text, &now);
    if (now - d->busy_since_us < INT64_C(1000) * BUSY_LIMIT_MS)
        return CLO_OK;
    clo_err_clear(err);
    clo_err_set(err, CLO_E_RATE, "the database has been locked by others for too long");
    err->hint = "rows under way stay in state sending until it is known what became of them";
    return CLO_ERROR;
}

static void
note_busy(drain *d)
{
    char text[32];

    if (d->busy_since_us != 0)
        return;
    clo_outbox_time(0, text);
    (void)clo_outbox_time_us(text, &d->busy_since_us);
}

static clo_status
loop(drain *d, clo_err *err)
{
    for (;;) {
        bool under_way = false, ended = false, busy = false;
        clo_status st;

        for (int i = 0; i < d->slots; i++) {
            under_way = under_way || (d->jobs[i].used && !d->jobs[i].ended);
            ended = ended || (d->jobs[i].used && d->jobs[i].ended);
        }
        if (ended || (!d->dry && !d->stop && places(d) > 0)) {
            st = turn(d, err);
            if (st == CLO_ERROR)
                return st;
            busy = st == CLO_AGAIN;
            if (busy)
                note_busy(d);
        } else if (!under_way) {
            return CLO_OK;
        }
        clo_err_clear(err);
        if (busy)
            sqlite3_sleep(under_way ? BUSY_PAUSE_MS : SLICE_MS);
        step_all(d);
        if (stopped_or_late(d, err) == CLO_ERROR || err->code != CLO_E_NONE)
            return CLO_ERROR;
    }
}

/* ---- beginning and end ---------------------------------------------------------------------- */

static clo_status
check_connection(sqlite3 *db, clo_err *err)
{
    if (!sqlite3_get_autocommit(db) || sqlite3_txn_state(db, NULL) == SQLITE_TXN_WRITE) {
        clo_err_set(err, CLO_E_CONFIG,
                    "it cannot run inside a transaction or a writing statement: "
                    "what it sends must be written down for good first");
        err->hint = "COMMIT first, then SELECT close_outbox_drain()";
        return CLO_ERROR;
    }
    if (sqlite3_txn_state(db, NULL) == SQLITE_TXN_READ)
        return clo_err_set(err, CLO_E_CONFIG,
                           "it cannot run while another statement of this "
                           "connection reads the database");
    if (!sq_outbox_exists(db)) {
        sq_outbox_missing(err);
        return CLO_ERROR;
    }
    return CLO_OK;
}

static clo_status
prepare(drain *d, clo_err *err)
{
    unsigned char bytes[16];
    const char *identity = clo_client_setting(d->state->client, "identifier");

    sqlite3_randomness(sizeof bytes, bytes);
    for (size_t i = 0; i < sizeof bytes; i++)
        sqlite3_snprintf(3, d->worker + 2 * i, "%02x", bytes[i]);
    d->width = (int)clo_client_setting_int(d->state->client, "concurrency");
    d->slots = 2 * d->width;
    d->jobs = sqlite3_malloc64((size_t)d->slots * sizeof *d->jobs);
    if (identity != NULL)
        d->identity = sqlite3_mprintf("%s", identity);
    if (d->jobs == NULL || (identity != NULL && d->identity == NULL))
        return clo_err_set(err, CLO_E_NOMEM, "out of memory");
    memset(d->jobs, 0, (size_t)d->slots * sizeof *d->jobs);
    for (int i = 0; i < S_COUNT; i++)
        if (sqlite3_prepare_v2(d->db, sql[i], -1, &d->stmt[i], NULL) != SQLITE_OK)
            return db_error(d, err);
    return CLO_OK;
}

/* The effective PRAGMA synchronous of the database, -1 when it cannot be told. */
static int
synchronous(sqlite3 *db)
{
    sqlite3_stmt *s;
    int level = -1;

    if (sqlite3_prepare_v2(db, "PRAGMA main.synchronous", -1, &s, NULL) != SQLITE_OK)
        return -1;
    if (sqlite3_step(s) == SQLITE_ROW)
        level = sqlite3_column_int(s, 0);
    sqlite3_finalize(s);
    return level;
}

static void
set_synchronous(sqlite3 *db, const char *pragma)
{
    (void)sqlite3_exec(db, pragma, NULL, NULL, NULL);
}

sqlite3_int64
sq_outbox_drain(sq_state *state, sqlite3_int64 max, clo_err *err)
{
    drain d;
    int level;

    clo_err_clear(err);
    if (clo_outbox_ready(state->client, err) != CLO_OK ||
        check_connection(state->db, err) != CLO_OK)
        return 0;
    memset(&d, 0, sizeof d);
    clo_err_clear(&d.trouble);
    d.state = state;
    d.db = state->db;
    d.room = max;
    level = synchronous(d.db);
    if (level == 0 || level == 1)
        set_synchronous(d.db, "PRAGMA main.synchronous = FULL");
    if (prepare(&d, err) == CLO_OK && loop(&d, err) == CLO_OK && d.trouble.code != CLO_E_NONE)
        *err = d.trouble;
    roll_back(&d);
    for (int i = 0; d.jobs != NULL && i < d.slots; i++)
        job_end(&d.jobs[i]);
    sq_probe_end(&d.probe);
    for (int i = 0; i < S_COUNT; i++)
        sqlite3_finalize(d.stmt[i]);
    if (level == 0 || level == 1)
        set_synchronous(d.db, level == 0 ? "PRAGMA main.synchronous = OFF"
                                         : "PRAGMA main.synchronous = NORMAL");
    sqlite3_free(d.jobs);
    sqlite3_free(d.identity);
    return d.ended;
}
