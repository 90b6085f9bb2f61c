/*
 * test_catalog.c - the catalogue against the facts, and the rules that its rows keep.
 *
 * test/data/tools.tsv and columns.tsv hold what the connector and the service offer, collected apart
 * from the catalogue; the first two tests compare both ways, so neither a missing nor an invented row
 * goes unnoticed. The rest are rules between rows that the compiler cannot see: names that refer to
 * other rows, order, words that need quoting, decisions about writers, one-sentence docs.
 *
 * Failures name the row. Run from the root of the tree (or set CLO_TEST_DATA to test/data).
 */
#include "clo_int.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* ---- facts from files -------------------------------------------------------------------- */

#define MAX_FIELDS 4

typedef struct facts {
    FILE *file;
    char line[4096];
    char *field[MAX_FIELDS];
    int n;
} facts;

static bool
facts_next(facts *f)
{
    while (fgets(f->line, sizeof f->line, f->file)) {
        char *rest = f->line;

        assert_non_null(strchr(f->line, '\n')); /* the line fits */
        f->line[strcspn(f->line, "\r\n")] = '\0';
        if (f->line[0] == '#' || f->line[0] == '\0')
            continue;
        for (f->n = 0; rest && f->n < MAX_FIELDS; f->n++)
            f->field[f->n] = strsep(&rest, "\t");
        return true;
    }
    fclose(f->file);
    return false;
}

/* Opens a file and passes its header line. */
static void
facts_open(facts *f, const char *name)
{
    const char *dir = getenv("CLO_TEST_DATA");
    char path[1024];

    snprintf(path, sizeof path, "%s/%s", dir ? dir : "test/data", name);
    f->file = fopen(path, "r");
    if (!f->file)
        fail_msg("cannot open %s: run from the root of the tree or set CLO_TEST_DATA", path);
    assert_true(facts_next(f));
}

/* ---- tools against tools.tsv ------------------------------------------------------------- */

static const char *
wire_type(const clo_param *p)
{
    if (p->type == CLO_T_JSON && (p->flags & CLO_P_OBJECT))
        return "object";
    if (p->type == CLO_T_JSON && (p->flags & CLO_P_ARRAY))
        return "array";
    if (p->type == CLO_T_TEXT || (p->type == CLO_T_JSON && (p->flags & CLO_P_JSONTEXT)))
        return "string";
    return p->type == CLO_T_INT ? "integer" : p->type == CLO_T_BOOL ? "boolean" : "?";
}

static void
check_param(const clo_tool *tool, const clo_param *p, const char *name, const char *type, bool need)
{
    static const char *const paging[] = {"_limit", "_skip", "_order_by", "_fields"};
    bool is_paging = false;

    if (strcmp(p->name, name) != 0)
        fail_msg("%s: parameter %s stands where %s should be", tool->name, p->name, name);
    if (strcmp(wire_type(p), type) != 0)
        fail_msg("%s.%s: type is %s, should be %s", tool->name, name, wire_type(p), type);
    if (!(p->flags & CLO_P_REQUIRED) == need)
        fail_msg("%s.%s: wrong about being required", tool->name, name);
    for (size_t i = 0; i < CLO_ARRAY_LEN(paging); i++)
        is_paging = is_paging || strcmp(paging[i], name) == 0;
    if (is_paging != ((p->flags & CLO_P_PAGING) != 0))
        fail_msg("%s.%s: wrong about being a paging parameter", tool->name, name);
}

/* `list` is "name:type! name:type ...", in the connector's order. SQL takes required ones first. */
static void
check_params(const clo_tool *tool, const char *list)
{
    size_t at = 0;

    for (int required = 1; required >= 0; required--) {
        char copy[2048], *rest = copy, *item;

        assert_true(strlen(list) < sizeof copy);
        memcpy(copy, list, strlen(list) + 1);
        while ((item = strsep(&rest, " ")) != NULL) {
            char *type = strchr(item, ':');
            bool need;

            if (!type)
                continue;
            *type++ = '\0';
            need = strchr(type, '!') != NULL;
            type[strcspn(type, "!")] = '\0';
            if (need != (required == 1))
                continue;
            if (at == tool->n_params)
                fail_msg("%s: parameter %s is missing", tool->name, item);
            check_param(tool, &tool->params[at++], item, type, need);
        }
    }
    if (at != tool->n_params)
        fail_msg("%s: parameter %s is not the connector's", tool->name, tool->params[at].name);
}

