/*
 * pg_drain.c - CALL close_outbox_drain: takes due rows from close_outbox, sends them, writes down what
 * came of it, and commits as it goes.
 *
 * The rows of one role and server are drained together, with the client of that role's user mapping, one
 * such identity after the other, in a random order, so that several workers do not all begin with
 * the same. Within an identity up to `concurrency` rows are held, and this repeats:
 *
 *      turn   one short transaction: what has ended is written down, free places are filled with rows
 *             that are claimed ("sending", a lease, the attempt counted); COMMIT, synchronous whatever
 *             the session says, because nothing may be sent before its claim is durable
 *      step   every call and look-up is moved on, a slice is waited, interrupts are served
 *
 * What happens to a claimed row, and when, is decided by its job (src/job.c), which sends nothing before
 * it has been told that the claim is durable. This file is the SQL around it.
 *
 * Order. Of the rows of one identity with the same ordering key only the first may be under way. A later
 * one waits for those before it that are due, being retried, being sent, or uncertain; it does not
 * wait for those that failed or were cancelled, nor for one that was enqueued for a later time. To know
 * this for certain a turn must see what the turns of other workers did, so the turns of one identity
 * exclude each other by a lock that lasts for the transaction (an object lock on the table, with a hash of
 * the identity as sub-object; no DDL, vacuum or user takes it). SKIP LOCKED passes over rows that
 * a person is just changing.
 *
 * A row in "sending" whose worker is gone (its lease and the settling time are over) or whose answer was lost
 * is not sent but looked up (fate.c). Look-ups begin together and a next batch waits for them,
 * because answers are shared between reads that run at the same time: one that began before a call was
 * made must not serve the look-up of that call.
 *
 * Claiming an object. A create's result is an object id, unique in the table. A look-up drops candidates
 * that other rows own. When a direct answer names an object that a look-up of another row has
 * taken (two equal calls at the same time), the answer is right and the other row goes back to be
 * looked up.
 *
 * Errors and cancels. Whatever is thrown ends the procedure; rows under way stay in "sending" and are looked
 * up later, so nothing is lost and nothing doubled. What must not end it, though, is trouble of a single
 * row or role (an answer that is no jsonb here, a mapping that is gone): that is tried in a
 * subtransaction. Trouble with an identity leaves its rows as they are, the others are drained, and the
 * first such error is raised in the end.
 *
 * Ownership. Each place for a row has an owner of its job, in the memory context of the identity; that one
 * hangs below the portal's, which outlives the commits and goes with an error.
 *
 * Rejected: claiming rows of all roles at once (their clients allow different numbers of calls, and
 * stop for different reasons); advisory locks (users have those too).
 */
#include "pg.h"

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "commands/async.h"
#include "common/hashfn.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/resowner.h"
#include "utils/timestamp.h"

#define SLICE_MS 20

enum { S_WHO, S_LOST, S_DUE, S_OWNED, S_RELEASE, S_RECORD, S_PRUNE, S_COUNT };

/* $1 worker, $2 lease, $3 now, $4 role, $5 server, $6 how many, $7 now less the settling time */
#define CLAIM(which, change)                                                                       \
    "WITH c AS MATERIALIZED (SELECT a.id FROM @ a WHERE a.enqueued_by = $4 AND a.server = $5 "     \
    "AND a.finished IS NULL AND " which " LIMIT $6 FOR UPDATE SKIP LOCKED) "                       \
    "UPDATE @ o SET state = 'sending', worker = $1, lease_until = $2, " change                     \
    " FROM c WHERE o.id = c.id RETURNING o.id, o.tool, o.params::text, o.attempts, o.sent_at"
/* Without an order, and with the condition of the index of the few rows that are not pending. */
#define LOST                                                                                       \
    "a.state = 'sending' AND a.state <> 'pending' "                                                \
    "AND a.lease_until <= CASE WHEN a.worker IS NULL THEN $3 ELSE $7 END"
