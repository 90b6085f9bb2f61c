/*
 * gen.c - writes what is derived from the catalogue; a program for the build, part of no product.
 *
 *      gen --docs    docs/reference.md: every table, function and setting
 *      gen --sql     sql/close.sql: the PostgreSQL script, one function per tool
 *      gen --stubs   pg_ext/pg_stubs.inc: one C entry point per tool
 *      gen --json    the catalogue as JSON, for the stand-in service and coverage checks
 *
 * Output goes to standard output, so that the Makefile can replace a file only after success. The
 * output depends on the catalogue, the option table and (for --sql) on sql/close.head.sql and
 * sql/close.outbox.sql and nothing else: no dates, no host. Running it twice gives the same bytes, and CI fails when the committed
 * files differ.
 *
 * PostgreSQL gets one C function per tool instead of a generic one behind SQL wrappers, so that
 * GRANT EXECUTE works per tool. All are VOLATILE and PARALLEL UNSAFE, because the answer comes from
 * outside and a worker has no client of its own; the high cost keeps them out of inner loops. None is
 * STRICT: NULL means "not given", also for tools whose arguments are all optional. Writers are
 * revoked from PUBLIC.
 *
 * Rejected: templates with placeholders (a second language for two loops) and generating C data from
 * text (see catalog_tools_a.c).
 */
#include "clo_int.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

/* ---- small things ------------------------------------------------------------------------ */

static const char *
pg_type(clo_type type)
{
    static const char *const names[] = {
        [CLO_T_NULL] = "text",        [CLO_T_TEXT] = "text",
        [CLO_T_INT] = "bigint",       [CLO_T_REAL] = "double precision",
        [CLO_T_BOOL] = "boolean",     [CLO_T_JSON] = "jsonb",
        [CLO_T_TIME] = "timestamptz", [CLO_T_DATE] = "date",
    };

    return names[type];
}

static const char *
sqlite_type(clo_type type)
{
    static const char *const names[] = {
        [CLO_T_NULL] = "TEXT",       [CLO_T_TEXT] = "TEXT",           [CLO_T_INT] = "INTEGER",
        [CLO_T_REAL] = "REAL",       [CLO_T_BOOL] = "INTEGER (0, 1)", [CLO_T_JSON] = "TEXT (JSON)",
        [CLO_T_TIME] = "TEXT (UTC)", [CLO_T_DATE] = "TEXT (date)",
    };

    return names[type];
}

/* Names of ours that are reserved words in a grammar; test_catalog.c finds out when another comes. */
static void
print_identifier(const char *name)
{
    static const char *const reserved[] = {"localtime", "references", "to"};
    const char *quote = "";

    for (size_t i = 0; i < CLO_ARRAY_LEN(reserved); i++)
        if (strcmp(name, reserved[i]) == 0)
            quote = "\"";
    printf("%s%s%s", quote, name, quote);
}

/* Prose for Markdown: what would be markup is escaped. An underscore is markup only before a word. */
static void
print_prose(const char *text)
{
    for (const char *p = text; *p; p++) {
        bool word_before = p > text && p[-1] != ' ' && p[-1] != '(';

        if (strchr("|<*", *p) || (*p == '_' && !word_before))
            putchar('\\');
        putchar(*p);
    }
}

static void
print_sql_string(const char *text)
{
    putchar('\'');
    for (; *text; text++) {
        if (*text == '\'')
            putchar('\'');
        putchar(*text);
    }
    putchar('\'');
}

static void
print_json_string(const char *text)
{
    if (!text) {
        printf("null");
        return;
    }
    putchar('"');
    for (; *text; text++) {
        if (*text == '"' || *text == '\\')
            putchar('\\');
        putchar(*text);
    }
    putchar('"');
}

static const char *
json_bool(bool b)
{
    return b ? "true" : "false";
}

/* ---- --sql and --stubs ------------------------------------------------------------------- */

static void
sql_types(const clo_tool *tool)
{
    printf("%s(", tool->name);
    for (size_t i = 0; i < tool->n_params; i++)
        printf("%s%s", i ? ", " : "", pg_type(tool->params[i].type));
    putchar(')');
}