static void
test_tools_are_the_connectors(void **state)
{
    facts f;
    size_t core = 0, newer = 0;

    (void)state;
    facts_open(&f, "tools.tsv");
    while (facts_next(&f)) {
        const clo_tool *tool = clo_tool_find(f.field[0]);
        bool is_core = strcmp(f.field[1], "core81") == 0;

        if (!tool)
            fail_msg("%s is not in the catalogue", f.field[0]);
        assert_true(is_core || strcmp(f.field[1], "current103") == 0);
        if (is_core != !(tool->flags & CLO_TOOL_NEWER))
            fail_msg("%s: wrong generation", tool->name);
        core += is_core;
        newer += !is_core;
        check_params(tool, f.n > 2 ? f.field[2] : "");
    }
    assert_int_equal(core, 81);
    assert_int_equal(newer, 22);
    assert_int_equal(clo_tool_count(), 103);
}

/* The four kinds of JSON text are documented as strings; nothing else may be parsed as JSON. */
static void
test_json_text_parameters(void **state)
{
    static const char *const names[] = {"emails", "phones", "to", "events"};

    (void)state;
    for (size_t i = 0; i < clo_tool_count(); i++) {
        const clo_tool *tool = clo_tool_at(i);

        for (size_t p = 0; p < tool->n_params; p++) {
            bool json = false;

            for (size_t n = 0; n < CLO_ARRAY_LEN(names); n++)
                json = json || strcmp(tool->params[p].name, names[n]) == 0;
            if (json != ((tool->params[p].flags & CLO_P_JSONTEXT) != 0))
                fail_msg("%s.%s: wrong about JSON text", tool->name, tool->params[p].name);
        }
    }
}

/* ---- columns against columns.tsv --------------------------------------------------------- */

static clo_type
type_of_fact(const char *json_type)
{
    static const struct {
        const char *name;
        clo_type type;
    } types[] = {{"string", CLO_T_TEXT},    {"integer", CLO_T_INT}, {"boolean", CLO_T_BOOL},
                 {"timestamp", CLO_T_TIME}, {"date", CLO_T_DATE},   {"array", CLO_T_JSON},
                 {"object", CLO_T_JSON}};

    for (size_t i = 0; i < CLO_ARRAY_LEN(types); i++)
        if (strcmp(types[i].name, json_type) == 0)
            return types[i].type;
    fail_msg("unknown type %s in columns.tsv", json_type);
    return CLO_T_NULL;
}

/* What follows the fields: custom where the resource has such keys, parameters, then _raw. */
static void
check_tail(const clo_table *t, size_t at, bool custom)
{
    if (at < t->n_columns && (t->columns[at].flags & CLO_C_CUSTOM)) {
        assert_string_equal(t->columns[at].name, "custom");
        at++;
    } else if (custom) {
        fail_msg("%s has no column custom", t->name);
    }
    while (at < t->n_columns && (t->columns[at].flags & CLO_C_PARAM))
        at++;
    if (at + 1 != t->n_columns || t->columns[at].flags != CLO_C_RAW ||
        strcmp(t->columns[at].name, "_raw") != 0)
        fail_msg("%s: column %s after the fields", t->name,
                 at < t->n_columns ? t->columns[at].name : "_raw is missing");
}

static void
check_column(const clo_table *t, size_t at, char *const field[])
{
    const clo_column *c = &t->columns[at];
    bool secret = strcmp(field[1], "signature_key") == 0;
    unsigned want = strcmp(field[3], "yes") == 0 ? CLO_C_NULLABLE : 0;

    if (at >= t->n_columns || strcmp(c->name, field[1]) != 0)
        fail_msg("%s: column %zu should be %s", t->name, at, field[1]);
    if (c->type != type_of_fact(field[2]))
        fail_msg("%s.%s: wrong type", t->name, c->name);
    want |= strcmp(field[1], "id") == 0 ? CLO_C_KEY : 0;
    want |= secret ? CLO_C_SECRET : 0;
    want |= strcmp(field[1], "latest_error") == 0 ? CLO_C_LOOSE : 0; /* "real type unconfirmed" */
    if (c->flags != want)
        fail_msg("%s.%s: flags are %#x, should be %#x", t->name, c->name, c->flags, want);
}

static void
test_columns_are_the_services(void **state)
{
    facts f;
    const clo_table *t = NULL;
    size_t at = 0, tables = 0;
    bool custom = false;

    (void)state;
    facts_open(&f, "columns.tsv");
    while (facts_next(&f)) {
        if (!t || strcmp(t->resource, f.field[0]) != 0) {
            char name[CLO_NAME_MAX + 1];

            if (t)
                check_tail(t, at, custom);
            snprintf(name, sizeof name, "close_%s", f.field[0]);
            t = clo_table_find(name);
            if (!t)
                fail_msg("%s is not in the catalogue", name);
            assert_string_equal(t->resource, f.field[0]);
            at = 0;
            tables++;
            custom = strcmp(t->resource, "custom_activities") == 0 ||
                     strcmp(t->resource, "custom_objects") == 0;
        }
        if (strncmp(f.field[1], "custom.", 7) == 0)
            custom = true;
        else
            check_column(t, at++, f.field);
    }
    assert_non_null(t);
    check_tail(t, at, custom);
    assert_int_equal(tables, 27);
    assert_int_equal(clo_table_count(), 27);
}

