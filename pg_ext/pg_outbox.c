/*
 * pg_outbox.c - the outbox in PostgreSQL: what goes in, and what people do to it. pg_drain.c sends.
 *
 *      close_enqueue(tool, params [, options])    a row in the caller's transaction; its id
 *      close_outbox_check()                       trigger: the same checks for a plain INSERT
 *      close_outbox_retry(id), _cancel(id)        by a person, in the caller's transaction
 *      close_outbox_wait(id [, timeout_ms])       until the row has come to an end
 *
 * Whose row it is. A row belongs to the role that enqueued it (the current user: in a SECURITY DEFINER
 * function its owner), and is sent with that role's user mapping. What a role may not call, it may
 * not enqueue: EXECUTE on the function of the tool is asked for, like USAGE on the server and a user
 * mapping. Role and server are kept by name, so that a dump carries them; the owner of the database who
 * renames a role renames it in its open rows too.
 *
 * Rights. Roles see their own rows by a policy and may at most INSERT the columns that make a new call.
 * What the functions here write, they write with the rights of the table's owner, between
 * clo_pg_box_enter and clo_pg_box_leave, and with a search path on which nobody else can put anything;
 * an error in between restores both, because the backend does so for every transaction that aborts.
 *
 * Restored rows. pg_dump carries the rows, and pg_restore inserts them through the same trigger, perhaps
 * before there are mappings. A fresh row was created "now"; one that says otherwise is taken as it
 * is, and only from the owner of the table.
 *
 * close_enqueue has checked the call itself when its INSERT reaches the trigger, so it leaves a note of
 * what it checked. Most rows go in without a statement (pg_store.c); for the others it is kept prepared.
 *
 * Rejected: SECURITY DEFINER functions in SQL (the current user, who decides everything here, is not
 * known inside them); a role of our own for the table (a cluster-wide object for one database).
 */
#include "pg.h"

#include "access/htup_details.h"
#include "access/xact.h"
#include "catalog/pg_type.h"
#include "commands/async.h"
#include "commands/trigger.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "storage/latch.h"
#include "utils/builtins.h"
#include "utils/jsonb.h"
#include "utils/snapmgr.h"
#include "utils/syscache.h"
#include "utils/timestamp.h"

#define FIRST_LOOK_MS 10
#define LAST_LOOK_MS 500

/* ---- the table, with the rights of its owner -------------------------------------------------- */

void
clo_pg_box_find(clo_pg_box *box, Oid function)
{
    Oid schema = get_func_namespace(function);
    HeapTuple tuple;

    memset(box, 0, sizeof *box);
    box->relation = get_relname_relid("close_outbox", schema);
    tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(box->relation));
    if (!HeapTupleIsValid(tuple))
        ereport(ERROR, (errcode(ERRCODE_UNDEFINED_TABLE),
                        errmsg("there is no table close_outbox beside function %s",
                               get_func_name(function)),
                        errhint("ALTER EXTENSION close UPDATE.")));
    box->owner = ((Form_pg_class)GETSTRUCT(tuple))->relowner;
    ReleaseSysCache(tuple);
}

void
clo_pg_box_enter(clo_pg_box *box)
{
    GetUserIdAndSecContext(&box->user, &box->security);
    SetUserIdAndSecContext(box->owner, box->security | SECURITY_LOCAL_USERID_CHANGE);
    box->nest = NewGUCNestLevel();
    (void)set_config_option("search_path", "pg_catalog, pg_temp", PGC_USERSET, PGC_S_SESSION,
                            GUC_ACTION_SAVE, true, 0, false);
}

void
clo_pg_box_leave(clo_pg_box *box)
{
    AtEOXact_GUC(false, box->nest);
    SetUserIdAndSecContext(box->user, box->security);
}

char *
clo_pg_box_sql(const clo_pg_box *box, const char *pattern)
{
    const char *schema = get_namespace_name(get_rel_namespace(box->relation));
    const char *table = quote_qualified_identifier(schema, "close_outbox");
    StringInfoData s;

    initStringInfo(&s);
    for (const char *p = pattern; *p != '\0'; p++)
        if (*p == '@')
            appendStringInfoString(&s, table);
        else
            appendStringInfoChar(&s, *p);
    return s.data;
}

/* ---- rights ----------------------------------------------------------------------------------- */