static void
sql_arguments(const clo_tool *tool, const char *first, const char *next)
{
    for (size_t i = 0; i < tool->n_params; i++) {
        const clo_param *p = &tool->params[i];

        printf("%s", i ? next : first);
        print_identifier(p->name);
        printf(" %s%s", pg_type(p->type), p->flags & CLO_P_REQUIRED ? "" : " DEFAULT NULL");
    }
}

static void
sql_function(const clo_tool *tool)
{
    printf("\nCREATE FUNCTION %s(", tool->name);
    sql_arguments(tool, "\n    ", ",\n    ");
    printf(")\nRETURNS jsonb\n"
           "LANGUAGE C VOLATILE PARALLEL UNSAFE COST 1000\n"
           "AS 'MODULE_PATHNAME', 'clo_pg_%s';\n",
           tool->name);
    if (tool->flags & CLO_TOOL_WRITES) {
        printf("REVOKE ALL ON FUNCTION ");
        sql_types(tool);
        printf(" FROM PUBLIC;\n");
    }
    printf("COMMENT ON FUNCTION ");
    sql_types(tool);
    printf(" IS\n    ");
    print_sql_string(tool->doc);
    printf(";\n");
}

/* What is written by hand: the wrapper, the functions that are no tools, views; the outbox. */
static bool
copy_part(const char *path)
{
    char block[4096];
    size_t n;
    bool ok;
    FILE *f = fopen(path, "r");

    if (!f)
        return errno == ENOENT; /* a tree without it still gives the functions of the tools */
    putchar('\n');
    while ((n = fread(block, 1, sizeof block, f)) > 0)
        fwrite(block, 1, n, stdout);
    ok = !ferror(f);
    return fclose(f) == 0 && ok;
}

static bool
write_sql(void)
{
    printf("\\echo Use \"CREATE EXTENSION close\" to load this file. \\quit\n"
           "-- generated by make generate; do not edit\n"
           "-- (hand-written parts: sql/close.head.sql, sql/close.outbox.sql; functions: the "
           "catalogue in src)\n");
    if (!copy_part("sql/close.head.sql"))
        return false;
    printf("\n-- One function per tool. NULL means \"not given\".\n");
    for (size_t i = 0; i < clo_tool_count(); i++)
        sql_function(clo_tool_at(i));
    return copy_part("sql/close.outbox.sql");
}

static bool
write_stubs(void)
{
    printf("/* generated by make generate; do not edit */\n");
    for (size_t i = 0; i < clo_tool_count(); i++)
        printf("CLO_PG_TOOL(%s, %zu)\n", clo_tool_at(i)->name, i);
    return true;
}

/* ---- --json ------------------------------------------------------------------------------ */

static const char *
wire_type(const clo_param *p)
{
    if (p->flags & CLO_P_OBJECT)
        return "object";
    if (p->flags & CLO_P_ARRAY)
        return "array";
    return p->type == CLO_T_INT ? "integer" : p->type == CLO_T_BOOL ? "boolean" : "string";
}

static void
json_member(const char *name, const char *value)
{
    printf(",\"%s\":", name);
    print_json_string(value);
}

static void
json_tool(const clo_tool *tool)
{
    printf("{\"name\":\"%s\"", tool->name);
    json_member("kind", clo_kind_name(tool->kind));
    json_member("table", tool->table);
    json_member("method", tool->method);
    json_member("path", tool->path);
    json_member("doc", tool->doc);
    json_member("example", tool->example);
    printf(",\"writes\":%s,\"destructive\":%s,\"idempotent\":%s,\"messages\":%s,\"newer\":%s",
           json_bool(tool->flags & CLO_TOOL_WRITES), json_bool(tool->flags & CLO_TOOL_DESTRUCTIVE),
           json_bool(tool->flags & CLO_TOOL_IDEMPOTENT), json_bool(tool->flags & CLO_TOOL_MESSAGES),
           json_bool(tool->flags & CLO_TOOL_NEWER));
    printf(",\"params\":[");
    for (size_t i = 0; i < tool->n_params; i++) {
        const clo_param *p = &tool->params[i];

        printf("%s{\"name\":\"%s\",\"type\":\"%s\",\"required\":%s,\"json_text\":%s}", i ? "," : "",
               p->name, wire_type(p), json_bool(p->flags & CLO_P_REQUIRED),
               json_bool(p->flags & CLO_P_JSONTEXT));
    }
    printf("]}");
}

