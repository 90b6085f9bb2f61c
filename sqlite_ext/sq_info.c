/*
 * sq_info.c - the frame of read-only tables that exist by themselves, and three of them, without network:
 *
 *      SELECT tool, signature FROM close_tools WHERE destructive;
 *      SELECT tool, status, ms FROM close_requests ORDER BY at DESC LIMIT 5;
 *      SELECT value FROM close_stats WHERE name = 'requests';
 *
 * A scan works on a copy taken when it starts: the calls that the same statement makes (a join with a
 * Close table) would otherwise shift the log under the cursor. The copy is bounded by the setting
 * log_size. close_tools needs no copy, the catalogue is constant.
 *
 * The frame is the part of a virtual table that is the same for all of them: a kind says its columns, where
 * its rows come from and what is in them. The fourth of the kind is close_outbox_summary (sq_outbox.c), whose
 * rows come from a statement, one by one.
 *
 * xBestIndex offers nothing: SQLite filters, there are at most some hundred rows.
 */
#include "sq.h"

#include <string.h>
#include <time.h>

typedef struct info_stat {
    const char *name;
    int64_t value;
} info_stat;

static const clo_client *
client_of(const sq_info_table *t)
{
    return ((const sq_state *)t->owner)->client;
}

/* What is in flight belongs to what is shown. */
static int
settle(sq_info_table *t)
{
    clo_err err;

    clo_err_clear(&err);
    return sq_batch_settle(t->owner, &err) == CLO_OK ? SQLITE_OK
                                                     : sq_vtab_error(&t->base, &err, t->kind->name);
}

/* ---- close_tools ------------------------------------------------------------------------ */

static int
tools_load(sq_info_table *t, sq_info_cursor *cur)
{
    (void)t;
    cur->n_rows = clo_tool_count();
    return SQLITE_OK;
}

/* close_contact_get(contact_id TEXT [, _fields TEXT]) */
static char *
signature(const clo_tool *tool)
{
    sqlite3_str *text = sqlite3_str_new(NULL);
    int open = 0;

    sqlite3_str_appendf(text, "%s(", tool->name);
    for (size_t i = 0; i < tool->n_params; i++) {
        const clo_param *p = &tool->params[i];
        const char *type = p->type == CLO_T_BOOL   ? "BOOLEAN"
                           : p->type == CLO_T_INT  ? "INTEGER"
                           : p->type == CLO_T_JSON ? "JSON"
                                                   : "TEXT";

        if ((p->flags & CLO_P_REQUIRED) == 0) {
            sqlite3_str_appendall(text, i > 0 ? " [" : "[");
            open++;
        }
        sqlite3_str_appendf(text, "%s%s %s", i > 0 ? ", " : "", p->name, type);
    }
    while (open-- > 0)
        sqlite3_str_appendchar(text, 1, ']');
    sqlite3_str_appendchar(text, 1, ')');
    return sqlite3_str_finish(text);
}

static void
tools_column(sqlite3_context *ctx, const sq_info_cursor *cur, int column)
{
    const clo_tool *tool = clo_tool_at(cur->row);
    char *text;

    switch (column) {
    case 0:
        sqlite3_result_text(ctx, tool->name, -1, SQLITE_STATIC);
        break;
    case 1:
        text = signature(tool);
        if (text == NULL)
            sqlite3_result_error_nomem(ctx);
        else
            sqlite3_result_text(ctx, text, -1, sqlite3_free);
        break;
    case 2:
        sqlite3_result_text(ctx, clo_kind_name(tool->kind), -1, SQLITE_STATIC);
        break;
    case 3:
        if (tool->table != NULL)
            sqlite3_result_text(ctx, tool->table, -1, SQLITE_STATIC);
        break;
    case 4:
        sqlite3_result_int(ctx, (tool->flags & CLO_TOOL_WRITES) != 0);
        break;
    case 5:
        sqlite3_result_int(ctx, (tool->flags & CLO_TOOL_DESTRUCTIVE) != 0);
        break;
    case 6:
        sqlite3_result_text(ctx, tool->doc, -1, SQLITE_STATIC);
        break;
    default:
        break;
    }
}

/* ---- close_requests --------------------------------------------------------------------- */

static int
requests_load(sq_info_table *t, sq_info_cursor *cur)
{
    const clo_client *client = client_of(t);
    clo_log_entry *rows;
    int rc = settle(t);
    size_t n;

    if (rc != SQLITE_OK)
        return rc;
    n = clo_log_count(client);
    rows = sqlite3_malloc64((n + 1) * sizeof *rows);
    if (rows == NULL)
        return SQLITE_NOMEM;
    for (cur->n_rows = 0; cur->n_rows < n; cur->n_rows++)
        if (!clo_log_at(client, cur->n_rows, &rows[cur->n_rows]))
            break;
    cur->rows = rows;
    return SQLITE_OK;
}

