/*
 * pg_import.c - IMPORT FOREIGN SCHEMA close FROM SERVER s INTO t.
 *
 * The one remote schema is "close", its tables are the catalogue's. Without options nothing is
 * sent. With custom_fields 'true' the fields of leads, contacts and opportunities are read through
 * the current user's mapping and become typed columns, each bound to the field's id, so that a
 * later renaming in Close does not change what a column holds. With raw 'true' the hidden columns
 * come too: the whole object, and the signature key of webhooks.
 *
 * No column is declared NOT NULL: the planner would believe it, while the service may leave out
 * any key.
 */
#include "pg.h"

#include "commands/defrem.h"
#include "miscadmin.h"
#include "utils/builtins.h"

#define SCHEMA "close"

typedef struct import {
    const ImportForeignSchemaStmt *stmt;
    Oid server;
    bool custom_fields, raw;
} import;

static void
read_options(import *im)
{
    ListCell *cell;

    foreach (cell, im->stmt->options) {
        DefElem *def = lfirst(cell);

        if (strcmp(def->defname, "custom_fields") == 0)
            im->custom_fields = defGetBoolean(def);
        else if (strcmp(def->defname, "raw") == 0)
            im->raw = defGetBoolean(def);
        else
            ereport(ERROR, (errcode(ERRCODE_FDW_INVALID_OPTION_NAME),
                            errmsg("invalid option \"%s\" for IMPORT FOREIGN SCHEMA", def->defname),
                            errhint("Options are custom_fields and raw.")));
    }
}

/* A name in LIMIT TO or EXCEPT that is no table would silently import nothing, or everything. */
static void
check_names(const import *im)
{
    ListCell *cell;

    foreach (cell, im->stmt->table_list) {
        const RangeVar *name = lfirst(cell);

        if (clo_table_find(name->relname) == NULL)
            ereport(ERROR, (errcode(ERRCODE_FDW_TABLE_NOT_FOUND),
                            errmsg("there is no table \"%s\" in Close", name->relname)));
    }
}

static bool
wanted(const import *im, const clo_table *t)
{
    bool listed = false;
    ListCell *cell;

    foreach (cell, im->stmt->table_list)
        if (strcmp(((const RangeVar *)lfirst(cell))->relname, t->name) == 0)
            listed = true;
    switch (im->stmt->list_type) {
    case FDW_IMPORT_SCHEMA_LIMIT_TO:
        return listed;
    case FDW_IMPORT_SCHEMA_EXCEPT:
        return !listed;
    case FDW_IMPORT_SCHEMA_ALL:
        break;
    }
    return true;
}

const clo_table *
clo_pg_fields_of(clo_client *client, const clo_table *base)
{
    clo_pg_owner *reader = clo_pg_own(CurrentMemoryContext, CLO_PG_FIELDS);
    clo_pg_owner *table = clo_pg_own(CurrentMemoryContext, CLO_PG_TABLE);
    clo_err err;

    clo_err_clear(&err);
    clo_pg_own_set(reader, clo_fields_new(client, base, &err));
    if (clo_pg_owned(reader) == NULL || clo_pg_step(reader, &err) != CLO_DONE)
        clo_pg_throw(&err);
    clo_pg_own_set(table, clo_fields_take(clo_pg_owned(reader), &err));
    if (clo_pg_owned(table) == NULL)
        clo_pg_throw(&err);
    clo_pg_release(reader);
    return clo_pg_owned(table);
}

static bool
has_custom_fields(const clo_table *t)
{
    return strcmp(t->name, "close_leads") == 0 || strcmp(t->name, "close_contacts") == 0 ||
           strcmp(t->name, "close_opportunities") == 0;
}

static char *
definition(const import *im, const clo_table *t)
{
    StringInfoData sql;
    bool first = true;

    initStringInfo(&sql);
    appendStringInfo(&sql, "CREATE FOREIGN TABLE %s (", quote_identifier(t->name));
    for (size_t i = 0; i < t->n_columns; i++) {
        const clo_column *c = &t->columns[i];

        if ((c->flags & (CLO_C_RAW | CLO_C_SECRET)) && !im->raw)
            continue;
        appendStringInfo(&sql, "%s\n    %s %s", first ? "" : ",",
                         quote_identifier(clo_pg_local(c->name)), clo_pg_sql_type(c->type));
        if (c->flags & CLO_C_FIELD)
            appendStringInfo(&sql, " OPTIONS (field %s)",
                             quote_literal_cstr(clo_pg_local(c->path)));
        first = false;
    }
    appendStringInfo(&sql, "\n) SERVER %s OPTIONS (\"table\" %s)",
                     quote_identifier(GetForeignServer(im->server)->servername),
                     quote_literal_cstr(t->name));
    return sql.data;
}

List *
clo_pg_import(ImportForeignSchemaStmt *stmt, Oid server)
{
import im = {.stmt = stmt, .server = server };
    List *commands = NIL;

    if (strcmp(stmt->remote_schema, SCHEMA) != 0)
        ereport(ERROR, (errcode(ERRCODE_FDW_SCHEMA_NOT_FOUND),
                        errmsg("there is no schema \"%s\" on the server", stmt->remote_schema),
                        errhint("IMPORT FOREIGN SCHEMA close FROM SERVER %s ...",
                                quote_identifier(stmt->server_name))));
    read_options(&im);
    check_names(&im);
    for (size_t i = 0; i < clo_table_count(); i++) {
        const clo_table *t = clo_table_at(i);

        if (!wanted(&im, t))
            continue;
        if (im.custom_fields && has_custom_fields(t))
            t = clo_pg_fields_of(clo_pg_client(GetUserId(), server), t);
        commands = lappend(commands, definition(&im, t));
    }
    return commands;
}