static const char *
pager_name(clo_pager pager)
{
    static const char *const names[] = {
        [CLO_PAGE_OFFSET] = "offset",
        [CLO_PAGE_WHOLE] = "whole",
        [CLO_PAGE_EVENTS] = "events",
        [CLO_PAGE_ONE] = "one",
    };

    return names[pager];
}

static void
json_table(const clo_table *t)
{
    printf("{\"name\":\"%s\"", t->name);
    json_member("resource", t->resource);
    json_member("list", t->list);
    json_member("get", t->get);
    json_member("get_param", t->get_param);
    json_member("create", t->create);
    json_member("update", t->update);
    json_member("remove", t->remove);
    json_member("example", t->example);
    json_member("pager", pager_name(t->pager));
    printf(",\"page_max\":%d,\"skip_max\":%lld,\"totals\":%s,\"columns\":[", t->page_max,
           (long long)t->skip_max, json_bool(t->totals));
    for (size_t i = 0; i < t->n_columns; i++) {
        const clo_column *c = &t->columns[i];

        printf("%s{\"name\":\"%s\",\"type\":\"%s\",\"nullable\":%s,\"hidden\":%s}", i ? "," : "",
               c->name, clo_type_name(c->type), json_bool(c->flags & CLO_C_NULLABLE),
               json_bool(c->flags & CLO_C_HIDDEN));
    }
    printf("],\"filters\":[");
    for (size_t i = 0; i < t->n_filters; i++)
        printf("%s{\"column\":\"%s\",\"param\":\"%s\",\"exact\":%s,\"with_lead\":%s}", i ? "," : "",
               t->filters[i].column, t->filters[i].param,
               json_bool(t->filters[i].flags & CLO_F_EXACT),
               json_bool(t->filters[i].flags & CLO_F_WITH_LEAD));
    printf("]}");
}

static bool
write_json(void)
{
    printf("{\"version\":\"%s\",\n\"tools\":[", CLO_VERSION);
    for (size_t i = 0; i < clo_tool_count(); i++) {
        printf(i ? ",\n" : "\n");
        json_tool(clo_tool_at(i));
    }
    printf("],\n\"tables\":[");
    for (size_t i = 0; i < clo_table_count(); i++) {
        printf(i ? ",\n" : "\n");
        json_table(clo_table_at(i));
    }
    printf("]}\n");
    return true;
}

/* ---- --docs: tables ---------------------------------------------------------------------- */

/* The parameter of `tool` through which a column is written, or NULL. */
static const clo_param *
written_by(const clo_table *t, const clo_tool *tool, clo_kind kind, const char *column)
{
    if (!tool || strcmp(column, "id") == 0)
        return NULL;
    for (size_t i = 0; i < t->n_aliases; i++)
        if (t->aliases[i].kind == kind && strcmp(t->aliases[i].column, column) == 0)
            return clo_tool_param(tool, t->aliases[i].param);
    return clo_tool_param(tool, column);
}

static const char *
insert_mark(const clo_table *t, const clo_column *c)
{
    const clo_param *p = written_by(t, clo_tool_find(t->create), CLO_CREATE, c->name);

    return !p ? "" : p->flags & CLO_P_REQUIRED ? "required" : "yes";
}

static const char *
update_mark(const clo_table *t, const clo_column *c)
{
    return written_by(t, clo_tool_find(t->update), CLO_UPDATE, c->name) ? "yes" : "";
}

static const char *
column_note(const clo_column *c)
{
    if (c->flags & CLO_C_PARAM)
        return " (parameter)";
    return c->flags & CLO_C_HIDDEN ? " (hidden)" : "";
}

