/*
 * conds.c - the values bound to a plan: converted, sent, checked against rows, echoed.
 *
 * The service ignores filters that it does not know, and its documentation is not always right
 * about which it knows. So a condition that is sent is also checked here against each row that has
 * the field, with the meaning that SQL gives it. That check is what makes a slot exact.
 *
 * Conversion follows column affinity, because SQLite hands over what the user wrote: 5 for a text
 * column is '5', '1' for a boolean is true. A value that no row can equal ('maybe' for a
 * boolean, NULL for anything) matches nothing, and then nothing is sent at all.
 *
 * Bounds on timestamps: PostgreSQL compares instants. SQLite compares text with our canonical form
 * (YYYY-MM-DDTHH:MM:SS.ffffffZ), so '2024-05-01T10:00:00Z' as an upper bound includes the whole
 * second that follows. What is sent for a text is therefore an instant that surely does not exclude a
 * row which the text comparison keeps, and the check here compares texts as SQLite will.
 *
 * Ownership: values and texts live in the arena of the scan.
 */
#include "scan.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define US_PER_SECOND ((int64_t)1000000)
#define US_PER_DAY (86400 * US_PER_SECOND)
#define FIRST_US (-62135596800 * US_PER_SECOND) /* year 1 */
#define END_US (253402300800 * US_PER_SECOND)   /* year 10000 */

/* ---- conversion ----------------------------------------------------------------------------- */

typedef enum fit { FIT, NO_FIT, NO_MEMORY } fit;

static fit
to_text(const clo_value *in, clo_arena *a, clo_value *out)
{
    char num[64];
    char *copy;

    if (in->type == CLO_T_BOOL || in->type == CLO_T_NULL)
        return NO_FIT;
    if (in->type == CLO_T_INT) {
        snprintf(num, sizeof num, "%lld", (long long)in->u.i);
    } else if (in->type == CLO_T_REAL) { /* as SQLite writes it: 15 digits, and always a point */
        snprintf(num, sizeof num, "%.15g", in->u.r);
        if (isfinite(in->u.r) && strpbrk(num, ".e") == NULL)
            memcpy(num + strlen(num), ".0", 3);
    } else if (in->text == NULL) {
        return NO_FIT;
    } else {
        copy = clo_arena_strndup(a, in->text, in->len);
        if (copy == NULL)
            return NO_MEMORY;
        *out = clo_text(copy, in->len);
        return FIT;
    }
    copy = clo_arena_strndup(a, num, strlen(num));
    if (copy == NULL)
        return NO_MEMORY;
    *out = clo_text(copy, strlen(copy));
    return FIT;
}

/* A number, or a text that is one and nothing else. */
static bool
to_number(const clo_value *in, double *r)
{
    char *end;

    switch (in->type) {
    case CLO_T_INT:
        *r = (double)in->u.i;
        return true;
    case CLO_T_BOOL:
        *r = in->u.b ? 1 : 0;
        return true;
    case CLO_T_REAL:
        *r = in->u.r;
        return true;
    case CLO_T_TEXT:
        if (in->len == 0 || in->len > 60 || strspn(in->text, "0123456789+-.eE") != in->len)
            return false;
        errno = 0;
        *r = strtod(in->text, &end);
        return errno == 0 && *end == '\0';
    default:
        return false;
    }
}

/* Whether any row can have this text. Filters and keys hold ids and names of kinds, which are never empty
 * (and the service reads an empty filter as "is null"). An id becomes part of an address, where a
 * slash or a question mark would ask for something else than one object. */
static bool
possible(const clo_cond *c, const clo_value *v)
{
    if ((c->column->flags & CLO_C_PARAM) || v->type != CLO_T_TEXT)
        return true;
    if (v->len == 0 || strlen(v->text) != v->len)
        return false;
    if (!(c->column->flags & CLO_C_KEY))
        return true;
    for (size_t i = 0; i < v->len; i++)
        if ((unsigned char)v->text[i] <= ' ' || strchr("/?#%\\", v->text[i]) != NULL)
            return false;
    return strcmp(v->text, ".") != 0 && strcmp(v->text, "..") != 0;
}

static fit
convert(const clo_column *c, const clo_value *in, clo_arena *a, clo_value *out)
{
    double r;

    if (in->type == CLO_T_NULL)
        return NO_FIT;
    switch (c->type) {
    case CLO_T_BOOL:
        if (!to_number(in, &r) || (r != 0 && r != 1))
            return NO_FIT;
        *out = clo_bool(r != 0);
        return FIT;
    case CLO_T_INT:
        /* 2^53: beyond it neither the service nor a double tells neighbours apart */
        if (!to_number(in, &r) || !(fabs(r) <= 0x1p53) || r != (double)(int64_t)r)
            return NO_FIT;
        *out = clo_int((int64_t)r);
        return FIT;
    case CLO_T_REAL:
        if (!to_number(in, &r))
            return NO_FIT;
        *out = clo_real(r);
        return FIT;
    default:
        return to_text(in, a, out);
    }
}

