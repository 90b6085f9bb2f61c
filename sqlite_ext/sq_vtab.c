/*
 * sq_vtab.c - the tables: connecting, scanning, reading columns.
 *
 * Every table of the catalogue is an eponymous virtual table: SELECT works at once. The same module
 * makes named tables, which is how custom fields become columns:
 *
 *      CREATE VIRTUAL TABLE temp.l USING close_leads(custom_fields=on);
 *
 * That asks Close for the fields when the table is connected, so a table that is stored in a file asks
 * each time the file is opened and used; TEMP is the sensible place.
 *
 * WITHOUT ROWID, primary key `id`: a rowid would have to be invented for every row and could not
 * be looked up again.
 *
 * Life of a cursor: xOpen, then xFilter any number of times (a join calls it for each outer row),
 * then xClose. The core shares answers among the scans of a statement, so that the inner side of a join
 * does not read the same page twice. A correlated sub-select opens its next cursor before it closes the
 * last one, and filters it afterwards: so it is the cursor that holds the statement, not its scan.
 *
 * A scan may be a count (sq_plan.c): one request, and as many rows as it says, whose only columns are those
 * that an equality fixes. DELETE reads the id all the same, and does not announce it: the first time
 * that happens, the scan becomes one of rows and goes to the row where the count stood. Rows that
 * nobody has looked into are all alike, so any will do for those that have passed. The other way
 * round, a scan of which it is not known whether the id is read becomes a count when the first row has
 * passed without that, by the total that came along with it.
 *
 * The limit of a scan is soft: see sq_plan.c. When SQLite asks for a row after the last one of the
 * limit, the scan continues behind it without a limit.
 */
#include "sq.h"

#include <stdint.h>
#include <string.h>

typedef struct sq_cursor {
    sqlite3_vtab_cursor base; /* first; SQLite's part */
    clo_cursor *scan;
    const clo_value *row; /* of the scan; NULL: at the end */
    int64_t counted;      /* rows of a count, -1: not one */
    bool countable;       /* may become a count while no column has been read */
    sq_probe probe;
    clo_plan plan; /* of plan_text */
    const char
        *plan_text; /* idxStr of the last xFilter: SQLite keeps it while the statement lives */
    sq_binds binds; /* kept for going on behind the limit */
    sqlite3_value *held[CLO_MAX_SLOTS];
    int64_t limit, offset; /* limit < 0: none */
    int64_t delivered;
} sq_cursor;

/* ---- connecting ------------------------------------------------------------------------- */

static const char *
sql_type(const clo_column *c)
{
    switch (c->type) {
    case CLO_T_INT:
    case CLO_T_BOOL:
        return "INTEGER";
    case CLO_T_REAL:
        return "REAL";
    default:
        return "TEXT";
    }
}

static int
declare(sqlite3 *db, const clo_table *t)
{
    sqlite3_str *sql = sqlite3_str_new(db);
    char *text;
    int rc;

    sqlite3_str_appendall(sql, "CREATE TABLE x(");
    for (size_t i = 0; i < t->n_columns; i++) {
        const clo_column *c = &t->columns[i];

        sqlite3_str_appendf(sql, "%s\"%w\" %s%s%s", i > 0 ? ", " : "", c->name, sql_type(c),
                            (c->flags & CLO_C_KEY) != 0 ? " NOT NULL PRIMARY KEY" : "",
                            (c->flags & CLO_C_HIDDEN) != 0 ? " HIDDEN" : "");
    }
    sqlite3_str_appendall(sql, ") WITHOUT ROWID");
    text = sqlite3_str_finish(sql);
    if (text == NULL)
        return SQLITE_NOMEM;
    rc = sqlite3_declare_vtab(db, text);
    sqlite3_free(text);
    return rc;
}

static bool
is_one_of(const char *s, const char *const *words)
{
    for (; *words != NULL; words++)
        if (sqlite3_stricmp(s, *words) == 0)
            return true;
    return false;
}