static void
docs_columns(const clo_table *t)
{
    printf("\n| column | SQLite | PostgreSQL | NULL | insert | update | meaning |\n"
           "|---|---|---|---|---|---|---|\n");
    for (size_t i = 0; i < t->n_columns; i++) {
        const clo_column *c = &t->columns[i];

        printf("| `");
        print_identifier(c->name);
        printf("`%s | %s | %s | %s | %s | %s | ", column_note(c), sqlite_type(c->type),
               pg_type(c->type), c->flags & CLO_C_NULLABLE ? "yes" : "", insert_mark(t, c),
               update_mark(t, c));
        print_prose(c->doc);
        printf(" |\n");
    }
}

static void
docs_condition(const clo_table *t, const clo_filter *f)
{
    const clo_column *c = &t->columns[clo_table_column(t, f->column)];

    switch (f->op) {
    case CLO_OP_GE:
        printf("| `%s >= …`, `>` | ", f->column);
        break;
    case CLO_OP_LE:
        printf("| `%s <= …`, `<` | ", f->column);
        break;
    default:
        printf("| `%s = …`, `IN (…)` | ", f->column);
    }
    printf("`%s` of `%s` | ", f->param, t->list);
    if (c->flags & CLO_C_PARAM)
        printf("decides the rows; the column shows the condition");
    else if (f->op != CLO_OP_EQ)
        printf("narrows; each row is checked again");
    else
        printf(f->flags & CLO_F_EXACT ? "exact" : "narrows; each row is checked again");
    if (f->flags & CLO_F_WITH_LEAD)
        printf("; only together with `lead_id = …`");
    printf(" |\n");
}

static void
docs_conditions(const clo_table *t)
{
    if (!t->get_param && !t->n_filters) {
        printf("\nNo condition is sent: the whole list is read and filtered here.\n");
        return;
    }
    printf("\n| condition | sent as | effect |\n|---|---|---|\n");
    if (t->get_param)
        printf("| `id = …`, `IN (…)` | `%s` of `%s` | exact; one request per id |\n", t->get_param,
               t->get);
    for (size_t i = 0; i < t->n_filters; i++)
        docs_condition(t, &t->filters[i]);
    if (t->pager == CLO_PAGE_EVENTS)
        printf("\nThe service takes these in some combinations only; what does not fit is checked "
               "here.\n");
}

static void
docs_walk(const clo_table *t)
{
    if (t->parent) {
        printf("* Without a condition on ");
        for (size_t i = 0; t->parent_unless[i]; i++)
            printf("%s`%s`", i ? " or " : "", t->parent_unless[i]);
        printf(" the rows of [`%s`](#%s) are walked, with one request or more for each.\n",
               t->parent, t->parent);
    }
    if (t->each_param) {
        printf("* Without a condition on `%s` the list is read for: ", t->each_param);
        for (size_t i = 0; t->each_values[i]; i++)
            printf("%s`%s`", i ? ", " : "", t->each_values[i]);
        printf(".\n");
    }
    if (t->skip_max)
        printf("* The service skips at most %lld rows; beyond that the walk goes on by `%s`.\n",
               (long long)t->skip_max, t->key_column);
    else if (t->keyset != CLO_KEY_NONE)
        printf("* Where the service cannot page any further, the walk goes on by `%s`.\n",
               t->key_column);
}

static void
docs_reading(const clo_table *t)
{
    const clo_tool *list = clo_tool_find(t->list);

    printf("\n* Rows in a request: ");
    if (t->page_max)
        printf("%d at most.\n", t->page_max);
    else
        printf(t->pager == CLO_PAGE_ONE ? "one.\n" : "as many as the service sends.\n");
    if (t->n_orders) {
        printf("* Order that the service gives: ");
        for (size_t i = 0; i < t->n_orders; i++)
            printf("%s`%s`%s", i ? ", " : "", t->orders[i].column,
                   !t->orders[i].desc  ? " (ascending only)"
                   : !t->orders[i].asc ? " (descending only)"
                                       : "");
        printf("; others are sorted here.\n");
    }
    if (list && clo_tool_param(list, "_fields"))
        printf("* Only the columns that are used are asked for.\n");
    if (t->totals)
        printf("* `count(*)` with exact conditions is one request in PostgreSQL.\n");
    docs_walk(t);
}

