/*
 * sq_bind.c - right-hand sides of conditions, converted as SQLite's own comparison would do it.
 *
 * The core compares by value; SQLite compares by storage class after applying the column's affinity.
 * The result of a query must not depend on whether a condition was sent, so the rules are SQLite's:
 *
 *  - a TEXT column turns numbers into text (id = 5 means id = '5'); a number column takes text that
 *    looks like a number; what then still has another class is never equal, and neither is a BLOB.
 *    "Never equal" is a NULL to the core: nothing is sent for it.
 *  - a timestamp is text here. It equals only its canonical spelling.
 *  - a bound on a timestamp is a comparison of texts: '2024-05-02 10:00' is greater than any time of
 *    that day, because a blank sorts before T. What is sent is the widest instant that such texts
 *    can mean, from the longest prefix that reads as a time; SQLite checks the rows again. So a bound is
 *    never wrong and, written as most people write it, still narrows the read:
 *
 *      >= '2024-05-02'            sent as 2024-05-02T00:00:00.000000Z
 *      <= '2024-05-02T10:00:00Z'  sent as 2024-05-02T10:00:00.999999Z
 *
 * Ownership: texts are borrowed from argv, except those of an IN list: SQLite reuses the value it shows
 * there, so they are copied into one block behind the list.
 *
 * Rejected: parsing any time format here. The comparison is textual whatever we parse.
 */
#include "sq.h"

#include <string.h>

#define FIRST_TIME "0001-01-01T00:00:00.000000Z"
#define LAST_TIME "9999-12-31T23:59:59.999999Z"

/* ---- timestamps ------------------------------------------------------------------------- */

/* Text against a picture: 9 is any digit, other characters are themselves. */
static bool
looks_like(const char *s, size_t n, const char *picture)
{
    size_t len = strlen(picture);

    if (n < len)
        return false;
    for (size_t i = 0; i < len; i++)
        if (picture[i] == '9' ? s[i] < '0' || s[i] > '9' : s[i] != picture[i])
            return false;
    return true;
}

static int
two_digits(const char *s)
{
    return (s[0] - '0') * 10 + (s[1] - '0');
}

static bool
is_date(const char *s, size_t n)
{
    static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    int year, month, day, leap;

    if (!looks_like(s, n, "9999-99-99"))
        return false;
    year = two_digits(s) * 100 + two_digits(s + 2);
    month = two_digits(s + 5);
    day = two_digits(s + 8);
    leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    return year > 0 && month >= 1 && month <= 12 && day >= 1 &&
           day <= days[month - 1] + (month == 2 && leap);
}

static bool
is_second(const char *s, size_t n)
{
    return is_date(s, n) && looks_like(s, n, "9999-99-99T99:99:99") && two_digits(s + 11) < 24 &&
           two_digits(s + 14) < 60 && two_digits(s + 17) < 60;
}

static bool
is_canonical(const char *s, size_t n)
{
    return n == strlen(LAST_TIME) && is_second(s, n) && looks_like(s + 19, n - 19, ".999999Z");
}

/* The widest instant for a bound written as `s`; see the essay. */
static void
widen(const char *s, size_t n, bool lower, char out[32])
{
    if (is_canonical(s, n))
        sqlite3_snprintf(32, out, "%.27s", s);
    else if (is_second(s, n))
        sqlite3_snprintf(32, out, "%.19s%s", s, (lower ? FIRST_TIME : LAST_TIME) + 19);
    else if (is_date(s, n))
        sqlite3_snprintf(32, out, "%.10s%s", s, (lower ? FIRST_TIME : LAST_TIME) + 10);
    else
        sqlite3_snprintf(32, out, "%s", lower ? FIRST_TIME : LAST_TIME);
}

/* ---- single values ---------------------------------------------------------------------- */