/* No open row of the same key is like that. A subquery with LIMIT stays one that is asked for each
 * candidate by index; as NOT EXISTS it may become a join that reads the whole outbox for a few rows. */
#define NONE_OF_KEY(condition)                                                                     \
    "coalesce((SELECT false FROM @ b WHERE b.enqueued_by = $4 AND b.server = $5 "                  \
    "AND b.ordering_key = a.ordering_key AND b.finished IS NULL AND " condition " LIMIT 1), true)"
#define BUSY "b.state <> 'pending' AND b.id <> a.id"
#define EARLIER "b.id < a.id AND (b.attempts > 0 OR b.next_attempt <= $3)"
#define DUE                                                                                        \
    "a.state = 'pending' AND a.next_attempt <= $3 "                                                \
    "AND (a.ordering_key IS NULL OR a.ordering_key = '' "                                          \
    "OR (" NONE_OF_KEY(BUSY) " AND " NONE_OF_KEY(EARLIER) ")) ORDER BY a.id"

static const char *const patterns[S_COUNT] = {
    [S_WHO] =
        "SELECT enqueued_by, server FROM @ WHERE finished IS NULL "
        "AND (state = 'pending' AND next_attempt <= $3 "
        "OR state = 'sending' AND lease_until <= $3) "
        "AND " CLO_PG_BOX_MEMBER("$1", "$2") " GROUP BY enqueued_by, server ORDER BY random()",
    [S_LOST] = CLAIM(LOST, "attempts = o.attempts"),
    [S_DUE] = CLAIM(DUE, "attempts = o.attempts + 1, sent_at = $3"),
    [S_OWNED] = "SELECT 1 FROM @ WHERE object_id = $1 AND id <> $2",
    [S_RELEASE] = "UPDATE @ SET state = 'sending', object_id = NULL, result = NULL, "
                  "finished = NULL, worker = NULL, lease_until = clock_timestamp() "
                  "WHERE object_id = $1 AND id <> $2",
    [S_RECORD] =
        "UPDATE @ SET state = $2, next_attempt = coalesce($3, next_attempt), finished = $4, "
        "execution_id = coalesce($5, execution_id), object_id = $6, "
        "result = coalesce($7, CASE WHEN $6 IS NOT NULL THEN jsonb_build_object('id', $6) END), "
        "error_class = $8, error = $9, lease_until = $10, worker = NULL, "
        "attempts = attempts - $11 "
        "WHERE id = $1 AND state = 'sending' AND worker = $12 AND attempts = $13",
    [S_PRUNE] = ("DELETE FROM @ WHERE finished < $1 AND state IN ('done', 'cancelled') "
                 "AND enqueued_by = $2 AND server = $3"),
};

/* A role and a server with open rows. */
typedef struct identity {
    NameData role, server;
} identity;

typedef struct drain {
    clo_pg_box box;
    Oid schema;
    MemoryContext cxt; /* of the procedure */
    char worker[40];
    const char *sql[S_COUNT];
    int64 room; /* rows that may still be claimed */
    clo_err trouble;
    const identity *troubled; /* whose trouble it is */
    /* Of the identity at work. */
    const identity *who;
    Oid role;
    clo_client *client;
    clo_pg_owner **owners; /* one per place */
    clo_job **jobs;        /* what they own; NULL: a free place */
    int width;
    bool dry, stop, pruned;
} drain;

static int64
now_us(TimestampTz t)
{
    return t + CLO_PG_US_1970_TO_2000;
}

static void
execute(const drain *d, int which, int n, const Oid *types, const Datum *values, const char *nulls)
{
    int rc = SPI_execute_with_args(d->sql[which], n, unconstify(Oid *, types),
                                   unconstify(Datum *, values), nulls, false, 0);

    if (rc < 0)
        elog(ERROR, "close_outbox_drain: SPI failed: %s", SPI_result_code_string(rc));
}

/* ---- what may fail without ending everything -------------------------------------------------- */