static void
docs_writing(const clo_table *t)
{
    const char *sep = "";

    if (!t->create && !t->update && !t->remove) {
        printf("* Read-only.\n");
        return;
    }
    printf("* Writing: ");
    if (t->create) {
        printf("INSERT calls [`%s`](#%s)", t->create, t->create);
        sep = ", ";
    }
    if (t->update) {
        printf("%sUPDATE calls [`%s`](#%s)", sep, t->update, t->update);
        sep = ", ";
    }
    if (t->remove)
        printf("%sDELETE calls [`%s`](#%s)", sep, t->remove, t->remove);
    printf(".\n");
    for (size_t i = 0; i < t->n_aliases; i++)
        printf("* %s of `%s` goes out as parameter `%s`.\n",
               t->aliases[i].kind == CLO_CREATE ? "INSERT" : "UPDATE", t->aliases[i].column,
               t->aliases[i].param);
}

static void
docs_table(const clo_table *t)
{
    printf("\n### %s\n\n", t->name);
    print_prose(t->doc);
    printf("\n\n```sql\n%s;\n```\n", t->example);
    docs_columns(t);
    docs_conditions(t);
    docs_reading(t);
    docs_writing(t);
}

/* ---- --docs: functions, settings --------------------------------------------------------- */

static void
docs_signatures(const clo_tool *tool)
{
    printf("\n```\nSQLite      %s(", tool->name);
    for (size_t i = 0; i < tool->n_params; i++)
        printf(tool->params[i].flags & CLO_P_REQUIRED ? "%s%s" : "%s[%s]", i ? ", " : "",
               tool->params[i].name);
    printf(")\nPostgreSQL  %s(", tool->name);
    if (tool->n_params > 3)
        sql_arguments(tool, "\n                ", ",\n                ");
    else
        sql_arguments(tool, "", ", ");
    printf(") returns jsonb\n```\n");
}

static void
docs_effect(const clo_tool *tool)
{
    printf("\n* Kind: %s", clo_kind_name(tool->kind));
    if (tool->flags & CLO_TOOL_WRITES)
        printf("; writes%s", tool->flags & CLO_TOOL_DESTRUCTIVE ? ", destructive" : "");
    else
        printf("; reads only");
    if (tool->flags & CLO_TOOL_IDEMPOTENT)
        printf("; may be repeated");
    if (tool->flags & CLO_TOOL_MESSAGES)
        printf("; sends to people when `status` is outbox or scheduled (setting "
               "`allow_messages`)");
    printf(".\n* REST call: `%s %s`\n", tool->method, tool->path);
    if (tool->table)
        printf("* Table: [`%s`](#%s)\n", tool->table, tool->table);
}

static void
docs_tool(const clo_tool *tool)
{
    printf("\n### %s\n\n", tool->name);
    print_prose(tool->doc);
    printf("\n");
    docs_signatures(tool);
    if (tool->n_params)
        printf("\n| parameter | type | required | meaning |\n|---|---|---|---|\n");
    for (size_t i = 0; i < tool->n_params; i++) {
        const clo_param *p = &tool->params[i];

        printf("| `%s` | %s | %s | ", p->name, clo_type_name(p->type),
               p->flags & CLO_P_REQUIRED ? "yes" : "");
        print_prose(p->doc);
        printf(" |\n");
    }
    docs_effect(tool);
    printf("\n```sql\n%s\n```\n", tool->example);
}