static void
result_time(sqlite3_context *ctx, int64_t us)
{
    time_t seconds = (time_t)(us / 1000000);
    struct tm tm;
    char text[64], with_fraction[80];

    if (gmtime_r(&seconds, &tm) == NULL ||
        strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &tm) == 0)
        return;
    sqlite3_snprintf(sizeof with_fraction, with_fraction, "%s.%06dZ", text, (int)(us % 1000000));
    sqlite3_result_text(ctx, with_fraction, -1, SQLITE_TRANSIENT);
}

static void
requests_column(sqlite3_context *ctx, const sq_info_cursor *cur, int column)
{
    const clo_log_entry *e = (const clo_log_entry *)cur->rows + cur->row;

    switch (column) {
    case 0:
        result_time(ctx, e->at_us);
        break;
    case 1:
        sqlite3_result_text(ctx, e->tool, -1, SQLITE_TRANSIENT);
        break;
    case 2:
        sqlite3_result_text(ctx, e->params, -1, SQLITE_TRANSIENT);
        break;
    case 3:
        if (e->http_status != 0)
            sqlite3_result_int(ctx, e->http_status);
        break;
    case 4:
        if (e->code != CLO_E_NONE)
            sqlite3_result_text(ctx, clo_code_name(e->code), -1, SQLITE_STATIC);
        break;
    case 5:
        sqlite3_result_int(ctx, e->attempts);
        break;
    case 6:
        sqlite3_result_int64(ctx, e->bytes_out);
        break;
    case 7:
        sqlite3_result_int64(ctx, e->bytes_in);
        break;
    case 8:
        sqlite3_result_int64(ctx, e->ms);
        break;
    case 9:
        if (e->request_id[0] != '\0')
            sqlite3_result_text(ctx, e->request_id, -1, SQLITE_TRANSIENT);
        break;
    default:
        break;
    }
}

/* ---- close_stats ------------------------------------------------------------------------ */

static int
stats_load(sq_info_table *t, sq_info_cursor *cur)
{
    const clo_client *client = client_of(t);
    info_stat *rows = NULL, s;
    int rc = settle(t);

    if (rc != SQLITE_OK)
        return rc;
    while (clo_stat_at(client, cur->n_rows, &s.name, &s.value)) {
        info_stat *more = sqlite3_realloc64(rows, (cur->n_rows + 1) * sizeof *rows);

        if (more == NULL) {
            sqlite3_free(rows);
            return SQLITE_NOMEM;
        }
        rows = more;
        rows[cur->n_rows++] = s;
    }
    cur->rows = rows;
    return SQLITE_OK;
}

static void
stats_column(sqlite3_context *ctx, const sq_info_cursor *cur, int column)
{
    const info_stat *s = (const info_stat *)cur->rows + cur->row;

    if (column == 0)
        sqlite3_result_text(ctx, s->name, -1, SQLITE_STATIC);
    else if (column == 1)
        sqlite3_result_int64(ctx, s->value);
}

/* ---- the frame -------------------------------------------------------------------------- */

/* What a module holds: a kind, and a reference on its owner. */
typedef struct info_module {
    const sq_info_kind *kind;
    void *owner;
} info_module;

static int
info_connect(sqlite3 *db, void *aux, int argc, const char *const *argv, sqlite3_vtab **out,
             char **error)
{
    const info_module *module = aux;
    sq_info_table *t;
    int rc = sqlite3_declare_vtab(db, module->kind->declaration);

    (void)argc;
    (void)argv;
    (void)error;
    if (rc != SQLITE_OK)
        return rc;
    t = sqlite3_malloc64(sizeof *t);
    if (t == NULL)
        return SQLITE_NOMEM;
    memset(t, 0, sizeof *t);
    t->kind = module->kind;
    t->owner = module->owner;
    t->kind->ref(t->owner);
    if (t->kind->connected != NULL)
        t->kind->connected(t);
    *out = &t->base;
    return SQLITE_OK;
}

static int
info_disconnect(sqlite3_vtab *vtab)
{
    sq_info_table *t = (sq_info_table *)vtab;

    if (t->kind->disconnected != NULL)
        t->kind->disconnected(t);
    t->kind->unref(t->owner);
    sqlite3_free(t);
    return SQLITE_OK;
}

static int
info_best_index(sqlite3_vtab *vtab, sqlite3_index_info *info)
{
    (void)vtab;
    info->estimatedCost = 100;
    info->estimatedRows = 100;
    return SQLITE_OK;
}

