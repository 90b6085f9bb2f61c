/*
 * fields.c - custom fields as columns.
 *
 * A lead, contact or opportunity carries its custom values as flat keys "custom.cf_...". The column
 * `custom` shows them all as one object; here each field becomes a typed column of its own. It is bound
 * to the field's id, because labels can be renamed and need not be unique, and named after the label
 * for the person who writes the SQL.
 *
 *      number -> REAL    date -> DATE    datetime -> TIME    several values -> JSON    else TEXT
 *
 * Two sources. The per-type list is a tool and always there, but leaves shared fields out. The schema
 * of the object type names all, in display order, but is no tool: it is read through the proxy, and
 * where the environment has no proxy, or no such path, the list has to do.
 *
 * A dynamic table is a copy of its base with more columns at the end, so every column keeps its
 * place. Copy, columns and texts live in one arena that clo_table_free releases.
 */
#include "scan.h"

#include <stdio.h>
#include <string.h>

/* ---- dynamic tables ------------------------------------------------------------------------- */

typedef struct dynamic {
    clo_table table; /* first: a clo_table pointer is a dynamic pointer */
    clo_arena *arena;
} dynamic;

static bool
copy_column(clo_arena *a, const clo_column *from, clo_column *to)
{
    const char *path = clo_column_path(from);

    *to = *from;
    to->name = clo_arena_strndup(a, from->name, strlen(from->name));
    to->path = clo_arena_strndup(a, path, strlen(path));
    to->doc = from->doc != NULL ? clo_arena_strndup(a, from->doc, strlen(from->doc)) : "";
    return to->name != NULL && to->path != NULL && to->doc != NULL;
}

clo_table *
clo_table_extend(const clo_table *base, const clo_column *extra, size_t n, clo_err *err)
{
    clo_column *columns = NULL;
    dynamic *d;

    clo_err_clear(err);
    if (n > CLO_MAX_COLUMNS - base->n_columns) {
        clo_err_set(err, CLO_E_LIMIT, "%s: %zu custom fields are more than %zu columns can hold",
                    base->name, n, (size_t)CLO_MAX_COLUMNS - base->n_columns);
        return NULL;
    }
    d = clo_calloc(1, sizeof *d);
    if (d != NULL)
        d->arena = clo_arena_new();
    if (d != NULL && d->arena != NULL)
        columns = clo_arena_alloc(d->arena, (base->n_columns + n) * sizeof *columns);
    if (columns != NULL) {
        bool ok = true;

        memcpy(columns, base->columns, base->n_columns * sizeof *columns);
        for (size_t i = 0; ok && i < n; i++)
            ok = copy_column(d->arena, &extra[i], &columns[base->n_columns + i]);
        if (ok) {
            d->table = *base;
            d->table.columns = columns;
            d->table.n_columns = base->n_columns + n;
            return &d->table;
        }
    }
    clo_err_nomem(err);
    if (d != NULL)
        clo_table_free(&d->table);
    return NULL;
}

void
clo_table_free(clo_table *table)
{
    dynamic *d = (dynamic *)table;

    if (d == NULL)
        return;
    clo_arena_free(d->arena);
    clo_free(d);
}

/* ---- names ---------------------------------------------------------------------------------- */

static bool
name_taken(const clo_table *base, const clo_column *cols, size_t n, const char *name)
{
    if (clo_table_column(base, name) >= 0)
        return true;
    for (size_t i = 0; i < n; i++)
        if (strcmp(cols[i].name, name) == 0)
            return true;
    return false;
}

/* "Deal size (EUR)" -> deal_size_eur. Letters beyond ASCII separate words, like punctuation. */
static void
snake_case(const char *label, size_t len, char out[CLO_NAME_MAX + 1])
{
    size_t n = 0;
    bool gap = false;

    for (size_t i = 0; i < len && n < CLO_NAME_MAX - 6; i++) { /* room for _9999 */
        char c = label[i];

        if (c >= 'A' && c <= 'Z')
            c = (char)(c - 'A' + 'a');
        if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'))) {
            gap = n > 0;
            continue;
        }
        if (n == 0 && c >= '0' && c <= '9') {
            memcpy(out, "f_", 2);
            n = 2;
        }
        if (gap)
            out[n++] = '_';
        gap = false;
        out[n++] = c;
    }
    if (n == 0) {
        memcpy(out, "field", 5);
        n = 5;
    }
    out[n] = '\0';
}

/* ---- reading the fields --------------------------------------------------------------------- */