/* ---- names ------------------------------------------------------------------------------- */

static void
check_identifier(const char *where, const char *name)
{
    size_t n = strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_");

    if (name[n] != '\0' || n == 0 || n > CLO_NAME_MAX || (name[0] >= '0' && name[0] <= '9'))
        fail_msg("%s: %s is no lower snake case name of at most %d bytes", where, name,
                 CLO_NAME_MAX);
}

static void
test_names(void **state)
{
    (void)state;
    for (size_t i = 0; i < clo_tool_count(); i++) {
        const clo_tool *tool = clo_tool_at(i);

        check_identifier("tool", tool->name);
        assert_int_equal(strncmp(tool->name, "close_", 6), 0);
        assert_ptr_equal(clo_tool_find(tool->name), tool);
        if (i > 0 && strcmp(clo_tool_at(i - 1)->name, tool->name) >= 0)
            fail_msg("%s is out of order", tool->name);
        for (size_t p = 0; p < tool->n_params; p++) {
            check_identifier(tool->name, tool->params[p].name);
            if (clo_tool_param(tool, tool->params[p].name) != &tool->params[p])
                fail_msg("%s.%s appears twice", tool->name, tool->params[p].name);
        }
    }
    for (size_t i = 0; i < clo_table_count(); i++) {
        const clo_table *t = clo_table_at(i);

        check_identifier("table", t->name);
        assert_ptr_equal(clo_table_find(t->name), t);
        if (i > 0 && strcmp(clo_table_at(i - 1)->name, t->name) >= 0)
            fail_msg("%s is out of order", t->name);
        for (size_t c = 0; c < t->n_columns; c++) {
            check_identifier(t->name, t->columns[c].name);
            if (clo_table_column(t, t->columns[c].name) != (int)c)
                fail_msg("%s.%s appears twice", t->name, t->columns[c].name);
        }
    }
}

static void
test_lookups_that_fail(void **state)
{
    (void)state;
    assert_null(clo_tool_find(NULL));
    assert_null(clo_tool_find(""));
    assert_null(clo_tool_find("close_lead"));
    assert_null(clo_tool_find("zzz"));
    assert_null(clo_tool_at(clo_tool_count()));
    assert_null(clo_table_find(NULL));
    assert_null(clo_table_find("close_lead"));
    assert_null(clo_table_at(clo_table_count()));
    assert_int_equal(clo_table_column(clo_table_find("close_leads"), "nosuch"), -1);
    assert_null(clo_tool_param(clo_tool_find("close_me_get"), "id"));
    assert_string_equal(clo_kind_name(CLO_LIST), "list");
    assert_string_equal(clo_kind_name(CLO_ACTION), "action");
}

static bool
one_of(const char *name, const char *const *list)
{
    for (; *list; list++)
        if (strcmp(*list, name) == 0)
            return true;
    return false;
}

static bool
is_param_name(const char *word)
{
    for (size_t i = 0; i < clo_tool_count(); i++)
        if (clo_tool_param(clo_tool_at(i), word))
            return true;
    return false;
}

static bool
is_column_name(const char *word)
{
    for (size_t i = 0; i < clo_table_count(); i++)
        if (clo_table_column(clo_table_at(i), word) >= 0)
            return true;
    return false;
}

/* `class` of keywords.tsv: where the word may stand unquoted. Users write column names in both hosts
 * and parameter names in PostgreSQL; gen.c quotes those that need it. */
static void
test_words_that_need_quoting(void **state)
{
    static const char *const quoted[] = {"localtime", "references", "to", NULL};
    facts f;
    size_t words = 0;

    (void)state;
    facts_open(&f, "keywords.tsv");
    while (facts_next(&f)) {
        const char *word = f.field[0], *class = f.field[2];
        bool pg = strcmp(f.field[1], "postgresql") == 0;
        bool column_ok = strcmp(class, "free") == 0 || strcmp(class, "column") == 0;
        bool param_ok = !pg || strcmp(class, "free") == 0 || strcmp(class, "function") == 0;

        words++;
        if (clo_tool_find(word) || clo_table_find(word))
            fail_msg("%s names a tool or table", word);
        if (!param_ok && strcmp(word, "to") != 0 && is_param_name(word))
            fail_msg("parameter %s needs quoting in PostgreSQL; gen.c does not know", word);
        if (!column_ok && !one_of(word, quoted) && is_column_name(word))
            fail_msg("column %s needs quoting in %s; gen.c and the reference do not", word,
                     f.field[1]);
    }
    assert_true(words > 500);
}