static clo_value
equal_number(sqlite3_value *v, clo_type type)
{
    sqlite3_int64 i;
    double r;

    switch (sqlite3_value_numeric_type(v)) {
    case SQLITE_INTEGER:
        i = sqlite3_value_int64(v);
        break;
    case SQLITE_FLOAT:
        r = sqlite3_value_double(v);
        if (type == CLO_T_REAL)
            return clo_real(r);
        if (!(r >= -9.0e15 && r <= 9.0e15) || (double)(sqlite3_int64)r != r)
            return clo_null(); /* no integer that a JSON number holds */
        i = (sqlite3_int64)r;
        break;
    default:
        return clo_null();
    }
    if (type == CLO_T_REAL)
        return clo_real((double)i);
    if (type == CLO_T_BOOL)
        return i == 0 || i == 1 ? clo_bool(i != 0) : clo_null();
    return clo_int(i);
}

/* False: out of memory. */
static bool
equal_value(sqlite3_value *v, clo_type type, clo_value *out)
{
    int class = sqlite3_value_type(v);
    const char *s;
    size_t n;

    *out = clo_null();
    if (class == SQLITE_NULL || class == SQLITE_BLOB)
        return true;
    if (type == CLO_T_INT || type == CLO_T_REAL || type == CLO_T_BOOL) {
        *out = equal_number(v, type);
        return true;
    }
    s = (const char *)sqlite3_value_text(v);
    if (s == NULL)
        return false;
    n = (size_t)sqlite3_value_bytes(v);
    if (type == CLO_T_TIME && !is_canonical(s, n))
        return true;
    if (type == CLO_T_DATE && (n != 10 || !is_date(s, n)))
        return true;
    *out = clo_text(s, n);
    return true;
}

static bool
bound_value(sqlite3_value *v, clo_type type, bool lower, char stamp[32], clo_value *out)
{
    int class = sqlite3_value_type(v);
    const char *s = "";
    size_t n = 0;

    *out = clo_null();
    if (class == SQLITE_NULL || (class == SQLITE_BLOB && lower))
        return true; /* no text is greater than a BLOB, every text is less */
    if (class != SQLITE_BLOB) {
        s = (const char *)sqlite3_value_text(v);
        if (s == NULL)
            return false;
        n = (size_t)sqlite3_value_bytes(v);
    }
    widen(s, n, lower, stamp);
    *out = clo_text(stamp, type == CLO_T_DATE ? 10 : strlen(stamp));
    return true;
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
read_list(sqlite3_value *in, clo_type type, list *l)
{
    sqlite3_value *v;
    clo_value value;
    int rc;

    for (rc = sqlite3_vtab_in_first(in, &v); rc == SQLITE_OK && v != NULL;
         rc = sqlite3_vtab_in_next(in, &v))
        if (!equal_value(v, type, &value) || (value.type != CLO_T_NULL && !list_add(l, value)))
            return SQLITE_NOMEM;
    for (size_t i = 0; i < l->n; i++)
        if (l->values[i].type == CLO_T_TEXT)
            l->values[i].text = l->text + l->values[i].u.i;
    return rc == SQLITE_DONE ? SQLITE_OK : rc;
}

/* ---- a plan's values -------------------------------------------------------------------- */

static int
bind_list(sqlite3_value *in, clo_type type, clo_bind *bind, sq_binds *out)
{
    list l = {0};
    int rc = read_list(in, type, &l);

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
        clo_type type = plan->table->columns[slot->column].type;
        bool ok = true;

        out->bind[i].values = &out->one[i];
        out->bind[i].n = 1;
        if (slot->op == CLO_OP_IN) {
            int rc = bind_list(argv[i], type, &out->bind[i], out);

            if (rc != SQLITE_OK)
                return rc;
        } else if (slot->op == CLO_OP_EQ) {
            ok = equal_value(argv[i], type, &out->one[i]);
        } else {
            bool lower = slot->op == CLO_OP_GE || slot->op == CLO_OP_GT;

            ok = bound_value(argv[i], type, lower, out->stamp[i], &out->one[i]);
        }
        if (!ok)
            return SQLITE_NOMEM;
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