static void
note_error(const ErrorData *e, clo_err *err)
{
    size_t n;

    clo_err_clear(err);
    clo_err_set(err, CLO_E_CONFIG, "%s", clo_pg_utf8(e->message, &n));
    if (e->hint != NULL)
        clo_err_detail(err, "%s", clo_pg_utf8(e->hint, &n));
}

/* Runs `what` in a subtransaction. False: it threw, and `err` says what. */
static bool
attempt(void (*what)(void *), void *arg, clo_err *err)
{
    MemoryContext cxt = CurrentMemoryContext;
    ResourceOwner owner = CurrentResourceOwner;
    volatile bool fine = false;

    BeginInternalSubTransaction(NULL);
    MemoryContextSwitchTo(cxt);
    PG_TRY();
    {
        what(arg);
        ReleaseCurrentSubTransaction();
        fine = true;
    }
    PG_CATCH();
    {
        ErrorData *e;

        MemoryContextSwitchTo(cxt);
        e = CopyErrorData();
        FlushErrorState();
        RollbackAndReleaseCurrentSubTransaction();
        if (e->sqlerrcode == ERRCODE_QUERY_CANCELED || e->sqlerrcode == ERRCODE_ADMIN_SHUTDOWN)
            ReThrowError(e);
        note_error(e, err);
        FreeErrorData(e);
    }
    PG_END_TRY();
    MemoryContextSwitchTo(cxt);
    CurrentResourceOwner = owner;
    return fine;
}

/* ---- jobs ------------------------------------------------------------------------------------- */

static bool
is_at(const drain *d, int i, clo_job_next what)
{
    return d->jobs[i] != NULL && clo_job_what(d->jobs[i]) == what;
}

/* The right to call it may have been taken away since the row was written. */
static void
check_right(const drain *d, clo_job *job)
{
    clo_err err;

    if (clo_job_what(job) != CLO_JOB_SEND || clo_pg_may_call(d->schema, clo_job_tool(job), d->role))
        return;
    clo_err_clear(&err);
    clo_err_set(&err, CLO_E_FORBIDDEN, "permission denied for function %.64s", clo_job_tool(job));
    clo_job_refuse(job, &err);
}

/* Moves every job, waits a slice when none ended, and takes note of what concerns the others. */
static void
step_all(drain *d)
{
    const clo_err *report;

    pgstat_report_wait_start(clo_pg_wait_name());
    clo_jobs_step(d->jobs, (size_t)d->width, SLICE_MS);
    pgstat_report_wait_end();
    for (int i = 0; i < d->width; i++) {
        if (d->jobs[i] == NULL || !clo_job_stops(d->jobs[i], &report))
            continue;
        d->stop = true;
        if (report != NULL && d->trouble.code == CLO_E_NONE) {
            d->trouble = *report;
            d->troubled = d->who;
        }
    }
    clo_pg_interrupts(NULL, 0);
}

/* ---- writing down ----------------------------------------------------------------------------- */

/* Drops the candidates of a look-up that belong to other rows. */
static void
drop_owned(const drain *d, clo_job *job)
{
    static const Oid types[] = {TEXTOID, INT8OID};
    const char *id;

    for (size_t i = 0; (id = clo_job_candidate(job, i)) != NULL; i++) {
        Datum values[] = {CStringGetTextDatum(clo_pg_local(id)), Int64GetDatum(clo_job_id(job))};

        execute(d, S_OWNED, 2, types, values, NULL);
        if (SPI_processed > 0)
            clo_job_drop(job, i);
    }
}

/* An answer that names an object beats a look-up that took it for another row's. */
static void
release_object(const drain *d, const clo_job *job, const char *object)
{
    static const Oid types[] = {TEXTOID, INT8OID};
    Datum values[] = {CStringGetTextDatum(clo_pg_local(object)), Int64GetDatum(clo_job_id(job))};

    execute(d, S_RELEASE, 2, types, values, NULL);
}

