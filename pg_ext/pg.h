/*
 * pg.h - the PostgreSQL side of Close in SQL, sectioned per source file.
 *
 * Three rules run through all of it (design: "why no handle can leak"):
 *  - The core never calls the backend, so an error can only jump between two core calls.
 *  - Every core object is put into an owner (pg_host.c) before anything can throw; the owner's
 *    memory context frees it whatever happens.
 *  - Values cross the boundary by copy.
 *
 * Everything declared here is hidden: the module exports its SQL entry points only.
 */
#ifndef CLO_PG_H
#define CLO_PG_H

#include "pg_compat.h"

#include "clo.h"

#include "fmgr.h"
#include "foreign/fdwapi.h"
#include "lib/stringinfo.h"
#include "nodes/pathnodes.h"
#include "utils/timestamp.h"
#include "utils/rel.h"

#pragma GCC visibility push(hidden)

#define CLO_PG_SLICE_MS 40 /* longest wait between looks at interrupts: no cancel takes longer */

/* ---- pg_host.c: ownership, waiting, errors --------------------------------------------------- */

typedef enum clo_pg_kind {
    CLO_PG_CLIENT,
    CLO_PG_REQUEST,
    CLO_PG_CALL,
    CLO_PG_CURSOR,
    CLO_PG_FIELDS,
    CLO_PG_TABLE,
    CLO_PG_TEXT, /* what the core returns for clo_free */
    CLO_PG_JOB
} clo_pg_kind;

typedef struct clo_pg_owner clo_pg_owner;

/* An empty owner that lives and dies with `cxt`; throws only when out of memory. */
clo_pg_owner *clo_pg_own(MemoryContext cxt, clo_pg_kind kind);
/* Takes over `object` (may be NULL) after releasing what was there. Never throws. */
void clo_pg_own_set(clo_pg_owner *owner, void *object);
void *clo_pg_owned(const clo_pg_owner *owner);
/* Gives the object up without freeing it, for functions that consume it. */
void *clo_pg_own_take(clo_pg_owner *owner);
/* Frees early; the owner stays usable. NULL is fine. */
void clo_pg_release(clo_pg_owner *owner);

/* Steps a call, cursor or field reader until it has something: ROW, DONE or ERROR. Serves
 * interrupts between two steps, so it may throw; the owner then frees the object. */
clo_status clo_pg_step(clo_pg_owner *owner, clo_err *err);
/* One bounded wait for any of several calls, with a wait event shown; then serves interrupts. */
void clo_pg_interrupts(clo_call *const *in_flight, int n);
clo_status clo_pg_wait_call(clo_call *call, int wait_ms, clo_err *err);
uint32 clo_pg_wait_name(void); /* for pgstat_report_wait_start */

/* Raises the error with the SQLSTATE of its class. `done` (may be NULL) is added to DETAIL: what
 * had been done before it. */
_Noreturn void clo_pg_throw(const clo_err *err);
_Noreturn void clo_pg_throw_after(const clo_err *err, const char *done);
/* UTF-8 of the core in the server's encoding; never throws for odd bytes. */
const char *clo_pg_local(const char *utf8);

/* ---- pg_value.c: clo_value <-> Datum --------------------------------------------------------- */

/* A value for the core; texts are palloc'ed in the current context. Throws for a type that has no
 * counterpart. */
clo_value clo_pg_value(Datum datum, Oid type);
/* Whether a value of SQL type `type` compares with a column of type `want` as SQL itself would. */
bool clo_pg_comparable(Oid type, clo_type want);
/* The SQL type of a column, for IMPORT FOREIGN SCHEMA: "timestamptz". */
const char *clo_pg_sql_type(clo_type type);

