/*
 * sq_update.c - INSERT, UPDATE and DELETE as create, update and delete tools.
 *
 * What SQLite hands over for a WITHOUT ROWID table:
 *
 *      DELETE   argc 1   argv[0] id of the row
 *      INSERT            argv[0] NULL, argv[1] NULL, argv[2..] the columns (NULL where none was given)
 *      UPDATE            argv[0] id of the row, argv[2..] the columns; unchanged ones are marked
 *
 * Only changed columns are sent. SET id is refused always, also to the same value: in UPDATE ... FROM
 * SQLite passes the new id in argv[0], and the old one nowhere, so the wrong row would be written. That
 * also keeps out UPDATE ... FROM itself where SQLite does not mark the unchanged columns (3.40).
 *
 * SQLite collects the rows of an UPDATE or DELETE before the first call of xUpdate (or, for a lookup by id,
 * closes the cursor), so a scan never sees its own changes.
 *
 * Conflict clauses. Close keeps no unique keys that a client chooses, so there is little to resolve:
 *      OR IGNORE   skips a row that Close refuses with 409; everything else is an error still.
 *                  Skipping whatever is refused would also skip misspelt values in silence.
 *      OR REPLACE  is refused for INSERT: the id of a new row is Close's choice.
 *      OR ABORT, FAIL, ROLLBACK   act on the local transaction as SQLite documents. What was sent
 *                  stays sent.
 *
 * INSERT ... RETURNING shows the values of the statement, not those of the service, for SQLite computes
 * it from the former; close_last_id() has the new id.
 *
 * Errors in the values of a row are SQLITE_CONSTRAINT, as for an ordinary table.
 *
 * Rows of an INSERT are sent several at a time where SQLite allows it (sq_batch.c); everything else is
 * sent and waited for in turn.
 */
#include "sq.h"

#include <string.h>

typedef struct change {
    clo_kind kind;
    const char *id; /* borrowed from argv */
    int *cols;
    clo_value *vals; /* one block with cols */
    size_t n;
} change;

static clo_value
fit(const clo_column *c, clo_value v)
{
    if (c->type == CLO_T_JSON && v.type == CLO_T_TEXT)
        return clo_json_value(v.text, v.len);
    if (c->type == CLO_T_BOOL && v.type == CLO_T_INT && (v.u.i == 0 || v.u.i == 1))
        return clo_bool(v.u.i != 0);
    return v;
}

static clo_status
add_column(change *ch, const clo_table *t, int column, sqlite3_value *v, clo_err *err)
{
    const clo_column *c = &t->columns[column];
    clo_value value;
    clo_code code;

    if (ch->kind == CLO_UPDATE && sqlite3_value_nochange(v))
        return CLO_OK;
    if (ch->kind == CLO_UPDATE && (c->flags & CLO_C_KEY) != 0) {
        clo_err_set(err, CLO_E_ARG, "column %s names the row and cannot be set by UPDATE", c->name);
        err->hint = SQ_UPDATE_FROM_HINT;
        return CLO_ERROR;
    }
    code = sq_value_get(v, &value);
    if (code != CLO_E_NONE)
        return sq_value_error(code, "column", c->name, err);
    if (ch->kind == CLO_CREATE && value.type == CLO_T_NULL)
        return CLO_OK;
    ch->cols[ch->n] = column;
    ch->vals[ch->n++] = fit(c, value);
    return CLO_OK;
}

static clo_status
read_change(change *ch, const clo_table *t, int argc, sqlite3_value **argv, clo_err *err)
{
    memset(ch, 0, sizeof *ch);
    ch->kind = argc == 1                                    ? CLO_DELETE
               : sqlite3_value_type(argv[0]) == SQLITE_NULL ? CLO_CREATE
                                                            : CLO_UPDATE;
    if (ch->kind != CLO_CREATE) {
        ch->id = (const char *)sqlite3_value_text(argv[0]);
        if (ch->id == NULL)
            return clo_err_set(err, CLO_E_NOMEM, "out of memory");
    }
    if (ch->kind == CLO_DELETE)
        return CLO_OK;
    ch->vals = sqlite3_malloc64((t->n_columns + 1) * (sizeof *ch->vals + sizeof *ch->cols));
    if (ch->vals == NULL)
        return clo_err_set(err, CLO_E_NOMEM, "out of memory");
    ch->cols = (int *)(ch->vals + t->n_columns + 1);
    for (int i = 0; i < argc - 2 && (size_t)i < t->n_columns; i++)
        if (add_column(ch, t, i, argv[i + 2], err) != CLO_OK)
            return CLO_ERROR;
    return CLO_OK;
}

static clo_request *
request_of(const sq_table *t, const change *ch, clo_err *err)
{
    return clo_request_row(t->table, ch->kind, ch->id, ch->n, ch->cols, ch->vals, err);
}

static clo_status
send(sq_table *t, const change *ch, int on_conflict, clo_err *err)
{
    clo_call *call;

    if (ch->kind == CLO_CREATE && on_conflict == SQLITE_REPLACE)
        return clo_err_set(
            err, CLO_E_ARG,
            "INSERT OR REPLACE has no meaning here: Close chooses the id of a new row");
    call = sq_request_run(t->state, request_of(t, ch, err), err);
    clo_call_free(call);
    return call == NULL ? CLO_ERROR : CLO_OK;
}

/* After a row has been created SQLITE_BUSY would be a lie: it tells programs to run the statement again. */
int
sq_write_error(sqlite3_vtab *vtab, const clo_err *err)
{
    const sq_table *t = (const sq_table *)vtab;
    int rc = sq_vtab_error(vtab, err, t->table->name);

    if (rc == SQLITE_BUSY && t->state->batch.created > 0)
        return SQLITE_ERROR;
    return err->code == CLO_E_ARG && rc != SQLITE_NOMEM ? SQLITE_CONSTRAINT : rc;
}

int
sq_update(sqlite3_vtab *vtab, int argc, sqlite3_value **argv, sqlite3_int64 *rowid)
{
    sq_table *t = (sq_table *)vtab;
    int on_conflict = sqlite3_vtab_on_conflict(t->state->db);
    change ch;
    clo_err err;
    clo_status st;
    int rc;

    *rowid = sqlite3_last_insert_rowid(t->state->db); /* there is none: leave the user's alone */
    clo_err_clear(&err);
    st = read_change(&ch, t->table, argc, argv, &err);
    if (ch.kind == CLO_CREATE && sq_batch_open(t))
        st = sq_batch_add(t->state, st == CLO_OK ? request_of(t, &ch, &err) : NULL, &err);
    else if (st == CLO_OK)
        st = send(t, &ch, on_conflict, &err);
    sqlite3_free(ch.vals);
    if (st == CLO_OK)
        return SQLITE_OK;
    rc = sq_write_error(vtab, &err);
    /* SQLite skips the row on any CONSTRAINT under OR IGNORE; see the essay. */
    if (on_conflict == SQLITE_IGNORE && rc == SQLITE_CONSTRAINT && err.code != CLO_E_CONFLICT)
        return SQLITE_ERROR;
    return rc;
}
