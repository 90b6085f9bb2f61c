/*
 * pg_launch.c - who drains the outbox without being asked: the table of databases with something to
 * do, the launcher that starts a worker for each, and the wake at commit. pg_worker.c is a worker.
 *
 *      shared_preload_libraries = 'close'
 *      close.outbox_workers = 2           databases that are drained at the same time; 0: none
 *      close.outbox_databases = ''        only these; empty: every database with the extension
 *
 * A worker is there only while there is work. The launcher looks into every database once when it
 * starts and after a reload of the settings, by starting a worker there, which leaves when there is
 * no extension or nothing to do. From then on it learns from commits: a backend whose transaction
 * wrote to the outbox (clo_pg_outbox_wake) enters its database into the table when it has
 * committed, and wakes the worker there, or else the launcher. A worker that leaves says when rows
 * will be due again. So nothing polls, a new extension needs no restart, and an idle outbox keeps
 * neither a connection nor DROP DATABASE waiting.
 *
 * The table. One place for each database with something to do, in shared memory, under one
 * lock that is held for a glance. A place is idle (`due` says when a worker is wanted), starting
 * (a worker is registered), or has the process that works. `wanted` is raised by commits and lowered
 * by the worker before it looks; a worker cannot leave while it is raised, so no commit falls between
 * its last look and its going. A worker that ends in any other way leaves through the exit callback,
 * with a pause that grows. When there is no place left the launcher is asked to look everywhere.
 *
 * Crashes. When a process dies the postmaster starts everything anew, this table included, and the
 * launcher looks everywhere again. One that was told to end comes back after 5 s, and takes the
 * table as it is: a start that nobody answers within a minute counts as failed, and a second
 * worker for a place leaves at once.
 *
 * What enters unseen. A prepared transaction is committed by a backend that knows nothing of it; the
 * worker sees that there is one and comes back every minute. A row whose time somebody moves by UPDATE
 * is seen at the next look, after five minutes at most.
 *
 * Safety. In the postmaster only settings are defined, memory asked for and the launcher registered. It
 * connects to no database. Templates and databases that take no connections are left alone.
 *
 * A list of databases that is none means no database. (A check hook could not refuse it: a server that
 * starts takes the default for a bad value of a library, which here is all of them.)
 *
 * Rejected: a list of databases with a worker each (another thing to forget, and connections that
 * stand in the way of DROP DATABASE); workers that look every so often (an idle cluster that is
 * never at rest); registering workers from backends (each would have to count them).
 */
#include "pg.h"

#include "access/genam.h"
#include "access/heapam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "catalog/pg_database.h"
#include "miscadmin.h"
#include "postmaster/bgworker.h"
#include "postmaster/interrupt.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "storage/lwlock.h"
#include "storage/proc.h"
#include "tcop/tcopprot.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"
#include "utils/varlena.h"

#define LIBRARY "close"
#define RESTART_S 5       /* the launcher, when it was told to end */
#define NO_SLOT_MS 5000   /* max_worker_processes are there */
#define STARTING_MS 60000 /* until a start has failed */
#define FIRST_PAUSE_MS 1000
#define LAST_PAUSE_MS 60000

PGDLLEXPORT _Noreturn void clo_pg_launcher_main(Datum unused);

typedef enum place_state { IDLE, STARTING, WORKING } place_state;

typedef struct place {
    Oid database; /* InvalidOid: free */
    place_state state;
    PGPROC *proc;        /* WORKING: who */
    TimestampTz due;     /* IDLE: when to look */
    TimestampTz started; /* STARTING: since */
    bool wanted;         /* something was committed since the last look began */
    int pause_ms;        /* the last one after trouble, 0: there was none */
    uint32 said;         /* what of it the log has */
} place;

typedef struct table {
    PGPROC *launcher; /* NULL: none runs */
    bool everywhere;  /* the launcher shall look into every database */
    bool crowded;     /* places are due and no worker is free */
    place places[CLO_PG_OUTBOX_PLACES];
} table;