typedef enum phase { PHASE_LIST, PHASE_SCHEMA, PHASE_DONE } phase;

struct clo_fields {
    clo_client *client;
    const clo_table *base;
    phase phase;
    clo_cursor *list;
    const clo_table *list_table;
    clo_call *schema;
    clo_arena *arena;
    clo_column *cols;
    size_t n, cap;
    clo_idset ids;
};

static clo_type
type_of(const char *type, bool several)
{
    static const struct {
        const char *name;
        clo_type type;
    } types[] = {{"number", CLO_T_REAL}, {"date", CLO_T_DATE}, {"datetime", CLO_T_TIME}};

    if (several)
        return CLO_T_JSON;
    for (size_t i = 0; type != NULL && i < CLO_ARRAY_LEN(types); i++)
        if (strcmp(types[i].name, type) == 0)
            return types[i].type;
    return CLO_T_TEXT;
}

static clo_status
add_field(clo_fields *f, const char *id, const char *label, const char *type, bool several,
          clo_err *err)
{
    char name[CLO_NAME_MAX + 1], unique[CLO_NAME_MAX + 16];
    clo_idset_result added;
    clo_column *cols, *c;
    char *path, *copy, *doc;
    size_t id_len = strlen(id), label_len = strlen(label);

    added = clo_idset_add(&f->ids, id, id_len);
    if (added == CLO_IDSET_OLD)
        return CLO_OK;
    snake_case(label, label_len, name);
    snprintf(unique, sizeof unique, "%s", name);
    for (int k = 2; name_taken(f->base, f->cols, f->n, unique); k++)
        snprintf(unique, sizeof unique, "%s_%d", name, k);
    cols = clo_grow(f->cols, &f->cap, f->n + 1, sizeof *f->cols);
    if (cols != NULL)
        f->cols = cols;
    path = clo_arena_alloc(f->arena, id_len + sizeof "custom.");
    copy = clo_arena_strndup(f->arena, unique, strlen(unique));
    doc = clo_arena_strndup(f->arena, label, label_len);
    if (added == CLO_IDSET_NOMEM || cols == NULL || path == NULL || copy == NULL || doc == NULL)
        return clo_err_nomem(err);
    snprintf(path, id_len + sizeof "custom.", "custom.%s", id);
    c = &f->cols[f->n++];
    memset(c, 0, sizeof *c);
    c->name = copy;
    c->path = path;
    c->doc = doc;
    c->type = type_of(type, several);
    c->flags = CLO_C_FIELD | CLO_C_NULLABLE;
    return CLO_OK;
}

static const char *const wanted[] = {"id", "name", "type", "accepts_multiple_values"};

static clo_status
open_list(clo_fields *f, clo_err *err)
{
    static const struct {
        const char *base, *fields;
    } lists[] = {{"close_leads", "close_custom_fields_lead"},
                 {"close_contacts", "close_custom_fields_contact"},
                 {"close_opportunities", "close_custom_fields_opportunity"}};
    clo_question q = {0};
    clo_plan plan;

    for (size_t i = 0; i < CLO_ARRAY_LEN(lists); i++)
        if (strcmp(lists[i].base, f->base->name) == 0)
            f->list_table = clo_table_find(lists[i].fields);
    if (f->list_table == NULL)
        return clo_err_set(
            err, CLO_E_ARG,
            "%s: only close_leads, close_contacts and close_opportunities have custom "
            "fields as columns",
            f->base->name);
    q.table = f->list_table;
    for (size_t i = 0; i < CLO_ARRAY_LEN(wanted); i++)
        clo_colset_add(&q.needed, clo_table_column(q.table, wanted[i]));
    if (clo_plan_make(f->client, &q, &plan, err) != CLO_OK)
        return CLO_ERROR;
    f->list = clo_cursor_open(f->client, &plan, NULL, -1, 0, err);
    return f->list != NULL ? CLO_OK : CLO_ERROR;
}

clo_fields *
clo_fields_new(clo_client *client, const clo_table *base, clo_err *err)
{
    clo_fields *f;

    clo_err_clear(err);
    f = clo_calloc(1, sizeof *f);
    if (f == NULL) {
        clo_err_nomem(err);
        return NULL;
    }
    f->client = clo_client_ref(client);
    f->base = base;
    f->arena = clo_arena_new();
    if (f->arena == NULL)
        clo_err_nomem(err);
    if (f->arena != NULL && open_list(f, err) == CLO_OK)
        return f;
    clo_fields_free(f);
    return NULL;
}

