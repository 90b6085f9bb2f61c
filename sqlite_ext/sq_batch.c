/*
 * sq_batch.c - INSERT of many rows, several create calls at a time.
 *
 * SQLite hands rows to xUpdate one by one, and nothing says which is the last. So xUpdate starts the call
 * of its row and returns while up to `concurrency` of them are in flight, and the end of the statement
 * waits for the rest. That is right only where the end of the statement calls us and may still fail.
 * What SQLite does there (vdbeaux.c, vtab.c and vdbe.c of 3.40 and 3.52):
 *
 *   - OP_VBegin, before the first row, calls xBegin once per transaction and table. Only tables that
 *     have xBegin, and had it called, get xSync, xCommit and xRollback.
 *   - At the end of a statement sqlite3VdbeHalt commits when autocommit is on and no other writing
 *     statement runs on the connection (nVdbeWrite): cursors are closed, then sqlite3VtabSync calls
 *     every xSync. If one fails, its message is taken over, the transaction is rolled back, the
 *     statement fails with the code, and changes() is 0. A failed statement gets xRollback instead.
 *   - Under BEGIN, or while another writer runs, there is no xSync. A statement savepoint is released at
 *     the end, but not every statement has one, and an error of xRelease loses its message and
 *     rolls back the whole transaction of the user.
 *   - The rows of INSERT ... RETURNING are handed out before the statement ends, to programs of which
 *     many take one row and never look at the end.
 *   - INSERT OR FAIL keeps what was done before the row that failed, OR IGNORE goes on: each row must have
 *     its answer before the next one.
 *
 * Hence the rule of sq_batch_open: autocommit is on, this is the one writing statement that is running, it
 * returns no rows, this table is part of the transaction, and the conflict clause is ABORT or ROLLBACK.
 * Otherwise rows are sent one after the other (sq_update.c). The rule is looked at for every row.
 *
 * Invariants
 *   - No INSERT reports success while a write of it is in flight or has failed. The first failure stays
 *     until the transaction ends: whatever asks next, a row, a function or xSync, gets it.
 *   - Whoever else is about to use the client (a scan that starts, a function, UPDATE, DELETE, settings, the
 *     tables about ourselves) first waits for what is in flight (sq_batch_settle). So a trigger, or
 *     a function in the same statement, finds what was inserted before it. Scans that were open
 *     already, the source of the rows, go on: a statement need not see its own writes.
 *   - The first row of a statement is waited for. A single row thus fails where it always did, and of rows
 *     that are all going to be refused one is sent.
 *   - After a failure nothing new is started, and what is in flight is waited for: the message says how
 *     many rows exist. An interrupt does not wait; what had left by then may have been carried out,
 *     which the message and close_requests say.
 *   - close_last_id() is the id of the last row, in whatever order the answers came.
 *
 * Nothing moves while SQLite computes the next row. When that takes long the row is waited for before going
 * back, so that an answer does not lie unread until its time limit is over.
 *
 * Known limits. A function of the application that, inside the statement and on its connection, begins a
 * transaction or leaves a writing statement of its own half-way moves the xSync to the end of that
 * transaction, and a failure of the last rows is reported there. After one that rolls back there is no
 * xSync: rows go one after the other from there, and a failure before it is reported by the next row.
 *
 * Rejected: batches under BEGIN (see above); a thread that moves transfers (the client belongs to one
 * thread at a time); guessing that a row is the last.
 *
 * Ownership: sq_state owns the batch, which owns its calls; it is empty between transactions.
 */
#include "sq.h"

#include <string.h>

#define SLICE_MS 50        /* how long Ctrl-C may have to wait for us */
#define SLOW_SOURCE_MS 500 /* a pause between two rows after which the next one is waited for */

/* ---- what SQLite is doing --------------------------------------------------------------- */

/* Statements that may write and are running; *columns: how many result columns they have. */
static int
running_writers(sqlite3 *db, int *columns)
{
    int n = 0;

    *columns = 0;
    for (sqlite3_stmt *s = sqlite3_next_stmt(db, NULL); s != NULL; s = sqlite3_next_stmt(db, s)) {
        if (!sqlite3_stmt_busy(s) || sqlite3_stmt_readonly(s))
            continue;
        n++;
        *columns += sqlite3_column_count(s);
    }
    return n;
}

