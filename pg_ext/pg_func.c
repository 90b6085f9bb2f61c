/*
 * pg_func.c - the SQL functions: one per tool, the general calls, and what shows the state.
 *
 * Each tool has a C entry of its own (pg_stubs.inc, generated), two lines that come here, so that
 * GRANT EXECUTE works tool by tool; a single generic entry could not tell its callers apart. The
 * arguments are positional in the catalogue's order, which is also the order of the SQL signature;
 * PostgreSQL's named notation and defaults fill them in. NULL means "not given".
 *
 * Every call goes the same way: check the arguments (nothing is sent for a bad one), find the
 * client of the current user, run the call while serving interrupts, return its JSON as jsonb. A
 * tool that writes is refused in a read-only transaction like any other writing command, which
 * makes default_transaction_read_only a switch that each role has for itself.
 */
#include "pg.h"

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"
#include "utils/tuplestore.h"

#define MAX_ARGS 32

/* --- Calls ------------------------------------------------------------------------------------ */

/* Runs the request that `pending` owns; returns the owner of the finished call. */
static clo_pg_owner *
run_request(clo_pg_owner *pending)
{
    clo_pg_owner *call;
    clo_client *client;
    clo_err err;

    if (XactReadOnly && clo_request_writes(clo_pg_owned(pending)))
        ereport(ERROR, (errcode(ERRCODE_READ_ONLY_SQL_TRANSACTION),
                        errmsg("cannot execute %s in a read-only transaction",
                               clo_pg_local(clo_request_name(clo_pg_owned(pending))))));
    client = clo_pg_function_client();
    call = clo_pg_own(CurrentMemoryContext, CLO_PG_CALL);
    clo_err_clear(&err);
    clo_pg_own_set(call, clo_call_new(client, clo_pg_own_take(pending), &err));
    if (clo_pg_owned(call) == NULL)
        clo_pg_throw(&err);
    if (clo_pg_step(call, &err) != CLO_DONE) {
        clo_pg_release(call); /* the socket is closed before the error travels */
        clo_pg_throw(&err);
    }
    return call;
}

/* The answer as jsonb; an empty one (a delete through the proxy) is NULL. */
static Datum
answer(FunctionCallInfo fcinfo, clo_pg_owner *call)
{
    size_t len;
    const char *text = clo_call_result(clo_pg_owned(call), &len);
    Datum result;

    if (text == NULL || len == 0) {
        clo_pg_release(call);
        PG_RETURN_NULL();
    }
    result = clo_pg_jsonb(text, len);
    clo_pg_release(call);
    return result;
}

Oid
clo_pg_argument_type(const clo_param *p)
{
    switch (p->type) {
    case CLO_T_INT:
        return INT8OID;
    case CLO_T_BOOL:
        return BOOLOID;
    case CLO_T_JSON:
        return JSONBOID;
    default:
        return TEXTOID;
    }
}

static Datum
call_tool(FunctionCallInfo fcinfo, const char *name)
{
    const clo_tool *tool = clo_tool_find(name);
    size_t n = (size_t)PG_NARGS();
    clo_value args[MAX_ARGS];
    clo_pg_owner *request;
    clo_err err;

    if (tool == NULL || n > MAX_ARGS || n != tool->n_params)
        ereport(ERROR, (errcode(ERRCODE_UNDEFINED_FUNCTION),
                        errmsg("%s is declared with %zu arguments, which is not what the library "
                               "has",
                               name, n),
                        errhint("ALTER EXTENSION close UPDATE.")));
    for (size_t i = 0; i < n; i++)
        args[i] = PG_ARGISNULL(i)
                      ? clo_null()
                      : clo_pg_value(PG_GETARG_DATUM(i), clo_pg_argument_type(&tool->params[i]));
    request = clo_pg_own(CurrentMemoryContext, CLO_PG_REQUEST);
    clo_err_clear(&err);
    clo_pg_own_set(request, clo_request_tool(tool, n, args, &err));
    if (clo_pg_owned(request) == NULL)
        clo_pg_throw(&err);
    return answer(fcinfo, run_request(request));
}

#define CLO_PG_TOOL(tool, index)                                                                   \
    PG_FUNCTION_INFO_V1(clo_pg_##tool);                                                            \
    Datum clo_pg_##tool(PG_FUNCTION_ARGS)                                                          \
    {                                                                                              \
        return call_tool(fcinfo, #tool);                                                           \
    }
#include "pg_stubs.inc"

/* UTF-8 text of an argument, NULL for NULL. */
static char *
text_argument(FunctionCallInfo fcinfo, int i, size_t *len)
{
    *len = 0;
    return PG_ARGISNULL(i) ? NULL : clo_pg_utf8(text_to_cstring(PG_GETARG_TEXT_PP(i)), len);
}

static const char *
json_argument(FunctionCallInfo fcinfo, int i, size_t *len)
{
    clo_value v;

    *len = 0;
    if (PG_ARGISNULL(i))
        return NULL;
    v = clo_pg_value(PG_GETARG_DATUM(i), JSONBOID);
    *len = v.len;
    return v.text;
}

static void
require_argument(FunctionCallInfo fcinfo, int i, const char *function, const char *name)
{
    if (PG_ARGISNULL(i))
        ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
                        errmsg("%s: argument %s is missing", function, name)));
}