/* custom_fields = on; the only argument there is. Blanks do not matter anywhere in it. */
static clo_status
read_argument(const char *arg, bool *custom_fields, clo_err *err)
{
    static const char *const yes[] = {"on", "true", "yes", "1", NULL};
    static const char *const no[] = {"off", "false", "no", "0", NULL};
    static const char name[] = "custom_fields=";
    char text[32];
    size_t n = 0;

    for (const char *p = arg; *p != '\0' && n < sizeof text - 1; p++)
        if (strchr(" \t\r\n", *p) == NULL)
            text[n++] = *p;
    text[n] = '\0';
    if (sqlite3_strnicmp(text, name, (int)strlen(name)) != 0)
        return clo_err_set(err, CLO_E_ARG,
                           "unknown argument \"%s\"; the only one is custom_fields=on|off", arg);
    *custom_fields = is_one_of(text + strlen(name), yes);
    if (!*custom_fields && !is_one_of(text + strlen(name), no))
        return clo_err_set(err, CLO_E_ARG, "custom_fields takes on or off, not \"%s\"",
                           text + strlen(name));
    return CLO_OK;
}

/* The catalogue's table, or one with a column per custom field, owned by the virtual table. */
static clo_status
choose_table(sq_table *t, int n_args, const char *const *args, clo_err *err)
{
    bool custom_fields = false;
    clo_fields *fields;
    clo_status st;

    for (int i = 0; i < n_args; i++)
        if (read_argument(args[i], &custom_fields, err) != CLO_OK)
            return CLO_ERROR;
    if (!custom_fields)
        return CLO_OK;
    fields = clo_fields_new(t->state->client, t->table, err);
    if (fields == NULL)
        return CLO_ERROR;
    st = sq_fields_run(t->state, fields, err);
    if (st == CLO_DONE) {
        t->dynamic = clo_fields_take(fields, err);
        t->table = t->dynamic;
    }
    clo_fields_free(fields);
    return t->dynamic != NULL ? CLO_OK : CLO_ERROR;
}

typedef struct table_module {
    sq_state *state; /* a reference */
    const clo_table *table;
} table_module;

static int
table_disconnect(sqlite3_vtab *vtab)
{
    sq_table *t = (sq_table *)vtab;

    clo_table_free(t->dynamic);
    sq_state_unref(t->state);
    sqlite3_free(t);
    return SQLITE_OK;
}

static int
table_connect(sqlite3 *db, void *aux, int argc, const char *const *argv, sqlite3_vtab **out,
              char **error)
{
    const table_module *module = aux;
    sq_table *t = sqlite3_malloc64(sizeof *t);
    clo_err err;
    int rc;

    if (t == NULL)
        return SQLITE_NOMEM;
    memset(t, 0, sizeof *t);
    t->state = sq_state_ref(module->state);
    t->table = module->table;
    clo_err_clear(&err);
    if (choose_table(t, argc - 3, argv + 3, &err) != CLO_OK) {
        *error = sq_error_text(&err, module->table->name);
        rc = sq_result_code(&err);
    } else {
        rc = declare(db, t->table);
        if (rc == SQLITE_OK) /* xUpdate that fails with CONSTRAINT has changed nothing */
            rc = sqlite3_vtab_config(db, SQLITE_VTAB_CONSTRAINT_SUPPORT, 1);
        if (rc != SQLITE_OK)
            *error = sqlite3_mprintf("%s: %s", module->table->name, sqlite3_errmsg(db));
    }
    if (rc != SQLITE_OK) {
        table_disconnect(&t->base);
        return rc;
    }
    *out = &t->base;
    return SQLITE_OK;
}

/* ALTER TABLE ... RENAME of a named one: nothing of ours depends on the name. */
static int
table_rename(sqlite3_vtab *vtab, const char *name)
{
    (void)vtab;
    (void)name;
    return SQLITE_OK;
}

/* ---- scanning --------------------------------------------------------------------------- */

static int
cursor_open(sqlite3_vtab *vtab, sqlite3_vtab_cursor **out)
{
    sq_cursor *cur = sqlite3_malloc64(sizeof *cur);

    if (cur == NULL)
        return SQLITE_NOMEM;
    memset(cur, 0, sizeof *cur);
    clo_statement_begin(((const sq_table *)vtab)->state->client);
    *out = &cur->base;
    return SQLITE_OK;
}