/* ---- words for people -------------------------------------------------------------------- */

static void
check_doc(const char *where, const char *name, const char *doc)
{
    size_t n = doc ? strlen(doc) : 0;

    if (n < 5 || doc[n - 1] != '.' || (doc[0] >= 'a' && doc[0] <= 'z'))
        fail_msg("%s.%s: \"%s\" is no sentence", where, name, doc ? doc : "(null)");
    for (const char *p = doc; *p; p++) {
        bool next_sentence =
            p > doc && p[-1] != '.' && p[0] == '.' && p[1] == ' ' && p[2] >= 'A' && p[2] <= 'Z';

        if ((unsigned char)*p < ' ' || (unsigned char)*p > '~' || next_sentence ||
            (p[0] == ' ' && p[1] == ' '))
            fail_msg("%s.%s: \"%s\" is not one plain sentence", where, name, doc);
    }
}

static void
test_docs(void **state)
{
    (void)state;
    for (size_t i = 0; i < clo_tool_count(); i++) {
        const clo_tool *tool = clo_tool_at(i);

        check_doc("tool", tool->name, tool->doc);
        for (size_t p = 0; p < tool->n_params; p++)
            check_doc(tool->name, tool->params[p].name, tool->params[p].doc);
    }
    for (size_t i = 0; i < clo_table_count(); i++) {
        const clo_table *t = clo_table_at(i);

        check_doc("table", t->name, t->doc);
        for (size_t c = 0; c < t->n_columns; c++)
            check_doc(t->name, t->columns[c].name, t->columns[c].doc);
    }
}

/* Arguments of "SELECT name(...);": commas outside quotes and nested parentheses. */
static size_t
count_arguments(const char *args)
{
    size_t n = strncmp(args, ")", 1) == 0 ? 0 : 1;
    bool quoted = false;

    for (; *args; args++) {
        if (*args == '\'')
            quoted = !quoted;
        else if (*args == ',' && !quoted)
            n++;
    }
    return n;
}

static void
test_examples(void **state)
{
    (void)state;
    for (size_t i = 0; i < clo_tool_count(); i++) {
        const clo_tool *tool = clo_tool_at(i);
        char start[CLO_NAME_MAX + 16];
        size_t given, required = 0, n = strlen(tool->example);

        snprintf(start, sizeof start, "SELECT %s(", tool->name);
        if (strncmp(tool->example, start, strlen(start)) != 0 ||
            strcmp(tool->example + n - 2, ");") != 0)
            fail_msg("%s: example is %s", tool->name, tool->example);
        given = count_arguments(tool->example + strlen(start));
        for (size_t p = 0; p < tool->n_params; p++)
            required += (tool->params[p].flags & CLO_P_REQUIRED) != 0;
        if (given < required || given > tool->n_params)
            fail_msg("%s: example has %zu arguments", tool->name, given);
    }
    for (size_t i = 0; i < clo_table_count(); i++) {
        const clo_table *t = clo_table_at(i);
        const char *from = strstr(t->example, t->name);

        if (strncmp(t->example, "SELECT ", 7) != 0 || !from || strncmp(from - 5, "FROM ", 5) != 0 ||
            t->example[strlen(t->example) - 1] == ';')
            fail_msg("%s: example is %s", t->name, t->example);
    }
}

/* ---- decisions about tools --------------------------------------------------------------- */

static bool
ends_with(const char *s, const char *end)
{
    size_t n = strlen(s), m = strlen(end);

    return n >= m && strcmp(s + n - m, end) == 0;
}

static void
expect_flag(const clo_tool *tool, unsigned flag, bool want, const char *what)
{
    if (((tool->flags & flag) != 0) != want)
        fail_msg("%s: should%s be marked %s", tool->name, want ? "" : " not", what);
}

/* Names decide what a tool is, apart from these exceptions. */
static const char *const actions[] = {"close_lead_merge",
                                      "close_bulk_delete_create",
                                      "close_bulk_edit_create",
                                      "close_export_lead_create",
                                      "close_tasks_bulk_update",
                                      "close_field_enrichment_create",
                                      NULL};
static const char *const destroying_actions[] = {"close_lead_merge", "close_bulk_delete_create",
                                                 "close_bulk_edit_create",
                                                 "close_tasks_bulk_update", NULL};