/* A JSON text as jsonb; 0 when it is none that this database can hold. */
typedef struct conversion {
    const char *text;
    size_t len;
    Datum result;
} conversion;

static void
convert(void *arg)
{
    conversion *c = arg;

    c->result = clo_pg_jsonb(c->text, c->len);
}

enum {
    R_ID,
    R_STATE,
    R_NEXT,
    R_FINISHED,
    R_EXECUTION,
    R_OBJECT,
    R_RESULT,
    R_CLASS,
    R_ERROR,
    R_LEASE,
    R_UNCOUNTED,
    R_WORKER,
    R_ATTEMPTS,
    R_COUNT
};

static void
put_text(Datum *values, char *nulls, int i, const char *utf8)
{
    if (utf8 == NULL || utf8[0] == '\0')
        return;
    values[i] = CStringGetTextDatum(clo_pg_local(utf8));
    nulls[i] = ' ';
}

static void
put_time(Datum *values, char *nulls, int i, int64 wait_ms)
{
    values[i] = TimestampTzGetDatum(GetCurrentTimestamp() + wait_ms * 1000);
    nulls[i] = ' ';
}

static void
put_outcome(const clo_outcome *out, Datum *values, char *nulls)
{
    conversion c = {.text = out->result, .len = out->result_len};
    clo_err ignored;

    put_text(values, nulls, R_STATE, clo_box_name(out->state));
    if (out->state == CLO_BOX_PENDING)
        put_time(values, nulls, R_NEXT, out->wait_ms);
    else if (out->state == CLO_BOX_SENDING)
        put_time(values, nulls, R_LEASE, out->wait_ms);
    else if (out->finished)
        put_time(values, nulls, R_FINISHED, 0);
    put_text(values, nulls, R_EXECUTION, out->execution_id);
    put_text(values, nulls, R_OBJECT, out->object_id);
    put_text(values, nulls, R_CLASS, out->error_class);
    put_text(values, nulls, R_ERROR, out->error);
    if (c.text != NULL && c.len > 0 && attempt(convert, &c, &ignored)) {
        values[R_RESULT] = c.result;
        nulls[R_RESULT] = ' ';
    }
}

static void
record(drain *d, clo_job *job)
{
    static const Oid types[R_COUNT] = {
        INT8OID, TEXTOID, TIMESTAMPTZOID, TIMESTAMPTZOID, TEXTOID, TEXTOID, JSONBOID,
        TEXTOID, TEXTOID, TIMESTAMPTZOID, INT4OID,        TEXTOID, INT4OID};
    Datum values[R_COUNT] = {0};
    char nulls[R_COUNT];
    clo_outcome out;

    drop_owned(d, job);
    clo_job_outcome(job, &out);
    if (out.claims)
        release_object(d, job, out.object_id);
    memset(nulls, 'n', sizeof nulls);
    nulls[R_ID] = nulls[R_UNCOUNTED] = nulls[R_ATTEMPTS] = ' ';
    values[R_ID] = Int64GetDatum(clo_job_id(job));
    values[R_UNCOUNTED] = Int32GetDatum(out.uncounted ? 1 : 0);
    values[R_ATTEMPTS] = Int32GetDatum(out.attempts);
    put_text(values, nulls, R_WORKER, d->worker);
    put_outcome(&out, values, nulls);
    execute(d, S_RECORD, R_COUNT, types, values, nulls);
    clo_job_written(job);
    /* No row: the lease had run out and another worker looks after it. */
    if (SPI_processed > 0 && out.ended)
        Async_Notify("close_outbox",
                     psprintf(INT64_FORMAT " %s", clo_job_id(job), clo_box_name(out.state)));
}

/* ---- claiming --------------------------------------------------------------------------------- */

static int
places(const drain *d)
{
    int n = 0;

    for (int i = 0; i < d->width; i++)
        n += d->jobs[i] == NULL;
    return (int)Min((int64)n, d->room);
}

