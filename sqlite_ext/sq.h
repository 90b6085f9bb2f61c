/*
 * sq.h - what the files of the SQLite glue share, one section per file. The glue translates between
 * SQLite and clo.h; it knows no URL, no JSON and no retry.
 *
 * Ownership: one sq_state per load of the library into a connection. Every function and module that
 * is registered holds one reference in its client data, which SQLite gives back through the
 * destructor; so do virtual tables. The last one drops the client. SQLite runs all of this under the
 * connection's own mutex, so the count needs no lock.
 */
#ifndef SQ_H
#define SQ_H

#include "clo.h"

#ifndef SQ_INIT /* defined by the one file that holds the pointer to SQLite's routines */
#include <sqlite3ext.h>
SQLITE_EXTENSION_INIT3
#endif

#define SQ_OLDEST_SQLITE 3038000 /* sqlite3_vtab_in, sqlite3_vtab_rhs_value */
#define SQ_JSON_SUBTYPE 'J'      /* how SQLite marks text that is JSON */

/* Create calls of one INSERT that run at the same time (sq_batch.c). All zero: none. */
typedef struct sq_flight {
    clo_call *call;
    sqlite3_int64 row; /* of the statement, from 1 */
} sq_flight;
typedef struct sq_batch {
    sq_flight *flights; /* owned */
    int cap, running;
    sqlite3_int64 rows, created, lost; /* started; known to exist; may exist */
    sqlite3_int64 left_ms;             /* when SQLite was last let go on */
    sqlite3_int64 last_row;
    char *last_id; /* of last_row; owned; NULL: none, or handed on */
    char ids[160]; /* of created rows, as many as fit */
    bool ids_cut;
    bool failed; /* err is the first failure */
    clo_err err;
} sq_batch;

/* What one load of the library into one connection shares. */
typedef struct sq_state {
    long refs;
    sqlite3 *db;
    clo_client *client;
    bool readonly; /* loaded by the read-only entry point */
    sq_batch batch;
} sq_state;

/* ---- close_sqlite.c --------------------------------------------------------------------- */
int sqlite3_close_init(sqlite3 *db, char **error, const sqlite3_api_routines *api);
int sqlite3_closereadonly_init(sqlite3 *db, char **error, const sqlite3_api_routines *api);
sq_state *sq_state_ref(sq_state *state);
void sq_state_unref(sq_state *state);

/* ---- sq_host.c --------------------------------------------------------------------------
 * Errors, waiting, values. */

/* Asks SQLite whether the running statement was interrupted. Zero-initialise; `sq_probe_end` before
 * the statement that owns it ends. */
typedef struct sq_probe {
    sqlite3_stmt *stmt;
} sq_probe;
bool sq_interrupted(sqlite3 *db, sq_probe *probe);
void sq_probe_end(sq_probe *probe);

/* Steps to the end: DONE or ERROR. An interrupt ends it with STOPPED, which says whether a write may
 * have happened. */
clo_status sq_call_run(sq_state *state, clo_call *call, clo_err *err);
/* Makes the call of a request, runs it, and hands the call over for its result; NULL: `err`. Consumes
 * `req`, also when it is NULL because making it failed. */
clo_call *sq_request_run(sq_state *state, clo_request *req, clo_err *err);
/* The same loop for a scan (ROW, DONE or ERROR) and for reading custom fields (DONE or ERROR). */
clo_status sq_cursor_step(sq_state *state, clo_cursor *cur, sq_probe *probe, clo_err *err);
clo_status sq_fields_run(sq_state *state, clo_fields *fields, clo_err *err);

int sq_result_code(const clo_err *err);
/* The user's sentence, by sqlite3_malloc; NULL when out of memory. `who` is the tool or table. */
char *sq_error_text(const clo_err *err, const char *who);
/* Function result: the error. */
void sq_result_error(sqlite3_context *ctx, const clo_err *err, const char *who);
/* Virtual table: puts the message where SQLite looks for it and returns the result code. */
int sq_vtab_error(sqlite3_vtab *vtab, const clo_err *err, const char *who);
/* Function result: JSON text with its subtype. */
void sq_result_json(sqlite3_context *ctx, const char *text, size_t len);

/* An SQL value as it is; text is borrowed from `v`. ARG: it is a BLOB, which nothing in Close is; NOMEM. */
clo_code sq_value_get(sqlite3_value *v, clo_value *out);
/* Says so: "argument note is a BLOB ...". */
clo_status sq_value_error(clo_code code, const char *what, const char *name, clo_err *err);

/* ---- sq_func.c -------------------------------------------------------------------------- */
int sq_functions_register(sq_state *state);
/* An argument as NUL-terminated text of *len bytes, borrowed from `v`; *text is NULL for SQL NULL. */
clo_status sq_text_argument(sqlite3_value *v, const char *name, const char **text, size_t *len,
                            clo_err *err);

/* ---- sq_info.c --------------------------------------------------------------------------
 * Read-only tables that exist by themselves. */