/* How values of one attribute are made. */
typedef struct clo_pg_out {
    Oid type;
    int32 typmod;
    bool direct; /* the natural type of the column: no detour through text */
    Oid ioparam;
    FmgrInfo input;
} clo_pg_out;
void clo_pg_out_init(clo_pg_out *out, Oid type, int32 typmod, clo_type source);
/* Not for NULL values. */
Datum clo_pg_datum(clo_pg_out *out, const clo_value *value);
/* Whether values and answers, which the core has found to be UTF-8 without U+0000, are text of this
 * database without another look. A debug build takes that look. */
bool clo_pg_as_is(const char *utf8, size_t len);
Datum clo_pg_jsonb(const char *text, size_t len);
text *clo_pg_text(const char *utf8, size_t len);
char *clo_pg_utf8(const char *local, size_t *len); /* the inverse of clo_pg_local, palloc'ed */

/* ---- pg_conn.c: one client per user mapping -------------------------------------------------- */

/* The client of `user` for `server`, with options and session settings applied. Borrowed until the
 * end of the transaction or the next call; who keeps it longer takes a reference. Checks nothing
 * but
 * that a mapping exists: rights on the server are the caller's business. */
clo_client *clo_pg_client(Oid user, Oid server);
/* The same if it is there already and needs nothing; else NULL. Never throws for settings. */
clo_client *clo_pg_client_peek(Oid user, Oid server);
/* The client that plain functions use: server close.server, current user, USAGE checked. */
clo_client *clo_pg_function_client(void);
const char *clo_pg_server_name(void); /* close.server */
/* The client of `user` for the server of that name, USAGE checked. */
clo_client *clo_pg_server_client(const char *name, Oid user);
void clo_pg_conn_init(void); /* from _PG_init: settings only */

/* ---- pg_shmem.c: shared memory, when the library is preloaded --------------------------------- */

void clo_pg_shmem_init(void); /* from _PG_init */
/* Zeroed when the server starts, aligned to 64 bytes; NULL: not preloaded. */
#define CLO_PG_SHMEM_LIMITER_BYTES 16384
void *clo_pg_shmem_limiter(void);
#define CLO_PG_SHMEM_OUTBOX_BYTES 16384
void *clo_pg_shmem_outbox(void);
struct LWLock *clo_pg_shmem_lock(void); /* of the latter */

/* ---- pg_option.c: options of server, mapping, table, column ---------------------------------- */

/* Options that are ours and not the core's. */
#define CLO_PG_OPT_TABLE "table"
#define CLO_PG_OPT_FIELD "field"
#define CLO_PG_OPT_BATCH "batch_size"
const char *clo_pg_option(List *options, const char *name); /* value or NULL */
int clo_pg_batch_size(Oid relation);

/* ---- pg_table.c: a foreign table as the core sees it ----------------------------------------- */

typedef struct clo_pg_table {
    const clo_table *table; /* static, or kept by an owner of the same context */
    Oid relation, server;
    int n_atts;
    int *column;    /* by attribute number - 1: index into table->columns, -1: dropped */
    AttrNumber key; /* attribute of the id, 0: none */
} clo_pg_table;

/* In the current context. Throws when the definition does not fit the catalogue. */
clo_pg_table *clo_pg_table_open(Oid relation);
/* Attribute of a column, 0 when the foreign table lacks it. */
AttrNumber clo_pg_table_attribute(const clo_pg_table *t, int column);
void clo_pg_columns_of(const clo_pg_table *t, const Bitmapset *attrs, clo_colset *set);

/* ---- pg_qual.c: conditions ------------------------------------------------------------------- */

/* One condition as the core knows it. A clause that it can't express gives one condition OTHER per
 * column that it reads. */
typedef struct clo_pg_cond {
    RestrictInfo *rinfo;
    int column;
    clo_op op;
    Expr *value; /* of the other side; NULL for ISNULL and OTHER */
    bool usable; /* value known when the scan starts, in the path that is looked at */
} clo_pg_cond;

/* Appends the conditions of `rinfo` to `list`; sets *complete to false when the list does not say
 * all that the clause says. */
List *clo_pg_conditions(const clo_pg_table *t, RelOptInfo *rel, RestrictInfo *rinfo, List *list,
                        bool *complete);