/* A text by which equal values are recognised. */
static size_t
value_key(const clo_value *v, char num[64], const char **key)
{
    if (v->text != NULL) {
        *key = v->text;
        return v->len;
    }
    *key = num;
    if (v->type == CLO_T_REAL)
        snprintf(num, 64, "%.17g", v->u.r);
    else
        snprintf(num, 64, "%lld", v->type == CLO_T_BOOL ? (long long)v->u.b : (long long)v->u.i);
    return strlen(num);
}

/* ---- bounds --------------------------------------------------------------------------------- */

static bool
two_digits(const char *s, int max, int64_t *v)
{
    if (s[0] < '0' || s[0] > '9' || s[1] < '0' || s[1] > '9')
        return false;
    *v = (s[0] - '0') * 10 + (s[1] - '0');
    return *v <= max;
}

/* The instant that lies safely on the outer side of a text bound. False: the text says nothing about
 * time, so no row can be excluded at the service. */
static bool
text_bound(const char *s, size_t n, bool upper, int64_t *us)
{
    char form[] = "0000-01-01T00:00:00";
    int64_t h, m, sec;
    int32_t days;

    memcpy(form, s, n < sizeof form - 1 ? n : sizeof form - 1);
    if ((n < 10 && n != 4 && n != 7) || !clo_date_parse(form, 10, &days))
        return false;
    *us = (int64_t)days * US_PER_DAY;
    if (n > 10 && form[10] == 'T' && two_digits(form + 11, 23, &h) && form[13] == ':' &&
        two_digits(form + 14, 59, &m) && form[16] == ':' && two_digits(form + 17, 59, &sec))
        *us += ((h * 60 + m) * 60 + sec) * US_PER_SECOND + (upper ? US_PER_SECOND : 0);
    else if (upper)
        *us += US_PER_DAY;
    return true;
}

/* Sets c->bound. The value itself stays as it came, for the comparison. */
static clo_status
bind_bound(clo_cond *c, const clo_value *in, clo_arena *a, clo_err *err)
{
    bool upper = c->slot->op == CLO_OP_LT || c->slot->op == CLO_OP_LE;
    clo_value v = *in;
    bool known = true;
    int64_t us = 0;
    char text[32];

    if (v.type == CLO_T_TIME) {
        us = v.u.i;
    } else if (v.type == CLO_T_DATE) {
        us = v.u.i * US_PER_DAY;
    } else {
        fit f = to_text(in, a, &v);
        if (f != FIT)
            return f == NO_MEMORY ? clo_err_nomem(err) : CLO_DONE;
        known = text_bound(v.text, v.len, upper, &us);
    }
    c->values = clo_arena_alloc(a, sizeof *c->values);
    if (c->values == NULL)
        return clo_err_nomem(err);
    v.text = v.type == CLO_T_TEXT ? v.text : NULL;
    c->values[0] = v;
    c->n = 1;
    if (known && us >= FIRST_US && us < END_US) {
        clo_time_format(us, text);
        c->bound = clo_arena_strndup(a, text, strlen(text));
        if (c->bound == NULL)
            return clo_err_nomem(err);
    }
    return CLO_OK;
}

static bool
keeps_bound(const clo_cond *c, const clo_json *j)
{
    const clo_value *v = &c->values[0];
    size_t n = 0;
    const char *s = clo_json_str(j, &n);
    char text[32];
    int64_t us;
    int order;

    if (s == NULL || !clo_time_parse(s, n, &us))
        return clo_json_type(j) != CLO_J_NULL; /* a misfit is reported when the row is converted */
    if (v->type == CLO_T_TEXT) {
        size_t common;

        clo_time_format(us, text);
        common = strlen(text) < v->len ? strlen(text) : v->len;
        order = memcmp(text, v->text, common);
        if (order == 0)
            order = strlen(text) < v->len ? -1 : strlen(text) > v->len;
    } else {
        int64_t limit = v->type == CLO_T_DATE ? v->u.i * US_PER_DAY : v->u.i;

        order = us < limit ? -1 : us > limit;
    }
    switch (c->slot->op) {
    case CLO_OP_LT:
        return order < 0;
    case CLO_OP_LE:
        return order <= 0;
    case CLO_OP_GT:
        return order > 0;
    default:
        return order >= 0;
    }
}

/* ---- binding -------------------------------------------------------------------------------- */

bool
clo_cond_is_bound(const clo_cond *c)
{
    return c->slot->op != CLO_OP_EQ && c->slot->op != CLO_OP_IN;
}

