/*
 * sq_outbox.c - the outbox in the user's database file: its table, what goes in, what people do to it.
 *
 *      close_outbox_install()                   makes the table; 1 when it was not there, else 0
 *      close_enqueue(tool, params [, options])  writes a row in the caller's transaction, gives its id
 *      close_outbox_check(tool, params [, at])  what the table's trigger asks; 1 or an error
 *      close_outbox_key(tool, params)           the ordering key that this trigger fills in
 *      close_outbox_identifier()                whose rows this connection writes
 *      close_outbox_retry(id)                   failed, uncertain, cancelled or waiting: due now
 *      close_outbox_cancel(id)                  pending, failed or uncertain: never sent
 *      close_outbox_drain([max])                sends what is due (sq_drain.c)
 *
 * The table is plain SQL on purpose: it can be read, joined, dumped and backed up without this
 * library, and a row joins the transaction and the savepoints of whoever writes it, because it is
 * nothing but an INSERT. Rows may be written directly; a trigger has them checked by the same code.
 * Without the library loaded that trigger fails, so nothing unchecked gets in.
 *
 * Columns. Times are canonical UTC text, which sorts as time does. ordering_key defaults to the lead_id
 * of the parameters; the empty text means that order does not matter. object_id is the id of what a create
 * made; it is unique, so that no two rows can claim one object (fate.c). enqueued_by is the
 * setting identifier at that moment: a connection sends only rows of its own identifier, or of
 * none. worker, lease_until and sent_at belong to the worker that holds the row. finished is set when
 * nothing will happen to the row any more unless somebody asks for it, so not for uncertain ones.
 * Conditions avoid IN with more than two values, for which SQLite builds a table at each row. Indexes do
 * not name the id: it is the rowid, with which each of their entries ends anyway.
 *
 * What the schema itself calls (check, key, identifier) has no effect and is INNOCUOUS, so that the outbox works
 * where trusted_schema is off, as in newer shells; only triggers of the user that call us need it on. (SQLite's
 * own json_extract is not INNOCUOUS in 3.40, hence the key.)
 *
 * close_enqueue has checked a row itself when its INSERT reaches the trigger, so it leaves a note of
 * what it checked; the trigger's question about the very same texts is then answered at once. There
 * is one trigger, AFTER: each one costs a row as much as an index does, and one BEFORE a copy of all columns,
 * too. Files made by earlier versions have two (BEFORE, and one for the key), which do the same.
 *
 * Its INSERT is kept prepared, for triggers that enqueue thousands of rows. A prepared statement that
 * nobody finalizes makes sqlite3_close fail, and the only thing that SQLite tells before it
 * looks for those is a virtual table, by xDisconnect. So the statement lives in the instance of an
 * eponymous table (as full-text search keeps its own), close_outbox_summary, which counts rows by
 * state and is of use by itself.
 */
#include "sq.h"

#include <string.h>

#define NOW_SQL "strftime('%Y-%m-%dT%H:%M:%f000Z', 'now')"
#define TIME_SHAPE "????[-]??[-]??T??:??:??.??????Z" /* a bare hyphen would make a trigraph */
#define OPEN_SQL "finished IS NULL"