static const char *const messages[] = {"close_email_create", "close_email_update",
                                       "close_sms_create", "close_sms_update", NULL};

static void
test_kinds_and_flags(void **state)
{
    static const struct {
        const char *end;
        clo_kind kind;
    } ends[] = {{"_list", CLO_LIST},     {"_get", CLO_GET},       {"_create", CLO_CREATE},
                {"_update", CLO_UPDATE}, {"_delete", CLO_DELETE}, {"", CLO_ACTION}};

    (void)state;
    for (size_t i = 0; i < clo_tool_count(); i++) {
        const clo_tool *tool = clo_tool_at(i);
        bool action = one_of(tool->name, actions), reads, message = one_of(tool->name, messages);
        size_t e = 0;

        while (!ends_with(tool->name, ends[e].end))
            e++;
        if (tool->kind != (action ? CLO_ACTION : ends[e].kind))
            fail_msg("%s: kind is %s", tool->name, clo_kind_name(tool->kind));
        reads = tool->kind == CLO_LIST || tool->kind == CLO_GET;
        expect_flag(tool, CLO_TOOL_WRITES, !reads, "a writer");
        expect_flag(tool, CLO_TOOL_DESTRUCTIVE,
                    tool->kind == CLO_DELETE || one_of(tool->name, destroying_actions),
                    "destructive");
        /* A repeated create makes a second object, a repeated message may be sent twice. */
        expect_flag(tool, CLO_TOOL_IDEMPOTENT,
                    reads || tool->kind == CLO_DELETE || (tool->kind == CLO_UPDATE && !message),
                    "idempotent");
        expect_flag(tool, CLO_TOOL_MESSAGES, message, "able to send messages");
    }
}

static const char *
usual_method(clo_kind kind)
{
    switch (kind) {
    case CLO_LIST:
    case CLO_GET:
        return "GET";
    case CLO_UPDATE:
        return "PUT";
    case CLO_DELETE:
        return "DELETE";
    default:
        return "POST";
    }
}

/* Every {name} of the path is a required parameter, and gets, updates and deletes have one. */
static void
check_path(const clo_tool *tool)
{
    size_t n = strlen(tool->path), names = 0;

    if (tool->path[0] != '/' || tool->path[n - 1] != '/')
        fail_msg("%s: path %s has no slash at an end", tool->name, tool->path);
    for (const char *p = strchr(tool->path, '{'); p; p = strchr(p + 1, '{')) {
        char name[CLO_NAME_MAX + 1];
        size_t len = strcspn(p + 1, "}");
        const clo_param *param;

        assert_true(len < sizeof name);
        memcpy(name, p + 1, len);
        name[len] = '\0';
        param = clo_tool_param(tool, name);
        if (!param || !(param->flags & CLO_P_REQUIRED))
            fail_msg("%s: path names %s, which is no required parameter", tool->name, name);
        names++;
    }
    if (strcmp(tool->name, "close_me_get") != 0 &&
        strcmp(tool->name, "close_report_activity_get") != 0)
        assert_int_equal(names, tool->kind == CLO_GET || tool->kind == CLO_UPDATE ||
                                    tool->kind == CLO_DELETE);
}

static void
test_rest_calls(void **state)
{
    (void)state;
    for (size_t i = 0; i < clo_tool_count(); i++) {
        const clo_tool *tool = clo_tool_at(i);
        const char *method = usual_method(tool->kind);

        if (strcmp(tool->name, "close_report_activity_get") == 0)
            method = "POST"; /* a read by POST */
        if (strcmp(tool->name, "close_tasks_bulk_update") == 0)
            method = "PUT";
        if (strcmp(tool->method, method) != 0)
            fail_msg("%s: method is %s", tool->name, tool->method);
        check_path(tool);
    }
}

/* ---- tables are views over tools --------------------------------------------------------- */

/* The tool of that name belongs to the table; NULL when the table has none. */
static const clo_tool *
slot(const clo_table *t, const char *name, clo_kind kind)
{
    const clo_tool *tool = clo_tool_find(name);

    if (!name)
        return NULL;
    if (!tool)
        fail_msg("%s: no tool %s", t->name, name);
    if (tool->kind != kind || !tool->table || strcmp(tool->table, t->name) != 0)
        fail_msg("%s: %s is another table's or of another kind", t->name, name);
    return tool;
}

static void
check_id_param(const clo_table *t, const clo_tool *tool)
{
    if (tool &&
        (tool->n_params == 0 || !t->get_param || strcmp(tool->params[0].name, t->get_param) != 0))
        fail_msg("%s: the first argument of %s is not the id", t->name, tool->name);
}