clo_status
clo_cond_bind(clo_cond *c, const clo_plan *plan, int slot, const clo_bind *bind, clo_arena *a,
              clo_err *err)
{
    const clo_slot *s = &plan->slots[slot];

    memset(c, 0, sizeof *c);
    c->slot = s;
    c->table = plan->table;
    c->column = &plan->table->columns[s->column];
    c->filter = s->param != NULL ? clo_table_filter(plan->table, s->column, s->op) : NULL;
    if (bind->n == 0 || (bind->n == 1 && bind->values[0].type == CLO_T_NULL))
        return CLO_DONE;
    if (clo_cond_is_bound(c))
        return bind_bound(c, &bind->values[0], a, err);
    c->values = bind->n > SIZE_MAX / sizeof *c->values
                    ? NULL
                    : clo_arena_alloc(a, bind->n * sizeof *c->values);
    if (c->values == NULL)
        return clo_err_nomem(err);
    for (size_t i = 0; i < bind->n; i++) {
        char num[64];
        const char *key;
        size_t len;
        clo_idset_result added;
        fit f = convert(c->column, &bind->values[i], a, &c->values[c->n]);

        if (f == NO_MEMORY)
            return clo_err_nomem(err);
        if (f == NO_FIT || !possible(c, &c->values[c->n]))
            continue;
        len = value_key(&c->values[c->n], num, &key);
        added = clo_idset_add(&c->set, key, len);
        if (added == CLO_IDSET_NOMEM)
            return clo_err_nomem(err);
        if (added == CLO_IDSET_NEW)
            c->n++;
    }
    return c->n > 0 ? CLO_OK : CLO_DONE;
}

void
clo_cond_free(clo_cond *c)
{
    clo_idset_free(&c->set);
}

/* ---- rows ----------------------------------------------------------------------------------- */

/* A field of a row as a value of the column's type; texts are borrowed. */
static bool
field_value(const clo_column *c, const clo_json *j, clo_value *v)
{
    clo_json_kind kind = clo_json_type(j);
    size_t n = 0;
    const char *s = clo_json_str(j, &n);

    switch (c->type) {
    case CLO_T_BOOL:
        *v = clo_bool(clo_json_bool(j));
        return kind == CLO_J_BOOL;
    case CLO_T_INT:
    case CLO_T_REAL:
        *v = c->type == CLO_T_INT ? clo_int(clo_json_int(j)) : clo_real(clo_json_real(j));
        return kind == CLO_J_INT || kind == CLO_J_REAL;
    default:
        if (s != NULL)
            *v = clo_text(s, n);
        return s != NULL;
    }
}

static bool
absent(const clo_cond *c, const clo_json *row)
{
    return (c->column->flags & CLO_C_PARAM) || !clo_json_has(row, clo_column_path(c->column));
}

bool
clo_cond_keeps(const clo_cond *c, size_t which, const clo_json *row)
{
    const clo_json *j;
    clo_value v;
    const char *key, *want;
    char num[64], want_num[64];
    size_t len;

    if (c->column->flags & CLO_C_PARAM)
        return true;
    if (absent(c, row)) /* the service vouches for it, or SQL sees NULL, which equals nothing */
        return clo_cond_is_bound(c) ||
               (c->filter != NULL && (c->filter->flags & (CLO_F_EXACT | CLO_F_ECHO)) != 0);
    j = clo_json_get(row, clo_column_path(c->column));
    if (clo_cond_is_bound(c))
        return keeps_bound(c, j);
    if (clo_json_type(j) == CLO_J_NULL || !field_value(c->column, j, &v))
        return false;
    len = value_key(&v, num, &key);
    if (c->local)
        return clo_idset_has(&c->set, key, len);
    return value_key(&c->values[which], want_num, &want) == len && memcmp(key, want, len) == 0;
}

clo_json *
clo_cond_json(const clo_cond *c, size_t which, const clo_tool *tool, clo_err *err)
{
    const clo_param *p = tool != NULL ? clo_tool_param(tool, c->slot->param) : NULL;
    clo_value v = c->values[which];

    if (p == NULL) {
        clo_err_set(err, CLO_E_BUG, "%s: no parameter %s", tool != NULL ? tool->name : "(no tool)",
                    c->slot->param);
        return NULL;
    }
    if (clo_cond_is_bound(c))
        v = clo_text(c->bound, strlen(c->bound));
    /* Rows of this type carry another name than the filter that finds them (close-api.md 13.6). */
    if (strcmp(c->table->name, "close_activities") == 0 && strcmp(p->name, "_type") == 0 &&
        v.text != NULL && strcmp(v.text, "CustomActivity") == 0)
        v = clo_text("Custom", 6);
    return clo_json_of_value(&v, p, tool->name, err);
}

void
clo_cond_echo(const clo_cond *c, size_t which, const clo_json *row, const clo_colset *needed,
              clo_value *vals)
{
    if (c->local || clo_cond_is_bound(c) || !clo_colset_has(needed, c->slot->column))
        return;
    if (absent(c, row))
        vals[c->slot->column] = c->values[which];
}