static int max_workers = 2;
static char *database_list = NULL;

static table *
shared(void)
{
    return clo_pg_shmem_outbox();
}

static void
lock(void)
{
    LWLockAcquire(clo_pg_shmem_lock(), LW_EXCLUSIVE);
}

static void
unlock(void)
{
    LWLockRelease(clo_pg_shmem_lock());
}

static void
poke(PGPROC *proc)
{
    if (proc != NULL)
        SetLatch(&proc->procLatch); /* harmless should the process have gone since */
}

/* The place of a database, or a free one that is made its own; NULL: all are taken. Locked. */
static place *
find_place(Oid database, TimestampTz due)
{
    table *t = shared();
    place *free_one = NULL;

    for (int i = 0; i < CLO_PG_OUTBOX_PLACES; i++) {
        if (t->places[i].database == database)
            return &t->places[i];
        if (free_one == NULL && t->places[i].database == InvalidOid)
            free_one = &t->places[i];
    }
    if (free_one != NULL) {
        memset(free_one, 0, sizeof *free_one);
        free_one->database = database;
        free_one->due = due;
    }
    return free_one;
}

/* ---- in any backend: the wake at commit -------------------------------------------------------- */

static bool enqueued = false; /* by the current transaction */

static void
wake(void)
{
    TimestampTz now = GetCurrentTimestamp();
    table *t = shared();
    PGPROC *proc;
    place *p;

    lock();
    proc = t->launcher;
    p = find_place(MyDatabaseId, now);
    if (p == NULL) {
        t->everywhere = true;
    } else {
        p->wanted = true;
        p->due = Min(p->due, now);
        if (p->state == WORKING)
            proc = p->proc;
    }
    unlock();
    poke(proc);
}

/* A prepared transaction is nobody's: the worker has to see that there is one. */
static void
transaction_ended(XactEvent event, void *arg)
{
    (void)arg;
    if (event != XACT_EVENT_COMMIT && event != XACT_EVENT_ABORT && event != XACT_EVENT_PREPARE)
        return;
    if (enqueued && event != XACT_EVENT_ABORT)
        wake();
    enqueued = false;
}

void
clo_pg_outbox_wake(void)
{
    static bool registered = false;

    if (shared() == NULL)
        return;
    if (!registered)
        RegisterXactCallback(transaction_ended, NULL);
    registered = enqueued = true;
}

/* ---- in a worker: its place -------------------------------------------------------------------- */

static place *mine = NULL;

/* Without clo_pg_place_leave: something went wrong. */
static void
abandon(int code, Datum arg)
{
    table *t = shared();
    PGPROC *launcher;

    (void)code;
    (void)arg;
    lock();
    launcher = t->launcher;
    if (mine->proc == MyProc) {
        mine->proc = NULL;
        mine->state = IDLE;
        mine->pause_ms = clo_pg_place_pause(mine->pause_ms);
        mine->due = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), mine->pause_ms);
    }
    unlock();
    poke(launcher);
}

int
clo_pg_place_pause(int before_ms)
{
    return before_ms == 0 ? FIRST_PAUSE_MS : Min(before_ms * 2, LAST_PAUSE_MS);
}

Oid
clo_pg_place_enter(int index, clo_pg_trouble *trouble)
{
    Oid database = InvalidOid;

    mine = &shared()->places[index];
    on_shmem_exit(abandon, (Datum)0);
    lock();
    if (mine->state == STARTING && OidIsValid(mine->database)) {
        mine->state = WORKING;
        mine->proc = MyProc;
        database = mine->database;
        trouble->pause_ms = mine->pause_ms;
        trouble->said = mine->said;
    }
    unlock();
    return database;
}

void
clo_pg_place_look(void)
{
    lock();
    mine->wanted = false;
    unlock();
}