typedef struct sq_info_table {
    sqlite3_vtab base; /* first; SQLite's part */
    const struct sq_info_kind *kind;
    void *owner; /* a reference */
    void *own;   /* whatever `connected` puts there */
} sq_info_table;
typedef struct sq_info_cursor {
    sqlite3_vtab_cursor base;
    size_t row, n_rows; /* at row 0 .. n_rows - 1 */
    void *rows;         /* the kind's: a copy of them, or a way to get more */
} sq_info_cursor;
typedef struct sq_info_kind {
    const char *name, *declaration;
    /* Fills rows and n_rows, which are empty. */
    int (*load)(sq_info_table *t, sq_info_cursor *cur);
    void (*column)(sqlite3_context *ctx, const sq_info_cursor *cur, int column);
    void (*ref)(void *owner), (*unref)(void *owner);
    /* Each may be NULL. */
    int (*more)(sq_info_cursor *cur); /* at the end: raises n_rows if there is another one */
    void (*drop)(void *rows);         /* NULL: sqlite3_free */
    void (*connected)(sq_info_table *t), (*disconnected)(sq_info_table *t);
} sq_info_kind;
/* Registers a table; the module and each instance hold a reference on `owner`. */
int sq_info_add(sqlite3 *db, const sq_info_kind *kind, void *owner);
int sq_info_register(sq_state *state);

/* ---- sq_vtab.c -------------------------------------------------------------------------- */
typedef struct sq_table {
    sqlite3_vtab base; /* first; SQLite's part */
    sq_state *state;
    const clo_table *table; /* of the catalogue, or `dynamic` */
    clo_table *dynamic;     /* with custom fields; owned */
    bool begun;             /* xBegin was called, and neither xCommit nor xRollback since */
} sq_table;
int sq_tables_register(sq_state *state);

/* ---- sq_plan.c -------------------------------------------------------------------------- */
enum { /* idxNum: what the argv of xFilter holds after the slots of the plan */
       SQ_HAS_LIMIT = 1,
       SQ_HAS_OFFSET = 2, /* the core skips the rows */
       SQ_ADD_OFFSET = 4, /* SQLite skips them itself: the offset only widens the limit */
       SQ_COUNTABLE = 8   /* if no id is read, total_results says it all */
};
int sq_best_index(sqlite3_vtab *vtab, sqlite3_index_info *info);

/* ---- sq_bind.c --------------------------------------------------------------------------
 * Right-hand sides of conditions, after the affinity that SQLite's own comparison applies. */
typedef struct sq_binds {
    clo_bind bind[CLO_MAX_SLOTS];
    clo_value one[CLO_MAX_SLOTS]; /* the value of a slot that is no list */
    clo_value *list;              /* values of the IN slot; owned */
    char *text;                   /* their texts; owned */
} sq_binds;
/* Numbers first, on the argv of xFilter itself: a copy of a value belongs to no connection, and newer SQLite
 * (seen in 3.52) follows its pointer to one when it converts a text. */
void sq_bind_numbers(const clo_plan *plan, sqlite3_value **argv);
/* The values stay valid while `argv` does, and must be given back by sq_binds_free. Returns a result
 * code; only memory can be missing. */
int sq_binds_make(const clo_plan *plan, sqlite3_value **argv, sq_binds *out);
void sq_binds_free(sq_binds *b);

/* ---- sq_update.c ------------------------------------------------------------------------ */
/* Older SQLite reads and sets every column in UPDATE ... FROM, without a mark on unchanged ones. */
#define SQ_UPDATE_FROM_HINT                                                                        \
    "if this is UPDATE ... FROM, which this SQLite does not offer to such tables, write "          \
    "SET column = (SELECT ...) WHERE id IN (SELECT ...)"
int sq_update(sqlite3_vtab *vtab, int argc, sqlite3_value **argv, sqlite3_int64 *rowid);
/* The message and the result code of a failed write. */
int sq_write_error(sqlite3_vtab *vtab, const clo_err *err);

/* ---- sq_batch.c ------------------------------------------------------------------------- */
/* Whether the row that xUpdate has been given may be in flight when it returns. */
bool sq_batch_open(const sq_table *t);
/* Starts the call of a row. Consumes `req`; NULL: making it failed, and `err` says why. An error may be that
 * of an earlier row. */
clo_status sq_batch_add(sq_state *state, clo_request *req, clo_err *err);
/* Waits for all that is in flight. To be called before the client is used for anything else. */
clo_status sq_batch_settle(sq_state *state, clo_err *err);
void sq_batch_end(sq_state *state); /* the transaction is over */
int sq_batch_begin(sqlite3_vtab *vtab);
int sq_batch_sync(sqlite3_vtab *vtab);
int sq_batch_commit(sqlite3_vtab *vtab);
int sq_batch_rollback(sqlite3_vtab *vtab);

/* ---- sq_outbox.c ------------------------------------------------------------------------ */
int sq_outbox_register(sq_state *state);
bool sq_outbox_exists(sqlite3 *db);
void sq_outbox_missing(clo_err *err);

/* ---- sq_drain.c ------------------------------------------------------------------------- */
/* Sends at most `max` rows; returns how many came to an end (done, failed, uncertain). */
sqlite3_int64 sq_outbox_drain(sq_state *state, sqlite3_int64 max, clo_err *err);

#endif