static Datum
finish(FunctionCallInfo fcinfo, clo_request *made, clo_pg_owner *owner, const clo_err *err)
{
    clo_pg_own_set(owner, made);
    if (made == NULL)
        clo_pg_throw(err);
    return answer(fcinfo, run_request(owner));
}

PG_FUNCTION_INFO_V1(clo_pg_execute);

/* close_execute(tool text, params jsonb) */
Datum
clo_pg_execute(PG_FUNCTION_ARGS)
{
    clo_pg_owner *owner = clo_pg_own(CurrentMemoryContext, CLO_PG_REQUEST);
    size_t len, ignored;
    const char *params, *tool;
    clo_err err;

    require_argument(fcinfo, 0, "close_execute", "tool");
    tool = text_argument(fcinfo, 0, &ignored);
    params = json_argument(fcinfo, 1, &len);
    clo_err_clear(&err);
    return finish(fcinfo, clo_request_execute(tool, params, len, &err), owner, &err);
}

PG_FUNCTION_INFO_V1(clo_pg_request);

/* close_request(method text, path text, query jsonb, body jsonb) */
Datum
clo_pg_request(PG_FUNCTION_ARGS)
{
    clo_pg_owner *owner = clo_pg_own(CurrentMemoryContext, CLO_PG_REQUEST);
    size_t ignored;
    const char *method, *path, *query, *body;
    clo_err err;

    require_argument(fcinfo, 0, "close_request", "method");
    require_argument(fcinfo, 1, "close_request", "path");
    method = text_argument(fcinfo, 0, &ignored);
    path = text_argument(fcinfo, 1, &ignored);
    query = json_argument(fcinfo, 2, &ignored);
    body = json_argument(fcinfo, 3, &ignored);
    clo_err_clear(&err);
    return finish(fcinfo, clo_request_proxy(method, path, query, body, &err), owner, &err);
}

PG_FUNCTION_INFO_V1(clo_pg_authorization_link);

Datum
clo_pg_authorization_link(PG_FUNCTION_ARGS)
{
    clo_pg_owner *owner = clo_pg_own(CurrentMemoryContext, CLO_PG_REQUEST);
    size_t ignored;
    const char *identifier = text_argument(fcinfo, 0, &ignored);
    clo_err err;

    clo_err_clear(&err);
    return finish(fcinfo, clo_request_link(identifier, &err), owner, &err);
}

PG_FUNCTION_INFO_V1(clo_pg_account);

Datum
clo_pg_account(PG_FUNCTION_ARGS)
{
    clo_pg_owner *owner = clo_pg_own(CurrentMemoryContext, CLO_PG_REQUEST);
    size_t ignored;
    const char *identifier = text_argument(fcinfo, 0, &ignored);
    clo_err err;

    clo_err_clear(&err);
    return finish(fcinfo, clo_request_account(identifier, &err), owner, &err);
}

/* --- State ------------------------------------------------------------------------------------ */

PG_FUNCTION_INFO_V1(clo_pg_version);

Datum
clo_pg_version(PG_FUNCTION_ARGS)
{
    (void)fcinfo;
    PG_RETURN_TEXT_P(cstring_to_text(CLO_VERSION));
}

PG_FUNCTION_INFO_V1(clo_pg_config);

/* close_config(): effective settings and where each came from; secrets are masked by the core. */
Datum
clo_pg_config(PG_FUNCTION_ARGS)
{
    clo_client *client = clo_pg_function_client();
    clo_pg_owner *owner = clo_pg_own(CurrentMemoryContext, CLO_PG_TEXT);
    const char *text;
    Datum result;
    clo_err err;

    (void)fcinfo;
    clo_err_clear(&err);
    clo_pg_own_set(owner, clo_client_settings(client, &err));
    text = clo_pg_owned(owner);
    if (text == NULL)
        clo_pg_throw(&err);
    result = clo_pg_jsonb(text, strlen(text));
    clo_pg_release(owner);
    return result;
}

PG_FUNCTION_INFO_V1(clo_pg_last_id);

Datum
clo_pg_last_id(PG_FUNCTION_ARGS)
{
    const char *id = clo_client_last_id(clo_pg_function_client());

    (void)fcinfo;
    if (id == NULL)
        PG_RETURN_NULL();
    PG_RETURN_TEXT_P(clo_pg_text(id, strlen(id)));
}