bool
clo_pg_place_wanted(void)
{
    bool wanted;

    lock();
    wanted = mine->wanted;
    unlock();
    return wanted;
}

bool
clo_pg_place_crowded(void)
{
    bool crowded;

    lock();
    crowded = shared()->crowded;
    unlock();
    return crowded;
}

bool
clo_pg_place_leave(TimestampTz due, const clo_pg_trouble *trouble)
{
    PGPROC *launcher;
    bool wanted;

    lock();
    launcher = shared()->launcher;
    wanted = mine->wanted;
    if (!wanted && TIMESTAMP_IS_NOEND(due)) {
        memset(mine, 0, sizeof *mine);
    } else if (!wanted) {
        mine->proc = NULL;
        mine->state = IDLE;
        mine->due = due;
        mine->pause_ms = trouble->pause_ms;
        mine->said = trouble->said;
    }
    unlock();
    if (!wanted)
        poke(launcher);
    return !wanted;
}

/* ---- in the launcher: databases ---------------------------------------------------------------- */

/* Names as in search_path: separated by commas, quoted when they are not all lower case. False: no
 * such list, and then no database is meant, as the log says once. */
static bool
parse_names(const char *text, List **names)
{
    static bool said = false;
    bool fine;

    *names = NIL;
    fine = SplitIdentifierString(pstrdup(text), ',', names);
    if (!fine && !said)
        ereport(LOG, (errmsg("close outbox launcher: close.outbox_databases is no list of names, "
                             "so no outbox is drained"),
                      errhint("Separate the names with commas, and put those that are not all "
                              "lower case into double quotes.")));
    said = !fine;
    return fine;
}

static bool
is_listed(const char *name, List *names)
{
    ListCell *cell;

    foreach (cell, names)
        if (strcmp(lfirst(cell), name) == 0)
            return true;
    return names == NIL;
}

/* The databases that may have a worker, in the memory of the caller. */
static List *
find_databases(void)
{
    MemoryContext cxt = CurrentMemoryContext;
    List *found = NIL, *names = NIL;
    TableScanDesc scan;
    HeapTuple row;
    Relation rel;
    bool any;

    StartTransactionCommand();
    (void)GetTransactionSnapshot();
    any = parse_names(database_list, &names);
    rel = table_open(DatabaseRelationId, AccessShareLock);
    scan = table_beginscan_catalog(rel, 0, NULL);
    while (any && (row = heap_getnext(scan, ForwardScanDirection)) != NULL) {
        Form_pg_database db = (Form_pg_database)GETSTRUCT(row);
        MemoryContext old;

        /* Less than -1: a DROP DATABASE that did not come to its end. */
        if (!db->datallowconn || db->datistemplate || db->datconnlimit < -1 ||
            !is_listed(NameStr(db->datname), names))
            continue;
        old = MemoryContextSwitchTo(cxt);
        found = lappend_oid(found, db->oid);
        MemoryContextSwitchTo(old);
    }
    table_endscan(scan);
    table_close(rel, AccessShareLock);
    CommitTransactionCommand();
    MemoryContextSwitchTo(cxt);
    return found;
}

/* ---- in the launcher: starting ----------------------------------------------------------------- */

typedef struct launcher {
    MemoryContext cxt; /* of one pass */
    Oid *unseen;       /* databases to look into that have no place yet */
    int n_unseen;
    int refusals; /* in a row; of the second one the log knows */
} launcher;

/* Every database shall be looked into. */
static void
look_everywhere(launcher *l)
{
    List *all = find_databases();
    ListCell *cell;

    if (l->unseen != NULL)
        pfree(l->unseen);
    l->n_unseen = 0;
    l->unseen = MemoryContextAlloc(TopMemoryContext, sizeof(Oid) * (size_t)(list_length(all) + 1));
    foreach (cell, all)
        l->unseen[l->n_unseen++] = lfirst_oid(cell);
}