static clo_status
take_listed(clo_fields *f, clo_err *err)
{
    const clo_value *row = clo_cursor_row(f->list);
    const clo_value *v[CLO_ARRAY_LEN(wanted)];

    for (size_t i = 0; i < CLO_ARRAY_LEN(wanted); i++)
        v[i] = &row[clo_table_column(f->list_table, wanted[i])];
    if (v[0]->text == NULL || v[1]->text == NULL)
        return clo_err_set(err, CLO_E_PROTO, "%s: a custom field without id or name",
                           f->list_table->name);
    return add_field(f, v[0]->text, v[1]->text, v[2]->text, v[3]->type == CLO_T_BOOL && v[3]->u.b,
                     err);
}

static clo_status
start_schema(clo_fields *f, clo_err *err)
{
    char path[128];
    clo_request *req;

    /* close_leads -> lead; every plural here is regular but one */
    if (strcmp(f->base->name, "close_opportunities") == 0)
        snprintf(path, sizeof path, "/api/v1/custom_field_schema/opportunity/");
    else
        snprintf(path, sizeof path, "/api/v1/custom_field_schema/%.*s/",
                 (int)strlen(f->base->resource) - 1, f->base->resource);
    req = clo_request_proxy("GET", path, NULL, NULL, err);
    f->schema = req != NULL ? clo_call_new(f->client, req, err) : NULL;
    return f->schema != NULL ? CLO_OK : CLO_ERROR;
}

static clo_status
take_schema(clo_fields *f, clo_err *err)
{
    size_t len = 0;
    const char *text = clo_call_result(f->schema, &len);
    clo_json *doc = text != NULL ? clo_json_parse(text, len, "custom_field_schema", err) : NULL;
    const clo_json *fields = clo_json_get(doc, "fields");
    clo_status st = CLO_OK;

    for (size_t i = 0; st == CLO_OK && i < clo_json_len(fields); i++) {
        const clo_json *j = clo_json_at(fields, i);
        const char *id = clo_json_str(clo_json_get(j, "id"), NULL);
        const char *name = clo_json_str(clo_json_get(j, "name"), NULL);

        if (id != NULL && name != NULL)
            st = add_field(f, id, name, clo_json_str(clo_json_get(j, "type"), NULL),
                           clo_json_bool(clo_json_get(j, "accepts_multiple_values")), err);
    }
    clo_json_free(doc);
    return st;
}

/* Failures that mean "not to be had here": the list was enough then. */
static bool
schema_missing(const clo_err *e)
{
    return e->code == CLO_E_CONFIG || e->code == CLO_E_NOTFOUND || e->code == CLO_E_FORBIDDEN ||
           e->code == CLO_E_REJECTED;
}

clo_status
clo_fields_step(clo_fields *f, int wait_ms, clo_err *err)
{
    clo_status st;

    clo_err_clear(err);
    while (f->phase == PHASE_LIST) {
        st = clo_cursor_step(f->list, wait_ms, err);
        if (st == CLO_ROW && take_listed(f, err) != CLO_OK)
            return CLO_ERROR;
        if (st == CLO_AGAIN || st == CLO_ERROR)
            return st;
        if (st == CLO_DONE) {
            if (start_schema(f, err) != CLO_OK)
                return CLO_ERROR;
            f->phase = PHASE_SCHEMA;
            return CLO_AGAIN;
        }
    }
    if (f->phase == PHASE_SCHEMA) {
        st = clo_call_step(f->schema, wait_ms, err);
        if (st == CLO_AGAIN || (st == CLO_ERROR && !schema_missing(err)))
            return st;
        if (st == CLO_DONE && take_schema(f, err) != CLO_OK)
            return CLO_ERROR;
        clo_err_clear(err);
        f->phase = PHASE_DONE;
    }
    return CLO_DONE;
}

clo_table *
clo_fields_take(clo_fields *f, clo_err *err)
{
    clo_err_clear(err);
    if (f->phase != PHASE_DONE) {
        clo_err_set(err, CLO_E_BUG, "%s: the custom fields are not read yet", f->base->name);
        return NULL;
    }
    return clo_table_extend(f->base, f->cols, f->n, err);
}

void
clo_fields_free(clo_fields *f)
{
    if (f == NULL)
        return;
    clo_cursor_free(f->list);
    clo_call_free(f->schema);
    clo_idset_free(&f->ids);
    clo_arena_free(f->arena);
    clo_free(f->cols);
    clo_client_unref(f->client);
    clo_free(f);
}