static char *
row_text(HeapTuple row, int i, size_t *len)
{
    char *local = SPI_getvalue(row, SPI_tuptable->tupdesc, i);

    return clo_pg_utf8(local, len);
}

static void
take_row(drain *d, HeapTuple row, bool lost, int64 lease_us)
{
    TupleDesc desc = SPI_tuptable->tupdesc;
    clo_claim claim = {.lost = lost, .lease_us = lease_us};
    clo_err err;
    Datum sent;
    size_t n;
    bool null;
    int i = 0;

    claim.id = DatumGetInt64(SPI_getbinval(row, desc, 1, &null));
    claim.tool = row_text(row, 2, &n);
    claim.params = row_text(row, 3, &claim.len);
    claim.attempts = DatumGetInt32(SPI_getbinval(row, desc, 4, &null));
    /* Cleared by hand: then anything may have been this row's doing, long ago. */
    sent = SPI_getbinval(row, desc, 5, &null);
    claim.sent_us = null ? 0 : now_us(DatumGetTimestampTz(sent));
    while (d->jobs[i] != NULL)
        i++;
    d->jobs[i] = clo_job_new(d->client, &claim, &err);
    if (d->jobs[i] == NULL)
        clo_pg_throw(&err);
    clo_pg_own_set(d->owners[i], d->jobs[i]);
    d->room--;
}

/* The number of rows taken. */
static int
claim(drain *d, int which, int left)
{
    static const Oid types[] = {TEXTOID, TIMESTAMPTZOID, TIMESTAMPTZOID, NAMEOID,
                                NAMEOID, INT8OID,        TIMESTAMPTZOID};
    TimestampTz now = GetCurrentTimestamp();
    TimestampTz lease = now + clo_outbox_lease_ms(d->client) * 1000;
    int64 settle_ms = clo_client_setting_int(d->client, "outbox_settle_ms");
    Datum values[] = {CStringGetTextDatum(d->worker),
                      TimestampTzGetDatum(lease),
                      TimestampTzGetDatum(now),
                      NameGetDatum(&d->who->role),
                      NameGetDatum(&d->who->server),
                      Int64GetDatum(left),
                      TimestampTzGetDatum(now - settle_ms * 1000)};
    int n;

    execute(d, which, lengthof(types), types, values, NULL);
    n = (int)SPI_processed;
    for (int i = 0; i < n; i++)
        take_row(d, SPI_tuptable->vals[i], which == S_LOST, now_us(lease));
    SPI_freetuptable(SPI_tuptable);
    return n;
}

static bool
looking(const drain *d)
{
    for (int i = 0; i < d->width; i++)
        if (d->jobs[i] != NULL && clo_job_asks(d->jobs[i]) && !is_at(d, i, CLO_JOB_COMMIT))
            return true;
    return false;
}

/* A row that was written down is let go with its place: should this transaction fail, everything ends and
 * is looked up. */
static void
let_go(drain *d, int i)
{
    d->jobs[i] = NULL;
    clo_pg_release(d->owners[i]);
}

/* Fills the free places: look-ups first, rows that are due after them. */
static void
claim_all(drain *d)
{
    int left = d->stop ? 0 : places(d);

    if (left > 0 && !looking(d))
        left -= claim(d, S_LOST, left);
    if (left > 0)
        left -= claim(d, S_DUE, left);
    d->dry = left > 0;
}

static void
prune(drain *d)
{
    static const Oid types[] = {TIMESTAMPTZOID, NAMEOID, NAMEOID};
    int64 hours = clo_client_setting_int(d->client, "outbox_keep_hours");
    Datum values[] = {TimestampTzGetDatum(GetCurrentTimestamp() - hours * USECS_PER_HOUR),
                      NameGetDatum(&d->who->role), NameGetDatum(&d->who->server)};

    if (!d->pruned)
        execute(d, S_PRUNE, lengthof(types), types, values, NULL);
    d->pruned = true;
}