/* Gives places to databases that are to be looked into. */
static void
place_unseen(launcher *l, TimestampTz now)
{
    lock();
    while (l->n_unseen > 0) {
        place *p = find_place(l->unseen[l->n_unseen - 1], now);

        if (p == NULL)
            break; /* when a worker leaves for good */
        p->due = Min(p->due, now);
        l->n_unseen--;
    }
    unlock();
}

/* The idle place that has been due for the longest time, now starting. NULL: *wait_ms says for how
 * long there is none, -1: until somebody wakes us. */
static place *
take_due(TimestampTz now, int64 *wait_ms)
{
    place *first = NULL;
    table *t = shared();
    int busy = 0;

    lock();
    for (int i = 0; i < CLO_PG_OUTBOX_PLACES; i++) {
        place *p = &t->places[i];

        if (p->database == InvalidOid)
            continue;
        if (p->state == STARTING && now - p->started > STARTING_MS * INT64CONST(1000))
            p->state = IDLE;
        if (p->state != IDLE)
            busy++;
        else if (first == NULL || p->due < first->due)
            first = p;
    }
    *wait_ms = busy > 0 ? STARTING_MS : -1; /* a start may fail without a word */
    t->crowded = first != NULL && first->due <= now && busy >= max_workers;
    if (first != NULL && (busy >= max_workers || first->due > now)) {
        if (busy < max_workers)
            *wait_ms = (first->due - now) / 1000 + 1;
        first = NULL;
    } else if (first != NULL) {
        first->state = STARTING;
        first->started = now;
    }
    for (int i = 0; t->crowded && i < CLO_PG_OUTBOX_PLACES; i++)
        if (t->places[i].state == WORKING)
            poke(t->places[i].proc);
    unlock();
    return first;
}

static bool
start_worker(const place *p)
{
    BackgroundWorker b;

    memset(&b, 0, sizeof b);
    b.bgw_flags = BGWORKER_SHMEM_ACCESS | BGWORKER_BACKEND_DATABASE_CONNECTION;
    b.bgw_start_time = BgWorkerStart_RecoveryFinished;
    b.bgw_restart_time = BGW_NEVER_RESTART;
    b.bgw_main_arg = Int32GetDatum((int32)(p - shared()->places));
    b.bgw_notify_pid = MyProcPid; /* when it has gone there may be a process for another */
    strlcpy(b.bgw_library_name, LIBRARY, sizeof b.bgw_library_name);
    strlcpy(b.bgw_function_name, "clo_pg_worker_main", sizeof b.bgw_function_name);
    strlcpy(b.bgw_name, "close outbox worker", sizeof b.bgw_name);
    strlcpy(b.bgw_type, "close outbox worker", sizeof b.bgw_type);
    return RegisterDynamicBackgroundWorker(&b, NULL);
}

/* A place that cannot be worked on now, or never because its database has gone. */
static void
give_back(place *p, bool gone)
{
    lock();
    if (gone)
        memset(p, 0, sizeof *p);
    else
        p->state = IDLE;
    unlock();
}

/* The first refusal may be for a worker that is just leaving, of whose end we are told. */
static int64
refused(launcher *l)
{
    if (l->refusals < 2 && ++l->refusals == 2)
        ereport(LOG, (errmsg("close outbox launcher: no process is left for a worker"),
                      errhint("Raise max_worker_processes.")));
    return NO_SLOT_MS;
}

/* Starts what is due. Returns for how long there is nothing to do, -1: until somebody wakes us. */
static int64
start_due(launcher *l)
{
    List *databases = NIL;
    bool listed = false;
    int64 wait_ms;
    place *p;

    place_unseen(l, GetCurrentTimestamp());
    while ((p = take_due(GetCurrentTimestamp(), &wait_ms)) != NULL) {
        if (!listed)
            databases = find_databases();
        listed = true;
        if (!list_member_oid(databases, p->database)) {
            give_back(p, true);
            place_unseen(l, GetCurrentTimestamp());
        } else if (start_worker(p)) {
            l->refusals = 0;
        } else {
            give_back(p, false);
            return refused(l);
        }
    }
    return wait_ms;
}

