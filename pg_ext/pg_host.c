/*
 * pg_host.c - the seam between the core and the backend: who frees what, how waiting works, and how
 * a core error becomes a PostgreSQL error.
 *
 * Ownership. A core object is malloc'ed memory plus sockets, which the backend's error recovery
 * knows nothing of. So each lives in an owner: a palloc'ed record whose reset callback frees
 * the object when its memory context goes. The order is always: make the owner (may throw, nothing
 * acquired yet), call the core (can't throw), store the result in the owner at once. The
 * callback can't be unregistered before PostgreSQL 18, so releasing early only empties the record.
 *
 * Waiting. A step of the core blocks for one slice at most and returns at once when a signal comes
 * in, so a cancel is served within milliseconds; the slice only bounds the race between looking at
 * the interrupt flags and starting to wait. CHECK_FOR_INTERRUPTS runs between steps, when no frame
 * of the core, libcurl or json-c is on the stack. When it jumps away, the owner's context frees
 * the transfer, which closes its socket.
 *
 * Rejected: PG_TRY around core calls (must be got right in every place, and costs more), a stop
 * callback asked inside the transfer (could only abort, not serve a benign interrupt and resume),
 * palloc as allocator of the core (connections outlive statements, and palloc throws).
 */
#include "pg.h"

#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "storage/pmsignal.h"
#include "utils/memutils.h"

struct clo_pg_owner {
    MemoryContextCallback callback;
    clo_pg_kind kind;
    void *object; /* NULL: nothing to free */
};

static void
free_object(clo_pg_kind kind, void *object)
{
    switch (kind) {
    case CLO_PG_CLIENT:
        clo_client_unref(object);
        break;
    case CLO_PG_REQUEST:
        clo_request_free(object);
        break;
    case CLO_PG_CALL:
        clo_call_free(object);
        break;
    case CLO_PG_CURSOR:
        clo_cursor_free(object);
        break;
    case CLO_PG_FIELDS:
        clo_fields_free(object);
        break;
    case CLO_PG_TABLE:
        clo_table_free(object);
        break;
    case CLO_PG_TEXT:
        clo_free(object);
        break;
    case CLO_PG_JOB:
        clo_job_free(object);
        break;
    }
}

/* Runs while the context goes away, perhaps in the middle of an abort: frees, and nothing else. */
static void
on_reset(void *arg)
{
    clo_pg_release(arg);
}

clo_pg_owner *
clo_pg_own(MemoryContext cxt, clo_pg_kind kind)
{
    clo_pg_owner *owner = MemoryContextAllocZero(cxt, sizeof *owner);

    owner->kind = kind;
    owner->callback.func = on_reset;
    owner->callback.arg = owner;
    MemoryContextRegisterResetCallback(cxt, &owner->callback);
    return owner;
}

void
clo_pg_own_set(clo_pg_owner *owner, void *object)
{
    clo_pg_release(owner);
    owner->object = object;
}

void *
clo_pg_owned(const clo_pg_owner *owner)
{
    return owner->object;
}

void *
clo_pg_own_take(clo_pg_owner *owner)
{
    void *object = owner->object;

    owner->object = NULL;
    return object;
}

void
clo_pg_release(clo_pg_owner *owner)
{
    void *object = owner == NULL ? NULL : clo_pg_own_take(owner);

    if (object != NULL)
        free_object(owner->kind, object);
}

/* --- Waiting ---------------------------------------------------------------------------------- */

/* The name of the wait event is allocated once per backend (and in shared memory only once). */
uint32
clo_pg_wait_name(void)
{
    static uint32 event = 0;

    if (event == 0)
        event = clo_pg_wait_event();
    return event;
}

/* Serves interrupts. A cancel can't take a write back that has left, so it is told apart first. */
void
clo_pg_interrupts(clo_call *const *in_flight, int n)
{
    if (InterruptPending && (QueryCancelPending || ProcDiePending) && InterruptHoldoffCount == 0 &&
        QueryCancelHoldoffCount == 0 && CritSectionCount == 0) {
        for (int i = 0; i < n; i++)
            if (in_flight[i] != NULL && clo_call_uncertain(in_flight[i]))
                ereport(WARNING,
                        (errcode(ERRCODE_TRANSACTION_RESOLUTION_UNKNOWN),
                         errmsg("%s was under way and may have been carried out",
                                clo_call_name(in_flight[i])),
                         errhint("It is not sent again. Look at the object in Close before you "
                                 "repeat the statement.")));
    }
    if (!PostmasterIsAlive())
        ereport(FATAL, (errcode(ERRCODE_ADMIN_SHUTDOWN),
                        errmsg("terminating connection because the server is gone")));
    CHECK_FOR_INTERRUPTS();
}

static clo_status
step_once(clo_pg_owner *owner, int wait_ms, clo_err *err)
{
    switch (owner->kind) {
    case CLO_PG_CALL:
        return clo_call_step(owner->object, wait_ms, err);
    case CLO_PG_CURSOR:
        return clo_cursor_step(owner->object, wait_ms, err);
    case CLO_PG_FIELDS:
        return clo_fields_step(owner->object, wait_ms, err);
    default:
        return clo_err_set(err, CLO_E_BUG, "object of kind %d has no steps", (int)owner->kind);
    }
}