/* By the whole signature: an overloaded function of somebody else must not answer for it. */
static bool
may_execute(Oid schema, const char *name, int n, const Oid *types, Oid user)
{
    oidvector *args = buildoidvector(types, n);
    Oid function = GetSysCacheOid3(PROCNAMEARGSNSP, Anum_pg_proc_oid, CStringGetDatum(name),
                                   PointerGetDatum(args), ObjectIdGetDatum(schema));

    return OidIsValid(function) && clo_pg_function_aclcheck(function, user) == ACLCHECK_OK;
}

bool
clo_pg_may_call(Oid schema, const char *name, Oid user)
{
    static const Oid general[] = {TEXTOID, JSONBOID};
    const clo_tool *tool = clo_tool_find(name);
    Oid types[FUNC_MAX_ARGS];

    if (tool != NULL && tool->n_params <= FUNC_MAX_ARGS) {
        for (size_t i = 0; i < tool->n_params; i++)
            types[i] = clo_pg_argument_type(&tool->params[i]);
        if (may_execute(schema, tool->name, (int)tool->n_params, types, user))
            return true;
    }
    return may_execute(schema, "close_execute", lengthof(general), general, user);
}

/* ---- checking --------------------------------------------------------------------------------- */

static char *
params_text(Jsonb *params, size_t *len)
{
    clo_value v = clo_pg_value(JsonbPGetDatum(params), JSONBOID);

    *len = v.len;
    return unconstify(char *, v.text);
}

/* Checks a call for the current user. Returns the lead_id of the parameters, or NULL; palloc'ed. */
static char *
check_call(Oid schema, const char *tool, Jsonb *params)
{
    clo_client *client = clo_pg_function_client();
    clo_pg_owner *owner = clo_pg_own(CurrentMemoryContext, CLO_PG_TEXT);
    char *key = NULL;
    const char *text = NULL;
    size_t len = 0;
    clo_err err;

    if (params != NULL)
        text = params_text(params, &len);
    if (clo_outbox_check(client, tool, text, len, &key, &err) != CLO_OK)
        clo_pg_throw(&err);
    clo_pg_own_set(owner, key);
    if (!clo_pg_may_call(schema, tool, GetUserId()))
        ereport(ERROR, (errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
                        errmsg("permission denied for function %s", clo_pg_local(tool)),
                        errdetail("A role enqueues only what it may call at once.")));
    key = key != NULL ? pstrdup(clo_pg_local(key)) : NULL;
    clo_pg_release(owner);
    return key;
}

/* What close_enqueue has just checked, while its INSERT runs. */
static struct note {
    text *tool;
    Jsonb *params;
} checked;

/* Both unpacked: gcc 14 finds mixed signs in the macros for short headers. */
static bool
same_bytes(Datum given, const void *noted)
{
    struct varlena *v = PG_DETOAST_DATUM(given);

    return noted != NULL && VARSIZE(v) == VARSIZE(noted) && memcmp(v, noted, VARSIZE(v)) == 0;
}

/* ---- the trigger ------------------------------------------------------------------------------ */

static Datum
column(const TriggerData *t, const char *name, bool *null)
{
    int i = SPI_fnumber(t->tg_relation->rd_att, name);

    if (i <= 0)
        ereport(ERROR,
                (errcode(ERRCODE_UNDEFINED_COLUMN), errmsg("close_outbox has no column %s", name),
                 errhint("ALTER EXTENSION close UPDATE.")));
    return heap_getattr(t->tg_trigtuple, i, t->tg_relation->rd_att, null);
}

/* A new row has not been worked on. */
static void
check_fresh(const TriggerData *t)
{
    static const char *const workers[] = {"finished",    "execution_id", "object_id",
                                          "result",      "error",        "error_class",
                                          "lease_until", "worker",       "sent_at"};
    bool null, fresh;
    Datum d = column(t, "state", &null);
    Name role;

    fresh = !null && strcmp(TextDatumGetCString(d), "pending") == 0;
    d = column(t, "attempts", &null);
    fresh = fresh && !null && DatumGetInt32(d) == 0;
    for (size_t i = 0; i < lengthof(workers); i++) {
        (void)column(t, workers[i], &null);
        fresh = fresh && null;
    }
    if (!fresh)
        ereport(ERROR, (errcode(ERRCODE_CHECK_VIOLATION),
                        errmsg("a new row of close_outbox is pending, and only a worker fills in "
                               "attempts, finished, execution_id, object_id, result, error_class, "
                               "error, worker, lease_until and sent_at")));
    d = column(t, "enqueued_by", &null);
    role = null ? NULL : DatumGetName(d);
    if (role == NULL || strcmp(NameStr(*role), GetUserNameFromId(GetUserId(), false)) != 0)
        ereport(ERROR, (errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
                        errmsg("a row of close_outbox is enqueued by the current role"),
                        errhint("SET ROLE, or leave enqueued_by out.")));
}