/* ---- a turn ----------------------------------------------------------------------------------- */

/* Commits. The next transaction sees what others have committed before each of its statements, whatever
 * the session's default is: the order within a key depends on it. */
static void
commit(void)
{
    SPI_commit();
    SPI_start_transaction();
    (void)set_config_option("transaction_isolation", "read committed", PGC_USERSET, PGC_S_SESSION,
                            GUC_ACTION_LOCAL, true, 0, false);
}

/* Turns of the same identity exclude each other until they have committed. */
static void
lock_identity(const drain *d)
{
    uint32 hash = DatumGetUInt32(hash_any((const unsigned char *)d->who, sizeof *d->who));

    LockDatabaseObject(RelationRelationId, d->box.relation, (uint16)hash, ExclusiveLock);
}

/* Texts that the statements of a turn need go with it. */
static void
turn(drain *d)
{
    MemoryContext cxt = AllocSetContextCreate(d->cxt, "close outbox turn", ALLOCSET_DEFAULT_SIZES);
    MemoryContext old = MemoryContextSwitchTo(cxt);

    lock_identity(d);
    clo_pg_box_enter(&d->box);
    for (int i = 0; i < d->width; i++) {
        if (!is_at(d, i, CLO_JOB_WRITE))
            continue;
        record(d, d->jobs[i]);
        let_go(d, i);
    }
    prune(d);
    claim_all(d);
    clo_pg_box_leave(&d->box);
    MemoryContextSwitchTo(old);
    MemoryContextDelete(cxt);
    clo_test_crash("commit");
    ForceSyncCommit();
    commit();
    clo_test_crash("recorded");
    for (int i = 0; i < d->width; i++) {
        if (!is_at(d, i, CLO_JOB_COMMIT))
            continue;
        clo_job_committed(d->jobs[i]);
        check_right(d, d->jobs[i]);
    }
}

/* ---- an identity ------------------------------------------------------------------------------ */

static void
connect_identity(void *arg)
{
    drain *d = arg;
    clo_pg_owner *owner = clo_pg_own(d->cxt, CLO_PG_CLIENT);

    d->role = get_role_oid(NameStr(d->who->role), false);
    d->client = clo_pg_server_client(NameStr(d->who->server), d->role);
    clo_pg_own_set(owner, clo_client_ref(d->client));
}

static void
run_identity(drain *d)
{
    d->width = (int)clo_client_setting_int(d->client, "concurrency");
    d->jobs = MemoryContextAllocZero(d->cxt, sizeof *d->jobs * (size_t)d->width);
    d->owners = MemoryContextAllocZero(d->cxt, sizeof *d->owners * (size_t)d->width);
    for (int i = 0; i < d->width; i++)
        d->owners[i] = clo_pg_own(d->cxt, CLO_PG_JOB);
    d->dry = d->stop = d->pruned = false;
    for (;;) {
        bool under_way = false, ended = false;

        for (int i = 0; i < d->width; i++) {
            under_way = under_way || (d->jobs[i] != NULL && !is_at(d, i, CLO_JOB_WRITE));
            ended = ended || is_at(d, i, CLO_JOB_WRITE);
        }
        if (ended || (!d->dry && !d->stop && places(d) > 0))
            turn(d);
        else if (!under_way)
            return;
        step_all(d);
    }
}

static void
drain_identity(drain *d, const identity *who)
{
    MemoryContext outer = d->cxt;
    clo_err err;

    d->cxt = AllocSetContextCreate(outer, "close outbox identity", ALLOCSET_DEFAULT_SIZES);
    d->who = who;
    clo_err_clear(&err);
    if (attempt(connect_identity, d, &err) && clo_outbox_ready(d->client, &err) == CLO_OK) {
        run_identity(d);
    } else if (d->trouble.code == CLO_E_NONE) {
        d->trouble = err;
        d->troubled = who;
    }
    MemoryContextDelete(d->cxt);
    d->cxt = outer;
    d->jobs = NULL;
    d->owners = NULL;
    d->client = NULL;
}

