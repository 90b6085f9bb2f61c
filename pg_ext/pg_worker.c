/*
 * pg_worker.c - a background worker: drains the outbox of one database, and leaves when it has come
 * to rest. pg_launch.c starts it.
 *
 * A look is: find the extension, CALL close_outbox_drain, ask when something will be due. Then
 * the worker waits for a few seconds, because the next commit may be near and a connection and a
 * token are at hand, and leaves. It stays for less than DROP DATABASE waits for others. When other
 * databases want a worker and there is none, and after a reload of the settings, it leaves at once; then
 * another one comes, with the new settings.
 *
 * No hot loop. Rows that are due and still there after a drain (their key waits for a person, the
 * service refuses the role) are looked at after 1 s, 2 s, 4 s, up to a minute; so is everything
 * after an error. A new commit starts that over, but even then a second of rest follows an error.
 *
 * Errors. Nothing that a look throws ends the worker: the transaction is aborted, the words go to
 * the log (once, until they change), and rows under way are looked up later. What does end it is FATAL,
 * and then the launcher starts another after a pause.
 *
 * The drain is run as a session runs it: a CALL at top level, in a portal, which is what lives
 * through the commits that it makes, and which the statements of the procedure ask for.
 *
 * Safety. The worker is the superuser that made the cluster, because it sends the rows of every role.
 * So it relies on nothing that others can make: the procedure is the member of the extension with
 * its whole signature (an overloaded one without arguments would be a better match for CALL
 * close_outbox_drain()), and the search path, which the owner of a database may set, is fixed.
 *
 * Ownership. What a look needs is in a context that is reset after it, on an error as well.
 *
 * Rejected: SPI for the CALL (whether it lets a procedure commit depends on the version); an exit
 * after every look (each row of a steady trickle would pay for a token); LISTEN (needs a client).
 */
#include "pg.h"

#include "access/xact.h"
#include "commands/dbcommands.h"
#include "common/hashfn.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "postmaster/bgworker.h"
#include "postmaster/interrupt.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "tcop/pquery.h"
#include "tcop/tcopprot.h"
#include "tcop/utility.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/portal.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#define REST_MS 1000           /* after an error, whatever is committed */
#define LINGER_MS 3000         /* DROP DATABASE waits for 5 s */
#define LONGEST_MS (5 * 60000) /* what nobody told us of is seen then */
#define PREPARED_MS 60000      /* while there are prepared transactions */
#define NEVER_MS PG_INT64_MAX

PGDLLEXPORT _Noreturn void clo_pg_worker_main(Datum place);

typedef struct worker {
    MemoryContext cxt; /* of one look */
    NameData database;
    clo_pg_trouble trouble;
    Oid function;  /* close_outbox_drain; InvalidOid: no extension here */
    bool overdue;  /* rows are due that the drain left */
    int64 wait_ms; /* until the next row is due */
} worker;

/* ---- one look ---------------------------------------------------------------------------------- */

static const char drain_sql[] =
    "SELECT p.oid FROM pg_catalog.pg_extension e JOIN pg_catalog.pg_depend d "
    "ON d.refclassid = 'pg_catalog.pg_extension'::pg_catalog.regclass AND d.refobjid = e.oid "
    "AND d.deptype = 'e' AND d.classid = 'pg_catalog.pg_proc'::pg_catalog.regclass "
    "JOIN pg_catalog.pg_proc p ON p.oid = d.objid "
    "WHERE e.extname = 'close' AND p.proname = 'close_outbox_drain'";
static const char due_sql[] =
    "SELECT bool_or(t <= now), min(t) FILTER (WHERE t > now), "
    "EXISTS (SELECT FROM pg_prepared_xacts WHERE database = current_database()) "
    "FROM (SELECT CASE state WHEN 'pending' THEN next_attempt WHEN 'sending' THEN lease_until END, "
    "clock_timestamp() FROM @ WHERE finished IS NULL) AS w (t, now)";

static void
begin(void)
{
    SetCurrentStatementStartTimestamp();
    StartTransactionCommand();
}

static void
commit(const worker *w)
{
    CommitTransactionCommand();
    MemoryContextSwitchTo(w->cxt);
}

static void
query(const char *sql)
{
    if (SPI_execute(sql, true, 0) != SPI_OK_SELECT)
        elog(ERROR, "close outbox worker: SPI failed: %s", SPI_result_code_string(SPI_result));
}