bool
sq_batch_open(const sq_table *t)
{
    sqlite3 *db = t->state->db;
    int clause = sqlite3_vtab_on_conflict(db), columns;

    return t->begun && (clause == SQLITE_ABORT || clause == SQLITE_ROLLBACK) &&
           sqlite3_get_autocommit(db) && running_writers(db, &columns) == 1 && columns == 0;
}

/* ---- what became of the rows ------------------------------------------------------------ */

static void
fail(sq_batch *b, const clo_err *err)
{
    if (b->failed)
        b->lost += err->uncertain;
    else
        b->err = *err;
    b->failed = true;
}

static void
note_created(sq_batch *b, const sq_flight *f)
{
    const char *id = clo_call_created_id(f->call);
    size_t left = sizeof b->ids - strlen(b->ids);
    clo_err err;

    b->created++;
    if (id == NULL)
        return;
    if (strlen(id) + sizeof ", ..." < left)
        sqlite3_snprintf((int)left, b->ids + strlen(b->ids), "%s%s", b->ids[0] ? ", " : "", id);
    else
        b->ids_cut = true;
    if (f->row < b->last_row)
        return;
    sqlite3_free(b->last_id);
    b->last_id = sqlite3_mprintf("%s", id);
    b->last_row = f->row;
    if (b->last_id == NULL) {
        clo_err_clear(&err);
        clo_err_set(&err, CLO_E_NOMEM, "out of memory");
        fail(b, &err);
    }
}

static void
land(sq_batch *b, int i, clo_status st, const clo_err *err)
{
    if (st == CLO_DONE)
        note_created(b, &b->flights[i]);
    else
        fail(b, err);
    clo_call_free(b->flights[i].call);
    b->flights[i] = b->flights[--b->running];
}

/* Drops what is in flight. */
static void
give_up(sq_batch *b)
{
    int sent = 0;
    clo_err err;

    for (int i = 0; i < b->running; i++) {
        sent += clo_call_uncertain(b->flights[i].call);
        clo_call_free(b->flights[i].call);
    }
    b->running = 0;
    clo_err_clear(&err);
    if (sent == 0)
        clo_err_set(&err, CLO_E_STOPPED, "interrupted");
    else
        clo_err_set(&err, CLO_E_STOPPED,
                    "interrupted after %s sent, so %s may have been carried out",
                    sent > 1 ? "requests were" : "the request was", sent > 1 ? "they" : "it");
    err.uncertain = sent > 0;
    if (b->failed) {
        b->lost += sent;
        return;
    }
    b->lost = sent;
    fail(b, &err);
}

/* ---- moving ----------------------------------------------------------------------------- */

/* Once round; true when something landed. Steps without waiting send what has not been sent. */
static bool
move_all(sq_batch *b)
{
    int before = b->running;
    clo_err err;

    for (int i = b->running - 1; i >= 0; i--) {
        clo_status st = clo_call_step(b->flights[i].call, 0, &err);

        if (st != CLO_AGAIN)
            land(b, i, st, &err);
    }
    return b->running < before;
}

/* Until at most `most` are in flight; none after a failure. */
static void
run(sq_state *state, int most)
{
    sq_batch *b = &state->batch;
    sq_probe probe = {0};
    clo_err err;

    while (b->running > 0) {
        clo_status st;

        if (move_all(b))
            continue;
        if (b->running <= most && !b->failed)
            break;
        if (sq_interrupted(state->db, &probe)) {
            give_up(b);
            break;
        }
        st = clo_call_step(b->flights[0].call, SLICE_MS, &err);
        if (st != CLO_AGAIN)
            land(b, 0, st, &err);
    }
    sq_probe_end(&probe);
    if (b->running == 0 && b->last_id != NULL) {
        clo_client_set_last_id(state->client, b->last_id);
        sqlite3_free(b->last_id);
        b->last_id = NULL;
    }
}