/* A materialized result; the caller puts rows into the returned store. */
static Tuplestorestate *
begin_rows(FunctionCallInfo fcinfo, TupleDesc *desc)
{
    ReturnSetInfo *info = (ReturnSetInfo *)fcinfo->resultinfo;
    MemoryContext old;
    Tuplestorestate *store;

    if (info == NULL || !IsA(info, ReturnSetInfo) || !(info->allowedModes & SFRM_Materialize))
        ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
                        errmsg("set-valued function called where no set is accepted")));
    old = MemoryContextSwitchTo(info->econtext->ecxt_per_query_memory);
    if (get_call_result_type(fcinfo, NULL, desc) != TYPEFUNC_COMPOSITE)
        elog(ERROR, "return type must be a row type");
    store = tuplestore_begin_heap(true, false, work_mem);
    info->returnMode = SFRM_Materialize;
    info->setResult = store;
    info->setDesc = *desc;
    MemoryContextSwitchTo(old);
    return store;
}

static Datum
text_or_null(const char *s, bool *null)
{
    *null = s == NULL || s[0] == '\0';
    return *null ? (Datum)0 : PointerGetDatum(clo_pg_text(s, strlen(s)));
}

/* "close_note_create(lead_id text, note text [, contact_id text])" */
static char *
signature_of(const clo_tool *tool)
{
    StringInfoData s;
    bool optional = false;

    initStringInfo(&s);
    appendStringInfo(&s, "%s(", tool->name);
    for (size_t i = 0; i < tool->n_params; i++) {
        const clo_param *p = &tool->params[i];

        if (!optional && !(p->flags & CLO_P_REQUIRED)) {
            optional = true;
            appendStringInfoString(&s, i > 0 ? " [" : "[");
        }
        appendStringInfo(&s, "%s%s %s", i > 0 ? ", " : "", quote_identifier(p->name),
                         clo_pg_sql_type(p->type));
    }
    appendStringInfoString(&s, optional ? "])" : ")");
    return s.data;
}

PG_FUNCTION_INFO_V1(clo_pg_tools);

Datum
clo_pg_tools(PG_FUNCTION_ARGS)
{
    TupleDesc desc;
    Tuplestorestate *store = begin_rows(fcinfo, &desc);

    for (size_t i = 0; i < clo_tool_count(); i++) {
        const clo_tool *tool = clo_tool_at(i);
        Datum values[7];
        bool nulls[7] = {false};

        values[0] = text_or_null(tool->name, &nulls[0]);
        values[1] = text_or_null(signature_of(tool), &nulls[1]);
        values[2] = text_or_null(clo_kind_name(tool->kind), &nulls[2]);
        values[3] = text_or_null(tool->table, &nulls[3]);
        values[4] = BoolGetDatum((tool->flags & CLO_TOOL_WRITES) != 0);
        values[5] = BoolGetDatum((tool->flags & CLO_TOOL_DESTRUCTIVE) != 0);
        values[6] = text_or_null(tool->doc, &nulls[6]);
        tuplestore_putvalues(store, desc, values, nulls);
    }
    return (Datum)0;
}

PG_FUNCTION_INFO_V1(clo_pg_requests);

/* The last calls of this backend through the current user's mapping. */
Datum
clo_pg_requests(PG_FUNCTION_ARGS)
{
    TupleDesc desc;
    clo_client *client = clo_pg_function_client();
    Tuplestorestate *store = begin_rows(fcinfo, &desc);
    clo_log_entry e;

    for (size_t i = 0; clo_log_at(client, i, &e); i++) {
        Datum values[10];
        bool nulls[10] = {false};

        values[0] = TimestampTzGetDatum(e.at_us - (int64)(POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE) *
                                                      USECS_PER_DAY);
        values[1] = text_or_null(e.tool, &nulls[1]);
        values[2] = text_or_null(e.params, &nulls[2]);
        nulls[3] = e.http_status == 0;
        values[3] = Int32GetDatum(e.http_status);
        values[4] = text_or_null(e.code == CLO_E_NONE ? NULL : clo_code_name(e.code), &nulls[4]);
        values[5] = Int32GetDatum(e.attempts);
        values[6] = Int64GetDatum(e.bytes_out);
        values[7] = Int64GetDatum(e.bytes_in);
        values[8] = Int64GetDatum(e.ms);
        values[9] = text_or_null(e.request_id, &nulls[9]);
        tuplestore_putvalues(store, desc, values, nulls);
    }
    return (Datum)0;
}

PG_FUNCTION_INFO_V1(clo_pg_stats);

/* Counters of the client; the last row counts memory blocks of the core that are alive in this
 * backend, in builds that count them. */
Datum
clo_pg_stats(PG_FUNCTION_ARGS)
{
    TupleDesc desc;
    clo_client *client = clo_pg_function_client();
    Tuplestorestate *store = begin_rows(fcinfo, &desc);
    bool nulls[2] = {false, false};
    Datum values[2];
    const char *name;
    int64_t value;

    for (size_t i = 0; clo_stat_at(client, i, &name, &value); i++) {
        values[0] = CStringGetTextDatum(name);
        values[1] = Int64GetDatum(value);
        tuplestore_putvalues(store, desc, values, nulls);
    }
    values[0] = CStringGetTextDatum("memory_blocks");
    values[1] = Int64GetDatum((int64)clo_mem_live());
    tuplestore_putvalues(store, desc, values, nulls);
    return (Datum)0;
}