static void
find_function(worker *w)
{
    bool null;

    begin();
    SPI_connect();
    PushActiveSnapshot(GetTransactionSnapshot());
    query(drain_sql);
    w->function = InvalidOid;
    if (SPI_processed == 1)
        w->function =
            DatumGetObjectId(SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &null));
    SPI_finish();
    PopActiveSnapshot();
    commit(w);
}

/* A statement without parameters, planned; in the memory of the look. */
static List *
plan(const worker *w, const char *sql)
{
    MemoryContext old = MemoryContextSwitchTo(w->cxt);
    List *plans;

    PushActiveSnapshot(GetTransactionSnapshot());
    plans = pg_plan_queries(clo_pg_analyze_text(linitial(pg_parse_query(sql)), sql), sql, 0, NULL);
    PopActiveSnapshot();
    MemoryContextSwitchTo(old);
    return plans;
}

/* As a session does it that sends this text: the procedure commits, and the portal goes on. */
static void
drain(worker *w)
{
    const char *name;
    QueryCompletion qc;
    Portal portal;
    char *sql;

    begin();
    name = quote_qualified_identifier(get_namespace_name(get_func_namespace(w->function)),
                                      "close_outbox_drain");
    sql = MemoryContextStrdup(w->cxt, psprintf("CALL %s(NULL::pg_catalog.int8)", name));
    portal = CreatePortal("", true, true);
    portal->visible = false;
    PortalDefineQuery(portal, NULL, sql, CMDTAG_CALL, plan(w, sql), NULL);
    PortalStart(portal, NULL, 0, InvalidSnapshot);
    (void)clo_pg_portal_run(portal, None_Receiver, &qc);
    PortalDrop(portal, false);
    commit(w);
}

static void
read_due(worker *w)
{
    HeapTuple row = SPI_tuptable->vals[0];
    TupleDesc desc = SPI_tuptable->tupdesc;
    bool null;
    Datum d = SPI_getbinval(row, desc, 1, &null);

    w->overdue = !null && DatumGetBool(d);
    w->wait_ms = NEVER_MS;
    d = SPI_getbinval(row, desc, 2, &null);
    if (!null) {
        int64 us = DatumGetTimestampTz(d) - GetCurrentTimestamp();

        w->wait_ms = us <= 0 ? 0 : Min(us / 1000 + 1, LONGEST_MS);
    }
    if (DatumGetBool(SPI_getbinval(row, desc, 3, &null)))
        w->wait_ms = Min(w->wait_ms, PREPARED_MS);
}

static void
look_ahead(worker *w)
{
    clo_pg_box box;

    begin();
    SPI_connect();
    PushActiveSnapshot(GetTransactionSnapshot());
    clo_pg_box_find(&box, w->function);
    clo_pg_box_enter(&box);
    query(clo_pg_box_sql(&box, due_sql));
    read_due(w);
    clo_pg_box_leave(&box);
    SPI_finish();
    PopActiveSnapshot();
    commit(w);
}

/* ---- errors ------------------------------------------------------------------------------------ */

/* The words of the error go to the log unless they were the last that went there. */
static void
say(worker *w, const ErrorData *e)
{
    uint32 hash =
        DatumGetUInt32(hash_any((const unsigned char *)e->message, (int)strlen(e->message)));

    if (w->trouble.said == hash)
        return;
    w->trouble.said = hash;
    ereport(LOG, (errcode(e->sqlerrcode),
                  errmsg("close outbox worker of \"%s\": %s", NameStr(w->database), e->message),
                  e->detail != NULL ? errdetail_internal("%s", e->detail) : 0,
                  e->hint != NULL ? errhint("%s", e->hint) : 0));
}

/* False: it threw; the transaction is gone and the log knows why. */
static bool
survive(void (*what)(worker *), worker *w)
{
    volatile bool fine = false;

    PG_TRY();
    {
        what(w);
        fine = true;
    }
    PG_CATCH();
    {
        ErrorData *e;

        HOLD_INTERRUPTS();
        MemoryContextSwitchTo(w->cxt);
        e = CopyErrorData();
        FlushErrorState();
        PortalErrorCleanup();
        AbortCurrentTransaction();
        MemoryContextSwitchTo(w->cxt);
        say(w, e);
        RESUME_INTERRUPTS();
    }
    PG_END_TRY();
    return fine;
}

