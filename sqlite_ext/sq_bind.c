/*
 * sq_bind.c - right-hand sides of conditions on their way to the core.
 *
 * A comparison in SQLite first applies the column's affinity to the other side: id = 5 means id = '5',
 * and is_complete = '1' is a number. SQLite does not do that for the values it gives to xFilter, so we
 * ask it to do so here, with its own conversions; the core then compares values and knows that a text
 * bound on a timestamp is a comparison of texts. A BLOB equals no text or number, and sorts after all
 * of them; nothing is sent for it.
 *
 * Ownership: texts are borrowed from argv, except those of an IN list: SQLite reuses the value it shows
 * there, so they are copied into one block behind the list.
 */
#include "sq.h"

#include <string.h>

#define AFTER_ALL_TIMES "~" /* no time, and greater than any */

/* ---- single values ---------------------------------------------------------------------- */

static bool
is_number(const clo_column *col)
{
    return col->type == CLO_T_INT || col->type == CLO_T_REAL || col->type == CLO_T_BOOL;
}

void
sq_bind_numbers(const clo_plan *plan, sqlite3_value **argv)
{
    for (int i = 0; i < plan->n_slots; i++)
        if (plan->slots[i].op != CLO_OP_IN &&
            is_number(&plan->table->columns[plan->slots[i].column]))
            (void)sqlite3_value_numeric_type(argv[i]); /* converts what looks like a number */
}

/* The value after affinity; numbers have been converted. False: out of memory. */
static bool
read_value(sqlite3_value *v, const clo_column *col, clo_op op, clo_value *out)
{
    clo_code code = sq_value_get(v, out);

    if (code == CLO_E_ARG && (op == CLO_OP_LT || op == CLO_OP_LE))
        *out = clo_text(AFTER_ALL_TIMES, strlen(AFTER_ALL_TIMES));
    if (!is_number(col) && (out->type == CLO_T_INT || out->type == CLO_T_REAL)) {
        const char *s = (const char *)sqlite3_value_text(v);

        if (s == NULL)
            return false;
        *out = clo_text(s, (size_t)sqlite3_value_bytes(v));
    }
    if (out->type == CLO_T_JSON) /* the subtype has no part in a comparison */
        out->type = CLO_T_TEXT;
    return code != CLO_E_NOMEM;
}

/* ---- lists ------------------------------------------------------------------------------ */

typedef struct list {
    clo_value *values; /* texts: offset in u.i until the block is complete */
    size_t n, cap;
    char *text;
    size_t len, text_cap;
} list;

static bool
list_add(list *l, clo_value v)
{
    if (l->n == l->cap) {
        size_t cap = l->cap * 2 + 16;
        clo_value *values = sqlite3_realloc64(l->values, cap * sizeof *values);

        if (values == NULL)
            return false;
        l->values = values;
        l->cap = cap;
    }
    if (v.type == CLO_T_TEXT) {
        if (l->text_cap - l->len <= v.len) {
            size_t cap = (l->text_cap + v.len) * 2 + 256;
            char *text = sqlite3_realloc64(l->text, cap);

            if (text == NULL)
                return false;
            l->text = text;
            l->text_cap = cap;
        }
        memcpy(l->text + l->len, v.text, v.len);
        l->text[l->len + v.len] = '\0';
        v.u.i = (int64_t)l->len;
        l->len += v.len + 1;
    }
    l->values[l->n++] = v;
    return true;
}

/* All values of an IN; those that cannot match are left out. */
static int
read_list(sqlite3_value *in, const clo_column *col, list *l)
{
    sqlite3_value *v;
    clo_value value;
    int rc;

    for (rc = sqlite3_vtab_in_first(in, &v); rc == SQLITE_OK && v != NULL;
         rc = sqlite3_vtab_in_next(in, &v)) {
        if (is_number(col))
            (void)sqlite3_value_numeric_type(v);
        if (!read_value(v, col, CLO_OP_IN, &value) ||
            (value.type != CLO_T_NULL && !list_add(l, value)))
            return SQLITE_NOMEM;
    }
    for (size_t i = 0; i < l->n; i++)
        if (l->values[i].type == CLO_T_TEXT)
            l->values[i].text = l->text + l->values[i].u.i;
    return rc == SQLITE_DONE ? SQLITE_OK : rc;
}

/* ---- a plan's values -------------------------------------------------------------------- */

static int
bind_list(sqlite3_value *in, const clo_column *col, clo_bind *bind, sq_binds *out)
{
    list l = {0};
    int rc = read_list(in, col, &l);

    out->list = l.values;
    out->text = l.text;
    bind->values = l.values;
    bind->n = l.n;
    return rc;
}

int
sq_binds_make(const clo_plan *plan, sqlite3_value **argv, sq_binds *out)
{
    memset(out, 0, sizeof *out);
    for (int i = 0; i < plan->n_slots; i++) {
        const clo_slot *slot = &plan->slots[i];
        const clo_column *col = &plan->table->columns[slot->column];
        int rc = SQLITE_OK;

        out->bind[i].values = &out->one[i];
        out->bind[i].n = 1;
        if (slot->op == CLO_OP_IN)
            rc = bind_list(argv[i], col, &out->bind[i], out);
        else if (!read_value(argv[i], col, slot->op, &out->one[i]))
            rc = SQLITE_NOMEM;
        if (rc != SQLITE_OK)
            return rc;
    }
    return SQLITE_OK;
}

void
sq_binds_free(sq_binds *b)
{
    sqlite3_free(b->list);
    sqlite3_free(b->text);
    b->list = NULL;
    b->text = NULL;
}