/* A required parameter that no column carries would make INSERT impossible. */
static void
check_insertable(const clo_table *t, const clo_tool *create)
{
    for (size_t p = 0; create && p < create->n_params; p++) {
        const clo_param *param = &create->params[p];
        bool found = clo_table_column(t, param->name) >= 0;

        for (size_t a = 0; a < t->n_aliases; a++)
            found = found || (t->aliases[a].kind == CLO_CREATE &&
                              strcmp(t->aliases[a].param, param->name) == 0);
        if (!found && (param->flags & CLO_P_REQUIRED))
            fail_msg("%s: no column for %s of %s", t->name, param->name, create->name);
    }
}

static void
test_tables_and_their_tools(void **state)
{
    size_t lists = 0;

    (void)state;
    for (size_t i = 0; i < clo_table_count(); i++) {
        const clo_table *t = clo_table_at(i);
        const clo_tool *list = slot(t, t->list, CLO_LIST);
        const clo_tool *get = slot(t, t->get, CLO_GET), *create = slot(t, t->create, CLO_CREATE);
        const clo_tool *update = slot(t, t->update, CLO_UPDATE);
        const clo_tool *remove = slot(t, t->remove, CLO_DELETE);

        lists += list != NULL;
        if (list && strlen(list->name) != strlen(t->name) + 5)
            fail_msg("%s is not named after %s", t->name, list->name);
        if ((t->pager == CLO_PAGE_ONE) != (list == NULL))
            fail_msg("%s: wrong about having a list", t->name);
        if (t->pager != CLO_PAGE_ONE)
            check_id_param(t, get);
        check_id_param(t, update);
        check_id_param(t, remove);
        check_insertable(t, create);
        assert_int_equal(t->columns[0].flags & CLO_C_KEY, CLO_C_KEY);
        assert_true(t->n_columns <= CLO_MAX_COLUMNS);
        assert_true(t->guess_rows >= 1);
    }
    assert_int_equal(lists, 26);
    for (size_t i = 0; i < clo_tool_count(); i++) {
        const clo_tool *tool = clo_tool_at(i);
        const clo_table *t = clo_table_find(tool->table);

        if (tool->table && !t)
            fail_msg("%s: no table %s", tool->name, tool->table);
        if (tool->kind != CLO_ACTION && t &&
            !one_of(tool->name,
                    (const char *const[]){t->list ? t->list : "", t->get ? t->get : "",
                                          t->create ? t->create : "", t->update ? t->update : "",
                                          t->remove ? t->remove : "", NULL}))
            fail_msg("%s is not among the tools of %s", tool->name, t->name);
    }
}

static const clo_param *
list_param(const clo_table *t, const char *name)
{
    const clo_tool *list = clo_tool_find(t->list);

    return list && name ? clo_tool_param(list, name) : NULL;
}

static bool
filtered_by(const clo_table *t, const char *param)
{
    for (size_t i = 0; i < t->n_filters; i++)
        if (strcmp(t->filters[i].param, param) == 0)
            return true;
    return false;
}

static void
check_filter(const clo_table *t, const clo_filter *f)
{
    int at = clo_table_column(t, f->column);
    const clo_param *p = list_param(t, f->param);

    if (at < 0 || !p || (p->flags & CLO_P_PAGING))
        fail_msg("%s: filter %s by %s names what is not there", t->name, f->column, f->param);
    assert_true(f->op == CLO_OP_EQ || f->op == CLO_OP_GE || f->op == CLO_OP_LE);
    if (f->op == CLO_OP_EQ && p->type != t->columns[at].type)
        fail_msg("%s.%s: column and parameter differ in type", t->name, f->column);
    if (f->op != CLO_OP_EQ && t->columns[at].type != CLO_T_TIME)
        fail_msg("%s.%s: bounds only on timestamps", t->name, f->column);
    if ((f->flags & CLO_F_WITH_LEAD) && !filtered_by(t, "lead_id"))
        fail_msg("%s.%s: needs a lead that cannot be given", t->name, f->column);
}

/* What a user could want to say to the list tool is sayable, and parameter columns are nothing else. */
static void
test_filters(void **state)
{
    (void)state;
    for (size_t i = 0; i < clo_table_count(); i++) {
        const clo_table *t = clo_table_at(i);
        const clo_tool *list = clo_tool_find(t->list);

        for (size_t f = 0; f < t->n_filters; f++)
            check_filter(t, &t->filters[f]);
        for (size_t p = 0; list && p < list->n_params; p++)
            if (!(list->params[p].flags & CLO_P_PAGING) && !filtered_by(t, list->params[p].name))
                fail_msg("%s: parameter %s of the list is out of reach", t->name,
                         list->params[p].name);
        for (size_t c = 0; c < t->n_columns; c++)
            if ((t->columns[c].flags & CLO_C_PARAM) && !filtered_by(t, t->columns[c].name))
                fail_msg("%s.%s is no parameter", t->name, t->columns[c].name);
    }
}