/* Column of a Var of `rel` (perhaps relabelled), else -1. */
int clo_pg_column_of(const clo_pg_table *t, RelOptInfo *rel, Node *node);
/* Pathkeys as sort terms of the core; false when one is not a plain column of this table. */
bool clo_pg_sorts(const clo_pg_table *t, RelOptInfo *rel, List *pathkeys, clo_sort *sorts, int max,
                  size_t *n);

/* ---- pg_plan.c, pg_upper.c: planning --------------------------------------------------------- */

#define CLO_PG_MAX_SORTS 4

/* What is known of a foreign table during planning: RelOptInfo.fdw_private. */
typedef struct clo_pg_rel {
    clo_pg_table *t;
    Oid user;          /* whose account is read */
    clo_colset needed; /* columns that the query reads */
    List *conds;       /* of baserestrictinfo */
    bool complete;     /* conds says everything that baserestrictinfo says */
    bool analyzed;     /* the backend has statistics */
    double total_rows; /* of the table */
    RelOptInfo *base;  /* in upper relations: the scanned one */
    bool ordered;      /* in upper relations: ORDER BY is asked for below */
} clo_pg_rel;

/* An access that was chosen: the one element of ForeignPath.fdw_private. */
typedef struct clo_pg_choice {
    clo_plan plan;
    Oid relation;
    int n_conds;
    clo_pg_cond *conds;   /* parallel to the question's quals */
    Node *limit, *offset; /* expressions that the core applies, NULL: not pushed */
    char *refusal;        /* this access can't be carried out; why */
} clo_pg_choice;

typedef struct clo_pg_ask { /* a question to the core's planner */
    clo_pg_rel *rel;
    List *conds;
    bool complete;
    List *pathkeys;
    Node *limit, *offset;
    bool count;
} clo_pg_ask;

/* AGAIN and ERROR as clo_plan_make; OK: *choice is palloc'ed. */
clo_status clo_pg_choose(RelOptInfo *rel, const clo_pg_ask *ask, clo_pg_choice **choice,
                         clo_err *err);
/* Cost of `requests` calls that bring `rows`; never free. */
void clo_pg_cost(const clo_pg_choice *choice, double rows, double width, Cost *startup,
                 Cost *total);

void clo_pg_rel_size(PlannerInfo *root, RelOptInfo *rel, Oid relation);
void clo_pg_paths(PlannerInfo *root, RelOptInfo *rel, Oid relation);
ForeignScan *clo_pg_plan(PlannerInfo *root, RelOptInfo *rel, Oid relation, ForeignPath *path,
                         List *tlist, List *clauses, Plan *outer);
void clo_pg_upper_paths(PlannerInfo *root, UpperRelationKind stage, RelOptInfo *input,
                        RelOptInfo *output, void *extra);

/* ForeignScan.fdw_private: a list with these places. */
typedef enum clo_pg_scan_item {
    CLO_PG_SCAN_PLAN,   /* String: clo_plan_encode, or the refusal */
    CLO_PG_SCAN_NUMBERS /* Integer list, see clo_pg_scan_number */
} clo_pg_scan_item;
typedef enum clo_pg_scan_number {
    CLO_PG_NUM_RELATION, /* oid of the foreign table */
    CLO_PG_NUM_SLOTS,    /* how many of fdw_exprs are slot values */
    CLO_PG_NUM_LIMIT,    /* index into fdw_exprs, -1: none */
    CLO_PG_NUM_OFFSET,
    CLO_PG_NUM_REFUSED, /* 1: the first item is why this can't be carried out */
    CLO_PG_NUM__COUNT
} clo_pg_scan_number;
Oid clo_pg_scan_oid(const List *fdw_private, clo_pg_scan_number which);
int clo_pg_scan_int(const List *fdw_private, clo_pg_scan_number which);
const char *clo_pg_scan_text(const List *fdw_private);

