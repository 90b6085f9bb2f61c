/*
 * sq_drain.c - close_outbox_drain: takes due rows from close_outbox, sends them, writes down what came of it.
 *
 * One worker is one call of the function. It holds up to `concurrency` rows at a time and repeats:
 *
 *      turn   one short write transaction: what has ended is written down, free places are filled with
 *             rows that are claimed ("sending", a lease, the attempt counted)
 *      step   every call and look-up is moved on, a slice is waited
 *
 * What happens to a claimed row, and when, is decided by its job (src/job.c), which sends nothing before
 * it has been told that the claim is durable. This file is the SQL around it.
 *
 * Any number of workers and processes may do this at once: the transaction is the claim. Nothing is
 * sent before the transaction that claimed it is durable, so synchronous is raised to FULL meanwhile.
 * That is also why draining inside a transaction is refused: the claim could be taken back.
 *
 * Order. Of the rows with one ordering key only the first may be under way. A later one waits for
 * those before it that are due, being retried, being sent, or uncertain (whether it comes first is
 * then not known); it does not wait for those that failed or were cancelled, nor for one that was
 * enqueued for a later time. A turn reads the pending rows by id and notes the keys that it passes (clo_keys),
 * so the table needs no index on keys, which every enqueuing transaction would pay for.
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
 * Rejected: finding out by a subquery whether a row comes first (an index on keys: a trigger that enqueues was a
 * seventh slower); a second connection for the transactions (an in-memory database has none, and the user's own
 * transaction would block it for ever); renewing leases (a call that cannot begin in time is given
 * back instead, see clo_outbox_may_send).
 */
#include "sq.h"

#include <string.h>

#define SLICE_MS 20
#define BUSY_PAUSE_MS 2
#define BUSY_LIMIT_MS 120000
#define COMMIT_TRIES 200

enum {
    S_BEGIN,
    S_COMMIT,
    S_ROLLBACK,
    S_LOST,
    S_TAKEN,
    S_DUE,
    S_CLAIM,
    S_OWNED,
    S_RELEASE,
    S_RECORD,
    S_PRUNE,
    S_COUNT
};

#define OPEN "FROM main.close_outbox WHERE finished IS NULL AND "
#define CLAIM "UPDATE main.close_outbox SET state = 'sending', worker = ?1, lease_until = ?2, "
#define CLAIMED " RETURNING id, tool, params, attempts, sent_at"

static const char *const sql[S_COUNT] = {
    [S_BEGIN] = "BEGIN IMMEDIATE",
    [S_COMMIT] = "COMMIT",
    [S_ROLLBACK] = "ROLLBACK",
    /* ?3 now, ?6 now less the settling time */
    [S_LOST] = CLAIM "attempts = attempts WHERE id IN (SELECT id " OPEN "state = 'sending' "
                     "AND lease_until <= CASE WHEN worker IS NULL THEN ?3 ELSE ?6 END "
                     "AND (enqueued_by IS NULL OR enqueued_by = ?4) "
                     "ORDER BY id LIMIT ?5)" CLAIMED,
    [S_TAKEN] = "SELECT ordering_key " OPEN "state IN ('sending', 'uncertain')",
    /* ?3 now, ?4 identity: whether the row may be claimed, and whether later ones wait for it */
    [S_DUE] = "SELECT id, ordering_key, next_attempt <= ?3 "
              "AND (enqueued_by IS NULL OR enqueued_by = ?4), "
              "attempts > 0 OR next_attempt <= ?3 " OPEN "state = 'pending' ORDER BY id",
    [S_CLAIM] = CLAIM "attempts = attempts + 1, sent_at = ?3 WHERE id = ?5" CLAIMED,
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
    /* NULL: a free place. Twice the width: places of rows that are written down but not committed are not free. */
    clo_job **jobs;
    int width, slots;
    sqlite3_int64 room, ended; /* rows that may still be claimed; rows that came to an end */
    bool dry;                  /* nothing was left to claim */
    bool stop, pruned;
    int64_t busy_since_us;
    clo_err trouble; /* of the service or the settings, to be reported at the end */
} drain;

/* ---- statements ----------------------------------------------------------------------------- */