static bool
is_restored(const TriggerData *t)
{
    bool null;
    Datum created = column(t, "created", &null);

    if (!null && DatumGetTimestampTz(created) == GetCurrentTransactionStartTimestamp())
        return false;
    if (!clo_pg_table_ownercheck(RelationGetRelid(t->tg_relation), GetUserId()))
        ereport(ERROR, (errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
                        errmsg("only the owner of close_outbox says when a row was created")));
    return true;
}

PG_FUNCTION_INFO_V1(clo_pg_outbox_check);

/* BEFORE INSERT ON close_outbox FOR EACH ROW */
Datum
clo_pg_outbox_check(PG_FUNCTION_ARGS)
{
    TriggerData *t = (TriggerData *)fcinfo->context;
    Datum tool, params, values[2];
    bool no_tool, no_params, no_key, nulls[2] = {false, false};
    int columns[2];
    NameData server;
    char *key;

    if (!CALLED_AS_TRIGGER(fcinfo) || !TRIGGER_FIRED_BEFORE(t->tg_event) ||
        !TRIGGER_FIRED_BY_INSERT(t->tg_event) || !TRIGGER_FIRED_FOR_ROW(t->tg_event))
        ereport(ERROR, (errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
                        errmsg("close_outbox_check is a trigger BEFORE INSERT FOR EACH ROW")));
    clo_pg_outbox_wake();
    tool = column(t, "tool", &no_tool);
    params = column(t, "params", &no_params);
    if (!no_tool && !no_params && same_bytes(tool, checked.tool) &&
        same_bytes(params, checked.params))
        return PointerGetDatum(t->tg_trigtuple);
    if (is_restored(t))
        return PointerGetDatum(t->tg_trigtuple);
    check_fresh(t);
    key = check_call(RelationGetNamespace(t->tg_relation),
                     no_tool ? NULL : clo_pg_utf8(TextDatumGetCString(tool), &(size_t){0}),
                     no_params ? NULL : DatumGetJsonbP(params));
    namestrcpy(&server, clo_pg_server_name());
    values[0] = column(t, "ordering_key", &no_key);
    if (no_key)
        values[0] = CStringGetTextDatum(key != NULL ? key : "");
    values[1] = NameGetDatum(&server);
    columns[0] = SPI_fnumber(t->tg_relation->rd_att, "ordering_key");
    columns[1] = SPI_fnumber(t->tg_relation->rd_att, "server");
    return PointerGetDatum(heap_modify_tuple_by_cols(t->tg_trigtuple, t->tg_relation->rd_att, 2,
                                                     columns, values, nulls));
}

bool
clo_pg_checks_outbox(Oid function)
{
    FmgrInfo info;

    fmgr_info(function, &info);
    return info.fn_addr == clo_pg_outbox_check;
}

/* ---- close_enqueue ---------------------------------------------------------------------------- */

enum { E_TOOL, E_PARAMS, E_KEY, E_REFERENCE, E_WHEN, E_ROLE, E_SERVER, E_COUNT };
static const Oid insert_types[E_COUNT] = {TEXTOID,        JSONBOID, TEXTOID, TEXTOID,
                                          TIMESTAMPTZOID, NAMEOID,  NAMEOID};
#define INSERT_SQL                                                                                 \
    "INSERT INTO @ (tool, params, ordering_key, reference, next_attempt, enqueued_by, server) "    \
    "VALUES ($1, $2, $3, $4, $5, $6, $7) "
/* By whether there is a reference: what cannot conflict need not be inserted twice over, on trial first. */
static const char *const insert_sql[] = {
    INSERT_SQL "RETURNING id",
    INSERT_SQL "ON CONFLICT (enqueued_by, server, reference) WHERE reference IS NOT NULL "
               "DO NOTHING RETURNING id",
};
static const char find_sql[] = "SELECT id FROM @ WHERE reference = $1 AND enqueued_by = $2 "
                               "AND server = $3";