static const char schema_sql[] =
    "CREATE TABLE IF NOT EXISTS main.close_outbox (\n"
    "  id INTEGER PRIMARY KEY,\n"
    "  tool TEXT NOT NULL,\n"
    "  params TEXT NOT NULL DEFAULT '{}',\n"
    "  ordering_key TEXT,\n"
    "  reference TEXT,\n"
    "  state TEXT NOT NULL DEFAULT 'pending' CHECK (state = 'pending' OR state = 'sending' "
    "OR state = 'done' OR state = 'failed' OR state = 'uncertain' OR state = 'cancelled'),\n"
    "  attempts INTEGER NOT NULL DEFAULT 0,\n"
    "  next_attempt TEXT NOT NULL DEFAULT (" NOW_SQL ")\n"
    "    CHECK (next_attempt GLOB '" TIME_SHAPE "'),\n"
    "  created TEXT NOT NULL DEFAULT (" NOW_SQL "),\n"
    "  finished TEXT,\n"
    "  execution_id TEXT,\n"
    "  object_id TEXT,\n"
    "  result TEXT,\n"
    "  error_class TEXT,\n"
    "  error TEXT,\n"
    "  enqueued_by TEXT DEFAULT (close_outbox_identifier()),\n"
    "  worker TEXT,\n"
    "  lease_until TEXT,\n"
    "  sent_at TEXT\n"
    ") STRICT;\n"
    "CREATE UNIQUE INDEX IF NOT EXISTS main.close_outbox_reference ON close_outbox (reference)\n"
    "  WHERE reference IS NOT NULL;\n"
    "CREATE UNIQUE INDEX IF NOT EXISTS main.close_outbox_object ON close_outbox (object_id)\n"
    "  WHERE object_id IS NOT NULL;\n"
    "CREATE INDEX IF NOT EXISTS main.close_outbox_open ON close_outbox (state)\n"
    "  WHERE " OPEN_SQL ";\n"
    "CREATE TRIGGER IF NOT EXISTS main.close_outbox_check AFTER INSERT ON close_outbox BEGIN\n"
    "  SELECT close_outbox_check(NEW.tool, NEW.params, NEW.next_attempt);\n"
    "  SELECT RAISE(ABORT, 'close_outbox: a new row is pending, and only a worker fills in "
    "attempts, "
    "finished, execution_id, object_id, result, error_class, error, worker, lease_until and "
    "sent_at')\n"
    "   WHERE NEW.state <> 'pending' OR NEW.attempts <> 0 OR coalesce(NEW.finished, "
    "NEW.execution_id, NEW.object_id, NEW.result, NEW.error_class, NEW.error, NEW.worker, "
    "NEW.lease_until, NEW.sent_at) IS NOT NULL;\n"
    "  UPDATE close_outbox SET ordering_key = close_outbox_key(NEW.tool, NEW.params)\n"
    "   WHERE id = NEW.id AND NEW.ordering_key IS NULL;\n"
    "END;\n";

static const char insert_sql[] =
    "INSERT INTO main.close_outbox (tool, params, ordering_key, reference, created, next_attempt, "
    "enqueued_by) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7) "
    "ON CONFLICT (reference) WHERE reference IS NOT NULL DO NOTHING";
static const char find_sql[] = "SELECT id FROM main.close_outbox WHERE reference = ?1";
static const char state_sql[] = "SELECT state FROM main.close_outbox WHERE id = ?1";
static const char retry_sql[] =
    "UPDATE main.close_outbox SET attempts = CASE state WHEN 'pending' THEN attempts ELSE 0 END, "
    "state = 'pending', next_attempt = " NOW_SQL ", finished = NULL, error_class = NULL, "
    "error = NULL, worker = NULL, lease_until = NULL "
    "WHERE id = ?1 AND state IN ('pending', 'failed', 'uncertain', 'cancelled') RETURNING id";
static const char cancel_sql[] =
    "UPDATE main.close_outbox SET state = 'cancelled', finished = " NOW_SQL ", worker = NULL, "
    "lease_until = NULL "
    "WHERE id = ?1 AND state IN ('pending', 'failed', 'uncertain') RETURNING id";
static const char summary_sql[] =
    "SELECT state, count(*), min(created), min(next_attempt) FROM main.close_outbox "
    "GROUP BY state ORDER BY state";

/* What the functions of one load share. */
typedef struct sq_box {
    long refs;
    sq_state *state;
    /* What close_enqueue has just checked, while its INSERT runs; borrowed. */
    const char *checked_tool, *checked_params;
    size_t checked_len;
    sq_info_table *keeper; /* has the prepared INSERT; NULL: not connected */
} sq_box;

static void
box_ref(void *p)
{
    sq_box *box = p;

    box->refs++;
}