/* `rc` may be a shortage of our own, of which the database knows nothing. */
static clo_status
db_error(const drain *d, int rc, clo_err *err)
{
    if (rc == SQLITE_NOMEM)
        return clo_err_set(err, CLO_E_NOMEM, "out of memory");
    if (sqlite3_errcode(d->db) == SQLITE_INTERRUPT)
        return clo_err_set(
            err, CLO_E_STOPPED,
            "interrupted; rows under way stay in state sending until it is known what "
            "became of them");
    return clo_err_set(err, CLO_E_CONFIG, "the database refused: %s", sqlite3_errmsg(d->db));
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

static bool
is_at(const drain *d, int i, clo_job_next what)
{
    return d->jobs[i] != NULL && clo_job_what(d->jobs[i]) == what;
}

/* Moves every job, waits a slice when none ended, and takes note of what concerns the others. */
static void
step_all(drain *d)
{
    const clo_err *report;

    clo_jobs_step(d->jobs, (size_t)d->slots, SLICE_MS);
    for (int i = 0; i < d->slots; i++) {
        if (d->jobs[i] == NULL || !clo_job_stops(d->jobs[i], &report))
            continue;
        d->stop = true;
        if (report != NULL && d->trouble.code == CLO_E_NONE)
            d->trouble = *report;
    }
}

/* ---- writing down --------------------------------------------------------------------------- */

/* Drops the candidates of a look-up that belong to other rows. */
static int
drop_owned(drain *d, clo_job *job)
{
    sqlite3_stmt *owned = d->stmt[S_OWNED];
    const char *id;
    int rc;

    for (size_t i = 0; (id = clo_job_candidate(job, i)) != NULL; i++) {
        bind_text(owned, 1, id);
        sqlite3_bind_int64(owned, 2, clo_job_id(job));
        rc = sqlite3_step(owned);
        (void)sqlite3_reset(owned);
        if (rc == SQLITE_ROW)
            clo_job_drop(job, i);
        else if (rc != SQLITE_DONE)
            return rc;
    }
    return SQLITE_OK;
}

/* An answer that names an object beats a look-up that took it for another row's. */
static int
release_object(drain *d, const clo_job *job, const char *object)
{
    sqlite3_stmt *s = d->stmt[S_RELEASE];

    bind_text(s, 1, object);
    sqlite3_bind_int64(s, 2, clo_job_id(job));
    bind_time(s, 3, 0);
    return run(d, S_RELEASE);
}

static void
bind_outcome(drain *d, const clo_job *job, const clo_outcome *out)
{
    sqlite3_stmt *s = d->stmt[S_RECORD];

    sqlite3_clear_bindings(s);
    sqlite3_bind_int64(s, 1, clo_job_id(job));
    bind_text(s, 2, clo_box_name(out->state));
    if (out->state == CLO_BOX_PENDING)
        bind_time(s, 3, out->wait_ms);
    if (out->finished)
        bind_time(s, 4, 0);
    bind_text(s, 5, out->execution_id);
    bind_text(s, 6, out->object_id);
    if (out->result != NULL)
        sqlite3_bind_text64(s, 7, out->result, out->result_len, SQLITE_TRANSIENT, SQLITE_UTF8);
    bind_text(s, 8, out->error_class);
    bind_text(s, 9, out->error);
    if (out->state == CLO_BOX_SENDING)
        bind_time(s, 10, out->wait_ms);
    sqlite3_bind_int(s, 11, out->uncounted);
    bind_text(s, 12, d->worker);
    sqlite3_bind_int(s, 13, out->attempts);
}

static int
record(drain *d, clo_job *job)
{
    clo_outcome out;
    int rc = drop_owned(d, job);

    if (rc != SQLITE_OK)
        return rc;
    clo_job_outcome(job, &out);
    if (out.claims)
        rc = release_object(d, job, out.object_id);
    if (rc != SQLITE_OK)
        return rc;
    bind_outcome(d, job, &out);
    rc = run(d, S_RECORD);
    if (rc == SQLITE_OK) {
        /* No row: the lease had run out and another worker looks after it. */
        clo_job_written(job);
        d->ended += out.ended && sqlite3_changes(d->db) > 0;
    }
    return rc;
}

/* ---- claiming ------------------------------------------------------------------------------- */

/* Free places for rows; those that were written down in this transaction count, and none beyond `room`. */
static int
places(const drain *d)
{
    int n = d->width;

    for (int i = 0; i < d->slots; i++)
        n -= d->jobs[i] != NULL && clo_job_what(d->jobs[i]) != CLO_JOB_COMMIT;
    return (sqlite3_int64)n < d->room ? n : (int)d->room;
}

static int
take_row(drain *d, sqlite3_stmt *s, bool lost, int64_t lease_us)
{
    clo_claim claim = {
        .id = sqlite3_column_int64(s, 0),
        .tool = (const char *)sqlite3_column_text(s, 1),
        .params = (const char *)sqlite3_column_text(s, 2),
        .len = (size_t)sqlite3_column_bytes(s, 2),
        .attempts = sqlite3_column_int(s, 3),
        .lost = lost,
        .lease_us = lease_us,
    };
    const char *sent = (const char *)sqlite3_column_text(s, 4);
    clo_err err;
    int i = 0;

    /* Somebody has cleared it by hand: then anything may have been this row's doing, long ago. */
    if (!clo_outbox_time_us(sent, &claim.sent_us))
        claim.sent_us = 0;
    if (claim.tool == NULL || claim.params == NULL)
        return SQLITE_NOMEM;
    while (d->jobs[i] != NULL)
        i++;
    d->jobs[i] = clo_job_new(d->state->client, &claim, &err);
    return d->jobs[i] != NULL ? SQLITE_OK : SQLITE_NOMEM;
}

/* Runs a statement that claims: ?5 is how many rows, or which one. */
static int
claim(drain *d, int which, sqlite3_int64 what, int *left)
{
    sqlite3_stmt *s = d->stmt[which];
    int64_t lease_us = 0;
    char lease[32];
    int rc;

    clo_outbox_time(clo_outbox_lease_ms(d->state->client), lease);
    (void)clo_outbox_time_us(lease, &lease_us);
    sqlite3_clear_bindings(s);
    bind_text(s, 1, d->worker);
    bind_text(s, 2, lease);
    bind_time(s, 3, 0);
    bind_text(s, 4, d->identity);
    sqlite3_bind_int64(s, 5, what);
    if (which == S_LOST)
        bind_time(s, 6, -clo_client_setting_int(d->state->client, "outbox_settle_ms"));
    while ((rc = sqlite3_step(s)) == SQLITE_ROW) {
        rc = take_row(d, s, which == S_LOST, lease_us);
        if (rc != SQLITE_OK)
            break;
        --*left;
    }
    (void)sqlite3_reset(s);
    return rc == SQLITE_DONE ? SQLITE_OK : rc;
}

/* Takes the ordering key in column `i` of the current row. */
static clo_status
take_key(clo_keys *keys, sqlite3_stmt *s, int i)
{
    const char *key = (const char *)sqlite3_column_text(s, i);
    clo_err err;

    if (key == NULL)
        return sqlite3_column_type(s, i) == SQLITE_NULL ? CLO_OK : CLO_ERROR;
    return clo_keys_take(keys, key, (size_t)sqlite3_column_bytes(s, i), &err);
}

/* The keys of rows under way. */
static int
taken_keys(const drain *d, clo_keys *keys)
{
    sqlite3_stmt *s = d->stmt[S_TAKEN];
    int rc;

    while ((rc = sqlite3_step(s)) == SQLITE_ROW)
        if (take_key(keys, s, 0) == CLO_ERROR) {
            rc = SQLITE_NOMEM;
            break;
        }
    (void)sqlite3_reset(s);
    return rc == SQLITE_DONE ? SQLITE_OK : rc;
}

/* Finds up to `most` rows that may go, the oldest first, and gives their number through `n`. */
static int
find_due(const drain *d, clo_keys *keys, sqlite3_int64 *ids, int most, int *n)
{
    sqlite3_stmt *s = d->stmt[S_DUE];
    int rc = SQLITE_DONE;

    *n = 0;
    sqlite3_clear_bindings(s);
    bind_time(s, 3, 0);
    bind_text(s, 4, d->identity);
    while (*n < most && (rc = sqlite3_step(s)) == SQLITE_ROW) {
        clo_status st;

        if (!sqlite3_column_int(s, 3)) /* enqueued for a later time */
            continue;
        st = take_key(keys, s, 1);
        if (st == CLO_ERROR) {
            rc = SQLITE_NOMEM;
            break;
        }
        if (st == CLO_OK && sqlite3_column_int(s, 2))
            ids[(*n)++] = sqlite3_column_int64(s, 0);
    }
    (void)sqlite3_reset(s);
    return rc == SQLITE_DONE || rc == SQLITE_ROW ? SQLITE_OK : rc;
}

static int
claim_due(drain *d, int *left)
{
    clo_err err;
    clo_keys *keys = clo_keys_new(&err);
    sqlite3_int64 *ids = sqlite3_malloc64((sqlite3_uint64)*left * sizeof *ids);
    int n = 0, rc = keys != NULL && ids != NULL ? taken_keys(d, keys) : SQLITE_NOMEM;

    if (rc == SQLITE_OK)
        rc = find_due(d, keys, ids, *left, &n);
    for (int i = 0; rc == SQLITE_OK && i < n; i++)
        rc = claim(d, S_CLAIM, ids[i], left);
    sqlite3_free(ids);
    clo_keys_free(keys);
    return rc;
}

static bool
looking(const drain *d)
{
    for (int i = 0; i < d->slots; i++)
        if (d->jobs[i] != NULL && clo_job_asks(d->jobs[i]) && !is_at(d, i, CLO_JOB_COMMIT))
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
        rc = claim(d, S_LOST, left, &left);
    if (rc == SQLITE_OK && left > 0)
        rc = claim_due(d, &left);
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
        if (is_at(d, i, CLO_JOB_WRITE))
            rc = record(d, d->jobs[i]);
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
        if (!is_at(d, i, CLO_JOB_COMMIT))
            continue;
        if (committed)
            clo_job_committed(d->jobs[i]);
        else
            clo_job_rolled_back(d->jobs[i]);
        if (is_at(d, i, CLO_JOB_OVER)) {
            clo_job_free(d->jobs[i]);
            d->jobs[i] = NULL;
        } else {
            d->room -= committed; /* a claim that holds */
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
    (void)db_error(d, rc, err); /* before the roll-back says something else */
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
    if (sq_interrupted(d->db, &d->probe)) {
        clo_err_clear(err);
        return clo_err_set(err, CLO_E_STOPPED,
                           "interrupted; rows under way stay in state sending until it is known "
                           "what became of them");
    }
    if (d->busy_since_us == 0)
        return CLO_OK;
    if (clo_outbox_now_us() - d->busy_since_us < INT64_C(1000) * BUSY_LIMIT_MS)
        return CLO_OK;
    clo_err_clear(err);
    clo_err_set(err, CLO_E_RATE, "the database has been locked by others for too long");
    err->hint = "rows under way stay in state sending until it is known what became of them";
    return CLO_ERROR;
}

static clo_status
loop(drain *d, clo_err *err)
{
    for (;;) {
        bool under_way = false, ended = false, busy = false;
        clo_status st;

        for (int i = 0; i < d->slots; i++) {
            under_way = under_way || (d->jobs[i] != NULL && !is_at(d, i, CLO_JOB_WRITE));
            ended = ended || is_at(d, i, CLO_JOB_WRITE);
        }
        if (ended || (!d->dry && !d->stop && places(d) > 0)) {
            st = turn(d, err);
            if (st == CLO_ERROR)
                return st;
            busy = st == CLO_AGAIN;
            if (busy && d->busy_since_us == 0)
                d->busy_since_us = clo_outbox_now_us();
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
    size_t size;

    sqlite3_randomness(sizeof bytes, bytes);
    for (size_t i = 0; i < sizeof bytes; i++)
        sqlite3_snprintf(3, d->worker + 2 * i, "%02x", bytes[i]);
    d->width = (int)clo_client_setting_int(d->state->client, "concurrency");
    d->slots = 2 * d->width;
    size = (size_t)d->slots * sizeof(void *);
    d->jobs = sqlite3_malloc64(size);
    if (identity != NULL)
        d->identity = sqlite3_mprintf("%s", identity);
    if (d->jobs == NULL || (identity != NULL && d->identity == NULL))
        return clo_err_set(err, CLO_E_NOMEM, "out of memory");
    memset(d->jobs, 0, size);
    for (int i = 0; i < S_COUNT; i++) {
        int rc = sqlite3_prepare_v2(d->db, sql[i], -1, &d->stmt[i], NULL);

        if (rc != SQLITE_OK)
            return db_error(d, rc, err);
    }
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
    if (sq_batch_settle(state, err) != CLO_OK || clo_outbox_ready(state->client, err) != CLO_OK ||
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
        clo_job_free(d.jobs[i]);
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