/* The values of a scan are kept only while it has a limit behind which it may have to go on. */
static void
drop_values(sq_cursor *cur)
{
    sq_binds_free(&cur->binds);
    for (int i = 0; i < CLO_MAX_SLOTS; i++) {
        sqlite3_value_free(cur->held[i]);
        cur->held[i] = NULL;
    }
}

static int
cursor_close(sqlite3_vtab_cursor *base)
{
    sq_cursor *cur = (sq_cursor *)base;

    clo_cursor_free(cur->scan);
    clo_statement_end(((const sq_table *)base->pVtab)->state->client);
    drop_values(cur);
    sq_probe_end(&cur->probe);
    sqlite3_free(cur);
    return SQLITE_OK;
}

static int
scan_failed(sq_cursor *cur, const clo_err *err)
{
    cur->row = NULL;
    return sq_vtab_error(cur->base.pVtab, err, ((sq_table *)cur->base.pVtab)->table->name);
}

static int
open_scan(sq_cursor *cur, int64_t limit, int64_t offset)
{
    const sq_table *t = (const sq_table *)cur->base.pVtab;
    clo_cursor *old = cur->scan;
    clo_err err;

    clo_err_clear(&err);
    cur->row = NULL;
    cur->scan = NULL;
    if (sq_batch_settle(t->state, &err) == CLO_OK)
        cur->scan =
            clo_cursor_open(t->state->client, &cur->plan, cur->binds.bind, limit, offset, &err);
    clo_cursor_free(old);
    return cur->scan == NULL ? scan_failed(cur, &err) : SQLITE_OK;
}

/* To the next row, or behind the last one. */
static int
advance(sq_cursor *cur)
{
    const sq_table *t = (const sq_table *)cur->base.pVtab;
    clo_err err;
    clo_status st;

    clo_err_clear(&err);
    cur->row = NULL;
    st = sq_cursor_step(t->state, cur->scan, &cur->probe, &err);
    if (st == CLO_ERROR)
        return scan_failed(cur, &err);
    if (st == CLO_ROW) {
        cur->row = clo_cursor_row(cur->scan);
        cur->delivered++;
    }
    return SQLITE_OK;
}

/* The answer of a count stands for its rows, of which the first is delivered. */
static void
take_count(sq_cursor *cur)
{
    cur->counted = cur->row != NULL ? cur->row[0].u.i : 0;
    if (cur->counted == 0)
        cur->row = NULL;
}

static void
next_counted(sq_cursor *cur)
{
    if (cur->delivered < cur->counted)
        cur->delivered++;
    else
        cur->row = NULL;
}

/* The scan becomes a count; what it has asked for ahead is dropped. */
static bool
became_count(sq_cursor *cur)
{
    int64_t total = cur->countable && cur->delivered == 1 ? clo_cursor_total(cur->scan) : -1;

    cur->countable = false;
    if (total < 1)
        return false;
    clo_cursor_free(cur->scan);
    cur->scan = NULL;
    cur->counted = total;
    return true;
}

/* The count becomes a scan that stands in the same row. */
static int
leave_count(sq_cursor *cur, int column)
{
    int64_t at = cur->delivered;
    clo_colset more = {{0}};
    clo_err err;
    int rc;

    for (int i = 0; i < cur->plan.n_slots; i++)
        clo_colset_add(&more, cur->plan.slots[i].column);
    clo_colset_add(&more, column);
    clo_plan_rows(&cur->plan, &more);
    cur->counted = -1;
    rc = open_scan(cur, -1, at - 1);
    if (rc == SQLITE_OK)
        rc = advance(cur);
    if (rc != SQLITE_OK || cur->row != NULL)
        return rc;
    clo_err_clear(&err);
    clo_err_set(&err, CLO_E_PROTO, "rows went away while they were counted; try again");
    return scan_failed(cur, &err);
}

static int
read_plan(sq_cursor *cur, const char *text)
{
    const sq_table *t = (const sq_table *)cur->base.pVtab;
    clo_err err;

    if (cur->plan_text == text)
        return SQLITE_OK;
    clo_err_clear(&err);
    cur->plan_text = NULL;
    if (clo_plan_decode(t->table, text, &cur->plan, &err) != CLO_OK)
        return scan_failed(cur, &err);
    cur->plan_text = text;
    return SQLITE_OK;
}