static bool
take_everywhere(void)
{
    bool everywhere;

    lock();
    everywhere = shared()->everywhere;
    shared()->everywhere = false;
    unlock();
    return everywhere;
}

static void
launcher_ends(int code, Datum arg)
{
    (void)code;
    (void)arg;
    lock();
    if (shared()->launcher == MyProc)
        shared()->launcher = NULL;
    unlock();
}

static void
launcher_begins(void)
{
    pqsignal(SIGHUP, SignalHandlerForConfigReload);
    pqsignal(SIGTERM, die);
    BackgroundWorkerUnblockSignals();
    on_shmem_exit(launcher_ends, (Datum)0);
    lock();
    shared()->launcher = MyProc;
    shared()->everywhere = true;
    unlock();
    BackgroundWorkerInitializeConnection(NULL, NULL, 0); /* shared catalogs only */
}

void
clo_pg_launcher_main(Datum unused)
{
    launcher l = {0};

    (void)unused;
    launcher_begins();
    l.cxt = AllocSetContextCreate(TopMemoryContext, "close outbox launcher", ALLOCSET_SMALL_SIZES);
    for (;;) {
        int64 wait_ms;

        MemoryContextSwitchTo(l.cxt);
        if (take_everywhere())
            look_everywhere(&l);
        wait_ms = start_due(&l);
        MemoryContextReset(l.cxt);
        (void)WaitLatch(MyLatch,
                        WL_LATCH_SET | WL_EXIT_ON_PM_DEATH | (wait_ms >= 0 ? WL_TIMEOUT : 0),
                        (long)Min(wait_ms, LAST_PAUSE_MS), PG_WAIT_EXTENSION);
        ResetLatch(MyLatch);
        CHECK_FOR_INTERRUPTS();
        if (ConfigReloadPending) {
            ConfigReloadPending = false;
            ProcessConfigFile(PGC_SIGHUP);
            look_everywhere(&l);
        }
    }
}

/* ---- in the postmaster ------------------------------------------------------------------------- */

static void
register_launcher(void)
{
    BackgroundWorker b;

    memset(&b, 0, sizeof b);
    b.bgw_flags = BGWORKER_SHMEM_ACCESS | BGWORKER_BACKEND_DATABASE_CONNECTION;
    b.bgw_start_time = BgWorkerStart_RecoveryFinished;
    b.bgw_restart_time = RESTART_S;
    strlcpy(b.bgw_library_name, LIBRARY, sizeof b.bgw_library_name);
    strlcpy(b.bgw_function_name, "clo_pg_launcher_main", sizeof b.bgw_function_name);
    strlcpy(b.bgw_name, "close outbox launcher", sizeof b.bgw_name);
    strlcpy(b.bgw_type, "close outbox launcher", sizeof b.bgw_type);
    RegisterBackgroundWorker(&b);
}

void
clo_pg_launch_init(void)
{
    StaticAssertStmt(sizeof(table) <= CLO_PG_SHMEM_OUTBOX_BYTES, "the table fits its area");
    if (!process_shared_preload_libraries_in_progress)
        return;
    DefineCustomIntVariable(
        "close.outbox_workers", "How many databases have their outbox drained at the same time.",
        "Each by one background worker, while there is work; 0: none.", &max_workers, 2, 0,
        CLO_PG_OUTBOX_PLACES, PGC_SIGHUP, 0, NULL, NULL, NULL);
    DefineCustomStringVariable("close.outbox_databases",
                               "Databases whose outbox is drained by background workers.",
                               "Names separated by commas; empty: all that have the extension.",
                               &database_list, "", PGC_SIGHUP, GUC_LIST_INPUT, NULL, NULL, NULL);
    if (!IsBinaryUpgrade) /* an upgrade sends nothing */
        register_launcher();
}