/* The first failure, with what stays behind it. */
static clo_status
tell(const sq_batch *b, clo_err *err)
{
    char done[sizeof b->ids + 160] = "", lost[80] = "";
    size_t n;

    *err = b->err;
    if (b->created > 0)
        sqlite3_snprintf((int)sizeof done, done,
                         "rows that this statement had already created and that stay: %lld%s%s%s%s",
                         b->created, b->ids[0] ? " (" : "", b->ids,
                         b->ids[0] && b->ids_cut ? ", ..." : "", b->ids[0] ? ")" : "");
    if (b->lost > 0)
        sqlite3_snprintf((int)sizeof lost, lost, "%srows that may have been created: %lld",
                         done[0] ? "; " : "", b->lost);
    if (done[0] == '\0' && lost[0] == '\0')
        return CLO_ERROR;
    n = strlen(err->detail);
    while (n > 0 && n + strlen(done) + strlen(lost) + 3 > sizeof err->detail)
        do
            n--;
        while (n > 0 && ((unsigned char)err->detail[n] & 0xc0) == 0x80);
    clo_err_detail(err, "%.*s%s%s%s", (int)n, b->err.detail, n > 0 ? "; " : "", done, lost);
    return CLO_ERROR;
}

clo_status
sq_batch_settle(sq_state *state, clo_err *err)
{
    sq_batch *b = &state->batch;
    int columns;

    if (b->running == 0 && !b->failed)
        return CLO_OK;
    run(state, 0);
    if (!b->failed)
        return CLO_OK;
    if (running_writers(state->db, &columns) > 0)
        return tell(b, err);
    sq_batch_end(state); /* its statement is gone; see the known limits */
    return CLO_OK;
}

/* ---- rows ------------------------------------------------------------------------------- */

static bool
make_room(sq_batch *b)
{
    sq_flight *flights;

    if (b->running < b->cap)
        return true;
    flights = sqlite3_realloc64(b->flights, ((size_t)b->cap + 8) * sizeof *flights);
    if (flights == NULL)
        return false;
    b->flights = flights;
    b->cap += 8;
    return true;
}

static clo_status
start(sq_state *state, clo_request *req, clo_err *err)
{
    sq_batch *b = &state->batch;
    sq_flight *f;

    if (req == NULL)
        return CLO_ERROR;
    if (!make_room(b)) {
        clo_request_free(req);
        return clo_err_set(err, CLO_E_NOMEM, "out of memory");
    }
    f = &b->flights[b->running];
    f->call = clo_call_new(state->client, req, err);
    if (f->call == NULL)
        return CLO_ERROR;
    f->row = ++b->rows;
    b->running++;
    return CLO_OK;
}

clo_status
sq_batch_add(sq_state *state, clo_request *req, clo_err *err)
{
    sq_batch *b = &state->batch;
    int window = (int)clo_client_setting_int(state->client, "concurrency");
    bool slow = clo_now_ms() - b->left_ms > SLOW_SOURCE_MS;

    run(state, window - 1); /* the window may have become smaller; and news of failures */
    if (b->failed)
        clo_request_free(req);
    else if (start(state, req, err) != CLO_OK)
        fail(b, err);
    run(state, b->rows == 1 || slow ? 0 : window - 1);
    b->left_ms = clo_now_ms();
    return b->failed ? tell(b, err) : CLO_OK;
}

void
sq_batch_end(sq_state *state)
{
    sq_batch *b = &state->batch;

    run(state, 0);
    sqlite3_free(b->flights);
    memset(b, 0, sizeof *b);
}

/* ---- the transaction -------------------------------------------------------------------- */

/* A failure that a rollback in the middle of its statement has left behind ends here at the latest. */
int
sq_batch_begin(sqlite3_vtab *vtab)
{
    sq_table *t = (sq_table *)vtab;
    int columns;

    if (running_writers(t->state->db, &columns) <= 1)
        sq_batch_end(t->state);
    t->begun = true;
    return SQLITE_OK;
}

int
sq_batch_sync(sqlite3_vtab *vtab)
{
    sq_table *t = (sq_table *)vtab;
    clo_err err;

    clo_err_clear(&err);
    if (sq_batch_settle(t->state, &err) == CLO_OK)
        return SQLITE_OK;
    return sq_write_error(vtab, &err);
}

int
sq_batch_commit(sqlite3_vtab *vtab)
{
    sq_table *t = (sq_table *)vtab;

    t->begun = false;
    sq_batch_end(t->state);
    return SQLITE_OK;
}

/* What is in flight is waited for here too, unless the user interrupts: a row exists or does not. A rollback
 * by another statement, inside of ours, leaves the failure for ours, which goes on without xSync. */
int
sq_batch_rollback(sqlite3_vtab *vtab)
{
    sq_table *t = (sq_table *)vtab;
    int columns;

    t->begun = false;
    run(t->state, 0);
    if (running_writers(t->state->db, &columns) <= 1)
        sq_batch_end(t->state);
    return SQLITE_OK;
}