static void
read_limit(sq_cursor *cur, int num, sqlite3_value **argv)
{
    sqlite3_value **next = argv + cur->plan.n_slots;
    int64_t offset = 0;

    cur->limit = -1;
    cur->offset = 0;
    if ((num & SQ_HAS_LIMIT) != 0)
        cur->limit = sqlite3_value_int64(*next++);
    if ((num & (SQ_HAS_OFFSET | SQ_ADD_OFFSET)) != 0)
        offset = sqlite3_value_int64(*next);
    if (offset < 0)
        offset = 0; /* as SQLite takes it */
    if (cur->limit < 0)
        cur->limit = -1;
    if ((num & SQ_HAS_OFFSET) != 0)
        cur->offset = offset;
    else if (cur->limit >= 0)
        cur->limit = offset > INT64_MAX - cur->limit ? -1 : cur->limit + offset;
}

/* With a limit or a count the values are needed again later, when argv is gone: copies are bound then. The
 * list of an IN is copied anyway, and must be, for it can be read only once. */
static int
read_values(sq_cursor *cur, sqlite3_value **argv)
{
    sqlite3_value *values[CLO_MAX_SLOTS];

    drop_values(cur);
    sq_bind_numbers(&cur->plan, argv);
    for (int i = 0; i < cur->plan.n_slots; i++) {
        values[i] = argv[i];
        if ((cur->limit < 0 && !cur->countable && cur->plan.access != CLO_BY_COUNT) ||
            cur->plan.slots[i].op == CLO_OP_IN)
            continue;
        values[i] = cur->held[i] = sqlite3_value_dup(argv[i]);
        if (values[i] == NULL)
            return SQLITE_NOMEM;
    }
    return sq_binds_make(&cur->plan, values, &cur->binds);
}

static int
cursor_filter(sqlite3_vtab_cursor *base, int num, const char *str, int argc, sqlite3_value **argv)
{
    sq_cursor *cur = (sq_cursor *)base;
    int rc = read_plan(cur, str);

    (void)argc;
    if (rc != SQLITE_OK)
        return rc;
    cur->row = NULL;
    cur->delivered = 0;
    cur->counted = -1;
    cur->countable = (num & SQ_COUNTABLE) != 0;
    read_limit(cur, num, argv);
    rc = read_values(cur, argv);
    if (rc == SQLITE_OK)
        rc = open_scan(cur, cur->limit, cur->offset);
    if (rc == SQLITE_OK)
        rc = advance(cur);
    if (rc == SQLITE_OK && cur->plan.access == CLO_BY_COUNT)
        take_count(cur);
    return rc;
}

static int
cursor_next(sqlite3_vtab_cursor *base)
{
    sq_cursor *cur = (sq_cursor *)base;
    int rc;

    if (cur->counted >= 0 || became_count(cur)) {
        next_counted(cur);
        return SQLITE_OK;
    }
    if (cur->limit >= 0 && cur->delivered >= cur->limit && !cur->plan.unique) {
        int64_t behind = cur->offset + cur->delivered;

        cur->limit = -1;
        rc = open_scan(cur, -1, behind);
        if (rc != SQLITE_OK)
            return rc;
    }
    return advance(cur);
}

static int
cursor_eof(sqlite3_vtab_cursor *base)
{
    return ((const sq_cursor *)base)->row == NULL;
}

static void
result_value(sqlite3_context *ctx, const clo_value *v)
{
    switch (v->type) {
    case CLO_T_NULL:
        sqlite3_result_null(ctx);
        break;
    case CLO_T_INT:
        sqlite3_result_int64(ctx, v->u.i);
        break;
    case CLO_T_BOOL:
        sqlite3_result_int(ctx, v->u.b);
        break;
    case CLO_T_REAL:
        sqlite3_result_double(ctx, v->u.r);
        break;
    case CLO_T_JSON:
        sq_result_json(ctx, v->text, v->len);
        break;
    case CLO_T_TEXT:
    case CLO_T_TIME:
    case CLO_T_DATE:
        sqlite3_result_text64(ctx, v->text, v->len, SQLITE_TRANSIENT, SQLITE_UTF8);
        break;
    }
}