/* The kept INSERTs of this backend. */
static struct {
    Oid relation;
    SPIPlanPtr plan;
} kept_plans[lengthof(insert_sql)];

static SPIPlanPtr
insert_plan(const clo_pg_box *box, bool reference)
{
    SPIPlanPtr plan = kept_plans[reference].plan;

    if (plan != NULL && kept_plans[reference].relation == box->relation)
        return plan;
    plan = SPI_prepare(clo_pg_box_sql(box, insert_sql[reference]), E_COUNT,
                       unconstify(Oid *, &insert_types[0]));
    if (plan == NULL || SPI_keepplan(plan) != 0)
        elog(ERROR, "close_enqueue: SPI failed: %s", SPI_result_code_string(SPI_result));
    if (kept_plans[reference].plan != NULL)
        SPI_freeplan(kept_plans[reference].plan);
    kept_plans[reference].plan = plan;
    kept_plans[reference].relation = box->relation;
    return plan;
}

static int64
only_id(void)
{
    bool null;

    return DatumGetInt64(SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &null));
}

/* The row with this reference, which is the answer to a second enqueue. */
static int64
find_reference(const clo_pg_box *box, const Datum *row)
{
    Oid types[] = {TEXTOID, NAMEOID, NAMEOID};
    Datum values[] = {row[E_REFERENCE], row[E_ROLE], row[E_SERVER]};

    if (SPI_execute_with_args(clo_pg_box_sql(box, find_sql), lengthof(types), types, values, NULL,
                              false, 1) != SPI_OK_SELECT ||
        SPI_processed != 1)
        ereport(ERROR, (errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
                        errmsg("close_enqueue: the row with this reference has just gone"),
                        errhint("Enqueue again.")));
    return only_id();
}

/* The long way. */
static int64
insert_row(clo_pg_box *box, Datum *values, const char *nulls)
{
    int64 id;

    SPI_connect();
    clo_pg_box_enter(box);
    if (SPI_execute_plan(insert_plan(box, nulls[E_REFERENCE] == ' '), values, nulls, false, 0) !=
        SPI_OK_INSERT_RETURNING)
        elog(ERROR, "close_enqueue: SPI failed");
    id = SPI_processed == 1 ? only_id() : find_reference(box, values);
    clo_pg_box_leave(box);
    SPI_finish();
    return id;
}

static int64
write_row(clo_pg_box *box, Datum *values, const char *nulls)
{
    const clo_pg_row row = {.tool = values[E_TOOL],
                            .params = values[E_PARAMS],
                            .key = values[E_KEY],
                            .when = values[E_WHEN],
                            .role = values[E_ROLE],
                            .server = values[E_SERVER]};
    const struct note before = checked; /* a trigger on the table may enqueue, too */
    int64 id = 0;

    PG_TRY();
    {
        checked.tool = DatumGetTextP(values[E_TOOL]);
        checked.params = DatumGetJsonbP(values[E_PARAMS]);
        if (nulls[E_REFERENCE] == ' ' || !clo_pg_store(box, &row, &id))
            id = insert_row(box, values, nulls);
    }
    PG_FINALLY();
    {
        checked = before;
    }
    PG_END_TRY();
    return id;
}

/* Options as columns. The core's texts live until the owner goes: copied here. */
static void
read_options(Jsonb *options, const char *lead, Datum *values, char *nulls)
{
    clo_outbox_options o;
    const char *json = NULL;
    size_t len = 0;
    int64_t us;
    clo_pg_owner *key = clo_pg_own(CurrentMemoryContext, CLO_PG_TEXT);
    clo_pg_owner *reference = clo_pg_own(CurrentMemoryContext, CLO_PG_TEXT);
    clo_status st;
    clo_err err;

    if (options != NULL)
        json = params_text(options, &len);
    st = clo_outbox_options_read(json, len, &o, &err);
    clo_pg_own_set(key, o.ordering_key);
    clo_pg_own_set(reference, o.reference);
    if (st != CLO_OK)
        clo_pg_throw(&err);
    if (o.ordering_key != NULL)
        values[E_KEY] = PointerGetDatum(clo_pg_text(o.ordering_key, strlen(o.ordering_key)));
    else
        values[E_KEY] = CStringGetTextDatum(lead != NULL ? lead : "");
    nulls[E_REFERENCE] = o.reference == NULL ? 'n' : ' ';
    if (o.reference != NULL)
        values[E_REFERENCE] = PointerGetDatum(clo_pg_text(o.reference, strlen(o.reference)));
    values[E_WHEN] = TimestampTzGetDatum(GetCurrentTransactionStartTimestamp());
    if (clo_outbox_time_us(o.not_before, &us))
        values[E_WHEN] = TimestampTzGetDatum(us - CLO_PG_US_1970_TO_2000);
    clo_pg_release(key);
    clo_pg_release(reference);
}