/* ---- the procedure ---------------------------------------------------------------------------- */

/* Whose rows are due, of the roles that the caller is a member of. */
static int
list_identities(drain *d, identity **list)
{
    static const Oid types[] = {BOOLOID, OIDOID, TIMESTAMPTZOID};
    Datum values[] = {BoolGetDatum(superuser_arg(GetUserId())), ObjectIdGetDatum(GetUserId()),
                      TimestampTzGetDatum(GetCurrentTimestamp())};
    bool null;
    int n;

    clo_pg_box_enter(&d->box);
    execute(d, S_WHO, lengthof(types), types, values, NULL);
    n = (int)SPI_processed;
    *list = MemoryContextAllocZero(d->cxt, sizeof **list * (size_t)(n + 1));
    for (int i = 0; i < n; i++) {
        HeapTuple row = SPI_tuptable->vals[i];
        TupleDesc desc = SPI_tuptable->tupdesc;

        namestrcpy(&(*list)[i].role, NameStr(*DatumGetName(SPI_getbinval(row, desc, 1, &null))));
        namestrcpy(&(*list)[i].server, NameStr(*DatumGetName(SPI_getbinval(row, desc, 2, &null))));
    }
    SPI_freetuptable(SPI_tuptable);
    clo_pg_box_leave(&d->box);
    return n;
}

static void
prepare(drain *d, FunctionCallInfo fcinfo)
{
    Oid function = fcinfo->flinfo->fn_oid;
    uint64 random[2];

    d->cxt = CurrentMemoryContext;
    d->room = PG_ARGISNULL(0) ? PG_INT64_MAX : PG_GETARG_INT64(0);
    if (d->room < 1)
        ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
                        errmsg("close_outbox_drain: argument max is a number of rows, at least "
                               "1")));
    PreventCommandIfReadOnly("CALL close_outbox_drain");
    clo_pg_box_find(&d->box, function);
    d->schema = get_func_namespace(function);
    for (int i = 0; i < S_COUNT; i++)
        d->sql[i] = clo_pg_box_sql(&d->box, patterns[i]);
    if (!pg_strong_random(random, sizeof random))
        ereport(ERROR, (errcode(ERRCODE_INTERNAL_ERROR), errmsg("no random numbers")));
    snprintf(d->worker, sizeof d->worker, "%016llx%016llx", (unsigned long long)random[0],
             (unsigned long long)random[1]);
}

PG_FUNCTION_INFO_V1(clo_pg_outbox_drain);

/* close_outbox_drain(max bigint) */
Datum
clo_pg_outbox_drain(PG_FUNCTION_ARGS)
{
    CallContext *context = (CallContext *)fcinfo->context;
    identity *list;
    drain d;
    int n;

    if (context == NULL || !IsA(context, CallContext) || context->atomic)
        ereport(ERROR, (errcode(ERRCODE_ACTIVE_SQL_TRANSACTION),
                        errmsg("close_outbox_drain cannot run inside a transaction block"),
                        errdetail("What it sends must be written down for good first."),
                        errhint("COMMIT, then CALL close_outbox_drain().")));
    memset(&d, 0, sizeof d);
    clo_err_clear(&d.trouble);
    SPI_connect_ext(SPI_OPT_NONATOMIC);
    prepare(&d, fcinfo);
    commit();
    n = list_identities(&d, &list);
    commit();
    for (int i = 0; i < n && d.room > 0; i++)
        drain_identity(&d, &list[i]);
    if (d.trouble.code != CLO_E_NONE)
        clo_pg_throw_after(&d.trouble,
                           psprintf("Rows of role \"%s\" for server \"%s\" stay in the outbox.",
                                    NameStr(d.troubled->role), NameStr(d.troubled->server)));
    SPI_finish();
    PG_RETURN_VOID();
}