static void
box_drop(void *p)
{
    sq_box *box = p;

    if (--box->refs > 0)
        return;
    sq_state_unref(box->state);
    sqlite3_free(box);
}

/* ---- errors --------------------------------------------------------------------------------- */

bool
sq_outbox_exists(sqlite3 *db)
{
    return sqlite3_table_column_metadata(db, "main", "close_outbox", "lease_until", NULL, NULL,
                                         NULL, NULL, NULL) == SQLITE_OK;
}

void
sq_outbox_missing(clo_err *err)
{
    clo_err_set(err, CLO_E_CONFIG, "this database has no table close_outbox");
    err->hint = "SELECT close_outbox_install() makes it";
}

/* SQLite's own words and code, which are about the user's data; a missing table gets ours. */
static void
fail_with_db(sqlite3_context *ctx, const char *who, int rc)
{
    sqlite3 *db = sqlite3_context_db_handle(ctx);
    char *text = sqlite3_mprintf("%s", sqlite3_errmsg(db));
    clo_err err;

    if (rc == SQLITE_ERROR && !sq_outbox_exists(db)) {
        clo_err_clear(&err);
        sq_outbox_missing(&err);
        sq_result_error(ctx, &err, who);
    } else if (text == NULL || rc == SQLITE_NOMEM) {
        sqlite3_result_error_nomem(ctx);
    } else {
        sqlite3_result_error(ctx, text, -1);
        sqlite3_result_error_code(ctx, rc);
    }
    sqlite3_free(text);
}

/* ---- the kept statement, and close_outbox_summary ------------------------------------------- */

static void
summary_connected(sq_info_table *t)
{
    sq_box *box = t->owner;

    if (box->keeper == NULL)
        box->keeper = t;
}

static void
summary_disconnected(sq_info_table *t)
{
    sq_box *box = t->owner;

    sqlite3_finalize(t->own);
    if (box->keeper == t)
        box->keeper = NULL;
}

static int
summary_more(sq_info_cursor *cur)
{
    int rc = sqlite3_step(cur->rows);

    cur->n_rows += rc == SQLITE_ROW;
    return rc == SQLITE_ROW || rc == SQLITE_DONE ? SQLITE_OK : rc;
}

static int
summary_load(sq_info_table *t, sq_info_cursor *cur)
{
    sqlite3 *db = ((const sq_box *)t->owner)->state->db;
    sqlite3_stmt *rows;
    clo_err err;

    if (sqlite3_prepare_v2(db, summary_sql, -1, &rows, NULL) != SQLITE_OK) {
        clo_err_clear(&err);
        if (sq_outbox_exists(db))
            clo_err_set(&err, CLO_E_CONFIG, "%s", sqlite3_errmsg(db));
        else
            sq_outbox_missing(&err);
        return sq_vtab_error(&t->base, &err, "close_outbox_summary");
    }
    cur->rows = rows;
    return summary_more(cur);
}

static void
summary_drop(void *rows)
{
    sqlite3_finalize(rows);
}

static void
summary_column(sqlite3_context *ctx, const sq_info_cursor *cur, int i)
{
    sqlite3_result_value(ctx, sqlite3_column_value(cur->rows, i));
}

static const sq_info_kind summary_kind = {
    .name = "close_outbox_summary",
    .declaration = "CREATE TABLE x (state TEXT, rows INTEGER, oldest TEXT, next_attempt TEXT)",
    .load = summary_load,
    .more = summary_more,
    .drop = summary_drop,
    .column = summary_column,
    .ref = box_ref,
    .unref = box_drop,
    .connected = summary_connected,
    .disconnected = summary_disconnected,
};

/* The prepared INSERT. *kept: it stays with its keeper; else finalize it. While a nested use is
 * running (a trigger on close_outbox that enqueues), a second one is made. */
