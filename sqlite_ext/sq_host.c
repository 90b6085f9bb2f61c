/*
 * sq_host.c - errors, waiting and values between SQLite and the core.
 *
 * Waiting. The core never blocks for longer than a slice; between slices we ask SQLite whether the user
 * pressed Ctrl-C (sqlite3_interrupt from another thread). Since 3.41 there is a call for that; it is
 * used when both the headers and the running library have it. On older libraries we step a private
 * "SELECT 1": the interrupt flag is only cleared when no statement runs, ours runs inside the
 * user's, so it returns SQLITE_INTERRUPT when the flag is up. A progress handler that wants to
 * stop is heard the same way. The statement lives in the cursor (or in the call), never in the
 * connection's state: a statement that outlived its user would make sqlite3_close return BUSY.
 * Only the connection of a custom-field table during sqlite3_prepare, when no statement runs, cannot
 * be interrupted on old libraries; its time limits still hold.
 *
 * Errors. One sentence, always of this form, its optional parts left out when empty:
 *
 *      close_note_create: REJECTED: Close refused it (lead_id: not found) [exec_1]; check the id
 *      tool or table      class     what failed      the service's words   id       what helps
 *
 * The class is the stable name of clo_code_name, for people and programs that only see text. The
 * result codes follow one rule: a failed statement must leave the user's transaction alone. SQLite
 * rolls everything back on IOERR, so network trouble is a plain ERROR; an interrupt rolls a writing
 * statement back by SQLite's own contract, and that one we keep.
 */
#include "sq.h"

#include <string.h>

#define SLICE_MS 50 /* how long Ctrl-C may have to wait for us */

bool
sq_interrupted(sqlite3 *db, sq_probe *probe)
{
    int rc = SQLITE_OK;

#if SQLITE_VERSION_NUMBER >= 3041000
    if (sqlite3_libversion_number() >= 3041000)
        return sqlite3_is_interrupted(db) != 0;
#endif
    /* The parser looks at the flag as well. Any other failure (an authorizer that forbids SELECT)
     * only means that there is nothing to ask with. */
    if (probe->stmt == NULL)
        rc = sqlite3_prepare_v2(db, "SELECT 1", -1, &probe->stmt, NULL);
    if (rc == SQLITE_OK) {
        rc = sqlite3_step(probe->stmt);
        sqlite3_reset(probe->stmt);
    }
    return rc == SQLITE_INTERRUPT;
}

void
sq_probe_end(sq_probe *probe)
{
    sqlite3_finalize(probe->stmt);
    probe->stmt = NULL;
}

clo_status
sq_call_run(sq_state *state, clo_call *call, clo_err *err)
{
    sq_probe probe = {0};
    clo_status st;

    while ((st = clo_call_step(call, SLICE_MS, err)) == CLO_AGAIN) {
        bool sent;

        if (!sq_interrupted(state->db, &probe))
            continue;
        sent = clo_call_uncertain(call);
        clo_err_clear(err);
        st = clo_err_set(
            err, CLO_E_STOPPED, "%s",
            sent ? "interrupted after the request was sent, so it may have been carried out"
                 : "interrupted");
        err->uncertain = sent;
        break;
    }
    sq_probe_end(&probe);
    return st == CLO_DONE ? CLO_DONE : CLO_ERROR;
}

clo_call *
sq_request_run(sq_state *state, clo_request *req, clo_err *err)
{
    clo_call *call;

    if (req == NULL)
        return NULL;
    if (sq_batch_settle(state, err) != CLO_OK) {
        clo_request_free(req);
        return NULL;
    }
    call = clo_call_new(state->client, req, err);
    if (call != NULL && sq_call_run(state, call, err) != CLO_DONE) {
        clo_call_free(call);
        call = NULL;
    }
    return call;
}

clo_status
sq_cursor_step(sq_state *state, clo_cursor *cur, sq_probe *probe, clo_err *err)
{
    clo_status st;

    while ((st = clo_cursor_step(cur, SLICE_MS, err)) == CLO_AGAIN) {
        if (!sq_interrupted(state->db, probe))
            continue;
        clo_err_clear(err);
        return clo_err_set(err, CLO_E_STOPPED, "interrupted");
    }
    return st;
}

clo_status
sq_fields_run(sq_state *state, clo_fields *fields, clo_err *err)
{
    sq_probe probe = {0};
    clo_status st;

    if (sq_batch_settle(state, err) != CLO_OK)
        return CLO_ERROR;
    while ((st = clo_fields_step(fields, SLICE_MS, err)) == CLO_AGAIN) {
        if (!sq_interrupted(state->db, &probe))
            continue;
        clo_err_clear(err);
        st = clo_err_set(err, CLO_E_STOPPED, "interrupted");
        break;
    }
    sq_probe_end(&probe);
    return st == CLO_DONE ? CLO_DONE : CLO_ERROR;
}