/* One drain and a look at what it left. False: something threw. */
static bool
look(worker *w)
{
    bool fine;

    w->overdue = false;
    w->wait_ms = NEVER_MS;
    clo_pg_place_look();
    MemoryContextSwitchTo(w->cxt);
    pgstat_report_activity(STATE_RUNNING, "CALL close_outbox_drain()");
    fine = survive(find_function, w);
    if (fine && OidIsValid(w->function)) {
        fine = survive(drain, w);
        fine = survive(look_ahead, w) && fine;
    }
    if (fine)
        w->trouble.said = 0;
    (void)pgstat_report_stat(false);
    pgstat_report_activity(STATE_IDLE, NULL);
    MemoryContextReset(w->cxt);
    return fine;
}

/* ---- between looks ----------------------------------------------------------------------------- */

/* How long there is nothing to do: until a row is due, but after trouble for a pause that grows. */
static int64
next_look(worker *w, bool fine)
{
    int64 wait = w->wait_ms;

    if (fine && !w->overdue) {
        w->trouble.pause_ms = 0;
    } else {
        w->trouble.pause_ms = clo_pg_place_pause(w->trouble.pause_ms);
        wait = Min(wait, w->trouble.pause_ms);
    }
    if (!fine)
        wait = Max(wait, REST_MS);
    if (wait == NEVER_MS)
        elog(DEBUG1, "close outbox worker of \"%s\": nothing is left", NameStr(w->database));
    else
        elog(DEBUG1, "close outbox worker of \"%s\": next look in " INT64_FORMAT " ms",
             NameStr(w->database), wait);
    return wait;
}

typedef enum rested { DUE, WOKEN, LEAVE } rested;

/* Waits, at least `least` ms and then until something is committed, or it is time to look or to go. */
static rested
rest(int64 least, int64 wait)
{
    TimestampTz begun = GetCurrentTimestamp();
    int64 most = Min(wait, LINGER_MS);

    for (;;) {
        int64 slept = (GetCurrentTimestamp() - begun) / 1000;
        int64 left = slept < 0 ? 0 : most - slept; /* a clock that was set back ends it */

        CHECK_FOR_INTERRUPTS();
        if (ConfigReloadPending || clo_pg_place_crowded())
            return LEAVE;
        if (slept >= least && clo_pg_place_wanted())
            return WOKEN;
        if (left <= 0)
            return wait > LINGER_MS ? LEAVE : DUE;
        if (slept < least)
            left = Min(left, least - slept);
        (void)WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH, (long)left,
                        PG_WAIT_EXTENSION);
        ResetLatch(MyLatch);
    }
}

static void
loop(worker *w)
{
    for (;;) {
        bool fine = look(w);
        int64 wait = next_look(w, fine);
        TimestampTz due = DT_NOEND;
        rested why = LEAVE;

        if (wait != NEVER_MS)
            due = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), wait);
        if (!fine || OidIsValid(w->function))
            why = rest(fine ? 0 : REST_MS, wait);
        if (ConfigReloadPending) /* what comes next is for another, who reads the settings anew */
            due = GetCurrentTimestamp();
        if (why == LEAVE && clo_pg_place_leave(due, &w->trouble))
            return;
        if (why != DUE)
            w->trouble.pause_ms = 0;
    }
}

/* A superuser's session in the database, with a search path that is ours. */
static void
connect_database(worker *w, Oid database)
{
    const char *name;

    pqsignal(SIGHUP, SignalHandlerForConfigReload);
    pqsignal(SIGTERM, die);
    BackgroundWorkerUnblockSignals();
    BackgroundWorkerInitializeConnectionByOid(database, InvalidOid, 0);
    SetConfigOption("search_path", "pg_catalog, pg_temp", PGC_SUSET, PGC_S_OVERRIDE);
    pgstat_report_appname("close outbox worker");
    w->cxt = AllocSetContextCreate(TopMemoryContext, "close outbox look", ALLOCSET_DEFAULT_SIZES);
    begin();
    name = get_database_name(database);
    if (name != NULL)
        namestrcpy(&w->database, name);
    commit(w);
}

void
clo_pg_worker_main(Datum place)
{
    worker w = {0};
    Oid database = clo_pg_place_enter(DatumGetInt32(place), &w.trouble);

    if (!OidIsValid(database)) /* another one was faster */
        proc_exit(0);
    connect_database(&w, database);
    loop(&w);
    proc_exit(0);
}