static int
insert_statement(sq_box *box, sqlite3_stmt **out, bool *kept)
{
    sqlite3 *db = box->state->db;
    sqlite3_stmt *connect;
    int rc;

    if (box->keeper == NULL && sqlite3_prepare_v2(db, "SELECT 1 FROM close_outbox_summary", -1,
                                                  &connect, NULL) == SQLITE_OK)
        sqlite3_finalize(connect);
    *kept = box->keeper != NULL;
    if (*kept && box->keeper->own != NULL && !sqlite3_stmt_busy(box->keeper->own)) {
        *out = box->keeper->own;
        return SQLITE_OK;
    }
    *kept = *kept && box->keeper->own == NULL;
    rc = sqlite3_prepare_v3(db, insert_sql, -1, *kept ? SQLITE_PREPARE_PERSISTENT : 0, out, NULL);
    if (rc == SQLITE_OK && *kept)
        box->keeper->own = *out;
    return rc;
}

/* ---- close_outbox_install ------------------------------------------------------------------- */

/* In a savepoint, so that it is made whole or not at all, alone or inside a transaction. */
static void
install_function(sqlite3_context *ctx, int argc, sqlite3_value **argv)
{
    sqlite3 *db = sqlite3_context_db_handle(ctx);
    bool there = sq_outbox_exists(db);
    char *text = NULL;
    int rc;

    (void)argc;
    (void)argv;
    rc = sqlite3_exec(db, "SAVEPOINT close_outbox_install", NULL, NULL, &text);
    if (rc == SQLITE_OK) {
        rc = sqlite3_exec(db, schema_sql, NULL, NULL, &text);
        if (rc != SQLITE_OK)
            (void)sqlite3_exec(db, "ROLLBACK TO close_outbox_install", NULL, NULL, NULL);
        (void)sqlite3_exec(db, "RELEASE close_outbox_install", NULL, NULL,
                           rc == SQLITE_OK ? &text : NULL);
    }
    if (rc == SQLITE_OK && text == NULL) {
        sqlite3_result_int(ctx, !there);
        return;
    }
    sqlite3_result_error(ctx, text != NULL ? text : sqlite3_errstr(rc), -1);
    sqlite3_result_error_code(ctx, rc != SQLITE_OK ? rc : SQLITE_ERROR);
    sqlite3_free(text);
}

/* ---- close_enqueue, close_outbox_check ------------------------------------------------------ */

static bool
checked_before(const sq_box *box, const char *tool, const char *params, size_t len)
{
    return box->checked_tool != NULL && tool != NULL && params != NULL && len == box->checked_len &&
           strcmp(tool, box->checked_tool) == 0 && memcmp(params, box->checked_params, len) == 0;
}

/* A time of the form that sorts as time does, and one that there is: any other would never come. */
static clo_status
check_time(sqlite3_value *v, clo_err *err)
{
    const char *text;
    char canonical[32];
    int64_t us;
    size_t n;

    if (sq_text_argument(v, "next_attempt", &text, &n, err) != CLO_OK)
        return CLO_ERROR;
    if (clo_outbox_time_us(text, &us)) {
        clo_outbox_time_text(us, canonical);
        if (strcmp(text, canonical) == 0)
            return CLO_OK;
    }
    return clo_err_set(err, CLO_E_ARG,
                       "next_attempt must be a time in UTC such as 2026-01-31T08:00:00.000000Z");
}

static void
check_function(sqlite3_context *ctx, int argc, sqlite3_value **argv)
{
    sq_box *box = sqlite3_user_data(ctx);
    const char *tool, *params;
    size_t n, len;
    clo_err err;

    clo_err_clear(&err);
    if (sq_text_argument(argv[0], "tool", &tool, &n, &err) == CLO_OK &&
        sq_text_argument(argv[1], "params", &params, &len, &err) == CLO_OK &&
        (checked_before(box, tool, params, len) ||
         ((argc < 3 || check_time(argv[2], &err) == CLO_OK) &&
          clo_outbox_check(box->state->client, tool, params, len, NULL, &err) == CLO_OK)))
        sqlite3_result_int(ctx, 1);
    else
        sq_result_error(ctx, &err, "close_outbox");
}