PG_FUNCTION_INFO_V1(clo_pg_enqueue);

/* close_enqueue(tool text, params jsonb, options jsonb) */
Datum
clo_pg_enqueue(PG_FUNCTION_ARGS)
{
    Jsonb *params = PG_ARGISNULL(1) ? DatumGetJsonbP(clo_pg_jsonb("{}", 2)) : PG_GETARG_JSONB_P(1);
    const char *tool = NULL;
    Datum values[E_COUNT];
    char nulls[E_COUNT + 1] = "       ";
    NameData role, server;
    clo_pg_box box;
    size_t len;
    char *lead;

    if (!PG_ARGISNULL(0))
        tool = clo_pg_utf8(text_to_cstring(PG_GETARG_TEXT_PP(0)), &len);
    clo_pg_box_find(&box, fcinfo->flinfo->fn_oid);
    lead = check_call(get_func_namespace(fcinfo->flinfo->fn_oid), tool, params);
    read_options(PG_ARGISNULL(2) ? NULL : PG_GETARG_JSONB_P(2), lead, values, nulls);
    namestrcpy(&role, GetUserNameFromId(GetUserId(), false));
    namestrcpy(&server, clo_pg_server_name());
    values[E_TOOL] = PG_GETARG_DATUM(0); /* not NULL: that would not have passed the check */
    values[E_PARAMS] = JsonbPGetDatum(params);
    values[E_ROLE] = NameGetDatum(&role);
    values[E_SERVER] = NameGetDatum(&server);
    PG_RETURN_INT64(write_row(&box, values, nulls));
}

/* ---- close_outbox_retry, close_outbox_cancel, close_outbox_wait ------------------------------- */

enum { P_ID, P_ALL, P_USER, P_COUNT };
static const Oid person_types[P_COUNT] = {INT8OID, BOOLOID, OIDOID};
/* Rows of roles that the caller is a member of; others are as if they were not there. */
#define MINE "id = $1 AND " CLO_PG_BOX_MEMBER("$2", "$3")
static const char state_sql[] = "SELECT state, xmin FROM @ WHERE " MINE;
static const char retry_sql[] =
    "UPDATE @ SET attempts = CASE state WHEN 'pending' THEN attempts ELSE 0 END, "
    "state = 'pending', next_attempt = now(), finished = NULL, error_class = NULL, error = NULL, "
    "worker = NULL, lease_until = NULL "
    "WHERE state IN ('pending', 'failed', 'uncertain', 'cancelled') AND " MINE;
static const char cancel_sql[] =
    "UPDATE @ SET state = 'cancelled', finished = clock_timestamp(), worker = NULL, "
    "lease_until = NULL WHERE state IN ('pending', 'failed', 'uncertain') AND " MINE;

static void
person_values(int64 id, Datum *values)
{
    values[P_ID] = Int64GetDatum(id);
    values[P_ALL] = BoolGetDatum(superuser_arg(GetUserId()));
    values[P_USER] = ObjectIdGetDatum(GetUserId());
}

static void
no_such_row(int64 id)
{
    ereport(ERROR, (errcode(ERRCODE_NO_DATA_FOUND),
                    errmsg("there is no row " INT64_FORMAT " in close_outbox", id),
                    errdetail("A role sees rows of the roles that it is a member of.")));
}

static int64
change_row(FunctionCallInfo fcinfo, const char *pattern, const char *verb)
{
    int64 id = PG_GETARG_INT64(0);
    Oid *types = unconstify(Oid *, &person_types[0]);
    Datum values[P_COUNT];
    clo_pg_box box;
    uint64 changed;

    clo_pg_box_find(&box, fcinfo->flinfo->fn_oid);
    person_values(id, values);
    SPI_connect();
    clo_pg_box_enter(&box);
    if (SPI_execute_with_args(clo_pg_box_sql(&box, pattern), P_COUNT, types, values, NULL, false,
                              0) != SPI_OK_UPDATE)
        elog(ERROR, "close_outbox: SPI failed");
    changed = SPI_processed;
    if (changed == 0) {
        if (SPI_execute_with_args(clo_pg_box_sql(&box, state_sql), P_COUNT, types, values, NULL,
                                  false, 1) != SPI_OK_SELECT ||
            SPI_processed == 0)
            no_such_row(id);
        ereport(ERROR,
                (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
                 errmsg("row " INT64_FORMAT " is %s and cannot be %s", id,
                        SPI_getvalue(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1), verb)));
    }
    clo_pg_box_leave(&box);
    SPI_finish();
    return id;
}