clo_status
clo_pg_step(clo_pg_owner *owner, clo_err *err)
{
    clo_call *call = owner->kind == CLO_PG_CALL ? owner->object : NULL;
    clo_status status = CLO_AGAIN;

    CHECK_FOR_INTERRUPTS();
    clo_err_clear(err);
    if (call == NULL) /* most rows are there already: no wait event for them */
        status = step_once(owner, 0, err);
    while (status == CLO_AGAIN) {
        pgstat_report_wait_start(clo_pg_wait_name());
        status = step_once(owner, CLO_PG_SLICE_MS, err);
        pgstat_report_wait_end();
        if (status == CLO_AGAIN)
            clo_pg_interrupts(&call, call != NULL);
    }
    return status;
}

clo_status
clo_pg_wait_call(clo_call *call, int wait_ms, clo_err *err)
{
    clo_status status;

    clo_err_clear(err);
    if (wait_ms > 0)
        pgstat_report_wait_start(clo_pg_wait_name());
    status = clo_call_step(call, Min(wait_ms, CLO_PG_SLICE_MS), err);
    if (wait_ms > 0)
        pgstat_report_wait_end();
    return status;
}

/* --- Errors ----------------------------------------------------------------------------------- */

static int
sqlstate_of(clo_code code)
{
    switch (code) {
    case CLO_E_ARG:
    case CLO_E_REJECTED:
        return ERRCODE_INVALID_PARAMETER_VALUE;
    case CLO_E_CONFIG:
        return ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE;
    case CLO_E_AUTH:
        return ERRCODE_INVALID_AUTHORIZATION_SPECIFICATION;
    case CLO_E_FORBIDDEN:
        return ERRCODE_INSUFFICIENT_PRIVILEGE;
    case CLO_E_NOTFOUND:
        return ERRCODE_NO_DATA_FOUND;
    case CLO_E_CONFLICT:
        return ERRCODE_UNIQUE_VIOLATION;
    case CLO_E_RATE:
        return ERRCODE_CONFIGURATION_LIMIT_EXCEEDED;
    case CLO_E_REMOTE:
        return ERRCODE_FDW_ERROR;
    case CLO_E_NET:
    case CLO_E_TIMEOUT:
        return ERRCODE_CONNECTION_FAILURE;
    case CLO_E_UNCERTAIN:
        return ERRCODE_TRANSACTION_RESOLUTION_UNKNOWN;
    case CLO_E_PROTO:
        return ERRCODE_PROTOCOL_VIOLATION;
    case CLO_E_LIMIT:
        return ERRCODE_PROGRAM_LIMIT_EXCEEDED;
    case CLO_E_NOMEM:
        return ERRCODE_OUT_OF_MEMORY;
    case CLO_E_STOPPED:
        return ERRCODE_QUERY_CANCELED;
    case CLO_E_NONE:
    case CLO_E_BUG:
    case CLO_E__COUNT:
        break;
    }
    return ERRCODE_INTERNAL_ERROR;
}

/* A message must never fail for its own bytes: what can't be converted becomes question marks. */
const char *
clo_pg_local(const char *utf8)
{
    size_t len = strlen(utf8);
    int encoding = GetDatabaseEncoding();
    char *copy;

    if ((encoding == PG_UTF8 || encoding == PG_SQL_ASCII) &&
        pg_verify_mbstr(PG_UTF8, utf8, (int)len, true))
        return utf8;
    copy = pstrdup(utf8);
    for (char *p = copy; *p != '\0'; p++)
        if ((unsigned char)*p >= 0x80)
            *p = '?';
    return copy;
}

static void
add_line(StringInfo to, const char *line)
{
    if (line == NULL || line[0] == '\0')
        return;
    if (to->len > 0)
        appendStringInfoChar(to, '\n');
    appendStringInfoString(to, line);
}

/* Hints of the core are phrases; here they are sentences, unless they begin with a name. */
static const char *
sentence(const char *phrase)
{
    size_t word = strcspn(phrase, " ");
    size_t len = strlen(phrase);
    char *s = psprintf("%s%s", phrase, len > 0 && phrase[len - 1] == '.' ? "" : ".");

    if (memchr(phrase, '_', word) == NULL && memchr(phrase, '(', word) == NULL)
        s[0] = (char)pg_toupper((unsigned char)s[0]);
    return s;
}

void
clo_pg_throw_after(const clo_err *err, const char *done)
{
    StringInfoData detail;
    const char *hint = err->hint;

    initStringInfo(&detail);
    add_line(&detail, clo_pg_local(err->detail));
    if (err->request_id[0] != '\0')
        add_line(&detail, psprintf("Execution id: %s.", clo_pg_local(err->request_id)));
    add_line(&detail, done);
    ereport(ERROR, (errcode(sqlstate_of(err->code)),
                    errmsg("%s", err->msg[0] != '\0' ? clo_pg_local(err->msg) : "unknown failure"),
                    detail.len > 0 ? errdetail("%s", detail.data) : 0,
                    hint ? errhint("%s", sentence(hint)) : 0));
}

void
clo_pg_throw(const clo_err *err)
{
    clo_pg_throw_after(err, NULL);
}