/* ---- pg_scan.c ------------------------------------------------------------------------------- */

typedef struct clo_pg_scan clo_pg_scan;
void clo_pg_scan_begin(ForeignScanState *node, int eflags);
TupleTableSlot *clo_pg_scan_next(ForeignScanState *node);
void clo_pg_scan_again(ForeignScanState *node);
void clo_pg_scan_end(ForeignScanState *node);
bool clo_pg_scan_stats(ForeignScanState *node, clo_scan_stats *stats); /* false: did not run */

/* Fills a slot from the row of a cursor; shared with modifications and ANALYZE. */
typedef struct clo_pg_filler {
    const clo_pg_table *t;
    clo_pg_out *outs;     /* by attribute */
    int *column;          /* by attribute; -1: NULL in every row */
    const clo_value *row; /* of the row at work, for error messages */
    int at;               /* attribute at work */
} clo_pg_filler;
/* `needed` NULL: all that the table has. */
void clo_pg_filler_init(clo_pg_filler *f, const clo_pg_table *t, TupleDesc desc,
                        const clo_colset *needed);
void clo_pg_fill(clo_pg_filler *f, const clo_value *row, Datum *values, bool *nulls);

/* ---- pg_explain.c, pg_analyze.c -------------------------------------------------------------- */

void clo_pg_explain_scan(ForeignScanState *node, struct ExplainState *es);
void clo_pg_explain_modify(ModifyTableState *mtstate, ResultRelInfo *rri, List *fdw_private,
                           int index, struct ExplainState *es);
bool clo_pg_analyze(Relation relation, AcquireSampleRowsFunc *func, BlockNumber *pages);

/* ---- pg_modify.c, pg_batch.c ----------------------------------------------------------------- */

/* A running INSERT, UPDATE or DELETE of one result relation. */
typedef struct clo_pg_modify {
    clo_pg_table *t;
    clo_kind kind;
    clo_client *client;            /* held by an owner */
    MemoryContext cxt;             /* of the statement */
    MemoryContext row;             /* reset for each row or batch */
    AttrNumber key_junk, row_junk; /* resjunk columns, 0: none */
    List *attrs;                   /* UPDATE: attributes that may change */
    bool compare; /* UPDATE: a row trigger may change others: compare with the old row */
    bool answer;  /* the new row is needed afterwards */
    int batch;    /* rows per ExecForeignBatchInsert */
    clo_pg_filler filler;
    int64 done;         /* rows written by this statement so far */
    StringInfoData ids; /* of the rows created so far, for the error message */
    int64 calls;
} clo_pg_modify;

void clo_pg_modify_targets(CLO_PG_UPDATE_TARGETS_ARGS);
List *clo_pg_modify_plan(PlannerInfo *root, ModifyTable *plan, Index rti, int subplan_index);
void clo_pg_modify_begin(ModifyTableState *mtstate, ResultRelInfo *rri, List *fdw_private,
                         int subplan_index, int eflags);
void clo_pg_modify_end(EState *estate, ResultRelInfo *rri);
void clo_pg_insert_begin(ModifyTableState *mtstate, ResultRelInfo *rri);
TupleTableSlot *clo_pg_insert(EState *estate, ResultRelInfo *rri, TupleTableSlot *slot,
                              TupleTableSlot *plan_slot);
TupleTableSlot *clo_pg_update(EState *estate, ResultRelInfo *rri, TupleTableSlot *slot,
                              TupleTableSlot *plan_slot);
TupleTableSlot *clo_pg_delete(EState *estate, ResultRelInfo *rri, TupleTableSlot *slot,
                              TupleTableSlot *plan_slot);