static void
docs_option_values(const clo_option *o)
{
    switch (o->kind) {
    case CLO_OPT_INT:
        printf("%lld to %lld%s%s", (long long)o->min, (long long)o->max, o->unit ? " " : "",
               o->unit ? o->unit : "");
        break;
    case CLO_OPT_BOOL:
        printf("on, off");
        break;
    case CLO_OPT_ENUM:
        for (size_t i = 0; o->choices[i]; i++)
            printf("%s%s", i ? ", " : "", o->choices[i]);
        break;
    case CLO_OPT_TEXT:
        printf("text");
        break;
    }
}

static void
docs_option(const clo_option *o)
{
    const char *sep = "";

    printf("| `%s` | ", o->name);
    docs_option_values(o);
    printf(o->def ? " | `%s` | " : " | | ", o->def);
    printf(o->env ? "`%s` | " : " | ", o->env);
    if (o->flags & CLO_O_SERVER) {
        printf("server option");
        sep = ", ";
    }
    if (o->flags & CLO_O_MAPPING) {
        printf("%suser mapping option", sep);
        sep = ", ";
    }
    if (o->flags & CLO_O_GUC)
        printf("%s`close.%s`", sep, o->name);
    printf(" | ");
    print_prose(o->doc);
    printf(" |\n");
}

static void
docs_introduction(void)
{
    printf("<!-- generated by make generate; do not edit -->\n\n# Reference\n\n"
           "%zu tables, %zu functions and the settings of Close in SQL, version %s. "
           "The README explains; this page lists.\n\n"
           "* Tables: ",
           clo_table_count(), clo_tool_count(), CLO_VERSION);
    for (size_t i = 0; i < clo_table_count(); i++)
        printf("%s[`%s`](#%s)", i ? ", " : "", clo_table_at(i)->name, clo_table_at(i)->name);
    printf("\n* [Functions](#functions)\n* [Settings](#settings)\n"
           "\n## Tables\n\n"
           "Columns marked *hidden* or *parameter* are not part of `SELECT *` in SQLite. A "
           "*parameter* is not a\nfield of the row but an argument of the request: it can only be "
           "compared with `=` or `IN`. Conditions\nthat are not listed for a table are applied "
           "here, after the rows have come. An *exact* condition lets\n`LIMIT` travel with "
           "it. `insert` and `update` say which columns can be written. Names in double\nquotes "
           "are reserved words and need them in queries.\n");
}

static bool
write_docs(void)
{
    docs_introduction();
    for (size_t i = 0; i < clo_table_count(); i++)
        docs_table(clo_table_at(i));
    printf(
        "\n## Functions\n\n"
        "Every tool of the connector under its own name. The answer is the tool's JSON. Arguments "
        "go by position,\nNULL means \"not given\", trailing ones may be left out; SQLite also "
        "takes one `json_object(...)` as named\narguments, PostgreSQL has named arguments "
        "(`name => value`). *May be repeated* means that a second\ncall ends in the same state. "
        "Nothing that a function did is undone by ROLLBACK.\n");
    for (size_t i = 0; i < clo_tool_count(); i++)
        docs_tool(clo_tool_at(i));
    printf("\n## Settings\n\n"
           "In SQLite by environment variable or `close_config(name, value)`; in PostgreSQL as the "
           "table says.\n\n| name | values | default | environment (SQLite) | PostgreSQL | meaning "
           "|\n|---|---|---|---|---|---|\n");
    for (size_t i = 0; i < clo_option_count(); i++)
        docs_option(clo_option_at(i));
    return true;
}

/* ------------------------------------------------------------------------------------------ */

int
main(int argc, char **argv)
{
    static const struct {
        const char *name;
        bool (*write)(void);
    } modes[] = {
        {"--docs", write_docs},
        {"--sql", write_sql},
        {"--stubs", write_stubs},
        {"--json", write_json},
    };

    for (size_t i = 0; argc == 2 && i < CLO_ARRAY_LEN(modes); i++) {
        if (strcmp(argv[1], modes[i].name) != 0)
            continue;
        if (!modes[i].write() || fflush(stdout) != 0 || ferror(stdout)) {
            perror("gen");
            return 1;
        }
        return 0;
    }
    fprintf(stderr, "usage: gen --docs | --sql | --stubs | --json\n");
    return 2;
}