/* A column that was not asked for has no value here, and NULL would be a lie. */
static void
result_unread(sqlite3_context *ctx, const clo_table *t, int column)
{
    const clo_column *c = &t->columns[column];
    clo_err err;

    clo_err_clear(&err);
    if ((c->flags & CLO_C_PARAM) != 0) {
        clo_err_set(&err, CLO_E_ARG, "%s is a parameter of %s: use it as %s = '...' joined by AND",
                    c->name, t->list, c->name);
        err.hint = SQ_UPDATE_FROM_HINT;
    } else {
        clo_err_set(&err, CLO_E_BUG, "column %s was not read", c->name);
    }
    sq_result_error(ctx, &err, t->name);
}

/* A column of a counted row: what the condition says. NULL: it says nothing about this one. */
static const clo_value *
fixed_value(const sq_cursor *cur, int column)
{
    for (int i = 0; i < cur->plan.n_slots; i++)
        if (cur->plan.slots[i].column == column)
            return &cur->binds.one[i];
    return NULL;
}

static int
counted_column(sq_cursor *cur, sqlite3_context *ctx, int column)
{
    const clo_value *v = fixed_value(cur, column);

    if (v == NULL) {
        int rc = leave_count(cur, column);

        if (cur->row == NULL) /* an error */
            return rc;
        v = &cur->row[column];
    }
    result_value(ctx, v);
    return SQLITE_OK;
}

/* UPDATE reads all columns and says of most that it does not need them. */
static int
cursor_column(sqlite3_vtab_cursor *base, sqlite3_context *ctx, int column)
{
    sq_cursor *cur = (sq_cursor *)base;

    if (sqlite3_vtab_nochange(ctx))
        return SQLITE_OK;
    if (cur->counted >= 0)
        return counted_column(cur, ctx, column);
    if (cur->countable && fixed_value(cur, column) == NULL)
        cur->countable = false;
    if (!clo_colset_has(&cur->plan.needed, column)) {
        result_unread(ctx, ((const sq_table *)base->pVtab)->table, column);
        return SQLITE_ERROR;
    }
    result_value(ctx, &cur->row[column]);
    return SQLITE_OK;
}

/* ---- registration ----------------------------------------------------------------------- */

/* xCreate and xConnect being the same function is what makes a module eponymous and usable by CREATE
 * VIRTUAL TABLE at once. WITHOUT ROWID needs no xRowid. */
#define TABLE_METHODS                                                                              \
    .iVersion = 0, .xCreate = table_connect, .xConnect = table_connect,                            \
    .xBestIndex = sq_best_index, .xDisconnect = table_disconnect, .xDestroy = table_disconnect,    \
    .xOpen = cursor_open, .xClose = cursor_close, .xFilter = cursor_filter, .xNext = cursor_next,  \
    .xEof = cursor_eof, .xColumn = cursor_column, .xRename = table_rename

static const sqlite3_module writable_methods = {
    TABLE_METHODS,          .xUpdate = sq_update,       .xBegin = sq_batch_begin,
    .xSync = sq_batch_sync, .xCommit = sq_batch_commit, .xRollback = sq_batch_rollback};
static const sqlite3_module readonly_methods = {TABLE_METHODS};

static void
table_module_drop(void *p)
{
    table_module *module = p;

    sq_state_unref(module->state);
    sqlite3_free(module);
}

int
sq_tables_register(sq_state *state)
{
    int rc = SQLITE_OK;

    for (size_t i = 0; rc == SQLITE_OK && i < clo_table_count(); i++) {
        table_module *module = sqlite3_malloc64(sizeof *module);

        if (module == NULL)
            return SQLITE_NOMEM;
        module->state = sq_state_ref(state);
        module->table = clo_table_at(i);
        rc = sqlite3_create_module_v2(state->db, module->table->name,
                                      state->readonly ? &readonly_methods : &writable_methods,
                                      module, table_module_drop);
    }
    return rc;
}