static void
key_function(sqlite3_context *ctx, int argc, sqlite3_value **argv)
{
    sq_box *box = sqlite3_user_data(ctx);
    const char *tool, *params;
    char *key = NULL;
    size_t n, len;
    clo_err err;

    (void)argc;
    clo_err_clear(&err);
    if (sq_text_argument(argv[0], "tool", &tool, &n, &err) != CLO_OK ||
        sq_text_argument(argv[1], "params", &params, &len, &err) != CLO_OK ||
        clo_outbox_check(box->state->client, tool, params, len, &key, &err) != CLO_OK)
        sq_result_error(ctx, &err, "close_outbox");
    else if (key != NULL)
        sqlite3_result_text(ctx, key, -1, SQLITE_TRANSIENT);
    clo_free(key);
}

/* The row with this reference, which is the answer to a second enqueue. */
static int
find_reference(sqlite3 *db, const char *reference, sqlite3_int64 *id)
{
    sqlite3_stmt *find;
    int rc = sqlite3_prepare_v2(db, find_sql, -1, &find, NULL);

    if (rc != SQLITE_OK)
        return rc;
    sqlite3_bind_text(find, 1, reference, -1, SQLITE_STATIC);
    rc = sqlite3_step(find);
    if (rc == SQLITE_ROW) {
        *id = sqlite3_column_int64(find, 0);
        rc = SQLITE_OK;
    }
    sqlite3_finalize(find);
    return rc;
}

typedef struct new_row {
    const char *tool, *params, *key;
    size_t len;
    clo_outbox_options options;
} new_row;

static int
insert_row(sq_box *box, const new_row *row, sqlite3_int64 *id)
{
    sqlite3 *db = box->state->db;
    sqlite3_int64 last = sqlite3_last_insert_rowid(db);
    const char *when = row->options.not_before;
    char now[32]; /* told once, where two defaults would each format the time */
    sqlite3_stmt *insert = NULL;
    bool kept;
    int rc = insert_statement(box, &insert, &kept), reset;

    if (rc != SQLITE_OK)
        return rc;
    clo_outbox_time(0, now);
    sqlite3_bind_text(insert, 1, row->tool, -1, SQLITE_STATIC);
    sqlite3_bind_text64(insert, 2, row->params, row->len, SQLITE_STATIC, SQLITE_UTF8);
    sqlite3_bind_text(insert, 3, row->key, -1, SQLITE_STATIC);
    sqlite3_bind_text(insert, 4, row->options.reference, -1, SQLITE_STATIC);
    sqlite3_bind_text(insert, 5, now, -1, SQLITE_STATIC);
    sqlite3_bind_text(insert, 6, when[0] != '\0' ? when : now, -1, SQLITE_STATIC);
    sqlite3_bind_text(insert, 7, clo_client_setting(box->state->client, "identifier"), -1,
                      SQLITE_TRANSIENT);
    box->checked_tool = row->tool;
    box->checked_params = row->params;
    box->checked_len = row->len;
    sqlite3_set_last_insert_rowid(db, 0); /* stays so when the reference is taken */
    rc = sqlite3_step(insert);
    *id = sqlite3_last_insert_rowid(db);
    if (rc == SQLITE_DONE && *id == 0)
        rc = find_reference(db, row->options.reference, id);
    box->checked_tool = NULL;
    reset = sqlite3_reset(insert);
    sqlite3_clear_bindings(insert);
    if (!kept)
        sqlite3_finalize(insert);
    sqlite3_set_last_insert_rowid(db, last); /* the user's own INSERT is what it should tell of */
    return reset != SQLITE_OK ? reset : rc == SQLITE_DONE ? SQLITE_OK : rc;
}