int clo_pg_updatable(Relation relation);
/* The create request of a row; throws when the row can't be sent. Consumed by the caller. */
clo_request *clo_pg_insert_request(clo_pg_modify *m, TupleTableSlot *slot);
void clo_pg_note_created(clo_pg_modify *m, const char *id);
const char *clo_pg_already(const clo_pg_modify *m); /* for clo_pg_throw_after, NULL: nothing yet */
#if CLO_PG_HAS_BATCH
int clo_pg_insert_batch_size(ResultRelInfo *rri);
TupleTableSlot **clo_pg_insert_batch(EState *estate, ResultRelInfo *rri, TupleTableSlot **slots,
                                     TupleTableSlot **plan_slots, int *n_slots);
#endif

/* ---- pg_func.c ------------------------------------------------------------------------------- */

Oid clo_pg_argument_type(const clo_param *p); /* SQL type of a tool's argument */

/* ---- pg_outbox.c, pg_drain.c: the outbox ----------------------------------------------------- */

/* Work on close_outbox with the rights of its owner, and nothing of the session's search path. */
typedef struct clo_pg_box {
    Oid relation, owner;
    Oid user; /* the caller; an error restores him too */
    int security, nest;
} clo_pg_box;
/* Finds the table beside `function`, in the same schema. Throws when it is not there. */
void clo_pg_box_find(clo_pg_box *box, Oid function);
void clo_pg_box_enter(clo_pg_box *box);
void clo_pg_box_leave(clo_pg_box *box);
/* A statement about the table: each @ of `pattern` is its name. Palloc'ed. */
char *clo_pg_box_sql(const clo_pg_box *box, const char *pattern);
/* Condition: the role of the row is one that `user` is a member of, or `all`. */
#define CLO_PG_BOX_MEMBER(all, user)                                                               \
    "(" all " OR EXISTS (SELECT FROM pg_roles r WHERE r.rolname = enqueued_by "                    \
    "AND pg_has_role(" user ", r.oid, 'MEMBER')))"
#define CLO_PG_US_1970_TO_2000 ((int64)(POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE) * USECS_PER_DAY)
/* Whether `user` may call the tool at once: EXECUTE on its function or on close_execute. */
bool clo_pg_may_call(Oid schema, const char *tool, Oid user);
bool clo_pg_checks_outbox(Oid function); /* our trigger */

/* ---- pg_store.c ------------------------------------------------------------------------------- */

/* A new row of close_outbox without a reference, checked. */
typedef struct clo_pg_row {
    Datum tool, params, key, when, role, server;
} clo_pg_row;
/* Stores it the short way. False: this table needs an INSERT. */
bool clo_pg_store(const clo_pg_box *box, const clo_pg_row *row, int64 *id);

/* ---- pg_launch.c, pg_worker.c: background workers that drain the outbox ----------------------- */

void clo_pg_launch_init(void); /* from _PG_init, before the prefix is reserved */
/* The current transaction gives the outbox something to do: its commit wakes a worker. */
void clo_pg_outbox_wake(void);

/* The place of a database in the table of those with something to do, seen by its worker. */
#define CLO_PG_OUTBOX_PLACES 256
typedef struct clo_pg_trouble {
    int pause_ms; /* the last pause after trouble, 0: there was none */
    uint32 said;  /* hash of the error that the log has */
} clo_pg_trouble; /* survives the worker */
/* Returns the database to work in, InvalidOid: nothing to do here. */
Oid clo_pg_place_enter(int index, clo_pg_trouble *trouble);
void clo_pg_place_look(void); /* what is committed from now on is wanted anew */
bool clo_pg_place_wanted(void);
bool clo_pg_place_crowded(void); /* other databases wait for a worker */
/* False: something was committed meanwhile, so stay. DT_NOEND: nothing will be due. */
bool clo_pg_place_leave(TimestampTz due, const clo_pg_trouble *trouble);
int clo_pg_place_pause(int before_ms); /* the pause after that one */

/* ---- pg_import.c ----------------------------------------------------------------------------- */

List *clo_pg_import(ImportForeignSchemaStmt *stmt, Oid server);
/* Reads custom fields; the table lives in the current context. */
const clo_table *clo_pg_fields_of(clo_client *client, const clo_table *base);

#pragma GCC visibility pop

#endif