int
sq_result_code(const clo_err *err)
{
    switch (err->code) {
    case CLO_E_NONE:
        return SQLITE_OK;
    case CLO_E_AUTH:
    case CLO_E_FORBIDDEN:
        return SQLITE_AUTH;
    case CLO_E_REJECTED:
    case CLO_E_CONFLICT:
        return SQLITE_CONSTRAINT;
    case CLO_E_RATE:
        return SQLITE_BUSY;
    case CLO_E_LIMIT:
        return SQLITE_TOOBIG;
    case CLO_E_NOMEM:
        return SQLITE_NOMEM;
    case CLO_E_STOPPED:
        return SQLITE_INTERRUPT;
    case CLO_E_ARG:
    case CLO_E_CONFIG:
    case CLO_E_NOTFOUND:
    case CLO_E_REMOTE:
    case CLO_E_NET:
    case CLO_E_TIMEOUT:
    case CLO_E_UNCERTAIN:
    case CLO_E_PROTO:
    case CLO_E_BUG:
    case CLO_E__COUNT:
        break;
    }
    return SQLITE_ERROR;
}

char *
sq_error_text(const clo_err *err, const char *who)
{
    sqlite3_str *text = sqlite3_str_new(NULL);
    const char *msg = err->msg;
    size_t n = strlen(who);

    if (strncmp(msg, who, n) == 0 && strncmp(msg + n, ": ", 2) == 0)
        msg += n + 2; /* the core has said it already */
    sqlite3_str_appendf(text, "%s: %s: %s", who, clo_code_name(err->code), msg);
    if (err->detail[0] != '\0')
        sqlite3_str_appendf(text, " (%s)", err->detail);
    if (err->request_id[0] != '\0')
        sqlite3_str_appendf(text, " [%s]", err->request_id);
    if (err->hint != NULL)
        sqlite3_str_appendf(text, "; %s", err->hint);
    return sqlite3_str_finish(text);
}

void
sq_result_error(sqlite3_context *ctx, const clo_err *err, const char *who)
{
    char *text = err->code == CLO_E_NOMEM ? NULL : sq_error_text(err, who);

    if (text == NULL) {
        sqlite3_result_error_nomem(ctx);
        return;
    }
    sqlite3_result_error(ctx, text, -1);
    sqlite3_result_error_code(ctx, sq_result_code(err));
    sqlite3_free(text);
}

int
sq_vtab_error(sqlite3_vtab *vtab, const clo_err *err, const char *who)
{
    sqlite3_free(vtab->zErrMsg);
    vtab->zErrMsg = sq_error_text(err, who);
    return vtab->zErrMsg == NULL ? SQLITE_NOMEM : sq_result_code(err);
}

void
sq_result_json(sqlite3_context *ctx, const char *text, size_t len)
{
    sqlite3_result_text64(ctx, text, len, SQLITE_TRANSIENT, SQLITE_UTF8);
    sqlite3_result_subtype(ctx, SQ_JSON_SUBTYPE);
}

clo_code
sq_value_get(sqlite3_value *v, clo_value *out)
{
    const unsigned char *text;
    size_t len;

    *out = clo_null();
    switch (sqlite3_value_type(v)) {
    case SQLITE_NULL:
        return CLO_E_NONE;
    case SQLITE_INTEGER:
        *out = clo_int(sqlite3_value_int64(v));
        return CLO_E_NONE;
    case SQLITE_FLOAT:
        *out = clo_real(sqlite3_value_double(v));
        return CLO_E_NONE;
    case SQLITE_TEXT:
        text = sqlite3_value_text(v); /* before bytes: it may convert the encoding */
        if (text == NULL)
            return CLO_E_NOMEM;
        len = (size_t)sqlite3_value_bytes(v);
        *out = sqlite3_value_subtype(v) == SQ_JSON_SUBTYPE ? clo_json_value((const char *)text, len)
                                                           : clo_text((const char *)text, len);
        return CLO_E_NONE;
    default:
        return CLO_E_ARG;
    }
}

clo_status
sq_value_error(clo_code code, const char *what, const char *name, clo_err *err)
{
    if (code == CLO_E_NOMEM)
        return clo_err_set(err, CLO_E_NOMEM, "out of memory");
    return clo_err_set(err, code, "%s %s is a BLOB; text, a number or NULL is expected", what,
                       name);
}