static clo_status
read_row(sq_box *box, int argc, sqlite3_value **argv, new_row *row, char **key, clo_err *err)
{
    const char *options = NULL;
    size_t n = 0;

    if (sq_text_argument(argv[0], "tool", &row->tool, &n, err) != CLO_OK ||
        sq_text_argument(argv[1], "params", &row->params, &row->len, err) != CLO_OK ||
        (argc > 2 && sq_text_argument(argv[2], "options", &options, &n, err) != CLO_OK) ||
        clo_outbox_options_read(options, n, &row->options, err) != CLO_OK)
        return CLO_ERROR;
    if (row->params == NULL) {
        row->params = "{}";
        row->len = 2;
    }
    if (clo_outbox_check(box->state->client, row->tool, row->params, row->len, key, err) != CLO_OK)
        return CLO_ERROR;
    row->key = row->options.ordering_key != NULL ? row->options.ordering_key
               : *key != NULL                    ? *key
                                                 : "";
    return CLO_OK;
}

/* close_enqueue(tool, params [, options]) */
static void
enqueue_function(sqlite3_context *ctx, int argc, sqlite3_value **argv)
{
    sq_box *box = sqlite3_user_data(ctx);
    new_row row;
    char *key = NULL;
    sqlite3_int64 id = 0;
    clo_err err;
    int rc;

    memset(&row, 0, sizeof row);
    clo_err_clear(&err);
    if (read_row(box, argc, argv, &row, &key, &err) != CLO_OK) {
        sq_result_error(ctx, &err, "close_enqueue");
    } else {
        rc = insert_row(box, &row, &id);
        if (rc == SQLITE_OK)
            sqlite3_result_int64(ctx, id);
        else
            fail_with_db(ctx, "close_enqueue", rc);
    }
    clo_outbox_options_free(&row.options);
    clo_free(key);
}

/* The setting, which is no secret: it is in every row. */
static void
identifier_function(sqlite3_context *ctx, int argc, sqlite3_value **argv)
{
    sq_box *box = sqlite3_user_data(ctx);
    const char *text = clo_client_setting(box->state->client, "identifier");

    (void)argc;
    (void)argv;
    if (text != NULL)
        sqlite3_result_text(ctx, text, -1, SQLITE_TRANSIENT);
}

/* ---- close_outbox_retry, close_outbox_cancel ------------------------------------------------ */

/* Why the row cannot be changed so. */
static void
refuse_change(sqlite3 *db, sqlite3_int64 id, const char *verb, clo_err *err)
{
    sqlite3_stmt *find;

    if (sqlite3_prepare_v2(db, state_sql, -1, &find, NULL) != SQLITE_OK) {
        clo_err_set(err, CLO_E_CONFIG, "%s", sqlite3_errmsg(db));
        return;
    }
    sqlite3_bind_int64(find, 1, id);
    if (sqlite3_step(find) == SQLITE_ROW)
        clo_err_set(err, CLO_E_ARG, "row %lld is %s and cannot be %s", (long long)id,
                    (const char *)sqlite3_column_text(find, 0), verb);
    else
        clo_err_set(err, CLO_E_ARG, "there is no row %lld in close_outbox", (long long)id);
    sqlite3_finalize(find);
}

static void
change_row(sqlite3_context *ctx, sqlite3_value *arg, const char *who, const char *sql,
           const char *verb)
{
    sqlite3 *db = sqlite3_context_db_handle(ctx);
    sqlite3_int64 id = sqlite3_value_int64(arg);
    sqlite3_stmt *change;
    clo_err err;
    int rc, again;

    clo_err_clear(&err);
    if (sqlite3_value_numeric_type(arg) != SQLITE_INTEGER) {
        clo_err_set(&err, CLO_E_ARG, "the id of a row is an integer");
        sq_result_error(ctx, &err, who);
        return;
    }
    rc = sqlite3_prepare_v2(db, sql, -1, &change, NULL);
    if (rc != SQLITE_OK) {
        fail_with_db(ctx, who, rc);
        return;
    }
    sqlite3_bind_int64(change, 1, id);
    rc = sqlite3_step(change);
    again = rc == SQLITE_ROW ? sqlite3_step(change) : rc;
    if (rc == SQLITE_ROW && again == SQLITE_DONE) {
        sqlite3_result_int64(ctx, id);
    } else if (again == SQLITE_DONE) {
        refuse_change(db, id, verb, &err);
        sq_result_error(ctx, &err, who);
    } else {
        fail_with_db(ctx, who, again);
    }
    sqlite3_finalize(change);
}