/* No NULLs and no text: what the service sorts then comes as SQL would sort it. */
static void
test_orders(void **state)
{
    (void)state;
    for (size_t i = 0; i < clo_table_count(); i++) {
        const clo_table *t = clo_table_at(i);

        for (size_t o = 0; o < t->n_orders; o++) {
            const clo_order *order = &t->orders[o];
            int at = clo_table_column(t, order->column);
            bool in_query = order->asc && strncmp(order->asc, "sort:", 5) == 0;

            if (at < 0 || (t->columns[at].flags & CLO_C_NULLABLE) ||
                (t->columns[at].type != CLO_T_TIME && t->columns[at].type != CLO_T_INT))
                fail_msg("%s cannot be sorted by %s as SQL does", t->name, order->column);
            if (!order->asc && !order->desc)
                fail_msg("%s.%s: no direction", t->name, order->column);
            if (!list_param(t, in_query ? "query" : "_order_by"))
                fail_msg("%s.%s: no way to ask for it", t->name, order->column);
        }
    }
}

static void
check_walk(const clo_table *t)
{
    const clo_param *each = list_param(t, t->each_param);

    if (t->parent) {
        const clo_table *parent = clo_table_find(t->parent);

        if (!parent || parent->parent || !list_param(t, t->parent_param))
            fail_msg("%s: parent %s cannot be walked", t->name, t->parent);
        assert_true(t->parent_unless && t->parent_unless[0]);
        assert_true(one_of(t->parent_param, t->parent_unless));
        for (const char *const *u = t->parent_unless; *u; u++)
            if (!filtered_by(t, *u))
                fail_msg("%s: %s cannot replace the parent", t->name, *u);
    }
    if (t->each_param && (!each || !t->each_values || !t->each_values[0]))
        fail_msg("%s: nothing to go through by %s", t->name, t->each_param);
    if (t->keyset != CLO_KEY_NONE) {
        int at = t->key_column ? clo_table_column(t, t->key_column) : -1;

        if (at < 0 || (t->columns[at].flags & CLO_C_NULLABLE) || t->columns[at].type != CLO_T_TIME)
            fail_msg("%s: no key to go on by", t->name);
        assert_int_equal(t->keyset == CLO_KEY_DATE_LTE, list_param(t, t->key_param) != NULL);
    }
}

/* A list that demands a parameter must get it from the parent. */
static void
test_walks(void **state)
{
    (void)state;
    for (size_t i = 0; i < clo_table_count(); i++) {
        const clo_table *t = clo_table_at(i);
        const clo_tool *list = clo_tool_find(t->list);

        check_walk(t);
        for (size_t p = 0; list && p < list->n_params; p++)
            if ((list->params[p].flags & CLO_P_REQUIRED) &&
                (!t->parent_param || strcmp(t->parent_param, list->params[p].name) != 0))
                fail_msg("%s cannot be listed without %s", t->name, list->params[p].name);
        for (size_t a = 0; a < t->n_aliases; a++) {
            const clo_alias *alias = &t->aliases[a];
            const clo_tool *tool = clo_tool_find(alias->kind == CLO_CREATE ? t->create : t->update);

            assert_true(alias->kind == CLO_CREATE || alias->kind == CLO_UPDATE);
            if (clo_table_column(t, alias->column) < 0 || !tool ||
                !clo_tool_param(tool, alias->param))
                fail_msg("%s: alias %s leads nowhere", t->name, alias->column);
        }
    }
}