PG_FUNCTION_INFO_V1(clo_pg_outbox_retry);

Datum
clo_pg_outbox_retry(PG_FUNCTION_ARGS)
{
    clo_pg_outbox_wake();
    PG_RETURN_INT64(change_row(fcinfo, retry_sql, "sent again"));
}

PG_FUNCTION_INFO_V1(clo_pg_outbox_cancel);

Datum
clo_pg_outbox_cancel(PG_FUNCTION_ARGS)
{
    int64 id = change_row(fcinfo, cancel_sql, "cancelled");

    clo_pg_outbox_wake(); /* rows behind it may go now */
    Async_Notify("close_outbox", psprintf(INT64_FORMAT " cancelled", id));
    PG_RETURN_INT64(id);
}

/* The state as it is committed by now, whatever the isolation level. Palloc'ed outside of SPI. */
static char *
look(clo_pg_box *box, int64 id, const char *query)
{
    MemoryContext outside = CurrentMemoryContext;
    Datum values[P_COUNT];
    SPIPlanPtr plan;
    HeapTuple row;
    bool null, mine;
    char *state;

    person_values(id, values);
    SPI_connect();
    clo_pg_box_enter(box);
    plan = SPI_prepare(query, P_COUNT, unconstify(Oid *, &person_types[0]));
    if (plan == NULL || SPI_execute_snapshot(plan, values, NULL, GetLatestSnapshot(),
                                             InvalidSnapshot, true, false, 1) != SPI_OK_SELECT)
        elog(ERROR, "close_outbox_wait: SPI failed");
    if (SPI_processed == 0)
        no_such_row(id);
    row = SPI_tuptable->vals[0];
    state = SPI_getvalue(row, SPI_tuptable->tupdesc, 1);
    mine = TransactionIdIsCurrentTransactionId(
        DatumGetTransactionId(SPI_getbinval(row, SPI_tuptable->tupdesc, 2, &null)));
    if (mine && strcmp(state, clo_box_name(CLO_BOX_PENDING)) == 0)
        ereport(ERROR, (errcode(ERRCODE_ACTIVE_SQL_TRANSACTION),
                        errmsg("row " INT64_FORMAT " was written by this transaction and leaves "
                               "after it",
                               id),
                        errhint("COMMIT, then wait.")));
    clo_pg_box_leave(box);
    state = MemoryContextStrdup(outside, state);
    SPI_finish();
    return state;
}

PG_FUNCTION_INFO_V1(clo_pg_outbox_wait);

/* Looks again and again, seldom in the end: a transaction that is open hears no notification. */
Datum
clo_pg_outbox_wait(PG_FUNCTION_ARGS)
{
    int64 id = PG_GETARG_INT64(0);
    int timeout = PG_GETARG_INT32(1);
    TimestampTz begun = GetCurrentTimestamp();
    long pause = FIRST_LOOK_MS;
    const char *query;
    char *state;
    clo_pg_box box;

    if (timeout < 0)
        ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
                        errmsg("close_outbox_wait: timeout_ms is a number of milliseconds")));
    clo_pg_box_find(&box, fcinfo->flinfo->fn_oid);
    query = clo_pg_box_sql(&box, state_sql);
    for (;;) {
        long left = timeout - TimestampDifferenceMilliseconds(begun, GetCurrentTimestamp());

        state = look(&box, id, query);
        if (left <= 0 || (strcmp(state, clo_box_name(CLO_BOX_PENDING)) != 0 &&
                          strcmp(state, clo_box_name(CLO_BOX_SENDING)) != 0))
            break;
        pfree(state);
        (void)WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH, Min(pause, left),
                        clo_pg_wait_name());
        ResetLatch(MyLatch);
        CHECK_FOR_INTERRUPTS();
        pause = Min(pause + pause / 2, LAST_LOOK_MS);
    }
    PG_RETURN_TEXT_P(cstring_to_text(state));
}