static int
info_open(sqlite3_vtab *vtab, sqlite3_vtab_cursor **out)
{
    sq_info_cursor *cur = sqlite3_malloc64(sizeof *cur);

    (void)vtab;
    if (cur == NULL)
        return SQLITE_NOMEM;
    memset(cur, 0, sizeof *cur);
    *out = &cur->base;
    return SQLITE_OK;
}

static void
forget_rows(sq_info_cursor *cur)
{
    const sq_info_kind *kind = ((const sq_info_table *)cur->base.pVtab)->kind;

    if (cur->rows != NULL && kind->drop != NULL)
        kind->drop(cur->rows);
    else
        sqlite3_free(cur->rows);
    cur->rows = NULL;
    cur->row = cur->n_rows = 0;
}

static int
info_close(sqlite3_vtab_cursor *base)
{
    sq_info_cursor *cur = (sq_info_cursor *)base;

    forget_rows(cur);
    sqlite3_free(cur);
    return SQLITE_OK;
}

static int
info_filter(sqlite3_vtab_cursor *base, int num, const char *str, int argc, sqlite3_value **argv)
{
    sq_info_cursor *cur = (sq_info_cursor *)base;
    sq_info_table *t = (sq_info_table *)base->pVtab;

    (void)num;
    (void)str;
    (void)argc;
    (void)argv;
    forget_rows(cur);
    return t->kind->load(t, cur);
}

static int
info_next(sqlite3_vtab_cursor *base)
{
    sq_info_cursor *cur = (sq_info_cursor *)base;
    const sq_info_kind *kind = ((const sq_info_table *)base->pVtab)->kind;

    cur->row++;
    return cur->row == cur->n_rows && kind->more != NULL ? kind->more(cur) : SQLITE_OK;
}

static int
info_eof(sqlite3_vtab_cursor *base)
{
    const sq_info_cursor *cur = (const sq_info_cursor *)base;

    return cur->row >= cur->n_rows;
}

static int
info_column(sqlite3_vtab_cursor *base, sqlite3_context *ctx, int column)
{
    const sq_info_table *t = (const sq_info_table *)base->pVtab;

    t->kind->column(ctx, (const sq_info_cursor *)base, column);
    return SQLITE_OK;
}

static int
info_rowid(sqlite3_vtab_cursor *base, sqlite3_int64 *rowid)
{
    *rowid = (sqlite3_int64)((const sq_info_cursor *)base)->row + 1;
    return SQLITE_OK;
}

/* Without xCreate: eponymous only. */
static const sqlite3_module info_methods = {
    .iVersion = 0,
    .xConnect = info_connect,
    .xBestIndex = info_best_index,
    .xDisconnect = info_disconnect,
    .xOpen = info_open,
    .xClose = info_close,
    .xFilter = info_filter,
    .xNext = info_next,
    .xEof = info_eof,
    .xColumn = info_column,
    .xRowid = info_rowid,
};

static void
info_module_drop(void *p)
{
    info_module *module = p;

    module->kind->unref(module->owner);
    sqlite3_free(module);
}

int
sq_info_add(sqlite3 *db, const sq_info_kind *kind, void *owner)
{
    info_module *module = sqlite3_malloc64(sizeof *module);

    if (module == NULL)
        return SQLITE_NOMEM;
    module->kind = kind;
    module->owner = owner;
    kind->ref(owner);
    /* SQLite calls the destructor also when it fails. */
    return sqlite3_create_module_v2(db, kind->name, &info_methods, module, info_module_drop);
}

/* ---- registration ----------------------------------------------------------------------- */

static void
ref_state(void *owner)
{
    (void)sq_state_ref(owner);
}

static void
unref_state(void *owner)
{
    sq_state_unref(owner);
}

#define KIND(table, declared, how)                                                                 \
    {                                                                                              \
        .name = (table), .declaration = "CREATE TABLE x(" declared ")", .load = how##_load,        \
        .column = how##_column, .ref = ref_state, .unref = unref_state                             \
    }
static const sq_info_kind kinds[] = {
    KIND("close_tools",
         "tool TEXT, signature TEXT, kind TEXT, \"table\" TEXT, writes INTEGER,"
         " destructive INTEGER, summary TEXT",
         tools),
    KIND("close_requests",
         "at TEXT, tool TEXT, params TEXT, status INTEGER, error TEXT, attempts INTEGER,"
         " bytes_out INTEGER, bytes_in INTEGER, ms INTEGER, execution_id TEXT",
         requests),
    KIND("close_stats", "name TEXT, value INTEGER", stats),
};

int
sq_info_register(sq_state *state)
{
    int rc = SQLITE_OK;

    for (size_t i = 0; rc == SQLITE_OK && i < sizeof kinds / sizeof kinds[0]; i++)
        rc = sq_info_add(state->db, &kinds[i], state);
    return rc;
}