/* Page sizes that public clients use in production (close-api 3.2), and what pages at all. */
static void
test_pages(void **state)
{
    static const struct {
        const char *table;
        clo_pager pager;
        int max;
    } known[] = {
        {"close_leads", CLO_PAGE_OFFSET, 200},         {"close_contacts", CLO_PAGE_OFFSET, 100},
        {"close_opportunities", CLO_PAGE_OFFSET, 250}, {"close_tasks", CLO_PAGE_OFFSET, 1000},
        {"close_activities", CLO_PAGE_OFFSET, 100},    {"close_emails", CLO_PAGE_OFFSET, 100},
        {"close_users", CLO_PAGE_OFFSET, 1000},        {"close_smart_views", CLO_PAGE_OFFSET, 600},
        {"close_sequences", CLO_PAGE_OFFSET, 1000},    {"close_events", CLO_PAGE_EVENTS, 50},
        {"close_pipelines", CLO_PAGE_WHOLE, 0},        {"close_webhooks", CLO_PAGE_WHOLE, 0},
        {"close_lead_statuses", CLO_PAGE_WHOLE, 0},    {"close_me", CLO_PAGE_ONE, 0},
    };

    (void)state;
    for (size_t i = 0; i < CLO_ARRAY_LEN(known); i++) {
        const clo_table *t = clo_table_find(known[i].table);

        assert_non_null(t);
        if (t->pager != known[i].pager || t->page_max != known[i].max)
            fail_msg("%s: wrong paging", t->name);
    }
    for (size_t i = 0; i < clo_table_count(); i++) {
        const clo_table *t = clo_table_at(i);
        bool paged = t->pager == CLO_PAGE_OFFSET || t->pager == CLO_PAGE_EVENTS;
        bool totals =
            strcmp(t->resource, "leads") == 0 || strcmp(t->resource, "opportunities") == 0;

        if (paged != (t->page_max > 0) || (paged && !list_param(t, "_limit")))
            fail_msg("%s: page size and pager disagree", t->name);
        assert_int_equal(t->totals, totals);
        assert_int_equal(t->skip_max, strcmp(t->resource, "leads") == 0 ? 35000 : 0);
    }
}

/* ---- did you mean ------------------------------------------------------------------------ */

static void
test_distance(void **state)
{
    char longest[CLO_NAME_MAX + 1], longer[CLO_NAME_MAX + 2];

    (void)state;
    assert_int_equal(clo_name_distance("", ""), 0);
    assert_int_equal(clo_name_distance("", "abc"), 3);
    assert_int_equal(clo_name_distance("abc", ""), 3);
    assert_int_equal(clo_name_distance("timeout", "TIMEOUT"), 0);
    assert_int_equal(clo_name_distance("timeout", "timout"), 1);
    assert_int_equal(clo_name_distance("timeout", "tiemout"), 1); /* neighbours swapped */
    assert_int_equal(clo_name_distance("kitten", "sitting"), 3);
    assert_int_equal(clo_name_distance("ca", "abc"), 3); /* no edit inside a swap */
    memset(longest, 'a', sizeof longest);
    longest[CLO_NAME_MAX] = '\0';
    memset(longer, 'a', sizeof longer);
    longer[CLO_NAME_MAX + 1] = '\0';
    assert_int_equal(clo_name_distance(longest, ""), CLO_NAME_MAX);
    assert_true(clo_name_distance(longer, "a") == SIZE_MAX);
    assert_true(clo_name_distance("a", longer) == SIZE_MAX);
}

static void
test_suggestions(void **state)
{
    static const struct {
        const char *typed, *meant;
    } cases[] = {
        {"close_lead_list", "close_leads_list"},
        {"close_leed_create", "close_lead_create"},
        {"leads_list", "close_leads_list"},
        {"Close_Lead_Get", "close_lead_get"},
        {"CLOSE_NOTE_CRAETE", "close_note_create"},
        {"close_lead_get", "close_lead_get"},
        {"close_everything", NULL},
        {"pg_sleep", NULL},
        {"", NULL},
        {"close_", NULL},
    };
    char longer[300];

    (void)state;
    for (size_t i = 0; i < CLO_ARRAY_LEN(cases); i++) {
        const char *got = clo_tool_suggest(cases[i].typed);

        if (cases[i].meant ? !got || strcmp(got, cases[i].meant) != 0 : got != NULL)
            fail_msg("%s: suggested %s", cases[i].typed, got ? got : "nothing");
    }
    memset(longer, 'x', sizeof longer);
    longer[sizeof longer - 1] = '\0';
    assert_null(clo_tool_suggest(longer));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_tools_are_the_connectors),
        cmocka_unit_test(test_json_text_parameters),
        cmocka_unit_test(test_columns_are_the_services),
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_lookups_that_fail),
        cmocka_unit_test(test_words_that_need_quoting),
        cmocka_unit_test(test_docs),
        cmocka_unit_test(test_examples),
        cmocka_unit_test(test_kinds_and_flags),
        cmocka_unit_test(test_rest_calls),
        cmocka_unit_test(test_tables_and_their_tools),
        cmocka_unit_test(test_filters),
        cmocka_unit_test(test_orders),
        cmocka_unit_test(test_walks),
        cmocka_unit_test(test_pages),
        cmocka_unit_test(test_distance),
        cmocka_unit_test(test_suggestions),
    };

    return cmocka_run_group_tests_name("catalog", tests, NULL, NULL);
}