static void
retry_function(sqlite3_context *ctx, int argc, sqlite3_value **argv)
{
    (void)argc;
    change_row(ctx, argv[0], "close_outbox_retry", retry_sql, "sent again");
}

static void
cancel_function(sqlite3_context *ctx, int argc, sqlite3_value **argv)
{
    (void)argc;
    change_row(ctx, argv[0], "close_outbox_cancel", cancel_sql, "cancelled");
}

/* close_outbox_drain([max]) */
static void
drain_function(sqlite3_context *ctx, int argc, sqlite3_value **argv)
{
    sq_box *box = sqlite3_user_data(ctx);
    sqlite3_int64 max = INT64_MAX, ended = 0;
    clo_err err;

    clo_err_clear(&err);
    if (argc > 0 && sqlite3_value_type(argv[0]) != SQLITE_NULL) {
        max = sqlite3_value_int64(argv[0]);
        if (sqlite3_value_numeric_type(argv[0]) != SQLITE_INTEGER || max < 1)
            clo_err_set(&err, CLO_E_ARG, "argument max is a number of rows, at least 1");
    }
    if (err.code == CLO_E_NONE)
        ended = sq_outbox_drain(box->state, max, &err);
    if (err.code == CLO_E_NONE)
        sqlite3_result_int64(ctx, ended);
    else
        sq_result_error(ctx, &err, "close_outbox_drain");
}

/* ---- registration --------------------------------------------------------------------------- */

static const struct {
    const char *name;
    int n_args, flags;
    void (*call)(sqlite3_context *, int, sqlite3_value **);
} functions[] = {
    {"close_enqueue", 2, 0, enqueue_function},
    {"close_enqueue", 3, 0, enqueue_function},
    {"close_outbox_check", 2, SQLITE_INNOCUOUS, check_function},
    {"close_outbox_check", 3, SQLITE_INNOCUOUS, check_function},
    {"close_outbox_key", 2, SQLITE_INNOCUOUS, key_function},
    {"close_outbox_identifier", 0, SQLITE_INNOCUOUS, identifier_function},
    {"close_outbox_retry", 1, 0, retry_function},
    {"close_outbox_cancel", 1, 0, cancel_function},
    {"close_outbox_install", 0, SQLITE_DIRECTONLY, install_function},
    {"close_outbox_drain", 0, SQLITE_DIRECTONLY, drain_function},
    {"close_outbox_drain", 1, SQLITE_DIRECTONLY, drain_function},
};

/* Nothing for a connection that only reads. SQLite calls the destructor also when it fails. */
int
sq_outbox_register(sq_state *state)
{
    sq_box *box;
    int rc;

    if (state->readonly)
        return SQLITE_OK;
    box = sqlite3_malloc64(sizeof *box);
    if (box == NULL)
        return SQLITE_NOMEM;
    memset(box, 0, sizeof *box);
    box->refs = 1; /* ours, until everything is registered */
    box->state = sq_state_ref(state);
    rc = sq_info_add(state->db, &summary_kind, box);
    for (size_t i = 0; rc == SQLITE_OK && i < sizeof functions / sizeof functions[0]; i++) {
        box->refs++;
        rc = sqlite3_create_function_v2(state->db, functions[i].name, functions[i].n_args,
                                        SQLITE_UTF8 | functions[i].flags, box, functions[i].call,
                                        NULL, NULL, box_drop);
    }
    box_drop(box);
    return rc;
}
